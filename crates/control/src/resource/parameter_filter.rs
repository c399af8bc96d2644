//! Filters of parameters: DescribeParameters takes more keys than GetParametersByPath.

use gureum_api::{ApiError, ssm};
use gureum_types::record::Parameter;

use crate::call::{Answer, given, text};

/// The keys of GetParametersByPath.
pub(super) const OF_PATHS: &[&str] = &["KeyId", "Label", "Type"];
/// The keys of DescribeParameters beside `tag:` and the key of a tag.
const ALL: &[&str] = &["DataType", "KeyId", "Label", "Name", "Path", "Tier", "Type"];

/// A filter that was found right.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    key: String,
    option: String,
    values: Vec<String>,
}

/// A filter of a request, with one of some keys.
pub(super) fn checked(keys: &[&str], filter: &ssm::ParameterStringFilter) -> Answer<Filter> {
    let key = text(&filter.key, "Key")?;
    let is_tag = keys == ALL && key.starts_with("tag:");
    if !keys.contains(&key) && !is_tag {
        let valid = keys.join(", ");
        let message = format!("The filter key {key} is not valid. Valid keys: {valid}.");
        return Err(ApiError::new("InvalidFilterKey", message));
    }
    let options: &[&str] = match key {
        "Path" => &["OneLevel", "Recursive"],
        "Name" => &["Equals", "BeginsWith", "Contains"],
        _ => &["Equals", "BeginsWith"],
    };
    let option = given(&filter.option).unwrap_or(options[0]);
    if !options.contains(&option) {
        let valid = options.join(", ");
        let message = format!("The filter option {option} is not valid. Valid options: {valid}.");
        return Err(ApiError::new("InvalidFilterOption", message));
    }
    if filter.values.is_empty() && !is_tag {
        let message = format!("The filter {key} has no values.");
        return Err(ApiError::new("InvalidFilterValue", message));
    }
    if key == "Path" && filter.values.iter().any(|path| !path.starts_with('/')) {
        let message = "The parameter doesn't meet the parameter name requirements. The parameter \
                       name must begin with a forward slash \"/\".";
        return Err(ApiError::new("ValidationException", message));
    }
    let (key, option) = (key.to_owned(), option.to_owned());
    Ok(Filter { key, option, values: filter.values.clone() })
}

/// The filters of DescribeParameters, which has them in an old form and a new one.
pub(super) fn read(
    old: &[ssm::ParametersFilter],
    new: &[ssm::ParameterStringFilter],
) -> Answer<Vec<Filter>> {
    if !old.is_empty() && !new.is_empty() {
        let message = "You can use either Filters or ParameterFilters in a single request.";
        return Err(ApiError::new("ValidationException", message));
    }
    let old = old.iter().map(|it| ssm::ParameterStringFilter {
        key: it.key.clone(),
        option: Some("BeginsWith".to_owned()),
        values: it.values.clone(),
    });
    old.chain(new.iter().cloned()).map(|it| checked(ALL, &it)).collect()
}

/// Whether a name is beneath a folder; everything is beneath `/`.
pub(super) fn is_beneath(folder: &str, name: &str, recursive: bool) -> bool {
    let folder = format!("{}/", folder.trim_end_matches('/'));
    let rest = match folder.as_str() {
        "/" => Some(name.strip_prefix('/').unwrap_or(name)),
        _ => name.strip_prefix(&folder),
    };
    rest.is_some_and(|rest| recursive || !rest.contains('/'))
}

impl Filter {
    /// Whether a text is as one of the values wants it.
    pub(super) fn fits(&self, key: &str, text: &str) -> bool {
        self.key == key && self.wants(text)
    }

    fn wants(&self, text: &str) -> bool {
        self.values.iter().any(|value| match self.option.as_str() {
            "BeginsWith" => text.starts_with(value),
            "Contains" => text.contains(value),
            "OneLevel" => is_beneath(value, text, false),
            "Recursive" => is_beneath(value, text, true),
            _ => text == value,
        })
    }

    /// Whether the newest version of an account's parameter passes.
    pub(super) fn passes(&self, parameter: &Parameter) -> bool {
        if let Some(key) = self.key.strip_prefix("tag:") {
            let tag = parameter.tags.get(key);
            return tag.is_some_and(|value| self.values.is_empty() || self.wants(value));
        }
        let Some(version) = parameter.version(None) else { return false };
        let text = match self.key.as_str() {
            "DataType" => Some(&version.data_type),
            "KeyId" => version.key_id.as_ref(),
            "Name" | "Path" => Some(&parameter.name),
            "Tier" => Some(&version.tier),
            "Type" => Some(&version.kind),
            // No version has a label.
            _ => None,
        };
        text.is_some_and(|text| self.wants(text))
    }
}
