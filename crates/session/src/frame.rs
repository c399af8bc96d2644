//! The frame of a channel: a header of 120 bytes and a payload, one frame a websocket message.
//!
//! Integers are big-endian. Layout, by offset: header length (0), message type (4, 32 bytes padded
//! with spaces), schema version (36), created (40), sequence number (48), flags (56), message id
//! (64), SHA-256 of the payload (80), payload type (112), payload length (116), payload (120).

use bytes::{BufMut, Bytes, BytesMut};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

/// Bytes before the payload.
pub const HEADER: usize = 120;
/// What the first field says: where the payload's length is.
const HEADER_LENGTH: u32 = 116;
const TYPE: std::ops::Range<usize> = 4..36;
const SCHEMA_VERSION: u32 = 1;

/// Flag: the first of a stream.
pub const SYN: u64 = 1;
/// Flags of what stands for itself: first and last.
pub const SYN_FIN: u64 = 3;

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// What a frame is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MessageType {
            $($(#[$doc])* $name,)*
            /// One that we have no use for; receivers pass over it.
            Unknown,
        }

        impl MessageType {
            /// Every type that has a name.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name on the wire; empty for what has none.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown => "",
                }
            }

            fn parse(name: &[u8]) -> Self {
                $(if name == $text.as_bytes() { return Self::$name; })*
                Self::Unknown
            }
        }
    };
}

message_types! {
    /// Client to agent, numbered.
    InputStreamData "input_stream_data";
    /// Agent to client, numbered.
    OutputStreamData "output_stream_data";
    /// One numbered frame has arrived.
    Acknowledge "acknowledge";
    /// The service ends a session.
    ChannelClosed "channel_closed";
    /// The other side is there: output may be sent.
    StartPublication "start_publication";
    /// The other side is away: output is to be held.
    PausePublication "pause_publication";
    /// The agent tells the service how a session is.
    AgentSessionState "agent_session_state";
    /// The service asks an agent to begin a session.
    InteractiveShell "interactive_shell";
    /// A session of an agent has ended.
    AgentTaskComplete "agent_task_complete";
    /// The service has taken note of that.
    AgentTaskAcknowledge "agent_task_acknowledge";
    /// The service asks an agent to run or to cancel a command.
    AgentJob "agent_job";
    /// The agent has taken it.
    AgentJobAck "agent_job_ack";
    /// How a command goes.
    AgentJobReply "agent_job_reply";
    /// The service has taken note of that.
    AgentJobReplyAck "agent_job_reply_ack";
}

/// What the payload of stream data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadType {
    /// Not stream data.
    None,
    /// Bytes of a terminal or a connection, in both directions.
    Output,
    /// An error, as bytes.
    Error,
    /// The size of the client's terminal.
    Size,
    /// Of no use today.
    Parameter,
    /// The agent says what kind of session it is.
    HandshakeRequest,
    /// The client says that it can.
    HandshakeResponse,
    /// The agent says that the session begins.
    HandshakeComplete,
    /// A challenge of encryption.
    EncChallengeRequest,
    /// The answer to it.
    EncChallengeResponse,
    /// A [`Flag`].
    Flag,
    /// What a command wrote to its standard error.
    StdErr,
    /// How a command ended.
    ExitCode,
    /// A number without a meaning.
    Other(u32),
}

impl PayloadType {
    const NAMED: [Self; 13] = [
        Self::None,
        Self::Output,
        Self::Error,
        Self::Size,
        Self::Parameter,
        Self::HandshakeRequest,
        Self::HandshakeResponse,
        Self::HandshakeComplete,
        Self::EncChallengeRequest,
        Self::EncChallengeResponse,
        Self::Flag,
        Self::StdErr,
        Self::ExitCode,
    ];

    /// Its number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Output => 1,
            Self::Error => 2,
            Self::Size => 3,
            Self::Parameter => 4,
            Self::HandshakeRequest => 5,
            Self::HandshakeResponse => 6,
            Self::HandshakeComplete => 7,
            Self::EncChallengeRequest => 8,
            Self::EncChallengeResponse => 9,
            Self::Flag => 10,
            Self::StdErr => 11,
            Self::ExitCode => 12,
            Self::Other(number) => number,
        }
    }

    /// The type of a number.
    pub fn of(number: u32) -> Self {
        let named = usize::try_from(number).ok().and_then(|index| Self::NAMED.get(index));
        named.copied().unwrap_or(Self::Other(number))
    }
}

/// What a payload of type [`PayloadType::Flag`] says; 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The client's connection to a forwarded port has ended.
    DisconnectToPort,
    /// The client ends the session.
    TerminateSession,
    /// The agent cannot connect to the port.
    ConnectToPortError,
}

impl Flag {
    /// Its payload.
    pub const fn payload(self) -> [u8; 4] {
        let number: u32 = match self {
            Self::DisconnectToPort => 1,
            Self::TerminateSession => 2,
            Self::ConnectToPortError => 3,
        };
        number.to_be_bytes()
    }

    /// The flag in a payload.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        [Self::DisconnectToPort, Self::TerminateSession, Self::ConnectToPortError]
            .into_iter()
            .find(|flag| flag.payload() == payload)
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Shorter than a header.
    #[error("{0} bytes are shorter than a header")]
    Short(usize),
    /// The header has another length.
    #[error("a header of {0} bytes, not {HEADER_LENGTH}")]
    HeaderLength(u32),
    /// The message type is empty.
    #[error("no message type")]
    Type,
    /// The payload is not as long as the header says.
    #[error("a payload of {found} bytes, not {said}")]
    PayloadLength {
        /// What the header says.
        said: u32,
        /// What is there.
        found: usize,
    },
    /// The payload has another digest than the header says.
    #[error("the payload's digest is wrong")]
    Digest,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: MessageType,
    /// When it was made: milliseconds since the Unix epoch, never 0.
    pub created: u64,
    /// Its place among the stream data of its direction; 0 in everything else.
    pub sequence: i64,
    /// [`SYN`], [`SYN_FIN`] or nothing.
    pub flags: u64,
    /// Names the frame; a repeated one keeps it.
    pub id: Uuid,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// What is in it; never empty in stream data, which neither of AWS's programs can send.
    pub payload: Bytes,
}

impl Frame {
    /// A frame that is not stream data.
    pub fn control(kind: MessageType, created: u64, flags: u64, payload: Bytes) -> Self {
        let (sequence, payload_type) = (0, PayloadType::None);
        Self { kind, created, sequence, flags, id: Uuid::new_v4(), payload_type, payload }
    }

    /// The frame in a websocket message, its digest checked.
    pub fn parse(message: &Bytes) -> Result<Self, FrameError> {
        let kind = peek(message)?;
        let payload = message.slice(HEADER..);
        if digest(&SHA256, &payload).as_ref() != &message[80..112] {
            return Err(FrameError::Digest);
        }
        Ok(Self {
            kind,
            created: u64::from_be_bytes(field(message, 40)),
            sequence: i64::from_be_bytes(field(message, 48)),
            flags: u64::from_be_bytes(field(message, 56)),
            id: uuid_of(field(message, 64)),
            payload_type: PayloadType::of(u32::from_be_bytes(field(message, 112))),
            payload,
        })
    }

    /// The frame as a websocket message.
    pub fn emit(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER + self.payload.len());
        out.put_u32(HEADER_LENGTH);
        out.put_slice(self.kind.name().as_bytes());
        out.put_bytes(b' ', TYPE.len() - self.kind.name().len());
        out.put_u32(SCHEMA_VERSION);
        out.put_u64(self.created);
        out.put_i64(self.sequence);
        out.put_u64(self.flags);
        let id = self.id.as_bytes();
        out.put_slice(&id[8..]);
        out.put_slice(&id[..8]);
        out.put_slice(digest(&SHA256, &self.payload).as_ref());
        out.put_u32(self.payload_type.number());
        // A websocket message is far below 4 GiB.
        out.put_u32(self.payload.len() as u32);
        out.put_slice(&self.payload);
        out.freeze()
    }
}

/// What a websocket message is, without a look at its payload: enough for who passes it on.
pub fn peek(message: &[u8]) -> Result<MessageType, FrameError> {
    if message.len() < HEADER {
        return Err(FrameError::Short(message.len()));
    }
    let length = u32::from_be_bytes(field(message, 0));
    if length != HEADER_LENGTH {
        return Err(FrameError::HeaderLength(length));
    }
    let name = message[TYPE].trim_ascii();
    let start = name.iter().position(|byte| *byte != 0).ok_or(FrameError::Type)?;
    let end = name.iter().rposition(|byte| *byte != 0).map_or(start, |last| last + 1);
    let (said, found) = (u32::from_be_bytes(field(message, 116)), message.len() - HEADER);
    if usize::try_from(said) != Ok(found) {
        return Err(FrameError::PayloadLength { said, found });
    }
    Ok(MessageType::parse(name[start..end].trim_ascii()))
}

/// A field of a message that is as long as a header.
fn field<const N: usize>(message: &[u8], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&message[offset..offset + N]);
    field
}

/// The halves of an id are swapped on the wire.
fn uuid_of(wire: [u8; 16]) -> Uuid {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&wire[..8]);
    bytes[..8].copy_from_slice(&wire[8..]);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Frame {
        Frame {
            kind: MessageType::OutputStreamData,
            created: 1_700_000_000_000,
            sequence: 0,
            flags: SYN,
            id: "00112233-4455-6677-8899-aabbccddeeff".parse().expect("an id"),
            payload_type: PayloadType::Output,
            payload: Bytes::from_static(b"hello"),
        }
    }

    /// A frame as AWS's agent sends it.
    const HELLO: &str = "000000746f75747075745f73747265616d5f6461746120202020202020202020\
        20202020000000010000018bcfe5680000000000000000000000000000000001\
        8899aabbccddeeff00112233445566772cf24dba5fb0a30e26e83b2ac5b9e29e\
        1b161e5c1fa7425e73043362938b9824000000010000000568656c6c6f";

    fn bytes(hex: &str) -> Bytes {
        let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|two| u8::try_from(two[0] << 4 | two[1]).expect("a byte")).collect()
    }

    #[test]
    fn a_frame_is_these_bytes() {
        assert_eq!(hello().emit(), bytes(HELLO));
        assert_eq!(Frame::parse(&bytes(HELLO)), Ok(hello()));
    }

    #[test]
    fn a_type_may_be_padded_with_zeros() {
        let mut message = bytes(HELLO).to_vec();
        message[22..36].fill(0);
        assert_eq!(peek(&message), Ok(MessageType::OutputStreamData));
        message[4..36].fill(0);
        assert_eq!(peek(&message), Err(FrameError::Type));
        message[4..9].copy_from_slice(b"other");
        assert_eq!(peek(&message), Ok(MessageType::Unknown));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = bytes(HELLO);
        assert_eq!(Frame::parse(&good.slice(..119)), Err(FrameError::Short(119)));
        let with = |offset: usize, byte: u8| {
            let mut message = good.to_vec();
            message[offset] = byte;
            Frame::parse(&message.into())
        };
        assert_eq!(with(3, 120), Err(FrameError::HeaderLength(120)));
        assert_eq!(with(119, 6), Err(FrameError::PayloadLength { said: 6, found: 5 }));
        assert_eq!(with(120, b'j'), Err(FrameError::Digest));
        assert_eq!(with(80, 0), Err(FrameError::Digest));
    }

    #[test]
    fn names_and_numbers_lead_back() {
        for kind in MessageType::ALL {
            assert_eq!(MessageType::parse(kind.name().as_bytes()), *kind);
            assert!(kind.name().len() <= TYPE.len());
        }
        for number in 0..20 {
            assert_eq!(PayloadType::of(number).number(), number);
        }
        assert_eq!(Flag::parse(&[0, 0, 0, 2]), Some(Flag::TerminateSession));
        assert_eq!(Flag::parse(&[0, 0, 0, 9]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::parse(&noise.into());
        }

        #[test]
        fn damaged_frames_are_read_without_panic(
            offset in 0usize..125, byte in any::<u8>(), length in 0usize..=125,
        ) {
            let mut message = bytes(HELLO).to_vec();
            message[offset] = byte;
            message.truncate(length);
            if let Ok(frame) = Frame::parse(&message.into()) {
                prop_assert_eq!(frame.payload, "hello");
            }
        }

        #[test]
        fn frames_come_back(
            kind in prop::sample::select(MessageType::ALL), created in 1u64.., sequence: i64,
            flags: u64, id: u128, number: u32, payload in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let (id, payload_type) = (Uuid::from_u128(id), PayloadType::of(number));
            let payload = payload.into();
            let frame = Frame { kind, created, sequence, flags, id, payload_type, payload };
            prop_assert_eq!(Frame::parse(&frame.emit()), Ok(frame));
        }
    }
}
