//! A Linux for tests: it remembers what it was asked, and does it at once or as slowly as told.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gureum_engine::Policy;
use gureum_types::{
    InstanceId,
    host::{InstanceSpec, InterfaceSpec, ObservedInstance, Run},
    view::ServiceView,
};
use tokio::sync::watch;

use crate::linux::{BoxFuture, Linux, LinuxError};

/// Something that Linux was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// To run an instance.
    EnsureRunning(InstanceSpec),
    /// To boot one anew.
    Reboot(InstanceId),
    /// To switch one off, maybe by force.
    Stop(InstanceId, bool),
    /// To remove one.
    Terminate(InstanceId),
    /// To add an interface.
    Attach(InstanceId, InterfaceSpec),
    /// To take an interface away.
    Detach(InstanceId, InterfaceSpec),
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    instances: BTreeMap<InstanceId, ObservedInstance>,
    failures: VecDeque<LinuxError>,
    delay: Duration,
    pace: Duration,
    under_way: usize,
    most_at_once: usize,
    policy: Option<Arc<Policy>>,
    view: Option<Arc<ServiceView>>,
}

/// The recording double of [`Linux`].
pub struct RecordingLinux {
    state: Mutex<State>,
    applied: watch::Sender<u64>,
}

impl Default for RecordingLinux {
    fn default() -> Self {
        Self { state: Mutex::default(), applied: watch::channel(0).0 }
    }
}

impl RecordingLinux {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Makes the next request fail that is not an observation.
    pub fn fail_next(&self, error: LinuxError) {
        self.state().failures.push_back(error);
    }

    /// Makes the data path this slow to acknowledge.
    pub fn delay_apply(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Makes everything that is asked of an instance take so long, and a look at all of them, which
    /// tells how it was at its beginning.
    pub fn delay_instances(&self, pace: Duration) {
        self.state().pace = pace;
    }

    /// How many things were asked of instances at the same time, at most.
    pub fn most_at_once(&self) -> usize {
        self.state().most_at_once
    }

    /// The policy in use.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.state().policy.clone()
    }

    /// The view in use.
    pub fn view(&self) -> Option<Arc<ServiceView>> {
        self.state().view.clone()
    }

    /// Tells the epoch of every policy that came into use.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// What is found on the machine from now on: as after a reboot of the host, when `instances`
    /// is empty.
    pub fn set_observed(&self, instances: Vec<ObservedInstance>) {
        self.state().instances = instances.into_iter().map(|it| (it.id.clone(), it)).collect();
    }

    fn ask(
        &self,
        asked: Asked,
        work: impl FnOnce(&mut BTreeMap<InstanceId, ObservedInstance>) + Send + 'static,
    ) -> BoxFuture<'_, Result<(), LinuxError>> {
        let mut state = self.state();
        state.asked.push(asked);
        state.under_way += 1;
        state.most_at_once = state.most_at_once.max(state.under_way);
        let (failure, pace) = (state.failures.pop_front(), state.pace);
        Box::pin(async move {
            if !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            let mut state = self.state();
            state.under_way -= 1;
            match failure {
                Some(error) => Err(error),
                None => {
                    work(&mut state.instances);
                    Ok(())
                }
            }
        })
    }
}

impl Linux for RecordingLinux {
    fn apply(&self, policy: Arc<Policy>, view: Arc<ServiceView>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let delay = self.state().delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let epoch = policy.epoch();
            {
                let mut state = self.state();
                state.policy = Some(policy);
                state.view = Some(view);
            }
            self.applied.send_replace(epoch);
        })
    }

    fn ensure_running(&self, spec: InstanceSpec) -> BoxFuture<'_, Result<(), LinuxError>> {
        let (id, start) = (spec.id.clone(), spec.start);
        self.ask(Asked::EnsureRunning(spec), move |instances| {
            let seen = ObservedInstance { id: id.clone(), start, run: Run::Running, ready: false };
            instances.insert(id, seen);
        })
    }

    fn reboot(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.ask(Asked::Reboot(id), |_| {})
    }

    fn stop(&self, id: InstanceId, force: bool) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.ask(Asked::Stop(id.clone(), force), move |instances| {
            if let Some(seen) = instances.get_mut(&id) {
                seen.run = Run::Off;
            }
        })
    }

    fn terminate(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.ask(Asked::Terminate(id.clone()), move |instances| {
            instances.remove(&id);
        })
    }

    fn observe(&self) -> BoxFuture<'_, Result<Vec<ObservedInstance>, LinuxError>> {
        let state = self.state();
        let (observed, pace) = (state.instances.values().cloned().collect(), state.pace);
        drop(state);
        Box::pin(async move {
            if !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            Ok(observed)
        })
    }

    fn console(&self, id: InstanceId) -> BoxFuture<'_, Result<Vec<u8>, LinuxError>> {
        let there = self.state().instances.contains_key(&id);
        Box::pin(async move {
            match there {
                true => Ok(format!("console of {id}\n").into_bytes()),
                false => Err(LinuxError::Failed(format!("{id} was never started"))),
            }
        })
    }

    fn attach_interface(
        &self,
        id: InstanceId,
        interface: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.ask(Asked::Attach(id, interface), |_| {})
    }

    fn detach_interface(
        &self,
        id: InstanceId,
        interface: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.ask(Asked::Detach(id, interface), |_| {})
    }
}
