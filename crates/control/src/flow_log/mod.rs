//! Flow logs from what the data path counted to where people read them (FL-7 to FL-38).
//!
//! The data path closes a window of time after the other. Each waits until every flow log that covers
//! something in it has its records: [`delivery`] looks after that, and notes what is done, so that
//! a process that is killed repeats one window of one flow log at most. On the way
//! [`interface`] says what is known of interfaces and which a flow log covers, [`traffic`] makes
//! flows of what was counted, [`line`](mod@line) makes records of flows, [`access`] looks whether the
//! flow log's role may deliver, [`bucket`] whether a bucket lets the delivery in, and [`group`] and
//! [`upload`] deliver, the latter in [`file`](mod@file)s, which [`integration`] has Amazon Athena read.

mod access;
mod bucket;
mod delivery;
mod field;
mod file;
mod group;
mod integration;
mod interface;
mod job;
mod line;
mod notes;
#[cfg(test)]
mod tests;
mod traffic;
mod upload;

pub(crate) use bucket::{admit, not_stored};
pub(crate) use delivery::run;
pub(crate) use field::{checked_format, default_format};
pub(crate) use file::bucket_and_prefix;
pub(crate) use integration::{Frequency, Integration, key as template_key, template};
pub(crate) use interface::depart;
