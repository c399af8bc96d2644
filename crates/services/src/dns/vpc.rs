//! The resolver that instances reach at the base of their VPC plus two and at 169.254.169.253
//! (DNS-1): private names, split horizon for public ones, and the internet for everything else.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use gureum_types::{
    InstanceId,
    view::{ServiceView, VpcView},
};

use super::{
    Finding, Found, InternetResolver, Resolver, Upstream, dash, dashed, internet::public_host,
    reverse_of, reverse_zone,
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
        let view = self.view.load();
        let caller = interface(&view, (self.identify)(peer)?)?;
        let vpc = view.vpcs.get(&caller.vpc_id)?;
        let domain = vpc.region.internal_domain();
        if name == domain {
            return Some(Finding::new(Found::Nothing, domain));
        }
        if let Some(host) = name.strip_suffix(&domain).and_then(|rest| rest.strip_suffix('.')) {
            return Some(Finding::new(private_host(&view, vpc, host), domain));
        }
        if let Some(IpAddr::V4(address)) = reverse_of(name)
            && let Some(found) = private_pointer(vpc, address)
        {
            return Some(Finding::new(found, reverse_zone(address.into())));
        }
        // DNS-9: inside the VPC a public name means the private address behind it; DNS-10: that
        // of a peer too, where its owner lets it and both VPCs have both attributes.
        if let Some(public) = public_host(name)
            && let Some((_, owner)) = public.owner(&view)
            && (owner.vpc_id == vpc.id
                || (vpc.dns_hostnames && vpc.dns_peers.contains(&owner.vpc_id)))
        {
            return Some(Finding::new(
                Found::Addresses(vec![owner.private_address.into()]),
                public.domain,
            ));
        }
        Some(self.internet.look_up_in(&view, name))
    }

    fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.internet.upstream()
    }
}

/// What the label before the region's internal domain names (DNS-6, DNS-7, DNS-11, DNS-17).
fn private_host(view: &ServiceView, vpc: &VpcView, host: &str) -> Found {
    if !vpc.dns_hostnames {
        return Found::Missing; // DNS-4
    }
    if let Some(address) = host.strip_prefix("ip-").and_then(dashed) {
        let here = vpc.private_addresses.contains_key(&address);
        if here || (address.is_private() && elsewhere_in_region(view, vpc, address)) {
            return Found::Addresses(vec![address.into()]);
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
    let v4 = interface.private_addresses.first().filter(|_| instance.resource_name_dns_a_record);
    let v6 = interface.ipv6_addresses.first().filter(|_| instance.resource_name_dns_aaaa_record);
    let v4 = v4.map(|address| IpAddr::V4(*address));
    let addresses: Vec<_> = v4.into_iter().chain(v6.map(|address| IpAddr::V6(*address))).collect();
    if addresses.is_empty() { Found::Nothing } else { Found::Addresses(addresses) }
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
