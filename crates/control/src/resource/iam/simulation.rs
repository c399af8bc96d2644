//! What policies would let somebody do: IAM's policy simulator, which asks the same evaluator that
//! decides about requests.

use std::collections::{BTreeMap, BTreeSet};

use gureum_api::{ApiError, iam};
use gureum_store::Snapshot;
use gureum_types::{
    AccountId,
    record::{Group, Permissions, Role, User},
};

use super::{Entity, scope, with_name};
use crate::{
    call::{Answer, Call, given},
    iam::{
        condition::Context,
        evaluate::{Ask, Asker, Denial, Kind, Policies, Verdict},
        identity,
        simulation::Told,
    },
    page::page_behind,
};

/// How many results a page has when the request does not say.
const PAGE: i32 = 100;

/// What is simulated, whichever of the operations asks for it.
struct Trial<'a> {
    identity: Vec<Told>,
    boundary: Vec<Told>,
    has_boundary: bool,
    resource: Option<Told>,
    asker: Asker,
    /// Whether the resource is of another account than who asks.
    is_foreign: bool,
    context: Context,
    /// The keys that are known, in lower case.
    known: BTreeSet<String>,
    actions: &'a [String],
    resources: &'a [String],
}

fn read(id: String, kind: &'static str, text: &str) -> Answer<Told> {
    Told::new(id, kind, text).map_err(|malformed| ApiError::invalid_input(malformed.to_string()))
}

/// Policies as a request gives them.
fn inputs(texts: &[String], list: &str) -> Answer<Vec<Told>> {
    let numbered = texts.iter().enumerate();
    numbered.map(|(number, text)| read(format!("{list}.{}", number + 1), "none", text)).collect()
}

/// The keys of a request, and which there are.
fn context(entries: &[iam::ContextEntry]) -> Answer<(Context, BTreeSet<String>)> {
    let (mut context, mut known) = (Context::default(), BTreeSet::new());
    for entry in entries {
        let key = given(&entry.context_key_name)
            .ok_or_else(|| ApiError::invalid_input("A context entry has no ContextKeyName."))?;
        if entry.context_key_type.is_none() {
            let message = format!("The context key {key} has no ContextKeyType.");
            return Err(ApiError::invalid_input(message));
        }
        known.insert(key.to_ascii_lowercase());
        for value in &entry.context_key_values {
            context.add(key, value.clone());
        }
    }
    Ok((context, known))
}

/// Adds a key that the request did not give.
fn fill(context: &mut Context, known: &mut BTreeSet<String>, key: &str, value: &str) {
    if known.insert(key.to_ascii_lowercase()) {
        context.add(key, value);
    }
}

/// The account of an ARN.
fn account_of(arn: &str) -> Option<AccountId> {
    AccountId::parse(arn.split(':').nth(4)?)
}

/// Who asks, and what the resource's policy is. Such a policy needs somebody to speak of.
fn resource_side(
    call: &Call,
    policy: &Option<String>,
    owner: &Option<String>,
    caller: Option<&str>,
) -> Answer<(Option<Told>, Asker, bool)> {
    let told = given(policy).map(|text| read("ResourcePolicy".into(), "resource", text));
    let told = told.transpose()?;
    let Some(caller) = caller else {
        return match told {
            Some(_) => Err(ApiError::invalid_input(
                "CallerArn is required where a resource policy is simulated.",
            )),
            None => Ok((None, Asker::anonymous(), false)),
        };
    };
    let account = account_of(caller)
        .ok_or_else(|| ApiError::invalid_input(format!("Invalid caller ARN: {caller}")))?;
    let owner = match given(owner) {
        Some(owner) => account_of(owner).or_else(|| AccountId::parse(owner)),
        None => Some(call.account().clone()),
    };
    let owner = owner.ok_or_else(|| ApiError::invalid_input("Invalid resource owner."))?;
    let is_foreign = owner != account;
    Ok((told, Asker::named(account, caller), is_foreign))
}

pub(crate) fn custom(
    call: &Call,
    _: &Snapshot,
    r: &iam::SimulateCustomPolicyRequest,
) -> Answer<iam::SimulatePolicyResponse> {
    let (mut context, mut known) = context(&r.context_entries)?;
    let caller = given(&r.caller_arn);
    if let Some(caller) = caller {
        fill(&mut context, &mut known, "aws:PrincipalArn", caller);
    }
    let (resource, asker, is_foreign) =
        resource_side(call, &r.resource_policy, &r.resource_owner, caller)?;
    let boundary = &r.permissions_boundary_policy_input_list;
    let trial = Trial {
        identity: inputs(&r.policy_input_list, "PolicyInputList")?,
        has_boundary: !boundary.is_empty(),
        boundary: inputs(boundary, "PermissionsBoundaryPolicyInputList")?,
        resource,
        asker,
        is_foreign,
        context,
        known,
        actions: &r.action_names,
        resources: &r.resource_arns,
    };
    trial.page(r.max_items, &r.marker)
}

/// The policies of somebody, told apart.
struct Principal {
    arn: String,
    told: Vec<Told>,
    boundary: Option<String>,
    user_name: Option<String>,
}

fn add(
    call: &Call,
    records: &Snapshot,
    kind: &'static str,
    name: &str,
    permissions: &Permissions,
    told: &mut Vec<Told>,
) -> Answer<()> {
    for (policy, text) in &permissions.inline {
        told.push(read(format!("{kind}_{name}_{policy}"), kind, text)?);
    }
    for arn in &permissions.attached {
        let is_own = account_of(arn).is_some();
        let kind = if is_own { "user-managed" } else { "aws-managed" };
        if let Some(text) = identity::document(records, call.account(), arn) {
            let name = arn.rsplit('/').next().unwrap_or_default();
            told.push(read(name.to_owned(), kind, &text)?);
        }
    }
    Ok(())
}

/// The user, group or role of an ARN, with all its policies.
fn principal(call: &Call, records: &Snapshot, arn: &str) -> Answer<Principal> {
    let missing = || ApiError::no_such_entity(format!("The entity {arn} cannot be found."));
    let prefix = format!("arn:aws:iam::{}:", call.account());
    let Some(rest) = arn.strip_prefix(&prefix) else {
        return Err(match arn.starts_with("arn:aws:iam::") {
            true => missing(),
            false => ApiError::invalid_input(format!("Invalid Entity Arn: {arn}")),
        });
    };
    let name = rest.rsplit('/').next().unwrap_or_default();
    let mut found =
        Principal { arn: arn.to_owned(), told: Vec::new(), boundary: None, user_name: None };
    let told = &mut found.told;
    let account = call.account();
    match rest.split('/').next().unwrap_or_default() {
        "user" => {
            let user = with_name::<User>(call, records, name).ok_or_else(missing)?;
            if user.arn(account) != arn {
                return Err(missing());
            }
            add(call, records, "user", name, &user.permissions, told)?;
            for group in &user.groups {
                if let Some(group) = with_name::<Group>(call, records, group) {
                    add(call, records, "group", &group.name, &group.permissions, told)?;
                }
            }
            found.boundary = user.permissions_boundary.clone();
            found.user_name = Some(user.name.clone());
        }
        "group" => {
            let group = with_name::<Group>(call, records, name).ok_or_else(missing)?;
            if group.arn(account) != arn {
                return Err(missing());
            }
            add(call, records, "group", name, &group.permissions, told)?;
        }
        "role" => {
            let role = records.find::<Role>(&scope(call), &name.to_ascii_lowercase());
            let role = role.filter(|it| it.arn(account) == arn).ok_or_else(missing)?;
            add(call, records, "role", name, &role.permissions, told)?;
            found.boundary = role.permissions_boundary.clone();
        }
        _ => return Err(ApiError::invalid_input(format!("Invalid Entity Arn: {arn}"))),
    }
    Ok(found)
}

pub(crate) fn of_principal(
    call: &Call,
    records: &Snapshot,
    r: &iam::SimulatePrincipalPolicyRequest,
) -> Answer<iam::SimulatePolicyResponse> {
    let principal = principal(call, records, r.policy_source_arn.as_deref().unwrap_or_default())?;
    let mut identity = principal.told;
    identity.extend(inputs(&r.policy_input_list, "PolicyInputList")?);
    let given_boundary = &r.permissions_boundary_policy_input_list;
    let mut boundary = inputs(given_boundary, "PermissionsBoundaryPolicyInputList")?;
    let has_boundary = principal.boundary.is_some() || !boundary.is_empty();
    // One that is given takes the place of the principal's own.
    if let Some(arn) = principal.boundary.filter(|_| given_boundary.is_empty())
        && let Some(text) = identity::document(records, call.account(), &arn)
    {
        let name = arn.rsplit('/').next().unwrap_or_default();
        boundary.push(read(name.to_owned(), "user-managed", &text)?);
    }
    let (mut context, mut known) = context(&r.context_entries)?;
    let is_user = principal.user_name.is_some();
    let caller = given(&r.caller_arn).or(is_user.then_some(principal.arn.as_str()));
    fill(&mut context, &mut known, "aws:PrincipalArn", caller.unwrap_or(&principal.arn));
    if let Some(name) = &principal.user_name {
        fill(&mut context, &mut known, "aws:username", name);
    }
    let (resource, asker, is_foreign) =
        resource_side(call, &r.resource_policy, &r.resource_owner, caller)?;
    let trial = Trial {
        identity,
        boundary,
        has_boundary,
        resource,
        asker,
        is_foreign,
        context,
        known,
        actions: &r.action_names,
        resources: &r.resource_arns,
    };
    trial.page(r.max_items, &r.marker)
}

fn shown_statement(
    told: &Told,
    ((line, column), (end_line, end_column)): ((usize, usize), (usize, usize)),
) -> iam::Statement {
    let number = |it: usize| Some(i32::try_from(it).unwrap_or(i32::MAX));
    iam::Statement {
        source_policy_id: Some(told.id.clone()),
        source_policy_type: Some(told.kind.into()),
        start_position: Some(iam::Position { line: number(line), column: number(column) }),
        end_position: Some(iam::Position { line: number(end_line), column: number(end_column) }),
    }
}

impl Trial<'_> {
    fn all(&self) -> impl Iterator<Item = &Told> {
        self.identity.iter().chain(&self.boundary).chain(&self.resource)
    }

    fn decide(&self, ask: Ask<'_>) -> Result<(), Denial> {
        let policies = |told: &[Told]| told.iter().map(|it| it.policy.clone()).collect::<Vec<_>>();
        let said = self.resource.as_ref().map(|it| it.policy.verdict(ask, Some(&self.asker)));
        let by_resource = match said.unwrap_or(Verdict::Silent) {
            Verdict::Allowed if self.is_foreign => Verdict::AllowedToAccount,
            said => said,
        };
        let own = Policies { identity: policies(&self.identity), ..Policies::default() };
        let bounded = self.boundary(ask);
        match bounded {
            Some(Verdict::Denied) => Err(Denial { by: Kind::Boundary, explicit: true }),
            Some(Verdict::Silent) if by_resource != Verdict::Allowed => {
                // An explicit deny is told before what is only missing.
                own.decide(ask, &self.asker, by_resource)
                    .and(Err(Denial { by: Kind::Boundary, explicit: false }))
            }
            _ => own.decide(ask, &self.asker, by_resource),
        }
        .and_then(|()| match self.is_foreign && said == Some(Verdict::Silent) {
            true => Err(Denial { by: Kind::Resource, explicit: false }),
            false => Ok(()),
        })
    }

    /// What the boundaries say together, if there are any.
    fn boundary(&self, ask: Ask<'_>) -> Option<Verdict> {
        let said = self.boundary.iter().map(|it| it.policy.verdict(ask, None)).max();
        self.has_boundary.then(|| said.unwrap_or(Verdict::Silent))
    }

    fn result(&self, action: &str, resource: &str) -> iam::EvaluationResult {
        let ask = Ask { action, resource, context: &self.context };
        let decided = self.decide(ask);
        let (word, verdict) = match decided {
            Ok(()) => ("allowed", Verdict::Allowed),
            Err(Denial { explicit: true, .. }) => ("explicitDeny", Verdict::Denied),
            Err(_) => ("implicitDeny", Verdict::Silent),
        };
        let matched = |told: &Told, asker: Option<&Asker>| {
            let places = told.matched(ask, asker, verdict);
            places.into_iter().map(|place| shown_statement(told, place)).collect::<Vec<_>>()
        };
        let mut matched_statements = Vec::new();
        if verdict != Verdict::Silent {
            let own = self.identity.iter().chain(&self.boundary);
            matched_statements.extend(own.flat_map(|told| matched(told, None)));
            let of_resource = self.resource.iter();
            matched_statements.extend(of_resource.flat_map(|it| matched(it, Some(&self.asker))));
        }
        let mut missing = BTreeMap::new();
        for key in self.all().flat_map(Told::keys) {
            let lower = key.to_ascii_lowercase();
            if !self.known.contains(&lower) {
                missing.entry(lower).or_insert_with(|| key.to_owned());
            }
        }
        let bounded = self.boundary(ask).map(|it| iam::PermissionsBoundaryDecisionDetail {
            allowed_by_permissions_boundary: Some(it == Verdict::Allowed),
        });
        iam::EvaluationResult {
            eval_action_name: Some(action.to_owned()),
            eval_resource_name: Some(resource.to_owned()),
            eval_decision: Some(word.into()),
            matched_statements,
            missing_context_values: missing.into_values().collect(),
            permissions_boundary_decision_detail: bounded,
            ..Default::default()
        }
    }

    /// A page of the results: each action on each resource, in the order of the request.
    fn page(
        &self,
        max_items: Option<i32>,
        marker: &Option<String>,
    ) -> Answer<iam::SimulatePolicyResponse> {
        if let Some(action) = self.actions.iter().find(|it| it.split(':').count() != 2) {
            return Err(ApiError::invalid_input(format!("Invalid Action Name: {action}")));
        }
        let all = ["*".to_owned()];
        let resources = if self.resources.is_empty() { &all[..] } else { self.resources };
        if let Some(arn) = resources.iter().find(|it| *it != "*" && !it.starts_with("arn:")) {
            return Err(ApiError::invalid_input(format!("Invalid Resource Arn: {arn}")));
        }
        let pairs = self.actions.iter().flat_map(|action| {
            resources.iter().map(move |resource| (action.as_str(), resource.as_str()))
        });
        let numbered: Vec<_> =
            pairs.enumerate().map(|(number, pair)| (number.to_string(), pair)).collect();
        let size = usize::try_from(max_items.unwrap_or(PAGE)).unwrap_or(1).max(1);
        let (found, marker) = page_behind(numbered, size, marker, |(number, _)| number)
            .map_err(|_| ApiError::validation_error("Invalid Marker."))?;
        let results = found.iter().map(|(_, (action, resource))| self.result(action, resource));
        Ok(iam::SimulatePolicyResponse {
            evaluation_results: results.collect(),
            is_truncated: Some(marker.is_some()),
            marker,
        })
    }
}

pub(crate) fn keys_of_custom(
    _: &Call,
    _: &Snapshot,
    r: &iam::GetContextKeysForCustomPolicyRequest,
) -> Answer<iam::GetContextKeysForPolicyResponse> {
    let told = inputs(&r.policy_input_list, "PolicyInputList")?;
    Ok(keys(&told))
}

pub(crate) fn keys_of_principal(
    call: &Call,
    records: &Snapshot,
    r: &iam::GetContextKeysForPrincipalPolicyRequest,
) -> Answer<iam::GetContextKeysForPolicyResponse> {
    let arn = r.policy_source_arn.as_deref().unwrap_or_default();
    let mut told = principal(call, records, arn)?.told;
    told.extend(inputs(&r.policy_input_list, "PolicyInputList")?);
    Ok(keys(&told))
}

fn keys(told: &[Told]) -> iam::GetContextKeysForPolicyResponse {
    let all: BTreeSet<String> = told.iter().flat_map(Told::keys).map(str::to_owned).collect();
    iam::GetContextKeysForPolicyResponse { context_key_names: all.into_iter().collect() }
}
