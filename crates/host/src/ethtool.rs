//! Switches offloads of a link off, by the ioctl that every kernel has.
//!
//! Only what the data path cannot carry on: segmentation of tunnelled packets (traps 5).

use std::{ffi::c_void, io, os::fd::AsRawFd};

use socket2::{Domain, Socket, Type};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_FEATURES: u32 = 4;
const NAME: usize = 32;

/// What segments packets inside packets.
const TUNNELS: [&str; 3] = ["tx-udp_tnl-", "tx-gre-", "tx-ipxip"];

/// Switches off the segmentation of tunnelled packets on a link of the calling thread's
/// namespace.
pub(crate) fn disable_tunnel_offloads(link: &str) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let names = feature_names(&socket, link)?;
    let blocks = names.len().div_ceil(32);
    // struct ethtool_sfeatures: command, number of blocks, then {valid, requested} a block.
    let mut request = vec![ETHTOOL_SFEATURES, blocks as u32];
    request.resize(2 + 2 * blocks, 0);
    for (bit, name) in names.iter().enumerate() {
        if TUNNELS.iter().any(|prefix| name.starts_with(prefix)) {
            request[2 + 2 * (bit / 32)] |= 1 << (bit % 32);
        }
    }
    call(&socket, link, &mut request)
}

fn feature_names(socket: &Socket, link: &str) -> io::Result<Vec<String>> {
    // struct ethtool_sset_info: command, reserved, 64 bits of mask, then a count a set.
    let mask = 1_u64 << ETH_SS_FEATURES;
    let (low, high) = (mask as u32, (mask >> 32) as u32);
    let halves = if cfg!(target_endian = "little") { [low, high] } else { [high, low] };
    let mut info = [ETHTOOL_GSSET_INFO, 0, halves[0], halves[1], 0];
    call(socket, link, &mut info)?;
    let count = info[4] as usize;
    // struct ethtool_gstrings: command, set, count, then 32 bytes a name.
    let mut strings = vec![ETHTOOL_GSTRINGS, ETH_SS_FEATURES, info[4]];
    strings.resize(3 + count * NAME / 4, 0);
    call(socket, link, &mut strings)?;
    let bytes: Vec<u8> = strings[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    Ok(bytes.chunks_exact(NAME).map(name).collect())
}

fn call(socket: &Socket, link: &str, request: &mut [u32]) -> io::Result<()> {
    if link.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut name = [0 as libc::c_char; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(link.bytes()) {
        *to = from as libc::c_char;
    }
    let mut ifreq = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: request.as_mut_ptr().cast::<c_void>().cast(),
        },
    };
    // SAFETY: `ifreq` names a link and points to a buffer as long as its command says; both
    // outlive the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut ifreq) } {
        -1 => Err(io::Error::last_os_error()),
        // Positive: flags that tell which bits were not changeable, which we did not need.
        _ => Ok(()),
    }
}
