//! One packet through the engine: the flow cache first, then the stages.

use gureum_types::{IpProtocol, PortIndex};

use crate::{
    DropReason, Output, Packet, Policy, State, Trace, Verdict,
    address::Family,
    stage::{Stop, Walk, arp, credit_of},
    state::{
        Flows,
        cache::{CacheKey, Cached, FlowUse, Uses},
        flow::Phase,
    },
    wire::{
        self, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6,
        ip::{Headers, Part, tcp},
        rewrite::{End, decrement_hop_limit, set_address, set_port},
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
    state.see(now);
    let verdict = match wire::be16(packet.frame, 12) {
        Some(ETHERTYPE_IPV4) => ip(Family::V4, policy, state, port, packet, now, out, trace),
        Some(ETHERTYPE_ARP) => arp(policy, state, port, packet.frame, out, trace),
        Some(ETHERTYPE_IPV6) if !has_ipv6(policy, port) => {
            Verdict::Drop(DropReason::Ipv6NotEnabled)
        }
        Some(ETHERTYPE_IPV6) => ip(Family::V6, policy, state, port, packet, now, out, trace),
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

/// Whether IPv6 may come from a port: not from a subnet without a block of it.
fn has_ipv6(policy: &Policy, port: PortIndex) -> bool {
    let subnet = policy.interface(port).and_then(|interface| policy.subnet(interface));
    subnet.is_none_or(|subnet| subnet.ipv6_block.is_some())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of `process` and the family")]
fn ip(
    family: Family,
    policy: &Policy,
    state: &mut State,
    port: PortIndex,
    packet: &mut Packet<'_>,
    now: u64,
    out: &mut impl Output,
    trace: &mut impl Trace,
) -> Verdict {
    let mut headers = match Headers::parse(family, packet.frame, &packet.offload) {
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
        uses: Uses::default(),
        hops: 0,
        forwarded: false,
        from_tracker: false,
        cacheable: whole && is_cacheable(&headers),
    };
    let result = match port {
        PortIndex::INTERNET => walk.internet_ingress(),
        PortIndex::SERVICES => walk.services_ingress(),
        _ => walk.interface_egress(),
    };
    let Walk { headers, mtu, uses, hops, cacheable, .. } = walk;
    match result {
        Ok(to) => {
            state.counters.sent_wire(to, headers.wire_packets, headers.wire_bytes);
            if cacheable && uses.iter().all(|of| is_steady(state, of, now)) {
                state.cache.insert(Cached {
                    epoch: policy.epoch(),
                    key,
                    macs_before,
                    macs_after: wire::bytes(packet.frame, 0).unwrap_or_default(),
                    source: (headers.tuple.source, headers.tuple.source_port),
                    destination: (headers.tuple.destination, headers.tuple.destination_port),
                    hops,
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
        _ => !headers.tuple.is_icmp() || headers.tuple.is_icmp_query(),
    }
}

/// Whether packets that turn nothing leave a flow as it is, but for its counters and timers.
#[inline]
fn is_steady(state: &State, of: &FlowUse, now: u64) -> bool {
    state.table(of.of).get(of.flow).is_some_and(|flow| {
        of.of == Flows::Untracked || (!flow.is_expired(now) && is_steady_phase(flow.phase))
    })
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
    if headers.largest > hit.mtu
        || headers.hop_limit <= hit.hops && hit.hops > 0
        || wire::bytes(packet.frame, 0) != Some(hit.macs_before)
        || !hit.uses.iter().all(|of| is_steady(state, of, now))
    {
        return None;
    }
    let credit = credit_of(headers, true);
    for of in hit.uses.iter() {
        state.advance(of, headers.tcp_flags, now, out);
        state.credit(of, credit, now);
    }
    set_address(packet, headers, End::Source, hit.source.0);
    set_address(packet, headers, End::Destination, hit.destination.0);
    set_port(packet, headers, End::Source, hit.source.1);
    set_port(packet, headers, End::Destination, hit.destination.1);
    for _ in 0..hit.hops {
        decrement_hop_limit(packet, headers);
    }
    wire::put(packet.frame, 0, &hit.macs_after);
    Some(hit.to)
}
