//! Changes of volumes, as records: a volume's size and speed bound nothing but the root file
//! system that an instance boots with first.

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{Volume, VolumeModification};

use crate::{
    call::{Answer, Call, given, listed, required, text},
    filter::{Fields, select, some},
    page::page,
    resource::volume::{self, Speed},
};

/// How long AWS wants to wait between two changes of a volume.
const BETWEEN_CHANGES_MS: i64 = 6 * 3600 * 1000;

fn shown(volume: &Volume, before: &VolumeModification, state: &str) -> ec2::VolumeModification {
    let done = state == "completed";
    ec2::VolumeModification {
        volume_id: Some(volume.id.to_string()),
        modification_state: Some(state.to_owned()),
        target_size: Some(volume::number(volume.size)),
        target_iops: volume.iops.map(volume::number),
        target_volume_type: Some(volume.volume_type.clone()),
        target_throughput: volume.throughput.map(volume::number),
        target_multi_attach_enabled: Some(false),
        original_size: Some(volume::number(before.size)),
        original_iops: before.iops.map(volume::number),
        original_volume_type: Some(before.volume_type.clone()),
        original_throughput: before.throughput.map(volume::number),
        original_multi_attach_enabled: Some(false),
        progress: Some(if done { 100 } else { 0 }),
        start_time: Some(before.at),
        end_time: done.then_some(before.at),
        ..Default::default()
    }
}

macro_rules! numbers {
    ($field:ident) => {
        |it| it.$field.iter().map(ToString::to_string).collect()
    };
}

const FIELDS: &Fields<ec2::VolumeModification> = &[
    ("modification-state", |it| some(&it.modification_state)),
    ("original-iops", numbers!(original_iops)),
    ("original-size", numbers!(original_size)),
    ("original-volume-type", |it| some(&it.original_volume_type)),
    ("start-time", numbers!(start_time)),
    ("target-iops", numbers!(target_iops)),
    ("target-size", numbers!(target_size)),
    ("target-volume-type", |it| some(&it.target_volume_type)),
    ("volume-id", |it| some(&it.volume_id)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVolumesModificationsRequest,
) -> Answer<ec2::DescribeVolumesModificationsResult> {
    let found = listed::<Volume>(records, &call.scope, &r.volume_ids)?;
    let modifications = found.iter().filter_map(|volume| {
        let before = volume.modification.as_ref()?;
        Some(shown(volume, before, "completed"))
    });
    let modifications: Vec<_> = modifications.collect();
    let asked_for = r.volume_ids.first().filter(|_| modifications.is_empty());
    if let Some(id) = asked_for {
        return Err(ApiError::new(
            "InvalidVolumeModification.NotFound",
            format!("Modification for volume '{id}' does not exist."),
        ));
    }
    let modifications = select(modifications, &r.filters, FIELDS, None)?;
    let (volumes_modifications, next_token) =
        page(modifications, r.max_results, &r.next_token, |it| it.volume_id.as_deref())?;
    Ok(ec2::DescribeVolumesModificationsResult { next_token, volumes_modifications })
}

pub(crate) fn modify(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVolumeRequest,
) -> Answer<ec2::ModifyVolumeResult> {
    let present = required::<Volume>(tx, &call.scope, &r.volume_id, "VolumeId")?;
    let recent = present
        .modification
        .as_ref()
        .is_some_and(|it| call.now.0.saturating_sub(it.at.0) < BETWEEN_CHANGES_MS);
    if recent && call.config.aws_quotas {
        return Err(ApiError::limit_exceeded(
            "VolumeModificationRateExceeded",
            "You've reached the maximum modification rate per volume limit. Wait at least 6 hours \
             between modifications per EBS volume.",
        ));
    }
    let volume_type = given(&r.volume_type).unwrap_or(&present.volume_type);
    let size = match r.size {
        None => present.size,
        Some(size) => volume::size(size, volume_type)?,
    };
    if size < present.size {
        return Err(ApiError::invalid_parameter_value(format!(
            "New size cannot be smaller than existing size: {size} < {}",
            present.size
        )));
    }
    let same_type = volume_type == present.volume_type;
    let kept = |value: Option<u32>| value.filter(|_| same_type).map(volume::number);
    // What gp2 does follows from its size.
    let iops = r.iops.or(if volume_type == "gp2" { None } else { kept(present.iops) });
    let throughput = r.throughput.or(kept(present.throughput));
    let speed = Speed::of(volume_type, size, iops, throughput)?;
    let before = VolumeModification {
        size: present.size,
        volume_type: present.volume_type.clone(),
        iops: present.iops,
        throughput: present.throughput,
        at: call.now,
    };
    let changed = Volume {
        size,
        volume_type: volume_type.to_owned(),
        iops: speed.iops,
        throughput: speed.throughput,
        modification: Some(before.clone()),
        ..(*present).clone()
    };
    let volume = tx.put(&call.scope, changed);
    let modification = shown(&volume, &before, "modifying");
    Ok(ec2::ModifyVolumeResult { volume_modification: Some(modification) })
}

pub(crate) fn describe_attribute(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVolumeAttributeRequest,
) -> Answer<ec2::DescribeVolumeAttributeResult> {
    let volume = required::<Volume>(records, &call.scope, &r.volume_id, "VolumeId")?;
    let mut answer = ec2::DescribeVolumeAttributeResult {
        volume_id: Some(volume.id.to_string()),
        ..Default::default()
    };
    match text(&r.attribute, "Attribute")? {
        "autoEnableIO" => {
            let value = Some(volume.auto_enable_io);
            answer.auto_enable_io = Some(ec2::AttributeBooleanValue { value });
        }
        "productCodes" => {}
        other => return Err(ApiError::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    Ok(answer)
}

pub(crate) fn modify_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVolumeAttributeRequest,
) -> Answer<()> {
    let volume = required::<Volume>(tx, &call.scope, &r.volume_id, "VolumeId")?;
    let value = r.auto_enable_io.as_ref().and_then(|it| it.value);
    let value = value.ok_or_else(|| ApiError::missing_parameter("AutoEnableIO"))?;
    tx.update::<Volume>(&call.scope, volume.id.as_str(), |it| it.auto_enable_io = value);
    Ok(())
}

const STATUS_FIELDS: &Fields<ec2::VolumeStatusItem> = &[
    ("action.code", |_| Vec::new()),
    ("action.description", |_| Vec::new()),
    ("action.event-id", |_| Vec::new()),
    ("availability-zone", |it| some(&it.availability_zone)),
    ("availability-zone-id", |it| some(&it.availability_zone_id)),
    ("event.description", |_| Vec::new()),
    ("event.event-id", |_| Vec::new()),
    ("event.event-type", |_| Vec::new()),
    ("event.not-after", |_| Vec::new()),
    ("event.not-before", |_| Vec::new()),
    ("volume-status.details-name", |it| {
        let details = it.volume_status.iter().flat_map(|it| &it.details);
        details.filter_map(|it| it.name.clone()).collect()
    }),
    ("volume-status.details-status", |it| {
        let details = it.volume_status.iter().flat_map(|it| &it.details);
        details.filter_map(|it| it.status.clone()).collect()
    }),
    ("volume-status.status", |it| {
        it.volume_status.iter().filter_map(|it| it.status.clone()).collect()
    }),
];

pub(crate) fn describe_status(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVolumeStatusRequest,
) -> Answer<ec2::DescribeVolumeStatusResult> {
    let found = listed::<Volume>(records, &call.scope, &r.volume_ids)?;
    let detail = |name: &str, status: &str| ec2::VolumeStatusDetails {
        name: Some(name.to_owned()),
        status: Some(status.to_owned()),
    };
    let statuses = found.iter().map(|volume| ec2::VolumeStatusItem {
        availability_zone: Some(volume.availability_zone.clone()),
        availability_zone_id: call.region().zone_id(&volume.availability_zone),
        volume_id: Some(volume.id.to_string()),
        volume_status: Some(ec2::VolumeStatusInfo {
            details: vec![
                detail("io-enabled", "passed"),
                detail("io-performance", "not-applicable"),
            ],
            status: Some("ok".into()),
        }),
        ..Default::default()
    });
    let statuses = select(statuses.collect(), &r.filters, STATUS_FIELDS, None)?;
    let (volume_statuses, next_token) =
        page(statuses, r.max_results, &r.next_token, |it| it.volume_id.as_deref())?;
    Ok(ec2::DescribeVolumeStatusResult { next_token, volume_statuses })
}
