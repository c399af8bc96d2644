//! VPC Block Public Access (IGW-15): what an account lets through internet gateways in a region,
//! and the exceptions.

use std::{collections::HashMap, sync::Arc};

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    PublicAccessExclusionId,
    record::{
        BlockMode, BlockPublicAccess, Excluded, ExclusionMode, PublicAccessExclusion,
        RestrictedSubnet, Scope, Subnet, Vpc,
    },
};

use crate::{
    call::{Answer, Call, alive, find, given, listed, text},
    filter::{Fields, select, some},
    page::page,
    tags,
};

/// The key of the one record that there is in a region.
const KEY: &str = "block-public-access";

fn shown(call: &Call, records: &Snapshot, state: &str) -> ec2::VpcBlockPublicAccessOptions {
    let setting = records.find::<BlockPublicAccess>(&call.scope, KEY);
    let mode = setting.map(|it| it.mode).unwrap_or_default();
    ec2::VpcBlockPublicAccessOptions {
        aws_account_id: Some(call.account().to_string()),
        aws_region: Some(call.region().to_string()),
        state: Some(if setting.is_some() { state } else { "default-state" }.into()),
        internet_gateway_block_mode: Some(mode.name().into()),
        last_update_timestamp: setting.map(|it| it.updated),
        managed_by: Some("account".into()),
        exclusions_allowed: Some("allowed".into()),
        ..Default::default()
    }
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    _: &ec2::DescribeVpcBlockPublicAccessOptionsRequest,
) -> Answer<ec2::DescribeVpcBlockPublicAccessOptionsResult> {
    let options = Some(shown(call, records, "update-complete"));
    Ok(ec2::DescribeVpcBlockPublicAccessOptionsResult { vpc_block_public_access_options: options })
}

pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcBlockPublicAccessOptionsRequest,
) -> Answer<ec2::ModifyVpcBlockPublicAccessOptionsResult> {
    let wanted = text(&r.internet_gateway_block_mode, "InternetGatewayBlockMode")?;
    let modes = [BlockMode::Off, BlockMode::BlockBidirectional, BlockMode::BlockIngress];
    let mode = modes.into_iter().find(|mode| mode.name() == wanted);
    let mode = mode.ok_or_else(|| {
        let reason = "Supported values are off, block-bidirectional and block-ingress.";
        ApiError::invalid_value(wanted, "internetGatewayBlockMode", reason)
    })?;
    tx.put(&call.scope, BlockPublicAccess { mode, updated: call.now });
    let options = Some(shown(call, tx, "update-in-progress"));
    Ok(ec2::ModifyVpcBlockPublicAccessOptionsResult { vpc_block_public_access_options: options })
}

fn shown_exclusion(
    call: &Call,
    exclusion: &PublicAccessExclusion,
    state: Option<&str>,
) -> ec2::VpcBlockPublicAccessExclusion {
    let settled = if exclusion.deleted.is_some() {
        "delete-complete"
    } else if exclusion.updated != exclusion.created {
        "update-complete"
    } else {
        "create-complete"
    };
    let arn = match &exclusion.excluded {
        Excluded::Vpc(id) => call.arn("vpc", id),
        Excluded::Subnet(id) => call.arn("subnet", id),
    };
    ec2::VpcBlockPublicAccessExclusion {
        exclusion_id: Some(exclusion.id.to_string()),
        internet_gateway_exclusion_mode: Some(exclusion.mode.name().into()),
        resource_arn: Some(arn),
        state: Some(state.unwrap_or(settled).into()),
        creation_timestamp: Some(exclusion.created),
        last_update_timestamp: Some(exclusion.updated),
        deletion_timestamp: exclusion.deleted,
        tags: tags::shown(&exclusion.tags),
        ..Default::default()
    }
}

const FIELDS: &Fields<ec2::VpcBlockPublicAccessExclusion> = &[
    ("exclusion-id", |it| some(&it.exclusion_id)),
    ("internet-gateway-exclusion-mode", |it| some(&it.internet_gateway_exclusion_mode)),
    ("resource-arn", |it| some(&it.resource_arn)),
    ("state", |it| some(&it.state)),
];

pub(crate) fn describe_exclusions(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcBlockPublicAccessExclusionsRequest,
) -> Answer<ec2::DescribeVpcBlockPublicAccessExclusionsResult> {
    let found = listed::<PublicAccessExclusion>(records, &call.scope, &r.exclusion_ids)?;
    let exclusions = found.iter().map(|it| shown_exclusion(call, it, None)).collect();
    let exclusions = select(exclusions, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (vpc_block_public_access_exclusions, next_token) =
        page(exclusions, r.max_results, &r.next_token, |it| it.exclusion_id.as_deref())?;
    Ok(ec2::DescribeVpcBlockPublicAccessExclusionsResult {
        vpc_block_public_access_exclusions,
        next_token,
    })
}

fn mode(wanted: &Option<String>) -> Answer<ExclusionMode> {
    let wanted = text(wanted, "InternetGatewayExclusionMode")?;
    let modes = [ExclusionMode::AllowBidirectional, ExclusionMode::AllowEgress];
    modes.into_iter().find(|mode| mode.name() == wanted).ok_or_else(|| {
        let reason = "Supported values are allow-bidirectional and allow-egress.";
        ApiError::invalid_value(wanted, "internetGatewayExclusionMode", reason)
    })
}

/// The exclusion of a VPC or subnet.
fn of<'a>(records: &'a Snapshot, id: &str) -> Option<&'a Arc<PublicAccessExclusion>> {
    records.referrers::<PublicAccessExclusion>(id).next()
}

pub(crate) fn create_exclusion(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcBlockPublicAccessExclusionRequest,
) -> Answer<ec2::CreateVpcBlockPublicAccessExclusionResult> {
    let mode = mode(&r.internet_gateway_exclusion_mode)?;
    let (excluded, id) = match (given(&r.vpc_id), given(&r.subnet_id)) {
        (Some(id), None) => (Excluded::Vpc(find::<Vpc>(tx, &call.scope, id)?.id.clone()), id),
        (None, Some(id)) => (Excluded::Subnet(find::<Subnet>(tx, &call.scope, id)?.id.clone()), id),
        (None, None) => return Err(ApiError::missing_parameter("VpcId")),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "The request must contain exactly one of vpcId and subnetId.",
            ));
        }
    };
    if let Some(known) = of(tx, id) {
        return Err(ApiError::invalid_parameter_value(format!(
            "The exclusion {} exists for {id} already.",
            known.id
        )));
    }
    let exclusion = PublicAccessExclusion {
        id: PublicAccessExclusionId::new(call.random()),
        excluded,
        mode,
        created: call.now,
        updated: call.now,
        deleted: None,
        tags: tags::on_creation::<PublicAccessExclusion>(&r.tag_specifications)?,
    };
    let exclusion = tx.put(&call.scope, exclusion);
    let shown = shown_exclusion(call, &exclusion, Some("create-in-progress"));
    Ok(ec2::CreateVpcBlockPublicAccessExclusionResult {
        vpc_block_public_access_exclusion: Some(shown),
    })
}

pub(crate) fn modify_exclusion(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcBlockPublicAccessExclusionRequest,
) -> Answer<ec2::ModifyVpcBlockPublicAccessExclusionResult> {
    let found = alive::<PublicAccessExclusion>(tx, &call.scope, &r.exclusion_id, "ExclusionId")?;
    let mode = mode(&r.internet_gateway_exclusion_mode)?;
    let exclusion = PublicAccessExclusion { mode, updated: call.now, ..(*found).clone() };
    let exclusion = tx.put(&call.scope, exclusion);
    let shown = shown_exclusion(call, &exclusion, Some("update-in-progress"));
    Ok(ec2::ModifyVpcBlockPublicAccessExclusionResult {
        vpc_block_public_access_exclusion: Some(shown),
    })
}

pub(crate) fn delete_exclusion(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVpcBlockPublicAccessExclusionRequest,
) -> Answer<ec2::DeleteVpcBlockPublicAccessExclusionResult> {
    let found = alive::<PublicAccessExclusion>(tx, &call.scope, &r.exclusion_id, "ExclusionId")?;
    let exclusion = PublicAccessExclusion { deleted: Some(call.now), ..(*found).clone() };
    let exclusion = tx.put(&call.scope, exclusion);
    let shown = shown_exclusion(call, &exclusion, Some("delete-in-progress"));
    Ok(ec2::DeleteVpcBlockPublicAccessExclusionResult {
        vpc_block_public_access_exclusion: Some(shown),
    })
}

/// Ends the exclusion of a VPC or subnet that goes.
pub(crate) fn leave(call: &Call, tx: &mut Transaction, id: &str) {
    let known = of(tx, id).map(|exclusion| exclusion.id.clone());
    if let Some(known) = known {
        tx.update::<PublicAccessExclusion>(&call.scope, known.as_str(), |it| {
            it.deleted = Some(call.now);
        });
    }
}

/// The subnets that not everything reaches through internet gateways. The exclusion of a subnet
/// comes before that of its VPC.
pub(crate) fn restricted(records: &Snapshot) -> Vec<Arc<RestrictedSubnet>> {
    let modes: HashMap<&Scope, BlockMode> = records
        .everywhere::<BlockPublicAccess>()
        .filter(|(_, it)| it.mode != BlockMode::Off)
        .filter_map(|(key, it)| Some((key.scope.as_ref()?, it.mode)))
        .collect();
    if modes.is_empty() {
        return Vec::new();
    }
    let subnets = records.everywhere::<Subnet>();
    let restricted = subnets.filter_map(|(key, subnet)| {
        let mode = *modes.get(key.scope.as_ref()?)?;
        let exclusion =
            of(records, subnet.id.as_str()).or_else(|| of(records, subnet.vpc_id.as_str()));
        let egress_allowed = match (mode, exclusion.map(|it| it.mode)) {
            (_, Some(ExclusionMode::AllowBidirectional)) => return None,
            (BlockMode::BlockIngress, _) | (_, Some(ExclusionMode::AllowEgress)) => true,
            (BlockMode::BlockBidirectional | BlockMode::Off, None) => false,
        };
        Some(Arc::new(RestrictedSubnet { subnet_id: subnet.id.clone(), egress_allowed }))
    });
    restricted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::place::fixture::Cloud;

    /// What the engine is told follows from the mode, the exclusions and the subnets.
    #[test]
    fn an_exclusion_of_a_subnet_comes_before_that_of_its_vpc_igw_15() {
        let cloud = Cloud::new();
        let vpc = cloud.vpc();
        let subnet = cloud.subnet(&vpc, 1);
        let egress = || restricted(&cloud.records()).first().map(|it| it.egress_allowed);
        let set = |mode: &str| {
            let r = ec2::ModifyVpcBlockPublicAccessOptionsRequest {
                internet_gateway_block_mode: Some(mode.into()),
                ..Default::default()
            };
            cloud.change(|call, tx| modify(call, tx, &r)).expect("a mode");
        };
        let exclude = |vpc_id: Option<String>, subnet_id: Option<String>, mode: &str| {
            let r = ec2::CreateVpcBlockPublicAccessExclusionRequest {
                vpc_id,
                subnet_id,
                internet_gateway_exclusion_mode: Some(mode.into()),
                ..Default::default()
            };
            let made = cloud.change(|call, tx| create_exclusion(call, tx, &r)).expect("made");
            made.vpc_block_public_access_exclusion.and_then(|it| it.exclusion_id)
        };
        let delete = |exclusion_id: Option<String>| {
            let r = ec2::DeleteVpcBlockPublicAccessExclusionRequest {
                exclusion_id,
                ..Default::default()
            };
            cloud.change(|call, tx| delete_exclusion(call, tx, &r)).expect("deleted");
        };
        assert_eq!(egress(), None);
        set("block-bidirectional");
        assert_eq!(egress(), Some(false));
        let of_vpc = exclude(Some(vpc.id.to_string()), None, "allow-bidirectional");
        assert_eq!(egress(), None);
        let of_subnet = exclude(None, Some(subnet.id.to_string()), "allow-egress");
        assert_eq!(egress(), Some(true));
        set("block-ingress");
        assert_eq!(egress(), Some(true));
        delete(of_subnet);
        assert_eq!(egress(), None);
        delete(of_vpc);
        assert_eq!(egress(), Some(true));
        set("off");
        assert_eq!(egress(), None);
    }
}
