//! One packet through the engine: the flow cache first, then the stages.

use gureum_types::{IpProtocol, PortIndex, TrafficVerdict};

use crate::{
    Direction, DropReason, Dropped, DroppedKey, Output, Packet, Policy, State, Trace, Verdict,
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
        tell_drop(port, (port, Direction::Egress), &headers, reason, out);
        return Verdict::Drop(reason);
    }
    let came = headers;
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
        leaving: None,
        hops: 0,
        forwarded: false,
        from_tracker: false,
        cacheable: whole && is_cacheable(&headers),
        stopped_at: (port, Direction::Egress),
    };
    let result = match port {
        PortIndex::INTERNET => walk.internet_ingress(),
        PortIndex::SERVICES => walk.services_ingress(),
        _ => walk.interface_egress(),
    };
    let Walk { headers, mtu, uses, hops, cacheable, stopped_at, .. } = walk;
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
        Err(Stop::Drop(reason)) => {
            tell_drop(port, stopped_at, &came, reason, out);
            Verdict::Drop(reason)
        }
        Err(Stop::Reply) => Verdict::Reply,
        Err(Stop::Translated(to)) => Verdict::Translated(to),
    }
}

fn tell_drop(
    port: PortIndex,
    (at, direction): (PortIndex, Direction),
    headers: &Headers,
    reason: DropReason,
    out: &mut impl Output,
) {
    let tuple = &headers.tuple;
    let key = DroppedKey {
        port,
        at,
        direction,
        source: tuple.source.ip(),
        destination: tuple.destination.ip(),
        source_port: tuple.source_port,
        destination_port: tuple.destination_port,
        protocol: tuple.protocol,
        reason,
    };
    out.dropped(&Dropped { key, packets: headers.wire_packets, bytes: headers.wire_bytes });
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
    let credit = credit_of(headers, TrafficVerdict::Accept);
    for of in hit.uses.iter() {
        state.advance(of, headers.tcp_flags, now, out);
        state.credit(of, credit, now, out);
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

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use gureum_types::{
        NatGatewayId, RouteTableId,
        record::{Route, RouteDestination, RouteTarget},
    };

    use super::*;
    use crate::{
        Discard, NoTrace,
        testing::{
            Built, Lab,
            lab::{BASTION, OUTSIDE, PRIVATE_01, PRIVATE_TABLE, PUBLIC_01},
            packets::{
                self,
                flags::{ACK, FIN, RST, SYN},
            },
            records,
        },
    };

    /// Whether a packet would take the short way.
    fn hits(lab: &Lab, port: PortIndex, built: &Built) -> bool {
        let (mut state, mut frame) = (lab.state.clone(), built.frame.clone());
        let mut packet = Packet { frame: &mut frame, offload: built.offload };
        let mut headers = Headers::parse(Family::V4, packet.frame, &packet.offload).unwrap();
        let key = CacheKey { port, tuple: headers.tuple };
        let (policy, now) = (&lab.policy, lab.now);
        cached(policy, &mut state, &key, &mut packet, &mut headers, now, &mut Discard).is_some()
    }

    #[test]
    fn the_short_way_is_for_what_turns_nothing() {
        let mut lab = Lab::new();
        let private = lab.address(PRIVATE_01);
        let ends = lab.ends(BASTION, private);
        let tcp = |flags| packets::tcp(&ends, (40_000, 22), flags, b"data");
        let syn = lab.tcp(BASTION, private, (40_000, 22), SYN);
        assert!(!hits(&lab, BASTION, &tcp(ACK)), "it is no connection yet");
        // The other end says something before the handshake is over.
        lab.answer_tcp(&syn, SYN | ACK);
        let early = lab.answer_tcp(&syn, ACK);
        assert_eq!(early.arrived(), Some(BASTION));
        let (port, back) = lab.answering(&syn);
        let answer = packets::tcp(&back, (22, 40_000), ACK, b"data");
        assert!(!hits(&lab, port, &answer), "the handshake is not over");
        assert!(!NoTrace.enabled(), "or nothing would take the short way");
        lab.send(BASTION, tcp(ACK));
        lab.send(port, answer.clone());
        assert!(hits(&lab, BASTION, &tcp(ACK)) && hits(&lab, port, &answer));
        for flags in [SYN, FIN | ACK, RST] {
            assert!(!hits(&lab, BASTION, &tcp(flags)), "{flags:#x}");
        }
        let mut elsewhere = tcp(ACK);
        elsewhere.frame[5] ^= 1;
        assert!(!hits(&lab, BASTION, &elsewhere), "another next hop");
        lab.wait(crate::TCP_ESTABLISHED_TIMEOUT);
        assert!(!hits(&lab, BASTION, &tcp(ACK)), "the flow is over");
        lab.state.flush_cache();
        lab.now -= crate::TCP_ESTABLISHED_TIMEOUT;
        assert!(!hits(&lab, BASTION, &tcp(ACK)), "and forgotten");
    }

    #[test]
    fn an_untracked_connection_has_its_short_way_from_its_first_data_on() {
        let mut lab = Lab::new();
        let public = Ipv4Addr::new(198, 18, 0, 11);
        let ends = lab.from_outside(OUTSIDE, public);
        let data = packets::tcp_data(&ends, (40_000, 80), b"data");
        lab.tcp_from_outside(public, (40_000, 80), SYN);
        assert!(!hits(&lab, PortIndex::INTERNET, &data), "a SYN teaches nothing");
        lab.send(PortIndex::INTERNET, data.clone());
        assert!(hits(&lab, PortIndex::INTERNET, &data));
    }

    #[test]
    fn datagrams_and_pings_have_a_short_way_and_errors_none() {
        let mut lab = Lab::new();
        let ends = lab.ends(PUBLIC_01, OUTSIDE);
        let datagram = |length| packets::udp(&ends, (5000, 53), &vec![0; length]);
        // What is learned from a fragment is not for whole datagrams (NACL-22).
        for piece in datagram(1000).fragments(400, 7) {
            assert!(lab.send(PUBLIC_01, piece).arrived().is_some());
        }
        assert!(!hits(&lab, PUBLIC_01, &datagram(100)));
        lab.send(PUBLIC_01, datagram(100));
        for (length, hit) in [(100, true), (1472, true), (1473, false)] {
            assert_eq!(hits(&lab, PUBLIC_01, &datagram(length)), hit, "{length}");
        }
        assert!(hits(&lab, PUBLIC_01, &datagram(100).with_hop_limit(0)), "no router counts");
        let ping = packets::icmp_echo(&ends, 1, 1);
        let error = packets::icmp_error(&ends, (3, 3), &datagram(8).frame);
        for (built, hit) in [(ping, true), (error, false)] {
            assert!(lab.send(PUBLIC_01, built.clone()).arrived().is_some());
            assert_eq!(hits(&lab, PUBLIC_01, &built), hit);
        }
    }

    /// NAT-18: one that may pass no more routers takes the long way.
    #[test]
    fn the_short_way_counts_routers() {
        let mut lab = Lab::new();
        lab.change(|network| {
            let (port, subnet) = (PortIndex(20), network.subnets[0].clone());
            let address = Ipv4Addr::new(10, 1, 1, 200);
            let public = Some(Ipv4Addr::new(198, 18, 0, 200));
            let mut interface = records::interface(port, &subnet, &[address], &[], public);
            interface.interface_type = "nat_gateway".to_owned();
            network.interfaces.push(Arc::new(interface));
            let gateway = records::nat_gateway(1, &subnet, port, true);
            network.nat_gateways.push(Arc::new(gateway));
            let id = RouteTableId::new(PRIVATE_TABLE);
            let table = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
            let destination = RouteDestination::Ipv4(records::block("0.0.0.0/0"));
            let target = RouteTarget::NatGateway(NatGatewayId::new(1));
            Arc::make_mut(table).routes.push(Route { destination, target });
        });
        let ends = lab.ends(PRIVATE_01, OUTSIDE);
        let datagram = packets::udp(&ends, (5000, 53), b"question");
        assert_eq!(lab.send(PRIVATE_01, datagram.clone()).arrived(), Some(PortIndex::INTERNET));
        for (hop_limit, hit) in [(64, true), (2, true), (1, false)] {
            let built = datagram.clone().with_hop_limit(hop_limit);
            assert_eq!(hits(&lab, PRIVATE_01, &built), hit, "{hop_limit}");
        }
    }
}
