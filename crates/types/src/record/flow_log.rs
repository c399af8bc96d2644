//! Flow logs: what shall be recorded of whose traffic, and where that goes.

use serde::{Deserialize, Serialize};

use super::NetworkInterface;
use crate::{FlowLogId, Tags, Timestamp};

/// A flow log (FL-1, FL-2). Nothing but its tags changes (FL-4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowLog {
    /// Its id.
    pub id: FlowLogId,
    /// The id of the VPC, subnet or interface.
    pub resource_id: String,
    /// Which traffic is recorded.
    pub traffic_type: TrafficType,
    /// Where records go.
    pub destination: FlowLogDestination,
    /// The role that delivers, as given.
    pub role: Option<String>,
    /// The role of another account, as given.
    pub cross_account_role: Option<String>,
    /// The fields of a record and their order (FL-21): `${version} ${account-id} …`.
    pub format: String,
    /// How long traffic is gathered into one record: 60 or 600 seconds.
    pub interval_seconds: u32,
    /// How the last delivery went.
    pub delivery: FlowLogDelivery,
    /// From when until when traffic was given up that could not be delivered for too long, and
    /// nobody was told yet.
    #[serde(default)]
    pub dropped: Option<(Timestamp, Timestamp)>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags.
    pub tags: Tags,
}

/// Which traffic a flow log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficType {
    /// What security groups and network ACLs let pass.
    Accept,
    /// What they do not.
    Reject,
    /// Both.
    All,
}

impl TrafficType {
    /// As the API writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
            Self::All => "ALL",
        }
    }
}

/// Where a flow log's records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlowLogDestination {
    /// A log group by its name. It is made at the first delivery if it is not there (FL-8).
    LogGroup(String),
    /// A bucket (FL-14, FL-15).
    Bucket {
        /// The ARN as given: of a bucket, or of a folder in it.
        arn: String,
        /// Files in Parquet and not in text.
        parquet: bool,
        /// Folders as Hive names them.
        hive_compatible_partitions: bool,
        /// A folder an hour.
        per_hour_partition: bool,
    },
}

/// How the delivery of a flow log goes (FL-6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlowLogDelivery {
    /// It works, or was not tried yet.
    #[default]
    Success,
    /// The role or the destination's policy does not allow it.
    AccessError,
    /// The destination takes no more for now.
    RateLimited,
    /// It fails for another reason.
    UnknownError,
}

/// An interface that is gone and whose traffic may not be delivered to all flow logs yet: what their
/// records say of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepartedInterface {
    /// The interface as it was at the end.
    pub interface: NetworkInterface,
    /// The type of the instance that it was attached to.
    pub instance_type: Option<String>,
    /// When it went.
    pub departed: Timestamp,
}
