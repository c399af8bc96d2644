//! Structures as JSON by the names of the service model: how a request is kept that is used later,
//! and how it becomes another structure with members of the same names.

use serde_json::{Map, Number, Value};

use crate::{
    scalar,
    shape::{Cardinality, Content, Field, Slot, Structure, View},
};

/// What a structure says, by the names of its members. What is absent or empty is left out.
pub fn keep(source: &dyn Structure) -> Map<String, Value> {
    let members = source.members().iter().zip(source.fields());
    let kept = members.filter_map(|(member, field)| {
        let value = content(field.content())?;
        Some((member.name.to_owned(), value))
    });
    kept.collect()
}

fn content(content: Content<'_>) -> Option<Value> {
    match content {
        Content::Absent => None,
        Content::One(one) => Some(view(one)),
        Content::Many(elements) if elements.is_empty() => None,
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
        View::Time(time) => time.0.into(),
        View::Blob(bytes) => scalar::base64(bytes).into(),
        View::Structure(structure) => Value::Object(keep(structure)),
        View::Nested(field) => content(field.content()).unwrap_or_default(),
    }
}

/// Fills a structure from what was kept of another one. The names that it has no member for are
/// returned, with dots for members of structures.
pub fn fill(target: &mut dyn Structure, kept: &Map<String, Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    structure(target, kept, "", &mut unknown);
    unknown
}

fn structure(
    target: &mut dyn Structure,
    kept: &Map<String, Value>,
    prefix: &str,
    unknown: &mut Vec<String>,
) {
    let members = target.members();
    let names = kept.keys().filter(|name| !members.iter().any(|member| member.name == **name));
    unknown.extend(names.map(|name| format!("{prefix}{name}")));
    for (member, target) in members.iter().zip(target.fields_mut()) {
        if let Some(value) = kept.get(member.name) {
            field(target, value, &format!("{prefix}{}", member.name), unknown);
        }
    }
}

fn field(target: &mut dyn Field, value: &Value, path: &str, unknown: &mut Vec<String>) {
    match (target.cardinality(), value) {
        (Cardinality::Many, Value::Array(elements)) => {
            for element in elements {
                slot(target.add(""), element, path, unknown);
            }
        }
        (Cardinality::Map, Value::Object(entries)) => {
            for (key, value) in entries {
                slot(target.add(key), value, path, unknown);
            }
        }
        (Cardinality::One, value) => slot(target.add(""), value, path, unknown),
        _ => unknown.push(path.to_owned()),
    }
}

fn slot(slot: Slot<'_>, value: &Value, path: &str, unknown: &mut Vec<String>) {
    match (slot, value) {
        (Slot::Structure(target), Value::Object(kept)) => {
            structure(target, kept, &format!("{path}."), unknown);
        }
        (Slot::Nested(target), value) => field(target, value, path, unknown),
        (Slot::Text(slot), Value::String(text)) => text.clone_into(slot),
        (Slot::Blob(slot), Value::String(text)) => {
            *slot = scalar::blob(text).unwrap_or_default();
        }
        (Slot::Bool(slot), Value::Bool(value)) => *slot = *value,
        (Slot::Int32(slot), Value::Number(number)) => {
            *slot = number.as_i64().and_then(|it| i32::try_from(it).ok()).unwrap_or_default();
        }
        (Slot::Int64(slot), Value::Number(number)) => *slot = number.as_i64().unwrap_or_default(),
        (Slot::Float32(slot), Value::Number(number)) => {
            *slot = number.as_f64().unwrap_or_default() as f32;
        }
        (Slot::Float64(slot), Value::Number(number)) => *slot = number.as_f64().unwrap_or_default(),
        (Slot::Time(slot), Value::Number(number)) => slot.0 = number.as_i64().unwrap_or_default(),
        _ => unknown.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2;

    #[test]
    fn a_structure_becomes_another_by_the_names_of_its_members() {
        let data = ec2::RequestLaunchTemplateData {
            ebs_optimized: Some(false),
            security_group_ids: vec!["sg-1".into()],
            ram_disk_id: Some("ari-1".into()),
            placement: Some(ec2::LaunchTemplatePlacementRequest {
                tenancy: Some("dedicated".into()),
                spread_domain: Some("x".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let kept = keep(&data);
        let mut again = ec2::RequestLaunchTemplateData::default();
        assert_eq!(fill(&mut again, &kept), Vec::<String>::new());
        assert_eq!(again, data);
        let mut launch = ec2::RunInstancesRequest::default();
        assert_eq!(fill(&mut launch, &kept), ["RamDiskId"]);
        assert_eq!(launch.security_group_ids, ["sg-1"]);
        assert_eq!(launch.placement.and_then(|it| it.tenancy).as_deref(), Some("dedicated"));
    }
}
