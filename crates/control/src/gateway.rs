//! What control asks of the message gateway, where agents and sessions have their channels. The
//! binary wires it to the services; tests to a double.

use std::{sync::Arc, time::Duration};

use gureum_session::message::{AgentJob, StartSession};
use gureum_store::{Store, StoreError, Transaction};
use gureum_types::{
    InstanceId, Timestamp,
    record::{Session, SessionStatus},
    session::{GatewayEvent, SessionId, SessionLimits},
};
use tokio::sync::mpsc;

use crate::{config::Config, resource::command};

/// The agent of an instance is not connected (SSM-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent is not connected")]
pub struct NotConnected;

/// The message gateway. Nothing here waits.
pub trait MessageGateway: Send + Sync + 'static {
    /// Whether the agent of an instance is connected.
    fn is_connected(&self, instance: &InstanceId) -> bool;

    /// Begins a session, and gives the client's token.
    fn start_session(
        &self,
        id: &SessionId,
        target: &InstanceId,
        content: &StartSession,
        limits: SessionLimits,
    ) -> Result<String, NotConnected>;

    /// A new token for the client of a session that is still there.
    fn resume_session(&self, id: &SessionId) -> Option<String>;

    /// Ends a session.
    fn terminate_session(&self, id: &SessionId);

    /// Gives a job to an agent.
    fn send_job(&self, instance: &InstanceId, job: &AgentJob) -> Result<(), NotConnected>;
}

/// A gateway that nobody is connected to.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGateway;

impl MessageGateway for NoGateway {
    fn is_connected(&self, _: &InstanceId) -> bool {
        false
    }

    fn start_session(
        &self,
        _: &SessionId,
        _: &InstanceId,
        _: &StartSession,
        _: SessionLimits,
    ) -> Result<String, NotConnected> {
        Err(NotConnected)
    }

    fn resume_session(&self, _: &SessionId) -> Option<String> {
        None
    }

    fn terminate_session(&self, _: &SessionId) {}

    fn send_job(&self, _: &InstanceId, _: &AgentJob) -> Result<(), NotConnected> {
        Err(NotConnected)
    }
}

/// How often commands are looked at without being asked.
const LOOK: Duration = Duration::from_secs(5);

/// Writes down what happens at the gateway, and gives agents the commands that wait for them, until
/// the gateway is gone.
pub(crate) async fn run(
    store: Arc<Store>,
    config: Arc<Config>,
    mut events: mpsc::Receiver<GatewayEvent>,
) {
    let now = (config.clock)();
    write(&store, move |tx| end_all(tx, now)).await;
    let mut changed = store.watch();
    let mut look = tokio::time::interval(LOOK);
    let mut dispatch = command::Dispatch::default();
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { return };
                if let GatewayEvent::AgentConnected(instance) = &event {
                    dispatch.forget(instance);
                }
                let now = (config.clock)();
                write(&store, move |tx| note(tx, &event, now)).await;
            }
            more = changed.changed() => {
                if more.is_err() {
                    return;
                }
            }
            _ = look.tick() => {}
        }
        let now = (config.clock)();
        if dispatch.send(&store.snapshot(), config.gateway.as_ref(), now) {
            write(&store, move |tx| command::expire(tx, now)).await;
        }
    }
}

async fn write(store: &Arc<Store>, change: impl Fn(&mut Transaction) + Send + 'static) {
    let store = Arc::clone(store);
    let written = tokio::task::spawn_blocking(move || {
        store.transact(|tx| {
            change(tx);
            Ok::<_, StoreError>(())
        })
    });
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "writing down what a session did"),
        Err(error) => tracing::error!(%error, "writing down what a session did"),
    }
}

/// Sessions of an earlier gateway went with it.
fn end_all(tx: &mut Transaction, now: Timestamp) {
    let open: Vec<_> = tx.everywhere::<Session>().filter(|(_, it)| !it.status.is_over()).collect();
    let open: Vec<_> = open.into_iter().map(|(_, it)| it.id.clone()).collect();
    for session in open {
        end(tx, &session, "The service was restarted.", now);
    }
}

fn note(tx: &mut Transaction, event: &GatewayEvent, now: Timestamp) {
    match event {
        GatewayEvent::AgentConnected(_) => {}
        GatewayEvent::SessionConnected(session) => update(tx, session, |record| {
            if record.status == SessionStatus::Connecting {
                record.status = SessionStatus::Connected;
            }
        }),
        GatewayEvent::SessionEnded { session, reason } => end(tx, session, reason, now),
        GatewayEvent::CommandReply { job, instance, content } => {
            command::replied(tx, job, instance, content);
        }
    }
}

fn end(tx: &mut Transaction, session: &SessionId, details: &str, now: Timestamp) {
    update(tx, session, |record| {
        if record.status.is_over() {
            return;
        }
        record.status = match record.status {
            SessionStatus::Connecting if !details.is_empty() => SessionStatus::Failed,
            _ => SessionStatus::Terminated,
        };
        record.ended = Some(now);
        record.details = details.to_owned();
    });
}

fn update(tx: &mut Transaction, session: &SessionId, change: impl FnOnce(&mut Session)) {
    let found = tx.referrers_with_keys::<Session>(session.as_str()).next();
    let scope = found.and_then(|(key, _)| key.scope.clone());
    // One whose account was reset is not there.
    if let Some(scope) = scope {
        tx.update(&scope, session.as_str(), change);
    }
}
