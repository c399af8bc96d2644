//! The backend on disk: a journal of transactions, written anew now and then.
//!
//! A commit is one frame at the end of one file and one `fdatasync`. The file is kept longer than
//! it has to be, so that a frame lands on blocks that are there already and the file system has
//! nothing of its own to write. When most of it is of no use any more, a thread writes all records
//! of a snapshot into a new file, what came meanwhile is copied behind them, and the new file
//! takes the name of the old one.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use crate::{
    Snapshot, StoreError,
    backend::{Backend, Change, Durability, Put},
    folder::{Directory, Folder, Sheet},
    frame,
};

const FILE: &str = "records.log";
/// What becomes the file when it is whole.
const NEW: &str = "records.new";
/// What versions before the first release kept records in.
const FORMER: &str = "records.redb";

/// How far the file is made longer when it ends, at least and at most: by as much as it has.
const ROOM: (u64, u64) = (64 << 10, 1 << 20);
/// A file is not written anew before it has grown by this and by as much as it began with.
const LEAST_GROWTH: u64 = 16 << 20;
/// About how many bytes of records go into a frame when all are written.
const PART: usize = 256 << 10;

/// Records in a journal.
pub struct Journal {
    folder: Arc<dyn Folder>,
    least_growth: u64,
    state: Arc<Mutex<State>>,
    rewriting: Option<JoinHandle<()>>,
}

/// The file and what is known of it.
#[derive(Default)]
struct State {
    /// Nothing before the first commit, and when what is on disk is not certain.
    sheet: Option<Box<dyn Sheet>>,
    /// Where the next frame goes.
    end: u64,
    /// How long the file is.
    length: u64,
    /// The revision of the last frame.
    revision: u64,
    /// The newest revision that is surely on disk.
    durable: u64,
    /// From which end on the file is worth writing anew.
    limit: u64,
    /// Goes up when the file is another one, so that a thread that writes one sees that its work
    /// is in vain.
    generation: u64,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in `directory`, which is made if it is not there.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        if directory.join(FORMER).exists() {
            return Err(StoreError::Older(directory.join(FORMER)));
        }
        Ok(Self::in_folder(Arc::new(Directory::take(directory)?), LEAST_GROWTH))
    }

    /// A journal in a folder of the caller's own, which is not written anew before it has grown by
    /// so many bytes: tests put a folder there that fails.
    pub fn in_folder(folder: Arc<dyn Folder>, least_growth: u64) -> Self {
        let state = State { limit: least_growth, ..State::default() };
        Self { folder, least_growth, state: Arc::new(Mutex::new(state)), rewriting: None }
    }

    /// From which end on a file is worth writing anew that began with `base` bytes.
    fn limit(&self, base: u64) -> u64 {
        base + base.max(self.least_growth)
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Puts a frame at the end.
    fn append(&mut self, folder: &dyn Folder, bytes: &[u8]) -> Result<(), StoreError> {
        // What was never written begins with its head.
        let head = match self.length {
            0 => frame::head(0),
            _ => Vec::new(),
        };
        let sheet = match &self.sheet {
            Some(sheet) => sheet,
            None => self.sheet.insert(folder.create(FILE)?),
        };
        let written = [head.as_slice(), bytes].concat();
        let end = self.end + written.len() as u64;
        if end > self.length {
            let room = self.length.clamp(ROOM.0, ROOM.1);
            let zeros = vec![0; usize::try_from(room).unwrap_or_default()];
            sheet.write_at(end, &zeros)?;
            self.length = end + room;
        }
        sheet.write_at(self.end, &written)?;
        self.end = end;
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.sheet.is_none() && self.length > 0 {
            true => Err(StoreError::Io("it is not certain what is on disk".into())),
            false => Ok(()),
        }
    }

    /// Brings all frames to disk; with the file's name, if it never was.
    fn sync(&mut self, folder: &dyn Folder) -> Result<(), StoreError> {
        self.check()?;
        if let Some(sheet) = &self.sheet {
            sheet.sync()?;
        }
        if self.durable == 0 {
            folder.sync()?;
        }
        self.durable = self.revision;
        Ok(())
    }

    /// Takes a file in use that holds all there is.
    fn take(&mut self, sheet: Box<dyn Sheet>, end: u64, limit: u64) {
        (self.end, self.length, self.limit) = (end, end, limit);
        self.sheet = Some(sheet);
        self.durable = self.revision;
        self.generation += 1;
    }
}

/// A whole file and its end.
type Written = (Box<dyn Sheet>, u64);

/// Writes all records into a new file, as long as `go_on`; the file and its end, if it is whole.
fn write_all(
    folder: &dyn Folder,
    content: &Snapshot,
    go_on: impl Fn() -> bool,
) -> Result<Option<Written>, StoreError> {
    let written = try_write_all(folder, content, go_on);
    if !matches!(written, Ok(Some(_))) {
        // The room may be what is wanted; what cannot go is replaced by the next.
        let _ = folder.remove(NEW);
    }
    written
}

fn try_write_all(
    folder: &dyn Folder,
    content: &Snapshot,
    go_on: impl Fn() -> bool,
) -> Result<Option<Written>, StoreError> {
    let sheet = folder.create(NEW)?;
    let revision = content.revision();
    let mut end = 0;
    let mut write = |bytes: &[u8]| -> Result<(), StoreError> {
        sheet.write_at(end, bytes)?;
        end += bytes.len() as u64;
        Ok(())
    };
    write(&frame::head(revision))?;
    let mut part = frame::Writer::new(0, 0);
    let mut is_wanted = true;
    content.each_row(&mut |row| {
        is_wanted = is_wanted && go_on();
        if is_wanted && part.len() > PART {
            write(&std::mem::replace(&mut part, frame::Writer::new(0, 0)).finish()?)?;
        }
        if is_wanted {
            part.put(&row);
        }
        Ok(())
    })?;
    if !is_wanted {
        return Ok(None);
    }
    write(&part.finish()?)?;
    write(&frame::Writer::new(revision, revision).finish()?)?;
    sheet.sync()?;
    Ok(Some((sheet, end)))
}

/// When a thread began to write the file anew.
struct At {
    generation: u64,
    tail: u64,
    least_growth: u64,
}

/// What the thread does that writes the file anew: all of `content`, then what came after it,
/// which is in the present file from `tail` on.
fn rewrite(
    folder: &dyn Folder,
    state: &Mutex<State>,
    content: &Snapshot,
    At { generation, tail, least_growth }: At,
) -> Result<(), StoreError> {
    let is_wanted = || locked(state).generation == generation;
    let Some((sheet, base)) = write_all(folder, content, is_wanted)? else { return Ok(()) };
    let mut state = locked(state);
    let Some(present) = state.sheet.as_ref().filter(|_| state.generation == generation) else {
        return Ok(());
    };
    let mut since = vec![0; usize::try_from(state.end - tail).unwrap_or_default()];
    present.read_at(tail, &mut since)?;
    sheet.write_at(base, &since)?;
    sheet.sync()?;
    folder.rename(NEW, FILE)?;
    let end = base + since.len() as u64;
    state.take(sheet, end, base + base.max(least_growth));
    if let Err(error) = folder.sync() {
        // Which of the two files has the name after a loss of power is not certain any more.
        state.sheet = None;
        return Err(error.into());
    }
    Ok(())
}

impl Backend for Journal {
    fn load(&mut self, put: &mut Put<'_>) -> Result<u64, StoreError> {
        let Some(bytes) = self.folder.read(FILE)? else { return Ok(0) };
        let content = frame::read(&bytes)?;
        for ((kind, key), value) in &content.records {
            put(kind, key, value)?;
        }
        let mut state = locked(&self.state);
        let revision = content.revision;
        (state.revision, state.durable) = (revision, revision);
        if revision == 0 {
            return Ok(0);
        }
        state.end = content.end as u64;
        state.length = bytes.len() as u64;
        let used = content.records.values().map(|value| value.len() as u64).sum();
        state.limit = self.limit(used);
        let sheet = self.folder.open(FILE)?;
        if bytes[content.end..].iter().any(|byte| *byte != 0) {
            // Parts of what was never promised.
            sheet.set_len(state.end)?;
            sheet.sync()?;
            state.length = state.end;
        }
        state.sheet = Some(sheet);
        Ok(revision)
    }

    fn commit(
        &mut self,
        revision: u64,
        changes: &[Change],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let mut state = locked(&self.state);
        let mut frame = frame::Writer::new(revision, state.durable);
        for change in changes {
            frame.change(change);
        }
        state.check()?;
        state.append(self.folder.as_ref(), &frame.finish()?)?;
        state.revision = revision;
        match durability {
            Durability::Now => state.sync(self.folder.as_ref()),
            Durability::WithNext => Ok(()),
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        locked(&self.state).sync(self.folder.as_ref())
    }

    fn restore(&mut self, content: &Snapshot) -> Result<(), StoreError> {
        locked(&self.state).generation += 1;
        self.join();
        let Some((sheet, end)) = write_all(self.folder.as_ref(), content, || true)? else {
            return Ok(());
        };
        self.folder.rename(NEW, FILE)?;
        self.folder.sync()?;
        let mut state = locked(&self.state);
        state.revision = content.revision();
        state.take(sheet, end, self.limit(end));
        Ok(())
    }

    fn tidy(&mut self, content: &Arc<Snapshot>) {
        let at = {
            let mut state = locked(&self.state);
            if state.end < state.limit || state.sheet.is_none() {
                return;
            }
            // Not once more before it has grown again, if this comes to nothing.
            state.limit = self.limit(state.end);
            let least_growth = self.least_growth;
            At { generation: state.generation, tail: state.end, least_growth }
        };
        self.join();
        let (folder, state, content) = (self.folder.clone(), self.state.clone(), content.clone());
        let thread = thread::Builder::new().name("gureum-records".into()).spawn(move || {
            if let Err(error) = rewrite(folder.as_ref(), &state, &content, at) {
                tracing::warn!(%error, "the records were not written anew");
            }
        });
        self.rewriting = thread
            .inspect_err(|error| tracing::warn!(%error, "the records are not written anew"))
            .ok();
    }
}

impl Journal {
    /// Waits for the thread that writes the file anew.
    fn join(&mut self) {
        if let Some(Err(_)) = self.rewriting.take().map(JoinHandle::join) {
            tracing::error!("the thread that wrote the records anew panicked");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Another journal may be opened in the folder as soon as this one is gone.
        locked(&self.state).generation += 1;
        self.join();
    }
}
