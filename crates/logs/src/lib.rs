//! Log data: events on disk in the order of time, and the languages in which they are asked for.
//!
//! [`LogStore`] keeps events of streams of groups and visits them forward, backward or all at
//! once; [`Pattern`] is the filter language of CloudWatch Logs, [`Query`] that of Logs Insights.
//! Names, retention and tags of groups are records, which this room does not know.

#![forbid(unsafe_code)]

mod block;
mod error;
mod insights;
mod pattern;
mod store;
mod tail;

pub use error::LogError;
pub use insights::{Query, QueryError, QueryOutcome, Source};
pub use pattern::{Extracted, Pattern, PatternError};
pub use store::{Event, Keep, LogStore, Mark, NewEvent, Summary};
pub use tail::{Heard, Tail};
