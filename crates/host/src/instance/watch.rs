//! Notices what instances do by themselves: switch off, die, become ready, lose a link.
//!
//! One thread waits for the files that shims write, for groups that empty, and for notices of the
//! data path. Only while an instance boots does it look five times a second whether it is ready.

use std::{
    collections::HashMap,
    os::fd::AsFd,
    sync::{Arc, Mutex, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use gureum_types::{InstanceId, PortIndex, host::HostEvent};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
    },
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Instances, folder::Folder, hold};
use crate::{
    error::{Context, Result},
    shim::config::Phase,
};

const LOOK: Duration = Duration::from_millis(200);
/// Between two times that a port's lost link is made anew.
const RECONNECT: Duration = Duration::from_secs(1);

/// What wakes the watcher.
#[derive(Debug)]
pub(crate) enum Wake {
    /// The link of a port vanished.
    LinkLost(PortIndex),
    /// This instance is expected to run.
    Expect(InstanceId),
    /// This instance is being switched off on purpose.
    Forget(InstanceId),
    /// This light host answers.
    Answers(InstanceId),
}

/// Wakes the watcher.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    wakes: mpsc::Sender<Wake>,
    bell: Arc<EventFd>,
}

impl Waker {
    pub(crate) fn wake(&self, wake: Wake) {
        if self.wakes.send(wake).is_ok() {
            // Full means that the bell rings already.
            let _ = self.bell.write(1);
        }
    }
}

/// The watcher's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    wakes: mpsc::Receiver<Wake>,
    waker: Waker,
    events: UnboundedSender<HostEvent>,
    receiver: UnboundedReceiver<HostEvent>,
}

impl Inbox {
    pub(crate) fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let bell = Arc::new(EventFd::from_value_and_flags(0, flags).context(|| "make an eventfd")?);
        let (sender, wakes) = mpsc::channel();
        let (events, receiver) = unbounded_channel();
        Ok(Self { wakes, waker: Waker { wakes: sender, bell }, events, receiver })
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

/// What callers have of the watcher.
#[derive(Debug)]
pub(super) struct Watch {
    waker: Waker,
    events: Mutex<Option<UnboundedReceiver<HostEvent>>>,
}

impl Watch {
    pub(super) fn new(inbox: &Inbox) -> Self {
        Self { waker: inbox.waker(), events: Mutex::new(None) }
    }

    pub(super) fn events(&self) -> Option<UnboundedReceiver<HostEvent>> {
        hold(&self.events).take()
    }

    pub(super) fn expect(&self, id: &InstanceId) {
        self.waker.wake(Wake::Expect(id.clone()));
    }

    pub(super) fn forget(&self, id: &InstanceId) {
        self.waker.wake(Wake::Forget(id.clone()));
    }

    pub(super) fn ready(&self, id: &InstanceId) {
        self.waker.wake(Wake::Answers(id.clone()));
    }
}

/// An instance that is expected to run.
struct Expected {
    watches: Vec<WatchDescriptor>,
    /// The start and the boot that was told to be ready.
    ready: Option<(u32, u32)>,
    /// Whether its end was told.
    ended: bool,
    /// Whether nothing is expected of it but to go on.
    settled: bool,
}

struct Watcher {
    instances: Weak<Instances>,
    wakes: mpsc::Receiver<Wake>,
    bell: Arc<EventFd>,
    events: UnboundedSender<HostEvent>,
    inotify: Inotify,
    expected: HashMap<InstanceId, Expected>,
    /// Ports without a link and when they are connected.
    lost: HashMap<PortIndex, Instant>,
    /// When ports were connected lately.
    reconnected: HashMap<PortIndex, Instant>,
}

/// Starts the watcher. It ends with the instances.
pub(super) fn start(instances: &Arc<Instances>, inbox: Inbox) -> Result<()> {
    let Inbox { wakes, waker, events, receiver } = inbox;
    *hold(&instances.watch.events) = Some(receiver);
    let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
    let inotify = Inotify::init(flags).context(|| "watch files")?;
    let bell = waker.bell;
    let watcher = Watcher {
        instances: Arc::downgrade(instances),
        wakes,
        bell,
        events,
        inotify,
        expected: HashMap::new(),
        lost: HashMap::new(),
        reconnected: HashMap::new(),
    };
    thread::Builder::new()
        .name("gureum-watch".into())
        .spawn(|| watcher.run())
        .map(drop)
        .context(|| "start the watcher")
}

impl Watcher {
    fn run(mut self) {
        loop {
            // Shims that vanish with their group leave no file behind, hence a slow look too.
            let booting = self.expected.values().any(|expected| !expected.settled);
            let patience = if booting || !self.lost.is_empty() { LOOK } else { 5 * LOOK };
            let mut fds = [
                PollFd::new(self.bell.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
            ];
            let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
            if let Err(errno) = poll(&mut fds, timeout)
                && errno != nix::errno::Errno::EINTR
            {
                tracing::error!(%errno, "instances are no longer watched");
                return;
            }
            let Some(instances) = self.instances.upgrade() else { return };
            let _ = self.bell.read();
            while let Ok(wake) = self.wakes.try_recv() {
                self.obey(&instances, wake);
            }
            self.reconnect(&instances);
            // Which file changed does not matter: few instances, cheap looks.
            let _ = self.inotify.read_events();
            let ids: Vec<_> = self.expected.keys().cloned().collect();
            for id in ids {
                self.look(&instances, &id);
            }
        }
    }

    fn obey(&mut self, instances: &Arc<Instances>, wake: Wake) {
        match wake {
            Wake::Expect(id) => {
                // Files of the same name may be new ones; what was told stays told.
                let ready = self.expected.get(&id).and_then(|expected| expected.ready);
                self.stop_watching(&id);
                let folder = Folder::of(&instances.folder, &id);
                let group = instances.shim_group(&id).path().join("cgroup.events");
                let watches = [
                    self.inotify.add_watch(&folder.path, AddWatchFlags::IN_MOVED_TO),
                    self.inotify.add_watch(&group, AddWatchFlags::IN_MODIFY),
                ];
                let watches = watches.into_iter().flatten().collect();
                // What is off when the daemon starts ended in an earlier life, and whoever wants it
                // to run starts it; but that it switched itself off nobody could tell then.
                let ended = instances.find(&id).is_ok_and(|found| {
                    found.shim.is_none() && !found.is_off_by_itself(&instances.boot_id)
                });
                self.expected.insert(id, Expected { watches, ready, ended, settled: ended });
            }
            Wake::Forget(id) => self.stop_watching(&id),
            Wake::Answers(id) => self.tell(HostEvent::Ready(id)),
            Wake::LinkLost(port) => {
                // A guest that deletes its link over and over waits longer than we do.
                let due = self.reconnected.get(&port).map(|last| *last + RECONNECT);
                self.lost.insert(port, due.unwrap_or_else(Instant::now));
            }
        }
    }

    /// Connects lost ports whose time has come.
    fn reconnect(&mut self, instances: &Instances) {
        let now = Instant::now();
        let due: Vec<_> =
            self.lost.extract_if(|_, due| *due <= now).map(|(port, _)| port).collect();
        for port in due {
            self.reconnected.retain(|_, last| now < *last + RECONNECT);
            self.reconnected.insert(port, now);
            match instances.reconnect(port) {
                Ok(true) => self.tell(HostEvent::LinkLost(port)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, %port, "a lost link cannot be made anew");
                    self.tell(HostEvent::LinkLost(port));
                }
            }
        }
    }

    fn stop_watching(&mut self, id: &InstanceId) {
        for watch in self.expected.remove(id).into_iter().flat_map(|expected| expected.watches) {
            // Gone with its file in most cases.
            let _ = self.inotify.rm_watch(watch);
        }
    }

    fn look(&mut self, instances: &Instances, id: &InstanceId) {
        let Some(expected) = self.expected.get_mut(id) else { return };
        let Ok(found) = instances.find(id) else { return };
        let boot = found.state.as_ref().map(|state| (state.start, state.boots));
        let told = expected.ready.is_some() && expected.ready == boot;
        let event = if found.shim.is_none() {
            expected.settled = true;
            if std::mem::replace(&mut expected.ended, true) {
                return;
            }
            if let Err(error) = instances.bury(id) {
                tracing::warn!(%error, %id, "cannot clear up after an instance");
            }
            match found.state.map(|state| state.phase) {
                Some(Phase::Off) => HostEvent::PoweredOff(id.clone()),
                _ => HostEvent::Died(id.clone()),
            }
        } else if !told && found.ready() {
            expected.ready = boot;
            expected.settled = true;
            HostEvent::Ready(id.clone())
        } else {
            expected.settled = told && found.init.is_some();
            return;
        };
        self.tell(event);
    }

    fn tell(&self, event: HostEvent) {
        // Without a listener nobody wants to know.
        let _ = self.events.send(event);
    }
}
