//! The route table of the sender's subnet (RT-*, PIPE-6) and delivery within the VPC.

use gureum_types::record::is_reserved;

use super::{Place, Stop, Walk, show};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    policy::routes::{Route, Way},
};

/// 169.254.168.0/22: never forwarded, whatever a table says (RT-15).
fn is_platform_range(destination: u32) -> bool {
    destination & 0xffff_fc00 == 0xa9fe_a800
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// The best route, which may lead to nowhere.
    pub(super) fn route(&mut self, place: Place<'a>) -> Result<Route, Stop> {
        let at = (place.interface.port, Direction::Egress);
        let destination = self.headers.tuple.destination;
        if is_platform_range(destination) {
            let reason = DropReason::LinkLocalDestination;
            return Err(self.dropped(Stage::Route, at, reason, |_| {
                format!("{} is never forwarded", show(destination))
            }));
        }
        let Some(table) = self.policy.table(place.subnet) else {
            return Err(self.dropped(Stage::Route, at, DropReason::RouteTableMissing, |_| {
                format!("{} has no route table", place.subnet.id)
            }));
        };
        let Some(&route) = table.at(destination) else {
            return Err(self.dropped(Stage::Route, at, DropReason::NoRoute, |_| {
                format!("no route to {}", show(destination))
            }));
        };
        if route.way == Way::Blackhole {
            return Ok(route);
        }
        self.step(Stage::Route, at, Outcome::Pass, |_| {
            let way = match route.way {
                Way::Local => "within the VPC",
                Way::InternetGateway => "to the internet gateway",
                Way::Interface(_) => "to an interface",
                Way::Blackhole => "",
            };
            (Some(route.component), format!("{} goes {way}", show(destination)))
        });
        Ok(route)
    }

    /// A route to something that is gone still wins over a more general one (RT-12).
    pub(super) fn blackhole(&mut self, place: Place<'a>, route: Route) -> Stop {
        let at = (place.interface.port, Direction::Egress);
        self.dropped(Stage::Route, at, DropReason::RouteBlackhole(route.component), |_| {
            "the best route leads to something that is gone".to_owned()
        })
    }

    /// The interface of the VPC that has the destination address.
    pub(super) fn local(&mut self, place: Place<'a>) -> Result<Place<'a>, Stop> {
        let destination = self.headers.tuple.destination;
        if let Some(interface) = self.policy.by_private(place.subnet.vpc, destination) {
            return self.place_of(interface);
        }
        let at = (place.interface.port, Direction::Egress);
        let own_router = destination == place.subnet.router
            && is_reserved(place.subnet.block, show(destination));
        let (reason, text) = if own_router {
            (DropReason::RouterAddress, "is the router's, which answers to nothing")
        } else {
            (DropReason::NoSuchAddress, "is not the address of an interface in use")
        };
        Err(self.dropped(Stage::Route, at, reason, |_| format!("{} {text}", show(destination))))
    }
}
