//! The mailboxes of agents, AWS's `ec2messages`: where an agent that holds no control channel open asks
//! for commands, and says how they went.
//!
//! A command is offered again when it was not acknowledged in the time that the agent asked for. One
//! whose agent has not asked for a while is not put here: whoever sent it keeps it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use gureum_session::message::{AgentJob, CommandReply};
use gureum_types::{InstanceId, session::GatewayEvent};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Notify, time::timeout};

use super::gateway::{Inner, MessageGateway, NotConnected};
use crate::http::respond;

/// What the operations' names begin with in their header.
const TARGET: &str = "EC2WindowsMessageDeliveryService.";
/// An agent that asks does so again within this.
const ASKS_AGAIN: Duration = Duration::from_secs(60);
/// How many commands may lie in a mailbox.
const MOST: usize = 100;
const JSON: &str = "application/x-amz-json-1.1";

/// An agent's mailbox.
#[derive(Debug)]
pub(super) struct Mailbox {
    letters: Vec<Letter>,
    asked: Instant,
    news: Arc<Notify>,
}

#[derive(Debug)]
struct Letter {
    job: AgentJob,
    /// When it is offered again.
    hidden_until: Option<Instant>,
}

/// What operations are asked with.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    destination: String,
    messages_request_id: String,
    visibility_timeout_in_seconds: u64,
    message_id: String,
    payload: String,
    failure_type: String,
}

/// All mailboxes.
pub(super) type Mailboxes = HashMap<InstanceId, Mailbox>;

impl Inner {
    /// Puts a command into the mailbox of an agent that asks.
    pub(super) fn post(&self, instance: &InstanceId, job: &AgentJob) -> Result<(), NotConnected> {
        let mut state = self.state();
        let asks = |it: &&mut Mailbox| it.asked.elapsed() < ASKS_AGAIN && it.letters.len() < MOST;
        let mailbox = state.mailboxes.get_mut(instance).filter(asks);
        let mailbox = mailbox.ok_or_else(|| NotConnected(instance.clone()))?;
        mailbox.letters.push(Letter { job: job.clone(), hidden_until: None });
        mailbox.news.notify_one();
        Ok(())
    }

    /// What is in a mailbox for an agent that asks now, hidden from it for a while.
    fn collect(&self, instance: &InstanceId, hidden: Duration) -> (Vec<AgentJob>, Arc<Notify>) {
        let now = Instant::now();
        let mut state = self.state();
        // Others that stopped asking have nothing left.
        state.mailboxes.retain(|other, it| {
            other == instance || !it.letters.is_empty() || it.asked.elapsed() < ASKS_AGAIN
        });
        let mailbox = state.mailboxes.entry(instance.clone()).or_insert_with(|| Mailbox {
            letters: Vec::new(),
            asked: now,
            news: Arc::default(),
        });
        mailbox.asked = now;
        let mut found = Vec::new();
        for letter in &mut mailbox.letters {
            if letter.hidden_until.is_none_or(|until| until <= now) {
                letter.hidden_until = Some(now + hidden);
                found.push(letter.job.clone());
            }
        }
        (found, Arc::clone(&mailbox.news))
    }

    /// Takes a command out of a mailbox; whether it was there.
    fn take(&self, instance: &InstanceId, id: &str) -> bool {
        let mut state = self.state();
        let Some(mailbox) = state.mailboxes.get_mut(instance) else { return false };
        let before = mailbox.letters.len();
        mailbox.letters.retain(|letter| letter.job.job_id != id);
        mailbox.letters.len() < before
    }
}

impl MessageGateway {
    /// The operation of `ec2messages` that a request is, by its headers.
    pub fn mailbox_operation(headers: &HeaderMap) -> Option<&str> {
        headers.get("x-amz-target")?.to_str().ok()?.strip_prefix(TARGET)
    }

    /// Answers an operation of `ec2messages`. `caller` is the instance whose role signed it.
    pub async fn mailbox(
        &self,
        operation: &str,
        body: &[u8],
        caller: Option<&InstanceId>,
    ) -> Response<Body> {
        let Some(instance) = caller else {
            return refused("AccessDeniedException", "only an instance has messages");
        };
        let Ok(asked) = serde_json::from_slice::<Asked>(body) else {
            return refused("SerializationException", "the request is not JSON");
        };
        match operation {
            "GetMessages" if asked.destination != instance.as_str() => {
                refused("AccessDeniedException", "the messages are for another instance")
            }
            "GetMessages" => self.messages(instance, &asked).await,
            // The agent has it; how it goes comes as replies.
            "AcknowledgeMessage" | "DeleteMessage" => {
                self.inner.take(instance, &asked.message_id);
                done()
            }
            "SendReply" => {
                self.inner.take(instance, &asked.message_id);
                self.reply(instance, asked.message_id, asked.payload).await
            }
            "FailMessage" => {
                self.inner.take(instance, &asked.message_id);
                let failed = CommandReply {
                    document_status: "Failed".to_owned(),
                    document_trace_output: asked.failure_type,
                    ..CommandReply::default()
                };
                let content = serde_json::to_string(&failed).unwrap_or_default();
                self.reply(instance, asked.message_id, content).await
            }
            other => refused("UnknownOperationException", &format!("{other} is not served here.")),
        }
    }

    async fn messages(&self, instance: &InstanceId, asked: &Asked) -> Response<Body> {
        let hidden = Duration::from_secs(asked.visibility_timeout_in_seconds.clamp(1, 3600));
        let is_new = !self.inner.state().mailboxes.contains_key(instance);
        let until = Instant::now() + self.inner.timing.poll;
        let jobs = loop {
            let (jobs, news) = self.inner.collect(instance, hidden);
            if is_new && jobs.is_empty() {
                // Whoever has something for it may send it now.
                self.inner.tell(GatewayEvent::AgentConnected(instance.clone())).await;
            }
            let left = until.saturating_duration_since(Instant::now());
            if !jobs.is_empty() || timeout(left, news.notified()).await.is_err() {
                break jobs;
            }
        };
        let messages = jobs.iter().map(|job| message(instance, job)).collect::<Vec<_>>();
        let answer = json!({
            "Destination": instance.as_str(),
            "MessagesRequestId": asked.messages_request_id,
            "Messages": messages,
        });
        respond(StatusCode::OK, JSON, answer.to_string())
    }

    async fn reply(&self, instance: &InstanceId, job: String, content: String) -> Response<Body> {
        let instance = instance.clone();
        self.inner.tell(GatewayEvent::CommandReply { job, instance, content }).await;
        done()
    }
}

/// A command as a message.
fn message(instance: &InstanceId, job: &AgentJob) -> Value {
    let sum = Sha256::digest(job.content.as_bytes());
    let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "CreatedDate": jiff::Timestamp::now().to_string(),
        "Destination": instance.as_str(),
        "MessageId": job.job_id,
        "Payload": job.content,
        "PayloadDigest": sum,
        "Topic": job.topic,
    })
}

fn done() -> Response<Body> {
    respond(StatusCode::OK, JSON, "{}".to_owned())
}

fn refused(code: &str, message: &str) -> Response<Body> {
    let body = json!({"__type": code, "message": message});
    respond(StatusCode::BAD_REQUEST, JSON, body.to_string())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::sync::mpsc;

    use super::*;
    use crate::session::Timing;

    fn instance() -> InstanceId {
        "i-0123456789abcdef0".parse().expect("an id")
    }

    fn timing() -> Timing {
        Timing { poll: Duration::from_millis(20), ..Timing::default() }
    }

    fn job() -> AgentJob {
        AgentJob {
            content: r#"{"CommandId":"c"}"#.to_owned(),
            job_id: "aws.ssm.c.i-0123456789abcdef0".to_owned(),
            topic: "aws.ssm.sendCommand".to_owned(),
            schema_version: 1,
        }
    }

    async fn ask(gateway: &MessageGateway, operation: &str, body: Value) -> (u16, Value) {
        let answer =
            gateway.mailbox(operation, body.to_string().as_bytes(), Some(&instance())).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    // SSM-2
    #[tokio::test]
    async fn a_command_waits_for_an_agent_that_asks() {
        let (tell, mut events) = mpsc::channel(16);
        let gateway = MessageGateway::new(tell, timing());
        let get = json!({"Destination": instance().as_str(), "VisibilityTimeoutInSeconds": 10});
        assert!(gateway.send_job(&instance(), &job()).is_err(), "nobody asks");
        let (status, empty) = ask(&gateway, "GetMessages", get.clone()).await;
        assert_eq!((status, &empty["Messages"]), (200, &json!([])), "after a while");
        assert_eq!(events.recv().await, Some(GatewayEvent::AgentConnected(instance())));

        gateway.send_job(&instance(), &job()).expect("it asks");
        let (_, got) = ask(&gateway, "GetMessages", get.clone()).await;
        let message = &got["Messages"][0];
        assert_eq!(message["MessageId"], job().job_id);
        assert_eq!(message["Payload"], job().content);
        assert_eq!(message["Topic"], "aws.ssm.sendCommand");
        let (_, hidden) = ask(&gateway, "GetMessages", get.clone()).await;
        assert_eq!(hidden["Messages"], json!([]), "the agent has it");
        let id = json!({"MessageId": job().job_id});
        assert_eq!(ask(&gateway, "AcknowledgeMessage", id).await, (200, json!({})));

        let reply = json!({"MessageId": job().job_id, "Payload": "how it went", "ReplyId": "r"});
        assert_eq!(ask(&gateway, "SendReply", reply).await, (200, json!({})));
        let told = events.recv().await.expect("an event");
        let content = "how it went".to_owned();
        let wanted =
            GatewayEvent::CommandReply { job: job().job_id, instance: instance(), content };
        assert_eq!(told, wanted);
    }

    #[tokio::test]
    async fn mailboxes_are_their_agents_own() {
        let (tell, _events) = mpsc::channel(16);
        let gateway = MessageGateway::new(tell, timing());
        let other = json!({"Destination": "i-0fedcba9876543210"});
        assert_eq!(ask(&gateway, "GetMessages", other).await.1["__type"], "AccessDeniedException");
        let nobody = gateway.mailbox("GetMessages", b"{}", None).await;
        assert_eq!(nobody.status(), StatusCode::BAD_REQUEST);
        let garbage = gateway.mailbox("GetMessages", b"[", Some(&instance())).await;
        assert_eq!(garbage.status(), StatusCode::BAD_REQUEST);
        let unknown = ask(&gateway, "Sing", json!({})).await;
        assert_eq!(unknown.1["__type"], "UnknownOperationException");
    }
}
