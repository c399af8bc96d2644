//! Types of ICMPv6 messages (RFC 4443, RFC 4861).

pub(crate) const UNREACHABLE: u8 = 1;
pub(crate) const PACKET_TOO_BIG: u8 = 2;
pub(crate) const TIME_EXCEEDED: u8 = 3;
pub(crate) const PARAMETER_PROBLEM: u8 = 4;
pub(crate) const ECHO: u8 = 128;
pub(crate) const ECHO_REPLY: u8 = 129;
pub(crate) const ROUTER_SOLICITATION: u8 = 133;
pub(crate) const ROUTER_ADVERTISEMENT: u8 = 134;
pub(crate) const NEIGHBOR_SOLICITATION: u8 = 135;
pub(crate) const NEIGHBOR_ADVERTISEMENT: u8 = 136;
pub(crate) const REDIRECT: u8 = 137;
