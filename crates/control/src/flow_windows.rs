//! What control asks of whoever counts traffic and of whoever keeps objects. The binary wires both;
//! tests use doubles.

use std::io;

use gureum_types::Window;

use crate::{iam::visitor::Visitor, linux::BoxFuture};

/// The closed windows of traffic that wait to be delivered to flow logs. They outlive the process.
pub trait FlowWindows: Send + Sync + 'static {
    /// The names of all that wait, the oldest first.
    fn list(&self) -> io::Result<Vec<String>>;

    /// One of them; [`io::ErrorKind::InvalidData`] where it is not whole.
    fn read(&self, name: &str) -> io::Result<Window>;

    /// What was noted of one; nothing at first.
    fn notes(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Notes something of one, in place of what was noted before. It outlives the process.
    fn note(&self, name: &str, notes: &[u8]) -> io::Result<()>;

    /// Removes one that is delivered, with what was noted of it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Done when a window was closed since the last time this was done.
    fn closed(&self) -> BoxFuture<'_, ()>;
}

/// Why an object was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// There is no such bucket.
    #[error("the bucket is not there")]
    NoSuchBucket,
    /// The bucket's policy does not allow it.
    #[error("the bucket's policy does not allow it")]
    AccessDenied,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// The service that delivers logs into buckets (FL-16).
pub(crate) const LOG_DELIVERY: &str = "delivery.logs.amazonaws.com";

/// The buckets, as far as services of the cloud write into them.
pub trait Buckets: Send + Sync + 'static {
    /// Puts an object into a bucket in the name of a service or of its caller, who must be allowed
    /// to.
    fn put<'a>(
        &'a self,
        visitor: Visitor,
        bucket: &'a str,
        key: &'a str,
        content_type: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PutError>>;
}

/// No buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBuckets;

impl Buckets for NoBuckets {
    fn put<'a>(
        &'a self,
        _: Visitor,
        _: &'a str,
        _: &'a str,
        _: &'a str,
        _: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PutError>> {
        Box::pin(async { Err(PutError::NoSuchBucket) })
    }
}
