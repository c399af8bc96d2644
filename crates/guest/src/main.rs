//! The program inside an instance: AWS's `amazon-ssm-agent`, as far as sessions and commands go.
//!
//! Called as `gureum-guest enter …` it is the first process of a session: see [`user`].

use std::process::ExitCode;

use gureum_guest::{agent, surroundings::Surroundings, user};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == user::ENTER) {
        let error = user::enter(arguments);
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("GUREUM_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_ansi(false)
        .without_time()
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
        let terminated = async {
            match &mut terminate {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = agent::run(Surroundings::of_instance()) => {}
            _ = terminated => {}
        }
    });
    ExitCode::SUCCESS
}
