//! The fabric's end of a link, held by a test in the engine's place: IPv6 packets in and out.

use std::{
    io::Read,
    net::Ipv6Addr,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use gureum_engine::FABRIC_ROUTER_MAC;
use gureum_host::{
    Cloud,
    fabric::{self, port_link},
};
use gureum_types::PortIndex;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

pub struct Wire {
    socket: Socket,
    far_mac: [u8; 6],
}

/// A frame that came out of the namespace behind a link.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    /// To which link, from which address, to which.
    pub way: ([u8; 6], Ipv6Addr, Ipv6Addr),
    pub protocol: u8,
    pub body: Vec<u8>,
}

impl Wire {
    /// Opens the end of a port; what is on it from now on is heard.
    pub fn open(cloud: &Cloud, port: PortIndex) -> Self {
        let config = fabric::config("198.18.0.0/16".parse().expect("a prefix"));
        let far_mac = match port {
            PortIndex::INTERNET => config.internet_mac,
            PortIndex::SERVICES => config.services_mac,
            port => super::mac(port.0 as u8),
        };
        let socket = cloud.namespaces().fabric.run(|| {
            let name = std::ffi::CString::new(port_link(port)).expect("a name");
            // SAFETY: the name ends with a zero.
            let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
            assert_ne!(index, 0, "port {port} has no link");
            let protocol = (libc::ETH_P_IPV6 as u16).to_be();
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(i32::from(protocol).into()));
            let socket = socket.expect("a socket");
            socket.bind(&link_address(index, protocol)).expect("bound");
            socket
        });
        Self { socket: socket.expect("entered"), far_mac }
    }

    /// Hands an IPv6 packet to the namespace behind the link.
    pub fn send(&self, source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, body: &[u8]) {
        let mut frame = [self.far_mac, FABRIC_ROUTER_MAC].concat();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((body.len() as u16).to_be_bytes());
        // Neighbour discovery believes only who cannot have been routed.
        frame.extend([protocol, 255]);
        frame.extend(source.octets());
        frame.extend(destination.octets());
        frame.extend(body);
        self.socket.send(&frame).expect("sent");
    }

    /// The next frame that came out of the namespace.
    pub fn next(&self, patience: Duration) -> Option<Heard> {
        let until = Instant::now() + patience;
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).expect("set");
            let mut frame = vec![0; 1 << 16];
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

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
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

/// A body with its Internet checksum, over the pseudo header, in its place.
pub fn with_checksum(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    mut body: Vec<u8>,
) -> Vec<u8> {
    let at = match protocol {
        6 => 16,
        17 => 6,
        _ => 2,
    };
    body[at..at + 2].fill(0);
    let mut bytes = [source.octets(), destination.octets()].concat();
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes.extend(&body);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    body[at..at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    body
}

/// A UDP datagram.
pub fn udp(source: (Ipv6Addr, u16), destination: (Ipv6Addr, u16), data: &[u8]) -> Vec<u8> {
    let mut body = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    body.extend((8 + data.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(data);
    with_checksum(source.0, destination.0, 17, body)
}
