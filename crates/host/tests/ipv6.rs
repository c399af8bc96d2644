//! IPv6 of the services and internet namespaces, with the test itself in the engine's place: it
//! hands frames to their links and reads what comes back, so the engine has no say in it.

mod common;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use common::{
    ANYTHING, CLIENT6, Data, INTERNET_HOST6, PORT_A, policy, root,
    wire::{self, Wire, with_checksum},
};
use gureum_engine::FABRIC_ROUTER_MAC;
use gureum_host::Cloud;
use gureum_types::{PortIndex, ServiceDoor, ipv6_caller_address};

const SECOND: Duration = Duration::from_secs(1);
/// An address of the pool of the VPCs.
const INSTANCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 5);

/// Traps 11 over IPv6: servers are told the caller and the door, and answer by the engine's
/// router without asking for its address.
#[test]
fn services_hear_callers_over_ipv6() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let wire = Wire::open(&cloud, PortIndex::SERVICES);
    // The last port and address that there may be, and the first.
    for (port, index) in [(PORT_A, 0), (PortIndex(PortIndex::END.0 - 1), 63)] {
        let caller = ipv6_caller_address(port, index).expect("in range");
        for door in ServiceDoor::ALL.into_iter().filter_map(ServiceDoor::ipv6_address) {
            let at = SocketAddr::from((door, 123));
            let server = cloud.namespaces().services.udp_socket(at).expect("bound");
            server.set_nonblocking(false).expect("set");
            server.set_read_timeout(Some(5 * SECOND)).expect("set");
            wire.send(caller, door, 17, &wire::udp((caller, 5000), (door, 123), b"time?"));
            let mut buffer = [0; 100];
            let (length, peer) = server.recv_from(&mut buffer).expect("a question");
            assert_eq!(&buffer[..length], b"time?");
            assert_eq!(peer, SocketAddr::from((caller, 5000)));
            server.send_to(b"now", peer).expect("answered");
            let heard = wire.next(5 * SECOND).expect("an answer");
            assert_eq!(heard.way, (FABRIC_ROUTER_MAC, door, caller), "port {port}");
            assert_eq!((heard.protocol, &heard.body[8..]), (17, b"now".as_slice()));
        }
    }
}

/// Hosts of the internet answer whoever has an address of the VPCs' pool, by the engine's router.
#[test]
fn hosts_of_the_internet_answer_the_pool_over_ipv6() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let wire = Wire::open(&cloud, PortIndex::INTERNET);
    for host in [INTERNET_HOST6, CLIENT6] {
        wire.send(
            INSTANCE,
            host,
            58,
            &with_checksum(INSTANCE, host, 58, vec![128, 0, 0, 0, 0, 7, 0, 1]),
        );
        let heard = wire.next(5 * SECOND).expect("an answer");
        assert_eq!(heard.way, (FABRIC_ROUTER_MAC, host, INSTANCE));
        assert_eq!((heard.protocol, heard.body[0]), (58, 129), "an echo reply");
    }
    // What the person out there starts goes the same way, from the client's own address.
    let internet = &cloud.namespaces().internet;
    let socket = internet.udp_socket((Ipv6Addr::UNSPECIFIED, 0).into()).expect("a socket");
    socket.send_to(b"hello", SocketAddr::from((INSTANCE, 9))).expect("sent");
    let heard = wire.next(5 * SECOND).expect("a packet");
    assert_eq!(heard.way, (FABRIC_ROUTER_MAC, CLIENT6, INSTANCE));
    // There is no way to anywhere else.
    let elsewhere = SocketAddr::from(([0x2001, 0x4860, 0, 0, 0, 0, 0, 1], 9));
    let refused = socket.send_to(b"hello", elsewhere).expect_err("no route");
    assert_eq!(refused.kind(), std::io::ErrorKind::NetworkUnreachable);
}

/// A host sees the client and not itself, also when a cloud is taken over whose hosts were others.
#[test]
fn hosts_of_the_internet_see_the_client_over_ipv6() {
    if !root() {
        return;
    }
    const MOVED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 2);
    let data = Data::new();
    for (host, other) in [(INTERNET_HOST6, MOVED), (INTERNET_HOST6, MOVED), (MOVED, INTERNET_HOST6)]
    {
        let mut config = data.config(policy(&ANYTHING, 1));
        config.internet.ipv6_hosts = vec![host];
        let cloud = Cloud::open(config).expect("a cloud");
        let internet = &cloud.namespaces().internet;
        let listener = internet.tcp_listener((host, 80).into()).expect("listening");
        listener.set_nonblocking(false).expect("set");
        let dial = |target: Ipv6Addr| {
            let target = SocketAddr::from((target, 80));
            internet.run(|| TcpStream::connect_timeout(&target, 5 * SECOND)).expect("entered")
        };
        let _stream = dial(host).expect("connected");
        let (accepted, peer) = listener.accept().expect("a caller");
        assert_eq!(peer.ip(), IpAddr::V6(CLIENT6));
        assert_eq!(accepted.local_addr().expect("an address").ip(), IpAddr::V6(host));
        dial(other).expect_err("no such host any more");
    }
}

/// A namespace is asked nothing and says nothing over IPv6: no reports, no solicitations, neither
/// when it is made nor when it is taken over.
#[test]
fn the_namespaces_beside_the_fabric_are_silent_over_ipv6() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let wires = [PortIndex::INTERNET, PortIndex::SERVICES].map(|port| Wire::open(&cloud, port));
    drop(cloud);
    let mut config = data.config(policy(&ANYTHING, 1));
    config.internet.ipv6_hosts.push(INSTANCE);
    let cloud = Cloud::open(config).expect("a cloud");
    for wire in &wires {
        // Reports and solicitations of a link come within a second of its change.
        assert_eq!(wire.next(3 * SECOND / 2), None, "a frame that nobody asked for");
    }
    drop(cloud);
}
