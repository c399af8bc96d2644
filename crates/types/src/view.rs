//! What the services inside a VPC know: compiled from the records beside the engine's policy.
//!
//! A view is immutable; a change of records makes a new one. Callers are found by the port that
//! their source address names ([`crate::caller_of`]), so VPCs may overlap.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    AccountId, EndpointService, InstanceId, PortIndex, Region, Timestamp, VpcEndpointId, VpcId,
    record::{ConnectKey, MetadataOptions, SessionCredential},
};

/// All that services know, at one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceView {
    /// The revision of the records that it was compiled from. A change that says nothing new to
    /// services makes no new view, so it may be older than the policy's epoch, or newer.
    pub epoch: u64,
    /// The interface behind each port.
    pub interfaces: HashMap<PortIndex, Arc<InterfaceView>>,
    /// Instances that have not been terminated.
    pub instances: HashMap<InstanceId, Arc<InstanceView>>,
    /// VPCs.
    pub vpcs: HashMap<VpcId, Arc<VpcView>>,
    /// Who has a public address now.
    pub public_addresses: HashMap<Ipv4Addr, PublicAddressView>,
    /// The endpoint behind each port that one has: of its interfaces, or of a gateway.
    pub endpoints: HashMap<PortIndex, Arc<EndpointView>>,
    /// The names that endpoints have themselves, for everybody (VPCE-8), with the addresses of
    /// their interfaces. A name that begins with `*.` speaks for all below it.
    pub endpoint_names: HashMap<String, Vec<Ipv4Addr>>,
}

/// A VPC endpoint that packets pass.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointView {
    /// Its id.
    pub id: VpcEndpointId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Its region.
    pub region: Region,
    /// What it leads to.
    pub service: &'static EndpointService,
    /// Whether routes lead to it, not interfaces.
    pub is_gateway: bool,
}

/// A VPC as its resolver knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct VpcView {
    /// Its id.
    pub id: VpcId,
    /// Its region.
    pub region: Region,
    /// Its IPv4 blocks, the primary one first.
    pub cidr_blocks: Vec<Ipv4Net>,
    /// Its IPv6 blocks.
    pub ipv6_cidr_blocks: Vec<Ipv6Net>,
    /// Whether the resolver answers (DNS-3).
    pub dns_support: bool,
    /// Whether public and private names are there (DNS-4).
    pub dns_hostnames: bool,
    /// The private addresses in use, also those of stopped instances (DNS-17), with the
    /// instance where there is one.
    pub private_addresses: HashMap<Ipv4Addr, Option<InstanceId>>,
    /// The peer VPCs whose public names mean private addresses here too (DNS-10).
    pub dns_peers: Vec<VpcId>,
    /// The IPv6 addresses in use, likewise.
    pub ipv6_addresses: HashMap<Ipv6Addr, Option<InstanceId>>,
    /// The names of services that mean interfaces of endpoints here (VPCE-9), as
    /// [`ServiceView::endpoint_names`].
    pub service_names: HashMap<String, Vec<Ipv4Addr>>,
}

/// Who has a public address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddressView {
    /// The VPC.
    pub vpc_id: VpcId,
    /// The region, for the name (DNS-8).
    pub region: Region,
    /// The private address behind it (DNS-9).
    pub private_address: Ipv4Addr,
}

/// An interface as the metadata service shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceView {
    /// The instance that it is attached to.
    pub instance_id: Option<InstanceId>,
    /// `eni-…`
    pub interface_id: String,
    /// The VPC.
    pub vpc_id: VpcId,
    /// `subnet-…`
    pub subnet_id: String,
    /// The subnet's block; none where it has IPv6 only.
    pub subnet_cidr_block: Option<Ipv4Net>,
    /// The subnet's IPv6 block, where it has one.
    pub subnet_ipv6_cidr_block: Option<Ipv6Net>,
    /// Whether the resolver makes up IPv6 addresses for the subnet (DNS-19).
    pub dns64: bool,
    /// Lower-case, with colons.
    pub mac: String,
    /// Its place in the instance.
    pub device_number: u32,
    /// Private addresses, the primary one first; none where the subnet has IPv6 only.
    pub private_addresses: Vec<Ipv4Addr>,
    /// IPv6 addresses, in the order of their indices.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// Public addresses with the private ones behind them.
    pub public_addresses: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Ids and names of its groups.
    pub security_groups: Vec<(String, String)>,
    /// The owner.
    pub owner: AccountId,
}

/// An instance as the metadata service shows it (IMDS-20 to IMDS-33).
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    /// Its id.
    pub instance_id: InstanceId,
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The zone's name.
    pub availability_zone: String,
    /// The zone's id.
    pub availability_zone_id: String,
    /// `ami-…`
    pub image_id: String,
    /// `t2.micro`
    pub instance_type: String,
    /// `r-…`
    pub reservation_id: String,
    /// From 0.
    pub launch_index: u32,
    /// `ip-10-1-1-5.ap-northeast-2.compute.internal`
    pub private_dns_name: String,
    /// Whether the resource name (`i-….<domain>`) has an address record (DNS-7).
    pub resource_name_dns_a_record: bool,
    /// Whether it has one of IPv6 (DNS-7).
    pub resource_name_dns_aaaa_record: bool,
    /// The name and the line of `authorized_keys` of its key.
    pub public_key: Option<(String, String)>,
    /// User data, decoded.
    pub user_data: Option<Arc<[u8]>>,
    /// How the metadata service answers it.
    pub metadata_options: MetadataOptions,
    /// Keys of EC2 Instance Connect, with those whose minute is over.
    pub connect_keys: Vec<ConnectKey>,
    /// When it was last started.
    pub pending_time: Timestamp,
    /// Device mapping: `ami`, `root`, `ebs1` …
    pub block_devices: Vec<(String, String)>,
    /// Detailed monitoring.
    pub monitoring: bool,
    /// The credentials of its own, once there are any (IMDS-30).
    pub identity: Option<Arc<SessionCredential>>,
    /// Its instance profile.
    pub instance_profile: Option<InstanceProfileView>,
    /// Tags, shown only where the options say so (IMDS-29).
    pub tags: BTreeMap<String, String>,
    /// Its interfaces' ports, the primary one first.
    pub ports: Vec<PortIndex>,
}

/// An instance's profile as the metadata service shows it (IMDS-26 to IMDS-28).
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceProfileView {
    /// `arn:aws:iam::…:instance-profile/…`
    pub arn: String,
    /// `AIPA…`
    pub id: String,
    /// Since when the instance has it.
    pub associated: Timestamp,
    /// What it gives.
    pub gives: ProfileGives,
}

/// What an instance has got of its profile.
#[derive(Clone, Debug, PartialEq)]
pub enum ProfileGives {
    /// Nothing: it was deleted.
    Deleted,
    /// Nothing: no role is in it.
    NoRole,
    /// Nothing: its role does not trust EC2. The role's name.
    Unauthorized(String),
    /// Nothing yet.
    Pending,
    /// Credentials of a role, with its name.
    Role(String, Arc<SessionCredential>),
}
