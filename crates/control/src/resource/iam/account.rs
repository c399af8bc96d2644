//! What is asked of the account as a whole: its alias, what is in it.

use std::collections::BTreeMap;

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{
    AccountAlias, Group, InstanceProfile, ManagedPolicy, Permissions, Role, User,
};

use super::{
    Entity, Page, attachment, boundary, escaped, instance_profile, managed_policy,
    managed_policy::Policy, paged, role, scope, tags,
};
use crate::{
    call::{Answer, Call},
    catalogue::aws_managed_policies,
};

fn check_alias(alias: &str) -> Answer<()> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edges = alias.starts_with('-') || alias.ends_with('-') || alias.contains("--");
    match alias.bytes().all(allowed) && !edges {
        true => Ok(()),
        false => Err(ApiError::validation_error(format!(
            "1 validation error detected: Value '{alias}' at 'accountAlias' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: \
             [a-z0-9]([a-z0-9]|-(?!-)){{1,61}}[a-z0-9]"
        ))),
    }
}

/// An account has one alias: a new one takes the place of the former.
pub(crate) fn create_alias(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreateAccountAliasRequest,
) -> Answer<()> {
    let alias = r.account_alias.clone().unwrap_or_default();
    check_alias(&alias)?;
    if tx.everywhere::<AccountAlias>().any(|(_, known)| known.alias == alias) {
        let message = format!("The account alias {alias} already exists.");
        return Err(ApiError::entity_already_exists(message));
    }
    let scope = scope(call);
    let former: Vec<_> = tx.all::<AccountAlias>(&scope).map(|it| it.alias.clone()).collect();
    for alias in former {
        tx.remove::<AccountAlias>(&scope, &alias);
    }
    tx.put(&scope, AccountAlias { alias });
    Ok(())
}

pub(crate) fn delete_alias(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeleteAccountAliasRequest,
) -> Answer<()> {
    let alias = r.account_alias.as_deref().unwrap_or_default();
    match tx.remove::<AccountAlias>(&scope(call), alias) {
        Some(_) => Ok(()),
        None => {
            Err(ApiError::no_such_entity(format!("The account alias {alias} cannot be found.")))
        }
    }
}

pub(crate) fn list_aliases(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListAccountAliasesRequest,
) -> Answer<iam::ListAccountAliasesResponse> {
    let found = records.all::<AccountAlias>(&scope(call)).map(|it| it.alias.clone()).collect();
    let Page { items, is_truncated, marker } = paged(found, r.max_items, &r.marker, |it| it)?;
    Ok(iam::ListAccountAliasesResponse { account_aliases: items, is_truncated, marker })
}

pub(crate) fn summary(
    call: &Call,
    records: &Snapshot,
    (): &(),
) -> Answer<iam::GetAccountSummaryResponse> {
    let scope = scope(call);
    let versions = records.all::<ManagedPolicy>(&scope).map(|it| it.versions.len()).sum();
    let counts = [
        ("AccessKeysPerUserQuota", 2),
        ("AccountAccessKeysPresent", 0),
        ("AccountMFAEnabled", 0),
        ("AccountPasswordPresent", 1),
        ("AccountSigningCertificatesPresent", 0),
        ("AssumeRolePolicySizeQuota", 2048),
        ("AttachedPoliciesPerGroupQuota", 10),
        ("AttachedPoliciesPerRoleQuota", 10),
        ("AttachedPoliciesPerUserQuota", 10),
        ("GlobalEndpointTokenVersion", 1),
        ("GroupPolicySizeQuota", 5120),
        ("Groups", records.all::<Group>(&scope).count()),
        ("GroupsPerUserQuota", 10),
        ("GroupsQuota", Group::QUOTA.1),
        ("InstanceProfiles", records.all::<InstanceProfile>(&scope).count()),
        ("InstanceProfilesQuota", InstanceProfile::QUOTA.1),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("Policies", records.all::<ManagedPolicy>(&scope).count()),
        ("PoliciesQuota", ManagedPolicy::QUOTA.1),
        ("PolicySizeQuota", 6144),
        ("PolicyVersionsInUse", versions),
        ("PolicyVersionsInUseQuota", 10000),
        ("Providers", 0),
        ("RolePolicySizeQuota", 10240),
        ("Roles", records.all::<Role>(&scope).count()),
        ("RolesQuota", Role::QUOTA.1),
        ("ServerCertificates", 0),
        ("ServerCertificatesQuota", 20),
        ("SigningCertificatesPerUserQuota", 2),
        ("UserPolicySizeQuota", 2048),
        ("Users", records.all::<User>(&scope).count()),
        ("UsersQuota", User::QUOTA.1),
        ("VersionsPerPolicyQuota", 5),
    ];
    let summary_map: BTreeMap<_, _> = counts
        .into_iter()
        .map(|(key, count)| (key.to_owned(), i32::try_from(count).unwrap_or(i32::MAX)))
        .collect();
    Ok(iam::GetAccountSummaryResponse { summary_map })
}

/// One entity of the details.
enum Detail {
    User(iam::UserDetail),
    Group(iam::GroupDetail),
    Role(iam::RoleDetail),
    Policy(iam::ManagedPolicyDetail),
}

fn inline(permissions: &Permissions) -> Vec<iam::PolicyDetail> {
    let policies = permissions.inline.iter();
    policies
        .map(|(name, text)| iam::PolicyDetail {
            policy_name: Some(name.clone()),
            policy_document: Some(escaped(text)),
        })
        .collect()
}

fn user_detail(call: &Call, user: &User) -> iam::UserDetail {
    iam::UserDetail {
        path: Some(user.path.clone()),
        user_name: Some(user.name.clone()),
        user_id: Some(user.id.clone()),
        arn: Some(user.arn(call.account())),
        create_date: Some(user.created),
        user_policy_list: inline(&user.permissions),
        group_list: user.groups.clone(),
        attached_managed_policies: attachment::shown(user),
        permissions_boundary: boundary::shown(&user.permissions_boundary),
        tags: tags::shown(&user.tags),
    }
}

fn group_detail(call: &Call, group: &Group) -> iam::GroupDetail {
    iam::GroupDetail {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.id.clone()),
        arn: Some(group.arn(call.account())),
        create_date: Some(group.created),
        group_policy_list: inline(&group.permissions),
        attached_managed_policies: attachment::shown(group),
    }
}

fn role_detail(call: &Call, records: &Snapshot, role: &Role) -> iam::RoleDetail {
    let profiles = records.profiles_with(&scope(call), &role.name);
    iam::RoleDetail {
        path: Some(role.path.clone()),
        role_name: Some(role.name.clone()),
        role_id: Some(role.id.clone()),
        arn: Some(role.arn(call.account())),
        create_date: Some(role.created),
        assume_role_policy_document: Some(escaped(&role.assume_role_policy)),
        instance_profile_list: profiles
            .into_iter()
            .map(|it| instance_profile::shown(call, records, it))
            .collect(),
        role_policy_list: inline(&role.permissions),
        attached_managed_policies: attachment::shown(role),
        permissions_boundary: boundary::shown(&role.permissions_boundary),
        tags: tags::shown(&role.tags),
        role_last_used: Some(role::last_used(role)),
    }
}

fn policy_detail(call: &Call, records: &Snapshot, policy: &Policy) -> iam::ManagedPolicyDetail {
    let shown = managed_policy::shown(call, records, policy);
    let default = iam::PolicyVersion {
        document: Some(escaped(policy.document())),
        version_id: shown.default_version_id.clone(),
        is_default_version: Some(true),
        create_date: shown.update_date,
    };
    let policy_version_list = match policy {
        Policy::Aws(_) => vec![default],
        Policy::Own(policy) => policy
            .versions
            .iter()
            .map(|version| iam::PolicyVersion {
                document: Some(escaped(&version.document)),
                ..managed_policy::shown_version(policy, version)
            })
            .collect(),
    };
    iam::ManagedPolicyDetail {
        policy_name: shown.policy_name,
        policy_id: shown.policy_id,
        arn: shown.arn,
        path: shown.path,
        default_version_id: shown.default_version_id,
        attachment_count: shown.attachment_count,
        permissions_boundary_usage_count: shown.permissions_boundary_usage_count,
        is_attachable: shown.is_attachable,
        description: match policy {
            Policy::Aws(_) => None,
            Policy::Own(policy) => policy.description.clone(),
        },
        create_date: shown.create_date,
        update_date: shown.update_date,
        policy_version_list,
    }
}

/// Everything that says who may do what. Of AWS's policies those that are attached are shown.
pub(crate) fn authorization_details(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetAccountAuthorizationDetailsRequest,
) -> Answer<iam::GetAccountAuthorizationDetailsResponse> {
    let scope = scope(call);
    let wanted = |kind: &str| r.filter.is_empty() || r.filter.iter().any(|it| it == kind);
    let mut found: Vec<(String, Detail)> = Vec::new();
    if wanted("User") {
        let users = records.all::<User>(&scope);
        found.extend(users.map(|it| (it.id.clone(), Detail::User(user_detail(call, it)))));
    }
    if wanted("Group") {
        let groups = records.all::<Group>(&scope);
        found.extend(groups.map(|it| (it.id.clone(), Detail::Group(group_detail(call, it)))));
    }
    if wanted("Role") {
        let roles = records.all::<Role>(&scope);
        found.extend(roles.map(|it| (it.id.clone(), Detail::Role(role_detail(call, records, it)))));
    }
    let mut policies = Vec::new();
    if wanted("LocalManagedPolicy") {
        policies.extend(records.all::<ManagedPolicy>(&scope).cloned().map(Policy::Own));
    }
    if wanted("AWSManagedPolicy") {
        policies.extend(aws_managed_policies().iter().map(Policy::Aws));
    }
    for policy in &policies {
        let detail = policy_detail(call, records, policy);
        if matches!(policy, Policy::Own(_)) || detail.attachment_count != Some(0) {
            found.push((detail.arn.clone().unwrap_or_default(), Detail::Policy(detail)));
        }
    }
    let Page { items, is_truncated, marker } =
        paged(found, r.max_items, &r.marker, |(key, _)| key)?;
    let mut answer =
        iam::GetAccountAuthorizationDetailsResponse { is_truncated, marker, ..Default::default() };
    for (_, detail) in items {
        match detail {
            Detail::User(user) => answer.user_detail_list.push(user),
            Detail::Group(group) => answer.group_detail_list.push(group),
            Detail::Role(role) => answer.role_detail_list.push(role),
            Detail::Policy(policy) => answer.policies.push(policy),
        }
    }
    Ok(answer)
}
