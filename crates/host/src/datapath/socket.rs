//! Packet sockets of a port: the only place where frames cross between kernel and engine.
//!
//! A port has three, bound to IPv4, IPv6 and ARP (an `ETH_P_ALL` socket would see frames before
//! the traffic control programs of a fast path do). All frames come and go with a virtio header,
//! so 64 kB segments pass in one piece with their checksums unfinished (traps 1, 2).

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use gureum_engine::Offload;
use nix::sys::socket::{setsockopt, sockopt};

/// Frames taken from one socket before the next has its turn (traps 1: 16 to 64).
pub(super) const BUDGET: usize = 32;
/// Frames that are taken before it is known whether they are small.
const FEW: usize = 4;
/// Bytes of a frame up to which it is: more of them are taken at once.
const SMALL: usize = 4096;
/// Bytes of `struct virtio_net_hdr`.
const VNET: usize = 10;
/// The largest frame: a segment of 64 kB with its link header, and some room for tags.
const FRAME: usize = 65_536 + 64;
const SLOT: usize = VNET + FRAME;
const BUFFER_BYTES: usize = 8 << 20;

const NEEDS_CSUM: u8 = 1;
/// `PACKET_IGNORE_OUTGOING`, not in libc.
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// What a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Ipv4 = 0,
    Ipv6 = 1,
    Arp = 2,
}

impl Protocol {
    pub(super) const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Arp];

    /// Whose socket carries that frame; by its EtherType.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        match frame.get(12..14)? {
            [0x08, 0x00] => Some(Self::Ipv4),
            [0x86, 0xdd] => Some(Self::Ipv6),
            [0x08, 0x06] => Some(Self::Arp),
            _ => None,
        }
    }

    fn ether_type(self) -> u16 {
        match self {
            Self::Ipv4 => libc::ETH_P_IP as u16,
            Self::Ipv6 => libc::ETH_P_IPV6 as u16,
            Self::Arp => libc::ETH_P_ARP as u16,
        }
    }
}

/// One packet socket.
#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// A socket of one link and protocol in the calling thread's namespace.
    pub(super) fn open(link: u32, protocol: Protocol) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // Protocol 0: nothing is received before the options are set and the link is bound.
        // SAFETY: takes integers, and its result is checked before it is owned.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        check(fd)?;
        // SAFETY: a new descriptor that nobody else owns.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } };
        socket.set(libc::PACKET_VNET_HDR, 1)?;
        match socket.set(PACKET_IGNORE_OUTGOING, 1) {
            // Before Linux 4.20; sockets bound to a protocol see no outgoing frames anyway.
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
            other => other?,
        }
        if setsockopt(&socket.fd, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
            setsockopt(&socket.fd, sockopt::RcvBuf, &BUFFER_BYTES)?;
        }
        if setsockopt(&socket.fd, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
            setsockopt(&socket.fd, sockopt::SndBuf, &BUFFER_BYTES)?;
        }
        socket.bind(link, protocol)?;
        Ok(socket)
    }

    fn set(&self, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let size = mem::size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: `value` is as long as `size` says and outlives the call.
        check(unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const value).cast(),
                size,
            )
        })
    }

    fn bind(&self, link: u32, protocol: Protocol) -> io::Result<()> {
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.ether_type().to_be();
        address.sll_ifindex = link.cast_signed();
        let size = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: `address` is a sockaddr_ll of `size` bytes.
        check(unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), size) })
    }

    /// Fills `batch` with what is waiting, at most [`BUDGET`] frames. `WouldBlock` when nothing is.
    ///
    /// Large frames come a few at a time, so that they are still in the processor's cache when
    /// they are sent: thirty-two of 64 kB are not.
    pub(super) fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        batch.filled = 0;
        batch.prepare();
        batch.filled = self.take(&mut batch.messages[..FEW])?;
        if batch.filled == FEW && batch.bytes() <= FEW * SMALL {
            // Nothing more is fine; whatever else goes wrong is told the next time.
            let more = self.take(&mut batch.messages[FEW..]).unwrap_or(0);
            batch.filled += more;
        }
        Ok(())
    }

    /// Fills messages from the first on; how many.
    fn take(&self, messages: &mut [libc::mmsghdr]) -> io::Result<usize> {
        // SAFETY: every message points to one slot of the batch's buffer, which lives and stays
        // unshared during the call; the count is that of the messages.
        let count = unsafe {
            libc::recvmmsg(
                self.fd.as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        check(count)?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Sends a frame that stands in a batch, its header written in front of it.
    pub(super) fn send(&self, slot: &Slot<'_>) -> io::Result<()> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the bytes are borrowed for the call.
        let sent = unsafe {
            libc::send(self.fd.as_raw_fd(), slot.bytes.as_ptr().cast(), slot.bytes.len(), flags)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends a frame from elsewhere.
    pub(super) fn send_frame(&self, frame: &[u8], offload: Offload) -> io::Result<()> {
        let header = header(offload);
        let mut parts = [
            libc::iovec { iov_base: header.as_ptr().cast_mut().cast(), iov_len: VNET },
            libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() },
        ];
        // SAFETY: all zeros is a valid msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = parts.as_mut_ptr();
        message.msg_iovlen = parts.len();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the message points to `parts`, they to borrowed bytes that are only read.
        let sent = unsafe { libc::sendmsg(self.fd.as_raw_fd(), &raw const message, flags) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Frames that the kernel could not queue since this was last asked.
    pub(super) fn losses(&self) -> io::Result<u64> {
        // SAFETY: all zeros is a valid tpacket_stats.
        let mut stats: libc::tpacket_stats = unsafe { mem::zeroed() };
        let mut size = mem::size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: `stats` has `size` bytes.
        check(unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &raw mut size,
            )
        })?;
        Ok(stats.tp_drops.into())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Room for the frames of one turn.
pub(super) struct Batch {
    buffer: Vec<u8>,
    parts: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
    filled: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: all zeros is a valid mmsghdr.
        let empty: libc::mmsghdr = unsafe { mem::zeroed() };
        Self {
            buffer: vec![0; SLOT * BUDGET],
            parts: vec![libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BUDGET],
            messages: vec![empty; BUDGET],
            filled: 0,
        }
    }

    /// Points each message to its slot.
    fn prepare(&mut self) {
        let slots = self.buffer.chunks_exact_mut(SLOT);
        for ((slot, part), message) in slots.zip(&mut self.parts).zip(&mut self.messages) {
            part.iov_base = slot.as_mut_ptr().cast();
            part.iov_len = slot.len();
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_flags = 0;
        }
    }

    /// Bytes of the frames that are there.
    fn bytes(&self) -> usize {
        self.messages.iter().take(self.filled).map(|message| message.msg_len as usize).sum()
    }

    /// How many frames the last [`PacketSocket::receive`] brought.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// One of them. `None` when it did not fit its slot.
    pub(super) fn slot(&mut self, index: usize) -> Option<Slot<'_>> {
        let message = self.messages.get(index).filter(|_| index < self.filled)?;
        let length = message.msg_len as usize;
        let truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        if truncated || length < VNET {
            return None;
        }
        let start = index * SLOT;
        Some(Slot { bytes: self.buffer.get_mut(start..start + length)? })
    }
}

/// A received frame with its virtio header in front.
pub(super) struct Slot<'a> {
    bytes: &'a mut [u8],
}

impl Slot<'_> {
    /// The frame.
    pub(super) fn frame(&mut self) -> &mut [u8] {
        &mut self.bytes[VNET..]
    }

    /// What is owed to it, as the kernel wrote.
    pub(super) fn offload(&self) -> Offload {
        let word = |at: usize| u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]);
        Offload {
            needs_csum: self.bytes[0] & NEEDS_CSUM != 0,
            gso_type: self.bytes[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        }
    }

    /// Writes what is owed to it, for sending.
    pub(super) fn set_offload(&mut self, offload: Offload) {
        self.bytes[..VNET].copy_from_slice(&header(offload));
    }
}

/// `struct virtio_net_hdr`, in the byte order of the machine.
fn header(offload: Offload) -> [u8; VNET] {
    let mut header = [0; VNET];
    header[0] = if offload.needs_csum { NEEDS_CSUM } else { 0 };
    header[1] = offload.gso_type;
    header[2..4].copy_from_slice(&offload.hdr_len.to_ne_bytes());
    header[4..6].copy_from_slice(&offload.gso_size.to_ne_bytes());
    header[6..8].copy_from_slice(&offload.csum_start.to_ne_bytes());
    header[8..10].copy_from_slice(&offload.csum_offset.to_ne_bytes());
    header
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
        thread,
    };

    use ipnet::Ipv6Net;
    use nix::{
        poll::{PollFd, PollFlags, PollTimeout, poll},
        sched::{CloneFlags, unshare},
    };

    use super::*;
    use crate::{
        namespace::Namespace,
        netlink::{Netlink, VethEnd},
    };

    /// `VIRTIO_NET_HDR_GSO_TCPV6`.
    const GSO_TCPV6: u8 = 4;

    fn namespace() -> Namespace {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
            Namespace::from_fd(File::open("/proc/thread-self/ns/net").expect("opened").into())
        });
        made.join().expect("made")
    }

    /// Connects `eth0` of a guest to a link of that name in the middle, and opens its IPv6 socket.
    fn plug(middle: &Namespace, name: &str, guest: &Namespace, last: u16) -> PacketSocket {
        let mut here = Netlink::open_in(middle).expect("netlink");
        let mut there = Netlink::open_in(guest).expect("netlink");
        let near = VethEnd { name, mac: None, mtu: 9001 };
        let far = VethEnd { name: "eth0", mac: Some([2, 0, 0, 0, 0, last as u8]), mtu: 9001 };
        here.add_veth(&near, &far, guest).expect("made");
        let near = here.link(name).expect("asked").expect("there").index;
        let eth0 = there.link("eth0").expect("asked").expect("there").index;
        there.set_up(eth0).expect("up");
        here.set_up(near).expect("up");
        let own = Ipv6Net::new(address(last), 64).expect("a prefix");
        there.add_address(eth0, own.into()).expect("addressed");
        let other = 3 - last;
        let mac = [2, 0, 0, 0, 0, other as u8];
        there.replace_neighbour(eth0, address(other).into(), mac).expect("known");
        let open = || PacketSocket::open(near, Protocol::Ipv6).expect("a socket");
        middle.run(open).expect("entered")
    }

    fn address(last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)
    }

    /// Segments over IPv6 come in one piece, with their kind told, and go on as such (traps 1, 2).
    #[test]
    fn whole_segments_pass_over_ipv6() {
        if std::env::var_os("GUREUM_SKIP_ROOT_TESTS").is_some() {
            return;
        }
        assert!(nix::unistd::Uid::effective().is_root(), "this test makes namespaces: be root");
        let (middle, one, two) = (namespace(), namespace(), namespace());
        let sockets = [plug(&middle, "p1", &one, 1), plug(&middle, "p2", &two, 2)];
        let server = SocketAddr::from((address(2), 5001));
        let listener = two.run(|| TcpListener::bind(server)).expect("entered").expect("listening");
        let block: Vec<u8> = (0..1 << 20).map(|n: u32| (n ^ (n >> 8)) as u8).collect();
        thread::scope(|scope| {
            let transfer = scope.spawn(|| {
                let dial = || TcpStream::connect(server);
                let mut client = one.run(dial).expect("entered").expect("connected");
                let (mut accepted, _) = listener.accept().expect("accepted");
                let mut received = vec![0; block.len()];
                // There and back, each way whole.
                thread::scope(|scope| {
                    scope.spawn(|| client.write_all(&block).expect("sent"));
                    accepted.read_exact(&mut received).expect("received");
                });
                assert!(received == block, "the payload changed on its way");
                received.fill(0);
                thread::scope(|scope| {
                    scope.spawn(|| accepted.write_all(&block).expect("sent"));
                    client.read_exact(&mut received).expect("received");
                });
                assert!(received == block, "the payload changed on its way back");
            });
            let mut batch = Batch::new();
            let mut whole = [0; 2];
            while !transfer.is_finished() {
                let mut ready =
                    [0, 1].map(|at| PollFd::new(sockets[at].as_fd(), PollFlags::POLLIN));
                poll(&mut ready, PollTimeout::from(100_u16)).expect("polled");
                for (from, to) in [(0, 1), (1, 0)] {
                    if sockets[from].receive(&mut batch).is_err() {
                        continue;
                    }
                    for at in 0..batch.len() {
                        let mut slot = batch.slot(at).expect("it fits");
                        assert_eq!(Protocol::of(slot.frame()), Some(Protocol::Ipv6));
                        let (offload, length) = (slot.offload(), slot.frame().len());
                        if offload.gso_type != 0 {
                            assert_eq!(offload.gso_type & !0x80, GSO_TCPV6);
                            assert!(offload.needs_csum && length > offload.gso_size.into());
                            whole[from] += 1;
                        }
                        slot.set_offload(offload);
                        sockets[to].send(&slot).expect("sent");
                    }
                }
            }
            transfer.join().expect("transferred");
            assert!(whole.iter().all(|count| *count > 0), "no segments in one piece: {whole:?}");
        });
        assert!(sockets.iter().all(|socket| socket.losses().expect("asked") == 0));
    }
}
