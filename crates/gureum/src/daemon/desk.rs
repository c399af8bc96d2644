//! The daemon's own socket: answers what the command line asks ([`crate::admin`]).
//!
//! A thread a connection, since requests carry file descriptors and some last as long as a
//! person's shell. Whoever can open the socket may do everything, so its file is the owner's alone.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::{
    admin::{Reply, Request},
    messages::{receive, send},
    paths::{self, Person},
};

/// How long to wait after an accept that failed, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Answers requests.
pub(crate) trait Desk: Send + Sync + 'static {
    /// Answers one request of a client, with the descriptors that came beside it. What cannot be
    /// done is [`Reply::Error`].
    fn answer(
        &self,
        request: Request,
        descriptors: Vec<OwnedFd>,
        client: BorrowedFd<'_>,
    ) -> Answered;
}

/// An answer and what goes with it.
pub(crate) struct Answered {
    /// The answer.
    pub(crate) reply: Reply,
    /// Descriptors to go beside it.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Dropped when the answer has been written.
    pub(crate) until_written: Option<oneshot::Sender<()>>,
}

impl From<Reply> for Answered {
    fn from(reply: Reply) -> Self {
        Self { reply, descriptors: Vec::new(), until_written: None }
    }
}

/// Opens the socket, in place of one that a dead daemon left.
pub(crate) fn open(data_dir: &Path, owner: &Person) -> io::Result<UnixListener> {
    let (path, _folder) = paths::socket(data_dir)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    owner.give(&path)?;
    Ok(listener)
}

/// Serves the socket on threads of its own, for as long as the process lives.
pub(crate) fn serve(listener: UnixListener, desk: Arc<dyn Desk>) -> io::Result<()> {
    let work = move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let desk = Arc::clone(&desk);
                    let started = thread::Builder::new()
                        .name("gureum-desk".into())
                        .stack_size(512 << 10)
                        .spawn(move || converse(&stream, desk.as_ref()));
                    if let Err(error) = started {
                        warn!(%error, "a thread for a request on the socket");
                    }
                }
                Err(error) => {
                    warn!(%error, "accepting on the socket");
                    thread::sleep(PAUSE);
                }
            }
        }
    };
    thread::Builder::new().name("gureum-socket".into()).spawn(work).map(drop)
}

fn converse(stream: &UnixStream, desk: &dyn Desk) {
    let (line, descriptors) = match receive(stream) {
        Ok(received) => received,
        // Asking whether somebody is here looks like this.
        Err(error) => return debug!(%error, "a request on the socket"),
    };
    let Answered { reply, descriptors, until_written } = match serde_json::from_str(&line) {
        Ok(request) => desk.answer(request, descriptors, stream.as_fd()),
        Err(error) => Reply::Error(format!("the request is not understood: {error}")).into(),
    };
    let sent = serde_json::to_string(&reply).map_err(io::Error::other).and_then(|line| {
        let borrowed: Vec<_> = descriptors.iter().map(OwnedFd::as_fd).collect();
        send(stream, &line, &borrowed)
    });
    if let Err(error) = sent {
        debug!(%error, "an answer on the socket");
    }
    drop(until_written);
}
