//! Every operation against botocore: it writes requests that we read, and reads responses that we
//! write; and AWS's own examples, as botocore carries them. Without python3 and botocore there is
//! nothing to hold ourselves against: `GUREUM_WITHOUT_BOTOCORE=1` says that this is known. The
//! golden files of `golden.rs` are checked all the same.

mod common;

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use gureum_api::{ApiError, Operation, Protocol, Resource, Service};
use serde_json::{Value, json};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/botocore/exchange.py");

/// Whether python3 has botocore.
///
/// # Panics
/// Where it has not, and nobody said so: a test that is skipped in silence asserts nothing.
fn available() -> bool {
    if std::env::var_os("GUREUM_WITHOUT_BOTOCORE").is_some() {
        eprintln!("skipped: GUREUM_WITHOUT_BOTOCORE is set");
        return false;
    }
    let status = Command::new("python3").args(["-c", "import botocore, tomllib"]).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "python3 has no botocore: pip install botocore, or set GUREUM_WITHOUT_BOTOCORE=1"
    );
    true
}

fn lines(mode: &str) -> Vec<Value> {
    let output = Command::new("python3").args([SCRIPT, mode]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn service(line: &Value) -> Service {
    let name = text(line, "service");
    Service::from_signing_name(name).expect("a service that is served")
}

/// Hands `items` to botocore's parsers; answers how many they agreed with.
fn parsed_by_botocore(items: &[Value]) -> usize {
    let mut child = Command::new("python3")
        .args([SCRIPT, "parse"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut input = child.stdin.take().expect("a pipe");
    for item in items {
        writeln!(input, "{item}").expect("python3 reads");
    }
    drop(input);
    let output = child.wait_with_output().expect("python3 ends");
    assert!(output.status.success(), "botocore read something else than was written");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a count")
}

fn item(service: &str, operation: &str, response: &http::Response<bytes::Bytes>) -> Value {
    let headers: serde_json::Map<String, Value> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().expect("text"))))
        .collect();
    json!({
        "service": service,
        "operation": operation,
        "status": response.status().as_u16(),
        "headers": headers,
        "body": std::str::from_utf8(response.body()).expect("UTF-8"),
        "request_id": "5f0a-request",
    })
}

/// Asserts that every operation that is served has a line.
fn assert_covers_all(lines: &[Value]) {
    let tried = lines.iter().map(|line| (service(line), text(line, "operation").to_owned()));
    let served = Operation::all().map(|it| (it.service(), it.name().to_owned()));
    assert_eq!(tried.collect::<BTreeSet<_>>(), served.collect::<BTreeSet<_>>());
}

/// Routes and decodes the request of a line, and compares with its parameters.
fn assert_read_as_meant(line: &Value) {
    let mut headers = http::HeaderMap::new();
    for (name, value) in line["headers"].as_object().expect("headers") {
        let name: http::HeaderName = name.parse().expect("a header name");
        headers.insert(name, value.as_str().expect("text").parse().expect("a header value"));
    }
    let body = text(line, "body");
    let request = common::post(&headers, body.as_bytes()).expect(body);
    assert_eq!(request.operation.name(), text(line, "operation"));
    let read = common::decode(&request).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(read, line["params"], "{body}");
}

/// The response with the output of a line, for botocore to compare.
fn written(line: &Value) -> Value {
    let (operation, output) = (text(line, "operation"), &line["output"]);
    let response = common::encode(service(line), operation, output, "5f0a-request");
    let mut item = item(text(line, "service"), operation, &response);
    item["output"] = output.clone();
    item
}

#[test]
fn requests_of_all_operations_are_read_as_botocore_meant_them() {
    if !available() {
        return;
    }
    let lines = lines("requests");
    assert_covers_all(&lines);
    for line in lines {
        assert_read_as_meant(&line);
    }
}

#[test]
fn responses_of_all_operations_are_read_by_botocore_as_we_meant_them() {
    if !available() {
        return;
    }
    let lines = lines("outputs");
    assert_covers_all(&lines);
    let items: Vec<_> = lines.iter().map(written).collect();
    assert_eq!(parsed_by_botocore(&items), items.len());
}

/// The models' example requests and answers, of EC2, IAM and STS: the others have none.
#[test]
fn examples_of_aws_are_read_and_written_field_by_field() {
    if !available() {
        return;
    }
    let (requests, outputs): (Vec<_>, Vec<_>) =
        lines("examples").into_iter().partition(|line| line.get("params").is_some());
    assert!(requests.len() > 150 && outputs.len() > 80, "{} {}", requests.len(), outputs.len());
    for line in &requests {
        assert_read_as_meant(line);
    }
    let items: Vec<_> = outputs.iter().map(written).collect();
    assert_eq!(parsed_by_botocore(&items), items.len());
}

#[test]
fn errors_are_read_by_botocore_in_every_protocol() {
    if !available() {
        return;
    }
    let mut items = Vec::new();
    for (name, operation, protocol) in [
        ("ec2", "DescribeVpcs", Protocol::Ec2Query),
        ("sts", "GetCallerIdentity", Protocol::AwsQuery),
        ("ssm", "GetParameter", Protocol::AwsJson11),
    ] {
        let error = ApiError::not_found(Resource::Vpc, "<vpc> & \"한글\"");
        let mut item = item(name, operation, &error.response(protocol, "5f0a-request"));
        item["error"] = json!({ "Code": error.code, "Message": error.message });
        items.push(item);
    }
    assert_eq!(parsed_by_botocore(&items), 3);
}
