//! A tracked flow as plain bytes, for memory that outlives the process (traps 9).
//!
//! Little endian: version, protocol, phase, origin; port; local and remote address; both ports;
//! created; last seen; packets and bytes out, then in; a checksum of all that at the end.

use gureum_types::PortIndex;

use super::flow::{Carried, Flow, FlowKey, Phase, Timeouts};
use crate::{Direction, RECORD_LEN, Record, address::Address};

const VERSION: u8 = 2;
const CHECKED: usize = RECORD_LEN - 8;

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Writes a flow.
pub(crate) fn encode(flow: &Flow) -> Record {
    let mut record = [0; RECORD_LEN];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(place) = record.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        at += bytes.len();
    };
    let origin = u8::from(flow.origin == Direction::Ingress);
    put(&[VERSION, flow.key.protocol(), flow.phase as u8, origin]);
    put(&flow.key.port().to_le_bytes());
    put(&flow.key.local.number().to_le_bytes());
    put(&flow.key.remote.number().to_le_bytes());
    put(&flow.key.local_port.to_le_bytes());
    put(&flow.key.remote_port.to_le_bytes());
    put(&flow.created.to_le_bytes());
    put(&flow.last_seen.to_le_bytes());
    for (carried, flags) in [&flow.egress, &flow.ingress].into_iter().zip(flow.tcp_flags) {
        put(&u32::try_from(carried.packets).unwrap_or(u32::MAX).to_le_bytes());
        put(&carried.bytes.to_le_bytes());
        put(&[flags, 0, 0, 0]);
    }
    let sum = checksum(record.get(..CHECKED).unwrap_or_default());
    if let Some(place) = record.get_mut(CHECKED..) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
    record
}

/// Whether a record was written to its end.
pub fn record_is_whole(record: &Record) -> bool {
    record
        .split_at_checked(CHECKED)
        .is_some_and(|(checked, sum)| checksum(checked).to_le_bytes() == sum)
}

/// Reads a flow; `None` where there is none, or one that was not written to its end.
pub(crate) fn decode(record: &Record, now: u64) -> Option<Flow> {
    let mut rest = record.get(..CHECKED).filter(|_| record_is_whole(record))?;
    let [version, protocol, phase, origin] = take::<4>(&mut rest)?;
    let phase = Phase::from_number(phase)?;
    if version != VERSION || origin > 1 || phase == Phase::Untracked {
        return None;
    }
    let port = PortIndex(u32::from_le_bytes(take(&mut rest)?));
    let mut address = || Some(Address::v6(u128::from_le_bytes(take(&mut rest)?)));
    let (local, remote) = (address()?, address()?);
    let local_port = u16::from_le_bytes(take(&mut rest)?);
    let remote_port = u16::from_le_bytes(take(&mut rest)?);
    if port >= PortIndex::END {
        return None;
    }
    let key = FlowKey::of(port, protocol, ((local, local_port), (remote, remote_port)));
    let origin = if origin == 1 { Direction::Ingress } else { Direction::Egress };
    // A record from before a reboot has a clock that began anew since.
    let created = u64::from_le_bytes(take(&mut rest)?).min(now);
    let last_seen = u64::from_le_bytes(take(&mut rest)?).min(now);
    let mut carried = || {
        let packets = u64::from(u32::from_le_bytes(take(&mut rest)?));
        let bytes = u64::from_le_bytes(take(&mut rest)?);
        let [tcp_flags, ..] = take::<4>(&mut rest)?;
        Some((Carried { packets, bytes }, tcp_flags))
    };
    let ((egress, out_flags), (ingress, back_flags)) = (carried()?, carried()?);
    let mut flow = Flow::new(key, phase, origin, &Timeouts::default(), last_seen);
    flow.created = created;
    (flow.egress, flow.ingress) = (egress, ingress);
    flow.tcp_flags = [out_flags, back_flags];
    Some(flow)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let local = (Address::v4(0x0a01_0105), 22);
        let remote = (Address::v6(0x2001_0db8 << 96 | 1), 40_000);
        let key = FlowKey::of(PortIndex(7), 6, (local, remote));
        let mut flow =
            Flow::new(key, Phase::TcpEstablished, Direction::Ingress, &Timeouts::default(), 1000);
        flow.egress = Carried { packets: 3, bytes: 5 };
        flow.tcp_flags = [0x12, 0];
        flow
    }

    #[test]
    fn a_flow_comes_back_from_its_record() {
        assert_eq!(decode(&encode(&flow()), 2000), Some(flow()));
    }

    #[test]
    fn a_torn_record_is_none() {
        let good = encode(&flow());
        for at in 0..RECORD_LEN {
            let mut torn = good;
            torn[at] ^= 0x40;
            assert_eq!(decode(&torn, 2000), None, "byte {at}");
            assert!(record_is_whole(&good) && !record_is_whole(&torn), "byte {at}");
        }
        assert_eq!(decode(&[0; RECORD_LEN], 2000), None);
    }

    #[test]
    fn what_is_no_flow_of_this_version_is_none() {
        let changed = |at: usize, byte: u8| {
            let mut record = encode(&flow());
            record[at] = byte;
            let sum = checksum(&record[..CHECKED]);
            record[CHECKED..].copy_from_slice(&sum.to_le_bytes());
            assert!(record_is_whole(&record));
            decode(&record, 2000)
        };
        assert_eq!(changed(0, VERSION), Some(flow()));
        let phases = [Phase::Untracked as u8, 14];
        for (at, byte) in [(0, VERSION + 1), (2, phases[0]), (2, phases[1]), (3, 2), (7, 1)] {
            assert_eq!(changed(at, byte), None, "byte {at}");
        }
    }
}
