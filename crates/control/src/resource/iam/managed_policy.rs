//! Managed policies: those of the account, which are records, and those of AWS, which every
//! account has.

use std::sync::Arc;

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Group, ManagedPolicy, PolicyVersion, Role, User};

use super::{
    Entity, Page, change, document, escaped, new_name, now, paged, path, scope, tags, unique_id,
    with_name,
};
use crate::{
    call::{Answer, Call, given},
    catalogue::{AwsManagedPolicy, aws_managed_policies, aws_managed_policy},
    iam::policy,
};

/// How many characters a policy may have.
const SIZE: usize = 6144;
/// How many versions a policy may have.
const VERSIONS: usize = 5;

/// A managed policy of either kind.
pub(crate) enum Policy {
    Aws(&'static AwsManagedPolicy),
    Own(Arc<ManagedPolicy>),
}

impl Policy {
    /// The document of its default version.
    pub(crate) fn document(&self) -> &str {
        match self {
            Self::Aws(policy) => policy.document,
            Self::Own(policy) => default_version(policy).map_or("", |it| &it.document),
        }
    }
}

fn default_version(policy: &ManagedPolicy) -> Option<&PolicyVersion> {
    policy.versions.iter().find(|it| it.number == policy.default_version)
}

/// Path and name in the ARN of a policy.
fn resource(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let (Some("arn"), Some("aws"), Some("iam"), Some("")) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let account = parts.next()?;
    let resource = parts.next()?.strip_prefix("policy/")?;
    (!resource.is_empty() && !resource.ends_with('/')).then_some((account, resource))
}

/// Whether a text is the ARN of a policy, if of one that does not exist.
pub(crate) fn check_arn(arn: &str) -> Answer<()> {
    match resource(arn) {
        Some(_) => Ok(()),
        None => Err(ApiError::invalid_input(format!("ARN {arn} is not valid."))),
    }
}

/// The name of the policy with an ARN.
pub(crate) fn name_in(arn: &str) -> &str {
    arn.rsplit_once('/').map_or(arn, |(_, name)| name)
}

/// The path of the policy with an ARN.
pub(crate) fn path_in(arn: &str) -> &str {
    let path = arn.split_once(":policy").map_or("/", |(_, path)| path);
    path.rfind('/').map_or("/", |end| &path[..=end])
}

pub(crate) fn missing(arn: &str) -> ApiError {
    ApiError::no_such_entity(ManagedPolicy::missing(arn))
}

/// The policy with an ARN.
pub(crate) fn find(call: &Call, records: &Snapshot, arn: &str) -> Answer<Policy> {
    check_arn(arn)?;
    if let Some(policy) = aws_managed_policy(arn) {
        return Ok(Policy::Aws(policy));
    }
    let found = with_name::<ManagedPolicy>(call, records, name_in(arn));
    let found = found.filter(|policy| policy.arn(call.account()) == arn);
    found.cloned().map(Policy::Own).ok_or_else(|| missing(arn))
}

/// The policy of the account with an ARN, for what would change it.
pub(crate) fn own(
    call: &Call,
    records: &Snapshot,
    arn: &Option<String>,
) -> Answer<Arc<ManagedPolicy>> {
    let arn = arn.as_deref().unwrap_or_default();
    match find(call, records, arn)? {
        Policy::Own(policy) => Ok(policy),
        Policy::Aws(_) => Err(ApiError::new(
            "AccessDenied",
            format!("The policy {arn} is managed by AWS and cannot be changed."),
        )
        .with_status(http::StatusCode::FORBIDDEN)),
    }
}

/// Refuses what cannot be attached.
pub(crate) fn check_attachable(call: &Call, records: &Snapshot, arn: &str) -> Answer<()> {
    check_arn(arn)?;
    match find(call, records, arn) {
        Ok(_) if path_in(arn).starts_with("/aws-service-role/") => Err(ApiError::new(
            "PolicyNotAttachable",
            "Cannot attach a Service Role Policy to a Customer Role.",
        )),
        Ok(_) => Ok(()),
        Err(_) => Err(ApiError::no_such_entity(format!(
            "Policy {arn} does not exist or is not attachable."
        ))),
    }
}

/// To how many a policy is attached, and how many it bounds.
fn uses(call: &Call, records: &Snapshot, arn: &str) -> (usize, usize) {
    let scope = scope(call);
    let attached = |known: &[String]| usize::from(known.iter().any(|it| it == arn));
    let bounds = |known: &Option<String>| usize::from(known.as_deref() == Some(arn));
    let (mut attachments, mut boundaries) = (0, 0);
    for (key, group) in records.referrers_with_keys::<Group>(arn) {
        if key.scope.as_ref() == Some(&scope) {
            attachments += attached(&group.permissions.attached);
        }
    }
    for (key, role) in records.referrers_with_keys::<Role>(arn) {
        if key.scope.as_ref() == Some(&scope) {
            attachments += attached(&role.permissions.attached);
            boundaries += bounds(&role.permissions_boundary);
        }
    }
    for (key, user) in records.referrers_with_keys::<User>(arn) {
        if key.scope.as_ref() == Some(&scope) {
            attachments += attached(&user.permissions.attached);
            boundaries += bounds(&user.permissions_boundary);
        }
    }
    (attachments, boundaries)
}

/// A policy as lists show it.
pub(crate) fn shown(call: &Call, records: &Snapshot, policy: &Policy) -> iam::Policy {
    let shown = match policy {
        Policy::Aws(policy) => iam::Policy {
            policy_name: Some(policy.name().to_owned()),
            policy_id: Some(policy.id()),
            arn: Some(policy.arn.clone()),
            path: Some(path_in(&policy.arn).to_owned()),
            default_version_id: Some(policy.version.to_owned()),
            create_date: policy.created.parse().ok(),
            update_date: policy.updated.parse().ok(),
            ..Default::default()
        },
        Policy::Own(policy) => iam::Policy {
            policy_name: Some(policy.name.clone()),
            policy_id: Some(policy.id.clone()),
            arn: Some(policy.arn(call.account())),
            path: Some(policy.path.clone()),
            default_version_id: Some(format!("v{}", policy.default_version)),
            create_date: Some(policy.created),
            update_date: Some(policy.updated),
            ..Default::default()
        },
    };
    let (attachments, boundaries) = uses(call, records, shown.arn.as_deref().unwrap_or_default());
    iam::Policy {
        attachment_count: i32::try_from(attachments).ok(),
        permissions_boundary_usage_count: i32::try_from(boundaries).ok(),
        is_attachable: Some(true),
        ..shown
    }
}

fn check_document(document: &Option<String>) -> Answer<String> {
    let text = document.clone().unwrap_or_default();
    policy::parse_identity(&text)?;
    match document::size(&text) > SIZE {
        true => Err(ApiError::exceeds_iam_quota("PolicySize", SIZE)),
        false => Ok(text),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreatePolicyRequest,
) -> Answer<iam::CreatePolicyResponse> {
    let policy = ManagedPolicy {
        name: new_name::<ManagedPolicy>(call, tx, &r.policy_name, "policyName")?,
        id: unique_id::<ManagedPolicy>(call),
        path: path(&r.path)?,
        description: given(&r.description).map(str::to_owned),
        versions: vec![PolicyVersion {
            number: 1,
            document: check_document(&r.policy_document)?,
            created: now(call),
        }],
        default_version: 1,
        next_version: 2,
        created: now(call),
        updated: now(call),
        tags: tags::on_creation(&r.tags)?,
    };
    let policy = tx.put(&scope(call), policy);
    let tags = tags::shown(&policy.tags);
    let policy = iam::Policy { tags, ..shown(call, tx, &Policy::Own(policy)) };
    Ok(iam::CreatePolicyResponse { policy: Some(policy) })
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetPolicyRequest,
) -> Answer<iam::GetPolicyResponse> {
    let policy = find(call, records, r.policy_arn.as_deref().unwrap_or_default())?;
    let mut answer = shown(call, records, &policy);
    if let Policy::Own(policy) = &policy {
        answer.description.clone_from(&policy.description);
        answer.tags = tags::shown(&policy.tags);
    }
    Ok(iam::GetPolicyResponse { policy: Some(answer) })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeletePolicyRequest,
) -> Answer<()> {
    let policy = own(call, tx, &r.policy_arn)?;
    if uses(call, tx, &policy.arn(call.account())) != (0, 0) {
        return Err(ApiError::delete_conflict("Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        return Err(ApiError::delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete \
             the policy's versions. The default version is deleted with the policy.",
        ));
    }
    tx.remove::<ManagedPolicy>(&scope(call), &policy.name.to_ascii_lowercase());
    Ok(())
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListPoliciesRequest,
) -> Answer<iam::ListPoliciesResponse> {
    let from = given(&r.scope).unwrap_or("All");
    let mut found = Vec::new();
    if from != "AWS" {
        let scope = scope(call);
        found.extend(records.all::<ManagedPolicy>(&scope).cloned().map(Policy::Own));
    }
    if from != "Local" {
        found.extend(aws_managed_policies().iter().map(Policy::Aws));
    }
    let mut found: Vec<_> = found.iter().map(|policy| shown(call, records, policy)).collect();
    let prefix = given(&r.path_prefix).unwrap_or("/");
    found.retain(|it| it.path.as_deref().is_some_and(|path| path.starts_with(prefix)));
    let some = |count: Option<i32>| count.is_some_and(|count| count > 0);
    if r.only_attached == Some(true) {
        found.retain(|it| some(it.attachment_count) || some(it.permissions_boundary_usage_count));
    }
    match given(&r.policy_usage_filter) {
        Some("PermissionsBoundary") => {
            found.retain(|it| some(it.permissions_boundary_usage_count));
        }
        Some(_) => found.retain(|it| some(it.attachment_count)),
        None => {}
    }
    let Page { items, is_truncated, marker } =
        paged(found, r.max_items, &r.marker, |it| it.arn.as_deref().unwrap_or_default())?;
    Ok(iam::ListPoliciesResponse { policies: items, is_truncated, marker })
}

/// A version of a policy of the account, without its document.
pub(crate) fn shown_version(policy: &ManagedPolicy, version: &PolicyVersion) -> iam::PolicyVersion {
    iam::PolicyVersion {
        document: None,
        version_id: Some(format!("v{}", version.number)),
        is_default_version: Some(version.number == policy.default_version),
        create_date: Some(version.created),
    }
}

fn shown_aws_version(policy: &AwsManagedPolicy) -> iam::PolicyVersion {
    iam::PolicyVersion {
        document: None,
        version_id: Some(policy.version.to_owned()),
        is_default_version: Some(true),
        create_date: policy.updated.parse().ok(),
    }
}

/// The number in a version's id.
fn number(id: &str) -> Answer<u32> {
    let number = id.strip_prefix('v').filter(|digits| !digits.starts_with(['0', '+']));
    number.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        ApiError::validation_error(format!(
            "1 validation error detected: Value '{id}' at 'versionId' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: \
             v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?"
        ))
    })
}

fn no_version(arn: &str, id: &str) -> ApiError {
    ApiError::no_such_entity(format!(
        "Policy {arn} version {id} does not exist or is not attachable."
    ))
}

pub(crate) fn get_version(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetPolicyVersionRequest,
) -> Answer<iam::GetPolicyVersionResponse> {
    let arn = r.policy_arn.as_deref().unwrap_or_default();
    let id = r.version_id.as_deref().unwrap_or_default();
    let number = number(id)?;
    let (version, document) = match find(call, records, arn)? {
        // What AWS wrote before is not kept here.
        Policy::Aws(policy) if policy.version == id => {
            (shown_aws_version(policy), escaped(policy.document))
        }
        Policy::Aws(_) => return Err(no_version(arn, id)),
        Policy::Own(policy) => {
            let version = policy.versions.iter().find(|it| it.number == number);
            let version = version.ok_or_else(|| no_version(arn, id))?;
            (shown_version(&policy, version), escaped(&version.document))
        }
    };
    let version = iam::PolicyVersion { document: Some(document), ..version };
    Ok(iam::GetPolicyVersionResponse { policy_version: Some(version) })
}

pub(crate) fn list_versions(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListPolicyVersionsRequest,
) -> Answer<iam::ListPolicyVersionsResponse> {
    let found = match find(call, records, r.policy_arn.as_deref().unwrap_or_default())? {
        Policy::Aws(policy) => vec![(0, shown_aws_version(policy))],
        Policy::Own(policy) => {
            let versions = policy.versions.iter();
            versions.map(|it| (it.number, shown_version(&policy, it))).collect()
        }
    };
    // The newest is the first.
    let found = found.into_iter().map(|(number, it)| (format!("{:010}", u32::MAX - number), it));
    let Page { items, is_truncated, marker } =
        paged(found.collect(), r.max_items, &r.marker, |(key, _)| key)?;
    let versions = items.into_iter().map(|(_, it)| it).collect();
    Ok(iam::ListPolicyVersionsResponse { versions, is_truncated, marker })
}

pub(crate) fn create_version(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::CreatePolicyVersionRequest,
) -> Answer<iam::CreatePolicyVersionResponse> {
    let policy = own(call, tx, &r.policy_arn)?;
    let document = check_document(&r.policy_document)?;
    if policy.versions.len() >= VERSIONS {
        return Err(ApiError::iam_limit(format!(
            "A managed policy can have up to {VERSIONS} versions. Before you create a new version, \
             you must delete an existing version."
        )));
    }
    let version = PolicyVersion { number: policy.next_version, document, created: now(call) };
    let changed = change(call, tx, policy.as_ref(), |policy| {
        policy.next_version += 1;
        if r.set_as_default == Some(true) {
            policy.default_version = version.number;
        }
        policy.updated = now(call);
        policy.versions.push(version.clone());
    });
    let version = shown_version(&changed, &version);
    Ok(iam::CreatePolicyVersionResponse { policy_version: Some(version) })
}

/// The policy of the account that a request means, and the version of it.
fn own_version(
    call: &Call,
    records: &Snapshot,
    arn: &Option<String>,
    id: &Option<String>,
) -> Answer<(Arc<ManagedPolicy>, u32)> {
    let policy = own(call, records, arn)?;
    let id = id.as_deref().unwrap_or_default();
    let number = number(id)?;
    match policy.versions.iter().any(|it| it.number == number) {
        true => Ok((policy, number)),
        false => Err(no_version(&policy.arn(call.account()), id)),
    }
}

pub(crate) fn set_default_version(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::SetDefaultPolicyVersionRequest,
) -> Answer<()> {
    let (policy, number) = own_version(call, tx, &r.policy_arn, &r.version_id)?;
    change(call, tx, policy.as_ref(), |policy| {
        policy.default_version = number;
        policy.updated = now(call);
    });
    Ok(())
}

pub(crate) fn delete_version(
    call: &Call,
    tx: &mut Transaction,
    r: &iam::DeletePolicyVersionRequest,
) -> Answer<()> {
    let (policy, number) = own_version(call, tx, &r.policy_arn, &r.version_id)?;
    if policy.default_version == number {
        return Err(ApiError::delete_conflict("Cannot delete the default version of a policy."));
    }
    change(call, tx, policy.as_ref(), |policy| policy.versions.retain(|it| it.number != number));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_path_and_name() {
        let arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2RoleforSSM";
        assert_eq!((path_in(arn), name_in(arn)), ("/service-role/", "AmazonEC2RoleforSSM"));
        let plain = "arn:aws:iam::123456789012:policy/own";
        assert_eq!((path_in(plain), name_in(plain)), ("/", "own"));
        assert_eq!(check_arn(plain), Ok(()));
        for text in ["", "own", "arn:aws:iam::1:role/x", "arn:aws:iam::1:policy/", "arn:aws:s3:::x"]
        {
            assert!(check_arn(text).is_err(), "{text}");
        }
    }
}
