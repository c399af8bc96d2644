//! Routes to every kind of target, their states, and the tables of gateways (RT-*, EIGW-1).

mod common;

use std::sync::Arc;

use common::{Cloud, Reply, Wishes, refused};
use gureum_store::{Store, StoreError};
use gureum_types::{
    PrefixListId, SubnetCidrAssociationId, Tags, Timestamp, VpcCidrAssociationId,
    record::{PrefixList, Scope, Subnet, SubnetIpv6CidrAssociation, Vpc, VpcIpv6CidrAssociation},
};

fn scope() -> Scope {
    Scope {
        account: gureum_types::AccountId::parse("111122223333").expect("an account"),
        region: "ap-northeast-2".parse().expect("a region"),
    }
}

/// A cloud whose store is at hand, for records of other operations.
fn open(quotas: bool) -> (Cloud, Arc<Store>) {
    let store = Arc::new(Store::in_memory());
    let cloud = Cloud::with(Wishes { store: store.clone(), quotas, ..Wishes::default() });
    (cloud, store)
}

/// Gives a VPC 2001:db8::/56, and a subnet the first /64 of it.
fn add_ipv6(store: &Store, vpc: &str, subnet: &str) {
    store
        .transact(|tx| -> Result<(), StoreError> {
            tx.update::<Vpc>(&scope(), vpc, |it| {
                it.ipv6_cidr_associations.push(VpcIpv6CidrAssociation {
                    id: VpcCidrAssociationId::new(77),
                    cidr_block: "2001:db8::/56".parse().expect("a block"),
                });
            });
            tx.update::<Subnet>(&scope(), subnet, |it| {
                it.ipv6_cidr_association = Some(SubnetIpv6CidrAssociation {
                    id: SubnetCidrAssociationId::new(78),
                    cidr_block: "2001:db8::/64".parse().expect("a block"),
                });
            });
            Ok(())
        })
        .expect("stored");
}

fn add_list(store: &Store, number: u64, ipv6: bool, max_entries: u32) -> String {
    let id = PrefixListId::new(number);
    let list = PrefixList {
        id: id.clone(),
        name: "list".into(),
        ipv6,
        max_entries,
        entries: Vec::new(),
        version: 1,
        earlier: Vec::new(),
        state: "create-complete".into(),
        created: Timestamp(0),
        tags: Tags::new(),
    };
    store
        .transact(|tx| -> Result<(), StoreError> {
            tx.put(&scope(), list.clone());
            Ok(())
        })
        .expect("stored");
    id.to_string()
}

async fn gateway(cloud: &Cloud, vpc: &str) -> String {
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc)];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    gateway
}

async fn nat(cloud: &Cloud, subnet: &str) -> String {
    let parameters = [("SubnetId", subnet), ("ConnectivityType", "private")];
    cloud.make("CreateNatGateway", &parameters, "natGatewayId").await
}

async fn egress_only(cloud: &Cloud, vpc: &str) -> String {
    let element = "egressOnlyInternetGatewayId";
    cloud.make("CreateEgressOnlyInternetGateway", &[("VpcId", vpc)], element).await
}

async fn table(cloud: &Cloud, vpc: &str) -> String {
    cloud.make("CreateRouteTable", &[("VpcId", vpc)], "routeTableId").await
}

async fn shown(cloud: &Cloud, table: &str) -> Reply {
    cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", table)]).await.ok()
}

/// Destination, target, state and origin of each route of a table, in its order.
async fn routes(cloud: &Cloud, table: &str) -> Vec<[String; 4]> {
    let reply = shown(cloud, table).await;
    let set = reply.body.split("<routeSet>").nth(1).expect("routes");
    let set = set.split("</routeSet>").next().expect("an end");
    let items = set.split("<item>").skip(1).map(|item| {
        let item = Reply { status: 200, body: item.to_owned() };
        let first = |names: &[&str]| {
            names.iter().find_map(|name| item.get(name)).unwrap_or_default().to_owned()
        };
        [
            first(&["destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId"]),
            first(&[
                "gatewayId",
                "natGatewayId",
                "egressOnlyInternetGatewayId",
                "vpcPeeringConnectionId",
                "networkInterfaceId",
            ]),
            item.text("state"),
            item.text("origin"),
        ]
    });
    items.collect()
}

fn made(destination: &str, target: &str, state: &str) -> [String; 4] {
    [destination, target, state, "CreateRoute"].map(str::to_owned)
}

fn local(destination: &str, target: &str, state: &str) -> [String; 4] {
    [destination, target, state, "CreateRouteTable"].map(str::to_owned)
}

/// RT-1, RT-12, RT-21, NAT-19, EIGW-1: every target, and what its end leaves.
#[tokio::test]
async fn routes_stay_when_their_targets_go() {
    let (cloud, store) = open(false);
    let (vpc, subnet) = cloud.network().await;
    add_ipv6(&store, &vpc, &subnet);
    let peer = cloud.make("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId").await;
    let igw = gateway(&cloud, &vpc).await;
    let (nat, eigw) = (nat(&cloud, &subnet).await, egress_only(&cloud, &vpc).await);
    let request = [("VpcId", vpc.as_str()), ("PeerVpcId", peer.as_str())];
    let pcx = cloud.make("CreateVpcPeeringConnection", &request, "vpcPeeringConnectionId").await;
    let list = add_list(&store, 5, false, 10);
    let table = table(&cloud, &vpc).await;
    let v4 = "DestinationCidrBlock";
    let v6 = "DestinationIpv6CidrBlock";
    for (family, to, kind, target) in [
        (v4, "0.0.0.0/0", "NatGatewayId", nat.as_str()),
        (v4, "10.2.0.0/16", "VpcPeeringConnectionId", &pcx),
        (v6, "::/0", "EgressOnlyInternetGatewayId", &eigw),
        (v6, "2600::/16", "GatewayId", &igw),
        (v6, "64:ff9b::/96", "NatGatewayId", &nat),
        ("DestinationPrefixListId", &list, "GatewayId", &igw),
    ] {
        let route = [("RouteTableId", table.as_str()), (family, to), (kind, target)];
        cloud.ec2("CreateRoute", &route).await.ok();
    }
    let by = |states: [&str; 6]| {
        vec![
            local("10.1.0.0/16", "local", "active"),
            local("2001:db8::/56", "local", "active"),
            made("0.0.0.0/0", &nat, states[0]),
            made("10.2.0.0/16", &pcx, states[1]),
            made("::/0", &eigw, states[2]),
            made("2600::/16", &igw, states[3]),
            made("64:ff9b::/96", &nat, states[4]),
            made(&list, &igw, states[5]),
        ]
    };
    let (up, down) = ("active", "blackhole");
    let waits = [("NatGatewayId.1", nat.as_str())];
    cloud.until("DescribeNatGateways", &waits, |it| it.body.contains("<state>available")).await;
    assert_eq!(routes(&cloud, &table).await, by([up, down, up, up, up, up]), "RT-21");
    let answer = [("VpcPeeringConnectionId", pcx.as_str())];
    cloud.ec2("AcceptVpcPeeringConnection", &answer).await.ok();
    assert_eq!(routes(&cloud, &table).await, by([up; 6]));
    let filter = |name, value| [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
    for (name, value) in [
        ("route.nat-gateway-id", nat.as_str()),
        ("route.egress-only-internet-gateway-id", &eigw),
        ("route.vpc-peering-connection-id", &pcx),
        ("route.destination-ipv6-cidr-block", "::/0"),
        ("route.destination-prefix-list-id", &list),
    ] {
        let found = cloud.ec2("DescribeRouteTables", &filter(name, value)).await.ok();
        assert_eq!(found.all("routeTableId")[0], table, "{name}");
    }
    cloud.ec2("DeleteNatGateway", &[("NatGatewayId", &nat)]).await.ok();
    cloud.until("DescribeNatGateways", &waits, |it| it.body.contains("<state>deleted")).await;
    assert_eq!(routes(&cloud, &table).await, by([down, up, up, up, down, up]), "NAT-19");
    cloud.ec2("DeleteVpcPeeringConnection", &answer).await.ok();
    let gone = [("EgressOnlyInternetGatewayId", eigw.as_str())];
    cloud.ec2("DeleteEgressOnlyInternetGateway", &gone).await.ok();
    let detached = [("InternetGatewayId", igw.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("DetachInternetGateway", &detached).await.ok();
    assert_eq!(routes(&cloud, &table).await, by([down; 6]), "RT-12");
    // What leads nowhere may lead elsewhere (RT-8).
    let other = egress_only(&cloud, &vpc).await;
    let replaced =
        [("RouteTableId", table.as_str()), (v6, "::/0"), ("EgressOnlyInternetGatewayId", &other)];
    cloud.ec2("ReplaceRoute", &replaced).await.ok();
    assert_eq!(routes(&cloud, &table).await[4], made("::/0", &other, up));
    cloud.ec2("DeleteRoute", &[("RouteTableId", &table), (v6, "::/0")]).await.ok();
    cloud
        .ec2("DeleteRoute", &[("RouteTableId", &table), ("DestinationPrefixListId", &list)])
        .await
        .ok();
    assert_eq!(routes(&cloud, &table).await.len(), 6);
}

/// RT-8 to RT-15, RT-19.
#[tokio::test]
async fn impossible_routes_are_refused() {
    let (cloud, store) = open(false);
    let (vpc, subnet) = cloud.network().await;
    add_ipv6(&store, &vpc, &subnet);
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId").await;
    let third = cloud.make("CreateVpc", &[("CidrBlock", "10.3.0.0/16")], "vpcId").await;
    let igw = gateway(&cloud, &vpc).await;
    let (nat, eigw) = (nat(&cloud, &subnet).await, egress_only(&cloud, &vpc).await);
    let far = egress_only(&cloud, &other).await;
    let request = [("VpcId", other.as_str()), ("PeerVpcId", third.as_str())];
    let pcx = cloud.make("CreateVpcPeeringConnection", &request, "vpcPeeringConnectionId").await;
    let list6 = add_list(&store, 6, true, 10);
    let (table, foreign) = (table(&cloud, &vpc).await, table(&cloud, &other).await);
    let r = ("RouteTableId", table.as_str());
    let v4 = |to: &'static str| ("DestinationCidrBlock", to);
    let v6 = |to: &'static str| ("DestinationIpv6CidrBlock", to);
    let by_nat = ("NatGatewayId", nat.as_str());
    let by_eigw = ("EgressOnlyInternetGatewayId", eigw.as_str());
    let by_pcx = ("VpcPeeringConnectionId", pcx.as_str());
    let by_igw = ("GatewayId", igw.as_str());
    let value = "InvalidParameterValue";
    refused(
        &cloud,
        &[
            (
                "CreateRoute",
                &[("RouteTableId", &foreign), v4("8.8.8.0/24"), by_nat],
                value,
                &format!(
                    "route table {foreign} and network gateway {nat} belong to different networks"
                ),
            ),
            (
                "CreateRoute",
                &[r, v6("2600::/16"), ("EgressOnlyInternetGatewayId", &far)],
                value,
                "belong to different networks",
            ),
            ("CreateRoute", &[r, v4("10.3.0.0/16"), by_pcx], value, "belong to different networks"),
            ("CreateRoute", &[r, v4("8.8.8.0/24"), by_eigw], value, "another address family"),
            ("CreateRoute", &[r, v6("2600::/16"), by_nat], value, "another address family"),
            (
                "CreateRoute",
                &[r, ("DestinationPrefixListId", &list6), by_nat],
                value,
                "another address family",
            ),
            (
                "CreateRoute",
                &[r, ("DestinationPrefixListId", "pl-0123456789abcdef0"), by_nat],
                "InvalidPrefixListID.NotFound",
                "does not exist",
            ),
            (
                "CreateRoute",
                &[r, v4("8.8.8.0/24"), by_nat, by_igw],
                "InvalidParameterCombination",
                "exactly one",
            ),
            (
                "CreateRoute",
                &[r, v4("8.8.8.0/24"), v6("::/0"), by_igw],
                "InvalidParameterCombination",
                "Exactly one",
            ),
            (
                "CreateRoute",
                &[r, v6("::/0"), ("EgressOnlyInternetGatewayId", "eigw-0123456789abcdef0")],
                "InvalidGatewayID.NotFound",
                "does not exist",
            ),
            (
                "CreateRoute",
                &[r, v4("8.8.8.0/24"), ("VpcPeeringConnectionId", "pcx-0123456789abcdef0")],
                "InvalidVpcPeeringConnectionID.NotFound",
                "does not exist",
            ),
            ("CreateRoute", &[r, v6("fd00:ec2::254/128"), by_igw], value, "reserved"),
            ("CreateRoute", &[r, v6("fd00:ec2::/32"), by_igw], value, "reserved"),
            ("CreateRoute", &[r, v4("169.254.168.0/22"), by_igw], value, "reserved"),
            (
                "CreateRoute",
                &[r, v6("2001:db8::/56"), by_igw],
                "RouteAlreadyExists",
                "2001:db8::/56",
            ),
            (
                "CreateRoute",
                &[r, v6("2001:db8::/64"), by_igw],
                value,
                "This route only supports interface and instance targets.",
            ),
            (
                "CreateRoute",
                &[r, v6("2001:db8:0:7::/64"), by_igw],
                value,
                "does not match the CIDR block of a subnet",
            ),
            ("CreateRoute", &[r, v4("10.1.1.0/24"), by_pcx], value, "belong to different networks"),
            (
                "CreateRoute",
                &[r, v4("10.1.1.0/25"), by_nat],
                value,
                "does not match the CIDR block of a subnet",
            ),
            (
                "ReplaceRoute",
                &[r, v4("10.1.0.0/16"), by_igw],
                value,
                "This route only supports interface and instance targets.",
            ),
            (
                "ReplaceRoute",
                &[r, v4("10.1.0.0/16"), by_nat],
                value,
                "This route only supports interface and instance targets.",
            ),
            ("ReplaceRoute", &[r, v4("10.1.0.0/16")], "MissingParameter", "GatewayId"),
            (
                "ReplaceRoute",
                &[r, v4("10.1.0.0/16"), ("LocalTarget", "true"), by_nat],
                "InvalidParameterCombination",
                "exactly one",
            ),
            (
                "ReplaceRoute",
                &[r, v4("9.9.9.0/24"), ("LocalTarget", "true")],
                value,
                "There is no route defined for '9.9.9.0/24'",
            ),
            (
                "DeleteRoute",
                &[r, v6("2001:db8::/56")],
                value,
                "cannot remove local route 2001:db8::/56",
            ),
            (
                "CreateRoute",
                &[r, v4("8.8.8.0/24"), ("TransitGatewayId", "tgw-0123456789abcdef0")],
                "InvalidTransitGatewayID.NotFound",
                "was deleted or does not exist",
            ),
        ],
    )
    .await;
    // Larger ones over reserved ones are fine (RT-15), as are whole subnets (RT-14).
    for route in [
        [r, v4("169.254.0.0/16"), by_igw],
        [r, v4("10.1.1.0/24"), by_nat],
        [r, v4("0.0.0.0/0"), by_igw],
    ] {
        cloud.ec2("CreateRoute", &route).await.ok();
    }
    let back = [r, v4("0.0.0.0/0"), ("LocalTarget", "true")];
    refused(&cloud, &[("ReplaceRoute", &back, value, "not a local route")]).await;
    // One that is only shown any more is no target (NAT-3).
    cloud.ec2("DeleteNatGateway", &[("NatGatewayId", &nat)]).await.ok();
    let waits = [("NatGatewayId.1", nat.as_str())];
    cloud.until("DescribeNatGateways", &waits, |it| it.body.contains("<state>deleted")).await;
    let late = [r, v4("9.9.9.0/24"), by_nat];
    refused(&cloud, &[("CreateRoute", &late, "InvalidNatGatewayID.NotFound", &nat)]).await;
}

/// RT-14: the local route itself, over and back, and its end with its block.
#[tokio::test]
async fn the_local_route_takes_another_target() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let block = [("VpcId", vpc.as_str()), ("CidrBlock", "10.7.0.0/16")];
    let block = cloud.make("AssociateVpcCidrBlock", &block, "associationId").await;
    let instance = cloud.instance(&subnet, &[]).await;
    let own =
        [("Filter.1.Name", "attachment.instance-id"), ("Filter.1.Value.1", instance.as_str())];
    let eni = cloud.make("DescribeNetworkInterfaces", &own, "networkInterfaceId").await;
    let table = table(&cloud, &vpc).await;
    let r = ("RouteTableId", table.as_str());
    let to = |to: &'static str| ("DestinationCidrBlock", to);
    let plain = [local("10.1.0.0/16", "local", "active"), local("10.7.0.0/16", "local", "active")];
    cloud.ec2("ReplaceRoute", &[r, to("10.1.0.0/16"), ("LocalTarget", "true")]).await.ok();
    assert_eq!(routes(&cloud, &table).await, plain, "it was local all the time");
    let over = [r, to("10.1.0.0/16"), ("NetworkInterfaceId", eni.as_str())];
    cloud.ec2("ReplaceRoute", &over).await.ok();
    let replaced = [local("10.1.0.0/16", &eni, "active"), plain[1].clone()];
    assert_eq!(routes(&cloud, &table).await, replaced);
    cloud.ec2("ReplaceRoute", &[r, to("10.7.0.0/16"), ("InstanceId", &instance)]).await.ok();
    cloud.ec2("StopInstances", &[("InstanceId.1", &instance)]).await.ok();
    cloud.until_state(&instance, "stopped").await;
    assert_eq!(routes(&cloud, &table).await[0], local("10.1.0.0/16", &eni, "blackhole"), "RT-13");
    cloud.ec2("ReplaceRoute", &[r, to("10.1.0.0/16"), ("LocalTarget", "true")]).await.ok();
    let replaced = [plain[0].clone(), local("10.7.0.0/16", &eni, "blackhole")];
    assert_eq!(routes(&cloud, &table).await, replaced);
    cloud.ec2("DisassociateVpcCidrBlock", &[("AssociationId", &block)]).await.ok();
    assert_eq!(routes(&cloud, &table).await, plain[..1]);
}

/// RT-18, RT-19: the table of an internet gateway.
#[tokio::test]
async fn a_gateway_has_a_table_of_its_own() {
    let (cloud, store) = open(false);
    let (vpc, subnet) = cloud.network().await;
    let igw = gateway(&cloud, &vpc).await;
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId").await;
    let foreign = gateway(&cloud, &other).await;
    let public = [
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", subnet.as_str()),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
    ];
    let (seen, hidden) =
        (cloud.instance(&subnet, &public).await, cloud.instance(&subnet, &[]).await);
    let of = async |instance: &str| {
        let own = [("Filter.1.Name", "attachment.instance-id"), ("Filter.1.Value.1", instance)];
        cloud.make("DescribeNetworkInterfaces", &own, "networkInterfaceId").await
    };
    let (seen, hidden) = (of(&seen).await, of(&hidden).await);
    let loose =
        cloud.make("CreateNetworkInterface", &[("SubnetId", &subnet)], "networkInterfaceId").await;
    let (edge, plain) = (table(&cloud, &vpc).await, table(&cloud, &vpc).await);
    let r = ("RouteTableId", edge.as_str());
    let to = |to: &'static str| ("DestinationCidrBlock", to);
    let outward = [("RouteTableId", plain.as_str()), to("0.0.0.0/0"), ("GatewayId", &igw)];
    cloud.ec2("CreateRoute", &outward).await.ok();
    let value = "InvalidParameterValue";
    refused(
        &cloud,
        &[
            (
                "AssociateRouteTable",
                &[r, ("GatewayId", &foreign)],
                value,
                "belong to different networks",
            ),
            (
                "AssociateRouteTable",
                &[r, ("GatewayId", "igw-0123456789abcdef0")],
                "InvalidInternetGatewayID.NotFound",
                "does not exist",
            ),
            (
                "AssociateRouteTable",
                &[r, ("GatewayId", &igw), ("SubnetId", &subnet)],
                "InvalidParameterCombination",
                "exactly one",
            ),
            ("AssociateRouteTable", &[r], "MissingParameter", "SubnetId"),
            (
                "AssociateRouteTable",
                &[("RouteTableId", &plain), ("GatewayId", &igw)],
                value,
                "The destination 0.0.0.0/0 is not supported",
            ),
        ],
    )
    .await;
    let tie = cloud.make("AssociateRouteTable", &[r, ("GatewayId", &igw)], "associationId").await;
    let seen_tie = shown(&cloud, &edge).await;
    assert!(seen_tie.body.contains(&format!("<gatewayId>{igw}</gatewayId>")), "{}", seen_tie.body);
    let filter = [("Filter.1.Name", "association.gateway-id"), ("Filter.1.Value.1", igw.as_str())];
    assert_eq!(cloud.make("DescribeRouteTables", &filter, "routeTableId").await, edge);
    let list = add_list(&store, 7, false, 5);
    let nat = nat(&cloud, &subnet).await;
    let by = |eni| ("NetworkInterfaceId", eni);
    refused(
        &cloud,
        &[
            ("AssociateRouteTable", &[("RouteTableId", &plain), ("GatewayId", &igw)], "Resource.AlreadyAssociated", &edge),
            ("CreateRoute", &[r, to("0.0.0.0/0"), by(seen.as_str())], value, "The destination 0.0.0.0/0 is not supported"),
            ("CreateRoute", &[r, ("DestinationPrefixListId", &list), by(&seen)], value, "is not supported"),
            ("CreateRoute", &[r, to("10.1.1.0/24"), ("NatGatewayId", &nat)], value, "Route target is not supported. This route only supports interface and instance targets."),
            ("CreateRoute", &[r, to("10.1.1.0/24"), by(&loose)], value, "not attached to a running instance"),
            ("CreateRoute", &[r, to("10.1.1.0/24"), by(&hidden)], value, "no public IP address"),
            ("DeleteRouteTable", &[r], "DependencyViolation", "has dependencies"),
        ],
    )
    .await;
    cloud.ec2("CreateRoute", &[r, to("10.1.1.0/24"), by(&seen)]).await.ok();
    cloud.ec2("ReplaceRoute", &[r, to("10.1.0.0/16"), by(&seen)]).await.ok();
    // The tie moves only to tables that are fit for it, under a new id.
    let moved = [("AssociationId", tie.as_str()), ("RouteTableId", plain.as_str())];
    refused(&cloud, &[("ReplaceRouteTableAssociation", &moved, value, "is not supported")]).await;
    cloud.ec2("DeleteRoute", &[("RouteTableId", &plain), to("0.0.0.0/0")]).await.ok();
    let moved = cloud.make("ReplaceRouteTableAssociation", &moved, "newAssociationId").await;
    assert!(!shown(&cloud, &edge).await.body.contains(&igw));
    cloud.ec2("DisassociateRouteTable", &[("AssociationId", &moved)]).await.ok();
    assert!(!shown(&cloud, &plain).await.body.contains(&igw));
    // A gateway that leaves its VPC leaves the table behind.
    let bare = table(&cloud, &other).await;
    cloud
        .ec2("AssociateRouteTable", &[("RouteTableId", &bare), ("GatewayId", &foreign)])
        .await
        .ok();
    let leave = [("InternetGatewayId", foreign.as_str()), ("VpcId", other.as_str())];
    cloud.ec2("DetachInternetGateway", &leave).await.ok();
    assert!(!shown(&cloud, &bare).await.body.contains(&foreign));
    cloud.ec2("DeleteRouteTable", &[("RouteTableId", &bare)]).await.ok();
}

/// RT-17: fifty of each family with quotas; a prefix list counts for all that it may hold.
#[tokio::test]
async fn routes_are_counted_by_family() {
    let (cloud, store) = open(true);
    let (vpc, _) = cloud.network().await;
    let igw = gateway(&cloud, &vpc).await;
    let table = table(&cloud, &vpc).await;
    let r = ("RouteTableId", table.as_str());
    let by = ("GatewayId", igw.as_str());
    let (list, large) = (add_list(&store, 8, false, 30), add_list(&store, 9, false, 21));
    cloud.ec2("CreateRoute", &[r, ("DestinationPrefixListId", &list), by]).await.ok();
    let full = "RouteLimitExceeded";
    let message = "The maximum number of routes has been reached.";
    let too_large = [r, ("DestinationPrefixListId", large.as_str()), by];
    refused(&cloud, &[("CreateRoute", &too_large, full, message)]).await;
    for number in 0..20 {
        let to = format!("8.8.{number}.0/24");
        cloud.ec2("CreateRoute", &[r, ("DestinationCidrBlock", &to), by]).await.ok();
    }
    let more = [r, ("DestinationCidrBlock", "9.9.9.0/24"), by];
    refused(&cloud, &[("CreateRoute", &more, full, message)]).await;
    cloud.ec2("CreateRoute", &[r, ("DestinationIpv6CidrBlock", "::/0"), by]).await.ok();
}

/// EIGW-1: one a VPC, for as long as it lives.
#[tokio::test]
async fn a_vpc_has_one_egress_only_gateway() {
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    let parameters = [
        ("VpcId", vpc.as_str()),
        ("ClientToken", "once"),
        ("TagSpecification.1.ResourceType", "egress-only-internet-gateway"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "out"),
    ];
    let created = cloud.ec2("CreateEgressOnlyInternetGateway", &parameters).await.ok();
    let id = created.text("egressOnlyInternetGatewayId");
    assert_eq!((created.text("state"), created.text("vpcId")), ("attached".into(), vpc.clone()));
    let again = cloud.ec2("CreateEgressOnlyInternetGateway", &parameters).await.ok();
    assert_eq!(again.text("egressOnlyInternetGatewayId"), id, "API-4");
    let list = |filter: [(&'static str, &'static str); 2]| filter.to_vec();
    for (parameters, found) in [
        (list([("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", "out")]), true),
        (list([("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", "in")]), false),
        (vec![("EgressOnlyInternetGatewayId.1", id.as_str())], true),
    ] {
        let reply = cloud.ec2("DescribeEgressOnlyInternetGateways", &parameters).await.ok();
        assert_eq!(reply.get("egressOnlyInternetGatewayId").is_some(), found, "{parameters:?}");
    }
    let unknown = "eigw-0123456789abcdef0";
    refused(
        &cloud,
        &[
            (
                "CreateEgressOnlyInternetGateway",
                &[("VpcId", &vpc)],
                "Resource.AlreadyAssociated",
                "already has an egress-only internet gateway attached",
            ),
            ("CreateEgressOnlyInternetGateway", &[], "MissingParameter", "VpcId"),
            (
                "CreateEgressOnlyInternetGateway",
                &[("VpcId", "vpc-0123456789abcdef0")],
                "InvalidVpcID.NotFound",
                "does not exist",
            ),
            (
                "DeleteEgressOnlyInternetGateway",
                &[("EgressOnlyInternetGatewayId", unknown)],
                "InvalidGatewayID.NotFound",
                unknown,
            ),
            (
                "DeleteEgressOnlyInternetGateway",
                &[("EgressOnlyInternetGatewayId", "igw-1")],
                "InvalidEgressOnlyInternetGatewayId.Malformed",
                "igw-1",
            ),
            (
                "DescribeEgressOnlyInternetGateways",
                &[("EgressOnlyInternetGatewayId.1", unknown)],
                "InvalidGatewayID.NotFound",
                unknown,
            ),
            (
                "DescribeEgressOnlyInternetGateways",
                &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &vpc)],
                "InvalidParameterValue",
                "The filter 'vpc-id' is invalid",
            ),
        ],
    )
    .await;
    let bare = cloud.make("CreateVpc", &[("CidrBlock", "10.8.0.0/16")], "vpcId").await;
    let element = "egressOnlyInternetGatewayId";
    let second = cloud.make("CreateEgressOnlyInternetGateway", &[("VpcId", &bare)], element).await;
    let held = [("VpcId", bare.as_str())];
    refused(&cloud, &[("DeleteVpc", &held, "DependencyViolation", "has dependencies")]).await;
    let gone = [("EgressOnlyInternetGatewayId", second.as_str())];
    let deleted = cloud.ec2("DeleteEgressOnlyInternetGateway", &gone).await.ok();
    assert_eq!(deleted.text("returnCode"), "true");
    cloud.ec2("DeleteVpc", &held).await.ok();
}
