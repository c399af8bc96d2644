//! Calls in any order, with parameters right and wrong: nothing panics, no answer is 500, and
//! what must be unique is unique, what is referred to is there.

mod common;

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use common::{Cloud, Wishes};
use gureum_control::ImportOptions;
use gureum_engine::FabricConfig;
use gureum_store::Snapshot;
use gureum_types::{
    record::{
        Address, EgressOnlyInternetGateway, Instance, InstanceState, InternetGateway, NatGateway,
        NatGatewayState, NetworkAcl, NetworkInterface, PeeringStatus, PrefixList, PublicAddress,
        RouteTable, RulePeer, Scope, SecurityGroup, SecurityGroupRule, Subnet, Volume, Vpc,
        VpcEndpoint, VpcEndpointState, VpcPeeringConnection, is_reserved, is_reserved_ipv6,
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

const ACTIONS: usize = 47;

fn check(records: &Snapshot) {
    fn scope(key: &gureum_store::Key) -> &Scope {
        key.scope.as_ref().expect("it belongs to an account")
    }
    let (mut private, mut public, mut ports) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (key, it) in records.everywhere::<NetworkInterface>() {
        let subnet = records.find::<Subnet>(scope(key), it.subnet_id.as_str()).expect("a subnet");
        assert_eq!(subnet.vpc_id, it.vpc_id);
        assert!(ports.insert(it.port), "port twice");
        assert_eq!(it.groups.is_empty(), it.interface_type == "natGateway", "SG-7, NAT-14");
        for group in &it.groups {
            let group = records.find::<SecurityGroup>(scope(key), group.as_str());
            assert_eq!(group.expect("a group").vpc_id, it.vpc_id);
        }
        for address in &it.private_addresses {
            let address_of = (it.vpc_id.clone(), IpAddr::from(*address));
            assert!(private.insert(address_of), "{address} twice");
            let block = subnet.cidr_block.expect("an IPv4 block");
            assert!(block.contains(address), "{address} outside");
            assert!(!is_reserved(block, *address), "{address} is reserved (SUB-3)");
        }
        for address in &it.ipv6_addresses {
            let address_of = (it.vpc_id.clone(), IpAddr::from(*address));
            assert!(private.insert(address_of), "{address} twice");
            let block = subnet.ipv6_block().expect("an IPv6 block");
            assert!(block.contains(address), "{address} outside");
            assert!(!is_reserved_ipv6(block, *address), "{address} is reserved (SUB-5)");
        }
        let addresses = it.private_addresses.len() + it.ipv6_addresses.len();
        assert!(addresses > 0, "an interface without any address");
        assert_eq!(it.private_addresses.is_empty(), subnet.cidr_block.is_none(), "ENI-1");
        assert!(!it.primary_ipv6 || !it.ipv6_addresses.is_empty());
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
    check_gateways(records);
    let held = records.everywhere::<PublicAddress>().filter(|(_, it)| it.holder.is_some());
    let held: HashSet<_> = held.map(|(_, it)| it.address).collect();
    assert_eq!(held, public, "what is held is written down as held");
    let mut blocks: BTreeMap<String, Vec<ipnet::IpNet>> = BTreeMap::new();
    for (key, it) in records.everywhere::<Subnet>() {
        let vpc = records.find::<Vpc>(scope(key), it.vpc_id.as_str()).expect("a VPC");
        assert!(it.cidr_block.is_some() || it.ipv6_cidr_association.is_some());
        let ipv4 = it.cidr_block.map(ipnet::IpNet::from);
        let ipv6 = it.ipv6_block().map(ipnet::IpNet::from);
        let of_vpc = || {
            let ipv4 = vpc.cidr_associations.iter().map(|own| own.cidr_block.into());
            ipv4.chain(vpc.ipv6_cidr_associations.iter().map(|own| own.cidr_block.into()))
        };
        for block in ipv4.into_iter().chain(ipv6) {
            assert!(of_vpc().any(|own: ipnet::IpNet| own.contains(&block)), "{block} outside");
            let others = blocks.entry(it.vpc_id.to_string()).or_default();
            assert!(others.iter().all(|o| !o.contains(&block) && !block.contains(o)));
            others.push(block);
        }
        let acls = records.referrers::<NetworkAcl>(it.id.as_str()).count();
        assert_eq!(acls, 1, "NACL-6");
        assert!(records.referrers::<RouteTable>(it.id.as_str()).count() <= 1, "RT-3");
    }
    let mut given_out = HashSet::new();
    for (key, it) in records.everywhere::<Vpc>() {
        for association in &it.ipv6_cidr_associations {
            assert!(given_out.insert(association.cidr_block), "a block of two VPCs (CIDR-12)");
        }
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
        if let RulePeer::PrefixList(list) = &it.peer {
            assert!(records.find::<PrefixList>(scope(key), list.as_str()).is_some(), "SG-10");
        }
    }
    for (key, it) in records.everywhere::<Volume>() {
        let Some(attachment) = &it.attachment else { continue };
        let id = attachment.instance_id.as_str();
        assert!(records.find::<Instance>(scope(key), id).is_some());
    }
}

/// A NAT gateway and its interface belong together, an address of the one is one of the other;
/// what hangs on a VPC or on its gateway is of that VPC.
fn check_gateways(records: &Snapshot) {
    let mut interfaces = HashSet::new();
    for (key, it) in records.everywhere::<NatGateway>() {
        let scope = key.scope.as_ref().expect("it belongs to an account");
        let Some(id) = &it.network_interface_id else {
            let without = matches!(it.state, NatGatewayState::Failed | NatGatewayState::Deleted);
            assert!(without || it.failure.is_some() || it.state == NatGatewayState::Deleting);
            continue;
        };
        assert!(interfaces.insert(id.clone()), "an interface of two gateways");
        assert!(it.failure.is_none());
        let interface = records.find::<NetworkInterface>(scope, id.as_str()).expect("it is there");
        assert_eq!((&interface.vpc_id, &interface.subnet_id), (&it.vpc_id, &it.subnet_id));
        let addresses: Vec<_> = it.addresses.iter().filter_map(|it| it.private_ip).collect();
        assert_eq!(interface.private_addresses, addresses);
        for address in &it.addresses {
            assert_eq!(address.allocation_id.is_some(), it.public, "NAT-1");
            let Some(id) = &address.allocation_id else { continue };
            let elastic = records.find::<Address>(scope, id.as_str()).expect("EIP-8");
            let association = elastic.association.as_ref().expect("EIP-8");
            assert_eq!(Some(&association.id), address.association_id.as_ref());
            assert_eq!(Some(association.private_ip), address.private_ip);
        }
    }
    for (key, it) in records.everywhere::<VpcEndpoint>() {
        let scope = key.scope.as_ref().expect("it belongs to an account");
        let mut zones = HashSet::new();
        let of = it.interface();
        for id in of.into_iter().flat_map(|of| &of.interfaces) {
            assert!(interfaces.insert(id.clone()), "an interface of two endpoints");
            let interface = records.find::<NetworkInterface>(scope, id.as_str()).expect("there");
            assert_eq!(interface.vpc_id, it.vpc_id);
            assert_eq!(Some(&interface.groups), of.map(|of| &of.groups), "VPCE-5");
            assert!(zones.insert(interface.availability_zone.clone()), "VPCE-3");
        }
        let routes = records.referrers::<RouteTable>(it.id.as_str()).count();
        let leaving = matches!(it.state, VpcEndpointState::Deleting | VpcEndpointState::Deleted);
        assert!(routes == 0 || of.is_none() && !leaving, "VPCE-18");
    }
    let managed = records.everywhere::<NetworkInterface>().filter(|(_, it)| it.requester_managed);
    let managed: HashSet<_> = managed.map(|(_, it)| it.id.clone()).collect();
    assert_eq!(
        managed, interfaces,
        "nothing is left of a gateway or an endpoint, nothing is missing (ENI-7)"
    );
    for (_, it) in records.everywhere::<EgressOnlyInternetGateway>() {
        let id = it.vpc_id.as_str();
        assert_eq!(records.referrers::<EgressOnlyInternetGateway>(id).count(), 1, "EIGW-1");
    }
    for (key, it) in records.everywhere::<RouteTable>() {
        let scope = key.scope.as_ref().expect("it belongs to an account");
        for id in it.associations.iter().filter_map(|it| it.gateway_id.as_ref()) {
            let gateway = records.find::<InternetGateway>(scope, id.as_str()).expect("RT-18");
            assert_eq!(gateway.vpc_id.as_ref(), Some(&it.vpc_id), "RT-18");
        }
    }
    let mut pairs = HashSet::new();
    for (_, it) in records.everywhere::<VpcPeeringConnection>() {
        if !matches!(it.status, PeeringStatus::PendingAcceptance | PeeringStatus::Active) {
            continue;
        }
        let sides = [&it.requester, &it.accepter];
        let [a, b] = sides
            .map(|side| records.find::<Vpc>(&side.scope, side.vpc_id.as_str()).expect("a VPC"));
        let overlap = a.cidr_associations.iter().any(|a| {
            let (a, mut blocks) = (a.cidr_block, b.cidr_associations.iter().map(|b| b.cidr_block));
            blocks.any(|b| a.contains(&b) || b.contains(&a))
        });
        assert!(!overlap || it.status == PeeringStatus::PendingAcceptance, "CIDR-11");
        let mut pair = sides.map(|side| side.vpc_id.clone());
        pair.sort();
        assert!(pairs.insert(pair), "two connections between two VPCs");
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
        "nat" => of!(NatGateway),
        "eigw" => of!(EgressOnlyInternetGateway),
        "pcx" => of!(VpcPeeringConnection),
        "vpce" => of!(VpcEndpoint),
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
        "pl" => of!(PrefixList),
        "vpc-cidr-assoc" => records
            .everywhere::<Vpc>()
            .flat_map(|(_, it)| {
                let ipv4 = it.cidr_associations.iter().map(|it| it.id.to_string());
                ipv4.chain(it.ipv6_cidr_associations.iter().map(|it| it.id.to_string()))
            })
            .collect(),
        "subnet-cidr-assoc" => records
            .everywhere::<Subnet>()
            .filter_map(|(_, it)| Some(it.ipv6_cidr_association.as_ref()?.id.to_string()))
            .collect(),
        // Blocks and addresses are chosen as ids are.
        "2001:db8::/64" => records
            .everywhere::<Vpc>()
            .flat_map(|(_, it)| &it.ipv6_cidr_associations)
            .flat_map(|it| it.cidr_block.subnets(64).expect("a /56").take(3))
            .map(|it| it.to_string())
            .collect(),
        "10.1.1.9" => records
            .everywhere::<NetworkInterface>()
            .flat_map(|(_, it)| it.private_addresses.iter().map(ToString::to_string))
            .chain(["10.1.1.9".into(), "10.1.1.10".into()])
            .collect(),
        "2001:db8::9" => records
            .everywhere::<NetworkInterface>()
            .flat_map(|(_, it)| it.ipv6_addresses.iter().map(ToString::to_string))
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
        25 => (
            "CreateNatGateway",
            match a % 2 {
                0 => vec![
                    ("SubnetId", pick("subnet", b)),
                    ("ConnectivityType", "private".into()),
                    ("SecondaryPrivateIpAddressCount", (c % 3 + 1).to_string()),
                ],
                _ => vec![
                    ("SubnetId", pick("subnet", b)),
                    ("AllocationId", pick("eipalloc", c)),
                    ("SecondaryAllocationId.1", pick("eipalloc", a)),
                ],
            },
        ),
        26 => match a % 4 {
            0 | 1 => ("DeleteNatGateway", vec![("NatGatewayId", pick("nat", b))]),
            2 => (
                "AssociateNatGatewayAddress",
                vec![("NatGatewayId", pick("nat", b)), ("AllocationId.1", pick("eipalloc", c))],
            ),
            _ => (
                "DisassociateNatGatewayAddress",
                vec![("NatGatewayId", pick("nat", b)), ("AssociationId.1", pick("eipassoc", c))],
            ),
        },
        27 => match a % 3 {
            0 | 1 => ("CreateEgressOnlyInternetGateway", vec![("VpcId", pick("vpc", b))]),
            _ => (
                "DeleteEgressOnlyInternetGateway",
                vec![("EgressOnlyInternetGatewayId", pick("eigw", b))],
            ),
        },
        28 => (
            "CreateVpcPeeringConnection",
            vec![("VpcId", pick("vpc", a)), ("PeerVpcId", pick("vpc", b))],
        ),
        29 => (
            [
                "AcceptVpcPeeringConnection",
                "RejectVpcPeeringConnection",
                "DeleteVpcPeeringConnection",
            ][b % 3],
            vec![("VpcPeeringConnectionId", pick("pcx", a))],
        ),
        30 => match c % 3 {
            0 => (
                "AssociateRouteTable",
                vec![("RouteTableId", pick("rtb", a)), ("GatewayId", pick("igw", b))],
            ),
            1 => (
                "ReplaceRoute",
                vec![
                    ("RouteTableId", pick("rtb", a)),
                    ("DestinationCidrBlock", block(b)),
                    ("NatGatewayId", pick("nat", c)),
                ],
            ),
            _ => (
                "CreateRoute",
                vec![
                    ("RouteTableId", pick("rtb", a)),
                    ("DestinationIpv6CidrBlock", "::/0".into()),
                    ("EgressOnlyInternetGatewayId", pick("eigw", b)),
                ],
            ),
        },
        31 => (
            "AssociateVpcCidrBlock",
            match b % 3 {
                0 => vec![("VpcId", pick("vpc", a)), ("CidrBlock", block(c))],
                _ => {
                    let ipv6 = ("AmazonProvidedIpv6CidrBlock", "true".into());
                    vec![("VpcId", pick("vpc", a)), ipv6]
                }
            },
        ),
        32 => ("DisassociateVpcCidrBlock", vec![("AssociationId", pick("vpc-cidr-assoc", a))]),
        33 => {
            let mut parameters =
                vec![("VpcId", pick("vpc", a)), ("Ipv6CidrBlock", pick("2001:db8::/64", b))];
            parameters.push(match c % 2 {
                0 => ("Ipv6Native", "true".into()),
                _ => ("CidrBlock", block(c)),
            });
            ("CreateSubnet", parameters)
        }
        34 => (
            "AssociateSubnetCidrBlock",
            vec![("SubnetId", pick("subnet", a)), ("Ipv6CidrBlock", pick("2001:db8::/64", b))],
        ),
        35 => {
            ("DisassociateSubnetCidrBlock", vec![("AssociationId", pick("subnet-cidr-assoc", a))])
        }
        36 => (
            "ModifySubnetAttribute",
            vec![
                ("SubnetId", pick("subnet", a)),
                ("AssignIpv6AddressOnCreation.Value", (b % 2 == 0).to_string()),
            ],
        ),
        37 => (
            "AssignPrivateIpAddresses",
            vec![
                ("NetworkInterfaceId", pick("eni", a)),
                ("PrivateIpAddress.1", pick("10.1.1.9", b)),
                ("AllowReassignment", (c % 2 == 0).to_string()),
            ],
        ),
        38 => (
            "UnassignPrivateIpAddresses",
            vec![
                ("NetworkInterfaceId", pick("eni", a)),
                ("PrivateIpAddress.1", pick("10.1.1.9", b)),
            ],
        ),
        39 => (
            "AssignIpv6Addresses",
            match b % 2 {
                0 => vec![
                    ("NetworkInterfaceId", pick("eni", a)),
                    ("Ipv6Addresses.1", pick("2001:db8::9", c)),
                ],
                _ => vec![
                    ("NetworkInterfaceId", pick("eni", a)),
                    ("Ipv6AddressCount", (c % 4).to_string()),
                ],
            },
        ),
        40 => (
            "UnassignIpv6Addresses",
            vec![
                ("NetworkInterfaceId", pick("eni", a)),
                ("Ipv6Addresses.1", pick("2001:db8::9", b)),
            ],
        ),
        41 => match a % 2 {
            0 => (
                "CreateManagedPrefixList",
                vec![
                    ("PrefixListName", "p".into()),
                    ("AddressFamily", ["IPv4", "IPv6"][b % 2].into()),
                    ("MaxEntries", (c % 70).to_string()),
                ],
            ),
            _ => ("DeleteManagedPrefixList", vec![("PrefixListId", pick("pl", b))]),
        },
        43 => {
            let service = ["s3", "ssm", "sts", "dynamodb"][c % 4];
            let mut parameters = vec![
                ("VpcId", pick("vpc", a)),
                ("ServiceName", format!("com.amazonaws.ap-northeast-2.{service}")),
            ];
            match b % 3 {
                0 => parameters.push(("RouteTableId.1", pick("rtb", b))),
                _ => parameters.extend([
                    ("VpcEndpointType", "Interface".to_owned()),
                    ("SubnetId.1", pick("subnet", b)),
                    ("SubnetId.2", pick("subnet", c)),
                    ("PrivateDnsEnabled", (c % 2 == 0).to_string()),
                ]),
            }
            ("CreateVpcEndpoint", parameters)
        }
        44 => (
            "ModifyVpcEndpoint",
            vec![
                ("VpcEndpointId", pick("vpce", a)),
                match b % 5 {
                    0 => ("AddSubnetId.1", pick("subnet", c)),
                    1 => ("RemoveSubnetId.1", pick("subnet", c)),
                    2 => ("AddSecurityGroupId.1", pick("sg", c)),
                    3 => ("AddRouteTableId.1", pick("rtb", c)),
                    _ => ("RemoveRouteTableId.1", pick("rtb", c)),
                },
            ],
        ),
        45 => ("DeleteVpcEndpoints", vec![("VpcEndpointId.1", pick("vpce", a))]),
        42 => (
            "AuthorizeSecurityGroupIngress",
            vec![
                ("GroupId", pick("sg", a)),
                ("IpPermissions.1.IpProtocol", "-1".into()),
                ("IpPermissions.1.PrefixListIds.1.PrefixListId", pick("pl", b)),
            ],
        ),
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

/// What describe calls answer makes the same records again, as far as they show them.
async fn check_twin(cloud: &Cloud) {
    let records = cloud.control.snapshot();
    let is_stale = |rule: &SecurityGroupRule| match &rule.peer {
        RulePeer::Group(id) => {
            !records.everywhere::<SecurityGroup>().any(|(_, group)| group.id == *id)
        }
        _ => false,
    };
    // A rule about a peer's group that is no more refers to nothing, and so would be refused.
    if records.everywhere::<SecurityGroupRule>().any(|(_, rule)| is_stale(rule)) {
        return;
    }
    let document = cloud.control.export(None, None).expect("a document");
    let twin = Cloud::with(Wishes { running: false, ..Wishes::default() });
    let answers = [("document".to_owned(), document.clone())];
    let imported = twin.control.import(&answers, &ImportOptions::default()).await;
    let imported = imported.unwrap_or_else(|refused| panic!("refused: {refused}"));
    assert_eq!(imported.unsupported, Vec::<String>::new());
    check(&twin.control.snapshot());
    let again = twin.control.export(None, None).expect("a document");
    for (key, value) in document.as_object().expect("an object") {
        assert_eq!(again[key], *value, "{key}");
    }
}

/// Makes calls in every order of `cases` sequences, with the reconciler at work or without.
fn run_sequences(cases: u32, reconciled: bool) {
    let step = (0..ACTIONS, [0_usize..50, 0..50, 0..50])
        .prop_map(|(action, picks)| Step { action, picks });
    let config = ProptestConfig { cases, failure_persistence: None, ..Default::default() };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().expect("a runtime");
    TestRunner::new(config)
        .run(&proptest::collection::vec(step, 80..160), |steps| {
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
                if !reconciled {
                    check_twin(&cloud).await;
                }
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
