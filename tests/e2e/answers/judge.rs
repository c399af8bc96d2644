//! Asks everybody the same questions and compares what they say.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, desk};
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
    /// How long building, asking and sending took, and clearing away.
    pub(crate) took: [Duration; 4],
    pub(crate) differences: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { questions, said: [yes, no], again, took, differences } = self;
        let differences = differences.len();
        let [build, why, packets, clear] = took;
        write!(
            f,
            "{questions} questions, {yes} reachable, {no} not, {again} sent again, \
             {differences} differences (building took {build:.1?}, why {why:.1?}, packets \
             {packets:.1?}, clearing {clear:.1?})"
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
}

/// Asks all questions of a batch.
pub(crate) fn ask(cloud: &Cloud, pairs: &[[Built; 2]], tally: &mut Tally) {
    let all: Vec<_> = pairs.iter().flat_map(questions).collect();
    let begun = Instant::now();
    let why = ask_why(cloud, &all);
    tally.took[1] += begun.elapsed();
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
    for ((asked, why), packet) in all.iter().zip(&why).zip(&packets) {
        tally.questions += 1;
        tally.said[usize::from(!*why)] += 1;
        // Whoever else answers such questions says so here: (name, yes or no).
        let answers = [("why", Some(*why)), ("packets", packet["got_through"].as_bool())];
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
    Some(Asked { built, repeat, question, words, who })
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
