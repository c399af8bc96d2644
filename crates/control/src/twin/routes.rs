//! Peering connections, route tables and their routes.

use gureum_api::ec2;
use gureum_types::{
    InternetGatewayId, NetworkInterfaceId, Region, SubnetId, Tags, VpcId,
    record::{
        PeeringStatus, PeeringVpc, PrefixList, Route, RouteDestination, RouteTable,
        RouteTableAssociation, RouteTarget, Scope, Vpc, VpcPeeringConnection,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    import::{Import, name, tags},
    network::is_associated,
};
use crate::resource::{route::shown_destination, vpc_peering_connection};

impl Import<'_> {
    pub(super) fn peering_connections(&mut self) {
        for (number, it) in self.document.vpc_peering_connections.iter().enumerate() {
            let of = name(&it.vpc_peering_connection_id, "VpcPeeringConnections", number);
            let id = self.need(&of, "VpcPeeringConnectionId", &it.vpc_peering_connection_id);
            let status = it.status.as_ref();
            let known = match status.and_then(|it| it.code.as_deref()) {
                Some("active" | "provisioning") => PeeringStatus::Active,
                Some("pending-acceptance" | "initiating-request") => {
                    PeeringStatus::PendingAcceptance
                }
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
                tags: Tags::new(),
                accepter_tags: Tags::new(),
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
        let vpc_id = self.need::<VpcId>(of, "VpcId", &side.vpc_id)?;
        let is_here = self.has::<Vpc>(vpc_id.as_str());
        let scope = if is_here {
            self.call.scope.clone()
        } else {
            let account = self.need(of, "OwnerId", &side.owner_id)?;
            let region = side.region.as_deref().map_or_else(
                || Some(self.call.region().clone()),
                |region| region.parse::<Region>().ok(),
            );
            let there = region.map(|region| Scope { account, region });
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
            self.put(
                "RouteTables",
                RouteTable {
                    id,
                    vpc_id,
                    routes,
                    associations,
                    propagating_gateways,
                    created: self.call.now,
                    tags: tags(&it.tags),
                },
            );
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
        let of = format!("{of} route to {}", shown_destination(&destination));
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
            return self
                .need(of, "VpcPeeringConnectionId", id)
                .map(RouteTarget::VpcPeeringConnection);
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
