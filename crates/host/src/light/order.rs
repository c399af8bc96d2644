//! What the daemon and the responder say to each other: a line of JSON there, a line of JSON back.

use gureum_types::InstanceId;
use serde::{Deserialize, Serialize};

/// The responder's socket, below the folder of the daemon's state.
pub(crate) const SOCKET: &str = "responder.sock";

/// What the daemon asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Have a host in this start; one of another start goes. Answered with it alone.
    Make { id: InstanceId, start: u32, name: Option<String> },
    /// Call a host by another name.
    Name { id: InstanceId, name: Option<String> },
    /// End all conversations of a host and open its sockets anew.
    Reopen { id: InstanceId },
    /// Let go of a host; no harm if there is none.
    Remove { id: InstanceId },
    /// All hosts, or the one.
    Hosts { id: Option<InstanceId> },
}

/// What the responder answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// The hosts that were asked for.
    Hosts(Vec<HeldHost>),
    /// It is done.
    Done,
    /// It cannot be done; whether for lack of something that the machine has only so much of.
    Failed { why: String, capacity: bool },
}

/// A host as the responder holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldHost {
    pub(crate) id: InstanceId,
    pub(crate) start: u32,
    pub(crate) name: Option<String>,
    /// The responder's descriptor of the user namespace.
    pub(crate) user: i32,
    /// The responder's descriptor of the network namespace.
    pub(crate) network: i32,
    /// Whether it listens.
    pub(crate) listens: bool,
}
