//! What AWS would do with packets, seen from real clients: what the lab does not walk through.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, Stage, root_or_skip, wait};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn hosts_packets_go_where_aws_lets_them() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let one = stage.launch("one");
    let two = stage.launch("two");
    untracked_sessions_are_cut(&mut stage, &one.public);
    names_split(&stage, &one.id, &two.id, &two.private, &two.public);
    hairpins_show_the_public_source(&mut stage, &one, &two);
    the_path_to_the_internet_is_narrow(&stage, &one.id);
    a_network_acl_cuts_what_is_tracked(&mut stage, &one.public);
    a_missing_route_is_silence(&mut stage, &one);
    spoofed_packets_do_not_leave(&stage, &one.id, &two.private);
    an_elastic_ip_moves_at_once(&mut stage, &one, &two);
    the_internet_speaks_ipv6(&cloud);
}

/// SGT-2, SGT-5, LAB-15: a session that a rule from everywhere admitted ends with the rule.
fn untracked_sessions_are_cut(stage: &mut Stage<'_>, address: &str) {
    let client = format!("{}/32", stage.client);
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 22, "0.0.0.0/0");
    stage.ingress("RevokeSecurityGroupIngress", "tcp", 22, &client);
    let mut ssh = stage.ssh(address);
    ssh.arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut session = ssh.spawn().expect("ssh starts");
    let mut input = session.stdin.take().expect("a pipe");
    let mut output = BufReader::new(session.stdout.take().expect("a pipe"));
    let mut line = String::new();
    writeln!(input, "before").expect("open");
    output.read_line(&mut line).expect("open");
    assert_eq!(line, "before\n");
    stage.ingress("RevokeSecurityGroupIngress", "tcp", 22, "0.0.0.0/0");
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        let mut line = String::new();
        // Ends with the session's process at the latest.
        let read = output.read_line(&mut line);
        let _ = sender.send((read.is_ok(), line));
    });
    writeln!(input, "after").expect("the pipe to ssh is open");
    let heard = lines.recv_timeout(Duration::from_secs(3));
    assert!(heard.is_err(), "the session was cut, but {heard:?} came back");
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 22, &client);
    session.kill().expect("ssh ends");
    session.wait().expect("ssh ended");
    reader.join().expect("the reader");
    assert_eq!(stage.login(address, "echo back").ok(), "back\n");
}

/// DNS-1, DNS-6, DNS-9, DNS-12: inside, public names are private addresses.
fn names_split(stage: &Stage<'_>, from: &str, to: &str, private: &str, public: &str) {
    let cloud = stage.cloud;
    let name = cloud.instance(to, "PublicDnsName");
    let inside = |query: &str| cloud.exec(from, &format!("dig +short +time=3 {query}")).ok();
    assert_eq!(inside(&name).trim(), private, "DNS-9");
    assert_eq!(inside(&format!("@172.31.0.2 {name}")).trim(), private, "DNS-1");
    assert_eq!(inside(&format!("+tcp @169.254.169.253 {name}")).trim(), private, "DNS-1");
    let private_name = cloud.instance(to, "PrivateDnsName");
    assert_eq!(inside(&private_name).trim(), private, "DNS-6");
    assert_eq!(inside(&format!("-x {private}")).trim(), format!("{private_name}."), "DNS-12");
    assert_ne!(inside("google.com").trim(), "", "the rest of the world resolves");
    let outside = cloud.internet(&format!("getent ahostsv4 {name}")).ok();
    assert!(outside.starts_with(public), "outside: {outside}");
    let unknown = cloud.internet(&format!("getent ahostsv4 {private_name}"));
    assert_ne!(unknown.status, 0, "private names are not for the outside: {unknown}");
}

/// IGW-7, SG-30: through the gateway and back the source is public, and group references fail.
fn hairpins_show_the_public_source(
    stage: &mut Stage<'_>,
    one: &gureum_e2e::Host,
    two: &gureum_e2e::Host,
) {
    let cloud = stage.cloud;
    let serve = "nohup python3 -m http.server 8080 >/tmp/seen 2>&1 & sleep 0.1";
    cloud.exec(&two.id, serve).ok();
    let get = |address: &str| {
        let curl = format!("curl -s -o /dev/null --max-time 3 http://{address}:8080/");
        cloud.exec(&one.id, &curl).status == 0
    };
    wait("the server listens", PATIENCE, || get(&two.private));
    assert!(!get(&two.public), "the reference to the group does not match a public source");
    let only = format!("{}/32", one.public);
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 8080, &only);
    assert!(get(&two.public), "the public address of the sender is admitted");
    wait("the receiver saw the public source", PATIENCE, || {
        cloud.exec(&two.id, "cat /tmp/seen").stdout.contains(&one.public)
    });
    stage.ingress("RevokeSecurityGroupIngress", "tcp", 8080, &only);
}

/// IGW-10, PIPE-8, MTU-1, MTU-3: 9001 inside, 1500 outside, and the router says so.
fn the_path_to_the_internet_is_narrow(stage: &Stage<'_>, id: &str) {
    let run = |shell: &str| stage.cloud.exec(id, shell);
    assert_eq!(run("cat /sys/class/net/eth0/mtu").ok().trim(), "9001", "MTU-3");
    run("ping -n -c 1 -W 2 -M do -s 1472 8.8.8.8").ok();
    let big = run("ping -n -c 2 -i 0.2 -W 2 -M do -s 4000 8.8.8.8");
    let text = format!("{}{}", big.stdout, big.stderr);
    assert_ne!(big.status, 0, "IGW-10: {big}");
    assert!(text.contains("mtu = 1500") || text.contains("mtu=1500"), "PIPE-8: {big}");
    run("ping -n -c 1 -W 2 -M dont -s 4000 8.8.8.8").ok();
}

/// SGT-14, NACL-18: an ACL cuts what a group tracks.
fn a_network_acl_cuts_what_is_tracked(stage: &mut Stage<'_>, address: &str) {
    assert!(stage.pings(address), "before");
    let acl = stage.ec2.call("DescribeNetworkAcls", &[]).text("networkAclId");
    let entry = [("NetworkAclId", &*acl), ("RuleNumber", "50"), ("Egress", "false")];
    let deny = [("Protocol", "1"), ("RuleAction", "deny"), ("CidrBlock", "203.0.113.0/24")];
    let kind = [("Icmp.Type", "-1"), ("Icmp.Code", "-1")];
    stage.ec2.call("CreateNetworkAclEntry", &[&entry[..], &deny[..], &kind[..]].concat());
    assert!(!stage.pings(address), "denied");
    assert_eq!(stage.login(address, "echo tcp").ok(), "tcp\n", "only ICMP is denied");
    stage.ec2.call("DeleteNetworkAclEntry", &entry);
    assert!(stage.pings(address), "after");
}

/// IGW-6, PIPE-9, RT-12: without a route back nothing is answered, and nobody is told.
fn a_missing_route_is_silence(stage: &mut Stage<'_>, one: &gureum_e2e::Host) {
    let table = stage.ec2.call("DescribeRouteTables", &[]).text("routeTableId");
    let gateway = stage.ec2.call("DescribeInternetGateways", &[]).text("internetGatewayId");
    let route = [("RouteTableId", &*table), ("DestinationCidrBlock", "0.0.0.0/0")];
    stage.ec2.call("DeleteRoute", &route);
    assert!(!stage.pings(&one.public), "no way back");
    let out = stage.cloud.exec(&one.id, "ping -n -c 1 -W 1 8.8.8.8");
    assert_ne!(out.status, 0, "no way out: {out}");
    assert!(!out.stdout.contains("nreachable"), "PIPE-9, PIPE-10: silence: {out}");
    let target = [("GatewayId", &*gateway)];
    stage.ec2.call("CreateRoute", &[&route[..], &target[..]].concat());
    assert!(stage.pings(&one.public), "again");
    stage.cloud.exec(&one.id, "ping -n -c 1 -W 2 8.8.8.8").ok();
}

/// SDC-1: packets from an address that the interface has not stay inside.
fn spoofed_packets_do_not_leave(stage: &Stage<'_>, id: &str, peer: &str) {
    let spoof = format!(
        "ip address add 172.31.99.99/32 dev eth0; ping -n -c 1 -W 1 -I 172.31.99.99 {peer}; s=$?; \
         ip address del 172.31.99.99/32 dev eth0; exit $s"
    );
    let done = stage.cloud.exec(id, &spoof);
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stdout.contains("100% packet loss"), "{done}");
    stage.cloud.exec(id, &format!("ping -n -c 1 -W 2 {peer}")).ok();
}

/// EIP-3, EIP-9, PUB-3: an Elastic IP is another instance's within a moment.
fn an_elastic_ip_moves_at_once(
    stage: &mut Stage<'_>,
    one: &gureum_e2e::Host,
    two: &gureum_e2e::Host,
) {
    let made = stage.ec2.call("AllocateAddress", &[("Domain", "vpc")]);
    let (allocation, address) = (made.text("allocationId"), made.text("publicIp"));
    for host in [one, two] {
        let pair = [("AllocationId", &*allocation), ("InstanceId", &host.id)];
        stage.ec2.call("AssociateAddress", &pair);
        let start = Instant::now();
        let name = "curl -s --max-time 3 http://169.254.169.254/latest/meta-data/instance-id";
        assert_eq!(stage.login(&address, name).ok(), host.id, "{address}");
        assert!(start.elapsed() < PATIENCE);
        let shown = "curl -s --max-time 3 http://169.254.169.254/latest/meta-data/public-ipv4";
        assert_eq!(stage.cloud.exec(&host.id, shown).ok(), address, "IMDS-21");
    }
    assert!(!stage.pings(&one.public), "PUB-3: the address before is gone");
}

/// Hosts of the internet have IPv6 addresses, which its resolvers tell, and see a person's.
fn the_internet_speaks_ipv6(cloud: &Cloud) {
    let outside = |shell: &str| cloud.internet(shell).ok();
    outside("ping -6 -n -c 1 -W 2 google.com");
    assert_eq!(outside("curl -s --max-time 5 https://ipv6.icanhazip.com"), "2001:db8:8000::10\n");
    assert_eq!(outside("curl -s6 --max-time 5 https://ifconfig.me"), "2001:db8:8000::10\n");
    let asked = outside("dig @2001:4860:4860::8888 +short +time=3 AAAA example.com");
    assert_eq!(asked, "2001:db8:8000:1::11\n");
    let name = outside("dig +short +time=3 -x 2001:db8:8000:1::11");
    assert_eq!(name, "example.com.\n");
}
