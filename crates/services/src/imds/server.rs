//! The metadata service over HTTP: who asks, with which token, for what (IMDS-1 to IMDS-13).

use std::{
    convert::Infallible,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gureum_types::{
    PortIndex, Timestamp,
    view::{InstanceView, ServiceView},
};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tracing::{debug, warn};

use super::{
    token::{MAX_TTL, Tokens},
    tree::{self, Node, VERSIONS},
};
use crate::{
    ca::Ca,
    caller::{Allowance, Identify, View, instance},
    gate::{self, Gate},
};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const FORWARDED_FOR: &str = "x-forwarded-for";

const CONNECTIONS: usize = 4096;
/// IMDS-13: an instance has so many connections at once, others wait in its own kernel.
const CONNECTIONS_PER_CALLER: usize = 64;
/// From accept to close; there is one request a connection.
const LIFETIME: Duration = Duration::from_secs(30);
const HEAD: Duration = Duration::from_secs(10);
/// Longest body of a PUT; nothing is in it, but clients may send one.
const BODY: usize = 4096;

/// The service: what it knows and how it tells callers apart.
pub struct Imds {
    view: View,
    identify: Identify,
    allowance: Arc<Allowance>,
    ca: Arc<Ca>,
    tokens: Tokens,
}

impl Imds {
    /// A service whose tokens are made by `key`: they stay good over a restart with the same one.
    pub fn new(
        view: View,
        identify: Identify,
        allowance: Arc<Allowance>,
        ca: Arc<Ca>,
        key: [u8; 32],
    ) -> Self {
        Self { view, identify, allowance, ca, tokens: Tokens::new(key) }
    }
}

/// Answers the metadata service until the task is dropped.
pub async fn serve(listener: TcpListener, imds: Arc<Imds>) {
    let gate = Gate::new(CONNECTIONS, CONNECTIONS_PER_CALLER);
    gate::serve(listener, gate, "metadata", |stream, peer| {
        let imds = Arc::clone(&imds);
        async move {
            // A caller that is no interface, or asks too much, gets its connection closed.
            if let Some(port) = (imds.identify)(peer)
                && imds.allowance.take(port)
            {
                converse(imds, stream, Caller { peer, port }).await;
            }
        }
    })
    .await;
}

/// One connection, one request: so the TTL that a token's answer needs (IMDS-7) is on nothing
/// but that answer, however the kernel cuts or repeats it.
async fn converse(imds: Arc<Imds>, stream: TcpStream, caller: Caller) {
    let peer = caller.peer;
    let socket = match stream.as_fd().try_clone_to_owned() {
        Ok(socket) => Arc::new(socket),
        Err(error) => return warn!(%error, "a metadata connection"),
    };
    let service = hyper::service::service_fn(|request| {
        let (imds, socket) = (Arc::clone(&imds), Arc::clone(&socket));
        async move { Ok::<_, Infallible>(imds.answer(request, caller, &socket).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(LIFETIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%peer, %error, "a metadata connection"),
        Err(_) => debug!(%peer, "a metadata connection took too long"),
    }
}

type Answer = Response<Full<Bytes>>;

/// Who asks.
#[derive(Clone, Copy, Debug)]
struct Caller {
    peer: SocketAddr,
    port: PortIndex,
}

impl Caller {
    /// Whether the metadata options of an instance let this caller in (IMDS-1, IMDS-5).
    fn may_ask(&self, instance: &InstanceView) -> bool {
        let options = &instance.metadata_options;
        options.enabled && (options.ipv6 || self.peer.is_ipv4())
    }
}

impl Imds {
    async fn answer(&self, request: Request<Incoming>, caller: Caller, socket: &OwnedFd) -> Answer {
        let (head, body) = request.into_parts();
        // What nobody reads would make the kernel reset the connection instead of closing it.
        let body = Limited::new(body, BODY).collect().await;
        let view = self.view.load();
        let Some((instance, _)) = instance(&view, caller.port) else {
            return failure(StatusCode::NOT_FOUND);
        };
        if !caller.may_ask(instance) {
            return failure(StatusCode::FORBIDDEN);
        }
        if body.is_err() {
            return failure(StatusCode::BAD_REQUEST);
        }
        let path = segments(head.uri.path());
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let result = match head.method {
            Method::PUT => self.token(instance, caller, &path, &head.headers, socket),
            Method::GET | Method::HEAD => self.item(&view, instance, &path, &head.headers),
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        result.unwrap_or_else(failure)
    }

    /// `PUT /latest/api/token` (IMDS-3, IMDS-5).
    fn token(
        &self,
        instance: &InstanceView,
        caller: Caller,
        path: &[&str],
        headers: &HeaderMap,
        socket: &OwnedFd,
    ) -> Result<Answer, StatusCode> {
        match path {
            ["latest", "api", "token"] => {}
            [version, "api", "token"] if tree::is_version(version) => {
                return Err(StatusCode::FORBIDDEN);
            }
            _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
        }
        if headers.contains_key(FORWARDED_FOR) {
            return Err(StatusCode::FORBIDDEN);
        }
        let ttl = time_to_live(headers).ok_or(StatusCode::BAD_REQUEST)?;
        // IMDS-7: as many hops as the instance allows; failing that, no token.
        let hops = instance.metadata_options.hop_limit.clamp(1, 64).into();
        let socket = socket2::SockRef::from(socket);
        let set = match caller.peer {
            SocketAddr::V4(_) => socket.set_ttl_v4(hops),
            SocketAddr::V6(_) => socket.set_unicast_hops_v6(hops),
        };
        if let Err(error) = set {
            warn!(%error, "setting the hop limit of a metadata token");
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let token = self.tokens.issue(&instance.instance_id, now() + u64::from(ttl));
        let mut answer = success("text/plain", token);
        answer.headers_mut().insert(TOKEN_TTL, ttl.into());
        Ok(answer)
    }

    /// GET and HEAD, with a token or, where the instance allows it, without.
    fn item(
        &self,
        view: &ServiceView,
        instance: &InstanceView,
        path: &[&str],
        headers: &HeaderMap,
    ) -> Result<Answer, StatusCode> {
        let accepted = match headers.get(TOKEN) {
            // IMDS-6: a token that is there has to be good.
            Some(token) => self.tokens.accepts(&instance.instance_id, token.as_bytes(), now()),
            None => !instance.metadata_options.tokens_required,
        };
        if !accepted {
            return Err(StatusCode::UNAUTHORIZED);
        }
        match path {
            [] => {
                let versions = VERSIONS.iter().chain(&["latest"]);
                let versions: Vec<_> = versions.copied().collect();
                Ok(success("text/plain", versions.join("\n")))
            }
            [version, "api", "token"] if tree::is_version(version) => {
                Err(StatusCode::METHOD_NOT_ALLOWED)
            }
            [version, rest @ ..] if tree::is_version(version) => self.node(
                tree::build(view, instance, Timestamp::from_seconds(now().cast_signed())),
                rest,
            ),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    /// A trailing slash makes no difference: a leaf answers its value with one (IMDS-11a), a
    /// directory its listing without one.
    fn node(&self, root: tree::Directory, path: &[&str]) -> Result<Answer, StatusCode> {
        let mut node = &Node::Directory(root);
        for segment in path {
            let Node::Directory(directory) = node else { return Err(StatusCode::NOT_FOUND) };
            node = directory.entry(segment).ok_or(StatusCode::NOT_FOUND)?;
        }
        Ok(match node {
            Node::Text(text) => success("text/plain", text.clone()),
            Node::Bytes(bytes) => success("application/octet-stream", bytes.to_vec()),
            Node::Directory(directory) => success("text/plain", directory.listing()),
            Node::Signature(document) => match self.ca.sign(document.as_bytes()) {
                Ok(signature) => success("text/plain", wrapped(&BASE64_STANDARD.encode(signature))),
                Err(error) => {
                    warn!(%error, "signing an identity document");
                    return Err(StatusCode::INTERNAL_SERVER_ERROR);
                }
            },
        })
    }
}

/// The path's segments, decoded; slashes that say nothing are left out.
fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(crate::http::decoded).collect()
}

fn time_to_live(headers: &HeaderMap) -> Option<u32> {
    let ttl = headers.get(TOKEN_TTL)?.to_str().ok()?.trim().parse().ok()?;
    (1..=MAX_TTL).contains(&ttl).then_some(ttl)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Lines of 64 characters, as AWS's signatures have.
fn wrapped(text: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    lines.join("\n")
}

fn success(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    answer(StatusCode::OK, kind, body.into())
}

/// An error is a page, as people see it from curl.
fn failure(status: StatusCode) -> Answer {
    let reason = status.canonical_reason().unwrap_or_default();
    let code = status.as_u16();
    let page = format!(
        "<!doctype html>\n<html><head><title>{code} - {reason}</title></head>\
         <body><h1>{code} - {reason}</h1></body></html>\n"
    );
    answer(status, "text/html", page.into())
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::SERVER, header::HeaderValue::from_static("EC2ws"));
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    answer
}
