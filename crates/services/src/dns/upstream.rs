//! The resolvers of the machine, for names that nobody in the simulated internet has. They are
//! asked only where the person connected it to the machine's network (`gureum up --uplink`).
//!
//! Questions and answers pass as they are, so every type of record and every extension works.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};

use super::message::Transport;

/// How long one resolver may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Questions under way at once; instances must not exhaust the machine's sockets.
const QUESTIONS: usize = 256;
/// Resolvers that are tried, as the C library does.
const RESOLVERS: usize = 3;
/// The longest answer over UDP that is taken.
const LONGEST: usize = 4096;

/// The machine's resolvers.
#[derive(Debug)]
pub struct Upstream {
    configuration: PathBuf,
    room: Semaphore,
}

impl Upstream {
    /// The resolvers that `/etc/resolv.conf` names, read anew for every question: a machine may
    /// move from network to network.
    pub fn of_this_machine() -> Self {
        Self::at("/etc/resolv.conf")
    }

    /// The resolvers that a file of the form of `/etc/resolv.conf` names.
    pub fn at(configuration: impl Into<PathBuf>) -> Self {
        Self { configuration: configuration.into(), room: Semaphore::new(QUESTIONS) }
    }

    /// Asks one resolver after the other; `None` where none answers.
    pub(super) async fn forward(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let _place = self.room.try_acquire().ok()?;
        let text = tokio::fs::read_to_string(&self.configuration).await.unwrap_or_default();
        for server in servers(&text).into_iter().take(RESOLVERS) {
            let asked = async {
                match transport {
                    Transport::Udp => over_udp(server, query).await,
                    Transport::Tcp => over_tcp(server, query).await,
                }
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "a resolver of the machine"),
                Err(_) => tracing::debug!(%server, "a resolver of the machine is silent"),
            }
        }
        None
    }

    /// The first address of a name.
    pub(super) async fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        let mut name = Name::from_ascii(name).ok()?;
        name.set_fqdn(true);
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(name, RecordType::A));
        let answer = self.forward(&query.to_vec().ok()?, Transport::Udp).await?;
        let answer = Message::from_vec(&answer).ok()?;
        if answer.metadata.response_code != ResponseCode::NoError {
            return None;
        }
        answer.answers.iter().find_map(|record| match &record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
    }
}

/// The resolvers in a file of the form of `/etc/resolv.conf`.
fn servers(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(|line| line.split_ascii_whitespace());
    let addresses = words.filter_map(|mut words| {
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    });
    addresses.map(|address| SocketAddr::new(address, 53)).collect()
}

async fn over_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A socket a question, with a port that the kernel chooses, that hears this server alone.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if answers(query, answer) {
            return Ok(answer.to_vec());
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    answers(query, &answer).then_some(answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether a message answers that question: the same id, and a response.
fn answers(query: &[u8], answer: &[u8]) -> bool {
    answer.len() >= 12 && query.get(..2) == answer.get(..2) && answer[2] & 0x80 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolvers_of_the_machine_are_read() {
        let text = "# nameserver 192.0.2.9\nsearch x\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 \n\
                    nameserver nobody\noptions ndots:1\n";
        let expected: [SocketAddr; 2] =
            ["192.0.2.1:53".parse().expect("v4"), "[2001:db8::1]:53".parse().expect("v6")];
        assert_eq!(servers(text), expected);
    }

    #[test]
    fn only_an_answer_with_the_same_id_is_one() {
        let query = [7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let answer = |id, flags| [7, id, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        assert!(answers(&query, &answer(7, 0x81)));
        assert!(!answers(&query, &answer(8, 0x81)) && !answers(&query, &answer(7, 1)));
        assert!(!answers(&query, &answer(7, 0x81)[..11]));
    }
}
