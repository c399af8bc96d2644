//! The order of the gates, and that each is asked as often as AWS asks it.

use std::sync::Arc;

use gureum_engine::{
    Direction, DropReason, Dropped, DroppedKey, Stage, Step,
    testing::{
        Lab,
        lab::{
            BASTION, MAIN_TABLE, OUTSIDE, PRI_GROUP, PRIVATE_01, PRIVATE_TABLE, PUBLIC_01,
            PUBLIC_02, PUBLIC_TABLE, allow_all, vpc_id,
        },
        packets::{
            self,
            flags::{ACK, SYN},
        },
        records::{self, anywhere, block},
    },
};
use gureum_types::{
    NetworkAclId, PortIndex, RouteTableId, SecurityGroupId, SubnetId,
    record::{
        NetworkAcl, NetworkAclEntry, Route, RouteDestination, RouteTable, RouteTarget, Traffic,
    },
};

const ACL: u64 = 1;

fn edit_acl(lab: &mut Lab, acl: u64, edit: impl FnOnce(&mut NetworkAcl)) {
    lab.change(|network| {
        let id = NetworkAclId::new(acl);
        let found = network.network_acls.iter_mut().find(|acl| acl.id == id).unwrap();
        edit(Arc::make_mut(found));
    });
}

/// Adds an entry of number 1 that denies everything one way.
fn deny(lab: &mut Lab, acl: u64, egress: bool) {
    edit_acl(lab, acl, |acl| {
        acl.entries.push(NetworkAclEntry {
            rule_number: 1,
            egress,
            allow: false,
            traffic: Traffic::All,
            cidr: block("0.0.0.0/0").into(),
        });
    });
}

fn allow(lab: &mut Lab, acl: u64) {
    edit_acl(lab, acl, |acl| acl.entries.retain(|entry| entry.rule_number != 1));
}

fn edit_table(lab: &mut Lab, table: u64, edit: impl FnOnce(&mut RouteTable)) {
    lab.change(|network| {
        let id = RouteTableId::new(table);
        let found = network.route_tables.iter_mut().find(|table| table.id == id).unwrap();
        edit(Arc::make_mut(found));
    });
}

fn name(dropped: Option<DropReason>) -> &'static str {
    dropped.map_or("arrived", DropReason::name)
}

/// PIPE-1, PIPE-10: source check, group, ACL, route. Each is mended in turn, and the next speaks.
#[test]
fn gates_of_a_sender_are_asked_in_order() {
    let mut lab = Lab::new();
    let group = SecurityGroupId::new(PRI_GROUP);
    lab.remove_rules(|rule| rule.egress && rule.group_id == group);
    deny(&mut lab, ACL, true);
    let mut ends = lab.ends(PRIVATE_01, OUTSIDE);
    let own = std::mem::replace(&mut ends.source, OUTSIDE.into());
    let mut send = |lab: &mut Lab, source| {
        ends.source = source;
        name(lab.send(PRIVATE_01, packets::tcp_syn(&ends, (40_000, 80))).dropped())
    };
    assert_eq!(send(&mut lab, OUTSIDE.into()), "source-check");
    assert_eq!(send(&mut lab, own), "security-group-egress");
    lab.add_rule(PRI_GROUP, true, records::tcp(80, 80), anywhere());
    assert_eq!(send(&mut lab, own), "network-acl-egress");
    allow(&mut lab, ACL);
    assert_eq!(send(&mut lab, own), "no-route");
}

/// PIPE-2, SDC-1, SDC-2: ACL, group, destination check; without the check it is delivered.
#[test]
fn gates_of_a_receiver_are_asked_in_order() {
    let mut lab = Lab::new();
    let appliance = lab.interface(PUBLIC_02).id.clone();
    edit_table(&mut lab, PRIVATE_TABLE, |table| {
        table.routes.push(Route {
            destination: RouteDestination::Ipv4(block("0.0.0.0/0")),
            target: RouteTarget::NetworkInterface(appliance),
        });
    });
    deny(&mut lab, ACL, false);
    let send = |lab: &mut Lab| name(lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 5001), 2).dropped());
    assert_eq!(send(&mut lab), "network-acl-ingress");
    allow(&mut lab, ACL);
    assert_eq!(send(&mut lab), "security-group-ingress");
    lab.add_rule(1, false, records::tcp(5001, 5001), anywhere());
    assert_eq!(send(&mut lab), "destination-check");
    lab.change_interface(PUBLIC_02, |interface| interface.source_dest_check = false);
    let sent = lab.tcp(PRIVATE_01, OUTSIDE, (40_000, 5001), 2);
    assert_eq!(sent.arrived(), Some(PUBLIC_02));
    assert_eq!(sent.seen().destination, OUTSIDE, "what it forwards is not its own");
}

/// PIPE-5, NACL-1: out of one subnet and into the other, and again for the answer.
#[test]
fn a_ping_between_subnets_and_its_answer_meet_four_lists() {
    const NEAR: u64 = ACL;
    const FAR: u64 = 2;
    let mut lab = Lab::new();
    let far = lab.interface(PRIVATE_01).subnet_id.clone();
    edit_acl(&mut lab, NEAR, |acl| acl.associations.retain(|of| of.subnet_id != far));
    lab.change(|network| {
        let entries = [allow_all(100, true), allow_all(100, false)];
        let acl = records::network_acl(FAR, &vpc_id(), false, &[far], &entries);
        network.network_acls.push(Arc::new(acl));
    });
    let target = lab.address(PRIVATE_01);
    let asked = |steps: &[Step]| -> Vec<PortIndex> {
        steps.iter().filter(|step| step.stage == Stage::NetworkAcl).map(|step| step.port).collect()
    };
    let ends = lab.ends(BASTION, target);
    let (ping, steps) = lab.trace(BASTION, packets::icmp_echo(&ends, 1, 1));
    assert_eq!(asked(&steps), [BASTION, PRIVATE_01]);
    let (_, back) = lab.answering(&ping);
    let (_, steps) = lab.trace(PRIVATE_01, packets::icmp_echo_reply(&back, 1, 1));
    assert_eq!(asked(&steps), [PRIVATE_01, BASTION]);

    let both = |lab: &mut Lab| {
        let ping = lab.ping(BASTION, target, 1);
        let answer = ping.arrived().map(|_| lab.answer_ping(&ping));
        (name(ping.dropped()), answer.map(|answer| name(answer.dropped())))
    };
    for (acl, egress, outcome) in [
        (NEAR, true, ("network-acl-egress", None)),
        (FAR, false, ("network-acl-ingress", None)),
        (FAR, true, ("arrived", Some("network-acl-egress"))),
        (NEAR, false, ("arrived", Some("network-acl-ingress"))),
    ] {
        deny(&mut lab, acl, egress);
        assert_eq!(both(&mut lab), outcome);
        allow(&mut lab, acl);
        assert_eq!(both(&mut lab), ("arrived", Some("arrived")));
    }
}

/// NACL-18, SGT-14: an ACL's change meets a connection that is tracked, both ways and at once.
#[test]
fn an_entry_cuts_a_connection_and_its_removal_mends_it() {
    for egress in [true, false] {
        let mut lab = Lab::new();
        let private = lab.address(PRIVATE_01);
        lab.connect(BASTION, private, (40_000, 22));
        deny(&mut lab, ACL, egress);
        assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).dropped().is_some());
        allow(&mut lab, ACL);
        let data = lab.tcp(BASTION, private, (40_000, 22), ACK);
        assert_eq!(data.arrived(), Some(PRIVATE_01));
    }
}

/// SG-36: everybody includes the neighbours.
#[test]
fn a_rule_for_everybody_admits_private_addresses() {
    let mut lab = Lab::new();
    let target = lab.address(PUBLIC_01);
    assert_eq!(lab.tcp(PUBLIC_02, target, (40_000, 80), 2).arrived(), Some(PUBLIC_01));
    lab.remove_rules(|rule| rule.traffic == records::tcp(80, 80));
    lab.add_rule(1, false, records::tcp(80, 80), records::from_block("198.18.0.0/16"));
    let sent = lab.tcp(PUBLIC_02, target, (40_001, 80), 2);
    assert_eq!(name(sent.dropped()), "security-group-ingress");
}

/// PUB-8, IGW-1: the address stays, but leads nowhere.
#[test]
fn a_public_address_without_a_gateway_reaches_nobody() {
    let mut lab = Lab::new();
    let public = lab.interface(PUBLIC_01).auto_public_ip.unwrap();
    lab.change(|network| Arc::make_mut(&mut network.internet_gateways[0]).vpc_id = None);
    assert_eq!(name(lab.ping_from_outside(public, 1).dropped()), "unknown-public-address");
    assert_eq!(name(lab.ping(PUBLIC_01, OUTSIDE, 2).dropped()), "route-blackhole");
}

/// RT-3, RT-4, RT-6: another main table moves who has none of its own, and nobody else.
#[test]
fn the_main_table_is_for_subnets_without_one_of_their_own() {
    let mut lab = Lab::new();
    let subnet = SubnetId::new(3);
    let main = |lab: &mut Lab, table| {
        lab.change(|network| {
            let mut association = None;
            for known in &mut network.route_tables {
                let known = Arc::make_mut(known);
                let (main, others) = known.associations.drain(..).partition(|of| of.main);
                known.associations = others;
                association = association.or(Vec::into_iter(main).next());
            }
            let id = RouteTableId::new(table);
            let table = network.route_tables.iter_mut().find(|known| known.id == id).unwrap();
            Arc::make_mut(table).associations.extend(association);
        });
    };
    let mut own = None;
    edit_table(&mut lab, PRIVATE_TABLE, |table| {
        let at = table.associations.iter().position(|of| of.subnet_id.as_ref() == Some(&subnet));
        own = at.map(|at| table.associations.remove(at));
    });
    let send = |lab: &mut Lab| name(lab.ping(PRIVATE_01, OUTSIDE, 1).dropped());
    assert_eq!(send(&mut lab), "no-route");
    main(&mut lab, PUBLIC_TABLE);
    assert_eq!(send(&mut lab), "no-public-address", "it came as far as the gateway");
    edit_table(&mut lab, MAIN_TABLE, |table| table.associations.extend(own));
    assert_eq!(send(&mut lab), "no-route", "tied to the table that was the main one");
    main(&mut lab, PRIVATE_TABLE);
    assert_eq!(send(&mut lab), "no-route");
}

/// SUB-10, NACL-6: nothing has to be associated with a new subnet.
#[test]
fn a_new_subnet_has_the_main_table_and_the_default_acl() {
    const NEW: PortIndex = PortIndex(9);
    let mut lab = Lab::new();
    lab.change(|network| {
        let subnet = records::subnet(9, &vpc_id(), block("10.1.90.0/24"));
        let address = "10.1.90.9".parse().unwrap();
        let groups = [SecurityGroupId::new(PRI_GROUP)];
        let interface = records::interface(NEW, &subnet, &[address], &groups, None);
        network.subnets.push(Arc::new(subnet));
        network.interfaces.push(Arc::new(interface));
    });
    let target = lab.address(PUBLIC_01);
    assert_eq!(lab.ping(NEW, target, 1).arrived(), Some(PUBLIC_01));
    assert_eq!(name(lab.ping(NEW, OUTSIDE, 2).dropped()), "no-route");
    deny(&mut lab, ACL, true);
    assert_eq!(name(lab.ping(NEW, target, 3).dropped()), "network-acl-egress");
}

#[test]
fn a_policy_names_its_ports() {
    let lab = Lab::new();
    let mut names: Vec<_> =
        lab.policy.ports().map(|info| lab.policy.port_name(info.port)).collect();
    names.sort_unstable();
    let interfaces = (2..=6).map(|port| format!("eni-{port:017x}"));
    let expected = interfaces.chain(["internet", "services"].map(str::to_owned));
    assert_eq!(names, expected.collect::<Vec<_>>());
}

#[test]
fn drops_are_counted_by_their_names_and_ports() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    for port in [80, 81, 82] {
        let sent = lab.tcp(PUBLIC_01, private, (40_000, port), SYN);
        let key = DroppedKey {
            port: PUBLIC_01,
            at: PRIVATE_01,
            direction: Direction::Ingress,
            source: lab.address(PUBLIC_01).into(),
            destination: private.into(),
            source_port: 40_000,
            destination_port: port,
            protocol: 6,
            reason: DropReason::SecurityGroupIngress,
        };
        assert_eq!(sent.told, [Dropped { key, packets: 1, bytes: 40 }], "as it came");
    }
    // What an internet gateway translated is told as its sender wrote it.
    let sent = lab.tcp_from_outside([198, 18, 0, 11], (5000, 81), SYN);
    let told = sent.told.first().map(|told| (told.key.port, told.key.destination, told.key.at));
    assert_eq!(told, Some((PortIndex::INTERNET, [198, 18, 0, 11].into(), PUBLIC_01)));
    let own = lab.interface(PUBLIC_02).mac;
    lab.send(PUBLIC_02, packets::dhcp(own, 9, std::net::Ipv4Addr::UNSPECIFIED, &[]));
    let counters = lab.state.counters();
    assert_eq!(counters.dropped(DropReason::SecurityGroupIngress), 4);
    assert_eq!(counters.dropped(DropReason::NoRoute), 0);
    let drops = [("dhcp-ignored", 1), ("security-group-ingress", 4)];
    assert_eq!(counters.drops().collect::<Vec<_>>(), drops);
    let own = [("security-group-ingress", 3)];
    assert_eq!(counters.drops_of(PUBLIC_01).collect::<Vec<_>>(), own);
    assert_eq!(counters.port(PUBLIC_01).dropped, 3);
}
