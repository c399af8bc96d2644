"""Keys that were issued, as boto3 signs with them: verified, and held to their policies."""

import json
import os

import boto3
from botocore.config import Config

from harness import ENDPOINT, REGION, case, client, refused, same

ACCOUNT = "200000000040"
EC2_MESSAGE = "AWS was not able to validate the provided access credentials"
WRONG = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


def keyed(service, key, secret, token=None, endpoint=ENDPOINT):
    """A client with credentials of its own."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        verify=os.environ.get("AWS_CA_BUNDLE"),
        config=Config(retries={"total_max_attempts": 1}),
    )


def policy(effect, action, resource="*", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def user(name, *policies):
    """A user with inline policies: their key and secret."""
    iam = client("iam", ACCOUNT)
    iam.create_user(UserName=name)
    for number, document in enumerate(policies):
        iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


@case("auth: a user's key tells the user in every service")
def users():
    key, secret = user("mina", policy("Allow", "*"))
    who = keyed("sts", key, secret).get_caller_identity()
    same(who["Arn"], f"arn:aws:iam::{ACCOUNT}:user/mina", "the caller")
    same(keyed("iam", key, secret).get_user()["User"]["UserName"], "mina", "the user")
    keyed("ec2", key, secret).describe_vpcs()
    keyed("ssm", key, secret).get_parameters_by_path(Path="/aws/service", MaxResults=1)
    keyed("ec2", key, secret).describe_instances(
        Filters=[{"Name": "tag:Name", "Values": ["a b/c+d&e=f%20*", "한글"]}]
    )


@case("auth: a wrong secret is refused in each protocol's way")
def wrong_secret():
    key, secret = user("jisu", policy("Allow", "*"))
    wrong = secret[::-1]
    refused(lambda: keyed("ec2", key, wrong).describe_vpcs(), "AuthFailure", EC2_MESSAGE, 401)
    sts = keyed("sts", key, wrong)
    refused(sts.get_caller_identity, "SignatureDoesNotMatch", WRONG, 403)
    ssm = keyed("ssm", key, wrong)
    refused(lambda: ssm.get_parameter(Name="a"), "InvalidSignatureException", WRONG, 400)


@case("auth: who may read cannot make a VPC (API-3)")
def reader():
    key, secret = user("reader", policy("Allow", "ec2:Describe*"))
    ec2 = keyed("ec2", key, secret)
    before = len(ec2.describe_vpcs()["Vpcs"])
    refused(lambda: ec2.create_vpc(CidrBlock="10.1.0.0/16"), "UnauthorizedOperation", None, 403)
    dry = lambda: ec2.create_vpc(CidrBlock="10.1.0.0/16", DryRun=True)  # noqa: E731
    refused(dry, "UnauthorizedOperation", None, 403)
    refused(lambda: ec2.describe_vpcs(DryRun=True), "DryRunOperation", None, 412)
    same(len(ec2.describe_vpcs()["Vpcs"]), before, "VPCs")
    iam = keyed("iam", key, secret)
    sentence = (
        f"User: arn:aws:iam::{ACCOUNT}:user/reader is not authorized to perform: iam:ListUsers "
        "because no identity-based policy allows the iam:ListUsers action"
    )
    refused(iam.list_users, "AccessDenied", sentence, 403)
    ssm = keyed("ssm", key, secret)
    refused(lambda: ssm.get_parameter(Name="/a"), "AccessDeniedException", None, 400)


@case("auth: an explicit deny wins")
def explicit():
    key, secret = user("denied", policy("Allow", "*"), policy("Deny", "ec2:CreateVpc"))
    ec2 = keyed("ec2", key, secret)
    ec2.create_internet_gateway()
    refused(lambda: ec2.create_vpc(CidrBlock="10.1.0.0/16"), "UnauthorizedOperation", None, 403)


@case("auth: a role is assumed, by its own session and by a presigned request")
def role():
    iam, sts = client("iam", ACCOUNT), client("sts", ACCOUNT)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        ],
    }
    made = iam.create_role(RoleName="ops", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.attach_role_policy(
        RoleName="ops", PolicyArn="arn:aws:iam::aws:policy/AmazonVPCReadOnlyAccess"
    )
    got = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="work")
    credentials = got["Credentials"]
    keys = [credentials[it] for it in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    who = keyed("sts", *keys).get_caller_identity()
    same(who["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/work", "the caller")
    ec2 = keyed("ec2", *keys)
    ec2.describe_vpcs()
    refused(ec2.create_internet_gateway, "UnauthorizedOperation", None, 403)
    refused(keyed("ec2", keys[0], keys[1]).describe_vpcs, "AuthFailure", EC2_MESSAGE, 401)

    import urllib.error
    import urllib.request

    url = keyed("sts", *keys).generate_presigned_url(
        "get_caller_identity", ExpiresIn=60, HttpMethod="GET"
    )
    with urllib.request.urlopen(url, timeout=30) as answer:
        same("assumed-role/ops/work" in answer.read().decode(), True, "the caller")
    try:
        urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), timeout=30)
    except urllib.error.HTTPError as error:
        same("<Code>SignatureDoesNotMatch</Code>" in error.read().decode(), True, "the code")
    else:
        raise AssertionError("an altered URL was accepted")


@case("auth: over TLS on the same port, with our authority")
def over_tls():
    key, secret = user("secure", policy("Allow", "*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    secure = ENDPOINT.replace("http://127.0.0.1", "https://localhost")
    keyed("ec2", key, secret, endpoint=secure).describe_vpcs()
    keyed("ec2", key, secret, endpoint=secure.replace("localhost", "127.0.0.1")).describe_vpcs()
    refused(keyed("ec2", key, secret).describe_vpcs, "UnauthorizedOperation", None, 403)


@case("auth: nobody's key is the root user's, and web identities are nobody's")
def others():
    same(client("sts", ACCOUNT).get_caller_identity()["Arn"], f"arn:aws:iam::{ACCOUNT}:root")
    refused(
        lambda: client("sts", ACCOUNT).assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/a", RoleSessionName="work", WebIdentityToken="token"
        ),
        "InvalidIdentityToken",
        None,
        400,
    )
