//! Flows and how long they live (SGT-*, Appendix B), and security groups (SG-*).

use std::net::IpAddr;

use gureum_types::{
    IpProtocol, PortIndex, SecurityGroupId,
    record::{NetworkInterface, RulePeer, SecurityGroupRule, Traffic},
};

use super::{
    ACK, Answer, FIN, Kind, RST, SYN, Walk, Words,
    lookup::{has, interfaces_of, known_vpcs},
};
use crate::Direction;

const SECOND: u64 = 1_000_000_000;

/// How long flows may be idle, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    established: u64,
    /// TCP that is not established, or that one side has closed.
    transient: u64,
    udp: u64,
    udp_stream: u64,
    icmp: u64,
}

/// Appendix B.
pub(super) const USUAL: Timeouts =
    Timeouts { established: 432_000, transient: 60, udp: 30, udp_stream: 180, icmp: 30 };
/// 350 seconds for everything (NAT-12).
pub(super) const NAT_GATEWAY: Timeouts =
    Timeouts { established: 350, transient: 350, udp: 350, udp_stream: 350, icmp: 350 };

/// TCP that both sides have closed, and TCP that was reset: over, and kept for what is still
/// under way. The reference fixes neither.
const CLOSED: u64 = 60;
const RESET: u64 = 10;
/// SGT-8.
const OTHER: u64 = 600;

/// Those of an interface (SGT-9).
impl From<&NetworkInterface> for Timeouts {
    fn from(interface: &NetworkInterface) -> Self {
        let own = interface.connection_tracking;
        let or = |own: Option<u32>, usual| own.map_or(usual, u64::from);
        Self {
            established: or(own.tcp_established, USUAL.established),
            udp: or(own.udp, USUAL.udp),
            udp_stream: or(own.udp_stream, USUAL.udp_stream),
            ..USUAL
        }
    }
}

/// How far a flow is.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    protocol: u8,
    is_icmp: bool,
    began: Direction,
    last_seen: u64,
    answered: bool,
    established: bool,
    closed_by: Vec<Direction>,
    reset: bool,
    /// The directions of its packets, without repetitions.
    turns: Vec<Direction>,
}

impl Progress {
    /// A flow that begins with a packet.
    pub(super) fn new(packet: &Words, began: Direction, loose: bool) -> Self {
        Self {
            protocol: packet.protocol(),
            is_icmp: matches!(packet.kind, Kind::Icmp(..)),
            began,
            last_seen: 0,
            answered: loose,
            established: loose,
            closed_by: Vec::new(),
            reset: false,
            turns: Vec::new(),
        }
    }

    fn both_closed(&self) -> bool {
        [Direction::Egress, Direction::Ingress].iter().all(|side| self.closed_by.contains(side))
    }

    pub(super) fn is_idle(&self, timeouts: &Timeouts, now: u64) -> bool {
        let seconds = match IpProtocol(self.protocol) {
            IpProtocol::TCP if self.reset => RESET,
            IpProtocol::TCP if self.both_closed() => CLOSED,
            IpProtocol::TCP if self.established && self.closed_by.is_empty() => {
                timeouts.established
            }
            IpProtocol::TCP => timeouts.transient,
            // More than one exchange.
            IpProtocol::UDP if self.turns.len() >= 4 => timeouts.udp_stream,
            IpProtocol::UDP => timeouts.udp,
            _ if self.is_icmp => timeouts.icmp,
            _ => OTHER,
        };
        now - self.last_seen >= seconds * SECOND
    }

    pub(super) fn is_over(&self) -> bool {
        self.reset || self.both_closed()
    }

    pub(super) fn see(&mut self, direction: Direction, kind: Kind, now: u64) {
        self.last_seen = now;
        if self.turns.last() != Some(&direction) {
            self.turns.push(direction);
        }
        let Kind::Tcp(_, _, flags) = kind else { return };
        if self.reset || flags & RST != 0 {
            self.reset = true;
        } else if flags & FIN != 0 {
            self.closed_by.push(direction);
        } else if direction != self.began && flags & SYN != 0 {
            self.answered = true;
        } else if direction == self.began && self.answered && flags & (SYN | ACK) == ACK {
            self.established = true;
        }
    }
}

/// A flow at an interface.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) port: PortIndex,
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    pub(super) progress: Progress,
}

impl Tracked {
    /// The flow that a packet belongs to or would begin.
    pub(super) fn new(port: PortIndex, direction: Direction, packet: &Words) -> Self {
        let [local, remote] = packet.ends(direction);
        Self { port, local, remote, progress: Progress::new(packet, direction, false) }
    }

    /// Whether both are the same flow.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.port, self.local, self.remote, self.progress.protocol)
            == (other.port, other.local, other.remote, other.progress.protocol)
    }
}

/// A flow that a NAT gateway translates.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) gateway: PortIndex,
    /// Who began it.
    pub(super) inside: (IpAddr, u16),
    /// What it looks like behind the gateway.
    pub(super) outside: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    /// The other end as it is known behind the gateway, with the protocol there: in IPv4.
    pub(super) beyond: (IpAddr, u16),
    pub(super) protocol_beyond: u8,
    pub(super) progress: Progress,
}

impl Binding {
    pub(super) fn protocol(&self) -> u8 {
        self.progress.protocol
    }
}

/// Whether a rule or an entry speaks of a packet, its addresses aside. One family's control
/// protocol over the other has no types that could be compared (NACL-10).
pub(super) fn speaks_of(traffic: &Traffic, packet: &Words) -> bool {
    match (traffic, packet.kind) {
        (Traffic::All, _) => true,
        (Traffic::Ports { protocol, from, to }, Kind::Tcp(_, port, _) | Kind::Udp(_, port)) => {
            protocol.0 == packet.protocol() && (*from..=*to).contains(&port)
        }
        (Traffic::Icmp { protocol, icmp_type, icmp_code }, Kind::Icmp(kind, code, _)) => {
            protocol.0 == packet.protocol()
                && icmp_type.is_none_or(|wanted| wanted == kind)
                && (icmp_type.is_none() || icmp_code.is_none_or(|wanted| wanted == code))
        }
        (Traffic::Icmp { protocol, .. } | Traffic::Ports { protocol, .. }, Kind::Other(number)) => {
            protocol.0 == number
        }
        (Traffic::Protocol(protocol), _) => protocol.0 == packet.protocol(),
        _ => false,
    }
}

/// Whether a rule is one from or to everybody of a packet's family (SGT-2, SGT-4). A prefix list
/// never is.
fn is_everybody(peer: &RulePeer, packet: &Words) -> bool {
    match peer {
        RulePeer::Ipv4(block) => block.prefix_len() == 0 && packet.source.is_ipv4(),
        RulePeer::Ipv6(block) => block.prefix_len() == 0 && packet.source.is_ipv6(),
        RulePeer::Group(_) | RulePeer::PrefixList(_) => false,
    }
}

/// Whether a rule is one for all ports of a packet's protocol, from or to everybody (SGT-2).
fn is_wide_open(rule: &SecurityGroupRule, packet: &Words) -> bool {
    is_everybody(&rule.peer, packet)
        && match rule.traffic {
            Traffic::All => true,
            Traffic::Ports { protocol, from: 0, to: 0xffff } | Traffic::Protocol(protocol) => {
                protocol.0 == packet.protocol()
            }
            _ => false,
        }
}

impl<'a> Walk<'a, '_> {
    /// The security groups of an interface. `by_tracker` is whether the flow goes through a gateway
    /// whose flows are always tracked (SGT-11).
    pub(super) fn security_groups(
        &mut self,
        interface: &NetworkInterface,
        direction: Direction,
        packet: Words,
        by_tracker: bool,
    ) -> Answer<()> {
        let mut flow = Tracked::new(interface.port, direction, &packet);
        let (kind, now) = (packet.kind, self.now);
        let tracked = &mut self.oracle.tracked;
        if let Some(known) = tracked.iter().position(|known| known.is(&flow)) {
            if !(tracked[known].progress.is_over() && packet.begins_tcp()) {
                tracked[known].progress.see(direction, kind, now);
                return Ok(());
            }
            tracked.remove(known);
        }
        let reverse = match direction {
            Direction::Egress => Direction::Ingress,
            Direction::Ingress => Direction::Egress,
        };
        let rules = self.rules_of(interface, direction);
        let reverse_rules = self.rules_of(interface, reverse);
        let mine: Vec<_> =
            rules.iter().filter(|r| self.admits(interface, r, direction, &packet)).collect();
        let answered: Vec<_> = reverse_rules
            .iter()
            .filter(|r| self.admits(interface, r, reverse, &packet.reversed()))
            .collect();
        let loose = now < self.oracle.loose_until
            && matches!(kind, Kind::Tcp(_, _, flags) if flags & SYN == 0);
        flow.progress = Progress::new(&packet, direction, loose);
        if mine.is_empty() {
            if loose && !answered.is_empty() {
                flow.progress = Progress::new(&packet, reverse, loose);
                flow.progress.see(direction, kind, now);
                self.oracle.tracked.push(flow);
                return Ok(());
            }
            return Err(match direction {
                Direction::Egress => "security-group-egress",
                Direction::Ingress => "security-group-ingress",
            }
            .into());
        }
        let tcp_or_udp = matches!(kind, Kind::Tcp(..) | Kind::Udp(..));
        let everything = |rules: &[&SecurityGroupRule]| {
            tcp_or_udp && rules.iter().any(|rule| is_wide_open(rule, &packet))
        };
        let everybody = |rule: &&&SecurityGroupRule| is_everybody(&rule.peer, &packet);
        let untracked = mine.iter().any(everybody) && everything(&reverse_rules);
        let answers_untracked =
            everything(&rules) && !packet.begins_tcp() && answered.iter().any(everybody);
        if (untracked || answers_untracked) && !by_tracker {
            return Ok(());
        }
        match kind {
            Kind::Icmp(..) if !packet.asks() => return Ok(()),
            Kind::Tcp(..) if !loose && !packet.begins_tcp() => {
                return Err("tcp-not-tracked".into());
            }
            _ => {}
        }
        flow.progress.see(direction, kind, now);
        self.oracle.tracked.push(flow);
        Ok(())
    }

    fn rules_of(
        &self,
        interface: &NetworkInterface,
        direction: Direction,
    ) -> Vec<&'a SecurityGroupRule> {
        let exists =
            |id: &SecurityGroupId| self.network.security_groups.iter().any(|g| g.id == *id);
        self.network
            .security_group_rules
            .iter()
            .filter(|rule| interface.groups.contains(&rule.group_id) && exists(&rule.group_id))
            .filter(|rule| rule.egress == (direction == Direction::Egress))
            .map(AsRef::as_ref)
            .collect()
    }

    fn admits(
        &self,
        interface: &NetworkInterface,
        rule: &SecurityGroupRule,
        direction: Direction,
        packet: &Words,
    ) -> bool {
        let peer = match direction {
            Direction::Egress => packet.destination,
            Direction::Ingress => packet.source,
        };
        let peer_fits = match &rule.peer {
            RulePeer::Ipv4(block) => matches!(peer, IpAddr::V4(peer) if block.contains(&peer)),
            RulePeer::Ipv6(block) => matches!(peer, IpAddr::V6(peer) if block.contains(&peer)),
            RulePeer::PrefixList(id) => {
                let list = self.network.prefix_lists.iter().find(|list| list.id == *id);
                list.is_some_and(|list| list.entries.iter().any(|e| e.cidr.contains(&peer)))
            }
            RulePeer::Group(group) => {
                (direction == Direction::Egress || self.keeps_identity())
                    && self.is_member(interface, group, peer)
            }
        };
        peer_fits && speaks_of(&rule.traffic, packet)
    }

    /// Whether the packet comes from who has its source address without anybody in between who
    /// sent it on: appliances and gateways discard the groups of the sender (SG-32).
    fn keeps_identity(&self) -> bool {
        self.own_source && self.went.nat_gateways == 0 && !self.went.internet_gateway
    }

    /// Whether an address is a private one of an interface with a group (SG-30), of the VPC or of
    /// one that its rules may refer to (SG-31).
    fn is_member(
        &self,
        interface: &NetworkInterface,
        group: &SecurityGroupId,
        address: IpAddr,
    ) -> bool {
        let Ok((_, vpc)) = self.home(interface) else { return false };
        known_vpcs(self.network, vpc)
            .into_iter()
            .flat_map(|vpc| interfaces_of(self.network, &vpc.id))
            .any(|other| has(other, address) && other.groups.contains(group))
    }
}
