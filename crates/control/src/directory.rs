//! What people call things: interfaces, subnets and security groups by every name they have, from
//! one snapshot, for who has many names to look up.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use gureum_store::Snapshot;
use gureum_types::{
    NetworkInterfaceId, SecurityGroupId, SubnetId, Tags,
    record::{
        Instance, InstanceState, InternetGateway, NatGateway, NetworkAcl, NetworkInterface,
        RouteTable, RulePeer, SecurityGroup, SecurityGroupRule, Subnet, Traffic,
    },
};

use crate::{
    compile::{is_on, scoped},
    control::{Control, Found},
    resource::public_ip,
};

/// Something that has packets, by itself or as a set of interfaces.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    /// An interface, or the primary one of an instance.
    Interface(Found<NetworkInterface>),
    /// A subnet.
    Subnet(Found<Subnet>),
    /// A security group.
    SecurityGroup(Found<SecurityGroup>),
}

impl Named {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Interface(found) => found.record.id.as_str(),
            Self::Subnet(found) => found.record.id.as_str(),
            Self::SecurityGroup(found) => found.record.id.as_str(),
        }
    }
}

/// The names of one snapshot.
#[derive(Debug)]
pub struct Directory {
    records: Arc<Snapshot>,
    ends: HashMap<String, Vec<Named>>,
    interfaces: HashMap<NetworkInterfaceId, Found<NetworkInterface>>,
    rules: HashMap<String, Arc<SecurityGroupRule>>,
    /// Ids of what may decide about packets, by id, name and Name tag.
    deciding: HashMap<String, BTreeSet<String>>,
}

impl Control {
    /// The names of the records as they are now.
    pub fn directory(&self) -> Directory {
        Directory::of(self.snapshot())
    }
}

impl Directory {
    /// The names of records.
    pub fn of(records: Arc<Snapshot>) -> Self {
        let mut directory = Self {
            ends: HashMap::new(),
            interfaces: HashMap::new(),
            rules: HashMap::new(),
            deciding: HashMap::new(),
            records: Arc::clone(&records),
        };
        directory.add_interfaces(&records);
        for (scope, record) in scoped::<Subnet>(&records) {
            let found = Found { scope: scope.clone(), record: Arc::clone(record) };
            let names = [Some(record.id.to_string()), name_tag(&record.tags)];
            directory.add(names.into_iter().flatten(), &Named::Subnet(found));
        }
        for (scope, record) in scoped::<SecurityGroup>(&records) {
            let found = Found { scope: scope.clone(), record: Arc::clone(record) };
            let names = [Some(record.name.clone()), name_tag(&record.tags)];
            let names: Vec<_> = names.into_iter().flatten().collect();
            directory.decides(record.id.as_str(), names.iter().cloned());
            let names = names.into_iter().chain([record.id.to_string()]);
            directory.add(names, &Named::SecurityGroup(found));
        }
        for (_, rule) in scoped::<SecurityGroupRule>(&records) {
            directory.decides(rule.id.as_str(), name_tag(&rule.tags));
            directory.rules.insert(rule.id.to_string(), Arc::clone(rule));
        }
        for (_, it) in scoped::<NetworkAcl>(&records) {
            directory.decides(it.id.as_str(), name_tag(&it.tags));
        }
        for (_, it) in scoped::<RouteTable>(&records) {
            directory.decides(it.id.as_str(), name_tag(&it.tags));
        }
        for (_, it) in scoped::<InternetGateway>(&records) {
            directory.decides(it.id.as_str(), name_tag(&it.tags));
        }
        // What failed or was deleted is only shown (NAT-4).
        for (_, it) in scoped::<NatGateway>(&records).filter(|(_, it)| it.state.translates()) {
            directory.decides(it.id.as_str(), name_tag(&it.tags));
        }
        directory
    }

    fn add_interfaces(&mut self, records: &Arc<Snapshot>) {
        for (scope, record) in scoped::<NetworkInterface>(records) {
            let found = Found { scope: scope.clone(), record: Arc::clone(record) };
            let mut names = vec![record.id.to_string()];
            names.extend(name_tag(&record.tags));
            for address in &record.private_addresses {
                names.push(address.to_string());
                names.push(public_ip::private_name(&scope.region, *address));
            }
            names.extend(record.ipv6_addresses.iter().map(ToString::to_string));
            for mapping in public_ip::mappings(records, record) {
                names.push(mapping.public.to_string());
                names.push(public_ip::public_name(&scope.region, mapping.public));
            }
            let attachment = record.attachment.as_ref().filter(|it| it.device_index == 0);
            let instance = attachment
                .and_then(|it| records.find::<Instance>(scope, it.instance_id.as_str()))
                .filter(|it| it.state != InstanceState::Terminated);
            if let Some(instance) = instance {
                names.push(instance.id.to_string());
                names.extend(name_tag(&instance.tags));
            }
            self.interfaces.insert(record.id.clone(), found.clone());
            self.add(names, &Named::Interface(found));
        }
    }

    fn add(&mut self, names: impl IntoIterator<Item = String>, named: &Named) {
        for name in names {
            let known = self.ends.entry(name).or_default();
            if !known.iter().any(|it| it.id() == named.id()) {
                known.push(named.clone());
            }
        }
    }

    fn decides(&mut self, id: &str, names: impl IntoIterator<Item = String>) {
        for name in names.into_iter().chain([id.to_owned()]) {
            self.deciding.entry(name).or_default().insert(id.to_owned());
        }
    }

    /// The records that it is made from.
    pub fn records(&self) -> &Snapshot {
        &self.records
    }

    /// All that has a name: an id, a Name tag, a group's name, an address or a host name of an
    /// interface.
    pub fn named(&self, name: &str) -> &[Named] {
        self.ends.get(name).map_or(&[], Vec::as_slice)
    }

    /// The ids of rules, groups, network ACLs, route tables and gateways that have a name.
    pub fn deciding(&self, name: &str) -> Vec<&str> {
        self.deciding.get(name).into_iter().flatten().map(String::as_str).collect()
    }

    /// An interface by its id.
    pub fn interface(&self, id: &str) -> Option<&Found<NetworkInterface>> {
        self.interfaces.get(&id.parse::<NetworkInterfaceId>().ok()?)
    }

    /// The interface that has an address; `None` where several have.
    pub fn interface_at(&self, address: IpAddr) -> Option<&Found<NetworkInterface>> {
        match self.named(&address.to_string()) {
            [Named::Interface(only)] => Some(only),
            _ => None,
        }
    }

    /// The interfaces in a subnet, by id.
    pub fn interfaces_in(&self, subnet: &SubnetId) -> Vec<Found<NetworkInterface>> {
        self.referring(subnet.as_str(), |it| it.subnet_id == *subnet)
    }

    /// The interfaces with a security group, by id.
    pub fn interfaces_with(&self, group: &SecurityGroupId) -> Vec<Found<NetworkInterface>> {
        self.referring(group.as_str(), |it| it.groups.contains(group))
    }

    fn referring(
        &self,
        id: &str,
        is_meant: impl Fn(&NetworkInterface) -> bool,
    ) -> Vec<Found<NetworkInterface>> {
        let found = self.records.referrers::<NetworkInterface>(id).filter(|it| is_meant(it));
        let mut found: Vec<_> =
            found.filter_map(|it| self.interfaces.get(&it.id)).cloned().collect();
        found.sort_by(|one, other| one.record.id.cmp(&other.record.id));
        found
    }

    /// The public address of an interface's primary private one.
    pub fn public_address(&self, interface: &NetworkInterface) -> Option<Ipv4Addr> {
        public_ip::of_primary(&self.records, interface)
    }

    /// The instance that an interface is attached to.
    pub fn instance_of(&self, interface: &Found<NetworkInterface>) -> Option<&Arc<Instance>> {
        let attachment = interface.record.attachment.as_ref()?;
        self.records.find::<Instance>(&interface.scope, attachment.instance_id.as_str())
    }

    /// Whether packets may come from an interface: one of an instance that is on.
    pub fn sends(&self, interface: &Found<NetworkInterface>) -> bool {
        self.instance_of(interface).is_some_and(|instance| is_on(instance.state))
    }

    /// All interfaces that packets may come from, by name.
    pub fn senders(&self) -> Vec<Found<NetworkInterface>> {
        let mut found: Vec<_> =
            self.interfaces.values().filter(|it| self.sends(it)).cloned().collect();
        found.sort_by_cached_key(|it| (self.label(it), it.record.id.clone()));
        found
    }

    /// What to call an interface so that [`Self::named`] finds it and nothing else: the Name tag of
    /// its instance or its own, else the id.
    pub fn label(&self, interface: &Found<NetworkInterface>) -> String {
        let is_primary =
            interface.record.attachment.as_ref().is_some_and(|it| it.device_index == 0);
        let instance = self.instance_of(interface).filter(|_| is_primary);
        let names = [
            instance.and_then(|it| name_tag(&it.tags)),
            name_tag(&interface.record.tags),
            instance.map(|it| it.id.to_string()),
        ];
        let is_only = |name: &String| matches!(self.named(name), [one] if one.id() == interface.record.id.as_str());
        let label = names.into_iter().flatten().find(is_only);
        label.unwrap_or_else(|| interface.record.id.to_string())
    }

    /// A group's name, or its id where the name is not told apart by people.
    pub fn group_label(&self, id: &SecurityGroupId) -> String {
        match self.named(id.as_str()) {
            [Named::SecurityGroup(group)] => group.record.name.clone(),
            _ => id.to_string(),
        }
    }

    /// What a rule of a security group says, in a few words: `tcp 80 from 0.0.0.0/0`.
    pub fn rule(&self, id: &str) -> Option<String> {
        let rule = self.rules.get(id)?;
        let traffic = match rule.traffic {
            Traffic::All => "all traffic".to_owned(),
            Traffic::Ports { protocol, from, to } if from == to => format!("{protocol} {from}"),
            Traffic::Ports { protocol, from: 0, to: u16::MAX } => format!("all {protocol}"),
            Traffic::Ports { protocol, from, to } => format!("{protocol} {from}-{to}"),
            Traffic::Icmp { protocol, icmp_type: None, .. } => format!("all {protocol}"),
            Traffic::Icmp { protocol, icmp_type: Some(kind), .. } => {
                format!("{protocol} type {kind}")
            }
            Traffic::Protocol(protocol) => format!("protocol {protocol}"),
        };
        let peer = match &rule.peer {
            RulePeer::Ipv4(block) => block.to_string(),
            RulePeer::Ipv6(block) => block.to_string(),
            RulePeer::Group(group) => self.group_label(group),
            RulePeer::PrefixList(list) => list.to_string(),
        };
        let way = if rule.egress { "to" } else { "from" };
        Some(format!("{traffic} {way} {peer}"))
    }
}

fn name_tag(tags: &Tags) -> Option<String> {
    tags.get("Name").filter(|name| !name.is_empty()).cloned()
}
