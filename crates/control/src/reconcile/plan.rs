//! What is to be done next for each instance: a pure function of records, machine and memory.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gureum_store::Snapshot;
use gureum_types::{
    InstanceId,
    host::{InstanceSpec, InterfaceSpec, Limits, ObservedInstance, Run},
    record::{AttachmentState, Instance, InstanceState, NetworkInterface, Scope},
};
use tokio::time::Instant;

use super::{Memories, Work};
use crate::{
    catalogue::{bootable, known_or_small},
    resource::{instance, network_interface, public_ip},
};

/// Processes and threads that an instance may have: enough for any lab, too few for harm.
const PROCESSES: u32 = 4096;
/// Bytes of an interface's packets inside a VPC (MTU-1).
const MTU: u32 = 9001;

/// One thing to ask of Linux.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Run it, or take it over as it runs.
    Run(Box<InstanceSpec>),
    /// It cannot be run: what it is made of is not there.
    Impossible(String),
    /// Boot it anew; `upto` is the reboot that this does.
    Reboot {
        upto: u32,
    },
    Stop {
        force: bool,
    },
    Terminate,
    Attach(InterfaceSpec),
    Detach(InterfaceSpec),
}

impl Action {
    /// Under which bound it falls.
    pub(crate) fn work(&self) -> Work {
        match self {
            Self::Run(_) => Work::Launch,
            _ => Work::Change,
        }
    }
}

/// Which instances are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom<'a> {
    /// All, with what was observed of them on the machine.
    All(&'a [ObservedInstance]),
    /// These, for something about them may have changed; nobody looked at the machine.
    These(&'a HashSet<InstanceId>),
}

/// How many actions may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Launches and starts.
    pub(crate) launches: usize,
    /// Everything else.
    pub(crate) changes: usize,
}

impl Room {
    /// Takes a place, if there is one.
    fn take(&mut self, work: Work) -> bool {
        let places = match work {
            Work::Launch => &mut self.launches,
            Work::Change => &mut self.changes,
        };
        let fits = *places > 0;
        *places = places.saturating_sub(1);
        fits
    }
}

/// The next action of every instance that needs one, as far as there is room; and who waits.
pub(crate) fn plan(
    records: &Snapshot,
    whom: Whom<'_>,
    memories: &Memories,
    mut room: Room,
    now: Instant,
) -> (Vec<(InstanceId, Action)>, Vec<InstanceId>) {
    let observed = match whom {
        Whom::All(observed) => observed,
        Whom::These(_) => &[],
    };
    let observed: HashMap<_, _> = observed.iter().map(|it| (&it.id, it)).collect();
    let may_act = |id: &InstanceId| {
        memories
            .get(id)
            .is_none_or(|it| it.busy.is_none() && it.not_before.is_none_or(|moment| moment <= now))
    };
    let (mut actions, mut waiting) = (Vec::new(), Vec::new());
    let mut known = HashSet::new();
    let looked_at: Vec<_> = match whom {
        Whom::All(_) => records
            .everywhere::<Instance>()
            .filter_map(|(key, instance)| Some((key.scope.as_ref()?, instance)))
            .collect(),
        Whom::These(ids) => ids.iter().filter_map(|id| super::instance(records, id)).collect(),
    };
    for (scope, instance) in looked_at {
        known.insert(&instance.id);
        if !may_act(&instance.id) {
            continue;
        }
        // What a launch is made of takes a while to work out: not for those that wait.
        let is_plugged = memories.get(&instance.id).is_some_and(|it| it.plugged.is_some());
        let launches = match instance.state {
            InstanceState::Pending => true,
            InstanceState::Running => !is_plugged,
            _ => false,
        };
        if launches && room.launches == 0 {
            waiting.push(instance.id.clone());
            continue;
        }
        let seen = observed.get(&instance.id).copied();
        if let Some(action) = next(records, scope, instance, seen, memories) {
            match room.take(action.work()) {
                true => actions.push((instance.id.clone(), action)),
                false => waiting.push(instance.id.clone()),
            }
        }
    }
    // What no record knows was reset away, or its purging was cut short.
    let is_asked = |id: &&InstanceId| match whom {
        Whom::All(_) => true,
        Whom::These(ids) => ids.contains(*id),
    };
    let here = memories.iter().filter(|(_, it)| it.plugged.is_some()).map(|(id, _)| id);
    let there: HashSet<&InstanceId> = here.filter(is_asked).chain(observed.into_keys()).collect();
    for id in there.into_iter().filter(|id| !known.contains(id) && may_act(id)) {
        match room.take(Work::Change) {
            true => actions.push((id.clone(), Action::Terminate)),
            false => waiting.push(id.clone()),
        }
    }
    (actions, waiting)
}

fn next(
    records: &Snapshot,
    scope: &Scope,
    instance: &Instance,
    seen: Option<&ObservedInstance>,
    memories: &Memories,
) -> Option<Action> {
    match instance.state {
        InstanceState::Pending => Some(run(records, scope, instance)),
        InstanceState::Running => {
            let plugged = memories.get(&instance.id).and_then(|it| it.plugged.as_ref());
            let Some(plugged) = plugged else { return Some(run(records, scope, instance)) };
            if instance.reboots > instance.reboots_done {
                return Some(Action::Reboot { upto: instance.reboots });
            }
            let wanted = interfaces(records, instance);
            let going = in_state(records, instance, AttachmentState::Detaching);
            let gone = plugged.iter().find(|it| !wanted.contains(it)).or(going.first());
            if let Some(gone) = gone {
                return Some(Action::Detach(gone.clone()));
            }
            // One that is on its way is asked for again: who is adopted may not have it.
            let coming = in_state(records, instance, AttachmentState::Attaching);
            let missing = wanted.into_iter().find(|it| !plugged.contains(it));
            missing.or(coming.into_iter().next()).map(Action::Attach)
        }
        InstanceState::Stopping => Some(Action::Stop { force: instance.force_stop }),
        InstanceState::ShuttingDown => Some(Action::Terminate),
        InstanceState::Stopped => {
            seen.filter(|it| it.run != Run::Off).map(|_| Action::Stop { force: true })
        }
        InstanceState::Terminated => seen.map(|_| Action::Terminate),
    }
}

fn run(records: &Snapshot, scope: &Scope, instance: &Instance) -> Action {
    match spec(records, scope, instance) {
        Ok(spec) => Action::Run(Box::new(spec)),
        Err(why) => Action::Impossible(why),
    }
}

/// The interfaces that an instance shall have: not those on their way out.
fn interfaces(records: &Snapshot, instance: &Instance) -> Vec<InterfaceSpec> {
    interfaces_where(records, instance, |state| state != AttachmentState::Detaching)
}

fn in_state(records: &Snapshot, instance: &Instance, state: AttachmentState) -> Vec<InterfaceSpec> {
    interfaces_where(records, instance, |it| it == state)
}

fn interfaces_where(
    records: &Snapshot,
    instance: &Instance,
    wanted: impl Fn(AttachmentState) -> bool,
) -> Vec<InterfaceSpec> {
    let spec = |it: &Arc<NetworkInterface>| {
        let attachment = it.attachment.as_ref().filter(|it| wanted(it.state))?;
        Some(InterfaceSpec {
            id: it.id.clone(),
            port: it.port,
            device_index: attachment.device_index,
            mac: it.mac,
            mtu: MTU,
        })
    };
    network_interface::of_instance(records, &instance.id).iter().filter_map(spec).collect()
}

fn spec(records: &Snapshot, scope: &Scope, instance: &Instance) -> Result<InstanceSpec, String> {
    let image = bootable(&scope.region, instance.image_id.as_str())
        .ok_or_else(|| format!("the image {} is not in the catalogue", instance.image_id))?;
    let kind = known_or_small(&instance.instance_type)
        .ok_or_else(|| format!("the type {} is not known", instance.instance_type))?;
    let interfaces = interfaces(records, instance);
    let volumes = instance::volumes(records, instance);
    let root = volumes.first().ok_or_else(|| "there is no root volume".to_owned())?;
    let primary = network_interface::of_instance(records, &instance.id)
        .first()
        .map(|it| it.primary_address())
        .ok_or_else(|| "there is no network interface".to_owned())?;
    let hostname = match (instance.private_dns_hostname_type.as_str(), primary) {
        ("resource-name", _) | (_, None) => instance.id.to_string(),
        (_, Some(address)) => format!("ip-{}", public_ip::dashes(address)),
    };
    Ok(InstanceSpec {
        id: instance.id.clone(),
        start: instance.starts,
        image: image.rootfs.to_owned(),
        login_user: image.login_user.to_owned(),
        hostname,
        region: scope.region.to_string(),
        flavor: image.flavor.to_owned(),
        limits: Limits {
            memory_bytes: u64::try_from(kind.memory_mib).unwrap_or(0) << 20,
            cpu_millis: kind.vcpus.unsigned_abs() * 1000,
            processes: PROCESSES,
            disk_bytes: u64::from(root.size) << 30,
        },
        interfaces,
    })
}
