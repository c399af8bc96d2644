//! The one binary: the command line, the daemon, and the small processes that outlive it.

#![forbid(unsafe_code)]

mod admin;
mod cli;
mod daemon;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: the processes that hold namespaces and instances must stay small and
    // have one thread.
    let mut arguments = std::env::args_os().skip(1);
    let hidden = match arguments.next() {
        Some(command) if command == "anchor" => Some(gureum_host::anchor::run(arguments)),
        _ => None,
    };
    match hidden {
        None => cli::run(),
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
