//! Real instances in subnets with IPv6, the engine being their router: addresses, metadata,
//! neighbours, other subnets and the internet.

mod common;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use common::{
    A, ANYTHING, B, C, CLIENT6, Data, INTERNET_HOST6, PORT_A, PORT_B, PORT_C, guest, metadata,
    network, root, wait_for,
};
use gureum_engine::{Policy, compile};
use gureum_host::{Cloud, fabric};
use gureum_types::{InstanceId, record::*};

const SECOND: Duration = Duration::from_secs(1);
/// Of the instance with both families.
const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0x1, 0, 0, 0, 0xa);
/// Of its neighbour in the same subnet.
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0x1, 0, 0, 0, 0xb);
/// Of the instance in a subnet of IPv6 only.
const C6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1, 0x2, 0, 0, 0, 0xc);

/// The network of the other tests with IPv6, everything open, and its third interface in a subnet
/// of IPv6 only.
fn dual_stack() -> Policy {
    let mut records = network(&ANYTHING);
    let all = "::/0".parse().expect("a prefix");
    let association = |n: u32, block: &str| SubnetIpv6CidrAssociation {
        id: format!("subnet-cidr-assoc-0{n:016x}").parse().expect("an id"),
        cidr_block: block.parse().expect("a block"),
    };
    let vpc = Arc::make_mut(&mut records.vpcs[0].1);
    vpc.ipv6_cidr_associations.push(VpcIpv6CidrAssociation {
        id: format!("vpc-cidr-assoc-0{:016x}", 1).parse().expect("an id"),
        cidr_block: "2001:db8:1::/56".parse().expect("a block"),
    });
    let first = Arc::make_mut(&mut records.subnets[0]);
    first.ipv6_cidr_association = Some(association(1, "2001:db8:1:1::/64"));
    let mut second = first.clone();
    second.id = format!("subnet-0{:016x}", 2).parse().expect("an id");
    second.cidr_block = None;
    second.ipv6_cidr_association = Some(association(2, "2001:db8:1:2::/64"));
    let acl = Arc::make_mut(&mut records.network_acls[0]);
    acl.associations.push(NetworkAclAssociation {
        id: format!("aclassoc-0{:016x}", 2).parse().expect("an id"),
        subnet_id: second.id.clone(),
    });
    for egress in [true, false] {
        acl.entries.push(NetworkAclEntry {
            rule_number: 101,
            egress,
            allow: true,
            traffic: Traffic::All,
            cidr: ipnet::IpNet::V6(all),
        });
    }
    let rules: Vec<_> = records.security_group_rules.clone();
    for (n, rule) in rules.iter().enumerate() {
        let mut rule = SecurityGroupRule::clone(rule);
        rule.id = format!("sgr-0{:016x}", 100 + n).parse().expect("an id");
        rule.peer = RulePeer::Ipv6(all);
        records.security_group_rules.push(Arc::new(rule));
    }
    let table = Arc::make_mut(&mut records.route_tables[0]);
    let to_internet = table.routes.iter().find_map(|route| match &route.target {
        target @ RouteTarget::InternetGateway(_) => Some(target.clone()),
        _ => None,
    });
    for (destination, target) in [
        ("2001:db8:1::/56", RouteTarget::Local),
        ("::/0", to_internet.expect("a way to the internet")),
    ] {
        let destination = RouteDestination::Ipv6(destination.parse().expect("a prefix"));
        table.routes.push(Route { destination, target });
    }
    for (interface, address) in records.interfaces.iter_mut().zip([A6, B6, C6]) {
        let interface = Arc::make_mut(interface);
        interface.ipv6_addresses.push(address);
        if address == C6 {
            interface.subnet_id = second.id.clone();
            interface.private_addresses.clear();
        }
    }
    records.subnets.push(Arc::new(second));
    compile(&records, 1, &fabric::config("198.18.0.0/16".parse().expect("a block")))
}

#[test]
fn instances_live_with_ipv6() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(dual_stack());
    metadata::serve(&cloud);
    let started = Instant::now();
    let ids = [(PORT_A, A), (PORT_B, B), (PORT_C, C)].map(|(port, address)| {
        let spec = guest::spec(port.0, port, address);
        cloud.instances().ensure_running(&spec).expect("running");
        spec.id
    });
    wait_for("all to be ready", 90 * SECOND, || {
        cloud.instances().observe().expect("observed").iter().all(|seen| seen.ready)
    });
    println!("ready after {:?}", started.elapsed());
    let shell = |id: &InstanceId, line: &str| guest::shell(cloud.instances(), id, line);
    for (id, address) in ids.iter().zip([A6, B6, C6]) {
        let mut shown = String::new();
        wait_for(&format!("{id} to have {address}"), 20 * SECOND, || {
            shown = shell(id, "ip -6 -o addr show dev eth0 scope global").1;
            shown.contains(&format!("{address}/128"))
        });
        assert_eq!(shown.lines().count(), 1, "{shown}");
        let (_, routes) = shell(id, "ip -6 route show default");
        assert!(routes.contains("dev eth0"), "{routes}");
        // IMDS-1, on each instance that it is of.
        let curl = "curl -s --max-time 5 http://[fd00:ec2::254]/latest/meta-data/instance-id";
        wait_for("the metadata over IPv6", 20 * SECOND, || shell(id, curl).1 == id.as_str());
    }
    let [a, _, c] = &ids;
    assert_eq!(shell(c, "ip -4 -o addr show dev eth0").1, "", "a subnet of IPv6 only");
    let (_, status) =
        shell(c, "cloud-init status --wait >/dev/null; cat /run/cloud-init/result.json");
    assert!(status.contains("DataSourceEc2"), "{status}");
    assert_eq!(metadata_calls(&cloud, c), "2001:db8:1:2::c");

    // A neighbour, another subnet, and a host of the internet, which sees the very address.
    for target in [B6, C6, INTERNET_HOST6] {
        let (code, text) = shell(a, &format!("ping -6 -n -c 2 -i 0.2 -W 3 {target}"));
        assert_eq!(code, 0, "{text}");
    }
    let internet = &cloud.namespaces().internet;
    let host = internet.tcp_listener((INTERNET_HOST6, 80).into()).expect("listening");
    host.set_nonblocking(false).expect("set");
    let network = |id| cloud.instances().network(id).expect("a network");
    let (network_a, network_c) = (network(a), network(c));
    let dial = |from: &gureum_host::namespace::Namespace, to: SocketAddr| {
        from.run(|| TcpStream::connect_timeout(&to, 5 * SECOND)).expect("entered")
    };
    let out = dial(&network_a, (INTERNET_HOST6, 80).into()).expect("connected");
    let (seen, peer) = host.accept().expect("a caller");
    assert_eq!(peer.ip(), A6, "IPv6 is not translated");
    drop((out, seen));
    let inside = network_c.tcp_listener((C6, 5001).into()).expect("listening");
    inside.set_nonblocking(false).expect("set");
    let from_outside = dial(internet, (C6, 5001).into()).expect("connected");
    assert_eq!(inside.accept().expect("a caller").1.ip(), CLIENT6);
    drop(from_outside);

    // Whole segments from subnet to subnet, each byte as it was.
    let mut sender = dial(&network_a, (C6, 5001).into()).expect("connected");
    let (mut receiver, peer) = inside.accept().expect("a caller");
    assert_eq!(peer.ip(), A6);
    let block: Vec<u8> = (0..32 << 20).map(|n: u32| (n ^ (n >> 8)) as u8).collect();
    let mut received = vec![0; block.len()];
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| sender.write_all(&block).expect("sent"));
        receiver.read_exact(&mut received).expect("received");
    });
    assert!(received == block, "the payload changed on its way");
    println!("32 MB over IPv6 in {:?}", started.elapsed());
    for (port, losses) in cloud.datapath().losses().blocking_recv().expect("an answer") {
        assert_eq!((losses.unreadable, losses.send_failed), (0, 0), "port {port}: {losses:?}");
    }
}

/// The address by which an instance would call the metadata service over IPv6.
fn metadata_calls(cloud: &Cloud, id: &InstanceId) -> String {
    let line = "ip -6 route get fd00:ec2::254 | sed -n 's/.* src \\([^ ]*\\).*/\\1/p'";
    let (_, text) = guest::shell(cloud.instances(), id, line);
    text.trim().to_owned()
}

#[test]
fn an_instance_without_ipv6_is_left_alone() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(common::policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let spec = guest::spec(PORT_A.0, PORT_A, Ipv4Addr::UNSPECIFIED);
    cloud.instances().ensure_running(&spec).expect("running");
    wait_for("it to be ready", 60 * SECOND, || {
        cloud.instances().observe().expect("observed").iter().all(|seen| seen.ready)
    });
    let shell = |line: &str| guest::shell(cloud.instances(), &spec.id, line).1;
    // Ready means an address and an SSH server; the resolver is written once it is online.
    wait_for("it to know its resolver", 60 * SECOND, || {
        shell("test -e /etc/resolv.conf && echo there").trim() == "there"
    });
    assert_eq!(shell("ip -6 -o addr show dev eth0 scope global; ip -6 route show default"), "");
    assert_eq!(shell("grep -c '^nameserver.*:' /etc/resolv.conf").trim(), "0");
    let waited = shell("systemctl show -p ActiveState --value systemd-networkd-wait-online");
    assert_eq!(waited, "active\n", "online without a router of IPv6");
}
