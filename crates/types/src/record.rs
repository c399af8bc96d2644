//! Records: what the store keeps, one struct a resource.
//!
//! A record holds facts that somebody asked for or that happened, never what can be derived (the
//! state of a route, free addresses in a subnet). Enums are closed; what comes later
//! (flow logs) becomes new variants and optional fields.

mod bucket;
mod endpoint;
mod endpoint_service;
mod flow_log;
mod iam;
mod image;
mod launch_template;
mod logs;
mod network_insights;
mod network_interface_permission;
mod placement_group;
mod public_access;
mod settings;
mod ssm;
mod subnet_cidr_reservation;
mod transit_gateway;
mod vpn;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, AddressAssociationId, AllocationId, AttachmentId, DhcpOptionsId,
    EgressOnlyInternetGatewayId, IamInstanceProfileAssociationId, ImageId, InstanceId,
    InternetGatewayId, IpProtocol, KeyPairId, NatGatewayId, NetworkAclAssociationId, NetworkAclId,
    NetworkInterfaceId, PortIndex, PrefixListId, Region, ReservationId, RouteTableAssociationId,
    RouteTableId, SecurityGroupId, SecurityGroupRuleId, SnapshotId, SubnetCidrAssociationId,
    SubnetId, Tags, Timestamp, TransitGatewayId, VolumeId, VpcCidrAssociationId, VpcEndpointId,
    VpcId, VpcPeeringConnectionId, VpnGatewayId,
};

pub use bucket::Bucket;
pub use endpoint::{InterfaceEndpoint, VpcEndpoint, VpcEndpointKind, VpcEndpointState};
pub use endpoint_service::{ServicePermission, VpcEndpointService};
pub use flow_log::{DepartedInterface, FlowLog, FlowLogDelivery, FlowLogDestination, TrafficType};
pub use iam::{
    AccessKey, AccountAlias, Group, InstanceProfile, ManagedPolicy, Permissions, PolicyVersion,
    Role, SessionCredential, SessionPrincipal, User,
};
pub use image::{ImageVolume, OwnImage, VolumeSnapshot};
pub use launch_template::{LaunchTemplate, LaunchTemplateVersion};
pub use logs::{LogGroup, LogResourcePolicy, LogStream, MetricFilter, MetricTransformation};
pub use network_insights::{
    AccessScopeFinding, AccessScopePath, AnalysisAclRule, AnalysisComponent, AnalysisHeader,
    AnalysisOutcome, AnalysisRoute, AnalysisSecurityGroupRule, Explanation,
    NetworkInsightsAccessScope, NetworkInsightsAccessScopeAnalysis, NetworkInsightsAnalysis,
    NetworkInsightsPath, PacketHeaderStatement, PathComponent, PathEnd, PathFilter, PathStatement,
    PortRange, ResourceStatement,
};
pub use network_interface_permission::NetworkInterfacePermission;
pub use placement_group::{Placed, PlacementGroup};
pub use public_access::{
    BlockMode, BlockPublicAccess, Excluded, ExclusionMode, PublicAccessExclusion, RestrictedSubnet,
};
pub use settings::{MetadataDefaults, RegionSettings};
pub use ssm::{
    AgentFacts, Command, Document, DocumentVersion, Invocation, InvocationStatus, ManagedInstance,
    Parameter, ParameterVersion, Session, SessionStatus,
};
pub use subnet_cidr_reservation::SubnetCidrReservation;
pub use transit_gateway::{
    TransitGateway, TransitGatewayOptions, TransitGatewayRoute, TransitGatewayRouteTable,
    TransitGatewayVpcAttachment,
};
pub use vpn::{
    CustomerGateway, VpnConnection, VpnGateway, VpnTarget, VpnTunnel, VpnTunnelLog,
    VpnTunnelOptions,
};

/// Where a record belongs: every key of the store begins with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

/// What an account has in a region besides resources. Made at the first call, with the default VPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionState {
    /// The set of DHCP options that new VPCs get (DHCP-1).
    pub default_dhcp_options: DhcpOptionsId,
    /// When the account was first seen in the region.
    pub created: Timestamp,
}

/// A remembered answer to a client token (API-4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientToken {
    /// The token as given.
    pub token: String,
    /// The operation.
    pub operation: String,
    /// A digest of the parameters, to tell a repeat from a misuse.
    pub request_digest: String,
    /// The ids of what the first call made.
    pub made: Vec<String>,
    /// When.
    pub created: Timestamp,
}

/// Where the next port and the next public address of the machine are taken from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursors {
    /// Ports below were given out since the count last began anew.
    pub port: u32,
    /// Addresses of the pool before this one were given out at least once.
    pub public_address: u32,
    /// IPv6 blocks of the pool before this one were given out since the count last began anew.
    #[serde(default)]
    pub ipv6_block: u32,
}

/// A public address of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// Who holds it now: an allocation id or an interface id.
    pub holder: Option<String>,
    /// When it was last given out or given back.
    pub changed: Timestamp,
}

/// A VPC (CIDR-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// The primary IPv4 block.
    pub cidr_block: Ipv4Net,
    /// All IPv4 blocks, the primary one first.
    pub cidr_associations: Vec<VpcCidrAssociation>,
    /// Its IPv6 blocks (CIDR-12).
    #[serde(default)]
    pub ipv6_cidr_associations: Vec<VpcIpv6CidrAssociation>,
    /// Its DHCP options; `None` is the set named `default`, which has none (DHCP-2).
    pub dhcp_options: Option<DhcpOptionsId>,
    /// `default` or `dedicated`.
    pub instance_tenancy: String,
    /// Whether it is the region's default VPC (CIDR-14).
    pub is_default: bool,
    /// Whether the Amazon resolver answers (DNS-3).
    pub enable_dns_support: bool,
    /// Whether instances get public host names (DNS-4).
    pub enable_dns_hostnames: bool,
    /// Recorded only.
    pub enable_network_address_usage_metrics: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// An IPv4 block of a VPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcCidrAssociation {
    /// Its id.
    pub id: VpcCidrAssociationId,
    /// The block.
    pub cidr_block: Ipv4Net,
}

/// An IPv6 block of a VPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcIpv6CidrAssociation {
    /// Its id.
    pub id: VpcCidrAssociationId,
    /// The block, a /56 of the machine's pool of IPv6 addresses (CIDR-12).
    pub cidr_block: Ipv6Net,
}

/// The IPv6 block of a subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubnetIpv6CidrAssociation {
    /// Its id.
    pub id: SubnetCidrAssociationId,
    /// The block, a /64 of one of the VPC's blocks (CIDR-12).
    pub cidr_block: Ipv6Net,
}

/// A subnet (SUB-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Its IPv4 block; `None` where it has IPv6 only (CIDR-12, `Ipv6Native`).
    pub cidr_block: Option<Ipv4Net>,
    /// Its IPv6 block.
    #[serde(default)]
    pub ipv6_cidr_association: Option<SubnetIpv6CidrAssociation>,
    /// Its zone.
    pub availability_zone: String,
    /// Whether it is the zone's default subnet.
    pub default_for_az: bool,
    /// Whether instances get a public address when they don't say (PUB-1).
    pub map_public_ip_on_launch: bool,
    /// Whether interfaces get an IPv6 address when they are made (SUB-7).
    pub assign_ipv6_address_on_creation: bool,
    /// Whether the resolver makes up IPv6 addresses of what has IPv4 only (DNS-19).
    pub enable_dns64: bool,
    /// `ip-name` or `resource-name`.
    pub private_dns_hostname_type: String,
    /// Whether resource names answer A queries (DNS-7).
    pub resource_name_dns_a_record: bool,
    /// Whether resource names answer AAAA queries (DNS-7).
    pub resource_name_dns_aaaa_record: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

impl Subnet {
    /// Its IPv6 block.
    pub fn ipv6_block(&self) -> Option<Ipv6Net> {
        self.ipv6_cidr_association.as_ref().map(|association| association.cidr_block)
    }
}

/// The router's address of a subnet: the first after the network's own (SUB-2).
pub fn router_address(cidr: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.network()).wrapping_add(1))
}

/// Whether AWS keeps an address of a subnet for itself: the first four and the last (SUB-2).
pub fn is_reserved(cidr: Ipv4Net, address: Ipv4Addr) -> bool {
    u32::from(address).wrapping_sub(u32::from(cidr.network())) < 4 || address == cidr.broadcast()
}

/// Whether AWS keeps an address of a subnet's IPv6 block for itself: the first four and the last
/// (SUB-5).
pub fn is_reserved_ipv6(cidr: Ipv6Net, address: Ipv6Addr) -> bool {
    u128::from(address).wrapping_sub(u128::from(cidr.network())) < 4
        || u128::from(address) == u128::from(cidr.network()) | (u128::MAX >> cidr.prefix_len())
}

/// A route table (RT-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Its id.
    pub id: RouteTableId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Its routes, without the local ones, which follow from the blocks of the VPC (RT-1).
    pub routes: Vec<Route>,
    /// What it is associated with.
    pub associations: Vec<RouteTableAssociation>,
    /// The virtual private gateways whose routes shall be in it.
    #[serde(default)]
    pub propagating_gateways: Vec<VpnGatewayId>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A route that somebody made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub destination: RouteDestination,
    /// By which way.
    pub target: RouteTarget,
}

/// Where a route leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RouteDestination {
    /// An IPv4 block.
    Ipv4(Ipv4Net),
    /// An IPv6 block.
    Ipv6(Ipv6Net),
    /// The blocks of a prefix list.
    PrefixList(PrefixListId),
}

/// The way a route takes. Whether it works is derived from what it points at (RT-12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteTarget {
    /// Within the VPC.
    Local,
    /// An internet gateway.
    InternetGateway(InternetGatewayId),
    /// A network interface; an instance as target is stored as its interface (RT-11).
    NetworkInterface(NetworkInterfaceId),
    /// A NAT gateway (NAT-*).
    NatGateway(NatGatewayId),
    /// An egress-only internet gateway, for IPv6 (EIGW-1).
    EgressOnlyInternetGateway(EgressOnlyInternetGatewayId),
    /// A peering connection (RT-21).
    VpcPeeringConnection(VpcPeeringConnectionId),
    /// A virtual private gateway, whose tunnels are always down.
    VpnGateway(VpnGatewayId),
    /// A transit gateway, which carries nothing here.
    TransitGateway(TransitGatewayId),
    /// A gateway endpoint, to the prefix list of its service (VPCE-18).
    VpcEndpoint(VpcEndpointId),
}

/// The tie of a route table to a subnet, to a gateway, or to the VPC as its main table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTableAssociation {
    /// Its id.
    pub id: RouteTableAssociationId,
    /// The subnet.
    pub subnet_id: Option<SubnetId>,
    /// The internet gateway whose arriving packets the table routes (RT-18).
    #[serde(default)]
    pub gateway_id: Option<InternetGatewayId>,
    /// Whether this makes the table the VPC's main one (RT-3).
    pub main: bool,
}

/// An internet gateway (IGW-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// Its id.
    pub id: InternetGatewayId,
    /// The VPC that it is attached to.
    pub vpc_id: Option<VpcId>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// An egress-only internet gateway: IPv6 outward with its answers, nothing inward (EIGW-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EgressOnlyInternetGateway {
    /// Its id.
    pub id: EgressOnlyInternetGatewayId,
    /// The VPC that it is attached to, for its whole life.
    pub vpc_id: VpcId,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A key of EC2 Instance Connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectKey {
    /// The account of the operating system that it opens.
    pub user: String,
    /// The line of `authorized_keys`.
    pub key: String,
    /// When its minute is over.
    pub until: Timestamp,
}

/// The state of a NAT gateway (NAT-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatGatewayState {
    /// Being made.
    Pending,
    /// It translates.
    Available,
    /// It could not be made; shown for an hour.
    Failed,
    /// On its way out; it may still translate.
    Deleting,
    /// Gone; shown for an hour.
    Deleted,
}

impl NatGatewayState {
    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// Whether packets pass it.
    pub const fn translates(self) -> bool {
        matches!(self, Self::Available | Self::Deleting)
    }
}

/// A NAT gateway (NAT-*): many private sources behind its own addresses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatGateway {
    /// Its id.
    pub id: NatGatewayId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Its subnet, whose route table and network ACL it lives under (NAT-15, NACL-20).
    pub subnet_id: SubnetId,
    /// Public (it has Elastic IP addresses) or private (NAT-1).
    pub public: bool,
    /// Its state.
    pub state: NatGatewayState,
    /// Code and message of what went wrong (NAT-4).
    pub failure: Option<(String, String)>,
    /// Its interface, requester-managed (ENI-7); `None` where it failed and once it is deleted.
    pub network_interface_id: Option<NetworkInterfaceId>,
    /// Its addresses, the primary one first (NAT-20).
    pub addresses: Vec<NatGatewayAddress>,
    /// The client token of the call that made it.
    pub client_token: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted, or failed.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// An address of a NAT gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatGatewayAddress {
    /// The private address, one of its interface's; `None` where the gateway failed before it
    /// had one.
    pub private_ip: Option<Ipv4Addr>,
    /// The Elastic IP address, where the gateway is public.
    pub allocation_id: Option<AllocationId>,
    /// The association of that address with the interface.
    pub association_id: Option<AddressAssociationId>,
    /// The public address, as shown also after the gateway was deleted.
    pub public_ip: Option<Ipv4Addr>,
}

/// Where a peering connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeeringStatus {
    /// Waits for the accepter, seven days at most.
    PendingAcceptance,
    /// Packets pass.
    Active,
    /// The accepter said no.
    Rejected,
    /// Nobody said anything.
    Expired,
    /// It could not be made.
    Failed,
    /// Gone; shown for two hours.
    Deleted,
}

impl PeeringStatus {
    /// The code in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::PendingAcceptance => "pending-acceptance",
            Self::Active => "active",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
}

/// One side of a peering connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeeringVpc {
    /// Whose VPC, and where.
    pub scope: Scope,
    /// The VPC.
    pub vpc_id: VpcId,
    /// Whether public names of this side resolve to private addresses on the other (DNS-10).
    pub allow_dns_resolution_from_remote_vpc: bool,
}

/// A peering connection between two VPCs. It belongs to the machine: both sides see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcPeeringConnection {
    /// Its id.
    pub id: VpcPeeringConnectionId,
    /// Who asked.
    pub requester: PeeringVpc,
    /// Who was asked.
    pub accepter: PeeringVpc,
    /// Where it is in its life.
    pub status: PeeringStatus,
    /// In words, as AWS says it.
    pub status_message: String,
    /// When a request that nobody answers expires.
    pub expiration: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When its status last changed.
    pub changed: Timestamp,
    /// The requester's tags.
    pub tags: Tags,
    /// The accepter's tags.
    pub accepter_tags: Tags,
}

/// A customer-managed prefix list: blocks under one id (SG-22, RT-16).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrefixList {
    /// Its id.
    pub id: PrefixListId,
    /// Its name.
    pub name: String,
    /// Whether it holds IPv6 blocks (or IPv4 ones).
    pub ipv6: bool,
    /// As many entries count against quotas, however many there are (SG-22).
    pub max_entries: u32,
    /// Its entries, in the order they were added.
    pub entries: Vec<PrefixListEntry>,
    /// Begins at 1 and grows with each change of the entries.
    pub version: i64,
    /// Entries of earlier versions, by version, for GetManagedPrefixListEntries and
    /// RestoreManagedPrefixListVersion.
    pub earlier: Vec<(i64, Vec<PrefixListEntry>)>,
    /// As `create-complete`.
    pub state: String,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A block of a prefix list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixListEntry {
    /// The block.
    pub cidr: ipnet::IpNet,
    /// What it is.
    pub description: Option<String>,
}

/// A security group (SG-*). Its rules are records of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Its name, unique in the VPC whatever the case (SG-9).
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// One rule of a security group: it allows, there is no deny (SG-2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// Its id.
    pub id: SecurityGroupRuleId,
    /// The group.
    pub group_id: SecurityGroupId,
    /// Egress rule (true) or ingress rule.
    pub egress: bool,
    /// Which packets.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: RulePeer,
    /// Not part of the rule's identity (SG-19).
    pub description: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Which packets a rule of a security group speaks of (SG-12 to SG-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Traffic {
    /// Every protocol (`-1`).
    All,
    /// TCP, UDP: destination ports, both ends included.
    Ports {
        /// TCP or UDP.
        protocol: IpProtocol,
        /// The first port.
        from: u16,
        /// The last port.
        to: u16,
    },
    /// ICMP or ICMPv6: type and code; `None` is any (-1). A code without a type is not possible.
    Icmp {
        /// ICMP or ICMPv6.
        protocol: IpProtocol,
        /// The type.
        icmp_type: Option<u8>,
        /// The code.
        icmp_code: Option<u8>,
    },
    /// Another protocol, whatever its ports (SG-13).
    Protocol(IpProtocol),
}

/// The other end that a rule of a security group speaks of: exactly one (SG-10).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RulePeer {
    /// An IPv4 block.
    Ipv4(Ipv4Net),
    /// An IPv6 block.
    Ipv6(Ipv6Net),
    /// The private addresses of the members of a group (SG-30).
    Group(SecurityGroupId),
    /// A prefix list.
    PrefixList(PrefixListId),
}

/// A network ACL (NACL-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// Its id.
    pub id: NetworkAclId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Whether new subnets get it.
    pub is_default: bool,
    /// Its entries without the closing `*` ones, in any order.
    pub entries: Vec<NetworkAclEntry>,
    /// The subnets it guards.
    pub associations: Vec<NetworkAclAssociation>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// One entry of a network ACL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAclEntry {
    /// Lower numbers are tried first; 1 to 32766 (NACL-3).
    pub rule_number: u16,
    /// Egress entry (true) or ingress entry.
    pub egress: bool,
    /// Allow (true) or deny.
    pub allow: bool,
    /// Which packets.
    pub traffic: Traffic,
    /// The other end's block.
    pub cidr: ipnet::IpNet,
}

/// The tie of a network ACL to a subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAclAssociation {
    /// Its id.
    pub id: NetworkAclAssociationId,
    /// The subnet.
    pub subnet_id: SubnetId,
}

/// A set of DHCP options (DHCP-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptions {
    /// Its id.
    pub id: DhcpOptionsId,
    /// Keys with their values, as given (`AmazonProvidedDNS` included).
    pub configurations: Vec<(String, Vec<String>)>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A key pair (EC2-12 to EC2-15). The private half is never kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyPair {
    /// Its id.
    pub id: KeyPairId,
    /// Its name, unique in the region.
    pub name: String,
    /// `rsa` or `ed25519`.
    pub key_type: String,
    /// As EC2-13 says.
    pub fingerprint: String,
    /// In the form of OpenSSH's `authorized_keys`, the name as comment.
    pub public_key: String,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// The state of an instance (EC2-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Being made ready for its first or next boot.
    Pending,
    /// Its init runs and its link is up.
    Running,
    /// On its way to terminated.
    ShuttingDown,
    /// Gone; shown for an hour (EC2-3).
    Terminated,
    /// On its way to stopped.
    Stopping,
    /// Off; disks and private addresses are kept.
    Stopped,
}

impl InstanceState {
    /// The code in answers (EC2-1).
    pub const fn code(self) -> i32 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// An instance profile on an instance. The profile is meant by its unique id: one of the same name
/// that is made later is another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamInstanceProfileAssociation {
    /// Its id.
    pub id: IamInstanceProfileAssociationId,
    /// The profile's ARN, which outlives the profile.
    pub arn: String,
    /// The profile's unique id, `AIPA…`.
    pub profile_id: String,
    /// When it was made.
    pub associated: Timestamp,
}

/// An instance. Its interfaces and volumes are records that name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The call that made it.
    pub reservation_id: ReservationId,
    /// Its place among those made by that call, from 0.
    pub launch_index: u32,
    /// The image.
    pub image_id: ImageId,
    /// The type, as `t2.micro`.
    pub instance_type: String,
    /// The key pair's name.
    pub key_name: Option<String>,
    /// The key as it was at launch, which deleting the key pair leaves alone (EC2-15).
    pub public_key: Option<String>,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// The subnet of its primary interface.
    pub subnet_id: SubnetId,
    /// Its zone.
    pub availability_zone: String,
    /// Its state.
    pub state: InstanceState,
    /// Code and message of the last change of state that was not a plain start.
    pub state_reason: Option<(String, String)>,
    /// The text of `StateTransitionReason`.
    pub state_transition_reason: String,
    /// When it was last started.
    pub launch_time: Timestamp,
    /// How often it was started; each start is one run of its supervisor.
    pub starts: u32,
    /// How often a reboot was asked for; the host compares it with what it has done.
    pub reboots: u32,
    /// How many of those reboots were done.
    #[serde(default)]
    pub reboots_done: u32,
    /// Whether the stop that is under way does not wait for the operating system.
    #[serde(default)]
    pub force_stop: bool,
    /// When the state last changed, for what is shown an hour longer and for status checks.
    pub state_changed: Timestamp,
    /// Whether DHCP and the SSH server of the present run were seen (EC2-24).
    pub status_ok: bool,
    /// User data as decoded bytes, at most 16 KB (EC2-10).
    pub user_data: Option<Vec<u8>>,
    /// Options of the metadata service (IMDS-8).
    pub metadata_options: MetadataOptions,
    /// The instance profile that gives it a role.
    #[serde(default)]
    pub iam_instance_profile: Option<IamInstanceProfileAssociation>,
    /// Recorded: `default`, `dedicated` or `host`.
    pub tenancy: String,
    /// Recorded.
    pub ebs_optimized: bool,
    /// Recorded: detailed monitoring.
    pub monitoring: bool,
    /// Termination protection (EC2-6).
    pub disable_api_termination: bool,
    /// Stop protection.
    pub disable_api_stop: bool,
    /// What an operating system's own shutdown does: `stop` or `terminate` (EC2-9).
    pub instance_initiated_shutdown_behavior: String,
    /// Recorded: `standard` or `unlimited`.
    pub cpu_credits: Option<String>,
    /// Recorded.
    pub hibernation: bool,
    /// Recorded: whether it is not to be recovered by itself.
    #[serde(default)]
    pub auto_recovery_disabled: bool,
    /// Recorded: whether it is not to be moved by a reboot.
    #[serde(default)]
    pub reboot_migration_disabled: bool,
    /// Recorded: its placement group.
    #[serde(default)]
    pub placed: Option<Placed>,
    /// Keys that open it for a minute. Those whose minute is over go with the next one.
    #[serde(default)]
    pub connect_keys: Vec<ConnectKey>,
    /// The device of the root volume, as `/dev/xvda`.
    pub root_device_name: String,
    /// `ip-name` or `resource-name`, from the subnet at launch.
    pub private_dns_hostname_type: String,
    /// From the subnet at launch.
    pub resource_name_dns_a_record: bool,
    /// From the subnet at launch.
    pub resource_name_dns_aaaa_record: bool,
    /// The client token of the launch.
    pub client_token: Option<String>,
    /// The machine it is placed on.
    pub host: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// Options of the metadata service of one instance (IMDS-5 to IMDS-9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// Whether a token is required (`required`) or not (`optional`).
    pub tokens_required: bool,
    /// IP TTL of answers that carry a token, 1 to 64.
    pub hop_limit: u8,
    /// Whether the service answers at all.
    pub enabled: bool,
    /// Recorded only.
    pub ipv6: bool,
    /// Whether tags are shown.
    pub tags: bool,
}

/// A network interface (ENI-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// Its id.
    pub id: NetworkInterfaceId,
    /// Its port in the fabric, for its whole life.
    pub port: PortIndex,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Its subnet.
    pub subnet_id: SubnetId,
    /// Its zone.
    pub availability_zone: String,
    /// What it is for.
    pub description: String,
    /// `interface`, `natGateway`, `vpc_endpoint` …
    pub interface_type: String,
    /// Whether AWS made it for itself (ENI-7).
    pub requester_managed: bool,
    /// Its address on the wire, for its whole life (ENI-12).
    pub mac: [u8; 6],
    /// Its private addresses, the primary one first; none where its subnet has IPv6 only. Their
    /// place is the address index that services see ([`crate::caller_address`]).
    pub private_addresses: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// Whether the first of them is its primary one, which stays until it is detached.
    #[serde(default)]
    pub primary_ipv6: bool,
    /// Its security groups, at least one (SG-7).
    pub groups: Vec<SecurityGroupId>,
    /// Whether source and destination of its packets are checked (SDC-1).
    pub source_dest_check: bool,
    /// Idle timeouts of tracked flows, where they are not the default ones (SGT-9).
    #[serde(default)]
    pub connection_tracking: ConnectionTracking,
    /// What it is attached to.
    pub attachment: Option<Attachment>,
    /// The attachment that ended last and when, shown for a moment (ENI-2).
    #[serde(default)]
    pub detached: Option<(Attachment, Timestamp)>,
    /// Whether its instance gets a public address at every start (PUB-6).
    pub associate_public_ip: bool,
    /// The public address that it was given and holds now (PUB-3).
    pub auto_public_ip: Option<Ipv4Addr>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

impl NetworkInterface {
    /// The primary private address. Every interface has one (ENI-1) but those of subnets with
    /// IPv6 only (CIDR-12).
    pub fn primary_address(&self) -> Option<Ipv4Addr> {
        self.private_addresses.first().copied()
    }
}

/// Idle timeouts of the tracked flows of an interface, in seconds; `None` is the default (SGT-9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConnectionTracking {
    /// TCP, established: 60 to 432000.
    pub tcp_established: Option<u32>,
    /// UDP with one direction or one exchange: 30 to 60.
    pub udp: Option<u32>,
    /// UDP with more than one exchange: 60 to 180.
    pub udp_stream: Option<u32>,
}

/// The tie of a network interface to an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// The instance.
    pub instance_id: InstanceId,
    /// Its place in the instance; 0 is the primary interface.
    pub device_index: u32,
    /// Whether the interface goes when the instance does (ENI-8).
    pub delete_on_termination: bool,
    /// When.
    pub attach_time: Timestamp,
    /// How far it is.
    #[serde(default)]
    pub state: AttachmentState,
}

/// How far the attachment of an interface to a running instance is (ENI-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachmentState {
    /// Asked for; the instance does not have the interface yet.
    Attaching,
    /// The instance has the interface, or gets it at its next start.
    #[default]
    Attached,
    /// Asked to end; the instance may still have the interface.
    Detaching,
}

impl AttachmentState {
    /// The status in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attaching => "attaching",
            Self::Attached => "attached",
            Self::Detaching => "detaching",
        }
    }
}

/// An Elastic IP address (EIP-*).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// Its id.
    pub allocation_id: AllocationId,
    /// The address.
    pub public_ip: Ipv4Addr,
    /// What it is associated with.
    pub association: Option<AddressAssociation>,
    /// Recorded: the name that a reverse lookup shall give.
    #[serde(default)]
    pub domain_name: Option<String>,
    /// When it was allocated.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// The tie of an Elastic IP address to a private address of an interface (EIP-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddressAssociation {
    /// Its id.
    pub id: AddressAssociationId,
    /// The interface.
    pub network_interface_id: NetworkInterfaceId,
    /// The private address.
    pub private_ip: Ipv4Addr,
}

/// A volume. The root volume of an instance is the upper layer of its disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Its id.
    pub id: VolumeId,
    /// GiB.
    pub size: u32,
    /// `gp2`, `gp3` …
    pub volume_type: String,
    /// Operations a second, where the type has them.
    pub iops: Option<u32>,
    /// MiB a second, where the type has it.
    pub throughput: Option<u32>,
    /// Recorded.
    pub encrypted: bool,
    /// Its zone.
    pub availability_zone: String,
    /// What it was made from.
    pub snapshot_id: Option<SnapshotId>,
    /// Where it is attached.
    pub attachment: Option<VolumeAttachment>,
    /// Recorded: whether it goes on after a doubt about its data.
    #[serde(default)]
    pub auto_enable_io: bool,
    /// Recorded: the key, where it is encrypted.
    #[serde(default)]
    pub kms_key_id: Option<String>,
    /// Its last change.
    #[serde(default)]
    pub modification: Option<VolumeModification>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A change of a volume: what it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeModification {
    /// GiB.
    pub size: u32,
    /// `gp2`, `gp3` …
    pub volume_type: String,
    /// Operations a second.
    pub iops: Option<u32>,
    /// MiB a second.
    pub throughput: Option<u32>,
    /// When it was changed.
    pub at: Timestamp,
}

/// The tie of a volume to an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumeAttachment {
    /// The instance.
    pub instance_id: InstanceId,
    /// The device, as `/dev/xvda`.
    pub device: String,
    /// Whether the volume goes when the instance does (EC2-26).
    pub delete_on_termination: bool,
    /// When.
    pub attach_time: Timestamp,
}

/// The records that decide about packets, of all accounts and regions: what the engine compiles
/// and what its oracle reads. Only interfaces that have a port in use are here (an instance
/// that is not off, or a service).
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// VPCs with the region they are in.
    pub vpcs: Vec<(Region, Arc<Vpc>)>,
    /// Subnets.
    pub subnets: Vec<Arc<Subnet>>,
    /// Route tables.
    pub route_tables: Vec<Arc<RouteTable>>,
    /// Internet gateways.
    pub internet_gateways: Vec<Arc<InternetGateway>>,
    /// Egress-only internet gateways.
    pub egress_only_internet_gateways: Vec<Arc<EgressOnlyInternetGateway>>,
    /// NAT gateways.
    pub nat_gateways: Vec<Arc<NatGateway>>,
    /// VPC endpoints.
    pub vpc_endpoints: Vec<Arc<VpcEndpoint>>,
    /// Peering connections.
    pub vpc_peering_connections: Vec<Arc<VpcPeeringConnection>>,
    /// Prefix lists.
    pub prefix_lists: Vec<Arc<PrefixList>>,
    /// Security groups.
    pub security_groups: Vec<Arc<SecurityGroup>>,
    /// Their rules.
    pub security_group_rules: Vec<Arc<SecurityGroupRule>>,
    /// Network ACLs.
    pub network_acls: Vec<Arc<NetworkAcl>>,
    /// DHCP options.
    pub dhcp_options: Vec<Arc<DhcpOptions>>,
    /// Interfaces.
    pub interfaces: Vec<Arc<NetworkInterface>>,
    /// Elastic IP addresses.
    pub addresses: Vec<Arc<Address>>,
    /// Virtual private gateways.
    pub vpn_gateways: Vec<Arc<VpnGateway>>,
    /// Attachments of transit gateways.
    pub transit_gateway_vpc_attachments: Vec<Arc<TransitGatewayVpcAttachment>>,
    /// Subnets that not everything reaches through internet gateways (IGW-15).
    pub restricted_subnets: Vec<Arc<RestrictedSubnet>>,
    /// Flow logs.
    pub flow_logs: Vec<Arc<FlowLog>>,
}
