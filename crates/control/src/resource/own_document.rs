//! Documents that an account owns: kinds of sessions, and `SSM-SessionManagerRunShell`, the preferences
//! of all sessions for which no document is named (SSM-11). Documents of other types are refused.

use gureum_api::{ApiError, ssm};
use gureum_session::message::{SessionDocument, session_type};
use gureum_store::Transaction;
use gureum_types::record::{Document as Own, DocumentVersion};
use serde_json::Value;

use super::document::{self, Document, SESSION, json_only, no_version, short};
use crate::{
    call::{Answer, Call, given, text},
    catalogue,
};

/// How long a content may be, in bytes.
const LONGEST: usize = 64 << 10;
/// How many documents an account may have in a region, and versions a document.
const DOCUMENTS: usize = 500;
const VERSIONS: usize = 1000;
/// What names of an account's own documents do not begin with.
const RESERVED: [&str; 3] = ["aws", "amazon", "amzn"];

fn invalid_content(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidDocumentContent", message)
}

/// Whether a content is a session document.
fn check(content: &str) -> Answer<()> {
    if content.len() > LONGEST {
        let message = "The size limit of a document is 64 KB.";
        return Err(ApiError::new("MaxDocumentSizeExceeded", message));
    }
    let value: Value = serde_json::from_str(content)
        .map_err(|error| invalid_content(format!("JSON not well-formed. {error}")))?;
    match value["schemaVersion"].as_str() {
        Some("1.0") => {}
        None => return Err(invalid_content("schemaVersion is missing.")),
        Some(other) => {
            let message = format!("The document schema version {other} is not supported.");
            return Err(ApiError::new("InvalidDocumentSchemaVersion", message));
        }
    }
    let document: SessionDocument =
        serde_json::from_value(value).map_err(|error| invalid_content(error.to_string()))?;
    let known = [
        session_type::STANDARD_STREAM,
        session_type::INTERACTIVE_COMMANDS,
        session_type::NON_INTERACTIVE_COMMANDS,
        session_type::PORT,
    ];
    if !known.contains(&document.session_type.as_str()) {
        let kind = document.session_type;
        return Err(invalid_content(format!("sessionType {kind:?} is not a type of sessions.")));
    }
    let inputs = document.inputs;
    // SSM-11
    for (name, text, most) in [
        ("idleSessionTimeout", &inputs.idle_session_timeout, 60),
        ("maxSessionDuration", &inputs.max_session_duration, 24 * 60),
    ] {
        let is_legal = text.parse().is_ok_and(|minutes: u32| (1..=most).contains(&minutes));
        if !is_legal && !text.is_empty() {
            return Err(invalid_content(format!(
                "{name} must be a number of minutes between 1 and {most}."
            )));
        }
    }
    // What would be promised and not be done.
    if !inputs.kms_key_id.is_empty() {
        return Err(ApiError::unsupported_operation("The input kmsKeyId has no effect."));
    }
    Ok(())
}

fn version(call: &Call, content: &str, name: &Option<String>) -> DocumentVersion {
    DocumentVersion { content: content.to_owned(), created: call.now, name: name.clone() }
}

/// A version that is there.
fn described(
    call: &Call,
    document: &Own,
    number: usize,
) -> Answer<Option<ssm::DocumentDescription>> {
    let shown = Document::of_account(&call.scope, document, number);
    Ok(Some(shown.ok_or_else(|| no_version(&number.to_string()))?.described()))
}

/// CreateDocument.
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::CreateDocumentRequest,
) -> Answer<ssm::CreateDocumentResult> {
    let (name, content) = (text(&r.name, "Name")?, text(&r.content, "Content")?);
    match given(&r.document_type) {
        Some(SESSION) => {}
        kind => {
            let kind = kind.unwrap_or("Command");
            return Err(ApiError::unsupported_operation(format!(
                "Documents of the type {kind} cannot be made here; those of the type Session can."
            )));
        }
    }
    json_only(&r.document_format)?;
    let lower = name.to_ascii_lowercase();
    if RESERVED.iter().any(|reserved| lower.starts_with(reserved)) {
        let message = format!("The document name {name} begins with a reserved prefix.");
        return Err(ApiError::new("ValidationException", message));
    }
    if tx.find::<Own>(&call.scope, name).is_some() {
        let message = format!("Document with same name {name} already exists");
        return Err(ApiError::new("DocumentAlreadyExists", message));
    }
    if tx.all::<Own>(&call.scope).count() >= DOCUMENTS {
        let message = "You can have at most 500 active Systems Manager documents.";
        return Err(ApiError::new("DocumentLimitExceeded", message));
    }
    check(content)?;
    let tags = r.tags.iter();
    let tags = tags.filter_map(|tag| Some((tag.key.clone()?, tag.value.clone()?))).collect();
    let document = Own {
        name: name.to_owned(),
        versions: vec![version(call, content, &r.version_name)],
        default_version: 1,
        tags,
    };
    let document = tx.put(&call.scope, document);
    Ok(ssm::CreateDocumentResult { document_description: described(call, &document, 1)? })
}

/// The account's document of a name, to be changed.
fn own(call: &Call, tx: &Transaction, name: &str) -> Answer<Own> {
    if let Some(found) = tx.find::<Own>(&call.scope, short(name)) {
        return Ok(Own::clone(found));
    }
    if catalogue::document(short(name)).is_some() {
        let message = "Documents that AWS owns cannot be changed.";
        return Err(ApiError::new("InvalidDocumentOperation", message));
    }
    Err(document::not_found(name))
}

/// UpdateDocument: adds a version.
pub(crate) fn update(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::UpdateDocumentRequest,
) -> Answer<ssm::UpdateDocumentResult> {
    let (name, content) = (text(&r.name, "Name")?, text(&r.content, "Content")?);
    json_only(&r.document_format)?;
    let mut document = own(call, tx, name)?;
    let count = document.versions.len();
    let based_on = match given(&r.document_version) {
        None | Some("$LATEST") => count,
        Some("$DEFAULT") => document.default_version as usize,
        Some(other) => other.parse().map_err(|_| no_version(other))?,
    };
    // AWS takes changes of the newest version alone.
    if based_on != count {
        return Err(no_version(given(&r.document_version).unwrap_or_default()));
    }
    if count >= VERSIONS {
        let message = "The document has reached the limit of 1000 versions.";
        return Err(ApiError::new("DocumentVersionLimitExceeded", message));
    }
    if document.versions.last().is_some_and(|last| last.content == content) {
        let message = "The content of the association document matches another document. Change \
                       the content of the document and try again.";
        return Err(ApiError::new("DuplicateDocumentContent", message));
    }
    let named = |it: &DocumentVersion| it.name.is_some() && it.name == r.version_name;
    if document.versions.iter().any(named) {
        let message = "The version name has already been used in this document.";
        return Err(ApiError::new("DuplicateDocumentVersionName", message));
    }
    check(content)?;
    document.versions.push(version(call, content, &r.version_name));
    let document = tx.put(&call.scope, document);
    Ok(ssm::UpdateDocumentResult { document_description: described(call, &document, count + 1)? })
}

/// UpdateDocumentDefaultVersion.
pub(crate) fn set_default(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::UpdateDocumentDefaultVersionRequest,
) -> Answer<ssm::UpdateDocumentDefaultVersionResult> {
    let mut document = own(call, tx, text(&r.name, "Name")?)?;
    let wanted = text(&r.document_version, "DocumentVersion")?;
    let number: u32 = wanted.parse().map_err(|_| no_version(wanted))?;
    let version = document.versions.get((number as usize).wrapping_sub(1));
    let version_name = version.ok_or_else(|| no_version(wanted))?.name.clone();
    document.default_version = number;
    let document = tx.put(&call.scope, document);
    Ok(ssm::UpdateDocumentDefaultVersionResult {
        description: Some(ssm::DocumentDefaultVersionDescription {
            name: Some(document.name.clone()),
            default_version: Some(wanted.to_owned()),
            default_version_name: version_name,
        }),
    })
}

/// DeleteDocument: all of its versions.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::DeleteDocumentRequest,
) -> Answer<ssm::DeleteDocumentResult> {
    let document = own(call, tx, text(&r.name, "Name")?)?;
    tx.remove::<Own>(&call.scope, &document.name);
    Ok(ssm::DeleteDocumentResult {})
}
