//! Instance profiles: what gives a role to instances.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{InstanceProfile, Role};

use super::{
    Entity, Page, Permitted, change, listed, named, new_name, now, paged, path, role, scope, tags,
    unique_id, with_name,
};
use crate::call::{Answer, Call};

/// An instance profile with its role, as lists show it.
pub(crate) fn shown(
    call: &Call,
    records: &Snapshot,
    profile: &InstanceProfile,
) -> iam::InstanceProfile {
    let role = profile.role.as_ref().and_then(|name| with_name::<Role>(call, records, name));
    iam::InstanceProfile {
        path: Some(profile.path.clone()),
        instance_profile_name: Some(profile.name.clone()),
        instance_profile_id: Some(profile.id.clone()),
        arn: Some(profile.arn(call.account())),
        create_date: Some(profile.created),
        roles: role.into_iter().map(|role| role::shown_short(call, role)).collect(),
        tags: Vec::new(),
    }
}

fn shown_whole(call: &Call, records: &Snapshot, profile: &InstanceProfile) -> iam::InstanceProfile {
    iam::InstanceProfile { tags: tags::shown(&profile.tags), ..shown(call, records, profile) }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreateInstanceProfileRequest,
) -> Answer<iam::CreateInstanceProfileResponse> {
    let name = &r.instance_profile_name;
    let profile = InstanceProfile {
        name: new_name::<InstanceProfile>(call, tx, name, "instanceProfileName")?,
        id: unique_id::<InstanceProfile>(call),
        path: path(&r.path)?,
        role: None,
        created: now(call),
        tags: tags::on_creation(&r.tags)?,
    };
    let profile = tx.put(&scope(call), profile);
    let instance_profile = Some(shown_whole(call, tx, &profile));
    Ok(iam::CreateInstanceProfileResponse { instance_profile })
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetInstanceProfileRequest,
) -> Answer<iam::GetInstanceProfileResponse> {
    let profile = named::<InstanceProfile>(call, records, &r.instance_profile_name)?;
    let instance_profile = Some(shown_whole(call, records, &profile));
    Ok(iam::GetInstanceProfileResponse { instance_profile })
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListInstanceProfilesRequest,
) -> Answer<iam::ListInstanceProfilesResponse> {
    let Page { items, is_truncated, marker } =
        listed::<InstanceProfile>(call, records, &r.path_prefix, r.max_items, &r.marker)?;
    let instance_profiles = items.iter().map(|it| shown(call, records, it)).collect();
    Ok(iam::ListInstanceProfilesResponse { instance_profiles, is_truncated, marker })
}

pub(crate) fn of_role(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListInstanceProfilesForRoleRequest,
) -> Answer<iam::ListInstanceProfilesForRoleResponse> {
    let role = named::<Role>(call, records, &r.role_name)?;
    let found = records.profiles_with(&scope(call), &role.name);
    let Page { items, is_truncated, marker } = paged(found, r.max_items, &r.marker, |it| &it.name)?;
    let instance_profiles = items.into_iter().map(|it| shown(call, records, it)).collect();
    Ok(iam::ListInstanceProfilesForRoleResponse { instance_profiles, is_truncated, marker })
}

/// A profile that an instance has may be deleted: the instance has none then but in name.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeleteInstanceProfileRequest,
) -> Answer<()> {
    let profile = named::<InstanceProfile>(call, tx, &r.instance_profile_name)?;
    if profile.role.is_some() {
        return Err(ApiError::delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    tx.remove::<InstanceProfile>(&scope(call), &profile.name.to_ascii_lowercase());
    Ok(())
}

pub(crate) fn add_role(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::AddRoleToInstanceProfileRequest,
) -> Answer<()> {
    let profile = named::<InstanceProfile>(call, tx, &r.instance_profile_name)?;
    let role = named::<Role>(call, tx, &r.role_name)?;
    role.check_modifiable()?;
    if profile.role.is_some() {
        return Err(ApiError::exceeds_iam_quota("InstanceSessionsPerInstanceProfile", 1));
    }
    change(call, tx, profile.as_ref(), |it| it.role = Some(role.name.clone()));
    Ok(())
}

pub(crate) fn remove_role(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::RemoveRoleFromInstanceProfileRequest,
) -> Answer<()> {
    let profile = named::<InstanceProfile>(call, tx, &r.instance_profile_name)?;
    let role = named::<Role>(call, tx, &r.role_name)?;
    if profile.role.as_ref() != Some(&role.name) {
        return Err(ApiError::no_such_entity(Role::missing(&role.name)));
    }
    change(call, tx, profile.as_ref(), |it| it.role = None);
    Ok(())
}
