"""Requests as such: unknown actions and parameters, rehearsals, error forms, waiters."""

import re
import xml.etree.ElementTree as ElementTree

from botocore import xform_name
from botocore.exceptions import WaiterError

import ground
from harness import case, client, differences, image, refused, request, same, settle, snapshot
from mistakes import fill
from mistakes_hosts import launch
from mistakes_network import acl_entry, route

VERSION = ("Version", "2016-11-15")


def form_refused(form, code, message=None, status=400):
    """A form of one's own is refused in EC2's error form (API-1)."""
    world = ground.the()
    before = snapshot(world.ec2)
    found, body = request(ground.ACCOUNT, form)
    root = ElementTree.fromstring(body)
    same(root.tag, "Response", "root element")
    said = root.findtext("Errors/Error/Code"), root.findtext("Errors/Error/Message")
    same((found, said[0]), (status, code), body)
    if message is not None:
        same(said[1], message, "sentence")
    same(bool(root.findtext("RequestID")), True, "RequestID (API-1)")
    same(differences(before, snapshot(world.ec2)), "", "something changed")


@case("protocol: an unknown action (API-1)")
def unknown_action():
    form_refused(
        [("Action", "MakeCoffee"), VERSION],
        "InvalidAction",
        "The action MakeCoffee is not valid for this web service.",
    )


@case("protocol: an action that AWS has and Gureum has not yet is refused by name, not with 500")
def unserved_action():
    world = ground.the()
    refused(
        lambda: world.ec2.create_carrier_gateway(VpcId=world.vpc),
        "InvalidAction|UnsupportedOperation",
        re.compile(".*CreateCarrierGateway.*"),
    )


@case("protocol: an unknown parameter")
def unknown_parameter():
    form_refused(
        [("Action", "CreateVpc"), VERSION, ("CidrBlock", "10.9.0.0/16"), ("Colour", "red")],
        "UnknownParameter",
        "The parameter Colour is not recognized",
    )


@case("protocol: an unknown member of a structure")
def unknown_member():
    form_refused(
        [
            ("Action", "CreateVpc"),
            VERSION,
            ("CidrBlock", "10.9.0.0/16"),
            ("TagSpecification.1.Colour", "red"),
        ],
        "UnknownParameter",
    )


@case("protocol: not a number, not a truth value")
def wrong_types():
    vpc = ground.the().vpc
    form_refused(
        [("Action", "DescribeVpcs"), VERSION, ("MaxResults", "many")], "InvalidParameterValue"
    )
    form_refused(
        [
            ("Action", "ModifyVpcAttribute"),
            VERSION,
            ("VpcId", vpc),
            ("EnableDnsSupport.Value", "perhaps"),
        ],
        "InvalidParameterValue",
    )


@case("protocol: user data that is no base64 (EC2-10)")
def no_base64():
    world = ground.the()
    form_refused(
        [
            ("Action", "RunInstances"),
            VERSION,
            ("ImageId", world.image),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("SubnetId", world.subnet),
            ("UserData", "*not base64*"),
        ],
        "InvalidParameterValue",
    )


@case("protocol: no action, no body")
def no_action():
    for form in ([], [VERSION]):
        found, body = request(ground.ACCOUNT, form)
        same(found, 400, body)
        code = ElementTree.fromstring(body).findtext("Errors/Error/Code")
        same(code in ("MissingAction", "InvalidAction", "MissingParameter"), True, body)


@case("protocol: a success carries its request id in the body (API-1)")
def success_form():
    status, body = request(ground.ACCOUNT, [("Action", "DescribeVpcs"), VERSION])
    same(status, 200, body)
    root = ElementTree.fromstring(body)
    same(root.tag, "{http://ec2.amazonaws.com/doc/2016-11-15/}DescribeVpcsResponse", "root")
    same(bool(root.findtext("{*}requestId")), True, "requestId")


REHEARSALS = [
    ("CreateVpc", {"CidrBlock": "10.9.0.0/16"}),
    ("DeleteVpc", {"VpcId": "{plain_vpc}"}),
    ("AssociateRouteTable", {"RouteTableId": "{rtb2}", "SubnetId": "{bare}"}),
    ("CreateSubnet", {"VpcId": "{vpc}", "CidrBlock": "10.1.9.0/24"}),
    ("DeleteSubnet", {"SubnetId": "{bare}"}),
    ("CreateRouteTable", {"VpcId": "{vpc}"}),
    ("CreateRoute", route("9.9.9.0/24", GatewayId="{igw}")),
    ("DeleteRoute", route("0.0.0.0/0")),
    ("DeleteRouteTable", {"RouteTableId": "{rtb2}"}),
    ("CreateInternetGateway", {}),
    ("AttachInternetGateway", {"InternetGatewayId": "{free_igw}", "VpcId": "{other_vpc}"}),
    ("DeleteInternetGateway", {"InternetGatewayId": "{free_igw}"}),
    ("CreateSecurityGroup", {"GroupName": "dry", "Description": "d", "VpcId": "{vpc}"}),
    (
        "AuthorizeSecurityGroupIngress",
        {
            "GroupId": "{web}",
            "IpPermissions": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
        },
    ),
    ("CreateNetworkAcl", {"VpcId": "{vpc}"}),
    ("CreateNetworkAclEntry", acl_entry()),
    ("CreateNetworkInterface", {"SubnetId": "{subnet}"}),
    ("DeleteNetworkInterface", {"NetworkInterfaceId": "{spare_eni}"}),
    ("AllocateAddress", {"Domain": "vpc"}),
    ("ReleaseAddress", {"AllocationId": "{free_allocation}"}),
    ("CreateKeyPair", {"KeyName": "dry"}),
    ("DeleteKeyPair", {"KeyName": "key"}),
    ("RunInstances", launch()),
    ("StopInstances", {"InstanceIds": ["{instance}"]}),
    ("StartInstances", {"InstanceIds": ["{stopped}"]}),
    ("RebootInstances", {"InstanceIds": ["{instance}"]}),
    ("TerminateInstances", {"InstanceIds": ["{instance}"]}),
    ("CreateTags", {"Resources": ["{vpc}"], "Tags": [{"Key": "dry", "Value": "run"}]}),
    ("DescribeVpcs", {}),
    ("DescribeInstances", {}),
]


def register(operation, parameters):
    @case(f"dry run: {operation} would have been done, and was not (API-3)")
    def _():
        world = ground.the()
        before = snapshot(world.ec2)
        call = getattr(world.ec2, xform_name(operation))
        refused(
            lambda: call(**fill(parameters, vars(world)), DryRun=True),
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
            412,
        )
        same(differences(before, snapshot(world.ec2)), "", "something changed")


for row in REHEARSALS:
    register(*row)


@case("dry run: a mistake is a mistake all the same")
def rehearsed_mistake():
    world = ground.the()
    refused(lambda: world.ec2.delete_vpc(VpcId="vpc-0ffffffffffffffff", DryRun=True), "InvalidVpcID.NotFound|DryRunOperation", None, 400)


@case("signature: none at all, another algorithm, a broken scope")
def signatures():
    import urllib.error
    import urllib.request

    import harness

    for header, code in [
        (None, "MissingAuthenticationToken"),
        ("Basic eDp5", "IncompleteSignature"),
        (
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/ec2, SignedHeaders=host, Signature=" + "0" * 64,
            "IncompleteSignature",
        ),
    ]:
        plain = urllib.request.Request(
            harness.ENDPOINT + "/", b"Action=DescribeVpcs&Version=2016-11-15", method="POST"
        )
        plain.add_header("X-Amz-Date", "20260101T000000Z")
        if header:
            plain.add_header("Authorization", header)
        try:
            urllib.request.urlopen(plain, timeout=10)
        except urllib.error.HTTPError as error:
            body = error.read().decode()
            same(f"<Code>{code}</Code>" in body, True, body)
            same(error.code in (400, 403), True, str(error.code))
        else:
            raise AssertionError(f"{header} was accepted")


FAST = {"Delay": 0.2, "MaxAttempts": 150}


@case("waiters: that something exists (API-13)")
def exists():
    world = ground.the()
    for waiter, parameters in [
        ("vpc_available", {"VpcIds": [world.vpc]}),
        ("vpc_exists", {"VpcIds": [world.vpc]}),
        ("subnet_available", {"SubnetIds": [world.subnet]}),
        ("security_group_exists", {"GroupIds": [world.web]}),
        ("key_pair_exists", {"KeyNames": ["key"]}),
        ("internet_gateway_exists", {"InternetGatewayIds": [world.igw]}),
        ("network_interface_available", {"NetworkInterfaceIds": [world.spare_eni]}),
        ("instance_running", {"InstanceIds": [world.instance]}),
        ("instance_exists", {"InstanceIds": [world.instance]}),
        ("instance_status_ok", {"InstanceIds": [world.instance]}),
        ("system_status_ok", {"InstanceIds": [world.instance]}),
        ("instance_stopped", {"InstanceIds": [world.stopped]}),
        ("instance_terminated", {"InstanceIds": [world.terminated]}),
    ]:
        world.ec2.get_waiter(waiter).wait(**parameters, WaiterConfig=FAST)


@case("waiters: that something does not come is told, not waited for (API-13)")
def never_comes():
    world = ground.the()
    for waiter, parameters in [
        ("instance_running", {"InstanceIds": [world.terminated]}),
        ("instance_stopped", {"InstanceIds": [world.terminated]}),
    ]:
        try:
            world.ec2.get_waiter(waiter).wait(**parameters, WaiterConfig=FAST)
        except WaiterError as error:
            same("terminal failure state" in str(error), True, str(error))
        else:
            raise AssertionError(f"{waiter} was content")


@case("waiters: a whole life with the waiters that come with boto3 (API-13, EC2-25)")
def life():
    ec2 = client("ec2", "200000000005")
    [instance] = ec2.run_instances(
        ImageId=image(ec2), InstanceType="t2.micro", MinCount=1, MaxCount=1
    )["Instances"]
    ids = [instance["InstanceId"]]
    settle(ec2, ids, "running")
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=ids, WaiterConfig=FAST)
    ec2.stop_instances(InstanceIds=ids)
    settle(ec2, ids, "stopped")
    ec2.start_instances(InstanceIds=ids)
    settle(ec2, ids, "running")
    ec2.terminate_instances(InstanceIds=ids)
    settle(ec2, ids, "terminated")
