//! The room's door: a request with its caller in, an answer out.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use gureum_store::Store;
use gureum_types::{
    Timestamp,
    record::{Bucket, Scope},
};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header, uri::PathAndQuery};
use s3s::{
    Body, S3Request, S3Result,
    auth::SimpleAuth,
    dto::StreamingBlob,
    service::{S3Service, S3ServiceBuilder},
};

use crate::{
    Caller, ObjectsError, PutError, Refusal, Sign,
    body::{Claims, receive},
    caller::bucket_in_host,
    chunked::{Dechunked, Trailers},
    error::{Failure, access_denied, content_mismatch, no_such_bucket, refused},
    objects::{Attributes, ObjectEntry, Objects},
    permission::{Permission, carries_object},
};

/// What a signature adds to a query; not a part of what is asked.
const SIGNATURE_PARAMETERS: [&str; 10] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "AWSAccessKeyId",
    "Signature",
    "x-amz-security-token",
];

/// The largest body that is not bytes of an object.
const DOCUMENT_LIMIT: usize = 8 << 20;

/// What of a request's head is checked when its body is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) signed_sha256: Option<String>,
    pub(crate) trailers: Trailers,
    /// The algorithm of the checksum that follows the body.
    pub(crate) trailing_algorithm: Option<String>,
}

/// Buckets and objects, over HTTP.
pub struct S3 {
    service: S3Service,
    inner: Arc<Inner>,
    /// The buckets that were there at the last sweep.
    swept: Mutex<Option<HashSet<u64>>>,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) objects: Arc<Objects>,
}

/// The operations, as `s3s` calls them.
#[derive(Clone)]
pub(crate) struct Operations(pub(crate) Arc<Inner>);

/// A bucket that a request names, with where it belongs.
pub(crate) struct Found {
    pub(crate) scope: Scope,
    pub(crate) bucket: Arc<Bucket>,
}

impl Inner {
    /// The bucket with a name.
    pub(crate) fn find(&self, name: &str) -> Option<Found> {
        let records = self.store.snapshot();
        let (key, bucket) = records.bucket(name)?;
        Some(Found { scope: key.scope.clone()?, bucket: bucket.clone() })
    }
}

impl S3 {
    /// Opens the objects in a directory, which is made if it is not there; buckets are records of
    /// the store.
    pub fn open(directory: &Path, store: Arc<Store>) -> Result<Self, ObjectsError> {
        let objects = Arc::new(Objects::open(directory)?);
        let inner = Arc::new(Inner { store, objects });
        let mut builder = S3ServiceBuilder::new(Operations(inner.clone()));
        // Permissions are looked at where there are keys. No request has a signature any more when
        // it comes there, so that none is asked for.
        builder.set_auth(SimpleAuth::new());
        builder.set_access(Permission(inner.clone()));
        let service = builder.build();
        Ok(Self { service, inner, swept: Mutex::new(None) })
    }

    /// Answers a request of somebody whose signature, where there is one, was looked at before.
    pub async fn serve(
        &self,
        request: Request<Body>,
        caller: Result<Caller, Refusal>,
        request_id: &str,
    ) -> Response<Body> {
        let answer = match caller {
            Ok(caller) => self.handle(request, caller).await,
            Err(refusal) => Err(refusal.into()),
        };
        let mut response = answer.unwrap_or_else(|mut error| {
            error.set_request_id(request_id);
            // What cannot be written as XML there is not.
            error.to_http_response().unwrap_or_default()
        });
        if let Ok(id) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        response
    }

    async fn handle(&self, request: Request<Body>, caller: Caller) -> S3Result<Response<Body>> {
        let (mut head, body) = request.into_parts();
        check_expiry(&head.uri, now())?;
        let bucket = bucket_in_host(&head.headers, &head.uri);
        head.uri = plain_uri(&head.uri, bucket.as_deref())?;
        let name = head.uri.path().split('/').nth(1).unwrap_or_default();
        if !name.is_empty() && !s3s::path::check_bucket_name(name) {
            return Err(refused("InvalidBucketName", "The specified bucket is not valid.", 400));
        }
        let (mut body, envelope) = unwrapped(&mut head.headers, body, caller.chunks.clone());
        if let Some(digest) = &envelope.signed_sha256
            && !carries_object(&head.method, &head.uri)
        {
            body = signed_document(body, digest).await?;
        }
        head.extensions.insert(caller);
        head.extensions.insert(envelope);
        let answer = self.service.call(Request::from_parts(head, body)).await;
        answer.map_err(|error| crate::error::internal(&s3s::StdError::from(error)))
    }

    /// Puts an object in the name of somebody who makes no request, as services of the cloud do
    /// who give what they put to the bucket's owner.
    pub async fn put(
        &self,
        caller: &Caller,
        bucket: &str,
        key: String,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<(), PutError> {
        let found = self.inner.find(bucket).ok_or(PutError::NoSuchBucket)?;
        let acl = [("s3:x-amz-acl".to_owned(), "bucket-owner-full-control".to_owned())];
        caller.may("s3:PutObject", Some(&found), bucket, Some(&key), &acl)?;
        let (objects, data) = (&self.inner.objects, found.bucket.data);
        let body = Some(StreamingBlob::from(Body::from(Bytes::from(body))));
        let received = receive(objects, data, unique(), body, &Claims::default()).await?;
        let attributes =
            Attributes { content_type: Some(content_type.to_owned()), ..Attributes::default() };
        let object = ObjectEntry {
            pieces: vec![received.piece],
            etag: received.md5,
            modified: now(),
            attributes,
            tags: BTreeMap::new(),
            checksums: received.checksums,
        };
        Ok(self.inner.keep(data, key, object, |_| Ok(())).await?)
    }

    /// Deletes the objects of buckets that are no more.
    pub fn sweep(&self) -> Result<(), ObjectsError> {
        let buckets = || {
            let records = self.inner.store.snapshot();
            records.everywhere::<Bucket>().map(|(_, bucket)| bucket.data).collect::<HashSet<_>>()
        };
        let now = buckets();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.as_ref().is_none_or(|before| !before.is_subset(&now)) {
            self.inner.objects.sweep(buckets)?;
        }
        *swept = Some(now);
        Ok(())
    }
}

/// The address as `s3s` reads it: the bucket in the path, no signature.
fn plain_uri(uri: &Uri, bucket: Option<&str>) -> S3Result<Uri> {
    let is_own = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        // A form of signatures that is older than the names of the others.
        let is_old = name == "Expires" && pair.len() > name.len();
        !is_old && !SIGNATURE_PARAMETERS.contains(&name)
    };
    let query = uri.query().unwrap_or_default();
    let query: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).filter(is_own).collect();
    let mut text = match bucket {
        Some(bucket) => format!("/{bucket}{}", uri.path()),
        None => uri.path().to_owned(),
    };
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query.join("&"));
    }
    let invalid = || refused("InvalidURI", "Couldn't parse the specified URI.", 400);
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| invalid())?);
    Uri::from_parts(parts).map_err(|_| invalid())
}

/// Presigned addresses are good for a while only.
fn check_expiry(uri: &Uri, now: i64) -> S3Result<()> {
    let query = uri.query().unwrap_or_default();
    let find = |wanted: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
    };
    let seconds = |text: &str| text.parse::<i64>().ok();
    let until = match (find("X-Amz-Date"), find("X-Amz-Expires").and_then(seconds)) {
        (Some(date), Some(seconds)) => signing_time(date).map(|it| it.saturating_add(seconds)),
        _ if find("AWSAccessKeyId").is_some() => find("Expires").and_then(seconds),
        _ => None,
    };
    match until {
        Some(until) if until < now.div_euclid(1000) => Err(Refusal::Expired.into()),
        _ => Ok(()),
    }
}

/// `20260101T000000Z` in seconds since the Unix epoch.
fn signing_time(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..8)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..6)?);
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    text.parse::<Timestamp>().ok().map(Timestamp::seconds)
}

/// A body without what transport and signature put around it.
fn unwrapped(headers: &mut HeaderMap, body: Body, sign: Option<Arc<dyn Sign>>) -> (Body, Envelope) {
    headers.remove(header::AUTHORIZATION);
    headers.remove("x-amz-security-token");
    headers.remove(header::EXPECT);
    let mut envelope = Envelope::default();
    let text = |value: HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    let said = headers.remove("x-amz-content-sha256").map(text).unwrap_or_default();
    let encoding = headers.get(header::CONTENT_ENCODING).cloned().map(text).unwrap_or_default();
    let is_chunked = said.starts_with("STREAMING-") || encoding.contains("aws-chunked");
    if said.len() == 64 {
        envelope.signed_sha256 = Some(said.to_ascii_lowercase());
    }
    if !is_chunked {
        return (body, envelope);
    }
    let rest: Vec<_> =
        encoding.split(',').map(str::trim).filter(|it| *it != "aws-chunked").collect();
    match HeaderValue::from_str(&rest.join(",")) {
        Ok(rest) if !rest.is_empty() => headers.insert(header::CONTENT_ENCODING, rest),
        _ => headers.remove(header::CONTENT_ENCODING),
    };
    match headers.remove("x-amz-decoded-content-length") {
        Some(length) => headers.insert(header::CONTENT_LENGTH, length),
        None => headers.remove(header::CONTENT_LENGTH),
    };
    envelope.trailing_algorithm = headers
        .remove("x-amz-trailer")
        .map(text)
        .and_then(|it| it.strip_prefix("x-amz-checksum-").map(str::to_owned));
    let decoded = Dechunked::new(StreamingBlob::from(body), envelope.trailers.clone(), sign);
    (Body::from(StreamingBlob::wrap(decoded)), envelope)
}

/// A small body after it was found to be the one that was signed. Bytes of objects are looked at as
/// they come.
async fn signed_document(mut body: Body, digest: &str) -> S3Result<Body> {
    use sha2::{Digest as _, Sha256};
    let bytes = body.store_all_limited(DOCUMENT_LIMIT).await.map_err(|error| {
        tracing::debug!(%error, "a document did not arrive whole");
        refused("IncompleteBody", "The request body terminated unexpectedly", 400)
    })?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    match found == digest {
        true => Ok(Body::from(bytes)),
        false => Err(content_mismatch()),
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn time(milliseconds: i64) -> s3s::dto::Timestamp {
    let since = std::time::Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    (UNIX_EPOCH + since).into()
}

/// A name that no other has.
pub(crate) fn unique() -> String {
    format!("{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>())
}

/// The caller of a request; the door puts one into each.
pub(crate) fn caller<T>(request: &S3Request<T>) -> S3Result<Caller> {
    request.extensions.get::<Caller>().cloned().ok_or_else(access_denied)
}

/// What is to be checked of a request's body.
pub(crate) fn claims<T>(request: &S3Request<T>) -> Claims {
    let envelope = request.extensions.get::<Envelope>().cloned().unwrap_or_default();
    let header = |name: &str| {
        request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let mut claims = Claims {
        md5: header("content-md5"),
        signed_sha256: envelope.signed_sha256,
        trailers: envelope.trailers,
        algorithm: envelope
            .trailing_algorithm
            .or_else(|| header("x-amz-sdk-checksum-algorithm"))
            .map(|name| name.to_ascii_lowercase()),
        ..Claims::default()
    };
    for name in ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] {
        if let Some(value) = header(&format!("x-amz-checksum-{name}")) {
            claims.checksums.insert(name.to_owned(), value);
        }
    }
    claims
}

impl Operations {
    /// The bucket with a name. What the caller may do there is decided already.
    pub(crate) fn bucket(&self, name: &str) -> S3Result<Found> {
        self.0.find(name).ok_or_else(no_such_bucket)
    }

    /// Changes a bucket's record.
    pub(crate) async fn change_bucket(
        &self,
        found: Found,
        change: impl Fn(&mut Bucket) + Send + 'static,
    ) -> S3Result<()> {
        let store = self.0.store.clone();
        crate::body::blocking(move || {
            store.transact(|tx| -> Result<(), Failure> {
                tx.update::<Bucket>(&found.scope, &found.bucket.name, &change)
                    .map(|_| ())
                    .ok_or_else(|| no_such_bucket().into())
            })
        })
        .await
    }
}

/// The region where a bucket is.
pub(crate) fn region(found: &Found) -> String {
    found.scope.region.as_str().to_owned()
}

/// A token that means a place in a list.
pub(crate) fn token(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

pub(crate) fn place(token: &str) -> S3Result<String> {
    let invalid =
        || refused("InvalidArgument", "The continuation token provided is incorrect", 400);
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    String::from_utf8(bytes).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use gureum_types::{Region, Tags};

    use super::*;
    use crate::{Judge, Wish};

    /// Lets one kind of wish pass.
    #[derive(Debug)]
    struct Strict(&'static str);

    impl Judge for Strict {
        fn decide(&self, wish: &Wish<'_>) -> Result<(), String> {
            let keys = [("s3:x-amz-acl".to_owned(), "bucket-owner-full-control".to_owned())];
            let may = (wish.action, wish.keys, wish.policy) == ("s3:PutObject", &keys, Some("{}"));
            match may && wish.resource.starts_with(self.0) {
                true => Ok(()),
                false => Err("Access Denied".to_owned()),
            }
        }

        fn read_policy(&self, _: &str, _: &str) -> Result<(), String> {
            Ok(())
        }
    }

    /// FL-16
    #[tokio::test]
    async fn a_service_puts_what_the_bucket_s_policy_lets_it() {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let store = Arc::new(Store::in_memory());
        let scope = Scope {
            account: "111122223333".parse().expect("an account"),
            region: Region::us_east_1(),
        };
        let bucket = Bucket {
            name: "box".to_owned(),
            data: 7,
            created: Timestamp(0),
            tags: Tags::new(),
            configurations: [("policy".to_owned(), "{}".to_owned())].into_iter().collect(),
        };
        let made = store.transact(|tx| {
            tx.put(&scope, bucket.clone());
            Ok::<_, gureum_store::StoreError>(())
        });
        made.expect("a bucket");
        let s3 = S3::open(folder.path(), store).expect("opened");
        let judge = Arc::new(Strict("arn:aws:s3:::box/AWSLogs/"));
        let caller = Caller { account: None, region: Region::us_east_1(), judge, chunks: None };
        let put = async |bucket: &str, key: &str, body: &[u8]| {
            s3.put(&caller, bucket, key.to_owned(), "text/plain", body.to_vec()).await
        };
        assert_eq!(put("none", "AWSLogs/a", b"x").await, Err(PutError::NoSuchBucket));
        let denied = Err(PutError::AccessDenied("Access Denied".to_owned()));
        assert_eq!(put("box", "elsewhere", b"x").await, denied);
        // Put again, it is what was put last.
        for body in [&b"first"[..], b"second"] {
            assert_eq!(put("box", "AWSLogs/a", body).await, Ok(()));
            let object = s3.inner.objects.get(7, "AWSLogs/a").expect("read").expect("there");
            assert_eq!(object.attributes.content_type.as_deref(), Some("text/plain"));
            let [piece] = object.pieces.as_slice() else { panic!("one file") };
            let path = s3.inner.objects.path(7, &piece.file);
            assert_eq!(std::fs::read(path).expect("read"), body);
        }
        assert!(s3.inner.objects.get(7, "elsewhere").expect("read").is_none());
        let files = std::fs::read_dir(s3.inner.objects.folder(7)).expect("a folder");
        assert_eq!(files.count(), 1, "what was replaced or refused is gone");
    }
}
