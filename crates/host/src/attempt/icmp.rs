//! Echo requests and their answers.

use std::net::IpAddr;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_IPV6: u8 = 128;
const ECHO_REPLY_IPV6: u8 = 129;

/// What a request carries beside its numbers.
const PAYLOAD: &[u8; 16] = b"gureum attempt..";

/// An echo request. The kernel fills in the checksum over IPv6.
pub(super) fn request(to: IpAddr, identifier: u16, sequence: u16) -> Vec<u8> {
    let kind = if to.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_IPV6 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend_from_slice(&identifier.to_be_bytes());
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend_from_slice(PAYLOAD);
    if to.is_ipv4() {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// Whether what a raw socket received is the answer to requests of this identifier. Over IPv4 it comes
/// with its IP header.
pub(super) fn is_reply(packet: &[u8], from: IpAddr, identifier: u16) -> bool {
    let (message, kind) = match from {
        IpAddr::V4(_) => {
            let length = usize::from(packet.first().copied().unwrap_or(0) & 0x0f) * 4;
            (packet.get(length..).unwrap_or_default(), ECHO_REPLY)
        }
        IpAddr::V6(_) => (packet, ECHO_REPLY_IPV6),
    };
    message.first() == Some(&kind) && message.get(4..6) == Some(&identifier.to_be_bytes()[..])
}

fn checksum(message: &[u8]) -> u16 {
    let words = message.chunks(2);
    let mut sum: u32 =
        words.map(|it| u32::from(it[0]) << 8 | u32::from(it.get(1).copied().unwrap_or(0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_identifier() {
        let v4: IpAddr = "10.1.1.5".parse().expect("an address");
        let v6: IpAddr = "2001:db8::5".parse().expect("an address");
        let mut message = request(v4, 0x1234, 1);
        assert_eq!(checksum(&message), 0, "RFC 792");
        let header = [&[0x46][..], &[0; 23]].concat();
        let packet = |message: &[u8]| [&header[..], message].concat();
        assert!(!is_reply(&packet(&message), v4, 0x1234), "a request");
        message[0] = 0;
        assert!(is_reply(&packet(&message), v4, 0x1234));
        assert!(!is_reply(&packet(&message), v4, 0x1235), "another's");
        let mut message = request(v6, 7, 1);
        message[0] = 129;
        assert!(is_reply(&message, v6, 7) && !is_reply(&message[..4], v6, 7));
    }
}
