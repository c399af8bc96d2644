//! Expectations that describe the present state: of every pair of interfaces and the internet what
//! passes and what does not, in as few words as that takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use gureum_types::EndpointService;

use super::{
    CLIENT_PORTS, Check, IPV6_CLIENT, Question,
    decided::decided,
    differs_by_source,
    ends::{Ends, Receiver, Sender},
    has_family,
    stretches::Known,
};
use crate::{
    admin::{Decided, Expect, Expectation, PortRange, Protocol, Reply, Suggestion},
    daemon::{
        CLIENT,
        clerk::{Answer, Clerk},
        why::{INTERNET, Source, packet},
    },
};

/// How many questions a suggestion may take.
const MOST_QUESTIONS: usize = 4_000_000;

/// Something that may be expected of several pairs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Statement {
    /// Nothing where it depends on the port that a client connects from.
    expect: Option<Expect>,
    protocols: Vec<Protocol>,
    ports: Option<Vec<PortRange>>,
}

/// The ports of a protocol that pass, or that do not; with what decided about them.
#[derive(Clone, Debug, Default)]
struct Part {
    ports: Vec<PortRange>,
    by: BTreeSet<String>,
}

impl Part {
    fn add(&mut self, ports: Option<PortRange>, by: String) {
        self.by.insert(by);
        let Some(ports) = ports else { return };
        match self.ports.last_mut() {
            Some(last) if last.last.checked_add(1) == Some(ports.first) => last.last = ports.last,
            _ => self.ports.push(ports),
        }
    }
}

/// Which pairs a statement is true of, and what decides there.
#[derive(Default)]
struct Truth {
    receivers: BTreeMap<usize, BTreeSet<usize>>,
    by: BTreeSet<String>,
}

impl Clerk {
    /// Expectations that the present state meets, all of them together.
    pub(in crate::daemon) fn suggest(&self) -> Answer<Reply> {
        let mut check = Check {
            control: &self.control,
            clerk: self,
            directory: self.control.directory(),
            present: self.present(),
            known: Known::default(),
            shown: 0,
        };
        let mut suggestions = check.suggestions(false)?;
        suggestions.extend(check.suggestions(true)?);
        Ok(Reply::Suggestions(suggestions))
    }
}

impl Check<'_> {
    fn suggestions(&mut self, ipv6: bool) -> Answer<Vec<Suggestion>> {
        let (senders, receivers) = self.everybody(ipv6);
        let mut truths: BTreeMap<Statement, Truth> = BTreeMap::new();
        let mut asked = 0;
        for (from, sender) in senders.iter().enumerate() {
            for (to, receiver) in receivers.iter().enumerate().filter(|(_, to)| !to.is(sender)) {
                let questions = self.pair(sender, receiver, ipv6);
                asked += questions.len();
                if asked > MOST_QUESTIONS {
                    return Err(format!(
                        "the network has {} interfaces and too many rules to suggest expectations \
                         for all pairs\nhelp: write down those that matter",
                        senders.len() - 1
                    ));
                }
                for (statement, by) in self.statements(&questions)? {
                    let truth = truths.entry(statement).or_default();
                    truth.receivers.entry(from).or_default().insert(to);
                    truth.by.extend(by);
                }
            }
        }
        let names: Vec<_> = senders.into_iter().map(|sender| sender.name).collect();
        let grouped = truths.iter().flat_map(|(statement, truth)| {
            rectangles(&truth.receivers).into_iter().map(|(from, to)| {
                let name = |ends: &BTreeSet<usize>| {
                    ends.iter().filter_map(|end| names.get(*end)).cloned().collect()
                };
                Suggestion {
                    expectation: Expectation {
                        from: name(&from),
                        to: name(&to),
                        protocols: statement.protocols.clone(),
                        ports: statement.ports.clone(),
                        expect: statement.expect.unwrap_or(Expect::Deny),
                        by: None,
                        ipv6,
                    },
                    by: truth.by.iter().cloned().collect(),
                    is_certain: statement.expect.is_some(),
                }
            })
        });
        Ok(grouped.collect())
    }

    /// All who send and receive in a family, in the same order: the internet, then interfaces by
    /// name. Nobody where no interface has an address of it.
    pub(super) fn everybody(&self, ipv6: bool) -> (Vec<Sender>, Vec<Receiver>) {
        let client = if ipv6 { IPV6_CLIENT.into() } else { IpAddr::from(CLIENT) };
        let ends = Ends { directory: &self.directory, public_pool: self.clerk.public_pool, client };
        let mut found = self.directory.senders();
        found.retain(|it| has_family(&it.record, ipv6));
        if found.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let internet = Source { end: gureum_engine::WhySource::Internet(client), interface: None };
        let mut senders = vec![Sender { source: internet, name: INTERNET.to_owned() }];
        let mut receivers = vec![Receiver::Internet];
        for interface in found {
            let mut sender = ends.sender(&interface, None);
            // A name that would be taken for something else is none.
            let is_taken =
                sender.name == INTERNET || EndpointService::meant(&sender.name).is_some();
            if is_taken || sender.name.parse::<IpAddr>().is_ok() {
                sender.name = interface.record.id.to_string();
            }
            receivers.push(Receiver::Interface(interface, sender.name.clone()));
            senders.push(sender);
        }
        (senders, receivers)
    }

    /// All questions about a pair.
    pub(super) fn pair<'q>(
        &mut self,
        from: &'q Sender,
        to: &'q Receiver,
        ipv6: bool,
    ) -> Vec<Question<'q>> {
        let destination = self.destination(from, to, ipv6);
        let vpcs = self.vpcs(from, to);
        let stretches = self.known.of(&self.directory, &vpcs);
        let question =
            |protocol, ports, source| Question { from, to, destination, protocol, ports, source };
        let mut questions = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let sources = stretches.within(protocol, CLIENT_PORTS);
            for ports in stretches.within(protocol, PortRange::ALL) {
                let asked = sources.iter().map(|source| question(protocol, Some(ports), *source));
                questions.extend(asked);
            }
        }
        let others = stretches.others.iter().copied().map(Protocol::Number);
        let others = [Protocol::Icmp].into_iter().chain(others);
        questions.extend(others.map(|it| question(it, None, CLIENT_PORTS)));
        questions
    }

    /// What the answers to all questions about a pair say.
    fn statements(
        &mut self,
        questions: &[Question<'_>],
    ) -> Answer<Vec<(Statement, BTreeSet<String>)>> {
        let mut parts = Parts::new();
        // Questions that differ in nothing but the source ports come in a row.
        let mut row: Vec<Told> = Vec::new();
        let directory = &self.directory;
        let addressed = questions.iter().filter_map(|question| {
            let query = packet(&question.from.source, question.destination?, question.traffic());
            Some((question, query))
        });
        self.present.ask_each(addressed, |question: &Question<'_>, report| {
            if question.source.first == CLIENT_PORTS.first {
                end_row(&mut parts, &mut row);
            }
            let by = decided(directory, &report);
            row.push(Told {
                protocol: question.protocol,
                ports: question.ports,
                source: question.source,
                reachable: report.reachable,
                by,
            });
        })?;
        end_row(&mut parts, &mut row);
        Ok(joined(parts))
    }
}

/// An answer.
struct Told {
    protocol: Protocol,
    ports: Option<PortRange>,
    source: PortRange,
    reachable: bool,
    by: Decided,
}

/// The ports of each protocol by what may be expected of them.
type Parts = BTreeMap<(Option<Expect>, Protocol), Part>;

/// Takes in what was told for all source ports of a question.
fn end_row(parts: &mut Parts, row: &mut Vec<Told>) {
    let differs =
        differs_by_source(row.iter().map(|it| (it.source, it.reachable, it.by.text.as_str())));
    // Where they do not differ, the first speaks for all.
    let Some(Told { protocol, ports, reachable, by, .. }) = row.drain(..).next() else { return };
    let (expect, by) = match (differs, reachable) {
        (Some(why), _) => (None, why),
        (None, true) => (Some(Expect::Allow), by.text),
        (None, false) => (Some(Expect::Deny), by.reason.unwrap_or(by.text)),
    };
    parts.entry((expect, protocol)).or_default().add(ports, by);
}

/// Statements about protocols: those whose ports are the same are one, and those without ports join
/// any other.
fn joined(parts: Parts) -> Vec<(Statement, BTreeSet<String>)> {
    let mut statements: Vec<(Statement, BTreeSet<String>)> = Vec::new();
    for ((expect, protocol), part) in parts {
        let ports = protocol.has_ports().then_some(part.ports);
        let fits = |it: &&mut (Statement, BTreeSet<String>)| {
            it.0.expect == expect && (ports.is_none() || it.0.ports == ports)
        };
        match statements.iter_mut().find(fits) {
            Some((statement, by)) => {
                statement.protocols.push(protocol);
                by.extend(part.by);
            }
            None => {
                let statement = Statement { expect, protocols: vec![protocol], ports };
                statements.push((statement, part.by));
            }
        }
    }
    statements
}

/// Pairs as sets of senders that all have the same receivers: a pair of an end with itself is none,
/// so it may be part of it or not.
fn rectangles(pairs: &BTreeMap<usize, BTreeSet<usize>>) -> Vec<(BTreeSet<usize>, BTreeSet<usize>)> {
    let mut groups: BTreeMap<BTreeSet<usize>, BTreeSet<usize>> = BTreeMap::new();
    for (from, to) in pairs {
        let mut with_itself = to.clone();
        with_itself.insert(*from);
        groups.entry(with_itself).or_default().insert(*from);
    }
    // Those that are alone in that may still have the receivers of others.
    let mut found: BTreeMap<BTreeSet<usize>, BTreeSet<usize>> = BTreeMap::new();
    for (mut to, from) in groups {
        if let (Some(only), 1) = (from.first(), from.len()) {
            to.remove(only);
        }
        found.entry(to).or_default().extend(from);
    }
    let mut found: Vec<_> = found.into_iter().map(|(to, from)| (from, to)).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(usize, usize)]) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut pairs: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (from, to) in list {
            pairs.entry(*from).or_default().insert(*to);
        }
        pairs
    }

    #[test]
    fn rectangles_are_the_pairs_and_no_others() {
        let all: Vec<(usize, usize)> =
            (0..4).flat_map(|a| (0..4).filter(move |b| a != *b).map(move |b| (a, b))).collect();
        assert_eq!(rectangles(&pairs(&all)).len(), 1, "everybody to everybody");
        let mut without = all;
        without.retain(|pair| *pair != (0, 3));
        for list in [vec![(0, 1)], vec![(0, 1), (1, 0)], vec![(0, 2), (1, 2), (2, 0)], without] {
            let mut made: Vec<_> = rectangles(&pairs(&list))
                .into_iter()
                .flat_map(|(from, to)| {
                    from.into_iter().flat_map(move |a| {
                        to.clone().into_iter().filter(move |b| *b != a).map(move |b| (a, b))
                    })
                })
                .collect();
            made.sort_unstable();
            assert_eq!(made, list);
        }
    }

    #[test]
    fn statements_join_what_is_alike() {
        let part = |ranges: &[(u16, u16)]| {
            let mut part = Part::default();
            for (first, last) in ranges {
                part.add(Some(PortRange { first: *first, last: *last }), "x".to_owned());
            }
            part
        };
        let mut ping = Part::default();
        ping.add(None, "y".to_owned());
        let parts = BTreeMap::from([
            ((Some(Expect::Allow), Protocol::Tcp), part(&[(22, 22), (80, 80), (81, 90)])),
            ((Some(Expect::Deny), Protocol::Udp), part(&[(0, 65535)])),
            ((Some(Expect::Allow), Protocol::Icmp), ping),
        ]);
        let statements = joined(parts);
        let ports = |at: usize| statements[at].0.ports.clone().expect("ports");
        assert_eq!(statements.len(), 2);
        assert_eq!(statements[0].0.protocols, [Protocol::Tcp, Protocol::Icmp]);
        assert_eq!(ports(0), [22.into(), PortRange { first: 80, last: 90 }]);
        assert_eq!(statements[0].1.len(), 2);
        assert_eq!(ports(1), [PortRange::ALL]);
    }
}
