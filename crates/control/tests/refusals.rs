//! Mistakes get AWS's code and message and change nothing (vpc-semantics, appendix A).

mod common;

use common::{Cloud, Wishes, refused};

#[tokio::test]
async fn vpcs_and_subnets() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let cidr = cloud.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await.ok().text("associationId");
    let no_vpc = "vpc-0123456789abcdef0";
    refused(
        &cloud,
        &[
            ("CreateVpc", &[("CidrBlock", "10.0.0.0/8")], "InvalidVpc.Range", "The CIDR '10.0.0.0/8' is invalid."),
            ("CreateVpc", &[("CidrBlock", "10.0.0.0/29")], "InvalidVpc.Range", "is invalid"),
            ("CreateVpc", &[("CidrBlock", "x")], "InvalidParameterValue", "Value (x) for parameter cidrBlock is invalid. This is not a valid CIDR block."),
            ("CreateVpc", &[], "MissingParameter", "The request must contain the parameter CidrBlock"),
            ("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), ("Ipv6Pool", "pool")], "UnsupportedOperation", "Ipv6Pool"),
            ("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), ("Colour", "blue")], "UnknownParameter", "Colour"),
            ("AssociateVpcCidrBlock", &[("VpcId", &vpc), ("CidrBlock", "192.168.0.0/16")], "InvalidVpc.Range", "restricted"),
            ("AssociateVpcCidrBlock", &[("VpcId", &vpc), ("CidrBlock", "10.1.4.0/24")], "InvalidVpc.Range", "restricted"),
            ("DisassociateVpcCidrBlock", &[("AssociationId", &cidr)], "OperationNotPermitted", "primary"),
            ("DeleteVpc", &[("VpcId", &vpc)], "DependencyViolation", "has dependencies and cannot be deleted."),
            ("DeleteVpc", &[("VpcId", no_vpc)], "InvalidVpcID.NotFound", "The vpc ID 'vpc-0123456789abcdef0' does not exist"),
            ("DeleteVpc", &[("VpcId", "subnet-1")], "InvalidVpcID.Malformed", "subnet-1"),
            ("ModifyVpcAttribute", &[("VpcId", &vpc), ("EnableDnsSupport.Value", "true"), ("EnableDnsHostnames.Value", "true")], "InvalidParameterCombination", "multiple attribute types"),
            ("ModifyVpcAttribute", &[("VpcId", &vpc), ("EnableDnsHostnames.Value", "maybe")], "InvalidParameterValue", "maybe"),
            ("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", "10.2.0.0/24")], "InvalidSubnet.Range", "The CIDR '10.2.0.0/24' is invalid."),
            ("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", "10.1.9.0/29")], "InvalidSubnet.Range", "is invalid"),
            ("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", "10.1.1.128/25")], "InvalidSubnet.Conflict", "The CIDR '10.1.1.128/25' conflicts with another subnet"),
            ("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", "10.1.2.0/24"), ("AvailabilityZone", "ap-northeast-2z")], "InvalidParameterValue", "Subnets can currently only be created in the following availability zones: ap-northeast-2a, ap-northeast-2b"),
            ("CreateSubnet", &[("VpcId", no_vpc), ("CidrBlock", "10.1.2.0/24")], "InvalidVpcID.NotFound", "does not exist"),
            ("DescribeSubnets", &[("SubnetId.1", &subnet), ("SubnetId.2", "subnet-0123456789abcdef0")], "InvalidSubnetID.NotFound", "does not exist"),
            ("ModifySubnetAttribute", &[("SubnetId", &subnet), ("MapPublicIpOnLaunch.Value", "true"), ("EnableDns64.Value", "false")], "InvalidParameterCombination", "multiple"),
        ],
    )
    .await;
}

#[tokio::test]
async fn gateways_and_routes() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.9.0.0/16")], "vpcId").await;
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let second = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let table = cloud.make("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
    let foreign = cloud.make("CreateRouteTable", &[("VpcId", &other)], "routeTableId").await;
    let default = [("DestinationCidrBlock", "0.0.0.0/0"), ("GatewayId", gateway.as_str())];
    let route = [("RouteTableId", table.as_str()), default[0], default[1]];
    cloud.ec2("CreateRoute", &route).await.ok();
    let tied = [("RouteTableId", table.as_str()), ("SubnetId", subnet.as_str())];
    cloud.ec2("AssociateRouteTable", &tied).await.ok();
    let main = cloud
        .ec2(
            "DescribeRouteTables",
            &[
                ("Filter.1.Name", "association.main"),
                ("Filter.1.Value.1", "true"),
                ("Filter.2.Name", "vpc-id"),
                ("Filter.2.Value.1", &vpc),
            ],
        )
        .await
        .ok();
    let (main_table, main_tie) = (main.text("routeTableId"), main.text("routeTableAssociationId"));
    let to = |destination: &'static str| ("DestinationCidrBlock", destination);
    refused(
        &cloud,
        &[
            ("AttachInternetGateway", &[("InternetGatewayId", &gateway), ("VpcId", &other)], "Resource.AlreadyAssociated", &format!("resource {gateway} is already attached to network {vpc}")),
            ("AttachInternetGateway", &[("InternetGatewayId", &second), ("VpcId", &vpc)], "Resource.AlreadyAssociated", "already has an internet gateway attached"),
            ("DetachInternetGateway", &[("InternetGatewayId", &second), ("VpcId", &vpc)], "Gateway.NotAttached", "is not attached"),
            ("DeleteInternetGateway", &[("InternetGatewayId", &gateway)], "DependencyViolation", "cannot be deleted"),
            ("CreateRoute", &route, "RouteAlreadyExists", "The route identified by 0.0.0.0/0 already exists."),
            ("CreateRoute", &[("RouteTableId", &foreign), default[0], default[1]], "InvalidParameterValue", &format!("route table {foreign} and network gateway {gateway} belong to different networks")),
            ("CreateRoute", &[("RouteTableId", &table), to("8.8.8.0/24"), ("GatewayId", &second)], "InvalidParameterValue", "belong to different networks"),
            ("CreateRoute", &[("RouteTableId", &table), to("8.8.8.0/24"), ("GatewayId", "igw-0123456789abcdef0")], "InvalidGatewayID.NotFound", "does not exist"),
            ("CreateRoute", &[("RouteTableId", &table), to("8.8.8.0/24")], "MissingParameter", "GatewayId"),
            ("CreateRoute", &[("RouteTableId", &table), to("8.8.8.0/24"), ("NatGatewayId", "nat-0123456789abcdef0")], "InvalidNatGatewayID.NotFound", "The natGateway ID 'nat-0123456789abcdef0' does not exist"),
            ("CreateRoute", &[("RouteTableId", &table), to("10.1.0.0/16"), default[1]], "RouteAlreadyExists", "10.1.0.0/16"),
            ("CreateRoute", &[("RouteTableId", &table), to("10.1.1.0/24"), default[1]], "InvalidParameterValue", "Route target is not supported. This route only supports interface and instance targets."),
            ("CreateRoute", &[("RouteTableId", &table), to("10.1.1.0/25"), default[1]], "InvalidParameterValue", "does not match the CIDR block of a subnet"),
            ("CreateRoute", &[("RouteTableId", &table), to("169.254.169.254/32"), default[1]], "InvalidParameterValue", "reserved"),
            ("CreateRoute", &[("RouteTableId", &table), to("nowhere"), default[1]], "InvalidParameterValue", "This is not a valid CIDR block."),
            ("ReplaceRoute", &[("RouteTableId", &table), to("9.9.9.0/24"), default[1]], "InvalidParameterValue", "There is no route defined for '9.9.9.0/24' in the route table. Use CreateRoute instead."),
            ("DeleteRoute", &[("RouteTableId", &table), to("9.9.9.0/24")], "InvalidRoute.NotFound", "9.9.9.0/24"),
            ("DeleteRoute", &[("RouteTableId", &table), to("10.1.0.0/16")], "InvalidParameterValue", "local route"),
            ("AssociateRouteTable", &[("RouteTableId", &main_table), ("SubnetId", &subnet)], "Resource.AlreadyAssociated", &format!("the specified association for route table {table} conflicts with an existing association")),
            ("AssociateRouteTable", &[("RouteTableId", &foreign), ("SubnetId", &subnet)], "InvalidParameterValue", "belong to different networks"),
            ("DisassociateRouteTable", &[("AssociationId", &main_tie)], "InvalidParameterValue", &format!("cannot disassociate the main route table association {main_tie}")),
            ("DisassociateRouteTable", &[("AssociationId", "rtbassoc-0123456789abcdef0")], "InvalidAssociationID.NotFound", "does not exist"),
            ("DeleteRouteTable", &[("RouteTableId", &main_table)], "DependencyViolation", &format!("The routeTable '{main_table}' has dependencies and cannot be deleted.")),
            ("DeleteRouteTable", &[("RouteTableId", &table)], "DependencyViolation", "has dependencies"),
        ],
    )
    .await;
}

#[tokio::test]
async fn groups_and_their_rules() {
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.9.0.0/16")], "vpcId").await;
    let make = async |name: &str, vpc: &str| {
        let parameters = [("GroupName", name), ("GroupDescription", "d"), ("VpcId", vpc)];
        cloud.make("CreateSecurityGroup", &parameters, "groupId").await
    };
    let (group, referrer) = (make("web", &vpc).await, make("db", &vpc).await);
    let foreign = make("web", &other).await;
    let ssh = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "100.68.0.18/18"),
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &ssh).await.ok();
    let reference = [
        ("GroupId", referrer.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.Groups.1.GroupId", group.as_str()),
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &reference).await.ok();
    let defaults = [
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", vpc.as_str()),
        ("Filter.2.Name", "group-name"),
        ("Filter.2.Value.1", "default"),
    ];
    let default = cloud.make("DescribeSecurityGroups", &defaults, "groupId").await;
    let with = |protocol: &'static str, from: &'static str, to: &'static str| {
        vec![
            ("GroupId", group.as_str()),
            ("IpPermissions.1.IpProtocol", protocol),
            ("IpPermissions.1.FromPort", from),
            ("IpPermissions.1.ToPort", to),
            ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ]
    };
    let canonical = {
        let mut parameters = ssh;
        parameters[4].1 = "100.68.0.0/18";
        parameters
    };
    refused(
        &cloud,
        &[
            ("CreateSecurityGroup", &[("GroupName", "WEB"), ("GroupDescription", "d"), ("VpcId", &vpc)], "InvalidGroup.Duplicate", &format!("The security group 'WEB' already exists for VPC '{vpc}'")),
            ("CreateSecurityGroup", &[("GroupName", "sg-web"), ("GroupDescription", "d"), ("VpcId", &vpc)], "InvalidParameterValue", "sg-"),
            ("CreateSecurityGroup", &[("GroupName", "한글"), ("GroupDescription", "d"), ("VpcId", &vpc)], "InvalidParameterValue", "GroupName"),
            ("CreateSecurityGroup", &[("GroupName", "x"), ("VpcId", &vpc)], "MissingParameter", "GroupDescription"),
            ("AuthorizeSecurityGroupIngress", &canonical, "InvalidPermission.Duplicate", "the specified rule \"peer: 100.68.0.0/18, TCP, from port: 22, to port: 22, ALLOW\" already exists"),
            ("AuthorizeSecurityGroupIngress", &reference, "InvalidPermission.Duplicate", &format!("\"peer: {group}, ALL, ALLOW\"")),
            ("AuthorizeSecurityGroupIngress", &with("tcp", "443", "80"), "InvalidParameterValue", "443"),
            ("AuthorizeSecurityGroupIngress", &with("tcp", "-1", "-1"), "InvalidParameterValue", "out of range"),
            ("AuthorizeSecurityGroupIngress", &with("icmp", "-1", "3"), "InvalidParameterValue", "code"),
            ("AuthorizeSecurityGroupIngress", &with("ipx", "1", "1"), "InvalidParameterValue", "Unknown protocol"),
            ("AuthorizeSecurityGroupIngress", &[("GroupId", &group), ("IpPermissions.1.IpProtocol", "tcp"), ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8")], "InvalidParameterValue", "from and to ports"),
            ("AuthorizeSecurityGroupIngress", &[("GroupId", &group), ("IpPermissions.1.IpProtocol", "-1"), ("IpPermissions.1.Groups.1.GroupId", &foreign)], "InvalidGroup.NotFound", "different networks"),
            ("AuthorizeSecurityGroupIngress", &[("GroupId", "sg-0123456789abcdef0"), ("IpPermissions.1.IpProtocol", "-1"), ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8")], "InvalidGroup.NotFound", "The security group 'sg-0123456789abcdef0' does not exist"),
            ("AuthorizeSecurityGroupIngress", &[("GroupId", &group)], "MissingParameter", "IpPermissions"),
            ("RevokeSecurityGroupIngress", &with("tcp", "80", "80"), "InvalidPermission.NotFound", "does not exist"),
            ("RevokeSecurityGroupEgress", &[("GroupId", &group), ("SecurityGroupRuleId.1", "sgr-0123456789abcdef0")], "InvalidSecurityGroupRuleId.NotFound", "does not exist"),
            ("DeleteSecurityGroup", &[("GroupId", &group)], "DependencyViolation", &format!("resource {group} has a dependent object")),
            ("DeleteSecurityGroup", &[("GroupId", &default)], "CannotDelete", &format!("the specified group: \"{default}\" name: \"default\" cannot be deleted by a user")),
        ],
    )
    .await;
    // What Terraform does first: the default egress goes, named with ports of 0.
    let default_egress = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.FromPort", "0"),
        ("IpPermissions.1.ToPort", "0"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    cloud.ec2("RevokeSecurityGroupEgress", &default_egress).await.ok();
    let shown = cloud.ec2("DescribeSecurityGroups", &[("GroupId.1", &group)]).await.ok();
    assert!(shown.body.contains("<ipPermissionsEgress/>"), "SG-3: {}", shown.body);
    // One that only refers to itself may go (SG-25).
    let own = [
        ("GroupId", foreign.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.Groups.1.GroupId", &foreign),
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &own).await.ok();
    cloud.ec2("DeleteSecurityGroup", &[("GroupId", &foreign)]).await.ok();
}

#[tokio::test]
async fn launches() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let in_b = cloud.subnet(&vpc, "10.1.3.0/24", "ap-northeast-2b").await;
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.9.0.0/16")], "vpcId").await;
    let foreign = [("GroupName", "g"), ("GroupDescription", "d"), ("VpcId", other.as_str())];
    let foreign = cloud.make("CreateSecurityGroup", &foreign, "groupId").await;
    let image = cloud.image().await;
    let taken = cloud.instance(&subnet, &[("PrivateIpAddress", "10.1.1.50")]).await;
    let long = "QUFB".repeat(6000);
    let launch = |more: &[(&'static str, &'static str)]| {
        let mut parameters = vec![
            ("ImageId", image.as_str()),
            ("InstanceType", "t2.micro"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        for (name, value) in more {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, value));
        }
        parameters
    };
    let with = |more: &[(&'static str, &str)]| {
        let mut parameters: Vec<(&str, String)> = vec![
            ("ImageId", image.clone()),
            ("InstanceType", "t2.micro".into()),
            ("MinCount", "1".into()),
            ("MaxCount", "1".into()),
        ];
        parameters.retain(|(known, _)| more.iter().all(|(name, _)| name != known));
        parameters.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        parameters
    };
    let cases = [
        (
            with(&[("SubnetId", &subnet), ("PrivateIpAddress", "10.1.1.60"), ("MaxCount", "2")]),
            "InvalidParameterCombination",
            "more than one instance",
        ),
        (
            with(&[
                ("NetworkInterface.1.DeviceIndex", "0"),
                ("NetworkInterface.1.SubnetId", &subnet),
                ("NetworkInterface.1.PrivateIpAddresses.1.Primary", "true"),
                ("NetworkInterface.1.PrivateIpAddresses.1.PrivateIpAddress", "10.1.1.60"),
                ("MaxCount", "2"),
            ]),
            "InvalidParameterCombination",
            "more than one instance",
        ),
        (
            with(&[("SubnetId", &in_b)]),
            "Unsupported",
            "Your requested instance type (t2.micro) is not supported in your requested Availability Zone (ap-northeast-2b). Please retry your request by not specifying an Availability Zone or choosing ap-northeast-2a, ap-northeast-2c.",
        ),
        (
            with(&[("SubnetId", &subnet), ("SecurityGroupId.1", &foreign)]),
            "InvalidParameter",
            "belong to different networks.",
        ),
        (
            with(&[("SubnetId", &subnet), ("PrivateIpAddress", "10.1.1.50")]),
            "InvalidIPAddress.InUse",
            "Address 10.1.1.50 is in use",
        ),
        (
            with(&[("SubnetId", &subnet), ("PrivateIpAddress", "10.1.1.2")]),
            "InvalidParameterValue",
            "Address 10.1.1.2 is in subnet's reserved address range",
        ),
        (
            with(&[("SubnetId", &subnet), ("PrivateIpAddress", "10.1.2.9")]),
            "InvalidParameterValue",
            "does not fall within the subnet's address range",
        ),
        (
            with(&[("SubnetId", &subnet), ("KeyName", "nobody")]),
            "InvalidKeyPair.NotFound",
            "The key pair 'nobody' does not exist",
        ),
        (with(&[("SubnetId", &subnet), ("UserData", "!!")]), "InvalidParameterValue", "BASE64"),
        (with(&[("SubnetId", &subnet), ("UserData", &long)]), "InvalidParameterValue", "16384"),
        (
            with(&[("SubnetId", &subnet), ("SecurityGroup.1", "default")]),
            "InvalidParameterCombination",
            "The parameter groupName cannot be used with the parameter subnet",
        ),
        (
            with(&[("SubnetId", &subnet), ("IamInstanceProfile.Name", "none")]),
            "InvalidParameterValue",
            "Value (none) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        ),
        (
            with(&[("SubnetId", &subnet), ("NetworkInterface.1.DeviceIndex", "0")]),
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID may not be specified on the same request",
        ),
        (
            with(&[("SecurityGroupId.1", &foreign), ("NetworkInterface.1.DeviceIndex", "0")]),
            "InvalidParameterCombination",
            "security groups may not be specified",
        ),
        (
            with(&[
                ("NetworkInterface.1.DeviceIndex", "0"),
                ("NetworkInterface.1.SubnetId", &subnet),
                ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
                ("NetworkInterface.2.DeviceIndex", "1"),
                ("NetworkInterface.2.SubnetId", &subnet),
            ]),
            "InvalidParameterCombination",
            "multiple network interfaces",
        ),
        (
            with(&[
                ("SubnetId", &subnet),
                ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
                ("BlockDeviceMapping.1.Ebs.VolumeSize", "4"),
            ]),
            "InvalidBlockDeviceMapping",
            "smaller than snapshot",
        ),
        (
            with(&[("SubnetId", &subnet), ("Placement.HostId", "h-1")]),
            "UnsupportedOperation",
            "Placement.HostId",
        ),
        (
            with(&[("SubnetId", &subnet), ("LaunchTemplate.LaunchTemplateName", "x")]),
            "InvalidLaunchTemplateName.NotFoundException",
            "template name x",
        ),
        (
            with(&[
                ("SubnetId", &subnet),
                ("TagSpecification.1.ResourceType", "vpc"),
                ("TagSpecification.1.Tag.1.Key", "a"),
            ]),
            "InvalidParameterValue",
            "'vpc' is not a valid taggable resource type",
        ),
    ];
    for (parameters, code, message) in &cases {
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        refused(&cloud, &[("RunInstances", &parameters, code, message)]).await;
    }
    refused(
        &cloud,
        &[
            (
                "RunInstances",
                &launch(&[("InstanceType", "t9.huge")]),
                "InvalidParameterValue",
                "t9.huge",
            ),
            (
                "RunInstances",
                &launch(&[("InstanceType", "t4g.micro")]),
                "InvalidParameterValue",
                "architecture 'arm64'",
            ),
            (
                "RunInstances",
                &launch(&[("ImageId", "ami-0123456789abcdef0")]),
                "InvalidAMIID.NotFound",
                "does not exist",
            ),
            ("RunInstances", &launch(&[("ImageId", "ami-x")]), "InvalidAMIID.Malformed", "ami-x"),
            (
                "RunInstances",
                &launch(&[("ImageId", "resolve:ssm:/aws/service/no-such-image")]),
                "SsmInvalidParameter",
                "The following aliases are invalid: /aws/service/no-such-image",
            ),
            ("RunInstances", &launch(&[("MinCount", "2")]), "InvalidParameterValue", "maxCount"),
            ("RunInstances", &launch(&[("MinCount", "0")]), "InvalidParameterValue", "inCount"),
            (
                "DescribeInstances",
                &[("InstanceId.1", "i-0123456789abcdef0")],
                "InvalidInstanceID.NotFound",
                "The instance ID 'i-0123456789abcdef0' does not exist",
            ),
            (
                "TerminateInstances",
                &[("InstanceId.1", &taken), ("InstanceId.2", "i-0123456789abcdef0")],
                "InvalidInstanceID.NotFound",
                "does not exist",
            ),
            (
                "StopInstances",
                &[("InstanceId.1", "i-0123456789abcdef0"), ("InstanceId.2", "i-0123456789abcdef1")],
                "InvalidInstanceID.NotFound",
                "The instance IDs 'i-0123456789abcdef0, i-0123456789abcdef1' do not exist",
            ),
            (
                "StopInstances",
                &[("InstanceId.1", "x")],
                "InvalidInstanceID.Malformed",
                "Invalid id: \"x\"",
            ),
            (
                "ModifyInstanceAttribute",
                &[("InstanceId", &taken), ("InstanceType.Value", "t2.small")],
                "IncorrectInstanceState",
                "stopped",
            ),
            ("ModifyInstanceAttribute", &[("InstanceId", &taken)], "MissingParameter", "Attribute"),
            (
                "GetInstanceUefiData",
                &[("InstanceId", &image)],
                "InvalidInstanceID.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn interfaces_keys_and_tags() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let in_c = cloud.subnet(&vpc, "10.1.2.0/24", "ap-northeast-2c").await;
    let instance = cloud.instance(&subnet, &[]).await;
    let shown = cloud.ec2("DescribeInstances", &[("InstanceId.1", &instance)]).await.ok();
    let (primary, attachment) = (shown.text("networkInterfaceId"), shown.text("attachmentId"));
    let far =
        cloud.make("CreateNetworkInterface", &[("SubnetId", &in_c)], "networkInterfaceId").await;
    let near =
        cloud.make("CreateNetworkInterface", &[("SubnetId", &subnet)], "networkInterfaceId").await;
    let more =
        cloud.make("CreateNetworkInterface", &[("SubnetId", &subnet)], "networkInterfaceId").await;
    let key = [
        ("KeyName", "k"),
        (
            "PublicKeyMaterial",
            "c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUQvWjJ0MVdaaWZ4VzN2RmROV05GUHJZMUtmUjk3VzA0WU1TNVVoc1YxTWk=",
        ),
    ];
    cloud.ec2("ImportKeyPair", &key).await.ok();
    let attach = |interface: &str, index: &'static str| {
        vec![
            ("NetworkInterfaceId", interface.to_owned()),
            ("InstanceId", instance.clone()),
            ("DeviceIndex", index.to_owned()),
        ]
    };
    let call = async |parameters: Vec<(&str, String)>, code: &str, message: &str| {
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
        refused(&cloud, &[("AttachNetworkInterface", &parameters, code, message)]).await;
    };
    let in_use =
        format!("Instance '{instance}' already has an interface attached at device index '0'.");
    call(attach(&near, "0"), "InvalidParameterValue", &in_use).await;
    call(attach(&far, "1"), "InvalidParameterCombination", "availability zone").await;
    call(attach(&primary, "1"), "InvalidNetworkInterface.InUse", "in use").await;
    let parameters = attach(&near, "1");
    let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
    cloud.ec2("AttachNetworkInterface", &parameters).await.ok();
    call(attach(&more, "2"), "AttachmentLimitExceeded", "t2.micro").await;
    let six: Vec<(String, String)> = {
        let mut six = vec![("NetworkInterfaceId".to_owned(), more.clone())];
        for number in 1..=6 {
            let (name, number) = (format!("g{number}"), number.to_string());
            let group = [("GroupName", name.as_str()), ("GroupDescription", "d"), ("VpcId", &vpc)];
            let group = cloud.make("CreateSecurityGroup", &group, "groupId").await;
            six.push((format!("SecurityGroupId.{number}"), group));
        }
        six
    };
    let six: Vec<_> = six.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let many: Vec<(String, String)> = (0..51)
        .flat_map(|number| {
            [
                (format!("Tag.{}.Key", number + 1), format!("k{number}")),
                (format!("Tag.{}.Value", number + 1), "v".into()),
            ]
        })
        .collect();
    let mut many: Vec<_> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    many.push(("ResourceId.1", &vpc));
    refused(
        &cloud,
        &[
            (
                "ModifyNetworkInterfaceAttribute",
                &six,
                "SecurityGroupsPerInterfaceLimitExceeded",
                "maximum",
            ),
            (
                "DetachNetworkInterface",
                &[("AttachmentId", &attachment)],
                "OperationNotPermitted",
                "The network interface at device index 0 cannot be detached.",
            ),
            (
                "DeleteNetworkInterface",
                &[("NetworkInterfaceId", &primary)],
                "InvalidParameterValue",
                &format!("Network interface '{primary}' is currently in use."),
            ),
            (
                "CreateNetworkInterface",
                &[("SubnetId", &subnet), ("PrivateIpAddress", "10.1.1.255")],
                "InvalidParameterValue",
                "reserved",
            ),
            ("ImportKeyPair", &key, "InvalidKeyPair.Duplicate", "The keypair 'k' already exists."),
            (
                "ImportKeyPair",
                &[("KeyName", "j"), ("PublicKeyMaterial", "aGVsbG8=")],
                "InvalidKey.Format",
                "format",
            ),
            (
                "CreateKeyPair",
                &[("KeyName", "k")],
                "InvalidKeyPair.Duplicate",
                "The keypair 'k' already exists.",
            ),
            (
                "CreateKeyPair",
                &[("KeyName", "j"), ("KeyType", "dsa")],
                "InvalidParameterValue",
                "dsa",
            ),
            (
                "DescribeKeyPairs",
                &[("KeyName.1", "none")],
                "InvalidKeyPair.NotFound",
                "The key pair 'none' does not exist",
            ),
            (
                "CreateTags",
                &[("ResourceId.1", &vpc), ("Tag.1.Key", "aws:x"), ("Tag.1.Value", "y")],
                "InvalidParameterValue",
                "aws:",
            ),
            (
                "CreateTags",
                &[("ResourceId.1", "nothing"), ("Tag.1.Key", "x"), ("Tag.1.Value", "y")],
                "InvalidID",
                "The ID 'nothing' is not valid",
            ),
            (
                "CreateTags",
                &[
                    ("ResourceId.1", &vpc),
                    ("ResourceId.2", "vpc-0123456789abcdef0"),
                    ("Tag.1.Key", "x"),
                    ("Tag.1.Value", "y"),
                ],
                "InvalidVpcID.NotFound",
                "does not exist",
            ),
            ("CreateTags", &many, "TagLimitExceeded", "maximum"),
        ],
    )
    .await;
    cloud.ec2("DeleteKeyPair", &[("KeyName", "never-there")]).await.ok();
}

#[tokio::test]
async fn filters_pages_and_operations() {
    let cloud = Cloud::new();
    cloud.network().await;
    refused(
        &cloud,
        &[
            (
                "DescribeVpcs",
                &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "blue")],
                "InvalidParameterValue",
                "The filter 'colour' is invalid",
            ),
            (
                "DescribeVolumes",
                &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "blue")],
                "InvalidParameterValue",
                "The filter 'colour' is invalid",
            ),
            (
                "DescribeVpcs",
                &[("NextToken", "nonsense"), ("MaxResults", "5")],
                "InvalidNextToken",
                "invalid",
            ),
            (
                "DescribeInstances",
                &[("InstanceId.1", "i-0123456789abcdef0"), ("MaxResults", "5")],
                "InvalidParameterCombination",
                "maxResults",
            ),
            ("MakeCoffee", &[], "InvalidAction", "MakeCoffee"),
        ],
    )
    .await;
}

#[tokio::test]
async fn quotas_hold_when_they_are_asked_for() {
    let cloud = Cloud::with(Wishes { quotas: true, ..Wishes::default() });
    for number in 1..5 {
        let block = format!("10.{number}.0.0/16");
        cloud.ec2("CreateVpc", &[("CidrBlock", &block)]).await.ok();
    }
    for _ in 0..5 {
        cloud.ec2("AllocateAddress", &[]).await.ok();
    }
    refused(
        &cloud,
        &[
            (
                "CreateVpc",
                &[("CidrBlock", "10.5.0.0/16")],
                "VpcLimitExceeded",
                "The maximum number of VPCs has been reached.",
            ),
            (
                "AllocateAddress",
                &[],
                "AddressLimitExceeded",
                "The maximum number of addresses has been reached.",
            ),
        ],
    )
    .await;
}
