//! Log events: put, got by stream, filtered by group.

use std::{
    collections::HashMap,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use gureum_api::{ApiError, logs};
use gureum_logs::{Event, Mark, NewEvent, Pattern};
use gureum_store::Snapshot;
use gureum_types::record::{LogGroup, LogStream};

use crate::{
    call::{Answer, Call, given, text},
    resource::{log_group, log_stream},
};

/// How many events a page has at most.
const PAGE: i32 = 10_000;
/// Bytes of a batch that is put, and of a page that is answered.
const MAX_BYTES: usize = 1 << 20;
/// What each event counts beside its message.
const EVENT_BYTES: usize = 26;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The first moment that a group keeps events of.
pub(crate) fn kept_since(group: &LogGroup, now: i64) -> Option<i64> {
    group.retention_days.map(|days| now.saturating_sub(i64::from(days) * DAY_MS))
}

/// Where in a batch, which is in the order of time, what is taken begins and ends.
struct Bounds {
    /// How many are older than any group takes.
    too_old: usize,
    /// How many are older than their group keeps events.
    expired: usize,
    /// How many are not of the future.
    too_new: usize,
}

impl Bounds {
    fn of(group: &LogGroup, events: &[NewEvent<'_>], now: i64) -> Self {
        let before = |time: i64| events.partition_point(|it| it.time < time);
        Self {
            too_old: before(now - 14 * DAY_MS),
            expired: kept_since(group, now).map_or(0, before),
            too_new: before((now + 2 * HOUR_MS).saturating_add(1)),
        }
    }
}

/// Which events of a batch, which is in the order of time, a group takes.
pub(crate) fn accepted(group: &LogGroup, events: &[NewEvent<'_>], now: i64) -> Range<usize> {
    let Bounds { too_old, expired, too_new } = Bounds::of(group, events, now);
    too_old.max(expired)..too_new
}

/// Durable before the answer.
pub(crate) fn put(
    call: &Call,
    records: &Snapshot,
    r: &logs::PutLogEventsRequest,
) -> Answer<logs::PutLogEventsResponse> {
    let group = log_group::named(call, records, text(&r.log_group_name, "logGroupName")?)?;
    let name = text(&r.log_stream_name, "logStreamName")?;
    let stream = log_stream::named(call, records, &group, name)?;
    let events: Vec<_> = r
        .log_events
        .iter()
        .map(|event| NewEvent {
            time: event.timestamp.unwrap_or_default(),
            message: event.message.as_deref().unwrap_or_default(),
        })
        .collect();
    let bytes: usize = events.iter().map(|it| it.message.len() + EVENT_BYTES).sum();
    if bytes > MAX_BYTES {
        let message = format!("Upload too large: {bytes} bytes exceeds limit of {MAX_BYTES}");
        return Err(ApiError::logs_invalid_parameter(message));
    }
    if !events.is_sorted_by_key(|it| it.time) {
        return Err(ApiError::logs_invalid_parameter(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let (first, last) = (events.first(), events.last());
    if let (Some(first), Some(last)) = (first, last)
        && last.time.saturating_sub(first.time) > DAY_MS
    {
        return Err(ApiError::logs_invalid_parameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 \
             hours.",
        ));
    }
    let now = call.now.0;
    let Bounds { too_old, expired, too_new } = Bounds::of(&group, &events, now);
    let accepted = events.get(accepted(&group, &events, now)).unwrap_or_default();
    if !accepted.is_empty() {
        call.config
            .logs
            .append(group.data, stream.data, accepted, now)
            .map_err(log_group::failed)?;
    }
    let index = |at: usize| i32::try_from(at).ok();
    let rejected = logs::RejectedLogEventsInfo {
        too_new_log_event_start_index: index(too_new).filter(|_| too_new < events.len()),
        too_old_log_event_end_index: index(too_old).filter(|_| too_old > 0),
        expired_log_event_end_index: index(expired).filter(|_| expired > 0),
    };
    Ok(logs::PutLogEventsResponse {
        next_sequence_token: Some(log_stream::sequence_token(&stream)),
        rejected_log_events_info: Some(rejected).filter(|it| *it != Default::default()),
        ..Default::default()
    })
}

/// How many events a page has, and how many bytes.
struct Room {
    events: usize,
    bytes: usize,
}

impl Room {
    fn of(limit: Option<i32>) -> Self {
        let events = usize::try_from(limit.unwrap_or(PAGE)).unwrap_or(1);
        Self { events, bytes: MAX_BYTES }
    }

    /// Takes room for a message if there is some. A first one always fits.
    fn take(&mut self, message: &str, is_first: bool) -> bool {
        let bytes = message.len() + EVENT_BYTES;
        let fits = self.events > 0 && (bytes <= self.bytes || is_first);
        if fits {
            self.events -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        fits
    }
}

/// The place between events that a token means.
fn write_mark(mark: Mark) -> String {
    format!("{:016}{:020}{:020}", mark.time, mark.position, 0)
}

fn read_mark(text: &str) -> Option<Mark> {
    let valid = text.len() == 56 && text.bytes().all(|b| b.is_ascii_digit());
    let time = text.get(..16).filter(|_| valid)?.parse().ok()?;
    Some(Mark { time, position: text.get(16..36)?.parse().ok()? })
}

enum Direction {
    Forward,
    Backward,
}

fn read_token(token: &str) -> Option<(Direction, Mark)> {
    let (direction, rest) = token.split_once('/')?;
    let mark = read_mark(rest.strip_suffix("/s")?)?;
    match direction {
        "f" => Some((Direction::Forward, mark)),
        "b" => Some((Direction::Backward, mark)),
        _ => None,
    }
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &logs::GetLogEventsRequest,
) -> Answer<logs::GetLogEventsResponse> {
    let group = log_group::of_request(call, records, &r.log_group_name, &r.log_group_identifier)?;
    let name = text(&r.log_stream_name, "logStreamName")?;
    let stream = log_stream::named(call, records, &group, name)?;
    let kept = kept_since(&group, call.now.0).unwrap_or(0);
    let range = r.start_time.unwrap_or(0).max(kept)..r.end_time.unwrap_or(i64::MAX);
    let (direction, from) = match given(&r.next_token) {
        Some(token) => {
            let (direction, mark) = read_token(token).ok_or_else(ApiError::logs_invalid_token)?;
            (direction, Some(mark))
        }
        None if r.start_from_head == Some(true) => (Direction::Forward, None),
        None => (Direction::Backward, None),
    };
    let mut room = Room::of(r.limit);
    let mut found: Vec<(Mark, logs::OutputLogEvent)> = Vec::new();
    let visit = |event: &Event<'_>| {
        if !room.take(event.message, found.is_empty()) {
            return ControlFlow::Break(());
        }
        let shown = logs::OutputLogEvent {
            timestamp: Some(event.mark.time),
            message: Some(event.message.to_owned()),
            ingestion_time: Some(event.ingested),
        };
        found.push((event.mark, shown));
        ControlFlow::Continue(())
    };
    let store = &call.config.logs;
    match direction {
        Direction::Forward => store.forward(group.data, Some(&[stream.data]), &range, from, visit),
        Direction::Backward => store.backward(group.data, stream.data, &range, from, visit),
    }
    .map_err(log_group::failed)?;
    if matches!(direction, Direction::Backward) {
        found.reverse();
    }
    // At an end the token stays as it was, by which clients know that it is one.
    let here = from.unwrap_or(Mark { time: 0, position: 0 });
    let (first, last) = (found.first(), found.last());
    let token = |direction: &str, mark: Option<Mark>| {
        Some(format!("{direction}/{}/s", write_mark(mark.unwrap_or(here))))
    };
    Ok(logs::GetLogEventsResponse {
        next_forward_token: token("f", last.map(|it| it.0)),
        next_backward_token: token("b", first.map(|it| it.0)),
        events: found.into_iter().map(|(_, event)| event).collect(),
    })
}

/// The streams that a search asks for; nothing where it asks for all.
fn searched(
    call: &Call,
    records: &Snapshot,
    group: &LogGroup,
    r: &logs::FilterLogEventsRequest,
) -> Answer<Vec<Arc<LogStream>>> {
    let mut streams = log_stream::of_group(call, records, group);
    match (r.log_stream_names.as_slice(), given(&r.log_stream_name_prefix)) {
        ([], None) => {}
        ([], Some(prefix)) => streams.retain(|stream| stream.name.starts_with(prefix)),
        ([_, ..], Some(_)) => {
            return Err(ApiError::logs_invalid_parameter(
                "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.",
            ));
        }
        (names, None) => {
            streams.clear();
            for name in names {
                streams.push(log_stream::named(call, records, group, name)?);
            }
        }
    }
    Ok(streams)
}

/// What names an event in answers.
fn event_id(event: &Event<'_>) -> String {
    write_mark(event.mark)
}

pub(crate) fn filter(
    call: &Call,
    records: &Snapshot,
    r: &logs::FilterLogEventsRequest,
) -> Answer<logs::FilterLogEventsResponse> {
    let group = log_group::of_request(call, records, &r.log_group_name, &r.log_group_identifier)?;
    let pattern = Pattern::parse(r.filter_pattern.as_deref().unwrap_or_default());
    let pattern = pattern.map_err(|error| ApiError::logs_invalid_parameter(error.0))?;
    let start = r.start_time.unwrap_or(0);
    let end = r.end_time.map_or(i64::MAX, |time| time.saturating_add(1));
    if start >= end {
        return Err(ApiError::logs_invalid_parameter(
            "startTime must be less than or equal to endTime",
        ));
    }
    let after = match given(&r.next_token) {
        Some(token) => Some(read_mark(token).ok_or_else(ApiError::logs_invalid_token)?),
        None => None,
    };
    let streams = searched(call, records, &group, r)?;
    let names: HashMap<u64, &str> =
        streams.iter().map(|stream| (stream.data, stream.name.as_str())).collect();
    let numbers: Vec<u64> = streams.iter().map(|stream| stream.data).collect();
    let start = start.max(kept_since(&group, call.now.0).unwrap_or(0));
    let mut room = Room::of(r.limit);
    let (mut events, mut last, mut more) = (Vec::new(), None, false);
    let visit = |event: &Event<'_>| {
        let Some(name) = names.get(&event.stream) else { return ControlFlow::Continue(()) };
        if !pattern.matches(event.message) {
            return ControlFlow::Continue(());
        }
        if !room.take(event.message, events.is_empty()) {
            more = true;
            return ControlFlow::Break(());
        }
        last = Some(event.mark);
        events.push(logs::FilteredLogEvent {
            log_stream_name: Some((*name).to_owned()),
            timestamp: Some(event.mark.time),
            message: Some(event.message.to_owned()),
            ingestion_time: Some(event.ingested),
            event_id: Some(event_id(event)),
        });
        ControlFlow::Continue(())
    };
    call.config
        .logs
        .forward(group.data, Some(&numbers), &(start..end), after, visit)
        .map_err(log_group::failed)?;
    Ok(logs::FilterLogEventsResponse {
        events,
        // AWS has not filled it since 2020.
        searched_log_streams: Vec::new(),
        next_token: last.filter(|_| more).map(write_mark),
    })
}

/// One event by the pointer that rows of queries have.
pub(crate) fn record(
    call: &Call,
    records: &Snapshot,
    r: &logs::GetLogRecordRequest,
) -> Answer<logs::GetLogRecordResponse> {
    let pointer = text(&r.log_record_pointer, "logRecordPointer")?;
    let unknown = || ApiError::logs_invalid_parameter("The logRecordPointer is not valid.");
    let (stream, mark) = Mark::of_pointer(pointer).ok_or_else(unknown)?;
    let mut streams = records.all::<LogStream>(&call.scope);
    let stream = streams.find(|it| it.data == stream).ok_or_else(unknown)?;
    let mut found = None;
    let visit = |event: &Event<'_>| {
        if event.mark != mark {
            return ControlFlow::Continue(());
        }
        let pairs = [
            ("@timestamp", event.mark.time.to_string()),
            ("@ingestionTime", event.ingested.to_string()),
            ("@message", event.message.to_owned()),
            ("@logStream", stream.name.clone()),
            ("@log", format!("{}:{}", call.account(), stream.group)),
            ("@ptr", pointer.to_owned()),
        ];
        found = Some(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        ControlFlow::Break(())
    };
    let range = mark.time..mark.time.saturating_add(1);
    call.config
        .logs
        .forward(stream.group_data, Some(&[stream.data]), &range, None, visit)
        .map_err(log_group::failed)?;
    Ok(logs::GetLogRecordResponse { log_record: found.ok_or_else(unknown)? })
}
