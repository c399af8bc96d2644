//! What the command line and the daemon say to each other over the daemon's own socket.
//!
//! The socket (`<data-dir>/gureum.sock`) belongs to the person who started the daemon; whoever
//! can open it may do everything. One request a connection: a line of JSON there, a line of JSON
//! back. File descriptors travel beside it (`SCM_RIGHTS`): terminals to the daemon for `exec`,
//! namespaces from it for `internet`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The name of the socket in the data directory.
pub(crate) const SOCKET: &str = "gureum.sock";

/// What the command line asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// How the daemon is.
    Status,
    /// The instances of all accounts and regions.
    Instances,
    /// The one instance that a Name tag, id, private or public address or DNS name means.
    Resolve {
        /// What the person typed.
        name: String,
    },
    /// Whether packets would pass, decided by the engine on the present state.
    Why(WhyArgs),
    /// What an instance has written to its console so far, from a byte offset on.
    Console {
        /// The instance's id.
        id: String,
        /// Where to start.
        from: u64,
    },
    /// Run a program in an instance, out of band. Comes with three file descriptors: the
    /// program's standard input, output and error.
    Exec {
        /// The instance's id.
        id: String,
        /// The program and its arguments; the user's shell where empty.
        argv: Vec<String>,
        /// Variables for it, beyond the usual ones.
        environment: Vec<(String, String)>,
        /// The user to be; root where absent.
        user: Option<String>,
        /// Whether the descriptors are a terminal that the program shall control.
        terminal: bool,
    },
    /// The namespaces of the simulated internet. Answered with two file descriptors: the user
    /// namespace, the network namespace.
    Internet,
    /// Empty an account, or everything.
    Reset {
        /// The account; everything where absent.
        account: Option<String>,
    },
    /// Stop the daemon; with `everything`, instances and namespaces too.
    Down {
        /// Whether to take down the instances and namespaces (`gureum down`).
        everything: bool,
    },
}

/// The parameters of `gureum why`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WhyArgs {
    /// Where from: a Name tag, id, address, `internet`.
    pub source: String,
    /// Where to: the same, or any address.
    pub destination: String,
    /// `tcp`, `udp`, `icmp` or a number.
    pub protocol: String,
    /// The destination port.
    pub port: Option<u16>,
    /// The source port; an ephemeral one where absent.
    pub source_port: Option<u16>,
    /// Whether IPv6 is meant where no address says so.
    pub ipv6: bool,
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// To `Status`.
    Status(Status),
    /// To `Instances` and (with one) `Resolve`.
    Instances(Vec<InstanceRow>),
    /// To `Why`: the report, printable by `gureum_engine::print`.
    Why(Box<gureum_engine::WhyReport>),
    /// To `Console`: the bytes (lossily as text) and the offset after them.
    Console {
        /// What was written.
        text: String,
        /// The offset to ask for next.
        next: u64,
    },
    /// To `Exec`: the exit status (128 + signal for a signal).
    Exited(i32),
    /// To `Internet`: where the CA bundle is; the descriptors come beside it.
    Internet {
        /// System roots and our CA.
        ca_bundle: PathBuf,
    },
    /// To `Reset` and `Down`.
    Done,
    /// It could not be done: one sentence, and what to do.
    Error(String),
}

/// How the daemon is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// `http://127.0.0.1:4566`
    pub endpoint: String,
    /// Where SOCKS5 listens.
    pub socks: Option<String>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Its tag in names of kernel objects.
    pub tag: String,
    /// Whether it boots instances (false with `--no-instances`).
    pub instances_enabled: bool,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// The epoch that the data path has applied.
    pub applied_epoch: u64,
    /// How many VPCs, subnets, instances (by state) … there are.
    pub counts: Vec<(String, u64)>,
    /// Packets dropped by reason, since the start.
    pub drops: Vec<(String, u64)>,
}

/// An instance as tables show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstanceRow {
    /// Its id.
    pub id: String,
    /// Its Name tag.
    pub name: Option<String>,
    /// Its state.
    pub state: String,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub availability_zone: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// Its primary private address.
    pub private_ip: String,
    /// Its public address.
    pub public_ip: Option<String>,
    /// Its public DNS name.
    pub public_dns_name: Option<String>,
    /// The name to log in by.
    pub login_user: String,
    /// The key pair.
    pub key_name: Option<String>,
    /// Whether its status checks passed.
    pub ready: bool,
}

/// What `GET /_gureum/health` answers on the API's port, with a `Server: Gureum/…` header: enough
/// to tell that an endpoint is ours, and whose.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Health {
    /// The daemon's version.
    pub version: String,
    /// The daemon's tag, the same as in [`Status`].
    pub tag: String,
}
