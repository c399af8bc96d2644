//! Names as the simulated internet sees them: its hosts, the public names of instances (DNS-8),
//! and both ways back.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use gureum_types::view::{PublicAddressView, ServiceView};

use super::{
    Finding, Found, Resolver, Upstream, dash, dashed, reverse_of, reverse_zone, zone_finding,
};
use crate::{caller::View, internet::Hosts};

/// What the names of endpoints end in (VPCE-7).
const ENDPOINT_DOMAIN: &str = ".vpce.amazonaws.com";

/// The resolver that 8.8.8.8 and its like run; it also finds names for the SOCKS server.
pub struct InternetResolver {
    hosts: Arc<Hosts>,
    view: View,
    upstream: Option<Arc<Upstream>>,
}

impl InternetResolver {
    /// A resolver for these hosts and the public addresses of the view.
    pub fn new(hosts: Arc<Hosts>, view: View) -> Self {
        Self { hosts, view, upstream: None }
    }

    /// The same, which asks others for names that nobody here has.
    #[must_use]
    pub fn with_upstream(self, upstream: Upstream) -> Self {
        Self { upstream: Some(Arc::new(upstream)), ..self }
    }

    /// What a name is outside of every VPC.
    pub fn look_up(&self, name: &str) -> Finding {
        self.look_up_in(&self.view.load(), name)
    }

    /// The view that names are looked up in.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The first IPv4 address of a name, for programs that connect to it.
    pub fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        let name = name.to_ascii_lowercase();
        match self.look_up(name.strip_suffix('.').unwrap_or(&name)).found {
            Found::Addresses(addresses) => {
                addresses.into_iter().find_map(|address| match address {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                })
            }
            _ => None,
        }
    }

    /// The same, where others may be asked too.
    pub async fn address_of_any(&self, name: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.address_of(name) {
            return Some(address);
        }
        let name = name.to_ascii_lowercase();
        let finding = self.look_up(name.strip_suffix('.').unwrap_or(&name));
        match &self.upstream {
            Some(upstream) if finding.outside => upstream.address_of(&name).await,
            _ => None,
        }
    }

    pub(super) fn look_up_in(&self, view: &ServiceView, name: &str) -> Finding {
        if let Some(address) = reverse_of(name) {
            let found = self.reverse(view, address);
            let outside = found == Found::Missing && is_public(address);
            return Finding { outside, ..Finding::new(found, reverse_zone(address)) };
        }
        // VPCE-8: endpoints' own names mean private addresses, whoever asks.
        if name.ends_with(ENDPOINT_DOMAIN) {
            return zone_finding(&view.endpoint_names, name).unwrap_or_else(|| {
                Finding::new(Found::Missing, ENDPOINT_DOMAIN.trim_start_matches('.'))
            });
        }
        if let Some(public) = public_host(name) {
            let found = match public.owner(view) {
                Some((address, _)) => Found::address(address),
                None => Found::Missing,
            };
            return Finding::new(found, public.domain);
        }
        let found = match self.hosts.addresses_of(name) {
            addresses if !addresses.is_empty() => Found::Addresses(addresses),
            _ if self.hosts.has_below(name) => Found::Nothing,
            _ => Found::Missing,
        };
        let outside = found == Found::Missing && !is_private_name(name);
        Finding { outside, ..Finding::new(found, self.hosts.zone_of(name)) }
    }

    fn reverse(&self, view: &ServiceView, address: IpAddr) -> Found {
        if let IpAddr::V4(public) = address
            && let Some(owner) = view.public_addresses.get(&public)
            && has_public_names(view, owner)
        {
            return Found::Pointer(public_name(public, owner));
        }
        match self.hosts.name_of(address) {
            Some(name) => Found::Pointer(name.to_owned()),
            None => Found::Missing,
        }
    }
}

impl Resolver for InternetResolver {
    fn admits(&self, _: SocketAddr) -> bool {
        true
    }

    fn recursion_only(&self) -> bool {
        false
    }

    fn find(&self, _: SocketAddr, name: &str) -> Option<Finding> {
        Some(self.look_up(name))
    }

    fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.upstream.as_ref()
    }
}

/// Names of private zones, which nobody outside is to hear of: those of VPCs, of this machine and
/// of its network.
fn is_private_name(name: &str) -> bool {
    let top = name.rsplit('.').next().unwrap_or(name);
    !name.contains('.') || matches!(top, "internal" | "local" | "localhost")
}

/// Whether an address may be somebody's in the real internet (RFC 6890). The way out is for IPv4.
fn is_public(address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let [a, b, ..] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast();
    let shared = a == 100 && (64..128).contains(&b);
    let pool = a == 198 && (18..20).contains(&b);
    !(special || shared || pool || a == 0 || a >= 240)
}

/// A name of the form `ec2-….<region>.compute.amazonaws.com`, whether or not anyone has it.
pub(super) struct PublicHost<'a> {
    address: Option<Ipv4Addr>,
    /// The domain below which the name is.
    pub(super) domain: &'a str,
}

/// Takes a public host name apart; `None` for names of another form.
pub(super) fn public_host(name: &str) -> Option<PublicHost<'_>> {
    let (label, domain) = name.split_once('.')?;
    let ours = domain == "compute-1.amazonaws.com" || domain.ends_with(".compute.amazonaws.com");
    ours.then(|| PublicHost { address: label.strip_prefix("ec2-").and_then(dashed), domain })
}

impl PublicHost<'_> {
    /// Who has the name now, with the address in it.
    pub(super) fn owner<'v>(
        &self,
        view: &'v ServiceView,
    ) -> Option<(Ipv4Addr, &'v PublicAddressView)> {
        let address = self.address?;
        let owner = view.public_addresses.get(&address)?;
        let named = owner.region.public_domain() == self.domain && has_public_names(view, owner);
        named.then_some((address, owner))
    }
}

/// Public names are there only in VPCs with both attributes (DNS-4, DNS-5).
fn has_public_names(view: &ServiceView, owner: &PublicAddressView) -> bool {
    view.vpcs.get(&owner.vpc_id).is_some_and(|vpc| vpc.dns_support && vpc.dns_hostnames)
}

fn public_name(address: Ipv4Addr, owner: &PublicAddressView) -> String {
    format!("ec2-{}.{}", dash(address), owner.region.public_domain())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what nobody here can know is asked of others: never private names and addresses.
    #[test]
    fn others_are_asked_for_names_that_are_nobodys_here() {
        let hosts = Arc::new(Hosts::embedded().expect("hosts"));
        let resolver = InternetResolver::new(hosts, View::default());
        let outside = |name: &str| resolver.look_up(name).outside;
        for name in ["deb.debian.org", "9.9.9.9.in-addr.arpa"] {
            assert!(outside(name), "{name}");
        }
        for name in [
            "google.com",
            "ec2.us-east-1.amazonaws.com",
            "ec2-198-18-0-9.ap-northeast-2.compute.amazonaws.com",
            "ip-10-0-0-9.ap-northeast-2.compute.internal",
            "printer.local",
            "printer",
            "9.0.0.10.in-addr.arpa",
            "9.0.18.198.in-addr.arpa",
            "8.8.8.8.in-addr.arpa",
        ] {
            assert!(!outside(name), "{name}");
        }
    }
}
