//! What interfaces carried in a window of time: what records of flow logs are written from.
//!
//! The data path counts in windows and closes one after the other; whoever delivers flow logs reads
//! a closed one. Nothing here knows of formats, names or destinations.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{NetworkInterfaceId, Timestamp};

/// A closed window: all that interfaces with a flow log carried between two points in time.
///
/// A window is as long as the shortest aggregation interval (FL-2, FL-12) or shorter: it is closed
/// early when a flow log is made or deleted and when the daemon ends. So whoever has a flow log that is
/// older than `start` finds all of its traffic in here, and nothing from before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// When it was opened.
    pub start: Timestamp,
    /// When it was closed.
    pub end: Timestamp,
    /// What was carried. Two of them may be about the same flow: whoever writes records adds them.
    pub entries: Vec<WindowEntry>,
    /// Interfaces of which something could not be counted (FL-28: SKIPDATA).
    pub skipped: Vec<NetworkInterfaceId>,
}

/// What an interface carried of one flow, in one direction, with one verdict (FL-23).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowEntry {
    /// The interface.
    pub interface: NetworkInterfaceId,
    /// Into the interface or out of it (FL-26).
    pub direction: TrafficDirection,
    /// The source of the packets themselves (`pkt-srcaddr`, FL-24).
    pub source: IpAddr,
    /// Their destination (`pkt-dstaddr`).
    pub destination: IpAddr,
    /// The source port; 0 where the protocol has none (ICMP too).
    pub source_port: u16,
    /// The destination port; 0 where the protocol has none.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// What security groups and network ACLs said (FL-30, FL-31).
    pub verdict: TrafficVerdict,
    /// By which way it left; `None` where it came in, and where no route led on (FL-27).
    pub path: Option<TrafficPath>,
    /// TCP flags as flow logs write them, or-ed: FIN 1, SYN 2, RST 4, SYN-ACK 18 (FL-25).
    pub tcp_flags: u8,
    /// Packets on the wire.
    pub packets: u64,
    /// Their bytes from the IP header on (FL-32).
    pub bytes: u64,
    /// When the first of them came.
    pub first: Timestamp,
    /// When the last of them came.
    pub last: Timestamp,
}

/// A direction, as an interface sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrafficDirection {
    /// Into the interface.
    Ingress,
    /// Out of it.
    Egress,
}

/// Whether traffic was let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrafficVerdict {
    /// It was.
    Accept,
    /// A security group or a network ACL rejected it.
    Reject,
    /// VPC Block Public Access rejected it (FL-29).
    RejectPublicAccess,
}

/// By which way traffic left an interface (FL-27). Numbers that depend on the instance's type are
/// for who writes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum TrafficPath {
    /// To another interface of the VPC: 1.
    SameVpc = 1,
    /// Through an internet gateway: 8, or 2 where the instance is no Nitro one.
    InternetGateway = 2,
    /// Through a virtual private gateway: 3.
    VpnGateway = 3,
    /// Through a peering connection within the region: 4.
    Peering = 4,
    /// Through a peering connection to another region: 5.
    PeeringOtherRegion = 5,
    /// Through a gateway endpoint: 7, or 2 where the instance is no Nitro one.
    GatewayEndpoint = 7,
}

impl TrafficPath {
    /// The way with a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::SameVpc,
            2 => Self::InternetGateway,
            3 => Self::VpnGateway,
            4 => Self::Peering,
            5 => Self::PeeringOtherRegion,
            7 => Self::GatewayEndpoint,
            _ => return None,
        })
    }
}
