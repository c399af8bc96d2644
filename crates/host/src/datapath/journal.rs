//! Tracked flows in a file that outlives the process: after `kill -9` no connection is forgotten.
//!
//! The file is mapped and shared, so what was written last is in the page cache whatever becomes
//! of this process. It does not outlive the machine: flows of an earlier boot are void, since
//! time began anew. A header page, then fixed slots as the engine numbers them; records carry
//! their own checksum, so a torn one counts as none.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use gureum_engine::{RECORD_LEN, Record, StateChange, record_is_whole};

use super::mapping::{Mapping, reserve};
use crate::boot_id::boot_id;

const MAGIC: &[u8; 8] = b"gureumF1";
const HEADER: usize = 4096;
/// Where the header says that a flow could not be written down.
const INCOMPLETE_AT: usize = 16;
const FIRST_SLOTS: u32 = 4096;

/// The journal of one data path.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    map: Mapping,
    slots: u32,
    limit: u32,
    /// Set when the file could not grow; said once.
    full: bool,
}

/// What a journal held when it was opened.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) journal: Journal,
    pub(super) records: Vec<(u32, Record)>,
    /// Whether these are all flows that there were in this boot, however the last writer ended.
    pub(super) intact: bool,
}

impl Journal {
    /// Opens or makes the journal. `limit` is the number of slots that the engine may use.
    pub(super) fn open(path: &Path, limit: u32) -> io::Result<Found> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let expected = header(&boot_id()?);
        let mut present = vec![0; expected.len()];
        let whole = file.read_exact_at(&mut present, 0).is_ok();
        let complete = std::mem::take(&mut present[INCOMPLETE_AT]) == 0;
        let known = whole && present == expected;
        if !known {
            file.set_len(0)?;
            file.set_len(HEADER as u64)?;
        }
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(HEADER);
        let slots = u32::try_from(size.saturating_sub(HEADER) / RECORD_LEN).unwrap_or(u32::MAX);
        let slots = slots.min(limit);
        reserve(&file, bytes_of(slots))?;
        let map = Mapping::new(&file, 0, bytes_of(slots))?;
        let mut journal = Self { file, map, slots, limit, full: false };
        journal.map.bytes()[..expected.len()].copy_from_slice(&expected);
        // A writer that was killed between two bytes of a record left one that is torn.
        let (records, torn): (Vec<_>, Vec<_>) =
            journal.records().into_iter().partition(|(_, record)| record_is_whole(record));
        for (slot, _) in &torn {
            journal.write(StateChange::Remove { slot: *slot });
        }
        Ok(Found { journal, records, intact: known && complete && torn.is_empty() })
    }

    /// The records that are there, by slot.
    pub(super) fn records(&mut self) -> Vec<(u32, Record)> {
        let records = self.map.bytes()[HEADER..].chunks_exact(RECORD_LEN);
        let records = (0..self.slots).zip(records);
        records
            .filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0))
            .filter_map(|(slot, bytes)| Some((slot, bytes.try_into().ok()?)))
            .collect()
    }

    /// Writes a change down.
    pub(super) fn write(&mut self, change: StateChange<'_>) {
        let (slot, record) = match change {
            StateChange::Insert { slot, record } | StateChange::Update { slot, record } => {
                (slot, record)
            }
            StateChange::Remove { slot } => (slot, &[0; RECORD_LEN]),
        };
        if slot >= self.slots && !self.grow(slot) {
            self.map.bytes()[INCOMPLETE_AT] = 1;
            return;
        }
        let start = bytes_of(slot);
        if let Some(place) = self.map.bytes().get_mut(start..start + RECORD_LEN) {
            place.copy_from_slice(record);
        }
    }

    fn grow(&mut self, slot: u32) -> bool {
        if self.full || slot >= self.limit {
            return false;
        }
        let slots = (slot + 1).next_power_of_two().clamp(FIRST_SLOTS, self.limit.max(FIRST_SLOTS));
        let outcome = reserve(&self.file, bytes_of(slots))
            .and_then(|()| Mapping::new(&self.file, 0, bytes_of(slots)))
            .map(|map| self.map = map);
        match outcome {
            Ok(()) => self.slots = slots,
            Err(error) => {
                self.full = true;
                tracing::warn!(
                    %error,
                    "cannot write down more connections; a killed daemon would forget the newest"
                );
            }
        }
        slot < self.slots
    }
}

fn bytes_of(slots: u32) -> usize {
    HEADER + slots as usize * RECORD_LEN
}

fn header(boot_id: &str) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&(RECORD_LEN as u32).to_ne_bytes());
    header.resize(INCOMPLETE_AT + 8, 0);
    header.extend_from_slice(boot_id.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use gureum_engine::testing::Lab;

    use super::*;

    /// Records of flows, each another one.
    fn records<const N: usize>() -> [Record; N] {
        let mut lab = Lab::new();
        let bastion = gureum_engine::testing::lab::BASTION;
        for n in 0..N as u16 {
            lab.ping(bastion, Ipv4Addr::new(198, 18, 200, 7), n);
        }
        let records: Vec<_> = lab.journal.records.values().copied().collect();
        records.try_into().expect("one a ping")
    }

    #[test]
    fn flows_are_found_again_whole_after_any_end_of_the_writer() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("flows");
        let [one, two, three, four] = records();
        let Found { mut journal, records, intact } = Journal::open(&path, 1 << 18).expect("new");
        assert!(records.is_empty() && !intact, "nothing is known of what was before");
        journal.write(StateChange::Insert { slot: 0, record: &one });
        journal.write(StateChange::Insert { slot: 7, record: &two });
        journal.write(StateChange::Insert { slot: 5000, record: &three });
        journal.write(StateChange::Update { slot: 5000, record: &four });
        let bytes = |path| std::fs::read(path).expect("read")[bytes_of(7)..bytes_of(8)].to_vec();
        assert_eq!(bytes(&path), two, "what is written is out of the process");
        journal.write(StateChange::Remove { slot: 7 });
        assert_eq!(bytes(&path), [0; RECORD_LEN], "nothing of a flow stays when it ends");

        // The first writer is not even gone.
        let found = Journal::open(&path, 1 << 18).expect("opened");
        assert_eq!(found.records, [(0, one), (5000, four)]);
        assert!(found.intact);
        drop((journal, found));
        let found = Journal::open(&path, 1 << 18).expect("opened");
        assert_eq!(found.records.len(), 2);
        assert!(found.intact);
    }

    #[test]
    fn flows_of_another_boot_or_another_form_are_void() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("flows");
        let [record] = records();
        for at in [0, 9, INCOMPLETE_AT + 10] {
            let mut journal = Journal::open(&path, 64).expect("opened").journal;
            journal.write(StateChange::Insert { slot: 3, record: &record });
            journal.map.bytes()[at] ^= 1;
            drop(journal);
            let found = Journal::open(&path, 64).expect("opened");
            assert!(found.records.is_empty() && !found.intact, "byte {at}");
        }
    }

    #[test]
    fn a_torn_record_counts_as_none_and_is_told_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("flows");
        let [one, two] = records();
        let mut journal = Journal::open(&path, 64).expect("opened").journal;
        journal.write(StateChange::Insert { slot: 0, record: &one });
        let mut torn = two;
        torn[RECORD_LEN / 2..].fill(0);
        journal.write(StateChange::Insert { slot: 1, record: &torn });
        drop(journal);
        for intact in [false, true] {
            let found = Journal::open(&path, 64).expect("opened");
            assert_eq!(found.records, [(0, one)]);
            assert_eq!(found.intact, intact);
        }
    }

    #[test]
    fn a_slot_beyond_the_limit_is_left_out_and_told_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("flows");
        let [record] = records();
        let mut journal = Journal::open(&path, 8192).expect("opened").journal;
        journal.write(StateChange::Insert { slot: 8192, record: &record });
        journal.write(StateChange::Insert { slot: u32::MAX, record: &record });
        assert!(journal.records().is_empty());
        drop(journal);
        for intact in [false, true] {
            assert_eq!(Journal::open(&path, 8192).expect("opened").intact, intact);
        }
    }
}
