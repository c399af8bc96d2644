//! What the command line itself asks of Linux, through the room that knows it.

use std::{os::fd::OwnedFd, path::Path};

use super::{doctor::Finding, error::CliError};

/// Moves this process into the simulated internet.
pub(super) fn enter_internet(
    user: OwnedFd,
    network: OwnedFd,
    ca_bundle: &Path,
) -> Result<(), CliError> {
    let _ = (user, network, ca_bundle);
    Err(CliError::new("not yet"))
}

/// Looks at this machine.
pub(super) fn probe(data_dir: &Path) -> Result<Vec<Finding>, CliError> {
    let _ = data_dir;
    Err(CliError::new("not yet"))
}

/// Takes down what a daemon of this data directory left; false where there was nothing.
pub(super) fn clean_up(data_dir: &Path) -> Result<bool, CliError> {
    let _ = data_dir;
    Ok(false)
}
