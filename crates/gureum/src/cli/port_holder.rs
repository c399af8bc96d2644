//! Which process listens on an address, as far as /proc lets us see.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A process that listens.
#[derive(Debug)]
pub(crate) struct Holder {
    name: String,
    pid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Finds who listens there. Processes of other people are only seen by root.
pub(crate) fn find(address: SocketAddr) -> Option<Holder> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().find_map(|line| listener(line, address))
    })?;
    let link = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for descriptor in descriptors.flatten() {
            if fs::read_link(descriptor.path()).is_ok_and(|to| to.as_os_str() == link.as_str()) {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                return Some(Holder { name: name.trim().to_owned(), pid });
            }
        }
    }
    None
}

/// The inode of a socket that listens where `address` would, from a line of `/proc/net/tcp`.
fn listener(line: &str, address: SocketAddr) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let (ip, port) = fields.nth(1)?.split_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    let ip = parse_ip(ip)?;
    let same = ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == "0A" && port == address.port() && same).then_some(inode)
}

/// An address as the kernel prints it: 32-bit words in the machine's byte order.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let word = |index: usize| {
        let digits = hex.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (index, chunk) in bytes.chunks_mut(4).enumerate() {
        chunk.copy_from_slice(&word(index)?);
    }
    Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn our_own_listener_is_found() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let holder = find(socket.local_addr().expect("an address")).expect("a holder");
        assert_eq!(holder.pid, std::process::id());
        assert!(!holder.name.is_empty());
    }

    #[test]
    fn a_listener_on_all_addresses_holds_each_of_them() {
        let socket = TcpListener::bind("[::]:0").expect("a listener");
        let port = socket.local_addr().expect("an address").port();
        assert!(find(SocketAddr::new([127, 0, 0, 1].into(), port)).is_some());
    }
}
