//! Where packets shall arrive, and whether they did.

use std::{net::Ipv4Addr, sync::Arc};

use gureum_engine::{Component, Direction, ModelLeg, Stage};
use gureum_types::{
    PortIndex, VpcId,
    record::{NetworkInterface, RouteTarget, VpcEndpoint, VpcPeeringConnection},
};

use super::{course::arrived, world::World};

/// Where packets shall arrive.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    Interface(Arc<NetworkInterface>),
    Internet(VpcId),
    GatewayEndpoint(Arc<VpcEndpoint>),
    Peering(Arc<VpcPeeringConnection>),
    Address(Ipv4Addr),
}

/// The target of the last route on a way.
fn last_target<'p>(world: &World<'p>, leg: &ModelLeg) -> Option<&'p RouteTarget> {
    let route = leg.steps.iter().rev().find(|step| step.stage == Stage::Route)?;
    match world.policy.component(route.component?)? {
        Component::Route { target, .. } => Some(target),
        _ => None,
    }
}

/// The port where a packet ended, that of its endpoint where it went into a service.
pub(super) fn last_port(leg: &ModelLeg) -> Option<PortIndex> {
    match leg.arrived? {
        PortIndex::SERVICES => {
            let mut steps = leg.steps.iter().rev();
            let into = steps.find(|step| {
                step.stage == Stage::VpcEndpoint && step.direction == Direction::Ingress
            });
            into.map(|step| step.port)
        }
        port => Some(port),
    }
}

impl Goal {
    /// Whether a packet that arrived somewhere arrived here.
    pub(super) fn is_at(&self, world: &World<'_>, leg: &ModelLeg) -> bool {
        let at = last_port(leg);
        match self {
            Self::Interface(interface) => at == Some(interface.port),
            Self::Internet(vpc) => {
                let out = leg.steps.iter().find(|step| step.stage == Stage::InternetGateway);
                let out = out.and_then(|step| world.behind(step.port));
                leg.arrived == Some(PortIndex::INTERNET) && out.is_some_and(|it| it.vpc_id == *vpc)
            }
            Self::GatewayEndpoint(endpoint) => {
                leg.arrived == Some(PortIndex::SERVICES)
                    && matches!(
                        last_target(world, leg),
                        Some(RouteTarget::VpcEndpoint(id)) if *id == endpoint.id
                    )
            }
            Self::Peering(peering) => matches!(
                last_target(world, leg),
                Some(RouteTarget::VpcPeeringConnection(id)) if *id == peering.id
            ),
            // As its sender wrote it, or as a gateway made it.
            Self::Address(address) => {
                let packet = arrived(leg);
                let has = |it: &Arc<NetworkInterface>| {
                    let own = |own: &Ipv4Addr| packet.is_some_and(|it| it.destination == *own);
                    it.private_addresses.contains(address) || it.private_addresses.iter().any(own)
                };
                leg.arrived == Some(PortIndex::INTERNET)
                    || matches!(last_target(world, leg), Some(RouteTarget::VpcEndpoint(_)))
                    || at.and_then(|port| world.behind(port)).is_some_and(has)
            }
        }
    }
}
