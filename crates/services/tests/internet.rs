//! The simulated internet as curl, git, Python and OpenSSL see it.

mod common;

use std::{collections::HashMap, path::Path, process::Output, sync::Arc};

use axum::{Extension, Router, routing::any};
use common::*;
use gureum_services::{
    ca::Ca,
    internet::{Door, DoorService, Hosts, Internet},
};
use gureum_types::Origin;
use tokio::{net::TcpListener, process::Command};

struct Running {
    ports: HashMap<Door, u16>,
    directory: tempfile::TempDir,
}

async fn start() -> Running {
    let directory = tempfile::tempdir().expect("a directory");
    let ca = Arc::new(Ca::open(directory.path()).expect("an authority"));
    let hosts = Arc::new(Hosts::embedded().expect("the embedded hosts"));
    let api = |Extension(origin): Extension<Origin>, request: String| async move {
        let tls = if origin.is_secure { " over TLS" } else { "" };
        format!("the API heard \"{request}\" from {}{tls}", origin.address)
    };
    let api = Router::new().fallback(any(api));
    let resolver = internet_resolver(&view(lab()));
    let internet = Arc::new(Internet::new(Arc::clone(&hosts), resolver, ca, api));
    let mut ports = HashMap::new();
    for door in hosts.doors().filter(|door| !door.is_udp()) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        ports.insert(door, listener.local_addr().expect("an address").port());
        let internet = Arc::clone(&internet);
        tokio::spawn(async move { internet.serve_tcp(door, listener).await.expect("serves") });
    }
    Running { ports, directory }
}

impl Running {
    fn port(&self, address: &str, service: DoorService) -> u16 {
        let address = address.parse().expect("an address");
        self.ports[&Door { address, service }]
    }

    fn ca(&self) -> String {
        self.directory.path().join("ca.pem").display().to_string()
    }

    /// Runs curl with the names of a host leading to it.
    async fn curl(&self, address: &str, arguments: &[&str]) -> Output {
        assert!(on_path("curl"), "curl is needed");
        let to = |number, service| format!(":{number}:127.0.0.1:{}", self.port(address, service));
        let output = plain("curl")
            .args(["-sS", "--max-time", "20", "--cacert", &self.ca()])
            .args(["--connect-to", &to(80, DoorService::Http)])
            .args(["--connect-to", &to(443, DoorService::Https)])
            .args(arguments)
            .output();
        output.await.expect("curl runs")
    }

    async fn body(&self, address: &str, arguments: &[&str]) -> String {
        let output = self.curl(address, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// A program without the proxies and settings of whoever runs the tests.
fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "CURL_HOME"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env("LC_ALL", "C").kill_on_drop(true);
    command
}

#[tokio::test]
async fn an_echo_host_answers_the_address_of_the_caller() {
    let internet = start().await;
    for url in ["http://checkip.amazonaws.com", "https://checkip.amazonaws.com/"] {
        let arguments = ["--interface", "127.0.0.9", url];
        assert_eq!(internet.body("203.0.113.20", &arguments).await, "127.0.0.9\n", "{url}");
    }
    assert_eq!(internet.body("203.0.113.21", &["https://ifconfig.me"]).await, "127.0.0.1\n");
}

#[tokio::test]
async fn a_page_names_its_host() {
    let internet = start().await;
    let page = internet.body("192.0.2.10", &["https://www.google.com/search"]).await;
    assert!(page.contains("<h1>www.google.com</h1>"), "{page}");
    let page = internet.body("192.0.2.11", &["-H", "Host: <b>", "http://example.com"]).await;
    assert!(page.contains("<h1>example.com</h1>"), "{page}");
    let posted = internet.body(
        "192.0.2.11",
        &["-d", "x", "-o", "/dev/null", "-w", "%{http_code}", "http://example.com"],
    );
    assert_eq!(posted.await, "405");
}

#[tokio::test]
async fn a_package_repository_has_mirror_lists_for_its_names() {
    let internet = start().await;
    let region = "ap-northeast-2";
    for (host, path) in [
        ("amazonlinux-2-repos", "/2/core/latest/x86_64/mirror.list"),
        ("al2023-repos", "/core/mirrors/latest/x86_64/mirror.list"),
    ] {
        let suffix = if host == "al2023-repos" { "-de612dc2" } else { "" };
        let name = format!("{host}-{region}{suffix}.s3.dualstack.{region}.amazonaws.com");
        let mirror = internet.body("203.0.113.130", &[&format!("https://{name}{path}")]).await;
        let base = format!("https://{name}{}", path.trim_end_matches("mirror.list"));
        assert_eq!(mirror, format!("{base}\n"));
        let index = format!("{base}repodata/repomd.xml");
        assert!(internet.body("203.0.113.130", &[&index]).await.contains("<repomd"));
        let package = internet.curl("203.0.113.130", &["-f", &format!("{base}httpd.rpm")]).await;
        assert_eq!(package.status.code(), Some(22), "404");
    }
}

#[tokio::test]
async fn the_api_of_the_cloud_is_at_its_names() {
    let internet = start().await;
    for (scheme, tls) in [("http", ""), ("https", " over TLS")] {
        let url = format!("{scheme}://ec2.ap-northeast-2.amazonaws.com/");
        let heard = internet.body("203.0.113.50", &["-d", "Action=DescribeVpcs", &url]).await;
        let from = format!("from 127.0.0.1{tls}");
        assert_eq!(heard, format!("the API heard \"Action=DescribeVpcs\" {from}"));
    }
}

#[tokio::test]
async fn a_certificate_is_for_the_names_of_the_host_only() {
    let internet = start().await;
    let other = internet.curl("192.0.2.10", &["https://example.com"]).await;
    assert_eq!(other.status.code(), Some(35), "no certificate for another host's name");
    let untrusting = internet.curl("192.0.2.10", &["--cacert", "/dev/null", "https://google.com"]);
    assert_ne!(untrusting.await.status.code(), Some(0), "our authority has to be trusted");
    let address = internet.curl("192.0.2.10", &["https://192.0.2.10/"]).await;
    assert!(address.status.success(), "by address, without a name: {address:?}");
}

#[tokio::test]
async fn strict_clients_accept_the_chain() {
    assert!(on_path("python3") && on_path("openssl"), "python3 and openssl are needed");
    let internet = start().await;
    let port = internet.port("203.0.113.40", DoorService::Https);
    let script = "import socket, ssl, sys\n\
        context = ssl.create_default_context(cafile=sys.argv[1])\n\
        context.verify_flags |= ssl.VERIFY_X509_STRICT\n\
        s = socket.create_connection(('127.0.0.1', int(sys.argv[2])), 20)\n\
        print(context.wrap_socket(s, server_hostname='github.com').version())";
    let output = plain("python3")
        .args(["-c", script, &internet.ca(), &port.to_string()])
        .output()
        .await
        .expect("python3 runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "TLSv1.3\n", "{output:?}");
    let output = plain("openssl")
        .args(["verify", "-x509_strict", "-CAfile", &internet.ca(), &internet.ca()])
        .output()
        .await
        .expect("openssl runs");
    assert!(output.status.success(), "{output:?}");
}

async fn clone(internet: &Running, url: &str, into: &Path) -> Output {
    let port = internet.port("203.0.113.40", DoorService::Https);
    plain("git")
        .env("HOME", internet.directory.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSL_CAINFO", internet.ca())
        .args(["-c", &format!("http.curloptResolve=github.com:{port}:127.0.0.1")])
        .args(["clone", "-q", &format!("https://github.com:{port}{url}")])
        .arg(into)
        .output()
        .await
        .expect("git runs")
}

#[tokio::test]
async fn git_clones_the_page_of_the_lab() {
    assert!(on_path("git"), "git is needed");
    let internet = start().await;
    let source =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../internet/git/whchoi98/ec2meta-webpage");
    for (number, suffix) in [".git", ""].iter().enumerate() {
        let copy = internet.directory.path().join(number.to_string());
        let url = format!("/whchoi98/ec2meta-webpage{suffix}");
        let output = clone(&internet, &url, &copy).await;
        assert!(output.status.success(), "{output:?}");
        let names = |directory: &Path| {
            let entries = std::fs::read_dir(directory).expect("a directory");
            let names = entries.map(|entry| entry.expect("an entry").file_name());
            let mut names: Vec<_> = names.filter(|name| name != ".git").collect();
            names.sort();
            names
        };
        assert_eq!(names(&copy), names(Path::new(source)), "every file of the folder is served");
        for name in names(&copy) {
            let read = |directory: &Path| std::fs::read(directory.join(&name)).expect("a file");
            assert_eq!(read(&copy), read(Path::new(source)), "{name:?}");
        }
        let check = plain("git")
            .arg("-C")
            .arg(&copy)
            .args(["fsck", "--strict", "--full"])
            .output()
            .await
            .expect("git runs");
        assert!(check.status.success(), "{check:?}");
    }
    let nothing = internet.directory.path().join("nothing");
    let output = clone(&internet, "/whchoi98/nothing.git", &nothing).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not found"), "{output:?}");
}

#[tokio::test]
async fn the_git_host_is_at_https() {
    let internet = start().await;
    let arguments = ["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"];
    let url = "http://github.com/whchoi98/ec2meta-webpage.git?x=1";
    let said = internet.body("203.0.113.40", &[&arguments[..], &[url]].concat()).await;
    assert_eq!(said, "301 https://github.com/whchoi98/ec2meta-webpage.git?x=1");
    let url = "https://github.com/whchoi98/ec2meta-webpage";
    assert!(internet.body("203.0.113.40", &[url]).await.contains("clone it with git"));
}
