//! `gureum snapshot`: keeps all records under a name, and puts them back.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    client::{Daemon, unexpected},
    output::{self, Format, OutputArgs},
};
use crate::{
    admin::{KeptSnapshot, Reply, Request, SnapshotRequest, TwinReply},
    failure::Failure,
};

/// The commands of `gureum snapshot`.
#[derive(Clone, Debug, Subcommand)]
#[command(
    after_help = "A snapshot is the records of the whole cloud, of all accounts and regions: networks, rules, instances,
roles, parameters, and so on. It is kept in the data directory until it is deleted, or `gureum purge`.

Not in it: what is on disks of instances, objects of S3 buckets, log events, tracked connections. After
`load`, instances of the snapshot that are not there any more boot with new disks; those that are there
keep theirs, and stop or start as the snapshot has them; instances that it does not have are removed.

Examples:
  gureum snapshot save before-the-change
  gureum snapshot load before-the-change --yes
  gureum snapshot list -o json
  gureum snapshot delete before-the-change"
)]
pub(crate) enum SnapshotCommand {
    /// Keep all records under a name
    Save(NameArgs),
    /// Put the records of a snapshot in the place of the present ones
    Load(LoadArgs),
    /// List the snapshots
    List(OutputArgs),
    /// Delete a snapshot
    Delete(NameArgs),
}

/// Which snapshot is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct NameArgs {
    /// The name: letters, digits, - _ and .
    name: String,
}

/// Which snapshot is loaded.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    /// The name
    name: String,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs `gureum snapshot`.
pub(crate) fn run(command: &SnapshotCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    match command {
        SnapshotCommand::Save(args) => {
            ask(daemon, SnapshotRequest::Save { name: args.name.clone() })?;
            output::print(&format!("saved {}\n", args.name))?;
        }
        SnapshotCommand::Load(args) => {
            known(daemon, &args.name)?;
            let status = daemon.status()?;
            let question = format!(
                "Replace all resources of all accounts of the cloud at {} by those of {}?",
                status.endpoint, args.name
            );
            if !args.yes && !super::confirm(&question, "--yes")? {
                return Ok(ExitCode::FAILURE);
            }
            ask(daemon, SnapshotRequest::Load { name: args.name.clone() })?;
            output::print(&format!("loaded {}\n", args.name))?;
        }
        SnapshotCommand::List(args) => list(&ask(daemon, SnapshotRequest::List)?, args.output)?,
        SnapshotCommand::Delete(args) => {
            ask(daemon, SnapshotRequest::Delete { name: args.name.clone() })?;
            output::print(&format!("deleted {}\n", args.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that there is such a snapshot, before anybody is asked whether it is meant.
fn known(daemon: &Daemon, name: &str) -> Result<(), Failure> {
    let kept = ask(daemon, SnapshotRequest::List)?;
    if kept.iter().any(|it| it.name == name) {
        return Ok(());
    }
    let names: Vec<_> = kept.iter().map(|it| it.name.as_str()).collect();
    let help = match names[..] {
        [] => "there are none; `gureum snapshot save NAME` makes one".to_owned(),
        [only] => format!("there is {only}"),
        ref several => format!("there are {}", several.join(", ")),
    };
    Err(Failure::new(format!("there is no snapshot {name}")).help(help))
}

fn list(kept: &[KeptSnapshot], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return output::print_json(&kept);
    }
    let rows = kept.iter().map(|it| {
        let saved = i64::try_from(it.saved).unwrap_or(i64::MAX).saturating_mul(1000);
        let saved = gureum_types::Timestamp(saved).to_string().replace(".000Z", "Z");
        vec![it.name.clone(), saved, format!("{} kB", it.bytes.div_ceil(1024))]
    });
    output::print(&output::table(&["NAME", "SAVED", "SIZE"], rows))
}

fn ask(daemon: &Daemon, request: SnapshotRequest) -> Result<Vec<KeptSnapshot>, Failure> {
    match daemon.ask(&Request::Snapshot(request))? {
        Reply::Twin(reply) => match *reply {
            TwinReply::Snapshots(kept) => Ok(kept),
            _ => Err(Failure::new("the daemon's answer is of another kind")),
        },
        other => Err(unexpected(&other)),
    }
}
