//! VPC endpoints with real clients, from an instance that has no other way out: one VPC without an
//! internet gateway, two subnets, one instance.

use std::time::Duration;

use gureum_e2e::{Cloud, Done, Ec2, Stage, root_or_skip, wait};

const PATIENCE: Duration = Duration::from_secs(60);
const REGION: &str = "ap-northeast-2";
const MESSAGES: &str = "ssmmessages.ap-northeast-2.amazonaws.com";
const S3: &str = "s3.ap-northeast-2.amazonaws.com";
/// Where the simulated internet has the services.
const PUBLIC: &str = "203.0.113.50";

/// The VPC and who is in it.
struct World<'a> {
    cloud: &'a Cloud,
    ec2: Ec2,
    vpc: String,
    table: String,
    /// In zones a and c.
    subnets: [String; 2],
    /// IMD-SSM-SG: of endpoints.
    group: String,
    instance: String,
}

impl<'a> World<'a> {
    fn create(cloud: &'a Cloud, mut stage: Stage<'a>) -> Self {
        let ec2 = &mut stage.ec2;
        let vpc = ec2.call("CreateVpc", &[("CidrBlock", "10.1.0.0/16")]).text("vpcId");
        let hostnames = [("VpcId", &*vpc), ("EnableDnsHostnames.Value", "true")];
        ec2.call("ModifyVpcAttribute", &hostnames);
        let subnets = [("10.1.11.0/24", "a"), ("10.1.12.0/24", "c")].map(|(block, zone)| {
            let zone = format!("{REGION}{zone}");
            let what = [("VpcId", &*vpc), ("CidrBlock", block), ("AvailabilityZone", &zone)];
            ec2.call("CreateSubnet", &what).text("subnetId")
        });
        let of_vpc = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*vpc)];
        let table = ec2.call("DescribeRouteTables", &of_vpc).text("routeTableId");
        let [group, own] = ["IMD-SSM-SG", "IMD-PRI-SG"].map(|name| {
            let make = [("GroupName", name), ("GroupDescription", name), ("VpcId", &*vpc)];
            ec2.call("CreateSecurityGroup", &make).text("groupId")
        });
        let place = [("SubnetId", &*subnets[0]), ("SecurityGroupId.1", &*own)];
        let instance = stage.run_instances_with("PRIVATE-01", &place).text("instanceId");
        stage.wait_ready(&instance);
        let ec2 = stage.ec2;
        let mut world = Self { cloud, ec2, vpc, table, subnets, group, instance };
        world.https("AuthorizeSecurityGroupIngress");
        world
    }

    /// Opens or closes 443 to the VPC in the group of the endpoints.
    fn https(&mut self, action: &str) {
        let rule = [
            ("GroupId", &*self.group),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "443"),
            ("IpPermissions.1.ToPort", "443"),
            ("IpPermissions.1.IpRanges.1.CidrIp", "10.1.0.0/16"),
        ];
        self.ec2.call(action, &rule);
    }

    /// Runs a command in the instance.
    fn run(&self, shell: &str) -> Done {
        self.cloud.exec(&self.instance, shell)
    }

    /// What curl in the instance says to a URL: its exit status, and that of HTTP.
    fn curl(&self, url: &str) -> (i32, String) {
        let shell = format!("curl -sS -o /dev/null -w '%{{http_code}}' --max-time 4 {url}");
        let done = self.run(&shell);
        (done.status, done.stdout.trim().to_owned())
    }

    /// Whether a URL times out, as what is dropped on the way does (PIPE-9).
    #[track_caller]
    fn times_out(&self, url: &str) {
        assert_eq!(self.curl(url), (28, "000".to_owned()), "{url}");
    }

    /// Whether whoever answers a URL has a certificate that the instance trusts.
    #[track_caller]
    fn answers(&self, url: &str) {
        let (status, http) = self.curl(url);
        assert!(status == 0 && http != "000", "{url}: curl {status}, HTTP {http}");
    }

    /// The addresses that a name means in the instance.
    fn addresses(&self, name: &str) -> Vec<String> {
        let shown = self.run(&format!("getent ahostsv4 {name} | awk '{{print $1}}' | sort -u"));
        shown.stdout.lines().map(str::to_owned).collect()
    }

    /// What `gureum why` says of TCP from the instance to port 443.
    fn why(&self, to: &str) -> String {
        let asked = [&*self.instance, to, "--proto", "tcp", "--port", "443"];
        self.cloud.gureum("why", asked).stdout
    }

    fn endpoint(&mut self, service: &str, more: &[(&str, &str)]) -> String {
        let name = format!("com.amazonaws.{REGION}.{service}");
        let what = [("VpcId", &*self.vpc.clone()), ("ServiceName", &*name)];
        let made = self.ec2.call("CreateVpcEndpoint", &[&what, more].concat());
        let id = made.text("vpcEndpointId");
        self.wait_state(&id, "available");
        id
    }

    /// An interface endpoint with private DNS in both subnets.
    fn interface_endpoint(&mut self, service: &str) -> String {
        let (group, [a, c]) = (self.group.clone(), self.subnets.clone());
        let more = [
            ("VpcEndpointType", "Interface"),
            ("SubnetId.1", &*a),
            ("SubnetId.2", &*c),
            ("SecurityGroupId.1", &*group),
            ("PrivateDnsEnabled", "true"),
        ];
        self.endpoint(service, &more)
    }

    fn wait_state(&mut self, id: &str, state: &str) {
        wait(&format!("{id} is {state}"), PATIENCE, || {
            let shown = self.ec2.call("DescribeVpcEndpoints", &[("VpcEndpointId.1", id)]);
            shown.text("state") == state
        });
    }

    fn delete(&mut self, id: &str) {
        self.ec2.call("DeleteVpcEndpoints", &[("VpcEndpointId.1", id)]);
        self.wait_state(id, "deleted");
    }
}

#[test]
// DNS-18, LAB-10, VPCE-2, VPCE-4, VPCE-5, VPCE-8, VPCE-9, VPCE-14, VPCE-17, VPCE-18, PIPE-9
fn hosts_endpoints_are_the_only_way_out() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let stage = Stage::open(&cloud);
    let mut world = World::create(&cloud, stage);
    an_interface_endpoint_opens_a_service(&mut world);
    the_command_line_works_through_endpoints(&mut world);
    a_gateway_endpoint_opens_s3(&mut world);
}

fn an_interface_endpoint_opens_a_service(world: &mut World<'_>) {
    let url = format!("https://{MESSAGES}/");
    // Status checks pass with DHCP's answer; what DHCP said of the resolver is written right after.
    wait("the name means the internet", PATIENCE, || world.addresses(MESSAGES) == [PUBLIC]);
    world.times_out(&url);
    let why = world.why(PUBLIC);
    assert!(why.contains("no-route"), "{why}");

    let id = world.interface_endpoint("ssmmessages");
    let shown = world.ec2.call("DescribeVpcEndpoints", &[("VpcEndpointId.1", &*id)]);
    let names = shown.texts("dnsName");
    let mut own = Vec::new();
    for interface in shown.texts("networkInterfaceIdSet")[0].split("<item>").skip(1) {
        let interface = interface.split('<').next().expect("an id");
        let of = [("NetworkInterfaceId.1", interface)];
        own.push(world.ec2.call("DescribeNetworkInterfaces", &of).text("privateIpAddress"));
    }
    own.sort();
    assert_eq!((own.len(), names.len()), (2, 4), "{shown}");
    wait("the service's name means the endpoint", PATIENCE, || world.addresses(MESSAGES) == own);
    world.answers(&url);
    assert_eq!(world.addresses(&names[0]), own, "the regional name");
    for name in &names {
        world.answers(&format!("https://{name}/"));
    }
    // VPCE-8: one zone's name means one address; outside, the service's own name stays what it was.
    assert_eq!(world.addresses(&names[1]).len(), 1);
    let outside = world.cloud.internet(&format!("getent ahostsv4 {MESSAGES}")).stdout;
    assert!(outside.starts_with(PUBLIC), "{outside}");
    let why = world.why(&own[0]);
    assert!(why.contains("arrives at services") && why.ends_with("reachable\n"), "{why}");

    world.https("RevokeSecurityGroupIngress");
    for name in [MESSAGES, &names[1], &names[2]] {
        world.times_out(&format!("https://{name}/"));
    }
    for address in &own {
        let why = world.why(address);
        assert!(why.contains("dropped: security-group-ingress"), "{why}");
    }
    world.https("AuthorizeSecurityGroupIngress");
    world.answers(&url);

    world.delete(&id);
    wait("the name means the internet again", PATIENCE, || world.addresses(MESSAGES) == [PUBLIC]);
    world.times_out(&url);
}

fn the_command_line_works_through_endpoints(world: &mut World<'_>) {
    let aws = |world: &World<'_>, words: &str| {
        world.run(&format!(
            "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=secret \
             AWS_DEFAULT_REGION={REGION} AWS_STS_REGIONAL_ENDPOINTS=regional AWS_MAX_ATTEMPTS=1 \
             AWS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt \
             aws --output text --cli-connect-timeout 4 --cli-read-timeout 20 {words}"
        ))
    };
    assert_ne!(aws(world, "sts get-caller-identity").status, 0);
    let ids = ["sts", "ec2"].map(|service| world.interface_endpoint(service));
    wait("the names mean the endpoints", PATIENCE, || {
        ["sts", "ec2"].iter().all(|service| {
            let name = format!("{service}.{REGION}.amazonaws.com");
            world.addresses(&name).len() == 2
        })
    });
    let account = aws(world, "sts get-caller-identity --query Account").ok();
    assert_eq!(account.trim(), "123456789012");
    let vpcs = aws(world, "ec2 describe-vpcs --query Vpcs[].VpcId").ok();
    assert!(vpcs.contains(&world.vpc), "{vpcs}");
    // VPCE-14: an answer of many segments as large as they may be.
    let types = aws(world, "ec2 describe-instance-types --query 'length(InstanceTypes)'").ok();
    assert!(types.trim().parse::<u32>().is_ok_and(|count| count > 0), "{types}");
    for id in &ids {
        world.delete(id);
    }
}

fn a_gateway_endpoint_opens_s3(world: &mut World<'_>) {
    let url = format!("https://{S3}/");
    let address = world.addresses(S3).remove(0);
    world.times_out(&url);
    let why = world.why(&address);
    assert!(why.contains("no-route"), "{why}");
    let table = world.table.clone();
    let id = world.endpoint("s3", &[("RouteTableId.1", &table)]);
    world.answers(&url);
    assert_eq!(world.addresses(S3), [&*address], "no name changes");
    // Package repositories of Amazon Linux are buckets.
    let mirror = format!("amazonlinux-2-repos-{REGION}.s3.{REGION}.amazonaws.com");
    world.answers(&format!("http://{mirror}/2/core/latest/x86_64/mirror.list"));
    assert_eq!(world.run(&format!("ping -c 1 -W 4 {address}")).status, 0, "VPCE-20");
    let why = world.why(&address);
    assert!(why.contains("to a gateway endpoint") && why.ends_with("reachable\n"), "{why}");
    let changed = [("VpcEndpointId", &*id), ("RemoveRouteTableId.1", &table)];
    world.ec2.call("ModifyVpcEndpoint", &changed);
    world.times_out(&url);
    world.delete(&id);
}
