//! NAT gateways: their states, interfaces and addresses, and what is refused (NAT-*, ENI-7, EIP-8).

mod common;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use common::{Cloud, Reply, Wishes, refused};
use gureum_store::Store;
use gureum_types::record::{NatGateway, NetworkInterface};

const HOUR: Duration = Duration::from_secs(3600);

/// A VPC with an internet gateway and a subnet in zone a.
async fn network(cloud: &Cloud) -> (String, String, String) {
    let (vpc, subnet) = cloud.network().await;
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    (vpc, subnet, gateway)
}

async fn address(cloud: &Cloud) -> (String, String) {
    let reply = cloud.ec2("AllocateAddress", &[]).await.ok();
    (reply.text("allocationId"), reply.text("publicIp"))
}

async fn until(cloud: &Cloud, id: &str, state: &str) -> Reply {
    let wanted = format!("<state>{state}</state>");
    let named = [("NatGatewayId.1", id)];
    cloud.until("DescribeNatGateways", &named, |it| it.body.contains(&wanted)).await
}

async fn public(cloud: &Cloud, subnet: &str, allocation: &str) -> String {
    let parameters = [("SubnetId", subnet), ("AllocationId", allocation)];
    cloud.make("CreateNatGateway", &parameters, "natGatewayId").await
}

async fn private(cloud: &Cloud, subnet: &str, more: &[(&str, &str)]) -> String {
    let mut parameters = vec![("SubnetId", subnet), ("ConnectivityType", "private")];
    parameters.extend(more);
    cloud.make("CreateNatGateway", &parameters, "natGatewayId").await
}

async fn free(cloud: &Cloud, subnet: &str) -> String {
    let named = [("SubnetId.1", subnet)];
    cloud.make("DescribeSubnets", &named, "availableIpAddressCount").await
}

/// NAT-1, NAT-3, NAT-8, NAT-14, NAT-19, ENI-7, EIP-8, IGW-11, SUB-8.
#[tokio::test]
async fn a_public_gateway_lives_and_dies() {
    let cloud = Cloud::new();
    let (vpc, subnet, gateway) = network(&cloud).await;
    let (allocation, public_ip) = address(&cloud).await;
    let parameters = [
        ("SubnetId", subnet.as_str()),
        ("AllocationId", allocation.as_str()),
        ("ClientToken", "once"),
        ("TagSpecification.1.ResourceType", "natgateway"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "NAT-GW"),
    ];
    let created = cloud.ec2("CreateNatGateway", &parameters).await.ok();
    assert_eq!(created.text("state"), "pending", "NAT-3");
    assert_eq!(created.text("clientToken"), "once");
    let id = created.text("natGatewayId");
    let again = cloud.ec2("CreateNatGateway", &parameters).await.ok();
    assert_eq!(again.text("natGatewayId"), id, "API-4");

    let up = until(&cloud, &id, "available").await;
    assert_eq!(up.text("connectivityType"), "public", "NAT-1");
    assert_eq!((up.text("publicIp"), up.text("allocationId")), (public_ip, allocation.clone()));
    assert_eq!((up.text("vpcId"), up.text("subnetId")), (vpc.clone(), subnet.clone()));
    assert_eq!((up.text("isPrimary"), up.text("status")), ("true".into(), "succeeded".into()));
    assert_eq!(up.get("deleteTime"), None);
    assert_eq!(up.get("failureCode"), None);
    assert!(up.body.contains("<key>Name</key><value>NAT-GW</value>"), "{}", up.body);

    let eni = up.text("networkInterfaceId");
    let shown =
        cloud.ec2("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", &eni)]).await.ok();
    assert_eq!(shown.text("interfaceType"), "natGateway", "NAT-1");
    assert_eq!(shown.text("description"), format!("Interface for NAT Gateway {id}"), "NAT-1");
    assert_eq!(shown.text("requesterManaged"), "true", "ENI-7");
    assert!(shown.body.contains("<groupSet/>"), "NAT-14: {}", shown.body);
    assert_eq!(shown.text("privateIpAddress"), up.text("privateIp"), "NAT-8");
    assert_eq!(shown.all("status"), ["attached", "in-use"], "ENI-7: {}", shown.body);
    assert_eq!(free(&cloud, &subnet).await, "250", "SUB-2");
    let filter = [("Filter.1.Name", "interface-type"), ("Filter.1.Value.1", "natGateway")];
    assert_eq!(cloud.make("DescribeNetworkInterfaces", &filter, "networkInterfaceId").await, eni);
    let named = [("AllocationId.1", allocation.as_str())];
    let held = cloud.ec2("DescribeAddresses", &named).await.ok();
    assert_eq!(held.text("networkInterfaceId"), eni);
    let association = held.text("associationId");
    assert_eq!(association, up.text("associationId"));

    let policy = cloud.linux.policy().expect("a policy");
    let port = cloud
        .control
        .snapshot()
        .everywhere::<NetworkInterface>()
        .find(|(_, it)| it.id.as_str() == eni)
        .map(|(_, it)| it.port)
        .expect("a port");
    assert!(port >= gureum_types::PortIndex::FIRST_INTERFACE);
    assert!(format!("{policy:?}").contains(&eni), "the engine has its interface");
    // Nobody was asked to make a link for it.
    assert_eq!(cloud.linux.asked(), []);

    let other =
        cloud.make("CreateNetworkInterface", &[("SubnetId", &subnet)], "networkInterfaceId").await;
    refused(
        &cloud,
        &[
            (
                "DeleteNetworkInterface",
                &[("NetworkInterfaceId", &eni)],
                "OperationNotPermitted",
                &eni,
            ),
            (
                "ModifyNetworkInterfaceAttribute",
                &[("NetworkInterfaceId", &eni), ("SourceDestCheck.Value", "true")],
                "OperationNotPermitted",
                &eni,
            ),
            (
                "DisassociateAddress",
                &[("AssociationId", &association)],
                "OperationNotPermitted",
                &eni,
            ),
            (
                "AssociateAddress",
                &[("AllocationId", &allocation), ("NetworkInterfaceId", &other)],
                "OperationNotPermitted",
                &eni,
            ),
            (
                "ReleaseAddress",
                &[("AllocationId", &allocation)],
                "InvalidIPAddress.InUse",
                "is in use.",
            ),
            (
                "DetachInternetGateway",
                &[("InternetGatewayId", &gateway), ("VpcId", &vpc)],
                "DependencyViolation",
                &format!("Network {vpc} has some mapped public address(es)."),
            ),
            ("DeleteSubnet", &[("SubnetId", &subnet)], "DependencyViolation", "has dependencies"),
        ],
    )
    .await;
    // Its tags are the user's own (ENI-7).
    let tag = [("ResourceId.1", eni.as_str()), ("Tag.1.Key", "a"), ("Tag.1.Value", "b")];
    cloud.ec2("CreateTags", &tag).await.ok();

    let gone = cloud.ec2("DeleteNatGateway", &[("NatGatewayId", &id)]).await.ok();
    assert_eq!(gone.text("natGatewayId"), id);
    let down = until(&cloud, &id, "deleted").await;
    assert!(down.get("deleteTime").is_some(), "{}", down.body);
    assert_eq!(down.text("allocationId"), allocation, "still shown");
    let shown = cloud.ec2("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", &eni)]).await;
    assert_eq!(shown.code(), "InvalidNetworkInterfaceID.NotFound");
    let held = cloud.ec2("DescribeAddresses", &named).await.ok();
    assert_eq!(held.get("associationId"), None, "NAT-19: disassociated, not released");
    cloud.ec2("DeleteNatGateway", &[("NatGatewayId", &id)]).await.ok();
    cloud.ec2("ReleaseAddress", &[("AllocationId", &allocation)]).await.ok();
    // Shown for an hour (NAT-3), then unknown (NAT-25).
    cloud.advance(HOUR);
    let describe = [("NatGatewayId.1", id.as_str())];
    let unknown = cloud.until("DescribeNatGateways", &describe, |it| it.status != 200).await;
    let message = format!("NatGateway {id} was not found");
    assert_eq!(unknown.refusal(), ("NatGatewayNotFound".into(), message), "NAT-25");
    // The same token now speaks of nothing.
    assert_eq!(
        cloud.ec2("CreateNatGateway", &parameters).await.code(),
        "IdempotentParameterMismatch"
    );
}

/// NAT-4: the call succeeds, the gateway fails and holds nothing.
#[tokio::test]
async fn what_cannot_be_made_fails_later() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let small = cloud.subnet(&vpc, "10.1.2.0/28", "ap-northeast-2a").await;
    let (allocation, _) = address(&cloud).await;
    let failed = async |subnet: &str, allocation: &str| {
        let id = public(&cloud, subnet, allocation).await;
        let reply = until(&cloud, &id, "failed").await;
        assert_eq!(reply.all("networkInterfaceId"), Vec::<String>::new());
        assert_eq!(reply.text("status"), "failed");
        (reply.text("failureCode"), reply.text("failureMessage"))
    };
    let no_gateway = format!("Network {vpc} has no Internet gateway attached");
    assert_eq!(failed(&subnet, &allocation).await, ("Gateway.NotAttached".into(), no_gateway));
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();

    let nobody = "eipalloc-0123456789abcdef0";
    let message =
        format!("Elastic IP address {nobody} could not be associated with this NAT gateway");
    let expected = ("InvalidAllocationID.NotFound".to_owned(), message);
    assert_eq!(failed(&subnet, nobody).await, expected);

    let first = public(&cloud, &subnet, &allocation).await;
    until(&cloud, &first, "available").await;
    let message = format!("Elastic IP address {allocation} is already associated");
    let expected = ("Resource.AlreadyAssociated".to_owned(), message);
    assert_eq!(failed(&subnet, &allocation).await, expected);

    let fill = [("SubnetId", small.as_str()), ("SecondaryPrivateIpAddressCount", "10")];
    cloud.ec2("CreateNetworkInterface", &fill).await.ok();
    let (second, _) = address(&cloud).await;
    let message = "Subnet has insufficient free addresses to create this NAT gateway";
    let expected = ("InsufficientFreeAddressesInSubnet".to_owned(), message.to_owned());
    assert_eq!(failed(&small, &second).await, expected);
    let named = [("AllocationId.1", second.as_str())];
    let held = cloud.ec2("DescribeAddresses", &named).await.ok();
    assert_eq!(held.get("associationId"), None, "it holds nothing");

    // Each says so in a filter, and for an hour only (NAT-3).
    let filter = [("Filter.1.Name", "state"), ("Filter.1.Value.1", "failed")];
    let all = cloud.ec2("DescribeNatGateways", &filter).await.ok();
    assert_eq!(all.all("natGatewayId").len(), 4);
    cloud.advance(HOUR);
    let none = |it: &Reply| it.all("natGatewayId").is_empty();
    cloud.until("DescribeNatGateways", &filter, none).await;
    let rest = cloud.ec2("DescribeNatGateways", &[]).await.ok();
    assert_eq!(rest.all("natGatewayId"), [first], "what works stays");
}

#[tokio::test]
async fn bad_requests_make_no_gateway() {
    let cloud = Cloud::new();
    let (vpc, subnet, _) = network(&cloud).await;
    let (allocation, _) = address(&cloud).await;
    let (second, _) = address(&cloud).await;
    let up = public(&cloud, &subnet, &allocation).await;
    until(&cloud, &up, "available").await;
    let inner = private(&cloud, &subnet, &[("PrivateIpAddress", "10.1.1.77")]).await;
    until(&cloud, &inner, "available").await;
    let taken = cloud.ec2("DescribeNatGateways", &[("NatGatewayId.1", &up)]).await.ok();
    let primary = taken.text("associationId");
    let private = ("ConnectivityType", "private");
    let within = ("SubnetId", subnet.as_str());
    let with = ("AllocationId", second.as_str());
    refused(
        &cloud,
        &[
            ("CreateNatGateway", &[within], "MissingParameter", "AllocationId"),
            ("CreateNatGateway", &[with], "MissingParameter", "SubnetId"),
            (
                "CreateNatGateway",
                &[with, ("SubnetId", "subnet-0123456789abcdef0")],
                "InvalidSubnetID.NotFound",
                "does not exist",
            ),
            (
                "CreateNatGateway",
                &[within, ("AllocationId", "x")],
                "InvalidAllocationID.Malformed",
                "x",
            ),
            (
                "CreateNatGateway",
                &[within, with, private],
                "InvalidParameterCombination",
                "private",
            ),
            (
                "CreateNatGateway",
                &[within, with, ("ConnectivityType", "open")],
                "InvalidParameterValue",
                "open",
            ),
            (
                "CreateNatGateway",
                &[within, with, ("AvailabilityMode", "regional")],
                "UnsupportedOperation",
                "regional",
            ),
            (
                "CreateNatGateway",
                &[with, ("VpcId", &vpc), ("AvailabilityMode", "regional")],
                "UnsupportedOperation",
                "regional",
            ),
            (
                "CreateNatGateway",
                &[within, with, ("VpcId", &vpc)],
                "InvalidParameterCombination",
                "regional",
            ),
            (
                "CreateNatGateway",
                &[within, private, ("PrivateIpAddress", "10.1.1.77")],
                "InvalidIPAddress.InUse",
                "Address 10.1.1.77 is in use.",
            ),
            (
                "CreateNatGateway",
                &[within, private, ("PrivateIpAddress", "10.1.1.3")],
                "InvalidParameterValue",
                "reserved",
            ),
            (
                "CreateNatGateway",
                &[within, private, ("PrivateIpAddress", "10.2.1.9")],
                "InvalidParameterValue",
                "subnet's address range",
            ),
            (
                "CreateNatGateway",
                &[within, private, ("SecondaryPrivateIpAddressCount", "8")],
                "PrivateIpAddressLimitExceeded",
                "(8)",
            ),
            (
                "CreateNatGateway",
                &[
                    within,
                    private,
                    ("SecondaryPrivateIpAddressCount", "2"),
                    ("SecondaryPrivateIpAddress.1", "10.1.1.9"),
                ],
                "InvalidParameterCombination",
                "together",
            ),
            (
                "CreateNatGateway",
                &[within, with, ("SecondaryPrivateIpAddressCount", "2")],
                "InvalidParameterCombination",
                "public",
            ),
            (
                "CreateNatGateway",
                &[within, with, ("SecondaryPrivateIpAddress.1", "10.1.1.9")],
                "InvalidParameterCombination",
                "as many",
            ),
            (
                "CreateNatGateway",
                &[within, with, ("SecondaryAllocationId.1", &second)],
                "InvalidParameterValue",
                "twice",
            ),
            (
                "DeleteNatGateway",
                &[("NatGatewayId", "nat-0123456789abcdef0")],
                "NatGatewayNotFound",
                "NatGateway nat-0123456789abcdef0 was not found",
            ),
            ("DeleteNatGateway", &[("NatGatewayId", "igw-1")], "NatGatewayMalformed", "igw-1"),
            (
                "DescribeNatGateways",
                &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "blue")],
                "InvalidParameterValue",
                "The filter 'colour' is invalid",
            ),
            (
                "AssociateNatGatewayAddress",
                &[("NatGatewayId", &up), ("AllocationId.1", &allocation)],
                "Resource.AlreadyAssociated",
                &allocation,
            ),
            (
                "AssociateNatGatewayAddress",
                &[("NatGatewayId", &up), ("AllocationId.1", "eipalloc-0123456789abcdef0")],
                "InvalidAllocationID.NotFound",
                "does not exist",
            ),
            (
                "AssociateNatGatewayAddress",
                &[("NatGatewayId", &inner), ("AllocationId.1", &second)],
                "InvalidParameterValue",
                "is private",
            ),
            (
                "DisassociateNatGatewayAddress",
                &[("NatGatewayId", &up), ("AssociationId.1", &primary)],
                "InvalidParameterValue",
                "primary address",
            ),
            (
                "DisassociateNatGatewayAddress",
                &[("NatGatewayId", &up), ("AssociationId.1", "eipassoc-0123456789abcdef0")],
                "InvalidAssociationID.NotFound",
                "does not exist",
            ),
            (
                "AssignPrivateNatGatewayAddress",
                &[("NatGatewayId", &up), ("PrivateIpAddressCount", "1")],
                "InvalidParameterValue",
                "is public",
            ),
            (
                "AssignPrivateNatGatewayAddress",
                &[("NatGatewayId", &inner)],
                "MissingParameter",
                "PrivateIpAddressCount",
            ),
            (
                "AssignPrivateNatGatewayAddress",
                &[("NatGatewayId", &inner), ("PrivateIpAddressCount", "8")],
                "PrivateIpAddressLimitExceeded",
                "(8)",
            ),
            (
                "UnassignPrivateNatGatewayAddress",
                &[("NatGatewayId", &inner), ("PrivateIpAddress.1", "10.1.1.77")],
                "InvalidParameterValue",
                "primary address",
            ),
            (
                "UnassignPrivateNatGatewayAddress",
                &[("NatGatewayId", &inner), ("PrivateIpAddress.1", "10.1.1.78")],
                "InvalidParameterValue",
                "no such address",
            ),
        ],
    )
    .await;
    let rehearsal = [within, with, ("DryRun", "true")];
    assert_eq!(cloud.ec2("CreateNatGateway", &rehearsal).await.status, 412, "API-3");
    cloud.ec2("DeleteNatGateway", &[("NatGatewayId", &up)]).await.ok();
    until(&cloud, &up, "deleted").await;
    let late = [("NatGatewayId", up.as_str()), ("AllocationId.1", second.as_str())];
    refused(&cloud, &[("AssociateNatGatewayAddress", &late, "IncorrectState", "deleted")]).await;
}

/// NAT-9, NAT-20: secondary addresses come and go, the primary one stays.
#[tokio::test]
async fn secondary_addresses_come_and_go() {
    let cloud = Cloud::new();
    let (_, subnet, _) = network(&cloud).await;
    let (first, _) = address(&cloud).await;
    let (second, _) = address(&cloud).await;
    let (third, third_ip) = address(&cloud).await;
    let parameters = [
        ("SubnetId", subnet.as_str()),
        ("AllocationId", first.as_str()),
        ("PrivateIpAddress", "10.1.1.10"),
        ("SecondaryAllocationId.1", second.as_str()),
        ("SecondaryPrivateIpAddress.1", "10.1.1.11"),
    ];
    let id = cloud.make("CreateNatGateway", &parameters, "natGatewayId").await;
    let up = until(&cloud, &id, "available").await;
    assert_eq!(up.all("privateIp"), ["10.1.1.10", "10.1.1.11"]);
    assert_eq!(up.all("allocationId"), [first.clone(), second.clone()]);
    assert_eq!(up.all("isPrimary"), ["true", "false"]);
    let eni = up.text("networkInterfaceId");

    let more = [("NatGatewayId", id.as_str()), ("AllocationId.1", third.as_str())];
    let added = cloud.ec2("AssociateNatGatewayAddress", &more).await.ok();
    assert_eq!(added.text("status"), "associating");
    assert_eq!(added.text("publicIp"), third_ip);
    let association = added.text("associationId");
    let shown = until(&cloud, &id, "available").await;
    assert_eq!(shown.all("status"), ["succeeded"; 3]);
    let described = [("NetworkInterfaceId.1", eni.as_str())];
    let interface = cloud.ec2("DescribeNetworkInterfaces", &described).await.ok();
    let on_it: BTreeSet<_> = interface.all("privateIpAddress").into_iter().collect();
    let of_gateway: BTreeSet<_> = shown.all("privateIp").into_iter().collect();
    assert_eq!(on_it, of_gateway, "gateway and interface agree");
    assert_eq!(free(&cloud, &subnet).await, "248");

    let less = [
        ("NatGatewayId", id.as_str()),
        ("AssociationId.1", association.as_str()),
        ("MaxDrainDurationSeconds", "60"),
    ];
    let gone = cloud.ec2("DisassociateNatGatewayAddress", &less).await.ok();
    assert_eq!(gone.text("status"), "disassociating");
    assert_eq!(free(&cloud, &subnet).await, "249");
    let named = [("AllocationId.1", third.as_str())];
    assert_eq!(cloud.ec2("DescribeAddresses", &named).await.ok().get("associationId"), None);

    let count = [("SecondaryPrivateIpAddressCount", "2")];
    let inner = private(&cloud, &subnet, &count).await;
    let up = until(&cloud, &inner, "available").await;
    assert_eq!((up.all("privateIp").len(), up.get("publicIp")), (3, None), "NAT-1");
    let named = [("NatGatewayId", inner.as_str()), ("PrivateIpAddress.1", "10.1.1.200")];
    let added = cloud.ec2("AssignPrivateNatGatewayAddress", &named).await.ok();
    assert_eq!(
        (added.text("privateIp"), added.text("status")),
        ("10.1.1.200".into(), "assigning".into())
    );
    let counted = [("NatGatewayId", inner.as_str()), ("PrivateIpAddressCount", "4")];
    cloud.ec2("AssignPrivateNatGatewayAddress", &counted).await.ok();
    assert_eq!(until(&cloud, &inner, "available").await.all("privateIp").len(), 8, "NAT-9");
    let gone = cloud.ec2("UnassignPrivateNatGatewayAddress", &named).await.ok();
    assert_eq!(gone.text("status"), "unassigning");
    let left = until(&cloud, &inner, "available").await.all("privateIp");
    assert_eq!(left.len(), 7);
    assert!(!left.contains(&"10.1.1.200".to_owned()));
}

/// A private gateway needs no internet gateway (NAT-1).
#[tokio::test]
async fn gateways_are_found_by_filters_and_in_pages() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let other = cloud.subnet(&vpc, "10.1.9.0/24", "ap-northeast-2c").await;
    let mut made = Vec::new();
    for place in [&subnet, &subnet, &subnet, &subnet, &subnet, &subnet, &other] {
        let id = private(&cloud, place, &[]).await;
        until(&cloud, &id, "available").await;
        made.push(id);
    }
    let tag = [("ResourceId.1", made[2].as_str()), ("Tag.1.Key", "Name"), ("Tag.1.Value", "x")];
    cloud.ec2("CreateTags", &tag).await.ok();
    let found = async |name: &str, value: &str| {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        cloud.ec2("DescribeNatGateways", &filter).await.ok().all("natGatewayId")
    };
    assert_eq!(found("subnet-id", &other).await, [made[6].clone()]);
    assert_eq!(found("vpc-id", &vpc).await.len(), 7);
    assert_eq!(found("state", "pending").await, Vec::<String>::new());
    assert_eq!(found("tag:Name", "x").await, [made[2].clone()]);
    assert_eq!(found("nat-gateway-id", &made[1]).await, [made[1].clone()]);
    let described = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", made[2].as_str())];
    let tags = cloud.ec2("DescribeTags", &described).await.ok();
    assert_eq!(tags.text("resourceType"), "natgateway");
    let first = cloud.ec2("DescribeNatGateways", &[("MaxResults", "5")]).await.ok();
    let token = first.text("nextToken");
    let rest = [("MaxResults", "5"), ("NextToken", token.as_str())];
    let second = cloud.ec2("DescribeNatGateways", &rest).await.ok();
    let mut seen = first.all("natGatewayId");
    seen.extend(second.all("natGatewayId"));
    made.sort();
    assert_eq!(seen, made, "API-7");
}

/// NAT-6, NAT-9: quotas hold only where they are asked for.
#[tokio::test]
async fn a_zone_has_five_gateways_with_quotas() {
    let cloud = Cloud::with(Wishes { quotas: true, ..Wishes::default() });
    let (vpc, subnet, _) = network(&cloud).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(private(&cloud, &subnet, &[]).await);
    }
    let sixth = [("SubnetId", subnet.as_str()), ("ConnectivityType", "private")];
    let message = "Performing this operation would exceed the limit of 5 NAT gateways";
    refused(&cloud, &[("CreateNatGateway", &sixth, "NatGatewayLimitExceeded", message)]).await;
    let elsewhere = cloud.subnet(&vpc, "10.1.3.0/24", "ap-northeast-2c").await;
    private(&cloud, &elsewhere, &[]).await;
    cloud.ec2("DeleteNatGateway", &[("NatGatewayId", &ids[0])]).await.ok();
    until(&cloud, &ids[0], "deleted").await;
    let id = private(&cloud, &subnet, &[]).await;
    until(&cloud, &id, "available").await;

    let free = Cloud::new();
    let (_, subnet) = free.network().await;
    for _ in 0..6 {
        private(&free, &subnet, &[]).await;
    }
}

/// What waits for its next state waits for it also over the end of a daemon.
#[tokio::test]
async fn a_passing_state_is_left_after_a_restart() {
    let store = Arc::new(Store::in_memory());
    let before = Cloud::with(Wishes { store: store.clone(), running: false, ..Wishes::default() });
    let (_, subnet) = before.network().await;
    let (stays, goes) =
        (private(&before, &subnet, &[]).await, private(&before, &subnet, &[]).await);
    before.ec2("DeleteNatGateway", &[("NatGatewayId", &goes)]).await.ok();
    let shown = before.ec2("DescribeNatGateways", &[]).await.ok();
    assert!(shown.body.contains("<state>pending</state>"), "NAT-3: {}", shown.body);
    assert!(shown.body.contains("<state>deleting</state>"), "NAT-3: {}", shown.body);
    drop(before);
    let after = Cloud::with(Wishes { store, ..Wishes::default() });
    until(&after, &stays, "available").await;
    until(&after, &goes, "deleted").await;
    let records = after.control.snapshot();
    assert_eq!(records.everywhere::<NatGateway>().count(), 2);
    assert_eq!(records.everywhere::<NetworkInterface>().count(), 1);
}
