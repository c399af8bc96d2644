//! A cloud on this machine: its namespaces, its data path and its instances, taken over or made.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use gureum_engine::{Limits, Policy};
use nix::unistd::Uid;

use crate::{
    anchor::{Namespaces, Owner},
    cgroup::Cgroups,
    connect,
    datapath::{self, DataPath},
    error::{Context, HostError, Result},
    fabric::{self, InternetSettings},
    instance::{CloudFile, Inbox, Instances, Kind, Settings, Wake},
    internet::InternetNamespaces,
    light, limits,
    supervisor::Program,
    tag::Tag,
    uplink::{self, Uplink},
    windows::Windows,
};

/// The file below the data directory that keeps tracked flows over the death of a daemon.
const JOURNAL: &str = "state/flows";
/// The directory below it with what was counted for flow logs.
const WINDOWS: &str = "flow-logs";

/// What a cloud is opened with.
#[derive(Debug)]
pub struct CloudConfig {
    /// Where its data is; it must exist.
    pub data_dir: PathBuf,
    /// Where machine images are.
    pub images_dir: PathBuf,
    /// The program with the hidden subcommands.
    pub program: Program,
    /// Who may enter the simulated internet without root.
    pub owner: Owner,
    /// What the simulated internet is made of.
    pub internet: InternetSettings,
    /// Whether the simulated internet is connected to the machine's network.
    pub uplink: bool,
    /// What new instances are.
    pub kind: Kind,
    /// The file of certificates that programs in light hosts trust, instead of the machine's.
    pub ca_bundle: Option<PathBuf>,
    /// Files that all instances have in common.
    pub cloud_files: Vec<CloudFile>,
    /// The policy to begin with. It should be the last one, or flows would meet an empty cloud.
    pub policy: Arc<Policy>,
    /// Bounds of the engine's state.
    pub limits: Limits,
}

/// A cloud on this machine. Dropping it stops forwarding and touches nothing else: namespaces,
/// links and instances stay for the next daemon.
#[derive(Debug)]
pub struct Cloud {
    tag: Tag,
    data_dir: PathBuf,
    cgroups: Cgroups,
    namespaces: Namespaces,
    datapath: Arc<DataPath>,
    windows: Arc<Windows>,
    instances: Arc<Instances>,
    uplink: Option<Uplink>,
}

impl Cloud {
    /// Takes over what is there of the cloud and makes what is missing.
    pub fn open(config: CloudConfig) -> Result<Self> {
        if !Uid::effective().is_root() {
            return Err(HostError::Failed(
                "namespaces and packet sockets need root: run with sudo".into(),
            ));
        }
        let data_dir = fs::canonicalize(&config.data_dir)
            .context(|| format!("find {}", config.data_dir.display()))?;
        let tag = Tag::of(&data_dir).context(|| format!("find {}", data_dir.display()))?;
        let cgroups = Cgroups::find(tag)?;
        for raised in limits::raise() {
            let limits::Raised { name, from, to, why, done } = raised;
            if done {
                tracing::info!("raised {name} from {from} to {to}: {why}");
            } else {
                tracing::warn!(
                    "{name} is {from} and should be {to} ({why}): sysctl -w {name}={to}"
                );
            }
        }
        for missing in cgroups.missing_controllers() {
            tracing::warn!("this machine has no cgroup controller `{missing}`: not bounded");
        }
        let state = data_dir.join("state");
        fs::create_dir_all(&state).context(|| format!("make {}", state.display()))?;
        let log = state.join("anchor.log");
        let (namespaces, are_new) =
            Namespaces::ensure(&cgroups, &config.program, config.owner, &log)?;
        if !config.uplink {
            uplink::close(&cgroups, &namespaces)?;
        }
        fabric::configure(&namespaces, &config.internet)?;
        connect::clean_up(&namespaces.internet)?;
        let uplink =
            config.uplink.then(|| Uplink::open(&cgroups, &namespaces, state.join("uplink.log")));
        let uplink = uplink.transpose()?;

        let windows = Arc::new(Windows::open(&data_dir.join(WINDOWS))?);
        let inbox = Inbox::new()?;
        let waker = inbox.waker();
        let datapath = Arc::new(DataPath::start_watched(
            &namespaces.fabric,
            config.policy,
            datapath::Settings {
                journal: Some(data_dir.join(JOURNAL)),
                windows: Some(windows.clone()),
                limits: config.limits,
                // Nothing is connected to a fabric that was just made.
                takes_over: !are_new,
            },
            Box::new(move |port| waker.wake(Wake::LinkLost(port))),
        )?);
        let settings = Settings {
            data: data_dir.clone(),
            images: config.images_dir,
            program: config.program,
            cloud_files: config.cloud_files,
            cgroups: cgroups.clone(),
            fabric: namespaces.fabric.try_clone().context(|| "keep the fabric")?,
            datapath: datapath.clone(),
            kind: config.kind,
            owner: config.owner,
            ca_bundle: config.ca_bundle,
        };
        let instances = Instances::new(settings, inbox)?;
        Ok(Self { tag, data_dir, cgroups, namespaces, datapath, windows, instances, uplink })
    }

    /// The cloud's mark on the machine.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// The data path.
    pub fn datapath(&self) -> &Arc<DataPath> {
        &self.datapath
    }

    /// What the data path counted for flow logs.
    pub fn windows(&self) -> &Arc<Windows> {
        &self.windows
    }

    /// The instances.
    pub fn instances(&self) -> &Arc<Instances> {
        &self.instances
    }

    /// The way out of the simulated internet, where there is one.
    pub fn uplink(&self) -> Option<&Uplink> {
        self.uplink.as_ref()
    }

    /// The namespaces, in which servers may listen.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// The way into the simulated internet, for a process of its owner.
    pub fn internet_namespaces(&self) -> Result<InternetNamespaces> {
        let what = || "hand out the internet";
        Ok(InternetNamespaces {
            user: self.namespaces.internet_user.try_clone().context(what)?,
            network: self.namespaces.internet.try_clone().context(what)?.into(),
        })
    }

    /// Switches all instances off and removes everything but the data: processes, namespaces,
    /// links, mounts, groups. Instances have `patience` to shut down in order.
    pub fn down(&self, patience: Duration) -> Result<()> {
        self.instances.switch_all_off(patience)?;
        if let Some(uplink) = &self.uplink {
            uplink.let_go();
        }
        remove(self.tag, &self.data_dir, &self.cgroups)
    }
}

/// Removes everything of the cloud of a data directory whose daemon is dead, but the data.
/// Instances have no time to shut down.
pub fn down(data_dir: &Path) -> Result<()> {
    let data_dir = fs::canonicalize(data_dir).context(|| format!("find {}", data_dir.display()))?;
    let tag = Tag::of(&data_dir).context(|| format!("find {}", data_dir.display()))?;
    remove(tag, &data_dir, &Cgroups::find(tag)?)
}

fn remove(tag: Tag, data_dir: &Path, cgroups: &Cgroups) -> Result<()> {
    cgroups.destroy_all()?;
    // The flows were those of hosts that are off now; their next boot begins with none. The socket
    // was of a process that is dead.
    for file in [data_dir.join(JOURNAL), data_dir.join("state").join(light::SOCKET)] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context(|| format!("remove {}", file.display()));
            }
            _ => {}
        }
    }
    // The kernel takes mounts and loop devices of dead namespaces away on its own time.
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let left = leftovers_of(tag, data_dir, cgroups)?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(HostError::Failed(format!("left behind: {}", left.join(", "))));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// What is on the machine of the cloud of a data directory besides its data, in words.
pub fn leftovers(data_dir: &Path) -> Result<Vec<String>> {
    let data_dir = fs::canonicalize(data_dir).context(|| format!("find {}", data_dir.display()))?;
    let tag = Tag::of(&data_dir).context(|| format!("find {}", data_dir.display()))?;
    leftovers_of(tag, &data_dir, &Cgroups::find(tag)?)
}

fn leftovers_of(tag: Tag, data_dir: &Path, cgroups: &Cgroups) -> Result<Vec<String>> {
    let groups = cgroups.leftovers()?;
    let mut found: Vec<_> =
        groups.iter().map(|path| format!("cgroup {}", path.display())).collect();
    found.extend(supervisors(tag, data_dir).context(|| "look through processes")?);
    let mounts = fs::read_to_string("/proc/self/mountinfo").context(|| "read mountinfo")?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let inside = points.filter(|point| {
        let below = Path::new(point).strip_prefix(data_dir);
        below.is_ok_and(|below| below != Path::new(""))
    });
    found.extend(inside.map(|point| format!("mount {point}")));
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(entry.path().join("loop/backing_file"));
        if file.is_ok_and(|file| Path::new(file.trim_end()).starts_with(data_dir)) {
            found.push(format!("loop device {}", entry.file_name().to_string_lossy()));
        }
    }
    Ok(found)
}

/// Living anchors, responders and shims of the cloud, by what they were started with.
fn supervisors(tag: Tag, data_dir: &Path) -> io::Result<Vec<String>> {
    use std::os::unix::ffi::OsStrExt;

    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        if !name.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        // A process that ended while we look has none.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).skip(1);
        let (Some(subcommand), Some(argument)) = (words.next(), words.next()) else { continue };
        let argument = Path::new(std::ffi::OsStr::from_bytes(argument));
        let ours = match subcommand {
            b"anchor" | b"responder" => argument.iter().any(|part| part == tag.cgroup().as_str()),
            b"shim" => argument.starts_with(data_dir),
            _ => false,
        };
        if ours {
            let subcommand = String::from_utf8_lossy(subcommand);
            found.push(format!("{subcommand} process {}", name.to_string_lossy()));
        }
    }
    Ok(found)
}
