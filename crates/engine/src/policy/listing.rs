//! A policy as text, for tests: all that it says, by names instead of numbers.

use std::fmt::{Debug, Write};

use super::{ComponentIndex, GroupIndex, Policy, Slot, Vpc};

impl Policy {
    /// All that the policy says, by names instead of the numbers that compiling gave out: policies
    /// with the same text do the same to every packet, whatever they were compiled from.
    pub fn listing(&self) -> String {
        let mut lines: Vec<String> = self.ports().map(|info| format!("{info:?}")).collect();
        for subnet in self.subnets.iter().flatten() {
            let mut text = format!(
                "{} {:?} {:?} {:02x?}",
                subnet.id, subnet.block, subnet.ipv6_block, subnet.router_mac
            );
            if let Some(vpc) = self.vpc(subnet) {
                let _ = write!(text, " {:?}", Vpc { peers: Vec::new(), ..vpc.clone() });
                let peers: Vec<_> = vpc.peers.iter().map(|peer| self.vpc_name(*peer)).collect();
                let _ = write!(text, " peers {peers:?}");
            }
            self.named(&mut text, &self.acl(subnet));
            self.named(&mut text, &self.table(subnet));
            self.named(&mut text, &self.edge_table(subnet.vpc));
            let endpoints = self.gateway_endpoints.iter().filter(|(_, of)| of.vpc == subnet.vpc);
            let mut endpoints: Vec<_> =
                endpoints.map(|(number, of)| (*number, of.service.block)).collect();
            endpoints.sort_unstable();
            let _ = write!(text, " endpoints {endpoints:?}");
            lines.push(text);
        }
        for slot in self.slots.iter() {
            let Slot::Interface(interface) = slot else { continue };
            let mut text = format!(
                "{} {:?} in {:?}, check {}, {:?}, timeouts {:?}, logged {:?}, has",
                interface.port,
                interface.role,
                self.subnet(interface).map(|subnet| &subnet.id),
                interface.source_dest_check,
                interface.record.id,
                self.timeouts.get(&interface.port.0),
                self.logged.number(interface.port.0),
            );
            let vpc = self.subnet(interface).map_or(usize::MAX, |subnet| subnet.vpc);
            let addresses = interface.addresses.iter().map(|(private, public)| (*private, *public));
            for (private, public) in addresses.chain(interface.ipv6.iter().map(|a| (*a, Some(*a))))
            {
                let owner = self.by_private(vpc, private).map(|owner| owner.port);
                let public_owner = public.and_then(|public| self.by_public(public));
                let public_owner = public_owner.map(|(owner, behind)| (owner.port, behind));
                let _ = write!(text, " {private} of {owner:?} {public:?} of {public_owner:?}");
            }
            let station = self.by_mac(interface.subnet, interface.mac).map(|of| of.port);
            let _ = write!(text, " {:02x?} of {station:?}", interface.mac);
            if let Some(rules) = self.rules(interface) {
                let mut groups: Vec<_> =
                    rules.groups.iter().map(|group| self.members(*group)).collect();
                groups.sort_unstable();
                let _ = write!(text, " groups {groups:?}");
                for set in [&rules.egress, &rules.ingress] {
                    let set = set.listing(|group, rule| {
                        format!("{:?} {:?}", self.members(group), self.component(rule))
                    });
                    self.named(&mut text, &format_args!("{set}"));
                }
            }
            lines.push(text);
        }
        let (private, public, stations) = self.maps.sizes();
        lines.push(format!("{private} private, {public} public, {stations} on links"));
        lines.sort_unstable();
        lines.join("\n")
    }

    fn vpc_name(&self, place: usize) -> String {
        let mut subnets: Vec<_> = self.subnets.iter().flatten().collect();
        subnets.retain(|subnet| subnet.vpc == place);
        subnets.iter().map(|subnet| subnet.id.to_string()).min().unwrap_or_default()
    }

    /// Adds a part, with what its numbers stand for.
    fn named(&self, text: &mut String, part: &impl Debug) {
        let debug = format!("{part:?}");
        let mut rest = debug.as_str();
        text.push(' ');
        while let Some((head, kind, number, tail)) = next_number(rest) {
            text.push_str(head);
            let _ = match kind {
                "ComponentIndex" => write!(text, "{:?}", self.component(ComponentIndex(number))),
                _ => {
                    let place = usize::try_from(number).unwrap_or(usize::MAX);
                    let vpcs = self.peerings.get(place).map(|peering| peering.vpcs);
                    write!(text, "{:?}", vpcs.map(|vpcs| vpcs.map(|vpc| self.vpc_name(vpc))))
                }
            };
            rest = tail;
        }
        text.push_str(rest);
    }

    /// The ports of the members of a group.
    fn members(&self, group: GroupIndex) -> Vec<u32> {
        let interfaces = self.slots.iter().filter_map(|slot| match slot {
            Slot::Interface(interface) => Some(interface),
            _ => None,
        });
        interfaces
            .filter(|of| self.rules(of).is_some_and(|rules| rules.groups.contains(&group)))
            .map(|of| of.port.0)
            .collect()
    }
}

/// The text before the next number that compiling gave out, its kind, the number, and the rest.
fn next_number(text: &str) -> Option<(&str, &'static str, u32, &str)> {
    let kinds = ["ComponentIndex", "Peering"];
    let found = kinds.iter().filter_map(|kind| Some((text.find(&format!("{kind}("))?, *kind)));
    let (at, kind) = found.min()?;
    let (head, rest) = text.split_at_checked(at)?;
    let (number, tail) = rest.get(kind.len() + 1..)?.split_once(')')?;
    Some((head, kind, number.parse().ok()?, tail))
}
