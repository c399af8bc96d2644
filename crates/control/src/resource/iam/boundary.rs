//! Permissions boundaries of users and roles: managed policies that bound what others allow.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Role, User};

use super::{Permitted, change, managed_policy, named};
use crate::call::{Answer, Call, given};

/// The boundary that a request gives to a new entity.
pub(crate) fn on_creation(
    call: &Call,
    records: &Snapshot,
    arn: &Option<String>,
) -> Answer<Option<String>> {
    let Some(arn) = given(arn) else { return Ok(None) };
    managed_policy::check_arn(arn)?;
    match managed_policy::find(call, records, arn) {
        Ok(_) => Ok(Some(arn.to_owned())),
        Err(_) => Err(ApiError::no_such_entity(format!(
            "Scope ARN: {arn} does not exist or is not attachable."
        ))),
    }
}

/// A boundary as answers show it.
pub(crate) fn shown(arn: &Option<String>) -> Option<iam::AttachedPermissionsBoundary> {
    arn.as_ref().map(|arn| iam::AttachedPermissionsBoundary {
        permissions_boundary_type: Some("Policy".into()),
        permissions_boundary_arn: Some(arn.clone()),
    })
}

pub(crate) fn put_on_role(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::PutRolePermissionsBoundaryRequest,
) -> Answer<()> {
    let role = named::<Role>(call, tx, &r.role_name)?;
    role.check_modifiable()?;
    let boundary = on_creation(call, tx, &r.permissions_boundary)?;
    change(call, tx, role.as_ref(), |it| it.permissions_boundary = boundary);
    Ok(())
}

pub(crate) fn put_on_user(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::PutUserPermissionsBoundaryRequest,
) -> Answer<()> {
    let user = named::<User>(call, tx, &r.user_name)?;
    let boundary = on_creation(call, tx, &r.permissions_boundary)?;
    change(call, tx, user.as_ref(), |it| it.permissions_boundary = boundary);
    Ok(())
}

fn none(kind: &str, name: &str) -> ApiError {
    ApiError::no_such_entity(format!("{kind} {name} does not have a permissions boundary."))
}

pub(crate) fn delete_of_role(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeleteRolePermissionsBoundaryRequest,
) -> Answer<()> {
    let role = named::<Role>(call, tx, &r.role_name)?;
    role.check_modifiable()?;
    if role.permissions_boundary.is_none() {
        return Err(none("Role", &role.name));
    }
    change(call, tx, role.as_ref(), |it| it.permissions_boundary = None);
    Ok(())
}

pub(crate) fn delete_of_user(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeleteUserPermissionsBoundaryRequest,
) -> Answer<()> {
    let user = named::<User>(call, tx, &r.user_name)?;
    if user.permissions_boundary.is_none() {
        return Err(none("User", &user.name));
    }
    change(call, tx, user.as_ref(), |it| it.permissions_boundary = None);
    Ok(())
}
