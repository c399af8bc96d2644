//! Where records are kept: the trait, and the backend that forgets.

use std::sync::Arc;

use crate::{Snapshot, StoreError};

/// A record as a backend sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kind's name, as [`crate::Stored::KIND`].
    pub kind: &'static str,
    /// The place and id within the kind, as [`crate::Key`] writes itself.
    pub key: String,
    /// JSON.
    pub value: Vec<u8>,
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A record is there from now on, new or changed.
    Put(Row),
    /// A record is gone.
    Delete {
        /// The kind's name.
        kind: &'static str,
        /// The place and id within the kind.
        key: String,
    },
}

/// Takes a record that was read: its kind, its key and its value, as in a [`Row`].
pub type Put<'a> = dyn FnMut(&str, &str, &[u8]) -> Result<(), StoreError> + 'a;

/// When the changes of a commit must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it returns.
    Now,
    /// When the next one that is so returns. What is lost without it would come about again by
    /// itself.
    WithNext,
}

/// A durable place for records.
///
/// When `commit` has returned, its changes and all earlier ones survive the loss of power, if they
/// must do so now; when it has failed, none of them must be there later, which `restore` makes
/// sure of.
pub trait Backend: Send {
    /// Reads all records, in no particular order; the number of the last commit.
    fn load(&mut self, put: &mut Put<'_>) -> Result<u64, StoreError>;

    /// Writes the changes of one transaction: all of them or none.
    fn commit(
        &mut self,
        revision: u64,
        changes: &[Change],
        durability: Durability,
    ) -> Result<(), StoreError>;

    /// Brings to disk what earlier commits did not have to.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Makes the backend usable again after a commit that failed, with exactly this content: a
    /// failed commit may yet have reached the disk.
    fn restore(&mut self, content: &Snapshot) -> Result<(), StoreError>;

    /// Is told after each commit what there is now, so that it may put its files in order; nobody
    /// shall have to wait for that.
    fn tidy(&mut self, content: &Arc<Snapshot>);
}

/// Keeps nothing: the records of a store in memory end with it.
#[derive(Debug, Default)]
pub struct Memory;

impl Backend for Memory {
    fn load(&mut self, _put: &mut Put<'_>) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn commit(
        &mut self,
        _revision: u64,
        _changes: &[Change],
        _durability: Durability,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn restore(&mut self, _content: &Snapshot) -> Result<(), StoreError> {
        Ok(())
    }

    fn tidy(&mut self, _content: &Arc<Snapshot>) {}
}
