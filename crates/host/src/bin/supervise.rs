//! The hidden subcommands of `gureum` alone, for tests: their own program is a test runner.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let outcome = match arguments.next().as_deref().and_then(|name| name.to_str()) {
        Some("anchor") => gureum_host::anchor::run(arguments),
        Some("responder") => gureum_host::light::run(arguments),
        Some("shim") => gureum_host::shim::run(arguments),
        Some("inside") => match gureum_host::exec::run(arguments) {
            Ok(code) => std::process::exit(code),
            Err(error) => Err(error),
        },
        _ => {
            eprintln!("usage: gureum-supervise anchor|responder|shim|inside …");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
