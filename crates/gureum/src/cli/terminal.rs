//! A terminal for a program elsewhere: a pair of our own, its far end given away, its near end
//! relayed to the terminal that we stand in, which is raw meanwhile and restored after.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    pty::OpenptFlags,
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the last output may take to arrive after the program ended. A program of the
/// background that keeps the terminal open must not keep us.
const DRAIN_LIMIT: Duration = Duration::from_millis(300);

/// A terminal pair with its relay at work.
pub(super) struct Relay {
    other_end: Option<OwnedFd>,
    _raw: RawMode,
    drained: mpsc::Receiver<()>,
}

impl Relay {
    /// Makes the pair, takes over our terminal and begins to relay.
    pub(super) fn start() -> io::Result<Self> {
        let near =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&near)?;
        rustix::pty::unlockpt(&near)?;
        let name = rustix::pty::ptsname(&near, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let far = rustix::fs::open(&name, flags, Mode::empty())?;
        // The program has a terminal of its own behind ours: lines, echo and ^C are its business.
        let mut plain = tcgetattr(&far)?;
        plain.make_raw();
        tcsetattr(&far, OptionalActions::Now, &plain)?;
        copy_size(&near);
        let raw = RawMode::enter()?;
        watch_signals(near.try_clone()?, raw.saved.clone())?;
        let to_program = File::from(near.try_clone()?);
        thread::spawn(move || copy(io::stdin(), to_program));
        let (done, drained) = mpsc::channel();
        thread::spawn(move || {
            copy(File::from(near), io::stdout());
            // Nobody waits any more where the relay has ended.
            let _ = done.send(());
        });
        Ok(Self { other_end: Some(far), _raw: raw, drained })
    }

    /// The end to give away. It is ours until [`Self::finish`], so that the terminal lives until
    /// the program has it.
    pub(super) fn other_end(&self) -> &OwnedFd {
        self.other_end.as_ref().unwrap_or_else(|| unreachable!("only finish takes it"))
    }

    /// Prints what is still on its way, and restores our terminal.
    pub(super) fn finish(mut self) {
        drop(self.other_end.take());
        // An error means that the last byte has come, or that somebody keeps the terminal.
        let _ = self.drained.recv_timeout(DRAIN_LIMIT);
    }
}

/// Copies until either side ends. Output goes out at once, byte by byte as it comes.
fn copy(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if to.write_all(&buffer[..count]).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // EIO: nobody has the other end any more.
            Err(_) => return,
        }
    }
}

/// Our terminal's size, for the program's.
fn copy_size(near: &OwnedFd) {
    // A terminal without a size (a serial line) leaves the program's at its default.
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
        let _ = tcsetwinsize(near, size);
    }
}

/// Follows the size of our window, and leaves a usable terminal when we are told to end.
fn watch_signals(near: OwnedFd, saved: Termios) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut resized, mut ended, mut hung_up) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::window_change())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let number = tokio::select! {
                    _ = resized.recv() => { copy_size(&near); continue }
                    () = received(&mut ended) => SignalKind::terminate(),
                    () = received(&mut hung_up) => SignalKind::hangup(),
                };
                let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &saved);
                std::process::exit(128 + number.as_raw_value());
            }
        });
    });
    Ok(())
}

async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending().await
    }
}

/// Our terminal gives every key as it is; restored when dropped.
pub(super) struct RawMode {
    saved: Termios,
}

impl RawMode {
    /// From now on, for the terminal of our standard input.
    pub(super) fn enter() -> io::Result<Self> {
        let saved = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self { saved })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that went away needs no restoring.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.saved);
    }
}
