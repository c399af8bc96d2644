//! Instances that Systems Manager knows: what agents say of themselves, and who is online (SSM-7).

use std::sync::Arc;

use gureum_api::{ApiError, ssm};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, Timestamp,
    record::{AgentFacts, Instance, InstanceState, ManagedInstance},
};

use crate::{
    call::{Answer, Call, given, text},
    page::page,
};

/// Agents say that they are there every five minutes (SSM-2). Three in a row that are missed, and
/// the connection counts as lost (SSM-7).
const LOST_AFTER_MS: i64 = 3 * 300_000;
/// How many an answer has when the request does not say.
const PAGE: i32 = 10;

/// An instance of the caller's, by what an agent calls itself.
fn instance(call: &Call, records: &Snapshot, id: &str) -> Answer<Arc<Instance>> {
    let found = records.find::<Instance>(&call.scope, id).filter(|it| is_there(it));
    found.cloned().ok_or_else(|| invalid_instance_id(id))
}

fn is_there(instance: &Instance) -> bool {
    instance.state != InstanceState::Terminated
}

/// AWS's answer to an instance that Systems Manager does not know.
pub(crate) fn invalid_instance_id(id: &str) -> ApiError {
    ApiError::new(
        "InvalidInstanceId",
        format!("Instances [[{id}]] not in a valid state for account"),
    )
}

/// An agent's heartbeat. The first registers its instance.
pub(crate) fn update(
    call: &Call,
    tx: &mut Transaction,
    r: &ssm::UpdateInstanceInformationRequest,
) -> Answer<ssm::UpdateInstanceInformationResult> {
    let id = instance(call, tx, text(&r.instance_id, "InstanceId")?)?.id.clone();
    if call.caller.instance().is_some_and(|caller| *caller != id) {
        let message = "The instance's role speaks for the instance itself only.";
        return Err(ApiError::new("AccessDeniedException", message));
    }
    let before = tx.find::<ManagedInstance>(&call.scope, id.as_str()).cloned();
    let known = before.as_ref().map(|before| before.agent.clone()).unwrap_or_default();
    // An agent that begins says less of itself than later on.
    let said = |now: &Option<String>, before: String| given(now).map_or(before, str::to_owned);
    let managed = ManagedInstance {
        instance_id: id,
        agent: AgentFacts {
            name: said(&r.agent_name, known.name),
            version: said(&r.agent_version, known.version),
            platform_type: said(&r.platform_type, known.platform_type),
            platform_name: said(&r.platform_name, known.platform_name),
            platform_version: said(&r.platform_version, known.platform_version),
            computer_name: said(&r.computer_name, known.computer_name),
            ip_address: said(&r.ip_address, known.ip_address),
        },
        registered: before.map_or(call.now, |before| before.registered),
        last_ping: call.now,
    };
    tx.put(&call.scope, managed);
    forget_gone(call, tx);
    Ok(ssm::UpdateInstanceInformationResult {})
}

/// Instances that are no more are not remembered.
fn forget_gone(call: &Call, tx: &mut Transaction) {
    let gone: Vec<InstanceId> = tx
        .all::<ManagedInstance>(&call.scope)
        .map(|managed| managed.instance_id.clone())
        .filter(|id| !tx.find::<Instance>(&call.scope, id.as_str()).is_some_and(|it| is_there(it)))
        .collect();
    for id in gone {
        tx.remove::<ManagedInstance>(&call.scope, id.as_str());
    }
}

/// The agent of an EC2 instance gives its id as fingerprint and gets it back.
pub(crate) fn register(
    call: &Call,
    records: &Snapshot,
    r: &ssm::RegisterManagedInstanceRequest,
) -> Answer<ssm::RegisterManagedInstanceResult> {
    if given(&r.activation_id).is_some() {
        return Err(ApiError::new("InvalidActivation", "There are no activations here."));
    }
    let instance = instance(call, records, text(&r.fingerprint, "Fingerprint")?)?;
    Ok(ssm::RegisterManagedInstanceResult { instance_id: Some(instance.id.to_string()) })
}

/// Default host management hands out credentials to instances without a role. It is off, as it is on
/// AWS until somebody switches it on.
pub(crate) fn role_token(
    _: &Call,
    _: &Snapshot,
    _: &ssm::RequestManagedInstanceRoleTokenRequest,
) -> Answer<ssm::RequestManagedInstanceRoleTokenResult> {
    let message = "Systems Manager's instance management role is not configured for account.";
    Err(ApiError::new("AccessDeniedException", message))
}

/// No instance has associations, as there are none here.
pub(crate) fn associations(
    call: &Call,
    records: &Snapshot,
    r: &ssm::ListInstanceAssociationsRequest,
) -> Answer<ssm::ListInstanceAssociationsResult> {
    instance(call, records, text(&r.instance_id, "InstanceId")?)?;
    Ok(ssm::ListInstanceAssociationsResult::default())
}

/// Whether an instance was heard of lately and runs.
pub(crate) fn is_online(call: &Call, instance: &Instance, managed: &ManagedInstance) -> bool {
    instance.state == InstanceState::Running && call.now.0 - managed.last_ping.0 < LOST_AFTER_MS
}

/// The managed instances of the caller, with their instances.
pub(crate) fn all(call: &Call, records: &Snapshot) -> Vec<(Arc<Instance>, Arc<ManagedInstance>)> {
    let managed = records.all::<ManagedInstance>(&call.scope);
    let with_instance = managed.filter_map(|managed| {
        let instance = records.find::<Instance>(&call.scope, managed.instance_id.as_str())?;
        is_there(instance).then(|| (Arc::clone(instance), Arc::clone(managed)))
    });
    with_instance.collect()
}

fn shown(call: &Call, instance: &Instance, managed: &ManagedInstance) -> ssm::InstanceInformation {
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let agent = &managed.agent;
    ssm::InstanceInformation {
        instance_id: Some(managed.instance_id.to_string()),
        ping_status: Some(
            match is_online(call, instance, managed) {
                true => "Online",
                false => "ConnectionLost",
            }
            .into(),
        ),
        last_ping_date_time: Some(managed.last_ping),
        agent_version: said(&agent.version),
        is_latest_version: Some(true),
        platform_type: said(&agent.platform_type),
        platform_name: said(&agent.platform_name),
        platform_version: said(&agent.platform_version),
        registration_date: Some(managed.registered),
        resource_type: Some("EC2Instance".into()),
        ip_address: said(&agent.ip_address),
        computer_name: said(&agent.computer_name),
        source_id: Some(managed.instance_id.to_string()),
        source_type: Some("AWS::EC2::Instance".into()),
        ..Default::default()
    }
}

/// What an instance says under a filter's key.
type Values = Box<dyn Fn(&ssm::InstanceInformation, &Instance) -> Vec<String>>;

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ssm::DescribeInstanceInformationRequest,
) -> Answer<ssm::DescribeInstanceInformationResult> {
    let mut found: Vec<_> = all(call, records)
        .into_iter()
        .map(|(instance, managed)| (shown(call, &instance, &managed), instance))
        .collect();
    let lists = r.instance_information_filter_list.iter().map(|it| (&it.key, &it.value_set));
    let filters = r.filters.iter().map(|it| (&it.key, &it.values)).chain(lists);
    for (key, wanted) in filters {
        let key = text(key, "Key")?;
        let values: Values = match key {
            "InstanceIds" => Box::new(|it, _| it.instance_id.clone().into_iter().collect()),
            "AgentVersion" => Box::new(|it, _| it.agent_version.clone().into_iter().collect()),
            "PingStatus" => Box::new(|it, _| it.ping_status.clone().into_iter().collect()),
            "PlatformTypes" => Box::new(|it, _| it.platform_type.clone().into_iter().collect()),
            "ResourceType" => Box::new(|it, _| it.resource_type.clone().into_iter().collect()),
            "SourceIds" => Box::new(|it, _| it.source_id.clone().into_iter().collect()),
            "SourceTypes" => Box::new(|it, _| it.source_type.clone().into_iter().collect()),
            // None has any.
            "ActivationIds" | "IamRole" | "AssociationStatus" => Box::new(|_, _| Vec::new()),
            "tag-key" => {
                Box::new(|_, instance| instance.tags.keys().map(ToString::to_string).collect())
            }
            other => match other.strip_prefix("tag:") {
                Some(tag) => {
                    let tag = tag.to_owned();
                    Box::new(move |_, instance| {
                        instance.tags.get(tag.as_str()).into_iter().cloned().collect()
                    })
                }
                None => {
                    let message = format!("The filter key {other} is not valid.");
                    return Err(ApiError::new("InvalidInstanceInformationFilterValue", message));
                }
            },
        };
        found.retain(|(it, instance)| {
            values(it, instance).iter().any(|value| wanted.contains(value))
        });
    }
    let (found, next_token) =
        page(found, r.max_results.or(Some(PAGE)), &r.next_token, |(it, _)| {
            it.instance_id.as_deref()
        })?;
    let instance_information_list = found.into_iter().map(|(it, _)| it).collect();
    Ok(ssm::DescribeInstanceInformationResult { instance_information_list, next_token })
}

/// How long ago something was, for what is kept for a while.
pub(crate) fn is_older(time: Timestamp, now: Timestamp, days: i64) -> bool {
    now.0 - time.0 > days * 86_400_000
}
