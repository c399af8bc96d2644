//! The rules of the security groups of an interface, one direction (SG-2): what is admitted, and
//! whether it is tracked (SGT-2). Interfaces with the same groups share their rule sets.

use std::collections::BTreeSet;

use gureum_types::{
    IpProtocol,
    record::{RulePeer, SecurityGroupRule, Traffic},
};

use super::{
    ComponentIndex,
    classifier::{Class, Classifier, ports_of},
    network_range,
    range_map::RangeMap,
};

/// A group as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupIndex(pub(crate) u32);

/// A rule that admits a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) rule: ComponentIndex,
    /// Whether a rule for everybody is among those that match (SGT-2; of overlapping rules the
    /// wide one counts).
    pub(crate) wide: bool,
}

/// The rules of one direction.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet {
    blocks: Classifier<RangeMap<Admission>>,
    groups: Classifier<Vec<(GroupIndex, ComponentIndex)>>,
    /// Whether a rule admits all of TCP from or to everybody.
    wide_tcp: bool,
    /// Whether a rule admits all of UDP from or to everybody.
    wide_udp: bool,
}

/// A rule with its place in the policy.
pub(crate) type NumberedRule<'a> = (&'a SecurityGroupRule, ComponentIndex);

impl RuleSet {
    /// Compiles rules. `group` gives the number of a group that rules refer to.
    pub(crate) fn compile(
        rules: &[NumberedRule<'_>],
        mut group: impl FnMut(&gureum_types::SecurityGroupId) -> GroupIndex,
    ) -> Self {
        let mut blocks: Vec<(Traffic, (u32, u32), Admission)> = Vec::new();
        let mut groups: Vec<(Traffic, GroupIndex, ComponentIndex)> = Vec::new();
        for &(rule, index) in rules {
            match &rule.peer {
                RulePeer::Ipv4(block) => {
                    let wide = block.prefix_len() == 0;
                    let admission = Admission { rule: index, wide };
                    blocks.push((rule.traffic, network_range(*block), admission));
                }
                RulePeer::Group(id) => groups.push((rule.traffic, group(id), index)),
                // IPv6 rules never match IPv4 (PIPE-11). Prefix lists have no records yet, so
                // they have no blocks.
                RulePeer::Ipv6(_) | RulePeer::PrefixList(_) => {}
            }
        }
        blocks.sort_by_key(|(_, _, admission)| (!admission.wide, admission.rule));
        let covers_all = |protocol: IpProtocol| {
            blocks.iter().any(|(traffic, _, admission)| {
                admission.wide && ports_of(traffic, protocol) == Some((0, 0xffff))
            })
        };
        let (wide_tcp, wide_udp) = (covers_all(IpProtocol::TCP), covers_all(IpProtocol::UDP));
        let traffics: Vec<Traffic> = blocks.iter().map(|(traffic, ..)| *traffic).collect();
        let by_block = Classifier::build(&traffics, |active| {
            let items: Vec<_> = active
                .iter()
                .filter_map(|&place| blocks.get(place))
                .map(|(_, range, admission)| (*range, *admission))
                .collect();
            RangeMap::first_wins(&items)
        });
        let traffics: Vec<Traffic> = groups.iter().map(|(traffic, ..)| *traffic).collect();
        let by_group = Classifier::build(&traffics, |active| {
            let set: BTreeSet<_> = active
                .iter()
                .filter_map(|&place| groups.get(place))
                .map(|(_, group, rule)| (*group, *rule))
                .collect();
            let mut members: Vec<_> = set.into_iter().collect();
            members.dedup_by_key(|(group, _)| *group);
            members
        });
        Self { blocks: by_block, groups: by_group, wide_tcp, wide_udp }
    }

    /// The rule that admits a packet from or to `peer`, whose groups are asked for only where
    /// rules refer to groups (SG-30).
    pub(crate) fn admits<'a>(
        &self,
        class: Class,
        peer: u32,
        groups_of_peer: impl FnOnce() -> &'a [GroupIndex],
    ) -> Option<Admission> {
        if let Some(admission) = self.blocks.at(class).and_then(|blocks| blocks.at(peer)) {
            return Some(*admission);
        }
        let referred = self.groups.at(class)?;
        groups_of_peer().iter().find_map(|group| {
            let place = referred.binary_search_by_key(group, |(group, _)| *group).ok()?;
            let (_, rule) = referred.get(place)?;
            Some(Admission { rule: *rule, wide: false })
        })
    }

    /// Whether a rule admits all ports of a protocol from or to everybody: the other half of what
    /// makes a flow untracked (SGT-2).
    pub(crate) fn admits_everything(&self, protocol: u8) -> bool {
        match IpProtocol(protocol) {
            IpProtocol::TCP => self.wide_tcp,
            IpProtocol::UDP => self.wide_udp,
            _ => false,
        }
    }
}
