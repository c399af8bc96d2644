//! What the command line itself asks of Linux, through the room that knows it.

use std::{fs, os::fd::OwnedFd, path::Path};

use crate::failure::Failure;
use gureum_host::{
    cloud,
    internet::{InternetNamespaces, InternetView, enter_internet as enter},
};

/// The resolvers of the simulated internet, for a process in it.
const RESOLV_CONF: &str = "nameserver 8.8.8.8\nnameserver 1.1.1.1\noptions timeout:2\n";

/// Whose desk a process in the simulated internet sits at, where it is not the person's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk<'a> {
    /// What the host is called.
    pub(super) name: &'a str,
    /// Where the person's home is there.
    pub(super) home: &'a Path,
}

/// Moves this process into the simulated internet. It must have no second thread.
pub(super) fn enter_internet(
    user: OwnedFd,
    network: OwnedFd,
    ca_bundle: &Path,
    desk: Option<Desk<'_>>,
) -> Result<(), Failure> {
    let bundle = fs::read(ca_bundle).map_err(|error| Failure::file("read", ca_bundle, &error))?;
    let view = InternetView {
        resolv_conf: RESOLV_CONF.to_owned(),
        ca_bundle: Some(bundle),
        host_name: desk.map(|desk| desk.name.to_owned()),
        home: desk.map(|desk| desk.home.to_owned()),
    };
    enter(&InternetNamespaces { user, network }, &view)
        .map_err(|error| Failure::new(format!("cannot enter the simulated internet: {error}")))
}

/// Takes down what a daemon of this data directory left on the machine; false where there was
/// nothing.
pub(super) fn clean_up(data_dir: &Path) -> Result<bool, Failure> {
    let root = rustix::process::geteuid().is_root();
    if !data_dir.exists() {
        return Ok(false);
    }
    let left = match cloud::leftovers(data_dir) {
        Ok(left) => left,
        // Where even looking needs root, nobody but root has made anything.
        Err(_) if !root => return Ok(false),
        Err(error) => return Err(Failure::new(error.to_string())),
    };
    if left.is_empty() {
        return Ok(false);
    }
    if !root {
        return Err(Failure::new(format!(
            "no daemon runs on {}, but it left something: {}",
            data_dir.display(),
            left.join(", ")
        ))
        .help("run `sudo gureum down`, or start it again with `sudo gureum up --detach`"));
    }
    cloud::down(data_dir).map_err(|error| Failure::new(error.to_string()))?;
    Ok(true)
}
