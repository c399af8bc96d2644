"""Reachability Analyzer and Network Access Analyzer, as boto3 speaks to them (RA-*, NAA-1)."""

import functools

from harness import case, client, ident, image, named, refused, same, settle, shows

ACCOUNT = "640000000007"


def ec2():
    return client("ec2", ACCOUNT)


class World:
    """A public web server and a private host."""

    def __init__(self):
        self.vpc = ec2().create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.public, self.private = (
            ec2().create_subnet(VpcId=self.vpc, CidrBlock=block)["Subnet"]["SubnetId"]
            for block in ("10.1.1.0/24", "10.1.11.0/24")
        )
        self.gateway = ec2().create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2().attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        table = ec2().create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        ec2().associate_route_table(RouteTableId=table, SubnetId=self.public)
        ec2().create_route(
            RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.gateway
        )
        self.group = ec2().create_security_group(
            GroupName="web", Description="the web", VpcId=self.vpc
        )["GroupId"]
        ec2().authorize_security_group_ingress(
            GroupId=self.group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0"
        )
        self.web = self.host(self.public, True)
        self.quiet = self.host(self.private, False)

    def host(self, subnet, public):
        [instance] = ec2().run_instances(
            ImageId=image(ec2()),
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[
                {
                    "DeviceIndex": 0,
                    "SubnetId": subnet,
                    "Groups": [self.group],
                    "AssociatePublicIpAddress": public,
                }
            ],
        )["Instances"]
        settle(ec2(), [instance["InstanceId"]], "running")
        return instance["InstanceId"]


@functools.cache
def the():
    return World()


def path(source, destination, **more):
    return ec2().create_network_insights_path(
        Source=source, Destination=destination, **{"Protocol": "tcp", **more}
    )["NetworkInsightsPath"]


def analyzed(path_id, **more):
    started = ec2().start_network_insights_analysis(NetworkInsightsPathId=path_id, **more)
    analysis = started["NetworkInsightsAnalysis"]
    same(analysis["Status"], "running")
    [found] = ec2().describe_network_insights_analyses(
        NetworkInsightsAnalysisIds=[analysis["NetworkInsightsAnalysisId"]]
    )["NetworkInsightsAnalyses"]
    return found


@case("reachability: a path as boto3 makes it, with filters of its own (RA-1)")
def made():
    one = path(
        the().gateway,
        the().web,
        FilterAtSource={"DestinationPortRange": {"FromPort": 80, "ToPort": 80}},
        TagSpecifications=named("network-insights-path", "web"),
    )
    shows(
        one,
        {
            "NetworkInsightsPathId": ident("nip"),
            "Source": the().gateway,
            "Destination": the().web,
            "Protocol": "tcp",
            "FilterAtSource": {"DestinationPortRange": {"FromPort": 80, "ToPort": 80}},
            "Tags": [{"Key": "Name", "Value": "web"}],
        },
    )
    find = [{"Name": "source", "Values": [the().gateway]}, {"Name": "tag:Name", "Values": ["web"]}]
    listed = ec2().describe_network_insights_paths(Filters=find)["NetworkInsightsPaths"]
    same([it["NetworkInsightsPathId"] for it in listed], [one["NetworkInsightsPathId"]])


@case("reachability: the way from the gateway to a web server and back (RA-2, RA-4, RA-5)")
def reachable():
    found = analyzed(path(the().gateway, the().web, DestinationPort=80)["NetworkInsightsPathId"])
    same((found["Status"], found["NetworkPathFound"]), ("succeeded", True))
    forward = [it["Component"]["Id"].split("-")[0] for it in found["ForwardPathComponents"]]
    same(forward, ["igw", "acl", "sg", "eni", "i"])
    back = [it["Component"]["Id"].split("-")[0] for it in found["ReturnPathComponents"]]
    same(back, ["i", "eni", "sg", "acl", "rtb", "igw"])
    shows(
        found["ForwardPathComponents"][2],
        {
            "SequenceNumber": 3,
            "SecurityGroupRule": {
                "Cidr": "0.0.0.0/0",
                "Direction": "ingress",
                "PortRange": {"From": 80, "To": 80},
                "Protocol": "tcp",
            },
        },
    )


@case("reachability: what is in the way has a name, and the status is succeeded (RA-2)")
def unreachable():
    found = analyzed(path(the().gateway, the().web, DestinationPort=22)["NetworkInsightsPathId"])
    same((found["Status"], found["NetworkPathFound"]), ("succeeded", False))
    [explanation] = found["Explanations"]
    shows(
        explanation,
        {
            "Direction": "ingress",
            "ExplanationCode": "ENI_SG_RULES_MISMATCH",
            "SecurityGroups": [{"Id": the().group}],
            "Subnet": {"Id": the().public},
            "Vpc": {"Id": the().vpc},
        },
    )
    found = analyzed(path(the().gateway, the().quiet)["NetworkInsightsPathId"])
    same(found["Explanations"][0]["ExplanationCode"], "IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS")


@case("reachability: a path stays while it has analyses, which go one by one (RA-2)")
def life():
    one = path(the().web, the().quiet, DestinationPort=80)["NetworkInsightsPathId"]
    analysis = analyzed(one)["NetworkInsightsAnalysisId"]
    refused(
        lambda: ec2().delete_network_insights_path(NetworkInsightsPathId=one),
        "AnalysisExistsForNetworkInsightsPath",
    )
    ec2().delete_network_insights_analysis(NetworkInsightsAnalysisId=analysis)
    gone = ec2().delete_network_insights_path(NetworkInsightsPathId=one)
    same(gone["NetworkInsightsPathId"], one)
    refused(
        lambda: ec2().describe_network_insights_paths(NetworkInsightsPathIds=[one]),
        "InvalidNetworkInsightsPathId.NotFound",
    )


@case("reachability: ends that cannot be ends (RA-3)")
def mistakes():
    for source, code in (
        ("nonesuch", "InvalidParameterValue"),
        ("nat-0123456789abcdef0", "InvalidParameterValue"),
        ("igw-0ffffffffffffffff", "InvalidInternetGatewayID.NotFound"),
        ("arn:aws:ec2:us-east-1:640000000007:instance/i-0123456789abcdef0", "InvalidParameterValue"),
    ):
        refused(lambda source=source: path(source, the().web), code)
    refused(lambda: path(the().web, the().web), "InvalidParameterValue")


def scope(**paths):
    made = ec2().create_network_insights_access_scope(**paths)
    return made["NetworkInsightsAccessScope"]["NetworkInsightsAccessScopeId"]


def findings(scope_id):
    started = ec2().start_network_insights_access_scope_analysis(
        NetworkInsightsAccessScopeId=scope_id
    )["NetworkInsightsAccessScopeAnalysis"]
    same(started["Status"], "running")
    identity = started["NetworkInsightsAccessScopeAnalysisId"]
    [analysis] = ec2().describe_network_insights_access_scope_analyses(
        NetworkInsightsAccessScopeAnalysisIds=[identity]
    )["NetworkInsightsAccessScopeAnalyses"]
    found = ec2().get_network_insights_access_scope_analysis_findings(
        NetworkInsightsAccessScopeAnalysisId=identity
    )
    same(found["AnalysisStatus"], "succeeded")
    return analysis["FindingsFound"], found["AnalysisFindings"]


@case("network access: nothing from a gateway reaches the private subnet (NAA-1)")
def access():
    gateways = {"ResourceStatement": {"ResourceTypes": ["AWS::EC2::InternetGateway"]}}

    def into(subnet):
        destination = {"ResourceStatement": {"Resources": [subnet]}}
        return scope(MatchPaths=[{"Source": gateways, "Destination": destination}])

    same(findings(into(the().private)), ("false", []))
    verdict, [finding] = findings(into(the().public))
    same(verdict, "true")
    ids = [it["Component"]["Id"] for it in finding["FindingComponents"]]
    same((ids[0], ids[-1]), (the().gateway, the().web))


@case("network access: the content of a scope, and what is no scope (NAA-1)")
def content():
    statement = {
        "Source": {
            "PacketHeaderStatement": {"Protocols": ["tcp"], "DestinationPorts": ["22", "80-90"]},
            "ResourceStatement": {"Resources": [the().vpc]},
        }
    }
    one = scope(MatchPaths=[statement])
    shown = ec2().get_network_insights_access_scope_content(NetworkInsightsAccessScopeId=one)
    shows(shown["NetworkInsightsAccessScopeContent"]["MatchPaths"], [statement])
    refused(
        lambda: scope(
            MatchPaths=[{"Source": {"ResourceStatement": {"ResourceTypes": ["AWS::EC2::None"]}}}]
        ),
        "InvalidParameterValue",
    )
    ec2().delete_network_insights_access_scope(NetworkInsightsAccessScopeId=one)
    refused(
        lambda: ec2().get_network_insights_access_scope_content(NetworkInsightsAccessScopeId=one),
        "InvalidNetworkInsightsAccessScopeId.NotFound",
    )
