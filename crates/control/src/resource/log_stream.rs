//! Log streams of CloudWatch Logs.

use std::{cmp::Reverse, sync::Arc};

use gureum_api::{ApiError, logs};
use gureum_logs::Summary;
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{LogGroup, LogStream};

use crate::{
    call::{Answer, Call, given, text},
    page::page_behind,
    resource::log_group,
};

/// The stream of a group with a name.
pub(crate) fn named(
    call: &Call,
    records: &Snapshot,
    group: &LogGroup,
    name: &str,
) -> Answer<Arc<LogStream>> {
    let found = records.find::<LogStream>(&call.scope, &format!("{}:{name}", group.name)).cloned();
    found.ok_or_else(ApiError::log_stream_not_found)
}

/// The streams of a group, by name.
pub(crate) fn of_group(call: &Call, records: &Snapshot, group: &LogGroup) -> Vec<Arc<LogStream>> {
    let mut streams: Vec<_> =
        records.of_log_group::<LogStream>(&call.scope, &group.name).cloned().collect();
    streams.sort_by(|one, two| one.name.cmp(&two.name));
    streams
}

/// A new stream of that name.
pub(crate) fn make(call: &Call, tx: &mut Transaction, group: &LogGroup, name: &str) -> LogStream {
    let stream = LogStream {
        group: group.name.clone(),
        name: name.to_owned(),
        group_data: group.data,
        data: call.random(),
        created: call.now,
    };
    tx.put(&call.scope, stream.clone());
    stream
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::CreateLogStreamRequest,
) -> Answer<()> {
    let name = text(&r.log_stream_name, "logStreamName")?;
    if name.contains([':', '*']) {
        return Err(log_group::not_of_pattern(name, "logStreamName", "[^:*]*"));
    }
    let group = log_group::named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    if named(call, tx, &group, name).is_ok() {
        return Err(ApiError::log_stream_exists());
    }
    make(call, tx, &group, name);
    Ok(())
}

/// What was logged is deleted by the sweep.
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::DeleteLogStreamRequest,
) -> Answer<()> {
    let group = log_group::named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    let stream = named(call, tx, &group, text(&r.log_stream_name, "logStreamName")?)?;
    tx.remove::<LogStream>(&call.scope, &format!("{}:{}", stream.group, stream.name));
    Ok(())
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &logs::DescribeLogStreamsRequest,
) -> Answer<logs::DescribeLogStreamsResponse> {
    let group = log_group::of_request(call, records, &r.log_group_name, &r.log_group_identifier)?;
    let by_time = given(&r.order_by) == Some("LastEventTime");
    if by_time && given(&r.log_stream_name_prefix).is_some() {
        return Err(ApiError::logs_invalid_parameter(
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ));
    }
    let summaries = call.config.logs.summaries(group.data).map_err(log_group::failed)?;
    let mut streams = of_group(call, records, &group);
    if let Some(prefix) = given(&r.log_stream_name_prefix) {
        streams.retain(|stream| stream.name.starts_with(prefix));
    }
    let last = |stream: &Arc<LogStream>| summaries.get(&stream.data).map(|it| it.last);
    match (by_time, r.descending == Some(true)) {
        (true, true) => streams.sort_by_key(|it| Reverse(last(it))),
        (true, false) => streams.sort_by_key(last),
        (false, true) => streams.reverse(),
        (false, false) => {}
    }
    let size = usize::try_from(r.limit.unwrap_or(log_group::PAGE)).unwrap_or(1);
    let (streams, next_token) =
        page_behind(streams, size, &r.next_token, |it| &it.name).map_err(log_group::bad_token)?;
    let shown = |it: &Arc<LogStream>| shown(call, it, summaries.get(&it.data));
    let log_streams = streams.iter().map(shown).collect();
    Ok(logs::DescribeLogStreamsResponse { log_streams, next_token })
}

fn shown(call: &Call, stream: &LogStream, summary: Option<&Summary>) -> logs::LogStream {
    let arn = log_group::arn(call, &stream.group);
    logs::LogStream {
        log_stream_name: Some(stream.name.clone()),
        creation_time: Some(stream.created.0),
        first_event_timestamp: summary.map(|it| it.first),
        last_event_timestamp: summary.map(|it| it.last),
        last_ingestion_time: summary.map(|it| it.last_ingestion),
        upload_sequence_token: Some(sequence_token(stream)),
        arn: Some(format!("{arn}:log-stream:{}", stream.name)),
        // No longer told of streams since 2019.
        stored_bytes: Some(0),
    }
}

/// The token that PutLogEvents answers. Requests need none any more.
pub(crate) fn sequence_token(stream: &LogStream) -> String {
    format!("496{:053}", stream.data)
}
