//! The hosts of the simulated internet as data.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use gureum_types::IPV6_POOL;
use serde::Deserialize;

/// The pool of the VPCs' public addresses, where no host of the internet may be.
const PUBLIC_POOL: ipnet::Ipv4Net = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 16);

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Answers DNS.
    Resolver,
    /// Answers the address that a request comes from.
    EchoAddress,
    /// Shows a page that names the host.
    Page,
    /// Offers mirror lists and empty repositories.
    PackageRepository,
    /// Serves git repositories.
    Git,
    /// Is the AWS API of this cloud.
    AwsApi,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its IPv4 address; none where it has IPv6 only.
    pub address: Option<Ipv4Addr>,
    /// Its IPv6 address, if it has one.
    pub ipv6: Option<Ipv6Addr>,
    /// Names and patterns of names, lower case, without the last dot.
    pub names: Vec<String>,
    /// What it does: DNS or not, and at most one kind of web site.
    pub roles: Vec<Role>,
}

impl Host {
    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (v4, v6) = (self.address.map(IpAddr::V4), self.ipv6.map(IpAddr::V6));
        v4.into_iter().chain(v6)
    }

    /// Its web site, if it has one.
    pub fn site(&self) -> Option<Role> {
        self.roles.iter().copied().find(|role| *role != Role::Resolver)
    }

    /// Whether a name is one of its own.
    pub fn is_called(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.names.iter().any(|own| matches(own, &name))
    }

    /// Its first name that is no pattern.
    pub fn literal_name(&self) -> Option<&str> {
        self.names.iter().find(|name| !name.contains('*')).map(String::as_str)
    }
}

/// What listens at an address of the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DoorService {
    /// DNS over UDP.
    DnsUdp,
    /// DNS over TCP.
    DnsTcp,
    /// A web site.
    Http,
    /// A web site over TLS.
    Https,
}

/// A place where a server of the internet listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Door {
    /// One of the host's addresses.
    pub address: IpAddr,
    /// What listens there.
    pub service: DoorService,
}

impl Door {
    /// The port to listen at.
    pub fn port(&self) -> u16 {
        match self.service {
            DoorService::DnsUdp | DoorService::DnsTcp => 53,
            DoorService::Http => 80,
            DoorService::Https => 443,
        }
    }

    /// Whether it wants a UDP socket; all others are TCP listeners.
    pub fn is_udp(&self) -> bool {
        self.service == DoorService::DnsUdp
    }
}

/// Why a list of hosts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// Not the expected form.
    #[error("the list of hosts is malformed: {0}")]
    Malformed(#[from] toml::de::Error),
    /// Two hosts with one address.
    #[error("two hosts have the address {0}")]
    Duplicate(IpAddr),
    /// An address that no host may have.
    #[error("no host may have the address {0}")]
    Reserved(IpAddr),
    /// Not a host name.
    #[error("\"{0}\" is no name of a host")]
    Name(String),
    /// A host without an address.
    #[error("the host {0} has no address")]
    Nowhere(String),
    /// More than one web site at one address.
    #[error("the host at {0} has more than one web site")]
    Sites(IpAddr),
}

/// All hosts.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    hosts: Vec<Host>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    host: Vec<Host>,
}

impl Hosts {
    /// The hosts that come with us.
    pub fn embedded() -> Result<Self, HostsError> {
        Self::parse(include_str!("../../../../internet/hosts.toml"))
    }

    /// Reads a list of hosts.
    pub fn parse(text: &str) -> Result<Self, HostsError> {
        let file: File = toml::from_str(text)?;
        let mut hosts: Vec<Host> = Vec::new();
        for host in file.host {
            let Some(first) = host.addresses().next() else {
                return Err(HostsError::Nowhere(host.names.join(", ")));
            };
            for address in host.addresses() {
                if is_reserved(address) {
                    return Err(HostsError::Reserved(address));
                }
                if hosts.iter().any(|other| other.addresses().any(|taken| taken == address)) {
                    return Err(HostsError::Duplicate(address));
                }
            }
            if let Some(name) = host.names.iter().find(|name| !is_name(name)) {
                return Err(HostsError::Name(name.clone()));
            }
            if host.roles.iter().filter(|role| **role != Role::Resolver).count() > 1 {
                return Err(HostsError::Sites(first));
            }
            hosts.push(host);
        }
        hosts.sort_by_key(|host| host.addresses().next());
        Ok(Self { hosts })
    }

    /// The addresses of the hosts with a name below a domain, as `amazonaws.com`.
    pub fn below(&self, domain: &str) -> impl Iterator<Item = IpAddr> {
        let is_below =
            move |name: &String| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let found = self.hosts.iter().filter(move |it| it.names.iter().any(is_below));
        found.flat_map(Host::addresses)
    }

    /// The IPv4 addresses of all hosts.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.hosts.iter().filter_map(|host| host.address)
    }

    /// The IPv6 addresses of all hosts.
    pub fn ipv6_addresses(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.hosts.iter().filter_map(|host| host.ipv6)
    }

    /// The host at an address.
    pub fn at(&self, address: IpAddr) -> Option<&Host> {
        self.hosts.iter().find(|host| host.addresses().any(|own| own == address))
    }

    /// Every place where something listens.
    pub fn doors(&self) -> impl Iterator<Item = Door> + '_ {
        self.hosts.iter().flat_map(|host| {
            let dns = [DoorService::DnsUdp, DoorService::DnsTcp];
            let web = [DoorService::Http, DoorService::Https];
            let dns = dns.into_iter().filter(|_| host.roles.contains(&Role::Resolver));
            let web = web.into_iter().filter(|_| host.site().is_some());
            let services: Vec<_> = dns.chain(web).collect();
            host.addresses().flat_map(move |address| {
                services.clone().into_iter().map(move |service| Door { address, service })
            })
        })
    }

    /// The addresses of a name (lower case, no last dot): a literal name wins over patterns, a
    /// longer pattern over a shorter one.
    pub fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        let matching = |host: &Host| {
            let ranks = host.names.iter().filter(|own| matches(own, name));
            ranks.map(|own| if own.contains('*') { own.len() } else { usize::MAX }).max()
        };
        let ranked: Vec<_> =
            self.hosts.iter().filter_map(|host| matching(host).map(|rank| (rank, host))).collect();
        let best = ranked.iter().map(|(rank, _)| *rank).max();
        let called = ranked.iter().filter(|(rank, _)| Some(*rank) == best);
        called.flat_map(|(_, host)| host.addresses()).collect()
    }

    /// The name of the host at an address.
    pub fn name_of(&self, address: IpAddr) -> Option<&str> {
        self.at(address)?.literal_name()
    }

    /// Whether there are names below this one, so that it exists without having an address.
    pub fn has_below(&self, name: &str) -> bool {
        name.is_empty()
            || self.names().any(|own| {
                own.strip_suffix(name).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
            })
    }

    /// The zone that answers for a name: its last two labels where a host is in them, else the
    /// root.
    pub fn zone_of<'n>(&self, name: &'n str) -> &'n str {
        let zone = name.rmatch_indices('.').nth(1).map_or(name, |(dot, _)| &name[dot + 1..]);
        let exists =
            zone.contains('.') && (self.names().any(|n| n == zone) || self.has_below(zone));
        if exists { zone } else { "." }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().flat_map(|host| host.names.iter().map(String::as_str))
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port()).fmt(f)
    }
}

/// Whether an address is none that a host may have.
fn is_reserved(address: IpAddr) -> bool {
    let pooled = match address {
        IpAddr::V4(address) => PUBLIC_POOL.contains(&address),
        IpAddr::V6(address) => IPV6_POOL.contains(&address) || address.is_unicast_link_local(),
    };
    pooled || address.is_loopback() || address.is_multicast() || address.is_unspecified()
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*');
        (1..=63).contains(&label.len()) && label.bytes().all(good)
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether a pattern, in which `*` stands for one or more characters, covers a name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    (1..=name.len()).any(|end| name.get(end..).is_some_and(|tail| matches(rest, tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded() -> Hosts {
        Hosts::embedded().expect("the embedded list is well formed")
    }

    fn address(text: &str) -> Vec<IpAddr> {
        vec![text.parse().expect("an address")]
    }

    #[test]
    fn hosts_are_found_by_a_domain() {
        let hosts = Hosts::embedded().expect("a list");
        let below = |domain: &str| hosts.below(domain).map(|it| it.to_string()).collect::<Vec<_>>();
        let aws = below("amazonaws.com");
        for address in ["203.0.113.20", "203.0.113.50", "203.0.113.129", "203.0.113.161"] {
            assert!(aws.iter().any(|it| it == address), "{address} in {aws:?}");
        }
        assert!(!aws.iter().any(|it| it == "203.0.113.40"), "{aws:?}");
        assert!(below("ws.com").is_empty(), "a part of a label is no domain");
    }

    #[test]
    fn the_hosts_of_the_lab_have_their_addresses() {
        let hosts = embedded();
        assert_eq!(hosts.addresses_of("checkip.amazonaws.com"), address("203.0.113.20"));
        assert_eq!(hosts.addresses_of("ssm.ap-northeast-2.amazonaws.com"), address("203.0.113.50"));
        let mirror = "amazonlinux-2-repos-ap-northeast-2.s3.dualstack.ap-northeast-2.amazonaws.com";
        let both = [address("203.0.113.130"), address("2001:db8:8000:2::30")].concat();
        assert_eq!(hosts.addresses_of(mirror), both);
        let s3 = ["s3.ap-northeast-2.amazonaws.com", "a.b.s3.us-east-1.amazonaws.com"];
        for name in s3 {
            assert_eq!(hosts.addresses_of(name), address("203.0.113.129"), "{name}");
        }
        assert_eq!(hosts.addresses_of("dns.google").len(), 4, "one name, two hosts, two families");
        assert!(hosts.addresses_of("amazonaws.com").is_empty());
        assert!(hosts.addresses_of("nobody.example.com").is_empty());
        assert_eq!(hosts.name_of(Ipv4Addr::new(1, 1, 1, 1).into()), Some("one.one.one.one"));
    }

    /// Whoever comes through an endpoint gets to the host that has the service's name.
    #[test]
    fn whatever_has_endpoints_is_somewhere() {
        let hosts = embedded();
        let region = "us-east-1".parse().expect("a region");
        for service in gureum_types::ENDPOINT_SERVICES {
            let name = service.public_dns_name(&region);
            assert!(!hosts.addresses_of(&name).is_empty(), "{name}");
        }
    }

    /// VPCE-18: what a prefix list names is where the service is, and nothing else is there.
    #[test]
    fn services_with_gateway_endpoints_are_in_their_blocks() {
        let hosts = embedded();
        let region = "ap-northeast-2".parse().expect("a region");
        for service in gureum_types::ENDPOINT_SERVICES {
            let Some(gateway) = &service.gateway else { continue };
            let names: Vec<_> = service.private_dns_names(&region).collect();
            for name in names.iter().chain([&service.public_dns_name(&region)]) {
                for address in hosts.addresses_of(&name.replace('*', "x")) {
                    let IpAddr::V4(address) = address else { panic!("{name} has IPv6") };
                    assert!(gateway.block.contains(&address), "{name}");
                }
            }
            let inside = |host: &&Host| host.address.is_some_and(|it| gateway.block.contains(&it));
            for host in hosts.hosts.iter().filter(inside) {
                let ours = |name: &String| name.contains(service.name);
                assert!(host.names.iter().all(ours), "{host:?}");
            }
        }
    }

    #[test]
    fn a_name_belongs_to_a_zone_that_exists() {
        let hosts = embedded();
        assert_eq!(hosts.zone_of("nobody.example.com"), "example.com");
        assert_eq!(hosts.zone_of("amazonaws.com"), "amazonaws.com");
        assert_eq!(hosts.zone_of("nowhere.invalid"), ".");
        assert!(hosts.has_below("com") && hosts.has_below("amazonaws.com"));
        assert!(!hosts.has_below("ample.com") && !hosts.has_below("invalid"));
    }

    #[test]
    fn doors_are_what_the_roles_need() {
        let hosts = Hosts::parse(
            r#"
            [[host]]
            address = "9.9.9.9"
            names = ["a.test"]
            roles = ["resolver", "page"]
            [[host]]
            ipv6 = "2620:fe::fe"
            names = ["b.test"]
            roles = ["git"]
            "#,
        )
        .expect("well formed");
        let doors: Vec<_> = hosts.doors().map(|door| (door.to_string(), door.is_udp())).collect();
        let tcp = |port| (format!("9.9.9.9:{port}"), false);
        let ipv6 = |port| (format!("[2620:fe::fe]:{port}"), false);
        let v4 = [("9.9.9.9:53".to_owned(), true), tcp(53), tcp(80), tcp(443)];
        assert_eq!(doors, [&v4[..], &[ipv6(80), ipv6(443)]].concat());
    }

    #[test]
    fn a_list_that_cannot_work_is_refused() {
        let list = |hosts: &[(&str, &str, &str)]| {
            let mut text = String::new();
            for (address, name, roles) in hosts {
                let kind = if address.contains(':') { "ipv6" } else { "address" };
                text += &format!(
                    "[[host]]\n{kind} = \"{address}\"\nnames = [\"{name}\"]\nroles = [{roles}]\n"
                );
            }
            Hosts::parse(&text).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(list(&[("9.9.9.9", "a.test", "")]), Ok(()));
        for (hosts, sentence) in [
            (&[("198.18.3.4", "a.test", "")] as &[_], "no host may have the address 198.18.3.4"),
            (
                &[("2001:db8:7fff::1", "a.test", "")],
                "no host may have the address 2001:db8:7fff::1",
            ),
            (&[("fe80::1", "a.test", "")], "no host may have the address fe80::1"),
            (
                &[("2001:db8:8000::1", "a.test", ""), ("2001:db8:8000::1", "b.test", "")],
                "two hosts have the address 2001:db8:8000::1",
            ),
            (&[("9.9.9.9", "a test", "")], "\"a test\" is no name of a host"),
            (
                &[("9.9.9.9", "a.test", "\"page\", \"git\"")],
                "the host at 9.9.9.9 has more than one web site",
            ),
            (
                &[("9.9.9.9", "a.test", ""), ("9.9.9.9", "b.test", "")],
                "two hosts have the address 9.9.9.9",
            ),
        ] {
            assert_eq!(list(hosts), Err(sentence.to_owned()));
        }
        assert!(list(&[("9.9.9.9", "a.test", "\"pages\"")]).is_err(), "an unknown role");
        let nowhere = Hosts::parse("[[host]]\nnames = [\"a.test\"]\nroles = []\n");
        let sentence = nowhere.map(drop).map_err(|error| error.to_string());
        assert_eq!(sentence, Err("the host a.test has no address".to_owned()));
    }
}
