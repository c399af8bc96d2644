//! Peering connections: their life, who may do what, and the group references over them
//! (CIDR-11, DNS-10, SG-31, SG-34).

mod common;

use std::time::Duration;

use common::{Cloud, Reply, refused};

const HOUR: Duration = Duration::from_secs(3600);
const OTHER: &str = "444455556666";
const SEOUL: &str = "ap-northeast-2";

async fn vpc(cloud: &Cloud, block: &str) -> String {
    cloud.make("CreateVpc", &[("CidrBlock", block)], "vpcId").await
}

async fn peer(cloud: &Cloud, parameters: &[(&str, &str)]) -> String {
    let reply = cloud.ec2("CreateVpcPeeringConnection", parameters).await.ok();
    assert_eq!(reply.text("code"), "initiating-request");
    reply.text("vpcPeeringConnectionId")
}

async fn shown(cloud: &Cloud, id: &str) -> Reply {
    cloud.ec2("DescribeVpcPeeringConnections", &[("VpcPeeringConnectionId.1", id)]).await
}

async fn status(cloud: &Cloud, id: &str) -> (String, String) {
    let reply = shown(cloud, id).await.ok();
    (reply.text("code"), reply.text("message"))
}

fn said(code: &str, message: &str) -> (String, String) {
    (code.to_owned(), message.to_owned())
}

async fn group(cloud: &Cloud, vpc: &str, name: &str) -> String {
    let parameters = [("GroupName", name), ("GroupDescription", "d"), ("VpcId", vpc)];
    cloud.make("CreateSecurityGroup", &parameters, "groupId").await
}

/// Two VPCs of one account with an active connection.
async fn pair(cloud: &Cloud) -> (String, String, String) {
    let (a, b) = (vpc(cloud, "10.1.0.0/16").await, vpc(cloud, "10.2.0.0/16").await);
    let id = peer(cloud, &[("VpcId", &a), ("PeerVpcId", &b)]).await;
    cloud.ec2("AcceptVpcPeeringConnection", &[("VpcPeeringConnectionId", &id)]).await.ok();
    (a, b, id)
}

#[tokio::test]
async fn two_accounts_agree_on_a_connection() {
    let asks = Cloud::new();
    let asked = asks.as_seen_by(OTHER, "us-east-1");
    let stranger = asks.as_seen_by("777788889999", SEOUL);
    let elsewhere = asks.as_seen_by(OTHER, SEOUL);
    let (a, b) = (vpc(&asks, "10.1.0.0/16").await, vpc(&asked, "10.2.0.0/16").await);
    let parameters = [
        ("VpcId", a.as_str()),
        ("PeerVpcId", b.as_str()),
        ("PeerOwnerId", OTHER),
        ("PeerRegion", "us-east-1"),
        ("TagSpecification.1.ResourceType", "vpc-peering-connection"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "ours"),
    ];
    let id = peer(&asks, &parameters).await;
    let pending = said("pending-acceptance", &format!("Pending Acceptance by {OTHER}"));
    assert_eq!(status(&asks, &id).await, pending);
    assert_eq!(status(&asked, &id).await, pending, "both sides see it");
    let before = shown(&asks, &id).await.ok();
    assert_eq!(before.all("cidrBlock"), ["10.1.0.0/16", "10.1.0.0/16"], "the requester's only");
    assert_eq!(before.all("region"), ["us-east-1", SEOUL]);
    assert!(before.get("expirationTime").is_some());
    assert!(before.body.contains("<value>ours</value>"));
    assert!(!shown(&asked, &id).await.body.contains("ours"), "tags are each side's own");
    let code = shown(&stranger, &id).await.code();
    assert_eq!(code, "InvalidVpcPeeringConnectionID.NotFound");
    let tag = [("ResourceId.1", id.as_str()), ("Tag.1.Key", "Name"), ("Tag.1.Value", "theirs")];
    asked.ec2("CreateTags", &tag).await.ok();
    assert!(shown(&asked, &id).await.body.contains("<value>theirs</value>"));
    assert!(shown(&asks, &id).await.body.contains("<value>ours</value>"));
    let tags = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", id.as_str())];
    let tags = asked.ec2("DescribeTags", &tags).await.ok();
    assert_eq!(tags.text("resourceType"), "vpc-peering-connection");
    assert_eq!(tags.all("value"), ["theirs"]);

    let named = [("VpcPeeringConnectionId", id.as_str())];
    refused(
        &asks,
        &[
            (
                "AcceptVpcPeeringConnection",
                &named,
                "OperationNotPermitted",
                "cannot accept peering",
            ),
            (
                "RejectVpcPeeringConnection",
                &named,
                "OperationNotPermitted",
                "cannot reject peering",
            ),
            (
                "CreateVpcPeeringConnection",
                &parameters[..4],
                "VpcPeeringConnectionAlreadyExists",
                &id,
            ),
            (
                "ModifyVpcPeeringConnectionOptions",
                &[
                    named[0],
                    ("RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc", "true"),
                ],
                "OperationNotPermitted",
                &format!("Peering {id} is not active."),
            ),
            // CIDR-11: who asks adds nothing meanwhile.
            (
                "AssociateVpcCidrBlock",
                &[("VpcId", &a), ("CidrBlock", "10.3.0.0/16")],
                "OperationNotPermitted",
                "pending acceptance",
            ),
            ("DeleteVpc", &[("VpcId", &a)], "DependencyViolation", "has dependencies"),
        ],
    )
    .await;
    refused(
        &asked,
        &[("DeleteVpcPeeringConnection", &named, "OperationNotPermitted", "cannot delete peering")],
    )
    .await;
    refused(
        &elsewhere,
        &[(
            "AcceptVpcPeeringConnection",
            &named,
            "InvalidVpcPeeringConnectionID.NotFound",
            "does not exist",
        )],
    )
    .await;
    let accepted = asked.ec2("AcceptVpcPeeringConnection", &named).await.ok();
    assert_eq!(accepted.text("code"), "provisioning");
    for side in [&asks, &asked] {
        assert_eq!(status(side, &id).await, said("active", "Active"));
    }
    let active = shown(&asks, &id).await.ok();
    let blocks = ["10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.1.0.0/16"];
    assert_eq!(active.all("cidrBlock"), blocks);
    assert_eq!(active.get("expirationTime"), None);
    let message = "attempted to transition from active to active";
    refused(&asked, &[("AcceptVpcPeeringConnection", &named, "InvalidStateTransition", message)])
        .await;
    // CIDR-11: a block of the peer's is refused, another is not.
    let overlap = [("VpcId", a.as_str()), ("CidrBlock", "10.2.128.0/17")];
    refused(&asks, &[("AssociateVpcCidrBlock", &overlap, "InvalidVpc.Range", "overlaps")]).await;
    let apart = [("VpcId", a.as_str()), ("CidrBlock", "10.3.0.0/16")];
    asks.ec2("AssociateVpcCidrBlock", &apart).await.ok();
    // Either side may end it.
    asked.ec2("DeleteVpcPeeringConnection", &named).await.ok();
    assert_eq!(status(&asks, &id).await, said("deleted", &format!("Deleted by {OTHER}")));
    refused(
        &asks,
        &[(
            "DeleteVpcPeeringConnection",
            &named,
            "InvalidStateTransition",
            "from deleted to deleted",
        )],
    )
    .await;
    asks.ec2("DeleteVpc", &[("VpcId", &a)]).await.ok();
    asks.advance(HOUR * 2);
    let all = [("VpcPeeringConnectionId.1", id.as_str())];
    asks.until("DescribeVpcPeeringConnections", &all, |it| it.status != 200).await;
}

#[tokio::test]
async fn connections_fail_expire_and_are_rejected() {
    let cloud = Cloud::new();
    let other = cloud.as_seen_by(OTHER, SEOUL);
    let (a, b) = (vpc(&cloud, "10.1.0.0/16").await, vpc(&cloud, "10.1.128.0/17").await);
    let why = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range";
    let overlapping = peer(&cloud, &[("VpcId", &a), ("PeerVpcId", &b)]).await;
    assert_eq!(status(&cloud, &overlapping).await, said("failed", why));
    let itself = peer(&cloud, &[("VpcId", &a), ("PeerVpcId", &a)]).await;
    assert_eq!(status(&cloud, &itself).await.0, "failed");
    let nobody =
        [("VpcId", a.as_str()), ("PeerVpcId", "vpc-0123456789abcdef0"), ("PeerOwnerId", OTHER)];
    let unknown = peer(&cloud, &nobody).await;
    assert_eq!(status(&cloud, &unknown).await, said("failed", why));
    let named = [("VpcPeeringConnectionId", overlapping.as_str())];
    refused(
        &cloud,
        &[
            (
                "AcceptVpcPeeringConnection",
                &named,
                "InvalidStateTransition",
                "from failed to active",
            ),
            (
                "DeleteVpcPeeringConnection",
                &named,
                "InvalidStateTransition",
                "from failed to deleted",
            ),
            ("CreateVpcPeeringConnection", &[("VpcId", &a)], "MissingParameter", "PeerVpcId"),
            (
                "CreateVpcPeeringConnection",
                &[("VpcId", "vpc-0123456789abcdef0"), ("PeerVpcId", &b)],
                "InvalidVpcID.NotFound",
                "does not exist",
            ),
            (
                "CreateVpcPeeringConnection",
                &[("VpcId", &a), ("PeerVpcId", "vpc-0123456789abcdef0")],
                "InvalidVpcID.NotFound",
                "does not exist",
            ),
            (
                "CreateVpcPeeringConnection",
                &[("VpcId", &a), ("PeerVpcId", "b")],
                "InvalidVpcID.Malformed",
                "b",
            ),
            (
                "CreateVpcPeeringConnection",
                &[("VpcId", &a), ("PeerVpcId", &b), ("PeerOwnerId", "me")],
                "InvalidParameterValue",
                "peerOwnerId",
            ),
            (
                "CreateVpcPeeringConnection",
                &[("VpcId", &a), ("PeerVpcId", &b), ("PeerRegion", "mars-1")],
                "InvalidParameterValue",
                "peerRegion",
            ),
            (
                "DeleteVpcPeeringConnection",
                &[("VpcPeeringConnectionId", "pcx-0123456789abcdef0")],
                "InvalidVpcPeeringConnectionID.NotFound",
                "The vpcPeeringConnection ID 'pcx-0123456789abcdef0' does not exist",
            ),
            (
                "DeleteVpcPeeringConnection",
                &[("VpcPeeringConnectionId", "x")],
                "InvalidVpcPeeringConnectionId.Malformed",
                "x",
            ),
            (
                "ModifyVpcPeeringConnectionOptions",
                &named,
                "MissingParameter",
                "PeeringConnectionOptions",
            ),
        ],
    )
    .await;
    // Each of the three holds neither VPC.
    cloud.ec2("DeleteVpc", &[("VpcId", &b)]).await.ok();

    let c = vpc(&other, "10.4.0.0/16").await;
    let request = [("VpcId", a.as_str()), ("PeerVpcId", c.as_str()), ("PeerOwnerId", OTHER)];
    let rejected = peer(&cloud, &request).await;
    let named = [("VpcPeeringConnectionId", rejected.as_str())];
    other.ec2("RejectVpcPeeringConnection", &named).await.ok();
    assert_eq!(status(&cloud, &rejected).await, said("rejected", &format!("Rejected by {OTHER}")));
    let withdrawn = peer(&cloud, &request).await;
    let named = [("VpcPeeringConnectionId", withdrawn.as_str())];
    cloud.ec2("DeleteVpcPeeringConnection", &named).await.ok();
    assert_eq!(status(&other, &withdrawn).await.0, "deleted");

    let late = peer(&cloud, &request).await;
    let filter = [("Filter.1.Name", "status-code"), ("Filter.1.Value.1", "pending-acceptance")];
    let pending = cloud.ec2("DescribeVpcPeeringConnections", &filter).await.ok();
    assert_eq!(pending.all("vpcPeeringConnectionId"), std::slice::from_ref(&late));
    cloud.advance(HOUR * 24 * 7);
    let named = [("VpcPeeringConnectionId", late.as_str())];
    let refusal = other.ec2("AcceptVpcPeeringConnection", &named).await.refusal();
    assert_eq!(refusal.0, "InvalidStateTransition", "{}", refusal.1);
    assert_eq!(status(&cloud, &late).await, said("expired", "Expired"));
    // It stands in nobody's way any more.
    peer(&cloud, &request).await;
}

/// The accepter may have got blocks that stand in the way meanwhile.
#[tokio::test]
async fn blocks_are_compared_again_on_acceptance() {
    let cloud = Cloud::new();
    let (a, b) = (vpc(&cloud, "10.1.0.0/16").await, vpc(&cloud, "100.64.0.0/16").await);
    let block = [("VpcId", a.as_str()), ("CidrBlock", "100.65.0.0/16")];
    cloud.ec2("AssociateVpcCidrBlock", &block).await.ok();
    let id = peer(&cloud, &[("VpcId", &a), ("PeerVpcId", &b)]).await;
    let block = [("VpcId", b.as_str()), ("CidrBlock", "100.65.0.0/17")];
    cloud.ec2("AssociateVpcCidrBlock", &block).await.ok();
    cloud.ec2("AcceptVpcPeeringConnection", &[("VpcPeeringConnectionId", &id)]).await.ok();
    assert_eq!(status(&cloud, &id).await.0, "failed");
}

#[tokio::test]
async fn connections_are_found_by_filters() {
    let cloud = Cloud::new();
    let (a, b, id) = pair(&cloud).await;
    let c = vpc(&cloud, "10.3.0.0/16").await;
    let other = peer(&cloud, &[("VpcId", &c), ("PeerVpcId", &a)]).await;
    let found = async |name: &str, value: &str| {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        let reply = cloud.ec2("DescribeVpcPeeringConnections", &filter).await.ok();
        reply.all("vpcPeeringConnectionId")
    };
    for (name, value, expected) in [
        ("requester-vpc-info.vpc-id", a.as_str(), &id),
        ("requester-vpc-info.cidr-block", "10.3.0.0/16", &other),
        ("accepter-vpc-info.vpc-id", b.as_str(), &id),
        ("accepter-vpc-info.cidr-block", "10.2.0.0/16", &id),
        ("status-code", "active", &id),
        ("status-message", "Pending*", &other),
        ("vpc-peering-connection-id", id.as_str(), &id),
        ("expiration-time", "2021-09-10*", &other),
    ] {
        assert_eq!(found(name, value).await, std::slice::from_ref(expected), "{name}");
    }
    assert_eq!(found("accepter-vpc-info.owner-id", "111122223333").await.len(), 2);
    assert_eq!(found("requester-vpc-info.owner-id", OTHER).await.len(), 0);
}

/// DNS-10: each side lets the other resolve its public names, in its own account and region.
#[tokio::test]
async fn options_belong_to_their_sides() {
    let asks = Cloud::new();
    let asked = asks.as_seen_by(OTHER, SEOUL);
    let (a, b) = (vpc(&asks, "10.1.0.0/16").await, vpc(&asked, "10.2.0.0/16").await);
    let id = peer(&asks, &[("VpcId", &a), ("PeerVpcId", &b), ("PeerOwnerId", OTHER)]).await;
    let named = ("VpcPeeringConnectionId", id.as_str());
    asked.ec2("AcceptVpcPeeringConnection", &[named]).await.ok();
    let requester = "RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc";
    let accepter = "AccepterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc";
    let classic = "AccepterPeeringConnectionOptions.AllowEgressFromLocalVpcToRemoteClassicLink";
    refused(
        &asks,
        &[
            (
                "ModifyVpcPeeringConnectionOptions",
                &[named, (accepter, "true")],
                "OperationNotPermitted",
                "accepter options",
            ),
            (
                "ModifyVpcPeeringConnectionOptions",
                &[named, (requester, "true"), (accepter, "true")],
                "OperationNotPermitted",
                "accepter options",
            ),
        ],
    )
    .await;
    refused(
        &asked,
        &[(
            "ModifyVpcPeeringConnectionOptions",
            &[named, (classic, "true")],
            "UnsupportedOperation",
            "ClassicLink",
        )],
    )
    .await;
    let peers = |of: &str| {
        let view = asks.linux.view().expect("a view");
        let vpc = of.parse::<gureum_types::VpcId>().expect("an id");
        view.vpcs[&vpc].dns_peers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((peers(&a), peers(&b)), (vec![], vec![]));
    let allowed =
        asks.ec2("ModifyVpcPeeringConnectionOptions", &[named, (requester, "true")]).await.ok();
    assert_eq!(allowed.text("allowDnsResolutionFromRemoteVpc"), "true");
    assert_eq!((peers(&a), peers(&b)), (vec![], vec![a.clone()]), "DNS-10: the owning side");
    let both = shown(&asked, &id).await.ok();
    assert_eq!(both.all("allowDnsResolutionFromRemoteVpc"), ["false", "true"]);
    asked.ec2("ModifyVpcPeeringConnectionOptions", &[named, (accepter, "true")]).await.ok();
    assert_eq!((peers(&a), peers(&b)), (vec![b.clone()], vec![a.clone()]));
    asks.ec2("ModifyVpcPeeringConnectionOptions", &[named, (requester, "false")]).await.ok();
    assert_eq!((peers(&a), peers(&b)), (vec![b.clone()], vec![]));
    asks.ec2("DeleteVpcPeeringConnection", &[named]).await.ok();
    assert_eq!((peers(&a), peers(&b)), (vec![], vec![]), "DNS-10: only while it is active");
}

fn from<'a>(group: &'a str, peer: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "80"),
        ("IpPermissions.1.ToPort", "80"),
        ("IpPermissions.1.Groups.1.GroupId", peer),
    ]
}

/// SG-31, SG-34: a rule may name a group of a peer VPC; without the connection it is stale, with
/// another it lives again.
#[tokio::test]
async fn rules_refer_to_groups_of_peers() {
    let cloud = Cloud::new();
    let (a, b) = (vpc(&cloud, "10.1.0.0/16").await, vpc(&cloud, "10.2.0.0/16").await);
    let (web, db) = (group(&cloud, &a, "web").await, group(&cloud, &b, "db").await);
    let rule = from(&web, &db);
    refused(
        &cloud,
        &[("AuthorizeSecurityGroupIngress", &rule, "InvalidGroup.NotFound", "different networks")],
    )
    .await;
    let id = peer(&cloud, &[("VpcId", &a), ("PeerVpcId", &b)]).await;
    refused(
        &cloud,
        &[("AuthorizeSecurityGroupIngress", &rule, "InvalidGroup.NotFound", "different networks")],
    )
    .await;
    let named = ("VpcPeeringConnectionId", id.as_str());
    cloud.ec2("AcceptVpcPeeringConnection", &[named]).await.ok();
    let made = cloud.ec2("AuthorizeSecurityGroupIngress", &rule).await.ok();
    assert_eq!(made.text("peeringStatus"), "active");
    assert_eq!(made.text("vpcPeeringConnectionId"), id);
    let described = [("GroupId.1", web.as_str())];
    let seen = cloud.ec2("DescribeSecurityGroups", &described).await.ok();
    assert_eq!(seen.text("peeringStatus"), "active");
    let both: std::collections::BTreeSet<_> = seen.all("vpcId").into_iter().collect();
    assert_eq!(both, [a.clone(), b.clone()].into(), "its own and that of the peer");
    let stale = async || cloud.ec2("DescribeStaleSecurityGroups", &[("VpcId", &a)]).await.ok();
    assert_eq!(stale().await.get("groupId"), None);
    let asked = [("GroupId.1", db.as_str())];
    let references = cloud.ec2("DescribeSecurityGroupReferences", &asked).await.ok();
    assert_eq!(references.text("referencingVpcId"), a);
    assert_eq!(references.text("vpcPeeringConnectionId"), id);
    assert_eq!(references.all("item").len(), 1);
    // The other way nobody refers.
    let asked = [("GroupId.1", web.as_str())];
    let none = cloud.ec2("DescribeSecurityGroupReferences", &asked).await.ok();
    assert_eq!(none.get("referencingVpcId"), None);

    cloud.ec2("DeleteVpcPeeringConnection", &[named]).await.ok();
    let found = stale().await;
    assert_eq!(found.all("groupId"), [web.clone(), db.clone()], "SG-34: {}", found.body);
    assert_eq!(found.text("peeringStatus"), "deleted");
    assert_eq!((found.text("fromPort"), found.text("ipProtocol")), ("80".into(), "tcp".into()));
    assert_eq!(found.text("groupName"), "web");
    // Another rule of the kind is refused; the one that is there can be described and revoked.
    let mut second = rule;
    (second[2].1, second[3].1) = ("81", "81");
    refused(
        &cloud,
        &[(
            "AuthorizeSecurityGroupIngress",
            &second,
            "InvalidGroup.NotFound",
            "different networks",
        )],
    )
    .await;
    let again = peer(&cloud, &[("VpcId", &b), ("PeerVpcId", &a)]).await;
    cloud.ec2("AcceptVpcPeeringConnection", &[("VpcPeeringConnectionId", &again)]).await.ok();
    assert_eq!(stale().await.get("groupId"), None, "SG-34: it lives again");
    // SG-24: a rule of another VPC holds no group; it only becomes stale.
    cloud.ec2("DeleteSecurityGroup", &[("GroupId", &db)]).await.ok();
    assert_eq!(stale().await.all("groupId"), [web.clone(), db.clone()]);
    cloud.ec2("RevokeSecurityGroupIngress", &rule).await.ok();
    assert_eq!(stale().await.get("groupId"), None);
    refused(
        &cloud,
        &[
            (
                "DescribeStaleSecurityGroups",
                &[("VpcId", "vpc-0123456789abcdef0")],
                "InvalidVpcID.NotFound",
                "does not exist",
            ),
            ("DescribeStaleSecurityGroups", &[], "MissingParameter", "VpcId"),
            (
                "DescribeSecurityGroupReferences",
                &[("GroupId.1", &db)],
                "InvalidGroup.NotFound",
                "does not exist",
            ),
            ("DescribeSecurityGroupReferences", &[], "MissingParameter", "GroupId"),
        ],
    )
    .await;
}

/// SG-31: another account's group is named with the account; another region's never.
#[tokio::test]
async fn groups_of_other_accounts_are_named_with_them() {
    let cloud = Cloud::new();
    let other = cloud.as_seen_by(OTHER, SEOUL);
    let far = cloud.as_seen_by("111122223333", "us-east-1");
    let (a, b) = (vpc(&cloud, "10.1.0.0/16").await, vpc(&other, "10.2.0.0/16").await);
    let c = vpc(&far, "10.3.0.0/16").await;
    let id = peer(&cloud, &[("VpcId", &a), ("PeerVpcId", &b), ("PeerOwnerId", OTHER)]).await;
    other.ec2("AcceptVpcPeeringConnection", &[("VpcPeeringConnectionId", &id)]).await.ok();
    let over = peer(&cloud, &[("VpcId", &a), ("PeerVpcId", &c), ("PeerRegion", "us-east-1")]).await;
    far.ec2("AcceptVpcPeeringConnection", &[("VpcPeeringConnectionId", &over)]).await.ok();
    let (web, db) = (group(&cloud, &a, "web").await, group(&other, &b, "db").await);
    let remote = group(&far, &c, "db").await;
    let mut with_owner = from(&web, &db).to_vec();
    with_owner.push(("IpPermissions.1.Groups.1.UserId", OTHER));
    let slashed = format!("{OTHER}/{db}");
    let mut by_stranger = from(&web, &db).to_vec();
    by_stranger.push(("IpPermissions.1.Groups.1.UserId", "777788889999"));
    refused(
        &cloud,
        &[
            (
                "AuthorizeSecurityGroupIngress",
                &from(&web, &db),
                "InvalidGroup.NotFound",
                "does not exist",
            ),
            (
                "AuthorizeSecurityGroupIngress",
                &by_stranger,
                "InvalidGroup.NotFound",
                "does not exist",
            ),
            (
                "AuthorizeSecurityGroupIngress",
                &from(&web, &remote),
                "InvalidGroup.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
    let made = cloud.ec2("AuthorizeSecurityGroupIngress", &with_owner).await.ok();
    assert_eq!(made.text("userId"), OTHER);
    let rule = made.text("securityGroupRuleId");
    let twice = from(&web, &slashed);
    refused(
        &cloud,
        &[("AuthorizeSecurityGroupIngress", &twice, "InvalidPermission.Duplicate", &db)],
    )
    .await;
    cloud.ec2("RevokeSecurityGroupIngress", &twice).await.ok();
    cloud.ec2("AuthorizeSecurityGroupEgress", &twice).await.ok();
    let shown = cloud.ec2("DescribeSecurityGroups", &[("GroupId.1", &web)]).await.ok();
    assert_eq!(shown.all("userId"), [OTHER]);
    let unknown = [("SecurityGroupRuleId.1", rule.as_str())];
    let reply = cloud.ec2("DescribeSecurityGroupRules", &unknown).await;
    assert_eq!(reply.code(), "InvalidSecurityGroupRuleId.NotFound");
    let asked = [("GroupId.1", db.as_str())];
    let references = other.ec2("DescribeSecurityGroupReferences", &asked).await.ok();
    assert_eq!(references.text("referencingVpcId"), a);
}

/// A reset of one side leaves the other with an end, and of both with nothing.
#[tokio::test]
async fn a_reset_ends_connections() {
    let asks = Cloud::new();
    let asked = asks.as_seen_by(OTHER, SEOUL);
    let (a, b) = (vpc(&asks, "10.1.0.0/16").await, vpc(&asked, "10.2.0.0/16").await);
    let id = peer(&asks, &[("VpcId", &a), ("PeerVpcId", &b), ("PeerOwnerId", OTHER)]).await;
    let account = gureum_types::AccountId::parse(OTHER).expect("an account");
    asks.control.reset(Some(&account)).await.expect("a reset");
    assert_eq!(status(&asks, &id).await.0, "deleted");
    let (_, _, own) = {
        let c = vpc(&asks, "10.5.0.0/16").await;
        let id = peer(&asks, &[("VpcId", &a), ("PeerVpcId", &c)]).await;
        (a, c, id)
    };
    asks.control.reset(None).await.expect("a reset");
    assert_eq!(shown(&asks, &own).await.code(), "InvalidVpcPeeringConnectionID.NotFound");
    assert_eq!(shown(&asks, &id).await.code(), "InvalidVpcPeeringConnectionID.NotFound");
}
