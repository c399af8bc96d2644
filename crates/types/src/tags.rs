//! Tags: key and value pairs on every resource (EC2-27).

use std::collections::BTreeMap;

/// The tags of a resource, by key.
pub type Tags = BTreeMap<String, String>;
