//! What can go wrong in a store.

use std::{io, path::PathBuf};

/// Why the store could not do what it was asked. Whatever it says, records are as before.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room left where the records are kept.
    #[error("the disk is full: {0}")]
    Full(io::Error),
    /// Reading or writing failed in another way.
    #[error("the records could not be read or written: {0}")]
    Io(String),
    /// Another daemon has the records open.
    #[error("{} is in use by another daemon", .0.display())]
    InUse(PathBuf),
    /// What is on disk is not what this program writes.
    #[error("the records on disk are damaged: {0}")]
    Damaged(String),
    /// A version before the first release wrote what is on disk.
    #[error("{} is of a version before the first release", .0.display())]
    Older(PathBuf),
    /// A later version of this program wrote what is on disk.
    #[error("the records on disk have format {found}, this program knows up to {known}")]
    Newer {
        /// The format found.
        found: u64,
        /// The newest one that is understood here.
        known: u64,
    },
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Io(error.to_string()),
        }
    }
}
