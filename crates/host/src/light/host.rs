//! One light host as the responder holds it: a user namespace, a network namespace that it owns, and
//! the few sockets that answer for all ports.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::wait::waitpid,
    unistd::{self, ForkResult, Pid},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    datagram::Datagrams,
    steer::{PORT, Steer},
};
use crate::{
    anchor::Owner,
    error::{Context, HostError, Result},
    fabric::has_ipv6,
    netlink::Netlink,
};

/// Kernel parameters of the namespace: those that a new one takes from the machine, and what the
/// fabric's other guests have.
const SYSCTLS: [(&str, &str); 13] = [
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/ip_forward", "0"),
    // Whoever is in here may ping and take low ports.
    ("net/ipv4/ping_group_range", "0 2147483647"),
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    // A link has no IPv6 before it has an address of it; then it is told all that a router says.
    ("net/ipv6/conf/lo/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/autoconf", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "0"),
];

/// A light host.
#[derive(Debug)]
pub(super) struct LightHost {
    /// Which start of the instance this is.
    pub(super) start: u32,
    /// Its Name tag.
    pub(super) name: Option<String>,
    pub(super) user: OwnedFd,
    pub(super) network: OwnedFd,
    pub(super) listeners: Vec<TcpListener>,
    pub(super) datagrams: Vec<Datagrams>,
}

impl LightHost {
    /// Makes it. The calling process must have one thread, whose own network is `home`.
    pub(super) fn make(
        start: u32,
        name: Option<String>,
        owner: Owner,
        home: &OwnedFd,
        steer: &Steer,
    ) -> Result<Self> {
        let (user, network) = make_namespaces(owner)?;
        let (listeners, datagrams) = inside(&network, home, || prepare(steer))?;
        Ok(Self { start, name, user, network, listeners, datagrams })
    }

    /// Opens its sockets anew.
    pub(super) fn reopen(&mut self, home: &OwnedFd) -> Result<()> {
        self.listeners.clear();
        self.datagrams.clear();
        (self.listeners, self.datagrams) = inside(&self.network, home, open_sockets)?;
        Ok(())
    }
}

/// Does something inside a network and comes back home, whatever becomes of it.
fn inside<T>(network: &OwnedFd, home: &OwnedFd, work: impl FnOnce() -> Result<T>) -> Result<T> {
    setns(network, CloneFlags::CLONE_NEWNET).context(|| "enter the network of a light host")?;
    let outcome = work();
    setns(home, CloneFlags::CLONE_NEWNET).context(|| "leave the network of a light host")?;
    outcome
}

type Sockets = (Vec<TcpListener>, Vec<Datagrams>);

fn prepare(steer: &Steer) -> Result<Sockets> {
    let ipv6 = has_ipv6();
    for (name, value) in SYSCTLS {
        if ipv6 || !name.starts_with("net/ipv6") {
            fs::write(format!("/proc/sys/{name}"), value).context(|| format!("set {name}"))?;
        }
    }
    let what = || "prepare the network of a light host";
    let mut netlink = Netlink::open().context(what)?;
    let loopback = netlink.link("lo").context(what)?.map_or(1, |it| it.index);
    netlink.set_up(loopback).context(what)?;
    // It finds itself, too.
    steer.attach(&mut netlink, loopback)?;
    open_sockets()
}

fn open_sockets() -> Result<Sockets> {
    let families = if has_ipv6() { [false, true].as_slice() } else { [false].as_slice() };
    let open = |ipv6: &bool| -> io::Result<(TcpListener, Datagrams)> {
        Ok((listener(*ipv6)?, Datagrams::open(*ipv6)?))
    };
    let opened = families.iter().map(open).collect::<io::Result<Vec<_>>>();
    Ok(opened.context(|| "open the sockets of a light host")?.into_iter().unzip())
}

fn listener(ipv6: bool) -> io::Result<TcpListener> {
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    let any: SocketAddr = if ipv6 {
        socket.set_only_v6(true)?;
        (Ipv6Addr::UNSPECIFIED, PORT).into()
    } else {
        (Ipv4Addr::UNSPECIFIED, PORT).into()
    };
    socket.bind(&any.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Makes a user namespace, in which the owner is root and nobody else is anybody, and a network that
/// belongs to it. A child does, since a process cannot leave a user namespace again.
fn make_namespaces(owner: Owner) -> Result<(OwnedFd, OwnedFd)> {
    let what = || "make the namespaces of a light host";
    let (made, maker) = unistd::pipe().context(what)?;
    let (held, holder) = unistd::pipe().context(what)?;
    // SAFETY: the responder has one thread.
    match unsafe { unistd::fork() }.context(|| "fork")? {
        ForkResult::Child => {
            drop((made, holder));
            let outcome = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET);
            let _ = unistd::write(&maker, &[outcome.map_or_else(|errno| errno as u8, |()| 0)]);
            // Until the parent holds the namespaces.
            let _ = unistd::read(&held, &mut [0]);
            // SAFETY: ends this half at once.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop((maker, held));
            let mut answer = [0xff];
            let heard = unistd::read(&made, &mut answer).context(what);
            let outcome = heard.and_then(|length| match (length, answer[0]) {
                (1, 0) => hold(child, owner),
                (1, errno) => Err(io::Error::from_raw_os_error(errno.into())).context(what),
                _ => Err(HostError::Failed("the maker of a light host died".into())),
            });
            drop(holder);
            waitpid(child, None).context(|| "wait for a child")?;
            outcome
        }
    }
}

fn hold(child: Pid, owner: Owner) -> Result<(OwnedFd, OwnedFd)> {
    let what = || "hold the namespaces of a light host";
    let path = |file: &str| format!("/proc/{child}/{file}");
    fs::write(path("uid_map"), format!("0 {} 1\n", owner.uid)).context(what)?;
    fs::write(path("gid_map"), format!("0 {} 1\n", owner.gid)).context(what)?;
    let open = |file: &str| fs::File::open(path(file)).map(OwnedFd::from).context(what);
    Ok((open("ns/user")?, open("ns/net")?))
}
