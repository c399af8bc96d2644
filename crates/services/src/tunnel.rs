//! HTTP's CONNECT (RFC 9110, section 9.3.6) into the simulated internet, for clients that know
//! `HTTPS_PROXY` and not SOCKS: so AWS's own names lead to this cloud without a hosts file.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::{io::copy_bidirectional_with_sizes, time::timeout};
use tracing::debug;

use crate::{connect::Connector, dns::InternetResolver, http::sentence};

const CONNECT: Duration = Duration::from_secs(10);
const BUFFER: usize = 64 * 1024;

/// The way into the internet.
pub struct Tunnel {
    resolver: Arc<InternetResolver>,
    connector: Arc<dyn Connector>,
}

impl Tunnel {
    /// A way that finds names by `resolver` and connects by `connector`.
    pub fn new(resolver: Arc<InternetResolver>, connector: Arc<dyn Connector>) -> Self {
        Self { resolver, connector }
    }

    /// Answers a CONNECT request, and carries bytes from then on.
    pub async fn open(&self, request: Request<Body>) -> Response<Body> {
        let authority = request.uri().authority();
        let Some((name, port)) = authority.and_then(|it| Some((it.host(), it.port_u16()?))) else {
            return sentence(StatusCode::BAD_REQUEST, "CONNECT wants a host and a port");
        };
        let address = match name.parse::<Ipv4Addr>() {
            Ok(address) => Some(address),
            Err(_) => self.resolver.address_of_any(name).await,
        };
        let Some(address) = address else {
            return sentence(
                StatusCode::BAD_GATEWAY,
                format_args!("nobody in the simulated internet is called \"{name}\" now"),
            );
        };
        let target = SocketAddrV4::new(address, port);
        let mut server = match timeout(CONNECT, self.connector.connect(target)).await {
            Ok(Ok(server)) => server,
            Ok(Err(error)) => {
                let why = format_args!("{name} cannot be reached at port {port}: {error}");
                return sentence(StatusCode::BAD_GATEWAY, why);
            }
            Err(_) => {
                let why = format_args!("{name} does not answer at port {port}");
                return sentence(StatusCode::GATEWAY_TIMEOUT, why);
            }
        };
        tokio::spawn(async move {
            let carried = async {
                let mut client = TokioIo::new(hyper::upgrade::on(request).await?);
                let _ = server.set_nodelay(true);
                copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            };
            if let Err(error) = carried.await {
                debug!(%target, %error, "a tunnel");
            }
        });
        Response::new(Body::empty())
    }
}
