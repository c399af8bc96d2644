//! Taps: whoever wants to see packets and what they meet, and what the data path does for them.
//!
//! Without a tap a packet costs one branch. With one, packets take the way on which every stage
//! tells what it does, and those that a tap asks for go into its queue. The queue and the rate are
//! bounded: what does not fit is counted, and no packet ever waits for its watcher.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gureum_engine::{Offload, Outcome, Policy, Step, Verdict};
use gureum_types::PortIndex;
use tokio::sync::mpsc;

/// Which packets a tap is for; all conditions that are there must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TapFilter {
    /// A port that the packet comes from, goes to or was dropped at.
    pub port: Option<PortIndex>,
    /// An address that it has at one end, before or after its translation.
    pub host: Option<IpAddr>,
    /// A TCP or UDP port that it has at one end, before or after its translation.
    pub transport_port: Option<u16>,
    /// The IP protocol.
    pub protocol: Option<u8>,
    /// Only packets that were dropped.
    pub drops: bool,
    /// Only packets that were dropped for the reason of this name.
    pub reason: Option<&'static str>,
}

/// What a tap wants.
#[derive(Clone, Debug)]
pub struct TapSettings {
    /// Which packets.
    pub filter: TapFilter,
    /// How many bytes of each frame.
    pub snap: usize,
    /// How many packets a second at most; no bound but the queue's where absent.
    pub rate: Option<u32>,
    /// How many packets may wait to be read.
    pub queue: usize,
}

/// A frame as it was at some moment of its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapFrame {
    /// Its beginning, or all of it.
    pub bytes: Vec<u8>,
    /// Its whole length.
    pub length: usize,
    /// What was still owed to it.
    pub offload: Offload,
}

impl TapFrame {
    fn of(frame: &[u8], offload: Offload, snap: usize) -> Self {
        let bytes = frame[..frame.len().min(snap)].to_vec();
        Self { bytes, length: frame.len(), offload }
    }

    /// Completes the checksum that the kernel left to whoever sends the frame (traps 2). Only a
    /// frame that is here as a whole has one.
    pub fn complete_checksum(&mut self) {
        if !self.offload.needs_csum || self.bytes.len() != self.length {
            return;
        }
        let start = usize::from(self.offload.csum_start);
        let place = start + usize::from(self.offload.csum_offset);
        let Some(covered) = self.bytes.get(start..) else { return };
        if place + 2 > self.bytes.len() {
            return;
        }
        let words = covered.chunks(2).map(|pair| match pair {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => 0,
        });
        let mut sum: u64 = words.sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // A UDP checksum of zero would mean that there is none.
        let complete = match !(sum as u16) {
            0 => 0xffff,
            other => other,
        };
        self.bytes[place..place + 2].copy_from_slice(&complete.to_be_bytes());
        self.offload.needs_csum = false;
    }
}

/// A packet and what it met.
#[derive(Clone, Debug)]
pub struct TapEvent {
    /// When, since the beginning of 1970.
    pub at: Duration,
    /// Where it came in.
    pub port: PortIndex,
    /// As it came in.
    pub received: TapFrame,
    /// As it was when it left, or when it was dropped.
    pub after: TapFrame,
    /// What the engine sent on its account: answers, fragments, what it became in the other family.
    pub emitted: Vec<(PortIndex, TapFrame)>,
    /// The stages.
    pub steps: Vec<Step>,
    /// What became of it.
    pub verdict: Verdict,
    /// The policy that decided, which knows the names of what the steps and the verdict point to.
    pub policy: Arc<Policy>,
}

/// The reading end of a tap. Dropping it ends the tap.
#[derive(Debug)]
pub struct Tap {
    events: mpsc::Receiver<TapEvent>,
    left_out: Arc<AtomicU64>,
}

impl Tap {
    /// The next packet; `None` when the data path is gone.
    pub async fn next(&mut self) -> Option<TapEvent> {
        self.events.recv().await
    }

    /// The same for a thread that may wait.
    pub fn blocking_next(&mut self) -> Option<TapEvent> {
        self.events.blocking_recv()
    }

    /// How many packets the tap was for that did not fit its rate or its queue.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

/// The end of a tap that the data path holds.
#[derive(Debug)]
pub(super) struct TapEnd {
    settings: TapSettings,
    events: mpsc::Sender<TapEvent>,
    left_out: Arc<AtomicU64>,
    /// Packets that may still pass in the second that began at `since`.
    allowance: u32,
    since: u64,
}

/// Makes both ends.
pub(super) fn tap(settings: TapSettings) -> (TapEnd, Tap) {
    let (sender, events) = mpsc::channel(settings.queue.max(1));
    let left_out = Arc::new(AtomicU64::new(0));
    let end = TapEnd {
        settings,
        events: sender,
        left_out: Arc::clone(&left_out),
        allowance: 0,
        since: 0,
    };
    (end, Tap { events, left_out })
}

/// A packet that is under way while somebody watches.
pub(super) struct Watched {
    pub(super) received: TapFrame,
    pub(super) emitted: Vec<(PortIndex, TapFrame)>,
    pub(super) steps: Vec<Step>,
    snap: usize,
}

impl Watched {
    /// Takes note of a packet before the engine edits it.
    pub(super) fn begin(taps: &[TapEnd], frame: &[u8], offload: Offload) -> Self {
        // The headers at least: filters look at them.
        let snap = taps.iter().map(|tap| tap.settings.snap).fold(HEADERS, usize::max);
        let received = TapFrame::of(frame, offload, snap);
        Self { received, emitted: Vec::new(), steps: Vec::new(), snap }
    }

    /// Takes note of a frame of the engine's own.
    pub(super) fn emit(&mut self, port: PortIndex, frame: &[u8], offload: Offload) {
        self.emitted.push((port, TapFrame::of(frame, offload, self.snap)));
    }

    /// Hands the packet to the taps that it is for, and forgets taps that nobody reads any more.
    pub(super) fn end(
        self,
        taps: &mut Vec<TapEnd>,
        (port, now): (PortIndex, u64),
        (frame, offload): (&[u8], Offload),
        verdict: Verdict,
        policy: &Arc<Policy>,
    ) {
        taps.retain(|tap| !tap.events.is_closed());
        let after = TapFrame::of(frame, offload, self.snap);
        let event = TapEvent {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            port,
            received: self.received,
            after,
            emitted: self.emitted,
            steps: self.steps,
            verdict,
            policy: Arc::clone(policy),
        };
        for tap in taps.iter_mut().filter(|tap| tap.settings.filter.wants(&event)) {
            tap.offer(&event, now);
        }
    }
}

/// Bytes of a frame in which all headers that filters look at are: those of Ethernet and IPv4 with
/// all its options, or IPv6 with a few extension headers, and what has the ports.
const HEADERS: usize = 128;

impl TapEnd {
    fn offer(&mut self, event: &TapEvent, now: u64) {
        if let Some(rate) = self.settings.rate {
            if now.saturating_sub(self.since) >= 1_000_000_000 {
                (self.since, self.allowance) = (now, rate);
            }
            if self.allowance == 0 {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.allowance -= 1;
        }
        if self.events.try_send(event.clone()).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl TapFilter {
    /// Whether a tap with this filter is for that packet.
    pub fn wants(&self, event: &TapEvent) -> bool {
        let dropped = match event.verdict {
            Verdict::Drop(reason) => Some(reason.name()),
            _ => None,
        };
        if (self.drops && dropped.is_none()) || (self.reason.is_some() && self.reason != dropped) {
            return false;
        }
        if self.port.is_some_and(|port| !event.concerns(port)) {
            return false;
        }
        if self.host.is_none() && self.transport_port.is_none() && self.protocol.is_none() {
            return true;
        }
        let mut frames = [&event.received, &event.after].into_iter().chain(event.translated());
        frames.any(|frame| self.fits(&frame.bytes))
    }

    fn fits(&self, frame: &[u8]) -> bool {
        let Some(flow) = Ends::of(frame) else { return false };
        self.host.is_none_or(|host| flow.source == host || flow.destination == host)
            && self.protocol.is_none_or(|protocol| flow.protocol == Some(protocol))
            && self
                .transport_port
                .is_none_or(|port| flow.ports.is_some_and(|(from, to)| from == port || to == port))
    }
}

impl TapEvent {
    /// Whether the packet came from the port, went there, or was dropped or answered on its behalf.
    pub fn concerns(&self, port: PortIndex) -> bool {
        self.port == port
            || self.to() == Some(port)
            || self.emitted.iter().any(|(to, _)| *to == port)
            || self.dropped_at() == Some(port)
    }

    /// The port that the packet went to.
    pub fn to(&self) -> Option<PortIndex> {
        match self.verdict {
            Verdict::Forward(to) | Verdict::Translated(to) => Some(to),
            Verdict::Drop(_) | Verdict::Reply => None,
        }
    }

    /// What it became in the other family (NAT-24): the last frame that the engine sent for it.
    fn translated(&self) -> Option<&TapFrame> {
        let Verdict::Translated(_) = self.verdict else { return None };
        self.emitted.last().map(|(_, frame)| frame)
    }

    /// The port at which the packet was dropped, if it was.
    pub fn dropped_at(&self) -> Option<PortIndex> {
        let Verdict::Drop(_) = self.verdict else { return None };
        let last = self.steps.iter().rev().find(|step| matches!(step.outcome, Outcome::Drop(_)));
        Some(last.map_or(self.port, |step| step.port))
    }
}

/// Who speaks to whom, as far as headers say. ARP has addresses too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// The IP protocol, for IPv6 that after the extension headers; none for ARP.
    pub protocol: Option<u8>,
    /// The ports of TCP and UDP, where the frame has them.
    pub ports: Option<(u16, u16)>,
}

impl Ends {
    /// Reads them from an Ethernet frame; `None` for what is neither IP nor ARP.
    pub fn of(frame: &[u8]) -> Option<Self> {
        match frame.get(12..14)? {
            [0x08, 0x06] => {
                let (source, destination) = (ipv4(frame, 28)?, ipv4(frame, 38)?);
                Some(Self { source, destination, protocol: None, ports: None })
            }
            [0x08, 0x00] => {
                let protocol = *frame.get(23)?;
                let later_fragment = word(frame, 20)? & 0x1fff != 0;
                let at = 14 + usize::from(frame.get(14)? & 0xf) * 4;
                let ports = if later_fragment { None } else { ports(frame, protocol, at) };
                let (source, destination) = (ipv4(frame, 26)?, ipv4(frame, 30)?);
                Some(Self { source, destination, protocol: Some(protocol), ports })
            }
            [0x86, 0xdd] => {
                let (source, destination) = (ipv6(frame, 22)?, ipv6(frame, 38)?);
                let (protocol, at) = upper_layer(frame, *frame.get(20)?);
                let ports = at.and_then(|at| ports(frame, protocol, at));
                Some(Self { source, destination, protocol: Some(protocol), ports })
            }
            _ => None,
        }
    }
}

fn ipv4(frame: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

fn ipv6(frame: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 16] = frame.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]))
}

fn ports(frame: &[u8], protocol: u8, at: usize) -> Option<(u16, u16)> {
    if matches!(protocol, 6 | 17) { word(frame, at).zip(word(frame, at + 2)) } else { None }
}

/// The protocol after the extension headers of IPv6 (RFC 8200, 4) and where it begins; nowhere in
/// a later fragment. Where the frame ends before, the last header that it names.
fn upper_layer(frame: &[u8], mut next: u8) -> (u8, Option<usize>) {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let mut at = 14 + 40;
    loop {
        let length = match next {
            HOP_BY_HOP | ROUTING | DESTINATION => {
                frame.get(at + 1).map(|&length| 8 + usize::from(length) * 8)
            }
            FRAGMENT => {
                let Some(place) = word(frame, at + 2) else { return (next, None) };
                if place & 0xfff8 != 0 {
                    return (frame[at], None);
                }
                Some(8)
            }
            _ => return (next, Some(at)),
        };
        let Some(length) = length else { return (next, None) };
        next = frame[at];
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00]);
        frame.extend([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        let length = u16::try_from(8 + payload.len()).expect("short").to_be_bytes();
        frame.extend([0x13, 0x88, 0, 53, length[0], length[1], 0, 0]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn the_ends_of_a_flow_are_read() {
        let ends = Ends::of(&udp(b"x")).expect("IPv4");
        assert_eq!((ends.protocol, ends.ports), (Some(17), Some((5000, 53))));
        assert_eq!(ends.destination, Ipv4Addr::new(10, 0, 0, 2));
        let mut later = udp(b"x");
        later[21] = 1;
        assert_eq!(Ends::of(&later).expect("IPv4").ports, None, "payload is no header");
        assert_eq!(Ends::of(&later[..20]), None);
    }

    const HERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const THERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    /// From here to there, with what follows the IPv6 header.
    fn ipv6_frame(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(u16::try_from(rest.len()).expect("short").to_be_bytes());
        frame.extend([next, 64]);
        frame.extend(HERE.octets());
        frame.extend(THERE.octets());
        frame.extend(rest);
        frame
    }

    const TCP: [u8; 4] = [0xc0, 0, 0, 22];

    #[test]
    fn the_ends_of_a_flow_of_ipv6_are_read() {
        let ends = Ends::of(&ipv6_frame(6, &TCP)).expect("IPv6");
        assert_eq!((ends.source, ends.destination), (HERE.into(), THERE.into()));
        assert_eq!((ends.protocol, ends.ports), (Some(6), Some((0xc000, 22))));
        let echo = Ends::of(&ipv6_frame(58, &[128, 0, 0, 0])).expect("IPv6");
        assert_eq!((echo.protocol, echo.ports), (Some(58), None));

        // Hop-by-hop and destination options of 8 and 16 bytes, then the first fragment.
        let mut extended = vec![60, 0, 0, 0, 0, 0, 0, 0];
        extended.extend([44, 1].into_iter().chain([0; 14]));
        let fragment_at = extended.len();
        extended.extend([6, 0, 0, 1, 0, 0, 0, 7]);
        extended.extend(TCP);
        let ends = Ends::of(&ipv6_frame(0, &extended)).expect("IPv6");
        assert_eq!((ends.protocol, ends.ports), (Some(6), Some((0xc000, 22))));
        extended[fragment_at + 3] = 8;
        let ends = Ends::of(&ipv6_frame(0, &extended)).expect("IPv6");
        assert_eq!((ends.protocol, ends.ports), (Some(6), None), "payload is no header");

        let whole = ipv6_frame(0, &extended);
        for length in 54..whole.len() {
            let ends = Ends::of(&whole[..length]).expect("the addresses are there");
            assert_eq!(ends.ports, None, "{length} bytes");
        }
        assert_eq!(Ends::of(&whole[..50]), None);
    }

    #[test]
    fn filters_are_for_both_families() {
        let frame = ipv6_frame(6, &TCP);
        let wants = |host: Option<IpAddr>, transport_port, protocol| {
            TapFilter { host, transport_port, protocol, ..TapFilter::default() }.fits(&frame)
        };
        assert!(wants(Some(THERE.into()), Some(22), Some(6)));
        assert!(wants(Some(HERE.into()), None, None));
        assert!(!wants(Some(Ipv4Addr::LOCALHOST.into()), None, None));
        assert!(!wants(None, Some(80), None));
        assert!(!wants(None, None, Some(58)));
    }

    /// Traps 2: the field holds the uncomplemented sum of the pseudo-header.
    #[test]
    fn a_checksum_that_is_owed_is_completed() {
        let mut frame = udp(b"odd");
        let pseudo: u32 = [0x0a00, 1, 0x0a00, 2, 17, 11].iter().sum();
        frame[40..42].copy_from_slice(&(pseudo as u16).to_be_bytes());
        let offload = Offload { needs_csum: true, csum_start: 34, csum_offset: 6, ..Offload::NONE };
        let mut captured = TapFrame::of(&frame, offload, usize::MAX);
        captured.complete_checksum();
        let words = captured.bytes[34..].chunks(2).map(|pair| {
            u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
        });
        let mut sum = pseudo + words.sum::<u32>();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff, "what a receiver adds up");
        assert!(!captured.offload.needs_csum);
        let mut cut = TapFrame::of(&frame, offload, 40);
        cut.complete_checksum();
        assert!(cut.offload.needs_csum, "half a frame has no checksum");
    }
}
