//! One conversation over TCP: the line that says who answers, then an echo; over HTTP an answer.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use super::text::{HTTP_PORTS, Heard, hear, http};

/// A caller who is silent for so long is forgotten.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// So much of an echo may wait for its reader; more is not read meanwhile.
const WAITING: usize = 64 << 10;

/// How far a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The caller speaks first.
    Listening,
    /// What comes goes back.
    Echo,
    /// All is said; what still comes is thrown away.
    Ending,
}

/// A connection with a caller.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    line: String,
    phase: Phase,
    heard: Vec<u8>,
    to_say: Vec<u8>,
    /// When something was last heard or said.
    pub(super) last: Instant,
}

/// What shall become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on: whether it waits to read, to write.
    Wait { read: bool, write: bool },
    /// It is over.
    Close,
}

impl Connection {
    /// Begins the conversation with whoever was accepted, on a stream that does not block.
    pub(super) fn begin(stream: TcpStream, line: String, at: SocketAddr) -> Self {
        let speaks_first = HTTP_PORTS.contains(&at.port());
        let (phase, to_say) = match speaks_first {
            true => (Phase::Listening, Vec::new()),
            false => (Phase::Echo, format!("{line}\n").into_bytes()),
        };
        Self { stream, line, phase, heard: Vec::new(), to_say, last: Instant::now() }
    }

    /// Reads and writes what can be. An error is the end, as for any server.
    pub(super) fn go_on(&mut self) -> Next {
        self.carry().unwrap_or(Next::Close)
    }

    fn carry(&mut self) -> io::Result<Next> {
        let mut buffer = [0; 16 << 10];
        // A caller who never pauses must not have the others wait.
        for _ in 0..16 {
            self.write()?;
            if self.to_say.len() >= WAITING {
                break;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.ended(),
                Ok(count) => self.take_in(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            self.last = Instant::now();
        }
        Ok(Next::Wait { read: self.to_say.len() < WAITING, write: !self.to_say.is_empty() })
    }

    /// The caller has said all.
    fn ended(&mut self) -> io::Result<Next> {
        if self.phase == Phase::Listening {
            self.to_say.extend_from_slice(format!("{}\n", self.line).as_bytes());
        }
        self.phase = Phase::Ending;
        self.write()?;
        match self.to_say.is_empty() {
            true => Ok(Next::Close),
            false => Ok(Next::Wait { read: false, write: true }),
        }
    }

    fn take_in(&mut self, said: &[u8]) -> io::Result<()> {
        match self.phase {
            Phase::Ending => return Ok(()),
            Phase::Echo => self.to_say.extend_from_slice(said),
            Phase::Listening => {
                self.heard.extend_from_slice(said);
                match hear(&self.heard) {
                    Heard::More => {}
                    Heard::NotHttp => {
                        self.to_say.extend_from_slice(format!("{}\n", self.line).as_bytes());
                        self.to_say.append(&mut self.heard);
                        self.phase = Phase::Echo;
                    }
                    Heard::Request { is_head } => {
                        self.to_say.extend_from_slice(http(&self.line, is_head).as_bytes());
                        self.heard = Vec::new();
                        self.phase = Phase::Ending;
                    }
                }
            }
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.to_say.is_empty() {
            match self.stream.write(&self.to_say) {
                Ok(count) => {
                    self.to_say.drain(..count);
                    self.last = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.phase == Phase::Ending {
            // The caller may have hung up already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
