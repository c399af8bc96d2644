//! A VPC of both families as the unmodified AWS CLI makes it, its instances and the internet over
//! IPv6: addresses, names, metadata, gateways, rules, and the commands that explain packets.

use std::{process::Stdio, time::Duration};

use gureum_e2e::{Cloud, Done, Host, Program, Stage, root_or_skip, wait};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// `#!/bin/sh\nid > /root/ran\n`
const USER_DATA: &str = "#!/bin/sh\nid > /root/ran\n";

/// Where the server of this test listens, in the internet: it has IPv4 alone.
const SERVER: &str = "203.0.113.10";

/// Tells who asks, and what the sum of what it was sent is.
const SERVER_PROGRAM: &str = "
import hashlib, http.server
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.say(BODY)
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.say((self.client_address[0] + ' ' + hashlib.md5(body).hexdigest()).encode())
    def say(self, body):
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
BODY = b''.join(n.to_bytes(8, 'big') for n in range(1_000_000))
http.server.ThreadingHTTPServer(('', 8000), Web).serve_forever()
";

/// The sum of the numbers below 1,000,000 in 8 bytes each.
const BODY_MD5: &str = "f4c69f5cadaabda69301fd34888c73b3";

/// The VPC: two public subnets, of which one has IPv6 only, and a private one behind an
/// egress-only internet gateway. Who has IPv6 only reaches IPv4 through a NAT gateway.
struct Network {
    group: String,
    both: String,
    six: String,
    inner: String,
    private_table: String,
    egress_only: String,
    nat: String,
    nat_public: String,
    nat_private: String,
}

/// One instance with its IPv6 address, as the API has it.
struct Six {
    id: String,
    address: String,
}

impl Network {
    fn create(stage: &Stage<'_>) -> Self {
        let ec2 = |words: &str| {
            let words = words.split_whitespace().chain(["--output", "text"]);
            let done = stage.cloud.aws_args(["ec2"].into_iter().chain(words));
            done.ok().trim().to_owned()
        };
        let vpc = ec2("create-vpc --cidr-block 10.9.0.0/16 --amazon-provided-ipv6-cidr-block \
                       --query Vpc.VpcId");
        ec2(&format!("modify-vpc-attribute --vpc-id {vpc} --enable-dns-hostnames"));
        let block =
            "Vpcs[0].Ipv6CidrBlockAssociationSet[0].[Ipv6CidrBlock,Ipv6CidrBlockState.State]";
        let block = ec2(&format!("describe-vpcs --vpc-ids {vpc} --query {block}"));
        let (block, state) = block.split_once('\t').expect("a block and its state");
        assert_eq!(state, "associated");
        let prefix = block.strip_suffix("00::/56").expect("CIDR-12: a /56");
        let subnet = |more: &str| {
            ec2(&format!(
                "create-subnet --vpc-id {vpc} --availability-zone ap-northeast-2a {more} \
                 --query Subnet.SubnetId"
            ))
        };
        let both = subnet(&format!("--cidr-block 10.9.1.0/24 --ipv6-cidr-block {prefix}01::/64"));
        let six = subnet(&format!("--ipv6-native --ipv6-cidr-block {prefix}02::/64"));
        let inner = subnet(&format!("--cidr-block 10.9.3.0/24 --ipv6-cidr-block {prefix}03::/64"));
        for own in [&both, &inner] {
            ec2(&format!(
                "modify-subnet-attribute --subnet-id {own} --assign-ipv6-address-on-creation"
            ));
        }
        ec2(&format!("modify-subnet-attribute --subnet-id {both} --map-public-ip-on-launch"));
        let gateway = ec2("create-internet-gateway --query InternetGateway.InternetGatewayId");
        ec2(&format!("attach-internet-gateway --internet-gateway-id {gateway} --vpc-id {vpc}"));
        let main = ec2(&format!(
            "describe-route-tables --filters Name=vpc-id,Values={vpc} \
             --query RouteTables[0].RouteTableId"
        ));
        for all in ["--destination-cidr-block 0.0.0.0/0", "--destination-ipv6-cidr-block ::/0"] {
            ec2(&format!("create-route --route-table-id {main} {all} --gateway-id {gateway}"));
        }
        let [allocation, nat_public] = ec2("allocate-address --query [AllocationId,PublicIp]")
            .split('\t')
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .try_into()
            .expect("an allocation and its address");
        let nat = ec2(&format!(
            "create-nat-gateway --subnet-id {both} --allocation-id {allocation} \
             --query NatGateway.NatGatewayId"
        ));
        ec2(&format!("wait nat-gateway-available --nat-gateway-ids {nat}"));
        let nat_private = ec2(&format!(
            "describe-nat-gateways --nat-gateway-ids {nat} \
             --query NatGateways[0].NatGatewayAddresses[0].PrivateIp"
        ));
        ec2(&format!(
            "create-route --route-table-id {main} --destination-ipv6-cidr-block 64:ff9b::/96 \
             --nat-gateway-id {nat}"
        ));
        ec2(&format!("modify-subnet-attribute --subnet-id {six} --enable-dns64"));
        let egress_only = ec2(&format!(
            "create-egress-only-internet-gateway --vpc-id {vpc} \
             --query EgressOnlyInternetGateway.EgressOnlyInternetGatewayId"
        ));
        let private_table =
            ec2(&format!("create-route-table --vpc-id {vpc} --query RouteTable.RouteTableId"));
        ec2(&format!(
            "create-route --route-table-id {private_table} --destination-ipv6-cidr-block ::/0 \
             --egress-only-internet-gateway-id {egress_only}"
        ));
        ec2(&format!("associate-route-table --route-table-id {private_table} --subnet-id {inner}"));
        let group = ec2(&format!(
            "create-security-group --group-name six --description six --vpc-id {vpc} \
             --query GroupId"
        ));
        ec2(&format!(
            "authorize-security-group-ingress --group-id {group} --ip-permissions \
             IpProtocol=tcp,FromPort=22,ToPort=22,Ipv6Ranges=[{{CidrIpv6=::/0}}] \
             IpProtocol=icmpv6,Ipv6Ranges=[{{CidrIpv6=::/0}}] \
             IpProtocol=icmp,FromPort=-1,ToPort=-1,IpRanges=[{{CidrIp=0.0.0.0/0}}] \
             IpProtocol=-1,UserIdGroupPairs=[{{GroupId={group}}}]"
        ));
        // SG-4: a group of a VPC with IPv6 lets everything of that family out too.
        let egress = format!(
            "describe-security-groups --group-ids {group} --query \
             SecurityGroups[0].IpPermissionsEgress[].[IpProtocol,Ipv6Ranges[].CidrIpv6]"
        );
        assert!(ec2(&egress).contains("::/0"), "{}", ec2(&egress));
        Self { group, both, six, inner, private_table, egress_only, nat, nat_public, nat_private }
    }
}

fn launch(stage: &Stage<'_>, network: &Network, name: &str, subnet: &str, more: &[&str]) -> String {
    let tag = format!("ResourceType=instance,Tags=[{{Key=Name,Value={name}}}]");
    let args = [
        "ec2",
        "run-instances",
        "--image-id",
        &stage.image,
        "--instance-type",
        "t3.micro",
        "--key-name",
        "stage",
        "--security-group-ids",
        &network.group,
        "--subnet-id",
        subnet,
        "--tag-specifications",
        &tag,
        "--user-data",
        USER_DATA,
        "--query",
        "Instances[0].InstanceId",
        "--output",
        "text",
    ];
    stage.cloud.aws_args(args.iter().chain(more)).ok().trim().to_owned()
}

fn ready(stage: &mut Stage<'_>, id: &str) -> Six {
    stage.wait_ready(id);
    let address = stage.cloud.instance(id, "Ipv6Address");
    Six { id: id.to_owned(), address }
}

#[test]
// CIDR-12, EIGW-1, IGW-2, DNS-6, DNS-7, DNS-19, IMDS-1, IMDS-24, MTU-3, NAT-24, PIPE-11, PIPE-8,
// RT-1, SG-4
fn hosts_a_vpc_of_both_families() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let network = Network::create(&stage);
    let both = launch(
        &stage,
        &network,
        "both",
        &network.both,
        &[
            "--private-dns-name-options",
            "HostnameType=ip-name,EnableResourceNameDnsARecord=true,EnableResourceNameDnsAAAARecord=true",
        ],
    );
    let six = launch(
        &stage,
        &network,
        "six",
        &network.six,
        &[
            "--metadata-options",
            "HttpProtocolIpv6=enabled,HttpTokens=optional",
            "--private-dns-name-options",
            "HostnameType=resource-name,EnableResourceNameDnsAAAARecord=true",
            "--ipv6-address-count",
            "1",
        ],
    );
    let inner = launch(&stage, &network, "inner", &network.inner, &[]);
    let [both, six, inner] = [both, six, inner].map(|id| ready(&mut stage, &id));
    let host = stage.host(&both.id);
    guests_have_what_the_api_says(&cloud, [&both, &six, &inner]);
    an_instance_of_ipv6_alone_is_whole(&stage, &six);
    the_internet_reaches_and_is_reached(&stage, &both, &six);
    nothing_new_comes_in_by_the_egress_only_gateway(&mut stage, &network, &six, &inner);
    names_and_metadata(&cloud, &both, &six);
    the_path_outward_is_narrow(&cloud, &six);
    hosts_of_ipv4_are_reached_through_a_nat_gateway(&cloud, &network, &both, &six);
    packets_are_explained(&cloud, &six);
    rules_are_of_a_family(&mut stage, &network, &host, &both);
}

fn guests_have_what_the_api_says(cloud: &Cloud, guests: [&Six; 3]) {
    for guest in guests {
        let show = "ip -6 -o address show dev eth0 scope global";
        let wanted = format!(" {}/128 ", guest.address);
        wait(&format!("{} by DHCPv6: {wanted}", guest.id), PATIENCE, || {
            cloud.exec(&guest.id, show).stdout.contains(&wanted)
        });
        let mtu = cloud.exec(&guest.id, "cat /sys/class/net/eth0/mtu").ok();
        assert_eq!(mtu.trim(), "9001", "MTU-3");
    }
    let [both, six, inner] = guests;
    for (from, to) in [(both, six), (six, inner), (inner, both)] {
        let ping = format!("ping -6 -n -c 1 -W 2 -M do -s 8953 {}", to.address);
        cloud.exec(&from.id, &ping).ok();
    }
}

/// No IPv4 address at all, and yet it took its key, ran its user data and has a name.
fn an_instance_of_ipv6_alone_is_whole(stage: &Stage<'_>, six: &Six) {
    let cloud = stage.cloud;
    let login = |shell: &str| stage.login(&six.address, shell);
    wait("the key is there", PATIENCE, || login("true").status == 0);
    assert_eq!(login("sudo cat /root/ran").ok().split(' ').next(), Some("uid=0(root)"));
    let name = login("hostname -f").ok();
    assert_eq!(name.trim(), format!("{}.ap-northeast-2.compute.internal", six.id), "DNS-7");
    assert_eq!(cloud.instance(&six.id, "PrivateDnsName"), name.trim());
    assert_eq!(cloud.instance(&six.id, "PrivateIpAddress"), "None");
    assert_eq!(login("ip -4 -o address show dev eth0 scope global").ok(), "");
}

fn the_internet_reaches_and_is_reached(stage: &Stage<'_>, both: &Six, six: &Six) {
    let cloud = stage.cloud;
    for guest in [both, six] {
        cloud.internet(&format!("ping -6 -n -c 1 -W 2 {}", guest.address)).ok();
        cloud.exec(&guest.id, "ping -6 -n -c 1 -W 2 google.com").ok();
        let seen = cloud.exec(&guest.id, "curl -6 -s --max-time 5 https://ipv6.icanhazip.com").ok();
        assert_eq!(seen.trim(), guest.address, "IPv6 is not translated");
        let page = cloud.exec(&guest.id, "curl -6 -s --max-time 5 http://example.com").ok();
        assert!(page.contains("example.com"), "{page}");
    }
    let seen = stage.login(&six.address, "echo $SSH_CLIENT").ok();
    assert_eq!(seen.split(' ').next(), Some("2001:db8:8000::10"));
}

/// EIGW-1, RT-12.
fn nothing_new_comes_in_by_the_egress_only_gateway(
    stage: &mut Stage<'_>,
    network: &Network,
    six: &Six,
    inner: &Six,
) {
    let cloud = stage.cloud;
    let outward = || cloud.exec(&inner.id, "ping -6 -n -c 1 -W 1 google.com").status == 0;
    assert!(outward(), "replies come back");
    let seen = cloud.exec(&inner.id, "curl -6 -s --max-time 5 https://ipv6.icanhazip.com").ok();
    assert_eq!(seen.trim(), inner.address);
    let ping = format!("ping -6 -n -c 1 -W 1 {}", inner.address);
    assert_ne!(cloud.internet(&ping).status, 0, "nothing new comes in");
    assert_ne!(stage.login(&inner.address, "true").status, 0, "nor by SSH");
    cloud.exec(&six.id, &ping).ok();
    let why = cloud.gureum("why", ["-6", "internet", "inner", "--proto", "icmp"]);
    assert_eq!(why.status, 1, "{why}");
    assert!(why.stdout.contains("egress-only-unsolicited"), "{why}");
    let why = cloud.gureum("why", ["-6", "inner", "internet", "--proto", "tcp", "--port", "443"]);
    assert_eq!(why.status, 0, "{why}");
    assert!(why.stdout.contains(&network.egress_only), "{why}");

    let gone = [("EgressOnlyInternetGatewayId", &*network.egress_only)];
    stage.ec2.call("DeleteEgressOnlyInternetGateway", &gone);
    let shown = [("RouteTableId.1", &*network.private_table)];
    let routes = stage.ec2.call("DescribeRouteTables", &shown);
    assert!(routes.body.contains("<state>blackhole</state>"), "RT-12: {routes}");
    assert!(!outward(), "RT-12");
}

/// DNS-1, DNS-6, DNS-7, IMDS-1, IMDS-24.
fn names_and_metadata(cloud: &Cloud, both: &Six, six: &Six) {
    let ask = |from: &Six, query: &str| {
        cloud.exec(&from.id, &format!("dig +short +time=3 {query}")).ok().trim().to_owned()
    };
    let name = |of: &Six| format!("{}.ap-northeast-2.compute.internal", of.id);
    assert_eq!(ask(both, &format!("AAAA {}", name(six))), six.address);
    assert_eq!(ask(six, &format!("AAAA {}", name(both))), both.address);
    assert_eq!(ask(six, &format!("@fd00:ec2::253 AAAA {}", name(both))), both.address);
    assert_eq!(ask(both, &format!("A {}", name(six))), "");
    assert_eq!(ask(six, "AAAA ipv6.icanhazip.com"), "2001:db8:8000:2::23");

    let get = |from: &Six, path: &str| {
        let url = format!("http://[fd00:ec2::254]/latest/meta-data/{path}");
        cloud.exec(&from.id, &format!("curl -g -s -f --max-time 3 {url}"))
    };
    assert_eq!(get(six, "instance-id").ok(), six.id);
    assert_eq!(get(six, "ipv6").ok(), six.address);
    let mac = get(six, "mac").ok();
    assert_eq!(get(six, &format!("network/interfaces/macs/{mac}/ipv6s")).ok().trim(), six.address);
    assert_ne!(get(six, "local-ipv4").status, 0, "it has none");
    assert_ne!(get(both, "instance-id").status, 0, "nobody enabled it there");
    let enable = format!(
        "ec2 modify-instance-metadata-options --instance-id {} --http-protocol-ipv6 enabled \
         --http-endpoint enabled",
        both.id
    );
    cloud.aws(&enable).ok();
    wait("the metadata over IPv6", PATIENCE, || get(both, "instance-id").stdout == both.id);
}

/// PIPE-8, MTU-1: 1500 outward, and the subnet's router says so.
fn the_path_outward_is_narrow(cloud: &Cloud, six: &Six) {
    let ping = |size: u32| {
        cloud.exec(&six.id, &format!("ping -6 -n -c 2 -i 0.2 -W 2 -M do -s {size} google.com"))
    };
    ping(1452).ok();
    let big = ping(4000);
    assert_ne!(big.status, 0, "{big}");
    let text = format!("{}{}", big.stdout, big.stderr);
    assert!(text.contains("mtu=1500") || text.contains("mtu: 1500"), "{big}");
}

/// NAT-24, DNS-19: by names, with the gateway's address, in large segments too.
fn hosts_of_ipv4_are_reached_through_a_nat_gateway(
    cloud: &Cloud,
    network: &Network,
    both: &Six,
    six: &Six,
) {
    let ask = |from: &Six, name: &str| {
        cloud.exec(&from.id, &format!("dig +short +time=3 AAAA {name}")).ok().trim().to_owned()
    };
    assert_eq!(ask(six, "naver.com"), "64:ff9b::c000:20c", "192.0.2.12");
    assert_eq!(ask(six, "google.com"), "2001:db8:8000:1::10", "it has one of its own");
    assert_eq!(ask(both, "naver.com"), "", "DNS64 is off there");
    for (switch, address) in [("no-enable-dns64", ""), ("enable-dns64", "64:ff9b::c000:20c")] {
        let subnet = &network.six;
        cloud.aws(&format!("ec2 modify-subnet-attribute --subnet-id {subnet} --{switch}")).ok();
        wait(switch, PATIENCE, || ask(six, "naver.com") == address);
    }
    let run = |command: &str| cloud.exec(&six.id, command);
    let seen = run("curl -s --max-time 5 https://ipv4.icanhazip.com").ok();
    assert_eq!(seen.trim(), network.nat_public, "the gateway's");
    let page = run("curl -s --max-time 5 http://naver.com").ok();
    assert!(page.contains("naver.com"), "{page}");
    let ping = run("ping -n -c 3 -i 0.2 -W 2 naver.com").ok();
    assert!(ping.contains("64 bytes from 64:ff9b::c000:20c") && ping.contains(" 0% "), "{ping}");

    let _server = Program::internet(cloud, &["python3", "-c", SERVER_PROGRAM]);
    let url = "http://[64:ff9b::cb00:710a]:8000/";
    wait("the server outside listens", PATIENCE, || {
        run(&format!("curl -g -s -o /root/body --max-time 30 {url}")).status == 0
    });
    assert_eq!(run("md5sum < /root/body").ok(), format!("{BODY_MD5}  -\n"), "8 MB in segments");
    let sent = run(&format!("curl -g -s --max-time 30 --data-binary @/root/body {url}")).ok();
    assert_eq!(sent, format!("{} {BODY_MD5}", network.nat_public));

    // MTU-1, NAT-18: 1500 bytes of IPv4 behind the gateway, which says so itself.
    let target = "64:ff9b::cb00:710a";
    let sized = |size: u32| run(&format!("ping -6 -n -c 2 -i 0.2 -W 2 -M do -s {size} {target}"));
    sized(1520 - 48).ok();
    let big = sized(4000);
    let text = format!("{}{}", big.stdout, big.stderr);
    assert!(text.contains("mtu=1520") || text.contains("mtu: 1520"), "{big}");
    let near = run(&format!("ping -6 -n -c 1 -W 2 -t 1 {target}"));
    let octets: std::net::Ipv4Addr = network.nat_private.parse().expect("an address");
    let [high, low] = [0, 16].map(|shift| u32::from(octets) << shift >> 16);
    let gateway = format!("64:ff9b::{high:x}:{low:x}");
    assert!(near.stdout.contains(&gateway), "{gateway} is a hop: {near}");

    let why = cloud.gureum("why", ["-6", "six", target, "--proto", "tcp", "--port", "8000"]);
    assert!(why.status == 0 && why.stdout.contains(&network.nat), "{why}");
    assert!(why.stdout.contains(&format!("to {SERVER} (NAT64)")), "{why}");
    let ping = || {
        run(&format!("ping -6 -n -c 1 -W 2 {target}")).ok();
    };
    // Both directions by an address that IPv4 has, each with where it went.
    let lines = during(cloud, "trace", &["--host", SERVER, "-c", "2", "-o", "json"], &ping);
    let to = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["to"].clone();
    let to: Vec<_> = lines.lines().map(to).collect();
    assert_eq!(to.len(), 2, "{lines}");
    assert_eq!(to[0], "internet", "{lines}");
    assert!(to[1].as_str().is_some_and(|to| to.starts_with("eni-")), "{lines}");
    let file = cloud.data_dir().with_file_name("nat64.pcap").to_string_lossy().into_owned();
    let capture = ["six", "-w", &file, "-c", "4", "--duration", "30"];
    during(cloud, "capture", &capture, &ping);
    let read = Done::run(std::process::Command::new("tcpdump").args(["-n", "-r", &file, "icmp6"]));
    assert!(
        read.stdout.contains(&format!("{target} > {}: ICMP6, echo reply", six.address)),
        "{read}"
    );
}

/// What a command prints that ends by itself, while something happens again and again.
fn during(cloud: &Cloud, subcommand: &str, args: &[&str], act: &dyn Fn()) -> String {
    let mut command = cloud.command(subcommand);
    let command = command.args(args).stdin(Stdio::null());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait(&format!("{subcommand} {args:?} ends"), PATIENCE, || {
        act();
        child.try_wait().expect("a child").is_some()
    });
    let output = child.wait_with_output().expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `gureum trace`, `capture` and `port show` speak IPv6.
fn packets_are_explained(cloud: &Cloud, six: &Six) {
    let during =
        |subcommand: &str, args: &[&str], act: &dyn Fn()| during(cloud, subcommand, args, act);
    let ping = || {
        cloud.internet(&format!("ping -6 -n -c 1 -W 2 {}", six.address)).ok();
    };
    let refused = || {
        cloud.internet(&format!("curl -g -s --max-time 0.3 http://[{}]:8080/", six.address));
    };
    let filter = ["--host", &six.address, "--proto", "icmpv6", "-c", "2", "-o", "json"];
    let lines = during("trace", &filter, &ping);
    let packets: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(packets.len(), 2, "{lines}");
    let flow = format!("icmpv6 2001:db8:8000::10 > {}", six.address);
    assert_eq!(packets[0]["flow"], flow.as_str(), "{lines}");
    assert_eq!(packets[0]["from"], "internet", "{lines}");
    let dropped = during(
        "trace",
        &["--drops", "--host", &six.address, "--port", "8080", "-c", "1"],
        &refused,
    );
    assert!(dropped.contains("dropped: security-group-ingress"), "{dropped}");
    assert!(dropped.contains(&format!("> [{}]:8080", six.address)), "{dropped}");

    let file = cloud.data_dir().with_file_name("six.pcap").to_string_lossy().into_owned();
    during("capture", &["six", "-w", &file, "-c", "4", "--duration", "30"], &ping);
    let read = Done::run(std::process::Command::new("tcpdump").args(["-n", "-r", &file, "icmp6"]));
    assert!(read.stdout.contains("ICMP6, echo request"), "{read}");

    ping();
    let report = cloud.gureum("port", ["show", "six", "--output", "json"]).json();
    let flows = report["flows"].as_array().expect("flows");
    let local = format!("[{}]:", six.address);
    let echo = flows.iter().find(|flow| {
        flow["protocol"] == 58 && flow["local"].as_str().is_some_and(|it| it.starts_with(&local))
    });
    assert!(echo.is_some(), "SGT-3: echoes are tracked: {report}");
}

/// PIPE-11: a rule for one family is none for the other.
fn rules_are_of_a_family(stage: &mut Stage<'_>, network: &Network, host: &Host, both: &Six) {
    let cloud = stage.cloud;
    let six = || cloud.internet(&format!("ping -6 -n -c 1 -W 1 {}", both.address)).status == 0;
    assert!(stage.pings(&host.public) && six(), "both");
    let rule = |more: &str| {
        let group = &network.group;
        format!("ec2 revoke-security-group-ingress --group-id {group} --ip-permissions {more}")
    };
    cloud.aws(&rule("IpProtocol=icmp,FromPort=-1,ToPort=-1,IpRanges=[{CidrIp=0.0.0.0/0}]")).ok();
    assert!(!stage.pings(&host.public) && six(), "IPv6 alone");
    assert_ne!(stage.login(&host.public, "true").status, 0, "SSH is open to IPv6 alone");
    assert_eq!(stage.login(&both.address, "echo well").ok(), "well\n");
    cloud.aws(&rule("IpProtocol=icmpv6,Ipv6Ranges=[{CidrIpv6=::/0}]")).ok();
    assert!(!six(), "neither");
}
