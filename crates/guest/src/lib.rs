//! An agent of Systems Manager that speaks the protocol of AWS's own (SSM-1 to SSM-11).
//!
//! It reaches the service over nothing but its instance's network: names by the instance's resolver,
//! TLS by the instance's certificates, credentials from the instance's metadata. So routes, groups,
//! endpoints and roles decide whether it can.
//!
//! * [`agent`]: registers, says every five minutes that it is there, holds the control channel open.
//! * [`session`]: one session; what it leads to is a [`shell`] or a [`port`].
//! * [`transcript`]: what a session shows, for CloudWatch Logs.
//! * [`command`]: one command of Run Command.
//! * [`surroundings`]: identity, credentials and network, which tests replace.

#![forbid(unsafe_code)]

pub mod agent;
mod archive;
mod command;
mod metadata;
mod network;
mod port;
mod resolver;
pub mod session;
mod shell;
pub mod surroundings;
mod transcript;
pub mod user;
