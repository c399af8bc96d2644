//! Each call of the API as a line of JSON: when, what, with which parameters, how it ended. For who
//! wants to know afterwards what a program asked. Secrets are left out.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use gureum_api::Operation;
use gureum_types::Timestamp;
use http::{Method, StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::paths::Person;

/// What is written at most.
const LIMIT: u64 = 64 << 20;
/// How much of a parameter is written.
const VALUE_SHOWN: usize = 1024;
/// Parameters that are secrets or may hold some, by their last name.
const SECRET: [&str; 14] = [
    "userdata",
    "password",
    "oldpassword",
    "newpassword",
    "secretstring",
    "secretbinary",
    "secretaccesskey",
    "sessiontoken",
    "tokenvalue",
    "token",
    "tokencode",
    "webidentitytoken",
    "samlassertion",
    "presharedkey",
];
/// Operations whose `Value` is one.
const SECRET_VALUE: [&str; 1] = ["PutParameter"];
/// What a form says besides parameters.
const NO_PARAMETERS: [&str; 2] = ["Action", "Version"];

/// Where calls are written.
#[derive(Debug)]
pub(super) struct CallLog(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    file: File,
    written: u64,
    full: bool,
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Call {
    began: Instant,
    at: SystemTime,
    service: &'static str,
    operation: String,
    parameters: Value,
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    service: &'a str,
    operation: &'a str,
    parameters: &'a Value,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    milliseconds: f64,
}

impl Call {
    /// An operation with the body that its parameters are in.
    pub(super) fn of(operation: Operation, body: &[u8]) -> Self {
        let name = operation.name();
        let parameters = match serde_json::from_slice::<Value>(body) {
            Ok(value @ Value::Object(_)) => without_secrets(name, value),
            _ => of_form(name, body),
        };
        Self::begin(operation.service().info().signing_name, name.to_owned(), parameters)
    }

    /// A request of S3, which has its operation in method and path.
    pub(super) fn of_s3(method: &Method, uri: &Uri) -> Self {
        // A query may be signed, which is a secret for some minutes.
        let parameters = Value::Object(Map::from_iter([("path".into(), uri.path().into())]));
        Self::begin("s3", method.to_string(), parameters)
    }

    /// A request of which nobody knows what it asks.
    pub(super) fn refused(method: &Method, uri: &Uri) -> Self {
        Self { service: "", ..Self::of_s3(method, uri) }
    }

    fn begin(service: &'static str, operation: String, parameters: Value) -> Self {
        let (began, at) = (Instant::now(), SystemTime::now());
        Self { began, at, service, operation, parameters }
    }
}

impl CallLog {
    /// Goes on in a file, which is its owner's alone.
    pub(super) fn open(path: &Path, owner: &Person) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        owner.give(path)?;
        let written = file.metadata()?.len();
        Ok(Self(Mutex::new(Lines { file, written, full: false })))
    }

    /// Writes how a call ended. What cannot be written is no reason to answer otherwise.
    pub(super) fn write(&self, call: Call, status: StatusCode, answer: &[u8]) {
        let (error, message) = match status.is_success() || status.is_redirection() {
            true => (None, None),
            false => fault(answer),
        };
        let line = Line {
            at: time(call.at),
            service: call.service,
            operation: &call.operation,
            parameters: &call.parameters,
            status: status.as_u16(),
            error,
            message,
            milliseconds: (call.began.elapsed().as_secs_f64() * 1e4).round() / 10.0,
        };
        let Ok(mut line) = serde_json::to_vec(&line) else { return };
        line.push(b'\n');
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.full {
            return;
        }
        if lines.written + line.len() as u64 > LIMIT {
            lines.full = true;
            line = b"{\"full\":true}\n".to_vec();
        }
        match lines.file.write_all(&line) {
            Ok(()) => lines.written += line.len() as u64,
            Err(error) => {
                lines.full = true;
                tracing::warn!(%error, "writing down calls; it ends here");
            }
        }
    }
}

fn time(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Timestamp(milliseconds).to_string()
}

fn is_secret(operation: &str, name: &str) -> bool {
    let last = name.rsplit('.').find(|part| part.parse::<u32>().is_err()).unwrap_or(name);
    SECRET.contains(&last.to_ascii_lowercase().as_str())
        || (last == "Value" && SECRET_VALUE.contains(&operation))
}

fn shown(operation: &str, name: &str, value: &str) -> Value {
    if is_secret(operation, name) {
        return format!("({} bytes)", value.len()).into();
    }
    match value.char_indices().nth(VALUE_SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &value[..end], value.len()).into(),
        None => value.into(),
    }
}

fn without_secrets(operation: &str, value: Value) -> Value {
    fn walk(operation: &str, name: &str, value: Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(name, value)| {
                        let value = walk(operation, &name, value);
                        (name, value)
                    })
                    .collect(),
            ),
            Value::Array(items) => {
                items.into_iter().map(|item| walk(operation, name, item)).collect()
            }
            Value::String(text) => shown(operation, name, &text),
            other if is_secret(operation, name) && !other.is_null() => "(not shown)".into(),
            other => other,
        }
    }
    walk(operation, "", value)
}

fn of_form(operation: &str, body: &[u8]) -> Value {
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (decode(&pair[..end]), decode(pair.get(end + 1..).unwrap_or_default()))
    });
    let wanted = decoded.filter(|(name, _)| !NO_PARAMETERS.contains(&name.as_str()));
    let shown = wanted.map(|(name, value)| {
        let value = shown(operation, &name, &value);
        (name, value)
    });
    Value::Object(shown.collect())
}

/// A name or value of a form (`application/x-www-form-urlencoded`).
fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let number = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        rest = match (first, number) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                &after[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                after
            }
            (other, _) => {
                bytes.push(*other);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Code and message of an error in either form of AWS's answers.
fn fault(answer: &[u8]) -> (Option<String>, Option<String>) {
    let text = String::from_utf8_lossy(answer);
    if let Ok(Value::Object(members)) = serde_json::from_str(&text) {
        let member = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| members.get(*name));
            found.and_then(Value::as_str).map(str::to_owned)
        };
        let code = member(["__type", "code"]);
        // As `com.amazonaws.ssm#InvalidKeyId`.
        let code = code.map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());
        return (code, member(["message", "Message"]));
    }
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        let plain =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
        Some(plain.iter().fold(inner.to_owned(), |text, (from, to)| text.replace(from, to)))
    };
    (element("Code"), element("Message"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_told_and_secrets_are_not() {
        let body =
            b"Action=RunInstances&Version=2016-11-15&TagSpecification.1.Tag.1.Value=a+b%26c&\
            UserData=c2VjcmV0&LaunchTemplateData.UserData=x&Filter.1.Value.1=100%25";
        assert_eq!(
            of_form("RunInstances", body),
            json!({
                "TagSpecification.1.Tag.1.Value": "a b&c",
                "UserData": "(8 bytes)",
                "LaunchTemplateData.UserData": "(1 bytes)",
                "Filter.1.Value.1": "100%",
            })
        );
        let value =
            json!({"Name": "/db", "Value": "hunter2", "Tags": [{"Key": "a", "Value": "b"}]});
        let kept = without_secrets("PutParameter", value.clone());
        assert_eq!(kept["Value"], "(7 bytes)");
        assert_eq!(kept["Name"], "/db");
        assert_eq!(without_secrets("AddTagsToResource", value)["Tags"][0]["Value"], "b");
        let long = shown("X", "Description", &"é".repeat(5000));
        assert!(long.as_str().is_some_and(|text| text.ends_with("… (10000 bytes)")));
        assert_eq!(decode(b"%zz%4"), "%zz%4");
    }

    #[test]
    fn errors_are_found_in_both_forms() {
        let xml = b"<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code>\
            <Message>The vpc ID &apos;vpc-1&apos; does not exist</Message></Error></Errors></Response>";
        let (code, message) = fault(xml);
        assert_eq!(code.as_deref(), Some("InvalidVpcID.NotFound"));
        assert_eq!(message.as_deref(), Some("The vpc ID 'vpc-1' does not exist"));
        let (code, message) = fault(br#"{"__type":"com.amazonaws.ssm#X","message":"m"}"#);
        assert_eq!((code.as_deref(), message.as_deref()), (Some("X"), Some("m")));
        assert_eq!(fault(b"nothing of the kind"), (None, None));
    }

    #[test]
    fn the_file_ends_before_it_is_too_long() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("calls.jsonl");
        let log = CallLog::open(&path, &Person::current()).expect("a log");
        let call =
            || Call::of_s3(&Method::GET, &"/bucket/key?X-Amz-Signature=ab".parse().expect("a URI"));
        log.write(call(), StatusCode::OK, &[]);
        log.0.lock().expect("no panic").written = LIMIT;
        log.write(call(), StatusCode::OK, &[]);
        log.write(call(), StatusCode::OK, &[]);
        let text = std::fs::read_to_string(&path).expect("read");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0]["parameters"]["path"], "/bucket/key");
        assert_eq!(lines[1]["full"], true);
        assert!(!text.contains("Signature"), "{text}");
    }
}
