//! `gureum console`: what an instance wrote to its console: boot, cloud-init, user data.

use std::{process::ExitCode, thread, time::Duration};

use clap::Args;

use super::{
    client::{Daemon, unexpected},
    output,
};
use crate::{
    admin::{Reply, Request},
    failure::Failure,
};

/// How often a followed console is asked for more.
const PAUSE: Duration = Duration::from_millis(200);

/// The arguments of `gureum console`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  gureum console -f PUBLIC-01       follow the boot and the output of the user data")]
pub(crate) struct ConsoleArgs {
    /// Go on printing what is written
    #[arg(long, short)]
    follow: bool,
    /// The instance: its Name tag, id, address or DNS name
    name: String,
}

/// Runs `gureum console`.
pub(crate) fn run(args: &ConsoleArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let id = daemon.resolve(&args.name)?.id;
    let mut from = 0;
    loop {
        match daemon.ask(&Request::Console { id: id.clone(), from })? {
            Reply::Console { text, next } => {
                output::print(&text)?;
                if next != from {
                    from = next;
                    continue;
                }
            }
            other => return Err(unexpected(&other)),
        }
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        thread::sleep(PAUSE);
    }
}
