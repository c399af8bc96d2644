"""The lab's Tasks 1 to 7 as API calls, with every answer checked (LAB-1 to LAB-4, CIDR-5,
CIDR-6, CIDR-14, SUB-1 to SUB-10, RT-1 to RT-22, IGW-13, SG-3, EC2-12, EC2-19 to EC2-26)."""

import base64
import functools
import json
import re
import subprocess
import tempfile
from pathlib import Path

from harness import (
    REGION,
    case,
    client,
    ident,
    image,
    instances,
    named,
    refused,
    same,
    settle,
    shows,
    user_data,
)

ACCOUNT = "200000000001"
USER_DATA = "#!/bin/bash\nsudo yum -y update\nsudo yum -y install httpd\n"
ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]
EGRESS_ALL = {"IpProtocol": "-1", "IpRanges": ANYWHERE, "FromPort": None, "ToPort": None}


class Lab:
    """The lab's resources; steps are made once, in order, and answer what AWS answers."""

    def __init__(self):
        self.ec2 = client("ec2", ACCOUNT)
        self.subnets = {}
        self.instances = {}

    @functools.cached_property
    def vpc(self):
        vpc = self.ec2.create_vpc(
            CidrBlock="10.1.0.0/16", TagSpecifications=named("vpc", "IMD-VPC")
        )["Vpc"]
        self.vpc_answer = vpc
        return vpc["VpcId"]


@functools.cache
def the():
    return Lab()


@case("lab: a region begins with AWS's default VPC (CIDR-14)")
def default_vpc():
    ec2 = the().ec2
    [vpc] = ec2.describe_vpcs()["Vpcs"]
    shows(vpc, {"CidrBlock": "172.31.0.0/16", "IsDefault": True, "State": "available"}, "vpc")
    of_vpc = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = ec2.describe_subnets(Filters=of_vpc)["Subnets"]
    zones = {one["AvailabilityZone"]: one for one in subnets}
    same(sorted(zones), [f"{REGION}{letter}" for letter in "abcd"], "a subnet in each zone")
    for one in subnets:
        shows(
            one,
            {
                "DefaultForAz": True,
                "MapPublicIpOnLaunch": True,
                "AvailableIpAddressCount": 4091,
                "CidrBlock": re.compile(r"172\.31\.\d+\.0/20"),
            },
            "subnet",
        )
    [gateway] = ec2.describe_internet_gateways(
        Filters=[{"Name": "attachment.vpc-id", "Values": [vpc["VpcId"]]}]
    )["InternetGateways"]
    [table] = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    routes = {one["DestinationCidrBlock"]: one for one in table["Routes"]}
    same(sorted(routes), ["0.0.0.0/0", "172.31.0.0/16"], "routes")
    same(routes["0.0.0.0/0"]["GatewayId"], gateway["InternetGatewayId"], "default route")
    names = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute="enableDnsHostnames")
    same(names["EnableDnsHostnames"]["Value"], True, "DNS hostnames of the default VPC")


@case("lab 3: the VPC, and what comes with it (LAB-1, CIDR-5, CIDR-6)")
def create_vpc():
    lab = the()
    vpc = lab.vpc
    shows(
        lab.vpc_answer,
        {
            "VpcId": ident("vpc"),
            "CidrBlock": "10.1.0.0/16",
            "State": re.compile("pending|available"),
            "IsDefault": False,
            "InstanceTenancy": "default",
            "OwnerId": ACCOUNT,
            "DhcpOptionsId": ident("dopt"),
            "CidrBlockAssociationSet": [
                {
                    "AssociationId": ident("vpc-cidr-assoc"),
                    "CidrBlock": "10.1.0.0/16",
                    "CidrBlockState": {"State": "associated"},
                }
            ],
            "Tags": [{"Key": "Name", "Value": "IMD-VPC"}],
        },
        "vpc",
    )
    lab.ec2.get_waiter("vpc_available").wait(
        VpcIds=[vpc], WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    [table] = lab.ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    shows(
        table,
        {
            "VpcId": vpc,
            "Associations": [{"Main": True, "RouteTableAssociationId": ident("rtbassoc")}],
            "Routes": [
                {
                    "DestinationCidrBlock": "10.1.0.0/16",
                    "GatewayId": "local",
                    "State": "active",
                    "Origin": "CreateRouteTable",
                }
            ],
        },
        "main table",
    )
    [group] = lab.ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
    shows(
        group,
        {
            "GroupName": "default",
            "Description": "default VPC security group",
            "OwnerId": ACCOUNT,
            "IpPermissions": [
                {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}
            ],
            "IpPermissionsEgress": [EGRESS_ALL],
        },
        "default group (SG-5)",
    )
    [acl] = lab.ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    same(acl["IsDefault"], True, "default ACL")
    entries = sorted(
        (one["Egress"], one["RuleNumber"], one["RuleAction"], one["Protocol"], one["CidrBlock"])
        for one in acl["Entries"]
    )
    same(
        entries,
        [
            (False, 100, "allow", "-1", "0.0.0.0/0"),
            (False, 32767, "deny", "-1", "0.0.0.0/0"),
            (True, 100, "allow", "-1", "0.0.0.0/0"),
            (True, 32767, "deny", "-1", "0.0.0.0/0"),
        ],
        "NACL-4",
    )
    [options] = lab.ec2.describe_dhcp_options(DhcpOptionsIds=[lab.vpc_answer["DhcpOptionsId"]])[
        "DhcpOptions"
    ]
    found = {
        one["Key"]: [value["Value"] for value in one["Values"]]
        for one in options["DhcpConfigurations"]
    }
    same(
        found,
        {
            "domain-name": [f"{REGION}.compute.internal"],
            "domain-name-servers": ["AmazonProvidedDNS"],
        },
        "DHCP-1",
    )


@case("lab 4: DNS host names are off, then on by a call of their own (CIDR-7)")
def dns_hostnames():
    lab = the()

    def attribute(name):
        answer = lab.ec2.describe_vpc_attribute(VpcId=lab.vpc, Attribute=name)
        same(answer["VpcId"], lab.vpc, "VpcId")
        return answer[name[0].upper() + name[1:]]["Value"]

    same(attribute("enableDnsSupport"), True, "DNS support")
    same(attribute("enableDnsHostnames"), False, "DNS host names")
    lab.ec2.modify_vpc_attribute(VpcId=lab.vpc, EnableDnsHostnames={"Value": True})
    same(attribute("enableDnsHostnames"), True, "DNS host names")
    same(attribute("enableDnsSupport"), True, "DNS support")


SUBNETS = [
    ("IMD-PUBLIC-A", "a", "10.1.1.0/24"),
    ("IMD-PUBLIC-B", "c", "10.1.2.0/24"),
    ("IMD-PRIVATE-A", "a", "10.1.11.0/24"),
    ("IMD-PRIVATE-B", "c", "10.1.12.0/24"),
]


@case("lab 5: four subnets (LAB-2, SUB-2, SUB-7, SUB-10)")
def subnets():
    lab = the()
    for name, zone, cidr in SUBNETS:
        subnet = lab.ec2.create_subnet(
            VpcId=lab.vpc,
            CidrBlock=cidr,
            AvailabilityZone=REGION + zone,
            TagSpecifications=named("subnet", name),
        )["Subnet"]
        lab.subnets[name] = subnet["SubnetId"]
        shows(
            subnet,
            {
                "SubnetId": ident("subnet"),
                "VpcId": lab.vpc,
                "CidrBlock": cidr,
                "AvailabilityZone": REGION + zone,
                "AvailabilityZoneId": re.compile("apne2-az[1-4]"),
                "AvailableIpAddressCount": 251,
                "MapPublicIpOnLaunch": False,
                "DefaultForAz": False,
                "AssignIpv6AddressOnCreation": False,
                "EnableDns64": False,
                "Ipv6Native": False,
                "OwnerId": ACCOUNT,
                "SubnetArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/{subnet['SubnetId']}",
                "PrivateDnsNameOptionsOnLaunch": {
                    "HostnameType": "ip-name",
                    "EnableResourceNameDnsARecord": False,
                    "EnableResourceNameDnsAAAARecord": False,
                },
                "Tags": [{"Key": "Name", "Value": name}],
            },
            name,
        )
    lab.ec2.get_waiter("subnet_available").wait(
        SubnetIds=list(lab.subnets.values()), WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )
    [acl] = lab.ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [lab.vpc]}])[
        "NetworkAcls"
    ]
    same(
        sorted(one["SubnetId"] for one in acl["Associations"]),
        sorted(lab.subnets.values()),
        "NACL-6",
    )


@case("lab 6-8: route tables, internet gateway, the route to it (LAB-3, RT-22, IGW-13)")
def routes():
    lab = the()
    tables = {}
    for name, members in (("PUBLIC-RT", "PUBLIC"), ("PRIVATE-RT", "PRIVATE")):
        table = lab.ec2.create_route_table(
            VpcId=lab.vpc, TagSpecifications=named("route-table", name)
        )["RouteTable"]
        shows(table, {"RouteTableId": ident("rtb"), "VpcId": lab.vpc, "Associations": []}, name)
        same(len(table["Routes"]), 1, "RT-1")
        tables[name] = table["RouteTableId"]
        for letter in "AB":
            answer = lab.ec2.associate_route_table(
                RouteTableId=tables[name], SubnetId=lab.subnets[f"IMD-{members}-{letter}"]
            )
            shows(
                answer,
                {
                    "AssociationId": ident("rtbassoc"),
                    "AssociationState": {"State": "associated"},
                },
                "association",
            )
    gateway = lab.ec2.create_internet_gateway(
        TagSpecifications=named("internet-gateway", "IMD-IGW")
    )["InternetGateway"]
    shows(gateway, {"InternetGatewayId": ident("igw"), "Attachments": []}, "gateway")
    lab.gateway = gateway["InternetGatewayId"]
    lab.ec2.attach_internet_gateway(InternetGatewayId=lab.gateway, VpcId=lab.vpc)
    [found] = lab.ec2.describe_internet_gateways(InternetGatewayIds=[lab.gateway])[
        "InternetGateways"
    ]
    same(found["Attachments"], [{"State": "available", "VpcId": lab.vpc}], "IGW-13")
    lab.tables = tables
    answer = lab.ec2.create_route(
        RouteTableId=tables["PUBLIC-RT"],
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=lab.gateway,
    )
    same(answer["Return"], True, "CreateRoute")
    found = lab.ec2.describe_route_tables(RouteTableIds=list(tables.values()))["RouteTables"]
    found = {one["RouteTableId"]: one for one in found}
    public, private = found[tables["PUBLIC-RT"]], found[tables["PRIVATE-RT"]]
    [route] = [one for one in public["Routes"] if one["DestinationCidrBlock"] == "0.0.0.0/0"]
    shows(
        route,
        {"GatewayId": lab.gateway, "State": "active", "Origin": "CreateRoute"},
        "default route",
    )
    same(len(private["Routes"]), 1, "PRIVATE-RT is local only")
    for table, members in ((public, "PUBLIC"), (private, "PRIVATE")):
        same(
            sorted(one["SubnetId"] for one in table["Associations"]),
            sorted(lab.subnets[f"IMD-{members}-{letter}"] for letter in "AB"),
            members,
        )
        same({one["Main"] for one in table["Associations"]}, {False}, "RT-22")


@case("lab 9: the key pair, as pem (EC2-12, EC2-13)")
def key_pair():
    lab = the()
    key = lab.ec2.create_key_pair(
        KeyName="IMD-KEY", TagSpecifications=named("key-pair", "IMD-KEY")
    )
    shows(key, {"KeyName": "IMD-KEY", "KeyPairId": ident("key")}, "key")
    same(key["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----"), True, "PKCS#1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "IMD-KEY.pem"
        path.write_text(key["KeyMaterial"])
        path.chmod(0o600)
        public = subprocess.run(
            ["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True
        ).stdout
        bits = subprocess.run(
            ["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True
        ).stdout.split()
        pkcs8 = subprocess.run(
            ["openssl", "pkcs8", "-in", path, "-topk8", "-nocrypt", "-outform", "DER"],
            check=True,
            capture_output=True,
        ).stdout
    same(bits[0], "2048", "RSA-2048")
    digest = subprocess.run(
        ["openssl", "sha1", "-c"], input=pkcs8, check=True, capture_output=True
    ).stdout.decode()
    same(key["KeyFingerprint"], digest.split("= ")[-1].strip(), "EC2-13")
    [found] = lab.ec2.describe_key_pairs(KeyNames=["IMD-KEY"], IncludePublicKey=True)["KeyPairs"]
    shows(
        found,
        {
            "KeyPairId": key["KeyPairId"],
            "KeyFingerprint": key["KeyFingerprint"],
            "KeyType": "rsa",
            "Tags": [{"Key": "Name", "Value": "IMD-KEY"}],
        },
        "described key",
    )
    same(found["PublicKey"].split()[:2], public.split()[:2], "the same key")
    same("KeyMaterial" in found, False, "the private key is shown once")


GROUPS = {
    "IMD-PUB-SG": ("Security Group for IMD-PUB", [22, 80, 443]),
    "IMD-BASTION-SG": ("Security Group for IMD-BASTION", [22]),
    "IMD-PRI-SG": ("Security Group for IMD-PRI", []),
}


def port(number, **peer):
    return {"IpProtocol": "tcp", "FromPort": number, "ToPort": number, **peer}


@case("lab 14: security groups and their rules (LAB-4, SG-3, SG-10, SG-11, SG-15, SG-16)")
def security_groups():
    lab = the()
    lab.groups = {}
    for name, (description, ports) in GROUPS.items():
        group = lab.ec2.create_security_group(
            GroupName=name,
            Description=description,
            VpcId=lab.vpc,
            TagSpecifications=named("security-group", name),
        )
        shows(group, {"GroupId": ident("sg"), "Tags": [{"Key": "Name", "Value": name}]}, name)
        lab.groups[name] = group["GroupId"]
        [fresh] = lab.ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
        shows(fresh, {"IpPermissions": [], "IpPermissionsEgress": [EGRESS_ALL]}, "SG-3")
        if ports:
            permissions = [port(number, IpRanges=ANYWHERE) for number in ports]
            if name == "IMD-PUB-SG":
                permissions.append(
                    {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": ANYWHERE}
                )
            answer = lab.ec2.authorize_security_group_ingress(
                GroupId=group["GroupId"], IpPermissions=permissions
            )
            same(answer["Return"], True, "authorize")
            same(len(answer["SecurityGroupRules"]), len(permissions), "SG-10")
            for rule, asked in zip(answer["SecurityGroupRules"], permissions):
                shows(
                    rule,
                    {
                        "SecurityGroupRuleId": ident("sgr"),
                        "GroupId": group["GroupId"],
                        "GroupOwnerId": ACCOUNT,
                        "IsEgress": False,
                        "IpProtocol": asked["IpProtocol"],
                        "FromPort": asked["FromPort"],
                        "ToPort": asked["ToPort"],
                        "CidrIpv4": "0.0.0.0/0",
                    },
                    "rule",
                )
    bastion, private = lab.groups["IMD-BASTION-SG"], lab.groups["IMD-PRI-SG"]
    lab.ec2.authorize_security_group_ingress(
        GroupId=private,
        IpPermissions=[
            port(22, UserIdGroupPairs=[{"GroupId": bastion}]),
            {
                "IpProtocol": "icmp",
                "FromPort": -1,
                "ToPort": -1,
                "IpRanges": [{"CidrIp": "10.1.0.0/16", "Description": "the VPC"}],
            },
        ],
    )
    [found] = lab.ec2.describe_security_groups(GroupIds=[private])["SecurityGroups"]
    by_protocol = {one["IpProtocol"]: one for one in found["IpPermissions"]}
    shows(
        by_protocol["tcp"],
        {
            "FromPort": 22,
            "ToPort": 22,
            "IpRanges": [],
            "UserIdGroupPairs": [{"GroupId": bastion, "UserId": ACCOUNT}],
        },
        "22 from the bastion",
    )
    shows(
        by_protocol["icmp"],
        {
            "FromPort": -1,
            "ToPort": -1,
            "IpRanges": [{"CidrIp": "10.1.0.0/16", "Description": "the VPC"}],
        },
        "ICMP from the VPC",
    )
    rules = lab.ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [private]}]
    )["SecurityGroupRules"]
    [egress] = [one for one in rules if one["IsEgress"]]
    shows(egress, {"IpProtocol": "-1", "FromPort": -1, "ToPort": -1}, "SG-16")
    [reference] = [one for one in rules if "ReferencedGroupInfo" in one]
    same(reference["ReferencedGroupInfo"]["GroupId"], bastion, "reference")


HOSTS = [
    ("PUBLIC-01", "IMD-PUBLIC-A", "IMD-PUB-SG", True),
    ("PUBLIC-02", "IMD-PUBLIC-B", "IMD-PUB-SG", True),
    ("PRIVATE-01", "IMD-PRIVATE-A", "IMD-PRI-SG", False),
    ("PRIVATE-02", "IMD-PRIVATE-B", "IMD-PRI-SG", False),
    ("BASTION", "IMD-PUBLIC-B", "IMD-BASTION-SG", True),
]


@case("lab 10-18: five instances, pending at first, then running (LAB-4, EC2-19, EC2-26, PUB-1)")
def run_instances():
    lab = the()
    ami = image(lab.ec2)
    for name, subnet, group, public in HOSTS:
        specifications = named("instance", name, IMD_EC2=name) + named("volume", name)
        answer = lab.ec2.run_instances(
            ImageId=ami,
            InstanceType="t2.micro",
            KeyName="IMD-KEY",
            MinCount=1,
            MaxCount=1,
            UserData=USER_DATA,
            BlockDeviceMappings=[
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp2"}}
            ],
            NetworkInterfaces=[
                {
                    "DeviceIndex": 0,
                    "SubnetId": lab.subnets[subnet],
                    "Groups": [lab.groups[group]],
                    "AssociatePublicIpAddress": public,
                }
            ],
            TagSpecifications=specifications,
        )
        shows(answer, {"ReservationId": ident("r"), "OwnerId": ACCOUNT}, "reservation")
        [instance] = answer["Instances"]
        lab.instances[name] = instance["InstanceId"]
        shows(
            instance,
            {
                "InstanceId": ident("i"),
                "ImageId": ami,
                "InstanceType": "t2.micro",
                "KeyName": "IMD-KEY",
                "State": {"Code": 0, "Name": "pending"},
                "SubnetId": lab.subnets[subnet],
                "VpcId": lab.vpc,
                "SecurityGroups": [{"GroupId": lab.groups[group], "GroupName": group}],
                "AmiLaunchIndex": 0,
                "RootDeviceName": "/dev/xvda",
                "RootDeviceType": "ebs",
                "Architecture": "x86_64",
                "SourceDestCheck": True,
            },
            name,
        )
    settle(lab.ec2, list(lab.instances.values()), "running")


@case("lab 18: instances as Describe shows them (LAB-4, ENI-8, ENI-11, ENI-12, DNS-6, DNS-8)")
def described():
    lab = the()
    for name, subnet, group, public in HOSTS:
        [instance] = instances(lab.ec2, [lab.instances[name]])
        address = instance["PrivateIpAddress"]
        network = dict((one, cidr) for one, _, cidr in SUBNETS)[subnet].rsplit(".", 1)[0]
        same(address.rsplit(".", 1)[0], network, "in its subnet")
        same(4 <= int(address.rsplit(".", 1)[1]) <= 254, True, "SUB-2")
        private_name = f"ip-{address.replace('.', '-')}.{REGION}.compute.internal"
        [interface] = instance["NetworkInterfaces"]
        public_ip = instance.get("PublicIpAddress")
        same(public_ip is not None, public, "a public address")
        public_name = ""
        association = None
        if public:
            same(public_ip.startswith("198.18."), True, "from the pool")
            public_name = f"ec2-{public_ip.replace('.', '-')}.{REGION}.compute.amazonaws.com"
            association = {"IpOwnerId": "amazon", "PublicIp": public_ip, "PublicDnsName": public_name}
        shows(
            instance,
            {
                "State": {"Code": 16, "Name": "running"},
                "PrivateDnsName": private_name,
                "PublicDnsName": public_name,
                "Placement": {"AvailabilityZone": re.compile(REGION + "[ac]")},
                "EbsOptimized": False,
                "Hypervisor": "xen",
                "VirtualizationType": "hvm",
                "MetadataOptions": {
                    "HttpTokens": "optional",
                    "HttpEndpoint": "enabled",
                    "HttpPutResponseHopLimit": 1,
                    "State": "applied",
                },
                "Monitoring": {"State": "disabled"},
            },
            name,
        )
        same(
            sorted((one["Key"], one["Value"]) for one in instance["Tags"]),
            [("IMD-EC2", name), ("Name", name)],
            "tags",
        )
        shows(
            interface,
            {
                "NetworkInterfaceId": ident("eni"),
                "PrivateIpAddress": address,
                "PrivateDnsName": private_name,
                "MacAddress": re.compile("0[26ae](:[0-9a-f]{2}){5}"),
                "Status": "in-use",
                "SourceDestCheck": True,
                "SubnetId": lab.subnets[subnet],
                "InterfaceType": "interface",
                "Groups": [{"GroupId": lab.groups[group], "GroupName": group}],
                "Association": association,
                "Attachment": {
                    "AttachmentId": ident("eni-attach"),
                    "DeviceIndex": 0,
                    "Status": "attached",
                    "DeleteOnTermination": True,
                },
                "PrivateIpAddresses": [
                    {"Primary": True, "PrivateIpAddress": address, "Association": association}
                ],
            },
            name,
        )
        [mapping] = instance["BlockDeviceMappings"]
        shows(
            mapping,
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"DeleteOnTermination": True, "Status": "attached", "VolumeId": ident("vol")},
            },
            "root volume",
        )
        [volume] = lab.ec2.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"]
        shows(
            volume,
            {
                "VolumeType": "gp2",
                "Size": 8,
                "State": "in-use",
                "Iops": 100,
                "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
                "Attachments": [{"InstanceId": instance["InstanceId"], "State": "attached"}],
                "Tags": [{"Key": "Name", "Value": name}],
            },
            "volume",
        )
        stored = lab.ec2.describe_instance_attribute(
            InstanceId=instance["InstanceId"], Attribute="userData"
        )["UserData"]["Value"]
        same(base64.b64decode(stored).decode(), USER_DATA, "user data")
        same(stored, user_data(USER_DATA), "user data on the wire")
    counts = lab.ec2.describe_subnets(SubnetIds=list(lab.subnets.values()))["Subnets"]
    same(
        {one["CidrBlock"]: one["AvailableIpAddressCount"] for one in counts},
        {"10.1.1.0/24": 250, "10.1.2.0/24": 249, "10.1.11.0/24": 250, "10.1.12.0/24": 250},
        "SUB-2",
    )


def soon(lab, waiter, **wanted):
    """Waits with boto3's own waiter, asking often."""
    lab.ec2.get_waiter(waiter).wait(**wanted, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})


@case("lab 19-20: the NAT gateway and the private route to it (NAT-1)")
def nat_gateway():
    lab = the()
    address = lab.ec2.allocate_address(
        Domain="vpc", TagSpecifications=named("elastic-ip", "IMD-NATGW")
    )
    shows(address, {"AllocationId": ident("eipalloc"), "Domain": "vpc", "PublicIp": str})
    lab.allocation = address["AllocationId"]
    gateway = lab.ec2.create_nat_gateway(
        SubnetId=lab.subnets["IMD-PUBLIC-A"],
        AllocationId=lab.allocation,
        TagSpecifications=named("natgateway", "IMD-NATGW"),
    )["NatGateway"]
    lab.nat = gateway["NatGatewayId"]
    shows(
        gateway,
        {
            "NatGatewayId": ident("nat"),
            "State": "pending",
            "SubnetId": lab.subnets["IMD-PUBLIC-A"],
            "VpcId": lab.vpc,
            "ConnectivityType": "public",
            "Tags": [{"Key": "Name", "Value": "IMD-NATGW"}],
        },
        "NAT gateway",
    )
    soon(lab, "nat_gateway_available", NatGatewayIds=[lab.nat])
    [found] = lab.ec2.describe_nat_gateways(NatGatewayIds=[lab.nat])["NatGateways"]
    shows(
        found,
        {
            "State": "available",
            "NatGatewayAddresses": [
                {
                    "AllocationId": lab.allocation,
                    "PublicIp": address["PublicIp"],
                    "PrivateIp": re.compile(r"10\.1\.1\.\d+"),
                    "NetworkInterfaceId": ident("eni"),
                    "IsPrimary": True,
                    "Status": "succeeded",
                }
            ],
        },
        "NAT gateway",
    )
    lab.ec2.create_route(
        RouteTableId=lab.tables["PRIVATE-RT"],
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=lab.nat,
    )
    [table] = lab.ec2.describe_route_tables(RouteTableIds=[lab.tables["PRIVATE-RT"]])["RouteTables"]
    [route] = [one for one in table["Routes"] if one["DestinationCidrBlock"] == "0.0.0.0/0"]
    shows(route, {"NatGatewayId": lab.nat, "State": "active", "Origin": "CreateRoute"}, "route")


def trust(service):
    """What lets a service take a role."""
    principal = {"Service": f"{service}.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


SSM_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM"


@case("lab 22: a role for Session Manager, on two instances that run (LAB-9)")
def session_manager_role():
    lab = the()
    iam = lab.iam = client("iam", ACCOUNT)
    role = iam.create_role(RoleName="IMD-SSM", AssumeRolePolicyDocument=trust("ec2"))["Role"]
    shows(role, {"Arn": f"arn:aws:iam::{ACCOUNT}:role/IMD-SSM", "RoleId": re.compile("AROA.*")})
    iam.attach_role_policy(RoleName="IMD-SSM", PolicyArn=SSM_POLICY)
    [attached] = iam.list_attached_role_policies(RoleName="IMD-SSM")["AttachedPolicies"]
    same(attached, {"PolicyName": "AmazonEC2RoleforSSM", "PolicyArn": SSM_POLICY}, "policy")
    profile = iam.create_instance_profile(InstanceProfileName="IMD-SSM")["InstanceProfile"]
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="IMD-SSM")
    iam.add_role_to_instance_profile(InstanceProfileName="IMD-SSM", RoleName="IMD-SSM")
    lab.profiles = []
    for name in ("PRIVATE-01", "PRIVATE-02"):
        made = lab.ec2.associate_iam_instance_profile(
            IamInstanceProfile={"Name": "IMD-SSM"}, InstanceId=lab.instances[name]
        )["IamInstanceProfileAssociation"]
        shows(
            made,
            {
                "AssociationId": ident("iip-assoc"),
                "InstanceId": lab.instances[name],
                "State": "associating",
                "IamInstanceProfile": {"Arn": profile["Arn"], "Id": profile["InstanceProfileId"]},
            },
            name,
        )
        lab.profiles.append(made["AssociationId"])
        [instance] = instances(lab.ec2, [lab.instances[name]])
        same(instance["IamInstanceProfile"]["Arn"], profile["Arn"], "at once")
    found = lab.ec2.describe_iam_instance_profile_associations(AssociationIds=lab.profiles)
    states = [one["State"] for one in found["IamInstanceProfileAssociations"]]
    same(states, ["associated", "associated"], "associations")
    refused(
        lambda: lab.ec2.associate_iam_instance_profile(
            IamInstanceProfile={"Name": "IMD-SSM"}, InstanceId=lab.instances["PRIVATE-01"]
        ),
        "IncorrectState",
    )


@case("lab 23: the ssmmessages endpoint, pending, then available (VPCE-1)")
def endpoint():
    lab = the()
    group = lab.ec2.create_security_group(
        GroupName="IMD-SSM-SG", Description="Security Group for IMD-SSM", VpcId=lab.vpc
    )["GroupId"]
    lab.groups["IMD-SSM-SG"] = group
    lab.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[port(443, IpRanges=ANYWHERE)]
    )
    service = f"com.amazonaws.{REGION}.ssmmessages"
    [detail] = lab.ec2.describe_vpc_endpoint_services(ServiceNames=[service])["ServiceDetails"]
    shows(
        detail,
        {
            "ServiceName": service,
            "ServiceType": [{"ServiceType": "Interface"}],
            "PrivateDnsName": f"ssmmessages.{REGION}.amazonaws.com",
        },
        "service",
    )
    private = [lab.subnets["IMD-PRIVATE-A"], lab.subnets["IMD-PRIVATE-B"]]
    made = lab.ec2.create_vpc_endpoint(
        VpcEndpointType="Interface",
        VpcId=lab.vpc,
        ServiceName=service,
        SubnetIds=private,
        SecurityGroupIds=[group],
        PrivateDnsEnabled=True,
        TagSpecifications=named("vpc-endpoint", "IMD-SSM"),
    )["VpcEndpoint"]
    lab.endpoint = made["VpcEndpointId"]
    shows(
        made,
        {
            "VpcEndpointId": ident("vpce"),
            "VpcEndpointType": "Interface",
            "State": "pending",
            "Groups": [{"GroupId": group, "GroupName": "IMD-SSM-SG"}],
            "PrivateDnsEnabled": True,
            "Tags": [{"Key": "Name", "Value": "IMD-SSM"}],
        },
        "endpoint",
    )
    # boto3 has no waiter for endpoints.
    for _ in range(300):
        [found] = lab.ec2.describe_vpc_endpoints(VpcEndpointIds=[lab.endpoint])["VpcEndpoints"]
        if found["State"] != "pending":
            break
    same(found["State"], "available", "endpoint")
    same(sorted(found["SubnetIds"]), sorted(private), "subnets")
    same(len(found["NetworkInterfaceIds"]), 2, "an interface in each subnet")
    names = [one["DnsName"] for one in found["DnsEntries"]]
    same(names[0].startswith(lab.endpoint), True, "regional name first")
    same(f"ssmmessages.{REGION}.amazonaws.com" in names, True, "private name")
    interfaces = lab.ec2.describe_network_interfaces(
        NetworkInterfaceIds=found["NetworkInterfaceIds"]
    )["NetworkInterfaces"]
    for one in interfaces:
        shows(one, {"InterfaceType": "vpc_endpoint", "RequesterManaged": True}, "interface")
    same(sorted(one["SubnetId"] for one in interfaces), sorted(private), "in each subnet")


@case("lab 24: a network ACL for the private subnets, and the way back (LAB-13, NACL-4, NACL-8)")
def network_acl():
    lab = the()
    of_vpc = [{"Name": "vpc-id", "Values": [lab.vpc]}]
    [default] = lab.ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    acl = lab.ec2.create_network_acl(
        VpcId=lab.vpc, TagSpecifications=named("network-acl", "IMD-NACL")
    )["NetworkAcl"]
    shows(acl, {"NetworkAclId": ident("acl"), "IsDefault": False, "Associations": []}, "ACL")
    lab.acl = acl["NetworkAclId"]
    for egress, block in ((False, "10.1.1.0/24"), (True, "0.0.0.0/0")):
        entry = {
            "NetworkAclId": lab.acl,
            "RuleNumber": 10,
            "Protocol": "-1",
            "RuleAction": "allow",
            "Egress": egress,
            "CidrBlock": block,
        }
        lab.ec2.create_network_acl_entry(**entry)
        refused(
            lambda entry=entry: lab.ec2.create_network_acl_entry(**entry),
            "NetworkAclEntryAlreadyExists",
        )
    private = [lab.subnets["IMD-PRIVATE-A"], lab.subnets["IMD-PRIVATE-B"]]

    def move(target):
        """Associates the private subnets with another ACL."""
        for one in lab.ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]:
            for association in one["Associations"]:
                if association["SubnetId"] in private:
                    answer = lab.ec2.replace_network_acl_association(
                        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=target
                    )
                    same(
                        answer["NewAssociationId"] != association["NetworkAclAssociationId"],
                        True,
                        "a new association",
                    )

    move(lab.acl)
    [found] = lab.ec2.describe_network_acls(NetworkAclIds=[lab.acl])["NetworkAcls"]
    same(sorted(one["SubnetId"] for one in found["Associations"]), sorted(private), "swapped")
    entries = sorted(
        (one["Egress"], one["RuleNumber"], one["RuleAction"], one["CidrBlock"])
        for one in found["Entries"]
    )
    same(
        entries,
        [
            (False, 10, "allow", "10.1.1.0/24"),
            (False, 32767, "deny", "0.0.0.0/0"),
            (True, 10, "allow", "0.0.0.0/0"),
            (True, 32767, "deny", "0.0.0.0/0"),
        ],
        "NACL-4",
    )
    lab.ec2.replace_network_acl_entry(
        NetworkAclId=lab.acl,
        RuleNumber=10,
        Protocol="-1",
        RuleAction="allow",
        Egress=False,
        CidrBlock="0.0.0.0/0",
    )
    refused(lambda: lab.ec2.delete_network_acl(NetworkAclId=lab.acl), "DependencyViolation")
    move(default["NetworkAclId"])
    lab.ec2.delete_network_acl(NetworkAclId=lab.acl)
    [back] = lab.ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    same(
        sorted(one["SubnetId"] for one in back["Associations"]),
        sorted(lab.subnets.values()),
        "all with the default ACL again",
    )


@case("lab 25: ICMP taken from the public group")
def icmp_revoked():
    lab = the()
    group = lab.groups["IMD-PUB-SG"]
    icmp = {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": ANYWHERE}
    lab.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[icmp])
    [found] = lab.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    same({one["IpProtocol"] for one in found["IpPermissions"]}, {"tcp"}, "no ICMP any more")
    refused(
        lambda: lab.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[icmp]),
        "InvalidPermission.NotFound",
    )


@case("lab 26: a flow log of the VPC into the group IMD-VPCFlow (FL-2, FL-6)")
def flow_log():
    lab = the()
    logs = lab.logs = client("logs", ACCOUNT)
    logs.create_log_group(logGroupName="IMD-VPCFlow")
    [group] = logs.describe_log_groups(logGroupNamePrefix="IMD-VPCFlow")["logGroups"]
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:IMD-VPCFlow"
    same(group["arn"], f"{arn}:*", "log group")
    role = lab.iam.create_role(
        RoleName="flowlogsRole", AssumeRolePolicyDocument=trust("vpc-flow-logs")
    )["Role"]
    statement = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    lab.iam.put_role_policy(
        RoleName="flowlogsRole",
        PolicyName="flowlogs",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    made = lab.ec2.create_flow_logs(
        ResourceIds=[lab.vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogGroupName="IMD-VPCFlow",
        DeliverLogsPermissionArn=role["Arn"],
        MaxAggregationInterval=60,
    )
    same(made["Unsuccessful"], [], "flow log")
    [lab.flow_log] = made["FlowLogIds"]
    [found] = lab.ec2.describe_flow_logs(FlowLogIds=[lab.flow_log])["FlowLogs"]
    shows(
        found,
        {
            "FlowLogStatus": "ACTIVE",
            "ResourceId": lab.vpc,
            "TrafficType": "ALL",
            "LogGroupName": "IMD-VPCFlow",
            "DeliverLogsPermissionArn": role["Arn"],
            "MaxAggregationInterval": 60,
        },
        "flow log",
    )


@case("lab: what is in use is not deleted (LAB-18)")
def in_use():
    lab = the()
    for call in (
        lambda: lab.ec2.delete_subnet(SubnetId=lab.subnets["IMD-PRIVATE-A"]),
        lambda: lab.ec2.delete_security_group(GroupId=lab.groups["IMD-BASTION-SG"]),
        lambda: lab.ec2.delete_security_group(GroupId=lab.groups["IMD-SSM-SG"]),
        lambda: lab.ec2.delete_route_table(RouteTableId=lab.tables["PRIVATE-RT"]),
        lambda: lab.ec2.detach_internet_gateway(InternetGatewayId=lab.gateway, VpcId=lab.vpc),
        lambda: lab.ec2.delete_internet_gateway(InternetGatewayId=lab.gateway),
        lambda: lab.ec2.delete_vpc(VpcId=lab.vpc),
    ):
        refused(call, "DependencyViolation")
    refused(
        lambda: lab.ec2.release_address(AllocationId=lab.allocation),
        "InvalidIPAddress.InUse|AuthFailure",
    )
    for call in (
        lambda: lab.iam.delete_role(RoleName="IMD-SSM"),
        lambda: lab.iam.delete_instance_profile(InstanceProfileName="IMD-SSM"),
    ):
        refused(call, "DeleteConflict", status=409)


@case("lab: flow log, endpoint, role and NAT gateway go in AWS's order (LAB-18, RT-12)")
def clean_up_services():
    lab = the()
    same(lab.ec2.delete_flow_logs(FlowLogIds=[lab.flow_log])["Unsuccessful"], [], "flow log")
    same(lab.ec2.describe_flow_logs()["FlowLogs"], [], "flow logs")
    lab.logs.delete_log_group(logGroupName="IMD-VPCFlow")
    same(lab.logs.describe_log_groups()["logGroups"], [], "log groups")
    gone = lab.ec2.delete_vpc_endpoints(VpcEndpointIds=[lab.endpoint])
    same(gone["Unsuccessful"], [], "endpoint")
    of_vpc = [{"Name": "vpc-id", "Values": [lab.vpc]}]
    for _ in range(300):
        found = lab.ec2.describe_vpc_endpoints(Filters=of_vpc)["VpcEndpoints"]
        if all(one["State"] == "deleted" for one in found):
            break
    same({one["State"] for one in found} <= {"deleted"}, True, "no endpoint any more")
    lab.ec2.delete_security_group(GroupId=lab.groups.pop("IMD-SSM-SG"))
    for association in lab.profiles:
        answer = lab.ec2.disassociate_iam_instance_profile(AssociationId=association)
        state = answer["IamInstanceProfileAssociation"]["State"]
        same(state, "disassociating", "instance profile")
    iam = lab.iam
    iam.remove_role_from_instance_profile(InstanceProfileName="IMD-SSM", RoleName="IMD-SSM")
    iam.delete_instance_profile(InstanceProfileName="IMD-SSM")
    iam.detach_role_policy(RoleName="IMD-SSM", PolicyArn=SSM_POLICY)
    iam.delete_role(RoleName="IMD-SSM")
    iam.delete_role_policy(RoleName="flowlogsRole", PolicyName="flowlogs")
    iam.delete_role(RoleName="flowlogsRole")
    same(iam.list_roles()["Roles"], [], "roles")
    same(iam.list_instance_profiles()["InstanceProfiles"], [], "instance profiles")
    lab.ec2.delete_nat_gateway(NatGatewayId=lab.nat)
    soon(lab, "nat_gateway_deleted", NatGatewayIds=[lab.nat])
    [table] = lab.ec2.describe_route_tables(RouteTableIds=[lab.tables["PRIVATE-RT"]])["RouteTables"]
    [route] = [one for one in table["Routes"] if one.get("NatGatewayId")]
    same(route["State"], "blackhole", "RT-12")
    lab.ec2.release_address(AllocationId=lab.allocation)
    same(lab.ec2.describe_addresses()["Addresses"], [], "addresses")


@case("lab: clean-up in the working order leaves nothing (LAB-18)")
def clean_up():
    lab = the()
    ids = list(lab.instances.values())
    refused(
        lambda: lab.ec2.delete_vpc(VpcId=lab.vpc),
        "DependencyViolation",
        f"The vpc '{lab.vpc}' has dependencies and cannot be deleted.",
    )
    answer = lab.ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    for one in answer:
        shows(one["PreviousState"], {"Code": 16, "Name": "running"}, "EC2-2")
        shows(one["CurrentState"], {"Name": re.compile("shutting-down|terminated")}, "EC2-2")
    settle(lab.ec2, ids, "terminated")
    for name in ("IMD-PRI-SG", "IMD-BASTION-SG", "IMD-PUB-SG"):
        lab.ec2.delete_security_group(GroupId=lab.groups[name])
    for subnet in lab.subnets.values():
        lab.ec2.delete_subnet(SubnetId=subnet)
    for table in lab.tables.values():
        lab.ec2.delete_route_table(RouteTableId=table)
    lab.ec2.detach_internet_gateway(InternetGatewayId=lab.gateway, VpcId=lab.vpc)
    lab.ec2.delete_internet_gateway(InternetGatewayId=lab.gateway)
    lab.ec2.delete_vpc(VpcId=lab.vpc)
    lab.ec2.delete_key_pair(KeyName="IMD-KEY")
    refused(
        lambda: lab.ec2.describe_vpcs(VpcIds=[lab.vpc]),
        "InvalidVpcID.NotFound",
        f"The vpc ID '{lab.vpc}' does not exist",
    )
    same([one["IsDefault"] for one in lab.ec2.describe_vpcs()["Vpcs"]], [True], "only the default")
    of_vpc = [{"Name": "vpc-id", "Values": [lab.vpc]}]
    same(lab.ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"], [], "CIDR-13")
    same(lab.ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"], [], "CIDR-13")
    same(lab.ec2.describe_route_tables(Filters=of_vpc)["RouteTables"], [], "CIDR-13")
    same(lab.ec2.describe_volumes()["Volumes"], [], "EC2-26")
    same(lab.ec2.describe_network_interfaces()["NetworkInterfaces"], [], "ENI-8")
