//! Who calls S3, and which requests are meant for it.

use std::sync::Arc;

use gureum_types::{AccountId, Region};
use http::{HeaderMap, Uri, header};

use crate::Judge;

/// Whoever made a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account; none of somebody who shows no credentials.
    pub account: Option<AccountId>,
    /// The region that the request was signed for.
    pub region: Region,
    /// Knows what they may do.
    pub judge: Arc<dyn Judge>,
    /// Signs the pieces of the body as they must have: where it comes in pieces that are signed,
    /// by somebody whose secret is known.
    pub chunks: Option<Arc<dyn Sign>>,
}

/// Signs pieces of a body with a caller's secret. Digests and signatures are hexadecimal.
pub trait Sign: std::fmt::Debug + Send + Sync {
    /// The signature that precedes that of the first piece.
    fn seed(&self) -> &str;
    /// The signature of a piece with this SHA-256, behind one with that signature.
    fn chunk(&self, before: &str, digest: &str) -> String;
    /// The signature of trailing headers, lines of `name:value`.
    fn trailers(&self, before: &str, lines: &str) -> String;
}

/// How a request shows that it is meant for S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// It is signed for S3: with this access key, for this region.
    Signed {
        /// The access key id.
        access_key_id: String,
        /// The region as the credential scope names it; nothing for the old kind of signature.
        region: Option<String>,
    },
    /// It goes to S3 by its host or path and is not signed.
    Anonymous,
}

impl Addressed {
    /// How a request is meant for S3, if it is.
    pub fn of(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(text) = text {
            if let Some(rest) = text.strip_prefix("AWS ") {
                let access_key_id = rest.split(':').next().unwrap_or_default().to_owned();
                return Some(Self::Signed { access_key_id, region: None });
            }
            let credential = text.split("Credential=").nth(1)?;
            return Self::of_scope(credential.split([',', ' ']).next()?);
        }
        let mut access_key_id = None;
        for pair in uri.query().unwrap_or_default().split('&') {
            match pair.split_once('=') {
                Some(("X-Amz-Credential", scope)) => {
                    return Self::of_scope(&scope.replace("%2F", "/").replace("%2f", "/"));
                }
                Some(("AWSAccessKeyId", key)) => access_key_id = Some(key.to_owned()),
                _ => {}
            }
        }
        if let Some(access_key_id) = access_key_id {
            return Some(Self::Signed { access_key_id, region: None });
        }
        // Other services are called at the root, with their names in a form or a header.
        let has_bucket = uri.path() != "/" || bucket_in_host(headers, uri).is_some();
        has_bucket.then_some(Self::Anonymous)
    }

    fn of_scope(scope: &str) -> Option<Self> {
        let parts: Vec<&str> = scope.split('/').collect();
        match parts[..] {
            [key, _, region, "s3", _] => Some(Self::Signed {
                access_key_id: key.to_owned(),
                region: Some(region.to_owned()),
            }),
            _ => None,
        }
    }
}

/// The bucket in the name of the host: `bucket.s3.ap-northeast-2.amazonaws.com`,
/// `bucket.localhost`.
pub(crate) fn bucket_in_host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let host = uri.host().or_else(|| headers.get(header::HOST)?.to_str().ok())?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bucket = match name.split_once(".s3.").or_else(|| name.split_once(".s3-")) {
        Some((bucket, _)) => bucket,
        None => name.strip_suffix(".localhost").filter(|it| *it != "s3")?,
    };
    (!bucket.is_empty()).then(|| bucket.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn a_request_is_for_s3_by_its_signature_its_path_or_its_host() {
        let signed = |service: &str| {
            let scope = format!("AKID/20260101/ap-northeast-2/{service}/aws4_request");
            let text =
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
            Addressed::of(&headers(&[("authorization", &text)]), &Uri::from_static("/"))
        };
        let key = |it: &str, region: Option<&str>| {
            Some(Addressed::Signed {
                access_key_id: it.to_owned(),
                region: region.map(str::to_owned),
            })
        };
        assert_eq!(signed("s3"), key("AKID", Some("ap-northeast-2")));
        assert_eq!(signed("ec2"), None);
        let of = |host: &str, uri: &str| {
            Addressed::of(&headers(&[("host", host)]), &uri.parse().expect("a URI"))
        };
        assert_eq!(of("127.0.0.1:4566", "/"), None);
        assert_eq!(of("127.0.0.1:4566", "/bucket"), Some(Addressed::Anonymous));
        assert_eq!(of("bucket.localhost:4566", "/"), Some(Addressed::Anonymous));
        assert_eq!(of("localhost:4566", "/"), None);
        let presigned = "/b/k?X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fs3%2Faws4_request";
        assert_eq!(of("127.0.0.1:4566", presigned), key("AKID", Some("us-east-1")));
        let old = "/b/k?AWSAccessKeyId=AKID&Signature=x&Expires=1";
        assert_eq!(of("127.0.0.1:4566", old), key("AKID", None));
    }

    #[test]
    fn buckets_stand_in_front_of_the_host() {
        let of = |host: &str| bucket_in_host(&headers(&[("host", host)]), &Uri::from_static("/"));
        for (host, bucket) in [
            ("my.bucket.s3.ap-northeast-2.amazonaws.com", Some("my.bucket")),
            ("bucket.s3.amazonaws.com:443", Some("bucket")),
            ("bucket.s3-ap-northeast-2.amazonaws.com", Some("bucket")),
            ("s3.ap-northeast-2.amazonaws.com", None),
            ("bucket.localhost:4566", Some("bucket")),
            ("bucket.s3.localhost:4566", Some("bucket")),
            ("s3.localhost:4566", None),
            ("localhost:4566", None),
            ("127.0.0.1:4566", None),
            ("[::1]:4566", None),
        ] {
            assert_eq!(of(host).as_deref(), bucket, "{host}");
        }
    }
}
