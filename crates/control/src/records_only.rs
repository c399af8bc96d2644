//! A Linux without instances (`gureum up --no-instances`): states go on by short timers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gureum_engine::Policy;
use gureum_types::{
    InstanceId,
    host::{HostEvent, InstanceSpec, InterfaceSpec, ObservedInstance, Run},
    view::ServiceView,
};
use tokio::sync::mpsc;

use crate::linux::{BoxFuture, Linux, LinuxError};

/// How long a start takes, and from there until status checks pass.
const START: Duration = Duration::from_millis(50);
const READY: Duration = Duration::from_millis(200);
/// How long stopping and terminating take.
const STOP: Duration = Duration::from_millis(50);

type Instances = Arc<Mutex<BTreeMap<InstanceId, ObservedInstance>>>;

/// Records alone: no packets, no processes.
#[derive(Debug)]
pub struct RecordsOnly {
    instances: Instances,
    events: mpsc::Sender<HostEvent>,
}

fn locked(instances: &Instances) -> MutexGuard<'_, BTreeMap<InstanceId, ObservedInstance>> {
    instances.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RecordsOnly {
    /// A machine without instances, and what it reports of them.
    pub fn new() -> (Self, mpsc::Receiver<HostEvent>) {
        let (events, receiver) = mpsc::channel(256);
        (Self { instances: Instances::default(), events }, receiver)
    }

    /// Reports an instance ready after a while, unless it was switched off meanwhile.
    fn become_ready(&self, id: InstanceId, start: u32) {
        let (instances, events) = (self.instances.clone(), self.events.clone());
        tokio::spawn(async move {
            tokio::time::sleep(READY).await;
            let is_same = locked(&instances)
                .get_mut(&id)
                .filter(|seen| seen.start == start && seen.run == Run::Running)
                .map(|seen| seen.ready = true)
                .is_some();
            if is_same {
                // Nobody listens any more when the daemon is on its way out.
                let _ = events.send(HostEvent::Ready(id)).await;
            }
        });
    }
}

impl Linux for RecordsOnly {
    fn has_data_path(&self) -> bool {
        false
    }

    fn apply(&self, _: Arc<Policy>, _: Arc<ServiceView>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn ensure_running(&self, spec: InstanceSpec) -> BoxFuture<'_, Result<(), LinuxError>> {
        Box::pin(async move {
            let is_up = locked(&self.instances)
                .get(&spec.id)
                .is_some_and(|seen| seen.start == spec.start && seen.run == Run::Running);
            if is_up {
                return Ok(());
            }
            tokio::time::sleep(START).await;
            let id = spec.id.clone();
            let seen = ObservedInstance {
                id: id.clone(),
                start: spec.start,
                run: Run::Running,
                ready: false,
            };
            locked(&self.instances).insert(id.clone(), seen);
            self.become_ready(id, spec.start);
            Ok(())
        })
    }

    fn reboot(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>> {
        Box::pin(async move {
            let start = locked(&self.instances).get_mut(&id).map(|seen| {
                seen.ready = false;
                seen.start
            });
            if let Some(start) = start {
                self.become_ready(id, start);
            }
            Ok(())
        })
    }

    fn stop(&self, id: InstanceId, force: bool) -> BoxFuture<'_, Result<(), LinuxError>> {
        Box::pin(async move {
            if !force {
                tokio::time::sleep(STOP).await;
            }
            if let Some(seen) = locked(&self.instances).get_mut(&id) {
                (seen.run, seen.ready) = (Run::Off, false);
            }
            Ok(())
        })
    }

    fn terminate(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>> {
        Box::pin(async move {
            tokio::time::sleep(STOP).await;
            locked(&self.instances).remove(&id);
            Ok(())
        })
    }

    fn observe(&self) -> BoxFuture<'_, Result<Vec<ObservedInstance>, LinuxError>> {
        let observed = locked(&self.instances).values().cloned().collect();
        Box::pin(async move { Ok(observed) })
    }

    fn console(&self, _: InstanceId) -> BoxFuture<'_, Result<Vec<u8>, LinuxError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn attach_interface(
        &self,
        _: InstanceId,
        _: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>> {
        Box::pin(async { Ok(()) })
    }

    fn detach_interface(
        &self,
        _: InstanceId,
        _: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>> {
        Box::pin(async { Ok(()) })
    }
}
