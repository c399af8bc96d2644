//! Parameters that an account owns: made, changed, taken away, and what they were. How they are read
//! together with AWS's own is in [`super::ssm`]; labels are not served.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_api::{ApiError, ssm};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Parameter as Own, ParameterVersion};
use regex::Regex;

use super::{image, parameter_filter, ssm_tag};
use crate::{
    call::{Answer, Call, given, text},
    page::page,
};

/// The longest values of the tiers, in bytes.
const STANDARD_SIZE: usize = 4 << 10;
const ADVANCED_SIZE: usize = 8 << 10;
/// The most characters and levels of a name.
const NAME_LENGTH: usize = 1011;
const LEVELS: usize = 15;
/// How many versions are kept.
const VERSIONS: usize = 100;
/// How many parameters of the tier Standard an account may have in a region.
const PARAMETERS: usize = 10_000;
/// The key of values that are to be kept secret, where the caller names none.
const KEY: &str = "alias/aws/ssm";
/// The type of values that are shown only to those who ask for them.
pub(super) const SECURE: &str = "SecureString";
/// How many items a page has when the request does not say.
const PAGE: i32 = 50;

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", message)
}

/// The name or ARN of a parameter without the version or label behind it.
pub(crate) fn without_selector(text: &str) -> &str {
    let begin = text.find(":parameter/").map_or(0, |at| at + ":parameter".len());
    match text[begin..].find(':') {
        Some(at) => &text[..begin + at],
        None => text,
    }
}

/// The parameter that a name or ARN means, with a selector or without. ARNs do not tell `/name` from
/// `name`, so that they find either.
pub(crate) fn find<'a>(call: &Call, records: &'a Snapshot, text: &str) -> Option<&'a Arc<Own>> {
    let named = |name: &str| records.find::<Own>(&call.scope, name);
    let text = without_selector(text);
    let begin = format!("arn:aws:ssm:{}:{}:parameter", call.region(), call.account());
    match text.strip_prefix(&begin) {
        Some(path) => named(path).or_else(|| named(path.trim_start_matches('/'))),
        None => named(text),
    }
}

pub(super) fn arn(call: &Call, name: &str) -> String {
    let path = name.trim_start_matches('/');
    format!("arn:aws:ssm:{}:{}:parameter/{path}", call.region(), call.account())
}

pub(super) fn not_found(text: &str) -> ApiError {
    ApiError::new("ParameterNotFound", format!("Parameter {text} not found."))
}

/// What a caller sees of a value.
pub(super) fn value(version: &ParameterVersion, with_decryption: Option<bool>) -> String {
    match &version.sealed {
        Some(sealed) if with_decryption != Some(true) => sealed.clone(),
        _ => version.value.clone(),
    }
}

/// Whether a parameter may have a name.
fn check_name(name: &str) -> Answer<()> {
    let is_path = name.contains('/');
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    let level = first.split('/').next().unwrap_or_default();
    if is_path && level == "aws" {
        let message = format!("No access to reserved parameter name: {name}.");
        return Err(ApiError::new("AccessDeniedException", message));
    }
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err(invalid(
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).",
        ));
    }
    let allowed = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_' | '/');
    let mut levels = name.strip_prefix('/').unwrap_or(name).split('/');
    if !name.chars().all(allowed) || levels.any(str::is_empty) {
        return Err(invalid(
            "Parameter name: can consist of sub-paths divided by slash symbol; each sub-path can \
             be formed as a mix of letters, numbers and the following 3 symbols .-_",
        ));
    }
    if is_path && !name.starts_with('/') {
        return Err(invalid("Parameter name must be a fully qualified name."));
    }
    if name.strip_prefix('/').map_or(0, |path| path.split('/').count()) > LEVELS {
        let message = "A parameter name hierarchy can have a maximum of 15 levels.";
        return Err(ApiError::new("HierarchyLevelLimitExceededException", message));
    }
    match name.len() > NAME_LENGTH {
        true => Err(invalid("Parameter name can have a maximum of 1011 characters.")),
        false => Ok(()),
    }
}

/// Whether a value matches the expression that its owner wants it to.
fn check_pattern(pattern: Option<&str>, value: &str) -> Answer<()> {
    let Some(pattern) = pattern else { return Ok(()) };
    let expression = Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
        let message = format!(
            "The request does not meet the regular expression requirement: \
                               {pattern} is not valid."
        );
        ApiError::new("InvalidAllowedPatternException", message)
    })?;
    match expression.is_match(value) {
        true => Ok(()),
        false => {
            let message =
                format!("Parameter value, cannot be validated against allowedPattern: {pattern}");
            Err(ApiError::new("ParameterPatternMismatchException", message))
        }
    }
}

/// Whether a value is what its data type says.
fn check_data(call: &Call, tx: &Transaction, kind: &str, data: &str, value: &str) -> Answer<()> {
    match data {
        "text" => Ok(()),
        "aws:ec2:image" if kind != "String" => {
            Err(invalid("The data type aws:ec2:image is for parameters of the type String."))
        }
        "aws:ec2:image" if image::exists(call, tx, value) => Ok(()),
        "aws:ec2:image" => Err(invalid(format!("The image {value} does not exist."))),
        other => Err(invalid(format!(
            "The following data type is not supported: {other} (Data type names are all \
             lowercase.)"
        ))),
    }
}

/// The tier of a value: what is wanted, or what was.
fn tier(wanted: Option<&str>, old: Option<&ParameterVersion>, size: usize) -> Answer<&'static str> {
    const UPGRADE: &str = "Standard tier parameters support a maximum parameter value of 4096 \
                           characters. To create a larger parameter value, upgrade the parameter \
                           to use the advanced-parameter tier. For more information, see \
                           https://docs.aws.amazon.com/systems-manager/latest/userguide/\
                           parameter-store-advanced-parameters.html";
    const DOWNGRADE: &str = "This parameter uses the advanced-parameter tier. You can't downgrade \
                             a parameter from the advanced-parameter tier to the \
                             standard-parameter tier. If necessary, you can delete the advanced \
                             parameter and recreate it as a standard parameter.";
    let was_advanced = old.is_some_and(|it| it.tier == "Advanced");
    if size > ADVANCED_SIZE {
        let message = "Advanced tier parameters support a maximum parameter value of 8192 \
                       characters.";
        return Err(invalid(if wanted.is_none_or(|it| it == "Standard") && !was_advanced {
            UPGRADE
        } else {
            message
        }));
    }
    match wanted {
        Some("Standard") if was_advanced => Err(invalid(DOWNGRADE)),
        _ if was_advanced => Ok("Advanced"),
        Some("Advanced") => Ok("Advanced"),
        Some("Intelligent-Tiering") if size > STANDARD_SIZE => Ok("Advanced"),
        _ if size > STANDARD_SIZE => Err(invalid(UPGRADE)),
        _ => Ok("Standard"),
    }
}

/// What is shown of a secret value: as long as a key's text, and random, so that nothing can be
/// learned from it.
fn seal(call: &Call) -> String {
    let random: Vec<u8> = (0..12).flat_map(|_| call.random().to_be_bytes()).collect();
    STANDARD.encode(random)
}

/// The version that a request makes.
fn version(
    call: &Call,
    tx: &Transaction,
    r: &ssm::PutParameterRequest,
    old: Option<&ParameterVersion>,
) -> Answer<ParameterVersion> {
    let kept = |it: fn(&ParameterVersion) -> &str| old.map(it);
    let kind = given(&r.r#type)
        .or_else(|| kept(|it| &it.kind))
        .ok_or_else(|| invalid("A parameter type is required when you create a parameter."))?;
    let value = r.value.as_deref().filter(|value| !value.is_empty()).ok_or_else(|| {
        invalid(
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member \
             must have length greater than or equal to 1.",
        )
    })?;
    if value.contains("{{") && value.contains("}}") {
        return Err(invalid("Parameter values can't refer to other parameters with {{}}."));
    }
    let is_secure = kind == SECURE;
    if !is_secure && given(&r.key_id).is_some() {
        return Err(invalid(format!("KeyId is for parameters of the type {SECURE} only.")));
    }
    let old_key = old.and_then(|it| it.key_id.as_deref());
    let key_id = given(&r.key_id).or(old_key).unwrap_or(KEY);
    let pattern = match &r.allowed_pattern {
        Some(pattern) => Some(pattern.clone()).filter(|it| !it.is_empty()),
        None => old.and_then(|it| it.allowed_pattern.clone()),
    };
    let data_type = given(&r.data_type).or_else(|| kept(|it| &it.data_type)).unwrap_or("text");
    let tier = tier(given(&r.tier), old, value.len())?;
    check_pattern(pattern.as_deref(), value)?;
    check_data(call, tx, kind, data_type, value)?;
    Ok(ParameterVersion {
        number: old.map_or(1, |it| it.number + 1),
        kind: kind.to_owned(),
        value: value.to_owned(),
        sealed: is_secure.then(|| seal(call)),
        key_id: is_secure.then(|| key_id.to_owned()),
        description: r.description.clone().or_else(|| old.and_then(|it| it.description.clone())),
        allowed_pattern: pattern,
        tier: tier.to_owned(),
        data_type: data_type.to_owned(),
        modified: call.now,
        user: call.caller.arn(),
    })
}

/// PutParameter.
pub(crate) fn put(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::PutParameterRequest,
) -> Answer<ssm::PutParameterResult> {
    let name = text(&r.name, "Name")?;
    check_name(name)?;
    let overwrite = r.overwrite == Some(true);
    if overwrite && !r.tags.is_empty() {
        return Err(invalid(
            "Invalid request: tags and overwrite can't be used together. To create a parameter \
             with tags, please remove overwrite flag. To update tags for an existing parameter, \
             please use AddTagsToResource or RemoveTagsFromResource.",
        ));
    }
    let mut parameter = match tx.find::<Own>(&call.scope, name) {
        Some(_) if !overwrite => {
            let message = "The parameter already exists. To overwrite this value, set the \
                           overwrite option in the request to true.";
            return Err(ApiError::new("ParameterAlreadyExists", message));
        }
        Some(found) => Own::clone(found),
        None => Own {
            name: name.to_owned(),
            versions: Vec::new(),
            tags: ssm_tag::with(gureum_types::Tags::new(), &r.tags)?,
        },
    };
    let is_new = parameter.versions.is_empty();
    if is_new && tx.all::<Own>(&call.scope).count() >= PARAMETERS {
        let message = "You have exceeded the number of parameters for this AWS account.";
        return Err(ApiError::new("ParameterLimitExceeded", message));
    }
    let made = version(call, tx, r, parameter.versions.last())?;
    let (number, tier) = (made.number, made.tier.clone());
    parameter.versions.push(made);
    let too_many = parameter.versions.len().saturating_sub(VERSIONS);
    parameter.versions.drain(..too_many);
    tx.put(&call.scope, parameter);
    Ok(ssm::PutParameterResult { version: Some(number), tier: Some(tier) })
}

/// DeleteParameter: all of its versions.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::DeleteParameterRequest,
) -> Answer<ssm::DeleteParameterResult> {
    let name = text(&r.name, "Name")?;
    let found = find(call, tx, name).ok_or_else(|| not_found(name))?.name.clone();
    tx.remove::<Own>(&call.scope, &found);
    Ok(ssm::DeleteParameterResult {})
}

/// DeleteParameters: those that are not there are listed instead of failing the whole.
pub(crate) fn delete_several(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::DeleteParametersRequest,
) -> Answer<ssm::DeleteParametersResult> {
    let mut answer = ssm::DeleteParametersResult::default();
    for name in &r.names {
        match find(call, tx, name).map(|found| found.name.clone()) {
            Some(found) => {
                tx.remove::<Own>(&call.scope, &found);
                answer.deleted_parameters.push(name.clone());
            }
            None => answer.invalid_parameters.push(name.clone()),
        }
    }
    Ok(answer)
}

/// GetParameterHistory, the oldest version first.
pub(crate) fn history(
    call: &Call,
    records: &Snapshot,
    r: &ssm::GetParameterHistoryRequest,
) -> Answer<ssm::GetParameterHistoryResult> {
    let name = text(&r.name, "Name")?;
    let parameter = find(call, records, name).ok_or_else(|| not_found(name))?;
    let versions: Vec<_> =
        parameter.versions.iter().map(|it| (format!("{:019}", it.number), it)).collect();
    let size = Some(r.max_results.unwrap_or(PAGE));
    let (versions, next_token) = page(versions, size, &r.next_token, |(number, _)| Some(number))?;
    let shown = versions.into_iter().map(|(_, version)| ssm::ParameterHistory {
        name: Some(parameter.name.clone()),
        r#type: Some(version.kind.clone()),
        key_id: version.key_id.clone(),
        last_modified_date: Some(version.modified),
        last_modified_user: Some(version.user.clone()),
        description: version.description.clone(),
        value: Some(value(version, r.with_decryption)),
        allowed_pattern: version.allowed_pattern.clone(),
        version: Some(version.number),
        tier: Some(version.tier.clone()),
        data_type: Some(version.data_type.clone()),
        ..Default::default()
    });
    Ok(ssm::GetParameterHistoryResult { parameters: shown.collect(), next_token })
}

/// DescribeParameters: all but the values.
pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ssm::DescribeParametersRequest,
) -> Answer<ssm::DescribeParametersResult> {
    let filters = parameter_filter::read(&r.filters, &r.parameter_filters)?;
    let all = records.all::<Own>(&call.scope);
    let found = all.filter(|it| filters.iter().all(|filter| filter.passes(it))).collect();
    let size = Some(r.max_results.unwrap_or(PAGE));
    let (found, next_token) =
        page(found, size, &r.next_token, |it: &&Arc<Own>| Some(it.name.as_str()))?;
    let shown = found.into_iter().filter_map(|it| {
        let version = it.version(None)?;
        Some(ssm::ParameterMetadata {
            name: Some(it.name.clone()),
            arn: Some(arn(call, &it.name)),
            r#type: Some(version.kind.clone()),
            key_id: version.key_id.clone(),
            last_modified_date: Some(version.modified),
            last_modified_user: Some(version.user.clone()),
            description: version.description.clone(),
            allowed_pattern: version.allowed_pattern.clone(),
            version: Some(version.number),
            tier: Some(version.tier.clone()),
            data_type: Some(version.data_type.clone()),
            ..Default::default()
        })
    });
    Ok(ssm::DescribeParametersResult { parameters: shown.collect(), next_token })
}
