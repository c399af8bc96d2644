"""Flow logs as records (FL-1 to FL-6, FL-13, FL-15, FL-20 to FL-22)."""

import json

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
