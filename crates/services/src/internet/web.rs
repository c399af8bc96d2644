//! Runs what listens in the simulated internet: its resolvers and its web sites.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use gureum_types::Origin;
use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
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

const CONNECTIONS: usize = 4096;
/// An instance may have a hundred sessions open, each with a channel of its own.
const CONNECTIONS_PER_PEER: usize = 512;
/// How long a handshake, a request's head and an idle connection may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection to a site of ours may last: a client that reads nothing holds its place
/// no longer. The API has calls that take as long as they take.
const LIFETIME: Duration = Duration::from_secs(600);

/// Who is at the other end of a connection.
pub(crate) struct Visitor {
    /// The address that it comes from, as it is here.
    pub(crate) peer: SocketAddr,
    /// Where it comes from, as AWS's API knows it.
    pub(crate) origin: Origin,
}

/// The servers of the simulated internet.
pub struct Internet {
    hosts: Arc<Hosts>,
    resolver: Arc<InternetResolver>,
    ca: Arc<Ca>,
    git: GitHost,
    aws_api: TowerToHyperService<Router>,
}

impl Internet {
    /// The servers of these hosts; requests to AWS's names go to `aws_api`, which finds where they
    /// came from as their [`Origin`].
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
        let config = match door.service {
            DoorService::DnsTcp => {
                dns::serve_tcp(listener, Arc::clone(&self.resolver) as _).await;
                return Ok(());
            }
            DoorService::Https => Some(self.tls_of(door.address)?),
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
            let config = config.clone();
            async move {
                let (address, is_secure) = (peer.ip().to_canonical(), config.is_some());
                let origin = Origin { address, is_secure, endpoint: None };
                let visitor = Visitor { peer, origin };
                if let Err(error) = internet.receive(stream, visitor, host, config).await {
                    debug!(%peer, %door, %error, "a web connection");
                }
            }
        })
        .await;
        Ok(())
    }

    /// The hosts.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// TLS as the host at an address speaks it.
    pub(crate) fn tls_of(&self, address: IpAddr) -> Result<Arc<ServerConfig>, rustls::Error> {
        tls::config(Arc::clone(&self.ca), Arc::clone(&self.hosts), address)
    }

    /// Answers all requests of a connection to a host, over TLS where there is a configuration.
    pub(crate) async fn receive(
        self: Arc<Self>,
        stream: TcpStream,
        visitor: Visitor,
        host: Arc<Host>,
        config: Option<Arc<ServerConfig>>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match config.map(TlsAcceptor::from) {
            None => self.requests(stream, visitor, host).await?,
            Some(acceptor) => {
                let stream = timeout(PATIENCE, acceptor.accept(stream)).await??;
                self.requests(stream, visitor, host).await?;
            }
        }
        Ok(())
    }

    async fn requests(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        visitor: Visitor,
        host: Arc<Host>,
    ) -> hyper::Result<()> {
        let (ours, peer) = (host.site() != Some(Role::AwsApi), visitor.peer);
        let visitor = Arc::new(visitor);
        let service = hyper::service::service_fn(|request| {
            let (internet, host) = (Arc::clone(&self), Arc::clone(&host));
            let visitor = Arc::clone(&visitor);
            async move { Ok::<_, Infallible>(internet.answer(request, &visitor, &host).await) }
        });
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
        visitor: &Visitor,
        host: &Host,
    ) -> Response<Body> {
        match host.site() {
            Some(Role::AwsApi) => {
                request.extensions_mut().insert(visitor.origin.clone());
                match self.aws_api.call(request.map(Body::new)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            role => {
                let (head, _) = request.into_parts();
                let (peer, secure) = (visitor.peer, visitor.origin.is_secure);
                let visit = Visit { host, head: &head, peer, secure };
                site::answer(role.unwrap_or(Role::Resolver), &self.git, &visit)
            }
        }
    }
}
