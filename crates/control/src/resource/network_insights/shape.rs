//! What analyses found, in the shapes of the API.

use gureum_api::ec2;
use gureum_types::record::{
    AnalysisAclRule, AnalysisComponent, AnalysisHeader, AnalysisOutcome, AnalysisRoute,
    AnalysisSecurityGroupRule, Explanation, PathComponent, PortRange,
};

/// Status, and the message of a failed analysis.
pub(super) fn status(outcome: &AnalysisOutcome) -> (String, Option<String>) {
    match outcome {
        AnalysisOutcome::Found | AnalysisOutcome::NotFound => ("succeeded".to_owned(), None),
        AnalysisOutcome::Unknown(why) => {
            ("failed".to_owned(), Some(format!("The answer is unknown, because {why}.")))
        }
    }
}

fn component(it: &AnalysisComponent) -> ec2::AnalysisComponent {
    ec2::AnalysisComponent {
        id: Some(it.id.clone()),
        arn: Some(it.arn.clone()),
        name: it.name.clone(),
    }
}

fn maybe(it: &Option<AnalysisComponent>) -> Option<ec2::AnalysisComponent> {
    it.as_ref().map(component)
}

fn ports(it: &PortRange) -> ec2::PortRange {
    ec2::PortRange { from: Some(it.0.into()), to: Some(it.1.into()) }
}

fn direction(egress: bool) -> String {
    if egress { "egress" } else { "ingress" }.to_owned()
}

fn acl_rule(it: &AnalysisAclRule) -> ec2::AnalysisAclRule {
    ec2::AnalysisAclRule {
        cidr: Some(it.cidr.clone()),
        egress: Some(it.egress),
        port_range: it.ports.as_ref().map(ports),
        protocol: Some(it.protocol.clone()),
        rule_action: Some(if it.allow { "allow" } else { "deny" }.to_owned()),
        rule_number: Some(it.number),
    }
}

fn group_rule(it: &AnalysisSecurityGroupRule) -> ec2::AnalysisSecurityGroupRule {
    ec2::AnalysisSecurityGroupRule {
        cidr: it.cidr.clone(),
        direction: Some(direction(it.egress)),
        security_group_id: it.group.clone(),
        port_range: it.ports.as_ref().map(ports),
        prefix_list_id: it.prefix_list.clone(),
        protocol: Some(it.protocol.clone()),
    }
}

fn route(it: &AnalysisRoute) -> ec2::AnalysisRouteTableRoute {
    let target = || Some(it.target.clone());
    let mut shown = ec2::AnalysisRouteTableRoute {
        destination_cidr: it.cidr.clone(),
        destination_prefix_list_id: it.prefix_list.clone(),
        instance_id: it.instance.clone(),
        // In small letters, unlike DescribeRouteTables.
        origin: Some(if it.with_table { "createroutetable" } else { "createroute" }.to_owned()),
        state: Some(if it.active { "active" } else { "blackhole" }.to_owned()),
        ..ec2::AnalysisRouteTableRoute::default()
    };
    match it.target.split('-').next().unwrap_or_default() {
        "eigw" => shown.egress_only_internet_gateway_id = target(),
        "nat" => shown.nat_gateway_id = target(),
        "eni" => shown.network_interface_id = target(),
        "tgw" => shown.transit_gateway_id = target(),
        "pcx" => shown.vpc_peering_connection_id = target(),
        _ => shown.gateway_id = target(),
    }
    shown
}

fn header(it: &AnalysisHeader) -> ec2::AnalysisPacketHeader {
    ec2::AnalysisPacketHeader {
        destination_addresses: it.destinations.clone(),
        destination_port_ranges: it.destination_ports.iter().map(ports).collect(),
        protocol: it.protocol.clone(),
        source_addresses: it.sources.clone(),
        source_port_ranges: it.source_ports.iter().map(ports).collect(),
    }
}

/// A path, numbered from 1.
pub(super) fn path(components: &[PathComponent]) -> Vec<ec2::PathComponent> {
    let shown = components.iter().zip(1..).map(|(it, number)| ec2::PathComponent {
        sequence_number: Some(number),
        acl_rule: it.acl_rule.as_ref().map(acl_rule),
        attached_to: maybe(&it.attached_to),
        component: maybe(&it.component),
        destination_vpc: maybe(&it.destination_vpc),
        outbound_header: it.outbound.as_ref().map(header),
        inbound_header: it.inbound.as_ref().map(header),
        route_table_route: it.route.as_ref().map(route),
        security_group_rule: it.security_group_rule.as_ref().map(group_rule),
        source_vpc: maybe(&it.source_vpc),
        subnet: maybe(&it.subnet),
        vpc: maybe(&it.vpc),
        service_name: it.service_name.clone(),
        ..ec2::PathComponent::default()
    });
    shown.collect()
}

/// An explanation.
pub(super) fn explanation(it: &Explanation) -> ec2::Explanation {
    ec2::Explanation {
        acl: maybe(&it.acl),
        acl_rule: it.acl_rule.as_ref().map(acl_rule),
        address: it.address.clone(),
        cidrs: it.cidrs.clone(),
        component: maybe(&it.component),
        destination: maybe(&it.destination),
        destination_vpc: maybe(&it.destination_vpc),
        direction: it.egress.map(direction),
        explanation_code: Some(it.code.clone()),
        ingress_route_table: maybe(&it.ingress_route_table),
        internet_gateway: maybe(&it.internet_gateway),
        missing_component: it.missing_component.clone(),
        nat_gateway: maybe(&it.nat_gateway),
        network_interface: maybe(&it.network_interface),
        packet_field: it.packet_field.clone(),
        vpc_peering_connection: maybe(&it.peering),
        port_ranges: it.ports.iter().map(ports).collect(),
        protocols: it.protocols.clone(),
        route_table_route: it.route.as_ref().map(route),
        route_table: maybe(&it.route_table),
        security_groups: it.security_groups.iter().map(component).collect(),
        source_vpc: maybe(&it.source_vpc),
        state: it.state.clone(),
        subnet: maybe(&it.subnet),
        vpc: maybe(&it.vpc),
        vpc_endpoint: maybe(&it.vpc_endpoint),
        ..ec2::Explanation::default()
    }
}
