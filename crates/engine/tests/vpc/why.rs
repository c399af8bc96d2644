//! `why` answers with what `process` itself does, and changes nothing.

use std::net::Ipv4Addr;

use gureum_engine::{
    Component, DropReason, Fate, Model, Stage, WhyQuery, WhyReport, WhySource, WhyTraffic, fate,
    print,
    testing::{
        Lab,
        lab::{BASTION, OUTSIDE, PRIVATE_01, PUBLIC_01, PUBLIC_02, rule_id},
        packets::flags::ACK,
        records,
    },
    why,
};
use gureum_types::{PortIndex, SecurityGroupId};

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn ask(lab: &mut Lab, source: WhySource, destination: &str, port: u16) -> WhyReport {
    let traffic = WhyTraffic::Tcp { source_port: 40_000, destination_port: port };
    let query = WhyQuery { source, destination: ip(destination).into(), traffic };
    let before = lab.state.clone();
    let report = why(&lab.policy, &mut lab.state, &query, lab.now);
    assert!(lab.state == before, "asking changed the state");
    report
}

fn from(port: PortIndex) -> WhySource {
    WhySource::Interface { port, address: None }
}

#[test]
fn a_reachable_port_is_shown_stage_by_stage_with_what_decided() {
    let mut lab = Lab::new();
    let report = ask(&mut lab, from(BASTION), "10.1.11.21", 22);
    assert!(report.reachable);
    let stages: Vec<_> =
        report.forward.steps.iter().map(|step| (step.stage, step.interface.as_str())).collect();
    let bastion = "eni-00000000000000006";
    let private = "eni-00000000000000004";
    assert_eq!(
        stages,
        [
            (Stage::SourceCheck, bastion),
            (Stage::SecurityGroup, bastion),
            (Stage::L2, bastion),
            (Stage::NetworkAcl, bastion),
            (Stage::Route, bastion),
            (Stage::NetworkAcl, private),
            (Stage::SecurityGroup, private),
            (Stage::Deliver, private),
        ]
    );
    let deciding = report.forward.steps[6].component.clone();
    let group = SecurityGroupId::new(3);
    assert_eq!(deciding, Some(Component::SecurityGroupRule { group, rule: rule_id(6) }));
    let reply = report.reply.as_ref().unwrap();
    assert_eq!((reply.arrived.as_deref(), reply.drop), (Some(bastion), None));
    assert_eq!(lab.state.tracked_flows(), 0, "nothing is left behind");
}

#[test]
fn a_drop_is_named_with_its_place() {
    let mut lab = Lab::new();
    let report = ask(&mut lab, from(PUBLIC_01), "10.1.11.21", 22);
    assert!(!report.reachable);
    assert_eq!(report.forward.drop, Some(DropReason::SecurityGroupIngress));
    let last = report.forward.steps.last().unwrap();
    assert_eq!(last.drop, Some(DropReason::SecurityGroupIngress));
    assert_eq!(last.interface, "eni-00000000000000004");
    assert!(report.reply.is_none());
}

#[test]
fn a_lost_answer_is_no_reachability_igw_6() {
    let mut lab = Lab::new();
    lab.change(|network| {
        std::sync::Arc::make_mut(&mut network.route_tables[1]).routes.clear();
    });
    let report = ask(&mut lab, WhySource::Internet(OUTSIDE.into()), "198.18.0.11", 80);
    assert!(report.forward.arrived.is_some());
    assert_eq!(report.reply.unwrap().drop, Some(DropReason::NoRoute));
    assert!(!report.reachable);
}

#[test]
fn the_internet_and_the_services_answer() {
    let mut lab = Lab::new();
    let report = ask(&mut lab, from(PUBLIC_01), "198.18.200.7", 443);
    assert!(report.reachable);
    assert_eq!(report.forward.arrived.as_deref(), Some("internet"));
    let report = ask(&mut lab, from(PRIVATE_01), "169.254.169.254", 80);
    assert!(report.reachable);
    assert_eq!(report.forward.arrived.as_deref(), Some("services"));
    assert!(ask(&mut lab, WhySource::Internet(OUTSIDE.into()), "198.18.0.11", 80).reachable);
}

#[test]
fn an_address_that_arp_does_not_find_is_not_even_sent() {
    let mut lab = Lab::new();
    let report = ask(&mut lab, from(PUBLIC_02), "10.1.2.99", 22);
    assert_eq!(report.forward.drop, Some(DropReason::ArpUnusedAddress));
    assert_eq!(report.forward.steps[0].stage, Stage::Arp);
    let nobody = ask(&mut lab, from(PortIndex(999)), "10.1.2.13", 22);
    assert_eq!(nobody.forward.drop, Some(DropReason::UnknownPort));
}

/// What a guest cannot ask ARP for in another's name, it cannot send.
#[test]
fn an_address_that_is_not_its_own_is_not_even_resolved() {
    let mut lab = Lab::new();
    let source = WhySource::Interface { port: PUBLIC_02, address: Some(ip("10.1.2.77").into()) };
    let report = ask(&mut lab, source, "10.1.2.13", 22);
    assert_eq!(report.forward.drop, Some(DropReason::ArpSenderSpoofed));
}

#[test]
fn the_present_state_counts() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    lab.remove_rules(|rule| rule.traffic == records::tcp(22, 22));
    // The flow of this connection is tracked, so its packets pass; another one's don't.
    let known = ask(&mut lab, from(BASTION), "10.1.11.21", 22);
    assert!(known.reachable);
    let traffic = WhyTraffic::Tcp { source_port: 40_001, destination_port: 22 };
    let query = WhyQuery { source: from(BASTION), destination: private.into(), traffic };
    assert!(!why(&lab.policy, &mut lab.state, &query, lab.now).reachable);
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some());
}

/// SGT-5, SGT-14: of an open flow another policy is asked, and nothing of the state changes.
#[test]
fn another_policy_ends_flows_or_lets_tracked_ones_go_on() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    let present = lab.policy.clone();
    let query = |source_port, under_way: bool| {
        let traffic = match under_way {
            true => WhyTraffic::TcpUnderWay { source_port, destination_port: 22 },
            false => WhyTraffic::Tcp { source_port, destination_port: 22 },
        };
        WhyQuery { source: from(BASTION), destination: private.into(), traffic }
    };
    let mut without_rule = Lab::new();
    without_rule.remove_rules(|rule| rule.traffic == records::tcp(22, 22));
    let mut without_way = Lab::new();
    without_way.change(|network| {
        for acl in &mut network.network_acls {
            std::sync::Arc::make_mut(acl).entries.clear();
        }
    });
    let before: Vec<_> = lab.state.flows().collect();
    let mut ask = |other: &gureum_engine::Policy, port| {
        let asked = (&query(port, false), &query(port, true));
        fate((&present, other), &mut lab.state, asked, lab.now)
    };
    assert_eq!(ask(&present, 40_000), None, "it passes before and after");
    let Some(Fate::GoesOn(report)) = ask(&without_rule.policy, 40_000) else { panic!("tracked") };
    assert_eq!(report.forward.drop, Some(DropReason::SecurityGroupIngress));
    let Some(Fate::Ends(report)) = ask(&without_way.policy, 40_000) else { panic!("it ends") };
    assert!(report.forward.drop.is_some_and(|it| it.name().starts_with("network-acl")));
    assert_eq!(ask(&without_rule.policy, 40_001), None, "a flow that is not open");
    assert_eq!(lab.state.flows().collect::<Vec<_>>(), before);
    assert!(lab.tcp(BASTION, private, (40_000, 22), ACK).arrived().is_some());
}

#[test]
fn pings_datagrams_and_other_protocols_can_be_asked_for() {
    let mut lab = Lab::new();
    let cases = [
        (WhyTraffic::IcmpEcho { identifier: 9 }, "10.1.1.11", true),
        (WhyTraffic::Udp { source_port: 1, destination_port: 53 }, "10.1.0.2", true),
        (WhyTraffic::Udp { source_port: 1, destination_port: 53 }, "10.1.1.11", false),
        (WhyTraffic::Protocol(50), "10.1.1.11", false),
    ];
    for (traffic, destination, reachable) in cases {
        let query =
            WhyQuery { source: from(PRIVATE_01), destination: ip(destination).into(), traffic };
        let report = why(&lab.policy, &mut lab.state, &query, lab.now);
        assert_eq!(report.reachable, reachable, "{}", print::why_report(&report));
    }
}

/// RA-1: a model answers as `why` does where nothing is tracked, however many questions came before,
/// and tells the packet as each stage saw it.
#[test]
fn a_model_answers_like_why_with_nothing_tracked() {
    let mut lab = Lab::new();
    let public = lab.policy.clone();
    let mut model = Model::new(&public);
    let sources = [from(BASTION), from(PUBLIC_01), WhySource::Internet(OUTSIDE.into())];
    for (source, destination) in sources.iter().flat_map(|source| {
        ["10.1.11.21", "10.1.1.11", "198.18.0.11", "8.8.8.8"].map(|to| (source.clone(), to))
    }) {
        for port in [22, 80, 9] {
            let report = ask(&mut lab, source.clone(), destination, port);
            let answer = model.ask(&report.query);
            assert_eq!(answer.reachable, report.reachable, "{report:?}");
            let drops = (answer.forward.drop, answer.reply.as_ref().map(|leg| leg.drop));
            let seen = (report.forward.drop, report.reply.as_ref().map(|leg| leg.drop));
            assert_eq!(drops, seen, "{report:?}");
            let stages: Vec<_> = answer.forward.steps.iter().map(|step| step.stage).collect();
            let named: Vec<_> = report.forward.steps.iter().map(|step| step.stage).collect();
            assert_eq!(stages, named);
        }
    }
    let traffic = WhyTraffic::Tcp { source_port: 40_000, destination_port: 80 };
    let source = WhySource::Internet(OUTSIDE.into());
    let query = WhyQuery { source, destination: ip("198.18.0.11").into(), traffic };
    let answer = model.ask(&query);
    let seen: Vec<_> = answer.forward.steps.iter().filter_map(|step| step.packet).collect();
    assert_eq!(seen[0].destination, ip("198.18.0.11"), "as it came to the gateway");
    assert_eq!(seen[1].destination, ip("10.1.1.11"), "as the gateway made it (IGW-2)");
    assert_eq!((seen[1].source_port, seen[1].destination_port), (40_000, 80));
}

#[test]
fn a_report_prints_and_survives_json() {
    let mut lab = Lab::new();
    let report = ask(&mut lab, from(PUBLIC_01), "10.1.11.21", 22);
    let text = print::why_report(&report);
    let head = "eni-00000000000000002 to 10.1.11.21, tcp 22\n";
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("security-group"), "{text}");
    assert!(text.contains("dropped: security-group-ingress"), "{text}");
    assert!(text.contains("rtb-00000000000000002 10.1.0.0/16 -> local"), "{text}");
    assert!(text.ends_with("not reachable\n"), "{text}");
    for step in &report.forward.steps {
        assert_eq!(serde_json::to_value(step.stage).unwrap(), step.stage.name());
    }
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<WhyReport>(&json).unwrap(), report);
}

#[test]
fn a_report_begins_with_what_was_asked_by_names_that_people_know() {
    let mut lab = Lab::new();
    let address = Some(lab.address(PUBLIC_01).into());
    let cases = [
        (WhySource::Interface { port: PUBLIC_01, address }, "eni-00000000000000002 (10.1.1.11)"),
        (WhySource::Internet(OUTSIDE.into()), "198.18.200.7 in the internet"),
        (from(PortIndex(999)), "port 999"),
    ];
    for (source, name) in cases {
        let text = print::why_report(&ask(&mut lab, source, "10.1.11.21", 22));
        assert_eq!(text.lines().next(), Some(&*format!("{name} to 10.1.11.21, tcp 22")));
    }
}

#[test]
fn a_port_prints_with_its_flows_and_drops() {
    let mut lab = Lab::new();
    let private = lab.address(PRIVATE_01);
    lab.connect(BASTION, private, (40_000, 22));
    lab.tcp(BASTION, private, (40_001, 80), 2);
    let text = print::port(&lab.policy, &lab.state, BASTION);
    assert!(text.contains("tcp 10.1.2.13:40000 -> 10.1.11.21:22 established"), "{text}");
    assert!(text.contains("1 security-group-ingress"), "{text}");
}
