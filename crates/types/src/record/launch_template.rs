//! Launch templates: what a launch says, kept under a name, in versions.

use serde::{Deserialize, Serialize};

use crate::{LaunchTemplateId, Tags, Timestamp};

/// A launch template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// Its id.
    pub id: LaunchTemplateId,
    /// Its name, unique in the region.
    pub name: String,
    /// Who made it, as an ARN.
    pub created_by: String,
    /// The version that a launch takes which names none.
    pub default_version: i64,
    /// The highest number that was given out.
    pub latest_version: i64,
    /// Its versions, by number.
    pub versions: Vec<LaunchTemplateVersion>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// A version of a launch template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchTemplateVersion {
    /// Its number, from 1.
    pub number: i64,
    /// What it is.
    pub description: Option<String>,
    /// Who made it, as an ARN.
    pub created_by: String,
    /// `LaunchTemplateData` of the request as JSON, by the names of the service model.
    pub data: String,
    /// When it was made.
    pub created: Timestamp,
}
