//! The VPC as a pure function: `(policy, state, port, packet, now) → (verdict, trace)`.
//!
//! [`compile`] turns the records of a network into an immutable [`Policy`]. [`process`] takes one
//! frame that arrived at a port through the stages of PIPE-1 and PIPE-2, edits it in place and
//! says where it goes. There is no clock, lock, log, system call or thread in here: time is a
//! parameter, and what the engine sends or changes goes through [`Output`].

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod address;
#[cfg(any(test, feature = "testing"))]
pub mod oracle;
mod output;
mod packet;
mod policy;
pub mod print;
mod process;
mod stage;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod trace;
mod verdict;
pub mod why;
mod wire;

pub use output::{
    Discard, Dropped, DroppedKey, Output, RECORD_LEN, Record, StateChange, Tally, TallyKey,
};
pub use packet::{Offload, Packet};
pub use policy::{
    Compiler, Component, ComponentIndex, FABRIC_ROUTER_MAC, FabricConfig, GuestNetwork, Policy,
    PortInfo, PortKind, compile,
};
pub use process::{expire, process};
pub use state::{
    Counters, FlowPlace, FlowSight, FlowView, ICMP_TIMEOUT, Limits, NAT_GATEWAY_TIMEOUT, NatSide,
    OTHER_TIMEOUT, PortCounters, State, TCP_ESTABLISHED_TIMEOUT, TCP_RESET_TIMEOUT,
    TCP_TRANSIENT_TIMEOUT, Traffic, UDP_SINGLE_TIMEOUT, UDP_STREAM_TIMEOUT, UNTRACKED_TIMEOUT,
    record_is_whole,
};
pub use trace::{Direction, NoTrace, Outcome, Stage, Step, StepPacket, Trace};
pub use verdict::{DropReason, Verdict};
pub use why::{
    Fate, Model, ModelAnswer, ModelLeg, WhyQuery, WhyReport, WhySource, WhyTraffic, fate, why,
};
