//! Tags on what Systems Manager keeps: parameters and documents.

use gureum_api::{ApiError, ssm};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Tags,
    record::{Document, Parameter},
};

use super::{document, own_parameter};
use crate::call::{Answer, Call, text};

/// How many tags a resource may have.
const LIMIT: usize = 50;

/// What tags are on.
enum Tagged {
    Parameter(Parameter),
    Document(Document),
}

impl Tagged {
    fn find(
        call: &Call,
        records: &Snapshot,
        kind: &Option<String>,
        id: &Option<String>,
    ) -> Answer<Self> {
        let id = text(id, "ResourceId")?;
        let found = match text(kind, "ResourceType")? {
            "Parameter" => own_parameter::find(call, records, id)
                .map(|found| Self::Parameter(Parameter::clone(found))),
            "Document" => records
                .find::<Document>(&call.scope, document::short(id))
                .map(|found| Self::Document(Document::clone(found))),
            other => {
                return Err(ApiError::unsupported_operation(format!(
                    "Tags on the resource type {other} are not kept here; those on Parameter and \
                     Document are."
                )));
            }
        };
        found.ok_or_else(|| {
            let message = format!(
                "The resource ID \"{id}\" is not valid. Verify that you entered the correct ID and \
                 try again."
            );
            ApiError::new("InvalidResourceId", message)
        })
    }

    fn tags(&self) -> Tags {
        match self {
            Self::Parameter(it) => it.tags.clone(),
            Self::Document(it) => it.tags.clone().into_iter().collect(),
        }
    }

    fn put(self, call: &Call, tx: &mut Transaction, tags: Tags) {
        match self {
            Self::Parameter(it) => {
                tx.put(&call.scope, Parameter { tags, ..it });
            }
            Self::Document(it) => {
                let tags = tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                tx.put(&call.scope, Document { tags, ..it });
            }
        }
    }
}

/// Tags with more of them, checked.
pub(super) fn with(mut tags: Tags, more: &[ssm::Tag]) -> Answer<Tags> {
    for tag in more {
        let key = text(&tag.key, "Key")?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = format!("The tag key {key} begins with the reserved prefix aws:.");
            return Err(ApiError::new("ValidationException", message));
        }
        tags.insert(key.to_owned(), tag.value.clone().unwrap_or_default());
    }
    match tags.len() > LIMIT {
        true => {
            let message = "The number of tags exceeds the limit of 50 for a resource.";
            Err(ApiError::new("TooManyTagsError", message))
        }
        false => Ok(tags),
    }
}

/// AddTagsToResource.
pub(crate) fn add(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::AddTagsToResourceRequest,
) -> Answer<ssm::AddTagsToResourceResult> {
    let found = Tagged::find(call, tx, &r.resource_type, &r.resource_id)?;
    let tags = with(found.tags(), &r.tags)?;
    found.put(call, tx, tags);
    Ok(ssm::AddTagsToResourceResult {})
}

/// RemoveTagsFromResource. Keys that are not there do not matter.
pub(crate) fn remove(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::RemoveTagsFromResourceRequest,
) -> Answer<ssm::RemoveTagsFromResourceResult> {
    let found = Tagged::find(call, tx, &r.resource_type, &r.resource_id)?;
    let mut tags = found.tags();
    tags.retain(|key, _| !r.tag_keys.contains(key));
    found.put(call, tx, tags);
    Ok(ssm::RemoveTagsFromResourceResult {})
}

/// ListTagsForResource.
pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &ssm::ListTagsForResourceRequest,
) -> Answer<ssm::ListTagsForResourceResult> {
    let tags = Tagged::find(call, records, &r.resource_type, &r.resource_id)?.tags();
    let shown = tags
        .iter()
        .map(|(key, value)| ssm::Tag { key: Some(key.clone()), value: Some(value.clone()) });
    Ok(ssm::ListTagsForResourceResult { tag_list: shown.collect() })
}
