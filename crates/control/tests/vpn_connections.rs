//! VPN connections: records with everything a device needs, and tunnels that are never up.

mod common;

use common::{Cloud, refused};

struct Ends {
    cloud: Cloud,
    customer: String,
    gateway: String,
}

async fn ends() -> Ends {
    let cloud = Cloud::new();
    let device = [("Type", "ipsec.1"), ("BgpAsn", "65010"), ("IpAddress", "203.0.113.9")];
    let customer = cloud.make("CreateCustomerGateway", &device, "customerGatewayId").await;
    let gateway = cloud.make("CreateVpnGateway", &[("Type", "ipsec.1")], "vpnGatewayId").await;
    Ends { cloud, customer, gateway }
}

#[tokio::test]
async fn a_connection_has_two_tunnels_their_keys_and_a_configuration() {
    let Ends { cloud, customer, gateway } = ends().await;
    let c = ("CustomerGatewayId", customer.as_str());
    let g = ("VpnGatewayId", gateway.as_str());
    let made = [
        ("Type", "ipsec.1"),
        c,
        g,
        ("Options.StaticRoutesOnly", "true"),
        ("Options.TunnelOptions.1.TunnelInsideCidr", "169.254.44.100/30"),
        ("Options.TunnelOptions.1.PreSharedKey", "a_secret.of.mine"),
        ("Options.TunnelOptions.1.Phase1EncryptionAlgorithm.1.Value", "AES256"),
        ("Options.TunnelOptions.1.Phase1DHGroupNumber.1.Value", "20"),
        ("TagSpecification.1.ResourceType", "vpn-connection"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "office"),
    ];
    let first = cloud.ec2("CreateVpnConnection", &made).await.ok();
    assert_eq!(first.text("state"), "pending");
    assert!(first.body.contains("<key>Name</key><value>office</value>"), "{}", first.body);
    let id = first.text("vpnConnectionId");
    let again = cloud.make("CreateVpnConnection", &made[..3], "vpnConnectionId").await;
    assert_eq!(again, id, "the same two ends are the same connection");
    let v = ("VpnConnectionId", id.as_str());
    let shown =
        async || cloud.ec2("DescribeVpnConnections", &[("VpnConnectionId.1", &id)]).await.ok();
    let one = shown().await;
    assert_eq!(one.text("state"), "available");
    assert_eq!(one.all("status"), ["DOWN", "DOWN"]);
    assert_eq!(one.text("staticRoutesOnly"), "true");
    let outside = one.all("outsideIpAddress");
    assert!(outside[0].starts_with("198.18.") && outside[0] != outside[1], "{outside:?}");
    let configuration =
        one.text("customerGatewayConfiguration").replace("&lt;", "<").replace("&gt;", ">");
    for part in [
        "<pre_shared_key>a_secret.of.mine</pre_shared_key>",
        "<ip_address>169.254.44.101</ip_address>",
        "<ip_address>169.254.44.102</ip_address>",
        "<ip_address>203.0.113.9</ip_address>",
        "<network_cidr>30</network_cidr>",
        "<encryption_protocol>aes-256-cbc</encryption_protocol>",
        "<perfect_forward_secrecy>group20</perfect_forward_secrecy>",
        "<vpn_connection_attributes>NoBGPVPNConnection</vpn_connection_attributes>",
        &format!("<ip_address>{}</ip_address>", outside[0]),
        &format!("<vpn_gateway_id>{gateway}</vpn_gateway_id>"),
    ] {
        assert!(configuration.contains(part), "{part} in {configuration}");
    }
    assert_eq!(configuration.matches("<ipsec_tunnel>").count(), 2);
    let to = [v, ("DestinationCidrBlock", "192.168.0.0/16")];
    cloud.ec2("CreateVpnConnectionRoute", &to).await.ok();
    assert_eq!(shown().await.text("destinationCidrBlock"), "192.168.0.0/16");
    refused(
        &cloud,
        &[
            ("DeleteVpnGateway", &[g], "IncorrectState", "in use"),
            ("DeleteCustomerGateway", &[c], "IncorrectState", "in use"),
            (
                "DeleteVpnConnectionRoute",
                &[v, ("DestinationCidrBlock", "10.0.0.0/8")],
                "InvalidRoute.NotFound",
                "10.0.0.0/8",
            ),
            (
                "ModifyVpnTunnelOptions",
                &[v, ("VpnTunnelOutsideIpAddress", "192.0.2.1")],
                "MissingParameter",
                "TunnelOptions",
            ),
        ],
    )
    .await;
    cloud.ec2("DeleteVpnConnectionRoute", &to).await.ok();
    let change = [
        v,
        ("VpnTunnelOutsideIpAddress", outside[1].as_str()),
        ("TunnelOptions.DPDTimeoutAction", "restart"),
        ("TunnelOptions.RekeyFuzzPercentage", "50"),
    ];
    let changed = cloud.ec2("ModifyVpnTunnelOptions", &change).await.ok();
    assert_eq!(changed.text("state"), "modifying");
    let changed = shown().await;
    assert_eq!(changed.all("dpdTimeoutAction"), ["restart"], "of the second tunnel alone");
    let options = [v, ("LocalIpv4NetworkCidr", "10.8.0.0/16")];
    cloud.ec2("ModifyVpnConnectionOptions", &options).await.ok();
    let changed = shown().await;
    assert_eq!(changed.text("localIpv4NetworkCidr"), "10.8.0.0/16");
    assert_eq!(changed.text("remoteIpv4NetworkCidr"), "0.0.0.0/0");
    cloud.ec2("DeleteVpnConnection", &[v]).await.ok();
    let gone = shown().await;
    assert_eq!((gone.text("state"), gone.get("options")), ("deleted".into(), None));
    cloud.ec2("DeleteVpnGateway", &[g]).await.ok();
    cloud.ec2("DeleteCustomerGateway", &[c]).await.ok();
    assert_eq!(
        cloud.ec2("DeleteVpnConnection", &[v]).await.code(),
        "InvalidVpnConnectionID.NotFound"
    );
}

#[tokio::test]
async fn at_a_transit_gateway_a_connection_is_an_attachment() {
    let Ends { cloud, customer, gateway } = ends().await;
    let transit = cloud.make("CreateTransitGateway", &[], "transitGatewayId").await;
    let made =
        [("Type", "ipsec.1"), ("CustomerGatewayId", &customer), ("TransitGatewayId", &transit)];
    let id = cloud.make("CreateVpnConnection", &made, "vpnConnectionId").await;
    let shown = cloud.ec2("DescribeTransitGatewayAttachments", &[]).await.ok();
    assert_eq!((shown.text("resourceType"), shown.text("resourceId")), ("vpn".into(), id.clone()));
    assert_eq!(shown.all("state"), ["available", "associated"]);
    let attachment = shown.text("transitGatewayAttachmentId");
    let table = shown.text("transitGatewayRouteTableId");
    let route = [
        ("TransitGatewayRouteTableId", table.as_str()),
        ("TransitGatewayAttachmentId", &attachment),
        ("DestinationCidrBlock", "192.168.0.0/16"),
    ];
    let route = cloud.ec2("CreateTransitGatewayRoute", &route).await.ok();
    assert_eq!(route.text("resourceType"), "vpn");
    let v = ("VpnConnectionId", id.as_str());
    refused(
        &cloud,
        &[
            (
                "CreateVpnConnectionRoute",
                &[v, ("DestinationCidrBlock", "10.0.0.0/8")],
                "UnsupportedOperation",
                "static routes",
            ),
            (
                "DeleteTransitGateway",
                &[("TransitGatewayId", &transit)],
                "IncorrectState",
                "non-deleted",
            ),
        ],
    )
    .await;
    // Moved to the other kind of gateway, it is no attachment any more.
    cloud.ec2("ModifyVpnConnection", &[v, ("VpnGatewayId", &gateway)]).await.ok();
    let shown = cloud.ec2("DescribeTransitGatewayAttachments", &[]).await.ok();
    assert!(shown.all("resourceId").is_empty(), "{}", shown.body);
    cloud.ec2("DeleteTransitGateway", &[("TransitGatewayId", &transit)]).await.ok();
}

#[tokio::test]
async fn what_no_tunnel_can_have_is_refused() {
    let Ends { cloud, customer, gateway } = ends().await;
    let both = cloud.make("CreateTransitGateway", &[], "transitGatewayId").await;
    let c = ("CustomerGatewayId", customer.as_str());
    let g = ("VpnGatewayId", gateway.as_str());
    let t = ("Type", "ipsec.1");
    for (name, value, code, message) in [
        ("Type", "ipsec.2", "InvalidParameterValue", "ipsec.2"),
        ("TransitGatewayId", both.as_str(), "InvalidParameterCombination", "together"),
        ("Options.EnableAcceleration", "true", "InvalidParameterCombination", "transit gateway"),
        ("Options.TunnelInsideIpVersion", "ipv6", "InvalidParameterCombination", "transit gateway"),
        ("Options.LocalIpv4NetworkCidr", "here", "InvalidParameterValue", "here"),
        (
            "Options.TunnelOptions.1.TunnelInsideCidr",
            "169.254.5.0/30",
            "InvalidParameterValue",
            "reserved",
        ),
        (
            "Options.TunnelOptions.1.TunnelInsideCidr",
            "10.0.0.0/30",
            "InvalidParameterValue",
            "169.254.0.0/16",
        ),
        ("Options.TunnelOptions.2.PreSharedKey", "0secret0", "InvalidParameterValue", "zero"),
        (
            "Options.TunnelOptions.1.Phase2LifetimeSeconds",
            "3601",
            "InvalidParameterValue",
            "between 900 and 3600",
        ),
        (
            "Options.TunnelOptions.1.IKEVersion.1.Value",
            "ikev3",
            "InvalidParameterValue",
            "ikev1, ikev2",
        ),
        (
            "Options.TunnelOptions.1.Phase1DHGroupNumber.1.Value",
            "5",
            "InvalidParameterValue",
            "phase1DHGroupNumbers",
        ),
        ("Options.TunnelOptions.1.StartupAction", "wait", "InvalidParameterValue", "add, start"),
    ] {
        let mut parameters = vec![c, g, (name, value)];
        if name != "Type" {
            parameters.push(t);
        }
        refused(&cloud, &[("CreateVpnConnection", &parameters, code, message)]).await;
    }
}
