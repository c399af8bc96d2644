//! Tags of users, roles, managed policies and instance profiles. Their keys have no case.

use std::sync::Arc;

use gureum_api::{ApiError, iam};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Tags,
    record::{InstanceProfile, ManagedPolicy, Role, User},
};

use super::{Entity, Page, change, managed_policy, named, paged};
use crate::call::{Answer, Call};

/// How many tags an entity may have.
const LIMIT: usize = 50;

/// An entity with tags.
pub(crate) trait Tagged: Entity {
    fn tags(&self) -> &Tags;
    fn tags_mut(&mut self) -> &mut Tags;
}

macro_rules! tagged {
    ($($kind:ident)*) => {$(
        impl Tagged for $kind {
            fn tags(&self) -> &Tags {
                &self.tags
            }

            fn tags_mut(&mut self) -> &mut Tags {
                &mut self.tags
            }
        }
    )*};
}

tagged! { InstanceProfile ManagedPolicy Role User }

/// Tags as answers show them.
pub(crate) fn shown(tags: &Tags) -> Vec<iam::Tag> {
    tags.iter()
        .map(|(key, value)| iam::Tag { key: Some(key.clone()), value: Some(value.clone()) })
        .collect()
}

/// The tags of a new entity.
pub(crate) fn on_creation(given: &[iam::Tag]) -> Answer<Tags> {
    let mut tags = Tags::new();
    add(&mut tags, given)?;
    Ok(tags)
}

fn check(text: &str, number: usize, what: &str, pattern: &str) -> Answer<()> {
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    match text.chars().all(allowed) {
        true => Ok(()),
        false => Err(ApiError::validation_error(format!(
            "1 validation error detected: Value '{text}' at 'tags.{number}.member.{what}' failed \
             to satisfy constraint: Member must satisfy regular expression pattern: {pattern}"
        ))),
    }
}

fn add(tags: &mut Tags, more: &[iam::Tag]) -> Answer<()> {
    let mut keys: Vec<String> = Vec::new();
    for (number, tag) in more.iter().enumerate() {
        let key = tag.key.as_deref().unwrap_or_default();
        let value = tag.value.as_deref().unwrap_or_default();
        check(key, number + 1, "key", r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+")?;
        check(value, number + 1, "value", r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")?;
        let folded = key.to_lowercase();
        if folded.starts_with("aws:") {
            return Err(ApiError::invalid_input(format!(
                "Tag keys that begin with aws: are reserved for AWS use: {key}"
            )));
        }
        if keys.contains(&folded) {
            return Err(ApiError::invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.retain(|known, _| known.to_lowercase() != folded);
        tags.insert(key.to_owned(), value.to_owned());
        keys.push(folded);
    }
    match tags.len() > LIMIT {
        true => Err(ApiError::iam_limit("The number of tags has reached the maximum limit.")),
        false => Ok(()),
    }
}

fn put<T: Tagged>(call: &Call, tx: &mut Transaction, entity: &T, more: &[iam::Tag]) -> Answer<()> {
    let mut tags = entity.tags().clone();
    add(&mut tags, more)?;
    change(call, tx, entity, |it| *it.tags_mut() = tags);
    Ok(())
}

fn take<T: Tagged>(call: &Call, tx: &mut Transaction, entity: &T, keys: &[String]) {
    change(call, tx, entity, |it| {
        it.tags_mut()
            .retain(|known, _| !keys.iter().any(|key| key.to_lowercase() == known.to_lowercase()));
    });
}

fn list<T: Tagged>(
    entity: &T,
    max_items: Option<i32>,
    marker: &Option<String>,
) -> Answer<Page<iam::Tag>> {
    paged(shown(entity.tags()), max_items, marker, |it| it.key.as_deref().unwrap_or_default())
}

/// The three handlers of a kind.
macro_rules! handlers {
    ($kind:ident $find:path, $field:ident,
        $tag:ident, $untag:ident, $list:ident -> $listed:ident) => {
        pub(crate) fn tag(call: &Call, tx: &mut Transaction, r: &iam::$tag) -> Answer<()> {
            let entity: Arc<$kind> = $find(call, tx, &r.$field)?;
            put(call, tx, entity.as_ref(), &r.tags)
        }

        pub(crate) fn untag(call: &Call, tx: &mut Transaction, r: &iam::$untag) -> Answer<()> {
            let entity: Arc<$kind> = $find(call, tx, &r.$field)?;
            take(call, tx, entity.as_ref(), &r.tag_keys);
            Ok(())
        }

        pub(crate) fn list(
            call: &Call,
            records: &Snapshot,
            r: &iam::$list,
        ) -> Answer<iam::$listed> {
            let entity: Arc<$kind> = $find(call, records, &r.$field)?;
            let Page { items, is_truncated, marker } =
                super::list(entity.as_ref(), r.max_items, &r.marker)?;
            Ok(iam::$listed { tags: items, is_truncated, marker })
        }
    };
}

/// Of instance profiles.
pub(crate) mod instance_profile {
    use super::*;

    handlers! { InstanceProfile named, instance_profile_name, TagInstanceProfileRequest,
    UntagInstanceProfileRequest,
    ListInstanceProfileTagsRequest -> ListInstanceProfileTagsResponse }
}

/// Of managed policies.
pub(crate) mod policy {
    use super::*;

    handlers! { ManagedPolicy managed_policy::own, policy_arn, TagPolicyRequest,
    UntagPolicyRequest, ListPolicyTagsRequest -> ListPolicyTagsResponse }
}

/// Of roles.
pub(crate) mod role {
    use super::*;

    handlers! { Role named, role_name, TagRoleRequest, UntagRoleRequest,
    ListRoleTagsRequest -> ListRoleTagsResponse }
}

/// Of users.
pub(crate) mod user {
    use super::*;

    handlers! { User named, user_name, TagUserRequest, UntagUserRequest,
    ListUserTagsRequest -> ListUserTagsResponse }
}
