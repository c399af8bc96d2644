//! Signature Version 4, for the few requests that an agent and a client make: a path without odd
//! characters, a known query, a body in memory.

use std::fmt;

use http::{HeaderMap, HeaderValue, header};
use ring::{
    digest::{SHA256, digest},
    hmac,
};

/// Credentials of AWS.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The session token, of credentials that end.
    pub token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `GET`, `POST`
    pub method: &'a str,
    /// The value of the `Host` header.
    pub host: &'a str,
    /// From the first slash on.
    pub path: &'a str,
    /// Names and values in order, as they are in the URL.
    pub query: &'a str,
    /// All of it.
    pub body: &'a [u8],
    /// As `ap-northeast-2`.
    pub region: &'a str,
    /// As `ssm`.
    pub service: &'a str,
}

const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
/// What S3 alone wants to be told.
const CONTENT: &str = "x-amz-content-sha256";

/// Adds to `headers` what proves who sends the request at a `time` (UTC, as `20260101T120000Z`).
///
/// # Errors
/// Where credentials hold what no header can.
pub fn sign(
    request: &Signed<'_>,
    credentials: &Credentials,
    time: &str,
    headers: &mut HeaderMap,
) -> Result<(), http::header::InvalidHeaderValue> {
    let day = time.get(..8).unwrap_or_default();
    headers.insert(DATE, HeaderValue::try_from(time)?);
    if let Some(token) = &credentials.token {
        headers.insert(TOKEN, HeaderValue::try_from(token)?);
    }
    let content = hex(digest(&SHA256, request.body).as_ref());
    if request.service == "s3" {
        headers.insert(CONTENT, HeaderValue::try_from(&content)?);
    }
    // All that AWS gives a meaning has to be signed.
    let meant = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-"));
    let meant = meant.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let mut signed: Vec<(&str, &str)> = meant.chain([("host", request.host)]).collect();
    signed.sort_unstable();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{content}",
        request.method, request.path, request.query
    );
    let scope = format!("{day}/{}/{}/aws4_request", request.region, request.service);
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(digest(&SHA256, canonical.as_bytes()).as_ref())
    );
    let mut key = format!("AWS4{}", credentials.secret_access_key).into_bytes();
    for part in [day, request.region, request.service, "aws4_request"] {
        key = mac(&key, part);
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        credentials.access_key_id,
        hex(&mac(&key, &text))
    );
    headers.insert(header::AUTHORIZATION, HeaderValue::try_from(authorization)?);
    Ok(())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `get-vanilla` of the suite that AWS publishes.
    #[test]
    fn a_request_is_signed_as_aws_publishes() {
        let request = Signed {
            method: "GET",
            host: "example.amazonaws.com",
            path: "/",
            query: "",
            body: b"",
            region: "us-east-1",
            service: "service",
        };
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        };
        let mut headers = HeaderMap::new();
        sign(&request, &credentials, "20150830T123600Z", &mut headers).expect("signed");
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }
}
