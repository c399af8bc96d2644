//! For tests, here and in other crates: packets named by intent, the lab as a fixture, and the
//! check of every checksum that leaves the engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop loudly"
)]

pub mod cost;
pub mod fuzz;
mod fuzz_changes;
pub mod lab;
pub mod packets;
pub mod records;
pub mod verify;

pub use lab::{Lab, Sent};
pub use packets::{Built, Ends};
