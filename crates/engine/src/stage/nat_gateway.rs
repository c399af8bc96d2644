//! NAT gateways (NAT-*): many private sources behind the gateway's own addresses, a port a flow.
//!
//! The gateway lives in a subnet as an interface: the subnet's network ACL sees both legs (NACL-20),
//! its route table decides where translated packets go on to (NAT-15). It has no security groups
//! (NAT-14) and counts as a router (NAT-18).

use std::net::SocketAddr;

use gureum_types::{IpProtocol, PortIndex, TrafficVerdict};

use super::{
    Place, Stop, Walk,
    nat64::{behind_gateway, behind_prefix, in_ipv4, in_ipv6},
    source_check::EVERYBODY,
};
use crate::{
    Direction, DropReason, Offload, Outcome, Output, Stage, Trace,
    address::{Address, Family},
    policy::Role,
    state::{
        Credit, Flows,
        cache::FlowUse,
        flow::{FlowKey, Phase, begins_icmp},
        nat::Binding,
    },
    wire::{
        ETHERNET_LEN,
        icmp::{Complaint, ErrorEnds, error},
        ip::{Part, Tuple},
        reset::reset,
        rewrite::{
            Embedded, EmbeddedEnd, End, decrement_hop_limit, embedded, set_address, set_embedded,
            set_port,
        },
        translate::{LONGER, Translation},
    },
};

/// How many NAT gateways a packet may pass.
const HOPS_MAX: u8 = 4;

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// From an interface to the gateway: the source becomes one of the gateway's addresses, with a
    /// port that is the flow's alone (NAT-26). What is of IPv6 is to become that (NAT-24).
    pub(super) fn translate_to_gateway(
        &mut self,
        from: Place<'a>,
        gateway: Place<'a>,
    ) -> Result<Option<Translation>, Stop> {
        let at = (gateway.interface.port, Direction::Ingress);
        let tuple = self.headers.tuple;
        self.check_passage(gateway)?;
        // Only sources of the VPC are served; another gateway's translated packets are such.
        if self.policy.by_private(gateway.subnet.vpc, tuple.source).is_none() {
            let reason = DropReason::NatGatewaySource;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| {
                format!("{} is not an address of the gateway's VPC", tuple.source)
            }));
        }
        self.check_hop_limit(from, gateway)?;
        self.gateway_mtu(from, gateway)?;
        if tuple.is_icmp_error() {
            return self.translate_error_outward(gateway);
        }
        let key = FlowKey::new(gateway.interface.port, Direction::Egress, &tuple);
        let binding = match self.bound(&key, gateway) {
            Some(binding) => binding,
            None => self.bind(from, gateway, key)?,
        };
        let Some((address, port)) = self.state.outside_end(binding) else {
            return Err(DropReason::NatGatewayUnsolicited.into());
        };
        self.step(Stage::NatGateway, at, Outcome::Pass, |_| {
            (None, format!("source {} becomes {address}:{port}", local_end(&tuple)))
        });
        self.pass_gateway(binding, Direction::Egress, tuple.family());
        let translation = self.set_end(End::Source, address, None);
        let end = if tuple.is_icmp() { End::Destination } else { End::Source };
        set_port(self.packet, &mut self.headers, end, port);
        decrement_hop_limit(self.packet, &mut self.headers);
        Ok(translation)
    }

    /// From wherever to the gateway's own address: only what answers a flow that it translates
    /// goes on, to who began that (NAT-10, NAT-11).
    pub(super) fn translate_from_gateway(
        &mut self,
        gateway: Place<'a>,
    ) -> Result<Option<Translation>, Stop> {
        let at = (gateway.interface.port, Direction::Ingress);
        let tuple = self.headers.tuple;
        self.check_passage(gateway)?;
        if self.headers.hop_limit <= 1 {
            let reason = DropReason::HopLimitExceeded;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)));
        }
        if tuple.is_icmp_error() {
            return self.translate_error_inward(gateway);
        }
        let key = FlowKey::new(gateway.interface.port, Direction::Ingress, &tuple);
        let binding = self.state.bound_outside(&key, self.now);
        let end = binding.and_then(|binding| self.state.inside_end(binding));
        let (Some(binding), Some((address, port))) = (binding, end) else {
            let reason = DropReason::NatGatewayUnsolicited;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)));
        };
        if address.family() == Family::V6 {
            self.mtu_inward(gateway, address)?;
        }
        self.step(Stage::NatGateway, at, Outcome::Pass, |_| {
            let end = SocketAddr::new(address.ip(), port);
            (None, format!("destination {} becomes {end}", tuple.destination))
        });
        self.pass_gateway(binding, Direction::Ingress, address.family());
        let translation = self.set_end(End::Destination, address, None);
        set_port(self.packet, &mut self.headers, End::Destination, port);
        decrement_hop_limit(self.packet, &mut self.headers);
        Ok(translation)
    }

    /// From the gateway on, by the table of its own subnet (NAT-15).
    pub(super) fn onward_from_gateway(
        &mut self,
        gateway: Place<'a>,
        translation: Option<Translation>,
    ) -> Result<PortIndex, Stop> {
        match translation {
            None => self.onward(gateway),
            Some(translation) => Err(self.onward_translated(gateway, &translation)),
        }
    }

    /// Gives the packet the end that it has on the other side of the gateway. Where that is of the
    /// other family it is to be translated as a whole, with what an ICMP error carries.
    fn set_end(
        &mut self,
        end: End,
        address: Address,
        about: Option<(Address, Address)>,
    ) -> Option<Translation> {
        let Tuple { source, destination, .. } = self.headers.tuple;
        if address.family() == source.family() {
            set_address(self.packet, &mut self.headers, end, address);
            return None;
        }
        let (source, destination) = match end {
            End::Source => (address, in_ipv4(destination)),
            End::Destination => (in_ipv6(source), address),
        };
        Some(Translation { source, destination, about })
    }

    /// What no NAT gateway carries (NAT-7, NAT-13).
    fn check_passage(&mut self, gateway: Place<'a>) -> Result<(), Stop> {
        let at = (gateway.interface.port, Direction::Ingress);
        let tuple = self.headers.tuple;
        let carried = match IpProtocol(tuple.protocol) {
            IpProtocol::TCP | IpProtocol::UDP => true,
            _ => tuple.is_icmp_query() || tuple.is_icmp_error(),
        };
        let is_udp = IpProtocol(tuple.protocol) == IpProtocol::UDP;
        let reachable = tuple.family() == Family::V4 || behind_prefix(tuple.destination).is_some();
        let reason = if !reachable || !carried && !tuple.is_icmp() {
            DropReason::NatGatewayProtocol
        } else if in_ipv4(tuple.destination).is_multicast() {
            DropReason::Multicast
        } else if in_ipv4(tuple.destination) == EVERYBODY {
            DropReason::Broadcast
        } else if self.headers.part != Part::Whole && !is_udp {
            DropReason::NatGatewayFragment
        } else if !carried {
            DropReason::NatGatewayProtocol
        } else if self.hops >= HOPS_MAX {
            DropReason::NatGatewayLoop
        } else {
            return Ok(());
        };
        Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)))
    }

    /// The gateway is a router: it tells the sender of packets that passed too many (NAT-18).
    fn check_hop_limit(&mut self, from: Place<'a>, gateway: Place<'a>) -> Result<(), Stop> {
        if self.headers.hop_limit > 1 {
            return Ok(());
        }
        let at = (gateway.interface.port, Direction::Ingress);
        if self.headers.tuple.is_icmp_error()
            || self.headers.part == Part::Later
            || !can_be_told(from)
        {
            let reason = DropReason::HopLimitExceeded;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)));
        }
        self.step(Stage::NatGateway, at, Outcome::Reply, |_| {
            (None, "it passed as many routers as it may: \"time exceeded\"".to_owned())
        });
        Err(self.complain(from, gateway, Complaint::TimeExceeded))
    }

    /// What the way behind the gateway does not carry is told to the sender, before it is
    /// translated (MTU-1).
    fn gateway_mtu(&mut self, from: Place<'a>, gateway: Place<'a>) -> Result<(), Stop> {
        let way = self.peek(gateway, in_ipv4(self.headers.tuple.destination));
        let Some(mtu) = way.map(|way| self.mtu_of(way, gateway)) else { return Ok(()) };
        let is_ipv6 = self.headers.tuple.family() == Family::V6;
        // What was fragmented once may be so again, once it is of IPv4.
        let may_fragment =
            !self.headers.dont_fragment || is_ipv6 && self.headers.part != Part::Whole;
        let largest = self.headers.largest.saturating_sub(self.shorter_behind_gateway());
        if largest <= u32::from(mtu) || may_fragment {
            return Ok(());
        }
        let at = (gateway.interface.port, Direction::Ingress);
        if self.headers.tuple.is_icmp_error()
            || self.headers.part == Part::Later
            || !can_be_told(from)
        {
            return Err(self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |_| {
                format!("{largest} bytes exceed {mtu}")
            }));
        }
        self.step(Stage::PathMtu, at, Outcome::Reply, |_| {
            let error = if is_ipv6 { "packet too big" } else { "fragmentation needed" };
            (None, format!("{largest} bytes exceed {mtu}: \"{error}\""))
        });
        let mtu = if is_ipv6 { mtu.saturating_add(LONGER) } else { mtu };
        Err(self.complain(from, gateway, Complaint::TooBig(mtu)))
    }

    /// Sends an ICMP error from the gateway's private address to the interface that sent the packet.
    pub(super) fn complain(
        &mut self,
        from: Place<'a>,
        gateway: Place<'a>,
        complaint: Complaint,
    ) -> Stop {
        let Some(source) = gateway.interface.primary() else {
            return DropReason::BrokenInterface.into();
        };
        let destination = self.headers.tuple.source;
        let source = match destination.family() {
            Family::V4 => source,
            Family::V6 => in_ipv6(source),
        };
        let ends = ErrorEnds {
            source_mac: from.subnet.router_mac,
            destination_mac: from.interface.mac,
            source,
            destination,
        };
        self.finish_checksum();
        let packet = self.packet.frame.get(ETHERNET_LEN..self.headers.end).unwrap_or_default();
        let frame = error(ends, complaint, packet, self.headers.largest);
        self.send(from.interface.port, frame.as_bytes());
        Stop::Reply
    }

    /// The translation of a flow, unless the gateway has lost the address or the flow is over.
    fn bound(&mut self, key: &FlowKey, gateway: Place<'a>) -> Option<Binding> {
        let binding = self.state.bound_inside(key, self.now)?;
        let (address, _) = self.state.outside_end(binding)?;
        let over = self
            .state
            .table(Flows::NatInside)
            .get(binding.inside)
            .is_some_and(|flow| flow.phase.is_over() && self.headers.begins_tcp());
        if over || !gateway.interface.has(address) {
            self.state.unbind(binding.inside);
            return None;
        }
        Some(binding)
    }

    /// Begins to translate a flow. A TCP packet that begins none is answered with a reset (NAT-12):
    /// its flow was idle for too long, or is none that the gateway knows.
    fn bind(&mut self, from: Place<'a>, gateway: Place<'a>, key: FlowKey) -> Result<Binding, Stop> {
        let at = (gateway.interface.port, Direction::Ingress);
        let tuple = self.headers.tuple;
        let is_tcp = IpProtocol(tuple.protocol) == IpProtocol::TCP;
        if is_tcp && !self.headers.begins_tcp() {
            return Err(self.answer_with_reset(from, gateway));
        }
        if tuple.is_icmp() && !begins_icmp(&tuple) {
            let reason = DropReason::NatGatewayUnsolicited;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)));
        }
        let addresses = gateway.interface.addresses.iter().map(|(private, _)| *private);
        let phase = Phase::first(&tuple);
        let behind =
            FlowKey::new(gateway.interface.port, Direction::Egress, &behind_gateway(&tuple));
        match self.state.bind(key, behind, addresses, phase, self.now) {
            Some(binding) => Ok(binding),
            None => {
                let reason = DropReason::NatGatewayPortsExhausted;
                Err(self.dropped(Stage::NatGateway, at, reason, |_| {
                    format!("no port is left for {}", tuple.destination)
                }))
            }
        }
    }

    fn answer_with_reset(&mut self, from: Place<'a>, gateway: Place<'a>) -> Stop {
        let at = (gateway.interface.port, Direction::Ingress);
        let answer = reset(self.packet.frame, &self.headers, from.subnet.router_mac);
        if let Some(frame) = answer.filter(|_| can_be_told(from)) {
            self.step(Stage::NatGateway, at, Outcome::Reply, |_| {
                (None, "belongs to no flow that is translated: reset".to_owned())
            });
            self.send(from.interface.port, &frame);
            return Stop::Reply;
        }
        let reason = DropReason::NatGatewayUnsolicited;
        self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason))
    }

    /// Takes note of a packet of a translated flow, on both sides. In IPv6 it is longer.
    fn pass_gateway(&mut self, binding: Binding, direction: Direction, user: Family) {
        let credit = super::credit_of(&self.headers, TrafficVerdict::Accept);
        let (shorter, longer) = match (user, direction) {
            (Family::V4, _) => (0, 0),
            (Family::V6, Direction::Egress) => (self.shorter_behind_gateway(), 0),
            (Family::V6, Direction::Ingress) => (0, LONGER.into()),
        };
        let Credit { packets, bytes, .. } = credit;
        let of_user = bytes.saturating_add(packets.saturating_mul(longer));
        let of_all = bytes.saturating_sub(packets.saturating_mul(shorter));
        let inside = FlowUse { flow: binding.inside, of: Flows::NatInside, direction };
        let outside = FlowUse { flow: binding.outside, of: Flows::NatOutside, direction };
        for used in [&inside, &outside] {
            self.state.advance(used, self.headers.tcp_flags, self.now, self.out);
        }
        let of_user = (inside, Credit { bytes: of_user, ..credit });
        let of_all = (outside, Credit { bytes: of_all, ..credit });
        let (came, leaving) = match direction {
            Direction::Egress => (of_user, of_all),
            Direction::Ingress => (of_all, of_user),
        };
        self.state.credit(&came.0, came.1, self.now, self.out);
        self.leaving = Some(leaving);
        // A second gateway on the way: such packets are looked at every time.
        self.cacheable &= self.uses.gateway.is_none();
        self.uses.gateway = Some(inside);
        self.uses.gateway_outside = Some(outside);
        self.count_hop(direction);
    }

    /// The gateway is a router, and one that sends on what others sent.
    fn count_hop(&mut self, direction: Direction) {
        self.hops = self.hops.saturating_add(1);
        self.forwarded = true;
        self.from_tracker = direction == Direction::Ingress;
    }

    /// An ICMP error of a user about a packet that it got through the gateway.
    fn translate_error_outward(&mut self, gateway: Place<'a>) -> Result<Option<Translation>, Stop> {
        let at = (gateway.interface.port, Direction::Ingress);
        let about = embedded(self.packet, &self.headers);
        let found = about.and_then(|about| {
            let key = FlowKey::new(gateway.interface.port, Direction::Ingress, &about.tuple);
            let binding = self.state.bound_inside(&key, self.now)?;
            Some((about, self.state.outside_end(binding)?))
        });
        let Some((about, (address, port))) = found else {
            let reason = DropReason::NatGatewayUnsolicited;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)));
        };
        self.set_end_of_error((&about, End::Destination), (address, port));
        let carried = (in_ipv4(about.tuple.source), address);
        let translation = self.set_end(End::Source, address, Some(carried));
        self.passed_with_error(Direction::Egress);
        Ok(translation)
    }

    /// An ICMP error from somewhere about a packet that the gateway translated.
    fn translate_error_inward(&mut self, gateway: Place<'a>) -> Result<Option<Translation>, Stop> {
        let at = (gateway.interface.port, Direction::Ingress);
        let about = embedded(self.packet, &self.headers);
        let found = about.and_then(|about| {
            let key = FlowKey::new(gateway.interface.port, Direction::Egress, &about.tuple);
            let binding = self.state.bound_outside(&key, self.now)?;
            Some((about, self.state.inside_end(binding)?))
        });
        let Some((about, (address, port))) = found else {
            let reason = DropReason::NatGatewayUnsolicited;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)));
        };
        self.set_end_of_error((&about, End::Source), (address, port));
        let carried = (address, in_ipv6(about.tuple.destination));
        let translation = self.set_end(End::Destination, address, Some(carried));
        self.passed_with_error(Direction::Ingress);
        Ok(translation)
    }

    /// Gives the packet that an error carries the end that it had on the other side of the gateway;
    /// where that is of the other family, its port alone.
    fn set_end_of_error(&mut self, (about, end): (&Embedded, End), new: (Address, u16)) {
        let old = match end {
            End::Source => about.tuple.source,
            End::Destination => about.tuple.destination,
        };
        let address = if new.0.family() == old.family() { new.0 } else { old };
        let new = EmbeddedEnd { address, port: Some(new.1) };
        set_embedded(self.packet, &self.headers, about, end, new);
    }

    fn passed_with_error(&mut self, direction: Direction) {
        self.count_hop(direction);
        self.cacheable = false;
        decrement_hop_limit(self.packet, &mut self.headers);
    }

    /// Finishes a checksum that the sender left to the network card, where the packet stands for
    /// itself.
    pub(super) fn finish_checksum(&mut self) {
        if self.packet.offload.gso_type & !Offload::GSO_ECN == Offload::GSO_NONE {
            crate::wire::fragment::complete_checksum(
                self.packet.frame,
                self.headers.end,
                &mut self.packet.offload,
            );
        }
    }
}

/// Whether anybody is behind the port that a packet came from. Behind that of another gateway or of
/// an endpoint there is nobody.
fn can_be_told(from: Place<'_>) -> bool {
    from.interface.role == Role::Instance
}

fn in_words(reason: DropReason) -> String {
    let words = match reason {
        DropReason::NatGatewayProtocol => {
            "it carries TCP, UDP, and ICMP queries only, of IPv4 or to what 64:ff9b::/96 holds"
        }
        DropReason::Multicast | DropReason::Broadcast => "the address that it holds is not unicast",
        DropReason::NatGatewayFragment => "it carries no fragments but those of UDP",
        DropReason::NatGatewayLoop => "the packet came through too many NAT gateways",
        DropReason::HopLimitExceeded => "the packet passed as many routers as it may",
        _ => "it belongs to no flow that the gateway translates",
    };
    words.to_owned()
}

/// The user's end, with the port or the identifier of its query.
fn local_end(tuple: &Tuple) -> SocketAddr {
    let port = if tuple.is_icmp() { tuple.destination_port } else { tuple.source_port };
    SocketAddr::new(tuple.source.ip(), port)
}
