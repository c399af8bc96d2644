//! `gureum preview`: what a change of the network would let through, before it is made. The calls of a
//! command go to a copy of the records; then every pair of interfaces and the internet is asked about
//! here and there, by the engine itself.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Args;
use gureum_store::{Backend as _, Change, Durability, Journal, Row};

use super::{
    client::{Daemon, unexpected},
    env as aws_env,
    exec::OUR_FAILURE,
    output::{self, Format, OutputArgs},
    run::{self, child},
    scratch::Scratch,
};
use crate::{
    admin::{Difference, FlowFate, RecordRow, Reply, Request, SnapshotRequest},
    failure::Failure,
    paths,
};

/// What the copy's records are called before the command and after it.
const BEFORE: &str = "before";
const AFTER: &str = "after";

/// The arguments of `gureum preview`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The command runs against a copy of the cloud's records, whose instances are records
only; the cloud itself is not touched. Its calls are real: what it makes there has ids of its own. Every
pair of interfaces, and the internet, is compared before and after, over both families. Of flows that are
open now it is told which would end, and which would go on only because they are tracked.

The API says the same of one call: at the endpoint http://…/_gureum/preview every call of ec2 is a dry run, and
what it would do stands in the message of DryRunOperation (as JSON with `Accept: application/json`).

Exit status: 0 the command succeeded, whatever it changes; else the command's own, and nothing is compared.

Examples:
  gureum preview -- aws ec2 revoke-security-group-ingress --group-id sg-… --protocol tcp --port 22 --cidr 0.0.0.0/0
  gureum preview -- terraform apply -auto-approve -state=copy.tfstate
  gureum preview --output json -- ./change.sh
  aws --endpoint-url $AWS_ENDPOINT_URL/_gureum/preview ec2 delete-route --route-table-id rtb-… --destination-cidr-block 0.0.0.0/0"
)]
pub(crate) struct PreviewCommand {
    #[command(flatten)]
    output: OutputArgs,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
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
    let before = kept(&scratch, BEFORE).map_err(ours)?;
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
        Ok(0) => compared(args, daemon, &scratch, before).map_err(ours),
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

/// Asks the cloud, which knows its open flows, about the records before and after the command.
fn compared(
    args: &PreviewCommand,
    daemon: &Daemon,
    scratch: &Scratch,
    before: PathBuf,
) -> Result<ExitCode, Failure> {
    let after = kept(scratch, AFTER)?;
    let view = match daemon.ask(&Request::Change { before, after })? {
        Reply::Change(view) => view,
        other => return Err(unexpected(&other)),
    };
    match args.output.output {
        Format::Json => output::print_json(&view)?,
        Format::Table => {
            let text = match view.ways.is_empty() {
                true => {
                    "nothing changes in what passes between interfaces and a host of the internet\n"
                        .to_owned()
                }
                false => table(&view.ways),
            };
            output::print(&text)?;
            if !view.flows.is_empty() {
                output::print(&format!("\n{}", table_of_flows(&view.flows)))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps the records of the copy as they are now; the folder.
fn kept(scratch: &Scratch, name: &str) -> Result<PathBuf, Failure> {
    let save = SnapshotRequest::Save { name: name.to_owned() };
    match scratch.daemon().ask(&Request::Snapshot(save))? {
        Reply::Twin(_) => Ok(paths::snapshots_dir(scratch.data_dir()).join(name)),
        other => Err(unexpected(&other)),
    }
}

fn table_of_flows(flows: &[FlowFate]) -> String {
    let rows = flows.iter().map(|it| {
        let cells = [it.text(), &it.from, &it.to, &it.protocol, &it.by];
        cells.map(str::to_owned).to_vec()
    });
    output::table(&["OPEN FLOW", "FROM", "TO", "TRAFFIC", "IN THE WAY"], rows)
}

fn table(differences: &[Difference]) -> String {
    let rows = differences.iter().map(|it| {
        let to = it.to.join(", ");
        let cells = [it.becomes.text(), &it.from, &to, &it.traffic(), &it.by];
        cells.map(str::to_owned).to_vec()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Becomes;

    #[test]
    fn differences_are_rows_of_a_table() {
        let difference = Difference {
            becomes: Becomes::Impossible,
            from: "internet".into(),
            to: vec!["A".into(), "B".into()],
            protocol: "tcp".into(),
            ports: vec!["22".into(), "80-90".into()],
            source_ports: Some("32768-49151".into()),
            ipv6: true,
            by: "no-route".into(),
        };
        let text = table(&[difference]);
        let row = "passes no more  internet  A, B  \
                   tcp 22,80-90 from ports 32768-49151 over IPv6  no-route";
        assert_eq!(text.lines().nth(1), Some(row), "{text}");
    }
}
