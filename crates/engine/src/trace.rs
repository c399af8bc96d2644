//! What a packet met on its way. Nothing is built when nobody listens.

use std::net::IpAddr;

use gureum_types::PortIndex;
use serde::{Deserialize, Serialize};

use crate::{ComponentIndex, DropReason};

/// Seen from the instance: out of its interface or into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Out of the interface.
    Egress,
    /// Into the interface.
    Ingress,
}

/// The stages of a packet's way (PIPE-1, PIPE-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Address resolution.
    Arp,
    /// Neighbour discovery and router advertisements.
    NeighborDiscovery,
    /// Dynamic host configuration.
    Dhcp,
    /// Services of the platform: metadata, resolver, time.
    PlatformService,
    /// The source half of the source/destination check.
    SourceCheck,
    /// Security groups of the sender or the receiver.
    SecurityGroup,
    /// Switched within the subnet or handed to its router.
    L2,
    /// The network ACL of the subnet that is left or entered.
    NetworkAcl,
    /// The route table of the sender's subnet.
    Route,
    /// The route table of a gateway, for what arrives at it (RT-18).
    GatewayRoute,
    /// The internet gateway.
    InternetGateway,
    /// What the account lets through internet gateways (IGW-15).
    PublicAccess,
    /// The egress-only internet gateway.
    EgressOnlyInternetGateway,
    /// A NAT gateway.
    NatGateway,
    /// A peering connection.
    Peering,
    /// A VPC endpoint.
    VpcEndpoint,
    /// The size that the way carries.
    PathMtu,
    /// The destination half of the source/destination check.
    DestinationCheck,
    /// Handed to a port.
    Deliver,
}

impl Stage {
    /// Its name, in kebab case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::NeighborDiscovery => "neighbor-discovery",
            Self::Dhcp => "dhcp",
            Self::PlatformService => "platform-service",
            Self::SourceCheck => "source-check",
            Self::SecurityGroup => "security-group",
            Self::L2 => "l2",
            Self::NetworkAcl => "network-acl",
            Self::Route => "route",
            Self::GatewayRoute => "gateway-route",
            Self::InternetGateway => "internet-gateway",
            Self::PublicAccess => "public-access",
            Self::EgressOnlyInternetGateway => "egress-only-internet-gateway",
            Self::NatGateway => "nat-gateway",
            Self::Peering => "peering",
            Self::VpcEndpoint => "vpc-endpoint",
            Self::PathMtu => "path-mtu",
            Self::DestinationCheck => "destination-check",
            Self::Deliver => "deliver",
        }
    }
}

/// How a stage left a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// On to the next stage.
    Pass,
    /// Answered by the engine.
    Reply,
    /// Dropped.
    Drop(DropReason),
}

/// One stage that a packet went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which one.
    pub stage: Stage,
    /// The port at which it happened: the sender's, or the receiver's once that is known.
    pub port: PortIndex,
    /// Out of that port's interface or into it.
    pub direction: Direction,
    /// How it ended.
    pub outcome: Outcome,
    /// The rule, entry or route that decided.
    pub component: Option<ComponentIndex>,
    /// What happened, in a few words.
    pub text: String,
    /// The packet as it came to the stage: what a gateway makes of it is what the next stage sees.
    /// None for what is no IP packet.
    #[serde(default)]
    pub packet: Option<StepPacket>,
}

/// A packet as a stage saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepPacket {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// The source port; for ICMP the type, with the code behind it.
    pub source_port: u16,
    /// The destination port; for ICMP queries their identifier.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
}

/// Somebody who may want to know what a packet meets.
pub trait Trace {
    /// Whether steps are wanted; without it none is built.
    fn enabled(&self) -> bool;
    /// Takes a step.
    fn step(&mut self, step: Step);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    #[inline(always)]
    fn enabled(&self) -> bool {
        false
    }

    #[inline(always)]
    fn step(&mut self, _: Step) {}
}

impl Trace for Vec<Step> {
    fn enabled(&self) -> bool {
        true
    }

    fn step(&mut self, step: Step) {
        self.push(step);
    }
}
