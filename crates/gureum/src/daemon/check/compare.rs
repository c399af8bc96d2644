//! What a change of the records lets through, and what no more: every pair of interfaces and the
//! internet is asked about under the policies before and after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, PoisonError},
};

use gureum_control::{Directory, Found};
use gureum_engine::{Model, Policy};
use gureum_store::Snapshot;
use gureum_types::{AccountId, NetworkInterfaceId, record::NetworkInterface};

use super::{
    CLIENT_PORTS, Check, Question,
    ends::{Receiver, Sender},
    in_words,
    stretches::Known,
};
use crate::{
    admin::{Becomes, ChangeView, Difference, PortRange, Protocol, Reply},
    daemon::{
        clerk::{Answer, Clerk},
        why::{INTERNET, packet},
    },
};

/// How many questions a comparison may take: the client of a call waits for it.
const MOST_QUESTIONS: usize = 4_000_000;

/// Who sends or receives: an interface, or the internet.
type End = Option<NetworkInterfaceId>;
/// Between whom, by which protocol and over which family.
type Way = (End, End, Protocol, bool);
/// Stretches of ports in their order; nothing in the place of one for a protocol without ports.
type Passing = Vec<Option<PortRange>>;
/// What passes of each way, for each stretch of source ports that fare alike.
type Stances = BTreeMap<Way, Vec<(PortRange, Passing)>>;

/// The records and the policy on one side of the change.
struct Side<'a> {
    check: Check<'a>,
    policy: Arc<Policy>,
}

impl Clerk {
    /// What the change from the records in one folder to those in another would do.
    pub(in crate::daemon) fn change(&self, before: &Path, after: &Path) -> Answer<Reply> {
        let open = |folder: &Path| {
            let records = Snapshot::open(folder);
            let records = records.map_err(|error| format!("{}: {error}", folder.display()))?;
            Ok::<_, String>(self.control.arrived(&records))
        };
        let view = self.change_view(&open(before)?, &open(after)?, None)?;
        Ok(Reply::Change(Box::new(view)))
    }

    /// What a change of the records would do; with an account, to what has one of its ends there.
    pub(in crate::daemon) fn change_view(
        &self,
        before: &Arc<Snapshot>,
        after: &Arc<Snapshot>,
        account: Option<&AccountId>,
    ) -> Answer<ChangeView> {
        // One after the other: clients that wait no longer ask again.
        let _turn = self.comparing.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.control.compiled_change(Arc::clone(before), Arc::clone(after));
        let Some([then, now]) = changed else { return Ok(ChangeView::default()) };
        let mut flows = self.fates(&now, after, account)?;
        flows.sort();
        let mut sides = [self.side(before, then), self.side(after, now)];
        let mut asked = 0;
        let [was, is] = &mut sides;
        let (was, is) = (was.stances(account, &mut asked)?, is.stances(account, &mut asked)?);
        let ways = self.differences(&mut sides, &was, &is)?;
        Ok(ChangeView { ways, flows })
    }

    fn side(&self, records: &Arc<Snapshot>, policy: Arc<Policy>) -> Side<'_> {
        let check = Check {
            control: &self.control,
            clerk: self,
            directory: Directory::of(Arc::clone(records)),
            present: self.supposed(Arc::clone(&policy)),
            known: Known::default(),
            shown: 0,
        };
        Side { check, policy }
    }

    /// What is on one side and not on the other, as few statements as that takes, each with who
    /// decides after the change.
    fn differences(
        &self,
        sides: &mut [Side<'_>; 2],
        was: &Stances,
        is: &Stances,
    ) -> Answer<Vec<Difference>> {
        let [before, after] = sides;
        let name = |end: &End| before.name(end).or_else(|| after.name(end)).unwrap_or_default();
        let mut alike: BTreeMap<Alike, Vec<(String, End)>> = BTreeMap::new();
        for way in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
            let (from, to, protocol, ipv6) = way;
            let stance = |of: &Stances| of.get(way).cloned().unwrap_or_default();
            for (source, becomes, ports) in changes(&stance(was), &stance(is)) {
                let from = (name(from), from.clone());
                let key = Alike { becomes, from, protocol: *protocol, ipv6: *ipv6, ports, source };
                alike.entry(key).or_default().push((name(to), to.clone()));
            }
        }
        let there = [false, true].map(|ipv6| after.check.everybody(ipv6));
        let mut found = Vec::new();
        for (alike, mut to) in alike {
            to.sort();
            let by = after.decided(&there[usize::from(alike.ipv6)], &alike, to.first())?;
            let Alike { becomes, from: (from, _), protocol, ipv6, ports, source } = alike;
            found.push(Difference {
                becomes,
                from,
                to: to.into_iter().map(|(name, _)| name).collect(),
                protocol: protocol.to_string(),
                ports: ports.iter().flatten().map(ToString::to_string).collect(),
                source_ports: source.map(|it| it.to_string()),
                ipv6,
                by,
            });
        }
        // What comes in from outside first: a message may not hold all.
        found.sort_by_key(|it| (it.becomes, it.from != INTERNET));
        Ok(found)
    }
}

/// What differences to several receivers have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    becomes: Becomes,
    from: (String, End),
    protocol: Protocol,
    ipv6: bool,
    ports: Passing,
    source: Option<PortRange>,
}

impl Side<'_> {
    /// What people call an end that is there.
    fn name(&self, end: &End) -> Option<String> {
        let Some(id) = end else { return Some(INTERNET.to_owned()) };
        let directory = &self.check.directory;
        directory.interface(id.as_str()).map(|it| directory.label(it))
    }

    /// What passes between all who are there.
    fn stances(&mut self, account: Option<&AccountId>, asked: &mut usize) -> Answer<Stances> {
        let Side { check, policy } = self;
        let mut model = Model::new(policy);
        let mut stances = Stances::new();
        for ipv6 in [false, true] {
            let (senders, receivers) = check.everybody(ipv6);
            for from in &senders {
                for to in receivers.iter().filter(|to| !to.is(from)) {
                    let ends = [sends(from), receives(to)];
                    let owns = |account: &AccountId| {
                        ends.iter().flatten().any(|it| it.scope.account == *account)
                    };
                    if !account.is_none_or(owns) {
                        continue;
                    }
                    let questions = check.pair(from, to, ipv6);
                    *asked += questions.len();
                    if *asked > MOST_QUESTIONS {
                        return Err(format!(
                            "the network has {} interfaces and too many rules to compare all pairs",
                            senders.len() - 1
                        ));
                    }
                    let [one, other] = ends.map(|it| it.map(|it| it.record.id.clone()));
                    for question in &questions {
                        let Some(destination) = question.destination else { continue };
                        let query = packet(&from.source, destination, question.traffic());
                        if model.ask(&query).reachable {
                            let way = (one.clone(), other.clone(), question.protocol, ipv6);
                            let pieces = stances.entry(way).or_default();
                            add(pieces, question.source, question.ports);
                        }
                    }
                }
            }
        }
        Ok(stances)
    }

    /// What decides about a difference on this side, to the first of its receivers, among all who are
    /// there in its family.
    fn decided(
        &mut self,
        (senders, receivers): &(Vec<Sender>, Vec<Receiver>),
        alike: &Alike,
        to: Option<&(String, End)>,
    ) -> Answer<String> {
        let Some(to) = to else { return Ok(String::new()) };
        let check = &mut self.check;
        let id = |it: Option<&Found<NetworkInterface>>| it.map(|it| it.record.id.clone());
        let from = senders.iter().find(|it| id(sends(it)) == alike.from.1);
        let Some(from) = from else { return Ok(absent(&check.directory, &alike.from)) };
        let receiver = receivers.iter().find(|it| id(receives(it)) == to.1);
        let Some(receiver) = receiver else { return Ok(absent(&check.directory, to)) };
        let Some(destination) = check.destination(from, receiver, alike.ipv6) else {
            return Ok(absent(&check.directory, to));
        };
        let question = Question {
            from,
            to: receiver,
            destination: Some(destination),
            protocol: alike.protocol,
            ports: alike.ports.first().copied().flatten(),
            source: alike.source.unwrap_or(CLIENT_PORTS),
        };
        let query = packet(&from.source, destination, question.traffic());
        let report = check.present.ask(&query)?;
        Ok(in_words(&check.directory, &report))
    }
}

fn sends(sender: &Sender) -> Option<&Found<NetworkInterface>> {
    sender.source.interface.as_ref()
}

fn receives(receiver: &Receiver) -> Option<&Found<NetworkInterface>> {
    match receiver {
        Receiver::Interface(found, _) => Some(found),
        Receiver::Internet | Receiver::Address(_) | Receiver::Name(_) => None,
    }
}

/// Why an end has no packets.
fn absent(directory: &Directory, (name, end): &(String, End)) -> String {
    let interface = end.as_ref().and_then(|id| directory.interface(id.as_str()));
    let instance = interface.and_then(|it| directory.instance_of(it));
    match (interface, instance) {
        (Some(it), Some(instance)) if !directory.sends(it) => {
            format!("{name} is {}", instance.state.name())
        }
        (Some(_), Some(_)) => format!("{name} has no address of the family"),
        (Some(_), None) => format!("{name} is attached to no instance"),
        (None, _) => format!("{name} is gone"),
    }
}

/// Takes in that ports pass from a stretch of source ports, which are told in their order.
fn add(pieces: &mut Vec<(PortRange, Passing)>, source: PortRange, ports: Option<PortRange>) {
    let at = match pieces.iter().position(|(piece, _)| *piece == source) {
        Some(at) => at,
        None => {
            pieces.push((source, Passing::new()));
            pieces.len() - 1
        }
    };
    let Some((_, passing)) = pieces.get_mut(at) else { return };
    match (passing.last_mut(), ports) {
        (Some(Some(last)), Some(next)) if last.last.checked_add(1) == Some(next.first) => {
            last.last = next.last;
        }
        _ => passing.push(ports),
    }
}

/// What comes and what goes of a way: for all source ports, or for stretches of them.
fn changes(
    was: &[(PortRange, Passing)],
    is: &[(PortRange, Passing)],
) -> Vec<(Option<PortRange>, Becomes, Passing)> {
    let both = || was.iter().chain(is).map(|(piece, _)| *piece);
    // Where a stretch of either side begins, and where the next one would.
    let bounds: BTreeSet<u32> = both()
        .flat_map(|piece| [u32::from(piece.first), u32::from(piece.last) + 1])
        .chain([u32::from(CLIENT_PORTS.first), u32::from(CLIENT_PORTS.last) + 1])
        .collect();
    let of = |side: &[(PortRange, Passing)], port: u32| {
        let covers =
            |piece: &PortRange| (u32::from(piece.first)..=piece.last.into()).contains(&port);
        let found = side.iter().find(|(piece, _)| covers(piece));
        found.map(|(_, passing)| passing.clone()).unwrap_or_default()
    };
    let mut runs: Vec<(PortRange, [Passing; 2])> = Vec::new();
    for (first, next) in bounds.iter().zip(bounds.iter().skip(1)) {
        let (then, now) = (of(was, *first), of(is, *first));
        let change = [minus(&now, &then), minus(&then, &now)];
        let Some(range) = ports(*first, next - 1) else { continue };
        match runs.last_mut() {
            Some((run, known)) if *known == change => run.last = range.last,
            _ => runs.push((range, change)),
        }
    }
    let is_whole = runs.len() == 1;
    let told = runs.into_iter().flat_map(|(range, [comes, goes])| {
        let source = (!is_whole).then_some(range);
        [(source, Becomes::Possible, comes), (source, Becomes::Impossible, goes)]
    });
    told.filter(|(_, _, ports)| !ports.is_empty()).collect()
}

/// What is in one and not in the other.
fn minus(one: &[Option<PortRange>], other: &[Option<PortRange>]) -> Passing {
    let mut left = Passing::new();
    if one.contains(&None) && !other.contains(&None) {
        left.push(None);
    }
    for range in one.iter().flatten() {
        let mut next = u32::from(range.first);
        let last = u32::from(range.last);
        for taken in other.iter().flatten() {
            let (first, end) = (u32::from(taken.first), u32::from(taken.last));
            if end < next || first > last {
                continue;
            }
            if first > next {
                left.extend(ports(next, first - 1).map(Some));
            }
            next = end + 1;
        }
        if next <= last {
            left.extend(ports(next, last).map(Some));
        }
    }
    left
}

fn ports(first: u32, last: u32) -> Option<PortRange> {
    Some(PortRange { first: first.try_into().ok()?, last: last.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ranges: &[(u16, u16)]) -> Passing {
        ranges.iter().map(|(first, last)| Some(PortRange { first: *first, last: *last })).collect()
    }

    #[test]
    fn what_is_left_of_ranges_is_what_the_others_do_not_have() {
        let left = |one: &[(u16, u16)], other: &[(u16, u16)]| {
            let left = minus(&list(one), &list(other));
            left.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left(&[(0, 65535)], &[]), "0-65535");
        assert_eq!(left(&[(0, 65535)], &[(22, 22), (80, 90)]), "0-21 23-79 91-65535");
        assert_eq!(left(&[(0, 65535)], &[(0, 65535)]), "");
        assert_eq!(left(&[(10, 20), (30, 40)], &[(15, 35)]), "10-14 36-40");
        assert_eq!(left(&[(10, 20)], &[(5, 10), (20, 65535)]), "11-19");
        assert_eq!(minus(&[None], &[]), [None]);
        assert_eq!(minus(&[None], &[None]), []);
    }

    #[test]
    fn what_comes_and_goes_is_told_for_all_source_ports_where_it_is_the_same() {
        let piece = |first, last, ports: &[(u16, u16)]| (PortRange { first, last }, list(ports));
        let told = |was: &[(PortRange, Passing)], is: &[(PortRange, Passing)]| {
            let words = changes(was, is).into_iter().map(|(source, becomes, ports)| {
                let ports: Vec<_> = ports.iter().flatten().map(ToString::to_string).collect();
                let source = source.map(|it| format!(" from {it}")).unwrap_or_default();
                format!("{} {}{source}", becomes.text(), ports.join(","))
            });
            words.collect::<Vec<_>>()
        };
        let all = |ports| vec![piece(32768, 60999, ports)];
        assert_eq!(told(&all(&[(22, 22), (80, 80)]), &all(&[(80, 80)])), ["passes no more 22"]);
        assert_eq!(told(&[], &all(&[(80, 90)])), ["passes then 80-90"]);
        assert!(told(&all(&[(80, 80)]), &all(&[(80, 80)])).is_empty());
        // The same, cut otherwise.
        let cut = vec![piece(32768, 49151, &[(80, 80)]), piece(49152, 60999, &[(80, 80)])];
        assert!(told(&all(&[(80, 80)]), &cut).is_empty());
        let only_high = vec![piece(49152, 60999, &[(80, 80)])];
        assert_eq!(told(&cut, &only_high), ["passes no more 80 from 32768-49151"]);
        assert_eq!(told(&only_high, &all(&[(80, 80)])), ["passes then 80 from 32768-49151"]);
        assert_eq!(told(&only_high, &[]), ["passes no more 80 from 49152-60999"]);
    }

    #[test]
    fn ports_that_follow_each_other_are_one_stretch() {
        let mut pieces = Vec::new();
        for ports in [(0, 21), (22, 22), (80, 90)] {
            let range = PortRange { first: ports.0, last: ports.1 };
            add(&mut pieces, CLIENT_PORTS, Some(range));
        }
        assert_eq!(pieces, [(CLIENT_PORTS, list(&[(0, 22), (80, 90)]))]);
    }
}
