//! Network namespaces by their file descriptor.
//!
//! Nothing here enters a namespace with a thread that does anything else afterwards: work is done
//! on a thread of its own that ends with it, and a socket stays in the namespace it was made in.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
    thread,
};

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

impl Namespace {
    /// The namespace behind a link as `/proc/<pid>/ns/net` or `/proc/<pid>/fd/<n>`.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self { fd: File::open(path)?.into() })
    }

    /// The namespace that `fd` refers to.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Another handle of the same namespace.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }

    /// Runs `work` on a new thread inside the namespace and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let worker = thread::Builder::new().name("gureum-setns".into()).spawn_scoped(
                scope,
                || -> io::Result<T> {
                    self.enter()?;
                    Ok(work())
                },
            )?;
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread into the namespace, for good.
    pub(crate) fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.fd, CloneFlags::CLONE_NEWNET)?)
    }

    /// A listening TCP socket of the namespace, non-blocking, ready for an event loop.
    pub fn tcp_listener(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(address, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    }

    /// A listener as [`Self::tcp_listener`], beside which others may listen at the same port: at all
    /// addresses, or at one of them, which then has its callers to itself.
    pub fn shared_tcp_listener(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(address, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    }

    /// A shared listener at all IPv4 addresses, whose connections carry `mss` bytes a segment at
    /// most, both ways.
    pub fn endpoint_listener(&self, port: u16, mss: u32) -> io::Result<TcpListener> {
        let listener = self.shared_tcp_listener((Ipv4Addr::UNSPECIFIED, port).into())?;
        SockRef::from(&listener).set_tcp_mss(mss)?;
        Ok(listener)
    }

    /// A bound UDP socket of the namespace, non-blocking.
    pub fn udp_socket(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.socket(address, Type::DGRAM, Protocol::UDP)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    }

    /// An unconnected TCP socket of the namespace, non-blocking: whoever connects it speaks from
    /// inside.
    pub fn tcp_socket(&self, target: SocketAddr) -> io::Result<Socket> {
        self.socket(target, Type::STREAM, Protocol::TCP)
    }

    fn socket(&self, address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let socket =
            self.run(|| Socket::new(Domain::for_address(address), kind, Some(protocol)))??;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            // What is local by a route alone is no address of a link, and the kernel would say so.
            socket.set_freebind_v6(true)?;
        }
        Ok(socket)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<Namespace> for OwnedFd {
    fn from(namespace: Namespace) -> Self {
        namespace.fd
    }
}
