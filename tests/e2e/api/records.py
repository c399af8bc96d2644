"""What is kept as records, or for a minute: VPNs, transit gateways, endpoint services, the policy
simulator, live tails, keys of EC2 Instance Connect."""

import json
import threading
import time

import boto3
from botocore.config import Config
from harness import ENDPOINT, REGION, SECRET, case, client, ident, named, refused, same, shows

ACCOUNT = "660000000001"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIONBRF22J61+yC24G1LM2YPEbn3GiNoiU5jIKcWNqFee"


def ec2():
    return client("ec2", ACCOUNT)


@case("vpn: a connection waits for its state and shows its tunnels")
def vpn():
    customer = ec2().create_customer_gateway(Type="ipsec.1", IpAddress="203.0.113.9", BgpAsn=65010)
    gateway = ec2().create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
    made = ec2().create_vpn_connection(
        Type="ipsec.1",
        CustomerGatewayId=customer["CustomerGateway"]["CustomerGatewayId"],
        VpnGatewayId=gateway,
        Options={"StaticRoutesOnly": True, "TunnelOptions": [{"StartupAction": "start"}]},
        TagSpecifications=named("vpn-connection", "office"),
    )["VpnConnection"]
    shows(made, {"State": "pending", "VpnConnectionId": ident("vpn"), "Category": "VPN"})
    ids = [made["VpnConnectionId"]]
    ec2().get_waiter("vpn_connection_available").wait(VpnConnectionIds=ids)
    ec2().create_vpn_connection_route(VpnConnectionId=ids[0], DestinationCidrBlock="192.168.0.0/16")
    shown = ec2().describe_vpn_connections(VpnConnectionIds=ids)["VpnConnections"][0]
    shows(
        shown,
        {
            "Options": {"StaticRoutesOnly": True, "TunnelInsideIpVersion": "ipv4"},
            "Routes": [{"DestinationCidrBlock": "192.168.0.0/16", "State": "available"}],
            "VgwTelemetry": [{"Status": "DOWN"}, {"Status": "DOWN"}],
            "Tags": [{"Key": "Name", "Value": "office"}],
        },
    )
    tunnels = shown["Options"]["TunnelOptions"]
    same([it.get("StartupAction") for it in tunnels], ["start", None])
    for tunnel in tunnels:
        same(tunnel["PreSharedKey"] in shown["CustomerGatewayConfiguration"], True)
    refused(
        lambda: ec2().modify_vpn_tunnel_options(
            VpnConnectionId=ids[0],
            VpnTunnelOutsideIpAddress=tunnels[0]["OutsideIpAddress"],
            TunnelOptions={"DPDTimeoutSeconds": 5},
        ),
        "InvalidParameterValue",
    )
    ec2().delete_vpn_connection(VpnConnectionId=ids[0])
    ec2().get_waiter("vpn_connection_deleted").wait(VpnConnectionIds=ids)


@case("transit gateway: a table of its own with routes that are found")
def transit():
    vpc = ec2().create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2().create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    gateway = ec2().create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    attachment = ec2().create_transit_gateway_vpc_attachment(
        TransitGatewayId=gateway, VpcId=vpc, SubnetIds=[subnet]
    )["TransitGatewayVpcAttachment"]["TransitGatewayAttachmentId"]
    table = ec2().create_transit_gateway_route_table(TransitGatewayId=gateway)
    table = table["TransitGatewayRouteTable"]["TransitGatewayRouteTableId"]
    both = {"TransitGatewayRouteTableId": table, "TransitGatewayAttachmentId": attachment}
    refused(
        lambda: ec2().associate_transit_gateway_route_table(**both), "Resource.AlreadyAssociated"
    )
    ec2().enable_transit_gateway_route_table_propagation(**both)
    ec2().create_transit_gateway_route(DestinationCidrBlock="0.0.0.0/0", **both)
    ec2().create_transit_gateway_route(
        TransitGatewayRouteTableId=table, DestinationCidrBlock="10.9.0.0/16", Blackhole=True
    )
    found = ec2().search_transit_gateway_routes(
        TransitGatewayRouteTableId=table,
        Filters=[{"Name": "type", "Values": ["static", "propagated"]}],
    )
    same(
        [(it["DestinationCidrBlock"], it["Type"], it["State"]) for it in found["Routes"]],
        [
            ("0.0.0.0/0", "static", "active"),
            ("10.1.0.0/16", "propagated", "active"),
            ("10.9.0.0/16", "static", "blackhole"),
        ],
    )
    same(found["AdditionalRoutesAvailable"], False)


@case("endpoint service: another account connects when it may, and its owner accepts")
def service():
    arn = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/net/front/0123456789abcdef"
    made = ec2().create_vpc_endpoint_service_configuration(NetworkLoadBalancerArns=[arn])
    made = made["ServiceConfiguration"]
    shows(made, {"ServiceState": "Available", "AcceptanceRequired": True})
    other = client("ec2", "660000000002")
    vpc = other.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = other.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]

    def connect():
        return other.create_vpc_endpoint(
            VpcEndpointType="Interface",
            VpcId=vpc,
            ServiceName=made["ServiceName"],
            SubnetIds=[subnet],
        )["VpcEndpoint"]

    refused(connect, "InvalidServiceName")
    ec2().modify_vpc_endpoint_service_permissions(
        ServiceId=made["ServiceId"], AddAllowedPrincipals=["*"]
    )
    endpoint = connect()
    same(endpoint["State"], "pendingAcceptance")
    ids = [endpoint["VpcEndpointId"]]
    answer = ec2().accept_vpc_endpoint_connections(
        ServiceId=made["ServiceId"], VpcEndpointIds=ids
    )
    same(answer["Unsuccessful"], [])
    for _ in range(100):
        state = other.describe_vpc_endpoints(VpcEndpointIds=ids)["VpcEndpoints"][0]["State"]
        if state == "available":
            return
        time.sleep(0.1)
    raise AssertionError(f"the endpoint stays {state}")


@case("simulator: a policy is tried before it is attached")
def simulator():
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}],
        }
    )
    answer = client("iam", ACCOUNT).simulate_custom_policy(
        PolicyInputList=[policy], ActionNames=["ec2:DescribeVpcs", "ec2:DeleteVpc"]
    )
    same(
        [it["EvalDecision"] for it in answer["EvaluationResults"]], ["allowed", "implicitDeny"]
    )
    refused(
        lambda: client("iam", ACCOUNT).get_context_keys_for_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/nobody"
        ),
        "NoSuchEntity",
        status=404,
    )


@case("instance connect: a key goes to a running instance alone")
def connect():
    keys = client("ec2-instance-connect", ACCOUNT)
    image = ec2().describe_images(
        Filters=[{"Name": "name", "Values": ["amzn2-ami-hvm-*-x86_64-gp2"]}]
    )["Images"][0]["ImageId"]
    made = ec2().run_instances(ImageId=image, InstanceType="t2.micro", MinCount=1, MaxCount=1)
    instance = made["Instances"][0]["InstanceId"]
    ec2().get_waiter("instance_running").wait(
        InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )

    def send(**more):
        wanted = {"InstanceId": instance, "InstanceOSUser": "ec2-user", "SSHPublicKey": KEY}
        return keys.send_ssh_public_key(**{**wanted, **more})

    shows(send(), {"Success": True, "RequestId": str})
    refused(lambda: send(InstanceId="i-0123456789abcdef0"), "EC2InstanceNotFoundException")
    refused(lambda: send(SSHPublicKey="ssh-dss " + "A" * 80), "InvalidArgsException")
    ec2().stop_instances(InstanceIds=[instance])
    refused(send, "EC2InstanceStateInvalidException")


@case("logs: a live tail tells events as they come, those that were asked for")
def live_tail():
    # Names of hosts are not to be changed where there is but one endpoint.
    logs = boto3.client(
        "logs",
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=SECRET,
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
    )
    logs.create_log_group(logGroupName="live")
    logs.create_log_stream(logGroupName="live", logStreamName="one")
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:live"
    refused(lambda: logs.start_live_tail(logGroupIdentifiers=["live"]), "InvalidParameterException")
    stream = logs.start_live_tail(
        logGroupIdentifiers=[arn], logEventFilterPattern="ERROR"
    )["responseStream"]
    events = iter(stream)
    shows(next(events), {"sessionStart": {"logGroupIdentifiers": [arn], "sessionId": str}})

    def put():
        now = int(time.time() * 1000)
        words = ["ERROR one", "fine", "ERROR two"]
        logs.put_log_events(
            logGroupName="live",
            logStreamName="one",
            logEvents=[{"timestamp": now + at, "message": it} for at, it in enumerate(words)],
        )

    threading.Thread(target=put).start()
    for _ in range(20):
        update = next(events)["sessionUpdate"]
        if update["sessionResults"]:
            break
    same([it["message"] for it in update["sessionResults"]], ["ERROR one", "ERROR two"])
    shows(update["sessionResults"][0], {"logStreamName": "one", "logGroupIdentifier": f"{ACCOUNT}:live"})
    same(update["sessionMetadata"], {"sampled": False})
    stream.close()
