//! The kinds of records: for each, its name, its id, and what it refers to.
//!
//! References make one index for all kinds: who refers to this subnet, which rules has this
//! group, which interface has this address of this VPC. Dependency checks and lookups by
//! anything but the id go through it, so none of them reads a whole table.

use std::{borrow::Cow, net::IpAddr};

use gureum_types::{
    PortIndex, VpcId,
    record::{
        Address, ClientToken, Cursors, DhcpOptions, EgressOnlyInternetGateway, Instance,
        InstanceState, InternetGateway, KeyPair, NatGateway, NatGatewayState, NetworkAcl,
        NetworkInterface, PeeringStatus, PrefixList, PublicAddress, RegionState, Route,
        RouteDestination, RouteTable, RouteTarget, RulePeer, SecurityGroup, SecurityGroupRule,
        Subnet, Volume, Vpc, VpcPeeringConnection,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::snapshot::Table;

/// A kind of record that the store keeps.
pub trait Stored:
    Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + Sized + 'static
{
    /// The name of the kind on disk.
    const KIND: &'static str;

    /// Whether records of the kind belong to an account in a region, or to the machine.
    const PLACE: Place = Place::Scope;

    /// The id, unique among the records of the kind in the same place.
    fn id(&self) -> Cow<'_, str>;

    /// Calls `refer` with everything that this record shall be found by.
    fn references(&self, refer: &mut dyn FnMut(&str));

    /// The table of the kind.
    #[doc(hidden)]
    fn table(tables: &Tables) -> &Table<Self>;

    /// The table of the kind.
    #[doc(hidden)]
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
}

/// Where records of a kind belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To an account in a region.
    Scope,
    /// To the machine, whatever the account.
    Machine,
}

/// The reference by which the interface of a port is found.
pub(crate) fn port_reference(port: PortIndex) -> String {
    format!("port/{port}")
}

/// The reference by which the interface with a private address is found.
pub(crate) fn private_reference(vpc: &VpcId, address: IpAddr) -> String {
    format!("{vpc}/{address}")
}

/// The reference by which a key pair is found by its name.
pub(crate) fn key_name_reference(name: &str) -> String {
    format!("key-name/{name}")
}

/// The reference by which the holder of a public address is found.
pub(crate) fn public_reference(address: std::net::Ipv4Addr) -> String {
    format!("public/{address}")
}

macro_rules! kinds {
    ($($kind:ident $table:ident $name:literal $place:ident
        |$record:ident| $id:expr, |$refer:ident| $references:expr;)*) => {
        /// All records, one immutable map a kind.
        #[derive(Clone, Debug, Default)]
        pub struct Tables {
            $(pub(crate) $table: Table<$kind>,)*
        }

        impl Tables {
            /// Reads one record from disk into the table of its kind.
            pub(crate) fn load(
                &mut self,
                row: &crate::Row,
                index: &mut crate::snapshot::References,
            ) -> Result<(), crate::StoreError> {
                match row.kind.as_str() {
                    $($name => crate::snapshot::load::<$kind>(self, row, index),)*
                    other => Err(crate::StoreError::Damaged(format!("unknown kind {other}"))),
                }
            }

            /// All records as a backend writes them.
            pub(crate) fn rows(&self) -> Result<Vec<crate::Row>, crate::StoreError> {
                let mut rows = Vec::new();
                $(crate::snapshot::dump::<$kind>(self, &mut rows)?;)*
                Ok(rows)
            }

            /// The keys of all records that belong to an account, as changes that delete them.
            pub(crate) fn of_account(
                &self,
                account: &gureum_types::AccountId,
            ) -> Vec<(crate::Key, fn(&mut crate::Transaction, &crate::Key))> {
                let mut found: Vec<(crate::Key, fn(&mut crate::Transaction, &crate::Key))> =
                    Vec::new();
                $(for key in self.$table.keys() {
                    if key.scope.as_ref().is_some_and(|scope| scope.account == *account) {
                        found.push((key.clone(), |tx, key| tx.remove_key::<$kind>(key)));
                    }
                })*
                found
            }
        }

        $(impl Stored for $kind {
            const KIND: &'static str = $name;
            const PLACE: Place = Place::$place;

            fn id(&self) -> Cow<'_, str> {
                let $record = self;
                $id
            }

            fn references(&self, $refer: &mut dyn FnMut(&str)) {
                let $record = self;
                let _ = ($record, &$refer);
                $references
            }

            fn table(tables: &Tables) -> &Table<Self> {
                &tables.$table
            }

            fn table_mut(tables: &mut Tables) -> &mut Table<Self> {
                &mut tables.$table
            }
        })*
    };
}

fn of<T: AsRef<str> + ?Sized>(id: &T) -> Cow<'_, str> {
    Cow::Borrowed(id.as_ref())
}

fn route_references(route: &Route, refer: &mut dyn FnMut(&str)) {
    match &route.target {
        RouteTarget::Local => {}
        RouteTarget::InternetGateway(id) => refer(id.as_str()),
        RouteTarget::NetworkInterface(id) => refer(id.as_str()),
        RouteTarget::NatGateway(id) => refer(id.as_str()),
        RouteTarget::EgressOnlyInternetGateway(id) => refer(id.as_str()),
        RouteTarget::VpcPeeringConnection(id) => refer(id.as_str()),
    }
    if let RouteDestination::PrefixList(id) = &route.destination {
        refer(id.as_str());
    }
}

kinds! {
    Address addresses "address" Scope |address| of(&address.allocation_id), |refer| {
        refer(&public_reference(address.public_ip));
        if let Some(association) = &address.association {
            refer(association.id.as_str());
            refer(association.network_interface_id.as_str());
        }
    };
    ClientToken client_tokens "client-token" Scope
        |token| Cow::Owned(format!("{}/{}", token.operation, token.token)), |refer| {};
    Cursors cursors "cursors" Machine |cursors| {
        let _ = cursors;
        Cow::Borrowed("cursors")
    }, |refer| {};
    DhcpOptions dhcp_options "dhcp-options" Scope |options| of(&options.id), |refer| {};
    EgressOnlyInternetGateway egress_only_internet_gateways "egress-only-internet-gateway" Scope
        |gateway| of(&gateway.id), |refer| {
        refer(gateway.vpc_id.as_str());
    };
    Instance instances "instance" Scope |instance| of(&instance.id), |refer| {
        // A terminated instance is only shown: nothing hangs on it any more.
        if instance.state != InstanceState::Terminated {
            refer(instance.vpc_id.as_str());
            refer(instance.subnet_id.as_str());
        }
        refer(instance.reservation_id.as_str());
        // So that one is found when only its id is known, not whose it is.
        refer(instance.id.as_str());
    };
    InternetGateway internet_gateways "internet-gateway" Scope |gateway| of(&gateway.id), |refer| {
        if let Some(vpc) = &gateway.vpc_id {
            refer(vpc.as_str());
        }
    };
    KeyPair key_pairs "key-pair" Scope |key| of(&key.id), |refer| {
        refer(&key_name_reference(&key.name));
    };
    NatGateway nat_gateways "nat-gateway" Scope |gateway| of(&gateway.id), |refer| {
        // What failed or was deleted is only shown: nothing hangs on it any more.
        if !matches!(gateway.state, NatGatewayState::Failed | NatGatewayState::Deleted) {
            refer(gateway.vpc_id.as_str());
            refer(gateway.subnet_id.as_str());
            if let Some(interface) = &gateway.network_interface_id {
                refer(interface.as_str());
            }
            for address in &gateway.addresses {
                if let Some(allocation) = &address.allocation_id {
                    refer(allocation.as_str());
                }
            }
        }
    };
    NetworkAcl network_acls "network-acl" Scope |acl| of(&acl.id), |refer| {
        refer(acl.vpc_id.as_str());
        for association in &acl.associations {
            refer(association.id.as_str());
            refer(association.subnet_id.as_str());
        }
    };
    NetworkInterface network_interfaces "network-interface" Scope |eni| of(&eni.id), |refer| {
        refer(eni.vpc_id.as_str());
        refer(eni.subnet_id.as_str());
        refer(&port_reference(eni.port));
        for address in &eni.private_addresses {
            refer(&private_reference(&eni.vpc_id, (*address).into()));
        }
        for address in &eni.ipv6_addresses {
            refer(&private_reference(&eni.vpc_id, (*address).into()));
        }
        for group in &eni.groups {
            refer(group.as_str());
        }
        if let Some(attachment) = &eni.attachment {
            refer(attachment.id.as_str());
            refer(attachment.instance_id.as_str());
        }
        if let Some(address) = eni.auto_public_ip {
            refer(&public_reference(address));
        }
    };
    PrefixList prefix_lists "prefix-list" Scope |list| of(&list.id), |refer| {};
    PublicAddress public_addresses "public-address" Machine
        |held| Cow::Owned(held.address.to_string()), |refer| {};
    RegionState region_states "region-state" Scope |state| {
        let _ = state;
        Cow::Borrowed("region")
    }, |refer| {
        refer(state.default_dhcp_options.as_str());
    };
    RouteTable route_tables "route-table" Scope |table| of(&table.id), |refer| {
        refer(table.vpc_id.as_str());
        for association in &table.associations {
            refer(association.id.as_str());
            if let Some(subnet) = &association.subnet_id {
                refer(subnet.as_str());
            }
            if let Some(gateway) = &association.gateway_id {
                refer(gateway.as_str());
            }
        }
        for route in &table.routes {
            route_references(route, refer);
        }
    };
    SecurityGroup security_groups "security-group" Scope |group| of(&group.id), |refer| {
        refer(group.vpc_id.as_str());
    };
    SecurityGroupRule security_group_rules "security-group-rule" Scope |rule| of(&rule.id),
        |refer| {
        refer(rule.group_id.as_str());
        match &rule.peer {
            RulePeer::Group(group) if *group != rule.group_id => refer(group.as_str()),
            RulePeer::PrefixList(list) => refer(list.as_str()),
            RulePeer::Group(_) | RulePeer::Ipv4(_) | RulePeer::Ipv6(_) => {}
        }
    };
    Subnet subnets "subnet" Scope |subnet| of(&subnet.id), |refer| {
        refer(subnet.vpc_id.as_str());
        if let Some(association) = &subnet.ipv6_cidr_association {
            refer(association.id.as_str());
        }
    };
    Volume volumes "volume" Scope |volume| of(&volume.id), |refer| {
        if let Some(attachment) = &volume.attachment {
            refer(attachment.instance_id.as_str());
        }
    };
    Vpc vpcs "vpc" Scope |vpc| of(&vpc.id), |refer| {
        if let Some(options) = &vpc.dhcp_options {
            refer(options.as_str());
        }
        for association in &vpc.cidr_associations {
            refer(association.id.as_str());
        }
        for association in &vpc.ipv6_cidr_associations {
            refer(association.id.as_str());
        }
    };
    VpcPeeringConnection vpc_peering_connections "vpc-peering-connection" Machine
        |peering| of(&peering.id), |refer| {
        if matches!(peering.status, PeeringStatus::PendingAcceptance | PeeringStatus::Active) {
            refer(peering.requester.vpc_id.as_str());
            refer(peering.accepter.vpc_id.as_str());
        }
    };
}
