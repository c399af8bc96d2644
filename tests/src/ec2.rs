//! A small client of the EC2 query API over one kept connection: for measuring, and for tests
//! that need many calls and no second client's start-up time.
//!
//! It signs with a placeholder: keys that the cloud did not issue are taken unverified.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

/// A connection to the API, made anew where it was idle for a while.
#[derive(Debug)]
pub struct Ec2 {
    stream: BufReader<TcpStream>,
    port: u16,
    used: Instant,
}

/// How long a connection may be idle and still be used: less than the API keeps one.
const IDLE: Duration = Duration::from_secs(5);

/// An answer: its status and body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The XML.
    pub body: String,
}

impl Answer {
    /// The text of the first element of this name.
    ///
    /// # Panics
    /// Where there is none.
    #[track_caller]
    pub fn text(&self, element: &str) -> String {
        self.texts(element).into_iter().next().unwrap_or_else(|| panic!("no {element}: {self}"))
    }

    /// The texts of all elements of this name.
    pub fn texts(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let parts = self.body.split(&open).skip(1);
        parts.filter_map(|part| Some(part.split_once(&close)?.0.to_owned())).collect()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}: {}", self.status, self.body)
    }
}

impl Ec2 {
    /// Connects to the API on a port of the loopback.
    ///
    /// # Panics
    /// Where nobody listens.
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap_or_else(|error| panic!("the API on port {port}: {error}"))
    }

    /// Connects, if somebody listens.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream), port, used: Instant::now() })
    }

    /// Calls an operation; parameters as the query protocol names them.
    ///
    /// # Panics
    /// Where it is refused.
    #[track_caller]
    pub fn call(&mut self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let answer = self.attempt(action, parameters);
        let answer = answer.unwrap_or_else(|error| panic!("{action}: {error}"));
        assert!(answer.status == 200, "{action} {parameters:?}: {answer}");
        answer
    }

    /// Calls an operation that may be refused.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn attempt(
        &mut self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> std::io::Result<Answer> {
        let mut body = format!("Action={action}&Version=2016-11-15");
        for (name, value) in parameters {
            body.push_str(&format!("&{name}="));
            encode(value, &mut body);
        }
        let request = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\
             X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=AKIAIOSFODNN7EXAMPLE/20260101/ap-northeast-2/ec2/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={:064}\r\n\r\n{body}",
            self.port,
            body.len(),
            0
        );
        if self.used.elapsed() > IDLE {
            *self = Self::try_connect(self.port)?;
        }
        self.stream.get_mut().write_all(request.as_bytes())?;
        let answer = self.read();
        self.used = Instant::now();
        answer
    }

    fn read(&mut self) -> std::io::Result<Answer> {
        let odd = |what: &str| std::io::Error::other(format!("the answer has no {what}"));
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.ok_or_else(|| odd("status"))?;
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse::<usize>().ok();
                }
                Some(_) => {}
            }
        }
        let mut body = vec![0; length.ok_or_else(|| odd("length"))?];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// Percent-encodes a value.
fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}
