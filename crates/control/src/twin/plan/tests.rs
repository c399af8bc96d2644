//! Plans by hand, each with one way in which an id is not known yet.

use serde_json::{Value, json};

use super::{Affects, Planned, read};

/// A plan of resources: address, index, values, what is unknown, expressions.
fn plan(resources: &[(&str, Value, Value, Value, Value)], calls: Value) -> Value {
    let (mut planned, mut changes, mut configured) = (Vec::new(), Vec::new(), Vec::new());
    for (address, index, values, unknown, expressions) in resources {
        let (kind, name) = address.split_once('.').expect("an address");
        let address = match index {
            Value::Null => (*address).to_owned(),
            index => format!("{address}[{index}]"),
        };
        planned.push(json!({"address": address, "mode": "managed", "type": kind, "name": name,
            "index": index, "values": values}));
        changes.push(json!({"address": address, "change": {"after_unknown": unknown}}));
        let own = json!({"address": format!("{kind}.{name}"), "expressions": expressions});
        if !configured.contains(&own) {
            configured.push(own);
        }
    }
    json!({"format_version": "1.2", "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured, "module_calls": calls}}})
}

fn refer(to: &[&str]) -> Value {
    json!({"references": to})
}

fn vpc() -> (&'static str, Value, Value, Value, Value) {
    ("aws_vpc.a", Value::Null, json!({"cidr_block": "10.0.0.0/16"}), json!({"id": true}), json!({}))
}

fn subnet(number: u64) -> (&'static str, Value, Value, Value, Value) {
    let block = format!("10.0.{number}.0/24");
    let vpc = refer(&["aws_vpc.a.id", "aws_vpc.a"]);
    (
        "aws_subnet.a",
        json!(number),
        json!({"cidr_block": block, "availability_zone": "eu-west-1a"}),
        json!({"id": true, "vpc_id": true}),
        json!({"vpc_id": vpc}),
    )
}

fn instance(name: &str, to: &[&str]) -> (&'static str, Value, Value, Value, Value) {
    let address = if name == "one" { "aws_instance.one" } else { "aws_instance.two" };
    (
        address,
        Value::Null,
        json!({"tags": {"Name": name}, "ami": "ami-0123456789abcdef0", "instance_type": "t3.micro"}),
        json!({"id": true, "subnet_id": true, "vpc_security_group_ids": true}),
        json!({"subnet_id": refer(to)}),
    )
}

fn made(resources: &[(&str, Value, Value, Value, Value)]) -> Planned {
    read(&plan(resources, json!({})), None).expect("a plan")
}

fn count(planned: &Planned, key: &str) -> usize {
    planned.document[key].as_array().map_or(0, Vec::len)
}

#[test]
fn references_lead_to_what_they_name() {
    let planned = made(&[
        vpc(),
        subnet(0),
        subnet(1),
        instance("one", &["aws_subnet.a[1].id", "aws_subnet.a[1]", "aws_subnet.a"]),
    ]);
    assert_eq!(planned.unknown, []);
    let interface = &planned.document["NetworkInterfaces"][0];
    assert_eq!(interface["PrivateIpAddress"], "10.0.1.10");
    let vpc = &planned.document["Vpcs"][0]["VpcId"];
    assert_eq!(
        (&interface["VpcId"], count(&planned, "RouteTables")),
        (vpc, 1),
        "and what a VPC begins with"
    );
    let group = &planned.document["SecurityGroups"][0];
    assert_eq!(interface["Groups"][0]["GroupId"], group["GroupId"], "the default group");
}

#[test]
fn what_is_one_of_several_is_not_guessed() {
    let planned = made(&[
        vpc(),
        subnet(0),
        subnet(1),
        instance("one", &["aws_subnet.a"]),
        instance("two", &["local.subnet", "aws_vpc.a"]),
    ]);
    assert_eq!(count(&planned, "Reservations"), 0);
    let told: Vec<_> = planned.unknown.iter().map(|it| it.because.as_str()).collect();
    assert!(told[0].contains("which of 2 it is"), "{told:?}");
    assert!(told[1].contains("local.subnet: plans do not show locals"), "{told:?}");
    let Affects::Host(names) = &planned.unknown[0].affects else { panic!("a host") };
    assert!(names.contains(&"one".to_owned()) && names.contains(&"aws_instance.one".to_owned()));
}

/// A subnet of a module that has some, by its output and the index of who asks: which one it is, the
/// plan does not say.
#[test]
fn modules_are_followed_to_one_thing_alone() {
    let of_module = |subnets: u64| {
        let mut whole = plan(&[vpc()], json!({}));
        let of_vpc = json!({"references": ["var.vpc"]});
        let all: Vec<_> = (0..subnets)
            .map(|number| {
                json!({"address": format!("module.net.aws_subnet.s[{number}]"), "mode": "managed",
                    "type": "aws_subnet", "name": "s", "index": number,
                    "values": {"cidr_block": format!("10.0.{number}.0/24")}})
            })
            .collect();
        whole["planned_values"]["root_module"]["child_modules"] =
            json!([{"address": "module.net", "resources": all}]);
        whole["configuration"]["root_module"]["module_calls"] = json!({"net": {
            "expressions": {"vpc": refer(&["aws_vpc.a.id", "aws_vpc.a"])},
            "module": {
                "outputs": {"subnets": {"expression": refer(&["aws_subnet.s"])}},
                "resources": [{"address": "aws_subnet.s", "expressions": {"vpc_id": of_vpc}}],
            },
        }});
        let changes = whole["resource_changes"].as_array_mut().expect("changes");
        for number in 0..subnets {
            changes.push(json!({"address": format!("module.net.aws_subnet.s[{number}]"),
                "change": {"after_unknown": {"vpc_id": true}}}));
            let address = format!("aws_instance.i[{number}]");
            changes.push(
                json!({"address": address, "change": {"after_unknown": {"subnet_id": true}}}),
            );
        }
        let root = &mut whole["planned_values"]["root_module"]["resources"];
        for number in 0..subnets {
            root.as_array_mut().expect("resources").push(json!({
                "address": format!("aws_instance.i[{number}]"), "mode": "managed",
                "type": "aws_instance", "name": "i", "index": number, "values": {}}));
        }
        let configured = &mut whole["configuration"]["root_module"]["resources"];
        let subnet = refer(&["module.net.subnets", "module.net", "count.index"]);
        configured
            .as_array_mut()
            .expect("resources")
            .push(json!({"address": "aws_instance.i", "expressions": {"subnet_id": subnet}}));
        read(&whole, None).expect("a plan")
    };
    let one = of_module(1);
    assert_eq!(one.unknown, []);
    assert_eq!(one.document["NetworkInterfaces"][0]["PrivateIpAddress"], "10.0.0.10");
    let two = of_module(2);
    assert_eq!((count(&two, "Subnets"), count(&two, "Reservations")), (2, 0));
    assert!(two.unknown[0].because.contains("which of 2 it is"), "{:?}", two.unknown);
}

/// An expression may choose among what it refers to, by something else that it refers to.
#[test]
fn lists_of_which_something_may_be_left_out_are_unknown() {
    let group = |name: &'static str| {
        let vpc = refer(&["aws_vpc.a.id", "aws_vpc.a"]);
        let unknown = json!({"id": true, "vpc_id": true});
        (name, Value::Null, json!({"name": name}), unknown, json!({"vpc_id": vpc}))
    };
    let groups_of = |to: &[&str]| {
        let (address, index, values, unknown, mut expressions) =
            instance("one", &["aws_subnet.a[0].id", "aws_subnet.a[0]", "aws_subnet.a"]);
        expressions["vpc_security_group_ids"] = refer(to);
        let a = group("aws_security_group.a");
        let b = group("aws_security_group.b");
        made(&[vpc(), subnet(0), a, b, (address, index, values, unknown, expressions)])
    };
    let both = ["aws_security_group.a.id", "aws_security_group.b.id"];
    let planned = groups_of(&both);
    assert_eq!(planned.unknown, []);
    let groups = &planned.document["NetworkInterfaces"][0]["Groups"];
    assert_eq!(groups.as_array().map(Vec::len), Some(2));
    for decides in ["var.open", "count.index", "each.key", "local.open", "aws_subnet.a.id"] {
        let planned = groups_of(&[&both[..], &[decides]].concat());
        let sure = decides == "aws_subnet.a.id";
        assert_eq!(planned.unknown.is_empty(), sure, "{decides}: {:?}", planned.unknown);
    }
    // What a variable has may be in the list as well.
    assert_eq!(groups_of(&[both[0], "var.more"]).unknown.len(), 1);
    assert_eq!(groups_of(&[both[0], "count.index"]).unknown, []);
}

#[test]
fn rules_of_unknown_groups_make_their_group_unknown() {
    let group = (
        "aws_security_group.web",
        Value::Null,
        json!({"name": "web", "egress": [{"protocol": "-1", "cidr_blocks": ["0.0.0.0/0"],
            "from_port": 0, "to_port": 0}]}),
        json!({"id": true, "vpc_id": true}),
        json!({"vpc_id": refer(&["aws_vpc.a.id", "aws_vpc.a"]), "egress": {}}),
    );
    let rule = |to: &[&str]| {
        (
            "aws_security_group_rule.r",
            Value::Null,
            json!({"type": "ingress", "protocol": "tcp", "from_port": 80, "to_port": 80}),
            json!({"security_group_id": true, "source_security_group_id": true}),
            json!({"security_group_id": refer(&["aws_security_group.web.id", "aws_security_group.web"]),
                "source_security_group_id": refer(to)}),
        )
    };
    let planned = made(&[vpc(), group.clone(), rule(&["aws_security_group.web.id"])]);
    assert_eq!(planned.unknown, []);
    assert_eq!(count(&planned, "SecurityGroupRules"), 4, "two of the default group, two of web");
    let planned = made(&[vpc(), group, rule(&["data.aws_security_group.other.id"])]);
    assert_eq!(planned.unknown.len(), 1);
    assert!(matches!(planned.unknown[0].affects, Affects::Group(_)), "{:?}", planned.unknown);
}

#[test]
fn what_decides_about_packets_and_is_not_made_comes_first() {
    let nothing = || (json!({}), json!({}), json!({}));
    let of = |address: &'static str| {
        let (values, unknown, expressions) = nothing();
        (address, Value::Null, values, unknown, expressions)
    };
    let planned = made(&[of("aws_lb.a"), of("aws_ec2_transit_gateway.a"), of("aws_iam_role.a")]);
    assert_eq!(planned.unsupported.len(), 2, "{:?}", planned.unsupported);
    assert_eq!(planned.others["aws_iam_role"], 1);
    assert!(read(&json!({"Vpcs": []}), None).is_err(), "no plan");
}
