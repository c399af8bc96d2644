//! What a packet costs: nanoseconds by way, with the flow cache and through all stages, on the lab
//! and on a network of ten thousand interfaces. `cargo run --release --example cost`.

use std::{net::Ipv4Addr, sync::Arc, time::Instant};

use gureum_engine::{
    Discard, Limits, NoTrace, Packet, Policy, State, Verdict, compile, process,
    testing::{
        Built, Lab,
        lab::{BASTION, FABRIC, OUTSIDE, PRIVATE_01, PUBLIC_01, lab_network},
        packets::{self, flags::SYN},
        records,
    },
};
use gureum_types::{
    PortIndex, SecurityGroupId,
    record::{Network, RouteTarget, RulePeer},
};

const ROUNDS: u32 = 1_000_000;

/// The fastest of three runs, in nanoseconds a packet.
fn measure(lab: &mut Lab, port: PortIndex, built: &Built, cached: bool) -> f64 {
    let policy: Arc<Policy> = Arc::clone(&lab.policy);
    let mut frame = built.frame.clone();
    let rounds = if cached { ROUNDS } else { ROUNDS / 10 };
    let mut run = |state: &mut State| {
        let began = Instant::now();
        for _ in 0..rounds {
            frame.copy_from_slice(&built.frame);
            let mut packet = Packet { frame: &mut frame, offload: built.offload };
            if !cached {
                state.flush_cache();
            }
            let verdict =
                process(&policy, state, port, &mut packet, lab.now, &mut Discard, &mut NoTrace);
            assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
        }
        began.elapsed().as_nanos() as f64 / f64::from(rounds)
    };
    (0..3).map(|_| run(&mut lab.state)).fold(f64::MAX, f64::min)
}

/// The lab beside ten thousand other interfaces, each rule beside a thousand others.
fn large_network() -> Network {
    let mut network = lab_network();
    let vpc = records::vpc(2, records::block("10.0.0.0/8"));
    let group = records::security_group(50, &vpc.id, "many");
    for number in 0..1000u64 {
        let [.., a, b] = (number as u16).to_be_bytes();
        let peer = records::from_block(&format!("10.{a}.{b}.0/24"));
        let port = 1000 + number as u16;
        let rule = records::rule(10_000 + number, &group.id, false, records::tcp(port, port), peer);
        network.security_group_rules.push(Arc::new(rule));
        // The groups of the lab have as many.
        let peer = RulePeer::Ipv4(records::block(&format!("10.{a}.{b}.0/24")));
        let traffic = records::tcp(port, port.saturating_add(500));
        let lab_group = SecurityGroupId::new(number % 3 + 1);
        let rule = records::rule(20_000 + number, &lab_group, false, traffic, peer);
        network.security_group_rules.push(Arc::new(rule));
    }
    let local = (records::block("10.0.0.0/8"), RouteTarget::Local);
    network.route_tables.push(Arc::new(records::route_table(50, &vpc.id, true, &[], &[local])));
    for number in 0..100u32 {
        let block = records::block(&format!("10.{number}.0.0/16"));
        let subnet = records::subnet(100 + u64::from(number), &vpc.id, block);
        for host in 0..100u32 {
            let address = Ipv4Addr::from(u32::from(block.network()) + 10 + host);
            let port = PortIndex(100 + number * 100 + host);
            let groups = [group.id.clone()];
            let record = records::interface(port, &subnet, &[address], &groups, None);
            network.interfaces.push(Arc::new(record));
        }
        network.subnets.push(Arc::new(subnet));
    }
    network.security_groups.push(Arc::new(group));
    network.vpcs.push((records::region(), Arc::new(vpc)));
    network
}

fn report(name: &str, network: Network) {
    let began = Instant::now();
    let policy = compile(&network, 1, &FABRIC);
    println!("{name}: compiled in {:.2} ms", began.elapsed().as_secs_f64() * 1000.0);
    drop(policy);
    let mut lab = Lab::with(network, Limits { cache: 1, ..Limits::default() });
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    lab.connect_from_outside(Ipv4Addr::new(198, 18, 0, 11), (40_000, 80));
    let tracked = lab.ends(BASTION, private);
    let inward = lab.from_outside(OUTSIDE, Ipv4Addr::new(198, 18, 0, 11));
    let outward = lab.ends(PUBLIC_01, OUTSIDE);
    let cases = [
        ("tracked, within the VPC", BASTION, packets::tcp_data(&tracked, (40_000, 22), &[0; 1000])),
        ("untracked, from the internet", PortIndex::INTERNET, {
            packets::tcp_data(&inward, (40_000, 80), &[0; 1000])
        }),
        ("untracked, to the internet", PUBLIC_01, {
            packets::tcp_data(&outward, (80, 40_000), &[0; 1000])
        }),
        ("a ping", PUBLIC_01, packets::icmp_echo(&outward, 3, 1)),
    ];
    for (what, port, built) in &cases {
        let slow = measure(&mut lab, *port, built, false);
        let fast = measure(&mut lab, *port, built, true);
        println!("  {what:<30} cached {fast:>6.0} ns, through all stages {slow:>6.0} ns");
    }
    let began = Instant::now();
    let ends = lab.ends(BASTION, private);
    let connections = 20_000u16;
    for port in 0..connections {
        let built = packets::tcp(&ends, (port + 1000, 22), SYN, &[]);
        let sent = lab.send(BASTION, built);
        assert!(sent.arrived().is_some());
    }
    let each = began.elapsed().as_nanos() / u128::from(connections);
    println!("  {:<30} {each} ns, with all that the fixture checks", "a new connection");
}

fn main() {
    report("the lab", lab_network());
    report("ten thousand interfaces", large_network());
}
