//! The ends of a path: what may be one, and what it is now.

use std::sync::Arc;

use gureum_api::{ApiError, Resource};
use gureum_store::Snapshot;
use gureum_types::{
    VpcId, VpcPeeringConnectionId,
    record::{
        Explanation, Instance, InternetGateway, NetworkInterface, PathEnd, PeeringStatus,
        TransitGateway, TransitGatewayVpcAttachment, VpcEndpoint, VpcEndpointService,
        VpcPeeringConnection, VpnGateway,
    },
};

use super::{
    Trouble,
    explain::code,
    world::{World, arn},
};
use crate::{
    call::{Answer, Call, Named, find},
    compile::is_on,
    resource::{network_interface, vpc_peering_connection as peering},
};

/// What an end of a path is.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Interfaces: an instance's, an endpoint's, or one alone.
    Interfaces(Vec<Arc<NetworkInterface>>),
    /// The internet gateway of a VPC.
    InternetGateway(VpcId),
    /// A gateway endpoint.
    GatewayEndpoint(Arc<VpcEndpoint>),
    /// A peering connection.
    Peering(Arc<VpcPeeringConnection>),
}

/// The kind of an id in ARNs, if it may be an end of a path (RA-3).
fn kind(id: &str) -> Option<&'static str> {
    fn is<T: Named>(id: &str) -> Option<&'static str> {
        id.parse::<T::Id>().is_ok().then_some(T::TYPE)
    }
    is::<Instance>(id)
        .or_else(|| is::<NetworkInterface>(id))
        .or_else(|| is::<InternetGateway>(id))
        .or_else(|| is::<VpcEndpoint>(id))
        .or_else(|| is::<VpcEndpointService>(id))
        .or_else(|| is::<TransitGatewayVpcAttachment>(id))
        .or_else(|| is::<TransitGateway>(id))
        .or_else(|| is::<VpnGateway>(id))
        .or_else(|| id.parse::<VpcPeeringConnectionId>().is_ok().then_some(peering::TYPE))
}

/// The end that a parameter names by id or ARN.
pub(crate) fn parse(call: &Call, text: &str, parameter: &str) -> Answer<PathEnd> {
    let invalid = |why: &str| {
        ApiError::invalid_parameter_value(format!("Value ({text}) for parameter {parameter} {why}"))
    };
    if !text.starts_with("arn:") {
        let kind = kind(text).ok_or_else(|| {
            invalid("is invalid. It must be the ID or ARN of a resource that a path can begin or end at.")
        })?;
        return Ok(PathEnd { id: text.to_owned(), arn: arn(&call.scope, kind, text) });
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let (Some(["arn", "aws", "ec2"]), Some(region), Some(resource)) =
        (parts.get(..3).and_then(|it| <[&str; 3]>::try_from(it).ok()), parts.get(3), parts.get(5))
    else {
        return Err(invalid("is not the ARN of a resource of EC2."));
    };
    let (named, id) = resource.split_once('/').unwrap_or_default();
    if kind(id) != Some(named) {
        return Err(invalid("is not the ARN of a resource that a path can begin or end at."));
    }
    // Both ends are in the Region of the path (RA guide, "Source and destination resources").
    if *region != call.region().to_string() {
        return Err(invalid("is in another Region."));
    }
    Ok(PathEnd { id: id.to_owned(), arn: text.to_owned() })
}

/// Refuses an end of the caller's that is not there.
pub(crate) fn checked(call: &Call, records: &Snapshot, end: &PathEnd) -> Answer<()> {
    fn try_as<T: Named>(call: &Call, records: &Snapshot, id: &str) -> Option<Answer<()>> {
        id.parse::<T::Id>().ok()?;
        Some(find::<T>(records, &call.scope, id).map(|_| ()))
    }
    if is_foreign(call, end) {
        return Ok(());
    }
    let id = end.id.as_str();
    if id.parse::<VpcPeeringConnectionId>().is_ok() {
        return peering::find(call, records, id).map(|_| ());
    }
    let found = try_as::<Instance>(call, records, id)
        .or_else(|| try_as::<NetworkInterface>(call, records, id))
        .or_else(|| try_as::<InternetGateway>(call, records, id))
        .or_else(|| try_as::<VpcEndpoint>(call, records, id))
        .or_else(|| try_as::<VpcEndpointService>(call, records, id))
        .or_else(|| try_as::<TransitGatewayVpcAttachment>(call, records, id))
        .or_else(|| try_as::<TransitGateway>(call, records, id))
        .or_else(|| try_as::<VpnGateway>(call, records, id));
    found.unwrap_or_else(|| Err(ApiError::not_found(Resource::NetworkInterface, id)))
}

fn is_foreign(call: &Call, end: &PathEnd) -> bool {
    end.arn.split(':').nth(4) != Some(call.account().as_str())
}

/// What an end is now.
pub(super) fn resolve(world: &World<'_>, end: &PathEnd) -> Result<End, Trouble> {
    let (call, records, id) = (world.call, world.records, end.id.as_str());
    if is_foreign(call, end) {
        return Err(Trouble::Unknown(format!(
            "{id} belongs to another account, whose resources are not analyzed"
        )));
    }
    let missing = || {
        Trouble::NoPath(vec![Explanation {
            missing_component: Some(id.to_owned()),
            ..code("NO_SOURCE_OR_DESTINATION")
        }])
    };
    if id.parse::<VpcPeeringConnectionId>().is_ok() {
        let record = peering::find(call, records, id).map_err(|_| missing())?;
        return match record.status {
            PeeringStatus::Active => Ok(End::Peering(record)),
            status => Err(Trouble::NoPath(vec![Explanation {
                component: Some(world.peering(id)),
                peering: Some(world.peering(id)),
                state: Some(status.code().to_owned()),
                ..code("BAD_STATE")
            }])),
        };
    }
    match kind(id) {
        Some("instance") => {
            let instance = records.find::<Instance>(&call.scope, id).ok_or_else(missing)?;
            check_instance(world, instance)?;
            let interfaces = network_interface::of_instance(records, &instance.id);
            with_addresses(interfaces, || world.named::<Instance>(&call.scope, id))
        }
        Some("network-interface") => {
            let interface =
                records.find::<NetworkInterface>(&call.scope, id).ok_or_else(missing)?;
            check_interface(world, interface)?;
            with_addresses(vec![interface.clone()], || world.interface(interface))
        }
        Some("internet-gateway") => {
            let gateway = records.find::<InternetGateway>(&call.scope, id).ok_or_else(missing)?;
            match &gateway.vpc_id {
                Some(vpc) => Ok(End::InternetGateway(vpc.clone())),
                None => Err(Trouble::NoPath(vec![Explanation {
                    component: Some(world.named::<InternetGateway>(&call.scope, id)),
                    ..code("UNASSOCIATED_COMPONENT")
                }])),
            }
        }
        Some("vpc-endpoint") => {
            let endpoint = records.find::<VpcEndpoint>(&call.scope, id).ok_or_else(missing)?;
            let shown = || world.named::<VpcEndpoint>(&call.scope, id);
            if !endpoint.carries() {
                return Err(Trouble::NoPath(vec![Explanation {
                    component: Some(shown()),
                    state: Some(endpoint.state.name().to_owned()),
                    ..code("BAD_STATE")
                }]));
            }
            let Some(interface) = endpoint.interface() else {
                return Ok(End::GatewayEndpoint(endpoint.clone()));
            };
            let found = interface.interfaces.iter();
            let found = found.filter_map(|it| records.find(&call.scope, it.as_str()).cloned());
            with_addresses(found.collect(), shown)
        }
        _ => Err(Trouble::Unknown(format!(
            "{id} is of a kind that is not analyzed as the end of a path"
        ))),
    }
}

fn check_instance(world: &World<'_>, instance: &Instance) -> Result<(), Trouble> {
    if is_on(instance.state) {
        return Ok(());
    }
    Err(Trouble::NoPath(vec![Explanation {
        component: Some(world.named::<Instance>(&world.call.scope, instance.id.as_str())),
        state: Some(instance.state.name().to_owned()),
        ..code("BAD_STATE")
    }]))
}

/// An interface is of use with an instance that is on, or a service, behind it.
fn check_interface(world: &World<'_>, interface: &NetworkInterface) -> Result<(), Trouble> {
    let shown = world.interface(interface);
    let Some(attachment) = &interface.attachment else {
        if world.owner(interface).is_some() {
            return Ok(());
        }
        return Err(Trouble::NoPath(vec![Explanation {
            component: Some(shown.clone()),
            network_interface: Some(shown),
            state: Some("available".to_owned()),
            ..code("BAD_STATE_ATTACHMENT")
        }]));
    };
    let id = attachment.instance_id.as_str();
    match world.records.find::<Instance>(&world.call.scope, id) {
        Some(instance) => check_instance(world, instance),
        None => Ok(()),
    }
}

/// Only IPv4 is analyzed (RA-1).
fn with_addresses(
    interfaces: Vec<Arc<NetworkInterface>>,
    shown: impl FnOnce() -> gureum_types::record::AnalysisComponent,
) -> Result<End, Trouble> {
    let with: Vec<_> =
        interfaces.into_iter().filter(|it| !it.private_addresses.is_empty()).collect();
    match with.is_empty() {
        true => Err(Trouble::NoPath(vec![Explanation {
            component: Some(shown()),
            ..code("UNASSOCIATED_COMPONENT")
        }])),
        false => Ok(End::Interfaces(with)),
    }
}
