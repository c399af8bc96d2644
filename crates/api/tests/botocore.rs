//! Every operation against botocore: it writes requests that we read, and reads responses that we
//! write. Without python3 and botocore there is nothing to hold ourselves against; the golden
//! files of `golden.rs` are checked all the same.

mod common;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use gureum_api::{ApiError, Protocol, Resource, Service};
use serde_json::{Value, json};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/botocore/exchange.py");

/// Whether python3 has botocore. Says so when it has not.
fn available() -> bool {
    let status = Command::new("python3").args(["-c", "import botocore, tomllib"]).status();
    let found = status.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: python3 has no botocore");
    }
    found
}

fn lines(mode: &str) -> Vec<Value> {
    let output = Command::new("python3").args([SCRIPT, mode]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn service(line: &Value) -> Service {
    let name = line["service"].as_str().expect("a service");
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

#[test]
fn requests_of_all_operations_are_read_as_botocore_meant_them() {
    if !available() {
        return;
    }
    let lines = lines("requests");
    assert!(lines.len() > 3 * 90, "every operation is tried");
    for line in lines {
        let mut headers = http::HeaderMap::new();
        for (name, value) in line["headers"].as_object().expect("headers") {
            let name: http::HeaderName = name.parse().expect("a header name");
            headers.insert(name, value.as_str().expect("text").parse().expect("a header value"));
        }
        let body = line["body"].as_str().expect("a body");
        let request = common::post(&headers, body.as_bytes()).expect(body);
        assert_eq!(request.operation.name(), line["operation"].as_str().expect("a name"));
        let read = common::decode(&request).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(read, line["params"], "{body}");
    }
}

#[test]
fn responses_of_all_operations_are_read_by_botocore_as_we_meant_them() {
    if !available() {
        return;
    }
    let mut items = Vec::new();
    for line in lines("outputs") {
        let operation = line["operation"].as_str().expect("a name");
        let output = &line["output"];
        let response = common::encode(service(&line), operation, output, "5f0a-request");
        let name = line["service"].as_str().expect("a service");
        let mut item = item(name, operation, &response);
        item["output"] = output.clone();
        items.push(item);
    }
    assert!(items.len() > 3 * 90, "every operation is tried");
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
