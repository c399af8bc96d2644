//! The shim: one small process an instance, which outlives the daemon.
//!
//! It makes the instance's user and network namespaces, which stay over reboots, boots the guest,
//! waits for it and boots it again when it asked for that; it takes orders through a named pipe
//! and says how far it is in a file. It has one thread and its own mount namespace, so its end
//! takes every mount with it. The daemon finds it by its cgroup.

pub(crate) mod boot;
pub(crate) mod config;
pub(crate) mod console;
pub(crate) mod disk;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
    sys::{
        signal::{SigSet, SigmaskHow, Signal, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{self, ForkResult, Pid},
};

use self::{
    boot::{Kept, boot, clear},
    config::{CONFIG, CONTROL, Config, DISK, DISK_MOUNT, Phase, ROOT_MOUNT, STATE, State},
    console::Console,
};
use crate::{
    boot_id::boot_id,
    cgroup::Group,
    error::{Context, HostError, Result},
    supervisor,
};

/// Where the shim keeps the instance's user namespace.
pub(crate) const USER: RawFd = 10;
/// Where the shim keeps the instance's network namespace.
pub(crate) const NETWORK: RawFd = 11;

/// A guest whose init dies this often right after its boot is given up.
const SHORT_BOOTS: u32 = 5;
const SHORT_BOOT: Duration = Duration::from_secs(2);
/// How long an orderly reboot may take before it is forced.
const REBOOT_PATIENCE: Duration = Duration::from_secs(60);

/// How long an orderly shutdown with the machine may take. Systems kill what is left after a minute
/// or more.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(60);
/// Why a guest that went down with the machine is off.
const WITH_THE_MACHINE: &str = "the machine shuts down";

/// How often init is reminded of what it was asked to do.
const INSISTENCE: Duration = Duration::from_secs(1);

/// An order to a shim, one a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The links are there: boot, unless booted.
    Boot,
    /// Restart in order.
    Reboot,
    /// Switch off in order, by force after that many seconds.
    Stop(u32),
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boot => f.write_str("boot"),
            Self::Reboot => f.write_str("reboot"),
            Self::Stop(seconds) => write!(f, "stop {seconds}"),
        }
    }
}

impl Order {
    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            None if line == "boot" => Some(Self::Boot),
            None if line == "reboot" => Some(Self::Reboot),
            Some(("stop", seconds)) => seconds.parse().ok().map(Self::Stop),
            _ => None,
        }
    }
}

/// The body of the hidden subcommand `shim`; its argument is the instance's folder. It must be
/// called before the process has a second thread. It returns when the guest is off.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let mut arguments = arguments.into_iter();
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        return Err(HostError::Failed("usage: shim FOLDER".into()));
    };
    supervisor::detach("gureum-shim").context(|| "detach")?;
    let outcome = Shim::set_up(PathBuf::from(folder));
    supervisor::report(outcome.as_ref().err()).context(|| "report")?;
    outcome?.supervise()
}

/// A signal that init has to act on.
struct Asked {
    signal: libc::c_int,
    /// When it is sent again: an init that is just starting may miss one.
    again: Instant,
    /// When the guest is killed for not acting on it.
    deadline: Instant,
}

struct Shim {
    folder: PathBuf,
    config: Config,
    console: Console,
    control: File,
    signals: SignalFd,
    boots: u32,
    short_boots: u32,
    booted_at: Instant,
    init: Option<Pid>,
    /// What the guest was asked to do and has not done yet.
    asked: Option<Asked>,
    /// Whether the guest is booted again whatever ended it.
    reboot: bool,
    /// Whether the guest was ordered off.
    ordered_off: bool,
    /// Whether the guest ends since its machine does.
    ending: bool,
    boot_id: String,
}

impl Shim {
    fn set_up(folder: PathBuf) -> Result<Self> {
        let path = folder.join(CONFIG);
        let config: Config = config::read(&path).context(|| format!("read {}", path.display()))?;
        supervisor::join_group(&config.own_group)?;
        supervisor::survive_memory_pressure();
        keep_namespaces(&config)?;

        unshare(CloneFlags::CLONE_NEWNS).context(|| "make a mount namespace")?;
        // What the machine unmounts goes away here too; what is mounted here stays here.
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
            .context(|| "keep mounts to ourselves")?;
        for name in [DISK_MOUNT, ROOT_MOUNT] {
            let path = folder.join(name);
            fs::create_dir_all(&path).context(|| format!("make {}", path.display()))?;
        }
        disk::attach(&folder.join(DISK), &folder.join(DISK_MOUNT))?;
        let console = Console::open(&folder, config.id_base).context(|| "make the console")?;

        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        mask.add(Signal::SIGTERM);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).context(|| "block signals")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&mask, flags).context(|| "watch signals")?;
        let control = open_control(&folder.join(CONTROL)).context(|| "make the control pipe")?;
        let shim = Self {
            folder,
            config,
            console,
            control,
            signals,
            boots: 0,
            short_boots: 0,
            booted_at: Instant::now(),
            init: None,
            asked: None,
            reboot: false,
            ordered_off: false,
            ending: false,
            boot_id: boot_id().context(|| "ask for the machine's boot")?,
        };
        shim.say(Phase::Waiting, "")?;
        Ok(shim)
    }

    fn supervise(mut self) -> Result<()> {
        loop {
            self.wait_for_something()?;
            self.console.drain();
            for order in self.orders() {
                match (order, self.init) {
                    (Order::Boot | Order::Reboot, _) if self.ending => {}
                    (Order::Boot, None) => self.boot()?,
                    (Order::Boot, Some(_)) => {}
                    (Order::Reboot, Some(init)) => {
                        self.reboot = true;
                        self.ordered_off = false;
                        self.ask(init, libc::SIGRTMIN() + 5, REBOOT_PATIENCE);
                    }
                    (Order::Stop(seconds), Some(init)) => {
                        self.reboot = false;
                        self.ordered_off = true;
                        let patience = Duration::from_secs(seconds.into());
                        self.ask(init, libc::SIGRTMIN() + 4, patience);
                    }
                    (Order::Stop(_), None) => {
                        self.ordered_off = true;
                        return self.say(Phase::Off, "");
                    }
                    (Order::Reboot, None) => {}
                }
            }
            self.insist();
            // One read a wake: waitpid tells who died.
            if let Ok(Some(signal)) = self.signals.read_signal()
                && signal.ssi_signo == libc::SIGTERM.cast_unsigned()
                && !self.end_with_machine()
            {
                return self.say(Phase::Died, WITH_THE_MACHINE);
            }
            while let Some(status) = next_death()? {
                if Some(status.0) == self.init
                    && let Some(phase) = self.after(status.1)
                {
                    let reason = match phase {
                        Phase::Died if self.ending => WITH_THE_MACHINE,
                        Phase::Died => "init died",
                        _ => "",
                    };
                    return self.say(phase, reason);
                }
            }
        }
    }

    /// Shuts the guest down in order, as the machine does with all that runs on it; `false` where
    /// none runs. Systems ask by SIGTERM, which an init does not end by: it would be waited for,
    /// and killed at last. Nobody wanted it off, so it runs again when the machine does.
    fn end_with_machine(&mut self) -> bool {
        self.ending = true;
        self.reboot = false;
        let Some(init) = self.init else { return false };
        if !self.ordered_off {
            self.ask(init, libc::SIGRTMIN() + 4, SHUTDOWN_PATIENCE);
        }
        true
    }

    /// Asks init to end, as `images/README.md` says.
    fn ask(&mut self, init: Pid, signal: libc::c_int, patience: Duration) {
        let now = Instant::now();
        signal_init(init, signal);
        self.asked = Some(Asked { signal, again: now + INSISTENCE, deadline: now + patience });
    }

    /// Asks again, and kills when patience is at its end.
    fn insist(&mut self) {
        let (Some(asked), Some(init)) = (&mut self.asked, self.init) else { return };
        let now = Instant::now();
        if asked.deadline <= now {
            self.asked = None;
            signal_init(init, libc::SIGKILL);
        } else if asked.again <= now {
            asked.again = now + INSISTENCE;
            signal_init(init, asked.signal);
        }
    }

    /// Boots, and says so when the guest cannot be booted.
    fn boot(&mut self) -> Result<()> {
        self.boots += 1;
        self.booted_at = Instant::now();
        self.say(Phase::Booting, "")?;
        // SAFETY: the kept descriptors are open for the life of the process.
        let kept = unsafe {
            Kept { user: BorrowedFd::borrow_raw(USER), network: BorrowedFd::borrow_raw(NETWORK) }
        };
        match boot(&self.folder, &self.config, kept, &self.console) {
            Ok(init) => {
                self.init = Some(init);
                self.say(Phase::Running, "")
            }
            Err(error) => {
                self.say(Phase::Died, &error.to_string())?;
                Err(error)
            }
        }
    }

    /// Decides what follows init's end: another boot (`None`), or the shim's own end.
    fn after(&mut self, end: End) -> Option<Phase> {
        self.init = None;
        self.asked = None;
        self.console.drain();
        clear(&self.folder);
        // Groups that the guest's init made; the kernel has buried what was in them.
        let _ = Group::at(&self.config.guest_group).remove_below();
        if self.ending && !self.ordered_off {
            return Some(Phase::Died);
        }
        let again = std::mem::take(&mut self.reboot) || end == End::Reboot;
        if !again || self.ending {
            let off = end == End::PowerOff || (end == End::Killed && self.ordered_off);
            return Some(if off { Phase::Off } else { Phase::Died });
        }
        let short = self.booted_at.elapsed() < SHORT_BOOT;
        self.short_boots = if short { self.short_boots + 1 } else { 0 };
        if self.short_boots >= SHORT_BOOTS || self.boot().is_err() {
            return Some(Phase::Died);
        }
        None
    }

    fn wait_for_something(&self) -> Result<()> {
        let timeout = match &self.asked {
            None => PollTimeout::NONE,
            Some(asked) => {
                let next = asked.again.min(asked.deadline);
                let left = next.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.console.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context(|| "wait"),
        }
    }

    /// The orders that have come. A line is written in one piece, far below what a pipe splits.
    fn orders(&mut self) -> Vec<Order> {
        let mut bytes = [0; 4096];
        match self.control.read(&mut bytes) {
            Ok(count) => {
                let text = String::from_utf8_lossy(&bytes[..count]);
                text.lines().filter_map(Order::parse).collect()
            }
            Err(_) => Vec::new(),
        }
    }

    fn say(&self, phase: Phase, reason: &str) -> Result<()> {
        let state = State {
            start: self.config.start,
            phase,
            init: self.init.map_or(0, Pid::as_raw),
            boots: self.boots,
            reason: reason.into(),
            expected: phase == Phase::Off && self.ordered_off,
            boot_id: self.boot_id.clone(),
        };
        config::write(&self.folder.join(STATE), &state).context(|| "write down the state")
    }
}

/// How init ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It asked the kernel to restart.
    Reboot,
    /// It asked the kernel to switch off.
    PowerOff,
    /// It was killed: by us when its patience was at its end, or by who knows whom.
    Killed,
    /// It ended, which an init does not.
    Death,
}

fn next_death() -> Result<Option<(Pid, End)>> {
    loop {
        return match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => Ok(None),
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno).context(|| "wait for init"),
            // The kernel ends a pid namespace's init with the signal that tells what it asked for.
            Ok(WaitStatus::Signaled(pid, Signal::SIGHUP, _)) => Ok(Some((pid, End::Reboot))),
            Ok(WaitStatus::Signaled(pid, Signal::SIGINT, _)) => Ok(Some((pid, End::PowerOff))),
            Ok(WaitStatus::Signaled(pid, Signal::SIGKILL, _)) => Ok(Some((pid, End::Killed))),
            Ok(status) => match status.pid() {
                Some(pid) => Ok(Some((pid, End::Death))),
                None => continue,
            },
        };
    }
}

/// Signals beyond the named ones have no place in the usual type.
fn signal_init(init: Pid, signal: libc::c_int) {
    // SAFETY: takes integers. Init is our child and not yet waited for, so the number is its own.
    unsafe { libc::kill(init.as_raw(), signal) };
}

fn open_control(path: &Path) -> io::Result<File> {
    match unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    // Open for writing too, so that it never ends when a writer goes.
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Makes the user namespace and the network namespace that it owns, and keeps both.
fn keep_namespaces(config: &Config) -> Result<()> {
    let (made, maker) = unistd::pipe().context(|| "make a pipe")?;
    let (held, holder) = unistd::pipe().context(|| "make a pipe")?;
    // SAFETY: a shim has one thread.
    match unsafe { unistd::fork() }.context(|| "fork")? {
        ForkResult::Child => {
            drop((made, holder));
            let outcome = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET);
            let _ = unistd::write(&maker, &[outcome.map_or_else(|errno| errno as u8, |()| 0)]);
            // Until the parent holds the namespaces.
            let _ = unistd::read(&held, &mut [0]);
            // SAFETY: ends this half at once.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop((maker, held));
            let mut answer = [0xff];
            unistd::read(&made, &mut answer).context(|| "wait for a child")?;
            let outcome = match answer[0] {
                0 => hold(child, config),
                errno => Err(io::Error::from_raw_os_error(errno.into()))
                    .context(|| "make the user namespace of an instance"),
            };
            drop(holder);
            waitpid(child, None).context(|| "wait for a child")?;
            outcome
        }
    }
}

fn hold(child: Pid, config: &Config) -> Result<()> {
    let map = format!("0 {} {}\n", config.id_base, config.id_count);
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{child}/{file}"), &map).context(|| "map the instance's users")?;
    }
    supervisor::keep(&format!("/proc/{child}/ns/user"), USER)?;
    supervisor::keep(&format!("/proc/{child}/ns/net"), NETWORK)
}
