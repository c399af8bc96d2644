//! The rules of the security groups of an interface, one direction (SG-2): what is admitted, and
//! whether it is tracked (SGT-2). Interfaces with the same groups share their rule sets.

use gureum_types::{
    IpProtocol, PrefixListId, SecurityGroupId,
    record::{PrefixListEntry, RulePeer, SecurityGroupRule, Traffic},
};
use ipnet::IpNet;

use super::{
    ComponentIndex,
    classifier::{ALL_PORTS, Class, Classifier, ports_of},
    range_map::RangeMap,
};
use crate::address::{Address, Family, ranges};

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

/// The rules of one direction for one family.
#[derive(Clone, Debug)]
struct FamilyRules {
    blocks: Classifier<RangeMap<u128, Admission>>,
    groups: Classifier<Vec<(GroupIndex, ComponentIndex)>>,
    /// Whether a rule admits all of TCP from or to everybody.
    wide_tcp: bool,
    /// Whether a rule admits all of UDP from or to everybody.
    wide_udp: bool,
}

/// The rules of one direction.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet {
    v4: FamilyRules,
    v6: FamilyRules,
}

/// A rule with its place in the policy.
pub(crate) type NumberedRule<'a> = (&'a SecurityGroupRule, ComponentIndex);

/// A rule for a block of addresses.
type BlockRule = (Traffic, IpNet, Admission);
/// A rule for the members of a group.
type GroupRule = (Traffic, GroupIndex, ComponentIndex);

impl FamilyRules {
    fn compile(family: Family, blocks: &[BlockRule], groups: &[GroupRule]) -> Self {
        let blocks: Vec<&BlockRule> = blocks
            .iter()
            .filter(|(_, block, _)| block.addr().is_ipv4() == (family == Family::V4))
            .collect();
        let covers_all = |protocol: IpProtocol| {
            blocks.iter().any(|(traffic, _, admission)| {
                admission.wide && ports_of(traffic, protocol, family) == Some(ALL_PORTS)
            })
        };
        let (wide_tcp, wide_udp) = (covers_all(IpProtocol::TCP), covers_all(IpProtocol::UDP));
        let traffics: Vec<Traffic> = blocks.iter().map(|(traffic, ..)| *traffic).collect();
        let by_block = Classifier::build(family, &traffics, |active| {
            let items: Vec<_> = active
                .iter()
                .filter_map(|&place| blocks.get(place))
                .flat_map(|(_, block, admission)| ranges(*block).map(|range| (range, *admission)))
                .collect();
            RangeMap::first_wins(&items)
        });
        let traffics: Vec<Traffic> = groups.iter().map(|(traffic, ..)| *traffic).collect();
        let by_group = Classifier::build(family, &traffics, |active| {
            let active = active.iter().filter_map(|&place| groups.get(place));
            let mut members: Vec<_> = active.map(|(_, group, rule)| (*group, *rule)).collect();
            // Stable: of several rules for the same group the first is named.
            members.sort_by_key(|(group, _)| *group);
            members.dedup_by_key(|(group, _)| *group);
            members
        });
        Self { blocks: by_block, groups: by_group, wide_tcp, wide_udp }
    }
}

impl RuleSet {
    /// Compiles rules, in their order. `group` gives the number of a group that rules refer to, `list` the blocks
    /// of a prefix list (none where there is no such list).
    pub(crate) fn compile<'a>(
        rules: &[NumberedRule<'_>],
        mut group: impl FnMut(&SecurityGroupId) -> GroupIndex,
        list: impl Fn(&PrefixListId) -> &'a [PrefixListEntry],
    ) -> Self {
        let mut blocks: Vec<BlockRule> = Vec::new();
        let mut groups: Vec<GroupRule> = Vec::new();
        for &(rule, index) in rules {
            let admission = |wide| Admission { rule: index, wide };
            match &rule.peer {
                RulePeer::Ipv4(block) => {
                    let wide = block.prefix_len() == 0;
                    blocks.push((rule.traffic, (*block).into(), admission(wide)));
                }
                RulePeer::Ipv6(block) => {
                    let wide = block.prefix_len() == 0;
                    blocks.push((rule.traffic, (*block).into(), admission(wide)));
                }
                RulePeer::Group(id) => groups.push((rule.traffic, group(id), index)),
                // A list is nobody's word for everybody: what it admits is tracked (SGT-2 speaks
                // of rules to 0.0.0.0/0 and ::/0).
                RulePeer::PrefixList(id) => {
                    let entries = list(id).iter();
                    blocks
                        .extend(entries.map(|entry| (rule.traffic, entry.cidr, admission(false))));
                }
            }
        }
        // Stable: of several rules for the same block the first is named.
        blocks.sort_by_key(|(_, _, admission)| !admission.wide);
        Self {
            v4: FamilyRules::compile(Family::V4, &blocks, &groups),
            v6: FamilyRules::compile(Family::V6, &blocks, &groups),
        }
    }

    /// What it says, with names for groups.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn listing(&self, name: impl Fn(GroupIndex, ComponentIndex) -> String) -> String {
        let of = |rules: &FamilyRules| {
            let referred = rules.groups.map(|set| {
                let mut names: Vec<_> =
                    set.iter().map(|(group, rule)| name(*group, *rule)).collect();
                names.sort_unstable();
                names
            });
            format!("{:?} {referred:?} {} {}", rules.blocks, rules.wide_tcp, rules.wide_udp)
        };
        of(&self.v4) + &of(&self.v6)
    }

    fn of(&self, family: Family) -> &FamilyRules {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The rule that admits a packet from or to `peer`, whose groups are asked for only where
    /// rules refer to groups (SG-30).
    pub(crate) fn admits<'a, G: Iterator<Item = &'a GroupIndex>>(
        &self,
        class: Class,
        peer: Address,
        groups_of_peer: impl FnOnce() -> G,
    ) -> Option<Admission> {
        let rules = self.of(peer.family());
        if let Some(admission) = rules.blocks.at(class).and_then(|set| set.at(peer.number())) {
            return Some(*admission);
        }
        let referred = rules.groups.at(class)?;
        groups_of_peer().find_map(|group| {
            let place = referred.binary_search_by_key(group, |(group, _)| *group).ok()?;
            let (_, rule) = referred.get(place)?;
            Some(Admission { rule: *rule, wide: false })
        })
    }

    /// Whether a rule admits all ports of a protocol from or to everybody of a family: the other
    /// half of what makes a flow untracked (SGT-2, SGT-4).
    pub(crate) fn admits_everything(&self, family: Family, protocol: u8) -> bool {
        match IpProtocol(protocol) {
            IpProtocol::TCP => self.of(family).wide_tcp,
            IpProtocol::UDP => self.of(family).wide_udp,
            _ => false,
        }
    }
}
