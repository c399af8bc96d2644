//! Gureum: host.
pub mod anchor;
pub mod cgroup;
pub mod cloud;
pub mod datapath;
pub mod error;
mod ethtool;
pub mod exec;
pub mod fabric;
pub mod instance;
pub mod internet;
pub mod limits;
pub mod namespace;
pub mod netlink;
pub mod shim;
pub mod supervisor;
pub mod tag;
