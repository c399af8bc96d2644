//! Whatever bytes a guest sends: no panic, no frame of another length, no wrong checksum made.

use std::net::Ipv4Addr;

use gureum_engine::{
    NoTrace, Offload, Output, Packet, StateChange, Verdict, process,
    testing::{
        Built, Lab,
        lab::{BASTION, OUTSIDE, PUBLIC_01, PUBLIC_02},
        packets::{self, flags},
        records, verify,
    },
};
use gureum_types::{PortIndex, record::Traffic};
use proptest::{
    collection::vec, prelude::*, sample::Index, test_runner::FileFailurePersistence::WithSource,
};

/// Checks what the engine makes by itself.
struct Strict;

impl Output for Strict {
    fn emit(&mut self, _: PortIndex, frame: &[u8], offload: Offload) {
        assert!(frame.len() > 34, "a header and something");
        // A fragment or an error may carry a guest's nonsense, but its own header is right.
        let header = &frame[14..34];
        if frame[12..14] == [8, 0] && header[0] == 0x45 {
            let sum: u32 = header.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{frame:02x?}");
        }
        assert_eq!(offload, Offload::NONE);
    }

    fn journal(&mut self, _: StateChange<'_>) {}

    fn dhcp_lease(&mut self, _: PortIndex) {}
}

fn open_lab() -> Lab {
    let mut lab = Lab::new();
    for group in 1..=3 {
        lab.add_rule(group, false, Traffic::All, records::anywhere());
    }
    lab
}

/// Packets that take every way.
fn samples(lab: &mut Lab) -> Vec<(PortIndex, Built)> {
    let public = Ipv4Addr::new(198, 18, 0, 11);
    let near = lab.ends(PUBLIC_02, lab.address(BASTION));
    let far = lab.ends(PUBLIC_01, OUTSIDE);
    let hairpin = lab.ends(PUBLIC_02, public);
    let inward = lab.from_outside(OUTSIDE, public);
    let metadata = lab.ends(PUBLIC_01, Ipv4Addr::new(169, 254, 169, 254));
    let mac = lab.interface(PUBLIC_01).mac;
    let syn = packets::tcp_syn(&inward, (40_000, 80));
    vec![
        (PUBLIC_02, packets::tcp(&near, (1, 22), flags::SYN, b"data")),
        (PUBLIC_01, packets::udp(&far, (1, 53), &[1; 64])),
        (PUBLIC_01, packets::udp(&far, (1, 53), &[1; 3000]).may_fragment()),
        (PUBLIC_01, packets::icmp_error(&far, (3, 4), &syn.frame)),
        (PUBLIC_02, packets::icmp_echo(&hairpin, 1, 1)),
        (PortIndex::INTERNET, packets::icmp_error(&inward, (11, 0), &syn.frame)),
        (PortIndex::INTERNET, syn),
        (PUBLIC_01, packets::tcp_syn(&metadata, (1, 80))),
        (PUBLIC_01, packets::dhcp_discover(mac)),
        (PUBLIC_01, packets::dhcp_request(mac, Ipv4Addr::new(10, 1, 1, 11), None)),
        (PUBLIC_01, packets::arp_request(mac, Ipv4Addr::new(10, 1, 1, 11), lab.address(BASTION))),
    ]
}

fn offloads() -> impl Strategy<Value = Offload> {
    let any = (any::<bool>(), 0..80u16, 0..20u16, 0..8u8, any::<u16>(), any::<u16>());
    prop_oneof![
        2 => Just(Offload::NONE),
        1 => any.prop_map(|(needs_csum, csum_start, csum_offset, gso_type, gso_size, hdr_len)| {
            Offload { needs_csum, csum_start, csum_offset, gso_type, gso_size, hdr_len }
        }),
    ]
}

fn send(lab: &mut Lab, port: PortIndex, frame: &mut [u8], offload: Offload) -> (Verdict, Offload) {
    let mut packet = Packet { frame, offload };
    let policy = lab.policy.clone();
    let verdict =
        process(&policy, &mut lab.state, port, &mut packet, lab.now, &mut Strict, &mut NoTrace);
    (verdict, packet.offload)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        // What is found is kept beside this file.
        failure_persistence: Some(Box::new(WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_packets_do_no_harm(
        damages in vec(
            (any::<Index>(), vec((any::<Index>(), any::<u8>()), 0..6), any::<Index>(), offloads()),
            100,
        ),
    ) {
        let mut lab = open_lab();
        let samples = samples(&mut lab);
        for (which, bytes, cut, offload) in damages {
            let (port, built) = which.get(&samples);
            let mut frame = built.frame.clone();
            for (at, value) in &bytes {
                // Headers are worth most of the damage.
                let at = at.index(frame.len().min(80));
                frame[at] = *value;
            }
            if cut.index(4) == 0 {
                frame.truncate(cut.index(frame.len()));
            }
            let right = frame.len() >= 34 && verify_quietly(&frame, &offload);
            let (verdict, after) = send(&mut lab, *port, &mut frame, offload);
            if let Verdict::Forward(_) = verdict
                && right
            {
                prop_assert!(verify_quietly(&frame, &after), "{port} {frame:02x?}");
            }
        }
    }

    #[test]
    fn noise_does_no_harm(
        frames in vec((0..8u32, vec(any::<u8>(), 0..200), offloads()), 100),
    ) {
        let mut lab = open_lab();
        for (port, mut frame, offload) in frames {
            if frame.len() > 34 {
                frame[12] = 8;
                frame[13] = if frame[13] % 4 == 0 { 6 } else { 0 };
                frame[14] = 0x45;
            }
            send(&mut lab, PortIndex(port), &mut frame, offload);
        }
    }
}

/// Whether a receiver would accept a frame; one that it could not even read is not.
fn verify_quietly(frame: &[u8], offload: &Offload) -> bool {
    let ip = &frame[14..];
    let header = usize::from(ip[0] & 15) * 4;
    let total = usize::from(verify::word(ip, 2));
    let payload = total.saturating_sub(header);
    let transport = match ip[9] {
        6 => 20,
        17 | 1 => 8,
        _ => 0,
    };
    let start = usize::from(offload.csum_start);
    let field = start + usize::from(offload.csum_offset) + 2;
    let sound = verify::word(frame, 12) == 0x0800
        && ip[0] >> 4 == 4
        && (20..=total).contains(&header)
        && total <= ip.len()
        && payload >= transport
        && (!offload.needs_csum
            || (start == 14 + header
                && field <= 14 + total
                && offload.csum_offset == if ip[9] == 6 { 16 } else { 6 }));
    sound && verify::check(frame, offload).is_ok()
}
