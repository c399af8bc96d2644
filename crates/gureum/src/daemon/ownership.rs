//! What the daemon writes as root belongs to the person who called sudo.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::cli::paths::Person;

/// Gives what root owns below a folder to the person. Other owners stay: the files of instances
/// belong to root of the instances. Links are not followed, other file systems not entered, and
/// what vanishes meanwhile is not missed.
pub(super) fn give_all(folder: &Path, person: &Person) -> io::Result<()> {
    if person.uid == 0 {
        return Ok(());
    }
    let device = fs::symlink_metadata(folder)?.dev();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let given = fs::symlink_metadata(&path).and_then(|found| {
                if found.uid() == 0 && found.dev() == device {
                    std::os::unix::fs::lchown(&path, Some(person.uid), Some(person.gid))?;
                }
                Ok(found.is_dir() && found.dev() == device)
            });
            match given {
                Ok(true) => folders.push(path),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
