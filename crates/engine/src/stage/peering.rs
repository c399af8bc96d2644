//! Peering connections: to the interfaces of the other VPC and no further (PEER: no transit, no
//! gateways of the other side).

use super::{Place, Stop, Walk};
use crate::{Direction, DropReason, Outcome, Output, Stage, Trace};

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// The interface of the other VPC that has the destination address.
    pub(super) fn peer(&mut self, place: Place<'a>, peering: usize) -> Result<Place<'a>, Stop> {
        let at = (place.interface.port, Direction::Egress);
        let destination = self.headers.tuple.destination;
        let policy = self.policy;
        let found = policy
            .peering(peering)
            .and_then(|peering| policy.by_private(peering.other(place.subnet.vpc), destination));
        let Some(interface) = found else {
            let reason = DropReason::PeeringNoSuchAddress;
            return Err(self.dropped(Stage::Peering, at, reason, |_| {
                format!("{destination} is not the address of an interface in use there")
            }));
        };
        self.step(Stage::Peering, at, Outcome::Pass, |_| {
            (None, format!("{destination} is an address of the other VPC"))
        });
        self.place_of(interface)
    }
}
