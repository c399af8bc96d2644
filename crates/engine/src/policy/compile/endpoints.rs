//! VPC endpoints that packets pass: whose the interfaces are, where routes lead to.

use std::sync::Arc;

use gureum_types::{
    EndpointService, NetworkInterfaceId, PortIndex, VpcEndpointId,
    record::{VpcEndpoint, VpcEndpointKind},
};

use super::{
    Changes,
    lists::{Map, Set, difference},
    vpcs::Vpcs,
};
use crate::policy::GatewayEndpoint;

/// All endpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoints {
    /// Interfaces of endpoints, whether or not packets pass those.
    interfaces: Set<NetworkInterfaceId>,
    numbers: Map<VpcEndpointId, PortIndex>,
    /// Gateway endpoints by their numbers.
    pub(super) gateways: Arc<Map<u32, GatewayEndpoint>>,
}

impl Endpoints {
    pub(super) fn update(&mut self, changes: &Changes<'_>, vpcs: &Vpcs) {
        // Gateways are known by the places of their VPCs.
        if !changes.differs.vpc_endpoints && !changes.differs.vpcs {
            return;
        }
        let endpoints = &changes.after.vpc_endpoints;
        self.interfaces = endpoints.iter().flat_map(|it| interfaces_of(it)).cloned().collect();
        self.numbers.clear();
        let mut gateways = Map::default();
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.carries()) {
            let VpcEndpointKind::Gateway { port } = &endpoint.kind else { continue };
            let service = EndpointService::of(&endpoint.service_name);
            let service = service.and_then(|service| service.gateway.as_ref());
            let (Some(service), Some(vpc)) = (service, vpcs.place(&endpoint.vpc_id)) else {
                continue;
            };
            self.numbers.insert(endpoint.id.clone(), *port);
            gateways.insert(port.0, GatewayEndpoint { vpc, service });
        }
        self.gateways = Arc::new(gateways);
    }

    /// Interfaces that have become those of endpoints, or are that no more.
    pub(super) fn touched<'a>(
        changes: &Changes<'a>,
    ) -> impl Iterator<Item = &'a NetworkInterfaceId> + use<'a> {
        let (gone, come) = match changes.differs.vpc_endpoints {
            true => difference(&changes.before.vpc_endpoints, &changes.after.vpc_endpoints),
            false => (&[][..], &[][..]),
        };
        gone.iter().chain(come).flat_map(|endpoint| interfaces_of(endpoint))
    }

    /// Whether an interface is an endpoint's.
    pub(super) fn has_interface(&self, id: &NetworkInterfaceId) -> bool {
        self.interfaces.contains(id)
    }

    /// The number of a gateway endpoint of a VPC that packets pass.
    pub(super) fn gateway(&self, id: &VpcEndpointId, vpc: Option<usize>) -> Option<PortIndex> {
        let number = self.numbers.get(id)?;
        let gateway = self.gateways.get(&number.0)?;
        (Some(gateway.vpc) == vpc).then_some(*number)
    }
}

fn interfaces_of(endpoint: &VpcEndpoint) -> &[NetworkInterfaceId] {
    endpoint.interface().map_or(&[], |interface| interface.interfaces.as_slice())
}
