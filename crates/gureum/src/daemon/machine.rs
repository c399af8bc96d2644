//! Control's trait `Linux`, done by the host.
//!
//! The host's calls wait for the kernel and for processes, so each is made on a thread for such.

use std::sync::Arc;

use gureum_control::{BoxFuture, Linux, LinuxError};
use gureum_engine::Policy;
use gureum_host::{cloud::Cloud, error::HostError, instance::Instances};
use gureum_services::caller::View;
use gureum_types::{
    InstanceId,
    host::{InstanceSpec, InterfaceSpec, ObservedInstance},
    view::ServiceView,
};

/// The machine that the daemon runs on.
pub(crate) struct Machine {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) view: View,
}

impl Machine {
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Instances) -> Result<T, HostError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, LinuxError>> {
        let instances = Arc::clone(self.cloud.instances());
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || work(&instances)).await {
                Ok(done) => done.map_err(linux_error),
                Err(panic) => Err(LinuxError::Failed(panic.to_string())),
            }
        })
    }
}

fn linux_error(error: HostError) -> LinuxError {
    match error {
        HostError::InsufficientCapacity(text) => LinuxError::InsufficientCapacity(text),
        other => LinuxError::Failed(other.to_string()),
    }
}

impl Linux for Machine {
    fn apply(&self, policy: Arc<Policy>, view: Arc<ServiceView>) -> BoxFuture<'_, ()> {
        // Services first: a packet that the new policy lets through finds its caller known.
        self.view.store(Arc::clone(&view));
        let applied = self.cloud.datapath().apply(Arc::clone(&policy));
        self.cloud.instances().follow(policy, view);
        Box::pin(async move {
            // A data path that is gone takes the next policy when it is back.
            let _epoch = applied.await;
        })
    }

    fn ensure_running(&self, spec: InstanceSpec) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.call(move |instances| instances.ensure_running(&spec))
    }

    fn reboot(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.call(move |instances| instances.reboot(&id))
    }

    fn stop(&self, id: InstanceId, force: bool) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.call(move |instances| instances.stop(&id, force))
    }

    fn terminate(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.call(move |instances| instances.terminate(&id))
    }

    fn observe(&self) -> BoxFuture<'_, Result<Vec<ObservedInstance>, LinuxError>> {
        self.call(|instances| instances.observe())
    }

    fn console(&self, id: InstanceId) -> BoxFuture<'_, Result<Vec<u8>, LinuxError>> {
        self.call(move |instances| instances.console(&id))
    }

    fn attach_interface(
        &self,
        id: InstanceId,
        interface: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.call(move |instances| instances.attach_interface(&id, &interface))
    }

    fn detach_interface(
        &self,
        id: InstanceId,
        interface: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>> {
        self.call(move |instances| instances.detach_interface(&id, &interface.id))
    }
}
