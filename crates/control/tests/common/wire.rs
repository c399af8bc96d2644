//! Requests of any operation, made from its shape: values by member, then as the bytes that a
//! client of its protocol would send.

use gureum_api::{
    Operation, Protocol, Service,
    shape::{Cardinality, Field, Member, Slot, Structure},
};
use serde_json::{Map, Value};

use super::{Cloud, Reply, encode};

/// A value of a request.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A scalar; a form has its text.
    Scalar(Value),
    /// A list.
    List(Vec<Self>),
    /// A map.
    Map(Vec<(String, Self)>),
    /// A structure.
    Structure(Members),
}

/// The members of a structure that are there.
pub(crate) type Members = Vec<(&'static Member, Part)>;

/// Chooses the values of a request.
pub(crate) trait Chooser {
    /// Whether a member is there.
    fn has(&mut self, member: &'static Member, depth: usize) -> bool;
    /// How many elements a list or map has.
    fn count(&mut self, member: &'static Member, depth: usize) -> usize;
    /// A scalar.
    fn scalar(&mut self, member: &'static Member, slot: Slot<'_>) -> Value;
}

/// Fills a structure as `chooser` says.
pub(crate) fn members(
    target: &mut dyn Structure,
    chooser: &mut dyn Chooser,
    depth: usize,
) -> Members {
    let mut found = Members::new();
    let table = target.members();
    for (member, field) in table.iter().zip(target.fields_mut()) {
        if chooser.has(member, depth) {
            found.push((member, of_field(field, member, chooser, depth)));
        }
    }
    if let (true, [first, ..]) = (found.is_empty() && depth > 0, table) {
        // A form cannot tell a structure without members from none.
        let mut fields = target.fields_mut();
        found.push((first, of_field(fields.remove(0), first, chooser, depth)));
    }
    found
}

fn of_field(
    field: &mut dyn Field,
    member: &'static Member,
    chooser: &mut dyn Chooser,
    depth: usize,
) -> Part {
    match field.cardinality() {
        Cardinality::One => of_slot(field.add(""), member, chooser, depth),
        Cardinality::Many => {
            let count = chooser.count(member, depth);
            Part::List((0..count).map(|_| of_slot(field.add(""), member, chooser, depth)).collect())
        }
        Cardinality::Map => {
            let keys = (0..chooser.count(member, depth)).map(|number| format!("key{number}"));
            let entries = keys.map(|key| {
                let value = of_slot(field.add(&key), member, chooser, depth);
                (key, value)
            });
            Part::Map(entries.collect())
        }
    }
}

fn of_slot(
    slot: Slot<'_>,
    member: &'static Member,
    chooser: &mut dyn Chooser,
    depth: usize,
) -> Part {
    match slot {
        Slot::Structure(structure) => Part::Structure(members(structure, chooser, depth + 1)),
        Slot::Nested(field) => of_field(field, member, chooser, depth + 1),
        scalar => Part::Scalar(chooser.scalar(member, scalar)),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The parameters of a form.
fn form(
    protocol: Protocol,
    prefix: &str,
    member: &Member,
    part: &Part,
    out: &mut Vec<(String, String)>,
) {
    match part {
        Part::Scalar(value) => out.push((prefix.to_owned(), text(value))),
        Part::List(elements) => {
            let level = match member.flattened || protocol == Protocol::Ec2Query {
                true => String::new(),
                false => format!(".{}", member.item),
            };
            for (number, element) in (1..).zip(elements) {
                form(protocol, &format!("{prefix}{level}.{number}"), member, element, out);
            }
        }
        Part::Map(entries) => {
            for (number, (key, value)) in (1..).zip(entries) {
                let entry = format!("{prefix}.entry.{number}");
                out.push((format!("{entry}.key"), key.clone()));
                form(protocol, &format!("{entry}.value"), member, value, out);
            }
        }
        Part::Structure(members) => {
            for (member, part) in members {
                form(protocol, &format!("{prefix}.{}", member.query), member, part, out);
            }
        }
    }
}

fn json(part: &Part) -> Value {
    match part {
        Part::Scalar(value) => value.clone(),
        Part::List(elements) => elements.iter().map(json).collect(),
        Part::Map(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), json(value))).collect()
        }
        Part::Structure(members) => json_object(members).into(),
    }
}

fn json_object(members: &Members) -> Map<String, Value> {
    members.iter().map(|(member, part)| (member.wire.to_owned(), json(part))).collect()
}

/// The body of a request, as a client of the operation's protocol writes it.
pub(crate) fn body(operation: Operation, request: &Members) -> Vec<u8> {
    let info = operation.service().info();
    if info.protocol == Protocol::AwsJson11 {
        return Value::from(json_object(request)).to_string().into_bytes();
    }
    let mut parameters = Vec::new();
    for (member, part) in request {
        form(info.protocol, member.query, member, part, &mut parameters);
    }
    form_body(operation, &parameters)
}

/// The body of a form with these parameters.
pub(crate) fn form_body(operation: Operation, parameters: &[(String, String)]) -> Vec<u8> {
    let version = operation.service().info().version;
    let mut body = format!("Action={}&Version={version}", operation.name());
    for (name, value) in parameters {
        body.push_str(&format!("&{}={}", encode(name), encode(value)));
    }
    body.into_bytes()
}

impl Cloud {
    /// Sends an operation's body.
    pub(crate) async fn send_body(&self, operation: Operation, body: &[u8]) -> Reply {
        let info = operation.service().info();
        let mut headers = self.headers(info.signing_name);
        if info.protocol == Protocol::AwsJson11 {
            let target = format!("{}.{}", info.target_prefix, operation.name());
            headers.insert("x-amz-target", target.parse().expect("a header"));
        }
        self.send(info.signing_name, headers, body).await
    }
}

/// The code of a refusal, which must be well-formed: what the protocol's clients can read, with a
/// sentence.
pub(crate) fn well_formed_refusal(service: Service, reply: &Reply) -> String {
    assert!((400..500).contains(&reply.status), "{}: {}", reply.status, reply.body);
    let (code, message) = match service.info().protocol {
        Protocol::AwsJson11 => {
            let body: Value = serde_json::from_str(&reply.body).expect("JSON");
            let text = |names: [&str; 2]| {
                let found = names.iter().find_map(|name| body[*name].as_str());
                found.unwrap_or_else(|| panic!("no {names:?} in {body}")).to_owned()
            };
            (text(["__type", "code"]), text(["message", "Message"]))
        }
        Protocol::Ec2Query => {
            assert!(reply.body.contains("<Response><Errors><Error><Code>"), "{}", reply.body);
            assert_eq!(reply.all("RequestID").len(), 1, "{}", reply.body);
            reply.refusal()
        }
        Protocol::AwsQuery => {
            assert!(reply.body.contains("<ErrorResponse"), "{}", reply.body);
            assert_eq!(reply.all("RequestId").len(), 1, "{}", reply.body);
            reply.refusal()
        }
    };
    assert!(!message.trim().is_empty(), "{}", reply.body);
    assert!(code.chars().all(|it| it.is_ascii_alphanumeric() || it == '.'), "{code}");
    code
}

/// Asserts that an answer in XML has no character that XML 1.0 cannot carry: a client could read
/// nothing of it.
pub(crate) fn assert_readable(service: Service, reply: &Reply) {
    let readable = |it: char| matches!(it, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    let is_xml = service.info().protocol != Protocol::AwsJson11;
    assert!(!is_xml || reply.body.chars().all(readable), "{:?}", reply.body);
}
