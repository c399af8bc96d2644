//! Access scopes and their findings (NAA-1).

use crate::{
    common::{Cloud, Reply, refused},
    setup::{ANYBODY, Network, admit, host, ids, token},
};

async fn scope(cloud: &Cloud, statements: &[(&str, &str)]) -> String {
    let token = token();
    let mut all = vec![("ClientToken", token.as_str())];
    all.extend(statements);
    let made = cloud.ec2("CreateNetworkInsightsAccessScope", &all).await.ok();
    made.text("networkInsightsAccessScopeId")
}

/// Analyzes a scope: what is told of the analysis, and its findings.
async fn analyzed(cloud: &Cloud, scope: &str) -> (Reply, Reply) {
    let token = token();
    let start = [("ClientToken", token.as_str()), ("NetworkInsightsAccessScopeId", scope)];
    let begun = cloud.ec2("StartNetworkInsightsAccessScopeAnalysis", &start).await.ok();
    assert_eq!(begun.text("status"), "running");
    let id = begun.text("networkInsightsAccessScopeAnalysisId");
    assert!(id.starts_with("nisa-0"), "{id}");
    let named = [("NetworkInsightsAccessScopeAnalysisId.1", id.as_str())];
    let shown = cloud.ec2("DescribeNetworkInsightsAccessScopeAnalyses", &named).await.ok();
    let named = [("NetworkInsightsAccessScopeAnalysisId", id.as_str())];
    let findings = cloud.ec2("GetNetworkInsightsAccessScopeAnalysisFindings", &named).await.ok();
    (shown, findings)
}

/// First and last component of each finding.
fn ends(findings: &Reply) -> Vec<(String, String)> {
    let each = findings.body.split("<findingComponentSet>").skip(1);
    let ends = each.map(|part| {
        let body = format!("<findingComponentSet>{part}");
        let all = ids(&Reply { status: 200, body }, "findingComponentSet");
        (all.first().cloned().unwrap_or_default(), all.last().cloned().unwrap_or_default())
    });
    let mut ends: Vec<_> = ends.collect();
    ends.sort();
    ends
}

const FROM_GATEWAYS: (&str, &str) =
    ("MatchPath.1.Source.ResourceStatement.ResourceType.1", "AWS::EC2::InternetGateway");

/// NAA-1: nothing from an internet gateway reaches the private subnet; something does the public one.
#[tokio::test]
async fn from_internet_gateways() {
    let network = Network::new().await;
    let cloud = &network.cloud;
    let into = "MatchPath.1.Destination.ResourceStatement.Resource.1";
    let closed = scope(cloud, &[FROM_GATEWAYS, (into, &network.private)]).await;
    let (shown, findings) = analyzed(cloud, &closed).await;
    assert_eq!(shown.text("status"), "succeeded");
    assert_eq!(shown.text("findingsFound"), "false", "{}", shown.body);
    assert_eq!(shown.text("analyzedEniCount"), "2");
    assert_eq!(ends(&findings), []);
    let open = scope(cloud, &[FROM_GATEWAYS, (into, &network.public)]).await;
    let (shown, findings) = analyzed(cloud, &open).await;
    assert_eq!(shown.text("findingsFound"), "true");
    let expected = [(network.gateway.clone(), network.web.id.clone())];
    assert_eq!(ends(&findings), expected, "TCP 80 alone: {}", findings.body);
    assert_eq!(findings.text("analysisStatus"), "succeeded");
    let ports = "<destinationPortRangeSet><item><from>80</from><to>80</to></item>";
    assert!(findings.body.contains(ports), "{}", findings.body);
    // Everything that was not meant: none, once it is said what was.
    let meant = [
        FROM_GATEWAYS,
        ("ExcludePath.1.Source.ResourceStatement.ResourceType.1", "AWS::EC2::InternetGateway"),
        ("ExcludePath.1.Destination.PacketHeaderStatement.DestinationPort.1", "80"),
        ("ExcludePath.1.Destination.PacketHeaderStatement.Protocol.1", "tcp"),
        ("ExcludePath.1.Destination.ResourceStatement.Resource.1", &network.web_group),
    ];
    let meant = scope(cloud, &meant).await;
    assert_eq!(analyzed(cloud, &meant).await.0.text("findingsFound"), "false");
    admit(cloud, &network.web_group, "22", ANYBODY).await;
    let (shown, findings) = analyzed(cloud, &meant).await;
    assert_eq!(shown.text("findingsFound"), "true");
    assert!(findings.body.contains("<from>22</from><to>22</to>"), "{}", findings.body);
    assert!(!findings.body.contains("<from>80</from><to>80</to>"), "excluded: {}", findings.body);
}

/// NAA-1: packets, prefix lists, what is passed; between instances.
#[tokio::test]
async fn between_interfaces() {
    let network = Network::new().await;
    let (cloud, web, app) = (&network.cloud, &network.web, &network.app);
    let second = host(cloud, &network.public, &network.web_group, false).await;
    let within = [
        ("MatchPath.1.Source.ResourceStatement.Resource.1", network.vpc.as_str()),
        ("MatchPath.1.Destination.ResourceStatement.Resource.1", network.app.id.as_str()),
    ];
    let (_, findings) = analyzed(cloud, &scope(cloud, &within).await).await;
    let mut expected = vec![(web.id.clone(), app.id.clone()), (second.id.clone(), app.id.clone())];
    expected.sort();
    assert_eq!(ends(&findings), expected, "{}", findings.body);
    // All findings of a page and the rest.
    let analysis = findings.text("networkInsightsAccessScopeAnalysisId");
    let named = ("NetworkInsightsAccessScopeAnalysisId", analysis.as_str());
    let get = "GetNetworkInsightsAccessScopeAnalysisFindings";
    let first = cloud.ec2(get, &[named, ("MaxResults", "1")]).await.ok();
    let next = first.text("nextToken");
    let rest = cloud.ec2(get, &[named, ("NextToken", &next)]).await.ok();
    assert_ne!(first.text("findingId"), rest.text("findingId"), "API-7");
    assert_eq!(rest.get("nextToken"), None);
    let mut other_port = within.to_vec();
    other_port.push(("MatchPath.1.Source.PacketHeaderStatement.DestinationPort.1", "1-8000"));
    let (shown, _) = analyzed(cloud, &scope(cloud, &other_port).await).await;
    assert_eq!(shown.text("findingsFound"), "false");
    let mut from_one = within.to_vec();
    from_one.push(("MatchPath.1.Source.PacketHeaderStatement.SourceAddress.1", &web.address));
    let (_, findings) = analyzed(cloud, &scope(cloud, &from_one).await).await;
    assert_eq!(ends(&findings), [(web.id.clone(), app.id.clone())]);
    let nat = network.nat_gateway().await;
    let out = [
        ("MatchPath.1.Source.ResourceStatement.ResourceType.1", "AWS::EC2::NetworkInterface"),
        ("MatchPath.1.Destination.ResourceStatement.ResourceType.1", "AWS::EC2::InternetGateway"),
        ("MatchPath.1.Source.PacketHeaderStatement.Protocol.1", "tcp"),
        ("MatchPath.1.ThroughResource.1.ResourceStatement.ResourceType.1", "AWS::EC2::NatGateway"),
    ];
    let (_, findings) = analyzed(cloud, &scope(cloud, &out).await).await;
    assert_eq!(ends(&findings), [(app.id.clone(), network.gateway.clone())], "{}", findings.body);
    assert!(findings.body.contains(&nat));
}

/// NAA-1: unknown is neither true nor false; scopes are records; what is refused.
#[tokio::test]
async fn scopes_are_records_like_others() {
    let network = Network::new().await;
    let cloud = &network.cloud;
    let tgw = cloud.make("CreateTransitGateway", &[], "transitGatewayId").await;
    let attach = [
        ("TransitGatewayId", tgw.as_str()),
        ("VpcId", network.vpc.as_str()),
        ("SubnetIds.1", network.public.as_str()),
    ];
    cloud.ec2("CreateTransitGatewayVpcAttachment", &attach).await.ok();
    let kind = "AWS::EC2::TransitGatewayAttachment";
    let from = ("MatchPath.1.Source.ResourceStatement.ResourceType.1", kind);
    let tag = [
        from,
        ("TagSpecification.1.ResourceType", "network-insights-access-scope"),
        ("TagSpecification.1.Tag.1.Key", "team"),
        ("TagSpecification.1.Tag.1.Value", "red"),
    ];
    let id = scope(cloud, &tag).await;
    assert!(id.starts_with("nis-0"), "{id}");
    let (shown, _) = analyzed(cloud, &id).await;
    assert_eq!(
        (shown.text("status"), shown.text("findingsFound")),
        ("failed".into(), "unknown".into())
    );
    assert!(shown.text("statusMessage").contains(kind), "{}", shown.body);
    let named = [("NetworkInsightsAccessScopeId", id.as_str())];
    let content = cloud.ec2("GetNetworkInsightsAccessScopeContent", &named).await.ok();
    let source = format!("<resourceTypeSet><item>{kind}</item></resourceTypeSet>");
    assert!(content.body.contains(&source), "{}", content.body);
    let filter = [("Filter.1.Name", "tag:team"), ("Filter.1.Value.1", "red")];
    let listed = cloud.ec2("DescribeNetworkInsightsAccessScopes", &filter).await.ok();
    assert_eq!(listed.all("networkInsightsAccessScopeId"), [id.as_str()]);
    let create = "CreateNetworkInsightsAccessScope";
    let token = ("ClientToken", "t");
    let packet = "MatchPath.1.Source.PacketHeaderStatement";
    let address = format!("{packet}.SourceAddress.1");
    let port = format!("{packet}.DestinationPort.1");
    let named_too = ("MatchPath.1.Source.ResourceStatement.Resource.1", network.vpc.as_str());
    refused(
        cloud,
        &[
            (create, &[token], "MissingParameter", "MatchPaths"),
            (create, &[token, from, named_too], "InvalidParameterCombination", "together"),
            (create, &[token, (&address, "10.0.0.0/40")], "InvalidParameterValue", "10.0.0.0/40"),
            (create, &[token, (&port, "90-80")], "InvalidParameterValue", "90-80"),
            (
                "DeleteNetworkInsightsAccessScope",
                &named,
                "AnalysisExistsForNetworkInsightsAccessScope",
                &id,
            ),
        ],
    )
    .await;
    let analyses = cloud.ec2("DescribeNetworkInsightsAccessScopeAnalyses", &named).await.ok();
    let analysis = analyses.text("networkInsightsAccessScopeAnalysisId");
    let of_analysis = [("NetworkInsightsAccessScopeAnalysisId", analysis.as_str())];
    cloud.ec2("DeleteNetworkInsightsAccessScopeAnalysis", &of_analysis).await.ok();
    cloud.ec2("DeleteNetworkInsightsAccessScope", &named).await.ok();
}
