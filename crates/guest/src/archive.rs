//! What a session has shown, as an object of a bucket where its preferences name one: put there at the
//! end, over the instance's own network, by its role's rights.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gureum_session::message::{SessionContent, session_type};
use http::{HeaderMap, HeaderValue, header};
use tokio::time::{sleep, timeout};

use crate::{
    agent::Agent,
    network::{NetworkError, Service},
    transcript::{MOST, plain},
};

/// How long putting it there may take, and how long between two tries.
const LAST_WORDS: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(1);

/// What AWS's agent says where a bucket has to be encrypted and is not, or may not be looked at.
const NOT_ENCRYPTED: &str = "We couldn't start the session because encryption is not set up on the \
                             selected Amazon S3 bucket. Either encrypt the bucket or choose an \
                             option to enable logging without encryption.";
const NOT_KNOWN: &str = "Couldn't start the session because we are unable to validate encryption on \
                         Amazon S3 bucket.";

/// An object that is going to be.
pub(crate) struct Archive {
    agent: Agent,
    /// The bucket and the key, as a path.
    path: String,
    shown: BytesMut,
    left_out: usize,
}

impl Archive {
    /// Begins one, if the preferences of a session want it. Ports have none. An error is why there must
    /// be no session.
    pub(crate) async fn begin(
        agent: &Agent,
        content: &SessionContent,
    ) -> Result<Option<Self>, String> {
        let document = &content.document_content;
        let inputs = &document.inputs;
        let bucket = &inputs.s3_bucket_name;
        if bucket.is_empty() || document.session_type == session_type::PORT {
            return Ok(None);
        }
        if inputs.s3_encryption_enabled {
            match is_encrypted(agent, bucket).await {
                Ok(true) => {}
                Ok(false) => return Err(NOT_ENCRYPTED.to_owned()),
                Err(error) => return Err(format!("{NOT_KNOWN} Error: {error}")),
            }
        }
        let path = path(bucket, &inputs.s3_key_prefix, &content.session_id);
        Ok(Some(Self { agent: agent.clone(), path, shown: BytesMut::new(), left_out: 0 }))
    }

    /// Takes note of something that the session has shown.
    pub(crate) fn add(&mut self, bytes: &Bytes) {
        match self.shown.len() + bytes.len() <= MOST {
            true => self.shown.extend_from_slice(bytes),
            false => self.left_out += bytes.len(),
        }
    }

    /// Waits until it is there, or cannot be: the session is over all the same.
    pub(crate) async fn finish(self) {
        let Self { agent, path, shown, left_out } = self;
        if left_out > 0 {
            tracing::warn!(path, bytes = left_out, "not in the object of a session");
        }
        let body = Bytes::from(plain(&String::from_utf8_lossy(&shown)));
        let put = async {
            while let Err(error) = put(&agent, &path, body.clone()).await {
                tracing::error!(path, %error, "a session is not put into its bucket");
                if matches!(error, NetworkError::Refused(..) | NetworkError::NoCredentials) {
                    return;
                }
                sleep(PAUSE).await;
            }
        };
        if timeout(LAST_WORDS, put).await.is_err() {
            tracing::error!(path, "a session is not put into its bucket in time");
        }
    }
}

async fn put(agent: &Agent, path: &str, body: Bytes) -> Result<(), NetworkError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert("x-amz-acl", HeaderValue::from_static("bucket-owner-full-control"));
    call(agent, "PUT", (path, ""), headers, body).await.map(drop)
}

/// Whether a bucket encrypts what comes into it.
async fn is_encrypted(agent: &Agent, bucket: &str) -> Result<bool, NetworkError> {
    let path = format!("/{}", encoded(bucket));
    let answer = call(agent, "GET", (&path, "encryption="), HeaderMap::new(), Bytes::new()).await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(["AES256", "aws:kms"].iter().any(|how| answer.contains(how)))
}

async fn call(
    agent: &Agent,
    method: &str,
    resource: (&str, &str),
    headers: HeaderMap,
    body: Bytes,
) -> Result<Bytes, NetworkError> {
    let credentials = agent.surroundings.credentials().await?;
    let service = Service { name: "s3", region: &agent.region, credentials: &credentials };
    agent.surroundings.network().call(method, &service, resource, headers, body).await
}

/// Where the object of a session is: below the prefix, named by its id.
fn path(bucket: &str, prefix: &str, session: &str) -> String {
    let prefix = prefix.trim_matches('/');
    let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    format!("/{}", encoded(&format!("{bucket}/{below}{session}.log")))
}

/// A path as S3 signs and reads it: all but letters, digits, `-._~` and slashes in hexadecimal.
fn encoded(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_below_the_prefix_by_the_sessions_id() {
        assert_eq!(path("box", "", "mina-1"), "/box/mina-1.log");
        assert_eq!(path("box", "of/us", "mina-1"), "/box/of/us/mina-1.log");
        assert_eq!(path("box", "/of us/", "a@b+c=d-1"), "/box/of%20us/a%40b%2Bc%3Dd-1.log");
    }
}
