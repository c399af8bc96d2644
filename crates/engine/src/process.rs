//! One packet through the stages.

use gureum_types::PortIndex;

use crate::{DropReason, Output, Packet, Policy, State, Trace, Verdict};

/// Takes a frame that arrived at a port through all stages. `now` is monotonic, in nanoseconds.
pub fn process(
    _policy: &Policy,
    _state: &mut State,
    _port: PortIndex,
    _packet: &mut Packet<'_>,
    _now: u64,
    _out: &mut impl Output,
    _trace: &mut impl Trace,
) -> Verdict {
    Verdict::Drop(DropReason::UnknownPort)
}

/// Forgets what has timed out, a bounded number of entries a call. Call it often, from an idle
/// loop or a timer; nothing depends on how often, for what has timed out is never used.
pub fn expire(_state: &mut State, _now: u64, _out: &mut impl Output) {}
