//! A session's data channel at work: a task that writes what is sent, keeps what is not acknowledged,
//! makes the connection anew when it breaks, and tells what happens.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use gureum_session::{
    client::{Client, Event},
    frame::{Flag, PayloadType},
    stream::LOOK,
};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::service::{CallError, Service, Socket, Started, now};

/// How often a broken connection is tried anew, and how long the first pause is; each one doubles.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);
/// Messages that wait: to be written, to be sent, to be looked at.
const WRITES: usize = 4096;
const QUEUE: usize = 16;
const BATCH: usize = 64;
/// How long the last input may take to be acknowledged.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the user of a session holds. It ends when they are dropped.
pub(super) struct Ends {
    /// What is sent, as far as the other side takes it.
    pub input: mpsc::Sender<(PayloadType, Bytes)>,
    /// What happens; an error at the end where the session was lost.
    pub events: mpsc::Receiver<Result<Event, String>>,
}

/// A session's data channel.
pub(super) struct Channel {
    /// What its user holds.
    pub ends: Ends,
    /// Ends when the last has been said.
    pub task: JoinHandle<()>,
}

impl Channel {
    /// Opens the data channel of a session that was started.
    pub(super) async fn open(service: Service, started: Started) -> Result<Self, String> {
        let client_id = Uuid::new_v4().to_string();
        let socket = service.open(&started, &client_id).await.map_err(|error| error.to_string())?;
        let (input, from_user) = mpsc::channel(QUEUE);
        let (to_user, events) = mpsc::channel(QUEUE);
        let work = Work {
            service,
            session: started.session_id,
            client_id,
            client: Client::default(),
            link: Link::new(socket),
            events: VecDeque::new(),
            to_user,
        };
        let task = tokio::spawn(work.run(from_user));
        Ok(Self { ends: Ends { input, events }, task })
    }
}

/// A connection: what comes in, and who writes.
struct Link {
    stream: SplitStream<Socket>,
    writes: mpsc::Sender<Bytes>,
    writer: JoinHandle<()>,
}

impl Link {
    fn new(socket: Socket) -> Self {
        let (sink, stream) = socket.split();
        let (writes, queue) = mpsc::channel(WRITES);
        Self { stream, writes, writer: tokio::spawn(write(sink, queue)) }
    }
}

async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<Bytes>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        for message in batch.drain(..) {
            if sink.feed(Message::Binary(message)).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
    // Who reads knows what the end of the connection means.
    let _ = sink.close().await;
}

struct Work {
    service: Service,
    session: String,
    client_id: String,
    client: Client,
    link: Link,
    /// What has happened and its user has not taken.
    events: VecDeque<Event>,
    to_user: mpsc::Sender<Result<Event, String>>,
}

impl Work {
    async fn run(mut self, mut input: mpsc::Receiver<(PayloadType, Bytes)>) {
        if let Err(why) = self.carry(&mut input).await {
            // Whoever does not listen any more need not know.
            let _ = self.to_user.send(Err(why)).await;
        }
        drop(self.link.writes);
        let _ = timeout(LAST_WORDS, self.link.writer).await;
    }

    /// Carries until either side ends the session. Its output is read as fast as its user takes it;
    /// input does not wait for that.
    async fn carry(
        &mut self,
        input: &mut mpsc::Receiver<(PayloadType, Bytes)>,
    ) -> Result<(), String> {
        let mut look = interval(LOOK);
        let mut leaving: Option<Instant> = None;
        loop {
            let to_user = self.to_user.clone();
            let takes = !self.client.is_full() && self.link.writes.capacity() > BATCH;
            tokio::select! {
                message = self.link.stream.next(), if self.events.is_empty() => match message {
                    Some(Ok(Message::Binary(bytes))) => self.receive(&bytes),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => {
                        if leaving.is_some() {
                            return Ok(());
                        }
                        self.again().await?;
                    }
                    Some(Ok(_)) => {}
                },
                place = to_user.reserve(), if !self.events.is_empty() => {
                    // Nobody listens any more: what is left is for nobody.
                    let Ok(place) = place else { self.events.clear(); continue };
                    let Some(event) = self.events.pop_front() else { continue };
                    let is_last = matches!(event, Event::Closed(_));
                    place.send(Ok(event));
                    if is_last {
                        return Ok(());
                    }
                }
                sent = input.recv(), if leaving.is_none() && takes => {
                    let (kind, bytes) = sent.unwrap_or_else(|| {
                        leaving = Some(Instant::now());
                        let flag = Flag::TerminateSession.payload();
                        (PayloadType::Flag, Bytes::copy_from_slice(&flag))
                    });
                    let message = self.client.send(kind, bytes, now(), Instant::now());
                    self.write(message);
                }
                _ = look.tick() => {
                    for message in self.client.due(Instant::now()) {
                        self.write(message);
                    }
                    let is_said = self.client.is_empty();
                    if leaving.is_some_and(|since| is_said || since.elapsed() > LAST_WORDS) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Gives a message to whoever writes. One that does not go out now, or with a connection that
    /// breaks, is sent again, or asked for by what comes again.
    fn write(&self, message: Bytes) {
        let _ = self.link.writes.try_send(message);
    }

    fn receive(&mut self, bytes: &Bytes) {
        // What is no frame is as lost as what did not come, and comes again if it was one.
        let Ok(received) = self.client.receive(bytes, now(), Instant::now()) else { return };
        for reply in received.replies {
            self.write(reply);
        }
        self.events.extend(received.events);
    }

    /// Makes the connection anew, unless the session is over.
    async fn again(&mut self) -> Result<(), String> {
        let mut pause = PAUSE;
        let mut last = String::new();
        for _ in 0..TRIES {
            sleep(pause).await;
            pause *= 2;
            let asked = json!({ "SessionId": self.session });
            let token = match self.service.call::<Started>("ResumeSession", &asked).await {
                Ok(resumed) if resumed.token_value.is_some() => Some(resumed),
                Ok(_) => None,
                Err(CallError::Refused { code, .. }) if code == "DoesNotExistException" => None,
                Err(error) => {
                    last = error.to_string();
                    continue;
                }
            };
            let Some(resumed) = token else {
                self.events.push_back(Event::Closed("timed out".to_owned()));
                return Ok(());
            };
            match self.service.open(&resumed, &self.client_id).await {
                Ok(socket) => {
                    self.link = Link::new(socket);
                    return Ok(());
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(format!("the connection to the session was lost: {last}"))
    }
}
