//! `gureum reset`: empties an account, or everything, and leaves the daemon running.

use std::{fs, io, process::ExitCode};

use clap::Args;
use gureum_types::AccountId;

use super::{
    client::{Daemon, unexpected},
    output,
};
use crate::{
    admin::{Reply, Request},
    failure::Failure,
    paths,
};

/// The arguments of `gureum reset`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  gureum reset --account 123456789012")]
pub(crate) struct ResetArgs {
    /// Only this account's resources; all accounts' without
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<AccountId>,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).ok_or_else(|| "an account id has 12 digits".to_owned())
}

/// Runs `gureum reset`.
pub(crate) fn run(args: &ResetArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let status = daemon.status()?;
    let what = match &args.account {
        Some(account) => format!("all resources of account {account}"),
        None => "all resources of all accounts".to_owned(),
    };
    let question = format!("Delete {what} of the cloud at {}?", status.endpoint);
    if !args.yes && !super::confirm(&question, "--yes")? {
        return Ok(ExitCode::FAILURE);
    }
    let account = args.account.as_ref().map(AccountId::to_string);
    match daemon.ask(&Request::Reset { account })? {
        Reply::Done => {}
        other => return Err(unexpected(&other)),
    }
    if args.account.is_none() {
        // Host keys of instances that are no more; their addresses come again.
        let known_hosts = paths::known_hosts(daemon.data_dir());
        match fs::remove_file(&known_hosts) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::file("delete", &known_hosts, &error));
            }
            _ => {}
        }
    }
    output::print(&format!("deleted {what}\n"))?;
    Ok(ExitCode::SUCCESS)
}
