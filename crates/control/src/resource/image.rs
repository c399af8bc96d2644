//! DescribeImages: the catalogue, as people look things up in it.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::Snapshot;
use gureum_types::{ImageId, Region, SnapshotId, record::OwnImage};
use sha2::{Digest as _, Sha256};

use crate::{
    call::{Answer, Call},
    catalogue::{IMAGES, Image, ROOT_GIB, image_id, image_with_id},
    filter::{Fields, flag, select, some},
    page::page,
    resource::{own_image, ssm},
};

/// The snapshot that root volumes of an image are made from.
pub(crate) fn snapshot_id(region: &Region, image: &Image) -> SnapshotId {
    let digest = Sha256::digest(format!("snapshot/{region}/{}", image.name));
    let mut bits = [0; 8];
    bits.copy_from_slice(&digest[..8]);
    SnapshotId::new(u64::from_be_bytes(bits))
}

/// The image that a launch names: an id, or a parameter of Systems Manager that holds one.
pub(crate) fn for_launch(call: &Call, records: &Snapshot, text: &str) -> Answer<&'static Image> {
    let id = match text.strip_prefix("resolve:ssm:") {
        Some(alias) => ssm::aliased_image(call, records, alias)?,
        None => text.to_owned(),
    };
    if records.find::<OwnImage>(&call.scope, &id).is_some() {
        return Err(ApiError::unsupported_operation(format!(
            "Instances cannot be launched from the image {id}: it is a record, and the disk that \
             it was made of was not copied. Launch an image of the catalogue."
        )));
    }
    find(call, &id)
}

/// Whether an id is that of an image that the account sees.
pub(crate) fn exists(call: &Call, records: &Snapshot, id: &str) -> bool {
    image_with_id(call.region(), id).is_some()
        || records.find::<OwnImage>(&call.scope, id).is_some()
}

/// The image with an id.
fn find(call: &Call, id: &str) -> Answer<&'static Image> {
    let resource = Resource::Image;
    id.parse::<ImageId>().map_err(|error| ApiError::malformed_id(resource, &error))?;
    image_with_id(call.region(), id).ok_or_else(|| ApiError::not_found(resource, id))
}

fn shown(call: &Call, image: &Image) -> ec2::Image {
    let root = ec2::BlockDeviceMapping {
        device_name: Some(image.root_device.into()),
        ebs: Some(ec2::EbsBlockDevice {
            delete_on_termination: Some(true),
            snapshot_id: Some(snapshot_id(call.region(), image).to_string()),
            volume_size: i32::try_from(ROOT_GIB).ok(),
            volume_type: Some(image.volume_type.into()),
            encrypted: Some(false),
            ..Default::default()
        }),
        ..Default::default()
    };
    ec2::Image {
        platform_details: Some("Linux/UNIX".into()),
        usage_operation: Some("RunInstances".into()),
        block_device_mappings: vec![root],
        description: Some(image.description()),
        ena_support: Some(true),
        hypervisor: Some("xen".into()),
        image_owner_alias: Some("amazon".into()),
        name: Some(image.name.into()),
        root_device_name: Some(image.root_device.into()),
        root_device_type: Some("ebs".into()),
        sriov_net_support: Some("simple".into()),
        virtualization_type: Some("hvm".into()),
        boot_mode: Some(image.boot_mode.into()),
        imds_support: image.imds_v2.then(|| "v2.0".into()),
        image_id: Some(image_id(call.region(), image).to_string()),
        image_location: Some(format!("amazon/{}", image.name)),
        state: Some("available".into()),
        owner_id: Some(image.owner.into()),
        creation_date: Some(image.created.into()),
        public: Some(true),
        architecture: Some("x86_64".into()),
        image_type: Some("machine".into()),
        ..Default::default()
    }
}

macro_rules! of_volumes {
    ($field:ident) => {
        |it| {
            let volumes = it.block_device_mappings.iter().filter_map(|it| it.ebs.as_ref());
            volumes.filter_map(|it| it.$field.as_ref().map(ToString::to_string)).collect()
        }
    };
}

const FIELDS: &Fields<ec2::Image> = &[
    ("architecture", |it| some(&it.architecture)),
    ("block-device-mapping.delete-on-termination", of_volumes!(delete_on_termination)),
    ("block-device-mapping.device-name", |it| {
        it.block_device_mappings.iter().filter_map(|it| it.device_name.clone()).collect()
    }),
    ("block-device-mapping.encrypted", of_volumes!(encrypted)),
    ("block-device-mapping.snapshot-id", of_volumes!(snapshot_id)),
    ("block-device-mapping.volume-size", of_volumes!(volume_size)),
    ("block-device-mapping.volume-type", of_volumes!(volume_type)),
    ("boot-mode", |it| some(&it.boot_mode)),
    ("creation-date", |it| some(&it.creation_date)),
    ("description", |it| some(&it.description)),
    ("ena-support", |it| flag(it.ena_support)),
    ("hypervisor", |it| some(&it.hypervisor)),
    ("image-id", |it| some(&it.image_id)),
    ("image-type", |it| some(&it.image_type)),
    ("imds-support", |it| some(&it.imds_support)),
    ("is-public", |it| flag(it.public)),
    ("kernel-id", |_| Vec::new()),
    ("manifest-location", |it| some(&it.image_location)),
    ("name", |it| some(&it.name)),
    ("owner-alias", |it| some(&it.image_owner_alias)),
    ("owner-id", |it| some(&it.owner_id)),
    ("platform", |_| Vec::new()),
    ("platform-details", |it| some(&it.platform_details)),
    ("product-code", |_| Vec::new()),
    ("product-code.type", |_| Vec::new()),
    ("ramdisk-id", |_| Vec::new()),
    ("root-device-name", |it| some(&it.root_device_name)),
    ("root-device-type", |it| some(&it.root_device_type)),
    ("source-image-id", |it| some(&it.source_image_id)),
    ("source-image-region", |it| some(&it.source_image_region)),
    ("source-instance-id", |it| some(&it.source_instance_id)),
    ("state", |it| some(&it.state)),
    ("state-reason-code", |_| Vec::new()),
    ("state-reason-message", |_| Vec::new()),
    ("sriov-net-support", |it| some(&it.sriov_net_support)),
    ("virtualization-type", |it| some(&it.virtualization_type)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeImagesRequest,
) -> Answer<ec2::DescribeImagesResult> {
    let mut found = Vec::new();
    let mut own = Vec::new();
    for id in &r.image_ids {
        match own_image::seen(call, records, id) {
            Some(image) => own.push(image),
            None => found.push(find(call, id)?),
        }
    }
    if r.image_ids.is_empty() {
        found.extend(IMAGES);
        own.extend(own_image::all_seen(call, records));
    }
    own.retain(|image| own_image::is_asked_for(call, image, &r.owners, &r.executable_users));
    // The catalogue is public: it belongs to others, and everybody may run it.
    let owned = |image: &Image, owner: &String| owner == image.owner || owner == "amazon";
    found.retain(|image| r.owners.is_empty() || r.owners.iter().any(|it| owned(image, it)));
    let runnable = |user: &String| user == "all";
    found.retain(|_| r.executable_users.is_empty() || r.executable_users.iter().any(runnable));
    let mut images: Vec<_> = found.into_iter().map(|image| shown(call, image)).collect();
    images.extend(own.iter().map(own_image::shown));
    images.sort_by(|a, b| a.image_id.cmp(&b.image_id));
    images.dedup_by(|a, b| a.image_id == b.image_id);
    let images = select(images, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (images, next_token) =
        page(images, r.max_results, &r.next_token, |it| it.image_id.as_deref())?;
    Ok(ec2::DescribeImagesResult { next_token, images })
}
