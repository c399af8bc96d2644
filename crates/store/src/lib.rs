//! The records of the cloud: transactions, snapshots, a watch, and a durable place for them.
//!
//! All records live in memory in immutable maps; a [`Snapshot`] of all of them costs nothing to
//! take. [`Store::transact`] changes them, one writer at a time, all or nothing: what it returns
//! is on disk. Behind that is a [`Backend`]: memory, or an embedded database (redb); one
//! conformance suite holds for both. Each kind of record is one `impl` of [`Stored`].

#![forbid(unsafe_code)]

mod backend;
mod embedded;
mod error;
mod kind;
mod snapshot;
mod transaction;

pub use backend::{Backend, Change, Loaded, Memory, Row};
pub use embedded::Embedded;
pub use error::StoreError;
pub use kind::{Place, Stored};
pub use snapshot::{Key, Snapshot};
pub use transaction::{Store, Transaction};
