//! IPv6 of the services and internet namespaces, with the test itself in the engine's place: it
//! hands frames to their links and reads what comes back, so the engine has no say in it.

mod common;

use std::{
    io::Read,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use common::{ANYTHING, CLIENT6, Data, INTERNET_HOST6, PORT_A, policy, root};
use gureum_engine::FABRIC_ROUTER_MAC;
use gureum_host::{
    Cloud,
    fabric::{self, port_link},
};
use gureum_types::{PortIndex, ServiceDoor, ipv6_caller_address};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

const SECOND: Duration = Duration::from_secs(1);
/// An address of the pool of the VPCs.
const INSTANCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 5);

/// The fabric's end of a link, held as the engine would.
struct Wire {
    socket: Socket,
    far_mac: [u8; 6],
}

/// A frame that came out of a namespace.
#[derive(Debug, PartialEq, Eq)]
struct Heard {
    /// To which link, from which address, to which.
    way: ([u8; 6], Ipv6Addr, Ipv6Addr),
    protocol: u8,
    body: Vec<u8>,
}

impl Wire {
    /// Opens the end of a port; what is on it from now on is heard.
    fn open(cloud: &Cloud, port: PortIndex) -> Self {
        let config = fabric::config("198.18.0.0/16".parse().expect("a prefix"));
        let far_mac = match port {
            PortIndex::INTERNET => config.internet_mac,
            _ => config.services_mac,
        };
        let socket = cloud.namespaces().fabric.run(|| {
            let name = std::ffi::CString::new(port_link(port)).expect("a name");
            // SAFETY: the name ends with a zero.
            let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
            let protocol = (libc::ETH_P_IPV6 as u16).to_be();
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(i32::from(protocol).into()));
            let socket = socket.expect("a socket");
            socket.bind(&link_address(index, protocol)).expect("bound");
            socket
        });
        let socket = socket.expect("entered");
        Self { socket, far_mac }
    }

    /// Hands an IPv6 packet to the namespace behind the link.
    fn send(&self, source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, body: &[u8]) {
        let mut frame = [self.far_mac, FABRIC_ROUTER_MAC].concat();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((body.len() as u16).to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend(source.octets());
        frame.extend(destination.octets());
        frame.extend(body);
        self.socket.send(&frame).expect("sent");
    }

    /// The next frame that came out of the namespace.
    fn next(&self, patience: Duration) -> Option<Heard> {
        let until = Instant::now() + patience;
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).expect("set");
            let mut frame = [0; 2048];
            let length = Read::read(&mut &self.socket, &mut frame).ok()?;
            let frame = &frame[..length];
            // The test's own frames are seen as well.
            if frame[6..12] != self.far_mac {
                continue;
            }
            let address = |at: usize| {
                Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).expect("16 bytes"))
            };
            return Some(Heard {
                way: (frame[..6].try_into().expect("6 bytes"), address(22), address(38)),
                protocol: frame[20],
                body: frame[54..].to_vec(),
            });
        }
    }
}

fn link_address(index: u32, protocol: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is larger than a sockaddr_ll, and all zeros is one.
    let link: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    link.sll_family = libc::AF_PACKET as u16;
    link.sll_protocol = protocol;
    link.sll_ifindex = index.cast_signed();
    // SAFETY: what was written is a sockaddr_ll, which is so long.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}

/// The Internet checksum over the pseudo header and a body whose checksum field is zero.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, body: &[u8]) -> u16 {
    let mut bytes = [source.octets(), destination.octets()].concat();
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn udp(source: (Ipv6Addr, u16), destination: (Ipv6Addr, u16), data: &[u8]) -> Vec<u8> {
    let mut body = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    body.extend((8 + data.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(data);
    let sum = checksum(source.0, destination.0, 17, &body);
    body[6..8].copy_from_slice(&sum.to_be_bytes());
    body
}

fn echo_request(source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    let mut body = vec![128, 0, 0, 0, 0, 7, 0, 1];
    let sum = checksum(source, destination, 58, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    body
}

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
            wire.send(caller, door, 17, &udp((caller, 5000), (door, 123), b"time?"));
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
        wire.send(INSTANCE, host, 58, &echo_request(INSTANCE, host));
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
