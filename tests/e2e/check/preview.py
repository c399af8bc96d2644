"""One call at the endpoint of previews as a program makes it: signed for that path, answered by JSON."""

import json
import sys
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

url, header, value, action, *pairs = sys.argv[1:]
session = boto3.Session()
parameters = {"Action": action, "Version": "2016-11-15", **dict(it.split("=", 1) for it in pairs)}
asked = AWSRequest("POST", url, data=urlencode(parameters), headers={header: value})
asked.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
SigV4Auth(session.get_credentials(), "ec2", session.region_name).add_auth(asked)
request = Request(url, data=asked.body, headers=dict(asked.headers.items()), method="POST")
try:
    answer = urlopen(request)
except HTTPError as error:
    answer = error
kind, body = answer.headers["Content-Type"], answer.read().decode()
view = json.loads(body) if kind == "application/json" else body
print(json.dumps({"status": answer.status, "type": kind, "body": view}))
