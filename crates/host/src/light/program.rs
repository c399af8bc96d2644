//! A program of the machine run in the network of a light host, which has no files of its own: as
//! the person who started the cloud outside, as root of the host's namespaces inside.

use std::{fs, path::PathBuf};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    unistd::sethostname,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Context, Result},
    internet::{InternetView, change_files},
    shim::boot::become_root_inside,
    supervisor::{self, join_group},
};

/// Where a program goes, and what it sees differently there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The network namespace.
    pub(crate) network: PathBuf,
    /// The user namespace that owns it.
    pub(crate) user: PathBuf,
    /// Every `cgroup.procs` that the program is written into.
    pub(crate) entrances: Vec<PathBuf>,
    /// What the host is called.
    pub(crate) hostname: String,
    /// The contents of `/etc/resolv.conf`.
    pub(crate) resolv_conf: String,
    /// The file of trusted certificates, where not the machine's.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Whose program it is on the machine.
    pub(crate) uid: u32,
}

/// Moves this process, which must have one thread and be root, into a light host.
pub(crate) fn enter(place: &Place) -> Result<()> {
    let open = |path: &PathBuf| {
        fs::File::open(path).context(|| "the instance is not running: find its namespaces")
    };
    let (user, network) = (open(&place.user)?, open(&place.network)?);
    supervisor::go_before_init_under_memory_pressure();
    for entrance in &place.entrances {
        join_group(entrance)?;
    }
    let ca_bundle = place.ca_bundle.as_ref();
    let ca_bundle = ca_bundle.map(fs::read).transpose().context(|| "read the certificates")?;
    setns(&network, CloneFlags::CLONE_NEWNET).context(|| "enter the network")?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .context(|| "make a mount namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .context(|| "keep mounts to ourselves")?;
    let resolv_conf = place.resolv_conf.clone();
    change_files(&InternetView { resolv_conf, ca_bundle, ..InternetView::default() })?;
    // Programs that look for links there shall find those of this network.
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("sysfs"), "/sys", Some("sysfs"), flags, none).context(|| "mount /sys")?;
    sethostname(&place.hostname).context(|| "set the host name")?;
    // At last: the mounts belong to the machine, and nobody in there may change them.
    setns(&user, CloneFlags::CLONE_NEWUSER).context(|| "enter the user namespace")?;
    become_root_inside()
}
