//! Address blocks of VPCs and subnets and the addresses of interfaces, both families (CIDR-8 to
//! CIDR-12, SUB-5, SUB-7, ENI-5, ENI-9, EIP-5).

mod common;

use std::collections::HashSet;

use common::{Cloud, Reply, Wishes, refused};

/// A VPC with an IPv6 block.
async fn dual_vpc(cloud: &Cloud, block: &str) -> (String, String) {
    let parameters = [("CidrBlock", block), ("AmazonProvidedIpv6CidrBlock", "true")];
    let vpc = cloud.make("CreateVpc", &parameters, "vpcId").await;
    let block = cloud.make("DescribeVpcs", &[("VpcId.1", &vpc)], "ipv6CidrBlock").await;
    (vpc, block)
}

/// The /64 of that number in a /56.
fn nth(block: &str, number: u8) -> String {
    let prefix = block.strip_suffix("00::/56").expect("a /56 block");
    format!("{prefix}{number:02x}::/64")
}

/// A VPC with a subnet of both families and one with IPv6 only, and their IPv6 blocks.
struct Dual {
    vpc: String,
    both: String,
    native: String,
    blocks: [String; 3],
}

async fn dual(cloud: &Cloud) -> Dual {
    let (vpc, block) = dual_vpc(cloud, "10.1.0.0/16").await;
    let blocks = [0, 1, 2].map(|number| nth(&block, number));
    let zone = ("AvailabilityZone", "ap-northeast-2a");
    let both = [
        ("VpcId", vpc.as_str()),
        ("CidrBlock", "10.1.1.0/24"),
        ("Ipv6CidrBlock", &blocks[0]),
        zone,
    ];
    let native =
        [("VpcId", vpc.as_str()), ("Ipv6Native", "true"), ("Ipv6CidrBlock", &blocks[1]), zone];
    let both = cloud.make("CreateSubnet", &both, "subnetId").await;
    let native = cloud.make("CreateSubnet", &native, "subnetId").await;
    Dual { vpc, both, native, blocks }
}

/// The address of that number in a /64.
fn address(block: &str, number: &str) -> String {
    format!("{}{number}", block.strip_suffix("/64").expect("a /64 block"))
}

async fn interface(cloud: &Cloud, subnet: &str, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![("SubnetId", subnet)];
    parameters.extend(more);
    cloud.make("CreateNetworkInterface", &parameters, "networkInterfaceId").await
}

async fn shown(cloud: &Cloud, interface: &str) -> Reply {
    cloud.ec2("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", interface)]).await.ok()
}

async fn addresses(cloud: &Cloud, interface: &str) -> Vec<String> {
    let shown = shown(cloud, interface).await;
    let set = shown.get("privateIpAddressesSet").unwrap_or_default().to_owned();
    Reply { status: 200, body: set }.all("privateIpAddress")
}

async fn ipv6_addresses(cloud: &Cloud, interface: &str) -> Vec<String> {
    let shown = shown(cloud, interface).await;
    let set = shown.get("ipv6AddressesSet").unwrap_or_default().to_owned();
    Reply { status: 200, body: set }.all("ipv6Address")
}

#[tokio::test]
async fn every_vpc_has_another_ipv6_block() {
    // CIDR-12
    let cloud = Cloud::new();
    let parameters = [("CidrBlock", "10.1.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")];
    let made = cloud.ec2("CreateVpc", &parameters).await.ok();
    assert!(made.body.contains("<ipv6CidrBlock></ipv6CidrBlock>"), "not known yet: {}", made.body);
    assert!(made.body.contains("<state>associating</state>"), "{}", made.body);
    let mut blocks = HashSet::new();
    let pool: ipnet::Ipv6Net = "2001:db8::/33".parse().expect("the pool");
    for number in 2..12 {
        let (_, block) = dual_vpc(&cloud, &format!("10.{number}.0.0/16")).await;
        let net: ipnet::Ipv6Net = block.parse().expect("a block");
        assert!(net.prefix_len() == 56 && pool.contains(&net), "{block}");
        assert!(blocks.insert(block), "given out twice");
    }
    let id = made.text("vpcId");
    let shown = cloud.ec2("DescribeVpcs", &[("VpcId.1", &id)]).await.ok();
    assert_eq!(
        (shown.text("ipv6Pool"), shown.text("ipSource")),
        ("Amazon".into(), "amazon".into())
    );
    let association = shown.text("ipv6CidrBlockAssociationSet");
    let association = Reply { status: 200, body: association };
    for (name, value) in [
        ("association-id", association.text("associationId")),
        ("ipv6-cidr-block", association.text("ipv6CidrBlock")),
    ] {
        let filter = [
            ("Filter.1.Name", format!("ipv6-cidr-block-association.{name}")),
            ("Filter.1.Value.1", value),
            ("Filter.2.Name", "ipv6-cidr-block-association.state".into()),
            ("Filter.2.Value.1", "associated".into()),
            ("Filter.3.Name", "ipv6-cidr-block-association.ipv6-pool".into()),
            ("Filter.3.Value.1", "Ama*".into()),
        ];
        let filter: Vec<_> = filter.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let found = cloud.ec2("DescribeVpcs", &filter).await.ok();
        assert_eq!(found.all("vpcId"), [id.as_str()], "{name}");
    }
}

#[tokio::test]
async fn the_first_ipv6_block_opens_what_nobody_changed() {
    // NACL-3, NACL-4, SG-4
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    let acl = async || {
        let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
        cloud.ec2("DescribeNetworkAcls", &filter).await.ok()
    };
    assert_eq!(acl().await.all("ruleNumber"), ["100", "32767", "100", "32767"]);
    let id = acl().await.text("networkAclId");
    let entry = [
        ("NetworkAclId", id.as_str()),
        ("RuleNumber", "90"),
        ("Protocol", "-1"),
        ("RuleAction", "deny"),
        ("Egress", "false"),
        ("CidrBlock", "192.0.2.0/24"),
    ];
    cloud.ec2("CreateNetworkAclEntry", &entry).await.ok();
    let ipv6 = [("VpcId", vpc.as_str()), ("AmazonProvidedIpv6CidrBlock", "true")];
    cloud.ec2("AssociateVpcCidrBlock", &ipv6).await.ok();
    let numbers = ["100", "101", "32767", "32768", "90", "100", "32767", "32768"];
    assert_eq!(acl().await.all("ruleNumber"), numbers, "the changed direction stays");
    let groups = async || {
        let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
        cloud.ec2("DescribeSecurityGroups", &filter).await.ok()
    };
    assert_eq!(groups().await.all("cidrIpv6"), ["::/0"], "the default group");
    let new = [("GroupName", "web"), ("GroupDescription", "d"), ("VpcId", vpc.as_str())];
    cloud.ec2("CreateSecurityGroup", &new).await.ok();
    assert_eq!(groups().await.all("cidrIpv6"), ["::/0", "::/0"], "and a new one");
    // A default group that lets other things out is left alone.
    let (other, _) = cloud.network().await;
    let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", other.as_str())];
    let default = cloud.make("DescribeSecurityGroups", &filter, "groupId").await;
    let revoke = [
        ("GroupId", default.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    cloud.ec2("RevokeSecurityGroupEgress", &revoke).await.ok();
    let ipv6 = [("VpcId", other.as_str()), ("AmazonProvidedIpv6CidrBlock", "true")];
    cloud.ec2("AssociateVpcCidrBlock", &ipv6).await.ok();
    let shown = cloud.ec2("DescribeSecurityGroups", &filter).await.ok();
    assert_eq!(shown.all("cidrIpv6"), Vec::<String>::new());
}

#[tokio::test]
async fn blocks_of_vpcs_come_and_go() {
    // CIDR-8, CIDR-12
    let cloud = Cloud::new();
    let Dual { vpc, blocks, .. } = dual(&cloud).await;
    let more = [("VpcId", vpc.as_str()), ("CidrBlock", "10.2.0.0/16")];
    let more = cloud.ec2("AssociateVpcCidrBlock", &more).await.ok();
    assert_eq!(more.text("state"), "associating");
    let ipv4 = more.text("associationId");
    let subnet = cloud.subnet(&vpc, "10.2.1.0/24", "ap-northeast-2a").await;
    let described = cloud.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await.ok();
    let set = Reply { status: 200, body: described.text("ipv6CidrBlockAssociationSet") };
    let ipv6 = set.text("associationId");
    let in_ipv4 = format!("The vpc {vpc} currently has a subnet within CIDR block 10.2.0.0/16");
    let in_ipv6 = format!("within CIDR block {}", set.text("ipv6CidrBlock"));
    let table = cloud.make("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let route = [
        ("RouteTableId", table.as_str()),
        ("DestinationCidrBlock", "100.64.1.0/24"),
        ("GatewayId", gateway.as_str()),
    ];
    cloud.ec2("CreateRoute", &route).await.ok();
    let v = ("VpcId", vpc.as_str());
    refused(
        &cloud,
        &[
            (
                "DisassociateVpcCidrBlock",
                &[("AssociationId", &ipv4)],
                "InvalidCidrBlock.InUse",
                &in_ipv4,
            ),
            (
                "DisassociateVpcCidrBlock",
                &[("AssociationId", &ipv6)],
                "InvalidCidrBlock.InUse",
                &in_ipv6,
            ),
            (
                "DisassociateVpcCidrBlock",
                &[("AssociationId", "vpc-cidr-assoc-0123456789abcdef0")],
                "InvalidVpcCidrBlockAssociationID.NotFound",
                "does not exist",
            ),
            ("AssociateVpcCidrBlock", &[v], "MissingParameter", "should be provided"),
            (
                "AssociateVpcCidrBlock",
                &[v, ("CidrBlock", "10.3.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")],
                "InvalidParameterCombination",
                "cannot be used together",
            ),
            (
                "AssociateVpcCidrBlock",
                &[v, ("CidrBlock", "10.2.128.0/17")],
                "InvalidVpc.Range",
                "restricted",
            ),
            (
                "AssociateVpcCidrBlock",
                &[v, ("CidrBlock", "100.64.1.0/24")],
                "InvalidParameterValue",
                "equal to or larger than a route destination",
            ),
            (
                "AssociateVpcCidrBlock",
                &[v, ("CidrBlock", "100.64.0.0/16")],
                "InvalidParameterValue",
                "equal to or larger than a route destination",
            ),
            (
                "AssociateVpcCidrBlock",
                &[
                    v,
                    ("AmazonProvidedIpv6CidrBlock", "true"),
                    ("Ipv6CidrBlockNetworkBorderGroup", "us-east-1"),
                ],
                "InvalidParameterValue",
                "ap-northeast-2",
            ),
            (
                "CreateSubnet",
                &[v, ("CidrBlock", "10.1.9.0/24"), ("Ipv6CidrBlock", &blocks[0])],
                "InvalidSubnet.Conflict",
                "conflicts with another subnet",
            ),
        ],
    )
    .await;
    cloud.ec2("DeleteSubnet", &[("SubnetId", &subnet)]).await.ok();
    let gone = cloud.ec2("DisassociateVpcCidrBlock", &[("AssociationId", &ipv4)]).await.ok();
    assert_eq!(gone.text("state"), "disassociating");
    let left = cloud.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await.ok();
    assert!(!left.body.contains("10.2.0.0/16"), "{}", left.body);
    // A narrower block than the route's destination may come (CIDR-8).
    let narrow = [v, ("CidrBlock", "100.64.1.0/25")];
    cloud.ec2("AssociateVpcCidrBlock", &narrow).await.ok();
}

#[tokio::test]
async fn a_vpc_has_so_many_blocks() {
    // CIDR-4, CIDR-10
    let cloud = Cloud::with(Wishes { quotas: true, ..Wishes::default() });
    let (vpc, _) = cloud.network().await;
    let v = ("VpcId", vpc.as_str());
    for number in 2..6 {
        let block = format!("10.{number}.0.0/16");
        cloud.ec2("AssociateVpcCidrBlock", &[v, ("CidrBlock", &block)]).await.ok();
    }
    for _ in 0..5 {
        let ipv6 = [v, ("AmazonProvidedIpv6CidrBlock", "true")];
        cloud.ec2("AssociateVpcCidrBlock", &ipv6).await.ok();
    }
    let full = format!("This network '{vpc}' has met its maximum number of allowed CIDRs: 5");
    refused(
        &cloud,
        &[
            (
                "AssociateVpcCidrBlock",
                &[v, ("CidrBlock", "10.6.0.0/16")],
                "CidrLimitExceeded",
                &full,
            ),
            (
                "AssociateVpcCidrBlock",
                &[v, ("AmazonProvidedIpv6CidrBlock", "true")],
                "CidrLimitExceeded",
                &full,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn subnets_have_ipv4_or_ipv6_or_both() {
    // CIDR-12, SUB-7
    let cloud = Cloud::new();
    let Dual { vpc, both, native, blocks } = dual(&cloud).await;
    let describe = async |id: &str| cloud.ec2("DescribeSubnets", &[("SubnetId.1", id)]).await.ok();
    let shown = describe(&both).await;
    assert_eq!(shown.text("ipv6CidrBlock"), blocks[0]);
    assert_eq!(shown.text("ipv6Native"), "false");
    assert_eq!(shown.text("assignIpv6AddressOnCreation"), "false");
    let shown = describe(&native).await;
    assert_eq!(shown.get("cidrBlock"), None);
    assert_eq!(shown.text("ipv6Native"), "true");
    assert_eq!(shown.text("availableIpAddressCount"), "0");
    assert_eq!(shown.text("assignIpv6AddressOnCreation"), "true");
    assert_eq!(shown.text("hostnameType"), "resource-name");
    let filter = [("Filter.1.Name", "ipv6-native"), ("Filter.1.Value.1", "true")];
    assert_eq!(cloud.ec2("DescribeSubnets", &filter).await.ok().all("subnetId"), [native.as_str()]);
    let association = describe(&both).await.text("associationId");
    for (name, value) in [("ipv6-cidr-block", blocks[0].as_str()), ("association-id", &association)]
    {
        let name = format!("ipv6-cidr-block-association.{name}");
        let filter = [("Filter.1.Name", name.as_str()), ("Filter.1.Value.1", value)];
        let found = cloud.ec2("DescribeSubnets", &filter).await.ok();
        assert_eq!(found.all("subnetId"), [both.as_str()], "{name}");
    }
    let plain = cloud.subnet(&vpc, "10.1.5.0/24", "ap-northeast-2a").await;
    let of_native = describe(&native).await.text("associationId");
    let v = ("VpcId", vpc.as_str());
    let (half, outside) = (blocks[2].replace("/64", "/60"), "2001:db8:ffff:ff00::/64");
    let no_block = format!(
        "Invalid value 'true' for assign-ipv6-address-on-creation. Cannot set assign-ipv6-address-on-creation to true unless the subnet ({plain}) has an IPv6 CIDR block associated with it."
    );
    refused(
        &cloud,
        &[
            (
                "CreateSubnet",
                &[v, ("CidrBlock", "10.1.6.0/24"), ("Ipv6CidrBlock", &half)],
                "InvalidParameterValue",
                "invalid value for parameter ipv6-cidr-block",
            ),
            (
                "CreateSubnet",
                &[v, ("CidrBlock", "10.1.6.0/24"), ("Ipv6CidrBlock", outside)],
                "InvalidSubnet.Range",
                &format!("The CIDR '{outside}' is invalid."),
            ),
            (
                "CreateSubnet",
                &[v, ("CidrBlock", "10.1.6.0/24"), ("Ipv6CidrBlock", "x")],
                "InvalidParameterValue",
                "This is not a valid CIDR block.",
            ),
            (
                "CreateSubnet",
                &[
                    v,
                    ("Ipv6Native", "true"),
                    ("CidrBlock", "10.1.6.0/24"),
                    ("Ipv6CidrBlock", &blocks[2]),
                ],
                "InvalidParameterCombination",
                "cannot be used together",
            ),
            ("CreateSubnet", &[v, ("Ipv6Native", "true")], "MissingParameter", "Ipv6CidrBlock"),
            ("CreateSubnet", &[v, ("Ipv6CidrBlock", &blocks[2])], "MissingParameter", "CidrBlock"),
            (
                "CreateSubnet",
                &[v, ("Ipv6Native", "true"), ("Ipv6CidrBlock", &blocks[1])],
                "InvalidSubnet.Conflict",
                "conflicts",
            ),
            (
                "AssociateSubnetCidrBlock",
                &[("SubnetId", &both), ("Ipv6CidrBlock", &blocks[2])],
                "CidrLimitExceeded",
                "maximum",
            ),
            (
                "AssociateSubnetCidrBlock",
                &[("SubnetId", &plain), ("Ipv6CidrBlock", &blocks[1])],
                "InvalidSubnet.Conflict",
                "conflicts",
            ),
            (
                "ModifySubnetAttribute",
                &[("SubnetId", &plain), ("AssignIpv6AddressOnCreation.Value", "true")],
                "InvalidParameterValue",
                &no_block,
            ),
            (
                "ModifySubnetAttribute",
                &[("SubnetId", &plain), ("EnableDns64.Value", "true")],
                "InvalidParameterValue",
                "enable-dns64",
            ),
            (
                "ModifySubnetAttribute",
                &[("SubnetId", &native), ("MapPublicIpOnLaunch.Value", "true")],
                "InvalidParameterValue",
                "IPv6 only",
            ),
            (
                "ModifySubnetAttribute",
                &[("SubnetId", &native), ("PrivateDnsHostnameTypeOnLaunch", "ip-name")],
                "InvalidParameterValue",
                "IPv6 only",
            ),
            (
                "DisassociateSubnetCidrBlock",
                &[("AssociationId", &of_native)],
                "InvalidCidrBlock.InUse",
                "its subnet has no other block",
            ),
            (
                "DisassociateSubnetCidrBlock",
                &[("AssociationId", "subnet-cidr-assoc-0123456789abcdef0")],
                "InvalidSubnetCidrBlockAssociationID.NotFound",
                "does not exist",
            ),
            (
                "DisassociateSubnetCidrBlock",
                &[("AssociationId", "x")],
                "InvalidSubnetCidrBlockAssociationId.Malformed",
                "x",
            ),
        ],
    )
    .await;
    // A block comes, is used, and goes when nothing needs it any more.
    let come = [("SubnetId", plain.as_str()), ("Ipv6CidrBlock", blocks[2].as_str())];
    let come = cloud.ec2("AssociateSubnetCidrBlock", &come).await.ok();
    assert_eq!(come.text("state"), "associating");
    let association = come.text("associationId");
    for (attribute, why) in [
        ("AssignIpv6AddressOnCreation.Value", "assign-ipv6-address-on-creation set to true"),
        ("EnableDns64.Value", "enable-dns64 set to true"),
    ] {
        cloud.ec2("ModifySubnetAttribute", &[("SubnetId", &plain), (attribute, "true")]).await.ok();
        refused(
            &cloud,
            &[(
                "DisassociateSubnetCidrBlock",
                &[("AssociationId", &association)],
                "InvalidCidrBlock.InUse",
                why,
            )],
        )
        .await;
        cloud
            .ec2("ModifySubnetAttribute", &[("SubnetId", &plain), (attribute, "false")])
            .await
            .ok();
    }
    let eni = interface(&cloud, &plain, &[("Ipv6AddressCount", "1")]).await;
    refused(
        &cloud,
        &[(
            "DisassociateSubnetCidrBlock",
            &[("AssociationId", &association)],
            "InvalidCidrBlock.InUse",
            "has an address of it",
        )],
    )
    .await;
    cloud.ec2("DeleteNetworkInterface", &[("NetworkInterfaceId", &eni)]).await.ok();
    let gone = cloud.ec2("DisassociateSubnetCidrBlock", &[("AssociationId", &association)]).await;
    assert_eq!(gone.ok().text("state"), "disassociating");
}

#[tokio::test]
async fn interfaces_get_the_ipv6_addresses_that_are_asked_for() {
    // SUB-5, SUB-7, CIDR-12
    let cloud = Cloud::new();
    let Dual { vpc, both, native, blocks } = dual(&cloud).await;
    let none = interface(&cloud, &both, &[]).await;
    assert_eq!(ipv6_addresses(&cloud, &none).await, Vec::<String>::new());
    let two = interface(&cloud, &both, &[("Ipv6AddressCount", "2")]).await;
    let found = ipv6_addresses(&cloud, &two).await;
    let block: ipnet::Ipv6Net = blocks[0].parse().expect("a block");
    assert!(
        found.len() == 2
            && found
                .iter()
                .all(|it| block.contains(&it.parse::<std::net::Ipv6Addr>().expect("an address")))
    );
    let (five, six) = (address(&blocks[0], "5"), address(&blocks[0], "6"));
    let wanted = [
        ("Ipv6Addresses.1.Ipv6Address", five.as_str()),
        ("Ipv6Addresses.2.Ipv6Address", six.as_str()),
        ("Ipv6Addresses.2.IsPrimaryIpv6", "true"),
    ];
    let named = interface(&cloud, &both, &wanted).await;
    assert_eq!(
        ipv6_addresses(&cloud, &named).await,
        [six.clone(), five.clone()],
        "the primary first"
    );
    let filter = [("Filter.1.Name", "ipv6-addresses.ipv6-address"), ("Filter.1.Value.1", &five)];
    let found = cloud.ec2("DescribeNetworkInterfaces", &filter).await.ok();
    assert_eq!(found.all("networkInterfaceId"), [named.as_str()]);
    assert_eq!(found.all("isPrimaryIpv6"), ["true", "false"]);
    // What the subnet gives of its own accord can be declined.
    let on = [("SubnetId", both.as_str()), ("AssignIpv6AddressOnCreation.Value", "true")];
    cloud.ec2("ModifySubnetAttribute", &on).await.ok();
    let given = interface(&cloud, &both, &[]).await;
    assert_eq!(ipv6_addresses(&cloud, &given).await.len(), 1, "SUB-7");
    let declined = interface(&cloud, &both, &[("Ipv6AddressCount", "0")]).await;
    assert_eq!(ipv6_addresses(&cloud, &declined).await.len(), 0);
    // IPv6 alone.
    let only = interface(&cloud, &native, &[]).await;
    let shown = shown(&cloud, &only).await;
    assert_eq!((shown.all("ipv6Address").len(), shown.get("privateIpAddress")), (2, None));
    assert!(!shown.body.contains("0.0.0.0"), "{}", shown.body);
    let plain = cloud.subnet(&vpc, "10.1.5.0/24", "ap-northeast-2a").await;
    let no_block =
        format!("The subnet '{plain}' does not have an IPv6 CIDR block associated with it");
    let reserved = ["", "1", "3", "ffff:ffff:ffff:ffff"].map(|it| match it.len() > 1 {
        true => blocks[0].replace("::/64", &format!(":{it}")),
        false => address(&blocks[0], it),
    });
    let allocation = cloud.make("AllocateAddress", &[], "allocationId").await;
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let (b, n) = (("SubnetId", both.as_str()), ("SubnetId", native.as_str()));
    let first = "Ipv6Addresses.1.Ipv6Address";
    refused(
        &cloud,
        &[
            ("CreateNetworkInterface", &[b, (first, &five)], "InvalidIPAddress.InUse", &five),
            (
                "CreateNetworkInterface",
                &[b, (first, &reserved[0])],
                "InvalidParameterValue",
                "reserved address range",
            ),
            (
                "CreateNetworkInterface",
                &[b, (first, &reserved[1])],
                "InvalidParameterValue",
                "reserved address range",
            ),
            (
                "CreateNetworkInterface",
                &[b, (first, &reserved[2])],
                "InvalidParameterValue",
                "reserved address range",
            ),
            (
                "CreateNetworkInterface",
                &[b, (first, &reserved[3])],
                "InvalidParameterValue",
                "reserved address range",
            ),
            (
                "CreateNetworkInterface",
                &[b, (first, &address(&blocks[1], "9"))],
                "InvalidParameterValue",
                "does not fall within the subnet's address range",
            ),
            (
                "CreateNetworkInterface",
                &[b, (first, "10.1.1.9")],
                "InvalidParameterValue",
                "not a valid IPv6 address",
            ),
            (
                "CreateNetworkInterface",
                &[b, (first, &address(&blocks[0], "9")), ("Ipv6AddressCount", "1")],
                "InvalidParameterCombination",
                "cannot be used together",
            ),
            (
                "CreateNetworkInterface",
                &[b, ("Ipv6AddressCount", "-1")],
                "InvalidParameterValue",
                "negative",
            ),
            (
                "CreateNetworkInterface",
                &[b, ("Ipv6AddressCount", "51")],
                "PrivateIpAddressLimitExceeded",
                "50",
            ),
            (
                "CreateNetworkInterface",
                &[b, ("Ipv6AddressCount", "0"), ("EnablePrimaryIpv6", "true")],
                "InvalidParameterCombination",
                "needs an IPv6 address",
            ),
            (
                "CreateNetworkInterface",
                &[("SubnetId", &plain), ("Ipv6AddressCount", "1")],
                "InvalidParameterValue",
                &no_block,
            ),
            (
                "CreateNetworkInterface",
                &[n, ("PrivateIpAddress", "10.1.1.9")],
                "InvalidParameterCombination",
                "IPv6 only",
            ),
            (
                "CreateNetworkInterface",
                &[n, ("Ipv6AddressCount", "0")],
                "InvalidParameterCombination",
                "needs an IPv6 address",
            ),
            (
                "AssociateAddress",
                &[("AllocationId", &allocation), ("NetworkInterfaceId", &only)],
                "InvalidParameterValue",
                "no private IPv4 address",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_instance_with_ipv6_alone_is_named_by_its_id() {
    let cloud = Cloud::new();
    let Dual { both, native, .. } = dual(&cloud).await;
    let only = cloud.instance(&native, &[]).await;
    let shown = cloud.until_state(&only, "running").await;
    assert!(
        !shown.body.contains("0.0.0.0") && !shown.body.contains("<privateIpAddress>"),
        "{}",
        shown.body
    );
    assert!(shown.text("privateDnsName").starts_with(&only), "DNS-7: {}", shown.body);
    let address = shown.all("ipv6Address");
    assert_eq!(address[0], address[1], "of the interface and of the instance");
    let filter = [("Filter.1.Name", "ipv6-address"), ("Filter.1.Value.1", address[0].as_str())];
    assert_eq!(cloud.ec2("DescribeInstances", &filter).await.ok().all("instanceId"), [only]);
    // t2.micro has two addresses of each family (ENI-5).
    let two = cloud.instance(&both, &[("Ipv6AddressCount", "2")]).await;
    let shown = cloud.until_state(&two, "running").await;
    assert_eq!(shown.all("ipv6Address").len(), 3, "{}", shown.body);
    let image = cloud.image().await;
    let launch = [("ImageId", image.as_str()), ("MinCount", "1"), ("MaxCount", "1")];
    let with = |more: &[(&'static str, &'static str)]| [&launch[..], more].concat();
    let card = |more: &[(&'static str, &'static str)], subnet: &str| {
        let mut all: Vec<(&str, String)> =
            launch.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect();
        all.push(("NetworkInterface.1.DeviceIndex", "0".into()));
        all.push(("NetworkInterface.1.SubnetId", subnet.to_owned()));
        all
    };
    let launched = card(
        &[
            ("NetworkInterface.1.Ipv6AddressCount", "1"),
            ("NetworkInterface.1.PrimaryIpv6", "true"),
            ("NetworkInterface.1.ConnectionTrackingSpecification.UdpTimeout", "45"),
        ],
        &both,
    );
    let launched: Vec<_> = launched.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let launched = cloud.ec2("RunInstances", &launched).await.ok();
    assert_eq!(launched.text("isPrimaryIpv6"), "true");
    assert_eq!(launched.text("udpTimeout"), "45", "SGT-9");
    let public = card(&[("NetworkInterface.1.AssociatePublicIpAddress", "true")], &native);
    let public: Vec<_> = public.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let subnet = [("SubnetId", both.as_str())];
    let native = [("SubnetId", native.as_str())];
    let three = [with(&[("Ipv6AddressCount", "3")]), subnet.to_vec()].concat();
    let by_ip =
        [with(&[("PrivateDnsNameOptions.HostnameType", "ip-name")]), native.to_vec()].concat();
    refused(
        &cloud,
        &[
            ("RunInstances", &three, "PrivateIpAddressLimitExceeded", "2"),
            ("RunInstances", &by_ip, "InvalidParameterCombination", "ip-name"),
            ("RunInstances", &public, "InvalidParameterCombination", "IPv6 only"),
        ],
    )
    .await;
}

#[tokio::test]
async fn private_addresses_are_assigned_moved_and_unassigned() {
    // ENI-9, EIP-5
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let a = interface(&cloud, &subnet, &[("PrivateIpAddress", "10.1.1.10")]).await;
    let b = interface(&cloud, &subnet, &[("PrivateIpAddress", "10.1.1.20")]).await;
    let (in_a, in_b) = (("NetworkInterfaceId", a.as_str()), ("NetworkInterfaceId", b.as_str()));
    let assign = [in_a, ("PrivateIpAddress.1", "10.1.1.11"), ("PrivateIpAddress.2", "10.1.1.12")];
    let assigned = cloud.ec2("AssignPrivateIpAddresses", &assign).await.ok();
    assert_eq!(assigned.all("privateIpAddress"), ["10.1.1.11", "10.1.1.12"]);
    let revision = cloud.control.snapshot().revision();
    let again = cloud.ec2("AssignPrivateIpAddresses", &assign).await.ok();
    assert_eq!(again.all("privateIpAddress"), ["10.1.1.11", "10.1.1.12"], "asked again");
    assert_eq!(addresses(&cloud, &a).await, ["10.1.1.10", "10.1.1.11", "10.1.1.12"]);
    assert!(cloud.control.snapshot().revision() >= revision);
    let elastic = cloud.make("AllocateAddress", &[], "allocationId").await;
    let on = [("AllocationId", elastic.as_str()), in_a, ("PrivateIpAddress", "10.1.1.11")];
    let association = cloud.make("AssociateAddress", &on, "associationId").await;
    let first = "PrivateIpAddress.1";
    refused(
        &cloud,
        &[
            (
                "AssignPrivateIpAddresses",
                &[in_b, (first, "10.1.1.30"), ("PrivateIpAddress.2", "10.1.1.11")],
                "InvalidParameterValue",
                "[10.1.1.11] assigned, but move is not allowed.",
            ),
            (
                "AssignPrivateIpAddresses",
                &[in_b, (first, "10.1.1.10"), ("AllowReassignment", "true")],
                "InvalidParameterValue",
                "[10.1.1.10] assigned, but move is not allowed.",
            ),
            (
                "AssignPrivateIpAddresses",
                &[in_b, (first, "10.1.1.3")],
                "InvalidParameterValue",
                "reserved address range",
            ),
            (
                "AssignPrivateIpAddresses",
                &[in_b, (first, "10.1.2.9")],
                "InvalidParameterValue",
                "does not fall within",
            ),
            (
                "AssignPrivateIpAddresses",
                &[in_b, (first, "10.1.1.31"), ("PrivateIpAddress.2", "10.1.1.31")],
                "InvalidIPAddress.InUse",
                "10.1.1.31",
            ),
            (
                "AssignPrivateIpAddresses",
                &[in_b, (first, "10.1.1.31"), ("SecondaryPrivateIpAddressCount", "1")],
                "InvalidParameterCombination",
                "cannot be used together",
            ),
            ("AssignPrivateIpAddresses", &[in_b], "MissingParameter", "privateIpAddress"),
            (
                "AssignPrivateIpAddresses",
                &[in_b, ("SecondaryPrivateIpAddressCount", "50")],
                "PrivateIpAddressLimitExceeded",
                "50",
            ),
            (
                "AssignPrivateIpAddresses",
                &[("NetworkInterfaceId", "eni-0123456789abcdef0"), (first, "10.1.1.31")],
                "InvalidNetworkInterfaceID.NotFound",
                "does not exist",
            ),
            (
                "UnassignPrivateIpAddresses",
                &[in_a, (first, "10.1.1.10")],
                "InvalidParameterValue",
                "primary address",
            ),
            (
                "UnassignPrivateIpAddresses",
                &[in_a, (first, "10.1.1.12"), ("PrivateIpAddress.2", "10.1.1.20")],
                "InvalidParameterValue",
                &format!("Some of the specified addresses are not assigned to interface {a}"),
            ),
            ("UnassignPrivateIpAddresses", &[in_a], "MissingParameter", "PrivateIpAddresses"),
        ],
    )
    .await;
    // The address moves, and the Elastic IP address with it.
    let take = [in_b, (first, "10.1.1.11"), ("AllowReassignment", "true")];
    cloud.ec2("AssignPrivateIpAddresses", &take).await.ok();
    assert_eq!(addresses(&cloud, &a).await, ["10.1.1.10", "10.1.1.12"]);
    assert_eq!(addresses(&cloud, &b).await, ["10.1.1.20", "10.1.1.11"]);
    let described = cloud.ec2("DescribeAddresses", &[("AllocationId.1", &elastic)]).await.ok();
    assert_eq!(described.text("networkInterfaceId"), b, "EIP-5");
    assert_eq!(described.text("associationId"), association);
    // It stays allocated where its private address goes.
    cloud.ec2("UnassignPrivateIpAddresses", &[in_b, (first, "10.1.1.11")]).await.ok();
    let described = cloud.ec2("DescribeAddresses", &[("AllocationId.1", &elastic)]).await.ok();
    assert_eq!(described.get("associationId"), None, "EIP-5");
}

#[tokio::test]
async fn all_addresses_are_assigned_or_none() {
    // SUB-4, ENI-5, ENI-9
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let small = cloud.subnet(&vpc, "10.1.2.0/28", "ap-northeast-2a").await;
    let eni = interface(&cloud, &small, &[]).await;
    let it = ("NetworkInterfaceId", eni.as_str());
    refused(
        &cloud,
        &[(
            "AssignPrivateIpAddresses",
            &[it, ("SecondaryPrivateIpAddressCount", "11")],
            "InsufficientFreeAddressesInSubnet",
            &small,
        )],
    )
    .await;
    let ten = [it, ("SecondaryPrivateIpAddressCount", "10")];
    let assigned = cloud.ec2("AssignPrivateIpAddresses", &ten).await.ok();
    assert_eq!(assigned.all("privateIpAddress").len(), 10);
    let free =
        cloud.make("DescribeSubnets", &[("SubnetId.1", &small)], "availableIpAddressCount").await;
    assert_eq!(free, "0", "SUB-2");
    // An attached interface has what the type of its instance allows.
    let instance = cloud.instance(&subnet, &[]).await;
    let tie = [it, ("InstanceId", &instance), ("DeviceIndex", "1")];
    refused(&cloud, &[("AttachNetworkInterface", &tie, "PrivateIpAddressLimitExceeded", "2")])
        .await;
    let primary = cloud.until_state(&instance, "running").await.text("networkInterfaceId");
    let one = [("NetworkInterfaceId", primary.as_str()), ("SecondaryPrivateIpAddressCount", "1")];
    cloud.ec2("AssignPrivateIpAddresses", &one).await.ok();
    refused(&cloud, &[("AssignPrivateIpAddresses", &one, "PrivateIpAddressLimitExceeded", "2")])
        .await;
}

#[tokio::test]
async fn ipv6_addresses_are_assigned_and_unassigned() {
    // ENI-5, ENI-9
    let cloud = Cloud::new();
    let Dual { both, native, blocks, .. } = dual(&cloud).await;
    let eni = interface(&cloud, &both, &[]).await;
    let it = ("NetworkInterfaceId", eni.as_str());
    let five = address(&blocks[0], "5");
    let assigned = cloud.ec2("AssignIpv6Addresses", &[it, ("Ipv6Addresses.1", &five)]).await.ok();
    assert_eq!(assigned.all("item"), [five.as_str()]);
    let more = cloud.ec2("AssignIpv6Addresses", &[it, ("Ipv6AddressCount", "2")]).await.ok();
    assert_eq!(more.all("item").len(), 2);
    let other = interface(&cloud, &both, &[]).await;
    let in_other = ("NetworkInterfaceId", other.as_str());
    let only = interface(&cloud, &native, &[]).await;
    let last = ipv6_addresses(&cloud, &only).await.remove(0);
    let in_only = ("NetworkInterfaceId", only.as_str());
    refused(
        &cloud,
        &[
            (
                "AssignIpv6Addresses",
                &[in_other, ("Ipv6Addresses.1", &five)],
                "InvalidIPAddress.InUse",
                &five,
            ),
            ("AssignIpv6Addresses", &[in_other], "MissingParameter", "ipv6Address"),
            (
                "AssignIpv6Addresses",
                &[it, ("Ipv6AddressCount", "48")],
                "PrivateIpAddressLimitExceeded",
                "50",
            ),
            (
                "AssignIpv6Addresses",
                &[it, ("Ipv6AddressCount", "1"), ("Ipv6Addresses.1", &five)],
                "InvalidParameterCombination",
                "cannot be used together",
            ),
            (
                "AssignPrivateIpAddresses",
                &[in_only, ("SecondaryPrivateIpAddressCount", "1")],
                "InvalidParameterCombination",
                "IPv6 only",
            ),
            (
                "UnassignIpv6Addresses",
                &[in_other, ("Ipv6Addresses.1", &five)],
                "InvalidParameterValue",
                "are not assigned to interface",
            ),
            (
                "UnassignIpv6Addresses",
                &[in_only, ("Ipv6Addresses.1", &last)],
                "InvalidParameterValue",
                "last address",
            ),
            (
                "ModifyNetworkInterfaceAttribute",
                &[in_other, ("EnablePrimaryIpv6", "true")],
                "InvalidParameterValue",
                "no IPv6 address",
            ),
        ],
    )
    .await;
    // The first becomes the primary one, and stays.
    cloud.ec2("ModifyNetworkInterfaceAttribute", &[it, ("EnablePrimaryIpv6", "true")]).await.ok();
    assert_eq!(shown(&cloud, &eni).await.all("isPrimaryIpv6"), ["true", "false", "false"]);
    refused(
        &cloud,
        &[
            (
                "UnassignIpv6Addresses",
                &[it, ("Ipv6Addresses.1", &five)],
                "InvalidParameterValue",
                "primary IPv6 address",
            ),
            (
                "ModifyNetworkInterfaceAttribute",
                &[it, ("EnablePrimaryIpv6", "false")],
                "InvalidParameterValue",
                "cannot be disabled",
            ),
        ],
    )
    .await;
    let second = ipv6_addresses(&cloud, &eni).await.remove(1);
    let gone = cloud.ec2("UnassignIpv6Addresses", &[it, ("Ipv6Addresses.1", &second)]).await.ok();
    assert_eq!(gone.all("item"), [second.as_str()]);
    assert_eq!(ipv6_addresses(&cloud, &eni).await.len(), 2);
}

#[tokio::test]
async fn attributes_of_interfaces_are_shown_changed_and_reset() {
    // SGT-9, SDC-1
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let tracked = [
        ("ConnectionTrackingSpecification.TcpEstablishedTimeout", "60"),
        ("Description", "a card"),
    ];
    let eni = interface(&cloud, &subnet, &tracked).await;
    let it = ("NetworkInterfaceId", eni.as_str());
    assert_eq!(shown(&cloud, &eni).await.text("tcpEstablishedTimeout"), "60");
    let more = [it, ("ConnectionTrackingSpecification.UdpStreamTimeout", "180")];
    cloud.ec2("ModifyNetworkInterfaceAttribute", &more).await.ok();
    let after = shown(&cloud, &eni).await;
    assert_eq!(
        (after.text("tcpEstablishedTimeout"), after.text("udpStreamTimeout")),
        ("60".into(), "180".into())
    );
    let off = [it, ("SourceDestCheck.Value", "false")];
    cloud.ec2("ModifyNetworkInterfaceAttribute", &off).await.ok();
    let show = async |attribute: &str| {
        let parameters = [it, ("Attribute", attribute)];
        cloud.ec2("DescribeNetworkInterfaceAttribute", &parameters).await.ok()
    };
    assert!(show("sourceDestCheck").await.body.contains("<value>false</value>"));
    assert_eq!(show("description").await.text("value"), "a card");
    assert!(show("groupSet").await.text("groupId").starts_with("sg-"));
    assert_eq!(show("attachment").await.get("attachmentId"), None);
    cloud.ec2("ResetNetworkInterfaceAttribute", &[it, ("SourceDestCheck", "true")]).await.ok();
    assert!(show("sourceDestCheck").await.body.contains("<value>true</value>"), "SDC-1");
    let modify = "ModifyNetworkInterfaceAttribute";
    let member = |name: &str| format!("ConnectionTrackingSpecification.{name}");
    let (tcp, udp, stream) =
        (member("TcpEstablishedTimeout"), member("UdpTimeout"), member("UdpStreamTimeout"));
    refused(
        &cloud,
        &[
            (modify, &[it, (&tcp, "59")], "InvalidParameterValue", "between 60 and 432000"),
            (modify, &[it, (&tcp, "432001")], "InvalidParameterValue", "between 60 and 432000"),
            (modify, &[it, (&udp, "61")], "InvalidParameterValue", "between 30 and 60"),
            (modify, &[it, (&stream, "59")], "InvalidParameterValue", "between 60 and 180"),
            (modify, &[it, (&stream, "-1")], "InvalidParameterValue", "between 60 and 180"),
            ("DescribeNetworkInterfaceAttribute", &[it], "MissingParameter", "Attribute"),
            (
                "DescribeNetworkInterfaceAttribute",
                &[it, ("Attribute", "colour")],
                "InvalidParameterValue",
                "colour",
            ),
            ("ResetNetworkInterfaceAttribute", &[it], "MissingParameter", "SourceDestCheck"),
        ],
    )
    .await;
}
