//! The calls themselves: ids, tags, filters, pages, tokens, what is refused.

use std::time::Duration;

use crate::{
    common::{Cloud, refused},
    setup::{Network, token},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn path(cloud: &Cloud, more: &[(&str, &str)]) -> String {
    let token = token();
    let mut all = vec![("ClientToken", token.as_str()), ("Protocol", "tcp")];
    all.extend(more);
    cloud.make("CreateNetworkInsightsPath", &all, "networkInsightsPathId").await
}

async fn start(cloud: &Cloud, path: &str) -> String {
    let token = token();
    let all = [("ClientToken", token.as_str()), ("NetworkInsightsPathId", path)];
    cloud.make("StartNetworkInsightsAnalysis", &all, "networkInsightsAnalysisId").await
}

/// RA-1, API-3, API-4, API-7, API-9.
#[tokio::test]
async fn paths_are_records_like_others() {
    let network = Network::new().await;
    let cloud = &network.cloud;
    let once = [
        ("ClientToken", "once"),
        ("Source", network.gateway.as_str()),
        ("Destination", network.web.id.as_str()),
        ("Protocol", "tcp"),
        ("FilterAtSource.DestinationPortRange.FromPort", "80"),
        ("FilterAtSource.DestinationPortRange.ToPort", "90"),
        ("TagSpecification.1.ResourceType", "network-insights-path"),
        ("TagSpecification.1.Tag.1.Key", "team"),
        ("TagSpecification.1.Tag.1.Value", "red"),
    ];
    let mut rehearsed = once.to_vec();
    rehearsed.push(("DryRun", "true"));
    assert_eq!(cloud.ec2("CreateNetworkInsightsPath", &rehearsed).await.code(), "DryRunOperation");
    let made = cloud.ec2("CreateNetworkInsightsPath", &once).await.ok();
    let id = made.text("networkInsightsPathId");
    assert!(id.starts_with("nip-0"), "{id}");
    let again = cloud.ec2("CreateNetworkInsightsPath", &once).await.ok();
    assert_eq!(again.text("networkInsightsPathId"), id, "API-4");
    let arn = format!("arn:aws:ec2:ap-northeast-2:111122223333:network-insights-path/{id}");
    assert_eq!(made.text("networkInsightsPathArn"), arn);
    let of_web = format!("arn:aws:ec2:ap-northeast-2:111122223333:instance/{}", network.web.id);
    assert_eq!(made.text("destinationArn"), of_web);
    let by_arn = path(cloud, &[("Source", &of_web), ("Destination", &network.gateway)]).await;
    let filtered = async |name: &str, value: &str| {
        let filter = [("Filter.1.Name", name), ("Filter.1.Value.1", value)];
        cloud.ec2("DescribeNetworkInsightsPaths", &filter).await.ok().all("networkInsightsPathId")
    };
    assert_eq!(filtered("source", &network.web.id).await, [by_arn.as_str()]);
    assert_eq!(filtered("filter-at-source.destination-port-range", "80-90").await, [id.as_str()]);
    assert_eq!(filtered("tag:team", "red").await, [id.as_str()]);
    assert_eq!(filtered("protocol", "udp").await, [""; 0]);
    let first = cloud.ec2("DescribeNetworkInsightsPaths", &[("MaxResults", "1")]).await.ok();
    let next = [("MaxResults", "1"), ("NextToken", &first.text("nextToken"))];
    let second = cloud.ec2("DescribeNetworkInsightsPaths", &next).await.ok();
    assert_eq!(second.get("nextToken"), None, "API-7");
    assert_ne!(first.text("networkInsightsPathId"), second.text("networkInsightsPathId"));
    let tags = [("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", id.as_str())];
    let tags = cloud.ec2("DescribeTags", &tags).await.ok();
    assert_eq!(tags.text("resourceType"), "network-insights-path");
    let untag = [("ResourceId.1", id.as_str()), ("Tag.1.Key", "team")];
    cloud.ec2("DeleteTags", &untag).await.ok();
    let deleted = cloud.ec2("DeleteNetworkInsightsPath", &[("NetworkInsightsPathId", &id)]).await;
    assert_eq!(deleted.ok().text("networkInsightsPathId"), id);
}

/// RA-2: analyses hold their path, go by themselves after 120 days, and speak of their moment.
#[tokio::test]
async fn analyses_hold_their_path_and_go_by_themselves() {
    let network = Network::new().await;
    let cloud = &network.cloud;
    let ends = [("Source", network.gateway.as_str()), ("Destination", network.web.id.as_str())];
    let path = path(cloud, &ends).await;
    let one = start(cloud, &path).await;
    cloud.advance(Duration::from_secs(60));
    cloud
        .ec2(
            "RevokeSecurityGroupIngress",
            &[
                ("GroupId", network.web_group.as_str()),
                ("IpPermissions.1.IpProtocol", "tcp"),
                ("IpPermissions.1.FromPort", "80"),
                ("IpPermissions.1.ToPort", "80"),
                crate::setup::ANYBODY,
            ],
        )
        .await
        .ok();
    let two = start(cloud, &path).await;
    let of_path = [("NetworkInsightsPathId", path.as_str())];
    let shown = cloud.ec2("DescribeNetworkInsightsAnalyses", &of_path).await.ok();
    let found = |id: &str| {
        let part = &shown.body[shown.body.find(id).expect("the analysis")..];
        part.split("<networkPathFound>").nth(1).expect("a verdict").starts_with("true")
    };
    assert!(found(&one) && !found(&two), "{}", shown.body);
    let wanted = [of_path[0], ("Filter.1.Name", "path-found"), ("Filter.1.Value.1", "true")];
    let shown = cloud.ec2("DescribeNetworkInsightsAnalyses", &wanted).await.ok();
    assert_eq!(shown.all("networkInsightsAnalysisId"), [one.as_str()]);
    let since = [of_path[0], ("AnalysisStartTime", "2021-09-03T01:02:30Z")];
    let shown = cloud.ec2("DescribeNetworkInsightsAnalyses", &since).await.ok();
    assert_eq!(shown.all("networkInsightsAnalysisId"), [two.as_str()]);
    refused(
        cloud,
        &[("DeleteNetworkInsightsPath", &of_path, "AnalysisExistsForNetworkInsightsPath", &path)],
    )
    .await;
    let named = [("NetworkInsightsAnalysisId", one.as_str())];
    cloud.ec2("DeleteNetworkInsightsAnalysis", &named).await.ok();
    cloud.advance(121 * DAY);
    let gone = |it: &crate::common::Reply| !it.body.contains("<networkInsightsAnalysisId>");
    cloud.until("DescribeNetworkInsightsAnalyses", &[], gone).await;
    cloud.ec2("DeleteNetworkInsightsPath", &of_path).await.ok();
}

/// What is refused, and changes nothing.
#[tokio::test]
async fn bad_paths_are_refused() {
    let network = Network::new().await;
    let (cloud, web, igw) = (&network.cloud, network.web.id.as_str(), network.gateway.as_str());
    let (token, protocol) = (("ClientToken", "t"), ("Protocol", "tcp"));
    let (from, to) = (("Source", igw), ("Destination", web));
    let create = "CreateNetworkInsightsPath";
    let elsewhere = "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0";
    refused(
        cloud,
        &[
            (create, &[token, protocol, from], "MissingParameter", "Destination"),
            (
                create,
                &[token, protocol, ("Source", "nonesuch"), to],
                "InvalidParameterValue",
                "Source",
            ),
            (
                create,
                &[token, protocol, ("Source", "nat-0123456789abcdef0"), to],
                "InvalidParameterValue",
                "Source",
            ),
            (
                create,
                &[token, protocol, from, ("Destination", elsewhere)],
                "InvalidParameterValue",
                "another Region",
            ),
            (
                create,
                &[token, protocol, from, ("Destination", "arn:aws:s3:::b")],
                "InvalidParameterValue",
                "ARN",
            ),
            (
                create,
                &[token, protocol, from, ("Destination", "i-0ffffffffffffffff")],
                "InvalidInstanceID.NotFound",
                "does not exist",
            ),
            (
                create,
                &[token, protocol, from, ("Destination", igw)],
                "InvalidParameterValue",
                "different",
            ),
            (
                create,
                &[token, protocol, from, to, ("SourceIp", "10.0.0.300")],
                "InvalidParameterValue",
                "IPv4",
            ),
            (
                create,
                &[token, protocol, from, to, ("SourceIp", "2001:db8::1")],
                "InvalidParameterValue",
                "IPv4",
            ),
            (
                create,
                &[
                    token,
                    protocol,
                    from,
                    to,
                    ("DestinationPort", "80"),
                    ("FilterAtSource.DestinationPortRange.FromPort", "1"),
                    ("FilterAtSource.DestinationPortRange.ToPort", "2"),
                ],
                "InvalidParameterCombination",
                "FilterAtSource",
            ),
            (
                create,
                &[
                    token,
                    protocol,
                    from,
                    to,
                    ("DestinationIp", "10.1.1.9"),
                    ("FilterAtDestination.SourceAddress", "192.0.2.1"),
                ],
                "InvalidParameterCombination",
                "FilterAtDestination",
            ),
            (
                create,
                &[
                    token,
                    protocol,
                    from,
                    to,
                    ("FilterAtSource.DestinationPortRange.FromPort", "9"),
                    ("FilterAtSource.DestinationPortRange.ToPort", "2"),
                ],
                "InvalidParameterValue",
                "port range",
            ),
            (
                create,
                &[token, protocol, from, to, ("DestinationPort", "65536")],
                "InvalidParameterValue",
                "",
            ),
            (create, &[token, ("Protocol", "icmp"), from, to], "InvalidParameterValue", ""),
            (
                "StartNetworkInsightsAnalysis",
                &[token, ("NetworkInsightsPathId", "nip-0ffffffffffffffff")],
                "InvalidNetworkInsightsPathId.NotFound",
                "does not exist",
            ),
            (
                "DeleteNetworkInsightsAnalysis",
                &[("NetworkInsightsAnalysisId", "nia-0ffffffffffffffff")],
                "InvalidNetworkInsightsAnalysisId.NotFound",
                "does not exist",
            ),
        ],
    )
    .await;
    let path = path(cloud, &[from, to]).await;
    let named = ("NetworkInsightsPathId", path.as_str());
    refused(
        cloud,
        &[(
            "StartNetworkInsightsAnalysis",
            &[token, named, ("FilterInArn.1", "igw-1")],
            "InvalidParameterValue",
            "ARN",
        )],
    )
    .await;
    let rehearsed = [token, named, ("DryRun", "true")];
    let rehearsed = cloud.ec2("StartNetworkInsightsAnalysis", &rehearsed).await;
    assert_eq!(rehearsed.code(), "DryRunOperation", "API-3");
    let begin = [token, named];
    let one = cloud.make("StartNetworkInsightsAnalysis", &begin, "networkInsightsAnalysisId").await;
    let again =
        cloud.make("StartNetworkInsightsAnalysis", &begin, "networkInsightsAnalysisId").await;
    assert_eq!(one, again, "API-4");
}
