//! Resource policies of CloudWatch Logs: kept and shown.

use gureum_api::{ApiError, logs};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::LogResourcePolicy;

use crate::{
    call::{Answer, Call},
    page::page,
    resource::log_group,
};

/// How many an account may have in a region.
const LIMIT: usize = 10;

fn shown(policy: &LogResourcePolicy) -> logs::ResourcePolicy {
    logs::ResourcePolicy {
        policy_name: Some(policy.name.clone()),
        policy_document: Some(policy.document.clone()),
        last_updated_time: Some(policy.updated.0),
        policy_scope: Some("ACCOUNT".into()),
        ..Default::default()
    }
}

/// What the model lets out and the service does not.
fn named<'a>(value: &'a Option<String>, parameter: &str) -> Answer<&'a str> {
    value
        .as_deref()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::logs_invalid_parameter(format!("{parameter} must be specified.")))
}

pub(crate) fn put(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::PutResourcePolicyRequest,
) -> Answer<logs::PutResourcePolicyResponse> {
    let name = named(&r.policy_name, "policyName")?;
    let document = named(&r.policy_document, "policyDocument")?;
    if !document.trim_start().starts_with('{') {
        return Err(ApiError::logs_invalid_parameter("The policy document is not JSON."));
    }
    let is_new = tx.find::<LogResourcePolicy>(&call.scope, name).is_none();
    if is_new && tx.all::<LogResourcePolicy>(&call.scope).count() >= LIMIT {
        let message = "Resource limit exceeded.";
        return Err(ApiError::new("LimitExceededException", message));
    }
    let policy = LogResourcePolicy {
        name: name.to_owned(),
        document: document.to_owned(),
        updated: call.now,
    };
    let policy = tx.put(&call.scope, policy);
    Ok(logs::PutResourcePolicyResponse { resource_policy: Some(shown(&policy)), revision_id: None })
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &logs::DescribeResourcePoliciesRequest,
) -> Answer<logs::DescribeResourcePoliciesResponse> {
    let policies: Vec<_> = records.all::<LogResourcePolicy>(&call.scope).collect();
    let size = r.limit.unwrap_or(log_group::PAGE);
    let (policies, next_token) = page(policies, Some(size), &r.next_token, |it| Some(&it.name))
        .map_err(log_group::bad_token)?;
    let resource_policies = policies.into_iter().map(|it| shown(it)).collect();
    Ok(logs::DescribeResourcePoliciesResponse { resource_policies, next_token })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::DeleteResourcePolicyRequest,
) -> Answer<()> {
    let name = named(&r.policy_name, "policyName")?;
    tx.remove::<LogResourcePolicy>(&call.scope, name)
        .map(|_| ())
        .ok_or_else(|| ApiError::log_resource_policy_not_found(name))
}
