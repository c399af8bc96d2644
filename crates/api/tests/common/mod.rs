//! Shared by the tests: structures as JSON with the model's own names, and back.
//!
//! Deliberately not the codecs of the crate: it knows the model's names only, never those of a
//! wire, so that a wrong wire name cannot cancel itself out.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use bytes::Bytes;
use gureum_api::{
    ApiError, ApiRequest, Op, Service, Timestamp,
    shape::{Cardinality, Content, Field, Slot, Structure, View},
};
use http::{HeaderMap, Method, Response, Uri};
use serde_json::{Map, Value, json};

/// A structure as JSON: only what is there, bytes as base64, time as whole milliseconds.
pub(crate) fn plain(source: &dyn Structure) -> Value {
    let mut object = Map::new();
    for (member, field) in source.members().iter().zip(source.fields()) {
        if let Some(value) = plain_content(field.content()) {
            object.insert(member.name.to_owned(), value);
        }
    }
    Value::Object(object)
}

fn plain_content(content: Content<'_>) -> Option<Value> {
    match content {
        Content::Absent => None,
        Content::One(view) => Some(plain_view(view)),
        Content::Many(elements) if elements.is_empty() => None,
        Content::Many(elements) => Some(elements.into_iter().map(plain_view).collect()),
        Content::Map(entries) if entries.is_empty() => None,
        Content::Map(entries) => {
            Some(entries.into_iter().map(|(k, v)| (k.to_owned(), plain_view(v))).collect())
        }
    }
}

fn plain_view(view: View<'_>) -> Value {
    match view {
        View::Text(text) => json!(text),
        View::Integer(number) => json!(number),
        View::Float(number) => json!(number),
        View::Bool(value) => json!(value),
        View::Time(time) => json!(time.0),
        View::Blob(bytes) => json!(base64(bytes)),
        View::Structure(structure) => plain(structure),
        View::Nested(field) => plain_content(field.content()).unwrap_or(Value::Null),
    }
}

/// Fills a structure from JSON as [`plain`] writes it.
pub(crate) fn fill(target: &mut dyn Structure, source: &Value) {
    let object = source.as_object().expect("an object");
    let members = target.members();
    for key in object.keys() {
        assert!(members.iter().any(|m| m.name == key), "the shape has no member {key}");
    }
    for (member, field) in members.iter().zip(target.fields_mut()) {
        if let Some(value) = object.get(member.name) {
            fill_field(field, value);
        }
    }
}

fn fill_field(field: &mut dyn Field, value: &Value) {
    match field.cardinality() {
        Cardinality::One => fill_slot(field.add(""), value),
        Cardinality::Many => {
            for element in value.as_array().expect("a list") {
                fill_slot(field.add(""), element);
            }
        }
        Cardinality::Map => {
            for (key, value) in value.as_object().expect("a map") {
                fill_slot(field.add(key), value);
            }
        }
    }
}

fn fill_slot(slot: Slot<'_>, value: &Value) {
    match slot {
        Slot::Text(slot) => value.as_str().expect("a text").clone_into(slot),
        Slot::Int32(slot) => *slot = value.as_i64().expect("a number") as i32,
        Slot::Int64(slot) => *slot = value.as_i64().expect("a number"),
        Slot::Float32(slot) => *slot = value.as_f64().expect("a number") as f32,
        Slot::Float64(slot) => *slot = value.as_f64().expect("a number"),
        Slot::Bool(slot) => *slot = value.as_bool().expect("a boolean"),
        Slot::Time(slot) => *slot = Timestamp(value.as_i64().expect("milliseconds")),
        Slot::Blob(slot) => *slot = from_base64(value.as_str().expect("base64")),
        Slot::Structure(structure) => fill(structure, value),
        Slot::Nested(field) => fill_field(field, value),
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Vec<u8> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    BASE64_STANDARD.decode(text).expect("base64")
}

fn decode_as<O: Op>(request: &ApiRequest) -> Result<Value, ApiError> {
    request.decode::<O>().map(|input| plain(&input))
}

fn encode_as<O: Op>(output: &Value, request_id: &str) -> Response<Bytes> {
    let mut typed = O::Output::default();
    fill(&mut typed, output);
    gureum_api::response::<O>(&typed, request_id)
}

type Decode = fn(&ApiRequest) -> Result<Value, ApiError>;
type Encode = fn(&Value, &str) -> Response<Bytes>;

macro_rules! arms {
    ($($operation:ident)*) => {
        |name: &str| -> Option<(Decode, Encode)> {
            match name {
                $(stringify!($operation) => {
                    Some((decode_as::<op::$operation>, encode_as::<op::$operation>))
                })*
                _ => None,
            }
        }
    };
}

fn codec(service: Service, name: &str) -> (Decode, Encode) {
    let found = match service {
        Service::Ec2 => {
            use gureum_api::ec2::op;
            gureum_api::for_each_ec2_operation!(arms)(name)
        }
        Service::Ec2InstanceConnect => {
            use gureum_api::ec2_instance_connect::op;
            gureum_api::for_each_ec2_instance_connect_operation!(arms)(name)
        }
        Service::Iam => {
            use gureum_api::iam::op;
            gureum_api::for_each_iam_operation!(arms)(name)
        }
        Service::Logs => {
            use gureum_api::logs::op;
            gureum_api::for_each_logs_operation!(arms)(name)
        }
        Service::Ssm => {
            use gureum_api::ssm::op;
            gureum_api::for_each_ssm_operation!(arms)(name)
        }
        Service::Sts => {
            use gureum_api::sts::op;
            gureum_api::for_each_sts_operation!(arms)(name)
        }
    };
    found.unwrap_or_else(|| panic!("{service:?} has no operation {name}"))
}

/// Decodes a routed request as its own operation's input.
pub(crate) fn decode(request: &ApiRequest) -> Result<Value, ApiError> {
    codec(request.operation.service(), request.operation.name()).0(request)
}

/// Encodes an output of the operation of that name.
pub(crate) fn encode(
    service: Service,
    name: &str,
    output: &Value,
    request_id: &str,
) -> Response<Bytes> {
    codec(service, name).1(output, request_id)
}

/// Headers of a request signed for a service in Seoul.
pub(crate) fn signed(service: &str) -> HeaderMap {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/ap-northeast-2/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value.parse().expect("a header value"));
    headers.insert("x-amz-date", "20260101T000000Z".parse().expect("a header value"));
    headers
}

/// Routes a POST to `/`.
pub(crate) fn post(headers: &HeaderMap, body: &[u8]) -> Result<ApiRequest, gureum_api::Refused> {
    gureum_api::route(&Method::POST, &Uri::from_static("/"), headers, body)
}

/// Routes an EC2 form and decodes it.
pub(crate) fn ec2(body: &str) -> Result<Value, ApiError> {
    let version = "&Version=2016-11-15";
    let request = post(&signed("ec2"), format!("{body}{version}").as_bytes());
    decode(&request.map_err(|refused| refused.error)?)
}
