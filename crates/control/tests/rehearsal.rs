//! Calls that are rehearsed: what they would make of the records, and that they make nothing of them.

mod common;

use common::{Cloud, Reply};
use gureum_control::Rehearsal;
use gureum_store::Snapshot;
use gureum_types::{
    InstanceId,
    record::{Instance, InstanceState, NatGateway, NatGatewayState, NetworkInterface, Vpc},
};
use http::{Method, Uri};

/// Rehearses a call of a query service, signed for what the cloud speaks as.
async fn rehearse(
    cloud: &Cloud,
    (service, version): (&str, &str),
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<Rehearsal, Reply> {
    let parameters = parameters.iter().map(|(name, value)| format!("&{name}={value}"));
    let body = format!("Action={action}&Version={version}{}", parameters.collect::<String>());
    let uri = Uri::from_static("/_gureum/preview/");
    let headers = cloud.headers(service);
    let request = gureum_api::route(&Method::POST, &uri, &headers, body.as_bytes());
    let request = request.expect("a request");
    cloud.control.rehearse(&request, &cloud.source, "id").await.map_err(|answer| Reply {
        status: answer.status().as_u16(),
        body: String::from_utf8(answer.into_body().to_vec()).expect("text"),
    })
}

async fn ec2(cloud: &Cloud, action: &str, parameters: &[(&str, &str)]) -> Result<Rehearsal, Reply> {
    rehearse(cloud, ("ec2", "2016-11-15"), action, parameters).await
}

fn instance<'a>(records: &'a Snapshot, id: &str) -> Option<&'a Instance> {
    let id: InstanceId = id.parse().expect("an id");
    records.referrers::<Instance>(id.as_str()).next().map(AsRef::as_ref)
}

/// API-3: it goes all the way, and its effect is nobody's but the caller's.
#[tokio::test]
async fn what_a_call_would_do_is_told_and_not_done() {
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    let before = cloud.control.snapshot();
    for dry_run in [&[][..], &[("DryRun", "true")]] {
        let parameters = [&[("CidrBlock", "10.9.0.0/16")], dry_run].concat();
        let rehearsal = ec2(&cloud, "CreateVpc", &parameters).await.expect("it would succeed");
        let count = |records: &Snapshot| records.everywhere::<Vpc>().count();
        assert_eq!(count(&rehearsal.before), count(&before));
        assert_eq!(
            count(&rehearsal.after),
            count(&before) + 1,
            "DryRun itself makes no difference"
        );
        assert_eq!(rehearsal.account.as_str(), cloud.account);
    }
    let refused = ec2(&cloud, "DeleteVpc", &[("VpcId", &vpc)]).await.expect_err("it has a subnet");
    assert_eq!(refused.code(), "DependencyViolation");
    let unknown = [("VpcId", "vpc-0ffffffffffffffff")];
    let refused = ec2(&cloud, "DeleteVpc", &unknown).await.expect_err("there is none");
    assert_eq!(refused.refusal(), cloud.ec2("DeleteVpc", &unknown).await.refusal());
    let key = ec2(&cloud, "CreateKeyPair", &[("KeyName", "k")]).await.expect("it would succeed");
    assert!(key.after.revision() > key.before.revision());
    // Another account finds nothing of this one's, and its region stays as untouched as it is.
    let other = cloud.as_seen_by("444455556666", "eu-west-1");
    let refused = ec2(&other, "DeleteVpc", &[("VpcId", &vpc)]).await.expect_err("not theirs");
    assert_eq!(refused.code(), "InvalidVpcID.NotFound");
    ec2(&other, "CreateVpc", &[("CidrBlock", "10.9.0.0/16")]).await.expect("it would succeed");
    assert_eq!(cloud.control.snapshot().revision(), before.revision(), "nothing was written");
}

#[tokio::test]
async fn reads_are_answered_and_other_services_refused() {
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    let answer = ec2(&cloud, "DescribeVpcs", &[("VpcId.1", &vpc)]).await.expect_err("an answer");
    assert_eq!(answer.ok().text("vpcId"), vpc);
    let sts = ("sts", "2011-06-15");
    let refused = rehearse(&cloud, sts, "GetCallerIdentity", &[]).await.expect_err("refused");
    assert_eq!(refused.code(), "UnsupportedOperation");
    assert!(refused.text("Message").contains("ec2 alone: send those of sts"), "{}", refused.body);
}

/// EC2-7, EC2-9, NAT-3: what would be on its way after the call has arrived, and what is on its
/// way already has arrived before it.
#[tokio::test]
async fn what_is_on_its_way_has_arrived() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    let state = |records: &Snapshot| instance(records, &id).map(|it| it.state);
    let stopped = ec2(&cloud, "StopInstances", &[("InstanceId.1", &id)]).await.expect("stopped");
    assert_eq!(state(&stopped.before), Some(InstanceState::Running));
    assert_eq!(state(&stopped.after), Some(InstanceState::Stopped));
    let interfaces = |records: &Snapshot| records.everywhere::<NetworkInterface>().count();
    let terminate = [("InstanceId.1", &*id)];
    let gone = ec2(&cloud, "TerminateInstances", &terminate).await.expect("terminated");
    assert_eq!(state(&gone.after), Some(InstanceState::Terminated));
    assert_eq!((interfaces(&gone.before), interfaces(&gone.after)), (1, 0), "ENI-8");
    let image = cloud.image().await;
    let launch = [
        ("ImageId", &*image),
        ("InstanceType", "t2.micro"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", &*subnet),
    ];
    let launched = ec2(&cloud, "RunInstances", &launch).await.expect("launched");
    let states: Vec<_> = launched.after.everywhere::<Instance>().map(|(_, it)| it.state).collect();
    assert_eq!(states, [InstanceState::Running; 2]);
    let private = [("SubnetId", &*subnet), ("ConnectivityType", "private")];
    let made = ec2(&cloud, "CreateNatGateway", &private).await.expect("made");
    let gateway = made.after.everywhere::<NatGateway>().map(|(_, it)| it).next();
    assert_eq!(gateway.map(|it| it.state), Some(NatGatewayState::Available));
    let now = cloud.control.snapshot();
    assert_eq!((state(&now), interfaces(&now)), (Some(InstanceState::Running), 1));
}
