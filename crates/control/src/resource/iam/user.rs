//! Users.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Timestamp,
    record::{Permissions, User},
};

use super::{
    Entity, Page, boundary, check_without_policies, listed, named, new_name, now, path, rename,
    scope, tags, unique_id,
};
use crate::{
    call::{Answer, Call, given},
    iam::caller::Principal,
};

/// A user as lists show it.
pub(crate) fn shown(call: &Call, user: &User) -> iam::User {
    iam::User {
        path: Some(user.path.clone()),
        user_name: Some(user.name.clone()),
        user_id: Some(user.id.clone()),
        arn: Some(user.arn(call.account())),
        create_date: Some(user.created),
        ..Default::default()
    }
}

/// A user with what only answers about one show.
fn shown_whole(call: &Call, user: &User) -> iam::User {
    iam::User {
        permissions_boundary: boundary::shown(&user.permissions_boundary),
        tags: tags::shown(&user.tags),
        ..shown(call, user)
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreateUserRequest,
) -> Answer<iam::CreateUserResponse> {
    let user = User {
        name: new_name::<User>(call, tx, &r.user_name, "userName")?,
        id: unique_id::<User>(call),
        path: path(&r.path)?,
        permissions: Permissions::default(),
        permissions_boundary: boundary::on_creation(call, tx, &r.permissions_boundary)?,
        groups: Vec::new(),
        created: now(call),
        tags: tags::on_creation(&r.tags)?,
    };
    let user = tx.put(&scope(call), user);
    Ok(iam::CreateUserResponse { user: Some(shown_whole(call, &user)) })
}

/// Who calls, where no user is named.
fn caller(call: &Call) -> Answer<iam::User> {
    match &call.caller.principal {
        Principal::User(user) => Ok(shown_whole(call, user)),
        Principal::Root => Ok(iam::User {
            user_id: Some(call.caller.user_id()),
            arn: Some(call.caller.arn()),
            // When an account was opened is not known.
            create_date: Some(Timestamp::from_seconds(0)),
            ..Default::default()
        }),
        Principal::Role { .. } | Principal::Instance(_) | Principal::Federated { .. } => {
            Err(ApiError::validation_error(
                "Must specify userName when calling with non-User credentials",
            ))
        }
    }
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetUserRequest,
) -> Answer<iam::GetUserResponse> {
    let user = match given(&r.user_name) {
        Some(_) => shown_whole(call, named::<User>(call, records, &r.user_name)?.as_ref()),
        None => caller(call)?,
    };
    Ok(iam::GetUserResponse { user: Some(user) })
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListUsersRequest,
) -> Answer<iam::ListUsersResponse> {
    let Page { items, is_truncated, marker } =
        listed::<User>(call, records, &r.path_prefix, r.max_items, &r.marker)?;
    let users = items.iter().map(|user| shown(call, user)).collect();
    Ok(iam::ListUsersResponse { users, is_truncated, marker })
}

pub(crate) fn update(call: &Call, tx: &mut Transaction, r: &iam::UpdateUserRequest) -> Answer<()> {
    let user = named::<User>(call, tx, &r.user_name)?;
    let keys: Vec<_> = tx.access_keys_of(&scope(call), &user.name).into_iter().cloned().collect();
    let renamed = rename(
        call,
        tx,
        user.as_ref(),
        &r.new_user_name,
        &r.new_path,
        "newUserName",
        |user, name, path| {
            user.name = name.unwrap_or_else(|| user.name.clone());
            user.path = path.unwrap_or_else(|| user.path.clone());
        },
    )?;
    for key in keys {
        let mut key = (*key).clone();
        key.user.clone_from(&renamed.name);
        tx.put(&scope(call), key);
    }
    Ok(())
}

pub(crate) fn delete(call: &Call, tx: &mut Transaction, r: &iam::DeleteUserRequest) -> Answer<()> {
    let user = named::<User>(call, tx, &r.user_name)?;
    if !user.groups.is_empty() {
        return Err(ApiError::delete_conflict(
            "Cannot delete entity, must remove user from groups first.",
        ));
    }
    check_without_policies(user.as_ref())?;
    if !tx.access_keys_of(&scope(call), &user.name).is_empty() {
        return Err(ApiError::delete_conflict(
            "Cannot delete entity, must delete access keys first.",
        ));
    }
    tx.remove::<User>(&scope(call), &user.name.to_ascii_lowercase());
    Ok(())
}
