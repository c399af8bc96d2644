"""Mistakes about VPCs, subnets, gateways, routes, groups and ACLs."""

from ground import ssh

BAD_CIDR = "Value ({0}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
ZONES = "ap-northeast-2a, ap-northeast-2b, ap-northeast-2c, ap-northeast-2d"


def missing(name):
    """The sentence about a missing parameter; AWS writes names of its own."""
    return f"~(?i)The request must contain the parameter {name}"


def acl_entry(**more):
    """A rule that would be right."""
    return {
        "NetworkAclId": "{acl}",
        "RuleNumber": 200,
        "Protocol": "-1",
        "RuleAction": "allow",
        "Egress": False,
        "CidrBlock": "10.0.0.0/8",
        **more,
    }


def ingress(group, *permissions):
    """Parameters of AuthorizeSecurityGroupIngress and its like."""
    return {"GroupId": group, "IpPermissions": list(permissions)}


def block(cidr):
    return [{"CidrIp": cidr}]


def groups(*ids):
    return [{"GroupId": one} for one in ids]


def route(destination, **target):
    return {"RouteTableId": "{rtb}", "DestinationCidrBlock": destination, **target}


VPC = [
    *[
        ("CreateVpc", {"CidrBlock": cidr}, "InvalidVpc.Range", f"The CIDR '{cidr}' is invalid.", f"{cidr} (CIDR-1)")
        for cidr in ("10.0.0.0/8", "10.0.0.0/15", "10.0.0.0/29", "10.0.0.1/32")
    ],
    *[
        ("CreateVpc", {"CidrBlock": cidr}, "InvalidParameterValue", BAD_CIDR.format(cidr), f"{cidr} (CIDR-2)")
        for cidr in ("x", "10.1.0.0", "10.1.0.0/33", "300.1.0.0/16", "10.1.0/16", "10.1.0.0/-1", "fd00::/56")
    ],
    ("CreateVpc", {"CidrBlock": "169.254.0.0/16"}, "InvalidVpc.Range", None, "link-local (CIDR-3)"),
    ("CreateVpc", {}, "MissingParameter", missing("cidrBlock"), "nothing (API-12)"),
    ("CreateVpc", {"CidrBlock": ""}, "MissingParameter|InvalidParameterValue", None, "empty CIDR"),
    ("CreateVpc", {"CidrBlock": "10.9.0.0/16", "InstanceTenancy": "shared"}, "InvalidParameterValue", None, "tenancy"),
    ("AssociateVpcCidrBlock", {"VpcId": "{vpc}", "CidrBlock": "172.16.0.0/16"}, "InvalidVpc.Range", r"~The CIDR '172\.16\.0\.0/16' is restricted\. Use a CIDR from the same private address range as the current VPC CIDR, or use a publicly-routable CIDR.*", "other private range (CIDR-9, CIDR-10)"),
    ("AssociateVpcCidrBlock", {"VpcId": "{vpc}", "CidrBlock": "192.168.0.0/16"}, "InvalidVpc.Range", "~.*is restricted.*", "192.168 (CIDR-9)"),
    ("AssociateVpcCidrBlock", {"VpcId": "{vpc}", "CidrBlock": "198.19.0.0/16"}, "InvalidVpc.Range", "~.*is restricted.*", "198.19 (CIDR-9)"),
    ("AssociateVpcCidrBlock", {"VpcId": "{vpc}", "CidrBlock": "10.1.128.0/17"}, "InvalidVpc.Range|CidrConflict", None, "overlap (CIDR-8)"),
    ("AssociateVpcCidrBlock", {"VpcId": "{vpc}", "CidrBlock": "10.8.0.0/29"}, "InvalidVpc.Range", "The CIDR '10.8.0.0/29' is invalid.", "/29 (CIDR-1)"),
    ("DisassociateVpcCidrBlock", {"AssociationId": "{cidr_association}"}, "OperationNotPermitted", None, "primary block (CIDR-8)"),
    ("DeleteVpc", {"VpcId": "{vpc}"}, "DependencyViolation", "The vpc '{vpc}' has dependencies and cannot be deleted.", "something left (CIDR-13)"),
    ("DeleteVpc", {}, "MissingParameter", missing("vpcId"), "no id (API-12)"),
    ("ModifyVpcAttribute", {"VpcId": "{vpc}", "EnableDnsSupport": {"Value": True}, "EnableDnsHostnames": {"Value": True}}, "InvalidParameterCombination", None, "two at once (CIDR-7)"),
    ("ModifyVpcAttribute", {"VpcId": "{vpc}"}, "MissingParameter|InvalidParameterCombination", None, "no attribute"),
    ("DescribeVpcAttribute", {"VpcId": "{vpc}", "Attribute": "enableMagic"}, "InvalidParameterValue", None, "unknown attribute"),
]

SUBNET = [
    *[
        ("CreateSubnet", {"VpcId": "{vpc}", "CidrBlock": cidr}, "InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.", f"{cidr} (SUB-1)")
        for cidr in ("10.9.1.0/24", "10.1.0.0/29", "10.0.0.0/8", "10.0.0.0/15")
    ],
    *[
        ("CreateSubnet", {"VpcId": "{vpc}", "CidrBlock": cidr}, "InvalidSubnet.Conflict", f"The CIDR '{cidr}' conflicts with another subnet", f"{cidr} overlaps (SUB-1)")
        for cidr in ("10.1.1.0/24", "10.1.1.128/25", "10.1.0.0/23")
    ],
    *[
        ("CreateSubnet", {"VpcId": "{vpc}", "CidrBlock": cidr}, "InvalidParameterValue", BAD_CIDR.format(cidr), f"{cidr} (CIDR-2)")
        for cidr in ("x", "10.1.9.0", "10.1.9.0/40")
    ],
    ("CreateSubnet", {"VpcId": "{vpc}", "CidrBlock": "10.1.9.0/24", "AvailabilityZone": "ap-northeast-2z"}, "InvalidParameterValue", f"Value (ap-northeast-2z) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {ZONES}.", "bad zone (SUB-6)"),
    ("CreateSubnet", {"VpcId": "{vpc}"}, "MissingParameter", missing("cidrBlock"), "no CIDR (API-12)"),
    ("CreateSubnet", {"CidrBlock": "10.1.9.0/24"}, "MissingParameter", missing("vpcId"), "no VPC (API-12)"),
    ("DeleteSubnet", {"SubnetId": "{subnet}"}, "DependencyViolation", "The subnet '{subnet}' has dependencies and cannot be deleted.", "interface inside (SUB-8)"),
    ("ModifySubnetAttribute", {"SubnetId": "{subnet}", "MapPublicIpOnLaunch": {"Value": True}, "EnableDns64": {"Value": True}}, "InvalidParameterCombination|InvalidParameter", None, "two at once (SUB-7)"),
    ("ModifySubnetAttribute", {"SubnetId": "{subnet}", "PrivateDnsHostnameTypeOnLaunch": "nickname"}, "InvalidParameterValue", None, "unknown host name type (SUB-7)"),
]

GATEWAY = [
    ("AttachInternetGateway", {"InternetGatewayId": "{igw}", "VpcId": "{other_vpc}"}, "Resource.AlreadyAssociated", "resource {igw} is already attached to network {vpc}", "attached elsewhere (IGW-1)"),
    ("AttachInternetGateway", {"InternetGatewayId": "{igw}", "VpcId": "{vpc}"}, "Resource.AlreadyAssociated", "resource {igw} is already attached to network {vpc}", "attached here (IGW-1)"),
    ("AttachInternetGateway", {"InternetGatewayId": "{free_igw}", "VpcId": "{vpc}"}, "Resource.AlreadyAssociated", "~[Nn]etwork {vpc} already has an internet gateway attached", "a second gateway (IGW-1)"),
    ("DetachInternetGateway", {"InternetGatewayId": "{igw}", "VpcId": "{vpc}"}, "DependencyViolation", "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.", "public addresses (IGW-11)"),
    ("DetachInternetGateway", {"InternetGatewayId": "{free_igw}", "VpcId": "{vpc}"}, "Gateway.NotAttached", "resource {free_igw} is not attached to network {vpc}", "not attached (IGW-12)"),
    ("DetachInternetGateway", {"InternetGatewayId": "{igw}", "VpcId": "{other_vpc}"}, "Gateway.NotAttached", "resource {igw} is not attached to network {other_vpc}", "attached elsewhere (IGW-12)"),
    ("DeleteInternetGateway", {"InternetGatewayId": "{igw}"}, "DependencyViolation", "The internetGateway '{igw}' has dependencies and cannot be deleted.", "attached (IGW-12)"),
]

ROUTES = [
    ("CreateRoute", route("0.0.0.0/0", GatewayId="{igw}"), "RouteAlreadyExists", "The route identified by 0.0.0.0/0 already exists.", "same destination (RT-8)"),
    ("CreateRoute", route("10.1.0.0/16", GatewayId="{igw}"), "RouteAlreadyExists|InvalidParameterValue", None, "the local destination (RT-8)"),
    ("CreateRoute", route("9.9.9.0/24", GatewayId="{far_igw}"), "InvalidParameterValue", "route table {rtb} and network gateway {far_igw} belong to different networks", "gateway of another VPC (RT-9)"),
    ("CreateRoute", route("9.9.9.0/24", GatewayId="{free_igw}"), "InvalidGatewayID.NotFound|InvalidParameterValue", None, "gateway not attached (RT-10)"),
    ("CreateRoute", route("9.9.9.0/24", NetworkInterfaceId="{other_eni}"), "InvalidParameterValue", None, "interface of another VPC (RT-9)"),
    ("CreateRoute", route("9.9.9.0/24"), "MissingParameter|InvalidParameterCombination", None, "no target (RT-9)"),
    ("CreateRoute", route("9.9.9.0/24", GatewayId="{igw}", NetworkInterfaceId="{eni}"), "InvalidParameterCombination", None, "two targets (RT-9)"),
    ("CreateRoute", route("9.9.9.0/24", InstanceId="{instance}"), "InvalidInstanceID|InvalidInstanceID.NotFound|InvalidParameterValue|InvalidParameterCombination", None, "instance with two interfaces (RT-11)"),
    ("CreateRoute", {"RouteTableId": "{rtb}", "GatewayId": "{igw}"}, "MissingParameter|InvalidParameterCombination", None, "no destination"),
    ("CreateRoute", route("9.9.9.0", GatewayId="{igw}"), "InvalidParameterValue", "Value (9.9.9.0) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.", "malformed destination (CIDR-2)"),
    ("CreateRoute", route("10.1.1.0/24", GatewayId="{igw}"), "InvalidParameterValue", "Route target is not supported. This route only supports interface and instance targets.", "gateway for a subnet's own block (RT-14, RT-19)"),
    ("CreateRoute", route("10.1.1.0/25", NetworkInterfaceId="{eni}"), "InvalidParameterValue", None, "part of a subnet (RT-14)"),
    ("CreateRoute", route("169.254.168.0/22", GatewayId="{igw}"), "InvalidParameterValue", None, "reserved range (RT-15)"),
    ("CreateRoute", route("169.254.169.254/32", GatewayId="{igw}"), "InvalidParameterValue", None, "inside the reserved range (RT-15)"),
    ("ReplaceRoute", route("9.9.9.0/24", GatewayId="{igw}"), "InvalidParameterValue", "There is no route defined for '9.9.9.0/24' in the route table. Use CreateRoute instead.", "no such route (RT-8)"),
    ("ReplaceRoute", route("0.0.0.0/0", GatewayId="{far_igw}"), "InvalidParameterValue", None, "gateway of another VPC (RT-9)"),
    ("DeleteRoute", route("9.9.9.0/24"), "InvalidRoute.NotFound", "no route with destination-cidr-block 9.9.9.0/24 in route table {rtb}", "no such route (RT-8)"),
    ("DeleteRoute", route("10.1.0.0/16"), "InvalidParameterValue", None, "the local route (RT-1)"),
    ("AssociateRouteTable", {"RouteTableId": "{rtb2}", "SubnetId": "{subnet}"}, "Resource.AlreadyAssociated", "the specified association for route table {rtb} conflicts with an existing association", "associated already (RT-5)"),
    ("AssociateRouteTable", {"RouteTableId": "{rtb2}", "SubnetId": "{other_subnet}"}, "InvalidParameterValue", None, "subnet of another VPC"),
    ("AssociateRouteTable", {"RouteTableId": "{rtb2}"}, "MissingParameter|InvalidParameterCombination", None, "no subnet"),
    ("DisassociateRouteTable", {"AssociationId": "{main_association}"}, "InvalidParameterValue", "cannot disassociate the main route table association {main_association}", "main (RT-6)"),
    ("ReplaceRouteTableAssociation", {"AssociationId": "{rtb_association}", "RouteTableId": "{other_rtb}"}, "InvalidParameterValue", None, "table of another VPC"),
    ("DeleteRouteTable", {"RouteTableId": "{main_rtb}"}, "DependencyViolation", "The routeTable '{main_rtb}' has dependencies and cannot be deleted.", "main (RT-7)"),
    ("DeleteRouteTable", {"RouteTableId": "{rtb}"}, "DependencyViolation", "The routeTable '{rtb}' has dependencies and cannot be deleted.", "associated (RT-7)"),
]

ACL = [
    ("CreateNetworkAclEntry", acl_entry(RuleNumber=100), "NetworkAclEntryAlreadyExists", "The network acl entry identified by 100 already exists.", "number used (NACL-15)"),
    *[
        ("CreateNetworkAclEntry", acl_entry(RuleNumber=number), "InvalidParameterValue", None, f"number {number} (NACL-3)")
        for number in (0, -1, 32767, 40000)
    ],
    ("CreateNetworkAclEntry", acl_entry(Protocol="6"), "MissingParameter|InvalidParameterValue|InvalidParameterCombination", None, "TCP without ports (NACL-10)"),
    ("CreateNetworkAclEntry", acl_entry(Protocol="1"), "MissingParameter|InvalidParameterValue|InvalidParameterCombination", None, "ICMP without a type (NACL-10)"),
    ("CreateNetworkAclEntry", acl_entry(Protocol="6", PortRange={"From": 90, "To": 80}), "InvalidParameterValue|InvalidParameterCombination", None, "ports the wrong way round"),
    ("CreateNetworkAclEntry", acl_entry(Protocol="banana"), "InvalidParameterValue", None, "unknown protocol"),
    ("CreateNetworkAclEntry", acl_entry(RuleAction="maybe"), "InvalidParameterValue", None, "unknown action"),
    ("CreateNetworkAclEntry", acl_entry(CidrBlock="10.0.0.0/99"), "InvalidParameterValue", None, "malformed CIDR"),
    ("CreateNetworkAclEntry", {key: value for key, value in acl_entry().items() if key != "CidrBlock"}, "MissingParameter|InvalidParameterCombination", None, "no CIDR (NACL-9)"),
    ("CreateNetworkAclEntry", {key: value for key, value in acl_entry().items() if key != "RuleNumber"}, "MissingParameter", missing("ruleNumber"), "no number (API-12)"),
    ("ReplaceNetworkAclEntry", acl_entry(RuleNumber=7), "InvalidNetworkAclEntry.NotFound", None, "no such entry (NACL-15)"),
    ("DeleteNetworkAclEntry", {"NetworkAclId": "{acl}", "RuleNumber": 7, "Egress": False}, "InvalidNetworkAclEntry.NotFound", None, "no such entry (NACL-15)"),
    ("DeleteNetworkAclEntry", {"NetworkAclId": "{acl}", "RuleNumber": 100, "Egress": True}, "InvalidNetworkAclEntry.NotFound", None, "the other direction (NACL-15)"),
    ("DeleteNetworkAclEntry", {"NetworkAclId": "{acl}", "RuleNumber": 32767, "Egress": False}, "InvalidParameterValue", None, "the last deny (NACL-3)"),
    ("DeleteNetworkAcl", {"NetworkAclId": "{acl}"}, "DependencyViolation", None, "associated (NACL-8)"),
    ("DeleteNetworkAcl", {"NetworkAclId": "{default_acl}"}, "InvalidParameterValue", "cannot delete default network ACL {default_acl}", "default (NACL-8)"),
    ("ReplaceNetworkAclAssociation", {"AssociationId": "{acl_association}", "NetworkAclId": "{other_acl}"}, "InvalidParameterValue|InvalidParameter", None, "ACL of another VPC"),
]

DUPLICATE = 'the specified rule "peer: {}, ALLOW" already exists'
INCOMPLETE = "InvalidParameterValue|InvalidPermission.Malformed|MissingParameter"

GROUP = [
    ("CreateSecurityGroup", {"GroupName": "WEB", "Description": "d", "VpcId": "{vpc}"}, "InvalidGroup.Duplicate", "The security group 'WEB' already exists for VPC '{vpc}'", "name used, other case (SG-9)"),
    ("CreateSecurityGroup", {"GroupName": "default", "Description": "d", "VpcId": "{vpc}"}, "InvalidGroup.Duplicate|InvalidParameterValue|InvalidGroup.Reserved", None, "the name default (SG-5)"),
    ("CreateSecurityGroup", {"GroupName": "sg-mine", "Description": "d", "VpcId": "{vpc}"}, "InvalidParameterValue", None, "name like an id (SG-8)"),
    ("CreateSecurityGroup", {"GroupName": "n" * 256, "Description": "d", "VpcId": "{vpc}"}, "InvalidParameterValue", None, "name too long (SG-8)"),
    ("CreateSecurityGroup", {"GroupName": "new", "Description": "d" * 256, "VpcId": "{vpc}"}, "InvalidParameterValue", None, "description too long (SG-8)"),
    ("CreateSecurityGroup", {"GroupName": "new", "Description": "웹 서버", "VpcId": "{vpc}"}, "InvalidParameterValue", None, "letters that AWS refuses (SG-8)"),
    ("CreateSecurityGroup", {"GroupName": "new", "VpcId": "{vpc}"}, "MissingParameter", missing("(Group)?Description"), "no description (SG-8)"),
    ("CreateSecurityGroup", {"Description": "d", "VpcId": "{vpc}"}, "MissingParameter", missing("GroupName"), "no name (API-12)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", ssh(IpRanges=block("0.0.0.0/0"))), "InvalidPermission.Duplicate", DUPLICATE.format("0.0.0.0/0, TCP, from port: 22, to port: 22"), "same rule (SG-18)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", ssh(IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "again"}])), "InvalidPermission.Duplicate", DUPLICATE.format("0.0.0.0/0, TCP, from port: 22, to port: 22"), "same rule, other description (SG-19)"),
    ("AuthorizeSecurityGroupIngress", ingress("{db}", ssh(IpRanges=block("100.68.0.18/18"))), "InvalidPermission.Duplicate", DUPLICATE.format("100.68.0.0/18, TCP, from port: 22, to port: 22"), "same rule, other writing (SG-17)"),
    ("AuthorizeSecurityGroupIngress", ingress("{db}", {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "{web}"}]}), "InvalidPermission.Duplicate", DUPLICATE.format("{web}, ALL"), "same reference (SG-18)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", ssh(IpRanges=block("10.7.0.0/16")), ssh(IpRanges=block("0.0.0.0/0"))), "InvalidPermission.Duplicate", None, "one new, one used: none is added (SG-18)"),
    ("AuthorizeSecurityGroupEgress", ingress("{web}", {"IpProtocol": "-1", "IpRanges": block("0.0.0.0/0")}), "InvalidPermission.Duplicate", DUPLICATE.format("0.0.0.0/0, ALL"), "the first egress rule again (SG-3, SG-18)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "tcp", "IpRanges": block("0.0.0.0/0")}), INCOMPLETE, None, "TCP without ports (SG-14)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "icmp", "IpRanges": block("0.0.0.0/0")}), INCOMPLETE, None, "ICMP without type (SG-14)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "icmp", "FromPort": -1, "ToPort": 0, "IpRanges": block("10.0.0.0/8")}), INCOMPLETE, None, "a code without a type (SG-15)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "icmp", "FromPort": 300, "ToPort": -1, "IpRanges": block("10.0.0.0/8")}), INCOMPLETE, None, "ICMP type 300 (SG-15)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "tcp", "FromPort": 90, "ToPort": 80, "IpRanges": block("0.0.0.0/0")}), INCOMPLETE, None, "ports the wrong way round (SG-14)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 70000, "IpRanges": block("0.0.0.0/0")}), INCOMPLETE, None, "port 70000 (SG-14)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "banana", "FromPort": 1, "ToPort": 2, "IpRanges": block("0.0.0.0/0")}), INCOMPLETE, None, "unknown protocol (SG-12)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", {"IpProtocol": "300", "IpRanges": block("0.0.0.0/0")}), INCOMPLETE, None, "protocol 300 (SG-12)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", ssh(IpRanges=block("300.0.0.0/8"))), INCOMPLETE, None, "malformed CIDR"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", ssh()), INCOMPLETE + "|InvalidParameterCombination", None, "no peer (SG-10)"),
    ("AuthorizeSecurityGroupIngress", {"GroupId": "{web}"}, "MissingParameter|InvalidParameterCombination|InvalidParameterValue", None, "no rule (API-12)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", ssh(UserIdGroupPairs=groups("{other_group}"))), "InvalidGroup.NotFound|InvalidParameterValue|InvalidParameter", None, "group of another VPC (SG-31)"),
    ("AuthorizeSecurityGroupIngress", ingress("{web}", ssh(UserIdGroupPairs=groups("sg-0ffffffffffffffff"))), "InvalidGroup.NotFound", "The security group 'sg-0ffffffffffffffff' does not exist", "unknown reference (SG-26)"),
    ("RevokeSecurityGroupIngress", ingress("{web}", ssh(IpRanges=block("10.7.0.0/16"))), "InvalidPermission.NotFound", "The specified rule does not exist in this security group.", "no match (SG-20)"),
    ("RevokeSecurityGroupIngress", ingress("{web}", ssh(IpRanges=block("0.0.0.0/0")), ssh(IpRanges=block("10.7.0.0/16"))), "InvalidPermission.NotFound", None, "one match of two: none is revoked (SG-20)"),
    ("RevokeSecurityGroupEgress", {"GroupId": "{web}", "SecurityGroupRuleIds": ["sgr-0ffffffffffffffff"]}, "InvalidSecurityGroupRuleId.NotFound|InvalidPermission.NotFound", None, "unknown rule id (SG-11)"),
    ("ModifySecurityGroupRules", {"GroupId": "{web}", "SecurityGroupRules": [{"SecurityGroupRuleId": "sgr-0ffffffffffffffff", "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIpv4": "10.0.0.0/8"}}]}, "InvalidSecurityGroupRuleId.NotFound", None, "unknown rule id (SG-11)"),
    ("DeleteSecurityGroup", {"GroupId": "{web}"}, "DependencyViolation", "resource {web} has a dependent object", "in use (SG-24)"),
    ("DeleteSecurityGroup", {"GroupId": "{idle}"}, "DependencyViolation", "resource {idle} has a dependent object", "referenced (SG-24)"),
    ("DeleteSecurityGroup", {"GroupId": "{default_group}"}, "CannotDelete", 'the specified group: "{default_group}" name: "default" cannot be deleted by a user', "default (SG-6)"),
]

ROWS = VPC + SUBNET + GATEWAY + ROUTES + ACL + GROUP
