//! A cloud of one's own for a while: a new data directory, a free port, and nothing left at the end.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{
    background::{self, Own},
    client::Daemon,
    down, purge,
};
use crate::{
    admin::Status,
    failure::Failure,
    paths::{self, Person},
};

/// A cloud that goes when this is dropped, or when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Scratch {
    data_dir: PathBuf,
    own: Option<Own>,
    status: Status,
}

impl Scratch {
    /// Starts one with options of `gureum up` besides those that say where. It must be called by the
    /// main thread.
    pub(super) fn start(words: &[OsString]) -> Result<Self, Failure> {
        Self::start_on(words, |_| Ok(()))
    }

    /// The same, with what is put into its data directory before.
    pub(super) fn start_on(
        words: &[OsString],
        prepare: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let data_dir = folder()?;
        let mut words = words.to_vec();
        words.extend(["--call-log".into(), paths::calls_file(&data_dir).into()]);
        match prepare(&data_dir).and_then(|()| background::own(&data_dir, &words)) {
            Ok(own) => {
                let status = own.status.clone();
                Ok(Self { data_dir, own: Some(own), status })
            }
            Err(error) => {
                // Whatever the reason, nothing is left of it.
                let _ = clear(&data_dir);
                Err(error)
            }
        }
    }

    /// Its daemon.
    pub(super) fn daemon(&self) -> Daemon {
        Daemon::at(&self.data_dir)
    }

    /// How its daemon was when it answered first.
    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// Its data directory.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Takes it down and deletes it.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<(), Failure> {
        let Some(mut own) = self.own.take() else { return Ok(()) };
        let stopped = down::stop(&self.daemon(), true);
        if stopped.is_err() && own.child.kill().is_ok() {
            // What a killed daemon leaves is taken down as after any crash.
            let _ = own.child.wait();
            down::clean_up(&self.data_dir)?;
        }
        let _ = own.child.wait();
        if matches!(stopped, Ok(false)) {
            down::clean_up(&self.data_dir)?;
        }
        clear(&self.data_dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.take_down() {
            eprintln!("gureum: {} was not taken down: {error}", self.data_dir.display());
        }
    }
}

/// A new folder that nobody else can look into.
fn folder() -> Result<PathBuf, Failure> {
    let name = format!("gureum-{}-{:016x}", std::process::id(), rand::random::<u64>());
    let folder = env::temp_dir().join(name);
    let failed = |error: io::Error| Failure::file("create", &folder, &error);
    fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    Person::current().give(&folder).map_err(failed)?;
    // So that it may hold something before a daemon finds it.
    let marker = folder.join(paths::MARKER);
    fs::write(&marker, "").map_err(failed)?;
    fs::canonicalize(&folder).map_err(failed)
}

/// Deletes what a daemon put there, and the folder.
fn clear(folder: &Path) -> Result<(), Failure> {
    let others = purge::delete(folder)?;
    match others.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{} holds what no daemon made: {}",
            folder.display(),
            others.join(", ")
        ))),
    }
}
