//! A flow at one interface: its key, how far it is tracked, what it carried (SGT-*, Appendix B).

use std::hash::{Hash, Hasher};

use gureum_types::{
    IpProtocol, PortIndex, TrafficDirection, TrafficPath, TrafficVerdict,
    record::ConnectionTracking,
};

use super::{Credit, Flows};
use crate::{
    Direction, Output, Tally, TallyKey,
    address::{Address, Family},
    policy::classifier::icmp_of,
    wire::{
        icmpv6,
        ip::{Tuple, tcp},
    },
};

const SECOND: u64 = 1_000_000_000;
/// TCP, established (SGT-9).
pub const TCP_ESTABLISHED_TIMEOUT: u64 = 432_000 * SECOND;
/// TCP while it opens or closes (SGT-10, ours).
pub const TCP_TRANSIENT_TIMEOUT: u64 = 60 * SECOND;
/// TCP after a reset: long enough for what is still under way (ours).
pub const TCP_RESET_TIMEOUT: u64 = 10 * SECOND;
/// UDP, one direction or one exchange (SGT-9).
pub const UDP_SINGLE_TIMEOUT: u64 = 30 * SECOND;
/// UDP, more than one exchange (SGT-9).
pub const UDP_STREAM_TIMEOUT: u64 = 180 * SECOND;
/// ICMP (SGT-10, ours).
pub const ICMP_TIMEOUT: u64 = 30 * SECOND;
/// Other protocols (SGT-8).
pub const OTHER_TIMEOUT: u64 = 600 * SECOND;
/// Through a NAT gateway, whatever the protocol (NAT-12).
pub const NAT_GATEWAY_TIMEOUT: u64 = 350 * SECOND;
/// How long the counters of a flow that is not tracked are kept after its last packet.
pub const UNTRACKED_TIMEOUT: u64 = 120 * SECOND;
/// How far `last seen` may run ahead of the journal, in units of [`JOURNAL_UNIT`].
const JOURNAL_INTERVAL: u32 = ((5 * SECOND) >> JOURNAL_UNIT) as u32;
/// The unit in which a flow keeps when it was last journaled, as a shift: 2^20 ns, about a
/// millisecond. Such times begin anew after 52 days, ten times as long as a flow may be idle.
const JOURNAL_UNIT: u32 = 20;

/// A flow as its interface sees it. State is per interface, never shared (SGT-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    pub(crate) local: Address,
    pub(crate) remote: Address,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    /// The port, which has 17 bits, with the protocol behind it.
    pub(super) interface: u32,
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.local.hash(state);
        self.remote.hash(state);
        let ports = u32::from(self.local_port) << 16 | u32::from(self.remote_port);
        state.write_u64(u64::from(self.interface) << 32 | u64::from(ports));
    }
}

impl FlowKey {
    /// The key of a packet that goes out of an interface or into it.
    pub(crate) fn new(port: PortIndex, direction: Direction, tuple: &Tuple) -> Self {
        let seen = match direction {
            Direction::Egress => *tuple,
            Direction::Ingress => tuple.reversed(),
        };
        let (local_port, remote_port) = match tuple.is_icmp() {
            true => icmp_ports(direction, tuple),
            false => (seen.source_port, seen.destination_port),
        };
        let ends = ((seen.source, local_port), (seen.destination, remote_port));
        Self::of(port, tuple.protocol, ends)
    }

    /// The key of a flow between a local and a remote end.
    pub(crate) fn of(
        port: PortIndex,
        protocol: u8,
        ((local, local_port), (remote, remote_port)): ((Address, u16), (Address, u16)),
    ) -> Self {
        let interface = port.0 << 8 | u32::from(protocol);
        Self { local, remote, local_port, remote_port, interface }
    }

    /// The port of the interface.
    #[inline]
    pub(crate) fn port(&self) -> u32 {
        self.interface >> 8
    }

    /// IP protocol number.
    #[inline]
    pub(crate) fn protocol(&self) -> u8 {
        self.interface.to_be_bytes()[3]
    }
}

/// ICMP's place of ports: the identifier (SGT-7), and the kind of query with who asks. What is
/// no query is told apart by type and code.
fn icmp_ports(direction: Direction, tuple: &Tuple) -> (u16, u16) {
    let (asks, query) = match (tuple.family(), tuple.icmp_type()) {
        (Family::V4, 0) => (false, 8),
        (Family::V4, reply @ (14 | 16 | 18)) => (false, reply - 1),
        (Family::V4, request @ (8 | 13 | 15 | 17)) => (true, request),
        (Family::V6, icmpv6::ECHO) => (true, icmpv6::ECHO),
        (Family::V6, icmpv6::ECHO_REPLY) => (false, icmpv6::ECHO),
        _ => return (tuple.source_port, 0xffff),
    };
    let local_asks = asks == (direction == Direction::Egress);
    (tuple.destination_port, u16::from(query) << 8 | u16::from(local_asks))
}

/// Whether an ICMP packet asks for an answer, so that a flow begins with it.
pub(crate) fn begins_icmp(tuple: &Tuple) -> bool {
    match tuple.family() {
        Family::V4 => matches!(tuple.icmp_type(), 8 | 13 | 15 | 17),
        Family::V6 => tuple.icmp_type() == icmpv6::ECHO,
    }
}

/// How far a flow is, which decides how long it may be idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Counted only; replies are admitted by rules (SGT-2).
    Untracked = 0,
    /// A SYN was seen.
    TcpSynSent = 1,
    /// Its SYN-ACK was seen.
    TcpSynReceived = 2,
    /// The handshake is complete.
    TcpEstablished = 3,
    /// The originator sent a FIN.
    TcpOriginatorClosed = 4,
    /// The other end sent a FIN.
    TcpResponderClosed = 5,
    /// Both ends sent one.
    TcpClosed = 6,
    /// A RST was seen.
    TcpReset = 7,
    /// A datagram was seen.
    UdpRequest = 8,
    /// It was answered.
    UdpReply = 9,
    /// Another one came after the answer.
    UdpSecondRequest = 10,
    /// That was answered too: more than one exchange.
    UdpStream = 11,
    /// ICMP queries.
    Icmp = 12,
    /// Another protocol.
    Other = 13,
}

impl Phase {
    /// All phases, by their number in records.
    const ALL: [Self; 14] = [
        Self::Untracked,
        Self::TcpSynSent,
        Self::TcpSynReceived,
        Self::TcpEstablished,
        Self::TcpOriginatorClosed,
        Self::TcpResponderClosed,
        Self::TcpClosed,
        Self::TcpReset,
        Self::UdpRequest,
        Self::UdpReply,
        Self::UdpSecondRequest,
        Self::UdpStream,
        Self::Icmp,
        Self::Other,
    ];

    /// The phase of a number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// A name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Untracked => "untracked",
            Self::TcpSynSent => "syn-sent",
            Self::TcpSynReceived => "syn-received",
            Self::TcpEstablished => "established",
            Self::TcpOriginatorClosed | Self::TcpResponderClosed => "closing",
            Self::TcpClosed => "closed",
            Self::TcpReset => "reset",
            Self::UdpRequest | Self::UdpReply | Self::UdpSecondRequest => "single",
            Self::UdpStream => "stream",
            Self::Icmp | Self::Other => "tracked",
        }
    }

    /// Whether a SYN in this phase begins another connection, which meets the rules anew.
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::TcpClosed | Self::TcpReset)
    }

    /// The phase of a flow that begins.
    pub(crate) fn first(tuple: &Tuple) -> Self {
        match IpProtocol(tuple.protocol) {
            IpProtocol::TCP => Self::TcpSynSent,
            IpProtocol::UDP => Self::UdpRequest,
            // One family's ICMP over the other is a protocol like any (SGT-8).
            _ if tuple.is_icmp() => Self::Icmp,
            _ => Self::Other,
        }
    }

    /// The phase after a packet, of the flow's originator or of the other end.
    #[inline]
    pub(crate) fn next(self, by_originator: bool, flags: u8) -> Self {
        match self {
            Self::UdpRequest if !by_originator => Self::UdpReply,
            Self::UdpReply if by_originator => Self::UdpSecondRequest,
            Self::UdpSecondRequest if !by_originator => Self::UdpStream,
            Self::TcpSynSent
            | Self::TcpSynReceived
            | Self::TcpEstablished
            | Self::TcpOriginatorClosed
            | Self::TcpResponderClosed
            | Self::TcpClosed => self.next_tcp(by_originator, flags),
            _ => self,
        }
    }

    #[inline]
    fn next_tcp(self, by_originator: bool, flags: u8) -> Self {
        if flags & tcp::RST != 0 {
            return Self::TcpReset;
        }
        if flags & tcp::FIN != 0 {
            return match (self, by_originator) {
                (Self::TcpClosed, _)
                | (Self::TcpOriginatorClosed, false)
                | (Self::TcpResponderClosed, true) => Self::TcpClosed,
                (_, true) => Self::TcpOriginatorClosed,
                (_, false) => Self::TcpResponderClosed,
            };
        }
        match self {
            Self::TcpSynSent if !by_originator && flags & tcp::SYN != 0 => Self::TcpSynReceived,
            Self::TcpSynReceived if by_originator && flags & (tcp::SYN | tcp::ACK) == tcp::ACK => {
                Self::TcpEstablished
            }
            _ => self,
        }
    }
}

/// Whole seconds of a timeout.
const fn seconds(timeout: u64) -> u32 {
    (timeout / SECOND) as u32
}

/// How long flows of an interface may be idle, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    tcp_established: u32,
    /// While a connection opens, or one side has closed it.
    tcp_transient: u32,
    udp_single: u32,
    udp_stream: u32,
    icmp: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: seconds(TCP_ESTABLISHED_TIMEOUT),
            tcp_transient: seconds(TCP_TRANSIENT_TIMEOUT),
            udp_single: seconds(UDP_SINGLE_TIMEOUT),
            udp_stream: seconds(UDP_STREAM_TIMEOUT),
            icmp: seconds(ICMP_TIMEOUT),
        }
    }
}

impl Timeouts {
    /// Those of a NAT gateway (NAT-12): one for all that is not over.
    pub(crate) const NAT_GATEWAY: Self = Self {
        tcp_established: seconds(NAT_GATEWAY_TIMEOUT),
        tcp_transient: seconds(NAT_GATEWAY_TIMEOUT),
        udp_single: seconds(NAT_GATEWAY_TIMEOUT),
        udp_stream: seconds(NAT_GATEWAY_TIMEOUT),
        icmp: seconds(NAT_GATEWAY_TIMEOUT),
    };

    /// Those that an interface asks for (SGT-9).
    pub(crate) fn of(wanted: &ConnectionTracking) -> Self {
        let or = |wanted: Option<u32>, default| wanted.unwrap_or(default);
        Self {
            tcp_established: or(wanted.tcp_established, seconds(TCP_ESTABLISHED_TIMEOUT)),
            tcp_transient: seconds(TCP_TRANSIENT_TIMEOUT),
            udp_single: or(wanted.udp, seconds(UDP_SINGLE_TIMEOUT)),
            udp_stream: or(wanted.udp_stream, seconds(UDP_STREAM_TIMEOUT)),
            icmp: seconds(ICMP_TIMEOUT),
        }
    }

    /// How long a flow may be idle in a phase.
    pub(crate) const fn of_phase(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Untracked => seconds(UNTRACKED_TIMEOUT),
            Phase::TcpEstablished => self.tcp_established,
            Phase::TcpSynSent
            | Phase::TcpSynReceived
            | Phase::TcpOriginatorClosed
            | Phase::TcpResponderClosed => self.tcp_transient,
            Phase::TcpClosed => seconds(TCP_TRANSIENT_TIMEOUT),
            Phase::TcpReset => seconds(TCP_RESET_TIMEOUT),
            Phase::UdpRequest | Phase::UdpReply | Phase::UdpSecondRequest => self.udp_single,
            Phase::UdpStream => self.udp_stream,
            Phase::Icmp => self.icmp,
            Phase::Other => seconds(OTHER_TIMEOUT),
        }
    }
}

/// What a flow carried in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets on the wire (traps 3) that security groups and network ACLs accepted.
    pub packets: u64,
    /// Their bytes from the IP header on.
    pub bytes: u64,
    /// Packets that they rejected.
    pub rejected_packets: u64,
    /// Their bytes.
    pub rejected_bytes: u64,
    /// TCP flags of all of them, or-ed.
    pub tcp_flags: u8,
}

/// What was accepted in one direction, or rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// What was rejected of a flow, out and in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rejected {
    carried: [Carried; 2],
    /// Where its sums are kept ([`Output::tally`]).
    entries: [u32; 2],
}

impl Default for Rejected {
    fn default() -> Self {
        Self { carried: [Carried::default(); 2], entries: [u32::MAX; 2] }
    }
}

/// A slot with its generation: it stays valid until the flow in it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowRef {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl FlowRef {
    /// A reference to nothing: slots are fewer.
    pub(crate) const NONE: Self = Self { slot: u32::MAX, generation: u32::MAX };
}

/// A time as flows keep it of the journal.
const fn in_journal_units(time: u64) -> u32 {
    (time >> JOURNAL_UNIT) as u32
}

/// TCP flags as flow logs write them: FIN, SYN and RST, and ACK only beside SYN (FL-25).
const fn logged_flags(tcp_flags: u8) -> u8 {
    let with_syn = if tcp_flags & tcp::SYN == 0 { 0 } else { tcp::ACK };
    tcp_flags & (tcp::FIN | tcp::SYN | tcp::RST | with_syn)
}

/// A flow. It is kept small: there are many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) key: FlowKey,
    pub(crate) created: u64,
    pub(crate) last_seen: u64,
    /// The same flow on the other side of a translation, or [`FlowRef::NONE`].
    twin: FlowRef,
    pub(crate) egress: Carried,
    pub(crate) ingress: Carried,
    /// What was rejected: nothing ever of a tracked flow.
    rejected: Option<Box<Rejected>>,
    /// Where the sums of what was accepted are kept for flow logs, out and in ([`Output::tally`]).
    entries: [u32; 2],
    /// `last_seen` as the journal has it, in units of its own.
    journaled: u32,
    /// How long it may be idle, in seconds.
    timeout: u32,
    pub(crate) phase: Phase,
    /// The direction of the packet that began it.
    pub(crate) origin: Direction,
    /// TCP flags of all packets, or-ed, out and in.
    pub(crate) tcp_flags: [u8; 2],
    /// By which way its packets leave the interface (FL-27).
    path: Option<TrafficPath>,
}

/// Flows with their slots and index are to fit into what a million of them may take.
const _: () = assert!(size_of::<Flow>() <= 128);

impl Flow {
    pub(crate) fn new(
        key: FlowKey,
        phase: Phase,
        origin: Direction,
        timeouts: &Timeouts,
        now: u64,
    ) -> Self {
        Self {
            key,
            created: now,
            last_seen: now,
            entries: [u32::MAX; 2],
            journaled: in_journal_units(now),
            twin: FlowRef::NONE,
            egress: Carried::default(),
            ingress: Carried::default(),
            rejected: None,
            timeout: timeouts.of_phase(phase),
            phase,
            origin,
            tcp_flags: [0; 2],
            path: None,
        }
    }

    /// Takes note that the journal has it as it is.
    pub(crate) fn set_journaled(&mut self) {
        self.journaled = in_journal_units(self.last_seen);
    }

    /// The same flow on the other side of a translation.
    pub(crate) fn twin(&self) -> Option<FlowRef> {
        (self.twin != FlowRef::NONE).then_some(self.twin)
    }

    /// Ties it to the same flow on the other side of a translation.
    pub(crate) fn set_twin(&mut self, twin: FlowRef) {
        self.twin = twin;
    }

    /// Gives it the timeouts of its interface anew.
    pub(crate) fn set_timeouts(&mut self, timeouts: &Timeouts) {
        self.timeout = timeouts.of_phase(self.phase);
    }

    /// Whether it has been idle for too long. Such a flow is as good as gone.
    #[inline]
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        now.saturating_sub(self.last_seen) >= u64::from(self.timeout) * SECOND
    }

    /// Takes note of a packet. Tells whether the journal must know.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        direction: Direction,
        tcp_flags: u8,
        now: u64,
        timeouts: impl FnOnce() -> Timeouts,
    ) -> bool {
        let before = self.phase;
        self.phase = before.next(direction == self.origin, tcp_flags);
        // A clock that a restored record was ahead of must not turn back.
        self.last_seen = self.last_seen.max(now);
        if self.phase != before {
            self.set_timeouts(&timeouts());
            return true;
        }
        in_journal_units(self.last_seen).wrapping_sub(self.journaled) >= JOURNAL_INTERVAL
    }

    /// Adds packets to what it carried in a direction.
    #[inline]
    pub(crate) fn credit(&mut self, direction: Direction, credit: &Credit) {
        let (place, accepted) = match direction {
            Direction::Egress => (0, &mut self.egress),
            Direction::Ingress => (1, &mut self.ingress),
        };
        if let Some(flags) = self.tcp_flags.get_mut(place) {
            *flags |= credit.tcp_flags;
        }
        if credit.path.is_some() {
            self.path = credit.path;
        }
        let carried = match credit.verdict {
            TrafficVerdict::Accept => Some(accepted),
            _ => self.rejected.get_or_insert_default().carried.get_mut(place),
        };
        if let Some(carried) = carried {
            carried.packets += u64::from(credit.packets);
            carried.bytes += u64::from(credit.bytes);
        }
    }

    /// Tells of packets for the flow logs of its interface.
    #[inline]
    pub(crate) fn tally(
        &mut self,
        interface: u64,
        of: (Flows, Direction),
        credit: &Credit,
        now: u64,
        out: &mut impl Output,
    ) {
        let (place, tally) = self.told(interface, of, credit, now);
        let entries = match credit.verdict {
            TrafficVerdict::Accept => &mut self.entries,
            _ => &mut self.rejected.get_or_insert_default().entries,
        };
        if let Some(entry) = entries.get_mut(place) {
            *entry = out.tally(*entry, &tally);
        }
    }

    /// What is told of packets, and at which place of its entries that is summed up. What goes in on
    /// the inside of a NAT gateway comes into the gateway's interface from the user, and the other way
    /// round (FL-34).
    #[inline]
    pub(crate) fn told(
        &self,
        interface: u64,
        (of, direction): (Flows, Direction),
        credit: &Credit,
        now: u64,
    ) -> (usize, Tally) {
        let FlowKey { local, remote, local_port, remote_port, .. } = self.key;
        let has_ports = IpProtocol(self.key.protocol()) != icmp_of(local.family());
        let (local, remote) = (local.number(), remote.number());
        let (local_port, remote_port) = if has_ports { (local_port, remote_port) } else { (0, 0) };
        let leaves = (direction == Direction::Egress) != (of == Flows::NatInside);
        let (direction_seen, path) = match leaves {
            true => (TrafficDirection::Egress, self.path),
            false => (TrafficDirection::Ingress, None),
        };
        let (place, source, destination, source_port, destination_port) = match direction {
            Direction::Egress => (0, local, remote, local_port, remote_port),
            Direction::Ingress => (1, remote, local, remote_port, local_port),
        };
        let key = TallyKey {
            interface,
            source,
            destination,
            source_port,
            destination_port,
            protocol: self.key.protocol(),
            direction: direction_seen,
            verdict: credit.verdict,
            path,
        };
        let Credit { packets, bytes, tcp_flags, .. } = *credit;
        (place, Tally { key, packets, bytes, tcp_flags: logged_flags(tcp_flags), now })
    }

    /// What it carried in both directions, egress first.
    pub(crate) fn traffic(&self) -> (Traffic, Traffic) {
        let [out, back] = self.rejected.as_deref().map(|it| it.carried).unwrap_or_default();
        let [out_flags, back_flags] = self.tcp_flags;
        let traffic = |accepted: Carried, rejected: Carried, tcp_flags| Traffic {
            packets: accepted.packets,
            bytes: accepted.bytes,
            rejected_packets: rejected.packets,
            rejected_bytes: rejected.bytes,
            tcp_flags,
        };
        (traffic(self.egress, out, out_flags), traffic(self.ingress, back, back_flags))
    }
}
