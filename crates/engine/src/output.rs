//! What the engine hands out besides its verdict: frames of its own, changes of its state, leases.

use gureum_types::PortIndex;

use crate::Offload;

/// Bytes of the record of a tracked flow.
pub const RECORD_LEN: usize = 104;

/// A tracked flow as plain bytes, complete: what [`crate::State::restore`] needs to bring it back.
/// It carries a checksum, so a record that was torn by a crash is told apart; all zeros is none.
pub type Record = [u8; RECORD_LEN];

/// A change of the tracked flows. Whoever mirrors these into memory that outlives the process
/// loses no flow when it is killed (traps 9). Slots are below [`crate::Limits::flows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange<'a> {
    /// A flow was created.
    Insert {
        /// Its slot.
        slot: u32,
        /// The flow.
        record: &'a Record,
    },
    /// A flow changed its state, or its last packet is some seconds later than recorded.
    Update {
        /// Its slot.
        slot: u32,
        /// The flow.
        record: &'a Record,
    },
    /// A flow ended.
    Remove {
        /// Its slot.
        slot: u32,
    },
}

/// Where the engine puts what it makes.
pub trait Output {
    /// Sends a frame of the engine's own out of a port.
    fn emit(&mut self, port: PortIndex, frame: &[u8], offload: Offload);
    /// Tells of a change of the tracked flows.
    fn journal(&mut self, change: StateChange<'_>);
    /// Tells that the guest behind a port accepted its DHCP lease.
    fn dhcp_lease(&mut self, port: PortIndex);
}

/// An output that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Output for Discard {
    fn emit(&mut self, _: PortIndex, _: &[u8], _: Offload) {}
    fn journal(&mut self, _: StateChange<'_>) {}
    fn dhcp_lease(&mut self, _: PortIndex) {}
}
