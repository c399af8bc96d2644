//! One attempt under way: a socket, and how far it is.

use std::{
    io::{self, Read as _, Write as _},
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use nix::poll::PollFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Attempt, Outcome, Traffic, icmp};
use crate::light::{HTTP_PORTS, who_answered};

/// What is sent where the first word is ours.
const QUESTION: &[u8] = b"who is there?\n";
/// As that, over HTTP.
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\nHost: gureum\r\n\r\n";
/// So much of an answer is looked at.
const LONGEST: usize = 4096;
/// How many identifiers of echo requests there are before they come again.
const IDENTIFIERS: usize = 0xff00;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Waiting,
}

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Underway {
    traffic: Traffic,
    destination: IpAddr,
    identifier: u16,
    socket: Option<Socket>,
    phase: Phase,
    heard: Vec<u8>,
    outcome: Option<Outcome>,
}

impl Underway {
    /// Begins it. `number` is its place among those that begin together.
    pub(super) fn begin(attempt: &Attempt, number: usize) -> Self {
        // Not the highest ones, which questions to the engine use.
        let identifier = (std::process::id() as usize).wrapping_add(number) % IDENTIFIERS;
        let mut it = Self {
            traffic: attempt.traffic,
            destination: attempt.destination,
            identifier: identifier as u16,
            socket: None,
            phase: Phase::Connecting,
            heard: Vec::new(),
            outcome: None,
        };
        if let Err(error) = it.open(attempt) {
            it.fail(&error);
        }
        it
    }

    fn open(&mut self, attempt: &Attempt) -> io::Result<()> {
        let to = attempt.destination;
        let (kind, protocol, port) = match (attempt.traffic, to) {
            (Traffic::Tcp(port), _) => (Type::STREAM, Protocol::TCP, port),
            (Traffic::Udp(port), _) => (Type::DGRAM, Protocol::UDP, port),
            // Not the sockets that ping(8) uses: a namespace may not allow them.
            (Traffic::Echo, IpAddr::V4(_)) => (Type::RAW, Protocol::ICMPV4, 0),
            (Traffic::Echo, IpAddr::V6(_)) => (Type::RAW, Protocol::ICMPV6, 0),
        };
        let socket = Socket::new(Domain::for_address((to, 0).into()), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        if let Some(source) = attempt.source {
            socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
        }
        if kind == Type::STREAM {
            // Neither end shall remember it.
            socket.set_linger(Some(Duration::ZERO))?;
        }
        let begun = socket.connect(&SockAddr::from(SocketAddr::new(to, port)));
        self.socket = Some(socket);
        match begun {
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            Err(error) => Err(error),
            Ok(()) if kind == Type::STREAM => Ok(()),
            Ok(()) => {
                self.phase = Phase::Waiting;
                self.send(1)
            }
        }
    }

    fn send(&self, sequence: u16) -> io::Result<()> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(()) };
        match self.traffic {
            Traffic::Tcp(port) if HTTP_PORTS.contains(&port) => socket.write_all(REQUEST),
            Traffic::Tcp(_) => Ok(()),
            Traffic::Udp(_) => socket.write_all(QUESTION),
            Traffic::Echo => {
                socket.write_all(&icmp::request(self.destination, self.identifier, sequence))
            }
        }
    }

    /// Sends once more what nobody else repeats.
    pub(super) fn repeat(&mut self) {
        let is_repeated = !matches!(self.traffic, Traffic::Tcp(_));
        if self.outcome.is_none()
            && is_repeated
            && let Err(error) = self.send(2)
        {
            self.fail(&error);
        }
    }

    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// What it waits for.
    pub(super) fn interest(&self) -> Option<(&Socket, PollFlags)> {
        let flags = match self.phase {
            Phase::Connecting => PollFlags::POLLOUT,
            Phase::Waiting => PollFlags::POLLIN,
        };
        self.socket.as_ref().map(|socket| (socket, flags))
    }

    /// Goes on with what happened.
    pub(super) fn go_on(&mut self) {
        let outcome = match self.phase {
            Phase::Connecting => self.connected(),
            Phase::Waiting => self.receive(),
        };
        if let Err(error) = outcome
            && error.kind() != io::ErrorKind::WouldBlock
        {
            self.fail(&error);
        }
    }

    fn connected(&mut self) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        self.phase = Phase::Waiting;
        self.send(1)
    }

    fn receive(&mut self) -> io::Result<()> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(()) };
        let mut buffer = [MaybeUninit::new(0); LONGEST];
        if self.traffic == Traffic::Echo {
            loop {
                let count = socket.recv(&mut buffer)?;
                // SAFETY: all of it was initialised above.
                let packet = unsafe { buffer[..count].assume_init_ref() };
                if icmp::is_reply(packet, self.destination, self.identifier) {
                    self.outcome = Some(Outcome::Answered { by: None, text: String::new() });
                    return Ok(());
                }
            }
        }
        let mut buffer = [0; LONGEST];
        let count = socket.read(&mut buffer)?;
        self.heard.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let is_stream = matches!(self.traffic, Traffic::Tcp(_));
        let is_http = matches!(self.traffic, Traffic::Tcp(port) if HTTP_PORTS.contains(&port));
        let is_whole = match is_stream {
            // Over HTTP the line is in the body, and the end of the connection is that of the answer.
            true if is_http => count == 0,
            true => count == 0 || self.heard.contains(&b'\n'),
            false => true,
        };
        if is_whole || self.heard.len() >= LONGEST {
            self.outcome = Some(self.answered());
        }
        Ok(())
    }

    /// What was heard, as an answer.
    fn answered(&self) -> Outcome {
        let head = self.heard.windows(4).position(|it| it == b"\r\n\r\n");
        let body = match head {
            Some(end) if self.heard.starts_with(b"HTTP/") => self.heard.get(end + 4..),
            _ => Some(&self.heard[..]),
        };
        let body = body.unwrap_or_default();
        let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = String::from_utf8_lossy(line).trim_end().chars().take(256).collect();
        Outcome::Answered { by: who_answered(body), text }
    }

    fn fail(&mut self, error: &io::Error) {
        self.outcome = Some(match error.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::ECONNRESET) => match self.phase {
                Phase::Waiting if matches!(self.traffic, Traffic::Tcp(_)) => self.answered(),
                _ => Outcome::Refused,
            },
            Some(
                libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EACCES
                | libc::EPERM
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN,
            ) if self.socket.is_some() => Outcome::Unreachable,
            Some(libc::ETIMEDOUT) => Outcome::Silent,
            _ => Outcome::Failed(error.to_string()),
        });
    }

    /// How it ended, now that time is up.
    pub(super) fn end(self) -> Outcome {
        match (&self.outcome, self.phase, self.traffic) {
            (Some(outcome), _, _) => outcome.clone(),
            // Connected, to somebody who is silent.
            (None, Phase::Waiting, Traffic::Tcp(_)) => self.answered(),
            (None, _, _) => Outcome::Silent,
        }
    }
}
