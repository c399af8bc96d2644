//! JSON requests and responses (AWS JSON 1.1).
//!
//! Numbers stand for points in time (seconds with a fraction), base64 texts for bytes, and `null`
//! for what is not there. A key that no member of the shape has is refused, not dropped.

use std::borrow::Cow;

use gureum_types::Timestamp;
use serde_json::{Map, Number, Value};

use crate::{
    error::ApiError,
    problem::{Problem, Step, error},
    scalar,
    service::Protocol,
    shape::{Cardinality, Content, Field, Member, Slot, Structure, View},
};

/// Reads a request's body. An empty one is an empty object.
pub(crate) fn parse(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(serialization("The request must be a JSON object")),
        Err(e) => Err(serialization("The request is not JSON").with_internal(e)),
    }
}

/// The scalars at and below a value with their whole names, list elements counted from 1.
pub(crate) fn leaves<'a>(name: &str, value: &'a Value, found: &mut Vec<(String, Cow<'a, str>)>) {
    match value {
        Value::Null => {}
        Value::String(text) => found.push((name.to_owned(), Cow::Borrowed(text))),
        Value::Bool(_) | Value::Number(_) => {
            found.push((name.to_owned(), Cow::Owned(value.to_string())));
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                leaves(&format!("{name}.{}", index + 1), element, found);
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                leaves(&format!("{name}.{key}"), value, found);
            }
        }
    }
}

fn serialization(message: &str) -> ApiError {
    ApiError::new("SerializationException", message)
}

/// Fills `target` from a JSON object.
pub(crate) fn decode(
    target: &mut dyn Structure,
    object: &Map<String, Value>,
) -> Result<(), ApiError> {
    structure(target, object, &mut Vec::new())
}

fn refused(path: &[Step<'_>], problem: Problem<'_>) -> ApiError {
    error(Protocol::AwsJson11, path, problem)
}

fn structure<'v>(
    target: &mut dyn Structure,
    object: &'v Map<String, Value>,
    path: &mut Vec<Step<'v>>,
) -> Result<(), ApiError> {
    let members = target.members();
    for key in object.keys() {
        if !members.iter().any(|member| member.wire == key) {
            return Err(refused(path, Problem::Unknown(&format!(".{key}"))));
        }
    }
    for (member, target) in members.iter().zip(target.fields_mut()) {
        path.push(Step::Member(member));
        match object.get(member.wire).filter(|value| !value.is_null()) {
            Some(value) => field(target, member, value, path)?,
            None if member.required => return Err(refused(path, Problem::Missing)),
            None => {}
        }
        path.pop();
    }
    Ok(())
}

fn field<'v>(
    target: &mut dyn Field,
    member: &'static Member,
    value: &'v Value,
    path: &mut Vec<Step<'v>>,
) -> Result<(), ApiError> {
    let count = match (target.cardinality(), value) {
        (Cardinality::One, _) => return one(target.add(""), member, value, path),
        (Cardinality::Many, Value::Array(elements)) => {
            for (index, element) in elements.iter().enumerate() {
                in_order(index, path, |path| one(target.add(""), member, element, path))?;
            }
            elements.len()
        }
        (Cardinality::Map, Value::Object(entries)) => {
            for (key, value) in entries {
                path.push(Step::Key(key));
                one(target.add(key), member, value, path)?;
                path.pop();
            }
            entries.len()
        }
        (Cardinality::Many, _) => return Err(refused(path, Problem::NotA("a list", ""))),
        (Cardinality::Map, _) => return Err(refused(path, Problem::NotA("a map", ""))),
    };
    let (min, max) = member.count;
    if u32::try_from(count).is_ok_and(|count| (min..=max).contains(&count)) {
        return Ok(());
    }
    Err(refused(path, Problem::Count(count, member.count)))
}

/// Steps into the element at `index`, which the messages count from 1.
fn in_order<'v>(
    index: usize,
    path: &mut Vec<Step<'v>>,
    read: impl FnOnce(&mut Vec<Step<'v>>) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    path.push(Step::Position(index + 1));
    read(path)?;
    path.pop();
    Ok(())
}

fn one<'v>(
    slot: Slot<'_>,
    member: &'static Member,
    value: &'v Value,
    path: &mut Vec<Step<'v>>,
) -> Result<(), ApiError> {
    let wrong = |kind| Problem::NotA(kind, "");
    match (slot, value) {
        (Slot::Structure(target), Value::Object(object)) => structure(target, object, path),
        (Slot::Nested(target), value) => field(target, member, value, path),
        (Slot::Text(slot), Value::String(text)) => {
            text.clone_into(slot);
            scalar::verify(text, member.check).map_err(|p| refused(path, p))
        }
        (Slot::Blob(slot), Value::String(text)) => {
            *slot = scalar::blob(text).ok_or_else(|| refused(path, wrong("base64")))?;
            Ok(())
        }
        (Slot::Bool(slot), Value::Bool(value)) => {
            *slot = *value;
            Ok(())
        }
        (Slot::Time(slot), Value::Number(number)) => {
            let time = number.as_f64().and_then(scalar::seconds);
            *slot = time.ok_or_else(|| refused(path, wrong("a timestamp")))?;
            Ok(())
        }
        (Slot::Float32(slot), Value::Number(number)) => {
            *slot = number.as_f64().unwrap_or_default() as f32;
            Ok(())
        }
        (Slot::Float64(slot), Value::Number(number)) => {
            *slot = number.as_f64().unwrap_or_default();
            Ok(())
        }
        (slot @ (Slot::Int32(_) | Slot::Int64(_)), Value::Number(number)) => {
            let text = number.to_string();
            scalar::fill(slot, &text, member.check).map_err(|p| refused(path, p))
        }
        (slot, _) => Err(refused(path, wrong(kind(&slot)))),
    }
}

fn kind(slot: &Slot<'_>) -> &'static str {
    match slot {
        Slot::Text(_) => "a String",
        Slot::Int32(_) => "an Integer",
        Slot::Int64(_) => "a Long",
        Slot::Float32(_) | Slot::Float64(_) => "a Double",
        Slot::Bool(_) => "a Boolean",
        Slot::Time(_) => "a Timestamp",
        Slot::Blob(_) => "base64",
        Slot::Structure(_) => "a structure",
        Slot::Nested(_) => "a list or map",
    }
}

/// A structure as a JSON object.
pub(crate) fn encode(source: &dyn Structure) -> Value {
    let mut object = Map::new();
    for (member, field) in source.members().iter().zip(source.fields()) {
        match field.content() {
            Content::Absent => {}
            Content::Many(elements) if elements.is_empty() && member.omit_empty => {}
            Content::Map(entries) if entries.is_empty() => {}
            content => {
                object.insert(member.wire.to_owned(), encode_content(content));
            }
        }
    }
    Value::Object(object)
}

fn encode_content(content: Content<'_>) -> Value {
    match content {
        Content::Absent => Value::Null,
        Content::One(view) => encode_view(view),
        Content::Many(elements) => elements.into_iter().map(encode_view).collect(),
        Content::Map(entries) => {
            entries.into_iter().map(|(key, view)| (key.to_owned(), encode_view(view))).collect()
        }
    }
}

fn encode_view(view: View<'_>) -> Value {
    match view {
        View::Text(text) => Value::from(text),
        View::Integer(number) => Value::from(number),
        View::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        View::Bool(value) => Value::Bool(value),
        View::Time(time) => encode_time(time),
        View::Blob(bytes) => Value::from(scalar::base64(bytes)),
        View::Structure(structure) => encode(structure),
        View::Nested(field) => encode_content(field.content()),
    }
}

/// Whole seconds as a whole number, so that no client sees `1.6e9`.
fn encode_time(time: Timestamp) -> Value {
    if time.0 % 1000 == 0 {
        return Value::from(time.seconds());
    }
    Value::from(time.0 as f64 / 1000.0)
}
