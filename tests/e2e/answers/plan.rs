//! Small VPCs by a seed: what is in them and what is asked about them, without a call of the API.

use std::fmt;

/// SplitMix64: the same numbers for the same seed, everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }
}

/// Where a subnet's default route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the internet gateway.
    Internet,
    /// To a NAT gateway in the first subnet.
    Nat,
    /// To an interface that is attached to nothing.
    Blackhole,
    /// Nowhere.
    None,
}

/// Where IPv6's does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ipv6Way {
    Internet,
    EgressOnly,
    None,
}

#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    pub(crate) way: Way,
    pub(crate) ipv6_way: Ipv6Way,
    /// Entries of a network ACL of its own; the default one where there are none.
    pub(crate) acl: Vec<Entry>,
    /// Whether its table knows the peer.
    pub(crate) peers: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) egress: bool,
    pub(crate) allow: bool,
    pub(crate) traffic: Traffic,
    pub(crate) cidr: String,
}

/// A protocol with its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    All,
    Tcp(u16, u16),
    Udp(u16, u16),
    Icmp,
    Icmpv6,
}

/// Who is meant by a rule.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Cidr(String),
    Group(usize),
    PrefixList,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) traffic: Traffic,
    pub(crate) peer: Peer,
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) ingress: Vec<Rule>,
    /// Instead of the rule that a new group has.
    pub(crate) egress: Option<Vec<Rule>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) subnet: usize,
    pub(crate) groups: Vec<usize>,
    pub(crate) public: bool,
    pub(crate) elastic: bool,
    pub(crate) secondary: bool,
    /// A second interface, in this subnet.
    pub(crate) second: Option<usize>,
}

/// A VPC.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Its block is `10.<block>.0.0/16`.
    pub(crate) block: usize,
    pub(crate) ipv6: bool,
    pub(crate) gateway: bool,
    pub(crate) prefix_list: Vec<String>,
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) groups: Vec<Group>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) questions: Vec<Question>,
}

/// Which address of a host is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Private,
    Secondary,
    Second,
    Public,
    Ipv6,
}

/// One end of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Internet,
    Host(usize, Which),
    /// A host of the peer, by its place there.
    Peer(usize),
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, protocol, port } = self;
        write!(f, "{from:?} to {to:?} by {protocol} {port}")
    }
}

const PORTS: [u16; 6] = [22, 53, 80, 443, 5432, 8080];
const QUESTIONS: usize = 8;

/// The VPC of a seed, at a place in its batch.
pub(crate) fn plan(seed: u64, block: usize) -> Plan {
    let rng = &mut Rng::new(seed);
    let ipv6 = rng.chance(40);
    let gateway = rng.chance(85);
    let count = 1 + rng.below(3);
    let subnets: Vec<_> =
        (0..count).map(|place| subnet(rng, block, place, gateway, ipv6)).collect();
    let prefix_list = match rng.chance(30) {
        true => (0..1 + rng.below(2)).map(|_| cidr(rng, block, false)).collect(),
        false => Vec::new(),
    };
    let groups = 1 + rng.below(3);
    let lists = !prefix_list.is_empty();
    let groups: Vec<_> = (0..groups).map(|_| group(rng, block, groups, lists, ipv6)).collect();
    let hosts: Vec<_> =
        (0..2 + rng.below(5)).map(|_| host(rng, &subnets, groups.len(), gateway)).collect();
    let questions = (0..QUESTIONS).map(|_| question(rng, &hosts, gateway, ipv6)).collect();
    Plan { seed, block, ipv6, gateway, prefix_list, subnets, groups, hosts, questions }
}

fn subnet(rng: &mut Rng, block: usize, place: usize, gateway: bool, ipv6: bool) -> Subnet {
    let way = match (gateway, place, rng.below(10)) {
        (true, 0, 0..8) | (true, _, 0..4) => Way::Internet,
        // The NAT gateway lives in the first subnet.
        (true, 1.., 4..=6) => Way::Nat,
        (_, _, 8) => Way::Blackhole,
        _ => Way::None,
    };
    let ipv6_way = match (ipv6, gateway, rng.below(4)) {
        (true, true, 0..2) => Ipv6Way::Internet,
        (true, _, 2) => Ipv6Way::EgressOnly,
        _ => Ipv6Way::None,
    };
    let mut acl = Vec::new();
    if rng.chance(40) {
        for egress in [true, false] {
            for _ in 0..rng.below(3) {
                let v6 = ipv6 && rng.chance(30);
                let (allow, traffic) = (rng.chance(30), traffic(rng, v6));
                acl.push(Entry { egress, allow, traffic, cidr: cidr(rng, block, v6) });
            }
            // What is left, or most of the answers would be "no" for the same reason.
            if rng.chance(85) {
                let all = |cidr: &str| Entry {
                    egress,
                    allow: true,
                    traffic: Traffic::All,
                    cidr: cidr.to_owned(),
                };
                acl.extend([all("0.0.0.0/0"), all("::/0")]);
            }
        }
    }
    Subnet { way, ipv6_way, acl, peers: rng.chance(80) }
}

fn traffic(rng: &mut Rng, v6: bool) -> Traffic {
    let icmp = if v6 { Traffic::Icmpv6 } else { Traffic::Icmp };
    let ports = match rng.below(4) {
        0 => (0, 65535),
        1 => (400, 6000),
        _ => {
            let port = rng.pick(&PORTS);
            (port, port)
        }
    };
    match rng.below(6) {
        0 => Traffic::All,
        1 => icmp,
        2 => Traffic::Udp(ports.0, ports.1),
        _ => Traffic::Tcp(ports.0, ports.1),
    }
}

fn cidr(rng: &mut Rng, block: usize, v6: bool) -> String {
    if v6 {
        return rng.pick(&["::/0", "2001:db8::/32", "2001:db8:8000::/48"]).to_owned();
    }
    match rng.below(6) {
        0 | 1 => "0.0.0.0/0".to_owned(),
        2 => "203.0.113.0/24".to_owned(),
        3 => "198.18.0.0/16".to_owned(),
        4 => format!("10.{block}.{}.0/24", rng.below(3)),
        _ => "10.0.0.0/8".to_owned(),
    }
}

fn group(rng: &mut Rng, block: usize, groups: usize, lists: bool, ipv6: bool) -> Group {
    let mut rules = |least: usize| -> Vec<Rule> {
        let count = least + rng.below(3);
        (0..count)
            .map(|_| {
                let v6 = ipv6 && rng.chance(30);
                let peer = match rng.below(10) {
                    0..3 => Peer::Group(rng.below(groups)),
                    3 if lists => Peer::PrefixList,
                    _ => Peer::Cidr(cidr(rng, block, v6)),
                };
                // A reference means both families; a block only its own.
                let v6 = v6 && matches!(&peer, Peer::Cidr(_));
                Rule { traffic: traffic(rng, v6), peer }
            })
            .collect()
    };
    let ingress = rules(1);
    let egress = rules(1);
    Group { ingress, egress: rng.chance(25).then_some(egress) }
}

fn host(rng: &mut Rng, subnets: &[Subnet], groups: usize, gateway: bool) -> Host {
    let subnet = rng.below(subnets.len());
    let mut own = vec![rng.below(groups)];
    let other = rng.below(groups);
    if rng.chance(30) && !own.contains(&other) {
        own.push(other);
    }
    let second = rng.chance(12).then(|| rng.below(subnets.len()));
    let public = gateway && second.is_none() && rng.chance(45);
    let elastic = gateway && !public && rng.chance(20);
    Host { subnet, groups: own, public, elastic, secondary: rng.chance(20), second }
}

fn question(rng: &mut Rng, hosts: &[Host], gateway: bool, ipv6: bool) -> Question {
    let protocol = rng.pick(&["tcp", "tcp", "tcp", "udp", "icmp"]);
    let place = rng.below(hosts.len());
    let from_outside = gateway && rng.chance(30);
    let from = match from_outside {
        true => End::Internet,
        false if hosts[place].second.is_some() && rng.chance(50) => End::Host(place, Which::Second),
        false => End::Host(place, Which::Private),
    };
    // Nobody calls itself by its private address: that never leaves it.
    let mut other = rng.below(hosts.len());
    if !from_outside && other == place {
        other = (place + 1) % hosts.len();
    }
    let host = &hosts[other];
    let mut which = vec![Which::Private];
    if host.secondary {
        which.push(Which::Secondary);
    }
    if host.second.is_some() {
        which.push(Which::Second);
    }
    if host.public || host.elastic {
        which.push(Which::Public);
    }
    if ipv6 {
        which.extend([Which::Ipv6, Which::Ipv6]);
    }
    let to = match rng.below(10) {
        // Outside, a closed port says so by a reset, and a datagram by an error of ICMP, which is
        // another flow than the engine is asked about.
        0 if !from_outside && protocol != "udp" => End::Internet,
        1 if !from_outside => End::Peer(rng.below(6)),
        _ if from_outside && (host.public || host.elastic) && rng.chance(80) => {
            End::Host(other, Which::Public)
        }
        _ => End::Host(other, rng.pick(&which)),
    };
    Question { from, to, protocol, port: rng.pick(&PORTS) }
}
