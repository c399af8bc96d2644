//! Instance profiles on instances: an instance has the role that is in its profile at the time,
//! running or not (EC2-17, EC2-18).

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, IamInstanceProfileAssociationId,
    record::{
        IamInstanceProfileAssociation, Instance, InstanceProfile, InstanceState, Role, Scope,
    },
};

use crate::{
    call::{Answer, Call, find, given, text},
    filter::{Fields, select, some},
    page::page,
    resource::iam::{Entity as _, with_name},
};

/// The profile that a request means, by its name or its ARN; none where it says neither.
pub(crate) fn wanted(
    call: &Call,
    records: &Snapshot,
    wanted: &ec2::IamInstanceProfileSpecification,
) -> Answer<Option<Arc<InstanceProfile>>> {
    let of_name = |name: &str| with_name::<InstanceProfile>(call, records, name).cloned();
    let (value, parameter, what, found) = match (given(&wanted.name), given(&wanted.arn)) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameter 'iamInstanceProfile.name' may not be used in combination with \
                 'iamInstanceProfile.arn'",
            ));
        }
        (Some(name), None) => (name, "iamInstanceProfile.name", "name", of_name(name)),
        (None, Some(arn)) => {
            let found = arn.rsplit('/').next().and_then(of_name);
            let found = found.filter(|profile| profile.arn(call.account()) == arn);
            (arn, "iamInstanceProfile.arn", "ARN", found)
        }
        (None, None) => return Ok(None),
    };
    let reason = format!("Invalid IAM Instance Profile {what}");
    found.map(Some).ok_or_else(|| ApiError::invalid_value(value, parameter, &reason))
}

/// A new association with a profile.
pub(crate) fn association(call: &Call, profile: &InstanceProfile) -> IamInstanceProfileAssociation {
    IamInstanceProfileAssociation {
        id: IamInstanceProfileAssociationId::new(call.random()),
        arn: profile.arn(call.account()),
        profile_id: profile.id.clone(),
        associated: call.now,
    }
}

/// The profile that an instance has now; none once it was deleted.
pub(crate) fn profile<'a>(
    records: &'a Snapshot,
    instance: &Instance,
) -> Option<&'a Arc<InstanceProfile>> {
    let association = instance.iam_instance_profile.as_ref()?;
    records.referrers::<InstanceProfile>(&association.profile_id).next()
}

/// The role in a profile of an account.
pub(crate) fn role<'a>(
    records: &'a Snapshot,
    account: &AccountId,
    profile: &InstanceProfile,
) -> Option<&'a Arc<Role>> {
    let name = profile.role.as_ref()?.to_ascii_lowercase();
    records.find::<Role>(&Scope::global(account.clone()), &name)
}

/// A profile as instances show it.
pub(crate) fn shown_profile(
    association: &IamInstanceProfileAssociation,
) -> ec2::IamInstanceProfile {
    ec2::IamInstanceProfile {
        arn: Some(association.arn.clone()),
        id: Some(association.profile_id.clone()),
    }
}

fn shown(
    instance: &Instance,
    association: &IamInstanceProfileAssociation,
    state: &str,
) -> ec2::IamInstanceProfileAssociation {
    ec2::IamInstanceProfileAssociation {
        association_id: Some(association.id.to_string()),
        instance_id: Some(instance.id.to_string()),
        iam_instance_profile: Some(shown_profile(association)),
        state: Some(state.to_owned()),
        timestamp: None,
    }
}

fn required(
    call: &Call,
    records: &Snapshot,
    profile: Option<&ec2::IamInstanceProfileSpecification>,
) -> Answer<Arc<InstanceProfile>> {
    let found = match profile {
        Some(profile) => wanted(call, records, profile)?,
        None => None,
    };
    found.ok_or_else(|| ApiError::missing_parameter("IamInstanceProfile"))
}

pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateIamInstanceProfileRequest,
) -> Answer<ec2::AssociateIamInstanceProfileResult> {
    let instance = find::<Instance>(tx, &call.scope, text(&r.instance_id, "InstanceId")?)?;
    let profile = required(call, tx, r.iam_instance_profile.as_ref())?;
    if matches!(instance.state, InstanceState::ShuttingDown | InstanceState::Terminated) {
        let message = format!("The instance '{}' is not in a valid state.", instance.id);
        return Err(ApiError::incorrect_instance_state(message));
    }
    if instance.iam_instance_profile.is_some() {
        let message = format!("There is an existing association for instance {}", instance.id);
        return Err(ApiError::new("IncorrectState", message));
    }
    let association = association(call, &profile);
    let answer = shown(&instance, &association, "associating");
    tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| {
        it.iam_instance_profile = Some(association);
    });
    Ok(ec2::AssociateIamInstanceProfileResult { iam_instance_profile_association: Some(answer) })
}

/// The instance with an association, and that.
fn with_association(
    call: &Call,
    records: &Snapshot,
    id: &str,
) -> Answer<(Arc<Instance>, IamInstanceProfileAssociation)> {
    id.parse::<IamInstanceProfileAssociationId>()
        .map_err(|error| ApiError::malformed_id(Resource::Association, &error))?;
    let mut found = records.referrers_with_keys::<Instance>(id);
    let found = found.find(|(key, _)| key.scope.as_ref() == Some(&call.scope));
    found
        .and_then(|(_, instance)| Some((instance.clone(), instance.iam_instance_profile.clone()?)))
        .ok_or_else(|| ApiError::not_found(Resource::Association, id))
}

pub(crate) fn disassociate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisassociateIamInstanceProfileRequest,
) -> Answer<ec2::DisassociateIamInstanceProfileResult> {
    let id = text(&r.association_id, "AssociationId")?;
    let (instance, association) = with_association(call, tx, id)?;
    tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| it.iam_instance_profile = None);
    let answer = shown(&instance, &association, "disassociating");
    Ok(ec2::DisassociateIamInstanceProfileResult { iam_instance_profile_association: Some(answer) })
}

/// In one step, so that the instance is never without a role; the association is a new one.
pub(crate) fn replace(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReplaceIamInstanceProfileAssociationRequest,
) -> Answer<ec2::ReplaceIamInstanceProfileAssociationResult> {
    let id = text(&r.association_id, "AssociationId")?;
    let (instance, _) = with_association(call, tx, id)?;
    let profile = required(call, tx, r.iam_instance_profile.as_ref())?;
    let association = association(call, &profile);
    let answer = shown(&instance, &association, "associating");
    tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| {
        it.iam_instance_profile = Some(association);
    });
    Ok(ec2::ReplaceIamInstanceProfileAssociationResult {
        iam_instance_profile_association: Some(answer),
    })
}

const FIELDS: &Fields<ec2::IamInstanceProfileAssociation> =
    &[("instance-id", |it| some(&it.instance_id)), ("state", |it| some(&it.state))];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeIamInstanceProfileAssociationsRequest,
) -> Answer<ec2::DescribeIamInstanceProfileAssociationsResult> {
    let mut found = Vec::new();
    for id in &r.association_ids {
        let (instance, association) = with_association(call, records, id)?;
        found.push(shown(&instance, &association, "associated"));
    }
    if r.association_ids.is_empty() {
        for instance in records.all::<Instance>(&call.scope) {
            let association = instance.iam_instance_profile.as_ref();
            found.extend(association.map(|it| shown(instance, it, "associated")));
        }
    }
    found.sort_by(|a, b| a.association_id.cmp(&b.association_id));
    found.dedup_by(|a, b| a.association_id == b.association_id);
    let found = select(found, &r.filters, FIELDS, None)?;
    let (iam_instance_profile_associations, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.association_id.as_deref())?;
    Ok(ec2::DescribeIamInstanceProfileAssociationsResult {
        iam_instance_profile_associations,
        next_token,
    })
}
