//! The way out of the simulated internet, only where a person asked for it (`up --uplink`).
//!
//! `pasta` carries packets of the internet's namespace on as ordinary sockets of the namespace that
//! the daemon runs in: the machine's network needs no rule, no route and no address for it. It
//! ends in a tap in the internet's namespace. What the namespace does not know goes there, with
//! the tap's address as its source, since pasta knows one peer only. That is done by a table of
//! nftables in our own namespace, which is also what keeps anything else from being forwarded.
//!
//! pasta lives in a group of its own below the cloud's. It outlives the daemon, is adopted by the
//! next one or ended by one that has no uplink, is started again when it dies, and goes with
//! `down` as everything in the cloud's group does.

use std::{
    ffi::{CStr, CString},
    fs, io,
    io::Write as _,
    os::{fd::AsRawFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{
    anchor::Namespaces,
    cgroup::{Cgroups, Group},
    connect::INSIDE as CONNECTED,
    error::{Context, HostError, Result},
    fabric::INTERNET_LINK,
    namespace::Namespace,
    netlink::Netlink,
};

/// The name of the group.
const GROUP: &str = "uplink";
/// The tap's name in the internet.
const LINK: &str = "uplink0";
/// The tap's address, and the next hop behind it: link-local, so nobody's elsewhere. Neither is
/// seen by anybody.
const ADDRESS: &str = "169.254.7.2";
const GATEWAY: &str = "169.254.7.1";
/// How long pasta may take until its tap is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before it is started once more.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(500);

/// The programs that an uplink needs, with the packages that have them.
pub const PROGRAMS: [(&str, &str); 2] = [("pasta", "passt"), ("nft", "nftables")];

/// How an uplink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UplinkState {
    /// It carries packets.
    Up {
        /// The process of pasta.
        pid: i32,
    },
    /// It does not, and why.
    Down(String),
}

/// A way out that is looked after. Dropping it ends the looking after, not the way out.
#[derive(Debug)]
pub struct Uplink {
    shared: Arc<Shared>,
    carer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    group: Group,
    internet: Namespace,
    log: PathBuf,
    state: Mutex<UplinkState>,
    ended: AtomicBool,
}

impl Uplink {
    /// Opens the way out, or takes over the one that an earlier daemon left open.
    pub(crate) fn open(cgroups: &Cgroups, namespaces: &Namespaces, log: PathBuf) -> Result<Self> {
        let internet = namespaces.internet.try_clone().context(|| "keep the internet")?;
        let state = Mutex::new(UplinkState::Down("it is being opened".into()));
        let group = cgroups.group(GROUP);
        let shared =
            Arc::new(Shared { group, internet, log, state, ended: AtomicBool::new(false) });
        shared.configure()?;
        shared.ensure()?;
        let carer = Arc::clone(&shared);
        let carer = thread::Builder::new()
            .name("gureum-uplink".into())
            .spawn(move || carer.care())
            .context(|| "start a thread for the uplink")?;
        Ok(Self { shared, carer: Mutex::new(Some(carer)) })
    }

    /// Ends the looking after, so that what is ended next is not begun again.
    pub(crate) fn let_go(&self) {
        self.shared.ended.store(true, Ordering::Release);
        let carer = self.carer.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(carer) = carer {
            carer.thread().unpark();
            if carer.join().is_err() {
                tracing::error!("who looked after the uplink ended with a panic");
            }
        }
    }

    /// How it is.
    pub fn state(&self) -> UplinkState {
        self.shared.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Closes the way out that an earlier daemon may have left open.
pub(crate) fn close(cgroups: &Cgroups, namespaces: &Namespaces) -> Result<()> {
    if !cgroups.group(GROUP).path().is_dir() {
        return Ok(());
    }
    cgroups.destroy(GROUP)?;
    forward(&namespaces.internet, false)?;
    nft(&namespaces.internet, "table ip gureum\ndelete table ip gureum\n")
}

impl Shared {
    /// Prepares the namespace: what may leave, and as whom. Idempotent.
    fn configure(&self) -> Result<()> {
        // Before anything is forwarded at all.
        nft(&self.internet, &rules())?;
        forward(&self.internet, true)
    }

    /// Makes sure that pasta runs.
    fn ensure(&self) -> Result<()> {
        if let Some(pid) = self.running()? {
            self.set(UplinkState::Up { pid });
            return Ok(());
        }
        let started = self.start();
        if let Err(error) = &started {
            self.set(UplinkState::Down(error.to_string()));
        }
        started
    }

    fn set(&self, state: UplinkState) {
        *self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = state;
    }

    /// The process of a pasta whose tap is there. One without is ended.
    fn running(&self) -> Result<Option<i32>> {
        let processes = self.group.processes().context(|| "look for pasta")?;
        let Some(pid) = processes.first().copied() else { return Ok(None) };
        if self.has_tap()? {
            return Ok(Some(pid));
        }
        self.group.kill()?;
        self.group.wait_empty(PATIENCE)?;
        Ok(None)
    }

    fn has_tap(&self) -> Result<bool> {
        let what = || "look for the tap of pasta";
        let mut netlink = Netlink::open_in(&self.internet).context(what)?;
        let Some(link) = netlink.link(LINK).context(what)? else { return Ok(false) };
        let addresses = netlink.addresses(link.index).context(what)?;
        Ok(addresses.iter().any(|address| address.to_string() == ADDRESS))
    }

    fn start(&self) -> Result<()> {
        self.group.create()?;
        let failed = || format!("open {}", self.log.display());
        let errors = fs::File::create(&self.log).context(failed)?;
        let procs = fs::OpenOptions::new()
            .write(true)
            .open(self.group.path().join("cgroup.procs"))
            .context(|| "open the group of the uplink")?;
        let program = find("pasta")?;
        let mut command = Command::new(program);
        // pasta gives up what it would need to look at our descriptors before it opens the
        // namespace, so it finds it as a file: bound there in a mount namespace of its own.
        let namespace = self.log.with_extension("netns");
        fs::File::create(&namespace).context(|| format!("make {}", namespace.display()))?;
        let path = |text: &[u8]| CString::new(text).map_err(io::Error::from);
        let source = path(format!("/proc/self/fd/{}", self.internet.as_raw_fd()).as_bytes());
        let target = path(namespace.as_os_str().as_encoded_bytes());
        let what = || "name the namespace of the internet";
        let (source, target) = (source.context(what)?, target.context(what)?);
        command
            .args(["--foreground", "--quiet", "--ipv4-only", "--stderr"])
            .arg("--netns")
            .arg(&namespace)
            .args(["--netns-only", "--no-netns-quit"])
            // As another user it could not enter the namespace (traps 19).
            .args(["--runas", "0"])
            // The address of the gateway would be the machine's own loopback (traps 19).
            .arg("--no-map-gw")
            // Nothing that listens on either side is to be seen on the other.
            .args(["--tcp-ports", "none", "--udp-ports", "none"])
            .args(["--tcp-ns", "none", "--udp-ns", "none"])
            .args(["--address", ADDRESS, "--netmask", "30", "--gateway", GATEWAY])
            .args(["--ns-ifname", LINK, "--mtu", "1500", "--config-net"])
            .arg("--no-dhcp")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .current_dir("/");
        // SAFETY: between fork and exec only system calls are made, on a descriptor that the
        // closure owns; nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::write(&procs, b"0")?;
                nix::unistd::setsid()?;
                let none = None::<&CStr>;
                unshare(CloneFlags::CLONE_NEWNS)?;
                mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
                mount(Some(&*source), &*target, none, MsFlags::MS_BIND, none)?;
                Ok(())
            });
        }
        let mut child = command.spawn().context(|| "start pasta")?;
        let pid = child.id().cast_signed();
        let until = Instant::now() + PATIENCE;
        while !self.has_tap()? {
            if let Some(status) = child.try_wait().context(|| "wait for pasta")? {
                return Err(HostError::Failed(format!(
                    "pasta ended ({status}): {}",
                    last_words(&self.log)
                )));
            }
            if Instant::now() > until {
                self.group.kill()?;
                let _ = child.wait();
                return Err(HostError::Failed("pasta makes no tap".into()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        // Whoever is its parent when it ends must bury it.
        thread::Builder::new()
            .name("gureum-pasta".into())
            .spawn(move || drop(child.wait()))
            .context(|| "start a thread for pasta")?;
        self.set(UplinkState::Up { pid });
        tracing::info!(pid, "the simulated internet is connected to the machine's network");
        Ok(())
    }

    /// Starts it again when it died.
    fn care(&self) {
        while !self.ended.load(Ordering::Acquire) {
            let alive = self.group.populated().unwrap_or(false);
            // The group goes when the cloud does.
            if alive || !self.group.path().is_dir() {
                thread::park_timeout(LOOK);
                continue;
            }
            tracing::warn!("pasta died: {}; it is started again", last_words(&self.log));
            if let Err(error) = self.ensure() {
                tracing::warn!(%error, "the uplink is down");
                thread::park_timeout(PAUSE);
            }
        }
    }
}

/// What the internet's namespace forwards, and what may leave through the tap. Private and other
/// special addresses are not on the internet (IGW-16, RFC 6890); the machine's own network has
/// them, and is none of the instances' business.
fn rules() -> String {
    format!(
        r#"table ip gureum
delete table ip gureum
table ip gureum {{
    chain through {{
        type filter hook forward priority 0; policy drop;
        iifname "{INTERNET_LINK}" oifname "{LINK}" accept
        iifname "{LINK}" oifname "{INTERNET_LINK}" ct state established,related accept
        iifname "{CONNECTED}" oifname "{INTERNET_LINK}" accept
        iifname "{INTERNET_LINK}" oifname "{CONNECTED}" accept
    }}
    chain into {{
        type filter hook input priority 0; policy accept;
        iifname "{LINK}" ct state != {{ established, related }} drop
    }}
    chain narrow {{
        type filter hook postrouting priority 0; policy accept;
        oifname "{LINK}" ip daddr {{ 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8,
            169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.0.2.0/24, 192.168.0.0/16,
            198.18.0.0/15, 198.51.100.0/24, 203.0.113.0/24, 224.0.0.0/3 }} drop
    }}
    chain leave {{
        type nat hook postrouting priority 100; policy accept;
        oifname "{LINK}" masquerade
    }}
}}
"#
    )
}

fn forward(internet: &Namespace, on: bool) -> Result<()> {
    let value = if on { "1" } else { "0" };
    let write = || fs::write("/proc/sys/net/ipv4/ip_forward", value);
    let what = || "set net.ipv4.ip_forward in the internet";
    internet.run(write).context(what)?.context(what)
}

/// Has `nft` carry out a script inside a namespace.
fn nft(internet: &Namespace, script: &str) -> Result<()> {
    let program = find("nft")?;
    let run = || -> io::Result<std::process::Output> {
        let mut child = Command::new(&program)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(script.as_bytes())?;
        }
        child.wait_with_output()
    };
    let what = || "run nft in the internet";
    let done = internet.run(run).context(what)?.context(what)?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(HostError::Failed(format!("nft refuses: {}", said.lines().next().unwrap_or("no word"))))
}

/// Finds a program of [`PROGRAMS`]; an error says which package has it.
pub fn find(name: &str) -> Result<PathBuf> {
    let mut folders: Vec<_> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    // What an ordinary user's path leaves out, root's has.
    folders.extend(["/usr/sbin", "/sbin"].map(Into::into));
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let package = PROGRAMS.iter().find(|(program, _)| *program == name);
        let package = package.map_or(name, |(_, package)| package);
        HostError::Failed(format!(
            "the uplink needs the program {name}, of the package {package}, which is missing"
        ))
    })
}

/// The last line that pasta wrote.
fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    // Complaints about a syslog that is not there say nothing.
    let mut lines = text.lines().filter(|line| !line.contains("to syslog"));
    lines.next_back().unwrap_or("it said nothing").trim().to_owned()
}
