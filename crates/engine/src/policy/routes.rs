//! A route table: the longest prefix wins (RT-2), and a route to nowhere still wins (RT-12).

use std::cmp::Reverse;

use gureum_types::{
    PortIndex, PrefixListId,
    record::{PrefixListEntry, RouteDestination, RouteTable, RouteTarget},
};
use ipnet::IpNet;

use super::{Component, ComponentIndex, range_map::RangeMap};
use crate::address::ranges;

/// Where a route leads to. Places are those of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To an interface of the VPC.
    Local,
    /// To the internet gateway of the VPC.
    InternetGateway,
    /// To the interface of an instance behind this port.
    Interface(PortIndex),
    /// To the NAT gateway with the interface behind this port.
    NatGateway(PortIndex),
    /// To the egress-only internet gateway of the VPC.
    EgressOnlyInternetGateway,
    /// Through this peering connection.
    Peering(usize),
    /// To the virtual private gateway of the VPC.
    VpnGateway,
    /// To a transit gateway that the VPC is attached to.
    TransitGateway,
    /// Through the gateway endpoint of this number.
    GatewayEndpoint(PortIndex),
    /// To something that is gone.
    Blackhole,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) component: ComponentIndex,
    pub(crate) way: Way,
}

/// Which of routes with the same prefix counts (RT-16). A made route to exactly a block of the VPC
/// is the local route with another target (RT-14), so those come before the local ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    Made,
    Local,
    PrefixList,
}

/// Compiles a table. `local` are the blocks of its VPC (RT-1), `ways` tell where the target of each
/// route leads to, `index` gives the component at a place its index, `list` gives the entries of a
/// prefix list (none where there is no such list).
pub(crate) fn compile<'a>(
    table: &RouteTable,
    local: &[IpNet],
    ways: &[Way],
    components: &mut Vec<Component>,
    index: impl Fn(usize) -> ComponentIndex,
    list: impl Fn(&PrefixListId) -> &'a [PrefixListEntry],
) -> RangeMap<u128, Route> {
    let mut routes: Vec<(IpNet, Priority, Route)> = Vec::new();
    let mut add = |destination: IpNet,
                   priority: Priority,
                   prefix_list: Option<&PrefixListId>,
                   (target, way): (&RouteTarget, Way)| {
        let component = index(components.len());
        components.push(Component::Route {
            table: table.id.clone(),
            destination,
            prefix_list: prefix_list.cloned(),
            target: target.clone(),
        });
        let carried = way != Way::EgressOnlyInternetGateway || destination.addr().is_ipv6();
        let way = if carried { way } else { Way::Blackhole };
        routes.push((destination, priority, Route { component, way }));
    };
    for (route, way) in table.routes.iter().zip(ways) {
        let target = (&route.target, *way);
        match &route.destination {
            RouteDestination::Ipv4(block) => {
                add((*block).into(), Priority::Made, None, target);
            }
            RouteDestination::Ipv6(block) => {
                add((*block).into(), Priority::Made, None, target);
            }
            RouteDestination::PrefixList(id) => {
                for entry in list(id) {
                    add(entry.cidr, Priority::PrefixList, Some(id), target);
                }
            }
        }
    }
    for block in local {
        add(*block, Priority::Local, None, (&RouteTarget::Local, Way::Local));
    }
    // Stable: of two prefix lists with the same block, the one that the table names first (RT-16).
    routes.sort_by_key(|(destination, priority, _)| (Reverse(destination.prefix_len()), *priority));
    let items: Vec<_> = routes
        .iter()
        .flat_map(|(destination, _, route)| ranges(*destination).map(|range| (range, *route)))
        .collect();
    RangeMap::first_wins(&items)
}
