//! Public host names in any browser: `http://ec2-….compute.amazonaws.com.localhost:4566/` is
//! forwarded to port 80 of that host in the simulated internet.
//!
//! Browsers resolve every name below `localhost` to the loopback address by themselves.

use std::{net::SocketAddrV4, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tracing::debug;

use crate::{
    connect::Connector,
    dns::InternetResolver,
    http::{host_of, sentence},
};

const CONNECT: Duration = Duration::from_secs(10);
/// How long the host may take for the head of its answer.
const ANSWER: Duration = Duration::from_secs(60);

/// RFC 9110, section 7.6.1: these concern one connection and are not passed on.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Forwards requests for names below `localhost`.
pub struct VirtualHosts {
    resolver: Arc<InternetResolver>,
    connector: Arc<dyn Connector>,
}

/// The public name that an authority stands for: `name` in `name.localhost:4566`. `None` where
/// it stands for none, as `localhost:4566` itself.
pub fn target(authority: &str) -> Option<String> {
    let host = host_of(authority);
    let name = host.strip_suffix(".localhost")?;
    // One label alone is nobody's public name; it may be one of ours (`console.localhost`).
    name.contains('.').then(|| name.to_owned())
}

impl VirtualHosts {
    /// Finds names by `resolver` and connects by `connector`.
    pub fn new(resolver: Arc<InternetResolver>, connector: Arc<dyn Connector>) -> Self {
        Self { resolver, connector }
    }

    /// Forwards a request whose authority has a [`target`].
    pub async fn forward(&self, request: Request<Body>) -> Response<Body> {
        let Some(authority) = authority(&request) else {
            return sentence(StatusCode::BAD_REQUEST, "the request names no host");
        };
        let Some(name) = target(&authority) else {
            return sentence(
                StatusCode::BAD_REQUEST,
                format_args!("\"{authority}\" is no public name below localhost"),
            );
        };
        let Some(address) = self.resolver.address_of(&name) else {
            return sentence(
                StatusCode::BAD_GATEWAY,
                format_args!("nobody in the simulated internet is called \"{name}\" now"),
            );
        };
        match self.exchange(request, &name, SocketAddrV4::new(address, 80)).await {
            Ok(mut response) => {
                localise(response.headers_mut(), &name, &authority);
                response
            }
            Err(Failure { status, what }) => sentence(status, format_args!("{name} {what}")),
        }
    }

    async fn exchange(
        &self,
        request: Request<Body>,
        name: &str,
        address: SocketAddrV4,
    ) -> Result<Response<Body>, Failure> {
        let stream = match timeout(CONNECT, self.connector.connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(Failure::gateway(format!("cannot be reached at port 80: {error}")));
            }
            Err(_) => return Err(Failure::late("does not answer at port 80")),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::gateway(format!("ended the connection: {error}")))?;
        // The body of the answer streams while the connection is driven; it ends with either.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%address, %error, "a forwarded connection");
            }
        });
        let request = outward(request, name)
            .ok_or_else(|| Failure::gateway("cannot be asked for this".to_owned()))?;
        match timeout(ANSWER, sender.send_request(request)).await {
            Ok(Ok(response)) => {
                let mut response = response.map(Body::new);
                remove_hop_by_hop(response.headers_mut());
                Ok(response)
            }
            Ok(Err(error)) => Err(Failure::gateway(format!("gave no HTTP answer: {error}"))),
            Err(_) => Err(Failure::late("took too long to answer")),
        }
    }
}

struct Failure {
    status: StatusCode,
    what: String,
}

impl Failure {
    fn gateway(what: String) -> Self {
        Self { status: StatusCode::BAD_GATEWAY, what }
    }

    fn late(what: &str) -> Self {
        Self { status: StatusCode::GATEWAY_TIMEOUT, what: what.to_owned() }
    }
}

fn authority(request: &Request<Body>) -> Option<String> {
    let of_uri = request.uri().authority().map(ToString::to_string);
    of_uri.or_else(|| request.headers().get(header::HOST)?.to_str().ok().map(str::to_owned))
}

/// The request as the host shall see it.
fn outward(request: Request<Body>, name: &str) -> Option<Request<Body>> {
    let (mut head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = target.parse::<Uri>().ok()?;
    head.version = http::Version::HTTP_11;
    remove_hop_by_hop(&mut head.headers);
    head.headers.insert(header::HOST, HeaderValue::from_str(name).ok()?);
    Some(Request::from_parts(head, body))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// A redirect to the host itself leads back to it through us.
fn localise(headers: &mut HeaderMap, name: &str, authority: &str) {
    let Some(location) = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let rest = location.strip_prefix("http://").and_then(|rest| rest.strip_prefix(name));
    let rest = rest.map(|rest| rest.strip_prefix(":80").unwrap_or(rest));
    if let Some(rest) = rest
        && (rest.is_empty() || rest.starts_with(['/', '?', '#']))
        && let Ok(here) = HeaderValue::try_from(format!("http://{authority}{rest}"))
    {
        headers.insert(header::LOCATION, here);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_names_below_localhost_are_targets() {
        let name = "ec2-198-18-0-5.ap-northeast-2.compute.amazonaws.com";
        assert_eq!(target(&format!("{name}.localhost:4566")).as_deref(), Some(name));
        assert_eq!(target(&format!("{name}.LOCALHOST")).as_deref(), Some(name));
        for other in ["localhost:4566", "127.0.0.1:4566", "console.localhost", "a.b.example.com"] {
            assert_eq!(target(other), None, "{other}");
        }
    }

    #[test]
    fn redirects_to_the_host_itself_come_back_here() {
        let here = |location: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_static(location));
            localise(&mut headers, "a.test", "a.test.localhost:4566");
            headers[header::LOCATION].to_str().expect("text").to_owned()
        };
        assert_eq!(here("http://a.test/x/"), "http://a.test.localhost:4566/x/");
        assert_eq!(here("http://a.test:80"), "http://a.test.localhost:4566");
        for other in ["/x/", "https://a.test/", "http://a.test:81/", "http://a.test.evil/"] {
            assert_eq!(here(other), other);
        }
    }
}
