//! Where files are and whose they are: the one place that knows, for commands and daemon alike.
//!
//! The daemon needs root, the person who called sudo does not want to: what is theirs lies in
//! their home and belongs to them, so that every other command works without sudo.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, lchown},
    },
    path::{Path, PathBuf},
};

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::failure::Failure;

/// A variable of the environment, if set.
type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Marks a folder as a data directory, so that `purge` never deletes anything else.
pub(crate) const MARKER: &str = ".gureum";

/// What a data directory holds besides its marker: all that `purge` deletes.
pub(crate) const CONTENTS: [&str; 23] = [
    "aws",
    "bin",
    "ca",
    "calls.jsonl",
    "capture.pcapng",
    "flow-logs",
    ".gureum.probe",
    "gureum.log",
    "gureum.log.1",
    "gureum.sock",
    "instances",
    "keys",
    "known_hosts",
    "layers",
    "lock",
    "logs",
    "root-key.json",
    "s3",
    "snapshots",
    "ssh_config",
    "state",
    "store",
    "workstation",
];

/// Who files belong to: the person who called sudo, else whoever we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// The user id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
}

impl Person {
    /// The person behind this process.
    pub(crate) fn current() -> Self {
        let user = |uid| nix::unistd::User::from_uid(uid).ok().flatten();
        let home_of = |uid: u32| user(nix::unistd::Uid::from_raw(uid)).map(|user| user.dir);
        Self::from_environment(
            &|name| env::var_os(name),
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
            &home_of,
        )
    }

    fn from_environment(
        variable: Variable<'_>,
        euid: u32,
        egid: u32,
        home_of: &dyn Fn(u32) -> Option<PathBuf>,
    ) -> Self {
        let number = |name| variable(name)?.to_str()?.parse::<u32>().ok();
        // Only sudo, as root, may say who called: otherwise anybody could name anybody.
        if euid == 0
            && let (Some(uid), Some(gid)) = (number("SUDO_UID"), number("SUDO_GID"))
            && uid != 0
            && let Some(home) = home_of(uid)
        {
            return Self { uid, gid, home };
        }
        let home = variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let home = home.or_else(|| home_of(euid)).unwrap_or_else(|| "/".into());
        Self { uid: euid, gid: egid, home }
    }

    /// A folder of the XDG base directories: the variable if it is theirs, else the default.
    fn base(&self, variable: Variable<'_>, name: &str, default: &str) -> PathBuf {
        let set = variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // Under sudo the variable may be root's own, which says nothing about the caller.
        let through_sudo = rustix::process::geteuid().as_raw() != self.uid;
        set.filter(|path| !through_sudo || path.starts_with(&self.home))
            .unwrap_or_else(|| self.home.join(default))
    }

    /// Makes a file, a folder or a link itself theirs.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        if rustix::process::geteuid().is_root() && self.uid != 0 {
            lchown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }

    /// Makes a folder with those above it that are missing, each of them theirs.
    pub(crate) fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.create_dir(parent, 0o755)?;
        }
        match fs::DirBuilder::new().mode(mode).create(path) {
            Ok(()) => self.give(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Reads a path from the command line or a variable, where empty means not given.
pub(crate) fn parser() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn given(flag: Option<&Path>) -> Option<&Path> {
    flag.filter(|path| !path.as_os_str().is_empty())
}

/// The data directory: `--data-dir` or `$GUREUM_DATA_DIR` (both in `flag`), else below the
/// person's XDG data home. Absolute, since the daemon and its callers differ in where they are.
pub(crate) fn data_dir(flag: Option<&Path>, person: &Person) -> Result<PathBuf, Failure> {
    let variable = |name: &str| env::var_os(name);
    match given(flag) {
        Some(path) => absolute(path),
        None => Ok(person.base(&variable, "XDG_DATA_HOME", ".local/share").join("gureum")),
    }
}

/// The folder of machine images: `--images-dir` or `$GUREUM_IMAGES_DIR`, else below the person's
/// XDG cache home, so that all data directories share them.
pub(crate) fn images_dir(flag: Option<&Path>, person: &Person) -> Result<PathBuf, Failure> {
    let variable = |name: &str| env::var_os(name);
    match given(flag) {
        Some(path) => absolute(path),
        None => Ok(person.base(&variable, "XDG_CACHE_HOME", ".cache").join("gureum/images")),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path).map_err(|e| Failure::file("use", path, &e))?;
    // One folder, one name: the tag of kernel objects is a hash of it.
    Ok(fs::canonicalize(&path).unwrap_or(path))
}

/// The log of a daemon in the background.
pub(crate) fn log_file(data_dir: &Path) -> PathBuf {
    data_dir.join("gureum.log")
}

/// The calls that a daemon of `gureum run` was asked.
pub(crate) fn calls_file(data_dir: &Path) -> PathBuf {
    data_dir.join("calls.jsonl")
}

/// The packets that a daemon of `gureum run` saw.
pub(crate) fn capture_file(data_dir: &Path) -> PathBuf {
    data_dir.join("capture.pcapng")
}

/// Configuration files of AWS clients without anything in them.
pub(crate) fn aws_files(data_dir: &Path) -> PathBuf {
    data_dir.join("aws")
}

/// The system's root certificates and our own.
pub(crate) fn ca_bundle(data_dir: &Path) -> PathBuf {
    data_dir.join("ca/bundle.pem")
}

/// The access key of the root user, where callers must have one.
pub(crate) fn root_key(data_dir: &Path) -> PathBuf {
    data_dir.join("root-key.json")
}

/// Where snapshots of all records are kept.
pub(crate) fn snapshots_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("snapshots")
}

/// The home of the person at the workstation in the simulated internet.
pub(crate) fn workstation(data_dir: &Path) -> PathBuf {
    data_dir.join("workstation")
}

/// Private keys that a person put here for `gureum ssh` to find.
pub(crate) fn keys_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("keys")
}

/// Host keys of instances, apart from the person's own `known_hosts`.
pub(crate) fn known_hosts(data_dir: &Path) -> PathBuf {
    data_dir.join("known_hosts")
}

/// The instances as hosts of OpenSSH's configuration, for the person's own to include.
pub(crate) fn ssh_config(data_dir: &Path) -> PathBuf {
    data_dir.join("ssh_config")
}

/// The person's own configuration of OpenSSH.
pub(crate) fn person_ssh_config(person: &Person) -> PathBuf {
    person.home.join(".ssh/config")
}

/// What clients look for on the PATH: the client of Session Manager.
pub(crate) fn plugin_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("bin")
}

/// The address of the daemon's socket. A socket's path is at most 107 bytes long: a longer one is
/// reached through the returned descriptor of its folder, to be kept while the path is used.
pub(crate) fn socket(data_dir: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    let path = data_dir.join(crate::admin::SOCKET);
    if path.as_os_str().len() < 108 {
        return Ok((path, None));
    }
    let folder: OwnedFd = fs::File::open(data_dir)?.into();
    let short = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), crate::admin::SOCKET);
    Ok((short.into(), Some(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home_of(uid: u32) -> Option<PathBuf> {
        [(0, "/root"), (1000, "/home/mina")]
            .iter()
            .find(|(id, _)| *id == uid)
            .map(|(_, home)| PathBuf::from(home))
    }

    fn person(variables: &[(&str, &str)], euid: u32) -> Person {
        let variable = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        Person::from_environment(&variable, euid, euid, &home_of)
    }

    #[test]
    fn files_belong_to_who_called_sudo() {
        let sudo = [("HOME", "/root"), ("SUDO_UID", "1000"), ("SUDO_GID", "100")];
        let expected = Person { uid: 1000, gid: 100, home: "/home/mina".into() };
        assert_eq!(person(&sudo, 0), expected);
    }

    #[test]
    fn sudo_variables_mean_nothing_without_root() {
        let forged = [("HOME", "/home/mina"), ("SUDO_UID", "0"), ("SUDO_GID", "0")];
        let expected = Person { uid: 1000, gid: 1000, home: "/home/mina".into() };
        assert_eq!(person(&forged, 1000), expected);
    }

    #[test]
    fn an_empty_variable_is_none() {
        let person = person(&[], 1000);
        let given = data_dir(Some(Path::new("")), &person).expect("a path");
        assert_eq!(given, data_dir(None, &person).expect("a path"));
    }

    #[test]
    fn root_without_sudo_is_root() {
        assert_eq!(person(&[("HOME", "/root")], 0).home, Path::new("/root"));
        assert_eq!(person(&[], 0).home, Path::new("/root"), "no HOME: from the user database");
        let odd = [("SUDO_UID", "4242"), ("SUDO_GID", "4242")];
        assert_eq!(person(&odd, 0).uid, 0, "a caller without a home is not somebody to give to");
    }

    #[test]
    fn base_directories_follow_xdg() {
        let me = rustix::process::geteuid().as_raw();
        let own = Person { uid: me, gid: me, home: "/home/own".into() };
        let other = Person { uid: me + 1, gid: 1, home: "/home/mina".into() };
        let set = |_: &str| Some(OsString::from("/xdg"));
        let theirs = |_: &str| Some(OsString::from("/home/mina/xdg"));
        let relative = |_: &str| Some(OsString::from("xdg"));
        let unset = |_: &str| None;
        let base = |person: &Person, variable: Variable<'_>| person.base(variable, "X", ".x");
        assert_eq!(base(&own, &set), Path::new("/xdg"));
        assert_eq!(base(&own, &unset), Path::new("/home/own/.x"));
        assert_eq!(base(&own, &relative), Path::new("/home/own/.x"));
        assert_eq!(base(&other, &set), Path::new("/home/mina/.x"));
        assert_eq!(base(&other, &theirs), Path::new("/home/mina/xdg"));
    }

    #[test]
    fn a_data_directory_is_absolute() {
        let me = Person::current();
        let path = data_dir(Some(Path::new("some/where")), &me).expect("a path");
        assert!(path.is_absolute() && path.ends_with("some/where"), "{path:?}");
    }

    #[test]
    fn long_socket_paths_go_through_a_descriptor() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = folder.path().join("x".repeat(120));
        Person::current().create_dir(&long, 0o700).expect("a folder");
        let (path, guard) = socket(&long).expect("an address");
        assert!(guard.is_some());
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("it can be bound");
        assert!(long.join(crate::admin::SOCKET).exists());
    }
}
