//! What a light host says: who it is, at which of its addresses it was called, and by whom.

use std::net::SocketAddr;

use gureum_types::InstanceId;

/// Ports on which callers speak HTTP and speak first.
pub(crate) const HTTP_PORTS: [u16; 2] = [80, 8080];

/// The longest head of a request that is waited for.
pub(crate) const HEAD_LIMIT: usize = 16 << 10;

/// One line: `i-0123456789abcdef0 PRIVATE-01 10.1.3.10:5432 from 10.1.1.5:49152`, without its end. A
/// host without a name is called `-`.
pub(crate) fn line(id: &str, name: Option<&str>, at: SocketAddr, caller: SocketAddr) -> String {
    format!("{id} {} {at} from {caller}", word(name.unwrap_or_default()))
}

/// A name as one word: what would make it two, or another line, becomes an underscore.
fn word(name: &str) -> String {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let word: String = name.chars().take(128).map(|c| if odd(c) { '_' } else { c }).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// The id of the light host whose answer this is.
pub fn who_answered(text: &[u8]) -> Option<InstanceId> {
    // Bounded, since it may be anybody's words.
    let head = text.get(..text.len().min(4096))?;
    let first = head.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(first).ok()?.parse().ok()
}

/// What a request of HTTP is as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The head is not whole yet.
    More,
    /// A request; `HEAD` wants no body.
    Request { is_head: bool },
    /// Something else.
    NotHttp,
}

/// Looks at what a caller has said first.
pub(crate) fn hear(said: &[u8]) -> Heard {
    let method = said.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_method = |word: &[u8]| word.len() <= 16 && word.iter().all(u8::is_ascii_uppercase);
    if said.is_empty() || said.len() < 16 && is_method(said) {
        return Heard::More;
    }
    if method.is_empty() || !is_method(method) || said.len() > HEAD_LIMIT {
        return Heard::NotHttp;
    }
    let is_whole =
        said.windows(4).any(|it| it == b"\r\n\r\n") || said.windows(2).any(|it| it == b"\n\n");
    match is_whole {
        true => Heard::Request { is_head: method == b"HEAD" },
        false => Heard::More,
    }
}

/// The answer to a request.
pub(crate) fn http(line: &str, is_head: bool) -> String {
    let length = line.len() + 1;
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: gureum\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if is_head { head } else { format!("{head}{line}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_four_words_and_says_who() {
        let [at, caller] = ["10.1.3.10:5432", "[2001:db8::1]:7"].map(|it| it.parse().expect("ok"));
        let id = "i-0123456789abcdef0";
        let text = line(id, Some("two words\n"), at, caller);
        assert_eq!(text, format!("{id} two_words_ 10.1.3.10:5432 from [2001:db8::1]:7"));
        assert_eq!(who_answered(text.as_bytes()).map(|it| it.to_string()).as_deref(), Some(id));
        assert!(line(id, None, at, caller).contains(" - 10.1.3.10:5432 "));
        for other in ["", "SSH-2.0-OpenSSH_9.2", "i-0123", "\u{ff}"] {
            assert_eq!(who_answered(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn requests_are_told_from_other_words() {
        let is_head = false;
        assert_eq!(hear(b""), Heard::More);
        assert_eq!(hear(b"GE"), Heard::More);
        assert_eq!(hear(b"GET / HTTP/1.1\r\nHost: a\r\n"), Heard::More);
        assert_eq!(hear(b"GET / HTTP/1.0\r\n\r\n"), Heard::Request { is_head });
        assert_eq!(hear(b"HEAD / HTTP/1.0\n\n"), Heard::Request { is_head: true });
        assert_eq!(hear(b"hello\n"), Heard::NotHttp);
        assert_eq!(hear(b"\x16\x03\x01 a"), Heard::NotHttp);
        assert_eq!(hear(&[b'A'; HEAD_LIMIT + 1]), Heard::NotHttp);
        let long = [b"GET ", &[b'a'; HEAD_LIMIT][..]].concat();
        assert_eq!(hear(&long), Heard::NotHttp);
        assert!(http("x", false).ends_with("Content-Length: 2\r\nConnection: close\r\n\r\nx\n"));
        assert!(http("x", true).ends_with("\r\n\r\n"));
    }
}
