//! Bounds on connections: so many at once in all, and so many of one peer, so that no instance
//! can keep the others out of a service that they share.

use std::{
    collections::HashMap,
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

/// After a failed accept or receive, so that a lasting fault (no descriptors left) does not spin.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the task is dropped, each in a task of its own; those beyond the
/// gate's bounds are closed at once.
pub(crate) async fn serve<F, C>(listener: TcpListener, gate: Gate, what: &'static str, converse: F)
where
    F: Fn(TcpStream, SocketAddr) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(pass) = gate.enter(peer.ip()) else {
                    debug!(%peer, what, "too many connections");
                    continue;
                };
                let conversation = converse(stream, peer);
                tokio::spawn(async move {
                    conversation.await;
                    drop(pass);
                });
            }
            Err(error) => {
                warn!(%error, what, "accepting connections");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Counts connections; [`Gate::enter`] refuses those beyond the bounds.
#[derive(Clone)]
pub(crate) struct Gate {
    total: usize,
    per_peer: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    total: usize,
    peers: HashMap<IpAddr, usize>,
}

/// A place inside a [`Gate`], given back when dropped.
pub(crate) struct Pass {
    inside: Arc<Mutex<Inside>>,
    peer: IpAddr,
}

impl Gate {
    /// A gate for `total` connections, `per_peer` of them from one address.
    pub(crate) fn new(total: usize, per_peer: usize) -> Self {
        Self { total, per_peer, inside: Arc::default() }
    }

    /// Lets a peer in, or not.
    pub(crate) fn enter(&self, peer: IpAddr) -> Option<Pass> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = inside.peers.get(&peer).copied().unwrap_or_default();
        if inside.total >= self.total || of_peer >= self.per_peer {
            return None;
        }
        inside.total += 1;
        inside.peers.insert(peer, of_peer + 1);
        Some(Pass { inside: Arc::clone(&self.inside), peer })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.total -= 1;
        if let Some(of_peer) = inside.peers.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                inside.peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_all_places() {
        let gate = Gate::new(3, 2);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = gate.enter(a).expect("a place");
        let _second = gate.enter(a).expect("a place");
        assert!(gate.enter(a).is_none(), "two of one peer");
        let _third = gate.enter(b).expect("a place");
        assert!(gate.enter(b).is_none(), "three in all");
        drop(first);
        let _fourth = gate.enter(b).expect("a place that was given back");
    }
}
