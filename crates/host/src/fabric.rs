//! The fabric: the namespace of the ports, and the two namespaces that every cloud has beside it.
//!
//! The fabric never answers or forwards by itself: no address, IPv6 off, no forwarding, no ARP.
//! Port 0 leads to the simulated internet, port 1 to the services; each is reached over one link
//! with one permanent next hop, so neither asks by ARP nor keeps a neighbour per peer. Making
//! all this is idempotent: what is there stays, what is missing is made.

use std::{
    fs, io,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

use gureum_engine::{FABRIC_ROUTER_MAC, FabricConfig};
use gureum_types::{IPV6_POOL, PortIndex};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    anchor::Namespaces,
    error::{Context, Result},
    ethtool,
    namespace::Namespace,
    netlink::{self, Link, Netlink, Route, VethEnd},
};

/// What the engine must know of the links to the internet and the services.
pub const fn config(public_pool: Ipv4Net) -> FabricConfig {
    FabricConfig {
        internet_mac: INTERNET_MAC,
        services_mac: SERVICES_MAC,
        public_pool,
        ipv6_pool: IPV6_POOL,
    }
}

const INTERNET_MAC: [u8; 6] = [0x02, 0x47, 0x55, 0x00, 0x00, 0x00];
const SERVICES_MAC: [u8; 6] = [0x02, 0x47, 0x55, 0x00, 0x00, 0x01];

/// The MTU of ports: what a VPC carries (MTU-1). The engine judges what a flow's path carries.
pub const PORT_MTU: u32 = 9001;
/// The MTU of the internet (IGW-10).
const INTERNET_MTU: u32 = 1500;

pub(crate) const INTERNET_LINK: &str = "inet0";
const SERVICES_LINK: &str = "svc0";

/// The next hop behind both links. It is never asked for and never on the wire.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// As that, over IPv6.
const IPV6_GATEWAY: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Where services listen, and where their callers seem to be (traps 11).
const DOORS: &str = "10.128.0.0/9";
const CALLERS: &str = "10.0.0.0/9";
/// As those, over IPv6: see [`gureum_types::ServiceDoor::ipv6_address`] and
/// [`gureum_types::ipv6_caller_address`].
const IPV6_DOORS: &str = "fd67:7572:6575:6d00:0:b::/96";
const IPV6_CALLERS: &str = "fd67:7572:6575:6d00:0:a::/96";

/// What the simulated internet is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternetSettings {
    /// The address of whoever runs a client there.
    pub client: Ipv4Addr,
    /// The addresses of its hosts.
    pub hosts: Vec<Ipv4Addr>,
    /// Where the public addresses of the clouds come from.
    pub public_pool: Ipv4Net,
    /// The IPv6 address of whoever runs a client there.
    pub ipv6_client: Ipv6Addr,
    /// The IPv6 addresses of its hosts.
    pub ipv6_hosts: Vec<Ipv6Addr>,
}

/// Whether this machine has IPv6 at all.
pub fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").is_dir()
}

/// The name of a port's link in the fabric.
pub fn port_link(port: PortIndex) -> String {
    format!("p{port}")
}

/// The port that a link of the fabric is.
pub fn port_of_link(name: &str) -> Option<PortIndex> {
    let digits = name.strip_prefix('p')?;
    let port = PortIndex(digits.parse().ok()?);
    (port < PortIndex::END && port_link(port) == name).then_some(port)
}

/// Brings the three namespaces into their shape.
pub fn configure(namespaces: &Namespaces, internet: &InternetSettings) -> Result<()> {
    silence(&namespaces.fabric)?;
    let mut fabric = Netlink::open_in(&namespaces.fabric).context(|| "speak to the fabric")?;
    configure_internet(&mut fabric, &namespaces.internet, internet)?;
    configure_services(&mut fabric, &namespaces.services)
}

/// Makes the kernel of the fabric deaf and dumb, before the first port is there.
fn silence(fabric: &Namespace) -> Result<()> {
    set_sysctls(
        fabric,
        &[
            ("net/ipv6/conf/all/disable_ipv6", "1"),
            ("net/ipv6/conf/default/disable_ipv6", "1"),
            ("net/ipv4/ip_forward", "0"),
            ("net/ipv4/conf/all/arp_ignore", "8"),
            ("net/ipv4/conf/default/arp_ignore", "8"),
        ],
    )
}

fn configure_internet(
    fabric: &mut Netlink,
    namespace: &Namespace,
    internet: &InternetSettings,
) -> Result<()> {
    set_sysctls(
        namespace,
        &[
            // Not of all: that would take the addresses of the link that is there.
            ("net/ipv6/conf/default/disable_ipv6", "1"),
            ("net/ipv6/conf/lo/disable_ipv6", "0"),
            ("net/ipv6/conf/all/forwarding", "0"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv4/ip_forward", "0"),
            // No one is root there: ping and low ports are for everybody.
            ("net/ipv4/ping_group_range", "0 2147483647"),
            ("net/ipv4/ip_unprivileged_port_start", "0"),
        ],
    )?;
    let far = VethEnd { name: INTERNET_LINK, mac: Some(INTERNET_MAC), mtu: INTERNET_MTU };
    let mut there = Netlink::open_in(namespace).context(|| "speak to the internet")?;
    let link = pair(fabric, PortIndex::INTERNET, &mut there, &far, namespace)?;
    let what = || "give the internet its addresses";
    let lo = there.link("lo").context(what)?.map_or(1, |lo| lo.index);
    there.set_up(lo).context(what)?;
    let client = std::slice::from_ref(&internet.client);
    set_addresses(&mut there, link.index, client).context(what)?;
    set_addresses(&mut there, lo, &internet.hosts).context(what)?;
    // After the client's address, which these routes name and whose end would take them along.
    for host in &internet.hosts {
        there.replace_route(&to_host(*host, lo, internet.client)).context(what)?;
    }
    there.replace_neighbour(link.index, GATEWAY.into(), FABRIC_ROUTER_MAC).context(what)?;
    there
        .replace_route(&Route {
            destination: internet.public_pool.into(),
            link: link.index,
            gateway: Some(GATEWAY.into()),
            source: Some(internet.client.into()),
            local: false,
        })
        .context(what)?;
    if enable_ipv6(namespace, INTERNET_LINK)? {
        configure_ipv6_internet(&mut there, link.index, lo, internet).context(what)?;
    }
    Ok(())
}

/// Gives the internet its IPv6 addresses. All are local by routes and not by addresses of a link:
/// the kernel joins no multicast groups for such, and lets a caller speak from the client's
/// address and not from the one that it calls. The client's own is on the loopback link.
fn configure_ipv6_internet(
    there: &mut Netlink,
    link: u32,
    lo: u32,
    internet: &InternetSettings,
) -> io::Result<()> {
    let client = internet.ipv6_client;
    there.add_address(lo, Ipv6Net::from(client).into())?;
    let wanted: Vec<_> = internet.ipv6_hosts.iter().map(|host| Ipv6Net::from(*host)).collect();
    for old in there.ipv6_local_routes(lo)? {
        if !wanted.contains(&old) {
            there.delete_local_route(lo, old.into())?;
        }
    }
    for host in wanted {
        there.replace_route(&Route {
            destination: host.into(),
            link: lo,
            gateway: None,
            source: Some(client.into()),
            local: true,
        })?;
    }
    there.replace_neighbour(link, IPV6_GATEWAY.into(), FABRIC_ROUTER_MAC)?;
    there.replace_route(&Route {
        destination: IPV6_POOL.into(),
        link,
        gateway: Some(IPV6_GATEWAY.into()),
        source: Some(client.into()),
        local: false,
    })
}

/// Lets a link of the namespace carry IPv6 and say nothing by itself: no link-local address, no
/// duplicate address detection, no solicitations. `false` where the machine has no IPv6.
fn enable_ipv6(namespace: &Namespace, link: &str) -> Result<bool> {
    let folder = format!("net/ipv6/conf/{link}");
    if !has_ipv6() {
        tracing::warn!("this machine has no IPv6: nothing of the cloud is reached over it");
        return Ok(false);
    }
    let values = [
        // 1: none is made up.
        ("addr_gen_mode", "1"),
        ("accept_ra", "0"),
        ("router_solicitations", "0"),
        ("accept_dad", "0"),
        ("disable_ipv6", "0"),
    ];
    let values = values.map(|(name, value)| (format!("{folder}/{name}"), value));
    let values: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    set_sysctls(namespace, &values)?;
    Ok(true)
}

/// The way to a host of the internet, which all are local to its namespace: without a source of
/// its own the kernel has a caller speak from the very address that it calls.
fn to_host(host: Ipv4Addr, lo: u32, client: Ipv4Addr) -> Route {
    Route {
        destination: Ipv4Net::from(host).into(),
        link: lo,
        gateway: None,
        source: (host != client).then_some(client.into()),
        local: true,
    }
}

/// Gives a link these addresses and takes others from it that an earlier daemon gave it.
fn set_addresses(netlink: &mut Netlink, link: u32, wanted: &[Ipv4Addr]) -> io::Result<()> {
    for old in netlink.addresses(link)? {
        if !old.is_loopback() && !wanted.contains(&old) {
            netlink.delete_host_address(link, old)?;
            // The kernel takes only the route that it made itself along, not one in its place.
            netlink.delete_local_route(link, Ipv4Net::from(old).into())?;
        }
    }
    let mut wanted = wanted.iter().map(|address| Ipv4Net::from(*address).into());
    wanted.try_for_each(|address| netlink.add_address(link, address))
}

fn configure_services(fabric: &mut Netlink, namespace: &Namespace) -> Result<()> {
    set_sysctls(
        namespace,
        &[
            ("net/ipv6/conf/default/disable_ipv6", "1"),
            ("net/ipv6/conf/lo/disable_ipv6", "0"),
            ("net/ipv6/conf/all/forwarding", "0"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv4/ip_forward", "0"),
            ("net/ipv4/ip_nonlocal_bind", "1"),
        ],
    )?;
    let far = VethEnd { name: SERVICES_LINK, mac: Some(SERVICES_MAC), mtu: PORT_MTU };
    let mut there = Netlink::open_in(namespace).context(|| "speak to the services")?;
    let link = pair(fabric, PortIndex::SERVICES, &mut there, &far, namespace)?;
    let what = || "give the services their addresses";
    let lo = there.link("lo").context(what)?.map_or(1, |lo| lo.index);
    there.set_up(lo).context(what)?;
    let ways = [(DOORS, CALLERS, GATEWAY.into()), (IPV6_DOORS, IPV6_CALLERS, IPV6_GATEWAY.into())];
    let families = if enable_ipv6(namespace, SERVICES_LINK)? { 2 } else { 1 };
    for (doors, callers, gateway) in ways.into_iter().take(families) {
        let doors = Route {
            destination: constant(doors),
            link: lo,
            gateway: None,
            source: None,
            local: true,
        };
        there.replace_route(&doors).context(what)?;
        there.replace_neighbour(link.index, gateway, FABRIC_ROUTER_MAC).context(what)?;
        let callers = Route {
            destination: constant(callers),
            link: link.index,
            gateway: Some(gateway),
            source: None,
            local: false,
        };
        there.replace_route(&callers).context(what)?;
    }
    Ok(())
}

/// Whether a port's link is there and leads to the link of that name in that namespace.
pub fn is_connected(
    fabric: &Namespace,
    port: PortIndex,
    far: &str,
    instance: &Namespace,
) -> Result<bool> {
    let what = || format!("look at port {port}");
    let mut here = Netlink::open_in(fabric).context(what)?;
    let mut there = Netlink::open_in(instance).context(what)?;
    let (near, far) = (here.link(&port_link(port)), there.link(far));
    Ok(match (near.context(what)?, far.context(what)?) {
        (Some(near), Some(far)) => near.peer == far.index && far.peer == near.index,
        _ => false,
    })
}

/// Makes the link of an interface: the port here, `far` in the instance's namespace.
pub fn connect_interface(
    fabric: &Namespace,
    port: PortIndex,
    far: &VethEnd<'_>,
    instance: &Namespace,
) -> Result<Link> {
    let what = || format!("connect port {port}");
    let mut here = Netlink::open_in(fabric).context(what)?;
    let mut there = Netlink::open_in(instance).context(what)?;
    // A port without its far end in this very namespace belongs to an earlier life.
    if !is_connected(fabric, port, far.name, instance)?
        && let Some(stale) = here.link(&port_link(port)).context(what)?
    {
        here.delete_link(stale.index).context(what)?;
    }
    pair(&mut here, port, &mut there, far, instance)?;
    // An encapsulated segment that leaves in one piece cannot be carried on in one (traps 5).
    instance.run(|| ethtool::disable_tunnel_offloads(far.name)).context(what)?.context(what)?;
    let made = here.link(&port_link(port)).context(what)?;
    made.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV)).context(what)
}

/// Makes the pair of a port if needed and sets both ends up; returns the far end.
fn pair(
    here: &mut Netlink,
    port: PortIndex,
    there: &mut Netlink,
    far: &VethEnd<'_>,
    namespace: &Namespace,
) -> Result<Link> {
    let name = port_link(port);
    let near = VethEnd { name: &name, mac: None, mtu: PORT_MTU };
    let near = netlink::ensure_veth(here, &near, far, namespace)?;
    let what = || format!("set up port {port}");
    let link = there
        .link(far.name)
        .and_then(|link| link.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV)))
        .context(what)?;
    there.set_up(link.index).context(what)?;
    here.set_up(near.index).context(what)?;
    Ok(link)
}

/// Writes kernel parameters of a network namespace. IPv6's are left out where there is none.
fn set_sysctls(namespace: &Namespace, values: &[(&str, &str)]) -> Result<()> {
    let write = || -> Result<()> {
        for (name, value) in values {
            let path = Path::new("/proc/sys").join(name);
            match fs::write(&path, value) {
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && name.starts_with("net/ipv6") => {}
                other => other.context(|| format!("set {}", path.display()))?,
            }
        }
        Ok(())
    };
    namespace.run(write).context(|| "enter a namespace")?
}

/// A prefix written in this file.
fn constant(prefix: &str) -> IpNet {
    prefix.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use gureum_types::{ServiceDoor, caller_address, ipv6_caller_address};

    use super::*;

    #[test]
    fn a_port_is_told_from_its_link_and_from_nothing_else() {
        assert_eq!(port_of_link(&port_link(PortIndex(131_071))), Some(PortIndex(131_071)));
        for name in ["lo", "p", "p07", "p+7", "p131072", "q7"] {
            assert_eq!(port_of_link(name), None, "{name}");
        }
        for prefix in [DOORS, CALLERS, IPV6_DOORS, IPV6_CALLERS] {
            assert_ne!(constant(prefix), IpNet::default(), "{prefix}");
        }
    }

    /// The words of the types and the routes of this file are the same (traps 11).
    #[test]
    fn doors_and_callers_are_where_routes_lead() {
        for door in ServiceDoor::ALL {
            assert!(constant(DOORS).contains(&IpAddr::V4(door.address())), "{door:?}");
            if let Some(address) = door.ipv6_address() {
                assert!(constant(IPV6_DOORS).contains(&IpAddr::V6(address)), "{door:?}");
            }
        }
        for port in [PortIndex::FIRST_INTERFACE, PortIndex(PortIndex::END.0 - 1)] {
            let (v4, v6) = (caller_address(port, 63), ipv6_caller_address(port, 63));
            assert!(constant(CALLERS).contains(&IpAddr::V4(v4.expect("in range"))));
            let endpoint = gureum_types::callee_address(port, 31).expect("in range");
            assert!(constant(DOORS).contains(&IpAddr::V4(endpoint)));
            assert!(constant(IPV6_CALLERS).contains(&IpAddr::V6(v6.expect("in range"))));
        }
    }
}
