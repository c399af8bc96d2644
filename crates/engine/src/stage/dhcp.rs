//! DHCP: the subnet's router answers by itself (L2-5, DHCP-*). Nothing filters it (SG-35).

use gureum_types::IpProtocol;
use ipnet::Ipv4Net;

use super::{Place, Stop, Walk};
use crate::{
    Direction, DropReason, Outcome, Output, Stage, Trace,
    address::Address,
    policy::{VPC_MTU, Vpc},
    wire::dhcp::{Answer, CLIENT_PORT, Message, SERVER_PORT, Server, answer_to, kind, option},
};

/// Seconds of a lease (L2-5).
const LEASE_SECONDS: u32 = 3600;

/// What there is to lease to an interface.
struct Lease {
    address: u32,
    router: u32,
    block: Ipv4Net,
}

impl Lease {
    /// Nothing, where the subnet has IPv6 only.
    fn of(place: Place<'_>) -> Option<Self> {
        let (address, _) = place.interface.addresses.first()?;
        Some(Self {
            address: address.as_v4()?,
            router: place.subnet.router()?.as_v4()?,
            block: place.subnet.block?,
        })
    }
}

/// What to say to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answering {
    Offer,
    Acknowledge,
    Inform,
    Refuse,
}

impl<O: Output, T: Trace> Walk<'_, '_, O, T> {
    /// Answers a DHCP message, if the packet is one.
    pub(super) fn dhcp(&mut self, place: Place<'_>) -> Result<(), Stop> {
        let tuple = self.headers.tuple;
        let Some(lease) = Lease::of(place) else { return Ok(()) };
        if tuple.protocol != IpProtocol::UDP.0
            || tuple.source_port != CLIENT_PORT
            || tuple.destination_port != SERVER_PORT
            || ![Address::v4(u32::MAX), Address::v4(lease.router)].contains(&tuple.destination)
        {
            return Ok(());
        }
        let port = place.interface.port;
        let at = (port, Direction::Egress);
        let message = Message::parse(self.packet.frame, &self.headers);
        let answering =
            message.as_ref().and_then(|message| decide(message, place, &lease, tuple.source));
        let (Some(message), Some(answering)) = (message, answering) else {
            return Err(self.dropped(Stage::Dhcp, at, DropReason::DhcpIgnored, |_| {
                "not a message to answer".to_owned()
            }));
        };
        let vpc = self.policy.vpc(place.subnet).ok_or(DropReason::BrokenInterface)?;
        let frame = build(&message, answering, place, &lease, vpc);
        self.step(Stage::Dhcp, at, Outcome::Reply, |_| {
            let what = match answering {
                Answering::Offer => "offered",
                Answering::Acknowledge | Answering::Inform => "confirmed",
                Answering::Refuse => "the address; another one was refused",
            };
            (None, format!("{} {what}", Address::v4(lease.address)))
        });
        self.send(port, &frame);
        if answering == Answering::Acknowledge {
            self.out.dhcp_lease(port);
        }
        Err(Stop::Reply)
    }
}

/// What a message deserves; `None` is no answer.
fn decide(
    message: &Message,
    place: Place<'_>,
    lease: &Lease,
    source: Address,
) -> Option<Answering> {
    let hardware = message.hardware.first_chunk::<6>();
    if hardware != Some(&place.interface.mac) || message.relay != 0 {
        return None;
    }
    match message.kind {
        kind::DISCOVER => Some(Answering::Offer),
        kind::REQUEST => {
            // Another server was chosen; there is none, but a guest may think so.
            if message.server_id.is_some_and(|id| id != lease.router) {
                return None;
            }
            // Selecting and rebooting clients name the address, renewing ones have it.
            let wanted = message.requested_address.unwrap_or(message.client_address);
            Some(if wanted == lease.address { Answering::Acknowledge } else { Answering::Refuse })
        }
        kind::INFORM if place.interface.has(source) => Some(Answering::Inform),
        _ => None,
    }
}

fn build(
    message: &Message,
    answering: Answering,
    place: Place<'_>,
    lease: &Lease,
    vpc: &Vpc,
) -> Vec<u8> {
    let own = lease.address;
    let server = Server { mac: place.subnet.router_mac, address: lease.router };
    let (kind, your_address) = match answering {
        Answering::Offer => (kind::OFFER, own),
        Answering::Acknowledge => (kind::ACK, own),
        Answering::Inform => (kind::ACK, 0),
        Answering::Refuse => (kind::NAK, 0),
    };
    let to = answer_to(message, kind, place.interface.mac, own);
    let mut answer = Answer::new(message, kind, server, your_address, to);
    if answering == Answering::Refuse {
        return answer.finish();
    }
    if answering != Answering::Inform {
        answer.option(option::LEASE_TIME, &LEASE_SECONDS.to_be_bytes());
    }
    answer.option(option::SUBNET_MASK, &lease.block.netmask().octets());
    answer.option(option::BROADCAST, &lease.block.broadcast().octets());
    answer.addresses(option::ROUTER, &[lease.router]);
    answer.addresses(option::DNS, &vpc.dhcp.dns);
    if let Some(name) = &vpc.dhcp.domain_name {
        answer.option(option::DOMAIN_NAME, name.as_bytes());
    }
    answer.option(option::HOST_NAME, host_name(own).as_bytes());
    answer.option(option::MTU, &VPC_MTU.to_be_bytes());
    answer.addresses(option::NTP, &vpc.dhcp.ntp);
    answer.addresses(option::NETBIOS_SERVERS, &vpc.dhcp.netbios);
    if let Some(kind) = vpc.dhcp.netbios_node_type {
        answer.option(option::NETBIOS_NODE_TYPE, &[kind]);
    }
    answer.finish()
}

/// `ip-10-1-1-5` (L2-5).
fn host_name(address: u32) -> String {
    let [a, b, c, d] = address.to_be_bytes();
    format!("ip-{a}-{b}-{c}-{d}")
}
