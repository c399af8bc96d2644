//! The anchor: one small process that holds the fabric, services and internet namespaces.
//!
//! Without it they would vanish with the daemon, and every link with them. It does nothing: it
//! keeps four descriptors at fixed numbers, where a new daemon finds them through its cgroup.
//! The internet lives in a user namespace owned by the person who called sudo, so that this
//! person's processes may enter it without root; nobody else is mapped there, root least of all.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::fd::{OwnedFd, RawFd},
    path::Path,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::wait::waitpid,
    unistd::{self, ForkResult, Gid, Pid, Uid},
};

use crate::{
    cgroup::Cgroups,
    error::{Context, HostError, Result},
    namespace::Namespace,
    supervisor::{self, Program},
};

/// The name of the anchor's group.
pub(crate) const GROUP: &str = "anchor";

const FABRIC: RawFd = 10;
const SERVICES: RawFd = 11;
const INTERNET_USER: RawFd = 12;
const INTERNET: RawFd = 13;

/// Who may enter the simulated internet without root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Owner {
    /// The person who called sudo, or else the caller.
    pub fn caller() -> Self {
        let of = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
        match (of("SUDO_UID"), of("SUDO_GID")) {
            (Some(uid), Some(gid)) => Self { uid, gid },
            _ => Self { uid: Uid::current().as_raw(), gid: Gid::current().as_raw() },
        }
    }

    /// The map of the user namespace: this person alone. Root maps everybody to themselves.
    fn map(id: u32) -> String {
        if id == 0 { "0 0 4294967295\n".into() } else { format!("{id} {id} 1\n") }
    }
}

/// The three namespaces of a cloud.
#[derive(Debug)]
pub struct Namespaces {
    /// Where the ports are.
    pub fabric: Namespace,
    /// Where the services of the VPCs listen.
    pub services: Namespace,
    /// The simulated internet.
    pub internet: Namespace,
    /// The user namespace that owns the internet.
    pub internet_user: OwnedFd,
}

impl Namespaces {
    /// Finds the running anchor's namespaces.
    pub fn find(cgroups: &Cgroups) -> Result<Option<Self>> {
        let processes = cgroups.group(GROUP).processes().context(|| "look for the anchor")?;
        let Some(pid) = processes.first() else { return Ok(None) };
        let path = |fd: RawFd| format!("/proc/{pid}/fd/{fd}");
        let open = || -> io::Result<Self> {
            Ok(Self {
                fabric: Namespace::open(path(FABRIC))?,
                services: Namespace::open(path(SERVICES))?,
                internet: Namespace::open(path(INTERNET))?,
                internet_user: fs::File::open(path(INTERNET_USER))?.into(),
            })
        };
        match open() {
            Ok(found) => Ok(Some(found)),
            // An anchor that died half made, or is dying.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(|| "open the anchor's namespaces"),
        }
    }

    /// Finds the namespaces or starts an anchor that makes them. Returns whether it was started.
    pub fn ensure(
        cgroups: &Cgroups,
        program: &Program,
        owner: Owner,
        log: &Path,
    ) -> Result<(Self, bool)> {
        if let Some(found) = Self::find(cgroups)? {
            return Ok((found, false));
        }
        let group = cgroups.group(GROUP);
        group.kill()?;
        group.create()?;
        let procs = group.path().join("cgroup.procs");
        let (uid, gid) = (owner.uid.to_string(), owner.gid.to_string());
        let arguments = [procs.as_os_str(), OsStr::new(&uid), OsStr::new(&gid)];
        program.launch("anchor", &arguments, log)?;
        let found = Self::find(cgroups)?;
        Ok((found.ok_or_else(|| HostError::Failed("the anchor died at once".into()))?, true))
    }
}

/// The body of the hidden subcommand `anchor`: its arguments are what [`Namespaces::ensure`]
/// gives. It must be called before the process has a second thread. It returns only on error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    supervisor::detach("gureum-anchor").context(|| "detach")?;
    let outcome = set_up(&arguments);
    supervisor::report(outcome.as_ref().err()).context(|| "report")?;
    outcome?;
    loop {
        unistd::pause();
    }
}

fn set_up(arguments: &[OsString]) -> Result<()> {
    let usage = || HostError::Failed("usage: anchor CGROUP-PROCS UID GID".into());
    let [procs, uid, gid] = arguments else { return Err(usage()) };
    let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u32>().ok());
    let owner = Owner { uid: number(uid).ok_or_else(usage)?, gid: number(gid).ok_or_else(usage)? };
    supervisor::join_group(Path::new(procs))?;
    supervisor::survive_memory_pressure();
    for place in [FABRIC, SERVICES] {
        unshare(CloneFlags::CLONE_NEWNET).context(|| "make a network namespace")?;
        supervisor::keep("/proc/self/ns/net", place)?;
    }
    make_internet(owner)
}

/// Makes the internet's user and network namespaces through a child that becomes the owner, for
/// a user namespace belongs to whoever makes it.
fn make_internet(owner: Owner) -> Result<()> {
    let (made_read, made_write) = unistd::pipe().context(|| "make a pipe")?;
    let (done_read, done_write) = unistd::pipe().context(|| "make a pipe")?;
    // SAFETY: this process has one thread.
    match unsafe { unistd::fork() }.context(|| "fork")? {
        ForkResult::Child => {
            drop((made_read, done_write));
            let answer = become_owner(owner).map_or_else(|error| error as u8, |()| 0);
            let _ = unistd::write(&made_write, &[answer]);
            // Until the parent holds the namespaces.
            let _ = unistd::read(&done_read, &mut [0]);
            // SAFETY: ends this half at once.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop((made_write, done_read));
            let mut answer = [0xff];
            let length = unistd::read(&made_read, &mut answer).context(|| "wait for a child")?;
            let outcome = match (length, answer[0]) {
                (1, 0) => hold_internet(child, owner),
                (1, errno) => Err(io::Error::from_raw_os_error(errno.into()))
                    .context(|| "make the namespaces of the internet"),
                _ => Err(HostError::Failed("the maker of the internet died".into())),
            };
            drop(done_write);
            waitpid(child, None).context(|| "wait for a child")?;
            outcome
        }
    }
}

fn become_owner(owner: Owner) -> nix::Result<()> {
    // Root's capabilities are kept over the change of user: systems that restrict user
    // namespaces of ordinary users would refuse otherwise.
    const SECBIT_NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;
    // SAFETY: takes integers only.
    let outcome = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) };
    nix::errno::Errno::result(outcome)?;
    unistd::setgroups(&[])?;
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    unistd::setresgid(gid, gid, gid)?;
    unistd::setresuid(uid, uid, uid)?;
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
}

fn hold_internet(child: Pid, owner: Owner) -> Result<()> {
    let path = |file: &str| format!("/proc/{child}/{file}");
    fs::write(path("uid_map"), Owner::map(owner.uid)).context(|| "map the owner's user")?;
    fs::write(path("gid_map"), Owner::map(owner.gid)).context(|| "map the owner's group")?;
    supervisor::keep(&path("ns/user"), INTERNET_USER)?;
    supervisor::keep(&path("ns/net"), INTERNET)
}
