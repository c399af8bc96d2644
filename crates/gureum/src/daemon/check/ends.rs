//! Who is meant by the ends of an expectation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use gureum_control::{Directory, Found, Named};
use gureum_engine::WhySource;
use gureum_types::{EndpointService, record::NetworkInterface};
use ipnet::Ipv4Net;

use crate::daemon::{
    names::Meant,
    why::{INTERNET, Source},
};

/// Why it cannot be said who is meant: a sentence.
pub(super) type Unknown = String;

/// Who sends packets.
pub(super) struct Sender {
    /// As the engine and the resolver know it.
    pub source: Source,
    /// What people call it.
    pub name: String,
}

/// Where packets go to.
#[derive(Clone)]
pub(super) enum Receiver {
    /// The simulated internet.
    Internet,
    /// An address, as it is written.
    Address(IpAddr),
    /// An interface, with what people call it.
    Interface(Found<NetworkInterface>, String),
    /// A host name, as it is written.
    Name(String),
}

impl Receiver {
    /// What people call it.
    pub(super) fn name(&self, directory: &Directory) -> String {
        match self {
            Self::Internet => INTERNET.to_owned(),
            Self::Address(address) => match directory.interface_at(*address) {
                Some(found) => format!("{address} ({})", directory.label(found)),
                None => address.to_string(),
            },
            Self::Interface(_, name) | Self::Name(name) => name.clone(),
        }
    }

    /// Whether it is the interface that a packet comes from.
    pub(super) fn is(&self, sender: &Sender) -> bool {
        match (self, &sender.source.interface) {
            (Self::Interface(to, _), Some(from)) => to.record.id == from.record.id,
            (Self::Internet, None) => sender.name == INTERNET,
            _ => false,
        }
    }
}

/// Finds out who is meant.
pub(super) struct Ends<'a> {
    pub directory: &'a Directory,
    pub public_pool: Ipv4Net,
    /// Where the internet's client sends from.
    pub client: IpAddr,
}

impl Ends<'_> {
    /// Who sends, where an expectation names this as its beginning.
    pub(super) fn senders(&self, name: &str) -> Result<Vec<Sender>, Unknown> {
        if name == INTERNET {
            let source = Source { end: WhySource::Internet(self.client), interface: None };
            return Ok(vec![Sender { source, name: name.to_owned() }]);
        }
        match self.one(name)? {
            Some(Named::Interface(found)) => {
                self.usable(name, &found)?;
                if !self.directory.sends(&found) {
                    let id = &found.record.id;
                    return Err(format!("\"{name}\" is {id}, which no instance sends from"));
                }
                let own = |address: &IpAddr| match address {
                    IpAddr::V4(address) => found.record.private_addresses.contains(address),
                    IpAddr::V6(address) => found.record.ipv6_addresses.contains(address),
                };
                let address = name.parse().ok().filter(own);
                Ok(vec![self.sender(&found, address)])
            }
            Some(set) => {
                let (members, what) = self.members(&set);
                let members: Vec<_> =
                    members.iter().filter(|it| self.directory.sends(it)).collect();
                match members.is_empty() {
                    true => Err(format!("{what} \"{name}\" has no instance that is on")),
                    false => Ok(members.into_iter().map(|it| self.sender(it, None)).collect()),
                }
            }
            None => match name.parse::<IpAddr>() {
                Ok(address) if self.is_of_the_internet(address) => {
                    let source = Source { end: WhySource::Internet(address), interface: None };
                    Ok(vec![Sender { source, name: name.to_owned() }])
                }
                Ok(_) => Err(format!(
                    "no interface has {name}, and it is no address of the internet's either"
                )),
                Err(_) if EndpointService::meant(name).is_some() => {
                    Err(format!("\"{name}\" is a service: nothing comes from there by itself"))
                }
                Err(_) => Err(nobody(name)),
            },
        }
    }

    /// Where packets go to, where an expectation names this as its end.
    pub(super) fn receivers(&self, name: &str) -> Result<Vec<Receiver>, Unknown> {
        if name == INTERNET {
            return Ok(vec![Receiver::Internet]);
        }
        // An address is meant as it is written.
        if let Ok(address) = name.parse() {
            return Ok(vec![Receiver::Address(address)]);
        }
        match self.one(name)? {
            Some(Named::Interface(found)) => {
                self.usable(name, &found)?;
                let label = self.directory.label(&found);
                Ok(vec![Receiver::Interface(found, label)])
            }
            Some(set) => {
                let (members, what) = self.members(&set);
                let receives = |it: &Found<NetworkInterface>| {
                    self.directory.sends(it) || it.record.interface_type == "vpc_endpoint"
                };
                let members: Vec<_> = members.into_iter().filter(receives).collect();
                if members.is_empty() {
                    return Err(format!("{what} \"{name}\" has no interface that is in use"));
                }
                let labeled = members.into_iter().map(|found| {
                    let label = self.directory.label(&found);
                    Receiver::Interface(found, label)
                });
                Ok(labeled.collect())
            }
            None if Meant::by(name, None).is_some() => Ok(vec![Receiver::Name(name.to_owned())]),
            None => Err(nobody(name)),
        }
    }

    /// An interface as sender, by an address of it or the primary one.
    pub(super) fn sender(
        &self,
        found: &Found<NetworkInterface>,
        address: Option<IpAddr>,
    ) -> Sender {
        let end = WhySource::Interface { port: found.record.port, address };
        let source = Source { end, interface: Some(found.clone()) };
        Sender { source, name: self.directory.label(found) }
    }

    /// The one thing that has a name, if any has; never one of several.
    fn one(&self, name: &str) -> Result<Option<Named>, Unknown> {
        let named = self.directory.named(name);
        // A service's short name may be somebody's Name tag.
        let service = EndpointService::meant(name).filter(|service| service.name == name);
        match (named, service) {
            ([], _) => Ok(None),
            ([one], None) => Ok(Some(one.clone())),
            (several, service) => {
                let ids = several.iter().map(|it| it.id().to_owned());
                let service = service.map(|it| format!("the service {}", it.name));
                let all: Vec<_> = ids.chain(service).collect();
                Err(format!(
                    "\"{name}\" is the name of {} things: {}; say which by its id",
                    all.len(),
                    all.join(", ")
                ))
            }
        }
    }

    /// The interfaces of a set, and what the set is.
    fn members(&self, set: &Named) -> (Vec<Found<NetworkInterface>>, &'static str) {
        let (mut members, what) = match set {
            Named::Interface(found) => (vec![found.clone()], "the interface"),
            Named::Subnet(found) => (self.directory.interfaces_in(&found.record.id), "the subnet"),
            Named::SecurityGroup(found) => {
                (self.directory.interfaces_with(&found.record.id), "the security group")
            }
        };
        members.sort_by_cached_key(|it| self.directory.label(it));
        (members, what)
    }

    /// Nothing can be said of the packets of an instance that is off: whatever the rules are, it has
    /// none.
    fn usable(&self, name: &str, found: &Found<NetworkInterface>) -> Result<(), Unknown> {
        match self.directory.instance_of(found) {
            Some(instance) if !self.directory.sends(found) => {
                Err(format!("\"{name}\" is {}, which is {}", instance.id, instance.state.name()))
            }
            None if !found.record.requester_managed => {
                let id = &found.record.id;
                Err(format!("\"{name}\" is {id}, which is attached to no instance"))
            }
            _ => Ok(()),
        }
    }

    fn is_of_the_internet(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => !is_special(address) && !self.public_pool.contains(&address),
            IpAddr::V6(address) => !is_special_ipv6(address),
        }
    }
}

/// Whether an address is nobody's in the internet.
fn is_special(address: Ipv4Addr) -> bool {
    let shared = u32::from(address) >> 22 == u32::from(Ipv4Addr::new(100, 64, 0, 0)) >> 22;
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_unspecified()
        || shared
}

fn is_special_ipv6(address: Ipv6Addr) -> bool {
    address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unspecified()
}

fn nobody(name: &str) -> Unknown {
    format!(
        "nothing is called \"{name}\"; an end is a Name tag, an id, an address, a subnet, a security \
         group, \"{INTERNET}\", or as destination a service (ssm, s3) or a host name"
    )
}
