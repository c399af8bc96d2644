//! Run Command: a document run by the agents of instances, and what they say of it.
//!
//! A call writes the command down; [`Dispatch`] brings it to the agents, whenever they are there.

use std::collections::{BTreeMap, HashSet};

use gureum_api::{ApiError, ssm};
use gureum_session::message::{AgentJob, CancelCommand, CommandReply, SendCommand, topic};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, Timestamp,
    record::{Command, Instance, Invocation, InvocationStatus, Scope},
};

use crate::{
    call::{Answer, Call, given, text},
    compile::scoped,
    gateway::MessageGateway,
    page::page,
    resource::{
        document,
        managed_instance::{self, invalid_instance_id, is_older},
    },
};

/// How long a command waits for its instances, in seconds, where the call does not say.
const TIMEOUT_SECONDS: i32 = 3600;
/// How long commands are remembered.
const HISTORY_DAYS: i64 = 30;
/// How many an answer has when the request does not say.
const PAGE: i32 = 25;
/// How much of what a command writes is kept, in characters.
const STANDARD_OUTPUT: usize = 24_000;
const STANDARD_ERROR: usize = 8_000;
/// How much of it a list shows.
const LISTED_OUTPUT: usize = 2_500;
/// Where nothing of the output is missing, nothing is said; else this is.
const TRUNCATED: &str = "\n---Output truncated---";

/// What an agent calls a command on its instance.
fn job_id(command: &str, instance: &InstanceId) -> String {
    format!("aws.ssm.{command}.{instance}")
}

fn command_of(job: &str) -> Option<&str> {
    job.strip_prefix("aws.ssm.")?.rsplit_once('.').map(|(command, _)| command)
}

fn first(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most - TRUNCATED.len()).collect();
            kept + TRUNCATED
        }
    }
}

/// The instances that a call means: by id, or by targets.
fn targets(
    call: &Call,
    records: &Snapshot,
    r: &ssm::SendCommandRequest,
) -> Answer<Vec<InstanceId>> {
    let managed = managed_instance::all(call, records);
    if !r.instance_ids.is_empty() {
        if !r.targets.is_empty() {
            let message = "InstanceIds and Targets cannot both be given.";
            return Err(ApiError::new("InvalidTarget", message));
        }
        let mut found = Vec::new();
        for id in &r.instance_ids {
            let known = managed.iter().find(|(instance, _)| instance.id.as_str() == id);
            let (instance, _) = known
                .filter(|(instance, it)| managed_instance::is_online(call, instance, it))
                .ok_or_else(|| invalid_instance_id(id))?;
            if !found.contains(&instance.id) {
                found.push(instance.id.clone());
            }
        }
        return Ok(found);
    }
    if r.targets.is_empty() {
        let message = "The command needs InstanceIds or Targets.";
        return Err(ApiError::new("InvalidTarget", message));
    }
    let mut found: Vec<_> = managed.into_iter().map(|(instance, _)| instance).collect();
    for target in &r.targets {
        let key = text(&target.key, "Key")?;
        let has: Box<dyn Fn(&Instance) -> bool> = match key {
            "InstanceIds" | "instanceids" => {
                Box::new(|it| target.values.iter().any(|id| id == "*" || id == it.id.as_str()))
            }
            "tag-key" => Box::new(|it| target.values.iter().any(|key| it.tags.contains_key(key))),
            other => match other.strip_prefix("tag:") {
                Some(tag) => Box::new(move |it| {
                    it.tags.get(tag).is_some_and(|it| target.values.contains(it))
                }),
                None => {
                    let message = format!("The target key {other} is not supported.");
                    return Err(ApiError::new("InvalidTarget", message));
                }
            },
        };
        found.retain(|instance| has(instance));
    }
    Ok(found.into_iter().map(|instance| instance.id.clone()).collect())
}

/// SendCommand.
pub(crate) fn send(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::SendCommandRequest,
) -> Answer<ssm::SendCommandResult> {
    let name = text(&r.document_name, "DocumentName")?;
    let document = document::named(tx, &call.scope, name)?;
    if document.kind != "Command" {
        let message = format!("Document type of {name} is not Command.");
        return Err(ApiError::new("InvalidDocument", message));
    }
    if given(&r.document_version).is_some_and(|it| !["$DEFAULT", "$LATEST", "1"].contains(&it)) {
        let message = "The document version is not valid or does not exist.";
        return Err(ApiError::new("InvalidDocumentVersion", message));
    }
    document::filled_in(&document, &r.parameters)?;
    let instances = targets(call, tx, r)?;
    let (high, low) = (call.random(), call.random());
    let id = uuid::Builder::from_random_bytes(
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes(),
    );
    let pending = |instance_id| Invocation {
        instance_id,
        status: InvocationStatus::Pending,
        plugin: String::new(),
        code: None,
        standard_output: String::new(),
        standard_error: String::new(),
        began: String::new(),
        ended: String::new(),
    };
    let target = |it: &ssm::Target| (it.key.clone().unwrap_or_default(), it.values.clone());
    let command = Command {
        id: id.into_uuid().to_string(),
        document: document.name,
        comment: r.comment.clone().unwrap_or_default(),
        parameters: r.parameters.clone(),
        instance_ids: if r.targets.is_empty() { instances.clone() } else { Vec::new() },
        targets: r.targets.iter().map(target).collect(),
        timeout_seconds: r.timeout_seconds.unwrap_or(TIMEOUT_SECONDS),
        requested: call.now,
        cancelled: false,
        invocations: instances.into_iter().map(pending).collect(),
        limits: (
            given(&r.max_concurrency).unwrap_or("50").to_owned(),
            given(&r.max_errors).unwrap_or("0").to_owned(),
        ),
    };
    forget_old(call, tx);
    let command = tx.put(&call.scope, command);
    Ok(ssm::SendCommandResult { command: Some(shown(&command)) })
}

fn forget_old(call: &Call, tx: &mut Transaction) {
    let old: Vec<String> = tx
        .all::<Command>(&call.scope)
        .filter(|command| is_older(command.requested, call.now, HISTORY_DAYS))
        .map(|command| command.id.clone())
        .collect();
    for id in old {
        tx.remove::<Command>(&call.scope, &id);
    }
}

/// What all invocations come to.
fn status(command: &Command) -> InvocationStatus {
    use InvocationStatus::{Cancelled, Cancelling, Failed, InProgress, Pending, Success};
    let all = || command.invocations.iter().map(|invocation| invocation.status);
    if all().any(|status| !status.is_over()) {
        return if all().any(|status| status == Cancelling) {
            Cancelling
        } else if all().all(|status| status == Pending) {
            Pending
        } else {
            InProgress
        };
    }
    let worst = [Failed, InvocationStatus::TimedOut, InvocationStatus::DeliveryTimedOut, Cancelled];
    worst.into_iter().find(|bad| all().any(|status| status == *bad)).unwrap_or(Success)
}

fn count(command: &Command, which: impl Fn(InvocationStatus) -> bool) -> Option<i32> {
    let found = command.invocations.iter().filter(|invocation| which(invocation.status)).count();
    i32::try_from(found).ok()
}

fn expires(command: &Command) -> Timestamp {
    Timestamp(command.requested.0 + i64::from(command.timeout_seconds) * 1000)
}

fn shown(command: &Command) -> ssm::Command {
    let status = status(command);
    ssm::Command {
        command_id: Some(command.id.clone()),
        document_name: Some(command.document.clone()),
        document_version: Some("$DEFAULT".into()),
        comment: Some(command.comment.clone()),
        expires_after: Some(expires(command)),
        parameters: command.parameters.clone(),
        instance_ids: command.instance_ids.iter().map(ToString::to_string).collect(),
        targets: command
            .targets
            .iter()
            .map(|(key, values)| ssm::Target { key: Some(key.clone()), values: values.clone() })
            .collect(),
        requested_date_time: Some(command.requested),
        status: Some(status.name().into()),
        status_details: Some(status.details().into()),
        max_concurrency: Some(command.limits.0.clone()),
        max_errors: Some(command.limits.1.clone()),
        target_count: count(command, |_| true),
        completed_count: count(command, InvocationStatus::is_over),
        error_count: count(command, |status| status == InvocationStatus::Failed),
        delivery_timed_out_count: count(command, |status| {
            status == InvocationStatus::DeliveryTimedOut
        }),
        timeout_seconds: Some(command.timeout_seconds),
        ..Default::default()
    }
}

/// Whether a command is one that filters ask for.
fn is_wanted(
    command: &Command,
    status: InvocationStatus,
    filters: &[ssm::CommandFilter],
) -> Answer<bool> {
    for filter in filters {
        let value = text(&filter.value, "value")?;
        let time = || {
            value.parse::<Timestamp>().map_err(|_| {
                let message = format!("{value} is not a point in time, as 2021-09-03T00:00:00Z.");
                ApiError::new("InvalidFilterKey", message)
            })
        };
        let passes = match text(&filter.key, "key")? {
            "InvokedAfter" => command.requested >= time()?,
            "InvokedBefore" => command.requested <= time()?,
            "Status" => status.name() == value,
            "ExecutionStage" => (value == "Complete") == status.is_over(),
            "DocumentName" => command.document == value,
            other => {
                let message = format!("The filter key {other} is not valid.");
                return Err(ApiError::new("InvalidFilterKey", message));
            }
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The caller's commands, the one of an id or all; an id that there is not is refused.
fn commands<'a>(
    call: &'a Call,
    records: &'a Snapshot,
    id: &Option<String>,
) -> Answer<Vec<&'a std::sync::Arc<Command>>> {
    match given(id) {
        None => Ok(records.all::<Command>(&call.scope).collect()),
        Some(id) => match records.find::<Command>(&call.scope, id) {
            Some(command) => Ok(vec![command]),
            None => {
                Err(ApiError::new("InvalidCommandId", format!("The command {id} does not exist.")))
            }
        },
    }
}

/// ListCommands.
pub(crate) fn list(
    call: &Call,
    records: &Snapshot,
    r: &ssm::ListCommandsRequest,
) -> Answer<ssm::ListCommandsResult> {
    let mut found = Vec::new();
    for command in commands(call, records, &r.command_id)? {
        let at = |id: &str| command.invocations.iter().any(|it| it.instance_id.as_str() == id);
        if given(&r.instance_id).is_none_or(at) && is_wanted(command, status(command), &r.filters)?
        {
            found.push(shown(command));
        }
    }
    let (commands, next_token) =
        page(found, r.max_results.or(Some(PAGE)), &r.next_token, |it| it.command_id.as_deref())?;
    Ok(ssm::ListCommandsResult { commands, next_token })
}

/// ListCommandInvocations.
pub(crate) fn invocations(
    call: &Call,
    records: &Snapshot,
    r: &ssm::ListCommandInvocationsRequest,
) -> Answer<ssm::ListCommandInvocationsResult> {
    let mut found = Vec::new();
    for command in commands(call, records, &r.command_id)? {
        for invocation in &command.invocations {
            let id = invocation.instance_id.as_str();
            if given(&r.instance_id).is_none_or(|wanted| wanted == id)
                && is_wanted(command, invocation.status, &r.filters)?
            {
                let place = format!("{}/{id}", command.id);
                let details = r.details == Some(true);
                found.push((place, shown_invocation(call, records, command, invocation, details)));
            }
        }
    }
    let size = r.max_results.or(Some(PAGE));
    let (found, next_token) = page(found, size, &r.next_token, |(place, _)| Some(place.as_str()))?;
    let command_invocations = found.into_iter().map(|(_, it)| it).collect();
    Ok(ssm::ListCommandInvocationsResult { command_invocations, next_token })
}

fn shown_invocation(
    call: &Call,
    records: &Snapshot,
    command: &Command,
    invocation: &Invocation,
    details: bool,
) -> ssm::CommandInvocation {
    let instance = records.find::<Instance>(&call.scope, invocation.instance_id.as_str());
    let plugin = || {
        let mut output = invocation.standard_output.clone();
        if !invocation.standard_error.is_empty() {
            output.push_str("\n----------ERROR-------\n");
            output.push_str(&invocation.standard_error);
        }
        ssm::CommandPlugin {
            name: Some(plugin_name(invocation).to_owned()),
            status: Some(invocation.status.name().into()),
            status_details: Some(invocation.status.details().into()),
            response_code: Some(invocation.code.unwrap_or(-1)),
            response_start_date_time: invocation.began.parse().ok(),
            response_finish_date_time: invocation.ended.parse().ok(),
            output: Some(first(&output, LISTED_OUTPUT)),
            ..Default::default()
        }
    };
    ssm::CommandInvocation {
        command_id: Some(command.id.clone()),
        instance_id: Some(invocation.instance_id.to_string()),
        instance_name: Some(
            instance.and_then(|it| it.tags.get("Name")).cloned().unwrap_or_default(),
        ),
        comment: Some(command.comment.clone()),
        document_name: Some(command.document.clone()),
        document_version: Some("$DEFAULT".into()),
        requested_date_time: Some(command.requested),
        status: Some(invocation.status.name().into()),
        status_details: Some(invocation.status.details().into()),
        command_plugins: if details { vec![plugin()] } else { Vec::new() },
        ..Default::default()
    }
}

/// The name of an invocation's step; before it is known, that of the one document there is.
fn plugin_name(invocation: &Invocation) -> &str {
    match invocation.plugin.as_str() {
        "" => "aws:runShellScript",
        // An agent may put a number before it.
        name => name.split_once('.').map_or(name, |(_, name)| name),
    }
}

/// GetCommandInvocation.
pub(crate) fn invocation(
    call: &Call,
    records: &Snapshot,
    r: &ssm::GetCommandInvocationRequest,
) -> Answer<ssm::GetCommandInvocationResult> {
    let (id, instance) = (text(&r.command_id, "CommandId")?, text(&r.instance_id, "InstanceId")?);
    let missing =
        || ApiError::new("InvocationDoesNotExist", "The command or the instance is not known.");
    let command = records.find::<Command>(&call.scope, id).ok_or_else(missing)?;
    let invocation = command.invocations.iter().find(|it| it.instance_id.as_str() == instance);
    let invocation = invocation.ok_or_else(missing)?;
    if given(&r.plugin_name).is_some_and(|name| name != plugin_name(invocation)) {
        let message = "The plugin name is not one of the command's.";
        return Err(ApiError::new("InvalidPluginName", message));
    }
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let elapsed = time(&invocation.began).zip(time(&invocation.ended)).map(|(began, ended)| {
        let milliseconds = (ended.0 - began.0).max(0);
        format!("PT{}.{:03}S", milliseconds / 1000, milliseconds % 1000)
    });
    Ok(ssm::GetCommandInvocationResult {
        command_id: Some(command.id.clone()),
        instance_id: Some(instance.to_owned()),
        comment: Some(command.comment.clone()),
        document_name: Some(command.document.clone()),
        document_version: Some("$DEFAULT".into()),
        plugin_name: Some(plugin_name(invocation).to_owned()),
        response_code: Some(invocation.code.unwrap_or(-1)),
        execution_start_date_time: Some(invocation.began.clone()),
        execution_elapsed_time: Some(elapsed.unwrap_or_default()),
        execution_end_date_time: Some(invocation.ended.clone()),
        status: Some(invocation.status.name().into()),
        status_details: Some(invocation.status.details().into()),
        standard_output_content: Some(invocation.standard_output.clone()),
        standard_output_url: Some(String::new()),
        standard_error_content: Some(invocation.standard_error.clone()),
        standard_error_url: Some(String::new()),
        ..Default::default()
    })
}

/// CancelCommand: what has not begun does not begin, what runs is ended by its agent.
pub(crate) fn cancel(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::CancelCommandRequest,
) -> Answer<ssm::CancelCommandResult> {
    let id = text(&r.command_id, "CommandId")?;
    let command = match commands(call, tx, &r.command_id)?.first() {
        Some(command) => (***command).clone(),
        None => return Err(ApiError::missing_parameter("CommandId")),
    };
    for wanted in &r.instance_ids {
        if !command.invocations.iter().any(|it| it.instance_id.as_str() == wanted) {
            return Err(invalid_instance_id(wanted));
        }
    }
    tx.update::<Command>(&call.scope, id, |command| {
        command.cancelled |= r.instance_ids.is_empty();
        for invocation in &mut command.invocations {
            let is_meant = r.instance_ids.is_empty()
                || r.instance_ids.iter().any(|id| id == invocation.instance_id.as_str());
            match invocation.status {
                InvocationStatus::Pending if is_meant => {
                    invocation.status = InvocationStatus::Cancelled;
                }
                InvocationStatus::InProgress if is_meant => {
                    invocation.status = InvocationStatus::Cancelling;
                }
                _ => {}
            }
        }
    });
    Ok(ssm::CancelCommandResult {})
}

/// Takes down what an agent says of a command.
pub(crate) fn replied(tx: &mut Transaction, job: &str, instance: &InstanceId, content: &str) {
    let Some(id) = command_of(job) else { return };
    let reply = match serde_json::from_str::<CommandReply>(content) {
        Ok(reply) => reply,
        Err(error) => return tracing::debug!(%instance, %error, "an agent's word of a command"),
    };
    let found = tx.referrers_with_keys::<Command>(id).next();
    let Some(scope) = found.and_then(|(key, _)| key.scope.clone()) else { return };
    tx.update::<Command>(&scope, id, |command| {
        let invocation = command.invocations.iter_mut().find(|it| it.instance_id == *instance);
        let Some(invocation) = invocation.filter(|it| !it.status.is_over()) else { return };
        invocation.status = match reply.document_status.as_str() {
            "InProgress" if invocation.status == InvocationStatus::Cancelling => invocation.status,
            "InProgress" => InvocationStatus::InProgress,
            "Success" => InvocationStatus::Success,
            "TimedOut" => InvocationStatus::TimedOut,
            "Cancelled" => InvocationStatus::Cancelled,
            _ => InvocationStatus::Failed,
        };
        if let Some((name, step)) = reply.runtime_status.iter().next() {
            invocation.plugin = name.clone();
            invocation.standard_output = first(&step.standard_output, STANDARD_OUTPUT);
            invocation.standard_error = first(&step.standard_error, STANDARD_ERROR);
            invocation.began = step.start_date_time.clone();
            if invocation.status.is_over() {
                invocation.code = Some(step.code);
                invocation.ended = step.end_date_time.clone();
            }
        } else if invocation.status.is_over() {
            invocation.standard_error = first(&reply.document_trace_output, STANDARD_ERROR);
        }
    });
}

/// Commands that waited too long for their instances.
pub(crate) fn expire(tx: &mut Transaction, now: Timestamp) {
    let late: Vec<_> = tx
        .everywhere::<Command>()
        .filter(|(_, command)| is_late(command, now))
        .filter_map(|(key, command)| Some((key.scope.clone()?, command.id.clone())))
        .collect();
    for (scope, id) in late {
        tx.update::<Command>(&scope, &id, |command| {
            let waiting = command.invocations.iter_mut();
            for invocation in waiting.filter(|it| it.status == InvocationStatus::Pending) {
                invocation.status = InvocationStatus::DeliveryTimedOut;
            }
        });
    }
}

fn is_late(command: &Command, now: Timestamp) -> bool {
    let waits = |it: &Invocation| it.status == InvocationStatus::Pending;
    expires(command) <= now && command.invocations.iter().any(waits)
}

/// Brings commands to agents, each once a connection.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    sent: HashSet<(InstanceId, String, &'static str)>,
}

impl Dispatch {
    /// An agent that has connected anew may not have got what the one before it was given.
    pub(crate) fn forget(&mut self, instance: &InstanceId) {
        self.sent.retain(|(sent, _, _)| sent != instance);
    }

    /// Gives agents that are there what waits for them. Whether some commands are late.
    pub(crate) fn send(
        &mut self,
        records: &Snapshot,
        gateway: &dyn MessageGateway,
        now: Timestamp,
    ) -> bool {
        let mut late = false;
        for (scope, command) in scoped::<Command>(records) {
            if is_late(command, now) {
                late = true;
                continue;
            }
            for invocation in &command.invocations {
                let instance = &invocation.instance_id;
                let topic = match invocation.status {
                    InvocationStatus::Pending => topic::SEND_COMMAND,
                    InvocationStatus::Cancelling => topic::CANCEL_COMMAND,
                    _ => continue,
                };
                let key = (instance.clone(), command.id.clone(), topic);
                if self.sent.contains(&key) {
                    continue;
                }
                let job = job(records, scope, command, instance, topic);
                if gateway.send_job(instance, &job).is_ok() {
                    self.sent.insert(key);
                }
            }
        }
        let known: BTreeMap<&str, &Command> =
            records.everywhere::<Command>().map(|(_, it)| (it.id.as_str(), &**it)).collect();
        self.sent.retain(|(_, id, _)| {
            let command = known.get(id.as_str());
            command.is_some_and(|it| it.invocations.iter().any(|one| !one.status.is_over()))
        });
        late
    }
}

fn job(
    records: &Snapshot,
    scope: &Scope,
    command: &Command,
    instance: &InstanceId,
    topic: &str,
) -> AgentJob {
    let id = job_id(&command.id, instance);
    let content = if topic == topic::CANCEL_COMMAND {
        serde_json::to_string(&CancelCommand { cancel_message_id: id.clone() })
    } else {
        let document = document::named(records, scope, &command.document).ok();
        let content = document.and_then(|it| document::filled_in(&it, &command.parameters).ok());
        let parameters = command.parameters.iter();
        serde_json::to_string(&SendCommand {
            parameters: parameters.map(|(name, it)| (name.clone(), it.clone().into())).collect(),
            document_content: content.unwrap_or_default(),
            command_id: command.id.clone(),
            document_name: command.document.clone(),
        })
    };
    AgentJob {
        // Text and lists of text are JSON.
        content: content.unwrap_or_default(),
        job_id: id,
        topic: topic.to_owned(),
        schema_version: 1,
    }
}
