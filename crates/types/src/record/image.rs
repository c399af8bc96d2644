//! Snapshots of volumes and images that people made of them: kept and shown. No data is copied, so
//! nothing is launched from them.

use serde::{Deserialize, Serialize};

use crate::{AccountId, ImageId, InstanceId, SnapshotId, Tags, Timestamp, VolumeId};

/// A snapshot of a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    /// Its id.
    pub id: SnapshotId,
    /// What it was made of; a copy has AWS's `vol-ffffffff`.
    pub volume_id: Option<VolumeId>,
    /// GiB.
    pub size: u32,
    /// Recorded.
    pub encrypted: bool,
    /// Recorded: the key, where it is encrypted.
    pub kms_key_id: Option<String>,
    /// What it is for.
    pub description: String,
    /// The accounts that may make volumes of it.
    pub shared_with: Vec<AccountId>,
    /// Whether everybody may.
    pub public: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// An image that somebody made or registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnImage {
    /// Its id.
    pub id: ImageId,
    /// Its name, unique among the account's in the region.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The instance that it was made of.
    pub source_instance: Option<InstanceId>,
    /// The image that it was made of.
    pub source_image: Option<ImageId>,
    /// `x86_64`, `arm64` …
    pub architecture: String,
    /// `legacy-bios`, `uefi` …
    pub boot_mode: Option<String>,
    /// Whether its instances shall want tokens of the metadata service.
    pub imds_v2: bool,
    /// The device of the root volume.
    pub root_device_name: String,
    /// Its volumes.
    pub volumes: Vec<ImageVolume>,
    /// The accounts that may launch it.
    pub shared_with: Vec<AccountId>,
    /// Whether everybody may.
    pub public: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A volume that instances of an image get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageVolume {
    /// The device, as `/dev/xvda`.
    pub device: String,
    /// What it is made from.
    pub snapshot_id: Option<SnapshotId>,
    /// GiB.
    pub size: u32,
    /// `gp2`, `gp3` …
    pub volume_type: String,
    /// Recorded.
    pub encrypted: bool,
    /// Whether the volume goes when the instance does.
    pub delete_on_termination: bool,
}
