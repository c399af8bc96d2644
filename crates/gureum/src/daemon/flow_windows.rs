//! What control delivers to flow logs, the windows that the data path counted, and the buckets that
//! it delivers to.

use std::{io, sync::Arc};

use gureum_control::{BoxFuture, Buckets, FlowWindows, PutError, Visitor};
use gureum_host::windows::Windows;
use gureum_s3::S3;
use gureum_types::Window;

use super::visitor;

/// The windows on disk.
pub(crate) struct CountedWindows(pub(crate) Arc<Windows>);

impl FlowWindows for CountedWindows {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn read(&self, name: &str) -> io::Result<Window> {
        self.0.read(name)
    }

    fn notes(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.notes(name)
    }

    fn note(&self, name: &str, notes: &[u8]) -> io::Result<()> {
        self.0.note(name, notes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.closed())
    }
}

/// The buckets that are served here.
pub(crate) struct ServedBuckets(pub(crate) Arc<S3>);

impl Buckets for ServedBuckets {
    fn put<'a>(
        &'a self,
        visitor: Visitor,
        bucket: &'a str,
        key: &'a str,
        content_type: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PutError>> {
        Box::pin(async move {
            let caller = visitor::without_request(visitor);
            let put = self.0.put(&caller, bucket, key.to_owned(), content_type, body).await;
            put.map_err(|error| match error {
                gureum_s3::PutError::NoSuchBucket => PutError::NoSuchBucket,
                gureum_s3::PutError::AccessDenied(_) => PutError::AccessDenied,
                gureum_s3::PutError::Failed(why) => PutError::Failed(why),
            })
        })
    }
}
