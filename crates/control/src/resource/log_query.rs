//! Queries of CloudWatch Logs Insights. They run on threads of their own and are remembered until
//! the daemon ends, the last ones of them.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use gureum_api::{ApiError, logs};
use gureum_logs::{Query, QueryOutcome, Source};
use gureum_store::Snapshot;
use gureum_types::{Timestamp, record::Scope};

use crate::{
    call::{Answer, Call, given, text},
    page::page_behind,
    resource::{log_event, log_group, log_stream},
};

/// How many run at once.
const AT_ONCE: usize = 10;
/// How many are remembered.
const REMEMBERED: usize = 200;
/// How many groups one may look at.
const GROUPS: usize = 50;
/// How many rows an answer may be asked for.
const ROWS: i32 = 10_000;
/// Later in seconds than anybody means: such a time is in milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// The queries that run or ran.
#[derive(Debug, Default)]
pub struct Queries(Mutex<BTreeMap<String, Arc<Started>>>);

#[derive(Debug)]
struct Started {
    id: String,
    scope: Scope,
    text: String,
    groups: Vec<String>,
    created: Timestamp,
    began: Instant,
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
enum State {
    Running,
    Complete(Arc<QueryOutcome>, u64),
    Failed,
    Cancelled,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Complete(..) => "Complete",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl Started {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self) -> bool {
        matches!(*self.state(), State::Running)
    }
}

impl Queries {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Started>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, call: &Call, id: &str) -> Answer<Arc<Started>> {
        let found = self.all().get(id).filter(|it| it.scope == call.scope).cloned();
        found.ok_or_else(ApiError::log_query_not_found)
    }

    fn add(&self, started: Arc<Started>) -> Answer<()> {
        let mut all = self.all();
        if all.values().filter(|it| it.is_running()).count() >= AT_ONCE {
            let message = "Account maximum query concurrency limit reached.";
            return Err(ApiError::new("LimitExceededException", message));
        }
        if all.len() >= REMEMBERED {
            let oldest = all.values().filter(|it| !it.is_running()).min_by_key(|it| it.created);
            if let Some(id) = oldest.map(|it| it.id.clone()) {
                all.remove(&id);
            }
        }
        all.insert(started.id.clone(), started);
        Ok(())
    }
}

fn milliseconds(time: Option<i64>) -> i64 {
    match time.unwrap_or_default() {
        time if time >= MILLISECONDS_FROM => time,
        seconds => seconds * 1000,
    }
}

pub(crate) fn start(
    call: &Call,
    records: &Snapshot,
    r: &logs::StartQueryRequest,
) -> Answer<logs::StartQueryResponse> {
    if given(&r.query_language).is_some_and(|language| language != "CWLI") {
        return Err(ApiError::logs_invalid_parameter(
            "Only the query language CWLI is supported here.",
        ));
    }
    let names = [r.log_group_name.as_slice(), &r.log_group_names, &r.log_group_identifiers];
    if names.iter().filter(|it| !it.is_empty()).count() != 1 {
        return Err(ApiError::logs_invalid_parameter(
            "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be specified.",
        ));
    }
    let (mut source, mut groups) = (Source::default(), Vec::new());
    let mut kept = 0;
    for name in names.into_iter().flatten() {
        let group = log_group::identified(call, records, name)?;
        for stream in log_stream::of_group(call, records, &group) {
            let log = format!("{}:{}", call.account(), group.name);
            source.streams.insert(stream.data, (log, stream.name.clone()));
        }
        source.groups.push(group.data);
        groups.push(group.name.clone());
        kept = kept.max(log_event::kept_since(&group, call.now.0).unwrap_or(0));
    }
    if groups.len() > GROUPS {
        let message = format!("A query may look at {GROUPS} log groups at most.");
        return Err(ApiError::logs_invalid_parameter(message));
    }
    let (from, to) = (milliseconds(r.start_time), milliseconds(r.end_time));
    if from > to {
        return Err(ApiError::logs_invalid_parameter(
            "Query's start time must not be later than its end time.",
        ));
    }
    // What retention has put an end to is not seen, also before it is deleted.
    let range = from.max(if groups.len() == 1 { kept } else { 0 })..to.saturating_add(1);
    if r.limit.is_some_and(|limit| limit > ROWS) {
        let message = format!("The limit must be between 1 and {ROWS}.");
        return Err(ApiError::logs_invalid_parameter(message));
    }
    let limit = r.limit.and_then(|limit| usize::try_from(limit).ok());
    let query = Query::parse(text(&r.query_string, "queryString")?, limit)
        .map_err(|error| ApiError::new("MalformedQueryException", error.0))?;
    let (high, low) = (call.random(), call.random());
    let started = Arc::new(Started {
        id: format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        ),
        scope: call.scope.clone(),
        text: r.query_string.clone().unwrap_or_default(),
        groups,
        created: call.now,
        began: Instant::now(),
        stop: AtomicBool::new(false),
        state: Mutex::new(State::Running),
    });
    call.config.queries.add(started.clone())?;
    run(call, started.clone(), query, source, range)?;
    Ok(logs::StartQueryResponse { query_id: Some(started.id.clone()) })
}

fn run(
    call: &Call,
    started: Arc<Started>,
    query: Query,
    source: Source,
    range: Range<i64>,
) -> Answer<()> {
    let store = call.config.logs.clone();
    let work = move || {
        let outcome = query.run(&store, &source, &range, &started.stop);
        let took = u64::try_from(started.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut state = started.state();
        if matches!(*state, State::Running) {
            *state = match outcome {
                Ok(outcome) => State::Complete(Arc::new(outcome), took),
                Err(error) => {
                    tracing::error!(query = started.id, %error, "a query failed");
                    State::Failed
                }
            };
        }
    };
    let thread = thread::Builder::new().name("query".to_owned()).spawn(work);
    thread.map(|_| ()).map_err(ApiError::internal_error)
}

pub(crate) fn results(
    call: &Call,
    _: &Snapshot,
    r: &logs::GetQueryResultsRequest,
) -> Answer<logs::GetQueryResultsResponse> {
    let started = call.config.queries.find(call, text(&r.query_id, "queryId")?)?;
    let state = started.state().clone();
    let mut answer = logs::GetQueryResultsResponse {
        query_language: Some("CWLI".into()),
        status: Some(state.name().into()),
        statistics: Some(statistics(&QueryOutcome::default(), 0)),
        ..Default::default()
    };
    if let State::Complete(outcome, _) = &state {
        let field = |(name, value): &(String, String)| logs::ResultField {
            field: Some(name.clone()),
            value: Some(value.clone()),
        };
        answer.results = outcome.rows.iter().map(|row| row.iter().map(field).collect()).collect();
        answer.statistics = Some(statistics(outcome, started.groups.len()));
    }
    Ok(answer)
}

fn statistics(outcome: &QueryOutcome, groups: usize) -> logs::QueryStatistics {
    logs::QueryStatistics {
        records_matched: Some(outcome.matched as f64),
        records_scanned: Some(outcome.scanned as f64),
        estimated_records_skipped: Some(0.0),
        bytes_scanned: Some(outcome.bytes as f64),
        estimated_bytes_skipped: Some(0.0),
        log_groups_scanned: Some(groups as f64),
    }
}

pub(crate) fn stop(
    call: &Call,
    _: &Snapshot,
    r: &logs::StopQueryRequest,
) -> Answer<logs::StopQueryResponse> {
    let started = call.config.queries.find(call, text(&r.query_id, "queryId")?)?;
    let mut state = started.state();
    if !matches!(*state, State::Running) {
        return Err(ApiError::logs_invalid_parameter(format!(
            "Query {} has ended with status {}.",
            started.id,
            state.name()
        )));
    }
    started.stop.store(true, Ordering::Relaxed);
    *state = State::Cancelled;
    Ok(logs::StopQueryResponse { success: Some(true) })
}

pub(crate) fn describe(
    call: &Call,
    _: &Snapshot,
    r: &logs::DescribeQueriesRequest,
) -> Answer<logs::DescribeQueriesResponse> {
    let mut found: Vec<_> = call.config.queries.all().values().cloned().collect();
    found.retain(|it| {
        it.scope == call.scope
            && given(&r.log_group_name).is_none_or(|name| it.groups.iter().any(|it| it == name))
            && given(&r.status).is_none_or(|status| it.state().name() == status)
    });
    found.sort_by(|one, two| (two.created, &two.id).cmp(&(one.created, &one.id)));
    let size = usize::try_from(r.max_results.unwrap_or(log_group::PAGE)).unwrap_or(1);
    let (found, next_token) =
        page_behind(found, size, &r.next_token, |it| &it.id).map_err(log_group::bad_token)?;
    let shown = |it: Arc<Started>| {
        let state = it.state().clone();
        let complete = match &state {
            State::Complete(outcome, took) => Some((outcome.bytes, *took)),
            State::Running | State::Failed | State::Cancelled => None,
        };
        logs::QueryInfo {
            query_language: Some("CWLI".into()),
            query_id: Some(it.id.clone()),
            query_string: Some(it.text.clone()),
            status: Some(state.name().into()),
            create_time: Some(it.created.0),
            log_group_name: it.groups.first().cloned(),
            query_duration: complete.and_then(|(_, took)| i64::try_from(took).ok()),
            bytes_scanned: complete.map(|(bytes, _)| bytes as f64),
            user_identity: None,
        }
    };
    Ok(logs::DescribeQueriesResponse {
        queries: found.into_iter().map(shown).collect(),
        next_token,
    })
}
