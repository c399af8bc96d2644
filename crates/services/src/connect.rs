//! How servers on the host side reach the simulated internet: through a door that the daemon
//! gives them, since they never enter a namespace themselves.

use std::{future::Future, io, net::SocketAddrV4, pin::Pin};

use tokio::net::TcpStream;

/// A connection under way.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'a>>;

/// Opens TCP connections from inside the simulated internet.
pub trait Connector: Send + Sync + 'static {
    /// Connects to an address there.
    fn connect(&self, address: SocketAddrV4) -> Connecting<'_>;
}
