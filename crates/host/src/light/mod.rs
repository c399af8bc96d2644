//! Light hosts: instances that are a network namespace and nothing else, in which every port of TCP
//! and UDP says who answers. For tests, and as stand-ins for databases and load balancers.
//!
//! One process, the [`responder`], holds them all and answers for them; it outlives the daemon. Which
//! of its few sockets gets a packet, the small program of [`steer`] decides. The daemon connects their
//! links as any instance's, and configures their networks by what DHCP would have told ([`network`]).
//! Whoever wants to run something in one brings a program of their own ([`program`]).

mod connection;
mod datagram;
mod host;
pub(crate) mod network;
mod order;
pub(crate) mod program;
mod responder;
pub(crate) mod steer;
mod text;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use gureum_types::InstanceId;

use self::order::{Answer, Order};
pub(crate) use self::{
    order::{HeldHost, SOCKET},
    text::HTTP_PORTS,
};
pub use self::{responder::run, text::who_answered};
use crate::{
    anchor::Owner,
    cgroup::Cgroups,
    error::{Context, HostError, Result},
    namespace::Namespace,
    supervisor::Program,
};

/// The responder's group.
const GROUP: &str = "responder";
/// How long an order may take: some milliseconds, on a machine that has time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A light host as found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) held: HeldHost,
    /// The responder's process.
    pid: i32,
}

impl Found {
    /// The path of its network namespace.
    pub(crate) fn network_path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", self.pid, self.held.network).into()
    }

    /// The path of the user namespace that owns it.
    pub(crate) fn user_path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", self.pid, self.held.user).into()
    }

    /// Its network namespace.
    pub(crate) fn network(&self) -> Result<Namespace> {
        let path = self.network_path();
        Namespace::open(path).context(|| format!("find the network of {}", self.held.id))
    }
}

/// The responder as the daemon knows it: started when the first light host is.
#[derive(Debug)]
pub(crate) struct Responder {
    program: Program,
    cgroups: Cgroups,
    owner: Owner,
    /// The folder of its socket.
    folder: PathBuf,
    line: Mutex<Option<BufReader<UnixStream>>>,
}

impl Responder {
    pub(crate) fn new(program: Program, cgroups: Cgroups, owner: Owner, folder: PathBuf) -> Self {
        Self { program, cgroups, owner, folder, line: Mutex::new(None) }
    }

    fn process(&self) -> Result<Option<i32>> {
        let processes = self.cgroups.group(GROUP).processes();
        Ok(processes.context(|| "look for the responder")?.first().copied())
    }

    /// A light host, if there is one of that id.
    pub(crate) fn find(&self, id: &InstanceId) -> Result<Option<Found>> {
        Ok(self.hosts(Some(id))?.pop())
    }

    /// All light hosts.
    pub(crate) fn all(&self) -> Result<Vec<Found>> {
        self.hosts(None)
    }

    fn hosts(&self, id: Option<&InstanceId>) -> Result<Vec<Found>> {
        // Without a process there are none, and nobody to ask.
        let Some(pid) = self.process()? else { return Ok(Vec::new()) };
        match self.ask(&Order::Hosts { id: id.cloned() }) {
            // One that is being started, or dies: it holds no host.
            Err(error) if nobody_listens(&error) => Ok(Vec::new()),
            answer => found(answer?, pid),
        }
    }

    /// Has a host in this start.
    pub(crate) fn make(&self, id: &InstanceId, start: u32, name: Option<&str>) -> Result<Found> {
        let order = Order::Make { id: id.clone(), start, name: name.map(str::to_owned) };
        let pid = self.ensure()?;
        let (pid, answer) = match self.ask(&order) {
            // It died a moment ago.
            Err(error) if nobody_listens(&error) => (self.ensure()?, self.ask(&order)?),
            answer => (pid, answer?),
        };
        let made = found(answer, pid)?.pop();
        made.ok_or_else(|| HostError::Failed(format!("{id}: the responder has made nothing")))
    }

    /// Calls a host by another name.
    pub(crate) fn rename(&self, id: &InstanceId, name: Option<&str>) -> Result<()> {
        self.order(&Order::Name { id: id.clone(), name: name.map(str::to_owned) })
    }

    /// Ends a host's conversations.
    pub(crate) fn reopen(&self, id: &InstanceId) -> Result<()> {
        self.order(&Order::Reopen { id: id.clone() })
    }

    /// Lets go of a host.
    pub(crate) fn remove(&self, id: &InstanceId) -> Result<()> {
        if self.process()?.is_none() {
            return Ok(());
        }
        match self.order(&Order::Remove { id: id.clone() }) {
            Err(error) if nobody_listens(&error) => Ok(()),
            other => other,
        }
    }

    fn order(&self, order: &Order) -> Result<()> {
        self.ask(order).map(drop)
    }

    /// Starts the responder unless it runs; returns its process.
    fn ensure(&self) -> Result<i32> {
        let mut line = self.lock();
        if let Some(pid) = self.process()? {
            if line.is_some() {
                return Ok(pid);
            }
            if let Ok(stream) = connect(&self.folder) {
                *line = Some(BufReader::new(stream));
                return Ok(pid);
            }
        }
        // What does not listen is dying, or came to nothing.
        *line = None;
        let group = self.cgroups.group(GROUP);
        group.kill()?;
        group.wait_empty(PATIENCE)?;
        group.create()?;
        let procs = group.path().join("cgroup.procs");
        let (uid, gid) = (self.owner.uid.to_string(), self.owner.gid.to_string());
        let arguments = [procs.as_os_str(), self.folder.as_os_str(), uid.as_ref(), gid.as_ref()];
        self.program.launch("responder", &arguments, &self.folder.join("responder.log"))?;
        let died = || HostError::Failed("the responder died at once".into());
        self.process()?.ok_or_else(died)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<BufReader<UnixStream>>> {
        // A line that was left in the middle is closed below, by whoever cannot make sense of it.
        self.line.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn ask(&self, order: &Order) -> Result<Answer> {
        let mut line = self.lock();
        // A line to a responder that is gone is opened anew, once.
        let kept = line.is_some();
        let answer = match self.exchange(&mut line, order) {
            Err(_) if kept => {
                *line = None;
                self.exchange(&mut line, order)
            }
            other => other,
        };
        match answer.inspect_err(|_| *line = None)? {
            Answer::Failed { why, capacity: true } => Err(HostError::InsufficientCapacity(why)),
            Answer::Failed { why, capacity: false } => Err(HostError::Failed(why)),
            answer => Ok(answer),
        }
    }

    fn exchange(&self, line: &mut Option<BufReader<UnixStream>>, order: &Order) -> Result<Answer> {
        let what = || "speak to the responder";
        let stream = match line {
            Some(stream) => stream,
            None => line.insert(BufReader::new(connect(&self.folder).context(what)?)),
        };
        let mut text = serde_json::to_vec(order).map_err(std::io::Error::other).context(what)?;
        text.push(b'\n');
        stream.get_mut().write_all(&text).context(what)?;
        let mut answer = String::new();
        if stream.read_line(&mut answer).context(what)? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)).context(what);
        }
        serde_json::from_str(&answer).map_err(std::io::Error::other).context(what)
    }
}

/// Whether a socket is nobody's, or was that of a responder that just died.
fn nobody_listens(error: &HostError) -> bool {
    use std::io::ErrorKind::{
        BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof,
    };

    let kind = match error {
        HostError::Kernel { source, .. } => source.kind(),
        _ => return false,
    };
    matches!(kind, BrokenPipe | ConnectionRefused | ConnectionReset | NotFound | UnexpectedEof)
}

fn found(answer: Answer, pid: i32) -> Result<Vec<Found>> {
    match answer {
        Answer::Hosts(hosts) => Ok(hosts.into_iter().map(|held| Found { held, pid }).collect()),
        _ => Err(HostError::Failed("the responder answered something else".into())),
    }
}

fn connect(folder: &Path) -> std::io::Result<UnixStream> {
    use std::os::fd::AsRawFd;

    // By a short name: the folder's may be longer than what a socket's holds.
    let folder = std::fs::File::open(folder)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
