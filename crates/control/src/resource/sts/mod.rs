//! The Security Token Service: who a caller is, and credentials that end by themselves.

pub(crate) mod caller;
pub(crate) mod session;
