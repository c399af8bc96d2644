//! Ports that are decided alike: between two ports that rules, entries or services begin or end at,
//! one question is enough.

use std::collections::{BTreeMap, BTreeSet};

use gureum_control::Directory;
use gureum_types::{
    IpProtocol, VpcId,
    record::{NetworkAcl, SecurityGroup, SecurityGroupRule, Traffic},
};

use crate::admin::{PortRange, Protocol};

/// Ports of services that the platform, its endpoints and the router offer themselves, and those of
/// DHCP in both families.
const SERVED: [u16; 8] = [53, 67, 68, 80, 123, 443, 546, 547];

/// Where stretches of ports begin.
#[derive(Clone, Debug)]
pub(super) struct Stretches {
    tcp: BTreeSet<u16>,
    udp: BTreeSet<u16>,
    /// Other protocols that rules speak of.
    pub others: BTreeSet<u8>,
}

impl Stretches {
    /// What the rules of all groups and the entries of all network ACLs of some VPCs tell apart.
    pub(super) fn of(directory: &Directory, vpcs: &BTreeSet<VpcId>) -> Self {
        let mut stretches =
            Self { tcp: BTreeSet::from([0]), udp: BTreeSet::from([0]), others: BTreeSet::new() };
        for port in SERVED {
            stretches.bound(IpProtocol::TCP, port, port);
            stretches.bound(IpProtocol::UDP, port, port);
        }
        let records = directory.records();
        for vpc in vpcs {
            for acl in records.referrers::<NetworkAcl>(vpc.as_str()) {
                acl.entries.iter().for_each(|entry| stretches.note(entry.traffic));
            }
            for group in records.referrers::<SecurityGroup>(vpc.as_str()) {
                let rules = records.referrers::<SecurityGroupRule>(group.id.as_str());
                rules.for_each(|rule| stretches.note(rule.traffic));
            }
        }
        stretches
    }

    fn note(&mut self, traffic: Traffic) {
        match traffic {
            Traffic::Ports { protocol, from, to } => self.bound(protocol, from, to),
            Traffic::Protocol(protocol) => {
                self.others.insert(protocol.0);
            }
            Traffic::All | Traffic::Icmp { .. } => {}
        }
    }

    fn bound(&mut self, protocol: IpProtocol, from: u16, to: u16) {
        let set = match protocol {
            IpProtocol::TCP => &mut self.tcp,
            IpProtocol::UDP => &mut self.udp,
            _ => return,
        };
        set.insert(from);
        set.extend(to.checked_add(1));
    }

    /// The stretches of a range of ports.
    pub(super) fn within(&self, protocol: Protocol, range: PortRange) -> Vec<PortRange> {
        let bounds = match protocol {
            Protocol::Udp => &self.udp,
            _ => &self.tcp,
        };
        let inner = bounds.range(range.first..=range.last).copied();
        let firsts: BTreeSet<u16> = [range.first].into_iter().chain(inner).collect();
        let ends = firsts.iter().skip(1).map(|next| next - 1).chain([range.last]);
        firsts.iter().zip(ends).map(|(first, last)| PortRange { first: *first, last }).collect()
    }
}

/// The stretches of each set of VPCs that was asked about.
#[derive(Default)]
pub(super) struct Known(BTreeMap<BTreeSet<VpcId>, Stretches>);

impl Known {
    /// Those of a set of VPCs.
    pub(super) fn of(&mut self, directory: &Directory, vpcs: &BTreeSet<VpcId>) -> &Stretches {
        if !self.0.contains_key(vpcs) {
            self.0.insert(vpcs.clone(), Stretches::of(directory, vpcs));
        }
        &self.0[vpcs]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_where_rules_begin_and_end() {
        let mut stretches =
            Stretches { tcp: BTreeSet::from([0]), udp: BTreeSet::from([0]), others: [].into() };
        stretches.note(Traffic::Ports { protocol: IpProtocol::TCP, from: 80, to: 90 });
        stretches.note(Traffic::Ports { protocol: IpProtocol::UDP, from: 0, to: u16::MAX });
        let cut = |protocol, first, last| {
            let found = stretches.within(protocol, PortRange { first, last });
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(cut(Protocol::Tcp, 0, 65535), "0-79 80-90 91-65535");
        assert_eq!(cut(Protocol::Tcp, 80, 90), "80-90");
        assert_eq!(cut(Protocol::Tcp, 85, 91), "85-90 91");
        assert_eq!(cut(Protocol::Tcp, 443, 443), "443");
        assert_eq!(cut(Protocol::Udp, 0, 65535), "0-65535");
    }
}
