//! Groups of users. Who belongs to one is kept with the users.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Group, Permissions, User};

use super::{
    Entity, Page, change, check_without_policies, listed, named, new_name, now, paged, path,
    rename, scope, unique_id, user, with_name,
};
use crate::call::{Answer, Call};

/// How many groups a user may be in.
const PER_USER: usize = 10;

/// A group as answers show it.
pub(crate) fn shown(call: &Call, group: &Group) -> iam::Group {
    iam::Group {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.id.clone()),
        arn: Some(group.arn(call.account())),
        create_date: Some(group.created),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreateGroupRequest,
) -> Answer<iam::CreateGroupResponse> {
    let group = Group {
        name: new_name::<Group>(call, tx, &r.group_name, "groupName")?,
        id: unique_id::<Group>(call),
        path: path(&r.path)?,
        permissions: Permissions::default(),
        created: now(call),
    };
    let group = tx.put(&scope(call), group);
    Ok(iam::CreateGroupResponse { group: Some(shown(call, &group)) })
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetGroupRequest,
) -> Answer<iam::GetGroupResponse> {
    let group = named::<Group>(call, records, &r.group_name)?;
    let users = records.users_in(&scope(call), &group.name);
    let Page { items, is_truncated, marker } =
        paged(users, r.max_items, &r.marker, |user| &user.name)?;
    let users = items.into_iter().map(|user| user::shown(call, user)).collect();
    Ok(iam::GetGroupResponse { group: Some(shown(call, &group)), users, is_truncated, marker })
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListGroupsRequest,
) -> Answer<iam::ListGroupsResponse> {
    let Page { items, is_truncated, marker } =
        listed::<Group>(call, records, &r.path_prefix, r.max_items, &r.marker)?;
    let groups = items.iter().map(|group| shown(call, group)).collect();
    Ok(iam::ListGroupsResponse { groups, is_truncated, marker })
}

pub(crate) fn of_user(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListGroupsForUserRequest,
) -> Answer<iam::ListGroupsForUserResponse> {
    let user = named::<User>(call, records, &r.user_name)?;
    let found = user.groups.iter().filter_map(|name| with_name::<Group>(call, records, name));
    let Page { items, is_truncated, marker } =
        paged(found.collect(), r.max_items, &r.marker, |group| &group.name)?;
    let groups = items.into_iter().map(|group| shown(call, group)).collect();
    Ok(iam::ListGroupsForUserResponse { groups, is_truncated, marker })
}

pub(crate) fn update(call: &Call, tx: &mut Transaction, r: &iam::UpdateGroupRequest) -> Answer<()> {
    let group = named::<Group>(call, tx, &r.group_name)?;
    let users: Vec<_> = tx.users_in(&scope(call), &group.name).into_iter().cloned().collect();
    let renamed = rename(
        call,
        tx,
        group.as_ref(),
        &r.new_group_name,
        &r.new_path,
        "newGroupName",
        |group, name, path| {
            group.name = name.unwrap_or_else(|| group.name.clone());
            group.path = path.unwrap_or_else(|| group.path.clone());
        },
    )?;
    for user in users {
        change(call, tx, user.as_ref(), |it| {
            it.groups.retain(|name| *name != group.name);
            it.groups.push(renamed.name.clone());
        });
    }
    Ok(())
}

pub(crate) fn delete(call: &Call, tx: &mut Transaction, r: &iam::DeleteGroupRequest) -> Answer<()> {
    let group = named::<Group>(call, tx, &r.group_name)?;
    if !tx.users_in(&scope(call), &group.name).is_empty() {
        return Err(ApiError::delete_conflict(
            "Cannot delete entity, must remove users from group first.",
        ));
    }
    check_without_policies(group.as_ref())?;
    tx.remove::<Group>(&scope(call), &group.name.to_ascii_lowercase());
    Ok(())
}

pub(crate) fn add_user(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::AddUserToGroupRequest,
) -> Answer<()> {
    let group = named::<Group>(call, tx, &r.group_name)?;
    let user = named::<User>(call, tx, &r.user_name)?;
    if user.groups.contains(&group.name) {
        return Ok(());
    }
    if user.groups.len() >= PER_USER {
        return Err(ApiError::exceeds_iam_quota("GroupsPerUser", PER_USER));
    }
    change(call, tx, user.as_ref(), |it| it.groups.push(group.name.clone()));
    Ok(())
}

pub(crate) fn remove_user(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::RemoveUserFromGroupRequest,
) -> Answer<()> {
    let group = named::<Group>(call, tx, &r.group_name)?;
    let user = named::<User>(call, tx, &r.user_name)?;
    change(call, tx, user.as_ref(), |it| it.groups.retain(|name| *name != group.name));
    Ok(())
}
