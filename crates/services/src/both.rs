//! A port that speaks TLS to who begins with a handshake, and plain text to everybody else.

use std::{io, net::IpAddr, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::warn;

use crate::ca::Ca;

/// The first byte of a TLS handshake; no method of HTTP begins with it.
const HANDSHAKE: u8 = 0x16;

/// A connection, as its client wants it.
#[derive(Debug)]
pub enum Opened {
    /// Plain text.
    Plain(TcpStream),
    /// TLS.
    Secure(Box<TlsStream<TcpStream>>),
}

/// Opens connections with certificates of our authority: for AWS's names, for this machine's own,
/// and for the address that was connected to where a client says no name.
#[derive(Clone)]
pub struct Both {
    ca: Arc<Ca>,
}

impl std::fmt::Debug for Both {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Both").finish_non_exhaustive()
    }
}

impl Both {
    /// With certificates of an authority.
    pub fn new(ca: Arc<Ca>) -> Self {
        Self { ca }
    }

    /// Waits for a client's first byte, and for the handshake if that begins one.
    pub async fn open(&self, stream: TcpStream) -> io::Result<Opened> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 || first != [HANDSHAKE] {
            return Ok(Opened::Plain(stream));
        }
        let resolver = ByName { ca: Arc::clone(&self.ca), address: stream.local_addr()?.ip() };
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        Ok(Opened::Secure(Box::new(stream)))
    }
}

struct ByName {
    ca: Arc<Ca>,
    address: IpAddr,
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByName").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Whether a name may be ours.
fn is_called(name: &str) -> bool {
    let below = |domain: &str| name.strip_suffix(domain).is_some_and(|it| it.ends_with('.'));
    name == "localhost" || below("localhost") || below("amazonaws.com")
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = match hello.server_name() {
            Some(name) => is_called(name).then(|| name.to_owned())?,
            None => self.address.to_canonical().to_string(),
        };
        let made = self.ca.certificate_for(&name);
        made.inspect_err(|error| warn!(%name, %error, "making a certificate")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_aws_and_of_this_machine_are_ours() {
        for name in ["localhost", "s3.localhost", "ec2.ap-northeast-2.amazonaws.com"] {
            assert!(is_called(name), "{name}");
        }
        for name in ["amazonaws.com", "evilamazonaws.com", "example.com", ""] {
            assert!(!is_called(name), "{name}");
        }
    }
}
