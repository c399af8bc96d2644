//! Lists of objects, with folders where a delimiter makes some.

use std::ops::Bound;

use s3s::{S3Request, S3Response, S3Result, dto};

use crate::{
    body::blocking,
    bucket::owner,
    error::refused,
    object::{class, etag},
    objects::{ObjectEntry, Objects, Walk},
    service::{Operations, place, time, token},
};

/// How many entries a page has at most.
const PAGE: i32 = 1000;

/// What is asked for.
#[derive(Clone, Debug, Default)]
struct Wanted {
    prefix: String,
    delimiter: String,
    /// Only what comes behind this.
    after: String,
    size: usize,
}

/// A page.
#[derive(Debug, Default)]
struct Page {
    objects: Vec<(String, ObjectEntry)>,
    folders: Vec<String>,
    /// The last entry, where there are more.
    next: Option<String>,
}

fn page_size(max_keys: Option<i32>) -> S3Result<usize> {
    match max_keys.unwrap_or(PAGE) {
        size if size < 0 => Err(refused(
            "InvalidArgument",
            "Argument maxKeys must be an integer between 0 and 2147483647",
            400,
        )),
        size => Ok(usize::try_from(size.min(PAGE)).unwrap_or(0)),
    }
}

/// The first text behind all that begin with this one.
fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

fn list(objects: &Objects, bucket: u64, wanted: &Wanted) -> Result<Page, crate::ObjectsError> {
    let mut page = Page::default();
    if wanted.size == 0 {
        return Ok(page);
    }
    let (mut count, mut last) = (0, String::new());
    let start = match wanted.after.as_str() > wanted.prefix.as_str() {
        // A folder that was shown is not gone into again.
        true if !wanted.delimiter.is_empty() && wanted.after.ends_with(&wanted.delimiter) => {
            Bound::Included(behind(&wanted.after))
        }
        true => Bound::Excluded(wanted.after.clone()),
        false => Bound::Included(wanted.prefix.clone()),
    };
    let start = match &start {
        Bound::Included(key) => Bound::Included(key.as_str()),
        Bound::Excluded(key) => Bound::Excluded(key.as_str()),
        Bound::Unbounded => Bound::Unbounded,
    };
    objects.walk(bucket, start, |key, object| {
        let Some(rest) = key.strip_prefix(wanted.prefix.as_str()) else { return Walk::End };
        if count == wanted.size {
            page.next = Some(last.clone());
            return Walk::End;
        }
        count += 1;
        let cut = match wanted.delimiter.as_str() {
            "" => None,
            delimiter => rest.find(delimiter).map(|at| at + delimiter.len()),
        };
        match cut.and_then(|cut| key.get(..wanted.prefix.len() + cut)) {
            Some(folder) => {
                folder.clone_into(&mut last);
                page.folders.push(folder.to_owned());
                Walk::Behind(behind(folder))
            }
            None => {
                key.clone_into(&mut last);
                page.objects.push((key.to_owned(), object));
                Walk::On
            }
        }
    })?;
    Ok(page)
}

/// Names as clients ask for them: some characters cannot be in XML.
fn encoded(text: &str, encoding: Option<&dto::EncodingType>) -> String {
    if encoding.is_none_or(|it| it.as_str() != "url") {
        return text.to_owned();
    }
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b'*' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn folders(page: &Page, encoding: Option<&dto::EncodingType>) -> Option<dto::CommonPrefixList> {
    let shown = |it: &String| dto::CommonPrefix { prefix: Some(encoded(it, encoding)) };
    Some(page.folders.iter().map(shown).collect())
}

fn objects_shown(
    page: &Page,
    encoding: Option<&dto::EncodingType>,
    of: Option<&dto::Owner>,
) -> Option<dto::ObjectList> {
    let shown = |(key, object): &(String, ObjectEntry)| dto::Object {
        e_tag: etag(&object.etag),
        key: Some(encoded(key, encoding)),
        last_modified: Some(time(object.modified)),
        owner: of.cloned(),
        size: i64::try_from(object.size()).ok(),
        storage_class: Some(dto::ObjectStorageClass::from(class(&object.attributes))),
        ..Default::default()
    };
    Some(page.objects.iter().map(shown).collect())
}

impl Operations {
    async fn page(&self, bucket: u64, wanted: Wanted) -> S3Result<Page> {
        let objects = self.0.objects.clone();
        blocking(move || list(&objects, bucket, &wanted)).await
    }

    pub(crate) async fn list_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        let after = match &input.continuation_token {
            Some(token) => place(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let wanted = Wanted {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after,
            size: page_size(input.max_keys)?,
        };
        let page = self.page(found.bucket.data, wanted).await?;
        let encoding = input.encoding_type.as_ref();
        let owner = owner(found.scope.account.as_str());
        let owner = Some(&owner).filter(|_| input.fetch_owner == Some(true));
        let count = page.objects.len() + page.folders.len();
        Ok(S3Response::new(dto::ListObjectsV2Output {
            common_prefixes: folders(&page, encoding),
            contents: objects_shown(&page, encoding, owner),
            is_truncated: Some(page.next.is_some()),
            key_count: i32::try_from(count).ok(),
            max_keys: Some(input.max_keys.unwrap_or(PAGE).min(PAGE)),
            name: Some(input.bucket),
            next_continuation_token: page.next.as_deref().map(token),
            prefix: Some(encoded(&input.prefix.unwrap_or_default(), encoding)),
            delimiter: input.delimiter.map(|it| encoded(&it, encoding)),
            start_after: input.start_after.map(|it| encoded(&it, encoding)),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    pub(crate) async fn list_v1(
        &self,
        request: S3Request<dto::ListObjectsInput>,
    ) -> S3Result<S3Response<dto::ListObjectsOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        let wanted = Wanted {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after: input.marker.clone().unwrap_or_default(),
            size: page_size(input.max_keys)?,
        };
        let page = self.page(found.bucket.data, wanted).await?;
        let encoding = input.encoding_type.as_ref();
        let owner = owner(found.scope.account.as_str());
        // Told only with a delimiter; without one it is the last key.
        let next = page.next.as_ref().filter(|_| input.delimiter.is_some());
        Ok(S3Response::new(dto::ListObjectsOutput {
            common_prefixes: folders(&page, encoding),
            contents: objects_shown(&page, encoding, Some(&owner)),
            is_truncated: Some(page.next.is_some()),
            max_keys: Some(input.max_keys.unwrap_or(PAGE).min(PAGE)),
            next_marker: next.map(|it| encoded(it, encoding)),
            name: Some(input.bucket),
            prefix: Some(encoded(&input.prefix.unwrap_or_default(), encoding)),
            delimiter: input.delimiter.map(|it| encoded(&it, encoding)),
            marker: Some(encoded(&input.marker.unwrap_or_default(), encoding)),
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    /// Every object has one version.
    pub(crate) async fn list_versions(
        &self,
        request: S3Request<dto::ListObjectVersionsInput>,
    ) -> S3Result<S3Response<dto::ListObjectVersionsOutput>> {
        let found = self.bucket(&request.input.bucket)?;
        let input = request.input;
        let wanted = Wanted {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().unwrap_or_default(),
            after: input.key_marker.clone().unwrap_or_default(),
            size: page_size(input.max_keys)?,
        };
        let page = self.page(found.bucket.data, wanted).await?;
        let encoding = input.encoding_type.as_ref();
        let owner = owner(found.scope.account.as_str());
        let shown = |(key, object): &(String, ObjectEntry)| dto::ObjectVersion {
            e_tag: etag(&object.etag),
            is_latest: Some(true),
            key: Some(encoded(key, encoding)),
            last_modified: Some(time(object.modified)),
            owner: Some(owner.clone()),
            size: i64::try_from(object.size()).ok(),
            storage_class: Some(dto::ObjectVersionStorageClass::from(class(&object.attributes))),
            version_id: Some("null".to_owned()),
            ..Default::default()
        };
        let next = page.next.as_ref();
        Ok(S3Response::new(dto::ListObjectVersionsOutput {
            common_prefixes: folders(&page, encoding),
            versions: Some(page.objects.iter().map(shown).collect()),
            is_truncated: Some(page.next.is_some()),
            max_keys: Some(input.max_keys.unwrap_or(PAGE).min(PAGE)),
            next_key_marker: next.map(|it| encoded(it, encoding)),
            next_version_id_marker: next.map(|_| "null".to_owned()),
            name: Some(input.bucket),
            prefix: Some(encoded(&input.prefix.unwrap_or_default(), encoding)),
            delimiter: input.delimiter.map(|it| encoded(&it, encoding)),
            key_marker: Some(encoded(&input.key_marker.unwrap_or_default(), encoding)),
            version_id_marker: input.version_id_marker,
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }
}
