//! Records of CloudWatch Logs: groups and streams by name. The events are in a store of their own
//! (the room `logs`), which knows groups and streams by the numbers that stand here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Tags, Timestamp};

/// A log group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogGroup {
    /// The name, unique in the region.
    pub name: String,
    /// The number of its events; never used again.
    pub data: u64,
    /// `STANDARD`, `INFREQUENT_ACCESS` or `DELIVERY`.
    pub class: String,
    /// The key that it is said to be encrypted with.
    pub kms_key_id: Option<String>,
    /// How many days events are kept; for ever, where absent.
    pub retention_days: Option<i32>,
    /// Whether it cannot be deleted.
    pub deletion_protection: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A log stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogStream {
    /// The name of its group.
    pub group: String,
    /// The name, unique in the group.
    pub name: String,
    /// The number of its group's events.
    pub group_data: u64,
    /// The number of its events; never used again.
    pub data: u64,
    /// When it was made.
    pub created: Timestamp,
}

/// A metric filter. There are no metrics here: it is only shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricFilter {
    /// The name of the log group.
    pub group: String,
    /// The name, unique in the group.
    pub name: String,
    /// The pattern that events are matched with.
    pub pattern: String,
    /// The metric that matches make.
    pub transformation: MetricTransformation,
    /// Whether it looks at transformed events.
    pub apply_on_transformed_logs: bool,
    /// When it was made or last changed.
    pub created: Timestamp,
}

/// What a metric filter makes of a match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricTransformation {
    /// The name of the metric.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its value for a match: a number or a field.
    pub value: String,
    /// Its value when nothing matches.
    pub default_value: Option<f64>,
    /// Fields that become dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// Its unit.
    pub unit: Option<String>,
}

/// A policy of CloudWatch Logs that lets services write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogResourcePolicy {
    /// The name, unique in the region.
    pub name: String,
    /// The document as given.
    pub document: String,
    /// When it was made or last changed.
    pub updated: Timestamp,
}
