//! The few calls of Systems Manager's API that a client of sessions makes, and its data channels:
//! all at the one port of the cloud.

use std::{
    fmt, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::SinkExt as _;
use gureum_session::{
    client,
    message::{OpenChannel, SCHEMA_VERSION},
    signature::{Credentials, Signed, sign},
};
use gureum_types::Timestamp;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, protocol::WebSocketConfig},
};
use uuid::Uuid;

/// How long an answer may take. Where no agent is there, the service knows it at once.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const LONGEST: usize = 1 << 20;
/// The longest message on a channel.
const LONGEST_MESSAGE: usize = 256 << 10;

/// A session as StartSession and ResumeSession answer it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Started {
    /// Its id.
    pub session_id: String,
    /// What opens one data channel; nothing where the session is over.
    #[serde(default)]
    pub token_value: Option<String>,
    /// Where that is.
    #[serde(default)]
    pub stream_url: Option<String>,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// The service refused it.
    Refused {
        /// AWS's code.
        code: String,
        /// And message.
        message: String,
    },
    /// There was no answer.
    Failed(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "{code}: {message}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

fn failed(error: impl fmt::Display) -> CallError {
    CallError::Failed(error.to_string())
}

/// A refusal's body.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    __type: String,
    #[serde(alias = "Message")]
    message: String,
}

/// A data channel.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// Systems Manager of a region, and who calls it.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// `127.0.0.1:4566`
    pub authority: String,
    /// As `ap-northeast-2`.
    pub region: String,
    /// Whose calls they are.
    pub credentials: Credentials,
}

impl Service {
    /// Calls an operation.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        operation: &str,
        parameters: &Value,
    ) -> Result<T, CallError> {
        let body = Bytes::from(parameters.to_string());
        let mut headers = HeaderMap::new();
        let target = HeaderValue::try_from(format!("AmazonSSM.{operation}")).map_err(failed)?;
        headers.insert("x-amz-target", target);
        let kind = HeaderValue::from_static("application/x-amz-json-1.1");
        headers.insert(header::CONTENT_TYPE, kind);
        let signed = Signed {
            method: "POST",
            host: &self.authority,
            path: "/",
            query: "",
            body: &body,
            region: &self.region,
            service: "ssm",
        };
        sign(&signed, &self.credentials, &basic(now()), &mut headers).map_err(failed)?;
        let mut request = Request::post("/")
            .header(header::HOST, &self.authority)
            .body(Full::new(body))
            .map_err(failed)?;
        request.headers_mut().extend(headers);
        let exchanged = timeout(ANSWER, self.exchange(request)).await;
        let (status, body) = exchanged.map_err(|_| failed("the cloud does not answer"))??;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(failed);
        }
        let refusal = serde_json::from_slice::<Refusal>(&body).unwrap_or_default();
        let code = refusal.__type.rsplit('#').next().unwrap_or_default().to_owned();
        match code.is_empty() {
            true => Err(failed(format!("the cloud answers with status {status}"))),
            false => Err(CallError::Refused { code, message: refusal.message }),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(http::StatusCode, Bytes), CallError> {
        let stream = self.connect().await.map_err(failed)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let driven = tokio::spawn(connection);
        let answer = async {
            let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(failed)?;
            Ok((head.status, body.to_bytes()))
        };
        let answer = answer.await;
        driven.abort();
        answer
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Opens the data channel of a session. Whatever name its URL has, it is at the cloud's port.
    pub(super) async fn open(
        &self,
        session: &Started,
        client: &str,
    ) -> Result<Socket, tungstenite::Error> {
        let stream = self.connect().await?;
        let url = session.stream_url.as_deref().unwrap_or_default();
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        let url = format!("ws://{}/{path}", self.authority);
        let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
        let open = OpenChannel {
            message_schema_version: SCHEMA_VERSION.to_owned(),
            request_id: Uuid::new_v4().to_string(),
            token_value: session.token_value.clone().unwrap_or_default(),
            client_id: Some(client.to_owned()),
            client_version: Some(client::VERSION.to_owned()),
            ..OpenChannel::default()
        };
        let text = serde_json::to_string(&open).unwrap_or_default();
        socket.send(Message::text(text)).await?;
        Ok(socket)
    }
}

/// The time, in milliseconds since the Unix epoch.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time as signatures have it: `20260101T000000Z`.
fn basic(milliseconds: u64) -> String {
    let time = Timestamp(i64::try_from(milliseconds).unwrap_or(i64::MAX)).to_string();
    let seconds = time.split('.').next().unwrap_or_default();
    seconds.replace(['-', ':'], "") + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_signatures_have_them() {
        assert_eq!(basic(1_630_630_923_045), "20210903T010203Z");
    }
}
