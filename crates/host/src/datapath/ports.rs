//! The ports in service: their sockets, by index, and how frames leave through them.

use std::io;

use gureum_engine::Offload;
use gureum_types::PortIndex;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::{
    PortLosses,
    socket::{PacketSocket, Protocol, Slot},
};

/// A port in service.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) link: u32,
    pub(super) sockets: [PacketSocket; 3],
    pub(super) losses: PortLosses,
}

impl Port {
    /// Takes note of what the kernel lost since the last time.
    pub(super) fn count_losses(&mut self) {
        for socket in &self.sockets {
            self.losses.queue_full += socket.losses().unwrap_or_default();
        }
    }
}

/// All ports. Indices are small and dense enough for a plain array.
#[derive(Debug, Default)]
pub(super) struct Ports {
    places: Vec<Option<Box<Port>>>,
}

impl Ports {
    /// Opens the sockets of a port in the calling thread's namespace and has them watched.
    pub(super) fn add(&mut self, epoll: &Epoll, index: PortIndex, link: u32) -> io::Result<()> {
        if index >= PortIndex::END {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.remove(index);
        let [v4, v6, arp] = Protocol::ALL.map(|protocol| PacketSocket::open(link, protocol));
        let sockets = [v4?, v6?, arp?];
        for (socket, protocol) in sockets.iter().zip(Protocol::ALL) {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, key(index, protocol));
            epoll.add(socket, event)?;
        }
        let place = index.0 as usize;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(Box::new(Port { link, sockets, losses: PortLosses::default() }));
        Ok(())
    }

    /// Closes the sockets of a port, which ends their being watched.
    pub(super) fn remove(&mut self, index: PortIndex) {
        if let Some(place) = self.places.get_mut(index.0 as usize) {
            *place = None;
        }
    }

    pub(super) fn port_mut(&mut self, index: PortIndex) -> Option<&mut Port> {
        self.places.get_mut(index.0 as usize)?.as_deref_mut()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PortIndex, &mut Port)> {
        let places = self.places.iter_mut().enumerate();
        places.filter_map(|(index, port)| Some((PortIndex(index as u32), port.as_deref_mut()?)))
    }

    /// The ports from `start` on, as many places of the array as `count`; for work in portions.
    pub(super) fn portion(
        &mut self,
        start: usize,
        count: usize,
    ) -> impl Iterator<Item = &mut Port> {
        self.places.iter_mut().skip(start).take(count).filter_map(|port| port.as_deref_mut())
    }

    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Sends a received frame on. A failure is a drop, never a second try (traps 1).
    pub(super) fn forward(&mut self, index: PortIndex, mut slot: Slot<'_>) {
        let Some(protocol) = Protocol::of(slot.frame()) else { return };
        let Some(port) = self.port_mut(index) else { return };
        if port.sockets[protocol as usize].send(&slot).is_err() {
            port.losses.send_failed += 1;
        }
    }

    /// Sends a frame of the engine's own.
    pub(super) fn emit(&mut self, index: PortIndex, frame: &[u8], offload: Offload) {
        let Some(protocol) = Protocol::of(frame) else { return };
        let Some(port) = self.port_mut(index) else { return };
        if port.sockets[protocol as usize].send_frame(frame, offload).is_err() {
            port.losses.send_failed += 1;
        }
    }
}

/// What an event of a port's socket carries.
pub(super) fn key(index: PortIndex, protocol: Protocol) -> u64 {
    u64::from(index.0) << 2 | protocol as u64
}

/// The inverse of [`key`].
pub(super) fn port_of_key(key: u64) -> (PortIndex, usize) {
    (PortIndex((key >> 2) as u32), (key & 3) as usize)
}
