import pathlib
import subprocess
import sys

import boto3
import pytest

HERE = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(HERE))

import shop  # noqa: E402


@pytest.fixture(scope="session")
def ec2():
    return boto3.client("ec2")


@pytest.fixture(scope="session")
def network(ec2):
    return shop.build(ec2)


def check(*arguments):
    """`gureum check`, with what it says."""
    return subprocess.run(["gureum", "check", *arguments], capture_output=True, text=True)


def test_everything_runs(ec2, network):
    found = ec2.describe_instances(InstanceIds=network["instances"])["Reservations"]
    states = [it["State"]["Name"] for one in found for it in one["Instances"]]
    assert states == ["running"] * 3


def test_only_the_web_servers_have_public_addresses(ec2, network):
    found = ec2.describe_instances(InstanceIds=network["instances"])["Reservations"]
    public = [
        tag["Value"]
        for one in found
        for it in one["Instances"]
        for tag in it["Tags"]
        if tag["Key"] == "Name" and "PublicIpAddress" in it
    ]
    assert sorted(public) == ["shop-web-1", "shop-web-2"]


def test_the_network_lets_through_what_is_expected(network):
    done = check(HERE / "expectations.yaml", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_too_many_is_found(ec2, network):
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    ec2.authorize_security_group_ingress(GroupId=network["web"], IpPermissions=[rule])
    try:
        done = check(HERE / "expectations.yaml", "--quiet")
    finally:
        ec2.revoke_security_group_ingress(GroupId=network["web"], IpPermissions=[rule])
    assert done.returncode == 1
    assert "tcp 22 from internet to shop-web-" in done.stdout
