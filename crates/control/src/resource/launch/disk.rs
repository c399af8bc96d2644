//! The volumes of a launch: the image's root and those that the request adds (EC2-26).

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, SnapshotId, Tags, VolumeId,
    record::{Volume, VolumeAttachment},
};

use crate::{
    call::{Answer, Call, given, text},
    catalogue::{Image, ROOT_GIB},
    resource::{image, region_settings, volume::Speed},
};

/// A volume that an instance gets.
#[derive(Clone)]
pub(super) struct Disk {
    device: String,
    size: u32,
    volume_type: String,
    iops: Option<u32>,
    throughput: Option<u32>,
    encrypted: bool,
    kms_key_id: Option<String>,
    snapshot: Option<SnapshotId>,
    delete_on_termination: bool,
}

/// The volumes: the image's root, changed as the request says, and those that it adds.
pub(super) fn chosen(
    call: &Call,
    records: &Snapshot,
    image: &Image,
    mappings: &[ec2::BlockDeviceMapping],
) -> Answer<Vec<Disk>> {
    let snapshot = image::snapshot_id(call.region(), image);
    let (encrypted, kms_key_id) = region_settings::encryption(call, records, None, &None)?;
    let speed = Speed::of(image.volume_type, ROOT_GIB, None, None)?;
    let mut disks = vec![Disk {
        device: image.root_device.to_owned(),
        size: ROOT_GIB,
        volume_type: image.volume_type.to_owned(),
        iops: speed.iops,
        throughput: speed.throughput,
        encrypted,
        kms_key_id,
        snapshot: Some(snapshot.clone()),
        delete_on_termination: true,
    }];
    let wrong = |message: String| ApiError::new("InvalidBlockDeviceMapping", message);
    for (number, mapping) in mappings.iter().enumerate() {
        let device = text(&mapping.device_name, "BlockDeviceMapping.DeviceName")?;
        if mappings.iter().take(number).any(|it| it.device_name == mapping.device_name) {
            return Err(wrong(format!("The device '{device}' is used in more than one mapping.")));
        }
        let Some(ebs) = &mapping.ebs else {
            return Err(wrong(format!("The mapping of the device '{device}' names no volume.")));
        };
        let is_root = device == image.root_device;
        if let Some(id) = given(&ebs.snapshot_id)
            && !(is_root && id == snapshot.as_str())
        {
            let resource = gureum_api::Resource::Snapshot;
            return Err(match id.parse::<SnapshotId>() {
                Ok(id) => ApiError::not_found(resource, id),
                Err(error) => ApiError::malformed_id(resource, &error),
            });
        }
        let wanted = ebs.volume_size.map(|size| {
            u32::try_from(size).ok().filter(|size| (1..=16_384).contains(size)).ok_or_else(|| {
                wrong(format!("Volume of size {size}GB is not between 1GB and 16384GB"))
            })
        });
        let size = match (wanted.transpose()?, is_root) {
            (Some(size), true) if size < ROOT_GIB => {
                return Err(wrong(format!(
                    "Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size \
                     >= {ROOT_GIB}GB"
                )));
            }
            (Some(size), _) => size,
            (None, true) => ROOT_GIB,
            (None, false) => {
                return Err(ApiError::missing_parameter("BlockDeviceMapping.Ebs.VolumeSize"));
            }
        };
        let volume_type = match given(&ebs.volume_type) {
            Some(name) => name.to_owned(),
            None if is_root => image.volume_type.to_owned(),
            None => "gp2".to_owned(),
        };
        let iops = ebs.iops.filter(|it| *it != 0);
        let speed = Speed::of(&volume_type, size, iops, ebs.throughput.filter(|it| *it != 0))?;
        let (encrypted, kms_key_id) =
            region_settings::encryption(call, records, ebs.encrypted, &ebs.kms_key_id)?;
        let disk = Disk {
            device: device.to_owned(),
            size,
            iops: speed.iops,
            throughput: speed.throughput,
            encrypted,
            kms_key_id,
            snapshot: is_root.then(|| snapshot.clone()),
            delete_on_termination: ebs.delete_on_termination.unwrap_or(true),
            volume_type,
        };
        match is_root {
            true => disks[0] = disk,
            false => disks.push(disk),
        }
    }
    Ok(disks)
}

pub(super) fn put(
    call: &Call,
    tx: &mut Transaction,
    instance: &InstanceId,
    zone: &str,
    disk: Disk,
    tags: Tags,
) {
    let volume = Volume {
        id: VolumeId::new(call.random()),
        size: disk.size,
        volume_type: disk.volume_type,
        iops: disk.iops,
        throughput: disk.throughput,
        encrypted: disk.encrypted,
        auto_enable_io: false,
        kms_key_id: disk.kms_key_id,
        modification: None,
        availability_zone: zone.to_owned(),
        snapshot_id: disk.snapshot,
        attachment: Some(VolumeAttachment {
            instance_id: instance.clone(),
            device: disk.device,
            delete_on_termination: disk.delete_on_termination,
            attach_time: call.now,
        }),
        created: call.now,
        tags,
    };
    tx.put(&call.scope, volume);
}
