//! Asking the daemon: over its socket, with file descriptors where they are needed, and over its
//! port whether it is there at all.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    admin::{Health, InstanceRow, Reply, Request, Status},
    failure::Failure,
    messages::{receive, send},
    paths,
};

/// How long a daemon that is well may take to say so.
const STATUS_LIMIT: Duration = Duration::from_secs(10);

/// The daemon of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    data_dir: PathBuf,
}

impl Daemon {
    /// The daemon of that data directory, whether or not it runs.
    pub(crate) fn at(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// Its data directory.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Whether one runs; an error where that cannot be told.
    pub(crate) fn is_running(&self) -> Result<bool, Failure> {
        let connected =
            paths::socket(&self.data_dir).and_then(|(path, _folder)| UnixStream::connect(path));
        match connected {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    /// How it is; nothing where none runs.
    pub(crate) fn status_if_running(&self) -> Option<Status> {
        self.status().ok()
    }

    /// How it is.
    pub(crate) fn status(&self) -> Result<Status, Failure> {
        match self.exchange(&Request::Status, &[], Some(STATUS_LIMIT))?.0 {
            Reply::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// The one instance that a name means; an error tells the candidates.
    pub(crate) fn resolve(&self, name: &str) -> Result<InstanceRow, Failure> {
        match self.ask(&Request::Resolve { name: name.to_owned() })? {
            Reply::Instances(rows) => {
                let mut rows = rows.into_iter();
                match (rows.next(), rows.next()) {
                    (Some(row), None) => Ok(row),
                    _ => Err(Failure::new(format!("\"{name}\" names not exactly one instance"))),
                }
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Asks, and waits for the answer as long as it takes.
    pub(crate) fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        self.ask_with(request, &[]).map(|(reply, _)| reply)
    }

    /// Asks with descriptors beside the question, and returns those beside the answer. An answer
    /// that is an error is returned as one.
    pub(crate) fn ask_with(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        self.exchange(request, descriptors, None)
    }

    fn exchange(
        &self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
        limit: Option<Duration>,
    ) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        let stream = self.connect()?;
        stream.set_read_timeout(limit).map_err(|error| self.broken(&error))?;
        let line = serde_json::to_string(request)
            .map_err(|error| Failure::new(format!("cannot write the request: {error}")))?;
        let (line, received) = send(&stream, &line, descriptors)
            .and_then(|()| receive(&stream))
            .map_err(|error| self.broken(&error))?;
        match serde_json::from_str(&line) {
            Ok(Reply::Error(text)) => {
                let (message, help) = match text.split_once("\nhelp: ") {
                    Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
                    None => (text, None),
                };
                Err(Failure { message, help, status: 1 })
            }
            Ok(reply) => Ok((reply, received)),
            Err(error) => Err(Failure::new(format!("cannot read the daemon's answer: {error}"))
                .help("is the daemon of another version? `gureum down --keep-instances`, then up")),
        }
    }

    fn connect(&self) -> Result<UnixStream, Failure> {
        let connected =
            paths::socket(&self.data_dir).and_then(|(path, _folder)| UnixStream::connect(path));
        connected.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let folder = self.data_dir.display();
        if is_absent(error) {
            return Failure::new(format!("no daemon runs on {folder}"))
                .help("start it: sudo gureum up --detach (or say which --data-dir you mean)");
        }
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                Failure::new(format!("the daemon on {folder} belongs to somebody else"))
                    .help("use sudo, or your own --data-dir")
            }
            _ => Failure::new(format!("cannot reach the daemon on {folder}: {error}")),
        }
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let why = match error.kind() {
            io::ErrorKind::WouldBlock => "it is busy, or hangs".to_owned(),
            _ => error.to_string(),
        };
        Failure::new(format!("the daemon did not answer: {why}"))
            .help(format!("see {}", paths::log_file(&self.data_dir).display()))
    }
}

/// Whether connecting failed because nobody listens.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// The error for an answer to another question.
pub(crate) fn unexpected(reply: &Reply) -> Failure {
    let name = format!("{reply:?}");
    let name = name.split(['(', ' ']).next().unwrap_or_default();
    Failure::new(format!("the daemon gave an answer that does not fit: {name}"))
}

/// Asks an endpoint (`http://address:port`) who it is. An endpoint that is not one of ours is an
/// error.
pub(crate) fn health(endpoint: &str) -> Result<Health, Failure> {
    let not_ours = |why: &dyn std::fmt::Display| {
        Failure::new(format!("{endpoint} is not an endpoint of Gureum: {why}"))
    };
    let authority = endpoint.strip_prefix("http://").ok_or_else(|| not_ours(&"not http://"))?;
    let authority = authority.trim_end_matches('/');
    let answer = request_health(authority).map_err(|error| not_ours(&error))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| not_ours(&"no answer"))?;
    let ours = head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("server") && value.trim().starts_with("Gureum")
        })
    });
    if !ours || !head.starts_with("HTTP/1.1 200") {
        return Err(not_ours(&"another server answers there"));
    }
    serde_json::from_str(body.trim()).map_err(|error| not_ours(&error))
}

fn request_health(authority: &str) -> io::Result<String> {
    let limit = Some(Duration::from_secs(5));
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    // In one piece: a server may answer and close when it has read the first.
    let request =
        format!("GET /_gureum/health HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream.take(64 << 10));
    let mut text = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(text);
        }
        text.push_str(&line);
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.take(length).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Seek,
        net::TcpListener,
        os::{fd::AsFd, unix::net::UnixListener},
        thread,
    };

    use super::*;

    #[test]
    fn descriptors_travel_both_ways() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(crate::admin::SOCKET)).expect("bound");
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a caller");
            let (line, descriptors) = receive(&stream).expect("a request");
            assert!(line.contains("internet"), "{line}");
            let mut file = File::from(descriptors.into_iter().next().expect("a descriptor"));
            file.write_all(b"hello").expect("written");
            let reply =
                Reply::Internet { ca_bundle: "/ca".into(), public_pool: ipnet::Ipv4Net::default() };
            let reply = serde_json::to_string(&reply).expect("JSON");
            send(&stream, &reply, &[file.as_fd(), stream.as_fd()]).expect("sent");
        });
        let mut file = tempfile::tempfile().expect("a file");
        let daemon = Daemon::at(folder.path());
        let (reply, received) =
            daemon.ask_with(&Request::Internet, &[file.as_fd()]).expect("an answer");
        server.join().expect("it ended well");
        assert!(matches!(reply, Reply::Internet { .. }));
        assert_eq!(received.len(), 2);
        file.rewind().expect("rewound");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "hello");
    }

    #[test]
    fn without_a_daemon_the_help_says_how_to_start_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Daemon::at(folder.path()).status().expect_err("none runs");
        assert!(error.message.starts_with("no daemon runs on"), "{error}");
        assert!(error.help.expect("help").contains("gureum up"));
    }

    #[test]
    fn an_error_brings_its_help() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(crate::admin::SOCKET)).expect("bound");
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a caller");
            receive(&stream).expect("a request");
            let reply = Reply::Error("no such thing\nhelp: look again".into());
            send(&stream, &serde_json::to_string(&reply).expect("JSON"), &[]).expect("sent");
        });
        let error = Daemon::at(folder.path()).ask(&Request::Status).expect_err("an error");
        server.join().expect("it ended well");
        assert_eq!(error.to_string(), "error: no such thing\nhelp: look again");
    }

    fn endpoint(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut request = BufReader::new(stream.try_clone().expect("a clone")).lines();
            while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            stream.write_all(answer.as_bytes()).expect("answered");
        });
        format!("http://{address}")
    }

    #[test]
    fn our_endpoint_says_who_it_is() {
        let ours = endpoint(
            "HTTP/1.1 200 OK\r\nserver: Gureum/0.1.0\r\ncontent-length: 36\r\n\r\n\
             {\"version\":\"0.1.0\",\"tag\":\"0badcafe\"}",
        );
        assert_eq!(health(&ours).expect("ours").tag, "0badcafe");
    }

    #[test]
    fn another_server_is_refused() {
        let other = endpoint("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\n{}");
        let error = health(&other).expect_err("not ours");
        assert!(error.message.contains("is not an endpoint of Gureum"), "{error}");
        assert!(health("https://ec2.ap-northeast-2.amazonaws.com").is_err());
    }
}
