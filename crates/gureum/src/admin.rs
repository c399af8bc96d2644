//! What the command line and the daemon say to each other over the daemon's own socket.
//!
//! The socket (`<data-dir>/gureum.sock`) belongs to the person who started the daemon; whoever
//! can open it may do everything. One request a connection: a line of JSON there, a line of JSON
//! back. File descriptors travel beside it (`SCM_RIGHTS`): terminals to the daemon for `exec`,
//! namespaces from it for `internet`.

mod check;
mod preview;
mod twin;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use self::check::{
    CheckArgs, Decided, Decision, Expect, Expectation, Outcome, PortRange, Protocol, Suggestion,
    Verdict,
};
pub(crate) use preview::{Becomes, ChangeView, Difference, FlowFate};
pub(crate) use twin::{KeptSnapshot, SnapshotRequest, TwinReply, TwinRequest};

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
    /// Whether packets really pass: sent from instances and the internet, all at once.
    Attempts(AttemptsArgs),
    /// Whether expectations are met, decided by the engine on the present state.
    Check(CheckArgs),
    /// Expectations that describe the present state.
    Suggest,
    /// All records, for a copy.
    Records,
    /// What a change of the records would let through, and do to the flows that are open.
    Change {
        /// The folder with the records before it, as a snapshot has them.
        before: PathBuf,
        /// The folder with those after it.
        after: PathBuf,
    },
    /// Packets as they pass and what they meet, from now on. Answered with a socket beside the
    /// answer that carries [`StreamItem`]s; whoever shuts down their half of it ends the stream.
    Trace(TraceArgs),
    /// Who talks, and what was rejected.
    Flows(FlowsArgs),
    /// An interface's port: counters, drops, flows.
    Port {
        /// A Name tag, id or address.
        name: String,
    },
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
    /// Export or import a network.
    Twin(TwinRequest),
    /// Keep all records, or put them back.
    Snapshot(SnapshotRequest),
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
    /// Where to: the same, any address, a service of AWS or another host name.
    pub destination: String,
    /// `tcp`, `udp`, `icmp` or a number.
    pub protocol: String,
    /// The destination port; that of HTTPS where absent and a service is meant.
    pub port: Option<u16>,
    /// The source port; an ephemeral one where absent.
    pub source_port: Option<u16>,
    /// Whether IPv6 is meant where no address says so.
    pub ipv6: bool,
}

/// Real packets to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AttemptsArgs {
    /// What to send, as [`Request::Why`] is asked. Source ports are left to the sender.
    pub questions: Vec<WhyArgs>,
    /// How long an answer is waited for, in milliseconds.
    pub patience: u64,
}

/// How a packet fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttemptReport {
    /// Whether it arrived and something came back; nothing where it could not be tried.
    pub got_through: Option<bool>,
    /// `answered`, `refused` (a reset, or no such port), `unreachable` (says a router), `silent`, or
    /// why it could not be tried.
    pub how: String,
    /// The light host that answered.
    pub by: Option<String>,
    /// The first line of what was answered.
    pub text: String,
    /// Where it was sent to.
    pub destination: Option<std::net::IpAddr>,
}

impl AttemptReport {
    /// It could not be tried.
    pub(crate) fn failed(why: String) -> Self {
        Self { got_through: None, how: why, by: None, text: String::new(), destination: None }
    }
}

/// The answer to `gureum why`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WhyAnswer {
    /// The name that was asked about, where a host name was meant.
    pub name: Option<NameReport>,
    /// What becomes of packets, printable by `gureum_engine::print`; nothing where the name means no
    /// address.
    pub report: Option<gureum_engine::WhyReport>,
    /// What else there is to say.
    pub findings: Vec<WhyFinding>,
}

/// What a name means to who sends the packet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NameReport {
    /// The name.
    pub name: String,
    /// Its addresses. The report is about the first of the family that was asked about.
    pub addresses: Vec<std::net::IpAddr>,
    /// Who says so, or why nobody does, in a few words.
    pub by: String,
}

/// Something that a report of packets does not show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WhyFinding {
    /// A short name: `no-instance-profile`, `private-dns`.
    pub name: String,
    /// A sentence.
    pub text: String,
    /// Whether it is in the way.
    pub blocks: bool,
}

/// Which packets are to be told of; all conditions that are there must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TraceArgs {
    /// An interface: a Name tag, id or address.
    pub interface: Option<String>,
    /// An address at one end of the flow.
    pub host: Option<std::net::IpAddr>,
    /// A port at one end of the flow.
    pub port: Option<u16>,
    /// An IP protocol by number.
    pub protocol: Option<u8>,
    /// Dropped packets alone.
    pub drops: bool,
    /// Packets dropped for this reason alone.
    pub reason: Option<String>,
    /// Packets a second at most.
    pub rate: Option<u32>,
    /// Whether frames come along, as the interface sees them, or every interface where none is named.
    pub frames: bool,
}

/// What a stream of packets carries, a line of JSON each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StreamItem {
    /// A packet; the bytes of its frames follow the line.
    Packet(Box<TracedPacket>),
    /// Nothing follows.
    End {
        /// Packets that were asked for and did not fit the rate or the queue.
        left_out: u64,
    },
}

/// A packet and what it met.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TracedPacket {
    /// When, in nanoseconds since the beginning of 1970.
    pub at: u64,
    /// Where it came from: an interface's id, `internet` or `services`.
    pub from: String,
    /// What it is, in a few words.
    pub flow: String,
    /// The length of its frame.
    pub length: usize,
    /// The stages it went through, the last one being the one that decided.
    pub steps: Vec<gureum_engine::why::WhyStep>,
    /// Where it went: an interface's id, `internet` or `services`.
    pub to: Option<String>,
    /// The name of the reason for which it was dropped.
    pub dropped: Option<String>,
    /// What of it the interface saw, where frames were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<FrameHead>,
}

/// A frame whose bytes follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FrameHead {
    /// Seen from the interface.
    pub direction: gureum_engine::Direction,
    /// How many bytes follow.
    pub length: usize,
    /// Whether it was dropped, and why.
    pub dropped: Option<String>,
}

/// Which flows and dropped packets are to be told of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FlowsArgs {
    /// An interface: a Name tag, id or address; all where absent.
    pub interface: Option<String>,
    /// Whether flows are asked for beside rejects; what they carry is measured for a second then.
    pub flows: bool,
    /// How far back rejects are asked for, in milliseconds.
    pub since: u64,
    /// So many of each at most.
    pub limit: usize,
}

/// Who talks, and what was rejected. Times are nanoseconds since the beginning of 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FlowsReport {
    /// When it was made.
    pub at: u64,
    /// The flows that carry most, those first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flows: Option<Vec<TalkingFlow>>,
    /// How many flows there are, shown or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_count: Option<u64>,
    /// What was rejected, the latest first.
    pub rejects: Vec<Rejected>,
    /// How many kinds of rejected packets there were, shown or not.
    pub reject_count: u64,
    /// From when on rejects were asked for.
    pub since: u64,
    /// From when on all of them are remembered.
    pub complete_since: u64,
}

/// A flow of an interface, with what it carries now and carried in all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TalkingFlow {
    /// The interface's id.
    pub interface: String,
    /// What people call it: its instance's Name tag or id, or what else it belongs to.
    pub name: String,
    /// The protocol; for ICMP with the kind of query.
    pub protocol: String,
    /// The interface's end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// Who began it: `egress` where the interface did.
    pub origin: gureum_engine::Direction,
    /// Whether it is tracked, and how far it is.
    pub state: String,
    /// On which side of a NAT gateway it is seen, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_gateway: Option<String>,
    /// Packets a second, both ways.
    pub packets_per_second: f64,
    /// Bytes a second, both ways.
    pub bytes_per_second: f64,
    /// Packets out of the interface and into it that were accepted.
    pub packets: [u64; 2],
    /// Their bytes.
    pub bytes: [u64; 2],
    /// When it began.
    pub created: u64,
    /// When its last packet passed.
    pub last: u64,
}

/// Packets that were dropped for the same reason and are alike but for their source ports or
/// identifiers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rejected {
    /// Where: an interface's id, `internet` or `services`.
    pub interface: String,
    /// What people call it.
    pub name: String,
    /// Out of the interface or into it.
    pub direction: gureum_engine::Direction,
    /// The protocol; for ICMP with the kind of message.
    pub protocol: String,
    /// Where they came from, with the port if it is only one.
    pub source: String,
    /// Where they went.
    pub destination: String,
    /// How many source ports or identifiers they had.
    pub sources: u64,
    /// The name of the reason.
    pub reason: String,
    /// The rule, entry or route that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<gureum_engine::Component>,
    /// Packets since the first.
    pub packets: u64,
    /// Their bytes from the IP header on.
    pub bytes: u64,
    /// When the first of them came.
    pub first: u64,
    /// When the last came.
    pub last: u64,
}

/// An interface's port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PortReport {
    /// The interface's id.
    pub interface: String,
    /// The number of the port.
    pub port: u32,
    /// The epoch of the records that decide.
    pub applied_epoch: u64,
    /// Packets on the wire that came from the interface.
    pub received_packets: u64,
    /// Their bytes from the IP header on.
    pub received_bytes: u64,
    /// Packets on the wire that went to it.
    pub sent_packets: u64,
    /// Their bytes from the IP header on.
    pub sent_bytes: u64,
    /// Dropped packets by reason, those lost before the engine saw them included.
    pub drops: Vec<(String, u64)>,
    /// Its flows.
    pub flows: Vec<PortFlow>,
    /// The same as the engine prints it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// A flow of an interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PortFlow {
    /// The IP protocol.
    pub protocol: u8,
    /// The interface's end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// Who began it: `egress` where the interface did.
    pub origin: gureum_engine::Direction,
    /// Whether it is tracked, and how far it is.
    pub phase: String,
    /// Packets out of the interface and into it that were accepted.
    pub packets: [u64; 2],
    /// Their bytes.
    pub bytes: [u64; 2],
    /// Packets out and in that were rejected.
    pub rejected_packets: [u64; 2],
}

/// A record as the store keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecordRow {
    /// The name of its kind.
    pub kind: String,
    /// Where it belongs, and its id.
    pub key: String,
    /// JSON.
    pub value: String,
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// To `Status`.
    Status(Status),
    /// To `Instances` and (with one) `Resolve`.
    Instances(Vec<InstanceRow>),
    /// To `Why`.
    Why(Box<WhyAnswer>),
    /// To `Attempts`, in the order of the questions.
    Attempts(Vec<AttemptReport>),
    /// To `Check`: a verdict for each expectation, in their order.
    Check(Vec<Verdict>),
    /// To `Suggest`.
    Suggestions(Vec<Suggestion>),
    /// To `Records`.
    Records(Vec<RecordRow>),
    /// To `Change`.
    Change(Box<ChangeView>),
    /// To `Trace`: the socket comes beside it.
    Stream,
    /// To `Flows`.
    Flows(Box<FlowsReport>),
    /// To `Port`.
    Port(Box<PortReport>),
    /// To `Console`: the bytes (lossily as text) and the offset after them.
    Console {
        /// What was written.
        text: String,
        /// The offset to ask for next.
        next: u64,
    },
    /// To `Exec`: the exit status (128 + signal for a signal).
    Exited(i32),
    /// To `Internet`; the descriptors come beside it.
    Internet {
        /// Where system roots and our CA are.
        ca_bundle: PathBuf,
        /// Where public addresses come from.
        public_pool: ipnet::Ipv4Net,
    },
    /// To `Twin` and `Snapshot`.
    Twin(Box<TwinReply>),
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
    /// How the way out of the simulated internet is, where there is one.
    #[serde(default)]
    pub uplink: Option<String>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Its tag in names of kernel objects.
    pub tag: String,
    /// Whether it boots instances (false with `--no-instances`).
    pub instances_enabled: bool,
    /// Whether new instances are light hosts.
    #[serde(default)]
    pub light: bool,
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
    /// Its private DNS name.
    pub private_dns_name: Option<String>,
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
    /// Whether it is a light host: without SSH server and agent.
    #[serde(default)]
    pub light: bool,
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
