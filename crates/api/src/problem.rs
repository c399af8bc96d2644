//! What can be wrong with a parameter, in the words of each protocol.
//!
//! Decoders find problems at a path; EC2, the other query services and the JSON services each
//! have their own codes and sentences for the same thing.

use crate::{
    error::ApiError,
    service::Protocol,
    shape::{Check, Member},
};

/// A step from the request down to a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Member(&'static Member),
    /// The number of a list's element as the client wrote it.
    Index(&'a str),
    /// The place of a list's element, counted from 1.
    Position(usize),
    /// The key of a map's entry.
    Key(&'a str),
}

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Problem<'a> {
    /// Required, but not there.
    Missing,
    /// The operation has no such parameter; the rest of its name.
    Unknown(&'a str),
    /// Not of the type that it must have.
    NotA(&'static str, &'a str),
    /// A text or number against its constraint.
    Violates(Check, &'a str),
    /// A list of so many elements, against its bounds.
    Count(usize, (u32, u32)),
}

/// The error that `protocol` answers.
pub(crate) fn error(protocol: Protocol, path: &[Step<'_>], problem: Problem<'_>) -> ApiError {
    match protocol {
        Protocol::Ec2Query => ec2(path, problem),
        Protocol::AwsQuery => validation("ValidationError", path, problem),
        Protocol::AwsJson11 => match problem {
            Problem::NotA(kind, _) => {
                let message = format!("{} can not be converted to {kind}", model_name(path));
                ApiError::new("SerializationException", message)
            }
            _ => validation("ValidationException", path, problem),
        },
    }
}

fn ec2(path: &[Step<'_>], problem: Problem<'_>) -> ApiError {
    let parameter = last_name(path);
    match problem {
        Problem::Missing => ApiError::missing_parameter(&query_name(path)),
        Problem::Unknown(rest) => {
            ApiError::unknown_parameter(format!("{}{rest}", query_name(path)).trim_matches('.'))
        }
        Problem::NotA(kind, value) => {
            ApiError::invalid_value(value, &parameter, &format!("Parameter must be {kind}."))
        }
        Problem::Violates(check, value) => {
            ApiError::invalid_value(value, &parameter, &expectation(check, value))
        }
        Problem::Count(count, (min, max)) => {
            let reason = format!("Expecting {min} to {max} elements.");
            ApiError::invalid_value(format!("{count} elements"), &parameter, &reason)
        }
    }
}

/// The second sentence of EC2's `InvalidParameterValue`.
fn expectation(check: Check, value: &str) -> String {
    match check {
        Check::Any => String::new(),
        Check::OneOf(values) if values.len() <= 12 => {
            format!("Expecting one of: {}.", values.join(", "))
        }
        Check::OneOf(_) => String::new(),
        Check::Range(min, max) => match value.parse::<i64>() {
            Ok(number) if number < min => {
                format!("Expecting a value greater than or equal to {min}.")
            }
            _ => format!("Expecting a value less than or equal to {max}."),
        },
        Check::Length(min, max) => format!("Expecting {min} to {max} characters."),
    }
}

/// The sentence that services other than EC2 have in common.
fn validation(code: &'static str, path: &[Step<'_>], problem: Problem<'_>) -> ApiError {
    let name = model_name(path);
    let constraint = |value: &str, text: String| {
        format!(
            "1 validation error detected: Value {value} at '{name}' failed to satisfy \
             constraint: {text}"
        )
    };
    let quoted = |value: &str| format!("'{value}'");
    let message = match problem {
        Problem::Missing => constraint("null", "Member must not be null".into()),
        Problem::Unknown(rest) => {
            let name = format!("{name}{rest}");
            format!("The parameter {} is not recognized", name.trim_matches('.'))
        }
        Problem::NotA(kind, value) => constraint(&quoted(value), format!("Member must be {kind}")),
        Problem::Violates(check, value) => {
            let text = match check {
                Check::Any => "Member must be valid".into(),
                Check::OneOf(values) => {
                    format!("Member must satisfy enum value set: [{}]", values.join(", "))
                }
                Check::Length(min, _) if (value.chars().count() as u64) < u64::from(min) => {
                    format!("Member must have length greater than or equal to {min}")
                }
                Check::Length(_, max) => {
                    format!("Member must have length less than or equal to {max}")
                }
                Check::Range(min, _) if value.parse::<i64>().is_ok_and(|v| v < min) => {
                    format!("Member must have value greater than or equal to {min}")
                }
                Check::Range(_, max) => {
                    format!("Member must have value less than or equal to {max}")
                }
            };
            constraint(&quoted(value), text)
        }
        Problem::Count(count, (min, max)) => {
            let text = if (count as u64) < u64::from(min) {
                format!("Member must have length greater than or equal to {min}")
            } else {
                format!("Member must have length less than or equal to {max}")
            };
            constraint(&format!("'[{count} elements]'"), text)
        }
    };
    ApiError::new(code, message)
}

/// The parameter's full name as the client writes it: `Filter.1.Name`.
fn query_name(path: &[Step<'_>]) -> String {
    let parts: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Member(member) => member.query.to_owned(),
            Step::Index(text) | Step::Key(text) => (*text).to_owned(),
            Step::Position(number) => number.to_string(),
        })
        .collect();
    parts.join(".")
}

/// The path in the model's names: `parameterFilters.1.member.key`.
fn model_name(path: &[Step<'_>]) -> String {
    let mut name = String::new();
    for step in path {
        if !name.is_empty() {
            name.push('.');
        }
        match step {
            Step::Member(member) => name.push_str(&uncapitalised(member.name)),
            Step::Index(text) => {
                name.push_str(text);
                name.push_str(".member");
            }
            Step::Position(number) => name.push_str(&format!("{number}.member")),
            Step::Key(text) => name.push_str(text),
        }
    }
    name
}

/// The name EC2 gives a parameter whose value it does not like: `maxResults`. A wrapped
/// attribute (`EnableDns64.Value`) goes by the attribute's name.
fn last_name(path: &[Step<'_>]) -> String {
    let mut names = path.iter().rev().filter_map(|step| match step {
        Step::Member(member) => Some(member.query),
        Step::Index(_) | Step::Position(_) | Step::Key(_) => None,
    });
    let last = names.next().unwrap_or("");
    uncapitalised(match names.next() {
        Some(attribute) if last == "Value" => attribute,
        _ => last,
    })
}

fn uncapitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |c| c.to_ascii_lowercase().to_string() + chars.as_str())
}
