//! DHCPv6: the subnet's router answers by itself, as it does in IPv4. Nothing filters it (SG-35).

use gureum_types::IpProtocol;

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    policy::{Subnet, Vpc},
    wire::dhcpv6::{
        Answer, CLIENT_PORT, Ends, Message, SERVER_PORT, SERVERS, domain_name, kind, option,
        push_option, status,
    },
};

/// Seconds for which an address is preferred (DHCP-3), and valid.
const PREFERRED: u32 = 140;
const VALID: u32 = 450;
/// Seconds after which a client asks for more time, and after which it asks anybody.
const RENEW: u32 = 70;
const REBIND: u32 = 112;

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// Answers a DHCPv6 message, if the packet is one.
    pub(super) fn dhcpv6(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let tuple = self.headers.tuple;
        let is_server = tuple.destination == SERVERS || place.subnet.is_router(tuple.destination);
        if tuple.protocol != IpProtocol::UDP.0
            || tuple.source_port != CLIENT_PORT
            || tuple.destination_port != SERVER_PORT
            || !is_server
        {
            return Ok(());
        }
        let port = place.interface.port;
        let at = (port, Direction::Egress);
        let vpc = self.policy.vpc(place.subnet).ok_or(DropReason::BrokenInterface)?;
        let own = tuple.source.is_link_local() || place.interface.has(tuple.source);
        let message = Message::parse(self.packet.frame, &self.headers).filter(|_| own);
        let ends = Ends {
            source_mac: place.subnet.router_mac,
            destination_mac: place.interface.mac,
            source: place.subnet.router_ipv6(),
            destination: tuple.source,
        };
        let answer = message.as_ref().and_then(|message| answer(message, place, vpc, ends));
        let Some(Made { frame, leased }) = answer else {
            return Err(self.dropped(Stage::Dhcp, at, DropReason::DhcpIgnored, |_| {
                "not a message to answer".to_owned()
            }));
        };
        self.step(Stage::Dhcp, at, Outcome::Reply, |_| {
            let what = if leased { "an address was leased" } else { "answered" };
            (None, what.to_owned())
        });
        self.send(port, &frame);
        if leased {
            self.out.dhcp_lease(port);
        }
        Err(Stop::Reply)
    }
}

struct Made {
    frame: Vec<u8>,
    /// Whether the client has an address from here on.
    leased: bool,
}

/// The answer to a message; `None` where it deserves none.
fn answer(message: &Message<'_>, place: Place<'_>, vpc: &Vpc, ends: Ends) -> Option<Made> {
    let server_id = server_id(place.subnet);
    // Whoever names a server must mean this one, and some have to.
    let must_name =
        matches!(message.kind, kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE);
    if message.server_id.is_none() && must_name
        || message.server_id.is_some_and(|named| named != server_id)
        || message.client_id.is_empty() && message.kind != kind::INFORMATION_REQUEST
    {
        return None;
    }
    let commits = message.kind == kind::SOLICIT && message.rapid_commit;
    let kind = match message.kind {
        kind::SOLICIT if !commits => kind::ADVERTISE,
        _ => kind::REPLY,
    };
    let mut answer = Answer::new(message, kind, &server_id, ends);
    let mut leased = false;
    match message.kind {
        kind::SOLICIT | kind::REQUEST | kind::RENEW | kind::REBIND => {
            if commits {
                answer.option(option::RAPID_COMMIT, &[]);
            }
            if let Some(association) = message.association {
                let has_address = associate(&mut answer, association, message, place);
                leased = has_address && kind == kind::REPLY;
            }
        }
        kind::CONFIRM => {
            let on_link = message
                .addresses
                .iter()
                .all(|address| place.interface.ipv6.iter().any(|own| own.number() == *address));
            answer.status(if on_link { status::SUCCESS } else { status::NOT_ON_LINK });
        }
        kind::RELEASE | kind::DECLINE => answer.status(status::SUCCESS),
        kind::INFORMATION_REQUEST => {}
        _ => return None,
    }
    answer.addresses(option::DNS, &vpc.dhcp.dns_ipv6);
    if let Some(name) = &vpc.dhcp.domain_name {
        answer.option(option::DOMAINS, &domain_name(name));
    }
    answer.addresses(option::SNTP, &vpc.dhcp.ntp_ipv6);
    Some(Made { frame: answer.finish(), leased })
}

/// Adds the address of an interface; what the client has beside it is valid no longer. Further
/// addresses of an interface are for the guest to configure (ENI-9).
fn associate(
    answer: &mut Answer,
    association: u32,
    message: &Message<'_>,
    place: Place<'_>,
) -> bool {
    let mut value = Vec::new();
    for number in [association, RENEW, REBIND] {
        value.extend_from_slice(&number.to_be_bytes());
    }
    let mut add = |address: u128, preferred: u32, valid: u32| {
        let mut entry = address.to_be_bytes().to_vec();
        entry.extend_from_slice(&preferred.to_be_bytes());
        entry.extend_from_slice(&valid.to_be_bytes());
        push_option(&mut value, option::ADDRESS, &entry);
    };
    let own = place.interface.ipv6.first().map(|address| address.number());
    if let Some(own) = own {
        add(own, PREFERRED, VALID);
    }
    for address in message.addresses.iter().filter(|address| Some(**address) != own) {
        add(*address, 0, 0);
    }
    if own.is_none() {
        push_option(&mut value, option::STATUS, &status::NO_ADDRESSES.to_be_bytes());
    }
    answer.option(option::ADDRESSES, &value);
    own.is_some()
}

/// The router's identity: a DUID of its MAC address (RFC 8415, 11.4).
fn server_id(subnet: &Subnet) -> [u8; 10] {
    let [a, b, c, d, e, f] = subnet.router_mac;
    [0, 3, 0, 1, a, b, c, d, e, f]
}
