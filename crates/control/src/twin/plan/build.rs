//! The parts of a network: VPCs, subnets, gateways, route tables, lists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
};

use serde_json::{Map, Value, json};

use super::{
    Affects, Unknown,
    tree::{self, Got, Plan, made_up},
};

/// Types of resources that become part of the document.
pub(super) const KNOWN: &[&str] = &[
    "aws_default_network_acl",
    "aws_default_route_table",
    "aws_default_security_group",
    "aws_ec2_managed_prefix_list",
    "aws_ec2_managed_prefix_list_entry",
    "aws_egress_only_internet_gateway",
    "aws_eip",
    "aws_eip_association",
    "aws_instance",
    "aws_internet_gateway",
    "aws_internet_gateway_attachment",
    "aws_main_route_table_association",
    "aws_nat_gateway",
    "aws_network_acl",
    "aws_network_acl_association",
    "aws_network_acl_rule",
    "aws_network_interface",
    "aws_network_interface_attachment",
    "aws_network_interface_sg_attachment",
    "aws_route",
    "aws_route_table",
    "aws_route_table_association",
    "aws_security_group",
    "aws_security_group_rule",
    "aws_subnet",
    "aws_vpc",
    "aws_vpc_dhcp_options",
    "aws_vpc_dhcp_options_association",
    "aws_vpc_endpoint",
    "aws_vpc_endpoint_route_table_association",
    "aws_vpc_endpoint_security_group_association",
    "aws_vpc_endpoint_subnet_association",
    "aws_vpc_ipv4_cidr_block_association",
    "aws_vpc_peering_connection",
    "aws_vpc_peering_connection_accepter",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
];

/// A document that grows, by keys and the ids of what is under them.
pub(super) struct Build<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) parts: BTreeMap<&'static str, BTreeMap<String, Value>>,
    pub(super) unknown: Vec<Unknown>,
    pub(super) account: String,
    pub(super) region: String,
    /// Addresses of subnets that are taken.
    pub(super) taken: HashMap<String, BTreeSet<Ipv4Addr>>,
    public: u32,
}

/// A member that is not there where it has no value.
pub(super) fn known<'v>(values: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    values.get(name).filter(|it| !it.is_null() && it.as_str() != Some(""))
}

pub(super) fn words(values: &Map<String, Value>, name: &str) -> Option<String> {
    known(values, name)?.as_str().map(str::to_owned)
}

pub(super) fn flag(values: &Map<String, Value>, name: &str) -> Option<bool> {
    known(values, name)?.as_bool()
}

/// Tags as answers have them.
pub(super) fn tags(values: &Map<String, Value>) -> Value {
    let all = values.get("tags_all").filter(|it| it.is_object()).or(values.get("tags"));
    let pairs = all.and_then(Value::as_object).into_iter().flatten();
    pairs.map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

impl<'a> Build<'a> {
    pub(super) fn new(plan: &'a Plan<'a>) -> Self {
        let data = |kind: &str, member: &str| plan.data(kind).find_map(|it| words(it, member));
        let of_zone = plan.resources.iter().find_map(|it| {
            let zone = words(&it.values, "availability_zone")?;
            Some(zone.trim_end_matches(|c: char| c.is_ascii_lowercase()).to_owned())
        });
        let of_resource = || plan.resources.iter().find_map(|it| words(&it.values, "region"));
        let region = data("aws_region", "region")
            .or_else(|| data("aws_region", "name"))
            .or(of_zone)
            .or_else(of_resource)
            .or_else(|| plan.provider_region())
            .unwrap_or_else(|| "us-east-1".to_owned());
        let account = data("aws_caller_identity", "account_id");
        Self {
            plan,
            parts: BTreeMap::new(),
            unknown: Vec::new(),
            account: account.unwrap_or_else(|| "123456789012".to_owned()),
            region,
            taken: HashMap::new(),
            public: 0,
        }
    }

    pub(super) fn of(&self, kinds: &[&str]) -> Vec<&'a tree::Planned> {
        self.plan.resources.iter().filter(|it| kinds.contains(&it.kind.as_str())).collect()
    }

    pub(super) fn put(&mut self, key: &'static str, id: &str, value: Value) {
        self.parts.entry(key).or_default().insert(id.to_owned(), value);
    }

    pub(super) fn part(&mut self, key: &'static str, id: &str) -> Option<&mut Value> {
        self.parts.get_mut(key)?.get_mut(id)
    }

    pub(super) fn has(&self, key: &str, id: &str) -> bool {
        self.parts.get(key).is_some_and(|it| it.contains_key(id))
    }

    pub(super) fn push(&mut self, key: &'static str, id: &str, member: &str, value: Value) {
        if let Some(part) = self.part(key, id)
            && let Some(list) = part[member].as_array_mut()
        {
            list.push(value);
        }
    }

    /// The id of something that must be in the document; what is not is told as unknown.
    pub(super) fn need(
        &mut self,
        of: &tree::Planned,
        attribute: &str,
        prefix: &str,
        key: &str,
    ) -> Option<String> {
        match self.plan.id(of, attribute, prefix) {
            Got::Is(id) if self.has(key, &id) => Some(id),
            Got::Is(id) => {
                self.tell(of, format!("{}: {attribute} {id} is not in the plan", of.address));
                None
            }
            Got::Absent => {
                self.tell(of, format!("{}: it has no {attribute}", of.address));
                None
            }
            Got::Unknown(because) => {
                self.tell(of, because);
                None
            }
        }
    }

    /// As [`Self::need`], of what may be absent. `Err` where it is unknown.
    pub(super) fn may(
        &mut self,
        of: &tree::Planned,
        attribute: &str,
        prefix: &str,
    ) -> Result<Option<String>, ()> {
        match self.plan.id(of, attribute, prefix) {
            Got::Is(id) => Ok(Some(id)),
            Got::Absent => Ok(None),
            Got::Unknown(because) => {
                self.tell(of, because);
                Err(())
            }
        }
    }

    /// As [`Self::may`], of a list.
    pub(super) fn all(
        &mut self,
        of: &tree::Planned,
        attribute: &str,
        prefix: &str,
    ) -> Result<Vec<String>, ()> {
        match self.plan.ids(of, attribute, prefix) {
            Got::Is(ids) => Ok(ids),
            Got::Absent => Ok(Vec::new()),
            Got::Unknown(because) => {
                self.tell(of, because);
                Err(())
            }
        }
    }

    /// Notes what is not known of a resource, with what that may change.
    pub(super) fn tell(&mut self, of: &tree::Planned, because: String) {
        let affects = match of.kind.as_str() {
            "aws_instance" | "aws_network_interface" => {
                let name = of.values.get("tags_all").or(of.values.get("tags"));
                let name = name.and_then(|tags| tags["Name"].as_str()).map(str::to_owned);
                let own = [of.address.clone(), of.id.clone()];
                Affects::Host(own.into_iter().chain(name).collect())
            }
            "aws_security_group" => Affects::Group(of.id.clone()),
            "aws_security_group_rule"
            | "aws_vpc_security_group_egress_rule"
            | "aws_vpc_security_group_ingress_rule" => {
                match self.plan.id(of, "security_group_id", "sg") {
                    Got::Is(id) => Affects::Group(id),
                    Got::Absent | Got::Unknown(_) => Affects::Network,
                }
            }
            _ => Affects::Network,
        };
        self.unknown.push(Unknown { because, affects });
    }

    /// A public address that nothing else has.
    pub(super) fn public_address(&mut self) -> String {
        self.public += 1;
        let [.., high, low] = self.public.to_be_bytes();
        format!("198.18.{}.{}", high.wrapping_add(200), low)
    }

    /// The network without rules and hosts.
    pub(super) fn network(&mut self) {
        self.dhcp_options();
        self.vpcs();
        self.subnets();
        self.gateways();
        self.tables();
        self.lists();
        self.peerings();
    }

    fn dhcp_options(&mut self) {
        for it in self.of(&["aws_vpc_dhcp_options"]) {
            let list = |name: &str| {
                let values =
                    known(&it.values, name).and_then(Value::as_array).into_iter().flatten();
                values.map(|value| json!({"Value": value})).collect::<Vec<_>>()
            };
            let mut configurations = Vec::new();
            if let Some(name) = words(&it.values, "domain_name") {
                configurations.push(json!({"Key": "domain-name", "Values": [{"Value": name}]}));
            }
            for (key, name) in
                [("domain-name-servers", "domain_name_servers"), ("ntp-servers", "ntp_servers")]
            {
                if !list(name).is_empty() {
                    configurations.push(json!({"Key": key, "Values": list(name)}));
                }
            }
            let value = json!({"DhcpOptionsId": it.id, "DhcpConfigurations": configurations,
                "Tags": tags(&it.values)});
            self.put("DhcpOptions", &it.id, value);
        }
    }

    fn vpcs(&mut self) {
        for (number, it) in self.of(&["aws_vpc"]).into_iter().enumerate() {
            let Some(block) = words(&it.values, "cidr_block") else {
                self.tell(it, format!("{}: its cidr_block is known after apply", it.address));
                continue;
            };
            let state = json!({"State": "associated"});
            let ipv6 = flag(&it.values, "assign_generated_ipv6_cidr_block") == Some(true)
                || known(&it.values, "ipv6_cidr_block").is_some();
            let ipv6_block = words(&it.values, "ipv6_cidr_block")
                .unwrap_or_else(|| format!("2001:db8:{:x}00::/56", number + 1));
            let ipv6_blocks = match ipv6 {
                true => {
                    json!([{"AssociationId": made_up("vpc-cidr-assoc", &format!("{} 6", it.id)),
                    "Ipv6CidrBlock": ipv6_block, "Ipv6CidrBlockState": state}])
                }
                false => json!([]),
            };
            let vpc = json!({
                "VpcId": it.id, "CidrBlock": block, "OwnerId": self.account, "IsDefault": false,
                "InstanceTenancy": "default", "DhcpOptionsId": "default", "State": "available",
                "CidrBlockAssociationSet": [{"AssociationId": made_up("vpc-cidr-assoc", &it.id),
                    "CidrBlock": block, "CidrBlockState": state}],
                "Ipv6CidrBlockAssociationSet": ipv6_blocks, "Tags": tags(&it.values),
            });
            self.put("Vpcs", &it.id, vpc);
            let value =
                |name: &str, or: bool| json!({"Value": flag(&it.values, name).unwrap_or(or)});
            let attributes = json!({"VpcId": it.id,
                "EnableDnsSupport": value("enable_dns_support", true),
                "EnableDnsHostnames": value("enable_dns_hostnames", false)});
            self.put("VpcAttributes", &it.id, attributes);
            self.beginnings(&it.id, ipv6);
        }
        for it in self.of(&["aws_vpc_ipv4_cidr_block_association"]) {
            let Some(vpc) = self.need(it, "vpc_id", "vpc", "Vpcs") else { continue };
            let Some(block) = words(&it.values, "cidr_block") else {
                self.tell(it, format!("{}: its cidr_block is known after apply", it.address));
                continue;
            };
            let block = json!({"AssociationId": made_up("vpc-cidr-assoc", &it.address),
                "CidrBlock": block, "CidrBlockState": {"State": "associated"}});
            self.push("Vpcs", &vpc, "CidrBlockAssociationSet", block);
        }
        for it in self.of(&["aws_vpc_dhcp_options_association"]) {
            let vpc = self.need(it, "vpc_id", "vpc", "Vpcs");
            let options = self.need(it, "dhcp_options_id", "dopt", "DhcpOptions");
            if let (Some(vpc), Some(options)) = (vpc, options)
                && let Some(vpc) = self.part("Vpcs", &vpc)
            {
                vpc["DhcpOptionsId"] = options.into();
            }
        }
    }

    /// What every VPC begins with (CIDR-5).
    fn beginnings(&mut self, vpc: &str, ipv6: bool) {
        let table = made_up("rtb", &format!("{vpc} main"));
        let tie = json!({"Main": true, "RouteTableId": table,
            "RouteTableAssociationId": made_up("rtbassoc", &table)});
        let value = json!({"RouteTableId": table, "VpcId": vpc, "Associations": [tie], "Routes": [],
            "PropagatingVgws": [], "Tags": []});
        self.put("RouteTables", &table, value);
        let acl = made_up("acl", &format!("{vpc} default"));
        let mut entries = Vec::new();
        for egress in [true, false] {
            let entry = json!({"CidrBlock": "0.0.0.0/0", "Egress": egress, "Protocol": "-1",
                "RuleAction": "allow", "RuleNumber": 100});
            entries.push(entry);
            if ipv6 {
                let entry = json!({"Ipv6CidrBlock": "::/0", "Egress": egress, "Protocol": "-1",
                    "RuleAction": "allow", "RuleNumber": 101});
                entries.push(entry);
            }
        }
        let value = json!({"NetworkAclId": acl, "VpcId": vpc, "IsDefault": true,
            "Associations": [], "Entries": entries, "Tags": []});
        self.put("NetworkAcls", &acl, value);
        let group = made_up("sg", &format!("{vpc} default"));
        let value = json!({"GroupId": group, "VpcId": vpc, "GroupName": "default",
            "Description": "default VPC security group", "Tags": []});
        self.put("SecurityGroups", &group, value);
        self.rule(
            &group,
            "self",
            json!({"IsEgress": false, "IpProtocol": "-1",
            "ReferencedGroupInfo": {"GroupId": group}}),
        );
        self.rule(
            &group,
            "egress",
            json!({"IsEgress": true, "IpProtocol": "-1",
            "CidrIpv4": "0.0.0.0/0"}),
        );
        if ipv6 {
            self.rule(
                &group,
                "egress 6",
                json!({"IsEgress": true, "IpProtocol": "-1",
                "CidrIpv6": "::/0"}),
            );
        }
    }

    /// A rule of a group, told apart by what it is called.
    pub(super) fn rule(&mut self, group: &str, called: &str, mut rule: Value) {
        let id = made_up("sgr", &format!("{group} {called}"));
        rule["SecurityGroupRuleId"] = id.clone().into();
        rule["GroupId"] = group.into();
        self.put("SecurityGroupRules", &id, rule);
    }

    fn subnets(&mut self) {
        for (number, it) in self.of(&["aws_subnet"]).into_iter().enumerate() {
            let Some(vpc) = self.need(it, "vpc_id", "vpc", "Vpcs") else { continue };
            let block = words(&it.values, "cidr_block");
            let native = flag(&it.values, "ipv6_native") == Some(true);
            if block.is_none() && !native {
                self.tell(it, format!("{}: its cidr_block is known after apply", it.address));
                continue;
            }
            // Which block of the VPC's IPv6 block it is decides about nothing here.
            let of_vpc = self.part("Vpcs", &vpc).and_then(|it| {
                it["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].as_str().map(str::to_owned)
            });
            let wanted = words(&it.values, "ipv6_cidr_block").or_else(|| {
                let asked =
                    native || self.plan.is_unknown(it, "ipv6_cidr_block") && of_vpc.is_some();
                let net: ipnet::Ipv6Net = of_vpc?.parse().ok().filter(|_| asked)?;
                net.subnets(64).ok()?.nth(number % 256).map(|it| it.to_string())
            });
            let zone = words(&it.values, "availability_zone")
                .unwrap_or_else(|| format!("{}a", self.region));
            let ipv6 = match wanted {
                Some(block) => json!([{"AssociationId": made_up("subnet-cidr-assoc", &it.id),
                    "Ipv6CidrBlock": block, "Ipv6CidrBlockState": {"State": "associated"}}]),
                None => json!([]),
            };
            let value = json!({
                "SubnetId": it.id, "VpcId": vpc, "CidrBlock": block, "AvailabilityZone": zone,
                "OwnerId": self.account, "State": "available", "Ipv6Native": native,
                "MapPublicIpOnLaunch": flag(&it.values, "map_public_ip_on_launch") == Some(true),
                "EnableDns64": flag(&it.values, "enable_dns64") == Some(true),
                "AssignIpv6AddressOnCreation":
                    flag(&it.values, "assign_ipv6_address_on_creation") == Some(true),
                "Ipv6CidrBlockAssociationSet": ipv6, "Tags": tags(&it.values),
            });
            self.put("Subnets", &it.id, value);
        }
    }

    fn gateways(&mut self) {
        for it in self.of(&["aws_internet_gateway"]) {
            let Ok(vpc) = self.may(it, "vpc_id", "vpc") else { continue };
            let ties: Vec<_> =
                vpc.iter().map(|vpc| json!({"State": "available", "VpcId": vpc})).collect();
            let value = json!({"InternetGatewayId": it.id, "Attachments": ties,
                "Tags": tags(&it.values)});
            self.put("InternetGateways", &it.id, value);
        }
        for it in self.of(&["aws_internet_gateway_attachment"]) {
            let gateway = self.need(it, "internet_gateway_id", "igw", "InternetGateways");
            let vpc = self.need(it, "vpc_id", "vpc", "Vpcs");
            if let (Some(gateway), Some(vpc)) = (gateway, vpc) {
                let tie = json!({"State": "available", "VpcId": vpc});
                self.push("InternetGateways", &gateway, "Attachments", tie);
            }
        }
        for it in self.of(&["aws_egress_only_internet_gateway"]) {
            let Some(vpc) = self.need(it, "vpc_id", "vpc", "Vpcs") else { continue };
            let value = json!({"EgressOnlyInternetGatewayId": it.id,
                "Attachments": [{"State": "attached", "VpcId": vpc}], "Tags": tags(&it.values)});
            self.put("EgressOnlyInternetGateways", &it.id, value);
        }
    }

    fn tables(&mut self) {
        for it in self.of(&["aws_route_table"]) {
            let Some(vpc) = self.need(it, "vpc_id", "vpc", "Vpcs") else { continue };
            let value = json!({"RouteTableId": it.id, "VpcId": vpc, "Associations": [],
                "Routes": [], "PropagatingVgws": [], "Tags": tags(&it.values)});
            self.put("RouteTables", &it.id, value);
        }
        for it in self.of(&["aws_main_route_table_association"]) {
            let vpc = self.need(it, "vpc_id", "vpc", "Vpcs");
            let table = self.need(it, "route_table_id", "rtb", "RouteTables");
            let (Some(vpc), Some(table)) = (vpc, table) else { continue };
            let former = made_up("rtb", &format!("{vpc} main"));
            if let Some(former) = self.part("RouteTables", &former) {
                former["Associations"] = json!([]);
            }
            let tie =
                json!({"Main": true, "RouteTableAssociationId": made_up("rtbassoc", &it.address)});
            self.push("RouteTables", &table, "Associations", tie);
        }
        for it in self.of(&["aws_route_table_association"]) {
            let table = self.need(it, "route_table_id", "rtb", "RouteTables");
            let subnet = self.may(it, "subnet_id", "subnet");
            let gateway = self.may(it, "gateway_id", "igw");
            let (Some(table), Ok(subnet), Ok(gateway)) = (table, subnet, gateway) else { continue };
            let tie = json!({"Main": false, "SubnetId": subnet, "GatewayId": gateway,
                "RouteTableAssociationId": made_up("rtbassoc", &it.address)});
            self.push("RouteTables", &table, "Associations", tie);
        }
        for it in self.of(&["aws_default_route_table"]) {
            let id = self.need(it, "default_route_table_id", "rtb", "RouteTables");
            if let Some(table) = id.and_then(|id| self.part("RouteTables", &id)) {
                table["Tags"] = tags(&it.values);
            }
        }
    }

    fn lists(&mut self) {
        for it in self.of(&["aws_ec2_managed_prefix_list"]) {
            let family = words(&it.values, "address_family");
            let value = json!({"PrefixListId": it.id, "AddressFamily": family, "Version": 1,
                "PrefixListName": words(&it.values, "name"), "OwnerId": self.account,
                "MaxEntries": it.values.get("max_entries"), "Tags": tags(&it.values)});
            self.put("PrefixLists", &it.id, value);
            let entries =
                known(&it.values, "entry").and_then(Value::as_array).into_iter().flatten();
            let mut read = Vec::new();
            for entry in entries {
                if entry["cidr"].is_null() {
                    self.tell(it, format!("{}: an entry is known after apply", it.address));
                    continue;
                }
                read.push(json!({"Cidr": entry["cidr"], "Description": entry["description"]}));
            }
            let value = json!({"PrefixListId": it.id, "Entries": read});
            self.put("PrefixListEntries", &it.id, value);
        }
        for it in self.of(&["aws_ec2_managed_prefix_list_entry"]) {
            let id = self.need(it, "prefix_list_id", "pl", "PrefixLists");
            match (id, words(&it.values, "cidr")) {
                (Some(id), Some(cidr)) => {
                    let entry = json!({"Cidr": cidr, "Description": it.values.get("description")});
                    self.push("PrefixListEntries", &id, "Entries", entry);
                }
                (Some(_), None) => {
                    self.tell(it, format!("{}: its cidr is known after apply", it.address));
                }
                (None, _) => {}
            }
        }
        // Lists of services that were looked up.
        for kind in ["aws_prefix_list", "aws_ec2_managed_prefix_list"] {
            let found: Vec<_> = self.plan.data(kind).cloned().collect();
            for it in found {
                let (Some(id), Some(name)) = (words(&it, "id"), words(&it, "name")) else {
                    continue;
                };
                let value = json!({"PrefixListId": id, "PrefixListName": name, "OwnerId": "AWS"});
                self.put("PrefixLists", &id, value);
            }
        }
    }

    fn peerings(&mut self) {
        let mut accepted = BTreeSet::new();
        for it in self.of(&["aws_vpc_peering_connection_accepter"]) {
            if flag(&it.values, "auto_accept") == Some(true)
                && let Got::Is(id) = self.plan.id(it, "vpc_peering_connection_id", "pcx")
            {
                accepted.insert(id);
            }
        }
        for it in self.of(&["aws_vpc_peering_connection"]) {
            let vpc = self.need(it, "vpc_id", "vpc", "Vpcs");
            let peer = self.may(it, "peer_vpc_id", "vpc");
            let (Some(vpc), Ok(Some(peer))) = (vpc, peer) else { continue };
            let owner = words(&it.values, "peer_owner_id").unwrap_or_else(|| self.account.clone());
            let region = words(&it.values, "peer_region").unwrap_or_else(|| self.region.clone());
            let is_active =
                flag(&it.values, "auto_accept") == Some(true) || accepted.contains(&it.id);
            let status = if is_active { "active" } else { "pending-acceptance" };
            let value = json!({"VpcPeeringConnectionId": it.id, "Status": {"Code": status},
                "RequesterVpcInfo": {"VpcId": vpc, "OwnerId": self.account, "Region": self.region},
                "AccepterVpcInfo": {"VpcId": peer, "OwnerId": owner, "Region": region},
                "Tags": tags(&it.values)});
            self.put("VpcPeeringConnections", &it.id, value);
        }
    }
}
