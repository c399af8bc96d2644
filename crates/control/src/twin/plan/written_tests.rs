//! Plans with the files that they were made of.

use std::collections::BTreeSet;

use hcl::Body;
use serde_json::{Map, Value, json};

use super::{
    Affects, Configuration, ModuleFiles, Planned, read,
    references::heads_of,
    tree::{key_of, list},
};

/// What a plan says of a body's expressions.
fn expressions(body: &Body) -> Value {
    let mut all = Map::new();
    for it in body.attributes() {
        let mut heads = BTreeSet::new();
        heads_of(it.expr(), &mut heads);
        all.insert(it.key().to_owned(), json!({"references": heads}));
    }
    for block in body.blocks().filter(|it| it.identifier() != "dynamic") {
        let of_name = all.entry(block.identifier()).or_insert(json!([]));
        of_name.as_array_mut().expect("blocks").push(expressions(block.body()));
    }
    Value::Object(all)
}

/// What a plan says of a module; those that it calls are others of the files.
fn configured(files: &[(&str, &str)], path: &str) -> Value {
    let text = files.iter().find(|(it, _)| *it == path).expect("the module").1;
    let body = hcl::parse(text).expect("HCL");
    let (mut resources, mut calls, mut outputs) = (Vec::new(), json!({}), json!({}));
    for block in body.blocks() {
        let labels: Vec<_> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
        let mut own = expressions(block.body());
        let mut take = |name: &str| own.as_object_mut().and_then(|it| it.remove(name));
        let (count, each) = (take("count"), take("for_each"));
        match (block.identifier(), labels.as_slice()) {
            ("resource", [kind, name]) => resources
                .push(json!({"address": format!("{kind}.{name}"),
                "expressions": own, "count_expression": count, "for_each_expression": each})),
            ("data", [kind, name]) => resources.push(json!({"expressions": own,
                "address": format!("data.{kind}.{name}")})),
            ("output", [name]) => outputs[name] = json!({"expression": own["value"]}),
            ("module", [name]) => {
                let inner =
                    if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
                calls[name] = json!({"expressions": own, "count_expression": count,
                    "for_each_expression": each, "module": configured(files, &inner)});
            }
            _ => {}
        }
    }
    json!({"resources": resources, "module_calls": calls, "outputs": outputs})
}

/// A plan of files, by the paths of their modules, and of what is known of resources: everything that
/// is written and not among the values is unknown.
fn plan(files: &[(&str, &str)], resources: &[(&str, Value)]) -> Value {
    let configuration = configured(files, "");
    let (mut children, mut changes) = (Map::new(), Vec::new());
    for (address, values) in resources {
        // `module.a[0].aws_subnet.b["c"]`
        let start = address.find("aws_").expect("a type");
        let module = address[..start].trim_end_matches('.');
        let (kind, rest) = address[start..].split_once('.').expect("a name");
        let name = rest.split('[').next().expect("a name");
        let resource = json!({"address": address, "mode": "managed", "type": kind, "name": name,
            "index": key_of(rest), "values": values});
        let of_module = children.entry(module).or_insert(json!([]));
        of_module.as_array_mut().expect("resources").push(resource);
        let mut written = &configuration;
        for name in super::tree::names_of(module) {
            written = &written["module_calls"][name]["module"];
        }
        let declared = format!("{kind}.{name}");
        let written = list(&written["resources"]).iter().find(|it| it["address"] == declared);
        let written = written.expect("it is declared")["expressions"].as_object().cloned();
        let mut unknown = json!({"id": true});
        for (name, _) in written.unwrap_or_default() {
            unknown[&name] = match &values[&name] {
                Value::Null => true.into(),
                // What a block has not is unknown.
                Value::Array(all) if all.iter().any(Value::is_object) => all
                    .iter()
                    .map(|it| {
                        let names = ["security_groups", "network_interface_id", "gateway_id"];
                        let missing = names.iter().filter(|name| it.get(name).is_none());
                        Value::Object(missing.map(|it| ((*it).to_owned(), true.into())).collect())
                    })
                    .collect(),
                _ => false.into(),
            };
        }
        // A plan does not say that there are dynamic blocks.
        if let Some(all) = values["ingress"].as_array() {
            unknown["ingress"] = all.iter().map(|_| json!({"security_groups": true})).collect();
        }
        changes.push(json!({"address": address, "change": {"after_unknown": unknown}}));
    }
    let root = children.remove("").unwrap_or_default();
    let children: Vec<_> = children
        .into_iter()
        .map(|(address, resources)| json!({"address": address, "resources": resources}))
        .collect();
    json!({"format_version": "1.2", "resource_changes": changes,
        "planned_values": {"root_module": {"resources": root, "child_modules": children}},
        "configuration": {"root_module": configuration}})
}

fn files_of(files: &[(&str, &str)]) -> Vec<ModuleFiles> {
    let files = files.iter().map(|(path, text)| ModuleFiles {
        path: (*path).to_owned(),
        files: vec![("main.tf".to_owned(), (*text).to_owned())],
    });
    files.collect()
}

fn made(plan: &Value, files: &[(&str, &str)]) -> Planned {
    let written = Configuration::read(&files_of(files), plan).expect("the files of the plan");
    read(plan, Some(&written)).expect("a plan")
}

/// The addresses of instances by their names.
fn addresses(planned: &Planned) -> Vec<(String, String)> {
    assert_eq!(planned.unknown, []);
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let reservations = list(&planned.document["Reservations"]);
    let instances = reservations.iter().flat_map(|it| list(&it["Instances"]));
    let mut found: Vec<_> = instances
        .map(|instance| {
            let interfaces = list(&planned.document["NetworkInterfaces"]).iter();
            let mut own = interfaces.filter(|it| {
                it["Attachment"]["InstanceId"] == instance["InstanceId"]
                    && it["Attachment"]["DeviceIndex"] == 0
            });
            let interface = own.next().expect("an interface");
            (text(&instance["Tags"][0]["Value"]), text(&interface["PrivateIpAddress"]))
        })
        .collect();
    found.sort();
    found
}

fn whys(planned: &Planned) -> Vec<&str> {
    planned.unknown.iter().map(|it| it.because.as_str()).collect()
}

/// A VPC with subnets 10.0.0.0/24, 10.0.1.0/24 and 10.0.2.0/24.
const NETWORK: &str = r#"
resource "aws_vpc" "a" {}
resource "aws_subnet" "a" {
  count  = 3
  vpc_id = aws_vpc.a.id
}
"#;

fn network() -> Vec<(&'static str, Value)> {
    let subnet = |number| json!({"cidr_block": format!("10.0.{number}.0/24"), "availability_zone": "eu-west-1a"});
    vec![
        ("aws_vpc.a", json!({"cidr_block": "10.0.0.0/16"})),
        ("aws_subnet.a[0]", subnet(0)),
        ("aws_subnet.a[1]", subnet(1)),
        ("aws_subnet.a[2]", subnet(2)),
    ]
}

fn named(name: &str) -> Value {
    json!({"tags_all": {"Name": name}})
}

/// Instances `i[0]` and `i[1]` in what an expression says, beside the network.
fn two_in(subnet: &str, more: &str) -> (Value, String) {
    let text = format!(
        "{NETWORK}{more}\nresource \"aws_instance\" \"i\" {{\n  count = 2\n  subnet_id = {subnet}\n}}\n"
    );
    let mut resources = network();
    resources.extend([("aws_instance.i[0]", named("i0")), ("aws_instance.i[1]", named("i1"))]);
    (plan(&[("", &text)], &resources), text)
}

fn subnets_of(subnet: &str, more: &str) -> Planned {
    let (plan, text) = two_in(subnet, more);
    made(&plan, &[("", &text)])
}

#[test]
fn indexes_are_those_that_are_written() {
    for (subnet, more, wanted) in [
        ("aws_subnet.a[count.index].id", "", ["0", "1"]),
        ("aws_subnet.a[count.index + 1].id", "", ["1", "2"]),
        ("aws_subnet.a[2 - count.index].id", "", ["2", "1"]),
        ("element(aws_subnet.a[*].id, count.index + 2)", "", ["2", "0"]),
        ("element(aws_subnet.a.*.id, count.index)", "", ["0", "1"]),
        ("reverse(aws_subnet.a)[count.index].id", "", ["2", "1"]),
        ("\"${aws_subnet.a[count.index % 2 == 0 ? 2 : 0].id}\"", "", ["2", "0"]),
        (
            "slice([for s in aws_subnet.a : s.id if s.cidr_block != \"10.0.0.0/24\"], 0, 2)[count.index]",
            "",
            ["1", "2"],
        ),
        (
            "{ for s in aws_subnet.a : s.cidr_block => s.id }[cidrsubnet(local.all, 8, count.index + 1)]",
            "locals {\n  all = aws_vpc.a.cidr_block\n}",
            ["1", "2"],
        ),
        (
            "try(aws_subnet.a[count.index + 2].id, one(slice(aws_subnet.a[*].id, 1, 2)))",
            "",
            ["2", "1"],
        ),
        (
            "coalesce(local.none, local.ids[count.index])",
            "locals {\n  none = null\n  ids = [aws_subnet.a[1].id, aws_subnet.a[0].id]\n}",
            ["1", "0"],
        ),
        (
            "lookup(local.by_name, local.names[count.index], null)",
            "locals {\n  names = [\"x\", \"y\"]\n  by_name = zipmap([\"y\", \"x\"], slice(aws_subnet.a[*].id, 0, 2))\n}",
            ["1", "0"],
        ),
        (
            "local.chosen[count.index][\"s\"].id",
            "locals {\n  pairs = merge({ a = 2 }, { b = 0 })\n  \
            chosen = [for k, n in local.pairs : { s = aws_subnet.a[n] }]\n}",
            ["2", "0"],
        ),
    ] {
        let found = addresses(&subnets_of(subnet, more));
        let wanted = [("i0", wanted[0]), ("i1", wanted[1])]
            .map(|(name, it)| (name.to_owned(), format!("10.0.{it}.1")));
        let found: Vec<_> = found
            .into_iter()
            .map(|(name, it)| (name, it.trim_end_matches(['0', '1']).to_owned() + "1"))
            .collect();
        assert_eq!(found, wanted, "{subnet}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_unknown_and_says_why() {
    for (subnet, more, because) in [
        ("aws_subnet.a[parity(count.index)].id", "", "the function parity is not known here"),
        ("provider::mine::pick(aws_subnet.a)", "", "the function provider::mine::pick"),
        ("element(tolist(toset(aws_subnet.a[*].id)), count.index)", "", "element"),
        ("tolist(toset(aws_subnet.a[*].id))[count.index]", "", "whose order is known after apply"),
        ("sort(aws_subnet.a[*].id)[count.index]", "", "sort"),
        ("aws_subnet.a[count.index + 3].id", "", "there is no element 3"),
        ("local.a", "locals {\n  a = local.b\n  b = local.a\n}", "leads to itself"),
        (
            "data.aws_subnet.d.id",
            "data \"aws_subnet\" \"d\" {}",
            "data.aws_subnet.d.id is read during apply",
        ),
        ("aws_subnet.a[length(aws_vpc.a.main_route_table_id)].id", "", "length"),
        ("aws_subnet.a[terraform.workspace == \"x\" ? 0 : 1].id", "", "terraform.workspace"),
        ("try(aws_subnet.a[parity(0)].id, aws_subnet.a[0].id)", "", "parity"),
        ("aws_vpc.a.id", "", "it is vpc-"),
    ] {
        let planned = subnets_of(subnet, more);
        assert_eq!(list(&planned.document["Reservations"]).len(), 0, "{subnet}");
        let whys = whys(&planned);
        assert!(whys.iter().any(|it| it.contains(because)), "{subnet}: {whys:?}");
        assert!(matches!(planned.unknown[0].affects, Affects::Host(_)), "{subnet}");
    }
}

#[test]
fn files_of_another_day_are_not_believed() {
    let (plan, text) = two_in("aws_subnet.a[count.index + 1].id", "");
    // Another reference, which the plan would have told.
    let other = text.replace("[count.index + 1]", "[local.n]") + "locals {\n  n = 0\n}\n";
    let planned = made(&plan, &[("", &other)]);
    assert!(whys(&planned)[0].contains("written otherwise in the .tf files"), "{planned:?}");
    // Another resource.
    let other = format!("{text}resource \"aws_eip\" \"new\" {{}}\n");
    let error = Configuration::read(&files_of(&[("", &other)]), &plan).expect_err("others");
    assert!(error.contains("other resources"), "{error}");
    // Another key of a local, which the plan has as the keys of resources.
    let with = |key: &str| {
        format!(
            "{NETWORK}locals {{\n  all = {{ {key} = {{ n = 1 }} }}\n}}\nresource \"aws_instance\" \"i\" {{\n  \
             for_each = local.all\n  subnet_id = aws_subnet.a[each.value.n].id\n}}\n"
        )
    };
    let mut resources = network();
    resources.push(("aws_instance.i[\"x\"]", named("x")));
    let plan = self::plan(&[("", &with("x"))], &resources);
    assert_eq!(addresses(&made(&plan, &[("", &with("x"))])).len(), 1);
    let planned = made(&plan, &[("", &with("y"))]);
    assert!(whys(&planned)[0].contains("the for_each of aws_instance.i"), "{planned:?}");
    // Another value of a local, which the plan has in something that is known.
    let with = |type_: &str| {
        let locals = format!("locals {{\n  own = {{ n = 1, type = \"{type_}\" }}\n}}\n");
        let text = "resource \"aws_instance\" \"i\" {\n  instance_type = local.own.type\n  \
                    subnet_id = aws_subnet.a[local.own.n].id\n}\n";
        format!("{NETWORK}{locals}{text}")
    };
    let mut resources = network();
    resources.push(("aws_instance.i", json!({"instance_type": "t3.micro"})));
    let plan = self::plan(&[("", &with("t3.micro"))], &resources);
    assert_eq!(addresses(&made(&plan, &[("", &with("t3.micro"))])).len(), 1);
    let planned = made(&plan, &[("", &with("t3.large"))]);
    assert!(whys(&planned)[0].contains("aws_instance.i is written otherwise"), "{planned:?}");
}

/// Hosts in a map of locals, with their subnet and group, as people write them.
#[test]
fn maps_of_locals_are_gone_through() {
    let text = r#"
resource "aws_vpc" "a" {}
locals {
  subnets = { web = 1, db = 2 }
  ids     = merge({ for k, s in aws_subnet.s : k => s.id }, {})
  hosts = {
    W = { subnet = "web", group = aws_security_group.g["open"].id }
    D = { subnet = "db", group = aws_security_group.g["closed"].id }
  }
}
resource "aws_subnet" "s" {
  for_each = local.subnets
  vpc_id   = aws_vpc.a.id
}
resource "aws_security_group" "g" {
  for_each = toset(["open", "closed"])
  vpc_id   = aws_vpc.a.id
  dynamic "ingress" {
    for_each = each.key == "closed" ? { web = 5432 } : {}
    iterator = it
    content {
      from_port       = it.value
      to_port         = it.value
      protocol        = "tcp"
      security_groups = [aws_security_group.g["open"].id]
    }
  }
}
resource "aws_instance" "i" {
  for_each               = local.hosts
  subnet_id              = local.ids[each.value.subnet]
  vpc_security_group_ids = [each.value.group]
}
resource "aws_route_table" "r" {
  vpc_id = aws_vpc.a.id
}
resource "aws_route_table_association" "r" {
  for_each       = aws_subnet.s
  subnet_id      = each.value.id
  route_table_id = aws_route_table.r.id
}
"#;
    let closed = json!({"name": "closed", "ingress": [{"from_port": 5432, "to_port": 5432,
        "protocol": "tcp", "cidr_blocks": []}]});
    let resources = [
        ("aws_vpc.a", json!({"cidr_block": "10.0.0.0/16"})),
        ("aws_subnet.s[\"web\"]", json!({"cidr_block": "10.0.1.0/24"})),
        ("aws_subnet.s[\"db\"]", json!({"cidr_block": "10.0.2.0/24"})),
        ("aws_security_group.g[\"open\"]", json!({"name": "open", "ingress": []})),
        ("aws_security_group.g[\"closed\"]", closed),
        ("aws_instance.i[\"W\"]", named("W")),
        ("aws_instance.i[\"D\"]", named("D")),
        ("aws_route_table.r", json!({})),
        ("aws_route_table_association.r[\"web\"]", json!({})),
        ("aws_route_table_association.r[\"db\"]", json!({})),
    ];
    let whole = plan(&[("", text)], &resources);
    let planned = made(&whole, &[("", text)]);
    let wanted = [("D", "10.0.2.10"), ("W", "10.0.1.10")];
    assert_eq!(addresses(&planned), wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let id_of = |name: &str| {
        let mut all = list(&planned.document["SecurityGroups"]).iter();
        all.find(|it| it["GroupName"] == name).expect("a group")["GroupId"].clone()
    };
    let rules = list(&planned.document["SecurityGroupRules"]);
    let mut rules = rules.iter().filter(|it| it["GroupId"] == id_of("closed"));
    let rule = rules.next().expect("a rule");
    assert_eq!(rule["ReferencedGroupInfo"]["GroupId"], id_of("open"));
    let table =
        list(&planned.document["RouteTables"]).iter().find(|it| it["Associations"][1].is_object());
    assert!(table.is_some(), "both subnets are associated");
    // Nothing of that is in the plan itself.
    let alone = read(&whole, None).expect("a plan");
    assert!(alone.unknown.len() >= 4, "{:?}", alone.unknown);
    assert_eq!(list(&alone.document["Reservations"]).len(), 0);
}

#[test]
fn modules_hand_in_and_out() {
    let root = r#"
variable "order" {
  type    = set(string)
  default = ["a"]
}
resource "aws_vpc" "a" {}
module "net" {
  source  = "./net"
  count   = 2
  vpc     = { id = aws_vpc.a.id }
  number  = count.index
}
module "hosts" {
  source   = "./hosts"
  for_each = { x = 0, y = 1 }
  subnets  = module.net[each.value].ids
}
"#;
    let net = r#"
variable "number" { type = string }
variable "vpc" {
  type = object({ id = string, name = optional(string, "n") })
}
resource "aws_subnet" "s" {
  count  = 2
  vpc_id = var.vpc.name == "n" ? var.vpc.id : null
}
output "ids" { value = reverse(aws_subnet.s[*].id) }
"#;
    let hosts = r#"
variable "subnets" { type = list(string) }
resource "aws_instance" "i" {
  subnet_id = element(var.subnets, 2)
}
"#;
    let files = [("", root), ("net", net), ("hosts", hosts)];
    let subnet = |number: u8| json!({"cidr_block": format!("10.0.{number}.0/24")});
    let resources = [
        ("aws_vpc.a", json!({"cidr_block": "10.0.0.0/16"})),
        ("module.net[0].aws_subnet.s[0]", subnet(0)),
        ("module.net[0].aws_subnet.s[1]", subnet(1)),
        ("module.net[1].aws_subnet.s[0]", subnet(10)),
        ("module.net[1].aws_subnet.s[1]", subnet(11)),
        ("module.hosts[\"x\"].aws_instance.i", named("x")),
        ("module.hosts[\"y\"].aws_instance.i", named("y")),
    ];
    let plan = plan(&files, &resources);
    let wanted = [("x", "10.0.1.10"), ("y", "10.0.11.10")];
    assert_eq!(addresses(&made(&plan, &files)), wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
    // A module whose files are not there is not looked into.
    let planned = made(&plan, &[("", root), ("hosts", hosts)]);
    let whys = whys(&planned);
    assert!(whys.iter().any(|it| it.contains("the files of the module are not there")), "{whys:?}");
    assert_eq!(list(&planned.document["Reservations"]).len(), 0);
}

#[test]
fn blocks_are_found_by_what_is_known_of_them() {
    let text = r#"
resource "aws_vpc" "a" {}
resource "aws_subnet" "a" {
  vpc_id = aws_vpc.a.id
}
resource "aws_network_interface" "n" {
  count     = 2
  subnet_id = aws_subnet.a.id
}
resource "aws_instance" "i" {
  network_interface {
    device_index         = 0
    network_interface_id = aws_network_interface.n[1].id
  }
  network_interface {
    device_index         = 1
    network_interface_id = aws_network_interface.n[0].id
  }
}
"#;
    let own = |address: &str| json!({"private_ips": [address]});
    let resources = [
        ("aws_vpc.a", json!({"cidr_block": "10.0.0.0/16"})),
        ("aws_subnet.a", json!({"cidr_block": "10.0.0.0/24"})),
        ("aws_network_interface.n[0]", own("10.0.0.20")),
        ("aws_network_interface.n[1]", own("10.0.0.21")),
        // Blocks have the order of a set.
        (
            "aws_instance.i",
            json!({"tags": {"Name": "i"},
                "network_interface": [{"device_index": 1}, {"device_index": 0}]}),
        ),
    ];
    let plan = plan(&[("", text)], &resources);
    let found = addresses(&made(&plan, &[("", text)]));
    assert_eq!(found, [("i".to_owned(), "10.0.0.21".to_owned())]);
    let alone = read(&plan, None).expect("a plan");
    assert!(whys(&alone).iter().any(|it| it.contains("which of several blocks")), "{alone:?}");
}

/// A plan does not say whether a group has dynamic blocks, whose rules are known after `apply` only, or
/// no rules at all.
#[test]
fn dynamic_blocks_are_seen() {
    let with = |over: &str| {
        let text = format!(
            "resource \"aws_vpc\" \"a\" {{}}\nresource \"aws_security_group\" \"g\" {{\n  vpc_id = aws_vpc.a.id\n  \
             dynamic \"ingress\" {{\n    for_each = {over}\n    content {{\n      from_port = 22\n    }}\n  }}\n}}\n"
        );
        let resources = [
            ("aws_vpc.a", json!({"cidr_block": "10.0.0.0/16"})),
            ("aws_security_group.g", json!({"name": "g"})),
        ];
        let mut plan = plan(&[("", &text)], &resources);
        plan["resource_changes"][1]["change"]["after_unknown"]["ingress"] = true.into();
        assert_eq!(read(&plan, None).expect("a plan").unknown, []);
        made(&plan, &[("", &text)])
    };
    assert_eq!(with("[]").unknown, []);
    let planned = with("toset([aws_vpc.a.arn])");
    assert!(whys(&planned)[0].contains("its ingress is unknown"), "{planned:?}");
    assert!(matches!(planned.unknown[0].affects, Affects::Group(_)));
}

/// A plan of some resources alone does not say which place of a list the others have.
#[test]
fn a_list_with_a_gap_has_no_places() {
    let (mut plan, text) = two_in("aws_subnet.a[count.index].id", "");
    let resources = &mut plan["planned_values"]["root_module"]["resources"];
    resources.as_array_mut().expect("resources").retain(|it| it["address"] != "aws_subnet.a[0]");
    let planned = made(&plan, &[("", &text)]);
    assert!(whys(&planned)[0].contains("not all of aws_subnet.a"), "{planned:?}");
}

#[test]
fn names_lead_far_and_not_without_end() {
    let chain = |length: usize| {
        let locals = (0..length).map(|it| format!("  l{it} = [for s in local.l{}: s]\n", it + 1));
        format!("locals {{\n{}  l{length} = aws_subnet.a[*].id\n}}", locals.collect::<String>())
    };
    assert_eq!(addresses(&subnets_of("local.l0[count.index]", &chain(30))).len(), 2);
    let planned = subnets_of("local.l0[count.index]", &chain(3000));
    assert!(whys(&planned)[0].contains("leads too far"), "{:?}", planned.unknown);
}
