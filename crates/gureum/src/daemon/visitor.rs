//! Who comes to S3: it serves buckets and does not know keys and policies, and control does not
//! know buckets.

use std::sync::Arc;

use gureum_api::{ChunkSigner, Signature, Unproven};
use gureum_control::{Control, Refusal, Visit, Visited, Visitor};
use gureum_s3::{Addressed, Caller, Judge, Sign, Wish};
use gureum_types::{AccountId, Origin, Region};
use http::Request;

/// Control's word on what a visitor may do.
#[derive(Debug)]
struct Word(Visitor);

impl Judge for Word {
    fn decide(&self, wish: &Wish<'_>) -> Result<(), String> {
        let Wish { action, resource, owner, policy, keys } = *wish;
        self.0.decide(&Visited { action, resource, owner, policy, keys })
    }

    fn read_policy(&self, bucket: &str, text: &str) -> Result<(), String> {
        Visitor::read_policy(bucket, text)
    }
}

/// Signs pieces of a body with the secret of the caller.
#[derive(Debug)]
struct Chunks(Arc<ChunkSigner>);

impl Sign for Chunks {
    fn seed(&self) -> &str {
        self.0.seed()
    }

    fn chunk(&self, before: &str, digest: &str) -> String {
        self.0.sign(before, digest)
    }

    fn trailers(&self, before: &str, lines: &str) -> String {
        self.0.sign_trailers(before, lines)
    }
}

/// Who makes a request of S3. `account` is that of keys which name no other.
pub(super) fn of<B>(
    control: &Control,
    account: &AccountId,
    addressed: Addressed,
    request: &Request<B>,
) -> Result<Caller, gureum_s3::Refusal> {
    let origin = request.extensions().get::<Origin>();
    let source = origin.map(|it| control.source(it)).unwrap_or_default();
    let (key, region) = match addressed {
        Addressed::Signed { access_key_id, region } => (Some(access_key_id), region),
        Addressed::Anonymous => (None, None),
    };
    let account = key.as_deref().and_then(AccountId::parse).unwrap_or_else(|| account.clone());
    let is_scoped = region.is_some();
    let region = region.and_then(|name| name.parse().ok()).unwrap_or_else(Region::us_east_1);
    let signature = match is_scoped {
        true => Signature::of_head(request.method(), request.uri(), request.headers())
            .map(Some)
            .map_err(|error| gureum_s3::Refusal::Malformed(error.message))?,
        false => None,
    };
    let visit = match (&signature, &key) {
        (Some(signature), _) => Visit::Signed(signature, &account),
        (None, Some(key)) => Visit::Outdated(key, &account),
        (None, None) => Visit::Anonymous,
    };
    let is_presigned = signature.as_ref().is_some_and(Signature::expires);
    let visitor =
        control.visitor(visit, &region, source).map_err(|it| refusal(it, is_presigned))?;
    let account = visitor.account().cloned();
    let chunks = visitor.chunks().map(|it| Arc::new(Chunks(Arc::clone(it))) as Arc<dyn Sign>);
    Ok(Caller { account, region, judge: Arc::new(Word(visitor)), chunks })
}

/// Somebody who makes no request of S3: a service that puts objects.
pub(super) fn without_request(visitor: Visitor) -> Caller {
    let (account, region) = (visitor.account().cloned(), visitor.region().clone());
    Caller { account, region, judge: Arc::new(Word(visitor)), chunks: None }
}

/// A refusal as S3 says it.
fn refusal(refusal: Refusal, is_presigned: bool) -> gureum_s3::Refusal {
    match refusal {
        Refusal::Unknown => gureum_s3::Refusal::InvalidAccessKeyId,
        Refusal::Token => gureum_s3::Refusal::InvalidToken,
        Refusal::Expired => gureum_s3::Refusal::ExpiredToken,
        Refusal::Unproven(Unproven::Stale(_)) if is_presigned => gureum_s3::Refusal::Expired,
        Refusal::Unproven(Unproven::Stale(_)) => gureum_s3::Refusal::RequestTimeTooSkewed,
        Refusal::Unproven(Unproven::Wrong(_)) => gureum_s3::Refusal::SignatureDoesNotMatch,
        Refusal::Outdated => gureum_s3::Refusal::Outdated,
    }
}
