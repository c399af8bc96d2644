//! The command in the foreground: its input and output are ours, and so are the signals that are
//! meant for it.

use std::{
    fs::File,
    io,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::{
    process::{Pid, getpgrp, kill_process},
    termios::tcgetpgrp,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// How long a command that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The signals that are passed on.
#[derive(Debug)]
pub(in crate::cli) struct Signals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on they do not end this process.
    pub(in crate::cli) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::new(format!("cannot wait: {e}")));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            quit: on(SignalKind::quit())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    /// The status to end with where one has come before there was a command to pass it on to.
    pub(in crate::cli) async fn early(&mut self) -> Option<u8> {
        let signal = tokio::time::timeout(Duration::from_millis(1), self.next()).await.ok()?;
        u8::try_from(128 + signal.as_raw()).ok()
    }

    async fn next(&mut self) -> rustix::process::Signal {
        use rustix::process::Signal as Number;
        tokio::select! {
            _ = self.interrupt.recv() => Number::INT,
            _ = self.quit.recv() => Number::QUIT,
            _ = self.terminate.recv() => Number::TERM,
            _ = self.hang_up.recv() => Number::HUP,
        }
    }
}

/// Runs a command to its end and returns its status as shells say it.
pub(in crate::cli) async fn wait(command: Command, mut signals: Signals) -> io::Result<u8> {
    let mut child = tokio::process::Command::from(command).spawn()?;
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut asked = None;
    loop {
        let overdue = async {
            match asked {
                Some(since) => tokio::time::sleep_until(since + PATIENCE).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => return status.map(number),
            () = overdue => {
                child.start_kill()?;
                asked = None;
            }
            signal = signals.next() => {
                use rustix::process::Signal as Number;
                // Keys of a terminal reach everybody in the foreground, the command too.
                let by_key = matches!(signal, Number::INT | Number::QUIT) && in_foreground();
                if let Some(pid) = pid.filter(|_| !by_key) {
                    // It may just have ended.
                    let _ = kill_process(pid, signal);
                }
                if matches!(signal, Number::TERM | Number::HUP) && asked.is_none() {
                    asked = Some(tokio::time::Instant::now());
                }
            }
        }
    }
}

/// Whether this process and the command are in the foreground of a terminal.
fn in_foreground() -> bool {
    let terminal = File::open("/dev/tty").ok();
    terminal.and_then(|terminal| tcgetpgrp(terminal).ok()).is_some_and(|group| group == getpgrp())
}

fn number(status: ExitStatus) -> u8 {
    let number = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// The status of a command that could not be started.
pub(in crate::cli) fn not_started(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(shell: &str) -> io::Result<u8> {
        let mut command = Command::new("sh");
        command.args(["-c", shell]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let signals = Signals::listen().map_err(|error| io::Error::other(error.message))?;
            wait(command, signals).await
        })
    }

    #[test]
    fn the_status_is_the_commands_own() {
        assert_eq!(run("exit 0").expect("it runs"), 0);
        assert_eq!(run("exit 7").expect("it runs"), 7);
        assert_eq!(run("kill -TERM $$").expect("it runs"), 143);
        let missing = Command::new("/no/such/program").spawn().expect_err("there is none");
        assert_eq!(not_started(&missing), 127);
    }

    #[test]
    fn signals_go_on_to_the_command() {
        let own = std::process::id();
        let shell = format!("trap 'exit 9' TERM; kill -TERM {own}; while :; do sleep 0.01; done");
        assert_eq!(run(&shell).expect("it runs"), 9);
    }
}
