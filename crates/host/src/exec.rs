//! A program run inside an instance from outside, over no network: `gureum exec`.
//!
//! The daemon starts this very program under a hidden subcommand; that process enters the
//! namespaces of the instance's init and its cgroup, so the program is bounded as all others of
//! the instance, and passes its end on. With a terminal it makes one of the instance's own and
//! carries between that and what it was given.

use std::{
    ffi::{CString, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::Winsize,
    sched::{CloneFlags, setns},
    sys::{
        prctl,
        signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{self, ForkResult, Gid, Pid, Uid},
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Context, HostError, Result},
    light::program::{self, Place},
    shim::{
        boot::{become_root_inside, fresh_process},
        config::{self, CONFIG, Config, STATE, State},
    },
    supervisor::{self, Program, join_group},
};

/// The group of such programs, below the guest's. The guest's own group may hold no process
/// once its init hands controllers down.
const GROUP: &str = "gureum.exec";

const DESCRIBE: fn() -> &'static str = || "describe a program";

/// What to run and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The program and its arguments; the user's shell when empty.
    pub argv: Vec<String>,
    /// The user, by a name that the instance knows.
    pub user: String,
    /// Variables beyond the usual ones.
    pub environment: Vec<(String, String)>,
    /// Whether the program gets a terminal.
    pub terminal: bool,
}

/// Where the program's input and output go.
#[derive(Debug)]
pub struct ExecStreams {
    /// Standard input; with a terminal, one whose size is passed on.
    pub input: OwnedFd,
    /// Standard output.
    pub output: OwnedFd,
    /// Standard error; unused with a terminal.
    pub error: OwnedFd,
}

/// A program that runs inside an instance.
#[derive(Debug)]
pub struct Execution {
    child: Child,
}

impl Execution {
    pub(crate) fn start(
        program: &Program,
        folder: &Path,
        request: &ExecRequest,
        streams: ExecStreams,
    ) -> Result<Self> {
        let request = serde_json::to_string(request).map_err(io::Error::other);
        Self::spawn(program.command("inside").arg(folder).arg(request.context(DESCRIBE)?), streams)
    }

    /// As [`Self::start`], in a light host.
    pub(crate) fn start_light(
        program: &Program,
        folder: &Path,
        request: &ExecRequest,
        place: &Place,
        streams: ExecStreams,
    ) -> Result<Self> {
        let request = serde_json::to_string(request).map_err(io::Error::other);
        let place = serde_json::to_string(place).map_err(io::Error::other);
        let mut command = program.command("inside");
        command.arg(folder).arg(request.context(DESCRIBE)?).arg(place.context(DESCRIBE)?);
        Self::spawn(&mut command, streams)
    }

    fn spawn(command: &mut Command, streams: ExecStreams) -> Result<Self> {
        let child = command
            .stdin(Stdio::from(streams.input))
            .stdout(Stdio::from(streams.output))
            .stderr(Stdio::from(streams.error))
            .spawn()
            .context(|| "start `inside`")?;
        Ok(Self { child })
    }

    /// Waits for its end. A program killed by a signal ends with 128 and its number, as in a
    /// shell; one that could not be started with 126 or 127.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Waits for its end as [`Self::wait`] does, and hangs up on it once whoever has the other end
    /// of `asker`, a connected socket, goes away.
    pub fn wait_for(&mut self, asker: BorrowedFd<'_>) -> io::Result<ExitStatus> {
        let process = process_descriptor(Pid::from_raw(self.child.id().cast_signed()))?;
        loop {
            let mut either = [
                PollFd::new(process.as_fd(), PollFlags::POLLIN),
                PollFd::new(asker, PollFlags::POLLHUP),
            ];
            match poll(&mut either, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                waited => waited?,
            };
            let [ended, _] = either.map(|fd| fd.any().unwrap_or_default());
            if !ended {
                self.signal(Signal::SIGHUP);
            }
            return self.wait();
        }
    }

    fn signal(&self, signal: Signal) {
        // Not waited for yet, or the number would not be asked for: it is still its own.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }
}

/// The body of the hidden subcommand `inside`: its arguments are an instance's folder, a request,
/// and for a light host the place. Returns the exit status. It must be called before the process has a second thread.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<i32> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let usage = || HostError::Failed("usage: inside FOLDER REQUEST [PLACE]".into());
    let [folder, request, place @ ..] = arguments.as_slice() else { return Err(usage()) };
    let request: ExecRequest =
        serde_json::from_slice(request.as_encoded_bytes()).map_err(|_| usage())?;
    let user = match place {
        [] => {
            enter(&PathBuf::from(folder))?;
            User::find(&request.user)?
        }
        [place, ..] => {
            let place: Place =
                serde_json::from_slice(place.as_encoded_bytes()).map_err(|_| usage())?;
            program::enter(&place)?;
            User::owner(place.uid)?
        }
    };

    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGWINCH, Signal::SIGHUP, Signal::SIGTERM] {
        mask.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).context(|| "block signals")?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(&mask, flags).context(|| "watch signals")?;

    let terminal = request.terminal.then(Terminal::open).transpose()?;
    // SAFETY: this process has one thread.
    match unsafe { unistd::fork() }.context(|| "fork")? {
        ForkResult::Child => {
            let error = match become_program(&request, &user, terminal.as_ref()) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            let missing = matches!(&error, HostError::Kernel { source, .. }
                if source.kind() == io::ErrorKind::NotFound);
            eprintln!("gureum: {error}");
            // SAFETY: ends this half at once.
            unsafe { libc::_exit(if missing { 127 } else { 126 }) }
        }
        ForkResult::Parent { child } => attend(child, &signals, terminal),
    }
}

/// A descriptor that stands for a process; readable once that has ended.
fn process_descriptor(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: takes integers; the result is checked before it is owned.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = Errno::result(fd)?;
    // SAFETY: a new descriptor that nobody else owns; descriptors fit an int.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Moves this process into the instance's cgroup and namespaces.
fn enter(folder: &Path) -> Result<()> {
    let gone = || HostError::Failed("the instance is not running".into());
    supervisor::go_before_init_under_memory_pressure();
    let config: Config = config::read(&folder.join(CONFIG)).map_err(|_| gone())?;
    let state: State = config::read(&folder.join(STATE)).map_err(|_| gone())?;
    let pid = init_of(&config, &state).ok_or_else(gone)?;
    let process = process_descriptor(pid).map_err(|_| gone())?;
    // Asked again with the process held, so it cannot have become another one's number.
    init_of(&config, &state).ok_or_else(gone)?;

    for (place, entrance) in config.guest_entrances.iter().enumerate() {
        if place > 0 {
            join_group(entrance)?;
        }
    }
    let group = config.guest_group.join(GROUP);
    match fs::create_dir(&group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).context(|| "make a cgroup");
        }
        _ => join_group(&group.join("cgroup.procs"))?,
    }
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    setns(&process, all).context(|| "enter the instance")?;
    become_root_inside()?;
    unistd::chdir("/").context(|| "enter the instance's root")
}

/// Init's number, if the process of that number is in the guest's group now.
pub(crate) fn init_of(config: &Config, state: &State) -> Option<Pid> {
    if state.init <= 0 {
        return None;
    }
    let table = fs::read_to_string(format!("/proc/{}/cgroup", state.init)).ok()?;
    let path = table.lines().find_map(|line| line.strip_prefix("0::"))?;
    // The group's own path ends as the path in the hierarchy, wherever that is mounted.
    let mut parts: Vec<_> = config.guest_group.components().rev().take(3).collect();
    parts.reverse();
    let guest: PathBuf = parts.iter().collect();
    let path = Path::new(path.trim_start_matches('/'));
    let mut above = path.ancestors();
    above.any(|above| above.ends_with(&guest)).then(|| Pid::from_raw(state.init))
}

/// A user of the instance.
struct User {
    name: String,
    uid: u32,
    gid: u32,
    groups: Vec<Gid>,
    home: String,
    shell: String,
}

impl User {
    /// The users of the files that this process sees, one a line. Other sources would need libraries.
    fn among(table: &str) -> impl Iterator<Item = Self> {
        table.lines().filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
            Some(Self {
                name: (*name).into(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                groups: Vec::new(),
                home: (*home).into(),
                shell: if shell.is_empty() { "/bin/sh".into() } else { (*shell).into() },
            })
        })
    }

    /// The person whose cloud it is, who is root in a light host.
    fn owner(uid: u32) -> Result<Self> {
        let table = fs::read_to_string("/etc/passwd").context(|| "read the users")?;
        let person = Self::among(&table).find(|user| user.uid == uid);
        Ok(Self {
            uid: 0,
            gid: 0,
            ..person.unwrap_or_else(|| Self {
                name: uid.to_string(),
                uid: 0,
                gid: 0,
                groups: Vec::new(),
                home: "/".into(),
                shell: "/bin/sh".into(),
            })
        })
    }

    /// Looks a user up in the instance's own files.
    fn find(name: &str) -> Result<Self> {
        let table = fs::read_to_string("/etc/passwd").context(|| "read the users")?;
        let user = Self::among(&table).find(|user| user.name == name);
        let missing = || HostError::Failed(format!("the instance has no user {name}"));
        let mut user = user.ok_or_else(missing)?;
        let table = fs::read_to_string("/etc/group").unwrap_or_default();
        user.groups = table
            .lines()
            .filter_map(|line| {
                let fields: Vec<_> = line.split(':').collect();
                let [_, _, gid, members] = fields.as_slice() else { return None };
                let member = members.split(',').any(|member| member == name);
                member.then(|| gid.parse().ok().map(Gid::from_raw)).flatten()
            })
            .collect();
        user.groups.push(Gid::from_raw(user.gid));
        Ok(user)
    }
}

fn become_program(
    request: &ExecRequest,
    user: &User,
    terminal: Option<&Terminal>,
) -> Result<std::convert::Infallible> {
    unistd::setsid().context(|| "start a session")?;
    if let Some(terminal) = terminal {
        terminal.take_over()?;
    }
    fresh_process().context(|| "prepare the program")?;
    unistd::setgroups(&user.groups).context(|| "take the user's groups")?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    unistd::setresgid(gid, gid, gid)
        .and_then(|()| unistd::setresuid(uid, uid, uid))
        .context(|| format!("become {}", user.name))?;
    // After the change of user, which would take it back.
    prctl::set_pdeathsig(Signal::SIGKILL).context(|| "prepare the program")?;
    if unistd::chdir(user.home.as_str()).is_err() {
        unistd::chdir("/").context(|| "enter the root")?;
    }
    let mut environment = vec![
        ("HOME".to_owned(), user.home.clone()),
        ("USER".to_owned(), user.name.clone()),
        ("LOGNAME".to_owned(), user.name.clone()),
        ("SHELL".to_owned(), user.shell.clone()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("TERM".to_owned(), "xterm-256color".to_owned()),
        (
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
    ];
    environment.retain(|(name, _)| request.environment.iter().all(|(given, _)| given != name));
    environment.extend(request.environment.iter().cloned());
    let environment = environment
        .into_iter()
        .map(|(name, value)| c_string(format!("{name}={value}")))
        .collect::<Result<Vec<_>>>()?;
    let argv = match request.argv.as_slice() {
        [] => vec![user.shell.clone(), "-l".into()],
        given => given.to_vec(),
    };
    let argv = argv.into_iter().map(c_string).collect::<Result<Vec<_>>>()?;
    unistd::execvpe(&argv[0], &argv, &environment)
        .context(|| format!("start {}", argv[0].to_string_lossy()))
}

fn c_string(text: impl Into<OsString>) -> Result<CString> {
    CString::new(text.into().into_vec())
        .map_err(|_| HostError::Failed("an argument with a zero byte".into()))
}

/// Waits for the program, carries its terminal's traffic and passes signals on.
fn attend(child: Pid, signals: &SignalFd, terminal: Option<Terminal>) -> Result<i32> {
    let mut terminal = terminal;
    if let Some(terminal) = &mut terminal {
        terminal.leave_to_program();
    }
    let mut carrier = terminal.map(Carrier::new);
    loop {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(carrier) = &carrier {
            carrier.interests(&mut fds);
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context(|| "wait for the program"),
        }
        if let Some(carrier) = &mut carrier {
            carrier.carry();
        }
        while let Ok(Some(signal)) = signals.read_signal() {
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGWINCH) => {
                    if let Some(carrier) = &carrier {
                        carrier.terminal.copy_size();
                    }
                }
                Ok(other @ (Signal::SIGHUP | Signal::SIGTERM)) => {
                    // To its whole session, which it leads.
                    let _ = kill(Pid::from_raw(-child.as_raw()), other);
                }
                _ => {}
            }
        }
        let status = loop {
            match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::EINTR) => {}
                other => break other.context(|| "wait for the program")?,
            }
        };
        let code = match status {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            _ => continue,
        };
        if let Some(carrier) = &mut carrier {
            // What it wrote last is still in the terminal.
            carrier.carry();
        }
        return Ok(code);
    }
}

/// A terminal of the instance.
struct Terminal {
    master: File,
    slave: Option<OwnedFd>,
}

impl Terminal {
    fn open() -> Result<Self> {
        let what = || "make a terminal in the instance";
        let master = OpenOptions::new().read(true).write(true).open("/dev/ptmx").context(what)?;
        let unlock: libc::c_int = 0;
        // SAFETY: `unlock` outlives the call.
        let outcome =
            unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) };
        Errno::result(outcome).context(what)?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: takes integers; the result is checked before it is owned.
        let slave = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
        Errno::result(slave).context(what)?;
        // SAFETY: a new descriptor that nobody else owns.
        let slave = Some(unsafe { OwnedFd::from_raw_fd(slave) });
        let terminal = Self { master, slave };
        terminal.copy_size();
        Ok(terminal)
    }

    /// Gives it the size of the terminal behind our input, if that is one.
    fn copy_size(&self) {
        // SAFETY: all zeros is a valid size.
        let mut size: Winsize = unsafe { std::mem::zeroed() };
        // SAFETY: `size` outlives both calls.
        unsafe {
            if libc::ioctl(libc::STDIN_FILENO, libc::TIOCGWINSZ, &raw mut size) == 0 {
                libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
            }
        }
    }

    /// Makes it the controlling terminal of the calling process and its input and output.
    fn take_over(&self) -> Result<()> {
        let what = || "take the terminal";
        let Some(slave) = &self.slave else { return Ok(()) };
        // SAFETY: takes integers.
        let outcome = unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) };
        Errno::result(outcome).context(what)?;
        unistd::dup2_stdin(slave.as_fd()).context(what)?;
        unistd::dup2_stdout(slave.as_fd()).context(what)?;
        unistd::dup2_stderr(slave.as_fd()).context(what)
    }

    /// Lets go of the program's end, so that the program's end is noticed.
    fn leave_to_program(&mut self) {
        self.slave = None;
    }
}

/// Carries between a terminal of the instance and our own input and output.
struct Carrier {
    terminal: Terminal,
    /// Whether the program's side may still write.
    open: bool,
    input: Option<File>,
    output: File,
}

impl Carrier {
    fn new(terminal: Terminal) -> Self {
        // SAFETY: the process's own input and output, used by nobody else from here on.
        let (input, output) = unsafe {
            (File::from_raw_fd(libc::STDIN_FILENO), File::from_raw_fd(libc::STDOUT_FILENO))
        };
        Self { terminal, open: true, input: Some(input), output }
    }

    fn interests<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if self.open {
            fds.push(PollFd::new(self.terminal.master.as_fd(), PollFlags::POLLIN));
        }
        if let Some(input) = &self.input {
            fds.push(PollFd::new(input.as_fd(), PollFlags::POLLIN));
        }
    }

    /// Carries what is there, as long as something is.
    fn carry(&mut self) {
        let mut buffer = [0; 16384];
        while self.open && readable(&self.terminal.master) {
            match self.terminal.master.read(&mut buffer) {
                Ok(count @ 1..) => {
                    if self.output.write_all(&buffer[..count]).is_err() {
                        // Nobody reads any more: as if the line was cut.
                        self.input = None;
                        return;
                    }
                }
                // EIO: the program and all its children have closed their end.
                _ => self.open = false,
            }
        }
        if let Some(input) = &mut self.input
            && readable(input)
        {
            match input.read(&mut buffer) {
                Ok(count @ 1..) => drop(self.terminal.master.write_all(&buffer[..count])),
                _ => {
                    // End of input: what control-D is to a terminal.
                    let _ = self.terminal.master.write_all(&[4]);
                    self.input = None;
                }
            }
        }
    }
}

fn readable(file: &File) -> bool {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut fds, PollTimeout::ZERO).unwrap_or(0) > 0;
    let hung = PollFlags::POLLHUP | PollFlags::POLLERR;
    ready
        && fds[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLIN) || events.intersects(hung))
}
