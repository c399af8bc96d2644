//! The message gateway of Session Manager, AWS's `ssmmessages` (SSM-2, SSM-9), and `ec2messages`, where
//! agents without it ask for commands.
//!
//! An agent holds a *control channel* open, on which it is told of sessions and commands. For a
//! session, client and agent each open a *data channel*, and what one sends the other gets,
//! frame by frame and unread: numbers, acknowledgements and repetition are between the two. Who
//! may open a channel has a token for it, good for one time and one role.
//!
//! Everything here lives in memory: a daemon that dies takes its sessions with it, as agents and
//! clients notice. What is to be remembered is told by [`gureum_types::session::GatewayEvent`].

mod control_channel;
mod gateway;
mod mailbox;
mod relay;
mod token;
mod web;

pub use gateway::{MessageGateway, NotConnected, Timing};
