//! Objects: put, got, copied, tagged, deleted.

use std::collections::BTreeMap;

use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use crate::{
    body::{Received, blocking, receive, send},
    configuration::private,
    error::{no_such_key, precondition_failed, refused, unsupported},
    objects::{Attributes, ObjectEntry},
    service::{Found, Inner, Operations, caller, claims, now, time, unique},
};

/// The one version that an object has here.
const VERSION: &str = "null";

/// A text of a query without its escapes; none when it is no such text.
pub(crate) fn unescaped(text: &str) -> Option<String> {
    let plain = text.replace('+', " ");
    let mut out = Vec::new();
    let mut bytes = plain.bytes();
    while let Some(byte) = bytes.next() {
        let value = match byte {
            b'%' => {
                let digits = [bytes.next().unwrap_or(0), bytes.next().unwrap_or(0)];
                let digits = std::str::from_utf8(&digits).ok()?.to_owned();
                u8::from_str_radix(&digits, 16).ok()?
            }
            byte => byte,
        };
        out.push(value);
    }
    String::from_utf8(out).ok()
}

/// Tags as the header `x-amz-tagging` has them: `a=1&b=2`.
pub(crate) fn header_tags(text: Option<&String>) -> S3Result<BTreeMap<String, String>> {
    let invalid = || {
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL \
                       query parameters without tag name duplicates.";
        refused("InvalidArgument", message, 400)
    };
    let mut tags = BTreeMap::new();
    for pair in text.map_or("", String::as_str).split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = unescaped(key).filter(|key| !key.is_empty()).ok_or_else(invalid)?;
        if tags.insert(key, unescaped(value).ok_or_else(invalid)?).is_some() {
            return Err(invalid());
        }
    }
    Ok(tags)
}

pub(crate) fn etag(text: &str) -> Option<dto::ETag> {
    Some(dto::ETag::Strong(text.to_owned()))
}

/// Only what there is has a version, and that is the only one.
fn check_version(version: Option<&String>) -> S3Result<()> {
    match version.map(String::as_str) {
        None | Some(VERSION) => Ok(()),
        Some(_) => Err(refused("NoSuchVersion", "The specified version does not exist.", 404)),
    }
}

fn holds(condition: &dto::ETagCondition, object: &ObjectEntry) -> bool {
    match condition {
        dto::ETagCondition::Any => true,
        dto::ETagCondition::ETag(tag) => tag.value() == object.etag,
    }
}

/// The condition of a write, as `If-Match` and `If-None-Match` say it.
pub(crate) fn write_condition(
    if_match: Option<dto::ETagCondition>,
    if_none_match: Option<dto::ETagCondition>,
) -> impl Fn(Option<&ObjectEntry>) -> S3Result<()> + Send + 'static {
    move |there| {
        match (&if_match, there) {
            (Some(_), None) => return Err(no_such_key()),
            (Some(wanted), Some(there)) if !holds(wanted, there) => {
                return Err(precondition_failed());
            }
            _ => {}
        }
        match (&if_none_match, there) {
            (Some(unwanted), Some(there)) if holds(unwanted, there) => Err(precondition_failed()),
            _ => Ok(()),
        }
    }
}

/// The conditions of a read.
pub(crate) struct Conditions<'a> {
    pub(crate) if_match: Option<&'a dto::ETagCondition>,
    pub(crate) if_none_match: Option<&'a dto::ETagCondition>,
    pub(crate) if_modified_since: Option<&'a dto::Timestamp>,
    pub(crate) if_unmodified_since: Option<&'a dto::Timestamp>,
}

impl Conditions<'_> {
    /// In the order of RFC 9110; a tag's condition overrides that of a time.
    pub(crate) fn check(&self, object: &ObjectEntry) -> S3Result<()> {
        // Times in headers have no fraction of a second.
        let modified = time(object.modified.div_euclid(1000) * 1000);
        let unchanged = match (self.if_match, self.if_unmodified_since) {
            (Some(wanted), _) => holds(wanted, object),
            (None, Some(since)) => modified <= *since,
            (None, None) => true,
        };
        if !unchanged {
            return Err(precondition_failed());
        }
        let known = match (self.if_none_match, self.if_modified_since) {
            (Some(known), _) => holds(known, object),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        match known {
            true => Err(refused("NotModified", "Not Modified", 304)),
            false => Ok(()),
        }
    }
}

/// What of an object is wanted: `from..to`.
fn range(range: Option<dto::Range>, size: u64) -> S3Result<(u64, u64)> {
    let Some(range) = range else { return Ok((0, size)) };
    let checked = range
        .check(size)
        .map_err(|_| refused("InvalidRange", "The requested range is not satisfiable", 416))?;
    Ok((checked.start, checked.end))
}

/// Asked for checksums are told, of the whole object only.
fn checksums(wanted: bool, object: &ObjectEntry) -> dto::Checksum {
    let found = |name: &str| object.checksums.get(name).filter(|_| wanted).cloned();
    let kind = Some(dto::ChecksumType::from_static("FULL_OBJECT"));
    dto::Checksum {
        checksum_crc32: found("crc32"),
        checksum_crc32c: found("crc32c"),
        checksum_crc64nvme: found("crc64nvme"),
        checksum_sha1: found("sha1"),
        checksum_sha256: found("sha256"),
        checksum_type: kind.filter(|_| wanted && !object.checksums.is_empty()),
    }
}

fn expires(attributes: &Attributes) -> Option<dto::Timestamp> {
    let text = attributes.expires.as_deref()?;
    dto::Timestamp::parse(dto::TimestampFormat::DateTime, text).ok()
}

pub(crate) fn written_time(time: &dto::Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(dto::TimestampFormat::DateTime, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// What a request says of an object; the requests that do have the same members.
macro_rules! attributes {
    ($input:expr) => {
        crate::objects::Attributes {
            content_type: $input.content_type.clone(),
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_language: $input.content_language.clone(),
            expires: $input.expires.as_ref().and_then(crate::object::written_time),
            metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
            storage_class: $input.storage_class.as_ref().map(|it| it.as_str().to_owned()),
            website_redirect_location: $input.website_redirect_location.clone(),
            encryption: $input.server_side_encryption.as_ref().map(|it| it.as_str().to_owned()),
            kms_key_id: $input.ssekms_key_id.clone(),
        }
    };
}
pub(crate) use attributes;

/// Refuses what would have to have an effect that it has not here.
macro_rules! check_unsupported {
    ($input:expr) => {
        if $input.sse_customer_key.is_some() || $input.sse_customer_algorithm.is_some() {
            return Err(crate::error::unsupported("Encryption with keys of the customer"));
        }
        if $input.object_lock_mode.is_some() || $input.object_lock_legal_hold_status.is_some() {
            return Err(crate::error::unsupported("Locking an object"));
        }
    };
}
pub(crate) use check_unsupported;

pub(crate) fn encryption(attributes: &Attributes) -> Option<dto::ServerSideEncryption> {
    let name = attributes.encryption.clone().unwrap_or_else(|| "AES256".to_owned());
    Some(dto::ServerSideEncryption::from(name))
}

impl Inner {
    /// Makes what was received the object of a key, where the condition holds.
    pub(crate) async fn keep(
        &self,
        bucket: u64,
        key: String,
        object: ObjectEntry,
        condition: impl Fn(Option<&ObjectEntry>) -> S3Result<()> + Send + 'static,
    ) -> S3Result<()> {
        let objects = self.objects.clone();
        blocking(move || {
            let put = objects.put(bucket, &key, &object, &condition);
            if put.is_err() {
                objects.discard(bucket, &object.pieces);
            }
            put
        })
        .await
    }
}

impl Operations {
    /// The object of a key.
    pub(crate) async fn object(&self, found: &Found, key: &str) -> S3Result<ObjectEntry> {
        let (objects, bucket, key) = (self.0.objects.clone(), found.bucket.data, key.to_owned());
        blocking(move || objects.get(bucket, &key)).await?.ok_or_else(no_such_key)
    }

    /// The same for somebody who may not learn from it what the bucket has, unless they may list it.
    async fn seen<T>(
        &self,
        request: &S3Request<T>,
        found: &Found,
        key: &str,
    ) -> S3Result<ObjectEntry> {
        let object = self.object(found, key).await;
        if matches!(&object, Err(error) if *error.code() == S3ErrorCode::NoSuchKey) {
            caller(request)?.may("s3:ListBucket", Some(found), &found.bucket.name, None, &[])?;
        }
        object
    }

    pub(crate) async fn put_bytes(
        &self,
        mut request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_unsupported!(request.input);
        let claims = claims(&request);
        let body = request.input.body.take();
        let input = request.input;
        if input.write_offset_bytes.is_some() {
            return Err(unsupported("Appending to an object"));
        }
        let tags = header_tags(input.tagging.as_ref())?;
        let attributes = attributes!(input);
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let Received { piece, md5, checksums } =
            receive(&objects, bucket, unique(), body, &claims).await?;
        let object = ObjectEntry {
            pieces: vec![piece],
            etag: md5,
            modified: now(),
            attributes,
            tags,
            checksums,
        };
        let answer = dto::PutObjectOutput {
            e_tag: etag(&object.etag),
            server_side_encryption: encryption(&object.attributes),
            ssekms_key_id: object.attributes.kms_key_id.clone(),
            ..output_checksums(&object)
        };
        let condition = write_condition(input.if_match, input.if_none_match);
        self.0.keep(bucket, input.key, object, condition).await?;
        Ok(S3Response::new(answer))
    }

    pub(crate) async fn get_bytes(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_version(request.input.version_id.as_ref())?;
        let object = self.seen(&request, &found, &request.input.key).await?;
        let input = request.input;
        let conditions = Conditions {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        conditions.check(&object)?;
        let size = object.size();
        let (from, to) = match input.part_number {
            Some(number) => part_range(&object, number)?,
            None => range(input.range, size)?,
        };
        let is_part = (from, to) != (0, size);
        let enabled = input.checksum_mode.as_ref().is_some_and(|it| it.as_str() == "ENABLED");
        let checksum = checksums(enabled && !is_part, &object);
        let attributes = &object.attributes;
        let output = dto::GetObjectOutput {
            body: Some(send(self.0.objects.clone(), found.bucket.data, &object.pieces, from, to)),
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(to - from).ok(),
            content_range: is_part.then(|| format!("bytes {from}-{}/{size}", to - 1)),
            content_type: input
                .response_content_type
                .or_else(|| attributes.content_type.clone())
                .or_else(|| Some(DEFAULT_CONTENT_TYPE.to_owned())),
            cache_control: input
                .response_cache_control
                .or_else(|| attributes.cache_control.clone()),
            content_disposition: input
                .response_content_disposition
                .or_else(|| attributes.content_disposition.clone()),
            content_encoding: input
                .response_content_encoding
                .or_else(|| attributes.content_encoding.clone()),
            content_language: input
                .response_content_language
                .or_else(|| attributes.content_language.clone()),
            expires: input.response_expires.or_else(|| expires(attributes)),
            e_tag: etag(&object.etag),
            last_modified: Some(time(object.modified)),
            metadata: Some(attributes.metadata.clone().into_iter().collect()),
            parts_count: parts_count(input.part_number, &object),
            server_side_encryption: encryption(attributes),
            ssekms_key_id: attributes.kms_key_id.clone(),
            storage_class: shown_class(attributes),
            tag_count: tag_count(&object),
            website_redirect_location: attributes.website_redirect_location.clone(),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            ..Default::default()
        };
        let mut response = S3Response::new(output);
        if is_part {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    pub(crate) async fn look_at(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_version(request.input.version_id.as_ref())?;
        let object = self.seen(&request, &found, &request.input.key).await?;
        let input = request.input;
        let conditions = Conditions {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        conditions.check(&object)?;
        let size = object.size();
        let (from, to) = match input.part_number {
            Some(number) => part_range(&object, number)?,
            None => range(input.range, size)?,
        };
        let is_part = (from, to) != (0, size);
        let enabled = input.checksum_mode.as_ref().is_some_and(|it| it.as_str() == "ENABLED");
        let checksum = checksums(enabled && !is_part, &object);
        let attributes = &object.attributes;
        let output = dto::HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(to - from).ok(),
            content_range: is_part.then(|| format!("bytes {from}-{}/{size}", to - 1)),
            content_type: attributes
                .content_type
                .clone()
                .or_else(|| Some(DEFAULT_CONTENT_TYPE.to_owned())),
            cache_control: attributes.cache_control.clone(),
            content_disposition: attributes.content_disposition.clone(),
            content_encoding: attributes.content_encoding.clone(),
            content_language: attributes.content_language.clone(),
            expires: expires(attributes),
            e_tag: etag(&object.etag),
            last_modified: Some(time(object.modified)),
            metadata: Some(attributes.metadata.clone().into_iter().collect()),
            parts_count: parts_count(input.part_number, &object),
            server_side_encryption: encryption(attributes),
            ssekms_key_id: attributes.kms_key_id.clone(),
            storage_class: shown_class(attributes),
            website_redirect_location: attributes.website_redirect_location.clone(),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            ..Default::default()
        };
        let mut response = S3Response::new(output);
        if is_part {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    /// Copies bytes, not files: two objects never share one.
    pub(crate) async fn copy(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_unsupported!(request.input);
        let (from, source) = self.source(&request, &request.input.copy_source).await?;
        let input = &request.input;
        let conditions = Conditions {
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
            if_modified_since: input.copy_source_if_modified_since.as_ref(),
            if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        conditions.check(&source).map_err(|_| precondition_failed())?;
        let replaces = input.metadata_directive.as_ref().is_some_and(|it| it.as_str() == "REPLACE");
        let is_itself = from.bucket.data == found.bucket.data
            && matches!(&input.copy_source, dto::CopySource::Bucket { key, .. } if **key == input.key);
        if is_itself && !replaces && input.storage_class.is_none() {
            let message = "This copy request is illegal because it is trying to copy an object to \
                           itself without changing the object's metadata, storage class, website \
                           redirect location or encryption attributes.";
            return Err(refused("InvalidRequest", message, 400));
        }
        let given = attributes!(input);
        let attributes = match replaces {
            true => given,
            false => Attributes {
                storage_class: given.storage_class,
                encryption: given.encryption,
                kms_key_id: given.kms_key_id,
                website_redirect_location: given.website_redirect_location,
                ..source.attributes.clone()
            },
        };
        let tags = match input.tagging_directive.as_ref().map(|it| it.as_str()) {
            Some("REPLACE") => header_tags(input.tagging.as_ref())?,
            _ => source.tags.clone(),
        };
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let body = send(objects.clone(), from.bucket.data, &source.pieces, 0, source.size());
        let received = receive(&objects, bucket, unique(), Some(body), &Default::default()).await?;
        let object = ObjectEntry {
            pieces: vec![received.piece],
            etag: received.md5,
            modified: now(),
            attributes,
            tags,
            checksums: source.checksums,
        };
        let result = dto::CopyObjectResult {
            e_tag: etag(&object.etag),
            last_modified: Some(time(object.modified)),
            ..Default::default()
        };
        let answer = dto::CopyObjectOutput {
            copy_object_result: Some(result),
            server_side_encryption: encryption(&object.attributes),
            ..Default::default()
        };
        let key = input.key.clone();
        blocking(move || objects.put::<S3Error>(bucket, &key, &object, &|_| Ok(()))).await?;
        Ok(S3Response::new(answer))
    }

    /// The object that is to be copied, and its bucket.
    pub(crate) async fn source<T>(
        &self,
        request: &S3Request<T>,
        source: &dto::CopySource,
    ) -> S3Result<(Found, ObjectEntry)> {
        let dto::CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(unsupported("Copying through an access point"));
        };
        check_version(version_id.as_ref().map(|it| it.to_string()).as_ref())?;
        let found = self.bucket(bucket)?;
        caller(request)?.may("s3:GetObject", Some(&found), bucket, Some(key), &[])?;
        let object = self.seen(request, &found, key).await?;
        Ok((found, object))
    }

    pub(crate) async fn delete_one(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        check_version(input.version_id.as_ref())?;
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let condition = write_condition(input.if_match, None);
        blocking(move || objects.delete::<S3Error>(bucket, &input.key, &condition)).await?;
        Ok(S3Response::with_status(Default::default(), http::StatusCode::NO_CONTENT))
    }

    pub(crate) async fn delete_many(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let wanted = request.input.delete.clone();
        if wanted.objects.is_empty() || wanted.objects.len() > 1000 {
            let message = "The XML you provided was not well-formed or did not validate against \
                           our published schema";
            return Err(refused("MalformedXML", message, 400));
        }
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let quiet = wanted.quiet == Some(true);
        let caller = caller(&request)?;
        let (deleted, errors) = blocking(move || -> S3Result<_> {
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in wanted.objects {
                let tag = object.e_tag.map(dto::ETagCondition::ETag);
                let condition = write_condition(tag, None);
                let action = match &object.version_id {
                    Some(_) => "s3:DeleteObjectVersion",
                    None => "s3:DeleteObject",
                };
                let done = caller
                    .may(action, Some(&found), &found.bucket.name, Some(&object.key), &[])
                    .and_then(|()| check_version(object.version_id.as_ref()))
                    .and_then(|()| objects.delete::<S3Error>(bucket, &object.key, &condition));
                match done {
                    Ok(_) => deleted.push(dto::DeletedObject {
                        key: Some(object.key),
                        version_id: object.version_id,
                        ..Default::default()
                    }),
                    Err(error) => errors.push(dto::Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: error.message().map(str::to_owned),
                        version_id: object.version_id,
                    }),
                }
            }
            Ok((deleted, errors))
        })
        .await?;
        Ok(S3Response::new(dto::DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: Some(errors).filter(|errors| !errors.is_empty()),
            ..Default::default()
        }))
    }

    async fn change_tags(
        &self,
        found: &Found,
        key: &str,
        tags: BTreeMap<String, String>,
    ) -> S3Result<()> {
        let mut object = self.object(found, key).await?;
        let unchanged = object.clone();
        object.tags = tags;
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let key = key.to_owned();
        // Not over an object that somebody put meanwhile.
        let condition = move |there: Option<&ObjectEntry>| match there {
            Some(there) if *there == unchanged => Ok(()),
            Some(_) => {
                Err(refused("OperationAborted", "A conflicting operation is in progress.", 409))
            }
            None => Err(no_such_key()),
        };
        blocking(move || objects.put::<S3Error>(bucket, &key, &object, &condition)).await
    }

    pub(crate) async fn tag_object(
        &self,
        request: S3Request<dto::PutObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::PutObjectTaggingOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_version(request.input.version_id.as_ref())?;
        let mut tags = BTreeMap::new();
        for tag in request.input.tagging.tag_set {
            let key = tag.key.filter(|key| !key.is_empty()).ok_or_else(|| {
                refused("InvalidTag", "The TagKey you have provided is invalid", 400)
            })?;
            tags.insert(key, tag.value.unwrap_or_default());
        }
        if tags.len() > 10 {
            return Err(refused("BadRequest", "Object tags cannot be greater than 10", 400));
        }
        self.change_tags(&found, &request.input.key, tags).await?;
        Ok(S3Response::new(Default::default()))
    }

    pub(crate) async fn untag_object(
        &self,
        request: S3Request<dto::DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectTaggingOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_version(request.input.version_id.as_ref())?;
        self.change_tags(&found, &request.input.key, BTreeMap::new()).await?;
        Ok(S3Response::with_status(Default::default(), http::StatusCode::NO_CONTENT))
    }

    pub(crate) async fn tags_of_object(
        &self,
        request: S3Request<dto::GetObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_version(request.input.version_id.as_ref())?;
        let object = self.object(&found, &request.input.key).await?;
        let tag = |(key, value)| dto::Tag { key: Some(key), value: Some(value) };
        let tag_set = object.tags.into_iter().map(tag).collect();
        Ok(S3Response::new(dto::GetObjectTaggingOutput { tag_set, version_id: None }))
    }

    pub(crate) async fn object_acl(
        &self,
        request: S3Request<dto::GetObjectAclInput>,
    ) -> S3Result<S3Response<dto::GetObjectAclOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        self.object(&found, &request.input.key).await?;
        let policy = private(&found)?;
        Ok(S3Response::new(dto::GetObjectAclOutput {
            grants: policy.grants,
            owner: policy.owner,
            ..Default::default()
        }))
    }

    pub(crate) async fn attributes_of(
        &self,
        request: S3Request<dto::GetObjectAttributesInput>,
    ) -> S3Result<S3Response<dto::GetObjectAttributesOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_version(request.input.version_id.as_ref())?;
        let object = self.object(&found, &request.input.key).await?;
        let wanted =
            |name: &str| request.input.object_attributes.iter().any(|it| it.as_str() == name);
        Ok(S3Response::new(dto::GetObjectAttributesOutput {
            e_tag: etag(&object.etag).filter(|_| wanted("ETag")),
            object_size: i64::try_from(object.size()).ok().filter(|_| wanted("ObjectSize")),
            storage_class: Some(dto::StorageClass::from(class(&object.attributes)))
                .filter(|_| wanted("StorageClass")),
            checksum: Some(checksums(true, &object))
                .filter(|_| wanted("Checksum") && !object.checksums.is_empty()),
            last_modified: Some(time(object.modified)),
            ..Default::default()
        }))
    }
}

const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The class of an object.
pub(crate) fn class(attributes: &Attributes) -> String {
    attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned())
}

/// Headers tell a class only where it is not the usual one.
fn shown_class(attributes: &Attributes) -> Option<dto::StorageClass> {
    let class = attributes.storage_class.clone().filter(|it| it != "STANDARD");
    class.map(dto::StorageClass::from)
}

fn tag_count(object: &ObjectEntry) -> Option<i32> {
    i32::try_from(object.tags.len()).ok().filter(|count| *count > 0)
}

fn parts_count(number: Option<i32>, object: &ObjectEntry) -> Option<i32> {
    let is_in_parts = number.is_some() && object.etag.contains('-');
    i32::try_from(object.pieces.len()).ok().filter(|_| is_in_parts)
}

/// Where a part of an object is in it.
fn part_range(object: &ObjectEntry, number: i32) -> S3Result<(u64, u64)> {
    let invalid = || {
        let message = "The requested partnumber is not satisfiable";
        refused("InvalidPartNumber", message, 416)
    };
    let index =
        usize::try_from(number).ok().and_then(|it| it.checked_sub(1)).ok_or_else(invalid)?;
    let piece = object.pieces.get(index).ok_or_else(invalid)?;
    let from = object.pieces.iter().take(index).map(|piece| piece.size).sum();
    Ok((from, from + piece.size))
}

fn output_checksums(object: &ObjectEntry) -> dto::PutObjectOutput {
    let checksum = checksums(true, object);
    dto::PutObjectOutput {
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        ..Default::default()
    }
}
