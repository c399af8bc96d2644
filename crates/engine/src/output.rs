//! What the engine hands out besides its verdict: frames of its own, changes of its state, leases.

use std::net::IpAddr;

use gureum_types::{PortIndex, TrafficDirection, TrafficPath, TrafficVerdict};

use crate::{Direction, DropReason, Offload};

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

/// What an interface with a flow log carried, told apart as records of flow logs are (FL-23).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TallyKey {
    /// The number of the interface's id ([`gureum_types::NetworkInterfaceId::number`]).
    pub interface: u64,
    /// The source of the packets themselves; IPv4 as IPv6 maps it.
    pub source: u128,
    /// Their destination.
    pub destination: u128,
    /// The source port; 0 where the protocol has none.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Into the interface or out of it.
    pub direction: TrafficDirection,
    /// What security groups and network ACLs said.
    pub verdict: TrafficVerdict,
    /// By which way it left.
    pub path: Option<TrafficPath>,
}

/// Wire packets that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Whose they are.
    pub key: TallyKey,
    /// How many.
    pub packets: u32,
    /// Their bytes from the IP header on.
    pub bytes: u32,
    /// Their TCP flags as flow logs write them, or-ed (FL-25).
    pub tcp_flags: u8,
    /// When they passed, on the clock of `now`.
    pub now: u64,
}

/// Dropped IP packets, told apart by what they were when they came and where they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DroppedKey {
    /// The port that they came from.
    pub port: PortIndex,
    /// The port at which they were dropped, as far as that is known: else the one that they came
    /// from.
    pub at: PortIndex,
    /// Out of that port's interface or into it.
    pub direction: Direction,
    /// Their source.
    pub source: IpAddr,
    /// Their destination.
    pub destination: IpAddr,
    /// The source port; for ICMP the type, with the code behind it.
    pub source_port: u16,
    /// The destination port; for ICMP queries their identifier.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Why.
    pub reason: DropReason,
}

/// A packet that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What it was, and why.
    pub key: DroppedKey,
    /// Packets on the wire.
    pub packets: u32,
    /// Their bytes from the IP header on.
    pub bytes: u32,
}

/// Where the engine puts what it makes.
pub trait Output {
    /// Sends a frame of the engine's own out of a port.
    fn emit(&mut self, port: PortIndex, frame: &[u8], offload: Offload);
    /// Tells of a change of the tracked flows.
    fn journal(&mut self, change: StateChange<'_>);
    /// Tells that the guest behind a port accepted its DHCP lease.
    fn dhcp_lease(&mut self, port: PortIndex);
    /// Tells what an interface with a flow log carried. `entry` is what this gave the last time for
    /// a key that is mostly the same, or `u32::MAX`: a hint where its sum is kept.
    fn tally(&mut self, entry: u32, _: &Tally) -> u32 {
        entry
    }
    /// Tells of a packet that was dropped.
    fn dropped(&mut self, _: &Dropped) {}
    /// Tells what an interface with a flow log carried of a flow that there was no room to keep: of
    /// one packet, and nothing remembers where the sum is.
    fn tally_apart(&mut self, _: &Tally) {}
}

/// An output that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Output for Discard {
    fn emit(&mut self, _: PortIndex, _: &[u8], _: Offload) {}
    fn journal(&mut self, _: StateChange<'_>) {}
    fn dhcp_lease(&mut self, _: PortIndex) {}
}
