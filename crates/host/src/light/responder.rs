//! The responder: one small process that holds all light hosts of a cloud and answers for them.
//!
//! It outlives the daemon as shims do, and is found by its cgroup. It has one thread, since it makes
//! namespaces, and waits for all sockets at once. A host's addresses and links are not its business:
//! who configures the fabric sees to them.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    time::{Duration, Instant},
};

use gureum_types::InstanceId;
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        resource::{Resource, getrlimit, setrlimit},
        socket::{getsockopt, sockopt},
    },
};

use super::{
    connection::{Connection, Next, PATIENCE},
    host::LightHost,
    order::{Answer, HeldHost, Order, SOCKET},
    steer::Steer,
    text::line,
};
use crate::{
    anchor::Owner,
    error::{Context, HostError, Result},
    supervisor,
};

/// Connections at once, of all hosts together; more are hung up on.
const CONNECTIONS: usize = 16_384;
/// How often silent connections are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// Descriptors: eight a host and one a connection.
const OPEN_FILES: u64 = 1 << 18;
/// The longest order.
const LONGEST: usize = 64 << 10;

/// The body of the hidden subcommand `responder`: its arguments are its `cgroup.procs`, the folder of
/// its socket, and the owner's user and group. It must be called before the process has a second
/// thread. It returns only on error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    supervisor::detach("gureum-respond").context(|| "detach")?;
    let outcome = Responder::set_up(&arguments);
    supervisor::report(outcome.as_ref().err()).context(|| "report")?;
    outcome?.serve()
}

/// What a descriptor that is waited for is.
#[derive(Debug)]
enum Source {
    /// Where daemons connect.
    Door(UnixListener),
    /// A daemon.
    Daemon { stream: UnixStream, heard: Vec<u8> },
    /// A listener of a host, by its place among them.
    Listener { host: InstanceId, place: usize },
    /// Datagrams of a host, likewise.
    Datagrams { host: InstanceId, place: usize },
    /// A caller of a host.
    Caller { host: InstanceId, connection: Connection, waits_for: EpollFlags },
}

struct Responder {
    epoll: Epoll,
    sources: HashMap<u64, Source>,
    next: u64,
    callers: usize,
    hosts: HashMap<InstanceId, LightHost>,
    /// The machine's network, where this process is at home.
    home: OwnedFd,
    owner: Owner,
    steer: Steer,
}

impl Responder {
    fn set_up(arguments: &[OsString]) -> Result<Self> {
        let usage = || HostError::Failed("usage: responder CGROUP-PROCS FOLDER UID GID".into());
        let [procs, folder, uid, gid] = arguments else { return Err(usage()) };
        let number = |text: &OsString| text.to_str().and_then(|text| text.parse::<u32>().ok());
        let uid = number(uid).ok_or_else(usage)?;
        let owner = Owner { uid, gid: number(gid).ok_or_else(usage)? };
        supervisor::join_group(Path::new(procs))?;
        supervisor::survive_memory_pressure();
        raise_open_files();
        let steer = Steer::load()?;
        let home = fs::File::open("/proc/self/ns/net").context(|| "find the own network")?.into();
        // By a short name: the folder's may be longer than what a socket's holds.
        std::env::set_current_dir(folder).context(|| "enter the folder of the state")?;
        match fs::remove_file(SOCKET) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
        .context(|| "remove an old socket")?;
        let door = UnixListener::bind(SOCKET).context(|| "open the socket")?;
        let _ = std::env::set_current_dir("/");
        door.set_nonblocking(true).context(|| "open the socket")?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context(|| "make an epoll")?;
        let mut responder = Self {
            epoll,
            sources: HashMap::new(),
            next: 0,
            callers: 0,
            hosts: HashMap::new(),
            home,
            owner,
            steer,
        };
        let token = responder.wait_for(door.as_fd(), EpollFlags::EPOLLIN)?;
        responder.sources.insert(token, Source::Door(door));
        Ok(responder)
    }

    fn serve(mut self) -> Result<()> {
        let mut swept = Instant::now();
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            let timeout = match self.callers {
                0 => EpollTimeout::NONE,
                _ => EpollTimeout::from(5000_u16),
            };
            let count = match self.epoll.wait(&mut events, timeout) {
                Err(Errno::EINTR) => continue,
                other => other.context(|| "wait")?,
            };
            for event in events.iter().take(count) {
                self.attend(event.data());
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.forget_callers(|_, connection| connection.last.elapsed() > PATIENCE);
            }
        }
    }

    fn wait_for(&mut self, fd: std::os::fd::BorrowedFd<'_>, what: EpollFlags) -> Result<u64> {
        self.next += 1;
        let token = self.next;
        self.epoll.add(fd, EpollEvent::new(what, token)).context(|| "wait for a socket")?;
        Ok(token)
    }

    fn attend(&mut self, token: u64) {
        // Taken out, so that it may be dropped, and everything else be changed.
        let Some(source) = self.sources.remove(&token) else { return };
        match source {
            Source::Door(door) => {
                while let Ok((stream, _)) = door.accept() {
                    self.open_door(stream);
                }
                self.sources.insert(token, Source::Door(door));
            }
            Source::Daemon { stream, heard } => self.listen(token, stream, heard),
            Source::Listener { host, place } => {
                self.accept(&host, place);
                self.sources.insert(token, Source::Listener { host, place });
            }
            Source::Datagrams { host, place } => {
                if let Some(it) = self.hosts.get(&host)
                    && let Some(datagrams) = it.datagrams.get(place)
                {
                    let name = it.name.as_deref();
                    datagrams.answer(|at, caller| line(host.as_str(), name, at, caller));
                }
                self.sources.insert(token, Source::Datagrams { host, place });
            }
            Source::Caller { host, mut connection, waits_for } => match connection.go_on() {
                Next::Close => self.callers -= 1,
                Next::Wait { read, write } => {
                    let mut what = EpollFlags::empty();
                    what.set(EpollFlags::EPOLLIN, read);
                    what.set(EpollFlags::EPOLLOUT, write);
                    if what != waits_for {
                        let mut event = EpollEvent::new(what, token);
                        if self.epoll.modify(&connection, &mut event).is_err() {
                            self.callers -= 1;
                            return;
                        }
                    }
                    let source = Source::Caller { host, connection, waits_for: what };
                    self.sources.insert(token, source);
                }
            },
        }
    }

    /// Lets a daemon in. Only root may give orders.
    fn open_door(&mut self, stream: UnixStream) {
        let is_root = getsockopt(&stream, sockopt::PeerCredentials).is_ok_and(|it| it.uid() == 0);
        if !is_root || stream.set_nonblocking(true).is_err() {
            return;
        }
        if let Ok(token) = self.wait_for(stream.as_fd(), EpollFlags::EPOLLIN) {
            self.sources.insert(token, Source::Daemon { stream, heard: Vec::new() });
        }
    }

    fn listen(&mut self, token: u64, mut stream: UnixStream, mut heard: Vec<u8>) {
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => heard.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
            if heard.len() > LONGEST {
                return;
            }
        }
        while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
            let order: Vec<_> = heard.drain(..=end).collect();
            let answer = match serde_json::from_slice(&order) {
                Ok(order) => self.obey(order).unwrap_or_else(|error| {
                    let capacity = error.is_capacity();
                    Answer::Failed { why: error.to_string(), capacity }
                }),
                Err(error) => {
                    Answer::Failed { why: format!("not an order: {error}"), capacity: false }
                }
            };
            let mut text = serde_json::to_vec(&answer).unwrap_or_default();
            text.push(b'\n');
            // A list of many hosts is longer than what a socket takes at once; whoever asked reads.
            let sent = stream.set_nonblocking(false).and_then(|()| {
                stream.set_write_timeout(Some(Duration::from_secs(2)))?;
                stream.write_all(&text)?;
                stream.set_nonblocking(true)
            });
            if sent.is_err() {
                return;
            }
        }
        self.sources.insert(token, Source::Daemon { stream, heard });
    }

    fn obey(&mut self, order: Order) -> Result<Answer> {
        match order {
            Order::Make { id, start, name } => {
                if self.hosts.get(&id).is_some_and(|it| it.start != start) {
                    self.remove(&id);
                }
                if !self.hosts.contains_key(&id) {
                    let host = LightHost::make(start, name, self.owner, &self.home, &self.steer)?;
                    self.hosts.insert(id.clone(), host);
                    self.open(&id).inspect_err(|_| self.remove(&id))?;
                }
                Ok(self.held(Some(&id)))
            }
            Order::Name { id, name } => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.name = name;
                }
                Ok(Answer::Done)
            }
            Order::Reopen { id } => {
                self.close(&id);
                let Some(host) = self.hosts.get_mut(&id) else {
                    return Err(HostError::NotRunning(id));
                };
                host.reopen(&self.home)?;
                self.open(&id)?;
                Ok(Answer::Done)
            }
            Order::Remove { id } => {
                self.remove(&id);
                Ok(Answer::Done)
            }
            Order::Hosts { id } => Ok(self.held(id.as_ref())),
        }
    }

    fn held(&self, one: Option<&InstanceId>) -> Answer {
        let held = |(id, host): (&InstanceId, &LightHost)| HeldHost {
            id: id.clone(),
            start: host.start,
            name: host.name.clone(),
            user: host.user.as_raw_fd(),
            network: host.network.as_raw_fd(),
            listens: !host.listeners.is_empty(),
        };
        Answer::Hosts(match one {
            Some(id) => self.hosts.get_key_value(id).map(held).into_iter().collect(),
            None => self.hosts.iter().map(held).collect(),
        })
    }

    /// Waits for a host's sockets.
    fn open(&mut self, id: &InstanceId) -> Result<()> {
        let Some(host) = self.hosts.get(id) else { return Ok(()) };
        let mut fds = Vec::new();
        for (place, listener) in host.listeners.iter().enumerate() {
            fds.push((listener.as_raw_fd(), Source::Listener { host: id.clone(), place }));
        }
        for (place, datagrams) in host.datagrams.iter().enumerate() {
            let source = Source::Datagrams { host: id.clone(), place };
            fds.push((datagrams.incoming.as_raw_fd(), source));
        }
        for (fd, source) in fds {
            // SAFETY: the host, which owns it, is not touched in this loop.
            let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
            let token = self.wait_for(fd, EpollFlags::EPOLLIN)?;
            self.sources.insert(token, source);
        }
        Ok(())
    }

    /// Ends a host's conversations and waits for its sockets no longer.
    fn close(&mut self, id: &InstanceId) {
        self.forget_callers(|host, _| host == id);
        self.sources.retain(|_, source| match source {
            Source::Listener { host, .. } | Source::Datagrams { host, .. } => host != id,
            _ => true,
        });
    }

    fn remove(&mut self, id: &InstanceId) {
        self.close(id);
        // Its sockets close, and so does the last hold on its namespaces.
        self.hosts.remove(id);
    }

    fn forget_callers(&mut self, whom: impl Fn(&InstanceId, &Connection) -> bool) {
        let callers = &mut self.callers;
        self.sources.retain(|_, source| {
            let gone = matches!(source, Source::Caller { host, connection, .. }
                if whom(host, connection));
            *callers -= usize::from(gone);
            !gone
        });
    }

    fn accept(&mut self, id: &InstanceId, place: usize) {
        const TURN: usize = 64;
        for _ in 0..TURN {
            let Some(host) = self.hosts.get(id) else { return };
            let Some(listener) = host.listeners.get(place) else { return };
            let stream: TcpStream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // A caller who went away, or no more descriptors: others may have better luck.
                Err(_) => continue,
            };
            let ends = stream.local_addr().and_then(|at| Ok((at, stream.peer_addr()?)));
            let Ok((at, caller)) = ends else { continue };
            if self.callers >= CONNECTIONS || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let _ = stream.set_nodelay(true);
            let said = line(id.as_str(), host.name.as_deref(), at, caller);
            let mut connection = Connection::begin(stream, said, at);
            let Next::Wait { read, write } = connection.go_on() else { continue };
            let mut what = EpollFlags::empty();
            what.set(EpollFlags::EPOLLIN, read);
            what.set(EpollFlags::EPOLLOUT, write);
            if let Ok(token) = self.wait_for(connection.as_fd(), what) {
                self.callers += 1;
                let host = id.clone();
                self.sources.insert(token, Source::Caller { host, connection, waits_for: what });
            }
        }
    }
}

/// As many as the machine allows, up to what is wanted.
fn raise_open_files() {
    let limit = Resource::RLIMIT_NOFILE;
    let Ok((_, hard)) = getrlimit(limit) else { return };
    let raised = setrlimit(limit, OPEN_FILES, hard.max(OPEN_FILES));
    // Where that is not allowed the usual number holds fewer hosts, which is said when it is reached.
    let _ = raised.or_else(|_| setrlimit(limit, hard, hard));
}
