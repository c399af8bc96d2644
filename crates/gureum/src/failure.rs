//! What is said when something cannot be done: one sentence, what to do about it, a status.

use std::{fmt, io, path::Path};

/// A command, or the daemon, could not do what it should.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One sentence: what is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The exit status.
    pub status: u8,
}

impl Failure {
    /// An error with status 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, status: 1 }
    }

    /// Adds what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the exit status.
    pub(crate) fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// A file or folder that could not be read or written; knows the common reasons.
    pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::new(format!("may not {doing} {path}"))
                .help("it belongs to somebody else: use sudo, or another --data-dir"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(format!("no space left to {doing} {path}"))
                    .help("free some space, or choose a --data-dir on another disk")
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Self::new(format!("cannot {doing} {path}: the file system is read-only"))
                    .help("choose another --data-dir")
            }
            _ => Self::new(format!("cannot {doing} {path}: {error}")),
        }
    }

    /// Whether this is only a reader of our output that went away.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.message.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
