"""The network of a small shop: web servers that anybody reaches, a database that only they reach."""


def named(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


def build(ec2):
    """Builds the network; the ids of what was made, by name."""
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16", TagSpecifications=named("vpc", "shop"))
    vpc = vpc["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    web_subnet = _subnet(ec2, vpc, "shop-web", "10.20.0.0/24")
    db_subnet = _subnet(ec2, vpc, "shop-db", "10.20.1.0/24")
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=web_subnet)

    web = _group(ec2, vpc, "web", port=443, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    db = _group(ec2, vpc, "db", port=5432, UserIdGroupPairs=[{"GroupId": web}])
    instances = [
        _instance(ec2, "shop-web-1", web_subnet, web, public=True),
        _instance(ec2, "shop-web-2", web_subnet, web, public=True),
        _instance(ec2, "shop-db-1", db_subnet, db, public=False),
    ]
    ec2.get_waiter("instance_running").wait(
        InstanceIds=instances, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return {"vpc": vpc, "web": web, "db": db, "instances": instances}


def _subnet(ec2, vpc, name, block):
    made = ec2.create_subnet(VpcId=vpc, CidrBlock=block, TagSpecifications=named("subnet", name))
    return made["Subnet"]["SubnetId"]


def _group(ec2, vpc, name, port, **peer):
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    return group


def _instance(ec2, name, subnet, group, public):
    images = ec2.describe_images(
        Owners=["amazon"], Filters=[{"Name": "name", "Values": ["amzn2-ami-hvm-*-x86_64-gp2"]}]
    )["Images"]
    newest = max(images, key=lambda image: image["CreationDate"])
    interface = {
        "DeviceIndex": 0,
        "SubnetId": subnet,
        "Groups": [group],
        "AssociatePublicIpAddress": public,
    }
    launched = ec2.run_instances(
        ImageId=newest["ImageId"],
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[interface],
        TagSpecifications=named("instance", name),
    )
    return launched["Instances"][0]["InstanceId"]
