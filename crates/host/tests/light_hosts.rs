//! Light hosts: every port answers who it is, their networks follow the policy, they outlive the
//! daemon and leave nothing behind.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    A, A_PUBLIC, ANYTHING, B, C, Data, PORT_A, PORT_B, PORT_C, dial,
    guest::{next_event, shell},
    mac, network, policy, root, wait_for,
};
use gureum_engine::{Policy, compile};
use gureum_host::{
    attempt::{Attempt, Outcome, Traffic, attempt},
    cloud::{Cloud, leftovers},
    error::HostError,
    fabric,
    instance::Kind,
    netlink::Netlink,
};
use gureum_types::{
    InstanceId, PortIndex,
    host::{HostEvent, InstanceSpec, InterfaceSpec, Limits, Run},
    record::Network,
    view::ServiceView,
};

const SECOND: Duration = Duration::from_secs(1);

fn open(data: &Data, policy: Policy) -> Cloud {
    let mut config = data.config(policy);
    config.kind = Kind::Light;
    let policy = config.policy.clone();
    let cloud = Cloud::open(config).expect("a cloud");
    cloud.instances().follow(policy, Arc::new(ServiceView::default()));
    cloud
}

fn interface(device_index: u32, port: PortIndex) -> InterfaceSpec {
    InterfaceSpec {
        id: format!("eni-0000000000000000{port}").parse().expect("an id"),
        port,
        device_index,
        mac: mac(port.0 as u8),
        mtu: 9001,
    }
}

fn spec(n: u32, port: PortIndex) -> InstanceSpec {
    InstanceSpec {
        id: format!("i-0{n:016x}").parse().expect("an id"),
        start: 1,
        image: "there is none".into(),
        login_user: "ec2-user".into(),
        hostname: format!("host-{n}"),
        region: "ap-northeast-2".into(),
        flavor: "amzn2".into(),
        limits: Limits {
            memory_bytes: 64 << 20,
            cpu_millis: 1000,
            processes: 64,
            disk_bytes: 1 << 20,
        },
        interfaces: vec![interface(0, port)],
    }
}

/// Gives a policy to the data path and to whoever follows.
fn apply(cloud: &Cloud, network: &Network, epoch: u64) {
    let pool = "198.18.0.0/16".parse().expect("a block");
    let policy = Arc::new(compile(network, epoch, &fabric::config(pool)));
    cloud.datapath().apply(policy.clone()).blocking_recv().expect("applied");
    cloud.instances().follow(policy, Arc::new(ServiceView::default()));
}

/// The line that a port of a host answers to the internet.
fn heard(cloud: &Cloud, to: Ipv4Addr, port: u16) -> std::io::Result<String> {
    let stream = dial(&cloud.namespaces().internet, (to, port))?;
    stream.set_read_timeout(Some(5 * SECOND))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn attempts(cloud: &Cloud, from: &InstanceId, what: &[(IpAddr, Traffic)]) -> Vec<Outcome> {
    let attempts: Vec<_> = what
        .iter()
        .map(|(destination, traffic)| Attempt {
            source: None,
            destination: *destination,
            traffic: *traffic,
        })
        .collect();
    let namespace = cloud.instances().network(from).expect("a network");
    attempt(&namespace, &attempts, 5 * SECOND).expect("entered")
}

fn by(outcome: &Outcome) -> Option<&InstanceId> {
    match outcome {
        Outcome::Answered { by, .. } => by.as_ref(),
        _ => None,
    }
}

#[test]
fn every_port_of_a_light_host_answers() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = open(&data, policy(&ANYTHING, 1));
    let instances = cloud.instances();
    let mut events = instances.events().expect("events");
    let (one, two) = (spec(1, PORT_A), spec(2, PORT_B));
    for spec in [&one, &two] {
        let started = Instant::now();
        instances.ensure_running(spec).expect("running");
        println!("running after {:?}", started.elapsed());
        assert_eq!(next_event(&mut events, 10 * SECOND), HostEvent::Ready(spec.id.clone()));
    }
    let seen = instances.observe().expect("observed");
    assert!(seen.iter().all(|it| it.run == Run::Running && it.ready && it.start == 1), "{seen:?}");

    // From the internet, on any port: who, where, and for whom.
    for port in [1, 22, 443, 5432, 65535] {
        let line = heard(&cloud, A_PUBLIC, port).expect("an answer");
        let start = format!("{} - {A}:{port} from 203.0.113.10:", one.id);
        assert!(line.starts_with(&start), "{line}");
    }
    // Everything else comes back.
    let mut stream = dial(&cloud.namespaces().internet, (A_PUBLIC, 7)).expect("connected");
    let big = vec![b'x'; 1 << 20];
    let mut writer = stream.try_clone().expect("a clone");
    let echo = std::thread::spawn(move || {
        writer.write_all(&big).and_then(|()| writer.shutdown(std::net::Shutdown::Write))
    });
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("read");
    echo.join().expect("a thread").expect("written");
    let line_end = all.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    assert_eq!(all.len() - line_end, 1 << 20);
    // HTTP where it is expected.
    for port in [80, 8080] {
        let mut stream = dial(&cloud.namespaces().internet, (A_PUBLIC, port)).expect("connected");
        write!(stream, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains(&format!("\r\n\r\n{} - {A}:{port} from ", one.id)), "{text}");
    }

    // Between hosts: UDP and ICMP, too; and a host finds itself.
    let (a, b) = (IpAddr::V4(A), IpAddr::V4(B));
    let traffic = [Traffic::Tcp(80), Traffic::Tcp(3306), Traffic::Udp(53), Traffic::Udp(60_000)];
    for (target, who) in [(b, &two.id), (a, &one.id)] {
        let outcomes = attempts(&cloud, &one.id, &traffic.map(|it| (target, it)));
        assert!(outcomes.iter().all(|it| by(it) == Some(who)), "{outcomes:?}");
    }
    let outcomes = attempts(&cloud, &one.id, &[(b, Traffic::Echo), (C.into(), Traffic::Echo)]);
    assert!(outcomes[0].got_through() && !outcomes[1].got_through(), "{outcomes:?}");
}

/// Own programs in a light host: they see its network, their ports are theirs, their clients are
/// answered, and they end with it.
#[test]
fn programs_run_in_a_light_host() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = open(&data, policy(&ANYTHING, 1));
    let instances = cloud.instances();
    let spec = spec(1, PORT_A);
    let id = &spec.id;
    instances.ensure_running(&spec).expect("running");
    let (code, text) = shell(instances, id, "hostname; ip -4 -o addr show eth0; ip route; id -u");
    assert_eq!(code, 0, "{text}");
    for part in ["host-1\n", "10.1.1.10/24", "default via 10.1.1.1 dev eth0", "\n0\n"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text) = shell(instances, id, "cat /etc/resolv.conf; ls /sys/class/net");
    assert!(text.contains("nameserver 10.1.0.2") && text.contains("eth0"), "{text}");
    // What is not the host's is nobody's to change.
    let (code, text) = shell(instances, id, "mount -t tmpfs none /mnt");
    assert_ne!(code, 0, "{text}");

    let (code, text) = common::guest::run_as(instances, id, "root", "exit 7", true);
    assert_eq!(code, 7, "{text}");

    let server = "import socket\n\
                  s = socket.create_server((\"\", 9000))\n\
                  print(\"up\", flush=True)\n\
                  while True: s.accept()[0].sendall(b\"mine\\n\")";
    let line = format!("nohup python3 -c '{server}' >/tmp/gureum-light-test 2>&1 & sleep 0.1");
    let (code, text) = shell(instances, id, &line);
    assert_eq!(code, 0, "{text}");
    wait_for("the program has its port", 10 * SECOND, || {
        heard(&cloud, A_PUBLIC, 9000).is_ok_and(|line| line == "mine")
    });
    let other = heard(&cloud, A_PUBLIC, 9001).expect("an answer");
    assert!(other.starts_with(id.as_str()), "{other}");
    // A client that does not connect its socket gets its answer, and its answer gets none.
    let client = "import socket\n\
                  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  s.settimeout(5)\n\
                  s.bind((\"10.1.1.10\", 4000))\n\
                  s.sendto(b\"hello\", (\"10.1.1.10\", 5000))\n\
                  print(s.recv(200).decode(), flush=True)\n\
                  s.settimeout(0.3)\n\
                  print(s.recv(200))";
    let (_, text) = shell(instances, id, &format!("python3 -c '{client}' 2>&1"));
    assert!(text.starts_with(&format!("{id} - 10.1.1.10:5000 from 10.1.1.10:4000")), "{text}");
    assert!(text.contains("timed out"), "{text}");

    let refused = instances.exec(
        id,
        &gureum_host::exec::ExecRequest {
            argv: vec!["id".into()],
            user: "ec2-user".into(),
            environment: vec![],
            terminal: false,
        },
        streams(),
    );
    assert!(refused.is_err_and(|error| error.to_string().contains("is a light host")));

    instances.reboot(id).expect("asked to");
    wait_for("what ran in it has ended", 10 * SECOND, || {
        heard(&cloud, A_PUBLIC, 9000).is_ok_and(|line| line.starts_with(id.as_str()))
    });
    assert!(instances.observe().expect("observed")[0].ready, "after the reboot");
    let console = instances.console(id).expect("a console");
    assert!(String::from_utf8_lossy(&console).contains("is a light host"));
}

fn streams() -> gureum_host::exec::ExecStreams {
    let null = || std::fs::File::options().read(true).write(true).open("/dev/null");
    let null = || null().expect("opened").into();
    gureum_host::exec::ExecStreams { input: null(), output: null(), error: null() }
}

/// Addresses come and go, of both families; interfaces too; what comes from an interface's address
/// leaves by it.
#[test]
fn a_light_host_follows_its_records() {
    if !root() {
        return;
    }
    let data = Data::new();
    let mut records = network(&ANYTHING);
    let cloud = open(&data, policy(&ANYTHING, 1));
    let instances = cloud.instances();
    let (one, two) = (spec(1, PORT_A), spec(2, PORT_B));
    for spec in [&one, &two] {
        instances.ensure_running(spec).expect("running");
    }
    let secondary = Ipv4Addr::new(10, 1, 1, 77);
    let reaches = |to: IpAddr, who: &InstanceId| {
        let traffic = [Traffic::Tcp(5432), Traffic::Udp(5432)];
        let outcomes = attempts(&cloud, &two.id, &traffic.map(|it| (to, it)));
        outcomes.iter().all(|it| by(it) == Some(who))
    };
    Arc::make_mut(&mut records.interfaces[0]).private_addresses.push(secondary);
    apply(&cloud, &records, 2);
    wait_for("the second address", 10 * SECOND, || reaches(secondary.into(), &one.id));

    // IPv6 comes to the subnet and to both.
    let v6 = |last: u16| std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0x100, 0, 0, 0, last);
    let mut subnets: Vec<_> = records.subnets.iter().map(|it| (**it).clone()).collect();
    let vpc = Arc::make_mut(&mut records.vpcs[0].1);
    gureum_engine::testing::records::with_ipv6(vpc, "2001:db8:0:100::/56", &mut subnets);
    records.subnets = subnets.into_iter().map(Arc::new).collect();
    let acl = Arc::make_mut(&mut records.network_acls[0]);
    for egress in [true, false] {
        acl.entries.push(gureum_types::record::NetworkAclEntry {
            rule_number: 101,
            egress,
            allow: true,
            traffic: gureum_types::record::Traffic::All,
            cidr: "::/0".parse().expect("a prefix"),
        });
        let mut rule = (*records.security_group_rules[usize::from(!egress)]).clone();
        rule.id = format!("sgr-0000000000000007{}", u8::from(egress)).parse().expect("an id");
        rule.peer = gureum_types::record::RulePeer::Ipv6("::/0".parse().expect("a prefix"));
        records.security_group_rules.push(Arc::new(rule));
    }
    for (place, last) in [(0, 10), (1, 11)] {
        Arc::make_mut(&mut records.interfaces[place]).ipv6_addresses.push(v6(last));
    }
    apply(&cloud, &records, 3);
    if fabric::has_ipv6() {
        wait_for("IPv6", 10 * SECOND, || reaches(v6(10).into(), &one.id));
        let ping = attempts(&cloud, &two.id, &[(v6(10).into(), Traffic::Echo)]);
        assert!(ping[0].got_through(), "{ping:?}");
    }

    // Addresses go.
    for interface in &mut records.interfaces {
        let interface = Arc::make_mut(interface);
        interface.private_addresses.truncate(1);
        interface.ipv6_addresses.clear();
    }
    apply(&cloud, &records, 4);
    let namespace = instances.network(&one.id).expect("a network");
    let mut netlink = Netlink::open_in(&namespace).expect("netlink");
    let link = netlink.link("eth0").expect("asked").expect("there").index;
    wait_for("the addresses are gone", 10 * SECOND, || {
        let left = netlink.global_addresses(link).expect("asked");
        left.iter().map(ToString::to_string).collect::<Vec<_>>() == ["10.1.1.10/24"]
    });

    // Another interface comes: both answer, each by itself.
    instances.attach_interface(&one.id, &interface(1, PORT_C)).expect("attached");
    wait_for("the second interface", 10 * SECOND, || reaches(C.into(), &one.id));
    assert!(reaches(A.into(), &one.id));
    let (_, text) = shell(instances, &one.id, "ip rule; ip route show table 10001");
    assert!(text.contains("from 10.1.1.12 lookup 10001"), "{text}");
    assert!(text.contains("default via 10.1.1.1 dev eth1"), "{text}");
    // The guest deletes its link: it is made anew.
    let mut events = instances.events().expect("events");
    while events.try_recv().is_ok() {}
    let deleted = netlink.link("eth1").expect("asked").expect("there").index;
    netlink.delete_link(deleted).expect("deleted");
    assert_eq!(next_event(&mut events, 10 * SECOND), HostEvent::LinkLost(PORT_C));
    wait_for("the second interface is back", 10 * SECOND, || reaches(C.into(), &one.id));
    instances.detach_interface(&one.id, &interface(1, PORT_C).id).expect("detached");
    assert!(netlink.link("eth1").expect("asked").is_none());
    assert!(reaches(A.into(), &one.id));
}

#[test]
fn light_hosts_outlive_the_daemon_and_leave_nothing() {
    if !root() {
        return;
    }
    let data = Data::new();
    let mut cloud = open(&data, policy(&ANYTHING, 1));
    let mut spec = spec(1, PORT_A);
    let id = spec.id.clone();
    cloud.instances().ensure_running(&spec).expect("running");
    let mut stream: TcpStream =
        dial(&cloud.namespaces().internet, (A_PUBLIC, 7)).expect("connected");
    let mut echo = |text: &str| {
        writeln!(stream, "{text}").expect("written");
        let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
        let mut line = String::new();
        while !line.ends_with(&format!("{text}\n")) {
            assert_ne!(reader.read_line(&mut line).expect("read"), 0, "{line}");
        }
    };
    echo("before");
    // As a daemon that was killed: everything stays.
    drop(cloud);
    cloud = open(&data, policy(&ANYTHING, 1));
    echo("after");
    let seen = cloud.instances().observe().expect("observed");
    assert_eq!((seen.len(), seen[0].run, seen[0].ready), (1, Run::Running, true));
    cloud.instances().ensure_running(&spec).expect("running already");
    echo("still");

    // Off, on again, gone.
    cloud.instances().stop(&id, false).expect("stopped");
    assert_eq!(cloud.instances().observe().expect("observed")[0].run, Run::Off);
    assert!(matches!(cloud.instances().reboot(&id), Err(HostError::NotRunning(_))));
    assert!(heard(&cloud, A_PUBLIC, 7).is_err());
    spec.start = 2;
    cloud.instances().ensure_running(&spec).expect("running");
    assert!(heard(&cloud, A_PUBLIC, 7).is_ok());
    cloud.instances().terminate(&id).expect("terminated");
    assert_eq!(cloud.instances().observe().expect("observed"), []);
    assert!(matches!(cloud.instances().stop(&id, true), Err(HostError::NoSuchInstance(_))));

    // A responder that was killed takes its hosts along; they are made again when asked for.
    cloud.instances().ensure_running(&spec).expect("running");
    let left = leftovers(data.dir.path()).expect("leftovers");
    let responder = left.iter().find_map(|it| it.strip_prefix("responder process "));
    let pid: i32 = responder.expect("it is found").parse().expect("a number");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .expect("killed");
    wait_for("it is seen to be off", 10 * SECOND, || {
        cloud.instances().observe().expect("observed")[0].run == Run::Off
    });
    cloud.instances().ensure_running(&spec).expect("running again");
    assert!(heard(&cloud, A_PUBLIC, 7).is_ok());
    cloud.down(SECOND).expect("down");
    assert_eq!(leftovers(data.dir.path()).expect("leftovers"), Vec::<String>::new());
}
