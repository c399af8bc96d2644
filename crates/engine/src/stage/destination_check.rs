//! The destination half of the source/destination check (SDC-1), after the security groups
//! (PIPE-2).

use super::{Place, Stop, Walk};
use crate::{Direction, DropReason, Outcome, Output, Stage, Trace};

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    pub(super) fn destination_check(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let at = (place.interface.port, Direction::Ingress);
        let destination = self.headers.tuple.destination;
        if place.interface.has(destination) {
            return Ok(());
        }
        if !place.interface.source_dest_check {
            self.step(Stage::DestinationCheck, at, Outcome::Pass, |_| {
                let text = "is not an address of the interface, whose check is off";
                (None, format!("{destination} {text}"))
            });
            return Ok(());
        }
        Err(self.dropped(Stage::DestinationCheck, at, DropReason::DestinationCheck, |_| {
            format!("{destination} is not an address of the interface")
        }))
    }
}
