//! From records to the data path: compile what changed and wait until it is used.

use std::{sync::Arc, time::Duration};

use gureum_engine::Policy;
use gureum_store::{Snapshot, Store};
use tokio::sync::Mutex;

use crate::{compile::Compiled, config::Config, linux::Linux};

/// Keeps the data path at the newest records.
pub(crate) struct Publisher {
    store: Arc<Store>,
    linux: Arc<dyn Linux>,
    config: Arc<Config>,
    /// What the data path uses; nothing until the first time.
    published: Mutex<Option<Compiled>>,
    /// What was compiled for a question last, where there is no data path.
    asked: Mutex<Option<Compiled>>,
}

impl Publisher {
    pub(crate) fn new(store: Arc<Store>, linux: Arc<dyn Linux>, config: Arc<Config>) -> Self {
        Self { store, linux, config, published: Mutex::new(None), asked: Mutex::new(None) }
    }

    /// Brings the data path to the records as they are now, or later. Callers at the same time
    /// share the work: while one is compiled, others wait, and the next covers all of them.
    pub(crate) async fn publish(&self) {
        if !self.linux.has_data_path() {
            return;
        }
        let asked = self.store.snapshot().revision();
        let mut published = self.published.lock().await;
        if published.as_ref().is_some_and(|it| it.revision() >= asked) {
            return;
        }
        let records = self.store.snapshot();
        // Taken: whoever is cut short while the data path takes it over leaves nothing behind,
        // and the next one gives all of it again.
        let compiled = match published.take() {
            None => {
                let compiled = Compiled::new(records, &self.config.fabric);
                self.linux.apply(compiled.policy.clone(), compiled.view.clone()).await;
                compiled
            }
            Some(before) => {
                let (policy, view) = (before.policy.clone(), before.view.clone());
                let compiled = before.next(records);
                if !Arc::ptr_eq(&policy, &compiled.policy) || !Arc::ptr_eq(&view, &compiled.view) {
                    self.linux.apply(compiled.policy.clone(), compiled.view.clone()).await;
                }
                compiled
            }
        };
        *published = Some(compiled);
    }

    /// The records as they are now, or later, with the policy that was compiled from them: the data
    /// path's, where there is one. What did not change since the last question is not compiled again.
    pub(crate) async fn model(&self) -> (Arc<Snapshot>, Arc<Policy>) {
        if self.linux.has_data_path() {
            self.publish().await;
            if let Some(compiled) = &*self.published.lock().await {
                return compiled.model();
            }
        }
        let mut asked = self.asked.lock().await;
        let records = self.store.snapshot();
        let compiled = match asked.take() {
            Some(before) if before.revision() == records.revision() => before,
            Some(before) => before.next(records),
            None => Compiled::new(records, &self.config.fabric),
        };
        asked.insert(compiled).model()
    }

    /// As [`Self::publish`], but waits no longer than it may; the work goes on without the caller.
    pub(crate) async fn publish_within(self: &Arc<Self>, patience: Duration) {
        if !self.linux.has_data_path() {
            return;
        }
        let publisher = self.clone();
        let work = tokio::spawn(async move { publisher.publish().await });
        if tokio::time::timeout(patience, work).await.is_err() {
            tracing::warn!(?patience, "the data path is late");
        }
    }
}
