//! Rule sets of security groups, by the groups of an interface: each compiled when a rule of one
//! of its groups or a prefix list that it speaks of changes.

use std::sync::Arc;

use gureum_types::{
    PrefixListId, SecurityGroupId,
    record::{RulePeer, SecurityGroupRule},
};

use super::{
    Changes,
    lists::{Map, Set, difference},
    tables::Lists,
};
use crate::policy::{
    Component, Rules as Compiled,
    components::{Numbers, Segment},
    rule_set::{GroupIndex, NumberedRule, RuleSet},
};

/// What rule sets are shared by: the groups of an interface, sorted.
type GroupList = Vec<SecurityGroupId>;

/// All rule sets in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Groups that there are: rules of others say nothing.
    known: Set<SecurityGroupId>,
    numbers: Map<SecurityGroupId, GroupIndex>,
    /// Components of the groups in use.
    segments: Map<SecurityGroupId, Segment>,
    places: Map<GroupList, usize>,
    entries: Vec<Entry>,
    free: Vec<usize>,
    /// Whether an entry has to be compiled or went out of use.
    stale: bool,
    /// By place.
    pub(super) list: Arc<Vec<Option<Arc<Compiled>>>>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    groups: GroupList,
    /// How many interfaces have exactly these groups.
    uses: u32,
    /// Nothing where it has to be compiled.
    compiled: Option<Arc<Compiled>>,
    /// Prefix lists that its rules speak of.
    lists: Vec<PrefixListId>,
}

impl Rules {
    /// Forgets what changed.
    pub(super) fn forget(&mut self, changes: &Changes<'_>, lists: &Lists<'_>) {
        let (before, after) = (changes.before, changes.after);
        let mut touched: Set<&SecurityGroupId> = Set::default();
        if changes.differs.security_groups {
            let (gone, come) = difference(&before.security_groups, &after.security_groups);
            touched.extend(gone.iter().chain(come).map(|group| &group.id));
            self.known = after.security_groups.iter().map(|group| group.id.clone()).collect();
        }
        if changes.differs.security_group_rules {
            let (gone, come) =
                difference(&before.security_group_rules, &after.security_group_rules);
            touched.extend(gone.iter().chain(come).map(|rule| &rule.group_id));
        }
        if touched.is_empty() && lists.touched.is_empty() {
            return;
        }
        self.segments.retain(|group, _| !touched.contains(group));
        for entry in &mut self.entries {
            if entry.groups.iter().any(|group| touched.contains(group))
                || entry.lists.iter().any(|list| lists.touched.contains(list))
            {
                entry.compiled = None;
                self.stale = true;
            }
        }
    }

    /// The place of the rule set of an interface with these groups, which it is one user more of.
    pub(super) fn take(&mut self, groups: &[SecurityGroupId]) -> usize {
        let mut groups: GroupList = groups.to_vec();
        groups.sort_unstable();
        groups.dedup();
        let place = match self.places.get(&groups) {
            Some(place) => *place,
            None => {
                self.stale = true;
                let place = self.free.pop().unwrap_or(self.entries.len());
                let entry = Entry { groups: groups.clone(), ..Entry::default() };
                match self.entries.get_mut(place) {
                    Some(free) => *free = entry,
                    None => self.entries.push(entry),
                }
                self.places.insert(groups, place);
                place
            }
        };
        if let Some(entry) = self.entries.get_mut(place) {
            entry.uses += 1;
        }
        place
    }

    /// The place has a user less.
    pub(super) fn release(&mut self, place: usize) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.uses = entry.uses.saturating_sub(1);
            self.stale |= entry.uses == 0;
        }
    }

    /// Compiles what there is to compile; whether there was anything.
    pub(super) fn update(
        &mut self,
        changes: &Changes<'_>,
        lists: &Lists<'_>,
        numbers: &mut Numbers,
    ) -> bool {
        if !std::mem::take(&mut self.stale) {
            return false;
        }
        self.tidy();
        let mut needed: Map<SecurityGroupId, Vec<(&SecurityGroupRule, usize)>> = Map::default();
        for entry in self.entries.iter().filter(|entry| entry.uses > 0 && entry.compiled.is_none())
        {
            for group in entry.groups.iter().filter(|group| self.known.contains(*group)) {
                needed.entry(group.clone()).or_default();
            }
        }
        if !needed.is_empty() {
            for (order, rule) in changes.after.security_group_rules.iter().enumerate() {
                if let Some(rules) = needed.get_mut(&rule.group_id) {
                    rules.push((rule.as_ref(), order));
                }
            }
        }
        for (group, rules) in &needed {
            if !self.segments.contains_key(group) {
                let components = rules.iter().map(|(rule, _)| Component::SecurityGroupRule {
                    group: rule.group_id.clone(),
                    rule: rule.id.clone(),
                });
                self.segments.insert(group.clone(), numbers.segment(components.collect()));
            }
        }
        let mut entries = std::mem::take(&mut self.entries);
        for entry in entries.iter_mut().filter(|entry| entry.uses > 0 && entry.compiled.is_none()) {
            self.compile(entry, &needed, lists);
        }
        self.list = Arc::new(entries.iter().map(|entry| entry.compiled.clone()).collect());
        self.entries = entries;
        true
    }

    /// Lets go of what nobody uses.
    fn tidy(&mut self) {
        for (place, entry) in self.entries.iter_mut().enumerate() {
            if entry.uses == 0 && self.places.get(&entry.groups) == Some(&place) {
                self.places.remove(&entry.groups);
                *entry = Entry::default();
                self.free.push(place);
            }
        }
        let used: Set<&SecurityGroupId> =
            self.entries.iter().flat_map(|entry| &entry.groups).collect();
        self.segments.retain(|group, _| used.contains(group));
    }

    fn compile(
        &mut self,
        entry: &mut Entry,
        rules: &Map<SecurityGroupId, Vec<(&SecurityGroupRule, usize)>>,
        lists: &Lists<'_>,
    ) {
        let mut chosen: Vec<(usize, NumberedRule<'_>)> = Vec::new();
        for group in &entry.groups {
            let (Some(rules), Some(segment)) = (rules.get(group), self.segments.get(group)) else {
                continue;
            };
            let numbered = rules.iter().enumerate();
            chosen.extend(
                numbered.map(|(place, (rule, order))| (*order, (*rule, segment.index(place)))),
            );
        }
        // Of several rules that admit a packet the first is named.
        chosen.sort_unstable_by_key(|(order, _)| *order);
        let of_lists = chosen.iter().filter_map(|(_, (rule, _))| match &rule.peer {
            RulePeer::PrefixList(id) => Some(id.clone()),
            _ => None,
        });
        entry.lists = of_lists.collect();
        entry.lists.sort_unstable();
        entry.lists.dedup();
        let mut groups: Vec<GroupIndex> = entry.groups.iter().map(|id| self.number(id)).collect();
        groups.sort_unstable();
        let mut set = |egress: bool| {
            let chosen: Vec<NumberedRule<'_>> = chosen
                .iter()
                .map(|(_, numbered)| *numbered)
                .filter(|(rule, _)| rule.egress == egress)
                .collect();
            RuleSet::compile(&chosen, |id| self.number(id), |id| lists.get(id))
        };
        let (egress, ingress) = (set(true), set(false));
        entry.compiled = Some(Arc::new(Compiled { groups: groups.into(), egress, ingress }));
    }

    fn number(&mut self, id: &SecurityGroupId) -> GroupIndex {
        let next = GroupIndex(u32::try_from(self.numbers.len()).unwrap_or(u32::MAX));
        *self.numbers.entry(id.clone()).or_insert(next)
    }

    /// Whether most of the numbers of groups are those of groups that are gone.
    pub(super) fn is_worn(&self) -> bool {
        self.numbers.len() > 2 * self.known.len() + 1024
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_worn_when_most_of_their_groups_are_gone() {
        let known = (0..10).map(SecurityGroupId::new).collect();
        let mut rules = Rules { known, ..Rules::default() };
        for number in 0..=1044 {
            assert!(!rules.is_worn(), "{number}");
            rules.number(&SecurityGroupId::new(number));
        }
        assert!(rules.is_worn());
    }

    #[test]
    fn the_place_of_groups_that_nobody_has_is_given_to_others() {
        let mut rules = Rules::default();
        let [one, other] = [1, 2].map(|number| [SecurityGroupId::new(number)]);
        let place = rules.take(&one);
        assert_eq!(rules.take(&one), place, "shared");
        rules.stale = false;
        rules.release(place);
        rules.tidy();
        assert!(!rules.stale && rules.places.contains_key(&one.to_vec()), "one has them still");
        rules.release(place);
        assert!(rules.stale);
        rules.tidy();
        assert!(rules.places.is_empty());
        assert_eq!((rules.take(&other), rules.entries.len()), (place, 1));
    }
}
