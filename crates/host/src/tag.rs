//! The mark by which everything of one daemon is known on the machine.
//!
//! Several daemons run side by side, each with a data directory of its own; what a daemon makes
//! (cgroups, processes) carries eight hexadecimal digits of a hash of that directory, so that it
//! is found again after a crash and never confused with a neighbour's.

use std::{fmt, fs, io, path::Path, str::FromStr};

use sha2::{Digest, Sha256};

/// Eight hexadecimal digits that stand for a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag([u8; 4]);

impl Tag {
    /// The tag of an existing data directory; symbolic links to it give the same tag.
    pub fn of(data_dir: &Path) -> io::Result<Self> {
        use std::os::unix::ffi::OsStrExt;

        let real = fs::canonicalize(data_dir)?;
        let hash = Sha256::digest(real.as_os_str().as_bytes());
        Ok(Self([hash[0], hash[1], hash[2], hash[3]]))
    }

    /// The name of the cgroup that holds everything, `gureum-<tag>`.
    pub fn cgroup(self) -> String {
        format!("gureum-{self}")
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u32::from_str_radix(text, 16) {
            Ok(bits) if digits => Ok(Self(bits.to_be_bytes())),
            _ => Err(format!("{text:?} is not eight hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_tag_by_any_of_its_names() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::create_dir(&one).expect("made");
        std::os::unix::fs::symlink(&one, &two).expect("linked");
        let tag = Tag::of(&one).expect("tag");
        assert_eq!(tag, Tag::of(&two).expect("tag"));
        assert_ne!(tag, Tag::of(dir.path()).expect("tag"));
        assert_eq!(tag.to_string().parse(), Ok(tag));
        assert!("+1234567".parse::<Tag>().is_err());
    }
}
