//! Lines of numbers, addresses or ports, cut where the rules on a way begin and end: between two
//! cuts all numbers fare the same, so one of them speaks for the others.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::{Ipv4Net, Ipv4Subnets};

/// Numbers in a row, both ends included.
pub(super) type Range = (u32, u32);

/// All ports.
pub(super) const PORTS: Range = (0, 65_535);

/// What passes an internet gateway: all but private, shared, local and multicast space (IGW-16).
pub(super) const PUBLIC: [Range; 7] = [
    (0x0100_0000, 0x09ff_ffff),
    (0x0b00_0000, 0x643f_ffff),
    (0x6480_0000, 0x7eff_ffff),
    (0x8000_0000, 0xa9fd_ffff),
    (0xa9ff_0000, 0xac0f_ffff),
    (0xac20_0000, 0xc0a7_ffff),
    (0xc0a9_0000, 0xdfff_ffff),
];

/// Where a line is cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(BTreeSet<u32>);

impl Line {
    /// Cuts at both ends of a range.
    pub(super) fn cut(&mut self, (first, last): Range) {
        self.0.insert(first);
        self.0.extend(last.checked_add(1));
    }

    /// The pieces of some ranges, the longest first.
    pub(super) fn pieces(&self, within: &[Range]) -> Vec<Range> {
        let mut pieces = Vec::new();
        for &(first, last) in within {
            let mut begin = first;
            for &cut in self.0.range(first..=last).filter(|cut| **cut > first) {
                pieces.push((begin, cut - 1));
                begin = cut;
            }
            pieces.push((begin, last));
        }
        pieces.sort_by_key(|(first, last)| (std::cmp::Reverse(last - first), *first));
        pieces
    }

    /// The place of a number among the pieces of the whole line.
    pub(super) fn place(&self, number: u32) -> usize {
        self.0.range(..=number).count()
    }
}

/// The addresses of a block.
pub(super) fn of_block(block: Ipv4Net) -> Range {
    (block.network().into(), block.broadcast().into())
}

/// One address.
pub(super) fn of_address(address: Ipv4Addr) -> Range {
    (address.into(), address.into())
}

/// What two lists of ranges have in common.
pub(super) fn common(one: &[Range], two: &[Range]) -> Vec<Range> {
    let both = one.iter().flat_map(|a| two.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
    both.filter(|(first, last)| first <= last).collect()
}

/// The same numbers in as few ranges as possible, in order.
pub(super) fn joined(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut all: Vec<Range> = Vec::new();
    for (first, last) in ranges {
        match all.last_mut() {
            Some(before) if before.1.checked_add(1).is_none_or(|next| first <= next) => {
                before.1 = before.1.max(last);
            }
            _ => all.push((first, last)),
        }
    }
    all
}

/// Addresses as blocks, in the order of their texts, as AWS lists them.
pub(super) fn blocks(ranges: &[Range]) -> Vec<String> {
    let mut all: Vec<String> = joined(ranges.to_vec())
        .into_iter()
        .flat_map(|(first, last)| Ipv4Subnets::new(first.into(), last.into(), 0))
        .map(|block| block.to_string())
        .collect();
    all.sort_unstable();
    all
}

/// Ranges as records keep ports.
pub(super) fn ports(ranges: &[Range]) -> Vec<(u16, u16)> {
    let port = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    joined(ranges.to_vec()).into_iter().map(|(from, to)| (port(from), port(to))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_rules_begin_and_end() {
        let mut line = Line::default();
        line.cut((22, 22));
        line.cut((1024, 65_535));
        assert_eq!(line.pieces(&[PORTS]), [(1024, 65_535), (23, 1023), (0, 21), (22, 22)]);
        assert_eq!(line.pieces(&[(20, 22), (80, 80)]), [(20, 21), (22, 22), (80, 80)]);
        assert_eq!([0, 22, 23, 1024].map(|port| line.place(port)), [0, 1, 2, 3]);
    }

    #[test]
    fn ranges_become_blocks() {
        assert_eq!(blocks(&[(0x0a00_0001, 0x0a00_0001)]), ["10.0.0.1/32"]);
        let private = [PUBLIC[0], PUBLIC[1]];
        assert!(blocks(&private).contains(&"8.0.0.0/7".to_owned()));
        assert_eq!(joined(vec![(5, 9), (0, 4), (11, 12)]), [(0, 9), (11, 12)]);
        assert_eq!(joined(vec![(0, u32::MAX), (7, 8)]), [(0, u32::MAX)]);
        assert_eq!(common(&[(0, 10)], &[(5, 20), (30, 40)]), [(5, 10)]);
        assert_eq!(ports(&[(0, 1), (2, 65_535)]), [(0, 65_535)]);
    }

    #[test]
    fn what_is_public_is_in_order_and_leaves_out_what_is_not() {
        assert_eq!(joined(PUBLIC.to_vec()), PUBLIC);
        for text in ["0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1"]
        {
            let address: Ipv4Addr = text.parse().expect("an address");
            assert!(common(&PUBLIC, &[of_address(address)]).is_empty(), "{text}");
        }
    }
}
