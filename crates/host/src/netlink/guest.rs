//! What a guest's own network tools do: addresses without routes, routes in tables with metrics,
//! rules by source address.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use super::{CREATE, Netlink, RTNH_F_ONLINK, Request, attributes, family, word};

const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_TABLE: u16 = 15;
const FR_ACT_TO_TBL: u8 = 1;

/// A unicast route of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestRoute {
    /// Where to.
    pub destination: IpNet,
    /// Out of which link.
    pub link: u32,
    /// The next hop, which is on the link; none for what is there itself.
    pub gateway: Option<IpAddr>,
    /// The source address to prefer.
    pub source: IpAddr,
    /// The table; 254 is the main one.
    pub table: u32,
    /// Of two routes to the same destination the one with less is taken.
    pub metric: u32,
}

/// What comes from an address is routed by a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRule {
    /// The address.
    pub source: IpAddr,
    /// The table.
    pub table: u32,
    /// Rules with less come first.
    pub priority: u32,
}

impl Netlink {
    /// Gives a link an address and makes no route for it; no harm if it has it. Nobody is asked
    /// whether it is taken.
    pub fn add_address_alone(&mut self, link: u32, address: IpNet) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWADDR, (CREATE | libc::NLM_F_REPLACE) as u16);
        request.address_header(link, address);
        let flags = libc::IFA_F_NODAD | libc::IFA_F_NOPREFIXROUTE;
        request.attribute(libc::IFA_FLAGS, &flags.to_ne_bytes());
        self.execute(request)
    }

    /// Takes an address from a link; no harm if it has it not.
    pub fn delete_address(&mut self, link: u32, address: IpNet) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_DELADDR, 0);
        request.address_header(link, address);
        match self.execute(request) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            other => other,
        }
    }

    /// The addresses of a link in both families, those that are good on it alone left out.
    pub fn global_addresses(&mut self, link: u32) -> io::Result<Vec<IpNet>> {
        let mut request = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP as u16);
        request.bytes(&[libc::AF_UNSPEC as u8, 0, 0, 0, 0, 0, 0, 0]);
        let mut found = Vec::new();
        self.exchange(request, |kind, body| {
            let &[_, length, _, scope, ..] = body else { return };
            if kind != libc::RTM_NEWADDR
                || word(body, 4) != Some(link)
                || scope == libc::RT_SCOPE_LINK
            {
                return;
            }
            // In IPv4 the local end, where both are told; in IPv6 there is only the one.
            let (mut local, mut address) = (None, None);
            for (kind, value) in attributes(body.get(8..).unwrap_or_default()) {
                match kind {
                    libc::IFA_LOCAL => local = ip(value),
                    libc::IFA_ADDRESS => address = ip(value),
                    _ => {}
                }
            }
            found.extend(local.or(address).and_then(|it| IpNet::new(it, length).ok()));
        })?;
        Ok(found)
    }

    /// Makes a route, or replaces the one to the same destination with the same metric.
    pub fn replace_guest_route(&mut self, route: &GuestRoute) -> io::Result<()> {
        let flags = (CREATE | libc::NLM_F_REPLACE) as u16;
        let mut request = Request::new(libc::RTM_NEWROUTE, flags);
        let scope = match route.gateway {
            None if route.destination.addr().is_ipv4() => libc::RT_SCOPE_LINK,
            _ => libc::RT_SCOPE_UNIVERSE,
        };
        let onlink = match route.gateway {
            Some(IpAddr::V4(_)) => RTNH_F_ONLINK,
            Some(IpAddr::V6(_)) | None => 0,
        };
        let destination = route.destination;
        request.bytes(&[family(destination.addr()), destination.prefix_len(), 0, 0]);
        request.bytes(&[libc::RT_TABLE_UNSPEC, libc::RTPROT_STATIC, scope, libc::RTN_UNICAST]);
        request.bytes(&onlink.to_ne_bytes());
        if destination.prefix_len() > 0 {
            request.address(libc::RTA_DST, destination.network());
        }
        request.attribute(libc::RTA_OIF, &route.link.to_ne_bytes());
        request.attribute(libc::RTA_TABLE, &route.table.to_ne_bytes());
        request.attribute(libc::RTA_PRIORITY, &route.metric.to_ne_bytes());
        if let Some(gateway) = route.gateway {
            request.address(libc::RTA_GATEWAY, gateway);
        }
        request.address(libc::RTA_PREFSRC, route.source);
        self.execute(request)
    }

    /// The rules by a source address alone whose tables are in `tables`.
    pub fn source_rules(
        &mut self,
        tables: std::ops::RangeInclusive<u32>,
    ) -> io::Result<Vec<SourceRule>> {
        let mut found = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut request = Request::new(libc::RTM_GETRULE, libc::NLM_F_DUMP as u16);
            request.bytes(&[family as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            self.exchange(request, |kind, body| {
                if kind != libc::RTM_NEWRULE || body.first() != Some(&(family as u8)) {
                    return;
                }
                let (mut source, mut table, mut priority) = (None, None, 0);
                for (kind, value) in attributes(body.get(12..).unwrap_or_default()) {
                    match kind {
                        FRA_SRC => source = ip(value),
                        FRA_TABLE => table = word(value, 0),
                        FRA_PRIORITY => priority = word(value, 0).unwrap_or(0),
                        _ => {}
                    }
                }
                if let (Some(source), Some(table)) = (source, table)
                    && tables.contains(&table)
                {
                    found.push(SourceRule { source, table, priority });
                }
            })?;
        }
        Ok(found)
    }

    /// Makes a rule; no harm if it is there.
    pub fn add_source_rule(&mut self, rule: &SourceRule) -> io::Result<()> {
        let flags = (CREATE | libc::NLM_F_EXCL) as u16;
        match self.source_rule(libc::RTM_NEWRULE, flags, rule) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            other => other,
        }
    }

    /// Removes a rule; no harm if there is none.
    pub fn delete_source_rule(&mut self, rule: &SourceRule) -> io::Result<()> {
        match self.source_rule(libc::RTM_DELRULE, 0, rule) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other,
        }
    }

    fn source_rule(&mut self, kind: u16, flags: u16, rule: &SourceRule) -> io::Result<()> {
        let mut request = Request::new(kind, flags);
        let bits = IpNet::from(rule.source).prefix_len();
        request.bytes(&[family(rule.source), 0, bits, 0, libc::RT_TABLE_UNSPEC, 0, 0]);
        request.bytes(&[FR_ACT_TO_TBL, 0, 0, 0, 0]);
        request.address(FRA_SRC, rule.source);
        request.attribute(FRA_TABLE, &rule.table.to_ne_bytes());
        request.attribute(FRA_PRIORITY, &rule.priority.to_ne_bytes());
        self.execute(request)
    }
}

impl Request {
    /// `struct ifaddrmsg` and the address.
    fn address_header(&mut self, link: u32, address: IpNet) {
        self.bytes(&[family(address.addr()), address.prefix_len(), 0, 0]);
        self.bytes(&link.to_ne_bytes());
        self.address(libc::IFA_LOCAL, address.addr());
        self.address(libc::IFA_ADDRESS, address.addr());
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|it| Ipv4Addr::from(it).into());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|it| Ipv6Addr::from(it).into())).ok()
}
