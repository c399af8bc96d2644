//! `gureum port`: an interface's port as the data path sees it.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    client::{Daemon, unexpected},
    output::{self, Format, OutputArgs},
};
use crate::{
    admin::{PortReport, Reply, Request},
    failure::Failure,
};

/// The subcommands of `gureum port`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PortCommand {
    /// Show an interface's counters, drops, flows and the epoch in force
    Show(ShowArgs),
}

/// The arguments of `gureum port show`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  gureum port show PUBLIC-01
  gureum port show eni-0123456789abcdef0 --output json")]
pub(crate) struct ShowArgs {
    /// The interface: a Name tag, id or address
    #[arg(value_name = "INTERFACE")]
    name: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `gureum port`.
pub(crate) fn run(command: &PortCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let PortCommand::Show(args) = command;
    let mut report = report(&args.name, daemon)?;
    let text = std::mem::take(&mut report.text);
    match args.output.output {
        Format::Json => output::print_json(&report)?,
        Format::Table => output::print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks for the report of an interface.
pub(super) fn report(name: &str, daemon: &Daemon) -> Result<PortReport, Failure> {
    match daemon.ask(&Request::Port { name: name.to_owned() })? {
        Reply::Port(report) => Ok(*report),
        other => Err(unexpected(&other)),
    }
}
