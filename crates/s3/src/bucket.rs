//! Buckets: made, listed, found, deleted.

use gureum_types::{
    Region, Tags,
    record::{Bucket, Scope},
};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        BucketLocationConstraint, Buckets, CreateBucketInput, CreateBucketOutput,
        DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput,
        HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput, Owner,
    },
};

use crate::{
    body::blocking,
    configuration::{OBJECT_LOCK, OWNERSHIP},
    error::{Failure, access_denied, no_such_bucket, refused},
    service::{Operations, caller, now, place, region, time, token},
};

/// The account of somebody as S3 shows it: a number that says nothing of the account.
pub(crate) fn owner(account: &str) -> Owner {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(format!("canonical user {account}"));
    let id = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Owner { id: Some(id), display_name: None }
}

/// The region where a new bucket shall be (pitfalls of S3: only us-east-1 needs no constraint).
fn wanted_region(constraint: Option<&str>, called: &Region) -> S3Result<Region> {
    let illegal = |message: String| refused("IllegalLocationConstraintException", message, 400);
    match constraint.filter(|it| !it.is_empty()) {
        None if called.as_str() == "us-east-1" => Ok(called.clone()),
        None => Err(illegal(
            "The unspecified location constraint is incompatible for the region specific endpoint \
             this request was sent to."
                .to_owned(),
        )),
        Some(constraint) => {
            let name = if constraint == "EU" { "eu-west-1" } else { constraint };
            let region = name.parse::<Region>().map_err(|_| {
                refused(
                    "InvalidLocationConstraint",
                    "The specified location-constraint is not valid",
                    400,
                )
            })?;
            match region == *called || called.as_str() == "us-east-1" {
                true => Ok(region),
                false => Err(illegal(format!(
                    "The {constraint} location constraint is incompatible for the region specific \
                     endpoint this request was sent to."
                ))),
            }
        }
    }
}

impl Operations {
    pub(crate) async fn make_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let caller = caller(&request)?;
        let account = caller.account.ok_or_else(access_denied)?;
        let input = request.input;
        let configuration = input.create_bucket_configuration;
        let constraint = configuration
            .as_ref()
            .and_then(|it| it.location_constraint.as_ref())
            .map(|it| it.as_str());
        let region = wanted_region(constraint, &caller.region)?;
        let mut bucket = Bucket {
            name: input.bucket.clone(),
            data: rand::random(),
            created: gureum_types::Timestamp(now()),
            tags: Tags::new(),
            configurations: Default::default(),
        };
        if let Some(ownership) = &input.object_ownership {
            bucket.configurations.insert(
                OWNERSHIP.to_owned(),
                format!(
                    "<OwnershipControls><Rule><ObjectOwnership>{}</ObjectOwnership></Rule>\
                     </OwnershipControls>",
                    ownership.as_str()
                ),
            );
        }
        if input.object_lock_enabled_for_bucket == Some(true) {
            bucket.configurations.insert(
                OBJECT_LOCK.to_owned(),
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>\
                 </ObjectLockConfiguration>"
                    .to_owned(),
            );
        }
        let (store, name) = (self.0.store.clone(), input.bucket.clone());
        let scope = Scope { account, region };
        blocking(move || {
            store.transact(|tx| -> Result<(), Failure> {
                let found = tx.bucket(&bucket.name).and_then(|(key, _)| key.scope.clone());
                match found {
                    // As ever in the oldest region.
                    Some(found) if found == scope && scope.region.as_str() == "us-east-1" => Ok(()),
                    Some(found) if found.account == scope.account => Err(refused(
                        "BucketAlreadyOwnedByYou",
                        "Your previous request to create the named bucket succeeded and you \
                         already own it.",
                        409,
                    )
                    .into()),
                    Some(_) => Err(refused(
                        "BucketAlreadyExists",
                        "The requested bucket name is not available. The bucket namespace is \
                         shared by all users of the system. Please select a different name and \
                         try again.",
                        409,
                    )
                    .into()),
                    None => {
                        tx.put(&scope, bucket.clone());
                        Ok(())
                    }
                }
            })
        })
        .await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{name}")) }))
    }

    pub(crate) async fn remove_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let inner = self.0.clone();
        blocking(move || {
            if !inner.objects.is_empty(found.bucket.data)? {
                let message = "The bucket you tried to delete is not empty";
                return Err(refused("BucketNotEmpty", message, 409));
            }
            let removed = inner.store.transact(|tx| -> Result<_, Failure> {
                Ok(tx.remove::<Bucket>(&found.scope, &found.bucket.name).is_some())
            })?;
            if removed { Ok(()) } else { Err(no_such_bucket()) }
        })
        .await?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    pub(crate) fn look_at_bucket(
        &self,
        request: &S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let bucket_region = Some(region(&found));
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..Default::default() }))
    }

    pub(crate) fn location(
        &self,
        request: &S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let region = Some(region(&found)).filter(|it| it != "us-east-1");
        let location_constraint = region.map(BucketLocationConstraint::from);
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    /// The caller's buckets in all regions, by name.
    pub(crate) fn buckets(
        &self,
        request: &S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let account = caller(request)?.account.ok_or_else(access_denied)?;
        let input = &request.input;
        let records = self.0.store.snapshot();
        let after = input.continuation_token.as_deref().map(place).transpose()?;
        let mut found: Vec<_> = records
            .everywhere::<Bucket>()
            .filter_map(|(key, bucket)| Some((key.scope.as_ref()?, bucket)))
            .filter(|(scope, _)| scope.account == account)
            .filter(|(scope, _)| {
                input.bucket_region.as_ref().is_none_or(|it| *it == scope.region.as_str())
            })
            .filter(|(_, it)| input.prefix.as_ref().is_none_or(|p| it.name.starts_with(p.as_str())))
            .filter(|(_, it)| after.as_ref().is_none_or(|after| it.name > *after))
            .collect();
        found.sort_by(|one, two| one.1.name.cmp(&two.1.name));
        let size = input.max_buckets.and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
        let more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| more).map(|(_, bucket)| token(&bucket.name));
        let shown = |(scope, bucket): &(&Scope, &std::sync::Arc<Bucket>)| s3s::dto::Bucket {
            name: Some(bucket.name.clone()),
            creation_date: Some(time(bucket.created.0)),
            bucket_region: Some(scope.region.as_str().to_owned()),
        };
        let buckets: Buckets = found.iter().map(shown).collect();
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            owner: Some(owner(account.as_str())),
            continuation_token: next,
            prefix: input.prefix.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_oldest_region_needs_no_constraint() {
        let region = |name: &str| name.parse::<Region>().expect("a region");
        let wanted = |constraint, called: &str| {
            wanted_region(constraint, &region(called)).map(|it| it.as_str().to_owned()).ok()
        };
        assert_eq!(wanted(None, "us-east-1").as_deref(), Some("us-east-1"));
        assert_eq!(wanted(None, "ap-northeast-2"), None);
        let seoul = Some("ap-northeast-2");
        assert_eq!(wanted(seoul, "ap-northeast-2").as_deref(), seoul);
        assert_eq!(wanted(seoul, "us-east-1").as_deref(), seoul);
        assert_eq!(wanted(seoul, "eu-west-1"), None);
        assert_eq!(wanted(Some("mars-1"), "us-east-1"), None);
    }
}
