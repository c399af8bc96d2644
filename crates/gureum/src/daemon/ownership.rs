//! What the daemon writes as root belongs to the person who called sudo.

use std::{ffi::CString, io, os::fd::OwnedFd, path::Path};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, openat, statat,
};

use crate::paths::Person;

const FOLDER: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Gives what root owns below a folder to the person. Other owners stay: the files of instances
/// belong to root of the instances. Other file systems are not entered, and what vanishes
/// meanwhile is not missed.
///
/// Everything is reached from the descriptor of its folder and no link is followed: the person
/// may change the tree while root walks it.
pub(super) fn give_all(folder: &Path, person: &Person) -> io::Result<()> {
    if person.uid == 0 {
        return Ok(());
    }
    let top = openat(CWD, folder, FOLDER, Mode::empty())?;
    let device = rustix::fs::fstat(&top)?.st_dev;
    let mut folders = vec![top];
    while let Some(folder) = folders.pop() {
        for name in names(&folder)? {
            match give(&folder, &name, device, person) {
                Ok(Some(inner)) => folders.push(inner),
                Ok(None) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn names(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Gives one entry; returns it opened if it is a folder to go into.
fn give(
    folder: &OwnedFd,
    name: &CString,
    device: u64,
    person: &Person,
) -> rustix::io::Result<Option<OwnedFd>> {
    let found: Stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if found.st_dev != device {
        return Ok(None);
    }
    let kind = FileType::from_raw_mode(found.st_mode);
    // Another name of the same file may be somewhere else.
    let elsewhere = kind == FileType::RegularFile && found.st_nlink > 1;
    if found.st_uid == 0 && !elsewhere {
        let (uid, gid) = (Uid::from_raw(person.uid), Gid::from_raw(person.gid));
        chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if kind != FileType::Directory {
        return Ok(None);
    }
    openat(folder, name, FOLDER, Mode::empty()).map(Some)
}
