//! Whether the role of a flow log may deliver (FL-7).

use std::sync::Arc;

use gureum_store::Snapshot;
use gureum_types::{
    Timestamp,
    record::{FlowLog, LogGroup, LogStream, Scope},
};

use crate::{
    call::Call,
    config::Config,
    iam::{
        authorize::{Source, authorize_each, role_of_arn, trusts_service_for},
        caller::{Caller, Principal},
        condition::Context,
        resource::{Target, log_arn},
    },
};

/// The service that the role has to trust.
const SERVICE: &str = "vpc-flow-logs.amazonaws.com";

/// The role does not allow it, or is none that could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// What the service is in the role of a flow log: who calls CloudWatch Logs.
fn assume(
    config: &Arc<Config>,
    records: &Snapshot,
    scope: &Scope,
    log: &FlowLog,
    now: Timestamp,
) -> Result<Call, Refused> {
    let arn = log.role.as_deref().ok_or(Refused)?;
    let (account, role) = role_of_arn(records, arn).ok_or(Refused)?;
    let mut context = Context::default();
    context.add("aws:SourceAccount", scope.account.as_str());
    let Scope { account: own, region } = scope;
    let log_arn = format!("arn:aws:ec2:{region}:{own}:vpc-flow-log/{}", log.id);
    context.add("aws:SourceArn", log_arn);
    if account != scope.account || !trusts_service_for(&role, SERVICE, &context) {
        return Err(Refused);
    }
    let principal = Principal::Role { role, session: log.id.to_string(), instance: None };
    let caller =
        Caller { account, access_key_id: String::new(), principal, session: None, chunks: None };
    Ok(Call { scope: scope.clone(), caller, now, endpoint: String::new(), config: config.clone() })
}

/// Whether a flow log may put events into streams of its group, and make what of them is not there
/// yet. The call that does it, by the role.
pub(crate) fn to_group(
    config: &Arc<Config>,
    records: &Snapshot,
    scope: &Scope,
    log: &FlowLog,
    group: &str,
    streams: &[String],
    now: Timestamp,
) -> Result<Call, Refused> {
    let call = assume(config, records, scope, log, now)?;
    let target = |stream: &str| Target::of(log_arn(&scope.region, &scope.account, group, stream));
    let mut asks = Vec::new();
    if records.find::<LogGroup>(scope, group).is_none() {
        asks.push(("logs:CreateLogGroup", target("")));
    }
    for stream in streams {
        if records.find::<LogStream>(scope, &format!("{group}:{stream}")).is_none() {
            asks.push(("logs:CreateLogStream", target(stream)));
        }
        asks.push(("logs:PutLogEvents", target(stream)));
    }
    let source = Source { is_secure: true, ..Source::default() };
    authorize_each(&call, records, &asks, &source).map_err(|error| {
        tracing::debug!(flow_log = %log.id, %error, "a flow log may not deliver");
        Refused
    })?;
    Ok(call)
}
