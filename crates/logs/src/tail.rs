//! Listening to log groups: events as they are taken in.
//!
//! A listener holds what came since it was last asked, up to a limit; what is more is left out and
//! said to be. So nobody who listens slowly keeps whoever logs waiting.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

/// How many events a listener holds between two looks.
const LIMIT: usize = 500;

/// An event that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The number of its group.
    pub group: u64,
    /// The number of its stream.
    pub stream: u64,
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub ingested: i64,
    /// What was logged.
    pub message: String,
}

#[derive(Debug, Default)]
struct Held {
    events: Vec<Heard>,
    has_more: bool,
}

/// Somebody's ear; they stop listening when it is dropped.
#[derive(Debug)]
pub struct Tail {
    groups: Vec<u64>,
    held: Mutex<Held>,
}

impl Tail {
    /// The events since the last call, and whether there were more than are held.
    pub fn take(&self) -> (Vec<Heard>, bool) {
        let held = std::mem::take(&mut *self.held());
        (held.events, held.has_more)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, heard: &Heard) {
        let mut held = self.held();
        match held.events.len() < LIMIT {
            true => held.events.push(heard.clone()),
            false => held.has_more = true,
        }
    }
}

/// All who listen.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    /// Whether anybody may be listening: nearly always nobody is.
    any: AtomicBool,
    all: Mutex<Vec<Weak<Tail>>>,
}

impl Tails {
    pub(crate) fn listen(&self, groups: Vec<u64>) -> Arc<Tail> {
        let tail = Arc::new(Tail { groups, held: Mutex::default() });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| it.strong_count() > 0);
        all.push(Arc::downgrade(&tail));
        self.any.store(true, Ordering::Relaxed);
        tail
    }

    /// Who listens to a group.
    pub(crate) fn of(&self, group: u64) -> Vec<Arc<Tail>> {
        if !self.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| it.strong_count() > 0);
        self.any.store(!all.is_empty(), Ordering::Relaxed);
        all.iter().filter_map(Weak::upgrade).filter(|it| it.groups.contains(&group)).collect()
    }
}

/// Tells listeners of an event.
pub(crate) fn tell(tails: &[Arc<Tail>], heard: &Heard) {
    for tail in tails {
        tail.hear(heard);
    }
}
