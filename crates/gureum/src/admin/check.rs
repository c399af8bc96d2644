//! Expectations of a network, and what is said of them.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// Expectations that are to be checked on the present state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CheckArgs {
    /// What is expected.
    pub expectations: Vec<Expectation>,
    /// Whether every decision is told, or of each expectation only some that speak for it.
    pub every_decision: bool,
}

/// What is expected of packets between two ends. Where an end is several interfaces, or there are
/// several protocols or ports, it is expected of each pair of interfaces, protocol and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expectation {
    /// Where from: Name tags, ids, addresses, subnets, security groups, `internet`.
    pub from: Vec<String>,
    /// Where to: the same, or services of AWS and other host names.
    pub to: Vec<String>,
    /// Which protocols.
    pub protocols: Vec<Protocol>,
    /// The destination ports of TCP and UDP.
    pub ports: Option<Vec<PortRange>>,
    /// Whether they shall pass.
    pub expect: Expect,
    /// The rule, entry, route, group, gateway or drop reason that shall decide.
    pub by: Option<String>,
    /// Whether IPv6 is meant where no address says so.
    pub ipv6: bool,
}

/// A protocol that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// A ping of either family.
    Icmp,
    /// Another one, by its number.
    Number(u8),
}

impl Protocol {
    /// Whether it has ports.
    pub(crate) fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" | "6" => Ok(Self::Tcp),
            "udp" | "17" => Ok(Self::Udp),
            "icmp" | "icmpv6" | "1" | "58" => Ok(Self::Icmp),
            other => other.parse().map(Self::Number).map_err(|_| {
                format!("\"{text}\" is no protocol: tcp, udp, icmp or a number from 0 to 255")
            }),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Icmp => f.write_str("icmp"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Ports in a row, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// All ports.
    pub(crate) const ALL: Self = Self { first: 0, last: u16::MAX };
}

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self { first: port, last: port }
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no port, as 443, or range of ports, as 8000-8010");
        let number = |part: &str| part.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        match first <= last {
            true => Ok(Self { first, last }),
            false => Err(format!("the range \"{text}\" ends before it begins")),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => self.first.fmt(f),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Whether packets shall pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expect {
    /// They arrive, and their answers come back.
    Allow,
    /// They do not.
    Deny,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

/// Whether an expectation is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It is.
    Holds,
    /// It is not.
    Fails,
    /// That cannot be said.
    Unknown,
}

/// What is said of an expectation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Whether it is met.
    pub outcome: Outcome,
    /// Why not, or why that cannot be said: a sentence. Nothing where it is met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// How many questions the engine was asked.
    pub asked: u64,
    /// How many decisions are not as expected.
    pub against: u64,
    /// What was decided: those against it first; all of them where all were asked for.
    pub decisions: Vec<Decision>,
}

impl Verdict {
    /// It cannot be said whether it is met.
    pub(crate) fn unknown(because: String) -> Self {
        let (outcome, because) = (Outcome::Unknown, Some(because));
        Self { outcome, because, asked: 0, against: 0, decisions: Vec::new() }
    }
}

/// What becomes of one kind of packet between two interfaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// Who sends it: an interface's id, or `internet`.
    pub from: String,
    /// What people call the sender.
    pub from_name: String,
    /// The address that it is sent from, where it is not the primary one of the interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// What people call the receiver.
    pub to_name: String,
    /// The address that it is sent to; nothing where a name means no address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination ports that this is said of: all of them are decided alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortRange>,
    /// Whether it arrives and its answer comes back.
    pub reachable: bool,
    /// What decided.
    pub by: Decided,
}

/// The rule, entry, route or reason that decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// In a few words.
    pub text: String,
    /// The name of the reason for which packets are dropped, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where: an interface's id, `internet` or `services`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Ids and descriptions of what decided, by which an expectation may name it.
    pub components: Vec<String>,
}

/// A stretch of a file of expectations that describes the present state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Suggestion {
    /// What may be expected.
    pub expectation: Expectation,
    /// Which rules, entries, routes and reasons decide, in a few words each.
    pub by: Vec<String>,
    /// Whether it holds whatever port a client connects from. What does not is no expectation.
    pub is_certain: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_protocols_are_read_as_people_write_them() {
        assert_eq!("443".parse(), Ok(PortRange::from(443)));
        assert_eq!("8000-8010".parse(), Ok(PortRange { first: 8000, last: 8010 }));
        assert_eq!(
            "8000 - 8010".parse::<PortRange>().map(|it| it.to_string()),
            Ok("8000-8010".into())
        );
        for wrong in ["", "http", "-1", "65536", "1-", "10-9", "1-2-3"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
        assert_eq!("TCP".parse(), Ok(Protocol::Tcp));
        assert_eq!("17".parse(), Ok(Protocol::Udp));
        assert_eq!("icmpv6".parse(), Ok(Protocol::Icmp));
        assert_eq!("50".parse(), Ok(Protocol::Number(50)));
        assert!("256".parse::<Protocol>().is_err());
    }
}
