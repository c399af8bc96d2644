//! Asks everybody the same questions and compares what they say.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, Ec2, desk};
use serde_json::{Value, json};

use crate::{
    build::Built,
    plan::{End, Question, Which},
};

/// How long packets are waited for: those that were dropped take all of it, side by side.
const PATIENCE: Duration = Duration::from_millis(1200);
/// As that, for what should have arrived: a packet that got lost on a busy machine is no answer.
const LONG_PATIENCE: Duration = Duration::from_secs(4);
/// How often it is asked again.
const AGAIN: usize = 3;
/// How many times Reachability Analyzer was asked.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// The ports that hosts of Linux connect from, `why`'s among them.
const CLIENTS: [u16; 2] = [32_768, 60_999];
/// How many ask `why` side by side.
const ASKERS: usize = 4;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) questions: usize,
    /// How often the answer was yes, and no.
    pub(crate) said: [usize; 2],
    /// Packets that got lost and were sent again.
    pub(crate) again: usize,
    /// How many of them Reachability Analyzer answered as well.
    pub(crate) analyzed: usize,
    /// How long building, asking `why`, sending, clearing away, and asking the others took.
    pub(crate) took: [Duration; 5],
    pub(crate) differences: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { questions, said: [yes, no], again, analyzed, took, differences } = self;
        let differences = differences.len();
        let [build, why, packets, clear, others] = took;
        write!(
            f,
            "{questions} questions, {yes} reachable, {no} not, {analyzed} analyzed, {again} sent \
             again, {differences} differences (building took {build:.1?}, why {why:.1?}, check and \
             analyzer {others:.1?}, packets {packets:.1?}, clearing {clear:.1?})"
        )
    }
}

/// A question with what it is in the cloud.
struct Asked<'a> {
    built: &'a Built,
    /// The seed of a run that makes this pair first.
    repeat: u64,
    question: &'a Question,
    /// The parameters of `why` and of attempts.
    words: Value,
    /// Who is at the other end, where it is a host.
    who: Option<String>,
    /// The question as Reachability Analyzer is asked it, where it is one of those that it answers as
    /// packets do: IPv4 between private addresses (RA-1). Through an internet gateway and back it knows
    /// no way (IGW_NAT_REFLECTION), and pings are none of its protocols.
    path: Option<Vec<(&'static str, String)>>,
}

/// Asks all questions of a batch.
pub(crate) fn ask(cloud: &Cloud, pairs: &[[Built; 2]], tally: &mut Tally) {
    let all: Vec<_> = pairs.iter().flat_map(questions).collect();
    let begun = Instant::now();
    let why = ask_why(cloud, &all);
    tally.took[1] += begun.elapsed();
    let begun = Instant::now();
    let check = ask_check(cloud, &all);
    let analyzer = ask_analyzer(cloud, &all);
    tally.analyzed += analyzer.iter().flatten().count();
    tally.took[4] += begun.elapsed();
    let begun = Instant::now();
    let words: Vec<_> = all.iter().map(|it| &it.words).collect();
    let mut packets = send(cloud, &words, PATIENCE);
    for _ in 0..AGAIN {
        let lost: Vec<_> =
            (0..all.len()).filter(|n| why[*n] && packets[*n]["got_through"] == false).collect();
        if lost.is_empty() {
            break;
        }
        tally.again += lost.len();
        let words: Vec<_> = lost.iter().map(|n| &all[*n].words).collect();
        for (n, packet) in lost.iter().zip(send(cloud, &words, LONG_PATIENCE)) {
            packets[*n] = packet;
        }
    }
    tally.took[2] += begun.elapsed();
    let others = check.iter().zip(&analyzer);
    for (((asked, why), packet), (check, analyzer)) in
        all.iter().zip(&why).zip(&packets).zip(others)
    {
        tally.questions += 1;
        tally.said[usize::from(!*why)] += 1;
        let mut answers = vec![
            ("why", Some(*why)),
            ("packets", packet["got_through"].as_bool()),
            ("check", *check),
        ];
        if asked.path.is_some() {
            answers.push(("analyzer", *analyzer));
        }
        let same = answers.iter().all(|(_, answer)| *answer == Some(*why));
        let by = packet["by"].as_str();
        let right_host = by.is_none() || by == asked.who.as_deref();
        if !same || !right_host {
            let plan = &asked.built.plan;
            let vpc = &asked.built.vpc;
            tally.differences.push(format!(
                "VPC seed {} (again: GUREUM_SEED={} GUREUM_VPCS=2; block {}, {vpc}), {}: {}: {answers:?}, {packet}, should be {:?}\n  \
                 hosts: {:?}\n  subnets: {:?}",
                plan.seed,
                asked.repeat,
                plan.block,
                asked.question,
                asked.words,
                asked.who,
                plan.hosts,
                plan.subnets
            ));
        }
    }
}

fn questions(pair: &[Built; 2]) -> Vec<Asked<'_>> {
    let mut all = Vec::new();
    for (built, peer) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
        let repeat = pair[0].plan.seed;
        all.extend(built.plan.questions.iter().filter_map(|it| resolve(built, peer, it, repeat)));
    }
    all
}

/// What a question is in the cloud; nothing where an end is not there.
fn resolve<'a>(
    built: &'a Built,
    peer: &Built,
    question: &'a Question,
    repeat: u64,
) -> Option<Asked<'a>> {
    // The second interface has no address of IPv6.
    let is_ipv6 = matches!(question.to, End::Host(_, Which::Ipv6));
    if is_ipv6 && matches!(question.from, End::Host(_, Which::Second)) {
        return None;
    }
    let source = match question.from {
        // By its id, so that it speaks from the first address of the family.
        End::Host(number, Which::Private) => built.instances.get(number)?.clone(),
        other => built.end(other, peer)?.0,
    };
    let (destination, who) = built.end(question.to, peer)?;
    let port = (question.protocol != "icmp").then_some(question.port);
    let words = json!({
        "source": source, "destination": destination, "protocol": question.protocol,
        "port": port, "source_port": null, "ipv6": is_ipv6,
    });
    let path = path(built, question, &destination);
    Some(Asked { built, repeat, question, words, who, path })
}

fn path(
    built: &Built,
    question: &Question,
    destination: &str,
) -> Option<Vec<(&'static str, String)>> {
    let End::Host(from, Which::Private) = question.from else { return None };
    let is_private = match question.to {
        End::Host(_, which) => matches!(which, Which::Private | Which::Secondary | Which::Second),
        End::Peer(_) => true,
        End::Internet => false,
    };
    if !is_private || question.protocol == "icmp" {
        return None;
    }
    let port = question.port.to_string();
    // From a port of those that senders take: asked about any, the analyzer finds one that answers
    // may come back to because a rule opens it for something else, such as 80.
    let [first, last] = CLIENTS.map(|it| it.to_string());
    Some(vec![
        ("Source", built.instances.get(from)?.clone()),
        ("FilterAtSource.SourceAddress", built.address(from, Which::Private)?),
        ("FilterAtSource.SourcePortRange.FromPort", first),
        ("FilterAtSource.SourcePortRange.ToPort", last),
        ("FilterAtSource.DestinationAddress", destination.to_owned()),
        ("FilterAtSource.DestinationPortRange.FromPort", port.clone()),
        ("FilterAtSource.DestinationPortRange.ToPort", port),
        ("Protocol", question.protocol.to_owned()),
    ])
}

/// What `gureum check` says of all questions, each an expectation that packets pass; nothing where
/// that is unknown.
fn ask_check(cloud: &Cloud, all: &[Asked<'_>]) -> Vec<Option<bool>> {
    let expectations: Vec<_> = all.iter().map(|it| expectation(&it.words)).collect();
    let request = json!({"check": {"expectations": expectations, "every_decision": false}});
    let answer = desk::ask(cloud.data_dir(), &request);
    let verdicts = answer["check"].as_array().expect("verdicts");
    assert_eq!(verdicts.len(), all.len());
    let said = verdicts.iter().map(|it| match it["outcome"].as_str() {
        Some("holds") => Some(true),
        Some("fails") => Some(false),
        _ => None,
    });
    said.collect()
}

fn expectation(words: &Value) -> Value {
    let port = &words["port"];
    let ports = if port.is_null() { json!(null) } else { json!([{"first": port, "last": port}]) };
    json!({
        "from": [words["source"]], "to": [words["destination"]], "protocols": [words["protocol"]],
        "ports": ports, "expect": "allow", "by": null, "ipv6": words["ipv6"],
    })
}

/// What Reachability Analyzer says, by AWS's own calls; nothing where it is not asked, or cannot say.
fn ask_analyzer(cloud: &Cloud, all: &[Asked<'_>]) -> Vec<Option<bool>> {
    let share = all.len().div_ceil(ASKERS).max(1);
    thread::scope(|scope| {
        let askers: Vec<_> = all
            .chunks(share)
            .map(|some| {
                scope.spawn(move || {
                    let mut ec2 = Ec2::connect(cloud.port());
                    some.iter().map(|it| analyze(&mut ec2, it.path.as_deref()?)).collect::<Vec<_>>()
                })
            })
            .collect();
        askers.into_iter().flat_map(|it| it.join().expect("they are answered")).collect()
    })
}

fn analyze(ec2: &mut Ec2, path: &[(&'static str, String)]) -> Option<bool> {
    let mut given: Vec<_> = path.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // Clients make one up for each call.
    let token = CALLS.fetch_add(1, Ordering::Relaxed).to_string();
    given.push(("ClientToken", &token));
    let path = ec2.call("CreateNetworkInsightsPath", &given).text("networkInsightsPathId");
    let given = [("NetworkInsightsPathId", path.as_str()), ("ClientToken", &token)];
    let started = ec2.call("StartNetworkInsightsAnalysis", &given);
    let id = started.text("networkInsightsAnalysisId");
    let given = [("NetworkInsightsAnalysisId.1", id.as_str())];
    let over = ec2.call("DescribeNetworkInsightsAnalyses", &given);
    (over.text("status") == "succeeded").then(|| over.text("networkPathFound") == "true")
}

fn ask_why(cloud: &Cloud, all: &[Asked<'_>]) -> Vec<bool> {
    let share = all.len().div_ceil(ASKERS).max(1);
    thread::scope(|scope| {
        let askers: Vec<_> = all
            .chunks(share)
            .map(|some| {
                scope.spawn(move || {
                    let ask = |asked: &Asked<'_>| {
                        let answer = desk::ask(cloud.data_dir(), &json!({"why": asked.words}));
                        let reachable = answer["why"]["report"]["reachable"].as_bool();
                        reachable.unwrap_or_else(|| panic!("{}: {answer}", asked.words))
                    };
                    some.iter().map(ask).collect::<Vec<_>>()
                })
            })
            .collect();
        askers.into_iter().flat_map(|it| it.join().expect("they are answered")).collect()
    })
}

/// Sends real packets, all at once.
fn send(cloud: &Cloud, words: &[&Value], patience: Duration) -> Vec<Value> {
    let patience = u64::try_from(patience.as_millis()).expect("short");
    let request = json!({"attempts": {"questions": words, "patience": patience}});
    let mut answer = desk::ask(cloud.data_dir(), &request);
    match answer["attempts"].take() {
        Value::Array(reports) if reports.len() == words.len() => reports,
        other => panic!("not as many reports as questions: {other}"),
    }
}
