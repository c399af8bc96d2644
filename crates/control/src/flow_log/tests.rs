//! Records against those that AWS publishes, field by field.

use std::net::IpAddr;

use gureum_types::{
    Timestamp, TrafficDirection, TrafficPath, TrafficVerdict, Window, WindowEntry,
    record::{Attachment, AttachmentState, NetworkInterface, Scope, TrafficType},
};

use super::{
    field::default_format,
    interface::Facts,
    line::{Format, Services, Told},
    traffic::Traffic,
};

const ENI: &str = "eni-1235b8ca123456789";
const INSTANCE: &str = "i-01234567890123456";

fn scope() -> Scope {
    Scope {
        account: "123456789010".parse().expect("an account"),
        region: "ap-southeast-2".parse().expect("a region"),
    }
}

/// An interface with these addresses.
fn interface(id: &str, addresses: &[&str], requester_managed: bool) -> NetworkInterface {
    let attachment = Attachment {
        id: "eni-attach-00000000000000001".parse().expect("an id"),
        instance_id: INSTANCE.parse().expect("an id"),
        device_index: 0,
        delete_on_termination: true,
        attach_time: Timestamp(0),
        state: AttachmentState::Attached,
    };
    let parsed: Vec<IpAddr> = addresses.iter().map(|it| it.parse().expect("an address")).collect();
    NetworkInterface {
        id: id.parse().expect("an id"),
        port: gureum_types::PortIndex(1),
        vpc_id: "vpc-abcdefab012345678".parse().expect("an id"),
        subnet_id: "subnet-aaaaaaaa012345678".parse().expect("an id"),
        availability_zone: "ap-southeast-2c".into(),
        description: String::new(),
        interface_type: "interface".into(),
        requester_managed,
        mac: [2; 6],
        private_addresses: parsed
            .iter()
            .filter_map(|it| match it {
                IpAddr::V4(it) => Some(*it),
                IpAddr::V6(_) => None,
            })
            .collect(),
        ipv6_addresses: parsed
            .iter()
            .filter_map(|it| match it {
                IpAddr::V6(it) => Some(*it),
                IpAddr::V4(_) => None,
            })
            .collect(),
        primary_ipv6: false,
        groups: Vec::new(),
        source_dest_check: true,
        connection_tracking: Default::default(),
        attachment: (!requester_managed).then_some(attachment),
        detached: None,
        associate_public_ip: false,
        auto_public_ip: None,
        created: Timestamp(0),
        tags: Default::default(),
    }
}

fn facts(id: &str, addresses: &[&str], instance_type: &str) -> Facts {
    let it = interface(id, addresses, instance_type.is_empty());
    Facts::new(&scope(), &it, Timestamp(0), Some(instance_type), None)
}

/// What was counted of packets from one address and port to another.
fn entry(direction: TrafficDirection, from: (&str, u16), to: (&str, u16)) -> WindowEntry {
    WindowEntry {
        interface: ENI.parse().expect("an id"),
        direction,
        source: from.0.parse().expect("an address"),
        destination: to.0.parse().expect("an address"),
        source_port: from.1,
        destination_port: to.1,
        protocol: 6,
        verdict: TrafficVerdict::Accept,
        path: None,
        tcp_flags: 0,
        packets: 1,
        bytes: 40,
        first: Timestamp(1_418_530_010_000),
        last: Timestamp(1_418_530_070_000),
    }
}

fn ingress(from: (&str, u16), to: (&str, u16)) -> WindowEntry {
    entry(TrafficDirection::Ingress, from, to)
}

fn egress(from: (&str, u16), to: (&str, u16)) -> WindowEntry {
    entry(TrafficDirection::Egress, from, to)
}

fn services() -> Services {
    Services {
        public_pool: "198.18.0.0/16".parse().expect("a block"),
        amazon: vec!["203.0.113.50".parse().expect("an address")],
    }
}

fn format(names: &str) -> Format {
    Format::of(&names.split(' ').map(|it| format!("${{{it}}}")).collect::<Vec<_>>().join(" "))
}

fn window(entries: &[WindowEntry]) -> Window {
    Window {
        start: Timestamp(1_418_530_000_000),
        end: Timestamp(1_418_530_060_000),
        entries: entries.to_vec(),
        skipped: Vec::new(),
    }
}

/// The records of a window, of one interface.
fn lines(
    format: &Format,
    facts: &Facts,
    traffic: TrafficType,
    entries: &[WindowEntry],
) -> Vec<String> {
    let covered = [facts.clone()];
    let mut counted = Traffic::new(traffic, &covered);
    counted.add(&window(entries), |_| true);
    let sorted = counted.sorted();
    sorted.of(0).iter().map(|flow| line(format, facts, &Told::Flow(flow))).collect()
}

fn line(format: &Format, facts: &Facts, told: &Told<'_>) -> String {
    let mut out = String::new();
    format.write(&mut out, &services(), facts, told);
    out
}

#[test]
fn accepted_and_rejected_traffic() {
    // FL-20, FL-23
    let format = Format::of(&default_format());
    let facts = facts(ENI, &["172.31.16.21"], "t3.micro");
    let counted = WindowEntry {
        packets: 20,
        bytes: 4249,
        ..ingress(("172.31.16.139", 20641), ("172.31.16.21", 22))
    };
    assert_eq!(
        lines(&format, &facts, TrafficType::All, std::slice::from_ref(&counted)),
        ["2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 \
          1418530010 1418530070 ACCEPT OK"]
    );
    let rejected =
        WindowEntry { destination_port: 3389, verdict: TrafficVerdict::Reject, ..counted.clone() };
    assert_eq!(
        lines(&format, &facts, TrafficType::All, std::slice::from_ref(&rejected)),
        ["2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 3389 6 20 4249 \
          1418530010 1418530070 REJECT OK"]
    );
    let both = [counted, rejected];
    for (traffic_type, action) in [(TrafficType::Accept, "ACCEPT"), (TrafficType::Reject, "REJECT")]
    {
        let found = lines(&format, &facts, traffic_type, &both);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains(action), "{found:?}");
    }
}

#[test]
fn intervals_without_data() {
    // FL-28, FL-37
    let format = Format::of(&default_format());
    let facts = facts(ENI, &["172.31.16.21"], "t3.micro");
    let (from, to) = (Timestamp(1_431_280_876_000), Timestamp(1_431_280_934_000));
    assert_eq!(
        line(&format, &facts, &Told::NoData(from, to)),
        "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA"
    );
    assert_eq!(
        line(&format, &facts, &Told::SkipData(from, to)),
        "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - SKIPDATA"
    );
}

#[test]
fn a_ping_whose_answer_the_acl_denies() {
    // FL-32, FL-23
    let format = Format::of(&default_format());
    let facts = facts(ENI, &["172.31.16.139"], "t3.micro");
    let ping = |entry: WindowEntry| WindowEntry {
        protocol: 1,
        packets: 4,
        bytes: 336,
        last: Timestamp(1_432_917_142_000),
        ..entry
    };
    let there = WindowEntry {
        first: Timestamp(1_432_917_027_000),
        ..ping(ingress(("203.0.113.12", 0), ("172.31.16.139", 0)))
    };
    let back = WindowEntry {
        first: Timestamp(1_432_917_094_000),
        verdict: TrafficVerdict::Reject,
        ..ping(egress(("172.31.16.139", 0), ("203.0.113.12", 0)))
    };
    assert_eq!(
        lines(&format, &facts, TrafficType::All, &[back, there]),
        [
            "2 123456789010 eni-1235b8ca123456789 203.0.113.12 172.31.16.139 0 0 1 4 336 \
             1432917027 1432917142 ACCEPT OK",
            "2 123456789010 eni-1235b8ca123456789 172.31.16.139 203.0.113.12 0 0 1 4 336 \
             1432917094 1432917142 REJECT OK"
        ]
    );
}

#[test]
fn ipv6_traffic() {
    // FL-20, FL-24
    let format = Format::of(&default_format());
    let own = "2001:db8:1234:a102:3304:8879:34cf:4071";
    let peer = "2001:db8:1234:a100:8d6e:3477:df66:f105";
    let known = facts(ENI, &["10.0.0.62", "2001:db8:1234:a102::1", own], "t3.micro");
    let counted = WindowEntry {
        packets: 54,
        bytes: 8855,
        first: Timestamp(1_477_913_708_000),
        last: Timestamp(1_477_913_820_000),
        ..ingress((peer, 34892), (own, 22))
    };
    assert_eq!(
        lines(&format, &known, TrafficType::All, &[counted]),
        ["2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 \
          2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK"]
    );
    // What the interface only passes on has its first address.
    let passed = egress(("2001:db8:ffff::1", 1), (peer, 2));
    let format = self::format("srcaddr pkt-srcaddr type version");
    assert_eq!(
        lines(&format, &known, TrafficType::All, &[passed]),
        ["2001:db8:1234:a102::1 2001:db8:ffff::1 IPv6 3"]
    );
}

#[test]
fn flags_of_tcp() {
    // FL-21, FL-22, FL-25
    let format = format(
        "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr \
         srcport dstport pkt-srcaddr pkt-dstaddr protocol bytes packets start end action \
         tcp-flags log-status",
    );
    let facts = facts(ENI, &["10.0.0.62"], "t2.micro");
    let interval = |entry: WindowEntry, tcp_flags, packets, bytes, first, last| WindowEntry {
        tcp_flags,
        packets,
        bytes,
        first: Timestamp(first),
        last: Timestamp(last),
        ..entry
    };
    let (client, server) = (("52.213.180.42", 43638), ("10.0.0.62", 5001));
    let (begin, end) = (1_566_933_133_000, 1_566_933_193_000);
    let parts = [
        // Two parts of one flow: what they have is added.
        interval(ingress(client, server), 2, 10, 760, begin, begin + 30_000),
        interval(ingress(client, server), 1, 7, 500, begin + 31_000, end),
        interval(egress(server, client), 18, 14, 967, begin + 1, end),
        interval(egress(server, client), 1, 0, 0, begin + 2, begin + 3),
    ];
    let head = "3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 \
                eni-1235b8ca123456789 123456789010 IPv4";
    assert_eq!(
        lines(&format, &facts, TrafficType::All, &parts),
        [
            format!(
                "{head} 52.213.180.42 10.0.0.62 43638 5001 52.213.180.42 10.0.0.62 6 1260 17 \
                 1566933133 1566933193 ACCEPT 3 OK"
            ),
            format!(
                "{head} 10.0.0.62 52.213.180.42 5001 43638 10.0.0.62 52.213.180.42 6 967 14 \
                 1566933133 1566933193 ACCEPT 19 OK"
            )
        ]
    );
    let datagram = WindowEntry { protocol: 17, tcp_flags: 2, ..ingress(client, server) };
    let found = lines(&self::format("tcp-flags"), &facts, TrafficType::All, &[datagram]);
    assert_eq!(found, ["0"]);
}

#[test]
fn traffic_through_a_nat_gateway() {
    // FL-34, FL-24
    let format = format("instance-id interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr");
    let gateway = facts(ENI, &["10.0.0.220"], "");
    let (instance, host, own) = (("10.0.1.5", 1), ("203.0.113.5", 80), ("10.0.0.220", 1));
    let at = |mut entry: WindowEntry, moment| {
        entry.first = Timestamp(moment);
        entry
    };
    let counted = [
        at(ingress(instance, host), 1),
        at(egress(own, host), 2),
        at(ingress(host, own), 3),
        at(egress(host, instance), 4),
    ];
    assert_eq!(
        lines(&format, &gateway, TrafficType::All, &counted),
        [
            "- eni-1235b8ca123456789 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5",
            "- eni-1235b8ca123456789 10.0.0.220 203.0.113.5 10.0.0.220 203.0.113.5",
            "- eni-1235b8ca123456789 203.0.113.5 10.0.0.220 203.0.113.5 10.0.0.220",
            "- eni-1235b8ca123456789 10.0.0.220 10.0.1.5 203.0.113.5 10.0.1.5",
        ]
    );
    let own = facts(ENI, &["10.0.1.5"], "t3.micro");
    assert_eq!(
        lines(
            &format,
            &own,
            TrafficType::All,
            &[at(egress(instance, host), 1), at(ingress(host, instance), 2)]
        ),
        [
            "i-01234567890123456 eni-1235b8ca123456789 10.0.1.5 203.0.113.5 10.0.1.5 203.0.113.5",
            "i-01234567890123456 eni-1235b8ca123456789 203.0.113.5 10.0.1.5 203.0.113.5 10.0.1.5",
        ]
    );
}

#[test]
fn secondary_addresses_print_the_primary_one() {
    // FL-24
    let format = format("srcaddr dstaddr pkt-srcaddr pkt-dstaddr");
    let facts = facts(ENI, &["10.0.0.62", "10.0.0.63"], "t3.micro");
    let found =
        lines(&format, &facts, TrafficType::All, &[ingress(("10.0.1.5", 1), ("10.0.0.63", 2))]);
    assert_eq!(found, ["10.0.1.5 10.0.0.62 10.0.1.5 10.0.0.63"]);
}

#[test]
fn service_name_traffic_path_and_flow_direction() {
    // FL-22, FL-26, FL-27, FL-38
    let format = format(
        "version srcaddr dstaddr srcport dstport protocol start end type packets bytes \
         account-id vpc-id subnet-id instance-id interface-id region az-id sublocation-type \
         sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr pkt-src-aws-service \
         pkt-dst-aws-service traffic-path flow-direction log-status",
    );
    let facts = facts(ENI, &["10.0.0.71"], "t3.micro");
    let s3 = ("203.0.113.129", 80);
    let own = ("10.0.0.71", 34210);
    let counted = [
        WindowEntry { packets: 14, bytes: 15044, tcp_flags: 19, ..ingress(s3, own) },
        WindowEntry {
            packets: 7,
            bytes: 471,
            tcp_flags: 3,
            first: Timestamp(1_418_530_010_001),
            path: Some(TrafficPath::InternetGateway),
            ..egress(own, s3)
        },
    ];
    let place = "123456789010 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 \
                 i-01234567890123456 eni-1235b8ca123456789 ap-southeast-2 apse2-az3 - -";
    assert_eq!(
        lines(&format, &facts, TrafficType::All, &counted),
        [
            format!(
                "5 203.0.113.129 10.0.0.71 80 34210 6 1418530010 1418530070 IPv4 14 15044 {place} \
                 ACCEPT 19 203.0.113.129 10.0.0.71 S3 - - ingress OK"
            ),
            format!(
                "5 10.0.0.71 203.0.113.129 34210 80 6 1418530010 1418530070 IPv4 7 471 {place} \
                 ACCEPT 3 10.0.0.71 203.0.113.129 - S3 8 egress OK"
            )
        ]
    );
}

#[test]
fn services_are_named_by_public_addresses() {
    // FL-38
    let format = format("pkt-dst-aws-service");
    let facts = facts(ENI, &["10.0.0.71"], "t3.micro");
    for (address, name) in [
        ("203.0.113.129", "S3"),
        ("203.0.113.161", "DYNAMODB"),
        ("198.18.0.9", "EC2"),
        ("203.0.113.50", "AMAZON"),
        ("203.0.113.40", "-"),
        ("10.0.0.9", "-"),
        ("2001:db8::1", "-"),
    ] {
        let found =
            lines(&format, &facts, TrafficType::All, &[egress(("10.0.0.71", 1), (address, 2))]);
        assert_eq!(found, [name], "{address}");
    }
}

#[test]
fn the_way_has_a_number() {
    // FL-27
    let format = format("traffic-path");
    for (path, nitro, xen) in [
        (Some(TrafficPath::SameVpc), "1", "1"),
        (Some(TrafficPath::InternetGateway), "8", "2"),
        (Some(TrafficPath::VpnGateway), "3", "3"),
        (Some(TrafficPath::Peering), "4", "4"),
        (Some(TrafficPath::PeeringOtherRegion), "5", "5"),
        (Some(TrafficPath::GatewayEndpoint), "7", "2"),
        (None, "-", "-"),
    ] {
        for (kind, number) in [("t3.micro", nitro), ("t2.micro", xen)] {
            let facts = facts(ENI, &["10.0.0.71"], kind);
            let way = WindowEntry { path, ..egress(("10.0.0.71", 1), ("10.0.0.72", 2)) };
            let found = lines(&format, &facts, TrafficType::All, &[way]);
            assert_eq!(found, [number], "{path:?} {kind}");
        }
    }
}

#[test]
fn public_access_is_the_only_reason_that_is_told() {
    // FL-29, FL-30
    let format = format("version action reject-reason");
    let facts = facts(ENI, &["10.0.0.71"], "t3.micro");
    for (verdict, shown) in [
        (TrafficVerdict::Accept, "8 ACCEPT -"),
        (TrafficVerdict::Reject, "8 REJECT -"),
        (TrafficVerdict::RejectPublicAccess, "8 REJECT BPA"),
    ] {
        let counted = WindowEntry { verdict, ..ingress(("1.1.1.1", 1), ("10.0.0.71", 2)) };
        assert_eq!(lines(&format, &facts, TrafficType::All, &[counted]), [shown]);
    }
}

#[test]
fn what_there_is_none_of_is_a_dash() {
    // FL-22: the fields of outposts, of tasks of ECS, of regional NAT gateways, of encryption
    // controls, in a record of version 10.
    let names = "version sublocation-type sublocation-id ecs-cluster-arn ecs-cluster-name \
                 ecs-container-instance-arn ecs-container-instance-id ecs-container-id \
                 ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn \
                 ecs-task-id resource-id encryption-status";
    let facts = facts(ENI, &["10.0.0.71"], "t3.micro");
    let found = lines(
        &format(names),
        &facts,
        TrafficType::All,
        &[ingress(("10.0.0.9", 1), ("10.0.0.71", 2))],
    );
    assert_eq!(found, [format!("10{}", " -".repeat(14))]);
}

#[test]
fn intervals_without_data_tell_of_the_interface_all_the_same() {
    // FL-28
    let format = format("vpc-id subnet-id instance-id type tcp-flags region az-id flow-direction");
    let facts = facts(ENI, &["10.0.0.71"], "t3.micro");
    assert_eq!(
        line(&format, &facts, &Told::NoData(Timestamp(0), Timestamp(1))),
        "vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 - - ap-southeast-2 \
         apse2-az3 -"
    );
}

#[test]
fn a_flow_is_told_by_all_that_makes_it() {
    // FL-23: the five of it, direction, verdict.
    let base = ingress(("10.0.0.9", 1), ("10.0.0.71", 2));
    let others = [
        WindowEntry { source_port: 9, ..base.clone() },
        WindowEntry { destination_port: 9, ..base.clone() },
        WindowEntry { protocol: 17, ..base.clone() },
        WindowEntry { source: "10.0.0.8".parse().expect("an address"), ..base.clone() },
        WindowEntry { destination: "10.0.0.7".parse().expect("an address"), ..base.clone() },
        WindowEntry { direction: TrafficDirection::Egress, ..base.clone() },
        WindowEntry { verdict: TrafficVerdict::Reject, ..base.clone() },
    ];
    let mut all = vec![base.clone(), base];
    all.extend(others);
    let facts = facts(ENI, &["10.0.0.71"], "t3.micro");
    let found = lines(&format("packets"), &facts, TrafficType::All, &all);
    assert_eq!(found.len(), 8);
    assert_eq!(found.iter().filter(|it| *it == "2").count(), 1, "{found:?}");
}
