//! Programs of sessions: with a terminal, or with pipes.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use gureum_session::{frame::PayloadType, message::Size};
use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process_group},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, unix::AsyncFd},
    process::Child,
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    session::{Ends, Input, Output},
    user::{User, program},
};

/// How much of a program's output goes into one message; AWS's agent has as much.
const CHUNK: usize = 1024;
/// How long a program has after it was asked to end.
const LAST_MOMENTS: Duration = Duration::from_secs(2);
/// Characters by which a terminal's user interrupts.
const INTERRUPT: u8 = 0x03;
const QUIT: u8 = 0x1c;

/// A program with a terminal. `first` is typed for it before anything else.
pub(crate) fn terminal(
    user: Option<&User>,
    argv: &[String],
    first: &str,
    ends: Ends,
) -> io::Result<()> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(&name, flags, Mode::empty())?;
    let mut command = tokio::process::Command::from(program(user, true, argv));
    let end = || slave.try_clone().map(Stdio::from);
    command.stdin(end()?).stdout(end()?).stderr(end()?).kill_on_drop(true);
    let child = command.spawn()?;
    drop(slave);
    rustix::io::ioctl_fionbio(&master, true)?;
    #[allow(deprecated, reason = "what replaces it is unsafe; this owns its descriptor to the end")]
    let master = Arc::new(AsyncFd::new(master)?);
    let first = Bytes::from(match first {
        "" => String::new(),
        lines => format!("{lines}\n"),
    });
    tokio::spawn(run_terminal(child, master, first, ends));
    Ok(())
}

async fn run_terminal(mut child: Child, master: Arc<AsyncFd<OwnedFd>>, first: Bytes, ends: Ends) {
    let Ends { mut input, output } = ends;
    let (exited, is_over) = watch::channel(false);
    let shown = output.clone();
    let reading = tokio::spawn(read_terminal(Arc::clone(&master), shown, is_over));
    let typing = async {
        write_terminal(&master, &first).await?;
        while let Some(input) = input.recv().await {
            match input {
                Input::Data(bytes) => write_terminal(&master, &bytes).await?,
                Input::Size(Size { cols, rows }) => {
                    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
                    tcsetwinsize(master.get_ref().as_fd(), size)?;
                }
                Input::Flag(_) => {}
            }
        }
        Ok::<_, io::Error>(())
    };
    let typed = tokio::select! {
        typed = typing => Some(typed),
        _ = child.wait() => None,
    };
    match typed {
        // The program has ended. What it wrote before is still in the terminal.
        None => {
            exited.send_replace(true);
            let _ = reading.await;
        }
        // The session has ended, or the terminal.
        Some(_) => {
            reading.abort();
            drop(master);
            end(&mut child).await;
        }
    }
}

async fn read_terminal(
    master: Arc<AsyncFd<OwnedFd>>,
    output: mpsc::Sender<Output>,
    mut exited: watch::Receiver<bool>,
) {
    let mut buffer = [0; CHUNK];
    loop {
        let over = *exited.borrow();
        if !over {
            tokio::select! {
                ready = master.readable() => match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => return,
                },
                _ = exited.changed() => {}
            }
        }
        // Until nothing is left, or nobody has the other end any more.
        loop {
            match rustix::io::read(master.get_ref(), &mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    if output.send((PayloadType::Output, bytes)).await.is_err() {
                        return;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => return,
            }
        }
        if over {
            return;
        }
    }
}

async fn write_terminal(master: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = master.writable().await?;
        let written = ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?));
        match written {
            Ok(written) => bytes = &bytes[written?..],
            Err(_) => continue,
        }
    }
    Ok(())
}

/// A program without a terminal. With `apart` its two outputs are told apart, and its exit code.
pub(crate) fn plain(
    user: Option<&User>,
    argv: &[String],
    apart: bool,
    ends: Ends,
) -> io::Result<()> {
    let mut command = tokio::process::Command::from(program(user, false, argv));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn()?;
    tokio::spawn(run_plain(child, apart, ends));
    Ok(())
}

async fn run_plain(mut child: Child, apart: bool, ends: Ends) {
    let Ends { mut input, output } = ends;
    let errors = if apart { PayloadType::StdErr } else { PayloadType::Output };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let group = group(&child);
    let ended = async {
        tokio::join!(pass(out, PayloadType::Output, &output), pass(err, errors, &output));
        child.wait().await
    };
    tokio::pin!(ended);
    let status = loop {
        tokio::select! {
            status = &mut ended => break status,
            input = input.recv() => match input {
                Some(Input::Data(bytes)) => {
                    for (byte, signal) in [(INTERRUPT, Signal::INT), (QUIT, Signal::QUIT)] {
                        if bytes.contains(&byte) {
                            signal_group(group, signal);
                        }
                    }
                }
                Some(_) => {}
                None => {
                    signal_group(group, Signal::HUP);
                    let _ = timeout(LAST_MOMENTS, &mut ended).await;
                    signal_group(group, Signal::KILL);
                    return;
                }
            },
        }
    };
    if let (true, Ok(status)) = (apart, status) {
        let code = format!("EXIT_CODE: {}", exit_code(status));
        let _ = output.send((PayloadType::ExitCode, code.into())).await;
    }
}

async fn pass(
    from: Option<impl AsyncRead + Unpin>,
    kind: PayloadType,
    output: &mpsc::Sender<Output>,
) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; CHUNK];
    while let Ok(length) = from.read(&mut buffer).await {
        if length == 0
            || output.send((kind, Bytes::copy_from_slice(&buffer[..length]))).await.is_err()
        {
            return;
        }
    }
}

/// The process group of a program of a session, which leads one of its own.
pub(crate) fn group(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

pub(crate) fn signal_group(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, signal)
    {
        tracing::debug!(%error, "signalling a program");
    }
}

/// Ends a program and what it started.
async fn end(child: &mut Child) {
    let group = group(child);
    signal_group(group, Signal::HUP);
    if timeout(LAST_MOMENTS, child.wait()).await.is_err() {
        signal_group(group, Signal::KILL);
        let _ = child.wait().await;
    }
}

/// The exit code of a shell: that of the program, or 128 and the signal that ended it.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
