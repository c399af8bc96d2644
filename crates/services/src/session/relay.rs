//! A session: two websockets, and what one side sends, the other gets.
//!
//! Between the sides are two bounded queues. A side that reads slowly slows the other down and
//! nobody else. While a side is away its queue keeps what fits; the rest is dropped, and its sender
//! sends it again. The agent is told of the client's absence, to hold its output.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitSink};
use gureum_session::{
    frame::{self, Frame, MessageType},
    message::{AgentSessionState, ChannelClosed},
};
use gureum_types::{
    InstanceId,
    session::{GatewayEvent, SessionId, SessionLimits},
};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, oneshot, watch},
    time::{Instant, interval, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, info};
use uuid::Uuid;

use super::{
    gateway::{Inner, control_frame, milliseconds},
    token::Role,
    web::Socket,
};

/// How many messages may wait for a side.
const QUEUE: usize = 128;
/// How many of them are written before they are flushed.
const BATCH: usize = 64;
/// How often a session looks at the time.
const LOOK: Duration = Duration::from_secs(1);
/// How long the two ways by which an agent says that a session is over may be apart.
const BOTH_WAYS: Duration = Duration::from_secs(1);

/// A session.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) target: InstanceId,
    client: Side,
    agent: Side,
    phase: watch::Sender<Phase>,
    limits: SessionLimits,
    begun: Instant,
    /// When there was data last.
    active: Mutex<Instant>,
}

/// How far a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Phase {
    /// Its agent has nothing more to send on the data channel.
    terminating: bool,
    /// Its agent has said how it went: why it failed, or nothing.
    completed: Option<String>,
    /// It is over; why, where not by itself.
    ended: Option<String>,
}

/// One end of a session.
struct Side {
    queue: mpsc::Sender<Bytes>,
    messages: AsyncMutex<mpsc::Receiver<Bytes>>,
    presence: Mutex<Presence>,
    present: watch::Sender<bool>,
}

struct Presence {
    /// How many connections there have been.
    connections: u64,
    /// Dropped to end the present connection.
    leave: Option<oneshot::Sender<()>>,
    /// Since when it is as it is.
    since: Instant,
}

impl Side {
    fn new() -> Self {
        let (queue, messages) = mpsc::channel(QUEUE);
        Self {
            queue,
            messages: AsyncMutex::new(messages),
            presence: Mutex::new(Presence { connections: 0, leave: None, since: Instant::now() }),
            present: watch::Sender::new(false),
        }
    }

    fn presence(&self) -> std::sync::MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins; the one before it ends. Its number, and what ends with it.
    fn enter(&self) -> (u64, oneshot::Receiver<()>) {
        let (leave, left) = oneshot::channel();
        let mut presence = self.presence();
        presence.connections += 1;
        presence.leave = Some(leave);
        presence.since = Instant::now();
        self.present.send_replace(true);
        (presence.connections, left)
    }

    /// A connection has ended; whether it was the present one.
    fn leave(&self, number: u64) -> bool {
        let mut presence = self.presence();
        if presence.connections != number {
            return false;
        }
        presence.leave = None;
        presence.since = Instant::now();
        self.present.send_replace(false);
        true
    }

    fn is_present(&self) -> bool {
        *self.present.borrow()
    }

    /// How long it has been away; `None` while it is there.
    fn away(&self) -> Option<Duration> {
        let presence = self.presence();
        presence.leave.is_none().then(|| presence.since.elapsed())
    }

    fn was_there(&self) -> bool {
        self.presence().connections > 0
    }

    /// Passes a message on: waits for a side that is there and slow, keeps what fits for one that
    /// is away. False where the side is not there and has no more room.
    async fn pass(&self, message: Bytes) -> bool {
        match self.queue.try_send(message) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(message)) => {
                let mut present = self.present.subscribe();
                tokio::select! {
                    sent = self.queue.send(message) => sent.is_ok(),
                    _ = present.wait_for(|present| !present) => false,
                }
            }
        }
    }
}

impl Session {
    pub(super) fn new(id: SessionId, target: InstanceId, limits: SessionLimits) -> Self {
        let now = Instant::now();
        Self {
            id,
            target,
            client: Side::new(),
            agent: Side::new(),
            phase: watch::Sender::default(),
            limits,
            begun: now,
            active: Mutex::new(now),
        }
    }

    fn side(&self, role: Role) -> &Side {
        match role {
            Role::Client => &self.client,
            Role::Agent => &self.agent,
        }
    }

    /// Whether it has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.phase.borrow().ended.is_none()
    }

    /// Ends it; false where it had ended.
    pub(super) fn end(&self, reason: String) -> bool {
        self.phase.send_if_modified(|phase| {
            let first = phase.ended.is_none();
            phase.ended.get_or_insert(reason);
            first
        })
    }

    /// Its agent has said on the control channel that it is over, and why.
    pub(super) fn completed(&self, output: String) {
        self.phase.send_modify(|phase| phase.completed = Some(output));
    }

    fn touch(&self) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Watches over the session until it is over, then forgets it.
    pub(super) async fn run(self: Arc<Self>, gateway: Arc<Inner>) {
        let reason = self.outcome(&gateway).await;
        self.end(reason.clone());
        {
            let mut state = gateway.state();
            state.sessions.remove(&self.id);
            state.tokens.revoke(&self.id);
            // An agent that has no data channel yet, or no longer, hears of it all the same.
            if !self.agent.is_present()
                && self.phase.borrow().completed.is_none()
                && let Some(agent) = state.agents.get(&self.target)
            {
                agent.send(self.closed(Role::Agent, ""));
            }
        }
        info!(session = %self.id, %reason, "a session has ended");
        gateway.tell(GatewayEvent::SessionEnded { session: self.id.clone(), reason }).await;
    }

    async fn outcome(&self, gateway: &Inner) -> String {
        let mut phase = self.phase.subscribe();
        let (mut look, mut connected) = (interval(LOOK), false);
        let both = async {
            let mut client = self.client.present.subscribe();
            let mut agent = self.agent.present.subscribe();
            let _ = client.wait_for(|present| *present).await;
            let _ = agent.wait_for(|present| *present).await;
        };
        tokio::pin!(both);
        loop {
            tokio::select! {
                () = &mut both, if !connected => {
                    connected = true;
                    gateway.tell(GatewayEvent::SessionConnected(self.id.clone())).await;
                }
                _ = look.tick() => {
                    if let Some(reason) = self.overdue(gateway) {
                        return reason;
                    }
                }
                ended = async {
                    let begun = phase.wait_for(|it| *it != Phase::default()).await;
                    begun.ok().and_then(|phase| phase.ended.clone())
                } => match ended {
                    Some(reason) => return reason,
                    None => break,
                },
            }
        }
        // The agent says it on both of its channels, in whatever order they arrive. What it sent on
        // the data channel before is in the client's queue by then.
        let whole = phase.wait_for(|it| {
            it.ended.is_some()
                || it.completed.is_some() && (it.terminating || !self.agent.is_present())
        });
        let _ = timeout(BOTH_WAYS, whole).await;
        let phase = self.phase.borrow();
        phase.ended.clone().or_else(|| phase.completed.clone()).unwrap_or_default()
    }

    /// Why a session has to end because of the time, if it has to.
    fn overdue(&self, gateway: &Inner) -> Option<String> {
        let timing = &gateway.timing;
        if let Some(away) = self.agent.away() {
            if self.agent.was_there() && away > timing.agent_away {
                return Some("the connection to the instance was lost".to_owned());
            }
            if away > timing.connect {
                return Some("the instance did not answer".to_owned());
            }
        }
        if !self.client.was_there() && self.client.away().is_some_and(|it| it > timing.connect) {
            return Some("the client did not connect".to_owned());
        }
        // SSM-11.
        if self.limits.longest.is_some_and(|longest| self.begun.elapsed() > longest) {
            return Some("the session has lasted as long as it may".to_owned());
        }
        let idle = self.limits.idle.unwrap_or(timing.idle);
        (self.idle() > idle).then(|| "the session was inactive for too long".to_owned())
    }

    /// Serves a data channel until it or the session ends. The newest of a side counts.
    pub(super) async fn serve(&self, role: Role, socket: Socket, last_words: Duration) {
        let (side, other) = (self.side(role), self.side(role.other()));
        let (number, mut left) = side.enter();
        debug!(session = %self.id, ?role, "a data channel is open");
        self.touch();
        match role {
            Role::Client => self.publication(MessageType::StartPublication),
            Role::Agent if !self.client.is_present() => {
                self.publication(MessageType::PausePublication);
            }
            Role::Agent => self.publication(MessageType::StartPublication),
        }
        let (sink, mut stream) = socket.split();
        let read = async {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Binary(bytes) => {
                        if let Err(problem) = self.receive(role, other, bytes).await {
                            debug!(session = %self.id, ?role, %problem, "a data channel");
                            self.end(format!("a message could not be read: {problem}"));
                            return;
                        }
                    }
                    Message::Text(_) => {
                        self.end("a message could not be read: it is text".to_owned());
                        return;
                    }
                    Message::Close(_) => return,
                    _ => {}
                }
            }
        };
        let mut over = self.phase.subscribe();
        {
            let write = self.write(role, side, sink);
            tokio::pin!(write, read);
            let has_written = tokio::select! {
                // A writer that ends has said the last word, or nobody listens.
                () = &mut write => true,
                () = &mut read => false,
                _ = &mut left => false,
                _ = over.wait_for(|phase| phase.ended.is_some()) => false,
            };
            // What the other side says now comes too late; this one is told that it is over.
            if !has_written && !self.is_open() {
                let _ = timeout(last_words, write).await;
            }
        }
        if side.leave(number) {
            debug!(session = %self.id, ?role, "a data channel has ended");
            if role == Role::Client {
                self.publication(MessageType::PausePublication);
            }
        }
    }

    /// Tells the agent to send or to hold its output.
    fn publication(&self, kind: MessageType) {
        let message = Frame::control(kind, milliseconds(), 0, Bytes::from_static(b"{}")).emit();
        // One whose queue is full has not sent anything for a while.
        let _ = self.agent.queue.try_send(message);
    }

    /// Takes a message of a side.
    async fn receive(
        &self,
        role: Role,
        other: &Side,
        message: Bytes,
    ) -> Result<(), frame::FrameError> {
        match (role, frame::peek(&message)?) {
            (Role::Client, MessageType::InputStreamData)
            | (Role::Agent, MessageType::OutputStreamData) => {
                self.touch();
                other.pass(message).await;
            }
            (_, MessageType::Acknowledge) => {
                other.pass(message).await;
            }
            (Role::Agent, MessageType::AgentSessionState) => {
                let state = Frame::parse(&message)?;
                let state = serde_json::from_slice::<AgentSessionState>(&state.payload);
                if state.is_ok_and(|it| it.session_state == "Terminating") {
                    self.phase.send_modify(|phase| phase.terminating = true);
                }
            }
            // Neither side may speak for the service.
            (_, kind) => debug!(session = %self.id, ?role, kind = kind.name(), "passed over"),
        }
        Ok(())
    }

    /// Writes what waits for a side; after the end of the session the rest, and that it is over.
    async fn write(&self, role: Role, side: &Side, mut sink: SplitSink<Socket, Message>) {
        // The connection before this one gives them back as it ends.
        let mut messages = side.messages.lock().await;
        let mut phase = self.phase.subscribe();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                _ = messages.recv_many(&mut batch, BATCH) => {
                    for message in batch.drain(..) {
                        if sink.feed(Message::Binary(message)).await.is_err() {
                            return;
                        }
                    }
                    if sink.flush().await.is_err() {
                        return;
                    }
                }
                ended = async {
                    let ended = phase.wait_for(|phase| phase.ended.is_some()).await;
                    ended.ok().and_then(|phase| phase.ended.clone()).unwrap_or_default()
                } => {
                    let last = Message::Binary(self.closed(role, &ended));
                    if sink.send(last).await.is_ok() {
                        let _ = sink.close().await;
                    }
                    return;
                }
            }
        }
    }

    /// The message that says to a side that the session is over.
    fn closed(&self, role: Role, reason: &str) -> Bytes {
        let created = jiff::Timestamp::now().to_string();
        let destination_id = match role {
            Role::Client => self.id.to_string(),
            Role::Agent => self.target.to_string(),
        };
        let content = ChannelClosed {
            message_id: Uuid::new_v4().to_string(),
            created_date: created,
            destination_id,
            session_id: self.id.to_string(),
            message_type: MessageType::ChannelClosed.name().to_owned(),
            schema_version: 1,
            output: reason.to_owned(),
        };
        control_frame(MessageType::ChannelClosed, &content)
    }
}

#[cfg(test)]
mod tests {
    use gureum_session::frame::SYN_FIN;
    use tokio::time::sleep;

    use super::*;
    use crate::session::gateway::{MessageGateway, Timing};

    const MINUTE: Duration = Duration::from_secs(60);

    /// A session whose sides are there, on a clock that goes as the test waits.
    struct Open {
        session: Arc<Session>,
        events: mpsc::Receiver<GatewayEvent>,
        _sides: [oneshot::Receiver<()>; 2],
    }

    impl Open {
        async fn with(limits: SessionLimits) -> Self {
            let (tell, mut events) = mpsc::channel(8);
            let gateway = MessageGateway::new(tell, Timing::default());
            let id = SessionId::parse("tester-1").expect("an id");
            let session = Arc::new(Session::new(id.clone(), InstanceId::new(1), limits));
            let sides = [session.client.enter().1, session.agent.enter().1];
            tokio::spawn(Arc::clone(&session).run(gateway.inner));
            assert_eq!(events.recv().await, Some(GatewayEvent::SessionConnected(id)));
            Self { session, events, _sides: sides }
        }

        /// What the client says, which its agent reads at once.
        async fn say(&self, kind: MessageType) {
            let frame = Frame::control(kind, 0, SYN_FIN, Bytes::from_static(b"x")).emit();
            self.session.receive(Role::Client, &self.session.agent, frame).await.expect("read");
            let mut agent = self.session.agent.messages.lock().await;
            while agent.try_recv().is_ok() {}
        }

        /// Waits for the end; how long that took, and why.
        async fn end(mut self) -> (Duration, String) {
            let began = Instant::now();
            match self.events.recv().await {
                Some(GatewayEvent::SessionEnded { reason, .. }) => (began.elapsed(), reason),
                other => panic!("{other:?}"),
            }
        }
    }

    fn is_about(found: Duration, wanted: Duration) -> bool {
        (wanted..=wanted + 2 * LOOK).contains(&found)
    }

    // SSM-11
    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_there_was_no_data_for_as_long_as_its_preferences_say() {
        for (idle, wanted) in [(None, 20 * MINUTE), (Some(MINUTE), MINUTE)] {
            let mut open = Open::with(SessionLimits { idle, longest: None }).await;
            for _ in 0..10 {
                sleep(wanted * 9 / 10).await;
                open.say(MessageType::InputStreamData).await;
            }
            assert!(open.events.try_recv().is_err(), "one with data goes on");
            // What is no data keeps nothing alive.
            sleep(wanted / 2).await;
            open.say(MessageType::Acknowledge).await;
            let (took, reason) = open.end().await;
            assert!(is_about(took, wanted / 2), "{took:?}");
            assert_eq!(reason, "the session was inactive for too long");
        }
    }

    // SSM-11
    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_it_has_lasted_as_long_as_its_preferences_say() {
        let limits = SessionLimits { idle: Some(MINUTE), longest: Some(10 * MINUTE) };
        let mut open = Open::with(limits).await;
        for _ in 0..19 {
            sleep(MINUTE / 2).await;
            open.say(MessageType::InputStreamData).await;
        }
        assert!(open.events.try_recv().is_err(), "until then it goes on");
        let (took, reason) = open.end().await;
        assert!(is_about(took, MINUTE / 2), "{took:?}");
        assert_eq!(reason, "the session has lasted as long as it may");
    }
}
