//! Services that accounts offer to endpoints: records of who may connect and who does.

mod common;

use common::{Cloud, refused};

const BALANCER: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:111122223333:loadbalancer/net/front/0123456789abcdef";

async fn service(cloud: &Cloud, more: &[(&str, &str)]) -> (String, String) {
    let mut parameters = vec![("NetworkLoadBalancerArn.1", BALANCER)];
    parameters.extend(more);
    let create = "CreateVpcEndpointServiceConfiguration";
    let made = cloud.ec2(create, &parameters).await.ok();
    (made.text("serviceId"), made.text("serviceName"))
}

#[tokio::test]
async fn an_endpoint_waits_for_the_owner_of_its_service() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let (id, name) = service(&cloud, &[]).await;
    assert_eq!(name, format!("com.amazonaws.vpce.ap-northeast-2.{id}"));
    let s = ("ServiceId", id.as_str());
    let make = [
        ("VpcEndpointType", "Interface"),
        ("VpcId", vpc.as_str()),
        ("ServiceName", name.as_str()),
        ("SubnetId.1", subnet.as_str()),
    ];
    let made = cloud.ec2("CreateVpcEndpoint", &make).await.ok();
    assert_eq!(
        (made.text("state"), made.text("privateDnsEnabled")),
        ("pendingAcceptance".into(), "false".into())
    );
    assert!(made.text("dnsName").ends_with(&format!(".{id}.ap-northeast-2.vpce.amazonaws.com")));
    let endpoint = made.text("vpcEndpointId");
    let e = ("VpcEndpointId.1", endpoint.as_str());
    let connections = async || cloud.ec2("DescribeVpcEndpointConnections", &[]).await.ok();
    let shown = connections().await;
    assert_eq!(
        (shown.text("vpcEndpointId"), shown.text("vpcEndpointState")),
        (endpoint.clone(), "pendingAcceptance".into())
    );
    let kept =
        cloud.ec2("DeleteVpcEndpointServiceConfigurations", &[("ServiceId.1", &id)]).await.ok();
    assert_eq!(kept.text("code"), "ExistingVpcEndpointConnections");
    let accepted = cloud.ec2("AcceptVpcEndpointConnections", &[s, e]).await.ok();
    assert!(accepted.body.contains("<unsuccessful/>"), "{}", accepted.body);
    let describe = [("VpcEndpointId.1", endpoint.as_str())];
    cloud.until("DescribeVpcEndpoints", &describe, |it| it.text("state") == "available").await;
    let again = cloud.ec2("AcceptVpcEndpointConnections", &[s, e]).await.ok();
    assert_eq!(again.text("code"), "InvalidState");
    cloud.ec2("RejectVpcEndpointConnections", &[s, e]).await.ok();
    assert_eq!(connections().await.text("vpcEndpointState"), "rejected");
    let gone =
        cloud.ec2("DeleteVpcEndpointServiceConfigurations", &[("ServiceId.1", &id)]).await.ok();
    assert!(gone.body.contains("<unsuccessful/>"), "{}", gone.body);
    refused(
        &cloud,
        &[
            ("CreateVpcEndpoint", &make, "InvalidServiceName", "does not exist"),
            (
                "DescribeVpcEndpointServicePermissions",
                &[s],
                "InvalidVpcEndpointServiceId.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn others_connect_when_they_may() {
    let cloud = Cloud::new();
    let (id, name) = service(&cloud, &[("AcceptanceRequired", "false")]).await;
    let s = ("ServiceId", id.as_str());
    let other = cloud.as_seen_by("444455556666", "ap-northeast-2");
    let (vpc, subnet) = other.network().await;
    let make = [
        ("VpcEndpointType", "Interface"),
        ("VpcId", vpc.as_str()),
        ("ServiceName", name.as_str()),
        ("SubnetId.1", subnet.as_str()),
    ];
    assert_eq!(other.ec2("CreateVpcEndpoint", &make).await.code(), "InvalidServiceName");
    let allow = [s, ("AddAllowedPrincipals.1", "arn:aws:iam::444455556666:root")];
    let added = cloud.ec2("ModifyVpcEndpointServicePermissions", &allow).await.ok();
    assert_eq!(added.text("principalType"), "Account");
    let shown = cloud.ec2("DescribeVpcEndpointServicePermissions", &[s]).await.ok();
    assert_eq!(shown.all("principal"), ["arn:aws:iam::444455556666:root"]);
    let found = other.ec2("DescribeVpcEndpointServices", &[("ServiceName.1", &name)]).await.ok();
    assert_eq!((found.text("owner"), found.text("serviceId")), (cloud.account.clone(), id.clone()));
    let endpoint = other.make("CreateVpcEndpoint", &make, "vpcEndpointId").await;
    let describe = [("VpcEndpointId.1", endpoint.as_str())];
    other.until("DescribeVpcEndpoints", &describe, |it| it.text("state") == "available").await;
    let connections = cloud.ec2("DescribeVpcEndpointConnections", &[]).await.ok();
    assert_eq!(connections.text("vpcEndpointOwner"), "444455556666");
    let private = [make[0], make[1], make[2], make[3], ("PrivateDnsEnabled", "true")];
    refused(
        &other,
        &[
            ("CreateVpcEndpoint", &private, "InvalidParameter", "verified private"),
            ("CreateVpcEndpoint", &make[1..], "InvalidParameter", "does not match"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_configuration_is_modified_and_checked() {
    let cloud = Cloud::new();
    let (id, _) = service(&cloud, &[("PrivateDnsName", "api.example.com")]).await;
    let s = ("ServiceId", id.as_str());
    let shown = async || {
        let id = [("ServiceId.1", id.as_str())];
        cloud.ec2("DescribeVpcEndpointServiceConfigurations", &id).await.ok()
    };
    let one = shown().await;
    assert_eq!(
        (one.text("privateDnsName"), one.text("type")),
        ("api.example.com".into(), "TXT".into())
    );
    assert!(one.body.contains("<state>pendingVerification</state>"), "{}", one.body);
    let second = BALANCER.replace("front", "back");
    let change = [
        s,
        ("AddNetworkLoadBalancerArn.1", second.as_str()),
        ("RemoveNetworkLoadBalancerArn.1", BALANCER),
        ("RemovePrivateDnsName", "true"),
        ("AcceptanceRequired", "false"),
    ];
    cloud.ec2("ModifyVpcEndpointServiceConfiguration", &change).await.ok();
    let one = shown().await;
    assert!(one.body.contains(&second) && !one.body.contains(BALANCER), "{}", one.body);
    assert_eq!((one.get("privateDnsName"), one.text("acceptanceRequired")), (None, "false".into()));
    let create = "CreateVpcEndpointServiceConfiguration";
    let gateway = BALANCER.replace("/net/", "/gwy/");
    refused(
        &cloud,
        &[
            (create, &[], "MissingParameter", "NetworkLoadBalancerArns"),
            (create, &[("NetworkLoadBalancerArn.1", "mine")], "InvalidParameter", "mine"),
            (
                create,
                &[("NetworkLoadBalancerArn.1", BALANCER), ("GatewayLoadBalancerArn.1", &gateway)],
                "InvalidParameterCombination",
                "not both",
            ),
            (
                "ModifyVpcEndpointServiceConfiguration",
                &[s, ("RemoveNetworkLoadBalancerArn.1", BALANCER)],
                "InvalidParameter",
                "no load balancer",
            ),
            (
                "ModifyVpcEndpointServicePermissions",
                &[s, ("AddAllowedPrincipals.1", "everybody")],
                "InvalidPrincipal",
                "everybody",
            ),
        ],
    )
    .await;
}
