//! The gateway: who is connected, which sessions there are, and what is asked of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use gureum_session::{
    frame::{Frame, MessageType},
    message::AgentJob,
};
use gureum_types::{
    InstanceId,
    session::{GatewayEvent, SessionId, SessionLimits},
};
use serde::Serialize;
use tokio::sync::mpsc;
use tracing::warn;

use super::{
    control_channel::ControlChannel,
    mailbox::Mailboxes,
    relay::Session,
    token::{Grant, Role, Tokens},
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a session waits for its client and its agent to come the first time.
    pub connect: Duration,
    /// How long an agent may be away from a session.
    pub agent_away: Duration,
    /// How long a session may be without data where its limits do not say (SSM-11); so long a client
    /// may be away, too.
    pub idle: Duration,
    /// How long the last output may take to reach the client.
    pub last_words: Duration,
    /// How long an agent that asks for messages is kept waiting for one.
    pub poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: super::token::LIFE,
            agent_away: Duration::from_secs(30),
            idle: Duration::from_secs(20 * 60),
            last_words: Duration::from_secs(5),
            poll: Duration::from_secs(20),
        }
    }
}

/// The agent of an instance holds no control channel open (SSM-8).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not connected")]
pub struct NotConnected(pub InstanceId);

/// The message gateway.
#[derive(Clone)]
pub struct MessageGateway {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    state: Mutex<State>,
    events: mpsc::Sender<GatewayEvent>,
    pub(super) timing: Timing,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) tokens: Tokens,
    pub(super) agents: HashMap<InstanceId, ControlChannel>,
    pub(super) sessions: HashMap<SessionId, Arc<Session>>,
    pub(super) mailboxes: Mailboxes,
    /// How many control channels there have been.
    pub(super) channels: u64,
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn session(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.state().sessions.get(id).cloned()
    }

    pub(super) async fn tell(&self, event: GatewayEvent) {
        if self.events.send(event).await.is_err() {
            warn!("nobody listens to the message gateway");
        }
    }
}

impl MessageGateway {
    /// A gateway without agents and sessions, which tells what happens to `events`.
    pub fn new(events: mpsc::Sender<GatewayEvent>, timing: Timing) -> Self {
        Self { inner: Arc::new(Inner { state: Mutex::default(), events, timing }) }
    }

    /// Whether the agent of an instance holds its control channel open.
    pub fn is_connected(&self, instance: &InstanceId) -> bool {
        self.inner.state().agents.contains_key(instance)
    }

    /// Begins a session on an instance: tells its agent, and gives the client's token. `content` is
    /// a [`gureum_session::message::StartSession`] for the agent. Needs a runtime to be called in.
    pub fn start(
        &self,
        id: &SessionId,
        target: &InstanceId,
        content: &impl Serialize,
        limits: SessionLimits,
    ) -> Result<String, NotConnected> {
        let gone = || NotConnected(target.clone());
        let message = control_frame(MessageType::InteractiveShell, content);
        let session = Arc::new(Session::new(id.clone(), target.clone(), limits));
        let token = {
            let mut state = self.inner.state();
            let agent = state.agents.get(target).ok_or_else(gone)?.clone();
            // Before the agent hears of it, as it comes at once.
            state.sessions.insert(id.clone(), Arc::clone(&session));
            if !agent.send(message) {
                state.sessions.remove(id);
                return Err(gone());
            }
            state.tokens.issue(Grant::Data(id.clone(), Role::Client), Instant::now())
        };
        tokio::spawn(session.run(Arc::clone(&self.inner)));
        Ok(token)
    }

    /// A new token for the client of a session, if the session is still there.
    pub fn resume(&self, id: &SessionId) -> Option<String> {
        let mut state = self.inner.state();
        if !state.sessions.get(id)?.is_open() {
            return None;
        }
        Some(state.tokens.issue(Grant::Data(id.clone(), Role::Client), Instant::now()))
    }

    /// Ends a session, for both sides; false where it is over already.
    pub fn terminate(&self, id: &SessionId) -> bool {
        let session = self.inner.session(id);
        session.is_some_and(|session| session.end(String::new()))
    }

    /// Gives a job to the agent of an instance: over its control channel, or where it asks for messages.
    pub fn send_job(&self, instance: &InstanceId, job: &AgentJob) -> Result<(), NotConnected> {
        let message = control_frame(MessageType::AgentJob, job);
        let agent = self.inner.state().agents.get(instance).cloned();
        match agent.is_some_and(|agent| agent.send(message)) {
            true => Ok(()),
            false => self.inner.post(instance, job),
        }
    }
}

/// A frame of the service's own.
pub(super) fn control_frame(kind: MessageType, content: &impl Serialize) -> Bytes {
    // What we send has no map keys but text.
    let payload = serde_json::to_vec(content).unwrap_or_default();
    Frame::control(kind, milliseconds(), 0, payload.into()).emit()
}

/// The time, in milliseconds since the Unix epoch.
pub(super) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
