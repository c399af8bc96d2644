//! The simulated internet: hosts that are data (`internet/hosts.toml`), their web sites over
//! HTTP and HTTPS, and their resolvers.
//!
//! The kernel answers pings, as the addresses are on a loopback interface of the internet's
//! namespace; what listens there is told by [`Hosts::doors`] and served by [`Internet`].

mod git;
mod hosts;
mod site;
mod tls;
mod web;

pub use hosts::{Door, DoorService, Host, Hosts, HostsError, Role};
pub use web::Internet;
pub(crate) use web::Visitor;

/// The addresses that the internet's namespace has to own, of the hosts that come with us.
pub fn addresses() -> Result<Vec<std::net::Ipv4Addr>, HostsError> {
    Ok(Hosts::embedded()?.addresses().collect())
}
