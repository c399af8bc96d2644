//! VPC endpoints: their states, interfaces, routes and names, and what is refused (VPCE-*, ENI-7).

mod common;

use std::time::Duration;

use common::{Cloud, Reply, Wishes, refused};
use gureum_types::record::{NetworkInterface, VpcEndpoint};

const MESSAGES: &str = "com.amazonaws.ap-northeast-2.ssmmessages";
const S3: &str = "com.amazonaws.ap-northeast-2.s3";

/// A VPC with private DNS possible, and a subnet in zones a and c.
async fn network(cloud: &Cloud) -> (String, [String; 2]) {
    let (vpc, a) = cloud.network().await;
    let c = cloud.subnet(&vpc, "10.1.2.0/24", "ap-northeast-2c").await;
    let hostnames = [("VpcId", vpc.as_str()), ("EnableDnsHostnames.Value", "true")];
    cloud.ec2("ModifyVpcAttribute", &hostnames).await.ok();
    (vpc, [a, c])
}

async fn until(cloud: &Cloud, id: &str, state: &str) -> Reply {
    let wanted = format!("<state>{state}</state>");
    let named = [("VpcEndpointId.1", id)];
    cloud.until("DescribeVpcEndpoints", &named, |it| it.body.contains(&wanted)).await
}

async fn group(cloud: &Cloud, vpc: &str, name: &str) -> String {
    let what = [("GroupName", name), ("GroupDescription", name), ("VpcId", vpc)];
    cloud.make("CreateSecurityGroup", &what, "groupId").await
}

async fn main_table(cloud: &Cloud, vpc: &str) -> String {
    let of_vpc = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc)];
    cloud.make("DescribeRouteTables", &of_vpc, "routeTableId").await
}

async fn interface(cloud: &Cloud, vpc: &str, service: &str, more: &[(&str, &str)]) -> Reply {
    let what = [("VpcId", vpc), ("ServiceName", service), ("VpcEndpointType", "Interface")];
    cloud.ec2("CreateVpcEndpoint", &[&what, more].concat()).await
}

async fn gateway(cloud: &Cloud, vpc: &str, service: &str, more: &[(&str, &str)]) -> Reply {
    let what = [("VpcId", vpc), ("ServiceName", service)];
    cloud.ec2("CreateVpcEndpoint", &[&what, more].concat()).await
}

/// VPCE-1, VPCE-2, VPCE-4, VPCE-7, VPCE-13, VPCE-17, ENI-7, API-4, SUB-8, SG-24.
#[tokio::test]
async fn an_interface_endpoint_lives_and_dies() {
    let cloud = Cloud::new();
    let (vpc, [a, c]) = network(&cloud).await;
    let own = group(&cloud, &vpc, "IMD-SSM-SG").await;
    let more = [
        ("SubnetId.1", a.as_str()),
        ("SubnetId.2", c.as_str()),
        ("SecurityGroupId.1", own.as_str()),
        ("ClientToken", "once"),
        ("TagSpecification.1.ResourceType", "vpc-endpoint"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "IMD-SSM"),
    ];
    let created = interface(&cloud, &vpc, MESSAGES, &more).await.ok();
    assert_eq!(created.text("state"), "pending", "VPCE-4");
    assert_eq!(created.text("clientToken"), "once");
    let id = created.text("vpcEndpointId");
    let again = interface(&cloud, &vpc, MESSAGES, &more).await.ok();
    assert_eq!(again.text("vpcEndpointId"), id, "API-4");
    let other = [&more[..3], &more[3..4], &[("PrivateDnsEnabled", "false")]].concat();
    assert_eq!(
        interface(&cloud, &vpc, MESSAGES, &other).await.code(),
        "IdempotentParameterMismatch"
    );

    let up = until(&cloud, &id, "available").await;
    assert_eq!(up.text("vpcEndpointType"), "Interface");
    assert_eq!((up.text("serviceName"), up.text("vpcId")), (MESSAGES.into(), vpc.clone()));
    assert_eq!(up.text("privateDnsEnabled"), "true", "VPCE-9");
    assert_eq!(
        (up.text("ipAddressType"), up.text("dnsRecordIpType")),
        ("ipv4".into(), "ipv4".into())
    );
    assert!(up.text("policyDocument").contains("&quot;Effect&quot;: &quot;Allow&quot;"), "VPCE-13");
    assert!(up.body.contains("<key>Name</key><value>IMD-SSM</value>"), "{}", up.body);
    assert!(up.text("groupSet").contains(&own));

    // VPCE-7: the regional name, one a zone, the service's own.
    let names = up.all("dnsName");
    let domain = "ssmmessages.ap-northeast-2.vpce.amazonaws.com";
    assert_eq!(names.len(), 4, "{names:?}");
    let label = names[0].strip_prefix(&format!("{id}-")).expect("its id").split('.').next();
    let label = label.expect("a label");
    assert!(label.len() == 8 && label.bytes().all(|b| b.is_ascii_alphanumeric()), "{label}");
    assert_eq!(names[0], format!("{id}-{label}.{domain}"));
    assert_eq!(names[1], format!("{id}-{label}-ap-northeast-2a.{domain}"));
    assert_eq!(names[2], format!("{id}-{label}-ap-northeast-2c.{domain}"));
    assert_eq!(names[3], "ssmmessages.ap-northeast-2.amazonaws.com");
    assert_eq!(up.all("hostedZoneId").len(), 4);

    // VPCE-2, ENI-7: an interface in each subnet.
    let of_type = [("Filter.1.Name", "interface-type"), ("Filter.1.Value.1", "vpc_endpoint")];
    let interfaces = cloud.ec2("DescribeNetworkInterfaces", &of_type).await.ok();
    let ids = interfaces.all("networkInterfaceId");
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|it| up.text("networkInterfaceIdSet").contains(it)));
    assert_eq!(interfaces.all("description"), vec![format!("VPC Endpoint Interface {id}"); 2]);
    assert_eq!(interfaces.all("requesterManaged"), ["true", "true"]);
    for (subnet, block) in [(&a, "10.1.1."), (&c, "10.1.2.")] {
        let of_subnet = [("Filter.1.Name", "subnet-id"), ("Filter.1.Value.1", subnet.as_str())];
        let one = cloud.ec2("DescribeNetworkInterfaces", &of_subnet).await.ok();
        assert!(one.text("privateIpAddress").starts_with(block), "{}", one.body);
        let tag = [("ResourceId.1", ids[0].as_str()), ("Tag.1.Key", "x"), ("Tag.1.Value", "y")];
        cloud.ec2("CreateTags", &tag).await.ok();
    }
    refused(
        &cloud,
        &[
            ("DeleteSubnet", &[("SubnetId", &a)], "DependencyViolation", "has dependencies"),
            (
                "DeleteSecurityGroup",
                &[("GroupId", &own)],
                "DependencyViolation",
                "dependent object",
            ),
            ("DeleteVpc", &[("VpcId", &vpc)], "DependencyViolation", "has dependencies"),
            (
                "DeleteNetworkInterface",
                &[("NetworkInterfaceId", &ids[0])],
                "OperationNotPermitted",
                "You are not allowed to manage",
            ),
            (
                "ModifyNetworkInterfaceAttribute",
                &[("NetworkInterfaceId", &ids[0]), ("SecurityGroupId.1", &own)],
                "OperationNotPermitted",
                "You are not allowed to manage",
            ),
        ],
    )
    .await;

    let deleted = cloud.ec2("DeleteVpcEndpoints", &[("VpcEndpointId.1", &id)]).await.ok();
    assert_eq!(deleted.get("unsuccessful"), None, "VPCE-17");
    let down = until(&cloud, &id, "deleted").await;
    assert!(down.all("dnsName").is_empty() && down.get("networkInterfaceIdSet").is_none());
    let gone = cloud.ec2("DescribeNetworkInterfaces", &of_type).await.ok();
    assert!(gone.all("networkInterfaceId").is_empty(), "{}", gone.body);
    for subnet in [&a, &c] {
        cloud.ec2("DeleteSubnet", &[("SubnetId", subnet)]).await.ok();
    }
    cloud.ec2("DeleteSecurityGroup", &[("GroupId", &own)]).await.ok();
    cloud.ec2("DeleteVpc", &[("VpcId", &vpc)]).await.ok();
    // Shown for a while, and then not there.
    cloud.advance(Duration::from_secs(61));
    let named = [("VpcEndpointId.1", id.as_str())];
    let unknown = cloud.until("DescribeVpcEndpoints", &named, |it| it.status == 400).await;
    assert_eq!(unknown.code(), "InvalidVpcEndpointId.NotFound", "VPCE-12");
}

/// VPCE-5, VPCE-10: the VPC's default group where none is named; each change by itself.
#[tokio::test]
async fn an_interface_endpoint_changes() {
    let cloud = Cloud::new();
    let (vpc, [a, c]) = network(&cloud).await;
    let id = interface(&cloud, &vpc, MESSAGES, &[("SubnetId.1", &a)]).await.ok();
    let default = id.text("groupName");
    let id = id.text("vpcEndpointId");
    assert_eq!(default, "default", "VPCE-5");
    until(&cloud, &id, "available").await;
    let change = async |more: &[(&str, &str)]| {
        let what = [("VpcEndpointId", id.as_str())];
        cloud.ec2("ModifyVpcEndpoint", &[&what, more].concat()).await.ok();
        cloud.ec2("DescribeVpcEndpoints", &[("VpcEndpointId.1", id.as_str())]).await.ok()
    };
    let policy = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}"#;
    let shown = change(&[("PolicyDocument", policy)]).await;
    assert_eq!(shown.text("policyDocument").replace("&quot;", "\""), policy);
    assert!(change(&[("ResetPolicy", "true")]).await.text("policyDocument").contains("Allow"));
    let own = group(&cloud, &vpc, "own").await;
    let old = shown.text("groupId");
    let shown = change(&[("AddSecurityGroupId.1", &own), ("RemoveSecurityGroupId.1", &old)]).await;
    assert_eq!(shown.all("groupId"), [own.as_str()]);
    let of_group = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", own.as_str())];
    let interfaces = cloud.ec2("DescribeNetworkInterfaces", &of_group).await.ok();
    assert_eq!(interfaces.all("networkInterfaceId").len(), 1, "its interface has the group too");
    let there = [
        ("AddSubnetId.1", c.as_str()),
        ("SubnetConfiguration.1.SubnetId", c.as_str()),
        ("SubnetConfiguration.1.Ipv4", "10.1.2.77"),
    ];
    let shown = change(&there).await;
    assert_eq!(shown.all("dnsName").len(), 4);
    let at = [("Filter.1.Name", "private-ip-address"), ("Filter.1.Value.1", "10.1.2.77")];
    cloud.ec2("DescribeNetworkInterfaces", &at).await.ok().text("networkInterfaceId");
    let shown = change(&[("RemoveSubnetId.1", &a)]).await;
    assert!(!shown.text("subnetIdSet").contains(&a) && shown.all("dnsName").len() == 3);
    let shown = change(&[("PrivateDnsEnabled", "false")]).await;
    assert_eq!((shown.text("privateDnsEnabled"), shown.all("dnsName").len()), ("false".into(), 2));
    let shown = change(&[("DnsOptions.DnsRecordIpType", "service-defined")]).await;
    assert_eq!(shown.text("dnsRecordIpType"), "service-defined");
    assert_eq!(shown.text("privateDnsOnlyForInboundResolverEndpoint"), "false");
}

/// VPCE-18, VPCE-21, RT-11, RT-16: routes come and go with the endpoint.
#[tokio::test]
async fn a_gateway_endpoint_is_a_route_in_its_tables() {
    let cloud = Cloud::new();
    let (vpc, _) = network(&cloud).await;
    let main = main_table(&cloud, &vpc).await;
    let other = cloud.make("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
    let named = [("Filter.1.Name", "prefix-list-name"), ("Filter.1.Value.1", S3)];
    let lists = cloud.ec2("DescribePrefixLists", &named).await.ok();
    let list = lists.text("prefixListId");
    assert!(lists.body.contains("203.0.113.128/27"), "{}", lists.body);

    let created = gateway(&cloud, &vpc, S3, &[("RouteTableId.1", &main)]).await.ok();
    assert_eq!(created.text("vpcEndpointType"), "Gateway", "VPCE-1");
    let id = created.text("vpcEndpointId");
    let up = until(&cloud, &id, "available").await;
    assert!(up.text("routeTableIdSet").contains(&main));
    assert!(up.all("dnsName").is_empty() && up.get("networkInterfaceIdSet").is_none());
    let add = [("VpcEndpointId", id.as_str()), ("AddRouteTableId.1", other.as_str())];
    cloud.ec2("ModifyVpcEndpoint", &add).await.ok();
    for table in [&main, &other] {
        let shown = cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", table)]).await.ok();
        let route = format!(
            "<destinationPrefixListId>{list}</destinationPrefixListId><gatewayId>{id}</gatewayId>"
        );
        assert!(shown.body.contains(&route), "{}", shown.body);
    }
    let by_target = [("Filter.1.Name", "route.gateway-id"), ("Filter.1.Value.1", id.as_str())];
    let found = cloud.ec2("DescribeRouteTables", &by_target).await.ok();
    for table in [&main, &other] {
        assert!(found.all("routeTableId").contains(table), "{}", found.body);
    }
    // VPCE-21: rules may name the list, which counts once.
    let own = group(&cloud, &vpc, "own").await;
    let rule = [
        ("GroupId", own.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "443"),
        ("IpPermissions.1.ToPort", "443"),
        ("IpPermissions.1.PrefixListIds.1.PrefixListId", list.as_str()),
    ];
    cloud.ec2("AuthorizeSecurityGroupEgress", &rule).await.ok();
    let of_table = |table: &'static str| table;
    let destination = [("RouteTableId", main.as_str()), ("DestinationPrefixListId", list.as_str())];
    let igw = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", igw.as_str()), ("VpcId", vpc.as_str())];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let replace = [&destination[..], &[("GatewayId", igw.as_str())]].concat();
    refused(
        &cloud,
        &[
            (
                "DeleteRoute",
                &destination,
                "InvalidParameterValue",
                of_table("cannot remove VPC endpoint route vpce-"),
            ),
            (
                "ReplaceRoute",
                &replace,
                "InvalidParameterValue",
                "cannot replace VPC endpoint route",
            ),
            ("CreateRoute", &replace, "RouteAlreadyExists", "already exists"),
            (
                "CreateVpcEndpoint",
                &[("VpcId", &vpc), ("ServiceName", S3), ("RouteTableId.1", &main)],
                "RouteAlreadyExists",
                "already has a route with destination-prefix-list-id pl-",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", &id), ("AddRouteTableId.1", &main)],
                "RouteAlreadyExists",
                "already has a route",
            ),
            ("DeleteVpc", &[("VpcId", &vpc)], "DependencyViolation", "has dependencies"),
        ],
    )
    .await;
    // One endpoint a service and table, not one a VPC.
    let second = gateway(&cloud, &vpc, S3, &[]).await.ok().text("vpcEndpointId");
    let remove = [("VpcEndpointId", id.as_str()), ("RemoveRouteTableId.1", main.as_str())];
    cloud.ec2("ModifyVpcEndpoint", &remove).await.ok();
    let add = [("VpcEndpointId", second.as_str()), ("AddRouteTableId.1", main.as_str())];
    cloud.ec2("ModifyVpcEndpoint", &add).await.ok();

    let both = [("VpcEndpointId.1", id.as_str()), ("VpcEndpointId.2", second.as_str())];
    cloud.ec2("DeleteVpcEndpoints", &both).await.ok();
    for id in [&id, &second] {
        until(&cloud, id, "deleted").await;
    }
    let shown = cloud.ec2("DescribeRouteTables", &[]).await.ok();
    assert!(!shown.body.contains("vpce-"), "{}", shown.body);
}

/// VPCE-10, VPCE-11: names that only one endpoint of a VPC may have.
#[tokio::test]
async fn private_names_are_one_endpoints_alone() {
    let cloud = Cloud::new();
    let (vpc, [a, _]) = network(&cloud).await;
    let id = interface(&cloud, &vpc, MESSAGES, &[("SubnetId.1", &a)]).await.ok();
    let id = id.text("vpcEndpointId");
    until(&cloud, &id, "available").await;
    let conflict = "private-dns-enabled cannot be set because there is already a conflicting DNS \
                    domain for ssmmessages.ap-northeast-2.amazonaws.com in the VPC";
    let (code, message) = interface(&cloud, &vpc, MESSAGES, &[]).await.refusal();
    assert!(code == "InvalidParameter" && message.starts_with(conflict), "{code} {message}");
    let quiet = interface(&cloud, &vpc, MESSAGES, &[("PrivateDnsEnabled", "false")]).await.ok();
    let quiet = quiet.text("vpcEndpointId");
    let on = [("VpcEndpointId", quiet.as_str()), ("PrivateDnsEnabled", "true")];
    assert_eq!(cloud.ec2("ModifyVpcEndpoint", &on).await.code(), "InvalidParameter");
    cloud.ec2("DeleteVpcEndpoints", &[("VpcEndpointId.1", &id)]).await.ok();
    until(&cloud, &id, "deleted").await;
    cloud.ec2("ModifyVpcEndpoint", &on).await.ok();

    for attribute in ["EnableDnsHostnames.Value", "EnableDnsSupport.Value"] {
        cloud.ec2("ModifyVpcAttribute", &[("VpcId", &vpc), (attribute, "false")]).await.ok();
        let ssm = "com.amazonaws.ap-northeast-2.ssm";
        let (code, message) = interface(&cloud, &vpc, ssm, &[]).await.refusal();
        let sentence = format!(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC \
             attributes set to true for {vpc}"
        );
        assert_eq!((code.as_str(), message), ("InvalidParameter", sentence));
    }
}

/// DNS-18: names for who asks from outside of AWS alone, where the VPC has its own way to S3.
#[tokio::test]
async fn names_of_s3_may_be_for_inbound_resolvers_alone() {
    let cloud = Cloud::new();
    let (vpc, [a, _]) = network(&cloud).await;
    let inbound = ("DnsOptions.PrivateDnsOnlyForInboundResolverEndpoint", "true");
    let more = [("SubnetId.1", a.as_str()), inbound];
    let (code, message) = interface(&cloud, &vpc, S3, &more).await.refusal();
    assert!(code == "InvalidParameter" && message.contains("Gateway endpoint"), "{message}");
    assert_eq!(interface(&cloud, &vpc, MESSAGES, &more).await.code(), "InvalidParameter");
    gateway(&cloud, &vpc, S3, &[]).await.ok();
    let made = interface(&cloud, &vpc, S3, &more).await.ok();
    assert_eq!(made.text("privateDnsOnlyForInboundResolverEndpoint"), "true");
    assert!(made.all("dnsName")[0].starts_with("*.vpce-"), "{}", made.body);
    until(&cloud, &made.text("vpcEndpointId"), "available").await;
    let snapshot = cloud.control.snapshot();
    let (_, view) = gureum_control::compile(&snapshot, &FABRIC);
    assert!(view.vpcs.values().all(|vpc| vpc.service_names.is_empty()), "not in the VPC itself");
    assert_eq!(view.endpoint_names.len(), 2, "its own are there for everybody");
}

const FABRIC: gureum_engine::FabricConfig = gureum_engine::FabricConfig {
    internet_mac: [2; 6],
    services_mac: [6; 6],
    public_pool: ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(198, 18, 0, 0), 16),
    ipv6_pool: gureum_types::IPV6_POOL,
};

/// What the services and the data path are told: only while packets pass.
#[tokio::test]
async fn services_know_endpoints_by_their_numbers() {
    let cloud = Cloud::new();
    let (vpc, [a, c]) = network(&cloud).await;
    let more = [("SubnetId.1", a.as_str()), ("SubnetId.2", c.as_str())];
    let id = interface(&cloud, &vpc, MESSAGES, &more).await.ok().text("vpcEndpointId");
    let gate = gateway(&cloud, &vpc, S3, &[]).await.ok().text("vpcEndpointId");
    for id in [&id, &gate] {
        until(&cloud, id, "available").await;
    }
    let snapshot = cloud.control.snapshot();
    let (policy, view) = gureum_control::compile(&snapshot, &FABRIC);
    let endpoints: Vec<_> =
        snapshot.everywhere::<VpcEndpoint>().map(|(_, it)| it.clone()).collect();
    assert_eq!((view.endpoints.len(), endpoints.len()), (3, 2));
    for interface in snapshot.everywhere::<NetworkInterface>().map(|(_, it)| it) {
        let known = &view.endpoints[&interface.port];
        assert_eq!((known.id.as_str(), known.service.name), (id.as_str(), "ssmmessages"));
        assert!(policy.ports().any(|port| port.port == interface.port), "its port is in use");
        assert!(!view.interfaces.contains_key(&interface.port), "it calls nobody");
    }
    let own = &view.vpcs[&endpoints[0].vpc_id].service_names;
    assert_eq!(own["ssmmessages.ap-northeast-2.amazonaws.com"].len(), 2);
    cloud.ec2("DeleteVpcEndpoints", &[("VpcEndpointId.1", &id)]).await.ok();
    until(&cloud, &id, "deleted").await;
    let (_, view) = gureum_control::compile(&cloud.control.snapshot(), &FABRIC);
    assert_eq!((view.endpoints.len(), view.endpoint_names.len()), (1, 0));
}

/// VPCE-9, VPCE-12: IAM is one for all regions, and has its endpoints where its control plane is.
#[tokio::test]
async fn iam_has_endpoints_in_its_own_region() {
    const IAM: &str = "com.amazonaws.iam";
    let cloud = Cloud::new();
    let (here, _) = network(&cloud).await;
    assert_eq!(interface(&cloud, &here, IAM, &[]).await.code(), "InvalidServiceName");
    let cloud = cloud.as_seen_by(&cloud.account, "us-east-1");
    let vpc = cloud.make("CreateVpc", &[("CidrBlock", "10.1.0.0/16")], "vpcId").await;
    let subnet = cloud.subnet(&vpc, "10.1.1.0/24", "us-east-1a").await;
    let hostnames = [("VpcId", vpc.as_str()), ("EnableDnsHostnames.Value", "true")];
    cloud.ec2("ModifyVpcAttribute", &hostnames).await.ok();
    let wrong = interface(&cloud, &vpc, "com.amazonaws.us-east-1.iam", &[]).await;
    assert_eq!(wrong.code(), "InvalidServiceName");
    let made = interface(&cloud, &vpc, IAM, &[("SubnetId.1", &subnet)]).await.ok();
    let up = until(&cloud, &made.text("vpcEndpointId"), "available").await;
    assert_eq!(up.text("serviceName"), IAM);
    let names = up.all("dnsName");
    assert!(names[0].ends_with(".iam.us-east-1.vpce.amazonaws.com"), "{names:?}");
    assert_eq!(names.last().map(String::as_str), Some("iam.amazonaws.com"));
    let (_, view) = gureum_control::compile(&cloud.control.snapshot(), &FABRIC);
    let of_vpc = view.vpcs.values().find(|it| it.id.to_string() == vpc).expect("it is there");
    assert!(of_vpc.service_names.contains_key("iam.amazonaws.com"), "its VPC asks it there");
}

#[tokio::test]
async fn services_are_described_by_name_and_type() {
    let cloud = Cloud::new();
    let all = cloud.ec2("DescribeVpcEndpointServices", &[]).await.ok();
    let names = all.text("serviceNameSet");
    for service in [
        "ec2",
        "ec2-instance-connect",
        "sts",
        "ssm",
        "ssmmessages",
        "ec2messages",
        "logs",
        "s3",
        "dynamodb",
    ] {
        assert!(names.contains(&format!("com.amazonaws.ap-northeast-2.{service}<")), "{service}");
    }
    assert!(!names.contains("iam<"), "which is in us-east-1: {names}");
    let one = cloud.ec2("DescribeVpcEndpointServices", &[("ServiceName.1", MESSAGES)]).await.ok();
    assert_eq!(one.text("privateDnsName"), "ssmmessages.ap-northeast-2.amazonaws.com");
    assert_eq!(one.text("owner"), "amazon");
    assert!(one.text("baseEndpointDnsNameSet").contains("vpce.amazonaws.com"));
    assert!(one.text("availabilityZoneSet").contains("ap-northeast-2d"));
    let gateways =
        [("ServiceName.1", S3), ("Filter.1.Name", "service-type"), ("Filter.1.Value.1", "Gateway")];
    let found = cloud.ec2("DescribeVpcEndpointServices", &gateways).await.ok();
    assert_eq!(found.all("serviceId").len(), 1);
    let page = cloud.ec2("DescribeVpcEndpointServices", &[("MaxResults", "3")]).await.ok();
    let rest = [("MaxResults", "1000"), ("NextToken", &*page.text("nextToken"))];
    let rest = cloud.ec2("DescribeVpcEndpointServices", &rest).await.ok();
    let count = |it: &Reply| it.all("serviceId").len();
    assert_eq!(count(&page) + count(&rest), count(&all));
    let none = cloud.ec2("DescribeVpcEndpointAssociations", &[]).await.ok();
    assert!(none.all("vpcEndpointId").is_empty());
}

/// VPCE-1, VPCE-3, VPCE-12, VPCE-13: nothing is made of what is wrong.
#[tokio::test]
async fn what_cannot_be_is_refused() {
    let cloud = Cloud::new();
    let (vpc, [a, c]) = network(&cloud).await;
    let again = cloud.subnet(&vpc, "10.1.3.0/24", "ap-northeast-2a").await;
    let elsewhere = cloud.make("CreateVpc", &[("CidrBlock", "10.9.0.0/16")], "vpcId").await;
    let foreign = cloud.subnet(&elsewhere, "10.9.1.0/24", "ap-northeast-2a").await;
    let foreign_group = group(&cloud, &elsewhere, "foreign").await;
    let foreign_table = main_table(&cloud, &elsewhere).await;
    let table = main_table(&cloud, &vpc).await;
    let id = interface(&cloud, &vpc, MESSAGES, &[("SubnetId.1", &a)]).await.ok();
    let id = id.text("vpcEndpointId");
    let group = until(&cloud, &id, "available").await.text("groupId");
    let gate = gateway(&cloud, &vpc, S3, &[]).await.ok().text("vpcEndpointId");
    until(&cloud, &gate, "available").await;
    let ssm = "com.amazonaws.ap-northeast-2.ssm";
    let of = [("VpcId", vpc.as_str()), ("ServiceName", ssm), ("VpcEndpointType", "Interface")];
    let gateway_of = [("VpcId", vpc.as_str()), ("ServiceName", S3)];
    let create = [
        (
            &of[..],
            &[("SubnetId.1", &*a), ("SubnetId.2", &*again)][..],
            "DuplicateSubnetsInSameZone",
        ),
        (&of, &[("SubnetId.1", &*foreign)], "InvalidParameter"),
        (&of, &[("SubnetId.1", "subnet-0123456789abcdef0")], "InvalidSubnetID.NotFound"),
        (&of, &[("SecurityGroupId.1", &*foreign_group)], "InvalidParameter"),
        (&of, &[("SecurityGroupId.1", "sg-0123456789abcdef0")], "InvalidGroup.NotFound"),
        (&of, &[("RouteTableId.1", &*table)], "InvalidParameter"),
        (&of, &[("PolicyDocument", "{")], "InvalidPolicyDocument"),
        (&of, &[("PolicyDocument", "{\"Version\":\"2012-10-17\"}")], "InvalidPolicyDocument"),
        (&of, &[("IpAddressType", "dualstack")], "UnsupportedOperation"),
        (&of, &[("DnsOptions.DnsRecordIpType", "ipv6")], "UnsupportedOperation"),
        (&of, &[("ServiceRegion", "us-east-1")], "UnsupportedOperation"),
        (
            &of,
            &[
                ("SubnetId.1", &*c),
                ("SubnetConfiguration.1.SubnetId", &*c),
                ("SubnetConfiguration.1.Ipv4", "10.1.2.3"),
            ],
            "InvalidParameterValue",
        ),
        (
            &of,
            &[
                ("TagSpecification.1.ResourceType", "vpc"),
                ("TagSpecification.1.Tag.1.Key", "a"),
                ("TagSpecification.1.Tag.1.Value", "b"),
            ],
            "InvalidParameterValue",
        ),
        (&gateway_of, &[("SubnetId.1", &*a)], "InvalidParameter"),
        (&gateway_of, &[("SecurityGroupId.1", &*group)], "InvalidParameter"),
        (&gateway_of, &[("PrivateDnsEnabled", "true")], "InvalidParameter"),
        (&gateway_of, &[("RouteTableId.1", &*foreign_table)], "InvalidParameter"),
        (
            &gateway_of,
            &[("RouteTableId.1", "rtb-0123456789abcdef0")],
            "InvalidRouteTableID.NotFound",
        ),
        (&[("VpcId", &*vpc), ("ServiceName", ssm)], &[], "InvalidParameter"),
        (&[("VpcId", &*vpc), ("ServiceName", "com.amazonaws.x.y")], &[], "InvalidServiceName"),
        (&[("VpcId", &*vpc)], &[], "MissingParameter"),
        (&[("VpcId", "vpc-0123456789abcdef0"), ("ServiceName", S3)], &[], "InvalidVpcID.NotFound"),
        (&gateway_of, &[("VpcEndpointType", "GatewayLoadBalancer")], "UnsupportedOperation"),
        (&gateway_of, &[("VpcEndpointType", "Gate")], "InvalidParameterValue"),
        (&gateway_of, &[("DryRun", "true")], "DryRunOperation"),
    ];
    for (what, more, code) in create {
        let before = cloud.control.snapshot().revision();
        let reply = cloud.ec2("CreateVpcEndpoint", &[what, more].concat()).await;
        assert_eq!(reply.code(), code, "{more:?}: {}", reply.body);
        assert_eq!(cloud.control.snapshot().revision(), before, "{more:?}");
    }
    let long = format!("{{\"Statement\":\"{}\"}}", "x".repeat(20_480));
    let malformed = ("VpcEndpointId.1", "vpce-1");
    refused(
        &cloud,
        &[
            (
                "CreateVpcEndpoint",
                &[&gateway_of[..], &[("PolicyDocument", &*long)]].concat(),
                "InvalidPolicyDocument",
                "20480",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", &id), ("RemoveSecurityGroupId.1", &group)],
                "InvalidParameter",
                "at least one security group",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", &id), ("RemoveSubnetId.1", &c)],
                "InvalidParameter",
                "is not associated",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", &id), ("AddSubnetId.1", &again)],
                "DuplicateSubnetsInSameZone",
                "Found another VPC endpoint subnet",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", &id), ("AddRouteTableId.1", &table)],
                "InvalidParameter",
                "Gateway type",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", &gate), ("AddSubnetId.1", &a)],
                "InvalidParameter",
                "Interface type",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", &id), ("ResetPolicy", "true"), ("PolicyDocument", "{}")],
                "InvalidParameterCombination",
                "together",
            ),
            (
                "ModifyVpcEndpoint",
                &[("VpcEndpointId", "vpce-0123456789abcdef0")],
                "InvalidVpcEndpointId.NotFound",
                "The Vpc Endpoint Id 'vpce-0123456789abcdef0' does not exist",
            ),
            ("DescribeVpcEndpoints", &[malformed], "InvalidVpcEndpointId.Malformed", "vpce-1"),
            ("DeleteVpcEndpoints", &[malformed], "InvalidVpcEndpointId.Malformed", "vpce-1"),
            ("DeleteVpcEndpoints", &[], "MissingParameter", "VpcEndpointId"),
            (
                "DescribeVpcEndpointServices",
                &[("ServiceName.1", "com.amazonaws.us-east-1.ssm")],
                "InvalidServiceName",
                "The Vpc Endpoint Service 'com.amazonaws.us-east-1.ssm' does not exist",
            ),
            (
                "DescribeVpcEndpoints",
                &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "red")],
                "InvalidParameterValue",
                "colour",
            ),
        ],
    )
    .await;
    // VPCE-17: of several what is known is deleted, the rest is told.
    let unknown = "vpce-0123456789abcdef0";
    let both = [("VpcEndpointId.1", unknown), ("VpcEndpointId.2", id.as_str())];
    let reply = cloud.ec2("DeleteVpcEndpoints", &both).await.ok();
    assert_eq!(reply.all("resourceId"), [unknown]);
    assert_eq!(reply.text("code"), "InvalidVpcEndpointId.NotFound");
    until(&cloud, &id, "deleted").await;
    let late = [("VpcEndpointId", id.as_str()), ("ResetPolicy", "true")];
    assert_eq!(cloud.ec2("ModifyVpcEndpoint", &late).await.code(), "IncorrectState");
}

/// VPCE-14: fifty interface endpoints of a VPC, twenty gateway endpoints of a region.
#[tokio::test]
async fn quotas_hold_where_they_are_wanted() {
    let cloud = Cloud::with(Wishes { quotas: true, ..Wishes::default() });
    let (vpc, _) = network(&cloud).await;
    for _ in 0..20 {
        gateway(&cloud, &vpc, S3, &[]).await.ok();
    }
    assert_eq!(gateway(&cloud, &vpc, S3, &[]).await.code(), "VpcEndpointLimitExceeded");
    let quiet = [("PrivateDnsEnabled", "false")];
    for _ in 0..50 {
        interface(&cloud, &vpc, MESSAGES, &quiet).await.ok();
    }
    assert_eq!(interface(&cloud, &vpc, MESSAGES, &quiet).await.code(), "VpcEndpointLimitExceeded");
}

/// SG-22: the lists of services are AWS's: shown, and nobody's to change.
#[tokio::test]
async fn prefix_lists_of_services_are_aws_own() {
    let cloud = Cloud::new();
    let named = [("Filter.1.Name", "prefix-list-name"), ("Filter.1.Value.1", S3)];
    let list = cloud.ec2("DescribeManagedPrefixLists", &named).await.ok();
    assert_eq!(list.text("ownerId"), "AWS");
    assert_eq!((list.get("maxEntries"), list.get("version")), (None, None));
    let id = list.text("prefixListId");
    let of = [("PrefixListId", id.as_str())];
    let entries = cloud.ec2("GetManagedPrefixListEntries", &of).await.ok();
    assert_eq!(entries.text("cidr"), "203.0.113.128/27");
    let add = [&of[..], &[("CurrentVersion", "1"), ("AddEntry.1.Cidr", "10.0.0.0/8")]].concat();
    refused(
        &cloud,
        &[
            ("DeleteManagedPrefixList", &of, "OperationNotPermitted", "managed by AWS"),
            ("ModifyManagedPrefixList", &add, "OperationNotPermitted", "managed by AWS"),
            (
                "DescribePrefixLists",
                &[("PrefixListId.1", "pl-0123456789abcdef0")],
                "InvalidPrefixListID.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
    let other = cloud.as_seen_by("111122223333", "us-east-1");
    let there = other.ec2("DescribePrefixLists", &[("PrefixListId.1", &id)]).await;
    assert_eq!(there.code(), "InvalidPrefixListID.NotFound", "each region has its own");
}
