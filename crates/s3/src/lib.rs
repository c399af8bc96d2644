//! Buckets and objects, as S3 serves them.
//!
//! The wire format is the crate `s3s`'s; here is what its operations do. Buckets are records of the
//! store, so that other rooms see them and a reset removes them. Objects are files, with an index
//! in a database of its own ([`objects`]): a file is written whole before the index names it, and
//! what the index says is durable before it is answered.
//!
//! Who calls is told from outside ([`Caller`]), and so is what they may do ([`Judge`]); what an
//! operation asks leave for is known here ([`permission`]).

#![forbid(unsafe_code)]

mod body;
mod bucket;
mod caller;
mod chunked;
mod configuration;
mod error;
mod list;
mod object;
mod objects;
mod operations;
mod permission;
mod service;
mod upload;

pub use caller::{Addressed, Caller, Sign};
pub use error::{ObjectsError, PutError, Refusal};
pub use permission::{Judge, Wish};
pub use s3s::Body;
pub use service::S3;
