//! DHCP (RFC 2131, 2132): a client's message in, the server's answer out.

use gureum_types::IpProtocol;

use super::{
    BROADCAST, ETHERNET_LEN, ETHERTYPE_IPV4, be16, be32, byte, bytes,
    checksum::{fill_ipv4, fold, pseudo_header, sum},
    ip::Headers,
    put, put16, put32, set_macs,
};
use crate::address::Address;

/// The port of servers.
pub(crate) const SERVER_PORT: u16 = 67;
/// The port of clients.
pub(crate) const CLIENT_PORT: u16 = 68;

const MAGIC: u32 = 0x6382_5363;
/// Where the options begin in a message.
const OPTIONS: usize = 240;
/// The smallest message that every client takes (RFC 1542).
const MESSAGE_MIN: usize = 300;

/// The options that matter here.
pub(crate) mod option {
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const ROUTER: u8 = 3;
    pub(crate) const DNS: u8 = 6;
    pub(crate) const HOST_NAME: u8 = 12;
    pub(crate) const DOMAIN_NAME: u8 = 15;
    pub(crate) const MTU: u8 = 26;
    pub(crate) const BROADCAST: u8 = 28;
    pub(crate) const NTP: u8 = 42;
    pub(crate) const NETBIOS_SERVERS: u8 = 44;
    pub(crate) const NETBIOS_NODE_TYPE: u8 = 46;
    pub(crate) const REQUESTED_ADDRESS: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    pub(crate) const MESSAGE_TYPE: u8 = 53;
    pub(crate) const SERVER_ID: u8 = 54;
    pub(crate) const END: u8 = 255;
}

/// Kinds of messages.
pub(crate) mod kind {
    pub(crate) const DISCOVER: u8 = 1;
    pub(crate) const OFFER: u8 = 2;
    pub(crate) const REQUEST: u8 = 3;
    pub(crate) const ACK: u8 = 5;
    pub(crate) const NAK: u8 = 6;
    pub(crate) const INFORM: u8 = 8;
}

/// What a client said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) transaction: u32,
    pub(crate) flags: u16,
    pub(crate) client_address: u32,
    pub(crate) relay: u32,
    pub(crate) hardware: [u8; 16],
    pub(crate) requested_address: Option<u32>,
    pub(crate) server_id: Option<u32>,
}

impl Message {
    /// Reads a client's message from a frame whose headers were read.
    pub(crate) fn parse(frame: &[u8], headers: &Headers) -> Option<Self> {
        let message = frame.get(headers.transport + headers.transport_len..headers.end)?;
        // A boot request over Ethernet with the options' magic number.
        if bytes::<3>(message, 0)? != [1, 1, 6] || be32(message, 236)? != MAGIC {
            return None;
        }
        let mut parsed = Self {
            kind: 0,
            transaction: be32(message, 4)?,
            flags: be16(message, 10)?,
            client_address: be32(message, 12)?,
            relay: be32(message, 24)?,
            hardware: bytes(message, 28)?,
            requested_address: None,
            server_id: None,
        };
        let mut rest = message.get(OPTIONS..)?;
        while let Some((&code, tail)) = rest.split_first() {
            match code {
                0 => {
                    rest = tail;
                    continue;
                }
                option::END => break,
                _ => {}
            }
            let (&len, tail) = tail.split_first()?;
            let (value, tail) = tail.split_at_checked(usize::from(len))?;
            match code {
                option::MESSAGE_TYPE => parsed.kind = byte(value, 0)?,
                option::REQUESTED_ADDRESS => parsed.requested_address = Some(be32(value, 0)?),
                option::SERVER_ID => parsed.server_id = Some(be32(value, 0)?),
                _ => {}
            }
            rest = tail;
        }
        Some(parsed)
    }

    /// Whether the client cannot receive unicast yet.
    pub(crate) fn wants_broadcast(&self) -> bool {
        self.flags & 0x8000 != 0
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) mac: [u8; 6],
    pub(crate) address: u32,
}

/// An answer under construction.
#[derive(Debug)]
pub(crate) struct Answer {
    frame: Vec<u8>,
}

impl Answer {
    /// An answer of a kind that gives `your_address`, to a MAC address and an IP address.
    pub(crate) fn new(
        request: &Message,
        kind: u8,
        server: Server,
        your_address: u32,
        (mac, address): ([u8; 6], u32),
    ) -> Self {
        let mut frame = vec![0; ETHERNET_LEN + 28 + OPTIONS];
        set_macs(&mut frame, mac, server.mac);
        put16(&mut frame, 12, ETHERTYPE_IPV4);
        put(&mut frame, ETHERNET_LEN, &[0x45, 0xc0]);
        put(&mut frame, ETHERNET_LEN + 8, &[64, IpProtocol::UDP.0]);
        put32(&mut frame, ETHERNET_LEN + 12, server.address);
        put32(&mut frame, ETHERNET_LEN + 16, address);
        put16(&mut frame, ETHERNET_LEN + 20, SERVER_PORT);
        put16(&mut frame, ETHERNET_LEN + 22, CLIENT_PORT);
        let message = ETHERNET_LEN + 28;
        put(&mut frame, message, &[2, 1, 6, 0]);
        put32(&mut frame, message + 4, request.transaction);
        put16(&mut frame, message + 10, request.flags);
        // An INFORM is answered with the address that the client has.
        let client_address = if kind == kind::NAK { 0 } else { request.client_address };
        put32(&mut frame, message + 12, client_address);
        put32(&mut frame, message + 16, your_address);
        put32(&mut frame, message + 24, request.relay);
        put(&mut frame, message + 28, &request.hardware);
        put32(&mut frame, message + 236, MAGIC);
        let mut answer = Self { frame };
        answer.option(option::MESSAGE_TYPE, &[kind]);
        answer.option(option::SERVER_ID, &server.address.to_be_bytes());
        answer
    }

    /// Adds an option. Values beyond 255 bytes are cut: none that we send is.
    pub(crate) fn option(&mut self, code: u8, value: &[u8]) {
        let value = value.get(..value.len().min(255)).unwrap_or_default();
        self.frame.push(code);
        self.frame.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.frame.extend_from_slice(value);
    }

    /// Adds an option of addresses, unless there is none.
    pub(crate) fn addresses(&mut self, code: u8, addresses: &[u32]) {
        if !addresses.is_empty() {
            let bytes: Vec<u8> = addresses.iter().flat_map(|a| a.to_be_bytes()).collect();
            self.option(code, &bytes);
        }
    }

    /// The whole frame.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.frame.push(option::END);
        let min = ETHERNET_LEN + 28 + MESSAGE_MIN;
        if self.frame.len() < min {
            self.frame.resize(min, 0);
        }
        let total = self.frame.len() - ETHERNET_LEN;
        put16(&mut self.frame, ETHERNET_LEN + 2, u16::try_from(total).unwrap_or(u16::MAX));
        fill_ipv4(&mut self.frame, ETHERNET_LEN, 20);
        let udp = ETHERNET_LEN + 20;
        put16(&mut self.frame, udp + 4, u16::try_from(total - 20).unwrap_or(u16::MAX));
        let source = be32(&self.frame, ETHERNET_LEN + 12).unwrap_or_default();
        let destination = be32(&self.frame, ETHERNET_LEN + 16).unwrap_or_default();
        let (source, destination) = (Address::v4(source), Address::v4(destination));
        let pseudo = pseudo_header(source, destination, IpProtocol::UDP.0, total - 20);
        let covered = self.frame.get(udp..).map_or(0, sum);
        let checksum = match !fold(pseudo + covered) {
            0 => 0xffff,
            checksum => checksum,
        };
        put16(&mut self.frame, udp + 6, checksum);
        self.frame
    }
}

/// Where an answer goes: to everybody or to the client alone (RFC 2131, 4.1).
pub(crate) fn answer_to(request: &Message, kind: u8, mac: [u8; 6], address: u32) -> ([u8; 6], u32) {
    if kind == kind::NAK || (request.client_address == 0 && request.wants_broadcast()) {
        (BROADCAST, u32::MAX)
    } else if request.client_address != 0 {
        (mac, request.client_address)
    } else {
        (mac, address)
    }
}
