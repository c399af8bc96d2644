//! TLS for the hosts of the internet: a certificate by our own authority for each name that a
//! client asks for, as long as it is one of the host's.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tracing::warn;

use super::hosts::Hosts;
use crate::{ca::Ca, tls::server_config};

/// The configuration for the host at an address.
pub(super) fn config(
    ca: Arc<Ca>,
    hosts: Arc<Hosts>,
    address: IpAddr,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    server_config(Arc::new(ByName { ca, hosts, address }))
}

struct ByName {
    ca: Arc<Ca>,
    hosts: Arc<Hosts>,
    address: IpAddr,
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByName").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = self.hosts.at(self.address)?;
        let name = match hello.server_name() {
            Some(name) if host.is_called(name) => name.to_owned(),
            // Another name: the handshake ends, as no certificate of ours would be right.
            Some(_) => return None,
            // A client that connects by address says no name.
            None => self.address.to_string(),
        };
        match self.ca.certificate_for(&name) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                warn!(%name, %error, "making a certificate");
                None
            }
        }
    }
}
