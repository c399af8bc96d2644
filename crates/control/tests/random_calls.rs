//! Calls in any order, with parameters right and wrong: nothing panics, no answer is 500, and
//! what must be unique is unique, what is referred to is there.

mod common;

use std::collections::{BTreeMap, HashSet};

use common::{Cloud, Wishes};
use gureum_engine::FabricConfig;
use gureum_store::Snapshot;
use gureum_types::{
    record::{
        Address, Instance, InstanceState, InternetGateway, NetworkAcl, NetworkInterface,
        PublicAddress, RouteTable, Scope, SecurityGroup, SecurityGroupRule, Subnet, Volume, Vpc,
        is_reserved,
    },
    view::ServiceView,
};
use proptest::{prelude::*, test_runner::TestRunner};

/// One call: what to do, and numbers that choose among what is there.
#[derive(Clone, Debug)]
struct Step {
    action: usize,
    picks: [usize; 3],
}

const ACTIONS: usize = 26;

fn check(records: &Snapshot) {
    fn scope(key: &gureum_store::Key) -> &Scope {
        key.scope.as_ref().expect("it belongs to an account")
    }
    let (mut private, mut public, mut ports) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (key, it) in records.everywhere::<NetworkInterface>() {
        let subnet = records.find::<Subnet>(scope(key), it.subnet_id.as_str()).expect("a subnet");
        assert_eq!(subnet.vpc_id, it.vpc_id);
        assert!(ports.insert(it.port), "port twice");
        assert!(!it.groups.is_empty(), "SG-7");
        for group in &it.groups {
            let group = records.find::<SecurityGroup>(scope(key), group.as_str());
            assert_eq!(group.expect("a group").vpc_id, it.vpc_id);
        }
        for address in &it.private_addresses {
            assert!(private.insert((it.vpc_id.clone(), *address)), "{address} twice");
            let block = subnet.cidr_block.expect("no subnet here has IPv6 only");
            assert!(block.contains(address), "{address} outside");
            assert!(!is_reserved(block, *address), "{address} is reserved (SUB-3)");
        }
        if let Some(attachment) = &it.attachment {
            let id = attachment.instance_id.as_str();
            let instance = records.find::<Instance>(scope(key), id).expect("an instance");
            assert_ne!(instance.state, InstanceState::Terminated);
        }
        if let Some(address) = it.auto_public_ip {
            assert!(public.insert(address), "{address} twice");
        }
    }
    for (key, it) in records.everywhere::<Address>() {
        assert!(public.insert(it.public_ip), "{} twice", it.public_ip);
        if let Some(association) = &it.association {
            let id = association.network_interface_id.as_str();
            let interface = records.find::<NetworkInterface>(scope(key), id).expect("it is there");
            assert!(interface.private_addresses.contains(&association.private_ip));
        }
    }
    let held = records.everywhere::<PublicAddress>().filter(|(_, it)| it.holder.is_some());
    let held: HashSet<_> = held.map(|(_, it)| it.address).collect();
    assert_eq!(held, public, "what is held is written down as held");
    let mut blocks: BTreeMap<String, Vec<ipnet::Ipv4Net>> = BTreeMap::new();
    for (key, it) in records.everywhere::<Subnet>() {
        let vpc = records.find::<Vpc>(scope(key), it.vpc_id.as_str()).expect("a VPC");
        let block = it.cidr_block.expect("no subnet here has IPv6 only");
        assert!(vpc.cidr_associations.iter().any(|own| own.cidr_block.contains(&block)));
        let others = blocks.entry(it.vpc_id.to_string()).or_default();
        assert!(others.iter().all(|o| !o.contains(&block) && !block.contains(o)));
        others.push(block);
        let acls = records.referrers::<NetworkAcl>(it.id.as_str()).count();
        assert_eq!(acls, 1, "NACL-6");
        assert!(records.referrers::<RouteTable>(it.id.as_str()).count() <= 1, "RT-3");
    }
    for (key, it) in records.everywhere::<Vpc>() {
        let id = it.id.as_str();
        let tables = records.referrers::<RouteTable>(id);
        let main = tables.filter(|it| it.associations.iter().any(|it| it.main)).count();
        assert_eq!(main, 1, "one main table");
        assert_eq!(records.referrers::<NetworkAcl>(id).filter(|it| it.is_default).count(), 1);
        let groups = records.referrers::<SecurityGroup>(id);
        assert_eq!(groups.filter(|it| it.name == "default").count(), 1, "SG-5");
        assert!(records.referrers::<InternetGateway>(id).count() <= 1, "IGW-1");
        assert!(key.scope.is_some());
    }
    for (key, it) in records.everywhere::<SecurityGroupRule>() {
        assert!(records.find::<SecurityGroup>(scope(key), it.group_id.as_str()).is_some());
    }
    for (key, it) in records.everywhere::<Volume>() {
        let Some(attachment) = &it.attachment else { continue };
        let id = attachment.instance_id.as_str();
        assert!(records.find::<Instance>(scope(key), id).is_some());
    }
}

/// The ids of a kind, with one that is not there and one that is none.
fn ids(records: &Snapshot, kind: &str) -> Vec<String> {
    macro_rules! of {
        ($kind:ty) => {
            records.everywhere::<$kind>().map(|(_, it)| it.id.to_string()).collect()
        };
    }
    let mut found: Vec<String> = match kind {
        "vpc" => of!(Vpc),
        "subnet" => of!(Subnet),
        "rtb" => of!(RouteTable),
        "igw" => of!(InternetGateway),
        "sg" => of!(SecurityGroup),
        "acl" => of!(NetworkAcl),
        "eni" => of!(NetworkInterface),
        "i" => of!(Instance),
        "eipalloc" => {
            records.everywhere::<Address>().map(|(_, it)| it.allocation_id.to_string()).collect()
        }
        "rtbassoc" => records
            .everywhere::<RouteTable>()
            .flat_map(|(_, it)| it.associations.iter().map(|it| it.id.to_string()))
            .collect(),
        "aclassoc" => records
            .everywhere::<NetworkAcl>()
            .flat_map(|(_, it)| it.associations.iter().map(|it| it.id.to_string()))
            .collect(),
        "eipassoc" => records
            .everywhere::<Address>()
            .filter_map(|(_, it)| it.association.as_ref().map(|it| it.id.to_string()))
            .collect(),
        "eni-attach" => records
            .everywhere::<NetworkInterface>()
            .filter_map(|(_, it)| it.attachment.as_ref().map(|it| it.id.to_string()))
            .collect(),
        other => panic!("no kind {other}"),
    };
    found.push(format!("{kind}-0123456789abcdef0"));
    found.push("nonsense".into());
    found
}

/// Makes a call; nobody else changes records meanwhile if it is `alone`.
async fn make(cloud: &Cloud, step: &Step, alone: bool) {
    let records = cloud.control.snapshot();
    let [a, b, c] = step.picks;
    let pick = |kind: &str, number: usize| {
        let ids = ids(&records, kind);
        ids[number % ids.len()].clone()
    };
    let blocks =
        ["10.1.0.0/16", "10.1.1.0/24", "10.1.1.128/25", "172.31.200.0/24", "0.0.0.0/0", "x"];
    let block = |number: usize| blocks[number % blocks.len()].to_owned();
    let (action, parameters): (&str, Vec<(&str, String)>) = match step.action % ACTIONS {
        0 => ("CreateVpc", vec![("CidrBlock", block(a))]),
        1 => ("DeleteVpc", vec![("VpcId", pick("vpc", a))]),
        2 => ("CreateSubnet", vec![("VpcId", pick("vpc", a)), ("CidrBlock", block(b))]),
        3 => ("DeleteSubnet", vec![("SubnetId", pick("subnet", a))]),
        4 => ("CreateInternetGateway", vec![]),
        5 => (
            "AttachInternetGateway",
            vec![("InternetGatewayId", pick("igw", a)), ("VpcId", pick("vpc", b))],
        ),
        6 => (
            "DetachInternetGateway",
            vec![("InternetGatewayId", pick("igw", a)), ("VpcId", pick("vpc", b))],
        ),
        7 => ("DeleteInternetGateway", vec![("InternetGatewayId", pick("igw", a))]),
        8 => ("CreateRouteTable", vec![("VpcId", pick("vpc", a))]),
        9 => (
            "AssociateRouteTable",
            vec![("RouteTableId", pick("rtb", a)), ("SubnetId", pick("subnet", b))],
        ),
        10 => (
            "ReplaceRouteTableAssociation",
            vec![("RouteTableId", pick("rtb", a)), ("AssociationId", pick("rtbassoc", b))],
        ),
        11 => ("DeleteRouteTable", vec![("RouteTableId", pick("rtb", a))]),
        12 => (
            "CreateRoute",
            vec![
                ("RouteTableId", pick("rtb", a)),
                ("DestinationCidrBlock", block(b)),
                ("NetworkInterfaceId", pick("eni", c)),
            ],
        ),
        13 => (
            "CreateSecurityGroup",
            vec![
                ("GroupName", format!("g{a}")),
                ("GroupDescription", "d".into()),
                ("VpcId", pick("vpc", b)),
            ],
        ),
        14 => (
            "AuthorizeSecurityGroupIngress",
            vec![
                ("GroupId", pick("sg", a)),
                ("IpPermissions.1.IpProtocol", "-1".into()),
                ("IpPermissions.1.Groups.1.GroupId", pick("sg", b)),
            ],
        ),
        15 => ("DeleteSecurityGroup", vec![("GroupId", pick("sg", a))]),
        16 => (
            "CreateNetworkInterface",
            vec![
                ("SubnetId", pick("subnet", a)),
                ("SecondaryPrivateIpAddressCount", (b % 4).to_string()),
            ],
        ),
        17 => ("DeleteNetworkInterface", vec![("NetworkInterfaceId", pick("eni", a))]),
        18 => (
            "AttachNetworkInterface",
            vec![
                ("NetworkInterfaceId", pick("eni", a)),
                ("InstanceId", pick("i", b)),
                ("DeviceIndex", (c % 3).to_string()),
            ],
        ),
        19 => ("DetachNetworkInterface", vec![("AttachmentId", pick("eni-attach", a))]),
        20 => (
            "RunInstances",
            vec![
                ("ImageId", cloud.image().await),
                ("MinCount", "1".into()),
                ("MaxCount", (a % 3 + 1).to_string()),
                ("SubnetId", pick("subnet", b)),
            ],
        ),
        21 => (
            ["StartInstances", "StopInstances", "TerminateInstances"][b % 3],
            vec![("InstanceId.1", pick("i", a))],
        ),
        22 => ("AllocateAddress", vec![]),
        23 => (
            "AssociateAddress",
            vec![("AllocationId", pick("eipalloc", a)), ("NetworkInterfaceId", pick("eni", b))],
        ),
        24 => match a % 2 {
            0 => ("ReleaseAddress", vec![("AllocationId", pick("eipalloc", b))]),
            _ => ("DisassociateAddress", vec![("AssociationId", pick("eipassoc", b))]),
        },
        _ => (
            "ReplaceNetworkAclAssociation",
            vec![("AssociationId", pick("aclassoc", a)), ("NetworkAclId", pick("acl", b))],
        ),
    };
    let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let before = cloud.control.snapshot().revision();
    let reply = cloud.ec2(action, &parameters).await;
    assert!(reply.status < 500, "{action} {parameters:?}: {}", reply.body);
    if reply.status != 200 && alone {
        assert_eq!(cloud.control.snapshot().revision(), before, "{action} was refused and changed");
    }
}

/// What was published by and by is what the records say when they are compiled as a whole.
fn check_published(cloud: &Cloud) {
    let fabric = FabricConfig {
        internet_mac: [2; 6],
        services_mac: [6; 6],
        public_pool: "198.18.0.0/16".parse().expect("a block"),
        ipv6_pool: gureum_types::IPV6_POOL,
    };
    let (policy, view) = gureum_control::compile(&cloud.control.snapshot(), &fabric);
    let published = cloud.linux.policy().expect("a policy");
    assert_eq!(published.listing(), policy.listing());
    let published = cloud.linux.view().expect("a view");
    assert_eq!(*published, ServiceView { epoch: published.epoch, ..view });
}

/// Makes calls in every order of `cases` sequences, with the reconciler at work or without.
fn run_sequences(cases: u32, reconciled: bool) {
    let step = (0..ACTIONS, [0_usize..50, 0..50, 0..50])
        .prop_map(|(action, picks)| Step { action, picks });
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
    TestRunner::new(config)
        .run(&proptest::collection::vec(step, 60..120), |steps| {
            runtime.block_on(async {
                let cloud = Cloud::with(Wishes { running: reconciled, ..Wishes::default() });
                cloud.network().await;
                for step in &steps {
                    make(&cloud, step, !reconciled).await;
                    check(&cloud.control.snapshot());
                    if !reconciled {
                        check_published(&cloud);
                    }
                }
                assert!(cloud.linux.policy().is_some());
            });
            Ok(())
        })
        .expect("the records hold");
}

#[test]
fn no_order_of_calls_breaks_the_records() {
    run_sequences(24, false);
}

#[test]
fn no_order_of_calls_breaks_them_while_instances_come_and_go() {
    run_sequences(24, true);
}
