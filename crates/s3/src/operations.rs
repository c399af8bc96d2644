//! The operations that are served: which function does which. All others are refused by `s3s`.

use s3s::{S3, S3Request, S3Response, S3Result, dto};

use crate::service::Operations;

fn done<T: Default>() -> S3Result<S3Response<T>> {
    Ok(S3Response::new(T::default()))
}

fn gone<T: Default>() -> S3Result<S3Response<T>> {
    Ok(S3Response::with_status(T::default(), http::StatusCode::NO_CONTENT))
}

/// The operations by how their functions answer: themselves, at once, or with nothing to say.
macro_rules! operations {
    ($($operation:ident($input:ident) -> $output:ident: $how:ident $function:ident$(($name:literal))?;)*) => {
        #[async_trait::async_trait]
        impl S3 for Operations {$(
            async fn $operation(
                &self,
                request: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                operations!(@$how self, request, $function $(, $name)?)
            }
        )*}
    };
    (@answer $self:ident, $request:ident, $function:ident) => {
        $self.$function($request).await
    };
    (@look $self:ident, $request:ident, $function:ident) => {
        $self.$function(&$request)
    };
    (@keep $self:ident, $request:ident, $function:ident) => {{
        $self.$function(&$request).await?;
        done()
    }};
    (@forget $self:ident, $request:ident, $function:ident) => {{
        $self.$function(&$request).await?;
        gone()
    }};
    (@remove $self:ident, $request:ident, $function:ident, $name:literal) => {{
        $self.$function(&$request.input.bucket, $name).await?;
        gone()
    }};
}

operations! {
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput: answer abort;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput: answer complete;
    copy_object(CopyObjectInput) -> CopyObjectOutput: answer copy;
    create_bucket(CreateBucketInput) -> CreateBucketOutput: answer make_bucket;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput: answer begin;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput: answer remove_bucket;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput: remove remove_configuration("cors");
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput: remove remove_configuration("encryption");
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput: remove remove_configuration("lifecycle");
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput: remove remove_configuration("ownershipControls");
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput: remove remove_configuration("policy");
    delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput: remove remove_configuration("replication");
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput: forget remove_tags;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput: remove remove_configuration("website");
    delete_object(DeleteObjectInput) -> DeleteObjectOutput: answer delete_one;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput: answer untag_object;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput: answer delete_many;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput: remove remove_configuration("publicAccessBlock");
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput: look acceleration;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput: look acl;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput: look cors;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput: look encryption;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput: look lifecycle;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput: look location;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput: look logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput: look notification;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput: look ownership;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput: look policy;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput: look replication;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput: look request_payment;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput: look tags;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput: look versioning;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput: look website;
    get_object(GetObjectInput) -> GetObjectOutput: answer get_bytes;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput: answer object_acl;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput: answer attributes_of;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput: look object_lock;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput: answer tags_of_object;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput: look public_access_block;
    head_bucket(HeadBucketInput) -> HeadBucketOutput: look look_at_bucket;
    head_object(HeadObjectInput) -> HeadObjectOutput: answer look_at;
    list_buckets(ListBucketsInput) -> ListBucketsOutput: look buckets;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput: answer uploads;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput: answer list_versions;
    list_objects(ListObjectsInput) -> ListObjectsOutput: answer list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output: answer list_v2;
    list_parts(ListPartsInput) -> ListPartsOutput: answer parts;
    put_bucket_accelerate_configuration(PutBucketAccelerateConfigurationInput) -> PutBucketAccelerateConfigurationOutput: keep keep_acceleration;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput: keep keep_acl;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput: keep keep_cors;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput: keep keep_encryption;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput: keep keep_lifecycle;
    put_bucket_logging(PutBucketLoggingInput) -> PutBucketLoggingOutput: keep keep_logging;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput: keep keep_notification;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput: keep keep_ownership;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput: keep keep_policy;
    put_bucket_replication(PutBucketReplicationInput) -> PutBucketReplicationOutput: keep keep_replication;
    put_bucket_request_payment(PutBucketRequestPaymentInput) -> PutBucketRequestPaymentOutput: keep keep_request_payment;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput: keep keep_tags;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput: keep keep_versioning;
    put_bucket_website(PutBucketWebsiteInput) -> PutBucketWebsiteOutput: keep keep_website;
    put_object(PutObjectInput) -> PutObjectOutput: answer put_bytes;
    put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput: keep keep_object_lock;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput: answer tag_object;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput: keep keep_public_access_block;
    upload_part(UploadPartInput) -> UploadPartOutput: answer put_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput: answer copy_part;
}
