//! What interfaces with a flow log carry, summed up in windows of a minute.
//!
//! A window is a file that is mapped while it is open, so that what was counted last outlives the
//! process however it ends: a header page, then entries, a sum each. It is closed when its minute is
//! over, when other flow logs are asked for, and at the end; one that was left open is closed by the
//! next data path. Whoever delivers flow logs finds closed ones in [`Windows`].
//!
//! The engine gives back where an entry was, so a packet costs a comparison and four additions; the
//! data path never waits for a disk, and closing a window is a rename.

mod format;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::SystemTime,
};

use gureum_engine::{Tally, TallyKey};
use gureum_types::{TrafficDirection, TrafficVerdict};

use self::format::{Entry, HEADER, Header, UNTALLIED};
pub(crate) use self::format::{finish, read};
use super::mapping::{Mapping, reserve};
use crate::windows::{CLOSED, OPEN, Windows};

/// Entries of a part of a file that is mapped at once; their bytes are whole pages.
const SEGMENT: usize = 1 << 16;
/// Entries of a window at most: 350 MiB.
const ENTRIES_MAX: usize = 1 << 22;
/// From here on packets of flows that the engine has no room for are not counted.
const APART_MAX: usize = ENTRIES_MAX / 2;
const _: () = assert!((SEGMENT * size_of::<Entry>()).is_multiple_of(HEADER));

/// The window that is open.
struct Open {
    file: File,
    path: PathBuf,
    header: Mapping,
    segments: Vec<Mapping>,
    count: usize,
    /// The minute that it is of.
    minute: i64,
    /// Set when the file could not grow; said once.
    full: bool,
}

/// A thread, with what it takes: windows, and when each is closed.
type Closer = (mpsc::Sender<(Open, i64)>, JoinHandle<()>);

/// What the data path counts into.
pub(super) struct Ledger {
    windows: Arc<Windows>,
    open: Option<Open>,
    /// The flow logs that are asked for: [`gureum_engine::Policy::flow_logs`].
    logs: u64,
    /// The thread that closes windows: unmapping a large one takes longer than packets may wait.
    closer: Option<Closer>,
}

/// Milliseconds since the Unix epoch.
fn wall_clock() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

const MINUTE: i64 = 60_000;

impl Ledger {
    pub(super) fn new(windows: Arc<Windows>) -> io::Result<Self> {
        let (closer, inbox) = mpsc::channel::<(Open, i64)>();
        let closed = windows.clone();
        let body = move || {
            for (open, wall) in inbox {
                if let Err(error) = open.close(wall) {
                    tracing::error!(%error, "cannot close what was counted for flow logs");
                }
                closed.tell();
            }
        };
        let thread = thread::Builder::new().name("gureum-windows".into()).spawn(body)?;
        Ok(Self { windows, open: None, logs: 0, closer: Some((closer, thread)) })
    }

    /// Takes note of the flow logs that are asked for. Others begin with a window of their own, so
    /// that each window is of the same flow logs from its beginning to its end.
    pub(super) fn ask(&mut self, logs: u64, now: u64) {
        if logs != self.logs {
            self.logs = logs;
            self.turn(wall_clock(), now);
        }
    }

    /// Closes the window whose minute is over.
    pub(super) fn tick(&mut self, now: u64) {
        let wall = wall_clock();
        let over = match &self.open {
            Some(open) => open.minute != wall.div_euclid(MINUTE),
            // The disk was full, or worse.
            None => self.logs != 0,
        };
        if over {
            self.turn(wall, now);
        }
    }

    fn turn(&mut self, wall: i64, now: u64) {
        self.close(wall);
        if self.logs == 0 {
            return;
        }
        match Open::new(&self.windows, wall, now) {
            Ok(open) => self.open = Some(open),
            Err(error) => tracing::warn!(%error, "cannot count for flow logs"),
        }
    }

    fn close(&mut self, wall: i64) {
        if let (Some(open), Some((closer, _))) = (self.open.take(), &self.closer) {
            // It is gone only if it panicked; then the next data path closes the window.
            let _ = closer.send((open, wall));
        }
    }

    /// Adds to a sum: the one that `entry` names, if that is right, or another one.
    #[inline]
    pub(super) fn tally(&mut self, entry: u32, tally: &Tally) -> u32 {
        let Some(open) = &mut self.open else { return u32::MAX };
        let wanted = Entry::new(&tally.key, tally.now);
        let known = open.entry(entry).is_some_and(|entry| entry.has_key_of(&wanted));
        let entry = if known { entry } else { open.append(&wanted) };
        if let Some(sum) = open.entry(entry) {
            sum.bytes += u64::from(tally.bytes);
            sum.packets += u64::from(tally.packets);
            sum.tcp_flags |= u64::from(tally.tcp_flags);
            sum.last = sum.last.max(tally.now);
        }
        entry
    }

    /// Adds a packet of a flow that the engine has no room for, as a sum of its own: whoever reads the
    /// window adds sums of one key. A flood of them shall not fill it: from its middle on it says only
    /// that something of the interface was not counted.
    #[cold]
    pub(super) fn tally_apart(&mut self, tally: &Tally) {
        let Some(open) = &mut self.open else { return };
        let last = u32::try_from(open.count.wrapping_sub(1)).unwrap_or(u32::MAX);
        if open.count < APART_MAX {
            self.tally(last, tally);
            return;
        }
        let key = TallyKey {
            interface: tally.key.interface,
            source: 0,
            destination: 0,
            source_port: 0,
            destination_port: 0,
            protocol: 0,
            direction: TrafficDirection::Ingress,
            verdict: TrafficVerdict::Reject,
            path: None,
        };
        let entry = Entry { verdict: UNTALLIED, ..Entry::new(&key, tally.now) };
        if !open.entry(last).is_some_and(|last| last.has_key_of(&entry)) {
            open.append(&entry);
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close(wall_clock());
        if let Some((closer, thread)) = self.closer.take() {
            drop(closer);
            let _ = thread.join();
        }
    }
}

impl Open {
    fn new(windows: &Windows, wall: i64, now: u64) -> io::Result<Self> {
        let path = windows.free_path(wall, OPEN)?;
        let made = || {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            reserve(&file, HEADER)?;
            let mut header = Mapping::new(&file, 0, HEADER)?;
            if let [header, ..] = header.values::<Header>() {
                *header = Header::new(wall, now);
            }
            Ok((file, header))
        };
        let (file, header) = made().inspect_err(|_: &io::Error| drop(fs::remove_file(&path)))?;
        let minute = wall.div_euclid(MINUTE);
        Ok(Self { file, path, header, segments: Vec::new(), count: 0, minute, full: false })
    }

    #[inline]
    fn entry(&mut self, at: u32) -> Option<&mut Entry> {
        let at = usize::try_from(at).ok().filter(|at| *at < self.count)?;
        self.segments.get_mut(at / SEGMENT)?.values::<Entry>().get_mut(at % SEGMENT)
    }

    fn append(&mut self, entry: &Entry) -> u32 {
        let at = self.count;
        if at == self.segments.len() * SEGMENT && !self.grow() {
            self.change_header(|header| header.incomplete = 1);
            return u32::MAX;
        }
        let segment = self.segments.get_mut(at / SEGMENT);
        if let Some(place) = segment.and_then(|it| it.values::<Entry>().get_mut(at % SEGMENT)) {
            *place = *entry;
            self.count += 1;
        }
        // After it: whoever finds the file finds whole entries.
        let count = self.count as u64;
        self.change_header(|header| header.entries = count);
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn change_header(&mut self, change: impl FnOnce(&mut Header)) {
        if let [header, ..] = self.header.values::<Header>() {
            change(header);
        }
    }

    #[cold]
    fn grow(&mut self) -> bool {
        if self.full || self.count >= ENTRIES_MAX {
            return false;
        }
        let bytes = SEGMENT * size_of::<Entry>();
        let at = HEADER + self.segments.len() * bytes;
        let outcome = reserve(&self.file, at + bytes)
            .and_then(|()| Mapping::new(&self.file, at, bytes))
            .map(|segment| self.segments.push(segment));
        if let Err(error) = &outcome {
            self.full = true;
            tracing::warn!(%error, "cannot count more for flow logs: records will be skipped");
        }
        outcome.is_ok()
    }

    /// Closes the file; its name becomes that of a closed one.
    fn close(mut self, wall: i64) -> io::Result<()> {
        self.change_header(|header| header.closed_at = wall);
        let used = HEADER + self.count * size_of::<Entry>();
        let Self { file, path, header, segments, .. } = self;
        // Nothing may be mapped beyond the end.
        drop((header, segments));
        file.set_len(used as u64)?;
        fs::rename(&path, path.with_extension(CLOSED))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gureum_types::{NetworkInterfaceId, Timestamp, TrafficPath, Window, WindowEntry};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn key(source: u128) -> TallyKey {
        TallyKey {
            interface: 0xabc,
            source,
            destination: 0xffff_0a01_010b,
            source_port: 40_000,
            destination_port: 443,
            protocol: 6,
            direction: TrafficDirection::Egress,
            verdict: TrafficVerdict::Accept,
            path: Some(TrafficPath::SameVpc),
        }
    }

    fn tally(key: TallyKey, now: u64) -> Tally {
        Tally { key, packets: 2, bytes: 100, tcp_flags: 2, now }
    }

    /// A ledger that is asked to count at second 5.
    fn ledger(directory: &Path) -> (Arc<Windows>, Ledger) {
        let windows = Arc::new(Windows::open(directory).expect("windows"));
        let mut ledger = Ledger::new(windows.clone()).expect("a ledger");
        ledger.ask(1, 5 * SECOND);
        (windows, ledger)
    }

    fn only(windows: &Windows) -> Window {
        let names = windows.list().expect("listed");
        assert_eq!(names.len(), 1, "{names:?}");
        windows.read(&names[0]).expect("read")
    }

    #[test]
    fn a_sum_is_of_one_key_whatever_the_hint_says() {
        let directory = tempfile::tempdir().expect("a directory");
        let (windows, mut ledger) = ledger(directory.path());
        let v6 = 0x2001_0db8 << 96 | 1;
        let one = ledger.tally(u32::MAX, &tally(key(v6), 6 * SECOND));
        let rejected = TallyKey { verdict: TrafficVerdict::RejectPublicAccess, ..key(v6) };
        let two = ledger.tally(one, &tally(rejected, 7 * SECOND));
        assert_ne!(one, two);
        assert_eq!(ledger.tally(one, &Tally { tcp_flags: 1, ..tally(key(v6), 8 * SECOND) }), one);
        assert_eq!(ledger.tally(two, &tally(rejected, 9 * SECOND)), two);
        drop(ledger);
        let window = only(&windows);
        let entry = &window.entries[0];
        let expected = WindowEntry {
            interface: NetworkInterfaceId::new(0xabc),
            direction: TrafficDirection::Egress,
            source: "2001:db8::1".parse().unwrap(),
            destination: "10.1.1.11".parse().unwrap(),
            source_port: 40_000,
            destination_port: 443,
            protocol: 6,
            verdict: TrafficVerdict::Accept,
            path: Some(TrafficPath::SameVpc),
            tcp_flags: 3,
            packets: 4,
            bytes: 200,
            first: Timestamp(window.start.0 + 1000),
            last: Timestamp(window.start.0 + 3000),
        };
        assert_eq!(entry, &expected);
        let verdicts: Vec<_> = window.entries.iter().map(|entry| entry.verdict).collect();
        assert_eq!(verdicts, [TrafficVerdict::Accept, TrafficVerdict::RejectPublicAccess]);
        assert!(window.skipped.is_empty() && window.end >= window.start);
    }

    #[test]
    fn other_flow_logs_begin_another_window_and_none_ends_counting() {
        let directory = tempfile::tempdir().expect("a directory");
        let (windows, mut ledger) = ledger(directory.path());
        let hint = ledger.tally(u32::MAX, &tally(key(1), 0));
        ledger.ask(1, 0);
        assert_eq!(ledger.tally(hint, &tally(key(1), 0)), hint, "the same ones");
        ledger.ask(2, 0);
        // What the engine remembers of the last window is worth nothing in this one.
        for _ in 0..3 {
            ledger.tally(hint, &tally(key(1), 0));
        }
        ledger.ask(0, 0);
        assert_eq!(ledger.tally(hint, &tally(key(1), 0)), u32::MAX, "nobody asks");
        drop(ledger);
        let names = windows.list().expect("listed");
        let packets = names.iter().map(|name| {
            let window = windows.read(name).expect("read");
            window.entries.iter().map(|entry| entry.packets).sum::<u64>()
        });
        assert_eq!(packets.collect::<Vec<_>>(), [4, 6]);
    }

    #[test]
    fn a_minute_that_is_over_is_closed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (windows, mut ledger) = ledger(directory.path());
        ledger.tally(u32::MAX, &tally(key(1), 0));
        // The clock may turn a minute while this runs; the one that is open is an older one.
        ledger.open.as_mut().expect("open").minute -= 1;
        ledger.tick(0);
        ledger.tally(u32::MAX, &tally(key(2), 0));
        drop(ledger);
        let counts = windows.list().expect("listed");
        let counts: Vec<_> =
            counts.iter().map(|name| windows.read(name).expect("read").entries.len()).collect();
        assert_eq!(counts, [1, 1]);
    }

    #[test]
    fn what_was_counted_outlives_the_one_who_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let (windows, mut ledger) = ledger(directory.path());
        for number in 0..3 {
            ledger.tally(u32::MAX, &tally(key(number), (6 + number as u64) * SECOND));
        }
        // As a process that was killed: nothing of it runs any more.
        std::mem::forget(ledger);
        assert!(windows.list().expect("listed").is_empty());
        fs::write(directory.path().join("7.open"), [0; 100]).expect("one without a header");
        let windows = Windows::open(directory.path()).expect("opened again");
        let window = only(&windows);
        assert_eq!(window.entries.len(), 3);
        assert_eq!(window.end.0 - window.start.0, 3000, "the last that is known");
    }

    #[test]
    fn there_is_room_for_many() {
        let directory = tempfile::tempdir().expect("a directory");
        let (windows, mut ledger) = ledger(directory.path());
        let many = SEGMENT as u128 + 1000;
        let hints: Vec<_> =
            (0..many).map(|number| ledger.tally(u32::MAX, &tally(key(number), 0))).collect();
        for (number, hint) in (0..many).zip(hints) {
            assert_eq!(ledger.tally(hint, &tally(key(number), 0)), hint);
        }
        drop(ledger);
        let window = only(&windows);
        assert_eq!(window.entries.len() as u128, many);
        assert!(window.entries.iter().all(|entry| entry.packets == 4));
    }

    /// FL-28: what could not be counted is told, by its interface where there is room to say it.
    #[test]
    fn what_could_not_be_counted_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let (windows, mut ledger) = ledger(directory.path());
        for number in [1, 2, 2, 1] {
            ledger.tally_apart(&tally(key(number), 0));
        }
        assert_eq!(
            ledger.open.as_ref().expect("open").count,
            3,
            "a sum goes on while it is the last"
        );
        // A window that is half full, but for the entries themselves.
        let open = ledger.open.as_mut().expect("open");
        let bytes = SEGMENT * size_of::<Entry>();
        let segments = APART_MAX.div_ceil(SEGMENT) + 1;
        reserve(&open.file, HEADER + segments * bytes).expect("room");
        for at in 1..segments {
            let segment = Mapping::new(&open.file, HEADER + at * bytes, bytes).expect("mapped");
            open.segments.push(segment);
        }
        open.count = APART_MAX;
        for _ in 0..3 {
            ledger.tally_apart(&tally(TallyKey { interface: 7, ..key(3) }, 0));
        }
        let open = ledger.open.as_mut().expect("open");
        assert_eq!(open.count, APART_MAX + 1, "said once");
        let said = *open.entry(u32::try_from(APART_MAX).expect("small")).expect("there");
        open.count = 3;
        open.append(&said);
        ledger.tally(u32::MAX, &tally(key(4), 0));
        drop(ledger);
        let window = only(&windows);
        assert_eq!(window.skipped, [NetworkInterfaceId::new(7)]);
        let packets: Vec<_> = window.entries.iter().map(|entry| entry.packets).collect();
        assert_eq!(packets, [2, 4, 2, 2]);
        windows.remove(&windows.list().expect("listed")[0]).expect("removed");

        let mut ledger = Ledger::new(windows.clone()).expect("a ledger");
        ledger.ask(1, 0);
        ledger.tally(u32::MAX, &tally(key(1), 0));
        let open = ledger.open.as_mut().expect("open");
        (open.full, open.count) = (true, SEGMENT);
        assert_eq!(ledger.tally(u32::MAX, &tally(key(2), 0)), u32::MAX);
        ledger.open.as_mut().expect("open").count = 1;
        drop(ledger);
        assert_eq!(only(&windows).skipped, [NetworkInterfaceId::new(0xabc)]);
    }

    #[test]
    fn notes_of_a_window_go_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let (windows, ledger) = ledger(directory.path());
        drop(ledger);
        let name = windows.list().expect("listed").remove(0);
        assert!(windows.notes(&name).expect("none").is_empty());
        windows.note(&name, b"one").expect("noted");
        windows.note(&name, b"two").expect("noted");
        let windows = Windows::open(directory.path()).expect("opened again");
        assert_eq!(windows.notes(&name).expect("found"), b"two");
        windows.remove(&name).expect("removed");
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
        fs::write(directory.path().join("1.window"), [1; 5000]).expect("another file");
        let error = windows.read("1").expect_err("not one of ours");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
