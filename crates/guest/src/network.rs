//! HTTP and websockets to AWS's names on port 443, and to the metadata service.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use gureum_session::signature::{Credentials, Signed, sign};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, handshake::client::generate_key, protocol::WebSocketConfig},
};

use crate::resolver;

/// How long a connection, and an answer, may take.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const LONGEST: usize = 1 << 20;
/// The longest message on a channel, and how much is written at once.
const LONGEST_MESSAGE: usize = 256 << 10;
const WRITE_BUFFER: usize = 128 << 10;
/// How much is read at once: what TLS hands out in one go, as the room for it is cleared each time.
const READ_BUFFER: usize = 16 << 10;
/// Where the instance keeps its trusted roots.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// The network, or TLS.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// HTTP.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The websocket.
    #[error(transparent)]
    WebSocket(#[from] tungstenite::Error),
    /// A request that cannot be said.
    #[error(transparent)]
    Request(#[from] http::Error),
    /// The answer was a refusal.
    #[error("{0}: {1}")]
    Refused(StatusCode, String),
    /// There are no credentials.
    #[error("the instance has no role")]
    NoCredentials,
}

impl NetworkError {
    /// Whether the service knows who asks and says no.
    pub(crate) fn is_denial(&self) -> bool {
        match self {
            Self::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => true,
            Self::Refused(_, text) => text.contains("AccessDenied"),
            _ => false,
        }
    }
}

/// A stream, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A channel's websocket.
pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// How the services are reached.
#[derive(Clone, Debug)]
pub enum Network {
    /// By name, on port 443, as the instance's certificates allow.
    Instance,
    /// At one address without TLS, whatever the name: for tests.
    Plain(std::net::SocketAddr),
}

/// A service of a region, and who calls it.
#[derive(Clone, Debug)]
pub(crate) struct Service<'a> {
    pub(crate) name: &'a str,
    pub(crate) region: &'a str,
    pub(crate) credentials: &'a Credentials,
}

impl Service<'_> {
    fn host(&self) -> String {
        let suffix = if self.region.starts_with("cn-") { ".cn" } else { "" };
        format!("{}.{}.amazonaws.com{suffix}", self.name, self.region)
    }
}

impl Network {
    /// A signed POST; the body of an answer with a status of success.
    pub(crate) async fn post(
        &self,
        service: &Service<'_>,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, NetworkError> {
        self.call("POST", service, (path, ""), headers, body).await
    }

    /// A signed request for a path and a query; the body of an answer with a status of success.
    pub(crate) async fn call(
        &self,
        method: &str,
        service: &Service<'_>,
        (path, query): (&str, &str),
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, NetworkError> {
        let host = service.host();
        let signed = Signed {
            method,
            host: &host,
            path,
            query,
            body: &body,
            region: service.region,
            service: service.name,
        };
        sign(&signed, service.credentials, &time(), &mut headers).map_err(http::Error::from)?;
        let uri = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let request = Request::builder().method(method).uri(uri).header(header::HOST, &host);
        let mut request = request.body(Full::new(body))?;
        request.headers_mut().extend(headers);
        let stream = self.connect(&host).await?;
        let (status, body) = exchange(stream, request).await?;
        match status.is_success() {
            true => Ok(body),
            false => Err(NetworkError::Refused(status, String::from_utf8_lossy(&body).into())),
        }
    }

    /// A signed websocket.
    pub(crate) async fn open(
        &self,
        service: &Service<'_>,
        path: &str,
        query: &str,
    ) -> Result<Socket, NetworkError> {
        let host = service.host();
        let signed = Signed {
            method: "GET",
            host: &host,
            path,
            query,
            body: b"",
            region: service.region,
            service: service.name,
        };
        let mut request = Request::get(format!("wss://{host}{path}?{query}"))
            .header(header::HOST, &host)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .body(())?;
        sign(&signed, service.credentials, &time(), request.headers_mut())
            .map_err(http::Error::from)?;
        let stream = self.connect(&host).await?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE))
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER);
        let opening = client_async_with_config(request, stream, Some(config));
        let (socket, _) = timeout(ANSWER, opening).await.map_err(late)??;
        Ok(socket)
    }

    async fn connect(&self, host: &str) -> Result<Box<dyn Stream>, NetworkError> {
        match self {
            Self::Plain(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Instance => {
                let connector = TlsConnector::from(trust()?);
                let stream = dial(host, 443).await?;
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                let stream = timeout(CONNECT, connector.connect(name, stream)).await;
                Ok(Box::new(stream.map_err(late)??))
            }
        }
    }
}

/// The time as signatures have it.
fn time() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn late(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// Connects to a host by name or address, trying each of its addresses.
pub(crate) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in resolver::addresses(host).await? {
        match timeout(CONNECT, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(elapsed) => last = late(elapsed),
        }
    }
    Err(last)
}

/// What the instance trusts at this moment: its owner may add certificates.
fn trust() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let file = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| ROOTS.into());
    let found = CertificateDer::pem_file_iter(file).map_err(io::Error::other)?;
    roots.add_parsable_certificates(found.flatten());
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// One request on a connection of its own.
pub(crate) async fn exchange(
    stream: impl Stream + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), NetworkError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let answered = timeout(ANSWER, async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(io::Error::other)?;
        Ok((head.status, body.to_bytes()))
    });
    let answered = answered.await;
    driven.abort();
    answered.map_err(late)?
}

/// A header of text that is one.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue, NetworkError> {
    HeaderValue::try_from(text).map_err(|error| NetworkError::Request(error.into()))
}
