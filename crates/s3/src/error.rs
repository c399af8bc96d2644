//! What can go wrong with objects, and how S3 says it.

use std::io;

use gureum_store::StoreError;
use s3s::{S3Error, S3ErrorCode};

/// Why objects could not be read or written. What was there before is still there.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// There is no room left where they are kept.
    #[error("the disk is full: {0}")]
    Full(io::Error),
    /// Reading or writing failed in another way.
    #[error("objects could not be read or written: {0}")]
    Io(String),
    /// What is on disk is not what this program writes.
    #[error("the index of objects is damaged: {0}")]
    Damaged(String),
}

impl From<io::Error> for ObjectsError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Io(error.to_string()),
        }
    }
}

impl From<redb::Error> for ObjectsError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::Corrupted(what) => Self::Damaged(what),
            other => Self::Io(other.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($kind:ident)*) => {$(
        impl From<redb::$kind> for ObjectsError {
            fn from(error: redb::$kind) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb! { CommitError DatabaseError SetDurabilityError StorageError TableError TransactionError }

impl From<serde_json::Error> for ObjectsError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// The full disk with status 400: clients repeat what fails with 500 for minutes.
fn full() -> S3Error {
    refused("InsufficientStorage", "The disk under the data directory is full.", 400)
}

impl From<ObjectsError> for S3Error {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::Full(_) => full(),
            error => internal(&error),
        }
    }
}

/// What goes wrong inside a transaction of the store.
pub(crate) enum Failure {
    Refused(S3Error),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Store(StoreError::Full(_)) => full(),
            Failure::Store(error) => internal(&error),
        }
    }
}

/// Why an object was not put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// There is no such bucket.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// It may not be.
    #[error("{0}")]
    AccessDenied(String),
    /// It could not be kept.
    #[error("{0}")]
    Failed(String),
}

impl From<S3Error> for PutError {
    fn from(error: S3Error) -> Self {
        let message = error.message().unwrap_or_default().to_owned();
        match error.code() {
            S3ErrorCode::AccessDenied => Self::AccessDenied(message),
            S3ErrorCode::NoSuchBucket => Self::NoSuchBucket,
            _ => Self::Failed(message),
        }
    }
}

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such access key.
    InvalidAccessKeyId,
    /// The token does not belong to the key.
    InvalidToken,
    /// The session has ended.
    ExpiredToken,
    /// The presigned request was good for less long.
    Expired,
    /// The clock of the caller is another.
    RequestTimeTooSkewed,
    /// Another secret, or not what was signed.
    SignatureDoesNotMatch,
    /// A signature that is older than Signature Version 4.
    Outdated,
    /// What should be a signature is none, for the reason that is told.
    Malformed(String),
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        let (code, message, status) = match refusal {
            Refusal::InvalidAccessKeyId => (
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
                403,
            ),
            Refusal::InvalidToken => {
                ("InvalidToken", "The provided token is malformed or otherwise invalid.", 400)
            }
            Refusal::ExpiredToken => ("ExpiredToken", "The provided token has expired.", 400),
            Refusal::Expired => ("AccessDenied", REQUEST_HAS_EXPIRED, 403),
            Refusal::RequestTimeTooSkewed => (
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                403,
            ),
            Refusal::SignatureDoesNotMatch => (
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. \
                 Check your key and signing method.",
                403,
            ),
            Refusal::Outdated => (
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. Please use \
                 AWS4-HMAC-SHA256.",
                400,
            ),
            Refusal::Malformed(sentence) => {
                return refused("AuthorizationHeaderMalformed", sentence, 400);
            }
        };
        refused(code, message, status)
    }
}

/// What is said of a presigned request after its time.
pub(crate) const REQUEST_HAS_EXPIRED: &str = "Request has expired";

/// Something broke on our side. The caller learns no detail.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> S3Error {
    tracing::error!(%error, "a request to S3 failed");
    S3Error::with_message(
        S3ErrorCode::InternalError,
        "We encountered an internal error. Please try again.",
    )
}

/// An error with a code and a sentence of S3's.
pub(crate) fn refused(code: &'static str, message: impl Into<String>, status: u16) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(code, message.into());
    if let Ok(status) = http::StatusCode::from_u16(status) {
        error.set_status_code(status);
    }
    error
}

pub(crate) fn no_such_bucket() -> S3Error {
    refused("NoSuchBucket", "The specified bucket does not exist", 404)
}

pub(crate) fn no_such_key() -> S3Error {
    refused("NoSuchKey", "The specified key does not exist.", 404)
}

pub(crate) fn no_such_upload() -> S3Error {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the \
                   upload may have been aborted or completed.";
    refused("NoSuchUpload", message, 404)
}

pub(crate) fn access_denied() -> S3Error {
    refused("AccessDenied", "Access Denied", 403)
}

/// A body that is not the one that was signed.
pub(crate) fn content_mismatch() -> S3Error {
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    refused("XAmzContentSHA256Mismatch", message, 400)
}

pub(crate) fn precondition_failed() -> S3Error {
    let message = "At least one of the pre-conditions you specified did not hold";
    refused("PreconditionFailed", message, 412)
}

pub(crate) fn unsupported(what: &str) -> S3Error {
    refused("NotImplemented", format!("{what} is not supported here."), 501)
}
