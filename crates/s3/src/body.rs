//! Bytes of objects: from requests into files, checked on the way, and from files into answers.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use md5::{Digest as _, Md5};
use s3s::{
    S3Error, S3Result,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256},
    dto::{Checksum, StreamingBlob},
};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::{
    ObjectsError, Refusal,
    chunked::{Trailers, WRONG_SIGNATURE},
    error::{content_mismatch, internal, refused},
    objects::{Objects, Piece},
};

/// The largest object of one request: 5 GiB.
const MAX_BYTES: u64 = 5 << 30;
/// How much of a file is read at once.
const READ_BYTES: usize = 256 << 10;

/// What a request says of its body, to be checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// MD5 in base64.
    pub(crate) md5: Option<String>,
    /// Checksums by the name of their algorithm, in base64.
    pub(crate) checksums: BTreeMap<String, String>,
    /// The algorithm whose checksum follows the body, or is to be made.
    pub(crate) algorithm: Option<String>,
    /// SHA-256 in hexadecimal, which the signature covers.
    pub(crate) signed_sha256: Option<String>,
    pub(crate) trailers: Trailers,
}

/// A body that is on disk.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) piece: Piece,
    /// MD5 in hexadecimal.
    pub(crate) md5: String,
    pub(crate) checksums: BTreeMap<String, String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hasher(names: impl Iterator<Item = String>) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    for name in names {
        match name.as_str() {
            "crc32" => hasher.crc32 = Some(Crc32::new()),
            "crc32c" => hasher.crc32c = Some(Crc32c::new()),
            "crc64nvme" => hasher.crc64nvme = Some(Crc64Nvme::new()),
            "sha1" => hasher.sha1 = Some(Sha1::new()),
            "sha256" => hasher.sha256 = Some(Sha256::new()),
            _ => {}
        }
    }
    hasher
}

fn by_name(found: Checksum) -> BTreeMap<String, String> {
    let all = [
        ("crc32", found.checksum_crc32),
        ("crc32c", found.checksum_crc32c),
        ("crc64nvme", found.checksum_crc64nvme),
        ("sha1", found.checksum_sha1),
        ("sha256", found.checksum_sha256),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Writes a body into a new file of a bucket and checks what was said of it. The file is durable
/// when this returns, and gone when it fails.
pub(crate) async fn receive(
    objects: &Objects,
    bucket: u64,
    file: String,
    body: Option<StreamingBlob>,
    claims: &Claims,
) -> S3Result<Received> {
    let folder = objects.folder(bucket);
    tokio::fs::create_dir_all(&folder).await.map_err(ObjectsError::from)?;
    let path = folder.join(&file);
    let written = write(&path, file, body, claims).await;
    if written.is_err() {
        // Also deleted at the next start.
        let _ = tokio::fs::remove_file(&path).await;
    }
    written
}

async fn write(
    path: &PathBuf,
    file: String,
    body: Option<StreamingBlob>,
    claims: &Claims,
) -> S3Result<Received> {
    let mut out = tokio::fs::File::create_new(path).await.map_err(ObjectsError::from)?;
    let (mut md5, mut size) = (Md5::new(), 0_u64);
    let mut sha256 = claims.signed_sha256.as_ref().map(|_| Sha256::new());
    let wanted = claims.checksums.keys().chain(&claims.algorithm).cloned();
    let mut checksums = hasher(wanted);
    if let Some(mut body) = body {
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| {
                tracing::debug!(%error, "a body did not arrive whole");
                if error.to_string().contains(WRONG_SIGNATURE) {
                    return Refusal::SignatureDoesNotMatch.into();
                }
                refused(
                    "IncompleteBody",
                    "You did not provide the number of bytes specified by the Content-Length \
                     HTTP header",
                    400,
                )
            })?;
            size += bytes.len() as u64;
            if size > MAX_BYTES {
                return Err(refused(
                    "EntityTooLarge",
                    "Your proposed upload exceeds the maximum allowed size",
                    400,
                ));
            }
            md5.update(&bytes);
            checksums.update(&bytes);
            if let Some(sha256) = &mut sha256 {
                sha256.update(&bytes);
            }
            out.write_all(&bytes).await.map_err(ObjectsError::from)?;
        }
    }
    out.flush().await.map_err(ObjectsError::from)?;
    out.sync_all().await.map_err(ObjectsError::from)?;
    let md5 = md5.finalize();
    let checksums = by_name(checksums.finalize());
    if claims.md5.as_ref().is_some_and(|said| *said != STANDARD.encode(md5)) {
        let message = "The Content-MD5 you specified did not match what we received.";
        return Err(refused("BadDigest", message, 400));
    }
    let signed = sha256.map(|it| hex(it.finalize().as_ref()));
    if claims.signed_sha256 != signed {
        return Err(content_mismatch());
    }
    for (name, found) in &checksums {
        let trailer = || claims.trailers.get(&format!("x-amz-checksum-{name}"));
        let said = claims.checksums.get(name).cloned().or_else(trailer);
        if said.is_some_and(|said| said != *found) {
            return Err(refused(
                "BadDigest",
                format!(
                    "The {} you specified did not match the calculated checksum.",
                    name.to_uppercase()
                ),
                400,
            ));
        }
    }
    Ok(Received { piece: Piece { file, size }, md5: hex(md5.as_ref()), checksums })
}

/// A way through files: what of which is to be read.
struct Reading {
    objects: Arc<Objects>,
    bucket: u64,
    /// What is left, the next one last.
    parts: Vec<(Piece, u64, u64)>,
    open: Option<(tokio::fs::File, u64)>,
}

/// The bytes `from..to` of an object's pieces.
pub(crate) fn send(
    objects: Arc<Objects>,
    bucket: u64,
    pieces: &[Piece],
    from: u64,
    to: u64,
) -> StreamingBlob {
    let (mut start, mut parts) = (0, Vec::new());
    for piece in pieces {
        let (begin, end) = (from.max(start), to.min(start + piece.size));
        if begin < end {
            parts.push((piece.clone(), begin - start, end - begin));
        }
        start += piece.size;
    }
    parts.reverse();
    let reading = Reading { objects, bucket, parts, open: None };
    // What a client does not take any more is not read.
    StreamingBlob::wrap(SyncStream::new(Box::pin(stream::try_unfold(reading, next))))
}

async fn next(mut reading: Reading) -> io::Result<Option<(Bytes, Reading)>> {
    loop {
        let Some((file, left)) = &mut reading.open else {
            let Some((piece, from, length)) = reading.parts.pop() else { return Ok(None) };
            let path = reading.objects.path(reading.bucket, &piece.file);
            let mut file = tokio::fs::File::open(path).await?;
            file.seek(io::SeekFrom::Start(from)).await?;
            reading.open = Some((file, length));
            continue;
        };
        if *left == 0 {
            reading.open = None;
            continue;
        }
        let room = usize::try_from(*left).unwrap_or(usize::MAX).min(READ_BYTES);
        let mut buffer = vec![0; room];
        let count = file.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.truncate(count);
        *left -= count as u64;
        return Ok(Some((buffer.into(), reading)));
    }
}

type Inner = std::pin::Pin<Box<dyn futures_util::Stream<Item = io::Result<Bytes>> + Send>>;

/// A stream that may be shared between threads because nobody but its owner can reach it.
struct SyncStream(std::sync::Mutex<Inner>);

impl SyncStream {
    fn new(inner: Inner) -> Self {
        Self(std::sync::Mutex::new(inner))
    }
}

impl futures_util::Stream for SyncStream {
    type Item = io::Result<Bytes>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let inner = self.get_mut().0.get_mut();
        inner.unwrap_or_else(std::sync::PoisonError::into_inner).as_mut().poll_next(cx)
    }
}

/// Work with the index, off the threads that answer.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> S3Result<T>
where
    T: Send + 'static,
    E: Into<S3Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(error) => Err(internal(&error)),
    }
}
