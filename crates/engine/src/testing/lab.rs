//! The VPC of the lab: four subnets, three security groups, five interfaces.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use gureum_types::{
    PortIndex, SecurityGroupId, SecurityGroupRuleId, SubnetId, VpcId,
    record::{Network, RouteTarget, RulePeer, SecurityGroupRule, Traffic, router_address},
};

use super::{
    packets::{self, Built, Ends},
    records::{self, all_icmp, anywhere, block, tcp},
    verify::{self, Seen},
};
use crate::{
    Compiler, DropReason, Dropped, FABRIC_ROUTER_MAC, FabricConfig, Limits, NoTrace, Offload,
    Output, Packet, Policy, Record, State, StateChange, Step, Tally, TallyKey, Verdict, expire,
    process,
};

/// PUBLIC-01, 10.1.1.11 in IMD-PUBLIC-A, 198.18.0.11.
pub const PUBLIC_01: PortIndex = PortIndex(2);
/// PUBLIC-02, 10.1.2.12 in IMD-PUBLIC-B, 198.18.0.12.
pub const PUBLIC_02: PortIndex = PortIndex(3);
/// PRIVATE-01, 10.1.11.21 in IMD-PRIVATE-A.
pub const PRIVATE_01: PortIndex = PortIndex(4);
/// PRIVATE-02, 10.1.12.22 in IMD-PRIVATE-B.
pub const PRIVATE_02: PortIndex = PortIndex(5);
/// BASTION, 10.1.2.13 in IMD-PUBLIC-B, 198.18.0.13.
pub const BASTION: PortIndex = PortIndex(6);

/// A host of the simulated internet.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 18, 200, 7);

/// The same in IPv6.
pub const OUTSIDE_IPV6: std::net::Ipv6Addr =
    std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 7);

/// The fabric's MAC addresses and the public addresses of VPCs.
pub const FABRIC: FabricConfig = FabricConfig {
    internet_mac: [0x02, 0x11, 0x11, 0x11, 0x11, 0x11],
    services_mac: [0x02, 0x22, 0x22, 0x22, 0x22, 0x22],
    public_pool: ipnet::Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 20),
    ipv6_pool: gureum_types::IPV6_POOL,
};

/// The type of the answer of neighbour discovery (RFC 4861).
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// A second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// What came of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The verdict.
    pub verdict: Verdict,
    /// The frame as the engine left it, or what it became in the other family.
    pub built: Built,
    /// Frames that the engine sent.
    pub emitted: Vec<(PortIndex, Built)>,
    /// Ports whose guests got a lease.
    pub leases: Vec<PortIndex>,
    /// What the engine told of packets that it dropped.
    pub told: Vec<Dropped>,
}

impl Sent {
    /// The port that the frame went to.
    pub fn arrived(&self) -> Option<PortIndex> {
        match self.verdict {
            Verdict::Forward(port) | Verdict::Translated(port) => Some(port),
            Verdict::Drop(_) | Verdict::Reply => None,
        }
    }

    /// Why it was dropped.
    pub fn dropped(&self) -> Option<DropReason> {
        match self.verdict {
            Verdict::Drop(reason) => Some(reason),
            Verdict::Forward(_) | Verdict::Translated(_) | Verdict::Reply => None,
        }
    }

    /// The frame as its receiver sees it.
    pub fn seen(&self) -> Seen {
        assert!(self.arrived().is_some(), "{:?}", self.verdict);
        Seen::ip(&self.built.frame)
    }

    /// The only frame that the engine sent in answer.
    pub fn answer(&self) -> &Built {
        assert_eq!(self.verdict, Verdict::Reply);
        assert_eq!(self.emitted.len(), 1);
        &self.emitted[0].1
    }
}

/// A journal as a host keeps it: records by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The records.
    pub records: std::collections::BTreeMap<u32, Record>,
    /// How many changes there were.
    pub changes: usize,
}

/// What interfaces with a flow log carried, as a host sums it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// The sums, in the order in which they began.
    pub sums: Vec<TallySum>,
    /// How many of them are of one packet of a flow that there was no room to keep.
    pub apart: usize,
}

/// What was carried of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TallySum {
    /// The key.
    pub key: TallyKey,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// TCP flags, or-ed.
    pub tcp_flags: u8,
}

impl Tallies {
    fn add(&mut self, entry: u32, tally: &Tally) -> u32 {
        // A hint is right, or it is none: nobody else is to be found by it.
        let place = usize::try_from(entry).ok().filter(|place| *place < self.sums.len());
        let known = place.filter(|place| self.sums[*place].key == tally.key);
        let place = known.unwrap_or_else(|| {
            let sum = TallySum { key: tally.key, packets: 0, bytes: 0, tcp_flags: 0 };
            self.sums.push(sum);
            self.sums.len() - 1
        });
        let sum = &mut self.sums[place];
        sum.packets += u64::from(tally.packets);
        sum.bytes += u64::from(tally.bytes);
        sum.tcp_flags |= tally.tcp_flags;
        u32::try_from(place).unwrap()
    }
}

#[derive(Default)]
struct Sink {
    emitted: Vec<(PortIndex, Built)>,
    leases: Vec<PortIndex>,
    journal: Journal,
    tallies: Tallies,
    dropped: Vec<Dropped>,
}

impl Output for Sink {
    fn emit(&mut self, port: PortIndex, frame: &[u8], offload: Offload) {
        if let Err(wrong) = verify::check(frame, &offload) {
            panic!("a frame of the engine's own to port {port}: {wrong}: {frame:02x?}");
        }
        self.emitted.push((port, Built { frame: frame.to_vec(), offload }));
    }

    fn journal(&mut self, change: StateChange<'_>) {
        self.journal.apply(change);
    }

    fn dhcp_lease(&mut self, port: PortIndex) {
        self.leases.push(port);
    }

    fn tally(&mut self, entry: u32, tally: &Tally) -> u32 {
        self.tallies.add(entry, tally)
    }

    fn dropped(&mut self, dropped: &Dropped) {
        self.dropped.push(*dropped);
    }

    fn tally_apart(&mut self, tally: &Tally) {
        self.tallies.apart += 1;
        self.tallies.add(u32::MAX, tally);
    }
}

impl Journal {
    /// Takes a change, which must fit what is there.
    pub fn apply(&mut self, change: StateChange<'_>) {
        self.changes += 1;
        match change {
            StateChange::Insert { slot, record } => {
                assert!(self.records.insert(slot, *record).is_none(), "slot {slot} was taken");
            }
            StateChange::Update { slot, record } => {
                assert!(self.records.insert(slot, *record).is_some(), "slot {slot} was empty");
            }
            StateChange::Remove { slot } => {
                assert!(self.records.remove(&slot).is_some(), "slot {slot} was empty");
            }
        }
    }
}

/// The lab with an engine.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The records.
    pub network: Network,
    /// What was compiled from them.
    pub policy: Arc<Policy>,
    compiler: Compiler,
    /// What the engine remembers.
    pub state: State,
    /// What a host would have written down.
    pub journal: Journal,
    /// What a host would have counted for flow logs.
    pub tallies: Tallies,
    /// The time.
    pub now: u64,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// The lab after its Task 2.
    pub fn new() -> Self {
        Self::with(lab_network(), Limits::default())
    }

    /// An engine on any network.
    pub fn with(network: Network, limits: Limits) -> Self {
        let mut compiler = Compiler::new(&FABRIC);
        let policy = Arc::new(compiler.compile(&network, 1));
        let state = State::new(limits);
        Self {
            network,
            policy,
            compiler,
            state,
            journal: Journal::default(),
            tallies: Tallies::default(),
            now: SECOND,
        }
    }

    /// Changes the records and swaps the policy, compiled from the former one.
    pub fn change(&mut self, change: impl FnOnce(&mut Network)) {
        change(&mut self.network);
        let epoch = self.policy.epoch() + 1;
        self.policy = Arc::new(self.compiler.compile(&self.network, epoch));
    }

    /// Adds a rule to a security group.
    pub fn add_rule(&mut self, group: u64, egress: bool, traffic: Traffic, peer: RulePeer) -> u64 {
        let number = 1000 + self.network.security_group_rules.len() as u64;
        let group = SecurityGroupId::new(group);
        self.change(|network| {
            let rule = records::rule(number, &group, egress, traffic, peer);
            network.security_group_rules.push(Arc::new(rule));
        });
        number
    }

    /// Removes the rules that answer to a condition; there must be some.
    pub fn remove_rules(&mut self, condition: impl Fn(&SecurityGroupRule) -> bool) {
        let before = self.network.security_group_rules.len();
        self.change(|network| network.security_group_rules.retain(|rule| !condition(rule)));
        assert!(self.network.security_group_rules.len() < before, "no rule to remove");
    }

    /// Changes an interface.
    pub fn change_interface(
        &mut self,
        port: PortIndex,
        change: impl FnOnce(&mut gureum_types::record::NetworkInterface),
    ) {
        self.change(|network| {
            let of = network.interfaces.iter_mut().find(|i| i.port == port).unwrap();
            change(Arc::make_mut(of));
        });
    }

    /// Lets time pass.
    pub fn wait(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
    }

    /// Lets the engine forget what has timed out.
    pub fn expire(&mut self) {
        let mut sink = self.sink();
        expire(&mut self.state, self.now, &mut sink);
        (self.journal, self.tallies) = (sink.journal, sink.tallies);
    }

    fn sink(&mut self) -> Sink {
        let (journal, tallies) = (&mut self.journal, &mut self.tallies);
        Sink {
            journal: std::mem::take(journal),
            tallies: std::mem::take(tallies),
            ..Sink::default()
        }
    }

    /// Hands a frame to the engine. Whatever leaves must be what a receiver accepts.
    pub fn send(&mut self, port: PortIndex, built: Built) -> Sent {
        self.send_traced(port, built, &mut NoTrace)
    }

    /// The same, with somebody who listens.
    pub fn trace(&mut self, port: PortIndex, built: Built) -> (Sent, Vec<Step>) {
        let mut steps = Vec::new();
        let sent = self.send_traced(port, built, &mut steps);
        (sent, steps)
    }

    fn send_traced(
        &mut self,
        port: PortIndex,
        mut built: Built,
        trace: &mut impl crate::Trace,
    ) -> Sent {
        let mut sink = self.sink();
        let mut packet = Packet { frame: &mut built.frame, offload: built.offload };
        let policy = Arc::clone(&self.policy);
        let verdict =
            process(&policy, &mut self.state, port, &mut packet, self.now, &mut sink, trace);
        built.offload = packet.offload;
        if let Verdict::Forward(to) = verdict
            && let Err(wrong) = verify::check(&built.frame, &built.offload)
        {
            panic!("from port {port} to port {to}: {wrong}: {:02x?}", built.frame);
        }
        if let Verdict::Translated(to) = verdict {
            let (port, translated) = sink.emitted.pop().expect("it was sent");
            assert_eq!(port, to);
            built = translated;
        }
        (self.journal, self.tallies) = (sink.journal, sink.tallies);
        Sent { verdict, built, emitted: sink.emitted, leases: sink.leases, told: sink.dropped }
    }

    /// The record of an interface.
    pub fn interface(&self, port: PortIndex) -> &gureum_types::record::NetworkInterface {
        self.network.interfaces.iter().find(|i| i.port == port).unwrap()
    }

    /// The primary private address behind a port.
    pub fn address(&self, port: PortIndex) -> Ipv4Addr {
        self.interface(port).primary_address().unwrap()
    }

    /// What ARP answers a guest.
    pub fn arp(&mut self, port: PortIndex, target: Ipv4Addr) -> Option<[u8; 6]> {
        let (mac, sender) = (self.interface(port).mac, self.address(port));
        let sent = self.send(port, packets::arp_request(mac, sender, target));
        // Before it there may be advertisements of routers, to whoever is new.
        let is_answer = |(_, built): &&(_, Built)| built.frame[12..14] == [0x08, 0x06];
        let (to, answer) = sent.emitted.iter().find(is_answer)?;
        assert_eq!(*to, port);
        Some(answer.frame[22..28].try_into().unwrap())
    }

    /// What neighbour discovery answers a guest.
    pub fn discover(&mut self, port: PortIndex, target: std::net::Ipv6Addr) -> Option<[u8; 6]> {
        let interface = self.interface(port);
        let (mac, sender) = (interface.mac, interface.ipv6_addresses[0]);
        let sent = self.send(port, packets::neighbor_solicitation(mac, sender, target));
        let is_answer = |(_, built): &&(_, Built)| built.frame[54] == NEIGHBOR_ADVERTISEMENT;
        let (to, answer) = sent.emitted.iter().find(is_answer)?;
        assert_eq!(*to, port);
        Some(answer.frame[80..86].try_into().unwrap())
    }

    /// The MAC address of a subnet's router, as it advertises itself.
    pub fn router_of(&mut self, port: PortIndex) -> [u8; 6] {
        let mac = self.interface(port).mac;
        let sent = self.send(port, packets::router_solicitation(mac, "fe80::1".parse().unwrap()));
        assert_eq!(sent.verdict, Verdict::Reply);
        let (_, answer) = sent.emitted.iter().find(|(to, _)| *to == port).unwrap();
        answer.frame[6..12].try_into().unwrap()
    }

    /// The ends of a packet from a guest to an address, with the next hop that ARP or neighbour
    /// discovery gives it. Where nobody answers, the next hop is a MAC address that nobody has.
    pub fn ends(&mut self, port: PortIndex, destination: impl Into<IpAddr>) -> Ends {
        const NOBODY: [u8; 6] = [0x02, 0xde, 0xad, 0, 0, 1];
        let interface = self.interface(port).clone();
        let subnet = self.network.subnets.iter().find(|s| s.id == interface.subnet_id).unwrap();
        let (cidr, ipv6) = (subnet.cidr_block, subnet.ipv6_block());
        let destination = destination.into();
        let (source, destination_mac) = match destination {
            IpAddr::V4(to) => {
                let cidr = cidr.unwrap();
                let near = cidr.contains(&to) || to.is_link_local();
                let hop = if near { to } else { router_address(cidr) };
                (interface.primary_address().unwrap().into(), self.arp(port, hop))
            }
            IpAddr::V6(to) => {
                let near = ipv6.unwrap().contains(&to);
                let mac = if near { self.discover(port, to) } else { Some(self.router_of(port)) };
                (interface.ipv6_addresses[0].into(), mac)
            }
        };
        Ends {
            source_mac: interface.mac,
            destination_mac: destination_mac.unwrap_or(NOBODY),
            source,
            destination,
        }
    }

    /// The ends of a packet from the internet.
    pub fn from_outside(&self, source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Ends {
        Ends {
            source_mac: FABRIC.internet_mac,
            destination_mac: FABRIC_ROUTER_MAC,
            source: source.into(),
            destination: destination.into(),
        }
    }

    /// A TCP packet from a guest.
    pub fn tcp(
        &mut self,
        port: PortIndex,
        to: impl Into<IpAddr>,
        ports: (u16, u16),
        flags: u8,
    ) -> Sent {
        let ends = self.ends(port, to);
        self.send(port, packets::tcp(&ends, ports, flags, &[]))
    }

    /// A ping from a guest.
    pub fn ping(&mut self, port: PortIndex, to: impl Into<IpAddr>, identifier: u16) -> Sent {
        let ends = self.ends(port, to);
        self.send(port, packets::icmp_echo(&ends, identifier, 1))
    }

    /// A ping from the internet.
    pub fn ping_from_outside(&mut self, to: impl Into<IpAddr>, identifier: u16) -> Sent {
        let ends = self.outside_ends(to);
        self.send(PortIndex::INTERNET, packets::icmp_echo(&ends, identifier, 1))
    }

    /// A TCP packet from the internet.
    pub fn tcp_from_outside(
        &mut self,
        to: impl Into<IpAddr>,
        ports: (u16, u16),
        flags: u8,
    ) -> Sent {
        let ends = self.outside_ends(to);
        self.send(PortIndex::INTERNET, packets::tcp(&ends, ports, flags, &[]))
    }

    /// From a host of the internet of the same family.
    fn outside_ends(&self, to: impl Into<IpAddr>) -> Ends {
        let to = to.into();
        match to {
            IpAddr::V4(_) => self.from_outside(OUTSIDE, to),
            IpAddr::V6(_) => self.from_outside(OUTSIDE_IPV6, to),
        }
    }

    /// The ends of the answer to a packet that arrived.
    pub fn answering(&mut self, sent: &Sent) -> (PortIndex, Ends) {
        let port = sent.arrived().expect("it arrived");
        let seen = sent.seen();
        let mut ends = match port {
            PortIndex::INTERNET | PortIndex::SERVICES => Ends {
                source_mac: seen.destination_mac,
                destination_mac: FABRIC_ROUTER_MAC,
                source: seen.destination,
                destination: seen.source,
            },
            _ => self.ends(port, seen.source),
        };
        ends.source = seen.destination;
        (port, ends)
    }

    /// The answer to a TCP packet that arrived.
    pub fn answer_tcp(&mut self, sent: &Sent, flags: u8) -> Sent {
        let (port, ends) = self.answering(sent);
        let (from, to) = sent.seen().ports();
        self.send(port, packets::tcp(&ends, (to, from), flags, &[]))
    }

    /// The answer to a ping that arrived.
    pub fn answer_ping(&mut self, sent: &Sent) -> Sent {
        let (port, ends) = self.answering(sent);
        let payload = sent.seen().payload;
        let identifier = verify::word(&payload, 4);
        self.send(port, packets::icmp_echo_reply(&ends, identifier, 1))
    }

    /// The answer to a UDP datagram that arrived.
    pub fn answer_udp(&mut self, sent: &Sent) -> Sent {
        let (port, ends) = self.answering(sent);
        let (from, to) = sent.seen().ports();
        self.send(port, packets::udp(&ends, (to, from), b"answer"))
    }

    /// A complete handshake from a guest, whose data then arrives.
    pub fn connect(&mut self, port: PortIndex, to: impl Into<IpAddr>, ports: (u16, u16)) {
        use packets::flags::{ACK, SYN};
        let to = to.into();
        let syn = self.tcp(port, to, ports, SYN);
        let answer = self.answer_tcp(&syn, SYN | ACK);
        assert_eq!(answer.arrived(), Some(port), "{:?}", answer.verdict);
        let ack = self.tcp(port, to, ports, ACK);
        assert_eq!(ack.arrived(), syn.arrived());
    }

    /// A complete handshake from the internet.
    pub fn connect_from_outside(&mut self, to: impl Into<IpAddr>, ports: (u16, u16)) -> Sent {
        use packets::flags::{ACK, SYN};
        let to = to.into();
        let syn = self.tcp_from_outside(to, ports, SYN);
        let answer = self.answer_tcp(&syn, SYN | ACK);
        assert_eq!(answer.arrived(), Some(PortIndex::INTERNET), "{:?}", answer.verdict);
        self.tcp_from_outside(to, ports, ACK)
    }
}

/// IMD-PUB-SG: 22, 80, 443 and all ICMP from anywhere.
pub const PUB_GROUP: u64 = 1;
/// IMD-BASTION-SG: 22 from anywhere.
pub const BASTION_GROUP: u64 = 2;
/// IMD-PRI-SG: 22 from IMD-BASTION-SG, ICMP from the VPC.
pub const PRI_GROUP: u64 = 3;

/// The main table, without explicit associations (RT-22).
pub const MAIN_TABLE: u64 = 1;
/// PUBLIC-RT.
pub const PUBLIC_TABLE: u64 = 2;
/// PRIVATE-RT.
pub const PRIVATE_TABLE: u64 = 3;

/// Everything, in a network ACL's words.
pub fn allow_all(number: u16, egress: bool) -> (u16, bool, bool, Traffic, ipnet::Ipv4Net) {
    (number, egress, true, Traffic::All, block("0.0.0.0/0"))
}

/// The records of the lab after its Task 2.
pub fn lab_network() -> Network {
    let vpc = records::vpc(1, block("10.1.0.0/16"));
    let subnets: Vec<_> = ["10.1.1.0/24", "10.1.2.0/24", "10.1.11.0/24", "10.1.12.0/24"]
        .iter()
        .zip(1..)
        .map(|(cidr, number)| records::subnet(number, &vpc.id, block(cidr)))
        .collect();
    let igw = records::internet_gateway(1, Some(&vpc.id));
    let to_internet = (block("0.0.0.0/0"), RouteTarget::InternetGateway(igw.id.clone()));
    let ids: Vec<SubnetId> = subnets.iter().map(|subnet| subnet.id.clone()).collect();
    let groups = [
        records::security_group(PUB_GROUP, &vpc.id, "IMD-PUB-SG"),
        records::security_group(BASTION_GROUP, &vpc.id, "IMD-BASTION-SG"),
        records::security_group(PRI_GROUP, &vpc.id, "IMD-PRI-SG"),
    ];
    let [public, bastion, private] = [0, 1, 2].map(|index| groups[index].id.clone());
    let mut rules = vec![
        (&public, false, tcp(22, 22), anywhere()),
        (&public, false, tcp(80, 80), anywhere()),
        (&public, false, tcp(443, 443), anywhere()),
        (&public, false, all_icmp(), anywhere()),
        (&bastion, false, tcp(22, 22), anywhere()),
        (&private, false, tcp(22, 22), RulePeer::Group(bastion.clone())),
        (&private, false, all_icmp(), records::from_block("10.1.0.0/16")),
    ];
    for group in [&public, &bastion, &private] {
        rules.push((group, true, Traffic::All, anywhere()));
    }
    let ip = |text: &str| -> Ipv4Addr { text.parse().unwrap() };
    let interfaces = [
        (PUBLIC_01, 0, "10.1.1.11", &public, Some("198.18.0.11")),
        (PUBLIC_02, 1, "10.1.2.12", &public, Some("198.18.0.12")),
        (PRIVATE_01, 2, "10.1.11.21", &private, None),
        (PRIVATE_02, 3, "10.1.12.22", &private, None),
        (BASTION, 1, "10.1.2.13", &bastion, Some("198.18.0.13")),
    ];
    Network {
        route_tables: vec![
            Arc::new(records::route_table(MAIN_TABLE, &vpc.id, true, &[], &[])),
            Arc::new(records::route_table(PUBLIC_TABLE, &vpc.id, false, &ids[..2], &[to_internet])),
            Arc::new(records::route_table(PRIVATE_TABLE, &vpc.id, false, &ids[2..], &[])),
        ],
        internet_gateways: vec![Arc::new(igw)],
        security_group_rules: rules
            .into_iter()
            .zip(1..)
            .map(|((group, egress, traffic, peer), number)| {
                Arc::new(records::rule(number, group, egress, traffic, peer))
            })
            .collect(),
        egress_only_internet_gateways: Vec::new(),
        nat_gateways: Vec::new(),
        vpc_endpoints: Vec::new(),
        vpc_peering_connections: Vec::new(),
        prefix_lists: Vec::new(),
        network_acls: vec![Arc::new(records::network_acl(
            1,
            &vpc.id,
            true,
            &ids,
            &[allow_all(100, true), allow_all(100, false)],
        ))],
        dhcp_options: vec![Arc::new(records::default_dhcp_options())],
        interfaces: interfaces
            .into_iter()
            .map(|(port, subnet, address, group, public)| {
                let subnet = &subnets[subnet];
                let groups = [group.clone()];
                let public = public.map(ip);
                Arc::new(records::interface(port, subnet, &[ip(address)], &groups, public))
            })
            .collect(),
        vpn_gateways: Vec::new(),
        transit_gateway_vpc_attachments: Vec::new(),
        restricted_subnets: Vec::new(),
        addresses: Vec::new(),
        security_groups: groups.into_iter().map(Arc::new).collect(),
        subnets: subnets.into_iter().map(Arc::new).collect(),
        vpcs: vec![(records::region(), Arc::new(vpc))],
        flow_logs: Vec::new(),
    }
}

/// The id of a rule by its number.
pub fn rule_id(number: u64) -> SecurityGroupRuleId {
    SecurityGroupRuleId::new(number)
}

/// The lab's VPC.
pub fn vpc_id() -> VpcId {
    VpcId::new(1)
}
