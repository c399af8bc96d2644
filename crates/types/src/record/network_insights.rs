//! Reachability Analyzer and Network Access Analyzer (RA-*, NAA-1): what was asked, and what the
//! answer was at the time.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{
    NetworkInsightsAccessScopeAnalysisId, NetworkInsightsAccessScopeId, NetworkInsightsAnalysisId,
    NetworkInsightsPathId, Tags, Timestamp,
};

/// Ports, both ends included.
pub type PortRange = (u16, u16);

/// A path to analyze (RA-1). Nothing but its tags changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInsightsPath {
    /// Its id.
    pub id: NetworkInsightsPathId,
    /// Where packets come from.
    pub source: PathEnd,
    /// Where they shall arrive; without one, at the address that they are for.
    pub destination: Option<PathEnd>,
    /// The source address of packets that leave the source.
    pub source_ip: Option<Ipv4Addr>,
    /// The destination address of packets that reach the destination.
    pub destination_ip: Option<Ipv4Addr>,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The destination port of packets that leave the source.
    pub destination_port: Option<u16>,
    /// What packets that leave the source must be.
    pub filter_at_source: Option<PathFilter>,
    /// What packets that reach the destination must be.
    pub filter_at_destination: Option<PathFilter>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// An end of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEnd {
    /// The id of the resource.
    pub id: String,
    /// Its name in all of AWS.
    pub arn: String,
}

/// What a packet must be at an end of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFilter {
    /// Its source.
    pub source_address: Option<Ipv4Addr>,
    /// Its source port.
    pub source_ports: Option<PortRange>,
    /// Its destination.
    pub destination_address: Option<Ipv4Addr>,
    /// Its destination port.
    pub destination_ports: Option<PortRange>,
}

/// How an analysis ended. It is told as running in the answer that begins it and never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnalysisOutcome {
    /// A path was found; of an access scope, at least one.
    Found,
    /// There is none (RA-2).
    NotFound,
    /// The analysis failed: the answer is unknown, and this says why.
    Unknown(String),
}

/// One run of Reachability Analyzer (RA-2, RA-4, RA-5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInsightsAnalysis {
    /// Its id.
    pub id: NetworkInsightsAnalysisId,
    /// The path.
    pub path_id: NetworkInsightsPathId,
    /// What the path must traverse.
    pub filter_in_arns: Vec<String>,
    /// What it must not traverse.
    pub filter_out_arns: Vec<String>,
    /// Other accounts whose resources it may traverse, as given.
    pub additional_accounts: Vec<String>,
    /// When it began.
    pub started: Timestamp,
    /// How it ended.
    pub outcome: AnalysisOutcome,
    /// The way of the packet, as far as it came.
    pub forward: Vec<PathComponent>,
    /// The way of its answer, as far as it came.
    pub back: Vec<PathComponent>,
    /// What is in the way.
    pub explanations: Vec<Explanation>,
    /// Tags.
    pub tags: Tags,
}

/// A resource that an analysis speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisComponent {
    /// Its id.
    pub id: String,
    /// Its name in all of AWS.
    pub arn: String,
    /// Its `Name` tag.
    pub name: Option<String>,
}

/// One place on the way of a packet (RA-5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathComponent {
    /// What is there.
    pub component: Option<AnalysisComponent>,
    /// What that is attached to.
    pub attached_to: Option<AnalysisComponent>,
    /// Its subnet.
    pub subnet: Option<AnalysisComponent>,
    /// Its VPC.
    pub vpc: Option<AnalysisComponent>,
    /// The VPC that the packet leaves.
    pub source_vpc: Option<AnalysisComponent>,
    /// The VPC that the packet enters.
    pub destination_vpc: Option<AnalysisComponent>,
    /// The entry of the network ACL.
    pub acl_rule: Option<AnalysisAclRule>,
    /// The rule of the security group.
    pub security_group_rule: Option<AnalysisSecurityGroupRule>,
    /// The route.
    pub route: Option<AnalysisRoute>,
    /// The packet as it comes.
    pub inbound: Option<AnalysisHeader>,
    /// The packet as it leaves.
    pub outbound: Option<AnalysisHeader>,
    /// The name of the service of an endpoint.
    pub service_name: Option<String>,
}

/// The entry of a network ACL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisAclRule {
    /// The other end's block.
    pub cidr: String,
    /// Egress entry or ingress entry.
    pub egress: bool,
    /// Ports, where it names some.
    pub ports: Option<PortRange>,
    /// The protocol's number; `all` for all.
    pub protocol: String,
    /// Whether it allows.
    pub allow: bool,
    /// Its number; 32767 is the closing one.
    pub number: i32,
}

/// A rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisSecurityGroupRule {
    /// The other end's block.
    pub cidr: Option<String>,
    /// The group that the other end has.
    pub group: Option<String>,
    /// The prefix list that holds the other end.
    pub prefix_list: Option<String>,
    /// Egress rule or ingress rule.
    pub egress: bool,
    /// Ports, where it names some.
    pub ports: Option<PortRange>,
    /// The protocol's name or number; `all` for all.
    pub protocol: String,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisRoute {
    /// Where to.
    pub cidr: Option<String>,
    /// The prefix list that holds where to.
    pub prefix_list: Option<String>,
    /// The id of what it leads to; `local` within the VPC.
    pub target: String,
    /// The instance whose interface that is.
    pub instance: Option<String>,
    /// Whether what it leads to is there.
    pub active: bool,
    /// Whether it came with the table.
    pub with_table: bool,
}

/// The headers of the packets of a path. An empty list or `None` is "as before".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisHeader {
    /// Their sources, as blocks.
    pub sources: Vec<String>,
    /// Their destinations, as blocks.
    pub destinations: Vec<String>,
    /// Their source ports.
    pub source_ports: Vec<PortRange>,
    /// Their destination ports.
    pub destination_ports: Vec<PortRange>,
    /// The number of their protocol.
    pub protocol: Option<String>,
}

/// Why there is no path: one of AWS's codes, with what it is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// AWS's code.
    pub code: String,
    /// Out of (true) or into the interface or subnet.
    pub egress: Option<bool>,
    /// The network ACL.
    pub acl: Option<AnalysisComponent>,
    /// Its entry.
    pub acl_rule: Option<AnalysisAclRule>,
    /// An address, as a block.
    pub address: Option<String>,
    /// Blocks.
    pub cidrs: Vec<String>,
    /// The resource that it is about.
    pub component: Option<AnalysisComponent>,
    /// Where the packet shall go.
    pub destination: Option<AnalysisComponent>,
    /// The VPC that the packet would enter.
    pub destination_vpc: Option<AnalysisComponent>,
    /// The VPC that the packet would leave.
    pub source_vpc: Option<AnalysisComponent>,
    /// The route table of a gateway.
    pub ingress_route_table: Option<AnalysisComponent>,
    /// The internet gateway.
    pub internet_gateway: Option<AnalysisComponent>,
    /// What is not there.
    pub missing_component: Option<String>,
    /// The NAT gateway.
    pub nat_gateway: Option<AnalysisComponent>,
    /// The interface.
    pub network_interface: Option<AnalysisComponent>,
    /// The field of the packet that does not fit.
    pub packet_field: Option<String>,
    /// The peering connection.
    pub peering: Option<AnalysisComponent>,
    /// Ports.
    pub ports: Vec<PortRange>,
    /// Protocols.
    pub protocols: Vec<String>,
    /// The route.
    pub route: Option<AnalysisRoute>,
    /// The route table.
    pub route_table: Option<AnalysisComponent>,
    /// The security groups.
    pub security_groups: Vec<AnalysisComponent>,
    /// The state of what does not function.
    pub state: Option<String>,
    /// The subnet.
    pub subnet: Option<AnalysisComponent>,
    /// The VPC.
    pub vpc: Option<AnalysisComponent>,
    /// The endpoint.
    pub vpc_endpoint: Option<AnalysisComponent>,
}

/// A Network Access Scope (NAA-1): which paths count, but for which. Nothing but its tags changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInsightsAccessScope {
    /// Its id.
    pub id: NetworkInsightsAccessScopeId,
    /// The paths that count.
    pub match_paths: Vec<AccessScopePath>,
    /// Those among them that do not.
    pub exclude_paths: Vec<AccessScopePath>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// Paths. What is not said is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccessScopePath {
    /// Where they begin.
    pub source: Option<PathStatement>,
    /// Where they end.
    pub destination: Option<PathStatement>,
    /// What they pass.
    pub through: Vec<ResourceStatement>,
}

/// An end of paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PathStatement {
    /// Which packets.
    pub packet: Option<PacketHeaderStatement>,
    /// Which resources.
    pub resource: Option<ResourceStatement>,
}

/// Packets. What is not said is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketHeaderStatement {
    /// Their sources: addresses or blocks.
    pub source_addresses: Vec<String>,
    /// Their destinations.
    pub destination_addresses: Vec<String>,
    /// Their source ports: `80` or `1024-65535`.
    pub source_ports: Vec<String>,
    /// Their destination ports.
    pub destination_ports: Vec<String>,
    /// Prefix lists that hold their sources.
    pub source_prefix_lists: Vec<String>,
    /// Prefix lists that hold their destinations.
    pub destination_prefix_lists: Vec<String>,
    /// `tcp`, `udp`.
    pub protocols: Vec<String>,
}

/// Resources: some by their ids or names, or all of some kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatement {
    /// Ids or ARNs.
    pub resources: Vec<String>,
    /// Kinds, as `AWS::EC2::InternetGateway`.
    pub types: Vec<String>,
}

/// One run of Network Access Analyzer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInsightsAccessScopeAnalysis {
    /// Its id.
    pub id: NetworkInsightsAccessScopeAnalysisId,
    /// The scope.
    pub scope_id: NetworkInsightsAccessScopeId,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub outcome: AnalysisOutcome,
    /// What a reader of the findings should know.
    pub warning: Option<String>,
    /// How many interfaces were looked at.
    pub interfaces: u32,
    /// The paths that were found.
    pub findings: Vec<AccessScopeFinding>,
    /// Tags.
    pub tags: Tags,
}

/// A path that a scope speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessScopeFinding {
    /// Its id.
    pub id: String,
    /// Its components.
    pub components: Vec<PathComponent>,
}
