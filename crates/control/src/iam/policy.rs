//! Policy documents: what JSON means, and what IAM refuses.

use std::collections::BTreeSet;

use gureum_api::ApiError;
use serde_json::{Map, Value};

use super::condition::Condition;
use crate::call::Answer;

/// The version with variables.
const VERSION: &str = "2012-10-17";
/// The one before, which a document without a version means.
const OLD_VERSION: &str = "2008-10-17";

/// A policy that can be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Whether `${…}` are variables.
    pub(crate) has_variables: bool,
    pub(crate) statements: Vec<Statement>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    /// `Action` or `NotAction`.
    pub(crate) actions: Option<Listed>,
    /// `Resource` or `NotResource`.
    pub(crate) resources: Option<Listed>,
    /// `Principal` or `NotPrincipal`.
    pub(crate) principals: Option<Principals>,
    /// All must hold.
    pub(crate) conditions: Vec<Condition>,
}

/// What a statement does where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// Patterns, or all but what they match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) negated: bool,
    pub(crate) patterns: Vec<String>,
}

/// Who a statement speaks of, or of all but them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principals {
    pub(crate) negated: bool,
    /// Accounts, users, roles, sessions, or `*` for everybody.
    pub(crate) aws: Vec<String>,
    /// Services, as `ec2.amazonaws.com`.
    pub(crate) services: Vec<String>,
    /// Identity providers.
    pub(crate) federated: Vec<String>,
}

/// Why a text is no policy, as AWS says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

impl From<Malformed> for ApiError {
    fn from(malformed: Malformed) -> Self {
        Self::malformed_policy_document(malformed.0)
    }
}

fn syntax() -> Malformed {
    Malformed("Syntax errors in policy.".to_owned())
}

/// Reads a policy of any kind.
pub(crate) fn parse(text: &str) -> Result<Policy, Malformed> {
    let Ok(Value::Object(document)) = serde_json::from_str(text) else { return Err(syntax()) };
    let has_variables = match document.get("Version") {
        Some(Value::String(version)) if version == VERSION => true,
        Some(Value::String(version)) if version == OLD_VERSION => false,
        None => false,
        Some(_) => return Err(syntax()),
    };
    known(&document, &["Id", "Statement", "Version"])?;
    optional_text(&document, "Id")?;
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return Err(syntax()),
    };
    let statements = statements.into_iter().map(statement).collect::<Result<Vec<_>, _>>()?;
    let mut ids = BTreeSet::new();
    let named = statements.iter().filter_map(|it| it.sid.as_deref()).filter(|sid| !sid.is_empty());
    for sid in named {
        if !ids.insert(sid) {
            return Err(Malformed(
                "Statement IDs (SID) in a single policy must be unique.".to_owned(),
            ));
        }
    }
    Ok(Policy { has_variables, statements })
}

/// Reads a policy that is attached to a user, group or role, or is a managed one, or one of a
/// session.
pub(crate) fn parse_identity(text: &str) -> Answer<Policy> {
    let policy = parse(text)?;
    if !policy.has_variables {
        let message = format!("Policy document must be version {VERSION} or greater.");
        return Err(Malformed(message).into());
    }
    for statement in &policy.statements {
        if statement.principals.is_some() {
            let message = "Policy document should not specify a principal.";
            return Err(Malformed(message.to_owned()).into());
        }
        let actions = listed(&statement.actions, "actions")?;
        let resources = listed(&statement.resources, "resources")?;
        resources.patterns.iter().try_for_each(|it| resource(it))?;
        actions.patterns.iter().try_for_each(|it| action(it))?;
    }
    Ok(policy)
}

/// Reads the trust policy of a role.
pub(crate) fn parse_trust(text: &str) -> Answer<Policy> {
    let policy = parse(text)?;
    for statement in &policy.statements {
        let refused = |message: &str| Err(Malformed(message.to_owned()).into());
        if statement.resources.is_some() {
            return refused("Has prohibited field Resource");
        }
        if statement.principals.is_none() {
            return refused("Missing required field Principal");
        }
        let actions = listed(&statement.actions, "actions")?;
        for pattern in &actions.patterns {
            action(pattern)?;
            if !pattern.to_ascii_lowercase().starts_with("sts:") && pattern != "*" {
                return refused("AssumeRole policy may only specify STS AssumeRole actions.");
            }
        }
    }
    Ok(policy)
}

fn listed<'a>(list: &'a Option<Listed>, what: &str) -> Result<&'a Listed, Malformed> {
    let list = list.as_ref().filter(|list| !list.patterns.is_empty());
    list.ok_or_else(|| Malformed(format!("Policy statement must contain {what}.")))
}

fn statement(value: &Value) -> Result<Statement, Malformed> {
    let Value::Object(object) = value else { return Err(syntax()) };
    known(
        object,
        &[
            "Action",
            "Condition",
            "Effect",
            "NotAction",
            "NotPrincipal",
            "NotResource",
            "Principal",
            "Resource",
            "Sid",
        ],
    )?;
    let effect = match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(syntax()),
    };
    let principals = match (object.get("Principal"), object.get("NotPrincipal")) {
        (Some(value), None) => Some(principals(value, false)?),
        (None, Some(value)) => Some(principals(value, true)?),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(syntax()),
    };
    Ok(Statement {
        sid: optional_text(object, "Sid")?,
        effect,
        actions: either(object, "Action", "NotAction")?,
        resources: either(object, "Resource", "NotResource")?,
        principals,
        conditions: conditions(object.get("Condition"))?,
    })
}

fn known(object: &Map<String, Value>, names: &[&str]) -> Result<(), Malformed> {
    match object.keys().all(|key| names.contains(&key.as_str())) {
        true => Ok(()),
        false => Err(syntax()),
    }
}

fn optional_text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, Malformed> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(syntax()),
    }
}

fn either(
    object: &Map<String, Value>,
    name: &str,
    negation: &str,
) -> Result<Option<Listed>, Malformed> {
    match (object.get(name), object.get(negation)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Listed { negated: false, patterns: texts(value)? })),
        (None, Some(value)) => Ok(Some(Listed { negated: true, patterns: texts(value)? })),
        (Some(_), Some(_)) => Err(syntax()),
    }
}

/// A text or a list of texts.
fn texts(value: &Value) -> Result<Vec<String>, Malformed> {
    let one = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(syntax);
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn principals(value: &Value, negated: bool) -> Result<Principals, Malformed> {
    let mut found =
        Principals { negated, aws: Vec::new(), services: Vec::new(), federated: Vec::new() };
    match value {
        Value::String(text) if text == "*" => found.aws.push(text.clone()),
        Value::Object(object) if !object.is_empty() => {
            known(object, &["AWS", "CanonicalUser", "Federated", "Service"])?;
            for (kind, value) in object {
                match kind.as_str() {
                    "AWS" => found.aws = texts(value)?,
                    "Service" => found.services = texts(value)?,
                    "Federated" => found.federated = texts(value)?,
                    // Nobody here has such an id.
                    _ => drop(texts(value)?),
                }
            }
        }
        _ => return Err(syntax()),
    }
    Ok(found)
}

fn conditions(value: Option<&Value>) -> Result<Vec<Condition>, Malformed> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Object(operators) = value else { return Err(syntax()) };
    let mut found = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else { return Err(syntax()) };
        for (key, values) in keys {
            let values = match values {
                Value::Array(values) => values.iter().map(scalar).collect::<Result<_, _>>()?,
                value => vec![scalar(value)?],
            };
            found.push(Condition::new(operator, key, values).ok_or_else(syntax)?);
        }
    }
    Ok(found)
}

/// Conditions may have numbers and truth values, which are texts all the same.
fn scalar(value: &Value) -> Result<String, Malformed> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(syntax()),
    }
}

fn action(pattern: &str) -> Result<(), Malformed> {
    if pattern == "*" {
        return Ok(());
    }
    let message = match pattern.split(':').collect::<Vec<_>>()[..] {
        [vendor, _] => {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if vendor == "*" || vendor.chars().all(fits) {
                return Ok(());
            }
            format!("Vendor {vendor} is not valid")
        }
        [_] => "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".into(),
        _ => "Actions/Condition can contain only one colon.".to_owned(),
    };
    Err(Malformed(message))
}

/// What the resources of IAM begin with.
const IAM_RESOURCES: [&str; 13] = [
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

fn resource(pattern: &str) -> Result<(), Malformed> {
    if pattern == "*" {
        return Ok(());
    }
    let parts: Vec<&str> = pattern.splitn(6, ':').collect();
    let part = |number: usize| parts.get(number).copied().filter(|it| !it.is_empty());
    let message = match parts[..] {
        [_] => format!("Resource {pattern} must be in ARN format or \"*\"."),
        [_, "aws"] => "Resource vendor must be fully qualified and cannot contain regexes.".into(),
        [_, "aws", "iam", region, ..] if !region.is_empty() && region != "*" => {
            format!("IAM resource {pattern} cannot contain region information.")
        }
        [_, "aws", "s3", region, ..] if !region.is_empty() && region != "*" => {
            format!("Resource {pattern} can not contain region information.")
        }
        [_, "aws", "iam", _, _, path]
            if !path.contains(['*', '?'])
                && !IAM_RESOURCES.iter().any(|it| path.starts_with(it)) =>
        {
            format!(
                "IAM resource path must either be \"*\" or start with {}.",
                IAM_RESOURCES.join(", ")
            )
        }
        ["arn", "aws", _, _, _, _] | ["arn", "*", _, _, _, _] => return Ok(()),
        ["arn", "aws", ..] => "The policy failed legacy parsing".to_owned(),
        [_, partition, ..] => format!(
            "Partition \"{partition}\" is not valid for resource \"arn:{partition}:{}:{}:{}:{}\".",
            part(2).unwrap_or("*"),
            part(3).unwrap_or("*"),
            part(4).unwrap_or("*"),
            part(5).unwrap_or("*"),
        ),
        [] => return Ok(()),
    };
    Err(Malformed(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(statement: &str) -> String {
        format!("{{\"Version\":\"2012-10-17\",\"Statement\":{statement}}}")
    }

    #[test]
    fn a_policy_is_read() {
        let policy = parse_identity(&with(
            r#"[{"Sid": "a", "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
                {"Effect": "Deny", "NotAction": ["ec2:*", "*"], "NotResource": ["arn:aws:s3:::b"],
                 "Condition": {"Bool": {"aws:SecureTransport": false},
                               "NumericLessThan": {"k": [1, "2"]}}}]"#,
        ))
        .expect("well formed");
        assert_eq!(policy.statements.len(), 2);
        assert_eq!(policy.statements[1].effect, Effect::Deny);
        assert_eq!(policy.statements[1].conditions.len(), 2);
        assert!(policy.statements[1].actions.as_ref().is_some_and(|it| it.negated));
    }

    #[test]
    fn what_is_no_policy_has_syntax_errors() {
        for text in [
            "",
            "no JSON",
            "[]",
            "{}",
            r#"{"Version":"2012-10-17"}"#,
            r#"{"Version":"2012-10-17","Statement":[]}"#,
            r#"{"Version":"2012-10-17","Statement":"x"}"#,
            r#"{"Version":"2013-10-17","Statement":{"Effect":"Allow"}}"#,
            &with(r#"{"Effect":"allow","Action":"*","Resource":"*"}"#),
            &with(r#"{"Action":"*","Resource":"*"}"#),
            &with(r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#),
            &with(r#"{"Effect":"Allow","Action":1,"Resource":"*"}"#),
            &with(r#"{"Effect":"Allow","Action":"*","Resource":"*","Colour":"red"}"#),
            &with(r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Is":{"a":"b"}}}"#),
            &with(r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":[]}"#),
            &with(r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":{}}"#),
            &with(&"[".repeat(100_000)),
        ] {
            assert_eq!(parse(text), Err(syntax()), "{}", text.get(..80).unwrap_or(text));
        }
    }

    #[test]
    fn an_identity_policy_is_refused_in_the_words_of_iam() {
        let one = |more: &str| with(&format!(r#"{{"Effect":"Allow",{more}}}"#));
        for (text, message) in [
            (
                r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#.to_owned(),
                "Policy document must be version 2012-10-17 or greater.",
            ),
            (one(r#""Resource":"*""#), "Policy statement must contain actions."),
            (one(r#""Action":[],"Resource":"*""#), "Policy statement must contain actions."),
            (one(r#""Action":"ec2:*""#), "Policy statement must contain resources."),
            (
                one(r#""Action":"*","Resource":"*","Principal":"*""#),
                "Policy document should not specify a principal.",
            ),
            (
                one(r#""Action":"Describe","Resource":"*""#),
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ),
            (
                one(r#""Action":"ec2:Describe:Vpcs","Resource":"*""#),
                "Actions/Condition can contain only one colon.",
            ),
            (one(r#""Action":"e c2:x","Resource":"*""#), "Vendor e c2 is not valid"),
            (
                one(r#""Action":"*","Resource":"vpc-1""#),
                "Resource vpc-1 must be in ARN format or \"*\".",
            ),
            (
                one(r#""Action":"*","Resource":"arn:mars:ec2:::x""#),
                "Partition \"mars\" is not valid for resource \"arn:mars:ec2:*:*:x\".",
            ),
            (
                one(r#""Action":"*","Resource":"arn:aws:iam:us-east-1:1:user/a""#),
                "IAM resource arn:aws:iam:us-east-1:1:user/a cannot contain region information.",
            ),
            (
                one(r#""Action":"*","Resource":"arn:aws:ec2:us-east-1""#),
                "The policy failed legacy parsing",
            ),
            (
                with(
                    r#"[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},
                        {"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]"#,
                ),
                "Statement IDs (SID) in a single policy must be unique.",
            ),
        ] {
            let error = parse_identity(&text).expect_err(&text);
            assert_eq!((error.code, error.message.as_str()), ("MalformedPolicyDocument", message));
        }
    }

    #[test]
    fn a_trust_policy_says_who_and_not_what() {
        let trust = |more: &str| with(&format!(r#"{{"Effect":"Allow",{more}}}"#));
        let service = r#""Principal":{"Service":"ec2.amazonaws.com"}"#;
        assert!(parse_trust(&trust(&format!(r#"{service},"Action":"sts:AssumeRole""#))).is_ok());
        for (text, message) in [
            (trust(r#""Action":"sts:AssumeRole""#), "Missing required field Principal"),
            (
                trust(&format!(r#"{service},"Action":"sts:AssumeRole","Resource":"*""#)),
                "Has prohibited field Resource",
            ),
            (
                trust(&format!(r#"{service},"Action":"ec2:RunInstances""#)),
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
        ] {
            assert_eq!(parse_trust(&text).expect_err(&text).message, message);
        }
    }
}
