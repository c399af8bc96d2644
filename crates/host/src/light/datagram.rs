//! Answers to datagrams. They leave by a raw socket, which may speak from any port: the responder's
//! own socket has another one than the caller meant.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
        SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg, sendmsg, setsockopt, socket, sockopt,
    },
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{steer::PORT, text::who_answered};

const UDP_HEADER: usize = 8;
/// Hops of an answer, as the kernel's own.
const HOPS: u8 = 64;
/// A datagram longer than this is answered as if it ended here.
const LONGEST: usize = 2048;

/// Both ways of one family: what datagrams come in by and what answers leave by.
#[derive(Debug)]
pub(super) struct Datagrams {
    pub(super) incoming: OwnedFd,
    outgoing: OwnedFd,
}

impl Datagrams {
    /// Opens them in the namespace that the caller is in.
    pub(super) fn open(ipv6: bool) -> io::Result<Self> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let incoming = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        incoming.set_nonblocking(true)?;
        let any: SocketAddr = if ipv6 {
            incoming.set_only_v6(true)?;
            setsockopt(&incoming, sockopt::Ipv6OrigDstAddr, &true)?;
            (Ipv6Addr::UNSPECIFIED, PORT).into()
        } else {
            setsockopt(&incoming, sockopt::Ipv4OrigDstAddr, &true)?;
            (Ipv4Addr::UNSPECIFIED, PORT).into()
        };
        incoming.bind(&any.into())?;
        let family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        // It hears nothing, and sends what it is given, headers and all.
        let outgoing = socket(family, SockType::Raw, flags, nix::sys::socket::SockProtocol::Raw)?;
        Ok(Self { incoming: incoming.into(), outgoing })
    }

    /// Answers what has come, as much as a turn allows.
    pub(super) fn answer(&self, say: impl Fn(SocketAddr, SocketAddr) -> String) {
        const TURN: usize = 64;
        for _ in 0..TURN {
            match self.receive() {
                Ok(Some((at, caller))) => {
                    let line = say(at, caller) + "\n";
                    // A caller without a way back hears nothing, as from any host.
                    let _ = self.send(at, caller, line.as_bytes());
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    /// The next datagram: where it went and where it came from; nothing where it deserves no answer.
    fn receive(&self) -> nix::Result<Option<(SocketAddr, SocketAddr)>> {
        let mut bytes = [0; LONGEST];
        let mut io = [io::IoSliceMut::new(&mut bytes)];
        let mut control = nix::cmsg_space!(libc::sockaddr_in6);
        let fd = self.incoming.as_raw_fd();
        let received = loop {
            match recvmsg::<SockaddrStorage>(fd, &mut io, Some(&mut control), MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        let caller = received.address.as_ref().and_then(address);
        let mut at = None;
        for message in received.cmsgs()? {
            match message {
                ControlMessageOwned::Ipv4OrigDstAddr(it) => {
                    at = Some(SocketAddrV4::from(SockaddrIn::from(it)).into());
                }
                ControlMessageOwned::Ipv6OrigDstAddr(it) => {
                    at = Some(SocketAddrV6::from(SockaddrIn6::from(it)).into());
                }
                _ => {}
            }
        }
        let length = received.bytes;
        // What is itself an answer gets none, or two hosts would talk for ever.
        let is_answer = bytes.get(..length).and_then(who_answered).is_some();
        Ok(at.zip(caller).filter(|(_, caller): &(SocketAddr, SocketAddr)| {
            !is_answer && caller.port() != 0 && !caller.ip().is_unspecified()
        }))
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, text: &[u8]) -> nix::Result<()> {
        let Some(packet) = packet(from, to, text) else { return Ok(()) };
        let io = [io::IoSlice::new(&packet)];
        let fd = self.outgoing.as_raw_fd();
        // The source is in the packet, and told beside it too: routes are chosen by it. A port would
        // mean a protocol to raw sockets of IPv6.
        match (from.ip(), to) {
            (IpAddr::V4(source), SocketAddr::V4(to)) => {
                let told = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                let to = SockaddrStorage::from(SocketAddrV4::new(*to.ip(), 0));
                let told = [ControlMessage::Ipv4PacketInfo(&told)];
                sendmsg(fd, &io, &told, MsgFlags::empty(), Some(&to)).map(drop)
            }
            (IpAddr::V6(source), SocketAddr::V6(to)) => {
                let told = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                    ipi6_ifindex: 0,
                };
                let to = SockaddrStorage::from(SocketAddrV6::new(*to.ip(), 0, 0, to.scope_id()));
                let told = [ControlMessage::Ipv6PacketInfo(&told)];
                sendmsg(fd, &io, &told, MsgFlags::empty(), Some(&to)).map(drop)
            }
            _ => Ok(()),
        }
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|it| SocketAddrV4::from(*it).into());
    v4.or_else(|| storage.as_sockaddr_in6().map(|it| SocketAddrV6::from(*it).into()))
}

/// A packet of IP with a datagram. The kernel fills in IPv4's own length, identification and checksum.
fn packet(from: SocketAddr, to: SocketAddr, text: &[u8]) -> Option<Vec<u8>> {
    const UDP: u8 = 17;
    let length = u16::try_from(UDP_HEADER + text.len()).ok()?;
    let mut packet = Vec::with_capacity(40 + usize::from(length));
    let mut pseudo = Vec::with_capacity(40);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
            pseudo.extend_from_slice(&source.octets());
            pseudo.extend_from_slice(&destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&length.to_be_bytes());
            packet.extend_from_slice(&[UDP, HOPS]);
            pseudo.extend_from_slice(&source.octets());
            pseudo.extend_from_slice(&destination.octets());
        }
        _ => return None,
    }
    packet.extend_from_slice(&pseudo);
    pseudo.extend_from_slice(&[0, UDP]);
    pseudo.extend_from_slice(&length.to_be_bytes());
    let start = packet.len();
    for word in [from.port(), to.port(), length, 0] {
        packet.extend_from_slice(&word.to_be_bytes());
    }
    packet.extend_from_slice(text);
    let sum = checksum(&pseudo, packet.get(start..)?);
    packet.get_mut(start + 6..start + 8)?.copy_from_slice(&sum.to_be_bytes());
    Some(packet)
}

/// The checksum over both (RFC 768): never zero, which would mean none.
fn checksum(pseudo: &[u8], datagram: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        let words = bytes.chunks(2);
        words.map(|it| u32::from(it[0]) << 8 | u32::from(it.get(1).copied().unwrap_or(0))).sum()
    };
    let mut sum = words(pseudo) + words(datagram);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 768, RFC 8200: a sum over all of it, the checksum included, is all ones.
    #[test]
    fn packets_have_lengths_and_checksums() {
        for (from, to, header) in
            [("10.1.1.5:53", "10.1.1.6:4000", 20), ("[2001:db8::5]:53", "[2001:db8::6]:4000", 40)]
        {
            let (from, to) = (from.parse().expect("ok"), to.parse().expect("ok"));
            for text in [&b"hello"[..], b"even"] {
                let packet = packet(from, to, text).expect("a packet");
                let datagram = &packet[header..];
                assert_eq!(datagram[..4], [0, 53, 0x0f, 0xa0]);
                assert_eq!(usize::from(datagram[5]), 8 + text.len());
                let mut pseudo = match header {
                    20 => packet[12..20].to_vec(),
                    _ => packet[8..40].to_vec(),
                };
                pseudo.extend_from_slice(&[0, 17, 0, datagram.len() as u8]);
                let all = [pseudo, datagram.to_vec()].concat();
                let mut sum: u32 = all
                    .chunks(2)
                    .map(|it| u32::from(it[0]) << 8 | it.get(1).map_or(0, |it| u32::from(*it)))
                    .sum();
                while sum > 0xffff {
                    sum = (sum & 0xffff) + (sum >> 16);
                }
                assert_eq!(sum, 0xffff, "{from} {text:?}");
            }
        }
        let mixed = ("10.1.1.5:53".parse().expect("ok"), "[::1]:9".parse().expect("ok"));
        assert_eq!(packet(mixed.0, mixed.1, b""), None);
    }
}
