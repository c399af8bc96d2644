//! Real packets through the engine: whole segments, restarts, losses, links that vanish.

mod common;

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use common::{
    A, ANYTHING, B, C, Data, Guest, INTERNET_HOST, PORT_A, PORT_B, PORT_C, Pinger, dial, policy,
    root, wait_for,
};
use gureum_engine::DropReason;
use gureum_host::{
    datapath::{Ends, TapFilter, TapSettings, monotonic_now},
    fabric::port_link,
    netlink::Netlink,
};
use gureum_types::{IpProtocol, record::Traffic};

const ICMP: Traffic =
    Traffic::Icmp { protocol: IpProtocol::ICMP, icmp_type: None, icmp_code: None };
const SECOND: Duration = Duration::from_secs(1);

/// Sends `megabytes` of a known pattern one way and checks every byte on the other side.
fn transfer(mut from: TcpStream, mut to: TcpStream, megabytes: usize) -> Duration {
    let block: Vec<u8> = (0..1 << 20).map(|n: u32| (n ^ (n >> 8)) as u8).collect();
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..megabytes {
                from.write_all(&block).expect("sent");
            }
        });
        let mut received = vec![0; 1 << 20];
        for _ in 0..megabytes {
            to.read_exact(&mut received).expect("received");
            assert!(received == block, "the payload changed on its way");
        }
    });
    started.elapsed()
}

#[test]
fn two_guests_ping_and_pass_whole_segments() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let (a, b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let mut pinger = Pinger::new(&a.namespace, B, 7);
    pinger.ping(5 * SECOND).expect("an answer");
    let mut times: Vec<_> = (0..500).filter_map(|_| pinger.ping(SECOND)).collect();
    assert_eq!(times.len(), 500, "pings were lost");
    times.sort();
    println!("ping p50 {:?} p99 {:?}", times[250], times[495]);

    let listener = b.listen(5001);
    let client = a.dial((B, 5001)).expect("connected");
    let (server, _) = listener.accept().expect("accepted");
    let megabytes = 512;
    let time = transfer(client, server, megabytes);
    let gigabits = megabytes as f64 * 8.388608e-3 / time.as_secs_f64();
    println!("tcp {gigabits:.1} Gbit/s");
    let losses = cloud.datapath().losses().blocking_recv().expect("an answer");
    for (port, losses) in losses {
        assert_eq!(losses.unreadable, 0, "port {port}: {losses:?}");
        assert_eq!(losses.send_failed, 0, "port {port}: {losses:?}");
    }
}

#[test]
fn the_policy_decides_from_the_moment_it_is_acknowledged() {
    if !root() {
        return;
    }
    let data = Data::new();
    let nothing = [(true, Traffic::All, "0.0.0.0/0")];
    let cloud = data.open(policy(&nothing, 1));
    let (a, _b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    assert_eq!(Pinger::new(&a.namespace, B, 1).ping(SECOND / 2), None);
    let rules = [nothing[0], (false, ICMP, "10.1.0.0/16")];
    let applied = cloud.datapath().apply(policy(&rules, 2).into()).blocking_recv();
    assert_eq!(applied, Ok(2));
    assert_eq!(cloud.datapath().applied_epoch(), 2);
    Pinger::new(&a.namespace, B, 2).ping(5 * SECOND).expect("an answer");
}

/// The daemon may die: connections go on, also those whose rule is gone (SGT-5, issue 2).
#[test]
fn a_connection_outlives_the_data_path_even_without_its_rule() {
    if !root() {
        return;
    }
    let data = Data::new();
    // Tracked, since it is not open to everybody (SGT-2).
    let tcp = Traffic::Ports { protocol: IpProtocol::TCP, from: 5001, to: 5001 };
    let open = [
        (true, ICMP, "10.1.0.0/16"),
        (true, tcp, "10.1.0.0/16"),
        (false, ICMP, "10.1.0.0/16"),
        (false, tcp, "10.1.0.0/16"),
    ];
    let cloud = data.open(policy(&open, 1));
    let (a, b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let listener = b.listen(5001);
    let mut client = a.dial((B, 5001)).expect("connected");
    let (mut server, _) = listener.accept().expect("accepted");
    server.set_read_timeout(Some(10 * SECOND)).expect("set");
    client.write_all(b"before").expect("sent");
    server.read_exact(&mut [0; 6]).expect("received");
    let mut pinger = Pinger::new(&a.namespace, B, 3);
    pinger.ping(SECOND).expect("an answer");
    let applied = cloud.datapath().apply(policy(&[], 2).into()).blocking_recv();
    assert_eq!(applied, Ok(2));
    drop(cloud);

    client.write_all(b"during").expect("queued");
    let cloud = data.open(policy(&[], 2));
    for (guest, port) in [(&a, PORT_A), (&b, PORT_B)] {
        // Nobody's instance: the sweep of a new daemon removed its link with all others unknown.
        assert_eq!(guest.port, port);
        guest.plug(&cloud);
    }
    let mut received = [0; 6];
    server.read_exact(&mut received).expect("received after the restart");
    assert_eq!(&received, b"during");
    pinger.ping(5 * SECOND).expect("the running ping goes on");
    assert_eq!(Pinger::new(&a.namespace, B, 4).ping(SECOND / 2), None, "a new ping has no rule");
    dial(&a.namespace, (B, 5001)).expect_err("a new connection has no rule");
}

/// Traps 1: a loud guest does not starve the others.
#[test]
fn a_flood_of_one_port_leaves_the_others_alone() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let (a, b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let flood = a
        .namespace
        .run(|| std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket"))
        .expect("entered");
    let c = Guest::connect(&cloud, PORT_C, C);
    let mut pinger = Pinger::new(&b.namespace, C, 9);
    pinger.ping(5 * SECOND).expect("an answer");
    let until = Instant::now() + 2 * SECOND;
    let lost = thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < until {
                for _ in 0..64 {
                    let _ = flood.send_to(&[0; 1000], (INTERNET_HOST, 9));
                }
            }
        });
        let mut lost = 0;
        while Instant::now() < until {
            lost += usize::from(pinger.ping(SECOND).is_none());
        }
        lost
    });
    assert_eq!(lost, 0, "pings to {} were lost", c.address);
}

/// Traps 18: a guest's root may delete its link, and with it the port.
#[test]
fn a_port_whose_link_vanished_is_out_of_service_and_can_come_back() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let (a, _b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let mut netlink = Netlink::open_in(&a.namespace).expect("netlink");
    let eth0 = netlink.link("eth0").expect("asked").expect("there");
    netlink.delete_link(eth0.index).expect("deleted");
    let ports = || {
        let losses = cloud.datapath().losses().blocking_recv().expect("an answer");
        losses.into_iter().map(|(port, _)| port).collect::<Vec<_>>()
    };
    wait_for("the port to leave", 5 * SECOND, || !ports().contains(&PORT_A));
    let mut fabric = Netlink::open_in(&cloud.namespaces().fabric).expect("netlink");
    assert_eq!(fabric.link(&port_link(PORT_A)).expect("asked"), None);
    a.plug(&cloud);
    Pinger::new(&a.namespace, B, 5).ping(5 * SECOND).expect("an answer");
}

#[test]
fn a_watcher_sees_packets_and_what_they_meet() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let (a, _b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let filter = TapFilter { port: Some(PORT_B), protocol: Some(1), ..TapFilter::default() };
    let mut tap = cloud.datapath().tap(tap_settings(filter));
    Pinger::new(&a.namespace, B, 6).ping(5 * SECOND).expect("an answer");
    let mut seen = Vec::new();
    while let Some(event) = tap.blocking_next() {
        assert_eq!(Ends::of(&event.received.bytes).expect("IPv4").protocol, Some(1));
        assert!(!event.steps.is_empty());
        assert!(event.concerns(PORT_B));
        seen.push((event.port, event.verdict));
        if event.port == PORT_B {
            break;
        }
    }
    let forwarded = (PORT_A, gureum_engine::Verdict::Forward(PORT_B));
    assert!(seen.contains(&forwarded), "{seen:?}");
}

fn tap_settings(filter: TapFilter) -> TapSettings {
    TapSettings { filter, snap: 128, rate: None, queue: 1000 }
}

/// A drop is told with its reason, also where it happened on the receiver's behalf; what does not
/// fit the rate is counted.
#[test]
fn a_watcher_sees_drops_within_its_rate() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&[(true, Traffic::All, "0.0.0.0/0")], 1));
    let (a, _b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let filter = TapFilter {
        port: Some(PORT_B),
        reason: Some("security-group-ingress"),
        ..TapFilter::default()
    };
    let mut tap = cloud.datapath().tap(tap_settings(filter.clone()));
    let other = TapFilter { reason: Some("no-route"), ..TapFilter::default() };
    let elsewhere = cloud.datapath().tap(tap_settings(other));
    let mut slow = cloud.datapath().tap(TapSettings { rate: Some(1), ..tap_settings(filter) });
    let mut pinger = Pinger::new(&a.namespace, B, 9);
    assert_eq!(pinger.ping(SECOND / 4), None);
    let event = tap.blocking_next().expect("a drop");
    assert_eq!((event.port, event.dropped_at()), (PORT_A, Some(PORT_B)));
    assert!(slow.blocking_next().is_some(), "the first of the second");
    for _ in 0..20 {
        pinger.ping(SECOND / 100);
    }
    wait_for("what did not fit to be counted", 5 * SECOND, || {
        pinger.ping(SECOND / 100);
        slow.left_out() > 0
    });
    drop(elsewhere);
}

/// What flows carry between two looks is told to the byte, and what is rejected to the packet.
#[test]
fn talkers_and_rejects_are_known_afterwards() {
    if !root() {
        return;
    }
    let data = Data::new();
    let udp = |port| Traffic::Ports { protocol: IpProtocol::UDP, from: port, to: port };
    let rules = [(true, Traffic::All, "0.0.0.0/0"), (false, udp(5001), "10.1.0.0/16")];
    let cloud = data.open(policy(&rules, 1));
    let (a, b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let socket = |guest: &Guest, port| {
        let address = (guest.address, port);
        let socket = guest.namespace.run(|| UdpSocket::bind(address)).expect("entered");
        let socket = socket.expect("a socket");
        socket.set_read_timeout(Some(10 * SECOND)).expect("set");
        socket
    };
    let (from, to) = (socket(&a, 5000), socket(&b, 5001));
    let send = |count| {
        for _ in 0..count {
            from.send_to(&[0; 100], (B, 5001)).expect("sent");
            to.recv(&mut [0; 200]).expect("received");
        }
    };
    send(3);
    let before = cloud.datapath().look().expect("a look");
    send(10);
    let began = monotonic_now();
    for limit in [0, 10] {
        let before = cloud.datapath().look().expect("a look");
        let none = cloud.datapath().talkers(before, Some(PORT_C), limit).expect("a look");
        assert_eq!((none.first.len(), none.flows), (0, 0), "nobody is there");
    }
    let seen = cloud.datapath().talkers(before, Some(PORT_B), 10).expect("a look");
    let talker = seen.first.first().expect("a flow");
    assert_eq!((talker.packets, talker.bytes, seen.flows), (10, 10 * 128, 1));
    assert_eq!(talker.flow.ingress.packets, 13, "it goes on");
    assert_eq!((talker.flow.local, talker.flow.remote), ((B.into(), 5001), (A.into(), 5000)));
    let id = |n: u32| Some(format!("eni-0{n:016x}").parse().expect("an id"));
    assert_eq!(talker.interface, id(2));
    assert!(talker.elapsed > 0);

    for _ in 0..5 {
        from.send_to(&[0; 100], (B, 5002)).expect("sent");
    }
    let mut sums = Vec::new();
    wait_for("the rejects", 10 * SECOND, || {
        let (all, complete_since) = cloud.datapath().drops(began).expect("an answer");
        assert!(complete_since < began);
        // There may be others: a kernel speaks to routers and groups by itself.
        sums = all.into_iter().filter(|sum| sum.key.destination_port == 5002).collect();
        sums.iter().map(|sum| sum.packets).sum::<u64>() == 5
    });
    let sum = sums.first().expect("a reject");
    assert_eq!(sums.len(), 1, "they are alike: {sums:?}");
    assert_eq!((sum.key.port, sum.key.at), (PORT_A, PORT_B));
    assert_eq!((sum.key.reason, sum.bytes), (DropReason::SecurityGroupIngress, 5 * 128));
    assert_eq!((&sum.from, &sum.at), (&id(1), &id(2)));
    assert!(began <= sum.first && sum.first <= sum.last);
    let later = cloud.datapath().drops(monotonic_now()).expect("an answer").0;
    assert!(later.iter().all(|sum| sum.key.destination_port != 5002), "{later:?}");
}

/// A mistake in the engine costs a packet, not the daemon or anybody's connection.
#[test]
fn a_panic_loses_no_connection() {
    if !root() {
        return;
    }
    let data = Data::new();
    let tcp = Traffic::Ports { protocol: IpProtocol::TCP, from: 5001, to: 5001 };
    let rules = [(true, tcp, "10.1.0.0/16"), (false, tcp, "10.1.0.0/16")];
    let cloud = data.open(policy(&rules, 1));
    let (a, b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let listener = b.listen(5001);
    let mut client = a.dial((B, 5001)).expect("connected");
    let (mut server, _) = listener.accept().expect("accepted");
    let applied = cloud.datapath().apply(policy(&[], 2).into()).blocking_recv();
    assert_eq!(applied, Ok(2));
    cloud.datapath().run(|_, _| panic!("on purpose")).blocking_recv().expect_err("no answer");
    client.write_all(b"after").expect("sent");
    server.set_read_timeout(Some(10 * SECOND)).expect("set");
    server.read_exact(&mut [0; 5]).expect("received");
    dial(&a.namespace, (B, 5001)).expect_err("a new connection has no rule");
}

/// Traps 9: with all connections written down, a new data path takes none up by guessing; with
/// the journal lost it does, for a while.
#[test]
fn connections_are_guessed_only_where_the_journal_is_lost() {
    if !root() {
        return;
    }
    let data = Data::new();
    let tcp = Traffic::Ports { protocol: IpProtocol::TCP, from: 5001, to: 5001 };
    let rules = [(true, tcp, "10.1.0.0/16"), (false, tcp, "10.1.0.0/16")];
    let cloud = data.open(policy(&rules, 1));
    let (a, b) = (Guest::connect(&cloud, PORT_A, A), Guest::connect(&cloud, PORT_B, B));
    let listener = b.listen(5001);
    let mut client = a.dial((B, 5001)).expect("connected");
    let (mut server, _) = listener.accept().expect("accepted");
    server.set_read_timeout(Some(10 * SECOND)).expect("set");
    drop(cloud);

    let journal = data.dir.path().join("state/flows");
    let restart = |expected_flows| {
        let cloud = data.open(policy(&rules, 1));
        let flows = cloud.datapath().run(|_, state| state.tracked_flows()).blocking_recv();
        assert_eq!(flows, Ok(expected_flows));
        a.plug(&cloud);
        b.plug(&cloud);
        cloud
    };
    let drops = |cloud: &gureum_host::Cloud| {
        let counted = cloud.datapath().run(|_, state| {
            state.counters().drops_of(PORT_A).any(|(name, _)| name == "tcp-not-tracked")
        });
        counted.blocking_recv().expect("an answer")
    };
    // The journal is in order and knows nothing of the connection.
    let mut emptied = std::fs::read(&journal).expect("a journal");
    emptied[4096..].fill(0);
    std::fs::write(&journal, emptied).expect("written");
    let cloud = restart(0);
    client.write_all(b"lost?").expect("queued");
    wait_for("the connection to be refused", 10 * SECOND, || drops(&cloud));
    drop(cloud);

    std::fs::remove_file(&journal).expect("removed");
    let cloud = restart(0);
    server.read_exact(&mut [0; 5]).expect("received after all");
    drop(cloud);

    // In a fabric that was just made no connection can be open.
    gureum_host::cloud::down(data.dir.path()).expect("down");
    for guest in [&a, &b] {
        let mut netlink = Netlink::open_in(&guest.namespace).expect("netlink");
        wait_for("the old link to go", 10 * SECOND, || {
            netlink.link("eth0").expect("asked").is_none()
        });
    }
    assert!(!journal.exists(), "what was open went with the cloud");
    let cloud = restart(0);
    client.write_all(b"again?").expect("queued");
    wait_for("the connection to be refused", 10 * SECOND, || drops(&cloud));
}

/// Guests choose addresses and ports, so where these are in tables must not be known to them.
#[test]
fn every_data_path_hashes_by_a_seed_of_its_own() {
    if !root() {
        return;
    }
    let data = Data::new();
    let seed = || {
        let cloud = data.open(policy(&ANYTHING, 1));
        let seed = cloud.datapath().run(|_, state| state.limits().hash_seed);
        seed.blocking_recv().expect("an answer")
    };
    let (first, second) = (seed(), seed());
    assert!(first != second && first != 0 && second != 0);
}
