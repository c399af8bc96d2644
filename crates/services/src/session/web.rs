//! The gateway over HTTP: `POST /v1/control-channel/{instance}` and `/v1/data-channel/{session}` give
//! a token, `GET` opens the websocket that takes it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use futures_util::{SinkExt as _, StreamExt as _};
use gureum_session::message::{CreateChannel, OpenChannel, SCHEMA_VERSION};
use gureum_types::{InstanceId, session::SessionId};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role as End, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tracing::debug;

use super::{
    control_channel,
    gateway::{Inner, MessageGateway},
    token::{Grant, Role},
};
use crate::http::{escaped, respond, sentence};

/// The longest message on a channel; agents of AWS send up to 142,000 bytes.
const LONGEST_MESSAGE: usize = 256 << 10;
/// How much is written to a connection at once.
const WRITE_BUFFER: usize = 128 << 10;
/// How much is read at once: what TLS hands out in one go, as the room for it is cleared each time.
const READ_BUFFER: usize = 16 << 10;
/// The longest body of a POST.
const BODY: usize = 16 << 10;
/// How long a connection may take to say its token.
const PATIENCE: Duration = Duration::from_secs(15);

/// A channel's connection.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Which channel a path names.
enum Channel {
    Control(InstanceId),
    Data(SessionId),
}

impl Channel {
    fn of(path: &str) -> Option<Self> {
        let (kind, id) = path.strip_prefix("/v1/")?.split_once('/')?;
        let id = crate::http::decoded(id);
        match kind {
            "control-channel" => Some(Self::Control(id.parse().ok()?)),
            "data-channel" => Some(Self::Data(SessionId::parse(&id)?)),
            _ => None,
        }
    }
}

impl MessageGateway {
    /// Whether a request is for the gateway, by its path.
    pub fn is_for(path: &str) -> bool {
        path.starts_with("/v1/control-channel/") || path.starts_with("/v1/data-channel/")
    }

    /// Answers a request that [`MessageGateway::is_for`] names. `caller` is the instance whose role
    /// signed it: agents create their own channels only. Nobody else creates any.
    pub async fn answer(
        &self,
        request: Request<Body>,
        caller: Option<&InstanceId>,
    ) -> Response<Body> {
        let Some(channel) = Channel::of(request.uri().path()) else {
            return sentence(StatusCode::NOT_FOUND, "there is no such channel");
        };
        match *request.method() {
            Method::POST => self.create(request, &channel, caller).await,
            Method::GET => self.open(request, channel),
            _ => sentence(StatusCode::METHOD_NOT_ALLOWED, "POST creates, GET opens a channel"),
        }
    }

    /// What IAM calls a request that [`MessageGateway::is_for`] names.
    pub fn action(method: &Method, path: &str) -> &'static str {
        match (*method == Method::POST, path.starts_with("/v1/control-channel/")) {
            (true, true) => "ssmmessages:CreateControlChannel",
            (true, false) => "ssmmessages:CreateDataChannel",
            (false, true) => "ssmmessages:OpenControlChannel",
            (false, false) => "ssmmessages:OpenDataChannel",
        }
    }

    /// A refusal as agents look for it: the error's name is an element.
    pub fn refusal(status: StatusCode, code: &str, text: &str) -> Response<Body> {
        let body = format!("<{code}><Message>{}</Message></{code}>", escaped(text));
        respond(status, "application/xml", body)
    }

    /// Gives an agent the token of a channel.
    async fn create(
        &self,
        request: Request<Body>,
        channel: &Channel,
        caller: Option<&InstanceId>,
    ) -> Response<Body> {
        let body = Limited::new(request.into_body(), BODY).collect().await;
        let asked = body.ok().map(|body| body.to_bytes());
        let asked = asked.and_then(|body| serde_json::from_slice::<CreateChannel>(&body).ok());
        if asked.is_none_or(|asked| asked.message_schema_version != SCHEMA_VERSION) {
            let text = "the request is not JSON of schema version 1.0";
            return Self::refusal(StatusCode::BAD_REQUEST, "InvalidInputException", text);
        }
        let denied = || {
            let text = "the channel belongs to another instance";
            Self::refusal(StatusCode::FORBIDDEN, "AccessDeniedException", text)
        };
        let (answer, grant) = match channel {
            Channel::Control(instance) => {
                if caller != Some(instance) {
                    return denied();
                }
                ("CreateControlChannelResponse", Grant::Control(instance.clone()))
            }
            Channel::Data(id) => {
                let Some(session) = self.inner.session(id).filter(|it| it.is_open()) else {
                    let text = format!("there is no session {id}");
                    return Self::refusal(
                        StatusCode::NOT_FOUND,
                        "ResourceNotFoundException",
                        &text,
                    );
                };
                if caller != Some(&session.target) {
                    return denied();
                }
                ("CreateDataChannelResponse", Grant::Data(id.clone(), Role::Agent))
            }
        };
        let token = self.inner.state().tokens.issue(grant, Instant::now());
        respond(
            StatusCode::CREATED,
            "application/xml",
            format!(
                "<{answer}><MessageSchemaVersion>{SCHEMA_VERSION}</MessageSchemaVersion>\
                 <TokenValue>{token}</TokenValue></{answer}>"
            ),
        )
    }

    /// Makes a request a websocket, which then has to say its token.
    fn open(&self, mut request: Request<Body>, channel: Channel) -> Response<Body> {
        let Some(accept) = accept(request.headers()) else {
            return sentence(StatusCode::UPGRADE_REQUIRED, "a channel is a websocket");
        };
        let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            return sentence(StatusCode::UPGRADE_REQUIRED, "this connection cannot be upgraded");
        };
        let gateway = Arc::clone(&self.inner);
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let config = WebSocketConfig::default()
                        .max_message_size(Some(LONGEST_MESSAGE))
                        .max_frame_size(Some(LONGEST_MESSAGE))
                        .read_buffer_size(READ_BUFFER)
                        .write_buffer_size(WRITE_BUFFER);
                    let stream = TokioIo::new(upgraded);
                    let socket =
                        WebSocketStream::from_raw_socket(stream, End::Server, Some(config)).await;
                    admit(gateway, channel, socket).await;
                }
                Err(error) => debug!(%error, "a channel"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        response
    }
}

/// Lets a websocket be what its token says, or closes it.
async fn admit(gateway: Arc<Inner>, channel: Channel, mut socket: Socket) {
    let first = timeout(PATIENCE, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str::<OpenChannel>(&text).ok();
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    });
    let token = first.await.ok().flatten().map(|open| open.token_value);
    let grant = token.and_then(|token| gateway.state().tokens.redeem(&token, Instant::now()));
    match (channel, grant) {
        (Channel::Control(instance), Some(Grant::Control(granted))) if instance == granted => {
            control_channel::serve(gateway, instance, socket).await;
        }
        (Channel::Data(id), Some(Grant::Data(granted, role))) if id == granted => {
            let session = gateway.session(&id);
            if let Some(session) = session {
                session.serve(role, socket, gateway.timing.last_words).await;
            }
        }
        _ => {
            debug!("a channel without a good token");
            let reason = CloseFrame { code: CloseCode::Policy, reason: "invalid token".into() };
            let close = socket.send(Message::Close(Some(reason)));
            let _ = timeout(PATIENCE, close).await;
        }
    }
}

/// RFC 6455, section 4.2.1: the answer to a request that wants to be a websocket.
fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    let wants = has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade");
    let version = headers.get(header::SEC_WEBSOCKET_VERSION)?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    (wants && version == "13").then_some(())?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}
