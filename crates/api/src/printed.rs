//! Structures as the AWS CLI prints answers in JSON, and such JSON as structures again.
//!
//! The names are those of the service model, points in time are ISO 8601, bytes are base64. An empty
//! list is there where the answer has an empty element for it.

use gureum_types::Timestamp;
use serde_json::{Map, Number, Value};

use crate::{
    scalar,
    shape::{Cardinality, Check, Content, Field, Slot, Structure, View},
};

/// A structure as the AWS CLI prints it.
pub fn print(source: &dyn Structure) -> Map<String, Value> {
    let members = source.members().iter().zip(source.fields());
    let printed = members.filter_map(|(member, field)| match field.content() {
        Content::Many(elements) if elements.is_empty() && member.omit_empty => None,
        found => Some((member.name.to_owned(), content(found)?)),
    });
    printed.collect()
}

fn content(content: Content<'_>) -> Option<Value> {
    match content {
        Content::Absent => None,
        Content::One(one) => Some(view(one)),
        Content::Many(elements) => Some(elements.into_iter().map(view).collect()),
        Content::Map(entries) if entries.is_empty() => None,
        Content::Map(entries) => {
            Some(entries.into_iter().map(|(key, value)| (key.to_owned(), view(value))).collect())
        }
    }
}

fn view(value: View<'_>) -> Value {
    match value {
        View::Text(text) => text.into(),
        View::Integer(number) => number.into(),
        View::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        View::Bool(value) => value.into(),
        View::Time(time) => iso_8601(time).into(),
        View::Blob(bytes) => scalar::base64(bytes).into(),
        View::Structure(structure) => Value::Object(print(structure)),
        View::Nested(field) => content(field.content()).unwrap_or_default(),
    }
}

/// `2021-09-03T01:02:03+00:00`, with six digits of a second's fraction where it has any.
fn iso_8601(time: Timestamp) -> String {
    let text = time.to_string();
    let text = text.trim_end_matches('Z');
    match text.split_once('.') {
        Some((seconds, "000")) => format!("{seconds}+00:00"),
        Some((seconds, millis)) => format!("{seconds}.{millis}000+00:00"),
        None => format!("{text}+00:00"),
    }
}

/// What of printed JSON a structure did not take in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Untaken {
    /// Names that the structure has no member for, with dots for members of structures.
    pub unknown: Vec<String>,
    /// Members whose value is of another kind, or beyond what it may be.
    pub wrong: Vec<String>,
}

/// Fills a structure from JSON that [`print()`], or the AWS CLI, made of one.
pub fn read(target: &mut dyn Structure, printed: &Map<String, Value>) -> Untaken {
    let mut untaken = Untaken::default();
    structure(target, printed, "", &mut untaken);
    untaken
}

fn structure(
    target: &mut dyn Structure,
    printed: &Map<String, Value>,
    prefix: &str,
    untaken: &mut Untaken,
) {
    let members = target.members();
    for name in printed.keys() {
        if !members.iter().any(|member| member.name == name) {
            untaken.unknown.push(format!("{prefix}{name}"));
        }
    }
    for (member, target) in members.iter().zip(target.fields_mut()) {
        if let Some(value) = printed.get(member.name).filter(|value| !value.is_null()) {
            field(target, value, &format!("{prefix}{}", member.name), untaken);
        }
    }
}

fn field(target: &mut dyn Field, value: &Value, path: &str, untaken: &mut Untaken) {
    match (target.cardinality(), value) {
        (Cardinality::Many, Value::Array(elements)) => {
            for element in elements {
                slot(target.add(""), element, path, untaken);
            }
        }
        (Cardinality::Map, Value::Object(entries)) => {
            for (key, value) in entries {
                slot(target.add(key), value, path, untaken);
            }
        }
        (Cardinality::One, value) => slot(target.add(""), value, path, untaken),
        _ => untaken.wrong.push(path.to_owned()),
    }
}

fn slot(slot: Slot<'_>, value: &Value, path: &str, untaken: &mut Untaken) {
    let taken = match (slot, value) {
        (Slot::Structure(target), Value::Object(printed)) => {
            structure(target, printed, &format!("{path}."), untaken);
            Some(())
        }
        (Slot::Nested(target), value) => {
            field(target, value, path, untaken);
            Some(())
        }
        (Slot::Text(slot), Value::String(text)) => {
            text.clone_into(slot);
            Some(())
        }
        (Slot::Bool(slot), Value::Bool(value)) => {
            *slot = *value;
            Some(())
        }
        (slot @ Slot::Time(_), Value::String(text)) => scalar::fill(slot, text, Check::Any).ok(),
        (slot @ Slot::Blob(_), Value::String(text)) => scalar::fill(slot, text, Check::Any).ok(),
        (Slot::Time(slot), Value::Number(number)) => {
            number.as_f64().and_then(scalar::seconds).map(|time| *slot = time)
        }
        (
            slot @ (Slot::Int32(_) | Slot::Int64(_) | Slot::Float32(_) | Slot::Float64(_)),
            Value::Number(number),
        ) => scalar::fill(slot, &number.to_string(), Check::Any).ok(),
        _ => None,
    };
    if taken.is_none() {
        untaken.wrong.push(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ec2;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn an_answer_reads_as_the_cli_prints_it() {
        let gateway = ec2::NatGateway {
            create_time: Some(Timestamp(1_630_630_923_000)),
            nat_gateway_id: Some("nat-1".into()),
            ..Default::default()
        };
        let printed = print(&gateway);
        assert_eq!(printed["CreateTime"], "2021-09-03T01:02:03+00:00");
        assert_eq!(printed["NatGatewayAddresses"], json!([]), "an empty element");
        let address = ec2::Address::default();
        assert!(!print(&address).contains_key("Tags"), "no element");
        let mut again = ec2::NatGateway::default();
        assert_eq!(read(&mut again, &printed), Untaken::default());
        assert_eq!(again, gateway);
        let mut fraction = ec2::NatGateway::default();
        read(&mut fraction, &object(json!({"CreateTime": "2021-09-03T01:02:03.250Z"})));
        assert_eq!(print(&fraction)["CreateTime"], "2021-09-03T01:02:03.250000+00:00");
    }

    #[test]
    fn what_is_not_taken_is_told() {
        let mut rule = ec2::SecurityGroupRule::default();
        let printed = json!({
            "FromPort": 1e12,
            "IsEgress": "no",
            "New": 1,
            "ReferencedGroupInfo": {"GroupId": "sg-1", "Newer": {}},
            "Tags": {},
            "ToPort": null,
        });
        let untaken = read(&mut rule, &object(printed));
        assert_eq!(untaken.unknown, ["New", "ReferencedGroupInfo.Newer"]);
        assert_eq!(untaken.wrong, ["IsEgress", "FromPort", "Tags"]);
        let group = rule.referenced_group_info.and_then(|it| it.group_id);
        assert_eq!(group.as_deref(), Some("sg-1"));
    }
}
