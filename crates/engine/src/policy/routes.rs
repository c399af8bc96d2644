//! A route table: the longest prefix wins (RT-2), and a route to nowhere still wins (RT-12).

use gureum_types::record::{RouteDestination, RouteTable, RouteTarget};
use ipnet::Ipv4Net;

use super::{Component, ComponentIndex, network_range, range_map::RangeMap};

/// Where a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To an interface of the VPC.
    Local,
    /// To the internet gateway of the VPC.
    InternetGateway,
    /// To this interface, by its place in the policy.
    Interface(usize),
    /// To something that is gone.
    Blackhole,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) component: ComponentIndex,
    pub(crate) way: Way,
}

/// Compiles a table. `local` are the blocks of its VPC (RT-1); `way` tells where a target leads.
pub(crate) fn compile(
    table: &RouteTable,
    local: &[Ipv4Net],
    components: &mut Vec<Component>,
    mut way: impl FnMut(&RouteTarget) -> Way,
) -> RangeMap<Route> {
    let mut routes: Vec<(Ipv4Net, Route)> = Vec::new();
    let mut add = |destination: Ipv4Net, target: &RouteTarget, way: Way| {
        let component = ComponentIndex(u32::try_from(components.len()).unwrap_or(u32::MAX));
        components.push(Component::Route {
            table: table.id.clone(),
            destination,
            target: target.clone(),
        });
        routes.push((destination, Route { component, way }));
    };
    for route in &table.routes {
        // IPv6 destinations never match IPv4 (PIPE-11); prefix lists have no records yet.
        if let RouteDestination::Ipv4(destination) = route.destination {
            add(destination, &route.target, way(&route.target));
        }
    }
    // A made route to exactly a block of the VPC is the local route with another target (RT-14),
    // so the local ones come after the made ones.
    for block in local {
        add(*block, &RouteTarget::Local, Way::Local);
    }
    routes.sort_by_key(|(destination, _)| std::cmp::Reverse(destination.prefix_len()));
    let items: Vec<_> =
        routes.iter().map(|(destination, route)| (network_range(*destination), *route)).collect();
    RangeMap::first_wins(&items)
}
