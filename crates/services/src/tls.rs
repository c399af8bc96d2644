//! TLS as all our servers speak it.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::ring::default_provider, server::ResolvesServerCert};

/// The configuration of a server that has a certificate for each name it is called by.
pub(crate) fn server_config(
    names: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(names);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
