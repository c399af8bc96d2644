//! All records of an earlier moment in place of the present ones.

use std::{collections::HashMap, sync::Arc};

use gureum_store::{Snapshot, StoreError, Transaction};
use gureum_types::{
    InstanceId, Timestamp,
    record::{Instance, InstanceState, Scope},
};

use crate::control::Control;

impl Control {
    /// Puts the records of a snapshot in the place of the present ones, in one transaction. Instances
    /// are started and removed by the reconciler.
    pub async fn restore(&self, snapshot: Arc<Snapshot>) -> Result<(), StoreError> {
        let (store, now) = (self.store().clone(), (self.config().clock)());
        let done = tokio::task::spawn_blocking(move || {
            store.transact(|tx| -> Result<(), StoreError> {
                let present = starts(tx);
                tx.replace_with(&snapshot);
                begin_anew(tx, &present, now);
                Ok(())
            })
        });
        done.await.map_err(|error| StoreError::Io(error.to_string()))??;
        self.publish().await;
        Ok(())
    }
}

/// How often instances were started, and whether they are on.
fn starts(records: &Snapshot) -> HashMap<InstanceId, (u32, bool)> {
    let is_on = |it: &Instance| it.state == InstanceState::Running;
    let all = records.everywhere::<Instance>();
    all.map(|(_, it)| (it.id.clone(), (it.starts, is_on(it)))).collect()
}

/// Each start of an instance has a number of its own, which only grows: one that is on and stays on
/// goes on, another one is started again. What was on its way when the snapshot was made has arrived.
fn begin_anew(tx: &mut Transaction, present: &HashMap<InstanceId, (u32, bool)>, now: Timestamp) {
    let all: Vec<(Scope, Arc<Instance>)> = tx
        .everywhere::<Instance>()
        .filter_map(|(key, it)| Some((key.scope.clone()?, it.clone())))
        .collect();
    for (scope, it) in all {
        let (starts, is_on) = present.get(&it.id).copied().unwrap_or((0, false));
        tx.update::<Instance>(&scope, it.id.as_str(), |it| {
            use InstanceState::{Pending, Running, Stopped, Stopping};
            it.state = match it.state {
                Pending | Running => Running,
                Stopping | Stopped => Stopped,
                gone => gone,
            };
            let goes_on = is_on && it.state == Running;
            it.starts = match it.state {
                Running if goes_on => starts,
                Running => it.starts.max(starts) + 1,
                _ => it.starts.max(starts),
            };
            it.reboots_done = it.reboots;
            it.force_stop = false;
            if !goes_on {
                it.status_ok = false;
                it.state_changed = now;
            }
        });
    }
}
