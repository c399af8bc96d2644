//! Tells who talks and what was rejected: what the data path counted, with names that people know.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gureum_engine::{FlowView, NatSide, print};
use gureum_host::datapath::{DropSum, Talker, monotonic_now};
use gureum_store::Snapshot;
use gureum_types::{
    IpProtocol, NetworkInterfaceId, PortIndex,
    record::{Instance, NetworkInterface},
};

use super::clerk::{Answer, Clerk};
use crate::admin::{FlowsArgs, FlowsReport, Rejected, Reply, TalkingFlow};

/// How long it is measured what flows carry.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many flows and rejects an answer may have.
const MOST: usize = 10_000;

impl Clerk {
    /// Reports flows and rejects.
    pub(super) fn flows(&self, args: &FlowsArgs) -> Answer<Reply> {
        let data_path = self.cloud()?.datapath();
        let wanted = match &args.interface {
            Some(name) => Some(self.one_interface(name)?.record),
            None => None,
        };
        let limit = args.limit.min(MOST);
        let text = |error: gureum_host::HostError| error.to_string();
        let talkers = if args.flows {
            let before = data_path.look().map_err(text)?;
            thread::sleep(INTERVAL);
            let port = wanted.as_ref().map(|it| it.port);
            Some(data_path.talkers(before, port, limit).map_err(text)?)
        } else {
            None
        };
        let clock = Clock::now();
        let since = clock.monotonic.saturating_sub(args.since.saturating_mul(1_000_000));
        let (mut sums, complete_since) = data_path.drops(since).map_err(text)?;
        if let Some(wanted) = &wanted {
            let is_meant = |id: &Option<_>| id.as_ref() == Some(&wanted.id);
            sums.retain(|sum| is_meant(&sum.at) || is_meant(&sum.from));
        }
        let mut groups = grouped(sums);
        let reject_count = groups.len() as u64;
        groups.truncate(limit);
        let flow_count = talkers.as_ref().map(|talkers| talkers.flows);
        let talkers = talkers.map(|talkers| talkers.first);
        let talking = talkers.iter().flatten().filter_map(|talker| talker.interface.as_ref());
        let rejecting = groups.iter().filter_map(|group| group.sum.at.as_ref());
        let names = names(&self.control.snapshot(), talking.chain(rejecting).cloned().collect());
        let flows = talkers.map(|talkers| {
            talkers.into_iter().map(|talker| talking_flow(talker, &names, &clock)).collect()
        });
        Ok(Reply::Flows(Box::new(FlowsReport {
            at: clock.wall,
            flows,
            flow_count,
            rejects: groups.into_iter().map(|group| group.rejected(&names, &clock)).collect(),
            reject_count,
            since: clock.wall_of(since),
            complete_since: clock.wall_of(complete_since),
        })))
    }
}

/// One moment on the clock of the data path and on that of people.
struct Clock {
    monotonic: u64,
    wall: u64,
}

impl Clock {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        Self { monotonic: monotonic_now(), wall }
    }

    fn wall_of(&self, monotonic: u64) -> u64 {
        self.wall.saturating_sub(self.monotonic.saturating_sub(monotonic))
    }
}

/// What people call interfaces, by their ids.
type Names = HashMap<NetworkInterfaceId, String>;

fn names(records: &Snapshot, ids: HashSet<NetworkInterfaceId>) -> Names {
    let interfaces = records.everywhere::<NetworkInterface>();
    let meant = interfaces.filter(|(_, interface)| ids.contains(&interface.id));
    let named = meant.map(|(key, interface)| {
        let instance = key.scope.as_ref().zip(interface.attachment.as_ref()).and_then(
            |(scope, attachment)| records.find::<Instance>(scope, attachment.instance_id.as_str()),
        );
        (interface.id.clone(), name(interface, instance.map(AsRef::as_ref)))
    });
    named.collect()
}

/// The name of an interface: its instance's, its own, or what AWS made it for.
fn name(interface: &NetworkInterface, instance: Option<&Instance>) -> String {
    if let (Some(instance), Some(attachment)) = (instance, &interface.attachment) {
        let tag = instance.tags.get("Name").filter(|tag| !tag.is_empty());
        let name = tag.cloned().unwrap_or_else(|| instance.id.to_string());
        return match attachment.device_index {
            0 => name,
            number => format!("{name} eth{number}"),
        };
    }
    let tag = interface.tags.get("Name").filter(|tag| !tag.is_empty());
    let made_for = || made_for(&interface.description).filter(|_| interface.requester_managed);
    let name = tag.map(String::as_str).or_else(made_for);
    name.unwrap_or(interface.id.as_str()).to_owned()
}

/// The gateway or endpoint that the description of its interface ends with.
fn made_for(description: &str) -> Option<&str> {
    let last = description.rsplit(' ').next()?;
    (last.starts_with("nat-") || last.starts_with("vpce-")).then_some(last)
}

/// The id and the name of what is behind a port.
fn behind(port: PortIndex, id: Option<&NetworkInterfaceId>, names: &Names) -> (String, String) {
    let id_text = match (id, port) {
        (Some(id), _) => id.to_string(),
        (None, PortIndex::INTERNET) => "internet".to_owned(),
        (None, PortIndex::SERVICES) => "services".to_owned(),
        (None, _) => format!("port {port}"),
    };
    let name = id.and_then(|id| names.get(id)).cloned();
    (id_text.clone(), name.unwrap_or(id_text))
}

fn has_ports(protocol: u8) -> bool {
    matches!(IpProtocol(protocol), IpProtocol::TCP | IpProtocol::UDP)
}

fn is_icmp(protocol: u8) -> bool {
    matches!(IpProtocol(protocol), IpProtocol::ICMP | IpProtocol::ICMPV6)
}

fn end(protocol: u8, address: IpAddr, port: u16) -> String {
    match has_ports(protocol) {
        true => SocketAddr::new(address, port).to_string(),
        false => address.to_string(),
    }
}

/// The protocol of dropped packets; what ICMP has in the place of a port are type and code.
fn protocol(protocol: u8, icmp: u16) -> String {
    let [kind, code] = icmp.to_be_bytes();
    match is_icmp(protocol) {
        true => print::icmp(IpProtocol(protocol), kind, code),
        false => IpProtocol(protocol).to_string(),
    }
}

/// The protocol of a flow. Those of ICMP queries have the kind of query beside the remote end, and
/// their identifier as local port; others are told apart by type and code.
fn flow_protocol(flow: &FlowView) -> String {
    const NO_QUERY: u16 = 0xffff;
    match flow.remote.1 {
        NO_QUERY => protocol(flow.protocol, flow.local.1),
        query => {
            let name = protocol(flow.protocol, query & 0xff00);
            name.strip_suffix(" request").map(str::to_owned).unwrap_or(name)
        }
    }
}

fn talking_flow(talker: Talker, names: &Names, clock: &Clock) -> TalkingFlow {
    let Talker { flow, interface, packets, bytes, elapsed } = talker;
    let (interface, name) = behind(flow.port, interface.as_ref(), names);
    let seconds = Duration::from_nanos(elapsed.max(1)).as_secs_f64();
    // Fewer than a thousandth make no difference to anybody.
    let rate = |count: u64| (count as f64 / seconds * 1000.0).round() / 1000.0;
    let side = |side| match side {
        NatSide::Inside => "inside".to_owned(),
        NatSide::Outside => "outside".to_owned(),
    };
    TalkingFlow {
        interface,
        name,
        protocol: flow_protocol(&flow),
        local: end(flow.protocol, flow.local.0, flow.local.1),
        remote: end(flow.protocol, flow.remote.0, flow.remote.1),
        origin: flow.origin,
        state: flow.phase.to_owned(),
        nat_gateway: flow.nat_gateway.map(side),
        packets_per_second: rate(packets),
        bytes_per_second: rate(bytes),
        packets: [flow.egress.packets, flow.ingress.packets],
        bytes: [flow.egress.bytes, flow.ingress.bytes],
        created: clock.wall_of(flow.created),
        last: clock.wall_of(flow.last_seen),
    }
}

/// What dropped packets of a group have in common.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    from: (PortIndex, Option<NetworkInterfaceId>),
    at: (PortIndex, Option<NetworkInterfaceId>),
    ends: (IpAddr, IpAddr),
    protocol: u8,
    /// The destination port, or type and code.
    service: u16,
    /// By the name, since a component may get another number.
    reason: &'static str,
    component: Option<String>,
}

/// Dropped packets of a kind.
struct Group {
    sum: DropSum,
    sources: HashSet<u16>,
}

/// Sums that differ only in what a client changes with each try, the latest first.
fn grouped(sums: Vec<DropSum>) -> Vec<Group> {
    let mut groups: HashMap<Kind, Group> = HashMap::new();
    for sum in sums {
        let key = &sum.key;
        let (service, source) = match is_icmp(key.protocol) {
            true => (key.source_port, key.destination_port),
            false => (key.destination_port, key.source_port),
        };
        let kind = Kind {
            from: (key.port, sum.from.clone()),
            at: (key.at, sum.at.clone()),
            ends: (key.source, key.destination),
            protocol: key.protocol,
            service,
            reason: key.reason.name(),
            component: sum.component.as_ref().map(print::component),
        };
        match groups.get_mut(&kind) {
            None => {
                groups.insert(kind, Group { sum, sources: HashSet::from([source]) });
            }
            Some(group) => {
                let all = &mut group.sum;
                all.packets += sum.packets;
                all.bytes += sum.bytes;
                all.first = all.first.min(sum.first);
                all.last = all.last.max(sum.last);
                group.sources.insert(source);
            }
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    let order = |sum: &DropSum| (sum.last, sum.packets, sum.key.source, sum.key.destination_port);
    groups.sort_by_key(|group| Reverse(order(&group.sum)));
    groups
}

impl Group {
    fn rejected(self, names: &Names, clock: &Clock) -> Rejected {
        let Self { sum, sources } = self;
        let DropSum { key, at, component, packets, bytes, first, last, from: _ } = sum;
        let (interface, name) = behind(key.at, at.as_ref(), names);
        let source = match sources.len() {
            1 => end(key.protocol, key.source, key.source_port),
            _ => key.source.to_string(),
        };
        Rejected {
            interface,
            name,
            direction: key.direction,
            protocol: protocol(key.protocol, key.source_port),
            source,
            destination: end(key.protocol, key.destination, key.destination_port),
            sources: sources.len() as u64,
            reason: key.reason.name().to_owned(),
            component,
            packets,
            bytes,
            first: clock.wall_of(first),
            last: clock.wall_of(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use gureum_engine::{Component, ComponentIndex, Direction, DropReason, DroppedKey};

    use super::*;

    fn sum(protocol: u8, ports: (u16, u16), seconds: (u64, u64)) -> DropSum {
        let key = DroppedKey {
            port: PortIndex::INTERNET,
            at: PortIndex(2),
            direction: Direction::Ingress,
            source: [198, 18, 0, 1].into(),
            destination: [198, 18, 0, 11].into(),
            source_port: ports.0,
            destination_port: ports.1,
            protocol,
            reason: DropReason::SecurityGroupIngress,
        };
        DropSum {
            key,
            from: None,
            at: Some(NetworkInterfaceId::new(1)),
            component: None,
            packets: 2,
            bytes: 80,
            first: seconds.0,
            last: seconds.1,
        }
    }

    fn rejected(sums: Vec<DropSum>) -> Vec<Rejected> {
        let names = HashMap::from([(NetworkInterfaceId::new(1), "PUBLIC-01".to_owned())]);
        let clock = Clock { monotonic: 100, wall: 1100 };
        grouped(sums).into_iter().map(|group| group.rejected(&names, &clock)).collect()
    }

    #[test]
    fn tries_of_a_client_are_one_line() {
        let rows = rejected(vec![
            sum(6, (40_000, 80), (10, 20)),
            sum(6, (40_001, 80), (5, 15)),
            sum(6, (40_001, 81), (30, 30)),
        ]);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                (&*row.source, &*row.destination, row.sources, row.packets, row.first, row.last)
            })
            .collect();
        let expected = [
            ("198.18.0.1:40001", "198.18.0.11:81", 1, 2, 1030, 1030),
            ("198.18.0.1", "198.18.0.11:80", 2, 4, 1005, 1020),
        ];
        assert_eq!(shown, expected);
        assert_eq!(rows[0].name, "PUBLIC-01");
        assert_eq!(rows[0].interface, NetworkInterfaceId::new(1).to_string());
    }

    #[test]
    fn messages_of_icmp_are_told_apart_by_their_kind() {
        let (echo, closed) = (0x0800, 0x0303);
        let rows = rejected(vec![
            sum(1, (echo, 7), (3, 3)),
            sum(1, (echo, 8), (2, 2)),
            sum(1, (closed, 0), (1, 1)),
        ]);
        let shown: Vec<_> = rows.iter().map(|row| (&*row.protocol, row.sources)).collect();
        assert_eq!(shown, [("icmp echo request", 2), ("icmp port unreachable", 1)]);
        assert_eq!(rows[0].source, "198.18.0.1", "it has no ports");
    }

    /// An entry that got another number in a later policy is the same one; another entry is not.
    #[test]
    fn what_decided_is_told_apart_by_what_it_is() {
        let acl: gureum_types::NetworkAclId = "acl-00000000000000001".parse().expect("an id");
        let denied = |index, number| {
            let mut sum = sum(17, (5000, 53), (1, 1));
            sum.key.reason = DropReason::NetworkAclIngress(ComponentIndex(index));
            let acl = acl.clone();
            sum.component = Some(Component::NetworkAclEntry { acl, number, egress: false });
            sum
        };
        let rows = rejected(vec![denied(1, 90), denied(2, 90), denied(1, 91)]);
        let mut packets: Vec<_> = rows.iter().map(|row| row.packets).collect();
        packets.sort_unstable();
        assert_eq!(packets, [2, 4]);
        assert!(rows.iter().all(|row| row.reason == "network-acl-ingress"));
    }

    #[test]
    fn what_aws_made_has_the_name_of_what_it_is_for() {
        let made = made_for("Interface for NAT Gateway nat-0123456789abcdef0");
        assert_eq!(made, Some("nat-0123456789abcdef0"));
        assert_eq!(made_for("VPC Endpoint Interface vpce-1"), Some("vpce-1"));
        assert_eq!(made_for("somebody's own"), None);
        let (none, names) = (None, Names::new());
        assert_eq!(behind(PortIndex::INTERNET, none, &names).1, "internet");
        assert_eq!(behind(PortIndex(9), none, &names).1, "port 9");
    }
}
