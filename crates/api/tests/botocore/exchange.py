"""Requests as botocore writes them, and responses as botocore reads them.

    exchange.py capture FOLDER   write real, signed requests of a few calls (checked in)
    exchange.py requests         print one made-up request a line for every operation served
    exchange.py outputs          print one made-up output a line for every operation served
    exchange.py examples         print the examples that AWS publishes with the models, a line
                                 for each request and each output of an operation served
    exchange.py parse            read responses from stdin, compare what botocore makes of them

Made-up values come from the service models with a fixed seed. Values travel as JSON: bytes as
base64, points in time as whole milliseconds.
"""

import base64
import datetime
import json
import pathlib
import random
import sys
import tomllib
from urllib.parse import urlencode

import botocore.model
import botocore.parsers
import botocore.serialize
import botocore.session
import botocore.utils

ROOT = pathlib.Path(__file__).resolve().parents[4]
UTC = datetime.timezone.utc
TEXTS = ["a", "한글 구름", "<&>\"'", "a=b&c=d+e%20", "two\nlines\r\n", " spaces ", "x" * 40, "😀"]


def service_model(name, version):
    """The model of botocore, with what models/<service>.json adds to it."""
    loader = botocore.session.get_session().get_component("data_loader")
    description = loader.load_service_model(name, "service-2", version)
    more = ROOT / f"models/{name}.json"
    if more.is_file():
        added = json.loads(more.read_text())
        http = {"method": "POST", "requestUri": "/"}
        operations = {
            operation: {"name": operation, "http": http, **shapes}
            for operation, shapes in added["operations"].items()
        }
        description = {
            **description,
            "operations": {**description["operations"], **operations},
            "shapes": {**description["shapes"], **added["shapes"]},
        }
    return botocore.model.ServiceModel(description, name)


def services():
    config = tomllib.loads((ROOT / "models/operations.toml").read_text())
    config.pop("botocore")
    for name, wanted in config.items():
        model = service_model(name, wanted["version"])
        closed = set(wanted.get("open_enums", []))
        for operation in sorted(sum(wanted["operations"].values(), [])):
            yield name, model, model.operation_model(operation), closed


def plain(value):
    """A value as JSON has it."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def pruned(value):
    """Without empty lists and maps, which are the same as absent here."""
    if isinstance(value, dict):
        items = {key: pruned(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item != [] and item is not None}
    if isinstance(value, list):
        return [pruned(item) for item in value]
    return value


class Maker:
    def __init__(self, seed, fullness, millis):
        self.random = random.Random(seed)
        self.fullness = fullness
        self.millis = millis

    def make(self, shape):
        return getattr(self, shape.type_name)(shape)

    def top(self, shape):
        """The members of an input or output; one below may not be empty: a form cannot tell."""
        return {
            name: self.make(member)
            for name, member in (shape.members if shape else {}).items()
            if name in shape.required_members or self.random.random() < self.fullness
        }

    def structure(self, shape):
        first, member = next(iter(shape.members.items()))
        return self.top(shape) or {first: self.make(member)}

    def list(self, shape):
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 3)
        count = self.random.randint(max(1, low), min(3, high))
        return [self.make(shape.member) for _ in range(count)]

    def map(self, shape):
        return {self.make(shape.key): self.make(shape.value) for _ in range(2)}

    def string(self, shape):
        if shape.enum:
            return self.random.choice(shape.enum)
        text = self.random.choice(TEXTS)
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 1000)
        return text.ljust(low, "y")[:high]

    def integer(self, shape):
        return self.whole(shape, 2**31 - 1)

    def long(self, shape):
        return self.whole(shape, 2**53)

    def whole(self, shape, most):
        low, high = shape.metadata.get("min", -most), shape.metadata.get("max", most)
        return self.random.choice([low, high, self.random.randint(low, high)])

    def double(self, shape):
        return self.random.choice([0.0, -1.5, 2.25])

    float = double

    def boolean(self, shape):
        return self.random.random() < 0.5

    def blob(self, shape):
        return self.random.randbytes(self.random.randint(1, 30))

    def timestamp(self, shape):
        millis = self.random.choice([0, 45, 999]) if self.millis else 0
        start = datetime.datetime(2021, 9, 3, 1, 2, 3, tzinfo=UTC)
        days = datetime.timedelta(days=self.random.randint(-9000, 9000), milliseconds=millis)
        return start + days


def serialised(model, operation, params):
    """A request with a credential scope, its signature a placeholder."""
    serializer = botocore.serialize.create_serializer(model.metadata["protocol"])
    request = serializer.serialize_to_request(params, operation)
    body = request["body"]
    if isinstance(body, dict):
        body = urlencode(body)
    if isinstance(body, str):
        body = body.encode()
    headers = {name.lower(): value for name, value in request["headers"].items()}
    scope = f"AKIDEXAMPLE/20260101/ap-northeast-2/{model.signing_name}/aws4_request"
    headers["x-amz-date"] = "20260101T000000Z"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, "
        f"Signature={'0' * 64}"
    )
    return {"uri": request["url_path"], "headers": headers, "body": body.decode()}


def print_requests():
    for name, model, operation, _ in services():
        for seed, fullness in enumerate([0.0, 0.3, 1.0]):
            maker = Maker(f"{operation.name} {seed}", fullness, millis=False)
            params = maker.top(operation.input_shape)
            line = serialised(model, operation, params)
            line |= {"service": name, "operation": operation.name, "params": plain(params)}
            print(json.dumps(line))


def print_outputs():
    for name, model, operation, _ in services():
        for seed, fullness in enumerate([0.0, 0.3, 1.0]):
            maker = Maker(f"{operation.name} {seed}", fullness, millis=True)
            output = maker.top(operation.output_shape)
            print(json.dumps({"service": name, "operation": operation.name, "output": plain(output)}))


def of_shape(shape, value):
    """A value of an example as its shape has it: they are JSON, and a few write numbers and
    booleans as texts."""
    match shape.type_name:
        case "structure":
            return {key: of_shape(shape.members[key], item) for key, item in value.items()}
        case "list":
            return [of_shape(shape.member, item) for item in value]
        case "map":
            return {key: of_shape(shape.value, item) for key, item in value.items()}
        case "timestamp":
            return botocore.utils.parse_timestamp(value)
        case "blob":
            return value.encode()
        case "integer" | "long":
            return int(value)
        case "boolean" if isinstance(value, str):
            return value == "true"
        case _:
            return value


def without_blanks(value):
    """EC2 takes an empty text as absent, but for a `Value`."""
    if isinstance(value, dict):
        items = {key: without_blanks(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item != "" or key == "Value"}
    if isinstance(value, list):
        return [without_blanks(item) for item in value]
    return value


def print_examples():
    loader = botocore.session.get_session().get_component("data_loader")
    for name, model, operation, _ in services():
        version = model.metadata["apiVersion"]
        published = loader.load_service_model(name, "examples-1", version)["examples"]
        for example in published.get(operation.name, []):
            about = {"service": name, "operation": operation.name, "id": example["id"]}
            if "input" in example and operation.input_shape:
                params = of_shape(operation.input_shape, example["input"])
                line = serialised(model, operation, params)
                expected = pruned(plain(params))
                expected = without_blanks(expected) if name == "ec2" else expected
                print(json.dumps(line | about | {"params": expected}))
            if "output" in example and operation.output_shape:
                output = of_shape(operation.output_shape, example["output"])
                print(json.dumps(about | {"output": pruned(plain(output))}))


def parse_responses():
    models = {(name, operation.name): (model, operation) for name, model, operation, _ in services()}
    count = 0
    for line in sys.stdin:
        item = json.loads(line)
        model, operation = models[item["service"], item["operation"]]
        if operation.has_event_stream_output:
            # It has no body of its own: the stream is read in the cases of tests/e2e/api.
            count += 1
            continue
        parser = botocore.parsers.create_parser(model.metadata["protocol"])
        response = {
            "status_code": item["status"],
            "headers": item["headers"],
            "body": item["body"].encode(),
        }
        parsed = plain(parser.parse(response, operation.output_shape))
        metadata = parsed.pop("ResponseMetadata")
        if "error" in item:
            assert parsed["Error"]["Code"] == item["error"]["Code"], (item, parsed)
            assert parsed["Error"]["Message"] == item["error"]["Message"], (item, parsed)
        else:
            expected, found = pruned(item["output"]), pruned(parsed)
            assert found == expected, f"{operation.name}\nsent  {expected}\nfound {found}"
        assert metadata["RequestId"] == item["request_id"], (item, metadata)
        count += 1
    print(count)


CAPTURED = {
    "ec2-create-nat-gateway": ("ec2", "create_nat_gateway", {
        "SubnetId": "subnet-0123456789abcdef0",
        "AllocationId": "eipalloc-0123456789abcdef0",
        "SecondaryAllocationIds": ["eipalloc-0123456789abcdef1", "eipalloc-0123456789abcdef2"],
        "ClientToken": "once",
        "TagSpecifications": [{
            "ResourceType": "natgateway", "Tags": [{"Key": "Name", "Value": "NAT-GW"}],
        }],
    }),
    "ec2-describe-nat-gateways": ("ec2", "describe_nat_gateways", {
        "NatGatewayIds": ["nat-0123456789abcdef0"],
        "Filter": [{"Name": "state", "Values": ["pending", "available"]}],
    }),
    "ec2-modify-peering-options": ("ec2", "modify_vpc_peering_connection_options", {
        "VpcPeeringConnectionId": "pcx-0123456789abcdef0",
        "AccepterPeeringConnectionOptions": {"AllowDnsResolutionFromRemoteVpc": True},
    }),
    "ec2-create-vpc": ("ec2", "create_vpc", {
        "CidrBlock": "10.1.0.0/16",
        "InstanceTenancy": "default",
        "TagSpecifications": [
            {"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "IMD-VPC"}, {"Key": "빈", "Value": ""}]}
        ],
    }),
    "ec2-describe-vpcs": ("ec2", "describe_vpcs", {
        "Filters": [
            {"Name": "tag:Name", "Values": ["IMD-VPC", "a&b=c"]},
            {"Name": "isDefault", "Values": ["false"]},
        ],
        "VpcIds": ["vpc-0123456789abcdef0"],
    }),
    "ec2-authorize-ingress": ("ec2", "authorize_security_group_ingress", {
        "GroupId": "sg-0123456789abcdef0",
        "IpPermissions": [
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
             "UserIdGroupPairs": [{"GroupId": "sg-0fedcba9876543210", "Description": "bastion"}]},
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1,
             "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        ],
    }),
    "ec2-run-instances": ("ec2", "run_instances", {
        "ImageId": "ami-0123456789abcdef0",
        "InstanceType": "t2.micro",
        "KeyName": "imd-key",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "6f1c0e2a-token",
        "UserData": "#!/bin/bash\nyum install -y httpd\n",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda",
             "Ebs": {"VolumeSize": 8, "VolumeType": "gp2", "DeleteOnTermination": True}}
        ],
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "SubnetId": "subnet-0123456789abcdef0",
             "AssociatePublicIpAddress": True, "Groups": ["sg-0123456789abcdef0"],
             "PrivateIpAddresses": [{"PrivateIpAddress": "10.1.1.10", "Primary": True}]}
        ],
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "IMD-EC2", "Value": "PUBLIC-01"}]}
        ],
        "MetadataOptions": {"HttpTokens": "required"},
    }),
    "ec2-import-key-pair": ("ec2", "import_key_pair", {
        "KeyName": "imd-key", "PublicKeyMaterial": b"ssh-ed25519 AAAA imd\n",
    }),
    "ec2-create-acl-entry": ("ec2", "create_network_acl_entry", {
        "NetworkAclId": "acl-0123456789abcdef0", "RuleNumber": 100, "Protocol": "6",
        "RuleAction": "allow", "Egress": False, "CidrBlock": "0.0.0.0/0",
        "PortRange": {"From": 22, "To": 22},
    }),
    "ec2-modify-subnet-attribute": ("ec2", "modify_subnet_attribute", {
        "SubnetId": "subnet-0123456789abcdef0", "MapPublicIpOnLaunch": {"Value": True},
    }),
    "sts-get-caller-identity": ("sts", "get_caller_identity", {}),
    "ssm-get-parameters-by-path": ("ssm", "get_parameters_by_path", {
        "Path": "/aws/service/ami-amazon-linux-latest", "Recursive": True, "MaxResults": 10,
        "ParameterFilters": [{"Key": "Type", "Option": "Equals", "Values": ["String"]}],
    }),
}


def capture(folder):
    session = botocore.session.get_session()
    session.set_credentials("AKIDEXAMPLE", "not a secret")
    for name, (service, method, params) in CAPTURED.items():
        client = session.create_client(
            service, "ap-northeast-2", endpoint_url="http://127.0.0.1:4566",
        )
        seen = []

        def stop(request, seen=seen, **_):
            seen.append(request)
            raise StopIteration

        client.meta.events.register("before-send", stop)
        try:
            getattr(client, method)(**params)
        except StopIteration:
            pass
        (request,) = seen
        body = request.body or b""
        lines = [f"{request.method} {request.url.removeprefix('http://127.0.0.1:4566')} HTTP/1.1"]
        lines.append("Host: 127.0.0.1:4566")
        for key, value in request.headers.items():
            value = value.decode() if isinstance(value, bytes) else value
            if key.lower() not in ("user-agent", "amz-sdk-invocation-id", "amz-sdk-request"):
                lines.append(f"{key}: {value}")
        text = "\n".join(lines) + "\n\n" + (body.decode() if isinstance(body, bytes) else body)
        folder.joinpath(f"{name}.http").write_text(text)
        expected = plain(params)
        if "UserData" in expected:
            expected["UserData"] = base64.b64encode(params["UserData"].encode()).decode()
        operation = client.meta.method_to_api_mapping[method]
        document = {"operation": operation, "service": service, "params": expected}
        folder.joinpath(f"{name}.json").write_text(
            json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["capture", folder]:
            capture(pathlib.Path(folder))
        case ["requests"]:
            print_requests()
        case ["outputs"]:
            print_outputs()
        case ["examples"]:
            print_examples()
        case ["parse"]:
            parse_responses()
        case _:
            sys.exit(__doc__)
