//! IAM's operations on the wire: what they make, show and refuse.

mod common;

use common::{Cloud, Reply, Wishes};

const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}"#;
const OTHER: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const SSM: &str = "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM";
const READ: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

/// A policy that is longer than any may be.
fn long() -> String {
    let actions = ["\"ec2:X\""; 2000].join(",");
    ALLOW.replace("\"ec2:Describe*\"", &format!("[{actions}]"))
}

/// A cloud without instances.
fn cloud() -> Cloud {
    Cloud::with(Wishes { running: false, ..Wishes::default() })
}

/// A document as it was before it was escaped.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || {
            let digit = rest.next().map(char::from).and_then(|c| c.to_digit(16));
            u8::try_from(digit.expect("a digit")).expect("a digit")
        };
        bytes.push(if byte == b'%' { digit() * 16 + digit() } else { byte });
    }
    String::from_utf8(bytes).expect("text")
}

/// An operation, its parameters, the status, the code, a part of the message.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str, &'a str);

/// Calls that must be refused. Nothing changes.
async fn refused(cloud: &Cloud, calls: &[Refused<'_>]) {
    for (action, parameters, status, code, message) in calls {
        let before = cloud.control.snapshot().revision();
        let reply = cloud.iam(action, parameters).await;
        let (found_code, found_message) = reply.refusal();
        assert_eq!(
            (found_code.as_str(), reply.status),
            (*code, *status),
            "{action} {parameters:?}"
        );
        assert!(found_message.contains(message), "{action} {parameters:?}: {found_message}");
        assert_eq!(cloud.control.snapshot().revision(), before, "{action} changed something");
    }
}

async fn ok(cloud: &Cloud, action: &str, parameters: &[(&str, &str)]) -> Reply {
    cloud.iam(action, parameters).await.ok()
}

async fn user(cloud: &Cloud, name: &str) {
    ok(cloud, "CreateUser", &[("UserName", name)]).await;
}

async fn role(cloud: &Cloud, name: &str) {
    let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", TRUST)];
    ok(cloud, "CreateRole", &parameters).await;
}

#[tokio::test]
async fn a_user_is_made_shown_renamed_and_deleted() {
    let cloud = cloud();
    let made = ok(
        &cloud,
        "CreateUser",
        &[
            ("UserName", "Bob"),
            ("Path", "/staff/"),
            ("PermissionsBoundary", READ),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", "net"),
        ],
    )
    .await;
    assert_eq!(made.text("Arn"), "arn:aws:iam::111122223333:user/staff/Bob");
    let id = made.text("UserId");
    assert!(id.starts_with("AIDA") && id.len() == 21, "{id}");
    assert_eq!(made.text("CreateDate"), "2021-09-03T01:02:03Z");
    // Names have no case, but are shown as they were given.
    let shown = ok(&cloud, "GetUser", &[("UserName", "bob")]).await;
    assert_eq!((shown.text("UserName"), shown.text("UserId")), ("Bob".into(), id.clone()));
    assert_eq!(shown.text("PermissionsBoundaryArn"), READ);
    assert_eq!((shown.text("Key"), shown.text("Value")), ("team".into(), "net".into()));
    let listed = ok(&cloud, "ListUsers", &[("PathPrefix", "/staff")]).await;
    assert_eq!(listed.all("UserName"), ["Bob"]);
    assert!(listed.get("Tags").is_none(), "lists say less");
    assert!(ok(&cloud, "ListUsers", &[("PathPrefix", "/x/")]).await.all("UserName").is_empty());

    ok(&cloud, "CreateAccessKey", &[("UserName", "Bob")]).await;
    let rename = [("UserName", "Bob"), ("NewUserName", "Robert"), ("NewPath", "/")];
    ok(&cloud, "UpdateUser", &rename).await;
    let shown = ok(&cloud, "GetUser", &[("UserName", "Robert")]).await;
    assert_eq!(shown.text("Arn"), "arn:aws:iam::111122223333:user/Robert");
    assert_eq!(shown.text("UserId"), id, "the same one");
    let keys = ok(&cloud, "ListAccessKeys", &[("UserName", "Robert")]).await;
    assert_eq!(keys.all("UserName"), ["Robert"], "its keys go with it");
    user(&cloud, "alice").await;
    refused(
        &cloud,
        &[
            (
                "GetUser",
                &[("UserName", "Bob")],
                404,
                "NoSuchEntity",
                "The user with name Bob cannot be found.",
            ),
            (
                "CreateUser",
                &[("UserName", "ROBERT")],
                409,
                "EntityAlreadyExists",
                "User with name ROBERT already exists.",
            ),
            (
                "UpdateUser",
                &[("UserName", "Robert"), ("NewUserName", "Alice")],
                409,
                "EntityAlreadyExists",
                "Alice",
            ),
            ("CreateUser", &[("UserName", "a b")], 400, "ValidationError", "userName is invalid"),
            (
                "CreateUser",
                &[("UserName", "x"), ("Path", "staff")],
                400,
                "ValidationError",
                "path is invalid",
            ),
            ("CreateUser", &[], 400, "ValidationError", "userName"),
            (
                "CreateUser",
                &[("UserName", "x"), ("PermissionsBoundary", "arn:aws:iam::aws:policy/None")],
                404,
                "NoSuchEntity",
                "does not exist or is not attachable",
            ),
            (
                "DeleteUser",
                &[("UserName", "Robert")],
                409,
                "DeleteConflict",
                "must delete access keys first",
            ),
        ],
    )
    .await;
    ok(&cloud, "DeleteUser", &[("UserName", "alice")]).await;
    // Who calls is the root user of the account.
    let root = ok(&cloud, "GetUser", &[]).await;
    assert_eq!(root.text("Arn"), "arn:aws:iam::111122223333:root");
}

#[tokio::test]
async fn an_access_key_shows_its_secret_once() {
    let cloud = cloud();
    user(&cloud, "bob").await;
    user(&cloud, "eve").await;
    let bob = ("UserName", "bob");
    let made = ok(&cloud, "CreateAccessKey", &[bob]).await;
    let (id, secret) = (made.text("AccessKeyId"), made.text("SecretAccessKey"));
    assert!(id.starts_with("AKIA") && id.len() == 20, "{id}");
    assert_eq!(secret.len(), 40);
    let listed = ok(&cloud, "ListAccessKeys", &[bob]).await;
    assert_eq!((listed.text("AccessKeyId"), listed.text("Status")), (id.clone(), "Active".into()));
    assert!(!listed.body.contains(&secret));
    let key = ("AccessKeyId", id.as_str());
    ok(&cloud, "UpdateAccessKey", &[bob, key, ("Status", "Inactive")]).await;
    assert_eq!(ok(&cloud, "ListAccessKeys", &[bob]).await.text("Status"), "Inactive");
    let used = ok(&cloud, "GetAccessKeyLastUsed", &[key]).await;
    assert_eq!((used.text("UserName"), used.text("ServiceName")), ("bob".into(), "N/A".into()));
    assert_eq!(used.get("LastUsedDate"), None);
    ok(&cloud, "CreateAccessKey", &[bob]).await;
    refused(
        &cloud,
        &[
            (
                "CreateAccessKey",
                &[bob],
                409,
                "LimitExceeded",
                "Cannot exceed quota for AccessKeysPerUser: 2",
            ),
            ("CreateAccessKey", &[], 400, "ValidationError", "Must specify userName"),
            (
                "DeleteAccessKey",
                &[("UserName", "eve"), key],
                404,
                "NoSuchEntity",
                "The Access Key with id",
            ),
            (
                "UpdateAccessKey",
                &[bob, key, ("Status", "Lost")],
                400,
                "ValidationError",
                "Active, Inactive, Expired",
            ),
            ("UpdateAccessKey", &[bob, key, ("Status", "Expired")], 400, "InvalidInput", "Expired"),
            (
                "GetAccessKeyLastUsed",
                &[("AccessKeyId", "AKIA0000000000000000")],
                404,
                "NoSuchEntity",
                "AKIA0000000000000000",
            ),
        ],
    )
    .await;
    ok(&cloud, "DeleteAccessKey", &[bob, key]).await;
    assert_eq!(ok(&cloud, "ListAccessKeys", &[bob]).await.all("AccessKeyId").len(), 1);
}

#[tokio::test]
async fn a_group_has_users_and_is_renamed_with_them() {
    let cloud = cloud();
    user(&cloud, "bob").await;
    let made = ok(&cloud, "CreateGroup", &[("GroupName", "net"), ("Path", "/g/")]).await;
    assert_eq!(made.text("Arn"), "arn:aws:iam::111122223333:group/g/net");
    assert!(made.text("GroupId").starts_with("AGPA"));
    let member = [("GroupName", "net"), ("UserName", "bob")];
    ok(&cloud, "AddUserToGroup", &member).await;
    ok(&cloud, "AddUserToGroup", &member).await;
    let shown = ok(&cloud, "GetGroup", &[("GroupName", "NET")]).await;
    assert_eq!(
        (shown.text("GroupName"), shown.all("UserName")),
        ("net".into(), vec!["bob".into()])
    );
    ok(&cloud, "UpdateGroup", &[("GroupName", "net"), ("NewGroupName", "network")]).await;
    let of_user = ok(&cloud, "ListGroupsForUser", &[("UserName", "bob")]).await;
    assert_eq!(of_user.all("GroupName"), ["network"]);
    assert_eq!(ok(&cloud, "ListGroups", &[]).await.all("GroupName"), ["network"]);
    refused(
        &cloud,
        &[
            (
                "GetGroup",
                &[("GroupName", "net")],
                404,
                "NoSuchEntity",
                "The group with name net cannot be found.",
            ),
            (
                "CreateGroup",
                &[("GroupName", "Network")],
                409,
                "EntityAlreadyExists",
                "Group with name Network already exists.",
            ),
            (
                "DeleteGroup",
                &[("GroupName", "network")],
                409,
                "DeleteConflict",
                "must remove users from group first",
            ),
            (
                "DeleteUser",
                &[("UserName", "bob")],
                409,
                "DeleteConflict",
                "must remove user from groups first",
            ),
            (
                "AddUserToGroup",
                &[("GroupName", "network"), ("UserName", "eve")],
                404,
                "NoSuchEntity",
                "eve",
            ),
        ],
    )
    .await;
    for number in 0..9 {
        let name = format!("g{number}");
        ok(&cloud, "CreateGroup", &[("GroupName", &name)]).await;
        ok(&cloud, "AddUserToGroup", &[("GroupName", &name), ("UserName", "bob")]).await;
    }
    ok(&cloud, "CreateGroup", &[("GroupName", "g9")]).await;
    let full = cloud.iam("AddUserToGroup", &[("GroupName", "g9"), ("UserName", "bob")]).await;
    assert_eq!(full.refusal().1, "Cannot exceed quota for GroupsPerUser: 10");
    let member = [("GroupName", "network"), ("UserName", "bob")];
    ok(&cloud, "RemoveUserFromGroup", &member).await;
    ok(&cloud, "DeleteGroup", &[("GroupName", "network")]).await;
}

#[tokio::test]
async fn a_role_is_made_shown_changed_and_deleted() {
    let cloud = cloud();
    let made = ok(
        &cloud,
        "CreateRole",
        &[
            ("RoleName", "ssm"),
            ("Path", "/lab/"),
            ("AssumeRolePolicyDocument", TRUST),
            ("Description", "for the lab"),
            ("MaxSessionDuration", "7200"),
            ("Tags.member.1.Key", "a"),
            ("Tags.member.1.Value", ""),
        ],
    )
    .await;
    assert_eq!(made.text("Arn"), "arn:aws:iam::111122223333:role/lab/ssm");
    assert!(made.text("RoleId").starts_with("AROA"));
    assert!(made.text("AssumeRolePolicyDocument").starts_with("%7B%22Version%22%3A%22"));
    let shown = ok(&cloud, "GetRole", &[("RoleName", "ssm")]).await;
    assert_eq!(unescaped(&shown.text("AssumeRolePolicyDocument")), TRUST);
    assert_eq!(shown.text("MaxSessionDuration"), "7200");
    assert_eq!(shown.text("Description"), "for the lab");
    assert_eq!(shown.text("RoleLastUsed"), "", "never");
    assert_eq!(shown.all("Key"), ["a"]);
    let listed = ok(&cloud, "ListRoles", &[("PathPrefix", "/lab/")]).await;
    assert_eq!(listed.all("RoleName"), ["ssm"]);

    ok(&cloud, "UpdateRole", &[("RoleName", "ssm"), ("MaxSessionDuration", "3600")]).await;
    let shown = ok(&cloud, "GetRole", &[("RoleName", "ssm")]).await;
    assert_eq!((shown.get("Description"), shown.text("MaxSessionDuration")), (None, "3600".into()));
    let described = [("RoleName", "ssm"), ("Description", "again")];
    let shown = ok(&cloud, "UpdateRoleDescription", &described).await;
    assert_eq!(shown.text("Description"), "again");
    let trust = TRUST.replace("ec2", "lambda");
    let update = [("RoleName", "ssm"), ("PolicyDocument", trust.as_str())];
    ok(&cloud, "UpdateAssumeRolePolicy", &update).await;
    let shown = ok(&cloud, "GetRole", &[("RoleName", "ssm")]).await;
    assert_eq!(unescaped(&shown.text("AssumeRolePolicyDocument")), trust);
    ok(&cloud, "PutRolePermissionsBoundary", &[("RoleName", "ssm"), ("PermissionsBoundary", READ)])
        .await;
    let shown = ok(&cloud, "GetRole", &[("RoleName", "ssm")]).await;
    assert_eq!(shown.text("PermissionsBoundaryArn"), READ);
    ok(&cloud, "DeleteRolePermissionsBoundary", &[("RoleName", "ssm")]).await;

    let long = format!("{{\"Statement\":[{}]}}", vec![TRUST; 20].join(","));
    refused(
        &cloud,
        &[
            (
                "GetRole",
                &[("RoleName", "nobody")],
                404,
                "NoSuchEntity",
                "The role with name nobody cannot be found.",
            ),
            (
                "CreateRole",
                &[("RoleName", "SSM"), ("AssumeRolePolicyDocument", TRUST)],
                409,
                "EntityAlreadyExists",
                "Role with name SSM already exists.",
            ),
            (
                "CreateRole",
                &[("RoleName", "x"), ("AssumeRolePolicyDocument", "{")],
                400,
                "MalformedPolicyDocument",
                "",
            ),
            (
                "CreateRole",
                &[("RoleName", "x"), ("AssumeRolePolicyDocument", ALLOW)],
                400,
                "MalformedPolicyDocument",
                "",
            ),
            (
                "CreateRole",
                &[("RoleName", "x"), ("AssumeRolePolicyDocument", &long)],
                400,
                "MalformedPolicyDocument",
                "",
            ),
            (
                "CreateRole",
                &[
                    ("RoleName", "x"),
                    ("AssumeRolePolicyDocument", TRUST),
                    ("MaxSessionDuration", "60"),
                ],
                400,
                "ValidationError",
                "maxSessionDuration",
            ),
            (
                "UpdateAssumeRolePolicy",
                &[("RoleName", "ssm"), ("PolicyDocument", "[]")],
                400,
                "MalformedPolicyDocument",
                "",
            ),
            (
                "DeleteRolePermissionsBoundary",
                &[("RoleName", "ssm")],
                404,
                "NoSuchEntity",
                "permissions boundary",
            ),
        ],
    )
    .await;
    ok(&cloud, "DeleteRole", &[("RoleName", "ssm")]).await;
    assert_eq!(cloud.iam("GetRole", &[("RoleName", "ssm")]).await.code(), "NoSuchEntity");
}

#[tokio::test]
async fn a_role_of_a_service_is_only_the_services() {
    let cloud = cloud();
    let spot = [("AWSServiceName", "spot.amazonaws.com"), ("Description", "d")];
    let made = ok(&cloud, "CreateServiceLinkedRole", &spot).await;
    let arn = "arn:aws:iam::111122223333:role/aws-service-role/spot.amazonaws.com/\
               AWSServiceRoleForEC2Spot";
    assert_eq!(made.text("Arn"), arn);
    let name = ("RoleName", "AWSServiceRoleForEC2Spot");
    let attached = ok(&cloud, "ListAttachedRolePolicies", &[name]).await;
    assert_eq!(attached.all("PolicyName"), ["AWSEC2SpotServiceRolePolicy"]);
    let policy = ("PolicyArn", READ);
    let (inline, document) = (("PolicyName", "p"), ("PolicyDocument", ALLOW));
    refused(
        &cloud,
        &[
            ("CreateServiceLinkedRole", &spot, 400, "InvalidInput", "has been taken"),
            (
                "CreateServiceLinkedRole",
                &[("AWSServiceName", "none.amazonaws.com")],
                400,
                "InvalidInput",
                "none.amazonaws.com",
            ),
            ("DeleteRole", &[name], 400, "UnmodifiableEntity", "only modifiable by AWS"),
            ("AttachRolePolicy", &[name, policy], 400, "UnmodifiableEntity", ""),
            ("PutRolePolicy", &[name, inline, document], 400, "UnmodifiableEntity", ""),
            (
                "GetServiceLinkedRoleDeletionStatus",
                &[("DeletionTaskId", "task/x")],
                404,
                "NoSuchEntity",
                "task/x",
            ),
        ],
    )
    .await;
    let task = ok(&cloud, "DeleteServiceLinkedRole", &[name]).await.text("DeletionTaskId");
    let task = [("DeletionTaskId", task.as_str())];
    let status = ok(&cloud, "GetServiceLinkedRoleDeletionStatus", &task).await;
    assert_eq!(status.text("Status"), "SUCCEEDED");
    assert_eq!(cloud.iam("GetRole", &[name]).await.code(), "NoSuchEntity");
    role(&cloud, "own").await;
    let refusal = cloud.iam("DeleteServiceLinkedRole", &[("RoleName", "own")]).await;
    assert_eq!(refusal.code(), "InvalidInput");
}

#[tokio::test]
async fn inline_policies_belong_to_users_groups_and_roles() {
    let cloud = cloud();
    user(&cloud, "u").await;
    ok(&cloud, "CreateGroup", &[("GroupName", "g")]).await;
    role(&cloud, "r").await;
    for (kind, parameter, name, noun) in [
        ("User", "UserName", "u", "user"),
        ("Group", "GroupName", "g", "group"),
        ("Role", "RoleName", "r", "role"),
    ] {
        let whose = (parameter, name);
        let action = |verb: &str, what: &str| format!("{verb}{kind}{what}");
        let (put, get) = (action("Put", "Policy"), action("Get", "Policy"));
        let (delete, list) = (action("Delete", "Policy"), action("List", "Policies"));
        for (policy, text) in [("two", OTHER), ("one", OTHER), ("one", ALLOW)] {
            let parameters = [whose, ("PolicyName", policy), ("PolicyDocument", text)];
            ok(&cloud, &put, &parameters).await;
        }
        let shown = ok(&cloud, &get, &[whose, ("PolicyName", "one")]).await;
        assert_eq!(unescaped(&shown.text("PolicyDocument")), ALLOW);
        assert_eq!((shown.text(parameter), shown.text("PolicyName")), (name.into(), "one".into()));
        let first = ok(&cloud, &list, &[whose, ("MaxItems", "1")]).await;
        assert_eq!(
            (first.all("member"), first.text("IsTruncated")),
            (vec!["one".into()], "true".into())
        );
        let marker = first.text("Marker");
        let second = ok(&cloud, &list, &[whose, ("Marker", &marker)]).await;
        assert_eq!(second.all("member"), ["two"]);
        assert_eq!((second.text("IsTruncated"), second.get("Marker")), ("false".into(), None));
        // White space is not counted.
        let roomy = ALLOW.replacen('{', &format!("{{{}", " ".repeat(11_000)), 1);
        let long = long();
        ok(&cloud, &put, &[whose, ("PolicyName", "two"), ("PolicyDocument", &roomy)]).await;
        refused(
            &cloud,
            &[
                (
                    &put,
                    &[whose, ("PolicyName", "long"), ("PolicyDocument", &long)],
                    409,
                    "LimitExceeded",
                    "Maximum policy size of",
                ),
                (
                    &put,
                    &[whose, ("PolicyName", "x"), ("PolicyDocument", "nothing")],
                    400,
                    "MalformedPolicyDocument",
                    "",
                ),
                (
                    &put,
                    &[whose, ("PolicyName", "x"), ("PolicyDocument", TRUST)],
                    400,
                    "MalformedPolicyDocument",
                    "",
                ),
                (
                    &put,
                    &[(parameter, "nobody"), ("PolicyName", "x"), ("PolicyDocument", ALLOW)],
                    404,
                    "NoSuchEntity",
                    "nobody",
                ),
                (
                    &get,
                    &[whose, ("PolicyName", "three")],
                    404,
                    "NoSuchEntity",
                    &format!("The {noun} policy with name three cannot be found."),
                ),
                (&delete, &[whose, ("PolicyName", "three")], 404, "NoSuchEntity", "three"),
                (&list, &[whose, ("Marker", "mine")], 400, "ValidationError", "Marker"),
                (
                    &format!("Delete{kind}"),
                    &[whose],
                    409,
                    "DeleteConflict",
                    "must delete policies first",
                ),
            ],
        )
        .await;
        for policy in ["one", "two"] {
            ok(&cloud, &delete, &[whose, ("PolicyName", policy)]).await;
        }
        assert!(ok(&cloud, &list, &[whose]).await.all("member").is_empty());
        ok(&cloud, &format!("Delete{kind}"), &[whose]).await;
    }
}

#[tokio::test]
async fn managed_policies_are_attached_to_users_groups_and_roles() {
    let cloud = cloud();
    user(&cloud, "u").await;
    ok(&cloud, "CreateGroup", &[("GroupName", "g")]).await;
    role(&cloud, "r").await;
    let own = [("PolicyName", "own"), ("Path", "/p/"), ("PolicyDocument", ALLOW)];
    let own = ok(&cloud, "CreatePolicy", &own).await.text("Arn");
    assert_eq!(own, "arn:aws:iam::111122223333:policy/p/own");
    let kinds = [("User", "UserName", "u"), ("Group", "GroupName", "g"), ("Role", "RoleName", "r")];
    for (kind, parameter, name) in kinds {
        let whose = (parameter, name);
        let (attach, detach) = (format!("Attach{kind}Policy"), format!("Detach{kind}Policy"));
        let list = format!("ListAttached{kind}Policies");
        for arn in [SSM, own.as_str(), SSM] {
            ok(&cloud, &attach, &[whose, ("PolicyArn", arn)]).await;
        }
        let listed = ok(&cloud, &list, &[whose]).await;
        assert_eq!(listed.all("PolicyArn"), [own.as_str(), SSM]);
        assert_eq!(listed.all("PolicyName"), ["own", "AmazonEC2RoleforSSM"]);
        let listed = ok(&cloud, &list, &[whose, ("PathPrefix", "/p/")]).await;
        assert_eq!(listed.all("PolicyName"), ["own"]);
        let none = "arn:aws:iam::aws:policy/None";
        let service = "arn:aws:iam::aws:policy/aws-service-role/AmazonRDSServiceRolePolicy";
        refused(
            &cloud,
            &[
                (
                    &attach,
                    &[whose, ("PolicyArn", none)],
                    404,
                    "NoSuchEntity",
                    "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.",
                ),
                (&attach, &[whose, ("PolicyArn", service)], 400, "PolicyNotAttachable", ""),
                (
                    &attach,
                    &[whose, ("PolicyArn", "AmazonEC2RoleforSSM-of-AWS")],
                    400,
                    "InvalidInput",
                    "ARN AmazonEC2RoleforSSM-of-AWS is not valid.",
                ),
                (&attach, &[(parameter, "nobody"), ("PolicyArn", SSM)], 404, "NoSuchEntity", ""),
                (
                    &detach,
                    &[whose, ("PolicyArn", READ)],
                    404,
                    "NoSuchEntity",
                    "Policy arn:aws:iam::aws:policy/ReadOnlyAccess was not found.",
                ),
                (
                    &format!("Delete{kind}"),
                    &[whose],
                    409,
                    "DeleteConflict",
                    "must detach all policies first",
                ),
            ],
        )
        .await;
    }
    ok(&cloud, "PutUserPermissionsBoundary", &[("UserName", "u"), ("PermissionsBoundary", &own)])
        .await;
    let arn = ("PolicyArn", own.as_str());
    let shown = ok(&cloud, "GetPolicy", &[arn]).await;
    assert_eq!(shown.text("AttachmentCount"), "3");
    assert_eq!(shown.text("PermissionsBoundaryUsageCount"), "1");
    let holders = ok(&cloud, "ListEntitiesForPolicy", &[arn]).await;
    let names =
        |reply: &Reply| ["UserName", "GroupName", "RoleName"].map(|name| reply.all(name).join(","));
    assert_eq!(names(&holders), ["u", "g", "r"]);
    let roles = ok(&cloud, "ListEntitiesForPolicy", &[arn, ("EntityFilter", "Role")]).await;
    assert_eq!(names(&roles), ["", "", "r"]);
    let bounded = [arn, ("PolicyUsageFilter", "PermissionsBoundary")];
    assert_eq!(names(&ok(&cloud, "ListEntitiesForPolicy", &bounded).await), ["u", "", ""]);
    let attached = [("OnlyAttached", "true"), ("MaxItems", "1000")];
    let attached = ok(&cloud, "ListPolicies", &attached).await;
    assert_eq!(attached.all("PolicyName"), ["own", "AmazonEC2RoleforSSM"]);
    refused(
        &cloud,
        &[
            (
                "DeletePolicy",
                &[arn],
                409,
                "DeleteConflict",
                "Cannot delete a policy attached to entities.",
            ),
            (
                "ListEntitiesForPolicy",
                &[("PolicyArn", "arn:aws:iam::aws:policy/None")],
                404,
                "NoSuchEntity",
                "was not found",
            ),
        ],
    )
    .await;
    // Another account has its own policies, and AWS's with counts of its own.
    let other = cloud.as_seen_by("444455556666", "us-east-1");
    assert_eq!(other.iam("GetPolicy", &[arn]).await.code(), "NoSuchEntity");
    let ssm = ok(&other, "GetPolicy", &[("PolicyArn", SSM)]).await;
    assert_eq!(ssm.text("AttachmentCount"), "0");
    ok(&cloud, "DeleteUserPermissionsBoundary", &[("UserName", "u")]).await;
    for (kind, parameter, name) in kinds {
        for policy in [SSM, &own] {
            let parameters = [(parameter, name), ("PolicyArn", policy)];
            ok(&cloud, &format!("Detach{kind}Policy"), &parameters).await;
        }
    }
    ok(&cloud, "DeletePolicy", &[arn]).await;
    role(&cloud, "full").await;
    let all =
        ok(&cloud, "ListPolicies", &[("Scope", "AWS"), ("PathPrefix", "/service-role/")]).await;
    let mut policies = all.all("Arn").into_iter();
    for arn in policies.by_ref().take(10) {
        ok(&cloud, "AttachRolePolicy", &[("RoleName", "full"), ("PolicyArn", &arn)]).await;
    }
    let one_more = policies.next().expect("one more");
    let full = [("RoleName", "full"), ("PolicyArn", one_more.as_str())];
    let full = cloud.iam("AttachRolePolicy", &full).await;
    assert_eq!(full.refusal().1, "Cannot exceed quota for PoliciesPerRole: 10");
}

#[tokio::test]
async fn a_managed_policy_has_versions() {
    let cloud = cloud();
    let made = ok(
        &cloud,
        "CreatePolicy",
        &[
            ("PolicyName", "p"),
            ("PolicyDocument", ALLOW),
            ("Description", "d"),
            ("Tags.member.1.Key", "k"),
            ("Tags.member.1.Value", "v"),
        ],
    )
    .await;
    let arn = made.text("Arn");
    let arn = ("PolicyArn", arn.as_str());
    assert!(made.text("PolicyId").starts_with("ANPA"));
    assert_eq!(made.text("DefaultVersionId"), "v1");
    assert_eq!(made.text("IsAttachable"), "true");
    let shown = ok(&cloud, "GetPolicy", &[arn]).await;
    assert_eq!((shown.text("Description"), shown.text("Value")), ("d".into(), "v".into()));
    for _ in 2..5 {
        ok(&cloud, "CreatePolicyVersion", &[arn, ("PolicyDocument", OTHER)]).await;
    }
    let last = [arn, ("PolicyDocument", OTHER), ("SetAsDefault", "true")];
    let last = ok(&cloud, "CreatePolicyVersion", &last).await;
    assert_eq!(
        (last.text("VersionId"), last.text("IsDefaultVersion")),
        ("v5".into(), "true".into())
    );
    let versions = ok(&cloud, "ListPolicyVersions", &[arn]).await;
    assert_eq!(versions.all("VersionId"), ["v5", "v4", "v3", "v2", "v1"]);
    let first = ok(&cloud, "GetPolicyVersion", &[arn, ("VersionId", "v1")]).await;
    assert_eq!(unescaped(&first.text("Document")), ALLOW);
    assert_eq!(first.text("IsDefaultVersion"), "false");
    let long = long();
    refused(
        &cloud,
        &[
            (
                "CreatePolicyVersion",
                &[arn, ("PolicyDocument", ALLOW)],
                409,
                "LimitExceeded",
                "A managed policy can have up to 5 versions.",
            ),
            (
                "DeletePolicyVersion",
                &[arn, ("VersionId", "v5")],
                409,
                "DeleteConflict",
                "Cannot delete the default version of a policy.",
            ),
            ("DeletePolicyVersion", &[arn, ("VersionId", "v9")], 404, "NoSuchEntity", "v9"),
            ("GetPolicyVersion", &[arn, ("VersionId", "1")], 400, "ValidationError", "versionId"),
            ("SetDefaultPolicyVersion", &[arn, ("VersionId", "v6")], 404, "NoSuchEntity", "v6"),
            ("DeletePolicy", &[arn], 409, "DeleteConflict", "more than one version"),
            (
                "CreatePolicy",
                &[("PolicyName", "P"), ("PolicyDocument", ALLOW)],
                409,
                "EntityAlreadyExists",
                "A policy called P already exists. Duplicate names are not allowed.",
            ),
            (
                "CreatePolicy",
                &[("PolicyName", "x"), ("PolicyDocument", "{}")],
                400,
                "MalformedPolicyDocument",
                "",
            ),
            (
                "CreatePolicy",
                &[("PolicyName", "x"), ("PolicyDocument", &long)],
                409,
                "LimitExceeded",
                "Cannot exceed quota for PolicySize: 6144",
            ),
            (
                "CreatePolicyVersion",
                &[("PolicyArn", SSM), ("PolicyDocument", ALLOW)],
                403,
                "AccessDenied",
                "managed by AWS",
            ),
            ("GetPolicy", &[("PolicyArn", "arn:aws:iam::aws:policy/X")], 404, "NoSuchEntity", "X"),
        ],
    )
    .await;
    ok(&cloud, "DeletePolicyVersion", &[arn, ("VersionId", "v1")]).await;
    let next = ok(&cloud, "CreatePolicyVersion", &[arn, ("PolicyDocument", ALLOW)]).await;
    assert_eq!(next.text("VersionId"), "v6", "no number is used twice");
    ok(&cloud, "SetDefaultPolicyVersion", &[arn, ("VersionId", "v6")]).await;
    for version in ["v2", "v3", "v4", "v5"] {
        ok(&cloud, "DeletePolicyVersion", &[arn, ("VersionId", version)]).await;
    }
    ok(&cloud, "DeletePolicy", &[arn]).await;
}

#[tokio::test]
async fn the_policies_of_aws_are_found_page_by_page() {
    let cloud = cloud();
    ok(&cloud, "CreatePolicy", &[("PolicyName", "own"), ("PolicyDocument", ALLOW)]).await;
    let (mut names, mut marker) = (Vec::new(), None::<String>);
    loop {
        let parameters: Vec<_> = marker.iter().map(|it| ("Marker", it.as_str())).collect();
        let page = ok(&cloud, "ListPolicies", &parameters).await;
        assert!(page.all("PolicyName").len() <= 100);
        names.extend(page.all("PolicyName"));
        if page.text("IsTruncated") == "false" {
            break;
        }
        marker = Some(page.text("Marker"));
    }
    let found = |name: &str| names.iter().filter(|it| *it == name).count();
    for name in ["own", "AmazonEC2RoleforSSM", "AmazonSSMManagedInstanceCore", "ReadOnlyAccess"] {
        assert_eq!(found(name), 1, "{name}");
    }
    assert!(names.len() > 100, "more than one page");
    let local = ok(&cloud, "ListPolicies", &[("Scope", "Local")]).await;
    assert_eq!(local.all("PolicyName"), ["own"]);
    let policy = ok(&cloud, "GetPolicy", &[("PolicyArn", SSM)]).await;
    let version = policy.text("DefaultVersionId");
    let parameters = [("PolicyArn", SSM), ("VersionId", version.as_str())];
    let document = ok(&cloud, "GetPolicyVersion", &parameters).await.text("Document");
    assert!(unescaped(&document).contains("\"ec2messages:GetMessages\""));
    let versions = ok(&cloud, "ListPolicyVersions", &[("PolicyArn", SSM)]).await;
    assert_eq!(versions.all("VersionId"), [version]);
}

#[tokio::test]
async fn an_instance_profile_holds_one_role() {
    let cloud = cloud();
    role(&cloud, "r").await;
    role(&cloud, "other").await;
    let profile = ("InstanceProfileName", "p");
    let made = ok(&cloud, "CreateInstanceProfile", &[profile, ("Path", "/lab/")]).await;
    assert_eq!(made.text("Arn"), "arn:aws:iam::111122223333:instance-profile/lab/p");
    assert!(made.text("InstanceProfileId").starts_with("AIPA"));
    assert!(made.body.contains("<Roles/>"));
    ok(&cloud, "AddRoleToInstanceProfile", &[profile, ("RoleName", "r")]).await;
    let shown = ok(&cloud, "GetInstanceProfile", &[profile]).await;
    assert_eq!((shown.text("RoleName"), shown.text("Path")), ("r".into(), "/lab/".into()));
    let of_role = ok(&cloud, "ListInstanceProfilesForRole", &[("RoleName", "r")]).await;
    assert_eq!(of_role.all("InstanceProfileName"), ["p"]);
    let listed = ok(&cloud, "ListInstanceProfiles", &[("PathPrefix", "/lab/")]).await;
    assert_eq!(listed.all("InstanceProfileName"), ["p"]);
    refused(
        &cloud,
        &[
            (
                "AddRoleToInstanceProfile",
                &[profile, ("RoleName", "other")],
                409,
                "LimitExceeded",
                "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
            ),
            (
                "RemoveRoleFromInstanceProfile",
                &[profile, ("RoleName", "other")],
                404,
                "NoSuchEntity",
                "other",
            ),
            (
                "DeleteInstanceProfile",
                &[profile],
                409,
                "DeleteConflict",
                "must remove roles from instance profile first",
            ),
            (
                "DeleteRole",
                &[("RoleName", "r")],
                409,
                "DeleteConflict",
                "must remove roles from instance profile first",
            ),
            (
                "CreateInstanceProfile",
                &[("InstanceProfileName", "P")],
                409,
                "EntityAlreadyExists",
                "Instance Profile P already exists.",
            ),
            (
                "GetInstanceProfile",
                &[("InstanceProfileName", "q")],
                404,
                "NoSuchEntity",
                "Instance Profile q cannot be found.",
            ),
        ],
    )
    .await;
    ok(&cloud, "RemoveRoleFromInstanceProfile", &[profile, ("RoleName", "r")]).await;
    ok(&cloud, "DeleteInstanceProfile", &[profile]).await;
    ok(&cloud, "DeleteRole", &[("RoleName", "r")]).await;
}

#[tokio::test]
async fn tags_have_keys_without_case() {
    let cloud = cloud();
    user(&cloud, "u").await;
    role(&cloud, "r").await;
    ok(&cloud, "CreateInstanceProfile", &[("InstanceProfileName", "i")]).await;
    let policy = [("PolicyName", "p"), ("PolicyDocument", ALLOW)];
    let policy = ok(&cloud, "CreatePolicy", &policy).await.text("Arn");
    for (kind, parameter, name) in [
        ("User", "UserName", "u"),
        ("Role", "RoleName", "r"),
        ("InstanceProfile", "InstanceProfileName", "i"),
        ("Policy", "PolicyArn", policy.as_str()),
    ] {
        let whose = (parameter, name);
        let (tag, untag) = (format!("Tag{kind}"), format!("Untag{kind}"));
        let list = format!("List{kind}Tags");
        let key = |key| ("Tags.member.1.Key", key);
        let value = |value| ("Tags.member.1.Value", value);
        ok(&cloud, &tag, &[whose, key("Team"), value("a")]).await;
        ok(&cloud, &tag, &[whose, key("team"), value("b")]).await;
        let listed = ok(&cloud, &list, &[whose]).await;
        assert_eq!(
            (listed.all("Key"), listed.all("Value")),
            (vec!["team".into()], vec!["b".into()])
        );
        refused(
            &cloud,
            &[
                (&tag, &[whose, key("aws:x"), value("")], 400, "InvalidInput", "aws:"),
                (
                    &tag,
                    &[whose, key("a<b"), value("")],
                    400,
                    "ValidationError",
                    "tags.1.member.key",
                ),
                (
                    &tag,
                    &[
                        whose,
                        key("a"),
                        value(""),
                        ("Tags.member.2.Key", "A"),
                        ("Tags.member.2.Value", ""),
                    ],
                    400,
                    "InvalidInput",
                    "Duplicate tag keys found.",
                ),
            ],
        )
        .await;
        let wanted = [whose, ("TagKeys.member.1", "TEAM")];
        ok(&cloud, &untag, &wanted).await;
        assert!(ok(&cloud, &list, &[whose]).await.all("Key").is_empty());
        let many: Vec<_> = (0..50)
            .flat_map(|n| {
                let at = |what: &str| format!("Tags.member.{}.{what}", n + 1);
                [(at("Key"), format!("k{n}")), (at("Value"), String::new())]
            })
            .collect();
        let mut many: Vec<_> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        many.push(whose);
        ok(&cloud, &tag, &many).await;
        let full = cloud.iam(&tag, &[whose, key("one-more"), value("")]).await;
        assert_eq!(full.code(), "LimitExceeded");
    }
}

#[tokio::test]
async fn the_account_has_an_alias_and_a_summary() {
    let cloud = cloud();
    ok(&cloud, "CreateAccountAlias", &[("AccountAlias", "my-lab")]).await;
    ok(&cloud, "CreateAccountAlias", &[("AccountAlias", "our-lab")]).await;
    assert_eq!(ok(&cloud, "ListAccountAliases", &[]).await.all("member"), ["our-lab"]);
    let other = cloud.as_seen_by("444455556666", "us-east-1");
    let taken = other.iam("CreateAccountAlias", &[("AccountAlias", "our-lab")]).await;
    assert_eq!((taken.code(), taken.status), ("EntityAlreadyExists".into(), 409));
    refused(
        &cloud,
        &[
            (
                "CreateAccountAlias",
                &[("AccountAlias", "My_Lab")],
                400,
                "ValidationError",
                "accountAlias",
            ),
            ("DeleteAccountAlias", &[("AccountAlias", "my-lab")], 404, "NoSuchEntity", "my-lab"),
        ],
    )
    .await;
    ok(&cloud, "DeleteAccountAlias", &[("AccountAlias", "our-lab")]).await;

    user(&cloud, "u").await;
    role(&cloud, "r").await;
    ok(&cloud, "AttachRolePolicy", &[("RoleName", "r"), ("PolicyArn", SSM)]).await;
    let summary = ok(&cloud, "GetAccountSummary", &[]).await;
    for entry in ["<key>Users</key><value>1</value>", "<key>Groups</key><value>0</value>"] {
        assert!(summary.body.contains(entry), "{entry}: {}", summary.body);
    }
    let details = ok(&cloud, "GetAccountAuthorizationDetails", &[]).await;
    assert_eq!(
        (details.all("UserName"), details.all("RoleName")),
        (vec!["u".into()], vec!["r".into()])
    );
    assert!(details.all("PolicyName").contains(&"AmazonEC2RoleforSSM".to_owned()));
    let roles = [("Filter.member.1", "Role"), ("MaxItems", "1")];
    let roles = ok(&cloud, "GetAccountAuthorizationDetails", &roles).await;
    assert_eq!((roles.all("RoleName").len(), roles.all("UserName").len()), (1, 0));
    let wrong = [("Filter.member.1", "Everything")];
    let wrong = cloud.iam("GetAccountAuthorizationDetails", &wrong).await;
    assert_eq!(wrong.code(), "ValidationError");
    let unknown = cloud.iam("GetAccountSummary", &[("Marker", "x")]).await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn iam_is_the_same_in_all_regions_and_goes_with_a_reset() {
    let cloud = cloud();
    role(&cloud, "r").await;
    let elsewhere = cloud.as_seen_by(&cloud.account, "us-east-1");
    ok(&elsewhere, "GetRole", &[("RoleName", "r")]).await;
    cloud.control.reset(None).await.expect("a reset");
    assert_eq!(elsewhere.iam("GetRole", &[("RoleName", "r")]).await.code(), "NoSuchEntity");
}

#[tokio::test]
async fn quotas_hold_where_they_are_asked_for() {
    let cloud = Cloud::with(Wishes { running: false, quotas: true, ..Wishes::default() });
    for number in 0..300 {
        ok(&cloud, "CreateGroup", &[("GroupName", &format!("g{number}"))]).await;
    }
    let one_more = cloud.iam("CreateGroup", &[("GroupName", "one-more")]).await;
    assert_eq!(one_more.refusal().1, "Cannot exceed quota for GroupsPerAccount: 300");
}
