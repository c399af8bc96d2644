//! One import: what it has of the data, what it found wrong, and what it makes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Display,
    str::FromStr,
};

use gureum_api::ec2;
use gureum_store::{Stored, Transaction};
use gureum_types::{
    PrefixListId, Tags,
    record::{
        Address, DhcpOptions, EgressOnlyInternetGateway, Instance, InternetGateway, NatGateway,
        NetworkAcl, NetworkInterface, PrefixList, RouteTable, SecurityGroup, SecurityGroupRule,
        Subnet, Volume, Vpc, VpcEndpoint, VpcPeeringConnection,
    },
};

use super::{
    ImportOptions, Imported, Refused, check, differences,
    document::Document,
    export,
    room::{self, Place},
};
use crate::call::Call;

/// Keys that a network cannot be without.
const NEEDED: &[(&str, &str)] = &[
    ("Vpcs", "describe-vpcs"),
    ("Subnets", "describe-subnets"),
    ("RouteTables", "describe-route-tables"),
    ("SecurityGroups", "describe-security-groups"),
    ("NetworkAcls", "describe-network-acls"),
    ("NetworkInterfaces", "describe-network-interfaces"),
];

/// Keys whose things decide about packets and are not made here.
const LOUD: &[&str] = &[
    "CarrierGateways",
    "ClientVpnEndpoints",
    "CoreNetworks",
    "CustomerGateways",
    "Firewalls",
    "LoadBalancerDescriptions",
    "LoadBalancers",
    "LocalGateways",
    "ResolverEndpoints",
    "ResolverRules",
    "TransitGatewayAttachments",
    "TransitGatewayRouteTables",
    "TransitGatewayVpcAttachments",
    "TransitGateways",
    "VpcBlockPublicAccessExclusions",
    "VpnConnections",
    "VpnGateways",
];

/// An import under way, in its transaction.
pub(super) struct Import<'a> {
    pub(super) call: &'a Call,
    pub(super) tx: &'a mut Transaction,
    pub(super) document: &'a Document,
    pub(super) place: &'a Place,
    pub(super) options: &'a ImportOptions,
    pub(super) report: Imported,
    /// What is wrong with the data.
    pub(super) problems: Vec<String>,
    /// Ids of what the data have and is not made: what refers to them is dead, not wrong.
    pub(super) dead: HashSet<String>,
    /// Prefix lists of services that have other ids here.
    pub(super) lists: HashMap<String, PrefixListId>,
    /// Routes and the like that the data themselves call blackholes, by table and destination.
    pub(super) blackholes: HashSet<(String, String)>,
    /// Public addresses of the data and what was given instead.
    pub(super) public: HashMap<std::net::Ipv4Addr, std::net::Ipv4Addr>,
    /// Ids of what this import makes.
    pub(super) made: HashSet<String>,
    taken: HashSet<String>,
    /// Ids of the data that are here already.
    here: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

impl<'a> Import<'a> {
    pub(super) fn new(
        call: &'a Call,
        tx: &'a mut Transaction,
        document: &'a Document,
        place: &'a Place,
        options: &'a ImportOptions,
    ) -> Self {
        let report = Imported {
            account: place.scope.account.clone(),
            region: place.scope.region.to_string(),
            ..Imported::default()
        };
        Self {
            call,
            tx,
            document,
            place,
            options,
            report,
            problems: Vec::new(),
            dead: HashSet::new(),
            lists: HashMap::new(),
            blackholes: HashSet::new(),
            public: HashMap::new(),
            made: HashSet::new(),
            taken: HashSet::new(),
            here: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<Imported, Refused> {
        let missing: Vec<_> =
            NEEDED.iter().filter(|(key, _)| !self.document.keys.contains(*key)).collect();
        if !missing.is_empty() {
            let how = missing.iter().map(|(key, call)| format!("{key} (aws ec2 {call})"));
            let all: Vec<_> = how.collect();
            return Err(Refused(vec![format!("the data have no {}", all.join(", "))]));
        }
        match self.options.replace {
            true => room::clear(self.call, self.tx),
            false => room::make_way(self.call, self.tx),
        }
        self.take_note();
        // What is referred to comes first, so that it is known whether it is there.
        self.dhcp_options();
        self.prefix_lists();
        self.vpcs();
        self.subnets();
        self.internet_gateways();
        self.egress_only_internet_gateways();
        self.security_groups();
        self.network_acls();
        self.addresses();
        self.instances();
        self.network_interfaces();
        self.associations();
        self.nat_gateways();
        self.vpc_endpoints();
        self.peering_connections();
        self.route_tables();
        self.security_group_rules();
        self.volumes();
        room::open(self.call, self.tx);
        check::all(&mut self);
        if self.options.strict {
            self.problems.append(&mut self.report.unsupported);
        }
        if let Some(first) = self.here.first() {
            // What else is wrong with what is here follows from it.
            return Err(Refused(vec![format!(
                "{} of the ids are here already, as {first} (--replace takes away what the account \
                 has in the region)",
                self.here.len()
            )]));
        }
        if !self.problems.is_empty() {
            return Err(Refused(self.problems));
        }
        self.report.counts =
            self.counts.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
        let shown = export::document(self.call, self.tx)?;
        self.report.differences = differences::of(self.document, &shown);
        Ok(self.report)
    }

    /// What the data have beside what is read here.
    fn take_note(&mut self) {
        self.taken = ids(self.tx);
        for (key, count) in &self.document.others {
            match LOUD.contains(&key.as_str()) {
                true if *count == 0 => {}
                true => self.report.unsupported.push(format!(
                    "{count} {key}: nothing here is like them, and they decide about packets"
                )),
                false => self.report.notes.push(format!("{key} ({count}) are not read")),
            }
        }
        if self.place.owners.len() > 1 {
            let owners: Vec<_> = self.place.owners.iter().map(String::as_str).collect();
            self.report.replaced.push(format!(
                "what belongs to the accounts {} belongs to {}",
                owners.join(", "),
                self.place.scope.account
            ));
        }
    }

    pub(super) fn unsupported(&mut self, sentence: impl Into<String>) {
        self.report.unsupported.push(sentence.into());
    }

    pub(super) fn replaced(&mut self, sentence: impl Into<String>) {
        self.report.replaced.push(sentence.into());
    }

    pub(super) fn note(&mut self, sentence: impl Into<String>) {
        self.report.notes.push(sentence.into());
    }

    pub(super) fn problem(&mut self, of: impl Display, what: impl Display) {
        self.problems.push(format!("{of}: {what}"));
    }

    /// A member that must be there and be of its kind.
    pub(super) fn need<T: FromStr>(
        &mut self,
        of: &str,
        member: &str,
        value: &Option<String>,
    ) -> Option<T> {
        match value.as_deref().map(str::parse) {
            Some(Ok(value)) => Some(value),
            Some(Err(_)) => {
                let value = value.as_deref().unwrap_or_default();
                self.problem(of, format!("{member} \"{value}\" is none"));
                None
            }
            None => {
                self.problem(of, format!("it has no {member}"));
                None
            }
        }
    }

    /// As [`Self::need`], of a member that may be absent.
    pub(super) fn may<T: FromStr>(
        &mut self,
        of: &str,
        member: &str,
        value: &Option<String>,
    ) -> Option<T> {
        let value = value.as_deref().filter(|it| !it.is_empty()).map(str::to_owned);
        value.as_ref()?;
        self.need(of, member, &value)
    }

    /// Puts a record, unless its id is taken.
    pub(super) fn put<T: Stored>(&mut self, key: &'static str, record: T) {
        let id = record.id().into_owned();
        if self.take(&id) {
            self.made.insert(id);
            *self.counts.entry(key).or_default() += 1;
            self.tx.put(&self.call.scope, record);
        }
    }

    /// Takes an id; whether it was free.
    fn take(&mut self, id: &str) -> bool {
        let is_new = self.taken.insert(id.to_owned());
        if !is_new && self.made.contains(id) {
            self.problem(id, "the data have it twice");
        } else if !is_new {
            self.here.push(id.to_owned());
        }
        is_new
    }

    /// Whether an id is that of something that was here before.
    pub(super) fn is_here(&self, id: &str) -> bool {
        self.taken.contains(id) && !self.made.contains(id)
    }

    /// Counts what is no record of the account.
    pub(super) fn count(&mut self, key: &'static str) {
        *self.counts.entry(key).or_default() += 1;
    }

    /// Whether a record of the account is there now.
    pub(super) fn has<T: Stored>(&self, id: &str) -> bool {
        self.tx.find::<T>(&self.call.scope, id).is_some()
    }
}

/// All ids of what a document may have, of all accounts and regions.
fn ids(tx: &Transaction) -> HashSet<String> {
    let mut found = HashSet::new();
    macro_rules! of {
        ($($kind:ident)*) => {$(
            found.extend(tx.everywhere::<$kind>().map(|(key, _)| key.id.to_string()));
        )*};
    }
    of! {
        Address DhcpOptions EgressOnlyInternetGateway Instance InternetGateway NatGateway
        NetworkAcl NetworkInterface PrefixList RouteTable SecurityGroup SecurityGroupRule Subnet
        Volume Vpc VpcEndpoint VpcPeeringConnection
    }
    found
}

pub(super) fn tags(tags: &[ec2::Tag]) -> Tags {
    let pair = |tag: &ec2::Tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default()));
    tags.iter().filter_map(pair).collect()
}

/// The id of an element for sentences, or its place in the data.
pub(super) fn name(id: &Option<String>, key: &str, number: usize) -> String {
    id.clone().unwrap_or_else(|| format!("{key}[{number}]"))
}
