//! The services of AWS behind endpoints, as curl sees them: certificates, and who the API hears.

mod common;

use std::{net::IpAddr, process::Output, sync::Arc};

use axum::{Extension, Router, routing::any};
use common::*;
use gureum_services::{
    ca::Ca,
    endpoint::{Call, Endpoints, Locate},
    internet::{Hosts, Internet},
};
use gureum_types::{Origin, PortIndex};
use tokio::{net::TcpListener, process::Command};

/// Where endpoints are on loopback: a call to 127.0.1.N is one to the endpoint behind port N.
const HERE: &str = "127.0.1";

struct Running {
    directory: tempfile::TempDir,
    plain: u16,
    secure: u16,
}

/// A peer at 127.0.0.N is the interface behind port N; of S3's block the second address is called.
fn locate() -> Locate {
    Arc::new(|peer, local| match (peer.ip(), local.ip()) {
        (IpAddr::V4(peer), IpAddr::V4(local)) => {
            let port = |address: std::net::Ipv4Addr| PortIndex(address.octets()[3].into());
            let place = u32::from(port(local) == PortIndex(S3_ENDPOINT));
            Some(Call { caller: (port(peer), 0), callee: (port(local), place) })
        }
        _ => None,
    })
}

async fn start() -> Running {
    let directory = tempfile::tempdir().expect("a directory");
    let ca = Arc::new(Ca::open(directory.path()).expect("an authority"));
    let hosts = Arc::new(Hosts::embedded().expect("the embedded hosts"));
    let api = |Extension(origin): Extension<Origin>| async move { format!("{origin:?}") };
    let api = Router::new().fallback(any(api));
    let view = view(lab());
    let resolver = internet_resolver(&view);
    let internet = Arc::new(Internet::new(hosts, resolver, Arc::clone(&ca), api));
    let endpoints = Arc::new(Endpoints::new(view, locate(), ca, internet));
    let mut ports = Vec::new();
    for secure in [false, true] {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a listener");
        ports.push(listener.local_addr().expect("an address").port());
        tokio::spawn(Arc::clone(&endpoints).serve(listener, secure));
    }
    Running { directory, plain: ports[0], secure: ports[1] }
}

impl Running {
    /// Runs curl as an interface, with the names of an endpoint leading to it.
    async fn curl(&self, caller: u32, endpoint: u32, arguments: &[&str]) -> Output {
        assert!(on_path("curl"), "curl is needed");
        let to = |number, port| format!(":{number}:{HERE}.{endpoint}:{port}");
        let ca = self.directory.path().join("ca.pem").display().to_string();
        let output = Command::new("curl")
            .args(["-q", "-sS", "--max-time", "20", "--noproxy", "*", "--cacert", &ca])
            .args(["--interface", &peer(caller).to_string()])
            .args(["--connect-to", &to(80, self.plain), "--connect-to", &to(443, self.secure)])
            .args(arguments)
            .output();
        output.await.expect("curl runs")
    }

    async fn heard(&self, caller: u32, endpoint: u32, url: &str) -> String {
        let output = self.curl(caller, endpoint, &[url]).await;
        assert!(output.status.success(), "{url}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

#[tokio::test]
async fn the_api_hears_who_calls_and_by_which_endpoint() {
    let running = start().await;
    let name = |endpoint| format!("vpce-0000000000000000{endpoint}");
    for (caller, endpoint, id, address, url) in [
        (PUBLIC_01, ENDPOINT, 1, "10.1.1.5", format!("https://{TAKEN_OVER}/")),
        (PRIVATE_01, ENDPOINT, 1, "10.1.11.7", format!("https://{REGIONAL}/")),
        (PRIVATE_01, ENDPOINT, 1, "10.1.11.7", format!("https://{ZONAL}/")),
        (PRIVATE_01, ENDPOINT, 1, "10.1.11.7", format!("http://{TAKEN_OVER}/")),
        (PUBLIC_01, S3_ENDPOINT, 2, "10.1.1.5", "https://s3.ap-northeast-2.amazonaws.com/".into()),
        (PUBLIC_01, S3_ENDPOINT, 2, "10.1.1.5", "https://b.s3.us-east-1.amazonaws.com/".into()),
    ] {
        let heard = running.heard(caller, endpoint, &url).await;
        for part in [&name(id), address, "vpc-00000000000000001", "eni-0000000000000000"] {
            assert!(heard.contains(part), "{url}: {part} in {heard}");
        }
    }
}

/// VPCE-8: a certificate for the service's names, and for no other.
#[tokio::test]
async fn a_certificate_is_the_services_own() {
    let running = start().await;
    let other = running.curl(PUBLIC_01, ENDPOINT, &["https://ssm.ap-northeast-2.amazonaws.com/"]);
    assert_eq!(other.await.status.code(), Some(60), "the certificate does not fit");
    let untrusting = ["--cacert", "/dev/null", &format!("https://{TAKEN_OVER}/")];
    assert_ne!(running.curl(PUBLIC_01, ENDPOINT, &untrusting).await.status.code(), Some(0));
}

#[tokio::test]
async fn nobody_is_behind_what_is_gone() {
    let running = start().await;
    for (caller, endpoint) in [(UNKNOWN, ENDPOINT), (PUBLIC_01, 77)] {
        let output = running.curl(caller, endpoint, &[&format!("http://{TAKEN_OVER}/")]).await;
        // Closed, whether or not the request was read before.
        assert!(matches!(output.status.code(), Some(52 | 56)), "no answer: {output:?}");
    }
}
