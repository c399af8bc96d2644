//! What an operation asks leave for: actions as policies name them, on a bucket or an object.

use std::{fmt, sync::Arc};

use gureum_types::AccountId;
use http::{HeaderMap, Method, Uri};
use s3s::{
    S3Result,
    access::{S3Access, S3AccessContext},
    path::S3Path,
};

use crate::{
    Caller,
    configuration::POLICY,
    error::{access_denied, no_such_bucket, refused},
    object::unescaped,
    service::{Found, Inner},
};

/// The condition keys that are parameters of lists.
const LIST_KEYS: [&str; 3] = ["delimiter", "max-keys", "prefix"];

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish<'a> {
    /// The action: `s3:GetObject`.
    pub action: &'a str,
    /// The ARN of a bucket or an object; `arn:aws:s3:::*` for all buckets.
    pub resource: &'a str,
    /// The account that the bucket belongs to; none where there is no bucket yet.
    pub owner: Option<&'a AccountId>,
    /// The policy of the bucket.
    pub policy: Option<&'a str>,
    /// Condition keys of S3 with their values.
    pub keys: &'a [(String, String)],
}

/// Knows what a caller may do.
pub trait Judge: fmt::Debug + Send + Sync {
    /// Whether they may. The error is the sentence of `AccessDenied`.
    fn decide(&self, wish: &Wish<'_>) -> Result<(), String>;

    /// Whether a text is a policy that a bucket can have. The error is the sentence of
    /// `MalformedPolicy`.
    fn read_policy(&self, bucket: &str, text: &str) -> Result<(), String>;
}

impl Caller {
    /// Refuses what the caller may not do in a bucket; without a key, of the bucket itself.
    pub(crate) fn may(
        &self,
        action: &str,
        found: Option<&Found>,
        bucket: &str,
        key: Option<&str>,
        keys: &[(String, String)],
    ) -> S3Result<()> {
        let resource = match key {
            Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
            None => format!("arn:aws:s3:::{bucket}"),
        };
        let wish = Wish {
            action,
            resource: &resource,
            owner: found.map(|found| &found.scope.account),
            policy: found.and_then(|it| it.bucket.configurations.get(POLICY)).map(String::as_str),
            keys,
        };
        self.judge.decide(&wish).map_err(|sentence| refused("AccessDenied", sentence, 403))
    }
}

/// Looks at every operation before it is done.
pub(crate) struct Permission(pub(crate) Arc<Inner>);

#[async_trait::async_trait]
impl S3Access for Permission {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let caller = request.extensions_mut().get::<Caller>().cloned().ok_or_else(access_denied)?;
        let operation = request.s3_op().name();
        let (bucket, key) = match request.s3_path() {
            S3Path::Root => ("*", None),
            S3Path::Bucket { bucket } => (&**bucket, None),
            S3Path::Object { bucket, key } => (&**bucket, Some(&**key)),
        };
        let found = match (request.s3_path(), operation) {
            (S3Path::Root, _) | (_, "CreateBucket") => None,
            // That a bucket is not there is told to everybody.
            _ => Some(self.0.find(bucket).ok_or_else(no_such_bucket)?),
        };
        let keys = keys(request.headers(), request.uri());
        for action in actions(operation, request.headers(), request.uri()) {
            caller.may(&format!("s3:{action}"), found.as_ref(), bucket, key, &keys)?;
        }
        Ok(())
    }
}

fn parameters(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// What policies may ask of a request's head.
fn keys(headers: &HeaderMap, uri: &Uri) -> Vec<(String, String)> {
    let headers = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        name.starts_with("x-amz-").then_some(())?;
        Some((format!("s3:{name}"), value.to_str().ok()?.to_owned()))
    });
    let listed = parameters(uri).filter_map(|(name, value)| {
        let name = match name {
            "versionId" => "VersionId",
            name => LIST_KEYS.into_iter().find(|it| *it == name)?,
        };
        Some((format!("s3:{name}"), unescaped(value).unwrap_or_else(|| value.to_owned())))
    });
    headers.chain(listed).collect()
}

/// The actions of an operation, without their service. Of what is copied, and of each of many
/// objects that are deleted, the operations ask themselves.
fn actions(operation: &str, headers: &HeaderMap, uri: &Uri) -> Vec<&'static str> {
    let of_version = parameters(uri).any(|(name, _)| name == "versionId");
    let has = |name: &str| headers.contains_key(name);
    let one = match operation {
        "AbortMultipartUpload" => "AbortMultipartUpload",
        "CompleteMultipartUpload" | "UploadPart" | "UploadPartCopy" => "PutObject",
        "CopyObject" | "CreateMultipartUpload" | "PutObject" => {
            let mut actions = vec!["PutObject"];
            if has("x-amz-tagging") {
                actions.push("PutObjectTagging");
            }
            if has("x-amz-acl") || headers.keys().any(|it| it.as_str().starts_with("x-amz-grant-"))
            {
                actions.push("PutObjectAcl");
            }
            return actions;
        }
        "CreateBucket" => "CreateBucket",
        "DeleteBucket" => "DeleteBucket",
        "DeleteBucketCors" | "PutBucketCors" => "PutBucketCORS",
        "DeleteBucketEncryption" | "PutBucketEncryption" => "PutEncryptionConfiguration",
        "DeleteBucketLifecycle" | "PutBucketLifecycleConfiguration" => "PutLifecycleConfiguration",
        "DeleteBucketOwnershipControls" | "PutBucketOwnershipControls" => {
            "PutBucketOwnershipControls"
        }
        "DeleteBucketPolicy" => "DeleteBucketPolicy",
        "DeleteBucketReplication" | "PutBucketReplication" => "PutReplicationConfiguration",
        "DeleteBucketTagging" | "PutBucketTagging" => "PutBucketTagging",
        "DeleteBucketWebsite" => "DeleteBucketWebsite",
        "DeleteObject" if of_version => "DeleteObjectVersion",
        "DeleteObject" => "DeleteObject",
        "DeleteObjectTagging" => "DeleteObjectTagging",
        "DeleteObjects" => return Vec::new(),
        "DeletePublicAccessBlock" | "PutPublicAccessBlock" => "PutBucketPublicAccessBlock",
        "GetBucketAccelerateConfiguration" => "GetAccelerateConfiguration",
        "GetBucketAcl" => "GetBucketAcl",
        "GetBucketCors" => "GetBucketCORS",
        "GetBucketEncryption" => "GetEncryptionConfiguration",
        "GetBucketLifecycleConfiguration" => "GetLifecycleConfiguration",
        "GetBucketLocation" => "GetBucketLocation",
        "GetBucketLogging" => "GetBucketLogging",
        "GetBucketNotificationConfiguration" => "GetBucketNotification",
        "GetBucketOwnershipControls" => "GetBucketOwnershipControls",
        "GetBucketPolicy" => "GetBucketPolicy",
        "GetBucketReplication" => "GetReplicationConfiguration",
        "GetBucketRequestPayment" => "GetBucketRequestPayment",
        "GetBucketTagging" => "GetBucketTagging",
        "GetBucketVersioning" => "GetBucketVersioning",
        "GetBucketWebsite" => "GetBucketWebsite",
        "GetObject" | "HeadObject" if of_version => "GetObjectVersion",
        "GetObject" | "HeadObject" => "GetObject",
        "GetObjectAcl" => "GetObjectAcl",
        "GetObjectAttributes" => return vec!["GetObject", "GetObjectAttributes"],
        "GetObjectLockConfiguration" => "GetBucketObjectLockConfiguration",
        "GetObjectTagging" => "GetObjectTagging",
        "GetPublicAccessBlock" => "GetBucketPublicAccessBlock",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "ListBucket",
        "ListBuckets" => "ListAllMyBuckets",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListObjectVersions" => "ListBucketVersions",
        "ListParts" => "ListMultipartUploadParts",
        "PutBucketAccelerateConfiguration" => "PutAccelerateConfiguration",
        "PutBucketAcl" => "PutBucketAcl",
        "PutBucketLogging" => "PutBucketLogging",
        "PutBucketNotificationConfiguration" => "PutBucketNotification",
        "PutBucketPolicy" => "PutBucketPolicy",
        "PutBucketRequestPayment" => "PutBucketRequestPayment",
        "PutBucketVersioning" => "PutBucketVersioning",
        "PutBucketWebsite" => "PutBucketWebsite",
        "PutObjectLockConfiguration" => "PutBucketObjectLockConfiguration",
        "PutObjectTagging" => "PutObjectTagging",
        // The others are not served, and say so.
        _ => return Vec::new(),
    };
    vec![one]
}

/// Whether the body of a request is the bytes of an object, which may be many.
pub(crate) fn carries_object(method: &Method, uri: &Uri) -> bool {
    let has_key = uri.path().splitn(3, '/').nth(2).is_some_and(|key| !key.is_empty());
    let plain = ["", "partNumber", "uploadId", "x-id"];
    method == Method::PUT && has_key && parameters(uri).all(|(name, _)| plain.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(operation: &str, header: Option<&'static str>, uri: &str) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        if let Some(name) = header {
            headers.insert(name, http::HeaderValue::from_static("x"));
        }
        actions(operation, &headers, &uri.parse().expect("a URI"))
    }

    #[test]
    fn operations_ask_for_the_actions_of_policies() {
        for (operation, header, uri, expected) in [
            ("ListBuckets", None, "/", &["ListAllMyBuckets"][..]),
            ("ListObjectsV2", None, "/b?list-type=2", &["ListBucket"]),
            ("HeadBucket", None, "/b", &["ListBucket"]),
            ("HeadObject", None, "/b/k", &["GetObject"]),
            ("GetObject", None, "/b/k?versionId=null", &["GetObjectVersion"]),
            ("PutObject", None, "/b/k", &["PutObject"]),
            ("PutObject", Some("x-amz-tagging"), "/b/k", &["PutObject", "PutObjectTagging"]),
            ("CopyObject", Some("x-amz-acl"), "/b/k", &["PutObject", "PutObjectAcl"]),
            ("UploadPart", None, "/b/k?partNumber=1&uploadId=u", &["PutObject"]),
            ("DeleteObjects", None, "/b?delete", &[]),
            ("DeleteBucketLifecycle", None, "/b?lifecycle", &["PutLifecycleConfiguration"]),
        ] {
            assert_eq!(of(operation, header, uri), expected, "{operation} {uri}");
        }
    }

    #[test]
    fn every_operation_that_is_served_asks_for_something() {
        let served = include_str!("operations.rs");
        let inputs = served.lines().filter_map(|line| {
            let (_, rest) = line.strip_prefix("    ")?.split_once('(')?;
            rest.split_once("Input) -> ").map(|(name, _)| name)
        });
        let operations: Vec<_> = inputs.collect();
        assert!(operations.len() > 50, "{operations:?}");
        for operation in operations.into_iter().filter(|it| *it != "DeleteObjects") {
            assert!(!of(operation, None, "/b/k").is_empty(), "{operation}");
        }
    }

    #[test]
    fn heads_are_condition_keys() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-acl", http::HeaderValue::from_static("public-read"));
        headers.insert("content-type", http::HeaderValue::from_static("text/plain"));
        let uri = Uri::from_static("/b?list-type=2&prefix=a%2Fb+c&max-keys=5");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            keys(&headers, &uri),
            [
                pair("s3:x-amz-acl", "public-read"),
                pair("s3:prefix", "a/b c"),
                pair("s3:max-keys", "5")
            ]
        );
    }

    #[test]
    fn bytes_of_objects_are_put() {
        for (method, uri, expected) in [
            (Method::PUT, "/b/k", true),
            (Method::PUT, "/b/k?x-id=PutObject", true),
            (Method::PUT, "/b/k?partNumber=1&uploadId=u", true),
            (Method::PUT, "/b/k?tagging", false),
            (Method::PUT, "/b", false),
            (Method::PUT, "/b/?policy", false),
            (Method::POST, "/b/k?uploadId=u", false),
        ] {
            let uri = uri.parse().expect("a URI");
            assert_eq!(carries_object(&method, &uri), expected, "{method} {uri}");
        }
    }
}
