//! smux version 1: many connections inside the byte stream of one forwarded port.
//!
//! A frame is version, command, length (little-endian), stream (little-endian) and, for a push, that
//! many bytes. Borders of channel frames mean nothing here. The client opens streams, with odd
//! numbers; there is no window, no half close and, to clients that know us, no keep-alive.

use bytes::{Buf, Bytes, BytesMut};

const VERSION: u8 = 1;
const HEADER: usize = 8;

/// What a frame does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A stream begins.
    Syn,
    /// The sender is done with a stream, both ways.
    Fin,
    /// Data of a stream.
    Push(Bytes),
    /// Nothing: the sender lives.
    Nop,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which stream.
    pub stream: u32,
    /// What about it.
    pub command: Command,
}

/// Why bytes are no smux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmuxError {
    /// Another version.
    #[error("version {0} of smux, not {VERSION}")]
    Version(u8),
    /// A command that there is not.
    #[error("{0} is no command of smux")]
    Command(u8),
    /// Data where a command has none.
    #[error("a command with {0} bytes of data")]
    Data(u16),
}

impl Frame {
    /// Appends the frame. Data beyond 65,535 bytes goes into further frames.
    pub fn emit(&self, out: &mut BytesMut) {
        let mut put = |command: u8, data: &[u8]| {
            out.extend_from_slice(&[VERSION, command]);
            // A chunk is never longer.
            out.extend_from_slice(&(data.len() as u16).to_le_bytes());
            out.extend_from_slice(&self.stream.to_le_bytes());
            out.extend_from_slice(data);
        };
        match &self.command {
            Command::Syn => put(0, &[]),
            Command::Fin => put(1, &[]),
            Command::Push(data) => data.chunks(usize::from(u16::MAX)).for_each(|it| put(2, it)),
            Command::Nop => put(3, &[]),
        }
    }
}

/// Takes a byte stream apart. After an error nothing more comes out of it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffered: BytesMut,
}

impl Decoder {
    /// Adds what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffered.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, SmuxError> {
        let Some(&[version, command, l0, l1, s0, s1, s2, s3]) = self.buffered.first_chunk() else {
            return Ok(None);
        };
        let length = u16::from_le_bytes([l0, l1]);
        if version != VERSION {
            return Err(SmuxError::Version(version));
        }
        if command > 3 {
            return Err(SmuxError::Command(command));
        }
        if command != 2 && length != 0 {
            return Err(SmuxError::Data(length));
        }
        if self.buffered.len() < HEADER + usize::from(length) {
            return Ok(None);
        }
        self.buffered.advance(HEADER);
        let data = self.buffered.split_to(length.into()).freeze();
        let command = match command {
            0 => Command::Syn,
            1 => Command::Fin,
            2 => Command::Push(data),
            _ => Command::Nop,
        };
        Ok(Some(Frame { stream: u32::from_le_bytes([s0, s1, s2, s3]), command }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn emitted(frames: &[Frame]) -> BytesMut {
        let mut out = BytesMut::new();
        frames.iter().for_each(|frame| frame.emit(&mut out));
        out
    }

    fn push(stream: u32, data: &'static [u8]) -> Frame {
        Frame { stream, command: Command::Push(Bytes::from_static(data)) }
    }

    #[test]
    fn frames_are_these_bytes() {
        let frames = [
            Frame { stream: 3, command: Command::Syn },
            push(3, b"hi"),
            Frame { stream: 3, command: Command::Fin },
            Frame { stream: 0, command: Command::Nop },
        ];
        let bytes = emitted(&frames);
        let expected = b"\x01\0\0\0\x03\0\0\0\x01\x02\x02\0\x03\0\0\0hi\x01\x01\0\0\x03\0\0\0\
            \x01\x03\0\0\0\0\0\0";
        assert_eq!(&bytes[..], expected);
        // Byte by byte, as borders mean nothing.
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for byte in &bytes {
            decoder.push(&[*byte]);
            found.extend(decoder.next_frame().expect("smux"));
        }
        assert_eq!(found, frames);
    }

    #[test]
    fn what_is_not_smux_is_refused() {
        let first = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            decoder.next_frame()
        };
        assert_eq!(first(b"\x02\0\0\0\x03\0\0\0"), Err(SmuxError::Version(2)));
        assert_eq!(first(b"\x01\x04\0\0\x03\0\0\0"), Err(SmuxError::Command(4)));
        assert_eq!(first(b"\x01\x01\x05\0\x03\0\0\0"), Err(SmuxError::Data(5)));
        assert_eq!(first(b"\x01\x02\x05\0\x03\0\0\0four"), Ok(None));
    }

    #[test]
    fn long_data_goes_in_several_frames() {
        let data = Bytes::from(vec![7; 70_000]);
        let bytes = emitted(&[Frame { stream: 5, command: Command::Push(data) }]);
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        let mut total = 0;
        while let Some(Frame { stream: 5, command: Command::Push(data) }) =
            decoder.next_frame().expect("smux")
        {
            total += data.len();
        }
        assert_eq!(total, 70_000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        ) {
            let mut decoder = Decoder::default();
            'all: for piece in pieces {
                decoder.push(&piece);
                loop {
                    match decoder.next_frame() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'all,
                    }
                }
            }
        }
    }
}
