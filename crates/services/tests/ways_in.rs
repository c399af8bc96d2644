//! The ways from a person's shell and browser into the simulated internet: SOCKS and virtual
//! hosts, over a connector that leads its addresses to loopback ports.

mod common;

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, SocketAddrV4},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::{any, get},
};
use common::*;
use gureum_services::{
    connect::{Connecting, Connector},
    socks::{self, Socks},
    vhost::VirtualHosts,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const NAME: &str = "ec2-198-18-0-5.ap-northeast-2.compute.amazonaws.com";

/// Leads addresses of the internet to loopback ports; others are refused, as by a host that
/// does not listen, and 203.0.113.0/24 cannot be reached.
struct Loopback(HashMap<SocketAddrV4, SocketAddr>);

impl Connector for Loopback {
    fn connect(&self, address: SocketAddrV4) -> Connecting<'_> {
        Box::pin(async move {
            match self.0.get(&address) {
                Some(server) => TcpStream::connect(server).await,
                None if address.ip().octets()[0] == 203 => {
                    Err(io::ErrorKind::HostUnreachable.into())
                }
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}

/// A web server on an instance, at 198.18.0.5:80.
async fn connector() -> Arc<Loopback> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let moved = |location: &'static str| {
        get(move || async move { (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]) })
    };
    let router = Router::new()
        .route("/page", moved("http://ec2-198-18-0-5.ap-northeast-2.compute.amazonaws.com/page/"))
        .route("/echo", any(echo));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Arc::new(Loopback(HashMap::from([("198.18.0.5:80".parse().expect("one"), address)])))
}

/// Says what it heard: the headers that matter, and the body.
async fn echo(headers: HeaderMap, uri: axum::http::Uri, body: String) -> impl IntoResponse {
    let mut heard = format!("{uri} ");
    for name in ["host", "connection", "x-hop", "x-end", "upgrade"] {
        if let Some(value) = headers.get(name) {
            heard += &format!("{name}={} ", value.to_str().expect("text"));
        }
    }
    ([("connection", "x-secret"), ("x-secret", "1"), ("x-kept", "2")], heard + &body)
}

async fn start_socks() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let socks = Socks::new(internet_resolver(&view(lab())), connector().await);
    tokio::spawn(socks::serve(listener, Arc::new(socks)));
    address
}

#[tokio::test]
async fn curl_reaches_an_instance_through_socks_with_names_resolved_there() {
    assert!(on_path("curl"), "curl is needed");
    let proxy = start_socks().await;
    let output = tokio::process::Command::new("curl")
        .args(["-sS", "--noproxy", "", "--max-time", "20", "-d", "hello"])
        .args(["--proxy", &format!("socks5h://{proxy}"), &format!("http://{NAME}/echo")])
        .output()
        .await
        .expect("curl runs");
    let heard = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(heard, format!("/echo host={NAME} hello"), "{output:?}");
}

/// Sends a SOCKS greeting and request, and gives what comes back until the server closes.
async fn socks(proxy: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy).await.expect("connected");
    stream.write_all(bytes).await.expect("written");
    stream.shutdown().await.expect("half closed");
    let mut said = Vec::new();
    // A server that closes while more is on the way resets; what it said before still counts.
    let _ = stream.read_to_end(&mut said).await;
    said
}

#[tokio::test]
async fn socks_says_why_it_cannot() {
    let proxy = start_socks().await;
    let name = |name: &str| [&[3, name.len() as u8], name.as_bytes(), &[0, 80]].concat();
    for (request, reply) in [
        ([&[5, 1, 0, 1], [198, 18, 0, 5, 0, 80].as_slice()].concat(), 0),
        ([&[5, 1, 0, 1], [198, 18, 0, 5, 0, 81].as_slice()].concat(), 5),
        ([&[5, 1, 0, 1], [203, 0, 113, 99, 0, 80].as_slice()].concat(), 4),
        ([[5, 1, 0].as_slice(), &name("nobody.invalid")].concat(), 4),
        ([[5, 1, 0].as_slice(), &name("198.18.0.5")].concat(), 0),
        (
            [[5, 1, 0].as_slice(), &name("EC2-198-18-0-5.ap-northeast-2.compute.amazonaws.com.")]
                .concat(),
            0,
        ),
        ([[5, 2, 0].as_slice(), &name(NAME)].concat(), 7),
        ([[5, 3, 0, 1].as_slice(), &[198, 18, 0, 5, 0, 80]].concat(), 7),
        ([[5, 1, 0, 4].as_slice(), &[0; 18]].concat(), 8),
        ([[5, 1, 0, 9].as_slice(), &[0; 18]].concat(), 8),
    ] {
        let said = socks(proxy, &[&[5, 2, 2, 0], request.as_slice()].concat()).await;
        assert_eq!(said.get(..4), Some([5, 0, 5, reply].as_slice()), "{request:?}");
    }
    assert_eq!(socks(proxy, &[5, 1, 2]).await, [5, 0xff], "only with a password");
    assert!(socks(proxy, b"GET / HTTP/1.1\r\n\r\n").await.is_empty(), "not SOCKS");
    assert!(socks(proxy, &[4, 1, 0, 80]).await.is_empty(), "SOCKS 4");
}

/// Asks the virtual hosts with an authority, as a browser does.
async fn forward(
    method: &str,
    authority: &str,
    path: &str,
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let hosts = VirtualHosts::new(internet_resolver(&view(lab())), connector().await);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority)
        .header("connection", "x-hop, upgrade")
        .header("x-hop", "1")
        .header("x-end", "2")
        .header("upgrade", "websocket")
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let (head, body) = hosts.forward(request).await.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    (head.status, head.headers, String::from_utf8(body.into()).expect("text"))
}

#[tokio::test]
async fn a_browser_reaches_an_instance_below_localhost() {
    let authority = format!("{NAME}.localhost:4566");
    let (status, headers, heard) = forward("POST", &authority, "/echo?q=1", "hello").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(heard, format!("/echo?q=1 host={NAME} x-end=2 hello"), "hop by hop is left out");
    assert!(!headers.contains_key("x-secret") && headers.contains_key("x-kept"));
    let (status, headers, _) = forward("GET", &authority, "/page", "").await;
    assert_eq!(status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(headers["location"], format!("http://{authority}/page/"));
}

#[tokio::test]
async fn what_cannot_be_forwarded_is_said() {
    for (authority, status, said) in [
        ("a.invalid.localhost", StatusCode::BAD_GATEWAY, "nobody in the simulated internet"),
        ("example.com.localhost:1", StatusCode::BAD_GATEWAY, "cannot be reached at port 80"),
        ("localhost:4566", StatusCode::BAD_REQUEST, "no public name below localhost"),
    ] {
        let (found, _, text) = forward("GET", authority, "/", "").await;
        assert_eq!(found, status, "{authority}");
        assert!(text.contains(said), "{text}");
    }
}
