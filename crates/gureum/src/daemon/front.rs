//! The one port: AWS's API for every service, region and account, a word or two of our own below
//! `/_gureum/`, and web sites of instances below `*.localhost`.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use gureum_api::{ApiError, Protocol};
use gureum_control::Control;
use gureum_services::vhost::{self, VirtualHosts};
use gureum_types::AccountId;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tracing::{debug, warn};

use crate::admin::Health;

/// The longest request: user data and policies are far below it.
const BODY_LIMIT: usize = 8 << 20;
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// How long a request's head may take to arrive.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait after an accept that failed, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// What answers requests.
pub(crate) struct Front {
    /// Who does what the API's operations say.
    pub control: Arc<Control>,
    /// The account of callers whose access key names no other.
    pub account: AccountId,
    /// Web sites of instances; not there without hosts.
    pub virtual_hosts: Option<VirtualHosts>,
    /// What `/_gureum/health` answers.
    pub health: Health,
    /// The `Server` header of answers.
    pub server: HeaderValue,
}

impl Front {
    /// Serves connections until the task is dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "accepting a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let front = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = front.converse(stream).await {
                    debug!(%peer, %error, "a connection of the API");
                }
                drop(slot);
            });
        }
    }

    async fn converse(self: Arc<Self>, stream: tokio::net::TcpStream) -> hyper::Result<()> {
        // Answers are small and clients wait for them.
        let _ = stream.set_nodelay(true).inspect_err(|error| debug!(%error, "TCP_NODELAY"));
        let service = service_fn(|request: Request<Incoming>| {
            let front = Arc::clone(&self);
            async move { Ok::<_, Infallible>(front.answer(request.map(Body::new)).await) }
        });
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .await
    }

    /// Answers one request, wherever it came in.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if let Some(hosts) = &self.virtual_hosts
            && authority(&request).and_then(vhost::target).is_some()
        {
            return hosts.forward(request).await;
        }
        let mut response = match request.uri().path().strip_prefix("/_gureum/") {
            Some(_) => self.own(request).await,
            None => self.aws(request).await,
        };
        response.headers_mut().insert(header::SERVER, self.server.clone());
        response
    }

    /// An operation of AWS's API.
    pub(crate) async fn aws(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let request_id = self.control.request_id();
        let body = match Limited::new(body, BODY_LIMIT).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let error = ApiError::new("RequestEntityTooLarge", "The request is too large.")
                    .with_status(StatusCode::PAYLOAD_TOO_LARGE);
                return error.response(Protocol::Ec2Query, &request_id).map(Body::from);
            }
            Err(error) => {
                debug!(%error, "reading a request");
                return text(StatusCode::BAD_REQUEST, "the request did not arrive whole\n");
            }
        };
        match gureum_api::route(&head.method, &head.uri, &head.headers, &body) {
            Ok(mut request) => {
                if AccountId::parse(&request.scope.access_key_id).is_none() {
                    request.scope.account = self.account.clone();
                }
                self.control.handle(request, &request_id).await.map(Body::from)
            }
            Err(refused) => refused.response(&request_id).map(Body::from),
        }
    }

    /// What is ours and not AWS's.
    async fn own(&self, request: Request<Body>) -> Response<Body> {
        // A page of some web site may not empty a person's cloud: browsers say where a script is from.
        if request.headers().contains_key(header::ORIGIN) && request.method() != Method::GET {
            return text(StatusCode::FORBIDDEN, "not for scripts of web pages\n");
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/_gureum/health") => match serde_json::to_vec(&self.health) {
                Ok(health) => json(health.into()),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            (&Method::POST, "/_gureum/reset") => {
                let account = match request.uri().query().map(account_of).transpose() {
                    Ok(account) => account,
                    Err(sentence) => return text(StatusCode::BAD_REQUEST, sentence),
                };
                match self.control.reset(account.as_ref()).await {
                    Ok(()) => json(Bytes::from_static(b"{}")),
                    Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
                }
            }
            (_, "/_gureum/health" | "/_gureum/reset") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "GET health, POST reset\n")
            }
            _ => text(StatusCode::NOT_FOUND, "there is /_gureum/health and /_gureum/reset\n"),
        }
    }
}

/// The account in `account=123456789012`.
fn account_of(query: &str) -> Result<AccountId, &'static str> {
    let account = query.strip_prefix("account=").and_then(AccountId::parse);
    account.ok_or("the one parameter is account=, with 12 digits\n")
}

/// The authority that a request is for: of its URI, or its Host header.
fn authority<B>(request: &Request<B>) -> Option<&str> {
    let host = || request.headers().get(header::HOST)?.to_str().ok();
    request.uri().authority().map(http::uri::Authority::as_str).or_else(host)
}

fn json(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn text(status: StatusCode, sentence: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(sentence.to_owned()));
    *response.status_mut() = status;
    response
}

/// Binds the API's address; the error says what to do.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
