//! What arbitrary bytes are put through: by the fuzz targets (`fuzz/`), and by the ordinary test
//! that replays their findings.
//!
//! Bytes are read as a sequence of small commands, so that whatever a fuzzer comes up with means
//! something, and a change of one byte changes one thing.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, OnceLock},
};

use gureum_types::{PortIndex, nat64_address, record::Network};

use super::{
    Built, Ends, Lab,
    fuzz_changes::{self, change, network},
    lab::{FABRIC, Journal, OUTSIDE, OUTSIDE_IPV6, SECOND},
    packets,
    verify::{self, Seen, word},
};
use crate::{
    FABRIC_ROUTER_MAC, Limits, NoTrace, Offload, Output, Packet, Policy, Record, State,
    StateChange, Verdict, WhyQuery, WhySource, WhyTraffic,
    address::{Address, Family},
    expire, process,
    why::why,
    wire::{
        ETHERNET_LEN, arp,
        dhcp::Message,
        dhcpv6, fragment,
        ip::{Headers, Part},
        rewrite::{End, decrement_hop_limit, set_address, set_port, translate_embedded},
        translate::{Translation, translate},
    },
};

/// Commands that one input may hold; what follows is not looked at.
const COMMANDS: usize = 400;
/// Ports that commands name: the fabric's two, those of the network, and some that nobody has.
const PORTS: u8 = 12;

/// An address that nobody has.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
/// An address of S3, as gateway endpoints know it.
const S3: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 130);

/// Bytes that are read from front to back. Beyond the end there are zeros.
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn port(&mut self) -> PortIndex {
        PortIndex(u32::from(self.byte() % PORTS))
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn offload(&mut self) -> Offload {
        match self.byte() & 3 {
            0 | 1 => Offload::NONE,
            2 => Offload {
                needs_csum: true,
                csum_start: (ETHERNET_LEN + 20) as u16,
                csum_offset: self.pick(&[6, 16]),
                gso_type: self.pick(&[0, 1, 5]),
                gso_size: self.word() % 2000,
                hdr_len: 54,
            },
            _ => Offload {
                needs_csum: self.flag(),
                csum_start: self.byte().into(),
                csum_offset: self.byte().into(),
                gso_type: self.byte(),
                gso_size: self.word(),
                hdr_len: self.word(),
            },
        }
    }

    /// Addresses that mean something in [`network`], and any other.
    pub(super) fn address(&mut self) -> IpAddr {
        const KNOWN: [&str; 34] = [
            "10.1.1.11",
            "10.1.2.12",
            "10.1.11.21",
            "10.1.12.22",
            "10.1.2.13",
            "10.2.1.31",
            "10.1.1.250",
            "10.1.1.1",
            "10.1.0.2",
            "10.1.1.255",
            "10.9.9.9",
            "198.18.0.11",
            "198.18.0.12",
            "198.18.0.13",
            "198.18.0.14",
            "198.18.0.15",
            "198.18.200.7",
            "169.254.169.254",
            "169.254.169.253",
            "169.254.169.123",
            "169.254.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "2001:db8:0:100::2",
            "2001:db8:0:101::3",
            "2001:db8:0:102::4",
            "2001:db8:0:100::1",
            "2001:db8:8000::7",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "::",
            "64:ff9b::c612:c807",
        ];
        match self.below(KNOWN.len() + 4) {
            at if at < KNOWN.len() => KNOWN[at].parse().unwrap(),
            at if at == KNOWN.len() => Ipv4Addr::new(10, self.byte() & 0x7f, self.byte(), 1).into(),
            at if at == KNOWN.len() + 1 => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0, 1, self.byte() & 7]);
                bytes[15] = self.byte();
                Ipv6Addr::from(bytes).into()
            }
            _ => Ipv4Addr::new(self.byte(), self.byte(), self.byte(), self.byte()).into(),
        }
    }
}

/// The network that a fuzzer's packets go through: the lab with IPv6 and all gateways, peered with
/// another VPC.
pub fn initial_network() -> Network {
    network()
}

/// Changes something about that network as an operation could, chosen by bytes. `serial` makes ids
/// of what is new.
pub fn change_network(of: &mut Network, serial: u64, bytes: &[u8]) {
    change(of, serial, &mut Bytes(bytes));
}

/// Reads a frame, and rewrites and cuts it where it could be read.
pub fn wire_parse(data: &[u8]) {
    let mut input = Bytes(data);
    let mut built = if input.byte().is_multiple_of(4) {
        Built { frame: Vec::new(), offload: input.offload() }
    } else {
        let (source, destination) = (input.address(), input.address());
        let ends = Ends { source_mac: [2; 6], destination_mac: [4; 6], source, destination };
        let mut built = built(&ends, &mut input);
        damage(&mut built, &mut input);
        built
    };
    let address = Address::from(input.address());
    let mtu = 576 + usize::from(input.word()) % 1500;
    if built.frame.is_empty() {
        built.frame = input.0.to_vec();
    }
    let Built { frame, offload } = built;
    let frame = frame.as_slice();
    if let Some(request) = arp::parse_request(frame) {
        let reply = arp::reply(&request, [2; 6]);
        assert!(arp::is_reply(&reply));
        assert_eq!(arp::parse_request(&reply), None);
    }
    arp::is_reply(frame);
    let family = if frame.get(12) == Some(&0x86) { Family::V6 } else { Family::V4 };
    let Ok(headers) = Headers::parse(family, frame, &offload) else { return };
    let header_len = if family == Family::V6 { 40 } else { 20 };
    let total = headers.end - ETHERNET_LEN;
    assert!(headers.transport >= ETHERNET_LEN + header_len && headers.end <= frame.len());
    assert!(headers.transport + headers.transport_len <= headers.end);
    assert!(headers.wire_packets >= 1 && headers.wire_bytes as usize >= total);
    assert!(headers.largest as usize <= total);
    Message::parse(frame, &headers);
    dhcpv6::Message::parse(frame, &headers);
    let same_family = address.family() == family;

    let right = is_right(frame, &offload);
    for end in [End::Source, End::Destination] {
        let (mut bytes, mut headers) = (frame.to_vec(), headers);
        let mut packet = Packet { frame: &mut bytes, offload };
        if same_family {
            set_address(&mut packet, &mut headers, end, address);
        }
        // A NAT gateway changes ports of TCP and UDP and identifiers of queries, no more (NAT-7).
        let tuple = headers.tuple;
        let has_ports = matches!(tuple.protocol, 6 | 17);
        if has_ports || (tuple.is_icmp_query() && end == End::Destination) {
            set_port(&mut packet, &mut headers, end, mtu as u16);
        }
        if headers.hop_limit > 0 {
            decrement_hop_limit(&mut packet, &mut headers);
        }
        let offload = packet.offload;
        assert!(!right || is_right(&bytes, &offload), "{end:?} {frame:02x?} {bytes:02x?}");
    }
    let mut bytes = frame.to_vec();
    let mut packet = Packet { frame: &mut bytes, offload };
    translate_embedded(&mut packet, &headers, |_, _| same_family.then_some(address));
    assert!(!right || is_right(&bytes, &offload), "{bytes:02x?}");

    let mut bytes = frame.to_vec();
    let packet = Packet { frame: &mut bytes, offload };
    if let Some(to) = in_other_family(&headers, address)
        && let Ok(made) = translate(&packet, &headers, &to, mtu as u16)
    {
        assert_eq!(made.headers.end, made.frame.len());
        assert_eq!(made.headers.wire_packets, headers.wire_packets, "packets on the wire");
        let frame = &made.frame;
        assert!(!right || is_right(frame, &made.offload), "{:02x?} {frame:02x?}", packet.frame);
    }

    let mut bytes = frame.to_vec();
    let mut packet = Packet { frame: &mut bytes, offload };
    // Only what is too large is ever cut.
    if family == Family::V6 || headers.part != Part::Whole || headers.largest as usize <= mtu {
        return;
    }
    let (mut whole, mut carried) = (0, 0);
    fragment::cut(&mut packet, &headers, mtu, |piece| {
        let head = usize::from(piece[ETHERNET_LEN] & 15) * 4;
        assert!(piece.len() - ETHERNET_LEN <= mtu.max(head + 8), "{} of {mtu}", piece.len());
        carried += piece.len() - ETHERNET_LEN - head;
        whole += usize::from(word(piece, ETHERNET_LEN + 6) & 0x1fff == 0);
    });
    assert_eq!(whole, headers.wire_packets as usize, "packets on the wire");
    let head = headers.transport - ETHERNET_LEN;
    assert_eq!(carried, headers.wire_bytes as usize - whole * head, "bytes on the wire");
}

/// What a NAT gateway makes a packet that it carries, with an address of the other family at one
/// end.
fn in_other_family(headers: &Headers, address: Address) -> Option<Translation> {
    let tuple = &headers.tuple;
    let carried = match (tuple.protocol, headers.part) {
        (6, Part::Whole) | (17, _) => true,
        (_, part) => part == Part::Whole && (tuple.is_icmp_query() || tuple.is_icmp_error()),
    };
    let other = match (tuple.destination.ip(), address.family()) {
        (IpAddr::V4(to), Family::V6) => Address::from(nat64_address(to)),
        (IpAddr::V6(to), Family::V4) => {
            let [.., a, b, c, d] = to.octets();
            Address::from(Ipv4Addr::new(a, b, c, d))
        }
        _ => return None,
    };
    let about = tuple.is_icmp_error().then_some((other, address));
    carried.then_some(Translation { source: address, destination: other, about })
}

/// Frames and changes of policy in any order through an engine with a cache and one without.
pub fn engine_process(data: &[u8]) {
    let mut input = Bytes(data);
    let mut session = Session::new(&mut input);
    for _ in 0..COMMANDS {
        if input.0.is_empty() {
            break;
        }
        session.step(&mut input);
    }
    session.finish();
}

/// Takes what the engine makes, which must be right.
#[derive(Default)]
struct Sink {
    emitted: Vec<(PortIndex, Built)>,
    journal: Journal,
}

impl Output for Sink {
    fn emit(&mut self, port: PortIndex, frame: &[u8], offload: Offload) {
        assert!(frame.len() >= ETHERNET_LEN + 20, "{frame:02x?}");
        // A fragment or the packet in an error is a guest's nonsense, its headers are not.
        if word(frame, 12) == 0x0800
            && let Err(wrong) = header_is_right(&frame[ETHERNET_LEN..])
        {
            panic!("a frame of the engine's own: {wrong}: {frame:02x?}");
        }
        self.emitted.push((port, Built { frame: frame.to_vec(), offload }));
    }

    fn journal(&mut self, change: StateChange<'_>) {
        self.journal.apply(change);
    }

    fn dhcp_lease(&mut self, _: PortIndex) {}
}

fn header_is_right(ip: &[u8]) -> Result<(), String> {
    let header = usize::from(ip[0] & 15) * 4;
    if ip[0] >> 4 != 4 || header < 20 || usize::from(word(ip, 2)) != ip.len() {
        return Err("the header does not fit the frame".to_owned());
    }
    let sum: u32 = ip[..header].chunks(2).map(|two| u32::from(word(two, 0))).sum();
    match (sum & 0xffff) + (sum >> 16) {
        0xffff => Ok(()),
        other => Err(format!("the header sums up to {other:#x}")),
    }
}

/// The network as it is before anything changes, with VPC endpoints or without, compiled once: it is
/// the same for every input.
fn beginning(endpoints: bool) -> Lab {
    static WITHOUT: OnceLock<Lab> = OnceLock::new();
    static WITH: OnceLock<Lab> = OnceLock::new();
    let compiled = |network| Lab::with(network, Limits::default());
    match endpoints {
        false => WITHOUT.get_or_init(|| compiled(network())),
        true => WITH.get_or_init(|| compiled(fuzz_changes::network_with_endpoints())),
    }
    .clone()
}

struct Session {
    /// The engine with a cache, and the journal of its flows.
    lab: Lab,
    /// The engine without.
    flushed: State,
    flushed_journal: Journal,
    limits: Limits,
    last: Option<(PortIndex, Built)>,
    /// Where the last packet arrived that did, and how it looked.
    arrived: Option<(PortIndex, Vec<u8>)>,
    serial: u64,
}

impl Session {
    fn new(input: &mut Bytes<'_>) -> Self {
        let limits = Limits {
            flows: input.pick(&[64, 8, 512]),
            tracked_per_port: input.pick(&[32, 4]),
            fragments: 4,
            cache: input.pick(&[16, 64]),
            hash_seed: 0,
        };
        // Inputs that were kept have the second bit set.
        let choice = input.byte();
        let mut lab = beginning(choice & 2 == 0);
        lab.state = State::new(limits);
        if choice & 1 == 1 {
            lab.state.set_loose_until(20 * SECOND);
        }
        let flushed = lab.state.clone();
        Self {
            lab,
            flushed,
            flushed_journal: Journal::default(),
            limits,
            last: None,
            arrived: None,
            serial: 0,
        }
    }

    fn step(&mut self, input: &mut Bytes<'_>) {
        self.serial += 1;
        match input.byte() % 16 {
            0 => {
                let (port, offload) = (input.port(), input.offload());
                let length = usize::from(input.byte());
                self.send(port, Built { frame: input.take(length).to_vec(), offload });
            }
            1..=5 => {
                let port = input.port();
                let ends = self.ends(port, input);
                let built = built(&ends, input);
                self.send(port, built);
            }
            6 => {
                let port = input.port();
                let ends = self.ends(port, input);
                let whole = built(&ends, input);
                if word(&whole.frame, 12) != 0x0800 {
                    return self.send(port, whole);
                }
                let room = 8 + 8 * input.below(20);
                let identification = input.byte().into();
                for piece in whole.fragments(room, identification).into_iter().take(8) {
                    self.send(port, piece);
                }
            }
            7 | 8 => self.answer(input),
            9 => {
                if let Some((port, built)) = self.last.clone() {
                    self.send(port, built);
                }
            }
            10 => self.damage(input),
            11 => {
                let serial = self.serial;
                self.lab.change(|network| change(network, serial, input));
                // As a host does: what is told of a new policy is told at once.
                let policy = Arc::clone(&self.lab.policy);
                self.with_both(|state, sink| state.adopt(&policy, sink));
                // Inputs that were kept have a byte here.
                let _ = input.flag();
            }
            12 => self.lab.now += u64::from(input.word()) * SECOND / 8,
            13 => {
                let now = self.lab.now;
                self.with_both(|state, out| expire(state, now, out));
            }
            14 => self.ask(input),
            _ => self.restart(),
        }
    }

    /// Does something to both engines.
    fn with_both(&mut self, mut act: impl FnMut(&mut State, &mut Sink)) {
        for (state, journal) in [
            (&mut self.lab.state, &mut self.lab.journal),
            (&mut self.flushed, &mut self.flushed_journal),
        ] {
            let mut sink = Sink { journal: std::mem::take(journal), ..Sink::default() };
            act(state, &mut sink);
            *journal = sink.journal;
        }
    }

    fn send(&mut self, port: PortIndex, built: Built) {
        // Nothing comes from where there is no link.
        let known = self.lab.network.interfaces.iter().find(|interface| interface.port == port);
        if port == fuzz_changes::NAT || known.is_some_and(|interface| interface.requester_managed) {
            return;
        }
        let policy = Arc::clone(&self.lab.policy);
        let now = self.lab.now;
        let right = is_right(&built.frame, &built.offload);
        let mut outcomes = Vec::new();
        self.flushed.flush_cache();
        // One of them may have taken up the policy when it was asked for a next hop.
        self.with_both(|state, out| state.adopt(&policy, out));
        self.with_both(|state, sink| {
            let mut frame = built.frame.clone();
            let mut packet = Packet { frame: &mut frame, offload: built.offload };
            let verdict = process(&policy, state, port, &mut packet, now, sink, &mut NoTrace);
            let offload = packet.offload;
            outcomes.push((verdict, frame, offload, std::mem::take(&mut sink.emitted)));
        });
        let second = outcomes.pop().unwrap();
        let first = outcomes.pop().unwrap();
        assert_eq!(first.0, second.0, "the cache decided otherwise: {port} {built:02x?}");
        let (verdict, frame, offload, emitted) = &first;
        let own = emitted.len() - usize::from(matches!(verdict, Verdict::Translated(_)));
        for (at, (to, made)) in emitted.iter().enumerate() {
            self.assert_port(&policy, *to);
            // Nothing is owed to what the engine made by itself.
            assert!(at >= own || made.offload == Offload::NONE, "{port} {built:02x?}");
        }
        assert_eq!(emitted, &second.3, "{port} {built:02x?}");
        if let (Verdict::Translated(to), Some((sent, made))) = (*verdict, emitted.last()) {
            assert_eq!(to, *sent);
            assert!(!right || is_right(&made.frame, &made.offload), "{port} to {to}: {made:02x?}");
            self.arrived = Some((to, made.frame.clone()));
        }
        if let Verdict::Forward(to) = *verdict {
            self.assert_port(&policy, to);
            assert_eq!((frame, offload), (&second.1, &second.2), "{port} {built:02x?}");
            assert!(!right || is_right(frame, offload), "{port} to {to}: {frame:02x?}");
            self.arrived = Some((to, frame.clone()));
        }
        self.last = Some((port, built));
    }

    fn assert_port(&self, policy: &Policy, port: PortIndex) {
        assert!(policy.ports().any(|info| info.port == port), "there is no port {port}");
        // The interface of a NAT gateway or of an endpoint has no link.
        let known = self
            .lab
            .network
            .interfaces
            .iter()
            .any(|interface| interface.port == port && !interface.requester_managed);
        assert!(known || port.0 < 2, "there is no link at port {port}");
    }

    /// The ends of a packet as its sender would write them, or not quite.
    fn ends(&mut self, port: PortIndex, input: &mut Bytes<'_>) -> Ends {
        let oddity = input.byte();
        let destination = match input.address() {
            // Of a service with a gateway endpoint, where there is one.
            IpAddr::V4(NOWHERE) if !self.lab.network.vpc_endpoints.is_empty() => S3.into(),
            known => known,
        };
        let mut ends = self.natural_ends(port, destination);
        match oddity % 16 {
            0 => ends.source = input.address(),
            1 => ends.destination_mac = [2, 0, 0, 0, 0, input.port().0 as u8],
            2 => ends.destination_mac = FABRIC_ROUTER_MAC,
            3 => ends.source_mac = [2, 0, 0, 0, 0, input.port().0 as u8],
            4 => ends.destination_mac = [0xff; 6],
            _ => {}
        }
        ends
    }

    fn natural_ends(&mut self, port: PortIndex, destination: IpAddr) -> Ends {
        let known = self.lab.network.interfaces.iter().find(|interface| interface.port == port);
        if let Some(known) = known.cloned() {
            if destination.is_ipv4() {
                return self.lab.ends(port, destination);
            }
            let own = known.ipv6_addresses.first().copied().unwrap_or(Ipv6Addr::LOCALHOST);
            let mut ends = self.lab.from_outside(own, destination);
            ends.source_mac = known.mac;
            let near = self.lab.network.interfaces.iter().find(|other| {
                other.subnet_id == known.subnet_id
                    && other.ipv6_addresses.iter().any(|address| destination == *address)
            });
            // The router's MAC address is the one that IPv4's ARP tells too.
            ends.destination_mac = match near {
                Some(other) => other.mac,
                None => self.lab.ends(port, OUTSIDE).destination_mac,
            };
            return ends;
        }
        let mut ends = match destination {
            IpAddr::V4(_) => self.lab.from_outside(OUTSIDE, destination),
            IpAddr::V6(_) => self.lab.from_outside(OUTSIDE_IPV6, destination),
        };
        if port == PortIndex::SERVICES {
            ends.source_mac = FABRIC.services_mac;
        }
        ends
    }

    /// Whoever got the last packet that arrived answers it.
    fn answer(&mut self, input: &mut Bytes<'_>) {
        let Some((port, frame)) = self.arrived.clone() else { return };
        let known = self.lab.network.interfaces.iter().any(|interface| interface.port == port);
        if !(known || port.0 < 2) || !is_right(&frame, &Offload::NONE) {
            return;
        }
        let seen = Seen::ip(&frame);
        if seen.fragment & 0x3fff != 0 {
            return;
        }
        let mut ends = self.natural_ends(port, seen.source);
        ends.source = seen.destination;
        let error = input.byte().is_multiple_of(8);
        let built = match seen.protocol {
            _ if error => packets::icmp_error(&ends, (input.pick(&[3, 11, 5]), 4), &frame),
            6 => {
                let (from, to) = seen.ports();
                packets::tcp(&ends, (to, from), input.byte(), b"answer")
            }
            17 => {
                let (from, to) = seen.ports();
                packets::udp(&ends, (to, from), b"answer")
            }
            1 | 58 => packets::icmp_echo_reply(&ends, word(&seen.payload, 4), 1),
            other => packets::ip(&ends, other, &seen.payload),
        };
        self.send(port, built);
    }

    /// The last frame again, with some bytes changed.
    fn damage(&mut self, input: &mut Bytes<'_>) {
        let Some((port, mut built)) = self.last.clone() else { return };
        damage(&mut built, input);
        self.send(port, built);
    }

    fn ask(&mut self, input: &mut Bytes<'_>) {
        let source = match input.byte() % 4 {
            0 => WhySource::Internet(input.address()),
            1 => WhySource::Interface { port: input.port(), address: Some(input.address()) },
            _ => WhySource::Interface { port: input.port(), address: None },
        };
        let ports = (input.word(), input.pick(&[22, 25, 53, 80, 123]));
        let traffic = match input.byte() % 4 {
            0 => WhyTraffic::Tcp { source_port: ports.0, destination_port: ports.1 },
            1 => WhyTraffic::Udp { source_port: ports.0, destination_port: ports.1 },
            2 => WhyTraffic::IcmpEcho { identifier: ports.0 },
            _ => WhyTraffic::Protocol(input.byte()),
        };
        let query = WhyQuery { source, destination: input.address(), traffic };
        let before = self.lab.state.clone();
        let (policy, now) = (Arc::clone(&self.lab.policy), self.lab.now);
        let first = why(&policy, &mut self.lab.state, &query, now);
        assert!(self.lab.state == before, "asking changed the state: {query:?}");
        let second = why(&policy, &mut self.lab.state, &query, now);
        assert_eq!(first, second);
    }

    /// The process dies; another one begins with what was written down. What has timed out it
    /// leaves out, and a host clears it away.
    fn restart(&mut self) {
        let (limits, now) = (self.limits, self.lab.now);
        let restore = |records: Vec<(u32, Record)>| State::restore(limits, records, now);
        for (state, journal) in [
            (&mut self.lab.state, &mut self.lab.journal),
            (&mut self.flushed, &mut self.flushed_journal),
        ] {
            journal.records.retain(|slot, of| restore(vec![(*slot, *of)]).tracked_flows() == 1);
            *state = restore(journal.records.iter().map(|(slot, of)| (*slot, *of)).collect());
            assert_eq!(state.tracked_flows() as usize, journal.records.len());
        }
    }

    fn finish(self) {
        assert_eq!(self.lab.journal.records.len(), self.lab.state.tracked_flows() as usize);
        assert_eq!(self.flushed_journal.records.len(), self.flushed.tracked_flows() as usize);
    }
}

/// The type of large segments of TCP between these ends.
fn tcp_segments(ends: &Ends) -> u8 {
    if ends.source.is_ipv4() { Offload::GSO_TCPV4 } else { Offload::GSO_TCPV6 }
}

/// A well-formed packet.
fn built(ends: &Ends, input: &mut Bytes<'_>) -> Built {
    const SERVICES: [u16; 8] = [22, 80, 53, 123, 25, 443, 67, 5001];
    let (kind, ports) = (input.byte() % 12, (input.word(), input.pick(&SERVICES)));
    let payload =
        vec![0x5a; usize::from(input.byte()) * if input.byte().is_multiple_of(8) { 32 } else { 1 }];
    let ports = if input.flag() { (ports.1, ports.0) } else { ports };
    match kind {
        0..=2 => packets::tcp(ends, ports, packets::flags::SYN, &[]),
        3 => packets::tcp(ends, ports, input.byte(), &payload),
        4 => packets::tcp(ends, ports, packets::flags::ACK, &payload)
            .with_segments(tcp_segments(ends), 100 + input.word() % 1400),
        6 if ends.source.is_ipv4() && ends.destination.is_ipv4() => {
            packets::udp(ends, ports, &payload).may_fragment()
        }
        5 | 6 => packets::udp(ends, ports, &payload),
        7 => packets::udp(ends, ports, &payload).with_unfinished_checksum(),
        8 => packets::icmp_echo(ends, ports.0, 1),
        9 => packets::icmp(ends, (input.byte(), input.byte()), [0; 4], &payload),
        10 => match (ends.source, ends.destination) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                packets::arp_request(ends.source_mac, source, target)
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                packets::neighbor_solicitation(ends.source_mac, source, target)
            }
            _ => packets::dhcp_discover(ends.source_mac),
        },
        _ => match (input.byte() % 4, ends.source) {
            (0, IpAddr::V4(_)) => packets::dhcp_discover(ends.source_mac),
            (1, IpAddr::V4(source)) => packets::dhcp_request(ends.source_mac, source, None),
            (0, IpAddr::V6(source)) => packets::router_solicitation(ends.source_mac, source),
            (1, IpAddr::V6(source)) => {
                let id = [0, 3, 0, 1, 2, 0, 0, 0, 0, 2];
                let kind = input.byte() % 14;
                packets::dhcpv6(ends.source_mac, source, kind, &[(1, &id), (3, &[0; 12])])
            }
            _ => packets::ip(ends, input.byte(), &payload),
        },
    }
}

/// Changes some bytes of a frame, or of what is owed to it.
fn damage(built: &mut Built, input: &mut Bytes<'_>) {
    for _ in 0..input.below(4) {
        let (at, value) = (usize::from(input.byte()), input.byte());
        if let Some(place) = built.frame.get_mut(at) {
            *place = value;
        }
    }
    if input.byte().is_multiple_of(4) {
        built.offload = input.offload();
    }
    if input.byte().is_multiple_of(8) {
        built.frame.truncate(input.byte().into());
    }
}

/// Whether a packet with a fragment header right behind that of IPv6 is a part of one, and all there.
fn is_fragment_of_ipv6(ip: &[u8]) -> bool {
    ip.len() >= 48 && 40 + usize::from(word(ip, 4)) <= ip.len() && word(ip, 42) & 0xfff9 != 0
}

/// Whether a receiver would accept a frame. One that it could not even read is not right.
pub fn is_right(frame: &[u8], offload: &Offload) -> bool {
    if frame.len() < ETHERNET_LEN + 20 {
        return false;
    }
    let ip = &frame[ETHERNET_LEN..];
    let (header, total, protocol) = match (word(frame, 12), ip[0] >> 4) {
        (0x0800, 4) => (usize::from(ip[0] & 15) * 4, usize::from(word(ip, 2)), ip[9]),
        // A fragment has no checksum of its own. What else follows an extension header nobody checks
        // here.
        (0x86dd, 6) if ip[6] == 44 => return is_fragment_of_ipv6(ip),
        (0x86dd, 6) if matches!(ip[6], 0 | 43 | 60) => return false,
        (0x86dd, 6) => (40, 40 + usize::from(word(ip, 4)), ip[6]),
        _ => return false,
    };
    let transport = match protocol {
        6 => 20,
        17 | 1 | 58 => 8,
        _ => 0,
    };
    if header < 20 || total > ip.len() || total < header + transport {
        return false;
    }
    if offload.needs_csum {
        let field = match protocol {
            6 => 16,
            17 => 6,
            _ => return false,
        };
        let start = usize::from(offload.csum_start);
        if start != ETHERNET_LEN + header || usize::from(offload.csum_offset) != field {
            return false;
        }
    }
    verify::check(frame, offload).is_ok()
}
