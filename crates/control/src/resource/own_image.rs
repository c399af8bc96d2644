//! Images that people make, register or copy: kept and shown. Their disks are not copied, so a
//! launch of one is refused by its name.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, ImageId, Region,
    record::{ImageVolume, Instance, InstanceState, OwnImage, Scope, VolumeSnapshot},
};

use crate::{
    call::{Answer, Call, find, given, text},
    catalogue::{ROOT_GIB, image_with_id},
    resource::{
        idempotency, image, instance,
        snapshot::{self, Permissions},
        volume,
    },
    tags,
};

/// What is made with an image, and may be tagged with it.
const TAGGED: [&str; 2] = ["image", "snapshot"];

/// An image with its owner, which may be another account that shares it.
pub(crate) type Seen = (Scope, std::sync::Arc<OwnImage>);

fn is_seen(call: &Call, scope: &Scope, image: &OwnImage) -> bool {
    let shared = image.public || image.shared_with.contains(call.account());
    scope.region == *call.region() && (scope.account == *call.account() || shared)
}

/// The images that the caller sees: its own and what others share.
pub(crate) fn all_seen(call: &Call, records: &Snapshot) -> Vec<Seen> {
    let all =
        records.everywhere::<OwnImage>().filter_map(|(key, it)| Some((key.scope.as_ref()?, it)));
    let seen = all.filter(|(scope, it)| is_seen(call, scope, it));
    seen.map(|(scope, it)| (scope.clone(), it.clone())).collect()
}

/// The image of that id, if the caller sees it.
pub(crate) fn seen(call: &Call, records: &Snapshot, id: &str) -> Option<Seen> {
    all_seen(call, records).into_iter().find(|(_, it)| it.id.as_str() == id)
}

/// Whether a request for images of some owners, or for some users, asks for this one.
pub(crate) fn is_asked_for(
    call: &Call,
    (scope, image): &Seen,
    owners: &[String],
    users: &[String],
) -> bool {
    let is_owner = |owner: &String| match owner.as_str() {
        "self" => scope.account == *call.account(),
        account => scope.account.as_str() == account,
    };
    let is_user = |user: &String| match user.as_str() {
        "all" => image.public,
        "self" => image.shared_with.contains(call.account()),
        account => image.shared_with.iter().any(|it| it.as_str() == account),
    };
    (owners.is_empty() || owners.iter().any(is_owner))
        && (users.is_empty() || users.iter().any(is_user))
}

fn shown_volume(it: &ImageVolume) -> ec2::BlockDeviceMapping {
    ec2::BlockDeviceMapping {
        device_name: Some(it.device.clone()),
        ebs: Some(ec2::EbsBlockDevice {
            delete_on_termination: Some(it.delete_on_termination),
            snapshot_id: it.snapshot_id.as_ref().map(ToString::to_string),
            volume_size: Some(volume::number(it.size)),
            volume_type: Some(it.volume_type.clone()),
            encrypted: Some(it.encrypted),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn shown((scope, image): &Seen) -> ec2::Image {
    ec2::Image {
        platform_details: Some("Linux/UNIX".into()),
        usage_operation: Some("RunInstances".into()),
        block_device_mappings: image.volumes.iter().map(shown_volume).collect(),
        description: image.description.clone(),
        ena_support: Some(true),
        hypervisor: Some("xen".into()),
        name: Some(image.name.clone()),
        root_device_name: Some(image.root_device_name.clone()),
        root_device_type: Some("ebs".into()),
        sriov_net_support: Some("simple".into()),
        tags: tags::shown(&image.tags),
        virtualization_type: Some("hvm".into()),
        boot_mode: image.boot_mode.clone(),
        imds_support: image.imds_v2.then(|| "v2.0".into()),
        source_instance_id: image.source_instance.as_ref().map(ToString::to_string),
        source_image_id: image.source_image.as_ref().map(ToString::to_string),
        image_id: Some(image.id.to_string()),
        image_location: Some(format!("{}/{}", scope.account, image.name)),
        state: Some("available".into()),
        owner_id: Some(scope.account.to_string()),
        creation_date: Some(image.created.to_string()),
        public: Some(image.public),
        architecture: Some(image.architecture.clone()),
        image_type: Some("machine".into()),
        ..Default::default()
    }
}

/// A name that no other image of the account has.
fn name(call: &Call, records: &Snapshot, wanted: &Option<String>) -> Answer<String> {
    let name = text(wanted, "Name")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(fits) {
        return Err(ApiError::new(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, \
             numbers, and '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'",
        ));
    }
    match records.all::<OwnImage>(&call.scope).find(|it| it.name == name) {
        Some(other) => Err(ApiError::new(
            "InvalidAMIName.Duplicate",
            format!("AMI name {name} is already in use by AMI {}", other.id),
        )),
        None => Ok(name.to_owned()),
    }
}

/// Puts an image with a snapshot for each of its volumes, as AWS makes them.
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateImageRequest,
) -> Answer<ec2::CreateImageResult> {
    let instance = instance::for_console(call, tx, &r.instance_id)?;
    if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
        return Err(ApiError::new(
            "IncorrectState",
            format!("Instance '{}' is not 'running' or 'stopped'.", instance.id),
        ));
    }
    let name = name(call, tx, &r.name)?;
    let image_tags = tags::of_type(&r.tag_specifications, "image", &TAGGED)?;
    let snapshot_tags = tags::of_type(&r.tag_specifications, "snapshot", &TAGGED)?;
    let id = ImageId::new(call.random());
    let mut volumes = Vec::new();
    for volume in instance::volumes(tx, &instance) {
        let Some(attachment) = &volume.attachment else { continue };
        let description = format!("Created by CreateImage({}) for {id}", instance.id);
        let made = snapshot::make(call, tx, &volume, description, snapshot_tags.clone());
        volumes.push(ImageVolume {
            device: attachment.device.clone(),
            snapshot_id: Some(made.id.clone()),
            size: volume.size,
            volume_type: volume.volume_type.clone(),
            encrypted: volume.encrypted,
            delete_on_termination: attachment.delete_on_termination,
        });
    }
    let base = image_with_id(call.region(), instance.image_id.as_str());
    let image = OwnImage {
        id,
        name,
        description: given(&r.description).map(str::to_owned),
        source_instance: Some(instance.id.clone()),
        source_image: None,
        architecture: "x86_64".into(),
        boot_mode: base.map(|it| it.boot_mode.to_owned()),
        imds_v2: instance.metadata_options.tokens_required,
        root_device_name: instance.root_device_name.clone(),
        volumes,
        shared_with: Vec::new(),
        public: false,
        created: call.now,
        tags: image_tags,
    };
    let image = tx.put(&call.scope, image);
    if instance.state == InstanceState::Running && r.no_reboot != Some(true) {
        tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| it.reboots += 1);
    }
    Ok(ec2::CreateImageResult { image_id: Some(image.id.to_string()) })
}

pub(crate) fn register(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RegisterImageRequest,
) -> Answer<ec2::RegisterImageResult> {
    let name = name(call, tx, &r.name)?;
    let root = text(&r.root_device_name, "RootDeviceName")?;
    let mut volumes = Vec::new();
    for mapping in &r.block_device_mappings {
        let device = text(&mapping.device_name, "BlockDeviceMapping.DeviceName")?;
        let Some(ebs) = &mapping.ebs else {
            return Err(ApiError::new(
                "InvalidBlockDeviceMapping",
                format!("The mapping of the device '{device}' names no volume."),
            ));
        };
        let from = match given(&ebs.snapshot_id) {
            Some(id) => Some(snapshot::source(call, tx, id)?),
            None => None,
        };
        let volume_type = given(&ebs.volume_type).unwrap_or("gp2");
        let size = match (ebs.volume_size, &from) {
            (Some(size), _) => volume::size(size, volume_type)?,
            (None, Some(from)) => from.size,
            (None, None) => {
                return Err(ApiError::missing_parameter("BlockDeviceMapping.Ebs.VolumeSize"));
            }
        };
        volumes.push(ImageVolume {
            device: device.to_owned(),
            snapshot_id: from.as_ref().map(|it| it.id.clone()),
            size,
            volume_type: volume_type.to_owned(),
            encrypted: from.is_some_and(|it| it.encrypted),
            delete_on_termination: ebs.delete_on_termination.unwrap_or(true),
        });
    }
    if !volumes.iter().any(|it| it.device == root && it.snapshot_id.is_some()) {
        return Err(ApiError::new(
            "InvalidBlockDeviceMapping",
            format!("No root snapshot specified in device mapping for '{root}'."),
        ));
    }
    let image = OwnImage {
        id: ImageId::new(call.random()),
        name,
        description: given(&r.description).map(str::to_owned),
        source_instance: None,
        source_image: None,
        architecture: given(&r.architecture).unwrap_or("i386").to_owned(),
        boot_mode: given(&r.boot_mode).map(str::to_owned),
        imds_v2: given(&r.imds_support) == Some("v2.0"),
        root_device_name: root.to_owned(),
        volumes,
        shared_with: Vec::new(),
        public: false,
        created: call.now,
        tags: tags::of_type(&r.tag_specifications, "image", &TAGGED)?,
    };
    let image = tx.put(&call.scope, image);
    Ok(ec2::RegisterImageResult { image_id: Some(image.id.to_string()) })
}

/// The caller's own image; those of the catalogue belong to others.
fn own(call: &Call, records: &Snapshot, id: &Option<String>) -> Answer<std::sync::Arc<OwnImage>> {
    let id = text(id, "ImageId")?;
    match find::<OwnImage>(records, &call.scope, id) {
        Err(_) if image_with_id(call.region(), id).is_some() => {
            Err(ApiError::new("AuthFailure", format!("Not authorized for image:{id}")))
        }
        found => found,
    }
}

pub(crate) fn deregister(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeregisterImageRequest,
) -> Answer<ec2::DeregisterImageResult> {
    let image = own(call, tx, &r.image_id)?;
    tx.remove::<OwnImage>(&call.scope, image.id.as_str());
    let mut answer = ec2::DeregisterImageResult { r#return: Some(true), ..Default::default() };
    if r.delete_associated_snapshots == Some(true) {
        for id in image.volumes.iter().filter_map(|it| it.snapshot_id.as_ref()) {
            let used = tx.referrers::<OwnImage>(id.as_str()).next().is_some();
            let known = !used && tx.remove::<VolumeSnapshot>(&call.scope, id.as_str()).is_some();
            answer.delete_snapshot_results.push(ec2::DeleteSnapshotReturnCode {
                snapshot_id: Some(id.to_string()),
                return_code: Some(if known { "success" } else { "skipped" }.into()),
            });
        }
    }
    Ok(answer)
}

/// A copy, maybe from another region of the account or out of the catalogue.
pub(crate) fn copy(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CopyImageRequest,
) -> Answer<ec2::CopyImageResult> {
    let make = |tx: &mut Transaction| {
        let region = snapshot::region(&r.source_region)?;
        let id = text(&r.source_image_id, "SourceImageId")?;
        let name = name(call, tx, &r.name)?;
        let source = source(call, tx, &region, id)?;
        let mut image = OwnImage {
            id: ImageId::new(call.random()),
            name,
            description: given(&r.description).map(str::to_owned).or(source.description.clone()),
            source_image: Some(source.id.clone()),
            source_instance: None,
            shared_with: Vec::new(),
            public: false,
            created: call.now,
            tags: tags::of_type(&r.tag_specifications, "image", &TAGGED)?,
            ..source.clone()
        };
        if r.copy_image_tags == Some(true) {
            for (key, value) in source.tags {
                if !image.tags.contains_key(&key) {
                    image.tags.insert(key, value);
                }
            }
        }
        let snapshot_tags = tags::of_type(&r.tag_specifications, "snapshot", &TAGGED)?;
        for volume in &mut image.volumes {
            let description = format!("Copied for DestinationAmi {} from SourceAmi {id}", image.id);
            let copy =
                snapshot::copied(call, volume.size, volume.encrypted || r.encrypted == Some(true));
            volume.encrypted = copy.encrypted;
            volume.snapshot_id = Some(copy.id.clone());
            let tags = snapshot_tags.clone();
            tx.put(&call.scope, VolumeSnapshot { description, tags, ..copy });
        }
        let image = tx.put(&call.scope, image);
        let answer = ec2::CopyImageResult { image_id: Some(image.id.to_string()) };
        Ok((vec![image.id.to_string()], answer))
    };
    let again = |_: &mut Transaction, made: &[String]| {
        Ok(made.first().map(|id| ec2::CopyImageResult { image_id: Some(id.clone()) }))
    };
    idempotency::once(call, tx, "CopyImage", &r.client_token, r, make, again)
}

/// The image to copy, as if it were the caller's.
fn source(call: &Call, records: &Snapshot, region: &Region, id: &str) -> Answer<OwnImage> {
    let parsed: ImageId =
        id.parse().map_err(|error| ApiError::malformed_id(Resource::Image, &error))?;
    let scope = Scope { region: region.clone(), ..call.scope.clone() };
    let there = Call { scope, ..call.clone() };
    if let Some((_, own)) = seen(&there, records, id) {
        return Ok((*own).clone());
    }
    let known = image_with_id(region, id);
    let known = known.ok_or_else(|| ApiError::not_found(Resource::Image, id))?;
    Ok(OwnImage {
        id: parsed,
        name: known.name.to_owned(),
        description: Some(known.description()),
        source_instance: None,
        source_image: None,
        architecture: "x86_64".into(),
        boot_mode: Some(known.boot_mode.to_owned()),
        imds_v2: known.imds_v2,
        root_device_name: known.root_device.to_owned(),
        volumes: vec![ImageVolume {
            device: known.root_device.to_owned(),
            snapshot_id: Some(image::snapshot_id(region, known)),
            size: ROOT_GIB,
            volume_type: known.volume_type.to_owned(),
            encrypted: false,
            delete_on_termination: true,
        }],
        shared_with: Vec::new(),
        public: false,
        created: call.now,
        tags: Default::default(),
    })
}

fn permission(account: Option<&AccountId>) -> ec2::LaunchPermission {
    ec2::LaunchPermission {
        user_id: account.map(ToString::to_string),
        group: account.is_none().then(|| "all".to_owned()),
        ..Default::default()
    }
}

pub(crate) fn describe_attribute(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeImageAttributeRequest,
) -> Answer<ec2::ImageAttribute> {
    let image = own(call, records, &r.image_id)?;
    let word = |value: Option<String>| Some(ec2::AttributeValue { value });
    let mut answer =
        ec2::ImageAttribute { image_id: Some(image.id.to_string()), ..Default::default() };
    match text(&r.attribute, "Attribute")? {
        "description" => answer.description = word(image.description.clone()),
        "kernel" => answer.kernel_id = word(None),
        "ramdisk" => answer.ramdisk_id = word(None),
        "launchPermission" => {
            let everybody = image.public.then(|| permission(None));
            let accounts = image.shared_with.iter().map(|it| permission(Some(it)));
            answer.launch_permissions = everybody.into_iter().chain(accounts).collect();
        }
        "productCodes" => {}
        "blockDeviceMapping" => {
            answer.block_device_mappings = image.volumes.iter().map(shown_volume).collect();
        }
        "sriovNetSupport" => answer.sriov_net_support = word(Some("simple".into())),
        "bootMode" => answer.boot_mode = word(image.boot_mode.clone()),
        "imdsSupport" => answer.imds_support = word(image.imds_v2.then(|| "v2.0".into())),
        "tpmSupport" => answer.tpm_support = word(None),
        "uefiData" => answer.uefi_data = word(None),
        "lastLaunchedTime" => answer.last_launched_time = word(None),
        "deregistrationProtection" => {
            answer.deregistration_protection = word(Some("disabled".into()));
        }
        other => return Err(ApiError::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    Ok(answer)
}

pub(crate) fn modify_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyImageAttributeRequest,
) -> Answer<()> {
    let image = own(call, tx, &r.image_id)?;
    let mut changed = (*image).clone();
    let mut permissions = Permissions::default();
    let pairs = |list: &[ec2::LaunchPermission]| {
        list.iter().map(|it| (it.user_id.clone(), it.group.clone())).collect::<Vec<_>>()
    };
    if let Some(wanted) = &r.launch_permission {
        permissions = Permissions::of(&pairs(&wanted.add), &pairs(&wanted.remove))?;
    }
    let named = given(&r.attribute);
    let description = r.description.as_ref().map(|it| it.value.clone());
    match named {
        None | Some("launchPermission") => {
            let by_list = Permissions::by_list(&r.operation_type, &r.user_ids, &r.user_groups)?;
            permissions.join(by_list);
        }
        Some("description") => changed.description = r.value.clone(),
        Some("imdsSupport") => changed.imds_v2 = r.value.as_deref() == Some("v2.0"),
        Some(other) => {
            return Err(ApiError::unsupported_operation(format!(
                "The attribute {other} cannot be modified."
            )));
        }
    }
    if let Some(value) = description {
        changed.description = value;
    }
    if let Some(wanted) = &r.imds_support {
        if wanted.value.as_deref() != Some("v2.0") {
            let value = wanted.value.clone().unwrap_or_default();
            return Err(ApiError::invalid_value(value, "imdsSupport", "It can only become v2.0."));
        }
        changed.imds_v2 = true;
    }
    permissions.apply(&mut changed.shared_with, &mut changed.public);
    if named.is_none() && changed == *image && permissions.is_empty() && r.description.is_none() {
        return Err(ApiError::missing_parameter("Attribute"));
    }
    tx.put(&call.scope, changed);
    Ok(())
}

pub(crate) fn reset_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ResetImageAttributeRequest,
) -> Answer<()> {
    let image = own(call, tx, &r.image_id)?;
    tx.update::<OwnImage>(&call.scope, image.id.as_str(), |it| {
        it.shared_with.clear();
        it.public = false;
    });
    Ok(())
}
