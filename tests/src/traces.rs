//! What a cloud leaves on the machine: processes, namespaces, cgroups, mounts, loop devices.
//!
//! Found without asking the program under test: from `/proc` and `/sys` alone.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::Cloud;

const KINDS: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// What a running cloud holds.
#[derive(Clone, Debug)]
pub struct Traces {
    data_dir: PathBuf,
    cgroup: String,
    /// Its processes, the daemon's included.
    pub processes: BTreeSet<i32>,
    /// The namespaces of those processes that are not ours, as `net:[4026532000]`.
    pub namespaces: BTreeSet<String>,
}

impl Traces {
    /// Looks at a running cloud.
    ///
    /// # Panics
    /// Where `/proc` cannot be read.
    pub fn of(cloud: &Cloud) -> Self {
        let status = cloud.status();
        let tag = status["tag"].as_str().expect("status has a tag");
        let cgroup = format!("gureum-{tag}");
        let mut processes: BTreeSet<i32> =
            cgroups(&cgroup).iter().flat_map(|it| members(it)).collect();
        processes.insert(cloud.daemon_pid());
        // A test may have moved one thread of ours to a machine of its own.
        let mut ours = namespaces_of(&PathBuf::from("/proc/self"));
        ours.extend(namespaces_of(&PathBuf::from("/proc/thread-self")));
        let theirs = processes.iter().flat_map(|pid| {
            let mut found = namespaces_of(&process(*pid));
            found.extend(held_by(&process(*pid)));
            found
        });
        let namespaces = theirs.filter(|it| !ours.contains(it)).collect();
        Self { data_dir: cloud.data_dir().to_owned(), cgroup, processes, namespaces }
    }

    /// What is still there, in words. Empty is what `down` promises.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for path in cgroups(&self.cgroup) {
            left.push(format!("cgroup {}", path.display()));
        }
        for pid in processes() {
            let folder = process(pid);
            let command = command(pid);
            if contains(&command, self.data_dir.as_os_str().as_bytes())
                && pid != i32::try_from(std::process::id()).unwrap_or(0)
            {
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                left.push(format!("process {pid}: {command}"));
            }
            for namespace in namespaces_of(&folder).intersection(&self.namespaces) {
                left.push(format!("process {pid} in {namespace}"));
            }
            for namespace in held_by(&folder).intersection(&self.namespaces) {
                left.push(format!("process {pid} holds {namespace}"));
            }
            let mounts = fs::read(folder.join("mountinfo")).unwrap_or_default();
            for line in mounts.split(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(line);
                let bound = self.namespaces.iter().any(|it| line.contains(it.as_str()));
                if bound || self.is_mount_inside(&line) {
                    left.push(format!("process {pid} has the mount {line}"));
                }
            }
        }
        for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
            let file = fs::read_to_string(entry.path().join("loop/backing_file"));
            if file.is_ok_and(|file| Path::new(file.trim()).starts_with(&self.data_dir)) {
                left.push(format!("loop device {}", entry.file_name().to_string_lossy()));
            }
        }
        left
    }

    /// Kills every process at once, as a power cut would.
    pub fn kill_everything(&self) {
        self.signal_everything(rustix::process::Signal::KILL);
        for folder in cgroups(&self.cgroup) {
            // Only version 2 groups have the file; their members were killed above as well.
            let _ = fs::write(folder.join("cgroup.kill"), "1");
        }
    }

    /// Asks every process to end, as a machine does that shuts down.
    pub fn ask_everything_to_end(&self) {
        self.signal_everything(rustix::process::Signal::TERM);
    }

    fn signal_everything(&self, signal: rustix::process::Signal) {
        // The daemon first: it would look for what happened to the others.
        let mut order: Vec<_> = self.processes.iter().copied().collect();
        order.sort_by_key(|pid| !contains(&command(*pid), b"--background"));
        for folder in cgroups(&self.cgroup) {
            order.extend(members(&folder));
        }
        for pid in order.into_iter().filter_map(rustix::process::Pid::from_raw) {
            // One that is dead by now is what we want.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Those of its processes that live.
    pub fn alive(&self) -> Vec<i32> {
        let members = cgroups(&self.cgroup).into_iter().flat_map(|it| members(&it));
        let known = self.processes.iter().copied();
        members.chain(known.filter(|pid| is_alive(*pid))).collect()
    }

    /// A mount below the data directory, or whose file system is made of something there. The
    /// directory itself may be a mount of the test's.
    fn is_mount_inside(&self, line: &str) -> bool {
        let below = format!("{}/", self.data_dir.display());
        line.contains(&below)
    }
}

/// The names of the links of the host's own namespace.
///
/// # Panics
/// Where there is no `/sys`.
pub fn host_links() -> BTreeSet<String> {
    let entries = fs::read_dir("/sys/class/net").expect("/sys/class/net");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Every process.
fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn process(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

fn namespaces_of(process: &Path) -> BTreeSet<String> {
    let link = |kind: &&str| fs::read_link(process.join("ns").join(kind)).ok();
    KINDS.iter().filter_map(link).map(|it| it.to_string_lossy().into_owned()).collect()
}

/// The namespaces that a process has open as files.
fn held_by(process: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let names = targets.map(|target| target.to_string_lossy().into_owned());
    names.filter(|it| KINDS.iter().any(|kind| it.starts_with(&format!("{kind}:[")))).collect()
}

/// The folders of that name in all cgroup hierarchies, and those below them.
pub(crate) fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(PathBuf::from("/sys/fs/cgroup"), false)];
    while let Some((folder, inside)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let inside = inside || entry.file_name() == name;
            if inside {
                found.push(entry.path());
            }
            folders.push((entry.path(), inside));
        }
    }
    found
}

/// The processes of all cgroups of that name and below them.
pub fn processes_of(cgroup: &str) -> BTreeSet<i32> {
    cgroups(cgroup).iter().flat_map(|it| members(it)).collect()
}

/// The processes right in a cgroup.
pub(crate) fn members(cgroup: &Path) -> Vec<i32> {
    let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The command line of a process, with its zero bytes.
fn command(pid: i32) -> Vec<u8> {
    fs::read(process(pid).join("cmdline")).unwrap_or_default()
}

/// Whether a process lives; one that waits for its parent to look does not.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(process(pid).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
