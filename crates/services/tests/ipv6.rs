//! The services of a VPC over IPv6: who is let in, and what is said about IPv6. A caller at ::1 is
//! the first interface of PUBLIC-01.

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use common::*;
use gureum_services::{
    ca::Ca,
    caller::Allowance,
    dns::{self, Found, Resolver, VpcResolver},
    imds::{self, Imds},
    sntp,
};
use gureum_types::{InstanceId, PortIndex, view::ServiceView};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

const LOOPBACK: &str = "[::1]:0";
const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";

/// The lab with IPv6: PUBLIC-01 has two addresses in a block of its subnet.
fn dual_stack(metadata_over_ipv6: bool) -> ServiceView {
    let mut lab = lab();
    let port = PortIndex(PUBLIC_01);
    let interface = Arc::make_mut(lab.interfaces.get_mut(&port).expect("an interface"));
    interface.ipv6_addresses =
        ["2001:db8:1:1::5", "2001:db8:1:1::6"].map(|text| text.parse().expect("one")).into();
    interface.subnet_ipv6_cidr_block = Some("2001:db8:1:1::/64".parse().expect("a block"));
    let vpc = Arc::make_mut(lab.vpcs.get_mut(&interface.vpc_id).expect("a VPC"));
    vpc.ipv6_cidr_blocks =
        ["2001:db8:1::/56", "2001:db8:2::/56"].map(|text| text.parse().expect("one")).into();
    let instance = lab.instances.get_mut(&InstanceId::new(1)).expect("an instance");
    Arc::make_mut(instance).metadata_options.ipv6 = metadata_over_ipv6;
    lab
}

async fn metadata(view: ServiceView) -> (SocketAddr, tempfile::TempDir) {
    let listener = TcpListener::bind(LOOPBACK).await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let directory = tempfile::tempdir().expect("a directory");
    let ca = Arc::new(Ca::open(directory.path()).expect("an authority"));
    let allowance = Arc::new(Allowance::default());
    let imds = Imds::new(common::view(view), identify(), allowance, ca, [7; 32]);
    tokio::spawn(imds::serve(listener, Arc::new(imds)));
    (address, directory)
}

async fn ask(server: SocketAddr, request: &str, headers: &str) -> Said {
    let mut stream = TcpStream::connect(server).await.expect("connected");
    let request = format!("{request} HTTP/1.1\r\nHost: [fd00:ec2::254]\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("in time").expect("read");
    parse(&said)
}

#[tokio::test]
async fn imds_1_answers_over_ipv6_only_where_that_is_enabled() {
    for (enabled, status) in [(true, 200), (false, 403)] {
        let (server, _ca) = metadata(dual_stack(enabled)).await;
        assert_eq!(ask(server, "GET /latest/meta-data/instance-id", "").await.status, status);
        assert_eq!(ask(server, "PUT /latest/api/token", TTL).await.status, status);
    }
    let mut off = dual_stack(true);
    let instance = off.instances.get_mut(&InstanceId::new(1)).expect("an instance");
    Arc::make_mut(instance).metadata_options.enabled = false;
    let (server, _ca) = metadata(off).await;
    assert_eq!(ask(server, "GET /latest/meta-data/", "").await.status, 403, "IMDS-5");
}

#[tokio::test]
async fn imds_24_shows_the_addresses_and_blocks_of_ipv6() {
    let (server, _ca) = metadata(dual_stack(true)).await;
    let value = async |path: &str| {
        let said = ask(server, &format!("GET /latest/meta-data/{path}"), "").await;
        assert_eq!(said.status, 200, "{path}");
        said.text().to_owned()
    };
    let mac = "network/interfaces/macs/02:00:00:00:00:02";
    for (path, text) in [
        ("ipv6".to_owned(), "2001:db8:1:1::5"),
        (format!("{mac}/ipv6s"), "2001:db8:1:1::5\n2001:db8:1:1::6"),
        (format!("{mac}/subnet-ipv6-cidr-blocks"), "2001:db8:1:1::/64"),
        (format!("{mac}/vpc-ipv6-cidr-blocks"), "2001:db8:1::/56\n2001:db8:2::/56"),
    ] {
        assert_eq!(value(&path).await, text, "{path}");
    }
    // The second interface is in a subnet without IPv6, and of the same VPC.
    let listing = value("network/interfaces/macs/02:00:00:00:00:03/").await;
    let lines: Vec<_> = listing.lines().filter(|line| line.contains("ipv6")).collect();
    assert_eq!(lines, ["vpc-ipv6-cidr-blocks"]);
}

/// A subnet of IPv6 only: nothing is said about IPv4 that is not there.
#[tokio::test]
async fn imds_24_leaves_out_ipv4_where_there_is_none() {
    let mut view = dual_stack(true);
    let port = PortIndex(PUBLIC_01);
    let interface = Arc::make_mut(view.interfaces.get_mut(&port).expect("an interface"));
    interface.private_addresses.clear();
    interface.public_addresses.clear();
    interface.subnet_cidr_block = None;
    let (server, _ca) = metadata(view).await;
    for path in ["", "network/interfaces/macs/02:00:00:00:00:02/"] {
        let said = ask(server, &format!("GET /latest/meta-data/{path}"), "").await;
        let left = ["local-ipv4", "local-ipv4s", "public-ipv4", "subnet-ipv4-cidr-block"];
        let found: Vec<_> = said.text().lines().filter(|line| left.contains(line)).collect();
        assert_eq!(found, [] as [&str; 0], "{path}");
    }
}

/// As in `imds_7`, over IPv6: a client that takes no packet with a hop limit below 2.
const FAR_CLIENT: &str = r#"
import socket, sys
port, request = int(sys.argv[1]), sys.argv[2]
s = socket.socket(socket.AF_INET6)
s.settimeout(0.7 if sys.argv[3] == "lost" else 20)
s.connect(("::1", port))
s.setsockopt(socket.IPPROTO_IPV6, 73, 2)  # IPV6_MINHOPCOUNT
s.sendall(request.encode())
try:
    sys.stdout.write(s.recv(100).decode().split("\r\n")[0])
except socket.timeout:
    sys.stdout.write("lost")
"#;

#[tokio::test]
async fn imds_7_the_hop_limit_holds_over_ipv6() {
    assert!(on_path("python3"), "python3 is needed to see the hop limit of a TCP answer");
    let put = format!("PUT /latest/api/token HTTP/1.1\r\nHost: h\r\n{TTL}\r\n");
    let get = "GET /latest/meta-data/ami-id HTTP/1.1\r\nHost: h\r\n\r\n";
    for (hop_limit, request, heard) in
        [(1, put.as_str(), "lost"), (1, get, "HTTP/1.1 200 OK"), (2, &put, "HTTP/1.1 200 OK")]
    {
        let mut view = dual_stack(true);
        let instance = view.instances.get_mut(&InstanceId::new(1)).expect("an instance");
        Arc::make_mut(instance).metadata_options.hop_limit = hop_limit;
        let (server, _ca) = metadata(view).await;
        let output = tokio::process::Command::new("python3")
            .args(["-c", FAR_CLIENT, &server.port().to_string(), request, heard])
            .stderr(std::process::Stdio::inherit())
            .output()
            .await
            .expect("python3 runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), heard, "{request}");
    }
}

/// DHCP-6: the time over IPv6, for callers that are an interface.
#[tokio::test]
async fn dhcp_6_the_time_is_told_over_ipv6() {
    let server = UdpSocket::bind(LOOPBACK).await.expect("a socket");
    let address = server.local_addr().expect("an address");
    tokio::spawn(sntp::serve(server, identify(), Arc::new(Allowance::new(1))));
    let client = UdpSocket::bind(LOOPBACK).await.expect("a socket");
    let mut request = [0; 48];
    request[0] = 4 << 3 | 3;
    client.send_to(&request, address).await.expect("sent");
    let mut reply = [0; 100];
    let heard = tokio::time::timeout(Duration::from_secs(20), client.recv(&mut reply)).await;
    assert_eq!(heard.expect("in time").expect("an answer"), 48);
    assert_eq!(reply[0] & 7, 4, "a server's answer");
}

fn resolver(lab: ServiceView) -> VpcResolver {
    let view = view(lab);
    let internet = internet_resolver(&view);
    VpcResolver::new(view, identify(), Arc::new(Allowance::new(1024)), internet)
}

fn found(resolver: &VpcResolver, name: &str) -> String {
    let caller = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 40_000));
    assert!(resolver.admits(caller), "an interface over IPv6");
    match resolver.find(caller, name).expect("an answer").found {
        Found::Addresses(addresses) => {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn dns_7_resource_names_have_an_ipv6_address_where_that_is_on() {
    let name = format!("{}.ap-northeast-2.compute.internal", InstanceId::new(1));
    for (v4, v6, answer) in [
        (true, false, "10.1.1.5"),
        (false, true, "2001:db8:1:1::5"),
        (true, true, "10.1.1.5 2001:db8:1:1::5"),
        (false, false, "Nothing"),
    ] {
        let mut lab = dual_stack(false);
        let instance = lab.instances.get_mut(&InstanceId::new(1)).expect("an instance");
        let instance = Arc::make_mut(instance);
        instance.resource_name_dns_a_record = v4;
        instance.resource_name_dns_aaaa_record = v6;
        assert_eq!(found(&resolver(lab), &name), answer);
    }
}

#[test]
fn hosts_of_the_internet_have_ipv6_addresses_and_names_for_them() {
    let resolver = resolver(dual_stack(false));
    for (name, answer) in [
        ("google.com", "192.0.2.10 2001:db8:8000:1::10"),
        ("ipv4.icanhazip.com", "203.0.113.22"),
        ("ipv6.icanhazip.com", "2001:db8:8000:2::23"),
        ("github.com", "203.0.113.40"),
        ("amazonlinux-2-repos-x.s3.x.amazonaws.com", "203.0.113.131"),
        ("amazonlinux-2-repos-x.s3.dualstack.x.amazonaws.com", "203.0.113.130 2001:db8:8000:2::30"),
        (
            "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.8.8.b.d.0.1.0.0.2.ip6.arpa",
            "Pointer(\"google.com\")",
        ),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.8.8.b.d.0.1.0.0.2.ip6.arpa", "Missing"),
    ] {
        assert_eq!(found(&resolver, name), answer, "{name}");
    }
}

/// DNS-1: the same answers over IPv6, by UDP and TCP.
#[tokio::test]
async fn dns_1_questions_are_answered_over_ipv6() {
    if !on_path("dig") {
        return;
    }
    let resolver: Arc<dyn Resolver> = Arc::new(resolver(dual_stack(false)));
    let (socket, listener) = loop {
        let socket = UdpSocket::bind(LOOPBACK).await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        // Another program may have the TCP one already.
        if let Ok(listener) = TcpListener::bind(address).await {
            break (socket, listener);
        }
    };
    let port = socket.local_addr().expect("an address").port().to_string();
    tokio::spawn(dns::serve_udp(socket, Arc::clone(&resolver)));
    tokio::spawn(dns::serve_tcp(listener, resolver));
    for transport in ["+notcp", "+tcp"] {
        let output = tokio::process::Command::new("dig")
            .args(["@::1", "-p", &port, "+short", transport, "AAAA", "google.com"])
            .output()
            .await
            .expect("dig runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.trim_end(), "2001:db8:8000:1::10", "{transport}");
    }
}
