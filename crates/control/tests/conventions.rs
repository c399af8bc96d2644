//! Conventions of the whole API: rehearsals, client tokens, pages, filters, callers at once.

mod common;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Cloud, Wishes};
use gureum_store::Store;
use gureum_types::{InstanceId, view::ServiceView};

#[tokio::test]
async fn a_rehearsal_says_what_would_be_and_does_nothing() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let image = cloud.image().await;
    let before = cloud.control.snapshot().revision();
    let launch = [
        ("ImageId", image.as_str()),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", subnet.as_str()),
        ("DryRun", "true"),
    ];
    let key = [("KeyName", "k"), ("DryRun", "true")];
    let vpc = [("CidrBlock", "10.0.0.0/16"), ("DryRun", "true")];
    let describe = [("DryRun", "true")];
    let calls: [(&str, &[(&str, &str)]); 4] = [
        ("RunInstances", &launch),
        ("CreateKeyPair", &key),
        ("CreateVpc", &vpc),
        ("DescribeVpcs", &describe),
    ];
    for (action, parameters) in calls {
        let reply = cloud.ec2(action, parameters).await;
        assert_eq!(reply.status, 412, "API-3");
        let message = "Request would have succeeded, but DryRun flag is set.";
        assert_eq!(reply.refusal(), ("DryRunOperation".into(), message.into()), "{action}");
    }
    // One that would not succeed says so.
    let refused = cloud.ec2("CreateVpc", &[("CidrBlock", "10.0.0.0/8"), ("DryRun", "true")]).await;
    assert_eq!(refused.code(), "InvalidVpc.Range");
    assert_eq!(cloud.control.snapshot().revision(), before);
}

#[tokio::test]
async fn a_client_token_makes_a_call_happen_once() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let image = cloud.image().await;
    let launch = |count: &'static str| {
        vec![
            ("ImageId", image.clone()),
            ("MinCount", count.to_owned()),
            ("MaxCount", count.to_owned()),
            ("SubnetId", subnet.clone()),
            ("ClientToken", "token".to_owned()),
        ]
    };
    let run = async |parameters: Vec<(&str, String)>| {
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        cloud.ec2("RunInstances", &parameters).await
    };
    let first = run(launch("2")).await.ok();
    let again = run(launch("2")).await.ok();
    assert_eq!(first.all("instanceId"), again.all("instanceId"), "API-4");
    assert_eq!(first.text("reservationId"), again.text("reservationId"));
    assert_eq!(run(launch("1")).await.code(), "IdempotentParameterMismatch", "API-4");
    for (action, parameter, value, element) in [
        ("CreateRouteTable", "VpcId", &vpc, "routeTableId"),
        ("CreateNetworkAcl", "VpcId", &vpc, "networkAclId"),
        ("CreateNetworkInterface", "SubnetId", &subnet, "networkInterfaceId"),
    ] {
        let parameters = [(parameter, value.as_str()), ("ClientToken", "once")];
        let first = cloud.make(action, &parameters, element).await;
        assert_eq!(cloud.make(action, &parameters, element).await, first, "{action}");
    }
}

#[tokio::test]
async fn pages_show_everything_once() {
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    for number in 2..14 {
        let block = format!("10.1.{number}.0/24");
        cloud.subnet(&vpc, &block, "ap-northeast-2a").await;
    }
    let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
    let all = cloud.ec2("DescribeSubnets", &filter).await.ok();
    assert_eq!(all.get("nextToken"), None, "API-7");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let mut parameters = filter.to_vec();
        parameters.extend([("MaxResults", "5"), ("NextToken", token.as_str())]);
        let page = cloud.ec2("DescribeSubnets", &parameters).await.ok();
        assert!(page.all("subnetId").len() <= 5);
        seen.extend(page.all("subnetId"));
        match page.get("nextToken") {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, all.all("subnetId"));
    assert_eq!(seen.len(), 13);
}

#[tokio::test]
async fn filters_join_and_know_wildcards_and_tags() {
    let cloud = Cloud::new();
    let mut vpcs = Vec::new();
    for (block, name) in [("10.1.0.0/16", "lab-a"), ("10.2.0.0/16", "lab-b"), ("10.3.0.0/16", "x")]
    {
        let vpc = cloud.make("CreateVpc", &[("CidrBlock", block)], "vpcId").await;
        let tag = [("ResourceId.1", vpc.as_str()), ("Tag.1.Key", "Name"), ("Tag.1.Value", name)];
        cloud.ec2("CreateTags", &tag).await.ok();
        vpcs.push(vpc);
    }
    let found = async |filters: &[(&str, &[&str])]| {
        let mut parameters = Vec::new();
        for (number, (name, values)) in filters.iter().enumerate() {
            parameters.push((format!("Filter.{}.Name", number + 1), (*name).to_owned()));
            for (index, value) in values.iter().enumerate() {
                let at = format!("Filter.{}.Value.{}", number + 1, index + 1);
                parameters.push((at, (*value).to_owned()));
            }
        }
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let reply = cloud.ec2("DescribeVpcs", &parameters).await.ok();
        reply.all("vpcId").into_iter().collect::<BTreeSet<_>>()
    };
    let set = |places: &[usize]| places.iter().map(|it| vpcs[*it].clone()).collect::<BTreeSet<_>>();
    assert_eq!(found(&[("tag:Name", &["lab-*"])]).await, set(&[0, 1]), "API-9");
    assert_eq!(found(&[("tag:Name", &["lab-?", "x"])]).await, set(&[0, 1, 2]));
    assert_eq!(found(&[("tag:Name", &["lab-*"]), ("cidr", &["10.2.*"])]).await, set(&[1]));
    assert_eq!(found(&[("tag:Name", &["LAB-*"])]).await, set(&[]));
    assert_eq!(found(&[("tag-key", &["Name"]), ("is-default", &["false"])]).await, set(&[0, 1, 2]));
    let tags = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", vpcs[0].as_str())];
    let shown = cloud.ec2("DescribeTags", &tags).await.ok();
    assert_eq!((shown.text("resourceType"), shown.text("value")), ("vpc".into(), "lab-a".into()));
    let tag = [("ResourceId.1", vpcs[0].as_str()), ("Tag.1.Key", "Name"), ("Tag.1.Value", "other")];
    cloud.ec2("DeleteTags", &tag).await.ok();
    assert_eq!(cloud.ec2("DescribeTags", &tags).await.ok().all("value").len(), 1, "another value");
    cloud.ec2("DeleteTags", &tag[..2]).await.ok();
    assert!(cloud.ec2("DescribeTags", &tags).await.ok().all("value").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_at_once_get_addresses_of_their_own() {
    let cloud = Arc::new(Cloud::new());
    let (vpc, _) = cloud.network().await;
    // 11 free addresses for 16 callers.
    let small = cloud.subnet(&vpc, "10.1.200.0/28", "ap-northeast-2a").await;
    let callers = (0..16).map(|_| {
        let (cloud, small) = (cloud.clone(), small.clone());
        tokio::spawn(async move {
            let reply = cloud.ec2("CreateNetworkInterface", &[("SubnetId", &small)]).await;
            match reply.status {
                200 => Ok(reply.text("privateIpAddress")),
                _ => Err(reply.code()),
            }
        })
    });
    let (mut addresses, mut refused) = (BTreeSet::new(), 0);
    for caller in callers.collect::<Vec<_>>() {
        match caller.await.expect("it ends") {
            Ok(address) => assert!(addresses.insert(address), "twice the same"),
            Err(code) => {
                assert_eq!(code, "InsufficientFreeAddressesInSubnet", "SUB-4");
                refused += 1;
            }
        }
    }
    assert_eq!((addresses.len(), refused), (11, 5));
}

#[tokio::test]
async fn an_answer_waits_for_the_data_path_but_not_for_ever() {
    let cloud = Cloud::with(Wishes {
        acknowledge_within: Duration::from_millis(50),
        running: false,
        ..Wishes::default()
    });
    let (vpc, _) = cloud.network().await;
    let applied = cloud.linux.applied();
    let group = [("GroupName", "g"), ("GroupDescription", "d"), ("VpcId", vpc.as_str())];
    cloud.make("CreateSecurityGroup", &group, "groupId").await;
    assert_eq!(*applied.borrow(), cloud.control.snapshot().revision(), "acknowledged");
    // Tokens and such don't touch the data path: their epoch needs no acknowledgement.
    cloud.linux.delay_apply(Duration::from_secs(3600));
    let begin = Instant::now();
    let route_table = [("VpcId", vpc.as_str())];
    cloud.make("CreateRouteTable", &route_table, "routeTableId").await;
    assert!(begin.elapsed() < Duration::from_secs(5), "a data path that hangs holds nobody up");
    assert!(*applied.borrow() < cloud.control.snapshot().revision());
}

#[tokio::test]
async fn records_outlive_the_daemon() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Arc::new(Store::open(directory.path()).expect("a store"));
    let (vpc, tags) = {
        let cloud = Cloud::with(Wishes { store: open(), running: false, ..Wishes::default() });
        let (vpc, _) = cloud.network().await;
        let tag = [("ResourceId.1", vpc.as_str()), ("Tag.1.Key", "이름"), ("Tag.1.Value", "구름")];
        cloud.ec2("CreateTags", &tag).await.ok();
        let shown = cloud.ec2("DescribeTags", &[]).await.ok();
        (vpc, shown.all("value"))
    };
    let cloud = Cloud::with(Wishes { store: open(), running: false, ..Wishes::default() });
    cloud.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await.ok();
    assert_eq!(cloud.ec2("DescribeTags", &[]).await.ok().all("value"), tags);
    let second = cloud.make("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId").await;
    assert_ne!(second, vpc);
}

#[tokio::test]
async fn what_a_change_does_not_touch_is_not_compiled_again() {
    let cloud = Cloud::with(Wishes { running: false, ..Wishes::default() });
    let (_, subnet) = cloud.network().await;
    let image = cloud.image().await;
    let mut launch = vec![("ImageId", image.as_str()), ("SubnetId", subnet.as_str())];
    // "#!/bin/sh"
    launch.extend([("MinCount", "2"), ("MaxCount", "2"), ("UserData", "IyEvYmluL3No")]);
    let launched = cloud.ec2("RunInstances", &launch).await.ok();
    let ids = launched.all("instanceId");
    let (changed, other) = (ids[0].as_str(), ids[1].as_str());
    let now = || (cloud.linux.policy().expect("a policy"), cloud.linux.view().expect("a view"));
    let (policy, view) = now();
    let of = |view: &ServiceView, id: &str| {
        view.instances[&id.parse::<InstanceId>().expect("an id")].clone()
    };
    // Services see tags, packets don't.
    let tag = [("ResourceId.1", changed), ("Tag.1.Key", "Name"), ("Tag.1.Value", "a")];
    cloud.ec2("CreateTags", &tag).await.ok();
    let (policy_then, view_then) = now();
    assert!(Arc::ptr_eq(&policy, &policy_then));
    assert_eq!(of(&view_then, changed).tags.get("Name").map(String::as_str), Some("a"));
    assert!(Arc::ptr_eq(&of(&view, other), &of(&view_then, other)), "with its user data");
    assert!(view_then.vpcs.iter().all(|(id, vpc)| Arc::ptr_eq(vpc, &view.vpcs[id])));
    let same = |(port, it): (_, &Arc<_>)| Arc::ptr_eq(it, &view.interfaces[port]);
    assert!(view_then.interfaces.iter().all(same));
    // Packets go by rules, services don't.
    let group = launched.text("groupId");
    let rule = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &rule).await.ok();
    let (policy, view) = now();
    assert!(policy.epoch() > policy_then.epoch());
    assert!(Arc::ptr_eq(&view, &view_then));
    // Keys that no instance has are neither's business.
    cloud.ec2("CreateKeyPair", &[("KeyName", "k"), ("KeyType", "ed25519")]).await.ok();
    let (policy_then, view_then) = now();
    assert!(Arc::ptr_eq(&policy, &policy_then) && Arc::ptr_eq(&view, &view_then));
}
