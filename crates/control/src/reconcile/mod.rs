//! Brings instances to what their records say: observe, plan, apply.
//!
//! The loop remembers only what is under way; everything else it reads from the records and from
//! the machine, so it may start from any state. It acts at every change, and waits for nothing
//! but news: instances are worked on side by side, one thing at a time for each. What fails is
//! tried again later and later, or ends as it does on AWS.

pub(crate) mod gateways;
mod outcome;
mod plan;
mod purge;
mod retention;
pub(crate) mod role_credentials;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use gureum_store::{Snapshot, Store, StoreError, Transaction};
use gureum_types::{
    InstanceId,
    host::{HostEvent, InterfaceSpec, ObservedInstance},
    record::{Instance, NetworkInterface, Scope},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    call::Call,
    config::Config,
    iam::caller::Caller,
    linux::{Linux, LinuxError},
    publish::Publisher,
};

pub(crate) use plan::{Action, Room, Whom, plan};

/// The longest pause between two trials.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often log data is looked through for what is too old.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How many instances are stopped, removed or otherwise changed at once. Each holds a thread.
const CHANGES_AT_ONCE: usize = 128;

/// The kinds of work that have bounds of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Launch,
    Change,
}

/// What the loop remembers of one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Something is being done for it.
    pub(crate) busy: Option<Work>,
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

/// The instances that something may have to be done for: those about which something changed
/// since they were last looked at, and those that wait for their turn.
struct Attention {
    records: Arc<Snapshot>,
    to: HashSet<InstanceId>,
}

impl Attention {
    /// Turns to what changed since.
    fn follow(&mut self, records: Arc<Snapshot>) {
        for (key, instance) in records.changed::<Instance>(&self.records) {
            let id = instance.map(|it| it.id.clone()).or_else(|| key.id.parse().ok());
            self.to.extend(id);
        }
        for (key, interface) in records.changed::<NetworkInterface>(&self.records) {
            let before = key
                .scope
                .as_ref()
                .and_then(|scope| self.records.find::<NetworkInterface>(scope, &key.id));
            for interface in interface.into_iter().chain(before) {
                self.to.extend(interface.attachment.iter().map(|it| it.instance_id.clone()));
            }
        }
        self.records = records;
    }
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
    pub(crate) async fn run(self, events: mpsc::Receiver<HostEvent>) {
        tokio::select! {
            () = self.follow() => {}
            () = self.work(events) => {}
        }
    }

    /// Gives every change to the data path.
    async fn follow(&self) {
        let mut watch = self.store.watch();
        while watch.changed().await.is_ok() {
            self.publisher.publish().await;
        }
    }

    async fn work(&self, mut events: mpsc::Receiver<HostEvent>) {
        let (done, mut finished) = mpsc::channel(64);
        let (look, mut looked) = mpsc::channel(1);
        let mut watch = self.store.watch();
        let mut attention = Attention { records: self.store.snapshot(), to: HashSet::new() };
        // Before anything is asked for: what is booted now looks like what ran all the time.
        if let Some(observed) = observe(self.linux.as_ref()).await {
            self.find_lost(&observed);
        }
        let mut tick = tokio::time::interval(self.config.reconcile_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // While somebody looks: of whom that will not tell how it is by then.
        let mut overtaken: Option<HashSet<InstanceId>> = None;
        let (mut sweep, mut swept) = (tokio::spawn(async {}), Instant::now());
        let mut listening = true;
        // The records by which credentials were last issued; none where time may have passed.
        let mut credentials_seen = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    credentials_seen = None;
                    self.purge();
                    self.write_uses();
                    if let Err(error) = self.store.flush() {
                        tracing::error!(%error, "the records could not be brought to disk");
                    }
                    if sweep.is_finished() && swept.elapsed() >= SWEEP_EVERY {
                        (sweep, swept) = (self.sweep_logs(), Instant::now());
                    }
                    if overtaken.is_none() {
                        overtaken = Some(HashSet::new());
                        let (linux, look) = (self.linux.clone(), look.clone());
                        tokio::spawn(async move {
                            // Without a receiver there is no loop any more.
                            let _ = look.send(observe(linux.as_ref()).await).await;
                        });
                    }
                }
                Some(found) = looked.recv() => {
                    let overtaken = overtaken.take().unwrap_or_default();
                    if let Some(mut observed) = found {
                        observed.retain(|it| !overtaken.contains(&it.id));
                        self.take_over(&observed, &overtaken);
                        self.act(Some(&observed), &mut attention, &done);
                    }
                }
                changed = watch.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                event = events.recv(), if listening => match event {
                    Some(event) => {
                        self.take_in(&event);
                        attention.to.extend(self.concerned(&event));
                    }
                    None => listening = false,
                },
                Some(ended) = finished.recv() => {
                    if let Some(overtaken) = &mut overtaken {
                        overtaken.insert(ended.id.clone());
                    }
                    attention.to.insert(ended.id.clone());
                    self.conclude(ended);
                }
            }
            self.settle_gateways();
            self.issue_role_credentials(&mut credentials_seen);
            self.act(None, &mut attention, &done);
        }
    }

    /// The instance that an event is about.
    fn concerned(&self, event: &HostEvent) -> Option<InstanceId> {
        match event {
            HostEvent::PoweredOff(id) | HostEvent::Died(id) | HostEvent::Ready(id) => {
                Some(id.clone())
            }
            HostEvent::LinkLost(port) => {
                let records = self.store.snapshot();
                let attachment = records.interface_behind(*port)?.attachment.as_ref()?;
                Some(attachment.instance_id.clone())
            }
        }
    }

    /// Starts what there is to do and room for: for all instances where they were observed, else
    /// for those that have attention.
    fn act(
        &self,
        observed: Option<&[ObservedInstance]>,
        attention: &mut Attention,
        done: &mpsc::Sender<Done>,
    ) {
        let records = self.store.snapshot();
        attention.follow(records.clone());
        let actions = self.remember(|memories| {
            let whom = observed.map_or(Whom::These(&attention.to), Whom::All);
            let busy = |work| memories.values().filter(|it| it.busy == Some(work)).count();
            let room = Room {
                launches: self.config.launches_at_once.saturating_sub(busy(Work::Launch)),
                changes: CHANGES_AT_ONCE.saturating_sub(busy(Work::Change)),
            };
            let (actions, waiting) = plan(&records, whom, memories, room, Instant::now());
            // Who has something to do, or must wait for it, is looked at again.
            attention.to.retain(|id| {
                memories.get(id).is_some_and(|it| it.busy.is_some() || it.not_before.is_some())
            });
            attention.to.extend(waiting);
            for (id, action) in &actions {
                attention.to.insert(id.clone());
                memories.entry(id.clone()).or_default().busy = Some(action.work());
            }
            actions
        });
        for (id, action) in actions {
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

    /// Writes down when access keys and roles were last used.
    fn write_uses(&self) {
        let news = self.config.uses.take_news(&self.store.snapshot());
        if !news.is_empty() {
            self.change(|tx| news.write(tx));
        }
    }

    /// Changes records of the reconciler's own accord; a failure is tried again at the next pass.
    /// What is lost with the machine's power is found out anew, so the disk is not waited for.
    fn change(&self, change: impl Fn(&mut Transaction) -> Result<(), StoreError>) {
        if let Err(error) = self.store.transact_lightly(change) {
            tracing::error!(%error, "the state of instances could not be recorded");
        }
    }

    fn call(&self, scope: &Scope) -> Call {
        call_of_services(&self.config, scope)
    }
}

/// A call that nobody made: what an account's own services do needs no leave.
pub(crate) fn call_of_services(config: &Arc<Config>, scope: &Scope) -> Call {
    let (scope, now) = (scope.clone(), (config.clock)());
    let caller = Caller::root(scope.account.clone(), "");
    Call { scope, caller, now, endpoint: String::new(), config: config.clone() }
}

/// The instance with an id, wherever it is.
pub(crate) fn instance<'a>(
    records: &'a Snapshot,
    id: &InstanceId,
) -> Option<(&'a Scope, &'a Arc<Instance>)> {
    let (key, instance) = records.referrers_with_keys::<Instance>(id.as_str()).next()?;
    Some((key.scope.as_ref()?, instance))
}

/// What is on the machine, if it can be told.
async fn observe(linux: &dyn Linux) -> Option<Vec<ObservedInstance>> {
    let observed = linux.observe().await;
    observed.inspect_err(|error| tracing::warn!(%error, "the machine cannot be observed")).ok()
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
