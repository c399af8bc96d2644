"""S3 for callers who must all be known: the key of the root user in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, the daemon in AWS_ENDPOINT_URL. Says `ok` and a name for each thing shown."""

import datetime
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
REGION = "ap-northeast-2"
HOST = ENDPOINT.split("//")[1]
EMPTY = hashlib.sha256(b"").hexdigest()
BUCKET = "strict-box"
CHUNK = 64 << 10


def client(key=KEY, secret=SECRET, service="s3"):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def refused(call, code):
    try:
        call()
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found}, expected {code}"
        return
    raise AssertionError(f"was done, expected {code}")


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def put_in_pieces(name, body, trailer=None, alter=lambda pieces: pieces):
    """Uploads in pieces that are signed each, as SDKs do that speak plain HTTP. `alter` gets the
    pieces, [text before, bytes], when all is signed. Status and code of the answer."""
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    scope = f"{day}/{REGION}/s3/aws4_request"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = mac(key, part).digest()
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    headers = {
        "content-encoding": "aws-chunked",
        "host": HOST,
        "x-amz-content-sha256": kind,
        "x-amz-date": stamp,
        "x-amz-decoded-content-length": str(len(body)),
    }
    if trailer:
        headers["x-amz-trailer"] = trailer[0]
    signed = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"PUT\n/{BUCKET}/{name}\n\n{lines}\n{signed}\n{kind}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    before = mac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={signed}, Signature={before}"
    )
    pieces = []
    for at in [*range(0, len(body), CHUNK), len(body)]:
        piece = body[at : at + CHUNK]
        digest = hashlib.sha256(piece).hexdigest()
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{before}\n{EMPTY}\n{digest}"
        before = mac(key, text).hexdigest()
        pieces.append([f"{len(piece):x};chunk-signature={before}\r\n", piece])
    end = b"\r\n"
    if trailer:
        line = f"{trailer[0]}:{trailer[1]}"
        digest = hashlib.sha256(f"{line}\n".encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{scope}\n{before}\n{digest}"
        signature = mac(key, text).hexdigest()
        end = f"{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()
    sent = b"".join(
        before.encode() + piece + (b"\r\n" if piece else b"") for before, piece in alter(pieces)
    )
    request = urllib.request.Request(f"{ENDPOINT}/{BUCKET}/{name}", sent + end, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        said = error.read().decode()
        return error.code, said.split("<Code>")[1].split("</Code>")[0]


def altered(pieces):
    """One byte of the second piece is another one."""
    before, piece = pieces[1]
    return [pieces[0], [before, b"X" + piece[1:]], *pieces[2:]]


def swapped(pieces):
    """Two pieces, each whole, in the other order."""
    return [pieces[1], pieces[0], *pieces[2:]]


def main():
    s3 = client()
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=BUCKET, Key="plain", Body=b"hello")
    assert s3.get_object(Bucket=BUCKET, Key="plain")["Body"].read() == b"hello"
    print("ok known")
    refused(lambda: client("AKIAIOSFODNN7EXAMPLE").list_buckets(), "InvalidAccessKeyId")
    refused(lambda: client(secret="another").list_buckets(), "SignatureDoesNotMatch")
    for method in ("GET", "PUT"):
        request = urllib.request.Request(f"{ENDPOINT}/{BUCKET}/plain", method=method)
        try:
            urllib.request.urlopen(request, timeout=30)
            raise AssertionError(f"{method} without a signature was done")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error.code
    print("ok unknown")
    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "plain"}, 60)
    assert urllib.request.urlopen(url, timeout=30).read() == b"hello"
    try:
        urllib.request.urlopen(url.replace("plain", "other"), timeout=30)
        raise AssertionError("a signature is good for another object")
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.code
    print("ok presigned")
    body = bytes(range(256)) * 700
    assert put_in_pieces("pieces", body) == (200, "")
    assert s3.get_object(Bucket=BUCKET, Key="pieces")["Body"].read() == body
    sha = __import__("base64").b64encode(hashlib.sha256(body).digest()).decode()
    assert put_in_pieces("trailer", body, ("x-amz-checksum-sha256", sha)) == (200, "")
    assert put_in_pieces("pieces", body, alter=altered) == (403, "SignatureDoesNotMatch")
    assert put_in_pieces("pieces", body, alter=swapped) == (403, "SignatureDoesNotMatch")
    assert s3.get_object(Bucket=BUCKET, Key="pieces")["Body"].read() == body
    print("ok pieces")
    iam = client(service="iam")
    iam.create_user(UserName="reader")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/p*"}
        ],
    }
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = client(made["AccessKeyId"], made["SecretAccessKey"])
    assert reader.get_object(Bucket=BUCKET, Key="plain")["Body"].read() == b"hello"
    refused(lambda: reader.get_object(Bucket=BUCKET, Key="trailer"), "AccessDenied")
    refused(lambda: reader.put_object(Bucket=BUCKET, Key="plain", Body=b"x"), "AccessDenied")
    print("ok policies")


main()
