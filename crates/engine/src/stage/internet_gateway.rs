//! The internet gateway: stateless 1:1 NAT between private and public addresses (IGW-2).
//!
//! It does not decrement TTL: what is behind it is one simulated hop, and traceroute from an
//! instance shows the host it asks for first.

use std::net::Ipv4Addr;

use gureum_types::IpProtocol;

use super::{Place, Stop, Walk, show};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    wire::rewrite::{End, set_address, translate_embedded},
};

/// The port of mail servers, which is closed towards the internet (SG-37).
const SMTP: u16 = 25;

/// RFC 1918 and RFC 6598 space, which the gateway does not carry (IGW-16), and what is not
/// routable anywhere.
fn is_never_public(address: u32) -> bool {
    let address = show(address);
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_link_local()
        || address.is_loopback()
        || first == 0
        || first >= 224
        || (first == 100 && second & 0xc0 == 64)
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// From a VPC to the gateway: the source becomes public. Where the destination is a public
    /// address of an interface too, that is where the packet goes (IGW-7); `None` is the internet.
    pub(super) fn translate_outward(
        &mut self,
        place: Place<'a>,
    ) -> Result<Option<Place<'a>>, Stop> {
        let at = (place.interface.port, Direction::Egress);
        let stage = Stage::InternetGateway;
        let tuple = self.headers.tuple;
        let source = show(tuple.source);
        if !place.interface.has(tuple.source) {
            let reason = DropReason::GatewaySpoofed;
            return Err(self.dropped(stage, at, reason, |_| {
                format!("{source} is not an address of the sender")
            }));
        }
        if is_never_public(tuple.destination) {
            let reason = DropReason::GatewayPrivateAddress;
            return Err(self.dropped(stage, at, reason, |_| {
                format!("{} is private address space", show(tuple.destination))
            }));
        }
        let Some(public) = place.interface.public_of(tuple.source) else {
            let reason = DropReason::NoPublicAddress;
            return Err(
                self.dropped(stage, at, reason, |_| format!("{source} has no public address"))
            );
        };
        if IpProtocol(tuple.protocol) == IpProtocol::TCP && tuple.destination_port == SMTP {
            let reason = DropReason::SmtpBlocked;
            return Err(self.dropped(stage, at, reason, |_| "port 25 is closed".to_owned()));
        }
        self.step(stage, at, Outcome::Pass, |_| {
            (None, format!("source {source} becomes {}", show(public)))
        });
        let (policy, vpc) = (self.policy, place.subnet.vpc);
        translate_embedded(self.packet, &self.headers, |end, address| {
            // An error speaks of a packet that went the other way: its destination was translated.
            let owner = policy.by_private(vpc, address).filter(|_| end == End::Destination)?;
            owner.public_of(address)
        });
        set_address(self.packet, &mut self.headers, End::Source, public);
        match self.policy.by_public(tuple.destination) {
            Some((interface, private)) => {
                let to = self.place_of(interface)?;
                self.make_private(to, private);
                Ok(Some(to))
            }
            None if self
                .policy
                .fabric()
                .public_pool
                .contains(&Ipv4Addr::from(tuple.destination)) =>
            {
                let reason = DropReason::UnknownPublicAddress;
                Err(self.dropped(stage, at, reason, |_| {
                    format!("no interface has the public address {}", show(tuple.destination))
                }))
            }
            None => Ok(None),
        }
    }

    /// From the internet: the interface that has the public address (IGW-6).
    pub(super) fn translate_inward(&mut self) -> Result<Place<'a>, Stop> {
        let at = (self.from, Direction::Ingress);
        let stage = Stage::InternetGateway;
        let tuple = self.headers.tuple;
        if is_never_public(tuple.source) {
            let reason = DropReason::GatewayPrivateAddress;
            return Err(self.dropped(stage, at, reason, |_| {
                format!("{} is private address space", show(tuple.source))
            }));
        }
        let Some((interface, private)) = self.policy.by_public(tuple.destination) else {
            let reason = DropReason::UnknownPublicAddress;
            return Err(self.dropped(stage, at, reason, |_| {
                format!("no interface has the public address {}", show(tuple.destination))
            }));
        };
        let to = self.place_of(interface)?;
        self.incoming_mtu(to)?;
        self.make_private(to, private);
        Ok(to)
    }

    /// The destination becomes private.
    fn make_private(&mut self, to: Place<'a>, private: u32) {
        let public = self.headers.tuple.destination;
        let at = (to.interface.port, Direction::Ingress);
        self.step(Stage::InternetGateway, at, Outcome::Pass, |_| {
            (None, format!("destination {} becomes {}", show(public), show(private)))
        });
        let policy = self.policy;
        let vpc = to.subnet.vpc;
        translate_embedded(self.packet, &self.headers, |end, address| {
            let (owner, private) = policy.by_public(address).filter(|_| end == End::Source)?;
            (policy.subnet(owner)?.vpc == vpc).then_some(private)
        });
        set_address(self.packet, &mut self.headers, End::Destination, private);
    }
}
