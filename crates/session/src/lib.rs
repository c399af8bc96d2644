//! Session Manager on the wire: what agent, service and client agree on.
//!
//! * [`frame`]: the binary messages of control and data channels.
//! * [`message`]: what is inside those that are JSON.
//! * [`stream`]: numbering, acknowledgement and repetition of stream data.
//! * [`smux`]: the streams inside a forwarded port.
//! * [`client`]: the client's side of a session.
//! * [`signature`]: how agent and client prove who they are.
//!
//! No I/O and no clock: time is a parameter. The layout is that of AWS's `session-manager-plugin`
//! and `amazon-ssm-agent`, which publish their sources.

#![forbid(unsafe_code)]

pub mod client;
pub mod frame;
pub mod message;
pub mod signature;
pub mod smux;
pub mod stream;
