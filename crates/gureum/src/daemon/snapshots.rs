//! Snapshots of all records under names, each in a folder of its own.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use gureum_store::Snapshot;

use super::{
    clerk::{Answer, Clerk},
    ownership,
};
use crate::{
    admin::{KeptSnapshot, Reply, SnapshotRequest, TwinReply},
    paths::{self, Person},
};

/// The longest name.
const LONGEST: usize = 64;
/// What is written before it has its name.
const UNFINISHED: &str = ".unfinished";

/// Names are those of folders, and nothing more.
fn check(name: &str) -> Answer<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with('.')
        && name.chars().all(is_plain)
    {
        true => Ok(()),
        false => Err(format!(
            "\"{name}\" is no name for a snapshot: up to {LONGEST} letters, digits, - _ and ., not \
             with a dot in front"
        )),
    }
}

impl Clerk {
    pub(super) fn snapshots(&self, request: &SnapshotRequest) -> Answer<Reply> {
        let folder = paths::snapshots_dir(&self.data_dir);
        match request {
            SnapshotRequest::Save { name } => {
                check(name)?;
                self.save(&folder, name).map_err(|error| format!("not saved: {error}"))?;
            }
            SnapshotRequest::Load { name } => {
                check(name)?;
                self.there(&folder, name)?;
                let read = Snapshot::open(&folder.join(name));
                let snapshot = read.map_err(|error| {
                    format!(
                        "the snapshot {name} cannot be read: {error}\nhelp: nothing was changed"
                    )
                })?;
                let done = self.runtime.block_on(self.control.restore(snapshot));
                done.map_err(|error| format!("not loaded: {error}"))?;
            }
            SnapshotRequest::List => {}
            SnapshotRequest::Delete { name } => {
                check(name)?;
                self.there(&folder, name)?;
                let removed = fs::remove_dir_all(folder.join(name));
                removed.map_err(|error| format!("not deleted: {error}"))?;
            }
        }
        let kept = list(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Reply::Twin(Box::new(TwinReply::Snapshots(kept))))
    }

    fn there(&self, folder: &Path, name: &str) -> Answer<()> {
        match folder.join(name).is_dir() {
            true => Ok(()),
            false => {
                Err(format!("there is no snapshot {name}\nhelp: `gureum snapshot list` lists them"))
            }
        }
    }

    /// Writes beside and gives the name at the end, so that what has the name is whole.
    fn save(&self, folder: &Path, name: &str) -> io::Result<()> {
        let failed = |error: gureum_store::StoreError| io::Error::other(error.to_string());
        let whole = folder.join(name);
        if whole.exists() {
            return Err(io::Error::other(format!(
                "there is a snapshot {name} already; `gureum snapshot delete {name}` deletes it"
            )));
        }
        let unfinished = folder.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        self.control.flush().map_err(failed)?;
        self.control.snapshot().save(&unfinished).map_err(failed)?;
        fs::rename(&unfinished, &whole)?;
        fs::File::open(folder)?.sync_all()?;
        // What a daemon of root's writes belongs to whom the data directory does.
        let owner = fs::metadata(&self.data_dir)?;
        let person = Person { uid: owner.uid(), gid: owner.gid(), home: PathBuf::new() };
        person.give(folder)?;
        ownership::give_all(folder, &person)
    }
}

/// The snapshots that are there, by name.
fn list(folder: &Path) -> io::Result<Vec<KeptSnapshot>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut kept = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if check(&name).is_err() || !entry.file_type()?.is_dir() {
            continue;
        }
        let file = fs::metadata(entry.path().join("records.log"));
        let saved = file.as_ref().ok().and_then(|it| it.modified().ok());
        let saved = saved.and_then(|it| it.duration_since(UNIX_EPOCH).ok());
        kept.push(KeptSnapshot {
            name,
            saved: saved.map_or(0, |it| it.as_secs()),
            bytes: file.map_or(0, |it| it.len()),
        });
    }
    kept.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_folders_and_nothing_more() {
        for good in ["before", "2026-11-27", "a.b_c-D", &"x".repeat(64)] {
            assert!(check(good).is_ok(), "{good}");
        }
        for wrong in ["", ".", "..", ".hidden", "a/b", "a b", "ä", &"x".repeat(65), "a\0b"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_has_what_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let snapshots = folder.path().join("snapshots");
        assert!(list(&snapshots).expect("nothing yet").is_empty());
        for name in ["b", "a", UNFINISHED] {
            fs::create_dir_all(snapshots.join(name)).expect("a folder");
        }
        fs::write(snapshots.join("a/records.log"), "1234").expect("a file");
        let kept = list(&snapshots).expect("a list");
        let names: Vec<_> = kept.iter().map(|it| (it.name.as_str(), it.bytes)).collect();
        assert_eq!(names, [("a", 4), ("b", 0)]);
    }
}
