//! The daemon: opens every room, ties them together, and waits.
//!
//! Nothing is decided here. The order of opening is the order in which things depend on each
//! other: data directory, store, Linux, control, services, the API's port, the admin socket.

use crate::cli::up::UpOptions;

/// Why the daemon did not start or stopped: one sentence, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DaemonError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(_options: UpOptions) -> Result<(), DaemonError> {
    Ok(())
}
