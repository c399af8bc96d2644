//! The access key of the root user: the first one there is, by which all others are made.
//!
//! It lies in the data directory, which nobody else can read, and `gureum env` gives it to shells.

use std::{fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use serde::{Deserialize, Serialize};

use crate::{daemon::Options, failure::Failure, paths};

/// What ids and secrets are made of; ids of the first half only.
const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567abcdefghijklmnopqrstuvwxyz0189+/";

/// The key, as its file holds it.
#[derive(Serialize, Deserialize)]
pub(crate) struct RootKey {
    /// The id.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

/// The key of a data directory, made when callers must have one and it has none yet.
pub(crate) fn open(options: &Options) -> Result<Option<RootKey>, Failure> {
    let path = paths::root_key(&options.data_dir);
    let found = read(&path)?;
    if found.is_some() || !options.strict_auth {
        return Ok(found);
    }
    let key = new();
    write(&path, &key).map_err(|error| Failure::file("write", &path, &error))?;
    options.owner.give(&path).map_err(|error| Failure::file("give away", &path, &error))?;
    Ok(Some(key))
}

/// The key in a file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<RootKey>, Failure> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Failure::new(format!("{} holds no key: {error}", path.display()))
            .help("delete it, and `gureum up --strict-auth` makes a new one")
    })
}

fn write(path: &Path, key: &RootKey) -> io::Result<()> {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&serde_json::to_vec(key)?)?;
    file.sync_all()
}

fn new() -> RootKey {
    RootKey {
        // As AWS's begin, and so that one sees whose it is.
        access_key_id: format!("AKIAGUREUM{}", text(10, 32)),
        secret_access_key: text(40, 64),
    }
}

/// Random characters out of the first `of` ones.
fn text(count: usize, of: usize) -> String {
    let bytes: [u8; 40] = rand::random();
    bytes.iter().take(count).map(|byte| char::from(CHARACTERS[usize::from(*byte) % of])).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_for_its_owner_alone_and_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        assert!(read(&path).expect("no error").is_none());
        let key = new();
        write(&path, &key).expect("written");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let found = read(&path).expect("no error").expect("a key");
        assert_eq!((found.access_key_id.len(), found.secret_access_key.len()), (20, 40));
        assert_eq!(found.access_key_id, key.access_key_id);
        fs::write(&path, "x").expect("written");
        assert!(read(&path).is_err());
    }
}
