//! VPCs and what they are made of: subnets, gateways, tables, groups, ACLs, lists, options.

use gureum_api::ec2;
use gureum_types::{
    InternetGatewayId, NetworkInterfaceId, PrefixListId, Region, SecurityGroupRuleId, SubnetId,
    record::{
        DhcpOptions, EgressOnlyInternetGateway, InternetGateway, NetworkAcl, NetworkAclAssociation,
        NetworkAclEntry, PeeringStatus, PeeringVpc, PrefixList, PrefixListEntry, Route,
        RouteDestination, RouteTable, RouteTableAssociation, RouteTarget, RulePeer, Scope,
        SecurityGroup, SecurityGroupRule, Subnet, SubnetIpv6CidrAssociation, Vpc,
        VpcCidrAssociation, VpcIpv6CidrAssociation, VpcPeeringConnection,
    },
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    import::{Import, name, tags},
    named,
};
use crate::resource::{network_acl, prefix_list, security_group_rule, vpc_peering_connection};

/// Numbers from here on are of the closing entries, which follow by themselves (NACL-3).
const CLOSING: i32 = 32767;

fn on(value: &Option<ec2::AttributeBooleanValue>) -> Option<bool> {
    value.as_ref().and_then(|it| it.value)
}

/// Whether a block is one that counts: what was taken away is shown for a while.
fn is_associated(state: Option<&str>) -> bool {
    !matches!(state, Some("disassociated" | "disassociating" | "failed" | "failing"))
}

impl Import<'_> {
    pub(super) fn dhcp_options(&mut self) {
        for (number, it) in self.document.dhcp_options.iter().enumerate() {
            let of = name(&it.dhcp_options_id, "DhcpOptions", number);
            let Some(id) = self.need(&of, "DhcpOptionsId", &it.dhcp_options_id) else { continue };
            let configurations = it.dhcp_configurations.iter().filter_map(|it| {
                let values = it.values.iter().filter_map(|it| it.value.clone());
                Some((it.key.clone()?, values.collect()))
            });
            self.put("DhcpOptions", DhcpOptions {
                id,
                configurations: configurations.collect(),
                created: self.call.now,
                tags: tags(&it.tags),
            });
        }
    }

    pub(super) fn prefix_lists(&mut self) {
        for (number, it) in self.document.prefix_lists.iter().enumerate() {
            let of = name(&it.prefix_list_id, "PrefixLists", number);
            let id = self.need::<PrefixListId>(&of, "PrefixListId", &it.prefix_list_id);
            let Some(id) = id else { continue };
            let list_name = it.prefix_list_name.clone().unwrap_or_default();
            if let Some(own) = self.list_of_service(&list_name) {
                if own != id {
                    self.replaced(format!("the prefix list {id} of {list_name} is {own} here"));
                }
                self.lists.insert(id.to_string(), own);
                continue;
            }
            let entries = self.document.entries.get(id.as_str());
            let is_used = || {
                let rules = self.document.security_group_rules.iter();
                let tables = self.document.route_tables.iter();
                let mut routes = tables.flat_map(|it| &it.routes);
                let is_it = |it: &Option<String>| it.as_deref() == Some(id.as_str());
                rules.into_iter().any(|it| is_it(&it.prefix_list_id))
                    || routes.any(|it| is_it(&it.destination_prefix_list_id))
            };
            let is_of_aws = it.owner_id.as_deref() == Some("AWS");
            // AWS has lists in every region that nothing may refer to.
            if is_of_aws && entries.is_none() && !is_used() {
                continue;
            }
            if entries.is_none() {
                self.unsupported(format!(
                    "{id} ({list_name}): its entries are not in the data (aws ec2 \
                     get-managed-prefix-list-entries), so it matches nothing"
                ));
            }
            let entries = entries.map_or(&[][..], Vec::as_slice);
            let read = entries.iter().filter_map(|entry| {
                let cidr = self.need::<IpNet>(&of, "Cidr", &entry.cidr)?;
                Some(PrefixListEntry { cidr: cidr.trunc(), description: entry.description.clone() })
            });
            let entries: Vec<_> = read.collect();
            let most = it.max_entries.and_then(|it| u32::try_from(it).ok());
            self.put("PrefixLists", PrefixList {
                id,
                name: list_name,
                ipv6: it.address_family.as_deref() == Some("IPv6"),
                max_entries: most.unwrap_or(u32::try_from(entries.len()).unwrap_or(u32::MAX)),
                entries,
                version: it.version.unwrap_or(1),
                earlier: Vec::new(),
                state: "create-complete".into(),
                created: self.call.now,
                tags: tags(&it.tags),
            });
        }
    }

    /// The list that a service has here, by the name of the list.
    fn list_of_service(&self, list_name: &str) -> Option<PrefixListId> {
        let name = match &self.place.region_of_data {
            Some(region) => list_name.replace(region.as_str(), self.call.region().as_str()),
            None => list_name.to_owned(),
        };
        prefix_list::of_service(&name).map(|list| list.id.clone())
    }

    pub(super) fn vpcs(&mut self) {
        for (number, it) in self.document.vpcs.iter().enumerate() {
            let of = name(&it.vpc_id, "Vpcs", number);
            let id = self.need(&of, "VpcId", &it.vpc_id);
            let block = self.need::<Ipv4Net>(&of, "CidrBlock", &it.cidr_block);
            let (Some(id), Some(block)) = (id, block) else { continue };
            let mut blocks = Vec::new();
            for block in &it.cidr_block_association_set {
                let state = block.cidr_block_state.as_ref().and_then(|it| it.state.as_deref());
                if !is_associated(state) {
                    continue;
                }
                let id = self.need(&of, "AssociationId", &block.association_id);
                let cidr_block = self.need::<Ipv4Net>(&of, "CidrBlock", &block.cidr_block);
                if let (Some(id), Some(cidr_block)) = (id, cidr_block) {
                    blocks.push(VpcCidrAssociation { id, cidr_block: cidr_block.trunc() });
                }
            }
            if !blocks.iter().any(|it| it.cidr_block == block) {
                let id = gureum_types::VpcCidrAssociationId::new(self.call.random());
                blocks.push(VpcCidrAssociation { id, cidr_block: block });
            }
            blocks.sort_by_key(|it| it.cidr_block != block);
            let mut ipv6 = Vec::new();
            for block in &it.ipv6_cidr_block_association_set {
                let state = block.ipv6_cidr_block_state.as_ref().and_then(|it| it.state.as_deref());
                if !is_associated(state) {
                    continue;
                }
                let id = self.need(&of, "AssociationId", &block.association_id);
                let cidr_block = self.need::<Ipv6Net>(&of, "Ipv6CidrBlock", &block.ipv6_cidr_block);
                if let (Some(id), Some(cidr_block)) = (id, cidr_block) {
                    ipv6.push(VpcIpv6CidrAssociation { id, cidr_block: cidr_block.trunc() });
                }
            }
            let is_default = it.is_default == Some(true);
            let attributes = self.document.vpc_attributes.get(&of);
            let names = attributes.and_then(|it| on(&it.enable_dns_hostnames));
            if names.is_none() {
                self.note(format!(
                    "{of}: whether its instances have public names (describe-vpc-attribute) is \
                     not in the data and taken from its interfaces"
                ));
            }
            let metrics = attributes.and_then(|it| on(&it.enable_network_address_usage_metrics));
            let shows_names = || {
                let mut interfaces = self.document.network_interfaces.iter();
                interfaces.any(|eni| {
                    eni.vpc_id == it.vpc_id
                        && eni.private_dns_name.as_deref().is_some_and(|name| !name.is_empty())
                })
            };
            let dhcp_options = match it.dhcp_options_id.as_deref() {
                None | Some("" | "default") => None,
                Some(_) => self.need(&of, "DhcpOptionsId", &it.dhcp_options_id),
            };
            let vpc = Vpc {
                id,
                cidr_block: block,
                cidr_associations: blocks,
                ipv6_cidr_associations: ipv6,
                dhcp_options,
                instance_tenancy: it.instance_tenancy.clone().unwrap_or("default".into()),
                is_default,
                enable_dns_support: attributes
                    .and_then(|it| on(&it.enable_dns_support))
                    .unwrap_or(true),
                enable_dns_hostnames: names.unwrap_or_else(|| is_default || shows_names()),
                enable_network_address_usage_metrics: metrics.unwrap_or(false),
                created: self.call.now,
                tags: tags(&it.tags),
            };
            self.put("Vpcs", vpc);
        }
    }

    pub(super) fn subnets(&mut self) {
        for (number, it) in self.document.subnets.iter().enumerate() {
            let of = name(&it.subnet_id, "Subnets", number);
            let id = self.need(&of, "SubnetId", &it.subnet_id);
            let vpc_id = self.need(&of, "VpcId", &it.vpc_id);
            let zone = self.need::<String>(&of, "AvailabilityZone", &it.availability_zone);
            let cidr_block = self.may::<Ipv4Net>(&of, "CidrBlock", &it.cidr_block);
            let mut ipv6 = None;
            for block in &it.ipv6_cidr_block_association_set {
                let state = block.ipv6_cidr_block_state.as_ref().and_then(|it| it.state.as_deref());
                let id = self.need(&of, "AssociationId", &block.association_id);
                let cidr_block = self.need::<Ipv6Net>(&of, "Ipv6CidrBlock", &block.ipv6_cidr_block);
                if let (true, Some(id), Some(cidr_block)) = (is_associated(state), id, cidr_block) {
                    if ipv6.is_some() {
                        self.unsupported(format!("{of}: of its IPv6 blocks only the last is here"));
                    }
                    ipv6 = Some(SubnetIpv6CidrAssociation { id, cidr_block: cidr_block.trunc() });
                }
            }
            if it.outpost_arn.is_some() {
                self.unsupported(format!("{of}: it is on an Outpost, and here like any other"));
            }
            let (Some(id), Some(vpc_id), Some(zone)) = (id, vpc_id, zone) else { continue };
            let dns = it.private_dns_name_options_on_launch.as_ref();
            let on_launch = |value: Option<bool>| value.unwrap_or(false);
            let by_default = if cidr_block.is_some() { "ip-name" } else { "resource-name" };
            let hostname_type = dns.and_then(|it| it.hostname_type.clone());
            self.put("Subnets", Subnet {
                id,
                vpc_id,
                cidr_block: cidr_block.map(|it| it.trunc()),
                ipv6_cidr_association: ipv6,
                availability_zone: self.place.zone(&zone),
                default_for_az: on_launch(it.default_for_az),
                map_public_ip_on_launch: on_launch(it.map_public_ip_on_launch),
                assign_ipv6_address_on_creation: on_launch(it.assign_ipv6_address_on_creation),
                enable_dns64: on_launch(it.enable_dns64),
                private_dns_hostname_type: hostname_type.unwrap_or_else(|| by_default.into()),
                resource_name_dns_a_record: on_launch(
                    dns.and_then(|it| it.enable_resource_name_dns_a_record),
                ),
                resource_name_dns_aaaa_record: on_launch(
                    dns.and_then(|it| it.enable_resource_name_dns_aaaa_record),
                ),
                created: self.call.now,
                tags: tags(&it.tags),
            });
        }
    }

    pub(super) fn internet_gateways(&mut self) {
        for (number, it) in self.document.internet_gateways.iter().enumerate() {
            let of = name(&it.internet_gateway_id, "InternetGateways", number);
            let id = self.need(&of, "InternetGatewayId", &it.internet_gateway_id);
            let tied = it.attachments.iter().find(|it| it.state.as_deref() != Some("detached"));
            let vpc_id = tied.and_then(|tied| self.need(&of, "VpcId", &tied.vpc_id));
            let Some(id) = id else { continue };
            let (created, tags) = (self.call.now, tags(&it.tags));
            self.put("InternetGateways", InternetGateway { id, vpc_id, created, tags });
        }
    }

    pub(super) fn egress_only_internet_gateways(&mut self) {
        for (number, it) in self.document.egress_only_internet_gateways.iter().enumerate() {
            let of = name(&it.egress_only_internet_gateway_id, "EgressOnlyInternetGateways", number);
            let id = self.need(&of, "Id", &it.egress_only_internet_gateway_id);
            let vpc = it.attachments.first().and_then(|it| it.vpc_id.clone());
            let (Some(id), Some(vpc_id)) = (id, self.need(&of, "VpcId", &vpc)) else { continue };
            let (created, tags) = (self.call.now, tags(&it.tags));
            self.put("EgressOnlyInternetGateways", EgressOnlyInternetGateway {
                id,
                vpc_id,
                created,
                tags,
            });
        }
    }

    pub(super) fn security_groups(&mut self) {
        for (number, it) in self.document.security_groups.iter().enumerate() {
            let of = name(&it.group_id, "SecurityGroups", number);
            let id = self.need(&of, "GroupId", &it.group_id);
            let vpc_id = self.need(&of, "VpcId", &it.vpc_id);
            let group_name = self.need::<String>(&of, "GroupName", &it.group_name);
            let (Some(id), Some(vpc_id), Some(name)) = (id, vpc_id, group_name) else { continue };
            self.put("SecurityGroups", SecurityGroup {
                id,
                vpc_id,
                name,
                description: it.description.clone().unwrap_or_default(),
                created: self.call.now,
                tags: tags(&it.tags),
            });
        }
    }

    pub(super) fn security_group_rules(&mut self) {
        if !self.document.keys.contains("SecurityGroupRules") {
            return self.rules_of_permissions();
        }
        for (number, it) in self.document.security_group_rules.iter().enumerate() {
            let of = name(&it.security_group_rule_id, "SecurityGroupRules", number);
            let id = self.need(&of, "SecurityGroupRuleId", &it.security_group_rule_id);
            if let Some(id) = id {
                self.rule(&of, id, it);
            }
        }
    }

    fn rule(&mut self, of: &str, id: SecurityGroupRuleId, it: &ec2::SecurityGroupRule) {
        let Some(group_id) = self.need(of, "GroupId", &it.group_id) else { return };
        let protocol = it.ip_protocol.as_deref().unwrap_or("-1");
        let traffic = match security_group_rule::traffic(protocol, it.from_port, it.to_port) {
            Ok(traffic) => traffic,
            Err(error) => return self.problem(of, error.message),
        };
        let group = it.referenced_group_info.as_ref();
        let peer = match (&it.cidr_ipv4, &it.cidr_ipv6, &it.prefix_list_id, group) {
            (Some(_), None, None, None) => self
                .need::<Ipv4Net>(of, "CidrIpv4", &it.cidr_ipv4)
                .map(|net| RulePeer::Ipv4(net.trunc())),
            (None, Some(_), None, None) => self
                .need::<Ipv6Net>(of, "CidrIpv6", &it.cidr_ipv6)
                .map(|net| RulePeer::Ipv6(net.trunc())),
            (None, None, Some(_), None) => {
                self.list(of, &it.prefix_list_id).map(RulePeer::PrefixList)
            }
            (None, None, None, Some(group)) => {
                self.group_elsewhere(of, group);
                self.need(of, "ReferencedGroupInfo.GroupId", &group.group_id).map(RulePeer::Group)
            }
            _ => {
                self.problem(of, "it has not exactly one of CidrIpv4, CidrIpv6, PrefixListId and \
                                  ReferencedGroupInfo");
                None
            }
        };
        let Some(peer) = peer else { return };
        self.put("SecurityGroupRules", SecurityGroupRule {
            id,
            group_id,
            egress: it.is_egress == Some(true),
            traffic,
            peer,
            description: it.description.clone().filter(|it| !it.is_empty()),
            tags: tags(&it.tags),
        });
    }

    /// A group of another VPC whose members may not be here.
    fn group_elsewhere(&mut self, of: &str, group: &ec2::ReferencedSecurityGroup) {
        let Some(id) = group.group_id.clone() else { return };
        let is_own = group.user_id.as_deref().is_none_or(|user| self.place.is_own(user));
        let is_of_peer = group.vpc_peering_connection_id.is_some() || !is_own;
        let is_here = self.tx.everywhere::<SecurityGroup>().any(|(key, _)| key.id == id);
        if is_of_peer && !is_here {
            let owner = group.user_id.as_deref().unwrap_or("another account");
            self.unsupported(format!(
                "{of}: it refers to {id} of {owner}, whose members are not in the data: it matches \
                 nobody"
            ));
            self.dead.insert(id);
        }
    }

    /// The list that an id of the data means here.
    fn list(&mut self, of: &str, id: &Option<String>) -> Option<PrefixListId> {
        let read = self.need::<PrefixListId>(of, "PrefixListId", id)?;
        Some(self.lists.get(read.as_str()).cloned().unwrap_or(read))
    }

    /// Rules from what groups say, where there is no list of rules.
    fn rules_of_permissions(&mut self) {
        self.note(
            "SecurityGroupRules are not in the data (aws ec2 describe-security-group-rules): the \
             rules of the groups have ids made up",
        );
        for group in &self.document.security_groups {
            let of = group.group_id.clone().unwrap_or_default();
            let ingress = group.ip_permissions.iter().map(|it| (false, it));
            let egress = group.ip_permissions_egress.iter().map(|it| (true, it));
            for (is_egress, permission) in ingress.chain(egress) {
                for rule in rules_of(permission) {
                    let id = SecurityGroupRuleId::new(self.call.random());
                    let (group_id, is_egress) = (group.group_id.clone(), Some(is_egress));
                    self.rule(&of, id, &ec2::SecurityGroupRule { group_id, is_egress, ..rule });
                }
            }
        }
    }

    pub(super) fn network_acls(&mut self) {
        for (number, it) in self.document.network_acls.iter().enumerate() {
            let of = name(&it.network_acl_id, "NetworkAcls", number);
            let id = self.need(&of, "NetworkAclId", &it.network_acl_id);
            let vpc_id = self.need(&of, "VpcId", &it.vpc_id);
            let mut entries = Vec::new();
            for entry in &it.entries {
                if entry.rule_number.is_some_and(|number| number >= CLOSING) {
                    continue;
                }
                entries.extend(self.acl_entry(&of, entry));
            }
            let mut associations = Vec::new();
            for tie in &it.associations {
                let id = self.need(&of, "NetworkAclAssociationId", &tie.network_acl_association_id);
                let subnet_id = self.need(&of, "SubnetId", &tie.subnet_id);
                if let (Some(id), Some(subnet_id)) = (id, subnet_id) {
                    associations.push(NetworkAclAssociation { id, subnet_id });
                }
            }
            let (Some(id), Some(vpc_id)) = (id, vpc_id) else { continue };
            self.put("NetworkAcls", NetworkAcl {
                id,
                vpc_id,
                is_default: it.is_default == Some(true),
                entries,
                associations,
                created: self.call.now,
                tags: tags(&it.tags),
            });
        }
    }

    fn acl_entry(&mut self, of: &str, it: &ec2::NetworkAclEntry) -> Option<NetworkAclEntry> {
        let number = it.rule_number.and_then(|number| u16::try_from(number).ok());
        let Some(rule_number) = number.filter(|number| *number > 0) else {
            self.problem(of, "an entry has no RuleNumber from 1 to 32766");
            return None;
        };
        let of = format!("{of} entry {rule_number}");
        let cidr = match (&it.cidr_block, &it.ipv6_cidr_block) {
            (Some(_), None) => self.need::<Ipv4Net>(&of, "CidrBlock", &it.cidr_block)?.trunc().into(),
            (None, Some(_)) => {
                self.need::<Ipv6Net>(&of, "Ipv6CidrBlock", &it.ipv6_cidr_block)?.trunc().into()
            }
            _ => {
                self.problem(&of, "it has not exactly one of CidrBlock and Ipv6CidrBlock");
                return None;
            }
        };
        let allow = match it.rule_action.as_deref() {
            Some("allow") => true,
            Some("deny") => false,
            _ => {
                self.problem(&of, "its RuleAction is neither allow nor deny");
                return None;
            }
        };
        let protocol = it.protocol.as_deref().unwrap_or("-1");
        let traffic =
            match network_acl::traffic(protocol, &it.icmp_type_code, &it.port_range, cidr) {
                Ok(traffic) => traffic,
                Err(error) => {
                    self.problem(&of, error.message);
                    return None;
                }
            };
        Some(NetworkAclEntry { rule_number, egress: it.egress == Some(true), allow, traffic, cidr })
    }

    pub(super) fn peering_connections(&mut self) {
        for (number, it) in self.document.vpc_peering_connections.iter().enumerate() {
            let of = name(&it.vpc_peering_connection_id, "VpcPeeringConnections", number);
            let id = self.need(&of, "VpcPeeringConnectionId", &it.vpc_peering_connection_id);
            let status = it.status.as_ref();
            let known = match status.and_then(|it| it.code.as_deref()) {
                Some("active" | "provisioning") => PeeringStatus::Active,
                Some("pending-acceptance" | "initiating-request") => PeeringStatus::PendingAcceptance,
                // What is gone is shown for a while, and routes to it are dead.
                _ => {
                    self.dead.insert(of);
                    continue;
                }
            };
            let requester = self.side(&of, it.requester_vpc_info.as_ref());
            let accepter = self.side(&of, it.accepter_vpc_info.as_ref());
            let (Some(id), Some(requester), Some(accepter)) = (id, requester, accepter) else {
                self.dead.insert(of);
                continue;
            };
            let mut connection = VpcPeeringConnection {
                id,
                requester,
                accepter,
                status: known,
                status_message: status.and_then(|it| it.message.clone()).unwrap_or_default(),
                expiration: it.expiration_time,
                created: self.call.now,
                changed: self.call.now,
                tags: gureum_types::Tags::new(),
                accepter_tags: gureum_types::Tags::new(),
            };
            let own = tags(&it.tags);
            // The other side may have come with its own data before.
            let id = connection.id.to_string();
            if let Some(known) = self.tx.machine::<VpcPeeringConnection>(&id).cloned() {
                let ends = |it: &VpcPeeringConnection| {
                    (it.requester.vpc_id.clone(), it.accepter.vpc_id.clone())
                };
                if ends(&known) != ends(&connection) {
                    self.problem(&of, "it is here already, between other VPCs");
                    continue;
                }
                connection.tags = known.tags.clone();
                connection.accepter_tags = known.accepter_tags.clone();
            }
            *vpc_peering_connection::tags_mut(&mut connection, &self.call.scope) = own;
            self.tx.put_machine(connection);
            self.count("VpcPeeringConnections");
        }
    }

    fn side(
        &mut self,
        of: &str,
        side: Option<&ec2::VpcPeeringConnectionVpcInfo>,
    ) -> Option<PeeringVpc> {
        let side = side.cloned().unwrap_or_default();
        let vpc_id = self.need::<gureum_types::VpcId>(of, "VpcId", &side.vpc_id)?;
        let is_here = self.has::<Vpc>(vpc_id.as_str());
        let scope = if is_here {
            self.call.scope.clone()
        } else {
            let account = self.need(of, "OwnerId", &side.owner_id)?;
            let region = side.region.as_deref().map_or_else(
                || Some(self.call.region().clone()),
                |region| region.parse::<Region>().ok(),
            );
            let there = region.clone().map(|region| Scope { account, region });
            if there.as_ref().is_none_or(|it| self.tx.find::<Vpc>(it, vpc_id.as_str()).is_none()) {
                let owner = side.owner_id.as_deref().unwrap_or_default();
                self.unsupported(format!(
                    "{of}: {vpc_id} of {owner} at its other end is not in the data: nothing is \
                     behind it"
                ));
            }
            there?
        };
        let options = side.peering_options.as_ref();
        let allow = options.and_then(|it| it.allow_dns_resolution_from_remote_vpc);
        Some(PeeringVpc {
            scope,
            vpc_id,
            allow_dns_resolution_from_remote_vpc: allow == Some(true),
        })
    }

    pub(super) fn route_tables(&mut self) {
        for (number, it) in self.document.route_tables.iter().enumerate() {
            let of = name(&it.route_table_id, "RouteTables", number);
            let id = self.need(&of, "RouteTableId", &it.route_table_id);
            let vpc_id = self.need(&of, "VpcId", &it.vpc_id);
            let associations = self.route_table_associations(&of, it);
            let mut routes: Vec<Route> = Vec::new();
            for route in &it.routes {
                let Some(route) = self.route(&of, route) else { continue };
                if routes.iter().any(|it| it.destination == route.destination) {
                    self.problem(&of, format!("two routes lead to {:?}", route.destination));
                }
                routes.push(route);
            }
            let mut propagating_gateways = Vec::new();
            for vgw in &it.propagating_vgws {
                propagating_gateways.extend(self.need(&of, "GatewayId", &vgw.gateway_id));
            }
            let (Some(id), Some(vpc_id)) = (id, vpc_id) else { continue };
            self.put("RouteTables", RouteTable {
                id,
                vpc_id,
                routes,
                associations,
                propagating_gateways,
                created: self.call.now,
                tags: tags(&it.tags),
            });
        }
    }

    fn route_table_associations(
        &mut self,
        of: &str,
        it: &ec2::RouteTable,
    ) -> Vec<RouteTableAssociation> {
        let mut associations = Vec::new();
        for tie in &it.associations {
            let state = tie.association_state.as_ref().and_then(|it| it.state.as_deref());
            let id = self.need(of, "RouteTableAssociationId", &tie.route_table_association_id);
            let subnet_id = self.may::<SubnetId>(of, "SubnetId", &tie.subnet_id);
            let gateway = tie.gateway_id.as_deref().unwrap_or_default();
            if gateway.starts_with("vgw-") {
                self.unsupported(format!("{of}: it is the table of {gateway}, and here nobody's"));
                continue;
            }
            let gateway_id = self.may::<InternetGatewayId>(of, "GatewayId", &tie.gateway_id);
            let main = tie.main == Some(true);
            if !is_associated(state) {
                continue;
            }
            match id {
                Some(id) if main || subnet_id.is_some() || gateway_id.is_some() => {
                    associations.push(RouteTableAssociation { id, subnet_id, gateway_id, main });
                }
                Some(id) => self.unsupported(format!("{of}: {id} ties it to something unknown")),
                None => {}
            }
        }
        associations
    }

    fn route(&mut self, of: &str, it: &ec2::Route) -> Option<Route> {
        let destination = self.destination(of, it)?;
        let of = format!("{of} route to {}", crate::resource::route::shown_destination(&destination));
        let is_local = it.gateway_id.as_deref() == Some("local");
        // What follows from the blocks of the VPC is not kept.
        if is_local && it.origin.as_deref() != Some("CreateRoute") {
            return None;
        }
        let target = match is_local {
            true => RouteTarget::Local,
            false => self.target(&of, it)?,
        };
        if it.state.as_deref() == Some("blackhole") {
            let (table, to) = of.split_once(" route to ").unwrap_or((&of, ""));
            self.blackholes.insert((table.to_owned(), to.to_owned()));
        }
        Some(Route { destination, target })
    }

    fn destination(&mut self, of: &str, it: &ec2::Route) -> Option<RouteDestination> {
        let list = &it.destination_prefix_list_id;
        if list.is_some() {
            let endpoint = it.gateway_id.as_deref().filter(|it| it.starts_with("vpce-"));
            let service = endpoint.and_then(|id| {
                let mut endpoints = self.document.vpc_endpoints.iter();
                endpoints.find(|it| it.vpc_endpoint_id.as_deref() == Some(id))?.service_name.clone()
            });
            // The list of a service may not be in the data, but what leads to it tells which it is.
            let id = self.list(of, list)?;
            if !self.has::<PrefixList>(id.as_str())
                && let Some(own) = service.and_then(|it| self.list_of_service(&it))
            {
                if own != id && self.lists.insert(id.to_string(), own.clone()).is_none() {
                    self.replaced(format!("the prefix list {id} is {own} here"));
                }
                return Some(RouteDestination::PrefixList(own));
            }
            return Some(RouteDestination::PrefixList(id));
        }
        if it.destination_ipv6_cidr_block.is_some() {
            let to = &it.destination_ipv6_cidr_block;
            let to = self.need::<Ipv6Net>(of, "DestinationIpv6CidrBlock", to)?;
            return Some(RouteDestination::Ipv6(to.trunc()));
        }
        let to = self.need::<Ipv4Net>(of, "DestinationCidrBlock", &it.destination_cidr_block)?;
        Some(RouteDestination::Ipv4(to.trunc()))
    }

    /// What a route leads to. What cannot be like that here is kept as a way that leads nowhere:
    /// without the route packets would take another one.
    fn target(&mut self, of: &str, it: &ec2::Route) -> Option<RouteTarget> {
        if it.nat_gateway_id.is_some() {
            return self.need(of, "NatGatewayId", &it.nat_gateway_id).map(RouteTarget::NatGateway);
        }
        if it.transit_gateway_id.is_some() {
            let id = self.need(of, "TransitGatewayId", &it.transit_gateway_id)?;
            self.unsupported(format!("{of}: {id} carries nothing here"));
            return Some(RouteTarget::TransitGateway(id));
        }
        if it.vpc_peering_connection_id.is_some() {
            let id = &it.vpc_peering_connection_id;
            return self.need(of, "VpcPeeringConnectionId", id).map(RouteTarget::VpcPeeringConnection);
        }
        if it.egress_only_internet_gateway_id.is_some() {
            let id = &it.egress_only_internet_gateway_id;
            let id = self.need(of, "EgressOnlyInternetGatewayId", id);
            return id.map(RouteTarget::EgressOnlyInternetGateway);
        }
        if let Some(gateway) = it.gateway_id.as_deref().filter(|it| !it.is_empty()) {
            let id = &it.gateway_id;
            return match gateway.split('-').next() {
                Some("igw") => self.need(of, "GatewayId", id).map(RouteTarget::InternetGateway),
                Some("vpce") => self.need(of, "GatewayId", id).map(RouteTarget::VpcEndpoint),
                Some("vgw") => {
                    self.unsupported(format!("{of}: {gateway} has no tunnel here"));
                    self.need(of, "GatewayId", id).map(RouteTarget::VpnGateway)
                }
                _ => Some(self.nowhere(of, gateway)),
            };
        }
        if it.network_interface_id.is_some() {
            let id = &it.network_interface_id;
            return self.need(of, "NetworkInterfaceId", id).map(RouteTarget::NetworkInterface);
        }
        let other = [
            &it.carrier_gateway_id,
            &it.local_gateway_id,
            &it.core_network_arn,
            &it.odb_network_arn,
        ];
        match other.into_iter().flatten().next() {
            Some(other) => Some(self.nowhere(of, other)),
            // Whose instance or interface is gone has nothing any more.
            None if it.state.as_deref() == Some("blackhole") => Some(dead_end()),
            None => {
                self.problem(of, "it has no target");
                None
            }
        }
    }

    fn nowhere(&mut self, of: &str, target: &str) -> RouteTarget {
        self.unsupported(format!("{of}: nothing here is like {target}; packets end there"));
        let RouteTarget::NetworkInterface(id) = dead_end() else { return dead_end() };
        self.dead.insert(id.to_string());
        RouteTarget::NetworkInterface(id)
    }
}

/// An interface that is not there.
fn dead_end() -> RouteTarget {
    RouteTarget::NetworkInterface(NetworkInterfaceId::new(u64::MAX))
}

/// The rules that a permission stands for: one for each of its peers.
fn rules_of(permission: &ec2::IpPermission) -> Vec<ec2::SecurityGroupRule> {
    let base = ec2::SecurityGroupRule {
        ip_protocol: permission.ip_protocol.clone(),
        from_port: permission.from_port,
        to_port: permission.to_port,
        ..Default::default()
    };
    let ipv4 = permission.ip_ranges.iter().map(|it| ec2::SecurityGroupRule {
        cidr_ipv4: it.cidr_ip.clone(),
        description: it.description.clone(),
        ..base.clone()
    });
    let ipv6 = permission.ipv6_ranges.iter().map(|it| ec2::SecurityGroupRule {
        cidr_ipv6: it.cidr_ipv6.clone(),
        description: it.description.clone(),
        ..base.clone()
    });
    let lists = permission.prefix_list_ids.iter().map(|it| ec2::SecurityGroupRule {
        prefix_list_id: it.prefix_list_id.clone(),
        description: it.description.clone(),
        ..base.clone()
    });
    let groups = permission.user_id_group_pairs.iter().map(|it| ec2::SecurityGroupRule {
        referenced_group_info: Some(ec2::ReferencedSecurityGroup {
            group_id: it.group_id.clone(),
            peering_status: it.peering_status.clone(),
            user_id: it.user_id.clone(),
            vpc_id: it.vpc_id.clone(),
            vpc_peering_connection_id: it.vpc_peering_connection_id.clone(),
        }),
        description: it.description.clone(),
        ..base.clone()
    });
    ipv4.chain(ipv6).chain(lists).chain(groups).collect()
}

/// For sentences about something with tags.
pub(super) fn called(id: &str, tags: &[ec2::Tag]) -> String {
    format!("{id}{}", named(tags))
}
