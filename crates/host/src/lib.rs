//! Linux: namespaces, ports, packet sockets and instances. The only room with `unsafe`.
//!
//! - [`cloud::Cloud`] is the door: it takes over what is on the machine or makes what is missing.
//! - [`datapath::DataPath`] is the thread that moves packets between ports and the engine.
//! - [`instance::Instances`] are real Linux hosts, each under a [`shim`] that outlives the daemon;
//!   the [`anchor`] holds the namespaces that outlive it.
//! - [`attempt::attempt`] opens real connections from inside a namespace and says how they ended.
//! - [`light`] hosts are instances without an operating system, all held by one process.
//! - [`internet`] takes a person's own program into the simulated internet, without root.
//! - [`windows::Windows`] is what it counted for flow logs, until that is delivered.
//! - [`uplink::Uplink`] is the way out of the simulated internet, where a person asked for one.
//! - [`connect::Connection`] makes the machine a host of the simulated internet, as long as it lives.
//! - [`probe::probe`] tells what this machine lacks.
//!
//! Calls block until the machine has done what was asked; they belong on threads made for that.
//! Everything that this room makes carries the [`tag::Tag`] of its data directory and is found
//! again by it, never by what an earlier process remembered.
//!
//! Four hidden subcommands of the binary have their bodies here, and must be called before the
//! process has a second thread: [`anchor::run`], [`shim::run`], [`light::run`] and [`exec::run`].

pub mod anchor;
pub mod attempt;
mod boot_id;
pub mod cgroup;
pub mod cloud;
pub mod connect;
pub mod datapath;
pub mod error;
mod ethtool;
pub mod exec;
pub mod fabric;
pub mod instance;
pub mod internet;
pub mod light;
pub mod limits;
pub mod memory;
pub mod namespace;
pub mod netlink;
pub mod probe;
pub mod shim;
pub mod supervisor;
pub mod tag;
pub mod uplink;
pub mod windows;

pub use cloud::{Cloud, CloudConfig, down, leftovers};
pub use error::{HostError, Result};
pub use probe::{Fact, probe};
