//! VPC Block Public Access: what an account does not let through internet gateways (IGW-15).

use gureum_types::TrafficVerdict;

use super::{Place, Stop, Walk, credit_of};
use crate::{
    Direction, DropReason, Output, Stage, Trace,
    policy::{PublicAccess, Role},
};

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// Between a subnet and the internet. `egress_only` is whether an egress-only internet gateway
    /// is on the way, which lets nothing in that was not asked for; nor does a NAT gateway.
    pub(super) fn public_access(
        &mut self,
        place: Place<'_>,
        direction: Direction,
        egress_only: bool,
    ) -> Result<(), Stop> {
        if passes_public_access(place, egress_only) {
            return Ok(());
        }
        if direction == Direction::Ingress {
            // What leaves was counted by its route. The interface knows its private address alone.
            let mut tuple = self.headers.tuple;
            if let Some((_, private)) = self.policy.by_public(tuple.destination) {
                tuple.destination = private;
            }
            let credit = credit_of(&self.headers, TrafficVerdict::RejectPublicAccess);
            self.credit_apart(place, direction, &tuple, credit);
        }
        let at = (place.interface.port, direction);
        let reason = DropReason::BlockPublicAccess;
        Err(self.dropped(Stage::PublicAccess, at, reason, |_| {
            format!("VPC Block Public Access holds for {}", place.subnet.id)
        }))
    }
}

/// Whether an account lets through what goes between a subnet and the internet (IGW-15).
pub(super) fn passes_public_access(place: Place<'_>, egress_only: bool) -> bool {
    match place.subnet.public_access {
        PublicAccess::Open => true,
        PublicAccess::EgressOnly => egress_only || place.interface.role == Role::NatGateway,
        PublicAccess::Blocked => false,
    }
}
