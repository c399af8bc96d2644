//! The egress-only internet gateway: what is begun from the inside, and its answers (EIGW-1). It has
//! no security groups; network ACLs apply as everywhere.

use gureum_types::{IpProtocol, TrafficVerdict};

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    state::{
        Flows,
        cache::FlowUse,
        flow::{FlowKey, FlowRef, Phase, begins_icmp},
    },
    wire::{icmpv6, rewrite::embedded},
};

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// From the inside: a flow begins, or goes on.
    pub(super) fn pass_egress_only(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let at = (place.interface.port, Direction::Egress);
        let stage = Stage::EgressOnlyInternetGateway;
        let tuple = self.headers.tuple;
        // The gateway knows the address's own interface, whichever sent the packet on.
        let owner = self.policy.by_private(place.subnet.vpc, tuple.source);
        let port = owner.map_or(place.interface.port, |owner| owner.port);
        let key = FlowKey::new(port, Direction::Egress, &tuple);
        let mut known = self.state.find_egress_only(&key, self.now);
        if let Some(flow) = known
            && self.headers.begins_tcp()
            && self.state.table(Flows::EgressOnly).get(flow).is_some_and(|f| f.phase.is_over())
        {
            self.state.end_egress_only(flow);
            known = None;
        }
        if known.is_none() && !self.begins_outward() {
            let reason = DropReason::EgressOnlyUnsolicited;
            return Err(self.dropped(stage, at, reason, |_| {
                "answers nothing that was begun from the inside, and begins nothing".to_owned()
            }));
        }
        if tuple.is_icmp() && known.is_none() && !begins_icmp(&tuple) {
            // An error about something: it leaves nothing behind.
            self.cacheable = false;
            return Ok(());
        }
        let flow = known.or_else(|| {
            let phase = match self.is_loose_tcp() {
                true => Phase::TcpEstablished,
                false => Phase::first(&tuple),
            };
            self.state.begin_egress_only(key, phase, self.now)
        });
        let Some(flow) = flow else {
            let reason = DropReason::TrackingTableFull;
            return Err(self.dropped(stage, at, reason, |_| "no room for another flow".to_owned()));
        };
        self.step(stage, at, Outcome::Pass, |_| (None, "outward".to_owned()));
        self.use_of_egress_only(flow, Direction::Egress);
        Ok(())
    }

    /// Whether a packet from the internet answers something that was begun from the inside.
    pub(super) fn answers_egress_only(&mut self, place: Place<'_>) -> bool {
        let port = place.interface.port;
        if self.headers.tuple.is_icmp_error() {
            // "Packet too big" and its like speak of what was sent out (RFC 8201).
            self.cacheable = false;
            return embedded(self.packet, &self.headers).is_some_and(|about| {
                let key = FlowKey::new(port, Direction::Egress, &about.tuple);
                self.state.find_egress_only(&key, self.now).is_some()
            });
        }
        let key = FlowKey::new(port, Direction::Ingress, &self.headers.tuple);
        let Some(flow) = self.state.find_egress_only(&key, self.now) else { return false };
        self.use_of_egress_only(flow, Direction::Ingress);
        true
    }

    fn use_of_egress_only(&mut self, flow: FlowRef, direction: Direction) {
        let of = FlowUse { flow, of: Flows::EgressOnly, direction };
        self.state.advance(&of, self.headers.tcp_flags, self.now, self.out);
        let credit = super::credit_of(&self.headers, TrafficVerdict::Accept);
        self.state.credit(&of, credit, self.now, self.out);
        // A second gateway on the way: such packets are looked at every time.
        self.cacheable &= self.uses.gateway.is_none();
        self.uses.gateway = Some(of);
    }

    /// Whether a packet from the inside may begin a flow.
    fn begins_outward(&self) -> bool {
        match IpProtocol(self.headers.tuple.protocol) {
            IpProtocol::TCP => self.headers.begins_tcp() || self.is_loose_tcp(),
            // The answer to an echo that came in by an internet gateway beside this one.
            IpProtocol::ICMPV6 => self.headers.tuple.icmp_type() != icmpv6::ECHO_REPLY,
            _ => true,
        }
    }
}
