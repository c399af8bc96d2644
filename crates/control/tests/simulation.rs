//! IAM's policy simulator, and what is remembered of the use of keys and roles.

mod common;

use common::{Cloud, Keys, Reply, Wishes};

const ACCOUNT: &str = "111122223333";
const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}},{"Effect":"Deny","Action":"ec2:DeleteVpc","Resource":"arn:aws:ec2:*:*:vpc/vpc-1"}]}"#;
const READ: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
const REGION: [(&str, &str); 3] = [
    ("ContextEntries.member.1.ContextKeyName", "aws:RequestedRegion"),
    ("ContextEntries.member.1.ContextKeyType", "string"),
    ("ContextEntries.member.1.ContextKeyValues.member.1", "us-east-1"),
];

fn quiet() -> Cloud {
    Cloud::with(Wishes { running: false, ..Wishes::default() })
}

fn decisions(reply: &Reply) -> Vec<String> {
    reply.all("EvalDecision")
}

#[tokio::test]
async fn policies_are_tried_out_on_actions_and_resources() {
    let cloud = quiet();
    let mut parameters = vec![
        ("PolicyInputList.member.1", ALLOW),
        ("ActionNames.member.1", "ec2:DeleteVpc"),
        ("ActionNames.member.2", "iam:GetUser"),
        ("ResourceArns.member.1", "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-1"),
        ("ResourceArns.member.2", "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-2"),
    ];
    let unknown = cloud.iam("SimulateCustomPolicy", &parameters).await.ok();
    assert_eq!(
        decisions(&unknown),
        ["explicitDeny", "implicitDeny", "implicitDeny", "implicitDeny"]
    );
    assert!(unknown.body.contains(
        "<MissingContextValues><member>aws:RequestedRegion</member></MissingContextValues>"
    ));
    parameters.extend(REGION);
    let known = cloud.iam("SimulateCustomPolicy", &parameters).await.ok();
    assert_eq!(decisions(&known), ["explicitDeny", "allowed", "implicitDeny", "implicitDeny"]);
    assert_eq!(known.all("SourcePolicyId"), ["PolicyInputList.1", "PolicyInputList.1"]);
    // The statement that allows begins right behind the bracket of the list.
    let column = ALLOW.find("[{").expect("there") + 2;
    let places = known.all("StartPosition");
    assert!(places[1].contains(&format!("<Column>{column}</Column>")), "{places:?}");
    parameters.push(("MaxItems", "3"));
    let page = cloud.iam("SimulateCustomPolicy", &parameters).await.ok();
    assert_eq!((decisions(&page).len(), page.text("IsTruncated")), (3, "true".into()));
    let marker = page.text("Marker");
    parameters.push(("Marker", &marker));
    let rest = cloud.iam("SimulateCustomPolicy", &parameters).await.ok();
    assert_eq!((decisions(&rest).len(), rest.text("IsTruncated")), (1, "false".into()));
}

#[tokio::test]
async fn boundaries_and_resource_policies_have_their_say() {
    let cloud = quiet();
    let all = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let own = [("PolicyInputList.member.1", all), ("ActionNames.member.1", "s3:GetObject")];
    let bounded = |boundary: &'static str| {
        let more = ("PermissionsBoundaryPolicyInputList.member.1", boundary);
        own.into_iter().chain([more]).collect::<Vec<_>>()
    };
    let list = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:List*","Resource":"*"}]}"#;
    let reply = cloud.iam("SimulateCustomPolicy", &bounded(list)).await.ok();
    assert_eq!(decisions(&reply), ["implicitDeny"]);
    assert_eq!(reply.text("AllowedByPermissionsBoundary"), "false");
    let reply = cloud.iam("SimulateCustomPolicy", &bounded(all)).await.ok();
    assert_eq!(
        (decisions(&reply), reply.text("AllowedByPermissionsBoundary")),
        (vec!["allowed".into()], "true".into())
    );
    let bucket = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}"#;
    let caller = ("CallerArn", "arn:aws:iam::111122223333:user/mina");
    let with = [own[0], own[1], ("ResourcePolicy", bucket), caller];
    let reply = cloud.iam("SimulateCustomPolicy", &with).await.ok();
    assert_eq!(
        (decisions(&reply), reply.text("SourcePolicyType")),
        (vec!["explicitDeny".into()], "resource".into())
    );
    for (parameters, message) in [
        (&with[..3], "CallerArn is required"),
        (&[("PolicyInputList.member.1", "{"), own[1]][..], "Syntax errors in policy."),
        (&[own[0], ("ActionNames.member.1", "everything")][..], "Invalid Action Name"),
        (&[own[0], own[1], ("ResourceArns.member.1", "box")][..], "Invalid Resource Arn"),
        (
            &[own[0], own[1], ("ContextEntries.member.1.ContextKeyName", "aws:username")][..],
            "no ContextKeyType",
        ),
    ] {
        let refused = cloud.iam("SimulateCustomPolicy", parameters).await;
        assert_eq!((refused.code().as_str(), refused.status), ("InvalidInput", 400));
        assert!(refused.refusal().1.contains(message), "{}", refused.body);
    }
}

#[tokio::test]
async fn somebody_is_tried_with_all_their_policies() {
    let cloud = quiet();
    let name = ("UserName", "Mina");
    cloud.iam("CreateUser", &[name]).await.ok();
    cloud.iam("CreateGroup", &[("GroupName", "staff")]).await.ok();
    cloud.iam("AddUserToGroup", &[("GroupName", "staff"), name]).await.ok();
    let attach = [("GroupName", "staff"), ("PolicyArn", READ)];
    cloud.iam("AttachGroupPolicy", &attach).await.ok();
    let own = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"arn:aws:iam::*:user/${aws:username}"}}"#;
    let inline = [name, ("PolicyName", "keys"), ("PolicyDocument", own)];
    cloud.iam("PutUserPolicy", &inline).await.ok();
    let arn = format!("arn:aws:iam::{ACCOUNT}:user/Mina");
    let other = format!("arn:aws:iam::{ACCOUNT}:user/Jisu");
    let who = ("PolicySourceArn", arn.as_str());
    let keys = [
        who,
        ("ActionNames.member.1", "iam:CreateAccessKey"),
        ("ResourceArns.member.1", &arn),
        ("ResourceArns.member.2", &other),
    ];
    let reply = cloud.iam("SimulatePrincipalPolicy", &keys).await.ok();
    assert_eq!(decisions(&reply), ["allowed", "implicitDeny"]);
    assert_eq!(
        (reply.text("SourcePolicyId"), reply.text("SourcePolicyType")),
        ("user_Mina_keys".into(), "user".into())
    );
    let read = [who, ("ActionNames.member.1", "ec2:DescribeVpcs")];
    let reply = cloud.iam("SimulatePrincipalPolicy", &read).await.ok();
    assert_eq!(
        (decisions(&reply), reply.text("SourcePolicyType")),
        (vec!["allowed".into()], "aws-managed".into())
    );
    let found = cloud.iam("GetContextKeysForPrincipalPolicy", &[who]).await.ok();
    assert!(found.body.contains("<member>aws:username</member>"), "{}", found.body);
    let found = cloud
        .iam("GetContextKeysForCustomPolicy", &[("PolicyInputList.member.1", ALLOW)])
        .await
        .ok();
    assert_eq!(found.all("member"), ["aws:RequestedRegion"]);
    for (arn, code) in [
        (other.as_str(), "NoSuchEntity"),
        ("arn:aws:iam::444455556666:user/Mina", "NoSuchEntity"),
        ("arn:aws:s3:::a-box-of-mine", "InvalidInput"),
    ] {
        let parameters = [("PolicySourceArn", arn), ("ActionNames.member.1", "s3:GetObject")];
        let refused = cloud.iam("SimulatePrincipalPolicy", &parameters).await;
        assert_eq!(refused.code(), code, "{arn}");
    }
}

#[tokio::test]
async fn the_last_use_of_a_key_and_of_a_role_is_remembered() {
    let cloud = Cloud::new();
    let name = ("UserName", "mina");
    cloud.iam("CreateUser", &[name]).await.ok();
    let attach = [name, ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")];
    cloud.iam("AttachUserPolicy", &attach).await.ok();
    let made = cloud.iam("CreateAccessKey", &[name]).await.ok();
    let keys = Keys::of(&made);
    let id = [("AccessKeyId", keys.id.as_str())];
    let last_used = async || cloud.iam("GetAccessKeyLastUsed", &id).await.ok();
    let unused = last_used().await;
    assert_eq!((unused.text("ServiceName"), unused.get("LastUsedDate")), ("N/A".into(), None));
    let mina = cloud.with_keys(&keys);
    mina.ec2("DescribeVpcs", &[]).await.ok();
    let used = until_used(&cloud, "GetAccessKeyLastUsed", &id).await;
    assert_eq!(
        (used.text("ServiceName"), used.text("Region"), used.text("LastUsedDate")),
        ("ec2".into(), "ap-northeast-2".into(), "2021-09-03T01:02:03Z".into())
    );
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{ACCOUNT}"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    let role = [("RoleName", "Reader"), ("AssumeRolePolicyDocument", trust.as_str())];
    cloud.iam("CreateRole", &role).await.ok();
    let read = [("RoleName", "Reader"), ("PolicyArn", READ)];
    cloud.iam("AttachRolePolicy", &read).await.ok();
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/Reader");
    let assume = [("RoleArn", arn.as_str()), ("RoleSessionName", "session")];
    let session = mina.sts("AssumeRole", &assume).await.ok();
    let named = [("RoleName", "Reader")];
    assert_eq!(cloud.iam("GetRole", &named).await.ok().get("LastUsedDate"), None);
    cloud.with_keys(&Keys::of(&session)).ec2("DescribeVpcs", &[]).await.ok();
    let used = until_used(&cloud, "GetRole", &named).await;
    assert_eq!(used.text("Region"), "ap-northeast-2");
}

/// Waits until a use is shown.
async fn until_used(cloud: &Cloud, action: &str, parameters: &[(&str, &str)]) -> Reply {
    let begin = std::time::Instant::now();
    loop {
        let reply = cloud.iam(action, parameters).await.ok();
        if reply.get("LastUsedDate").is_some() {
            return reply;
        }
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "never: {}", reply.body);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
