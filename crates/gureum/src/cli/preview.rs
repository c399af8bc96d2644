//! `gureum preview`: what a change of the network would let through, before it is made. The calls of a
//! command go to a copy of the records; then every pair of interfaces and the internet is asked about
//! here and there, by the engine itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode},
};

use clap::Args;
use gureum_store::{Backend as _, Change, Durability, Journal, Row};
use serde::Serialize;
use serde_json::json;

use super::{
    client::{Daemon, unexpected},
    env as aws_env,
    exec::OUR_FAILURE,
    output::{self, Format, OutputArgs},
    run::{self, child},
    scratch::Scratch,
};
use crate::{
    admin::{
        CheckArgs, Expect, Expectation, FlowFate, PortRange, Protocol, RecordRow, Reply, Request,
        SnapshotRequest, Suggestion,
    },
    failure::Failure,
    paths,
};

/// What the copy's records are called when the command has changed them.
const CHANGED: &str = "changed";

/// The arguments of `gureum preview`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The command runs against a copy of the cloud's records, whose instances are records
only; the cloud itself is not touched. Its calls are real: what it makes there has ids of its own. Every
pair of interfaces, and the internet, is compared before and after, over both families. Of flows that are
open now it is told which would end, and which would go on only because they are tracked.

Exit status: 0 the command succeeded, whatever it changes; else the command's own, and nothing is compared.

Examples:
  gureum preview -- aws ec2 revoke-security-group-ingress --group-id sg-… --protocol tcp --port 22 --cidr 0.0.0.0/0
  gureum preview -- terraform apply -auto-approve -state=copy.tfstate
  gureum preview --output json -- ./change.sh"
)]
pub(crate) struct PreviewCommand {
    #[command(flatten)]
    output: OutputArgs,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Something that would pass and does not now, or the other way round.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Difference {
    /// Whether it would pass.
    becomes: Becomes,
    /// Who sends.
    from: String,
    /// Who receives.
    to: Vec<String>,
    /// The protocol.
    protocol: String,
    /// The destination ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    /// Whether over IPv6.
    ipv6: bool,
    /// What would decide.
    by: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Becomes {
    Possible,
    Impossible,
}

/// Runs `gureum preview`.
pub(crate) fn run(args: &PreviewCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let ours = |error: Failure| {
        if error.is_closed_pipe() { error } else { error.status(OUR_FAILURE) }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ours(Failure::new(format!("cannot start: {error}"))))?;
    let mut signals = runtime.block_on(async { child::Signals::listen() }).map_err(ours)?;
    let words = ["--no-instances".into()];
    let scratch = Scratch::start_on(&words, |data_dir| copy(daemon, data_dir)).map_err(ours)?;
    let copied = scratch.daemon();
    compare_counts(daemon, &copied).map_err(ours)?;
    // The copy itself, so that nothing counts as a change that comes of copying.
    let before = stances(&copied).map_err(ours)?;
    if let Some(status) = runtime.block_on(signals.early()) {
        return Ok(ExitCode::from(status));
    }
    let (program, rest) = args
        .command
        .split_first()
        .ok_or_else(|| ours(Failure::new("there is no command to run")))?;
    let mut command = Command::new(program);
    command.args(rest);
    aws_env::apply(&run::changes(&scratch).map_err(ours)?, &mut command);
    let outcome = runtime.block_on(child::wait(command, signals));
    let done = match outcome {
        Ok(0) => compared(args, daemon, &scratch, &before).map_err(ours),
        Ok(status) => {
            eprintln!("gureum preview: exit status {status}; nothing was compared");
            Ok(ExitCode::from(status))
        }
        Err(error) => Err(aws_env::not_run(&program.to_string_lossy(), &error)),
    };
    if let Err(error) = scratch.end() {
        eprintln!("gureum preview: {error}");
    }
    done
}

fn compared(
    args: &PreviewCommand,
    daemon: &Daemon,
    scratch: &Scratch,
    before: &Stances,
) -> Result<ExitCode, Failure> {
    let copied = &scratch.daemon();
    let flows = fates(daemon, scratch)?;
    let after = stances(copied)?;
    let mut differences = differences(before, &after);
    for difference in &mut differences {
        difference.difference.by = by(copied, difference)?;
    }
    let differences: Vec<_> = differences.into_iter().map(|it| it.difference).collect();
    match args.output.output {
        Format::Json => output::print_json(&json!({"ways": differences, "flows": flows}))?,
        Format::Table if differences.is_empty() => {
            output::print("nothing changes in what passes\n")?;
        }
        Format::Table => output::print(&table(&differences))?,
    }
    if args.output.output == Format::Table && !flows.is_empty() {
        output::print(&format!("\n{}", table_of_flows(&flows)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the change would do to the flows that are open.
fn fates(daemon: &Daemon, scratch: &Scratch) -> Result<Vec<FlowFate>, Failure> {
    let save = SnapshotRequest::Save { name: CHANGED.to_owned() };
    match scratch.daemon().ask(&Request::Snapshot(save))? {
        Reply::Twin(_) => {}
        other => return Err(unexpected(&other)),
    }
    let folder = paths::snapshots_dir(scratch.data_dir()).join(CHANGED);
    match daemon.ask(&Request::Fates { folder })? {
        Reply::Fates(mut flows) => {
            flows.sort();
            Ok(flows)
        }
        other => Err(unexpected(&other)),
    }
}

fn table_of_flows(flows: &[FlowFate]) -> String {
    let rows = flows.iter().map(|it| {
        let becomes = if it.goes_on { "goes on, as it is tracked" } else { "ends" };
        let cells = [becomes, &it.from, &it.to, &it.protocol, &it.by];
        cells.map(str::to_owned).to_vec()
    });
    output::table(&["OPEN FLOW", "FROM", "TO", "TRAFFIC", "IN THE WAY"], rows)
}

fn table(differences: &[Difference]) -> String {
    let rows = differences.iter().map(|it| {
        let becomes = match it.becomes {
            Becomes::Possible => "passes then",
            Becomes::Impossible => "passes no more",
        };
        let ports =
            if it.ports.is_empty() { String::new() } else { format!(" {}", it.ports.join(",")) };
        let family = if it.ipv6 { " over IPv6" } else { "" };
        vec![
            becomes.to_owned(),
            it.from.clone(),
            it.to.join(", "),
            format!("{}{ports}{family}", it.protocol),
            it.by.clone(),
        ]
    });
    output::table(&["CHANGE", "FROM", "TO", "TRAFFIC", "DECIDED BY"], rows)
}

/// Puts the records of a running cloud into a data directory that nobody uses yet.
fn copy(daemon: &Daemon, data_dir: &Path) -> Result<(), Failure> {
    let rows = match daemon.ask(&Request::Records)? {
        Reply::Records(rows) => rows,
        other => return Err(unexpected(&other)),
    };
    if rows.is_empty() {
        return Ok(());
    }
    let failed = |error| Failure::new(format!("cannot copy the records: {error}"));
    // Some dozens of names, for the life of a short process.
    let mut kinds: BTreeMap<String, &'static str> = BTreeMap::new();
    let changes: Vec<_> = rows
        .into_iter()
        .map(|RecordRow { kind, key, value }| {
            let kind = *kinds.entry(kind.clone()).or_insert_with(|| kind.leak());
            Change::Put(Row { kind, key, value: value.into_bytes() })
        })
        .collect();
    let mut journal = Journal::open(&data_dir.join("store")).map_err(failed)?;
    // A journal begins with its first change.
    journal.commit(1, &changes, Durability::Now).map_err(failed)
}

/// Makes sure that the copy is one: a comparison of nothing with nothing would find no difference.
fn compare_counts(daemon: &Daemon, copied: &Daemon) -> Result<(), Failure> {
    let counts = |daemon: &Daemon| -> Result<Vec<(String, u64)>, Failure> {
        let mut counts = daemon.status()?.counts;
        // States of instances go on, here and there.
        counts.retain(|(name, _)| !name.starts_with("instances-"));
        Ok(counts)
    };
    match counts(daemon)? == counts(copied)? {
        true => Ok(()),
        false => Err(Failure::new("the records changed while they were copied").help("try again")),
    }
}

/// Between whom, by which protocol and over which family.
type Way = (String, String, Protocol, bool);

/// What of each way passes; without ports, whether it passes at all.
type Stances = BTreeMap<Way, BTreeSet<Option<PortRange>>>;

/// What passes between all who are there.
fn stances(daemon: &Daemon) -> Result<Stances, Failure> {
    let suggestions = match daemon.ask(&Request::Suggest)? {
        Reply::Suggestions(suggestions) => suggestions,
        other => return Err(unexpected(&other)),
    };
    Ok(passing(&suggestions))
}

fn passing(suggestions: &[Suggestion]) -> Stances {
    let mut stances = Stances::new();
    let allowed = suggestions.iter().map(|it| &it.expectation);
    for it in allowed.filter(|it| it.expect == Expect::Allow) {
        for from in &it.from {
            for to in it.to.iter().filter(|to| *to != from) {
                for protocol in &it.protocols {
                    let way = (from.clone(), to.clone(), *protocol, it.ipv6);
                    let passes = stances.entry(way).or_default();
                    match it.ports.as_ref().filter(|_| protocol.has_ports()) {
                        Some(ranges) => passes.extend(ranges.iter().copied().map(Some)),
                        None => drop(passes.insert(None)),
                    }
                }
            }
        }
    }
    stances
}

/// What differences to several receivers have in common: the change, who sends, the protocol, whether
/// over IPv6, the ports.
type Alike = (Becomes, String, Protocol, bool, Vec<Option<PortRange>>);

/// A difference with the question that it answers.
struct Found {
    difference: Difference,
    question: Expectation,
}

fn differences(before: &Stances, after: &Stances) -> Vec<Found> {
    let ways: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut alike: BTreeMap<Alike, Vec<String>> = BTreeMap::new();
    let nothing = BTreeSet::new();
    for way in ways {
        let (from, to, protocol, ipv6) = way;
        let then = before.get(way).unwrap_or(&nothing);
        let now = after.get(way).unwrap_or(&nothing);
        for (becomes, parts) in
            [(Becomes::Possible, minus(now, then)), (Becomes::Impossible, minus(then, now))]
        {
            if !parts.is_empty() {
                let key = (becomes, from.clone(), *protocol, *ipv6, parts);
                alike.entry(key).or_default().push(to.clone());
            }
        }
    }
    let found = alike.into_iter().map(|((becomes, from, protocol, ipv6, parts), to)| {
        let ports: Vec<PortRange> = parts.into_iter().flatten().collect();
        let question = Expectation {
            from: vec![from.clone()],
            to: to.iter().take(1).cloned().collect(),
            protocols: vec![protocol],
            ports: ports.first().map(|range| vec![range.first.into()]),
            expect: Expect::Allow,
            by: None,
            ipv6,
        };
        let ports = ports.iter().map(ToString::to_string).collect();
        let protocol = protocol.to_string();
        let difference = Difference { becomes, from, to, protocol, ports, ipv6, by: String::new() };
        Found { difference, question }
    });
    found.collect()
}

/// What is in one and not in the other.
fn minus(
    one: &BTreeSet<Option<PortRange>>,
    other: &BTreeSet<Option<PortRange>>,
) -> Vec<Option<PortRange>> {
    let mut left = Vec::new();
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

/// What decides about it after the change.
fn by(copied: &Daemon, found: &Found) -> Result<String, Failure> {
    let expectations = vec![found.question.clone()];
    let args = CheckArgs { expectations, every_decision: false };
    let verdicts = match copied.ask(&Request::Check(args))? {
        Reply::Check(verdicts) => verdicts,
        other => return Err(unexpected(&other)),
    };
    let verdict = verdicts.into_iter().next();
    Ok(verdict.map_or_else(String::new, |verdict| match verdict.decisions.into_iter().next() {
        Some(decision) => decision.by.text,
        // One of the ends is not there any more, or off.
        None => verdict.because.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u16, u16)]) -> BTreeSet<Option<PortRange>> {
        ranges.iter().map(|(first, last)| Some(PortRange { first: *first, last: *last })).collect()
    }

    #[test]
    fn what_is_left_of_ranges_is_what_the_others_do_not_have() {
        let left = |one: &[(u16, u16)], other: &[(u16, u16)]| {
            let left = minus(&set(one), &set(other));
            left.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left(&[(0, 65535)], &[]), "0-65535");
        assert_eq!(left(&[(0, 65535)], &[(22, 22), (80, 90)]), "0-21 23-79 91-65535");
        assert_eq!(left(&[(0, 65535)], &[(0, 65535)]), "");
        assert_eq!(left(&[(10, 20), (30, 40)], &[(15, 35)]), "10-14 36-40");
        assert_eq!(left(&[(10, 20)], &[(5, 10), (20, 65535)]), "11-19");
        assert_eq!(minus(&[None].into(), &[].into()), [None]);
        assert_eq!(minus(&[None].into(), &[None].into()), []);
    }

    #[test]
    fn differences_are_told_by_sender_and_what_is_alike() {
        type Allowed<'a> = (&'a str, &'a str, &'a [(u16, u16)]);
        let stances = |list: &[Allowed<'_>]| {
            let way = |from: &str, to: &str| (from.to_owned(), to.to_owned(), Protocol::Tcp, false);
            list.iter().map(|(from, to, ports)| (way(from, to), set(ports))).collect::<Stances>()
        };
        let before = stances(&[("internet", "A", &[(22, 22), (80, 80)]), ("A", "B", &[(1, 9)])]);
        let after = stances(&[
            ("internet", "A", &[(80, 80), (443, 443)]),
            ("internet", "B", &[(443, 443)]),
            ("A", "B", &[(1, 9)]),
        ]);
        let found: Vec<_> =
            differences(&before, &after).into_iter().map(|it| it.difference).collect();
        let [open, closed] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (open.becomes, &open.to),
            (Becomes::Possible, &vec!["A".to_owned(), "B".to_owned()])
        );
        assert_eq!(open.ports, ["443"]);
        assert_eq!((closed.becomes, &closed.ports), (Becomes::Impossible, &vec!["22".to_owned()]));
        let text = table(&found);
        assert!(text.contains("passes no more  internet  A     tcp 22"), "{text}");
    }
}
