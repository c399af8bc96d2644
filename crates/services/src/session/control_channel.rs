//! The control channel of an agent: sessions and commands go out, how they went comes in.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use gureum_session::{
    frame::{Frame, MessageType},
    message::{AgentJobReply, AgentJobReplyAck, TaskAcknowledge, TaskComplete},
};
use gureum_types::{
    InstanceId,
    session::{GatewayEvent, SessionId},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, info};

use super::{
    gateway::{Inner, control_frame},
    web::Socket,
};

/// How many messages may wait for an agent.
const QUEUE: usize = 256;
/// An agent pings every minute or so; one that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(150);

/// The way to a connected agent.
#[derive(Clone, Debug)]
pub(super) struct ControlChannel {
    number: u64,
    queue: mpsc::Sender<Bytes>,
}

impl ControlChannel {
    /// Sends a message; false where the agent does not take any.
    pub(super) fn send(&self, message: Bytes) -> bool {
        self.queue.try_send(message).is_ok()
    }
}

/// Serves the control channel of an instance until it ends. The newest of an instance counts.
pub(super) async fn serve(gateway: Arc<Inner>, instance: InstanceId, socket: Socket) {
    let (queue, mut messages) = mpsc::channel(QUEUE);
    let number = {
        let mut state = gateway.state();
        state.channels += 1;
        let channel = ControlChannel { number: state.channels, queue };
        // An older one ends, as its queue has no other sender.
        state.agents.insert(instance.clone(), channel);
        state.channels
    };
    info!(%instance, "an agent is connected");
    gateway.tell(GatewayEvent::AgentConnected(instance.clone())).await;
    let (mut sink, mut stream) = socket.split();
    let read = async {
        loop {
            let message = match timeout(SILENCE, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return debug!(%instance, %error, "a control channel"),
                Ok(None) => return,
                Err(_) => return debug!(%instance, "an agent has fallen silent"),
            };
            match message {
                Message::Binary(bytes) => match Frame::parse(&bytes) {
                    Ok(frame) => gateway.heard(&instance, &frame).await,
                    Err(error) => return debug!(%instance, %error, "a control channel"),
                },
                Message::Close(_) => return,
                _ => {}
            }
        }
    };
    let write = async {
        while let Some(message) = messages.recv().await {
            if sink.send(Message::Binary(message)).await.is_err() {
                return;
            }
        }
        // Replaced by a newer channel.
        let _ = sink.close().await;
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
    let mut state = gateway.state();
    if state.agents.get(&instance).is_some_and(|channel| channel.number == number) {
        state.agents.remove(&instance);
        info!(%instance, "an agent is no longer connected");
    }
}

impl Inner {
    /// What an agent says on its control channel.
    async fn heard(&self, instance: &InstanceId, frame: &Frame) {
        match frame.kind {
            MessageType::AgentTaskComplete => {
                let Some(task) = json::<TaskComplete>(frame) else { return };
                self.answer(
                    instance,
                    MessageType::AgentTaskAcknowledge,
                    &TaskAcknowledge {
                        schema_version: 1,
                        message_id: frame.id.to_string(),
                        task_id: task.task_id.clone(),
                        topic: task.topic,
                    },
                );
                let session = SessionId::parse(&task.task_id).and_then(|id| self.session(&id));
                if let Some(session) = session.filter(|it| it.target == *instance) {
                    session.completed(task.output);
                }
            }
            MessageType::AgentJobReply => {
                let Some(reply) = json::<AgentJobReply>(frame) else { return };
                self.answer(
                    instance,
                    MessageType::AgentJobReplyAck,
                    &AgentJobReplyAck {
                        job_id: reply.job_id.clone(),
                        acknowledged_message_id: frame.id.to_string(),
                    },
                );
                let (job, instance) = (reply.job_id, instance.clone());
                let content = reply.content;
                self.tell(GatewayEvent::CommandReply { job, instance, content }).await;
            }
            kind => debug!(%instance, kind = kind.name(), "a message of an agent"),
        }
    }

    fn answer(&self, instance: &InstanceId, kind: MessageType, content: &impl serde::Serialize) {
        let agent = self.state().agents.get(instance).cloned();
        // One that does not get it says it again.
        let sent = agent.is_some_and(|agent| agent.send(control_frame(kind, content)));
        debug!(%instance, kind = kind.name(), sent, "answered an agent");
    }
}

fn json<T: DeserializeOwned>(frame: &Frame) -> Option<T> {
    let read = serde_json::from_slice(&frame.payload);
    read.inspect_err(|error| debug!(kind = frame.kind.name(), %error, "a message of an agent")).ok()
}
