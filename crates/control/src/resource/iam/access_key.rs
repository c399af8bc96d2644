//! Access keys of users. A secret is answered once, when its key is made.

use std::sync::Arc;

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{AccessKey, User};

use super::{Page, named, now, paged, scope};
use crate::{
    call::{Answer, Call, given},
    credential,
};

/// How many keys a user may have.
const PER_USER: usize = 2;

fn status(key: &AccessKey) -> String {
    if key.active { "Active" } else { "Inactive" }.to_owned()
}

/// The user that a request means. One that names none means who calls; the root user has no keys
/// here.
fn user(call: &Call, records: &Snapshot, name: &Option<String>) -> Answer<Arc<User>> {
    match (given(name), call.caller.user()) {
        (Some(_), _) => named::<User>(call, records, name),
        (None, Some(user)) => Ok(user.clone()),
        (None, None) => Err(ApiError::validation_error(
            "Must specify userName when calling with non-User credentials",
        )),
    }
}

/// A key of a user.
fn key(
    call: &Call,
    records: &Snapshot,
    user: &User,
    id: &Option<String>,
) -> Answer<Arc<AccessKey>> {
    let id = id.as_deref().unwrap_or_default();
    let found = records.find::<AccessKey>(&scope(call), id).filter(|key| key.user == user.name);
    found.cloned().ok_or_else(|| missing(id))
}

fn missing(id: &str) -> ApiError {
    ApiError::no_such_entity(format!("The Access Key with id {id} cannot be found."))
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreateAccessKeyRequest,
) -> Answer<iam::CreateAccessKeyResponse> {
    let user = user(call, tx, &r.user_name)?;
    if tx.access_keys_of(&scope(call), &user.name).len() >= PER_USER {
        return Err(ApiError::exceeds_iam_quota("AccessKeysPerUser", PER_USER));
    }
    let key = AccessKey {
        id: credential::access_key_id(call, "AKIA"),
        secret: credential::secret(call),
        user: user.name.clone(),
        active: true,
        last_used: None,
        created: now(call),
    };
    let key = tx.put(&scope(call), key);
    let access_key = iam::AccessKey {
        user_name: Some(key.user.clone()),
        access_key_id: Some(key.id.clone()),
        status: Some(status(&key)),
        secret_access_key: Some(key.secret.clone()),
        create_date: Some(key.created),
    };
    Ok(iam::CreateAccessKeyResponse { access_key: Some(access_key) })
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListAccessKeysRequest,
) -> Answer<iam::ListAccessKeysResponse> {
    let user = user(call, records, &r.user_name)?;
    let keys = records.access_keys_of(&scope(call), &user.name);
    let Page { items, is_truncated, marker } = paged(keys, r.max_items, &r.marker, |it| &it.id)?;
    let shown = |key: &AccessKey| iam::AccessKeyMetadata {
        user_name: Some(key.user.clone()),
        access_key_id: Some(key.id.clone()),
        status: Some(status(key)),
        create_date: Some(key.created),
    };
    let access_key_metadata = items.into_iter().map(|key| shown(key)).collect();
    Ok(iam::ListAccessKeysResponse { access_key_metadata, is_truncated, marker })
}

pub(crate) fn update(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::UpdateAccessKeyRequest,
) -> Answer<()> {
    let user = user(call, tx, &r.user_name)?;
    let key = key(call, tx, &user, &r.access_key_id)?;
    let active = match r.status.as_deref().unwrap_or_default() {
        "Active" => true,
        "Inactive" => false,
        other => {
            let message = format!("The status of an access key cannot be set to {other}.");
            return Err(ApiError::invalid_input(message));
        }
    };
    tx.update::<AccessKey>(&scope(call), &key.id, |key| key.active = active);
    Ok(())
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeleteAccessKeyRequest,
) -> Answer<()> {
    let user = user(call, tx, &r.user_name)?;
    let key = key(call, tx, &user, &r.access_key_id)?;
    tx.remove::<AccessKey>(&scope(call), &key.id);
    Ok(())
}

pub(crate) fn last_used(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetAccessKeyLastUsedRequest,
) -> Answer<iam::GetAccessKeyLastUsedResponse> {
    let id = r.access_key_id.as_deref().unwrap_or_default();
    let key = records.find::<AccessKey>(&scope(call), id).ok_or_else(|| missing(id))?;
    let (date, region, service) = match &key.last_used {
        Some((date, region, service)) => (Some(*date), region.to_string(), service.clone()),
        None => (None, "N/A".to_owned(), "N/A".to_owned()),
    };
    let used = iam::AccessKeyLastUsed {
        last_used_date: date,
        service_name: Some(service),
        region: Some(region),
    };
    Ok(iam::GetAccessKeyLastUsedResponse {
        user_name: Some(key.user.clone()),
        access_key_last_used: Some(used),
    })
}
