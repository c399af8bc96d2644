//! What a session shows, written to CloudWatch Logs where its preferences name a group: as it comes, a
//! JSON event of lines each second, or as it was, at the end.
//!
//! It goes the way of all that the agent says: over the instance's own network, by its role's
//! rights. A session whose transcript cannot be written goes on all the same; the agent's log says
//! why.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use gureum_session::message::{SessionContent, session_type};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{interval, timeout},
};

use crate::{
    agent::Agent,
    network::{NetworkError, Service, header_value},
    session::now,
    user::SSM_USER,
};

/// How often what has been shown is written.
const EVERY: Duration = Duration::from_secs(1);
/// How long writing the rest may take after the end of a session.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// How much of a session is kept that has not been written; what comes beyond is left out.
pub(crate) const MOST: usize = 16 << 20;
/// The longest event: as JSON, where a control character has six, still what CloudWatch Logs takes.
const EVENT: usize = 40_000;

/// What AWS's agent says where a group has to be encrypted and is not, or may not be looked at.
const NOT_ENCRYPTED: &str = "We couldn't start the session because encryption is not set up on the \
                             selected CloudWatch Logs log group. Either encrypt the log group or \
                             choose an option to enable logging without encryption.";
const NOT_KNOWN: &str = "Couldn't start the session because we are unable to validate encryption on \
                         CloudWatch Logs log group.";

/// A transcript that is being written.
pub(crate) struct Transcript {
    kept: Arc<Mutex<Kept>>,
    over: Arc<Notify>,
    writer: JoinHandle<()>,
}

/// What has been shown and is not written.
#[derive(Default)]
struct Kept {
    bytes: BytesMut,
    left_out: usize,
}

fn hold(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transcript {
    /// Begins the transcript of a session, if its preferences want one. Ports have none. An error is why
    /// there must be no session: the group has to be encrypted and is not.
    pub(crate) async fn begin(
        agent: &Agent,
        content: &SessionContent,
    ) -> Result<Option<Self>, String> {
        let document = &content.document_content;
        let inputs = &document.inputs;
        let group = &inputs.cloud_watch_log_group_name;
        if group.is_empty() || document.session_type == session_type::PORT {
            return Ok(None);
        }
        if inputs.cloud_watch_encryption_enabled {
            match is_encrypted(agent, group).await {
                Ok(true) => {}
                Ok(false) => return Err(NOT_ENCRYPTED.to_owned()),
                Err(error) => return Err(format!("{NOT_KNOWN} Error: {error}")),
            }
        }
        let (kept, over) = (Arc::<Mutex<Kept>>::default(), Arc::new(Notify::new()));
        let writer = Writer {
            agent: agent.clone(),
            group: group.clone(),
            session: content.session_id.clone(),
            owner: content.session_owner.clone(),
            user: match (inputs.run_as_enabled, content.run_as_user.as_str()) {
                (true, "") => inputs.run_as_default_user.clone(),
                (true, name) => name.to_owned(),
                (false, _) => SSM_USER.to_owned(),
            },
            at_once: inputs.cloud_watch_streaming_enabled,
            kept: Arc::clone(&kept),
            begun: false,
        };
        let writer = tokio::spawn(writer.run(Arc::clone(&over)));
        Ok(Some(Self { kept, over, writer }))
    }

    /// Takes note of something that the session has shown.
    pub(crate) fn add(&self, bytes: &Bytes) {
        let mut kept = hold(&self.kept);
        match kept.bytes.len() + bytes.len() <= MOST {
            true => kept.bytes.extend_from_slice(bytes),
            false => kept.left_out += bytes.len(),
        }
    }

    /// Waits until all of it is written, or cannot be.
    pub(crate) async fn finish(self) {
        self.over.notify_one();
        if timeout(LAST_WORDS, self.writer).await.is_err() {
            tracing::warn!("the end of a transcript is not written");
        }
    }
}

struct Writer {
    agent: Agent,
    group: String,
    session: String,
    owner: String,
    user: String,
    /// Whether lines are written as they come.
    at_once: bool,
    kept: Arc<Mutex<Kept>>,
    /// Whether the stream is there.
    begun: bool,
}

impl Writer {
    async fn run(mut self, over: Arc<Notify>) {
        let mut tick = interval(EVERY);
        loop {
            tokio::select! {
                () = over.notified() => break,
                _ = tick.tick(), if self.at_once => {
                    if let Err(error) = self.write(false).await
                        && !self.goes_on(&error)
                    {
                        return;
                    }
                }
            }
        }
        while !hold(&self.kept).bytes.is_empty() {
            if let Err(error) = self.write(true).await {
                if !self.goes_on(&error) {
                    return;
                }
                tick.tick().await;
            }
        }
        let left_out = hold(&self.kept).left_out;
        if left_out > 0 {
            tracing::warn!(session = self.session, bytes = left_out, "not in the transcript");
        }
    }

    /// Whether to try again after an error: not where the answer is no.
    fn goes_on(&self, error: &NetworkError) -> bool {
        let (session, group) = (&self.session, &self.group);
        tracing::error!(session, group, %error, "a transcript is not written");
        !matches!(error, NetworkError::Refused(..) | NetworkError::NoCredentials)
    }

    /// Writes what is there: whole lines, or with `all` the rest too.
    async fn write(&mut self, all: bool) -> Result<(), NetworkError> {
        let text = {
            let kept = hold(&self.kept);
            let Some(length) = whole(&kept.bytes, all) else { return Ok(()) };
            kept.bytes.get(..length).unwrap_or_default().to_vec()
        };
        let length = text.len();
        if !self.begun {
            let stream = json!({"logGroupName": self.group, "logStreamName": self.session});
            self.call("CreateLogStream", &stream).await?;
            self.begun = true;
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let message = if self.at_once { self.event(&text) } else { plain(&text) };
        let events = json!({
            "logGroupName": self.group,
            "logStreamName": self.session,
            "logEvents": [{"timestamp": now(), "message": message}],
        });
        // There are no empty events.
        if !message.is_empty() {
            self.call("PutLogEvents", &events).await?;
        }
        drop(hold(&self.kept).bytes.split_to(length));
        Ok(())
    }

    /// Lines as an event in AWS's form.
    fn event(&self, text: &str) -> String {
        json!({
            "eventVersion": "1.0",
            "eventTime": jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())
                .unwrap_or_default()
                .to_string(),
            "awsRegion": self.agent.region,
            "target": {"id": self.agent.instance},
            "userIdentity": {"arn": self.owner},
            "runAsUser": self.user,
            "sessionId": self.session,
            "sessionData": lines(text),
        })
        .to_string()
    }

    async fn call(&self, operation: &str, body: &Value) -> Result<(), NetworkError> {
        call(&self.agent, operation, body).await.map(drop)
    }
}

/// Calls an operation of CloudWatch Logs.
async fn call(agent: &Agent, operation: &str, body: &Value) -> Result<Bytes, NetworkError> {
    let credentials = agent.surroundings.credentials().await?;
    let service = Service { name: "logs", region: &agent.region, credentials: &credentials };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amz-target", header_value(&format!("Logs_20140328.{operation}"))?);
    let network = agent.surroundings.network();
    network.post(&service, "/", headers, body.to_string().into()).await
}

/// Whether a group has a key.
async fn is_encrypted(agent: &Agent, group: &str) -> Result<bool, NetworkError> {
    let answer = call(agent, "DescribeLogGroups", &json!({"logGroupNamePrefix": group})).await?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let groups = answer["logGroups"].as_array().into_iter().flatten();
    let mut of_name = groups.filter(|it| it["logGroupName"] == group);
    Ok(of_name.any(|it| it["kmsKeyId"].is_string()))
}

/// How much of what is kept makes the next event: up to the last line that fits and is whole.
fn whole(kept: &[u8], all: bool) -> Option<usize> {
    let first = &kept[..kept.len().min(EVENT)];
    let end = first.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    // A line that is longer than an event goes in pieces.
    let rest = (all || kept.len() > EVENT).then_some(first.len());
    end.or(rest).filter(|length| *length > 0)
}

/// A session's text as lines: without carriage returns, tabs as blanks.
fn lines(text: &str) -> Vec<String> {
    let text = text.replace('\t', " ").replace('\r', "");
    text.strip_suffix('\n').unwrap_or(&text).split('\n').map(str::to_owned).collect()
}

/// A session's text as it is, with the line ends of files.
pub(crate) fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_with_lines() {
        assert_eq!(whole(b"", true), None);
        assert_eq!(whole(b"sh-5.2$ ", false), None);
        assert_eq!(whole(b"sh-5.2$ ", true), Some(8));
        assert_eq!(whole(b"$ id\r\nuid=0\r\n$ ", false), Some(13));
        let long = vec![b'x'; EVENT + 1];
        assert_eq!(whole(&long, false), Some(EVENT));
        let mut two = vec![b'x'; EVENT - 1];
        two.extend_from_slice(b"\nsecond\n");
        assert_eq!(whole(&two, false), Some(EVENT));
    }

    #[test]
    fn text_is_told_as_lines() {
        assert_eq!(lines("$ id\r\nuid=0\tgid=0\r\n"), ["$ id", "uid=0 gid=0"]);
        assert_eq!(plain("$ id\r\nuid=0\r\n"), "$ id\nuid=0");
        assert_eq!(plain("\n"), "", "which is no event");
    }
}
