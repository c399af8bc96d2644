//! VPC endpoints (VPCE-*): interfaces in subnets, or routes, that lead to a service of AWS.
//!
//! A call makes the interfaces or the routes at once; the reconciler brings the endpoint to its
//! next state ([`settle`]), from which on packets pass it, or no more.

mod dns;
mod modify;
pub(crate) mod offered;
mod service;

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    EndpointService, NetworkInterfaceId, SecurityGroupId, Tags, VpcEndpointId,
    record::{
        ConnectionTracking, InterfaceEndpoint, NetworkInterface, Route, RouteDestination,
        RouteTable, RouteTarget, Scope, SecurityGroup, Subnet, Vpc, VpcEndpoint, VpcEndpointKind,
        VpcEndpointState,
    },
};

use crate::{
    allocate,
    call::{Answer, Call, find, given, listed, parse_id, required, text},
    filter::{Fields, select, some},
    page::page,
    query::{Query, View, own},
    resource::{idempotency, network_interface, prefix_list, route, security_group},
    tags,
};

pub(crate) use dns::{label as dns_label, names_for_everybody, names_in_vpc};
pub(crate) use modify::modify;
pub(crate) use service::describe_services;

/// The type of its interfaces in answers (VPCE-2).
pub(crate) const INTERFACE_TYPE: &str = "vpc_endpoint";
/// The longest policy (VPCE-13).
const POLICY_LIMIT: usize = 20_480;
/// Interface endpoints of a VPC and gateway endpoints of a region: the default quotas (VPCE-14).
const INTERFACE_QUOTA: usize = 50;
const GATEWAY_QUOTA: usize = 20;
/// Groups of an endpoint's interfaces (SG-21).
const GROUP_LIMIT: usize = 5;
/// What lets everything through (VPCE-13).
const FULL_ACCESS: &str = "{\n  \"Statement\": [\n    {\n      \"Action\": \"*\", \n      \
    \"Effect\": \"Allow\", \n      \"Principal\": \"*\", \n      \"Resource\": \"*\"\n    }\n  ]\n}";
const FULL_ACCESS_OF_GATEWAY: &str = "{\"Version\":\"2008-10-17\",\"Statement\":[{\"Effect\":\
    \"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}]}";

/// The interfaces of an endpoint.
pub(crate) fn interfaces_of<'a>(
    records: &'a Snapshot,
    scope: &Scope,
    endpoint: &VpcEndpoint,
) -> Vec<&'a Arc<NetworkInterface>> {
    let ids = endpoint.interface().map_or(&[][..], |interface| &interface.interfaces);
    ids.iter().filter_map(|id| records.find::<NetworkInterface>(scope, id.as_str())).collect()
}

/// The tables that have a route to an endpoint.
fn tables_of<'a>(
    records: &'a Snapshot,
    endpoint: &VpcEndpoint,
) -> impl Iterator<Item = &'a Arc<RouteTable>> {
    records.referrers::<RouteTable>(endpoint.id.as_str())
}

fn shown(call: &Call, records: &Snapshot, endpoint: &VpcEndpoint) -> ec2::VpcEndpoint {
    let policy = |full: &str| endpoint.policy.clone().unwrap_or_else(|| full.to_owned());
    let common = ec2::VpcEndpoint {
        vpc_endpoint_id: Some(endpoint.id.to_string()),
        vpc_id: Some(endpoint.vpc_id.to_string()),
        service_name: Some(endpoint.service_name.clone()),
        service_region: Some(call.region().to_string()),
        state: Some(endpoint.state.name().into()),
        ip_address_type: Some("ipv4".into()),
        requester_managed: Some(false),
        creation_timestamp: Some(endpoint.created),
        tags: tags::shown(&endpoint.tags),
        owner_id: Some(call.account().to_string()),
        ..Default::default()
    };
    match &endpoint.kind {
        VpcEndpointKind::Gateway { .. } => ec2::VpcEndpoint {
            vpc_endpoint_type: Some("Gateway".into()),
            policy_document: Some(policy(FULL_ACCESS_OF_GATEWAY)),
            route_table_ids: tables_of(records, endpoint).map(|it| it.id.to_string()).collect(),
            dns_options: Some(ec2::DnsOptions {
                dns_record_ip_type: Some("service-defined".into()),
                ..Default::default()
            }),
            private_dns_enabled: Some(false),
            ..common
        },
        VpcEndpointKind::Interface(of) => {
            let interfaces = interfaces_of(records, &call.scope, endpoint);
            let shown_groups = network_interface::shown_groups(call, records, &of.groups);
            let groups = shown_groups.into_iter().map(|group| ec2::SecurityGroupIdentifier {
                group_id: group.group_id,
                group_name: group.group_name,
            });
            ec2::VpcEndpoint {
                vpc_endpoint_type: Some("Interface".into()),
                policy_document: Some(policy(FULL_ACCESS)),
                subnet_ids: interfaces.iter().map(|it| it.subnet_id.to_string()).collect(),
                groups: groups.collect(),
                dns_options: Some(ec2::DnsOptions {
                    dns_record_ip_type: Some(of.dns_record_ip_type.clone()),
                    private_dns_only_for_inbound_resolver_endpoint: Some(
                        of.private_dns_for_inbound_only,
                    ),
                    ..Default::default()
                }),
                private_dns_enabled: Some(of.private_dns),
                network_interface_ids: of.interfaces.iter().map(ToString::to_string).collect(),
                dns_entries: dns::entries(call.region(), endpoint, of, &interfaces),
                ..common
            }
        }
    }
}

const FIELDS: &Fields<ec2::VpcEndpoint> = &[
    ("ip-address-type", |it| some(&it.ip_address_type)),
    ("service-name", |it| some(&it.service_name)),
    ("service-region", |it| some(&it.service_region)),
    ("vpc-endpoint-id", |it| some(&it.vpc_endpoint_id)),
    ("vpc-endpoint-state", |it| some(&it.state)),
    ("vpc-endpoint-type", |it| some(&it.vpc_endpoint_type)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

const VIEW: View<VpcEndpoint, ec2::VpcEndpoint> =
    View { fields: FIELDS, index: &[("vpc-endpoint-id", own)], tags: Some(|it| &it.tags) };

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcEndpointsRequest,
) -> Answer<ec2::DescribeVpcEndpointsResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let shown = |endpoint: &VpcEndpoint| shown(call, records, endpoint);
    let (vpc_endpoints, next_token) =
        query.answer(records, &call.scope, &r.vpc_endpoint_ids, &VIEW, shown)?;
    Ok(ec2::DescribeVpcEndpointsResult { vpc_endpoints, next_token })
}

/// Only endpoints of resources and of service networks have any, and there are none of those.
pub(crate) fn describe_associations(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcEndpointAssociationsRequest,
) -> Answer<ec2::DescribeVpcEndpointAssociationsResult> {
    const FIELDS: &Fields<ec2::VpcEndpointAssociation> = &[
        ("associated-resource-accessibility", |it| some(&it.associated_resource_accessibility)),
        ("associated-resource-id", |it| some(&it.associated_resource_arn)),
        ("service-network-arn", |it| some(&it.service_network_arn)),
        ("vpc-endpoint-id", |it| some(&it.vpc_endpoint_id)),
    ];
    listed::<VpcEndpoint>(records, &call.scope, &r.vpc_endpoint_ids)?;
    let none = select(Vec::new(), &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (vpc_endpoint_associations, next_token) =
        page(none, r.max_results, &r.next_token, |it: &ec2::VpcEndpointAssociation| {
            it.id.as_deref()
        })?;
    Ok(ec2::DescribeVpcEndpointAssociationsResult { vpc_endpoint_associations, next_token })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcEndpointRequest,
) -> Answer<ec2::CreateVpcEndpointResult> {
    let answer = |tx: &Transaction, endpoint: &VpcEndpoint| ec2::CreateVpcEndpointResult {
        client_token: r.client_token.clone(),
        vpc_endpoint: Some(shown(call, tx, endpoint)),
    };
    let make = |tx: &mut Transaction| {
        let endpoint = make(call, tx, r)?;
        Ok((vec![endpoint.id.to_string()], answer(tx, &endpoint)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let endpoint = made.first().and_then(|id| tx.find::<VpcEndpoint>(&call.scope, id)).cloned();
        Ok(endpoint.map(|endpoint| answer(tx, &endpoint)))
    };
    idempotency::once(call, tx, "CreateVpcEndpoint", &r.client_token, r, make, again)
}

/// What kinds of endpoints there are of a service.
fn types_of(service: &EndpointService) -> Vec<&'static str> {
    let gateway = service.gateway.as_ref().map(|_| "Gateway");
    gateway.into_iter().chain(service.has_interfaces().then_some("Interface")).collect()
}

/// The service that a request names: AWS's, or none where an account offers it; whether it takes
/// everybody; and which types of endpoints it has.
fn wanted_service(
    call: &Call,
    records: &Snapshot,
    name: &str,
) -> Answer<(Option<&'static EndpointService>, bool, Vec<&'static str>)> {
    if offered::is_name(name) {
        let found = offered::usable(call, records, name);
        let (_, service) = found.ok_or_else(|| ApiError::endpoint_service_not_found(name))?;
        return Ok((None, !service.acceptance_required, vec![offered::kind(&service)]));
    }
    let service = EndpointService::named(call.region(), name)
        .ok_or_else(|| ApiError::endpoint_service_not_found(name))?;
    Ok((Some(service), true, types_of(service)))
}

fn make(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcEndpointRequest,
) -> Answer<Arc<VpcEndpoint>> {
    // VPCE-1
    let wanted = given(&r.vpc_endpoint_type).unwrap_or("Gateway");
    if !matches!(wanted, "Gateway" | "Interface") {
        return Err(ApiError::unsupported_operation(format!(
            "VPC endpoints of the type {wanted} are not supported."
        )));
    }
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    let name = text(&r.service_name, "ServiceName")?;
    if given(&r.service_region).is_some_and(|region| region != call.region().as_str()) {
        return Err(ApiError::unsupported_operation(
            "VPC endpoints to services of another region (ServiceRegion) are not supported.",
        ));
    }
    let (service, is_accepted, types) = wanted_service(call, tx, name)?;
    if !types.contains(&wanted) {
        return Err(ApiError::endpoint_type_mismatch(wanted, &types));
    }
    check_ip_address_type(&r.ip_address_type)?;
    let policy = policy(&r.policy_document)?;
    let tags = tags::on_creation::<VpcEndpoint>(&r.tag_specifications)?;
    check_quota(call, tx, &vpc, wanted)?;
    let id = VpcEndpointId::new(call.random());
    let kind = match wanted {
        "Gateway" => make_gateway(call, tx, r, &vpc, &id, name)?,
        _ => VpcEndpointKind::Interface(make_interface(call, tx, r, &vpc, &id, service)?),
    };
    let state = match is_accepted {
        true => VpcEndpointState::Pending,
        false => VpcEndpointState::PendingAcceptance,
    };
    let endpoint = VpcEndpoint {
        id,
        vpc_id: vpc.id.clone(),
        service_name: name.to_owned(),
        state,
        policy,
        kind,
        client_token: given(&r.client_token).map(str::to_owned),
        created: call.now,
        deleted: None,
        tags,
    };
    Ok(tx.put(&call.scope, endpoint))
}

fn check_ip_address_type(given_type: &Option<String>) -> Answer<()> {
    match given(given_type) {
        None | Some("ipv4") => Ok(()),
        Some(other) => Err(ApiError::unsupported_operation(format!(
            "VPC endpoints of the IP address type {other} are not supported."
        ))),
    }
}

/// A policy as it is kept: as given, if it is one. What it says is for who evaluates it.
fn policy(document: &Option<String>) -> Answer<Option<String>> {
    let Some(document) = given(document) else { return Ok(None) };
    if document.len() > POLICY_LIMIT {
        let reason = format!("it has more than {POLICY_LIMIT} characters.");
        return Err(ApiError::invalid_policy_document(&reason));
    }
    match serde_json::from_str::<serde_json::Value>(document) {
        Ok(serde_json::Value::Object(policy)) if policy.contains_key("Statement") => {
            Ok(Some(document.to_owned()))
        }
        Ok(_) => Err(ApiError::invalid_policy_document("it has no Statement.")),
        Err(error) => Err(ApiError::invalid_policy_document(&error.to_string())),
    }
}

fn check_quota(call: &Call, records: &Snapshot, vpc: &Vpc, wanted: &str) -> Answer<()> {
    if !call.config.aws_quotas {
        return Ok(());
    }
    let lives = |it: &&Arc<VpcEndpoint>| it.state != VpcEndpointState::Deleted;
    let all = records.all::<VpcEndpoint>(&call.scope).filter(lives);
    let full = match wanted {
        "Gateway" => all.filter(|it| it.interface().is_none()).count() >= GATEWAY_QUOTA,
        _ => {
            let of_vpc = all.filter(|it| it.vpc_id == vpc.id && it.interface().is_some());
            of_vpc.count() >= INTERFACE_QUOTA
        }
    };
    match full {
        true => Err(ApiError::endpoint_limit_exceeded()),
        false => Ok(()),
    }
}

/// A gateway endpoint with the routes to it.
fn make_gateway(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcEndpointRequest,
    vpc: &Vpc,
    id: &VpcEndpointId,
    service_name: &str,
) -> Answer<VpcEndpointKind> {
    let dns = r.dns_options.as_ref();
    let of_dns = dns.is_some_and(|it| {
        it.private_dns_only_for_inbound_resolver_endpoint == Some(true)
            || given(&it.dns_record_ip_type).is_some_and(|it| it != "service-defined")
    });
    for (is_there, what) in [
        (!r.subnet_ids.is_empty() || !r.subnet_configurations.is_empty(), "Subnet IDs"),
        (!r.security_group_ids.is_empty(), "Security group IDs"),
        (r.private_dns_enabled == Some(true), "Private DNS names"),
        (of_dns, "DNS options"),
    ] {
        if is_there {
            return Err(ApiError::not_for_endpoint_type(what, "Interface"));
        }
    }
    for table in &r.route_table_ids {
        add_route(call, tx, vpc, id, service_name, table)?;
    }
    Ok(VpcEndpointKind::Gateway { port: allocate::port(tx)? })
}

/// Puts the route to a gateway endpoint into a table (VPCE-18).
fn add_route(
    call: &Call,
    tx: &mut Transaction,
    vpc: &Vpc,
    id: &VpcEndpointId,
    service_name: &str,
    table: &str,
) -> Answer<()> {
    let table = find::<RouteTable>(tx, &call.scope, table)?;
    if table.vpc_id != vpc.id {
        return Err(ApiError::not_of_vpc("Route table", &table.id, &vpc.id));
    }
    let list = prefix_list::of_service(service_name)
        .ok_or_else(|| ApiError::endpoint_service_not_found(service_name))?;
    let destination = RouteDestination::PrefixList(list.id.clone());
    if table.routes.iter().any(|it| it.destination == destination) {
        return Err(ApiError::endpoint_route_exists(&table.id, &list.id));
    }
    let route = Route { destination, target: RouteTarget::VpcEndpoint(id.clone()) };
    if table.associations.iter().any(|it| it.gateway_id.is_some()) {
        route::check_behind_gateway(call, tx, &table, &route)?;
    }
    route::check_quota(call, tx, &table, &route.destination)?;
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| table.routes.push(route));
    Ok(())
}

fn remove_route(call: &Call, tx: &mut Transaction, id: &VpcEndpointId, table: &RouteTable) {
    tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
        table.routes.retain(|it| it.target != RouteTarget::VpcEndpoint(id.clone()));
    });
}

/// An interface endpoint with its interfaces.
fn make_interface(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcEndpointRequest,
    vpc: &Vpc,
    id: &VpcEndpointId,
    service: Option<&EndpointService>,
) -> Answer<InterfaceEndpoint> {
    if !r.route_table_ids.is_empty() {
        return Err(ApiError::not_for_endpoint_type("Route table IDs", "Gateway"));
    }
    let dns = r.dns_options.as_ref();
    let record_type = dns.and_then(|it| given(&it.dns_record_ip_type)).unwrap_or("ipv4");
    let mut endpoint = InterfaceEndpoint {
        interfaces: Vec::new(),
        groups: groups(call, tx, vpc, &r.security_group_ids)?,
        private_dns: r.private_dns_enabled.unwrap_or(service.is_some()),
        private_dns_for_inbound_only: dns
            .and_then(|it| it.private_dns_only_for_inbound_resolver_endpoint)
            .unwrap_or(false),
        dns_record_ip_type: dns_record_ip_type(record_type)?,
        dns_label: dns::label(call.random()),
    };
    dns::check_private(call, tx, vpc, id, service, &endpoint)?;
    let places = places(call, tx, vpc, &r.subnet_ids, &r.subnet_configurations)?;
    add_interfaces(call, tx, id, &mut endpoint, &places)?;
    Ok(endpoint)
}

fn dns_record_ip_type(wanted: &str) -> Answer<String> {
    match wanted {
        "ipv4" | "service-defined" => Ok(wanted.to_owned()),
        other => Err(ApiError::unsupported_operation(format!(
            "DNS records of the IP address type {other} (DnsRecordIpType) are not supported."
        ))),
    }
}

/// The groups that a request names; the VPC's default one where it names none (VPCE-5).
fn groups(
    call: &Call,
    records: &Snapshot,
    vpc: &Vpc,
    ids: &[String],
) -> Answer<Vec<SecurityGroupId>> {
    let mut groups: Vec<SecurityGroupId> = Vec::new();
    for id in ids {
        let group = find::<SecurityGroup>(records, &call.scope, id)?;
        if group.vpc_id != vpc.id {
            return Err(ApiError::not_of_vpc("Security group", &group.id, &vpc.id));
        }
        if !groups.contains(&group.id) {
            groups.push(group.id.clone());
        }
    }
    if groups.is_empty() {
        groups.push(security_group::default_of(records, &vpc.id)?);
    }
    match groups.len() > GROUP_LIMIT {
        true => Err(ApiError::groups_per_interface_exceeded()),
        false => Ok(groups),
    }
}

/// A subnet for an interface, with the address that it shall have, if that was said.
type WantedPlace = (Arc<Subnet>, Option<Ipv4Addr>);

/// Where a request wants interfaces: in subnets of the VPC, each once.
fn places(
    call: &Call,
    records: &Snapshot,
    vpc: &Vpc,
    ids: &[String],
    configurations: &[ec2::SubnetConfiguration],
) -> Answer<Vec<WantedPlace>> {
    let mut places: Vec<WantedPlace> = Vec::new();
    let configured = configurations.iter().filter_map(|it| given(&it.subnet_id));
    for id in ids.iter().map(String::as_str).chain(configured) {
        let subnet = find::<Subnet>(records, &call.scope, id)?;
        if subnet.vpc_id != vpc.id {
            return Err(ApiError::not_of_vpc("Subnet", &subnet.id, &vpc.id));
        }
        if subnet.cidr_block.is_none() {
            return Err(ApiError::invalid_parameter(format!(
                "Subnet {} has no IPv4 CIDR block.",
                subnet.id
            )));
        }
        if !places.iter().any(|(known, _)| known.id == subnet.id) {
            places.push((subnet, None));
        }
    }
    for (number, it) in configurations.iter().enumerate() {
        let subnet = text(&it.subnet_id, &format!("SubnetConfiguration.{}.SubnetId", number + 1))?;
        let place = places.iter_mut().find(|(known, _)| known.id.as_str() == subnet);
        if let (Some((subnet, wanted)), Some(address)) = (place, given(&it.ipv4)) {
            *wanted = Some(allocate::wanted_address(records, subnet, address, &[])?);
        }
    }
    Ok(places)
}

/// Makes interfaces, one a zone at most (VPCE-2, VPCE-3).
fn add_interfaces(
    call: &Call,
    tx: &mut Transaction,
    id: &VpcEndpointId,
    endpoint: &mut InterfaceEndpoint,
    places: &[WantedPlace],
) -> Answer<()> {
    let mut zones: Vec<String> = endpoint
        .interfaces
        .iter()
        .filter_map(|id| tx.find::<NetworkInterface>(&call.scope, id.as_str()))
        .map(|interface| interface.availability_zone.clone())
        .collect();
    for (subnet, wanted) in places {
        if zones.contains(&subnet.availability_zone) {
            return Err(ApiError::duplicate_endpoint_zone(subnet.id.as_str()));
        }
        zones.push(subnet.availability_zone.clone());
        let address = match wanted {
            Some(address) => vec![*address],
            None => allocate::private_addresses(call, tx, subnet, 1, &[])?,
        };
        let interface = NetworkInterface {
            id: NetworkInterfaceId::new(call.random()),
            port: allocate::port(tx)?,
            vpc_id: subnet.vpc_id.clone(),
            subnet_id: subnet.id.clone(),
            availability_zone: subnet.availability_zone.clone(),
            description: format!("VPC Endpoint Interface {id}"),
            interface_type: INTERFACE_TYPE.into(),
            requester_managed: true,
            mac: allocate::mac(call),
            private_addresses: address,
            primary_ipv6: false,
            ipv6_addresses: Vec::new(),
            groups: endpoint.groups.clone(),
            source_dest_check: true,
            connection_tracking: ConnectionTracking::default(),
            attachment: None,
            detached: None,
            associate_public_ip: false,
            auto_public_ip: None,
            created: call.now,
            tags: Tags::new(),
        };
        endpoint.interfaces.push(interface.id.clone());
        tx.put(&call.scope, interface);
    }
    Ok(())
}

/// Each id by itself: what cannot be deleted is told, the others are (VPCE-17).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVpcEndpointsRequest,
) -> Answer<ec2::DeleteVpcEndpointsResult> {
    if r.vpc_endpoint_ids.is_empty() {
        return Err(ApiError::missing_parameter("VpcEndpointId"));
    }
    let mut unsuccessful = Vec::new();
    for id in &r.vpc_endpoint_ids {
        parse_id::<VpcEndpoint>(id)?;
        match find::<VpcEndpoint>(tx, &call.scope, id) {
            Ok(endpoint) => begin_deletion(call, tx, &endpoint),
            Err(error) => unsuccessful.push(ec2::UnsuccessfulItem {
                resource_id: Some(id.clone()),
                error: Some(ec2::UnsuccessfulItemError {
                    code: Some(error.code.to_owned()),
                    message: Some(error.message),
                }),
            }),
        }
    }
    Ok(ec2::DeleteVpcEndpointsResult { unsuccessful })
}

fn begin_deletion(call: &Call, tx: &mut Transaction, endpoint: &VpcEndpoint) {
    if matches!(endpoint.state, VpcEndpointState::Deleting | VpcEndpointState::Deleted) {
        return;
    }
    let tables: Vec<_> = tables_of(tx, endpoint).cloned().collect();
    for table in tables {
        remove_route(call, tx, &endpoint.id, &table);
    }
    tx.update::<VpcEndpoint>(&call.scope, endpoint.id.as_str(), |it| {
        it.state = VpcEndpointState::Deleting;
        it.deleted = Some(call.now);
    });
}

/// The endpoints that wait for [`settle`], with their places.
pub(crate) fn unsettled(records: &Snapshot) -> Vec<(Scope, VpcEndpointId)> {
    let waits = |it: &VpcEndpoint| {
        matches!(it.state, VpcEndpointState::Pending | VpcEndpointState::Deleting)
    };
    records
        .everywhere::<VpcEndpoint>()
        .filter(|(_, endpoint)| waits(endpoint))
        .filter_map(|(key, endpoint)| Some((key.scope.clone()?, endpoint.id.clone())))
        .collect()
}

/// Brings an endpoint from a passing state to the one after it (VPCE-4, VPCE-17).
pub(crate) fn settle(call: &Call, tx: &mut Transaction, id: &str) {
    let Some(endpoint) = tx.find::<VpcEndpoint>(&call.scope, id).cloned() else { return };
    let mut settled = (*endpoint).clone();
    match endpoint.state {
        VpcEndpointState::Pending => settled.state = VpcEndpointState::Available,
        VpcEndpointState::Deleting => {
            let interfaces: Vec<_> =
                interfaces_of(tx, &call.scope, &endpoint).into_iter().cloned().collect();
            for interface in interfaces {
                network_interface::remove(call, tx, &interface);
            }
            settled.state = VpcEndpointState::Deleted;
            if let VpcEndpointKind::Interface(interface) = &mut settled.kind {
                interface.interfaces.clear();
            }
        }
        VpcEndpointState::PendingAcceptance
        | VpcEndpointState::Available
        | VpcEndpointState::Rejected
        | VpcEndpointState::Deleted => return,
    }
    tx.put(&call.scope, settled);
}
