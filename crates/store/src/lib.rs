//! The records of the cloud: transactions, snapshots, a watch, and a durable place for them.
//!
//! All records live in memory in immutable maps; a [`Snapshot`] of all of them costs nothing to
//! take. [`Store::transact`] changes them, one writer at a time, all or nothing: what it returns
//! is on disk. Behind that is a [`Backend`]: memory, or a journal on disk; one
//! conformance suite holds for both. Each kind of record is one `impl` of [`Stored`].

#![forbid(unsafe_code)]

mod backend;
mod error;
mod folder;
mod frame;
mod journal;
mod kept;
mod kind;
mod snapshot;
mod transaction;

pub use backend::{Backend, Change, Durability, Memory, Put, Row};
pub use error::StoreError;
pub use folder::{Folder, Sheet};
pub use journal::Journal;
pub use kind::{
    Place, Stored, group_name_reference, key_name_reference, public_reference, tag_reference,
};
pub use snapshot::{Key, Snapshot};
pub use transaction::{Store, Transaction};
