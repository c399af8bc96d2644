//! Attempts: real connections from inside a namespace, many at once, and how each of them ended.
//!
//! A connection over TCP is opened and asked who answers; a datagram and a ping are sent and waited
//! for. Light hosts say who they are ([`crate::light`]); of others it is known that they answered.

mod icmp;
mod socket;

use std::{
    io,
    net::IpAddr,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use gureum_types::InstanceId;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use self::socket::Underway;
use crate::namespace::Namespace;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// A connection of TCP to a port.
    Tcp(u16),
    /// A datagram of UDP to a port.
    Udp(u16),
    /// An echo request of ICMP, or of ICMPv6 where the destination is of IPv6.
    Echo,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The source address; the one that the namespace's routes choose where absent.
    pub source: Option<IpAddr>,
    /// The destination.
    pub destination: IpAddr,
    /// What is sent.
    pub traffic: Traffic,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something came back.
    Answered {
        /// The light host that answered, where it said so.
        by: Option<InstanceId>,
        /// What it said, the first line of it.
        text: String,
    },
    /// The packet arrived and was refused there: a reset, or no such port.
    Refused,
    /// A router on the way, or the own routes, said that it leads nowhere.
    Unreachable,
    /// Nothing came back in time.
    Silent,
    /// It could not be made at all, and why.
    Failed(String),
}

impl Outcome {
    /// Whether the packet arrived and something came back from there.
    pub fn got_through(&self) -> bool {
        matches!(self, Self::Answered { .. } | Self::Refused)
    }
}

/// How long datagrams and pings wait for their answer before they are sent again, as a part of the
/// patience.
const AGAIN: u32 = 2;

/// Makes all attempts at once from inside a namespace, and waits for each at most `patience`. The
/// outcomes are in the order of the attempts.
///
/// # Errors
/// Where the namespace cannot be entered. What goes wrong with one attempt is its outcome.
pub fn attempt(
    namespace: &Namespace,
    attempts: &[Attempt],
    patience: Duration,
) -> io::Result<Vec<Outcome>> {
    namespace.run(|| all(attempts, patience))
}

fn all(attempts: &[Attempt], patience: Duration) -> Vec<Outcome> {
    let begun = attempts.iter().enumerate();
    let mut underway: Vec<_> = begun.map(|(number, it)| Underway::begin(it, number)).collect();
    let until = Instant::now() + patience;
    let mut again = Some(Instant::now() + patience / AGAIN);
    loop {
        let now = Instant::now();
        if again.is_some_and(|moment| moment <= now) {
            again = None;
            underway.iter_mut().for_each(Underway::repeat);
        }
        let waiting: Vec<_> = underway.iter_mut().filter(|it| it.outcome().is_none()).collect();
        if waiting.is_empty() || now >= until {
            break;
        }
        let next = again.unwrap_or(until).min(until);
        if wait(waiting, next.saturating_duration_since(now)).is_err() {
            break;
        }
    }
    underway.into_iter().map(Underway::end).collect()
}

/// Waits until something happens to one of them, and has it go on.
fn wait(mut waiting: Vec<&mut Underway>, patience: Duration) -> nix::Result<()> {
    let mut fds = Vec::with_capacity(waiting.len());
    let mut places = Vec::with_capacity(waiting.len());
    for (place, it) in waiting.iter().enumerate() {
        if let Some((socket, flags)) = it.interest() {
            fds.push(PollFd::new(socket.as_fd(), flags));
            places.push(place);
        }
    }
    // Rounded up: a wait of no time would spin.
    let timeout = PollTimeout::try_from(patience + Duration::from_millis(1));
    match poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    let ready: Vec<_> = fds
        .iter()
        .zip(places)
        .filter(|(fd, _)| fd.revents().is_some_and(|it| it != PollFlags::empty()))
        .map(|(_, place)| place)
        .collect();
    drop(fds);
    for place in ready {
        if let Some(it) = waiting.get_mut(place) {
            it.go_on();
        }
    }
    Ok(())
}
