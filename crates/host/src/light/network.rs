//! The network of a light host, configured from outside by what DHCP and router advertisements would
//! have told it.
//!
//! The first interface has the default route. Where there are more, what comes from an address of an
//! interface leaves by that interface, as Amazon's own images have it (`amazon-ec2-net-utils`); else
//! the source check would drop it (SDC-1).

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use gureum_engine::GuestNetwork;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::steer::Steer;
use crate::{
    error::{Context, Result},
    netlink::{GuestRoute, Netlink, SourceRule},
};

/// The table of the interface `eth<n>` is this and n.
const FIRST_TABLE: u32 = 10_000;
const TABLES: std::ops::RangeInclusive<u32> = FIRST_TABLE..=FIRST_TABLE + 255;
/// Rules are looked at in the order of the interfaces, after that of the local table.
const FIRST_RULE: u32 = 10_000;
/// The metric of routes of `eth<n>` is this and n.
const FIRST_METRIC: u32 = 512;

/// What the interface `eth<device_index>` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) device_index: u32,
    pub(crate) network: GuestNetwork,
}

impl Told {
    fn table(&self) -> u32 {
        FIRST_TABLE + self.device_index.min(255)
    }

    fn addresses(&self) -> impl Iterator<Item = IpNet> {
        let length = self.network.block.map_or(32, |block| block.prefix_len());
        let v4 = self.network.addresses.iter().enumerate().map(move |(place, address)| {
            let length = if place == 0 { length } else { 32 };
            Ipv4Net::new(*address, length).unwrap_or((*address).into()).into()
        });
        v4.chain(self.network.ipv6_addresses.iter().map(|it| Ipv6Net::from(*it).into()))
    }

    /// What is on the link, and what is behind the router.
    fn routes(&self, link: u32, table: u32, behind: bool) -> Vec<GuestRoute> {
        let it = &self.network;
        let metric = FIRST_METRIC + self.device_index;
        let mut routes = Vec::new();
        let mut family = |source: IpAddr, block: Option<IpNet>, all: IpNet, router| {
            let route =
                GuestRoute { destination: all, link, gateway: router, source, table, metric };
            if let Some(destination) = block {
                routes.push(GuestRoute { destination, gateway: None, ..route });
            }
            if behind && router.is_some() {
                routes.push(route);
            }
        };
        if let Some(source) = it.addresses.first() {
            let router = it.router.map(IpAddr::V4);
            family((*source).into(), it.block.map(IpNet::V4), Ipv4Net::default().into(), router);
        }
        if let Some(source) = it.ipv6_addresses.first() {
            let router = it.ipv6_router.map(IpAddr::V6);
            let block = it.ipv6_block.map(IpNet::V6);
            family((*source).into(), block, Ipv6Net::default().into(), router);
        }
        routes
    }
}

/// Brings the links of the namespace that the calling thread is in to what they are told; opens all
/// ports on them. Links that are not there are left out. May be done any number of times.
pub(crate) fn configure(told: &[Told], steer: &Steer) -> Result<()> {
    let mut netlink = Netlink::open().context(|| "speak to a light host")?;
    let mut rules = Vec::new();
    for it in told {
        let name = format!("eth{}", it.device_index);
        let what = || format!("configure {name}");
        let Some(link) = netlink.link(&name).context(what)? else { continue };
        steer.attach(&mut netlink, link.index)?;
        configure_ipv6(&name, !it.network.ipv6_addresses.is_empty()).context(what)?;
        set_addresses(&mut netlink, link.index, it).context(what)?;
        let is_first = it.device_index == 0;
        let mut routes = it.routes(link.index, libc::RT_TABLE_MAIN.into(), is_first);
        if told.len() > 1 {
            routes.extend(it.routes(link.index, it.table(), true));
            let priority = FIRST_RULE + it.device_index;
            let rule = |source| SourceRule { source, table: it.table(), priority };
            rules.extend(it.addresses().map(|address| rule(address.addr())));
        }
        for route in routes {
            netlink.replace_guest_route(&route).context(what)?;
        }
    }
    set_rules(&mut netlink, &rules).context(|| "route by source address")
}

fn set_addresses(netlink: &mut Netlink, link: u32, told: &Told) -> io::Result<()> {
    let wanted: Vec<_> = told.addresses().collect();
    let there = netlink.global_addresses(link)?;
    for old in there.iter().filter(|it| !wanted.contains(it)) {
        netlink.delete_address(link, *old)?;
    }
    for new in wanted.into_iter().filter(|it| !there.contains(it)) {
        netlink.add_address_alone(link, new)?;
    }
    Ok(())
}

fn set_rules(netlink: &mut Netlink, wanted: &[SourceRule]) -> io::Result<()> {
    let there = netlink.source_rules(TABLES)?;
    for old in there.iter().filter(|it| !wanted.contains(it)) {
        netlink.delete_source_rule(old)?;
    }
    for new in wanted.iter().filter(|it| !there.contains(it)) {
        netlink.add_source_rule(new)?;
    }
    Ok(())
}

/// A link without an address of IPv6 has none of it, and says nothing in it.
fn configure_ipv6(name: &str, on: bool) -> io::Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    let value = if on { "0" } else { "1" };
    if !Path::new(&path).exists() {
        return Ok(());
    }
    match fs::read_to_string(&path)?.trim() == value {
        true => Ok(()),
        false => fs::write(path, value),
    }
}

/// Where a host calls itself to find out whether it answers: its first address.
pub(crate) fn own_door(told: &[Told]) -> Option<SocketAddr> {
    const ECHO: u16 = 7;
    let it = &told.iter().find(|it| it.device_index == 0)?.network;
    let v4 = it.addresses.first().map(|it| IpAddr::V4(*it));
    let first = v4.or_else(|| it.ipv6_addresses.first().map(|it| IpAddr::V6(*it)))?;
    Some(SocketAddr::new(first, ECHO))
}

/// The contents of `/etc/resolv.conf`.
pub(crate) fn resolv_conf(told: &[Told]) -> String {
    let Some(first) = told.iter().find(|it| it.device_index == 0) else { return String::new() };
    let mut text = String::new();
    if let Some(name) = &first.network.domain_name {
        text += &format!("search {name}\n");
    }
    for resolver in first.network.resolvers.iter().take(3) {
        text += &format!("nameserver {resolver}\n");
    }
    text + "options timeout:2\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(device_index: u32) -> Told {
        let ip = |text: &str| text.parse().expect("an address");
        Told {
            device_index,
            network: GuestNetwork {
                addresses: vec!["10.1.1.10".parse().expect("ok"), "10.1.1.20".parse().expect("ok")],
                block: "10.1.1.0/24".parse().ok(),
                router: "10.1.1.1".parse().ok(),
                ipv6_addresses: vec!["2001:db8::5".parse().expect("ok")],
                ipv6_block: "2001:db8::/64".parse().ok(),
                ipv6_router: "fe80::1".parse().ok(),
                mtu: 9001,
                domain_name: Some("ec2.internal".into()),
                resolvers: vec![ip("10.1.0.2"), ip("fd00:ec2::253")],
            },
        }
    }

    /// L2-5, ENI-9: the leased address has the subnet's prefix, further ones are alone.
    #[test]
    fn addresses_and_routes_are_those_of_dhcp() {
        let first = told(0);
        let addresses: Vec<_> = first.addresses().map(|it| it.to_string()).collect();
        assert_eq!(addresses, ["10.1.1.10/24", "10.1.1.20/32", "2001:db8::5/128"]);
        let routes = first.routes(7, 254, true);
        let shown: Vec<_> =
            routes.iter().map(|it| (it.destination.to_string(), it.gateway)).collect();
        assert_eq!(shown[0], ("10.1.1.0/24".to_owned(), None));
        assert_eq!(shown[1], ("0.0.0.0/0".to_owned(), "10.1.1.1".parse().ok()));
        assert_eq!(shown[2], ("2001:db8::/64".to_owned(), None));
        assert_eq!(shown[3], ("::/0".to_owned(), "fe80::1".parse().ok()));
        assert_eq!(told(1).routes(7, 254, false).len(), 2, "no second default route");
        assert_eq!(own_door(&[told(1), first.clone()]), "10.1.1.10:7".parse().ok());
        let text = resolv_conf(&[first]);
        assert!(text.starts_with("search ec2.internal\nnameserver 10.1.0.2\n"), "{text}");
    }

    #[test]
    fn a_subnet_with_ipv6_only_has_no_routes_of_ipv4() {
        let mut it = told(0);
        (it.network.addresses, it.network.block, it.network.router) = (vec![], None, None);
        assert!(it.routes(7, 254, true).iter().all(|it| it.destination.addr().is_ipv6()));
        assert_eq!(own_door(&[it]), "[2001:db8::5]:7".parse().ok());
    }
}
