//! What is set of a bucket beside its objects: kept and shown as it was given, each with an error
//! of its own where it was not. Only the policy has an effect here; tags are the record's.

use s3s::{
    S3Request, S3Response, S3Result, dto,
    xml::{Deserialize, Deserializer, Serialize, Serializer},
};

use crate::{
    bucket::owner,
    error::{internal, refused},
    service::{Found, Operations, caller},
};

pub(crate) const OWNERSHIP: &str = "ownershipControls";
pub(crate) const OBJECT_LOCK: &str = "object-lock";
const ACL: &str = "acl";
pub(crate) const POLICY: &str = "policy";
const VERSIONING: &str = "versioning";

pub(crate) fn written<T: Serialize>(value: &T) -> S3Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::new(&mut bytes)).map_err(|error| internal(&error))?;
    String::from_utf8(bytes).map_err(|error| internal(&error))
}

pub(crate) fn read<T: for<'xml> Deserialize<'xml>>(text: &str) -> S3Result<T> {
    T::deserialize(&mut Deserializer::new(text.as_bytes())).map_err(|error| internal(&error))
}

impl Operations {
    async fn put(&self, found: Found, name: &'static str, text: String) -> S3Result<()> {
        self.change_bucket(found, move |bucket| {
            bucket.configurations.insert(name.to_owned(), text.clone());
        })
        .await
    }

    async fn remove(&self, found: Found, name: &'static str) -> S3Result<()> {
        self.change_bucket(found, move |bucket| {
            bucket.configurations.remove(name);
        })
        .await
    }
}

/// A configuration that is there, or the error that it is not.
fn kept<'a>(found: &'a Found, name: &str, code: &'static str, message: &str) -> S3Result<&'a str> {
    let text = found.bucket.configurations.get(name).map(String::as_str);
    text.ok_or_else(|| refused(code, message, 404))
}

/// Configurations that are XML in and XML out: their operations, and what is said without one.
macro_rules! configurations {
    ($($name:literal $put:ident($put_input:ident.$member:ident) $get:ident($get_input:ident, $kept:ident) -> $output:ident $fill:expr,
        $code:literal $message:literal;)*) => {
        impl Operations {$(
            pub(crate) async fn $put(&self, request: &S3Request<dto::$put_input>) -> S3Result<()> {
                let found = self.bucket(&request.input.bucket)?;
                let text = written(&request.input.$member)?;
                self.put(found, $name, text).await
            }

            pub(crate) fn $get(
                &self,
                request: &S3Request<dto::$get_input>,
            ) -> S3Result<S3Response<dto::$output>> {
                let found = self.bucket(&request.input.bucket)?;
                let kept: dto::$kept = read(kept(&found, $name, $code, $message)?)?;
                let fill: fn(dto::$kept) -> dto::$output = $fill;
                Ok(S3Response::new(fill(kept)))
            }
        )*}
    };
}

configurations! {
    "cors" keep_cors(PutBucketCorsInput.cors_configuration)
        cors(GetBucketCorsInput, CORSConfiguration) -> GetBucketCorsOutput
        |it| dto::GetBucketCorsOutput { cors_rules: Some(it.cors_rules) },
        "NoSuchCORSConfiguration" "The CORS configuration does not exist";
    "publicAccessBlock" keep_public_access_block(
            PutPublicAccessBlockInput.public_access_block_configuration)
        public_access_block(GetPublicAccessBlockInput, PublicAccessBlockConfiguration)
            -> GetPublicAccessBlockOutput
        |it| dto::GetPublicAccessBlockOutput { public_access_block_configuration: Some(it) },
        "NoSuchPublicAccessBlockConfiguration"
        "The public access block configuration was not found";
    "ownershipControls" keep_ownership(PutBucketOwnershipControlsInput.ownership_controls)
        ownership(GetBucketOwnershipControlsInput, OwnershipControls)
            -> GetBucketOwnershipControlsOutput
        |it| dto::GetBucketOwnershipControlsOutput { ownership_controls: Some(it) },
        "OwnershipControlsNotFoundError" "The bucket ownership controls were not found";
    "website" keep_website(PutBucketWebsiteInput.website_configuration)
        website(GetBucketWebsiteInput, WebsiteConfiguration) -> GetBucketWebsiteOutput
        |it| dto::GetBucketWebsiteOutput {
            error_document: it.error_document,
            index_document: it.index_document,
            redirect_all_requests_to: it.redirect_all_requests_to,
            routing_rules: it.routing_rules,
        },
        "NoSuchWebsiteConfiguration"
        "The specified bucket does not have a website configuration";
    "replication" keep_replication(PutBucketReplicationInput.replication_configuration)
        replication(GetBucketReplicationInput, ReplicationConfiguration)
            -> GetBucketReplicationOutput
        |it| dto::GetBucketReplicationOutput { replication_configuration: Some(it) },
        "ReplicationConfigurationNotFoundError"
        "The replication configuration was not found";
}

impl Operations {
    pub(crate) async fn remove_configuration(
        &self,
        bucket: &str,
        name: &'static str,
    ) -> S3Result<()> {
        let found = self.bucket(bucket)?;
        self.remove(found, name).await
    }

    pub(crate) async fn keep_policy(
        &self,
        request: &S3Request<dto::PutBucketPolicyInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let policy = request.input.policy.clone();
        let malformed = |message: &str| refused("MalformedPolicy", message, 400);
        let document = serde_json::from_str::<serde_json::Value>(&policy)
            .map_err(|_| malformed("Policies must be valid JSON and the first byte must be '{'"))?;
        match document.get("Statement") {
            Some(serde_json::Value::Array(statements)) if statements.is_empty() => {
                return Err(malformed("Could not parse the policy: Statement is empty!"));
            }
            Some(statement) if statement.is_array() || statement.is_object() => {}
            _ => return Err(malformed("Missing required field Statement")),
        }
        let judge = caller(request)?.judge;
        judge.read_policy(&found.bucket.name, &policy).map_err(|it| malformed(&it))?;
        self.put(found, POLICY, policy).await
    }

    pub(crate) fn policy(
        &self,
        request: &S3Request<dto::GetBucketPolicyInput>,
    ) -> S3Result<S3Response<dto::GetBucketPolicyOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let text = kept(&found, POLICY, "NoSuchBucketPolicy", "The bucket policy does not exist")?;
        Ok(S3Response::new(dto::GetBucketPolicyOutput { policy: Some(text.to_owned()) }))
    }

    pub(crate) async fn keep_tags(
        &self,
        request: &S3Request<dto::PutBucketTaggingInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let mut tags = gureum_types::Tags::new();
        for tag in &request.input.tagging.tag_set {
            let (key, value) = (tag.key.clone().unwrap_or_default(), tag.value.clone());
            if key.is_empty() || key.starts_with("aws:") {
                return Err(refused("InvalidTag", "The TagKey you have provided is invalid", 400));
            }
            if tags.insert(key, value.unwrap_or_default()).is_some() {
                let message = "Cannot provide multiple Tags with the same key";
                return Err(refused("InvalidTag", message, 400));
            }
        }
        self.change_bucket(found, move |bucket| bucket.tags = tags.clone()).await
    }

    pub(crate) fn tags(
        &self,
        request: &S3Request<dto::GetBucketTaggingInput>,
    ) -> S3Result<S3Response<dto::GetBucketTaggingOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        if found.bucket.tags.is_empty() {
            return Err(refused("NoSuchTagSet", "The TagSet does not exist", 404));
        }
        let tag_set = found
            .bucket
            .tags
            .iter()
            .map(|(key, value)| dto::Tag { key: Some(key.clone()), value: Some(value.clone()) })
            .collect();
        Ok(S3Response::new(dto::GetBucketTaggingOutput { tag_set }))
    }

    pub(crate) async fn remove_tags(
        &self,
        request: &S3Request<dto::DeleteBucketTaggingInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        self.change_bucket(found, |bucket| bucket.tags.clear()).await
    }

    pub(crate) async fn keep_encryption(
        &self,
        request: &S3Request<dto::PutBucketEncryptionInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let text = written(&request.input.server_side_encryption_configuration)?;
        self.put(found, "encryption", text).await
    }

    /// AES256 where nobody asked for another, as all buckets have it.
    pub(crate) fn encryption(
        &self,
        request: &S3Request<dto::GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<dto::GetBucketEncryptionOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let configuration = match found.bucket.configurations.get("encryption") {
            Some(text) => read(text)?,
            None => dto::ServerSideEncryptionConfiguration {
                rules: vec![dto::ServerSideEncryptionRule {
                    apply_server_side_encryption_by_default: Some(
                        dto::ServerSideEncryptionByDefault {
                            kms_master_key_id: None,
                            sse_algorithm: dto::ServerSideEncryption::from_static("AES256"),
                        },
                    ),
                    bucket_key_enabled: Some(false),
                }],
            },
        };
        Ok(S3Response::new(dto::GetBucketEncryptionOutput {
            server_side_encryption_configuration: Some(configuration),
        }))
    }

    pub(crate) async fn keep_lifecycle(
        &self,
        request: &S3Request<dto::PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let mut configuration = request.input.lifecycle_configuration.clone().ok_or_else(|| {
            refused("MalformedXML", "The XML you provided was not well-formed", 400)
        })?;
        for (number, rule) in configuration.rules.iter_mut().enumerate() {
            rule.id.get_or_insert_with(|| format!("rule-{}", number + 1));
        }
        let size = request.input.transition_default_minimum_object_size.as_ref();
        let size = size.map(|it| it.as_str().to_owned());
        let text = written(&configuration)?;
        self.change_bucket(found, move |bucket| {
            bucket.configurations.insert("lifecycle".to_owned(), text.clone());
            let size = size.clone().unwrap_or_else(|| DEFAULT_TRANSITION_SIZE.to_owned());
            bucket.configurations.insert(TRANSITION_SIZE.to_owned(), size);
        })
        .await
    }

    pub(crate) fn lifecycle(
        &self,
        request: &S3Request<dto::GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketLifecycleConfigurationOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let message = "The lifecycle configuration does not exist";
        let text = kept(&found, "lifecycle", "NoSuchLifecycleConfiguration", message)?;
        let configuration: dto::BucketLifecycleConfiguration = read(text)?;
        let size = found.bucket.configurations.get(TRANSITION_SIZE).cloned();
        Ok(S3Response::new(dto::GetBucketLifecycleConfigurationOutput {
            rules: Some(configuration.rules),
            transition_default_minimum_object_size: size.map(Into::into),
        }))
    }

    /// Object lock is set when a bucket is made, or later, and stays.
    pub(crate) async fn keep_object_lock(
        &self,
        request: &S3Request<dto::PutObjectLockConfigurationInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let configuration = request.input.object_lock_configuration.clone().unwrap_or_default();
        let text = written(&configuration)?;
        self.put(found, OBJECT_LOCK, text).await
    }

    pub(crate) fn object_lock(
        &self,
        request: &S3Request<dto::GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetObjectLockConfigurationOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let message = "Object Lock configuration does not exist for this bucket";
        let text = kept(&found, OBJECT_LOCK, "ObjectLockConfigurationNotFoundError", message)?;
        Ok(S3Response::new(dto::GetObjectLockConfigurationOutput {
            object_lock_configuration: Some(read(text)?),
        }))
    }

    /// Kept and shown; older versions of objects are not kept.
    pub(crate) async fn keep_versioning(
        &self,
        request: &S3Request<dto::PutBucketVersioningInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let text = written(&request.input.versioning_configuration)?;
        self.put(found, VERSIONING, text).await
    }

    pub(crate) fn versioning(
        &self,
        request: &S3Request<dto::GetBucketVersioningInput>,
    ) -> S3Result<S3Response<dto::GetBucketVersioningOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let kept: Option<dto::VersioningConfiguration> =
            found.bucket.configurations.get(VERSIONING).map(|text| read(text)).transpose()?;
        Ok(S3Response::new(match kept {
            Some(kept) => dto::GetBucketVersioningOutput { status: kept.status, mfa_delete: None },
            None => dto::GetBucketVersioningOutput::default(),
        }))
    }

    pub(crate) async fn keep_logging(
        &self,
        request: &S3Request<dto::PutBucketLoggingInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let text = written(&request.input.bucket_logging_status)?;
        self.put(found, "logging", text).await
    }

    pub(crate) fn logging(
        &self,
        request: &S3Request<dto::GetBucketLoggingInput>,
    ) -> S3Result<S3Response<dto::GetBucketLoggingOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let kept: Option<dto::BucketLoggingStatus> =
            found.bucket.configurations.get("logging").map(|text| read(text)).transpose()?;
        let logging_enabled = kept.and_then(|it| it.logging_enabled);
        Ok(S3Response::new(dto::GetBucketLoggingOutput { logging_enabled }))
    }

    pub(crate) async fn keep_acceleration(
        &self,
        request: &S3Request<dto::PutBucketAccelerateConfigurationInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let text = written(&request.input.accelerate_configuration)?;
        self.put(found, "accelerate", text).await
    }

    pub(crate) fn acceleration(
        &self,
        request: &S3Request<dto::GetBucketAccelerateConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketAccelerateConfigurationOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let kept: Option<dto::AccelerateConfiguration> =
            found.bucket.configurations.get("accelerate").map(|text| read(text)).transpose()?;
        Ok(S3Response::new(dto::GetBucketAccelerateConfigurationOutput {
            status: kept.and_then(|it| it.status),
            ..Default::default()
        }))
    }

    pub(crate) async fn keep_request_payment(
        &self,
        request: &S3Request<dto::PutBucketRequestPaymentInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let text = written(&request.input.request_payment_configuration)?;
        self.put(found, "requestPayment", text).await
    }

    pub(crate) fn request_payment(
        &self,
        request: &S3Request<dto::GetBucketRequestPaymentInput>,
    ) -> S3Result<S3Response<dto::GetBucketRequestPaymentOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let kept: Option<dto::RequestPaymentConfiguration> =
            found.bucket.configurations.get("requestPayment").map(|text| read(text)).transpose()?;
        let payer = kept.map_or_else(|| dto::Payer::from_static("BucketOwner"), |it| it.payer);
        Ok(S3Response::new(dto::GetBucketRequestPaymentOutput { payer: Some(payer) }))
    }

    pub(crate) async fn keep_notification(
        &self,
        request: &S3Request<dto::PutBucketNotificationConfigurationInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let text = written(&request.input.notification_configuration)?;
        self.put(found, "notification", text).await
    }

    pub(crate) fn notification(
        &self,
        request: &S3Request<dto::GetBucketNotificationConfigurationInput>,
    ) -> S3Result<S3Response<dto::GetBucketNotificationConfigurationOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let kept: Option<dto::NotificationConfiguration> =
            found.bucket.configurations.get("notification").map(|text| read(text)).transpose()?;
        let kept = kept.unwrap_or_default();
        Ok(S3Response::new(dto::GetBucketNotificationConfigurationOutput {
            event_bridge_configuration: kept.event_bridge_configuration,
            lambda_function_configurations: kept.lambda_function_configurations,
            queue_configurations: kept.queue_configurations,
            topic_configurations: kept.topic_configurations,
        }))
    }

    /// A canned ACL is kept by the grants that it stands for.
    pub(crate) async fn keep_acl(
        &self,
        request: &S3Request<dto::PutBucketAclInput>,
    ) -> S3Result<()> {
        let found = self.bucket(&request.input.bucket)?;
        let input = &request.input;
        let grants_in_headers = [
            &input.grant_full_control,
            &input.grant_read,
            &input.grant_read_acp,
            &input.grant_write,
            &input.grant_write_acp,
        ];
        if grants_in_headers.iter().any(|it| it.is_some()) {
            return Err(crate::error::unsupported("Granting access by headers"));
        }
        let owner = owner(found.scope.account.as_str());
        let policy = match (&input.access_control_policy, &input.acl) {
            (Some(policy), None) => {
                let mut policy = policy.clone();
                policy.owner.get_or_insert(owner);
                policy
            }
            (None, acl) => {
                let name = acl.as_ref().map_or("private", |it| it.as_str());
                dto::AccessControlPolicy {
                    grants: Some(canned_grants(&owner, name)?),
                    owner: Some(owner),
                }
            }
            (Some(_), Some(_)) => {
                let message = "Specifying both Canned ACLs and Header Grants is not allowed";
                return Err(refused("InvalidRequest", message, 400));
            }
        };
        self.put(found, ACL, written(&policy)?).await
    }

    pub(crate) fn acl(
        &self,
        request: &S3Request<dto::GetBucketAclInput>,
    ) -> S3Result<S3Response<dto::GetBucketAclOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let policy = match found.bucket.configurations.get(ACL) {
            Some(text) => read(text)?,
            None => private(&found)?,
        };
        Ok(S3Response::new(dto::GetBucketAclOutput { grants: policy.grants, owner: policy.owner }))
    }
}

const TRANSITION_SIZE: &str = "lifecycle-transition-size";
const DEFAULT_TRANSITION_SIZE: &str = "all_storage_classes_128K";

/// What everything has that nobody shared.
pub(crate) fn private(found: &Found) -> S3Result<dto::AccessControlPolicy> {
    let owner = owner(found.scope.account.as_str());
    Ok(dto::AccessControlPolicy {
        grants: Some(canned_grants(&owner, "private")?),
        owner: Some(owner),
    })
}

fn canned_grants(owner: &dto::Owner, name: &str) -> S3Result<dto::Grants> {
    let grant = |grantee: dto::Grantee, permission: &'static str| dto::Grant {
        grantee: Some(grantee),
        permission: Some(dto::Permission::from_static(permission)),
    };
    let person = dto::Grantee {
        display_name: None,
        email_address: None,
        id: owner.id.clone(),
        type_: dto::Type::from_static("CanonicalUser"),
        uri: None,
    };
    let group = |name: &str| dto::Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: dto::Type::from_static("Group"),
        uri: Some(format!("http://acs.amazonaws.com/groups/{name}")),
    };
    let mut grants = vec![grant(person, "FULL_CONTROL")];
    let everybody = "global/AllUsers";
    match name {
        "private" => {}
        "public-read" => grants.push(grant(group(everybody), "READ")),
        "public-read-write" => {
            grants.push(grant(group(everybody), "READ"));
            grants.push(grant(group(everybody), "WRITE"));
        }
        "authenticated-read" => {
            grants.push(grant(group("global/AuthenticatedUsers"), "READ"));
        }
        "log-delivery-write" => {
            grants.push(grant(group("s3/LogDelivery"), "WRITE"));
            grants.push(grant(group("s3/LogDelivery"), "READ_ACP"));
        }
        other => {
            return Err(refused("InvalidArgument", format!("The ACL {other} is not valid"), 400));
        }
    }
    Ok(grants)
}
