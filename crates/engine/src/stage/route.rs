//! The route table of the sender's subnet (RT-*, PIPE-6) and delivery within the VPC.

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::Address,
    policy::routes::{Route, Way},
};

/// 169.254.168.0/22, fd00:ec2::/32 and whatever is for a link alone: never forwarded, whatever a
/// table says (RT-15).
fn is_platform_range(destination: Address) -> bool {
    match destination.as_v4() {
        Some(bits) => bits & 0xffff_fc00 == 0xa9fe_a800,
        None => destination.number() >> 96 == 0xfd00_0ec2 || destination.is_link_local(),
    }
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// The best route, which may lead to nowhere.
    pub(super) fn route(&mut self, place: Place<'a>) -> Result<Route, Stop> {
        let at = (place.interface.port, Direction::Egress);
        let destination = self.headers.tuple.destination;
        if is_platform_range(destination) {
            let reason = DropReason::LinkLocalDestination;
            return Err(self.dropped(Stage::Route, at, reason, |_| {
                format!("{destination} is never forwarded")
            }));
        }
        let Some(table) = self.policy.table(place.subnet) else {
            return Err(self.dropped(Stage::Route, at, DropReason::RouteTableMissing, |_| {
                format!("{} has no route table", place.subnet.id)
            }));
        };
        let Some(&route) = table.at(destination.number()) else {
            return Err(self.dropped(Stage::Route, at, DropReason::NoRoute, |_| {
                format!("no route to {destination}")
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
                Way::NatGateway(_) => "to a NAT gateway",
                Way::EgressOnlyInternetGateway => "to the egress-only internet gateway",
                Way::Peering(_) => "through a peering connection",
                Way::VpnGateway => "to the virtual private gateway",
                Way::TransitGateway => "to a transit gateway",
                Way::GatewayEndpoint(_) => "to a gateway endpoint",
                Way::Blackhole => "",
            };
            (Some(route.component), format!("{destination} goes {way}"))
        });
        Ok(route)
    }

    /// Where a packet to a destination would go from a subnet's router on.
    pub(super) fn peek(&self, place: Place<'_>, destination: Address) -> Option<Way> {
        let table = self.policy.table(place.subnet).filter(|_| !is_platform_range(destination))?;
        table.at(destination.number()).map(|route| route.way)
    }

    /// What arrives at an internet gateway goes where the gateway's own table says: to the
    /// interface that has the address, or to an appliance before it, which must have a public
    /// address too (RT-18).
    pub(super) fn gateway_route(&mut self, to: Place<'a>) -> Result<Place<'a>, Stop> {
        let destination = self.headers.tuple.destination;
        let table = self.policy.edge_table(to.subnet.vpc);
        let route = table.and_then(|table| table.at(destination.number()));
        let Some(&route) = route else { return Ok(to) };
        let at = (to.interface.port, Direction::Ingress);
        match route.way {
            Way::Local => Ok(to),
            Way::Interface(port) => {
                let first = self.place(port)?;
                if !first.interface.is_public(destination.family()) {
                    let reason = DropReason::RouteBlackhole(route.component);
                    return Err(self.dropped(Stage::GatewayRoute, at, reason, |_| {
                        "the interface before it has no public address".to_owned()
                    }));
                }
                self.step(Stage::GatewayRoute, at, Outcome::Pass, |_| {
                    (Some(route.component), format!("{destination} goes to an interface first"))
                });
                Ok(first)
            }
            _ => {
                let reason = DropReason::RouteBlackhole(route.component);
                Err(self.dropped(Stage::GatewayRoute, at, reason, |_| {
                    "the gateway's best route leads to something that is gone".to_owned()
                }))
            }
        }
    }

    /// A route to something that is gone still wins over a more general one (RT-12).
    pub(super) fn blackhole(&mut self, place: Place<'a>, route: Route) -> Stop {
        let at = (place.interface.port, Direction::Egress);
        self.dropped(Stage::Route, at, DropReason::RouteBlackhole(route.component), |_| {
            "the best route leads to something that is gone".to_owned()
        })
    }

    /// A route to a gateway that takes part as a record alone.
    pub(super) fn not_carried(
        &mut self,
        place: Place<'a>,
        reason: DropReason,
        why: &'static str,
    ) -> Stop {
        let at = (place.interface.port, Direction::Egress);
        self.dropped(Stage::Route, at, reason, |_| why.to_owned())
    }

    /// The interface of the VPC that has the destination address.
    pub(super) fn local(&mut self, place: Place<'a>) -> Result<Place<'a>, Stop> {
        let destination = self.headers.tuple.destination;
        if let Some(interface) = self.policy.by_private(place.subnet.vpc, destination) {
            return self.place_of(interface);
        }
        let at = (place.interface.port, Direction::Egress);
        let (reason, text) = if place.subnet.is_router(destination) {
            (DropReason::RouterAddress, "is the router's, which answers to nothing")
        } else {
            (DropReason::NoSuchAddress, "is not the address of an interface in use")
        };
        Err(self.dropped(Stage::Route, at, reason, |_| format!("{destination} {text}")))
    }
}
