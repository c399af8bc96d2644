//! A network ACL: ordered entries, the lowest number that matches decides (NACL-2).

use super::{
    Component, ComponentIndex,
    classifier::{Class, Classifier},
    range_map::RangeMap,
};
use crate::address::{Address, Family, ranges};
use gureum_types::record::{NetworkAcl, NetworkAclEntry, Traffic};

/// The number of the closing entry that denies IPv4 (NACL-3).
pub(crate) const CLOSING_ENTRY: u16 = 32767;
/// The number of the closing entry that denies IPv6 (NACL-3).
pub(crate) const CLOSING_ENTRY_IPV6: u16 = 32768;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) entry: ComponentIndex,
    pub(crate) allow: bool,
}

/// The entries of one direction for one family.
#[derive(Clone, Debug)]
struct Entries {
    classes: Classifier<RangeMap<u128, Decision>>,
    closing: Decision,
}

impl Entries {
    fn compile(ordered: &[Numbered<'_>], family: Family, closing: Decision) -> Self {
        let of_family: Vec<_> = ordered
            .iter()
            .filter(|(entry, _)| entry.cidr.addr().is_ipv4() == (family == Family::V4))
            .collect();
        let traffics: Vec<Traffic> = of_family.iter().map(|(entry, _)| entry.traffic).collect();
        let classes = Classifier::build(family, &traffics, |active| {
            let items: Vec<_> = active
                .iter()
                .filter_map(|&place| of_family.get(place))
                .flat_map(|(entry, decision)| ranges(entry.cidr).map(|range| (range, *decision)))
                .collect();
            RangeMap::first_wins(&items)
        });
        Self { classes, closing }
    }

    fn decide(&self, class: Class, peer: Address) -> Decision {
        let blocks = self.classes.at(class);
        blocks.and_then(|blocks| blocks.at(peer.number())).copied().unwrap_or(self.closing)
    }
}

/// An entry with what it says.
type Numbered<'a> = (&'a NetworkAclEntry, Decision);

/// The entries of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    v4: Entries,
    v6: Entries,
}

impl Side {
    fn compile(
        acl: &NetworkAcl,
        egress: bool,
        components: &mut Vec<Component>,
        index: &impl Fn(usize) -> ComponentIndex,
    ) -> Self {
        let mut entries: Vec<&NetworkAclEntry> =
            acl.entries.iter().filter(|entry| entry.egress == egress).collect();
        entries.sort_by_key(|entry| entry.rule_number);
        let mut decision = |number, allow| {
            let entry = index(components.len());
            components.push(Component::NetworkAclEntry { acl: acl.id.clone(), number, egress });
            Decision { entry, allow }
        };
        let ordered: Vec<Numbered<'_>> = entries
            .into_iter()
            .map(|entry| (entry, decision(entry.rule_number, entry.allow)))
            .collect();
        let closing = decision(CLOSING_ENTRY, false);
        let closing_ipv6 = decision(CLOSING_ENTRY_IPV6, false);
        Self {
            v4: Entries::compile(&ordered, Family::V4, closing),
            v6: Entries::compile(&ordered, Family::V6, closing_ipv6),
        }
    }

    /// What becomes of a packet from or to `peer`.
    pub(crate) fn decide(&self, class: Class, peer: Address) -> Decision {
        match peer.family() {
            Family::V4 => self.v4.decide(class, peer),
            Family::V6 => self.v6.decide(class, peer),
        }
    }
}

/// Both directions.
#[derive(Clone, Debug)]
pub(crate) struct Acl {
    pub(crate) egress: Side,
    pub(crate) ingress: Side,
}

impl Acl {
    /// Compiles a list; `index` gives the component at a place its index.
    pub(crate) fn compile(
        acl: &NetworkAcl,
        components: &mut Vec<Component>,
        index: impl Fn(usize) -> ComponentIndex,
    ) -> Self {
        Self {
            egress: Side::compile(acl, true, components, &index),
            ingress: Side::compile(acl, false, components, &index),
        }
    }
}
