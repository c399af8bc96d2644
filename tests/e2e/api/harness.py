"""What the cases share: clients of accounts of their own, the registry of cases, snapshots of
everything that Describe calls show, refusals checked by code, status and sentence.

A case is a function with a name; it passes when it returns. All run in one process.
"""

import base64
import functools
import json
import os
import re
import sys
import traceback
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "ap-northeast-2"
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

_cases = []


def case(name):
    """Registers a function as a case."""

    def register(function):
        _cases.append((name, function))
        return function

    return register


def run(wanted):
    """Runs the cases whose name contains one of `wanted` (all without), a line for each."""
    failed = 0
    chosen = [it for it in _cases if not wanted or any(word in it[0] for word in wanted)]
    for name, function in chosen:
        try:
            function()
        except Exception as error:  # noqa: BLE001: a case may fail in any way
            failed += 1
            detail = f"{type(error).__name__}: {error}".replace("\n", " | ")
            print(f"FAIL {name}: {detail}", flush=True)
            if os.environ.get("TRACE"):
                traceback.print_exc(file=sys.stderr)
        else:
            print(f"ok {name}", flush=True)
    print(f"{len(chosen)} cases, {failed} failed", flush=True)
    return 1 if failed else 0


@functools.cache
def client(service, account, region=REGION, validate=True):
    """A client of an account: the access key id is the account."""
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key=SECRET,
        config=Config(
            parameter_validation=validate,
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=60,
        ),
    )


def request(account, form, service="ec2", headers=None, region=REGION):
    """A signed form of one's own making: status and body, whatever they are."""
    body = "&".join(
        f"{urllib.request.quote(key, '')}={urllib.request.quote(value, '')}" for key, value in form
    )
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    signed = AWSRequest("POST", ENDPOINT + "/", data=body, headers={**kind, **(headers or {})})
    session = boto3.Session(account, SECRET, region_name=region)
    SigV4Auth(session.get_credentials(), service, region).add_auth(signed)
    plain = urllib.request.Request(
        ENDPOINT + "/", body.encode(), dict(signed.headers.items()), method="POST"
    )
    try:
        with urllib.request.urlopen(plain, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def refused(call, code, message=None, status=400):
    """Asserts that `call` is refused. `code` is one code or several with `|` between them;
    `message` the sentence, or a compiled pattern that matches all of it."""
    try:
        answer = call()
    except ClientError as error:
        said = error.response["Error"]
        http = error.response["ResponseMetadata"]["HTTPStatusCode"]
        found = f"{said['Code']} ({http}): {said['Message']}"
        same(said["Code"] in code.split("|"), True, f"{found}; expected {code}")
        same(http, status, found)
        if isinstance(message, re.Pattern):
            same(message.fullmatch(said["Message"]) is not None, True, f"{found}; {message}")
        elif message is not None:
            same(said["Message"], message, found)
        else:
            same(bool(said["Message"].strip()), True, "a sentence")
        same(bool(error.response["ResponseMetadata"].get("RequestId")), True, "a request id")
        return
    answer.pop("ResponseMetadata", None)
    raise AssertionError(f"was done, expected {code}: {answer}")


def same(found, expected, what=""):
    """Asserts equality, saying both."""
    if found != expected:
        raise AssertionError(f"{what}: found {found!r}, expected {expected!r}")


def shows(found, expected, what=""):
    """Asserts that an answer has everything of `expected`; `...` is any value, a set is a list in
    any order, a type a value of it, a pattern a text that matches."""
    if expected is ...:
        return
    if isinstance(expected, type):
        same(isinstance(found, expected), True, f"{what} is {found!r}")
    elif isinstance(expected, re.Pattern):
        same(bool(expected.fullmatch(str(found))), True, f"{what} is {found!r}, {expected}")
    elif isinstance(expected, dict):
        same(isinstance(found, dict), True, f"{what} is {found!r}")
        for key, value in expected.items():
            if value is None:
                same(key in found, False, f"{what}.{key} is {found.get(key)!r}, should be absent")
                continue
            same(key in found, True, f"{what}.{key} is absent")
            shows(found[key], value, f"{what}.{key}")
    elif isinstance(expected, set):
        same(sorted(found), sorted(expected), what)
    elif isinstance(expected, list):
        same(len(found), len(expected), f"{what}: {found!r}")
        for index, (one, other) in enumerate(zip(found, expected)):
            shows(one, other, f"{what}[{index}]")
    else:
        same(found, expected, what)


def ident(prefix):
    """The form of an id (API-6)."""
    return re.compile(prefix + "-[0-9a-f]{17}")


def tags(**pairs):
    """A tag list."""
    return [{"Key": key.replace("_", "-"), "Value": value} for key, value in pairs.items()]


def named(resource, name, **more):
    """The tag specification that names a new resource."""
    return [{"ResourceType": resource, "Tags": tags(Name=name, **more)}]


def user_data(text):
    """Text as RunInstances takes it on the wire."""
    return base64.b64encode(text.encode()).decode()


DESCRIBES = {
    "DescribeVpcs": "Vpcs",
    "DescribeSubnets": "Subnets",
    "DescribeRouteTables": "RouteTables",
    "DescribeInternetGateways": "InternetGateways",
    "DescribeSecurityGroups": "SecurityGroups",
    "DescribeSecurityGroupRules": "SecurityGroupRules",
    "DescribeNetworkAcls": "NetworkAcls",
    "DescribeDhcpOptions": "DhcpOptions",
    "DescribeNetworkInterfaces": "NetworkInterfaces",
    "DescribeAddresses": "Addresses",
    "DescribeKeyPairs": "KeyPairs",
    "DescribeInstances": "Reservations",
    "DescribeInstanceStatus": "InstanceStatuses",
    "DescribeVolumes": "Volumes",
    "DescribeTags": "Tags",
}


def _canonical(value):
    if isinstance(value, dict):
        return {key: _canonical(one) for key, one in value.items()}
    if isinstance(value, list):
        # The order of elements is not specified (API-8).
        return sorted((_canonical(one) for one in value), key=lambda it: json.dumps(it, default=str))
    return value


def snapshot(ec2):
    """Everything that Describe calls show, in a canonical order."""
    found = {}
    for operation, member in DESCRIBES.items():
        found[operation] = _canonical(ec2._make_api_call(operation, {})[member])
    for vpc in found["DescribeVpcs"]:
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            answer = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=attribute)
            value = answer[attribute[0].upper() + attribute[1:]]
            found[f"{vpc['VpcId']} {attribute}"] = value["Value"]
    return found


def differences(before, after):
    """Where two snapshots differ, in words."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if one == other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            lines += [f"{key} lost {it}" for it in one if it not in other]
            lines += [f"{key} won {it}" for it in other if it not in one]
        else:
            lines.append(f"{key}: {one} became {other}")
    return "; ".join(lines)


def settle(ec2, ids, state):
    """Waits until instances are in a state, asking often."""
    waiter = ec2.get_waiter(f"instance_{state}")
    waiter.wait(InstanceIds=ids, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})


def instances(ec2, ids):
    """Instances by id, in that order."""
    found = {
        one["InstanceId"]: one
        for reservation in ec2.describe_instances(InstanceIds=ids)["Reservations"]
        for one in reservation["Instances"]
    }
    return [found[one] for one in ids]


def image(ec2, name="amzn2-ami-hvm-*-x86_64-gp2"):
    """The newest image of that name, as people look it up."""
    found = ec2.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"]
    return max(found, key=lambda one: one["CreationDate"])["ImageId"]
