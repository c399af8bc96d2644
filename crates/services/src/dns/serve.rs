//! The loops that carry DNS messages over UDP and TCP.
//!
//! Answers are computed in place: a resolver only reads memory, so a queue would add nothing but
//! delay. UDP answers that the socket cannot take now are lost, as on any network.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};
use tracing::warn;

use super::{
    Resolver,
    dns64::{ipv4_question, made_of_ipv4},
    message::{Answer, Transport, answer},
};
use crate::gate::{self, Gate, PAUSE};

const CONNECTIONS: usize = 512;
const CONNECTIONS_PER_PEER: usize = 16;
/// How long a TCP client may stay silent, or take to receive an answer.
const IDLE: Duration = Duration::from_secs(10);

/// Answers DNS over UDP until the task is dropped.
pub async fn serve_udp(socket: UdpSocket, resolver: Arc<dyn Resolver>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; 4096];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => {
                let message = buffer.get(..length).unwrap_or_default();
                match answer(resolver.as_ref(), peer, message, Transport::Udp) {
                    None => {}
                    Some(Answer::Ready(reply)) => send(&socket, peer, &reply),
                    // Others take their time, which nobody else shall wait for.
                    Some(Answer::Upstream(failed)) => {
                        let (socket, resolver) = (Arc::clone(&socket), Arc::clone(&resolver));
                        let query = message.to_vec();
                        tokio::spawn(async move {
                            let asked = ask(resolver.as_ref(), peer, &query, Transport::Udp).await;
                            send(&socket, peer, &asked.unwrap_or(failed));
                        });
                    }
                }
            }
            Err(error) => {
                warn!(%error, "receiving DNS questions");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn send(socket: &UdpSocket, peer: SocketAddr, reply: &[u8]) {
    if let Err(error) = socket.try_send_to(reply, peer)
        && error.kind() != io::ErrorKind::WouldBlock
    {
        tracing::debug!(%peer, %error, "a DNS answer was not sent");
    }
}

/// Asks the resolver's upstream for a peer.
async fn ask(
    resolver: &dyn Resolver,
    peer: SocketAddr,
    query: &[u8],
    transport: Transport,
) -> Option<Vec<u8>> {
    let upstream = resolver.upstream()?;
    let answer = upstream.forward(query, transport).await?;
    let ipv4 = resolver.dns64(peer).then(|| ipv4_question(query, &answer)).flatten();
    let Some(ipv4) = ipv4 else { return Some(answer) };
    let found = upstream.forward(&ipv4, transport).await;
    found.and_then(|found| made_of_ipv4(query, &found, transport)).or(Some(answer))
}

/// Answers DNS over TCP until the task is dropped.
pub async fn serve_tcp(listener: TcpListener, resolver: Arc<dyn Resolver>) {
    let gate = Gate::new(CONNECTIONS, CONNECTIONS_PER_PEER);
    gate::serve(listener, gate, "DNS", |stream, peer| {
        let resolver = Arc::clone(&resolver);
        async move {
            // A client that goes away or stalls ends its own connection only.
            let ended = converse(stream, peer, resolver).await;
            tracing::trace!(%peer, ?ended, "a DNS connection ended");
        }
    })
    .await;
}

async fn converse(
    mut stream: TcpStream,
    peer: SocketAddr,
    resolver: Arc<dyn Resolver>,
) -> io::Result<()> {
    loop {
        let message = timeout(IDLE, async {
            let length = stream.read_u16().await?;
            let mut message = vec![0; length.into()];
            stream.read_exact(&mut message).await?;
            Ok::<_, io::Error>(message)
        })
        .await??;
        let reply = match answer(resolver.as_ref(), peer, &message, Transport::Tcp) {
            None => return Ok(()),
            Some(Answer::Ready(reply)) => reply,
            Some(Answer::Upstream(failed)) => {
                ask(resolver.as_ref(), peer, &message, Transport::Tcp).await.unwrap_or(failed)
            }
        };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes(), reply.as_slice()].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}
