//! Says whether packets pass: finds who is meant by the ends of a question, asks the engine on the
//! present state, and where a service is meant says what else stands between.

use std::net::{IpAddr, Ipv6Addr};

use gureum_control::Found;
use gureum_engine::{WhyQuery, WhySource, WhyTraffic};
use gureum_types::record::NetworkInterface;

use super::{
    CLIENT, IPV6_CLIENT,
    clerk::{Answer, Clerk},
    names::{Asker, Meant},
};
use crate::admin::{Reply, WhyAnswer, WhyArgs};

/// The name of the simulated internet in questions.
pub(super) const INTERNET: &str = "internet";
/// A port of the ephemeral range, where a question names none.
pub(super) const EPHEMERAL: u16 = 49152;
/// The port of services of AWS, where a question about one names none.
pub(super) const HTTPS: u16 = 443;

/// Where a question leads.
pub(super) enum Destination {
    Internet,
    Address(IpAddr),
    Interface { private: IpAddr, public: Option<IpAddr> },
    Name(Meant),
}

/// Where a question comes from.
pub(super) struct Source {
    /// As the engine knows it.
    pub end: WhySource,
    /// The interface, if it is one.
    pub interface: Option<Found<NetworkInterface>>,
}

impl Clerk {
    pub(super) fn why(&self, question: &WhyArgs) -> Answer<Reply> {
        let mut present = self.present();
        // The family is that of an address that was written, or what was asked for.
        let written = [&question.source, &question.destination];
        let ipv6 = question.ipv6 || written.iter().any(|end| end.parse::<Ipv6Addr>().is_ok());
        let client = if ipv6 { IPV6_CLIENT.into() } else { IpAddr::from(CLIENT) };
        let source = self.source_of(&question.source, client)?;
        let destination = match self.destination(&question.destination, ipv6, &source)? {
            Destination::Internet => client,
            Destination::Address(address) => address,
            // From outside only the public address leads there; without one the packet is sent to
            // the private address, and the answer is why that does not arrive. From inside a name
            // means the private address (DNS-9).
            Destination::Interface { public, private } => match source.end {
                WhySource::Internet(_) => public.unwrap_or(private),
                WhySource::Interface { .. } => private,
            },
            Destination::Name(meant) => {
                let traffic = traffic(question, meant.service.map(|_| HTTPS))?;
                let asker = Asker {
                    control: &self.control,
                    resolver: present.resolver()?,
                    source: &source,
                    ipv6,
                };
                let mut packets = |address| present.ask(&packet(&source, address, traffic));
                return asker.answer(meant, &mut packets).map(|it| Reply::Why(Box::new(it)));
            }
        };
        let traffic = traffic(question, None)?;
        let report = present.ask(&packet(&source, destination, traffic))?;
        let answer = WhyAnswer { name: None, report: Some(report), findings: Vec::new() };
        Ok(Reply::Why(Box::new(answer)))
    }

    /// Who is meant by the source of a question; `client` is who speaks for the internet.
    pub(super) fn source_of(&self, name: &str, client: IpAddr) -> Answer<Source> {
        match name {
            INTERNET => Ok(Source { end: WhySource::Internet(client), interface: None }),
            name => self.source(name),
        }
    }

    fn source(&self, name: &str) -> Answer<Source> {
        match self.interface(name)? {
            Some(found) => {
                let own = |address: &IpAddr| match address {
                    IpAddr::V4(address) => found.record.private_addresses.contains(address),
                    IpAddr::V6(address) => found.record.ipv6_addresses.contains(address),
                };
                let address = name.parse().ok().filter(own);
                let end = WhySource::Interface { port: found.record.port, address };
                Ok(Source { end, interface: Some(found) })
            }
            None => match name.parse::<IpAddr>() {
                Ok(address) => Ok(Source { end: WhySource::Internet(address), interface: None }),
                Err(_) => Err(unknown_end(name)),
            },
        }
    }

    pub(super) fn destination(
        &self,
        name: &str,
        ipv6: bool,
        source: &Source,
    ) -> Answer<Destination> {
        if name == INTERNET {
            return Ok(Destination::Internet);
        }
        // An address is meant as it is written.
        if let Ok(address) = name.parse() {
            return Ok(Destination::Address(address));
        }
        let Some(found) = self.interface(name)? else {
            let region = source.interface.as_ref().map(|it| &it.scope.region);
            let meant = Meant::by(name, region).map(Destination::Name);
            return meant.ok_or_else(|| unknown_end(name));
        };
        if ipv6 {
            // An address of IPv6 is the same inside and outside (IGW-4).
            return match found.record.ipv6_addresses.first() {
                Some(address) => Ok(Destination::Address((*address).into())),
                None => Err(format!("\"{name}\" has no IPv6 address")),
            };
        }
        Ok(Destination::Interface {
            private: found
                .record
                .primary_address()
                .ok_or_else(|| format!("\"{name}\" has no IPv4 address"))?
                .into(),
            public: self.control.public_address(&found.record).map(IpAddr::from),
        })
    }
}

/// The packet to an address that is asked about.
pub(super) fn packet(source: &Source, destination: IpAddr, traffic: WhyTraffic) -> WhyQuery {
    WhyQuery { source: source.end.clone(), destination, traffic }
}

fn unknown_end(name: &str) -> String {
    format!(
        "\"{name}\" is no instance, interface, service or address\n\
         help: an end is a Name tag, an id, an address, \"{INTERNET}\", or as destination a service \
         (ssm, s3) or a host name; `gureum instances` lists instances"
    )
}

fn traffic(question: &WhyArgs, default: Option<u16>) -> Answer<WhyTraffic> {
    let source_port = question.source_port.unwrap_or(EPHEMERAL);
    let port = || {
        let port = question.port.or(default);
        port.ok_or_else(|| format!("{} needs a port", question.protocol))
    };
    match question.protocol.as_str() {
        "tcp" | "6" => Ok(WhyTraffic::Tcp { source_port, destination_port: port()? }),
        "udp" | "17" => Ok(WhyTraffic::Udp { source_port, destination_port: port()? }),
        // An identifier that no running ping is likely to have: a new one is asked for (SGT-7).
        "icmp" | "icmpv6" | "1" | "58" => Ok(WhyTraffic::IcmpEcho { identifier: u16::MAX }),
        other => match other.parse() {
            Ok(number) => Ok(WhyTraffic::Protocol(number)),
            Err(_) => Err(format!("\"{other}\" is no protocol: tcp, udp, icmp or a number")),
        },
    }
}
