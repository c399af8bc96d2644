//! Reachability Analyzer and Network Access Analyzer through the wire format (RA-*, NAA-1).

#[path = "../common/mod.rs"]
mod common;

mod access;
mod calls;
mod codes;
mod paths;
mod setup;
