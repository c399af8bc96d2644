//! What an account finds in a region that it comes to for the first time (CIDR-14, DHCP-1).

use std::net::Ipv4Addr;

use gureum_store::Transaction;
use gureum_types::{
    DhcpOptionsId, InternetGatewayId, SubnetId, Tags,
    record::{
        DhcpOptions, InternetGateway, RegionState, Route, RouteDestination, RouteTable,
        RouteTarget, Subnet, Vpc,
    },
};
use ipnet::Ipv4Net;

use crate::{
    call::Call,
    resource::{network_acl, subnet, vpc},
};

/// Makes the default DHCP options and the default VPC of the caller's region.
pub(crate) fn open_region(call: &Call, tx: &mut Transaction) {
    let options = DhcpOptions {
        id: DhcpOptionsId::new(call.random()),
        configurations: vec![
            ("domain-name".into(), vec![call.region().internal_domain()]),
            ("domain-name-servers".into(), vec!["AmazonProvidedDNS".into()]),
        ],
        created: call.now,
        tags: Tags::new(),
    };
    let state = RegionState { default_dhcp_options: options.id.clone(), created: call.now };
    tx.put(&call.scope, options);
    tx.put(&call.scope, state);
    make(call, tx);
}

/// Makes a default VPC: a public subnet in every zone (CIDR-14).
pub(crate) fn make(call: &Call, tx: &mut Transaction) -> Vpc {
    let block = Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 0, 0), 16);
    let made = vpc::make(call, tx, block, "default", true, Tags::new());
    let gateway = InternetGateway {
        id: InternetGatewayId::new(call.random()),
        vpc_id: Some(made.id.clone()),
        created: call.now,
        tags: Tags::new(),
    };
    let tables: Vec<_> = tx.referrers::<RouteTable>(made.id.as_str()).cloned().collect();
    for table in tables {
        tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
            table.routes.push(Route {
                destination: RouteDestination::Ipv4(Ipv4Net::default()),
                target: RouteTarget::InternetGateway(gateway.id.clone()),
            });
        });
    }
    tx.put(&call.scope, gateway);
    for zone in call.region().zones() {
        make_subnet(call, tx, &made, zone);
    }
    made
}

/// Makes the default subnet of a zone, in the first /20 of the default VPC that is free.
pub(crate) fn make_subnet(
    call: &Call,
    tx: &mut Transaction,
    default: &Vpc,
    zone: String,
) -> Option<Subnet> {
    let taken: Vec<_> =
        tx.referrers::<Subnet>(default.id.as_str()).filter_map(|it| it.cidr_block).collect();
    let mut blocks = default.cidr_block.subnets(20).ok()?;
    let cidr_block =
        blocks.find(|it| !taken.iter().any(|taken| super::cidr::overlap(*taken, *it)))?;
    let made = Subnet {
        default_for_az: true,
        map_public_ip_on_launch: true,
        ..subnet::fresh(
            call,
            SubnetId::new(call.random()),
            default.id.clone(),
            Some(cidr_block),
            zone,
        )
    };
    tx.put(&call.scope, made.clone());
    network_acl::guard_with_default(call, tx, &made);
    Some(made)
}
