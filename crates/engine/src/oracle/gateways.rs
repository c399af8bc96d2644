//! Internet gateways (IGW-*), egress-only ones (EIGW-1) and NAT gateways (NAT-*).

use std::net::IpAddr;

use gureum_types::{
    PortIndex,
    record::{NetworkInterface, Vpc},
};

use super::{
    About, Answer, Arrival, Fate, Kind, NewFlow, RST, SYN, Walk, Words,
    flows::{Binding, Progress, Tracked},
    lookup::{
        self, Way, by_private, by_public, edge_table_of, has_egress_only_gateway,
        has_internet_gateway, has_public_access, is_never_public, is_of_pool, is_of_service,
        public_of,
    },
    nat64,
};
use crate::Direction;

/// Ports that a NAT gateway may take (NAT-9).
const PORTS: std::ops::RangeInclusive<u16> = 1024..=65535;
/// How often NAT gateways may translate one packet: the engine's number.
const TRANSLATIONS_MAX: u8 = 4;

impl<'a> Walk<'a, '_> {
    /// From a VPC to its internet gateway, or to its egress-only one.
    pub(super) fn internet_egress(
        &mut self,
        from: &NetworkInterface,
        vpc: &'a Vpc,
        packet: Words,
        egress_only: bool,
    ) -> Arrival {
        // IGW-15
        if !has_public_access(self.network, from, egress_only) {
            return Err("block-public-access".into());
        }
        // IGW-18
        let owner = by_private(self.network, &vpc.id, packet.source).ok_or("gateway-spoofed")?;
        // IGW-16
        if is_never_public(packet.destination) {
            return Err("gateway-private-address".into());
        }
        // IGW-3, and IGW-5: a private NAT gateway has no public address either. IPv6 is not
        // translated (IGW-4).
        let source = match packet.source {
            IpAddr::V4(source) => {
                public_of(self.network, owner, source).ok_or("no-public-address")?.into()
            }
            IpAddr::V6(_) => packet.source,
        };
        // SG-37
        if matches!(packet.kind, Kind::Tcp(_, 25, _)) {
            return Err("smtp-blocked".into());
        }
        if egress_only {
            self.egress_only_egress(owner, &packet)?;
        }
        self.went.internet_gateway = true;
        let mut packet = Words { source, ..packet };
        // An error speaks of a packet that came the other way, to a public address.
        if let Some(about) = &mut packet.about
            && let IpAddr::V4(private) = about.destination
            && let Some(owner) = by_private(self.network, &vpc.id, about.destination)
            && let Some(public) = public_of(self.network, owner, private)
        {
            about.destination = public.into();
        }
        match by_public(self.network, packet.destination) {
            Some((other, private)) => self.enter_vpc(other, private, packet),
            None if is_of_pool(packet.destination) => Err("unknown-public-address".into()),
            None => Ok((PortIndex::INTERNET, packet)),
        }
    }

    /// From the internet.
    pub(super) fn internet_ingress(&mut self, packet: Words) -> Arrival {
        if is_never_public(packet.source) {
            return Err("gateway-private-address".into());
        }
        let (interface, private) =
            by_public(self.network, packet.destination).ok_or("unknown-public-address")?;
        self.went.internet_gateway = true;
        self.enter_vpc(interface, private, packet)
    }

    /// Through the gateway of the receiver's VPC (IGW-6). In IPv6 that may be an egress-only one,
    /// which lets in answers alone.
    fn enter_vpc(&mut self, to: &'a NetworkInterface, private: IpAddr, packet: Words) -> Arrival {
        let (_, vpc) = self.home(to)?;
        self.went.answers_tracker = false;
        if packet.source.is_ipv6() {
            if has_egress_only_gateway(self.network, vpc) && self.egress_only_ingress(to, &packet) {
                if !has_public_access(self.network, to, true) {
                    return Err("block-public-access".into());
                }
                self.went.egress_only = true;
                self.went.answers_tracker = true;
                return self.arrive(to, true, packet);
            }
            let open = has_internet_gateway(self.network, vpc);
            if !has_public_access(self.network, to, !open) {
                return Err("block-public-access".into());
            }
            if !open {
                return Err("egress-only-unsolicited".into());
            }
        }
        if packet.source.is_ipv4() && !has_public_access(self.network, to, false) {
            return Err("block-public-access".into());
        }
        let mut packet = Words { destination: private, ..packet };
        // And here of one that left, from a public address.
        if let Some(about) = &mut packet.about
            && let Some((owner, private)) = by_public(self.network, about.source)
            && self.home(owner)?.1.id == vpc.id
        {
            about.source = private;
        }
        // The gateway's own table, before all else (PIPE-2, RT-18).
        let to = match edge_table_of(self.network, vpc) {
            None => to,
            Some(table) => match lookup::way(self.network, vpc, table, private) {
                Ok(Way::Local) => to,
                // Behind an internet gateway, an appliance must have a public address itself.
                Ok(Way::Interface(appliance)) if self.has_public(appliance, private) => {
                    self.went.edge_table = true;
                    appliance
                }
                Err(Fate::Dropped("no-route")) => to,
                _ => return Err("route-blackhole".into()),
            },
        };
        self.arrive(to, true, packet)
    }

    /// Whether the internet knows an interface by an address of a family.
    fn has_public(&self, interface: &NetworkInterface, family_of: IpAddr) -> bool {
        match family_of {
            IpAddr::V4(_) => interface
                .private_addresses
                .iter()
                .any(|own| public_of(self.network, interface, *own).is_some()),
            IpAddr::V6(_) => !interface.ipv6_addresses.is_empty(),
        }
    }

    /// What begins inside of an egress-only gateway or goes on there.
    fn egress_only_egress(&mut self, owner: &NetworkInterface, packet: &Words) -> Answer<()> {
        let now = self.now;
        let mut flow = Tracked::new(owner.port, Direction::Egress, packet);
        let known = &mut self.oracle.egress_only;
        let mut at = known.iter().position(|known| known.is(&flow));
        if at.is_some_and(|at| known[at].progress.is_over() && packet.begins_tcp()) {
            known.retain(|known| !known.is(&flow));
            at = None;
        }
        self.went.egress_only = true;
        if let Some(at) = at {
            known[at].progress.see(Direction::Egress, packet.kind, now);
            return Ok(());
        }
        let loose = now < self.oracle.loose_until
            && matches!(packet.kind, Kind::Tcp(_, _, flags) if flags & SYN == 0);
        match packet.kind {
            Kind::Tcp(..) if !packet.begins_tcp() && !loose => {
                return Err("egress-only-unsolicited".into());
            }
            // The answer to a ping that came in by another gateway.
            Kind::Icmp(..) if packet.query().is_some() && !packet.asks() => {
                return Err("egress-only-unsolicited".into());
            }
            // Nothing answers what asks for nothing.
            Kind::Icmp(..) if !packet.asks() => return Ok(()),
            _ => {}
        }
        flow.progress = Progress::new(packet, Direction::Egress, loose);
        flow.progress.see(Direction::Egress, packet.kind, now);
        known.push(flow);
        Ok(())
    }

    fn egress_only_ingress(&mut self, to: &NetworkInterface, packet: &Words) -> bool {
        let now = self.now;
        if packet.is_icmp_error() {
            // What it speaks of was sent out, so that is how it is known.
            let about = packet.about.map(Words::from);
            let sent = about.map(|about| Tracked::new(to.port, Direction::Egress, &about));
            let known = &self.oracle.egress_only;
            return sent.is_some_and(|sent| known.iter().any(|known| known.is(&sent)));
        }
        let flow = Tracked::new(to.port, Direction::Ingress, packet);
        let known = self.oracle.egress_only.iter_mut().find(|known| known.is(&flow));
        known.map(|known| known.progress.see(Direction::Ingress, packet.kind, now)).is_some()
    }

    /// What a NAT gateway carries at all (NAT-7), to IPv4 (NAT-24).
    fn nat_passage(&self, packet: &Words) -> Answer<()> {
        let carried = match packet.kind {
            Kind::Tcp(..) | Kind::Udp(..) => true,
            Kind::Icmp(..) => packet.query().is_some() || packet.is_icmp_error(),
            Kind::Other(_) => false,
        };
        match (nat64::held(packet.destination), packet.kind) {
            (None, _) | (_, Kind::Other(_)) => return Err("nat-gateway-protocol".into()),
            (Some(to), _) if to.is_multicast() => return Err("multicast".into()),
            (Some(to), _) if to.is_broadcast() => return Err("broadcast".into()),
            _ if !carried => return Err("nat-gateway-protocol".into()),
            _ => {}
        }
        if self.went.nat_gateways >= TRANSLATIONS_MAX {
            return Err("nat-gateway-loop".into());
        }
        Ok(())
    }

    /// From a VPC through a NAT gateway. `from` is who sent the packet there.
    pub(super) fn nat_egress(
        &mut self,
        from: &NetworkInterface,
        gateway: &NetworkInterface,
        packet: Words,
    ) -> Answer<Words> {
        self.nat_passage(&packet)?;
        let (_, vpc) = self.home(gateway)?;
        // NAT-26
        by_private(self.network, &vpc.id, packet.source).ok_or("nat-gateway-source")?;
        // A gateway or an endpoint would have to be told, and has nobody behind its port.
        let can_be_told = !is_of_service(self.network, from);
        // NAT-18; no error about an error (RFC 1122, 3.2.2).
        if packet.hop_limit <= 1 {
            return Err(match can_be_told && !packet.is_icmp_error() {
                true => Fate::Answered("time-exceeded"),
                false => "hop-limit-exceeded".into(),
            });
        }
        if packet.is_icmp_error() {
            return self.nat_error(gateway, packet, Direction::Egress);
        }
        let [inside, remote] = packet.ends(Direction::Egress);
        let is_flow = |known: &Binding| {
            known.gateway == gateway.port
                && known.protocol() == packet.protocol()
                && (known.inside, known.remote) == (inside, remote)
        };
        let bindings = &mut self.oracle.bindings;
        // Another connection, and another port.
        bindings.retain(|b| !(is_flow(b) && b.progress.is_over() && packet.begins_tcp()));
        let at = match bindings.iter().position(is_flow) {
            Some(at) => at,
            None => {
                match packet.kind {
                    // NAT-12; a reset is not answered (RFC 9293).
                    Kind::Tcp(_, _, flags) if !packet.begins_tcp() => {
                        return Err(match can_be_told && flags & RST == 0 {
                            true => Fate::Answered("reset"),
                            false => "nat-gateway-unsolicited".into(),
                        });
                    }
                    Kind::Icmp(..) if !packet.asks() => {
                        return Err("nat-gateway-unsolicited".into());
                    }
                    _ => {}
                }
                self.bind(gateway, &packet, inside, remote)?
            }
        };
        let now = self.now;
        let binding = &mut self.oracle.bindings[at];
        binding.progress.see(Direction::Egress, packet.kind, now);
        let (source, port) = binding.outside;
        self.went.nat_gateways += 1;
        self.went.answers_tracker = false;
        let kind = match packet.kind {
            Kind::Tcp(_, to, flags) => Kind::Tcp(port, to, flags),
            Kind::Udp(_, to) => Kind::Udp(port, to),
            Kind::Icmp(kind, code, _) => Kind::Icmp(kind, code, port),
            other => other,
        };
        let packet = Words { kind, hop_limit: packet.hop_limit - 1, ..packet };
        if packet.source.is_ipv4() {
            return Ok(Words { source, ..packet });
        }
        self.went.nat64 = true;
        nat64::to_ipv4(&packet, source).ok_or_else(|| "nat-gateway-untranslatable".into())
    }

    /// An ICMP error through a NAT gateway: about a packet that it translated the other way, which
    /// looks then as it did before (RFC 5508, 4.2). It does not count as one of the flow.
    fn nat_error(
        &mut self,
        gateway: &NetworkInterface,
        packet: Words,
        direction: Direction,
    ) -> Answer<Words> {
        let out = direction == Direction::Egress;
        let about = packet.about.ok_or("nat-gateway-unsolicited")?;
        let before = Words::from(about);
        let ends = before.ends(if out { Direction::Ingress } else { Direction::Egress });
        let known = self.oracle.bindings.iter().find(|known| {
            let (local, remote, protocol) = match out {
                true => (known.inside, known.remote, known.protocol()),
                false => (known.outside, known.beyond, known.protocol_beyond),
            };
            known.gateway == gateway.port
                && protocol == before.protocol()
                && [local, remote] == ends
        });
        let known = known.ok_or("nat-gateway-unsolicited")?;
        let (address, port) = if out { known.outside } else { known.inside };
        self.went.nat_gateways += 1;
        self.went.answers_tracker = !out;
        let kind = match (about.kind, out) {
            (Kind::Tcp(from, _, flags), true) => Kind::Tcp(from, port, flags),
            (Kind::Tcp(_, to, flags), false) => Kind::Tcp(port, to, flags),
            (Kind::Udp(from, _), true) => Kind::Udp(from, port),
            (Kind::Udp(_, to), false) => Kind::Udp(port, to),
            (Kind::Icmp(kind, code, _), _) => Kind::Icmp(kind, code, port),
            (other, _) => other,
        };
        let about = About { kind, ..about };
        let hop_limit = packet.hop_limit - 1;
        let packet = Words { hop_limit, about: Some(about), ..packet };
        if address.is_ipv6() != packet.source.is_ipv6() {
            self.went.nat64 = true;
            let error = match out {
                true => nat64::to_ipv4(&packet, address),
                false => nat64::to_ipv6(&packet, address),
            };
            return error.ok_or_else(|| "nat-gateway-untranslatable".into());
        }
        Ok(if out {
            let about = Some(About { destination: address, ..about });
            Words { source: address, about, ..packet }
        } else {
            let about = Some(About { source: address, ..about });
            Words { destination: address, about, ..packet }
        })
    }

    /// A flow that begins, with the port that the engine took for it: one of the gateway's private
    /// addresses (NAT-26), in the range, and the flow's alone among those to the destination
    /// (NAT-9).
    fn bind(
        &mut self,
        gateway: &NetworkInterface,
        packet: &Words,
        inside: (IpAddr, u16),
        remote: (IpAddr, u16),
    ) -> Answer<usize> {
        let protocol = packet.protocol();
        let flow = NewFlow { gateway: gateway.port, protocol, inside, remote };
        let outside = (self.port_of)(&flow)
            .ok_or_else(|| Fate::WrongPort(format!("{flow:?} has no port")))?;
        let beyond = nat64::to_ipv4(packet, outside.0).unwrap_or(*packet);
        let protocol_beyond = beyond.protocol();
        let [_, beyond] = beyond.ends(Direction::Egress);
        let taken = self.oracle.bindings.iter().any(|known| {
            (known.gateway, known.protocol_beyond, known.outside, known.beyond)
                == (gateway.port, protocol_beyond, outside, beyond)
        });
        if taken || !PORTS.contains(&outside.1) || !lookup::has(gateway, outside.0) {
            return Err(Fate::WrongPort(format!("{flow:?} became {outside:?}")));
        }
        let progress = Progress::new(packet, Direction::Egress, false);
        let gateway = gateway.port;
        self.oracle.bindings.push(Binding {
            gateway,
            inside,
            outside,
            remote,
            beyond,
            protocol_beyond,
            progress,
        });
        Ok(self.oracle.bindings.len() - 1)
    }

    /// To a NAT gateway's own address: an answer goes on to who asked, from the very peer that was
    /// asked (NAT-11), and nothing else does (NAT-10).
    pub(super) fn nat_ingress(
        &mut self,
        gateway: &NetworkInterface,
        packet: Words,
    ) -> Answer<Words> {
        self.nat_passage(&packet)?;
        if packet.hop_limit <= 1 {
            return Err("hop-limit-exceeded".into());
        }
        if packet.is_icmp_error() {
            return self.nat_error(gateway, packet, Direction::Ingress);
        }
        let [local, remote] = packet.ends(Direction::Ingress);
        let now = self.now;
        let binding = self
            .oracle
            .bindings
            .iter_mut()
            .find(|known| {
                known.gateway == gateway.port
                    && known.protocol_beyond == packet.protocol()
                    && (known.outside, known.beyond) == (local, remote)
            })
            .ok_or("nat-gateway-unsolicited")?;
        binding.progress.see(Direction::Ingress, packet.kind, now);
        let (destination, port) = binding.inside;
        self.went.nat_gateways += 1;
        self.went.answers_tracker = true;
        let kind = match packet.kind {
            Kind::Tcp(from, _, flags) => Kind::Tcp(from, port, flags),
            Kind::Udp(from, _) => Kind::Udp(from, port),
            Kind::Icmp(kind, code, _) => Kind::Icmp(kind, code, port),
            other => other,
        };
        let packet = Words { kind, hop_limit: packet.hop_limit - 1, ..packet };
        if destination.is_ipv4() {
            return Ok(Words { destination, ..packet });
        }
        self.went.nat64 = true;
        nat64::to_ipv6(&packet, destination).ok_or_else(|| "nat-gateway-untranslatable".into())
    }
}
