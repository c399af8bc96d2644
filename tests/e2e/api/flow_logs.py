"""Flow logs as records (FL-1 to FL-6, FL-13, FL-15, FL-20 to FL-22)."""

import datetime
import json
import sys
import types
import urllib.parse
from unittest import mock

import yaml

from auth import keyed, policy
from harness import case, client, ident, named, refused, same, shows

ACCOUNT = "640000000002"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/flowlogsRole"
GROUP = f"arn:aws:logs:ap-northeast-2:{ACCOUNT}:log-group:"
FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} "
    "${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
)


def ec2():
    return client("ec2", ACCOUNT)


def vpc():
    return ec2().create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]


def create(resource, kind="VPC", **more):
    """A flow log into a log group, where nothing else is said."""
    if "LogDestinationType" not in more:
        more = {"LogGroupName": "IMD-VPCFlow", "DeliverLogsPermissionArn": ROLE, **more}
    more = {key: value for key, value in more.items() if value is not None}
    return ec2().create_flow_logs(
        ResourceIds=[resource], ResourceType=kind, TrafficType=more.pop("TrafficType", "ALL"), **more
    )


def described(*ids, **more):
    return ec2().describe_flow_logs(FlowLogIds=list(ids), **more)["FlowLogs"]


@case("flow logs: the lab's, as the CLI makes it (FL-2, FL-6, FL-20)")
def of_the_lab():
    resource = vpc()
    made = create(resource, MaxAggregationInterval=60, TagSpecifications=named("vpc-flow-log", "IMD"))
    same(made["Unsuccessful"], [])
    (log,) = made["FlowLogIds"]
    shows(
        described(log),
        [
            {
                "FlowLogId": ident("fl"),
                "FlowLogStatus": "ACTIVE",
                "DeliverLogsStatus": "SUCCESS",
                "DeliverLogsErrorMessage": None,
                "DeliverLogsPermissionArn": ROLE,
                "ResourceId": resource,
                "TrafficType": "ALL",
                "LogDestinationType": "cloud-watch-logs",
                "LogGroupName": "IMD-VPCFlow",
                "LogDestination": GROUP + "IMD-VPCFlow",
                "LogFormat": FORMAT,
                "MaxAggregationInterval": 60,
                "Tags": [{"Key": "Name", "Value": "IMD"}],
            }
        ],
    )


@case("flow logs: as Terraform makes it, by the ARN of its group (FL-2)")
def by_arn():
    made = create(vpc(), LogGroupName=None, LogDestination=GROUP + "mine", TrafficType="REJECT")
    shows(
        described(*made["FlowLogIds"]),
        [{"LogGroupName": "mine", "LogDestination": GROUP + "mine", "MaxAggregationInterval": 600}],
    )


@case("flow logs: of a subnet and of an interface, gone with them (FL-1, FL-13)")
def gone_with_resource():
    resource = vpc()
    subnet = ec2().create_subnet(VpcId=resource, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    interface = ec2().create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    for one, kind in ((subnet, "Subnet"), (interface, "NetworkInterface"), (resource, "VPC")):
        same(len(create(one, kind)["FlowLogIds"]), 1)
    ec2().delete_network_interface(NetworkInterfaceId=interface)
    ec2().delete_subnet(SubnetId=subnet)
    of = lambda one: [{"Name": "resource-id", "Values": [one]}]
    left = [len(described(Filter=of(one))) for one in (interface, subnet, resource)]
    same(left, [0, 0, 1])
    ec2().delete_vpc(VpcId=resource)
    same(described(Filter=of(resource)), [])


@case("flow logs: into a bucket, with its options (FL-15)")
def into_bucket():
    resource = vpc()
    arn = "arn:aws:s3:::flow-logs-of-mine"
    bucket = {"LogDestinationType": "s3", "LogDestination": arn}
    made = create(resource, **bucket)
    shows(made["Unsuccessful"], [{"ResourceId": resource, "Error": {"Code": "400"}}])
    client("s3", ACCOUNT).create_bucket(
        Bucket="flow-logs-of-mine",
        CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"},
    )
    options = {"FileFormat": "parquet", "HiveCompatiblePartitions": True, "PerHourPartition": True}
    made = create(resource, **bucket, DestinationOptions=options)
    shows(
        described(*made["FlowLogIds"]),
        [
            {
                "LogDestinationType": "s3",
                "LogDestination": arn,
                "LogGroupName": None,
                "DestinationOptions": options,
            }
        ],
    )
    refused(
        lambda: create(resource, LogDestinationType="s3", LogDestination=arn + "/AWSLogs/"),
        "InvalidParameter",
    )


@case("flow logs: the bucket's policy lets the delivery in, and says what it said before (FL-16)")
def bucket_policy():
    s3 = client("s3", ACCOUNT)
    name = "flow-logs-with-policy"
    s3.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
    )
    mine = {
        "Sid": "mine",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{name}/public/*",
    }
    s3.put_bucket_policy(
        Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [mine]})
    )
    bucket = {"LogDestinationType": "s3", "LogDestination": f"arn:aws:s3:::{name}/logs/"}
    resource = vpc()
    for traffic in ("ACCEPT", "REJECT"):
        same(create(resource, **bucket, TrafficType=traffic)["Unsuccessful"], [])
    policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
    same(
        [it["Sid"] for it in policy["Statement"]],
        ["mine", "AWSLogDeliveryWrite", "AWSLogDeliveryAclCheck"],
    )
    same(policy["Statement"][0], mine)
    same(policy["Statement"][1]["Resource"], f"arn:aws:s3:::{name}/logs/AWSLogs/{ACCOUNT}/*")
    # Another account is let in by nobody.
    other = client("ec2", "640000000013")
    theirs = other.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    made = other.create_flow_logs(
        ResourceIds=[theirs], ResourceType="VPC", TrafficType="ALL", **bucket
    )
    shows(
        made["Unsuccessful"],
        [
            {
                "ResourceId": theirs,
                "Error": {
                    "Code": "400",
                    "Message": f"Access Denied for LogDestination: {name}. "
                    "Please check LogDestination permission",
                },
            }
        ],
    )


@case("flow logs: formats are made of known fields (FL-21, FL-22)")
def formats():
    resource = vpc()
    form = "${version} ${vpc-id} ${tcp-flags} ${pkt-srcaddr} ${flow-direction} ${reject-reason}"
    made = create(resource, LogFormat=form)
    shows(described(*made["FlowLogIds"]), [{"LogFormat": form}])
    refused(
        lambda: create(resource, LogFormat="${version} ${colour}"),
        "InvalidParameter",
        "Unknown fields provided: [colour]",
    )


@case("flow logs: mistakes (FL-2, FL-3, FL-5)")
def mistakes():
    resource = vpc()
    create(resource)
    refused(
        lambda: create(resource),
        "FlowLogAlreadyExists",
        "Error. There is an existing Flow Log with the same configuration and log destination.",
    )
    refused(
        lambda: create(resource, MaxAggregationInterval=90),
        "InvalidParameter",
        "Invalid Flow Log Max Aggregation Interval",
    )
    refused(lambda: create(resource, DeliverLogsPermissionArn=None), "InvalidParameter")
    refused(lambda: create(resource, LogDestination=GROUP + "x"), "InvalidParameter")
    refused(
        lambda: create(resource, LogDestinationType="kinesis-data-firehose", LogDestination="arn:x"),
        "UnsupportedOperation",
    )
    missing = create("vpc-0ffffffffffffffff", TrafficType="ACCEPT")
    same(missing["FlowLogIds"], [])
    shows(missing["Unsuccessful"], [{"Error": {"Code": "InvalidVpcID.NotFound"}}])
    refused(
        lambda: ec2().delete_flow_logs(FlowLogIds=["fl-0ffffffffffffffff"]),
        "InvalidFlowLogId.NotFound",
    )


@case("flow logs: a client token makes one, filters find it, deletion ends it (API-4)")
def token():
    resource = vpc()
    one = create(resource, ClientToken="mine", TrafficType="ACCEPT")
    two = create(resource, ClientToken="mine", TrafficType="ACCEPT")
    same(one["FlowLogIds"], two["FlowLogIds"])
    find = [
        {"Name": "traffic-type", "Values": ["ACCEPT"]},
        {"Name": "resource-id", "Values": [resource]},
        {"Name": "log-group-name", "Values": ["IMD-*"]},
        {"Name": "deliver-log-status", "Values": ["SUCCESS"]},
    ]
    same(len(ec2().describe_flow_logs(Filter=find)["FlowLogs"]), 1)
    ec2().create_tags(Resources=one["FlowLogIds"], Tags=[{"Key": "a", "Value": "b"}])
    shows(described(*one["FlowLogIds"]), [{"Tags": [{"Key": "a", "Value": "b"}]}])
    same(ec2().delete_flow_logs(FlowLogIds=one["FlowLogIds"])["Unsuccessful"], [])
    same(ec2().describe_flow_logs(Filter=find)["FlowLogs"], [])


def bucket_of(name, flow_log_options=None):
    """A bucket with a flow log into it: the flow log."""
    client("s3", ACCOUNT).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
    )
    (log,) = create(
        vpc(),
        LogDestinationType="s3",
        LogDestination=f"arn:aws:s3:::{name}/logs/",
        LogFormat="${version} ${start} ${instance-id} ${srcaddr} ${dstaddr} ${bytes}",
        **({"DestinationOptions": flow_log_options} if flow_log_options else {}),
    )["FlowLogIds"]
    return log


def template(log, bucket, *integrations, ec2=None):
    """The template of a flow log, out of the bucket that it was stored in."""
    usual = {"IntegrationResultS3DestinationArn": f"arn:aws:s3:::{bucket}/results/"}
    result = (ec2 or client("ec2", ACCOUNT)).get_flow_logs_integration_template(
        FlowLogId=log,
        ConfigDeliveryS3DestinationArn=f"arn:aws:s3:::{bucket}/templates/",
        IntegrateServices={"AthenaIntegrations": [{**usual, **it} for it in integrations]},
    )["Result"]
    place = f"https://{bucket}.s3.ap-northeast-2.amazonaws.com/templates/VPCFlowLogsIntegrationTemplate_{log}_"
    same(result.startswith(place) and result.endswith("%20UTC%20" + result[-8:]), True, result)
    key = urllib.parse.unquote(urllib.parse.urlparse(result).path[1:])
    body = client("s3", ACCOUNT).get_object(Bucket=bucket, Key=key)["Body"].read()
    found = yaml.safe_load(body)
    same(found["AWSTemplateFormatVersion"], "2010-09-09")
    return found["Resources"]


def loaded(resources, event):
    """The partitions that the program of a template adds, with the values of each."""
    function = resources["VpcFlowLogsPartitionLoader1"]["Properties"]
    table = resources["VpcFlowLogsTable1"]["Properties"]["TableInput"]
    added, said = [], []

    class Glue:
        def get_table(self, DatabaseName, Name):
            return {"Table": {"StorageDescriptor": table["StorageDescriptor"]}}

        def batch_create_partition(self, DatabaseName, TableName, PartitionInputList):
            same(0 < len(PartitionInputList) <= 100, True, "a batch")
            added.extend(PartitionInputList)
            return {"Errors": [{"ErrorDetail": {"ErrorCode": "AlreadyExistsException"}}]}

    stand_ins = {
        "boto3": types.SimpleNamespace(client=lambda name: Glue()),
        "cfnresponse": types.SimpleNamespace(
            SUCCESS="SUCCESS", FAILED="FAILED", send=lambda *all: said.append(all[2:])
        ),
    }
    variables = function["Environment"]["Variables"]
    environment = {**variables, "DATABASE": "database", "TABLE": table["Name"]}
    program = {}
    with mock.patch.dict(sys.modules, stand_ins), mock.patch.dict("os.environ", environment):
        exec(function["Code"]["ZipFile"], program)  # noqa: S102: the program under test
        program["handler"](event, None)
    if "ResponseURL" in event:
        same(said, [("SUCCESS", {})], "the answer to CloudFormation")
    return [(tuple(it["Values"]), it["StorageDescriptor"]["Location"]) for it in added]


def created(resources):
    """What CloudFormation tells the program when the stack is made."""
    properties = resources["VpcFlowLogsFirstPartitions1"]["Properties"]
    return {"RequestType": "Create", "ResponseURL": "x", "ResourceProperties": properties}


@case("flow logs: a template for Amazon Athena, between two points in time")
def athena():
    bucket = "flow-logs-for-athena"
    log = bucket_of(bucket)
    start = datetime.datetime(2021, 7, 20, 22, 40, tzinfo=datetime.timezone.utc)
    end = start + datetime.timedelta(days=1)
    asked = {"PartitionLoadFrequency": "none", "PartitionStartDate": start, "PartitionEndDate": end}
    resources = template(log, bucket, asked)
    table = resources["VpcFlowLogsTable1"]["Properties"]["TableInput"]
    location = f"s3://{bucket}/logs/AWSLogs/{ACCOUNT}/vpcflowlogs/ap-northeast-2/"
    shows(
        table,
        {
            "Name": f"{log.replace('-', '')}_none_1",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"skip.header.line.count": "1"},
            "PartitionKeys": [{"Name": it, "Type": "string"} for it in ("year", "month", "day")],
        },
    )
    shows(
        table["StorageDescriptor"],
        {
            "Location": location,
            "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
            "Columns": [
                {"Name": "version", "Type": "int"},
                {"Name": "start", "Type": "bigint"},
                {"Name": "instance_id", "Type": "string"},
                {"Name": "srcaddr", "Type": "string"},
                {"Name": "dstaddr", "Type": "string"},
                {"Name": "bytes", "Type": "bigint"},
            ],
        },
    )
    group = resources["VpcFlowLogsWorkGroup1"]["Properties"]["WorkGroupConfiguration"]
    same(group["ResultConfiguration"]["OutputLocation"], f"s3://{bucket}/results/")
    same(
        sorted(it["Properties"]["Name"] for it in resources.values() if "NamedQuery" in it["Type"]),
        ["VpcFlowLogsTopTalkers", "VpcFlowLogsTopTalkingInstances", "VpcFlowLogsTotalBytesTransferred"],
    )
    same([name for name in resources if "Schedule" in name], [])
    same(
        loaded(resources, created(resources)),
        [
            (("2021", "07", "20"), location + "2021/07/20/"),
            (("2021", "07", "21"), location + "2021/07/21/"),
        ],
    )


@case("flow logs: templates for Amazon Athena whose partitions are added by a schedule")
def athena_scheduled():
    bucket = "flow-logs-for-athena-daily"
    options = {"FileFormat": "parquet", "HiveCompatiblePartitions": True, "PerHourPartition": True}
    log = bucket_of(bucket, options)
    kinds = ("daily", "weekly", "monthly")
    resources = template(log, bucket, *({"PartitionLoadFrequency": it} for it in kinds))
    names = [resources[f"VpcFlowLogsTable{n}"]["Properties"]["TableInput"]["Name"] for n in (1, 2, 3)]
    same(names, [f"{log.replace('-', '')}_{it}_{n}" for n, it in enumerate(kinds, 1)])
    schedules = [resources[f"VpcFlowLogsSchedule{n}"]["Properties"] for n in (1, 2, 3)]
    same(
        [it["ScheduleExpression"] for it in schedules],
        ["rate(1 day)", "rate(7 days)", "cron(0 0 1 * ? *)"],
    )
    storage = resources["VpcFlowLogsTable1"]["Properties"]["TableInput"]["StorageDescriptor"]
    same("parquet" in storage["SerdeInfo"]["SerializationLibrary"], True)
    # What the schedule brings about: an hour after the other until tomorrow.
    partitions = loaded(resources, {})
    same(len(partitions), 25)
    (year, month, day, hour), place = partitions[0]
    same(
        place,
        f"s3://{bucket}/logs/AWSLogs/aws-account-id={ACCOUNT}/aws-service=vpcflowlogs/"
        f"aws-region=ap-northeast-2/year={year}/month={month}/day={day}/hour={hour}/",
    )
    same(len(loaded(resources, created(resources))), 25)


@case("flow logs: no template for mistakes and for who may not store it")
def athena_mistakes():
    bucket = "flow-logs-without-template"
    log = bucket_of(bucket)
    daily = {"PartitionLoadFrequency": "daily"}
    refused(
        lambda: template("fl-0ffffffffffffffff", bucket, daily), "InvalidFlowLogId.NotFound"
    )
    (grouped,) = create(vpc())["FlowLogIds"]
    refused(
        lambda: template(grouped, bucket, daily),
        "InvalidParameter",
        f"The flow log {grouped} is not published to Amazon S3.",
    )
    careless = client("ec2", ACCOUNT, validate=False)
    refused(lambda: template(log, bucket, ec2=careless), "MissingParameter")
    refused(lambda: template(log, bucket, {"PartitionLoadFrequency": "none"}), "InvalidParameter")
    refused(lambda: template(log, bucket, *[daily] * 11), "InvalidParameterValue")
    refused(
        lambda: template(log, bucket, {"PartitionLoadFrequency": "yearly"}), "InvalidParameterValue"
    )
    refused(
        lambda: template(log, bucket, {**daily, "IntegrationResultS3DestinationArn": "here"}),
        "InvalidParameter",
        "IntegrationResultS3DestinationArn here is no S3 ARN.",
    )
    refused(
        lambda: template(log, "flow-logs-nowhere", daily),
        "InvalidParameter",
        "ConfigDeliveryS3DestinationArn: flow-logs-nowhere does not exist.",
    )
    iam = client("iam", ACCOUNT)
    iam.create_user(UserName="analyst")
    key = iam.create_access_key(UserName="analyst")["AccessKey"]
    analyst = keyed("ec2", key["AccessKeyId"], key["SecretAccessKey"])
    mine = lambda: template(log, bucket, daily, ec2=analyst)  # noqa: E731
    refused(mine, "UnauthorizedOperation", None, 403)
    may = lambda *actions: iam.put_user_policy(  # noqa: E731
        UserName="analyst", PolicyName="p", PolicyDocument=policy("Allow", actions)
    )
    may("ec2:GetFlowLogsIntegrationTemplate")
    refused(
        mine,
        "InvalidParameter",
        f"Access Denied for ConfigDeliveryS3DestinationArn: {bucket}. "
        "Please check ConfigDeliveryS3DestinationArn permission",
    )
    keys = lambda: client("s3", ACCOUNT).list_objects_v2(Bucket=bucket)["KeyCount"]  # noqa: E731
    same(keys(), 0, "objects")
    may("ec2:GetFlowLogsIntegrationTemplate", "s3:PutObject")
    same("VpcFlowLogsTable1" in mine(), True)
    same(keys(), 1, "objects")
