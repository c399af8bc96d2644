//! Brings instances to what their records say: observe, plan, apply.
//!
//! The loop remembers only what is under way; everything else it reads from the records and from
//! the machine, so it may start from any state. One thing at a time is done for an instance, and
//! what fails is tried again later and later, or ends as it does on AWS.

mod outcome;
mod plan;
mod purge;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use gureum_store::{Snapshot, Store, StoreError, Transaction};
use gureum_types::{
    InstanceId,
    host::{HostEvent, InterfaceSpec, ObservedInstance},
    record::{Instance, Scope},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    call::Call,
    config::Config,
    linux::{Linux, LinuxError},
    publish::Publisher,
};

pub(crate) use plan::{Action, plan};

/// The longest pause between two trials.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the loop remembers of one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Something is being done for it.
    pub(crate) busy: bool,
    /// The interfaces that Linux was given; nothing until it was asked to run the instance.
    pub(crate) plugged: Option<Vec<InterfaceSpec>>,
    /// How often in a row something failed.
    pub(crate) failures: u32,
    /// When the next trial may be.
    pub(crate) not_before: Option<Instant>,
}

impl Memory {
    /// Puts the next trial off, longer each time.
    fn put_off(&mut self) {
        let pause = Duration::from_secs(1_u64 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
    }

    fn done(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }
}

/// What the loop remembers.
pub(crate) type Memories = HashMap<InstanceId, Memory>;

/// An action that came to its end.
struct Done {
    id: InstanceId,
    action: Action,
    result: Result<(), LinuxError>,
}

pub(crate) struct Reconciler {
    store: Arc<Store>,
    linux: Arc<dyn Linux>,
    config: Arc<Config>,
    publisher: Arc<Publisher>,
    memories: RwLock<Memories>,
}

impl Reconciler {
    pub(crate) fn new(
        store: Arc<Store>,
        linux: Arc<dyn Linux>,
        config: Arc<Config>,
        publisher: Arc<Publisher>,
    ) -> Self {
        Self { store, linux, config, publisher, memories: RwLock::default() }
    }

    fn remember<R>(&self, change: impl FnOnce(&mut Memories) -> R) -> R {
        change(&mut self.memories.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs until the task is dropped.
    pub(crate) async fn run(self, mut events: mpsc::Receiver<HostEvent>) {
        let (done, mut finished) = mpsc::channel(64);
        let mut watch = self.store.watch();
        let mut tick = tokio::time::interval(self.config.reconcile_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listening = true;
        loop {
            // The first tick comes at once, so the first pass knows what is there.
            tokio::select! {
                _ = tick.tick() => {
                    self.purge();
                    match self.linux.observe().await {
                        Ok(observed) => self.look(&observed, &done),
                        Err(error) => tracing::warn!(%error, "the machine cannot be observed"),
                    }
                }
                changed = watch.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.publisher.publish().await;
                }
                event = events.recv(), if listening => match event {
                    Some(event) => self.take_in(&event),
                    None => listening = false,
                },
                Some(ended) = finished.recv() => self.conclude(ended),
            }
            self.act(&[], &done);
        }
    }

    /// A pass that knows what is on the machine.
    fn look(&self, observed: &[ObservedInstance], done: &mpsc::Sender<Done>) {
        self.take_over(observed);
        self.act(observed, done);
    }

    /// Starts what there is to do.
    fn act(&self, observed: &[ObservedInstance], done: &mpsc::Sender<Done>) {
        let records = self.store.snapshot();
        let actions = self.remember(|memories| plan(&records, observed, memories, Instant::now()));
        for (id, action) in actions {
            self.remember(|memories| memories.entry(id.clone()).or_default().busy = true);
            let (linux, publisher, done) =
                (self.linux.clone(), self.publisher.clone(), done.clone());
            tokio::spawn(async move {
                // A port must be known before something speaks on it.
                publisher.publish().await;
                tracing::debug!(%id, ?action, "doing");
                let result = apply(linux.as_ref(), &id, &action).await;
                // Without a receiver there is no loop any more that would want to know.
                let _ = done.send(Done { id, action, result }).await;
            });
        }
    }

    /// Changes records of the reconciler's own accord; a failure is tried again at the next pass.
    fn change(&self, change: impl Fn(&mut Transaction) -> Result<(), StoreError>) {
        if let Err(error) = self.store.transact(change) {
            tracing::error!(%error, "the state of instances could not be recorded");
        }
    }

    fn call(&self, scope: &Scope) -> Call {
        let (scope, now) = (scope.clone(), (self.config.clock)());
        Call { scope, now, config: self.config.clone() }
    }
}

/// The instance with an id, wherever it is.
pub(crate) fn instance<'a>(
    records: &'a Snapshot,
    id: &InstanceId,
) -> Option<(&'a Scope, &'a Arc<Instance>)> {
    let (key, instance) = records.referrers_with_keys::<Instance>(id.as_str()).next()?;
    Some((key.scope.as_ref()?, instance))
}

async fn apply(linux: &dyn Linux, id: &InstanceId, action: &Action) -> Result<(), LinuxError> {
    let id = id.clone();
    match action {
        Action::Run(spec) => linux.ensure_running((**spec).clone()).await,
        Action::Impossible(why) => Err(LinuxError::Failed(why.clone())),
        Action::Reboot { .. } => linux.reboot(id).await,
        Action::Stop { force } => linux.stop(id, *force).await,
        Action::Terminate => linux.terminate(id).await,
        Action::Attach(interface) => linux.attach_interface(id, interface.clone()).await,
        Action::Detach(interface) => linux.detach_interface(id, interface.clone()).await,
    }
}
