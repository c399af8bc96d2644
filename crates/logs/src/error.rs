//! What can go wrong with log data.

use std::io;

/// Why log data could not be read or written. What was there before is still there.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no room left where it is kept.
    #[error("the disk is full: {0}")]
    Full(io::Error),
    /// Reading or writing failed in another way.
    #[error("log data could not be read or written: {0}")]
    Io(String),
    /// What is on disk is not what this program writes.
    #[error("the log data on disk is damaged: {0}")]
    Damaged(String),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Io(error.to_string()),
        }
    }
}

impl From<redb::Error> for LogError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::Corrupted(what) => Self::Damaged(what),
            other => Self::Io(other.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($kind:ident)*) => {$(
        impl From<redb::$kind> for LogError {
            fn from(error: redb::$kind) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb! { CommitError DatabaseError SetDurabilityError StorageError TableError TransactionError }
