//! The lab's tasks 1 and 2, call by call, as the AWS CLI makes them.

mod common;

use common::{Cloud, Reply};

const USER_DATA: &str = "IyEvYmluL3NoCmVjaG8gaGkK";

fn id_after<'a>(reply: &'a Reply, marker: &str, prefix: &str) -> &'a str {
    let from = reply.body.find(marker).unwrap_or_else(|| panic!("no {marker}: {}", reply.body));
    let at = reply.body[from..].find(prefix).expect("an id") + from;
    reply.body[at..].split('<').next().expect("an end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lab_is_built_as_its_users_build_it() {
    let cloud = Cloud::new();
    // Step 3: the VPC (LAB-1).
    let created = cloud
        .ec2(
            "CreateVpc",
            &[
                ("CidrBlock", "10.1.0.0/16"),
                ("TagSpecification.1.ResourceType", "vpc"),
                ("TagSpecification.1.Tag.1.Key", "Name"),
                ("TagSpecification.1.Tag.1.Value", "IMD-VPC"),
            ],
        )
        .await
        .ok();
    let vpc = created.text("vpcId");
    assert!(created.body.contains("<state>pending</state>"), "CIDR-6: {}", created.body);
    // Step 4: DNS host names, in a call of its own (CIDR-7).
    let attribute = [("VpcId", vpc.as_str()), ("EnableDnsHostnames.Value", "true")];
    cloud.ec2("ModifyVpcAttribute", &attribute).await.ok();
    let asked = [("VpcId", vpc.as_str()), ("Attribute", "enableDnsHostnames")];
    let shown = cloud.ec2("DescribeVpcAttribute", &asked).await.ok();
    assert!(shown.body.contains("<enableDnsHostnames><value>true</value></enableDnsHostnames>"));
    // Step 5: four subnets (LAB-2).
    let mut subnets = Vec::new();
    for (block, zone) in [
        ("10.1.1.0/24", "ap-northeast-2a"),
        ("10.1.2.0/24", "ap-northeast-2c"),
        ("10.1.11.0/24", "ap-northeast-2a"),
        ("10.1.12.0/24", "ap-northeast-2c"),
    ] {
        subnets.push(cloud.subnet(&vpc, block, zone).await);
    }
    let shown = cloud
        .ec2("DescribeSubnets", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &vpc)])
        .await
        .ok();
    assert_eq!(shown.all("availableIpAddressCount"), ["251"; 4], "SUB-2");
    // Step 6: route tables (RT-22).
    let mut tables = Vec::new();
    for pair in subnets.chunks(2) {
        let table = cloud.make("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
        for subnet in pair {
            let tie = [("RouteTableId", table.as_str()), ("SubnetId", subnet)];
            cloud.ec2("AssociateRouteTable", &tie).await.ok();
        }
        tables.push(table);
    }
    // Steps 7 and 8: the gateway and the way to it (LAB-3).
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", &vpc)];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let route = [
        ("RouteTableId", tables[0].as_str()),
        ("DestinationCidrBlock", "0.0.0.0/0"),
        ("GatewayId", &gateway),
    ];
    cloud.ec2("CreateRoute", &route).await.ok();
    let shown = cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", &tables[0])]).await.ok();
    assert_eq!(shown.all("gatewayId"), ["local", gateway.as_str()]);
    assert_eq!(shown.all("destinationCidrBlock"), ["10.1.0.0/16", "0.0.0.0/0"]);
    assert!(!shown.body.contains("blackhole"));
    // Step 9: the key.
    let key = cloud.ec2("CreateKeyPair", &[("KeyName", "lab"), ("KeyType", "ed25519")]).await.ok();
    assert!(key.text("keyMaterial").starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
    // Security groups (LAB-4).
    let group = async |name: &str, description: &str| {
        let parameters =
            [("GroupName", name), ("GroupDescription", description), ("VpcId", vpc.as_str())];
        cloud.make("CreateSecurityGroup", &parameters, "groupId").await
    };
    let public = group("IMD-PUB-SG", "Security Group for IMD-PUB").await;
    let bastion = group("IMD-BASTION-SG", "Security Group for IMD-BASTION").await;
    let private = group("IMD-PRI-SG", "Security Group for IMD-PRI").await;
    for port in ["22", "80", "443"] {
        let rule = [
            ("GroupId", public.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", port),
            ("IpPermissions.1.ToPort", port),
            ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
        ];
        cloud.ec2("AuthorizeSecurityGroupIngress", &rule).await.ok();
    }
    let ping = [
        ("GroupId", public.as_str()),
        ("IpPermissions.1.IpProtocol", "icmp"),
        ("IpPermissions.1.FromPort", "-1"),
        ("IpPermissions.1.ToPort", "-1"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &ping).await.ok();
    let reference = [
        ("GroupId", private.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.UserIdGroupPairs.1.GroupId", &bastion),
    ];
    let refused = cloud.ec2("AuthorizeSecurityGroupIngress", &reference).await;
    // EC2's name for the list on the wire is Groups.
    assert_eq!(refused.code(), "UnknownParameter");
    let reference = [
        ("GroupId", private.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.Groups.1.GroupId", &bastion),
    ];
    cloud.ec2("AuthorizeSecurityGroupIngress", &reference).await.ok();
    // The image, looked up both ways.
    let image = cloud.image().await;
    let name = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2";
    let parameter = cloud.ssm("GetParameter", &format!(r#"{{"Name":"{name}"}}"#)).await.ok();
    let newest = parameter.body.split(r#""Value":""#).nth(1).expect("a value");
    let newest = newest.split('"').next().expect("an end").to_owned();
    let alias = format!("resolve:ssm:{name}");
    let found = cloud.ec2("DescribeImages", &[("ImageId.1", &newest)]).await.ok();
    assert!(found.text("name").starts_with("amzn2-ami-hvm-2.0.2025"), "{}", found.body);
    // Steps 10 to 18: an instance with a public address and user data.
    let launch = [
        ("ImageId", image.as_str()),
        ("InstanceType", "t2.micro"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("KeyName", "lab"),
        ("UserData", USER_DATA),
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", &subnets[0]),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("NetworkInterface.1.SecurityGroupId.1", &public),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "Name"),
        ("TagSpecification.1.Tag.1.Value", "PUBLIC-01"),
        ("TagSpecification.1.Tag.2.Key", "IMD-EC2"),
        ("TagSpecification.1.Tag.2.Value", "PUBLIC-01"),
    ];
    let reply = cloud.ec2("RunInstances", &launch).await.ok();
    assert!(reply.body.contains("<name>pending</name>"));
    let id = reply.text("instanceId");
    let running = cloud.until_state(&id, "running").await;
    let address = running.text("ipAddress");
    assert!(address.starts_with("198.18."));
    let name = format!("ec2-{}.ap-northeast-2.compute.amazonaws.com", address.replace('.', "-"));
    assert_eq!(running.text("dnsName"), name, "DNS-8");
    assert!(running.text("privateDnsName").ends_with(".ap-northeast-2.compute.internal"), "DNS-6");
    assert!(running.text("privateIpAddress").starts_with("10.1.1."));
    // The group at the top and at the interface, though given at the interface alone.
    assert_eq!(running.body.matches(&format!("<groupId>{public}</groupId>")).count(), 2);
    let volume = id_after(&running, "<blockDeviceMapping>", "vol-").to_owned();
    let shown = cloud.ec2("DescribeVolumes", &[("VolumeId.1", &volume)]).await.ok();
    assert_eq!(
        (shown.text("volumeType"), shown.text("size")),
        ("gp2".into(), "8".into()),
        "EC2-26"
    );
    // A launch may name the image by the parameter itself.
    let quiet = [
        ("ImageId", alias.as_str()),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", &subnets[2]),
        ("SecurityGroupId.1", &private),
    ];
    let quiet = cloud.make("RunInstances", &quiet, "instanceId").await;
    let shown = cloud.until_state(&quiet, "running").await;
    assert_eq!(shown.text("imageId"), newest);
    // A private instance has no association at all, not an empty one.
    assert!(!shown.body.contains("<association"), "{}", shown.body);
    assert_eq!(shown.get("ipAddress"), None);
    let found = cloud
        .ec2(
            "DescribeInstances",
            &[
                ("Filter.1.Name", "tag:IMD-EC2"),
                ("Filter.1.Value.1", "PUBLIC-*"),
                ("Filter.2.Name", "instance-state-name"),
                ("Filter.2.Value.1", "running"),
            ],
        )
        .await
        .ok();
    assert_eq!(found.all("instanceId").first(), Some(&id));
    assert_eq!(cloud.control.resolve("PUBLIC-01").len(), 1);
    assert_eq!(cloud.control.resolve(&address).len(), 1);
    // The policy that the data path has knows both interfaces.
    let policy = cloud.linux.policy().expect("a policy");
    assert_eq!(policy.ports().count(), 4, "two interfaces, the internet, the services");
    let view = cloud.linux.view().expect("a view");
    assert_eq!(view.instances.len(), 2);
    let seen = view.instances.values().find(|it| it.instance_id.as_str() == id).expect("it");
    assert_eq!(seen.user_data.as_deref(), Some(&b"#!/bin/sh\necho hi\n"[..]), "IMDS-33");
    assert_eq!(seen.public_key.as_ref().map(|it| it.0.as_str()), Some("lab"), "IMDS-22");
    assert!(!seen.metadata_options.tokens_required, "IMDS-8");
}

#[tokio::test]
async fn clean_up_works_in_the_order_of_the_lab_only() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", &vpc)];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let table = cloud.make("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
    let tie_table = [("RouteTableId", table.as_str()), ("SubnetId", &subnet)];
    let association = cloud.make("AssociateRouteTable", &tie_table, "associationId").await;
    let group = [("GroupName", "g"), ("GroupDescription", "d"), ("VpcId", vpc.as_str())];
    let group = cloud.make("CreateSecurityGroup", &group, "groupId").await;
    let interface = [
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", subnet.as_str()),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
        ("NetworkInterface.1.SecurityGroupId.1", &group),
    ];
    let id = cloud.instance(&subnet, &interface).await;
    // LAB-18: nothing goes while something needs it.
    for (action, parameters, message) in [
        (
            "DetachInternetGateway",
            vec![("InternetGatewayId", gateway.as_str()), ("VpcId", &vpc)],
            format!(
                "Network {vpc} has some mapped public address(es). Please unmap those public \
                 address(es) before detaching the gateway."
            ),
        ),
        (
            "DeleteSecurityGroup",
            vec![("GroupId", group.as_str())],
            format!("resource {group} has a dependent object"),
        ),
        (
            "DeleteSubnet",
            vec![("SubnetId", subnet.as_str())],
            format!("The subnet '{subnet}' has dependencies and cannot be deleted."),
        ),
        (
            "DeleteRouteTable",
            vec![("RouteTableId", table.as_str())],
            format!("The routeTable '{table}' has dependencies and cannot be deleted."),
        ),
        (
            "DeleteInternetGateway",
            vec![("InternetGatewayId", gateway.as_str())],
            format!("The internetGateway '{gateway}' has dependencies and cannot be deleted."),
        ),
        (
            "DeleteVpc",
            vec![("VpcId", vpc.as_str())],
            format!("The vpc '{vpc}' has dependencies and cannot be deleted."),
        ),
    ] {
        let refused = cloud.ec2(action, &parameters).await;
        assert_eq!(refused.refusal(), ("DependencyViolation".into(), message), "{action}");
    }
    cloud.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await.ok();
    let gone = cloud.until_state(&id, "terminated").await;
    assert_eq!(gone.get("ipAddress"), None, "EC2-3");
    assert_eq!(gone.get("networkInterfaceId"), None);
    cloud.ec2("DeleteSecurityGroup", &[("GroupId", &group)]).await.ok();
    cloud.ec2("DisassociateRouteTable", &[("AssociationId", &association)]).await.ok();
    cloud.ec2("DeleteSubnet", &[("SubnetId", &subnet)]).await.ok();
    cloud.ec2("DeleteRouteTable", &[("RouteTableId", &table)]).await.ok();
    cloud.ec2("DetachInternetGateway", &tie).await.ok();
    cloud.ec2("DeleteInternetGateway", &[("InternetGatewayId", &gateway)]).await.ok();
    cloud.ec2("DeleteVpc", &[("VpcId", &vpc)]).await.ok();
    let shown = cloud.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await;
    let message = format!("The vpc ID '{vpc}' does not exist");
    assert_eq!(shown.refusal(), ("InvalidVpcID.NotFound".into(), message), "API-11");
    for action in ["DescribeSecurityGroups", "DescribeNetworkAcls", "DescribeRouteTables"] {
        let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc.as_str())];
        let left = cloud.ec2(action, &filter).await.ok();
        assert!(!left.body.contains(&vpc), "CIDR-13: {}", left.body);
    }
}

#[tokio::test]
async fn an_account_finds_a_default_vpc_where_it_first_comes() {
    let cloud = Cloud::new();
    let vpcs = cloud.ec2("DescribeVpcs", &[]).await.ok();
    assert_eq!(vpcs.all("cidrBlock").first().map(String::as_str), Some("172.31.0.0/16"));
    assert_eq!(vpcs.text("isDefault"), "true");
    let subnets = cloud.ec2("DescribeSubnets", &[]).await.ok();
    assert_eq!(subnets.all("subnetId").len(), 4, "CIDR-14");
    assert_eq!(subnets.all("availableIpAddressCount"), ["4091"; 4], "SUB-2");
    assert_eq!(subnets.all("mapPublicIpOnLaunch"), ["true"; 4]);
    let options = cloud.ec2("DescribeDhcpOptions", &[]).await.ok();
    assert!(options.body.contains("AmazonProvidedDNS"), "DHCP-1");
    let image = cloud.image().await;
    let launch = [("ImageId", image.as_str()), ("MinCount", "1"), ("MaxCount", "2")];
    let launched = cloud.ec2("RunInstances", &launch).await.ok();
    assert_eq!(launched.all("amiLaunchIndex"), ["0", "1"], "EC2-22");
    assert_eq!(launched.all("ipAddress").len(), 2, "PUB-1");
    let identity = cloud.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(identity.text("Account"), "111122223333");
    // Another account and another region have their own.
    let mut other = Cloud::new();
    other.account = "444455556666".into();
    assert_ne!(other.ec2("DescribeVpcs", &[]).await.ok().text("vpcId"), "");
    let refused = cloud.ec2("CreateDefaultVpc", &[]).await;
    assert_eq!(refused.code(), "DefaultVpcAlreadyExists");
}
