//! Changing records: one writer at a time, all or nothing.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use gureum_types::{AccountId, record::Scope};
use tokio::sync::watch;

use crate::{
    StoreError,
    backend::{Backend, Change, Durability, Memory, Row},
    journal::Journal,
    kind::Stored,
    snapshot::{Key, Snapshot, row},
};

/// The records of the cloud.
pub struct Store {
    writer: Mutex<Writer>,
    current: RwLock<Arc<Snapshot>>,
    revision: watch::Sender<u64>,
}

struct Writer {
    backend: Box<dyn Backend>,
    /// Whether the last commit failed, so that the backend's content is uncertain.
    uncertain: bool,
    /// Whether the last commit need not be on disk yet.
    owing: bool,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("revision", &*self.revision.borrow()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::with_backend(Box::new(Journal::open(directory)?))
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Self {
        Self::of(Box::new(Memory), Snapshot::default())
    }

    /// A store on a backend, with what that holds.
    pub fn with_backend(mut backend: Box<dyn Backend>) -> Result<Self, StoreError> {
        let mut snapshot = Snapshot::default();
        snapshot.revision =
            backend.load(&mut |kind, key, value| snapshot.load(kind, key, value))?;
        Ok(Self::of(backend, snapshot))
    }

    fn of(backend: Box<dyn Backend>, snapshot: Snapshot) -> Self {
        let (revision, _) = watch::channel(snapshot.revision);
        Self {
            writer: Mutex::new(Writer { backend, uncertain: false, owing: false }),
            current: RwLock::new(Arc::new(snapshot)),
            revision,
        }
    }

    /// All records as they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the revision of every change, the present one first.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Changes records. When this returns `Ok`, the changes are on disk and in every snapshot
    /// taken from now on; when it returns `Err`, whether the closure's or the backend's, nothing
    /// has changed. A closure that changes nothing writes nothing.
    ///
    /// The closure must depend on nothing but the transaction and what it owns: another backend
    /// may run it more than once. It must not use the store itself.
    pub fn transact<R, E: From<StoreError>>(
        &self,
        change: impl Fn(&mut Transaction) -> Result<R, E>,
    ) -> Result<R, E> {
        self.write(Durability::Now, change)
    }

    /// As [`Self::transact`], but the changes are on disk with the next transaction only, or with
    /// [`Self::flush`]: for what would come about again by itself.
    pub fn transact_lightly<R, E: From<StoreError>>(
        &self,
        change: impl Fn(&mut Transaction) -> Result<R, E>,
    ) -> Result<R, E> {
        self.write(Durability::WithNext, change)
    }

    /// Brings to disk what is not there yet.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.owing && !writer.uncertain {
            writer.backend.sync()?;
            writer.owing = false;
        }
        Ok(())
    }

    fn write<R, E: From<StoreError>>(
        &self,
        durability: Durability,
        change: impl Fn(&mut Transaction) -> Result<R, E>,
    ) -> Result<R, E> {
        // A panic in a closure leaves nothing half done: the snapshot is swapped at the very end.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let mut transaction = Transaction { after: (*before).clone(), changes: BTreeMap::new() };
        let result = change(&mut transaction)?;
        let Transaction { mut after, changes } = transaction;
        let changes = changes
            .into_iter()
            .map(|((kind, key), row)| match row {
                Some(row) => row().map(Change::Put),
                None => Ok(Change::Delete { kind, key: key.to_string() }),
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        if changes.is_empty() {
            return Ok(result);
        }
        after.revision = before.revision + 1;
        if writer.uncertain {
            writer.backend.restore(&before)?;
            writer.uncertain = false;
        }
        if let Err(error) = writer.backend.commit(after.revision, &changes, durability) {
            tracing::error!(%error, "a transaction could not be written");
            writer.uncertain = true;
            return Err(error.into());
        }
        writer.owing = durability == Durability::WithNext;
        let revision = after.revision;
        let after = Arc::new(after);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = after.clone();
        writer.backend.tidy(&after);
        self.revision.send_replace(revision);
        Ok(result)
    }
}

impl Snapshot {
    /// What a change would make of these records, with what it returns. It is made on a copy: the
    /// store knows nothing of it.
    pub fn changed_by<R>(&self, change: impl FnOnce(&mut Transaction) -> R) -> (R, Self) {
        let mut transaction = Transaction { after: self.clone(), changes: BTreeMap::new() };
        let result = change(&mut transaction);
        let Transaction { mut after, changes } = transaction;
        if !changes.is_empty() {
            after.revision += 1;
        }
        (result, after)
    }
}

/// Makes the form on disk of a changed record, once the transaction is done changing it.
type MakeRow = Box<dyn FnOnce() -> Result<Row, StoreError>>;

/// What a transaction sees and changes: its own snapshot, with its own changes in it.
pub struct Transaction {
    after: Snapshot,
    changes: BTreeMap<(&'static str, Key), Option<MakeRow>>,
}

impl Deref for Transaction {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.after
    }
}

impl Transaction {
    /// Puts a record of an account in a region, new or changed.
    pub fn put<T: Stored>(&mut self, scope: &Scope, record: T) -> Arc<T> {
        let key = Key::new::<T>(Some(scope), &record.id());
        self.put_key(key, record)
    }

    /// Puts a record of the machine.
    pub fn put_machine<T: Stored>(&mut self, record: T) -> Arc<T> {
        let key = Key::new::<T>(None, &record.id());
        self.put_key(key, record)
    }

    pub(crate) fn put_key<T: Stored>(&mut self, key: Key, record: T) -> Arc<T> {
        let record = Arc::new(record);
        let former = T::table_mut(&mut self.after.tables).insert(key.clone(), record.clone());
        if former.as_ref() == Some(&record) {
            return record;
        }
        self.after.refer(&key, former.as_deref(), Some(record.as_ref()));
        let (kept, at) = (record.clone(), key.clone());
        self.changes.insert((T::KIND, key), Some(Box::new(move || row(&at, kept.as_ref()))));
        record
    }

    /// Changes a record that is there; whether it was.
    pub fn update<T: Stored>(
        &mut self,
        scope: &Scope,
        id: &str,
        change: impl FnOnce(&mut T),
    ) -> Option<Arc<T>> {
        let mut record = (**self.find::<T>(scope, id)?).clone();
        change(&mut record);
        Some(self.put(scope, record))
    }

    /// Changes a record of the machine that is there; whether it was.
    pub fn update_machine<T: Stored>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut T),
    ) -> Option<Arc<T>> {
        let mut record = (**self.machine::<T>(id)?).clone();
        change(&mut record);
        Some(self.put_machine(record))
    }

    /// Takes a record away; it was there if it is returned.
    pub fn remove<T: Stored>(&mut self, scope: &Scope, id: &str) -> Option<Arc<T>> {
        self.take(&Key::new::<T>(Some(scope), id))
    }

    /// Takes a record of the machine away; it was there if it is returned.
    pub fn remove_machine<T: Stored>(&mut self, id: &str) -> Option<Arc<T>> {
        self.take(&Key::new::<T>(None, id))
    }

    pub(crate) fn remove_key<T: Stored>(&mut self, key: &Key) {
        self.take::<T>(key);
    }

    fn take<T: Stored>(&mut self, key: &Key) -> Option<Arc<T>> {
        let former = T::table_mut(&mut self.after.tables).remove(key)?;
        self.after.refer(key, Some(former.as_ref()), None);
        self.changes.insert((T::KIND, key.clone()), None);
        Some(former)
    }

    /// Takes away all records of an account, in all regions.
    pub fn remove_account(&mut self, account: &AccountId) {
        for (key, remove) in self.after.tables.of_account(account) {
            remove(self, &key);
        }
    }
}
