//! NAT gateways, peering, routing appliances and prefix lists with real clients, two VPCs, four
//! instances: what the lab does not walk through.

use std::time::Duration;

use gureum_e2e::{Cloud, Done, Ec2, Program, Stage, root_or_skip, wait};

const PATIENCE: Duration = Duration::from_secs(60);
/// The person at the keyboard, where the servers of these tests listen.
const CLIENT: &str = "203.0.113.10";

/// Serves what these tests need of the internet: 40 MB on 8000 with their checksum's first half in
/// the name, and an echo on 7000 that says who it thinks is there.
const SERVER: &str = "\
import http.server, socketserver, threading, time
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall((self.client_address[0] + '\\n').encode())
        while data := self.request.recv(4096):
            self.request.sendall(data)
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)
    def log_message(self, *args):
        pass
BODY = b''.join(n.to_bytes(8, 'big') for n in range(5_000_000))
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
echo = Server(('', 7000), Echo)
threading.Thread(target=echo.serve_forever, daemon=True).start()
Server(('', 8000), Web).serve_forever()
";

/// Opens a connection, writes down who the server thinks it is, waits for a file, says a word and
/// writes down what came of it, again and again: one line in /tmp/NAME for each.
const HOLD: &str = "\
import os, socket, sys, time
name, address = sys.argv[1:]
log = open('/tmp/' + name, 'a', buffering=1)
s = socket.create_connection((address, 7000), timeout=10)
log.write(s.makefile().readline())
while True:
    while not os.path.exists('/tmp/say-' + name):
        time.sleep(0.05)
    os.remove('/tmp/say-' + name)
    s.settimeout(30)
    try:
        s.sendall(b'word')
        log.write(s.recv(100).decode() + '\\n')
    except Exception as error:
        log.write(type(error).__name__ + '\\n')
        break
";

/// A connection that a guest holds.
struct Held<'a> {
    cloud: &'a Cloud,
    id: &'a str,
    name: &'a str,
    lines: usize,
}

impl<'a> Held<'a> {
    fn open(cloud: &'a Cloud, id: &'a str, name: &'a str, address: &str) -> Self {
        let start = format!(
            "cat >/tmp/hold.py <<'END'\n{HOLD}END\n\
             nohup python3 /tmp/hold.py {name} {address} >/dev/null 2>&1 & true"
        );
        cloud.exec(id, &start).ok();
        let mut held = Self { cloud, id, name, lines: 0 };
        held.next();
        held
    }

    fn next(&mut self) -> String {
        let show = format!("cat /tmp/{}", self.name);
        let mut line = None;
        wait(&format!("{} to hear something", self.name), PATIENCE, || {
            let shown = self.cloud.exec(self.id, &show).stdout;
            line = shown.lines().nth(self.lines).map(str::to_owned);
            line.is_some()
        });
        self.lines += 1;
        line.expect("waited for")
    }

    /// Says a word; what came back, or the name of the error.
    fn say(&mut self) -> String {
        self.begin_to_say();
        self.next()
    }

    fn begin_to_say(&self) {
        self.cloud.exec(self.id, &format!("touch /tmp/say-{}", self.name)).ok();
    }

    /// The source that the server saw.
    fn source(&self) -> String {
        let show = format!("head -1 /tmp/{}", self.name);
        self.cloud.exec(self.id, &show).ok().trim().to_owned()
    }
}

/// The two VPCs and who is in them.
struct World {
    vpc: String,
    table: String,
    /// Of the public subnet, where the NAT gateways are.
    main_table: String,
    public_subnet: String,
    group: String,
    nat: String,
    nat_public: String,
    nat_private: String,
    /// In a private subnet of zone a.
    inner: String,
    /// In a private subnet of zone c, of the VPC's secondary block.
    far: String,
    far_private: String,
    other_vpc: String,
    other_table: String,
    /// In the other VPC, behind the appliance.
    target: String,
    target_private: String,
    target_public: String,
    target_group: String,
    appliance: String,
    appliance_interface: String,
}

fn vpc(ec2: &mut Ec2, block: &str) -> (String, String, String) {
    let vpc = ec2.call("CreateVpc", &[("CidrBlock", block)]).text("vpcId");
    let hostnames = [("VpcId", &*vpc), ("EnableDnsHostnames.Value", "true")];
    ec2.call("ModifyVpcAttribute", &hostnames);
    let gateway = ec2.call("CreateInternetGateway", &[]).text("internetGatewayId");
    ec2.call("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &vpc)]);
    let of_vpc = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*vpc)];
    let main = ec2.call("DescribeRouteTables", &of_vpc).text("routeTableId");
    route(ec2, &main, "0.0.0.0/0", ("GatewayId", &gateway));
    (vpc, main, gateway)
}

fn route(ec2: &mut Ec2, table: &str, destination: &str, target: (&str, &str)) {
    let what = [("RouteTableId", table), ("DestinationCidrBlock", destination), target];
    ec2.call("CreateRoute", &what);
}

fn subnet(ec2: &mut Ec2, vpc: &str, block: &str, zone: &str) -> String {
    let zone = format!("ap-northeast-2{zone}");
    let what = [("VpcId", vpc), ("CidrBlock", block), ("AvailabilityZone", &zone)];
    ec2.call("CreateSubnet", &what).text("subnetId")
}

fn public(ec2: &mut Ec2, subnet: &str) {
    let what = [("SubnetId", subnet), ("MapPublicIpOnLaunch.Value", "true")];
    ec2.call("ModifySubnetAttribute", &what);
}

fn table(ec2: &mut Ec2, vpc: &str, subnets: &[&str]) -> String {
    let table = ec2.call("CreateRouteTable", &[("VpcId", vpc)]).text("routeTableId");
    for subnet in subnets {
        ec2.call("AssociateRouteTable", &[("RouteTableId", &table), ("SubnetId", subnet)]);
    }
    table
}

fn group(ec2: &mut Ec2, vpc: &str, name: &str) -> String {
    let make = [("GroupName", name), ("GroupDescription", name), ("VpcId", vpc)];
    ec2.call("CreateSecurityGroup", &make).text("groupId")
}

fn admit(ec2: &mut Ec2, group: &str, protocol: &str, peer: (&str, &str)) {
    let rule = [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", protocol),
        ("IpPermissions.1.FromPort", "-1"),
        ("IpPermissions.1.ToPort", "-1"),
        peer,
    ];
    ec2.call("AuthorizeSecurityGroupIngress", &rule);
}

const CIDR: &str = "IpPermissions.1.IpRanges.1.CidrIp";

fn nat_gateway(ec2: &mut Ec2, subnet: &str, allocation: Option<&str>) -> String {
    let kind = match allocation {
        Some(allocation) => ("AllocationId", allocation),
        None => ("ConnectivityType", "private"),
    };
    let made = ec2.call("CreateNatGateway", &[("SubnetId", subnet), kind]);
    let id = made.text("natGatewayId");
    wait(&format!("{id} is available"), PATIENCE, || nat_state(ec2, &id) == "available");
    id
}

fn nat_state(ec2: &mut Ec2, id: &str) -> String {
    ec2.call("DescribeNatGateways", &[("NatGatewayId.1", id)]).text("state")
}

impl World {
    fn create(stage: &mut Stage<'_>) -> Self {
        let ec2 = &mut stage.ec2;
        let (first, main_table, _) = vpc(ec2, "10.8.0.0/16");
        let second = [("VpcId", &*first), ("CidrBlock", "10.18.0.0/16")];
        ec2.call("AssociateVpcCidrBlock", &second);
        let public_subnet = subnet(ec2, &first, "10.8.1.0/24", "a");
        let inner_subnet = subnet(ec2, &first, "10.8.11.0/24", "a");
        let far_subnet = subnet(ec2, &first, "10.18.12.0/24", "c");
        let private = table(ec2, &first, &[&inner_subnet, &far_subnet]);
        let made = ec2.call("AllocateAddress", &[("Domain", "vpc")]);
        let (allocation, nat_public) = (made.text("allocationId"), made.text("publicIp"));
        let nat = nat_gateway(ec2, &public_subnet, Some(&allocation));
        let shown = ec2.call("DescribeNatGateways", &[("NatGatewayId.1", &*nat)]);
        let nat_private = shown.text("privateIp");
        route(ec2, &private, "0.0.0.0/0", ("NatGatewayId", &nat));
        let own = group(ec2, &first, "own");
        admit(ec2, &own, "-1", ("IpPermissions.1.Groups.1.GroupId", &own));

        let (other_vpc, _, other_gateway) = vpc(ec2, "10.7.0.0/16");
        let appliance_subnet = subnet(ec2, &other_vpc, "10.7.1.0/24", "a");
        let target_subnet = subnet(ec2, &other_vpc, "10.7.2.0/24", "a");
        public(ec2, &appliance_subnet);
        public(ec2, &target_subnet);
        let open = group(ec2, &other_vpc, "open");
        admit(ec2, &open, "-1", (CIDR, "0.0.0.0/0"));
        let target_group = group(ec2, &other_vpc, "target");
        admit(ec2, &target_group, "icmp", (CIDR, &format!("{CLIENT}/32")));

        let zone_c = ("Placement.AvailabilityZone", "ap-northeast-2c");
        let mut launch = |name: &str, subnet: &str, group: &str, more: &[(&str, &str)]| {
            let place = [("SubnetId", subnet), ("SecurityGroupId.1", group)];
            stage.run_instances_with(name, &[&place, more].concat()).text("instanceId")
        };
        let inner = launch("inner", &inner_subnet, &own, &[]);
        let far = launch("far", &far_subnet, &own, &[zone_c]);
        let appliance = launch("appliance", &appliance_subnet, &open, &[]);
        let target = launch("target", &target_subnet, &target_group, &[]);
        for id in [&inner, &far, &appliance, &target] {
            stage.wait_ready(id);
        }
        let attribute = [("InstanceId", &*appliance), ("SourceDestCheck.Value", "false")];
        stage.ec2.call("ModifyInstanceAttribute", &attribute);
        let shown = |id: &str, member: &str| stage.cloud.instance(id, member);
        let appliance_interface = shown(&appliance, "NetworkInterfaces[0].NetworkInterfaceId");
        let ec2 = &mut stage.ec2;
        // RT-18, RT-20: in and out by the appliance.
        let other_table = table(ec2, &other_vpc, &[&target_subnet]);
        let by_appliance = ("NetworkInterfaceId", &*appliance_interface);
        route(ec2, &other_table, "0.0.0.0/0", by_appliance);
        let edge = table(ec2, &other_vpc, &[]);
        let behind = [("RouteTableId", &*edge), ("GatewayId", &*other_gateway)];
        ec2.call("AssociateRouteTable", &behind);
        route(ec2, &edge, "10.7.2.0/24", by_appliance);
        Self {
            far_private: shown(&far, "PrivateIpAddress"),
            target_private: shown(&target, "PrivateIpAddress"),
            target_public: shown(&target, "PublicIpAddress"),
            vpc: first,
            table: private,
            main_table,
            public_subnet,
            group: own,
            nat,
            nat_public,
            nat_private,
            inner,
            far,
            other_vpc,
            other_table,
            target,
            target_group,
            appliance,
            appliance_interface,
        }
    }
}

#[test]
// CIDR-8, DNS-10, NAT-1, NAT-3, NAT-8, NAT-12, NAT-14, NAT-16, NAT-18, NAT-19, PEER-1, PL-1, RT-11,
// RT-12, RT-18, RT-20, RT-21, SG-31, SG-32, PIPE-8
fn hosts_gateways_carry_what_aws_lets_through() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let mut world = World::create(&mut stage);
    let _server = Program::internet(&cloud, &["python3", "-c", SERVER]);
    for port in [7000, 8000] {
        wait("the servers outside listen", PATIENCE, || {
            cloud.internet(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}")).status == 0
        });
    }
    everything_goes_by_the_gateway(&cloud, &world);
    by_the_appliance_or_not_at_all(&mut stage, &world);
    peers_meet(&mut stage, &world);
    flows_of_a_gateway_end_with_it(&mut stage, &mut world);
    a_killed_daemon_resets_what_was_translated(&mut stage, &world);
}

/// NAT-8, NAT-16, NAT-18: TCP, UDP and pings from two zones and the VPC's second block.
fn everything_goes_by_the_gateway(cloud: &Cloud, world: &World) {
    let _iperf = Program::internet(cloud, &["iperf3", "-s", "-p", "5201"]);
    for id in [&world.inner, &world.far] {
        let run = |shell: &str| cloud.exec(id, shell);
        let mut seen = String::new();
        wait("the gateway carries TCP", PATIENCE, || {
            seen = run("curl -s --max-time 5 http://checkip.amazonaws.com").stdout;
            !seen.is_empty()
        });
        assert_eq!(seen.trim(), world.nat_public);
        run("ping -n -c 2 -i 0.2 -W 2 8.8.8.8").ok();
        assert_eq!(run("dig @8.8.8.8 +short +time=3 example.com").ok(), "192.0.2.11\n", "UDP");
        let sum = run(&format!("curl -s --max-time 30 http://{CLIENT}:8000/ | md5sum")).ok();
        assert_eq!(sum, format!("{}  -\n", BODY_MD5), "40 MB in segments");
    }
    cloud.exec(&world.inner, &format!("ping -n -c 1 -W 2 {}", world.far_private)).ok();
    for reverse in ["", "-R"] {
        let iperf = format!("iperf3 -c {CLIENT} -t 1 -J {reverse}");
        let report = cloud.exec(&world.far, &iperf).json();
        let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap_or(0.0);
        assert!(rate > 50e6, "{rate} bit/s {reverse}");
    }
    // PIPE-8, MTU-1: the path is narrow where it leaves the VPC, says the subnet's router, or the
    // gateway that is a hop of its own (NAT-18).
    let gateway = world.nat_private.clone();
    for (id, router) in [(&world.appliance, "10.7.1.1"), (&world.inner, &gateway)] {
        let path = cloud.exec(id, "ping -n -c 2 -i 0.2 -W 2 -M do -s 4000 8.8.8.8");
        let text = format!("{}{}", path.stdout, path.stderr);
        assert!(path.status != 0 && text.contains(&format!("From {router} ")), "{path}");
        assert!(text.contains("mtu = 1500") || text.contains("mtu=1500"), "{path}");
    }
    let inside = format!("ping -n -c 1 -W 2 -M do -s 8972 {}", world.far_private);
    cloud.exec(&world.inner, &inside).ok();
    let shown = cloud.gureum("port", ["show", &world.inner]).ok();
    assert!(shown.contains(CLIENT), "{shown}");
    let why = cloud.gureum("why", [&*world.far, "8.8.8.8", "--proto", "udp", "--port", "53"]);
    assert!(why.status == 0 && why.stdout.contains(&world.nat), "{why}");
    assert!(
        !cloud.internet(&format!("ping -n -c 1 -W 1 {}", world.nat_public)).stdout.contains(" 0% ")
    );
}

/// Of what the server serves: the numbers below 5,000,000 in 8 bytes each.
const BODY_MD5: &str = "55fdb0f28dd00200146d892ad7c649f1";

/// RT-18, RT-20: a real Linux forwards between the internet and the target, both ways.
fn by_the_appliance_or_not_at_all(stage: &mut Stage<'_>, world: &World) {
    let cloud = stage.cloud;
    let forward = |on: u8| {
        cloud.exec(&world.appliance, &format!("sysctl -qw net.ipv4.ip_forward={on}")).ok();
    };
    forward(0);
    assert!(!stage.pings(&world.target_public), "the appliance forwards nothing");
    forward(1);
    assert!(stage.pings(&world.target_public), "by the appliance");
    let near = cloud.internet(&format!("ping -n -c 1 -W 2 -t 1 {}", world.target_public));
    let appliance = cloud.instance(&world.appliance, "PublicIpAddress");
    let expired = format!("From {appliance} icmp_seq=1 Time to live exceeded");
    assert!(near.stdout.contains(&expired), "the appliance is a hop: {near}");
    let out = cloud.exec(&world.target, "curl -s --max-time 5 http://checkip.amazonaws.com").ok();
    assert_eq!(out.trim(), world.target_public, "outward by the appliance, with its own address");
    // With the check on, what is not for the appliance does not get there.
    for on in ["true", "false"] {
        let interface = [("NetworkInterfaceId", &*world.appliance_interface)];
        let check = [("SourceDestCheck.Value", on)];
        stage.ec2.call("ModifyNetworkInterfaceAttribute", &[&interface[..], &check[..]].concat());
        assert_eq!(stage.pings(&world.target_public), on == "false", "SDC-1: the check is {on}");
    }
}

/// PEER-1, DNS-10, SG-31, RT-21, PL-1.
fn peers_meet(stage: &mut Stage<'_>, world: &World) {
    let cloud = stage.cloud;
    let ask = [("VpcId", &*world.vpc), ("PeerVpcId", &*world.other_vpc)];
    let peering = stage.ec2.call("CreateVpcPeeringConnection", &ask);
    let peering = peering.text("vpcPeeringConnectionId");
    let by_peering = ("VpcPeeringConnectionId", &*peering);
    route(&mut stage.ec2, &world.other_table, "10.18.0.0/16", by_peering);
    // PL-1: a list of prefixes is a destination, and what is added later is one too.
    let list = [
        ("PrefixListName", "peer"),
        ("MaxEntries", "2"),
        ("AddressFamily", "IPv4"),
        ("Entry.1.Cidr", "10.7.99.0/24"),
    ];
    let list = stage.ec2.call("CreateManagedPrefixList", &list).text("prefixListId");
    let of_list = [("PrefixListId.1", &*list)];
    wait("the list is there", PATIENCE, || {
        stage.ec2.call("DescribeManagedPrefixLists", &of_list).text("state") == "create-complete"
    });
    let to_list =
        [("RouteTableId", &*world.table), ("DestinationPrefixListId", &*list), by_peering];
    stage.ec2.call("CreateRoute", &to_list);
    // SG-31: a group of the other VPC, once the peering is active.
    let from_peer = ("IpPermissions.1.Groups.1.GroupId", &*world.group);
    let ping = format!("ping -n -c 1 -W 1 {}", world.target_private);
    let met = || cloud.exec(&world.far, &ping).status == 0;
    assert!(!met(), "RT-21: pending");
    let which = [("VpcPeeringConnectionId", &*peering)];
    stage.ec2.call("AcceptVpcPeeringConnection", &which);
    wait("the peering is active", PATIENCE, || {
        let which = [("VpcPeeringConnectionId.1", &*peering)];
        let shown = stage.ec2.call("DescribeVpcPeeringConnections", &which);
        shown.body.contains("<code>active</code>")
    });
    admit(&mut stage.ec2, &world.target_group, "icmp", from_peer);
    assert!(!met(), "no route leads there yet");
    let entry =
        [("PrefixListId", &*list), ("CurrentVersion", "1"), ("AddEntry.1.Cidr", "10.7.2.0/24")];
    stage.ec2.call("ModifyManagedPrefixList", &entry);
    wait("PL-1: the new version leads to the peer", PATIENCE, met);
    let big = format!("ping -n -c 1 -W 2 -M do -s 8972 {}", world.target_private);
    cloud.exec(&world.far, &big).ok();
    // PEER-1: no way to the internet by the peer, nor to its resolver.
    let resolver = cloud.exec(&world.far, "dig @10.7.0.2 +time=1 +tries=1 example.com");
    assert_ne!(resolver.status, 0, "{resolver}");

    // DNS-10.
    let name = cloud.instance(&world.target, "PublicDnsName");
    let resolve = || cloud.exec(&world.far, &format!("dig +short +time=3 {name}")).ok();
    assert_eq!(resolve().trim(), world.target_public, "nobody allowed it");
    let allow = ("AccepterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc", "true");
    stage.ec2.call("ModifyVpcPeeringConnectionOptions", &[which[0], allow]);
    wait("DNS-10: the private address", PATIENCE, || resolve().trim() == world.target_private);
    let why = cloud.gureum("why", ["far", "target", "--proto", "icmp"]);
    assert!(why.status == 0 && why.stdout.contains(&peering), "{why}");

    private_gateway(stage, world, &peering);

    // RT-12: the peering goes, the routes stay and lead nowhere.
    stage.ec2.call("DeleteVpcPeeringConnection", &which);
    wait("the peering is gone", PATIENCE, || !met());
    let shown = stage.ec2.call("DescribeRouteTables", &[("RouteTableId.1", &world.table)]);
    assert!(shown.body.contains("<state>blackhole</state>"), "{shown}");
    let why = cloud.gureum("why", ["far", "target", "--proto", "icmp"]);
    assert!(why.status == 1 && why.stdout.contains("route-blackhole"), "{why}");
}

/// NAT-1, NAT-15: a private NAT gateway shows its own address to the peer.
fn private_gateway(stage: &mut Stage<'_>, world: &World, peering: &str) {
    let cloud = stage.cloud;
    let nat = nat_gateway(&mut stage.ec2, &world.public_subnet, None);
    let shown = stage.ec2.call("DescribeNatGateways", &[("NatGatewayId.1", &*nat)]);
    let address = shown.text("privateIp");
    assert_eq!(shown.texts("publicIp"), [""; 0], "NAT-1: it has none");
    // From the gateway's own subnet on the way is the peering's.
    let by_peering = ("VpcPeeringConnectionId", peering);
    route(&mut stage.ec2, &world.main_table, "10.7.0.0/16", by_peering);
    route(&mut stage.ec2, &world.other_table, "10.8.0.0/16", by_peering);
    route(
        &mut stage.ec2,
        &world.table,
        &format!("{}/32", world.target_private),
        ("NatGatewayId", &nat),
    );
    admit(&mut stage.ec2, &world.target_group, "icmp", (CIDR, &format!("{address}/32")));
    let seen = "timeout 20 tcpdump -l -n -c 1 -i eth0 icmp and src net 10.8.1.0/24 2>/dev/null";
    let file = "/tmp/seen-nat";
    let watch = format!("nohup sh -c '{seen} >{file}' >/dev/null 2>&1 & true");
    cloud.exec(&world.target, &watch).ok();
    wait("the peer sees the gateway", PATIENCE, || {
        cloud.exec(&world.far, &format!("ping -n -c 1 -W 1 {}", world.target_private));
        cloud
            .exec(&world.target, &format!("cat {file}"))
            .stdout
            .contains(&format!("IP {address} >"))
    });
    cloud.exec(&world.far, &format!("ping -n -c 1 -W 2 {}", world.target_private)).ok();
    let gone = [("RouteTableId", &*world.table)];
    let destination = format!("{}/32", world.target_private);
    let gone = [gone[0], ("DestinationCidrBlock", &*destination)];
    stage.ec2.call("DeleteRoute", &gone);
    stage.ec2.call("DeleteNatGateway", &[("NatGatewayId", &*nat)]);
}

/// NAT-12, NAT-14, NAT-19: idle flows outlive a change of rules, and end with the gateway.
fn flows_of_a_gateway_end_with_it(stage: &mut Stage<'_>, world: &mut World) {
    let cloud = stage.cloud;
    let (inner, far) = (world.inner.clone(), world.far.clone());
    let mut held = Held::open(cloud, &inner, "held", CLIENT);
    assert_eq!(held.source(), world.nat_public);
    let mut later = Held::open(cloud, &far, "later", CLIENT);
    admit(&mut stage.ec2, &world.group, "icmp", (CIDR, "10.99.0.0/16"));
    assert_eq!(held.say(), "word", "a policy later");

    // NAT-14: no groups, and none can be given.
    let shown = stage.ec2.call("DescribeNatGateways", &[("NatGatewayId.1", &*world.nat)]);
    let interface = shown.text("networkInterfaceId");
    let change = [("NetworkInterfaceId", &*interface), ("SecurityGroupId.1", &*world.group)];
    let refused = stage.ec2.attempt("ModifyNetworkInterfaceAttribute", &change).expect("answered");
    assert_ne!(refused.status, 200, "NAT-14: {refused}");
    let allocation = shown.text("allocationId");

    let old = world.nat.clone();
    stage.ec2.call("DeleteNatGateway", &[("NatGatewayId", &*old)]);
    wait("the gateway is deleted", PATIENCE, || nat_state(&mut stage.ec2, &old) == "deleted");
    let tables = [("RouteTableId.1", &*world.table)];
    let shown = stage.ec2.call("DescribeRouteTables", &tables);
    assert!(shown.body.contains("<state>blackhole</state>"), "NAT-19: {shown}");
    let ping = |id: &str| cloud.exec(id, "ping -n -c 1 -W 1 8.8.8.8").status == 0;
    assert!(!ping(&inner) && !ping(&far), "NAT-19");
    later.begin_to_say();
    let new = nat_gateway(&mut stage.ec2, &world.public_subnet, Some(&allocation));
    let replace = [
        ("RouteTableId", &*world.table),
        ("DestinationCidrBlock", "0.0.0.0/0"),
        ("NatGatewayId", &*new),
    ];
    stage.ec2.call("ReplaceRoute", &replace);
    assert!(ping(&inner) && ping(&far), "again");
    assert_eq!(held.say(), "ConnectionResetError", "NAT-12: it does not know the flow");
    assert_eq!(later.next(), "ConnectionResetError", "as the word is sent again");
    world.nat = new;
}

/// Traps 9: translations are not saved, so whoever used one learns that at once; flows within the
/// VPC go on.
fn a_killed_daemon_resets_what_was_translated(stage: &mut Stage<'_>, world: &World) {
    let cloud = stage.cloud;
    let _echo = Program::guest(cloud, &world.far, &["python3", "-c", SERVER]);
    wait("the server in the VPC listens", PATIENCE, || {
        let probe = format!("nc -z -w 1 {} 7000", world.far_private);
        cloud.exec(&world.inner, &probe).status == 0
    });
    let mut inside = Held::open(cloud, &world.inner, "inside", &world.far_private);
    let mut outside = Held::open(cloud, &world.inner, "outside", CLIENT);
    assert_eq!((inside.say(), outside.say()), ("word".to_owned(), "word".to_owned()));
    cloud.kill();
    cloud.start().ok();
    stage.ec2 = Ec2::connect(cloud.port());
    assert_eq!(outside.say(), "ConnectionResetError", "not a hang");
    assert_eq!(inside.say(), "word", "within the VPC it goes on");
    let done: Done = cloud.exec(&world.inner, "curl -s --max-time 5 http://checkip.amazonaws.com");
    assert_eq!(done.ok().trim(), world.nat_public, "new ones pass");
}
