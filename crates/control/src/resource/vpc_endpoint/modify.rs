//! Changes of VPC endpoints: policy, routes, subnets, groups, names.

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::Transaction;
use gureum_types::{
    EndpointService,
    record::{
        InterfaceEndpoint, NetworkInterface, RouteTable, SecurityGroup, Subnet, Vpc, VpcEndpoint,
        VpcEndpointKind, VpcEndpointState,
    },
};

use super::{
    add_interfaces, add_route, check_ip_address_type, dns, dns_record_ip_type, groups,
    interfaces_of, places, policy, remove_route,
};
use crate::{
    call::{Answer, Call, find, given, required},
    resource::network_interface,
};

pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcEndpointRequest,
) -> Answer<ec2::ModifyVpcEndpointResult> {
    let endpoint = required::<VpcEndpoint>(tx, &call.scope, &r.vpc_endpoint_id, "VpcEndpointId")?;
    if matches!(endpoint.state, VpcEndpointState::Deleting | VpcEndpointState::Deleted) {
        return Err(ApiError::incorrect_state(format!(
            "VPC endpoint {} is in the state {}.",
            endpoint.id,
            endpoint.state.name()
        )));
    }
    check_ip_address_type(&r.ip_address_type)?;
    let mut changed = (*endpoint).clone();
    if r.reset_policy == Some(true) {
        if given(&r.policy_document).is_some() {
            return Err(ApiError::invalid_parameter_combination(
                "PolicyDocument and ResetPolicy cannot be used together.",
            ));
        }
        changed.policy = None;
    }
    if let Some(policy) = policy(&r.policy_document)? {
        changed.policy = Some(policy);
    }
    let vpc = find::<Vpc>(tx, &call.scope, endpoint.vpc_id.as_str())?;
    match &mut changed.kind {
        VpcEndpointKind::Gateway { .. } => modify_gateway(call, tx, r, &vpc, &endpoint)?,
        VpcEndpointKind::Interface(interface) => {
            modify_interface(call, tx, r, &vpc, &endpoint, interface)?;
        }
    }
    tx.put(&call.scope, changed);
    Ok(ec2::ModifyVpcEndpointResult { r#return: Some(true) })
}

fn modify_gateway(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcEndpointRequest,
    vpc: &Vpc,
    endpoint: &VpcEndpoint,
) -> Answer<()> {
    let subnets = !r.add_subnet_ids.is_empty()
        || !r.remove_subnet_ids.is_empty()
        || !r.subnet_configurations.is_empty();
    let groups = !r.add_security_group_ids.is_empty() || !r.remove_security_group_ids.is_empty();
    for (is_there, what) in [
        (subnets, "Subnet IDs"),
        (groups, "Security group IDs"),
        (r.private_dns_enabled == Some(true), "Private DNS names"),
        (r.dns_options.is_some(), "DNS options"),
    ] {
        if is_there {
            return Err(ApiError::not_for_endpoint_type(what, "Interface"));
        }
    }
    for id in &r.remove_route_table_ids {
        let table = find::<RouteTable>(tx, &call.scope, id)?;
        remove_route(call, tx, &endpoint.id, &table);
    }
    for id in &r.add_route_table_ids {
        add_route(call, tx, vpc, &endpoint.id, &endpoint.service_name, id)?;
    }
    Ok(())
}

fn modify_interface(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcEndpointRequest,
    vpc: &Vpc,
    endpoint: &VpcEndpoint,
    interface: &mut InterfaceEndpoint,
) -> Answer<()> {
    if !r.add_route_table_ids.is_empty() || !r.remove_route_table_ids.is_empty() {
        return Err(ApiError::not_for_endpoint_type("Route table IDs", "Gateway"));
    }
    modify_groups(call, tx, r, vpc, interface)?;
    interface.private_dns = r.private_dns_enabled.unwrap_or(interface.private_dns);
    if let Some(options) = &r.dns_options {
        if let Some(wanted) = given(&options.dns_record_ip_type) {
            interface.dns_record_ip_type = dns_record_ip_type(wanted)?;
        }
        interface.private_dns_for_inbound_only = options
            .private_dns_only_for_inbound_resolver_endpoint
            .unwrap_or(interface.private_dns_for_inbound_only);
    }
    let service = EndpointService::of(&endpoint.service_name);
    dns::check_private(call, tx, vpc, &endpoint.id, service, interface)?;
    for id in &r.remove_subnet_ids {
        let subnet = find::<Subnet>(tx, &call.scope, id)?;
        let of_subnet = |it: &&Arc<NetworkInterface>| it.subnet_id == subnet.id;
        let gone = interfaces_of(tx, &call.scope, endpoint).into_iter().find(of_subnet).cloned();
        let gone = gone.ok_or_else(|| {
            let message = format!("Subnet {id} is not associated with {}", endpoint.id);
            ApiError::invalid_parameter(message)
        })?;
        interface.interfaces.retain(|it| *it != gone.id);
        network_interface::remove(call, tx, &gone);
    }
    let places = places(call, tx, vpc, &r.add_subnet_ids, &r.subnet_configurations)?;
    add_interfaces(call, tx, &endpoint.id, interface, &places)?;
    for id in &interface.interfaces {
        let groups = interface.groups.clone();
        tx.update::<NetworkInterface>(&call.scope, id.as_str(), |it| it.groups = groups);
    }
    Ok(())
}

fn modify_groups(
    call: &Call,
    tx: &Transaction,
    r: &ec2::ModifyVpcEndpointRequest,
    vpc: &Vpc,
    interface: &mut InterfaceEndpoint,
) -> Answer<()> {
    for id in &r.remove_security_group_ids {
        find::<SecurityGroup>(tx, &call.scope, id)?;
    }
    let kept = interface.groups.iter().map(ToString::to_string);
    let mut wanted: Vec<String> =
        kept.filter(|it| !r.remove_security_group_ids.contains(it)).collect();
    wanted.extend(r.add_security_group_ids.iter().cloned());
    if wanted.is_empty() {
        return Err(ApiError::invalid_parameter(
            "An interface endpoint must have at least one security group.",
        ));
    }
    interface.groups = groups(call, tx, vpc, &wanted)?;
    Ok(())
}
