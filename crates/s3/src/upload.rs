//! Uploads in parts.

use md5::{Digest as _, Md5};
use s3s::{S3Error, S3Request, S3Response, S3Result, dto};

use crate::{
    body::{blocking, receive, send},
    bucket::owner,
    error::{no_such_upload, precondition_failed, refused, unsupported},
    object::{
        Conditions, attributes, check_unsupported, encryption, etag, header_tags, write_condition,
    },
    objects::{ObjectEntry, PartEntry, Upload},
    service::{Found, Operations, claims, now, time, unique},
};

/// Every part but the last has at least that many bytes.
const SMALLEST_PART: u64 = 5 << 20;
/// How many parts an object may have.
const PARTS: i32 = 10_000;

fn check_number(number: i32) -> S3Result<()> {
    match (1..=PARTS).contains(&number) {
        true => Ok(()),
        false => Err(refused(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
            400,
        )),
    }
}

/// MD5 of the parts' MD5s, and how many there are.
fn tag_of_parts(parts: &[PartEntry]) -> String {
    let mut all = Md5::new();
    for part in parts {
        let digits = part.etag.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).unwrap_or_default();
            u8::from_str_radix(text, 16).unwrap_or_default()
        };
        all.update(digits.map(byte).collect::<Vec<_>>());
    }
    let hex: String = all.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}-{}", parts.len())
}

impl Operations {
    /// The upload of an id, which must be one of this key.
    async fn upload(&self, found: &Found, key: &str, id: &str) -> S3Result<Upload> {
        let (objects, bucket, id) = (self.0.objects.clone(), found.bucket.data, id.to_owned());
        let upload = blocking(move || objects.upload(bucket, &id)).await?;
        upload.filter(|upload| upload.key == key).ok_or_else(no_such_upload)
    }

    pub(crate) async fn begin(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_unsupported!(request.input);
        let input = request.input;
        let upload = Upload {
            key: input.key.clone(),
            initiated: now(),
            attributes: attributes!(input),
            tags: header_tags(input.tagging.as_ref())?,
            checksum_algorithm: input.checksum_algorithm.as_ref().map(|it| it.as_str().to_owned()),
        };
        let id = unique();
        let answer = dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id.clone()),
            server_side_encryption: encryption(&upload.attributes),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..Default::default()
        };
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        blocking(move || objects.begin_upload(bucket, &id, &upload)).await?;
        Ok(S3Response::new(answer))
    }

    async fn keep_part(
        &self,
        found: &Found,
        id: String,
        number: i32,
        part: PartEntry,
    ) -> S3Result<()> {
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        blocking(move || -> S3Result<()> {
            let kept = objects.put_part(bucket, &id, number, &part);
            if !matches!(kept, Ok(true)) {
                objects.discard(bucket, std::slice::from_ref(&part.piece));
            }
            if kept? { Ok(()) } else { Err(no_such_upload()) }
        })
        .await
    }

    pub(crate) async fn put_part(
        &self,
        mut request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_number(request.input.part_number)?;
        let claims = claims(&request);
        let body = request.input.body.take();
        let input = request.input;
        let upload = self.upload(&found, &input.key, &input.upload_id).await?;
        let bucket = found.bucket.data;
        let received = receive(&self.0.objects, bucket, unique(), body, &claims).await?;
        let part = PartEntry {
            piece: received.piece,
            etag: received.md5,
            modified: now(),
            checksums: received.checksums,
        };
        let checksum = |name: &str| part.checksums.get(name).cloned();
        let answer = dto::UploadPartOutput {
            e_tag: etag(&part.etag),
            server_side_encryption: encryption(&upload.attributes),
            checksum_crc32: checksum("crc32"),
            checksum_crc32c: checksum("crc32c"),
            checksum_crc64nvme: checksum("crc64nvme"),
            checksum_sha1: checksum("sha1"),
            checksum_sha256: checksum("sha256"),
            ..Default::default()
        };
        self.keep_part(&found, input.upload_id, input.part_number, part).await?;
        Ok(S3Response::new(answer))
    }

    pub(crate) async fn copy_part(
        &self,
        request: S3Request<dto::UploadPartCopyInput>,
    ) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        check_number(request.input.part_number)?;
        let (from, source) = self.source(&request, &request.input.copy_source).await?;
        let input = request.input;
        self.upload(&found, &input.key, &input.upload_id).await?;
        let conditions = Conditions {
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
            if_modified_since: input.copy_source_if_modified_since.as_ref(),
            if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        conditions.check(&source).map_err(|_| precondition_failed())?;
        let (begin, end) = match &input.copy_source_range {
            None => (0, source.size()),
            Some(text) => {
                let invalid = || {
                    let message = "The x-amz-copy-source-range value must be of the form \
                                   bytes=first-last where first and last are the zero-based \
                                   offsets of the first and last bytes to copy";
                    refused("InvalidArgument", message, 400)
                };
                let range = dto::Range::parse(text).map_err(|_| invalid())?;
                let range = range.check(source.size()).map_err(|_| invalid())?;
                (range.start, range.end)
            }
        };
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let body = send(objects.clone(), from.bucket.data, &source.pieces, begin, end);
        let received = receive(&objects, bucket, unique(), Some(body), &Default::default()).await?;
        let part = PartEntry {
            piece: received.piece,
            etag: received.md5,
            modified: now(),
            checksums: received.checksums,
        };
        let result = dto::CopyPartResult {
            e_tag: etag(&part.etag),
            last_modified: Some(time(part.modified)),
            ..Default::default()
        };
        self.keep_part(&found, input.upload_id, input.part_number, part).await?;
        Ok(S3Response::new(dto::UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..Default::default()
        }))
    }

    pub(crate) async fn complete(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        let upload = self.upload(&found, &input.key, &input.upload_id).await?;
        let wanted = input.multipart_upload.and_then(|it| it.parts).unwrap_or_default();
        if wanted.is_empty() {
            let message = "You must specify at least one part";
            return Err(refused("MalformedXML", message, 400));
        }
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let (reader, id) = (objects.clone(), input.upload_id.clone());
        let there = blocking(move || reader.parts(bucket, &id)).await?;
        let mut parts: Vec<PartEntry> = Vec::new();
        let mut last = 0;
        for part in &wanted {
            let number = part.part_number.unwrap_or_default();
            if number <= last {
                let message = "The list of parts was not in ascending order. Parts must be \
                               ordered by part number.";
                return Err(refused("InvalidPartOrder", message, 400));
            }
            last = number;
            let kept = there.iter().find(|(it, _)| *it == number).map(|(_, part)| part);
            let kept =
                kept.filter(|it| part.e_tag.as_ref().is_none_or(|tag| tag.value() == it.etag));
            let kept = kept.ok_or_else(|| {
                let message = "One or more of the specified parts could not be found. The part \
                               may not have been uploaded, or the specified entity tag may not \
                               match the part's entity tag.";
                refused("InvalidPart", message, 400)
            })?;
            parts.push(kept.clone());
        }
        let all_but_last = parts.split_last().map_or(&[][..], |(_, rest)| rest);
        if all_but_last.iter().any(|part| part.piece.size < SMALLEST_PART) {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(refused("EntityTooSmall", message, 400));
        }
        let object = ObjectEntry {
            etag: tag_of_parts(&parts),
            pieces: parts.into_iter().map(|part| part.piece).collect(),
            modified: now(),
            attributes: upload.attributes,
            tags: upload.tags,
            checksums: Default::default(),
        };
        let answer = dto::CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key.clone()),
            e_tag: etag(&object.etag),
            server_side_encryption: encryption(&object.attributes),
            ..Default::default()
        };
        let condition = write_condition(input.if_match, input.if_none_match);
        blocking(move || {
            objects.complete_upload::<S3Error>(
                bucket,
                &input.upload_id,
                &input.key,
                &object,
                &condition,
            )
        })
        .await?;
        Ok(S3Response::new(answer))
    }

    pub(crate) async fn abort(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        self.upload(&found, &input.key, &input.upload_id).await?;
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        blocking(move || objects.abort_upload(bucket, &input.upload_id)).await?;
        Ok(S3Response::with_status(Default::default(), http::StatusCode::NO_CONTENT))
    }

    pub(crate) async fn parts(
        &self,
        request: S3Request<dto::ListPartsInput>,
    ) -> S3Result<S3Response<dto::ListPartsOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        let upload = self.upload(&found, &input.key, &input.upload_id).await?;
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let id = input.upload_id.clone();
        let mut parts = blocking(move || objects.parts(bucket, &id)).await?;
        let after = input.part_number_marker.unwrap_or(0);
        parts.retain(|(number, _)| *number > after);
        let size = usize::try_from(input.max_parts.unwrap_or(1000).clamp(0, 1000)).unwrap_or(0);
        let more = parts.len() > size;
        parts.truncate(size);
        let next = parts.last().filter(|_| more).map(|(number, _)| *number);
        let shown = |(number, part): crate::objects::NumberedPart| dto::Part {
            part_number: Some(number),
            e_tag: etag(&part.etag),
            size: i64::try_from(part.piece.size).ok(),
            last_modified: Some(time(part.modified)),
            ..Default::default()
        };
        let owner = owner(found.scope.account.as_str());
        Ok(S3Response::new(dto::ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(more),
            max_parts: i32::try_from(size).ok(),
            next_part_number_marker: next,
            part_number_marker: Some(after),
            parts: Some(parts.into_iter().map(shown).collect()),
            initiator: Some(dto::Initiator { id: owner.id.clone(), display_name: None }),
            owner: Some(owner),
            storage_class: Some(dto::StorageClass::from(crate::object::class(&upload.attributes))),
            checksum_algorithm: upload.checksum_algorithm.map(dto::ChecksumAlgorithm::from),
            ..Default::default()
        }))
    }

    pub(crate) async fn uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        if input.delimiter.as_ref().is_some_and(|it| !it.is_empty()) {
            return Err(unsupported("Listing uploads with a delimiter"));
        }
        let (objects, bucket) = (self.0.objects.clone(), found.bucket.data);
        let mut uploads = blocking(move || objects.uploads(bucket)).await?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
        uploads.retain(|(id, upload)| {
            upload.key.starts_with(&prefix)
                && match &after.1 {
                    Some(marker) => (&upload.key, id) > (&after.0, marker),
                    None => after.0.is_empty() || upload.key > after.0,
                }
        });
        let size = usize::try_from(input.max_uploads.unwrap_or(1000).clamp(0, 1000)).unwrap_or(0);
        let more = uploads.len() > size;
        uploads.truncate(size);
        let last = uploads.last().filter(|_| more).cloned();
        let owner = owner(found.scope.account.as_str());
        let shown = |(id, upload): (String, Upload)| dto::MultipartUpload {
            key: Some(upload.key),
            upload_id: Some(id),
            initiated: Some(time(upload.initiated)),
            storage_class: Some(dto::StorageClass::from(crate::object::class(&upload.attributes))),
            owner: Some(owner.clone()),
            initiator: Some(dto::Initiator { id: owner.id.clone(), display_name: None }),
            ..Default::default()
        };
        Ok(S3Response::new(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(more),
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            max_uploads: i32::try_from(size).ok(),
            next_key_marker: last.as_ref().map(|(_, upload)| upload.key.clone()),
            next_upload_id_marker: last.map(|(id, _)| id),
            prefix: input.prefix,
            uploads: Some(uploads.into_iter().map(shown).collect()),
            ..Default::default()
        }))
    }
}
