//! Who calls and what they may do: keys, signatures, policies, roles, sessions.

mod common;

use std::time::Duration;

use common::{Cloud, Keys, Reply, Wishes};
use gureum_api::{Operation, Protocol, Signature, Unproven};
use gureum_control::{Refusal, RootKey, Source, SourceEndpoint, Visit, Visited, Visitor};
use gureum_types::AccountId;
use http::{HeaderMap, Method, Uri};

const ACCOUNT: &str = "111122223333";

fn cloud() -> Cloud {
    Cloud::with(Wishes { running: false, ..Wishes::default() })
}

fn allow(action: &str, resource: &str) -> String {
    statement(&format!(r#""Effect":"Allow","Action":"{action}","Resource":"{resource}""#))
}

fn deny(action: &str) -> String {
    statement(&format!(r#""Effect":"Deny","Action":"{action}","Resource":"*""#))
}

/// A policy with one statement.
fn statement(text: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{text}}}]}}"#)
}

fn trust(principal: &str, more: &str) -> String {
    statement(&format!(
        r#""Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Principal":{principal}{more}"#
    ))
}

/// A user with inline policies, and their keys.
async fn user(cloud: &Cloud, name: &str, policies: &[String]) -> Keys {
    cloud.iam("CreateUser", &[("UserName", name)]).await.ok();
    for (number, policy) in policies.iter().enumerate() {
        put_policy(cloud, name, &format!("p{number}"), policy).await;
    }
    Keys::of(&cloud.iam("CreateAccessKey", &[("UserName", name)]).await.ok())
}

async fn put_policy(cloud: &Cloud, user: &str, name: &str, policy: &str) {
    let parameters = [("UserName", user), ("PolicyName", name), ("PolicyDocument", policy)];
    cloud.iam("PutUserPolicy", &parameters).await.ok();
}

async fn role(cloud: &Cloud, name: &str, trust: &str, policies: &[String]) -> String {
    let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
    cloud.iam("CreateRole", &parameters).await.ok();
    for (number, policy) in policies.iter().enumerate() {
        let number = format!("p{number}");
        let parameters =
            [("RoleName", name), ("PolicyName", number.as_str()), ("PolicyDocument", policy)];
        cloud.iam("PutRolePolicy", &parameters).await.ok();
    }
    format!("arn:aws:iam::{}:role/{name}", cloud.account)
}

async fn assume(cloud: &Cloud, role: &str, more: &[(&str, &str)]) -> Reply {
    let mut parameters = vec![("RoleArn", role), ("RoleSessionName", "work")];
    parameters.extend(more);
    cloud.sts("AssumeRole", &parameters).await
}

/// A request of any operation without parameters.
async fn bare(cloud: &Cloud, operation: Operation) -> Reply {
    let info = operation.service().info();
    if info.protocol != Protocol::AwsJson11 {
        return cloud.query(info.signing_name, info.version, operation.name(), &[]).await;
    }
    let mut headers = cloud.headers(info.signing_name);
    let target = format!("{}.{}", info.target_prefix, operation.name());
    headers.insert("x-amz-target", target.parse().expect("a header"));
    cloud.send(info.signing_name, headers, b"{}").await
}

/// The code of a refusal in any protocol.
fn code(reply: &Reply) -> String {
    assert_ne!(reply.status, 200, "{}", reply.body);
    match reply.get("Code") {
        Some(code) => code.to_owned(),
        None => {
            let rest = reply.body.split("\"__type\":\"").nth(1).expect(&reply.body);
            rest.split('"').next().expect("a code").to_owned()
        }
    }
}

#[tokio::test]
async fn a_key_that_was_issued_is_verified_and_tells_who_calls() {
    let cloud = cloud();
    let keys = user(&cloud, "mina", &[]).await;
    let mina = cloud.with_keys(&keys);
    let caller = mina.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(caller.text("Arn"), format!("arn:aws:iam::{ACCOUNT}:user/mina"));
    assert!(caller.text("UserId").starts_with("AIDA"));
    // The key finds its account, whatever the account of others is.
    let elsewhere = cloud.as_seen_by("999999999999", "eu-west-1").with_keys(&keys);
    assert_eq!(elsewhere.sts("GetCallerIdentity", &[]).await.ok().text("Account"), ACCOUNT);

    let wrong = cloud.with_keys(&Keys { secret: "x".repeat(40), ..keys.clone() });
    let protocols = [
        (wrong.ec2("DescribeVpcs", &[]).await, 401, "AuthFailure"),
        (wrong.sts("GetCallerIdentity", &[]).await, 403, "SignatureDoesNotMatch"),
        (wrong.ssm("GetParameters", r#"{"Names":["a"]}"#).await, 400, "InvalidSignatureException"),
    ];
    for (reply, status, expected) in protocols {
        assert_eq!((reply.status, code(&reply).as_str()), (status, expected));
    }
    let inactive = [("UserName", "mina"), ("AccessKeyId", &keys.id), ("Status", "Inactive")];
    cloud.iam("UpdateAccessKey", &inactive).await.ok();
    assert_eq!(code(&mina.sts("GetCallerIdentity", &[]).await), "InvalidClientTokenId");
    // One that is no more does not make its holder the root user.
    cloud.iam("DeleteAccessKey", &inactive[..2]).await.ok();
    assert_eq!(code(&mina.sts("GetCallerIdentity", &[]).await), "InvalidClientTokenId");
    assert_eq!(code(&mina.ec2("DescribeVpcs", &[]).await), "AuthFailure");
    assert_eq!(
        code(&mina.ssm("GetParameters", r#"{"Names":["a"]}"#).await),
        "UnrecognizedClientException"
    );
}

#[tokio::test]
async fn what_was_altered_or_is_too_old_is_refused() {
    let cloud = cloud();
    let keys = user(&cloud, "mina", &[allow("*", "*")]).await;
    let mina = cloud.with_keys(&keys);
    let known = cloud.headers("sts");
    let body = b"Action=GetCallerIdentity&Version=2011-06-15";
    // Signed, then sent otherwise.
    let signed = mina.signed("sts", known, body);
    assert_eq!(mina.send_as_it_is(signed.clone(), body).await.ok().status, 200);
    assert_eq!(mina.send_as_it_is(signed.clone(), body).await.ok().status, 200, "replayed");
    let altered = b"Action=GetCallerIdentity&Version=2011-06-15&x=y";
    assert_eq!(code(&mina.send_as_it_is(signed.clone(), altered).await), "SignatureDoesNotMatch");
    let mut other = signed.clone();
    other.insert("host", "sts.us-east-1.amazonaws.com".parse().expect("a header"));
    assert_eq!(code(&mina.send_as_it_is(other, body).await), "SignatureDoesNotMatch");
    let mut added = signed.clone();
    added.insert("x-amz-security-token", "t".parse().expect("a header"));
    let refused = mina.send_as_it_is(added, body).await;
    assert!(refused.text("Message").contains("must be a 'SignedHeader'"), "{}", refused.body);
    cloud.advance(Duration::from_secs(15 * 60));
    assert_eq!(mina.send_as_it_is(signed.clone(), body).await.ok().status, 200, "just in time");
    cloud.advance(Duration::from_secs(1));
    let late = mina.send_as_it_is(signed, body).await;
    assert_eq!(code(&late), "SignatureDoesNotMatch");
    assert!(late.text("Message").starts_with("Signature expired: 20210903T010203Z is now earlier"));
    let ec2 = b"Action=DescribeVpcs&Version=2016-11-15";
    let old = mina.signed("ec2", cloud.headers("ec2"), ec2);
    cloud.advance(Duration::from_secs(16 * 60));
    assert_eq!(code(&mina.send_as_it_is(old, ec2).await), "RequestExpired");
}

#[tokio::test]
async fn every_operation_is_denied_to_who_is_not_allowed_it() {
    let cloud = cloud();
    let nobody = cloud.with_keys(&user(&cloud, "nobody", &[]).await);
    let denied = cloud.with_keys(&user(&cloud, "denied", &[allow("*", "*"), deny("*")]).await);
    let everybody = ["GetCallerIdentity", "GetSessionToken"];
    let before = cloud.control.snapshot().revision();
    let mut asked = 0;
    for operation in Operation::all().filter(|it| !everybody.contains(&it.name())) {
        let info = operation.service().info();
        let (status, expected) = match info.protocol {
            Protocol::Ec2Query => (403, "UnauthorizedOperation"),
            Protocol::AwsQuery => (403, "AccessDenied"),
            Protocol::AwsJson11 => (400, "AccessDeniedException"),
        };
        for (caller, why) in [
            (&nobody, "because no identity-based policy allows the "),
            (&denied, "with an explicit deny in an identity-based policy"),
        ] {
            let reply = bare(caller, operation).await;
            assert_eq!((reply.status, code(&reply).as_str()), (status, expected), "{operation:?}");
            assert!(reply.body.contains(why), "{operation:?}: {}", reply.body);
            let action = format!("{}:{}", info.signing_name, operation.name());
            let names = reply.body.contains(&format!("not authorized to perform: {action}"));
            assert!(names, "{operation:?}: {}", reply.body);
            asked += 1;
        }
    }
    assert!(asked > 200, "{asked}");
    assert_eq!(cloud.control.snapshot().revision(), before, "what is denied changes nothing");
    for (operation, parameters) in [("GetCallerIdentity", &[][..]), ("GetSessionToken", &[][..])] {
        denied.sts(operation, parameters).await.ok();
    }
}

#[tokio::test]
async fn a_reader_reads_and_changes_nothing() {
    let cloud = cloud();
    let keys = user(&cloud, "reader", &[]).await;
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let attach = [("UserName", "reader"), ("PolicyArn", arn)];
    cloud.iam("AttachUserPolicy", &attach).await.ok();
    let reader = cloud.with_keys(&keys);
    reader.ec2("DescribeVpcs", &[]).await.ok();
    let create = [("CidrBlock", "10.1.0.0/16")];
    let before = cloud.control.snapshot().revision();
    let refused = reader.ec2("CreateVpc", &create).await;
    let (found, message) = refused.refusal();
    assert_eq!((found.as_str(), refused.status), ("UnauthorizedOperation", 403), "API-3");
    let sentence = format!(
        "You are not authorized to perform this operation. User: \
         arn:aws:iam::{ACCOUNT}:user/reader is not authorized to perform: ec2:CreateVpc on \
         resource: arn:aws:ec2:ap-northeast-2:{ACCOUNT}:vpc/* because no identity-based policy \
         allows the ec2:CreateVpc action. Encoded authorization failure message: "
    );
    assert!(message.starts_with(&sentence), "{message}");
    // A rehearsal is refused alike; what is allowed would have succeeded (API-3).
    let rehearsal = [create[0], ("DryRun", "true")];
    assert_eq!(code(&reader.ec2("CreateVpc", &rehearsal).await), "UnauthorizedOperation");
    assert_eq!(cloud.control.snapshot().revision(), before);
    let encoded = message.rsplit(' ').next().expect("a message");
    let decoded = cloud.sts("DecodeAuthorizationMessage", &[("EncodedMessage", encoded)]).await;
    assert!(decoded.ok().text("DecodedMessage").contains("ec2:CreateVpc"));
    let other = cloud.sts("DecodeAuthorizationMessage", &[("EncodedMessage", "eA==")]).await;
    assert_eq!(code(&other), "InvalidAuthorizationMessageException");
    put_policy(&cloud, "reader", "more", &allow("ec2:CreateVpc", "*")).await;
    assert_eq!(code(&reader.ec2("CreateVpc", &rehearsal).await), "DryRunOperation", "API-3");
    reader.ec2("CreateVpc", &create).await.ok();
    put_policy(&cloud, "reader", "less", &deny("ec2:Create*")).await;
    let refused = reader.ec2("CreateVpc", &create).await.refusal();
    assert!(refused.1.contains("with an explicit deny in an identity-based policy"));
}

#[tokio::test]
async fn groups_and_boundaries_count_too() {
    let cloud = cloud();
    let mina = cloud.with_keys(&user(&cloud, "mina", &[]).await);
    cloud.iam("CreateGroup", &[("GroupName", "ops")]).await.ok();
    let all = allow("ec2:*", "*");
    let policy = [("GroupName", "ops"), ("PolicyName", "p"), ("PolicyDocument", all.as_str())];
    cloud.iam("PutGroupPolicy", &policy).await.ok();
    assert_eq!(code(&mina.ec2("DescribeVpcs", &[]).await), "UnauthorizedOperation");
    cloud.iam("AddUserToGroup", &[("GroupName", "ops"), ("UserName", "mina")]).await.ok();
    mina.ec2("DescribeVpcs", &[]).await.ok();
    let document = allow("ec2:Describe*", "*");
    let bound = [("PolicyName", "bound"), ("PolicyDocument", document.as_str())];
    let arn = cloud.iam("CreatePolicy", &bound).await.ok().text("Arn");
    let boundary = [("UserName", "mina"), ("PermissionsBoundary", arn.as_str())];
    cloud.iam("PutUserPermissionsBoundary", &boundary).await.ok();
    mina.ec2("DescribeVpcs", &[]).await.ok();
    let refused = mina.ec2("CreateVpc", &[("CidrBlock", "10.1.0.0/16")]).await.refusal().1;
    assert!(refused.contains("because no permissions boundary allows the ec2:CreateVpc action"));
}

#[tokio::test]
async fn resources_are_told_by_their_ids_tags_and_places() {
    let cloud = cloud();
    let (vpc, subnet) = cloud.network().await;
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId").await;
    let tag = |id: &str, value: &str| {
        [
            ("ResourceId.1", id.to_owned()),
            ("Tag.1.Key", "team".into()),
            ("Tag.1.Value", value.into()),
        ]
    };
    for (id, value) in [(&vpc, "red"), (&subnet, "red"), (&other, "blue")] {
        let tag = tag(id, value);
        let tag: Vec<_> = tag.iter().map(|(name, value)| (*name, value.as_str())).collect();
        cloud.ec2("CreateTags", &tag).await.ok();
    }
    let by_tag = statement(
        r#""Effect":"Allow","Action":"ec2:*","Resource":"*",
           "Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}"#,
    );
    let red = cloud.with_keys(&user(&cloud, "red", &[by_tag]).await);
    let rename = |id: &str| {
        let id = id.to_owned();
        async move { vec![("VpcId".to_owned(), id), ("EnableDnsHostnames.Value".into(), "true".into())] }
    };
    for (id, allowed) in [(&vpc, true), (&other, false)] {
        let parameters = rename(id).await;
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = red.ec2("ModifyVpcAttribute", &parameters).await;
        assert_eq!(reply.status == 200, allowed, "{}", reply.body);
    }
    // Interfaces may be made in that VPC alone, and only with the tag.
    let in_vpc = statement(&format!(
        r#""Effect":"Allow","Action":"ec2:CreateNetworkInterface","Resource":"*",
           "Condition":{{"ArnLikeIfExists":{{"ec2:Vpc":"arn:aws:ec2:*:*:vpc/{vpc}"}}}}"#
    ));
    let tags = statement(
        r#""Effect":"Allow","Action":"ec2:CreateTags","Resource":"*",
           "Condition":{"StringEquals":{"ec2:CreateAction":"CreateNetworkInterface",
                                        "aws:RequestTag/team":"red"},
                        "ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}"#,
    );
    let maker = cloud.with_keys(&user(&cloud, "maker", &[in_vpc, tags]).await);
    let elsewhere = cloud.subnet(&other, "10.2.1.0/24", "ap-northeast-2a").await;
    let tagged = |subnet: &str, key: &str, value: &str| {
        [
            ("SubnetId", subnet.to_owned()),
            ("TagSpecification.1.ResourceType", "network-interface".into()),
            ("TagSpecification.1.Tag.1.Key", key.into()),
            ("TagSpecification.1.Tag.1.Value", value.into()),
        ]
    };
    for (subnet, key, value, allowed) in [
        (&subnet, "team", "red", true),
        (&subnet, "team", "blue", false),
        (&subnet, "other", "red", false),
        (&elsewhere, "team", "red", false),
    ] {
        let parameters = tagged(subnet, key, value);
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let reply = maker.ec2("CreateNetworkInterface", &parameters).await;
        assert_eq!(reply.status == 200, allowed, "{key}={value}: {}", reply.body);
    }
    let later = tag(&subnet, "red");
    let later: Vec<_> = later.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = maker.ec2("CreateTags", &later).await;
    assert_eq!(code(&refused), "UnauthorizedOperation", "on creation only");
}

#[tokio::test]
async fn a_role_is_handed_to_a_service_only_by_who_may_pass_it() {
    let cloud = cloud();
    let (_, subnet) = cloud.network().await;
    let image = cloud.image().await;
    let ec2 = r#"{"Service":"ec2.amazonaws.com"}"#;
    let arn = role(&cloud, "web", &trust(ec2, ""), &[]).await;
    cloud.iam("CreateInstanceProfile", &[("InstanceProfileName", "web")]).await.ok();
    let add = [("InstanceProfileName", "web"), ("RoleName", "web")];
    cloud.iam("AddRoleToInstanceProfile", &add).await.ok();
    let launcher = cloud.with_keys(&user(&cloud, "launcher", &[allow("ec2:*", "*")]).await);
    let launch = [
        ("ImageId", image.as_str()),
        ("InstanceType", "t3.micro"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", subnet.as_str()),
        ("IamInstanceProfile.Name", "web"),
    ];
    let refused = launcher.ec2("RunInstances", &launch).await.refusal().1;
    assert!(refused.contains(&format!("iam:PassRole on resource: {arn}")), "{refused}");
    let pass = statement(&format!(
        r#""Effect":"Allow","Action":"iam:PassRole","Resource":"{arn}",
           "Condition":{{"StringEquals":{{"iam:PassedToService":"ec2.amazonaws.com"}}}}"#
    ));
    put_policy(&cloud, "launcher", "pass", &pass).await;
    launcher.ec2("RunInstances", &launch).await.ok();
    let small = statement(
        r#""Effect":"Deny","Action":"ec2:RunInstances","Resource":"arn:aws:ec2:*:*:instance/*",
           "Condition":{"StringNotEquals":{"ec2:InstanceType":"t3.nano"}}"#,
    );
    put_policy(&cloud, "launcher", "small", &small).await;
    let refused = launcher.ec2("RunInstances", &launch).await.refusal().1;
    assert!(refused.contains("explicit deny"), "{refused}");
    let nano: Vec<_> = launch
        .iter()
        .map(|(n, v)| (*n, if *n == "InstanceType" { "t3.nano" } else { v }))
        .collect();
    launcher.ec2("RunInstances", &nano).await.ok();
}

#[tokio::test]
async fn a_flow_log_needs_leave_to_pass_the_role_that_it_delivers_with() {
    let cloud = cloud();
    let trusted = trust(r#"{"Service":"vpc-flow-logs.amazonaws.com"}"#, "");
    let arn = role(&cloud, "deliver", &trusted, &[]).await;
    let keys = user(&cloud, "logger", &[allow("ec2:*", "*"), allow("logs:*", "*")]).await;
    let logger = cloud.with_keys(&keys);
    let vpc = cloud.ec2("CreateVpc", &[("CidrBlock", "10.9.0.0/16")]).await.ok();
    let vpc = vpc.text("vpcId");
    let create = [
        ("ResourceType", "VPC"),
        ("ResourceId.1", vpc.as_str()),
        ("TrafficType", "ALL"),
        ("LogGroupName", "/flow"),
        ("DeliverLogsPermissionArn", arn.as_str()),
    ];
    let refused = logger.ec2("CreateFlowLogs", &create).await.refusal().1;
    assert!(refused.contains(&format!("iam:PassRole on resource: {arn}")), "{refused}");
    let pass = statement(&format!(
        r#""Effect":"Allow","Action":"iam:PassRole","Resource":"{arn}",
           "Condition":{{"StringEquals":{{"iam:PassedToService":"vpc-flow-logs.amazonaws.com"}}}}"#
    ));
    put_policy(&cloud, "logger", "pass", &pass).await;
    logger.ec2("CreateFlowLogs", &create).await.ok();
}

/// An analysis is on its path and on itself; the ends of a path are not asked for.
#[tokio::test]
async fn a_path_is_analyzed_by_who_may_use_it() {
    let cloud = cloud();
    let keys = user(&cloud, "mina", &[allow("ec2:Describe*", "*")]).await;
    let mina = cloud.with_keys(&keys);
    let ends = async |cloud: &Cloud| {
        let made = cloud.ec2("CreateInternetGateway", &[]).await.ok();
        made.text("internetGatewayId")
    };
    let (source, destination) = (ends(&cloud).await, ends(&cloud).await);
    let create = [
        ("ClientToken", "one"),
        ("Source", source.as_str()),
        ("Destination", destination.as_str()),
        ("Protocol", "tcp"),
        ("TagSpecification.1.ResourceType", "network-insights-path"),
        ("TagSpecification.1.Tag.1.Key", "team"),
        ("TagSpecification.1.Tag.1.Value", "red"),
    ];
    let refused = mina.ec2("CreateNetworkInsightsPath", &create).await.refusal().0;
    assert_eq!(refused, "UnauthorizedOperation");
    let path = format!("arn:aws:ec2:ap-northeast-2:{ACCOUNT}:network-insights-path/*");
    let own = [allow("ec2:CreateNetworkInsightsPath", &path), allow("ec2:CreateTags", &path)];
    put_policy(&cloud, "mina", "create", &own[0]).await;
    put_policy(&cloud, "mina", "tags", &own[1]).await;
    let made = mina.ec2("CreateNetworkInsightsPath", &create).await.ok();
    let id = made.text("networkInsightsPathId");
    let start = [("ClientToken", "two"), ("NetworkInsightsPathId", id.as_str())];
    let refused = mina.ec2("StartNetworkInsightsAnalysis", &start).await.refusal().0;
    assert_eq!(refused, "UnauthorizedOperation");
    let of_team = |team: &str| {
        statement(&format!(
            r#""Effect":"Allow","Action":"ec2:StartNetworkInsightsAnalysis","Resource":"{path}",
               "Condition":{{"StringEquals":{{"aws:ResourceTag/team":"{team}"}}}}"#
        ))
    };
    let analysis = format!("arn:aws:ec2:ap-northeast-2:{ACCOUNT}:network-insights-analysis/*");
    let start_any = allow("ec2:StartNetworkInsightsAnalysis", &analysis);
    put_policy(&cloud, "mina", "start", &start_any).await;
    put_policy(&cloud, "mina", "paths", &of_team("blue")).await;
    let refused = mina.ec2("StartNetworkInsightsAnalysis", &start).await.refusal().0;
    assert_eq!(refused, "UnauthorizedOperation");
    put_policy(&cloud, "mina", "paths", &of_team("red")).await;
    mina.ec2("StartNetworkInsightsAnalysis", &start).await.ok();
}

#[tokio::test]
async fn a_role_is_assumed_as_its_trust_policy_says() {
    let cloud = cloud();
    let allowed = [allow("sts:AssumeRole", "*")];
    let (mina, jisu) = (user(&cloud, "mina", &allowed).await, user(&cloud, "jisu", &[]).await);
    let (mina, jisu) = (cloud.with_keys(&mina), cloud.with_keys(&jisu));
    let account = format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}"#);
    let by_account =
        role(&cloud, "all", &trust(&account, ""), &[allow("ec2:Describe*", "*")]).await;
    let only = format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:user/jisu"}}"#);
    let external = r#","Condition":{"StringEquals":{"sts:ExternalId":"secret"}}"#;
    let named = role(&cloud, "named", &trust(&only, external), &[]).await;

    // The account is trusted: one's own policies must allow it too.
    assert_eq!(code(&assume(&jisu, &by_account, &[]).await), "AccessDenied");
    let assumed = assume(&mina, &by_account, &[("DurationSeconds", "900")]).await.ok();
    assert_eq!(assumed.text("Arn"), format!("arn:aws:sts::{ACCOUNT}:assumed-role/all/work"));
    let session = cloud.with_keys(&Keys::of(&assumed));
    let caller = session.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(caller.text("Arn"), assumed.text("Arn"));
    assert_eq!(caller.text("UserId"), assumed.text("AssumedRoleId"));
    session.ec2("DescribeVpcs", &[]).await.ok();
    let refused = session.ec2("CreateInternetGateway", &[]).await.refusal().1;
    assert!(refused.contains(&format!("User: {} is not authorized", assumed.text("Arn"))));

    // One who is named needs nobody else's leave, but what the policy asks for.
    assert_eq!(code(&assume(&jisu, &named, &[]).await), "AccessDenied");
    assume(&jisu, &named, &[("ExternalId", "secret")]).await.ok();
    assert_eq!(code(&assume(&mina, &named, &[("ExternalId", "secret")]).await), "AccessDenied");
    let missing = format!("arn:aws:iam::{ACCOUNT}:role/missing");
    let refused = assume(&mina, &missing, &[]).await;
    assert_eq!(code(&refused), "AccessDenied", "nobody learns which roles there are");

    // Who has a key that nobody issued is the root user, whom the account's trust means.
    assume(&cloud, &by_account, &[]).await.ok();
    assert_eq!(code(&assume(&cloud, &named, &[("ExternalId", "secret")]).await), "AccessDenied");

    for (parameters, message) in [
        ([("DurationSeconds", "7200")], "exceeds the MaxSessionDuration set for this role"),
        ([("Policy", "{}")], "Syntax errors in policy."),
    ] {
        let refused = assume(&mina, &by_account, &parameters).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.text("Message").contains(message), "{}", refused.body);
    }
    let name = [("RoleArn", by_account.as_str()), ("RoleSessionName", "a b")];
    assert_eq!(code(&mina.sts("AssumeRole", &name).await), "ValidationError");
}

#[tokio::test]
async fn a_session_ends_and_is_bounded_by_its_policy() {
    let cloud = cloud();
    let account = format!(r#"{{"AWS":"{ACCOUNT}"}}"#);
    let arn = role(&cloud, "ops", &trust(&account, ""), &[allow("*", "*")]).await;
    let policy = allow("ec2:Describe*", "*");
    let bounded =
        assume(&cloud, &arn, &[("Policy", &policy), ("DurationSeconds", "900")]).await.ok();
    let keys = Keys::of(&bounded);
    let session = cloud.with_keys(&keys);
    session.ec2("DescribeVpcs", &[]).await.ok();
    let refused = session.ec2("CreateInternetGateway", &[]).await.refusal().1;
    assert!(refused.contains("because no session policy allows the"), "{refused}");
    let without = cloud.with_keys(&Keys { token: None, ..keys.clone() });
    assert_eq!(code(&without.sts("GetCallerIdentity", &[]).await), "InvalidClientTokenId");
    let other = cloud.with_keys(&Keys { token: Some("other".into()), ..keys.clone() });
    assert_eq!(code(&other.ec2("DescribeVpcs", &[]).await), "AuthFailure");

    // By a role one comes to another, for an hour at most.
    let free = cloud.with_keys(&Keys::of(&assume(&cloud, &arn, &[]).await.ok()));
    let own = format!(r#"{{"AWS":"{arn}"}}"#);
    let next = role(&cloud, "next", &trust(&own, ""), &[]).await;
    assume(&free, &next, &[]).await.ok();
    let refused = assume(&free, &next, &[("DurationSeconds", "3601")]).await;
    assert!(refused.text("Message").contains("role chaining"), "{}", refused.body);

    cloud.advance(Duration::from_secs(899));
    session.ec2("DescribeVpcs", &[]).await.ok();
    cloud.advance(Duration::from_secs(1));
    assert_eq!(code(&session.ec2("DescribeVpcs", &[]).await), "RequestExpired");
    assert_eq!(code(&session.sts("GetCallerIdentity", &[]).await), "ExpiredToken");
    let names = r#"{"Names":["a"]}"#;
    assert_eq!(code(&session.ssm("GetParameters", names).await), "ExpiredTokenException");
    // Another role of that name is not the one that was assumed.
    cloud.iam("DeleteRolePolicy", &[("RoleName", "ops"), ("PolicyName", "p0")]).await.ok();
    cloud.iam("DeleteRole", &[("RoleName", "ops")]).await.ok();
    role(&cloud, "ops", &trust(&account, ""), &[allow("*", "*")]).await;
    assert_eq!(code(&free.ec2("DescribeVpcs", &[]).await), "AuthFailure");
}

#[tokio::test]
async fn session_tags_are_the_principals() {
    let cloud = cloud();
    let account = format!(r#"{{"AWS":"{ACCOUNT}"}}"#);
    let tagged = statement(
        r#""Effect":"Allow","Action":"ec2:*","Resource":"*",
           "Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}"#,
    );
    let arn = role(&cloud, "ops", &trust(&account, ""), &[tagged]).await;
    for (team, allowed) in [("red", true), ("blue", false)] {
        let tags = [("Tags.member.1.Key", "team"), ("Tags.member.1.Value", team)];
        let session = cloud.with_keys(&Keys::of(&assume(&cloud, &arn, &tags).await.ok()));
        assert_eq!(session.ec2("DescribeVpcs", &[]).await.status == 200, allowed, "{team}");
    }
}

#[tokio::test]
async fn a_role_of_another_account_needs_both() {
    let cloud = cloud();
    let other = cloud.as_seen_by("444455556666", "ap-northeast-2");
    let mina = cloud.with_keys(&user(&cloud, "mina", &[]).await);
    let named = format!(r#"{{"AWS":"arn:aws:iam::{ACCOUNT}:user/mina"}}"#);
    let arn = role(&other, "guest", &trust(&named, ""), &[allow("ec2:*", "*")]).await;
    assert_eq!(code(&assume(&mina, &arn, &[]).await), "AccessDenied");
    put_policy(&cloud, "mina", "p", &allow("sts:AssumeRole", &arn)).await;
    let guest = cloud.with_keys(&Keys::of(&assume(&mina, &arn, &[]).await.ok()));
    assert_eq!(guest.sts("GetCallerIdentity", &[]).await.ok().text("Account"), "444455556666");
    let vpc = guest.make("CreateVpc", &[("CidrBlock", "10.9.0.0/16")], "vpcId").await;
    other.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await.ok();
    assert_eq!(
        code(&cloud.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await),
        "InvalidVpcID.NotFound"
    );
}

#[tokio::test]
async fn users_get_sessions_of_their_own_and_for_others() {
    let cloud = cloud();
    let keys = user(&cloud, "mina", &[allow("ec2:*", "*"), allow("sts:*", "*")]).await;
    let mina = cloud.with_keys(&keys);
    let own = mina.sts("GetSessionToken", &[("DurationSeconds", "900")]).await.ok();
    let own = cloud.with_keys(&Keys::of(&own));
    let caller = own.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(caller.text("Arn"), format!("arn:aws:iam::{ACCOUNT}:user/mina"));
    own.ec2("DescribeVpcs", &[]).await.ok();
    assert_eq!(code(&own.sts("GetSessionToken", &[]).await), "AccessDenied");
    assert_eq!(code(&own.iam("ListUsers", &[]).await), "InvalidClientTokenId");

    let policy = allow("ec2:DescribeVpcs", "*");
    let federated = [("Name", "guest"), ("Policy", policy.as_str())];
    let guest = mina.sts("GetFederationToken", &federated).await.ok();
    assert_eq!(guest.text("FederatedUserId"), format!("{ACCOUNT}:guest"));
    let guest = cloud.with_keys(&Keys::of(&guest));
    guest.ec2("DescribeVpcs", &[]).await.ok();
    assert_eq!(code(&guest.ec2("DescribeSubnets", &[]).await), "UnauthorizedOperation");
    let nothing = mina.sts("GetFederationToken", &[("Name", "guest")]).await.ok();
    let nothing = cloud.with_keys(&Keys::of(&nothing));
    assert_eq!(code(&nothing.ec2("DescribeVpcs", &[]).await), "UnauthorizedOperation");

    let info = cloud.sts("GetAccessKeyInfo", &[("AccessKeyId", &keys.id)]).await.ok();
    assert_eq!(info.text("Account"), ACCOUNT);
    let foreign = [("AccessKeyId", "AKIAIOSFODNN7EXAMPLE")];
    assert_eq!(code(&cloud.sts("GetAccessKeyInfo", &foreign).await), "ValidationError");
}

#[tokio::test]
async fn a_user_who_is_not_named_is_who_calls() {
    let cloud = cloud();
    let own = statement(
        r#""Effect":"Allow","Action":["iam:GetUser","iam:*AccessKey*"],
           "Resource":"arn:aws:iam::*:user/${aws:username}""#,
    );
    let mina = cloud.with_keys(&user(&cloud, "mina", &[own]).await);
    user(&cloud, "jisu", &[]).await;
    assert_eq!(mina.iam("GetUser", &[]).await.ok().text("UserName"), "mina");
    assert_eq!(mina.iam("ListAccessKeys", &[]).await.ok().text("UserName"), "mina");
    mina.iam("CreateAccessKey", &[]).await.ok();
    let refused = mina.iam("CreateAccessKey", &[("UserName", "jisu")]).await;
    assert_eq!(code(&refused), "AccessDenied");
    let sentence = format!("on resource: arn:aws:iam::{ACCOUNT}:user/jisu because");
    assert!(refused.text("Message").contains(&sentence), "{}", refused.body);
}

#[tokio::test]
async fn an_endpoint_lets_through_what_its_policy_says() {
    let cloud = cloud();
    let vpc = cloud.make("CreateVpc", &[("CidrBlock", "10.1.0.0/16")], "vpcId").await;
    let everybody = r#""Effect":"Allow","Principal":"*","Action":"ec2:Describe*","Resource":"*""#;
    let endpoint = SourceEndpoint {
        vpc: vpc.parse().expect("an id"),
        id: "vpce-0123456789abcdef0".into(),
        policy: Some(statement(everybody)),
    };
    let source = Source {
        address: Some("10.1.0.5".parse().expect("an address")),
        is_secure: true,
        endpoint: Some(endpoint.clone()),
    };
    // Of the root user too.
    let inside = cloud.seen_from(source.clone());
    inside.ec2("DescribeVpcs", &[]).await.ok();
    let refused = inside.ec2("CreateInternetGateway", &[]).await.refusal().1;
    assert!(refused.contains("because no VPC endpoint policy allows the"), "VPCE-13: {refused}");

    let only_from = statement(&format!(
        r#""Effect":"Allow","Action":"*","Resource":"*",
           "Condition":{{"StringEquals":{{"aws:SourceVpc":"{vpc}"}},
                         "IpAddress":{{"aws:VpcSourceIp":"10.1.0.0/24"}},
                         "Bool":{{"aws:SecureTransport":"true"}}}}"#
    ));
    let mina = cloud.with_keys(&user(&cloud, "mina", &[only_from]).await);
    assert_eq!(code(&mina.ec2("DescribeVpcs", &[]).await), "UnauthorizedOperation");
    let open = Source { endpoint: Some(SourceEndpoint { policy: None, ..endpoint }), ..source };
    let through = mina.seen_from(open);
    through.ec2("CreateInternetGateway", &[]).await.ok();

    let from = statement(
        r#""Effect":"Allow","Action":"*","Resource":"*",
           "Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
    );
    let jisu = cloud.with_keys(&user(&cloud, "jisu", &[from]).await);
    for (address, allowed) in [("203.0.113.9", true), ("198.51.100.1", false)] {
        let address = Some(address.parse().expect("an address"));
        let source = Source { address, ..Source::default() };
        let there = jisu.seen_from(source);
        assert_eq!(there.ec2("DescribeVpcs", &[]).await.status == 200, allowed, "{address:?}");
    }
}

#[tokio::test]
async fn where_keys_are_asked_for_nobody_comes_in_without() {
    let root = RootKey { id: "AKIAGUREUMROOT000000".into(), secret: "s".repeat(40) };
    let cloud = Cloud::with(Wishes {
        running: false,
        strict_auth: Some(root.clone()),
        ..Wishes::default()
    });
    let (id, secret) = (root.id, root.secret);
    let stranger = Keys { id: "AKIAIOSFODNN7EXAMPLE".into(), secret: secret.clone(), token: None };
    let stranger = cloud.with_keys(&stranger);
    assert_eq!(code(&stranger.ec2("DescribeVpcs", &[]).await), "AuthFailure");
    assert_eq!(code(&stranger.sts("GetCallerIdentity", &[]).await), "InvalidClientTokenId");
    let first = cloud.with_keys(&Keys { id, secret: secret.clone(), token: None });
    let caller = first.sts("GetCallerIdentity", &[]).await.ok();
    assert!(caller.text("Arn").ends_with(":root"));
    let mina = user(&first, "mina", &[allow("ec2:*", "*")]).await;
    cloud.with_keys(&mina).ec2("DescribeVpcs", &[]).await.ok();
    // An account's number is a key too, with the secret of the first one.
    let other = Keys { id: "000000000042".into(), secret, token: None };
    let account = cloud.with_keys(&other).sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(account.text("Account"), "000000000042");
    let guessed = cloud.with_keys(&Keys { secret: "x".into(), ..other });
    assert_eq!(code(&guessed.sts("GetCallerIdentity", &[]).await), "SignatureDoesNotMatch");
}

/// Who comes to S3 with the cloud's keys.
fn visit(cloud: &Cloud) -> Result<Visitor, Refusal> {
    let headers = match cloud.keys {
        Some(_) => cloud.signed("s3", HeaderMap::new(), b""),
        None => cloud.headers("s3"),
    };
    let uri = Uri::from_static("/");
    let signature = Signature::of_head(&Method::POST, &uri, &headers).expect("well formed");
    let account = AccountId::parse(&cloud.account).expect("an account");
    visit_as(cloud, Visit::Signed(&signature, &account))
}

fn visit_as(cloud: &Cloud, visit: Visit<'_>) -> Result<Visitor, Refusal> {
    let region = cloud.region.parse().expect("a region");
    cloud.control.visitor(visit, &region, Source::default())
}

/// The account of who is let in, or why nobody is.
fn let_in(visitor: Result<Visitor, Refusal>) -> Result<Option<String>, Refusal> {
    visitor.map(|it| it.account().map(|account| account.as_str().to_owned()))
}

#[tokio::test]
async fn keys_that_were_issued_are_verified_at_the_door_of_s3_too() {
    let cloud = cloud();
    let own = Ok(Some(ACCOUNT.to_owned()));
    assert_eq!(let_in(visit(&cloud)), own, "nobody knows the key: the root user");
    let keys = user(&cloud, "mina", &[allow("s3:Get*", "arn:aws:s3:::box/*")]).await;
    let mina = visit(&cloud.with_keys(&keys)).expect("their key");
    let ask = |action, resource| {
        let owner = AccountId::parse(ACCOUNT);
        let owner = owner.as_ref();
        mina.decide(&Visited { action, resource, owner, policy: None, keys: &[] }).is_ok()
    };
    assert!(ask("s3:GetObject", "arn:aws:s3:::box/key"));
    assert!(!ask("s3:PutObject", "arn:aws:s3:::box/key"));
    assert!(!ask("s3:GetObject", "arn:aws:s3:::other/key"));

    let wrong = Keys { secret: "x".repeat(40), ..keys.clone() };
    let refused = Err(Refusal::Unproven(Unproven::Wrong(None)));
    assert_eq!(let_in(visit(&cloud.with_keys(&wrong))), refused);
    let account = AccountId::parse(ACCOUNT).expect("an account");
    let old = |id: &str| let_in(visit_as(&cloud, Visit::Outdated(id, &account)));
    assert_eq!(old(&keys.id), Err(Refusal::Outdated));
    assert_eq!(old("AKIAIOSFODNN7EXAMPLE"), own);
    let parameters = [("UserName", "mina"), ("AccessKeyId", &*keys.id)];
    cloud.iam("DeleteAccessKey", &parameters).await.ok();
    assert_eq!(let_in(visit(&cloud.with_keys(&keys))), Err(Refusal::Unknown));

    let trusted = trust(&format!(r#"{{"AWS":"{ACCOUNT}"}}"#), "");
    let arn = role(&cloud, "guest", &trusted, &[]).await;
    let session = Keys::of(&assume(&cloud, &arn, &[]).await.ok());
    assert_eq!(let_in(visit(&cloud.with_keys(&session))), own);
    let without = Keys { token: None, ..session.clone() };
    assert_eq!(let_in(visit(&cloud.with_keys(&without))), Err(Refusal::Unknown));
    let another = Keys { token: Some("another".into()), ..session };
    assert_eq!(let_in(visit(&cloud.with_keys(&another))), Err(Refusal::Token));
}

#[tokio::test]
async fn only_known_keys_come_in_to_s3_where_strictness_is_wanted() {
    let secret = "0123456789012345678901234567890123456789".to_owned();
    let root = RootKey { id: "AKIAGUREUMROOT000000".into(), secret: secret.clone() };
    let id = root.id.clone();
    let wishes = Wishes { running: false, strict_auth: Some(root), ..Wishes::default() };
    let cloud = Cloud::with(wishes);
    let with = |id: &str, secret: &str| {
        let keys = Keys { id: id.to_owned(), secret: secret.to_owned(), token: None };
        let_in(visit(&cloud.with_keys(&keys)))
    };
    assert_eq!(with(&id, &secret), Ok(Some(ACCOUNT.to_owned())));
    assert_eq!(with(&id, "guessed"), Err(Refusal::Unproven(Unproven::Wrong(None))));
    assert_eq!(with("AKIAIOSFODNN7EXAMPLE", &secret), Err(Refusal::Unknown));
    // Buckets may be open to everybody, and only a bucket's policy can say so.
    let anonymous = visit_as(&cloud, Visit::Anonymous).expect("nobody in particular");
    let owner = AccountId::parse(ACCOUNT);
    let mut visited = Visited {
        action: "s3:GetObject",
        resource: "arn:aws:s3:::box/key",
        owner: owner.as_ref(),
        policy: None,
        keys: &[],
    };
    assert_eq!(anonymous.decide(&visited), Err("Access Denied".to_owned()));
    let open = statement(
        r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*""#,
    );
    visited.policy = Some(&open);
    assert_eq!(anonymous.decide(&visited), Ok(()));
}
