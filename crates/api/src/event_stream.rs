//! Answers that go on and on: the framing that AWS calls an event stream
//! (`application/vnd.amazon.eventstream`).

use bytes::Bytes;

use crate::{json, shape::Structure};

/// The content type of such an answer.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The type of header values that are texts.
const TEXT: u8 = 7;

/// An event with a structure in it, as JSON.
pub fn event(kind: &str, content: &dyn Structure) -> Bytes {
    let headers =
        [(":message-type", "event"), (":event-type", kind), (":content-type", "application/json")];
    message(&headers, json::encode(content).to_string().as_bytes())
}

/// What precedes all events where the operation is not told by the path: its answer, without the
/// events.
pub fn initial_response() -> Bytes {
    event("initial-response", &())
}

/// The end of a stream that could not go on.
pub fn exception(kind: &str, sentence: &str) -> Bytes {
    let headers = [
        (":message-type", "exception"),
        (":exception-type", kind),
        (":content-type", "application/json"),
    ];
    message(&headers, serde_json::json!({ "message": sentence }).to_string().as_bytes())
}

/// A message: lengths, their checksum, headers, payload, the checksum of all.
fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut head = Vec::new();
    for (name, value) in headers {
        // Both are ours and short.
        head.push(name.len() as u8);
        head.extend(name.as_bytes());
        head.push(TEXT);
        head.extend((value.len() as u16).to_be_bytes());
        head.extend(value.as_bytes());
    }
    let total = 12 + head.len() + payload.len() + 4;
    let mut out = Vec::with_capacity(total);
    out.extend((total as u32).to_be_bytes());
    out.extend((head.len() as u32).to_be_bytes());
    out.extend(crc32(&out).to_be_bytes());
    out.extend(head);
    out.extend(payload);
    out.extend(crc32(&out).to_be_bytes());
    out.into()
}

/// The checksum of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_everybody_else() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_message_has_its_lengths_and_its_headers() {
        let bytes = exception("SessionTimeoutException", "over");
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        assert_eq!(number(0) as usize, bytes.len());
        assert_eq!(number(8), crc32(&bytes[..8]));
        let end = bytes.len() - 4;
        assert_eq!(number(end), crc32(&bytes[..end]));
        let head = &bytes[12..12 + number(4) as usize];
        assert!(head.starts_with(b"\x0d:message-type\x07\x00\x09exception"), "{head:?}");
        assert_eq!(&bytes[12 + head.len()..end], br#"{"message":"over"}"#);
    }
}
