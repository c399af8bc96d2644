//! Where a journal keeps its files: a folder of the machine, or what a test puts in its place.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, fchown},
    path::{Path, PathBuf},
};

use crate::StoreError;

/// The file whose lock tells other daemons to keep out.
const LOCK: &str = "records.lock";

/// A flat folder of files.
pub trait Folder: fmt::Debug + Send + Sync {
    /// All of a file; `None` where there is none of that name.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Opens a file to write in it.
    fn open(&self, name: &str) -> io::Result<Box<dyn Sheet>>;

    /// Makes an empty file, in the place of one that has the name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Sheet>>;

    /// Gives a file another name, in the place of one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Returns when names of files are where the loss of power does not undo them.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is written in place.
pub trait Sheet: fmt::Debug + Send {
    /// Fills `bytes` from an offset on.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` from an offset on.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off, or makes it longer by zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Returns when what was written survives the loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// A folder of the machine, which no other daemon uses as long as this one has it.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes a folder, which is made if it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path)?;
        let lock = path.join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(lock)),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Folder for Directory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Sheet>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Sheet>> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.open(self.path.join(name))?;
        // Root's daemon leaves no files of root's in a person's folder.
        let (folder, made) = (fs::metadata(&self.path)?, file.metadata()?);
        let owner = (folder.uid(), folder.gid());
        if owner != (made.uid(), made.gid()) {
            // Whoever may not give files away keeps them.
            let _ = fchown(&file, Some(owner.0), Some(owner.1));
        }
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Sheet for File {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
