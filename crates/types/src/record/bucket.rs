//! Buckets of S3. The objects are in a store of their own (the room `s3`), which knows buckets by
//! the numbers that stand here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Tags, Timestamp};

/// A bucket. Its name is unique among those of all accounts and regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The name.
    pub name: String,
    /// The number of its objects; never used again.
    pub data: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
    /// Configurations by the name of their sub-resource (`policy`, `cors` …), as they were given.
    pub configurations: BTreeMap<String, String>,
}
