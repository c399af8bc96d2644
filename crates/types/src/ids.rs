//! Resource ids: one newtype a kind, all from one table (API-6).
//!
//! Parsing checks the prefix and the hexadecimal tail (8 digits in old ids, 17 in new ones).
//! Making an id takes its random bits as a parameter, so callers stay deterministic in tests.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Why a text is not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid id: \"{text}\" (expecting \"{prefix}-...\")")]
pub struct IdError {
    /// The text as given.
    pub text: String,
    /// The prefix that was expected, without its dash.
    pub prefix: &'static str,
}

fn check(text: &str, prefix: &'static str) -> Result<(), IdError> {
    let tail = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    let hex = |tail: &str| tail.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match tail {
        Some(tail) if matches!(tail.len(), 8 | 17) && hex(tail) => Ok(()),
        _ => Err(IdError { text: text.to_owned(), prefix }),
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "SmolStr", into = "SmolStr")]
        pub struct $name(SmolStr);

        impl $name {
            /// The prefix without its dash.
            pub const PREFIX: &'static str = $prefix;

            /// A new id: the prefix, a `0` and 16 hexadecimal digits of `random` (API-6).
            pub fn new(random: u64) -> Self {
                Self(format!("{}-0{random:016x}", $prefix).into())
            }

            /// The random bits of an id that [`Self::new`] made; `None` for one of another shape.
            pub fn number(&self) -> Option<u64> {
                let tail = self.0.strip_prefix($prefix)?.strip_prefix("-0")?;
                let is_whole = tail.len() == 16;
                u64::from_str_radix(tail, 16).ok().filter(|_| is_whole)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $prefix)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<SmolStr> for $name {
            type Error = IdError;

            fn try_from(text: SmolStr) -> Result<Self, IdError> {
                check(&text, $prefix)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for SmolStr {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// An Elastic IP address as allocated.
    AllocationId = "eipalloc";
    /// The tie of an Elastic IP address to a private address.
    AddressAssociationId = "eipassoc";
    /// The tie of a network interface to an instance.
    AttachmentId = "eni-attach";
    /// A customer gateway.
    CustomerGatewayId = "cgw";
    /// A set of DHCP options.
    DhcpOptionsId = "dopt";
    /// An egress-only internet gateway.
    EgressOnlyInternetGatewayId = "eigw";
    /// A flow log.
    FlowLogId = "fl";
    /// The tie of an instance profile to an instance.
    IamInstanceProfileAssociationId = "iip-assoc";
    /// A machine image.
    ImageId = "ami";
    /// An instance.
    InstanceId = "i";
    /// An internet gateway.
    InternetGatewayId = "igw";
    /// A key pair.
    KeyPairId = "key";
    /// A launch template.
    LaunchTemplateId = "lt";
    /// A NAT gateway.
    NatGatewayId = "nat";
    /// The tie of a network ACL to a subnet.
    NetworkAclAssociationId = "aclassoc";
    /// A network ACL.
    NetworkAclId = "acl";
    /// A Network Access Scope.
    NetworkInsightsAccessScopeId = "nis";
    /// The analysis of a Network Access Scope.
    NetworkInsightsAccessScopeAnalysisId = "nisa";
    /// The analysis of a path.
    NetworkInsightsAnalysisId = "nia";
    /// A path to analyze.
    NetworkInsightsPathId = "nip";
    /// A network interface.
    NetworkInterfaceId = "eni";
    /// Leave for another account to use a network interface.
    NetworkInterfacePermissionId = "eni-perm";
    /// A placement group.
    PlacementGroupId = "pg";
    /// A (managed) prefix list.
    PrefixListId = "pl";
    /// An exclusion from what VPC Block Public Access blocks.
    PublicAccessExclusionId = "vpcbpa-exclude";
    /// The instances of one RunInstances call.
    ReservationId = "r";
    /// The tie of a route table to a subnet or gateway.
    RouteTableAssociationId = "rtbassoc";
    /// A route table.
    RouteTableId = "rtb";
    /// A security group.
    SecurityGroupId = "sg";
    /// One rule of a security group.
    SecurityGroupRuleId = "sgr";
    /// A snapshot of a volume.
    SnapshotId = "snap";
    /// The tie of an IPv6 block to a subnet.
    SubnetCidrAssociationId = "subnet-cidr-assoc";
    /// A reserved range of a subnet.
    SubnetCidrReservationId = "scr";
    /// A subnet.
    SubnetId = "subnet";
    /// The tie of a transit gateway to something.
    TransitGatewayAttachmentId = "tgw-attach";
    /// A transit gateway.
    TransitGatewayId = "tgw";
    /// A route table of a transit gateway.
    TransitGatewayRouteTableId = "tgw-rtb";
    /// A volume.
    VolumeId = "vol";
    /// The tie of an address block to a VPC.
    VpcCidrAssociationId = "vpc-cidr-assoc";
    /// A VPC endpoint.
    VpcEndpointId = "vpce";
    /// A service that an account offers to endpoints of others.
    VpcEndpointServiceId = "vpce-svc";
    /// Leave to connect to such a service.
    VpcEndpointServicePermissionId = "vpce-svc-perm";
    /// A peering connection between two VPCs.
    VpcPeeringConnectionId = "pcx";
    /// A VPC.
    VpcId = "vpc";
    /// A connection of a virtual private network.
    VpnConnectionId = "vpn";
    /// A virtual private gateway.
    VpnGatewayId = "vgw";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_prefix_and_seventeen_digits() {
        let id = VpcId::new(0xabc);
        assert_eq!(id.as_str(), "vpc-00000000000000abc");
        assert_eq!(id.number(), Some(0xabc));
        assert_eq!(id.as_str().parse::<VpcId>(), Ok(id));
        for other in ["vpc-1a2b3c4d", "vpc-10000000000000abc"] {
            assert_eq!(other.parse::<VpcId>().expect("an id").number(), None, "{other}");
        }
    }

    #[test]
    fn a_text_of_another_kind_is_refused() {
        for text in
            ["", "vpc", "vpc-", "vpc-xyz", "subnet-00000000000000abc", "vpc-00000000000000ABC"]
        {
            assert!(text.parse::<VpcId>().is_err(), "{text}");
        }
        assert!("vpc-1a2b3c4d".parse::<VpcId>().is_ok(), "old ids have eight digits");
        assert!("vpc-cidr-assoc-00000000000000abc".parse::<VpcId>().is_err());
    }
}
