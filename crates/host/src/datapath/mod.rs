//! The data path: the one thread that moves packets between ports and engine.
//!
//! It is an ordinary thread, not a task: nothing that an event loop does can delay a packet. It
//! owns the engine's state, so there is no lock; everybody else speaks to it through commands,
//! each answered when it is done. The policy is replaced whole, and the epoch of the one in
//! force is readable at any time.

mod drops;
mod journal;
mod ledger;
mod mapping;
mod ports;
mod socket;
mod talkers;
mod tap;
mod worker;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use gureum_engine::{Limits, Policy, State};
use gureum_types::PortIndex;
use nix::{
    sys::{
        eventfd::{EfdFlags, EventFd},
        resource::{Resource, getrlimit, setrlimit},
    },
    time::{ClockId, clock_gettime},
};
use tokio::sync::oneshot;

pub use self::drops::{DROPS_KEPT, DropSum};
pub(crate) use self::ledger::{finish as finish_window, read as read_window};
pub use self::talkers::{Look, Talker, Talkers};
pub use self::tap::{Ends, Tap, TapEvent, TapFilter, TapFrame, TapSettings};
use crate::{
    error::{Context, HostError, Result},
    namespace::Namespace,
    windows::Windows,
};

/// What the data path could not carry, a port; nothing of it was seen by the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortLosses {
    /// Frames that found the port's receive queue full: drop `port-queue-full`.
    pub queue_full: u64,
    /// Frames that did not fit or that the kernel could not describe: drop `unreadable`.
    pub unreadable: u64,
    /// Frames that the kernel would not take: drop `send-failed`.
    pub send_failed: u64,
}

impl PortLosses {
    /// The losses by the names of their drops, beside [`gureum_engine::DropReason::name`].
    pub fn named(&self) -> [(&'static str, u64); 3] {
        [
            ("port-queue-full", self.queue_full),
            ("unreadable", self.unreadable),
            ("send-failed", self.send_failed),
        ]
    }
}

/// How a data path is set up.
#[derive(Debug)]
pub struct Settings {
    /// The file that keeps tracked flows over the death of the process; none in tests of policy.
    pub journal: Option<PathBuf>,
    /// Where is counted for flow logs; without it nothing is.
    pub windows: Option<Arc<Windows>>,
    /// Bounds of the engine's state. Its hash tables get a seed that nobody can guess instead of
    /// the one given here.
    pub limits: Limits,
    /// Whether connections of an earlier data path may be open. Where the journal does not have
    /// them all, they are taken up from their packets for a minute (traps 9).
    pub takes_over: bool,
}

/// Who is told of a port whose link vanished; called on the data path, so it must not wait.
pub(crate) type LostLinks = Box<dyn Fn(PortIndex) + Send>;

type Inspection = Box<dyn FnOnce(&Policy, &mut State) + Send>;

enum Command {
    Apply(Arc<Policy>, oneshot::Sender<u64>),
    Add(PortIndex, u32, oneshot::Sender<io::Result<()>>),
    Remove(PortIndex, oneshot::Sender<()>),
    Run(Inspection),
    Losses(oneshot::Sender<Vec<(PortIndex, PortLosses)>>),
    Drops(drops::DropPlace, u64, oneshot::Sender<drops::DropPortion>),
    Tap(tap::TapEnd),
    Stop,
}

/// The running data path. Dropping it stops the thread.
#[derive(Debug)]
pub struct DataPath {
    commands: Mutex<mpsc::Sender<Command>>,
    wake: Arc<EventFd>,
    applied: Arc<AtomicU64>,
    worker: Option<JoinHandle<()>>,
}

impl DataPath {
    /// Starts it in the fabric's namespace. It forwards nothing before it has ports.
    pub fn start(fabric: &Namespace, policy: Arc<Policy>, settings: Settings) -> Result<Self> {
        Self::start_watched(fabric, policy, settings, Box::new(|_| ()))
    }

    pub(crate) fn start_watched(
        fabric: &Namespace,
        policy: Arc<Policy>,
        settings: Settings,
        lost_links: LostLinks,
    ) -> Result<Self> {
        raise_open_files()?;
        let (commands, inbox) = mpsc::channel();
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = EventFd::from_value_and_flags(0, flags).context(|| "make an eventfd")?;
        let wake = Arc::new(wake);
        let applied = Arc::new(AtomicU64::new(0));
        let (started, outcome) = mpsc::channel();
        let worker = {
            let (wake, applied) = (wake.clone(), applied.clone());
            let fabric = fabric.try_clone().context(|| "keep the fabric")?;
            let body = move || {
                let made = worker::Worker::new(
                    &fabric, policy, settings, inbox, wake, applied, lost_links,
                );
                match made {
                    Err(error) => drop(started.send(Err(error))),
                    Ok(worker) => {
                        drop(started.send(Ok(())));
                        worker.run();
                    }
                }
            };
            thread::Builder::new()
                .name("gureum-datapath".into())
                .spawn(body)
                .context(|| "start the data path")?
        };
        let died = || HostError::Failed("the data path died at once".into());
        outcome.recv().map_err(|_| died())??;
        Ok(Self { commands: Mutex::new(commands), wake, applied, worker: Some(worker) })
    }

    /// Replaces the policy. The answer, its epoch, comes when the new one decides.
    pub fn apply(&self, policy: Arc<Policy>) -> oneshot::Receiver<u64> {
        self.ask(|answer| Command::Apply(policy, answer))
    }

    /// The epoch of the policy in force.
    pub fn applied_epoch(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Takes a link of the fabric into service. A port that is there is replaced.
    pub fn add_port(&self, port: PortIndex, link: u32) -> oneshot::Receiver<io::Result<()>> {
        self.ask(|answer| Command::Add(port, link, answer))
    }

    /// Takes a port out of service.
    pub fn remove_port(&self, port: PortIndex) -> oneshot::Receiver<()> {
        self.ask(|answer| Command::Remove(port, answer))
    }

    /// Runs something between two packets, as [`gureum_engine::why`] or a look at the counters.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Policy, &mut State) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        self.ask(|answer| {
            Command::Run(Box::new(move |policy, state| drop(answer.send(work(policy, state)))))
        })
    }

    /// Empties the flow cache, which changes nothing but speed.
    pub fn flush(&self) -> oneshot::Receiver<()> {
        self.run(|_, state| state.flush_cache())
    }

    /// What could not be carried, by port.
    pub fn losses(&self) -> oneshot::Receiver<Vec<(PortIndex, PortLosses)>> {
        self.ask(Command::Losses)
    }

    /// The kinds of packets of which one was dropped at `since` or later, on the clock of
    /// [`monotonic_now`], and from when on all of them are remembered: for [`DROPS_KEPT`] at least,
    /// unless there are more kinds than there is room for. Waits for the data path.
    pub fn drops(&self, since: u64) -> Result<(Vec<DropSum>, u64)> {
        let (mut sums, mut from) = (Vec::new(), drops::DropPlace::default());
        loop {
            let portion = answered(self.ask(|answer| Command::Drops(from, since, answer)))?;
            sums.extend(portion.sums);
            match portion.next {
                Some(next) => from = next,
                None => return Ok((sums, portion.complete_since)),
            }
        }
    }

    /// Watches packets and what they meet. While somebody does, every packet takes the way on
    /// which all stages speak, which is slower than the usual one.
    pub fn tap(&self, settings: TapSettings) -> Tap {
        let (end, tap) = tap::tap(settings);
        self.send(Command::Tap(end));
        tap
    }

    fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        self.send(command(answer));
        receiver
    }

    /// A command to a data path that is gone is dropped, and so is its answer, which tells.
    fn send(&self, command: Command) {
        let commands = self.commands.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if commands.send(command).is_ok() {
            // Full means that a wake is pending already.
            let _ = self.wake.write(1);
        }
    }
}

impl Drop for DataPath {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the data path ended with a panic");
        }
    }
}

/// Waits for an answer of the data path.
pub(crate) fn answered<T>(answer: oneshot::Receiver<T>) -> Result<T> {
    answer.blocking_recv().map_err(|_| HostError::Failed("the data path is gone".into()))
}

/// The clock of the engine: nanoseconds that only grow, since the machine booted.
pub fn monotonic_now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs())
}

/// Three sockets a port and ten thousand ports: the usual limit of open files does not do.
fn raise_open_files() -> Result<()> {
    const WANTED: u64 = 1 << 17;
    let limit = Resource::RLIMIT_NOFILE;
    let (soft, hard) = getrlimit(limit).context(|| "read the limit of open files")?;
    if soft >= WANTED {
        return Ok(());
    }
    // Raising the hard limit needs privilege and an fs.nr_open above; up to it is always allowed.
    setrlimit(limit, WANTED, hard.max(WANTED))
        .or_else(|_| setrlimit(limit, hard, hard))
        .context(|| "raise the limit of open files")
}
