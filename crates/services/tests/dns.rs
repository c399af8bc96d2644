//! The resolver of a VPC and those of the internet, name by name and over real sockets.

mod common;

use std::{net::SocketAddr, sync::Arc};

use common::*;
use gureum_services::{
    caller::{Allowance, View},
    dns::{self, Found, Resolver, VpcResolver},
};
use gureum_types::{InstanceId, VpcId, view::ServiceView};
use tokio::net::{TcpListener, UdpSocket};

const DOMAIN: &str = "ap-northeast-2.compute.internal";
const PUBLIC: &str = "ap-northeast-2.compute.amazonaws.com";

fn resolver(view: &View, limit: u32) -> VpcResolver {
    let allowance = Arc::new(Allowance::new(limit));
    VpcResolver::new(Arc::clone(view), identify(), allowance, internet_resolver(view))
}

fn caller(port: u32) -> SocketAddr {
    (peer(port), 40_000).into()
}

/// What an instance finds, in short.
fn found(port: u32, name: &str) -> String {
    let view = view(lab());
    let resolver = resolver(&view, 1024);
    assert!(resolver.admits(caller(port)));
    shown(resolver.find(caller(port), name).expect("an answer").found)
}

fn shown(found: Found) -> String {
    match found {
        Found::Addresses(addresses) => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            addresses.join(" ")
        }
        Found::Pointer(name) => name,
        Found::Nothing => "nothing".to_owned(),
        Found::Missing => "missing".to_owned(),
    }
}

fn found_outside(name: &str) -> String {
    shown(internet_resolver(&view(lab())).look_up(name).found)
}

#[test]
fn dns_6_and_17_private_names_exist_while_the_address_is_in_use() {
    for (name, answer) in [
        ("ip-10-1-1-5", "10.1.1.5"),
        ("ip-10-1-2-9", "10.1.2.9"),
        ("ip-10-1-1-77", "10.1.1.77"),
        ("ip-10-1-1-6", "missing"),
        ("ip-10-1-1-05", "missing"),
        ("ip-10-1-1", "missing"),
        ("www", "missing"),
        ("a.ip-10-1-1-5", "missing"),
    ] {
        assert_eq!(found(PUBLIC_01, &format!("{name}.{DOMAIN}")), answer, "{name}");
    }
    assert_eq!(found(PUBLIC_01, DOMAIN), "nothing", "the domain itself");
    assert_eq!(found(PUBLIC_01, "ip-10-1-1-5.ec2.internal"), "missing", "another region's");
}

#[test]
fn dns_7_resource_names_have_an_address_where_that_is_on() {
    let name = |number| format!("{}.{DOMAIN}", InstanceId::new(number));
    assert_eq!(found(PUBLIC_01, &name(1)), "10.1.1.5");
    assert_eq!(found(PUBLIC_01, &name(2)), "nothing", "it exists, without a record");
    assert_eq!(found(PUBLIC_01, &name(3)), "missing", "an instance of another VPC");
    assert_eq!(found(PUBLIC_01, &name(9)), "missing", "no instance");
}

/// The IPv6 addresses among what is found.
fn found_ipv6(port: u32, name: &str) -> String {
    let found = found(port, name);
    let addresses: Vec<_> = found.split(' ').filter(|it| it.contains(':')).collect();
    addresses.join(" ")
}

#[test]
fn dns_7_resource_names_have_ipv6_addresses_where_that_is_on() {
    let name = format!("{}.{DOMAIN}", InstanceId::new(6));
    assert_eq!(found(IPV6_ONLY, &name), "2001:db8:0:102::a", "the first one alone");
    let mut off = lab();
    let id = InstanceId::new(6);
    let mut instance = (*off.instances[&id]).clone();
    instance.resource_name_dns_aaaa_record = false;
    off.instances.insert(id, Arc::new(instance));
    let view = view(off);
    let resolver = resolver(&view, 1024);
    let find = |name: &str| shown(resolver.find(caller(IPV6_ONLY), name).expect("one").found);
    assert_eq!(find(&name), "nothing");
    assert_eq!(find(&reverse("a", "201")), "missing", "nor is there a way back");
}

/// The reverse name of 2001:db8:0:1YY::X, its digits from the last.
fn reverse(last: &str, subnet: &str) -> String {
    let zeros = "0.".repeat(15);
    let subnet: Vec<_> = subnet.chars().map(String::from).collect();
    format!("{last}.{zeros}{}.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", subnet.join("."))
}

#[test]
fn ipv6_addresses_of_instances_lead_back_to_resource_names() {
    let name = format!("{}.{DOMAIN}", InstanceId::new(6));
    for last in ["a", "b"] {
        assert_eq!(found(IPV6_ONLY, &reverse(last, "201")), name, "{last}");
    }
    assert_eq!(found(IPV6_ONLY, &reverse("c", "201")), "missing", "nobody has it");
    assert_eq!(found(IPV6_ONLY, &reverse("5", "101")), "missing", "no instance has it");
    assert_eq!(found(PUBLIC_01, &reverse("a", "201")), "missing", "another VPC");
}

#[test]
fn dns_19_ipv6_addresses_are_made_up_for_what_has_ipv4_only() {
    assert_eq!(found_ipv6(IPV6_ONLY, "naver.com"), "64:ff9b::c000:20c", "192.0.2.12");
    assert_eq!(found_ipv6(IPV6_ONLY, &format!("ip-10-6-0-4.{DOMAIN}")), "64:ff9b::a06:4");
    let own = format!("{}.{DOMAIN}", InstanceId::new(6));
    assert_eq!(found_ipv6(IPV6_ONLY, &own), "2001:db8:0:102::a", "it has one of its own");
    assert_eq!(found_ipv6(PUBLIC_01, "naver.com"), "", "a subnet where it is off");
    assert_eq!(found(IPV6_ONLY, "no.such.name.example"), "missing");
}

#[test]
fn dns_3_without_support_nobody_answers() {
    let view = view(lab());
    let resolver = resolver(&view, 1024);
    for port in [NO_SUPPORT, UNKNOWN] {
        assert!(!resolver.admits(caller(port)), "{port}");
    }
    assert!(resolver.admits(caller(UNATTACHED)), "an interface is enough of a caller");
}

#[test]
fn dns_4_without_hostnames_there_are_no_amazon_names() {
    assert_eq!(found(NO_HOSTNAMES, &format!("ip-10-2-0-4.{DOMAIN}")), "missing");
    assert_eq!(found(NO_HOSTNAMES, "4.0.2.10.in-addr.arpa"), "missing", "DNS-12");
    assert_eq!(found(NO_HOSTNAMES, &format!("ec2-198-18-0-7.{PUBLIC}")), "missing");
    assert_eq!(
        found(NO_HOSTNAMES, "example.com"),
        "192.0.2.11 2001:db8:8000:1::11",
        "other names resolve"
    );
    assert_eq!(found_outside(&format!("ec2-198-18-0-7.{PUBLIC}")), "missing");
    assert_eq!(found_outside("7.0.18.198.in-addr.arpa"), "missing");
}

#[test]
fn dns_8_and_9_a_public_name_is_private_inside_and_public_outside() {
    let name = format!("ec2-198-18-0-5.{PUBLIC}");
    assert_eq!(found(PUBLIC_01, &name), "10.1.1.5");
    assert_eq!(found(PRIVATE_01, &name), "10.1.1.5");
    assert_eq!(found(OVERLAPPING, &name), "198.18.0.5", "another VPC is outside");
    assert_eq!(found_outside(&name), "198.18.0.5");
    for other in ["ec2-198-18-0-99", "ec2-198-18-0-05", "ec2-8-8-8-8", "www"] {
        assert_eq!(found_outside(&format!("{other}.{PUBLIC}")), "missing", "{other}");
    }
    let elsewhere = "ec2-198-18-0-5.us-west-2.compute.amazonaws.com";
    assert_eq!(found_outside(elsewhere), "missing", "the name of another region");
    assert_eq!(found_outside("ec2-198-18-0-5.compute-1.amazonaws.com"), "missing");
}

/// The lab, with a connection between the VPCs 1 and 2 over which 2 resolves the names of 1.
#[test]
fn dns_10_a_public_name_of_a_peer_is_private_where_its_owner_lets_it() {
    let name = format!("ec2-198-18-0-5.{PUBLIC}");
    let found_in = |lab: ServiceView, port| {
        let resolver = resolver(&view(lab), 1024);
        shown(resolver.find(caller(port), &name).expect("an answer").found)
    };
    let with = |change: fn(&mut ServiceView)| {
        let mut view = lab();
        let peer = Arc::make_mut(view.vpcs.get_mut(&VpcId::new(2)).expect("a VPC"));
        peer.dns_peers.push(VpcId::new(1));
        change(&mut view);
        view
    };
    assert_eq!(found_in(lab(), OVERLAPPING), "198.18.0.5", "without it");
    assert_eq!(found_in(with(|_| {}), OVERLAPPING), "10.1.1.5");
    let without = |view: &mut ServiceView, number: u64| {
        Arc::make_mut(view.vpcs.get_mut(&VpcId::new(number)).expect("a VPC")).dns_hostnames = false;
    };
    let mut asker = with(|_| {});
    without(&mut asker, 2);
    assert_eq!(found_in(asker, OVERLAPPING), "198.18.0.5", "both VPCs need both attributes");
    let mut owner = with(|_| {});
    without(&mut owner, 1);
    assert_eq!(found_in(owner, OVERLAPPING), "missing", "both VPCs need both attributes");
}

#[test]
fn dns_11_private_names_of_other_vpcs_resolve_where_the_address_is_rfc_1918() {
    assert_eq!(found(PUBLIC_01, &format!("ip-10-2-0-4.{DOMAIN}")), "10.2.0.4");
    assert_eq!(found(PUBLIC_01, &format!("ip-100-64-0-4.{DOMAIN}")), "missing");
}

#[test]
fn dns_12_reverse_names_of_the_vpc_are_answered() {
    for (address, answer) in [
        ("5.1.1.10", "ip-10-1-1-5.ap-northeast-2.compute.internal"),
        ("6.1.1.10", "missing"),
        ("4.0.2.10", "missing"),
        ("5.0.18.198", "ec2-198-18-0-5.ap-northeast-2.compute.amazonaws.com"),
        ("8.8.8.8", "dns.google"),
        ("1.0.0.127", "missing"),
    ] {
        assert_eq!(found(PUBLIC_01, &format!("{address}.in-addr.arpa")), answer, "{address}");
    }
    assert_eq!(
        found_outside("5.1.1.10.in-addr.arpa"),
        "missing",
        "private addresses are not known outside"
    );
}

#[test]
fn names_of_the_internet_resolve_inside_and_outside() {
    for (name, answer) in [
        ("checkip.amazonaws.com", "203.0.113.20"),
        ("ec2.ap-northeast-2.amazonaws.com", "203.0.113.50"),
        ("dns.google", "8.8.4.4 2001:4860:4860::8844 8.8.8.8 2001:4860:4860::8888"),
        ("github.com", "203.0.113.40"),
        ("com", "nothing"),
        ("nowhere.invalid", "missing"),
    ] {
        assert_eq!(found(PUBLIC_01, name), answer, "{name}");
        assert_eq!(found_outside(name), answer, "{name}");
    }
}

#[test]
fn dns_13_an_interface_may_ask_so_often_a_second() {
    let view = view(lab());
    let resolver = resolver(&view, 10);
    let admitted = (0..1000).filter(|_| resolver.admits(caller(PUBLIC_01))).count();
    assert!((10..500).contains(&admitted), "{admitted} of a thousand");
    assert!(resolver.admits(caller(PRIVATE_01)), "another interface");
}

async fn serve(resolver: Arc<dyn Resolver>) -> u16 {
    // One port for both; another program may have the TCP one already.
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        let Ok(listener) = TcpListener::bind(address).await else { continue };
        tokio::spawn(dns::serve_udp(socket, Arc::clone(&resolver)));
        tokio::spawn(dns::serve_tcp(listener, resolver));
        return address.port();
    }
}

async fn dig(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let output = tokio::process::Command::new("dig")
        .args(["@127.0.0.1", "-p", &port, "+tries=1", "+time=2"])
        .args(arguments)
        .output()
        .await
        .expect("dig runs");
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[tokio::test]
async fn dig_gets_answers_over_udp_and_tcp() {
    if !on_path("dig") {
        return;
    }
    let view = view(lab());
    let port = serve(Arc::new(resolver(&view, 1024))).await;
    let name = format!("ip-10-1-11-7.{DOMAIN}");
    for transport in ["+notcp", "+tcp", "+noedns"] {
        let arguments = ["-b", "127.0.0.2", "+short", transport, &name];
        assert_eq!(dig(port, &arguments).await, "10.1.11.7", "{transport}");
    }
    let reverse = dig(port, &["-b", "127.0.0.2", "+short", "-x", "10.1.1.5"]).await;
    assert_eq!(reverse, "ip-10-1-1-5.ap-northeast-2.compute.internal.");
    let missing = dig(port, &["-b", "127.0.0.2", &format!("ip-10-1-1-6.{DOMAIN}")]).await;
    assert!(missing.contains("status: NXDOMAIN") && missing.contains("SOA"), "{missing}");
    let refused = dig(port, &["-b", "127.0.0.2", "+norecurse", &name]).await;
    assert!(refused.contains("status: REFUSED"), "DNS-14: {refused}");
    for transport in ["+notcp", "+tcp"] {
        let silent = dig(port, &["-b", "127.0.0.7", transport, "example.com"]).await;
        assert!(!silent.contains("status:"), "DNS-3: {silent}");
    }
}

#[tokio::test]
async fn dig_asks_a_resolver_of_the_internet_for_the_way_from_the_root() {
    if !on_path("dig") {
        return;
    }
    let port = serve(internet_resolver(&view(lab()))).await;
    let name = format!("ec2-198-18-0-5.{PUBLIC}");
    assert_eq!(dig(port, &["+short", &name]).await, "198.18.0.5");
    assert_eq!(dig(port, &["+short", "+norecurse", &name]).await, "198.18.0.5");
    let nodata = dig(port, &["AAAA", &name]).await;
    assert!(nodata.contains("status: NOERROR") && nodata.contains("ANSWER: 0"), "{nodata}");
}

/// DNS-18, VPCE-9, VPCE-10: in the endpoint's VPC the service's own name means its interfaces.
#[test]
fn private_dns_takes_the_names_of_a_service_over() {
    let both = ["10.1.11.30 10.1.12.30", "10.1.12.30 10.1.11.30"];
    // VPCE-8: each answer begins with another one.
    let answers = [0, 1].map(|_| found(PUBLIC_01, TAKEN_OVER));
    assert!(answers.iter().all(|it| both.contains(&it.as_str())), "{answers:?}");
    assert_eq!(found_ipv6(PUBLIC_01, TAKEN_OVER), "", "IPv4 only");
    assert_eq!(found(PUBLIC_01, &format!("x.{TAKEN_OVER}")), "missing", "DNS-15");
    let public = "203.0.113.50";
    assert_eq!(found(OVERLAPPING, TAKEN_OVER), public, "another VPC");
    assert_eq!(found(NO_HOSTNAMES, TAKEN_OVER), public, "DNS-4: the attribute is off");
    assert_eq!(found(PUBLIC_01, "ssm.ap-northeast-2.amazonaws.com"), public, "another service");
    assert_eq!(found_outside(TAKEN_OVER), public);
}

/// VPCE-8: the endpoint's own names mean private addresses, whoever asks.
#[test]
fn names_of_endpoints_are_known_everywhere() {
    for found in [|name: &str| found(OVERLAPPING, name), found_outside] {
        let regional = found(REGIONAL);
        assert!(regional.contains("10.1.11.30") && regional.contains("10.1.12.30"), "{regional}");
        assert_eq!(found(ZONAL), "10.1.12.30");
        assert_eq!(found(&format!("bucket.{BELOW}")), "10.1.11.31");
        for nobody in [BELOW, "vpce-1.ssm.ap-northeast-2.vpce.amazonaws.com"] {
            assert_eq!(found(nobody), "missing", "{nobody}");
        }
    }
}
