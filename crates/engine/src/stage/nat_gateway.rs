//! NAT gateways (NAT-*): many private sources behind the gateway's own addresses, a port a flow.
//!
//! The gateway lives in a subnet as an interface: the subnet's network ACL sees both legs (NACL-20),
//! its route table decides where translated packets go on to (NAT-15). It has no security groups
//! (NAT-14) and counts as a router (NAT-18).

use gureum_types::IpProtocol;

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Offload, Outcome, Output, Stage, Trace,
    address::Family,
    policy::Role,
    state::{
        Flows,
        cache::FlowUse,
        flow::{FlowKey, Phase, begins_icmp},
        nat::Binding,
    },
    wire::{
        ETHERNET_LEN,
        icmp::{Complaint, ErrorEnds, error},
        ip::Part,
        reset::reset,
        rewrite::{
            EmbeddedEnd, End, decrement_hop_limit, embedded, set_address, set_embedded, set_port,
        },
    },
};

/// How many NAT gateways a packet may pass.
const HOPS_MAX: u8 = 4;

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// From an interface to the gateway: the source becomes one of the gateway's addresses, with a
    /// port that is the flow's alone (NAT-26).
    pub(super) fn translate_to_gateway(
        &mut self,
        from: Place<'a>,
        gateway: Place<'a>,
    ) -> Result<(), Stop> {
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
            (
                None,
                format!("source {}:{} becomes {address}:{port}", tuple.source, local_port(&tuple)),
            )
        });
        self.pass_gateway(binding, Direction::Egress);
        set_address(self.packet, &mut self.headers, End::Source, address);
        let end = if tuple.is_icmp() { End::Destination } else { End::Source };
        set_port(self.packet, &mut self.headers, end, port);
        decrement_hop_limit(self.packet, &mut self.headers);
        Ok(())
    }

    /// From wherever to the gateway's own address: only what answers a flow that it translates
    /// goes on, to who began that (NAT-10, NAT-11).
    pub(super) fn translate_from_gateway(&mut self, gateway: Place<'a>) -> Result<(), Stop> {
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
            self.credit(gateway, Direction::Ingress, false);
            let reason = DropReason::NatGatewayUnsolicited;
            return Err(self.dropped(Stage::NatGateway, at, reason, |_| in_words(reason)));
        };
        self.step(Stage::NatGateway, at, Outcome::Pass, |_| {
            (None, format!("destination {} becomes {address}:{port}", tuple.destination))
        });
        self.pass_gateway(binding, Direction::Ingress);
        set_address(self.packet, &mut self.headers, End::Destination, address);
        set_port(self.packet, &mut self.headers, End::Destination, port);
        decrement_hop_limit(self.packet, &mut self.headers);
        Ok(())
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
        let reason = if tuple.family() == Family::V6 || !carried && !tuple.is_icmp() {
            DropReason::NatGatewayProtocol
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
        let way = self.peek(gateway);
        let Some(mtu) = way.map(|way| self.mtu_of(way, gateway)) else { return Ok(()) };
        if self.headers.largest <= u32::from(mtu) || !self.headers.dont_fragment {
            return Ok(());
        }
        let at = (gateway.interface.port, Direction::Ingress);
        if self.headers.tuple.is_icmp_error()
            || self.headers.part == Part::Later
            || !can_be_told(from)
        {
            return Err(self.dropped(Stage::PathMtu, at, DropReason::TooLarge, |walk| {
                format!("{} bytes exceed {mtu}", walk.headers.largest)
            }));
        }
        self.step(Stage::PathMtu, at, Outcome::Reply, |walk| {
            (None, format!("{} bytes exceed {mtu}: \"fragmentation needed\"", walk.headers.largest))
        });
        Err(self.complain(from, gateway, Complaint::TooBig(mtu)))
    }

    /// Sends an ICMP error from the gateway's private address to the interface that sent the packet.
    fn complain(&mut self, from: Place<'a>, gateway: Place<'a>, complaint: Complaint) -> Stop {
        let Some(source) = gateway.interface.primary() else {
            return DropReason::BrokenInterface.into();
        };
        let destination = self.headers.tuple.source;
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
        match self.state.bind(key, addresses, phase, self.now) {
            Some(binding) => Ok(binding),
            None => {
                self.credit(gateway, Direction::Ingress, false);
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

    /// Takes note of a packet of a translated flow, on both sides.
    fn pass_gateway(&mut self, binding: Binding, direction: Direction) {
        let credit = super::credit_of(&self.headers, true);
        let inside = FlowUse { flow: binding.inside, of: Flows::NatInside, direction };
        let outside = FlowUse { flow: binding.outside, of: Flows::NatOutside, direction };
        for used in [&inside, &outside] {
            self.state.advance(used, self.headers.tcp_flags, self.now, self.out);
            self.state.credit(used, credit, self.now);
        }
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
    fn translate_error_outward(&mut self, gateway: Place<'a>) -> Result<(), Stop> {
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
        let end = EmbeddedEnd { address, port: Some(port) };
        set_embedded(self.packet, &self.headers, &about, End::Destination, end);
        set_address(self.packet, &mut self.headers, End::Source, address);
        self.passed_with_error(Direction::Egress)
    }

    /// An ICMP error from somewhere about a packet that the gateway translated.
    fn translate_error_inward(&mut self, gateway: Place<'a>) -> Result<(), Stop> {
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
        let end = EmbeddedEnd { address, port: Some(port) };
        set_embedded(self.packet, &self.headers, &about, End::Source, end);
        set_address(self.packet, &mut self.headers, End::Destination, address);
        self.passed_with_error(Direction::Ingress)
    }

    fn passed_with_error(&mut self, direction: Direction) -> Result<(), Stop> {
        self.count_hop(direction);
        self.cacheable = false;
        decrement_hop_limit(self.packet, &mut self.headers);
        Ok(())
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

/// Whether anybody is behind the port that a packet came from. Behind that of another gateway there
/// is nobody.
fn can_be_told(from: Place<'_>) -> bool {
    from.interface.role != Role::NatGateway
}

fn in_words(reason: DropReason) -> String {
    let words = match reason {
        DropReason::NatGatewayProtocol => "it carries TCP, UDP, and ICMP queries of IPv4 only",
        DropReason::NatGatewayFragment => "it carries no fragments but those of UDP",
        DropReason::NatGatewayLoop => "the packet came through too many NAT gateways",
        DropReason::HopLimitExceeded => "the packet passed as many routers as it may",
        _ => "it belongs to no flow that the gateway translates",
    };
    words.to_owned()
}

/// The user's port, or the identifier of its query.
fn local_port(tuple: &crate::wire::ip::Tuple) -> u16 {
    if tuple.is_icmp() { tuple.destination_port } else { tuple.source_port }
}
