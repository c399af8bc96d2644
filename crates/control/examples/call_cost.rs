//! What calls cost: `cargo run --release -p gureum-control --example call_cost`.
//!
//! Each call goes the whole way, from the wire to the disk of a temporary folder and back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gureum_control::{Config, Control, RecordsOnly};
use gureum_engine::FabricConfig;
use gureum_store::Store;
use http::{HeaderMap, Method, Uri};

const ROUNDS: u32 = 200;

async fn call(control: &Control, action: &str, parameters: &str) -> String {
    let scope = "Credential=111122223333/20210903/ap-northeast-2/ec2/aws4_request";
    let signed = format!("SignedHeaders=host, Signature={}", "0".repeat(64));
    let mut headers = HeaderMap::new();
    let authorization = format!("AWS4-HMAC-SHA256 {scope}, {signed}");
    headers.insert("authorization", authorization.parse().expect("a header"));
    headers.insert("x-amz-date", "20210903T010203Z".parse().expect("a header"));
    let body = format!("Action={action}&Version=2016-11-15{parameters}");
    let uri = Uri::from_static("/");
    let request = gureum_api::route(&Method::POST, &uri, &headers, body.as_bytes());
    let answer = control.handle(request.expect("a request"), "id").await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    String::from_utf8(answer.body().to_vec()).expect("text")
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

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let directory = std::env::temp_dir().join(format!("gureum-cost-{}", std::process::id()));
    let begin = Instant::now();
    let store = Arc::new(Store::open(&directory).expect("a store"));
    let (linux, _events) = RecordsOnly::new();
    let config = Config::new(FabricConfig {
        internet_mac: [2; 6],
        services_mac: [6; 6],
        public_pool: "198.18.0.0/16".parse().expect("a block"),
        ipv6_pool: gureum_types::IPV6_POOL,
    });
    let control = Control::open(store, Arc::new(linux), config);
    call(&control, "DescribeVpcs", "").await;
    report("open and first DescribeVpcs", vec![begin.elapsed()]);
    let vpc = call(&control, "CreateVpc", "&CidrBlock=10.1.0.0/16").await;
    let vpc = element(&vpc, "vpcId").to_owned();
    let (mut groups, mut rules, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let parameters = format!("&GroupName=g{number}&GroupDescription=d&VpcId={vpc}");
        let begin = Instant::now();
        let made = call(&control, "CreateSecurityGroup", &parameters).await;
        groups.push(begin.elapsed());
        let parameters = format!(
            "&GroupId={}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22\
             &IpPermissions.1.ToPort=22&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0",
            element(&made, "groupId")
        );
        let begin = Instant::now();
        call(&control, "AuthorizeSecurityGroupIngress", &parameters).await;
        rules.push(begin.elapsed());
        let begin = Instant::now();
        call(&control, "DescribeVpcs", "").await;
        reads.push(begin.elapsed());
    }
    report("CreateSecurityGroup", groups);
    report("AuthorizeSecurityGroupIngress", rules);
    report("DescribeVpcs", reads);
    drop(control);
    std::fs::remove_dir_all(&directory).expect("the folder goes");
}
