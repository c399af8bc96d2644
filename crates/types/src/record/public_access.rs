//! Records of VPC Block Public Access: what an account lets through internet gateways in a region
//! (IGW-15).

use serde::{Deserialize, Serialize};

use crate::{PublicAccessExclusionId, SubnetId, Tags, Timestamp, VpcId};

/// What is blocked of an account in a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockMode {
    /// Nothing.
    #[default]
    Off,
    /// Everything that passes internet gateways, egress-only ones too.
    BlockBidirectional,
    /// The same but for NAT gateways and egress-only internet gateways, which let nothing in that
    /// was not asked for.
    BlockIngress,
}

impl BlockMode {
    /// The name in requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BlockBidirectional => "block-bidirectional",
            Self::BlockIngress => "block-ingress",
        }
    }
}

/// The setting of an account in a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockPublicAccess {
    /// What is blocked.
    pub mode: BlockMode,
    /// When that was said last.
    pub updated: Timestamp,
}

/// What an exclusion allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExclusionMode {
    /// Everything.
    AllowBidirectional,
    /// What begins inside.
    AllowEgress,
}

impl ExclusionMode {
    /// The name in requests and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowBidirectional => "allow-bidirectional",
            Self::AllowEgress => "allow-egress",
        }
    }
}

/// What an exclusion is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Excluded {
    /// All subnets of a VPC.
    Vpc(VpcId),
    /// One subnet.
    Subnet(SubnetId),
}

/// An exception from what is blocked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicAccessExclusion {
    /// Its id.
    pub id: PublicAccessExclusionId,
    /// What it is for.
    pub excluded: Excluded,
    /// What it allows.
    pub mode: ExclusionMode,
    /// When it was made.
    pub created: Timestamp,
    /// When its mode last changed.
    pub updated: Timestamp,
    /// When it was deleted; it is shown a while longer.
    pub deleted: Option<Timestamp>,
    /// Tags.
    pub tags: Tags,
}

/// What passes internet gateways to and from a subnet that not everything passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestrictedSubnet {
    /// The subnet.
    pub subnet_id: SubnetId,
    /// Whether NAT gateways and egress-only internet gateways still work, or nothing does.
    pub egress_allowed: bool,
}
