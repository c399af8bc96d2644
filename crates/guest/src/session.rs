//! One session: a data channel, what is numbered on it, and what it leads to.
//!
//! Input that cannot be taken yet is not acknowledged, so it comes again. Output is read only as fast
//! as it is acknowledged. A connection that breaks is made anew; numbers go on.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, future::OptionFuture, stream::SplitStream};
use gureum_session::{
    frame::{Flag, Frame, MessageType, PayloadType, SYN_FIN},
    message::{
        Acknowledge, AgentSessionState, ClientAction, CreateChannel, HandshakeComplete,
        HandshakeRequest, HandshakeResponse, LOCAL_PORT_FORWARDING, OpenChannel, PortProperties,
        SCHEMA_VERSION, SessionContent, ShellProperties, Size, session_type,
    },
    stream::{LOOK, Receipt, Receiver, Sender},
};
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::{
    agent::Agent,
    archive::Archive,
    network::{NetworkError, Service, Socket},
    port::{self, Destination},
    shell,
    transcript::Transcript,
    user::User,
};

/// What clients decide their behaviour by: later than 3.1.1511.0, a forwarded port is a stream of
/// many connections without keep-alive.
pub const AGENT_VERSION: &str = "3.3.987.0";
/// Clients from this version on know streams of many connections.
const FIRST_WITH_STREAMS: [u32; 3] = [1, 1, 70];
/// How long a client may take to answer the handshake.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long the last output may take to be acknowledged.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often a channel is tried anew, and how long between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);
/// How many bytes of input may wait for a program.
const MOST_INPUT: usize = 4 << 20;
/// Messages that wait to be written: of the agent's own, and of output.
const OWN_QUEUE: usize = 4096;
const OUTPUT_QUEUE: usize = 16;
const BATCH: usize = 64;

/// What a client sends to what a session leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Bytes.
    Data(Bytes),
    /// The terminal has another size.
    Size(Size),
    /// A word about the connection.
    Flag(Flag),
}

/// What comes from there.
pub(crate) type Output = (PayloadType, Bytes);

/// The ends that a program or a connection holds. It is over when it drops them; it shall end when
/// no more input comes.
pub(crate) struct Ends {
    pub(crate) input: mpsc::Receiver<Input>,
    pub(crate) output: mpsc::Sender<Output>,
}

/// Runs a session until it is over; why it failed, if it did.
pub(crate) async fn run(
    agent: &Agent,
    content: &SessionContent,
    closed: Arc<Notify>,
) -> Result<(), String> {
    // Whom it runs as is settled before anybody is told that it begins (SSM-10).
    let leads_to = Kind::of(content)?;
    let transcript = Transcript::begin(agent, content).await?;
    let archive = Archive::begin(agent, content).await?;
    let link = first_link(agent, &content.session_id, &closed).await?;
    let session = Session {
        agent,
        id: &content.session_id,
        link,
        sender: Sender::new(MessageType::OutputStreamData),
        receiver: Receiver::default(),
        paused: false,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        transcript,
        archive,
    };
    session.converse(leads_to, &closed).await
}

/// Opens the data channel; what fails for a moment is tried again.
async fn first_link(agent: &Agent, session: &str, closed: &Notify) -> Result<Link, String> {
    let mut tries = 0;
    loop {
        match Link::open(agent, session).await {
            Ok(link) => return Ok(link),
            Err(error @ NetworkError::Refused(..)) => return Err(error.to_string()),
            Err(error) if tries == TRIES => return Err(error.to_string()),
            Err(error) => tracing::info!(session, %error, "no data channel"),
        }
        tries += 1;
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = closed.notified() => return Err(String::new()),
        }
    }
}

/// What a session leads to.
enum Kind {
    Terminal { user: Option<User>, argv: Vec<String>, first: String },
    Plain { user: Option<User>, argv: Vec<String>, apart: bool },
    Port { destination: Destination, listens: bool, properties: Value },
}

impl Kind {
    fn of(content: &SessionContent) -> Result<Self, String> {
        let document = &content.document_content;
        let kind = document.session_type.as_str();
        if kind == session_type::PORT {
            return Self::port(&document.properties);
        }
        let user = |elevated: bool| match elevated {
            true => Ok(None),
            false => {
                let user = match (document.inputs.run_as_enabled, content.run_as_user.as_str()) {
                    (true, "") => named(&document.inputs.run_as_default_user),
                    (true, name) => named(name),
                    (false, _) => User::of_sessions(),
                };
                user.map(Some).map_err(|error| error.to_string())
            }
        };
        let properties = serde_json::from_value::<ShellProperties>(document.properties.clone());
        let command = properties.unwrap_or_default().linux;
        match kind {
            session_type::STANDARD_STREAM => Ok(Self::Terminal {
                user: user(false)?,
                argv: vec!["/bin/sh".to_owned()],
                first: document.inputs.shell_profile.linux.clone(),
            }),
            session_type::INTERACTIVE_COMMANDS => Ok(Self::Terminal {
                user: user(command.run_as_elevated)?,
                argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), command.commands],
                first: String::new(),
            }),
            session_type::NON_INTERACTIVE_COMMANDS => {
                let argv = shell_words::split(&command.commands).map_err(|it| it.to_string())?;
                if argv.is_empty() {
                    return Err("there is no command to run".to_owned());
                }
                let apart = match &command.separate_output_stream {
                    Value::Bool(apart) => *apart,
                    Value::String(text) => text.eq_ignore_ascii_case("true"),
                    _ => false,
                };
                Ok(Self::Plain { user: user(command.run_as_elevated)?, argv, apart })
            }
            other => Err(format!("sessions of type {other} are not known")),
        }
    }

    fn port(as_given: &Value) -> Result<Self, String> {
        let properties = serde_json::from_value::<PortProperties>(as_given.clone());
        let properties = properties.map_err(|error| error.to_string())?;
        let port =
            properties.port_number.parse().map_err(|_| "the port is no number".to_owned())?;
        let remote = !properties.host.is_empty();
        let host = if remote { properties.host } else { "localhost".to_owned() };
        let destination = Destination { host, port };
        if remote && destination.is_forbidden() {
            return Err(format!("Forwarding to IP address {} is forbidden.", destination.host));
        }
        let listens = properties.kind == LOCAL_PORT_FORWARDING;
        Ok(Self::Port { destination, listens, properties: as_given.clone() })
    }

    /// Begins it. What it ends with, where it can fail later on.
    fn begin(
        self,
        client: &str,
        ends: Ends,
    ) -> Result<Option<JoinHandle<Result<(), String>>>, String> {
        let started = match self {
            Self::Terminal { user, argv, first } => {
                shell::terminal(user.as_ref(), &argv, &first, ends)
            }
            Self::Plain { user, argv, apart } => shell::plain(user.as_ref(), &argv, apart, ends),
            Self::Port { destination, listens, .. } => {
                let over = match listens && knows_streams(client) {
                    true => tokio::spawn(port::many(destination, ends)),
                    false => tokio::spawn(port::single(destination, listens, ends)),
                };
                return Ok(Some(over));
            }
        };
        started.map(|()| None).map_err(|error| error.to_string())
    }
}

fn named(name: &str) -> std::io::Result<User> {
    let missing = || std::io::Error::other(format!("the user {name} does not exist"));
    User::named(name).ok_or_else(missing)
}

/// Whether a client of a version takes many connections in one stream.
fn knows_streams(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    // Built from source, a client calls itself 1.2.0.0.
    [part(), part(), part()] >= FIRST_WITH_STREAMS
}

/// An open data channel.
struct Link {
    own: mpsc::Sender<Bytes>,
    output: mpsc::Sender<Bytes>,
    stream: SplitStream<Socket>,
    writer: JoinHandle<()>,
}

impl Link {
    async fn open(agent: &Agent, session: &str) -> Result<Self, NetworkError> {
        let credentials = agent.surroundings.credentials().await?;
        let region = &agent.region;
        let service = Service { name: "ssmmessages", region, credentials: &credentials };
        let path = format!("/v1/data-channel/{session}");
        let token = agent.token(&service, &path).await?;
        let network = agent.surroundings.network();
        let mut socket = network.open(&service, &path, "role=publish_subscribe").await?;
        let open = OpenChannel {
            message_schema_version: SCHEMA_VERSION.to_owned(),
            request_id: Uuid::new_v4().to_string(),
            token_value: token,
            client_id: Some(String::new()),
            client_instance_id: Some(agent.instance.clone()),
            ..OpenChannel::default()
        };
        socket.send(Message::text(text(&open))).await?;
        let (mut sink, stream) = socket.split();
        let (own, mut own_queue) = mpsc::channel::<Bytes>(OWN_QUEUE);
        let (output, mut output_queue) = mpsc::channel::<Bytes>(OUTPUT_QUEUE);
        let writer = tokio::spawn(async move {
            let (mut first, mut second) = (Vec::new(), Vec::new());
            loop {
                let more = tokio::select! {
                    biased;
                    more = own_queue.recv_many(&mut first, BATCH) => more,
                    more = output_queue.recv_many(&mut second, BATCH) => more,
                };
                // Both ends are dropped at once, and a queue that is closed has nothing left.
                if more == 0 {
                    while let Some(message) = output_queue.recv().await {
                        if sink.feed(Message::Binary(message)).await.is_err() {
                            return;
                        }
                    }
                    let _ = sink.close().await;
                    return;
                }
                for message in first.drain(..).chain(second.drain(..)) {
                    if sink.feed(Message::Binary(message)).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
        });
        let link = Self { own, output, stream, writer };
        link.say_state("Connected", session);
        Ok(link)
    }

    fn say_state(&self, state: &str, session: &str) {
        let state = AgentSessionState {
            schema_version: 1,
            session_state: state.to_owned(),
            session_id: session.to_owned(),
        };
        let payload = text(&state).into();
        let frame = Frame::control(MessageType::AgentSessionState, now(), SYN_FIN, payload);
        let _ = self.own.try_send(frame.emit());
    }

    async fn close(self) {
        let Self { own, output, stream, writer } = self;
        drop((own, output));
        let _ = timeout(LAST_WORDS, writer).await;
        drop(stream);
    }
}

struct Session<'a> {
    agent: &'a Agent,
    id: &'a str,
    link: Link,
    sender: Sender,
    receiver: Receiver,
    /// The client is away.
    paused: bool,
    /// Input that has been acknowledged and waits to be taken.
    waiting: VecDeque<Input>,
    waiting_bytes: usize,
    transcript: Option<Transcript>,
    archive: Option<Archive>,
}

/// How a session ends.
enum End {
    /// The service says so.
    Closed,
    /// The client says so.
    Terminated,
    /// The data channel cannot be had again.
    Lost,
}

impl Session<'_> {
    async fn converse(mut self, kind: Kind, closed: &Notify) -> Result<(), String> {
        let began = Instant::now();
        let result = match self.handshake(&kind, closed).await {
            Ok(client) => {
                let complete = HandshakeComplete {
                    handshake_time_to_complete: u64::try_from(began.elapsed().as_nanos())
                        .unwrap_or(u64::MAX),
                    customer_message: String::new(),
                };
                self.send(PayloadType::HandshakeComplete, text(&complete).into()).await;
                self.serve(kind, &client, closed).await
            }
            Err(result) => result,
        };
        let (transcript, archive) = (self.transcript.take(), self.archive.take());
        let written = OptionFuture::from(transcript.map(Transcript::finish));
        let put = OptionFuture::from(archive.map(Archive::finish));
        tokio::join!(written, put);
        self.link.say_state("Terminating", self.id);
        self.link.close().await;
        result
    }

    async fn send(&mut self, kind: PayloadType, payload: Bytes) {
        let message = self.sender.send(kind, payload, now(), Instant::now());
        // A channel that is gone gets it when it is there again.
        let _ = self.link.output.send(message).await;
    }

    /// Agrees with the client on the kind of session. The client's version.
    async fn handshake(
        &mut self,
        kind: &Kind,
        closed: &Notify,
    ) -> Result<String, Result<(), String>> {
        let (name, properties) = match kind {
            Kind::Terminal { first: _, argv, .. } if argv.len() == 1 => {
                (session_type::STANDARD_STREAM, Value::Null)
            }
            Kind::Terminal { .. } => (session_type::INTERACTIVE_COMMANDS, Value::Null),
            Kind::Plain { .. } => (session_type::NON_INTERACTIVE_COMMANDS, Value::Null),
            Kind::Port { properties, .. } => (session_type::PORT, properties.clone()),
        };
        let request = HandshakeRequest {
            agent_version: AGENT_VERSION.to_owned(),
            requested_client_actions: vec![ClientAction {
                action_type: "SessionType".to_owned(),
                action_parameters: json!({ "SessionType": name, "Properties": properties }),
            }],
        };
        self.send(PayloadType::HandshakeRequest, text(&request).into()).await;
        let mut look = interval(LOOK);
        let mut waited = Duration::ZERO;
        loop {
            tokio::select! {
                message = self.link.stream.next() => {
                    let Some(Ok(message)) = message else {
                        self.again(closed).await.map_err(|end| outcome(&end))?;
                        continue;
                    };
                    let Message::Binary(bytes) = message else { continue };
                    let Ok(frame) = Frame::parse(&bytes) else { continue };
                    if frame.kind == MessageType::ChannelClosed {
                        return Err(Ok(()));
                    }
                    if frame.kind != MessageType::InputStreamData {
                        self.note(&frame);
                        continue;
                    }
                    // Anything else is not acknowledged, and comes again when it can be taken.
                    if frame.payload_type != PayloadType::HandshakeResponse {
                        continue;
                    }
                    let response = serde_json::from_slice::<HandshakeResponse>(&frame.payload);
                    self.take(frame);
                    let response = response.map_err(|error| Err(error.to_string()))?;
                    let done = response.processed_client_actions.iter();
                    let refused = done.into_iter().find(|action| action.action_status != 1);
                    if let Some(action) = refused {
                        let why = &action.error;
                        return Err(Err(format!("the client cannot do {}: {why}", action.action_type)));
                    }
                    return Ok(response.client_version);
                }
                _ = look.tick() => {
                    self.repeat();
                    if !self.paused {
                        waited += LOOK;
                    }
                    if waited > HANDSHAKE {
                        let why = "Handshake timed out. Please ensure that you have the latest \
                                   version of the session manager plugin.";
                        return Err(Err(why.to_owned()));
                    }
                }
                () = closed.notified() => return Err(Ok(())),
            }
        }
    }

    /// Carries input and output until one of them ends.
    async fn serve(&mut self, kind: Kind, client: &str, closed: &Notify) -> Result<(), String> {
        let (to_program, input) = mpsc::channel(OUTPUT_QUEUE);
        let (output, mut from_program) = mpsc::channel::<Output>(4);
        let over = kind.begin(client, Ends { input, output })?;
        let mut look = interval(LOOK);
        let mut held: Option<Bytes> = None;
        let mut ended: Option<Instant> = None;
        loop {
            let written = self.link.output.clone();
            tokio::select! {
                message = self.link.stream.next() => {
                    let end = match message {
                        Some(Ok(Message::Binary(bytes))) => self.receive(&bytes),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => {
                            self.again(closed).await.err()
                        }
                        Some(Ok(_)) => None,
                    };
                    if let Some(end) = end {
                        return outcome(&end);
                    }
                }
                place = written.reserve(), if held.is_some() => {
                    // What does not go out now is among what is sent again.
                    if let (Ok(place), Some(message)) = (place, held.take()) {
                        place.send(message);
                    }
                }
                output = from_program.recv(),
                    if held.is_none() && ended.is_none() && !self.paused && !self.sender.is_full() =>
                {
                    match output {
                        Some((kind, bytes)) => {
                            if let Some(transcript) = &self.transcript {
                                transcript.add(&bytes);
                            }
                            if let Some(archive) = &mut self.archive {
                                archive.add(&bytes);
                            }
                            held = Some(self.sender.send(kind, bytes, now(), Instant::now()));
                        }
                        None => ended = Some(Instant::now()),
                    }
                }
                place = to_program.reserve(), if !self.waiting.is_empty() => {
                    let input = self.waiting.pop_front();
                    match (place, input) {
                        (Ok(place), Some(input)) => {
                            if let Input::Data(bytes) = &input {
                                self.waiting_bytes -= bytes.len();
                            }
                            place.send(input);
                        }
                        _ => {
                            self.waiting.clear();
                            self.waiting_bytes = 0;
                        }
                    }
                }
                _ = look.tick() => self.repeat(),
                () = closed.notified() => return Ok(()),
            }
            if let Some(since) = &mut ended {
                // A client that is away gets the rest when it is back.
                if self.paused {
                    *since = Instant::now();
                }
                if held.is_none() && (self.sender.is_empty() || since.elapsed() > LAST_WORDS) {
                    break;
                }
            }
        }
        match over {
            Some(over) => over.await.unwrap_or_else(|error| Err(error.to_string())),
            None => Ok(()),
        }
    }

    /// Takes a message of the data channel; whether the session ends by it.
    fn receive(&mut self, bytes: &Bytes) -> Option<End> {
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::warn!(session = self.id, %error, "a message");
                return None;
            }
        };
        match frame.kind {
            MessageType::InputStreamData => {
                self.paused = false;
                if self.waiting_bytes > MOST_INPUT {
                    return None;
                }
                for frame in self.take(frame) {
                    match self.input(&frame) {
                        Some(Input::Flag(Flag::TerminateSession)) => return Some(End::Terminated),
                        Some(input) => {
                            if let Input::Data(bytes) = &input {
                                self.waiting_bytes += bytes.len();
                            }
                            self.waiting.push_back(input);
                        }
                        None => {}
                    }
                }
            }
            MessageType::ChannelClosed => return Some(End::Closed),
            _ => self.note(&frame),
        }
        None
    }

    fn input(&self, frame: &Frame) -> Option<Input> {
        match frame.payload_type {
            PayloadType::Output => Some(Input::Data(frame.payload.clone())),
            PayloadType::Size => serde_json::from_slice(&frame.payload).ok().map(Input::Size),
            PayloadType::Flag => Flag::parse(&frame.payload).map(Input::Flag),
            other => {
                tracing::debug!(session = self.id, ?other, "input without a meaning");
                None
            }
        }
    }

    /// Acknowledges a numbered frame; what is to be taken now.
    fn take(&mut self, frame: Frame) -> Vec<Frame> {
        let acknowledge = Acknowledge {
            acknowledged_message_type: frame.kind.name().to_owned(),
            acknowledged_message_id: frame.id.to_string(),
            acknowledged_message_sequence_number: frame.sequence,
            is_sequential_message: true,
        };
        let taken = match self.receiver.receive(frame) {
            Receipt::Refused => return Vec::new(),
            Receipt::Repeated => Vec::new(),
            Receipt::Taken(frames) => frames,
        };
        let payload = text(&acknowledge).into();
        let frame = Frame::control(MessageType::Acknowledge, now(), SYN_FIN, payload);
        // One that does not go out is asked for by the frame that comes again.
        let _ = self.link.own.try_send(frame.emit());
        taken
    }

    /// Takes note of a frame that is not stream data.
    fn note(&mut self, frame: &Frame) {
        match frame.kind {
            MessageType::Acknowledge => {
                self.paused = false;
                let read = serde_json::from_slice::<Acknowledge>(&frame.payload);
                if let Ok(acknowledge) = read {
                    let number = acknowledge.acknowledged_message_sequence_number;
                    self.sender.acknowledged(number, Instant::now());
                }
            }
            MessageType::PausePublication => self.paused = true,
            MessageType::StartPublication => self.paused = false,
            kind => tracing::debug!(session = self.id, kind = kind.name(), "a message"),
        }
    }

    /// Sends again what has to be.
    fn repeat(&mut self) {
        // While output waits to be written, nothing can have got lost.
        if self.paused || self.link.output.capacity() == 0 {
            return;
        }
        for message in self.sender.due(Instant::now()) {
            let _ = self.link.own.try_send(message);
        }
    }

    /// Makes the data channel anew.
    async fn again(&mut self, closed: &Notify) -> Result<(), End> {
        for _ in 0..TRIES {
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = closed.notified() => return Err(End::Closed),
            }
            match Link::open(self.agent, self.id).await {
                Ok(link) => {
                    self.link = link;
                    return Ok(());
                }
                Err(NetworkError::Refused(status, _)) if status == http::StatusCode::NOT_FOUND => {
                    return Err(End::Closed);
                }
                Err(error) => tracing::info!(session = self.id, %error, "no data channel"),
            }
        }
        Err(End::Lost)
    }
}

fn outcome(end: &End) -> Result<(), String> {
    match end {
        End::Closed | End::Terminated => Ok(()),
        End::Lost => Err("the data channel was lost".to_owned()),
    }
}

impl Agent {
    /// Asks for the token of a channel.
    pub(crate) async fn token(
        &self,
        service: &Service<'_>,
        path: &str,
    ) -> Result<String, NetworkError> {
        let create = CreateChannel {
            message_schema_version: SCHEMA_VERSION.to_owned(),
            request_id: Uuid::new_v4().to_string(),
        };
        let mut headers = HeaderMap::new();
        headers
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let body = text(&create).into();
        let answer = self.surroundings.network().post(service, path, headers, body).await?;
        let answer = String::from_utf8_lossy(&answer);
        let token = answer.split_once("<TokenValue>").and_then(|(_, rest)| rest.split_once('<'));
        let token = token.map(|(token, _)| token.to_owned());
        let nothing = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no token");
        token.ok_or_else(|| nothing().into())
    }
}

/// A message of ours as JSON: it has no keys but text.
pub(crate) fn text(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

/// The time, in milliseconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_clients_are_compared_as_numbers() {
        for (version, knows) in
            [("1.1.69.9", false), ("1.1.70.0", true), ("1.2.0.0", true), ("", false)]
        {
            assert_eq!(knows_streams(version), knows, "{version}");
        }
    }
}
