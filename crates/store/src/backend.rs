//! Where records are kept: the trait, and the backend that forgets.

use crate::StoreError;

/// A record as a backend sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The kind's name, as [`crate::Stored::KIND`].
    pub kind: String,
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
        kind: String,
        /// The place and id within the kind.
        key: String,
    },
}

/// All that a backend holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The number of the last commit.
    pub revision: u64,
    /// All records, in no particular order.
    pub rows: Vec<Row>,
}

/// A durable place for records.
///
/// When `commit` has returned, its changes survive the loss of power; when it has failed, none of
/// them must be there later, which `restore` makes sure of.
pub trait Backend: Send {
    /// Reads all.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Writes the changes of one transaction: all of them or none.
    fn commit(&mut self, revision: u64, changes: &[Change]) -> Result<(), StoreError>;

    /// Makes the backend usable again after a commit that failed, with exactly this content: a
    /// failed commit may yet have reached the disk.
    fn restore(&mut self, content: &Loaded) -> Result<(), StoreError>;
}

/// Keeps nothing: the records of a store in memory end with it.
#[derive(Debug, Default)]
pub struct Memory;

impl Backend for Memory {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }

    fn commit(&mut self, _revision: u64, _changes: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }

    fn restore(&mut self, _content: &Loaded) -> Result<(), StoreError> {
        Ok(())
    }
}
