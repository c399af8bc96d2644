//! Sends real packets from instances and from the internet, and says how it went: the same questions
//! as `why`'s, answered by hosts instead of the engine.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    thread,
    time::Duration,
};

use gureum_engine::WhySource;
use gureum_host::{
    attempt::{Attempt, Outcome, Traffic, attempt},
    namespace::Namespace,
};
use gureum_types::{InstanceId, record::NetworkInterface};

use super::{
    CLIENT, IPV6_CLIENT,
    clerk::{Answer, Clerk},
    names::Asker,
    why::{Destination, HTTPS},
};
use crate::admin::{AttemptReport, AttemptsArgs, Reply, WhyArgs};

/// The longest that one attempt may take.
const LONGEST: Duration = Duration::from_secs(30);
/// How many namespaces are worked in at once: a thread each.
const AT_ONCE: usize = 128;

/// Where attempts begin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Begin {
    Internet,
    Instance(InstanceId),
}

/// Attempts from one place, each with its number among all.
type Begun = Vec<(usize, Attempt)>;

impl Clerk {
    /// Makes all attempts at once. What cannot be tried says so in its own report.
    pub(super) fn attempts(&self, args: &AttemptsArgs) -> Answer<Reply> {
        self.cloud()?;
        let patience = Duration::from_millis(args.patience).min(LONGEST);
        let mut reports: Vec<Option<AttemptReport>> = vec![None; args.questions.len()];
        let mut places: HashMap<Begin, Begun> = HashMap::new();
        for (number, question) in args.questions.iter().enumerate() {
            match self.attempt_of(question) {
                Ok((from, attempt)) => places.entry(from).or_default().push((number, attempt)),
                Err(why) => reports[number] = Some(AttemptReport::failed(why)),
            }
        }
        let mut places = places.into_iter();
        loop {
            let some: Vec<_> = places.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let done: Vec<_> = thread::scope(|scope| {
                let working = some.iter().map(|(from, begun)| {
                    scope.spawn(move || self.attempts_from(from, begun, patience))
                });
                let working: Vec<_> = working.collect();
                working.into_iter().map(thread::ScopedJoinHandle::join).collect()
            });
            for ((_, begun), outcomes) in some.iter().zip(done) {
                let failed = |why: String| vec![Outcome::Failed(why); begun.len()];
                let outcomes = match outcomes {
                    Ok(Ok(outcomes)) => outcomes,
                    Ok(Err(why)) => failed(why),
                    Err(_) => failed("the attempt panicked".to_owned()),
                };
                for ((number, attempt), outcome) in begun.iter().zip(outcomes) {
                    reports[*number] = Some(report(attempt, outcome));
                }
            }
        }
        let nothing = || AttemptReport::failed("it was not tried".to_owned());
        Ok(Reply::Attempts(reports.into_iter().map(|it| it.unwrap_or_else(nothing)).collect()))
    }

    fn attempts_from(
        &self,
        from: &Begin,
        begun: &[(usize, Attempt)],
        patience: Duration,
    ) -> Answer<Vec<Outcome>> {
        let cloud = self.cloud()?;
        let namespace: Namespace = match from {
            Begin::Internet => {
                cloud.namespaces().internet.try_clone().map_err(|it| it.to_string())?
            }
            Begin::Instance(id) => cloud.instances().network(id).map_err(|it| it.to_string())?,
        };
        let attempts: Vec<_> = begun.iter().map(|(_, attempt)| attempt.clone()).collect();
        attempt(&namespace, &attempts, patience).map_err(|error| error.to_string())
    }

    /// What a question means in packets.
    fn attempt_of(&self, question: &WhyArgs) -> Answer<(Begin, Attempt)> {
        let written = [&question.source, &question.destination];
        let ipv6 = question.ipv6 || written.iter().any(|end| end.parse::<Ipv6Addr>().is_ok());
        let client = if ipv6 { IPV6_CLIENT.into() } else { IpAddr::from(CLIENT) };
        let source = self.source_of(&question.source, client)?;
        let from =
            match (&source.end, &source.interface) {
                (WhySource::Internet(_), _) => Begin::Internet,
                (WhySource::Interface { .. }, Some(interface)) => {
                    let instance = interface.record.attachment.as_ref().map(|it| &it.instance_id);
                    Begin::Instance(instance.cloned().ok_or_else(|| {
                        format!("{} is attached to no instance", interface.record.id)
                    })?)
                }
                (WhySource::Interface { .. }, None) => {
                    return Err(format!("\"{}\" is no instance", question.source));
                }
            };
        let mut service = false;
        let destination = match self.destination(&question.destination, ipv6, &source)? {
            Destination::Internet => client,
            Destination::Address(address) => address,
            Destination::Interface { public, private } => match from {
                Begin::Internet => public.unwrap_or(private),
                Begin::Instance(_) => private,
            },
            Destination::Name(meant) => {
                service = meant.service.is_some();
                let resolver = self.present().resolver()?;
                let asker = Asker { control: &self.control, resolver, source: &source, ipv6 };
                asker.first_address(&meant)?
            }
        };
        let port = || {
            let port = question.port.or(service.then_some(HTTPS));
            port.ok_or_else(|| format!("{} needs a port", question.protocol))
        };
        let traffic = match question.protocol.as_str() {
            "tcp" | "6" => Traffic::Tcp(port()?),
            "udp" | "17" => Traffic::Udp(port()?),
            "icmp" | "icmpv6" | "1" | "58" => Traffic::Echo,
            other => {
                return Err(format!(
                    "packets of protocol {other} cannot be tried: only tcp, udp and icmp have answers"
                ));
            }
        };
        let own = match (&source.end, &source.interface) {
            (WhySource::Internet(address), _) => Some(*address).filter(|it| *it != client),
            (WhySource::Interface { address: Some(address), .. }, _) => Some(*address),
            // The address that the engine is asked about, whatever the guest's routes prefer.
            (_, interface) => interface.as_ref().and_then(|it| primary(&it.record, destination)),
        };
        Ok((from, Attempt { source: own, destination, traffic }))
    }
}

/// The first address of an interface of the family of another.
fn primary(interface: &NetworkInterface, other: IpAddr) -> Option<IpAddr> {
    match other {
        IpAddr::V4(_) => interface.private_addresses.first().copied().map(IpAddr::V4),
        IpAddr::V6(_) => interface.ipv6_addresses.first().copied().map(IpAddr::V6),
    }
}

fn report(attempt: &Attempt, outcome: Outcome) -> AttemptReport {
    let got_through = outcome.got_through();
    let (how, by, text) = match outcome {
        Outcome::Answered { by, text } => ("answered", by.map(|it| it.to_string()), text),
        Outcome::Refused => ("refused", None, String::new()),
        Outcome::Unreachable => ("unreachable", None, String::new()),
        Outcome::Silent => ("silent", None, String::new()),
        Outcome::Failed(why) => return AttemptReport::failed(why),
    };
    AttemptReport {
        got_through: Some(got_through),
        how: how.to_owned(),
        by,
        text,
        destination: Some(attempt.destination),
    }
}
