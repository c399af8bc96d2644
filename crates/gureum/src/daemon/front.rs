//! The one port: AWS's API for every service, region and account, a word or two of our own below
//! `/_gureum/`, and web sites of instances below `*.localhost`.

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc, task, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use gureum_api::{ApiError, ApiRequest, Protocol, Signature, event_stream};
use gureum_control::{Control, LiveTail, Reply, Source};
use gureum_s3::{Addressed, S3};
use gureum_services::{
    both::{Both, Opened},
    session::MessageGateway,
    tunnel::Tunnel,
    vhost::{self, VirtualHosts},
};
use gureum_types::{AccountId, InstanceId, Origin};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
};
use tracing::{debug, warn};

use super::{
    call_log::{Call, CallLog},
    clerk::Clerk,
    visitor,
};
use crate::admin::Health;

/// The longest request: user data and policies are far below it.
const BODY_LIMIT: usize = 8 << 20;
/// The longest request of an agent: what commands wrote is in some.
const CHANNEL_BODY: usize = 256 << 10;
/// An answer of this length has taken many times as much memory to make.
const LARGE_ANSWER: usize = 1 << 20;
/// How long after a large answer its memory is given back: more of them often follow.
const GIVE_BACK_AFTER: Duration = Duration::from_millis(500);
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// How long a request's head may take to arrive.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait after an accept that failed, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// How often a live tail says something.
const LIVE_TAIL_EVERY: Duration = Duration::from_secs(1);

/// The body of an answer that goes on: frames as they come.
struct Following(tokio::sync::mpsc::Receiver<Frame<Bytes>>);

impl hyper::body::Body for Following {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// What answers requests.
pub(crate) struct Front {
    /// Where calls are written down, if they shall be.
    pub calls: Option<CallLog>,
    /// Who does what the API's operations say.
    pub control: Arc<Control>,
    /// Who says what a change would do.
    pub clerk: Arc<Clerk>,
    /// Opens connections, plain ones and those by TLS.
    pub both: Both,
    /// Where agents and sessions have their channels.
    pub gateway: MessageGateway,
    /// The account of callers whose access key names no other.
    pub account: AccountId,
    /// Buckets and objects.
    pub s3: Arc<S3>,
    /// Web sites of instances; not there without hosts.
    pub virtual_hosts: Option<VirtualHosts>,
    /// The way into the internet for clients that know HTTP proxies; not there without hosts.
    pub tunnel: Option<Tunnel>,
    /// What `/_gureum/health` answers.
    pub health: Health,
    /// The `Server` header of answers.
    pub server: HeaderValue,
    /// Told of large answers.
    pub large: Notify,
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
                if let Err(error) = front.open(stream, peer).await {
                    debug!(%peer, %error, "a connection of the API");
                }
                drop(slot);
            });
        }
    }

    /// Gives the memory that large answers took back to the kernel, until the task is dropped.
    pub(crate) async fn tidy(self: Arc<Self>) {
        loop {
            self.large.notified().await;
            tokio::time::sleep(GIVE_BACK_AFTER).await;
            let trimmed = tokio::task::spawn_blocking(gureum_host::memory::give_back).await;
            if let Err(error) = trimmed {
                warn!(%error, "giving memory back");
            }
        }
    }

    async fn open(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        // Answers are small and clients wait for them.
        let _ = stream.set_nodelay(true).inspect_err(|error| debug!(%error, "TCP_NODELAY"));
        let opened = tokio::time::timeout(HEAD_PATIENCE, self.both.open(stream)).await??;
        let is_secure = matches!(opened, Opened::Secure(_));
        let origin = Origin { address: peer.ip(), is_secure, endpoint: None };
        match opened {
            Opened::Plain(stream) => self.converse(stream, origin).await?,
            Opened::Secure(stream) => self.converse(stream, origin).await?,
        }
        Ok(())
    }

    async fn converse(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        origin: Origin,
    ) -> hyper::Result<()> {
        let service = service_fn(|mut request: Request<Incoming>| {
            let front = Arc::clone(&self);
            request.extensions_mut().insert(origin.clone());
            async move { Ok::<_, Infallible>(front.answer(request.map(Body::new)).await) }
        });
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await
    }

    /// Answers one request, wherever it came in.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if *request.method() == Method::CONNECT {
            return match &self.tunnel {
                Some(tunnel) => tunnel.open(request).await,
                None => text(StatusCode::BAD_GATEWAY, "this daemon has no internet\n"),
            };
        }
        let addressed = Addressed::of(request.headers(), request.uri());
        if let Some(hosts) = &self.virtual_hosts
            // A bucket's name may look like a site's; its requests are signed.
            && !matches!(addressed, Some(Addressed::Signed { .. }))
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

    /// An operation of AWS's API. The request carries its [`Origin`].
    pub(crate) async fn aws(&self, request: Request<Body>) -> Response<Body> {
        if MessageGateway::is_for(request.uri().path()) {
            return self.channel(request).await;
        }
        if let Some(operation) = MessageGateway::mailbox_operation(request.headers()) {
            let operation = operation.to_owned();
            return self.mailbox(&operation, request).await;
        }
        if let Some(operation) = Control::registration_operation(request.headers()) {
            return self.registration(operation, request).await;
        }
        let request_id = self.control.request_id();
        if let Some(addressed) = Addressed::of(request.headers(), request.uri()) {
            let caller = visitor::of(&self.control, &self.account, addressed, &request);
            let call = self.calls.as_ref().map(|_| Call::of_s3(request.method(), request.uri()));
            let request = request.map(gureum_s3::Body::http_body_unsync);
            let answer = self.s3.serve(request, caller, &request_id).await.map(Body::new);
            if let Some((log, call)) = self.calls.as_ref().zip(call) {
                log.write(call, answer.status(), &[]);
            }
            return answer;
        }
        let Asked { request, source, call } = match self.read(request, &request_id).await {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let reply = self.control.reply_from(request, &source, &request_id).await;
        match reply {
            Reply::Whole(answer) => self.whole(call, answer),
            Reply::Tail(tail) => {
                if let Some((log, call)) = self.calls.as_ref().zip(call) {
                    log.write(call, StatusCode::OK, &[]);
                }
                self.follow(*tail)
            }
        }
    }

    /// Reads a request of AWS's query and JSON protocols; the answer, where it is none.
    pub(super) async fn read(
        &self,
        request: Request<Body>,
        request_id: &str,
    ) -> Result<Asked, Response<Body>> {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, BODY_LIMIT).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let error = ApiError::new("RequestEntityTooLarge", "The request is too large.")
                    .with_status(StatusCode::PAYLOAD_TOO_LARGE);
                return Err(error.response(Protocol::Ec2Query, request_id).map(Body::from));
            }
            Err(error) => {
                debug!(%error, "reading a request");
                return Err(text(StatusCode::BAD_REQUEST, "the request did not arrive whole\n"));
            }
        };
        match gureum_api::route(&head.method, &head.uri, &head.headers, &body) {
            Ok(mut request) => {
                if AccountId::parse(&request.scope.access_key_id).is_none() {
                    request.scope.account = self.account.clone();
                }
                let origin = head.extensions.get::<Origin>();
                let source = origin.map(|it| self.control.source(it)).unwrap_or_default();
                let call = self.calls.as_ref().map(|_| Call::of(request.operation, &body));
                Ok(Asked { request, source, call })
            }
            Err(refused) => {
                let call = self.calls.as_ref().map(|_| Call::refused(&head.method, &head.uri));
                Err(self.whole(call, refused.response(request_id)))
            }
        }
    }

    /// An answer that is whole, written down if calls are.
    pub(super) fn whole(&self, call: Option<Call>, answer: Response<Bytes>) -> Response<Body> {
        if let Some((log, call)) = self.calls.as_ref().zip(call) {
            log.write(call, answer.status(), answer.body());
        }
        if answer.body().len() >= LARGE_ANSWER {
            self.large.notify_one();
        }
        answer.map(Body::from)
    }

    /// An answer that goes on, a word a second, until it is over or the caller is gone.
    fn follow(&self, tail: LiveTail) -> Response<Body> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let control = Arc::clone(&self.control);
        tokio::spawn(async move {
            let (mut next, mut is_last) = (tail.start(), false);
            let mut tick = tokio::time::interval(LIVE_TAIL_EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            tick.tick().await;
            while sender.send(Frame::data(next)).await.is_ok() && !is_last {
                tick.tick().await;
                (next, is_last) = control.update_of(&tail);
            }
        });
        let mut response = Response::new(Body::new(Following(receiver)));
        let kind = HeaderValue::from_static(event_stream::CONTENT_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// A channel of Session Manager. Agents sign what they ask; some clients do, and have a token.
    async fn channel(&self, request: Request<Body>) -> Response<Body> {
        let is_signed = request.headers().contains_key(header::AUTHORIZATION);
        let must_be = is_signed || *request.method() == Method::POST;
        let action = MessageGateway::action(request.method(), request.uri().path());
        let (request, caller) = match self.of_agent(request, action).await {
            Ok(admitted) => admitted,
            Err(Stopped::Unsigned(request, _)) if !must_be => (request, None),
            Err(Stopped::Unsigned(_, error) | Stopped::Denied(error)) => {
                let status = StatusCode::FORBIDDEN;
                return MessageGateway::refusal(status, "AccessDeniedException", &error.message);
            }
            Err(Stopped::Broken(answer)) => return answer,
        };
        self.gateway.answer(request.map(Body::from), caller.as_ref()).await
    }

    /// An operation of `ec2messages`, which agents alone call.
    async fn mailbox(&self, operation: &str, request: Request<Body>) -> Response<Body> {
        let action = format!("ec2messages:{operation}");
        match self.of_agent(request, &action).await {
            Ok((request, caller)) => {
                self.gateway.mailbox(operation, request.body(), caller.as_ref()).await
            }
            Err(Stopped::Unsigned(_, error) | Stopped::Denied(error)) => {
                let id = self.control.request_id();
                error.response(Protocol::AwsJson11, &id).map(Body::from)
            }
            Err(Stopped::Broken(answer)) => answer,
        }
    }

    /// What an agent says to Systems Manager before its instance has a role.
    async fn registration(&self, operation: &str, request: Request<Body>) -> Response<Body> {
        let refused = |error: ApiError| {
            let id = self.control.request_id();
            error.response(Protocol::AwsJson11, &id).map(Body::from)
        };
        let (signature, source) = match self.signed(request).await {
            Ok((_, signature, source)) => (signature, source),
            Err(Stopped::Unsigned(_, error) | Stopped::Denied(error)) => return refused(error),
            Err(Stopped::Broken(answer)) => return answer,
        };
        match self.control.registration(operation, &signature, &source) {
            Ok(answer) => {
                let mut response = Response::new(Body::from(answer.to_string()));
                let kind = HeaderValue::from_static("application/x-amz-json-1.1");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(error) => refused(error),
        }
    }

    /// A short request read whole, and the instance whose role signed it and may do this.
    async fn of_agent(
        &self,
        request: Request<Body>,
        action: &str,
    ) -> Result<(Request<Bytes>, Option<InstanceId>), Stopped> {
        let (request, signature, source) = self.signed(request).await?;
        let caller = self.control.admit(&signature, action, &source).map_err(Stopped::Denied)?;
        Ok((request, caller))
    }

    /// A short request read whole, with its signature, which nobody has looked at, and where it is from.
    async fn signed(
        &self,
        request: Request<Body>,
    ) -> Result<(Request<Bytes>, Signature, Source), Stopped> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, CHANNEL_BODY).collect().await.map_err(|error| {
            debug!(%error, "reading a request of an agent");
            Stopped::Broken(text(StatusCode::BAD_REQUEST, "the request did not arrive whole\n"))
        })?;
        let body = body.to_bytes();
        let signature = match Signature::of(&head.method, &head.uri, &head.headers, &body) {
            Ok(signature) => signature,
            Err(error) => return Err(Stopped::Unsigned(Request::from_parts(head, body), error)),
        };
        let origin = head.extensions.get::<Origin>();
        let source = origin.map(|it| self.control.source(it)).unwrap_or_default();
        Ok((Request::from_parts(head, body), signature, source))
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
            // Clients of AWS put a slash after the path of an endpoint.
            (_, "/_gureum/preview" | "/_gureum/preview/") => self.preview(request).await,
            (_, "/_gureum/health" | "/_gureum/reset") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "GET health, POST reset\n")
            }
            _ => text(
                StatusCode::NOT_FOUND,
                "there is /_gureum/health, /_gureum/reset and /_gureum/preview\n",
            ),
        }
    }
}

/// A call that was read.
pub(super) struct Asked {
    /// What is asked.
    pub(super) request: ApiRequest,
    /// Where it came from.
    pub(super) source: Source,
    /// What will be written down of it.
    pub(super) call: Option<Call>,
}

/// Why a request of an agent goes no further.
enum Stopped {
    /// It has no signature that can be read.
    Unsigned(Request<Bytes>, ApiError),
    /// Whoever signed it may not.
    Denied(ApiError),
    /// It did not arrive whole; the answer.
    Broken(Response<Body>),
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
