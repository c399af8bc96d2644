//! Volumes beside those of launches: made, attached and detached, as records. No instance sees a
//! device of theirs.

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    VolumeId,
    record::{Instance, InstanceState, Volume, VolumeAttachment},
};

use crate::{
    call::{Answer, Call, given, required, text},
    resource::{
        idempotency, instance, region_settings, snapshot,
        volume::{self, Speed},
    },
    tags,
};

/// The zone that a request names by name or id.
fn zone(call: &Call, r: &ec2::CreateVolumeRequest) -> Answer<String> {
    let (wanted, by_id) = match (given(&r.availability_zone), given(&r.availability_zone_id)) {
        (Some(name), None) => (name, false),
        (None, Some(id)) => (id, true),
        (None, None) => return Err(ApiError::missing_parameter("AvailabilityZone")),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters availabilityZone and availabilityZoneId cannot be used together.",
            ));
        }
    };
    let is_wanted = |zone: &String| match by_id {
        true => call.region().zone_id(zone).as_deref() == Some(wanted),
        false => zone == wanted,
    };
    call.region().zones().find(is_wanted).ok_or_else(|| {
        ApiError::new("InvalidZone.NotFound", format!("The zone '{wanted}' does not exist."))
    })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVolumeRequest,
) -> Answer<ec2::Volume> {
    let creating = |volume: &Volume| ec2::Volume {
        state: Some("creating".into()),
        ..volume::shown(call, volume)
    };
    let make = |tx: &mut Transaction| {
        let availability_zone = zone(call, r)?;
        let volume_type = given(&r.volume_type).unwrap_or("gp2");
        let from = match given(&r.snapshot_id) {
            Some(id) => Some(snapshot::source(call, tx, id)?),
            None => None,
        };
        let size = match (r.size, &from) {
            (Some(size), _) => volume::size(size, volume_type)?,
            (None, Some(from)) => from.size,
            (None, None) => return Err(ApiError::missing_parameter("Size")),
        };
        if let Some(from) = from.as_ref().filter(|from| size < from.size) {
            return Err(ApiError::invalid_parameter_value(format!(
                "Volume of size {size}GB is smaller than snapshot '{}', expect size >= {}GB",
                from.id, from.size
            )));
        }
        let speed = Speed::of(volume_type, size, r.iops, r.throughput)?;
        let wanted =
            Some(r.encrypted == Some(true) || from.as_ref().is_some_and(|it| it.encrypted));
        let (encrypted, kms_key_id) = region_settings::encryption(call, tx, wanted, &r.kms_key_id)?;
        let volume = Volume {
            id: VolumeId::new(call.random()),
            size,
            volume_type: volume_type.to_owned(),
            iops: speed.iops,
            throughput: speed.throughput,
            encrypted,
            availability_zone,
            snapshot_id: from.map(|it| it.id),
            attachment: None,
            auto_enable_io: false,
            kms_key_id,
            modification: None,
            created: call.now,
            tags: tags::on_creation::<Volume>(&r.tag_specifications)?,
        };
        let volume = tx.put(&call.scope, volume);
        Ok((vec![volume.id.to_string()], creating(&volume)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let volume = made.first().and_then(|id| tx.find::<Volume>(&call.scope, id));
        Ok(volume.map(|volume| creating(volume)))
    };
    idempotency::once(call, tx, "CreateVolume", &r.client_token, r, make, again)
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVolumeRequest,
) -> Answer<()> {
    let volume = required::<Volume>(tx, &call.scope, &r.volume_id, "VolumeId")?;
    if let Some(attachment) = &volume.attachment {
        let (id, to) = (&volume.id, &attachment.instance_id);
        let message = format!("Volume {id} is currently attached to {to}");
        return Err(ApiError::new("VolumeInUse", message));
    }
    tx.remove::<Volume>(&call.scope, volume.id.as_str());
    Ok(())
}

fn answer(volume: &Volume, attachment: &VolumeAttachment, state: &str) -> ec2::VolumeAttachment {
    ec2::VolumeAttachment {
        delete_on_termination: Some(attachment.delete_on_termination),
        volume_id: Some(volume.id.to_string()),
        instance_id: Some(attachment.instance_id.to_string()),
        device: Some(attachment.device.clone()),
        state: Some(state.to_owned()),
        attach_time: Some(attachment.attach_time),
        ..Default::default()
    }
}

/// `/dev/sdf`, `/dev/xvdba`: what AWS takes for the name of a device.
fn is_device(name: &str) -> bool {
    let bare = name.strip_prefix("/dev/").unwrap_or(name);
    let rest = bare.strip_prefix("xvd").or_else(|| bare.strip_prefix("sd"));
    rest.is_some_and(|rest| {
        let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        (1..=2).contains(&letters.len()) && letters.bytes().all(|b| b.is_ascii_lowercase())
    })
}

pub(crate) fn attach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AttachVolumeRequest,
) -> Answer<ec2::VolumeAttachment> {
    let volume = required::<Volume>(tx, &call.scope, &r.volume_id, "VolumeId")?;
    let instance = required::<Instance>(tx, &call.scope, &r.instance_id, "InstanceId")?;
    let device = text(&r.device, "Device")?;
    if !is_device(device) {
        let reason = format!("{device} is not a valid EBS device name.");
        return Err(ApiError::invalid_value(device, "device", &reason));
    }
    if volume.attachment.is_some() {
        let message = format!("{} is already attached to an instance", volume.id);
        return Err(ApiError::new("VolumeInUse", message));
    }
    if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
        let message = format!("Instance '{}' is not 'running'.", instance.id);
        return Err(ApiError::new("IncorrectState", message));
    }
    if volume.availability_zone != instance.availability_zone {
        return Err(ApiError::new(
            "InvalidVolume.ZoneMismatch",
            format!(
                "The volume '{}' is not in the same availability zone as instance '{}'",
                volume.id, instance.id
            ),
        ));
    }
    let taken =
        |it: &std::sync::Arc<Volume>| it.attachment.as_ref().is_some_and(|it| it.device == device);
    if instance::volumes(tx, &instance).iter().any(taken) {
        return Err(ApiError::invalid_parameter_value(format!(
            "Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        )));
    }
    let attachment = VolumeAttachment {
        instance_id: instance.id.clone(),
        device: device.to_owned(),
        delete_on_termination: false,
        attach_time: call.now,
    };
    let attached = Some(attachment.clone());
    tx.put(&call.scope, Volume { attachment: attached, ..(*volume).clone() });
    Ok(answer(&volume, &attachment, "attaching"))
}

/// Not the root volume, which is the disk that the instance has.
pub(crate) fn detach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DetachVolumeRequest,
) -> Answer<ec2::VolumeAttachment> {
    let volume = required::<Volume>(tx, &call.scope, &r.volume_id, "VolumeId")?;
    let Some(attachment) = &volume.attachment else {
        let message = format!("Volume '{}' is in the 'available' state.", volume.id);
        return Err(ApiError::incorrect_state(message));
    };
    let other = given(&r.instance_id).is_some_and(|id| id != attachment.instance_id.as_str())
        || given(&r.device).is_some_and(|device| device != attachment.device);
    if other {
        return Err(ApiError::new(
            "InvalidAttachment.NotFound",
            format!("The volume '{}' is not attached as specified.", volume.id),
        ));
    }
    if is_root(call, tx, attachment) {
        return Err(ApiError::operation_not_permitted(format!(
            "Unable to detach root volume '{}' from instance '{}'",
            volume.id, attachment.instance_id
        )));
    }
    tx.update::<Volume>(&call.scope, volume.id.as_str(), |it| it.attachment = None);
    Ok(answer(&volume, attachment, "detaching"))
}

fn is_root(call: &Call, records: &Snapshot, attachment: &VolumeAttachment) -> bool {
    records
        .find::<Instance>(&call.scope, attachment.instance_id.as_str())
        .is_some_and(|instance| instance.root_device_name == attachment.device)
}
