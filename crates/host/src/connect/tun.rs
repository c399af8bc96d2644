//! Tun devices: links whose other end is a process. One goes with the process that made it, and its
//! addresses and routes with it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::fd::AsRawFd as _,
    os::unix::fs::OpenOptionsExt as _,
};

/// Before each packet: how it is segmented and what its checksum lacks (`virtio_net_hdr`).
pub(super) const HEADER: usize = 10;
/// The longest packet, with its header: whole segments pass.
pub(super) const LONGEST: usize = HEADER + (64 << 10);

const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0;
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
/// Checksums may be unfinished, TCP over IPv4 in large segments.
const OFFLOADS: libc::c_ulong = 0x01 | 0x02;

/// The kernel's `struct ifreq` as TUNSETIFF reads it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: u16,
    rest: [u8; 22],
}

/// A tun device and its process's end.
#[derive(Debug)]
pub(super) struct Tun {
    file: File,
}

impl Tun {
    /// Makes one in the calling thread's namespace.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let mut request = Request {
            name: [0; libc::IFNAMSIZ],
            flags: IFF_TUN | IFF_NO_PI | IFF_VNET_HDR,
            rest: [0; 22],
        };
        // The last byte stays 0.
        let place = request.name.get_mut(..name.len()).filter(|it| it.len() < libc::IFNAMSIZ);
        place.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).custom_flags(libc::O_CLOEXEC).open("/dev/net/tun")?;
        // SAFETY: the request is as large as a struct ifreq and lives until the call returns.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw const request) };
        if made < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: this call takes a number and no pointer.
        let set = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD, OFFLOADS) };
        if set < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { file })
    }

    /// Waits for a packet; its length with the header.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }

    /// Sends a packet, its header before it.
    pub(super) fn write(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(drop)
    }
}
