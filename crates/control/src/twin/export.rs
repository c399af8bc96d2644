//! From records to the document: what the describe operations answer, and nothing else.

use gureum_api::ec2;
use gureum_store::Snapshot;
use gureum_types::record::{PrefixList, Vpc};

use super::document::Document;
use crate::{
    call::{Answer, Call},
    resource::{
        address, dhcp_options, egress_only_internet_gateway, instance, internet_gateway,
        managed_prefix_list, nat_gateway, network_acl, network_interface, route_table,
        security_group, subnet, volume, vpc, vpc_endpoint, vpc_peering_connection,
    },
};

/// States of what is gone and only shown a while longer.
const GONE: &[&str] = &["terminated", "deleted", "failed", "rejected", "expired"];

/// What the describe operations answer to an account in a region. What is gone and only shown a
/// while longer is left out.
pub(super) fn document(call: &Call, records: &Snapshot) -> Answer<Document> {
    macro_rules! answer {
        ($handler:path) => {
            $handler(call, records, &Default::default())?
        };
    }
    let lives = |state: &Option<String>| {
        let state = state.as_deref().unwrap_or_default().to_ascii_lowercase();
        !GONE.contains(&state.as_str())
    };
    let mut document = Document {
        addresses: answer!(address::describe).addresses,
        dhcp_options: answer!(dhcp_options::describe).dhcp_options,
        egress_only_internet_gateways: answer!(egress_only_internet_gateway::describe)
            .egress_only_internet_gateways,
        internet_gateways: answer!(internet_gateway::describe).internet_gateways,
        nat_gateways: answer!(nat_gateway::describe).nat_gateways,
        network_acls: answer!(network_acl::describe).network_acls,
        network_interfaces: answer!(network_interface::describe).network_interfaces,
        prefix_lists: answer!(managed_prefix_list::describe).prefix_lists,
        reservations: answer!(instance::describe).reservations,
        route_tables: answer!(route_table::describe).route_tables,
        security_group_rules: answer!(security_group::describe_rules).security_group_rules,
        security_groups: answer!(security_group::describe).security_groups,
        subnets: answer!(subnet::describe).subnets,
        volumes: answer!(volume::describe).volumes,
        vpc_endpoints: answer!(vpc_endpoint::describe).vpc_endpoints,
        vpc_peering_connections: answer!(vpc_peering_connection::describe).vpc_peering_connections,
        vpcs: answer!(vpc::describe).vpcs,
        ..Default::default()
    };
    document.nat_gateways.retain(|it| lives(&it.state));
    document.vpc_endpoints.retain(|it| lives(&it.state));
    document
        .vpc_peering_connections
        .retain(|it| lives(&it.status.as_ref().and_then(|it| it.code.clone())));
    for reservation in &mut document.reservations {
        let state = |it: &ec2::Instance| it.state.as_ref().and_then(|it| it.name.clone());
        reservation.instances.retain(|it| lives(&state(it)));
    }
    document.reservations.retain(|it| !it.instances.is_empty());
    for vpc in records.all::<Vpc>(&call.scope) {
        let attributes = attributes(call, records, vpc.id.as_str())?;
        document.vpc_attributes.insert(vpc.id.to_string(), attributes);
    }
    for list in records.all::<PrefixList>(&call.scope) {
        let id = list.id.to_string();
        let r = ec2::GetManagedPrefixListEntriesRequest {
            prefix_list_id: Some(id.clone()),
            ..Default::default()
        };
        let entries = managed_prefix_list::entries(call, records, &r)?.entries;
        document.entries.insert(id, entries);
    }
    Ok(document)
}

fn attributes(
    call: &Call,
    records: &Snapshot,
    vpc: &str,
) -> Answer<ec2::DescribeVpcAttributeResult> {
    let one = |attribute: &str| {
        let r = ec2::DescribeVpcAttributeRequest {
            attribute: Some(attribute.to_owned()),
            vpc_id: Some(vpc.to_owned()),
            ..Default::default()
        };
        vpc::describe_attribute(call, records, &r)
    };
    let metrics = one("enableNetworkAddressUsageMetrics")?;
    Ok(ec2::DescribeVpcAttributeResult {
        enable_dns_support: one("enableDnsSupport")?.enable_dns_support,
        enable_dns_hostnames: one("enableDnsHostnames")?.enable_dns_hostnames,
        ..metrics
    })
}

/// What of a document belongs to a VPC, with what that refers to.
pub(super) fn only(mut document: Document, vpc: &str) -> Document {
    let is_it = |id: &Option<String>| id.as_deref() == Some(vpc);
    document.vpcs.retain(|it| is_it(&it.vpc_id));
    document.subnets.retain(|it| is_it(&it.vpc_id));
    document.route_tables.retain(|it| is_it(&it.vpc_id));
    document.security_groups.retain(|it| is_it(&it.vpc_id));
    document.network_acls.retain(|it| is_it(&it.vpc_id));
    document.nat_gateways.retain(|it| is_it(&it.vpc_id));
    document.network_interfaces.retain(|it| is_it(&it.vpc_id));
    document.vpc_endpoints.retain(|it| is_it(&it.vpc_id));
    document.vpc_attributes.retain(|id, _| id == vpc);
    let attached = |it: &[ec2::InternetGatewayAttachment]| it.iter().any(|it| is_it(&it.vpc_id));
    document.internet_gateways.retain(|it| attached(&it.attachments));
    document.egress_only_internet_gateways.retain(|it| attached(&it.attachments));
    document.vpc_peering_connections.retain(|it| {
        let sides = [&it.requester_vpc_info, &it.accepter_vpc_info];
        sides.into_iter().flatten().any(|side| is_it(&side.vpc_id))
    });
    let groups: Vec<_> = document.security_groups.iter().map(|it| it.group_id.clone()).collect();
    document.security_group_rules.retain(|it| groups.contains(&it.group_id));
    let options: Vec<_> = document.vpcs.iter().map(|it| it.dhcp_options_id.clone()).collect();
    document.dhcp_options.retain(|it| options.contains(&it.dhcp_options_id));
    let interfaces = &document.network_interfaces;
    let interfaces: Vec<_> = interfaces.iter().map(|it| it.network_interface_id.clone()).collect();
    document.addresses.retain(|it| {
        it.network_interface_id.is_some() && interfaces.contains(&it.network_interface_id)
    });
    for reservation in &mut document.reservations {
        reservation.instances.retain(|it| is_it(&it.vpc_id));
    }
    document.reservations.retain(|it| !it.instances.is_empty());
    let instances: Vec<_> =
        document.instances().map(|(_, instance)| instance.instance_id.clone()).collect();
    document
        .volumes
        .retain(|it| it.attachments.iter().any(|it| instances.contains(&it.instance_id)));
    let of_routes = document.route_tables.iter().flat_map(|it| &it.routes);
    let lists = of_routes.filter_map(|it| it.destination_prefix_list_id.clone());
    let of_rules = document.security_group_rules.iter();
    let lists: Vec<_> = lists.chain(of_rules.filter_map(|it| it.prefix_list_id.clone())).collect();
    document
        .prefix_lists
        .retain(|it| it.prefix_list_id.as_ref().is_some_and(|id| lists.contains(id)));
    document.entries.retain(|id, _| lists.contains(id));
    document
}
