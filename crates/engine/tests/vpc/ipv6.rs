//! IPv6 (IGW-4, EIGW-1, SUB-5, PIPE-11, NACL-3, NACL-10): the lab's VPC with a block of it.

use std::{net::Ipv6Addr, sync::Arc};

use gureum_engine::{
    DropReason, Offload, UDP_STREAM_TIMEOUT, Verdict, WhyQuery, WhySource, WhyTraffic,
    testing::{
        Lab, Sent,
        lab::{
            BASTION, FABRIC, OUTSIDE_IPV6, PRIVATE_01, PRIVATE_02, PRIVATE_TABLE, PUBLIC_01,
            PUBLIC_02, PUBLIC_TABLE, SECOND,
        },
        packets::{
            self, Ends,
            flags::{ACK, SYN},
        },
        records,
        verify::{self, Seen, ipv6_address, word},
    },
    why,
};
use gureum_types::{
    EgressOnlyInternetGatewayId, InternetGatewayId, IpProtocol, PortIndex, RouteTableAssociationId,
    RouteTableId, ServiceDoor, ipv6_caller_address,
    record::{
        ConnectionTracking, NetworkAclEntry, Route, RouteDestination, RouteTableAssociation,
        RouteTarget, RulePeer, Traffic,
    },
};

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn add_route(lab: &mut Lab, table: u64, destination: &str, target: RouteTarget) {
    lab.change(|network| {
        let id = RouteTableId::new(table);
        let table = network.route_tables.iter_mut().find(|t| t.id == id).unwrap();
        let destination = RouteDestination::Ipv6(destination.parse().unwrap());
        Arc::make_mut(table).routes.push(Route { destination, target });
    });
}

fn everybody() -> RulePeer {
    RulePeer::Ipv6("::/0".parse().unwrap())
}

fn all_icmpv6() -> Traffic {
    Traffic::Icmp { protocol: IpProtocol::ICMPV6, icmp_type: None, icmp_code: None }
}

/// The lab dual-stack: a /64 a subnet, an address each, open ACLs, groups as open in IPv6 as in
/// IPv4, ::/0 to the internet gateway in PUBLIC-RT.
pub(crate) fn dual_stack() -> Lab {
    let mut lab = Lab::new();
    lab.change(|network| {
        let mut subnets: Vec<_> = network.subnets.iter().map(|s| (**s).clone()).collect();
        let vpc = Arc::make_mut(&mut network.vpcs[0].1);
        records::with_ipv6(vpc, "2001:db8:0:100::/56", &mut subnets);
        for interface in &mut network.interfaces {
            let subnet = subnets.iter().find(|s| s.id == interface.subnet_id).unwrap();
            let base = u128::from(subnet.ipv6_block().unwrap().network());
            let address = base + 0x10 + u128::from(interface.port.0);
            Arc::make_mut(interface).ipv6_addresses = vec![address.into()];
        }
        network.subnets = subnets.into_iter().map(Arc::new).collect();
        for acl in &mut network.network_acls {
            for egress in [true, false] {
                Arc::make_mut(acl).entries.push(NetworkAclEntry {
                    rule_number: 101,
                    egress,
                    allow: true,
                    traffic: Traffic::All,
                    cidr: "::/0".parse().unwrap(),
                });
            }
        }
        let more: Vec<_> = network
            .security_group_rules
            .iter()
            .filter_map(|rule| {
                let mut rule = (**rule).clone();
                match rule.peer {
                    RulePeer::Ipv4(_) => rule.peer = everybody(),
                    _ => return None,
                }
                if let Traffic::Icmp { .. } = rule.traffic {
                    rule.traffic = all_icmpv6();
                }
                let number = 100 + network.security_group_rules.len() as u64;
                rule.id = gureum_types::SecurityGroupRuleId::new(
                    number + u64::from_str_radix(&rule.id.as_str()[4..], 16).unwrap(),
                );
                Some(Arc::new(rule))
            })
            .collect();
        network.security_group_rules.extend(more);
    });
    let gateway = RouteTarget::InternetGateway(InternetGatewayId::new(1));
    add_route(&mut lab, PUBLIC_TABLE, "::/0", gateway);
    lab
}

pub(crate) fn address(lab: &Lab, port: PortIndex) -> Ipv6Addr {
    lab.interface(port).ipv6_addresses[0]
}

/// IPv4 only: nothing of IPv6 is heard.
#[test]
fn a_subnet_without_a_block_has_no_ipv6_cidr_12() {
    let mut lab = Lab::new();
    let mac = lab.interface(PUBLIC_01).mac;
    let sent = lab.send(PUBLIC_01, packets::router_solicitation(mac, ip("fe80::1")));
    assert_eq!(sent.dropped(), Some(DropReason::Ipv6NotEnabled));
}

/// SUB-5, L2-1: the router answers on its link-local address and on fe80:ec2::1; neighbours are
/// answered for.
#[test]
fn neighbours_and_the_router_are_found_l2_1() {
    let mut lab = dual_stack();
    let router = lab.router_of(PUBLIC_02);
    assert_eq!(lab.discover(PUBLIC_02, ip("fe80:ec2::1")), Some(router));
    let [a, b, c, d, e, f] = router;
    let interface = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    let link_local = Ipv6Addr::from(0xfe80 << 112 | u128::from(interface));
    assert_eq!(lab.discover(PUBLIC_02, link_local), Some(router));
    let bastion = address(&lab, BASTION);
    assert_eq!(lab.discover(PUBLIC_02, bastion), Some(lab.interface(BASTION).mac));
    // By its link-local address too, which is made of the MAC address.
    assert_eq!(lab.discover(PUBLIC_02, ip("fe80::ff:fe00:6")), Some(lab.interface(BASTION).mac));
    assert_eq!(lab.discover(PUBLIC_02, ip("fe80::200:ff:fe00:6")), None, "of another MAC address");
    // Another subnet's interface is no neighbour, an unused address nobody's (L2-2).
    let unused = ip("2001:db8:0:101::99");
    for target in [address(&lab, PUBLIC_01), unused, ip("fe80::9")] {
        assert_eq!(lab.discover(PUBLIC_02, target), None, "{target}");
    }
}

/// A solicitation is answered by who has the address, to who asked.
#[test]
fn an_advertisement_is_what_rfc_4861_says() {
    let mut lab = dual_stack();
    let (mac, own, other) =
        (lab.interface(PUBLIC_02).mac, address(&lab, PUBLIC_02), address(&lab, BASTION));
    let sent = lab.send(PUBLIC_02, packets::neighbor_solicitation(mac, own, other));
    let answer = sent.answer();
    let seen = Seen::ip(&answer.frame);
    assert_eq!((seen.source, seen.destination), (other.into(), own.into()));
    assert_eq!((seen.destination_mac, seen.ttl), (mac, 255));
    assert_eq!(seen.source_mac, lab.interface(BASTION).mac);
    assert_eq!(seen.icmp(), (136, 0));
    assert_eq!(seen.payload[4], 0x60, "solicited, override, no router");
    assert_eq!(ipv6_address(&seen.payload, 8), other);
    assert_eq!(seen.payload[24..26], [2, 1]);
    let router = packets::neighbor_solicitation(mac, own, ip("fe80:ec2::1"));
    let sent = lab.send(PUBLIC_02, router);
    assert_eq!(Seen::ip(&sent.answer().frame).payload[4], 0xe0, "a router");
    // A probe for an address that somebody has is answered to everybody (RFC 4862, 5.4.3).
    let probe = packets::neighbor_solicitation(mac, Ipv6Addr::UNSPECIFIED, other);
    let sent = lab.send(PUBLIC_02, probe);
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!(seen.destination, ip("ff02::1"));
    assert_eq!(seen.payload[4], 0x20, "not solicited");
}

/// Addresses come by DHCPv6: the router says so, and says how large packets may be.
#[test]
fn a_router_advertises_managed_addresses() {
    let mut lab = dual_stack();
    let mac = lab.interface(PUBLIC_01).mac;
    let sent = lab.send(PUBLIC_01, packets::router_solicitation(mac, ip("fe80::1")));
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!(seen.icmp(), (134, 0));
    assert_eq!((seen.ttl, seen.destination), (255, ip("fe80::1").into()));
    assert_eq!(seen.payload[5], 0xc0, "managed, other");
    assert_eq!(word(&seen.payload, 6), 1800);
    let options = &seen.payload[16..];
    assert_eq!(options[..2], [1, 1], "its MAC address");
    assert_eq!(options[2..8], seen.source_mac);
    assert_eq!(options[8..10], [5, 1], "MTU-1");
    assert_eq!(options[12..16], 9001u32.to_be_bytes());
    assert_eq!(options[16..20], [3, 4, 64, 0x80], "on the link, not for making up addresses");
    assert_eq!(ipv6_address(options, 32), ip("2001:db8:0:100::"));
    // A guest whose network is configured for it has the same.
    let network = lab.policy.guest_network(PUBLIC_01).expect("an instance's");
    assert_eq!(network.ipv6_router.map(Into::into), Some(seen.source));
    assert_eq!(network.ipv6_block.map(|it| it.to_string()).as_deref(), Some("2001:db8:0:100::/64"));
    assert_eq!(network.ipv6_addresses, [address(&lab, PUBLIC_01)]);
    assert!(network.resolvers.contains(&ip("fd00:ec2::253").into()), "DNS-1");
}

/// Who gets IPv6 while it runs is told of its router unasked, once.
#[test]
fn an_interface_that_gets_ipv6_hears_of_its_router() {
    let mut lab = dual_stack();
    let own = address(&lab, PUBLIC_01);
    lab.change_interface(PUBLIC_01, |i| i.ipv6_addresses.clear());
    let ping = |lab: &mut Lab| lab.ping(PUBLIC_02, ip("2001:db8:0:101::99"), 1).emitted;
    assert_eq!(ping(&mut lab), []);
    lab.change_interface(PUBLIC_01, |i| i.ipv6_addresses.push(own));
    // With the first packet of whomever under the new policy.
    let mac = lab.interface(PUBLIC_02).mac;
    let sent = lab.send(PUBLIC_02, packets::router_solicitation(mac, ip("fe80::1")));
    let (port, told) = &sent.emitted[0];
    assert_eq!(*port, PUBLIC_01);
    let seen = Seen::ip(&told.frame);
    assert_eq!((seen.icmp(), seen.destination), ((134, 0), ip("ff02::1").into()));
    assert_eq!(seen.destination_mac, lab.interface(PUBLIC_01).mac);
    let sent = lab.send(PUBLIC_02, packets::router_solicitation(mac, ip("fe80::1")));
    assert_eq!(sent.emitted.len(), 1, "only the answer");
}

/// Anti-spoofing: nobody else is a router, nobody moves an address, nobody asks as another.
#[test]
fn neighbour_discovery_cannot_be_forged_l2_2() {
    let mut lab = dual_stack();
    let mac = lab.interface(PUBLIC_01).mac;
    let own = address(&lab, PUBLIC_01);
    let foreign = address(&lab, BASTION);
    let target = foreign.octets();
    let mut advertisement = vec![0x20, 0, 0, 0];
    advertisement.extend_from_slice(&target);
    let cases = [
        (packets::neighbor(mac, own, 134, &[0; 16]), DropReason::RouterSpoofed),
        (packets::neighbor(mac, own, 137, &[0; 36]), DropReason::RouterSpoofed),
        (packets::neighbor(mac, own, 136, &advertisement), DropReason::NeighborGratuitous),
        (packets::neighbor_solicitation(mac, own, own), DropReason::NeighborGratuitous),
        (
            packets::neighbor_solicitation(mac, Ipv6Addr::UNSPECIFIED, own),
            DropReason::NeighborGratuitous,
        ),
        (
            packets::neighbor_solicitation(mac, own, ip("fe80::ff:fe00:2")),
            DropReason::NeighborGratuitous,
        ),
        (
            packets::neighbor_solicitation(mac, Ipv6Addr::UNSPECIFIED, ip("fe80::77")),
            DropReason::NeighborGratuitous,
        ),
        (packets::neighbor_solicitation(mac, foreign, own), DropReason::NeighborSpoofed),
        (
            packets::neighbor_solicitation(mac, own, foreign).with_hop_limit(64),
            DropReason::NeighborMalformed,
        ),
    ];
    for (built, reason) in cases {
        assert_eq!(lab.send(PUBLIC_01, built).dropped(), Some(reason));
    }
    // With another MAC address in it, or around it.
    let mut lying = packets::neighbor_solicitation(mac, own, foreign);
    let at = lying.frame.len() - 1;
    lying.frame[at] ^= 1;
    assert_eq!(lab.send(PUBLIC_01, lying).dropped(), Some(DropReason::NeighborSpoofed));
    let other = lab.interface(BASTION).mac;
    let around = packets::neighbor_solicitation(other, own, foreign);
    assert_eq!(lab.send(PUBLIC_01, around).dropped(), Some(DropReason::SourceMacSpoofed));
}

/// The options of a DHCPv6 answer, by code.
fn options(frame: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let seen = Seen::ip(frame);
    let mut rest = &seen.payload[12..];
    let mut options = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(word(rest, 2));
        options.push((word(rest, 0), rest[4..4 + length].to_vec()));
        rest = &rest[4 + length..];
    }
    options
}

fn option(frame: &[u8], code: u16) -> Option<Vec<u8>> {
    options(frame).into_iter().find(|(found, _)| *found == code).map(|(_, value)| value)
}

/// DHCPv6 gives the interface its address, the resolver and the domain (DNS-1, DHCP-3).
#[test]
fn dhcpv6_leases_the_address_of_the_interface() {
    let mut lab = dual_stack();
    let (mac, own) = (lab.interface(PUBLIC_01).mac, address(&lab, PUBLIC_01));
    let client: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 2];
    let association: &[u8] = &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut send = |kind: u8, options: &[(u16, &[u8])]| {
        lab.send(PUBLIC_01, packets::dhcpv6(mac, ip("fe80::1"), kind, options))
    };
    let advertised = send(1, &[(1, client), (3, association)]);
    let frame = &advertised.answer().frame;
    let seen = Seen::ip(frame);
    assert_eq!(seen.ports(), (547, 546));
    assert_eq!(seen.payload[8..12], [2, 0x11, 0x22, 0x33], "advertise, the same transaction");
    assert_eq!(option(frame, 1).as_deref(), Some(client));
    let server = option(frame, 2).unwrap();
    let addresses = option(frame, 3).unwrap();
    assert_eq!(addresses[..4], [0, 0, 0, 9]);
    assert_eq!(ipv6_address(&addresses, 16), own);
    assert_eq!(option(frame, 23).map(|v| ipv6_address(&v, 0)), Some(ip("fd00:ec2::253")));
    let domain = b"\x0eap-northeast-2\x07compute\x08internal\0";
    assert_eq!(option(frame, 24).as_deref(), Some(&domain[..]));
    assert!(advertised.leases.is_empty());
    let leased = send(3, &[(1, client), (2, &server), (3, association)]);
    assert_eq!(Seen::ip(&leased.answer().frame).payload[8], 7);
    assert_eq!(leased.leases, [PUBLIC_01]);
    // At once, where the client asks for that.
    let at_once = send(1, &[(1, client), (3, association), (14, &[])]);
    assert_eq!(Seen::ip(&at_once.answer().frame).payload[8], 7);
    assert!(option(&at_once.answer().frame, 14).is_some());
    assert_eq!(at_once.leases, [PUBLIC_01]);
    // An address that is not the interface's is valid no longer.
    let mut held = association.to_vec();
    held.extend_from_slice(&[0, 5, 0, 24]);
    held.extend_from_slice(&ip("2001:db8::9").octets());
    held.extend_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    let renewed = send(5, &[(1, client), (2, &server), (3, &held)]);
    let addresses = option(&renewed.answer().frame, 3).unwrap();
    assert_eq!(ipv6_address(&addresses, 16), own);
    assert_eq!(ipv6_address(&addresses, 44), ip("2001:db8::9"));
    assert_eq!(addresses[60..68], [0; 8], "no lifetime");
    let confirmed = send(4, &[(1, client), (3, &held)]);
    assert_eq!(option(&confirmed.answer().frame, 13), Some(vec![0, 4]), "not on this link");
    let asked = send(11, &[]);
    assert!(option(&asked.answer().frame, 23).is_some(), "information needs no identity");
}

/// Messages that deserve no answer get none.
#[test]
fn dhcpv6_ignores_what_is_not_for_it() {
    let mut lab = dual_stack();
    let mac = lab.interface(PUBLIC_01).mac;
    let client: (u16, &[u8]) = (1, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 2]);
    let other: (u16, &[u8]) = (2, &[9; 10]);
    type Case<'a> = (u8, &'a [(u16, &'a [u8])]);
    let cases: [Case<'_>; 5] =
        [(3, &[client]), (3, &[client, other]), (1, &[]), (7, &[client]), (99, &[client])];
    for (kind, options) in cases {
        let sent = lab.send(PUBLIC_01, packets::dhcpv6(mac, ip("fe80::1"), kind, options));
        assert_eq!(sent.dropped(), Some(DropReason::DhcpIgnored), "{kind} {options:?}");
    }
}

/// DHCP-3: an address that is given back is taken note of; an association beside the first one is
/// not served; the server is known by its router's MAC address.
#[test]
fn dhcpv6_answers_the_rest_too() {
    let mut lab = dual_stack();
    let mac = lab.interface(PUBLIC_01).mac;
    let router = lab.router_of(PUBLIC_01);
    let server = [&[0, 3, 0, 1][..], &router].concat();
    let client: (u16, &[u8]) = (1, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 2]);
    for kind in [8, 9] {
        let built = packets::dhcpv6(mac, ip("fe80::1"), kind, &[client, (2, &server)]);
        let sent = lab.send(PUBLIC_01, built);
        let frame = &sent.answer().frame;
        assert_eq!(Seen::ip(frame).payload[8], 7, "a reply");
        assert_eq!(option(frame, 13), Some(vec![0, 0]), "success");
        assert_eq!(option(frame, 2).as_deref(), Some(&server[..]));
        assert!(sent.leases.is_empty());
    }
    let associations: [&[u8]; 2] =
        [&[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]];
    let both = associations.map(|association| (3, association));
    let built = packets::dhcpv6(mac, ip("fe80::1"), 1, &[client, both[0], both[1]]);
    let sent = lab.send(PUBLIC_01, built);
    let frame = &sent.answer().frame;
    assert_ne!(word(&Seen::ip(frame).payload, 6), 0, "IPv6 has no datagram without a checksum");
    let served: Vec<_> = options(frame).into_iter().filter(|(code, _)| *code == 3).collect();
    assert_eq!(served.len(), 1);
    assert_eq!(served[0].1[..4], [0, 0, 0, 9]);
}

/// DHCP-3: what only looks like a message to the server is none, and goes the way of any packet.
#[test]
fn other_packets_are_no_dhcpv6() {
    let mut lab = dual_stack();
    let (mac, router_mac) = (lab.interface(PUBLIC_02).mac, lab.router_of(PUBLIC_02));
    let ends = |destination: Ipv6Addr| Ends {
        source_mac: mac,
        destination_mac: router_mac,
        source: ip("fe80::1").into(),
        destination: destination.into(),
    };
    // The router's link-local address is made of its MAC address.
    let [a, b, c, d, e, f] = router_mac.map(u16::from);
    let router =
        Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f);
    let (router, everybody) = (ends(router), ends(ip("ff02::1:2")));
    let mut reason = |built| lab.send(PUBLIC_02, built).dropped();
    let ignored = Some(DropReason::DhcpIgnored);
    assert_eq!(reason(packets::udp(&router, (546, 547), b"")), ignored, "to the server");
    for built in [
        packets::tcp_syn(&router, (546, 547)),
        packets::udp(&router, (545, 547), b""),
        packets::udp(&router, (546, 546), b""),
        packets::tcp_syn(&everybody, (546, 547)),
        packets::udp(&ends(ip("2001:db8::9")), (546, 547), b""),
    ] {
        let reason = reason(built.clone());
        assert!(reason.is_some() && reason != ignored, "{reason:?}: {:02x?}", built.frame);
    }
}

/// IGW-4: no translation; a global address and a route to the gateway are all there is to it.
#[test]
fn the_internet_gateway_translates_nothing_igw_4() {
    let mut lab = dual_stack();
    let own = address(&lab, PUBLIC_01);
    let ping = lab.ping(PUBLIC_01, OUTSIDE_IPV6, 5);
    assert_eq!(ping.arrived(), Some(PortIndex::INTERNET));
    assert_eq!((ping.seen().source, ping.seen().destination), (own.into(), OUTSIDE_IPV6.into()));
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PUBLIC_01));
    let syn = lab.tcp_from_outside(own, (40_000, 80), SYN);
    assert_eq!(syn.arrived(), Some(PUBLIC_01));
    assert_eq!(lab.answer_tcp(&syn, SYN | ACK).arrived(), Some(PortIndex::INTERNET));
    // Without a route there is no answer (IGW-6); PRIVATE-01's table has none.
    let private = address(&lab, PRIVATE_01);
    let inward = lab.ping_from_outside(private, 6);
    assert_eq!(inward.arrived(), Some(PRIVATE_01));
    assert_eq!(lab.answer_ping(&inward).dropped(), Some(DropReason::NoRoute));
}

/// RT-18: the gateway's own table leads through an appliance in IPv6 too, whose addresses are all
/// public (IGW-4).
#[test]
fn an_edge_table_leads_through_an_appliance_rt_18() {
    let mut lab = dual_stack();
    lab.change_interface(BASTION, |i| i.source_dest_check = false);
    let bastion = lab.interface(BASTION).id.clone();
    let group = lab.interface(BASTION).groups[0].clone();
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        let mut edge = records::route_table(70, &vpc, false, &[], &[]);
        edge.routes.push(Route {
            destination: RouteDestination::Ipv6("2001:db8:0:100::/64".parse().unwrap()),
            target: RouteTarget::NetworkInterface(bastion),
        });
        edge.associations.push(RouteTableAssociation {
            id: RouteTableAssociationId::new(70),
            subnet_id: None,
            gateway_id: Some(InternetGatewayId::new(1)),
            main: false,
        });
        network.route_tables.push(Arc::new(edge));
        let rule = records::rule(900, &group, false, Traffic::All, everybody());
        network.security_group_rules.push(Arc::new(rule));
    });
    let own = address(&lab, PUBLIC_01);
    assert_eq!(lab.ping_from_outside(own, 1).arrived(), Some(BASTION));
}

/// IGW-16, IGW-17, IGW-18 for IPv6.
#[test]
fn the_gateway_takes_no_nonsense_igw_18() {
    let mut lab = dual_stack();
    for (destination, reason) in [
        ("fd12::1", DropReason::GatewayPrivateAddress),
        ("2001:db8:7::1", DropReason::UnknownPublicAddress),
        ("ff05::1", DropReason::Multicast),
        ("fe80::77", DropReason::LinkLocalDestination),
    ] {
        let sent = lab.ping(PUBLIC_01, ip(destination), 1);
        assert_eq!(sent.dropped(), Some(reason), "{destination}");
    }
    lab.change_interface(PUBLIC_01, |i| i.source_dest_check = false);
    let mut ends = lab.ends(PUBLIC_01, OUTSIDE_IPV6);
    ends.source = ip("2001:db8:0:1ff::1").into();
    let sent = lab.send(PUBLIC_01, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::GatewaySpoofed));
    let from = lab.from_outside(ip("fd00::1"), address(&lab, PUBLIC_01));
    let sent = lab.send(PortIndex::INTERNET, packets::icmp_echo(&from, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::GatewayPrivateAddress));
    // A mapped address is IPv4's on no wire.
    let from = lab.from_outside(OUTSIDE_IPV6, ip("::ffff:198.18.0.11"));
    let mapped =
        packets::ip(&Ends { destination: ip("::ffff:198.18.0.11").into(), ..from }, 17, &[0; 8]);
    assert_eq!(lab.send(PortIndex::INTERNET, mapped).dropped(), Some(DropReason::Malformed));
}

/// SDC-1: a source must be the interface's own in IPv6 too.
#[test]
fn a_source_is_checked_sdc_1() {
    let mut lab = dual_stack();
    let mut ends = lab.ends(PUBLIC_01, OUTSIDE_IPV6);
    ends.source = address(&lab, BASTION).into();
    let sent = lab.send(PUBLIC_01, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(sent.dropped(), Some(DropReason::SourceCheck));
}

/// PIPE-11: rules, entries and routes of one family never speak of the other.
#[test]
fn the_families_are_independent_pipe_11() {
    // Groups.
    let mut lab = dual_stack();
    lab.remove_rules(|rule| !rule.egress && matches!(rule.peer, RulePeer::Ipv6(_)));
    let own = address(&lab, PUBLIC_01);
    let sent = lab.tcp_from_outside(own, (1, 80), SYN);
    assert_eq!(sent.dropped(), Some(DropReason::SecurityGroupIngress));
    let ipv4: std::net::Ipv4Addr = "198.18.0.11".parse().unwrap();
    assert_eq!(lab.tcp_from_outside(ipv4, (1, 80), SYN).arrived(), Some(PUBLIC_01));
    // ACLs: without 101 there is only the closing entry of IPv6, 32768 (NACL-3, NACL-4).
    let mut lab = dual_stack();
    lab.change(|network| {
        for acl in &mut network.network_acls {
            Arc::make_mut(acl).entries.retain(|entry| entry.cidr.addr().is_ipv4());
        }
    });
    let sent = lab.tcp_from_outside(own, (1, 80), SYN);
    let Some(DropReason::NetworkAclIngress(entry)) = sent.dropped() else {
        panic!("{:?}", sent.verdict)
    };
    let decided = lab.policy.component(entry).unwrap();
    assert!(matches!(
        decided,
        gureum_engine::Component::NetworkAclEntry { number: 32_768, egress: false, .. }
    ));
    assert_eq!(lab.tcp_from_outside(ipv4, (1, 80), SYN).arrived(), Some(PUBLIC_01));
    // Routes: 0.0.0.0/0 leads no packet of IPv6 anywhere.
    let mut lab = dual_stack();
    lab.change(|network| {
        for table in &mut network.route_tables {
            let routes = &mut Arc::make_mut(table).routes;
            routes.retain(|route| matches!(route.destination, RouteDestination::Ipv4(_)));
        }
    });
    assert_eq!(lab.ping(PUBLIC_01, OUTSIDE_IPV6, 1).dropped(), Some(DropReason::NoRoute));
}

/// SGT-2, SGT-4: tracking is decided a family.
#[test]
fn the_egress_rule_of_ipv6_decides_about_tracking_in_ipv6_sgt_4() {
    let tracked = |lab: &mut Lab| {
        let own = address(lab, PUBLIC_01);
        let sent = lab.tcp_from_outside(own, (40_000, 80), SYN);
        assert_eq!(sent.arrived(), Some(PUBLIC_01));
        let mut flows = lab.state.flows();
        flows.find(|flow| flow.port == PUBLIC_01).unwrap().tracked
    };
    assert!(!tracked(&mut dual_stack()));
    let mut lab = dual_stack();
    lab.remove_rules(|rule| rule.egress && matches!(rule.peer, RulePeer::Ipv6(_)));
    assert!(tracked(&mut lab), "the rule of IPv4 that is left does not count");
}

/// SG-15, SGT-7, NACL-10: types of ICMPv6, and ICMPv6 over IPv4 as a protocol like any.
#[test]
fn icmpv6_has_types_in_ipv6_only_nacl_10() {
    let mut lab = dual_stack();
    lab.remove_rules(|rule| !rule.egress && matches!(rule.traffic, Traffic::Icmp { .. }));
    let group = lab.interface(PUBLIC_01).groups[0].clone();
    let echo =
        Traffic::Icmp { protocol: IpProtocol::ICMPV6, icmp_type: Some(128), icmp_code: None };
    lab.change(|network| {
        let rules = &mut network.security_group_rules;
        rules.push(Arc::new(records::rule(901, &group, false, echo, everybody())));
        rules.push(Arc::new(records::rule(902, &group, false, echo, records::anywhere())));
    });
    let own = address(&lab, PUBLIC_01);
    assert_eq!(lab.ping_from_outside(own, 1).arrived(), Some(PUBLIC_01));
    let ends = lab.from_outside(OUTSIDE_IPV6, own);
    let error = packets::icmp(&ends, (1, 4), [0; 4], &[0; 48]);
    let sent = lab.send(PortIndex::INTERNET, error);
    assert_eq!(sent.dropped(), Some(DropReason::SecurityGroupIngress), "SGT-15");
    let ipv4: std::net::Ipv4Addr = "198.18.0.11".parse().unwrap();
    let outside = gureum_engine::testing::lab::OUTSIDE;
    let ends = lab.from_outside(outside, ipv4);
    let sent = lab.send(PortIndex::INTERNET, packets::ip(&ends, 58, &[1, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(sent.arrived(), Some(PUBLIC_01), "no type to compare");
}

/// RT-1, PIPE-5: local routes for the blocks of IPv6, both ACLs on the way.
#[test]
fn subnets_reach_each_other_rt_1() {
    let mut lab = dual_stack();
    let ping = lab.ping(PUBLIC_01, address(&lab, PRIVATE_01), 9);
    assert_eq!(ping.arrived(), Some(PRIVATE_01));
    let router = ping.seen().source_mac;
    assert_eq!(router, lab.router_of(PRIVATE_01));
    assert_eq!(ping.seen().ttl, 64, "PIPE-7");
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PUBLIC_01));
    let nobody = lab.ping(PUBLIC_01, ip("2001:db8:0:102::99"), 9);
    assert_eq!(nobody.dropped(), Some(DropReason::NoSuchAddress));
}

/// SG-30: group references match IPv6 addresses of members.
#[test]
fn references_to_groups_match_ipv6_addresses_sg_30() {
    let mut lab = dual_stack();
    let to = address(&lab, PRIVATE_01);
    assert_eq!(lab.tcp(BASTION, to, (1, 22), SYN).arrived(), Some(PRIVATE_01));
    let sent = lab.tcp(PUBLIC_02, to, (1, 22), SYN);
    assert_eq!(sent.dropped(), Some(DropReason::SecurityGroupIngress));
}

/// MTU-1, PIPE-8: routers never cut IPv6: "packet too big", also for large segments that stand for
/// packets that are.
#[test]
fn too_big_is_told_and_never_cut_mtu_1() {
    let mut lab = dual_stack();
    let ends = lab.ends(PUBLIC_01, OUTSIDE_IPV6);
    let sent = lab.send(PUBLIC_01, packets::udp(&ends, (1, 53), &[0; 3000]));
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!(seen.icmp(), (2, 0));
    assert_eq!(seen.payload[4..8], 1500u32.to_be_bytes());
    assert_eq!(seen.destination, ends.source);
    assert_eq!(seen.source_mac, lab.router_of(PUBLIC_01));
    let segment = |size| {
        packets::tcp(&ends, (40_000, 443), ACK, &[0; 8000]).with_segments(Offload::GSO_TCPV6, size)
    };
    let syn = lab.tcp(PUBLIC_01, OUTSIDE_IPV6, (40_000, 443), SYN);
    lab.answer_tcp(&syn, SYN | ACK);
    let sent = lab.send(PUBLIC_01, segment(1440));
    assert_eq!(sent.arrived(), Some(PortIndex::INTERNET), "1500 bytes each");
    let sent = lab.send(PUBLIC_01, segment(1441));
    let seen = Seen::ip(&sent.answer().frame);
    assert_eq!(seen.icmp(), (2, 0));
    assert_eq!(word(&seen.payload, 8 + 4), 20 + 1441, "about one of its wire packets");
    // Within the VPC 9001 bytes pass.
    let ends = lab.ends(PUBLIC_01, address(&lab, PRIVATE_01));
    let big = packets::icmp(&ends, (128, 0), [0, 1, 0, 1], &[0; 8953]);
    assert_eq!(lab.send(PUBLIC_01, big).arrived(), Some(PRIVATE_01));
}

/// A segmentation type of the other family is refused (traps 5).
#[test]
fn segmentation_of_the_other_family_is_a_mismatch() {
    let mut lab = dual_stack();
    let ends = lab.ends(PUBLIC_01, OUTSIDE_IPV6);
    let wrong =
        packets::tcp(&ends, (1, 2), ACK, &[0; 3000]).with_segments(Offload::GSO_TCPV4, 1400);
    assert_eq!(lab.send(PUBLIC_01, wrong).dropped(), Some(DropReason::SegmentationMismatch));
}

/// Extension headers are looked past; fragments carry the ports of their first (NACL-22), also where
/// what was cut begins with an extension header, which is all that later ones name (RFC 8200, 4.5).
#[test]
fn extension_headers_and_fragments_are_understood() {
    let mut lab = dual_stack();
    let ends = lab.ends(PUBLIC_01, address(&lab, BASTION));
    let whole = packets::udp(&ends, (5000, 22), &[1; 64]);
    let transport = whole.frame[54..].to_vec();
    // Hop-by-hop options, then destination options, then UDP, to a closed port.
    let mut extended = vec![60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0];
    extended.extend_from_slice(&transport);
    let sent = lab.send(PUBLIC_01, packets::ip(&ends, 0, &extended));
    assert_eq!(sent.dropped(), Some(DropReason::SecurityGroupIngress));
    let group = lab.interface(BASTION).groups[0].clone();
    lab.change(|network| {
        let rule = records::rule(900, &group, false, records::udp(22, 22), everybody());
        network.security_group_rules.push(Arc::new(rule));
    });
    let sent = lab.send(PUBLIC_01, packets::ip(&ends, 0, &extended));
    assert_eq!(sent.arrived(), Some(BASTION));
    for (next_header, identification, cut) in
        [(17, 7, &transport), (60, 8, &extended[8..].to_vec())]
    {
        let fragment = |offset: u16, more: bool, bytes: &[u8]| {
            let mut payload = vec![next_header, 0];
            payload.extend_from_slice(&(offset | u16::from(more)).to_be_bytes());
            payload.extend_from_slice(&[0, 0, 0, identification]);
            payload.extend_from_slice(bytes);
            packets::ip(&ends, 44, &payload)
        };
        let later = fragment(32, false, &cut[32..]);
        let lost = lab.send(PUBLIC_01, later.clone());
        assert_eq!(lost.dropped(), Some(DropReason::FragmentWithoutFirst));
        let first = fragment(0, true, &cut[..32]);
        assert_eq!(lab.send(PUBLIC_01, first).arrived(), Some(BASTION));
        assert_eq!(lab.send(PUBLIC_01, later).arrived(), Some(BASTION), "{next_header}");
    }
    let endless: Vec<u8> = [0u8, 0, 1, 4, 0, 0, 0, 0].repeat(9);
    let sent = lab.send(PUBLIC_01, packets::ip(&ends, 0, &endless));
    assert_eq!(sent.dropped(), Some(DropReason::Malformed));
}

/// An instance in a private subnet with ::/0 to an egress-only gateway, and everything admitted.
pub(crate) fn egress_only() -> Lab {
    let mut lab = dual_stack();
    lab.change(|network| {
        let vpc = network.vpcs[0].1.id.clone();
        let gateway = records::egress_only_internet_gateway(1, &vpc);
        network.egress_only_internet_gateways.push(Arc::new(gateway));
    });
    let target = RouteTarget::EgressOnlyInternetGateway(EgressOnlyInternetGatewayId::new(1));
    add_route(&mut lab, PRIVATE_TABLE, "::/0", target);
    let group = lab.interface(PRIVATE_01).groups[0].clone();
    lab.change(|network| {
        let rule = records::rule(900, &group, false, Traffic::All, everybody());
        network.security_group_rules.push(Arc::new(rule));
    });
    lab
}

/// EIGW-1: out, and the answers back; nothing new in, however open the group.
#[test]
fn an_egress_only_gateway_lets_answers_in_and_nothing_else_eigw_1() {
    let mut lab = egress_only();
    // Without an internet gateway there is only one way in.
    lab.change(|network| network.internet_gateways.clear());
    let private = address(&lab, PRIVATE_01);
    let ping = lab.ping(PRIVATE_01, OUTSIDE_IPV6, 3);
    assert_eq!(ping.arrived(), Some(PortIndex::INTERNET));
    assert_eq!(ping.seen().source, private);
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PRIVATE_01));
    lab.connect(PRIVATE_01, OUTSIDE_IPV6, (40_000, 443));
    let unsolicited = Some(DropReason::EgressOnlyUnsolicited);
    assert_eq!(lab.ping_from_outside(private, 4).dropped(), unsolicited);
    assert_eq!(lab.tcp_from_outside(private, (443, 40_001), SYN).dropped(), unsolicited);
    // After ICMP's time the answer is as new as any.
    lab.wait(gureum_engine::ICMP_TIMEOUT);
    assert_eq!(lab.answer_ping(&ping).dropped(), unsolicited);
}

/// EIGW-1, RFC 8201: an error about what was sent out comes in too, or no path's MTU would be known.
#[test]
fn packet_too_big_comes_in_through_an_egress_only_gateway_eigw_1() {
    let mut lab = egress_only();
    lab.change(|network| network.internet_gateways.clear());
    let ends = lab.ends(PRIVATE_01, OUTSIDE_IPV6);
    let out = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), &[0; 1300]));
    assert_eq!(out.arrived(), Some(PortIndex::INTERNET));
    let router = ip("2001:db8:8000::99");
    let back = lab.from_outside(router, address(&lab, PRIVATE_01));
    let too_big = packets::icmp_error(&back, (2, 0), &out.built.frame);
    assert_eq!(lab.send(PortIndex::INTERNET, too_big).arrived(), Some(PRIVATE_01));
    let other = packets::udp(&ends, (5001, 53), &[0; 1300]);
    // About another datagram, or about none.
    let mut nothing = out.built.frame;
    nothing[14] = 0x50;
    for about in [&other.frame, &nothing] {
        let sent = lab.send(PortIndex::INTERNET, packets::icmp_error(&back, (2, 0), about));
        assert_eq!(sent.dropped(), Some(DropReason::EgressOnlyUnsolicited));
    }
}

/// EIGW-1 beside an internet gateway: what comes in by that is not answered through the other.
#[test]
fn an_answer_does_not_begin_anything_eigw_1() {
    let mut lab = egress_only();
    let private = address(&lab, PRIVATE_01);
    let syn = lab.tcp_from_outside(private, (40_000, 80), SYN);
    assert_eq!(syn.arrived(), Some(PRIVATE_01), "through the internet gateway");
    let answer = lab.answer_tcp(&syn, SYN | ACK);
    assert_eq!(answer.dropped(), Some(DropReason::EgressOnlyUnsolicited));
    let ping = lab.ping_from_outside(private, 5);
    assert_eq!(ping.arrived(), Some(PRIVATE_01), "through the internet gateway");
    let answer = lab.answer_ping(&ping);
    assert_eq!(answer.dropped(), Some(DropReason::EgressOnlyUnsolicited));
}

/// SGT-11: flows through an egress-only gateway are tracked whatever the rules say.
#[test]
fn flows_through_an_egress_only_gateway_are_tracked_sgt_11() {
    let mut lab = egress_only();
    let group = lab.interface(PRIVATE_01).groups[0].clone();
    let ends = lab.ends(PRIVATE_01, OUTSIDE_IPV6);
    let out = lab.send(PRIVATE_01, packets::udp(&ends, (5000, 53), b"question"));
    assert_eq!(out.arrived(), Some(PortIndex::INTERNET));
    lab.remove_rules(|rule| rule.group_id == group);
    assert_eq!(lab.answer_udp(&out).arrived(), Some(PRIVATE_01));
}

/// EIGW-1: the gateway has times of its own; an interface's are those of its groups (SGT-9).
#[test]
fn an_egress_only_gateway_keeps_its_own_time_eigw_1() {
    let mut lab = egress_only();
    lab.change_interface(PRIVATE_01, |i| {
        i.connection_tracking = ConnectionTracking { udp_stream: Some(60), ..Default::default() };
    });
    let ends = lab.ends(PRIVATE_01, OUTSIDE_IPV6);
    let question = packets::udp(&ends, (5000, 53), b"question");
    let mut out = lab.send(PRIVATE_01, question.clone());
    lab.answer_udp(&out);
    out = lab.send(PRIVATE_01, question);
    lab.answer_udp(&out);
    lab.wait(100 * SECOND);
    assert_eq!(lab.answer_udp(&out).arrived(), Some(PRIVATE_01), "the group admits it anew");
    lab.change(|network| network.internet_gateways.clear());
    assert_eq!(lab.answer_udp(&out).arrived(), Some(PRIVATE_01));
    lab.wait(UDP_STREAM_TIMEOUT);
    assert_eq!(lab.answer_udp(&out).dropped(), Some(DropReason::EgressOnlyUnsolicited));
}

/// NACL-22: a later fragment has no port for an entry to match; what passes as one opens no way for
/// datagrams that have.
#[test]
fn datagrams_do_not_follow_fragments_nacl_22() {
    let mut lab = egress_only();
    lab.change(|network| {
        for acl in &mut network.network_acls {
            Arc::make_mut(acl).entries.push(NetworkAclEntry {
                rule_number: 10,
                egress: true,
                allow: false,
                traffic: records::udp(53, 53),
                cidr: "::/0".parse().unwrap(),
            });
        }
    });
    let ends = lab.ends(PRIVATE_01, OUTSIDE_IPV6);
    let fragment = |field: u16, bytes: &[u8]| {
        let mut payload = vec![17, 0];
        payload.extend_from_slice(&field.to_be_bytes());
        payload.extend_from_slice(&[0, 0, 0, 7]);
        payload.extend_from_slice(bytes);
        packets::ip(&ends, 44, &payload)
    };
    let datagram = packets::udp(&ends, (5000, 53), &[0; 64]);
    let denied = |sent: Sent| matches!(sent.dropped(), Some(DropReason::NetworkAclEgress(_)));
    assert!(denied(lab.send(PRIVATE_01, fragment(1, &datagram.frame[54..86]))));
    let later = lab.send(PRIVATE_01, fragment(32, &datagram.frame[86..]));
    assert_eq!(later.arrived(), Some(PortIndex::INTERNET));
    assert!(denied(lab.send(PRIVATE_01, datagram)));
}

/// L2-1: `why` asks for neighbours as guests do.
#[test]
fn why_finds_neighbours_of_ipv6() {
    let mut lab = dual_stack();
    let bastion = address(&lab, BASTION);
    let mut ask = |own: Option<Ipv6Addr>, destination: Ipv6Addr| {
        let source =
            WhySource::Interface { port: PUBLIC_02, address: own.map(std::net::IpAddr::from) };
        let traffic = WhyTraffic::Tcp { source_port: 40_000, destination_port: 22 };
        let query = WhyQuery { source, destination: destination.into(), traffic };
        why(&lab.policy, &mut lab.state, &query, lab.now)
    };
    assert!(ask(None, bastion).reachable);
    let unused = ask(None, ip("2001:db8:0:101::99"));
    assert_eq!(unused.forward.drop, Some(DropReason::NeighborUnusedAddress));
    let foreign = ask(Some(ip("2001:db8:0:101::77")), bastion);
    assert_eq!(foreign.forward.drop, Some(DropReason::NeighborSpoofed));
}

/// EIGW-1, RT-12: once it is deleted its route is a black hole; IPv4 never takes it.
#[test]
fn a_deleted_egress_only_gateway_leaves_a_blackhole_rt_12() {
    let mut lab = egress_only();
    lab.change(|network| network.egress_only_internet_gateways.clear());
    let sent = lab.ping(PRIVATE_01, OUTSIDE_IPV6, 1);
    assert!(matches!(sent.dropped(), Some(DropReason::RouteBlackhole(_))));
}

/// IMDS-1, DNS-1, DHCP-6: services of the platform by their IPv6 addresses, both ways without
/// state, unfiltered.
#[test]
fn services_answer_by_their_ipv6_addresses_dns_1() {
    let mut lab = dual_stack();
    lab.remove_rules(|_| true);
    for (target, door, port) in [
        ("fd00:ec2::254", ServiceDoor::Metadata, 80),
        ("fd00:ec2::253", ServiceDoor::ResolverLinkLocal, 53),
    ] {
        let sent = lab.tcp(PRIVATE_02, ip(target), (40_000, port), SYN);
        assert_eq!(sent.arrived(), Some(PortIndex::SERVICES));
        let seen = sent.seen();
        let caller = ipv6_caller_address(PRIVATE_02, 0).unwrap();
        assert_eq!(
            (seen.source, seen.destination),
            (caller.into(), door.ipv6_address().unwrap().into())
        );
        assert_eq!(seen.destination_mac, FABRIC.services_mac);
        let answer = lab.answer_tcp(&sent, SYN | ACK);
        assert_eq!(answer.arrived(), Some(PRIVATE_02));
        assert_eq!(answer.seen().source, ip(target));
    }
    let ends = lab.ends(PRIVATE_02, ip("fd00:ec2::123"));
    let sent = lab.send(PRIVATE_02, packets::udp(&ends, (123, 123), &[0; 48]));
    assert_eq!(sent.arrived(), Some(PortIndex::SERVICES));
    // An error of the service's own is one about what the instance sent.
    let (port, back) = lab.answering(&sent);
    let error = packets::icmp_error(&back, (1, 4), &sent.built.frame);
    let seen = lab.send(port, error).seen();
    assert_eq!(seen.icmp(), (1, 4));
    assert_eq!(ipv6_address(&seen.payload, 8 + 8), address(&lab, PRIVATE_02));
    assert_eq!(ipv6_address(&seen.payload, 8 + 24), ip("fd00:ec2::123"));
    let closed = lab.tcp(PRIVATE_02, ip("fd00:ec2::254"), (1, 443), SYN);
    assert_eq!(closed.dropped(), Some(DropReason::ServicePortClosed));
    // RT-15: whatever else is in fd00:ec2::/32 is never forwarded, whatever a table says.
    let never = lab.tcp(PUBLIC_01, ip("fd00:ec2::9"), (1, 80), SYN);
    assert_eq!(never.dropped(), Some(DropReason::SecurityGroupEgress));
    let mut lab = dual_stack();
    let never = lab.tcp(PUBLIC_01, ip("fd00:ec2::9"), (1, 80), SYN);
    assert_eq!(never.dropped(), Some(DropReason::LinkLocalDestination));
}

/// CIDR-12: an instance with IPv6 only has no ARP and no lease of IPv4, and all else of IPv6.
#[test]
fn a_subnet_with_ipv6_only_works_cidr_12() {
    let mut lab = dual_stack();
    lab.change(|network| {
        for subnet in &mut network.subnets {
            if subnet.cidr_block == Some(records::block("10.1.1.0/24")) {
                Arc::make_mut(subnet).cidr_block = None;
            }
        }
    });
    lab.change_interface(PUBLIC_01, |i| {
        i.private_addresses.clear();
        i.auto_public_ip = None;
    });
    let mac = lab.interface(PUBLIC_01).mac;
    let discover = lab.send(PUBLIC_01, packets::dhcp_discover(mac));
    assert_eq!(discover.dropped(), Some(DropReason::Broadcast), "nobody leases IPv4");
    let ping = lab.ping(PUBLIC_01, OUTSIDE_IPV6, 1);
    assert_eq!(lab.answer_ping(&ping).arrived(), Some(PUBLIC_01));
}

/// The fabric's own namespaces may ask for what is behind the router.
#[test]
fn the_internet_finds_vpcs_behind_the_router() {
    let mut lab = dual_stack();
    let target = address(&lab, PUBLIC_01);
    let ask = packets::neighbor_solicitation(FABRIC.internet_mac, OUTSIDE_IPV6, target);
    let sent = lab.send(PortIndex::INTERNET, ask);
    let answer = sent.answer();
    assert_eq!(answer.frame[80..86], gureum_engine::FABRIC_ROUTER_MAC);
    let probe =
        packets::neighbor_solicitation(FABRIC.internet_mac, Ipv6Addr::UNSPECIFIED, OUTSIDE_IPV6);
    let sent = lab.send(PortIndex::INTERNET, probe);
    assert_eq!(sent.dropped(), Some(DropReason::NeighborGratuitous), "it may keep its address");
}

/// Unfinished checksums stay right where addresses change (traps 2).
#[test]
fn unfinished_checksums_survive_the_way_to_a_service() {
    let mut lab = dual_stack();
    let ends = lab.ends(PRIVATE_02, ip("fd00:ec2::253"));
    let query = packets::udp(&ends, (5000, 53), b"query").with_unfinished_checksum();
    let sent = lab.send(PRIVATE_02, query);
    assert_eq!(sent.arrived(), Some(PortIndex::SERVICES));
    verify::check(&sent.built.frame, &sent.built.offload).unwrap();
    assert!(matches!(sent.verdict, Verdict::Forward(_)));
}
