//! One packet through the engine: the flow cache first, then the stages.

use gureum_types::{IpProtocol, PortIndex};

use crate::{
    DropReason, Output, Packet, Policy, State, Trace, Verdict,
    stage::{Stop, Walk, arp, credit_of},
    state::{
        cache::{CacheKey, Cached},
        flow::Phase,
        table::FlowRef,
    },
    wire::{
        self, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6,
        ipv4::{Headers, Part, tcp},
        rewrite::{End, set_address},
    },
};

/// Takes a frame that arrived at a port through all stages. `now` is monotonic, in nanoseconds.
pub fn process(
    policy: &Policy,
    state: &mut State,
    port: PortIndex,
    packet: &mut Packet<'_>,
    now: u64,
    out: &mut impl Output,
    trace: &mut impl Trace,
) -> Verdict {
    state.adopt(policy, out);
    let verdict = match wire::be16(packet.frame, 12) {
        Some(ETHERTYPE_IPV4) => ipv4(policy, state, port, packet, now, out, trace),
        Some(ETHERTYPE_ARP) => arp(policy, state, port, packet.frame, out, trace),
        Some(ETHERTYPE_IPV6) => Verdict::Drop(DropReason::Ipv6NotEnabled),
        Some(_) => Verdict::Drop(DropReason::EtherTypeNotCarried),
        None => Verdict::Drop(DropReason::Malformed),
    };
    if let Verdict::Drop(reason) = verdict {
        state.counters.drop(port, reason);
    }
    verdict
}

/// Forgets what has timed out, a bounded number of entries a call. Call it often, from an idle
/// loop or a timer; nothing depends on how often, for what has timed out is never used.
pub fn expire(state: &mut State, now: u64, out: &mut impl Output) {
    state.expire(now, out);
}

fn ipv4(
    policy: &Policy,
    state: &mut State,
    port: PortIndex,
    packet: &mut Packet<'_>,
    now: u64,
    out: &mut impl Output,
    trace: &mut impl Trace,
) -> Verdict {
    let mut headers = match Headers::parse(packet.frame, &packet.offload) {
        Ok(headers) => headers,
        Err(reason) => return Verdict::Drop(reason),
    };
    state.counters.received(port, headers.wire_packets, headers.wire_bytes);
    let key = CacheKey { port, tuple: headers.tuple };
    let whole = headers.part == Part::Whole;
    if whole && !trace.enabled() {
        if let Some(to) = cached(policy, state, &key, packet, &mut headers, now, out) {
            state.counters.sent_wire(to, headers.wire_packets, headers.wire_bytes);
            return Verdict::Forward(to);
        }
    } else if let Err(reason) = state.fragments.resolve(port, &mut headers, now) {
        return Verdict::Drop(reason);
    }
    let macs_before = wire::bytes(packet.frame, 0).unwrap_or_default();
    let mut walk = Walk {
        policy,
        state,
        packet,
        headers,
        now,
        out,
        trace,
        from: port,
        mtu: u32::MAX,
        uses: [None; 2],
        cacheable: whole && is_cacheable(&headers),
    };
    let result = match port {
        PortIndex::INTERNET => walk.internet_ingress(),
        PortIndex::SERVICES => walk.services_ingress(),
        _ => walk.interface_egress(),
    };
    let Walk { headers, mtu, uses, cacheable, .. } = walk;
    match result {
        Ok(to) => {
            state.counters.sent_wire(to, headers.wire_packets, headers.wire_bytes);
            if cacheable && uses.iter().flatten().all(|of| !of.tracked || is_steady(state, of.flow))
            {
                state.cache.insert(Cached {
                    epoch: policy.epoch(),
                    key,
                    macs_before,
                    macs_after: wire::bytes(packet.frame, 0).unwrap_or_default(),
                    source: headers.tuple.source,
                    destination: headers.tuple.destination,
                    to,
                    mtu,
                    uses,
                });
            }
            Verdict::Forward(to)
        }
        Err(Stop::Drop(reason)) => Verdict::Drop(reason),
        Err(Stop::Reply) => Verdict::Reply,
    }
}

/// Flags that change what a TCP flow is: such packets always go through the stages.
const TURNING: u8 = tcp::SYN | tcp::FIN | tcp::RST;

/// Whether packets like this one may be cached: those of a kind that no stage looks into.
fn is_cacheable(headers: &Headers) -> bool {
    match IpProtocol(headers.tuple.protocol) {
        IpProtocol::TCP => headers.tcp_flags & TURNING == 0,
        // Errors carry a packet that has to be translated.
        IpProtocol::ICMP => wire::ipv4::is_query(headers.tuple.icmp_type()),
        _ => true,
    }
}

/// Whether packets that turn nothing leave a flow as it is, but for its counters and timers.
fn is_steady(state: &State, flow: FlowRef) -> bool {
    state.tracked.get(flow).is_some_and(|flow| is_steady_phase(flow.phase))
}

fn is_steady_phase(phase: Phase) -> bool {
    !matches!(
        phase,
        Phase::TcpSynSent
            | Phase::TcpSynReceived
            | Phase::TcpOriginatorClosed
            | Phase::TcpResponderClosed
            | Phase::TcpClosed
            | Phase::TcpReset
    )
}

/// The short way: a packet just like one that went through all stages at this epoch.
#[inline]
fn cached(
    policy: &Policy,
    state: &mut State,
    key: &CacheKey,
    packet: &mut Packet<'_>,
    headers: &mut Headers,
    now: u64,
    out: &mut impl Output,
) -> Option<PortIndex> {
    if headers.tcp_flags & TURNING != 0 {
        return None;
    }
    let hit = *state.cache.find(key, policy.epoch())?;
    if headers.largest > hit.mtu || wire::bytes(packet.frame, 0) != Some(hit.macs_before) {
        return None;
    }
    for of in hit.uses.iter().flatten() {
        let table = if of.tracked { &state.tracked } else { &state.untracked };
        let flow = table.get(of.flow)?;
        if of.tracked && (flow.is_expired(now) || !is_steady_phase(flow.phase)) {
            return None;
        }
    }
    let credit = credit_of(headers, true);
    for of in hit.uses.iter().flatten() {
        if of.tracked {
            state.advance(of.flow, of.direction, headers.tcp_flags, now, out);
        }
        state.credit(of, credit, now);
    }
    set_address(packet, headers, End::Source, hit.source);
    set_address(packet, headers, End::Destination, hit.destination);
    wire::put(packet.frame, 0, &hit.macs_after);
    Some(hit.to)
}
