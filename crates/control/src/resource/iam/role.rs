//! Roles.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Permissions, Role};

use super::{
    Entity, Page, Permitted, boundary, change, check_without_policies, document, escaped, listed,
    named, new_name, now, path, scope, tags, unique_id,
};
use crate::{
    call::{Answer, Call, given},
    iam::policy,
};

/// How long a session may be when nobody says, in seconds.
const SESSION: i32 = 3600;
/// How many characters a trust policy may have.
const TRUST_SIZE: usize = 2048;

/// A role as a new one is shown, and one in an instance profile.
pub(crate) fn shown_short(call: &Call, role: &Role) -> iam::Role {
    iam::Role {
        path: Some(role.path.clone()),
        role_name: Some(role.name.clone()),
        role_id: Some(role.id.clone()),
        arn: Some(role.arn(call.account())),
        create_date: Some(role.created),
        assume_role_policy_document: Some(escaped(&role.assume_role_policy)),
        ..Default::default()
    }
}

/// A role as lists show it.
fn shown(call: &Call, role: &Role) -> iam::Role {
    iam::Role {
        description: role.description.clone(),
        max_session_duration: Some(role.max_session_duration),
        ..shown_short(call, role)
    }
}

/// When a role was last used; an empty answer is that it never was.
pub(crate) fn last_used(role: &Role) -> iam::RoleLastUsed {
    let (date, region) = role.last_used.clone().unzip();
    iam::RoleLastUsed { last_used_date: date, region: region.map(|it| it.to_string()) }
}

/// A role with what only answers about one show.
fn shown_whole(call: &Call, role: &Role) -> iam::Role {
    iam::Role {
        permissions_boundary: boundary::shown(&role.permissions_boundary),
        tags: tags::shown(&role.tags),
        role_last_used: Some(last_used(role)),
        ..shown(call, role)
    }
}

fn trust(document: &Option<String>) -> Answer<String> {
    let text = document.clone().unwrap_or_default();
    policy::parse_trust(&text)?;
    match document::size(&text) > TRUST_SIZE {
        true => Err(ApiError::exceeds_iam_quota("ACLSizePerRole", TRUST_SIZE)),
        false => Ok(text),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreateRoleRequest,
) -> Answer<iam::CreateRoleResponse> {
    let role = Role {
        name: new_name::<Role>(call, tx, &r.role_name, "roleName")?,
        id: unique_id::<Role>(call),
        path: path(&r.path)?,
        description: given(&r.description).map(str::to_owned),
        assume_role_policy: trust(&r.assume_role_policy_document)?,
        max_session_duration: r.max_session_duration.unwrap_or(SESSION),
        permissions: Permissions::default(),
        permissions_boundary: boundary::on_creation(call, tx, &r.permissions_boundary)?,
        last_used: None,
        created: now(call),
        tags: tags::on_creation(&r.tags)?,
    };
    let role = tx.put(&scope(call), role);
    let role = iam::Role {
        permissions_boundary: boundary::shown(&role.permissions_boundary),
        tags: tags::shown(&role.tags),
        ..shown_short(call, &role)
    };
    Ok(iam::CreateRoleResponse { role: Some(role) })
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetRoleRequest,
) -> Answer<iam::GetRoleResponse> {
    let role = named::<Role>(call, records, &r.role_name)?;
    Ok(iam::GetRoleResponse { role: Some(shown_whole(call, &role)) })
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListRolesRequest,
) -> Answer<iam::ListRolesResponse> {
    let Page { items, is_truncated, marker } =
        listed::<Role>(call, records, &r.path_prefix, r.max_items, &r.marker)?;
    let roles = items.iter().map(|role| shown(call, role)).collect();
    Ok(iam::ListRolesResponse { roles, is_truncated, marker })
}

pub(crate) fn update(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::UpdateRoleRequest,
) -> Answer<iam::UpdateRoleResponse> {
    let role = named::<Role>(call, tx, &r.role_name)?;
    role.check_modifiable()?;
    change(call, tx, role.as_ref(), |it| {
        // What is not said goes back to what it is by itself.
        it.description = given(&r.description).map(str::to_owned);
        it.max_session_duration = r.max_session_duration.unwrap_or(SESSION);
    });
    Ok(iam::UpdateRoleResponse {})
}

pub(crate) fn update_description(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::UpdateRoleDescriptionRequest,
) -> Answer<iam::UpdateRoleDescriptionResponse> {
    let role = named::<Role>(call, tx, &r.role_name)?;
    let role = change(call, tx, role.as_ref(), |it| {
        it.description = given(&r.description).map(str::to_owned);
    });
    Ok(iam::UpdateRoleDescriptionResponse { role: Some(shown(call, &role)) })
}

pub(crate) fn update_trust(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::UpdateAssumeRolePolicyRequest,
) -> Answer<()> {
    let role = named::<Role>(call, tx, &r.role_name)?;
    role.check_modifiable()?;
    let trust = trust(&r.policy_document)?;
    change(call, tx, role.as_ref(), |it| it.assume_role_policy = trust);
    Ok(())
}

pub(crate) fn delete(call: &Call, tx: &mut Transaction, r: &iam::DeleteRoleRequest) -> Answer<()> {
    let role = named::<Role>(call, tx, &r.role_name)?;
    role.check_modifiable()?;
    if !tx.profiles_with(&scope(call), &role.name).is_empty() {
        return Err(ApiError::delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    check_without_policies(role.as_ref())?;
    tx.remove::<Role>(&scope(call), &role.name.to_ascii_lowercase());
    Ok(())
}
