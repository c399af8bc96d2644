//! A disk that forgets: what was not synced when the power went is there in parts.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use gureum_store::{Folder, Journal, Sheet, Store, StoreError};

/// The content of a file.
#[derive(Clone, Debug, Default)]
struct Content {
    synced: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

/// A change of the names of files: a name, and which file has it from now on.
type Naming = (String, Option<usize>);

/// What the disk knows.
#[derive(Debug, Default)]
struct Platter {
    files: Vec<Content>,
    synced_names: BTreeMap<String, usize>,
    /// Names that changed since, in order.
    unsynced_names: Vec<Naming>,
    /// Operations until the power goes.
    left: Option<usize>,
    is_full: bool,
}

impl Platter {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.left {
            _ if self.is_full => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn names(&self) -> BTreeMap<String, usize> {
        with(self.synced_names.clone(), &self.unsynced_names)
    }
}

fn with(mut names: BTreeMap<String, usize>, changes: &[Naming]) -> BTreeMap<String, usize> {
    for (name, file) in changes {
        match file {
            Some(file) => names.insert(name.clone(), *file),
            None => names.remove(name),
        };
    }
    names
}

/// A disk with one folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().expect("a platter")
    }

    /// The power goes after so many more operations.
    pub(crate) fn cut_after(&self, operations: usize) {
        self.platter().left = Some(operations);
    }

    /// Whether nothing more can be written.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.platter().is_full = is_full;
    }

    /// What is there when the power comes back; `keep` decides for every write that was not synced.
    pub(crate) fn after_power_cut(&self, mut keep: impl FnMut() -> bool) -> Self {
        let platter = self.platter();
        let renamed = platter.unsynced_names.iter().take_while(|_| keep()).count();
        let names = with(platter.synced_names.clone(), &platter.unsynced_names[..renamed]);
        let files = platter.files.iter().map(|file| {
            let mut bytes = file.synced.clone();
            // The length is kept: file systems log it. Blocks that were not written are zeros.
            bytes.resize(file.seen.len(), 0);
            for (offset, data) in &file.unsynced {
                let end = offset + data.len();
                if keep() && end <= bytes.len() {
                    bytes[*offset..end].copy_from_slice(data);
                }
            }
            Content { synced: bytes.clone(), seen: bytes, unsynced: Vec::new() }
        });
        let files = files.collect();
        Self(Arc::new(Mutex::new(Platter { files, synced_names: names, ..Platter::default() })))
    }

    /// The store on it.
    pub(crate) fn store(&self) -> Result<Store, StoreError> {
        // So little that the journal is written anew now and then.
        let journal = Journal::in_folder(Arc::new(self.clone()), 2000);
        Store::with_backend(Box::new(journal))
    }
}

impl Folder for Disk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let platter = self.platter();
        Ok(platter.names().get(name).map(|file| platter.files[*file].seen.clone()))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Sheet>> {
        let file = self.platter().names().get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(File { disk: self.clone(), file }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Sheet>> {
        let mut platter = self.platter();
        platter.step()?;
        platter.files.push(Content::default());
        let file = platter.files.len() - 1;
        platter.unsynced_names.push((name.to_owned(), Some(file)));
        Ok(Box::new(File { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.platter();
        platter.step()?;
        let file = platter.names().get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        platter.unsynced_names.push((to.to_owned(), Some(file)));
        platter.unsynced_names.push((from.to_owned(), None));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut platter = self.platter();
        platter.step()?;
        platter.unsynced_names.push((name.to_owned(), None));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.platter();
        platter.step()?;
        platter.synced_names = platter.names();
        platter.unsynced_names.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct File {
    disk: Disk,
    file: usize,
}

impl File {
    fn change<R>(&self, change: impl FnOnce(&mut Content) -> R) -> io::Result<R> {
        let mut platter = self.disk.platter();
        platter.step()?;
        Ok(change(&mut platter.files[self.file]))
    }
}

impl Sheet for File {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let platter = self.disk.platter();
        let at = offset as usize;
        let found = platter.files[self.file].seen.get(at..at + bytes.len());
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|file| {
            let at = offset as usize;
            let end = at + bytes.len();
            file.seen.resize(file.seen.len().max(end), 0);
            file.seen[at..end].copy_from_slice(bytes);
            // A sector is kept or lost as a whole, a long write is not.
            for (number, part) in bytes.chunks(512).enumerate() {
                file.unsynced.push((at + number * 512, part.to_vec()));
            }
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|file| file.seen.resize(length as usize, 0))
    }

    fn sync(&self) -> io::Result<()> {
        self.change(|file| {
            file.synced = file.seen.clone();
            file.unsynced.clear();
        })
    }
}
