//! DHCPv6 (RFC 8415): a client's message in, the server's answer out.

use gureum_types::IpProtocol;

use super::{
    ETHERNET_LEN, be16, be32, be128, byte, bytes,
    checksum::{fold, pseudo_header, sum},
    icmp::fill_ipv6,
    ip::{Headers, IPV6_HEADER_LEN},
    put16, set_macs,
};
use crate::address::Address;

/// The port of servers.
pub(crate) const SERVER_PORT: u16 = 547;
/// The port of clients.
pub(crate) const CLIENT_PORT: u16 = 546;
/// `ff02::1:2`, all servers and relays of the link.
pub(crate) const SERVERS: Address = Address::v6(0xff02 << 112 | 0x1_0002);

/// Kinds of messages.
pub(crate) mod kind {
    pub(crate) const SOLICIT: u8 = 1;
    pub(crate) const ADVERTISE: u8 = 2;
    pub(crate) const REQUEST: u8 = 3;
    pub(crate) const CONFIRM: u8 = 4;
    pub(crate) const RENEW: u8 = 5;
    pub(crate) const REBIND: u8 = 6;
    pub(crate) const REPLY: u8 = 7;
    pub(crate) const RELEASE: u8 = 8;
    pub(crate) const DECLINE: u8 = 9;
    pub(crate) const INFORMATION_REQUEST: u8 = 11;
}

/// The options that matter here.
pub(crate) mod option {
    pub(crate) const CLIENT_ID: u16 = 1;
    pub(crate) const SERVER_ID: u16 = 2;
    pub(crate) const ADDRESSES: u16 = 3;
    pub(crate) const ADDRESS: u16 = 5;
    pub(crate) const STATUS: u16 = 13;
    pub(crate) const RAPID_COMMIT: u16 = 14;
    pub(crate) const DNS: u16 = 23;
    pub(crate) const DOMAINS: u16 = 24;
    pub(crate) const SNTP: u16 = 31;
}

/// Status codes (RFC 8415, 21.13).
pub(crate) mod status {
    pub(crate) const SUCCESS: u16 = 0;
    pub(crate) const NO_ADDRESSES: u16 = 2;
    pub(crate) const NOT_ON_LINK: u16 = 4;
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u8,
    pub(crate) transaction: [u8; 3],
    pub(crate) client_id: &'a [u8],
    pub(crate) server_id: Option<&'a [u8]>,
    pub(crate) rapid_commit: bool,
    /// The identity that it wants addresses for; only the first of a message is served.
    pub(crate) association: Option<u32>,
    /// The addresses that it says it has for that.
    pub(crate) addresses: Vec<u128>,
}

impl<'a> Message<'a> {
    /// Reads a client's message from a frame whose headers were read.
    pub(crate) fn parse(frame: &'a [u8], headers: &Headers) -> Option<Self> {
        let message = frame.get(headers.transport + headers.transport_len..headers.end)?;
        let mut parsed = Self {
            kind: byte(message, 0)?,
            transaction: bytes(message, 1)?,
            client_id: &[],
            server_id: None,
            rapid_commit: false,
            association: None,
            addresses: Vec::new(),
        };
        each_option(message.get(4..)?, |code, value| {
            match code {
                option::CLIENT_ID => parsed.client_id = value,
                option::SERVER_ID => parsed.server_id = Some(value),
                option::RAPID_COMMIT => parsed.rapid_commit = true,
                option::ADDRESSES if parsed.association.is_none() => {
                    parsed.association = Some(be32(value, 0)?);
                    each_option(value.get(12..)?, |code, value| {
                        if code == option::ADDRESS {
                            parsed.addresses.push(be128(value, 0)?);
                        }
                        Some(())
                    })?;
                }
                _ => {}
            }
            Some(())
        })?;
        Some(parsed)
    }
}

fn each_option<'a>(
    mut rest: &'a [u8],
    mut see: impl FnMut(u16, &'a [u8]) -> Option<()>,
) -> Option<()> {
    while !rest.is_empty() {
        let (code, length) = (be16(rest, 0)?, usize::from(be16(rest, 2)?));
        see(code, rest.get(4..4 + length)?)?;
        rest = rest.get(4 + length..)?;
    }
    Some(())
}

/// Who answers, and whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) source_mac: [u8; 6],
    pub(crate) destination_mac: [u8; 6],
    pub(crate) source: Address,
    pub(crate) destination: Address,
}

/// An answer under construction.
#[derive(Debug)]
pub(crate) struct Answer {
    frame: Vec<u8>,
    ends: Ends,
}

const UDP: usize = ETHERNET_LEN + IPV6_HEADER_LEN;

impl Answer {
    /// An answer of a kind to a message.
    pub(crate) fn new(request: &Message<'_>, kind: u8, server_id: &[u8], ends: Ends) -> Self {
        let mut frame = vec![0; UDP + 8];
        set_macs(&mut frame, ends.destination_mac, ends.source_mac);
        put16(&mut frame, UDP, SERVER_PORT);
        put16(&mut frame, UDP + 2, CLIENT_PORT);
        frame.push(kind);
        frame.extend_from_slice(&request.transaction);
        let mut answer = Self { frame, ends };
        answer.option(option::SERVER_ID, server_id);
        if !request.client_id.is_empty() {
            answer.option(option::CLIENT_ID, request.client_id);
        }
        answer
    }

    /// Adds an option.
    pub(crate) fn option(&mut self, code: u16, value: &[u8]) {
        push_option(&mut self.frame, code, value);
    }

    /// Adds an option of addresses, unless there is none.
    pub(crate) fn addresses(&mut self, code: u16, addresses: &[u128]) {
        if !addresses.is_empty() {
            let bytes: Vec<u8> = addresses.iter().flat_map(|a| a.to_be_bytes()).collect();
            self.option(code, &bytes);
        }
    }

    /// Adds a status.
    pub(crate) fn status(&mut self, code: u16) {
        self.option(option::STATUS, &code.to_be_bytes());
    }

    /// The whole frame.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let end = self.frame.len();
        let length = end - UDP;
        put16(&mut self.frame, UDP + 4, u16::try_from(length).unwrap_or(u16::MAX));
        let addresses = (self.ends.source, self.ends.destination);
        fill_ipv6(&mut self.frame, ETHERNET_LEN, end, IpProtocol::UDP.0, addresses);
        let pseudo = pseudo_header(addresses.0, addresses.1, IpProtocol::UDP.0, length);
        let checksum = match !fold(pseudo + self.frame.get(UDP..).map_or(0, sum)) {
            0 => 0xffff,
            checksum => checksum,
        };
        put16(&mut self.frame, UDP + 6, checksum);
        self.frame
    }
}

/// Appends an option.
pub(crate) fn push_option(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    to.extend_from_slice(&code.to_be_bytes());
    to.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    to.extend_from_slice(value);
}

/// A domain name as it is on the wire (RFC 1035, 3.1); what does not fit a label is left out.
pub(crate) fn domain_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        if let Ok(length @ 1..=63) = u8::try_from(label.len()) {
            wire.push(length);
            wire.extend_from_slice(label.as_bytes());
        }
    }
    wire.push(0);
    wire
}
