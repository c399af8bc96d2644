//! Whether a caller may do what a request asks.
//!
//! A request is one or more *asks*: an action on each resource that it is about. Beside the action
//! that has the operation's name these are `ec2:CreateTags` for tags on creation, `iam:PassRole`
//! for a role that is handed to a service and `sts:TagSession` for tags of a session. All must be
//! granted. Resources are told in [`super::resource`].

use std::{net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_api::{ApiError, ApiRequest, Operation, Protocol, Service};
use gureum_store::Snapshot;
use gureum_types::{
    AccountId, Region, Timestamp, VpcId,
    record::{InstanceProfile, Role, Scope},
};
use serde_json::json;

use super::{
    condition::Context,
    evaluate::{Ask, Asker, Denial, Kind, Policies, Verdict},
    identity,
    policy::{self, Policy},
    resource::{self, Leaf, Target, tags_below},
};
use crate::call::{Answer, Call};

/// Where a request comes from, as far as policies may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The address of who sent it.
    pub address: Option<IpAddr>,
    /// Whether it came over TLS.
    pub is_secure: bool,
    /// The endpoint of a VPC that it came through.
    pub endpoint: Option<SourceEndpoint>,
}

impl Source {
    /// The policy of the endpoint that the request came through.
    pub(super) fn endpoint_policy(&self) -> Answer<Option<Arc<Policy>>> {
        let text = self.endpoint.as_ref().and_then(|endpoint| endpoint.policy.as_deref());
        let policy = text.map(policy::parse).transpose().map_err(ApiError::internal_error)?;
        Ok(policy.map(Arc::new))
    }

    /// Adds what policies may ask of a request's way, time and region.
    pub(super) fn describe(&self, context: &mut Context, region: &Region, now: Timestamp) {
        context.add("aws:CurrentTime", now.to_string());
        context.add("aws:EpochTime", now.seconds().to_string());
        context.add("aws:SecureTransport", self.is_secure.to_string());
        context.add("aws:RequestedRegion", region.to_string());
        // Through an endpoint a caller has no public address, and the other way round.
        match (&self.endpoint, self.address) {
            (Some(endpoint), address) => {
                context.add("aws:SourceVpc", endpoint.vpc.as_str());
                context.add("aws:SourceVpce", endpoint.id.clone());
                if let Some(address) = address {
                    context.add("aws:VpcSourceIp", address.to_canonical().to_string());
                }
            }
            (None, Some(address)) => {
                context.add("aws:SourceIp", address.to_canonical().to_string());
            }
            (None, None) => {}
        }
    }
}

/// A VPC endpoint that a request comes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEndpoint {
    /// Its VPC.
    pub vpc: VpcId,
    /// Its id.
    pub id: String,
    /// Its policy; everything may pass without one (VPCE-13).
    pub policy: Option<String>,
}

/// One action and what it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    action: String,
    targets: Vec<Target>,
}

/// Refuses what the caller's policies do not grant (API-3).
pub(crate) fn authorize(
    call: &Call,
    records: &Snapshot,
    request: &ApiRequest,
    source: &Source,
) -> Answer<()> {
    let mut policies = identity::policies(records, &call.caller)?;
    policies.endpoint = source.endpoint_policy()?;
    let assumes = request.operation == Operation::Sts(gureum_api::sts::Operation::AssumeRole);
    // Of the root user nothing is asked, and they are nearly everybody. A role they may assume only
    // as its trust policy says.
    let is_free = policies.is_root && policies.session.is_empty() && !assumes;
    if policies.endpoint.is_none() && (is_free || needs_no_leave(request.operation)) {
        return Ok(());
    }
    let judge = Judge { call, policies, asker: Asker::of(&call.caller), source };
    let leaves = request.leaves();
    for asked in asks(call, records, request.operation, &leaves) {
        for target in &asked.targets {
            if assumes {
                judge.assume(records, &asked.action, target)?;
            } else if let Err(denial) = judge.decide(&asked.action, target, Verdict::Silent) {
                return Err(judge.refusal(request.protocol(), &asked.action, target, denial));
            }
        }
    }
    Ok(())
}

/// Refuses an action that is no operation of a service here, or that nobody asks for yet.
pub(crate) fn authorize_action(
    call: &Call,
    records: &Snapshot,
    action: &str,
    target: &Target,
    source: &Source,
) -> Answer<()> {
    authorize_each(call, records, &[(action, target.clone())], source)
}

/// What everybody with credentials may ask, whatever their policies say.
fn needs_no_leave(operation: Operation) -> bool {
    let names = ["GetCallerIdentity", "GetSessionToken"];
    operation.service() == Service::Sts && names.contains(&operation.name())
}

/// The role that an ARN names, with its account.
pub(crate) fn role_of_arn(records: &Snapshot, arn: &str) -> Option<(AccountId, Arc<Role>)> {
    let rest = arn.strip_prefix("arn:aws:iam::")?;
    let (account, path) = rest.split_once(":role/")?;
    let account = AccountId::parse(account)?;
    let name = path.rsplit('/').next()?.to_ascii_lowercase();
    let role = records.find::<Role>(&Scope::global(account.clone()), &name)?;
    (super::caller::arn(&account, "role", &role.path, &role.name) == arn)
        .then(|| (account, role.clone()))
}

/// Refuses what a caller may not do of several actions.
pub(crate) fn authorize_each(
    call: &Call,
    records: &Snapshot,
    asks: &[(&str, Target)],
    source: &Source,
) -> Answer<()> {
    let mut policies = identity::policies(records, &call.caller)?;
    policies.endpoint = source.endpoint_policy()?;
    let judge = Judge { call, policies, asker: Asker::of(&call.caller), source };
    asks.iter().try_for_each(|(action, target)| {
        let decided = judge.decide(action, target, Verdict::Silent);
        decided.map_err(|denial| judge.refusal(Protocol::AwsJson11, action, target, denial))
    })
}

/// Whether a service may assume a role by itself.
pub(crate) fn trusts_service(role: &Role, service: &str) -> bool {
    trusts_service_for(role, service, &Context::default())
}

/// As [`trusts_service`], where something is known of what it assumes it for.
pub(crate) fn trusts_service_for(role: &Role, service: &str, context: &Context) -> bool {
    let ask = Ask { action: "sts:AssumeRole", resource: "*", context };
    policy::parse(&role.assume_role_policy)
        .is_ok_and(|policy| policy.verdict(ask, Some(&Asker::service(service))) == Verdict::Allowed)
}

struct Judge<'a> {
    call: &'a Call,
    policies: Policies,
    asker: Asker,
    source: &'a Source,
}

impl Judge<'_> {
    fn decide(&self, action: &str, target: &Target, by_resource: Verdict) -> Result<(), Denial> {
        let context = self.context(target);
        let ask = Ask { action, resource: &target.arn, context: &context };
        self.policies.decide(ask, &self.asker, by_resource)
    }

    /// Whether a role may be assumed: its trust policy must say so, and the caller's own policies
    /// unless it names just them and is of their account. That a role is not there is not told.
    fn assume(&self, records: &Snapshot, action: &str, target: &Target) -> Answer<()> {
        let context = self.context(target);
        let ask = Ask { action, resource: &target.arn, context: &context };
        let (mut trust, mut is_own) = (Verdict::Silent, false);
        if let Some((account, role)) = role_of_arn(records, &target.arn) {
            let policy = policy::parse(&role.assume_role_policy);
            trust = policy.map_err(ApiError::internal_error)?.verdict(ask, Some(&self.asker));
            is_own = account == self.call.caller.account;
        }
        let by_resource = match trust {
            Verdict::Allowed if !is_own => Verdict::AllowedToAccount,
            trust => trust,
        };
        let decided = self.policies.decide(ask, &self.asker, by_resource);
        decided.map_err(|denial| self.refusal(Protocol::AwsQuery, action, target, denial))?;
        if trust == Verdict::Silent {
            let denial = Denial { by: Kind::Resource, explicit: false };
            return Err(self.refusal(Protocol::AwsQuery, action, target, denial));
        }
        Ok(())
    }

    /// All that is known of a request about one resource.
    fn context(&self, target: &Target) -> Context {
        let (call, source) = (self.call, self.source);
        let mut context = Context::default();
        resource::add_caller(&mut context, &call.caller);
        source.describe(&mut context, call.region(), call.now);
        context.add("ec2:Region", call.region().to_string());
        context
            .add("aws:ResourceAccount", account_of(&target.arn).unwrap_or(call.account().as_str()));
        for (key, value) in &target.keys {
            context.add(key, value.clone());
        }
        context
    }

    fn refusal(
        &self,
        protocol: Protocol,
        action: &str,
        target: &Target,
        denial: Denial,
    ) -> ApiError {
        let arn = self.call.caller.arn();
        let on = match target.arn.as_str() {
            "*" => String::new(),
            resource => format!(" on resource: {resource}"),
        };
        let sentence = format!(
            "User: {arn} is not authorized to perform: {action}{on} {}",
            denial.reason(action)
        );
        ApiError::access_denied(protocol, &sentence, &encoded(self, action, target, denial))
    }
}

fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}

/// What DecodeAuthorizationMessage reads.
fn encoded(judge: &Judge<'_>, action: &str, target: &Target, denial: Denial) -> String {
    let caller = &judge.call.caller;
    let message = json!({
        "allowed": false,
        "explicitDeny": denial.explicit,
        "matchedStatements": { "items": [] },
        "failures": { "items": [] },
        "context": {
            "principal": { "id": caller.user_id(), "arn": caller.arn() },
            "action": action,
            "resource": target.arn,
            "conditions": { "items": [] },
        },
    });
    STANDARD.encode(message.to_string())
}

/// The other way round; none for what is no such message.
pub(crate) fn decoded(message: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(message).ok()?).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    (value.get("explicitDeny")?.is_boolean() && value.get("context")?.is_object()).then_some(text)
}

/// All that a request asks for.
fn asks(call: &Call, records: &Snapshot, operation: Operation, leaves: &[Leaf<'_>]) -> Vec<Asked> {
    let (service, name) = (operation.service(), operation.name());
    let action = format!("{}:{name}", service.info().signing_name);
    let text = |wanted: &str| {
        leaves.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_ref())
    };
    let mut targets = match service {
        Service::Ec2 => resource::of_ec2(call, records, name, leaves),
        Service::Ec2InstanceConnect => {
            let instance = resource::instance(call, records, text("InstanceId").unwrap_or("*"));
            vec![instance.key("ec2:osuser", text("InstanceOSUser").unwrap_or_default())]
        }
        Service::Iam => resource::of_iam(call, records, name, leaves),
        Service::Ssm => resource::of_ssm(call, records, name, leaves),
        Service::Logs => resource::of_logs(call, name, leaves),
        Service::Sts => vec![match text("RoleArn") {
            Some(arn) => Target::of(arn),
            None => Target::none(),
        }],
    };
    let mut found = Vec::new();
    match (service, name) {
        (Service::Ec2, "CreateTags" | "DeleteTags") => {
            for target in &mut targets {
                add_request_tags(target, &tags_below(leaves, "Tag."));
            }
        }
        (Service::Ec2, _) => found.extend(tagging(call, name, leaves)),
        (Service::Sts, _) => {
            let tags = tags_below(leaves, "Tags.member.");
            for target in &mut targets {
                for (parameter, key) in
                    [("ExternalId", "sts:ExternalId"), ("RoleSessionName", "sts:RoleSessionName")]
                {
                    if let Some(value) = text(parameter) {
                        target.keys.push((key.to_owned(), value.to_owned()));
                    }
                }
                add_request_tags(target, &tags);
            }
            if !tags.is_empty() {
                found.push(Asked { action: "sts:TagSession".into(), targets: targets.clone() });
            }
        }
        _ => {}
    }
    found.extend(passed_role(call, records, operation, &text));
    found.insert(0, Asked { action, targets });
    found
}

fn add_request_tags(target: &mut Target, tags: &[(&str, &str)]) {
    for (key, value) in tags {
        target.keys.push((format!("aws:RequestTag/{key}"), (*value).to_owned()));
        target.keys.push(("aws:TagKeys".to_owned(), (*key).to_owned()));
    }
}

/// Tags on creation need leave of their own.
fn tagging(call: &Call, operation: &str, leaves: &[Leaf<'_>]) -> Option<Asked> {
    let mut targets = Vec::new();
    for (name, kind) in leaves {
        if name.starts_with("TagSpecification.") && name.ends_with(".ResourceType") {
            let mut target = Target::of(call.arn(kind, "*"));
            add_request_tags(&mut target, &resource::tags_on_creation(leaves, kind));
            target.keys.push(("ec2:CreateAction".to_owned(), operation.to_owned()));
            targets.push(target);
        }
    }
    (!targets.is_empty()).then(|| Asked { action: "ec2:CreateTags".to_owned(), targets })
}

/// A role that a service shall act with.
fn passed_role<'a>(
    call: &Call,
    records: &Snapshot,
    operation: Operation,
    text: &dyn Fn(&str) -> Option<&'a str>,
) -> Option<Asked> {
    let (mut target, service) = match (operation.service(), operation.name()) {
        (
            Service::Ec2,
            "RunInstances" | "AssociateIamInstanceProfile" | "ReplaceIamInstanceProfileAssociation",
        ) => {
            let arn = text("IamInstanceProfile.Arn");
            let name = text("IamInstanceProfile.Name").or_else(|| arn?.rsplit('/').next())?;
            let scope = Scope::global(call.account().clone());
            let profile = records.find::<InstanceProfile>(&scope, &name.to_ascii_lowercase())?;
            let target = resource::role(records, call.account(), profile.role.as_deref()?)?;
            (target, "ec2.amazonaws.com")
        }
        (Service::Ec2, "CreateFlowLogs") => {
            let arn = text("DeliverLogsPermissionArn")?;
            (Target::of(arn), "vpc-flow-logs.amazonaws.com")
        }
        (Service::Iam, "AddRoleToInstanceProfile") => {
            (resource::role(records, call.account(), text("RoleName")?)?, "ec2.amazonaws.com")
        }
        _ => return None,
    };
    target.keys.push(("iam:PassedToService".to_owned(), service.to_owned()));
    Some(Asked { action: "iam:PassRole".to_owned(), targets: vec![target] })
}
