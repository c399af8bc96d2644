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
    error::CliError,
    terminal::Relay,
};
use crate::admin::{Reply, Request};

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
pub(crate) fn run(args: &ExecArgs, daemon: &Daemon) -> Result<ExitCode, CliError> {
    let code = start(args, daemon).map_err(|error| error.status(OUR_FAILURE))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn start(args: &ExecArgs, daemon: &Daemon) -> Result<i32, CliError> {
    let id = daemon.resolve(&args.name)?.id;
    let (input, out, err) = (io::stdin(), io::stdout(), io::stderr());
    let terminal = input.is_terminal() && out.is_terminal();
    let request = Request::Exec {
        id,
        argv: argv(&args.command, terminal.then(|| env::var("TERM").ok()).flatten()),
        user: Some(args.user.clone()),
        terminal,
    };
    if !terminal {
        let (reply, _) = daemon.ask_with(&request, &[input.as_fd(), out.as_fd(), err.as_fd()])?;
        return exit_code(&reply);
    }
    let relay = Relay::start().map_err(|e| CliError::new(format!("no terminal: {e}")))?;
    let answer = {
        let end = relay.other_end();
        daemon.ask_with(&request, &[end.as_fd(), end.as_fd(), end.as_fd()])
    };
    relay.finish();
    exit_code(&answer?.0)
}

/// What to run: a login shell by default, told what kind of terminal it has.
fn argv(command: &[String], term: Option<String>) -> Vec<String> {
    let shell = ["bash".to_owned(), "-l".to_owned()];
    let command = if command.is_empty() { shell.as_slice() } else { command };
    let told = term.map(|term| ["/usr/bin/env".to_owned(), format!("TERM={term}")]);
    told.into_iter().flatten().chain(command.iter().cloned()).collect()
}

fn exit_code(reply: &Reply) -> Result<i32, CliError> {
    match reply {
        Reply::Exited(code) => Ok(*code),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_what_one_gets_without_asking() {
        assert_eq!(argv(&[], None), ["bash", "-l"]);
        let command = ["ls".to_owned(), "-l".to_owned()];
        assert_eq!(argv(&command, None), ["ls", "-l"]);
        let told = argv(&command, Some("xterm".into()));
        assert_eq!(told, ["/usr/bin/env", "TERM=xterm", "ls", "-l"]);
    }
}
