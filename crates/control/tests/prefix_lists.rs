//! Managed prefix lists (PL-1) and the rules that refer to them (SG-10, SG-21 to SG-23).

mod common;

use common::{Cloud, Reply, refused};

async fn list(cloud: &Cloud, family: &str, size: &str, entries: &[&str]) -> String {
    let mut parameters = vec![
        ("PrefixListName".to_owned(), "corp"),
        ("AddressFamily".to_owned(), family),
        ("MaxEntries".to_owned(), size),
    ];
    for (number, cidr) in (1..).zip(entries) {
        parameters.push((format!("Entry.{number}.Cidr"), cidr));
    }
    let parameters: Vec<_> =
        parameters.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    cloud.make("CreateManagedPrefixList", &parameters, "prefixListId").await
}

async fn entries(cloud: &Cloud, list: &str, version: &str) -> Vec<String> {
    let parameters = [("PrefixListId", list), ("TargetVersion", version)];
    cloud.ec2("GetManagedPrefixListEntries", &parameters).await.ok().all("cidr")
}

async fn group(cloud: &Cloud) -> String {
    let (vpc, _) = cloud.network().await;
    let parameters = [("GroupName", "web"), ("GroupDescription", "d"), ("VpcId", vpc.as_str())];
    cloud.make("CreateSecurityGroup", &parameters, "groupId").await
}

fn from_list<'a>(group: &'a str, list: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("GroupId", group),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "443"),
        ("IpPermissions.1.ToPort", "443"),
        ("IpPermissions.1.PrefixListIds.1.PrefixListId", list),
    ]
}

#[tokio::test]
async fn a_list_has_versions_of_its_entries() {
    let cloud = Cloud::new();
    let made = [
        ("PrefixListName", "corp"),
        ("AddressFamily", "IPv4"),
        ("MaxEntries", "3"),
        ("Entry.1.Cidr", "10.0.0.9/8"),
        ("Entry.1.Description", "all of it"),
        ("TagSpecification.1.ResourceType", "prefix-list"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "x"),
        ("ClientToken", "once"),
    ];
    let first = cloud.ec2("CreateManagedPrefixList", &made).await.ok();
    let id = first.text("prefixListId");
    assert_eq!(first.text("state"), "create-in-progress");
    let again = cloud.make("CreateManagedPrefixList", &made, "prefixListId").await;
    assert_eq!(again, id, "API-4");
    let describe =
        async || cloud.ec2("DescribeManagedPrefixLists", &[("PrefixListId.1", &id)]).await.ok();
    let shown = describe().await;
    assert_eq!(
        (shown.text("state"), shown.text("version")),
        ("create-complete".into(), "1".into())
    );
    assert_eq!(
        (shown.text("addressFamily"), shown.text("maxEntries")),
        ("IPv4".into(), "3".into())
    );
    for (name, value) in
        [("prefix-list-name", "corp*"), ("tag:Name", "x"), ("owner-id", "111122223333")]
    {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        let found = cloud.ec2("DescribeManagedPrefixLists", &filter).await.ok();
        assert_eq!(found.all("prefixListId"), [id.as_str()], "{name}");
    }
    let l = ("PrefixListId", id.as_str());
    let change = [
        l,
        ("CurrentVersion", "1"),
        ("AddEntry.1.Cidr", "192.0.2.0/24"),
        ("AddEntry.2.Cidr", "198.51.100.0/24"),
        ("RemoveEntry.1.Cidr", "10.0.0.0/8"),
    ];
    let changed = cloud.ec2("ModifyManagedPrefixList", &change).await.ok();
    assert_eq!(
        (changed.text("state"), changed.text("version")),
        ("modify-in-progress".into(), "2".into())
    );
    assert_eq!(entries(&cloud, &id, "2").await, ["192.0.2.0/24", "198.51.100.0/24"]);
    assert_eq!(entries(&cloud, &id, "1").await, ["10.0.0.0/8"]);
    // Name and size make no version.
    let renamed = [l, ("PrefixListName", "corp-2"), ("MaxEntries", "2")];
    let renamed = cloud.ec2("ModifyManagedPrefixList", &renamed).await.ok();
    assert_eq!(
        (renamed.text("prefixListName"), renamed.text("version")),
        ("corp-2".into(), "2".into())
    );
    let page = [l, ("MaxResults", "1")];
    let page = cloud.ec2("GetManagedPrefixListEntries", &page).await.ok();
    assert_eq!(page.all("cidr"), ["192.0.2.0/24"]);
    let rest = [l, ("NextToken", &page.text("nextToken"))];
    let rest = cloud.ec2("GetManagedPrefixListEntries", &rest).await.ok();
    assert_eq!((rest.all("cidr"), rest.get("nextToken")), (vec!["198.51.100.0/24".into()], None));
    let modify = "ModifyManagedPrefixList";
    let now = ("CurrentVersion", "2");
    refused(
        &cloud,
        &[
            (modify, &[l, ("CurrentVersion", "1"), ("AddEntry.1.Cidr", "8.8.8.0/24")], "PrefixListVersionMismatch", "The prefix list has the incorrect version number."),
            (modify, &[l, ("AddEntry.1.Cidr", "8.8.8.0/24")], "MissingParameter", "CurrentVersion"),
            (modify, &[l, now, ("AddEntry.1.Cidr", "8.8.8.0/24")], "PrefixListMaxEntriesExceeded", "at most 2"),
            (modify, &[l, now, ("AddEntry.1.Cidr", "8.8.8.0/24"), ("MaxEntries", "9")], "InvalidParameterCombination", "You cannot modify the entries and the maximum entries"),
            (modify, &[l, now, ("RemoveEntry.1.Cidr", "8.8.8.0/24")], "InvalidPrefixListModification", "does not exist."),
            (modify, &[l, now, ("RemoveEntry.1.Cidr", "192.0.2.0/24"), ("AddEntry.1.Cidr", "192.0.2.0/24")], "InvalidParameterValue", "Request cannot contain Cidr 192.0.2.0/24 in both AddPrefixListEntries and RemovePrefixListEntries"),
            (modify, &[l, now, ("AddEntry.1.Cidr", "192.0.2.0/24")], "InvalidRequest", "The request received was invalid."),
            (modify, &[l, now, ("AddEntry.1.Cidr", "2001:db8::/32")], "InvalidParameterValue", "This is not a valid CIDR block."),
            (modify, &[l, ("MaxEntries", "1")], "PrefixListMaxEntriesExceeded", "at most 1"),
            (modify, &[l, ("MaxEntries", "1001")], "InvalidParameterValue", "between 1 and 1000"),
            (modify, &[l, ("PrefixListName", "com.amazonaws.mine")], "InvalidParameterValue", "com.amazonaws"),
            (modify, &[("PrefixListId", "pl-0123456789abcdef0")], "InvalidPrefixListID.NotFound", "does not exist"),
            ("GetManagedPrefixListEntries", &[l, ("TargetVersion", "7")], "InvalidParameterValue", "no such version"),
            ("RestoreManagedPrefixListVersion", &[l, ("PreviousVersion", "1"), ("CurrentVersion", "1")], "PrefixListVersionMismatch", "incorrect version"),
            ("RestoreManagedPrefixListVersion", &[l, ("PreviousVersion", "9"), now], "InvalidParameterValue", "no such version"),
            ("CreateManagedPrefixList", &[("PrefixListName", "x"), ("AddressFamily", "IPX"), ("MaxEntries", "1")], "InvalidParameterValue", "IPX"),
            ("CreateManagedPrefixList", &[("PrefixListName", "x"), ("AddressFamily", "IPv6"), ("MaxEntries", "0")], "InvalidParameterValue", "between 1 and 1000"),
            ("CreateManagedPrefixList", &[("PrefixListName", "x"), ("AddressFamily", "IPv6"), ("MaxEntries", "1"), ("Entry.1.Cidr", "10.0.0.0/8")], "InvalidParameterValue", "not a valid CIDR block"),
        ],
    )
    .await;
    let back = [l, ("PreviousVersion", "1"), now];
    let back = cloud.ec2("RestoreManagedPrefixListVersion", &back).await.ok();
    assert_eq!(
        (back.text("state"), back.text("version")),
        ("restore-in-progress".into(), "3".into())
    );
    assert_eq!(entries(&cloud, &id, "3").await, ["10.0.0.0/8"]);
    assert_eq!(describe().await.text("state"), "restore-complete");
    let gone = cloud.ec2("DeleteManagedPrefixList", &[l]).await.ok();
    assert_eq!(gone.text("state"), "delete-in-progress");
    let none = cloud.ec2("DescribeManagedPrefixLists", &[("PrefixListId.1", &id)]).await;
    assert_eq!(none.code(), "InvalidPrefixListID.NotFound");
}

#[tokio::test]
async fn rules_refer_to_lists_and_keep_them() {
    // SG-10
    let cloud = Cloud::new();
    let group = group(&cloud).await;
    let id = list(&cloud, "IPv4", "5", &["192.0.2.0/24"]).await;
    let rule = from_list(&group, &id);
    let made = cloud.ec2("AuthorizeSecurityGroupIngress", &rule).await.ok();
    assert_eq!(made.text("prefixListId"), id);
    let shown = cloud.ec2("DescribeSecurityGroups", &[("GroupId.1", &group)]).await.ok();
    let lists = Reply { status: 200, body: shown.text("prefixListIds") };
    assert_eq!(lists.text("prefixListId"), id);
    let filter =
        [("Filter.1.Name", "ip-permission.prefix-list-id"), ("Filter.1.Value.1", id.as_str())];
    let found = cloud.ec2("DescribeSecurityGroups", &filter).await.ok();
    assert_eq!(found.all("groupName"), ["web"]);
    let associations =
        cloud.ec2("GetManagedPrefixListAssociations", &[("PrefixListId", &id)]).await.ok();
    assert_eq!(associations.all("resourceId"), [group.as_str()]);
    assert_eq!(associations.text("resourceOwner"), "111122223333");
    let nowhere = from_list(&group, "pl-0123456789abcdef0");
    let malformed = from_list(&group, "x");
    refused(
        &cloud,
        &[
            ("AuthorizeSecurityGroupIngress", &rule, "InvalidPermission.Duplicate", &id),
            (
                "AuthorizeSecurityGroupIngress",
                &nowhere,
                "InvalidPrefixListID.NotFound",
                "does not exist",
            ),
            ("AuthorizeSecurityGroupIngress", &malformed, "InvalidPrefixListId.Malformed", "x"),
            ("DeleteManagedPrefixList", &[("PrefixListId", &id)], "DependencyViolation", &id),
        ],
    )
    .await;
    cloud.ec2("RevokeSecurityGroupIngress", &rule).await.ok();
    cloud.ec2("DeleteManagedPrefixList", &[("PrefixListId", &id)]).await.ok();
}

#[tokio::test]
async fn sg_21_to_23_rules_are_counted_by_family_and_lists_by_their_size() {
    let cloud = Cloud::new();
    let group = group(&cloud).await;
    let small = list(&cloud, "IPv4", "59", &[]).await;
    let large = list(&cloud, "IPv4", "61", &[]).await;
    let ipv6 = list(&cloud, "IPv6", "60", &[]).await;
    let too_many = "The maximum number of rules per security group has been reached.";
    let code = "RulesPerSecurityGroupLimitExceeded";
    let authorize = "AuthorizeSecurityGroupIngress";
    refused(&cloud, &[(authorize, &from_list(&group, &large), code, too_many)]).await;
    cloud.ec2(authorize, &from_list(&group, &small)).await.ok();
    // IPv6 counts apart.
    cloud.ec2(authorize, &from_list(&group, &ipv6)).await.ok();
    let from = |peer: &'static str, value: &'static str| {
        let mut rule = from_list(&group, value);
        rule[4].0 = peer;
        rule
    };
    let cidr = "IpPermissions.1.IpRanges.1.CidrIp";
    cloud.ec2(authorize, &from(cidr, "192.0.2.0/24")).await.ok();
    let own = {
        let mut rule = from_list(&group, &group);
        rule[4].0 = "IpPermissions.1.Groups.1.GroupId";
        rule
    };
    refused(
        &cloud,
        &[
            (authorize, &from(cidr, "198.51.100.0/24"), code, too_many),
            (
                authorize,
                &from("IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "2001:db8::/32"),
                code,
                too_many,
            ),
            (authorize, &own, code, too_many),
            // The list may not grow either where it is used.
            (
                "ModifyManagedPrefixList",
                &[("PrefixListId", &small), ("MaxEntries", "60")],
                code,
                too_many,
            ),
        ],
    )
    .await;
    // The other direction has a count of its own.
    cloud.ec2("AuthorizeSecurityGroupEgress", &from_list(&group, &small)).await.ok();
    let shrunk = [("PrefixListId", small.as_str()), ("MaxEntries", "10")];
    cloud.ec2("ModifyManagedPrefixList", &shrunk).await.ok();
    cloud.ec2(authorize, &from(cidr, "198.51.100.0/24")).await.ok();
}
