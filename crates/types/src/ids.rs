//! Resource ids: one newtype a kind, all from one table (API-6).
//!
//! Parsing checks the prefix and the hexadecimal tail (8 digits in old ids, 17 in new ones).
//! Making an id takes its random bits as a parameter, so callers stay deterministic in tests.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

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
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The prefix without its dash.
            pub const PREFIX: &'static str = $prefix;

            /// A new id: the prefix, a `0` and 16 hexadecimal digits of `random` (API-6).
            pub fn new(random: u64) -> Self {
                Self(format!("{}-0{random:016x}", $prefix).into())
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

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
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
    /// A set of DHCP options.
    DhcpOptionsId = "dopt";
    /// An egress-only internet gateway.
    EgressOnlyInternetGatewayId = "eigw";
    /// A machine image.
    ImageId = "ami";
    /// An instance.
    InstanceId = "i";
    /// An internet gateway.
    InternetGatewayId = "igw";
    /// A key pair.
    KeyPairId = "key";
    /// A NAT gateway.
    NatGatewayId = "nat";
    /// The tie of a network ACL to a subnet.
    NetworkAclAssociationId = "aclassoc";
    /// A network ACL.
    NetworkAclId = "acl";
    /// A network interface.
    NetworkInterfaceId = "eni";
    /// A (managed) prefix list.
    PrefixListId = "pl";
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
    /// A subnet.
    SubnetId = "subnet";
    /// A volume.
    VolumeId = "vol";
    /// The tie of an address block to a VPC.
    VpcCidrAssociationId = "vpc-cidr-assoc";
    /// A peering connection between two VPCs.
    VpcPeeringConnectionId = "pcx";
    /// A VPC.
    VpcId = "vpc";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_prefix_and_seventeen_digits() {
        let id = VpcId::new(0xabc);
        assert_eq!(id.as_str(), "vpc-00000000000000abc");
        assert_eq!(id.as_str().parse::<VpcId>(), Ok(id));
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
