//! What an account has set for a region.

use serde::{Deserialize, Serialize};

/// Settings of an account in a region that new resources go by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegionSettings {
    /// Whether new volumes and copies of snapshots are encrypted whatever a request says.
    pub ebs_encryption: bool,
    /// The key for them, where it is not AWS's own.
    pub ebs_kms_key_id: Option<String>,
    /// Options of the metadata service where a launch says nothing (IMDS-8).
    pub metadata_defaults: MetadataDefaults,
}

/// Options of the metadata service; `None` is no preference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataDefaults {
    /// Whether a token is required.
    pub tokens_required: Option<bool>,
    /// IP TTL of answers that carry a token, 1 to 64.
    pub hop_limit: Option<u8>,
    /// Whether the service answers at all.
    pub enabled: Option<bool>,
    /// Whether tags are shown.
    pub tags: Option<bool>,
}
