//! How a journal looks on disk: a head, then frames, each with the changes of a transaction.
//!
//! The head says from which revision on the journal tells: its first frames, which have the
//! revision 0 but for the last of them, are then all records of that revision.
//!
//! A frame is its length, the CRC-32 of what follows, the revision that it makes, the newest
//! revision that was surely on disk when it was written, and changes. The file is longer than its
//! frames: behind the last one are zeros.

use std::collections::HashMap;

use crate::{
    StoreError,
    backend::{Change, Row},
};

/// What every journal begins with, before the number of its format.
const MARK: &[u8; 12] = b"gureum log\r\n";
/// Counts up when records change in a way that older programs would misread.
const FORMAT: u32 = 2;
/// Bytes of the head.
pub(crate) const HEAD: usize = MARK.len() + size_of::<u32>() + size_of::<u64>();
/// Bytes of a frame before its content.
const PREFIX: usize = 2 * size_of::<u32>();

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// The head of a journal that tells from a revision on.
pub(crate) fn head(base: u64) -> Vec<u8> {
    let (format, base) = (FORMAT.to_le_bytes(), base.to_le_bytes());
    [MARK.as_slice(), &format, &base].concat()
}

/// A frame that is being written.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A frame that makes a revision, `durable` being surely on disk.
    pub(crate) fn new(revision: u64, durable: u64) -> Self {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(&[0; PREFIX]);
        bytes.extend_from_slice(&revision.to_le_bytes());
        bytes.extend_from_slice(&durable.to_le_bytes());
        Self { bytes }
    }

    pub(crate) fn change(&mut self, change: &Change) {
        match change {
            Change::Put(row) => self.put(row),
            Change::Delete { kind, key } => {
                self.bytes.push(DELETE);
                self.text(kind.as_bytes());
                self.text(key.as_bytes());
            }
        }
    }

    pub(crate) fn put(&mut self, row: &Row) {
        self.bytes.push(PUT);
        self.text(row.kind.as_bytes());
        self.text(row.key.as_bytes());
        self.text(&row.value);
    }

    /// How long it is by now.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn finish(mut self) -> Result<Vec<u8>, StoreError> {
        let content = &self.bytes[PREFIX..];
        let length = u32::try_from(content.len())
            .map_err(|_| StoreError::Io("a transaction is larger than 4 GiB".into()))?;
        let sum = crc32fast::hash(content);
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        self.bytes[4..PREFIX].copy_from_slice(&sum.to_le_bytes());
        Ok(self.bytes)
    }

    fn text(&mut self, text: &[u8]) {
        // The length of the whole is checked at the end, and no part is longer.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text);
    }
}

/// A frame as it is read.
struct Frame<'a> {
    revision: u64,
    durable: u64,
    changes: &'a [u8],
    end: usize,
}

/// The frame at an offset, if there is a whole one.
fn frame(bytes: &[u8], at: usize) -> Option<Frame<'_>> {
    let mut rest = Rest(bytes.get(at..)?);
    let length = usize::try_from(rest.number()?).ok()?;
    let sum = rest.number()?;
    let content = rest.take(length)?;
    let mut inner = Rest(content);
    let (revision, durable) = (inner.long()?, inner.long()?);
    (crc32fast::hash(content) == sum).then_some(Frame {
        revision,
        durable,
        changes: inner.0,
        end: at + PREFIX + length,
    })
}

/// What is left to read of a frame.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(size_of::<u32>())?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(size_of::<u64>())?.try_into().ok()?))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

/// What a journal says.
#[derive(Debug, Default)]
pub(crate) struct Content<'a> {
    /// The revision of the last frame.
    pub(crate) revision: u64,
    /// The records that are there at its end, by kind and key.
    pub(crate) records: HashMap<(&'a str, &'a str), &'a [u8]>,
    /// Where its last frame ends.
    pub(crate) end: usize,
}

/// Reads a journal. What was not surely on disk may be missing at its end, in parts; what was must
/// be there.
pub(crate) fn read(bytes: &[u8]) -> Result<Content<'_>, StoreError> {
    let mut content = Content { end: HEAD, ..Content::default() };
    let Some(base) = base(bytes)? else { return Ok(Content::default()) };
    let is_next = |revision: u64, next: u64| {
        next == revision || next == revision + 1 || revision == 0 && next == base
    };
    while let Some(frame) = frame(bytes, content.end)
        && is_next(content.revision, frame.revision)
    {
        apply(&mut content.records, frame.changes)
            .ok_or_else(|| StoreError::Damaged(format!("revision {}", frame.revision)))?;
        content.revision = frame.revision;
        content.end = frame.end;
    }
    check_tail(bytes, content.end, content.revision)?;
    match content.revision < base {
        true => Err(StoreError::Damaged(format!("revision {base} is not whole"))),
        false => Ok(content),
    }
}

/// From which revision on a journal tells; nothing where the power went before anything was
/// promised.
fn base(bytes: &[u8]) -> Result<Option<u64>, StoreError> {
    let Some(head) = bytes.get(..HEAD) else { return Ok(None) };
    let Some(rest) = head.strip_prefix(MARK) else {
        return match head.iter().all(|byte| *byte == 0) {
            true => check_tail(bytes, 0, 0).map(|()| None),
            false => Err(StoreError::Damaged("it does not begin as a journal does".into())),
        };
    };
    let mut rest = Rest(rest);
    match (rest.number(), rest.long()) {
        (Some(format), _) if format > FORMAT => {
            Err(StoreError::Newer { found: format.into(), known: FORMAT.into() })
        }
        (_, base) => Ok(base),
    }
}

fn apply<'a>(records: &mut HashMap<(&'a str, &'a str), &'a [u8]>, changes: &'a [u8]) -> Option<()> {
    let mut rest = Rest(changes);
    while !rest.0.is_empty() {
        let [tag] = *rest.take(1)? else { return None };
        let place = (rest.text()?, rest.text()?);
        match tag {
            PUT => drop(records.insert(place, rest.bytes()?)),
            DELETE => drop(records.remove(&place)),
            _ => return None,
        }
    }
    Some(())
}

/// Frames that can be read behind one that cannot were on their way when the power went, unless
/// one of them says that what is missing had been on disk.
fn check_tail(bytes: &[u8], end: usize, revision: u64) -> Result<(), StoreError> {
    for at in end..bytes.len() {
        if frame(bytes, at).is_some_and(|frame| frame.durable > revision) {
            let what = format!("what follows revision {revision} cannot be read");
            return Err(StoreError::Damaged(what));
        }
    }
    Ok(())
}
