//! `gureum internet`: a command in the simulated internet, as the person, with their folder,
//! environment and agents, and the status that it ends with.

use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::Args;
use ipnet::Ipv4Net;

use super::{
    client::{Daemon, unexpected},
    exec::OUR_FAILURE,
    linux::{self, Desk},
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
    Err(not_become(Command::new(program).args(rest)))
}

/// Becomes a command; why that cannot be.
pub(super) fn not_become(command: &mut Command) -> Failure {
    let error = command.exec();
    let program = command.get_program().to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(format!("{program}: there is no such command")).status(127)
        }
        _ => Failure::new(format!("cannot run {program}: {error}")).status(126),
    }
}

/// Moves this process into the simulated internet. It must have no second thread yet.
pub(super) fn enter(daemon: &Daemon) -> Result<(), Failure> {
    enter_at(daemon, None)
}

/// The same, to sit at a desk there.
pub(super) fn enter_at(daemon: &Daemon, desk: Option<Desk<'_>>) -> Result<(), Failure> {
    ask_and_enter(daemon, desk).map_err(|error| error.status(OUR_FAILURE))
}

/// The simulated internet as the daemon hands it out.
pub(super) struct Handed {
    /// The user namespace and the network.
    pub(super) namespaces: [OwnedFd; 2],
    /// Where system roots and our CA are.
    pub(super) ca_bundle: PathBuf,
    /// Where public addresses come from.
    pub(super) public_pool: Ipv4Net,
}

/// Asks for the internet.
pub(super) fn ask(daemon: &Daemon) -> Result<Handed, Failure> {
    let (reply, descriptors) = daemon.ask_with(&Request::Internet, &[])?;
    let Reply::Internet { ca_bundle, public_pool } = reply else { return Err(unexpected(&reply)) };
    let namespaces = descriptors
        .try_into()
        .map_err(|_| Failure::new("the daemon's answer lacks the internet's namespaces"))?;
    Ok(Handed { namespaces, ca_bundle, public_pool })
}

fn ask_and_enter(daemon: &Daemon, desk: Option<Desk<'_>>) -> Result<(), Failure> {
    let Handed { namespaces: [user, network], ca_bundle, .. } = ask(daemon)?;
    linux::enter_internet(user, network, &ca_bundle, desk)
}
