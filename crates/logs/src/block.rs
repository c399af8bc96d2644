//! Events on disk: sorted by time, some thousands together, compressed.
//!
//! A block is one LZ4 block of: the number of events, for each the differences of its time,
//! position and ingestion to the one before and the length of its message (variable-length
//! integers), then all messages one after another.

use crate::LogError;

/// An event of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) time: i64,
    /// Unique in the store; tells apart events of one time, in the order in which they came.
    pub(crate) position: u64,
    pub(crate) ingested: i64,
    start: usize,
    end: usize,
}

/// Events of one stream.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) entries: Vec<Entry>,
    text: String,
}

impl Block {
    /// Adds an event; blocks are filled in the order of time and position.
    pub(crate) fn push(&mut self, time: i64, position: u64, ingested: i64, message: &str) {
        let start = self.text.len();
        self.text.push_str(message);
        self.entries.push(Entry { time, position, ingested, start, end: self.text.len() });
    }

    pub(crate) fn message(&self, entry: &Entry) -> &str {
        self.text.get(entry.start..entry.end).unwrap_or_default()
    }

    pub(crate) fn text_len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + 8 * self.entries.len());
        put(&mut out, self.entries.len() as u64);
        let (mut time, mut position, mut ingested) = (0, 0, 0);
        for entry in &self.entries {
            put_signed(&mut out, entry.time.wrapping_sub(time));
            put_signed(&mut out, entry.position.wrapping_sub(position).cast_signed());
            put_signed(&mut out, entry.ingested.wrapping_sub(ingested));
            put(&mut out, (entry.end - entry.start) as u64);
            (time, position, ingested) = (entry.time, entry.position, entry.ingested);
        }
        out.extend_from_slice(self.text.as_bytes());
        lz4_flex::compress_prepend_size(&out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let mut block = Self::default();
        block.read(bytes, &mut Vec::new())?;
        Ok(block)
    }

    /// Becomes the block that was encoded, in the memory that it and `raw` have: who reads many asks
    /// for none again.
    pub(crate) fn read(&mut self, bytes: &[u8], raw: &mut Vec<u8>) -> Result<(), LogError> {
        let damaged = || LogError::Damaged("a block of events cannot be read".to_owned());
        self.entries.clear();
        self.text.clear();
        let (size, packed) = lz4_flex::block::uncompressed_size(bytes).map_err(|_| damaged())?;
        raw.resize(size, 0);
        let size = lz4_flex::block::decompress_into(packed, raw).map_err(|_| damaged())?;
        let mut rest = raw.get(..size).unwrap_or_default();
        let count = usize::try_from(take(&mut rest).ok_or_else(damaged)?).unwrap_or(usize::MAX);
        // An entry has four bytes at least.
        if count > size {
            return Err(damaged());
        }
        self.entries.reserve(count);
        let (mut time, mut position, mut ingested, mut start) = (0_i64, 0_u64, 0_i64, 0_usize);
        for _ in 0..count {
            let mut next = || take(&mut rest).ok_or_else(damaged);
            time = time.wrapping_add(signed(next()?));
            position = position.wrapping_add(signed(next()?).cast_unsigned());
            ingested = ingested.wrapping_add(signed(next()?));
            let length = usize::try_from(next()?).map_err(|_| damaged())?;
            let end = start.checked_add(length).ok_or_else(damaged)?;
            self.entries.push(Entry { time, position, ingested, start, end });
            start = end;
        }
        let text = std::str::from_utf8(rest).map_err(|_| damaged())?;
        if text.len() != start {
            return Err(damaged());
        }
        self.text.push_str(text);
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_is_read_as_it_was_written(
            events in proptest::collection::vec((any::<i64>(), any::<u64>(), any::<i64>(), ".*"), 0..40)
        ) {
            let mut block = Block::default();
            for (time, position, ingested, message) in &events {
                block.push(*time, *position, *ingested, message);
            }
            // In the memory of another.
            let mut read = Block::default();
            read.push(1, 2, 3, "what was there before");
            read.read(&block.encode(), &mut vec![1; 9]).expect("readable");
            prop_assert_eq!(&read.entries, &block.entries);
            for (entry, event) in read.entries.iter().zip(&events) {
                prop_assert_eq!(read.message(entry), &event.3);
            }
        }

        #[test]
        fn damage_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            // The size in front may ask for no more than this.
            let mut framed = (bytes.len() as u32 * 4).to_le_bytes().to_vec();
            framed.extend(bytes);
            let _ = Block::decode(&framed);
        }
    }
}
