//! A policy that was compiled from the former one says the same as one that was compiled from
//! nothing, whatever changed in between: verdicts, frames, traces, components, state, reports.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use gureum_engine::{
    Component, Outcome, PortInfo, Step, Verdict, WhyQuery, WhySource, WhyTraffic, compile, print,
    testing::{
        Built, Ends, Lab, Sent,
        fuzz::{change_network, initial_network},
        lab::{FABRIC, OUTSIDE, OUTSIDE_IPV6},
        packets::{self, flags},
    },
    why,
};
use gureum_types::{
    PortIndex, VpcCidrAssociationId,
    record::{
        Network, NetworkInterface, PeeringStatus, Route, RouteDestination, RouteTarget,
        VpcCidrAssociation,
    },
};
use proptest::{collection::vec, prelude::*};

/// A MAC address that nobody has.
const NOBODY: [u8; 6] = [0x02, 0xde, 0xad, 0, 0, 1];

/// The same network twice: compiled from what was before, and from nothing.
struct Pair {
    one: Lab,
    other: Lab,
    /// Addresses that anybody ever had: nobody may answer to one that is gone.
    addresses: BTreeSet<IpAddr>,
    macs: BTreeSet<[u8; 6]>,
}

/// What a trace says, without numbers.
type Seen = (Verdict2, Vec<(Step, Option<Component>)>);
/// A verdict with what decided.
type Verdict2 = (Option<PortIndex>, Option<(&'static str, Option<Component>)>);

impl Pair {
    fn new() -> Self {
        let lab = Lab::with(initial_network(), Default::default());
        let others: [IpAddr; 4] = [
            OUTSIDE.into(),
            OUTSIDE_IPV6.into(),
            Ipv4Addr::new(10, 9, 9, 9).into(),
            Ipv4Addr::new(169, 254, 169, 253).into(),
        ];
        Self { one: lab.clone(), other: lab, addresses: others.into(), macs: BTreeSet::new() }
    }

    fn change(&mut self, change: impl FnOnce(&mut Network)) {
        let before = Arc::clone(&self.one.policy);
        self.one.change(change);
        self.other.network = self.one.network.clone();
        let epoch = self.one.policy.epoch();
        self.other.policy = Arc::new(compile(&self.other.network, epoch, &FABRIC));
        assert_eq!(ports(&self.one), ports(&self.other));
        assert_eq!(self.one.policy.listing(), self.other.policy.listing());
        for port in 0..20 {
            let names = [&self.one, &self.other].map(|lab| lab.policy.port_name(PortIndex(port)));
            assert_eq!(names[0], names[1]);
        }
        // A policy that is still in use stays as it was.
        assert_eq!(before.epoch() + 1, epoch);
    }

    /// Sends a frame through both.
    fn send(&mut self, port: PortIndex, built: Built, traced: bool) -> Sent {
        if !traced {
            let sent = self.one.send(port, built.clone());
            let other = self.other.send(port, built);
            assert_eq!(resolved(&self.one, sent.verdict), resolved(&self.other, other.verdict));
            assert_eq!((&sent.built, &sent.emitted), (&other.built, &other.emitted));
            return sent;
        }
        let (sent, steps) = self.one.trace(port, built.clone());
        let (other, other_steps) = self.other.trace(port, built);
        assert_eq!(
            seen(&self.one, &sent, steps),
            seen(&self.other, &other, other_steps),
            "from port {port}"
        );
        assert_eq!((&sent.built, &sent.emitted), (&other.built, &other.emitted));
        sent
    }

    /// Sends many packets between all ports and all addresses, some twice so that they are cached.
    fn probe(&mut self, serial: u16) {
        let network = self.one.network.clone();
        let addresses = &mut self.addresses;
        for interface in &network.interfaces {
            addresses.extend(interface.private_addresses.iter().copied().map(IpAddr::from));
            addresses.extend(interface.ipv6_addresses.iter().copied().map(IpAddr::from));
            addresses.extend(interface.auto_public_ip.map(IpAddr::from));
        }
        addresses.extend(network.addresses.iter().map(|address| IpAddr::from(address.public_ip)));
        self.macs.extend(network.interfaces.iter().map(|interface| interface.mac));
        let addresses: Vec<IpAddr> = self.addresses.iter().copied().collect();
        let macs: Vec<[u8; 6]> = self.macs.iter().copied().collect();
        let mut turn = usize::from(serial);
        for interface in &network.interfaces {
            let (port, mac) = (interface.port, interface.mac);
            self.send(port, packets::dhcp_discover(mac), false);
            let link_local = "fe80::1".parse().unwrap();
            let router = self.send(port, packets::router_solicitation(mac, link_local), true);
            let router = router.emitted.first().map(|(_, built)| built.frame[6..12].to_vec());
            for to in &addresses {
                turn += 1;
                if turn % 3 != 0 {
                    continue;
                }
                let sources =
                    (interface.private_addresses.first(), interface.ipv6_addresses.first());
                let (source, hop): (IpAddr, _) = match (to, sources) {
                    (IpAddr::V4(to), (Some(own), _)) => {
                        let request = packets::arp_request(mac, *own, *to);
                        let near = self.send(port, request, false).emitted;
                        let near = near.first().map(|(_, built)| built.frame[22..28].to_vec());
                        ((*own).into(), near.or_else(|| router.clone()))
                    }
                    (IpAddr::V6(to), (_, Some(own))) => {
                        let request = packets::neighbor_solicitation(mac, *own, *to);
                        let near = self.send(port, request, false).emitted;
                        let near = near.first().map(|(_, built)| built.frame[80..86].to_vec());
                        ((*own).into(), near.or_else(|| router.clone()))
                    }
                    _ => continue,
                };
                let hop = match turn % 4 {
                    0 => macs[turn / 4 % macs.len()],
                    _ => hop.and_then(|hop| hop.try_into().ok()).unwrap_or(NOBODY),
                };
                let ends = Ends { source_mac: mac, destination_mac: hop, source, destination: *to };
                self.burst(port, &ends, turn);
            }
        }
        for to in &addresses {
            let from: IpAddr = if to.is_ipv4() { OUTSIDE.into() } else { OUTSIDE_IPV6.into() };
            let ends = self.one.from_outside(from, *to);
            self.burst(PortIndex::INTERNET, &ends, turn);
            turn += 1;
        }
        assert!(self.one.state == self.other.state, "the states differ");
        assert_eq!(self.one.journal.records, self.other.journal.records);
        self.ask(&network, &addresses, turn);
    }

    fn burst(&mut self, port: PortIndex, ends: &Ends, turn: usize) {
        let ports = (40_000, [22, 80, 443, 53, 1000][turn % 5]);
        let built = match turn % 4 {
            0 => packets::icmp_echo(ends, 7, 1),
            1 => packets::udp(ends, ports, b"datagram"),
            2 => packets::tcp(ends, ports, flags::SYN, &[]),
            _ => packets::tcp(ends, ports, flags::ACK, b"data"),
        };
        let sent = self.send(port, built.clone(), true);
        self.send(port, built, false);
        // The answer, where somebody got it.
        let Some(to) = sent.arrived() else { return };
        let seen = sent.seen();
        let back = Ends {
            source_mac: seen.destination_mac,
            destination_mac: seen.source_mac,
            source: seen.destination,
            destination: seen.source,
        };
        let answer = match seen.protocol {
            6 => packets::tcp(&back, swap(seen.ports()), flags::SYN | flags::ACK, &[]),
            17 => packets::udp(&back, swap(seen.ports()), b"answer"),
            _ => packets::icmp_echo_reply(&back, 7, 1),
        };
        self.send(to, answer, true);
    }

    /// Asks why, for some packets.
    fn ask(&mut self, network: &Network, addresses: &[IpAddr], turn: usize) {
        for (at, interface) in network.interfaces.iter().enumerate() {
            let query = WhyQuery {
                source: WhySource::Interface { port: interface.port, address: None },
                destination: addresses[(turn + at * 5) % addresses.len()],
                traffic: WhyTraffic::Tcp { source_port: 50_000, destination_port: 22 },
            };
            let reports = [&mut self.one, &mut self.other].map(|lab| {
                let report = why(&lab.policy, &mut lab.state, &query, lab.now);
                print::why_report(&report) + &print::port(&lab.policy, &lab.state, interface.port)
            });
            assert_eq!(reports[0], reports[1]);
        }
    }
}

fn swap((from, to): (u16, u16)) -> (u16, u16) {
    (to, from)
}

fn ports(lab: &Lab) -> Vec<PortInfo> {
    let mut ports: Vec<_> = lab.policy.ports().cloned().collect();
    ports.sort_by_key(|info| info.port);
    ports
}

fn resolved(lab: &Lab, verdict: Verdict) -> Verdict2 {
    match verdict {
        Verdict::Forward(port) | Verdict::Translated(port) => (Some(port), None),
        Verdict::Reply => (None, None),
        Verdict::Drop(reason) => {
            let component = reason
                .component()
                .map(|index| lab.policy.component(index).expect("what decided is known").clone());
            (None, Some((reason.name(), component)))
        }
    }
}

/// A trace with names for numbers.
fn seen(lab: &Lab, sent: &Sent, steps: Vec<Step>) -> Seen {
    let steps = steps.into_iter().map(|mut step| {
        let named = step
            .component
            .take()
            .map(|index| lab.policy.component(index).expect("what decided is known").clone());
        if let Outcome::Drop(reason) = step.outcome {
            assert_eq!(
                reason.component().is_some(),
                resolved(lab, sent.verdict).1.unwrap().1.is_some()
            );
            step.outcome = Outcome::Reply;
        }
        (step, named)
    });
    (resolved(lab, sent.verdict), steps.collect())
}

/// Does something to a list of records that no operation would: takes one out, puts it elsewhere or
/// there twice, or puts in what was there in the beginning.
fn disturb<T: Clone>(list: &mut Vec<T>, initial: &[T], [what, from, to]: [u8; 3]) {
    let at = |place: u8, count: usize| usize::from(place) % count.max(1);
    let count = list.len();
    match what % 5 {
        0 if count > 0 => drop(list.remove(at(from, count))),
        1 if count > 0 => list.swap(at(from, count), at(to, count)),
        2 if count > 0 => list.push(list[at(from, count)].clone()),
        3 => *list = initial.to_vec(),
        _ if !initial.is_empty() => {
            list.insert(at(to, count), initial[at(from, initial.len())].clone());
        }
        _ => {}
    }
}

/// A change of a network: as an operation could make it, or anything.
fn change(network: &mut Network, serial: u64, bytes: &[u8; 14]) {
    let [kind, list, how @ ..] = *bytes;
    let how = [how[0], how[1], how[2]];
    match kind % 8 {
        0..=4 => change_network(network, serial, &bytes[1..]),
        5 => edit(network, list, how),
        _ => {
            let initial = initial_network();
            macro_rules! disturb_one {
                ($($name:ident)*) => {{
                    let all: &mut [(&str, &mut dyn FnMut())] =
                        &mut [$((stringify!($name), &mut || {
                            disturb(&mut network.$name, &initial.$name, how);
                        })),*];
                    let count = all.len();
                    (all[usize::from(list) % count].1)();
                }};
            }
            disturb_one!(vpcs subnets route_tables internet_gateways
                egress_only_internet_gateways nat_gateways vpc_endpoints vpc_peering_connections
                prefix_lists security_groups security_group_rules network_acls dhcp_options interfaces
                addresses);
        }
    }
}

/// Changes a field that operations of the fuzzer leave alone.
fn edit(network: &mut Network, which: u8, [from, to, value]: [u8; 3]) {
    let (from, to) = (usize::from(from), usize::from(to));
    let interfaces = network.interfaces.len().max(1);
    match which % 12 {
        0 => {
            for list in network.vpc_peering_connections.iter_mut() {
                let active = list.status == PeeringStatus::Active;
                let status = if active { PeeringStatus::Deleted } else { PeeringStatus::Active };
                Arc::make_mut(list).status = status;
            }
        }
        1 => {
            for gateway in network.nat_gateways.iter_mut() {
                use gureum_types::record::NatGatewayState::{Available, Deleted};
                let state = if gateway.state == Available { Deleted } else { Available };
                Arc::make_mut(gateway).state = state;
            }
        }
        2 => {
            for gateway in network.nat_gateways.iter_mut() {
                let own = network.interfaces.get(from % interfaces).map(|of| of.id.clone());
                Arc::make_mut(gateway).network_interface_id = own;
            }
        }
        3 => {
            let mac = match value % 2 {
                0 => Some([2, 0, 0, 9, 9, value]),
                _ => network.interfaces.get(to % interfaces).map(|of| of.mac),
            };
            if let (Some(mac), Some(of)) = (mac, network.interfaces.get_mut(from % interfaces)) {
                Arc::make_mut(of).mac = mac;
            }
        }
        4 => {
            if let Some(of) = network.interfaces.get_mut(from % interfaces) {
                Arc::make_mut(of).port = PortIndex(to as u32 % 12);
            }
        }
        5 => {
            let id = network.interfaces.get(to % interfaces).map(|of| of.id.clone());
            if let (Some(id), Some(of)) = (id, network.interfaces.get_mut(from % interfaces)) {
                Arc::make_mut(of).id = id;
            }
        }
        6 => {
            let addresses = network.interfaces.get(to % interfaces).map(|of| {
                (of.private_addresses.clone(), of.ipv6_addresses.clone(), of.auto_public_ip)
            });
            let of = network.interfaces.get_mut(from % interfaces);
            if let (Some(addresses), Some(of)) = (addresses, of) {
                let of = Arc::make_mut(of);
                if value.is_multiple_of(2) {
                    let [a, b, c, _] = of.primary_address().unwrap().octets();
                    of.private_addresses = vec![Ipv4Addr::new(a, b, c, 100 + value / 2)];
                    of.ipv6_addresses.pop();
                    return;
                }
                (of.private_addresses, of.ipv6_addresses, of.auto_public_ip) = addresses;
            }
        }
        7 => {
            if let Some(of) = network.interfaces.get_mut(from % interfaces) {
                let seconds = 60 + u32::from(value);
                Arc::make_mut(of).connection_tracking.tcp_established = Some(seconds);
            }
        }
        8 => {
            let subnets = network.subnets.len().max(1);
            let vpc = network.vpcs.get(to % 2).map(|(_, vpc)| vpc.id.clone());
            if let (Some(vpc), Some(of)) = (vpc, network.subnets.get_mut(from % subnets)) {
                Arc::make_mut(of).vpc_id = vpc;
            }
        }
        9 => {
            if let Some((_, vpc)) = network.vpcs.get_mut(from % 2) {
                let vpc = Arc::make_mut(vpc);
                vpc.enable_dns_support = !vpc.enable_dns_support;
                let blocks = &mut vpc.cidr_associations;
                blocks.truncate(1);
                if value.is_multiple_of(2) {
                    blocks.push(VpcCidrAssociation {
                        id: VpcCidrAssociationId::new(9),
                        cidr_block: "10.9.0.0/16".parse().unwrap(),
                    });
                }
            }
        }
        10 => {
            // The subnet's router would have this one; it must find another.
            let subnet = network.subnets.get(to % network.subnets.len().max(1)).cloned();
            let port = network.interfaces.get(from % interfaces).map(|of| of.port);
            if let (Some(subnet), Some(port)) = (subnet, port) {
                let mut lab = Lab::with(network.clone(), Default::default());
                let probe = network.interfaces.iter().find(|of| of.subnet_id == subnet.id);
                let Some(probe) = probe.cloned() else { return };
                let solicitation =
                    packets::router_solicitation(probe.mac, "fe80::1".parse().unwrap());
                let answer = lab.send(probe.port, solicitation).emitted;
                let Some((_, built)) = answer.first() else { return };
                let mac = built.frame[6..12].try_into().unwrap();
                if let Some(of) = network.interfaces.iter_mut().find(|of| of.port == port) {
                    Arc::make_mut(of).mac = mac;
                }
            }
        }
        _ => {
            let tables = network.route_tables.len().max(1);
            if let Some(of) = network.route_tables.get_mut(from % tables) {
                for association in &mut Arc::make_mut(of).associations {
                    association.main = !association.main;
                }
            }
        }
    }
}

/// Whatever is missing is compiled as missing, whatever comes back is found by what speaks of it:
/// each list of records, and each record, by itself, and in another order.
#[test]
fn what_goes_and_comes_back_alone_leaves_no_trace() {
    let mut initial = initial_network();
    // Each table leads to an interface of its VPC too.
    for table in &mut initial.route_tables {
        let of_vpc = |of: &&Arc<NetworkInterface>| {
            let subnet = initial.subnets.iter().find(|subnet| subnet.id == of.subnet_id);
            subnet.is_some_and(|subnet| subnet.vpc_id == table.vpc_id)
        };
        let Some(interface) = initial.interfaces.iter().find(of_vpc) else { continue };
        let destination = RouteDestination::Ipv4("10.77.0.0/16".parse().unwrap());
        let target = RouteTarget::NetworkInterface(interface.id.clone());
        Arc::make_mut(table).routes.push(Route { destination, target });
    }
    // Subnets have their VPC's main table and default list.
    for table in &mut initial.route_tables {
        Arc::make_mut(table).associations.retain(|of| of.subnet_id.is_none());
    }
    for acl in &mut initial.network_acls {
        Arc::make_mut(acl).associations.clear();
    }
    let mut pair = Pair::new();
    pair.change(|network| network.clone_from(&initial));
    macro_rules! without_each {
        ($($list:ident)*) => {$(
            pair.change(|network| network.$list.clear());
            pair.change(|network| network.$list = initial.$list.clone());
            pair.change(|network| network.$list.reverse());
            pair.change(|network| network.$list.reverse());
            for at in 0..initial.$list.len() {
                pair.change(|network| drop(network.$list.remove(at)));
                pair.change(|network| network.$list = initial.$list.clone());
            }
        )*};
    }
    without_each!(vpcs subnets route_tables internet_gateways egress_only_internet_gateways
        nat_gateways vpc_peering_connections prefix_lists security_groups security_group_rules
        network_acls dhcp_options interfaces addresses);
}

/// Of two interfaces with the same address the first has it, also when it comes after the other,
/// and what is left has it when one goes.
#[test]
fn the_first_of_two_has_an_address() {
    let initial = initial_network();
    let takes: [fn(&mut NetworkInterface, &NetworkInterface); 4] = [
        |one, other| one.mac = other.mac,
        |one, other| one.private_addresses.clone_from(&other.private_addresses),
        |one, other| one.ipv6_addresses.clone_from(&other.ipv6_addresses),
        |one, other| one.auto_public_ip = other.auto_public_ip,
    ];
    let count = initial.interfaces.len();
    let mut pair = Pair::new();
    for take in takes {
        for (one, other) in
            (0..count).flat_map(|one| [(one, (one + 1) % count), (one, (one + 2) % count)])
        {
            let both = |network: &mut Network| {
                let mut interfaces = initial.interfaces.clone();
                // Neighbours, so that they may share a link.
                let taken = interfaces[other].clone();
                let of = Arc::make_mut(&mut interfaces[one]);
                of.subnet_id = taken.subnet_id.clone();
                take(of, &taken);
                network.interfaces = interfaces;
            };
            for gone in [one, other] {
                pair.change(both);
                pair.change(|network| drop(network.interfaces.remove(gone)));
            }
            pair.change(both);
            pair.change(|network| network.interfaces.clone_from(&initial.interfaces));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_compiled_from_the_former_policy_says_the_same(
        history in vec(any::<[u8; 14]>(), 1..24),
    ) {
        let mut pair = Pair::new();
        pair.probe(0);
        for (serial, bytes) in history.iter().enumerate() {
            pair.change(|network| change(network, serial as u64, bytes));
            // Several changes may come between two packets.
            if bytes[13] % 4 != 0 {
                pair.probe(serial as u16);
            }
        }
        pair.probe(1);
    }
}

#[test]
fn several_changes_at_once_are_compiled_together() {
    let mut pair = Pair::new();
    for serial in 0..30u64 {
        pair.change(|network| {
            for step in 0..1 + serial % 7 {
                let mut bytes = [0u8; 14];
                let mut word = (serial + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ step << 17;
                for byte in &mut bytes {
                    word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = word.to_be_bytes()[0];
                }
                change(network, serial * 100 + step, &bytes);
            }
        });
        pair.probe(serial as u16);
    }
}

#[test]
fn what_did_not_change_keeps_its_components() {
    let mut pair = Pair::new();
    let (_, steps) = {
        let ends = pair.one.from_outside(OUTSIDE, Ipv4Addr::new(198, 18, 0, 11));
        pair.one.trace(PortIndex::INTERNET, packets::tcp_syn(&ends, (40_000, 80)))
    };
    let rule = steps.iter().rev().find_map(|step| step.component).expect("a rule decided");
    let before = pair.one.policy.component(rule).cloned();
    pair.change(|network| {
        let table = Arc::make_mut(&mut network.route_tables[0]);
        table.routes.clear();
    });
    assert!(before.is_some());
    assert_eq!(pair.one.policy.component(rule), before.as_ref());
}
