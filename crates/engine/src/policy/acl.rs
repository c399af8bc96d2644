//! A network ACL: ordered entries, the lowest number that matches decides (NACL-2).

use gureum_types::record::{NetworkAcl, NetworkAclEntry, Traffic};
use ipnet::IpNet;

use super::{
    Component, ComponentIndex,
    classifier::{Class, Classifier},
    network_range,
    range_map::RangeMap,
};

/// The number of the closing entry that denies IPv4 (NACL-3).
pub(crate) const CLOSING_ENTRY: u16 = 32767;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) entry: ComponentIndex,
    pub(crate) allow: bool,
}

/// The entries of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Entries {
    classes: Classifier<RangeMap<Decision>>,
    closing: Decision,
}

impl Entries {
    fn compile(acl: &NetworkAcl, egress: bool, components: &mut Vec<Component>) -> Self {
        let mut entries: Vec<&NetworkAclEntry> =
            acl.entries.iter().filter(|entry| entry.egress == egress).collect();
        entries.sort_by_key(|entry| entry.rule_number);
        let mut component = |number| {
            let index = ComponentIndex(u32::try_from(components.len()).unwrap_or(u32::MAX));
            components.push(Component::NetworkAclEntry { acl: acl.id.clone(), number, egress });
            index
        };
        let ordered: Vec<(Traffic, (u32, u32), Decision)> = entries
            .into_iter()
            .filter_map(|entry| {
                let IpNet::V4(block) = entry.cidr else { return None };
                let decision = Decision { entry: component(entry.rule_number), allow: entry.allow };
                Some((entry.traffic, network_range(block), decision))
            })
            .collect();
        let closing = Decision { entry: component(CLOSING_ENTRY), allow: false };
        let traffics: Vec<Traffic> = ordered.iter().map(|(traffic, ..)| *traffic).collect();
        let classes = Classifier::build(&traffics, |active| {
            let items: Vec<_> = active
                .iter()
                .filter_map(|&place| ordered.get(place))
                .map(|(_, range, decision)| (*range, *decision))
                .collect();
            RangeMap::first_wins(&items)
        });
        Self { classes, closing }
    }

    /// What becomes of a packet from or to `peer`.
    pub(crate) fn decide(&self, class: Class, peer: u32) -> Decision {
        self.classes.at(class).and_then(|blocks| blocks.at(peer)).copied().unwrap_or(self.closing)
    }
}

/// Both directions.
#[derive(Clone, Debug)]
pub(crate) struct Acl {
    pub(crate) egress: Entries,
    pub(crate) ingress: Entries,
}

impl Acl {
    pub(crate) fn compile(acl: &NetworkAcl, components: &mut Vec<Component>) -> Self {
        Self {
            egress: Entries::compile(acl, true, components),
            ingress: Entries::compile(acl, false, components),
        }
    }
}
