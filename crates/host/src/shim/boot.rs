//! One boot of an instance: from the layers to process 1, as `images/README.md` says.
//!
//! The machine's root mounts what only it may mount (overlay, devices); then a child enters the
//! instance's user and network namespaces, makes the others, which belong to that user
//! namespace, and becomes init. What it does until then it does as root of the instance only.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{
        resource::{Resource, setrlimit},
        signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction},
        stat::{Mode, umask},
        wait::waitpid,
    },
    unistd::{self, ForkResult, Gid, Pid, Uid},
};

use super::{
    config::{Config, DISK_MOUNT, ROOT_MOUNT},
    console::Console,
};
use crate::{
    error::{Context, HostError, Result},
    supervisor::{self, join_group},
};

/// Nodes of the machine that an instance sees as its own.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// The namespaces that an instance keeps over reboots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    pub(super) user: BorrowedFd<'a>,
    pub(super) network: BorrowedFd<'a>,
}

/// Boots. Returns init's number once it has become init.
pub(super) fn boot(
    folder: &Path,
    config: &Config,
    kept: Kept<'_>,
    console: &Console,
) -> Result<Pid> {
    let root = folder.join(ROOT_MOUNT);
    mount_root(folder, config, &root)?;
    mount_devices(config, &root.join("dev"), &console.slave)?;
    let (report, reporter) = pipe()?;
    let (number, numberer) = pipe()?;
    // SAFETY: a shim has one thread.
    match unsafe { unistd::fork() }.context(|| "fork")? {
        ForkResult::Child => {
            drop((report, number));
            let outcome = stand_in(folder)
                .and_then(|()| enter_namespaces(config, kept))
                .and_then(|()| become_init(config, &numberer));
            if let Err(error) = outcome {
                let _ = unistd::write(&reporter, error.to_string().as_bytes());
            }
            // SAFETY: ends this half at once.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop((reporter, numberer));
            waitpid(child, None).context(|| "wait for a child")?;
            let mut complaint = String::new();
            File::from(report).read_to_string(&mut complaint).context(|| "listen to a child")?;
            if !complaint.is_empty() {
                return Err(HostError::Failed(complaint));
            }
            let mut bytes = [0; 4];
            File::from(number).read_exact(&mut bytes).context(|| "learn init's number")?;
            Ok(Pid::from_raw(i32::from_ne_bytes(bytes)))
        }
    }
}

/// Takes the mounts of a boot away, from the shim's namespace; the guest's is gone with it.
pub(super) fn clear(folder: &Path) {
    // Nothing mounted is fine.
    let _ = umount2(&folder.join(ROOT_MOUNT), MntFlags::MNT_DETACH);
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).context(|| "make a pipe")
}

/// Puts the disk over the layers. A new disk gets its first files.
fn mount_root(folder: &Path, config: &Config, root: &Path) -> Result<()> {
    let disk = folder.join(DISK_MOUNT);
    let (upper, work) = (disk.join("upper"), disk.join("work"));
    if !upper.exists() {
        let new = disk.join("new");
        seed(&new, config).context(|| "write the first files of the disk")?;
        fs::create_dir_all(&work).context(|| "prepare the disk")?;
        // A power cut must not leave the name without what is behind it: nobody would seed again.
        File::open(&new)
            .and_then(|folder| Ok(unistd::syncfs(&folder)?))
            .and_then(|()| fs::rename(&new, &upper))
            .context(|| "prepare the disk")?;
    }
    // By descriptor, since a path may hold the characters that separate layers and options.
    let open = |path: &Path| File::open(path).context(|| format!("open {}", path.display()));
    let by_fd = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    let layers = config.layers.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let (upper, work) = (open(&upper)?, open(&work)?);
    let lower: Vec<_> = layers.iter().map(by_fd).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=on,metacopy=on",
        lower.join(":"),
        by_fd(&upper),
        by_fd(&work),
    );
    mount(Some("gureum"), root, Some("overlay"), MsFlags::empty(), Some(&*options))
        .context(|| "mount the overlay")
}

fn seed(upper: &Path, config: &Config) -> io::Result<()> {
    let owner = Some(config.id_base);
    let folder = |path: &Path| match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => chown(path, owner, owner),
    };
    folder(upper)?;
    for file in &config.seed {
        let inside = Path::new(file.path.trim_start_matches('/'));
        let mut path = upper.to_owned();
        for part in inside.parent().into_iter().flatten() {
            path.push(part);
            folder(&path)?;
        }
        let path = upper.join(inside);
        fs::write(&path, &file.contents)?;
        chown(&path, owner, owner)?;
    }
    Ok(())
}

fn mount_devices(config: &Config, dev: &Path, console: &Path) -> Result<()> {
    let base = config.id_base;
    let what = || "prepare /dev";
    let options = format!("mode=755,size=64k,uid={base},gid={base}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("dev"), dev, Some("tmpfs"), flags, Some(&*options)).context(what)?;
    let bind = |from: &Path, name: &str| -> Result<()> {
        let to = dev.join(name);
        File::create(&to).context(what)?;
        mount(Some(from), &to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .context(|| format!("give the instance /dev/{name}"))
    };
    for node in NODES {
        bind(&Path::new("/dev").join(node), node)?;
    }
    bind(console, "console")?;
    for name in ["pts", "shm", "mqueue"] {
        let path = dev.join(name);
        fs::create_dir(&path).context(what)?;
        chown(&path, Some(base), Some(base)).context(what)?;
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).context(what)?;
    }
    Ok(())
}

/// Makes the instance's folder the working directory. The folders above it may be closed to
/// whom a process in the instance's user namespace is on the machine: nobody in particular.
fn stand_in(folder: &Path) -> Result<()> {
    let what = || format!("enter {}", folder.display());
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).context(what)?;
    unistd::chdir(folder).context(what)
}

fn enter_namespaces(config: &Config, kept: Kept<'_>) -> Result<()> {
    for entrance in &config.guest_entrances {
        join_group(entrance)?;
    }
    supervisor::be_last_under_memory_pressure();
    setns(kept.user, CloneFlags::CLONE_NEWUSER).context(|| "enter the user namespace")?;
    setns(kept.network, CloneFlags::CLONE_NEWNET).context(|| "enter the network namespace")?;
    let rest = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(rest).context(|| "make the namespaces of a boot")
}

/// Leaves the machine's root user, who is nobody here, for the instance's.
pub(crate) fn become_root_inside() -> Result<()> {
    // The machine's session keyring may hold keys of whoever started the daemon.
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let what = || "become the instance's root";
    unistd::setgroups(&[]).context(what)?;
    unistd::setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).context(what)?;
    unistd::setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).context(what)?;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: takes an integer and a null pointer, which asks for an anonymous keyring. Kernels
    // without keys refuse, which is as good.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, none) };
    Ok(())
}

/// Forks process 1, as a child of the shim, and has it become init.
fn become_init(config: &Config, numberer: &OwnedFd) -> Result<()> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: a fork without shared memory, of a process with one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match Errno::result(pid).context(|| "fork process 1")? {
        0 => match run_init(config) {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
        pid => {
            // It fits: process numbers are below 2^22.
            let bytes = (pid as i32).to_ne_bytes();
            unistd::write(numberer, &bytes).context(|| "tell init's number")?;
            Ok(())
        }
    }
}

/// Becomes init. The working directory is the instance's folder.
fn run_init(config: &Config) -> Result<std::convert::Infallible> {
    let root = ROOT_MOUNT;
    let what = || "prepare the instance's root";
    unistd::setsid().context(what)?;
    umask(Mode::empty());
    let none = None::<&str>;
    // What came from the parent namespace is locked and cannot be pivoted to: bind it over itself.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context(what)?;
    mount(Some(root), root, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).context(what)?;
    unistd::chdir(root).context(what)?;
    become_root_inside()?;
    let strict = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for (path, kind, flags, options) in [
        ("proc", "proc", strict, ""),
        ("sys", "sysfs", strict | MsFlags::MS_RDONLY, ""),
        ("sys/fs/cgroup", "cgroup2", strict, ""),
        (
            "dev/pts",
            "devpts",
            MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
            "newinstance,ptmxmode=0666,mode=620,gid=5",
        ),
        ("dev/shm", "tmpfs", plain, "mode=1777"),
        ("dev/mqueue", "mqueue", strict, ""),
        ("run", "tmpfs", plain, "mode=755"),
        ("tmp", "tmpfs", plain, "mode=1777"),
    ] {
        mount(Some(kind), path, Some(kind), flags, Some(options))
            .context(|| format!("mount {kind} on /{path}"))?;
    }
    for path in ["proc/sysrq-trigger", "proc/irq", "proc/bus"] {
        if !Path::new(path).exists() {
            continue;
        }
        mount(Some(path), path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).context(what)?;
        let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | strict;
        mount(none, path, none, read_only, none).context(what)?;
    }
    unistd::sethostname(&config.hostname).context(|| "set the host name")?;
    unistd::pivot_root(".", ".").context(|| "enter the instance's root")?;
    umount2(".", MntFlags::MNT_DETACH).context(|| "leave the machine's root")?;
    unistd::chdir("/").context(what)?;

    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/console")
        .context(|| "open the console")?;
    unistd::dup2_stdin(console.as_fd()).context(what)?;
    unistd::dup2_stdout(console.as_fd()).context(what)?;
    unistd::dup2_stderr(console.as_fd()).context(what)?;
    fresh_process().context(what)?;
    let init = c_string(config.init.as_os_str().as_encoded_bytes())?;
    let environment = ["container=gureum", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux"];
    let environment =
        environment.iter().map(|text| c_string(text.as_bytes())).collect::<Result<Vec<_>>>()?;
    unistd::execve(&init, &[&init], &environment)
        .context(|| format!("start {}", config.init.display()))
}

fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| HostError::Failed("a path with a zero byte".into()))
}

/// Gives the process what a first process has: no inherited signals, limits or descriptors.
pub(crate) fn fresh_process() -> nix::Result<()> {
    for signal in Signal::iterator() {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            continue;
        }
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action runs no code of ours.
        unsafe { sigaction(signal, &default) }?;
    }
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    umask(Mode::from_bits_truncate(0o022));
    setrlimit(Resource::RLIMIT_NOFILE, 1024, 524_288).or_else(|_| {
        // Where the machine allows less, what it allows.
        let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(1024), hard)
    })?;
    // Everything from 3 on closes at exec.
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: takes integers; nothing but exec follows that uses a descriptor.
    let outcome = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    match Errno::result(outcome) {
        // Before Linux 5.11: all descriptors of ours are made with close-on-exec but the kept ones.
        Err(Errno::ENOSYS | Errno::EINVAL) => close_one_by_one(),
        other => other.map(drop),
    }
}

fn close_one_by_one() -> nix::Result<()> {
    for fd in 3..1024 {
        // SAFETY: sets a flag of a descriptor, or fails where there is none.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}
