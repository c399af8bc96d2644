//! IAM: users, groups, roles, policies, instance profiles. Everything is global, and names have no
//! case: they are kept as they were given, and found however they are written.

pub(crate) mod access_key;
pub(crate) mod account;
pub(crate) mod attachment;
pub(crate) mod boundary;
pub(crate) mod document;
pub(crate) mod group;
pub(crate) mod inline_policy;
pub(crate) mod instance_profile;
pub(crate) mod managed_policy;
pub(crate) mod role;
pub(crate) mod service_linked_role;
pub(crate) mod simulation;
pub(crate) mod tags;
pub(crate) mod user;

use std::{fmt::Write as _, sync::Arc};

use gureum_api::ApiError;
use gureum_store::{Snapshot, Stored, Transaction};
use gureum_types::{
    AccountId, Timestamp,
    record::{Group, InstanceProfile, ManagedPolicy, Permissions, Role, Scope, User},
};

use crate::{
    call::{Answer, Call, given},
    page::page,
};

/// How many items a page has when the request does not say.
const PAGE: i32 = 100;

/// Where the records of the caller's account are.
pub(crate) fn scope(call: &Call) -> Scope {
    Scope::global(call.account().clone())
}

/// The moment of a call as IAM keeps it: in whole seconds.
pub(crate) fn now(call: &Call) -> Timestamp {
    Timestamp::from_seconds(call.now.seconds())
}

/// A kind of record that IAM's callers name.
pub(crate) trait Entity: Stored {
    /// Its kind at the beginning of sentences.
    const NOUN: &'static str;
    /// Its kind in ARNs.
    const TYPE: &'static str;
    /// The prefix of unique ids.
    const PREFIX: &'static str;
    /// The quota of an account: its name and AWS's default.
    const QUOTA: (&'static str, usize);

    fn name(&self) -> &str;
    fn path(&self) -> &str;

    /// The name that is unique in all of AWS.
    fn arn(&self, account: &AccountId) -> String {
        format!("arn:aws:iam::{account}:{}{}{}", Self::TYPE, self.path(), self.name())
    }

    /// The sentence for a name that nothing has.
    fn missing(name: &str) -> String {
        format!("The {} with name {name} cannot be found.", Self::NOUN.to_ascii_lowercase())
    }

    /// The sentence for a name that is taken.
    fn taken(name: &str) -> String {
        format!("{} with name {name} already exists.", Self::NOUN)
    }
}

macro_rules! entities {
    ($($kind:ident $noun:literal $type:literal $prefix:literal $quota:expr $(, $missing:item $taken:item)?;)*) => {$(
        impl Entity for $kind {
            const NOUN: &'static str = $noun;
            const TYPE: &'static str = $type;
            const PREFIX: &'static str = $prefix;
            const QUOTA: (&'static str, usize) = $quota;

            fn name(&self) -> &str {
                &self.name
            }

            fn path(&self) -> &str {
                &self.path
            }

            $($missing $taken)?
        }
    )*};
}

entities! {
    User "User" "user" "AIDA" ("UsersPerAccount", 5000);
    Group "Group" "group" "AGPA" ("GroupsPerAccount", 300);
    Role "Role" "role" "AROA" ("RolesPerAccount", 1000);
    ManagedPolicy "Policy" "policy" "ANPA" ("PoliciesPerAccount", 1500),
        fn missing(arn: &str) -> String {
            format!("Policy {arn} was not found.")
        }
        fn taken(name: &str) -> String {
            format!("A policy called {name} already exists. Duplicate names are not allowed.")
        };
    InstanceProfile "Instance Profile" "instance-profile" "AIPA"
        ("InstanceProfilesPerAccount", 1000),
        fn missing(name: &str) -> String {
            format!("Instance Profile {name} cannot be found.")
        }
        fn taken(name: &str) -> String {
            format!("Instance Profile {name} already exists.")
        };
}

/// An entity that policies are put on and attached to.
pub(crate) trait Permitted: Entity {
    /// How many characters all its inline policies may have together.
    const INLINE_SIZE: usize;
    /// The name of the quota of attached policies.
    const ATTACHED: &'static str;

    fn permissions(&self) -> &Permissions;
    fn permissions_mut(&mut self) -> &mut Permissions;

    /// Whether callers may change it.
    fn check_modifiable(&self) -> Answer<()> {
        Ok(())
    }
}

impl Permitted for User {
    const INLINE_SIZE: usize = 2048;
    const ATTACHED: &'static str = "PoliciesPerUser";

    fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    fn permissions_mut(&mut self) -> &mut Permissions {
        &mut self.permissions
    }
}

impl Permitted for Group {
    const INLINE_SIZE: usize = 5120;
    const ATTACHED: &'static str = "PoliciesPerGroup";

    fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    fn permissions_mut(&mut self) -> &mut Permissions {
        &mut self.permissions
    }
}

impl Permitted for Role {
    const INLINE_SIZE: usize = 10240;
    const ATTACHED: &'static str = "PoliciesPerRole";

    fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    fn permissions_mut(&mut self) -> &mut Permissions {
        &mut self.permissions
    }

    fn check_modifiable(&self) -> Answer<()> {
        match service_linked_role::is_one(self) {
            true => Err(ApiError::protected_role(&self.name)),
            false => Ok(()),
        }
    }
}

/// The entity with a name, if there is one.
pub(crate) fn with_name<'a, T: Entity>(
    call: &Call,
    records: &'a Snapshot,
    name: &str,
) -> Option<&'a Arc<T>> {
    records.find::<T>(&scope(call), &name.to_ascii_lowercase())
}

/// The entity that a parameter names.
pub(crate) fn named<T: Entity>(
    call: &Call,
    records: &Snapshot,
    name: &Option<String>,
) -> Answer<Arc<T>> {
    let name = name.as_deref().unwrap_or_default();
    let found = with_name::<T>(call, records, name).cloned();
    found.ok_or_else(|| ApiError::no_such_entity(T::missing(name)))
}

/// The name for a new entity: well-formed, free, and within the account's quota.
pub(crate) fn new_name<T: Entity>(
    call: &Call,
    records: &Snapshot,
    name: &Option<String>,
    parameter: &str,
) -> Answer<String> {
    let name = name.as_deref().unwrap_or_default();
    check_name(name, parameter)?;
    if with_name::<T>(call, records, name).is_some() {
        return Err(ApiError::entity_already_exists(T::taken(name)));
    }
    let (quota, limit) = T::QUOTA;
    if call.config.aws_quotas && records.all::<T>(&scope(call)).count() >= limit {
        return Err(ApiError::exceeds_iam_quota(quota, limit));
    }
    Ok(name.to_owned())
}

/// Whether a name has only characters that names may have; `parameter` begins in lower case.
pub(crate) fn check_name(name: &str, parameter: &str) -> Answer<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    match !name.is_empty() && name.chars().all(allowed) {
        true => Ok(()),
        false => Err(ApiError::validation_error(format!(
            "The specified value for {parameter} is invalid. It must contain only alphanumeric \
             characters and/or the following: +=,.@_-"
        ))),
    }
}

/// The path that a request gives, `/` where it gives none.
pub(crate) fn path(path: &Option<String>) -> Answer<String> {
    let path = given(path).unwrap_or("/");
    let within = path.bytes().all(|byte| (0x21..=0x7f).contains(&byte));
    match path.starts_with('/') && path.ends_with('/') && within {
        true => Ok(path.to_owned()),
        false => Err(ApiError::validation_error(
            "The specified value for path is invalid. It must begin and end with / and contain \
             only alphanumeric characters and/or / characters.",
        )),
    }
}

/// A unique id: a prefix for the kind, and 17 characters.
pub(crate) fn unique_id<T: Entity>(call: &Call) -> String {
    format!("{}{}", T::PREFIX, crate::credential::characters(call, 17))
}

/// A document as most answers show it: every byte that RFC 3986 reserves is escaped.
pub(crate) fn escaped(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 2);
    for byte in document.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                // Writing into a string cannot fail.
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// A page of a list, as IAM's answers have it.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) is_truncated: Option<bool>,
    pub(crate) marker: Option<String>,
}

/// One page of items in the order of their keys, which are unique.
pub(crate) fn paged<T>(
    mut items: Vec<T>,
    max_items: Option<i32>,
    marker: &Option<String>,
    key: impl Fn(&T) -> &str,
) -> Answer<Page<T>> {
    items.sort_by(|a, b| key(a).cmp(key(b)));
    let size = Some(max_items.unwrap_or(PAGE));
    let (items, marker) = page(items, size, marker, |item| Some(key(item)))
        .map_err(|_| ApiError::validation_error("Invalid Marker."))?;
    Ok(Page { items, is_truncated: Some(marker.is_some()), marker })
}

/// The entities of an account whose path begins so, page by page.
pub(crate) fn listed<T: Entity>(
    call: &Call,
    records: &Snapshot,
    path_prefix: &Option<String>,
    max_items: Option<i32>,
    marker: &Option<String>,
) -> Answer<Page<Arc<T>>> {
    let prefix = path_prefix.as_deref().unwrap_or("/");
    let scope = scope(call);
    let found = records.all::<T>(&scope).filter(|it| it.path().starts_with(prefix));
    paged(found.cloned().collect(), max_items, marker, |it| it.name())
}

/// Changes an entity that is there.
pub(crate) fn change<T: Entity>(
    call: &Call,
    tx: &mut Transaction,
    entity: &T,
    change: impl FnOnce(&mut T),
) -> Arc<T> {
    let mut changed = entity.clone();
    change(&mut changed);
    tx.put(&scope(call), changed)
}

/// Changes name and path of an entity, as far as they are given.
pub(crate) fn rename<T: Entity>(
    call: &Call,
    tx: &mut Transaction,
    entity: &T,
    new_name: &Option<String>,
    new_path: &Option<String>,
    parameter: &str,
    set: impl FnOnce(&mut T, Option<String>, Option<String>),
) -> Answer<Arc<T>> {
    let name = given(new_name);
    if let Some(name) = name {
        check_name(name, parameter)?;
        let is_own = name.eq_ignore_ascii_case(entity.name());
        if !is_own && with_name::<T>(call, tx, name).is_some() {
            return Err(ApiError::entity_already_exists(T::taken(name)));
        }
    }
    let new_path = given(new_path).map(|_| path(new_path)).transpose()?;
    let scope = scope(call);
    tx.remove::<T>(&scope, &entity.id());
    let mut renamed = entity.clone();
    set(&mut renamed, name.map(str::to_owned), new_path);
    Ok(tx.put(&scope, renamed))
}

/// Refuses to delete what policies are on.
pub(crate) fn check_without_policies<T: Permitted>(entity: &T) -> Answer<()> {
    let permissions = entity.permissions();
    if !permissions.attached.is_empty() {
        let message = "Cannot delete entity, must detach all policies first.";
        return Err(ApiError::delete_conflict(message));
    }
    match permissions.inline.is_empty() {
        true => Ok(()),
        false => {
            Err(ApiError::delete_conflict("Cannot delete entity, must delete policies first."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_escaped_after_rfc_3986() {
        assert_eq!(escaped("{\"a\": [\"b*\"]}"), "%7B%22a%22%3A%20%5B%22b%2A%22%5D%7D");
        assert_eq!(escaped("-_.~+한"), "-_.~%2B%ED%95%9C");
    }

    #[test]
    fn pages_are_in_the_order_of_their_keys_whatever_was_given() {
        let all = || vec!["c".to_owned(), "a".to_owned(), "b".to_owned()];
        let first = paged(all(), Some(2), &None, |it| it).expect("a page");
        assert_eq!((first.items, first.is_truncated), (vec!["a".into(), "b".into()], Some(true)));
        let last = paged(all(), Some(2), &first.marker, |it| it).expect("a page");
        assert_eq!((last.items, last.is_truncated), (vec!["c".to_owned()], Some(false)));
        assert_eq!(last.marker, None);
        let foreign = paged(all(), None, &Some("mine".into()), |it| it).err().expect("not ours");
        assert_eq!(foreign.code, "ValidationError");
    }
}
