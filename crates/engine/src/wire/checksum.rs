//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use super::{be16, be32, put16};
use crate::address::Address;

/// The ones' complement sum of bytes as big-endian words, not folded.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks_exact(4);
    let mut sum = 0u64;
    for chunk in &mut chunks {
        if let Ok(word) = <[u8; 4]>::try_from(chunk) {
            sum += u64::from(u32::from_be_bytes(word));
        }
    }
    let mut last = [0u8; 4];
    for (place, byte) in last.iter_mut().zip(chunks.remainder()) {
        *place = *byte;
    }
    sum + u64::from(u32::from_be_bytes(last))
}

/// Folds a sum into 16 bits.
pub(crate) fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// The sum of the pseudo-header of TCP, UDP and ICMPv6, not folded.
pub(crate) fn pseudo_header(
    source: Address,
    destination: Address,
    protocol: u8,
    length: usize,
) -> u64 {
    sum_address(source) + sum_address(destination) + u64::from(protocol) + length as u64
}

fn sum_address(address: Address) -> u64 {
    match address.as_v4() {
        Some(bits) => bits.into(),
        None => sum(&address.number().to_be_bytes()),
    }
}

/// By how much words that a checksum covers changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta(u64);

impl Delta {
    /// A 16-bit word became another.
    pub(crate) fn word(mut self, old: u16, new: u16) -> Self {
        self.0 += u64::from(!old) + u64::from(new);
        self
    }

    /// Two words became others.
    pub(crate) fn double(mut self, old: u32, new: u32) -> Self {
        self.0 += u64::from(!old) + u64::from(new);
        self
    }

    /// All that both tell.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// An address became another of the same family.
    pub(crate) fn address(self, old: Address, new: Address) -> Self {
        match (old.as_v4(), new.as_v4()) {
            (Some(old), Some(new)) => self.double(old, new),
            _ => {
                let words = |address: Address| address.number().to_be_bytes();
                let (old, new) = (words(old), words(new));
                let pairs = old.chunks_exact(4).zip(new.chunks_exact(4));
                pairs.fold(self, |delta, (old, new)| {
                    let word = |bytes: &[u8]| be32(bytes, 0).unwrap_or_default();
                    delta.double(word(old), word(new))
                })
            }
        }
    }

    /// The updated value of a finished checksum: RFC 1624, equation 3.
    pub(crate) fn finished(self, checksum: u16) -> u16 {
        !fold(u64::from(!checksum) + self.0)
    }

    /// The same of a transport, where it is never zero: that is no checksum in UDP, and a wrong one
    /// where all that is summed up is zero too, as in an empty answer to a ping (RFC 1624, 3). All
    /// ones is the same number.
    pub(crate) fn finished_transport(self, checksum: u16) -> u16 {
        match self.finished(checksum) {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    /// The updated value of a partial sum, which is not complemented.
    pub(crate) fn partial(self, sum: u16) -> u16 {
        fold(u64::from(sum) + self.0)
    }
}

/// Replaces a word and tells what that does to a checksum over it.
pub(crate) fn replace16(frame: &mut [u8], at: usize, new: u16, delta: Delta) -> Delta {
    match be16(frame, at) {
        Some(old) => {
            put16(frame, at, new);
            delta.word(old, new)
        }
        None => delta,
    }
}

/// Applies a change to the finished checksum at an offset, where the frame reaches that far.
pub(crate) fn update_finished(frame: &mut [u8], at: usize, delta: Delta) {
    if let Some(old) = be16(frame, at) {
        put16(frame, at, delta.finished(old));
    }
}

/// Writes the checksum of an IPv4 header.
pub(crate) fn fill_ipv4(frame: &mut [u8], header: usize, header_len: usize) {
    put16(frame, header + 10, 0);
    if let Some(bytes) = frame.get(header..header + header_len) {
        let checksum = !fold(sum(bytes));
        put16(frame, header + 10, checksum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incremental_update_gives_what_a_full_sum_gives() {
        let mut bytes: Vec<u8> = (0..=255).collect();
        let before = !fold(sum(&bytes));
        let mut delta = Delta::default();
        delta = replace16(&mut bytes, 4, 0xbeef, delta);
        delta = delta.double(0x0809_0a0b, 0xc612_0001);
        bytes[8..12].copy_from_slice(&[0xc6, 0x12, 0, 1]);
        assert_eq!(delta.finished(before), !fold(sum(&bytes)));
        assert_eq!(delta.partial(!before), fold(sum(&bytes)));
    }

    #[test]
    fn odd_lengths_are_padded_with_zero() {
        assert_eq!(fold(sum(&[1, 2, 3])), fold(sum(&[1, 2, 3, 0])));
    }

    #[test]
    fn every_carry_is_folded() {
        assert_eq!(fold(u64::MAX), 0xffff);
        assert_eq!(fold(0x1_ffff_ffff), 1, "a carry out of 32 bits");
        assert_eq!(fold(0xffff_ffff), 0xffff, "the largest that is left to the last fold");
    }
}
