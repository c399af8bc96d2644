"""Images and the public parameters that name them, looked up as people do it; instance types,
zones, regions."""

import re

from harness import REGION, case, client, ident, image, refused, same, shows

ACCOUNT = "200000000006"
AMAZON_LINUX_2 = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"


def ec2():
    return client("ec2", ACCOUNT)


def ssm():
    return client("ssm", ACCOUNT)


LOOKUPS = [
    (["amazon"], "amzn2-ami-hvm-*-x86_64-gp2", "137112412989", "/dev/xvda", None),
    (["amazon"], "amzn2-ami-kernel-5.10-hvm-*-x86_64-gp2", "137112412989", "/dev/xvda", None),
    (["137112412989"], "al2023-ami-2023.*-x86_64", "137112412989", "/dev/xvda", "v2.0"),
    (["136693071363"], "debian-12-amd64-*", "136693071363", "/dev/xvda", None),
    (
        ["099720109477"],
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*",
        "099720109477",
        "/dev/sda1",
        None,
    ),
    (
        ["099720109477"],
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*",
        "099720109477",
        "/dev/sda1",
        None,
    ),
]


@case("images: found by owner and name, as Terraform and tutorials ask (IMDS-8)")
def by_name():
    for owners, pattern, owner, root, imds in LOOKUPS:
        images = ec2().describe_images(
            Owners=owners,
            IncludeDeprecated=False,
            Filters=[
                {"Name": "name", "Values": [pattern]},
                {"Name": "virtualization-type", "Values": ["hvm"]},
                {"Name": "state", "Values": ["available"]},
                {"Name": "architecture", "Values": ["x86_64"]},
                {"Name": "root-device-type", "Values": ["ebs"]},
            ],
        )["Images"]
        same(len(images) >= 1, True, pattern)
        for one in images:
            shows(
                one,
                {
                    "ImageId": ident("ami"),
                    "OwnerId": owner,
                    "State": "available",
                    "Public": True,
                    "Architecture": "x86_64",
                    "RootDeviceType": "ebs",
                    "RootDeviceName": root,
                    "VirtualizationType": "hvm",
                    "CreationDate": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
                    "ImdsSupport": imds,
                },
                pattern,
            )
            same("Gureum" in one["Description"], True, "the description says what it is")
        [again] = ec2().describe_images(ImageIds=[images[0]["ImageId"]])["Images"]
        same(again["Name"], images[0]["Name"], "by id")


@case("images: nothing is of the account itself, nothing matches a name that is not there")
def none():
    same(ec2().describe_images(Owners=["self"])["Images"], [], "self")
    same(
        ec2().describe_images(Filters=[{"Name": "name", "Values": ["windows*"]}])["Images"],
        [],
        "windows",
    )


@case("images: an instance on Amazon Linux 2023 requires tokens, on 2 it does not (IMDS-8)")
def metadata_default():
    for name, tokens in [("al2023-ami-2023*", "required"), ("amzn2-ami-hvm*", "optional")]:
        answer = ec2().run_instances(
            ImageId=image(ec2(), name), InstanceType="t2.micro", MinCount=1, MaxCount=1
        )
        [instance] = answer["Instances"]
        same(instance["MetadataOptions"]["HttpTokens"], tokens, name)
        ec2().terminate_instances(InstanceIds=[instance["InstanceId"]])


@case("parameters: the public ones name the newest image")
def parameters():
    newest = {
        AMAZON_LINUX_2: "amzn2-ami-hvm-*-x86_64-gp2",
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-kernel-5.10-hvm-x86_64-gp2": "amzn2-ami-kernel-5.10-hvm-*",
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64": "al2023-ami-2023*",
        "/aws/service/debian/release/12/latest/amd64": "debian-12-amd64-*",
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id": "ubuntu/images/hvm-ssd/ubuntu-jammy-*",
    }
    for name, pattern in newest.items():
        parameter = ssm().get_parameter(Name=name)["Parameter"]
        same(parameter["Value"], image(ec2(), pattern), name)
        shows(
            parameter,
            {
                "Name": name,
                "Type": "String",
                "Version": int,
                "ARN": f"arn:aws:ssm:{REGION}::parameter{name}",
                "DataType": re.compile("text|aws:ec2:image"),
            },
            name,
        )
    answer = ssm().get_parameters(Names=[AMAZON_LINUX_2, "/nothing/here"])
    same([one["Name"] for one in answer["Parameters"]], [AMAZON_LINUX_2], "known")
    same(answer["InvalidParameters"], ["/nothing/here"], "unknown")


@case("parameters: by path, in pages")
def by_path():
    names, token = [], {}
    for _ in range(50):
        page = ssm().get_parameters_by_path(
            Path="/aws/service/ami-amazon-linux-latest", MaxResults=2, **token
        )
        same(len(page["Parameters"]) <= 2, True, "page size")
        names += [one["Name"] for one in page["Parameters"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    same(AMAZON_LINUX_2 in names, True, "listed")
    same(len(names), len(set(names)), "once each")
    whole = ssm().get_parameters_by_path(Path="/aws/service/ami-amazon-linux-latest")
    same([one["Name"] for one in whole["Parameters"]][: len(names)], names, "the whole")


@case("parameters: what is not there or not a name is refused in the words of SSM")
def bad_parameters():
    refused(lambda: ssm().get_parameter(Name="/nothing/here"), "ParameterNotFound", re.compile(".*"))
    careless = client("ssm", ACCOUNT, validate=False)
    refused(lambda: careless.get_parameter(), "ValidationException")
    refused(lambda: careless.get_parameters(Names=[]), "ValidationException")


@case("parameters: RunInstances resolves them by itself (resolve:ssm:)")
def resolved():
    [instance] = ec2().run_instances(
        ImageId=f"resolve:ssm:{AMAZON_LINUX_2}",
        InstanceType="t2.micro",
        MinCount=1,
        MaxCount=1,
    )["Instances"]
    same(instance["ImageId"], ssm().get_parameter(Name=AMAZON_LINUX_2)["Parameter"]["Value"], "")
    ec2().terminate_instances(InstanceIds=[instance["InstanceId"]])


@case("types: t2.micro as it is, and only in zones a and c (EC2-23, ENI-5, SUB-11)")
def types():
    [kind] = ec2().describe_instance_types(InstanceTypes=["t2.micro"])["InstanceTypes"]
    shows(
        kind,
        {
            "VCpuInfo": {"DefaultVCpus": 1},
            "MemoryInfo": {"SizeInMiB": 1024},
            "NetworkInfo": {"MaximumNetworkInterfaces": 2, "Ipv4AddressesPerInterface": 2},
            "Hypervisor": "xen",
            "BurstablePerformanceSupported": True,
        },
        "t2.micro",
    )
    offered = ec2().describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["t2.micro"]}],
    )["InstanceTypeOfferings"]
    same({one["Location"] for one in offered}, {f"{REGION}a", f"{REGION}c"}, "SUB-11")


@case("places: zones, regions, account attributes")
def places():
    zones = ec2().describe_availability_zones(
        Filters=[{"Name": "state", "Values": ["available"]}]
    )["AvailabilityZones"]
    same([one["ZoneName"] for one in zones], [f"{REGION}{letter}" for letter in "abcd"], "zones")
    same(len({one["ZoneId"] for one in zones}), 4, "zone ids")
    regions = {one["RegionName"] for one in ec2().describe_regions()["Regions"]}
    same({REGION, "us-east-1", "eu-west-1"} <= regions, True, "regions")
    attributes = ec2().describe_account_attributes(AttributeNames=["supported-platforms"])
    [attribute] = attributes["AccountAttributes"]
    same(attribute["AttributeValues"], [{"AttributeValue": "VPC"}], "platforms")
