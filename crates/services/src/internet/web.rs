//! Runs what listens in the simulated internet: its resolvers and its web sites.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::{
    git::GitHost,
    hosts::{Door, DoorService, Host, Hosts, Role},
    site::{self, Visit},
    tls,
};
use crate::{
    ca::Ca,
    dns::{self, InternetResolver},
    gate::{self, Gate},
};

const CONNECTIONS: usize = 1024;
const CONNECTIONS_PER_PEER: usize = 128;
/// How long a handshake, a request's head and an idle connection may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection to a site of ours may last: a client that reads nothing holds its place
/// no longer. The API has calls that take as long as they take.
const LIFETIME: Duration = Duration::from_secs(600);

/// The servers of the simulated internet.
pub struct Internet {
    hosts: Arc<Hosts>,
    resolver: Arc<InternetResolver>,
    ca: Arc<Ca>,
    git: GitHost,
    aws_api: TowerToHyperService<Router>,
}

impl Internet {
    /// The servers of these hosts; requests to AWS's names go to `aws_api`, which finds the
    /// peer's address as [`ConnectInfo`].
    pub fn new(
        hosts: Arc<Hosts>,
        resolver: Arc<InternetResolver>,
        ca: Arc<Ca>,
        aws_api: Router,
    ) -> Self {
        let aws_api = TowerToHyperService::new(aws_api);
        Self { hosts, resolver, ca, git: GitHost::embedded(), aws_api }
    }

    /// Serves a door that wants UDP ([`Door::is_udp`]) until the task is dropped.
    pub async fn serve_udp(self: Arc<Self>, door: Door, socket: UdpSocket) {
        debug_assert!(door.is_udp());
        dns::serve_udp(socket, Arc::clone(&self.resolver) as _).await;
    }

    /// Serves a door that wants TCP until the task is dropped.
    ///
    /// # Errors
    /// Where TLS cannot be set up, or nothing of that kind is behind the door.
    pub async fn serve_tcp(
        self: Arc<Self>,
        door: Door,
        listener: TcpListener,
    ) -> Result<(), rustls::Error> {
        let acceptor = match door.service {
            DoorService::DnsTcp => {
                dns::serve_tcp(listener, Arc::clone(&self.resolver) as _).await;
                return Ok(());
            }
            DoorService::Https => {
                let (ca, hosts) = (Arc::clone(&self.ca), Arc::clone(&self.hosts));
                Some(TlsAcceptor::from(tls::config(ca, hosts, door.address)?))
            }
            DoorService::Http => None,
            DoorService::DnsUdp => {
                return Err(rustls::Error::General(format!("{door} is not served over TCP")));
            }
        };
        let Some(host) = self.hosts.at(door.address).cloned().map(Arc::new) else {
            return Err(rustls::Error::General(format!("there is no host at {door}")));
        };
        let gate = Gate::new(CONNECTIONS, CONNECTIONS_PER_PEER);
        gate::serve(listener, gate, "web", |stream, peer| {
            let (internet, host) = (Arc::clone(&self), Arc::clone(&host));
            let acceptor = acceptor.clone();
            async move {
                if let Err(error) = internet.converse(stream, peer, host, acceptor).await {
                    debug!(%peer, %door, %error, "a web connection");
                }
            }
        })
        .await;
        Ok(())
    }

    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        host: Arc<Host>,
        acceptor: Option<TlsAcceptor>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match acceptor {
            None => self.requests(stream, peer, host, false).await?,
            Some(acceptor) => {
                let stream = timeout(PATIENCE, acceptor.accept(stream)).await??;
                self.requests(stream, peer, host, true).await?;
            }
        }
        Ok(())
    }

    async fn requests(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
        host: Arc<Host>,
        secure: bool,
    ) -> hyper::Result<()> {
        let service = hyper::service::service_fn(|request| {
            let (internet, host) = (Arc::clone(&self), Arc::clone(&host));
            async move { Ok::<_, Infallible>(internet.answer(request, peer, &host, secure).await) }
        });
        let ours = host.site() != Some(Role::AwsApi);
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        if !ours {
            return connection.await;
        }
        timeout(LIFETIME, connection).await.unwrap_or_else(|_| {
            debug!(%peer, "a web connection was open for too long");
            Ok(())
        })
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        host: &Host,
        secure: bool,
    ) -> Response<Body> {
        match host.site() {
            Some(Role::AwsApi) => {
                request.extensions_mut().insert(ConnectInfo(peer));
                match self.aws_api.call(request.map(Body::new)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            role => {
                let (head, _) = request.into_parts();
                let visit = Visit { host, head: &head, peer, secure };
                site::answer(role.unwrap_or(Role::Resolver), &self.git, &visit)
            }
        }
    }
}
