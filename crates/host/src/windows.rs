//! Windows of traffic on disk: what the data path counted for flow logs, until it is delivered.
//!
//! One file a window, named after the millisecond it was opened in; notes about its delivery stand
//! beside it. Nothing is lost when a process ends, however it does: a window that was left open is
//! closed by whoever opens the directory next.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use gureum_types::Window;
use tokio::sync::Notify;

use crate::{
    datapath::{finish_window, read_window},
    error::{Context, Result},
};

/// The extension of a window that is counted into.
pub(crate) const OPEN: &str = "open";
/// The extension of one that is closed.
pub(crate) const CLOSED: &str = "window";
const NOTES: &str = "notes";

/// The windows of a cloud.
#[derive(Debug)]
pub struct Windows {
    directory: PathBuf,
    closed: Notify,
}

impl Windows {
    /// Opens a directory of windows, made if it is not there, and closes what was left open. Nobody
    /// else may count into it.
    pub fn open(directory: &Path) -> Result<Self> {
        let what = || format!("open the windows of flow logs in {}", directory.display());
        fs::create_dir_all(directory).context(what)?;
        for entry in fs::read_dir(directory).context(what)? {
            let path = entry.context(what)?.path();
            if path.extension() == Some(OsStr::new(OPEN)) {
                finish_window(&path).context(what)?;
            }
        }
        Ok(Self { directory: directory.to_owned(), closed: Notify::new() })
    }

    /// A path for a window that is opened now, with an extension.
    pub(crate) fn free_path(&self, now: i64, extension: &str) -> io::Result<PathBuf> {
        let mut name = now.max(0);
        loop {
            let path = |extension| self.path(&format!("{name:013}"), extension);
            if !path(OPEN).try_exists()? && !path(CLOSED).try_exists()? {
                return Ok(path(extension));
            }
            name += 1;
        }
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.directory.join(name).with_extension(extension)
    }

    /// The names of all windows that are closed, the oldest first.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new(CLOSED)) {
                names.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A closed window; [`io::ErrorKind::InvalidData`] where it is not one of this program.
    pub fn read(&self, name: &str) -> io::Result<Window> {
        read_window(&self.path(name, CLOSED))
    }

    /// What was noted of a window.
    pub fn notes(&self, name: &str) -> io::Result<Vec<u8>> {
        match fs::read(self.path(name, NOTES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    /// Notes something of a window, in place of what was noted before.
    pub fn note(&self, name: &str, notes: &[u8]) -> io::Result<()> {
        let path = self.path(name, NOTES);
        let new = path.with_extension("new");
        fs::write(&new, notes)?;
        fs::rename(&new, &path)
    }

    /// Removes a window and its notes.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        for extension in [CLOSED, NOTES] {
            match fs::remove_file(self.path(name, extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Done when a window was closed since the last time.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    pub(crate) fn tell(&self) {
        self.closed.notify_one();
    }
}
