//! A plan as `terraform show -json` writes it: its resources with what is known of them, and what
//! the configuration says about the rest.

use std::collections::{BTreeMap, BTreeSet};

use hcl::Body;
use serde_json::{Map, Value};

use super::{
    configuration::{self, Configuration},
    evaluate::Memory,
    refs::references,
    val::{Evaluated, Val},
};

/// A resource that will be there.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// As `module.vpc.aws_subnet.public[0]`.
    pub(super) address: String,
    /// The address of its module; empty for the root.
    pub(super) module: String,
    /// `aws_subnet`
    pub(super) kind: String,
    name: String,
    pub(super) index: Option<Value>,
    /// What is known of it.
    pub(super) values: Map<String, Value>,
    unknown: Value,
    /// Its id: the one that it has, or one made up.
    pub(super) id: String,
}

/// What is said of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Got<T> {
    /// It has a value.
    Is(T),
    /// It has none.
    Absent,
    /// It has one that nobody knows before `apply`: because of this.
    Unknown(String),
}

/// A plan.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) resources: Vec<Planned>,
    pub(super) places: BTreeMap<String, Vec<usize>>,
    configuration: Value,
    providers: Value,
    pub(super) variables: Value,
    /// Data sources and what was there before, by address.
    pub(super) prior: BTreeMap<String, Map<String, Value>>,
    /// The addresses of data sources that are read during `apply`.
    pub(super) read_later: BTreeSet<String>,
    /// The files that it was made of.
    pub(super) written: Option<&'a Configuration>,
    pub(super) memory: Memory,
}

impl Planned {
    /// Its address in its module, without an index.
    pub(super) fn declared(&self) -> String {
        format!("{}.{}", self.kind, self.name)
    }

    /// Whether its id is one that it has.
    pub(super) fn is_id_known(&self) -> bool {
        self.values.get("id").is_some_and(Value::is_string)
    }
}

/// The prefixes of ids by the types of what has them.
pub(super) const PREFIXES: &[(&str, &str)] = &[
    ("aws_default_network_acl", "acl"),
    ("aws_default_route_table", "rtb"),
    ("aws_default_security_group", "sg"),
    ("aws_default_subnet", "subnet"),
    ("aws_default_vpc", "vpc"),
    ("aws_ec2_managed_prefix_list", "pl"),
    ("aws_ec2_transit_gateway", "tgw"),
    ("aws_egress_only_internet_gateway", "eigw"),
    ("aws_eip", "eipalloc"),
    ("aws_instance", "i"),
    ("aws_internet_gateway", "igw"),
    ("aws_nat_gateway", "nat"),
    ("aws_network_acl", "acl"),
    ("aws_network_interface", "eni"),
    ("aws_route_table", "rtb"),
    ("aws_security_group", "sg"),
    ("aws_subnet", "subnet"),
    ("aws_vpc", "vpc"),
    ("aws_vpc_dhcp_options", "dopt"),
    ("aws_vpc_endpoint", "vpce"),
    ("aws_vpc_peering_connection", "pcx"),
    ("aws_vpn_gateway", "vgw"),
];

/// An id for something that has none yet: always the same for the same thing (FNV-1a).
pub(super) fn made_up(prefix: &str, of: &str) -> String {
    let hash = of.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{prefix}-0{hash:016x}")
}

fn is_unknown(value: &Value) -> bool {
    match value {
        Value::Bool(unknown) => *unknown,
        Value::Array(list) => list.iter().any(is_unknown),
        Value::Object(object) => object.values().any(is_unknown),
        _ => false,
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The names of modules in an address, without the keys of their instances.
pub(super) fn names_of(module: &str) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), module);
    while let Some(after) = rest.strip_prefix("module.") {
        let end = after.find(['.', '[']).unwrap_or(after.len());
        names.push(after[..end].to_owned());
        rest = &after[end..];
        if rest.starts_with('[') {
            let close = rest.find(']').map_or(rest.len(), |place| place + 1);
            rest = &rest[close..];
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    names
}

/// The address of the module that a module is called in, and the key of the call.
pub(super) fn parent(module: &str) -> (String, Option<Value>) {
    let own = module.rfind("module.").unwrap_or(0);
    let before = module[..own].trim_end_matches('.').to_owned();
    (before, key_of(&module[own..]))
}

/// The key in brackets behind a name.
pub(super) fn key_of(text: &str) -> Option<Value> {
    let inner = text.split_once('[')?.1.split_once(']')?.0;
    serde_json::from_str(inner).ok()
}

impl<'a> Plan<'a> {
    /// Reads a plan.
    pub(super) fn read(plan: &Value, written: Option<&'a Configuration>) -> Result<Self, String> {
        if plan.get("format_version").is_none() || plan.get("planned_values").is_none() {
            return Err(
                "it is no plan: make one by `terraform plan -out=p` and `terraform show -json p`"
                    .to_owned(),
            );
        }
        let unknown: BTreeMap<String, Value> = list(&plan["resource_changes"])
            .iter()
            .map(|it| (text(&it["address"]), it["change"]["after_unknown"].clone()))
            .collect();
        let mut read = Self {
            resources: Vec::new(),
            places: BTreeMap::new(),
            configuration: plan["configuration"]["root_module"].clone(),
            providers: plan["configuration"]["provider_config"].clone(),
            variables: plan["variables"].clone(),
            prior: BTreeMap::new(),
            read_later: list(&plan["resource_changes"])
                .iter()
                .filter(|it| it["mode"] == "data")
                .map(|it| text(&it["address"]))
                .collect(),
            written,
            memory: Memory::default(),
        };
        read.take("", &plan["planned_values"]["root_module"], &unknown);
        read.take_prior(&plan["prior_state"]["values"]["root_module"]);
        for (place, resource) in read.resources.iter().enumerate() {
            let key = format!("{}|{}.{}", resource.module, resource.kind, resource.name);
            read.places.entry(key).or_default().push(place);
        }
        Ok(read)
    }

    fn take(&mut self, module: &str, tree: &Value, unknown: &BTreeMap<String, Value>) {
        for it in list(&tree["resources"]).iter().filter(|it| it["mode"] == "managed") {
            let (address, kind) = (text(&it["address"]), text(&it["type"]));
            let values = it["values"].as_object().cloned().unwrap_or_default();
            let known = values.get("id").and_then(Value::as_str).map(str::to_owned);
            let prefix = PREFIXES.iter().find(|(name, _)| *name == kind).map_or("x", |it| it.1);
            self.resources.push(Planned {
                id: known.unwrap_or_else(|| made_up(prefix, &address)),
                module: module.to_owned(),
                kind,
                name: text(&it["name"]),
                index: it.get("index").filter(|it| !it.is_null()).cloned(),
                values,
                unknown: unknown.get(&address).cloned().unwrap_or_default(),
                address,
            });
        }
        for child in list(&tree["child_modules"]) {
            self.take(&text(&child["address"]), child, unknown);
        }
    }

    fn take_prior(&mut self, tree: &Value) {
        for it in list(&tree["resources"]) {
            let values = it["values"].as_object().cloned().unwrap_or_default();
            self.prior.insert(text(&it["address"]), values);
        }
        for child in list(&tree["child_modules"]) {
            self.take_prior(child);
        }
    }

    /// What was read of data sources of a type.
    pub(super) fn data(&self, kind: &str) -> impl Iterator<Item = &Map<String, Value>> {
        let is_it = format!("data.{kind}.");
        self.prior.iter().filter(move |(address, _)| address.contains(&is_it)).map(|(_, it)| it)
    }

    /// Whether a data source was read, or all of it where there are several.
    pub(super) fn is_read(&self, module: &str, name: &str) -> bool {
        let address = match module {
            "" => format!("data.{name}"),
            module => format!("{module}.data.{name}"),
        };
        let is_it = |it: &String| {
            it.strip_prefix(&address).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        self.prior.keys().any(is_it) && !self.read_later.iter().any(is_it)
    }

    /// Whether an attribute is known after `apply` only.
    pub(super) fn is_unknown(&self, of: &Planned, attribute: &str) -> bool {
        is_unknown(&of.unknown[attribute])
    }

    /// Whether all of an attribute is known after `apply` only.
    pub(super) fn is_unknown_whole(&self, of: &Planned, attribute: &str) -> bool {
        of.unknown[attribute] == true
    }

    /// What is known after `apply` only of an attribute.
    pub(super) fn unknown_parts<'p>(&self, of: &'p Planned, attribute: &str) -> &'p Value {
        &of.unknown[attribute]
    }

    /// Whether the configuration says something of an attribute: what it does not, the provider
    /// reports. A plan does not say that there are dynamic blocks.
    pub(super) fn is_written(&self, of: &Planned, attribute: &str) -> bool {
        let in_files = self.body(of).is_some_and(|body| {
            let is_there = configuration::has(body, attribute);
            // A dynamic block of nothing is no block.
            let is_nothing = || {
                configuration::attribute(body, attribute).is_none()
                    && self.blocks(of, body, attribute).is_ok_and(|it| it.is_empty())
            };
            is_there && !is_nothing()
        });
        in_files || !self.expressions(of)[attribute].is_null()
    }

    /// Whether a member of an element of a list is known after `apply` only.
    pub(super) fn is_unknown_in(
        &self,
        of: &Planned,
        block: &str,
        place: usize,
        member: &str,
    ) -> bool {
        is_unknown(&of.unknown[block][place][member])
    }

    /// The region that the provider was configured with, where that is written out.
    pub(super) fn provider_region(&self) -> Option<String> {
        let region = &self.providers["aws"]["expressions"]["region"];
        let name = list(&region["references"]).first().and_then(Value::as_str);
        let variable =
            name.and_then(|it| it.strip_prefix("var.")).map(|it| &self.variables[it]["value"]);
        let found = region["constant_value"].as_str().or_else(|| variable.and_then(Value::as_str));
        found.map(str::to_owned)
    }

    /// The configuration of a module.
    pub(super) fn module(&self, address: &str) -> &Value {
        names_of(address)
            .iter()
            .fold(&self.configuration, |module, name| &module["module_calls"][name]["module"])
    }

    /// What the configuration in the plan says of a resource.
    pub(super) fn configured_as(&self, module: &str, declared: &str) -> &Value {
        let resources = list(&self.module(module)["resources"]);
        resources.iter().find(|it| it["address"] == declared).unwrap_or(&Value::Null)
    }

    pub(super) fn expressions(&self, of: &Planned) -> &Value {
        &self.configured_as(&of.module, &of.declared())["expressions"]
    }

    /// A text that is known, or the one id with a prefix that it must be.
    pub(super) fn id(&self, of: &Planned, attribute: &str, prefix: &str) -> Got<String> {
        match self.ids_at(of, attribute, prefix, false, 0) {
            Got::Is(ids) => match ids.as_slice() {
                [one] => Got::Is(one.clone()),
                _ => Got::Absent,
            },
            Got::Absent => Got::Absent,
            Got::Unknown(because) => Got::Unknown(because),
        }
    }

    /// The ids with a prefix that a list holds.
    pub(super) fn ids(&self, of: &Planned, attribute: &str, prefix: &str) -> Got<Vec<String>> {
        self.ids_at(of, attribute, prefix, true, 0)
    }

    pub(super) fn ids_at(
        &self,
        of: &Planned,
        attribute: &str,
        prefix: &str,
        many: bool,
        depth: usize,
    ) -> Got<Vec<String>> {
        let known = match of.values.get(attribute) {
            Some(Value::String(text)) if !text.is_empty() => vec![text.clone()],
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        if !is_unknown(&of.unknown[attribute]) {
            return if known.is_empty() { Got::Absent } else { Got::Is(known) };
        }
        let expressions = self.expressions(of);
        // What the configuration does not say, the provider reports.
        if expressions.is_object() && !self.is_written(of, attribute) && known.is_empty() {
            return Got::Absent;
        }
        if let Some(body) = self.body(of) {
            let name = format!("{}.{attribute}", of.address);
            let value = self.once(name.clone(), || self.written(of, body, attribute));
            return ids_of(value, &name, prefix, many);
        }
        let references = references(&expressions[attribute]);
        if references.is_empty() {
            return Got::Unknown(format!("{}.{attribute} is known after apply", of.address));
        }
        match self.follow(&of.module, &references, prefix, many, depth) {
            Ok(led) => {
                let mut ids = led.ids;
                ids.extend(known);
                ids.sort();
                ids.dedup();
                Got::Is(ids)
            }
            Err(because) => Got::Unknown(format!("{}.{attribute}: {because}", of.address)),
        }
    }

    /// Ids in a nested block's expression of a resource, as `ingress` has them.
    pub(super) fn ids_in_block(
        &self,
        of: &Planned,
        block: &str,
        place: usize,
        attribute: &str,
        prefix: &str,
    ) -> Got<Vec<String>> {
        let name = format!("{} {block}: {attribute}", of.address);
        if let Some(body) = self.body(of) {
            return match self.in_written_block(of, body, (block, place), attribute) {
                Ok(value) => ids_of(Ok(value), &name, prefix, true),
                Err(because) => Got::Unknown(format!("{name}: {because}")),
            };
        }
        let written = &self.expressions(of)[block];
        let planned = list(&of.values[block]);
        let (expression, many) = match written.as_array() {
            // The order of blocks is not that in which they are written.
            Some(all) => {
                let fits = |it: &&Value| is_like(it, planned.get(place).unwrap_or(&Value::Null));
                let mut all = all.iter().filter(fits);
                match (all.next(), all.next()) {
                    (Some(one), None) => (&one[attribute], false),
                    _ => return Got::Unknown(format!("{name}: which of several blocks it is")),
                }
            }
            // Blocks that are attributes have one expression for all of them together.
            None => (written, list(&of.unknown[block]).len() > 1),
        };
        let references = references(expression);
        if references.is_empty() {
            return Got::Unknown(format!("{name} is known after apply"));
        }
        match self.follow(&of.module, &references, prefix, true, 0) {
            // Which block has which of them is not to be seen.
            Ok(led) if many && led.ids.len() > 1 => {
                Got::Unknown(format!("{name} is known after apply"))
            }
            Ok(led) => Got::Is(led.ids),
            Err(because) => Got::Unknown(format!("{name}: {because}")),
        }
    }

    /// What the files say of an attribute of the block that is planned at a place: blocks have the
    /// order of a set, so that it is found by what is known of it.
    fn in_written_block(
        &self,
        of: &Planned,
        body: &Body,
        (block, place): (&str, usize),
        attribute: &str,
    ) -> Result<Val, String> {
        let written = self.blocks(of, body, block)?;
        let planned = list(&of.values[block]);
        let candidates = |place: usize| -> Vec<usize> {
            let Some(planned) = planned.get(place) else { return Vec::new() };
            let fits = |(number, it): (usize, &BTreeMap<String, Val>)| {
                it.iter().all(|(name, value)| may_be(value, &planned[name])).then_some(number)
            };
            written.iter().enumerate().filter_map(fits).collect()
        };
        let own = candidates(place);
        let of_candidate = |it: usize| written[it].get(attribute).cloned().unwrap_or(Val::Null);
        let mut values = own.iter().map(|it| of_candidate(*it));
        let Some(first) = values.next() else {
            return Err("no block in the .tf files is like it".to_owned());
        };
        if values.all(|it| it == first) {
            return Ok(first);
        }
        // Blocks that differ in nothing that is known share what is written for them.
        let alike: Vec<usize> = (0..planned.len()).filter(|it| candidates(*it) == own).collect();
        let rank = alike.iter().position(|it| *it == place);
        match rank {
            Some(rank) if alike.len() == own.len() => Ok(of_candidate(own[rank])),
            _ => Err(format!("which of {} blocks it is", own.len())),
        }
    }
}

/// Whether what is constant of a block is what is planned.
fn is_like(written: &Value, planned: &Value) -> bool {
    let constants = written.as_object().into_iter().flatten();
    let mut constants = constants.filter_map(|(name, it)| Some((name, it.get("constant_value")?)));
    constants.all(|(name, it)| may_be(&Val::of(it, &Value::Null, ""), &planned[name]))
}

/// Whether something that is written may be what is planned.
pub(super) fn may_be(written: &Val, planned: &Value) -> bool {
    let plain = match planned {
        Value::Bool(it) => it.to_string(),
        Value::Number(it) => it.to_string(),
        Value::String(it) => it.clone(),
        Value::Array(all) => {
            let written = written.elements().filter(|_| written.is_plain()).map(|it| it.0);
            let Some(written) = written else { return true };
            let mut written: Vec<_> = written.iter().filter_map(Val::as_text).collect();
            let mut planned: Vec<_> = all.iter().map(text).collect();
            written.sort();
            planned.sort();
            return written == planned;
        }
        Value::Null | Value::Object(_) => return true,
    };
    written.as_text().is_none_or(|it| it == plain)
}

/// The ids that a value is.
fn ids_of(value: Evaluated, name: &str, prefix: &str, many: bool) -> Got<Vec<String>> {
    let one = |value: &Val| match value {
        Val::Id(id) if id.strip_prefix(prefix).is_some_and(|it| it.starts_with('-')) => {
            Ok(id.to_string())
        }
        Val::Id(id) => Err(format!("it is {id}")),
        Val::Text(text) => Ok(text.to_string()),
        other => Err(match other.because() {
            Some(because) => because.to_string(),
            None => "it is no id".to_owned(),
        }),
    };
    let value = match value {
        Ok(value) => value,
        Err(because) => return Got::Unknown(format!("{name}: {because}")),
    };
    let found = match &value {
        Val::Null => return Got::Absent,
        Val::Text(text) if text.is_empty() => return Got::Absent,
        Val::List(all) | Val::Set(all) if many => all.iter().map(one).collect(),
        one_of_them => one(one_of_them).map(|it| vec![it]),
    };
    match found {
        Ok(mut ids) => {
            ids.sort();
            ids.dedup();
            Got::Is(ids)
        }
        Err(because) if because.starts_with(name) => Got::Unknown(because),
        Err(because) => Got::Unknown(format!("{name}: {because}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(names_of("module.a[\"x.y\"].module.b[0]"), ["a", "b"]);
        assert_eq!(parent("module.a[0].module.b"), ("module.a[0]".to_owned(), None));
        assert_eq!(parent("module.a[\"k\"]"), (String::new(), Some(Value::from("k"))));
    }

    #[test]
    fn made_up_ids_look_like_ids_and_stay() {
        assert_eq!(made_up("vpc", "aws_vpc.a"), made_up("vpc", "aws_vpc.a"));
        assert_ne!(made_up("vpc", "aws_vpc.a"), made_up("vpc", "aws_vpc.b"));
        assert_eq!(made_up("vpc", "aws_vpc.a").len(), "vpc-".len() + 17);
    }
}
