"""Ids of every kind, unknown and malformed, wherever an operation takes one (API-10, API-11)."""

# Kind: the parameter of a Describe call, codes for unknown and malformed, the sentence for the
# unknown id, and what else takes such an id.
KINDS = [
    (
        "vpc",
        ("DescribeVpcs", "VpcIds"),
        ("InvalidVpcID.NotFound", "InvalidVpcID.Malformed|InvalidVpcId.Malformed"),
        "The vpc ID '{}' does not exist",
        [
            ("DeleteVpc", {"VpcId": ...}),
            ("ModifyVpcAttribute", {"VpcId": ..., "EnableDnsSupport": {"Value": False}}),
            ("DescribeVpcAttribute", {"VpcId": ..., "Attribute": "enableDnsSupport"}),
            ("CreateSubnet", {"VpcId": ..., "CidrBlock": "10.1.9.0/24"}),
            ("CreateRouteTable", {"VpcId": ...}),
            ("CreateNetworkAcl", {"VpcId": ...}),
            ("CreateSecurityGroup", {"VpcId": ..., "GroupName": "new", "Description": "d"}),
            ("AttachInternetGateway", {"VpcId": ..., "InternetGatewayId": "{free_igw}"}),
            ("AssociateVpcCidrBlock", {"VpcId": ..., "CidrBlock": "10.8.0.0/16"}),
        ],
    ),
    (
        "subnet",
        ("DescribeSubnets", "SubnetIds"),
        ("InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed|InvalidSubnetId.Malformed"),
        "The subnet ID '{}' does not exist",
        [
            ("DeleteSubnet", {"SubnetId": ...}),
            ("ModifySubnetAttribute", {"SubnetId": ..., "MapPublicIpOnLaunch": {"Value": True}}),
            ("AssociateRouteTable", {"SubnetId": ..., "RouteTableId": "{rtb}"}),
            ("CreateNetworkInterface", {"SubnetId": ...}),
            ("RunInstances", {"SubnetId": ..., "ImageId": "{image}", "MinCount": 1, "MaxCount": 1}),
        ],
    ),
    (
        "rtb",
        ("DescribeRouteTables", "RouteTableIds"),
        ("InvalidRouteTableID.NotFound", "InvalidRouteTableId.Malformed|InvalidRouteTableID.Malformed"),
        "The routeTable ID '{}' does not exist",
        [
            ("DeleteRouteTable", {"RouteTableId": ...}),
            ("AssociateRouteTable", {"RouteTableId": ..., "SubnetId": "{bare}"}),
            ("CreateRoute", {"RouteTableId": ..., "DestinationCidrBlock": "9.9.9.0/24", "GatewayId": "{igw}"}),
            ("ReplaceRoute", {"RouteTableId": ..., "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "{igw}"}),
            ("DeleteRoute", {"RouteTableId": ..., "DestinationCidrBlock": "0.0.0.0/0"}),
        ],
    ),
    (
        "igw",
        ("DescribeInternetGateways", "InternetGatewayIds"),
        ("InvalidInternetGatewayID.NotFound", "InvalidInternetGatewayId.Malformed|InvalidInternetGatewayID.Malformed"),
        "The internetGateway ID '{}' does not exist",
        [
            ("DeleteInternetGateway", {"InternetGatewayId": ...}),
            ("AttachInternetGateway", {"InternetGatewayId": ..., "VpcId": "{other_vpc}"}),
            ("DetachInternetGateway", {"InternetGatewayId": ..., "VpcId": "{vpc}"}),
        ],
    ),
    (
        "acl",
        ("DescribeNetworkAcls", "NetworkAclIds"),
        ("InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.Malformed|InvalidNetworkAclID.Malformed"),
        "The networkAcl ID '{}' does not exist",
        [
            ("DeleteNetworkAcl", {"NetworkAclId": ...}),
            ("DeleteNetworkAclEntry", {"NetworkAclId": ..., "RuleNumber": 100, "Egress": False}),
            ("ReplaceNetworkAclAssociation", {"NetworkAclId": ..., "AssociationId": "{acl_association}"}),
        ],
    ),
    (
        "sg",
        ("DescribeSecurityGroups", "GroupIds"),
        ("InvalidGroup.NotFound", "InvalidGroupId.Malformed|InvalidSecurityGroupID.Malformed"),
        "The security group '{}' does not exist",
        [
            ("DeleteSecurityGroup", {"GroupId": ...}),
            ("AuthorizeSecurityGroupIngress", {"GroupId": ..., "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}),
            ("RevokeSecurityGroupEgress", {"GroupId": ..., "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}),
            ("CreateNetworkInterface", {"Groups": [...], "SubnetId": "{subnet}"}),
            ("RunInstances", {"SecurityGroupIds": [...], "SubnetId": "{subnet}", "ImageId": "{image}", "MinCount": 1, "MaxCount": 1}),
        ],
    ),
    (
        "sgr",
        ("DescribeSecurityGroupRules", "SecurityGroupRuleIds"),
        ("InvalidSecurityGroupRuleId.NotFound", "InvalidSecurityGroupRuleId.Malformed"),
        None,
        [],
    ),
    (
        "eni",
        ("DescribeNetworkInterfaces", "NetworkInterfaceIds"),
        ("InvalidNetworkInterfaceID.NotFound", "InvalidNetworkInterfaceId.Malformed|InvalidNetworkInterfaceID.Malformed"),
        "The networkInterface ID '{}' does not exist",
        [
            ("DeleteNetworkInterface", {"NetworkInterfaceId": ...}),
            ("AttachNetworkInterface", {"NetworkInterfaceId": ..., "InstanceId": "{protected}", "DeviceIndex": 1}),
            ("ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": ..., "SourceDestCheck": {"Value": False}}),
            ("AssociateAddress", {"NetworkInterfaceId": ..., "AllocationId": "{free_allocation}"}),
        ],
    ),
    (
        "eipalloc",
        ("DescribeAddresses", "AllocationIds"),
        ("InvalidAllocationID.NotFound", "InvalidAllocationID.Malformed|InvalidAllocationID.NotFound"),
        None,
        [
            ("ReleaseAddress", {"AllocationId": ...}),
            ("AssociateAddress", {"AllocationId": ..., "NetworkInterfaceId": "{eni_c}"}),
        ],
    ),
    (
        "i",
        ("DescribeInstances", "InstanceIds"),
        ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"),
        "The instance ID '{}' does not exist",
        [
            ("StartInstances", {"InstanceIds": [...]}),
            ("StopInstances", {"InstanceIds": [...]}),
            ("RebootInstances", {"InstanceIds": [...]}),
            ("TerminateInstances", {"InstanceIds": [...]}),
            ("DescribeInstanceStatus", {"InstanceIds": [...]}),
            ("DescribeInstanceAttribute", {"InstanceId": ..., "Attribute": "userData"}),
            ("ModifyInstanceAttribute", {"InstanceId": ..., "DisableApiTermination": {"Value": True}}),
            ("ModifyInstanceMetadataOptions", {"InstanceId": ..., "HttpTokens": "required"}),
            ("GetConsoleOutput", {"InstanceId": ...}),
            ("AttachNetworkInterface", {"InstanceId": ..., "NetworkInterfaceId": "{spare_eni}", "DeviceIndex": 1}),
        ],
    ),
    (
        "vol",
        ("DescribeVolumes", "VolumeIds"),
        ("InvalidVolume.NotFound", "InvalidVolumeID.Malformed|InvalidParameterValue"),
        "The volume '{}' does not exist.",
        [],
    ),
    (
        "dopt",
        ("DescribeDhcpOptions", "DhcpOptionsIds"),
        ("InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsId.Malformed|InvalidDhcpOptionID.Malformed"),
        None,
        [
            ("AssociateDhcpOptions", {"DhcpOptionsId": ..., "VpcId": "{vpc}"}),
            ("DeleteDhcpOptions", {"DhcpOptionsId": ...}),
        ],
    ),
    (
        "ami",
        ("DescribeImages", "ImageIds"),
        ("InvalidAMIID.NotFound", "InvalidAMIID.Malformed"),
        "The image id '[{}]' does not exist",
        [],
    ),
]

# Associations and attachments have no Describe call of their own.
TIES = [
    ("DisassociateRouteTable", {"AssociationId": "rtbassoc-0ffffffffffffffff"}, "InvalidAssociationID.NotFound"),
    ("ReplaceRouteTableAssociation", {"AssociationId": "rtbassoc-0ffffffffffffffff", "RouteTableId": "{rtb}"}, "InvalidAssociationID.NotFound"),
    ("ReplaceNetworkAclAssociation", {"AssociationId": "aclassoc-0ffffffffffffffff", "NetworkAclId": "{acl}"}, "InvalidAssociationID.NotFound"),
    ("DisassociateAddress", {"AssociationId": "eipassoc-0ffffffffffffffff"}, "InvalidAssociationID.NotFound"),
    ("DisassociateVpcCidrBlock", {"AssociationId": "vpc-cidr-assoc-0ffffffffffffffff"}, "InvalidVpcCidrBlockAssociationID.NotFound"),
    ("DetachNetworkInterface", {"AttachmentId": "eni-attach-0ffffffffffffffff"}, "InvalidAttachmentID.NotFound"),
    ("DescribeKeyPairs", {"KeyNames": ["nobody"]}, "InvalidKeyPair.NotFound"),
    ("DescribeKeyPairs", {"KeyPairIds": ["key-0ffffffffffffffff"]}, "InvalidKeyPair.NotFound"),
    ("DescribeAvailabilityZones", {"ZoneNames": ["ap-northeast-2z"]}, "InvalidParameterValue"),
    ("DescribeRegions", {"RegionNames": ["mars-1"]}, "InvalidParameterValue"),
    ("DescribeInstanceTypes", {"InstanceTypes": ["t9.mega"]}, "InvalidInstanceType"),
]


def put(value, identifier):
    """Replaces `...` by the id."""
    if value is ...:
        return identifier
    if isinstance(value, dict):
        return {key: put(one, identifier) for key, one in value.items()}
    if isinstance(value, list):
        return [put(one, identifier) for one in value]
    return value


def rows():
    """The rows, as in the other tables of mistakes."""
    for prefix, (describe, parameter), (not_found, malformed), sentence, others in KINDS:
        unknown = f"{prefix}-0ffffffffffffffff"
        said = sentence and sentence.format(unknown)
        yield describe, {parameter: [unknown]}, not_found, said, f"unknown {prefix} (API-10, API-11)"
        yield describe, {parameter: ["x"]}, malformed, None, f"malformed {prefix}"
        # The right form, of another kind.
        wrong = "subnet-0ffffffffffffffff" if prefix == "vpc" else "vpc-0ffffffffffffffff"
        codes = f"{malformed}|{not_found}"
        yield describe, {parameter: [wrong]}, codes, None, f"id of another kind for {prefix}"
        for operation, parameters in others:
            yield operation, put(parameters, unknown), not_found, said, f"unknown {prefix} (API-11)"
            yield operation, put(parameters, "x"), malformed, None, f"malformed {prefix}"
    for operation, parameters, code in TIES:
        [name] = [key for key in parameters if key not in ("RouteTableId", "NetworkAclId")]
        yield operation, parameters, code, None, f"unknown {name} (API-11)"
