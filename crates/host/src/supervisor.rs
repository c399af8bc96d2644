//! Processes that outlive the daemon: how they are started and how they report.
//!
//! Anchor and shim are this very program under a hidden subcommand. The daemon starts one,
//! which detaches (a second fork, a session of its own) and writes one line to its standard
//! output once it stands: `ready`, or why it does not.

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    io::{self, BufRead, BufReader, Write},
    os::fd::{AsFd, RawFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::prctl,
    unistd::{self, ForkResult},
};

use crate::error::{Context, HostError, Result};

/// Begins a report that the machine has no more of something.
const CAPACITY: &str = "capacity: ";

/// The program that knows the hidden subcommands.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// The running program itself, also when its file was replaced or removed since.
    pub fn this() -> Self {
        Self { path: "/proc/self/exe".into() }
    }

    /// Another file; for tests, whose own program is a test runner.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(subcommand).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir("/");
        command
    }

    /// Starts a supervisor and waits until it stands.
    pub(crate) fn launch(&self, subcommand: &str, arguments: &[&OsStr], log: &Path) -> Result<()> {
        let errors = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .context(|| format!("open {}", log.display()))?;
        let mut child = self
            .command(subcommand)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context(|| format!("start `{subcommand}`"))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).context(|| "listen to a supervisor")?;
        }
        // The first process ends right after its fork; the supervisor is a child of init.
        child.wait().context(|| "wait for a supervisor")?;
        match line.trim_end() {
            "ready" => Ok(()),
            "" => Err(HostError::Failed(format!(
                "`{subcommand}` ended without a word; see {}",
                log.display()
            ))),
            word => Err(match word.strip_prefix(CAPACITY) {
                Some(word) => HostError::InsufficientCapacity(word.to_owned()),
                None => HostError::Failed(word.to_owned()),
            }),
        }
    }
}

/// Detaches the calling, single-threaded process from whoever started it.
pub(crate) fn detach(name: &str) -> io::Result<()> {
    // SAFETY: the caller has one thread, so no lock can be held by another across the fork.
    match unsafe { unistd::fork() }? {
        ForkResult::Parent { .. } => {
            // SAFETY: ends this half at once, without running exit handlers twice.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Child => {}
    }
    unistd::setsid()?;
    prctl::set_name(&std::ffi::CString::new(name)?)?;
    Ok(())
}

/// Reports `ready` or the error to whoever started this supervisor, and closes the line.
pub(crate) fn report(failure: Option<&HostError>) -> io::Result<()> {
    let line = match failure {
        None => "ready\n".to_owned(),
        Some(error) => {
            let kind = if error.is_capacity() { CAPACITY } else { "" };
            format!("{kind}{}\n", error.to_string().replace('\n', " "))
        }
    };
    let mut out = io::stdout().lock();
    // Whoever started us may be dead by now, which is no reason to follow.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    unistd::dup2_stdout(null.as_fd())?;
    Ok(())
}

/// Writes the calling process into a group by its `cgroup.procs` file.
pub(crate) fn join_group(procs: &Path) -> Result<()> {
    std::fs::write(procs, "0").context(|| format!("enter {}", procs.display()))
}

/// Opens a namespace and keeps it at a fixed number for the life of the process.
pub(crate) fn keep(path: &str, place: RawFd) -> Result<()> {
    let file = std::fs::File::open(path).context(|| format!("open {path}"))?;
    // SAFETY: nothing in this process owns a descriptor at the fixed numbers.
    let kept = unsafe { unistd::dup2_raw(&file, place) }.context(|| "keep a namespace")?;
    // Owned by the process, not by a variable of it.
    std::mem::forget(kept);
    Ok(())
}

/// Has the kernel take other processes first when memory runs out: what a supervisor holds is
/// worth more than what it weighs.
pub(crate) fn survive_memory_pressure() {
    // Root without CAP_SYS_RESOURCE may not, which is no reason to give up.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
}

/// Makes this process, and process 1 of an instance that it becomes, the last that the kernel
/// kills for the instance's memory: an instance lives while anything else can go. Where root may
/// not do so (without CAP_SYS_RESOURCE), it is enough that all others go first
/// ([`INIT_SETTINGS`]).
pub(crate) fn be_last_under_memory_pressure() {
    // Refused where root may not.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-999");
}

/// Makes this process, which goes into an instance, one that the kernel kills before its init.
pub(crate) fn go_before_init_under_memory_pressure() {
    // Raising it is always allowed.
    let _ = std::fs::write("/proc/self/oom_score_adj", "100");
}

/// What an instance's init is told: to start everything with a higher score than its own, so that
/// the kernel kills anything but it for the instance's memory. A file of systemd's settings.
pub const INIT_SETTINGS: (&str, &str) =
    ("/etc/systemd/system.conf.d/launcher.conf", "[Manager]\nDefaultOOMScoreAdjust=100\n");
