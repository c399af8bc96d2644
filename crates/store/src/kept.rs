//! Snapshots that are kept: all records of a moment in a folder of their own, in the journal's
//! format.

use std::{path::Path, sync::Arc};

use crate::{
    Snapshot, Store, StoreError, Transaction, backend::Backend as _, journal::Journal, kind::Stored,
};

impl Snapshot {
    /// Writes all records into a folder, which is made if it is not there; when this returns they
    /// survive the loss of power.
    pub fn save(&self, folder: &Path) -> Result<(), StoreError> {
        Journal::open(folder)?.restore(self)
    }

    /// Reads what [`Self::save`] wrote. A folder of another version of the format is refused or
    /// taken over as the store does with its own.
    pub fn open(folder: &Path) -> Result<Arc<Self>, StoreError> {
        Ok(Store::open(folder)?.snapshot())
    }
}

impl Transaction {
    /// Makes the records of a kind those of another snapshot.
    pub(crate) fn replace_kind<T: Stored>(&mut self, with: &Snapshot) {
        let changed: Vec<_> =
            with.changed::<T>(self).map(|(key, record)| (key.clone(), record.cloned())).collect();
        for (key, record) in changed {
            match record {
                Some(record) => drop(self.put_key(key, Arc::unwrap_or_clone(record))),
                None => self.remove_key::<T>(&key),
            }
        }
    }
}
