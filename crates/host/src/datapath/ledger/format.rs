//! A window as a file: a header page, then entries.

use std::{
    fs::{self, OpenOptions},
    io,
    mem::offset_of,
    net::Ipv6Addr,
    os::unix::fs::FileExt,
    path::Path,
};

use gureum_engine::TallyKey;
use gureum_types::{
    NetworkInterfaceId, Timestamp, TrafficDirection, TrafficPath, TrafficVerdict, Window,
    WindowEntry,
};

use crate::{
    datapath::mapping::{Plain, value},
    windows::CLOSED,
};

const MAGIC: u64 = u64::from_ne_bytes(*b"gureumW1");
/// Bytes of the header page.
pub(super) const HEADER: usize = 4096;

/// The first page of a window.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: u64,
    pub(super) entry_bytes: u64,
    /// When it was opened: on the engine's clock, and in milliseconds since the Unix epoch.
    pub(super) opened: u64,
    pub(super) opened_at: i64,
    /// When it was closed, in milliseconds since the Unix epoch; 0 while it is open.
    pub(super) closed_at: i64,
    pub(super) entries: u64,
    /// Whether there was no room to say what could not be counted.
    pub(super) incomplete: u64,
}

impl Header {
    /// That of a window that is opened now.
    pub(super) fn new(opened_at: i64, opened: u64) -> Self {
        Self {
            magic: MAGIC,
            entry_bytes: size_of::<Entry>() as u64,
            opened,
            opened_at,
            closed_at: 0,
            entries: 0,
            incomplete: 0,
        }
    }
}

// SAFETY: integers of eight bytes each.
unsafe impl Plain for Header {}

/// A sum.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Entry {
    pub(super) interface: u64,
    pub(super) source: [u64; 2],
    pub(super) destination: [u64; 2],
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) protocol: u8,
    pub(super) direction: u8,
    pub(super) verdict: u8,
    pub(super) path: u8,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) tcp_flags: u64,
}

// SAFETY: integers, each at a multiple of its size: 5 of eight bytes, 2 of two, 4 of one, 5 of eight.
unsafe impl Plain for Entry {}

const _: () = assert!(size_of::<Entry>() == 88);

/// The verdict of an entry that says only that something of its interface could not be counted.
pub(super) const UNTALLIED: u8 = 255;

const fn halves(number: u128) -> [u64; 2] {
    [(number >> 64) as u64, number as u64]
}

/// The inverse of [`halves`].
const fn whole([high, low]: [u64; 2]) -> u128 {
    (high as u128) << 64 | low as u128
}

impl Entry {
    pub(super) fn new(key: &TallyKey, now: u64) -> Self {
        Self {
            interface: key.interface,
            source: halves(key.source),
            destination: halves(key.destination),
            source_port: key.source_port,
            destination_port: key.destination_port,
            protocol: key.protocol,
            direction: u8::from(key.direction == TrafficDirection::Egress),
            verdict: match key.verdict {
                TrafficVerdict::Accept => 0,
                TrafficVerdict::Reject => 1,
                TrafficVerdict::RejectPublicAccess => 2,
            },
            path: key.path.map_or(0, |path| path as u8),
            packets: 0,
            bytes: 0,
            first: now,
            last: now,
            tcp_flags: 0,
        }
    }

    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.interface == other.interface
            && self.source == other.source
            && self.destination == other.destination
            && self.source_port == other.source_port
            && self.destination_port == other.destination_port
            && self.protocol == other.protocol
            && self.direction == other.direction
            && self.verdict == other.verdict
            && self.path == other.path
    }
}

/// Closes a window whose writer was killed. One without a header goes: it was being made.
pub(crate) fn finish(path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let Some((mut header, entries)) = parse(&bytes) else { return fs::remove_file(path) };
    let last = entries.iter().map(|entry| entry.last).max().unwrap_or(header.opened);
    header.closed_at = wall_time(&header, last).max(header.opened_at);
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len((HEADER + entries.len() * size_of::<Entry>()) as u64)?;
    file.write_all_at(&header.closed_at.to_ne_bytes(), offset_of!(Header, closed_at) as u64)?;
    fs::rename(path, path.with_extension(CLOSED))
}

/// Reads a closed window.
pub(crate) fn read(path: &Path) -> io::Result<Window> {
    let bytes = fs::read(path)?;
    let (header, entries) = parse(&bytes).ok_or(io::ErrorKind::InvalidData)?;
    let mut skipped: Vec<NetworkInterfaceId> = Vec::new();
    let mut found = Vec::with_capacity(entries.len());
    for entry in &entries {
        let interface = NetworkInterfaceId::new(entry.interface);
        let skips = header.incomplete != 0 || entry.verdict == UNTALLIED;
        if skips && !skipped.contains(&interface) {
            skipped.push(interface.clone());
        }
        if entry.verdict != UNTALLIED {
            found.push(window_entry(&header, entry, interface).ok_or(io::ErrorKind::InvalidData)?);
        }
    }
    Ok(Window {
        start: Timestamp(header.opened_at),
        end: Timestamp(header.closed_at),
        entries: found,
        skipped,
    })
}

fn parse(bytes: &[u8]) -> Option<(Header, Vec<Entry>)> {
    let (head, rest) = bytes.split_at_checked(HEADER)?;
    let header: Header = value(head)?;
    let known = header.magic == MAGIC && header.entry_bytes == size_of::<Entry>() as u64;
    let count = usize::try_from(header.entries).ok().filter(|_| known)?;
    let entries = rest.chunks_exact(size_of::<Entry>()).take(count);
    Some((header, entries.filter_map(value).collect()))
}

/// The time of day of a point on the engine's clock.
fn wall_time(header: &Header, time: u64) -> i64 {
    let since = time.saturating_sub(header.opened) / 1_000_000;
    header.opened_at.saturating_add_unsigned(since)
}

fn window_entry(
    header: &Header,
    entry: &Entry,
    interface: NetworkInterfaceId,
) -> Option<WindowEntry> {
    let address = |halves| Ipv6Addr::from(whole(halves)).to_canonical();
    Some(WindowEntry {
        interface,
        direction: match entry.direction {
            0 => TrafficDirection::Ingress,
            _ => TrafficDirection::Egress,
        },
        source: address(entry.source),
        destination: address(entry.destination),
        source_port: entry.source_port,
        destination_port: entry.destination_port,
        protocol: entry.protocol,
        verdict: match entry.verdict {
            0 => TrafficVerdict::Accept,
            1 => TrafficVerdict::Reject,
            2 => TrafficVerdict::RejectPublicAccess,
            _ => return None,
        },
        path: match entry.path {
            0 => None,
            number => Some(TrafficPath::from_number(number)?),
        },
        tcp_flags: u8::try_from(entry.tcp_flags).ok()?,
        packets: entry.packets,
        bytes: entry.bytes,
        first: Timestamp(wall_time(header, entry.first)),
        last: Timestamp(wall_time(header, entry.last)),
    })
}
