//! A small client of Systems Manager's API, one connection a call.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value;

/// Calls an operation at the port of a cloud; signs with a placeholder, as [`crate::Ec2`] does.
///
/// # Errors
/// The body of a refusal.
///
/// # Panics
/// Where there is no answer.
pub fn ssm(port: u16, action: &str, parameters: &Value) -> Result<Value, Value> {
    let body = parameters.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the API");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         X-Amz-Target: AmazonSSM.{action}\r\nContent-Type: application/x-amz-json-1.1\r\n\
         X-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/ap-northeast-2/\
         ssm/aws4_request, SignedHeaders=host;x-amz-date, Signature={:064}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        0,
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    match head.starts_with("HTTP/1.1 200") {
        true => Ok(body),
        false => Err(body),
    }
}
