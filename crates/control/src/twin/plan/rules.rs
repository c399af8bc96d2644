//! Routes, rules of security groups, entries of network ACLs.

use serde_json::{Map, Value, json};

use super::{
    build::{Build, flag, known, words},
    tree::{Got, Planned, made_up},
};

/// What routes lead to: attributes of the provider, prefixes of ids, members of answers.
const TARGETS: &[(&str, &str, &str)] = &[
    ("gateway_id", "", "GatewayId"),
    ("nat_gateway_id", "nat", "NatGatewayId"),
    ("network_interface_id", "eni", "NetworkInterfaceId"),
    ("vpc_peering_connection_id", "pcx", "VpcPeeringConnectionId"),
    ("egress_only_gateway_id", "eigw", "EgressOnlyInternetGatewayId"),
    ("transit_gateway_id", "tgw", "TransitGatewayId"),
    ("vpc_endpoint_id", "vpce", "GatewayId"),
    ("carrier_gateway_id", "cagw", "CarrierGatewayId"),
    ("local_gateway_id", "lgw", "LocalGatewayId"),
    ("core_network_arn", "arn", "CoreNetworkArn"),
];

const DESTINATIONS: &[(&str, &str, &str)] = &[
    ("destination_cidr_block", "cidr_block", "DestinationCidrBlock"),
    ("destination_ipv6_cidr_block", "ipv6_cidr_block", "DestinationIpv6CidrBlock"),
    ("destination_prefix_list_id", "destination_prefix_list_id", "DestinationPrefixListId"),
];

fn list<'v>(values: &'v Map<String, Value>, name: &str) -> &'v [Value] {
    known(values, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

impl Build<'_> {
    /// All of them, once what they belong to is there.
    pub(super) fn rules(&mut self) {
        self.routes();
        self.routes_in_tables();
        self.rules_in_groups();
        self.group_rules();
        self.group_rules_of_one_peer();
        self.entries_in_acls();
        self.acl_rules();
        self.acl_associations();
    }

    fn add_route(&mut self, table: &str, route: Value) {
        let mut route = route;
        route["State"] = "active".into();
        route["Origin"] = "CreateRoute".into();
        self.push("RouteTables", table, "Routes", route);
    }

    fn routes(&mut self) {
        for it in self.of(&["aws_route"]) {
            let Some(table) = self.need(it, "route_table_id", "rtb", "RouteTables") else {
                continue;
            };
            let mut route = json!({});
            let mut whole = false;
            for (attribute, _, member) in DESTINATIONS {
                match self.plan.id(it, attribute, "pl") {
                    Got::Is(to) => {
                        route[*member] = to.into();
                        whole = true;
                    }
                    Got::Absent => {}
                    Got::Unknown(because) => self.tell(it, because),
                }
            }
            if !whole {
                continue;
            }
            for (attribute, prefix, member) in TARGETS {
                // An internet gateway and a virtual private one share an attribute.
                let prefixes: &[&str] =
                    if prefix.is_empty() { &["igw", "vgw"] } else { &[*prefix] };
                let got = prefixes.iter().map(|prefix| self.plan.id(it, attribute, prefix));
                let mut got: Vec<_> = got.collect();
                let is = got.iter().position(|it| matches!(it, Got::Is(_)));
                match got.swap_remove(is.unwrap_or(0)) {
                    Got::Is(id) => route[*member] = id.into(),
                    Got::Absent => {}
                    Got::Unknown(because) if self.plan.is_written(it, attribute) => {
                        self.tell(it, because);
                    }
                    Got::Unknown(_) => {}
                }
            }
            let is_led = TARGETS.iter().any(|(.., member)| !route[*member].is_null());
            match is_led {
                true => self.add_route(&table, route),
                false => self.tell(it, format!("{}: what it leads to is unknown", it.address)),
            }
        }
    }

    fn routes_in_tables(&mut self) {
        for it in self.of(&["aws_route_table", "aws_default_route_table"]) {
            let table = match it.kind.as_str() {
                "aws_route_table" => Got::Is(it.id.clone()),
                _ => self.plan.id(it, "default_route_table_id", "rtb"),
            };
            let Got::Is(table) = table else { continue };
            for (place, block) in list(&it.values, "route").iter().enumerate() {
                let block = block.as_object().cloned().unwrap_or_default();
                let mut route = json!({});
                for (_, attribute, member) in DESTINATIONS {
                    if let Some(to) = words(&block, attribute) {
                        route[*member] = to.into();
                    }
                }
                let mut because = Vec::new();
                for (attribute, prefix, member) in TARGETS {
                    if let Some(id) = words(&block, attribute) {
                        route[*member] = id.into();
                        continue;
                    }
                    if !self.plan.is_unknown_in(it, "route", place, attribute) {
                        continue;
                    }
                    let prefixes: &[&str] =
                        if prefix.is_empty() { &["igw", "vgw"] } else { &[*prefix] };
                    for prefix in prefixes {
                        match self.plan.ids_in_block(it, "route", place, attribute, prefix) {
                            Got::Is(ids) if ids.len() == 1 => {
                                route[*member] = ids[0].clone().into()
                            }
                            Got::Is(_) => {
                                because.push(format!("{} route: {attribute}", it.address))
                            }
                            Got::Absent => {}
                            Got::Unknown(why) => because.push(why),
                        }
                    }
                }
                let is_led = TARGETS.iter().any(|(.., member)| !route[*member].is_null());
                match is_led {
                    true => self.add_route(&table, route),
                    false => {
                        let why = because.pop().unwrap_or_else(|| {
                            format!("{}: what a route leads to is unknown", it.address)
                        });
                        self.tell(it, why);
                    }
                }
            }
        }
    }

    /// Rules that are written in groups.
    fn rules_in_groups(&mut self) {
        for it in self.of(&["aws_security_group", "aws_default_security_group"]) {
            let group = match it.kind.as_str() {
                "aws_security_group" => Got::Is(it.id.clone()),
                _ => self.plan.default_group(it),
            };
            let Got::Is(group) = group else { continue };
            if !self.has("SecurityGroups", &group) {
                continue;
            }
            if it.kind == "aws_default_security_group" {
                // Who adopts the default group takes its rules away.
                let rules = self.parts.entry("SecurityGroupRules").or_default();
                rules.retain(|_, rule| rule["GroupId"] != group.as_str());
            }
            for (direction, egress) in [("ingress", false), ("egress", true)] {
                if self.plan.is_unknown_whole(it, direction) && self.plan.is_written(it, direction)
                {
                    self.tell(it, format!("{}: its {direction} is unknown", it.address));
                }
                for (place, block) in list(&it.values, direction).iter().enumerate() {
                    let block = block.as_object().cloned().unwrap_or_default();
                    self.rule_block(it, &group, direction, place, &block, egress);
                }
            }
        }
    }

    fn rule_block(
        &mut self,
        it: &Planned,
        group: &str,
        direction: &str,
        place: usize,
        block: &Map<String, Value>,
        egress: bool,
    ) {
        let Some(base) = self.traffic(it, block, egress) else { return };
        let called = |what: &str| format!("{} {direction} {place} {what}", it.address);
        for (member, attribute, prefix) in [
            ("CidrIpv4", "cidr_blocks", ""),
            ("CidrIpv6", "ipv6_cidr_blocks", ""),
            ("PrefixListId", "prefix_list_ids", "pl"),
            ("GroupId", "security_groups", "sg"),
        ] {
            let mut all: Vec<String> = list(block, attribute)
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            if self.plan.is_unknown_in(it, direction, place, attribute) {
                match self.plan.ids_in_block(it, direction, place, attribute, prefix) {
                    Got::Is(ids) if !prefix.is_empty() => all.extend(ids),
                    Got::Is(_) | Got::Absent => {
                        self.tell(it, format!("{} {direction}: {attribute}", it.address));
                    }
                    Got::Unknown(because) => self.tell(it, because),
                }
            }
            for peer in all {
                let mut rule = base.clone();
                match member {
                    "GroupId" => rule["ReferencedGroupInfo"] = json!({"GroupId": peer}),
                    member => rule[member] = peer.clone().into(),
                }
                self.rule(group, &called(&peer), rule);
            }
        }
        if flag(block, "self") == Some(true) {
            let mut rule = base;
            rule["ReferencedGroupInfo"] = json!({"GroupId": group});
            self.rule(group, &called("self"), rule);
        }
    }

    /// Protocol and ports of a rule.
    fn traffic(&mut self, it: &Planned, block: &Map<String, Value>, egress: bool) -> Option<Value> {
        let protocol = words(block, "protocol").or_else(|| words(block, "ip_protocol"));
        let Some(protocol) = protocol else {
            self.tell(it, format!("{}: its protocol is known after apply", it.address));
            return None;
        };
        let protocol = if protocol == "all" { "-1".to_owned() } else { protocol };
        let has_ports = protocol != "-1";
        let port = |name: &str| number(block.get(name)).filter(|_| has_ports);
        if has_ports && ["from_port", "to_port"].iter().any(|name| self.plan.is_unknown(it, name)) {
            self.tell(it, format!("{}: its ports are known after apply", it.address));
            return None;
        }
        let mut rule = json!({"IsEgress": egress, "IpProtocol": protocol,
            "FromPort": port("from_port"), "ToPort": port("to_port")});
        if let Some(description) = words(block, "description") {
            rule["Description"] = description.into();
        }
        Some(rule)
    }

    fn group_rules(&mut self) {
        for it in self.of(&["aws_security_group_rule"]) {
            let group = self.need(it, "security_group_id", "sg", "SecurityGroups");
            let egress = words(&it.values, "type").as_deref() == Some("egress");
            let Some(group) = group else { continue };
            let Some(base) = self.traffic(it, &it.values, egress) else { continue };
            let mut peers = Vec::new();
            for (member, attribute) in
                [("CidrIpv4", "cidr_blocks"), ("CidrIpv6", "ipv6_cidr_blocks")]
            {
                let all = list(&it.values, attribute).iter().filter_map(Value::as_str);
                peers.extend(all.map(|cidr| (member, cidr.to_owned())));
                if self.plan.is_unknown(it, attribute) {
                    self.tell(it, format!("{}: its {attribute} is unknown", it.address));
                }
            }
            let lists = self.all(it, "prefix_list_ids", "pl").unwrap_or_default();
            peers.extend(lists.into_iter().map(|id| ("PrefixListId", id)));
            let source = self.may(it, "source_security_group_id", "sg").ok().flatten();
            peers.extend(source.map(|id| ("GroupId", id)));
            if flag(&it.values, "self") == Some(true) {
                peers.push(("GroupId", group.clone()));
            }
            self.add_rules(it, &group, &base, peers);
        }
    }

    fn group_rules_of_one_peer(&mut self) {
        let kinds = ["aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"];
        for it in self.of(&kinds) {
            let group = self.need(it, "security_group_id", "sg", "SecurityGroups");
            let Some(group) = group else { continue };
            let Some(base) = self.traffic(it, &it.values, it.kind.contains("_egress_")) else {
                continue;
            };
            let mut peers = Vec::new();
            for (member, attribute, prefix) in [
                ("CidrIpv4", "cidr_ipv4", "x"),
                ("CidrIpv6", "cidr_ipv6", "x"),
                ("PrefixListId", "prefix_list_id", "pl"),
                ("GroupId", "referenced_security_group_id", "sg"),
            ] {
                let peer = self.may(it, attribute, prefix).ok().flatten();
                peers.extend(peer.map(|peer| (member, peer)));
            }
            self.add_rules(it, &group, &base, peers);
        }
    }

    fn add_rules(&mut self, it: &Planned, group: &str, base: &Value, peers: Vec<(&str, String)>) {
        for (member, peer) in peers {
            let mut rule = base.clone();
            match member {
                "GroupId" => rule["ReferencedGroupInfo"] = json!({"GroupId": peer}),
                member => rule[member] = peer.clone().into(),
            }
            self.rule(group, &format!("{} {peer}", it.address), rule);
        }
    }

    fn add_entry(&mut self, it: &Planned, acl: &str, entry: &Map<String, Value>, egress: bool) {
        let of_block = |a: &str, b: &str| known(entry, a).or_else(|| known(entry, b)).cloned();
        let number = number(of_block("rule_no", "rule_number").as_ref());
        let action = of_block("action", "rule_action");
        let protocol = words(entry, "protocol").map(|it| protocol_number(&it));
        let (Some(number), Some(action), Some(protocol)) = (number, action, protocol) else {
            self.tell(it, format!("{}: an entry of it is known after apply", it.address));
            return;
        };
        let (ipv4, ipv6) = (words(entry, "cidr_block"), words(entry, "ipv6_cidr_block"));
        if ipv4.is_none() && ipv6.is_none() {
            self.tell(it, format!("{}: the block of an entry is known after apply", it.address));
            return;
        }
        let mut value = json!({"RuleNumber": number, "RuleAction": action, "Egress": egress,
            "Protocol": protocol, "CidrBlock": ipv4, "Ipv6CidrBlock": ipv6});
        let of = |name: &str, or: i64| self::number(entry.get(name)).unwrap_or(or);
        match protocol.as_str() {
            "6" | "17" => {
                value["PortRange"] = json!({"From": of("from_port", 0), "To": of("to_port", 0)});
            }
            "1" | "58" => {
                value["IcmpTypeCode"] =
                    json!({"Type": of("icmp_type", -1), "Code": of("icmp_code", -1)});
            }
            _ => {}
        }
        self.push("NetworkAcls", acl, "Entries", value);
    }

    fn entries_in_acls(&mut self) {
        for it in self.of(&["aws_network_acl", "aws_default_network_acl"]) {
            let adopts = it.kind == "aws_default_network_acl";
            let acl = match adopts {
                false => {
                    let Some(vpc) = self.need(it, "vpc_id", "vpc", "Vpcs") else { continue };
                    let value = json!({"NetworkAclId": it.id, "VpcId": vpc, "IsDefault": false,
                        "Associations": [], "Entries": [], "Tags": super::build::tags(&it.values)});
                    self.put("NetworkAcls", &it.id, value);
                    it.id.clone()
                }
                true => {
                    let id = self.need(it, "default_network_acl_id", "acl", "NetworkAcls");
                    let Some(id) = id else { continue };
                    // Who adopts the default ACL takes its entries away.
                    if let Some(acl) = self.part("NetworkAcls", &id) {
                        acl["Entries"] = json!([]);
                        acl["Tags"] = super::build::tags(&it.values);
                    }
                    id
                }
            };
            for (direction, egress) in [("ingress", false), ("egress", true)] {
                if self.plan.is_unknown_whole(it, direction) && self.plan.is_written(it, direction)
                {
                    self.tell(it, format!("{}: its {direction} is unknown", it.address));
                }
                for entry in list(&it.values, direction) {
                    let entry = entry.as_object().cloned().unwrap_or_default();
                    self.add_entry(it, &acl, &entry, egress);
                }
            }
            // What the provider only reports is not asked for.
            if self.plan.is_written(it, "subnet_ids") {
                for subnet in self.all(it, "subnet_ids", "subnet").unwrap_or_default() {
                    self.associate(&acl, &subnet);
                }
            }
        }
    }

    fn associate(&mut self, acl: &str, subnet: &str) {
        let tie = json!({"NetworkAclAssociationId": made_up("aclassoc", subnet),
            "NetworkAclId": acl, "SubnetId": subnet});
        self.push("NetworkAcls", acl, "Associations", tie);
    }

    fn acl_rules(&mut self) {
        for it in self.of(&["aws_network_acl_rule"]) {
            let Some(acl) = self.need(it, "network_acl_id", "acl", "NetworkAcls") else { continue };
            let egress = flag(&it.values, "egress") == Some(true);
            self.add_entry(it, &acl, &it.values, egress);
        }
    }

    fn acl_associations(&mut self) {
        for it in self.of(&["aws_network_acl_association"]) {
            let acl = self.need(it, "network_acl_id", "acl", "NetworkAcls");
            let subnet = self.need(it, "subnet_id", "subnet", "Subnets");
            if let (Some(acl), Some(subnet)) = (acl, subnet) {
                self.associate(&acl, &subnet);
            }
        }
    }
}

/// Protocols of entries are numbers (NACL-10).
fn protocol_number(name: &str) -> String {
    match name {
        "all" => "-1",
        "tcp" => "6",
        "udp" => "17",
        "icmp" => "1",
        "icmpv6" => "58",
        other => other,
    }
    .to_owned()
}
