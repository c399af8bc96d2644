//! Expectations held against the present state: who is meant becomes questions, the engine itself
//! answers them, and the answers become verdicts. Nothing here decides about packets.

mod compare;
mod decided;
mod ends;
mod stretches;
mod suggest;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use gureum_control::{Control, Directory, Found};
use gureum_engine::{WhyReport, WhySource, WhyTraffic};
use gureum_types::{
    VpcId,
    record::{NetworkInterface, Vpc},
};

use self::{
    decided::{Wanted, decided, obstacle},
    ends::{Ends, Receiver, Sender, Unknown},
    stretches::Known,
};
use super::{
    CLIENT, IPV6_CLIENT,
    clerk::{Answer, Clerk},
    names::{Asker, Meant},
    present::Present,
    why::{EPHEMERAL, HTTPS, INTERNET, packet},
};
use crate::admin::{
    CheckArgs, Decided, Decision, Expect, Expectation, Outcome, PortRange, Protocol, Reply,
    Verdict, WhyAnswer,
};

/// What may be in the way besides packets, by the names of [`crate::admin::WhyFinding`].
const FINDINGS: [&str; 8] = [
    "denied",
    "dns-support",
    "no-instance-profile",
    "no-role",
    "not-connected",
    "not-running",
    "other-address",
    "role-not-trusted",
];
/// A name that means nothing, which is a mistake of who wrote it and no answer.
const NO_SUCH_NAME: &str = "no-such-name";
/// The ports that clients connect from: those of Linux, unless somebody sets others
/// (`net.ipv4.ip_local_port_range`).
const CLIENT_PORTS: PortRange = PortRange { first: 32768, last: 60999 };
/// How many questions one expectation may be.
const MOST_QUESTIONS: usize = 200_000;
/// How many decisions are told of an expectation where not all were asked for.
const SHOWN: usize = 8;

impl Clerk {
    /// Verdicts about expectations, in their order.
    pub(super) fn check(&self, args: &CheckArgs) -> Answer<Reply> {
        let mut check = Check {
            control: &self.control,
            clerk: self,
            directory: self.control.directory(),
            present: self.present(),
            known: Known::default(),
            shown: if args.every_decision { usize::MAX } else { SHOWN },
        };
        let verdicts = args.expectations.iter().map(|expectation| check.verdict(expectation));
        verdicts.collect::<Answer<_>>().map(Reply::Check)
    }
}

/// One check of many expectations.
struct Check<'a> {
    control: &'a Arc<Control>,
    clerk: &'a Clerk,
    directory: Directory,
    present: Present,
    known: Known,
    shown: usize,
}

/// One kind of packet between two ends.
struct Question<'a> {
    from: &'a Sender,
    to: &'a Receiver,
    /// The address that it is sent to; nothing where that is still a name.
    destination: Option<IpAddr>,
    protocol: Protocol,
    ports: Option<PortRange>,
    /// The source ports that it stands for: all that clients connect from, unless rules tell them
    /// apart. Of a protocol without ports always all.
    source: PortRange,
}

impl Question<'_> {
    fn traffic(&self) -> WhyTraffic {
        let has_usual = (self.source.first..=self.source.last).contains(&EPHEMERAL);
        let source_port = if has_usual { EPHEMERAL } else { self.source.first };
        let destination_port = self.ports.map_or(0, |range| range.first);
        match self.protocol {
            Protocol::Tcp => WhyTraffic::Tcp { source_port, destination_port },
            Protocol::Udp => WhyTraffic::Udp { source_port, destination_port },
            // An identifier that no running ping is likely to have: a new one is asked for (SGT-7).
            Protocol::Icmp => WhyTraffic::IcmpEcho { identifier: u16::MAX },
            Protocol::Number(number) => WhyTraffic::Protocol(number),
        }
    }

    fn decision(&self, directory: &Directory, reachable: bool, by: Decided) -> Decision {
        let interface = self.from.source.interface.as_ref();
        let source = match self.from.source.end {
            WhySource::Interface { address, .. } => address,
            WhySource::Internet(address) => Some(address),
        };
        Decision {
            from: interface.map_or(INTERNET.to_owned(), |it| it.record.id.to_string()),
            from_name: self.from.name.clone(),
            source,
            to_name: self.to.name(directory),
            destination: self.destination,
            protocol: self.protocol,
            ports: self.ports,
            reachable,
            by,
        }
    }
}

/// An expectation whose words are understood.
struct Prepared {
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    ipv6: bool,
    wanted: Option<Wanted>,
}

/// What is counted while answers come in. Those to questions that differ in nothing but the source
/// ports come in a row, the lowest first.
struct Tally<'a> {
    expect: Expect,
    wanted: Option<&'a Wanted>,
    shown: usize,
    asked: u64,
    row: Vec<(PortRange, Decision)>,
    against: Vec<Decision>,
    against_count: u64,
    fitting: Vec<Decision>,
    /// Where the answer depends on the source port: the first such thing, and how many there are.
    mixed: Option<String>,
    mixed_count: u64,
}

impl<'a> Tally<'a> {
    fn new(expect: Expect, wanted: Option<&'a Wanted>, shown: usize) -> Self {
        Self {
            expect,
            wanted,
            shown,
            asked: 0,
            row: Vec::new(),
            against: Vec::new(),
            against_count: 0,
            fitting: Vec::new(),
            mixed: None,
            mixed_count: 0,
        }
    }

    fn take(&mut self, source: PortRange, decision: Decision) {
        if source.first == CLIENT_PORTS.first {
            self.end_row();
        }
        self.asked += 1;
        self.row.push((source, decision));
    }

    fn fits(&self, decision: &Decision) -> bool {
        let as_expected = decision.reachable == (self.expect == Expect::Allow);
        as_expected && self.wanted.is_none_or(|wanted| wanted.is(&decision.by))
    }

    /// All source ports of a question were asked about.
    fn end_row(&mut self) {
        let row = std::mem::take(&mut self.row);
        let told = row.iter().map(|(source, it)| (*source, it.reachable, it.by.text.as_str()));
        if let Some(why) = differs_by_source(told) {
            self.mixed_count += 1;
            self.mixed.get_or_insert_with(|| {
                let what = row.first().map(|(_, it)| what(it)).unwrap_or_default();
                format!("{why} ({what})")
            });
            return;
        }
        // That of the usual port, unless another one is decided otherwise than was expected.
        let is_usual = |(source, _): &&(PortRange, Decision)| {
            (source.first..=source.last).contains(&EPHEMERAL)
        };
        let unfitting = row.iter().find(|(_, it)| !self.fits(it));
        let chosen = unfitting.or_else(|| row.iter().find(is_usual));
        if let Some((_, decision)) = chosen {
            self.settle(decision.clone());
        }
    }

    fn settle(&mut self, decision: Decision) {
        let fits = self.fits(&decision);
        let list = if fits { &mut self.fitting } else { &mut self.against };
        if let Some(last) = list.last_mut()
            && joins(last, &decision)
        {
            return;
        }
        if !fits {
            self.against_count += 1;
        }
        if list.len() < self.shown {
            list.push(decision);
        }
    }

    fn verdict(mut self) -> Verdict {
        self.end_row();
        let (asked, against) = (self.asked, self.against_count);
        if let (true, Some(mixed)) = (self.against.is_empty(), &self.mixed) {
            let more = match self.mixed_count {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            return Verdict { asked, ..Verdict::unknown(format!("{mixed}{more}")) };
        }
        let because = self.against.first().map(|first| self.sentence(first));
        let outcome = if because.is_some() { Outcome::Fails } else { Outcome::Holds };
        self.against.append(&mut self.fitting);
        self.against.truncate(self.shown);
        Verdict { outcome, because, asked, against, decisions: self.against }
    }

    fn sentence(&self, first: &Decision) -> String {
        let as_expected = first.reachable == (self.expect == Expect::Allow);
        let does = if first.reachable { "passes" } else { "does not pass" };
        let what = what(first);
        let by = &first.by.text;
        let mut sentence = match (self.wanted, as_expected) {
            (Some(wanted), true) => {
                format!("{what} {does}, but not by {}: {by}", wanted.text())
            }
            _ => format!("{what} {does}: {by}"),
        };
        if self.against_count > 1 {
            sentence += &format!(" (and {} more)", self.against_count - 1);
        }
        sentence
    }
}

/// Of which packets a decision is.
fn what(it: &Decision) -> String {
    let ports = it.ports.map(|ports| format!(" {ports}")).unwrap_or_default();
    format!("{}{ports} from {} to {}", it.protocol, it.from_name, it.to_name)
}

/// How answers to one question differ by the port that a client connects from, if they do: stretches
/// of source ports in their order, whether packets from there pass, and what decides.
fn differs_by_source<'t>(
    told: impl Iterator<Item = (PortRange, bool, &'t str)> + Clone,
) -> Option<String> {
    let some = |passes| told.clone().any(|(_, reachable, _)| reachable == passes);
    if !(some(true) && some(false)) {
        return None;
    }
    let mut dropped = told.filter(|(_, reachable, _)| !reachable);
    let (mut range, _, by) = dropped.next()?;
    for (next, _, other) in dropped {
        if range.last.checked_add(1) != Some(next.first) || other != by {
            break;
        }
        range.last = next.last;
    }
    let (what, by) = match by.strip_prefix(decided::ANSWER) {
        Some(by) => ("answers to", by),
        None => ("packets from", by),
    };
    let ports = if range.first == range.last { "port" } else { "ports" };
    Some(format!("{what} {ports} {range} are dropped by {by}"))
}

impl Check<'_> {
    /// What is said of an expectation. An error is one of the daemon, not of the expectation.
    fn verdict(&mut self, expectation: &Expectation) -> Answer<Verdict> {
        match self.tried(expectation)? {
            Ok(verdict) => Ok(verdict),
            Err(because) => Ok(Verdict::unknown(because)),
        }
    }

    fn tried(&mut self, expectation: &Expectation) -> Answer<Result<Verdict, Unknown>> {
        let Prepared { senders, receivers, ipv6, wanted } = match self.prepared(expectation) {
            Ok(prepared) => prepared,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let questions = match self.questions(expectation, &senders, &receivers, ipv6) {
            Ok(questions) => questions,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let mut tally = Tally::new(expectation.expect, wanted.as_ref(), self.shown);
        let directory = &self.directory;
        let addressed = questions.iter().filter_map(|question| {
            let query = packet(&question.from.source, question.destination?, question.traffic());
            Some((question, query))
        });
        self.present.ask_each(addressed, |question: &Question<'_>, report| {
            let by = decided(directory, &report);
            tally.take(question.source, question.decision(directory, report.reachable, by));
        })?;
        for question in questions.iter().filter(|it| it.destination.is_none()) {
            match self.of_name(question, ipv6)? {
                Ok(decision) => tally.take(question.source, decision),
                Err(unknown) => return Ok(Err(unknown)),
            }
        }
        Ok(Ok(tally.verdict()))
    }

    /// Who is meant, and in which family.
    fn prepared(&self, expectation: &Expectation) -> Result<Prepared, Unknown> {
        let named = || expectation.from.iter().chain(&expectation.to);
        let families: BTreeSet<bool> = named()
            .filter_map(|name| name.parse::<IpAddr>().ok())
            .map(|address| address.is_ipv6())
            .collect();
        if families.len() > 1 || (expectation.ipv6 && families.contains(&false)) {
            return Err("its addresses are of both families, which never meet".to_owned());
        }
        let ipv6 = expectation.ipv6 || families.contains(&true);
        let client = if ipv6 { IPV6_CLIENT.into() } else { IpAddr::from(CLIENT) };
        let ends = Ends { directory: &self.directory, public_pool: self.clerk.public_pool, client };
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for name in &expectation.from {
            let found = ends.senders(name)?;
            senders.extend(only_of_family(
                found,
                name,
                |sender| {
                    sender.source.interface.as_ref().is_none_or(|it| has_family(&it.record, ipv6))
                },
                ipv6,
            )?);
        }
        for name in &expectation.to {
            let found = ends.receivers(name)?;
            receivers.extend(only_of_family(
                found,
                name,
                |receiver| match receiver {
                    Receiver::Interface(it, _) => has_family(&it.record, ipv6),
                    _ => true,
                },
                ipv6,
            )?);
        }
        let by = expectation.by.as_deref();
        let wanted = by.map(|text| Wanted::of(&self.directory, text)).transpose()?;
        Ok(Prepared { senders, receivers, ipv6, wanted })
    }

    /// All questions that an expectation is.
    fn questions<'q>(
        &mut self,
        expectation: &Expectation,
        senders: &'q [Sender],
        receivers: &'q [Receiver],
        ipv6: bool,
    ) -> Result<Vec<Question<'q>>, Unknown> {
        let mut questions = Vec::new();
        for from in senders {
            for to in receivers.iter().filter(|to| !to.is(from)) {
                let destination = self.destination(from, to, ipv6);
                let vpcs = self.vpcs(from, to);
                for protocol in &expectation.protocols {
                    let (stretches, sources) = self.stretches(*protocol, expectation, to, &vpcs)?;
                    for ports in stretches {
                        questions.extend(sources.iter().map(|source| Question {
                            from,
                            to,
                            destination,
                            protocol: *protocol,
                            ports,
                            source: *source,
                        }));
                    }
                    if questions.len() > MOST_QUESTIONS {
                        return Err(format!(
                            "it is more than {MOST_QUESTIONS} questions: name fewer interfaces or ports"
                        ));
                    }
                }
            }
        }
        match questions.is_empty() {
            true => Err("both ends are the same interface".to_owned()),
            false => Ok(questions),
        }
    }

    /// The ports to ask about, one for all of a stretch, and the same of source ports.
    fn stretches(
        &mut self,
        protocol: Protocol,
        expectation: &Expectation,
        to: &Receiver,
        vpcs: &BTreeSet<VpcId>,
    ) -> Result<(Vec<Option<PortRange>>, Vec<PortRange>), Unknown> {
        if !protocol.has_ports() {
            return Ok((vec![None], vec![CLIENT_PORTS]));
        }
        let known = self.known.of(&self.directory, vpcs);
        let sources = known.within(protocol, CLIENT_PORTS);
        let Some(ranges) = &expectation.ports else {
            let is_service = match to {
                Receiver::Name(name) => {
                    Meant::by(name, None).is_some_and(|meant| meant.service.is_some())
                }
                _ => false,
            };
            return match is_service {
                true => Ok((vec![Some(HTTPS.into())], sources)),
                false => Err(format!("{protocol} needs a port")),
            };
        };
        let cut = ranges.iter().flat_map(|range| known.within(protocol, *range));
        Ok((cut.map(Some).collect(), sources))
    }

    /// The VPCs whose rules packets between two ends meet.
    fn vpcs(&self, from: &Sender, to: &Receiver) -> BTreeSet<VpcId> {
        let interface = |it: &Found<NetworkInterface>| it.record.vpc_id.clone();
        let mut vpcs: BTreeSet<_> = from.source.interface.iter().map(interface).collect();
        match to {
            Receiver::Interface(found, _) => {
                vpcs.insert(interface(found));
            }
            Receiver::Internet if !vpcs.is_empty() => {}
            // Who has the address may be anybody's neighbour.
            _ => {
                let all = self.directory.records().everywhere::<Vpc>();
                vpcs.extend(all.map(|(_, vpc)| vpc.id.clone()));
            }
        }
        vpcs
    }

    /// The address that a packet is sent to. From outside only the public address leads to an
    /// interface; without one the packet is sent to the private address, and the answer is why that
    /// does not arrive. From inside a name means the private address (DNS-9).
    fn destination(&self, from: &Sender, to: &Receiver, ipv6: bool) -> Option<IpAddr> {
        match to {
            Receiver::Internet if ipv6 => Some(IPV6_CLIENT.into()),
            Receiver::Internet => Some(CLIENT.into()),
            Receiver::Address(address) => Some(*address),
            // An address of IPv6 is the same inside and outside (IGW-4).
            Receiver::Interface(found, _) if ipv6 => {
                found.record.ipv6_addresses.first().map(|address| (*address).into())
            }
            Receiver::Interface(found, _) => {
                let private = found.record.primary_address().map(IpAddr::from);
                let public = self.directory.public_address(&found.record).map(IpAddr::from);
                match from.source.interface {
                    None => public.or(private),
                    Some(_) => private,
                }
            }
            Receiver::Name(_) => None,
        }
    }

    /// What becomes of packets to a host name, which means what the sender's resolver says.
    fn of_name(
        &mut self,
        question: &Question<'_>,
        ipv6: bool,
    ) -> Answer<Result<Decision, Unknown>> {
        let source = &question.from.source;
        let region = source.interface.as_ref().map(|it| &it.scope.region);
        let Receiver::Name(name) = question.to else {
            return Ok(Err("it has no address".to_owned()));
        };
        let Some(meant) = Meant::by(name, region) else {
            return Ok(Err(format!("\"{name}\" is no host name")));
        };
        let asker =
            Asker { control: self.control, resolver: self.present.resolver()?, source, ipv6 };
        let traffic = question.traffic();
        let present = &mut self.present;
        let mut packets = |address| present.ask(&packet(source, address, traffic));
        let WhyAnswer { name: named, report, findings } = asker.answer(meant, &mut packets)?;
        if let Some(finding) = findings.iter().find(|it| it.blocks && it.name == NO_SUCH_NAME) {
            return Ok(Err(finding.text.clone()));
        }
        let passes = report.as_ref().is_some_and(|report| report.reachable);
        let obstacle = findings.iter().find(|it| it.blocks).map(obstacle);
        let by = match (&report, obstacle) {
            (Some(report), None) => decided(&self.directory, report),
            (Some(report), Some(_)) if !passes => decided(&self.directory, report),
            (_, Some(obstacle)) => obstacle,
            (None, None) => {
                return Ok(Err(format!("\"{name}\" has no address of this family")));
            }
        };
        let reachable = passes && !findings.iter().any(|it| it.blocks);
        let mut decision = question.decision(&self.directory, reachable, by);
        decision.destination = named.and_then(|named| named.addresses.first().copied());
        Ok(Ok(decision))
    }
}

/// Makes one of two decisions, where the next is about the ports after those of the last and says the
/// same.
fn joins(last: &mut Decision, next: &Decision) -> bool {
    let (Some(ports), Some(after)) = (last.ports, next.ports) else { return false };
    let joined = PortRange { first: ports.first, last: after.last };
    let is_next = ports.last.checked_add(1) == Some(after.first);
    if !is_next || *last != (Decision { ports: last.ports, ..next.clone() }) {
        return false;
    }
    last.ports = Some(joined);
    true
}

/// Those of an end that have addresses of the family: of one that is named alone, it must have.
fn only_of_family<T>(
    found: Vec<T>,
    name: &str,
    has: impl Fn(&T) -> bool,
    ipv6: bool,
) -> Result<Vec<T>, Unknown> {
    let found: Vec<_> = found.into_iter().filter(has).collect();
    match found.is_empty() {
        true => Err(format!("\"{name}\" has no {} address", if ipv6 { "IPv6" } else { "IPv4" })),
        false => Ok(found),
    }
}

fn has_family(interface: &NetworkInterface, ipv6: bool) -> bool {
    match ipv6 {
        true => !interface.ipv6_addresses.is_empty(),
        false => !interface.private_addresses.is_empty(),
    }
}

/// What decided about packets, in a few words.
pub(super) fn in_words(directory: &Directory, report: &WhyReport) -> String {
    decided::decided(directory, report).text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPPED: &str = "the answer: network-acl-egress, acl-1 egress *";

    fn piece(first: u16, last: u16) -> PortRange {
        PortRange { first, last }
    }

    #[test]
    fn answers_that_depend_on_the_source_port_are_told_by_stretches() {
        let told = |all: &[(PortRange, bool, &'static str)]| differs_by_source(all.iter().copied());
        let low = (piece(32768, 40000), false, DROPPED);
        let middle = (piece(40001, 49151), false, DROPPED);
        let high = (piece(49152, 60999), true, "sgr-1");
        let wanted = |ports: &str| {
            Some(format!(
                "answers to ports {ports} are dropped by network-acl-egress, acl-1 egress *"
            ))
        };
        assert_eq!(told(&[low, middle, high]), wanted("32768-49151"));
        assert_eq!(told(&[low, (middle.0, true, "sgr-1"), high]), wanted("32768-40000"));
        let other = (middle.0, false, "the answer: no-route");
        assert_eq!(told(&[low, other, high]), wanted("32768-40000"), "the first of two reasons");
        assert_eq!(told(&[low, middle]), None);
        assert_eq!(told(&[high]), None);
        let forth = told(&[(piece(32768, 32768), false, "no-route"), high]);
        assert_eq!(forth.as_deref(), Some("packets from port 32768 are dropped by no-route"));
    }

    fn decision(port: u16, reachable: bool, text: &str) -> Decision {
        Decision {
            from: INTERNET.into(),
            from_name: INTERNET.into(),
            source: None,
            to_name: "WEB-01".into(),
            destination: None,
            protocol: Protocol::Tcp,
            ports: Some(port.into()),
            reachable,
            by: Decided { text: text.into(), ..Decided::default() },
        }
    }

    #[test]
    fn what_depends_on_the_source_port_is_unknown_unless_something_fails() {
        let (low, high) = (piece(32768, 49151), piece(49152, 60999));
        let tally = |more: Option<Decision>| {
            let mut tally = Tally::new(Expect::Allow, None, SHOWN);
            for port in [80, 443] {
                tally.take(low, decision(port, false, DROPPED));
                tally.take(high, decision(port, true, "sgr-1"));
            }
            tally.take(low, decision(8080, true, "sgr-2"));
            tally.take(high, decision(8080, true, "sgr-2"));
            if let Some(decision) = more {
                tally.take(CLIENT_PORTS, decision);
            }
            tally.verdict()
        };
        let verdict = tally(None);
        assert_eq!((verdict.outcome, verdict.asked), (Outcome::Unknown, 6));
        let wanted = "answers to ports 32768-49151 are dropped by network-acl-egress, acl-1 egress * \
                      (tcp 80 from internet to WEB-01) (and 1 more)";
        assert_eq!(verdict.because.as_deref(), Some(wanted));
        let verdict = tally(Some(decision(22, false, "no-route")));
        assert_eq!((verdict.outcome, verdict.against), (Outcome::Fails, 1));
    }

    #[test]
    fn a_stretch_of_source_ports_is_asked_about_by_the_usual_one_where_it_has_that() {
        let asked = |source| {
            let interface = None;
            let end = WhySource::Internet(IpAddr::from(CLIENT));
            let source_of = super::super::why::Source { end, interface };
            let from = Sender { source: source_of, name: INTERNET.into() };
            let (protocol, ports) = (Protocol::Udp, Some(53.into()));
            let to = &Receiver::Internet;
            let question = Question { from: &from, to, destination: None, protocol, ports, source };
            question.traffic()
        };
        let udp = |source_port| WhyTraffic::Udp { source_port, destination_port: 53 };
        assert_eq!(asked(CLIENT_PORTS), udp(EPHEMERAL));
        assert_eq!(asked(piece(32768, 40000)), udp(32768));
        assert_eq!(asked(piece(50000, 60999)), udp(50000));
    }
}
