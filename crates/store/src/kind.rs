//! The kinds of records: for each, its name, its id, and what it refers to.
//!
//! References make one index for all kinds: who refers to this subnet, which rules has this
//! group, which interface has this address of this VPC. Dependency checks and lookups by
//! anything but the id go through it, so none of them reads a whole table.

use std::{borrow::Cow, net::IpAddr};

use gureum_types::{
    PortIndex, Tags, VpcId,
    record::{
        AccessKey, AccountAlias, Address, BlockPublicAccess, Bucket, ClientToken, Command, Cursors,
        CustomerGateway, DepartedInterface, DhcpOptions, Document, EgressOnlyInternetGateway,
        Excluded, FlowLog, FlowLogDestination, Group, Instance, InstanceProfile, InstanceState,
        InternetGateway, KeyPair, LaunchTemplate, LogGroup, LogResourcePolicy, LogStream,
        ManagedInstance, ManagedPolicy, MetricFilter, NatGateway, NatGatewayState, NetworkAcl,
        NetworkInsightsAccessScope, NetworkInsightsAccessScopeAnalysis, NetworkInsightsAnalysis,
        NetworkInsightsPath, NetworkInterface, NetworkInterfacePermission, OwnImage, Parameter,
        PeeringStatus, Permissions, PlacementGroup, PrefixList, PublicAccessExclusion,
        PublicAddress, RegionSettings, RegionState, Role, Route, RouteDestination, RouteTable,
        RouteTarget, RulePeer, SecurityGroup, SecurityGroupRule, Session, SessionCredential,
        SessionPrincipal, Subnet, SubnetCidrReservation, TransitGateway, TransitGatewayRouteTable,
        TransitGatewayVpcAttachment, User, Volume, VolumeSnapshot, Vpc, VpcEndpoint,
        VpcEndpointKind, VpcEndpointService, VpcEndpointState, VpcPeeringConnection, VpnConnection,
        VpnGateway, VpnTarget,
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

    /// The subnet in which the record holds private IPv4 addresses, and how many.
    fn addresses_held(&self) -> Option<(&str, u32)>;

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

/// The reference by which a key pair and the instances with it are found by its name.
pub fn key_name_reference(name: &str) -> String {
    format!("key-name/{name}")
}

/// The reference by which a placement group is found by its name.
pub(crate) fn placement_group_reference(name: &str) -> String {
    format!("placement-group/{name}")
}

/// The reference by which the holder of a public address is found.
pub fn public_reference(address: std::net::Ipv4Addr) -> String {
    format!("public/{address}")
}

/// The reference by which a bucket is found by its name.
pub(crate) fn bucket_reference(name: &str) -> String {
    format!("bucket/{name}")
}

/// The reference by which what belongs to a log group is found by the group's name.
pub(crate) fn log_group_reference(name: &str) -> String {
    format!("log-group/{name}")
}

macro_rules! kinds {
    ($($kind:ident $table:ident $name:literal $place:ident
        |$record:ident| $id:expr, |$refer:ident| $references:expr $(, holds $held:expr)?;)*) => {
        /// All records, one immutable map a kind.
        #[derive(Clone, Debug, Default)]
        pub struct Tables {
            $(pub(crate) $table: Table<$kind>,)*
        }

        impl Tables {
            /// Gives out all records as a backend keeps them.
            pub(crate) fn each_row(
                &self,
                take: &mut dyn FnMut(crate::Row) -> Result<(), crate::StoreError>,
            ) -> Result<(), crate::StoreError> {
                $(crate::snapshot::dump::<$kind>(self, take)?;)*
                Ok(())
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

        impl crate::Transaction {
            /// Makes all records those of another snapshot, of all accounts and the machine.
            pub fn replace_with(&mut self, other: &crate::Snapshot) {
                $(self.replace_kind::<$kind>(other);)*
            }
        }

        impl crate::Snapshot {
            /// Takes in one record that a backend holds.
            pub(crate) fn load(
                &mut self,
                kind: &str,
                key: &str,
                value: &[u8],
            ) -> Result<(), crate::StoreError> {
                match kind {
                    $($name => self.load_one::<$kind>(key, value),)*
                    other => Err(crate::StoreError::Damaged(format!("unknown kind {other}"))),
                }
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

            fn addresses_held(&self) -> Option<(&str, u32)> {
                let $record = self;
                let _ = $record;
                let held: Option<(&str, u32)> = None;
                $(let held = held.or($held);)?
                held
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

/// The reference by which a role, user, group, policy or instance profile is found by its name,
/// which has no case.
pub(crate) fn iam_name_reference(kind: &str, name: &str) -> String {
    format!("iam/{kind}/{}", name.to_ascii_lowercase())
}

/// The reference by which a security group is found by its name, which has no case (SG-9).
pub fn group_name_reference(name: &str) -> String {
    format!("group-name/{}", name.to_ascii_lowercase())
}

/// The reference by which what has a tag is found.
pub fn tag_reference(key: &str, value: &str) -> String {
    format!("tag/{key}={value}")
}

fn tag_references(tags: &Tags, refer: &mut dyn FnMut(&str)) {
    for (key, value) in tags {
        refer(&tag_reference(key, value));
    }
}

fn permission_references(permissions: &Permissions, refer: &mut dyn FnMut(&str)) {
    for policy in &permissions.attached {
        refer(policy);
    }
}

fn route_references(route: &Route, refer: &mut dyn FnMut(&str)) {
    match &route.target {
        RouteTarget::Local => {}
        RouteTarget::InternetGateway(id) => refer(id.as_str()),
        RouteTarget::NetworkInterface(id) => refer(id.as_str()),
        RouteTarget::NatGateway(id) => refer(id.as_str()),
        RouteTarget::EgressOnlyInternetGateway(id) => refer(id.as_str()),
        RouteTarget::VpcPeeringConnection(id) => refer(id.as_str()),
        RouteTarget::VpnGateway(id) => refer(id.as_str()),
        RouteTarget::TransitGateway(id) => refer(id.as_str()),
        RouteTarget::VpcEndpoint(id) => refer(id.as_str()),
    }
    if let RouteDestination::PrefixList(id) = &route.destination {
        refer(id.as_str());
    }
}

kinds! {
    AccessKey access_keys "access-key" Scope |key| of(&key.id), |refer| {
        refer(&iam_name_reference("user", &key.user));
        // So that one is found when only its id is known, not whose it is.
        refer(&key.id);
    };
    AccountAlias account_aliases "account-alias" Scope |it| of(&it.alias), |refer| {};
    Address addresses "address" Scope |address| of(&address.allocation_id), |refer| {
        tag_references(&address.tags, refer);
        refer(&public_reference(address.public_ip));
        if let Some(association) = &address.association {
            refer(association.id.as_str());
            refer(association.network_interface_id.as_str());
        }
    };
    BlockPublicAccess block_public_access "block-public-access" Scope |block| {
        let _ = block;
        Cow::Borrowed("block-public-access")
    }, |refer| {};
    Bucket buckets "bucket" Scope |bucket| of(&bucket.name), |refer| {
        // So that one is found when only its name is known, not whose it is.
        refer(&bucket_reference(&bucket.name));
    };
    ClientToken client_tokens "client-token" Scope
        |token| Cow::Owned(format!("{}/{}", token.operation, token.token)), |refer| {};
    Command commands "command" Scope |command| of(&command.id), |refer| {
        // So that one is found when only its id is known, not whose it is.
        refer(&command.id);
    };
    Cursors cursors "cursors" Machine |cursors| {
        let _ = cursors;
        Cow::Borrowed("cursors")
    }, |refer| {};
    CustomerGateway customer_gateways "customer-gateway" Scope |gateway| of(&gateway.id),
        |refer| {};
    DepartedInterface departed_interfaces "departed-interface" Scope |it| of(&it.interface.id),
        |refer| {
        refer(it.interface.vpc_id.as_str());
        refer(it.interface.subnet_id.as_str());
    };
    DhcpOptions dhcp_options "dhcp-options" Scope |options| of(&options.id), |refer| {
        tag_references(&options.tags, refer);
    };
    Document documents "document" Scope |document| of(&document.name), |refer| {};
    EgressOnlyInternetGateway egress_only_internet_gateways "egress-only-internet-gateway" Scope
        |gateway| of(&gateway.id), |refer| {
        tag_references(&gateway.tags, refer);
        refer(gateway.vpc_id.as_str());
    };
    FlowLog flow_logs "flow-log" Scope |log| of(&log.id), |refer| {
        refer(&log.resource_id);
        if let FlowLogDestination::LogGroup(name) = &log.destination {
            refer(&log_group_reference(name));
        }
    };
    Group iam_groups "iam-group" Scope |group| Cow::Owned(group.name.to_ascii_lowercase()),
        |refer| {
        permission_references(&group.permissions, refer);
    };
    Instance instances "instance" Scope |instance| of(&instance.id), |refer| {
        tag_references(&instance.tags, refer);
        if let Some(name) = &instance.key_name {
            refer(&key_name_reference(name));
        }
        // A terminated instance is only shown: nothing hangs on it any more.
        if instance.state != InstanceState::Terminated {
            refer(instance.vpc_id.as_str());
            refer(instance.subnet_id.as_str());
            if let Some(placed) = &instance.placed {
                refer(placed.group_id.as_str());
            }
        }
        refer(instance.reservation_id.as_str());
        // So that one is found when only its id is known, not whose it is.
        refer(instance.id.as_str());
        if let Some(association) = &instance.iam_instance_profile {
            refer(association.id.as_str());
            refer(&association.arn);
            refer(&association.profile_id);
        }
    };
    InstanceProfile instance_profiles "instance-profile" Scope
        |profile| Cow::Owned(profile.name.to_ascii_lowercase()), |refer| {
        if let Some(role) = &profile.role {
            refer(&iam_name_reference("role", role));
        }
        refer(&profile.id);
    };
    InternetGateway internet_gateways "internet-gateway" Scope |gateway| of(&gateway.id), |refer| {
        tag_references(&gateway.tags, refer);
        if let Some(vpc) = &gateway.vpc_id {
            refer(vpc.as_str());
        }
    };
    KeyPair key_pairs "key-pair" Scope |key| of(&key.id), |refer| {
        tag_references(&key.tags, refer);
        refer(&key_name_reference(&key.name));
    };
    LaunchTemplate launch_templates "launch-template" Scope |template| of(&template.id), |refer| {};
    LogGroup log_groups "log-group" Scope |group| of(&group.name), |refer| {};
    LogResourcePolicy log_resource_policies "log-resource-policy" Scope
        |policy| of(&policy.name), |refer| {};
    LogStream log_streams "log-stream" Scope
        // Neither name has a colon.
        |stream| Cow::Owned(format!("{}:{}", stream.group, stream.name)), |refer| {
        refer(&log_group_reference(&stream.group));
    };
    ManagedInstance managed_instances "managed-instance" Scope |managed| of(&managed.instance_id),
        |refer| {
        refer(managed.instance_id.as_str());
    };
    ManagedPolicy managed_policies "managed-policy" Scope
        |policy| Cow::Owned(policy.name.to_ascii_lowercase()), |refer| {};
    MetricFilter metric_filters "metric-filter" Scope
        |filter| Cow::Owned(format!("{}:{}", filter.group, filter.name)), |refer| {
        refer(&log_group_reference(&filter.group));
    };
    NatGateway nat_gateways "nat-gateway" Scope |gateway| of(&gateway.id), |refer| {
        tag_references(&gateway.tags, refer);
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
        tag_references(&acl.tags, refer);
        refer(acl.vpc_id.as_str());
        for association in &acl.associations {
            refer(association.id.as_str());
            refer(association.subnet_id.as_str());
        }
    };
    NetworkInsightsAccessScope network_insights_access_scopes "network-insights-access-scope" Scope
        |scope| of(&scope.id), |refer| {
        tag_references(&scope.tags, refer);
    };
    NetworkInsightsAccessScopeAnalysis network_insights_access_scope_analyses
        "network-insights-access-scope-analysis" Scope |analysis| of(&analysis.id), |refer| {
        tag_references(&analysis.tags, refer);
        refer(analysis.scope_id.as_str());
    };
    NetworkInsightsAnalysis network_insights_analyses "network-insights-analysis" Scope
        |analysis| of(&analysis.id), |refer| {
        tag_references(&analysis.tags, refer);
        refer(analysis.path_id.as_str());
    };
    NetworkInsightsPath network_insights_paths "network-insights-path" Scope |path| of(&path.id),
        |refer| {
        tag_references(&path.tags, refer);
    };
    NetworkInterface network_interfaces "network-interface" Scope |eni| of(&eni.id), |refer| {
        tag_references(&eni.tags, refer);
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
    }, holds {
        let count = u32::try_from(eni.private_addresses.len()).unwrap_or(u32::MAX);
        (count > 0).then_some((eni.subnet_id.as_str(), count))
    };
    NetworkInterfacePermission network_interface_permissions "network-interface-permission" Scope
        |permission| of(&permission.id), |refer| {
        refer(permission.network_interface_id.as_str());
    };
    OwnImage own_images "own-image" Scope |image| of(&image.id), |refer| {
        for snapshot in image.volumes.iter().filter_map(|volume| volume.snapshot_id.as_ref()) {
            refer(snapshot.as_str());
        }
    };
    Parameter parameters "parameter" Scope |parameter| of(&parameter.name), |refer| {};
    PlacementGroup placement_groups "placement-group" Scope |group| of(&group.id), |refer| {
        refer(&placement_group_reference(&group.name));
    };
    PrefixList prefix_lists "prefix-list" Scope |list| of(&list.id), |refer| {
        tag_references(&list.tags, refer);
    };
    PublicAccessExclusion public_access_exclusions "public-access-exclusion" Scope
        |exclusion| of(&exclusion.id), |refer| {
        // What was deleted is only shown: nothing hangs on it any more.
        if exclusion.deleted.is_none() {
            match &exclusion.excluded {
                Excluded::Vpc(id) => refer(id.as_str()),
                Excluded::Subnet(id) => refer(id.as_str()),
            }
        }
    };
    PublicAddress public_addresses "public-address" Machine
        |held| Cow::Owned(held.address.to_string()), |refer| {};
    RegionState region_states "region-state" Scope |state| {
        let _ = state;
        Cow::Borrowed("region")
    }, |refer| {
        refer(state.default_dhcp_options.as_str());
    };
    RegionSettings region_settings "region-settings" Scope |settings| {
        let _ = settings;
        Cow::Borrowed("settings")
    }, |refer| {};
    Role roles "role" Scope |role| Cow::Owned(role.name.to_ascii_lowercase()), |refer| {
        permission_references(&role.permissions, refer);
        if let Some(policy) = &role.permissions_boundary {
            refer(policy);
        }
    };
    RouteTable route_tables "route-table" Scope |table| of(&table.id), |refer| {
        tag_references(&table.tags, refer);
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
        for gateway in &table.propagating_gateways {
            refer(gateway.as_str());
        }
    };
    SecurityGroup security_groups "security-group" Scope |group| of(&group.id), |refer| {
        tag_references(&group.tags, refer);
        refer(&group_name_reference(&group.name));
        refer(group.vpc_id.as_str());
    };
    SecurityGroupRule security_group_rules "security-group-rule" Scope |rule| of(&rule.id),
        |refer| {
        tag_references(&rule.tags, refer);
        refer(rule.group_id.as_str());
        match &rule.peer {
            RulePeer::Group(group) if *group != rule.group_id => refer(group.as_str()),
            RulePeer::PrefixList(list) => refer(list.as_str()),
            RulePeer::Group(_) | RulePeer::Ipv4(_) | RulePeer::Ipv6(_) => {}
        }
    };
    Session sessions "session" Scope |session| Cow::Borrowed(session.id.as_str()), |refer| {
        // So that one is found when only its id is known, not whose it is.
        refer(session.id.as_str());
    };
    SessionCredential session_credentials "session-credential" Scope
        |credential| of(&credential.access_key_id), |refer| {
        match &credential.principal {
            SessionPrincipal::Role { role, instance, .. } => {
                refer(&iam_name_reference("role", role));
                if let Some(instance) = instance {
                    refer(instance.as_str());
                }
            }
            SessionPrincipal::Instance(instance) => refer(instance.as_str()),
            SessionPrincipal::User(name) | SessionPrincipal::Federated { user: Some(name), .. } => {
                refer(&iam_name_reference("user", name));
            }
            SessionPrincipal::Root | SessionPrincipal::Federated { user: None, .. } => {}
        }
        // So that one is found when only its id is known, not whose it is.
        refer(&credential.access_key_id);
    };
    SubnetCidrReservation subnet_cidr_reservations "subnet-cidr-reservation" Scope
        |reservation| of(&reservation.id), |refer| {
        refer(reservation.subnet_id.as_str());
    };
    Subnet subnets "subnet" Scope |subnet| of(&subnet.id), |refer| {
        tag_references(&subnet.tags, refer);
        refer(subnet.vpc_id.as_str());
        if let Some(association) = &subnet.ipv6_cidr_association {
            refer(association.id.as_str());
        }
    };
    TransitGateway transit_gateways "transit-gateway" Scope |gateway| of(&gateway.id), |refer| {};
    TransitGatewayRouteTable transit_gateway_route_tables "transit-gateway-route-table" Scope
        |table| of(&table.id), |refer| {
        if table.deleted.is_none() {
            refer(table.transit_gateway_id.as_str());
            for attachment in table.associations.iter().chain(&table.propagations) {
                refer(attachment.as_str());
            }
        }
    };
    TransitGatewayVpcAttachment transit_gateway_vpc_attachments "transit-gateway-vpc-attachment"
        Scope |attachment| of(&attachment.id), |refer| {
        if attachment.deleted.is_none() {
            refer(attachment.transit_gateway_id.as_str());
            refer(attachment.vpc_id.as_str());
            for subnet in &attachment.subnet_ids {
                refer(subnet.as_str());
            }
        }
    };
    User users "user" Scope |user| Cow::Owned(user.name.to_ascii_lowercase()), |refer| {
        permission_references(&user.permissions, refer);
        if let Some(policy) = &user.permissions_boundary {
            refer(policy);
        }
        for group in &user.groups {
            refer(&iam_name_reference("group", group));
        }
    };
    Volume volumes "volume" Scope |volume| of(&volume.id), |refer| {
        tag_references(&volume.tags, refer);
        if let Some(attachment) = &volume.attachment {
            refer(attachment.instance_id.as_str());
        }
    };
    VolumeSnapshot volume_snapshots "volume-snapshot" Scope |snapshot| of(&snapshot.id), |refer| {};
    Vpc vpcs "vpc" Scope |vpc| of(&vpc.id), |refer| {
        tag_references(&vpc.tags, refer);
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
    VpcEndpoint vpc_endpoints "vpc-endpoint" Scope |endpoint| of(&endpoint.id), |refer| {
        // One that was deleted is only shown: nothing hangs on it any more.
        if endpoint.state != VpcEndpointState::Deleted {
            refer(endpoint.vpc_id.as_str());
            match &endpoint.kind {
                VpcEndpointKind::Interface(interface) => {
                    for id in &interface.interfaces {
                        refer(id.as_str());
                    }
                    for group in &interface.groups {
                        refer(group.as_str());
                    }
                }
                VpcEndpointKind::Gateway { port } => refer(&port_reference(*port)),
            }
        }
        // So that one is found when only its id is known, not whose it is.
        refer(endpoint.id.as_str());
        // And that the owner of a service finds its endpoints.
        if let Some(service) = endpoint.own_service()
            && endpoint.state != VpcEndpointState::Deleted
        {
            refer(service);
        }
        tag_references(&endpoint.tags, refer);
    };
    VpcEndpointService vpc_endpoint_services "vpc-endpoint-service" Scope
        |service| of(&service.id), |refer| {
        // So that one is found when only its id is known, not whose it is.
        refer(service.id.as_str());
    };
    VpcPeeringConnection vpc_peering_connections "vpc-peering-connection" Machine
        |peering| of(&peering.id), |refer| {
        if matches!(peering.status, PeeringStatus::PendingAcceptance | PeeringStatus::Active) {
            refer(peering.requester.vpc_id.as_str());
            refer(peering.accepter.vpc_id.as_str());
        }
    };
    VpnConnection vpn_connections "vpn-connection" Scope |connection| of(&connection.id), |refer| {
        // One that was deleted is only shown: nothing hangs on it any more.
        if connection.deleted.is_none() {
            refer(connection.customer_gateway_id.as_str());
            match &connection.target {
                VpnTarget::VpnGateway(gateway) => refer(gateway.as_str()),
                VpnTarget::TransitGateway(gateway, attachment) => {
                    refer(gateway.as_str());
                    refer(attachment.as_str());
                }
                VpnTarget::None => {}
            }
            if let Some(attachment) = &connection.transport_attachment {
                refer(attachment.as_str());
            }
        }
    };
    VpnGateway vpn_gateways "vpn-gateway" Scope |gateway| of(&gateway.id), |refer| {
        if let Some(vpc) = &gateway.vpc_id {
            refer(vpc.as_str());
        }
    };
}
