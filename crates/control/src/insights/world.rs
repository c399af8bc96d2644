//! Records by the names that analyses give them, and what is where: tables, lists, owners.

use std::sync::Arc;

use gureum_engine::{Component, Policy};
use gureum_store::Snapshot;
use gureum_types::{
    NetworkAclId, PortIndex, SubnetId, VpcId,
    record::{
        AnalysisAclRule, AnalysisComponent, AnalysisRoute, AnalysisSecurityGroupRule, Instance,
        InternetGateway, NatGateway, NetworkAcl, NetworkInterface, PrefixList, Route,
        RouteDestination, RouteTable, RouteTarget, RulePeer, Scope, SecurityGroup,
        SecurityGroupRule, Subnet, Traffic, Vpc, VpcEndpoint, VpcPeeringConnection,
    },
};

use crate::{
    call::{Call, Named},
    resource::{prefix_list, route, vpc_peering_connection as peering},
};

/// The number under which AWS shows the closing entry of a network ACL (NACL-3).
const CLOSING: u16 = 32_767;

/// The records, and the policy that was compiled from them.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) call: &'a Call,
    pub(crate) records: &'a Snapshot,
    pub(crate) policy: &'a Policy,
}

impl<'a> World<'a> {
    /// Whose a VPC is: the caller's, or of the other side of a peering connection.
    pub(super) fn scope_of(&self, vpc: &VpcId) -> Scope {
        let own = &self.call.scope;
        if self.records.find::<Vpc>(own, vpc.as_str()).is_some() {
            return own.clone();
        }
        let mut peerings = self.records.referrers::<VpcPeeringConnection>(vpc.as_str());
        let side = peerings.find_map(|it| peering::sides(it, vpc)).map(|(side, _)| side);
        side.map_or_else(|| own.clone(), |side| side.scope.clone())
    }

    /// A resource by its id.
    pub(super) fn named<T: Named>(&self, scope: &Scope, id: &str) -> AnalysisComponent {
        let record = self.records.find::<T>(scope, id);
        AnalysisComponent {
            id: id.to_owned(),
            arn: arn(scope, T::TYPE, id),
            name: record.and_then(|it| it.tags().get("Name").cloned()),
        }
    }

    pub(super) fn vpc(&self, id: &VpcId) -> AnalysisComponent {
        self.named::<Vpc>(&self.scope_of(id), id.as_str())
    }

    pub(super) fn peering(&self, id: &str) -> AnalysisComponent {
        let record = self.records.machine::<VpcPeeringConnection>(id);
        let tags = record.map(|it| peering::tags(it, &self.call.scope));
        AnalysisComponent {
            id: id.to_owned(),
            arn: arn(&self.call.scope, peering::TYPE, id),
            name: tags.and_then(|tags| tags.get("Name").cloned()),
        }
    }

    pub(super) fn interface(&self, it: &NetworkInterface) -> AnalysisComponent {
        self.named::<NetworkInterface>(&self.scope_of(&it.vpc_id), it.id.as_str())
    }

    pub(super) fn subnet(&self, it: &NetworkInterface) -> AnalysisComponent {
        self.named::<Subnet>(&self.scope_of(&it.vpc_id), it.subnet_id.as_str())
    }

    pub(super) fn groups(&self, it: &NetworkInterface) -> Vec<AnalysisComponent> {
        let scope = self.scope_of(&it.vpc_id);
        it.groups.iter().map(|id| self.named::<SecurityGroup>(&scope, id.as_str())).collect()
    }

    /// The interface behind a port.
    pub(super) fn behind(&self, port: PortIndex) -> Option<&'a Arc<NetworkInterface>> {
        self.records.interface_behind(port)
    }

    /// The instance, NAT gateway or endpoint that an interface belongs to.
    pub(super) fn owner(&self, it: &NetworkInterface) -> Option<AnalysisComponent> {
        let scope = self.scope_of(&it.vpc_id);
        if let Some(attachment) = &it.attachment {
            return Some(self.named::<Instance>(&scope, attachment.instance_id.as_str()));
        }
        if let Some(gateway) = self.nat_gateway_of(it) {
            return Some(self.named::<NatGateway>(&scope, gateway.id.as_str()));
        }
        let endpoint = self.endpoint_of(it)?;
        Some(self.named::<VpcEndpoint>(&scope, endpoint.id.as_str()))
    }

    pub(super) fn nat_gateway_of(&self, it: &NetworkInterface) -> Option<&'a Arc<NatGateway>> {
        self.records.referrers::<NatGateway>(it.id.as_str()).next()
    }

    pub(super) fn endpoint_of(&self, it: &NetworkInterface) -> Option<&'a Arc<VpcEndpoint>> {
        self.records.referrers::<VpcEndpoint>(it.id.as_str()).next()
    }

    /// The internet gateway of a VPC.
    pub(super) fn gateway_of(&self, vpc: &VpcId) -> Option<&'a Arc<InternetGateway>> {
        self.records.referrers::<InternetGateway>(vpc.as_str()).next()
    }

    pub(super) fn internet_gateway(&self, vpc: &VpcId) -> Option<AnalysisComponent> {
        let gateway = self.gateway_of(vpc)?;
        Some(self.named::<InternetGateway>(&self.scope_of(vpc), gateway.id.as_str()))
    }

    /// The route table of a subnet: its own, or the main one of its VPC (RT-3).
    pub(super) fn table_of(&self, subnet: &SubnetId, vpc: &VpcId) -> Option<&'a Arc<RouteTable>> {
        let own = self.records.referrers::<RouteTable>(subnet.as_str()).find(|table| {
            table.associations.iter().any(|tie| tie.subnet_id.as_ref() == Some(subnet))
        });
        own.or_else(|| {
            let mut tables = self.records.referrers::<RouteTable>(vpc.as_str());
            tables.find(|table| table.associations.iter().any(|tie| tie.main))
        })
    }

    /// The network ACL of a subnet.
    pub(super) fn acl_of(&self, subnet: &SubnetId) -> Option<&'a Arc<NetworkAcl>> {
        self.records.referrers::<NetworkAcl>(subnet.as_str()).next()
    }

    /// A prefix list, of the VPC's owner or of a service.
    pub(super) fn prefix_list(&self, scope: &Scope, id: &str) -> Option<&'a Arc<PrefixList>> {
        let own = self.records.find::<PrefixList>(scope, id);
        own.or_else(|| prefix_list::of_services().iter().find(|list| list.id.as_str() == id))
    }

    /// The rule of a security group that decided.
    pub(super) fn group_rule(&self, scope: &Scope, id: &str) -> Option<AnalysisSecurityGroupRule> {
        let rule = self.records.find::<SecurityGroupRule>(scope, id)?;
        let (protocol, ports) = traffic(&rule.traffic);
        let mut shown = AnalysisSecurityGroupRule {
            cidr: None,
            group: None,
            prefix_list: None,
            egress: rule.egress,
            ports,
            protocol,
        };
        match &rule.peer {
            RulePeer::Ipv4(block) => shown.cidr = Some(block.to_string()),
            RulePeer::Ipv6(block) => shown.cidr = Some(block.to_string()),
            RulePeer::Group(group) => shown.group = Some(group.to_string()),
            RulePeer::PrefixList(list) => shown.prefix_list = Some(list.to_string()),
        }
        Some(shown)
    }

    /// The entry of a network ACL that decided; the closing one is in no record.
    pub(super) fn acl_rule(
        &self,
        scope: &Scope,
        acl: &NetworkAclId,
        number: u16,
        egress: bool,
    ) -> AnalysisAclRule {
        let acl = self.records.find::<NetworkAcl>(scope, acl.as_str());
        let entry = acl.and_then(|acl| {
            acl.entries.iter().find(|it| it.rule_number == number && it.egress == egress)
        });
        match entry {
            Some(entry) => {
                let (protocol, ports) = traffic(&entry.traffic);
                AnalysisAclRule {
                    cidr: entry.cidr.to_string(),
                    egress,
                    ports,
                    protocol,
                    allow: entry.allow,
                    number: number.into(),
                }
            }
            None => AnalysisAclRule {
                cidr: "0.0.0.0/0".to_owned(),
                egress,
                ports: None,
                protocol: "all".to_owned(),
                allow: false,
                number: CLOSING.into(),
            },
        }
    }

    /// A route that the engine chose.
    pub(super) fn chosen_route(
        &self,
        component: &Component,
        active: bool,
    ) -> Option<AnalysisRoute> {
        let Component::Route { destination, prefix_list, target, .. } = component else {
            return None;
        };
        Some(AnalysisRoute {
            cidr: prefix_list.is_none().then(|| destination.to_string()),
            prefix_list: prefix_list.as_ref().map(ToString::to_string),
            active,
            ..self.shown_route(target)
        })
    }

    /// A route of a table.
    pub(super) fn route_of(&self, table: &RouteTable, route: &Route) -> AnalysisRoute {
        let is_own = self.scope_of(&table.vpc_id) == self.call.scope;
        let active = !is_own || route::is_active(self.records, self.call, table, route);
        let text = route::shown_destination(&route.destination);
        let listed = matches!(route.destination, RouteDestination::PrefixList(_));
        AnalysisRoute {
            cidr: (!listed).then(|| text.clone()),
            prefix_list: listed.then_some(text),
            active,
            ..self.shown_route(&route.target)
        }
    }

    fn shown_route(&self, target: &RouteTarget) -> AnalysisRoute {
        let id = target_id(target);
        let instance = match target {
            RouteTarget::NetworkInterface(id) => {
                let interface =
                    self.records.find::<NetworkInterface>(&self.call.scope, id.as_str());
                let attachment = interface.and_then(|it| it.attachment.as_ref());
                attachment.map(|it| it.instance_id.to_string())
            }
            _ => None,
        };
        AnalysisRoute {
            cidr: None,
            prefix_list: None,
            with_table: *target == RouteTarget::Local,
            target: id,
            instance,
            active: true,
        }
    }
}

/// The name of a resource in all of AWS.
pub(crate) fn arn(scope: &Scope, kind: &str, id: &str) -> String {
    format!("arn:aws:ec2:{}:{}:{kind}/{id}", scope.region, scope.account)
}

/// The id of what a route leads to.
pub(super) fn target_id(target: &RouteTarget) -> String {
    match target {
        RouteTarget::Local => "local".to_owned(),
        RouteTarget::InternetGateway(id) => id.to_string(),
        RouteTarget::NetworkInterface(id) => id.to_string(),
        RouteTarget::NatGateway(id) => id.to_string(),
        RouteTarget::EgressOnlyInternetGateway(id) => id.to_string(),
        RouteTarget::VpcPeeringConnection(id) => id.to_string(),
        RouteTarget::VpnGateway(id) => id.to_string(),
        RouteTarget::TransitGateway(id) => id.to_string(),
        RouteTarget::VpcEndpoint(id) => id.to_string(),
    }
}

/// The protocol of a rule in words, and its ports where it names some.
fn traffic(traffic: &Traffic) -> (String, Option<(u16, u16)>) {
    match *traffic {
        Traffic::All => ("all".to_owned(), None),
        Traffic::Ports { protocol, from, to } => (protocol.to_string(), Some((from, to))),
        Traffic::Icmp { protocol, .. } | Traffic::Protocol(protocol) => {
            (protocol.to_string(), None)
        }
    }
}
