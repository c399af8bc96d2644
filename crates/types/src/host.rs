//! What Linux is asked to do, and what it says it has: the words between reconcilers and host.

use serde::{Deserialize, Serialize};

use crate::{InstanceId, NetworkInterfaceId, PortIndex};

/// An instance that shall run, with everything that its machine needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Its id.
    pub id: InstanceId,
    /// Which start this is; a supervisor with a lower number belongs to an earlier one.
    pub start: u32,
    /// The name of the root file system below the images folder, as `debian-12`.
    pub image: String,
    /// The name one logs in by.
    pub login_user: String,
    /// The host name before DHCP and cloud-init have their say, as `ip-10-1-1-5`.
    pub hostname: String,
    /// The region, for tools in the instance that need it before they can ask.
    pub region: String,
    /// What `/etc/os-release` is asked for: `amzn2`, `al2023`, `debian`, `ubuntu`.
    pub flavor: String,
    /// What it may use.
    pub limits: Limits,
    /// Its interfaces in the order of their device index.
    pub interfaces: Vec<InterfaceSpec>,
}

/// What an instance may use at most; from its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Processes and threads.
    pub processes: u32,
    /// Bytes of disk that it may write.
    pub disk_bytes: u64,
}

/// An interface of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceSpec {
    /// Its id.
    pub id: NetworkInterfaceId,
    /// Its port in the fabric.
    pub port: PortIndex,
    /// `eth<device_index>` inside.
    pub device_index: u32,
    /// Its address on the wire.
    pub mac: [u8; 6],
    /// Bytes; 9001 inside a VPC (MTU-1).
    pub mtu: u32,
}

/// What is there of an instance, as found on the machine and never as remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedInstance {
    /// Its id.
    pub id: InstanceId,
    /// Which start its supervisor belongs to.
    pub start: u32,
    /// How far it is.
    pub run: Run,
    /// Whether its network is configured and its SSH server listens (EC2-24).
    pub ready: bool,
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// Its supervisor runs, its init does not yet.
    Starting,
    /// Its init runs and its links are up.
    Running,
    /// Its disk is there, no process of it is.
    Off,
}

/// Something that happened on the machine without being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// An instance switched itself off.
    PoweredOff(InstanceId),
    /// An instance's supervisor or init died.
    Died(InstanceId),
    /// An instance became ready: network configured, SSH server listening.
    Ready(InstanceId),
    /// An interface's link vanished (its guest deleted it).
    LinkLost(PortIndex),
}
