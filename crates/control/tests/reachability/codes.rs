//! What is in the way, code by code (RA-2, RA-6).

use crate::{
    common::Reply,
    setup::{ANYBODY, Network, admit, host, route, table},
};

fn to_internet<'a>(network: &'a Network, source: &'a str, to: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("Source", source),
        ("Destination", network.gateway.as_str()),
        ("FilterAtSource.DestinationAddress", to),
        ("FilterAtSource.DestinationPortRange.FromPort", "443"),
        ("FilterAtSource.DestinationPortRange.ToPort", "443"),
    ]
}

/// RA-2, SG-2: groups without a rule that fits, and groups without rules.
#[tokio::test]
async fn security_groups() {
    let network = Network::new().await;
    let (cloud, web) = (&network.cloud, &network.web);
    let path = [
        ("Source", network.gateway.as_str()),
        ("Destination", web.id.as_str()),
        ("DestinationPort", "22"),
    ];
    let reply = network.analyze(&path).await;
    assert_eq!(reply.text("networkPathFound"), "false", "RA-2");
    let explanation = reply.text("explanationSet");
    let arn = "arn:aws:ec2:ap-northeast-2:111122223333";
    for text in [
        "<direction>ingress</direction>".to_owned(),
        "<explanationCode>ENI_SG_RULES_MISMATCH</explanationCode>".to_owned(),
        format!(
            "<networkInterface><id>{0}</id><arn>{arn}:network-interface/{0}</arn>",
            web.interface
        ),
        format!("<securityGroupSet><item><id>{}</id>", network.web_group),
        format!("<subnet><id>{}</id>", network.public),
        format!("<vpc><id>{}</id>", network.vpc),
    ] {
        assert!(explanation.contains(&text), "no {text} in {explanation}");
    }
    // Out of the sender's.
    let all =
        [("GroupId", network.web_group.as_str()), ("IpPermissions.1.IpProtocol", "-1"), ANYBODY];
    cloud.ec2("RevokeSecurityGroupEgress", &all).await.ok();
    let path = to_internet(&network, &web.id, "203.0.113.10");
    assert_eq!(network.codes(&path).await, ["SG_HAS_NO_RULES"]);
    let some = [
        ("GroupId", network.web_group.as_str()),
        ("IpPermissions.1.IpProtocol", "udp"),
        ("IpPermissions.1.FromPort", "53"),
        ("IpPermissions.1.ToPort", "53"),
        ANYBODY,
    ];
    cloud.ec2("AuthorizeSecurityGroupEgress", &some).await.ok();
    let reply = network.analyze(&path).await;
    assert_eq!(reply.all("explanationCode"), ["ENI_SG_RULES_MISMATCH"]);
    assert_eq!(reply.text("direction"), "egress");
}

/// NACL-2, NACL-3, NACL-1: an entry, the closing one, and answers that nothing remembers.
#[tokio::test]
async fn network_acls() {
    let network = Network::new().await;
    let path = [
        ("Source", network.gateway.as_str()),
        ("Destination", network.web.id.as_str()),
        ("DestinationPort", "80"),
    ];
    let out = ("true", "100", "allow", "0.0.0.0/0");
    let deny = ("false", "50", "deny", "0.0.0.0/0");
    let acl = network.acl(&network.public, &[deny, out]).await;
    let reply = network.analyze(&path).await;
    assert_eq!(reply.all("explanationCode"), ["SUBNET_ACL_RESTRICTION"]);
    let explanation = reply.text("explanationSet");
    for text in [
        format!("<acl><id>{acl}</id>"),
        "<aclRule><cidr>0.0.0.0/0</cidr><egress>false</egress><protocol>all</protocol>\
         <ruleAction>deny</ruleAction><ruleNumber>50</ruleNumber></aclRule>"
            .to_owned(),
        "<direction>ingress</direction>".to_owned(),
        format!("<subnet><id>{}</id>", network.public),
    ] {
        assert!(explanation.contains(&text), "no {text} in {explanation}");
    }
    network.acl(&network.public, &[out]).await;
    let reply = network.analyze(&path).await;
    assert!(reply.body.contains("<ruleNumber>32767</ruleNumber>"), "NACL-3: {}", reply.body);
    network.acl(&network.public, &[("false", "100", "allow", "0.0.0.0/0")]).await;
    let reply = network.analyze(&path).await;
    assert_eq!(reply.all("explanationCode"), ["SUBNET_ACL_RESTRICTION"]);
    let explanation = reply.text("explanationSet");
    assert!(explanation.contains("<direction>egress</direction>"), "the answer: {explanation}");
    // One source of many is admitted: a path from there is a path.
    let some = ("false", "100", "allow", "203.0.113.0/24");
    network.acl(&network.public, &[some, out]).await;
    let reply = network.found(&path).await;
    assert!(
        reply.body.contains("<sourceAddressSet><item>203.0.113.0/24</item></sourceAddressSet>")
    );
}

/// RT-2, RT-12, RT-16, PIPE-10.
#[tokio::test]
async fn routes() {
    let network = Network::new().await;
    let (cloud, app) = (&network.cloud, &network.app);
    let path = to_internet(&network, &app.id, "203.0.113.10");
    let reply = network.analyze(&path).await;
    let codes = reply.all("explanationCode");
    assert_eq!(codes, ["NO_ROUTE_TO_DESTINATION", "VPC_LOCAL_ROUTE_CIDR_RESTRICTION"]);
    let explanation = reply.text("explanationSet");
    for text in [
        format!("<destination><id>{}</id>", network.gateway),
        format!("<routeTable><id>{}</id>", network.private_table),
        "<address>203.0.113.10/32</address>".to_owned(),
        "<gatewayId>local</gatewayId>".to_owned(),
    ] {
        assert!(explanation.contains(&text), "no {text} in {explanation}");
    }
    let gateway = ("GatewayId", network.gateway.as_str());
    route(cloud, &network.private_table, "198.51.100.0/24", gateway).await;
    let codes = network.codes(&path).await;
    assert_eq!(codes[..2], ["NO_ROUTE_TO_DESTINATION", "CANNOT_ROUTE"]);
    // A way that is dead hides the one behind it.
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId").await;
    let ask = [("VpcId", network.vpc.as_str()), ("PeerVpcId", other.as_str())];
    let pcx = cloud.make("CreateVpcPeeringConnection", &ask, "vpcPeeringConnectionId").await;
    let named = [("VpcPeeringConnectionId", pcx.as_str())];
    cloud.ec2("AcceptVpcPeeringConnection", &named).await.ok();
    let web = &network.web;
    route(cloud, &network.public_table, "203.0.113.0/24", named[0]).await;
    let path = to_internet(&network, &web.id, "203.0.113.10");
    let codes = network.codes(&path).await;
    assert_eq!(codes, ["PCX_REQUIRES_ADDRESS_IN_VPC_CIDR"]);
    let nobody = [("Source", web.id.as_str()), ("FilterAtSource.DestinationAddress", "10.2.0.9")];
    route(cloud, &network.public_table, "10.2.0.0/16", named[0]).await;
    assert_eq!(network.codes(&nobody).await, ["NO_POSSIBLE_DESTINATION"]);
    cloud.ec2("DeleteVpcPeeringConnection", &named).await.ok();
    let reply = network.analyze(&path).await;
    assert_eq!(reply.all("explanationCode"), ["BAD_STATE_ROUTE", "MORE_SPECIFIC_ROUTE"]);
    assert!(reply.body.contains("<state>blackhole</state>"), "RT-12: {}", reply.body);
    assert!(reply.body.contains(&format!("<gatewayId>{}</gatewayId>", network.gateway)));
    let list = [
        ("PrefixListName", "outside"),
        ("MaxEntries", "1"),
        ("AddressFamily", "IPv4"),
        ("Entry.1.Cidr", "203.0.113.0/24"),
    ];
    let list = cloud.make("CreateManagedPrefixList", &list, "prefixListId").await;
    let by_list = [
        ("RouteTableId", network.public_table.as_str()),
        ("DestinationPrefixListId", list.as_str()),
        gateway,
    ];
    cloud.ec2("CreateRoute", &by_list).await.ok();
    let codes = network.codes(&path).await;
    assert!(codes.contains(&"HIGHER_PRIORITY_ROUTE".to_owned()), "RT-16: {codes:?}");
    // Nobody has the address.
    let nobody =
        [("Source", web.id.as_str()), ("FilterAtSource.DestinationAddress", "10.1.11.200")];
    assert_eq!(network.codes(&nobody).await, ["NO_POSSIBLE_DESTINATION"]);
    let beside = [("Source", web.id.as_str()), ("FilterAtSource.DestinationAddress", "10.1.1.200")];
    assert_eq!(network.codes(&beside).await, ["NO_POSSIBLE_DESTINATION"], "L2-2");
}

/// IGW-3, IGW-7, IGW-15 to IGW-18, SG-37.
#[tokio::test]
async fn internet_gateways() {
    let network = Network::new().await;
    let (cloud, web) = (&network.cloud, &network.web);
    let quiet = host(cloud, &network.public, &network.web_group, false).await;
    let path = to_internet(&network, &quiet.id, "203.0.113.10");
    let reply = network.analyze(&path).await;
    assert_eq!(reply.all("explanationCode"), ["IGW_PUBLIC_IP_ASSOCIATION_FOR_EGRESS"]);
    let gateway = format!("<internetGateway><id>{}</id>", network.gateway);
    assert!(reply.body.contains(&gateway), "{}", reply.body);
    for (to, code) in [
        ("10.9.9.9", "IGW_DESTINATION_ADDRESS_NOT_IN_RFC1918_EGRESS"),
        ("100.64.1.1", "IGW_DESTINATION_ADDRESS_NOT_IN_RFC6598_EGRESS"),
    ] {
        assert_eq!(network.codes(&to_internet(&network, &web.id, to)).await, [code]);
    }
    for (from, code) in [
        ("10.9.9.9", "IGW_SOURCE_ADDRESS_NOT_IN_RFC1918_INGRESS"),
        ("100.64.1.1", "IGW_SOURCE_ADDRESS_NOT_IN_RFC6598_INGRESS"),
    ] {
        let path = [
            ("Source", network.gateway.as_str()),
            ("Destination", web.id.as_str()),
            ("SourceIp", from),
            ("DestinationPort", "80"),
        ];
        let reply = network.analyze(&path).await;
        assert_eq!(reply.all("explanationCode"), [code]);
        assert!(reply.body.contains(&gateway), "{}", reply.body);
    }
    let path = [("Source", network.gateway.as_str()), ("Destination", quiet.id.as_str())];
    assert_eq!(network.codes(&path).await, ["IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS"]);
    // The data path carries it (IGW-7); AWS's analyzer does not look at it.
    let public = host(cloud, &network.public, &network.web_group, true).await;
    let to = public.public.as_deref().expect("a public address");
    let path = [
        ("Source", web.id.as_str()),
        ("FilterAtSource.DestinationAddress", to),
        ("FilterAtSource.DestinationPortRange.FromPort", "80"),
        ("FilterAtSource.DestinationPortRange.ToPort", "80"),
    ];
    assert_eq!(network.codes(&path).await, ["IGW_NAT_REFLECTION"]);
    let mail = [
        ("Source", web.id.as_str()),
        ("Destination", network.gateway.as_str()),
        ("DestinationPort", "25"),
    ];
    assert_eq!(network.codes(&mail).await, ["PROTOCOL_RESTRICTION"], "SG-37");
    let block = [("InternetGatewayBlockMode", "block-bidirectional")];
    cloud.ec2("ModifyVpcBlockPublicAccessOptions", &block).await.ok();
    let path = to_internet(&network, &web.id, "203.0.113.10");
    assert_eq!(network.codes(&path).await, ["VPC_BLOCK_PUBLIC_ACCESS_ENABLED"]);
    let path = [
        ("Source", network.gateway.as_str()),
        ("Destination", web.id.as_str()),
        ("DestinationPort", "80"),
    ];
    assert_eq!(network.codes(&path).await, ["VPC_BLOCK_PUBLIC_ACCESS_ENABLED"]);
}

/// SDC-1, IGW-18, NAT-26, RT-18: checks of addresses, and appliances.
#[tokio::test]
async fn spoofed_sources_and_appliances() {
    let network = Network::new().await;
    let (cloud, web, app) = (&network.cloud, &network.web, &network.app);
    let spoofed = [
        ("Source", web.id.as_str()),
        ("Destination", network.gateway.as_str()),
        ("SourceIp", "10.1.1.77"),
        ("DestinationPort", "443"),
    ];
    let reply = network.analyze(&spoofed).await;
    assert_eq!(reply.all("explanationCode"), ["ENI_SOURCE_DEST_CHECK_RESTRICTION"]);
    assert!(reply.body.contains("<address>10.1.1.77/32</address>"), "{}", reply.body);
    let elsewhere = [
        ("Source", web.id.as_str()),
        ("Destination", app.id.as_str()),
        ("DestinationIp", "10.1.11.77"),
    ];
    assert_eq!(network.codes(&elsewhere).await, ["ENI_ADDRESS_RESTRICTION"]);
    let uncheck = async |host: &crate::setup::Host| {
        let off =
            [("NetworkInterfaceId", host.interface.as_str()), ("SourceDestCheck.Value", "false")];
        cloud.ec2("ModifyNetworkInterfaceAttribute", &off).await.ok();
    };
    uncheck(web).await;
    assert_eq!(network.codes(&spoofed).await, ["GATEWAY_REJECTS_SPOOFED_TRAFFIC"]);
    network.nat_gateway().await;
    uncheck(app).await;
    let spoofed = [
        ("Source", app.id.as_str()),
        ("Destination", network.gateway.as_str()),
        ("SourceIp", "192.0.2.1"),
        ("DestinationPort", "443"),
    ];
    assert_eq!(network.codes(&spoofed).await, ["NGW_REQUIRES_SOURCE_IN_VPC"]);
    // What an appliance makes of it, nobody knows.
    let third = cloud.subnet(&network.vpc, "10.1.3.0/24", "ap-northeast-2a").await;
    let third_table = table(cloud, &network.vpc, &third).await;
    let behind = host(cloud, &third, &network.app_group, false).await;
    let to_appliance = ("NetworkInterfaceId", app.interface.as_str());
    route(cloud, &third_table, "0.0.0.0/0", to_appliance).await;
    admit(cloud, &network.app_group, "443", ANYBODY).await;
    let path = to_internet(&network, &behind.id, "203.0.113.10");
    let why = network.unknown(&path).await;
    assert!(why.starts_with("The answer is unknown, because "), "{why}");
    assert!(why.contains(&app.interface), "{why}");
    // One before a subnet needs a public address (RT-18).
    let edge = cloud.make("CreateRouteTable", &[("VpcId", &network.vpc)], "routeTableId").await;
    let tie = [("RouteTableId", edge.as_str()), ("GatewayId", network.gateway.as_str())];
    cloud.ec2("AssociateRouteTable", &tie).await.ok();
    let elastic = cloud.make("AllocateAddress", &[], "allocationId").await;
    let public = [("AllocationId", elastic.as_str()), to_appliance];
    let public = cloud.make("AssociateAddress", &public, "associationId").await;
    route(cloud, &edge, "10.1.1.0/24", to_appliance).await;
    cloud.ec2("DisassociateAddress", &[("AssociationId", &public)]).await.ok();
    let path = [
        ("Source", network.gateway.as_str()),
        ("Destination", web.id.as_str()),
        ("DestinationPort", "80"),
    ];
    let reply = network.analyze(&path).await;
    assert_eq!(reply.all("explanationCode"), ["INGRESS_RTB_NO_PUBLIC_IP"]);
    assert!(reply.body.contains(&format!("<ingressRouteTable><id>{edge}</id>")), "{}", reply.body);
}

/// SG-32: behind a NAT gateway nobody is a member of a group.
#[tokio::test]
async fn groups_behind_a_nat_gateway() {
    let network = Network::new().await;
    let (cloud, web, app) = (&network.cloud, &network.web, &network.app);
    let by_app = ("IpPermissions.1.Groups.1.GroupId", network.app_group.as_str());
    admit(cloud, &network.web_group, "9000", by_app).await;
    let path = [
        ("Source", app.id.as_str()),
        ("Destination", web.id.as_str()),
        ("DestinationPort", "9000"),
    ];
    network.found(&path).await;
    let third = cloud.subnet(&network.vpc, "10.1.3.0/24", "ap-northeast-2a").await;
    let made = [("SubnetId", third.as_str()), ("ConnectivityType", "private")];
    let nat = cloud.make("CreateNatGateway", &made, "natGatewayId").await;
    let is_up = |it: &Reply| it.body.contains("<state>available</state>");
    cloud.until("DescribeNatGateways", &[("NatGatewayId.1", &nat)], is_up).await;
    route(cloud, &network.private_table, "10.1.1.0/24", ("NatGatewayId", &nat)).await;
    let codes = network.codes(&path).await;
    assert_eq!(codes, ["ENI_SG_RULES_MISMATCH", "SG_REFERENCES_NOT_PRESERVED"]);
}

/// EC2-1, ENI-2, IGW-1: ends that are not what they were.
#[tokio::test]
async fn ends_that_do_not_function() {
    let network = Network::new().await;
    let (cloud, web) = (&network.cloud, &network.web);
    let path = [("Source", network.app.id.as_str()), ("Destination", web.id.as_str())];
    cloud.ec2("StopInstances", &[("InstanceId.1", &web.id)]).await.ok();
    cloud.until_state(&web.id, "stopped").await;
    let reply = network.analyze(&path).await;
    assert_eq!(reply.all("explanationCode"), ["BAD_STATE"]);
    assert!(reply.body.contains("<state>stopped</state>"), "{}", reply.body);
    let loose = [("SubnetId", network.public.as_str())];
    let loose = cloud.make("CreateNetworkInterface", &loose, "networkInterfaceId").await;
    let path = [("Source", network.app.id.as_str()), ("Destination", loose.as_str())];
    assert_eq!(network.codes(&path).await, ["BAD_STATE_ATTACHMENT"]);
    let detached = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let path = [("Source", network.app.id.as_str()), ("Destination", detached.as_str())];
    assert_eq!(network.codes(&path).await, ["UNASSOCIATED_COMPONENT"]);
    let token = crate::setup::token();
    let made = [
        ("ClientToken", token.as_str()),
        ("Protocol", "tcp"),
        ("Source", network.app.id.as_str()),
        ("Destination", detached.as_str()),
    ];
    let made = cloud.make("CreateNetworkInsightsPath", &made, "networkInsightsPathId").await;
    cloud.ec2("DeleteInternetGateway", &[("InternetGatewayId", &detached)]).await.ok();
    let token = crate::setup::token();
    let start = [("ClientToken", token.as_str()), ("NetworkInsightsPathId", made.as_str())];
    let id = cloud.make("StartNetworkInsightsAnalysis", &start, "networkInsightsAnalysisId").await;
    let named = [("NetworkInsightsAnalysisId.1", id.as_str())];
    let reply = cloud.ec2("DescribeNetworkInsightsAnalyses", &named).await.ok();
    assert_eq!(reply.all("explanationCode"), ["NO_SOURCE_OR_DESTINATION"]);
    assert_eq!(reply.text("missingComponent"), detached);
}

/// RA-2: what is not carried here is unknown, and told so.
#[tokio::test]
async fn what_nobody_knows() {
    let network = Network::new().await;
    let (cloud, web) = (&network.cloud, &network.web);
    let tgw = cloud.make("CreateTransitGateway", &[], "transitGatewayId").await;
    let attach = [
        ("TransitGatewayId", tgw.as_str()),
        ("VpcId", network.vpc.as_str()),
        ("SubnetIds.1", network.public.as_str()),
    ];
    let element = "transitGatewayAttachmentId";
    let attachment = cloud.make("CreateTransitGatewayVpcAttachment", &attach, element).await;
    route(cloud, &network.public_table, "192.168.0.0/16", ("TransitGatewayId", &tgw)).await;
    let path = [("Source", web.id.as_str()), ("FilterAtSource.DestinationAddress", "192.168.1.1")];
    let why = network.unknown(&path).await;
    assert!(why.contains(&tgw), "{why}");
    let path = [("Source", web.id.as_str()), ("Destination", attachment.as_str())];
    assert!(network.unknown(&path).await.contains(&attachment));
    let vgw = cloud.make("CreateVpnGateway", &[("Type", "ipsec.1")], "vpnGatewayId").await;
    let tie = [("VpnGatewayId", vgw.as_str()), ("VpcId", network.vpc.as_str())];
    cloud.ec2("AttachVpnGateway", &tie).await.ok();
    route(cloud, &network.public_table, "172.20.0.0/16", ("GatewayId", &vgw)).await;
    let path = [("Source", web.id.as_str()), ("FilterAtSource.DestinationAddress", "172.20.1.1")];
    assert!(network.unknown(&path).await.contains(&vgw));
    let path = [
        ("Source", web.id.as_str()),
        ("FilterAtSource.DestinationAddress", "169.254.169.254"),
        ("FilterAtSource.DestinationPortRange.FromPort", "80"),
        ("FilterAtSource.DestinationPortRange.ToPort", "80"),
    ];
    assert!(network.unknown(&path).await.contains("service of the platform"));
    let foreign = "arn:aws:ec2:ap-northeast-2:444455556666:instance/i-0123456789abcdef0";
    let path = [("Source", web.id.as_str()), ("Destination", foreign)];
    assert!(network.unknown(&path).await.contains("another account"));
}
