"""S3: buckets with their configurations, objects, lists, uploads in parts, conditions."""

import io
import json
import os
import time
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

from harness import ENDPOINT, SECRET, case, client, refused, same, shows

ACCOUNT = "640000000003"
REGION = "ap-northeast-2"


def s3():
    return client("s3", ACCOUNT)


def bucket(name):
    """A new bucket."""
    s3().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


def body(name, key, **more):
    return s3().get_object(Bucket=name, Key=key, **more)["Body"].read()


def keys(answer):
    return [it["Key"] for it in answer.get("Contents", [])]


@case("s3: buckets are made in a region, found, listed and deleted")
def buckets():
    name = bucket("gureum-buckets")
    shows(s3().head_bucket(Bucket=name), {"BucketRegion": REGION})
    same(s3().get_bucket_location(Bucket=name)["LocationConstraint"], REGION)
    same([it["Name"] for it in s3().list_buckets()["Buckets"] if it["Name"] == name], [name])
    refused(lambda: bucket(name), "BucketAlreadyOwnedByYou", status=409)
    refused(
        lambda: client("s3", "640000000004").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
        ),
        "BucketAlreadyExists",
        status=409,
    )
    refused(lambda: client("s3", "640000000004").list_objects_v2(Bucket=name), "AccessDenied", status=403)
    refused(lambda: s3().create_bucket(Bucket="gureum-nowhere"), "IllegalLocationConstraintException")
    refused(lambda: bucket("Not-A-Name"), "InvalidBucketName")
    s3().put_object(Bucket=name, Key="k", Body=b"x")
    refused(
        lambda: s3().delete_bucket(Bucket=name),
        "BucketNotEmpty",
        "The bucket you tried to delete is not empty",
        status=409,
    )
    s3().delete_object(Bucket=name, Key="k")
    s3().delete_bucket(Bucket=name)
    refused(lambda: s3().list_objects_v2(Bucket=name), "NoSuchBucket", status=404)
    refused(lambda: s3().head_bucket(Bucket=name), "404", "Not Found", status=404)


@case("s3: an object comes back as it was put, whole and in part")
def objects():
    name = bucket("gureum-objects")
    data = bytes(range(256)) * 500
    put = s3().put_object(
        Bucket=name,
        Key="a/b c+d/한글 %.txt",
        Body=data,
        ContentType="text/plain",
        CacheControl="no-cache",
        Metadata={"who": "me"},
        Tagging="one=1&two=zwei%20drei",
    )
    key = "a/b c+d/한글 %.txt"
    found = s3().get_object(Bucket=name, Key=key)
    same(found["Body"].read(), data)
    shows(
        found,
        {
            "ContentLength": len(data),
            "ContentType": "text/plain",
            "CacheControl": "no-cache",
            "Metadata": {"who": "me"},
            "ETag": put["ETag"],
            "ServerSideEncryption": "AES256",
            "TagCount": 2,
        },
    )
    part = s3().get_object(Bucket=name, Key=key, Range="bytes=10-19")
    same((part["Body"].read(), part["ContentRange"]), (data[10:20], f"bytes 10-19/{len(data)}"))
    same(body(name, key, Range="bytes=-5"), data[-5:])
    refused(lambda: body(name, key, Range="bytes=999999999-"), "InvalidRange", status=416)
    tags = s3().get_object_tagging(Bucket=name, Key=key)["TagSet"]
    same(tags, [{"Key": "one", "Value": "1"}, {"Key": "two", "Value": "zwei drei"}])
    s3().put_object_tagging(Bucket=name, Key=key, Tagging={"TagSet": [{"Key": "x", "Value": "y"}]})
    same(s3().get_object_tagging(Bucket=name, Key=key)["TagSet"], [{"Key": "x", "Value": "y"}])
    s3().put_object(Bucket=name, Key="empty", Body=b"")
    same(body(name, "empty"), b"")
    s3().delete_object(Bucket=name, Key=key)
    refused(lambda: body(name, key), "NoSuchKey", "The specified key does not exist.", status=404)
    refused(lambda: s3().head_object(Bucket=name, Key=key), "404", "Not Found", status=404)


@case("s3: checksums and lengths are held to what was sent")
def checksums():
    name = bucket("gureum-checksums")
    put = s3().put_object(Bucket=name, Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    found = s3().get_object(Bucket=name, Key="k", ChecksumMode="ENABLED")
    same(found["ChecksumSHA256"], put["ChecksumSHA256"])
    refused(
        lambda: s3().put_object(Bucket=name, Key="k", Body=b"hello", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA=="),
        "BadDigest",
    )
    refused(
        lambda: s3().put_object(Bucket=name, Key="k", Body=b"hello", ChecksumCRC32="AAAAAA=="),
        "BadDigest",
    )
    same(body(name, "k"), b"hello", "what was refused changed nothing")


@case("s3: conditional writes, as a lock of Terraform's state needs them")
def conditions():
    name = bucket("gureum-conditions")
    put = s3().put_object(Bucket=name, Key="lock", Body=b"1", IfNoneMatch="*")
    refused(
        lambda: s3().put_object(Bucket=name, Key="lock", Body=b"2", IfNoneMatch="*"),
        "PreconditionFailed",
        status=412,
    )
    s3().put_object(Bucket=name, Key="lock", Body=b"3", IfMatch=put["ETag"])
    refused(
        lambda: s3().put_object(Bucket=name, Key="lock", Body=b"4", IfMatch=put["ETag"]),
        "PreconditionFailed",
        status=412,
    )
    same(body(name, "lock"), b"3")
    refused(lambda: body(name, "lock", IfMatch='"x"'), "PreconditionFailed", status=412)
    tag = s3().head_object(Bucket=name, Key="lock")["ETag"]
    refused(lambda: body(name, "lock", IfNoneMatch=tag), "304", "Not Modified", status=304)
    s3().delete_object(Bucket=name, Key="lock")
    s3().put_object(Bucket=name, Key="lock", Body=b"5", IfNoneMatch="*")


@case("s3: lists have folders and pages")
def lists():
    name = bucket("gureum-lists")
    for key in ("a", "b/1", "b/2", "b/c/3", "d", "e/", "한글/1"):
        s3().put_object(Bucket=name, Key=key, Body=b"x")
    top = s3().list_objects_v2(Bucket=name, Delimiter="/")
    same(keys(top), ["a", "d"])
    same([it["Prefix"] for it in top["CommonPrefixes"]], ["b/", "e/", "한글/"])
    same(keys(s3().list_objects_v2(Bucket=name, Prefix="b/")), ["b/1", "b/2", "b/c/3"])
    for version in ("list_objects_v2", "list_objects"):
        pages = s3().get_paginator(version).paginate(
            Bucket=name, Delimiter="/", PaginationConfig={"PageSize": 2}
        )
        seen = []
        for page in pages:
            seen += keys(page) + [it["Prefix"] for it in page.get("CommonPrefixes", [])]
        same(sorted(seen), ["a", "b/", "d", "e/", "한글/"], version)
    versions = s3().list_object_versions(Bucket=name, Prefix="b/")["Versions"]
    shows(versions[0], {"Key": "b/1", "VersionId": "null", "IsLatest": True})
    gone = s3().delete_objects(
        Bucket=name, Delete={"Objects": [{"Key": "a"}, {"Key": "b/1"}, {"Key": "never"}]}
    )
    same(sorted(it["Key"] for it in gone["Deleted"]), ["a", "b/1", "never"])
    same(keys(s3().list_objects_v2(Bucket=name, StartAfter="b/2")), ["b/c/3", "d", "e/", "한글/1"])


@case("s3: uploads in parts, copies")
def parts():
    name = bucket("gureum-parts")
    piece = b"0123456789abcdef" * 327_680
    s3().upload_fileobj(io.BytesIO(piece * 4), name, "big")
    found = s3().head_object(Bucket=name, Key="big")
    same((found["ContentLength"], found["ETag"].endswith('-3"')), (len(piece) * 4, True))
    same(body(name, "big", Range=f"bytes={len(piece) - 3}-{len(piece) + 2}"), piece[-3:] + piece[:3])
    same(body(name, "big") == piece * 4, True, "the same bytes")
    upload = s3().create_multipart_upload(Bucket=name, Key="made")["UploadId"]
    at = {"Bucket": name, "Key": "made", "UploadId": upload}
    one = s3().upload_part(**at, PartNumber=1, Body=b"small")["ETag"]
    two = s3().upload_part(**at, PartNumber=2, Body=b"end")["ETag"]
    same([it["PartNumber"] for it in s3().list_parts(**at)["Parts"]], [1, 2])
    same([it["Key"] for it in s3().list_multipart_uploads(Bucket=name)["Uploads"]], ["made"])
    both = [{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]
    done = lambda parts: s3().complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    refused(lambda: done(both), "EntityTooSmall")
    refused(lambda: done(both[::-1]), "InvalidPartOrder")
    refused(lambda: done([{"PartNumber": 1, "ETag": two}]), "InvalidPart")
    done(both[1:])
    same(body(name, "made"), b"end")
    refused(lambda: done(both[1:]), "NoSuchUpload", status=404)
    s3().copy({"Bucket": name, "Key": "big"}, name, "copy")
    same(body(name, "copy") == piece * 4, True, "a copy in parts")
    s3().copy_object(Bucket=name, Key="made2", CopySource={"Bucket": name, "Key": "made"})
    same(body(name, "made2"), b"end")
    refused(
        lambda: s3().copy_object(Bucket=name, Key="x", CopySource={"Bucket": name, "Key": "none"}),
        "NoSuchKey",
        status=404,
    )


@case("s3: what is not set of a bucket has an error of its own")
def not_set():
    name = bucket("gureum-not-set")
    for operation, code in (
        ("policy", "NoSuchBucketPolicy"),
        ("tagging", "NoSuchTagSet"),
        ("cors", "NoSuchCORSConfiguration"),
        ("lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("ownership_controls", "OwnershipControlsNotFoundError"),
    ):
        refused(lambda: getattr(s3(), f"get_bucket_{operation}")(Bucket=name), code, status=404)
    refused(
        lambda: s3().get_public_access_block(Bucket=name),
        "NoSuchPublicAccessBlockConfiguration",
        status=404,
    )
    refused(
        lambda: s3().get_object_lock_configuration(Bucket=name),
        "ObjectLockConfigurationNotFoundError",
        status=404,
    )
    rules = s3().get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    same(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256")
    same(s3().get_bucket_request_payment(Bucket=name)["Payer"], "BucketOwner")
    same("Status" in s3().get_bucket_versioning(Bucket=name), False)
    same("LoggingEnabled" in s3().get_bucket_logging(Bucket=name), False)
    same(len(s3().get_bucket_acl(Bucket=name)["Grants"]), 1)


@case("s3: what is set of a bucket is shown as it was given, and goes again")
def set_and_shown():
    name = bucket("gureum-set")
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:PutObject",
                    "Resource": f"arn:aws:s3:::{name}/never/*",
                }
            ],
        }
    )
    s3().put_bucket_policy(Bucket=name, Policy=policy)
    same(s3().get_bucket_policy(Bucket=name)["Policy"], policy)
    refused(lambda: s3().put_bucket_policy(Bucket=name, Policy="{"), "MalformedPolicy")
    s3().delete_bucket_policy(Bucket=name)
    refused(lambda: s3().get_bucket_policy(Bucket=name), "NoSuchBucketPolicy", status=404)
    tags = [{"Key": "Name", "Value": "x"}]
    s3().put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    same(s3().get_bucket_tagging(Bucket=name)["TagSet"], tags)
    block = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    s3().put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    same(s3().get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"], block)
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3().put_bucket_ownership_controls(Bucket=name, OwnershipControls=controls)
    same(s3().get_bucket_ownership_controls(Bucket=name)["OwnershipControls"], controls)
    s3().put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    same(s3().get_bucket_versioning(Bucket=name)["Status"], "Enabled")
    cors = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]
    s3().put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": cors})
    same(s3().get_bucket_cors(Bucket=name)["CORSRules"], cors)
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 3}}]
    s3().put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    same(s3().get_bucket_lifecycle_configuration(Bucket=name)["Rules"], rules)
    s3().put_bucket_acl(Bucket=name, ACL="log-delivery-write")
    same(len(s3().get_bucket_acl(Bucket=name)["Grants"]), 3)


@case("s3: presigned addresses of both kinds, and nothing without a signature")
def presigned():
    name = bucket("gureum-presigned")
    s3().put_object(Bucket=name, Key="k", Body=b"hello")
    for version in ("s3v4", "s3"):
        signer = boto3.client(
            "s3",
            endpoint_url=ENDPOINT,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
            config=Config(signature_version=version),
        )
        url = signer.generate_presigned_url("get_object", {"Bucket": name, "Key": "k"})
        with urllib.request.urlopen(url, timeout=10) as answer:
            same(answer.read(), b"hello", version)
    try:
        urllib.request.urlopen(f"{ENDPOINT}/{name}/k", timeout=10)
    except urllib.error.HTTPError as error:
        same((error.code, b"<Code>AccessDenied</Code>" in error.read()), (403, True))
    else:
        raise AssertionError("was open to everybody")
    url = signer.generate_presigned_url("get_object", {"Bucket": name, "Key": "k"}, ExpiresIn=-10)
    try:
        urllib.request.urlopen(url, timeout=10)
    except urllib.error.HTTPError as error:
        same((error.code, b"Request has expired" in error.read()), (403, True))
    else:
        raise AssertionError("had expired")


@case("s3: a bucket in the name of the host")
def virtual_host():
    name = bucket("gureum-host")
    s3().put_object(Bucket=name, Key="a/k", Body=b"hello")
    port = ENDPOINT.rsplit(":", 1)[1]
    for host in (f"{name}.localhost:{port}", f"{name}.s3.{REGION}.amazonaws.com"):
        by_name = boto3.client(
            "s3",
            endpoint_url=f"http://{host}",
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        url = by_name.generate_presigned_url("get_object", {"Bucket": name, "Key": "a/k"})
        path = url.split(host, 1)[1].removeprefix(f"/{name}")
        asked = urllib.request.Request(ENDPOINT + path, headers={"Host": host})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            same(answer.read(), b"hello", host)


OWNER = "640000000010"
READER = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"},
    ],
}


def keyed(credentials, **config):
    """A client with keys that were issued."""
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}, signature_version="s3v4", **config),
    )


def user(name, document=None):
    """A new user of the owner, and their key."""
    iam = client("iam", OWNER)
    iam.create_user(UserName=name)
    if document is not None:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    return iam.create_access_key(UserName=name)["AccessKey"]


def owned(name):
    """The owner's client and a bucket of theirs with an object."""
    owner = client("s3", OWNER)
    owner.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    owner.put_object(Bucket=name, Key="k", Body=b"hello")
    return owner


def bucket_policy(effect, principal, actions, name, **more):
    resources = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    statement = {"Effect": effect, "Principal": principal, "Action": actions, "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **more}]})


def fetched(url):
    """The status and body of an address."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@case("s3: a key that was issued is verified")
def issued():
    name = "gureum-issued"
    owned(name)
    all_of_s3 = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    key = user("writer", {"Version": "2012-10-17", "Statement": all_of_s3})
    writer = keyed(key)
    same(writer.get_object(Bucket=name, Key="k")["Body"].read(), b"hello")
    writer.put_object(Bucket=name, Key="a b/한글+%.txt", Body=b"more")
    same(len(writer.list_objects_v2(Bucket=name, Prefix="a b/한")["Contents"]), 1)
    wrong = keyed({**key, "SecretAccessKey": "x" * 40})
    refused(
        lambda: wrong.get_object(Bucket=name, Key="k"),
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your "
        "key and signing method.",
        403,
    )
    client("iam", OWNER).delete_access_key(UserName="writer", AccessKeyId=key["AccessKeyId"])
    refused(
        writer.list_buckets,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
        403,
    )


@case("s3: who may read cannot put, nor delete one of many")
def read_only():
    name = "gureum-read-only"
    owner = owned(name)
    reader = keyed(user("s3-reader", READER))
    same(reader.get_object(Bucket=name, Key="k")["Body"].read(), b"hello")
    refused(
        lambda: reader.put_object(Bucket=name, Key="k", Body=b"x"),
        "AccessDenied",
        f"User: arn:aws:iam::{OWNER}:user/s3-reader is not authorized to perform: s3:PutObject on "
        f'resource: "arn:aws:s3:::{name}/k" because no identity-based policy allows the '
        "s3:PutObject action",
        403,
    )
    found = reader.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k"}]})
    shows(found, {"Errors": [{"Key": "k", "Code": "AccessDenied"}], "Deleted": None})
    same(owner.get_object(Bucket=name, Key="k")["Body"].read(), b"hello")
    nobody = keyed(user("s3-nobody"))
    refused(nobody.list_buckets, "AccessDenied", status=403)


@case("s3: a bucket's policy denies what comes without TLS, also to its owner")
def without_tls():
    name = "gureum-tls-only"
    owner = owned(name)
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    owner.put_bucket_policy(
        Bucket=name, Policy=bucket_policy("Deny", "*", "s3:*", name, Condition=condition)
    )
    refused(lambda: owner.get_object(Bucket=name, Key="k"), "AccessDenied", status=403)
    secure = boto3.client(
        "s3",
        endpoint_url=ENDPOINT.replace("http://127.0.0.1", "https://localhost"),
        region_name=REGION,
        aws_access_key_id=OWNER,
        aws_secret_access_key=SECRET,
        verify=os.environ.get("AWS_CA_BUNDLE"),
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    same(secure.get_object(Bucket=name, Key="k")["Body"].read(), b"hello")
    owner.delete_bucket_policy(Bucket=name)
    same(owner.get_object(Bucket=name, Key="k")["Body"].read(), b"hello")


@case("s3: a bucket's policy lets in a role of another account, and everybody")
def others():
    name = "gureum-shared"
    owner = owned(name)
    iam, sts = client("iam", ACCOUNT), client("sts", ACCOUNT)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        ],
    }
    role = iam.create_role(RoleName="s3-guest", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    arn = role["Arn"]
    iam.put_role_policy(RoleName="s3-guest", PolicyName="p", PolicyDocument=json.dumps(READER))
    guest = keyed(sts.assume_role(RoleArn=arn, RoleSessionName="guest")["Credentials"])
    refused(lambda: guest.get_object(Bucket=name, Key="k"), "AccessDenied", "Access Denied", 403)
    actions = ["s3:GetObject", "s3:PutObject"]
    owner.put_bucket_policy(
        Bucket=name, Policy=bucket_policy("Allow", {"AWS": arn}, actions, name)
    )
    same(guest.get_object(Bucket=name, Key="k")["Body"].read(), b"hello")
    refused(lambda: guest.put_object(Bucket=name, Key="n", Body=b""), "AccessDenied", status=403)
    same(fetched(f"{ENDPOINT}/{name}/k")[0], 403, "without credentials")
    owner.put_bucket_policy(Bucket=name, Policy=bucket_policy("Allow", "*", "s3:GetObject", name))
    same(fetched(f"{ENDPOINT}/{name}/k"), (200, b"hello"), "without credentials")


@case("s3: a presigned address of an issued key is good as it is, and for as long as it says")
def presigned_by_issued():
    name = "gureum-presigned-issued"
    owned(name)
    signer = keyed(user("signer", READER), s3={"addressing_style": "path"})
    where = {"Bucket": name, "Key": "k"}
    url = signer.generate_presigned_url("get_object", where)
    same(fetched(url), (200, b"hello"))
    status, said = fetched(url.replace(f"/{name}/k", f"/{name}/other"))
    same((status, b"<Code>SignatureDoesNotMatch</Code>" in said), (403, True), said)
    put = signer.generate_presigned_url("put_object", where)
    asked = urllib.request.Request(put, b"x", method="PUT", headers={"Content-Type": ""})
    same(fetched(asked)[0], 403, "who may only read signs for reading only")
    late = signer.generate_presigned_url("get_object", where, ExpiresIn=1)
    deadline = time.monotonic() + 10
    while fetched(late)[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    status, said = fetched(late)
    same((status, b"Request has expired" in said), (403, True), said)
