//! Records of virtual private networks: the gateways of both ends and the connections between
//! them. No tunnel is ever up here, so nothing passes them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{
    CustomerGatewayId, Tags, Timestamp, TransitGatewayAttachmentId, TransitGatewayId, VpcId,
    VpnConnectionId, VpnGatewayId,
};

/// A virtual private gateway: Amazon's end of a VPN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpnGateway {
    /// Its id.
    pub id: VpnGatewayId,
    /// Its autonomous system number.
    pub amazon_side_asn: u32,
    /// As asked for, without effect.
    pub availability_zone: Option<String>,
    /// The VPC that it is attached to.
    pub vpc_id: Option<VpcId>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted; it is shown a while longer.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// A customer gateway: the other end of a VPN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomerGateway {
    /// Its id.
    pub id: CustomerGatewayId,
    /// Its autonomous system number.
    pub bgp_asn: u32,
    /// The address of the device.
    pub ip_address: Option<IpAddr>,
    /// The certificate that the device shows.
    pub certificate_arn: Option<String>,
    /// What people call the device.
    pub device_name: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted; it is shown a while longer.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// Amazon's end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VpnTarget {
    /// A virtual private gateway.
    VpnGateway(VpnGatewayId),
    /// A transit gateway, with the attachment that the connection is to it.
    TransitGateway(TransitGatewayId, TransitGatewayAttachmentId),
    /// None yet.
    None,
}

/// A connection between a customer gateway and one of Amazon's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpnConnection {
    /// Its id.
    pub id: VpnConnectionId,
    /// The other end.
    pub customer_gateway_id: CustomerGatewayId,
    /// Amazon's end.
    pub target: VpnTarget,
    /// Whether its routes are made by hand, without BGP.
    pub static_routes_only: bool,
    /// Whether it goes by the accelerated network.
    pub enable_acceleration: bool,
    /// Whether IPv6 is inside its tunnels, not IPv4.
    pub inside_ipv6: bool,
    /// `PublicIpv4` or `PrivateIpv4`.
    pub outside_ip_address_type: String,
    /// The attachment that it goes over, where its addresses are private.
    pub transport_attachment: Option<TransitGatewayAttachmentId>,
    /// `standard` or `large`.
    pub tunnel_bandwidth: String,
    /// The customer's blocks that may use it, in IPv4 and in IPv6.
    pub local: (Option<Ipv4Net>, Option<Ipv6Net>),
    /// Amazon's blocks that may use it.
    pub remote: (Option<Ipv4Net>, Option<Ipv6Net>),
    /// Its tunnels.
    pub tunnels: Vec<VpnTunnel>,
    /// The customer's blocks behind it, as made by hand.
    pub routes: Vec<Ipv4Net>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was deleted; it is shown a while longer.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// A tunnel of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpnTunnel {
    /// The address of Amazon's end.
    pub outside: Ipv4Addr,
    /// The two addresses inside, Amazon's first.
    pub inside: Ipv4Net,
    /// The same in IPv6.
    pub inside_ipv6: Option<Ipv6Net>,
    /// What both ends know.
    pub pre_shared_key: String,
    /// What was asked for.
    pub options: VpnTunnelOptions,
}

/// What was asked for a tunnel. What nobody asked for is not there, and is not shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VpnTunnelOptions {
    /// Seconds.
    pub phase1_lifetime: Option<i32>,
    /// Seconds.
    pub phase2_lifetime: Option<i32>,
    /// Seconds before the end of a lifetime.
    pub rekey_margin_time: Option<i32>,
    /// Percent of that time.
    pub rekey_fuzz_percentage: Option<i32>,
    /// Packets.
    pub replay_window_size: Option<i32>,
    /// Seconds.
    pub dpd_timeout: Option<i32>,
    /// `clear`, `none` or `restart`.
    pub dpd_timeout_action: Option<String>,
    /// As `AES256`.
    pub phase1_encryption: Vec<String>,
    /// As `AES256`.
    pub phase2_encryption: Vec<String>,
    /// As `SHA2-256`.
    pub phase1_integrity: Vec<String>,
    /// As `SHA2-256`.
    pub phase2_integrity: Vec<String>,
    /// Diffie-Hellman groups.
    pub phase1_dh_groups: Vec<i32>,
    /// Diffie-Hellman groups.
    pub phase2_dh_groups: Vec<i32>,
    /// `ikev1`, `ikev2`.
    pub ike_versions: Vec<String>,
    /// `add` or `start`.
    pub startup_action: Option<String>,
    /// Whether tunnels are replaced only when asked to.
    pub lifecycle_control: Option<bool>,
    /// Where the tunnel's log would go.
    pub log: Option<VpnTunnelLog>,
}

/// The log of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpnTunnelLog {
    /// The ARN of the group.
    pub group: String,
    /// `json` or `text`.
    pub format: String,
}
