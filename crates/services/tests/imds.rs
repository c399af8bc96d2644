//! The metadata service over real sockets, anchor by anchor.

mod common;

use std::{net::SocketAddr, process::Stdio, sync::Arc, time::UNIX_EPOCH};

use common::*;
use gureum_services::{
    ca::Ca,
    caller::{Allowance, Identify, View},
    imds::{self, Imds},
};
use gureum_types::{
    InstanceId, PortIndex, Tags, Timestamp,
    record::{ConnectKey, SessionCredential, SessionPrincipal},
    view::{InstanceProfileView, ProfileGives, ServiceView},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

const V1: &[&str] = &[];
const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds: 21600";

struct Service {
    address: SocketAddr,
    view: View,
    _ca: tempfile::TempDir,
}

async fn start(lab: ServiceView) -> Service {
    start_with(lab, Allowance::default()).await
}

async fn start_with(lab: ServiceView, allowance: Allowance) -> Service {
    start_at("127.0.0.1:0", identify(), lab, allowance).await
}

async fn start_at(
    address: &str,
    identify: Identify,
    lab: ServiceView,
    allowance: Allowance,
) -> Service {
    let listener = TcpListener::bind(address).await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let directory = tempfile::tempdir().expect("a directory");
    let ca = Arc::new(Ca::open(directory.path()).expect("an authority"));
    let view = view(lab);
    let imds = Imds::new(Arc::clone(&view), identify, Arc::new(allowance), ca, [7; 32]);
    tokio::spawn(imds::serve(listener, Arc::new(imds)));
    Service { address, view, _ca: directory }
}

impl Service {
    async fn get(&self, port: u32, path: &str) -> Said {
        http(port, self.address, "GET", path, V1).await
    }

    async fn value(&self, port: u32, path: &str) -> String {
        let said = self.get(port, &format!("/latest/{path}")).await;
        assert_eq!(said.status, 200, "{path}");
        said.text().to_owned()
    }

    async fn status(&self, port: u32, method: &str, path: &str, headers: &[&str]) -> u16 {
        http(port, self.address, method, path, headers).await.status
    }

    async fn token(&self, port: u32) -> String {
        let said = http(port, self.address, "PUT", "/latest/api/token", &[TTL]).await;
        assert_eq!(said.status, 200);
        said.text().to_owned()
    }
}

/// Changes one instance of a view.
fn change(
    lab: &mut ServiceView,
    number: u64,
    change: impl FnOnce(&mut gureum_types::view::InstanceView),
) {
    let instance = lab.instances.get_mut(&InstanceId::new(number)).expect("an instance");
    change(Arc::make_mut(instance));
}

#[tokio::test]
async fn imds_2_each_interface_reads_of_itself() {
    let service = start(lab()).await;
    let id = |number| InstanceId::new(number).to_string();
    let path = "meta-data/instance-id";
    assert_eq!(service.value(PUBLIC_01, path).await, id(1));
    assert_eq!(service.value(SECOND_INTERFACE, path).await, id(1), "any interface of it");
    assert_eq!(service.value(OVERLAPPING, path).await, id(3), "the same address, another VPC");
    for nobody in [UNKNOWN, UNATTACHED] {
        assert_eq!(service.get(nobody, "/latest/meta-data/").await.status, 404);
    }
}

#[tokio::test]
async fn imds_3_a_token_is_got_by_put_and_echoes_its_life() {
    let service = start(lab()).await;
    let said = http(PRIVATE_01, service.address, "PUT", "/latest/api/token", &[TTL]).await;
    assert_eq!((said.status, said.body.len()), (200, 56));
    assert_eq!(said.header("content-type"), Some("text/plain"));
    assert_eq!(said.header("x-aws-ec2-metadata-token-ttl-seconds"), Some("21600"));
    let header = format!("X-aws-ec2-metadata-token: {}", said.text());
    for method in ["GET", "HEAD"] {
        let path = "/latest/meta-data/instance-id";
        let said = http(PRIVATE_01, service.address, method, path, &[&header]).await;
        assert_eq!(said.status, 200, "{method}");
        assert_eq!(said.body.is_empty(), method == "HEAD");
    }
}

#[tokio::test]
async fn imds_4_a_token_is_good_on_its_own_instance_only() {
    let service = start(lab()).await;
    let token = service.token(PRIVATE_01).await;
    let header = format!("X-aws-ec2-metadata-token: {token}");
    let path = "/latest/meta-data/instance-id";
    assert_eq!(service.status(PRIVATE_01, "GET", path, &[&header]).await, 200);
    assert_eq!(service.status(PUBLIC_01, "GET", path, &[&header]).await, 401);
    let of_public = format!("X-aws-ec2-metadata-token: {}", service.token(PUBLIC_01).await);
    assert_eq!(service.status(SECOND_INTERFACE, "GET", path, &[&of_public]).await, 200);
}

#[tokio::test]
async fn imds_5_bad_requests_have_their_status() {
    let service = start(lab()).await;
    let token = "/latest/api/token";
    for (method, path, headers, status) in [
        ("PUT", token, &[] as &[&str], 400),
        ("PUT", token, &["X-aws-ec2-metadata-token-ttl-seconds: 0"], 400),
        ("PUT", token, &["X-aws-ec2-metadata-token-ttl-seconds: 21601"], 400),
        ("PUT", token, &["X-aws-ec2-metadata-token-ttl-seconds: -1"], 400),
        ("PUT", token, &["X-aws-ec2-metadata-token-ttl-seconds: an hour"], 400),
        ("PUT", token, &["X-aws-ec2-metadata-token-ttl-seconds: 1"], 200),
        ("PUT", token, &[TTL, "X-Forwarded-For: 192.0.2.1"], 403),
        ("PUT", token, &[TTL, "Content-Length: 100000"], 400),
        ("PUT", "/2021-03-23/api/token", &[TTL], 403),
        ("PUT", "/latest/meta-data/ami-id", &[TTL], 405),
        ("POST", token, &[TTL], 405),
        ("DELETE", "/latest/meta-data/ami-id", &[], 405),
        ("GET", token, &[], 405),
        ("GET", "/latest/meta-data/ami-id", &["X-Forwarded-For: 192.0.2.1"], 200),
        ("GET", "/latest/meta-data/ami-id", &["X-aws-ec2-metadata-token: forged"], 401),
        ("GET", "/latest/meta-data/nothing", &[], 404),
        ("GET", "/latest/meta-data/ami-id/below", &[], 404),
        ("GET", "/latest/user-data/below", &[], 404),
        ("GET", "/latest/nothing", &[], 404),
        ("GET", "/newest/meta-data/", &[], 404),
        ("GET", "/favicon.ico", &[], 404),
    ] {
        // The body that a header announces is sent: it is too long, not missing.
        let said = if headers.iter().any(|header| header.starts_with("Content-Length")) {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", headers.join("\r\n"));
            let request = [request.as_bytes(), &vec![b'x'; 100_000]].concat();
            parse(&exchange(PUBLIC_01, service.address, &request).await.expect("an exchange"))
        } else {
            http(PUBLIC_01, service.address, method, path, headers).await
        };
        assert_eq!(said.status, status, "{method} {path} {headers:?}");
    }
    for (method, path, headers) in
        [("GET", "/", V1), ("GET", "/latest/meta-data/", V1), ("PUT", token, &[TTL])]
    {
        assert_eq!(service.status(NO_SUPPORT, method, path, headers).await, 403, "disabled");
    }
}

#[tokio::test]
async fn imds_6_without_a_token_where_one_is_required_nothing_is_said() {
    let service = start(lab()).await;
    for path in ["/", "/latest/meta-data/", "/latest/user-data", "/latest/nothing"] {
        assert_eq!(service.get(PRIVATE_01, path).await.status, 401, "{path}");
    }
    // IMDS-9: what the owner changes holds for the next request.
    let mut changed = lab();
    change(&mut changed, 2, |instance| instance.metadata_options.tokens_required = false);
    service.view.store(Arc::new(changed));
    assert_eq!(service.get(PRIVATE_01, "/latest/meta-data/").await.status, 200);
}

/// A client that takes no packet with a TTL below 2 stands for one that is a hop away.
const FAR_CLIENT: &str = r#"
import socket, sys
port, source, request = int(sys.argv[1]), sys.argv[2], sys.argv[3]
s = socket.socket()
s.bind((source, 0))
s.settimeout(0.7 if sys.argv[4] == "lost" else 20)
s.connect(("127.0.0.1", port))
s.setsockopt(socket.IPPROTO_IP, 21, 2)  # IP_MINTTL
s.sendall(request.encode())
try:
    sys.stdout.write(s.recv(100).decode().split("\r\n")[0])
except socket.timeout:
    sys.stdout.write("lost")
"#;

#[tokio::test]
async fn imds_7_the_answer_with_a_token_goes_as_far_as_the_hop_limit() {
    assert!(on_path("python3"), "python3 is needed to see the TTL of a TCP answer");
    let mut lab = lab();
    change(&mut lab, 3, |instance| instance.metadata_options.hop_limit = 2);
    let service = start(lab).await;
    let put = format!("PUT /latest/api/token HTTP/1.1\r\nHost: h\r\n{TTL}\r\n\r\n");
    let get = "GET /latest/meta-data/ami-id HTTP/1.1\r\nHost: h\r\n\r\n";
    for (caller, request, heard) in [
        (PUBLIC_01, put.as_str(), "lost"),
        (PUBLIC_01, get, "HTTP/1.1 200 OK"),
        (OVERLAPPING, put.as_str(), "HTTP/1.1 200 OK"),
    ] {
        let output = tokio::process::Command::new("python3")
            .args(["-c", FAR_CLIENT, &service.address.port().to_string()])
            .args([&peer(caller).to_string(), request, heard])
            .stderr(Stdio::inherit())
            .output()
            .await
            .expect("python3 runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), heard, "{request}");
    }
}

#[tokio::test]
async fn imds_11_directories_list_and_leaves_have_their_kind() {
    let service = start(lab()).await;
    let listing = service.value(PUBLIC_01, "meta-data/").await;
    assert_eq!(listing, service.value(PUBLIC_01, "meta-data").await, "with and without a slash");
    assert!(listing.lines().any(|line| line == "network/") && !listing.ends_with('\n'));
    let mut sorted: Vec<_> = listing.lines().collect();
    sorted.sort_unstable();
    assert_eq!(listing.lines().collect::<Vec<_>>(), sorted);
    let said = service.get(PUBLIC_01, "/latest/user-data").await;
    assert_eq!(said.header("content-type"), Some("application/octet-stream"));
    assert_eq!(said.body, USER_DATA, "IMDS-33: byte for byte");
    let said = service.get(OVERLAPPING, "/latest/user-data").await;
    assert_eq!(said.status, 404, "no user data");
    assert_eq!(said.header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn imds_11a_a_leaf_answers_with_a_trailing_slash_too() {
    let service = start(lab()).await;
    let leaf = service.value(PUBLIC_01, "meta-data/ami-id").await;
    assert_eq!(service.value(PUBLIC_01, "meta-data/ami-id/").await, leaf);
    let header = format!("X-aws-ec2-metadata-token: {}", service.token(PRIVATE_01).await);
    let path = "/latest/meta-data/placement/availability-zone/";
    let said = http(PRIVATE_01, service.address, "GET", path, &[&header]).await;
    assert_eq!(said.text(), "ap-northeast-2a", "version 2");
}

#[tokio::test]
async fn imds_12_versions_are_listed_and_all_mean_the_latest() {
    let service = start(lab()).await;
    let versions = service.get(PUBLIC_01, "/").await;
    let versions: Vec<_> = versions.text().lines().collect();
    assert_eq!((versions.first(), versions.last()), (Some(&"1.0"), Some(&"latest")));
    for version in versions {
        let said = service.get(PUBLIC_01, &format!("/{version}/")).await;
        assert_eq!(said.text(), "dynamic\nmeta-data\nuser-data", "{version}");
    }
    assert_eq!(service.get(OVERLAPPING, "/latest/").await.text(), "dynamic\nmeta-data");
}

#[tokio::test]
async fn imds_13_an_instance_that_asks_too_much_waits_and_others_do_not() {
    let service = start_with(lab(), Allowance::new(5)).await;
    let get = b"GET /latest/meta-data/ami-id HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut closed = false;
    for _ in 0..60 {
        closed |=
            exchange(PUBLIC_01, service.address, get).await.map_or(true, |said| said.is_empty());
    }
    assert!(closed, "sixty requests are too much for a second or two of five each");
    assert_eq!(service.get(PRIVATE_01, "/").await.status, 401, "another instance");
}

#[tokio::test]
async fn imds_13_idle_connections_of_one_instance_leave_room_for_others() {
    let service = start(lab()).await;
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..80 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((peer(PUBLIC_01), 0).into()).expect("bound");
        idle.push(socket.connect(service.address).await.expect("connected"));
    }
    assert_eq!(service.get(OVERLAPPING, "/").await.status, 200);
    let refused = exchange(PUBLIC_01, service.address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(refused.map_or(true, |said| said.is_empty()), "the 65th of one instance");
}

#[tokio::test]
async fn imds_21_public_items_come_and_go_with_the_address_and_the_names() {
    let service = start(lab()).await;
    assert_eq!(service.value(PUBLIC_01, "meta-data/public-ipv4").await, "198.18.0.5");
    assert_eq!(
        service.value(PUBLIC_01, "meta-data/public-hostname").await,
        "ec2-198-18-0-5.ap-northeast-2.compute.amazonaws.com"
    );
    let get = |caller, item: &'static str| {
        let service = &service;
        async move { service.get(caller, &format!("/latest/meta-data/{item}")).await.status }
    };
    for item in ["public-ipv4", "public-hostname"] {
        assert_eq!(get(OVERLAPPING, item).await, 404, "no address: {item}");
    }
    assert_eq!(get(NO_HOSTNAMES, "public-ipv4").await, 200);
    assert_eq!(get(NO_HOSTNAMES, "public-hostname").await, 404, "no names");
}

#[tokio::test]
async fn imds_22_a_key_is_there_when_the_instance_was_launched_with_one() {
    let service = start(lab()).await;
    assert_eq!(service.value(PUBLIC_01, "meta-data/public-keys/").await, "0=imd-key");
    assert_eq!(service.value(PUBLIC_01, "meta-data/public-keys/0/").await, "openssh-key");
    assert_eq!(service.value(PUBLIC_01, "meta-data/public-keys/0/openssh-key").await, KEY);
    assert_eq!(service.get(OVERLAPPING, "/latest/meta-data/public-keys/").await.status, 404);
}

/// As the SSH server of an instance asks for the keys of EC2 Instance Connect.
#[tokio::test]
async fn keys_for_a_minute_are_shown_until_it_is_over() {
    let now = i64::try_from(UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).expect("soon");
    let key = |user: &str, key: &str, until: i64| ConnectKey {
        user: user.to_owned(),
        key: key.to_owned(),
        until: Timestamp(until),
    };
    let mut lab = lab();
    change(&mut lab, 1, |instance| {
        instance.connect_keys = vec![
            key("ec2-user", "ssh-ed25519 one", now + 60_000),
            key("ec2-user", "ssh-ed25519 over", now - 60_000),
            key("ec2-user", "ssh-ed25519 two", now + 60_000),
            key("admin", "ssh-ed25519 over", now - 60_000),
        ];
    });
    let service = start(lab).await;
    let keys = "meta-data/managed-ssh-keys/active-keys/";
    assert_eq!(service.value(PUBLIC_01, keys).await, "ec2-user");
    let shown = service.value(PUBLIC_01, &format!("{keys}ec2-user")).await;
    assert_eq!(shown, "ssh-ed25519 one\nssh-ed25519 two");
    assert_eq!(service.get(PUBLIC_01, &format!("/latest/{keys}admin")).await.status, 404);
    let none = "/latest/meta-data/managed-ssh-keys/";
    assert_eq!(service.get(OVERLAPPING, none).await.status, 404);
}

#[tokio::test]
async fn imds_29_tags_are_shown_only_where_the_options_say_so() {
    let mut lab = lab();
    change(&mut lab, 1, |instance| instance.metadata_options.tags = true);
    let service = start(lab).await;
    assert_eq!(service.value(PUBLIC_01, "meta-data/tags/instance").await, "Name\na@b");
    assert_eq!(service.value(PUBLIC_01, "meta-data/tags/instance/Name").await, "instance-1");
    assert_eq!(service.value(PUBLIC_01, "meta-data/tags/instance/a%40b").await, "값");
    assert_eq!(service.get(OVERLAPPING, "/latest/meta-data/tags/").await.status, 404);
}

#[tokio::test]
async fn imds_26_there_is_no_iam_without_a_profile() {
    let service = start(lab()).await;
    for path in ["iam/", "iam/info", "iam/security-credentials/"] {
        let path = format!("/latest/meta-data/{path}");
        assert_eq!(service.get(PUBLIC_01, &path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn imds_31_the_identity_document_is_signed_by_our_authority() {
    assert!(on_path("openssl"), "openssl is needed to check the signature");
    let service = start(lab()).await;
    let identity = "dynamic/instance-identity";
    let document = service.value(PUBLIC_01, &format!("{identity}/document")).await;
    let signature = service.value(PUBLIC_01, &format!("{identity}/signature")).await;
    assert!(signature.lines().all(|line| line.len() <= 64), "{signature}");
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let (document, signature) = (file("document", &document), file("signature", &signature));
    let script = "openssl x509 -in \"$1\" -noout -pubkey > key.pem && \
                  openssl base64 -d -in \"$3\" -out signature.der && \
                  openssl dgst -sha256 -verify key.pem -signature signature.der \"$2\"";
    let output = std::process::Command::new("sh")
        .current_dir(directory.path())
        .args(["-c", script, "sh"])
        .args([&service._ca.path().join("ca.pem"), &document, &signature])
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{output:?}");
}

/// Walks every listing; each line must lead to something. Gives `path = value` lines.
async fn crawl(service: &Service, port: u32) -> String {
    let mut found = Vec::new();
    let mut open = vec!["/latest/".to_owned()];
    while let Some(directory) = open.pop() {
        let said = service.get(port, &directory).await;
        assert_eq!(said.status, 200, "{directory}");
        assert!(!said.body.is_empty(), "{directory} lists nothing");
        for line in said.text().lines() {
            // What crawlers do: `0=name` is the directory 0, a slash marks a directory, and the
            // three paths below a version are known.
            let path = match line.split_once('=') {
                Some((index, _)) => format!("{directory}{index}/"),
                None => format!("{directory}{line}"),
            };
            let known = matches!(path.as_str(), "/latest/dynamic" | "/latest/meta-data");
            let path = if known { format!("{path}/") } else { path };
            if path.ends_with('/') {
                open.push(path);
                continue;
            }
            let said = service.get(port, &path).await;
            assert_eq!(said.status, 200, "{path}, listed in {directory}");
            let value = match path.as_str() {
                // Another one at each asking.
                "/latest/dynamic/instance-identity/signature" => "(a signature)".to_owned(),
                _ => String::from_utf8_lossy(&said.body).escape_debug().to_string(),
            };
            // The tree was written down on one kind of machine.
            let value = value.replace("\\\"arm64\\\"", "\\\"x86_64\\\"");
            found.push(format!("{path} = {value}\n"));
        }
    }
    found.sort_unstable();
    found.concat()
}

#[tokio::test]
async fn imds_20_to_32_the_whole_tree_is_as_written_down() {
    let mut lab = lab();
    change(&mut lab, 1, |instance| instance.metadata_options.tags = true);
    let service = start(lab).await;
    let tree = crawl(&service, PUBLIC_01).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/imds-tree.txt");
    if std::env::var_os("GUREUM_BLESS").is_some() {
        std::fs::write(path, &tree).expect("written");
    }
    let golden = std::fs::read_to_string(path).expect("the golden tree");
    assert_eq!(tree, golden, "run with GUREUM_BLESS=1 and look at the difference");
    crawl(&service, OVERLAPPING).await;
}

#[tokio::test]
async fn imds_24_ipv6_items_are_there_where_there_is_ipv6() {
    let service = start(lab()).await;
    let mac = "meta-data/network/interfaces/macs/02:00:00:00:00:09";
    for (item, value) in [
        ("meta-data/ipv6".to_owned(), "2001:db8:0:102::a"),
        (format!("{mac}/ipv6s"), "2001:db8:0:102::a\n2001:db8:0:102::b"),
        (format!("{mac}/subnet-ipv6-cidr-blocks"), "2001:db8:0:102::/64"),
        (format!("{mac}/vpc-ipv6-cidr-blocks"), "2001:db8:0:100::/56"),
        (format!("{mac}/vpc-ipv4-cidr-block"), "10.6.0.0/16"),
    ] {
        assert_eq!(service.value(IPV6_ONLY, &item).await, value, "{item}");
    }
    for item in [
        "meta-data/local-ipv4".to_owned(),
        "meta-data/public-ipv4".to_owned(),
        format!("{mac}/local-ipv4s"),
        format!("{mac}/subnet-ipv4-cidr-block"),
    ] {
        assert_eq!(service.get(IPV6_ONLY, &format!("/latest/{item}")).await.status, 404, "{item}");
    }
    let tree = crawl(&service, IPV6_ONLY).await;
    assert!(!tree.contains("0.0.0.0"), "{tree}");
    let mac = "meta-data/network/interfaces/macs/02:00:00:00:00:02";
    for item in ["ipv6s", "subnet-ipv6-cidr-blocks", "vpc-ipv6-cidr-blocks"] {
        let path = format!("/latest/{mac}/{item}");
        assert_eq!(service.get(PUBLIC_01, &path).await.status, 404, "{item}");
    }
    assert_eq!(service.get(PUBLIC_01, "/latest/meta-data/ipv6").await.status, 404);
}

#[tokio::test]
async fn imds_1_ipv6_is_answered_where_the_instance_allows_it() {
    let one: Identify = Arc::new(|peer| peer.is_ipv6().then_some(PortIndex(IPV6_ONLY)));
    let service = start_at("[::1]:0", one, lab(), Allowance::default()).await;
    let ask = async |request: &str| {
        let mut stream = TcpStream::connect(service.address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.expect("an answer");
        parse(&said)
    };
    let get = "GET /latest/meta-data/ipv6 HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(ask(get).await.status, 403, "off by default (IMDS-8)");
    let mut changed = lab();
    change(&mut changed, 6, |instance| instance.metadata_options.ipv6 = true);
    service.view.store(Arc::new(changed));
    assert_eq!(ask(get).await.text(), "2001:db8:0:102::a");
    let put = format!("PUT /latest/api/token HTTP/1.1\r\nHost: h\r\n{TTL}\r\n\r\n");
    assert_eq!(ask(&put).await.status, 200, "with a hop limit of its own kind (IMDS-7)");
}

#[tokio::test]
async fn curl_reads_the_lab_line_and_a_script_of_version_2() {
    assert!(on_path("curl"), "curl is needed");
    let service = start(lab()).await;
    let script = "base=http://127.0.0.1:$1 && \
        curl -sf --interface 127.0.0.2 $base/latest/meta-data/local-ipv4 && echo && \
        t=$(curl -sf --interface 127.0.0.4 -X PUT $base/latest/api/token \
            -H 'X-aws-ec2-metadata-token-ttl-seconds: 60') && \
        curl -sf --interface 127.0.0.4 -H \"X-aws-ec2-metadata-token: $t\" \
            $base/latest/meta-data/local-ipv4";
    let output = tokio::process::Command::new("sh")
        .args(["-c", script, "sh", &service.address.port().to_string()])
        .output()
        .await
        .expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "10.1.1.5\n10.1.11.7", "IMDS-10");
}

/// A profile of the first instance that gives something.
fn with_profile(gives: ProfileGives) -> ServiceView {
    let mut lab = lab();
    change(&mut lab, 1, |instance| {
        instance.instance_profile = Some(InstanceProfileView {
            arn: "arn:aws:iam::123456789012:instance-profile/lab/profile".to_owned(),
            id: "AIPAABCDEFGHIJKLMNOPQ".to_owned(),
            associated: Timestamp(1_630_630_923_045),
            gives,
        });
    });
    lab
}

fn session() -> Arc<SessionCredential> {
    Arc::new(SessionCredential {
        access_key_id: "ASIAABCDEFGHIJKLMNOP".to_owned(),
        secret: "a/secret+of=".to_owned(),
        token: "a/token+of=".to_owned(),
        principal: SessionPrincipal::Root,
        policies: Vec::new(),
        tags: Tags::new(),
        issued: Timestamp(1_630_630_924_000),
        expires: Timestamp(1_630_652_524_000),
    })
}

#[tokio::test]
async fn imds_26_a_profile_is_shown_with_its_role() {
    let service = start(with_profile(ProfileGives::Role("ssm".into(), session()))).await;
    assert!(service.value(PUBLIC_01, "meta-data/").await.lines().any(|line| line == "iam/"));
    assert_eq!(service.value(PUBLIC_01, "meta-data/iam/").await, "info\nsecurity-credentials/");
    let info = "{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"2021-09-03T01:02:04Z\",\n  \
                \"InstanceProfileArn\" : \
                \"arn:aws:iam::123456789012:instance-profile/lab/profile\",\n  \
                \"InstanceProfileId\" : \"AIPAABCDEFGHIJKLMNOPQ\"\n}";
    assert_eq!(service.value(PUBLIC_01, "meta-data/iam/info").await, info);
    let path = "meta-data/iam/security-credentials";
    assert_eq!(service.value(PUBLIC_01, path).await, "ssm", "the role, not the profile");
    assert_eq!(service.value(PUBLIC_01, &format!("{path}/")).await, "ssm");
    for without in ["iam/", "iam/info", "iam/security-credentials/"] {
        let said = service.get(OVERLAPPING, &format!("/latest/meta-data/{without}")).await;
        assert_eq!(said.status, 404, "{without}");
    }
    let other = service.get(PUBLIC_01, &format!("/latest/{path}/other")).await;
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn imds_30_an_instance_has_credentials_of_its_own() {
    let mut lab = lab();
    change(&mut lab, 1, |instance| instance.identity = Some(session()));
    let service = start(lab).await;
    let path = "meta-data/identity-credentials";
    let listed = service.value(PUBLIC_01, "meta-data/").await;
    assert!(listed.lines().any(|line| line == "identity-credentials/"), "{listed}");
    assert_eq!(service.value(PUBLIC_01, path).await, "ec2/");
    let ec2 = format!("{path}/ec2");
    assert_eq!(service.value(PUBLIC_01, &ec2).await, "info\nsecurity-credentials/");
    let info = "{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"2021-09-03T01:02:04Z\",\n  \
                \"AccountId\" : \"123456789012\"\n}";
    assert_eq!(service.value(PUBLIC_01, &format!("{ec2}/info")).await, info);
    let of_role = format!("{ec2}/security-credentials");
    assert_eq!(service.value(PUBLIC_01, &of_role).await, "ec2-instance");
    let said = service.value(PUBLIC_01, &format!("{of_role}/ec2-instance")).await;
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["Code"], &said["Token"]), (&"Success".into(), &"a/token+of=".into()));
    assert_eq!(said["Expiration"], "2021-09-03T07:02:04Z");
    let other = service.get(OVERLAPPING, &format!("/latest/{ec2}/info")).await;
    assert_eq!(other.status, 404, "which has none yet");
}

#[tokio::test]
async fn imds_27_credentials_are_those_that_were_issued() {
    let service = start(with_profile(ProfileGives::Role("ssm".into(), session()))).await;
    let path = "meta-data/iam/security-credentials/ssm";
    let document = "{\n  \"Code\" : \"Success\",\n  \
                    \"LastUpdated\" : \"2021-09-03T01:02:04Z\",\n  \
                    \"Type\" : \"AWS-HMAC\",\n  \
                    \"AccessKeyId\" : \"ASIAABCDEFGHIJKLMNOP\",\n  \
                    \"SecretAccessKey\" : \"a/secret+of=\",\n  \
                    \"Token\" : \"a/token+of=\",\n  \
                    \"Expiration\" : \"2021-09-03T07:02:04Z\"\n}";
    assert_eq!(service.value(PUBLIC_01, path).await, document);
    // Another view, other credentials, without a restart (EC2-18).
    service.view.store(Arc::new(with_profile(ProfileGives::Pending)));
    assert_eq!(service.get(PUBLIC_01, &format!("/latest/{path}")).await.status, 404);
}

#[tokio::test]
async fn imds_28_what_keeps_credentials_away_is_said() {
    let service = start(with_profile(ProfileGives::Unauthorized("ssm".into()))).await;
    let path = "meta-data/iam/security-credentials";
    assert_eq!(service.value(PUBLIC_01, path).await, "ssm");
    for path in ["meta-data/iam/info", &format!("{path}/ssm")] {
        let said = service.value(PUBLIC_01, path).await;
        assert!(said.contains("\"Code\" : \"AssumeRoleUnauthorizedAccess\""), "{said}");
        assert!(said.contains("\"Message\" : \"EC2 cannot assume the role ssm. "), "{said}");
    }
    service.view.store(Arc::new(with_profile(ProfileGives::Deleted)));
    let said = service.value(PUBLIC_01, "meta-data/iam/info").await;
    assert!(said.contains("\"Code\" : \"InstanceProfileNotFound\""), "{said}");
    assert!(said.contains("AIPAABCDEFGHIJKLMNOPQ cannot be found."), "{said}");
    assert_eq!(service.get(PUBLIC_01, &format!("/latest/{path}/")).await.status, 404);
    service.view.store(Arc::new(with_profile(ProfileGives::NoRole)));
    let said = service.value(PUBLIC_01, "meta-data/iam/info").await;
    assert!(said.contains("\"Code\" : \"Success\""), "{said}");
    assert_eq!(service.get(PUBLIC_01, &format!("/latest/{path}/")).await.status, 404);
}
