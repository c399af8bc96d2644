//! `gureum exec`: a program in an instance, without network, key or SSH server: the daemon starts
//! it there on our own descriptors, or on a terminal that we make and relay.

use std::{
    env,
    io::{self, IsTerminal},
    os::fd::AsFd,
    process::ExitCode,
};

use clap::Args;

use super::{
    client::{Daemon, unexpected},
    terminal::Relay,
};
use crate::{
    admin::{Reply, Request},
    failure::Failure,
};

/// The status for failures of ours, told apart from those of the program (as `docker exec`).
pub(super) const OUR_FAILURE: u8 = 125;

/// The arguments of `gureum exec`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit status: that of CMD; 125 where it could not be started.

Examples:
  gureum exec PRIVATE-01                              a shell
  gureum exec PRIVATE-01 --user ec2-user -- id
  gureum exec PRIVATE-01 -- tail /var/log/cloud-init-output.log")]
pub(crate) struct ExecArgs {
    /// The instance: its Name tag, id, address or DNS name
    name: String,
    /// The user to be
    #[arg(long, short, value_name = "USER", default_value = "root")]
    user: String,
    /// The program and its arguments [default: a shell]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Runs `gureum exec`.
pub(crate) fn run(args: &ExecArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let code = start(args, daemon).map_err(|error| error.status(OUR_FAILURE))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn start(args: &ExecArgs, daemon: &Daemon) -> Result<i32, Failure> {
    let id = daemon.resolve(&args.name)?.id;
    let (input, out, err) = (io::stdin(), io::stdout(), io::stderr());
    let terminal = input.is_terminal() && out.is_terminal();
    let request = Request::Exec {
        id,
        argv: args.command.clone(),
        environment: environment(terminal, |name| env::var(name).ok()),
        user: Some(args.user.clone()),
        terminal,
    };
    if !terminal {
        let (reply, _) = daemon.ask_with(&request, &[input.as_fd(), out.as_fd(), err.as_fd()])?;
        return exit_code(&reply);
    }
    let relay = Relay::start().map_err(|e| Failure::new(format!("no terminal: {e}")))?;
    let answer = {
        let end = relay.other_end();
        daemon.ask_with(&request, &[end.as_fd(), end.as_fd(), end.as_fd()])
    };
    relay.finish();
    exit_code(&answer?.0)
}

/// What the program is told of our terminal: its kind, and whether it shows colours.
fn environment(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let names = if terminal { ["TERM", "COLORTERM"].as_slice() } else { &[] };
    names.iter().filter_map(|name| Some(((*name).to_owned(), variable(name)?))).collect()
}

fn exit_code(reply: &Reply) -> Result<i32, Failure> {
    match reply {
        Reply::Exited(code) => Ok(*code),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_is_described() {
        let variable = |name: &str| (name == "TERM").then(|| "xterm".to_owned());
        assert_eq!(environment(true, variable), [("TERM".to_owned(), "xterm".to_owned())]);
        assert_eq!(environment(false, variable), []);
    }
}
