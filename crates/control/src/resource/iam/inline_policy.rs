//! Inline policies: documents that belong to one user, group or role.

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Group, Role, User};

use super::{Page, Permitted, change, check_name, document, escaped, named, paged};
use crate::{
    call::{Answer, Call},
    iam::policy::parse_identity,
};

fn put<T: Permitted>(
    call: &Call,
    tx: &mut Transaction,
    name: &Option<String>,
    policy: &Option<String>,
    text: &Option<String>,
) -> Answer<()> {
    let (policy, text) = (policy.clone().unwrap_or_default(), text.clone().unwrap_or_default());
    check_name(&policy, "policyName")?;
    let entity = named::<T>(call, tx, name)?;
    entity.check_modifiable()?;
    parse_identity(&text)?;
    let inline = &entity.permissions().inline;
    let others = inline.iter().filter(|(known, _)| **known != policy);
    let size: usize = others.map(|(_, text)| document::size(text)).sum();
    if size + document::size(&text) > T::INLINE_SIZE {
        return Err(ApiError::iam_limit(format!(
            "Maximum policy size of {} bytes exceeded for {} {}",
            T::INLINE_SIZE,
            T::TYPE,
            entity.name()
        )));
    }
    change(call, tx, entity.as_ref(), |it| {
        it.permissions_mut().inline.insert(policy, text);
    });
    Ok(())
}

fn missing<T: Permitted>(policy: &str) -> ApiError {
    let message = format!("The {} policy with name {policy} cannot be found.", T::TYPE);
    ApiError::no_such_entity(message)
}

/// The names of the entity and of its policy as they are, and the document.
fn get<T: Permitted>(
    call: &Call,
    records: &Snapshot,
    name: &Option<String>,
    policy: &Option<String>,
) -> Answer<(String, String, String)> {
    let policy = policy.clone().unwrap_or_default();
    let entity = named::<T>(call, records, name)?;
    let text = entity.permissions().inline.get(&policy).map(|text| escaped(text));
    let text = text.ok_or_else(|| missing::<T>(&policy))?;
    Ok((entity.name().to_owned(), policy, text))
}

fn delete<T: Permitted>(
    call: &Call,
    tx: &mut Transaction,
    name: &Option<String>,
    policy: &Option<String>,
) -> Answer<()> {
    let policy = policy.as_deref().unwrap_or_default();
    let entity = named::<T>(call, tx, name)?;
    entity.check_modifiable()?;
    if !entity.permissions().inline.contains_key(policy) {
        return Err(missing::<T>(policy));
    }
    change(call, tx, entity.as_ref(), |it| {
        it.permissions_mut().inline.remove(policy);
    });
    Ok(())
}

fn list<T: Permitted>(
    call: &Call,
    records: &Snapshot,
    name: &Option<String>,
    max_items: Option<i32>,
    marker: &Option<String>,
) -> Answer<Page<String>> {
    let entity = named::<T>(call, records, name)?;
    let names = entity.permissions().inline.keys().cloned().collect();
    paged(names, max_items, marker, |name| name)
}

/// The four handlers of a kind.
macro_rules! handlers {
    ($kind:ident $field:ident, $put:ident, $get:ident -> $got:ident, $delete:ident,
        $list:ident -> $listed:ident) => {
        pub(crate) fn put(call: &Call, tx: &mut Transaction, r: &iam::$put) -> Answer<()> {
            super::put::<$kind>(call, tx, &r.$field, &r.policy_name, &r.policy_document)
        }

        pub(crate) fn get(call: &Call, records: &Snapshot, r: &iam::$get) -> Answer<iam::$got> {
            let (name, policy, text) =
                super::get::<$kind>(call, records, &r.$field, &r.policy_name)?;
            Ok(iam::$got {
                $field: Some(name),
                policy_name: Some(policy),
                policy_document: Some(text),
            })
        }

        pub(crate) fn delete(call: &Call, tx: &mut Transaction, r: &iam::$delete) -> Answer<()> {
            super::delete::<$kind>(call, tx, &r.$field, &r.policy_name)
        }

        pub(crate) fn list(
            call: &Call,
            records: &Snapshot,
            r: &iam::$list,
        ) -> Answer<iam::$listed> {
            let Page { items, is_truncated, marker } =
                super::list::<$kind>(call, records, &r.$field, r.max_items, &r.marker)?;
            Ok(iam::$listed { policy_names: items, is_truncated, marker })
        }
    };
}

/// Of groups.
pub(crate) mod group {
    use super::*;

    handlers! { Group group_name, PutGroupPolicyRequest,
    GetGroupPolicyRequest -> GetGroupPolicyResponse, DeleteGroupPolicyRequest,
    ListGroupPoliciesRequest -> ListGroupPoliciesResponse }
}

/// Of roles.
pub(crate) mod role {
    use super::*;

    handlers! { Role role_name, PutRolePolicyRequest,
    GetRolePolicyRequest -> GetRolePolicyResponse, DeleteRolePolicyRequest,
    ListRolePoliciesRequest -> ListRolePoliciesResponse }
}

/// Of users.
pub(crate) mod user {
    use super::*;

    handlers! { User user_name, PutUserPolicyRequest,
    GetUserPolicyRequest -> GetUserPolicyResponse, DeleteUserPolicyRequest,
    ListUserPoliciesRequest -> ListUserPoliciesResponse }
}
