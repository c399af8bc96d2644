//! Sessions (SSM-8 to SSM-11): asked for here, held at the message gateway, remembered here.

use std::{collections::BTreeMap, time::Duration};

use gureum_api::{ApiError, ApiRequest, response, ssm, ssm::op};
use gureum_session::message::{
    SessionContent, SessionDocument, SessionInputs, StartSession, topic,
};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, Timestamp,
    record::{Instance, Session, SessionStatus},
    session::{SessionId, SessionLimits},
};
use http::StatusCode;

use crate::{
    call::{Answer, Call, given, text},
    catalogue::RUN_SHELL,
    operation::{Parameters, Work, Write, read_input},
    page::page,
    resource::{document, managed_instance::is_older},
};

/// How long a session that is over is remembered.
const HISTORY_DAYS: i64 = 30;
/// How many an answer has when the request does not say.
const PAGE: i32 = 25;

/// AWS's answer where an agent is not connected (SSM-8).
fn not_connected(target: &str) -> ApiError {
    ApiError::new("TargetNotConnected", format!("{target} is not connected."))
}

fn no_session(id: &str) -> ApiError {
    ApiError::new("DoesNotExistException", format!("Session with Id: {id} does not exist"))
}

/// Who calls, as an ARN, and by the name that session ids begin with: what the ARN ends with.
fn caller(call: &Call) -> (String, String) {
    let arn = call.caller.arn();
    let name = arn.rsplit([':', '/']).next().unwrap_or_default().chars().take(64).collect();
    (arn, name)
}

/// Where clients find the data channel: at the endpoint that they used, or by AWS's own name where
/// they used one, or none.
fn stream_url(call: &Call, id: &SessionId) -> String {
    let region = call.region();
    let suffix = match region.as_str().starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    let (scheme, authority) = call.endpoint.split_once("://").unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let origin = match (scheme, authority.is_empty() || host.ends_with(suffix)) {
        (_, true) => format!("wss://ssmmessages.{region}.{suffix}"),
        ("https", false) => format!("wss://{authority}"),
        (_, false) => format!("ws://{authority}"),
    };
    format!("{origin}/v1/data-channel/{id}?role=publish_subscribe")
}

/// StartSession. The agent is told before the record is written, as only it can say no.
pub(crate) fn start(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    let input = read_input::<op::StartSession>(r, parameters)?;
    let id = id.to_owned();
    Ok(Work::Prepare(Box::new(move |call, records| {
        let (session, token) = begin(call, records, &input)?;
        let write: Write = Box::new(move |call, tx| {
            forget_old(call, tx);
            tx.put(&call.scope, session.clone());
            let output = ssm::StartSessionResponse {
                session_id: Some(session.id.to_string()),
                token_value: Some(token.clone()),
                stream_url: Some(stream_url(call, &session.id)),
            };
            Ok(response::<op::StartSession>(&output, &id))
        });
        Ok(write)
    })))
}

fn begin(
    call: &Call,
    records: &Snapshot,
    r: &ssm::StartSessionRequest,
) -> Answer<(Session, String)> {
    let target = text(&r.target, "Target")?;
    let name = given(&r.document_name).unwrap_or(RUN_SHELL);
    let document = document::named(records, &call.scope, name)?;
    if document.kind != "Session" {
        let message = format!("Document type of {name} is not Session.");
        return Err(ApiError::new("InvalidDocument", message));
    }
    let content = document::filled_in(&document, &r.parameters)?;
    let instance = records.find::<Instance>(&call.scope, target);
    let instance = instance.ok_or_else(|| not_connected(target))?.id.clone();
    let (owner, owner_name) = caller(call);
    let id = format!("{owner_name}-{:017x}", u128::from(call.random()) & ((1 << 68) - 1));
    let id =
        SessionId::parse(&id).ok_or_else(|| ApiError::internal_error(format!("the id {id}")))?;
    let document_content: SessionDocument =
        serde_json::from_value(content).map_err(ApiError::internal_error)?;
    let parameters = r.parameters.iter();
    let content = SessionContent {
        document_name: name.to_owned(),
        session_id: id.to_string(),
        parameters: parameters
            .map(|(name, values)| (name.clone(), values.clone().into()))
            .collect(),
        run_as_user: String::new(),
        session_owner: owner.clone(),
        document_content,
    };
    let start = StartSession {
        content: serde_json::to_string(&content).map_err(ApiError::internal_error)?,
        task_id: id.to_string(),
        topic: topic::START_SESSION.to_owned(),
        schema_version: 1,
    };
    let limits = limits(call, records, &content.document_content);
    let token = call.config.gateway.start_session(&id, &instance, &start, limits);
    let token = token.map_err(|_| not_connected(target))?;
    let session = Session {
        id,
        target: instance,
        document: given(&r.document_name).map(str::to_owned),
        reason: given(&r.reason).map(str::to_owned),
        owner,
        started: call.now,
        ended: None,
        status: SessionStatus::Connecting,
        details: String::new(),
    };
    Ok((session, token))
}

/// How long a session may go on (SSM-11): as its document says, or where that is silent, as those for
/// ports are, the account's preferences.
fn limits(call: &Call, records: &Snapshot, document: &SessionDocument) -> SessionLimits {
    let preferences = document::named(records, &call.scope, RUN_SHELL);
    let preferences = preferences.and_then(|it| document::filled_in(&it, &BTreeMap::new()));
    let preferences = preferences.ok().and_then(|it| serde_json::from_value(it).ok());
    let preferences: SessionDocument = preferences.unwrap_or_default();
    let said = |of: fn(&SessionInputs) -> &String| {
        let both = [of(&document.inputs), of(&preferences.inputs)];
        let minutes: Option<u64> = both.into_iter().find_map(|text| text.parse().ok());
        minutes.map(|minutes| Duration::from_secs(60 * minutes))
    };
    SessionLimits {
        idle: said(|it| &it.idle_session_timeout),
        longest: said(|it| &it.max_session_duration),
    }
}

fn forget_old(call: &Call, tx: &mut Transaction) {
    let is_old = |ended: Timestamp| is_older(ended, call.now, HISTORY_DAYS);
    let old: Vec<SessionId> = tx
        .all::<Session>(&call.scope)
        .filter(|session| session.ended.is_some_and(is_old))
        .map(|session| session.id.clone())
        .collect();
    for id in old {
        tx.remove::<Session>(&call.scope, id.as_str());
    }
}

/// ResumeSession: a token for a client whose connection broke; none for a session that is over.
pub(crate) fn resume(
    call: &Call,
    records: &Snapshot,
    r: &ssm::ResumeSessionRequest,
) -> Answer<ssm::ResumeSessionResponse> {
    let id = text(&r.session_id, "SessionId")?;
    let session = records.find::<Session>(&call.scope, id).ok_or_else(|| no_session(id))?;
    let token = call.config.gateway.resume_session(&session.id);
    Ok(ssm::ResumeSessionResponse {
        session_id: Some(id.to_owned()),
        stream_url: token.is_some().then(|| stream_url(call, &session.id)),
        token_value: token,
    })
}

/// TerminateSession: ends it for both sides. One that is over stays over; one that never was is
/// answered as if.
pub(crate) fn terminate(
    call: &Call,
    records: &Snapshot,
    r: &ssm::TerminateSessionRequest,
) -> Answer<ssm::TerminateSessionResponse> {
    let id = text(&r.session_id, "SessionId")?;
    if let Some(session) = records.find::<Session>(&call.scope, id) {
        call.config.gateway.terminate_session(&session.id);
    }
    Ok(ssm::TerminateSessionResponse { session_id: Some(id.to_owned()) })
}

pub(crate) fn connection_status(
    call: &Call,
    records: &Snapshot,
    r: &ssm::GetConnectionStatusRequest,
) -> Answer<ssm::GetConnectionStatusResponse> {
    let target = text(&r.target, "Target")?;
    let connected = |id: &InstanceId| call.config.gateway.is_connected(id);
    let instance = records.find::<Instance>(&call.scope, target);
    let status = match instance.is_some_and(|instance| connected(&instance.id)) {
        true => "connected",
        false => "notconnected",
    };
    Ok(ssm::GetConnectionStatusResponse {
        target: Some(target.to_owned()),
        status: Some(status.into()),
    })
}

fn shown(session: &Session) -> ssm::Session {
    ssm::Session {
        session_id: Some(session.id.to_string()),
        target: Some(session.target.to_string()),
        status: Some(session.status.name().into()),
        start_date: Some(session.started),
        end_date: session.ended,
        document_name: session.document.clone(),
        owner: Some(session.owner.clone()),
        reason: session.reason.clone(),
        details: Some(session.details.clone()).filter(|details| !details.is_empty()),
        access_type: Some("Standard".into()),
        ..Default::default()
    }
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ssm::DescribeSessionsRequest,
) -> Answer<ssm::DescribeSessionsResponse> {
    let history = text(&r.state, "State")? == "History";
    let mut found: Vec<_> = records
        .all::<Session>(&call.scope)
        .filter(|session| session.status.is_over() == history)
        .filter(|session| !session.ended.is_some_and(|it| is_older(it, call.now, HISTORY_DAYS)))
        .collect();
    for filter in &r.filters {
        let value = text(&filter.value, "value")?;
        let time = || {
            let read = value.parse::<Timestamp>();
            read.map_err(|_| {
                let message = format!("{value} is not a point in time, as 2021-09-03T00:00:00Z.");
                ApiError::new("InvalidFilterKey", message)
            })
        };
        match text(&filter.key, "key")? {
            "InvokedAfter" => {
                let time = time()?;
                found.retain(|session| session.started >= time);
            }
            "InvokedBefore" => {
                let time = time()?;
                found.retain(|session| session.started <= time);
            }
            "Target" => found.retain(|session| session.target.as_str() == value),
            "Owner" => found.retain(|session| session.owner == value),
            "Status" => found.retain(|session| session.status.name() == value),
            "SessionId" => found.retain(|session| session.id.as_str() == value),
            "AccessType" => found.retain(|_| value == "Standard"),
            other => {
                let message = format!("The filter key {other} is not valid.");
                return Err(
                    ApiError::new("InvalidFilterKey", message).with_status(StatusCode::BAD_REQUEST)
                );
            }
        }
    }
    let sessions = found.into_iter().map(|session| shown(session)).collect();
    let size = r.max_results.or(Some(PAGE));
    let (sessions, next_token) = page(sessions, size, &r.next_token, |session: &ssm::Session| {
        session.session_id.as_deref()
    })?;
    Ok(ssm::DescribeSessionsResponse { sessions, next_token })
}
