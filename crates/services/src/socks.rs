//! A SOCKS5 server (RFC 1928) through which a person's programs reach the simulated internet,
//! with names resolved there. No authentication, as it listens on the loopback address only;
//! CONNECT only.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tracing::debug;

use crate::{
    connect::Connector,
    dns::InternetResolver,
    gate::{self, Gate},
};

const CONNECTIONS: usize = 1024;
/// How long the talk before the connection may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(30);
/// How long a connection may be silent in both directions; SSH sessions may well be.
const IDLE: Duration = Duration::from_secs(24 * 3600);
const BUFFER: usize = 64 * 1024;

const VERSION: u8 = 5;

/// The replies of RFC 1928, section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Reply {
    Succeeded = 0,
    GeneralFailure = 1,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    TtlExpired = 6,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

/// The way out, and the names that lead there.
pub struct Socks {
    resolver: Arc<InternetResolver>,
    connector: Arc<dyn Connector>,
}

impl Socks {
    /// A server that finds names by `resolver` and connects by `connector`.
    pub fn new(resolver: Arc<InternetResolver>, connector: Arc<dyn Connector>) -> Self {
        Self { resolver, connector }
    }
}

/// Serves SOCKS until the task is dropped.
pub async fn serve(listener: TcpListener, socks: Arc<Socks>) {
    // All peers are programs of one person on this machine.
    let gate = Gate::new(CONNECTIONS, CONNECTIONS);
    gate::serve(listener, gate, "SOCKS", |stream, peer| {
        let socks = Arc::clone(&socks);
        async move {
            if let Err(error) = socks.converse(stream, peer).await {
                debug!(%peer, %error, "a SOCKS connection");
            }
        }
    })
    .await;
}

impl Socks {
    async fn converse(&self, mut client: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let target = timeout(HANDSHAKE, self.handshake(&mut client)).await??;
        let connected = match target {
            Ok(target) => self.connect(target).await,
            Err(reply) => Err(reply),
        };
        let mut server = match connected {
            Ok(server) => server,
            Err(reply) => {
                debug!(%peer, ?reply, "a SOCKS request was not fulfilled");
                return answer(&mut client, reply).await;
            }
        };
        answer(&mut client, Reply::Succeeded).await?;
        relay(&mut client, &mut server).await
    }

    /// Reads up to the request, and says what is asked for or why that cannot be.
    async fn handshake(&self, client: &mut TcpStream) -> io::Result<Result<SocketAddrV4, Reply>> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if client.read_u8().await? != VERSION {
            return Err(invalid("this is not SOCKS 5"));
        }
        let methods = client.read_u8().await?;
        let mut offered = vec![0; methods.into()];
        client.read_exact(&mut offered).await?;
        if !offered.contains(&0) {
            client.write_all(&[VERSION, 0xff]).await?;
            return Err(invalid("the client wants to authenticate"));
        }
        client.write_all(&[VERSION, 0]).await?;
        let [version, command, _, kind] = read_array(client).await?;
        if version != VERSION {
            return Err(invalid("a request of another version"));
        }
        let address = match kind {
            1 => Ok(Ipv4Addr::from(read_array::<4>(client).await?)),
            3 => {
                let length = client.read_u8().await?;
                let mut name = vec![0; length.into()];
                client.read_exact(&mut name).await?;
                self.resolve(&String::from_utf8_lossy(&name)).await.ok_or(Reply::HostUnreachable)
            }
            4 => {
                read_array::<16>(client).await?;
                Err(Reply::AddressTypeNotSupported)
            }
            _ => return Ok(Err(Reply::AddressTypeNotSupported)),
        };
        let port = client.read_u16().await?;
        if command != 1 {
            return Ok(Err(Reply::CommandNotSupported));
        }
        Ok(address.map(|address| SocketAddrV4::new(address, port)))
    }

    /// Clients send addresses as names too.
    async fn resolve(&self, name: &str) -> Option<Ipv4Addr> {
        match name.parse() {
            Ok(address) => Some(address),
            Err(_) => self.resolver.address_of_any(name).await,
        }
    }

    async fn connect(&self, target: SocketAddrV4) -> Result<TcpStream, Reply> {
        match timeout(CONNECT, self.connector.connect(target)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(match error.kind() {
                io::ErrorKind::ConnectionRefused => Reply::ConnectionRefused,
                io::ErrorKind::NetworkUnreachable => Reply::NetworkUnreachable,
                io::ErrorKind::HostUnreachable => Reply::HostUnreachable,
                io::ErrorKind::TimedOut => Reply::TtlExpired,
                _ => Reply::GeneralFailure,
            }),
            Err(_) => Err(Reply::TtlExpired),
        }
    }
}

async fn read_array<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn answer(client: &mut TcpStream, reply: Reply) -> io::Result<()> {
    // The address that we connect from says nothing to the client; zeros are allowed.
    client.write_all(&[VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

/// Carries bytes both ways until both sides are done, or nothing has moved for long.
async fn relay(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let moved = tokio::sync::Notify::new();
    let up = carry(&mut from_client, &mut to_server, &moved);
    let down = carry(&mut from_server, &mut to_client, &moved);
    let idle = async {
        while timeout(IDLE, moved.notified()).await.is_ok() {}
        Err(io::ErrorKind::TimedOut.into())
    };
    tokio::select! {
        done = async { tokio::try_join!(up, down) } => done.map(drop),
        ended = idle => ended,
    }
}

async fn carry(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    moved: &tokio::sync::Notify,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        moved.notify_one();
        match buffer.get(..length) {
            Some(bytes) if length > 0 => to.write_all(bytes).await?,
            _ => return to.shutdown().await,
        }
    }
}
