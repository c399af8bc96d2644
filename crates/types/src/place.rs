//! Where things are: account, region, availability zone.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
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

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A 12-digit AWS account id.
    AccountId
}

name! {
    /// A region's name, as `ap-northeast-2`.
    Region
}

/// The account of callers whose access key names no other.
pub const DEFAULT_ACCOUNT: &str = "123456789012";

impl AccountId {
    /// The account that a 12-digit text names, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())).then(|| Self(text.into()))
    }
}

impl Default for AccountId {
    fn default() -> Self {
        Self(DEFAULT_ACCOUNT.into())
    }
}

/// The regions that exist here, each with the letters of its zones (SUB-11: Seoul has a to d).
pub const REGIONS: &[(&str, &str)] = &[
    ("ap-northeast-1", "acd"),
    ("ap-northeast-2", "abcd"),
    ("ap-northeast-3", "abc"),
    ("ap-south-1", "abc"),
    ("ap-southeast-1", "abc"),
    ("ap-southeast-2", "abc"),
    ("ca-central-1", "abd"),
    ("eu-central-1", "abc"),
    ("eu-north-1", "abc"),
    ("eu-west-1", "abc"),
    ("eu-west-2", "abc"),
    ("eu-west-3", "abc"),
    ("sa-east-1", "abc"),
    ("us-east-1", "abcdef"),
    ("us-east-2", "abc"),
    ("us-west-1", "bc"),
    ("us-west-2", "abcd"),
];

/// A text that names no region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no region named \"{0}\"")]
pub struct RegionError(pub String);

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        REGIONS
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(name, _)| Self((*name).into()))
            .ok_or_else(|| RegionError(text.to_owned()))
    }
}

impl Region {
    /// The names of the zones, as `ap-northeast-2a`, in order.
    pub fn zones(&self) -> impl Iterator<Item = String> + '_ {
        let letters = REGIONS.iter().find(|(name, _)| *name == self.as_str()).map_or("", |r| r.1);
        letters.chars().map(move |letter| format!("{}{letter}", self.as_str()))
    }

    /// The id of a zone (`apne2-az1`), which unlike its name means the same place in all accounts.
    pub fn zone_id(&self, zone: &str) -> Option<String> {
        let number = self.zones().position(|name| name == zone)? + 1;
        Some(format!("{}-az{number}", self.short()))
    }

    /// The suffix of private host names (DNS-6).
    pub fn internal_domain(&self) -> String {
        match self.as_str() {
            "us-east-1" => "ec2.internal".to_owned(),
            region => format!("{region}.compute.internal"),
        }
    }

    /// The suffix of public host names (DNS-8).
    pub fn public_domain(&self) -> String {
        match self.as_str() {
            "us-east-1" => "compute-1.amazonaws.com".to_owned(),
            region => format!("{region}.compute.amazonaws.com"),
        }
    }

    /// `ap-northeast-2` in the short form of zone ids: `apne2`.
    fn short(&self) -> String {
        let mut parts = self.as_str().split('-');
        let area = parts.next().unwrap_or_default();
        let side = match parts.next().unwrap_or_default() {
            "north" => "n",
            "south" => "s",
            "east" => "e",
            "west" => "w",
            "central" => "c",
            "northeast" => "ne",
            "southeast" => "se",
            other => other,
        };
        format!("{area}{side}{}", parts.next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seoul_has_the_four_zones_of_the_lab() {
        let seoul: Region = "ap-northeast-2".parse().expect("a region");
        let zones: Vec<_> = seoul.zones().collect();
        assert_eq!(
            zones,
            ["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c", "ap-northeast-2d"]
        );
        assert_eq!(seoul.zone_id("ap-northeast-2c").as_deref(), Some("apne2-az3"));
        assert_eq!(seoul.internal_domain(), "ap-northeast-2.compute.internal");
    }

    #[test]
    fn only_twelve_digits_name_an_account() {
        assert!(AccountId::parse("123456789012").is_some());
        assert!(AccountId::parse("AKIAIOSFODNN7EXAMPLE").is_none());
    }
}
