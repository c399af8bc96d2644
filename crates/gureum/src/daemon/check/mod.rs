//! Expectations held against the present state: who is meant becomes questions, the engine itself
//! answers them, and the answers become verdicts. Nothing here decides about packets.

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
}

impl Question<'_> {
    fn traffic(&self) -> WhyTraffic {
        let (source_port, destination_port) =
            (EPHEMERAL, self.ports.map_or(0, |range| range.first));
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

/// What is counted while answers come in.
struct Tally<'a> {
    expect: Expect,
    wanted: Option<&'a Wanted>,
    shown: usize,
    asked: u64,
    against: Vec<Decision>,
    against_count: u64,
    fitting: Vec<Decision>,
}

impl Tally<'_> {
    fn take(&mut self, decision: Decision) {
        self.asked += 1;
        let as_expected = decision.reachable == (self.expect == Expect::Allow);
        let fits = as_expected && self.wanted.is_none_or(|wanted| wanted.is(&decision.by));
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
        let because = self.against.first().map(|first| self.sentence(first));
        let outcome = if because.is_some() { Outcome::Fails } else { Outcome::Holds };
        self.against.append(&mut self.fitting);
        self.against.truncate(self.shown);
        let (asked, against) = (self.asked, self.against_count);
        Verdict { outcome, because, asked, against, decisions: self.against }
    }

    fn sentence(&self, first: &Decision) -> String {
        let as_expected = first.reachable == (self.expect == Expect::Allow);
        let does = if first.reachable { "passes" } else { "does not pass" };
        let ports = first.ports.map(|ports| format!(" {ports}")).unwrap_or_default();
        let what =
            format!("{}{ports} from {} to {}", first.protocol, first.from_name, first.to_name);
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

impl Check<'_> {
    /// What is said of an expectation. An error is one of the daemon, not of the expectation.
    fn verdict(&mut self, expectation: &Expectation) -> Answer<Verdict> {
        match self.tried(expectation)? {
            Ok(verdict) => Ok(verdict),
            Err(because) => Ok(Verdict {
                outcome: Outcome::Unknown,
                because: Some(because),
                asked: 0,
                against: 0,
                decisions: Vec::new(),
            }),
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
        let mut tally = Tally {
            expect: expectation.expect,
            wanted: wanted.as_ref(),
            shown: self.shown,
            asked: 0,
            against: Vec::new(),
            against_count: 0,
            fitting: Vec::new(),
        };
        let directory = &self.directory;
        let addressed = questions.iter().filter_map(|question| {
            let query = packet(&question.from.source, question.destination?, question.traffic());
            Some((question, query))
        });
        self.present.ask_each(addressed, |question: &Question<'_>, report| {
            let by = decided(directory, &report);
            tally.take(question.decision(directory, report.reachable, by));
        })?;
        for question in questions.iter().filter(|it| it.destination.is_none()) {
            match self.of_name(question, ipv6)? {
                Ok(decision) => tally.take(decision),
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
                    let stretches = self.stretches(*protocol, expectation, to, &vpcs)?;
                    questions.extend(stretches.into_iter().map(|ports| Question {
                        from,
                        to,
                        destination,
                        protocol: *protocol,
                        ports,
                    }));
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

    /// The ports to ask about, one for all of a stretch.
    fn stretches(
        &mut self,
        protocol: Protocol,
        expectation: &Expectation,
        to: &Receiver,
        vpcs: &BTreeSet<VpcId>,
    ) -> Result<Vec<Option<PortRange>>, Unknown> {
        if !protocol.has_ports() {
            return Ok(vec![None]);
        }
        let Some(ranges) = &expectation.ports else {
            let is_service = match to {
                Receiver::Name(name) => {
                    Meant::by(name, None).is_some_and(|meant| meant.service.is_some())
                }
                _ => false,
            };
            return match is_service {
                true => Ok(vec![Some(HTTPS.into())]),
                false => Err(format!("{protocol} needs a port")),
            };
        };
        let known = self.known.of(&self.directory, vpcs.clone());
        let cut = ranges.iter().flat_map(|range| known.within(protocol, *range));
        Ok(cut.map(Some).collect())
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
                let public = self.control.public_address(&found.record).map(IpAddr::from);
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
