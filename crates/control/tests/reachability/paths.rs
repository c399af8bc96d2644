//! Paths that are there, component by component.

use crate::setup::{ANYBODY, Network, admit, analyze, group, host, ids, route, table};

/// RA-2, RA-4, RA-5: from the internet gateway to a web server, as AWS prints it.
#[tokio::test]
async fn from_the_internet_gateway_to_a_public_instance() {
    let network = Network::new().await;
    let (cloud, web) = (&network.cloud, &network.web);
    let named =
        [("ResourceId.1", web.id.as_str()), ("Tag.1.Key", "Name"), ("Tag.1.Value", "PUBLIC-01")];
    cloud.ec2("CreateTags", &named).await.ok();
    let reply = network
        .found(&[
            ("Source", network.gateway.as_str()),
            ("Destination", &web.id),
            ("DestinationPort", "80"),
        ])
        .await;
    let acl = cloud
        .make(
            "DescribeNetworkAcls",
            &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &network.vpc)],
            "networkAclId",
        )
        .await;
    let forward = [&network.gateway, &acl, &network.web_group, &web.interface, &web.id];
    assert_eq!(ids(&reply, "forwardPathComponentSet"), forward.map(String::as_str), "RA-4");
    let back = [
        &web.id,
        &web.interface,
        &network.web_group,
        &acl,
        &network.public_table,
        &network.gateway,
    ];
    assert_eq!(ids(&reply, "returnPathComponentSet"), back.map(String::as_str), "RA-4");
    assert_eq!(
        reply.all("sequenceNumber"),
        ["1", "2", "3", "4", "5", "1", "2", "3", "4", "5", "6"]
    );
    let steps: Vec<&str> = reply.body.split("<sequenceNumber>").skip(1).collect();
    let has = |step: usize, text: &str| {
        assert!(steps[step].contains(text), "step {} has no {text}: {}", step + 1, steps[step]);
    };
    let public = web.public.as_deref().expect("a public address");
    let outbound = format!(
        "<outboundHeader><destinationAddressSet><item>{}/32</item></destinationAddressSet>",
        web.address
    );
    has(0, &outbound);
    has(0, &format!("<inboundHeader><destinationAddressSet><item>{public}/32</item>"));
    has(0, "<destinationPortRangeSet><item><from>80</from><to>80</to></item>");
    has(0, "<protocol>6</protocol>");
    has(0, "<item>8.0.0.0/7</item>");
    has(0, "<item>128.0.0.0/3</item>");
    has(0, "<sourcePortRangeSet><item><from>0</from><to>65535</to></item>");
    has(0, &format!("<vpc><id>{}</id>", network.vpc));
    assert!(!steps[0].contains("10.0.0.0/8"), "IGW-16: {}", steps[0]);
    has(
        1,
        "<aclRule><cidr>0.0.0.0/0</cidr><egress>false</egress><protocol>all</protocol>\
         <ruleAction>allow</ruleAction><ruleNumber>100</ruleNumber></aclRule>",
    );
    has(
        2,
        "<securityGroupRule><cidr>0.0.0.0/0</cidr><direction>ingress</direction><portRange>\
         <from>80</from><to>80</to></portRange><protocol>tcp</protocol></securityGroupRule>",
    );
    has(3, &format!("<attachedTo><id>{}</id>", web.id));
    has(3, "<name>PUBLIC-01</name>");
    has(3, &format!("<subnet><id>{}</id>", network.public));
    let arn = format!("arn:aws:ec2:ap-northeast-2:111122223333:instance/{}", web.id);
    has(4, &arn);
    has(4, &format!("<destinationAddressSet><item>{}/32</item>", web.address));
    // The answer: tracked by the group, so that no rule is named.
    assert!(!steps[7].contains("<securityGroupRule>"), "SGT-1: {}", steps[7]);
    has(
        9,
        &format!(
            "<routeTableRoute><destinationCidr>0.0.0.0/0</destinationCidr><gatewayId>{}</gatewayId>\
             <origin>createroute</origin><state>active</state></routeTableRoute>",
            network.gateway
        ),
    );
    has(10, &format!("<sourceAddressSet><item>{public}/32</item>"));
    assert_eq!(reply.get("explanationSet").unwrap_or_default(), "");
}

/// RA-4: between subnets two lists, within one none (NACL-1).
#[tokio::test]
async fn between_instances() {
    let network = Network::new().await;
    let (cloud, web, app) = (&network.cloud, &network.web, &network.app);
    let reply = network
        .found(&[
            ("Source", web.id.as_str()),
            ("Destination", &app.interface),
            ("FilterAtSource.DestinationPortRange.FromPort", "8000"),
            ("FilterAtSource.DestinationPortRange.ToPort", "9000"),
        ])
        .await;
    let kinds: Vec<_> = ids(&reply, "forwardPathComponentSet")
        .iter()
        .map(|id| id.split('-').next().expect("a prefix").to_owned())
        .collect();
    assert_eq!(kinds, ["i", "eni", "sg", "acl", "rtb", "acl", "sg", "eni", "i"]);
    assert!(reply.body.contains("<gatewayId>local</gatewayId><origin>createroutetable</origin>"));
    // One port of the range is open: what is told of is that port.
    assert!(reply.body.contains("<from>8080</from><to>8080</to>"), "{}", reply.body);
    assert!(!reply.body.contains("<from>8000</from>"), "{}", reply.body);
    let neighbour = host(cloud, &network.private, &network.web_group, false).await;
    let reply = network.found(&[("Source", neighbour.id.as_str()), ("Destination", &app.id)]).await;
    let kinds: Vec<_> = ids(&reply, "forwardPathComponentSet")
        .iter()
        .map(|id| id.split('-').next().expect("a prefix").to_owned())
        .collect();
    assert_eq!(kinds, ["i", "eni", "sg", "sg", "eni", "i"], "PIPE-4");
    assert!(
        reply.body.contains(&format!("<securityGroupId>{}</securityGroupId>", network.web_group))
    );
}

/// RA-3, NAT-26: out by a NAT gateway, which has no group (NAT-14).
#[tokio::test]
async fn through_a_nat_gateway() {
    let network = Network::new().await;
    let nat = network.nat_gateway().await;
    let path = [
        ("Source", network.app.id.as_str()),
        ("Destination", network.gateway.as_str()),
        ("DestinationPort", "443"),
    ];
    let reply = network.found(&path).await;
    let forward = ids(&reply, "forwardPathComponentSet");
    let kinds: Vec<_> = forward.iter().map(|id| id.split('-').next().expect("a prefix")).collect();
    let expected = ["i", "eni", "sg", "acl", "rtb", "acl", "eni", "nat", "acl", "rtb", "igw"];
    assert_eq!(kinds, expected);
    assert_eq!(forward[7], nat);
    assert!(reply.body.contains("<sourcePortRangeSet><item><from>1024</from><to>65535</to>"));
    let back = ids(&reply, "returnPathComponentSet");
    assert_eq!((back.first(), back.last()), (Some(&network.gateway), Some(&network.app.id)));
    // To one address of the internet.
    let to = [
        ("Source", network.app.id.as_str()),
        ("FilterAtSource.DestinationAddress", "203.0.113.10"),
        ("FilterAtSource.DestinationPortRange.FromPort", "443"),
        ("FilterAtSource.DestinationPortRange.ToPort", "443"),
    ];
    let reply = network.found(&to).await;
    assert!(reply.body.contains("<item>203.0.113.10/32</item>"), "{}", reply.body);
    // Nobody comes in by it (NAT-10).
    let inward = [("Source", network.gateway.as_str()), ("Destination", &network.app.id)];
    assert_eq!(network.codes(&inward).await, ["IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS"]);
    // What is asked of the packet as it arrives sees the gateway's source.
    let mut kept = path.to_vec();
    kept.push(("FilterAtDestination.SourceAddress", network.app.address.as_str()));
    let codes = network.codes(&kept).await;
    assert_eq!(codes, ["FILTER_AT_DESTINATION_SOURCE_ADDRESS", "NGW_SOURCE_ADDRESS_REASSIGN"]);
    let mut low = path.to_vec();
    low.push(("FilterAtDestination.SourcePortRange.FromPort", "1"));
    low.push(("FilterAtDestination.SourcePortRange.ToPort", "1023"));
    let codes = network.codes(&low).await;
    assert_eq!(codes, ["FILTER_AT_DESTINATION_SOURCE_PORT_RANGE", "REMAP_EPHEMERAL_PORT"]);
}

/// RA-3: through a peering connection, to one and from one.
#[tokio::test]
async fn through_a_peering_connection() {
    let network = Network::new().await;
    let cloud = &network.cloud;
    let other = cloud.make("CreateVpc", &[("CidrBlock", "10.2.0.0/16")], "vpcId").await;
    let far = cloud.subnet(&other, "10.2.1.0/24", "ap-northeast-2a").await;
    let far_table = table(cloud, &other, &far).await;
    let far_group = group(cloud, &other, "far").await;
    let server = host(cloud, &far, &far_group, false).await;
    let path = [
        ("Source", network.app.id.as_str()),
        ("Destination", server.id.as_str()),
        ("DestinationPort", "5432"),
    ];
    assert_eq!(network.codes(&path).await, ["DISCONNECTED_VPCS"]);
    let ask = [("VpcId", network.vpc.as_str()), ("PeerVpcId", other.as_str())];
    let pcx = cloud.make("CreateVpcPeeringConnection", &ask, "vpcPeeringConnectionId").await;
    let from = [("Source", pcx.as_str()), ("Destination", server.id.as_str())];
    assert_eq!(network.codes(&from).await, ["BAD_STATE"]);
    let accept = [("VpcPeeringConnectionId", pcx.as_str())];
    cloud.ec2("AcceptVpcPeeringConnection", &accept).await.ok();
    let codes = network.codes(&path).await;
    assert_eq!(codes, ["NO_ROUTE_TO_DESTINATION", "VPC_LOCAL_ROUTE_CIDR_RESTRICTION"]);
    let target = ("VpcPeeringConnectionId", pcx.as_str());
    route(cloud, &network.private_table, "10.2.0.0/16", target).await;
    assert_eq!(network.codes(&path).await, ["SG_HAS_NO_RULES"]);
    admit(cloud, &far_group, "5432", ("IpPermissions.1.IpRanges.1.CidrIp", "10.1.0.0/16")).await;
    // There, but not back (PIPE-6).
    let reply = network.analyze(&path).await;
    assert_eq!(reply.text("networkPathFound"), "false");
    assert_eq!(reply.all("explanationCode")[0], "NO_ROUTE_TO_DESTINATION");
    assert!(reply.body.contains(&format!("<routeTable><id>{far_table}</id>")), "{}", reply.body);
    assert_eq!(ids(&reply, "forwardPathComponentSet").last(), Some(&server.id));
    route(cloud, &far_table, "10.1.0.0/16", target).await;
    let reply = network.found(&path).await;
    let forward = ids(&reply, "forwardPathComponentSet");
    let kinds: Vec<_> = forward.iter().map(|id| id.split('-').next().expect("a prefix")).collect();
    assert_eq!(kinds, ["i", "eni", "sg", "acl", "rtb", "pcx", "acl", "sg", "eni", "i"]);
    assert!(reply.body.contains(&format!("<destinationVpc><id>{other}</id>")), "{}", reply.body);
    assert!(reply.body.contains(&format!("<sourceVpc><id>{}</id>", network.vpc)));
    // To the connection itself, and from it.
    let to =
        [("Source", network.app.id.as_str()), ("Destination", &pcx), ("DestinationPort", "5432")];
    let reply = network.found(&to).await;
    assert_eq!(ids(&reply, "forwardPathComponentSet").last(), Some(&pcx));
    let from = [
        ("Source", pcx.as_str()),
        ("Destination", server.id.as_str()),
        ("DestinationPort", "5432"),
    ];
    let reply = network.found(&from).await;
    assert_eq!(ids(&reply, "forwardPathComponentSet").first(), Some(&pcx));
    // No transit (PEER-1).
    let through = [("Source", server.id.as_str()), ("Destination", network.gateway.as_str())];
    assert_eq!(network.codes(&through).await, ["DISCONNECTED_VPCS"]);
    // A path must pass what it is told to pass, and not what it is told not to.
    let arn = format!("arn:aws:ec2:ap-northeast-2:111122223333:vpc-peering-connection/{pcx}");
    let reply = analyze(cloud, &path, &[("FilterInArn.1", &arn)]).await;
    assert_eq!(reply.text("networkPathFound"), "true");
    let reply = analyze(cloud, &path, &[("FilterOutArn.1", &arn)]).await;
    assert_eq!(reply.all("explanationCode"), ["COMPONENT_FILTER_RESTRICTION"]);
}

/// RA-3: an interface endpoint and a gateway endpoint, neither of which begins anything (VPCE-6).
#[tokio::test]
async fn to_endpoints() {
    let network = Network::new().await;
    let (cloud, app) = (&network.cloud, &network.app);
    let endpoint_group = group(cloud, &network.vpc, "endpoint").await;
    admit(cloud, &endpoint_group, "443", ANYBODY).await;
    let interface = [
        ("VpcId", network.vpc.as_str()),
        ("ServiceName", "com.amazonaws.ap-northeast-2.ssm"),
        ("VpcEndpointType", "Interface"),
        ("SubnetId.1", &network.public),
        ("SecurityGroupId.1", &endpoint_group),
        ("PrivateDnsEnabled", "false"),
    ];
    let ssm = cloud.make("CreateVpcEndpoint", &interface, "vpcEndpointId").await;
    let up = |it: &crate::common::Reply| it.body.contains("<state>available</state>");
    cloud.until("DescribeVpcEndpoints", &[("VpcEndpointId.1", &ssm)], up).await;
    let path = [("Source", app.id.as_str()), ("Destination", &ssm), ("DestinationPort", "443")];
    let reply = network.found(&path).await;
    let forward = ids(&reply, "forwardPathComponentSet");
    assert_eq!(forward.last(), Some(&ssm));
    assert!(reply.body.contains("<serviceName>com.amazonaws.ap-northeast-2.ssm</serviceName>"));
    let back = ids(&reply, "returnPathComponentSet");
    assert_eq!((back.first(), back.last()), (Some(&ssm), Some(&app.id)));
    let other = [("Source", app.id.as_str()), ("Destination", &ssm), ("DestinationPort", "22")];
    assert_eq!(network.codes(&other).await, ["ENI_SG_RULES_MISMATCH"]);
    let from = [("Source", ssm.as_str()), ("Destination", app.id.as_str())];
    assert_eq!(network.codes(&from).await, ["VPCE_INTRA_VPC_TRAFFIC"]);
    let gateway = [
        ("VpcId", network.vpc.as_str()),
        ("ServiceName", "com.amazonaws.ap-northeast-2.s3"),
        ("RouteTableId.1", &network.private_table),
    ];
    let s3 = cloud.make("CreateVpcEndpoint", &gateway, "vpcEndpointId").await;
    let path = [("Source", app.id.as_str()), ("Destination", &s3), ("DestinationPort", "443")];
    let reply = network.found(&path).await;
    assert_eq!(ids(&reply, "forwardPathComponentSet").last(), Some(&s3));
    assert!(reply.body.contains("<destinationPrefixListId>pl-"), "{}", reply.body);
    let udp = [("Source", app.id.as_str()), ("Destination", &s3), ("Protocol", "udp")];
    assert_eq!(network.codes(&udp).await, ["VPCE_GATEWAY_PROTOCOL_RESTRICTION"]);
    let elsewhere = [("Source", network.web.id.as_str()), ("Destination", &s3)];
    assert_eq!(network.codes(&elsewhere).await, ["NO_ROUTE_TO_DESTINATION"]);
}

/// RA-1, NACL-12, NACL-13: of source ports that nobody names any one will do, also one that answers may come
/// back to only because a list opens it for something else. Who means clients names their ports.
#[tokio::test]
async fn from_any_source_port_unless_it_is_named() {
    let network = Network::new().await;
    let acl = network.acl(&network.private, &[("false", "100", "allow", "0.0.0.0/0")]).await;
    let only_http = [
        ("NetworkAclId", acl.as_str()),
        ("Egress", "true"),
        ("RuleNumber", "100"),
        ("RuleAction", "allow"),
        ("Protocol", "6"),
        ("PortRange.From", "80"),
        ("PortRange.To", "80"),
        ("CidrBlock", "0.0.0.0/0"),
    ];
    network.cloud.ec2("CreateNetworkAclEntry", &only_http).await.ok();
    let mut path = vec![
        ("Source", network.web.id.as_str()),
        ("Destination", &network.app.id),
        ("FilterAtSource.DestinationPortRange.FromPort", "8080"),
        ("FilterAtSource.DestinationPortRange.ToPort", "8080"),
    ];
    let reply = network.found(&path).await;
    let ports = "<sourcePortRangeSet><item><from>80</from><to>80</to></item></sourcePortRangeSet>";
    assert!(reply.body.contains(ports), "{}", reply.body);
    path.push(("FilterAtSource.SourcePortRange.FromPort", "32768"));
    path.push(("FilterAtSource.SourcePortRange.ToPort", "60999"));
    assert_eq!(network.codes(&path).await, ["SUBNET_ACL_RESTRICTION"]);
}
