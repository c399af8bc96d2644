//! What a shim is told: one file in the instance's folder, written by the daemon before it starts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file of a [`Config`] in the instance's folder.
pub(crate) const CONFIG: &str = "shim.json";
/// The file of a [`State`].
pub(crate) const STATE: &str = "state.json";
/// The pipe through which a shim takes orders.
pub(crate) const CONTROL: &str = "control";
/// The disk: a sparse ext4 image.
pub(crate) const DISK: &str = "disk.img";
/// Where the shim mounts the disk, in its own mount namespace.
pub(crate) const DISK_MOUNT: &str = "disk";
/// Where the shim mounts the machine's root, in its own mount namespace.
pub(crate) const ROOT_MOUNT: &str = "root";
/// The newest console output, and beside it what came before, with `.1`.
pub(crate) const CONSOLE: &str = "console.log";

/// Everything a shim needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    /// The instance's id, for messages.
    pub(crate) id: String,
    /// Which start of the instance this is.
    pub(crate) start: u32,
    /// The `cgroup.procs` file of the shim's own group.
    pub(crate) own_group: PathBuf,
    /// The guest's group in the version 2 hierarchy.
    pub(crate) guest_group: PathBuf,
    /// Every `cgroup.procs` that the guest's first process writes itself into.
    pub(crate) guest_entrances: Vec<PathBuf>,
    /// The read-only layers, topmost first.
    pub(crate) layers: Vec<PathBuf>,
    /// The ids that the guest's 0 to `id_count` are on the machine.
    pub(crate) id_base: u32,
    /// How many.
    pub(crate) id_count: u32,
    /// The host name before the guest sets its own.
    pub(crate) hostname: String,
    /// What is written to a new disk before the first start.
    pub(crate) seed: Vec<SeedFile>,
    /// The program that becomes process 1.
    pub(crate) init: PathBuf,
}

/// A file of a new disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeedFile {
    /// Its absolute path in the instance.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) contents: String,
}

/// How far a shim says its guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// The namespaces are there, the guest waits for its links.
    Waiting,
    /// A boot is under way.
    Booting,
    /// Init runs.
    Running,
    /// The guest is switched off, in order.
    Off,
    /// The guest could not be booted or its init died.
    Died,
}

/// What a shim last wrote about its guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) start: u32,
    pub(crate) phase: Phase,
    /// Init's number on the machine, when running. To be believed only with a look at its group.
    pub(crate) init: i32,
    /// Boots of this start, reboots included.
    pub(crate) boots: u32,
    /// Why it died.
    pub(crate) reason: String,
    /// Whether that it is off is no news: it was ordered, or noticed and acted on since.
    #[serde(default)]
    pub(crate) expected: bool,
    /// The boot of the machine in which this was written.
    #[serde(default)]
    pub(crate) boot_id: String,
}

impl State {
    /// Whether the guest switched itself off in that boot of the machine, and nobody acted on it.
    /// In a later one it is off because the machine was.
    pub(crate) fn is_off_by_itself(&self, boot_id: &str) -> bool {
        self.phase == Phase::Off && !self.expected && self.boot_id == boot_id
    }
}

/// Reads a JSON file of an instance's folder.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> std::io::Result<T> {
    serde_json::from_slice(&std::fs::read(path)?).map_err(std::io::Error::other)
}

/// Replaces a JSON file of an instance's folder; a reader sees the old or the new one.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(value).map_err(std::io::Error::other)?)?;
    std::fs::rename(new, path)
}
