//! What a VPC offers its instances, and the simulated internet around it.
//!
//! * [`imds`]: the instance metadata service, versions 1 and 2 (IMDS-*).
//! * [`dns`]: the resolver of a VPC (DNS-*) and those of the internet.
//! * [`session`]: the message gateway of Session Manager.
//! * [`sntp`]: Amazon Time Sync.
//! * [`endpoint`]: the services of AWS for callers that come through endpoints (VPCE-*).
//! * [`internet`]: hosts as data, their web sites and git repositories.
//! * [`ca`]: the certificate authority of this machine.
//! * [`socks`], [`tunnel`] and [`vhost`]: ways into the internet from a person's shell and browser.
//!
//! Nothing here enters a namespace: every server takes a socket that someone made in the right
//! one, and reaches back through a [`connect::Connector`]. Every server is a future that ends
//! only by being dropped. What they know comes from a [`caller::View`] that is swapped whole.

#![forbid(unsafe_code)]

pub mod both;
pub mod ca;
pub mod caller;
pub mod connect;
pub mod dns;
pub mod endpoint;
mod gate;
mod http;
pub mod imds;
pub mod internet;
pub mod session;
pub mod sntp;
pub mod socks;
mod tls;
pub mod tunnel;
pub mod vhost;
