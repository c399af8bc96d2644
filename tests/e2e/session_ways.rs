//! The ways of an instance without a public address to Session Manager, each with the one thing
//! missing that closes it: as on AWS nobody is connected then, and `gureum why` names the cause.

use std::time::Duration;

use gureum_e2e::{Cloud, Done, Ec2, Stage, root_or_skip, ssm, wait};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);
const REGION: &str = "ap-northeast-2";
const ROLE: &str = "IMD-SSM-ROLE";
const POLICY: &str = "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// A VPC with a public and a private subnet, and an instance in the private one.
struct World<'a> {
    cloud: &'a Cloud,
    ec2: Ec2,
    vpc: String,
    public: String,
    private: String,
    /// The private subnet's route table.
    table: String,
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
        let [public, private] = ["10.1.1.0/24", "10.1.11.0/24"].map(|block| {
            let zone = format!("{REGION}a");
            let what = [("VpcId", &*vpc), ("CidrBlock", block), ("AvailabilityZone", &zone)];
            ec2.call("CreateSubnet", &what).text("subnetId")
        });
        let gateway = ec2.call("CreateInternetGateway", &[]).text("internetGatewayId");
        let attached = [("InternetGatewayId", &*gateway), ("VpcId", &*vpc)];
        ec2.call("AttachInternetGateway", &attached);
        let [outer, table] = [&public, &private].map(|subnet| {
            let table = ec2.call("CreateRouteTable", &[("VpcId", &*vpc)]).text("routeTableId");
            let associated = [("RouteTableId", &*table), ("SubnetId", &**subnet)];
            ec2.call("AssociateRouteTable", &associated);
            table
        });
        let out = [
            ("RouteTableId", &*outer),
            ("DestinationCidrBlock", "0.0.0.0/0"),
            ("GatewayId", &*gateway),
        ];
        ec2.call("CreateRoute", &out);
        let [group, own] = ["IMD-SSM-SG", "IMD-PRI-SG"].map(|name| {
            let make = [("GroupName", name), ("GroupDescription", name), ("VpcId", &*vpc)];
            ec2.call("CreateSecurityGroup", &make).text("groupId")
        });
        let place = [("SubnetId", &*private), ("SecurityGroupId.1", &*own)];
        let instance = stage.run_instances_with("PRIVATE-01", &place).text("instanceId");
        stage.wait_ready(&instance);
        let ec2 = stage.ec2;
        let mut world = Self { cloud, ec2, vpc, public, private, table, group, instance };
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

    fn endpoint(&mut self, service: &str) -> String {
        let name = format!("com.amazonaws.{REGION}.{service}");
        let what = [
            ("VpcId", &*self.vpc),
            ("ServiceName", &*name),
            ("VpcEndpointType", "Interface"),
            ("SubnetId.1", &*self.private),
            ("SecurityGroupId.1", &*self.group),
            ("PrivateDnsEnabled", "true"),
        ];
        let id = self.ec2.call("CreateVpcEndpoint", &what).text("vpcEndpointId");
        self.until_endpoint(&id, "available");
        id
    }

    fn until_endpoint(&mut self, id: &str, state: &str) {
        wait(&format!("{id} is {state}"), PATIENCE, || {
            let shown = self.ec2.call("DescribeVpcEndpoints", &[("VpcEndpointId.1", id)]);
            shown.text("state") == state
        });
    }

    /// A NAT gateway, and the private subnet's way to it.
    fn nat_gateway(&mut self) -> String {
        let address = self.ec2.call("AllocateAddress", &[("Domain", "vpc")]).text("allocationId");
        let what = [("SubnetId", &*self.public), ("AllocationId", &*address)];
        let id = self.ec2.call("CreateNatGateway", &what).text("natGatewayId");
        wait("the NAT gateway is available", PATIENCE, || {
            let shown = self.ec2.call("DescribeNatGateways", &[("NatGatewayId.1", &id)]);
            shown.text("state") == "available"
        });
        id
    }

    fn route(&mut self, action: &str, gateway: Option<&str>) {
        let what = [("RouteTableId", &*self.table), ("DestinationCidrBlock", "0.0.0.0/0")];
        let to = gateway.map(|id| ("NatGatewayId", id));
        let all: Vec<_> = what.into_iter().chain(to).collect();
        self.ec2.call(action, &all);
    }

    fn private_dns(&mut self, endpoint: &str, on: &str) {
        let what = [("VpcEndpointId", endpoint), ("PrivateDnsEnabled", on)];
        self.ec2.call("ModifyVpcEndpoint", &what);
    }

    fn dns_support(&mut self, on: &str) {
        let what = [("VpcId", &*self.vpc), ("EnableDnsSupport.Value", on)];
        self.ec2.call("ModifyVpcAttribute", &what);
    }

    fn run(&self, shell: &str) -> Done {
        self.cloud.exec(&self.instance, shell)
    }

    /// Starts the agent anew, and waits until it has tried and said a word of its failure.
    #[track_caller]
    fn agent_fails(&self, word: &str) {
        self.run("systemctl restart amazon-ssm-agent").ok();
        let said = "journalctl -o cat _SYSTEMD_INVOCATION_ID=\
                    $(systemctl show -p InvocationID --value amazon-ssm-agent)";
        wait(&format!("the agent says {word}"), PATIENCE, || self.run(said).stdout.contains(word));
        self.is_not_connected();
    }

    /// Nobody is there for Session Manager (SSM-8).
    #[track_caller]
    fn is_not_connected(&self) {
        let target = json!({"Target": self.instance});
        let refused = ssm(self.cloud.port(), "StartSession", &target).expect_err("it is connected");
        assert_eq!(refused["__type"], "TargetNotConnected", "{refused}");
        let text = refused.to_string();
        assert!(text.contains(&format!("{} is not connected.", self.instance)), "{refused}");
        assert_eq!(self.connection(), "notconnected");
    }

    fn connection(&self) -> String {
        let target = json!({"Target": self.instance});
        let status = ssm(self.cloud.port(), "GetConnectionStatus", &target).expect("a status");
        status["Status"].as_str().expect("text").to_owned()
    }

    fn ping_status(&self) -> Option<String> {
        let listed = ssm(self.cloud.port(), "DescribeInstanceInformation", &json!({}));
        let listed = listed.expect("listed");
        listed["InstanceInformationList"][0]["PingStatus"].as_str().map(str::to_owned)
    }

    /// Waits until a session opens, and opens one.
    #[track_caller]
    fn sessions_work(&self) {
        wait("the agent is connected", PATIENCE, || self.connection() == "connected");
        assert_eq!(self.ping_status().as_deref(), Some("Online"), "SSM-7");
        let done = self.cloud.gureum("session", ["PRIVATE-01", "--", "id", "-un"]);
        assert_eq!(done.ok(), "ssm-user\n");
        for service in ["ssm", "ssmmessages"] {
            let why = self.why(service);
            assert_eq!(why.status, 0, "{why}");
        }
    }

    fn why(&self, service: &str) -> Done {
        self.cloud.gureum("why", ["PRIVATE-01", service])
    }

    /// What `gureum why` says: that it does not work, and all of these.
    #[track_caller]
    fn because(&self, service: &str, causes: &[&str]) {
        let why = self.why(service);
        assert_eq!(why.status, 1, "{why}");
        for cause in causes {
            assert!(why.stdout.contains(cause), "expected {cause:?}: {why}");
        }
    }
}

fn iam(cloud: &Cloud, action: &str, more: &[&str]) {
    cloud.aws_args(["iam", action].iter().chain(more)).ok();
}

// SSM-1, SSM-3, SSM-4, SSM-5, SSM-6, SSM-8, VPCE-9, DNS-3
#[test]
fn hosts_each_thing_that_session_manager_needs_can_be_missing() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let stage = Stage::open(&cloud);
    let mut world = World::create(&cloud, stage);
    let messages = world.endpoint("ssmmessages");
    let ssm_endpoint = world.endpoint("ssm");
    let old = world.endpoint("ec2messages");

    // The role. The way is free, by three endpoints and nothing else.
    world.agent_fails("the instance has no role");
    assert_eq!(world.ping_status(), None, "SSM-7: nobody has registered");
    world.because(
        "ssmmessages",
        &[&format!("private DNS of {messages}\n"), "\nreachable\n", "has no instance profile"],
    );
    let named = ["--role-name", ROLE];
    iam(&cloud, "create-role", &[&named[..], &["--assume-role-policy-document", TRUST]].concat());
    iam(&cloud, "create-instance-profile", &["--instance-profile-name", ROLE]);
    let into = ["--instance-profile-name", ROLE, "--role-name", ROLE];
    iam(&cloud, "add-role-to-instance-profile", &into);
    let associate = [("InstanceId", &*world.instance), ("IamInstanceProfile.Name", ROLE)];
    world.ec2.call("AssociateIamInstanceProfile", &associate);
    let role = "curl -sf http://169.254.169.254/latest/meta-data/iam/security-credentials/";
    wait("the instance has its role", PATIENCE, || world.run(role).stdout == ROLE);

    // What the role may do.
    world.agent_fails("does not let the agent in");
    world.because("ssm", &["not authorized to perform: ssm:UpdateInstanceInformation"]);
    let with = [&named[..], &["--policy-arn", POLICY]].concat();
    iam(&cloud, "attach-role-policy", &with);
    // SSM-6: it looks again a day later, or at a reboot.
    world.because("ssmmessages", &["has not registered yet"]);
    world.ec2.call("RebootInstances", &[("InstanceId.1", &world.instance)]);
    world.sessions_work();

    // The endpoints' group.
    world.https("RevokeSecurityGroupIngress");
    world.agent_fails("cannot register");
    world.because("ssmmessages", &["dropped: security-group-ingress", "\nnot reachable\n"]);
    world.https("AuthorizeSecurityGroupIngress");
    world.sessions_work();

    // Private DNS: the name means the internet again, and nothing leads there.
    world.private_dns(&messages, "false");
    world.agent_fails("no control channel");
    world.because(
        "ssmmessages",
        &[": its public address\n", "dropped: no-route", &format!("{messages} is an endpoint for")],
    );
    world.because("ssm", &["\nreachable\n", "but: the agent needs ssmmessages."]);
    world.private_dns(&messages, "true");
    world.sessions_work();

    // The VPC's resolver.
    world.dns_support("false");
    world.agent_fails("cannot register");
    world.because("ssmmessages", &["has its DNS support off", "\nnot reachable\n"]);
    world.dns_support("true");
    world.sessions_work();

    // One endpoint, and no other way out.
    for id in [&ssm_endpoint, &old] {
        world.ec2.call("DeleteVpcEndpoints", &[("VpcEndpointId.1", id)]);
        world.until_endpoint(id, "deleted");
    }
    world.agent_fails("cannot register");
    world.because("ssmmessages", &["\nreachable\n", "but: the agent needs ssm."]);
    world.because("ssm", &["dropped: no-route"]);

    // The same with a NAT gateway: the lab's case. And without the route to it.
    let gateway = world.nat_gateway();
    world.route("CreateRoute", Some(&gateway));
    world.sessions_work();
    world.because_of_route(&gateway);
    cloud.down();
}

impl World<'_> {
    fn because_of_route(&mut self, gateway: &str) {
        self.route("DeleteRoute", None);
        self.agent_fails("cannot register");
        self.because("ssm", &["dropped: no-route", "\nnot reachable\n"]);
        self.route("CreateRoute", Some(gateway));
        self.sessions_work();
    }
}
