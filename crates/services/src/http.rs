//! What our HTTP servers have in common: whole answers, and names in URLs.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

/// An answer with a body of one kind.
pub(crate) fn respond(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An answer in a sentence.
pub(crate) fn sentence(status: StatusCode, text: impl std::fmt::Display) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// Text that is safe inside HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A path segment with its percent-encoding undone; what is not well formed stays as it is.
pub(crate) fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let byte = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).and_then(|value| value.try_into().ok())
}

/// The host of an authority (`name:port`), lower case and without its last dot.
pub(crate) fn host_of(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_once() {
        for (encoded, plain) in
            [("Name", "Name"), ("a%40b", "a@b"), ("%EA%B5%AC", "구"), ("%2541", "%41")]
        {
            assert_eq!(decoded(encoded), plain);
        }
        for odd in ["%", "%4", "%zz", "100%"] {
            assert_eq!(decoded(odd), odd, "not well formed");
        }
    }

    #[test]
    fn a_host_is_told_from_its_port() {
        for (authority, host) in [
            ("Example.com", "example.com"),
            ("example.com.:80", "example.com"),
            ("a.localhost:4566", "a.localhost"),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }
}
