//! Networks as documents: what is exported makes the same network again, and what answers of
//! describe calls cannot be here is told or refused.

mod common;

use std::{net::IpAddr, sync::Arc};

use common::{Cloud, Wishes};
use gureum_control::{ImportOptions, Imported, Refused};
use gureum_engine::{Limits, State, WhyQuery, WhySource, WhyTraffic};
use gureum_store::{Store, StoreError, Transaction};
use gureum_types::record::{Cursors, NetworkInterface, SecurityGroup};
use serde_json::{Value, json};

/// A cloud without reconcilers, whose ids are others than those of [`Cloud::new`].
fn idle() -> Cloud {
    let store = Arc::new(Store::in_memory());
    let first = |tx: &mut Transaction| -> Result<(), StoreError> {
        tx.put_machine(Cursors { ipv6_block: 7, ..Cursors::default() });
        Ok(())
    };
    store.transact(first).expect("a commit");
    Cloud::with(Wishes { running: false, store, ..Wishes::default() })
}

async fn import(
    cloud: &Cloud,
    document: &Value,
    options: &ImportOptions,
) -> Result<Imported, Refused> {
    let before = cloud.control.snapshot().revision();
    let done = cloud.control.import(&[("d.json".into(), document.clone())], options).await;
    if done.is_err() {
        assert_eq!(cloud.control.snapshot().revision(), before, "refused and changed something");
    }
    done
}

fn export(cloud: &Cloud) -> Value {
    cloud.control.export(None, None).expect("a document")
}

/// A network with one of most things, in an account's region of its own.
async fn network(cloud: &Cloud) -> String {
    let (vpc, public) = cloud.network().await;
    let v = vpc.as_str();
    cloud
        .ec2("ModifyVpcAttribute", &[("VpcId", v), ("EnableDnsHostnames.Value", "true")])
        .await
        .ok();
    let private = cloud.subnet(v, "10.1.2.0/24", "ap-northeast-2c").await;
    let igw = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    cloud.ec2("AttachInternetGateway", &[("InternetGatewayId", &igw), ("VpcId", v)]).await.ok();
    let table = cloud.make("CreateRouteTable", &[("VpcId", v)], "routeTableId").await;
    let tie = [("RouteTableId", table.as_str()), ("SubnetId", &public)];
    cloud.ec2("AssociateRouteTable", &tie).await.ok();
    let to = ("DestinationCidrBlock", "0.0.0.0/0");
    cloud.ec2("CreateRoute", &[("RouteTableId", &table), to, ("GatewayId", &igw)]).await.ok();
    let eip = cloud.make("AllocateAddress", &[], "allocationId").await;
    let wanted = [("SubnetId", public.as_str()), ("AllocationId", &eip)];
    let nat = cloud.make("CreateNatGateway", &wanted, "natGatewayId").await;
    let main = [
        ("Filter.1.Name", "association.main"),
        ("Filter.1.Value.1", "true"),
        ("Filter.2.Name", "vpc-id"),
        ("Filter.2.Value.1", v),
    ];
    let main = cloud.make("DescribeRouteTables", &main, "routeTableId").await;
    cloud.ec2("CreateRoute", &[("RouteTableId", &main), to, ("NatGatewayId", &nat)]).await.ok();
    let list = [
        ("PrefixListName", "offices"),
        ("AddressFamily", "IPv4"),
        ("MaxEntries", "3"),
        ("Entry.1.Cidr", "203.0.113.0/24"),
        ("Entry.1.Description", "Seoul"),
    ];
    let list = cloud.make("CreateManagedPrefixList", &list, "prefixListId").await;
    let group = [("GroupName", "web"), ("GroupDescription", "d"), ("VpcId", v)];
    let web = cloud.make("CreateSecurityGroup", &group, "groupId").await;
    let rule = [
        ("GroupId", web.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "80"),
        ("IpPermissions.1.ToPort", "80"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
        ("IpPermissions.2.IpProtocol", "tcp"),
        ("IpPermissions.2.FromPort", "22"),
        ("IpPermissions.2.ToPort", "22"),
        ("IpPermissions.2.PrefixListIds.1.PrefixListId", &list),
        ("IpPermissions.3.IpProtocol", "icmp"),
        ("IpPermissions.3.FromPort", "-1"),
        ("IpPermissions.3.ToPort", "-1"),
        ("IpPermissions.3.Groups.1.GroupId", &web),
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &rule).await.ok();
    let entry = [
        ("RuleNumber", "90"),
        ("Protocol", "6"),
        ("RuleAction", "deny"),
        ("Egress", "false"),
        ("CidrBlock", "203.0.113.128/25"),
        ("PortRange.From", "22"),
        ("PortRange.To", "22"),
    ];
    let acl = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", v)];
    let acl = cloud.make("DescribeNetworkAcls", &acl, "networkAclId").await;
    let entry = [&[("NetworkAclId", acl.as_str())][..], &entry].concat();
    cloud.ec2("CreateNetworkAclEntry", &entry).await.ok();
    let endpoint = [
        ("VpcId", v),
        ("ServiceName", "com.amazonaws.ap-northeast-2.s3"),
        ("RouteTableId.1", &main),
    ];
    cloud.ec2("CreateVpcEndpoint", &endpoint).await.ok();
    let endpoint = [
        ("VpcId", v),
        ("ServiceName", "com.amazonaws.ap-northeast-2.ssm"),
        ("VpcEndpointType", "Interface"),
        ("SubnetId.1", &private),
        ("PrivateDnsEnabled", "true"),
    ];
    cloud.ec2("CreateVpcEndpoint", &endpoint).await.ok();
    for (subnet, name, public) in [(&public, "WEB", "true"), (&private, "APP", "false")] {
        let more = [
            ("NetworkInterface.1.DeviceIndex", "0"),
            ("NetworkInterface.1.SubnetId", subnet.as_str()),
            ("NetworkInterface.1.SecurityGroupId.1", &web),
            ("NetworkInterface.1.AssociatePublicIpAddress", public),
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", name),
        ];
        cloud.instance(subnet, &more).await;
    }
    let seen = |reply: &common::Reply| reply.body.contains("<state>available</state>");
    cloud.until("DescribeNatGateways", &[("NatGatewayId.1", &nat)], seen).await;
    cloud
        .until("DescribeVpcEndpoints", &[], |it| {
            it.body.matches("<state>available</state>").count() == 2
        })
        .await;
    vpc
}

/// Takes away what is said in words: gateways choose ports, and each machine has its own.
fn without_texts(report: &mut Value) {
    match report {
        Value::Object(object) => {
            object.remove("text");
            object.values_mut().for_each(without_texts);
        }
        Value::Array(list) => list.iter_mut().for_each(without_texts),
        _ => {}
    }
}

/// What the engine says to a question about every pair of interfaces, and about the internet.
fn verdicts(cloud: &Cloud) -> Vec<String> {
    let (policy, _) = cloud.control.compiled();
    let records = cloud.control.snapshot();
    let interfaces: Vec<_> = records.everywhere::<NetworkInterface>().map(|(_, it)| it).collect();
    let outside: IpAddr = "203.0.113.7".parse().expect("an address");
    let mut said = Vec::new();
    let mut ask = |name: String, source: WhySource, destination: IpAddr| {
        for traffic in [
            WhyTraffic::Tcp { source_port: 50000, destination_port: 22 },
            WhyTraffic::Tcp { source_port: 50000, destination_port: 80 },
            WhyTraffic::IcmpEcho { identifier: 7 },
        ] {
            let query = WhyQuery { source: source.clone(), destination, traffic };
            let mut state = State::new(Limits::default());
            let report = gureum_engine::why(&policy, &mut state, &query, Default::default());
            let mut report = serde_json::to_value(report).expect("JSON");
            report["query"] = Value::Null;
            without_texts(&mut report);
            said.push(format!("{name} {destination} {traffic:?} {report}"));
        }
    };
    for from in &interfaces {
        let source = WhySource::Interface { port: from.port, address: None };
        ask(from.id.to_string(), source.clone(), outside);
        for to in &interfaces {
            let Some(to) = to.primary_address() else { continue };
            ask(from.id.to_string(), source.clone(), to.into());
        }
    }
    for to in &interfaces {
        let public = cloud.control.public_address(to).or(to.primary_address());
        let Some(public) = public else { continue };
        ask("internet".into(), WhySource::Internet(outside), public.into());
    }
    said.sort();
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_makes_the_same_network_again() {
    let cloud = Cloud::new();
    network(&cloud).await;
    let document = export(&cloud);
    let twin = idle();
    let imported = import(&twin, &document, &ImportOptions::default()).await.expect("a twin");
    assert_eq!(imported.unsupported, Vec::<String>::new());
    assert_eq!(imported.replaced, Vec::<String>::new());
    assert_eq!(imported.differences, []);
    assert_eq!(
        (imported.account.as_str(), imported.region.as_str()),
        ("111122223333", "ap-northeast-2")
    );
    pretty(&export(&twin), &document);
    let (original, theirs) = (verdicts(&cloud), verdicts(&twin));
    assert!(original.iter().any(|it| it.contains("\"reachable\":true")));
    assert!(original.iter().any(|it| it.contains("\"reachable\":false")));
    assert_eq!(original.len(), theirs.len());
    for (ours, theirs) in original.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "the same verdicts by the same rules");
    }
    // The twin goes on as any cloud does.
    let shown = twin.ec2("DescribeVpcs", &[]).await.ok();
    assert_eq!(shown.all("vpcId").len(), 2, "the default VPC came along, none is made beside it");
    // What is here is not made over, unless it shall give way.
    let again = import(&twin, &document, &ImportOptions::default()).await.expect_err("twice");
    assert!(again.0.len() == 1 && again.0[0].contains("are here already"), "{again}");
    let replace = ImportOptions { replace: true, ..Default::default() };
    import(&twin, &document, &replace).await.expect("a twin in its own place");
    pretty(&export(&twin), &document);
}

/// Compares documents so that a difference can be read.
fn pretty(a: &Value, b: &Value) {
    if a != b {
        let text = |it: &Value| serde_json::to_string_pretty(it).expect("JSON");
        let (a, b) = (text(a), text(b));
        let differing = a.lines().zip(b.lines()).enumerate().find(|(_, (a, b))| a != b);
        panic!("they differ: {differing:?}\n{a}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_vpc_is_exported_with_what_belongs_to_it() {
    let cloud = Cloud::new();
    let vpc = network(&cloud).await;
    let document = cloud.control.export(None, Some(&vpc)).expect("a document");
    for (key, count) in [
        ("Vpcs", 1),
        ("Subnets", 2),
        ("InternetGateways", 1),
        ("Reservations", 2),
        ("Addresses", 1),
        ("NatGateways", 1),
        ("VpcEndpoints", 2),
        ("VpcAttributes", 1),
        ("PrefixListEntries", 1),
        ("DhcpOptions", 1),
    ] {
        assert_eq!(document[key].as_array().map(Vec::len), Some(count), "{key}");
    }
    let twin = idle();
    // A default VPC that nobody has touched gives way.
    twin.ec2("DescribeVpcs", &[]).await.ok();
    import(&twin, &document, &ImportOptions::default()).await.expect("a twin");
    pretty(&twin.control.export(None, Some(&vpc)).expect("a document"), &document);
    assert_eq!(twin.ec2("DescribeVpcs", &[]).await.ok().all("vpcId"), [vpc]);
    let missing = cloud.control.export(None, Some("vpc-0123456789abcdef0")).expect_err("none");
    assert!(missing.0[0].contains("there is no VPC"), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_refers_to_nothing_is_refused_by_name() {
    let cloud = Cloud::new();
    network(&cloud).await;
    let document = export(&cloud);
    for (key, word) in [
        ("InternetGateways", "igw-"),
        ("NatGateways", "nat-"),
        ("Reservations", "i-"),
        ("Addresses", "eipalloc-"),
        ("PrefixLists", "pl-"),
        ("VpcEndpoints", "vpce-"),
        ("DhcpOptions", "dopt-"),
    ] {
        let mut less = document.clone();
        less[key] = json!([]);
        let refused = import(&idle(), &less, &ImportOptions::default()).await.expect_err(key);
        let named = |it: &String| it.contains("which is not in the data") && it.contains(word);
        assert!(refused.0.iter().any(named), "{key}: {refused}");
    }
    let mut less = document.clone();
    less.as_object_mut().expect("an object").remove("RouteTables");
    let refused = import(&idle(), &less, &ImportOptions::default()).await.expect_err("no tables");
    assert!(refused.0[0].contains("aws ec2 describe-route-tables"), "{refused}");
    // Each of several problems is told.
    let mut wrong = document.clone();
    wrong["Subnets"][0]["CidrBlock"] = json!("10.99.0.0/24");
    wrong["NetworkInterfaces"][0]["PrivateIpAddresses"][0]["PrivateIpAddress"] = json!("10.98.0.9");
    wrong["SecurityGroupRules"][0]["IpProtocol"] = json!("ipx");
    let refused = import(&idle(), &wrong, &ImportOptions::default()).await.expect_err("wrong");
    for part in ["10.99.0.0/24 is no part of vpc-", "10.98.0.9 is no address of", "ipx"] {
        assert!(refused.0.iter().any(|it| it.contains(part)), "{part}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nothing_here_is_like_is_told_and_leads_nowhere() {
    let cloud = Cloud::new();
    network(&cloud).await;
    let mut document = export(&cloud);
    let route = |target: Value| {
        let mut route = json!({"DestinationCidrBlock": "10.200.0.0/16", "State": "active",
            "Origin": "CreateRoute"});
        let target = target.as_object().expect("an object").clone();
        route.as_object_mut().expect("an object").extend(target);
        route
    };
    let tables = document["RouteTables"].as_array_mut().expect("tables");
    let targets = [
        json!({"TransitGatewayId": "tgw-0123456789abcdef0"}),
        json!({"CarrierGatewayId": "cagw-0123456789abcdef0"}),
    ];
    for (table, target) in tables.iter_mut().zip(targets) {
        table["Routes"].as_array_mut().expect("routes").push(route(target));
    }
    document["LoadBalancers"] = json!([{}, {}]);
    document["KeyPairs"] = json!([{}]);
    document["Vpcs"][0]["NewestMember"] = json!(1);
    let image = json!("ami-0123456789abcdef0");
    document["Reservations"][0]["Instances"][0]["ImageId"] = image;
    let twin = idle();
    let imported = import(&twin, &document, &ImportOptions::default()).await.expect("a twin");
    for part in ["tgw-0123456789abcdef0 carries nothing here", "cagw-", "2 LoadBalancers"] {
        let told = &imported.unsupported;
        assert!(told.iter().any(|it| it.contains(part)), "{part}: {told:?}");
    }
    assert_eq!(imported.unsupported.len(), 3, "{:?}", imported.unsupported);
    assert!(imported.replaced.iter().any(|it| it.contains("ami-0123456789abcdef0")));
    assert!(imported.notes.iter().any(|it| it.contains("KeyPairs (1)")));
    assert!(imported.differences.contains(&("Vpcs[].NewestMember".to_owned(), 1)));
    let strict = ImportOptions { strict: true, ..Default::default() };
    let refused = import(&idle(), &document, &strict).await.expect_err("strict");
    assert_eq!(refused.0.len(), 3, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_twin_may_be_of_another_account_region_and_pool() {
    let cloud = Cloud::new();
    network(&cloud).await;
    let mut document = export(&cloud);
    document.as_object_mut().expect("an object").remove("SecurityGroupRules");
    document["Addresses"][0]["PublicIp"] = json!("52.78.1.2");
    let options = ImportOptions {
        account: "444455556666".parse().ok(),
        region: "us-east-1".parse().ok(),
        new_public_addresses: true,
        ..Default::default()
    };
    let twin = idle();
    let imported = import(&twin, &document, &options).await.expect("a twin");
    let theirs = export(&twin);
    assert_eq!(theirs["Vpcs"][0]["OwnerId"], "444455556666");
    let zone = theirs["Subnets"][0]["AvailabilityZone"].as_str().expect("a zone");
    assert!(zone.starts_with("us-east-1"), "{zone}");
    assert!(imported.replaced.iter().any(|it| it.contains("its public address 52.78.1.2 is")));
    let rules = |of: &Value| {
        of["SecurityGroups"]
            .as_array()
            .expect("groups")
            .iter()
            .map(|group| {
                (group["GroupId"].clone(), group["IpPermissions"].as_array().map(Vec::len))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(rules(&theirs), rules(&document), "rules from what the groups say");
    assert!(twin.control.snapshot().everywhere::<SecurityGroup>().count() > 0);
}
