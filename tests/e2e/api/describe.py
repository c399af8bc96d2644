"""Describe calls: filters, tags, pages; attributes that are set are shown; client tokens."""

import functools
import re

from harness import REGION, case, client, named, refused, same, settle, shows, tags

ACCOUNT = "200000000003"


class World:
    """A few things to look for."""

    def __init__(self):
        self.ec2 = client("ec2", ACCOUNT)
        self.vpc = self.ec2.create_vpc(
            CidrBlock="10.1.0.0/16", TagSpecifications=named("vpc", "one", team="red")
        )["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(
                VpcId=self.vpc,
                CidrBlock=f"10.1.{number}.0/24",
                AvailabilityZone=REGION + "ac"[number % 2],
                TagSpecifications=named("subnet", f"subnet-{number:02}"),
            )["Subnet"]["SubnetId"]
            for number in range(12)
        ]
        self.group = self.ec2.create_security_group(
            GroupName="web", Description="the web", VpcId=self.vpc
        )["GroupId"]
        self.ec2.authorize_security_group_ingress(
            GroupId=self.group,
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": 443,
                    "ToPort": 443,
                    "IpRanges": [{"CidrIp": "203.0.113.0/24", "Description": "office"}],
                }
            ],
        )


@functools.cache
def the():
    return World()


def found(operation, member, identifier, *filters, **more):
    """The ids that a filtered Describe call shows."""
    filters = [{"Name": name, "Values": values} for name, *values in filters]
    answer = getattr(the().ec2, operation)(Filters=filters, **more)
    return {one[identifier] for one in answer[member]}


def subnets(*filters):
    return found("describe_subnets", "Subnets", "SubnetId", *filters)


@case("filter: AND between filters, OR between values (API-9)")
def and_or():
    world = the()
    all_of_vpc = ("vpc-id", world.vpc)
    same(subnets(all_of_vpc), set(world.subnets), "all")
    one = ("cidr-block", "10.1.3.0/24", "10.1.4.0/24")
    same(subnets(all_of_vpc, one), {world.subnets[3], world.subnets[4]}, "OR")
    zone = ("availability-zone", REGION + "c")
    same(subnets(all_of_vpc, one, zone), {world.subnets[3]}, "AND")
    same(subnets(one, ("vpc-id", "vpc-0ffffffffffffffff")), set(), "no match is an empty list")


@case("filter: wildcards, case matters (API-9)")
def wildcards():
    world = the()
    same(subnets(("tag:Name", "subnet-0*")), set(world.subnets[:10]), "*")
    same(subnets(("tag:Name", "subnet-?1")), {world.subnets[1], world.subnets[11]}, "?")
    same(subnets(("tag:Name", "SUBNET-01")), set(), "case")
    same(subnets(("tag-key", "Name")), set(world.subnets), "tag-key")
    same(subnets(("tag:name", "subnet-01")), set(), "case of keys")


FILTERS = [
    ("describe_vpcs", "Vpcs", "VpcId", [("cidr", "10.1.0.0/16")], "vpc"),
    ("describe_vpcs", "Vpcs", "VpcId", [("isDefault", "false")], "vpc"),
    ("describe_vpcs", "Vpcs", "VpcId", [("is-default", "false")], "vpc"),
    ("describe_vpcs", "Vpcs", "VpcId", [("tag:team", "red"), ("state", "available")], "vpc"),
    ("describe_vpcs", "Vpcs", "VpcId", [("cidr-block-association.cidr-block", "10.1.*")], "vpc"),
    ("describe_security_groups", "SecurityGroups", "GroupId", [("group-name", "web")], "group"),
    ("describe_security_groups", "SecurityGroups", "GroupId", [("description", "the *")], "group"),
    (
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        [("ip-permission.from-port", "443"), ("ip-permission.cidr", "203.0.113.0/24")],
        "group",
    ),
]


@case("filter: those that clients send, on VPCs and groups (API-9)")
def client_filters():
    for operation, member, identifier, filters, expected in FILTERS:
        same(
            found(operation, member, identifier, *filters),
            {getattr(the(), expected)},
            f"{operation} {filters}",
        )


@case("filter: those of route tables, ACLs, gateways, as Terraform sends them (API-9)")
def terraform_filters():
    world = the()
    of_vpc = ("vpc-id", world.vpc)
    [main] = world.ec2.describe_route_tables(
        Filters=[
            {"Name": "association.main", "Values": ["true"]},
            {"Name": "vpc-id", "Values": [world.vpc]},
        ]
    )["RouteTables"]
    association = main["Associations"][0]["RouteTableAssociationId"]
    same(
        found(
            "describe_route_tables",
            "RouteTables",
            "RouteTableId",
            ("association.route-table-association-id", association),
        ),
        {main["RouteTableId"]},
        "by association",
    )
    same(
        found(
            "describe_route_tables",
            "RouteTables",
            "RouteTableId",
            ("association.subnet-id", world.subnets[0]),
        ),
        set(),
        "no explicit association",
    )
    acls = found("describe_network_acls", "NetworkAcls", "NetworkAclId", of_vpc, ("default", "true"))
    same(len(acls), 1, "default ACL")
    same(
        found(
            "describe_network_acls",
            "NetworkAcls",
            "NetworkAclId",
            ("association.subnet-id", world.subnets[0]),
        ),
        acls,
        "ACL of a subnet",
    )
    same(
        found(
            "describe_internet_gateways",
            "InternetGateways",
            "InternetGatewayId",
            ("attachment.vpc-id", world.vpc),
        ),
        set(),
        "no gateway",
    )
    rules = found(
        "describe_security_group_rules",
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        ("group-id", world.group),
    )
    same(len(rules), 2, "rules of the group")


UNKNOWN_FILTERS = [
    "describe_vpcs",
    "describe_subnets",
    "describe_route_tables",
    "describe_internet_gateways",
    "describe_security_groups",
    "describe_security_group_rules",
    "describe_network_acls",
    "describe_dhcp_options",
    "describe_network_interfaces",
    "describe_addresses",
    "describe_key_pairs",
    "describe_images",
    "describe_instances",
    "describe_instance_status",
    "describe_instance_types",
    "describe_instance_type_offerings",
    "describe_volumes",
    "describe_tags",
    "describe_availability_zones",
    "describe_regions",
    "describe_prefix_lists",
]


@case("filter: an unknown one is refused everywhere (API-9)")
def unknown_filter():
    for operation in UNKNOWN_FILTERS:
        call = getattr(the().ec2, operation)
        try:
            refused(
                lambda: call(Filters=[{"Name": "colour", "Values": ["red"]}]),
                "InvalidParameterValue",
                "The filter 'colour' is invalid",
            )
        except AssertionError as error:
            raise AssertionError(f"{operation}: {error}") from error


@case("pages: everything once, tokens are opaque, the last page has none (API-7)")
def pages():
    world = the()
    seen, sizes, token = [], [], {}
    while True:
        page = world.ec2.describe_subnets(
            Filters=[{"Name": "vpc-id", "Values": [world.vpc]}], MaxResults=5, **token
        )
        seen += [one["SubnetId"] for one in page["Subnets"]]
        sizes.append(len(page["Subnets"]))
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    same(sizes, [5, 5, 2], "pages")
    same(sorted(seen), sorted(world.subnets), "everything once")
    paginator = world.ec2.get_paginator("describe_subnets")
    collected = paginator.paginate(PaginationConfig={"PageSize": 5}).build_full_result()
    same(len(collected["Subnets"]), 16, "with the default subnets")


@case("pages: bad tokens, sizes and combinations are refused (API-7)")
def bad_pages():
    ec2 = the().ec2
    refused(lambda: ec2.describe_subnets(MaxResults=5, NextToken="x"), "InvalidNextToken|InvalidPaginationToken")
    careless = client("ec2", ACCOUNT, validate=False)
    for size in (0, 1, 4, 1001):
        refused(lambda: careless.describe_subnets(MaxResults=size), "InvalidParameterValue")
    refused(lambda: careless.describe_route_tables(MaxResults=101), "InvalidParameterValue")
    refused(
        lambda: ec2.describe_instances(MaxResults=5, InstanceIds=["i-0ffffffffffffffff"]),
        "InvalidParameterCombination",
    )


@case("tags: on every kind at creation, described, filtered, replaced, deleted (EC2-27)")
def tags_everywhere():
    world = the()
    ec2 = world.ec2
    vpc = {"VpcId": world.vpc}

    def spec(kind):
        return {"TagSpecifications": named(kind, "tagged", kind=kind)}

    subnet = world.subnets[0]
    made = {
        "subnet": ec2.create_subnet(**vpc, CidrBlock="10.1.99.0/24", **spec("subnet"))["Subnet"],
        "route-table": ec2.create_route_table(**vpc, **spec("route-table"))["RouteTable"],
        "internet-gateway": ec2.create_internet_gateway(**spec("internet-gateway"))[
            "InternetGateway"
        ],
        "security-group": ec2.create_security_group(
            **vpc, GroupName="tagged", Description="d", **spec("security-group")
        ),
        "network-acl": ec2.create_network_acl(**vpc, **spec("network-acl"))["NetworkAcl"],
        "dhcp-options": ec2.create_dhcp_options(
            DhcpConfigurations=[{"Key": "domain-name", "Values": ["example.com"]}],
            **spec("dhcp-options"),
        )["DhcpOptions"],
        "network-interface": ec2.create_network_interface(
            SubnetId=subnet, **spec("network-interface")
        )["NetworkInterface"],
        "elastic-ip": ec2.allocate_address(Domain="vpc", **spec("elastic-ip")),
        "key-pair": ec2.create_key_pair(KeyName="tagged", **spec("key-pair")),
    }
    made["security-group-rule"] = ec2.authorize_security_group_ingress(
        GroupId=made["security-group"]["GroupId"],
        IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
        **spec("security-group-rule"),
    )["SecurityGroupRules"][0]
    members = {
        "subnet": "SubnetId",
        "route-table": "RouteTableId",
        "internet-gateway": "InternetGatewayId",
        "security-group": "GroupId",
        "network-acl": "NetworkAclId",
        "dhcp-options": "DhcpOptionsId",
        "network-interface": "NetworkInterfaceId",
        "elastic-ip": "AllocationId",
        "key-pair": "KeyPairId",
        "security-group-rule": "SecurityGroupRuleId",
    }
    for kind, answer in made.items():
        identifier = answer[members[kind]]

        def shown():
            rows = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [identifier]}])
            same({one["ResourceType"] for one in rows["Tags"]} <= {kind}, True, kind)
            return {one["Key"]: one["Value"] for one in rows["Tags"]}

        same(shown(), {"Name": "tagged", "kind": kind}, f"{kind} at creation")
        ec2.create_tags(Resources=[identifier], Tags=tags(Name="new", more=""))
        same(shown(), {"Name": "new", "kind": kind, "more": ""}, f"{kind} changed")
        ec2.delete_tags(Resources=[identifier], Tags=[{"Key": "kind", "Value": "other"}])
        same("kind" in shown(), True, f"{kind}: another value is not deleted")
        ec2.delete_tags(Resources=[identifier], Tags=[{"Key": "kind"}, {"Key": "more"}])
        same(shown(), {"Name": "new"}, f"{kind} deleted")
    by_type = ec2.describe_tags(
        Filters=[
            {"Name": "resource-type", "Values": ["elastic-ip"]},
            {"Name": "key", "Values": ["Name"]},
            {"Name": "value", "Values": ["new"]},
        ]
    )["Tags"]
    same([one["ResourceId"] for one in by_type], [made["elastic-ip"]["AllocationId"]], "by type")


@case("tags: what differs in case or is empty or Korean is kept as it is (EC2-27)")
def odd_tags():
    world = the()
    odd = {"name": "lower", "NAME": "upper", "이름": "구름 ☁", "empty": "", "a/b:c=d+e-f@g": " x "}
    pairs = [{"Key": key, "Value": value} for key, value in odd.items()]
    world.ec2.create_tags(Resources=[world.subnets[1]], Tags=pairs)
    [subnet] = world.ec2.describe_subnets(SubnetIds=[world.subnets[1]])["Subnets"]
    same(
        {one["Key"]: one["Value"] for one in subnet["Tags"]},
        {"Name": "subnet-01", **odd},
        "tags",
    )
    same(subnets(("tag:이름", "구름*")), {world.subnets[1]}, "filter")


@case("subnet attributes: each is shown after its own call (SUB-7)")
def subnet_attributes():
    world = the()
    subnet = world.subnets[2]

    def shown():
        return world.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]

    changes = [
        ({"MapPublicIpOnLaunch": {"Value": True}}, {"MapPublicIpOnLaunch": True}),
        (
            {"PrivateDnsHostnameTypeOnLaunch": "resource-name"},
            {"PrivateDnsNameOptionsOnLaunch": {"HostnameType": "resource-name"}},
        ),
        (
            {"EnableResourceNameDnsARecordOnLaunch": {"Value": True}},
            {"PrivateDnsNameOptionsOnLaunch": {"EnableResourceNameDnsARecord": True}},
        ),
    ]
    for change, expected in changes:
        world.ec2.modify_subnet_attribute(SubnetId=subnet, **change)
        shows(shown(), expected, "subnet")

    def dns64():
        world.ec2.modify_subnet_attribute(SubnetId=subnet, EnableDns64={"Value": True})

    refused(dns64, "InvalidParameterValue")
    block = world.ec2.associate_vpc_cidr_block(
        VpcId=world.vpc, AmazonProvidedIpv6CidrBlock=True
    )["Ipv6CidrBlockAssociation"]["AssociationId"]
    [network] = [
        one["Ipv6CidrBlock"]
        for one in world.ec2.describe_vpcs(VpcIds=[world.vpc])["Vpcs"][0][
            "Ipv6CidrBlockAssociationSet"
        ]
        if one["AssociationId"] == block
    ]
    part = world.ec2.associate_subnet_cidr_block(
        SubnetId=subnet, Ipv6CidrBlock=network.replace("/56", "/64")
    )["Ipv6CidrBlockAssociation"]["AssociationId"]
    dns64()
    shows(shown(), {"EnableDns64": True}, "subnet")
    world.ec2.modify_subnet_attribute(SubnetId=subnet, EnableDns64={"Value": False})
    world.ec2.disassociate_subnet_cidr_block(AssociationId=part)
    world.ec2.disassociate_vpc_cidr_block(AssociationId=block)


@case("blocks are written canonically (CIDR-1, SG-17)")
def canonical():
    world = the()
    vpc = world.ec2.create_vpc(CidrBlock="100.68.0.18/18")["Vpc"]
    same(vpc["CidrBlock"], "100.68.0.0/18", "CIDR-1")
    group = world.ec2.create_security_group(
        GroupName="canonical", Description="d", VpcId=vpc["VpcId"]
    )["GroupId"]
    rule = world.ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": "6",
                "FromPort": 80,
                "ToPort": 80,
                "IpRanges": [{"CidrIp": "100.68.0.18/18"}],
            }
        ],
    )["SecurityGroupRules"][0]
    shows(rule, {"CidrIpv4": "100.68.0.0/18", "IpProtocol": "tcp"}, "SG-12, SG-17")
    world.ec2.delete_security_group(GroupId=group)
    world.ec2.delete_vpc(VpcId=vpc["VpcId"])


@case("secondary blocks: every table gets a local route, and loses it (CIDR-8)")
def secondary():
    world = the()
    made = world.ec2.associate_vpc_cidr_block(VpcId=world.vpc, CidrBlock="10.50.0.0/16")
    association = made["CidrBlockAssociation"]
    shows(association, {"CidrBlock": "10.50.0.0/16"}, "association")

    def local_routes():
        tables = world.ec2.describe_route_tables(
            Filters=[{"Name": "vpc-id", "Values": [world.vpc]}]
        )["RouteTables"]
        return [
            {one["DestinationCidrBlock"] for one in table["Routes"] if one["GatewayId"] == "local"}
            for table in tables
        ]

    same(all(one == {"10.1.0.0/16", "10.50.0.0/16"} for one in local_routes()), True, "won")
    same(
        found(
            "describe_vpcs",
            "Vpcs",
            "VpcId",
            ("cidr-block-association.association-id", association["AssociationId"]),
        ),
        {world.vpc},
        "filter",
    )
    world.ec2.disassociate_vpc_cidr_block(AssociationId=association["AssociationId"])
    same(all(one == {"10.1.0.0/16"} for one in local_routes()), True, "lost")


@case("route states: blackhole when the gateway goes or the interface dies (RT-10, RT-12)")
def blackhole():
    world = the()
    ec2 = world.ec2
    table = ec2.create_route_table(VpcId=world.vpc)["RouteTable"]["RouteTableId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    interface = ec2.create_network_interface(SubnetId=world.subnets[5])["NetworkInterface"][
        "NetworkInterfaceId"
    ]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=world.vpc)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.create_route(
        RouteTableId=table, DestinationCidrBlock="9.9.9.0/24", NetworkInterfaceId=interface
    )

    def state(destination):
        [shown] = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
        [route] = [one for one in shown["Routes"] if one["DestinationCidrBlock"] == destination]
        return route["State"]

    same(state("0.0.0.0/0"), "active", "attached")
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=world.vpc)
    same(state("0.0.0.0/0"), "blackhole", "detached")
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=world.vpc)
    same(state("0.0.0.0/0"), "active", "attached again")
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    same(state("9.9.9.0/24"), "blackhole", "interface deleted")
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="9.9.9.0/24")
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=world.vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    same(state("0.0.0.0/0"), "blackhole", "deleted: the route stays")
    ec2.delete_route_table(RouteTableId=table)


@case("a new network ACL denies everything and has no subnet (NACL-3, NACL-5, NACL-7)")
def new_acl():
    world = the()
    ec2 = world.ec2
    acl = ec2.create_network_acl(VpcId=world.vpc)["NetworkAcl"]
    entries = sorted((one["Egress"], one["RuleNumber"], one["RuleAction"]) for one in acl["Entries"])
    same(entries, [(False, 32767, "deny"), (True, 32767, "deny")], "entries")
    same(acl["Associations"], [], "associations")

    def of_subnet():
        [shown] = ec2.describe_network_acls(
            Filters=[{"Name": "association.subnet-id", "Values": [world.subnets[6]]}]
        )["NetworkAcls"]
        [association] = [
            one for one in shown["Associations"] if one["SubnetId"] == world.subnets[6]
        ]
        return shown["NetworkAclId"], association["NetworkAclAssociationId"]

    default, association = of_subnet()
    new = ec2.replace_network_acl_association(
        AssociationId=association, NetworkAclId=acl["NetworkAclId"]
    )["NewAssociationId"]
    same(new != association, True, "a new association id")
    same(of_subnet(), (acl["NetworkAclId"], new), "replaced")
    ec2.replace_network_acl_association(AssociationId=new, NetworkAclId=default)
    ec2.delete_network_acl(NetworkAclId=acl["NetworkAclId"])


@case("the main route table can be another, and stays with who asked for it (RT-3, RT-4, RT-6)")
def main_table():
    world = the()
    ec2 = world.ec2
    of_main = [
        {"Name": "association.main", "Values": ["true"]},
        {"Name": "vpc-id", "Values": [world.vpc]},
    ]
    [old] = ec2.describe_route_tables(Filters=of_main)["RouteTables"]
    association = old["Associations"][0]["RouteTableAssociationId"]
    new = ec2.create_route_table(VpcId=world.vpc)["RouteTable"]["RouteTableId"]
    made = ec2.replace_route_table_association(AssociationId=association, RouteTableId=new)
    same(made["NewAssociationId"] != association, True, "a new association")
    [now] = ec2.describe_route_tables(Filters=of_main)["RouteTables"]
    same(now["RouteTableId"], new, "RT-6")
    ec2.replace_route_table_association(
        AssociationId=made["NewAssociationId"], RouteTableId=old["RouteTableId"]
    )
    ec2.delete_route_table(RouteTableId=new)


@case("rules: modified in place, described, revoked by id, ports ignored for -1 (SG-11, SG-13)")
def rules():
    world = the()
    ec2 = world.ec2
    group = ec2.create_security_group(GroupName="rules", Description="d", VpcId=world.vpc)[
        "GroupId"
    ]
    ec2.revoke_security_group_egress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ],
    )
    [shown] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    same(shown["IpPermissionsEgress"], [], "the default egress rule is revoked with ports 0")
    [rule] = ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "one"}],
            }
        ],
    )["SecurityGroupRules"]
    identifier = rule["SecurityGroupRuleId"]
    ec2.modify_security_group_rules(
        GroupId=group,
        SecurityGroupRules=[
            {
                "SecurityGroupRuleId": identifier,
                "SecurityGroupRule": {
                    "IpProtocol": "tcp",
                    "FromPort": 8080,
                    "ToPort": 8081,
                    "CidrIpv4": "10.1.0.0/16",
                    "Description": "two",
                },
            }
        ],
    )
    [shown] = ec2.describe_security_group_rules(SecurityGroupRuleIds=[identifier])[
        "SecurityGroupRules"
    ]
    shows(
        shown,
        {"FromPort": 8080, "ToPort": 8081, "CidrIpv4": "10.1.0.0/16", "Description": "two"},
        "modified",
    )
    ec2.update_security_group_rule_descriptions_ingress(
        GroupId=group,
        SecurityGroupRuleDescriptions=[
            {"SecurityGroupRuleId": identifier, "Description": "three"}
        ],
    )
    [shown] = ec2.describe_security_group_rules(SecurityGroupRuleIds=[identifier])[
        "SecurityGroupRules"
    ]
    same(shown["Description"], "three", "described anew")
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[identifier])
    [shown] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    same(shown["IpPermissions"], [], "revoked")
    ec2.delete_security_group(GroupId=group)


@case("a group that only itself refers to can be deleted (SG-25)")
def self_reference():
    world = the()
    group = world.ec2.create_security_group(GroupName="self", Description="d", VpcId=world.vpc)[
        "GroupId"
    ]
    world.ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}],
    )
    world.ec2.delete_security_group(GroupId=group)


@case("default VPC: revoking what is not there succeeds and says so (SG-20)")
def revoke_in_default():
    ec2 = the().ec2
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    group = ec2.create_security_group(GroupName="d", Description="d", VpcId=vpc["VpcId"])["GroupId"]
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 1,
        "ToPort": 1,
        "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
    }
    answer = ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
    same(len(answer["UnknownIpPermissions"]), 1, "SG-20")
    ec2.delete_security_group(GroupId=group)


@case("client tokens: the same answer again, a mismatch refused (API-4)")
def client_tokens():
    world = the()
    ec2 = world.ec2
    makers = [
        (ec2.create_route_table, {"VpcId": world.vpc}, "RouteTable", "RouteTableId"),
        (ec2.create_network_acl, {"VpcId": world.vpc}, "NetworkAcl", "NetworkAclId"),
        (
            ec2.create_network_interface,
            {"SubnetId": world.subnets[7]},
            "NetworkInterface",
            "NetworkInterfaceId",
        ),
    ]
    for make, parameters, member, identifier in makers:
        first = make(**parameters, ClientToken="once")[member][identifier]
        again = make(**parameters, ClientToken="once")[member][identifier]
        same(again, first, f"{identifier} again")
        other = make(**parameters, ClientToken="twice")[member][identifier]
        same(other != first, True, f"another {identifier}")
        key = next(iter(parameters))
        wrong = {"VpcId": "vpc-0ffffffffffffffff", "SubnetId": world.subnets[8]}[key]
        refused(lambda: make(**{key: wrong}, ClientToken="once"), "IdempotentParameterMismatch")
    images = ec2.describe_images(Filters=[{"Name": "name", "Values": ["amzn2-*"]}])["Images"]
    launch = {
        "ImageId": images[0]["ImageId"],
        "InstanceType": "t2.micro",
        "SubnetId": world.subnets[7],
        "MinCount": 2,
        "MaxCount": 2,
        "ClientToken": "launch",
    }
    first = ec2.run_instances(**launch)
    again = ec2.run_instances(**launch)
    ids = [one["InstanceId"] for one in first["Instances"]]
    same(again["ReservationId"], first["ReservationId"], "the reservation")
    same([one["InstanceId"] for one in again["Instances"]], ids, "the instances")
    same([one["AmiLaunchIndex"] for one in first["Instances"]], [0, 1], "EC2-22")
    refused(lambda: ec2.run_instances(**{**launch, "MaxCount": 3}), "IdempotentParameterMismatch")
    ec2.terminate_instances(InstanceIds=ids)
    settle(ec2, ids, "terminated")


@case("accounts and regions do not see each other (one port for all)")
def apart():
    world = the()
    same(client("ec2", "200000000099").describe_vpcs()["Vpcs"][0]["OwnerId"], "200000000099", "")
    far = client("ec2", ACCOUNT, region="us-east-1")
    same({one["CidrBlock"] for one in far.describe_vpcs()["Vpcs"]}, {"172.31.0.0/16"}, "region")
    refused(lambda: far.describe_vpcs(VpcIds=[world.vpc]), "InvalidVpcID.NotFound")
    zones = far.describe_availability_zones()["AvailabilityZones"]
    same(all(re.fullmatch("us-east-1[a-f]", one["ZoneName"]) for one in zones), True, "zones")
    same(client("sts", ACCOUNT).get_caller_identity()["Account"], ACCOUNT, "sts")
