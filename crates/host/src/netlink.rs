//! Route netlink, as much of it as the fabric needs: veth pairs, addresses, routes, neighbours.
//!
//! A netlink socket speaks for the namespace it was made in, whichever thread uses it, so one
//! blocking socket a namespace is enough, and supervisors without an event loop can use it too.

mod classifier;
mod guest;

pub use self::guest::{GuestRoute, SourceRule};

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use ipnet::{IpNet, Ipv6Net};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
        setsockopt, socket, sockopt,
    },
};

use crate::{
    error::{Context, Result},
    namespace::Namespace,
};

const HEADER: usize = 16;
const VETH_INFO_PEER: u16 = 1;
/// Take the next hop to be on the link whatever the routes say.
const RTNH_F_ONLINK: u32 = 4;

/// A link as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its MTU.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// The number of a veth's other end, in that one's namespace; else 0.
    pub peer: u32,
}

/// One end of a veth pair that shall be made.
#[derive(Clone, Debug)]
pub struct VethEnd<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its hardware address; the kernel chooses one when absent.
    pub mac: Option<[u8; 6]>,
    /// Its MTU.
    pub mtu: u32,
}

/// A route that shall be there; all its addresses are of one family.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// Out of which link.
    pub link: u32,
    /// The next hop, taken to be on the link (over IPv6 a link-local address is); none for a route
    /// to the link itself.
    pub gateway: Option<IpAddr>,
    /// The source address to prefer.
    pub source: Option<IpAddr>,
    /// Whether the destination is local to the namespace (`ip route add local`).
    pub local: bool,
}

/// A blocking route netlink socket.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// A socket of the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            socket: route_socket(SockFlag::empty(), 0)?,
            sequence: 0,
            buffer: vec![0; 65536],
        })
    }

    /// A socket of `namespace`.
    pub fn open_in(namespace: &Namespace) -> io::Result<Self> {
        namespace.run(Self::open)?
    }

    /// All links of the namespace.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let mut request = Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP as u16);
        request.link_header(0, 0, 0);
        let mut links = Vec::new();
        self.exchange(request, |kind, body| {
            if kind == libc::RTM_NEWLINK {
                links.extend(parse_link(body));
            }
        })?;
        Ok(links)
    }

    /// The link of that name.
    pub fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut request = Request::new(libc::RTM_GETLINK, 0);
        request.link_header(0, 0, 0);
        request.attribute(libc::IFLA_IFNAME, name_bytes(name)?.as_slice());
        let mut found = None;
        let answer = self.exchange(request, |kind, body| {
            if kind == libc::RTM_NEWLINK {
                found = parse_link(body);
            }
        });
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(found),
        }
    }

    /// Makes a veth pair with one end here and the other in `elsewhere`. Both are down.
    pub fn add_veth(
        &mut self,
        here: &VethEnd<'_>,
        there: &VethEnd<'_>,
        elsewhere: &Namespace,
    ) -> io::Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(libc::RTM_NEWLINK, flags as u16);
        request.link_header(0, 0, 0);
        request.end_attributes(here)?;
        let info = request.open_nest(libc::IFLA_LINKINFO);
        request.attribute(libc::IFLA_INFO_KIND, b"veth\0");
        let data = request.open_nest(libc::IFLA_INFO_DATA);
        let peer = request.open_nest(VETH_INFO_PEER);
        request.link_header(0, 0, 0);
        request.end_attributes(there)?;
        request.attribute(libc::IFLA_NET_NS_FD, &elsewhere.as_raw_fd().to_ne_bytes());
        request.close_nest(peer);
        request.close_nest(data);
        request.close_nest(info);
        self.execute(request)
    }

    /// Sets a link up.
    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        let up = libc::IFF_UP as u32;
        let mut request = Request::new(libc::RTM_NEWLINK, 0);
        request.link_header(index, up, up);
        self.execute(request)
    }

    /// Removes a link, and with a veth its peer.
    pub fn delete_link(&mut self, index: u32) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_DELLINK, 0);
        request.link_header(index, 0, 0);
        match self.execute(request) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// Gives a link an address; no harm if it has it. Nobody is asked whether it is taken.
    pub fn add_address(&mut self, index: u32, address: IpNet) -> io::Result<()> {
        let flags = match address {
            IpNet::V4(_) => 0,
            IpNet::V6(_) => libc::IFA_F_NODAD as u8,
        };
        let mut request = Request::new(libc::RTM_NEWADDR, (CREATE | libc::NLM_F_REPLACE) as u16);
        request.bytes(&[family(address.addr()), address.prefix_len(), flags, 0]);
        request.bytes(&index.to_ne_bytes());
        request.address(libc::IFA_LOCAL, address.addr());
        request.address(libc::IFA_ADDRESS, address.addr());
        self.execute(request)
    }

    /// The IPv4 addresses of a link.
    pub fn addresses(&mut self, index: u32) -> io::Result<Vec<Ipv4Addr>> {
        let mut request = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16);
        request.bytes(&[libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0]);
        let mut addresses = Vec::new();
        self.exchange(request, |kind, body| {
            let of_link = body.get(4..8).is_some_and(|bytes| bytes == index.to_ne_bytes());
            if kind != libc::RTM_NEWADDR || !of_link {
                return;
            }
            for (kind, value) in attributes(body.get(8..).unwrap_or_default()) {
                if let (libc::IFA_LOCAL, Ok(octets)) = (kind, <[u8; 4]>::try_from(value)) {
                    addresses.push(octets.into());
                }
            }
        })?;
        Ok(addresses)
    }

    /// Takes an address with a prefix of 32 bits from a link.
    pub fn delete_host_address(&mut self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_DELADDR, 0);
        request.bytes(&[libc::AF_INET as u8, 32, 0, 0]);
        request.bytes(&index.to_ne_bytes());
        request.attribute(libc::IFA_LOCAL, &address.octets());
        self.execute(request)
    }

    /// The IPv6 destinations that are local by routes out of a link that somebody made, as opposed
    /// to those that the kernel makes for each address.
    pub fn ipv6_local_routes(&mut self, link: u32) -> io::Result<Vec<Ipv6Net>> {
        let mut request = Request::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP as u16);
        request.bytes(&[libc::AF_INET6 as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut found = Vec::new();
        self.exchange(request, |kind, body| {
            let &[_, length, _, _, table, protocol, _, route_kind, ..] = body else { return };
            let made = (table, protocol, route_kind)
                == (libc::RT_TABLE_LOCAL, libc::RTPROT_STATIC, libc::RTN_LOCAL);
            if kind != libc::RTM_NEWROUTE || !made {
                return;
            }
            let (mut destination, mut out) = (None, None);
            for (kind, value) in attributes(body.get(12..).unwrap_or_default()) {
                match kind {
                    libc::RTA_DST => destination = <[u8; 16]>::try_from(value).ok(),
                    libc::RTA_OIF => out = word(value, 0),
                    _ => {}
                }
            }
            if out == Some(link) {
                let destination = destination.map(Ipv6Addr::from);
                found.extend(destination.and_then(|to| Ipv6Net::new(to, length).ok()));
            }
        })?;
        Ok(found)
    }

    /// Makes a route; `EEXIST` where there is one to the same destination.
    pub fn add_route(&mut self, route: &Route) -> io::Result<()> {
        self.route(route, CREATE | libc::NLM_F_EXCL)
    }

    /// Makes a route or replaces the one to the same destination.
    pub fn replace_route(&mut self, route: &Route) -> io::Result<()> {
        self.route(route, CREATE | libc::NLM_F_REPLACE)
    }

    fn route(&mut self, route: &Route, flags: i32) -> io::Result<()> {
        let (table, kind, scope) = match (route.local, route.gateway) {
            (true, _) => (libc::RT_TABLE_LOCAL, libc::RTN_LOCAL, libc::RT_SCOPE_HOST),
            (false, None) => (libc::RT_TABLE_MAIN, libc::RTN_UNICAST, libc::RT_SCOPE_LINK),
            (false, Some(_)) => (libc::RT_TABLE_MAIN, libc::RTN_UNICAST, libc::RT_SCOPE_UNIVERSE),
        };
        // Over IPv6 the kernel would look for a route to the next hop's address in vain.
        let onlink = match route.gateway {
            Some(IpAddr::V4(_)) => RTNH_F_ONLINK,
            Some(IpAddr::V6(_)) | None => 0,
        };
        let mut request = Request::new(libc::RTM_NEWROUTE, flags as u16);
        let length = route.destination.prefix_len();
        request.bytes(&[family(route.destination.addr()), length, 0, 0, table]);
        request.bytes(&[libc::RTPROT_STATIC, scope, kind]);
        request.bytes(&onlink.to_ne_bytes());
        request.address(libc::RTA_DST, route.destination.network());
        request.attribute(libc::RTA_OIF, &route.link.to_ne_bytes());
        if let Some(gateway) = route.gateway {
            request.address(libc::RTA_GATEWAY, gateway);
        }
        if let Some(source) = route.source {
            request.address(libc::RTA_PREFSRC, source);
        }
        self.execute(request)
    }

    /// Removes the local route to a destination; no harm if there is none.
    pub fn delete_local_route(&mut self, link: u32, destination: IpNet) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_DELROUTE, 0);
        let length = destination.prefix_len();
        request.bytes(&[family(destination.addr()), length, 0, 0, libc::RT_TABLE_LOCAL]);
        request.bytes(&[libc::RTPROT_UNSPEC, libc::RT_SCOPE_HOST, libc::RTN_LOCAL]);
        request.bytes(&0_u32.to_ne_bytes());
        request.address(libc::RTA_DST, destination.network());
        request.attribute(libc::RTA_OIF, &link.to_ne_bytes());
        match self.execute(request) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Makes a permanent neighbour, so that nobody asks for it by ARP or neighbour discovery.
    pub fn replace_neighbour(
        &mut self,
        link: u32,
        address: IpAddr,
        mac: [u8; 6],
    ) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWNEIGH, (CREATE | libc::NLM_F_REPLACE) as u16);
        request.bytes(&[family(address), 0, 0, 0]);
        request.bytes(&link.to_ne_bytes());
        request.bytes(&libc::NUD_PERMANENT.to_ne_bytes());
        request.bytes(&[0, 0]);
        request.address(libc::NDA_DST, address);
        request.attribute(libc::NDA_LLADDR, &mac);
        self.execute(request)
    }

    /// Sends a request that is answered by an acknowledgement alone.
    fn execute(&mut self, mut request: Request) -> io::Result<()> {
        request.flag(libc::NLM_F_ACK as u16);
        self.exchange(request, |_, _| ())
    }

    /// Sends a request and hands every message of the answer to `each`.
    fn exchange(&mut self, request: Request, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = request.finish(self.sequence);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            while let Some(Message { kind, flags, sequence, body }) = next_message(&mut rest) {
                if sequence != self.sequence {
                    continue;
                }
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => {
                        return match word(body, 0).map(u32::cast_signed) {
                            Some(0) => Ok(()),
                            Some(code) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
                            None => Err(io::ErrorKind::UnexpectedEof.into()),
                        };
                    }
                    _ => {
                        each(kind, body);
                        let asked_for_more = message_flags(&message)
                            & (libc::NLM_F_DUMP | libc::NLM_F_ACK) as u16
                            != 0;
                        if flags & libc::NLM_F_MULTI as u16 == 0 && !asked_for_more {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

const CREATE: i32 = libc::NLM_F_CREATE;

/// Something that happened to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// The link of this number is gone.
    Gone(u32),
    /// Messages were lost: whoever keeps a list of links has to look again.
    Missed,
}

/// Tells of links that vanish; non-blocking, for an event loop.
#[derive(Debug)]
pub struct LinkMonitor {
    socket: OwnedFd,
}

impl LinkMonitor {
    /// Watches the calling thread's namespace.
    pub fn open() -> io::Result<Self> {
        let group = 1 << (libc::RTNLGRP_LINK - 1);
        Ok(Self { socket: route_socket(SockFlag::SOCK_NONBLOCK, group)? })
    }

    /// What happened since the last time.
    pub fn drain(&mut self, mut each: impl FnMut(LinkChange)) -> io::Result<()> {
        let mut buffer = vec![0; 65536];
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => {
                    each(LinkChange::Missed);
                    continue;
                }
                other => other?,
            };
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some(Message { kind, body, .. }) = next_message(&mut rest) {
                if kind == libc::RTM_DELLINK
                    && let Some(index) = word(body, 4)
                {
                    each(LinkChange::Gone(index));
                }
            }
        }
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes a veth pair unless the near end is there, and returns the near end as it then is.
pub(crate) fn ensure_veth(
    netlink: &mut Netlink,
    here: &VethEnd<'_>,
    there: &VethEnd<'_>,
    elsewhere: &Namespace,
) -> Result<Link> {
    if let Some(link) = netlink.link(here.name).context(|| format!("find link {}", here.name))? {
        return Ok(link);
    }
    netlink.add_veth(here, there, elsewhere).context(|| format!("make link {}", here.name))?;
    let made = netlink.link(here.name).context(|| format!("find link {}", here.name))?;
    made.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
        .context(|| format!("find link {} just made", here.name))
}

fn route_socket(flags: SockFlag, groups: u32) -> io::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        flags | SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    // Dumps of thousands of links and bursts of deletions must fit.
    if setsockopt(&fd, sockopt::RcvBufForce, &(4 << 20)).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &(1 << 20))?;
    }
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(fd)
}

/// A request in the making.
struct Request {
    bytes: Vec<u8>,
}

impl Request {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self { bytes }
    }

    fn flag(&mut self, flag: u16) {
        let flags = message_flags(&self.bytes) | flag;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `struct ifinfomsg`.
    fn link_header(&mut self, index: u32, flags: u32, change: u32) {
        self.bytes(&[libc::AF_UNSPEC as u8, 0, 0, 0]);
        for part in [index, flags, change] {
            self.bytes(&part.to_ne_bytes());
        }
    }

    fn end_attributes(&mut self, end: &VethEnd<'_>) -> io::Result<()> {
        self.attribute(libc::IFLA_IFNAME, name_bytes(end.name)?.as_slice());
        self.attribute(libc::IFLA_MTU, &end.mtu.to_ne_bytes());
        if let Some(mac) = end.mac {
            self.attribute(libc::IFLA_ADDRESS, &mac);
        }
        Ok(())
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.open_nest(kind);
        self.bytes(value);
        self.close_nest(start);
    }

    fn open_nest(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes(&[0, 0]);
        self.bytes(&kind.to_ne_bytes());
        start
    }

    fn close_nest(&mut self, start: usize) {
        // Requests are built from names and addresses: far below the 65,535 of the field.
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn message_flags(message: &[u8]) -> u16 {
    u16::from_ne_bytes([message[6], message[7]])
}

fn name_bytes(name: &str) -> io::Result<Vec<u8>> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok([name.as_bytes(), &[0]].concat())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A message as it came.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

/// Takes the first message off the bytes that came.
fn next_message<'a>(bytes: &mut &'a [u8]) -> Option<Message<'a>> {
    let length = word(bytes, 0)? as usize;
    let message = Message {
        kind: u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?),
        flags: u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?),
        sequence: word(bytes, 8)?,
        body: bytes.get(HEADER..length)?,
    };
    *bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some(message)
}

/// The attributes of a message body after its fixed part.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & libc::NLA_TYPE_MASK as u16, value))
    })
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let up = word(body, 8)? & libc::IFF_UP as u32 != 0;
    let mut link =
        Link { index: word(body, 4)?, name: String::new(), mac: [0; 6], mtu: 0, up, peer: 0 };
    for (kind, value) in attributes(body.get(HEADER..)?) {
        match kind {
            libc::IFLA_IFNAME => {
                let name = value.strip_suffix(&[0]).unwrap_or(value);
                link.name = String::from_utf8_lossy(name).into_owned();
            }
            libc::IFLA_ADDRESS => link.mac = value.try_into().unwrap_or_default(),
            libc::IFLA_MTU => link.mtu = word(value, 0)?,
            libc::IFLA_LINK => link.peer = word(value, 0)?,
            _ => {}
        }
    }
    Some(link)
}
