//! `gureum down`: stops the daemon, and with it everything it made on this machine. What a daemon
//! that was killed left behind is taken down too.

use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    client::{Daemon, unexpected},
    error::CliError,
    output,
};
use crate::admin::{Reply, Request};

/// How long the daemon's process may take to be gone after it said it is done.
const END_LIMIT: Duration = Duration::from_secs(60);

/// The arguments of `gureum down`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  gureum down                       instances stop; their disks and all records stay
  gureum down --keep-instances      only the daemon ends, as for an upgrade")]
pub(crate) struct DownArgs {
    /// Stop the daemon alone: instances and their connections stay for the next `up`
    #[arg(long)]
    keep_instances: bool,
}

/// Runs `gureum down`.
pub(crate) fn run(args: &DownArgs, daemon: &Daemon) -> Result<ExitCode, CliError> {
    let folder = daemon.data_dir().display();
    if stop(daemon, !args.keep_instances)? {
        output::print(&format!("Gureum on {folder} is down\n"))?;
    } else if !args.keep_instances && clean_up(daemon.data_dir())? {
        output::print(&format!("no daemon ran on {folder}; what it had left is taken down\n"))?;
    } else {
        output::print(&format!("no daemon runs on {folder}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops a running daemon and waits until it is gone; false where none runs.
pub(super) fn stop(daemon: &Daemon, everything: bool) -> Result<bool, CliError> {
    if !daemon.is_running()? {
        return Ok(false);
    }
    let pid = daemon.status()?.pid;
    match daemon.ask(&Request::Down { everything })? {
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    let deadline = Instant::now() + END_LIMIT;
    while alive(pid) {
        if Instant::now() > deadline {
            return Err(CliError::new(format!("the daemon (process {pid}) does not end"))
                .help(format!("see {}", super::paths::log_file(daemon.data_dir()).display())));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}

/// Whether the process is there; a zombie, waiting for whoever started it, is not.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    })
}

/// Takes down what a daemon of this data directory left on the machine; false where nothing is.
pub(super) fn clean_up(data_dir: &Path) -> Result<bool, CliError> {
    super::linux::clean_up(data_dir)
}
