//! Tokens: what lets a websocket become a channel, once.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use gureum_types::{InstanceId, session::SessionId};

/// How long a token waits to be used.
pub(super) const LIFE: Duration = Duration::from_secs(180);
/// How many tokens may wait at once. An agent that asks for more and more pushes out the oldest.
const MOST: usize = 16_384;

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// The control channel of an instance.
    Control(InstanceId),
    /// A session's data channel.
    Data(SessionId, Role),
}

/// The two ends of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Agent,
}

impl Role {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Agent,
            Self::Agent => Self::Client,
        }
    }
}

/// The tokens that wait to be used.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    waiting: HashMap<String, (Grant, Instant)>,
}

impl Tokens {
    /// A new token.
    pub(super) fn issue(&mut self, grant: Grant, now: Instant) -> String {
        if self.waiting.len() >= MOST {
            self.waiting.retain(|_, (_, issued)| now.saturating_duration_since(*issued) < LIFE);
            let oldest = self.waiting.iter().min_by_key(|(_, (_, issued))| *issued);
            if let Some(oldest) = oldest.map(|(token, _)| token.clone())
                && self.waiting.len() >= MOST
            {
                self.waiting.remove(&oldest);
            }
        }
        let token = BASE64_STANDARD.encode(rand::random::<[u8; 48]>());
        self.waiting.insert(token.clone(), (grant, now));
        token
    }

    /// What a token is for; afterwards it is good for nothing.
    pub(super) fn redeem(&mut self, token: &str, now: Instant) -> Option<Grant> {
        let (grant, issued) = self.waiting.remove(token)?;
        (now.saturating_duration_since(issued) < LIFE).then_some(grant)
    }

    /// Takes back what was given out for a session.
    pub(super) fn revoke(&mut self, session: &SessionId) {
        self.waiting.retain(|_, (grant, _)| !matches!(grant, Grant::Data(id, _) if id == session));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant::Data(SessionId::parse("me-0123").expect("an id"), Role::Client)
    }

    #[test]
    fn a_token_is_good_once_and_for_a_while() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        let token = tokens.issue(grant(), now);
        assert_ne!(token, tokens.issue(grant(), now));
        assert_eq!(tokens.redeem(&token, now), Some(grant()));
        assert_eq!(tokens.redeem(&token, now), None);
        let late = tokens.issue(grant(), now);
        assert_eq!(tokens.redeem(&late, now + LIFE), None);
        let revoked = tokens.issue(grant(), now);
        tokens.revoke(&SessionId::parse("me-0123").expect("an id"));
        assert_eq!(tokens.redeem(&revoked, now), None);
    }

    #[test]
    fn tokens_are_bounded() {
        let (mut tokens, now) = (Tokens::default(), Instant::now());
        for second in 0..MOST + 10 {
            tokens.issue(grant(), now + Duration::from_micros(second as u64));
        }
        assert_eq!(tokens.waiting.len(), MOST);
    }
}
