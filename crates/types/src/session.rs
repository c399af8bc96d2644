//! Sessions and commands of Systems Manager: the words between `control`, which keeps their records,
//! and the message gateway, which has the channels.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::InstanceId;

/// The id of a session: the caller's name, a hyphen, and hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// The longest that AWS's model allows.
    const LONGEST: usize = 96;

    /// The id in a text, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.@+=,-".contains(c);
        let fits = (1..=Self::LONGEST).contains(&text.len());
        (fits && text.chars().all(legal)).then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a session may go on, where its preferences say (SSM-11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without data.
    pub idle: Option<Duration>,
    /// In all.
    pub longest: Option<Duration>,
}

/// Something that happened at the message gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayEvent {
    /// The agent of an instance has connected, maybe anew.
    AgentConnected(InstanceId),
    /// Client and agent of a session are both there.
    SessionConnected(SessionId),
    /// A session is over.
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why, where it did not end by itself.
        reason: String,
    },
    /// How a command goes on an instance, as its agent says.
    CommandReply {
        /// The job that the agent was given.
        job: String,
        /// The instance.
        instance: InstanceId,
        /// AWS's `SendReplyPayload`, JSON.
        content: String,
    },
}
