//! The query language of CloudWatch Logs Insights: `fields`, `parse`, `filter`, `stats … by`,
//! `sort`, `limit`, `dedup` and `display`.
//!
//! A query is read into a list of commands whose fields are numbered slots. What stands before
//! the first command that needs more than one event is done for each event on all processors;
//! the rest is done with the rows that come out.

mod extract;
mod lexer;
mod parser;
mod record;
mod run;
mod stats;
mod value;

pub use parser::QueryError;
pub use run::{Query, QueryOutcome, Source};

#[cfg(test)]
mod tests;
