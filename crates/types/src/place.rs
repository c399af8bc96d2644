//! Where things are: account, region, availability zone.

use std::{fmt, num::NonZeroU8, str::FromStr};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A 12-digit AWS account id.
// Every key of the store has one, so it is as small as it can be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct AccountId([u8; 12]);

/// A region's name, as `ap-northeast-2`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SmolStr", into = "SmolStr")]
pub struct Region(
    /// The place in [`REGIONS`], counted from 1.
    NonZeroU8,
);

macro_rules! shown_as_text {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl From<$name> for SmolStr {
            fn from(name: $name) -> Self {
                Self::new(name.as_str())
            }
        }
    )*};
}

shown_as_text! { AccountId Region }

/// The account of callers whose access key names no other.
pub const DEFAULT_ACCOUNT: &str = "123456789012";
const DEFAULT_ACCOUNT_DIGITS: &[u8; 12] = b"123456789012";

/// A text that is not a 12-digit account id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an account id")]
pub struct AccountIdError(pub SmolStr);

impl AccountId {
    /// The account that a 12-digit text names, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 12] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // They are digits, so this never is empty.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<SmolStr> for AccountId {
    type Error = AccountIdError;

    fn try_from(text: SmolStr) -> Result<Self, AccountIdError> {
        Self::parse(&text).ok_or(AccountIdError(text))
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, AccountIdError> {
        Self::parse(text).ok_or_else(|| AccountIdError(text.into()))
    }
}

impl Default for AccountId {
    fn default() -> Self {
        Self(*DEFAULT_ACCOUNT_DIGITS)
    }
}

/// The regions that exist here in the order of their names, each with the letters of its zones (SUB-11: Seoul has a to d).
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
        Self::named(text).ok_or_else(|| RegionError(text.to_owned()))
    }
}

impl TryFrom<SmolStr> for Region {
    type Error = RegionError;

    fn try_from(text: SmolStr) -> Result<Self, RegionError> {
        text.parse()
    }
}

impl Region {
    /// North Virginia, where services without regions have theirs.
    pub fn us_east_1() -> Self {
        Self::named("us-east-1").unwrap_or(Self(NonZeroU8::MIN))
    }

    fn named(name: &str) -> Option<Self> {
        let place = REGIONS.iter().position(|(known, _)| *known == name)?;
        NonZeroU8::new(u8::try_from(place + 1).ok()?).map(Self)
    }

    fn entry(&self) -> (&'static str, &'static str) {
        // Every number was a place once, so there always is one.
        REGIONS.get(usize::from(self.0.get()) - 1).copied().unwrap_or_default()
    }

    /// The name as text.
    pub fn as_str(&self) -> &'static str {
        self.entry().0
    }

    /// The names of the zones, as `ap-northeast-2a`, in order.
    pub fn zones(&self) -> impl Iterator<Item = String> + '_ {
        self.entry().1.chars().map(move |letter| format!("{}{letter}", self.as_str()))
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
    fn regions_are_in_the_order_of_their_names() {
        assert!(REGIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let all = REGIONS.iter().map(|(name, _)| name.parse::<Region>().expect("a region"));
        assert!(all.zip(REGIONS).all(|(region, (name, _))| region.as_str() == *name));
        assert_eq!(Region::us_east_1().as_str(), "us-east-1");
    }

    #[test]
    fn only_twelve_digits_name_an_account() {
        assert!(AccountId::parse("123456789012").is_some());
        assert!(AccountId::parse("AKIAIOSFODNN7EXAMPLE").is_none());
        assert_eq!(AccountId::default().as_str(), DEFAULT_ACCOUNT);
    }
}
