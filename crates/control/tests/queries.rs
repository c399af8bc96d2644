//! Filters that are looked up in an index find what looking at everything finds (API-7, API-9).

mod common;

use std::collections::BTreeSet;

use common::Cloud;

/// Operations that list resources, the element of their ids, filters to try on each.
const LISTS: &[(&str, &str, &[&str])] = &[
    (
        "DescribeVpcs",
        "vpcId",
        &[
            "vpc-id",
            "dhcp-options-id",
            "cidr-block-association.association-id",
            "ipv6-cidr-block-association.association-id",
        ],
    ),
    (
        "DescribeSubnets",
        "subnetId",
        &["vpc-id", "subnet-id", "ipv6-cidr-block-association.association-id"],
    ),
    (
        "DescribeRouteTables",
        "routeTableId",
        &[
            "association.gateway-id",
            "association.route-table-association-id",
            "association.route-table-id",
            "association.subnet-id",
            "route-table-id",
            "route.gateway-id",
            "route.nat-gateway-id",
            "route.vpc-peering-connection-id",
            "vpc-id",
        ],
    ),
    (
        "DescribeNetworkAcls",
        "networkAclId",
        &[
            "association.association-id",
            "association.network-acl-id",
            "association.subnet-id",
            "network-acl-id",
            "vpc-id",
        ],
    ),
    (
        "DescribeInternetGateways",
        "internetGatewayId",
        &["attachment.vpc-id", "internet-gateway-id"],
    ),
    ("DescribeNatGateways", "natGatewayId", &["nat-gateway-id", "vpc-id", "subnet-id"]),
    (
        "DescribeSecurityGroups",
        "groupId",
        &[
            "group-id",
            "group-name",
            "vpc-id",
            "ip-permission.group-id",
            "egress.ip-permission.group-id",
        ],
    ),
    ("DescribeSecurityGroupRules", "securityGroupRuleId", &["group-id", "security-group-rule-id"]),
    (
        "DescribeNetworkInterfaces",
        "networkInterfaceId",
        &[
            "addresses.private-ip-address",
            "association.public-ip",
            "attachment.attachment-id",
            "attachment.instance-id",
            "group-id",
            "network-interface-id",
            "private-ip-address",
            "subnet-id",
            "vpc-id",
        ],
    ),
    (
        "DescribeInstances",
        "instanceId",
        &[
            "instance-id",
            "instance.group-id",
            "key-name",
            "network-interface.group-id",
            "network-interface.network-interface-id",
            "private-ip-address",
            "reservation-id",
            "subnet-id",
            "vpc-id",
        ],
    ),
    ("DescribeVolumes", "volumeId", &["attachment.instance-id", "volume-id"]),
    ("DescribeTags", "resourceId", &["resource-id"]),
];

/// Two VPCs with the same addresses, and something of everything in them.
async fn populate(cloud: &Cloud) {
    cloud.ec2("CreateKeyPair", &[("KeyName", "lab")]).await.ok();
    let mut instances = Vec::new();
    for number in ["1", "2"] {
        let (vpc, subnet) = cloud.network().await;
        let vpc_id = ("VpcId", vpc.as_str());
        cloud.ec2("AssociateVpcCidrBlock", &[vpc_id, ("CidrBlock", "10.2.0.0/16")]).await.ok();
        let ipv6 = [vpc_id, ("AmazonProvidedIpv6CidrBlock", "true")];
        cloud.ec2("AssociateVpcCidrBlock", &ipv6).await.ok();
        let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
        let tie = [("InternetGatewayId", gateway.as_str()), vpc_id];
        cloud.ec2("AttachInternetGateway", &tie).await.ok();
        let table = cloud.make("CreateRouteTable", &[vpc_id], "routeTableId").await;
        let route = [
            ("RouteTableId", table.as_str()),
            ("DestinationCidrBlock", "0.0.0.0/0"),
            ("GatewayId", gateway.as_str()),
        ];
        cloud.ec2("CreateRoute", &route).await.ok();
        let tie = [("RouteTableId", table.as_str()), ("SubnetId", subnet.as_str())];
        cloud.ec2("AssociateRouteTable", &tie).await.ok();
        let acl = cloud.make("CreateNetworkAcl", &[vpc_id], "networkAclId").await;
        let group = [vpc_id, ("GroupName", "Web"), ("GroupDescription", "web")];
        let group = cloud.make("CreateSecurityGroup", &group, "groupId").await;
        let rule = [
            ("GroupId", group.as_str()),
            ("IpPermissions.1.IpProtocol", "-1"),
            ("IpPermissions.1.Groups.1.GroupId", group.as_str()),
        ];
        cloud.ec2("AuthorizeSecurityGroupIngress", &rule).await.ok();
        for id in [&vpc, &subnet, &acl, &group] {
            let tag =
                [("ResourceId.1", id.as_str()), ("Tag.1.Key", "Name"), ("Tag.1.Value", number)];
            cloud.ec2("CreateTags", &tag).await.ok();
        }
        let address = cloud.make("AllocateAddress", &[], "allocationId").await;
        let nat = [("SubnetId", subnet.as_str()), ("AllocationId", address.as_str())];
        cloud.ec2("CreateNatGateway", &nat).await.ok();
        for private in ["10.1.1.10", "10.1.1.11"] {
            let more = [
                ("KeyName", "lab"),
                ("NetworkInterface.1.DeviceIndex", "0"),
                ("NetworkInterface.1.SubnetId", subnet.as_str()),
                ("NetworkInterface.1.SecurityGroupId.1", group.as_str()),
                ("NetworkInterface.1.PrivateIpAddress", private),
                ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
                ("TagSpecification.1.ResourceType", "instance"),
                ("TagSpecification.1.Tag.1.Key", "Name"),
                ("TagSpecification.1.Tag.1.Value", private),
            ];
            instances.push(cloud.instance(&subnet, &more).await);
        }
        let address = cloud.make("AllocateAddress", &[], "allocationId").await;
        let tie = [("InstanceId", instances[0].as_str()), ("AllocationId", address.as_str())];
        cloud.ec2("AssociateAddress", &tie).await.ok();
    }
    cloud.ec2("TerminateInstances", &[("InstanceId.1", &instances[3])]).await.ok();
    cloud.until_state(&instances[3], "terminated").await;
}

/// Every text of an answer: ids, names, addresses.
fn words(body: &str) -> impl Iterator<Item = String> + '_ {
    let texts = body.split('<').filter_map(|part| part.split_once('>'));
    texts.map(|(_, text)| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A value that is a pattern makes no use of an index, so the two ways can be compared.
#[tokio::test]
async fn an_index_finds_what_a_scan_finds() {
    let cloud = Cloud::new();
    populate(&cloud).await;
    let mut values = BTreeSet::from(["no-such".to_owned()]);
    for (list, _, _) in LISTS {
        values.extend(words(&cloud.ec2(list, &[]).await.ok().body));
    }
    values.retain(|value| !value.contains([':', '*', ' ']) && value.len() < 60);
    assert!(values.len() > 150, "{} values", values.len());
    let mut hits = 0;
    for (list, id, filters) in LISTS {
        for filter in filters.iter().copied().chain(["tag:Name"]).filter(|it| tagged(list, it)) {
            let mut found = 0;
            for value in &values {
                let by = [("Filter.1.Name", filter), ("Filter.1.Value.1", value.as_str())];
                let indexed = cloud.ec2(list, &by).await.ok();
                let pattern = [by[0], by[1], ("Filter.1.Value.2", "no*such?pattern")];
                let scanned = cloud.ec2(list, &pattern).await.ok();
                let (indexed, scanned) = (indexed.all(id), scanned.all(id));
                assert_eq!(indexed, scanned, "{list} {filter}={value}");
                found += indexed.len();
            }
            hits += usize::from(found > 0);
        }
    }
    assert!(hits > 50, "{hits} filters found something");
}

/// Rules have no names here.
fn tagged(list: &str, filter: &str) -> bool {
    filter != "tag:Name" || !["DescribeSecurityGroupRules", "DescribeTags"].contains(&list)
}

/// API-7: pages are in one order, without gaps and repeats, with filters as without.
#[tokio::test]
async fn pages_cover_what_passes_once() {
    let cloud = Cloud::new();
    populate(&cloud).await;
    for filters in [&[][..], &[("Filter.1.Name", "group-name"), ("Filter.1.Value.1", "Web")]] {
        let whole = cloud.ec2("DescribeNetworkInterfaces", filters).await.ok();
        let whole = whole.all("networkInterfaceId");
        assert!(whole.len() > 2, "{whole:?}");
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let mut parameters = vec![("MaxResults", "5")];
            parameters.extend(filters);
            parameters.extend(token.as_deref().map(|token| ("NextToken", token)));
            let page = cloud.ec2("DescribeNetworkInterfaces", &parameters).await.ok();
            seen.extend(page.all("networkInterfaceId"));
            token = page.get("nextToken").map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, whole);
    }
}
