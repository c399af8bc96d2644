//! A small network to ask about: a public subnet, a private one, a host in each.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::{Cloud, Reply};

/// As the lab: 10.1.1.0/24 is public, 10.1.11.0/24 private.
pub(crate) struct Network {
    pub(crate) cloud: Cloud,
    pub(crate) vpc: String,
    pub(crate) public: String,
    pub(crate) private: String,
    pub(crate) public_table: String,
    pub(crate) private_table: String,
    pub(crate) gateway: String,
    pub(crate) web_group: String,
    pub(crate) app_group: String,
    pub(crate) web: Host,
    pub(crate) app: Host,
}

/// An instance with its one interface.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) id: String,
    pub(crate) interface: String,
    pub(crate) address: String,
    pub(crate) public: Option<String>,
}

static TOKENS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn token() -> String {
    format!("token-{}", TOKENS.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn table(cloud: &Cloud, vpc: &str, subnet: &str) -> String {
    let table = cloud.make("CreateRouteTable", &[("VpcId", vpc)], "routeTableId").await;
    let tie = [("RouteTableId", table.as_str()), ("SubnetId", subnet)];
    cloud.ec2("AssociateRouteTable", &tie).await.ok();
    table
}

pub(crate) async fn route(cloud: &Cloud, table: &str, to: &str, target: (&str, &str)) {
    let route = [("RouteTableId", table), ("DestinationCidrBlock", to), target];
    cloud.ec2("CreateRoute", &route).await.ok();
}

pub(crate) async fn group(cloud: &Cloud, vpc: &str, name: &str) -> String {
    let group = [("GroupName", name), ("GroupDescription", "d"), ("VpcId", vpc)];
    cloud.make("CreateSecurityGroup", &group, "groupId").await
}

pub(crate) async fn admit(cloud: &Cloud, group: &str, port: &str, peer: (&str, &str)) {
    let rule = [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", port),
        ("IpPermissions.1.ToPort", port),
        peer,
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &rule).await.ok();
}

/// From everybody.
pub(crate) const ANYBODY: (&str, &str) = ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0");

pub(crate) async fn host(cloud: &Cloud, subnet: &str, group: &str, public: bool) -> Host {
    let interface = [
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", subnet),
        ("NetworkInterface.1.AssociatePublicIpAddress", if public { "true" } else { "false" }),
        ("NetworkInterface.1.SecurityGroupId.1", group),
    ];
    let id = cloud.instance(subnet, &interface).await;
    let shown = cloud.ec2("DescribeInstances", &[("InstanceId.1", &id)]).await.ok();
    Host {
        interface: shown.text("networkInterfaceId"),
        address: shown.text("privateIpAddress"),
        public: shown.get("ipAddress").map(str::to_owned),
        id,
    }
}

impl Network {
    pub(crate) async fn new() -> Self {
        let cloud = Cloud::new();
        let (vpc, public) = cloud.network().await;
        let private = cloud.subnet(&vpc, "10.1.11.0/24", "ap-northeast-2a").await;
        let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
        let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc.as_str())];
        cloud.ec2("AttachInternetGateway", &tie).await.ok();
        let public_table = table(&cloud, &vpc, &public).await;
        let private_table = table(&cloud, &vpc, &private).await;
        route(&cloud, &public_table, "0.0.0.0/0", ("GatewayId", &gateway)).await;
        let web_group = group(&cloud, &vpc, "web").await;
        let app_group = group(&cloud, &vpc, "app").await;
        admit(&cloud, &web_group, "80", ANYBODY).await;
        let by_web = ("IpPermissions.1.Groups.1.GroupId", web_group.as_str());
        admit(&cloud, &app_group, "8080", by_web).await;
        let web = host(&cloud, &public, &web_group, true).await;
        let app = host(&cloud, &private, &app_group, false).await;
        Self {
            cloud,
            vpc,
            public,
            private,
            public_table,
            private_table,
            gateway,
            web_group,
            app_group,
            web,
            app,
        }
    }

    /// A public NAT gateway in the public subnet, with the private subnet's way out through it.
    pub(crate) async fn nat_gateway(&self) -> String {
        let cloud = &self.cloud;
        let allocation = cloud.make("AllocateAddress", &[], "allocationId").await;
        let made = [("SubnetId", self.public.as_str()), ("AllocationId", allocation.as_str())];
        let id = cloud.make("CreateNatGateway", &made, "natGatewayId").await;
        let named = [("NatGatewayId.1", id.as_str())];
        let is_up = |it: &Reply| it.body.contains("<state>available</state>");
        cloud.until("DescribeNatGateways", &named, is_up).await;
        route(cloud, &self.private_table, "0.0.0.0/0", ("NatGatewayId", &id)).await;
        id
    }

    /// A network ACL of a subnet that allows nothing but these entries: egress, number, action, block.
    pub(crate) async fn acl(&self, subnet: &str, entries: &[(&str, &str, &str, &str)]) -> String {
        let cloud = &self.cloud;
        let acl = cloud.make("CreateNetworkAcl", &[("VpcId", &self.vpc)], "networkAclId").await;
        for (egress, number, action, block) in entries {
            let entry = [
                ("NetworkAclId", acl.as_str()),
                ("Egress", egress),
                ("RuleNumber", number),
                ("RuleAction", action),
                ("Protocol", "-1"),
                ("CidrBlock", block),
            ];
            cloud.ec2("CreateNetworkAclEntry", &entry).await.ok();
        }
        let of = [("Filter.1.Name", "association.subnet-id"), ("Filter.1.Value.1", subnet)];
        let shown = cloud.ec2("DescribeNetworkAcls", &of).await.ok();
        let ties: Vec<_> = shown.body.split("<item><networkAclAssociationId>").skip(1).collect();
        let tie =
            ties.iter().find(|it| it.split("</item>").next().is_some_and(|it| it.contains(subnet)));
        let tie = tie.and_then(|it| it.split('<').next()).expect("an association");
        let replaced = [("AssociationId", tie), ("NetworkAclId", acl.as_str())];
        cloud.ec2("ReplaceNetworkAclAssociation", &replaced).await.ok();
        acl
    }

    /// Makes a path and analyzes it; what is told of the analysis afterwards.
    pub(crate) async fn analyze(&self, path: &[(&str, &str)]) -> Reply {
        analyze(&self.cloud, path, &[]).await
    }

    /// The codes of the explanations, where there is no path.
    pub(crate) async fn codes(&self, path: &[(&str, &str)]) -> Vec<String> {
        let reply = self.analyze(path).await;
        assert_eq!(reply.text("status"), "succeeded", "RA-2: {}", reply.body);
        assert_eq!(reply.text("networkPathFound"), "false", "{}", reply.body);
        reply.all("explanationCode")
    }

    /// Why nobody knows whether there is a path.
    pub(crate) async fn unknown(&self, path: &[(&str, &str)]) -> String {
        let reply = self.analyze(path).await;
        assert_eq!(reply.text("status"), "failed", "RA-2: {}", reply.body);
        assert_eq!(reply.get("networkPathFound"), None, "never a guess: {}", reply.body);
        reply.text("statusMessage")
    }

    /// A path that is there.
    pub(crate) async fn found(&self, path: &[(&str, &str)]) -> Reply {
        let reply = self.analyze(path).await;
        let seen = (reply.text("status"), reply.get("networkPathFound"));
        assert_eq!(seen, ("succeeded".into(), Some("true")), "{}", reply.body);
        reply
    }
}

pub(crate) async fn analyze(cloud: &Cloud, path: &[(&str, &str)], more: &[(&str, &str)]) -> Reply {
    let (one, two) = (token(), token());
    let mut parameters = vec![("ClientToken", one.as_str())];
    if !path.iter().any(|(name, _)| *name == "Protocol") {
        parameters.push(("Protocol", "tcp"));
    }
    parameters.extend(path);
    let path = cloud.make("CreateNetworkInsightsPath", &parameters, "networkInsightsPathId").await;
    let mut parameters = vec![("ClientToken", two.as_str()), ("NetworkInsightsPathId", &path)];
    parameters.extend(more);
    let begun = cloud.ec2("StartNetworkInsightsAnalysis", &parameters).await.ok();
    assert_eq!(begun.text("status"), "running", "RA-1");
    let id = begun.text("networkInsightsAnalysisId");
    let named = [("NetworkInsightsAnalysisId.1", id.as_str())];
    cloud.ec2("DescribeNetworkInsightsAnalyses", &named).await.ok()
}

/// The ids of the components of one of the two ways.
pub(crate) fn ids(reply: &Reply, way: &str) -> Vec<String> {
    let (open, close) = (format!("<{way}>"), format!("</{way}>"));
    let Some(part) = reply.body.split(&open).nth(1) else { return Vec::new() };
    let part = part.split(&close).next().expect("an end");
    let components = part.split("<component><id>").skip(1);
    components.map(|it| it.split('<').next().expect("an end").to_owned()).collect()
}
