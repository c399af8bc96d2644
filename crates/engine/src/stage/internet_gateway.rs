//! The internet gateway: stateless 1:1 NAT between private and public addresses (IGW-2).
//!
//! It does not decrement TTL: what is behind it is one simulated hop, and traceroute from an
//! instance shows the host it asks for first.

use std::net::IpAddr;

use gureum_types::IpProtocol;

use super::{Arriving, Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::{Address, Family},
    policy::{Interface, routes::Way},
    wire::rewrite::{End, set_address, translate_embedded},
};

/// The port of mail servers, which is closed towards the internet (SG-37).
const SMTP: u16 = 25;

/// RFC 1918 and RFC 6598 space, which the gateway does not carry (IGW-16), and what is not
/// routable anywhere; in IPv6 all that is not global unicast (RFC 4291).
fn is_never_public(address: Address) -> bool {
    match address.ip() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_link_local()
                || address.is_loopback()
                || first == 0
                || first >= 224
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.segments()[0] & 0xe000 != 0x2000,
    }
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// From a VPC to the gateway: the source becomes public. Where the destination is a public
    /// address of an interface too, that is where the packet goes (IGW-7); `None` is the internet.
    pub(super) fn translate_outward(
        &mut self,
        place: Place<'a>,
    ) -> Result<Option<(Place<'a>, Arriving)>, Stop> {
        let at = (place.interface.port, Direction::Egress);
        let stage = Stage::InternetGateway;
        let source = self.headers.tuple.source;
        let owner = self.owner(place)?;
        self.carried_outward(place)?;
        let Some(public) = owner.public_of(source) else {
            let reason = DropReason::NoPublicAddress;
            return Err(
                self.dropped(stage, at, reason, |_| format!("{source} has no public address"))
            );
        };
        self.smtp(place)?;
        self.step(stage, at, Outcome::Pass, |_| {
            (None, format!("source {source} becomes {public}"))
        });
        let (policy, vpc) = (self.policy, place.subnet.vpc);
        translate_embedded(self.packet, &self.headers, |end, address| {
            // An error speaks of a packet that went the other way: its destination was translated.
            let owner = policy.by_private(vpc, address).filter(|_| end == End::Destination)?;
            owner.public_of(address)
        });
        set_address(self.packet, &mut self.headers, End::Source, public);
        match self.in_pool(place)? {
            Some((to, private)) => {
                self.make_private(to, private);
                Ok(Some((to, Arriving::Inward)))
            }
            None => Ok(None),
        }
    }

    /// From a VPC to a gateway in IPv6, where nothing is translated (IGW-4).
    pub(super) fn outward_ipv6(
        &mut self,
        place: Place<'a>,
        way: Way,
    ) -> Result<Option<(Place<'a>, Arriving)>, Stop> {
        self.owner(place)?;
        self.carried_outward(place)?;
        self.smtp(place)?;
        if way == Way::EgressOnlyInternetGateway {
            self.pass_egress_only(place)?;
        }
        match self.in_pool(place)? {
            Some((to, _)) => {
                let arriving = self.arriving_ipv6(to)?;
                Ok(Some((to, arriving)))
            }
            None => Ok(None),
        }
    }

    /// The interface of the VPC that has the source address: the sender, or who it sends packets
    /// on for (RT-20). Anything else is spoofed, whatever the sender's check says (IGW-18).
    fn owner(&mut self, place: Place<'a>) -> Result<&'a Interface, Stop> {
        let source = self.headers.tuple.source;
        if let Some(owner) = self.policy.by_private(place.subnet.vpc, source) {
            return Ok(owner);
        }
        let at = (place.interface.port, Direction::Egress);
        Err(self.dropped(Stage::InternetGateway, at, DropReason::GatewaySpoofed, |_| {
            format!("{source} is not an address of the VPC")
        }))
    }

    fn carried_outward(&mut self, place: Place<'a>) -> Result<(), Stop> {
        let destination = self.headers.tuple.destination;
        if !is_never_public(destination) {
            return Ok(());
        }
        let at = (place.interface.port, Direction::Egress);
        let reason = DropReason::GatewayPrivateAddress;
        Err(self.dropped(Stage::InternetGateway, at, reason, |_| {
            format!("{destination} is private address space")
        }))
    }

    fn smtp(&mut self, place: Place<'a>) -> Result<(), Stop> {
        let tuple = self.headers.tuple;
        if IpProtocol(tuple.protocol) != IpProtocol::TCP || tuple.destination_port != SMTP {
            return Ok(());
        }
        let at = (place.interface.port, Direction::Egress);
        let reason = DropReason::SmtpBlocked;
        Err(self.dropped(Stage::InternetGateway, at, reason, |_| "port 25 is closed".to_owned()))
    }

    /// The interface that has the public address which a packet goes to, and the private one;
    /// `None` is an address that no VPC can have.
    fn in_pool(&mut self, place: Place<'a>) -> Result<Option<(Place<'a>, Address)>, Stop> {
        let destination = self.headers.tuple.destination;
        if let Some((interface, private)) = self.policy.by_public(destination) {
            let to = self.place_of(interface)?;
            if destination.family() == Family::V4 {
                self.public_access(to, Direction::Ingress, false)?;
            }
            return Ok(Some((to, private)));
        }
        if !self.policy.fabric().is_of_pool(destination) {
            return Ok(None);
        }
        let at = (place.interface.port, Direction::Egress);
        let reason = DropReason::UnknownPublicAddress;
        Err(self.dropped(Stage::InternetGateway, at, reason, |_| {
            format!("no interface has the public address {destination}")
        }))
    }

    /// By which gateway a packet of IPv6 comes into a VPC: an egress-only one lets in answers, an
    /// internet gateway everything.
    fn arriving_ipv6(&mut self, to: Place<'a>) -> Result<Arriving, Stop> {
        let vpc = self.policy.vpc(to.subnet).ok_or(DropReason::BrokenInterface)?;
        let at = (to.interface.port, Direction::Ingress);
        if vpc.has_egress_only_gateway && self.answers_egress_only(to) {
            self.public_access(to, Direction::Ingress, true)?;
            self.step(Stage::EgressOnlyInternetGateway, at, Outcome::Pass, |_| {
                (None, "answers what was begun from the inside".to_owned())
            });
            return Ok(Arriving::Answer);
        }
        self.public_access(to, Direction::Ingress, !vpc.has_internet_gateway)?;
        if vpc.has_internet_gateway {
            // From the moment on that something like it is begun from the inside, it is an answer.
            self.cacheable &= !vpc.has_egress_only_gateway;
            return Ok(Arriving::Inward);
        }
        let reason = DropReason::EgressOnlyUnsolicited;
        Err(self.dropped(Stage::EgressOnlyInternetGateway, at, reason, |_| {
            "answers nothing that was begun from the inside".to_owned()
        }))
    }

    /// From the internet: the interface that has the public address (IGW-6).
    pub(super) fn translate_inward(&mut self) -> Result<(Place<'a>, Arriving), Stop> {
        let at = (self.from, Direction::Ingress);
        let stage = Stage::InternetGateway;
        let tuple = self.headers.tuple;
        if is_never_public(tuple.source) {
            let reason = DropReason::GatewayPrivateAddress;
            return Err(self.dropped(stage, at, reason, |_| {
                format!("{} is private address space", tuple.source)
            }));
        }
        let Some((interface, private)) = self.policy.by_public(tuple.destination) else {
            let reason = DropReason::UnknownPublicAddress;
            return Err(self.dropped(stage, at, reason, |_| {
                format!("no interface has the public address {}", tuple.destination)
            }));
        };
        let to = self.place_of(interface)?;
        self.incoming_mtu(to)?;
        if tuple.family() == Family::V6 {
            let arriving = self.arriving_ipv6(to)?;
            return Ok((to, arriving));
        }
        self.public_access(to, Direction::Ingress, false)?;
        self.make_private(to, private);
        Ok((to, Arriving::Inward))
    }

    /// The destination becomes private.
    fn make_private(&mut self, to: Place<'a>, private: Address) {
        let public = self.headers.tuple.destination;
        let at = (to.interface.port, Direction::Ingress);
        self.step(Stage::InternetGateway, at, Outcome::Pass, |_| {
            (None, format!("destination {public} becomes {private}"))
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
