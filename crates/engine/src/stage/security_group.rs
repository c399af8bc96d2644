//! Security groups (SG-*) and the tracking of flows (SGT-*).
//!
//! A tracked flow passes whatever the rules say now (SGT-1, SGT-5). Anything else meets the rules,
//! every time: a flow that a rule for everybody admits while the other direction is open to
//! everybody is never tracked (SGT-2), so it ends with its rule.
//!
//! TCP begins to be tracked with a SYN only; a later packet of a connection that nobody knows is
//! rejected although a rule admits its port (FL-30). ICMP begins with a query; errors and
//! unasked-for replies need a rule of their own direction each time and leave nothing behind: an
//! error about a tracked flow is not implied by it (SGT-15).

use gureum_types::{IpProtocol, TrafficVerdict};

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::Address,
    policy::{
        Role,
        classifier::Class,
        routes::Way,
        rule_set::{Admission, RuleSet},
    },
    state::{
        Flows,
        cache::FlowUse,
        flow::{FlowKey, FlowRef, Phase, begins_icmp},
    },
    wire::ip::{Tuple, tcp},
};

/// What the rules make of a packet that belongs to no tracked flow.
enum Verdict {
    /// It passes and leaves nothing but its counters.
    Pass(Admission),
    /// A flow begins with it, by this direction's packet.
    Track(Admission, Direction, Phase),
    /// It is rejected.
    Reject(DropReason),
}

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    pub(super) fn security_group(
        &mut self,
        place: Place<'_>,
        direction: Direction,
    ) -> Result<(), Stop> {
        let key = FlowKey::new(place.interface.port, direction, &self.headers.tuple);
        let at = (place.interface.port, direction);
        if let Some(flow) = self.tracked_flow(&key) {
            self.step(Stage::SecurityGroup, at, Outcome::Pass, |walk| {
                let phase = walk.state.tracked.get(flow).map_or("", |flow| flow.phase.name());
                (None, format!("belongs to a tracked flow ({phase})"))
            });
            let of = FlowUse { flow, of: Flows::Tracked, direction };
            self.state.advance(&of, self.headers.tcp_flags, self.now, self.out);
            self.note_use(of);
            return Ok(());
        }
        match self.meet_rules(place, direction) {
            Verdict::Pass(admission) => {
                self.step(Stage::SecurityGroup, at, Outcome::Pass, |_| {
                    (Some(admission.rule), "admitted by a rule, not tracked".to_owned())
                });
                if let Some(flow) = self.state.count_untracked(key, direction, self.now) {
                    self.note_use(FlowUse { flow, of: Flows::Untracked, direction });
                } else {
                    self.cacheable = false;
                }
                Ok(())
            }
            Verdict::Track(admission, origin, phase) => {
                let flow = self.state.track(key, origin, phase, self.now, self.out);
                let Some(flow) = flow else {
                    self.reject(place, direction, TrafficVerdict::Reject);
                    let reason = DropReason::TrackingTableFull;
                    return Err(self.dropped(Stage::SecurityGroup, at, reason, |_| {
                        "no room for another tracked flow".to_owned()
                    }));
                };
                self.step(Stage::SecurityGroup, at, Outcome::Pass, |_| {
                    (Some(admission.rule), "admitted by a rule, tracked from here on".to_owned())
                });
                self.note_use(FlowUse { flow, of: Flows::Tracked, direction });
                Ok(())
            }
            Verdict::Reject(reason) => {
                self.reject(place, direction, TrafficVerdict::Reject);
                Err(self.dropped(Stage::SecurityGroup, at, reason, |walk| {
                    rejection(reason, direction, &walk.headers.tuple)
                }))
            }
        }
    }

    /// The tracked flow of a packet. A SYN after the end of a connection begins another one.
    fn tracked_flow(&mut self, key: &FlowKey) -> Option<FlowRef> {
        let flow = self.state.find_tracked(key, self.now, self.out)?;
        let over = self.state.tracked.get(flow).is_some_and(|flow| flow.phase.is_over());
        if over && self.headers.begins_tcp() {
            self.state.end_flow(flow, self.out);
            return None;
        }
        Some(flow)
    }

    fn meet_rules(&self, place: Place<'_>, direction: Direction) -> Verdict {
        let Some(rules) = self.policy.rules(place.interface) else {
            return Verdict::Reject(DropReason::BrokenInterface);
        };
        let (rules, reverse) = match direction {
            Direction::Egress => (&rules.egress, &rules.ingress),
            Direction::Ingress => (&rules.ingress, &rules.egress),
        };
        let tuple = &self.headers.tuple;
        let (family, protocol) = (tuple.family(), tuple.protocol);
        let loose = self.is_loose_tcp();
        let admitted =
            self.admission(place, (rules, direction), self.class(), peer(direction, tuple));
        let Some(admission) = admitted else {
            // After an unclean start, an answer may be the first packet seen (traps 9).
            if loose && let Some(by) = self.admits_answered(place, reverse, direction) {
                return Verdict::Track(by, opposite(direction), self.loose_phase(false));
            }
            return Verdict::Reject(match direction {
                Direction::Egress => DropReason::SecurityGroupEgress,
                Direction::Ingress => DropReason::SecurityGroupIngress,
            });
        };
        let untracked = admission.wide && reverse.admits_everything(family, protocol)
            || self.answers_untracked(place, (rules, reverse), direction);
        if untracked && !self.is_always_tracked(place, direction) {
            return Verdict::Pass(admission);
        }
        match IpProtocol(protocol) {
            _ if tuple.is_icmp() && !begins_icmp(tuple) => Verdict::Pass(admission),
            IpProtocol::TCP if loose => {
                Verdict::Track(admission, direction, self.loose_phase(true))
            }
            IpProtocol::TCP if !self.headers.begins_tcp() => {
                Verdict::Reject(DropReason::TcpNotTracked)
            }
            _ => Verdict::Track(admission, direction, Phase::first(tuple)),
        }
    }

    /// Whether the packet may be the answer of a flow that is not tracked, which the rule for
    /// everything of this direction admits (SGT-2).
    fn answers_untracked(
        &self,
        place: Place<'_>,
        (rules, reverse): (&RuleSet, &RuleSet),
        direction: Direction,
    ) -> bool {
        let tuple = &self.headers.tuple;
        rules.admits_everything(tuple.family(), tuple.protocol)
            && !self.headers.begins_tcp()
            && self.admits_answered(place, reverse, direction).is_some_and(|by| by.wide)
    }

    /// Whether the packet may re-create a flow that was lost: TCP without SYN, for some time.
    pub(super) fn is_loose_tcp(&self) -> bool {
        self.headers.tuple.protocol == IpProtocol::TCP.0
            && self.headers.tcp_flags & tcp::SYN == 0
            && self.state.is_loose(self.now)
    }

    fn loose_phase(&self, by_originator: bool) -> Phase {
        Phase::TcpEstablished.next(by_originator, self.headers.tcp_flags)
    }

    /// Whether the rules would have admitted what this packet answers.
    fn admits_answered(
        &self,
        place: Place<'_>,
        reverse: &RuleSet,
        direction: Direction,
    ) -> Option<Admission> {
        let answered = self.headers.tuple.reversed();
        let class = Class { protocol: answered.protocol, port: Some(answered.rule_port()) };
        let reverse_direction = opposite(direction);
        let peer = peer(reverse_direction, &answered);
        self.admission(place, (reverse, reverse_direction), class, peer)
    }

    fn admission(
        &self,
        place: Place<'_>,
        (rules, direction): (&RuleSet, Direction),
        class: Class,
        peer: Address,
    ) -> Option<Admission> {
        rules.admits(class, peer, || {
            // Only private addresses have groups (SG-30), and senders only where they sent the
            // packet themselves: whatever sends it on in between discards them (SG-32).
            let known = direction == Direction::Egress || self.comes_from_its_source();
            let vpc = known.then_some(place.subnet.vpc);
            let members = vpc.map(|vpc| self.policy.by_private_or_peer(vpc, peer));
            let rules = members.into_iter().flatten().filter_map(|it| self.policy.rules(it));
            rules.flat_map(|rules| rules.groups.iter())
        })
    }

    /// Whether the packet comes straight from the interface that has its source address.
    pub(super) fn comes_from_its_source(&self) -> bool {
        let source = self.headers.tuple.source;
        !self.forwarded
            && self.policy.interface(self.from).is_some_and(|interface| interface.has(source))
    }

    /// Whether the packet goes through a gateway or an endpoint whose flows are tracked whatever the
    /// rules say (SGT-11, NAT-22): begins one on the way to it, or comes back from it. What comes to the
    /// gateway and begins none is the gateway's to judge (NAT-12).
    fn is_always_tracked(&self, place: Place<'_>, direction: Direction) -> bool {
        let begins = self.headers.tuple.protocol != IpProtocol::TCP.0 || self.headers.begins_tcp();
        if place.interface.role == Role::Endpoint {
            return true;
        }
        let to_gateway = || {
            let way = self.peek(place, self.headers.tuple.destination);
            self.is_for_router(place)
                && matches!(way, Some(Way::NatGateway(_) | Way::EgressOnlyInternetGateway))
        };
        match direction {
            Direction::Egress => begins && (to_gateway() || self.goes_to_tracking_endpoint(place)),
            Direction::Ingress => self.from_tracker,
        }
    }

    fn note_use(&mut self, of: FlowUse) {
        match of.direction {
            Direction::Egress => self.uses.sender = Some(of),
            Direction::Ingress => self.uses.receiver = Some(of),
        }
    }

    /// Counters beside tracked flows, of what an interface saw as such a packet.
    pub(super) fn count_apart(
        &mut self,
        place: Place<'_>,
        direction: Direction,
        tuple: &Tuple,
    ) -> Option<FlowUse> {
        let key = FlowKey::new(place.interface.port, direction, tuple);
        let flow = self.state.count_untracked(key, direction, self.now)?;
        Some(FlowUse { flow, of: Flows::Untracked, direction })
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Egress => Direction::Ingress,
        Direction::Ingress => Direction::Egress,
    }
}

/// The other end of a packet, as rules name it.
fn peer(direction: Direction, tuple: &Tuple) -> Address {
    match direction {
        Direction::Egress => tuple.destination,
        Direction::Ingress => tuple.source,
    }
}

fn rejection(reason: DropReason, direction: Direction, tuple: &Tuple) -> String {
    if reason == DropReason::TcpNotTracked {
        return "a rule admits it, but it belongs to no connection that is tracked".to_owned();
    }
    let protocol = IpProtocol(tuple.protocol);
    let what = match protocol {
        IpProtocol::TCP | IpProtocol::UDP => format!("{protocol} {}", tuple.destination_port),
        _ if tuple.is_icmp() => {
            let [kind, code] = tuple.source_port.to_be_bytes();
            format!("{protocol} type {kind} code {code}")
        }
        _ => format!("protocol {protocol}"),
    };
    match direction {
        Direction::Egress => format!("no egress rule for {what} to {}", tuple.destination),
        Direction::Ingress => format!("no ingress rule for {what} from {}", tuple.source),
    }
}
