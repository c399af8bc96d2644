"""Two subnets, three instances: web servers that anybody reaches, a database that they reach."""

import json

import boto3

ec2 = boto3.client("ec2")


def tags(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


def permission(protocol, port, **peer):
    return {"IpProtocol": protocol, "FromPort": port, "ToPort": port, **peer}


vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tags("vpc", "check"))["Vpc"]["VpcId"]
gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)


def subnet(name, block):
    made = ec2.create_subnet(VpcId=vpc, CidrBlock=block, TagSpecifications=tags("subnet", name))
    return made["Subnet"]["SubnetId"]


public, private = subnet("web-subnet", "10.0.0.0/24"), subnet("db-subnet", "10.0.1.0/24")
subnet("empty-subnet", "10.0.2.0/24")
table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tags("route-table", "public-table"))
table = table["RouteTable"]["RouteTableId"]
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
ec2.associate_route_table(RouteTableId=table, SubnetId=public)


def group(name):
    return ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]


web, db = group("WEB-SG"), group("DB-SG")
anywhere = [{"CidrIp": "0.0.0.0/0"}]
rules = ec2.authorize_security_group_ingress(
    GroupId=web,
    IpPermissions=[
        permission("tcp", 80, IpRanges=anywhere),
        permission("tcp", 22, IpRanges=[{"CidrIp": "203.0.113.0/24"}]),
    ],
)["SecurityGroupRules"]
from_web = [{"GroupId": web}]
ec2.authorize_security_group_ingress(
    GroupId=db,
    IpPermissions=[
        permission("tcp", 5432, UserIdGroupPairs=from_web),
        permission("icmp", -1, UserIdGroupPairs=from_web),
    ],
)
[image] = ec2.describe_images(
    Owners=["amazon"], Filters=[{"Name": "name", "Values": ["amzn2-ami-hvm-*"]}]
)["Images"][:1]


def instance(name, where, groups, has_public):
    launched = ec2.run_instances(
        ImageId=image["ImageId"],
        InstanceType="t2.micro",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": where,
                "Groups": groups,
                "AssociatePublicIpAddress": has_public,
            }
        ],
        TagSpecifications=tags("instance", name),
    )["Instances"][0]
    return launched["InstanceId"]


ids = {
    "WEB-01": instance("WEB-01", public, [web], True),
    "WEB-02": instance("WEB-02", public, [web], True),
    "DB-01": instance("DB-01", private, [db], False),
    "TWIN-a": instance("TWIN", private, [db], False),
    "TWIN-b": instance("TWIN", private, [db], False),
}
waiter = ec2.get_waiter("instance_running")
waiter.wait(InstanceIds=list(ids.values()), WaiterConfig={"Delay": 1, "MaxAttempts": 60})
print(
    json.dumps(
        {
            **ids,
            "vpc": vpc,
            "web": web,
            "db": db,
            "table": table,
            "gateway": gateway,
            "db_subnet": private,
            "http_rule": next(it for it in rules if it["FromPort"] == 80)["SecurityGroupRuleId"],
        }
    )
)
