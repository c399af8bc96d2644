//! Control groups: how everything of a daemon is found again, bounded and killed.
//!
//! The version 2 hierarchy is the register: a process belongs to what its group says, which no
//! process can leave unasked and no pid reuse can fake. Limits come from version 2 controllers
//! where the machine has them there, else from the version 1 hierarchies of a hybrid machine.
//! There groups are made below the group of the caller, so that a limit set on the caller goes
//! on holding; the version 2 register is at the root, since a version 2 group with processes
//! cannot have children with controllers.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gureum_types::host::Limits;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    error::{Context, HostError, Result},
    tag::Tag,
};

const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
const CPU_PERIOD_US: u64 = 100_000;
const DYING: Duration = Duration::from_secs(10);

/// The hierarchies of this machine.
#[derive(Clone, Debug)]
pub struct Cgroups {
    tag: Tag,
    unified: PathBuf,
    /// Whether the version 2 hierarchy has all the controllers that limits need.
    unified_limits: bool,
    /// Version 1 controllers and where they are mounted.
    legacy: Vec<(&'static str, PathBuf)>,
}

impl Cgroups {
    /// Finds the hierarchies.
    pub fn find(tag: Tag) -> Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo").context(|| "read mountinfo")?;
        let mut unified = None;
        let mut legacy = Vec::new();
        for line in table.lines() {
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(point) = left.split(' ').nth(4) else { continue };
            let mut right = right.split(' ');
            match right.next() {
                Some("cgroup2") if unified.is_none() => unified = Some(PathBuf::from(point)),
                Some("cgroup") => {
                    let options = right.nth(1).unwrap_or_default();
                    for controller in CONTROLLERS {
                        if options.split(',').any(|option| option == controller) {
                            legacy.push((controller, PathBuf::from(point)));
                        }
                    }
                }
                _ => {}
            }
        }
        let unified = unified.ok_or_else(|| {
            HostError::Failed(
                "no cgroup2 file system is mounted; mount one with \
                 `mount -t cgroup2 none /sys/fs/cgroup/unified`"
                    .into(),
            )
        })?;
        let have = fs::read_to_string(unified.join("cgroup.controllers")).unwrap_or_default();
        let unified_limits =
            CONTROLLERS.iter().all(|name| have.split_ascii_whitespace().any(|have| have == *name));
        Ok(Self { tag, unified, unified_limits, legacy })
    }

    /// How limits are enforced here, for `doctor`.
    pub fn mode(&self) -> String {
        if self.unified_limits {
            return "cgroup v2".into();
        }
        let names: Vec<_> = self.legacy.iter().map(|(name, _)| *name).collect();
        format!("hybrid: cgroup v2 for processes, v1 for {}", names.join(", "))
    }

    /// The controllers that this machine has nowhere, so that what they bound stays unbounded.
    pub fn missing_controllers(&self) -> Vec<&'static str> {
        let has = |name: &str| {
            self.unified_limits || self.legacy.iter().any(|(legacy, _)| *legacy == name)
        };
        CONTROLLERS.into_iter().filter(|name| !has(name)).collect()
    }

    /// The group of that name below the daemon's own, as `anchor` or `i-0123/guest`.
    pub fn group(&self, name: &str) -> Group {
        Group { path: self.unified.join(self.tag.cgroup()).join(name) }
    }

    /// The group that holds all others.
    pub fn root(&self) -> Group {
        Group { path: self.unified.join(self.tag.cgroup()) }
    }

    /// The names of the groups right below the daemon's own.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.root().path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    /// Makes a group that bounds what is in it and returns every `cgroup.procs` that a process
    /// must write itself into to be bounded.
    pub fn make_bounded(&self, name: &str, limits: &Limits) -> Result<Vec<PathBuf>> {
        let group = self.group(name);
        group.create()?;
        let mut entrances = vec![group.path.join("cgroup.procs")];
        if self.unified_limits {
            self.enable_controllers(&group.path)?;
            set(&group.path, "memory.max", limits.memory_bytes)?;
            set(&group.path, "pids.max", limits.processes)?;
            set(&group.path, "cpu.max", format!("{} {CPU_PERIOD_US}", quota(limits)))?;
            return Ok(entrances);
        }
        for (controller, mount) in &self.legacy {
            let path = mount.join(own_legacy_group(controller)?).join(self.tag.cgroup()).join(name);
            fs::create_dir_all(&path).context(|| format!("make {}", path.display()))?;
            match *controller {
                "memory" => set(&path, "memory.limit_in_bytes", limits.memory_bytes)?,
                "cpu" => {
                    set(&path, "cpu.cfs_period_us", CPU_PERIOD_US)?;
                    set(&path, "cpu.cfs_quota_us", quota(limits))?;
                }
                _ => set(&path, "pids.max", limits.processes)?,
            }
            let entrance = path.join("cgroup.procs");
            if !entrances.contains(&entrance) {
                entrances.push(entrance);
            }
        }
        Ok(entrances)
    }

    /// Kills everything in a group, waits until it is dead and removes the group everywhere.
    pub fn destroy(&self, name: &str) -> Result<()> {
        let group = self.group(name);
        group.kill()?;
        group.wait_empty(DYING)?;
        group.remove()?;
        for place in self.legacy_places()? {
            Group { path: place.join(name) }.remove()?;
        }
        Ok(())
    }

    /// Kills and removes everything of the daemon.
    pub fn destroy_all(&self) -> Result<()> {
        let root = self.root();
        root.kill()?;
        root.wait_empty(DYING)?;
        root.remove()?;
        for place in self.legacy_places()? {
            Group { path: place }.remove()?;
        }
        Ok(())
    }

    /// Every group of the daemon that is there, in any hierarchy.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>> {
        let mut found = self.legacy_places()?;
        found.extend(Some(self.root().path).filter(|path| path.is_dir()));
        Ok(found)
    }

    /// The daemon's groups in the version 1 hierarchies. They are looked for, since an earlier
    /// daemon may have been started from another group than this one.
    fn legacy_places(&self) -> Result<Vec<PathBuf>> {
        fn walk(path: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
            let entries = match fs::read_dir(path) {
                // Groups of others come and go while we look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
                other => other?,
            };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if entry.file_name() == name {
                    found.push(entry.path());
                } else if depth > 0 {
                    walk(&entry.path(), name, depth - 1, found)?;
                }
            }
            Ok(())
        }
        let mut found = Vec::new();
        for (_, mount) in &self.legacy {
            walk(mount, &self.tag.cgroup(), 8, &mut found)
                .context(|| format!("look through {}", mount.display()))?;
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// A version 2 controller works in a group only when all groups above hand it down.
    fn enable_controllers(&self, path: &Path) -> Result<()> {
        let mut above: Vec<_> =
            path.ancestors().skip(1).take_while(|p| p.starts_with(&self.unified)).collect();
        above.reverse();
        for parent in above {
            for controller in CONTROLLERS {
                set(parent, "cgroup.subtree_control", format!("+{controller}"))?;
            }
        }
        Ok(())
    }
}

fn quota(limits: &Limits) -> u64 {
    (u64::from(limits.cpu_millis) * CPU_PERIOD_US / 1000).max(1000)
}

fn set(path: &Path, file: &str, value: impl ToString) -> Result<()> {
    let file = path.join(file);
    fs::write(&file, value.to_string()).context(|| format!("write {}", file.display()))
}

/// The calling process's group in a version 1 hierarchy, without the leading slash.
fn own_legacy_group(controller: &str) -> Result<PathBuf> {
    let table = fs::read_to_string("/proc/self/cgroup").context(|| "read /proc/self/cgroup")?;
    let path = table.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let names = parts.next()?;
        names.split(',').any(|name| name == controller).then(|| parts.next()).flatten()
    });
    Ok(PathBuf::from(path.unwrap_or_default().trim_start_matches('/')))
}

/// One group of the version 2 hierarchy.
#[derive(Clone, Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// The group at a path of the file system.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it and the groups above it.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.path).context(|| format!("make {}", self.path.display()))
    }

    /// Hands the group to `uid` and `gid`, so that an init running as them may make groups below.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            let path = self.path.join(file);
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                .context(|| format!("hand over {}", path.display()))?;
        }
        Ok(())
    }

    /// The processes right in it, not in groups below. Empty when it is not there.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        match fs::read_to_string(self.path.join("cgroup.procs")) {
            Err(error) if gone(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        }
    }

    /// Whether a living process is in it or below it.
    pub fn populated(&self) -> io::Result<bool> {
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Err(error) if gone(&error) => Ok(false),
            Err(error) => Err(error),
            Ok(text) => Ok(text.lines().any(|line| line == "populated 1")),
        }
    }

    /// Kills every process in it and below it.
    pub fn kill(&self) -> Result<()> {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            Err(error) if gone(&error) && !self.path.is_dir() => Ok(()),
            // Before Linux 5.14 there is no cgroup.kill: whoever forks faster than we look is
            // caught in the next round, and the dead are never signalled twice.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.kill_one_by_one(),
            other => other.context(|| format!("kill {}", self.path.display())),
        }
    }

    fn kill_one_by_one(&self) -> Result<()> {
        let until = Instant::now() + DYING;
        while self.populated().context(|| "look into a cgroup")? && Instant::now() < until {
            for group in self.tree() {
                for pid in (Self { path: group }).processes().context(|| "look into a cgroup")? {
                    let pid = nix::unistd::Pid::from_raw(pid);
                    // Gone in between is what we want.
                    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                }
            }
            self.wait_change(Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// Waits until no process is left in it.
    pub fn wait_empty(&self, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        while self.populated().context(|| format!("look into {}", self.path.display()))? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("processes of {} do not die", self.path.display());
                return Err(HostError::Failed(message));
            }
            self.wait_change(left.min(Duration::from_millis(100)))?;
        }
        Ok(())
    }

    fn wait_change(&self, patience: Duration) -> Result<()> {
        let Ok(events) = fs::File::open(self.path.join("cgroup.events")) else { return Ok(()) };
        // The read arms the notification, and must come after opening to not miss a change.
        if io::read_to_string(&events).is_ok_and(|text| text.contains("populated 0")) {
            return Ok(());
        }
        use std::os::fd::AsFd;
        let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).context(|| "wait for a cgroup"),
        }
    }

    /// Removes it and the groups below. They must be empty; those whose last process is just
    /// being buried are waited for.
    pub fn remove(&self) -> Result<()> {
        Self::remove_all(&self.tree())
    }

    /// Removes the groups below it.
    pub(crate) fn remove_below(&self) -> Result<()> {
        let mut below = self.tree();
        below.pop();
        Self::remove_all(&below)
    }

    fn remove_all(paths: &[PathBuf]) -> Result<()> {
        let until = Instant::now() + DYING;
        loop {
            let mut last = None;
            for path in paths {
                match fs::remove_dir(path) {
                    Err(error) if !gone(&error) => last = Some((path, error)),
                    _ => {}
                }
            }
            match last {
                None => return Ok(()),
                Some((path, error)) if Instant::now() > until => {
                    return Err(error).context(|| format!("remove {}", path.display()));
                }
                Some(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// It and all groups below, the deepest first.
    fn tree(&self) -> Vec<PathBuf> {
        fn walk(path: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    walk(&entry.path(), found);
                }
            }
            found.push(path.to_owned());
        }
        let mut found = Vec::new();
        walk(&self.path, &mut found);
        found
    }
}

/// Whether a group vanished while it was looked at.
fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}
