//! Ranges of a subnet that addresses are not taken from unasked.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{SubnetCidrReservationId, SubnetId, Tags};

/// A reserved range of a subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubnetCidrReservation {
    /// Its id.
    pub id: SubnetCidrReservationId,
    /// The subnet.
    pub subnet_id: SubnetId,
    /// The range.
    pub cidr: IpNet,
    /// `explicit` (for addresses that are asked for) or `prefix`.
    pub reservation_type: String,
    /// What it is for.
    pub description: Option<String>,
    /// Tags.
    pub tags: Tags,
}
