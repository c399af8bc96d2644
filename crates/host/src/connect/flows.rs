//! What a connected machine has begun, and so what may come back to it.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// How long a flow is known after its last packet, TCP and others.
const TCP_IDLE: Duration = Duration::from_secs(2 * 3600);
const IDLE: Duration = Duration::from_secs(180);
/// How many are known at once; more are not begun.
const MOST: usize = 65_536;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Kinds of ICMP that tell of a packet that was sent: unreachable, quench, time, parameter.
const ERRORS: [u8; 4] = [3, 4, 11, 12];
const ECHO_REPLY: u8 = 0;
const ECHO: u8 = 8;

/// A flow, whoever sends: the machine's own address is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flow {
    protocol: u8,
    remote: Ipv4Addr,
    /// The machine's port, or the id of an echo.
    local_port: u16,
    remote_port: u16,
}

/// A packet's head, as far as it matters.
struct Head<'a> {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    /// Whether it is a later fragment, which has no ports.
    is_rest: bool,
    payload: &'a [u8],
}

impl<'a> Head<'a> {
    fn of(packet: &'a [u8]) -> Option<Self> {
        let (&first, head) = (packet.first()?, packet.get(..20)?);
        let length = usize::from(first & 15) * 4;
        if first >> 4 != 4 || length < 20 {
            return None;
        }
        let address = |at: usize| {
            let octets: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        Some(Self {
            source: address(12)?,
            destination: address(16)?,
            protocol: head[9],
            is_rest: u16::from_be_bytes([head[6], head[7]]) & 0x1fff != 0,
            payload: packet.get(length..)?,
        })
    }

    /// The ports, or the id of an echo of the given kind in both places.
    fn ports(&self, echo: u8) -> Option<(u16, u16)> {
        let word = |at: usize| {
            Some(u16::from_be_bytes([*self.payload.get(at)?, *self.payload.get(at + 1)?]))
        };
        match self.protocol {
            TCP | UDP => Some((word(0)?, word(2)?)),
            ICMP if *self.payload.first()? == echo => word(4).map(|id| (id, id)),
            ICMP => None,
            _ => Some((0, 0)),
        }
    }
}

/// All flows of a machine.
#[derive(Debug)]
pub(super) struct Flows {
    address: Ipv4Addr,
    known: HashMap<Flow, Instant>,
    /// Whom the machine speaks to at all, for the rests of fragments.
    peers: HashMap<(u8, Ipv4Addr), Instant>,
}

impl Flows {
    /// Those of the machine with this address.
    pub(super) fn new(address: Ipv4Addr) -> Self {
        Self { address, known: HashMap::new(), peers: HashMap::new() }
    }

    /// Whether a packet of the machine may go, which is remembered. Only its own may, not those of
    /// others that it forwards.
    pub(super) fn outward(&mut self, packet: &[u8], now: Instant) -> bool {
        let Some(head) = Head::of(packet).filter(|head| head.source == self.address) else {
            return false;
        };
        if head.is_rest {
            return true;
        }
        let Some((local_port, remote_port)) = head.ports(ECHO) else { return false };
        let (protocol, remote) = (head.protocol, head.destination);
        let flow = Flow { protocol, remote, local_port, remote_port };
        if self.known.len() >= MOST && !self.known.contains_key(&flow) {
            self.forget(now);
            if self.known.len() >= MOST {
                return false;
            }
        }
        self.known.insert(flow, now);
        self.peers.insert((protocol, remote), now);
        true
    }

    /// Whether a packet is to the machine and belongs to what it has begun.
    pub(super) fn inward(&mut self, packet: &[u8], now: Instant) -> bool {
        let Some(head) = Head::of(packet).filter(|head| head.destination == self.address) else {
            return false;
        };
        if head.is_rest {
            let peer = self.peers.get(&(head.protocol, head.source));
            return peer.is_some_and(|last| now.duration_since(*last) < idle(head.protocol));
        }
        let is_error =
            head.protocol == ICMP && head.payload.first().is_some_and(|kind| ERRORS.contains(kind));
        let flow = if is_error { self.told_of(&head) } else { answered(&head) };
        let Some(flow) = flow else { return false };
        match self.known.get_mut(&flow) {
            Some(last) if now.duration_since(*last) < idle(flow.protocol) => {
                *last = now;
                true
            }
            _ => false,
        }
    }

    /// The flow that an error tells of.
    fn told_of(&self, error: &Head<'_>) -> Option<Flow> {
        let inner = Head::of(error.payload.get(8..)?)?;
        let (local_port, remote_port) = inner.ports(ECHO)?;
        let (protocol, remote) = (inner.protocol, inner.destination);
        let ours = inner.source == self.address;
        ours.then_some(Flow { protocol, remote, local_port, remote_port })
    }

    fn forget(&mut self, now: Instant) {
        self.known.retain(|flow, last| now.duration_since(*last) < idle(flow.protocol));
        self.peers.retain(|(protocol, _), last| now.duration_since(*last) < idle(*protocol));
    }
}

/// The flow that a packet answers.
fn answered(head: &Head<'_>) -> Option<Flow> {
    let (remote_port, local_port) = head.ports(ECHO_REPLY)?;
    Some(Flow { protocol: head.protocol, remote: head.source, local_port, remote_port })
}

fn idle(protocol: u8) -> Duration {
    if protocol == TCP { TCP_IDLE } else { IDLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
    const YOU: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);

    fn packet(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, fragment: u16, rest: &[u8]) -> Vec<u8> {
        let mut out = vec![0x45, 0, 0, 0, 0, 0];
        out.extend(fragment.to_be_bytes());
        out.extend([64, protocol, 0, 0]);
        out.extend(from.octets());
        out.extend(to.octets());
        out.extend(rest);
        out
    }

    fn ports(from: u16, to: u16) -> Vec<u8> {
        [from.to_be_bytes(), to.to_be_bytes(), [0; 2], [0; 2]].concat()
    }

    fn echo(kind: u8, id: u16) -> Vec<u8> {
        [[kind, 0], [0; 2], id.to_be_bytes(), [0; 2]].concat()
    }

    #[test]
    fn answers_come_in_and_nothing_else() {
        let mut flows = Flows::new(ME);
        let now = Instant::now();
        for protocol in [TCP, UDP] {
            let answer = packet(YOU, ME, protocol, 0, &ports(80, 40_000));
            assert!(!flows.inward(&answer, now), "not yet asked for");
            assert!(flows.outward(&packet(ME, YOU, protocol, 0, &ports(40_000, 80)), now));
            assert!(flows.inward(&answer, now));
            for (from, to) in [(81, 40_000), (80, 40_001)] {
                assert!(!flows.inward(&packet(YOU, ME, protocol, 0, &ports(from, to)), now));
            }
            let other = Ipv4Addr::new(198, 18, 0, 11);
            assert!(!flows.inward(&packet(other, ME, protocol, 0, &ports(80, 40_000)), now));
            assert!(!flows.inward(&packet(YOU, other, protocol, 0, &ports(80, 40_000)), now));
        }
        assert!(!flows.inward(&packet(YOU, ME, ICMP, 0, &echo(ECHO, 7)), now), "nobody pings us");
        assert!(flows.outward(&packet(ME, YOU, ICMP, 0, &echo(ECHO, 7)), now));
        assert!(flows.inward(&packet(YOU, ME, ICMP, 0, &echo(ECHO_REPLY, 7)), now));
        assert!(!flows.inward(&packet(YOU, ME, ICMP, 0, &echo(ECHO_REPLY, 8)), now));
    }

    #[test]
    fn errors_and_fragments_of_what_was_sent_come_in() {
        let mut flows = Flows::new(ME);
        let now = Instant::now();
        let sent = packet(ME, YOU, UDP, 0, &ports(40_000, 53));
        let router = Ipv4Addr::new(198, 18, 0, 1);
        let told = |inner: &[u8]| {
            packet(router, ME, ICMP, 0, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], inner].concat())
        };
        let rest = packet(YOU, ME, UDP, 5, b"the rest");
        assert!(!flows.inward(&told(&sent), now) && !flows.inward(&rest, now));
        assert!(flows.outward(&sent, now));
        assert!(flows.inward(&told(&sent), now) && flows.inward(&rest, now));
        let foreign = packet(YOU, ME, UDP, 0, &ports(40_000, 53));
        assert!(!flows.inward(&told(&foreign), now));
    }

    #[test]
    fn what_is_not_the_machines_own_does_not_go_and_old_flows_are_over() {
        let mut flows = Flows::new(ME);
        let now = Instant::now();
        assert!(!flows.outward(&packet(YOU, ME, UDP, 0, &ports(1, 2)), now));
        for broken in [&b""[..], &[0x45; 19], &[0x60; 40], &[0x4f; 30]] {
            assert!(!flows.outward(broken, now) && !flows.inward(broken, now));
        }
        assert!(flows.outward(&packet(ME, YOU, UDP, 0, &ports(1, 2)), now));
        let answer = packet(YOU, ME, UDP, 0, &ports(2, 1));
        assert!(flows.inward(&answer, now + IDLE / 2));
        assert!(flows.inward(&answer, now + IDLE), "still in use");
        assert!(!flows.inward(&answer, now + 3 * IDLE));
    }

    #[test]
    fn a_full_table_begins_nothing_and_forgets_what_is_over() {
        let mut flows = Flows::new(ME);
        let now = Instant::now();
        let send = |number: u32| {
            let to = Ipv4Addr::from(u32::from(YOU) + (number >> 16));
            packet(ME, to, UDP, 0, &ports(number as u16, 53))
        };
        for number in 0..MOST as u32 {
            assert!(flows.outward(&send(number), now));
        }
        assert!(!flows.outward(&send(MOST as u32), now));
        assert!(flows.outward(&send(5), now), "a known one goes on");
        assert!(flows.outward(&send(MOST as u32), now + IDLE), "the others are over");
    }
}
