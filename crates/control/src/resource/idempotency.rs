//! Client tokens (API-4): the same call again gives the first answer, another call an error.

use std::fmt::Debug;

use gureum_api::ApiError;
use gureum_store::Transaction;
use gureum_types::record::ClientToken;
use sha2::{Digest as _, Sha256};

use crate::call::{Answer, Call, given};

/// How long a token is remembered: as long as AWS promises, a day.
pub(crate) const REMEMBERED_MS: i64 = 24 * 3600 * 1000;

/// Runs `make` unless its client token was used before: then `again` answers from what the first
/// call made. `make` gives the ids of what it made with its answer.
pub(crate) fn once<R: Debug, T>(
    call: &Call,
    tx: &mut Transaction,
    operation: &str,
    token: &Option<String>,
    request: &R,
    make: impl FnOnce(&mut Transaction) -> Answer<(Vec<String>, T)>,
    again: impl FnOnce(&mut Transaction, &[String]) -> Answer<Option<T>>,
) -> Answer<T> {
    let Some(token) = given(token) else { return make(tx).map(|(_, answer)| answer) };
    if token.len() > 64 || !token.is_ascii() {
        return Err(ApiError::invalid_parameter_value(format!(
            "Client token '{token}' is invalid: it may have at most 64 ASCII characters."
        )));
    }
    let digest = Sha256::digest(format!("{request:?}"));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{operation}/{token}");
    let known = tx.find::<ClientToken>(&call.scope, &id).cloned();
    if let Some(known) = known.filter(|it| call.now.0 - it.created.0 < REMEMBERED_MS) {
        if known.request_digest != digest {
            return Err(ApiError::idempotent_parameter_mismatch());
        }
        return again(tx, &known.made)?.ok_or_else(ApiError::idempotent_parameter_mismatch);
    }
    let (made, answer) = make(tx)?;
    tx.put(
        &call.scope,
        ClientToken {
            token: token.to_owned(),
            operation: operation.to_owned(),
            request_digest: digest,
            made,
            created: call.now,
        },
    );
    Ok(answer)
}
