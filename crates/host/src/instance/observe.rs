//! What is there of an instance, from its group, its shim's word and its kernel tables.

use std::{collections::HashMap, fs, io};

use gureum_types::{
    InstanceId,
    host::{ObservedInstance, Run},
};
use nix::unistd::Pid;

use super::{Instances, folder::Folder};
use crate::{
    error::{Context, Result},
    exec::init_of,
    light,
    shim::config::{CONFIG, Config, Phase, STATE, State},
};

/// An instance as found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// What the shim last said; nothing of an earlier start.
    pub(super) state: Option<State>,
    /// The living shim.
    pub(super) shim: Option<Pid>,
    /// The living init.
    pub(super) init: Option<Pid>,
    /// The light host, where it is one.
    pub(super) light: Option<light::Found>,
}

impl Found {
    pub(super) fn run(&self) -> Run {
        if self.light.is_some() {
            return Run::Running;
        }
        match (self.shim, self.init) {
            (None, _) => Run::Off,
            (Some(_), None) => Run::Starting,
            (Some(_), Some(_)) => Run::Running,
        }
    }

    /// Whether it switched itself off in that boot of the machine, and nobody acted on it.
    pub(super) fn is_off_by_itself(&self, boot_id: &str) -> bool {
        let state = self.state.as_ref().filter(|_| self.shim.is_none() && self.light.is_none());
        state.is_some_and(|state| state.is_off_by_itself(boot_id))
    }

    /// Whether the network is configured and an SSH server listens (EC2-24).
    pub(super) fn ready(&self) -> bool {
        self.init.is_some_and(|init| has_address(init) && listens_for_ssh(init))
    }
}

impl Instances {
    pub(super) fn find(&self, id: &InstanceId) -> Result<Found> {
        let light = self.light.responder.find(id)?;
        self.look(id, light)
    }

    /// As [`Self::find`], where it is known whether there is a light host.
    fn look(&self, id: &InstanceId, light: Option<light::Found>) -> Result<Found> {
        if light.is_some() {
            return Ok(Found { state: None, shim: None, init: None, light });
        }
        let folder = Folder::of(&self.folder, id);
        let config: Option<Config> = folder.read(CONFIG);
        let state: Option<State> = folder.read(STATE);
        let processes = self.shim_group(id).processes();
        let shim = processes.context(|| format!("look for {id}"))?.first().copied();
        // A word of an earlier start, when the shim of this one has not spoken yet.
        let state = state.filter(|state| config.as_ref().is_some_and(|c| c.start == state.start));
        let init = match (&config, &state, shim) {
            (Some(config), Some(state), Some(_)) if state.phase == Phase::Running => {
                init_of(config, state)
            }
            _ => None,
        };
        Ok(Found { state, shim: shim.map(Pid::from_raw), init, light: None })
    }

    /// Everything that is there, of this and of earlier lives of the daemon.
    pub fn observe(&self) -> Result<Vec<ObservedInstance>> {
        let found = self.all()?.into_iter().map(|(id, found)| {
            let (start, ready) = match &found.light {
                Some(light) => (Some(light.held.start), self.light_answers(light)),
                None => (found.state.as_ref().map(|state| state.start), found.ready()),
            };
            let spec = || Folder::of(&self.folder, &id).spec();
            let start = start.or_else(|| spec().map(|spec| spec.start)).unwrap_or(0);
            ObservedInstance { id, start, run: found.run(), ready }
        });
        Ok(found.collect())
    }

    /// All instances as found.
    pub(super) fn all(&self) -> Result<Vec<(InstanceId, Found)>> {
        let hosts = self.light.responder.all()?.into_iter();
        let mut hosts: HashMap<_, _> = hosts.map(|it| (it.held.id.clone(), it)).collect();
        let mut ids: Vec<InstanceId> = Vec::new();
        let folders = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other
                .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
                .context(|| format!("look into {}", self.folder.display()))?,
        };
        let names = folders.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        // A group without a folder: somebody removed the folder of a running instance.
        let groups = self.cgroups.names().context(|| "look for instances")?;
        ids.extend(names.chain(groups).filter_map(|name| name.parse().ok()));
        ids.extend(hosts.keys().cloned());
        ids.sort();
        ids.dedup();
        ids.into_iter()
            .map(|id| {
                let light = hosts.remove(&id);
                self.look(&id, light).map(|found| (id, found))
            })
            .collect()
    }
}

/// Whether the namespace of a process has an address of either family that is not a loopback's
/// nor good on its link alone.
fn has_address(pid: Pid) -> bool {
    has_ipv4_address(pid) || has_ipv6_address(pid)
}

fn has_ipv6_address(pid: Pid) -> bool {
    const GLOBAL: &str = "00";
    let table = fs::read_to_string(format!("/proc/{pid}/net/if_inet6")).unwrap_or_default();
    // Address, number of the link, length of the prefix, scope, flags, name of the link.
    table.lines().any(|line| line.split_ascii_whitespace().nth(3) == Some(GLOBAL))
}

fn has_ipv4_address(pid: Pid) -> bool {
    let table = fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).unwrap_or_default();
    let mut last = "";
    for line in table.lines().map(str::trim) {
        if line.starts_with("/32 host LOCAL") && !last.starts_with("|-- 127.") {
            return true;
        }
        last = line;
    }
    false
}

/// Whether something listens on TCP port 22 in the namespace of a process.
fn listens_for_ssh(pid: Pid) -> bool {
    const LISTEN: &str = "0A";
    ["tcp", "tcp6"].iter().any(|file| {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
        table.lines().skip(1).any(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().take(4).collect();
            matches!(fields.as_slice(), [_, local, _, LISTEN] if local.ends_with(":0016"))
        })
    })
}
