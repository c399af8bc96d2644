//! What is noted of a window that waits: which flow logs have which of their records.

use std::collections::{BTreeMap, BTreeSet};

use gureum_types::{FlowLogId, NetworkInterfaceId};
use serde::{Deserialize, Serialize};

/// What of a window a flow log is delivered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What is gathered for the shortest interval: everything, or where the flow log has a longer one
    /// the interfaces of Nitro instances (FL-12).
    Short,
    /// The rest.
    Long,
}

/// What a flow log has of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    #[serde(default)]
    short: bool,
    #[serde(default)]
    long: bool,
    /// Whose traffic was in the short part, where there is a long one. An interface may be attached
    /// to something else by the time of that.
    #[serde(default)]
    apart: BTreeSet<NetworkInterfaceId>,
}

/// What is noted of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notes(BTreeMap<FlowLogId, Done>);

impl Notes {
    /// What was written. What cannot be read is as if it was never noted: records are repeated then,
    /// and none is lost.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether a flow log has a part.
    pub(crate) fn has(&self, log: &FlowLogId, part: Part) -> bool {
        self.0.get(log).is_some_and(|done| match part {
            Part::Short => done.short,
            Part::Long => done.long,
        })
    }

    /// Whether the traffic of an interface was in the short part.
    pub(crate) fn is_apart(&self, log: &FlowLogId, interface: &NetworkInterfaceId) -> bool {
        self.0.get(log).is_some_and(|done| done.apart.contains(interface))
    }

    /// Notes a part, with those whose traffic was in it.
    pub(crate) fn add(
        &mut self,
        log: &FlowLogId,
        part: Part,
        apart: impl IntoIterator<Item = NetworkInterfaceId>,
    ) {
        let done = self.0.entry(log.clone()).or_default();
        match part {
            Part::Short => done.short = true,
            Part::Long => done.long = true,
        }
        done.apart.extend(apart);
    }
}
