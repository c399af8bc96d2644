//! Neighbours in a subnet: what a guest's root forges reaches nobody, nobody hears others, and
//! interfaces and addresses move between running instances.

use std::time::Duration;

use gureum_e2e::{Cloud, Host, Stage, root_or_skip, wait};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sends frames that a root of an instance may make and AWS carries to nobody, each with the word
/// `forged` in it, all to everybody and where there is a choice to the neighbour itself too.
const FORGE: &str = r#"
import socket, struct, sys
mine, next_ip, next_mac, router_mac, router, broadcast = sys.argv[1:]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
own_mac = s.getsockname()[4]
mac = lambda text: bytes.fromhex(text.replace(':', ''))
ip = socket.inet_aton
next_mac, router_mac = mac(next_mac), mac(router_mac)
ALL = b'\xff' * 6
def total(data):
    data += b'\0' * (len(data) % 2)
    n = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff
def ipv4(source, target, protocol, payload):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0, ip(source), ip(target))
    return head[:10] + struct.pack('!H', total(head)) + head[12:] + payload
def udp(source, target, ports, payload):
    head = struct.pack('!HHHH', *ports, 8 + len(payload), 0)
    pseudo = ip(source) + ip(target) + struct.pack('!BBH', 0, 17, 8 + len(payload))
    return ipv4(source, target, 17, head[:6] + struct.pack('!H', total(pseudo + head + payload)) + payload)
def send(target, kind, payload, source=own_mac):
    s.send(target + source + struct.pack('!H', kind) + payload)
def arp(operation, sender_mac, sender, target_mac, target):
    return struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, operation, sender_mac, ip(sender), target_mac, ip(target)) + b'forged-arp' + b'\0' * 8
# A source address that is not its own, and a hardware address that is not.
for target in (next_mac, router_mac):
    send(target, 0x800, udp('172.31.99.99', next_ip, (5000, 5001), b'forged-source'))
    send(target, 0x800, udp('8.8.8.8', next_ip, (5000, 5001), b'forged-source'))
    send(target, 0x800, udp(mine, next_ip, (5000, 5001), b'forged-mac'), b'\x02forge')
# Gratuitous ARP for the neighbour's address, for the router's and for its own.
for claimed in (next_ip, router, mine):
    for target in (ALL, next_mac):
        send(target, 0x806, arp(1, own_mac, claimed, b'\0' * 6, claimed))
        send(target, 0x806, arp(2, own_mac, claimed, next_mac, next_ip))
# A question that is asked in the neighbour's name.
send(ALL, 0x806, arp(1, own_mac, next_ip, b'\0' * 6, router))
# A router's advertisement.
eui = bytes([own_mac[0] ^ 2]) + own_mac[1:3] + b'\xff\xfe' + own_mac[3:]
here, nodes = bytes.fromhex('fe80') + b'\0' * 6 + eui, bytes.fromhex('ff02' + '00' * 13 + '01')
prefix = struct.pack('!BBBBIII16s', 3, 4, 64, 0xc0, 9000, 9000, 0, bytes.fromhex('20010db80bad') + b'\0' * 10)
body = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + prefix
body += bytes([253, 2]) + b'forged-ra'.ljust(14, b'\0')
pseudo = here + nodes + struct.pack('!IHBB', len(body), 0, 0, 58)
body = body[:2] + struct.pack('!H', total(pseudo + body)) + body[4:]
packet = struct.pack('!IHBB', 6 << 28, len(body), 58, 255) + here + nodes + body
for target in (b'\x33\x33\0\0\0\x01', next_mac):
    send(target, 0x86dd, packet)
# An offer of a DHCP server, broadcast and multicast of others.
# A neighbour that claims to be the router, and a source that is not its own.
def icmpv6(source, body):
    pseudo = source + nodes + struct.pack('!IHBB', len(body), 0, 0, 58)
    body = body[:2] + struct.pack('!H', total(pseudo + body)) + body[4:]
    return struct.pack('!IHBB', 6 << 28, len(body), 58, 255) + source + nodes + body
option = bytes([2, 1]) + own_mac + bytes([253, 2]) + b'forged-na'.ljust(14, b'\0')
other = bytes.fromhex('fe80' + '00' * 13 + '01')
for target in (b'\x33\x33\0\0\0\x01', next_mac):
    send(target, 0x86dd, icmpv6(here, struct.pack('!BBHI', 136, 0, 0, 0x20000000) + other + option))
    send(target, 0x86dd, icmpv6(other, struct.pack('!BBHI', 128, 0, 0, 7) + b'forged-echo'))
send(ALL, 0x800, udp(mine, '255.255.255.255', (67, 68), b'\x02\x01\x06\0'.ljust(236, b'\0') + b'\x63\x82\x53\x63forged-dhcp'))
send(ALL, 0x800, udp(mine, '255.255.255.255', (5000, 5001), b'forged-broadcast'))
send(ALL, 0x800, udp(mine, broadcast, (5000, 5001), b'forged-broadcast'))
send(b'\x01\0\x5e\0\0\xfb', 0x800, udp(mine, '224.0.0.251', (5353, 5353), b'forged-multicast'))
send(b'\x33\x33\0\0\0\xfb', 0x86dd, packet)
# And one that is honest, after all others.
send(next_mac, 0x800, udp(mine, next_ip, (5000, 5001), b'honest'))
"#;

#[test]
// EIP-5, EIP-6, ENI-1, ENI-4, ENI-9, L2-1, L2-2, L2-3, PIPE-12, SDC-1, SG-7
fn hosts_neighbors_are_strangers() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let subnet = with_ipv6(&mut stage);
    let more = [("SubnetId", &*subnet), ("Ipv6AddressCount", "1")];
    let ids = ["one", "two"].map(|name| stage.run_instances_with(name, &more).text("instanceId"));
    let [one, two] = ids.map(|id| {
        stage.wait_ready(&id);
        stage.host(&id)
    });
    forged_frames_reach_nobody(&cloud, &one, &two);
    nobody_hears_others(&cloud, &one, &two);
    secondary_addresses_move(&mut stage, &one, &two);
    interfaces_move(&mut stage, &one, &two);
    elastic_addresses_outlive_instances(&mut stage, &two);
}

/// The default subnet of zone a, with IPv6 from now on.
fn with_ipv6(stage: &mut Stage<'_>) -> String {
    let ec2 = &mut stage.ec2;
    let vpc = ec2.call("DescribeVpcs", &[]).text("vpcId");
    let amazons = [("VpcId", &*vpc), ("AmazonProvidedIpv6CidrBlock", "true")];
    ec2.call("AssociateVpcCidrBlock", &amazons);
    let block = ec2.call("DescribeVpcs", &[]).text("ipv6CidrBlock").replace("/56", "/64");
    let zone = [("Filter.1.Name", "availability-zone"), ("Filter.1.Value.1", "ap-northeast-2a")];
    let subnet = ec2.call("DescribeSubnets", &zone).text("subnetId");
    ec2.call("AssociateSubnetCidrBlock", &[("SubnetId", &*subnet), ("Ipv6CidrBlock", &block)]);
    subnet
}

/// A capture in a guest that runs until it is read.
fn listen(cloud: &Cloud, host: &Host) {
    let tcpdump = "rm -f /tmp/heard; nohup tcpdump -U -n -i eth0 -w /tmp/heard >/tmp/listening 2>&1 \
                   & for n in $(seq 100); do grep -q 'listening on' /tmp/listening && exit 0; \
                   sleep 0.05; done; exit 1";
    cloud.exec(&host.id, tcpdump).ok();
}

fn heard(cloud: &Cloud, host: &Host, filter: &str) -> String {
    let read = format!("tcpdump -n -A -e -r /tmp/heard {filter} 2>/dev/null");
    cloud.exec(&host.id, &read).stdout
}

/// L2-1, L2-2, PIPE-12, SDC-1.
fn forged_frames_reach_nobody(cloud: &Cloud, one: &Host, two: &Host) {
    cloud.exec(&one.id, &format!("ping -n -c 1 -W 2 {}", two.private)).ok();
    let mac = |of: &str| {
        let show = format!("ip neigh show {of} dev eth0 | sed 's/.*lladdr //; s/ .*//'");
        cloud.exec(&one.id, &show).ok().trim().to_owned()
    };
    let router = cloud.exec(&one.id, "ip route show default").ok();
    let router = router.split(' ').nth(2).expect("a default route").to_owned();
    cloud.exec(&one.id, "ping -n -c 1 -W 2 8.8.8.8").ok();
    let (next_mac, router_mac) = (mac(&two.private), mac(&router));
    let known = || {
        let show = "ip neigh | sed 's/ [A-Z]*$//' | sort; ip route; ip -6 route | cut -d' ' -f1-3; \
                    ip -6 -o address | cut -d' ' -f2-7";
        cloud.exec(&two.id, show).ok()
    };
    cloud.exec(&two.id, &format!("ping -n -c 1 -W 2 {}", one.private)).ok();
    // SSH answers by IPv4 before the router's own advertisement and DHCPv6 have done their work.
    let settled = "ip -6 route | grep -q '^default via fe80' && \
                   ip -6 -o address show dev eth0 scope global -tentative | grep -q '/128 '";
    wait("its IPv6 is set up", PATIENCE, || cloud.exec(&two.id, settled).status == 0);
    let before = known();
    listen(cloud, two);
    let show = "ip -4 -o address show dev eth0 | sed 's/.*brd //; s/ .*//'";
    let broadcast = cloud.exec(&one.id, show).ok();
    let forge = format!(
        "python3 - {} {} {next_mac} {router_mac} {router} {} <<'END'\n{FORGE}END",
        one.private,
        two.private,
        broadcast.trim()
    );
    cloud.exec(&one.id, &forge).ok();
    wait("the honest packet arrives", PATIENCE, || heard(cloud, two, "udp").contains("honest"));
    let all = heard(cloud, two, "");
    assert!(!all.contains("forged"), "{all}");
    assert_eq!(known(), before, "and changed nothing");
    let report = cloud.gureum("port", ["show", &one.id, "--output", "json"]).json();
    let drops = report["drops"].to_string();
    for reason in [
        "source-check",
        "source-mac-spoofed",
        "arp-gratuitous",
        "arp-sender-spoofed",
        "router-spoofed",
        "neighbor-gratuitous",
        "broadcast",
        "multicast",
    ] {
        assert!(drops.contains(&format!("\"{reason}\"")), "{reason} of {drops}");
    }
}

/// L2-3: not even who listens to everything.
fn nobody_hears_others(cloud: &Cloud, one: &Host, two: &Host) {
    cloud.exec(&one.id, "ip link set eth0 promisc on").ok();
    listen(cloud, one);
    cloud.exec(&two.id, "ping -n -c 2 -i 0.2 -W 2 8.8.8.8; networkctl renew eth0").ok();
    cloud.internet(&format!("ping -n -c 1 -W 2 {}", two.public)).ok();
    cloud.internet(&format!("ping -n -c 1 -W 2 {}", one.public)).ok();
    wait("its own packets", PATIENCE, || heard(cloud, one, "icmp").contains(&one.private));
    let others = heard(cloud, one, &format!("host {} or port 67", two.private));
    assert_eq!(others, "", "L2-3");
}

/// EIP-5, ENI-9: the guest configures it, and what is reassigned takes its Elastic IP along.
fn secondary_addresses_move(stage: &mut Stage<'_>, one: &Host, two: &Host) {
    let cloud = stage.cloud;
    let interface =
        |host: &Host| cloud.instance(&host.id, "NetworkInterfaces[0].NetworkInterfaceId");
    let (of_one, of_two) = (interface(one), interface(two));
    let count = [("NetworkInterfaceId", &*of_one), ("SecondaryPrivateIpAddressCount", "1")];
    let made = stage.ec2.call("AssignPrivateIpAddresses", &count);
    let address = made.text("privateIpAddress");
    let elastic = stage.ec2.call("AllocateAddress", &[("Domain", "vpc")]);
    let (allocation, public) = (elastic.text("allocationId"), elastic.text("publicIp"));
    let associate = [
        ("AllocationId", &*allocation),
        ("NetworkInterfaceId", &of_one),
        ("PrivateIpAddress", &address),
    ];
    stage.ec2.call("AssociateAddress", &associate);
    assert!(!stage.pings(&public), "ENI-9: the guest has not configured it");
    let configure = |host: &Host, verb: &str| {
        cloud.exec(&host.id, &format!("ip address {verb} {address}/32 dev eth0")).ok();
    };
    configure(one, "add");
    let ping = format!("ping -n -c 1 -W 2 {address}");
    cloud.exec(&two.id, &ping).ok();
    assert!(stage.pings(&public));
    let again = [("NetworkInterfaceId", &*of_two), ("PrivateIpAddress.1", &address)];
    let refused = stage.ec2.attempt("AssignPrivateIpAddresses", &again).expect("answered");
    assert_ne!(refused.status, 200, "ENI-9: nobody allowed it: {refused}");
    let allowed = [("AllowReassignment", "true")];
    stage.ec2.call("AssignPrivateIpAddresses", &[&again[..], &allowed[..]].concat());
    configure(one, "del");
    configure(two, "add");
    wait("it moved", PATIENCE, || cloud.exec(&one.id, &ping).status == 0);
    assert!(stage.pings(&public), "EIP-5: with its Elastic IP");
    let seen = cloud.exec(
        &two.id,
        &format!(
            "curl -s --max-time 5 --interface {address} \
                                             http://checkip.amazonaws.com"
        ),
    );
    assert_eq!(seen.ok().trim(), public, "EIP-1");
    let gone = [("NetworkInterfaceId", &*of_two), ("PrivateIpAddress.1", &address)];
    stage.ec2.call("UnassignPrivateIpAddresses", &gone);
    let shown = stage.ec2.call("DescribeAddresses", &[("AllocationId.1", &*allocation)]);
    assert_eq!(shown.texts("associationId"), [""; 0], "EIP-5: dropped with it");
    assert_ne!(cloud.exec(&one.id, &ping).status, 0);
    configure(two, "del");
    stage.ec2.call("ReleaseAddress", &[("AllocationId", &allocation)]);
}

/// ENI-1, ENI-4, SG-7: its addresses and groups travel with it.
fn interfaces_move(stage: &mut Stage<'_>, one: &Host, two: &Host) {
    let cloud = stage.cloud;
    let subnet = cloud.instance(&one.id, "SubnetId");
    let plain = stage.ec2.call("CreateNetworkInterface", &[("SubnetId", &*subnet)]);
    assert_eq!(plain.texts("groupName"), ["default"], "SG-7");
    stage.ec2.call(
        "DeleteNetworkInterface",
        &[("NetworkInterfaceId", &plain.text("networkInterfaceId"))],
    );
    let group = stage.group.clone();
    let made = [("SubnetId", &*subnet), ("SecurityGroupId.1", &*group)];
    let made = stage.ec2.call("CreateNetworkInterface", &made);
    let (id, address) = (made.text("networkInterfaceId"), made.text("privateIpAddress"));
    let elastic = stage.ec2.call("AllocateAddress", &[("Domain", "vpc")]);
    let (allocation, public) = (elastic.text("allocationId"), elastic.text("publicIp"));
    let associate = [("AllocationId", &*allocation), ("NetworkInterfaceId", &*id)];
    stage.ec2.call("AssociateAddress", &associate);
    for (host, other) in [(one, two), (two, one)] {
        let attach =
            [("NetworkInterfaceId", &*id), ("InstanceId", &*host.id), ("DeviceIndex", "1")];
        let attachment = stage.ec2.call("AttachNetworkInterface", &attach).text("attachmentId");
        wait("the guest has it", PATIENCE, || {
            cloud.exec(&host.id, "ip -4 -o address show dev eth1").stdout.contains(&address)
        });
        // L2-6: only the first has a default route; answers of the second need one of their own.
        let routes = cloud.exec(&host.id, "ip route show default").ok();
        assert!(routes.lines().all(|line| line.contains("eth0")), "L2-6: {routes}");
        let policy = format!(
            "ip rule add from {address} lookup 100; \
             ip route add default via $(ip route show default | cut -d' ' -f3) dev eth1 table 100"
        );
        cloud.exec(&host.id, &policy).ok();
        let ping = format!("ping -n -c 1 -W 2 {address}");
        wait("its address answers", PATIENCE, || cloud.exec(&other.id, &ping).status == 0);
        assert!(stage.pings(&public), "EIP-5: with its Elastic IP");
        stage.ec2.call("DetachNetworkInterface", &[("AttachmentId", &*attachment)]);
        let which = [("NetworkInterfaceId.1", &*id)];
        wait("it is free", PATIENCE, || {
            let shown = stage.ec2.call("DescribeNetworkInterfaces", &which);
            shown.body.contains("<status>available</status>")
        });
        assert_ne!(cloud.exec(&other.id, &ping).status, 0, "nobody has it");
        cloud.exec(&host.id, &format!("ip rule del from {address} lookup 100")).ok();
    }
    stage.ec2.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &id)]);
    stage.ec2.call("ReleaseAddress", &[("AllocationId", &allocation)]);
}

/// EIP-5, EIP-6.
fn elastic_addresses_outlive_instances(stage: &mut Stage<'_>, host: &Host) {
    let elastic = stage.ec2.call("AllocateAddress", &[("Domain", "vpc")]);
    let (allocation, public) = (elastic.text("allocationId"), elastic.text("publicIp"));
    let associate = [("AllocationId", &*allocation), ("InstanceId", &*host.id)];
    stage.ec2.call("AssociateAddress", &associate);
    stage.ec2.call("StopInstances", &[("InstanceId.1", &*host.id)]);
    stage.wait_state(&host.id, "stopped");
    assert!(!stage.pings(&public));
    stage.ec2.call("StartInstances", &[("InstanceId.1", &*host.id)]);
    stage.wait_ready(&host.id);
    assert_eq!(stage.host(&host.id).public, public, "EIP-5");
    assert!(stage.pings(&public), "EIP-5");
    stage.ec2.call("TerminateInstances", &[("InstanceId.1", &*host.id)]);
    stage.wait_state(&host.id, "terminated");
    let shown = stage.ec2.call("DescribeAddresses", &[("AllocationId.1", &*allocation)]);
    assert_eq!(shown.text("publicIp"), public, "EIP-6: still allocated");
    assert_eq!(shown.texts("associationId"), [""; 0], "EIP-6: to nobody");
    assert!(!stage.pings(&public), "EIP-6");
}
