//! Volumes: those that instances were launched with (EC2-26).

use gureum_api::{ApiError, ec2};
use gureum_store::Snapshot;
use gureum_types::record::Volume;

use crate::{
    call::{Answer, Call},
    filter::{Fields, flag, some},
    query::{Query, View, own, referrers},
    tags,
};

/// The fewest and the most that a page may have; more is taken as the most.
const PAGE: (i32, i32) = (5, 1000);

/// A number of a record, in an answer.
pub(crate) fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// What a type of volumes allows: GiB, operations a second, operations for each GiB, MiB a second.
struct Limits {
    size: (u32, u32),
    iops: Option<(u32, u32, u32)>,
    throughput: Option<(u32, u32)>,
}

fn limits(volume_type: &str) -> Option<Limits> {
    let (size, iops, throughput) = match volume_type {
        "gp2" => ((1, 16_384), None, None),
        "gp3" => ((1, 65_536), Some((3000, 80_000, 500)), Some((125, 2000))),
        "io1" => ((4, 16_384), Some((100, 64_000, 50)), None),
        "io2" => ((4, 65_536), Some((100, 256_000, 1000)), None),
        "st1" | "sc1" => ((125, 16_384), None, None),
        "standard" => ((1, 1024), None, None),
        _ => return None,
    };
    Some(Limits { size, iops, throughput })
}

fn known(volume_type: &str) -> Answer<Limits> {
    limits(volume_type).ok_or_else(|| {
        ApiError::new("UnknownVolumeType", format!("Unknown volume type '{volume_type}'"))
    })
}

/// A size in GiB that a type of volumes may have.
pub(crate) fn size(wanted: i32, volume_type: &str) -> Answer<u32> {
    let (least, most) = known(volume_type)?.size;
    let (what, bound) = match u32::try_from(wanted) {
        Ok(size) if (least..=most).contains(&size) => return Ok(size),
        Ok(size) if size > most => ("large", format!("maximum is {most}GiB")),
        _ => ("small", format!("minimum is {least}GiB")),
    };
    Err(ApiError::invalid_parameter_value(format!(
        "Volume of {wanted}GiB is too {what} for volume type {volume_type}; {bound}."
    )))
}

/// How much a volume does, where its type says so.
pub(crate) struct Speed {
    /// Operations a second.
    pub(crate) iops: Option<u32>,
    /// MiB a second.
    pub(crate) throughput: Option<u32>,
}

impl Speed {
    /// What a volume gets of what a request wants.
    pub(crate) fn of(
        volume_type: &str,
        size: u32,
        iops: Option<i32>,
        throughput: Option<i32>,
    ) -> Answer<Self> {
        let limits = known(volume_type)?;
        let unsupported = |name: &str| {
            ApiError::invalid_parameter_combination(format!(
                "The parameter {name} is not supported for {volume_type} volumes."
            ))
        };
        let within = |value: i32, name: &str, (least, most): (u32, u32)| match u32::try_from(value)
        {
            Ok(value) if (least..=most).contains(&value) => Ok(value),
            Ok(value) if value > most => Err(ApiError::invalid_parameter_value(format!(
                "Volume {name} of {value} is too high; maximum is {most}."
            ))),
            _ => Err(ApiError::invalid_parameter_value(format!(
                "Volume {name} of {value} is too low; minimum is {least}."
            ))),
        };
        let iops = match (iops, limits.iops) {
            (Some(_), None) => return Err(unsupported("iops")),
            (None, None) if volume_type == "gp2" => Some((size * 3).clamp(100, 16_000)),
            (None, None) => None,
            (None, Some(_)) if volume_type != "gp3" => {
                return Err(ApiError::missing_parameter("iops"));
            }
            (None, Some((least, ..))) => Some(least),
            (Some(value), Some((least, most, each))) => {
                let value = within(value, "iops", (least, most))?;
                if value > least && value > size.saturating_mul(each) {
                    return Err(ApiError::invalid_parameter_value(format!(
                        "Iops to volume size ratio of {}/{size} is too high; maximum is {each}.",
                        value
                    )));
                }
                Some(value)
            }
        };
        let throughput = match (throughput, limits.throughput) {
            (Some(_), None) => return Err(unsupported("throughput")),
            (None, limits) => limits.map(|(least, _)| least),
            (Some(value), Some(limits)) => Some(within(value, "throughput", limits)?),
        };
        Ok(Self { iops, throughput })
    }
}

pub(crate) fn shown(call: &Call, volume: &Volume) -> ec2::Volume {
    let attachments = volume.attachment.iter().map(|it| ec2::VolumeAttachment {
        delete_on_termination: Some(it.delete_on_termination),
        volume_id: Some(volume.id.to_string()),
        instance_id: Some(it.instance_id.to_string()),
        device: Some(it.device.clone()),
        state: Some("attached".into()),
        attach_time: Some(it.attach_time),
        ..Default::default()
    });
    let state = if volume.attachment.is_some() { "in-use" } else { "available" };
    ec2::Volume {
        availability_zone_id: call.region().zone_id(&volume.availability_zone),
        iops: volume.iops.map(number),
        tags: tags::shown(&volume.tags),
        volume_type: Some(volume.volume_type.clone()),
        multi_attach_enabled: Some(false),
        throughput: volume.throughput.map(number),
        operator: Some(ec2::OperatorResponse { managed: Some(false), ..Default::default() }),
        volume_id: Some(volume.id.to_string()),
        size: Some(number(volume.size)),
        snapshot_id: Some(volume.snapshot_id.as_ref().map_or(String::new(), ToString::to_string)),
        availability_zone: Some(volume.availability_zone.clone()),
        state: Some(state.into()),
        create_time: Some(volume.created),
        attachments: attachments.collect(),
        encrypted: Some(volume.encrypted),
        kms_key_id: volume.kms_key_id.clone(),
        ..Default::default()
    }
}

macro_rules! of_attachments {
    (|$attachment:ident| $value:expr) => {
        |it| {
            let values = it.attachments.iter().filter_map(|$attachment| $value);
            values.map(|value| value.to_string()).collect()
        }
    };
}

const FIELDS: &Fields<ec2::Volume> = &[
    ("attachment.attach-time", of_attachments!(|it| it.attach_time)),
    ("attachment.delete-on-termination", of_attachments!(|it| it.delete_on_termination)),
    ("attachment.device", of_attachments!(|it| it.device.clone())),
    ("attachment.instance-id", of_attachments!(|it| it.instance_id.clone())),
    ("attachment.status", of_attachments!(|it| it.state.clone())),
    ("availability-zone", |it| some(&it.availability_zone)),
    ("availability-zone-id", |it| some(&it.availability_zone_id)),
    ("create-time", |it| it.create_time.iter().map(ToString::to_string).collect()),
    ("encrypted", |it| flag(it.encrypted)),
    ("fast-restored", |it| flag(it.fast_restored)),
    ("multi-attach-enabled", |it| flag(it.multi_attach_enabled)),
    ("operator.managed", |it| flag(it.operator.as_ref().and_then(|it| it.managed))),
    ("operator.principal", |it| it.operator.iter().filter_map(|it| it.principal.clone()).collect()),
    ("size", |it| it.size.iter().map(ToString::to_string).collect()),
    ("snapshot-id", |it| some(&it.snapshot_id)),
    ("source-volume-id", |it| some(&it.source_volume_id)),
    ("status", |it| some(&it.state)),
    ("throughput", |it| it.throughput.iter().map(ToString::to_string).collect()),
    ("volume-id", |it| some(&it.volume_id)),
    ("volume-type", |it| some(&it.volume_type)),
];

const VIEW: View<Volume, ec2::Volume> = View {
    fields: FIELDS,
    index: &[("attachment.instance-id", referrers), ("volume-id", own)],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVolumesRequest,
) -> Answer<ec2::DescribeVolumesResult> {
    if let Some(size) = r.max_results {
        if !r.volume_ids.is_empty() {
            return Err(ApiError::invalid_parameter_combination(
                "The parameter volumeSet cannot be used with the parameter maxResults",
            ));
        }
        if size < PAGE.0 {
            let reason = format!("Expecting a value greater than or equal to {}.", PAGE.0);
            return Err(ApiError::invalid_value(size, "maxResults", &reason));
        }
    }
    let query = Query {
        filters: &r.filters,
        max_results: r.max_results.map(|size| size.min(PAGE.1)),
        next_token: &r.next_token,
    };
    let (volumes, next_token) =
        query.answer(records, &call.scope, &r.volume_ids, &VIEW, |it| shown(call, it))?;
    Ok(ec2::DescribeVolumesResult { next_token, volumes })
}

#[cfg(test)]
mod tests {
    use gureum_types::{InstanceId, VolumeId, record::VolumeAttachment};

    use super::*;
    use crate::resource::place::fixture::{Cloud, code, filter};

    fn volume(cloud: &Cloud, volume_type: &str, size: u32, instance: Option<u64>) -> VolumeId {
        cloud.put(|call, tx| {
            let attachment = instance.map(|instance| VolumeAttachment {
                instance_id: InstanceId::new(instance),
                device: "/dev/xvda".into(),
                delete_on_termination: true,
                attach_time: call.now,
            });
            let volume = Volume {
                id: VolumeId::new(call.random()),
                size,
                volume_type: volume_type.into(),
                iops: Some(100),
                throughput: (volume_type == "gp3").then_some(125),
                encrypted: false,
                auto_enable_io: false,
                kms_key_id: None,
                modification: None,
                availability_zone: "ap-northeast-2a".into(),
                snapshot_id: None,
                attachment,
                created: call.now,
                tags: [("Name".to_owned(), volume_type.to_owned())].into(),
            };
            tx.put(&call.scope, volume).id.clone()
        })
    }

    fn found(cloud: &Cloud, r: ec2::DescribeVolumesRequest) -> Answer<ec2::DescribeVolumesResult> {
        describe(&cloud.call, &cloud.records(), &r)
    }

    #[test]
    fn a_root_volume_is_shown_with_its_instance() {
        let cloud = Cloud::new();
        let id = volume(&cloud, "gp2", 8, Some(1));
        let r =
            ec2::DescribeVolumesRequest { volume_ids: vec![id.to_string()], ..Default::default() };
        let shown = found(&cloud, r).expect("a volume").volumes.remove(0);
        assert_eq!(
            (shown.size, shown.iops, shown.throughput),
            (Some(8), Some(100), None),
            "EC2-26"
        );
        assert_eq!(shown.state.as_deref(), Some("in-use"));
        assert_eq!(shown.availability_zone_id.as_deref(), Some("apne2-az1"));
        assert_eq!(shown.attachments[0].delete_on_termination, Some(true), "EC2-26");
        assert_eq!(shown.attachments[0].state.as_deref(), Some("attached"));
    }

    #[test]
    fn filters_look_into_attachments_and_tags() {
        let cloud = Cloud::new();
        let root = volume(&cloud, "gp2", 1000, Some(1));
        let free = volume(&cloud, "gp3", 10, None);
        let ids = |filters: Vec<ec2::Filter>| {
            let r = ec2::DescribeVolumesRequest { filters, ..Default::default() };
            let volumes = found(&cloud, r).expect("volumes").volumes;
            volumes.into_iter().filter_map(|it| it.volume_id).collect::<Vec<_>>()
        };
        let instance = InstanceId::new(1);
        for (name, value, expected) in [
            ("attachment.instance-id", instance.as_str(), &root),
            ("attachment.device", "/dev/xvd?", &root),
            ("attachment.delete-on-termination", "true", &root),
            ("status", "available", &free),
            ("throughput", "125", &free),
            ("size", "1000", &root),
            ("tag:Name", "gp3", &free),
        ] {
            assert_eq!(ids(vec![filter(name, &[value])]), [expected.as_str()], "{name}");
        }
        assert_eq!(ids(vec![filter("create-time", &["2021-09-03T*"])]).len(), 2);
        let r = ec2::DescribeVolumesRequest {
            filters: vec![filter("colour", &["red"])],
            ..Default::default()
        };
        assert_eq!(code(found(&cloud, r)), "InvalidParameterValue", "API-9");
    }

    #[test]
    fn pages_and_ids_exclude_each_other() {
        let cloud = Cloud::new();
        for _ in 0..7 {
            volume(&cloud, "gp2", 8, None);
        }
        let page = |max_results, next_token| ec2::DescribeVolumesRequest {
            max_results: Some(max_results),
            next_token,
            ..Default::default()
        };
        let first = found(&cloud, page(5, None)).expect("a page");
        assert_eq!(first.volumes.len(), 5);
        let second = found(&cloud, page(5, first.next_token)).expect("the rest");
        assert_eq!((second.volumes.len(), second.next_token), (2, None), "API-7");
        assert_eq!(code(found(&cloud, page(4, None))), "InvalidParameterValue", "API-7");
        let id = first.volumes[0].volume_id.clone().expect("an id");
        let r = ec2::DescribeVolumesRequest { volume_ids: vec![id], ..page(5, None) };
        assert_eq!(code(found(&cloud, r)), "InvalidParameterCombination", "API-7");
        for (id, expected) in [
            ("vol-00000000000000999", "InvalidVolume.NotFound"),
            ("vol-x", "InvalidVolumeID.Malformed"),
        ] {
            let r =
                ec2::DescribeVolumesRequest { volume_ids: vec![id.into()], ..Default::default() };
            assert_eq!(code(found(&cloud, r)), expected, "API-10, API-11");
        }
    }
}
