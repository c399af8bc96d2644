//! What an import has made, held against itself: whatever is referred to is there, in the same VPC,
//! and addresses are where they can be.

use std::{collections::BTreeSet, sync::Arc};

use gureum_store::Stored;
use gureum_types::{
    VpcId,
    record::{
        Address, DhcpOptions, EgressOnlyInternetGateway, Instance, InternetGateway, NatGateway,
        NetworkAcl, NetworkInterface, PrefixList, Route, RouteDestination, RouteTable, RouteTarget,
        RulePeer, SecurityGroup, SecurityGroupRule, Subnet, Vpc, VpcEndpoint, VpcEndpointKind,
        VpcPeeringConnection, is_reserved, is_reserved_ipv6,
    },
};
use ipnet::IpNet;

use super::import::Import;
use crate::resource::{prefix_list, route, vpc};

/// The longest list of an interface's groups (SG-21, raised as far as AWS does).
const MOST_GROUPS: usize = 16;

/// Checks everything.
pub(super) fn all(import: &mut Import<'_>) {
    import.check_vpcs();
    import.check_subnets();
    import.check_groups();
    import.check_interfaces();
    import.check_gateways();
    import.check_tables();
    import.check_acls();
    import.check_instances();
}

impl Import<'_> {
    /// The records of a kind that this import made.
    fn made<T: Stored>(&self) -> Vec<Arc<T>> {
        let all = self.tx.all::<T>(&self.call.scope);
        all.filter(|it| self.made.contains(&*it.id())).cloned().collect()
    }

    /// Notes that something is not there, unless it is known to be dead.
    fn want<T: Stored>(&mut self, of: &str, id: &str) {
        let is_there = self.has::<T>(id);
        if !is_there && !self.dead.contains(id) {
            self.problem(of, format!("it refers to {id}, which is not in the data"));
        }
    }

    fn want_vpc(&mut self, of: &str, vpc: &VpcId) {
        self.want::<Vpc>(of, vpc.as_str());
    }

    /// Notes that a group is not there or of another VPC.
    fn want_group(&mut self, of: &str, vpc: &VpcId, id: &str) {
        self.want::<SecurityGroup>(of, id);
        let group = self.tx.find::<SecurityGroup>(&self.call.scope, id);
        if group.is_some_and(|it| it.vpc_id != *vpc) {
            self.problem(of, format!("its group {id} is of another VPC"));
        }
    }

    /// Notes that a subnet is not there or of another VPC.
    fn want_subnet(&mut self, of: &str, vpc: &VpcId, id: &str) {
        self.want::<Subnet>(of, id);
        let subnet = self.tx.find::<Subnet>(&self.call.scope, id);
        if subnet.is_some_and(|it| it.vpc_id != *vpc) {
            self.problem(of, format!("its subnet {id} is of another VPC"));
        }
    }

    fn check_vpcs(&mut self) {
        for it in self.made::<Vpc>() {
            let of = it.id.as_str();
            if let Some(options) = &it.dhcp_options {
                self.want::<DhcpOptions>(of, options.as_str());
            }
            let tables = self.tx.referrers::<RouteTable>(of);
            let main = tables.filter(|it| it.associations.iter().any(|it| it.main)).count();
            let acls = self.tx.referrers::<NetworkAcl>(of).filter(|it| it.is_default).count();
            let groups = self.tx.referrers::<SecurityGroup>(of).filter(|it| it.name == "default");
            let groups = groups.count();
            let gateways = self.tx.referrers::<InternetGateway>(of).count();
            if main != 1 {
                self.problem(of, format!("it has {main} main route tables, not 1 (RT-3)"));
            }
            if acls != 1 {
                self.problem(of, format!("it has {acls} default network ACLs, not 1"));
            }
            if groups != 1 {
                self.problem(of, format!("it has {groups} groups called default, not 1 (SG-5)"));
            }
            if gateways > 1 {
                self.problem(of, format!("it has {gateways} internet gateways (IGW-1)"));
            }
        }
        let defaults: Vec<_> =
            self.tx.all::<Vpc>(&self.call.scope).filter(|it| it.is_default).cloned().collect();
        if let [_, second, ..] = defaults.as_slice() {
            self.problem(
                second.id.as_str(),
                "it is the second default VPC of the region (--replace takes the present one away)",
            );
        }
    }

    fn check_subnets(&mut self) {
        for it in self.made::<Subnet>() {
            let of = it.id.as_str();
            self.want_vpc(of, &it.vpc_id);
            if it.cidr_block.is_none() && it.ipv6_cidr_association.is_none() {
                self.problem(of, "it has neither an IPv4 nor an IPv6 block");
            }
            let blocks = |it: &Subnet| -> Vec<IpNet> {
                let ipv6 = it.ipv6_block().map(IpNet::from);
                it.cidr_block.map(IpNet::from).into_iter().chain(ipv6).collect()
            };
            if let Some(vpc) = self.tx.find::<Vpc>(&self.call.scope, it.vpc_id.as_str()).cloned() {
                let of_vpc: Vec<IpNet> = vpc::blocks(&vpc)
                    .into_iter()
                    .map(IpNet::from)
                    .chain(vpc::ipv6_blocks(&vpc).into_iter().map(IpNet::from))
                    .collect();
                for block in blocks(&it) {
                    if !of_vpc.iter().any(|own| own.contains(&block)) {
                        self.problem(of, format!("{block} is no part of {}", vpc.id));
                    }
                }
            }
            let others: Vec<_> = self.tx.referrers::<Subnet>(it.vpc_id.as_str()).cloned().collect();
            for other in others.iter().filter(|other| other.id > it.id) {
                for block in blocks(&it) {
                    let overlaps = |it: &IpNet| it.contains(&block) || block.contains(it);
                    if blocks(other).iter().any(overlaps) {
                        self.problem(of, format!("{block} overlaps {}", other.id));
                    }
                }
            }
            let acls = self.tx.referrers::<NetworkAcl>(of).count();
            if acls != 1 {
                self.problem(of, format!("{acls} network ACLs guard it, not 1 (NACL-6)"));
            }
            let tables = self.tx.referrers::<RouteTable>(of).count();
            if tables > 1 {
                self.problem(of, format!("{tables} route tables are associated with it (RT-5)"));
            }
        }
    }

    fn check_groups(&mut self) {
        for it in self.made::<SecurityGroup>() {
            self.want_vpc(it.id.as_str(), &it.vpc_id);
        }
        for it in self.made::<SecurityGroupRule>() {
            let of = it.id.as_str();
            self.want::<SecurityGroup>(of, it.group_id.as_str());
            match &it.peer {
                RulePeer::Ipv4(_) | RulePeer::Ipv6(_) => {}
                RulePeer::PrefixList(id) => self.want_list(of, id.as_str()),
                RulePeer::Group(id) => {
                    let known = self.tx.everywhere::<SecurityGroup>().any(|(_, it)| it.id == *id);
                    if !known && !self.dead.contains(id.as_str()) {
                        self.problem(of, format!("it refers to {id}, which is not in the data"));
                    }
                }
            }
        }
    }

    fn want_list(&mut self, of: &str, id: &str) {
        if prefix_list::find(self.call, self.tx, id).is_none() {
            self.want::<PrefixList>(of, id);
        }
    }

    fn check_interfaces(&mut self) {
        let mut held: BTreeSet<(VpcId, std::net::IpAddr)> = BTreeSet::new();
        for it in self.tx.all::<NetworkInterface>(&self.call.scope) {
            if !self.made.contains(it.id.as_str()) {
                let ipv4 = it.private_addresses.iter().map(|it| (*it).into());
                let ipv6 = it.ipv6_addresses.iter().map(|it| (*it).into());
                held.extend(ipv4.chain(ipv6).map(|address| (it.vpc_id.clone(), address)));
            }
        }
        for it in self.made::<NetworkInterface>() {
            let of = it.id.as_str();
            self.want_vpc(of, &it.vpc_id);
            self.want_subnet(of, &it.vpc_id, it.subnet_id.as_str());
            for group in &it.groups {
                self.want_group(of, &it.vpc_id, group.as_str());
            }
            if it.groups.len() > MOST_GROUPS {
                self.problem(of, format!("it has more than {MOST_GROUPS} groups (SG-21)"));
            }
            if it.groups.is_empty() && !it.requester_managed {
                self.problem(of, "it has no security group (SG-7)");
            }
            if let Some(tie) = &it.attachment {
                self.want::<Instance>(of, tie.instance_id.as_str());
            }
            let count = it.private_addresses.len().max(it.ipv6_addresses.len());
            if count == 0 || count > gureum_types::ADDRESSES_PER_PORT as usize {
                let most = gureum_types::ADDRESSES_PER_PORT;
                self.problem(of, format!("it has {count} addresses: 1 to {most} are possible"));
            }
            let subnet = self.tx.find::<Subnet>(&self.call.scope, it.subnet_id.as_str()).cloned();
            let Some(subnet) = subnet else { continue };
            for address in &it.private_addresses {
                let block = subnet.cidr_block.filter(|block| block.contains(address));
                match block {
                    None => self.problem(of, format!("{address} is no address of {}", subnet.id)),
                    Some(block) if is_reserved(block, *address) => {
                        self.problem(of, format!("{address} is AWS's own (SUB-3)"));
                    }
                    Some(_) => {}
                }
                if !held.insert((it.vpc_id.clone(), (*address).into())) {
                    self.problem(of, format!("{address} is another interface's, too"));
                }
            }
            for address in &it.ipv6_addresses {
                let block = subnet.ipv6_block().filter(|block| block.contains(address));
                match block {
                    None => self.problem(of, format!("{address} is no address of {}", subnet.id)),
                    Some(block) if is_reserved_ipv6(block, *address) => {
                        self.problem(of, format!("{address} is AWS's own (SUB-5)"));
                    }
                    Some(_) => {}
                }
                if !held.insert((it.vpc_id.clone(), (*address).into())) {
                    self.problem(of, format!("{address} is another interface's, too"));
                }
            }
        }
    }

    fn check_gateways(&mut self) {
        for it in self.made::<InternetGateway>() {
            if let Some(vpc) = &it.vpc_id {
                self.want_vpc(it.id.as_str(), vpc);
            }
        }
        for it in self.made::<EgressOnlyInternetGateway>() {
            self.want_vpc(it.id.as_str(), &it.vpc_id);
        }
        for it in self.made::<NatGateway>() {
            let of = it.id.as_str();
            self.want_vpc(of, &it.vpc_id);
            self.want_subnet(of, &it.vpc_id, it.subnet_id.as_str());
            // One without an interface fails, maybe for want of what it refers to (NAT-4).
            let Some(id) = &it.network_interface_id else { continue };
            self.want::<NetworkInterface>(of, id.as_str());
            for id in it.addresses.iter().filter_map(|it| it.allocation_id.as_ref()) {
                self.want::<Address>(of, id.as_str());
            }
        }
        for it in self.made::<VpcEndpoint>() {
            let of = it.id.as_str();
            self.want_vpc(of, &it.vpc_id);
            if let VpcEndpointKind::Interface(interface) = &it.kind {
                for id in &interface.interfaces {
                    self.want::<NetworkInterface>(of, id.as_str());
                }
                for id in &interface.groups {
                    self.want_group(of, &it.vpc_id, id.as_str());
                }
            }
        }
    }

    fn check_tables(&mut self) {
        for it in self.made::<RouteTable>() {
            let of = it.id.as_str();
            self.want_vpc(of, &it.vpc_id);
            for tie in &it.associations {
                if let Some(id) = &tie.subnet_id {
                    self.want_subnet(of, &it.vpc_id, id.as_str());
                }
                if let Some(id) = &tie.gateway_id {
                    self.want::<InternetGateway>(of, id.as_str());
                }
            }
            for route in &it.routes {
                self.check_route(of, route);
            }
        }
    }

    fn check_route(&mut self, table: &str, it: &Route) {
        let to = route::shown_destination(&it.destination);
        let of = format!("{table} route to {to}");
        if let RouteDestination::PrefixList(id) = &it.destination {
            self.want_list(&of, id.as_str());
        }
        // What the data call a blackhole may well lead to what is no more.
        if self.blackholes.contains(&(table.to_owned(), to)) {
            return;
        }
        match &it.target {
            // Told already where they were read.
            RouteTarget::Local | RouteTarget::VpnGateway(_) | RouteTarget::TransitGateway(_) => {}
            RouteTarget::InternetGateway(id) => {
                self.want::<InternetGateway>(&of, id.as_str());
            }
            RouteTarget::NetworkInterface(id) => {
                self.want::<NetworkInterface>(&of, id.as_str());
            }
            RouteTarget::NatGateway(id) => {
                self.want::<NatGateway>(&of, id.as_str());
            }
            RouteTarget::EgressOnlyInternetGateway(id) => {
                self.want::<EgressOnlyInternetGateway>(&of, id.as_str());
            }
            RouteTarget::VpcEndpoint(id) => {
                self.want::<VpcEndpoint>(&of, id.as_str());
            }
            RouteTarget::VpcPeeringConnection(id) => {
                let is_there = self.tx.machine::<VpcPeeringConnection>(id.as_str()).is_some();
                if !is_there && !self.dead.contains(id.as_str()) {
                    self.problem(&of, format!("it refers to {id}, which is not in the data"));
                }
            }
        }
    }

    fn check_acls(&mut self) {
        for it in self.made::<NetworkAcl>() {
            let of = it.id.as_str();
            self.want_vpc(of, &it.vpc_id);
            for tie in &it.associations {
                self.want_subnet(of, &it.vpc_id, tie.subnet_id.as_str());
            }
            let mut seen = BTreeSet::new();
            for entry in &it.entries {
                if !seen.insert((entry.egress, entry.rule_number)) {
                    self.problem(of, format!("two entries have the number {}", entry.rule_number));
                }
            }
        }
    }

    fn check_instances(&mut self) {
        for it in self.made::<Instance>() {
            let of = it.id.as_str();
            self.want_vpc(of, &it.vpc_id);
            self.want_subnet(of, &it.vpc_id, it.subnet_id.as_str());
            let ties: Vec<_> = self
                .tx
                .referrers::<NetworkInterface>(of)
                .filter_map(|it| it.attachment.as_ref().map(|it| it.device_index))
                .collect();
            let unique: BTreeSet<_> = ties.iter().collect();
            if !unique.contains(&0) {
                self.problem(of, "its primary network interface is not in the data");
            }
            if unique.len() != ties.len() {
                self.problem(of, "two of its interfaces have the same device index");
            }
        }
    }
}
