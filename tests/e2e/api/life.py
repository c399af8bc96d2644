"""Instances, interfaces and addresses through their lives, on records: states, addresses that
come and go, what is kept (EC2-1 to EC2-9, PUB-1 to PUB-6, EIP-3 to EIP-9, ENI-8)."""

import functools
import re

from harness import REGION, case, client, image, instances, named, refused, same, settle, shows

ACCOUNT = "200000000007"


class World:
    """A public subnet."""

    def __init__(self):
        self.ec2 = client("ec2", ACCOUNT)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsHostnames={"Value": True})
        self.subnet = self.ec2.create_subnet(
            VpcId=self.vpc, CidrBlock="10.1.1.0/24", AvailabilityZone=REGION + "a"
        )["Subnet"]["SubnetId"]
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        self.image = image(self.ec2)

    def launch(self, public=True, **more):
        interface = {"DeviceIndex": 0, "SubnetId": self.subnet, "AssociatePublicIpAddress": public}
        [instance] = self.ec2.run_instances(
            ImageId=self.image,
            InstanceType="t2.micro",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[interface],
            **more,
        )["Instances"]
        settle(self.ec2, [instance["InstanceId"]], "running")
        return self.shown(instance["InstanceId"])

    def shown(self, identifier):
        return instances(self.ec2, [identifier])[0]

    def free(self):
        [subnet] = self.ec2.describe_subnets(SubnetIds=[self.subnet])["Subnets"]
        return subnet["AvailableIpAddressCount"]


@functools.cache
def the():
    return World()


@case("life: stop and start keep what AWS keeps, and change the public address (EC2-7, PUB-3)")
def stop_start():
    world = the()
    before = world.launch()
    identifier = before["InstanceId"]
    ids = {"InstanceIds": [identifier]}
    [change] = world.ec2.stop_instances(**ids)["StoppingInstances"]
    shows(change["PreviousState"], {"Code": 16, "Name": "running"}, "EC2-2")
    shows(change["CurrentState"], {"Code": 64, "Name": "stopping"}, "EC2-1")
    settle(world.ec2, [identifier], "stopped")
    stopped = world.shown(identifier)
    shows(stopped, {"State": {"Code": 80, "Name": "stopped"}, "PublicIpAddress": None}, "stopped")
    same(stopped["PublicDnsName"], "", "no public name")
    same("Association" in stopped["NetworkInterfaces"][0], False, "no association")
    same(bool(re.match("User initiated", stopped["StateTransitionReason"])), True, "reason")
    [change] = world.ec2.start_instances(**ids)["StartingInstances"]
    shows(change["PreviousState"], {"Code": 80, "Name": "stopped"}, "EC2-2")
    shows(change["CurrentState"], {"Code": 0, "Name": "pending"}, "EC2-1")
    settle(world.ec2, [identifier], "running")
    after = world.shown(identifier)
    same(after["PublicIpAddress"] != before["PublicIpAddress"], True, "PUB-3: another address")
    for member in ("PrivateIpAddress", "ImageId", "SubnetId", "SecurityGroups"):
        same(after[member], before[member], member)
    same(
        after["NetworkInterfaces"][0]["NetworkInterfaceId"],
        before["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "the interface",
    )
    same(after["LaunchTime"] >= before["LaunchTime"], True, "launch time")
    world.ec2.reboot_instances(**ids)
    settle(world.ec2, [identifier], "running")
    rebooted = world.shown(identifier)
    same(rebooted["PublicIpAddress"], after["PublicIpAddress"], "a reboot keeps it")
    world.ec2.terminate_instances(**ids)
    settle(world.ec2, [identifier], "terminated")


@case("life: stopping what is stopped and starting what runs are no errors (EC2-2)")
def idempotent():
    world = the()
    identifier = world.launch()["InstanceId"]
    ids = {"InstanceIds": [identifier]}
    [change] = world.ec2.start_instances(**ids)["StartingInstances"]
    same(change["CurrentState"]["Name"], "running", "it runs")
    world.ec2.stop_instances(**ids)
    settle(world.ec2, [identifier], "stopped")
    [change] = world.ec2.stop_instances(**ids)["StoppingInstances"]
    same(change["CurrentState"]["Name"], "stopped", "it is stopped")
    world.ec2.terminate_instances(**ids)
    settle(world.ec2, [identifier], "terminated")
    [change] = world.ec2.terminate_instances(**ids)["TerminatingInstances"]
    same(change["CurrentState"], {"Code": 48, "Name": "terminated"}, "EC2-2: again")


@case("life: a terminated instance is shown, its interface, volume and addresses are gone (EC2-3)")
def terminated():
    world = the()
    free = world.free()
    instance = world.launch()
    same(world.free(), free - 1, "SUB-2: an address is used")
    identifier = instance["InstanceId"]
    interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    volume = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    [change] = world.ec2.terminate_instances(InstanceIds=[identifier])["TerminatingInstances"]
    shows(change["CurrentState"], {"Code": 32, "Name": "shutting-down"}, "EC2-1")
    settle(world.ec2, [identifier], "terminated")
    shows(
        world.shown(identifier),
        {
            "State": {"Code": 48, "Name": "terminated"},
            "PublicIpAddress": None,
            "PrivateIpAddress": None,
            "NetworkInterfaces": [],
        },
        "EC2-3",
    )
    refused(
        lambda: world.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface]),
        "InvalidNetworkInterfaceID.NotFound",
    )
    refused(lambda: world.ec2.describe_volumes(VolumeIds=[volume]), "InvalidVolume.NotFound")
    same(world.free(), free, "the address is free")


@case("life: status checks, and only of running instances unless asked (EC2-24)")
def status():
    world = the()
    identifier = world.launch()["InstanceId"]
    world.ec2.get_waiter("instance_status_ok").wait(
        InstanceIds=[identifier], WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )
    [shown] = world.ec2.describe_instance_status(InstanceIds=[identifier])["InstanceStatuses"]
    shows(
        shown,
        {
            "AvailabilityZone": REGION + "a",
            "InstanceState": {"Name": "running"},
            "InstanceStatus": {"Status": "ok"},
            "SystemStatus": {"Status": "ok"},
        },
        "status",
    )
    world.ec2.stop_instances(InstanceIds=[identifier])
    settle(world.ec2, [identifier], "stopped")
    same(
        world.ec2.describe_instance_status(InstanceIds=[identifier])["InstanceStatuses"],
        [],
        "only running ones",
    )
    [shown] = world.ec2.describe_instance_status(
        InstanceIds=[identifier], IncludeAllInstances=True
    )["InstanceStatuses"]
    shows(shown["InstanceState"], {"Name": "stopped"}, "all")
    same(shown["InstanceStatus"]["Status"], "not-applicable", "EC2-24")
    world.ec2.terminate_instances(InstanceIds=[identifier])
    settle(world.ec2, [identifier], "terminated")


@case("life: attributes change while stopped, protection holds until it is lifted (EC2-6, EC2-8)")
def attributes():
    world = the()
    identifier = world.launch()["InstanceId"]
    ec2 = world.ec2

    def attribute(name):
        answer = ec2.describe_instance_attribute(InstanceId=identifier, Attribute=name)
        return answer[name[0].upper() + name[1:]].get("Value")

    same(attribute("disableApiTermination"), False, "protection")
    same(attribute("instanceInitiatedShutdownBehavior"), "stop", "EC2-9")
    same(attribute("instanceType"), "t2.micro", "type")
    same(attribute("userData"), None, "user data")
    ec2.modify_instance_attribute(InstanceId=identifier, DisableApiTermination={"Value": True})
    refused(
        lambda: ec2.terminate_instances(InstanceIds=[identifier]), "OperationNotPermitted"
    )
    ec2.stop_instances(InstanceIds=[identifier])
    settle(ec2, [identifier], "stopped")
    ec2.modify_instance_attribute(InstanceId=identifier, InstanceType={"Value": "t2.small"})
    ec2.modify_instance_attribute(InstanceId=identifier, UserData={"Value": b"#!/bin/sh\n"})
    same(attribute("instanceType"), "t2.small", "EC2-8")
    same(attribute("userData"), "IyEvYmluL3NoCg==", "EC2-8")
    ec2.modify_instance_attribute(InstanceId=identifier, DisableApiTermination={"Value": False})
    ec2.modify_instance_metadata_options(InstanceId=identifier, HttpTokens="required")
    same(world.shown(identifier)["MetadataOptions"]["HttpTokens"], "required", "IMDS-9")
    ec2.terminate_instances(InstanceIds=[identifier])
    settle(ec2, [identifier], "terminated")


@case("life: the subnet's flag decides where the launch does not (PUB-1, PUB-6)")
def public_flag():
    world = the()
    ec2 = world.ec2
    ec2.modify_subnet_attribute(SubnetId=world.subnet, MapPublicIpOnLaunch={"Value": True})
    answer = ec2.run_instances(
        ImageId=world.image, InstanceType="t2.micro", MinCount=1, MaxCount=1, SubnetId=world.subnet
    )
    identifier = answer["Instances"][0]["InstanceId"]
    settle(ec2, [identifier], "running")
    same("PublicIpAddress" in world.shown(identifier), True, "PUB-1")
    ec2.modify_subnet_attribute(SubnetId=world.subnet, MapPublicIpOnLaunch={"Value": False})
    ec2.stop_instances(InstanceIds=[identifier])
    settle(ec2, [identifier], "stopped")
    ec2.start_instances(InstanceIds=[identifier])
    settle(ec2, [identifier], "running")
    same("PublicIpAddress" in world.shown(identifier), True, "PUB-6")
    explicit = world.launch(public=False)
    same("PublicIpAddress" in explicit, False, "PUB-1: said no")
    ec2.terminate_instances(InstanceIds=[identifier, explicit["InstanceId"]])
    settle(ec2, [identifier, explicit["InstanceId"]], "terminated")


@case("life: public names appear when DNS host names are turned on (DNS-4, DNS-5)")
def dns_names():
    world = the()
    ec2 = world.ec2
    instance = world.launch()
    identifier, address = instance["InstanceId"], instance["PublicIpAddress"]
    name = f"ec2-{address.replace('.', '-')}.{REGION}.compute.amazonaws.com"
    same(instance["PublicDnsName"], name, "DNS-8")
    ec2.modify_vpc_attribute(VpcId=world.vpc, EnableDnsHostnames={"Value": False})
    same(world.shown(identifier)["PublicDnsName"], "", "DNS-4")
    ec2.modify_vpc_attribute(VpcId=world.vpc, EnableDnsHostnames={"Value": True})
    same(world.shown(identifier)["PublicDnsName"], name, "DNS-5")
    ec2.terminate_instances(InstanceIds=[identifier])
    settle(ec2, [identifier], "terminated")


@case("addresses: an Elastic IP takes over, moves, survives stop and termination (EIP-3 to EIP-9)")
def elastic_ip():
    world = the()
    ec2 = world.ec2
    one, two = world.launch(), world.launch()
    made = ec2.allocate_address(Domain="vpc", TagSpecifications=named("elastic-ip", "mine"))
    shows(made, {"PublicIp": re.compile(r"198\.18\..*"), "Domain": "vpc"}, "allocated")
    allocation = made["AllocationId"]
    associate = {"AllocationId": allocation, "InstanceId": one["InstanceId"]}
    association = ec2.associate_address(**associate)["AssociationId"]
    same(ec2.associate_address(**associate)["AssociationId"], association, "EIP-3: again")
    shown = world.shown(one["InstanceId"])
    same(shown["PublicIpAddress"], made["PublicIp"], "PUB-3: in place of the other")
    dashes = made["PublicIp"].replace(".", "-")
    same(shown["PublicDnsName"].startswith(f"ec2-{dashes}."), True, "EIP-9")
    owner = shown["NetworkInterfaces"][0]["Association"]["IpOwnerId"]
    same(owner, ACCOUNT, "the owner")
    ec2.associate_address(AllocationId=allocation, InstanceId=two["InstanceId"])
    same(world.shown(two["InstanceId"])["PublicIpAddress"], made["PublicIp"], "EIP-3: moved")
    ec2.stop_instances(InstanceIds=[two["InstanceId"]])
    settle(ec2, [two["InstanceId"]], "stopped")
    same(world.shown(two["InstanceId"])["PublicIpAddress"], made["PublicIp"], "EIP-5")
    ec2.terminate_instances(InstanceIds=[one["InstanceId"], two["InstanceId"]])
    settle(ec2, [one["InstanceId"], two["InstanceId"]], "terminated")
    [address] = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    shows(address, {"AssociationId": None, "InstanceId": None, "Tags": list}, "EIP-6")
    ec2.release_address(AllocationId=allocation)
    refused(
        lambda: ec2.describe_addresses(AllocationIds=[allocation]), "InvalidAllocationID.NotFound"
    )


@case("addresses: they are unique and not given out again soon")
def not_reused():
    world = the()
    seen = []
    for _ in range(12):
        made = world.ec2.allocate_address(Domain="vpc")
        seen.append(made["PublicIp"])
        world.ec2.release_address(AllocationId=made["AllocationId"])
    same(len(set(seen)), 12, f"{seen}")


@case("interfaces: created, attached hot, detached, deleted (ENI-1, ENI-2, ENI-8)")
def interfaces():
    world = the()
    ec2 = world.ec2
    instance = world.launch()
    made = ec2.create_network_interface(
        SubnetId=world.subnet, Description="second", PrivateIpAddress="10.1.1.77"
    )["NetworkInterface"]
    shows(
        made,
        {
            "Status": re.compile("pending|available"),
            "Description": "second",
            "PrivateIpAddress": "10.1.1.77",
            "RequesterManaged": False,
            "InterfaceType": "interface",
            "PrivateDnsName": f"ip-10-1-1-77.{REGION}.compute.internal",
            "Groups": [{"GroupName": "default"}],
        },
        "SG-7",
    )
    identifier = made["NetworkInterfaceId"]

    def shown():
        return ec2.describe_network_interfaces(NetworkInterfaceIds=[identifier])[
            "NetworkInterfaces"
        ][0]

    def is_free(what):
        """An attachment that ended is shown as such for a while: clients wait for the word."""
        found = shown()
        same(found["Status"], "available", what)
        same(found.get("Attachment", {"Status": "detached"})["Status"], "detached", what)

    attachment = ec2.attach_network_interface(
        NetworkInterfaceId=identifier, InstanceId=instance["InstanceId"], DeviceIndex=1
    )["AttachmentId"]
    shows(
        shown(),
        {
            "Status": "in-use",
            "Attachment": {
                "AttachmentId": attachment,
                "InstanceId": instance["InstanceId"],
                "DeviceIndex": 1,
                "DeleteOnTermination": False,
            },
        },
        "ENI-8",
    )
    same(len(world.shown(instance["InstanceId"])["NetworkInterfaces"]), 2, "on the instance")
    ec2.detach_network_interface(AttachmentId=attachment)
    ec2.get_waiter("network_interface_available").wait(
        NetworkInterfaceIds=[identifier], WaiterConfig={"Delay": 0.2, "MaxAttempts": 100}
    )
    is_free("detached")
    ec2.attach_network_interface(
        NetworkInterfaceId=identifier, InstanceId=instance["InstanceId"], DeviceIndex=1
    )
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    settle(ec2, [instance["InstanceId"]], "terminated")
    is_free("ENI-8: it stays")
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=identifier, SourceDestCheck={"Value": False}
    )
    same(shown()["SourceDestCheck"], False, "SDC-2")
    ec2.delete_network_interface(NetworkInterfaceId=identifier)


@case("groups: an instance's groups are changed as a whole (SG-28)")
def groups():
    world = the()
    ec2 = world.ec2
    instance = world.launch()
    ids = [
        ec2.create_security_group(GroupName=f"swap-{number}", Description="d", VpcId=world.vpc)[
            "GroupId"
        ]
        for number in range(2)
    ]
    ec2.modify_instance_attribute(InstanceId=instance["InstanceId"], Groups=ids)
    shown = world.shown(instance["InstanceId"])
    same({one["GroupId"] for one in shown["SecurityGroups"]}, set(ids), "on the instance")
    groups = shown["NetworkInterfaces"][0]["Groups"]
    same({one["GroupId"] for one in groups}, set(ids), "on the interface")
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    settle(ec2, [instance["InstanceId"]], "terminated")
    for one in ids:
        ec2.delete_security_group(GroupId=one)


@case("launch: without a subnet it goes to the default VPC; without one it is refused (EC2-21)")
def default_vpc():
    ec2 = client("ec2", "200000000008")
    launch = {"ImageId": image(ec2), "InstanceType": "t2.micro", "MinCount": 1, "MaxCount": 1}
    [instance] = ec2.run_instances(**launch)["Instances"]
    [vpc] = ec2.describe_vpcs()["Vpcs"]
    same(instance["VpcId"], vpc["VpcId"], "the default VPC")
    same(instance["Placement"]["AvailabilityZone"] in (f"{REGION}a", f"{REGION}c"), True, "SUB-11")
    settle(ec2, [instance["InstanceId"]], "running")
    [shown] = instances(ec2, [instance["InstanceId"]])
    same("PublicIpAddress" in shown, True, "CIDR-14")
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    settle(ec2, [instance["InstanceId"]], "terminated")
    of_vpc = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    for subnet in ec2.describe_subnets(Filters=of_vpc)["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    [gateway] = ec2.describe_internet_gateways()["InternetGateways"]
    gateway = gateway["InternetGatewayId"]
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc["VpcId"])
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    refused(lambda: ec2.run_instances(**launch), "VPCIdNotSpecified")
    same(ec2.describe_vpcs()["Vpcs"], [], "it does not come back by itself")
    made = ec2.create_default_vpc()["Vpc"]
    shows(made, {"IsDefault": True, "CidrBlock": "172.31.0.0/16"}, "CreateDefaultVpc")
    same(len(ec2.describe_subnets()["Subnets"]), 4, "with its subnets")
