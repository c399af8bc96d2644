//! The windows that wait, and the order in which they are delivered.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
};

use gureum_store::{Snapshot, Store, StoreError};
use gureum_types::{
    FlowLogId, NetworkInterfaceId, Timestamp, Window,
    record::{DepartedInterface, FlowLog, FlowLogDelivery, FlowLogDestination, Scope},
};
use tokio::{runtime::Handle, time::MissedTickBehavior};

use super::{
    interface::forgettable,
    job::{Failure, Job, Member, has_long_part},
    notes::{Notes, Part},
};
use crate::{config::Config, flow_windows::FlowWindows};

/// The longer interval of aggregation (FL-2); it begins at whole tens of minutes.
const LONG_MS: i64 = 600_000;
/// How often AWS writes a file to a bucket (FL-14).
const FILE_MS: i64 = 300_000;
/// How late AWS delivers (FL-11).
const AWS_DELAY_MS: i64 = 300_000;
/// By then a window that was open is surely closed.
const CLOSED_AFTER_MS: i64 = 120_000;
/// How long a window waits for a destination that does not take it.
const KEPT_MS: i64 = 24 * 3_600_000;
/// How many windows wait for such a destination.
const KEPT: usize = 1_440;

/// A window that waits.
#[derive(Clone, Debug)]
struct Waiting {
    name: String,
    start: Timestamp,
    end: Timestamp,
    notes: Notes,
}

/// Delivers closed windows until the task is dropped.
pub(crate) async fn run(store: Arc<Store>, config: Arc<Config>, windows: Arc<dyn FlowWindows>) {
    let mut tick = tokio::time::interval(config.reconcile_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let new = || Delivery {
        store: store.clone(),
        config: config.clone(),
        windows: windows.clone(),
        runtime: Handle::current(),
        waiting: Vec::new(),
        last: None,
        closed_until: Timestamp(0),
    };
    let mut delivery = new();
    loop {
        let pass = tokio::task::spawn_blocking(move || {
            delivery.pass();
            delivery
        });
        delivery = pass.await.unwrap_or_else(|error| {
            tracing::error!(%error, "delivering flow logs");
            new()
        });
        tokio::select! {
            () = windows.closed() => {}
            _ = tick.tick() => {}
        }
    }
}

/// What is remembered from one pass to the next; all of it could be read anew.
struct Delivery {
    store: Arc<Store>,
    config: Arc<Config>,
    windows: Arc<dyn FlowWindows>,
    runtime: Handle,
    /// The oldest first.
    waiting: Vec<Waiting>,
    /// The window that was read last: often several flow logs cover it.
    last: Option<(String, Arc<Window>)>,
    /// Until when windows were seen.
    closed_until: Timestamp,
}

/// Deliveries that are tried no more in this pass.
type Failed = BTreeMap<FlowLogId, Scope>;

impl Delivery {
    /// Delivers what is due.
    fn pass(&mut self) {
        if let Err(error) = self.look() {
            tracing::error!(%error, "the windows of flow logs cannot be listed");
            return;
        }
        let mut failed = Failed::new();
        for index in 0..self.waiting.len() {
            let records = self.store.snapshot();
            for (scope, log) in logs(&records) {
                for part in [Part::Short, Part::Long] {
                    if failed.contains_key(&log.id) {
                        break;
                    }
                    let members = self.due(index, log, part);
                    if !members.is_empty() && !self.deliver(scope, &log.id, part, &members) {
                        failed.insert(log.id.clone(), scope.clone());
                    }
                }
            }
        }
        self.last = None;
        self.give_up(&failed);
        self.tidy();
    }

    /// Finds out what waits.
    fn look(&mut self) -> io::Result<()> {
        let names = self.windows.list()?;
        let mut known: BTreeMap<_, _> =
            std::mem::take(&mut self.waiting).into_iter().map(|it| (it.name.clone(), it)).collect();
        for name in names {
            if let Some(waiting) = known.remove(&name) {
                self.waiting.push(waiting);
                continue;
            }
            match self.read(&name) {
                Ok(window) => {
                    let (start, end) = (window.start, window.end);
                    let notes = Notes::read(&self.windows.notes(&name).unwrap_or_default());
                    self.closed_until = self.closed_until.max(end);
                    self.waiting.push(Waiting { name, start, end, notes });
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.lost(&name, &error);
                }
                Err(error) => tracing::error!(name, %error, "a window of flow logs cannot be read"),
            }
        }
        Ok(())
    }

    fn read(&mut self, name: &str) -> io::Result<Arc<Window>> {
        if let Some((_, window)) = self.last.as_ref().filter(|(last, _)| last == name) {
            return Ok(window.clone());
        }
        // Only one is in memory at a time.
        self.last = None;
        let window = Arc::new(self.windows.read(name)?);
        self.last = Some((name.to_owned(), window.clone()));
        Ok(window)
    }

    /// A window is not whole: whoever waits for it is told so later.
    fn lost(&self, name: &str, error: &io::Error) {
        tracing::warn!(name, %error, "a window of flow logs is damaged and was given up");
        let now = (self.config.clock)();
        let from = match self.closed_until {
            Timestamp(0) => Timestamp(now.0 - CLOSED_AFTER_MS),
            until => until,
        };
        let records = self.store.snapshot();
        let told = logs(&records).filter(|(_, log)| log.created < now);
        let told = told.map(|(scope, log)| (scope.clone(), log.id.clone(), from, now));
        if self.drop_from(&told.collect::<Vec<_>>()) {
            self.remove(name);
        }
    }

    /// The windows to deliver together, if the one at `index` is the last of them and they are due.
    fn due(&self, index: usize, log: &FlowLog, part: Part) -> Vec<usize> {
        let nothing = Vec::new();
        let is_wanting = |it: &Waiting| log.created <= it.start && !it.notes.has(&log.id, part);
        let Some(this) = self.waiting.get(index).filter(|it| is_wanting(it)) else {
            return nothing;
        };
        if part == Part::Long && !has_long_part(log) {
            return nothing;
        }
        let now = (self.config.clock)().0;
        let delay = if self.config.aws_timing { AWS_DELAY_MS } else { 0 };
        let is_file = matches!(log.destination, FlowLogDestination::Bucket { .. });
        let length = match part {
            Part::Long => LONG_MS,
            Part::Short if is_file && self.config.aws_timing => FILE_MS,
            Part::Short => {
                // A closed window is over, whatever the clock says that it was closed by.
                let is_due = delay == 0 || now >= this.end.0 + delay;
                return if is_due { vec![index] } else { nothing };
            }
        };
        let slot = |it: &Waiting| it.start.0.div_euclid(length);
        let end = (slot(this) + 1) * length;
        let is_over = self.closed_until.0 >= end || now >= end + CLOSED_AFTER_MS;
        let mut members = self.waiting.iter().enumerate().filter(|(_, it)| slot(it) == slot(this));
        // What went into the short part must be known.
        let is_ready = |it: &Waiting| {
            part == Part::Short || log.created > it.start || it.notes.has(&log.id, Part::Short)
        };
        let is_last = members.clone().all(|(at, it)| at <= index || !is_wanting(it));
        match is_over && is_last && now >= end + delay && members.all(|(_, it)| is_ready(it)) {
            true => {
                let all = self.waiting.iter().enumerate();
                all.filter(|(_, it)| slot(it) == slot(this) && is_wanting(it))
                    .map(|(at, _)| at)
                    .collect()
            }
            false => nothing,
        }
    }

    /// Delivers a part of windows to a flow log, and notes it; whether that went well.
    fn deliver(&mut self, scope: &Scope, id: &FlowLogId, part: Part, members: &[usize]) -> bool {
        let records = self.store.snapshot();
        // Deleted meanwhile (FL-13).
        let Some(log) = records.find::<FlowLog>(scope, id.as_str()).cloned() else { return true };
        let windows: Vec<_> =
            members.iter().filter_map(|it| self.waiting.get(*it)).cloned().collect();
        let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return true };
        let (store, config) = (self.store.clone(), self.config.clone());
        let runtime = self.runtime.clone();
        let job = Job {
            store: &store,
            config: &config,
            runtime: &runtime,
            records: &records,
            scope,
            log: &log,
            part,
            span: (first.start, last.end),
        };
        let of_job: Vec<_> = windows
            .iter()
            .map(|it| Member { span: (it.start, it.end), notes: &it.notes })
            .collect();
        let read = |number: usize| match windows.get(number) {
            Some(window) => self.read(&window.name),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        match job.deliver(&of_job, read) {
            Ok(apart) => {
                let told = part == Part::Short;
                self.delivered(scope, &log, told);
                self.note(&log.id, part, members, &apart)
            }
            Err(Failure::Destination(delivery)) => {
                self.set_state(scope, &log, delivery, log.dropped);
                false
            }
            Err(Failure::Window(error)) => {
                tracing::error!(%error, "a window of flow logs cannot be read");
                // It is looked at anew.
                self.waiting.retain(|it| windows.iter().all(|other| other.name != it.name));
                false
            }
        }
    }

    /// A delivery went well; with it, what had been given up before was told where `told` is set.
    fn delivered(&self, scope: &Scope, log: &FlowLog, told: bool) {
        let dropped = log.dropped.filter(|_| !told);
        self.set_state(scope, log, FlowLogDelivery::Success, dropped);
    }

    fn set_state(
        &self,
        scope: &Scope,
        log: &FlowLog,
        delivery: FlowLogDelivery,
        dropped: Option<(Timestamp, Timestamp)>,
    ) {
        if (log.delivery, log.dropped) == (delivery, dropped) {
            return;
        }
        let written = self.store.transact(|tx| {
            tx.update::<FlowLog>(scope, log.id.as_str(), |it| {
                (it.delivery, it.dropped) = (delivery, dropped);
            });
            Ok::<_, StoreError>(())
        });
        if let Err(error) = written {
            tracing::error!(%error, "how a flow log is delivered could not be recorded");
        }
    }

    /// Notes that a flow log has a part of windows; whether that went well.
    fn note(
        &mut self,
        log: &FlowLogId,
        part: Part,
        members: &[usize],
        apart: &[NetworkInterfaceId],
    ) -> bool {
        for index in members {
            let Some(waiting) = self.waiting.get_mut(*index) else { continue };
            waiting.notes.add(log, part, apart.iter().cloned());
            if let Err(error) = self.windows.note(&waiting.name, &waiting.notes.written()) {
                tracing::error!(%error, "what is delivered of a window could not be noted");
                return false;
            }
        }
        true
    }

    /// Gives up what waits for too long for a destination that does not take it.
    fn give_up(&mut self, failed: &Failed) {
        let now = (self.config.clock)().0;
        let surplus = self.waiting.len().saturating_sub(KEPT);
        let records = self.store.snapshot();
        for (id, scope) in failed {
            let Some(log) = records.find::<FlowLog>(scope, id.as_str()) else { continue };
            let is_old = |at: usize, it: &Waiting| {
                (at < surplus || now - it.end.0 > KEPT_MS) && is_open(log, it)
            };
            let old: Vec<_> = self
                .waiting
                .iter()
                .enumerate()
                .filter(|(at, it)| is_old(*at, it))
                .map(|(at, it)| (at, it.start, it.end))
                .collect();
            let (Some((_, from, _)), Some((_, _, to))) = (old.first(), old.last()) else {
                continue;
            };
            let (from, to) = (*from, *to);
            tracing::warn!(flow_log = %id, %from, %to, "a flow log could not be delivered for too long");
            if self.drop_from(&[(scope.clone(), id.clone(), from, to)]) {
                let members: Vec<_> = old.iter().map(|(at, ..)| *at).collect();
                let _ = self.note(id, Part::Short, &members, &[])
                    && self.note(id, Part::Long, &members, &[]);
            }
        }
    }

    /// Records what flow logs will never get; whether it is on disk.
    fn drop_from(&self, dropped: &[(Scope, FlowLogId, Timestamp, Timestamp)]) -> bool {
        let written = self.store.transact(|tx| {
            for (scope, id, from, to) in dropped {
                tx.update::<FlowLog>(scope, id.as_str(), |it| {
                    let (start, end) = it.dropped.unwrap_or((*from, *to));
                    it.dropped = Some((start.min(*from), end.max(*to)));
                });
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = &written {
            tracing::error!(%error, "what flow logs lost could not be recorded");
        }
        written.is_ok()
    }

    fn remove(&self, name: &str) {
        if let Err(error) = self.windows.remove(name) {
            tracing::error!(name, %error, "a window of flow logs cannot be removed");
        }
    }

    /// Removes the windows that nobody waits for any more, and what was kept for their sake.
    fn tidy(&mut self) {
        let records = self.store.snapshot();
        let all: Vec<_> = logs(&records).map(|(_, log)| log.clone()).collect();
        let is_open = |it: &Waiting| all.iter().any(|log| is_open(log, it));
        let (open, done) = std::mem::take(&mut self.waiting).into_iter().partition(is_open);
        self.waiting = open;
        let done: HashSet<String> = done.into_iter().map(|it: Waiting| it.name).collect();
        for name in &done {
            self.remove(name);
        }
        let closed = (self.config.clock)().0 - CLOSED_AFTER_MS;
        let before = self.waiting.iter().map(|it| it.start.0).fold(closed, i64::min);
        let gone = forgettable(&records, Timestamp(before));
        if gone.is_empty() {
            return;
        }
        let forgotten = self.store.transact_lightly(|tx| {
            for (scope, id) in &gone {
                tx.remove::<DepartedInterface>(scope, id);
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = forgotten {
            tracing::error!(%error, "interfaces that are gone could not be forgotten");
        }
    }
}

/// Whether a flow log still wants something of a window.
fn is_open(log: &FlowLog, waiting: &Waiting) -> bool {
    let lacks = |part| !waiting.notes.has(&log.id, part);
    log.created <= waiting.start
        && (lacks(Part::Short) || (has_long_part(log) && lacks(Part::Long)))
}

/// All flow logs, with where they are.
fn logs(records: &Snapshot) -> impl Iterator<Item = (&Scope, &Arc<FlowLog>)> {
    let all = records.everywhere::<FlowLog>();
    all.filter_map(|(key, log)| Some((key.scope.as_ref()?, log)))
}
