//! Reachability Analyzer and Network Access Analyzer as the API has them (RA-*, NAA-1). What they
//! find out is found in [`crate::insights`].
//!
//! An analysis runs within the call that starts it, on the records and the policy of that moment.
//! That call answers `running`, as AWS's does; from then on it is over.

pub(crate) mod access_scope;
pub(crate) mod analysis;
pub(crate) mod path;
mod shape;
