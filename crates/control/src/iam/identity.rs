//! The policies that hold for a caller, found among the records.

use std::sync::Arc;

use gureum_api::ApiError;
use gureum_store::Snapshot;
use gureum_types::{
    AccountId,
    record::{Group, ManagedPolicy, Permissions, Role, Scope, User},
};

use super::{
    caller::{Caller, Principal},
    evaluate::Policies,
    policy::{self, Policy},
};
use crate::{call::Answer, catalogue::aws_managed_policy};

/// What an instance may by its own credentials: say that it is there (IMDS-30). No policy of anybody's
/// has a word in it, but an endpoint's.
const OF_INSTANCES: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[
    "ssm:RegisterManagedInstance","ssm:RequestManagedInstanceRoleToken","sts:GetCallerIdentity"],
    "Resource":"*"}]}"#;

/// All policies of a caller.
pub(crate) fn policies(records: &Snapshot, caller: &Caller) -> Answer<Policies> {
    let scope = Scope::global(caller.account.clone());
    let mut found = Policies::default();
    match &caller.principal {
        Principal::Root | Principal::Federated { user: None, .. } => found.is_root = true,
        Principal::User(user) | Principal::Federated { user: Some(user), .. } => {
            of_user(records, &scope, user, &mut found)?;
        }
        Principal::Role { role, .. } => of_role(records, &scope, role, &mut found)?,
        Principal::Instance(_) => {
            found.identity.push(read(OF_INSTANCES)?);
            found.is_instance = true;
        }
    }
    let documents = caller.session.iter().flat_map(|session| &session.policies);
    found.session = documents.map(|it| read(it)).collect::<Answer<_>>()?;
    Ok(found)
}

fn of_user(records: &Snapshot, scope: &Scope, user: &User, found: &mut Policies) -> Answer<()> {
    add(records, scope, &user.permissions, found)?;
    for name in &user.groups {
        if let Some(group) = records.find::<Group>(scope, &name.to_ascii_lowercase()) {
            add(records, scope, &group.permissions, found)?;
        }
    }
    found.boundary = boundary(records, scope, user.permissions_boundary.as_deref())?;
    Ok(())
}

fn of_role(records: &Snapshot, scope: &Scope, role: &Role, found: &mut Policies) -> Answer<()> {
    add(records, scope, &role.permissions, found)?;
    found.boundary = boundary(records, scope, role.permissions_boundary.as_deref())?;
    Ok(())
}

fn add(
    records: &Snapshot,
    scope: &Scope,
    permissions: &Permissions,
    found: &mut Policies,
) -> Answer<()> {
    for document in permissions.inline.values() {
        found.identity.push(read(document)?);
    }
    for arn in &permissions.attached {
        found.identity.push(managed(records, &scope.account, arn)?);
    }
    Ok(())
}

fn boundary(records: &Snapshot, scope: &Scope, arn: Option<&str>) -> Answer<Option<Arc<Policy>>> {
    arn.map(|arn| managed(records, &scope.account, arn)).transpose()
}

/// The managed policy of that name. One that is no more allows nothing.
fn managed(records: &Snapshot, account: &AccountId, arn: &str) -> Answer<Arc<Policy>> {
    match document(records, account, arn) {
        Some(document) => read(&document),
        None => Ok(Arc::new(Policy { has_variables: true, statements: Vec::new() })),
    }
}

/// The document of a managed policy, of the account or of AWS.
pub(crate) fn document(records: &Snapshot, account: &AccountId, arn: &str) -> Option<String> {
    if let Some(policy) = aws_managed_policy(arn) {
        return Some(policy.document.to_owned());
    }
    let name = arn.rsplit('/').next().unwrap_or_default();
    let scope = Scope::global(account.clone());
    let policy = records.find::<ManagedPolicy>(&scope, &name.to_ascii_lowercase())?;
    let own = super::caller::arn(account, "policy", &policy.path, &policy.name);
    let version = policy.versions.iter().find(|it| it.number == policy.default_version)?;
    (own == arn).then(|| version.document.clone())
}

/// What is kept was checked when it came; a document that cannot be read grants nothing by being
/// passed over, so it fails the call.
fn read(document: &str) -> Answer<Arc<Policy>> {
    policy::parse(document).map(Arc::new).map_err(ApiError::internal_error)
}
