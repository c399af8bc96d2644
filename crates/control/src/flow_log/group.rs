//! Delivery to a log group of CloudWatch Logs (FL-8 to FL-10).

use std::collections::HashMap;

use gureum_logs::NewEvent;
use gureum_store::{Snapshot, Store, StoreError};
use gureum_types::record::{FlowLog, LogGroup, LogStream, Scope, TrafficType};

use super::{
    interface::{Facts, covers},
    line::{Format, Told},
};
use crate::{
    call::Call,
    resource::{log_event, log_group, log_stream},
};

/// How many events are taken in at once: each such batch is one durable write.
const BATCH: usize = 32_768;

/// Why lines were not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    #[error("the group or streams could not be made: {0}")]
    Records(#[from] StoreError),
    #[error("the events could not be kept: {0}")]
    Events(#[from] gureum_logs::LogError),
}

/// The streams of interfaces in a group, in their order (FL-9). Where flow logs of different traffic
/// types feed one group, their stream of an interface is one.
pub(crate) fn streams(
    records: &Snapshot,
    scope: &Scope,
    group: &str,
    log: &FlowLog,
    covered: &[Facts],
) -> Vec<String> {
    let feeding: Vec<_> = records.of_log_group::<FlowLog>(scope, group).collect();
    let suffix = |facts: &Facts| {
        let others = feeding.iter().filter(|it| covers(it, &facts.id, &facts.subnet, &facts.vpc));
        let mut types = others.map(|it| it.traffic_type);
        match (types.all(|it| it == log.traffic_type), log.traffic_type) {
            (false, _) | (true, TrafficType::All) => "all",
            (true, TrafficType::Accept) => "accept",
            (true, TrafficType::Reject) => "reject",
        }
    };
    covered.iter().map(|facts| format!("{}-{}", facts.id, suffix(facts))).collect()
}

/// The numbers of a group and of its streams, which are made where they are not there (FL-8).
fn made(
    call: &Call,
    store: &Store,
    group: &str,
    streams: &[String],
) -> Result<(LogGroup, HashMap<String, u64>), StoreError> {
    let known = |records: &Snapshot| {
        let found = records.find::<LogGroup>(&call.scope, group)?;
        let numbers = streams.iter().map(|name| {
            let stream = records.find::<LogStream>(&call.scope, &format!("{group}:{name}"))?;
            Some((name.clone(), stream.data))
        });
        Some(((**found).clone(), numbers.collect::<Option<_>>()?))
    };
    if let Some(found) = known(&store.snapshot()) {
        return Ok(found);
    }
    store.transact(|tx| {
        let found = tx.find::<LogGroup>(&call.scope, group).map(|it| (**it).clone());
        let found = found.unwrap_or_else(|| log_group::make(call, tx, group));
        let mut numbers = HashMap::new();
        for name in streams {
            let key = format!("{group}:{name}");
            let known = tx.find::<LogStream>(&call.scope, &key).map(|it| it.data);
            let number = known.unwrap_or_else(|| log_stream::make(call, tx, &found, name).data);
            numbers.insert(name.clone(), number);
        }
        Ok::<_, StoreError>((found, numbers))
    })
}

/// Lines on their way into streams of a group, some thousand at once.
struct Batch<'a> {
    call: &'a Call,
    group: &'a LogGroup,
    text: String,
    /// By stream: the times of lines, and where they end in the text.
    streams: Vec<(u64, Vec<(i64, usize)>)>,
    count: usize,
}

impl Batch<'_> {
    fn put(&mut self) -> Result<(), gureum_logs::LogError> {
        let mut begin = 0;
        let events: Vec<(u64, Vec<NewEvent<'_>>)> = self
            .streams
            .iter()
            .map(|(stream, lines)| {
                let events = lines.iter().map(|(time, end)| {
                    let message = self.text.get(begin..*end).unwrap_or_default();
                    begin = *end;
                    NewEvent { time: *time, message }
                });
                (*stream, events.collect())
            })
            .collect();
        let now = self.call.now.0;
        let accepted: Vec<_> = events
            .iter()
            .map(|(stream, events)| {
                (*stream, events.get(log_event::accepted(self.group, events, now)).unwrap_or(&[]))
            })
            .filter(|(_, events)| !events.is_empty())
            .collect();
        if !accepted.is_empty() {
            self.call.config.logs.append_all(self.group.data, &accepted, now)?;
        }
        self.text.clear();
        self.streams.clear();
        self.count = 0;
        Ok(())
    }
}

/// Puts what is told of interfaces, each in the order of time, into their streams.
pub(crate) fn put(
    call: &Call,
    store: &Store,
    group: &str,
    format: &Format,
    services: &super::line::Services,
    told: &[(&Facts, &str, &[Told<'_>])],
) -> Result<(), PutError> {
    let names: Vec<_> = told.iter().map(|(_, name, _)| (*name).to_owned()).collect();
    let (group, numbers) = made(call, store, group, &names)?;
    let mut batch =
        Batch { call, group: &group, text: String::new(), streams: Vec::new(), count: 0 };
    for (facts, name, told) in told {
        let Some(stream) = numbers.get(*name) else { continue };
        for piece in told.chunks(BATCH) {
            let mut lines = Vec::with_capacity(piece.len());
            for told in piece {
                format.write(&mut batch.text, services, facts, told);
                // FL-10
                lines.push((told.start().saturating_mul(1000), batch.text.len()));
            }
            batch.count += lines.len();
            batch.streams.push((*stream, lines));
            if batch.count >= BATCH {
                batch.put()?;
            }
        }
    }
    batch.put()?;
    Ok(())
}
