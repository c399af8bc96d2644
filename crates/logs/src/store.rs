//! Where log data is kept: a redb database of its own beside the records.
//!
//! Groups and streams are numbers here; names are records of the store. Whoever makes a group
//! anew under an old name gives it a new number, so old events never show, and
//! [`LogStore::sweep`] deletes what no number stands for any more.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt,
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase as _,
    ReadableTable as _, TableDefinition, WriteTransaction,
};

use crate::{
    LogError,
    block::Block,
    tail::{Heard, Tail, Tails, tell},
};

/// Blocks by stream, first time and first position.
const BLOCKS: TableDefinition<'_, (u64, i64, u64), &[u8]> = TableDefinition::new("blocks");
/// Blocks of a group in the order of time: stream, last time, number of events.
const GROUP_SPANS: TableDefinition<'_, (u64, i64, u64), (u64, i64, u32)> =
    TableDefinition::new("group-spans");
/// Blocks of a stream in the order of time: last time, number of events, bytes of messages.
const STREAM_SPANS: TableDefinition<'_, (u64, i64, u64), (i64, u32, u32)> =
    TableDefinition::new("stream-spans");
/// By group and stream: last event, last ingestion, bytes of messages.
const STREAMS: TableDefinition<'_, (u64, u64), (i64, i64, u64)> = TableDefinition::new("streams");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const FORMAT: u64 = 1;
/// How much time a block covers at most, so that a search knows how far before its range blocks
/// may begin that reach into it.
const BLOCK_SPAN_MS: i64 = 3_600_000;
/// How many bytes of messages a block has, about.
const BLOCK_BYTES: usize = 256 << 10;
/// Blocks with fewer events are merged with their neighbours.
const SMALL_BLOCK: u32 = 512;
/// How many small neighbours are worth a merge.
const MERGE_AT: usize = 8;
/// What redb keeps in memory; the kernel caches the file anyway.
const CACHE_BYTES: usize = 4 << 20;

/// An event to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    /// What was logged.
    pub message: &'a str,
}

/// A place between events of a group: behind the event with this time and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The event's time.
    pub time: i64,
    /// Its position among those of one time.
    pub position: u64,
}

impl Mark {
    /// What names an event in answers of queries.
    pub(crate) fn pointer(self, stream: u64) -> String {
        format!("{stream:016x}{:016x}{:016x}", self.time, self.position)
    }

    /// The stream and event that a pointer of a query's answer names.
    pub fn of_pointer(text: &str) -> Option<(u64, Self)> {
        let part = |at: usize| u64::from_str_radix(text.get(16 * at..16 * at + 16)?, 16).ok();
        let is_whole = text.len() == 48;
        let mark = Self { time: part(1)?.cast_signed(), position: part(2)? };
        is_whole.then_some((part(0)?, mark))
    }
}

/// A kept event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// When and which: unique, and in the order in which events are shown.
    pub mark: Mark,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub ingested: i64,
    /// The number of its stream.
    pub stream: u64,
    /// What was logged.
    pub message: &'a str,
}

/// What there is of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The time of the first event that is kept.
    pub first: i64,
    /// The time of the last.
    pub last: i64,
    /// When an event was last taken in.
    pub last_ingestion: i64,
    /// Bytes of messages.
    pub bytes: u64,
}

/// What shall stay of a group or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// Events since a point in time, in milliseconds.
    Since(i64),
    /// All.
    All,
}

/// Log data on disk.
pub struct LogStore {
    database: Database,
    path: PathBuf,
    tails: Tails,
}

impl fmt::Debug for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A block as the indexes tell it.
#[derive(Clone, Copy, Debug)]
struct Span {
    stream: u64,
    first: i64,
    sequence: u64,
    last: i64,
}

type BlockTable = ReadOnlyTable<(u64, i64, u64), &'static [u8]>;

impl LogStore {
    /// Opens the log data in a directory, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<Self, LogError> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("events.redb");
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&path)?;
        Self::prepared(database, path)
    }

    /// Log data that ends with the process.
    ///
    /// # Panics
    /// Never: what fails are files.
    pub fn in_memory() -> Self {
        let backend = redb::backends::InMemoryBackend::new();
        let database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend);
        database
            .map_err(LogError::from)
            .and_then(|database| Self::prepared(database, PathBuf::from("memory")))
            .expect("a database in memory")
    }

    fn prepared(database: Database, path: PathBuf) -> Result<Self, LogError> {
        let mut writing = database.begin_write()?;
        // Lost with the power it is done again: nothing is in it yet.
        writing.set_durability(Durability::None)?;
        {
            let mut meta = writing.open_table(META)?;
            let found = meta.get("format")?.map(|it| it.value());
            match found {
                Some(found) if found > FORMAT => {
                    return Err(LogError::Damaged(format!(
                        "the log data has format {found}, this program knows up to {FORMAT}"
                    )));
                }
                Some(_) => {}
                None => {
                    meta.insert("format", FORMAT)?;
                }
            }
            writing.open_table(BLOCKS)?;
            writing.open_table(GROUP_SPANS)?;
            writing.open_table(STREAM_SPANS)?;
            writing.open_table(STREAMS)?;
        }
        writing.commit()?;
        Ok(Self { database, path, tails: Tails::default() })
    }

    /// Keeps events of a stream. When this returns, they survive the loss of power.
    pub fn append(
        &self,
        group: u64,
        stream: u64,
        events: &[NewEvent<'_>],
        ingested: i64,
    ) -> Result<(), LogError> {
        self.append_all(group, &[(stream, events)], ingested)
    }

    /// As [`Self::append`] for several streams of a group, in one go.
    pub fn append_all(
        &self,
        group: u64,
        batches: &[(u64, &[NewEvent<'_>])],
        ingested: i64,
    ) -> Result<(), LogError> {
        let writing = self.database.begin_write()?;
        {
            let mut meta = writing.open_table(META)?;
            let mut position = meta.get("position")?.map_or(0, |it| it.value());
            for (stream, events) in batches {
                let mut sorted: Vec<_> = events.iter().collect();
                sorted.sort_by_key(|event| event.time);
                let mut block = Block::default();
                for event in sorted {
                    if is_full(&block, event.time) {
                        put_block(&writing, group, *stream, &std::mem::take(&mut block))?;
                    }
                    block.push(event.time, position, ingested, event.message);
                    position += 1;
                }
                let Some(last) = block.entries.last().map(|it| it.time) else { continue };
                put_block(&writing, group, *stream, &block)?;
                let bytes: u64 = events.iter().map(|it| it.message.len() as u64).sum();
                let mut streams = writing.open_table(STREAMS)?;
                let known = streams.get((group, *stream))?.map(|it| it.value());
                let known = known.unwrap_or((i64::MIN, i64::MIN, 0));
                let now = (known.0.max(last), known.1.max(ingested), known.2 + bytes);
                streams.insert((group, *stream), now)?;
            }
            meta.insert("position", position)?;
        }
        writing.commit()?;
        let tails = self.tails.of(group);
        if !tails.is_empty() {
            let all = batches
                .iter()
                .flat_map(|(stream, events)| events.iter().map(move |event| (*stream, event)));
            for (stream, NewEvent { time, message }) in all {
                let message = (*message).to_owned();
                tell(&tails, &Heard { group, stream, time: *time, ingested, message });
            }
        }
        Ok(())
    }

    /// Listens to groups from now on, by their numbers.
    pub fn tail(&self, groups: Vec<u64>) -> Arc<Tail> {
        self.tails.listen(groups)
    }

    /// What there is of the streams of a group, by their numbers; of empty ones nothing.
    pub fn summaries(&self, group: u64) -> Result<BTreeMap<u64, Summary>, LogError> {
        let reading = self.database.begin_read()?;
        let spans = reading.open_table(STREAM_SPANS)?;
        let mut found = BTreeMap::new();
        for row in reading.open_table(STREAMS)?.range((group, 0)..=(group, u64::MAX))? {
            let (key, value) = row?;
            let (stream, (last, last_ingestion, bytes)) = (key.value().1, value.value());
            let mut blocks = spans.range((stream, i64::MIN, 0)..=(stream, i64::MAX, u64::MAX))?;
            if let Some(block) = blocks.next() {
                let first = block?.0.value().1;
                found.insert(stream, Summary { first, last, last_ingestion, bytes });
            }
        }
        Ok(found)
    }

    /// Bytes of messages of a group.
    pub fn bytes(&self, group: u64) -> Result<u64, LogError> {
        let reading = self.database.begin_read()?;
        let streams = reading.open_table(STREAMS)?;
        let mut rows = streams.range((group, 0)..=(group, u64::MAX))?;
        rows.try_fold(0, |sum, row| Ok(sum + row?.1.value().2))
    }

    /// Visits the events of a group in a range of time, in order, from behind `after` on; only
    /// those of `streams` where these are given. Ends when the visitor breaks.
    pub fn forward(
        &self,
        group: u64,
        streams: Option<&[u64]>,
        range: &Range<i64>,
        after: Option<Mark>,
        mut visit: impl FnMut(&Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let reading = self.database.begin_read()?;
        let from = after.map_or(range.start, |mark| mark.time.max(range.start));
        let spans = spans(&reading, group, streams, &(from..range.end))?;
        let blocks = reading.open_table(BLOCKS)?;
        let mut open: Vec<Option<(u64, Block)>> = Vec::new();
        // The next event of every open block: its mark, which block, which entry.
        let mut next = BinaryHeap::new();
        let mut spans = spans.into_iter().peekable();
        loop {
            // Whatever is in blocks not yet open is later than what is shown before.
            while let Some(span) = spans.peek() {
                let soonest = next
                    .peek()
                    .map(|Reverse((mark, ..)): &Reverse<(Mark, usize, usize)>| mark.time);
                if soonest.is_some_and(|time| time < span.first) {
                    break;
                }
                let block = read(&blocks, span)?;
                let begins = |mark: Mark| mark.time >= from && after.is_none_or(|it| mark > it);
                let start = block
                    .entries
                    .partition_point(|it| !begins(Mark { time: it.time, position: it.position }));
                if let Some(entry) = block.entries.get(start) {
                    let mark = Mark { time: entry.time, position: entry.position };
                    next.push(Reverse((mark, open.len(), start)));
                    open.push(Some((span.stream, block)));
                }
                spans.next();
            }
            let Some(Reverse((mark, at, index))) = next.pop() else { return Ok(()) };
            if mark.time >= range.end {
                return Ok(());
            }
            let Some(Some((stream, block))) = open.get(at) else { continue };
            let Some(entry) = block.entries.get(index) else { continue };
            let event = Event {
                mark,
                ingested: entry.ingested,
                stream: *stream,
                message: block.message(entry),
            };
            if visit(&event).is_break() {
                return Ok(());
            }
            match block.entries.get(index + 1) {
                Some(entry) => {
                    let mark = Mark { time: entry.time, position: entry.position };
                    next.push(Reverse((mark, at, index + 1)));
                }
                None => {
                    if let Some(done) = open.get_mut(at) {
                        *done = None;
                    }
                }
            }
        }
    }

    /// Visits the events of one stream from the last of a range, or from before `before`, back.
    pub fn backward(
        &self,
        group: u64,
        stream: u64,
        range: &Range<i64>,
        before: Option<Mark>,
        mut visit: impl FnMut(&Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let reading = self.database.begin_read()?;
        let to = before.map_or(range.end, |mark| range.end.min(mark.time.saturating_add(1)));
        let mut spans = spans(&reading, group, Some(&[stream]), &(range.start..to))?;
        spans.sort_by_key(|span| Reverse((span.last, span.sequence)));
        let blocks = reading.open_table(BLOCKS)?;
        let mut open: Vec<Block> = Vec::new();
        let mut next: BinaryHeap<(Mark, usize, usize)> = BinaryHeap::new();
        let mut spans = spans.into_iter().peekable();
        loop {
            while let Some(span) = spans.peek() {
                if next.peek().is_some_and(|(mark, ..)| mark.time > span.last) {
                    break;
                }
                let block = read(&blocks, span)?;
                let end = block.entries.partition_point(|it| {
                    let mark = Mark { time: it.time, position: it.position };
                    mark.time < to && before.is_none_or(|before| mark < before)
                });
                if let Some((index, entry)) =
                    end.checked_sub(1).and_then(|i| Some((i, block.entries.get(i)?)))
                {
                    let mark = Mark { time: entry.time, position: entry.position };
                    next.push((mark, open.len(), index));
                    open.push(block);
                }
                spans.next();
            }
            let Some((mark, at, index)) = next.pop() else { return Ok(()) };
            if mark.time < range.start {
                return Ok(());
            }
            let Some(block) = open.get(at) else { continue };
            let Some(entry) = block.entries.get(index) else { continue };
            let event =
                Event { mark, ingested: entry.ingested, stream, message: block.message(entry) };
            if visit(&event).is_break() {
                return Ok(());
            }
            if let Some((index, entry)) =
                index.checked_sub(1).and_then(|i| Some((i, block.entries.get(i)?)))
            {
                next.push((Mark { time: entry.time, position: entry.position }, at, index));
            }
        }
    }

    /// Visits all events of groups in a range of time, in no order, on all processors: `fold`
    /// takes a processor's events into its own state, which `start` makes. Ends early once
    /// `stop` says so.
    pub fn scan<S: Send>(
        &self,
        groups: &[u64],
        range: &Range<i64>,
        start: impl Fn() -> S + Sync,
        fold: impl Fn(&mut S, &Event<'_>) + Sync,
        stop: impl Fn() -> bool + Sync,
    ) -> Result<Vec<S>, LogError> {
        let reading = self.database.begin_read()?;
        let mut spans = Vec::new();
        for group in groups {
            spans.extend(self::spans(&reading, *group, None, range)?);
        }
        let turn = AtomicUsize::new(0);
        let work = || -> Result<S, LogError> {
            // Of the same moment as the list, which the sweep may overtake.
            let blocks = reading.open_table(BLOCKS)?;
            let (mut state, mut block, mut raw) = (start(), Block::default(), Vec::new());
            while let Some(span) = spans.get(turn.fetch_add(1, Ordering::Relaxed)) {
                if stop() {
                    break;
                }
                block.read(found(&blocks, span)?.value(), &mut raw)?;
                for entry in &block.entries {
                    if range.contains(&entry.time) {
                        let mark = Mark { time: entry.time, position: entry.position };
                        let message = block.message(entry);
                        let (ingested, stream) = (entry.ingested, span.stream);
                        fold(&mut state, &Event { mark, ingested, stream, message });
                    }
                }
            }
            Ok(state)
        };
        let workers =
            thread::available_parallelism().map_or(1, usize::from).min(spans.len().max(1));
        thread::scope(|scope| {
            let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let mut states = vec![work()?];
            for other in others {
                let state =
                    other.join().map_err(|_| LogError::Io("a reader panicked".to_owned()))?;
                states.push(state?);
            }
            Ok(states)
        })
    }

    /// Deletes what shall not stay, and merges small blocks. `keep` is asked for each stream of
    /// each group.
    pub fn sweep(&self, keep: impl Fn(u64, u64) -> Keep) -> Result<(), LogError> {
        let reading = self.database.begin_read()?;
        let known: Vec<_> = reading
            .open_table(STREAMS)?
            .iter()?
            .map(|row| row.map(|(key, _)| key.value()))
            .collect::<Result<_, _>>()?;
        drop(reading);
        for (group, stream) in known {
            match keep(group, stream) {
                Keep::All => {}
                Keep::Nothing => self.delete(group, stream, i64::MAX)?,
                Keep::Since(time) => self.delete(group, stream, time)?,
            }
            self.merge(group, stream)?;
        }
        Ok(())
    }

    /// Deletes the blocks of a stream that end before a point in time.
    fn delete(&self, group: u64, stream: u64, before: i64) -> Result<(), LogError> {
        let reading = self.database.begin_read()?;
        let mut old = Vec::new();
        let all = (stream, i64::MIN, 0)..=(stream, i64::MAX, u64::MAX);
        for row in reading.open_table(STREAM_SPANS)?.range(all)? {
            let (key, value) = row?;
            let ((_, first, sequence), (last, _, bytes)) = (key.value(), value.value());
            if last < before || before == i64::MAX {
                old.push((first, sequence, bytes));
            }
        }
        drop(reading);
        if old.is_empty() && before != i64::MAX {
            return Ok(());
        }
        let writing = self.database.begin_write()?;
        {
            let mut streams = writing.open_table(STREAMS)?;
            let mut freed = 0;
            for (first, sequence, bytes) in old {
                take_block(&writing, group, stream, first, sequence)?;
                freed += u64::from(bytes);
            }
            let known = streams.get((group, stream))?.map(|it| it.value());
            if before == i64::MAX {
                streams.remove((group, stream))?;
            } else if let Some((last, ingestion, bytes)) = known {
                streams.insert((group, stream), (last, ingestion, bytes.saturating_sub(freed)))?;
            }
        }
        writing.commit()?;
        Ok(())
    }

    /// Makes one block of small neighbours.
    fn merge(&self, group: u64, stream: u64) -> Result<(), LogError> {
        let reading = self.database.begin_read()?;
        let mut runs: Vec<Vec<Span>> = vec![Vec::new()];
        let (mut begin, mut bytes) = (0_i64, 0_usize);
        let all = (stream, i64::MIN, 0)..=(stream, i64::MAX, u64::MAX);
        for row in reading.open_table(STREAM_SPANS)?.range(all)? {
            let (key, value) = row?;
            let ((_, first, sequence), (last, count, size)) = (key.value(), value.value());
            let span = Span { stream, first, sequence, last };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let fits = last.saturating_sub(begin) < BLOCK_SPAN_MS && bytes + size <= BLOCK_BYTES;
            match runs.last_mut() {
                Some(run) if count < SMALL_BLOCK && (run.is_empty() || fits) => {
                    if run.is_empty() {
                        (begin, bytes) = (first, 0);
                    }
                    bytes += size;
                    run.push(span);
                }
                _ => {
                    (begin, bytes) = (first, size);
                    runs.push(if count < SMALL_BLOCK { vec![span] } else { Vec::new() });
                }
            }
        }
        runs.retain(|run| run.len() >= MERGE_AT);
        if runs.is_empty() {
            return Ok(());
        }
        let table = reading.open_table(BLOCKS)?;
        let writing = self.database.begin_write()?;
        for run in runs {
            let blocks =
                run.iter().map(|span| read(&table, span)).collect::<Result<Vec<_>, _>>()?;
            let mut all: Vec<_> =
                blocks.iter().flat_map(|it| it.entries.iter().map(move |e| (it, e))).collect();
            all.sort_by_key(|(_, entry)| (entry.time, entry.position));
            let mut merged = Block::default();
            for (block, entry) in all {
                merged.push(entry.time, entry.position, entry.ingested, block.message(entry));
            }
            for span in &run {
                take_block(&writing, group, stream, span.first, span.sequence)?;
            }
            put_block(&writing, group, stream, &merged)?;
        }
        writing.commit()?;
        Ok(())
    }
}

/// Whether an event of this time begins another block.
fn is_full(block: &Block, time: i64) -> bool {
    let Some(first) = block.entries.first() else { return false };
    block.text_len() >= BLOCK_BYTES || time.saturating_sub(first.time) >= BLOCK_SPAN_MS
}

fn put_block(
    writing: &WriteTransaction,
    group: u64,
    stream: u64,
    block: &Block,
) -> Result<(), LogError> {
    let (Some(first), Some(last)) = (block.entries.first(), block.entries.last()) else {
        return Ok(());
    };
    let count = u32::try_from(block.entries.len()).unwrap_or(u32::MAX);
    let bytes = u32::try_from(block.text_len()).unwrap_or(u32::MAX);
    let (first, sequence, last) = (first.time, first.position, last.time);
    writing.open_table(BLOCKS)?.insert((stream, first, sequence), block.encode().as_slice())?;
    writing.open_table(GROUP_SPANS)?.insert((group, first, sequence), (stream, last, count))?;
    writing.open_table(STREAM_SPANS)?.insert((stream, first, sequence), (last, count, bytes))?;
    Ok(())
}

fn take_block(
    writing: &WriteTransaction,
    group: u64,
    stream: u64,
    first: i64,
    sequence: u64,
) -> Result<(), LogError> {
    writing.open_table(BLOCKS)?.remove((stream, first, sequence))?;
    writing.open_table(GROUP_SPANS)?.remove((group, first, sequence))?;
    writing.open_table(STREAM_SPANS)?.remove((stream, first, sequence))?;
    Ok(())
}

fn read(blocks: &BlockTable, span: &Span) -> Result<Block, LogError> {
    Block::decode(found(blocks, span)?.value())
}

fn found(
    blocks: &BlockTable,
    span: &Span,
) -> Result<redb::AccessGuard<'static, &'static [u8]>, LogError> {
    let bytes = blocks.get((span.stream, span.first, span.sequence))?;
    bytes.ok_or_else(|| LogError::Damaged("a block is missing".to_owned()))
}

/// The blocks that may have events of a range, in the order of their first ones.
fn spans(
    reading: &ReadTransaction,
    group: u64,
    streams: Option<&[u64]>,
    range: &Range<i64>,
) -> Result<Vec<Span>, LogError> {
    let begin = range.start.saturating_sub(BLOCK_SPAN_MS);
    let mut found = Vec::new();
    if begin >= range.end {
        return Ok(found);
    }
    match streams {
        // Few streams have an index of their own; many are picked from the group's.
        Some(streams) if streams.len() <= 16 => {
            let table = reading.open_table(STREAM_SPANS)?;
            for stream in streams {
                for row in table.range((*stream, begin, 0)..(*stream, range.end, 0))? {
                    let (key, value) = row?;
                    let ((stream, first, sequence), (last, ..)) = (key.value(), value.value());
                    found.push(Span { stream, first, sequence, last });
                }
            }
            found.sort_by_key(|span| (span.first, span.sequence));
        }
        _ => {
            let wanted = streams.map(|it| it.iter().copied().collect::<hashbrown::HashSet<_>>());
            let table = reading.open_table(GROUP_SPANS)?;
            for row in table.range((group, begin, 0)..(group, range.end, 0))? {
                let (key, value) = row?;
                let ((_, first, sequence), (stream, last, _)) = (key.value(), value.value());
                if wanted.as_ref().is_none_or(|it| it.contains(&stream)) {
                    found.push(Span { stream, first, sequence, last });
                }
            }
        }
    }
    found.retain(|span| span.last >= range.start);
    Ok(found)
}
