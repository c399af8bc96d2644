//! What becomes of instances by what happened: actions that ended, events, observations.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gureum_store::Transaction;
use gureum_types::{
    InstanceId, NetworkInterfaceId,
    host::{HostEvent, ObservedInstance, Run},
    record::{AttachmentState, Instance, InstanceState, NetworkInterface, Scope},
};

use super::{Action, Done, Memory, Reconciler, instance};
use crate::{
    linux::LinuxError,
    resource::{
        instance::{bury, lay_off},
        network_interface,
    },
};

/// How often an instance that ran may die or resist before it is given up.
const GIVE_UP_AFTER: u32 = 5;

const INTERNAL: (&str, &str) =
    ("Server.InternalError", "Server.InternalError: Internal error on launch");
const NO_CAPACITY: (&str, &str) = (
    "Server.InsufficientInstanceCapacity",
    "Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy instance request",
);
const BY_ITSELF: (&str, &str) = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
);

fn owned((code, message): (&str, &str)) -> Option<(String, String)> {
    Some((code.to_owned(), message.to_owned()))
}

impl Reconciler {
    fn memory<R>(&self, id: &InstanceId, change: impl FnOnce(&mut Memory) -> R) -> R {
        self.remember(|memories| change(memories.entry(id.clone()).or_default()))
    }

    fn forget(&self, id: &InstanceId) {
        self.remember(|memories| memories.remove(id));
    }

    /// Changes an instance, wherever it is, if it still is in the state that was acted on.
    fn update(
        &self,
        id: &InstanceId,
        from: &[InstanceState],
        change: impl Fn(&mut Instance, gureum_types::Timestamp),
    ) {
        let now = (self.config.clock)();
        self.change(|tx| {
            let Some((scope, found)) = located(tx, id) else { return Ok(()) };
            if from.contains(&found.state) {
                tx.update::<Instance>(&scope, id.as_str(), |it| change(it, now));
            }
            Ok(())
        });
    }

    /// Takes in how an action ended.
    pub(super) fn conclude(&self, done: Done) {
        let Done { id, action, result } = done;
        self.memory(&id, |it| it.busy = None);
        if let Err(error) = &result {
            tracing::warn!(%id, ?action, %error, "not done");
        }
        match (action, result) {
            (Action::Run(spec), Ok(())) => {
                self.memory(&id, |it| {
                    it.plugged = Some(spec.interfaces.clone());
                    it.not_before = None;
                });
                self.update(&id, &[InstanceState::Pending], |it, now| {
                    if it.starts == spec.start {
                        it.state = InstanceState::Running;
                        it.state_changed = now;
                    }
                });
            }
            (Action::Run(_) | Action::Impossible(_), Err(error)) => self.not_running(&id, &error),
            (Action::Impossible(_), Ok(())) => {}
            (Action::Reboot { upto }, Ok(())) => {
                self.memory(&id, Memory::done);
                self.rebooted(&id, upto, true);
            }
            (Action::Reboot { upto }, Err(_)) => {
                let failures = self.memory(&id, |it| {
                    it.put_off();
                    it.failures
                });
                // The caller was answered long ago: nobody waits for it for ever.
                if failures >= GIVE_UP_AFTER {
                    self.memory(&id, Memory::done);
                    self.rebooted(&id, upto, false);
                }
            }
            (Action::Stop { .. }, Ok(())) => self.stopped(&id),
            (Action::Terminate, Ok(())) => self.terminated(&id),
            (Action::Attach(interface), Ok(())) => {
                self.memory(&id, |it| {
                    it.done();
                    let plugged = it.plugged.get_or_insert_default();
                    plugged.retain(|known| *known != interface);
                    plugged.push(interface.clone());
                });
                self.plugged(&id, &interface.id, AttachmentState::Attaching);
            }
            (Action::Detach(interface), Ok(())) => {
                self.memory(&id, |it| {
                    it.done();
                    it.plugged.get_or_insert_default().retain(|known| *known != interface);
                });
                self.plugged(&id, &interface.id, AttachmentState::Detaching);
            }
            (
                Action::Stop { .. } | Action::Terminate | Action::Attach(_) | Action::Detach(_),
                Err(_),
            ) => self.memory(&id, Memory::put_off),
        }
    }

    /// A launch that fails ends terminated, a start stopped, as on AWS. One that ran before is
    /// tried a few times.
    fn not_running(&self, id: &InstanceId, error: &LinuxError) {
        let reason = match error {
            LinuxError::InsufficientCapacity(_) => NO_CAPACITY,
            LinuxError::Failed(_) => INTERNAL,
        };
        let failures = self.memory(id, |it| {
            it.put_off();
            it.failures
        });
        let records = self.store.snapshot();
        let Some((_, found)) = instance(&records, id) else { return self.forget(id) };
        let give_up = match found.state {
            InstanceState::Pending => true,
            InstanceState::Running => failures >= GIVE_UP_AFTER,
            _ => false,
        };
        if give_up {
            self.memory(id, Memory::done);
            self.update(id, &[InstanceState::Pending, InstanceState::Running], |it, now| {
                let first = it.state == InstanceState::Pending && it.starts <= 1;
                it.state =
                    if first { InstanceState::ShuttingDown } else { InstanceState::Stopping };
                it.force_stop = true;
                it.state_reason = owned(reason);
                reason.0.clone_into(&mut it.state_transition_reason);
                it.state_changed = now;
                it.status_ok = false;
            });
        }
    }

    /// Reboots were done or given up. What boots is not well until it says so (EC2-24).
    fn rebooted(&self, id: &InstanceId, upto: u32, boots: bool) {
        self.update(id, &[InstanceState::Running], |it, _| {
            it.reboots_done = it.reboots_done.max(upto);
            it.status_ok &= !boots;
        });
    }

    /// An instance got or lost an interface whose attachment was in this state (ENI-2).
    fn plugged(&self, id: &InstanceId, interface: &NetworkInterfaceId, from: AttachmentState) {
        let now = (self.config.clock)();
        self.change(|tx| {
            let Some((scope, _)) = located(tx, id) else { return Ok(()) };
            let found = tx.find::<NetworkInterface>(&scope, interface.as_str());
            let attachment = found.and_then(|it| it.attachment.as_ref());
            if attachment.is_some_and(|it| it.instance_id == *id && it.state == from) {
                network_interface::settle(&scope, tx, id, Some(interface), now);
            }
            Ok(())
        });
    }

    fn stopped(&self, id: &InstanceId) {
        self.forget(id);
        self.change(|tx| {
            let Some((scope, found)) = located(tx, id) else { return Ok(()) };
            if found.state != InstanceState::Stopping {
                return Ok(());
            }
            lay_off(&self.call(&scope), tx, id);
            Ok(())
        });
    }

    fn terminated(&self, id: &InstanceId) {
        self.forget(id);
        self.change(|tx| {
            let Some((scope, found)) = located(tx, id) else { return Ok(()) };
            if found.state == InstanceState::ShuttingDown {
                bury(&self.call(&scope), tx, id);
            }
            Ok(())
        });
    }

    /// Takes in what the machine reports.
    pub(super) fn take_in(&self, event: &HostEvent) {
        tracing::debug!(?event, "reported");
        match event {
            HostEvent::PoweredOff(id) => {
                // EC2-9
                self.memory(id, |it| it.plugged = None);
                self.update(id, &[InstanceState::Running, InstanceState::Pending], |it, now| {
                    it.state = match it.instance_initiated_shutdown_behavior.as_str() {
                        "terminate" => InstanceState::ShuttingDown,
                        _ => InstanceState::Stopping,
                    };
                    it.state_reason = owned(BY_ITSELF);
                    it.state_transition_reason = String::new();
                    it.state_changed = now;
                    it.status_ok = false;
                });
            }
            HostEvent::Died(id) => self.died(id),
            HostEvent::Ready(id) => self.ready(id),
            HostEvent::LinkLost(port) => {
                let records = self.store.snapshot();
                let Some(interface) = records.interface_behind(*port) else { return };
                let Some(attachment) = &interface.attachment else { return };
                self.memory(&attachment.instance_id, |it| {
                    if let Some(plugged) = &mut it.plugged {
                        plugged.retain(|known| known.port != *port);
                    }
                });
            }
        }
    }

    fn ready(&self, id: &InstanceId) {
        // It is well: what it died of before is over.
        self.memory(id, Memory::done);
        self.update(id, &[InstanceState::Running, InstanceState::Pending], |it, _| {
            it.status_ok = true;
        });
    }

    /// What ran and runs no longer is run again, later each time, as by AWS's automatic recovery,
    /// which instances have by default; what cannot be recovered is stopped.
    fn died(&self, id: &InstanceId) {
        let records = self.store.snapshot();
        let running = InstanceState::Running;
        if instance(&records, id).is_none_or(|(_, found)| found.state != running) {
            // It was to end anyway, or its launch tells by itself that it failed.
            return;
        }
        let failures = self.memory(id, |it| {
            it.plugged = None;
            it.put_off();
            it.failures
        });
        self.update(id, &[InstanceState::Running], |it, now| {
            it.status_ok = false;
            if failures >= GIVE_UP_AFTER {
                it.state = InstanceState::Stopping;
                it.force_stop = true;
                it.state_reason = owned(INTERNAL);
                INTERNAL.0.clone_into(&mut it.state_transition_reason);
                it.state_changed = now;
            }
        });
        if failures >= GIVE_UP_AFTER {
            self.memory(id, Memory::done);
        }
    }

    /// Instances that ran when the machine went down will be booted: their status checks begin
    /// anew. Those that outlived the daemon are as well as they were.
    pub(super) fn find_lost(&self, observed: &[ObservedInstance]) {
        let observed = by_id(observed);
        let runs = |it: &Instance| {
            let seen = observed.get(&it.id);
            seen.is_some_and(|seen| seen.run != Run::Off && seen.start == it.starts)
        };
        let records = self.store.snapshot();
        let lost: Vec<_> = records
            .everywhere::<Instance>()
            .filter(|(_, it)| it.state == InstanceState::Running && it.status_ok && !runs(it))
            .filter_map(|(key, it)| Some((key.scope.as_ref()?, it)))
            .collect();
        if lost.is_empty() {
            return;
        }
        self.change(|tx| {
            for (scope, it) in &lost {
                tx.update::<Instance>(scope, it.id.as_str(), |it| it.status_ok = false);
            }
            Ok(())
        });
    }

    /// Takes in what was found on the machine, where nothing is or was under way meanwhile.
    pub(super) fn take_over(&self, observed: &[ObservedInstance], overtaken: &HashSet<InstanceId>) {
        let records = self.store.snapshot();
        let observed = by_id(observed);
        let running = records
            .everywhere::<Instance>()
            .map(|(_, it)| it)
            .filter(|it| it.state == InstanceState::Running && !overtaken.contains(&it.id));
        for it in running {
            let (busy, adopted) =
                self.memory(&it.id, |it| (it.busy.is_some(), it.plugged.is_some()));
            let seen = observed.get(&it.id);
            let up = seen.is_some_and(|seen| seen.run != Run::Off);
            match (busy, adopted, up) {
                // It was running here and its end was not reported.
                (false, true, false) => self.died(&it.id),
                (false, true, true) if !it.status_ok && seen.is_some_and(|it| it.ready) => {
                    self.ready(&it.id);
                }
                _ => {}
            }
        }
    }
}

fn by_id(observed: &[ObservedInstance]) -> HashMap<&InstanceId, &ObservedInstance> {
    observed.iter().map(|it| (&it.id, it)).collect()
}

/// As [`instance`], out of a transaction that will change it.
fn located(tx: &Transaction, id: &InstanceId) -> Option<(Scope, Arc<Instance>)> {
    instance(tx, id).map(|(scope, instance)| (scope.clone(), instance.clone()))
}
