//! The file format of captures: pcapng (draft-ietf-opsawg-pcapng), as much of it as we write: one
//! section, one interface, enhanced packets with their direction and a comment.

/// The block that a section begins with.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// Tells the byte order, which is that of this machine's words as we write them: little-endian.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;

const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
/// Time stamps count nanoseconds: ten to the power of minus nine.
const NANOSECONDS: u8 = 9;

/// Which way a packet went, as `epb_flags` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Way {
    /// Into the interface.
    Inbound = 1,
    /// Out of it.
    Outbound = 2,
}

/// The beginning of a file with the packets of one interface of that name.
pub(super) fn head(interface: &str) -> Vec<u8> {
    let mut section = Vec::new();
    section.extend(BYTE_ORDER.to_le_bytes());
    section.extend(1_u16.to_le_bytes());
    section.extend(0_u16.to_le_bytes());
    // The length of the section is not known beforehand.
    section.extend(u64::MAX.to_le_bytes());
    option(&mut section, SHB_USERAPPL, concat!("Gureum ", env!("CARGO_PKG_VERSION")).as_bytes());
    end_of_options(&mut section);
    let mut description = Vec::new();
    description.extend(ETHERNET.to_le_bytes());
    description.extend(0_u16.to_le_bytes());
    // No bound to the length of packets.
    description.extend(0_u32.to_le_bytes());
    option(&mut description, IF_NAME, interface.as_bytes());
    option(&mut description, IF_TSRESOL, &[NANOSECONDS]);
    end_of_options(&mut description);
    let mut file = block(SECTION_HEADER, &section);
    file.extend(block(INTERFACE_DESCRIPTION, &description));
    file
}

/// A packet, seen `at` nanoseconds after the beginning of 1970.
pub(super) fn packet(at: u64, frame: &[u8], way: Way, comment: Option<&str>) -> Vec<u8> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let mut body = Vec::with_capacity(frame.len() + 64);
    body.extend(0_u32.to_le_bytes());
    body.extend(((at >> 32) as u32).to_le_bytes());
    body.extend((at as u32).to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(frame);
    pad(&mut body);
    if let Some(comment) = comment {
        option(&mut body, OPT_COMMENT, comment.as_bytes());
    }
    option(&mut body, EPB_FLAGS, &(way as u32).to_le_bytes());
    end_of_options(&mut body);
    block(ENHANCED_PACKET, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    // Type, length, body, and the length once more for whoever reads backwards.
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    [&kind.to_le_bytes(), &length, body, &length].concat()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(code.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(&value[..length.into()]);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_words_with_their_length_at_both_ends() {
        let mut file = head("eni-1");
        for (length, comment) in [(60, None), (61, Some("dropped: no-route")), (0, Some(""))] {
            file.extend(packet(1 << 40, &vec![7; length], Way::Inbound, comment));
        }
        let mut kinds = Vec::new();
        let mut rest = file.as_slice();
        while !rest.is_empty() {
            let word =
                |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes"));
            let length = word(4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(length - 4) as usize, length);
            kinds.push(word(0));
            if word(0) == ENHANCED_PACKET {
                assert_eq!((word(12), word(16)), (1 << 8, 0), "the time in two halves");
            }
            rest = &rest[length..];
        }
        let packets = [ENHANCED_PACKET; 3];
        assert_eq!(kinds, [&[SECTION_HEADER, INTERFACE_DESCRIPTION], &packets[..]].concat());
    }
}
