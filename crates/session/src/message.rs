//! What is inside the messages that are JSON.
//!
//! Field names are AWS's, and so are their cases, which differ from message to message. Fields that
//! a side does not send have a default, so that every version of the other programs is understood.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Opens a channel: the first, textual message of a websocket, from either side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct OpenChannel {
    /// `1.0`.
    pub message_schema_version: String,
    /// New each time.
    pub request_id: String,
    /// The token of the channel.
    pub token_value: String,
    /// The client's process; empty from an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The instance, from an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_instance_id: Option<String>,
    /// The client's version, from newer ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// The agent's version, on a control channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// The agent's platform, on a control channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_type: Option<String>,
}

/// The version of every schema here that has one as text.
pub const SCHEMA_VERSION: &str = "1.0";

/// Asks for a channel's token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateChannel {
    /// `1.0`.
    pub message_schema_version: String,
    /// New each time.
    pub request_id: String,
}

/// A numbered frame has arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Acknowledge {
    /// The frame's type.
    #[serde(default)]
    pub acknowledged_message_type: String,
    /// The frame's id.
    #[serde(default)]
    pub acknowledged_message_id: String,
    /// The frame's number, which alone counts.
    pub acknowledged_message_sequence_number: i64,
    /// True.
    #[serde(default)]
    pub is_sequential_message: bool,
}

/// The service ends a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChannelClosed {
    /// An id of its own.
    pub message_id: String,
    /// When, as text.
    pub created_date: String,
    /// Whom it is for.
    pub destination_id: String,
    /// The session.
    pub session_id: String,
    /// `channel_closed`.
    pub message_type: String,
    /// 1.
    pub schema_version: i32,
    /// What the client shows; empty at an ordinary end.
    pub output: String,
}

/// The agent tells how a session is: `Connected` or `Terminating`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentSessionState {
    /// 1.
    pub schema_version: i32,
    /// The state.
    pub session_state: String,
    /// The session.
    pub session_id: String,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// The agent says what kind of session it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HandshakeRequest {
    /// Four numbers; what a client does depends on them.
    pub agent_version: String,
    /// What the client shall do.
    pub requested_client_actions: Vec<ClientAction>,
}

/// Something that the client shall do before a session begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClientAction {
    /// `SessionType`.
    pub action_type: String,
    /// The session's type and properties.
    pub action_parameters: Value,
}

/// The client says what it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HandshakeResponse {
    /// The client's version.
    pub client_version: String,
    /// What came of each action.
    pub processed_client_actions: Vec<ProcessedAction>,
    /// What went wrong.
    pub errors: Option<Vec<String>>,
}

/// What came of an action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProcessedAction {
    /// The action.
    pub action_type: String,
    /// 1 is success.
    pub action_status: i32,
    /// Why not.
    pub error: String,
}

/// The session begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HandshakeComplete {
    /// How long the handshake took, in nanoseconds.
    pub handshake_time_to_complete: u64,
    /// What the client shows before it begins.
    pub customer_message: String,
}

/// The service asks an agent to begin a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StartSession {
    /// A [`SessionContent`] as text.
    pub content: String,
    /// The session.
    pub task_id: String,
    /// `aws.ssm.startSession`.
    pub topic: String,
    /// 1.
    pub schema_version: i32,
}

/// What a session shall be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SessionContent {
    /// The document's name.
    pub document_name: String,
    /// The session.
    pub session_id: String,
    /// What the caller gave for the document's parameters.
    pub parameters: Map<String, Value>,
    /// Whom to run as, where the document lets one say.
    pub run_as_user: String,
    /// The caller's ARN.
    pub session_owner: String,
    /// The document, parameters filled in.
    pub document_content: SessionDocument,
}

/// The types of sessions.
pub mod session_type {
    /// A shell.
    pub const STANDARD_STREAM: &str = "Standard_Stream";
    /// A command with a terminal.
    pub const INTERACTIVE_COMMANDS: &str = "InteractiveCommands";
    /// A command without one.
    pub const NON_INTERACTIVE_COMMANDS: &str = "NonInteractiveCommands";
    /// A connection to a port, or several.
    pub const PORT: &str = "Port";
}

/// A session document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionDocument {
    /// `1.0`.
    pub schema_version: String,
    /// What it is for.
    pub description: String,
    /// One of [`session_type`].
    pub session_type: String,
    /// What it can be told, by name.
    pub parameters: Value,
    /// Depends on the type: [`PortProperties`], [`ShellProperties`] or null.
    pub properties: Value,
    /// Preferences of a shell.
    pub inputs: SessionInputs,
}

/// Preferences of a shell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionInputs {
    /// Where to log to, in S3.
    pub s3_bucket_name: String,
    /// The prefix there.
    pub s3_key_prefix: String,
    /// Whether the bucket has to be encrypted.
    pub s3_encryption_enabled: bool,
    /// Where to log to, in CloudWatch Logs.
    pub cloud_watch_log_group_name: String,
    /// Whether the group has to be encrypted.
    pub cloud_watch_encryption_enabled: bool,
    /// Whether it is written as it comes, not at the end.
    pub cloud_watch_streaming_enabled: bool,
    /// After how many minutes without data it is ended, in digits.
    pub idle_session_timeout: String,
    /// After how many minutes it is ended in any case, in digits.
    pub max_session_duration: String,
    /// A key to encrypt the session by.
    pub kms_key_id: String,
    /// Whether to run as a user other than `ssm-user`.
    pub run_as_enabled: bool,
    /// That user.
    pub run_as_default_user: String,
    /// What a shell is told first.
    pub shell_profile: ShellProfile,
}

/// What a shell is told first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShellProfile {
    /// On Linux.
    pub linux: String,
}

/// Which port a session leads to. Numbers are text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortProperties {
    /// The host, where it is not the instance itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The port there.
    pub port_number: String,
    /// The port at the client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub local_port_number: String,
    /// `LocalPortForwarding`, or nothing for the client's standard streams.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// What a port's [`PortProperties::kind`] is where the client listens.
pub const LOCAL_PORT_FORWARDING: &str = "LocalPortForwarding";

/// What a session runs instead of a shell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShellProperties {
    /// On Linux.
    pub linux: ShellCommand,
}

/// A command of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShellCommand {
    /// The command line.
    pub commands: String,
    /// Whether root runs it.
    pub run_as_elevated: bool,
    /// Whether standard error comes apart and the exit code is told: a truth value or its name.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub separate_output_stream: Value,
}

/// A session of an agent has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskComplete {
    /// 1.
    pub schema_version: i32,
    /// The session.
    pub task_id: String,
    /// `agent_task_complete`.
    pub topic: String,
    /// `Success`, `Failed` …
    pub final_task_status: String,
    /// The instance.
    pub instance_id: String,
    /// Why it failed.
    pub output: String,
}

/// The service has taken note of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskAcknowledge {
    /// 1.
    pub schema_version: i32,
    /// The id of the frame that said so.
    pub message_id: String,
    /// The session.
    pub task_id: String,
    /// `agent_task_complete`.
    pub topic: String,
}

/// Topics of an [`AgentJob`].
pub mod topic {
    /// A session shall begin.
    pub const START_SESSION: &str = "aws.ssm.startSession";
    /// A command shall be run.
    pub const SEND_COMMAND: &str = "aws.ssm.sendCommand";
    /// A command shall end.
    pub const CANCEL_COMMAND: &str = "aws.ssm.cancelCommand";
}

/// The service asks an agent to run or to cancel a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentJob {
    /// A [`SendCommand`] or a [`CancelCommand`] as text.
    pub content: String,
    /// `aws.ssm.<command id>.<instance id>`.
    pub job_id: String,
    /// One of [`topic`].
    pub topic: String,
    /// 1.
    pub schema_version: i32,
}

/// A command for an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SendCommand {
    /// What the caller gave for the document's parameters.
    #[serde(rename = "Parameters")]
    pub parameters: Map<String, Value>,
    /// The document.
    #[serde(rename = "DocumentContent")]
    pub document_content: Value,
    /// The command.
    #[serde(rename = "CommandId")]
    pub command_id: String,
    /// The document's name.
    #[serde(rename = "DocumentName")]
    pub document_name: String,
}

/// A command shall end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CancelCommand {
    /// The job to cancel.
    pub cancel_message_id: String,
}

/// The agent has taken a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentJobAck {
    /// The job.
    pub job_id: String,
    /// The frame that it came in.
    pub acknowledged_message_id: String,
    /// When that was made, in ISO 8601.
    pub created_date: String,
    /// `SuccessfullyReceived` …
    pub status_code: String,
    /// Why not.
    pub error_message: String,
}

/// How a job goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentJobReply {
    /// 1.
    pub schema_version: i32,
    /// The job.
    pub job_id: String,
    /// A [`CommandReply`] as text.
    pub content: String,
    /// The job's topic.
    pub topic: String,
}

/// The service has taken note of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentJobReplyAck {
    /// The job.
    pub job_id: String,
    /// The frame that said so.
    pub acknowledged_message_id: String,
}

/// How a command goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CommandReply {
    /// `InProgress`, `Success`, `Failed`, `TimedOut`, `Cancelled`.
    pub document_status: String,
    /// What an agent wishes to add.
    pub document_trace_output: String,
    /// How each step went, by its name.
    pub runtime_status: std::collections::BTreeMap<String, PluginStatus>,
}

/// How a step of a command went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginStatus {
    /// As [`CommandReply::document_status`].
    pub status: String,
    /// The exit code.
    pub code: i32,
    /// The step's name.
    pub name: String,
    /// Both outputs, headed.
    pub output: String,
    /// When it began, in ISO 8601.
    pub start_date_time: String,
    /// When it ended, in ISO 8601.
    pub end_date_time: String,
    /// What it wrote.
    pub standard_output: String,
    /// What it wrote to its standard error.
    pub standard_error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_the_programs_of_aws_are_read() {
        let open: OpenChannel = serde_json::from_str(
            r#"{"Cookie":null,"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"t",
                "AgentVersion":"3.3.0.0","PlatformType":"linux"}"#,
        )
        .expect("read");
        assert_eq!((open.token_value.as_str(), open.client_id), ("t", None));
        let response: HandshakeResponse = serde_json::from_str(
            r#"{"ClientVersion":"1.2.0.0","ProcessedClientActions":[{"ActionType":"SessionType",
                "ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}"#,
        )
        .expect("read");
        assert_eq!(response.processed_client_actions[0].action_status, 1);
        let size: Size = serde_json::from_str(r#"{"cols":80,"rows":24}"#).expect("read");
        assert_eq!(size, Size { cols: 80, rows: 24 });
    }

    #[test]
    fn an_acknowledgement_is_as_aws_writes_it() {
        let acknowledge = Acknowledge {
            acknowledged_message_type: "output_stream_data".into(),
            acknowledged_message_id: "u".into(),
            acknowledged_message_sequence_number: 7,
            is_sequential_message: true,
        };
        assert_eq!(
            serde_json::to_string(&acknowledge).expect("written"),
            "{\"AcknowledgedMessageType\":\"output_stream_data\",\"AcknowledgedMessageId\":\"u\",\
             \"AcknowledgedMessageSequenceNumber\":7,\"IsSequentialMessage\":true}"
        );
    }

    #[test]
    fn a_port_is_described_as_its_document_says() {
        let properties = PortProperties {
            port_number: "80".into(),
            kind: LOCAL_PORT_FORWARDING.into(),
            ..PortProperties::default()
        };
        let text = serde_json::to_string(&properties).expect("written");
        assert_eq!(text, r#"{"portNumber":"80","type":"LocalPortForwarding"}"#);
    }
}
