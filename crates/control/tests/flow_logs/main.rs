//! Delivery of flow logs, from closed windows to log groups and buckets.

#[path = "../common/mod.rs"]
mod common;
mod delivered;
mod interval;
mod kept;
mod setup;
mod size;
