//! The backend on disk: one redb database, one table, one durable commit a transaction.

use std::{
    io,
    path::{Path, PathBuf},
};

use redb::{
    CommitError, Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError,
    TableDefinition, TableError, TransactionError,
};

use crate::{
    StoreError,
    backend::{Backend, Change, Loaded, Row},
};

const RECORDS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("records");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Counts up when records change in a way that older programs would misread.
const FORMAT: u64 = 1;

/// How a database is opened: again after every failed commit, because redb refuses to go on then.
type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// Records in an embedded database.
pub struct Embedded {
    open: Open,
    path: PathBuf,
    database: Option<Database>,
}

impl Embedded {
    /// Opens the database in `directory`, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("records.redb");
        let shown = path.clone();
        Self::with(shown, Box::new(move || Database::create(&path)))
    }

    /// Opens a database by a way of the caller's own, with a path for messages: tests put storage
    /// that fails underneath.
    pub fn with(path: PathBuf, open: Open) -> Result<Self, StoreError> {
        let mut embedded = Self { open, path, database: None };
        embedded.database()?;
        Ok(embedded)
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        match &mut self.database {
            Some(database) => Ok(database),
            closed => Ok(closed.insert((self.open)().map_err(|error| in_file(error, &self.path))?)),
        }
    }

    fn write(&mut self, revision: u64, clear: bool, changes: &[Change]) -> Result<(), StoreError> {
        let transaction = self.database()?.begin_write().map_err(transaction)?;
        {
            let mut records = transaction.open_table(RECORDS).map_err(table)?;
            if clear {
                records.retain(|_, _| false).map_err(storage)?;
            }
            for change in changes {
                match change {
                    Change::Put(row) => {
                        let key = (row.kind.as_str(), row.key.as_str());
                        records.insert(key, row.value.as_slice()).map_err(storage)?;
                    }
                    Change::Delete { kind, key } => {
                        records.remove((kind.as_str(), key.as_str())).map_err(storage)?;
                    }
                }
            }
            let mut meta = transaction.open_table(META).map_err(table)?;
            meta.insert("format", FORMAT).map_err(storage)?;
            meta.insert("revision", revision).map_err(storage)?;
        }
        transaction.commit().map_err(|error| match error {
            CommitError::Storage(error) => storage(error),
            other => StoreError::Io(other.to_string()),
        })
    }
}

impl Backend for Embedded {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let reading = self.database()?.begin_read().map_err(transaction)?;
        let mut loaded = Loaded::default();
        match reading.open_table(META) {
            Ok(meta) => {
                let number = |key| match meta.get(key).map_err(storage)? {
                    Some(number) => Ok(number.value()),
                    None => Err(StoreError::Damaged(format!("there is no {key}"))),
                };
                let found = number("format")?;
                if found > FORMAT {
                    return Err(StoreError::Newer { found, known: FORMAT });
                }
                loaded.revision = number("revision")?;
            }
            Err(TableError::TableDoesNotExist(_)) => return Ok(loaded),
            Err(error) => return Err(table(error)),
        }
        let records = reading.open_table(RECORDS).map_err(table)?;
        for entry in records.iter().map_err(storage)? {
            let (key, value) = entry.map_err(storage)?;
            let (kind, key) = key.value();
            let value = value.value().to_vec();
            loaded.rows.push(Row { kind: kind.to_owned(), key: key.to_owned(), value });
        }
        Ok(loaded)
    }

    fn commit(&mut self, revision: u64, changes: &[Change]) -> Result<(), StoreError> {
        self.write(revision, false, changes)
    }

    fn restore(&mut self, content: &Loaded) -> Result<(), StoreError> {
        // redb answers every call after a failed write with an error until it is opened anew.
        self.database = None;
        let found = self.load()?;
        if found.revision == content.revision {
            return Ok(());
        }
        let puts: Vec<_> = content.rows.iter().cloned().map(Change::Put).collect();
        self.write(content.revision, true, &puts)
    }
}

fn in_file(error: DatabaseError, path: &Path) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(PathBuf::from(path)),
        DatabaseError::Storage(error) => storage(error),
        other => StoreError::Damaged(format!("{}: {other}", path.display())),
    }
}

fn transaction(error: TransactionError) -> StoreError {
    match error {
        TransactionError::Storage(error) => storage(error),
        other => StoreError::Io(other.to_string()),
    }
}

fn table(error: TableError) -> StoreError {
    match error {
        TableError::Storage(error) => storage(error),
        other => StoreError::Damaged(other.to_string()),
    }
}

fn storage(error: StorageError) -> StoreError {
    match error {
        StorageError::Io(error) => error.into(),
        StorageError::Corrupted(what) => StoreError::Damaged(what),
        other => io::Error::other(other.to_string()).into(),
    }
}
