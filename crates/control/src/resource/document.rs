//! Documents of Systems Manager: those that AWS owns and the account's own, and how parameters go
//! into them.

use std::collections::BTreeMap;

use gureum_api::{ApiError, ssm};
use gureum_store::Snapshot;
use gureum_types::{
    Timestamp,
    record::{Document as Own, Scope},
};
use regex::Regex;
use serde_json::{Map, Value};

use crate::{
    call::{Answer, Call, given, text},
    catalogue::{CREATED, DOCUMENTS, Document as Amazons, RUN_SHELL, document},
    page::page,
};

/// Who owns what comes with the service.
const AMAZON: &str = "Amazon";

/// A version of a document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) name: String,
    /// `Session` or `Command`.
    pub(crate) kind: &'static str,
    owner: String,
    text: String,
    created: Timestamp,
    version: usize,
    version_name: Option<String>,
    default_version: usize,
    latest_version: usize,
    tags: BTreeMap<String, String>,
}

/// The type of all documents that accounts own here.
pub(crate) const SESSION: &str = "Session";

impl Document {
    fn of_amazon(document: &Amazons) -> Self {
        Self {
            name: document.name.to_owned(),
            kind: document.kind,
            owner: AMAZON.to_owned(),
            text: document.text().to_owned(),
            created: CREATED,
            version: 1,
            version_name: None,
            default_version: 1,
            latest_version: 1,
            tags: BTreeMap::new(),
        }
    }

    /// The version of a number of an account's document.
    pub(super) fn of_account(scope: &Scope, document: &Own, number: usize) -> Option<Self> {
        let version = document.versions.get(number.checked_sub(1)?)?;
        Some(Self {
            name: document.name.clone(),
            kind: SESSION,
            owner: scope.account.to_string(),
            text: version.content.clone(),
            created: version.created,
            version: number,
            version_name: version.name.clone(),
            default_version: default_version(document),
            latest_version: document.versions.len(),
            tags: document.tags.clone(),
        })
    }

    fn content(&self) -> Value {
        // It was read when it was made.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// What a call that makes or changes a document answers.
    pub(super) fn described(&self) -> ssm::DocumentDescription {
        let content = self.content();
        let words = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let parameters = content["parameters"].as_object().into_iter().flatten();
        let parameters = parameters.map(|(name, rules)| ssm::DocumentParameter {
            name: Some(name.clone()),
            r#type: rules["type"].as_str().map(str::to_owned),
            description: rules["description"].as_str().map(str::to_owned),
            default_value: rules.get("default").map(words),
        });
        ssm::DocumentDescription {
            name: Some(self.name.clone()),
            owner: Some(self.owner.clone()),
            created_date: Some(self.created),
            status: Some("Active".into()),
            document_version: Some(self.version.to_string()),
            version_name: self.version_name.clone(),
            latest_version: Some(self.latest_version.to_string()),
            default_version: Some(self.default_version.to_string()),
            description: content["description"].as_str().map(str::to_owned),
            parameters: parameters.collect(),
            platform_types: vec!["Linux".into()],
            document_type: Some(self.kind.into()),
            schema_version: content["schemaVersion"].as_str().map(str::to_owned),
            document_format: Some("JSON".into()),
            tags: self.tags(),
            ..Default::default()
        }
    }

    fn tags(&self) -> Vec<ssm::Tag> {
        let tags = self.tags.iter();
        tags.map(|(key, value)| ssm::Tag { key: Some(key.clone()), value: Some(value.clone()) })
            .collect()
    }
}

/// The version that is meant where none is named. Of the preferences of sessions that is the newest,
/// as they have but one state.
fn default_version(document: &Own) -> usize {
    match document.name == RUN_SHELL {
        true => document.versions.len(),
        false => document.default_version as usize,
    }
}

/// The name in a name or an ARN.
pub(super) fn short(name: &str) -> &str {
    name.rsplit_once(":document/").map_or(name, |(_, short)| short)
}

pub(super) fn not_found(name: &str) -> ApiError {
    ApiError::new("InvalidDocument", format!("Document with name {name} does not exist."))
}

pub(super) fn no_version(version: &str) -> ApiError {
    let message = format!("The document version {version} is not valid or does not exist.");
    ApiError::new("InvalidDocumentVersion", message)
}

/// The document of a name or ARN, in its default version: the account's own goes before AWS's, as the
/// preferences of sessions do.
pub(crate) fn named(records: &Snapshot, scope: &Scope, name: &str) -> Answer<Document> {
    of_version(records, scope, name, None)
}

fn of_version(
    records: &Snapshot,
    scope: &Scope,
    name: &str,
    version: Option<&str>,
) -> Answer<Document> {
    let Some(own) = records.find::<Own>(scope, short(name)) else {
        let found = document(short(name)).ok_or_else(|| not_found(name))?;
        return match version {
            None | Some("$DEFAULT" | "$LATEST" | "1") => Ok(Document::of_amazon(found)),
            Some(other) => Err(no_version(other)),
        };
    };
    let number = match version {
        None | Some("$DEFAULT") => default_version(own),
        Some("$LATEST") => own.versions.len(),
        Some(other) => other.parse().map_err(|_| no_version(other))?,
    };
    Document::of_account(scope, own, number)
        .ok_or_else(|| no_version(version.unwrap_or("$DEFAULT")))
}

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidParameters", message)
}

/// A document's content with its parameters filled in. Parameters that it does not have, that lack
/// or that it does not allow are refused.
pub(crate) fn filled_in(
    document: &Document,
    parameters: &BTreeMap<String, Vec<String>>,
) -> Answer<Value> {
    let mut content = document.content();
    let declared = content["parameters"].as_object().cloned().unwrap_or_default();
    if let Some(unknown) = parameters.keys().find(|name| !declared.contains_key(*name)) {
        return Err(invalid(format!(
            "Parameter \"{unknown}\" is not defined in document \"{}\".",
            document.name
        )));
    }
    let mut values = Map::new();
    for (name, rules) in &declared {
        let value = match parameters.get(name) {
            Some(given) => value(name, rules, given)?,
            None => rules
                .get("default")
                .cloned()
                .ok_or_else(|| invalid(format!("Parameter \"{name}\" requires a value.")))?,
        };
        values.insert(name.clone(), value);
    }
    for part in ["properties", "runtimeConfig"] {
        if let Some(part) = content.get_mut(part) {
            fill_in(part, &values);
        }
    }
    Ok(content)
}

/// The value of a parameter as its declaration wants it.
fn value(name: &str, rules: &Value, given: &[String]) -> Answer<Value> {
    if rules["type"] == "StringList" {
        if given.is_empty() {
            return Err(invalid(format!("Parameter \"{name}\" requires at least one value.")));
        }
        return Ok(given.into());
    }
    let [value] = given else {
        return Err(invalid(format!("Parameter \"{name}\" accepts one value.")));
    };
    if let Some(pattern) = rules["allowedPattern"].as_str() {
        let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(ApiError::internal_error)?;
        if !whole.is_match(value) {
            return Err(invalid(format!(
                "Parameter \"{name}\" has value \"{value}\" not matching \"{pattern}\"."
            )));
        }
    }
    Ok(value.as_str().into())
}

/// Puts values where `{{ name }}` stands: whole where nothing else does, else as text.
fn fill_in(target: &mut Value, values: &Map<String, Value>) {
    match target {
        Value::Object(members) => members.values_mut().for_each(|it| fill_in(it, values)),
        Value::Array(items) => items.iter_mut().for_each(|it| fill_in(it, values)),
        Value::String(text) => {
            let name = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            if let Some(value) = name.and_then(|name| values.get(name.trim())) {
                *target = value.clone();
            }
        }
        _ => {}
    }
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &ssm::GetDocumentRequest,
) -> Answer<ssm::GetDocumentResult> {
    let name = text(&r.name, "Name")?;
    let document = of_version(records, &call.scope, name, given(&r.document_version))?;
    json_only(&r.document_format)?;
    Ok(ssm::GetDocumentResult {
        name: Some(document.name),
        created_date: Some(document.created),
        document_version: Some(document.version.to_string()),
        version_name: document.version_name,
        status: Some("Active".into()),
        content: Some(document.text),
        document_type: Some(document.kind.into()),
        document_format: Some("JSON".into()),
        ..Default::default()
    })
}

/// Documents are written in JSON alone here.
pub(super) fn json_only(format: &Option<String>) -> Answer<()> {
    match given(format).filter(|format| *format != "JSON") {
        None => Ok(()),
        Some(format) => {
            let message = format!("The document is not available in the format {format}.");
            Err(ApiError::new("InvalidDocumentContent", message))
        }
    }
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ssm::DescribeDocumentRequest,
) -> Answer<ssm::DescribeDocumentResult> {
    let name = text(&r.name, "Name")?;
    let document = of_version(records, &call.scope, name, given(&r.document_version))?;
    Ok(ssm::DescribeDocumentResult { document: Some(document.described()) })
}

/// ListDocumentVersions.
pub(crate) fn versions(
    call: &Call,
    records: &Snapshot,
    r: &ssm::ListDocumentVersionsRequest,
) -> Answer<ssm::ListDocumentVersionsResult> {
    let name = text(&r.name, "Name")?;
    let newest = of_version(records, &call.scope, name, Some("$LATEST"))?;
    let numbers = (1..=newest.latest_version).rev().map(|number| number.to_string());
    let (numbers, next_token) =
        page(numbers.collect(), r.max_results, &r.next_token, |number| Some(number))?;
    let shown = numbers.into_iter().map(|number| {
        let version = of_version(records, &call.scope, name, Some(&number))?;
        Ok(ssm::DocumentVersionInfo {
            name: Some(version.name),
            document_version: Some(number),
            version_name: version.version_name,
            created_date: Some(version.created),
            is_default_version: Some(version.version == version.default_version),
            document_format: Some("JSON".into()),
            status: Some("Active".into()),
            ..Default::default()
        })
    });
    Ok(ssm::ListDocumentVersionsResult {
        document_versions: shown.collect::<Answer<_>>()?,
        next_token,
    })
}

/// All documents that an account sees, by name.
fn all(records: &Snapshot, scope: &Scope) -> Vec<Document> {
    let own = records.all::<Own>(scope);
    let mut found: BTreeMap<String, Document> =
        DOCUMENTS.iter().map(|it| (it.name.to_owned(), Document::of_amazon(it))).collect();
    found.extend(own.filter_map(|it| {
        Some((it.name.clone(), Document::of_account(scope, it, default_version(it))?))
    }));
    found.into_values().collect()
}

pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &ssm::ListDocumentsRequest,
) -> Answer<ssm::ListDocumentsResult> {
    let mut filters: Vec<(&str, Vec<&str>)> = Vec::new();
    for filter in &r.filters {
        let values = filter.values.iter().map(String::as_str).collect();
        filters.push((text(&filter.key, "Key")?, values));
    }
    for filter in &r.document_filter_list {
        filters.push((text(&filter.key, "key")?, vec![text(&filter.value, "value")?]));
    }
    let mut found = all(records, &call.scope);
    for (key, values) in filters {
        // What a document says under a key, and how values are compared with it.
        let wanted: fn(&Document, &str) -> bool = match key {
            "Name" => |document, value| document.name.starts_with(value),
            "Owner" => |document, value| match value {
                "Self" | "Private" => document.owner != AMAZON,
                "Public" => document.owner == AMAZON,
                owner => document.owner == owner,
            },
            "PlatformTypes" => |_, value| value == "Linux",
            "DocumentType" => |document, value| document.kind == value,
            other => {
                let message = format!("The filter {other} is not valid.");
                return Err(ApiError::new("InvalidFilterKey", message));
            }
        };
        found.retain(|document| values.iter().any(|value| wanted(document, value)));
    }
    let (found, next_token) =
        page(found, r.max_results, &r.next_token, |document| Some(&document.name))?;
    let document_identifiers = found.into_iter().map(|document| ssm::DocumentIdentifier {
        schema_version: document.content()["schemaVersion"].as_str().map(str::to_owned),
        tags: document.tags(),
        name: Some(document.name),
        created_date: Some(document.created),
        owner: Some(document.owner),
        version_name: document.version_name,
        platform_types: vec!["Linux".into()],
        document_version: Some(document.version.to_string()),
        document_type: Some(document.kind.into()),
        document_format: Some("JSON".into()),
        ..Default::default()
    });
    Ok(ssm::ListDocumentsResult {
        document_identifiers: document_identifiers.collect(),
        next_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::place::fixture::{Cloud, code};

    fn parameters(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let text = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        pairs.iter().map(|(name, values)| ((*name).to_owned(), text(values))).collect()
    }

    fn amazons(name: &str) -> Document {
        let cloud = Cloud::new();
        named(&cloud.records(), &cloud.call.scope, name).expect("a document")
    }

    #[test]
    fn parameters_are_filled_in_or_defaults() {
        let document = amazons("AWS-StartPortForwardingSession");
        let content = filled_in(&document, &parameters(&[("portNumber", &["8080"])]));
        assert_eq!(
            content.expect("filled in")["properties"],
            serde_json::json!({
                "portNumber": "8080", "type": "LocalPortForwarding", "localPortNumber": "0",
            })
        );
        let script = amazons("arn:aws:ssm:ap-northeast-2::document/AWS-RunShellScript");
        let content = filled_in(&script, &parameters(&[("commands", &["id", "exit 3"])]));
        let step = &content.expect("filled in")["runtimeConfig"]["aws:runShellScript"];
        assert_eq!(step["properties"][0]["runCommand"], serde_json::json!(["id", "exit 3"]));
        assert_eq!(step["properties"][0]["timeoutSeconds"], "3600");
    }

    #[test]
    fn parameters_that_do_not_fit_are_refused() {
        let document = amazons("AWS-StartPortForwardingSession");
        for wrong in [
            ("portNumber", &["0"] as &[&str]),
            ("portNumber", &["65536"]),
            ("portNumber", &["80", "81"]),
            ("portNumber", &["80; id"]),
            ("host", &["db"]),
        ] {
            assert_eq!(code(filled_in(&document, &parameters(&[wrong]))), "InvalidParameters");
        }
        let command = amazons("AWS-StartInteractiveCommand");
        assert_eq!(code(filled_in(&command, &parameters(&[]))), "InvalidParameters");
        let cloud = Cloud::new();
        let unheard = named(&cloud.records(), &cloud.call.scope, "AWS-Unheard");
        assert_eq!(code(unheard), "InvalidDocument");
    }

    #[test]
    fn documents_are_listed_by_filters() {
        let cloud = Cloud::new();
        let filter = |key: &str, value: &str| ssm::DocumentKeyValuesFilter {
            key: Some(key.into()),
            values: vec![value.into()],
        };
        let list = |filters: Vec<ssm::DocumentKeyValuesFilter>| {
            let r = ssm::ListDocumentsRequest { filters, ..Default::default() };
            super::list(&cloud.call, &cloud.records(), &r)
        };
        let sessions = list(vec![filter("DocumentType", "Session"), filter("Owner", "Amazon")]);
        assert_eq!(sessions.expect("listed").document_identifiers.len(), 6);
        let own = list(vec![filter("Owner", "Self")]).expect("listed");
        assert!(own.document_identifiers.is_empty());
        assert_eq!(code(list(vec![filter("Colour", "red")])), "InvalidFilterKey");
    }
}
