//! `gureum down`: stops the daemon, and with it everything it made on this machine. What a daemon
//! that was killed left behind is taken down too.

use std::{
    fs,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    client::{Daemon, unexpected},
    output,
};
use crate::{
    admin::{Reply, Request},
    failure::Failure,
};

/// How long the daemon's process may take to be gone after it said it is done.
const END_LIMIT: Duration = Duration::from_secs(60);

/// The same for one that did not say so.
const UNSAID_LIMIT: Duration = Duration::from_secs(10);

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
pub(crate) fn run(args: &DownArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
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
pub(super) fn stop(daemon: &Daemon, everything: bool) -> Result<bool, Failure> {
    if !daemon.is_running()? {
        return Ok(false);
    }
    let pid = daemon.status()?.pid;
    let answer = daemon.ask(&Request::Down { everything });
    if let Ok(other) = &answer
        && !matches!(other, Reply::Done)
    {
        return Err(unexpected(other));
    }
    // A daemon at its end may be gone before its answer is out: what counts is that it goes.
    let limit = if answer.is_ok() { END_LIMIT } else { UNSAID_LIMIT };
    let deadline = Instant::now() + limit;
    while alive(pid) {
        if Instant::now() > deadline {
            answer?;
            return Err(Failure::new(format!("the daemon (process {pid}) does not end"))
                .help(format!("see {}", crate::paths::log_file(daemon.data_dir()).display())));
        }
        thread::sleep(Duration::from_millis(20));
    }
    if answer.is_err() && everything {
        clean_up(daemon.data_dir())?;
    }
    Ok(true)
}

/// Whether the process is there. A zombie, waiting for whoever started it, is not, once its last
/// thread is gone: until then its files and locks are held.
fn alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let ended =
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !ended || threads > 1
}

/// Takes down what a daemon of this data directory left on the machine; false where nothing is.
pub(super) fn clean_up(data_dir: &Path) -> Result<bool, Failure> {
    super::linux::clean_up(data_dir)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_zombie_is_gone_and_we_are_not() {
        assert!(alive(std::process::id()));
        let mut child = Command::new("true").spawn().expect("it starts");
        let deadline = Instant::now() + END_LIMIT;
        while alive(child.id()) {
            assert!(Instant::now() < deadline, "it ended, but counts as alive");
            thread::yield_now();
        }
        child.wait().expect("it was not waited for until now");
        assert!(!alive(child.id()));
    }
}
