//! From records to the data path: compile what changed and wait until it is used.

use std::{sync::Arc, time::Duration};

use gureum_store::{Snapshot, Store};
use gureum_types::record::{
    Address, DhcpOptions, Instance, InternetGateway, KeyPair, NetworkAcl, NetworkInterface,
    RouteTable, SecurityGroup, SecurityGroupRule, Subnet, Volume, Vpc,
};
use tokio::sync::Mutex;

use crate::{compile::compile, config::Config, linux::Linux};

/// Keeps the data path at the newest records.
pub(crate) struct Publisher {
    store: Arc<Store>,
    linux: Arc<dyn Linux>,
    config: Arc<Config>,
    /// What the data path uses; nothing until the first time.
    published: Mutex<Option<Arc<Snapshot>>>,
}

/// Whether policy and view would come out the same.
fn same(a: &Snapshot, b: &Snapshot) -> bool {
    a.same::<Vpc>(b)
        && a.same::<Subnet>(b)
        && a.same::<RouteTable>(b)
        && a.same::<InternetGateway>(b)
        && a.same::<SecurityGroup>(b)
        && a.same::<SecurityGroupRule>(b)
        && a.same::<NetworkAcl>(b)
        && a.same::<DhcpOptions>(b)
        && a.same::<NetworkInterface>(b)
        && a.same::<Address>(b)
        && a.same::<Instance>(b)
        && a.same::<Volume>(b)
        && a.same::<KeyPair>(b)
}

impl Publisher {
    pub(crate) fn new(store: Arc<Store>, linux: Arc<dyn Linux>, config: Arc<Config>) -> Self {
        Self { store, linux, config, published: Mutex::new(None) }
    }

    /// Brings the data path to the records as they are now, or later. Callers at the same time
    /// share the work: while one is compiled, others wait, and the next covers all of them.
    pub(crate) async fn publish(&self) {
        let asked = self.store.snapshot().revision();
        let mut published = self.published.lock().await;
        if published.as_ref().is_some_and(|it| it.revision() >= asked) {
            return;
        }
        let snapshot = self.store.snapshot();
        if published.as_ref().is_some_and(|before| same(before, &snapshot)) {
            *published = Some(snapshot);
            return;
        }
        let (policy, view) = compile(&snapshot, &self.config.fabric);
        self.linux.apply(Arc::new(policy), Arc::new(view)).await;
        *published = Some(snapshot);
    }

    /// As [`Self::publish`], but waits no longer than it may; the work goes on without the caller.
    pub(crate) async fn publish_within(self: &Arc<Self>, patience: Duration) {
        let publisher = self.clone();
        let work = tokio::spawn(async move { publisher.publish().await });
        if tokio::time::timeout(patience, work).await.is_err() {
            tracing::warn!(?patience, "the data path is late");
        }
    }
}
