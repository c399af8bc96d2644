//! Files of records, as they lie in buckets (FL-14, FL-15).
//!
//! The name of a file follows from the delivery that it is of, so that one which is done again
//! replaces what it put before.

mod column;
#[cfg(test)]
mod tests;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use flate2::{Compression, write::GzEncoder};
use gureum_types::{
    FlowLogId, Timestamp,
    record::{FlowLogDestination, Scope},
};
use sha2::{Digest as _, Sha256};

use super::notes::Part;
pub(crate) use column::kind as column_kind;

/// What files are to S3, whatever is in them.
pub(crate) const CONTENT_TYPE: &str = "application/octet-stream";
/// How many bytes a file has at most (FL-14). They are counted before they are compressed, which
/// bounds what is held of a file, too.
const LIMIT: usize = 75_000_000;

/// A file, ready to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Where it lies in the bucket.
    pub(crate) key: String,
    /// The bytes.
    pub(crate) body: Vec<u8>,
}

/// One delivery of a flow log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    /// The account and region of the flow log.
    pub(crate) scope: &'a Scope,
    /// The flow log.
    pub(crate) log: &'a FlowLogId,
    /// When the first window began, which is the time in the names.
    pub(crate) start: Timestamp,
    /// What of the windows it is.
    pub(crate) part: Part,
}

/// Makes files of the records of a delivery.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    batch: Batch<'a>,
    destination: &'a FlowLogDestination,
    /// The names of the fields in the order of the format.
    names: &'a [&'static str],
    /// What the present file has, and how much of it.
    form: Form,
    bytes: usize,
    /// How many files are done.
    done: usize,
    limit: usize,
}

#[derive(Debug)]
enum Form {
    /// Lines under one of names, compressed.
    Text(GzEncoder<Vec<u8>>),
    /// Lines, of which columns are made at the end.
    Parquet(String),
}

impl<'a> Files<'a> {
    /// Files of a delivery to a bucket, of records with these fields.
    pub(crate) fn new(
        batch: Batch<'a>,
        destination: &'a FlowLogDestination,
        names: &'a [&'static str],
    ) -> Self {
        let form = Form::new(destination);
        Self { batch, destination, names, form, bytes: 0, done: 0, limit: LIMIT }
    }

    /// Adds a record as the format prints it. Where the file has no room for it, the file comes
    /// out and another begins.
    pub(crate) fn add(&mut self, record: &str) -> io::Result<Option<Object>> {
        let is_full = self.bytes > 0 && self.bytes + record.len() >= self.limit;
        let full = if is_full { self.take()? } else { None };
        if self.bytes == 0 && matches!(self.form, Form::Text(_)) {
            self.line(&self.names.join(" "))?;
        }
        self.line(record)?;
        Ok(full)
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.bytes += line.len() + 1;
        match &mut self.form {
            Form::Text(out) => writeln!(out, "{line}"),
            Form::Parquet(lines) => {
                lines.push_str(line);
                lines.push('\n');
                Ok(())
            }
        }
    }

    /// The last file; none where no record was added.
    pub(crate) fn end(mut self) -> io::Result<Option<Object>> {
        self.take()
    }

    fn take(&mut self) -> io::Result<Option<Object>> {
        if self.bytes == 0 {
            return Ok(None);
        }
        let body = match std::mem::replace(&mut self.form, Form::new(self.destination)) {
            Form::Text(out) => out.finish()?,
            Form::Parquet(lines) => column::file(self.names, lines)?,
        };
        let key = key(&self.batch, self.destination, self.done);
        (self.bytes, self.done) = (0, self.done + 1);
        Ok(Some(Object { key, body }))
    }
}

impl Form {
    fn new(destination: &FlowLogDestination) -> Self {
        match destination {
            FlowLogDestination::Bucket { parquet: true, .. } => Self::Parquet(String::new()),
            _ => Self::Text(GzEncoder::new(Vec::new(), Compression::default())),
        }
    }
}

/// The folder for files of an account: what the bucket's policy lets the delivery write into.
pub(crate) fn folder(account: &str, prefix: &str, hive_compatible: bool) -> String {
    let prefix = prefix.trim_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    let name = if hive_compatible { "aws-account-id=" } else { "" };
    format!("{prefix}{slash}AWSLogs/{name}{account}/")
}

/// The folder for files of an account and region, in which each day has one of its own.
pub(crate) fn region_folder(scope: &Scope, arn: &str, hive_compatible: bool) -> String {
    let Scope { account, region } = scope;
    let (_, prefix) = bucket_and_prefix(arn);
    let folder = folder(account.as_str(), prefix, hive_compatible);
    match hive_compatible {
        true => format!("{folder}aws-service=vpcflowlogs/aws-region={region}/"),
        false => format!("{folder}vpcflowlogs/{region}/"),
    }
}

/// The name of the bucket in a destination's ARN, and the prefix behind it.
pub(crate) fn bucket_and_prefix(arn: &str) -> (&str, &str) {
    let path = arn.strip_prefix("arn:aws:s3:::").unwrap_or_default();
    path.split_once('/').unwrap_or((path, ""))
}

/// Where a file lies: the how-manieth of a delivery.
fn key(batch: &Batch<'_>, destination: &FlowLogDestination, number: usize) -> String {
    let FlowLogDestination::Bucket { arn, parquet, hive_compatible_partitions, per_hour_partition } =
        destination
    else {
        return String::new();
    };
    let Scope { account, region } = batch.scope;
    // `2018-06-20T16:20:00.000Z`, which every time is printed as.
    let time = batch.start.to_string();
    let part = |range: std::ops::Range<usize>| time.get(range).unwrap_or_default();
    let (year, month, day) = (part(0..4), part(5..7), part(8..10));
    let (hour, minute) = (part(11..13), part(14..16));
    let mut key = region_folder(batch.scope, arn, *hive_compatible_partitions);
    // Writing to a string does not fail.
    let _ = match hive_compatible_partitions {
        true => write!(key, "year={year}/month={month}/day={day}/"),
        false => write!(key, "{year}/{month}/{day}/"),
    };
    if *per_hour_partition {
        let name = if *hive_compatible_partitions { "hour=" } else { "" };
        let _ = write!(key, "{name}{hour}/");
    }
    let log = batch.log;
    let told = format!("{log} {} {:?} {number}", batch.start.0, batch.part);
    let hash: String =
        Sha256::digest(told).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let ending = if *parquet { "log.parquet" } else { "log.gz" };
    let _ = write!(
        key,
        "{account}_vpcflowlogs_{region}_{log}_{year}{month}{day}T{hour}{minute}Z_{hash}.{ending}"
    );
    key
}
