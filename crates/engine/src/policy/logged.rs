//! Which interfaces have a flow log (FL-1).

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::BuildHasher,
};

use foldhash::quality::FixedState;
use gureum_types::record::Network;

/// Interfaces whose traffic is recorded, and a number for the set of flow logs that ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    /// By port: the number of the interface's id; 0 for the others.
    numbers: Vec<u64>,
    logs: u64,
}

impl Logged {
    pub(super) fn new(network: &Network) -> Self {
        if network.flow_logs.is_empty() {
            return Self::default();
        }
        let resources: BTreeSet<&str> =
            network.flow_logs.iter().map(|log| log.resource_id.as_str()).collect();
        let covered = network.interfaces.iter().filter(|interface| {
            [interface.id.as_str(), interface.subnet_id.as_str(), interface.vpc_id.as_str()]
                .iter()
                .any(|id| resources.contains(id))
        });
        let by_port: BTreeMap<usize, u64> = covered
            .filter_map(|interface| {
                Some((usize::try_from(interface.port.0).ok()?, interface.id.number()?))
            })
            .collect();
        let bound = by_port.last_key_value().map_or(0, |(port, _)| port + 1);
        let mut numbers = vec![0; bound];
        for (port, number) in by_port {
            if let Some(place) = numbers.get_mut(port) {
                *place = number;
            }
        }
        let mut logs: Vec<_> = network.flow_logs.iter().map(|log| log.id.as_str()).collect();
        logs.sort_unstable();
        Self { numbers, logs: FixedState::default().hash_one(logs) }
    }

    /// The number of the id of a port's interface, where its traffic is recorded.
    #[inline]
    pub(crate) fn number(&self, port: u32) -> Option<u64> {
        let number = usize::try_from(port).ok().and_then(|port| self.numbers.get(port));
        number.copied().filter(|number| *number != 0)
    }

    /// Another one for another set of flow logs.
    pub(crate) fn logs(&self) -> u64 {
        self.logs
    }
}
