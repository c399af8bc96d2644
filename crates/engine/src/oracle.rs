//! The engine's slow and obvious twin. It reads the records, never the compiled policy, keeps its
//! own list of tracked flows, and looks everything up from front to back. Property tests hold the
//! engine to it.
//!
//! It speaks of whole IPv4 packets that fit every MTU, after ARP and besides DHCP.

#![allow(clippy::indexing_slicing, reason = "it is only ever part of tests")]

use std::net::Ipv4Addr;

use gureum_types::{
    IpProtocol, PortIndex, SecurityGroupId, ServiceDoor, caller_address, caller_of,
    record::{
        Network, NetworkAcl, NetworkInterface, RouteDestination, RouteTable, RouteTarget, RulePeer,
        SecurityGroupRule, Subnet, Traffic, Vpc, router_address,
    },
};
use ipnet::{IpNet, Ipv4Net};

use crate::Direction;

/// Whom a frame is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// The router of the sender's subnet.
    Router,
    /// The interface behind a port.
    Interface(PortIndex),
    /// A MAC address that nobody has.
    Nobody,
}

/// A packet in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The sender.
    pub source: Ipv4Addr,
    /// The receiver.
    pub destination: Ipv4Addr,
    /// What it is.
    pub kind: Kind,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP: source port, destination port, flags.
    Tcp(u16, u16, u8),
    /// UDP: source port, destination port.
    Udp(u16, u16),
    /// ICMP: type, code, identifier (0 where there is none).
    Icmp(u8, u8, u16),
    /// Another protocol.
    Other(u8),
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at a port, with these addresses.
    Arrives(PortIndex, Ipv4Addr, Ipv4Addr),
    /// It is dropped, for a reason of this name.
    Dropped(&'static str),
}

/// A tracked flow.
#[derive(Clone, Debug)]
struct Tracked {
    port: PortIndex,
    protocol: u8,
    local: (Ipv4Addr, u16),
    remote: (Ipv4Addr, u16),
    began: Direction,
    last_seen: u64,
    answered: bool,
    established: bool,
    closed_by: Vec<Direction>,
    reset: bool,
    /// The directions of UDP datagrams, without repetitions.
    turns: Vec<Direction>,
}

/// The twin.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    flows: Vec<Tracked>,
    loose_until: u64,
}

/// Where public addresses come from, as [`crate::testing`] tells the engine.
const PUBLIC_POOL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 20);
const SECOND: u64 = 1_000_000_000;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

type Answer<T> = Result<T, &'static str>;

impl Tracked {
    /// Appendix B.
    fn timeout(&self) -> u64 {
        let seconds = match IpProtocol(self.protocol) {
            IpProtocol::TCP if self.reset => 10,
            IpProtocol::TCP if self.established && self.closed_by.is_empty() => 432_000,
            IpProtocol::TCP => 60,
            IpProtocol::UDP if self.turns.len() >= 4 => 180,
            IpProtocol::UDP | IpProtocol::ICMP => 30,
            _ => 600,
        };
        seconds * SECOND
    }

    fn is_over(&self) -> bool {
        self.reset
            || (self.closed_by.contains(&Direction::Egress)
                && self.closed_by.contains(&Direction::Ingress))
    }

    fn see(&mut self, direction: Direction, kind: Kind, now: u64) {
        self.last_seen = now;
        if self.turns.last() != Some(&direction) {
            self.turns.push(direction);
        }
        let Kind::Tcp(_, _, flags) = kind else { return };
        if self.reset || flags & RST != 0 {
            self.reset = true;
        } else if flags & FIN != 0 {
            self.closed_by.push(direction);
        } else if direction != self.began && flags & SYN != 0 {
            self.answered = true;
        } else if direction == self.began && self.answered && flags & (SYN | ACK) == ACK {
            self.established = true;
        }
    }
}

impl Words {
    fn protocol(&self) -> u8 {
        match self.kind {
            Kind::Tcp(..) => 6,
            Kind::Udp(..) => 17,
            Kind::Icmp(..) => 1,
            Kind::Other(number) => number,
        }
    }

    fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            kind: match self.kind {
                Kind::Tcp(from, to, flags) => Kind::Tcp(to, from, flags),
                Kind::Udp(from, to) => Kind::Udp(to, from),
                other => other,
            },
        }
    }

    /// Local and remote end as the interface sees them. The ports of a ping are its identifier and
    /// whether this side asks.
    fn ends(&self, direction: Direction) -> [(Ipv4Addr, u16); 2] {
        let (from, to) = match self.kind {
            Kind::Tcp(from, to, _) | Kind::Udp(from, to) => (from, to),
            Kind::Icmp(kind, _, identifier) => {
                let asks = [8, 13, 15, 17].contains(&kind);
                let local_asks = asks == (direction == Direction::Egress);
                let question = match kind {
                    0 => 8,
                    14 | 16 | 18 => kind - 1,
                    _ => kind,
                };
                let mark = u16::from(question) * 2 + u16::from(local_asks);
                match direction {
                    Direction::Egress => (identifier, mark),
                    Direction::Ingress => (mark, identifier),
                }
            }
            Kind::Other(_) => (0, 0),
        };
        let ends = [(self.source, from), (self.destination, to)];
        match direction {
            Direction::Egress => ends,
            Direction::Ingress => [ends[1], ends[0]],
        }
    }

    fn begins_tcp(&self) -> bool {
        matches!(self.kind, Kind::Tcp(_, _, flags) if flags & (SYN | ACK | FIN | RST) == SYN)
    }
}

/// Whether a rule or an entry speaks of a packet, its addresses aside.
fn speaks_of(traffic: &Traffic, packet: &Words) -> bool {
    match (traffic, packet.kind) {
        (Traffic::All, _) => true,
        (Traffic::Ports { protocol, from, to }, Kind::Tcp(_, port, _)) => {
            *protocol == IpProtocol::TCP && (*from..=*to).contains(&port)
        }
        (Traffic::Ports { protocol, from, to }, Kind::Udp(_, port)) => {
            *protocol == IpProtocol::UDP && (*from..=*to).contains(&port)
        }
        (Traffic::Icmp { protocol, icmp_type, icmp_code }, Kind::Icmp(kind, code, _)) => {
            *protocol == IpProtocol::ICMP
                && icmp_type.is_none_or(|wanted| wanted == kind)
                && (icmp_type.is_none() || icmp_code.is_none_or(|wanted| wanted == code))
        }
        (Traffic::Icmp { protocol, .. } | Traffic::Ports { protocol, .. }, Kind::Other(number)) => {
            protocol.0 == number
        }
        (Traffic::Protocol(protocol), _) => protocol.0 == packet.protocol(),
        _ => false,
    }
}

fn is_everybody(peer: &RulePeer) -> bool {
    matches!(peer, RulePeer::Ipv4(block) if block.prefix_len() == 0)
}

/// Whether a rule is one for all ports of a protocol, from or to everybody (SGT-2).
fn is_wide_open(rule: &SecurityGroupRule, number: u8) -> bool {
    is_everybody(&rule.peer)
        && match rule.traffic {
            Traffic::All => true,
            Traffic::Ports { protocol, from: 0, to: 0xffff } | Traffic::Protocol(protocol) => {
                protocol.0 == number
            }
            _ => false,
        }
}

fn subnet_of<'a>(network: &'a Network, interface: &NetworkInterface) -> Option<&'a Subnet> {
    let subnet = network.subnets.iter().find(|subnet| subnet.id == interface.subnet_id)?;
    vpc_of(network, subnet).map(|_| subnet.as_ref())
}

fn vpc_of<'a>(network: &'a Network, subnet: &Subnet) -> Option<&'a Vpc> {
    network.vpcs.iter().find(|(_, vpc)| vpc.id == subnet.vpc_id).map(|(_, vpc)| vpc.as_ref())
}

fn behind(network: &Network, port: PortIndex) -> Option<&NetworkInterface> {
    network.interfaces.iter().find(|i| i.port == port).map(AsRef::as_ref)
}

fn by_private<'a>(
    network: &'a Network,
    vpc: &Vpc,
    address: Ipv4Addr,
) -> Option<&'a NetworkInterface> {
    network
        .interfaces
        .iter()
        .filter(|i| subnet_of(network, i).is_some_and(|subnet| subnet.vpc_id == vpc.id))
        .find(|i| i.private_addresses.contains(&address))
        .map(AsRef::as_ref)
}

/// The public address of a private one: an Elastic IP address before the automatic one (PUB-3).
fn public_of(
    network: &Network,
    interface: &NetworkInterface,
    private: Ipv4Addr,
) -> Option<Ipv4Addr> {
    let elastic = network.addresses.iter().find(|address| {
        address.association.as_ref().is_some_and(|association| {
            association.network_interface_id == interface.id && association.private_ip == private
        })
    });
    match elastic {
        Some(address) => Some(address.public_ip),
        None if Some(private) == interface.primary_address() => interface.auto_public_ip,
        None => None,
    }
}

fn has_gateway(network: &Network, vpc: &Vpc) -> bool {
    network.internet_gateways.iter().any(|gateway| gateway.vpc_id.as_ref() == Some(&vpc.id))
}

fn by_public(network: &Network, address: Ipv4Addr) -> Option<(&NetworkInterface, Ipv4Addr)> {
    network.interfaces.iter().find_map(|interface| {
        let vpc = vpc_of(network, subnet_of(network, interface)?)?;
        let private = interface
            .private_addresses
            .iter()
            .find(|private| public_of(network, interface, **private) == Some(address))?;
        has_gateway(network, vpc).then_some((interface.as_ref(), *private))
    })
}

/// The network ACL of a subnet: its own, or the VPC's default one (NACL-6).
fn acl_of<'a>(network: &'a Network, subnet: &Subnet) -> Option<&'a NetworkAcl> {
    let acls = || network.network_acls.iter();
    acls()
        .filter(|acl| acl.vpc_id == subnet.vpc_id)
        .rfind(|acl| acl.associations.iter().any(|a| a.subnet_id == subnet.id))
        .or_else(|| acls().rfind(|acl| acl.is_default && acl.vpc_id == subnet.vpc_id))
        .map(AsRef::as_ref)
}

/// The route table of a subnet: its own, or the VPC's main one (RT-3).
fn table_of<'a>(network: &'a Network, subnet: &Subnet) -> Option<&'a RouteTable> {
    let tables = || network.route_tables.iter();
    tables()
        .rfind(|table| {
            table.vpc_id == subnet.vpc_id
                && table.associations.iter().any(|a| a.subnet_id.as_ref() == Some(&subnet.id))
        })
        .or_else(|| {
            tables().rfind(|table| {
                table.vpc_id == subnet.vpc_id
                    && table.associations.iter().any(|a| a.main && a.subnet_id.is_none())
            })
        })
        .map(AsRef::as_ref)
}

fn is_private_space(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    a == 10
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 168)
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || a == 127
        || a == 0
        || a >= 224
}

fn known_address(door: ServiceDoor, vpc: &Vpc) -> Ipv4Addr {
    match door {
        ServiceDoor::Metadata => Ipv4Addr::new(169, 254, 169, 254),
        ServiceDoor::ResolverLinkLocal => Ipv4Addr::new(169, 254, 169, 253),
        ServiceDoor::ResolverVpc => (u32::from(vpc.cidr_block.network()) + 2).into(),
        ServiceDoor::Time => Ipv4Addr::new(169, 254, 169, 123),
    }
}

impl Oracle {
    /// As [`crate::State::set_loose_until`].
    pub fn set_loose_until(&mut self, until: u64) {
        self.loose_until = until;
    }

    /// How many flows are tracked at a time.
    pub fn tracked_flows(&self, now: u64) -> usize {
        self.flows.iter().filter(|flow| now - flow.last_seen < flow.timeout()).count()
    }

    /// What becomes of a packet.
    pub fn ask(
        &mut self,
        network: &Network,
        port: PortIndex,
        hop: Hop,
        packet: Words,
        now: u64,
    ) -> Fate {
        self.flows.retain(|flow| {
            behind(network, flow.port).is_some() && now - flow.last_seen < flow.timeout()
        });
        let way = match port {
            PortIndex::INTERNET => self.internet_ingress(network, packet, now),
            PortIndex::SERVICES => from_services(network, packet),
            _ => self.interface_egress(network, port, hop, packet, now),
        };
        match way {
            Ok((port, packet)) => Fate::Arrives(port, packet.source, packet.destination),
            Err(name) => Fate::Dropped(name),
        }
    }

    /// PIPE-1.
    fn interface_egress(
        &mut self,
        network: &Network,
        port: PortIndex,
        hop: Hop,
        packet: Words,
        now: u64,
    ) -> Answer<(PortIndex, Words)> {
        let interface = behind(network, port).ok_or("unknown-port")?;
        let subnet = subnet_of(network, interface).ok_or("broken-interface")?;
        let vpc = vpc_of(network, subnet).ok_or("broken-interface")?;
        let to = packet.destination;
        if to.is_broadcast() || subnet.cidr_block.is_some_and(|block| to == block.broadcast()) {
            return Err("broadcast");
        }
        if to.is_multicast() {
            return Err("multicast");
        }
        if let Some(door) = ServiceDoor::ALL.into_iter().find(|d| to == known_address(*d, vpc)) {
            return to_service(interface, vpc, door, packet);
        }
        let own = interface.private_addresses.contains(&packet.source);
        if interface.source_dest_check && !own {
            return Err("source-check");
        }
        self.security_groups(network, interface, Direction::Egress, packet, now)?;
        match hop {
            Hop::Router => {}
            Hop::Interface(other) if other != port => {
                let neighbour = behind(network, other).filter(|n| n.subnet_id == subnet.id);
                let neighbour = neighbour.ok_or("unknown-destination-mac")?;
                return self.arrive(network, neighbour, None, packet, now);
            }
            Hop::Interface(_) | Hop::Nobody => return Err("unknown-destination-mac"),
        }
        if !subnet.cidr_block.is_some_and(|block| block.contains(&to)) {
            network_acl(network, subnet, true, &packet)?;
        }
        match route(network, vpc, subnet, to)? {
            RouteTarget::Local => {
                let Some(other) = by_private(network, vpc, to) else {
                    let router = subnet.cidr_block.is_some_and(|block| to == router_address(block));
                    return Err(if router { "router-address" } else { "no-such-address" });
                };
                self.arrive(network, other, Some(subnet), packet, now)
            }
            RouteTarget::NetworkInterface(id) => {
                let other = network.interfaces.iter().find(|i| i.id == id);
                let other = other.ok_or("route-blackhole")?;
                self.arrive(network, other, Some(subnet), packet, now)
            }
            RouteTarget::NatGateway(_)
            | RouteTarget::EgressOnlyInternetGateway(_)
            | RouteTarget::VpcPeeringConnection(_) => Err("route-blackhole"),
            RouteTarget::InternetGateway(_) => {
                let owner = by_private(network, vpc, packet.source).ok_or("gateway-spoofed")?;
                if is_private_space(to) {
                    return Err("gateway-private-address");
                }
                let public = public_of(network, owner, packet.source);
                let source = public.ok_or("no-public-address")?;
                if matches!(packet.kind, Kind::Tcp(_, 25, _)) {
                    return Err("smtp-blocked");
                }
                let translated = Words { source, ..packet };
                match by_public(network, to) {
                    Some((other, private)) => {
                        let translated = Words { destination: private, ..translated };
                        let outside = Ipv4Net::default();
                        self.arrive_from(network, other, Some(outside), translated, now)
                    }
                    None if PUBLIC_POOL.contains(&to) => Err("unknown-public-address"),
                    None => Ok((PortIndex::INTERNET, translated)),
                }
            }
        }
    }

    fn internet_ingress(
        &mut self,
        network: &Network,
        packet: Words,
        now: u64,
    ) -> Answer<(PortIndex, Words)> {
        if is_private_space(packet.source) {
            return Err("gateway-private-address");
        }
        let (interface, private) =
            by_public(network, packet.destination).ok_or("unknown-public-address")?;
        let packet = Words { destination: private, ..packet };
        self.arrive_from(network, interface, Some(Ipv4Net::default()), packet, now)
    }

    fn arrive(
        &mut self,
        network: &Network,
        interface: &NetworkInterface,
        left: Option<&Subnet>,
        packet: Words,
        now: u64,
    ) -> Answer<(PortIndex, Words)> {
        let other = left.filter(|left| left.id != interface.subnet_id);
        self.arrive_from(network, interface, other.and_then(|left| left.cidr_block), packet, now)
    }

    /// PIPE-2. `outside` is some other place than the receiver's subnet.
    fn arrive_from(
        &mut self,
        network: &Network,
        interface: &NetworkInterface,
        outside: Option<Ipv4Net>,
        packet: Words,
        now: u64,
    ) -> Answer<(PortIndex, Words)> {
        let subnet = subnet_of(network, interface).ok_or("broken-interface")?;
        if outside.is_some() {
            network_acl(network, subnet, false, &packet)?;
        }
        self.security_groups(network, interface, Direction::Ingress, packet, now)?;
        let own = interface.private_addresses.contains(&packet.destination);
        if interface.source_dest_check && !own {
            return Err("destination-check");
        }
        Ok((interface.port, packet))
    }

    fn security_groups(
        &mut self,
        network: &Network,
        interface: &NetworkInterface,
        direction: Direction,
        packet: Words,
        now: u64,
    ) -> Answer<()> {
        let [local, remote] = packet.ends(direction);
        let known = self.flows.iter().position(|flow| {
            flow.port == interface.port
                && flow.protocol == packet.protocol()
                && (flow.local, flow.remote) == (local, remote)
        });
        if let Some(known) = known {
            if !(self.flows[known].is_over() && packet.begins_tcp()) {
                self.flows[known].see(direction, packet.kind, now);
                return Ok(());
            }
            self.flows.remove(known);
        }
        let reverse = match direction {
            Direction::Egress => Direction::Ingress,
            Direction::Ingress => Direction::Egress,
        };
        let rules = rules_of(network, interface, direction);
        let reverse_rules = rules_of(network, interface, reverse);
        let number = packet.protocol();
        let mine: Vec<_> = rules
            .iter()
            .filter(|rule| admits(network, interface, rule, direction, &packet))
            .collect();
        let answered: Vec<_> = reverse_rules
            .iter()
            .filter(|rule| admits(network, interface, rule, reverse, &packet.reversed()))
            .collect();
        let loose = now < self.loose_until
            && matches!(packet.kind, Kind::Tcp(_, _, flags) if flags & SYN == 0);
        let mut flow = Tracked {
            port: interface.port,
            protocol: number,
            local,
            remote,
            began: direction,
            last_seen: now,
            answered: loose,
            established: loose,
            closed_by: Vec::new(),
            reset: false,
            turns: Vec::new(),
        };
        if mine.is_empty() {
            if loose && !answered.is_empty() {
                flow.began = reverse;
                flow.see(direction, packet.kind, now);
                self.flows.push(flow);
                return Ok(());
            }
            return Err(match direction {
                Direction::Egress => "security-group-egress",
                Direction::Ingress => "security-group-ingress",
            });
        }
        let tcp_or_udp = number == 6 || number == 17;
        let everything = |rules: &[&SecurityGroupRule]| {
            tcp_or_udp && rules.iter().any(|rule| is_wide_open(rule, number))
        };
        let untracked =
            mine.iter().any(|rule| is_everybody(&rule.peer)) && everything(&reverse_rules);
        let answers_untracked = everything(&rules)
            && !packet.begins_tcp()
            && answered.iter().any(|rule| is_everybody(&rule.peer));
        if untracked || answers_untracked {
            return Ok(());
        }
        match packet.kind {
            Kind::Icmp(kind, ..) if ![8, 13, 15, 17].contains(&kind) => return Ok(()),
            Kind::Tcp(..) if !loose && !packet.begins_tcp() => return Err("tcp-not-tracked"),
            _ => {}
        }
        flow.see(direction, packet.kind, now);
        self.flows.push(flow);
        Ok(())
    }
}

fn rules_of<'a>(
    network: &'a Network,
    interface: &NetworkInterface,
    direction: Direction,
) -> Vec<&'a SecurityGroupRule> {
    let exists = |id: &SecurityGroupId| network.security_groups.iter().any(|g| g.id == *id);
    network
        .security_group_rules
        .iter()
        .filter(|rule| interface.groups.contains(&rule.group_id) && exists(&rule.group_id))
        .filter(|rule| rule.egress == (direction == Direction::Egress))
        .map(AsRef::as_ref)
        .collect()
}

fn admits(
    network: &Network,
    interface: &NetworkInterface,
    rule: &SecurityGroupRule,
    direction: Direction,
    packet: &Words,
) -> bool {
    let peer = match direction {
        Direction::Egress => packet.destination,
        Direction::Ingress => packet.source,
    };
    let peer_fits = match &rule.peer {
        RulePeer::Ipv4(block) => block.contains(&peer),
        RulePeer::Group(group) => {
            let vpc = subnet_of(network, interface).and_then(|subnet| vpc_of(network, subnet));
            let other = vpc.and_then(|vpc| by_private(network, vpc, peer));
            other.is_some_and(|other| other.groups.contains(group))
        }
        RulePeer::Ipv6(_) | RulePeer::PrefixList(_) => false,
    };
    peer_fits && speaks_of(&rule.traffic, packet)
}

fn network_acl(network: &Network, subnet: &Subnet, egress: bool, packet: &Words) -> Answer<()> {
    let acl = acl_of(network, subnet).ok_or("network-acl-missing")?;
    let mut entries: Vec<_> = acl.entries.iter().filter(|e| e.egress == egress).collect();
    entries.sort_by_key(|entry| entry.rule_number);
    let peer = if egress { packet.destination } else { packet.source };
    let first = entries.into_iter().find(|entry| {
        matches!(entry.cidr, IpNet::V4(block) if block.contains(&peer))
            && speaks_of(&entry.traffic, packet)
    });
    match first {
        Some(entry) if entry.allow => Ok(()),
        _ if egress => Err("network-acl-egress"),
        _ => Err("network-acl-ingress"),
    }
}

fn route(network: &Network, vpc: &Vpc, subnet: &Subnet, to: Ipv4Addr) -> Answer<RouteTarget> {
    let platform: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 168, 0), 22);
    if platform.contains(&to) {
        return Err("link-local-destination");
    }
    let table = table_of(network, subnet).ok_or("route-table-missing")?;
    let mut best: Option<(u8, RouteTarget)> = None;
    let made = table.routes.iter().filter_map(|route| match route.destination {
        RouteDestination::Ipv4(block) => Some((block, route.target.clone())),
        RouteDestination::Ipv6(_) | RouteDestination::PrefixList(_) => None,
    });
    let local = vpc.cidr_associations.iter().map(|a| (a.cidr_block, RouteTarget::Local));
    for (block, target) in made.chain(local) {
        let longer = best.as_ref().is_none_or(|(length, _)| block.prefix_len() > *length);
        if block.contains(&to) && longer {
            best = Some((block.prefix_len(), target));
        }
    }
    let (_, target) = best.ok_or("no-route")?;
    let alive = match &target {
        RouteTarget::Local => true,
        RouteTarget::InternetGateway(id) => network
            .internet_gateways
            .iter()
            .any(|gateway| gateway.id == *id && gateway.vpc_id.as_ref() == Some(&vpc.id)),
        RouteTarget::NetworkInterface(id) => network
            .interfaces
            .iter()
            .any(|i| i.id == *id && subnet_of(network, i).is_some_and(|s| s.vpc_id == vpc.id)),
        RouteTarget::NatGateway(_)
        | RouteTarget::EgressOnlyInternetGateway(_)
        | RouteTarget::VpcPeeringConnection(_) => false,
    };
    if alive { Ok(target) } else { Err("route-blackhole") }
}

fn to_service(
    interface: &NetworkInterface,
    vpc: &Vpc,
    door: ServiceDoor,
    packet: Words,
) -> Answer<(PortIndex, Words)> {
    let resolver = matches!(door, ServiceDoor::ResolverLinkLocal | ServiceDoor::ResolverVpc);
    if resolver && !vpc.enable_dns_support {
        return Err("resolver-disabled");
    }
    let open = match packet.kind {
        Kind::Tcp(_, 80, _) => door == ServiceDoor::Metadata,
        Kind::Tcp(_, 53, _) | Kind::Udp(_, 53) => resolver,
        Kind::Udp(_, 123) => door == ServiceDoor::Time,
        _ => false,
    };
    if !open {
        return Err("service-port-closed");
    }
    let index = interface.private_addresses.iter().position(|own| *own == packet.source);
    let caller = index.and_then(|index| caller_address(interface.port, index as u32));
    let source = caller.ok_or("source-check")?;
    Ok((PortIndex::SERVICES, Words { source, destination: door.address(), ..packet }))
}

fn from_services(network: &Network, packet: Words) -> Answer<(PortIndex, Words)> {
    const UNKNOWN: &str = "service-caller-unknown";
    let door = ServiceDoor::ALL.into_iter().find(|door| door.address() == packet.source);
    let (port, index) = caller_of(packet.destination).ok_or(UNKNOWN)?;
    let interface = behind(network, port).ok_or(UNKNOWN)?;
    let subnet = subnet_of(network, interface).ok_or(UNKNOWN)?;
    let vpc = vpc_of(network, subnet).ok_or(UNKNOWN)?;
    let destination = *interface.private_addresses.get(index as usize).ok_or(UNKNOWN)?;
    let source = known_address(door.ok_or(UNKNOWN)?, vpc);
    Ok((port, Words { source, destination, ..packet }))
}
