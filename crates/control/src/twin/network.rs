//! VPCs, subnets, their gateways and groups, prefix lists, DHCP options.

use gureum_api::ec2;
use gureum_types::{
    PrefixListId, VpcCidrAssociationId,
    record::{
        DhcpOptions, EgressOnlyInternetGateway, InternetGateway, PrefixList, PrefixListEntry,
        SecurityGroup, Subnet, SubnetIpv6CidrAssociation, Vpc, VpcCidrAssociation,
        VpcIpv6CidrAssociation,
    },
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::import::{Import, name, tags};
use crate::resource::prefix_list;

fn on(value: &Option<ec2::AttributeBooleanValue>) -> Option<bool> {
    value.as_ref().and_then(|it| it.value)
}

/// Whether a block is one that counts: what was taken away is shown for a while.
pub(super) fn is_associated(state: Option<&str>) -> bool {
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
            self.put(
                "DhcpOptions",
                DhcpOptions {
                    id,
                    configurations: configurations.collect(),
                    created: self.call.now,
                    tags: tags(&it.tags),
                },
            );
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
            self.put(
                "PrefixLists",
                PrefixList {
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
                },
            );
        }
    }

    /// The list that a service has here, by the name of the list.
    pub(super) fn list_of_service(&self, list_name: &str) -> Option<PrefixListId> {
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
                let id = VpcCidrAssociationId::new(self.call.random());
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
            self.put(
                "Subnets",
                Subnet {
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
                },
            );
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
            let of =
                name(&it.egress_only_internet_gateway_id, "EgressOnlyInternetGateways", number);
            let id = self.need(&of, "Id", &it.egress_only_internet_gateway_id);
            let vpc = it.attachments.first().and_then(|it| it.vpc_id.clone());
            let (Some(id), Some(vpc_id)) = (id, self.need(&of, "VpcId", &vpc)) else { continue };
            let (created, tags) = (self.call.now, tags(&it.tags));
            self.put(
                "EgressOnlyInternetGateways",
                EgressOnlyInternetGateway { id, vpc_id, created, tags },
            );
        }
    }

    pub(super) fn security_groups(&mut self) {
        for (number, it) in self.document.security_groups.iter().enumerate() {
            let of = name(&it.group_id, "SecurityGroups", number);
            let id = self.need(&of, "GroupId", &it.group_id);
            let vpc_id = self.need(&of, "VpcId", &it.vpc_id);
            let group_name = self.need::<String>(&of, "GroupName", &it.group_name);
            let (Some(id), Some(vpc_id), Some(name)) = (id, vpc_id, group_name) else { continue };
            self.put(
                "SecurityGroups",
                SecurityGroup {
                    id,
                    vpc_id,
                    name,
                    description: it.description.clone().unwrap_or_default(),
                    created: self.call.now,
                    tags: tags(&it.tags),
                },
            );
        }
    }
}
