//! Managed policies on users, groups and roles.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Group, Role, User};

use super::{Entity, Page, Permitted, change, managed_policy, named, paged, scope};
use crate::call::{Answer, Call, given};

/// How many managed policies may be attached to one entity.
const LIMIT: usize = 10;

fn attach<T: Permitted>(
    call: &Call,
    tx: &mut Transaction,
    name: &Option<String>,
    arn: &Option<String>,
) -> Answer<()> {
    let arn = arn.as_deref().unwrap_or_default();
    let entity = named::<T>(call, tx, name)?;
    entity.check_modifiable()?;
    managed_policy::check_attachable(call, tx, arn)?;
    if entity.permissions().attached.iter().any(|known| known == arn) {
        return Ok(());
    }
    if entity.permissions().attached.len() >= LIMIT {
        return Err(ApiError::exceeds_iam_quota(T::ATTACHED, LIMIT));
    }
    change(call, tx, entity.as_ref(), |it| it.permissions_mut().attached.push(arn.to_owned()));
    Ok(())
}

fn detach<T: Permitted>(
    call: &Call,
    tx: &mut Transaction,
    name: &Option<String>,
    arn: &Option<String>,
) -> Answer<()> {
    let arn = arn.as_deref().unwrap_or_default();
    let entity = named::<T>(call, tx, name)?;
    entity.check_modifiable()?;
    managed_policy::check_arn(arn)?;
    if !entity.permissions().attached.iter().any(|known| known == arn) {
        return Err(managed_policy::missing(arn));
    }
    change(call, tx, entity.as_ref(), |it| {
        it.permissions_mut().attached.retain(|known| known != arn);
    });
    Ok(())
}

/// The policies attached to an entity as answers show them.
pub(crate) fn shown<T: Permitted>(entity: &T) -> Vec<iam::AttachedPolicy> {
    let attached = entity.permissions().attached.iter();
    attached
        .map(|arn| iam::AttachedPolicy {
            policy_name: Some(managed_policy::name_in(arn).to_owned()),
            policy_arn: Some(arn.clone()),
        })
        .collect()
}

fn list<T: Permitted>(
    call: &Call,
    records: &Snapshot,
    name: &Option<String>,
    path_prefix: &Option<String>,
    max_items: Option<i32>,
    marker: &Option<String>,
) -> Answer<Page<iam::AttachedPolicy>> {
    let entity = named::<T>(call, records, name)?;
    let mut attached = shown(entity.as_ref());
    if let Some(prefix) = given(path_prefix) {
        let path = |it: &iam::AttachedPolicy| {
            it.policy_arn.as_deref().map_or("/", managed_policy::path_in).to_owned()
        };
        attached.retain(|it| path(it).starts_with(prefix));
    }
    paged(attached, max_items, marker, |it| it.policy_arn.as_deref().unwrap_or_default())
}

/// The three handlers of a kind.
macro_rules! handlers {
    ($kind:ident $field:ident, $attach:ident, $detach:ident, $list:ident -> $listed:ident) => {
        pub(crate) fn attach(call: &Call, tx: &mut Transaction, r: &iam::$attach) -> Answer<()> {
            super::attach::<$kind>(call, tx, &r.$field, &r.policy_arn)
        }

        pub(crate) fn detach(call: &Call, tx: &mut Transaction, r: &iam::$detach) -> Answer<()> {
            super::detach::<$kind>(call, tx, &r.$field, &r.policy_arn)
        }

        pub(crate) fn list(
            call: &Call,
            records: &Snapshot,
            r: &iam::$list,
        ) -> Answer<iam::$listed> {
            let (max_items, marker) = (r.max_items, &r.marker);
            let Page { items, is_truncated, marker } =
                super::list::<$kind>(call, records, &r.$field, &r.path_prefix, max_items, marker)?;
            Ok(iam::$listed { attached_policies: items, is_truncated, marker })
        }
    };
}

/// To groups.
pub(crate) mod group {
    use super::*;

    handlers! { Group group_name, AttachGroupPolicyRequest, DetachGroupPolicyRequest,
    ListAttachedGroupPoliciesRequest -> ListAttachedGroupPoliciesResponse }
}

/// To roles.
pub(crate) mod role {
    use super::*;

    handlers! { Role role_name, AttachRolePolicyRequest, DetachRolePolicyRequest,
    ListAttachedRolePoliciesRequest -> ListAttachedRolePoliciesResponse }
}

/// To users.
pub(crate) mod user {
    use super::*;

    handlers! { User user_name, AttachUserPolicyRequest, DetachUserPolicyRequest,
    ListAttachedUserPoliciesRequest -> ListAttachedUserPoliciesResponse }
}

/// Whom a policy is attached to, and how.
enum Holder {
    Group(iam::PolicyGroup),
    Role(iam::PolicyRole),
    User(iam::PolicyUser),
}

/// The entities of a kind that use a policy the way that is asked for.
fn holders<T: Entity>(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListEntitiesForPolicyRequest,
    uses: impl Fn(&T, &str) -> (bool, bool),
    shown: impl Fn(&T) -> Holder,
) -> Vec<(String, Holder)> {
    let arn = r.policy_arn.as_deref().unwrap_or_default();
    let wanted = given(&r.entity_filter).is_none_or(|kind| kind == T::NOUN);
    let prefix = given(&r.path_prefix).unwrap_or("/");
    let counts = |entity: &T| {
        let (attached, boundary) = uses(entity, arn);
        match given(&r.policy_usage_filter) {
            Some("PermissionsBoundary") => boundary,
            Some(_) => attached,
            None => attached || boundary,
        }
    };
    let scope = scope(call);
    records
        .referrers_with_keys::<T>(arn)
        .filter(|(key, it)| {
            wanted && key.scope.as_ref() == Some(&scope) && it.path().starts_with(prefix)
        })
        .filter(|(_, it)| counts(it))
        .map(|(_, it)| (format!("{}/{}", T::TYPE, it.name()), shown(it)))
        .collect()
}

pub(crate) fn entities(
    call: &Call,
    records: &Snapshot,
    r: &iam::ListEntitiesForPolicyRequest,
) -> Answer<iam::ListEntitiesForPolicyResponse> {
    let arn = r.policy_arn.as_deref().unwrap_or_default();
    managed_policy::find(call, records, arn)?;
    let attached = |permissions: &gureum_types::record::Permissions, arn: &str| {
        permissions.attached.iter().any(|known| known == arn)
    };
    let mut found = holders::<Group>(
        call,
        records,
        r,
        |it, arn| (attached(&it.permissions, arn), false),
        |it| {
            Holder::Group(iam::PolicyGroup {
                group_name: Some(it.name.clone()),
                group_id: Some(it.id.clone()),
            })
        },
    );
    let bounds = |boundary: &Option<String>, arn: &str| boundary.as_deref() == Some(arn);
    found.extend(holders::<Role>(
        call,
        records,
        r,
        |it, arn| (attached(&it.permissions, arn), bounds(&it.permissions_boundary, arn)),
        |it| {
            Holder::Role(iam::PolicyRole {
                role_name: Some(it.name.clone()),
                role_id: Some(it.id.clone()),
            })
        },
    ));
    found.extend(holders::<User>(
        call,
        records,
        r,
        |it, arn| (attached(&it.permissions, arn), bounds(&it.permissions_boundary, arn)),
        |it| {
            Holder::User(iam::PolicyUser {
                user_name: Some(it.name.clone()),
                user_id: Some(it.id.clone()),
            })
        },
    ));
    let Page { items, is_truncated, marker } =
        paged(found, r.max_items, &r.marker, |(key, _)| key)?;
    let mut answer =
        iam::ListEntitiesForPolicyResponse { is_truncated, marker, ..Default::default() };
    for (_, holder) in items {
        match holder {
            Holder::Group(group) => answer.policy_groups.push(group),
            Holder::Role(role) => answer.policy_roles.push(role),
            Holder::User(user) => answer.policy_users.push(user),
        }
    }
    Ok(answer)
}
