//! Whether a request was signed by who holds the secret (Signature Version 4).
//!
//! Verifying is recomputing. The crates that do it were looked at: `scratchstack-aws-signature`
//! brings an asynchronous service stack and a calendar of its own, `aws-sigv4` signs and chooses
//! itself which headers count. The rules are a page long, and HMAC and SHA-256 are here already.
//!
//! Nothing is kept between requests: deriving the day's key is four short HMACs, less than a lock
//! and a look into a cache would save.

use std::{borrow::Cow, fmt::Write as _};

use gureum_types::Timestamp;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, Method, Uri, header};
use sha2::{Digest as _, Sha256};

use crate::{
    credential::{ALGORITHM, CallerScope, Credential, TERMINATOR},
    error::ApiError,
    form,
    service::Service,
};

/// How far the clock of a client may be from ours, in milliseconds.
const TOLERANCE_MS: i64 = 15 * 60 * 1000;
/// The one service whose bodies may be unsigned, or signed piece by piece.
const S3: &str = "s3";
/// What S3's clients say in place of a digest.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING: &str = "STREAMING-";
/// What they say where each piece is signed.
const SIGNED_CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

/// A request's signature with all that it was made of but the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    credential: Credential,
    /// The SHA-256 of the canonical request, in hexadecimal.
    canonical_digest: String,
    /// What is wrong whatever the secret is.
    flaw: Option<Unproven>,
    /// Whether the body comes in pieces that are signed each.
    has_signed_chunks: bool,
}

/// Signs pieces of a body (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`): each signature covers the one
/// before it, the first that of the request.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkSigner {
    key: [u8; 32],
    signed_at: String,
    scope: String,
    seed: String,
}

/// Without the key: what is printed ends in logs.
impl std::fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkSigner").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl ChunkSigner {
    /// The signature of the request, which precedes that of the first piece.
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// The signature of a piece with this SHA-256 in hexadecimal, behind one with that signature.
    pub fn sign(&self, before: &str, digest: &str) -> String {
        let nothing = hex(&Sha256::digest([]));
        self.signature(&format!("{before}\n{nothing}\n{digest}"), "PAYLOAD")
    }

    /// The signature of the trailing headers: lines of `name:value`.
    pub fn sign_trailers(&self, before: &str, lines: &str) -> String {
        let digest = hex(&Sha256::digest(lines));
        self.signature(&format!("{before}\n{digest}"), "TRAILER")
    }

    fn signature(&self, what: &str, kind: &str) -> String {
        let Self { key, signed_at, scope, .. } = self;
        hex(&hmac(key, &format!("{ALGORITHM}-{kind}\n{signed_at}\n{scope}\n{what}")))
    }
}

/// Why a request does not count as signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// By another secret, or the request was altered on its way. With a sentence where AWS says
    /// more than that.
    Wrong(Option<String>),
    /// Too long ago, or in the future.
    Stale(String),
}

impl Signature {
    /// The signature of a request: from its header, else from its query parameters.
    pub fn of(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Self, ApiError> {
        let query = form::pairs(uri.query().unwrap_or_default().as_bytes())?;
        Self::with_query(method, uri, headers, &query, Some(body))
    }

    /// The signature of a request whose body is still to come: of the body is signed what the head
    /// says of it, and whether that is true must be seen when it is read.
    pub fn of_head(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, ApiError> {
        let query = form::pairs(uri.query().unwrap_or_default().as_bytes())?;
        Self::with_query(method, uri, headers, &query, None)
    }

    /// The same, when the query is read already.
    pub(crate) fn with_query(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        query: &[(String, String)],
        body: Option<&[u8]>,
    ) -> Result<Self, ApiError> {
        let credential = Credential::of(headers, query)?;
        let presigned = !headers.contains_key(header::AUTHORIZATION);
        let (payload, altered) = payload(&credential, headers, presigned, body);
        let mut canonical = format!("{method}\n");
        canonical.push_str(&canonical_path(uri.path(), &credential.service));
        canonical.push('\n');
        canonical_query(&mut canonical, query);
        canonical.push('\n');
        for name in credential.signed_headers.split(';') {
            let _ = writeln!(canonical, "{name}:{}", canonical_value(name, uri, headers));
        }
        let _ = write!(canonical, "\n{}\n{payload}", credential.signed_headers);
        let canonical_digest = hex(&Sha256::digest(canonical));
        let flaw = altered.or_else(|| unsigned_header(&credential.signed_headers, headers));
        let has_signed_chunks =
            credential.service == S3 && payload.starts_with(SIGNED_CHUNKS) && !presigned;
        Ok(Self { credential, canonical_digest, flaw, has_signed_chunks })
    }

    /// The id of the access key that it claims to be of.
    pub fn access_key_id(&self) -> &str {
        &self.credential.access_key_id
    }

    /// Whether it says itself how long it is good for, as that of a presigned request.
    pub fn expires(&self) -> bool {
        self.credential.expires_after.is_some()
    }

    /// The token of a session's credentials.
    pub fn session_token(&self) -> Option<&str> {
        self.credential.session_token.as_deref()
    }

    /// Who it claims to be of and where, whatever service it is for: `service` stands in its place.
    pub fn scope(&self, service: Service) -> Result<CallerScope, ApiError> {
        self.credential.scope(service)
    }

    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whether it was made with this secret, for this request, at about this time.
    pub fn verify(&self, secret: &str, now: Timestamp) -> Result<(), Unproven> {
        let it = &self.credential;
        let signed_at = basic(it.signed_at);
        if signed_at.get(..8) != Some(&it.day) {
            return Err(Unproven::Wrong(Some(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{}', from '{signed_at}'.",
                it.day,
                signed_at.get(..8).unwrap_or_default()
            ))));
        }
        self.timely(now, &signed_at)?;
        if let Some(flaw) = &self.flaw {
            return Err(flaw.clone());
        }
        let scope = it.scope_text();
        let text = format!("{ALGORITHM}\n{signed_at}\n{scope}\n{}", self.canonical_digest);
        let mut mac = keyed(&it.signing_key(secret));
        mac.update(text.as_bytes());
        // Compared in constant time.
        let given = unhex(&it.signature).unwrap_or_default();
        mac.verify_slice(&given).map_err(|_| Unproven::Wrong(None))
    }

    /// What signs the pieces of the body, where it is sent in pieces that are signed each.
    pub fn chunk_signer(&self, secret: &str) -> Option<ChunkSigner> {
        self.has_signed_chunks.then(|| ChunkSigner {
            key: self.credential.signing_key(secret),
            signed_at: basic(self.credential.signed_at),
            scope: self.credential.scope_text(),
            seed: self.credential.signature.clone(),
        })
    }

    /// AWS tolerates clocks that differ, and so the same request again for as long.
    fn timely(&self, now: Timestamp, signed_at: &str) -> Result<(), Unproven> {
        let at = self.credential.signed_at;
        let life = match self.credential.expires_after {
            Some(seconds) => seconds * 1000,
            None => TOLERANCE_MS,
        };
        let shown = basic(now);
        if at.0.saturating_add(life) < now.0 {
            let limit = basic(Timestamp(now.0.saturating_sub(life)));
            return Err(Unproven::Stale(format!(
                "Signature expired: {signed_at} is now earlier than {limit} ({shown} - {} min.)",
                life / 60_000
            )));
        }
        if at.0 > now.0.saturating_add(TOLERANCE_MS) {
            let limit = basic(Timestamp(now.0.saturating_add(TOLERANCE_MS)));
            return Err(Unproven::Stale(format!(
                "Signature not yet current: {signed_at} is still later than {limit} ({shown} + \
                 {} min.)",
                TOLERANCE_MS / 60_000
            )));
        }
        Ok(())
    }
}

impl Credential {
    /// As strings to sign have it.
    fn scope_text(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.day, self.region, self.service)
    }

    /// The key of a day, a region and a service.
    fn signing_key(&self, secret: &str) -> [u8; 32] {
        let mut key = hmac(format!("AWS4{secret}").as_bytes(), &self.day);
        for part in [&self.region, &self.service, TERMINATOR] {
            key = hmac(&key, part);
        }
        key
    }
}

/// What stands for the body, and what is wrong with it.
fn payload(
    credential: &Credential,
    headers: &HeaderMap,
    presigned: bool,
    body: Option<&[u8]>,
) -> (String, Option<Unproven>) {
    let is_s3 = credential.service == S3;
    let given = headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    match given {
        Some(text) if is_s3 && (text == UNSIGNED || text.starts_with(STREAMING)) => {
            return (text.to_owned(), None);
        }
        None if is_s3 && presigned => return (UNSIGNED.to_owned(), None),
        _ => {}
    }
    let Some(body) = body else {
        let digest = || hex(&Sha256::digest([]));
        return (given.map_or_else(digest, str::to_owned), None);
    };
    let digest = hex(&Sha256::digest(body));
    let altered = given.filter(|given| *given != digest).map(|_| {
        let sentence = "The value passed in as x-amz-content-sha256 does not match the computed \
                        payload hash.";
        Unproven::Wrong(Some(sentence.to_owned()))
    });
    (digest, altered)
}

/// Headers that must be signed, so that nobody between may add or change them.
fn unsigned_header(signed: &str, headers: &HeaderMap) -> Option<Unproven> {
    let signed: Vec<&str> = signed.split(';').collect();
    let names = headers.keys().map(http::HeaderName::as_str);
    let missing = match signed.contains(&"host") || signed.contains(&":authority") {
        true => names.into_iter().find(|it| it.starts_with("x-amz-") && !signed.contains(it)),
        false => Some("Host"),
    };
    missing.map(|name| {
        let name = if name == "Host" { "Host' or ':authority" } else { name };
        let sentence = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
        Unproven::Wrong(Some(sentence))
    })
}

/// The path, escaped once more than it came; by S3 exactly once, since its keys are paths.
fn canonical_path(path: &str, service: &str) -> String {
    if path.is_empty() || path == "/" {
        return "/".to_owned();
    }
    let mut out = String::with_capacity(path.len());
    if service == S3 {
        escape(&mut out, &unescape(path), true);
        return out;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    for part in &parts {
        out.push('/');
        escape(&mut out, part.as_bytes(), false);
    }
    if path.ends_with('/') || parts.is_empty() {
        out.push('/');
    }
    out
}

fn canonical_query(out: &mut String, query: &[(String, String)]) {
    let escaped = |text: &str| {
        let mut out = String::with_capacity(text.len());
        escape(&mut out, text.as_bytes(), false);
        out
    };
    let mut pairs: Vec<_> = query
        .iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (escaped(name), escaped(value)))
        .collect();
    pairs.sort();
    for (number, (name, value)) in pairs.iter().enumerate() {
        if number > 0 {
            out.push('&');
        }
        let _ = write!(out, "{name}={value}");
    }
}

/// A header's values, joined, with single spaces.
fn canonical_value(name: &str, uri: &Uri, headers: &HeaderMap) -> String {
    let mut out = String::new();
    for (number, value) in headers.get_all(name).iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        for (number, word) in text.split_ascii_whitespace().enumerate() {
            if number > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    // A request line may carry the host itself.
    if out.is_empty() && name == "host" {
        out.push_str(uri.authority().map(http::uri::Authority::as_str).unwrap_or_default());
    }
    out
}

fn escape(out: &mut String, bytes: &[u8], keep_slash: bool) {
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if keep_slash => out.push('/'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
}

fn unescape(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let (bytes, mut out) = (text.as_bytes(), Vec::with_capacity(text.len()));
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match bytes.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(pair) {
            Some(escaped) => {
                out.push(escaped);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

fn pair(digits: &[u8]) -> Option<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    match digits {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
        }
    }
    out
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes().chunks(2).map(pair).collect()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// `20260101T000000Z`
fn basic(time: Timestamp) -> String {
    match jiff::Timestamp::from_second(time.seconds()) {
        Ok(time) => time.strftime("%Y%m%dT%H%M%SZ").to_string(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const NOW: &str = "2015-08-30T12:36:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// A request with its headers in order, the last of them its authorization.
    fn signature(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Signature {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a name");
            map.append(name, value.parse().expect("a value"));
        }
        let (method, uri) = (method.parse().expect("a method"), uri.parse().expect("a URI"));
        Signature::of(&method, &uri, &map, body.as_bytes()).expect("well formed")
    }

    fn authorization(service: &str, signed: &str, signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, \
             SignedHeaders={signed}, Signature={signature}"
        )
    }

    const HOST: (&str, &str) = ("host", "example.amazonaws.com");
    const DATE: (&str, &str) = ("x-amz-date", "20150830T123600Z");
    /// Of AWS's own test suite, `get-vanilla`.
    const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    fn vanilla(uri: &str, date: (&str, &str), signature_text: &str) -> Signature {
        let it = authorization("service", "host;x-amz-date", signature_text);
        signature("GET", uri, &[HOST, date, ("authorization", &it)], "")
    }

    #[test]
    fn a_right_signature_is_right() {
        let it = vanilla("/", DATE, VANILLA);
        assert_eq!(it.verify(SECRET, at(NOW)), Ok(()));
        assert_eq!(it.verify("another", at(NOW)), Err(Unproven::Wrong(None)));
    }

    /// The example of the IAM user guide.
    #[test]
    fn a_query_and_a_content_type_are_signed_too() {
        let signed = "content-type;host;x-amz-date";
        let text = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let it = authorization("iam", signed, text);
        let kind = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let host = ("host", "iam.amazonaws.com");
        let uri = "/?Version=2010-05-08&Action=ListUsers";
        let it = signature("GET", uri, &[host, DATE, kind, ("authorization", &it)], "");
        assert_eq!(it.verify(SECRET, at(NOW)), Ok(()));
    }

    /// The examples of the S3 API reference.
    #[test]
    fn s3_signs_a_digest_or_nothing_of_the_body() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let uri = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&\
                   X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&\
                   X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&\
                   X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        let presigned = signature("GET", uri, &[host], "");
        assert_eq!(presigned.verify(secret, at("2013-05-24T23:59:59Z")), Ok(()));
        let late = presigned.verify(secret, at("2013-05-25T00:00:01Z"));
        assert!(matches!(late, Err(Unproven::Stale(_))), "{late:?}");

        let authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let headers = [
            host,
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty),
            ("x-amz-date", "20130524T000000Z"),
            ("authorization", authorization),
        ];
        let begin = at("2013-05-24T00:00:00Z");
        assert_eq!(signature("GET", "/test.txt", &headers, "").verify(secret, begin), Ok(()));
        let other = signature("GET", "/test.txt", &headers, "body").verify(secret, begin);
        let Err(Unproven::Wrong(Some(sentence))) = other else { panic!("{other:?}") };
        assert!(sentence.contains("x-amz-content-sha256"), "{sentence}");
    }

    #[test]
    fn of_a_body_that_is_to_come_is_signed_what_the_head_says() {
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for text in [digest, UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
            let it = authorization("s3", "host;x-amz-content-sha256;x-amz-date", VANILLA);
            let pairs =
                [HOST, DATE, ("x-amz-content-sha256", text), ("authorization", it.as_str())];
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| {
                    let name: http::HeaderName = name.parse().expect("a name");
                    (name, value.parse().expect("a value"))
                })
                .collect();
            let uri = Uri::from_static("/bucket/key");
            let head = Signature::of_head(&Method::PUT, &uri, &headers).expect("well formed");
            assert_eq!(head.flaw, None, "{text}");
            if text == digest {
                let whole = Signature::of(&Method::PUT, &uri, &headers, b"").expect("well formed");
                assert_eq!(head, whole);
            }
        }
    }

    #[test]
    fn only_s3_lets_a_body_go_unsigned() {
        for (service, digested) in [("s3", false), ("ec2", true)] {
            let it = authorization(service, "host;x-amz-content-sha256;x-amz-date", VANILLA);
            let unsigned = ("x-amz-content-sha256", UNSIGNED);
            let it = signature("PUT", "/", &[HOST, DATE, unsigned, ("authorization", &it)], "b");
            assert_eq!(it.flaw.is_some(), digested, "{service}");
        }
    }

    #[test]
    fn what_is_altered_does_not_match() {
        assert!(vanilla("/other", DATE, VANILLA).verify(SECRET, at(NOW)).is_err());
        assert!(vanilla("/?a=b", DATE, VANILLA).verify(SECRET, at(NOW)).is_err());
        let later = ("x-amz-date", "20150830T123601Z");
        assert!(vanilla("/", later, VANILLA).verify(SECRET, at(NOW)).is_err());
        let it = authorization("service", "host;x-amz-date", VANILLA);
        let body = signature("GET", "/", &[HOST, DATE, ("authorization", &it)], "body");
        assert_eq!(body.verify(SECRET, at(NOW)), Err(Unproven::Wrong(None)));
        let method = signature("POST", "/", &[HOST, DATE, ("authorization", &it)], "");
        assert_eq!(method.verify(SECRET, at(NOW)), Err(Unproven::Wrong(None)));
        let host = ("host", "other.amazonaws.com");
        let host = signature("GET", "/", &[host, DATE, ("authorization", &it)], "");
        assert_eq!(host.verify(SECRET, at(NOW)), Err(Unproven::Wrong(None)));
    }

    #[test]
    fn an_amz_header_that_is_not_signed_is_refused() {
        let it = authorization("service", "host;x-amz-date", VANILLA);
        let more = [HOST, DATE, ("x-amz-more", "1"), ("authorization", &it)];
        let Err(Unproven::Wrong(Some(sentence))) =
            signature("GET", "/", &more, "").verify(SECRET, at(NOW))
        else {
            panic!("it was accepted")
        };
        assert!(sentence.starts_with("'x-amz-more' must be a 'SignedHeader'"), "{sentence}");
        let it = authorization("service", "x-amz-date", VANILLA);
        let none = signature("GET", "/", &[HOST, DATE, ("authorization", &it)], "");
        assert!(matches!(none.verify(SECRET, at(NOW)), Err(Unproven::Wrong(Some(_)))));
    }

    #[test]
    fn a_quarter_of_an_hour_is_tolerated() {
        let it = vanilla("/", DATE, VANILLA);
        for fine in ["2015-08-30T12:51:00Z", "2015-08-30T12:21:00Z"] {
            assert_eq!(it.verify(SECRET, at(fine)), Ok(()), "{fine}");
        }
        assert_eq!(
            it.verify(SECRET, at("2015-08-30T12:51:01Z")),
            Err(Unproven::Stale(
                "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
                 (20150830T125101Z - 15 min.)"
                    .into()
            ))
        );
        assert_eq!(
            it.verify(SECRET, at("2015-08-30T12:20:59Z")),
            Err(Unproven::Stale(
                "Signature not yet current: 20150830T123600Z is still later than \
                 20150830T123559Z (20150830T122059Z + 15 min.)"
                    .into()
            ))
        );
    }

    #[test]
    fn the_day_of_the_scope_is_the_day_of_the_date() {
        let it = vanilla("/", ("x-amz-date", "20150831T000000Z"), VANILLA);
        let Err(Unproven::Wrong(Some(sentence))) = it.verify(SECRET, at("2015-08-31T00:00:00Z"))
        else {
            panic!("it was accepted")
        };
        assert!(sentence.contains("'20150830' != '20150831'"), "{sentence}");
    }

    #[test]
    fn paths_are_escaped_once_more_and_keys_of_s3_exactly_once() {
        for (path, service, expected) in [
            ("", "ec2", "/"),
            ("/a//b/../c/", "ec2", "/a/c/"),
            ("/a%20b", "ec2", "/a%2520b"),
            ("/a%20b/c+d", "s3", "/a%20b/c%2Bd"),
            ("/a//b/../c", "s3", "/a//b/../c"),
            ("/%ED%95%9C", "s3", "/%ED%95%9C"),
        ] {
            assert_eq!(canonical_path(path, service), expected, "{path} of {service}");
        }
    }

    #[test]
    fn the_query_is_sorted_and_spaces_of_headers_are_single() {
        let pairs = form::pairs(b"b=2&a=x+y&a=&%E1=".get(..13).expect("ASCII")).expect("read");
        let mut out = String::new();
        canonical_query(&mut out, &pairs);
        assert_eq!(out, "a=&a=x%20y&b=2");
        let mut headers = HeaderMap::new();
        headers.append("x-amz-a", "  one   two ".parse().expect("a value"));
        headers.append("x-amz-a", "three".parse().expect("a value"));
        assert_eq!(canonical_value("x-amz-a", &Uri::from_static("/"), &headers), "one two,three");
    }
}
