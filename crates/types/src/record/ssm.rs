//! Records of Systems Manager: instances that registered, sessions and commands.
//!
//! They are history. Who is connected now is known to the message gateway alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{InstanceId, Tags, Timestamp, session::SessionId};

/// An instance whose agent has registered (SSM-7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedInstance {
    /// The instance.
    pub instance_id: InstanceId,
    /// What the agent last said of itself.
    pub agent: AgentFacts,
    /// When it was heard of first.
    pub registered: Timestamp,
    /// When it was heard of last.
    pub last_ping: Timestamp,
}

/// What an agent says of itself. Empty where it has not said it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// `amazon-ssm-agent`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `Linux`.
    pub platform_type: String,
    /// The name of the distribution.
    pub platform_name: String,
    /// The version of the distribution.
    pub platform_version: String,
    /// The instance's host name.
    pub computer_name: String,
    /// The instance's address.
    pub ip_address: String,
}

/// A session (SSM-9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The instance.
    pub target: InstanceId,
    /// The document, where the caller named one.
    pub document: Option<String>,
    /// Why, as the caller said.
    pub reason: Option<String>,
    /// The caller's ARN.
    pub owner: String,
    /// When it was asked for.
    pub started: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// How far it is.
    pub status: SessionStatus,
    /// Why it ended, where it did not by itself.
    pub details: String,
}

/// How far a session is: `Connecting → Connected → Terminated`, or from either of the first to
/// `Failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionStatus {
    /// Client or agent is not there yet.
    Connecting,
    /// Both were there.
    Connected,
    /// It is over.
    Terminated,
    /// It is over before both were there.
    Failed,
}

impl SessionStatus {
    /// AWS's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Connected => "Connected",
            Self::Terminated => "Terminated",
            Self::Failed => "Failed",
        }
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Terminated | Self::Failed)
    }
}

/// A document that an account owns: what a session of a kind is, or the preferences of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// Its versions, numbered from 1; none is ever taken out.
    pub versions: Vec<DocumentVersion>,
    /// The version that is meant where none is named.
    pub default_version: u32,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What a document was or is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentVersion {
    /// The content as it was given: JSON.
    pub content: String,
    /// When it was given.
    pub created: Timestamp,
    /// What its owner calls the version.
    pub name: Option<String>,
}

/// A parameter that an account owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, a path or not.
    pub name: String,
    /// Its versions, the oldest first; there is at least one. Those that are too many are forgotten.
    pub versions: Vec<ParameterVersion>,
    /// Its tags.
    pub tags: Tags,
}

impl Parameter {
    /// The version of a number, the newest without.
    pub fn version(&self, number: Option<i64>) -> Option<&ParameterVersion> {
        match number {
            Some(number) => self.versions.iter().find(|it| it.number == number),
            None => self.versions.last(),
        }
    }
}

/// What a parameter was or is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterVersion {
    /// Its number, from 1.
    pub number: i64,
    /// `String`, `StringList` or `SecureString`.
    pub kind: String,
    /// The value as it was given, that of a `SecureString` too.
    pub value: String,
    /// What is shown of a `SecureString` to those who do not ask for its value: random characters.
    pub sealed: Option<String>,
    /// Recorded: the key of a `SecureString`.
    pub key_id: Option<String>,
    /// Its owner's remark.
    pub description: Option<String>,
    /// The regular expression that values have to match.
    pub allowed_pattern: Option<String>,
    /// `Standard` or `Advanced`.
    pub tier: String,
    /// `text` or `aws:ec2:image`.
    pub data_type: String,
    /// When it was given.
    pub modified: Timestamp,
    /// The ARN of who gave it.
    pub user: String,
}

/// A command of Run Command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its id, a UUID.
    pub id: String,
    /// The document.
    pub document: String,
    /// The caller's remark.
    pub comment: String,
    /// The document's parameters as given.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// Instances as given by their ids.
    pub instance_ids: Vec<InstanceId>,
    /// Instances as given by tags and the like: keys with values.
    pub targets: Vec<(String, Vec<String>)>,
    /// How many seconds it may wait for its instances.
    pub timeout_seconds: i32,
    /// When it was asked for.
    pub requested: Timestamp,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// How it goes, an instance each.
    pub invocations: Vec<Invocation>,
    /// Recorded: how many instances at once, how many errors.
    pub limits: (String, String),
}

/// A command on one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// The instance.
    pub instance_id: InstanceId,
    /// How far it is.
    pub status: InvocationStatus,
    /// The step's name, once it is known.
    pub plugin: String,
    /// The exit code, once it is known.
    pub code: Option<i32>,
    /// Standard output, at most 24,000 characters.
    pub standard_output: String,
    /// Standard error, at most 8,000 characters.
    pub standard_error: String,
    /// When it began, in ISO 8601 as the agent says.
    pub began: String,
    /// When it ended.
    pub ended: String,
}

/// How far a command on an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvocationStatus {
    /// The agent has not heard of it.
    Pending,
    /// The agent runs it.
    InProgress,
    /// It ended with exit code 0.
    Success,
    /// It ended otherwise.
    Failed,
    /// It took too long.
    TimedOut,
    /// It was cancelled, and the agent has not ended it yet.
    Cancelling,
    /// It was cancelled.
    Cancelled,
    /// The agent did not hear of it in time.
    DeliveryTimedOut,
}

impl InvocationStatus {
    /// AWS's word for `Status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::TimedOut | Self::DeliveryTimedOut => "TimedOut",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
        }
    }

    /// AWS's words for `StatusDetails`.
    pub fn details(self) -> &'static str {
        match self {
            Self::TimedOut => "Execution Timed Out",
            Self::DeliveryTimedOut => "Delivery Timed Out",
            other => other.name(),
        }
    }

    /// Whether nothing more will come.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress | Self::Cancelling)
    }
}
