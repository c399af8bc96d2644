//! The agent: registers, says that it is there, and does what comes over the control channel.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use gureum_session::{
    frame::{Frame, MessageType},
    message::{
        AgentJob, AgentJobAck, AgentJobReply, AgentJobReplyAck, CancelCommand, ChannelClosed,
        CommandReply, OpenChannel, SCHEMA_VERSION, SendCommand, SessionContent, StartSession,
        TaskAcknowledge, TaskComplete, topic,
    },
};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::{Notify, watch},
    time::{interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::{
    command,
    network::{NetworkError, Service, Socket, header_value},
    session::{self, AGENT_VERSION, now, text},
    surroundings::Surroundings,
};

/// How long an agent without a role sleeps before it looks again: each of these so many times, then
/// the last for ever (SSM-6). So one that got its role late shows up after a reboot, or much later.
pub const HIBERNATION: [Duration; 5] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(20 * 60),
    Duration::from_secs(40 * 60),
    Duration::from_secs(60 * 60),
];
/// How often each of [`HIBERNATION`] is slept.
pub const HIBERNATION_PERIODS: usize = 3;
/// How long an agent whose role does not let it in sleeps (SSM-6).
pub const DENIED: Duration = Duration::from_secs(24 * 3600);
/// After a plain failure: twice as long each time, up to the second (SSM-6).
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// The same for the control channel.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often an agent says that it is there (SSM-2).
const HEARTBEAT: Duration = Duration::from_secs(5 * 60);
/// How often it pings the control channel, and how long the service may say nothing.
const PING: Duration = Duration::from_secs(54);
const SILENCE: Duration = Duration::from_secs(114);
/// Where the instance says what it is.
const OS_RELEASE: &str = "/etc/os-release";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// An agent.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) surroundings: Surroundings,
    pub(crate) instance: String,
    pub(crate) region: String,
    work: Arc<Work>,
}

/// What an agent has under way.
#[derive(Default)]
struct Work {
    /// What it has to say on the control channel, until it is acknowledged.
    outbox: Mutex<Vec<(Uuid, Bytes)>>,
    /// What it says once, come what may.
    once: Mutex<Vec<Bytes>>,
    more: watch::Sender<u64>,
    /// What ends a session or a command, by its id.
    running: Mutex<HashMap<String, Arc<Notify>>>,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs an agent for ever.
pub async fn run(surroundings: Surroundings) {
    let mut pause = RETRY.0;
    let (instance, region) = loop {
        match surroundings.identity().await {
            Ok(identity) => break identity,
            Err(error) => tracing::info!(%error, "no answer from the metadata service"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    };
    let agent = Agent { surroundings, instance, region, work: Arc::default() };
    agent.register().await;
    tracing::info!(instance = agent.instance, region = agent.region, "registered");
    tokio::join!(agent.beat(), agent.stay_connected());
}

impl Agent {
    /// Tells the service of the instance, until it has taken note (SSM-6).
    async fn register(&self) {
        let mut pause = RETRY.0;
        let mut slept = 0;
        loop {
            let wait = match self.say_alive().await {
                Ok(()) => return,
                Err(NetworkError::NoCredentials) => {
                    let level = (slept / HIBERNATION_PERIODS).min(HIBERNATION.len() - 1);
                    slept += 1;
                    tracing::info!("the instance has no role; sleeping");
                    HIBERNATION[level]
                }
                Err(error) if error.is_denial() => {
                    tracing::error!(%error, "the instance's role does not let the agent in");
                    self.surroundings.forget_credentials().await;
                    DENIED
                }
                Err(error) => {
                    tracing::info!(%error, "cannot register");
                    let wait = pause;
                    pause = (pause * 2).min(RETRY.1);
                    wait
                }
            };
            sleep(wait).await;
        }
    }

    async fn beat(&self) {
        let mut beats = interval(HEARTBEAT);
        // The first is at once, and has been.
        beats.tick().await;
        loop {
            beats.tick().await;
            if let Err(error) = self.say_alive().await {
                tracing::warn!(%error, "a heartbeat");
                if error.is_denial() {
                    self.surroundings.forget_credentials().await;
                }
            }
        }
    }

    async fn say_alive(&self) -> Result<(), NetworkError> {
        let credentials = self.surroundings.credentials().await?;
        let service = Service { name: "ssm", region: &self.region, credentials: &credentials };
        let (platform, version) = platform();
        let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default().trim().to_owned();
        let mut body = json!({
            "AgentName": "amazon-ssm-agent",
            "AgentStatus": "Active",
            "AgentVersion": AGENT_VERSION,
            "ComputerName": host,
            "InstanceId": self.instance,
            "PlatformName": platform,
            "PlatformType": "Linux",
            "PlatformVersion": version,
            "SSMConnectionChannel": "ssmmessages",
        });
        if let Some(address) = self.surroundings.address().await {
            body["IPAddress"] = address.into();
        }
        let mut headers = HeaderMap::new();
        headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        headers.insert("x-amz-target", header_value("AmazonSSM.UpdateInstanceInformation")?);
        let body = body.to_string().into();
        self.surroundings.network().post(&service, "/", headers, body).await.map(drop)
    }

    async fn stay_connected(&self) {
        let mut pause = RECONNECT.0;
        loop {
            match self.open().await {
                Ok(socket) => {
                    tracing::info!("connected");
                    pause = RECONNECT.0;
                    self.converse(socket).await;
                    tracing::info!("disconnected");
                }
                Err(error) => {
                    tracing::info!(%error, "no control channel");
                    if error.is_denial() {
                        self.surroundings.forget_credentials().await;
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(RECONNECT.1);
        }
    }

    async fn open(&self) -> Result<Socket, NetworkError> {
        let credentials = self.surroundings.credentials().await?;
        let region = &self.region;
        let service = Service { name: "ssmmessages", region, credentials: &credentials };
        let path = format!("/v1/control-channel/{}", self.instance);
        let token = self.token(&service, &path).await?;
        let network = self.surroundings.network();
        let mut socket = network.open(&service, &path, "role=subscribe&stream=input").await?;
        let open = OpenChannel {
            message_schema_version: SCHEMA_VERSION.to_owned(),
            request_id: Uuid::new_v4().to_string(),
            token_value: token,
            agent_version: Some(AGENT_VERSION.to_owned()),
            platform_type: Some("linux".to_owned()),
            ..OpenChannel::default()
        };
        socket.send(Message::text(text(&open))).await?;
        Ok(socket)
    }

    /// Speaks on a control channel until it breaks.
    async fn converse(&self, mut socket: Socket) {
        let mut more = self.work.more.subscribe();
        more.mark_changed();
        let mut said: HashSet<Uuid> = HashSet::new();
        let mut ping = interval(PING);
        loop {
            tokio::select! {
                message = timeout(SILENCE, socket.next()) => match message {
                    Ok(Some(Ok(Message::Binary(bytes)))) => match Frame::parse(&bytes) {
                        Ok(frame) => self.hear(&frame),
                        Err(error) => tracing::warn!(%error, "a message"),
                    },
                    Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
                    Ok(Some(Ok(_))) => {}
                },
                _ = more.changed() => {
                    let waiting: Vec<_> = {
                        let outbox = hold(&self.work.outbox);
                        outbox.iter().filter(|(id, _)| !said.contains(id)).cloned().collect()
                    };
                    let once = std::mem::take(&mut *hold(&self.work.once));
                    for message in once {
                        if socket.send(Message::Binary(message)).await.is_err() {
                            return;
                        }
                    }
                    for (id, message) in waiting {
                        if socket.send(Message::Binary(message)).await.is_err() {
                            return;
                        }
                        said.insert(id);
                    }
                }
                _ = ping.tick() => {
                    let ping = Message::Ping(Bytes::from_static(b"keepalive"));
                    if socket.send(ping).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn hear(&self, frame: &Frame) {
        let result = match frame.kind {
            MessageType::InteractiveShell => self.start_session(frame),
            MessageType::AgentJob => self.start_job(frame),
            MessageType::ChannelClosed => serde_json::from_slice::<ChannelClosed>(&frame.payload)
                .map(|closed| self.end(&closed.session_id)),
            MessageType::AgentTaskAcknowledge => {
                serde_json::from_slice::<TaskAcknowledge>(&frame.payload)
                    .map(|it| self.is_known(&it.message_id))
            }
            MessageType::AgentJobReplyAck => {
                serde_json::from_slice::<AgentJobReplyAck>(&frame.payload)
                    .map(|it| self.is_known(&it.acknowledged_message_id))
            }
            kind => {
                tracing::debug!(kind = kind.name(), "a message");
                Ok(())
            }
        };
        if let Err(error) = result {
            tracing::warn!(kind = frame.kind.name(), %error, "a message");
        }
    }

    /// Says something until it is acknowledged.
    fn say(&self, kind: MessageType, content: &impl Serialize) {
        let frame = Frame::control(kind, now(), 0, text(content).into());
        hold(&self.work.outbox).push((frame.id, frame.emit()));
        self.work.more.send_modify(|count| *count += 1);
    }

    /// Says something that nobody acknowledges.
    fn say_once(&self, frame: Frame) {
        hold(&self.work.once).push(frame.emit());
        self.work.more.send_modify(|count| *count += 1);
    }

    fn is_known(&self, id: &str) {
        hold(&self.work.outbox).retain(|(said, _)| said.to_string() != id);
    }

    /// Begins something that an id can end; `None` where it has begun already.
    fn begin(&self, id: &str) -> Option<Arc<Notify>> {
        let mut running = hold(&self.work.running);
        if running.contains_key(id) {
            return None;
        }
        let end = Arc::new(Notify::new());
        running.insert(id.to_owned(), Arc::clone(&end));
        Some(end)
    }

    fn end(&self, id: &str) {
        if let Some(end) = hold(&self.work.running).get(id) {
            end.notify_one();
        }
    }

    fn start_session(&self, frame: &Frame) -> serde_json::Result<()> {
        let start: StartSession = serde_json::from_slice(&frame.payload)?;
        let content: SessionContent = serde_json::from_str(&start.content)?;
        let Some(closed) = self.begin(&content.session_id) else { return Ok(()) };
        let agent = self.clone();
        tokio::spawn(async move {
            let id = content.session_id.clone();
            tracing::info!(session = id, kind = content.document_content.session_type, "begins");
            let result = session::run(&agent, &content, closed).await;
            hold(&agent.work.running).remove(&id);
            tracing::info!(session = id, ?result, "has ended");
            let status = if result.is_ok() { "Success" } else { "Failed" };
            let task = TaskComplete {
                schema_version: 1,
                task_id: id,
                topic: MessageType::AgentTaskComplete.name().to_owned(),
                final_task_status: status.to_owned(),
                instance_id: agent.instance.clone(),
                output: result.err().unwrap_or_default(),
            };
            agent.say(MessageType::AgentTaskComplete, &task);
        });
        Ok(())
    }

    fn start_job(&self, frame: &Frame) -> serde_json::Result<()> {
        let job: AgentJob = serde_json::from_slice(&frame.payload)?;
        let acknowledge = AgentJobAck {
            job_id: job.job_id.clone(),
            acknowledged_message_id: frame.id.to_string(),
            created_date: jiff::Timestamp::now().to_string(),
            status_code: "Success".to_owned(),
            error_message: String::new(),
        };
        let said = Frame::control(MessageType::AgentJobAck, now(), 0, text(&acknowledge).into());
        self.say_once(said);
        if job.topic == topic::CANCEL_COMMAND {
            let cancel: CancelCommand = serde_json::from_str(&job.content)?;
            self.end(&cancel.cancel_message_id);
            return Ok(());
        }
        let command: SendCommand = serde_json::from_str(&job.content)?;
        let Some(cancelled) = self.begin(&job.job_id) else { return Ok(()) };
        let agent = self.clone();
        tokio::spawn(async move {
            let reply = |reply: &CommandReply| AgentJobReply {
                schema_version: 1,
                job_id: job.job_id.clone(),
                content: text(reply),
                topic: topic::SEND_COMMAND.to_owned(),
            };
            let begun = CommandReply {
                document_status: "InProgress".to_owned(),
                ..CommandReply::default()
            };
            agent.say(MessageType::AgentJobReply, &reply(&begun));
            let ended = command::run(&command, cancelled).await;
            hold(&agent.work.running).remove(&job.job_id);
            agent.say(MessageType::AgentJobReply, &reply(&ended));
        });
        Ok(())
    }
}

/// The name and version of the distribution.
fn platform() -> (String, String) {
    let release = std::fs::read_to_string(OS_RELEASE).unwrap_or_default();
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    (value("NAME"), value("VERSION_ID"))
}
