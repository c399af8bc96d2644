//! `gureum internet`: a command in the simulated internet, as the person, with their folder,
//! environment and agents, and the status that it ends with.

use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Command, ExitCode},
};

use clap::Args;

use super::{
    client::{Daemon, unexpected},
    exec::OUR_FAILURE,
    linux,
};
use crate::{
    admin::{Reply, Request},
    failure::Failure,
};

/// The arguments of `gureum internet`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit status: that of CMD; 125 where the simulated internet could not be \
entered, 126 or 127 where CMD could not be started.

Examples:
  gureum internet -- ping -c 3 ec2-198-18-0-10.ap-northeast-2.compute.amazonaws.com
  gureum internet -- curl https://checkip.amazonaws.com
  gureum internet -- bash                 a shell out there")]
pub(crate) struct InternetArgs {
    /// The command and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

/// Runs `gureum internet`: enters, and becomes the command.
pub(crate) fn run(args: &InternetArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let Some((program, rest)) = args.command.split_first() else {
        return Err(Failure::new("there is no command").status(OUR_FAILURE));
    };
    enter(daemon)?;
    let error = Command::new(program).args(rest).exec();
    let program = program.to_string_lossy();
    Err(match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(format!("{program}: there is no such command")).status(127)
        }
        _ => Failure::new(format!("cannot run {program}: {error}")).status(126),
    })
}

/// Moves this process into the simulated internet. It must have no second thread yet.
pub(super) fn enter(daemon: &Daemon) -> Result<(), Failure> {
    ask_and_enter(daemon).map_err(|error| error.status(OUR_FAILURE))
}

fn ask_and_enter(daemon: &Daemon) -> Result<(), Failure> {
    let (reply, descriptors) = daemon.ask_with(&Request::Internet, &[])?;
    let Reply::Internet { ca_bundle } = reply else { return Err(unexpected(&reply)) };
    let namespaces: Result<[OwnedFd; 2], _> = descriptors.try_into();
    let [user, network] = namespaces
        .map_err(|_| Failure::new("the daemon's answer lacks the internet's namespaces"))?;
    linux::enter_internet(user, network, &ca_bundle)
}
