//! Live tails of log groups: what is logged, as it is taken in.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use gureum_api::{ApiError, event_stream, logs};
use gureum_logs::{Heard, Pattern, Tail};
use gureum_store::Snapshot;
use gureum_types::{
    Timestamp,
    record::{LogGroup, LogStream},
};

use crate::{
    call::{Answer, Call, given},
    resource::{log_group, log_stream},
};

/// How long a session lasts.
const LONGEST_MS: i64 = 3 * 3_600_000;

/// A session: its owner asks it for news.
#[derive(Debug)]
pub struct LiveTail {
    call: Call,
    tail: Arc<Tail>,
    groups: Vec<Arc<LogGroup>>,
    names: Vec<String>,
    prefixes: Vec<String>,
    pattern: Pattern,
    until: Timestamp,
    start: Bytes,
}

/// Begins a session.
pub(crate) fn start(
    call: &Call,
    records: &Snapshot,
    r: &logs::StartLiveTailRequest,
    id: &str,
) -> Answer<LiveTail> {
    let mut groups: Vec<Arc<LogGroup>> = Vec::new();
    for text in &r.log_group_identifiers {
        // Here AWS takes ARNs alone, and none with an asterisk behind it.
        if !text.starts_with("arn:") || text.ends_with('*') {
            return Err(ApiError::logs_invalid_parameter(format!(
                "The log group identifier {text} is not the ARN of a log group."
            )));
        }
        groups.push(log_group::identified(call, records, text)?);
    }
    let by_stream = !r.log_stream_names.is_empty() || !r.log_stream_name_prefixes.is_empty();
    if by_stream && groups.len() > 1 {
        return Err(ApiError::logs_invalid_parameter(
            "Log streams can be chosen only where there is one log group.",
        ));
    }
    if !r.log_stream_names.is_empty() && !r.log_stream_name_prefixes.is_empty() {
        return Err(ApiError::logs_invalid_parameter(
            "logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.",
        ));
    }
    if let Some(group) = groups.first() {
        for name in &r.log_stream_names {
            log_stream::named(call, records, group, name)?;
        }
    }
    let pattern = Pattern::parse(given(&r.log_event_filter_pattern).unwrap_or_default());
    let pattern = pattern.map_err(|error| ApiError::logs_invalid_parameter(error.0))?;
    let started = logs::LiveTailSessionStart {
        request_id: Some(id.to_owned()),
        session_id: Some(session_id(call)),
        log_group_identifiers: r.log_group_identifiers.clone(),
        log_stream_names: r.log_stream_names.clone(),
        log_stream_name_prefixes: r.log_stream_name_prefixes.clone(),
        log_event_filter_pattern: Some(r.log_event_filter_pattern.clone().unwrap_or_default()),
    };
    let mut start = event_stream::initial_response().to_vec();
    start.extend(event_stream::event("sessionStart", &started));
    Ok(LiveTail {
        call: call.clone(),
        tail: call.config.logs.tail(groups.iter().map(|group| group.data).collect()),
        groups,
        names: r.log_stream_names.clone(),
        prefixes: r.log_stream_name_prefixes.clone(),
        pattern,
        until: Timestamp(call.now.0.saturating_add(LONGEST_MS)),
        start: start.into(),
    })
}

fn session_id(call: &Call) -> String {
    let (high, low) = (call.random(), call.random());
    uuid::Uuid::from_u64_pair(high, low).to_string()
}

impl LiveTail {
    /// What the answer begins with.
    pub fn start(&self) -> Bytes {
        self.start.clone()
    }

    /// What was logged since the last call: to be asked for once a second, until `None`. The second
    /// part says whether that was the last.
    pub fn update(&self, records: &Snapshot, now: Timestamp) -> (Bytes, bool) {
        if now >= self.until {
            let sentence = "The session has reached its maximum duration.";
            return (event_stream::exception("SessionTimeoutException", sentence), true);
        }
        let (heard, sampled) = self.tail.take();
        let mut names: HashMap<u64, Arc<LogStream>> = HashMap::new();
        if !heard.is_empty() {
            let streams = self
                .groups
                .iter()
                .flat_map(|group| log_stream::of_group(&self.call, records, group));
            names.extend(streams.map(|stream| (stream.data, stream)));
        }
        let results = heard.iter().filter_map(|event| self.shown(event, &names)).collect();
        let update = logs::LiveTailSessionUpdate {
            session_metadata: Some(logs::LiveTailSessionMetadata { sampled: Some(sampled) }),
            session_results: results,
        };
        (event_stream::event("sessionUpdate", &update), false)
    }

    fn shown(
        &self,
        event: &Heard,
        streams: &HashMap<u64, Arc<LogStream>>,
    ) -> Option<logs::LiveTailSessionLogEvent> {
        let stream = streams.get(&event.stream)?;
        let is_chosen = (self.names.is_empty() || self.names.contains(&stream.name))
            && (self.prefixes.is_empty()
                || self.prefixes.iter().any(|it| stream.name.starts_with(it.as_str())));
        if !is_chosen || !self.pattern.matches(&event.message) {
            return None;
        }
        Some(logs::LiveTailSessionLogEvent {
            log_stream_name: Some(stream.name.clone()),
            log_group_identifier: Some(format!("{}:{}", self.call.account(), stream.group)),
            message: Some(event.message.clone()),
            timestamp: Some(event.time),
            ingestion_time: Some(event.ingested),
        })
    }
}
