//! What control asks of Linux. The binary wires it to the host; tests to a recording double.

use std::{future::Future, pin::Pin, sync::Arc};

use gureum_engine::Policy;
use gureum_types::{
    InstanceId,
    host::{InstanceSpec, InterfaceSpec, ObservedInstance},
    view::ServiceView,
};

/// A future behind a pointer, so that [`Linux`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why Linux could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinuxError {
    /// Something of which the machine has only so much is used up; the text says what.
    #[error("{0}")]
    InsufficientCapacity(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// The machine below: its data path and its instances. Everything may be asked again at any
/// time, in any state, and ends in the same place.
pub trait Linux: Send + Sync + 'static {
    /// Whether there is a data path that wants policies.
    fn has_data_path(&self) -> bool {
        true
    }

    /// Gives policy and view to the data path and the services. Done when both use them.
    fn apply(&self, policy: Arc<Policy>, view: Arc<ServiceView>) -> BoxFuture<'_, ()>;

    /// Makes an instance run, with these interfaces. Done when its init runs and its links are
    /// up. An instance that already runs in this start is adopted as it is.
    fn ensure_running(&self, spec: InstanceSpec) -> BoxFuture<'_, Result<(), LinuxError>>;

    /// Boots a running instance anew, keeping its interfaces and its disk.
    fn reboot(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>>;

    /// Switches an instance off; with `force` without asking its operating system. Done when no
    /// process of it is left. One that is off stays off.
    fn stop(&self, id: InstanceId, force: bool) -> BoxFuture<'_, Result<(), LinuxError>>;

    /// Removes an instance: processes, links, disk. Done when nothing is left.
    fn terminate(&self, id: InstanceId) -> BoxFuture<'_, Result<(), LinuxError>>;

    /// What instances are there, as found and not as remembered.
    fn observe(&self) -> BoxFuture<'_, Result<Vec<ObservedInstance>, LinuxError>>;

    /// What an instance wrote to its console so far.
    fn console(&self, id: InstanceId) -> BoxFuture<'_, Result<Vec<u8>, LinuxError>>;

    /// Adds an interface to a running instance, or makes one anew whose link vanished.
    fn attach_interface(
        &self,
        id: InstanceId,
        interface: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>>;

    /// Takes an interface away from a running instance.
    fn detach_interface(
        &self,
        id: InstanceId,
        interface: InterfaceSpec,
    ) -> BoxFuture<'_, Result<(), LinuxError>>;
}
