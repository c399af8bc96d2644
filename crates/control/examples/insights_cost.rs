//! What analyses cost: `cargo run --release -p gureum-control --example insights_cost`.
//!
//! One path among 10,000 interfaces, and access scopes over 500, each call from the wire and back.
//! `GUREUM_INTERFACES` and `GUREUM_SCOPE_INTERFACES` say other numbers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gureum_control::{Config, Control, RecordsOnly};
use gureum_engine::FabricConfig;
use gureum_store::Store;
use http::{HeaderMap, Method, Uri};

/// How often a path is analyzed.
const ROUNDS: usize = 50;
/// Instances of one launch.
const LAUNCH: usize = 50;

struct Cloud {
    control: Control,
    region: &'static str,
    calls: usize,
}

impl Cloud {
    async fn call(&mut self, action: &str, parameters: &str) -> String {
        let scope = format!("Credential=111122223333/20210903/{}/ec2/aws4_request", self.region);
        let signed = format!("SignedHeaders=host, Signature={}", "0".repeat(64));
        let mut headers = HeaderMap::new();
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, {signed}");
        headers.insert("authorization", authorization.parse().expect("a header"));
        headers.insert("x-amz-date", "20210903T010203Z".parse().expect("a header"));
        self.calls += 1;
        let token = match action.contains("NetworkInsights") && !action.starts_with("Describe") {
            true => format!("&ClientToken=token-{}", self.calls),
            false => String::new(),
        };
        let body = format!("Action={action}&Version=2016-11-15{parameters}{token}");
        let uri = Uri::from_static("/");
        let request = gureum_api::route(&Method::POST, &uri, &headers, body.as_bytes());
        let answer = self.control.handle(request.expect("a request"), "id").await;
        assert_eq!(answer.status(), 200, "{action}: {:?}", answer.body());
        String::from_utf8(answer.body().to_vec()).expect("text")
    }

    async fn make(&mut self, action: &str, parameters: &str, name: &str) -> String {
        element(&self.call(action, parameters).await, name).to_owned()
    }

    /// A VPC with an internet gateway and so many instances, a group for each launch. The ids of
    /// the gateway, the VPC, and the first and the last instance.
    async fn network(&mut self, interfaces: usize) -> [String; 4] {
        let vpc = self.make("CreateVpc", "&CidrBlock=10.1.0.0/16", "vpcId").await;
        let gateway = self.make("CreateInternetGateway", "", "internetGatewayId").await;
        let tie = format!("&InternetGatewayId={gateway}&VpcId={vpc}");
        self.call("AttachInternetGateway", &tie).await;
        let named = format!("&Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}");
        let table = self.make("DescribeRouteTables", &named, "routeTableId").await;
        let route =
            format!("&RouteTableId={table}&DestinationCidrBlock=0.0.0.0%2F0&GatewayId={gateway}");
        self.call("CreateRoute", &route).await;
        let mut subnets = Vec::new();
        for number in 0..4 {
            let subnet = format!("&VpcId={vpc}&CidrBlock=10.1.{}.0%2F20", number * 16);
            subnets.push(self.make("CreateSubnet", &subnet, "subnetId").await);
        }
        let image = "&Filter.1.Name=name&Filter.1.Value.1=amzn2-ami-hvm-%2A";
        let image = self.make("DescribeImages", image, "imageId").await;
        let (mut first, mut last) = (None, String::new());
        for launch in 0..interfaces.div_ceil(LAUNCH) {
            let group = format!("&GroupName=g{launch}&GroupDescription=d&VpcId={vpc}");
            let group = self.make("CreateSecurityGroup", &group, "groupId").await;
            for port in [22, 80 + launch % 7] {
                let rule = format!(
                    "&GroupId={group}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort={port}\
                     &IpPermissions.1.ToPort={port}&IpPermissions.1.IpRanges.1.CidrIp=10.1.0.0%2F16"
                );
                self.call("AuthorizeSecurityGroupIngress", &rule).await;
            }
            let subnet = &subnets[launch % subnets.len()];
            let run = format!(
                "&ImageId={image}&MinCount={LAUNCH}&MaxCount={LAUNCH}&SubnetId={subnet}\
                 &SecurityGroupId.1={group}"
            );
            last = self.make("RunInstances", &run, "instanceId").await;
            first.get_or_insert(last.clone());
        }
        [gateway, vpc, first.unwrap_or_default(), last]
    }

    async fn scope(&mut self, what: &str, statements: &str) {
        let element = "networkInsightsAccessScopeId";
        let scope = self.make("CreateNetworkInsightsAccessScope", statements, element).await;
        let begin = Instant::now();
        let start = format!("&NetworkInsightsAccessScopeId={scope}");
        self.call("StartNetworkInsightsAccessScopeAnalysis", &start).await;
        let took = begin.elapsed();
        let shown = self.call("DescribeNetworkInsightsAccessScopeAnalyses", &start).await;
        println!(
            "{what:32}     {:8.0} ms, findings: {}, interfaces: {}, {}",
            took.as_secs_f64() * 1e3,
            self::element(&shown, "findingsFound"),
            self::element(&shown, "analyzedEniCount"),
            if shown.contains("<warningMessage>") { "more than are kept" } else { "all kept" },
        );
    }
}

fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let rest = body.split(&open).nth(1).expect("an element");
    rest.split(&close).next().expect("its end")
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("{what:32} p50 {:8.3} ms   p99 {:8.3} ms", at(50), at(99));
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(otherwise)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (linux, _events) = RecordsOnly::new();
    let config = Config::new(FabricConfig {
        internet_mac: [2; 6],
        services_mac: [6; 6],
        public_pool: "198.18.0.0/16".parse().expect("a block"),
        ipv6_pool: gureum_types::IPV6_POOL,
    });
    let control = Control::open(Arc::new(Store::in_memory()), Arc::new(linux), config);
    let mut cloud = Cloud { control, region: "us-east-1", calls: 0 };
    let [_, vpc, ..] = cloud.network(number("GUREUM_SCOPE_INTERFACES", 500)).await;
    let within = format!("&MatchPath.1.Destination.ResourceStatement.Resource.1={vpc}");
    let from_gateway =
        "&MatchPath.1.Source.ResourceStatement.ResourceType.1=AWS::EC2::InternetGateway";
    cloud.scope("scope: internet gateway to VPC", &format!("{within}{from_gateway}")).await;
    let between = format!("&MatchPath.1.Source.ResourceStatement.Resource.1={vpc}");
    let telnet = "&MatchPath.1.Source.PacketHeaderStatement.DestinationPort.1=23";
    cloud.scope("scope: VPC to VPC, port 23", &format!("{within}{between}{telnet}")).await;
    cloud.scope("scope: VPC to VPC, all", &format!("{within}{between}")).await;
    cloud.region = "ap-northeast-2";
    let begin = Instant::now();
    let interfaces = number("GUREUM_INTERFACES", 10_000);
    let [gateway, _, first, last] = cloud.network(interfaces).await;
    println!("{interfaces} interfaces made in {:.1} s", begin.elapsed().as_secs_f64());
    for (what, ends) in [
        ("path: instance to instance", format!("&Source={first}&Destination={last}")),
        ("path: instance to the internet", format!("&Source={first}&Destination={gateway}")),
    ] {
        let path = format!("{ends}&Protocol=tcp&DestinationPort=22");
        let path = cloud.make("CreateNetworkInsightsPath", &path, "networkInsightsPathId").await;
        let start = format!("&NetworkInsightsPathId={path}");
        let begin = Instant::now();
        cloud.call("StartNetworkInsightsAnalysis", &start).await;
        report(&format!("{what}, first"), vec![begin.elapsed()]);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            cloud.call("StartNetworkInsightsAnalysis", &start).await;
            times.push(begin.elapsed());
        }
        report(what, times);
        let shown = cloud.call("DescribeNetworkInsightsAnalyses", &start).await;
        println!("{:32} found: {}", "", element(&shown, "networkPathFound"));
    }
}
