//! Placement groups: kept and shown. All instances are on one machine, whatever their group.

use serde::{Deserialize, Serialize};

use crate::{PlacementGroupId, Tags, Timestamp};

/// A placement group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementGroup {
    /// Its id.
    pub id: PlacementGroupId,
    /// Its name, unique in the region.
    pub name: String,
    /// `cluster`, `spread` or `partition`.
    pub strategy: String,
    /// How many partitions it has, where it has any.
    pub partition_count: Option<u32>,
    /// `host` or `rack`, where it spreads.
    pub spread_level: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// Where in a placement group an instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The group.
    pub group_id: PlacementGroupId,
    /// Its name.
    pub group_name: String,
    /// The partition, from 1.
    pub partition: Option<u32>,
}
