//! Credentials: how they are made, and the sessions that are issued to roles.
//!
//! A session is a record like any other, so what it may do is decided where all calls are, and it
//! ends by itself: after [`SessionCredential::expires`] it is nobody's.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_store::Transaction;
use gureum_types::{
    AccountId, Tags, Timestamp,
    record::{Scope, SessionCredential, SessionPrincipal},
};
use sha2::{Digest as _, Sha256};

use crate::call::Call;

/// What ids are made of.
const CHARACTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// An access key id's account (40 bits) and what makes it unique; the rest shows that it is ours.
const ACCOUNT_CHARACTERS: usize = 8;
const RANDOM_CHARACTERS: usize = 5;
/// How our session tokens begin.
const TOKEN_MARK: &[u8; 6] = b"\x21\x0a\x0bgur";

/// Random characters as ids of IAM and STS have them.
pub(crate) fn characters(call: &Call, count: usize) -> String {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        spell(&mut text, call.random(), count);
    }
    text
}

/// Adds twelve characters of 64 bits, or as many as are left to `count`.
pub(crate) fn spell(text: &mut String, bits: u64, count: usize) {
    for place in 0..12 {
        if text.len() < count {
            text.push(character(bits >> (5 * place)));
        }
    }
}

/// A new access key id: `AKIA…` of a user, `ASIA…` of a session. It tells its account, as AWS's do,
/// and that it is ours ([`issuer`]).
pub(crate) fn access_key_id(call: &Call, prefix: &str) -> String {
    let account = call.account().as_str().parse::<u64>().unwrap_or_default();
    let mut id = prefix.to_owned();
    for place in (0..ACCOUNT_CHARACTERS).rev() {
        id.push(character(account >> (5 * place)));
    }
    id.push_str(&characters(call, RANDOM_CHARACTERS));
    let check = check_characters(&id);
    id + &check
}

/// The account that an access key id was issued in, if it was issued here: also when the key is no
/// more. Somebody else's looks like one of ours once in thirty thousand.
pub(crate) fn issuer(access_key_id: &str) -> Option<AccountId> {
    let tail = access_key_id.strip_prefix("AKIA").or_else(|| access_key_id.strip_prefix("ASIA"))?;
    let (body, check) =
        access_key_id.split_at_checked(4 + ACCOUNT_CHARACTERS + RANDOM_CHARACTERS)?;
    if check != check_characters(body) {
        return None;
    }
    let mut account = 0_u64;
    for byte in tail.bytes().take(ACCOUNT_CHARACTERS) {
        let place = CHARACTERS.iter().position(|it| *it == byte)?;
        account = account << 5 | u64::try_from(place).ok()?;
    }
    AccountId::parse(&format!("{account:012}"))
}

fn character(bits: u64) -> char {
    char::from(CHARACTERS[bits as usize % CHARACTERS.len()])
}

fn check_characters(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(3).map(|byte| character(u64::from(*byte))).collect()
}

/// A new secret: 40 characters.
pub(crate) fn secret(call: &Call) -> String {
    STANDARD.encode(bytes(call, 30))
}

/// A new session token, about as long as AWS's.
fn token(call: &Call) -> String {
    STANDARD.encode([TOKEN_MARK.to_vec(), bytes(call, 264)].concat())
}

/// Whether a session token was issued here: also when it is long over.
pub(crate) fn is_own_token(token: &str) -> bool {
    token.starts_with(&STANDARD.encode(TOKEN_MARK))
}

fn bytes(call: &Call, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend_from_slice(&call.random().to_be_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// A session that shall be.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Whose it is.
    pub(crate) principal: SessionPrincipal,
    /// Documents that bound it.
    pub(crate) policies: Vec<String>,
    /// Its tags.
    pub(crate) tags: Tags,
    /// How long it is, in seconds.
    pub(crate) duration: i64,
}

/// Issues credentials of a session in the caller's account.
pub(crate) fn issue(call: &Call, tx: &mut Transaction, session: Session) -> Arc<SessionCredential> {
    let issued = Timestamp::from_seconds(call.now.seconds());
    let scope = Scope::global(call.account().clone());
    let mut id = access_key_id(call, "ASIA");
    while tx.find::<SessionCredential>(&scope, &id).is_some() {
        id = access_key_id(call, "ASIA");
    }
    let credential = SessionCredential {
        access_key_id: id,
        secret: secret(call),
        token: token(call),
        principal: session.principal,
        policies: session.policies,
        tags: session.tags,
        issued,
        expires: Timestamp::from_seconds(issued.seconds().saturating_add(session.duration)),
    };
    tx.put(&scope, credential)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::place::fixture::Cloud;

    #[test]
    fn an_access_key_id_tells_its_account() {
        let cloud = Cloud::new();
        for account in ["123456789012", "000000000042", "999999999999"] {
            let call = cloud.of_account(account);
            let id = access_key_id(&call, "AKIA");
            assert_eq!(id.len(), 20);
            assert_eq!(issuer(&id).expect("ours").as_str(), account);
            assert_ne!(id, access_key_id(&call, "AKIA"));
        }
        let foreign =
            ["AKIAIOSFODNN7EXAMPLE", "AKIAGUREUMLOCALONLY0", "123456789012", "AKIA", "한"];
        assert!(foreign.into_iter().all(|it| issuer(it).is_none()));
        assert_eq!(secret(&cloud.call).len(), 40);
        assert!(is_own_token(&token(&cloud.call)));
    }
}
