//! Gureum: host.
pub mod anchor;
pub mod cgroup;
pub mod error;
mod ethtool;
pub mod fabric;
pub mod namespace;
pub mod netlink;
pub mod supervisor;
pub mod tag;
