//! The loop of the data path: wait, take a batch from every ready port in turn, decide, send.
//!
//! Readiness is level-triggered and each ready socket gets one batch a turn, so a loud port waits
//! for all others after every batch. A panic in the engine costs the batch at hand: the state is
//! rebuilt from the journal and the loop goes on.

use std::{
    hash::{BuildHasher, RandomState},
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use gureum_engine::{
    Dropped, Limits, NoTrace, Offload, Output, Packet, Policy, State, StateChange, Tally, Verdict,
    expire, process,
};
use gureum_types::PortIndex;
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::EventFd,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

use super::{
    Command, LostLinks, Settings,
    drops::Drops,
    journal::Journal,
    ledger::Ledger,
    monotonic_now,
    ports::{Ports, port_of_key},
    socket::Batch,
    tap::{TapEnd, Watched},
};
use crate::{
    error::{Context, Result},
    namespace::Namespace,
    netlink::{LinkChange, LinkMonitor, Netlink},
};

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const LINKS: u64 = u64::MAX - 2;

/// How often time-outs are looked at; nothing depends on it (see [`expire`]).
const TICK: Duration = Duration::from_millis(250);
/// Ports whose losses are asked for in one tick.
const PORTION: usize = 256;
/// How long flows without an entry may be taken up again after state was lost (traps 9).
const LOOSE: u64 = 60_000_000_000;

/// What the engine's output goes to while a packet of a port is at hand.
struct Outlet<'a> {
    ports: &'a mut Ports,
    journal: &'a mut Option<Journal>,
    ledger: &'a mut Option<Ledger>,
    drops: &'a mut Drops,
    policy: &'a Policy,
    now: u64,
    /// What the emitted frames are told to while somebody watches.
    emitted: Option<&'a mut Vec<(PortIndex, Vec<u8>, Offload)>>,
}

impl Output for Outlet<'_> {
    fn emit(&mut self, port: PortIndex, frame: &[u8], offload: Offload) {
        if let Some(emitted) = &mut self.emitted {
            emitted.push((port, frame.to_vec(), offload));
        }
        self.ports.emit(port, frame, offload);
    }

    fn journal(&mut self, change: StateChange<'_>) {
        if let Some(journal) = self.journal {
            journal.write(change);
        }
    }

    fn tally(&mut self, entry: u32, tally: &Tally) -> u32 {
        match self.ledger {
            Some(ledger) => ledger.tally(entry, tally),
            None => entry,
        }
    }

    fn tally_apart(&mut self, tally: &Tally) {
        if let Some(ledger) = self.ledger {
            ledger.tally_apart(tally);
        }
    }

    fn dropped(&mut self, dropped: &Dropped) {
        self.drops.remember(dropped, self.policy, self.now);
    }

    /// Whether a guest has its address is seen in its namespace, not believed.
    fn dhcp_lease(&mut self, _: PortIndex) {}
}

pub(super) struct Worker {
    policy: Arc<Policy>,
    state: State,
    limits: Limits,
    journal: Option<Journal>,
    ledger: Option<Ledger>,
    drops: Drops,
    ports: Ports,
    batch: Batch,
    epoll: Epoll,
    timer: TimerFd,
    links: LinkMonitor,
    inbox: mpsc::Receiver<Command>,
    wake: Arc<EventFd>,
    applied: Arc<AtomicU64>,
    lost_links: LostLinks,
    taps: Vec<TapEnd>,
    portion: usize,
}

impl Worker {
    /// Moves the calling thread into the fabric and prepares everything.
    pub(super) fn new(
        fabric: &Namespace,
        policy: Arc<Policy>,
        settings: Settings,
        inbox: mpsc::Receiver<Command>,
        wake: Arc<EventFd>,
        applied: Arc<AtomicU64>,
        lost_links: LostLinks,
    ) -> Result<Self> {
        fabric.enter().context(|| "enter the fabric")?;
        prefer_this_thread();
        let what = || "prepare the data path";
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context(what)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).context(what)?;
        timer.set(Expiration::Interval(TICK.into()), TimerSetTimeFlags::empty()).context(what)?;
        let links = LinkMonitor::open().context(what)?;
        for (fd, key) in [(timer.as_fd(), TIMER), (links.as_fd(), LINKS), (wake.as_fd(), WAKE)] {
            epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, key)).context(what)?;
        }
        // Guests choose addresses and ports: they must not choose places in hash tables too.
        let limits = Limits { hash_seed: RandomState::new().hash_one(0), ..settings.limits };
        let found = settings.journal.map(|path| {
            Journal::open(&path, limits.flows)
                .context(|| format!("open the journal of connections {}", path.display()))
        });
        let (journal, records, intact) = match found.transpose()? {
            Some(found) => (Some(found.journal), found.records, found.intact),
            None => (None, Vec::new(), false),
        };
        let now = monotonic_now();
        let mut state = State::restore(limits, records, now);
        if settings.takes_over && !intact {
            state.set_loose_until(now + LOOSE);
        }
        let mut ledger = settings
            .windows
            .map(|windows| Ledger::new(windows).context(|| "count for flow logs"))
            .transpose()?;
        if let Some(ledger) = &mut ledger {
            ledger.ask(policy.flow_logs(), now);
        }
        applied.store(policy.epoch(), Ordering::Release);
        Ok(Self {
            policy,
            state,
            limits,
            journal,
            ledger,
            drops: Drops::new(now),
            ports: Ports::default(),
            batch: Batch::new(),
            epoll,
            timer,
            links,
            inbox,
            wake,
            applied,
            lost_links,
            taps: Vec::new(),
            portion: 0,
        })
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.forward_until_stopped())) {
                Ok(()) => return,
                Err(_) => {
                    tracing::error!("the engine panicked; its state is rebuilt");
                    let records = self.journal.as_mut().map(Journal::records);
                    let now = monotonic_now();
                    self.state = State::restore(self.limits, records.unwrap_or_default(), now);
                    // What it was doing when it panicked may be written down by halves.
                    self.state.set_loose_until(now + LOOSE);
                }
            }
        }
    }

    fn forward_until_stopped(&mut self) {
        let mut events = [EpollEvent::empty(); 128];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    tracing::error!(%errno, "the data path cannot wait for packets");
                    return;
                }
            };
            for event in events.iter().take(count) {
                match event.data() {
                    WAKE => {
                        // Before the commands are read, so that a later one wakes again.
                        let _ = self.wake.read();
                        if !self.obey() {
                            return;
                        }
                    }
                    TIMER => self.tick(),
                    LINKS => self.look_at_links(),
                    key => self.take_turn(key),
                }
            }
        }
    }

    /// Takes one batch from one socket of a port.
    fn take_turn(&mut self, key: u64) {
        let (index, socket) = port_of_key(key);
        let Some(port) = self.ports.port_mut(index) else { return };
        match port.sockets[socket].receive(&mut self.batch) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                // A frame that no virtio header describes was taken off the queue (traps 5).
                port.losses.unreadable += 1;
                return;
            }
            // The link went down or away; its end is told by netlink.
            Err(_) => return,
        }
        let now = monotonic_now();
        for at in 0..self.batch.len() {
            let Some(mut slot) = self.batch.slot(at) else {
                if let Some(port) = self.ports.port_mut(index) {
                    port.losses.unreadable += 1;
                }
                continue;
            };
            let mut packet = Packet { offload: slot.offload(), frame: slot.frame() };
            let (policy, state) = (&*self.policy, &mut self.state);
            let (ports, drops) = (&mut self.ports, &mut self.drops);
            let (journal, ledger) = (&mut self.journal, &mut self.ledger);
            let mut out = Outlet { ports, journal, ledger, drops, policy, now, emitted: None };
            let verdict = if self.taps.is_empty() {
                process(policy, state, index, &mut packet, now, &mut out, &mut NoTrace)
            } else {
                let mut watched = Watched::begin(&self.taps, packet.frame, packet.offload);
                let mut emitted = Vec::new();
                out.emitted = Some(&mut emitted);
                let steps = &mut watched.steps;
                let verdict = process(policy, state, index, &mut packet, now, &mut out, steps);
                for (port, frame, offload) in &emitted {
                    watched.emit(*port, frame, *offload);
                }
                let left = (&*packet.frame, packet.offload);
                watched.end(&mut self.taps, (index, now), left, verdict, &self.policy);
                verdict
            };
            let offload = packet.offload;
            if let Verdict::Forward(to) = verdict {
                slot.set_offload(offload);
                self.ports.forward(to, slot);
            }
        }
    }

    /// Carries out what was asked for; `false` to stop.
    fn obey(&mut self) -> bool {
        // Whoever no longer waits for an answer does not get it.
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Apply(policy, answer) => {
                    let epoch = policy.epoch();
                    self.policy = policy;
                    // At once, not with the next packet: an interface that goes and comes back
                    // meanwhile has lost its flows, and who got IPv6 hears of its router.
                    let now = monotonic_now();
                    if let Some(ledger) = &mut self.ledger {
                        ledger.ask(self.policy.flow_logs(), now);
                    }
                    let (policy, state) = (&*self.policy, &mut self.state);
                    let (ports, drops) = (&mut self.ports, &mut self.drops);
                    let (journal, ledger) = (&mut self.journal, &mut self.ledger);
                    let mut out =
                        Outlet { ports, journal, ledger, drops, policy, now, emitted: None };
                    state.adopt(policy, &mut out);
                    self.applied.store(epoch, Ordering::Release);
                    let _ = answer.send(epoch);
                }
                Command::Add(index, link, answer) => {
                    let _ = answer.send(self.ports.add(&self.epoll, index, link));
                }
                Command::Remove(index, answer) => {
                    self.ports.remove(index);
                    let _ = answer.send(());
                }
                Command::Run(work) => work(&self.policy, &mut self.state),
                Command::Losses(answer) => {
                    let all = self.ports.iter_mut().map(|(index, port)| {
                        port.count_losses();
                        (index, port.losses)
                    });
                    let _ = answer.send(all.collect());
                }
                Command::Drops(from, since, answer) => {
                    let _ = answer.send(self.drops.read(from, since));
                }
                Command::Tap(tap) => self.taps.push(tap),
                Command::Stop => return false,
            }
        }
        true
    }

    fn tick(&mut self) {
        // One read takes all ticks that have passed.
        let _ = self.timer.wait();
        let now = monotonic_now();
        if let Some(ledger) = &mut self.ledger {
            ledger.tick(now);
        }
        self.drops.age(now);
        let (policy, state) = (&*self.policy, &mut self.state);
        let (ports, drops) = (&mut self.ports, &mut self.drops);
        let (journal, ledger) = (&mut self.journal, &mut self.ledger);
        let mut out = Outlet { ports, journal, ledger, drops, policy, now, emitted: None };
        expire(state, now, &mut out);
        self.ports.portion(self.portion, PORTION).for_each(|port| port.count_losses());
        self.portion += PORTION;
        if self.portion >= self.ports.places() {
            self.portion = 0;
        }
    }

    fn look_at_links(&mut self) {
        let mut gone = Vec::new();
        let mut missed = false;
        let outcome = self.links.drain(|change| match change {
            LinkChange::Gone(link) => gone.push(link),
            LinkChange::Missed => missed = true,
        });
        if let Err(error) = outcome {
            tracing::warn!(%error, "cannot hear of links that vanish");
        }
        let alive = missed.then(|| Netlink::open().and_then(|mut netlink| netlink.links()));
        let lost = |link: u32| match &alive {
            Some(Ok(links)) => links.iter().all(|alive| alive.index != link),
            _ => gone.contains(&link),
        };
        let lost: Vec<_> = self
            .ports
            .iter_mut()
            .filter_map(|(index, port)| lost(port.link).then_some(index))
            .collect();
        for index in lost {
            self.ports.remove(index);
            (self.lost_links)(index);
        }
    }
}

/// Packets wait for this thread; on a busy machine it should not wait for others.
fn prefer_this_thread() {
    // SAFETY: takes integers; 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) } == -1 {
        tracing::debug!("the data path runs at ordinary priority");
    }
}
