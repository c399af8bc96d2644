//! Placement groups: kept and shown. All instances are on one machine, whatever their group.

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    PlacementGroupId,
    record::{Instance, Placed, PlacementGroup},
};

use crate::{
    call::{Answer, Call, find, given, listed, text},
    filter::{Fields, select, some},
    tags,
};

/// Partitions of a group (a zone has no more).
const PARTITIONS_MAX: i32 = 7;

fn shown(call: &Call, group: &PlacementGroup) -> ec2::PlacementGroup {
    ec2::PlacementGroup {
        group_name: Some(group.name.clone()),
        state: Some("available".into()),
        strategy: Some(group.strategy.clone()),
        partition_count: group.partition_count.and_then(|count| i32::try_from(count).ok()),
        group_id: Some(group.id.to_string()),
        tags: tags::shown(&group.tags),
        group_arn: Some(call.arn("placement-group", &group.name)),
        spread_level: group.spread_level.clone(),
        ..Default::default()
    }
}

const FIELDS: &Fields<ec2::PlacementGroup> = &[
    ("group-arn", |it| some(&it.group_arn)),
    ("group-id", |it| some(&it.group_id)),
    ("group-name", |it| some(&it.group_name)),
    ("spread-level", |it| some(&it.spread_level)),
    ("state", |it| some(&it.state)),
    ("strategy", |it| some(&it.strategy)),
];

fn unknown(name: &str) -> ApiError {
    ApiError::new(
        "InvalidPlacementGroup.Unknown",
        format!("The Placement Group '{name}' is unknown."),
    )
}

fn named(call: &Call, records: &Snapshot, name: &str) -> Answer<Arc<PlacementGroup>> {
    let found = records.placement_group_named(&call.scope, name);
    found.cloned().ok_or_else(|| unknown(name))
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribePlacementGroupsRequest,
) -> Answer<ec2::DescribePlacementGroupsResult> {
    let mut found = match (r.group_ids.is_empty(), r.group_names.is_empty()) {
        (true, false) => Vec::new(),
        _ => listed::<PlacementGroup>(records, &call.scope, &r.group_ids)?,
    };
    for name in &r.group_names {
        found.push(named(call, records, name)?);
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let groups = found.iter().map(|group| shown(call, group)).collect();
    let placement_groups = select(groups, &r.filters, FIELDS, Some(|it| &it.tags))?;
    Ok(ec2::DescribePlacementGroupsResult { placement_groups })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreatePlacementGroupRequest,
) -> Answer<ec2::CreatePlacementGroupResult> {
    let name = text(&r.group_name, "GroupName")?;
    if name.chars().count() > 255 {
        let reason = "It may have at most 255 characters.";
        return Err(ApiError::invalid_value(name, "groupName", reason));
    }
    let strategy = given(&r.strategy).unwrap_or("cluster");
    if r.partition_count.is_some() && strategy != "partition" {
        return Err(ApiError::invalid_parameter_combination(format!(
            "The parameter partitionCount cannot be used with the strategy {strategy}."
        )));
    }
    if given(&r.spread_level).is_some() && strategy != "spread" {
        return Err(ApiError::invalid_parameter_combination(format!(
            "The parameter spreadLevel cannot be used with the strategy {strategy}."
        )));
    }
    if given(&r.spread_level) == Some("host") {
        return Err(ApiError::unsupported_operation(
            "The spread level host belongs to Outposts, which are not supported.",
        ));
    }
    let partition_count = match (strategy, r.partition_count) {
        ("partition", count) => {
            let count = count.unwrap_or(PARTITIONS_MAX);
            if !(1..=PARTITIONS_MAX).contains(&count) {
                let reason = format!("It must be between 1 and {PARTITIONS_MAX}.");
                return Err(ApiError::invalid_value(count, "partitionCount", &reason));
            }
            Some(count.unsigned_abs())
        }
        _ => None,
    };
    if tx.placement_group_named(&call.scope, name).is_some() {
        return Err(ApiError::new(
            "InvalidPlacementGroup.Duplicate",
            format!("The placement group '{name}' already exists."),
        ));
    }
    let group = PlacementGroup {
        id: PlacementGroupId::new(call.random()),
        name: name.to_owned(),
        strategy: strategy.to_owned(),
        partition_count,
        spread_level: (strategy == "spread").then(|| "rack".to_owned()),
        created: call.now,
        tags: tags::on_creation::<PlacementGroup>(&r.tag_specifications)?,
    };
    let group = tx.put(&call.scope, group);
    Ok(ec2::CreatePlacementGroupResult { placement_group: Some(shown(call, &group)) })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeletePlacementGroupRequest,
) -> Answer<()> {
    let group = named(call, tx, text(&r.group_name, "GroupName")?)?;
    if tx.referrers::<Instance>(group.id.as_str()).next().is_some() {
        return Err(ApiError::new(
            "InvalidPlacementGroup.InUse",
            format!("The placement group '{}' is in use and may not be deleted.", group.name),
        ));
    }
    tx.remove::<PlacementGroup>(&call.scope, group.id.as_str());
    Ok(())
}

/// The place that a request names, if it names one.
pub(crate) fn placed(
    call: &Call,
    records: &Snapshot,
    name: &Option<String>,
    id: &Option<String>,
    partition: Option<i32>,
) -> Answer<Option<Placed>> {
    let group = match (given(name), given(id)) {
        (Some(name), _) => named(call, records, name)?,
        (None, Some(id)) => find::<PlacementGroup>(records, &call.scope, id)?,
        (None, None) if partition.is_some() => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameter partitionNumber requires a placement group of partitions.",
            ));
        }
        (None, None) => return Ok(None),
    };
    let partition = match (partition, group.partition_count) {
        (None, None) => None,
        // AWS spreads instances over the partitions; one is as good as another here.
        (None, Some(_)) => Some(1),
        (Some(number), Some(count)) => {
            let number = u32::try_from(number).ok().filter(|it| (1..=count).contains(it));
            Some(number.ok_or_else(|| {
                ApiError::invalid_parameter_value(format!(
                    "The placement group '{}' has the partitions 1 to {count}.",
                    group.name
                ))
            })?)
        }
        (Some(_), None) => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameter partitionNumber requires a placement group of partitions.",
            ));
        }
    };
    let (group_id, group_name) = (group.id.clone(), group.name.clone());
    Ok(Some(Placed { group_id, group_name, partition }))
}
