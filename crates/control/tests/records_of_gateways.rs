//! Gateways of VPNs, VPC Block Public Access (IGW-15), and what an account sets for a region.

mod common;

use common::{Cloud, refused};

const TAG: [(&str, &str); 2] =
    [("TagSpecification.1.Tag.1.Key", "Name"), ("TagSpecification.1.Tag.1.Value", "x")];

#[tokio::test]
async fn a_vpn_gateway_is_attached_routed_to_and_deleted() {
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    let made =
        [("Type", "ipsec.1"), ("TagSpecification.1.ResourceType", "vpn-gateway"), TAG[0], TAG[1]];
    let first = cloud.ec2("CreateVpnGateway", &made).await.ok();
    let gateway = first.text("vpnGatewayId");
    assert_eq!(
        (first.text("amazonSideAsn"), first.text("state")),
        ("64512".into(), "available".into())
    );
    let other = cloud.make("CreateVpnGateway", &[("Type", "ipsec.1")], "vpnGatewayId").await;
    let g = ("VpnGatewayId", gateway.as_str());
    let v = ("VpcId", vpc.as_str());
    let table = cloud.make("CreateRouteTable", &[v], "routeTableId").await;
    let t = ("RouteTableId", table.as_str());
    let route = [t, ("DestinationCidrBlock", "10.9.0.0/16"), ("GatewayId", gateway.as_str())];
    let propagate = [t, ("GatewayId", gateway.as_str())];
    refused(
        &cloud,
        &[
            ("CreateVpnGateway", &[("Type", "ipsec.2")], "InvalidParameterValue", "ipsec.2"),
            (
                "CreateVpnGateway",
                &[("Type", "ipsec.1"), ("AmazonSideAsn", "7")],
                "InvalidParameterValue",
                "64512-65534",
            ),
            ("CreateRoute", &route, "InvalidParameterValue", "belong to different networks"),
            ("EnableVgwRoutePropagation", &propagate, "Gateway.NotAttached", "is not attached"),
            ("DetachVpnGateway", &[g, v], "InvalidVpnGatewayAttachment.NotFound", "does not exist"),
        ],
    )
    .await;
    assert_eq!(cloud.make("AttachVpnGateway", &[g, v], "state").await, "attaching");
    cloud.ec2("EnableVgwRoutePropagation", &propagate).await.ok();
    cloud.ec2("CreateRoute", &route).await.ok();
    let shown = cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", &table)]).await.ok();
    assert!(
        shown.body.contains(&format!("<propagatingVgwSet><item><gatewayId>{gateway}<")),
        "{}",
        shown.body
    );
    assert_eq!(shown.all("state"), ["active", "active"]);
    refused(
        &cloud,
        &[
            (
                "AttachVpnGateway",
                &[("VpnGatewayId", &other), v],
                "VpnGatewayAttachmentLimitExceeded",
                "maximum",
            ),
            ("AttachVpnGateway", &[g, v], "Resource.AlreadyAssociated", "already attached"),
            ("DeleteVpnGateway", &[g], "IncorrectState", "in use"),
            ("DeleteVpc", &[v], "DependencyViolation", "has dependencies"),
        ],
    )
    .await;
    let filter = [("Filter.1.Name", "attachment.vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
    let found = cloud.ec2("DescribeVpnGateways", &filter).await.ok();
    assert_eq!(
        (found.all("vpnGatewayId"), found.text("value")),
        (vec![gateway.clone()], "x".into())
    );
    cloud.ec2("DetachVpnGateway", &[g, v]).await.ok();
    let shown = cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", &table)]).await.ok();
    assert_eq!(shown.all("state"), ["active", "blackhole"], "RT-10");
    assert!(shown.body.contains("<propagatingVgwSet/>"), "{}", shown.body);
    cloud.ec2("DeleteVpnGateway", &[g]).await.ok();
    let shown = cloud.ec2("DescribeVpnGateways", &[("VpnGatewayId.1", &gateway)]).await.ok();
    assert_eq!(shown.text("state"), "deleted", "shown for a while");
    assert_eq!(cloud.ec2("DeleteVpnGateway", &[g]).await.code(), "InvalidVpnGatewayID.NotFound");
    cloud.advance(std::time::Duration::from_secs(4000));
    let id = [("VpnGatewayId.1", gateway.as_str())];
    cloud.until("DescribeVpnGateways", &id, |it| it.status == 400).await;
}

#[tokio::test]
async fn a_customer_gateway_is_made_once() {
    let cloud = Cloud::new();
    let made = [
        ("Type", "ipsec.1"),
        ("BgpAsn", "65010"),
        ("IpAddress", "203.0.113.9"),
        ("DeviceName", "router"),
        ("TagSpecification.1.ResourceType", "customer-gateway"),
        TAG[0],
        TAG[1],
    ];
    let first = cloud.ec2("CreateCustomerGateway", &made).await.ok();
    let id = first.text("customerGatewayId");
    assert_eq!(cloud.make("CreateCustomerGateway", &made, "customerGatewayId").await, id);
    let shown = cloud.ec2("DescribeCustomerGateways", &[("CustomerGatewayId.1", &id)]).await.ok();
    for (element, value) in [
        ("bgpAsn", "65010"),
        ("ipAddress", "203.0.113.9"),
        ("deviceName", "router"),
        ("value", "x"),
    ] {
        assert_eq!(shown.text(element), value);
    }
    let far = [("Type", "ipsec.1"), ("BgpAsnExtended", "4200000000"), ("IpAddress", "203.0.113.8")];
    let far = cloud.ec2("CreateCustomerGateway", &far).await.ok();
    assert_eq!((far.text("bgpAsnExtended"), far.get("bgpAsn")), ("4200000000".into(), None));
    refused(
        &cloud,
        &[
            (
                "CreateCustomerGateway",
                &[("Type", "ipsec.1"), ("BgpAsn", "1")],
                "MissingParameter",
                "IpAddress",
            ),
            (
                "CreateCustomerGateway",
                &[("Type", "ipsec.1"), ("IpAddress", "nowhere")],
                "InvalidParameterValue",
                "nowhere",
            ),
            (
                "CreateCustomerGateway",
                &[("Type", "ipsec.1"), ("BgpAsn", "0"), ("IpAddress", "203.0.113.7")],
                "InvalidParameterValue",
                "bgpAsn",
            ),
            (
                "DeleteCustomerGateway",
                &[("CustomerGatewayId", "cgw-0123456789abcdef0")],
                "InvalidCustomerGatewayID.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
    cloud.ec2("DeleteCustomerGateway", &[("CustomerGatewayId", &id)]).await.ok();
    let again = cloud.make("CreateCustomerGateway", &made, "customerGatewayId").await;
    assert_ne!(again, id, "what was deleted is not found again");
}

#[tokio::test]
async fn block_public_access_has_a_mode_and_exclusions_igw_15() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let describe = "DescribeVpcBlockPublicAccessOptions";
    let shown = cloud.ec2(describe, &[]).await.ok();
    assert_eq!(shown.text("internetGatewayBlockMode"), "off");
    assert_eq!(shown.text("state"), "default-state");
    let modify = "ModifyVpcBlockPublicAccessOptions";
    let mode = |mode: &'static str| [("InternetGatewayBlockMode", mode)];
    let changed = cloud.ec2(modify, &mode("block-bidirectional")).await.ok();
    assert_eq!(changed.text("state"), "update-in-progress");
    assert_eq!(cloud.ec2(describe, &[]).await.ok().text("state"), "update-complete");
    let create = "CreateVpcBlockPublicAccessExclusion";
    let allow = |mode: &'static str| ("InternetGatewayExclusionMode", mode);
    let all = [
        ("VpcId", vpc.as_str()),
        allow("allow-bidirectional"),
        ("TagSpecification.1.ResourceType", "vpc-block-public-access-exclusion"),
        TAG[0],
        TAG[1],
    ];
    let of_vpc = cloud.make(create, &all, "exclusionId").await;
    let one = [("SubnetId", subnet.as_str()), allow("allow-egress")];
    let of_subnet = cloud.make(create, &one, "exclusionId").await;
    let describe = "DescribeVpcBlockPublicAccessExclusions";
    let shown = cloud.ec2(describe, &[("ExclusionId.1", &of_vpc)]).await.ok();
    assert_eq!((shown.text("state"), shown.text("value")), ("create-complete".into(), "x".into()));
    assert!(shown.text("resourceArn").ends_with(&format!(":vpc/{vpc}")));
    refused(
        &cloud,
        &[
            (modify, &mode("block-some"), "InvalidParameterValue", "block-some"),
            (create, &[allow("allow-egress")], "MissingParameter", "VpcId"),
            (create, &all[..2], "InvalidParameterValue", &of_vpc),
            (
                create,
                &[("VpcId", &vpc), ("SubnetId", &subnet), allow("allow-egress")],
                "InvalidParameterCombination",
                "exactly one",
            ),
            (
                "DeleteVpcBlockPublicAccessExclusion",
                &[("ExclusionId", "vpcbpa-exclude-0123456789abcdef0")],
                "InvalidVpcBlockPublicAccessExclusionId.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
    let change = [("ExclusionId", of_subnet.as_str()), allow("allow-bidirectional")];
    cloud.ec2("ModifyVpcBlockPublicAccessExclusion", &change).await.ok();
    for id in [&of_vpc, &of_subnet] {
        cloud.ec2("DeleteVpcBlockPublicAccessExclusion", &[("ExclusionId", id)]).await.ok();
    }
    let state = [("ExclusionId.1", of_vpc.as_str())];
    assert_eq!(cloud.ec2(describe, &state).await.ok().text("state"), "delete-complete");
    cloud.ec2(modify, &mode("block-ingress")).await.ok();
    cloud.ec2(modify, &mode("off")).await.ok();
}

#[tokio::test]
async fn a_reserved_range_gives_no_address_unasked() {
    let cloud = Cloud::new();
    let (vpc, _) = cloud.network().await;
    // 11 free addresses: .4 to .14; .8 to .15 are kept.
    let small = cloud.subnet(&vpc, "10.1.200.0/28", "ap-northeast-2a").await;
    let s = ("SubnetId", small.as_str());
    let keep =
        [s, ("Cidr", "10.1.200.8/29"), ("ReservationType", "explicit"), ("Description", "d")];
    let create = "CreateSubnetCidrReservation";
    let id = cloud.make(create, &keep, "subnetCidrReservationId").await;
    for _ in 0..4 {
        let interface = cloud.make("CreateNetworkInterface", &[s], "privateIpAddress").await;
        let last: u8 = interface.rsplit('.').next().expect("a part").parse().expect("a number");
        assert!((4..8).contains(&last), "{interface}");
    }
    refused(
        &cloud,
        &[
            ("CreateNetworkInterface", &[s], "InsufficientFreeAddressesInSubnet", ""),
            (create, &keep, "InvalidCidr.Conflict", "conflicts"),
            (
                create,
                &[s, ("Cidr", "10.2.0.0/28"), keep[2]],
                "InvalidCidr.NotInSubnet",
                "not within",
            ),
            (
                create,
                &[s, ("Cidr", "10.1.200.0/30"), ("ReservationType", "some")],
                "InvalidParameterValue",
                "some",
            ),
        ],
    )
    .await;
    let asked = [s, ("PrivateIpAddress", "10.1.200.9")];
    cloud.ec2("CreateNetworkInterface", &asked).await.ok();
    let shown = cloud.ec2("GetSubnetCidrReservations", &[s]).await.ok();
    assert_eq!(
        (shown.text("cidr"), shown.text("description")),
        ("10.1.200.8/29".into(), "d".into())
    );
    let gone = [("SubnetCidrReservationId", id.as_str())];
    cloud.ec2("DeleteSubnetCidrReservation", &gone).await.ok();
    let code = cloud.ec2("DeleteSubnetCidrReservation", &gone).await.code();
    assert_eq!(code, "InvalidSubnetCidrReservationID.NotFound");
    cloud.ec2("CreateNetworkInterface", &[s]).await.ok();
}

#[tokio::test]
async fn settings_of_a_region_hold_for_what_is_made_then() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let on = cloud.make("EnableEbsEncryptionByDefault", &[], "ebsEncryptionByDefault").await;
    assert_eq!(on, "true");
    let defaults = [("HttpTokens", "required"), ("HttpPutResponseHopLimit", "3")];
    cloud.ec2("ModifyInstanceMetadataDefaults", &defaults).await.ok();
    let shown = cloud.ec2("GetInstanceMetadataDefaults", &[]).await.ok();
    assert_eq!((shown.text("httpTokens"), shown.get("httpEndpoint")), ("required".into(), None));
    let instance = cloud.instance(&subnet, &[]).await;
    let shown = cloud.ec2("DescribeInstances", &[("InstanceId.1", &instance)]).await.ok();
    assert_eq!(shown.text("httpTokens"), "required", "IMDS-8");
    assert_eq!(shown.text("httpPutResponseHopLimit"), "3", "IMDS-8");
    let volumes = cloud.ec2("DescribeVolumes", &[]).await.ok();
    assert_eq!(
        (volumes.text("encrypted"), volumes.text("kmsKeyId")),
        ("true".into(), "alias/aws/ebs".into())
    );
    let none = [("HttpTokens", "no-preference"), ("HttpPutResponseHopLimit", "-1")];
    cloud.ec2("ModifyInstanceMetadataDefaults", &none).await.ok();
    assert_eq!(cloud.ec2("GetInstanceMetadataDefaults", &[]).await.ok().get("httpTokens"), None);
    let key =
        cloud.make("ModifyEbsDefaultKmsKeyId", &[("KmsKeyId", "alias/mine")], "kmsKeyId").await;
    assert_eq!(key, "arn:aws:kms:ap-northeast-2:111122223333:alias/mine");
    cloud.ec2("ResetEbsDefaultKmsKeyId", &[]).await.ok();
    assert_eq!(cloud.make("GetEbsDefaultKmsKeyId", &[], "kmsKeyId").await, "alias/aws/ebs");
    cloud.ec2("DisableEbsEncryptionByDefault", &[]).await.ok();
    let off = cloud.make("GetEbsEncryptionByDefault", &[], "ebsEncryptionByDefault").await;
    assert_eq!(off, "false");
    refused(
        &cloud,
        &[(
            "ModifyInstanceMetadataDefaults",
            &[("HttpPutResponseHopLimit", "65")],
            "InvalidParameterValue",
            "between 1 and 64",
        )],
    )
    .await;
}

#[tokio::test]
async fn options_of_instances_are_recorded() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let group = [("GroupName", "near"), ("Strategy", "partition"), ("PartitionCount", "2")];
    let group = cloud.make("CreatePlacementGroup", &group, "groupId").await;
    let placed = [("Placement.GroupName", "near"), ("Placement.PartitionNumber", "2")];
    let id = cloud.instance(&subnet, &placed).await;
    let i = ("InstanceId", id.as_str());
    let shown = async || cloud.ec2("DescribeInstances", &[("InstanceId.1", &id)]).await.ok();
    assert!(shown().await.body.contains("<partitionNumber>2</partitionNumber>"));
    assert_eq!(cloud.make("MonitorInstances", &[("InstanceId.1", &id)], "state").await, "pending");
    assert!(shown().await.body.contains("<monitoring><state>enabled</state>"));
    assert_eq!(
        cloud.make("UnmonitorInstances", &[("InstanceId.1", &id)], "state").await,
        "disabling"
    );
    let recovery = [i, ("AutoRecovery", "disabled")];
    cloud.ec2("ModifyInstanceMaintenanceOptions", &recovery).await.ok();
    assert_eq!(shown().await.text("autoRecovery"), "disabled");
    assert_eq!(cloud.ec2("GetPasswordData", &[i]).await.ok().get("passwordData"), Some(""));
    let no_instance = ("InstanceId", "i-0123456789abcdef0");
    refused(
        &cloud,
        &[
            (
                "ModifyInstancePlacement",
                &[i, ("GroupName", "")],
                "IncorrectInstanceState",
                "stopped",
            ),
            (
                "DeletePlacementGroup",
                &[("GroupName", "near")],
                "InvalidPlacementGroup.InUse",
                "in use",
            ),
            (
                "CreatePlacementGroup",
                &[("GroupName", "near")],
                "InvalidPlacementGroup.Duplicate",
                "already exists",
            ),
            (
                "CreatePlacementGroup",
                &[("GroupName", "x"), ("PartitionCount", "2")],
                "InvalidParameterCombination",
                "partitionCount",
            ),
            (
                "DescribePlacementGroups",
                &[("GroupName.1", "far")],
                "InvalidPlacementGroup.Unknown",
                "far",
            ),
            ("GetConsoleScreenshot", &[i], "UnsupportedOperation", "text console"),
            ("SendDiagnosticInterrupt", &[i], "UnsupportedOperation", "kernel"),
            ("GetPasswordData", &[no_instance], "InvalidInstanceID.NotFound", "does not exist"),
            (
                "MonitorInstances",
                &[("InstanceId.1", no_instance.1)],
                "InvalidInstanceID.NotFound",
                "does not exist",
            ),
            (
                "ModifyInstanceMaintenanceOptions",
                &[i, ("AutoRecovery", "maybe")],
                "InvalidParameterValue",
                "maybe",
            ),
        ],
    )
    .await;
    cloud.ec2("StopInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until_state(&id, "stopped").await;
    cloud.ec2("ModifyInstancePlacement", &[i, ("Tenancy", "dedicated")]).await.ok();
    cloud.ec2("ModifyInstancePlacement", &[i, ("GroupName", "")]).await.ok();
    assert_eq!(shown().await.text("tenancy"), "dedicated");
    cloud.ec2("DeletePlacementGroup", &[("GroupName", "near")]).await.ok();
    let gone = cloud.ec2("DescribePlacementGroups", &[("GroupId.1", &group)]).await.code();
    assert_eq!(gone, "InvalidPlacementGroupId.NotFound");
}

#[tokio::test]
async fn what_aws_has_and_we_have_none_of_is_an_empty_list() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    for (action, element) in [
        ("DescribeVpcClassicLink", "vpcSet"),
        ("DescribeVpcClassicLinkDnsSupport", "vpcs"),
        ("DescribeAddressTransfers", "addressTransferSet"),
    ] {
        let body = cloud.ec2(action, &[]).await.ok().body;
        assert!(body.contains(&format!("<{element}/>")), "{action} {body}");
    }
    let groups = cloud.ec2("GetSecurityGroupsForVpc", &[("VpcId", &vpc)]).await.ok();
    assert_eq!(groups.all("groupName"), ["default"]);
    let interface =
        cloud.make("CreateNetworkInterface", &[("SubnetId", &subnet)], "networkInterfaceId").await;
    let leave = [
        ("NetworkInterfaceId", interface.as_str()),
        ("AwsAccountId", "444455556666"),
        ("Permission", "INSTANCE-ATTACH"),
    ];
    let create = "CreateNetworkInterfacePermission";
    let id = cloud.make(create, &leave, "networkInterfacePermissionId").await;
    let shown = cloud.ec2("DescribeNetworkInterfacePermissions", &[]).await.ok();
    assert_eq!(
        (shown.text("state"), shown.text("awsAccountId")),
        ("granted".into(), "444455556666".into())
    );
    let address = cloud.make("AllocateAddress", &[("Domain", "vpc")], "allocationId").await;
    let a = ("AllocationId", address.as_str());
    let name = [a, ("DomainName", "www.example.com")];
    let changed = cloud.ec2("ModifyAddressAttribute", &name).await.ok();
    assert_eq!(changed.text("ptrRecord"), "www.example.com.");
    refused(
        &cloud,
        &[
            (create, &leave, "InvalidPermission.Duplicate", "already"),
            (create, &[leave[0], ("AwsAccountId", "me"), leave[2]], "InvalidParameterValue", "me"),
            (
                "DescribeVpcClassicLink",
                &[("VpcId.1", "vpc-0123456789abcdef0")],
                "InvalidVpcID.NotFound",
                "does not exist",
            ),
            (
                "GetSecurityGroupsForVpc",
                &[("VpcId", "vpc-0123456789abcdef0")],
                "InvalidVpcID.NotFound",
                "does not exist",
            ),
            (
                "ModifyAddressAttribute",
                &[a, ("DomainName", "no name")],
                "InvalidParameterValue",
                "no name",
            ),
            (
                "DescribeAddressTransfers",
                &[("AllocationId.1", "eipalloc-0123456789abcdef0")],
                "InvalidAllocationID.NotFound",
                "does not exist",
            ),
            (
                "DeleteNetworkInterfacePermission",
                &[("NetworkInterfacePermissionId", "eni-perm-0123456789abcdef0")],
                "InvalidPermissionID.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
    cloud.ec2("ResetAddressAttribute", &[a, ("Attribute", "domain-name")]).await.ok();
    cloud
        .ec2("DeleteNetworkInterfacePermission", &[("NetworkInterfacePermissionId", &id)])
        .await
        .ok();
    let shown = cloud
        .ec2(
            "DescribeAddressesAttribute",
            &[("AllocationId.1", &address), ("Attribute", "domain-name")],
        )
        .await
        .ok();
    assert_eq!(shown.get("ptrRecord"), None);
}

/// RT-12: a VPC is routed to a transit gateway that it is attached to, and to no other.
#[tokio::test]
async fn a_transit_gateway_is_attached_and_routed_to() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let made = [
        ("Description", "hub"),
        ("Options.AmazonSideAsn", "65001"),
        ("TagSpecification.1.ResourceType", "transit-gateway"),
        TAG[0],
        TAG[1],
    ];
    let first = cloud.ec2("CreateTransitGateway", &made).await.ok();
    let gateway = first.text("transitGatewayId");
    assert_eq!(first.text("state"), "pending");
    let g = ("TransitGatewayId", gateway.as_str());
    let filter = [("Filter.1.Name", "options.amazon-side-asn"), ("Filter.1.Value.1", "65001")];
    let shown = cloud.ec2("DescribeTransitGateways", &filter).await.ok();
    assert_eq!((shown.text("state"), shown.text("value")), ("available".into(), "x".into()));
    let table = shown.text("associationDefaultRouteTableId");
    let tables = cloud.ec2("DescribeTransitGatewayRouteTables", &[]).await.ok();
    assert_eq!(tables.text("transitGatewayRouteTableId"), table);
    let routes = cloud.make("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
    let to = ("DestinationCidrBlock", "10.9.0.0/16");
    let route = [("RouteTableId", routes.as_str()), to, g];
    let attach = [g, ("VpcId", vpc.as_str()), ("SubnetIds.1", subnet.as_str())];
    let create = "CreateTransitGatewayVpcAttachment";
    refused(
        &cloud,
        &[
            ("CreateRoute", &route, "InvalidTransitGatewayID.NotFound", &gateway),
            (create, &attach[..2], "MissingParameter", "SubnetIds"),
            (
                "CreateTransitGateway",
                &[("Options.AmazonSideAsn", "5")],
                "InvalidParameterValue",
                "64512",
            ),
        ],
    )
    .await;
    let attachment = cloud.make(create, &attach, "transitGatewayAttachmentId").await;
    let a = ("TransitGatewayAttachmentId", attachment.as_str());
    cloud.ec2("CreateRoute", &route).await.ok();
    let described = cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", &routes)]).await.ok();
    assert_eq!(described.all("state"), ["active", "active"]);
    assert_eq!(described.text("transitGatewayId"), gateway);
    refused(
        &cloud,
        &[
            (create, &attach, "DuplicateTransitGatewayAttachment", "same VPC"),
            (
                "DeleteTransitGateway",
                &[g],
                "IncorrectState",
                "non-deleted Transit Gateway Attachments",
            ),
            ("DeleteSubnet", &[("SubnetId", &subnet)], "DependencyViolation", "has dependencies"),
            ("DeleteVpc", &[("VpcId", &vpc)], "DependencyViolation", "has dependencies"),
        ],
    )
    .await;
    cloud.ec2("DeleteTransitGatewayVpcAttachment", &[a]).await.ok();
    let described = cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", &routes)]).await.ok();
    assert_eq!(described.all("state"), ["active", "blackhole"], "RT-12");
    let shown = cloud.ec2("DescribeTransitGatewayVpcAttachments", &[]).await.ok();
    assert_eq!(shown.text("state"), "deleted", "shown for a while");
    cloud.ec2("DeleteTransitGateway", &[g]).await.ok();
    let code = cloud.ec2("DeleteTransitGateway", &[g]).await.code();
    assert_eq!(code, "InvalidTransitGatewayID.NotFound");
}
