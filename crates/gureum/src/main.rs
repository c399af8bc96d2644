//! The one binary: the command line, the daemon, and the small processes that outlive it.

#![forbid(unsafe_code)]

mod admin;
mod cli;
mod daemon;
mod failure;
mod messages;
mod paths;
mod root_key;

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    // Before anything else: the processes that hold namespaces and instances must stay small and
    // have one thread.
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<_> = arguments.collect();
    if Path::new(&called).file_name().is_some_and(|name| name == cli::PLUGIN) {
        return cli::plugin(&arguments);
    }
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "anchor" => {
            gureum_host::anchor::run(rest.iter().cloned()).map(|()| 0)
        }
        Some((command, rest)) if command == "responder" => {
            gureum_host::light::run(rest.iter().cloned()).map(|()| 0)
        }
        Some((command, rest)) if command == "shim" => {
            gureum_host::shim::run(rest.iter().cloned()).map(|()| 0)
        }
        Some((command, rest)) if command == "inside" => {
            take_terminal();
            gureum_host::exec::run(rest.iter().cloned())
        }
        _ => return cli::run(),
    };
    match outcome {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Err(error) => {
            // Nobody may be there to read it any more.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the terminal that we were given ours, so that the kernel tells us when its size changes
/// and when the one who gave it is gone.
fn take_terminal() {
    if io::stdin().is_terminal() {
        // Somebody's own terminal, beside a pipe for output, stays with its session.
        let _ = rustix::process::setsid();
        let _ = rustix::process::ioctl_tiocsctty(io::stdin());
    }
}
