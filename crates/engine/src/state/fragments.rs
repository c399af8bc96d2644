//! Protocols and ports of datagrams whose fragments are under way (traps 6). Bounded.

use foldhash::fast::FixedState;
use gureum_types::PortIndex;
use hashbrown::HashMap;

use crate::{
    DropReason,
    address::{Address, Family},
    wire::ip::{Headers, Part},
};

/// How long fragments of a datagram may follow its first one (RFC 791 suggests 15 s, Linux 30 s).
pub(crate) const FRAGMENT_TIMEOUT: u64 = 30 * 1_000_000_000;

/// What fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Datagram {
    port: u32,
    source: Address,
    destination: Address,
    identification: u32,
    /// Of IPv4 alone. In IPv6 a later fragment may name what the payload begins with, which is an
    /// extension header maybe (RFC 8200, 4.5).
    protocol: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    protocol: u8,
    source_port: u16,
    destination_port: u16,
    until: u64,
}

/// The table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fragments {
    known: HashMap<Datagram, Known, FixedState>,
    limit: u32,
}

impl Fragments {
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        Self { known: HashMap::with_hasher(FixedState::with_seed(seed)), limit }
    }

    /// Remembers protocol and ports of a first fragment, or gives a later one those of its first.
    pub(crate) fn resolve(
        &mut self,
        port: PortIndex,
        headers: &mut Headers,
        now: u64,
    ) -> Result<(), DropReason> {
        let tuple = &mut headers.tuple;
        let datagram = Datagram {
            port: port.0,
            source: tuple.source,
            destination: tuple.destination,
            identification: headers.identification,
            protocol: (tuple.family() == Family::V4).then_some(tuple.protocol),
        };
        match headers.part {
            Part::Whole => {}
            Part::First => {
                if self.is_full() {
                    self.expire(now);
                }
                if self.is_full() && !self.known.contains_key(&datagram) {
                    return Err(DropReason::FragmentTableFull);
                }
                let known = Known {
                    protocol: tuple.protocol,
                    source_port: tuple.source_port,
                    destination_port: tuple.destination_port,
                    until: now.saturating_add(FRAGMENT_TIMEOUT),
                };
                self.known.insert(datagram, known);
            }
            Part::Later => {
                let known = self.known.get(&datagram).filter(|known| known.until > now);
                let known = known.ok_or(DropReason::FragmentWithoutFirst)?;
                tuple.protocol = known.protocol;
                tuple.source_port = known.source_port;
                tuple.destination_port = known.destination_port;
                headers.ports_known = true;
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.known.len() >= usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Forgets what has timed out. The table is small, so all of it is looked at.
    pub(crate) fn expire(&mut self, now: u64) {
        self.known.retain(|_, known| known.until > now);
    }
}
