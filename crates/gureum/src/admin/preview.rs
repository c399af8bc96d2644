//! What a change of the network would let through, and what no more.

use serde::{Deserialize, Serialize};

/// What a change would do to packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangeView {
    /// What would pass and does not now, or the other way round.
    pub ways: Vec<Difference>,
    /// Flows that are open now and would end, and those that would go on only because they are
    /// tracked.
    pub flows: Vec<FlowFate>,
}

impl ChangeView {
    /// Whether nothing would change.
    pub(crate) fn is_empty(&self) -> bool {
        self.ways.is_empty() && self.flows.is_empty()
    }
}

/// Something that would pass and does not now, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// Whether it would pass.
    pub becomes: Becomes,
    /// Who sends.
    pub from: String,
    /// Who receives.
    pub to: Vec<String>,
    /// The protocol.
    pub protocol: String,
    /// The destination ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// The source ports, where it is so for some of those that clients connect from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<String>,
    /// Whether over IPv6.
    pub ipv6: bool,
    /// What would decide.
    pub by: String,
}

impl Difference {
    /// Of which packets it is said, in a few words.
    pub(crate) fn traffic(&self) -> String {
        let mut text = self.protocol.clone();
        if !self.ports.is_empty() {
            text += &format!(" {}", self.ports.join(","));
        }
        if let Some(source) = &self.source_ports {
            text += &format!(" from ports {source}");
        }
        if self.ipv6 {
            text += " over IPv6";
        }
        text
    }
}

/// What a change does to a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Becomes {
    /// It passes then.
    Possible,
    /// It passes no more.
    Impossible,
}

impl Becomes {
    /// In a few words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Possible => "passes then",
            Self::Impossible => "passes no more",
        }
    }
}

/// What becomes of an open flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FlowFate {
    /// Whether it goes on because it is tracked, where a new one would not pass; else it ends.
    pub goes_on: bool,
    /// Who began it.
    pub from: String,
    /// With whom.
    pub to: String,
    /// The protocol and the destination port.
    pub protocol: String,
    /// What would be in the way.
    pub by: String,
}

impl FlowFate {
    /// What becomes of it, in a few words.
    pub(crate) fn text(&self) -> &'static str {
        if self.goes_on { "goes on, as it is tracked" } else { "ends" }
    }
}
