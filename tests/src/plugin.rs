//! A client of Session Manager that speaks as AWS's `session-manager-plugin` does, byte by byte, with
//! its habits: it counts, acknowledges what comes in order or too early, says nothing to what it has
//! had before, and sends the oldest again. It shares no line with the service's own codec.
//!
//! [`Faults`] make its network a bad one.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::{SinkExt as _, StreamExt as _};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// Types of payloads.
pub const OUTPUT: u32 = 1;
/// The size of the terminal.
pub const SIZE: u32 = 3;
/// The agent's handshake request.
pub const HANDSHAKE_REQUEST: u32 = 5;
/// The client's answer to it.
pub const HANDSHAKE_RESPONSE: u32 = 6;
/// The end of the handshake.
pub const HANDSHAKE_COMPLETE: u32 = 7;
/// A word about the connection.
pub const FLAG: u32 = 10;

/// How long between two looks at what has to be sent again.
const LOOK: Duration = Duration::from_millis(100);
/// The plugin's payloads are not longer.
const CHUNK: usize = 1024;

/// What goes wrong, each in so many of a hundred cases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A frame that comes in is lost.
    pub lose_in: u32,
    /// An acknowledgement of ours is lost.
    pub lose_acknowledgement: u32,
    /// A frame that goes out is lost.
    pub lose_out: u32,
    /// A frame that goes out goes twice.
    pub repeat_out: u32,
    /// A frame that goes out is overtaken by the next.
    pub delay_out: u32,
}

/// The client.
pub struct Plugin {
    socket: WebSocketStream<TcpStream>,
    next: i64,
    unacknowledged: VecDeque<(i64, Vec<u8>)>,
    resent: Instant,
    expected: i64,
    early: BTreeMap<i64, (u32, Vec<u8>)>,
    delayed: Option<Vec<u8>>,
    faults: Faults,
    chance: u64,
    /// All output so far.
    pub output: Vec<u8>,
    /// All other payloads, with their types.
    pub others: Vec<(u32, Vec<u8>)>,
    /// The reason in the service's word that the session is over.
    pub closed: Option<String>,
    /// Whether the connection has ended.
    pub gone: bool,
    /// What the agent asked for in the handshake.
    pub handshake: Option<Value>,
    answers: bool,
}

impl Plugin {
    /// Opens a data channel at `ws://HOST:PORT/PATH` with a token.
    ///
    /// # Panics
    /// Where the websocket does not open.
    pub async fn open(url: &str, token: &str) -> Self {
        let authority = url.strip_prefix("ws://").expect("ws").split('/').next().expect("a host");
        let stream = TcpStream::connect(authority).await.expect("connected");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (mut socket, _) =
            client_async_with_config(url, stream, Some(config)).await.expect("a websocket");
        let open = json!({
            "MessageSchemaVersion": "1.0", "RequestId": uuid(1), "TokenValue": token,
            "ClientId": uuid(2), "ClientVersion": "1.2.0.0",
        });
        socket.send(Message::text(open.to_string())).await.expect("sent");
        Self {
            socket,
            next: 0,
            unacknowledged: VecDeque::new(),
            resent: Instant::now(),
            expected: 0,
            early: BTreeMap::new(),
            delayed: None,
            faults: Faults::default(),
            chance: 1,
            output: Vec::new(),
            others: Vec::new(),
            closed: None,
            gone: false,
            handshake: None,
            answers: true,
        }
    }

    /// The same client with a bad network from now on.
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Cuts the connection as a broken link does, and opens another with a new token: numbers go on.
    pub async fn resume(self, url: &str, token: &str) -> Self {
        let fresh = Self::open(url, token).await;
        Self { socket: fresh.socket, gone: false, ..self }
    }

    /// Whether something happens that happens in `percent` of a hundred cases.
    fn happens(&mut self, percent: u32) -> bool {
        // xorshift: the same in every run.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % 100 < u64::from(percent)
    }

    /// Sends bytes as they are, whatever they are.
    pub async fn send_raw(&mut self, message: Message) {
        self.gone |= self.socket.send(message).await.is_err();
    }

    async fn put(&mut self, message: Vec<u8>) {
        if self.happens(self.faults.lose_out) {
            return;
        }
        if self.delayed.is_none() && self.happens(self.faults.delay_out) {
            self.delayed = Some(message);
            return;
        }
        if self.happens(self.faults.repeat_out) {
            self.send_raw(Message::binary(message.clone())).await;
        }
        self.send_raw(Message::binary(message)).await;
        if let Some(delayed) = self.delayed.take() {
            self.send_raw(Message::binary(delayed)).await;
        }
    }

    /// Sends stream data.
    pub async fn send(&mut self, payload_type: u32, payload: &[u8]) {
        for chunk in payload.chunks(CHUNK) {
            let id = u128::from(self.next.unsigned_abs()) + (1 << 64);
            let message = frame("input_stream_data", self.next, 0, id, payload_type, chunk);
            self.unacknowledged.push_back((self.next, message.clone()));
            self.next += 1;
            self.put(message).await;
        }
    }

    /// Types text.
    pub async fn type_in(&mut self, text: &str) {
        self.send(OUTPUT, text.as_bytes()).await;
    }

    /// Sets the size of the terminal.
    pub async fn resize(&mut self, cols: u16, rows: u16) {
        self.send(SIZE, json!({"cols": cols, "rows": rows}).to_string().as_bytes()).await;
    }

    /// Takes what comes within a moment, and sends again what has to be.
    pub async fn step(&mut self) {
        match timeout(LOOK, self.socket.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => self.receive(&bytes).await,
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => self.gone = true,
            Ok(Some(Ok(_))) | Err(_) => {}
        }
        if self.resent.elapsed() > 2 * LOOK
            && let Some((_, oldest)) = self.unacknowledged.front().cloned()
        {
            self.resent = Instant::now();
            self.put(oldest).await;
        }
    }

    /// Takes what comes until something is true.
    ///
    /// # Panics
    /// Where that takes longer than a minute, or the session ends before.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            let shown =
                String::from_utf8_lossy(&self.output[self.output.len().saturating_sub(500)..])
                    .into_owned();
            assert!(
                !self.gone && began.elapsed() < Duration::from_secs(60),
                "{what}: gone {}, closed {:?}, output ends with {shown:?}",
                self.gone,
                self.closed,
            );
            self.step().await;
        }
    }

    /// Waits for text in the output.
    pub async fn until_output(&mut self, text: &str) {
        let wanted = text.to_owned();
        self.until(text, move |it| String::from_utf8_lossy(&it.output).contains(&wanted)).await;
    }

    /// Waits until the session begins; the properties in its handshake.
    pub async fn until_begun(&mut self) -> Value {
        self.until("the handshake is complete", |it| {
            it.others.iter().any(|(kind, _)| *kind == HANDSHAKE_COMPLETE)
        })
        .await;
        let request = self.handshake.clone().expect("a handshake");
        request["RequestedClientActions"][0]["ActionParameters"].clone()
    }

    /// Waits until the service says that the session is over; why.
    pub async fn until_closed(&mut self) -> String {
        self.until("the session is over", |it| it.closed.is_some()).await;
        self.closed.clone().unwrap_or_default()
    }

    async fn receive(&mut self, message: &[u8]) {
        assert!(message.len() >= 120, "a message of {} bytes", message.len());
        assert_eq!(u32_at(message, 0), 116, "the header's length");
        assert_eq!(u32_at(message, 36), 1, "the schema's version");
        assert_ne!(&message[40..48], [0; 8], "a time");
        let (kind, payload) = (&message[4..36], &message[120..]);
        assert_eq!(u32_at(message, 116) as usize, payload.len(), "the payload's length");
        let kind = std::str::from_utf8(kind).expect("text").trim_end_matches(' ');
        if matches!(kind, "start_publication" | "pause_publication") {
            return;
        }
        assert_eq!(&message[80..112], digest(&SHA256, payload).as_ref(), "the digest of a {kind}");
        let sequence = i64::from_be_bytes(message[48..56].try_into().expect("8 bytes"));
        match kind {
            "acknowledge" => {
                let acknowledge: Value = serde_json::from_slice(payload).expect("JSON");
                let number = acknowledge["AcknowledgedMessageSequenceNumber"].as_i64();
                let number = number.expect("a number");
                self.unacknowledged.retain(|(sent, _)| *sent != number);
            }
            "channel_closed" => {
                let closed: Value = serde_json::from_slice(payload).expect("JSON");
                self.closed = Some(closed["Output"].as_str().expect("text").to_owned());
            }
            "output_stream_data" => {
                if self.happens(self.faults.lose_in) {
                    return;
                }
                let data = (u32_at(message, 112), payload.to_vec());
                // As the plugin: nothing is said to what has come before.
                if sequence < self.expected {
                    return;
                }
                self.acknowledge(message, sequence).await;
                self.early.insert(sequence, data);
                while let Some((kind, payload)) = self.early.remove(&self.expected) {
                    self.expected += 1;
                    self.take(kind, payload).await;
                }
            }
            other => panic!("a {other} is nothing for a client"),
        }
    }

    async fn acknowledge(&mut self, message: &[u8], sequence: i64) {
        if self.happens(self.faults.lose_acknowledgement) {
            return;
        }
        let id: String = {
            let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
            let (low, high) = (hex(&message[64..72]), hex(&message[72..80]));
            format!("{}-{}-{}-{}-{}", &high[..8], &high[8..12], &high[12..], &low[..4], &low[4..])
        };
        let payload = json!({
            "AcknowledgedMessageType": "output_stream_data", "AcknowledgedMessageId": id,
            "AcknowledgedMessageSequenceNumber": sequence, "IsSequentialMessage": true,
        });
        let number = u128::from(sequence.unsigned_abs()) + (2 << 64);
        let message = frame("acknowledge", 0, 3, number, 0, payload.to_string().as_bytes());
        self.send_raw(Message::binary(message)).await;
    }

    async fn take(&mut self, kind: u32, payload: Vec<u8>) {
        match kind {
            OUTPUT => self.output.extend_from_slice(&payload),
            HANDSHAKE_REQUEST if self.answers => {
                self.handshake = serde_json::from_slice(&payload).ok();
                let response = json!({
                    "ClientVersion": "1.2.0.0",
                    "ProcessedClientActions": [{
                        "ActionType": "SessionType", "ActionStatus": 1, "ActionResult": null,
                        "Error": "",
                    }],
                    "Errors": null,
                });
                Box::pin(self.send(HANDSHAKE_RESPONSE, response.to_string().as_bytes())).await;
            }
            _ => self.others.push((kind, payload)),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn uuid(number: u128) -> String {
    let hex = format!("{number:032x}");
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// A frame as the plugin writes it.
pub fn frame(
    kind: &str,
    sequence: i64,
    flags: u64,
    id: u128,
    payload_type: u32,
    payload: &[u8],
) -> Vec<u8> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
    let mut out = 116_u32.to_be_bytes().to_vec();
    out.extend_from_slice(format!("{kind:<32}").as_bytes());
    out.extend_from_slice(&1_u32.to_be_bytes());
    out.extend_from_slice(&(since.as_millis() as u64).to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&flags.to_be_bytes());
    let id = id.to_be_bytes();
    out.extend_from_slice(&id[8..]);
    out.extend_from_slice(&id[..8]);
    out.extend_from_slice(digest(&SHA256, payload).as_ref());
    out.extend_from_slice(&payload_type.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A frame of smux, for a forwarded port.
pub fn smux(command: u8, stream: u32, data: &[u8]) -> Vec<u8> {
    let mut out = vec![1, command];
    out.extend_from_slice(&(data.len() as u16).to_le_bytes());
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(data);
    out
}

/// What a stream of a forwarded port has brought, and whether it has ended.
pub fn smux_stream(output: &[u8], stream: u32) -> (Vec<u8>, bool) {
    let (mut data, mut ended, mut rest) = (Vec::new(), false, output);
    while rest.len() >= 8 {
        assert_eq!(rest[0], 1, "smux's version");
        let length = usize::from(u16::from_le_bytes([rest[2], rest[3]]));
        let number = u32::from_le_bytes(rest[4..8].try_into().expect("4 bytes"));
        if rest.len() < 8 + length {
            break;
        }
        if number == stream {
            match rest[1] {
                1 => ended = true,
                2 => data.extend_from_slice(&rest[8..8 + length]),
                other => panic!("command {other} from an agent"),
            }
        }
        rest = &rest[8 + length..];
    }
    (data, ended)
}
