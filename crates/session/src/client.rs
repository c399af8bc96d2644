//! The client's side of a session, as AWS's `session-manager-plugin` has it: it answers the agent's
//! handshake, acknowledges output, numbers input and sends again what is not acknowledged.

use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    frame::{Flag, Frame, FrameError, MessageType, PayloadType, SYN_FIN},
    message::{
        Acknowledge, ChannelClosed, HandshakeComplete, HandshakeRequest, HandshakeResponse,
        ProcessedAction, session_type,
    },
    stream::{Receipt, Receiver, Sender},
};

/// The release of AWS's client whose form of the protocol this is. Agents give clients of this
/// version many connections in one stream ([`crate::smux`]).
pub const VERSION: &str = "1.2.677.0";

const SESSION_TYPE: &str = "SessionType";
/// What comes of an action.
const SUCCESS: i32 = 1;
const UNSUPPORTED: i32 = 3;

/// What happens in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It begins.
    Begun {
        /// One of [`session_type`].
        session_type: String,
        /// What the agent says about it; null for shells.
        properties: Value,
        /// Something to show first; mostly empty.
        message: String,
    },
    /// Bytes of the program or connection: [`PayloadType::Output`], [`PayloadType::StdErr`] …
    Output(PayloadType, Bytes),
    /// A word about a connection.
    Flag(Flag),
    /// The service has ended it, for this reason; an empty one at an ordinary end.
    Closed(String),
}

/// What a message leads to.
#[derive(Debug, Default)]
pub struct Received {
    /// What has happened, in this order.
    pub events: Vec<Event>,
    /// What is to be sent now.
    pub replies: Vec<Bytes>,
}

/// The client of one session. It outlives its connections: numbers go on at the next.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    receiver: Receiver,
    /// What the agent said that it is.
    asked: Option<(String, Value)>,
    begun: bool,
}

impl Default for Client {
    fn default() -> Self {
        let sender = Sender::new(MessageType::InputStreamData);
        Self { sender, receiver: Receiver::default(), asked: None, begun: false }
    }
}

impl Client {
    /// Takes a binary message of the data channel. `created` in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Where it is no frame; it is as if it had not come.
    pub fn receive(
        &mut self,
        message: &Bytes,
        created: u64,
        now: Instant,
    ) -> Result<Received, FrameError> {
        let mut received = Received::default();
        let frame = Frame::parse(message)?;
        match frame.kind {
            MessageType::OutputStreamData => {
                let acknowledge = acknowledgement(&frame, created);
                let taken = match self.receiver.receive(frame) {
                    Receipt::Refused => return Ok(received),
                    Receipt::Repeated => Vec::new(),
                    Receipt::Taken(frames) => frames,
                };
                received.replies.push(acknowledge);
                for frame in taken {
                    self.take(frame, created, now, &mut received);
                }
            }
            MessageType::Acknowledge => {
                if let Ok(acknowledge) = serde_json::from_slice::<Acknowledge>(&frame.payload) {
                    let number = acknowledge.acknowledged_message_sequence_number;
                    self.sender.acknowledged(number, now);
                }
            }
            MessageType::ChannelClosed => {
                let closed = serde_json::from_slice::<ChannelClosed>(&frame.payload);
                received.events.push(Event::Closed(closed.unwrap_or_default().output));
            }
            // Whether anybody listens is the agent's business.
            _ => {}
        }
        Ok(received)
    }

    fn take(&mut self, frame: Frame, created: u64, now: Instant, received: &mut Received) {
        match frame.payload_type {
            PayloadType::HandshakeRequest => {
                let request = serde_json::from_slice::<HandshakeRequest>(&frame.payload);
                let response = self.response(request.ok());
                let text = serde_json::to_vec(&response).unwrap_or_default();
                let reply = self.send(PayloadType::HandshakeResponse, text.into(), created, now);
                received.replies.push(reply);
            }
            PayloadType::HandshakeComplete => {
                let complete = serde_json::from_slice::<HandshakeComplete>(&frame.payload);
                self.begin(complete.unwrap_or_default().customer_message, received);
            }
            PayloadType::Flag => {
                received.events.extend(Flag::parse(&frame.payload).map(Event::Flag));
            }
            kind => {
                // AWS's agent begins a plain shell without a handshake.
                self.begin(String::new(), received);
                received.events.push(Event::Output(kind, frame.payload));
            }
        }
    }

    fn begin(&mut self, message: String, received: &mut Received) {
        if self.begun {
            return;
        }
        self.begun = true;
        let shell = || (session_type::STANDARD_STREAM.to_owned(), Value::Null);
        let (session_type, properties) = self.asked.take().unwrap_or_else(shell);
        received.events.push(Event::Begun { session_type, properties, message });
    }

    /// Does what an agent asks for, as far as it can be done.
    fn response(&mut self, request: Option<HandshakeRequest>) -> HandshakeResponse {
        let mut errors = Vec::new();
        let mut processed = Vec::new();
        for action in request.into_iter().flat_map(|it| it.requested_client_actions) {
            let parameters = &action.action_parameters;
            let known = action.action_type == SESSION_TYPE;
            let kind = parameters[SESSION_TYPE].as_str().filter(|_| known);
            let (action_status, error) = match kind {
                Some(kind) => {
                    self.asked = Some((kind.to_owned(), parameters["Properties"].clone()));
                    (SUCCESS, String::new())
                }
                None => (UNSUPPORTED, format!("Unsupported action {}", action.action_type)),
            };
            if !error.is_empty() {
                errors.push(error.clone());
            }
            let action_type = action.action_type;
            processed.push(ProcessedAction { action_type, action_status, error });
        }
        HandshakeResponse {
            client_version: VERSION.to_owned(),
            processed_client_actions: processed,
            errors: Some(errors).filter(|errors| !errors.is_empty()),
        }
    }

    /// Numbers a payload, which must not be empty; the message to send.
    pub fn send(&mut self, kind: PayloadType, payload: Bytes, created: u64, now: Instant) -> Bytes {
        self.sender.send(kind, payload, created, now)
    }

    /// What has to be sent again now; to be asked every [`crate::stream::LOOK`].
    pub fn due(&mut self, now: Instant) -> Vec<Bytes> {
        self.sender.due(now)
    }

    /// Whether so much is under way that nothing should be added.
    pub fn is_full(&self) -> bool {
        self.sender.is_full()
    }

    /// Whether everything that was sent has arrived.
    pub fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }
}

fn acknowledgement(frame: &Frame, created: u64) -> Bytes {
    let acknowledge = Acknowledge {
        acknowledged_message_type: frame.kind.name().to_owned(),
        acknowledged_message_id: frame.id.to_string(),
        acknowledged_message_sequence_number: frame.sequence,
        is_sequential_message: true,
    };
    let payload = serde_json::to_vec(&acknowledge).unwrap_or_default();
    Frame::control(MessageType::Acknowledge, created, SYN_FIN, payload.into()).emit()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An agent's end: numbers what it sends.
    struct Agent(Sender);

    impl Agent {
        fn new() -> Self {
            Self(Sender::new(MessageType::OutputStreamData))
        }

        fn say(&mut self, kind: PayloadType, payload: impl Into<Bytes>) -> Bytes {
            self.0.send(kind, payload.into(), 1, Instant::now())
        }

        fn ask(&mut self, actions: &Value) -> Bytes {
            let request = json!({"AgentVersion": "3.3.987.0", "RequestedClientActions": actions});
            self.say(PayloadType::HandshakeRequest, request.to_string())
        }
    }

    fn take(client: &mut Client, message: &Bytes) -> (Vec<Event>, Vec<Frame>) {
        let received = client.receive(message, 1, Instant::now()).expect("a frame");
        let replies = received.replies.iter().map(|it| Frame::parse(it).expect("a frame"));
        (received.events, replies.collect())
    }

    const PORT: &str = r#"{"portNumber":"80","type":"LocalPortForwarding"}"#;

    #[test]
    fn a_session_begins_when_the_handshake_is_complete() {
        let (mut agent, mut client) = (Agent::new(), Client::default());
        let properties: Value = serde_json::from_str(PORT).expect("JSON");
        let action = json!({"ActionType": "SessionType", "ActionParameters":
            {"SessionType": "Port", "Properties": properties}});
        let (events, replies) = take(&mut client, &agent.ask(&json!([action])));
        assert_eq!(events, []);
        let kinds: Vec<_> = replies.iter().map(|it| (it.kind, it.payload_type)).collect();
        let answer = (MessageType::InputStreamData, PayloadType::HandshakeResponse);
        assert_eq!(kinds, [(MessageType::Acknowledge, PayloadType::None), answer]);
        let response: HandshakeResponse =
            serde_json::from_slice(&replies[1].payload).expect("a response");
        assert_eq!(response.client_version, VERSION);
        assert_eq!(
            (response.processed_client_actions[0].action_status, response.errors),
            (1, None)
        );
        assert!(!client.is_empty(), "the response waits to be acknowledged");

        let complete = agent.say(PayloadType::HandshakeComplete, r#"{"CustomerMessage":"hi"}"#);
        let begun =
            Event::Begun { session_type: "Port".to_owned(), properties, message: "hi".to_owned() };
        assert_eq!(take(&mut client, &complete).0, [begun]);
        let output = agent.say(PayloadType::Output, "x");
        let event = Event::Output(PayloadType::Output, "x".into());
        assert_eq!(take(&mut client, &output).0, [event]);
        let flag = agent.say(PayloadType::Flag, Flag::ConnectToPortError.payload().to_vec());
        assert_eq!(take(&mut client, &flag).0, [Event::Flag(Flag::ConnectToPortError)]);
    }

    #[test]
    fn a_shell_may_begin_without_a_handshake() {
        let (mut agent, mut client) = (Agent::new(), Client::default());
        let (events, replies) = take(&mut client, &agent.say(PayloadType::Output, "$ "));
        let shell = Event::Begun {
            session_type: session_type::STANDARD_STREAM.to_owned(),
            properties: Value::Null,
            message: String::new(),
        };
        assert_eq!(events, [shell, Event::Output(PayloadType::Output, "$ ".into())]);
        assert_eq!(replies.len(), 1);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let (mut agent, mut client) = (Agent::new(), Client::default());
        let action = json!({"ActionType": "KMSEncryption", "ActionParameters": {}});
        let (_, replies) = take(&mut client, &agent.ask(&json!([action])));
        let response: HandshakeResponse =
            serde_json::from_slice(&replies[1].payload).expect("a response");
        assert_eq!(response.processed_client_actions[0].action_status, UNSUPPORTED);
        assert_eq!(response.errors, Some(vec!["Unsupported action KMSEncryption".to_owned()]));
    }

    #[test]
    fn output_is_put_in_order_and_repeated_output_acknowledged_again() {
        let (mut agent, mut client) = (Agent::new(), Client::default());
        let [a, b] = ["a", "b"].map(|it| agent.say(PayloadType::Output, it));
        let (events, replies) = take(&mut client, &b);
        assert_eq!((events.len(), replies.len()), (0, 1));
        let (events, _) = take(&mut client, &a);
        assert_eq!(events.len(), 3, "it begins, a, b: {events:?}");
        let (events, replies) = take(&mut client, &a);
        assert_eq!((events.len(), replies[0].kind), (0, MessageType::Acknowledge));
    }

    #[test]
    fn input_is_numbered_until_acknowledged() {
        let mut client = Client::default();
        let now = Instant::now();
        let message = client.send(PayloadType::Output, "ls\r".into(), 1, now);
        let sent = Frame::parse(&message).expect("a frame");
        assert_eq!((sent.kind, sent.sequence), (MessageType::InputStreamData, 0));
        let later = now + std::time::Duration::from_secs(1);
        assert_eq!(client.due(later), [message]);
        take(&mut client, &acknowledgement(&sent, 1));
        assert!(client.is_empty());
    }

    #[test]
    fn the_service_ends_it() {
        let mut client = Client::default();
        let payload = json!({"Output": "idle", "SessionId": "s"}).to_string().into();
        let closed = Frame::control(MessageType::ChannelClosed, 1, 0, payload).emit();
        assert_eq!(take(&mut client, &closed).0, [Event::Closed("idle".to_owned())]);
        let noise = Bytes::from_static(b"short");
        assert_eq!(client.receive(&noise, 1, now()).expect_err("no frame"), FrameError::Short(5));
    }

    fn now() -> Instant {
        Instant::now()
    }
}
