//! Services that accounts offer to endpoints of their own and of others (VPC endpoint services).
//!
//! There are no load balancers here: which ones a service has is recorded as it is given, and what
//! reaches one of its endpoints finds nobody there.

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Region, VpcEndpointServiceId, VpcEndpointServicePermissionId,
    record::{Scope, ServicePermission, VpcEndpoint, VpcEndpointService, VpcEndpointState},
};

use super::dns;
use crate::{
    call::{Answer, Call, find, given, listed, parse_id, required},
    filter::{Fields, select, some},
    page::page,
    resource::idempotency,
    tags,
};

/// What the names of services that accounts offer begin with.
const PREFIX: &str = "com.amazonaws.vpce.";

/// Whether a name is one of a service that an account offers.
pub(super) fn is_name(service_name: &str) -> bool {
    service_name.starts_with(PREFIX)
}

/// The domain of the names of a service's endpoints.
pub(super) fn domain(region: &Region, service: &str) -> String {
    format!("{service}.{region}.vpce.amazonaws.com")
}

/// `Interface` or `GatewayLoadBalancer`, after its load balancers.
pub(super) fn kind(service: &VpcEndpointService) -> &'static str {
    match service.gateway_load_balancers.is_empty() {
        true => "Interface",
        false => "GatewayLoadBalancer",
    }
}

/// The service of a name in the caller's region that the caller may use, with whose it is.
pub(super) fn usable(
    call: &Call,
    records: &Snapshot,
    name: &str,
) -> Option<(Scope, Arc<VpcEndpointService>)> {
    let id = name.rsplit_once('.').map(|(_, id)| id)?;
    let mut found = records.referrers_with_keys::<VpcEndpointService>(id);
    let (key, service) = found.find(|(_, it)| it.service_name() == name)?;
    let scope = key.scope.clone()?;
    let may = scope.account == *call.account() || is_permitted(call, service);
    (may && service.region == *call.region()).then(|| (scope, service.clone()))
}

/// Whether the permissions of a service name the caller or their account.
fn is_permitted(call: &Call, service: &VpcEndpointService) -> bool {
    let root = crate::iam::caller::root_arn(call.account());
    let own = [root, call.caller.arn(), call.caller.principal_arn()];
    service.permissions.iter().any(|it| it.principal == "*" || own.contains(&it.principal))
}

/// All services that the caller may use besides AWS's.
pub(super) fn all_usable(call: &Call, records: &Snapshot) -> Vec<(Scope, Arc<VpcEndpointService>)> {
    let all = records.everywhere::<VpcEndpointService>();
    let all = all.filter_map(|(key, service)| Some((key.scope.clone()?, service.clone())));
    all.filter(|(_, service)| usable(call, records, &service.service_name()).is_some()).collect()
}

fn zones(call: &Call) -> (Vec<String>, Vec<String>) {
    let zones: Vec<String> = call.region().zones().collect();
    let ids = zones.iter().filter_map(|zone| call.region().zone_id(zone)).collect();
    (zones, ids)
}

/// A service as who may use it sees it.
pub(super) fn shown_detail(
    call: &Call,
    scope: &Scope,
    service: &VpcEndpointService,
) -> ec2::ServiceDetail {
    let (availability_zones, availability_zone_ids) = zones(call);
    ec2::ServiceDetail {
        service_id: Some(service.id.to_string()),
        service_name: Some(service.service_name()),
        service_type: vec![ec2::ServiceTypeDetail { service_type: Some(kind(service).into()) }],
        service_region: Some(service.region.to_string()),
        availability_zones,
        availability_zone_ids,
        owner: Some(scope.account.to_string()),
        base_endpoint_dns_names: vec![domain(&service.region, service.id.as_str())],
        vpc_endpoint_policy_supported: Some(false),
        acceptance_required: Some(service.acceptance_required),
        manages_vpc_endpoints: Some(false),
        supported_ip_address_types: service.ip_address_types.clone(),
        tags: tags::shown(&service.tags),
        ..Default::default()
    }
}

fn shown(call: &Call, service: &VpcEndpointService) -> ec2::ServiceConfiguration {
    let (availability_zones, availability_zone_ids) = zones(call);
    let private = service.private_dns_name.as_ref();
    let configuration = private.map(|(_, name, value)| ec2::PrivateDnsNameConfiguration {
        state: Some("pendingVerification".into()),
        r#type: Some("TXT".into()),
        value: Some(value.clone()),
        name: Some(name.clone()),
    });
    ec2::ServiceConfiguration {
        service_type: vec![ec2::ServiceTypeDetail { service_type: Some(kind(service).into()) }],
        service_id: Some(service.id.to_string()),
        service_name: Some(service.service_name()),
        service_state: Some("Available".into()),
        availability_zone_ids,
        availability_zones,
        acceptance_required: Some(service.acceptance_required),
        manages_vpc_endpoints: Some(false),
        network_load_balancer_arns: service.network_load_balancers.clone(),
        gateway_load_balancer_arns: service.gateway_load_balancers.clone(),
        supported_ip_address_types: service.ip_address_types.clone(),
        base_endpoint_dns_names: vec![domain(&service.region, service.id.as_str())],
        private_dns_name: private.map(|(name, ..)| name.clone()),
        private_dns_name_configuration: configuration,
        tags: tags::shown(&service.tags),
        supported_regions: vec![ec2::SupportedRegionDetail {
            region: Some(service.region.to_string()),
            service_state: Some("Available".into()),
        }],
        remote_access_enabled: Some(false),
        ..Default::default()
    }
}

/// ARNs of load balancers of one kind, `net` or `gwy`.
fn load_balancers(arns: &[String], kind: &str) -> Answer<Vec<String>> {
    let part = format!(":loadbalancer/{kind}/");
    for arn in arns {
        if !arn.starts_with("arn:aws:elasticloadbalancing:") || !arn.contains(&part) {
            return Err(ApiError::invalid_parameter(format!(
                "The load balancer ARN '{arn}' is not valid."
            )));
        }
    }
    Ok(arns.to_vec())
}

/// Exactly one kind of load balancers, one or more of it.
fn check_load_balancers(network: &[String], gateway: &[String]) -> Answer<()> {
    match (network.is_empty(), gateway.is_empty()) {
        (true, true) => Err(ApiError::missing_parameter("NetworkLoadBalancerArns")),
        (false, false) => Err(ApiError::invalid_parameter_combination(
            "A service has Network Load Balancers or Gateway Load Balancers, not both.",
        )),
        _ => Ok(()),
    }
}

fn ip_address_types(types: &[String]) -> Answer<()> {
    match types.iter().find(|it| !matches!(it.as_str(), "ipv4" | "ipv6")) {
        Some(other) => {
            let reason = "It is ipv4 or ipv6.";
            Err(ApiError::invalid_value(other, "supportedIpAddressTypes", reason))
        }
        None => Ok(()),
    }
}

/// A private name with what its owner would put into their zone. Nobody looks for it here.
fn private_dns_name(call: &Call, name: &str) -> (String, String, String) {
    let label = || dns::label(call.random());
    let proof = format!("_{}", label());
    (name.to_owned(), proof, format!("vpce:{}{}", label(), label()))
}

fn own_region_only(regions: &[String], call: &Call) -> Answer<()> {
    match regions.iter().all(|it| it == call.region().as_str()) {
        true => Ok(()),
        false => Err(ApiError::unsupported_operation(
            "Endpoint services in several regions (SupportedRegions) are not supported.",
        )),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcEndpointServiceConfigurationRequest,
) -> Answer<ec2::CreateVpcEndpointServiceConfigurationResult> {
    let answer = |service: &VpcEndpointService| ec2::CreateVpcEndpointServiceConfigurationResult {
        service_configuration: Some(shown(call, service)),
        client_token: r.client_token.clone(),
    };
    let make = |tx: &mut Transaction| {
        let service = make(call, tx, r)?;
        Ok((vec![service.id.to_string()], answer(&service)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let found = made.first().and_then(|id| tx.find::<VpcEndpointService>(&call.scope, id));
        Ok(found.map(|service| answer(service)))
    };
    let name = "CreateVpcEndpointServiceConfiguration";
    idempotency::once(call, tx, name, &r.client_token, r, make, again)
}

fn make(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcEndpointServiceConfigurationRequest,
) -> Answer<Arc<VpcEndpointService>> {
    let network = load_balancers(&r.network_load_balancer_arns, "net")?;
    let gateway = load_balancers(&r.gateway_load_balancer_arns, "gwy")?;
    check_load_balancers(&network, &gateway)?;
    ip_address_types(&r.supported_ip_address_types)?;
    own_region_only(&r.supported_regions, call)?;
    let mut types = r.supported_ip_address_types.clone();
    if types.is_empty() {
        types.push("ipv4".into());
    }
    let service = VpcEndpointService {
        id: VpcEndpointServiceId::new(call.random()),
        region: call.region().clone(),
        acceptance_required: r.acceptance_required.unwrap_or(true),
        private_dns_name: given(&r.private_dns_name).map(|it| private_dns_name(call, it)),
        network_load_balancers: network,
        gateway_load_balancers: gateway,
        ip_address_types: types,
        permissions: Vec::new(),
        client_token: given(&r.client_token).map(str::to_owned),
        created: call.now,
        tags: tags::on_creation::<VpcEndpointService>(&r.tag_specifications)?,
    };
    Ok(tx.put(&call.scope, service))
}

const FIELDS: &Fields<ec2::ServiceConfiguration> = &[
    ("service-id", |it| some(&it.service_id)),
    ("service-name", |it| some(&it.service_name)),
    ("service-state", |it| some(&it.service_state)),
    ("supported-ip-address-types", |it| it.supported_ip_address_types.clone()),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcEndpointServiceConfigurationsRequest,
) -> Answer<ec2::DescribeVpcEndpointServiceConfigurationsResult> {
    let found = listed::<VpcEndpointService>(records, &call.scope, &r.service_ids)?;
    let found = found.iter().map(|service| shown(call, service)).collect();
    let found = select(found, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (service_configurations, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.service_id.as_deref())?;
    Ok(ec2::DescribeVpcEndpointServiceConfigurationsResult { service_configurations, next_token })
}

fn unsuccessful(id: &str, error: ApiError) -> ec2::UnsuccessfulItem {
    ec2::UnsuccessfulItem {
        resource_id: Some(id.to_owned()),
        error: Some(ec2::UnsuccessfulItemError {
            code: Some(error.code.to_owned()),
            message: Some(error.message),
        }),
    }
}

/// The endpoints of a service, of whatever account.
fn connections(records: &Snapshot, service: &str) -> Vec<(Scope, Arc<VpcEndpoint>)> {
    let found = records.referrers_with_keys::<VpcEndpoint>(service);
    let found = found.filter(|(_, it)| it.own_service() == Some(service));
    found.filter_map(|(key, it)| Some((key.scope.clone()?, it.clone()))).collect()
}

/// Each id by itself: what cannot be deleted is told, the others are.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVpcEndpointServiceConfigurationsRequest,
) -> Answer<ec2::DeleteVpcEndpointServiceConfigurationsResult> {
    if r.service_ids.is_empty() {
        return Err(ApiError::missing_parameter("ServiceId"));
    }
    let mut failed = Vec::new();
    for id in &r.service_ids {
        parse_id::<VpcEndpointService>(id)?;
        let service = match find::<VpcEndpointService>(tx, &call.scope, id) {
            Ok(service) => service,
            Err(error) => {
                failed.push(unsuccessful(id, error));
                continue;
            }
        };
        let holds = |it: &VpcEndpoint| {
            matches!(
                it.state,
                VpcEndpointState::PendingAcceptance
                    | VpcEndpointState::Pending
                    | VpcEndpointState::Available
            )
        };
        if connections(tx, id).iter().any(|(_, it)| holds(it)) {
            let message = format!(
                "Service {id} has existing active VPC Endpoint connections. They must be rejected \
                 before it is deleted."
            );
            failed.push(unsuccessful(id, ApiError::new("ExistingVpcEndpointConnections", message)));
            continue;
        }
        tx.remove::<VpcEndpointService>(&call.scope, service.id.as_str());
    }
    Ok(ec2::DeleteVpcEndpointServiceConfigurationsResult { unsuccessful: failed })
}

/// Changes a list: what is removed must be there, what is added comes once.
fn change_list(
    list: &mut Vec<String>,
    add: &[String],
    remove: &[String],
    what: &str,
) -> Answer<()> {
    for one in remove {
        if !list.contains(one) {
            return Err(ApiError::invalid_parameter(format!("The service has no {what} '{one}'.")));
        }
    }
    list.retain(|one| !remove.contains(one));
    for one in add {
        if !list.contains(one) {
            list.push(one.clone());
        }
    }
    Ok(())
}

pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcEndpointServiceConfigurationRequest,
) -> Answer<ec2::ModifyVpcEndpointServiceConfigurationResult> {
    let service = required::<VpcEndpointService>(tx, &call.scope, &r.service_id, "ServiceId")?;
    let mut changed = (*service).clone();
    own_region_only(&r.add_supported_regions, call)?;
    if !r.remove_supported_regions.is_empty() {
        let message = "A service cannot be removed from its own region.";
        return Err(ApiError::invalid_parameter(message));
    }
    let added = load_balancers(&r.add_network_load_balancer_arns, "net")?;
    let removed = &r.remove_network_load_balancer_arns;
    change_list(&mut changed.network_load_balancers, &added, removed, "load balancer")?;
    let added = load_balancers(&r.add_gateway_load_balancer_arns, "gwy")?;
    let removed = &r.remove_gateway_load_balancer_arns;
    change_list(&mut changed.gateway_load_balancers, &added, removed, "load balancer")?;
    check_load_balancers(&changed.network_load_balancers, &changed.gateway_load_balancers)?;
    ip_address_types(&r.add_supported_ip_address_types)?;
    let (added, removed) =
        (&r.add_supported_ip_address_types, &r.remove_supported_ip_address_types);
    change_list(&mut changed.ip_address_types, added, removed, "IP address type")?;
    if changed.ip_address_types.is_empty() {
        return Err(ApiError::invalid_parameter("A service has at least one IP address type."));
    }
    if let Some(required) = r.acceptance_required {
        changed.acceptance_required = required;
    }
    match (given(&r.private_dns_name), r.remove_private_dns_name.unwrap_or_default()) {
        (Some(_), true) => {
            return Err(ApiError::invalid_parameter_combination(
                "PrivateDnsName and RemovePrivateDnsName cannot be used together.",
            ));
        }
        (Some(name), false) => changed.private_dns_name = Some(private_dns_name(call, name)),
        (None, true) => changed.private_dns_name = None,
        (None, false) => {}
    }
    tx.put(&call.scope, changed);
    Ok(ec2::ModifyVpcEndpointServiceConfigurationResult { r#return: Some(true) })
}

/// What a principal of a permission is.
fn principal_type(principal: &str) -> Answer<&'static str> {
    let invalid =
        || ApiError::new("InvalidPrincipal", format!("The principal '{principal}' is not valid."));
    if principal == "*" {
        return Ok("All");
    }
    let rest = principal.strip_prefix("arn:aws:iam::").ok_or_else(invalid)?;
    let (account, what) = rest.split_once(':').ok_or_else(invalid)?;
    if gureum_types::AccountId::parse(account).is_none() {
        return Err(invalid());
    }
    match what.split_once('/') {
        None if what == "root" => Ok("Account"),
        Some(("user", name)) if !name.is_empty() => Ok("User"),
        Some(("role", name)) if !name.is_empty() => Ok("Role"),
        _ => Err(invalid()),
    }
}

pub(crate) fn modify_permissions(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcEndpointServicePermissionsRequest,
) -> Answer<ec2::ModifyVpcEndpointServicePermissionsResult> {
    let service = required::<VpcEndpointService>(tx, &call.scope, &r.service_id, "ServiceId")?;
    let mut permissions = service.permissions.clone();
    for principal in &r.remove_allowed_principals {
        principal_type(principal)?;
        permissions.retain(|it| it.principal != *principal);
    }
    let mut added_principals = Vec::new();
    for principal in &r.add_allowed_principals {
        let kind = principal_type(principal)?;
        if permissions.iter().any(|it| it.principal == *principal) {
            continue;
        }
        let id = VpcEndpointServicePermissionId::new(call.random());
        added_principals.push(ec2::AddedPrincipal {
            principal_type: Some(kind.into()),
            principal: Some(principal.clone()),
            service_permission_id: Some(id.to_string()),
            service_id: Some(service.id.to_string()),
        });
        permissions.push(ServicePermission { id, principal: principal.clone() });
    }
    tx.update::<VpcEndpointService>(&call.scope, service.id.as_str(), |it| {
        it.permissions = permissions.clone();
    });
    Ok(ec2::ModifyVpcEndpointServicePermissionsResult {
        added_principals,
        return_value: Some(true),
    })
}

const PRINCIPAL_FIELDS: &Fields<ec2::AllowedPrincipal> =
    &[("principal", |it| some(&it.principal)), ("principal-type", |it| some(&it.principal_type))];

pub(crate) fn permissions(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcEndpointServicePermissionsRequest,
) -> Answer<ec2::DescribeVpcEndpointServicePermissionsResult> {
    let service = required::<VpcEndpointService>(records, &call.scope, &r.service_id, "ServiceId")?;
    let mut found: Vec<_> = service
        .permissions
        .iter()
        .map(|it| ec2::AllowedPrincipal {
            principal_type: principal_type(&it.principal).ok().map(str::to_owned),
            principal: Some(it.principal.clone()),
            service_permission_id: Some(it.id.to_string()),
            service_id: Some(service.id.to_string()),
            ..Default::default()
        })
        .collect();
    found.sort_by(|a, b| a.service_permission_id.cmp(&b.service_permission_id));
    let found = select(found, &r.filters, PRINCIPAL_FIELDS, None)?;
    let (allowed_principals, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.service_permission_id.as_deref())?;
    Ok(ec2::DescribeVpcEndpointServicePermissionsResult { allowed_principals, next_token })
}

const CONNECTION_FIELDS: &Fields<ec2::VpcEndpointConnection> = &[
    ("ip-address-type", |it| some(&it.ip_address_type)),
    ("service-id", |it| some(&it.service_id)),
    ("vpc-endpoint-id", |it| some(&it.vpc_endpoint_id)),
    ("vpc-endpoint-owner", |it| some(&it.vpc_endpoint_owner)),
    ("vpc-endpoint-region", |it| some(&it.vpc_endpoint_region)),
    ("vpc-endpoint-state", |it| some(&it.vpc_endpoint_state)),
];

/// The endpoints of one's services.
pub(crate) fn describe_connections(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcEndpointConnectionsRequest,
) -> Answer<ec2::DescribeVpcEndpointConnectionsResult> {
    let mut found = Vec::new();
    for service in records.all::<VpcEndpointService>(&call.scope) {
        for (scope, endpoint) in connections(records, service.id.as_str()) {
            let interfaces = super::interfaces_of(records, &scope, &endpoint);
            let entries = endpoint
                .interface()
                .map(|of| dns::entries(&scope.region, &endpoint, of, &interfaces));
            found.push(ec2::VpcEndpointConnection {
                service_id: Some(service.id.to_string()),
                vpc_endpoint_id: Some(endpoint.id.to_string()),
                vpc_endpoint_owner: Some(scope.account.to_string()),
                vpc_endpoint_state: Some(endpoint.state.name().into()),
                creation_timestamp: Some(endpoint.created),
                dns_entries: entries.unwrap_or_default(),
                network_load_balancer_arns: service.network_load_balancers.clone(),
                gateway_load_balancer_arns: service.gateway_load_balancers.clone(),
                ip_address_type: Some("ipv4".into()),
                vpc_endpoint_region: Some(scope.region.to_string()),
                ..Default::default()
            });
        }
    }
    found.sort_by(|a, b| a.vpc_endpoint_id.cmp(&b.vpc_endpoint_id));
    let found = select(found, &r.filters, CONNECTION_FIELDS, Some(|it| &it.tags))?;
    let (vpc_endpoint_connections, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.vpc_endpoint_id.as_deref())?;
    Ok(ec2::DescribeVpcEndpointConnectionsResult { vpc_endpoint_connections, next_token })
}

/// Brings each of some endpoints of a service to a state, if it is in one of others; tells of those
/// that are not.
fn answer(
    call: &Call,
    tx: &mut Transaction,
    service: &Option<String>,
    ids: &[String],
    from: &[VpcEndpointState],
    to: VpcEndpointState,
) -> Answer<Vec<ec2::UnsuccessfulItem>> {
    let service = required::<VpcEndpointService>(tx, &call.scope, service, "ServiceId")?;
    if ids.is_empty() {
        return Err(ApiError::missing_parameter("VpcEndpointId"));
    }
    let mut failed = Vec::new();
    let connections = connections(tx, service.id.as_str());
    for id in ids {
        parse_id::<VpcEndpoint>(id)?;
        let found = connections.iter().find(|(_, it)| it.id.as_str() == id);
        let Some((scope, endpoint)) = found else {
            failed
                .push(unsuccessful(id, ApiError::not_found(gureum_api::Resource::VpcEndpoint, id)));
            continue;
        };
        if !from.contains(&endpoint.state) {
            let message = format!(
                "The VPC endpoint {id} cannot come to the state {} from {}.",
                to.name(),
                endpoint.state.name()
            );
            failed.push(unsuccessful(id, ApiError::new("InvalidState", message)));
            continue;
        }
        tx.update::<VpcEndpoint>(scope, id, |it| it.state = to);
    }
    Ok(failed)
}

/// What is accepted is made available, as other endpoints are.
pub(crate) fn accept(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AcceptVpcEndpointConnectionsRequest,
) -> Answer<ec2::AcceptVpcEndpointConnectionsResult> {
    let from = [VpcEndpointState::PendingAcceptance, VpcEndpointState::Rejected];
    let ids = &r.vpc_endpoint_ids;
    let unsuccessful = answer(call, tx, &r.service_id, ids, &from, VpcEndpointState::Pending)?;
    Ok(ec2::AcceptVpcEndpointConnectionsResult { unsuccessful })
}

pub(crate) fn reject(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RejectVpcEndpointConnectionsRequest,
) -> Answer<ec2::RejectVpcEndpointConnectionsResult> {
    let from = [
        VpcEndpointState::PendingAcceptance,
        VpcEndpointState::Pending,
        VpcEndpointState::Available,
    ];
    let ids = &r.vpc_endpoint_ids;
    let unsuccessful = answer(call, tx, &r.service_id, ids, &from, VpcEndpointState::Rejected)?;
    Ok(ec2::RejectVpcEndpointConnectionsResult { unsuccessful })
}
