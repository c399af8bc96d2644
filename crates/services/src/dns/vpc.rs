//! The resolver that instances reach at the base of their VPC plus two and at 169.254.169.253
//! (DNS-1): private names, split horizon for public ones, and the internet for everything else.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use gureum_types::{
    InstanceId, PortIndex,
    view::{ServiceView, VpcView},
};

use super::{
    Finding, Found, InternetResolver, Resolver, Upstream, dash, dashed, dns64::synthesise,
    internet::public_host, reverse_of, reverse_zone, zone_finding,
};
use crate::caller::{Allowance, Identify, View, interface};

/// Answers the instances of all VPCs, each with the names of its own.
pub struct VpcResolver {
    view: View,
    identify: Identify,
    allowance: Arc<Allowance>,
    internet: Arc<InternetResolver>,
}

impl VpcResolver {
    /// A resolver whose callers `identify` tells apart, each with an allowance (DNS-13).
    pub fn new(
        view: View,
        identify: Identify,
        allowance: Arc<Allowance>,
        internet: Arc<InternetResolver>,
    ) -> Self {
        Self { view, identify, allowance, internet }
    }
}

impl Resolver for VpcResolver {
    fn admits(&self, peer: SocketAddr) -> bool {
        let Some(port) = (self.identify)(peer) else { return false };
        let view = self.view.load();
        let vpc = interface(&view, port).and_then(|caller| view.vpcs.get(&caller.vpc_id));
        // DNS-3: without support nobody answers at these addresses.
        vpc.is_some_and(|vpc| vpc.dns_support) && self.allowance.take(port)
    }

    fn recursion_only(&self) -> bool {
        true
    }

    fn find(&self, peer: SocketAddr, name: &str) -> Option<Finding> {
        find(&self.view.load(), &self.internet, (self.identify)(peer)?, name)
    }

    fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.internet.upstream()
    }

    fn dns64(&self, peer: SocketAddr) -> bool {
        let view = self.view.load();
        let caller = (self.identify)(peer).and_then(|port| interface(&view, port));
        caller.is_some_and(|caller| caller.dns64)
    }
}

/// What a name is to an interface, as the resolver of its VPC says. The name is lower case and has
/// no last dot. `None` where nobody answers: the VPC has its DNS support off (DNS-3).
pub fn look_up(
    view: &ServiceView,
    internet: &InternetResolver,
    port: PortIndex,
    name: &str,
) -> Option<Finding> {
    let vpc = view.vpcs.get(&interface(view, port)?.vpc_id)?;
    vpc.dns_support.then(|| find(view, internet, port, name)).flatten()
}

fn find(
    view: &ServiceView,
    internet: &InternetResolver,
    port: PortIndex,
    name: &str,
) -> Option<Finding> {
    let caller = interface(view, port)?;
    let vpc = view.vpcs.get(&caller.vpc_id)?;
    let mut finding = find_in(view, internet, vpc, name);
    if let Found::Addresses(addresses) = &mut finding.found
        && caller.dns64
    {
        synthesise(addresses);
    }
    Some(finding)
}

fn find_in(view: &ServiceView, internet: &InternetResolver, vpc: &VpcView, name: &str) -> Finding {
    let domain = vpc.region.internal_domain();
    if name == domain {
        return Finding::new(Found::Nothing, domain);
    }
    if let Some(host) = name.strip_suffix(&domain).and_then(|rest| rest.strip_suffix('.')) {
        return Finding::new(private_host(view, vpc, host), domain);
    }
    if let Some(address) = reverse_of(name) {
        let found = match address {
            IpAddr::V4(address) => private_pointer(vpc, address),
            IpAddr::V6(address) => private_ipv6_pointer(view, vpc, address),
        };
        if let Some(found) = found {
            return Finding::new(found, reverse_zone(address));
        }
    }
    // VPCE-9: private DNS takes a service's own names over. What is below one of them and not
    // known is not there (DNS-15).
    if vpc.dns_hostnames
        && let Some(finding) = zone_finding(&vpc.service_names, name)
    {
        return finding;
    }
    // DNS-9: inside the VPC a public name means the private address behind it; DNS-10: that
    // of a peer too, where its owner lets it and both VPCs have both attributes.
    if let Some(public) = public_host(name)
        && let Some((_, owner)) = public.owner(view)
        && (owner.vpc_id == vpc.id || (vpc.dns_hostnames && vpc.dns_peers.contains(&owner.vpc_id)))
    {
        return Finding::new(Found::address(owner.private_address), public.domain);
    }
    internet.look_up_in(view, name)
}

/// What the label before the region's internal domain names (DNS-6, DNS-7, DNS-11, DNS-17).
fn private_host(view: &ServiceView, vpc: &VpcView, host: &str) -> Found {
    if !vpc.dns_hostnames {
        return Found::Missing; // DNS-4
    }
    if let Some(address) = host.strip_prefix("ip-").and_then(dashed) {
        let here = vpc.private_addresses.contains_key(&address);
        if here || (address.is_private() && elsewhere_in_region(view, vpc, address)) {
            return Found::address(address);
        }
        return Found::Missing;
    }
    match host.parse::<InstanceId>() {
        Ok(id) => resource_name(view, vpc, &id),
        Err(_) => Found::Missing,
    }
}

fn elsewhere_in_region(view: &ServiceView, vpc: &VpcView, address: Ipv4Addr) -> bool {
    view.vpcs
        .values()
        .any(|other| other.region == vpc.region && other.private_addresses.contains_key(&address))
}

/// DNS-7: the name exists with the instance; it has an address of a family only where that is
/// switched on.
fn resource_name(view: &ServiceView, vpc: &VpcView, id: &InstanceId) -> Found {
    let primary = |id| {
        let instance = view.instances.get(id)?;
        let interface = interface(view, *instance.ports.first()?)?;
        (interface.vpc_id == vpc.id).then_some((instance, interface))
    };
    let Some((instance, interface)) = primary(id) else { return Found::Missing };
    let ipv4 = interface.private_addresses.first().map(|it| IpAddr::from(*it));
    let ipv6 = interface.ipv6_addresses.first().map(|it| IpAddr::from(*it));
    let ipv4 = ipv4.filter(|_| instance.resource_name_dns_a_record);
    let ipv6 = ipv6.filter(|_| instance.resource_name_dns_aaaa_record);
    let addresses: Vec<_> = ipv4.into_iter().chain(ipv6).collect();
    match addresses.is_empty() {
        true => Found::Nothing,
        false => Found::Addresses(addresses),
    }
}

/// The autodefined reverse zones of the VPC's own blocks (DNS-12); `None` outside of them.
fn private_pointer(vpc: &VpcView, address: Ipv4Addr) -> Option<Found> {
    let ours = vpc.cidr_blocks.iter().any(|block| block.contains(&address));
    if !ours || !vpc.dns_hostnames {
        return None;
    }
    Some(if vpc.private_addresses.contains_key(&address) {
        Found::Pointer(format!("ip-{}.{}", dash(address), vpc.region.internal_domain()))
    } else {
        Found::Missing
    })
}

/// The way back from an IPv6 address of the VPC: to the resource name of its instance, where that
/// name leads to IPv6 addresses; `None` outside of the VPC's blocks.
fn private_ipv6_pointer(view: &ServiceView, vpc: &VpcView, address: Ipv6Addr) -> Option<Found> {
    let ours = vpc.ipv6_cidr_blocks.iter().any(|block| block.contains(&address));
    if !ours || !vpc.dns_hostnames {
        return None;
    }
    let instance = vpc.ipv6_addresses.get(&address).and_then(Option::as_ref);
    let named = instance
        .and_then(|id| view.instances.get(id))
        .filter(|instance| instance.resource_name_dns_aaaa_record);
    Some(match named {
        Some(instance) => {
            Found::Pointer(format!("{}.{}", instance.instance_id, vpc.region.internal_domain()))
        }
        None => Found::Missing,
    })
}
