//! What can go wrong on the machine, in sentences that say what to do where we know it.

use std::{io, path::PathBuf};

use gureum_types::InstanceId;

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The machine cannot hold one more; the message names the limit and how to raise it.
    #[error("{0}")]
    InsufficientCapacity(String),
    /// There is no such instance on this machine.
    #[error("{0} is not on this machine")]
    NoSuchInstance(InstanceId),
    /// The instance is there but no process of it runs.
    #[error("{0} is not running")]
    NotRunning(InstanceId),
    /// The image is missing or broken.
    #[error("the machine image {0} is not usable: {1}; build it with `make image`")]
    Image(PathBuf, String),
    /// A program or a supervisor of ours reported why it could not go on.
    #[error("{0}")]
    Failed(String),
    /// The kernel refused.
    #[error("{what}: {source}")]
    Kernel {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl HostError {
    /// Whether the machine has no more of something: memory, disk, processes, namespaces.
    pub fn is_capacity(&self) -> bool {
        let used_up = |errno: i32| {
            [
                libc::ENOSPC,
                libc::EDQUOT,
                libc::ENOMEM,
                libc::EMFILE,
                libc::ENFILE,
                libc::EUSERS,
                libc::EAGAIN,
            ]
            .contains(&errno)
        };
        match self {
            Self::InsufficientCapacity(_) => true,
            Self::Kernel { source, .. } => source.raw_os_error().is_some_and(used_up),
            _ => false,
        }
    }

    /// The same, as a lack of capacity where it is one.
    pub(crate) fn by_cause(self) -> Self {
        if self.is_capacity() { Self::InsufficientCapacity(self.to_string()) } else { self }
    }
}

/// The result of this room.
pub type Result<T, E = HostError> = std::result::Result<T, E>;

/// Says what was tried when the kernel refuses.
pub(crate) trait Context<T> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| HostError::Kernel { what: what().into(), source })
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| HostError::Kernel { what: what().into(), source: errno.into() })
    }
}
