//! Names to addresses, by the instance's `/etc/hosts` and the servers of its `/etc/resolv.conf`.
//!
//! The C library's resolver loads parts at run time, which a program that is linked statically must
//! not ask for.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType},
};
use tokio::{net::UdpSocket, time::timeout};

/// How long a server may take, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 3;
/// The longest answer over UDP that is read.
const LONGEST: usize = 4096;

/// The addresses of a name, IPv4 first.
pub(crate) async fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let known = in_hosts(&hosts, name);
    if !known.is_empty() {
        return Ok(known);
    }
    let settings = Settings::read(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"));
    for name in settings.candidates(name) {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            match settings.ask(&name, kind).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => last = error,
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(last)
}

fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let found = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    });
    let mut found: Vec<IpAddr> = found.collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    servers: Vec<IpAddr>,
    search: Vec<String>,
}

impl Settings {
    fn read(text: &str) -> Self {
        let mut settings = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    settings.servers.extend(words.next().and_then(|it| it.parse::<IpAddr>().ok()));
                }
                Some("search" | "domain") => {
                    settings.search = words.map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        settings
    }

    /// The names that a name may mean: one without a dot is looked for in the search list first.
    fn candidates(&self, name: &str) -> Vec<String> {
        let bare = !name.contains('.');
        let searched = self.search.iter().filter(|_| bare).map(|domain| format!("{name}.{domain}"));
        searched.chain([name.to_owned()]).collect()
    }

    async fn ask(&self, name: &str, kind: RecordType) -> io::Result<Vec<IpAddr>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no server of names is set");
        for _ in 0..TRIES {
            for server in &self.servers {
                match timeout(PATIENCE, ask(*server, name, kind)).await {
                    Ok(Ok(found)) => return Ok(found),
                    Ok(Err(error)) => last = error,
                    Err(_) => {
                        let what = format!("{server} does not answer");
                        last = io::Error::new(io::ErrorKind::TimedOut, what);
                    }
                }
            }
        }
        Err(last)
    }
}

async fn ask(server: IpAddr, name: &str, kind: RecordType) -> io::Result<Vec<IpAddr>> {
    let mut query = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    let parsed = Name::from_ascii(format!("{}.", name.trim_end_matches('.')));
    query.add_query(Query::query(parsed.map_err(io::Error::other)?, kind));
    let any: IpAddr = match server {
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(SocketAddr::new(server, 53)).await?;
    socket.send(&query.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Ok(answer) = Message::from_vec(&buffer[..length]) else { continue };
        if answer.metadata.id != query.metadata.id {
            continue;
        }
        let found = answer.answers.iter().filter_map(|record| match record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        return Ok(found.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_settings_are_read_as_the_c_library_does() {
        let hosts = "127.0.0.1 localhost # here\n::1 localhost\n10.0.0.9 db Db.internal\n";
        assert_eq!(in_hosts(hosts, "DB.internal"), ["10.0.0.9".parse::<IpAddr>().expect("it")]);
        assert_eq!(in_hosts(hosts, "localhost").len(), 2);
        assert!(in_hosts(hosts, "here").is_empty());
        let settings = Settings::read("# c\nnameserver 10.0.0.2\nsearch a.internal b.test\n");
        assert_eq!(settings.servers, ["10.0.0.2".parse::<IpAddr>().expect("it")]);
        assert_eq!(settings.candidates("db"), ["db.a.internal", "db.b.test", "db"]);
        assert_eq!(settings.candidates("db.test"), ["db.test"]);
    }
}
