//! Transit gateways with route tables of their own (TGW-1): associations, propagations, routes.

mod common;

use common::{Cloud, refused};

struct Transit {
    cloud: Cloud,
    gateway: String,
    default_table: String,
    /// The attachments of two VPCs, 10.1.0.0/16 and 10.2.0.0/16.
    attachments: [String; 2],
    vpcs: [String; 2],
}

async fn transit() -> Transit {
    let cloud = Cloud::new();
    let gateway = cloud.make("CreateTransitGateway", &[], "transitGatewayId").await;
    let shown = cloud.ec2("DescribeTransitGateways", &[]).await.ok();
    let default_table = shown.text("associationDefaultRouteTableId");
    let mut made = Vec::new();
    for number in 1..=2 {
        let block = format!("10.{number}.0.0/16");
        let vpc = cloud.make("CreateVpc", &[("CidrBlock", &block)], "vpcId").await;
        let subnet = cloud.subnet(&vpc, &format!("10.{number}.1.0/24"), "ap-northeast-2a").await;
        let parameters =
            [("TransitGatewayId", gateway.as_str()), ("VpcId", &vpc), ("SubnetIds.1", &subnet)];
        let create = "CreateTransitGatewayVpcAttachment";
        let attachment = cloud.make(create, &parameters, "transitGatewayAttachmentId").await;
        made.push((attachment, vpc));
    }
    let [(a, v), (b, w)] = <[_; 2]>::try_from(made).expect("two");
    Transit { cloud, gateway, default_table, attachments: [a, b], vpcs: [v, w] }
}

/// Blocks of the routes of a table that pass a filter.
async fn search(cloud: &Cloud, table: &str, name: &str, value: &str) -> Vec<String> {
    let parameters = [
        ("TransitGatewayRouteTableId", table),
        ("Filter.1.Name", name),
        ("Filter.1.Value.1", value),
    ];
    let found = cloud.ec2("SearchTransitGatewayRoutes", &parameters).await.ok();
    found.all("destinationCidrBlock")
}

#[tokio::test]
async fn attachments_go_to_the_default_table_and_can_go_to_another() {
    let Transit { cloud, gateway, default_table, attachments, vpcs } = transit().await;
    let get = async |what: &str, table: &str| {
        cloud.ec2(what, &[("TransitGatewayRouteTableId", table)]).await.ok()
    };
    let associations = get("GetTransitGatewayRouteTableAssociations", &default_table).await;
    let mut found = associations.all("resourceId");
    found.sort();
    let mut expected = vpcs.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(associations.text("state"), "associated");
    let propagations = get("GetTransitGatewayRouteTablePropagations", &default_table).await;
    assert_eq!(propagations.all("state"), ["enabled", "enabled"]);
    assert_eq!(
        search(&cloud, &default_table, "type", "propagated").await,
        ["10.1.0.0/16", "10.2.0.0/16"]
    );
    let create = "CreateTransitGatewayRouteTable";
    let made = [
        ("TransitGatewayId", gateway.as_str()),
        ("TagSpecifications.1.ResourceType", "transit-gateway-route-table"),
        ("TagSpecifications.1.Tag.1.Key", "Name"),
        ("TagSpecifications.1.Tag.1.Value", "spoke"),
    ];
    let first = cloud.ec2(create, &made).await.ok();
    assert_eq!((first.text("state"), first.text("value")), ("pending".into(), "spoke".into()));
    let table = first.text("transitGatewayRouteTableId");
    let t = ("TransitGatewayRouteTableId", table.as_str());
    let d = ("TransitGatewayRouteTableId", default_table.as_str());
    let a = ("TransitGatewayAttachmentId", attachments[0].as_str());
    refused(
        &cloud,
        &[
            (
                "AssociateTransitGatewayRouteTable",
                &[t, a],
                "Resource.AlreadyAssociated",
                "already associated",
            ),
            (
                "DisassociateTransitGatewayRouteTable",
                &[t, a],
                "InvalidAssociation.NotFound",
                "not associated",
            ),
            (
                "EnableTransitGatewayRouteTablePropagation",
                &[d, a],
                "TransitGatewayRouteTablePropagation.Duplicate",
                "already exists",
            ),
            (
                "DisableTransitGatewayRouteTablePropagation",
                &[t, a],
                "TransitGatewayRouteTablePropagation.NotFound",
                "does not exist",
            ),
            ("DeleteTransitGatewayRouteTable", &[d], "IncorrectState", "non-deleted associations"),
            ("AcceptTransitGatewayVpcAttachment", &[a], "IncorrectState", "pendingAcceptance"),
            ("RejectTransitGatewayVpcAttachment", &[a], "IncorrectState", "pendingAcceptance"),
        ],
    )
    .await;
    let left = cloud.ec2("DisassociateTransitGatewayRouteTable", &[d, a]).await.ok();
    assert_eq!(left.text("state"), "disassociating");
    let joined = cloud.ec2("AssociateTransitGatewayRouteTable", &[t, a]).await.ok();
    assert_eq!(
        (joined.text("state"), joined.text("resourceType"), joined.text("resourceId")),
        ("associating".into(), "vpc".into(), vpcs[0].clone())
    );
    let filter = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", vpcs[0].as_str())];
    let shown = cloud.ec2("DescribeTransitGatewayAttachments", &filter).await.ok();
    assert_eq!(shown.text("transitGatewayRouteTableId"), table);
    cloud.ec2("EnableTransitGatewayRouteTablePropagation", &[t, a]).await.ok();
    let of = cloud.ec2("GetTransitGatewayAttachmentPropagations", &[a]).await.ok();
    assert_eq!(of.all("transitGatewayRouteTableId").len(), 2);
    cloud.ec2("DisableTransitGatewayRouteTablePropagation", &[t, a]).await.ok();
    assert!(search(&cloud, &table, "state", "active").await.is_empty());
    cloud.ec2("DisassociateTransitGatewayRouteTable", &[t, a]).await.ok();
    let deleted = cloud.ec2("DeleteTransitGatewayRouteTable", &[t]).await.ok();
    assert_eq!(deleted.text("state"), "deleting");
    let id = [("TransitGatewayRouteTableIds.1", table.as_str())];
    let shown = cloud.ec2("DescribeTransitGatewayRouteTables", &id).await.ok();
    assert_eq!(shown.text("state"), "deleted");
}

#[tokio::test]
async fn routes_are_made_replaced_searched_and_deleted() {
    let Transit { cloud, default_table, attachments, vpcs, .. } = transit().await;
    let t = ("TransitGatewayRouteTableId", default_table.as_str());
    let a = ("TransitGatewayAttachmentId", attachments[0].as_str());
    let b = ("TransitGatewayAttachmentId", attachments[1].as_str());
    let to = |block: &'static str| ("DestinationCidrBlock", block);
    let made = cloud.ec2("CreateTransitGatewayRoute", &[t, a, to("0.0.0.0/0")]).await.ok();
    assert_eq!(
        (made.text("type"), made.text("state"), made.text("resourceId")),
        ("static".into(), "active".into(), vpcs[0].clone())
    );
    let hole = [t, to("10.2.9.0/24"), ("Blackhole", "true")];
    let made = cloud.ec2("CreateTransitGatewayRoute", &hole).await.ok();
    assert_eq!(made.text("state"), "blackhole");
    for (name, value, expected) in [
        ("route-search.exact-match", "10.2.0.0/16", &["10.2.0.0/16"][..]),
        ("route-search.longest-prefix-match", "10.2.9.7", &["10.2.9.0/24"]),
        ("route-search.longest-prefix-match", "192.0.2.1", &["0.0.0.0/0"]),
        ("route-search.subnet-of-match", "10.2.0.0/15", &["10.2.0.0/16", "10.2.9.0/24"]),
        (
            "route-search.supernet-of-match",
            "10.2.9.0/25",
            &["0.0.0.0/0", "10.2.0.0/16", "10.2.9.0/24"],
        ),
        ("state", "blackhole", &["10.2.9.0/24"]),
        ("type", "static", &["0.0.0.0/0", "10.2.9.0/24"]),
        ("attachment.resource-id", &vpcs[1], &["10.2.0.0/16"]),
    ] {
        assert_eq!(search(&cloud, &default_table, name, value).await, expected, "{name} {value}");
    }
    // What is made wins over what propagates.
    cloud.ec2("CreateTransitGatewayRoute", &[t, a, to("10.2.0.0/16")]).await.ok();
    assert_eq!(search(&cloud, &default_table, "type", "propagated").await, ["10.1.0.0/16"]);
    let replaced = cloud.ec2("ReplaceTransitGatewayRoute", &[t, b, to("0.0.0.0/0")]).await.ok();
    assert_eq!(replaced.text("resourceId"), vpcs[1]);
    refused(
        &cloud,
        &[
            (
                "CreateTransitGatewayRoute",
                &[t, a, to("0.0.0.0/0")],
                "RouteAlreadyExists",
                "0.0.0.0/0",
            ),
            ("CreateTransitGatewayRoute", &[t, to("1.0.0.0/8")], "MissingParameter", "Attachment"),
            (
                "CreateTransitGatewayRoute",
                &[t, a, to("1.0.0.0/8"), ("Blackhole", "true")],
                "InvalidParameterCombination",
                "Blackhole",
            ),
            (
                "ReplaceTransitGatewayRoute",
                &[t, a, to("1.0.0.0/8")],
                "InvalidRoute.NotFound",
                "1.0.0.0/8",
            ),
            (
                "DeleteTransitGatewayRoute",
                &[t, to("10.1.0.0/16")],
                "InvalidRoute.NotFound",
                "10.1.0.0/16",
            ),
            (
                "SearchTransitGatewayRoutes",
                &[t, ("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")],
                "InvalidParameterValue",
                "colour",
            ),
        ],
    )
    .await;
    cloud.ec2("DeleteTransitGatewayVpcAttachment", &[b]).await.ok();
    assert_eq!(
        search(&cloud, &default_table, "state", "blackhole").await,
        ["0.0.0.0/0", "10.2.9.0/24"],
        "a route outlives its attachment and leads nowhere"
    );
    let deleted = cloud.ec2("DeleteTransitGatewayRoute", &[t, to("0.0.0.0/0")]).await.ok();
    assert_eq!(deleted.text("state"), "deleted");
}

#[tokio::test]
async fn a_gateway_and_an_attachment_are_modified() {
    let Transit { cloud, gateway, default_table, attachments, vpcs } = transit().await;
    let g = ("TransitGatewayId", gateway.as_str());
    let table =
        cloud.make("CreateTransitGatewayRouteTable", &[g], "transitGatewayRouteTableId").await;
    let change = [
        g,
        ("Description", "hub"),
        ("Options.AssociationDefaultRouteTableId", table.as_str()),
        ("Options.DefaultRouteTablePropagation", "disable"),
        ("Options.AddTransitGatewayCidrBlocks.1", "10.99.0.0/24"),
        ("Options.DnsSupport", "disable"),
    ];
    let changed = cloud.ec2("ModifyTransitGateway", &change).await.ok();
    assert_eq!(changed.text("state"), "modifying");
    let shown = cloud.ec2("DescribeTransitGateways", &[]).await.ok();
    for (element, value) in [
        ("description", "hub"),
        ("associationDefaultRouteTableId", table.as_str()),
        ("defaultRouteTablePropagation", "disable"),
        ("item", "10.99.0.0/24"),
        ("dnsSupport", "disable"),
        ("vpnEcmpSupport", "enable"),
    ] {
        assert!(shown.body.contains(&format!("<{element}>{value}</{element}>")), "{}", shown.body);
    }
    assert_eq!(shown.get("propagationDefaultRouteTableId"), None);
    // The table that was the default one keeps what propagates into it.
    let again = [g, ("Options.DefaultRouteTablePropagation", "enable")];
    cloud.ec2("ModifyTransitGateway", &again).await.ok();
    let shown = cloud.ec2("DescribeTransitGateways", &[]).await.ok();
    assert_eq!(shown.text("propagationDefaultRouteTableId"), default_table);
    let second = cloud.subnet(&vpcs[0], "10.1.2.0/24", "ap-northeast-2c").await;
    let same_zone = cloud.subnet(&vpcs[0], "10.1.3.0/24", "ap-northeast-2a").await;
    let a = ("TransitGatewayAttachmentId", attachments[0].as_str());
    let change =
        [a, ("AddSubnetIds.1", second.as_str()), ("Options.ApplianceModeSupport", "enable")];
    let changed = cloud.ec2("ModifyTransitGatewayVpcAttachment", &change).await.ok();
    assert_eq!(changed.text("state"), "modifying");
    let id = [("TransitGatewayAttachmentIds.1", attachments[0].as_str())];
    let shown = cloud.ec2("DescribeTransitGatewayVpcAttachments", &id).await.ok();
    assert!(shown.body.contains(&second), "{}", shown.body);
    assert_eq!(shown.text("applianceModeSupport"), "enable");
    assert_eq!(shown.text("dnsSupport"), "enable");
    refused(
        &cloud,
        &[
            (
                "ModifyTransitGatewayVpcAttachment",
                &[a, ("AddSubnetIds.1", &same_zone)],
                "DuplicateSubnetsInSameZone",
                "ap-northeast-2a",
            ),
            (
                "ModifyTransitGatewayVpcAttachment",
                &[a, ("RemoveSubnetIds.1", &same_zone)],
                "InvalidParameterValue",
                "not a subnet of",
            ),
            (
                "ModifyTransitGateway",
                &[g, ("Options.AddTransitGatewayCidrBlocks.1", "here")],
                "InvalidParameterValue",
                "here",
            ),
            (
                "ModifyTransitGateway",
                &[g, ("Options.AssociationDefaultRouteTableId", "tgw-rtb-0123456789abcdef0")],
                "InvalidRouteTableID.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
}
