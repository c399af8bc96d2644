"""A small world with one of everything, for mistakes to be made in."""

import functools

from harness import REGION, client, image, instances, named, settle

ACCOUNT = "200000000002"
ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]


def ssh(**peer):
    """A permission for SSH."""
    return {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **peer}


class Ground:
    """Ids under short names; `{vpc}` in a row of mistakes means `ground.vpc`."""

    def __init__(self):
        self.ec2 = client("ec2", ACCOUNT)
        self.region = REGION
        self.network()
        self.filters()
        self.addresses()
        self.hosts()

    def network(self):
        ec2 = self.ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        other = ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]
        self.other_vpc = other["VpcId"]
        self.cidr_association = other["CidrBlockAssociationSet"][0]["AssociationId"]
        self.plain_vpc = ec2.create_vpc(CidrBlock="10.4.0.0/16")["Vpc"]["VpcId"]
        self.subnet = self.make_subnet(self.vpc, "10.1.1.0/24", "a")
        self.subnet_c = self.make_subnet(self.vpc, "10.1.2.0/24", "c")
        self.subnet_b = self.make_subnet(self.vpc, "10.1.3.0/24", "b")
        self.small = self.make_subnet(self.vpc, "10.1.4.0/28", "a")
        self.bare = self.make_subnet(self.vpc, "10.1.5.0/24", "a")
        self.other_subnet = self.make_subnet(self.other_vpc, "10.2.1.0/24", "a")
        self.igw = self.make_gateway()
        self.free_igw = self.make_gateway()
        self.far_igw = self.make_gateway()
        ec2.attach_internet_gateway(InternetGatewayId=self.igw, VpcId=self.vpc)
        # A gateway of a third VPC, so that `other_vpc` has none.
        self.far_vpc = ec2.create_vpc(CidrBlock="10.3.0.0/16")["Vpc"]["VpcId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.far_igw, VpcId=self.far_vpc)
        of_vpc = [{"Name": "vpc-id", "Values": [self.vpc]}]
        [main] = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
        self.main_rtb = main["RouteTableId"]
        self.main_association = main["Associations"][0]["RouteTableAssociationId"]
        self.rtb = self.make_table(self.vpc)
        self.rtb2 = self.make_table(self.vpc)
        self.other_rtb = self.make_table(self.other_vpc)
        ec2.create_route(
            RouteTableId=self.rtb, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.igw
        )
        for subnet in (self.subnet, self.subnet_c):
            self.rtb_association = ec2.associate_route_table(
                RouteTableId=self.rtb, SubnetId=subnet
            )["AssociationId"]

    def filters(self):
        ec2 = self.ec2
        self.web = self.make_group("web", self.vpc)
        self.db = self.make_group("db", self.vpc)
        self.idle = self.make_group("idle", self.vpc)
        self.extra = [self.make_group(f"extra-{number}", self.vpc) for number in range(6)]
        self.other_group = self.make_group("far", self.other_vpc)
        ec2.authorize_security_group_ingress(
            GroupId=self.web, IpPermissions=[ssh(IpRanges=ANYWHERE)]
        )
        ec2.authorize_security_group_ingress(
            GroupId=self.db,
            IpPermissions=[
                {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": self.web}]},
                ssh(IpRanges=[{"CidrIp": "100.68.0.0/18"}]),
                {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": ANYWHERE},
                ssh(UserIdGroupPairs=[{"GroupId": self.idle}]),
            ],
        )
        default = [
            {"Name": "vpc-id", "Values": [self.vpc]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        [group] = ec2.describe_security_groups(Filters=default)["SecurityGroups"]
        self.default_group = group["GroupId"]
        of_vpc = [{"Name": "vpc-id", "Values": [self.vpc]}]
        [acl] = ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
        self.default_acl = acl["NetworkAclId"]
        self.acl = ec2.create_network_acl(VpcId=self.vpc)["NetworkAcl"]["NetworkAclId"]
        self.other_acl = ec2.create_network_acl(VpcId=self.other_vpc)["NetworkAcl"]["NetworkAclId"]
        ec2.create_network_acl_entry(
            NetworkAclId=self.acl,
            RuleNumber=100,
            Protocol="-1",
            RuleAction="allow",
            Egress=False,
            CidrBlock="0.0.0.0/0",
        )
        [association] = [
            one["NetworkAclAssociationId"]
            for one in acl["Associations"]
            if one["SubnetId"] == self.bare
        ]
        self.acl_association = ec2.replace_network_acl_association(
            AssociationId=association, NetworkAclId=self.acl
        )["NewAssociationId"]

    def addresses(self):
        ec2 = self.ec2
        self.eni = self.make_interface(self.subnet, self.web)
        self.eni_c = self.make_interface(self.subnet_c, self.web)
        self.other_eni = self.make_interface(self.other_subnet, self.other_group)
        self.attached_eni = self.make_interface(self.subnet, self.web)
        self.spare_eni = self.make_interface(self.subnet, self.web)
        used = ec2.allocate_address(Domain="vpc")
        self.allocation, self.address = used["AllocationId"], used["PublicIp"]
        self.free_allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
        self.eip_association = ec2.associate_address(
            AllocationId=self.allocation, NetworkInterfaceId=self.eni
        )["AssociationId"]
        ec2.create_key_pair(KeyName="key")

    def hosts(self):
        ec2 = self.ec2
        self.image = image(ec2)
        address = "10.1.1.10"
        self.instance = self.make_instance(self.subnet, PrivateIpAddress=address)
        self.stopped = self.make_instance(self.subnet)
        self.terminated = self.make_instance(self.subnet)
        self.protected = self.make_instance(self.subnet, DisableApiTermination=True)
        every = [self.instance, self.stopped, self.terminated, self.protected]
        settle(ec2, every, "running")
        ec2.terminate_instances(InstanceIds=[self.terminated])
        ec2.stop_instances(InstanceIds=[self.stopped])
        settle(ec2, [self.terminated], "terminated")
        settle(ec2, [self.stopped], "stopped")
        ec2.attach_network_interface(
            NetworkInterfaceId=self.attached_eni, InstanceId=self.instance, DeviceIndex=1
        )
        [found] = instances(ec2, [self.instance])
        first, second = sorted(
            found["NetworkInterfaces"], key=lambda one: one["Attachment"]["DeviceIndex"]
        )
        self.primary_eni = first["NetworkInterfaceId"]
        self.primary_attachment = first["Attachment"]["AttachmentId"]
        self.second_attachment = second["Attachment"]["AttachmentId"]
        ec2.get_waiter("instance_status_ok").wait(
            InstanceIds=[self.instance, self.protected],
            WaiterConfig={"Delay": 0.2, "MaxAttempts": 300},
        )

    def make_subnet(self, vpc, cidr, zone):
        return self.ec2.create_subnet(
            VpcId=vpc, CidrBlock=cidr, AvailabilityZone=REGION + zone
        )["Subnet"]["SubnetId"]

    def make_gateway(self):
        return self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]

    def make_table(self, vpc):
        return self.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]

    def make_group(self, name, vpc):
        return self.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)[
            "GroupId"
        ]

    def make_interface(self, subnet, group):
        return self.ec2.create_network_interface(SubnetId=subnet, Groups=[group])[
            "NetworkInterface"
        ]["NetworkInterfaceId"]

    def make_instance(self, subnet, **more):
        [instance] = self.ec2.run_instances(
            ImageId=self.image,
            InstanceType="t2.micro",
            MinCount=1,
            MaxCount=1,
            KeyName="key",
            SubnetId=subnet,
            SecurityGroupIds=[self.web],
            TagSpecifications=named("instance", "host"),
            **more,
        )["Instances"]
        return instance["InstanceId"]


@functools.cache
def the():
    """The ground, made once."""
    return Ground()
