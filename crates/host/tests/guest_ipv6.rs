//! Instances whose subnets have IPv6, with the test as their router: what the image makes of router
//! advertisements and DHCPv6, and how it finds the metadata service without IPv4.

mod common;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{
    A, ANYTHING, Data, PORT_A, guest, metadata, policy, root,
    wire::{self, Heard, Wire, with_checksum},
};
use gureum_engine::FABRIC_ROUTER_MAC;
use gureum_host::Cloud;
use gureum_types::{PortIndex, ServiceDoor, host::HostEvent, ipv6_caller_address};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const SECOND: Duration = Duration::from_secs(1);
/// For a frame that is there already.
const AT_HAND: Duration = Duration::from_millis(10);
/// A port that the policy does not know: nothing answers it over IPv4.
const UNKNOWN: PortIndex = PortIndex(9);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const RESOLVER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253);

/// The address that DHCPv6 gives to a port.
fn address(port: PortIndex) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 1, 1, 0, 0, 0, port.0 as u16)
}

/// The router of a port's subnet: advertisements as AWS has them (no addresses made up by the
/// guest, DHCPv6 instead), neighbour discovery, DHCPv6, and the way to the metadata service.
struct Router {
    port: PortIndex,
    wire: Wire,
    services: Wire,
    /// What the guest sent, by its kind.
    heard: BTreeMap<String, usize>,
}

impl Router {
    fn open(cloud: &Cloud, port: PortIndex) -> Self {
        let services = Wire::open(cloud, PortIndex::SERVICES);
        Self { port, wire: Wire::open(cloud, port), services, heard: BTreeMap::new() }
    }

    /// Answers until it is told to stop; returns what the guest sent.
    fn run(mut self, stop: &AtomicBool) -> BTreeMap<String, usize> {
        while !stop.load(Ordering::Relaxed) {
            let mut ready =
                [&self.wire, &self.services].map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN));
            poll(&mut ready, PollTimeout::from(100_u16)).expect("polled");
            let [guest, services] = ready.map(|it| it.any() == Some(true));
            if guest && let Some(heard) = self.wire.next(AT_HAND) {
                self.hear_guest(heard);
            }
            if services && let Some(heard) = self.services.next(AT_HAND) {
                self.hear_services(heard);
            }
        }
        self.heard
    }

    fn hear_guest(&mut self, Heard { way: (_, from, to), protocol, body }: Heard) {
        let kind = match (protocol, body.as_slice()) {
            (58, [133, ..]) => {
                self.advertise(from);
                "router solicitation".to_owned()
            }
            (58, [135, _, _, _, _, _, _, _, target @ ..]) => {
                let target: &[u8; 16] = target.first_chunk().expect("a target");
                self.be_neighbour(from, (*target).into());
                "neighbour solicitation".to_owned()
            }
            (58, [136, ..]) => "neighbour advertisement".to_owned(),
            // Behind a hop-by-hop header, as listener reports are.
            (0, _) => "listener report".to_owned(),
            (17, [_, _, _, _, _, _, _, _, message @ ..]) if body[2..4] == [2, 35] => {
                self.answer_dhcp(from, message);
                "DHCPv6".to_owned()
            }
            (6, _) if to == METADATA => {
                let caller = ipv6_caller_address(self.port, 0).expect("in range");
                let door = ServiceDoor::Metadata.ipv6_address().expect("open to IPv6");
                assert_eq!(from, address(self.port), "the guest speaks from its address");
                self.services.send(caller, door, 6, &with_checksum(caller, door, 6, body));
                "metadata".to_owned()
            }
            _ => format!("protocol {protocol} to {to}"),
        };
        *self.heard.entry(kind).or_default() += 1;
    }

    fn hear_services(&mut self, Heard { way: (_, _, to), protocol, body }: Heard) {
        let guest = address(self.port);
        if Some(to) == ipv6_caller_address(self.port, 0) {
            self.wire.send(METADATA, guest, protocol, &with_checksum(METADATA, guest, 6, body));
        }
    }

    fn send_icmp(&self, to: Ipv6Addr, body: Vec<u8>) {
        self.wire.send(ROUTER, to, 58, &with_checksum(ROUTER, to, 58, body));
    }

    fn advertise(&self, to: Ipv6Addr) {
        let to = if to.is_unspecified() { Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) } else { to };
        // M and O; a router for half an hour.
        let mut body = vec![134, 0, 0, 0, 64, 0xc0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
        body.extend([1, 1]);
        body.extend(FABRIC_ROUTER_MAC);
        // The prefix is on the link, and nobody makes an address of it.
        body.extend([3, 4, 64, 0x80, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        body.extend(Ipv6Addr::new(0x2001, 0xdb8, 1, 1, 0, 0, 0, 0).octets());
        self.send_icmp(to, body);
    }

    fn be_neighbour(&self, asker: Ipv6Addr, target: Ipv6Addr) {
        if target != ROUTER {
            return;
        }
        let mut body = vec![136, 0, 0, 0, 0xe0, 0, 0, 0];
        body.extend(target.octets());
        body.extend([2, 1]);
        body.extend(FABRIC_ROUTER_MAC);
        self.send_icmp(asker, body);
    }

    fn answer_dhcp(&self, to: Ipv6Addr, message: &[u8]) {
        let option = |wanted: u16| {
            let mut rest = &message[4..];
            while let Some((head, tail)) = rest.split_first_chunk::<4>() {
                let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
                if u16::from_be_bytes([head[0], head[1]]) == wanted {
                    return tail.get(..length);
                }
                rest = tail.get(length..).unwrap_or_default();
            }
            None
        };
        let [client, association] = [1, 3].map(|code| option(code).unwrap_or_default());
        let at_once = message[0] == 1 && option(14).is_some();
        let kind = if message[0] == 1 && !at_once { 2 } else { 7 };
        let mut reply = vec![kind, message[1], message[2], message[3]];
        let mut put = |code: u16, value: &[u8]| {
            reply.extend(code.to_be_bytes());
            reply.extend((value.len() as u16).to_be_bytes());
            reply.extend(value);
        };
        put(1, client);
        put(2, &[&[0, 3, 0, 1][..], &FABRIC_ROUTER_MAC].concat());
        let life = [0, 0, 0x0e, 0x10];
        let given = [&[0, 5, 0, 24][..], &address(self.port).octets(), &life, &life].concat();
        if let Some(id) = association.first_chunk::<4>() {
            put(3, &[&id[..], &[0, 0, 7, 8, 0, 0, 10, 0], &given].concat());
        }
        put(23, &RESOLVER.octets());
        if at_once {
            put(14, &[]);
        }
        self.wire.send(ROUTER, to, 17, &wire::udp((ROUTER, 547), (to, 546), &reply));
    }
}

/// Boots an instance behind that router and waits until it is ready; returns what it sent.
fn boot(
    cloud: &Cloud,
    port: PortIndex,
    look: impl FnOnce(&dyn Fn(&str) -> String),
) -> BTreeMap<String, usize> {
    let mut events = cloud.instances().events().expect("events");
    let spec = guest::spec(port.0, port, Ipv4Addr::UNSPECIFIED);
    let started = Instant::now();
    cloud.instances().ensure_running(&spec).expect("running");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let router = Router::open(cloud, port);
        let running = scope.spawn(|| router.run(&stop));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let event = guest::next_event(&mut events, 60 * SECOND);
            println!("ready after {:?}", started.elapsed());
            assert_eq!(event, HostEvent::Ready(spec.id.clone()));
            look(&|line| guest::shell(cloud.instances(), &spec.id, line).1);
        }));
        stop.store(true, Ordering::Relaxed);
        let heard = running.join().expect("the router");
        println!("the guest sent {heard:?}");
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        heard
    })
}

fn is_configured(port: PortIndex, shell: &dyn Fn(&str) -> String) {
    let addresses = shell("ip -6 -o addr show dev eth0 scope global");
    assert!(addresses.contains(&format!("{}/128", address(port))), "{addresses}");
    assert_eq!(addresses.lines().count(), 1, "no address of the guest's own making: {addresses}");
    let route = shell("ip -6 route show default");
    assert!(route.contains("via fe80::1 dev eth0"), "{route}");
    let resolver = shell("cat /etc/resolv.conf");
    assert!(resolver.contains(&format!("nameserver {RESOLVER}\n")), "{resolver}");
}

fn is_quiet(heard: &BTreeMap<String, usize>) {
    let count = |kind: &str| heard.get(kind).copied().unwrap_or_default();
    assert_eq!(count("router solicitation"), 1, "answered at once");
    assert!((1..=4).contains(&count("DHCPv6")), "{heard:?}");
    let strange: Vec<_> = heard.keys().filter(|kind| kind.starts_with("protocol")).collect();
    let dns = |kind: &&&String| kind.as_str() == format!("protocol 17 to {RESOLVER}");
    assert!(strange.iter().all(|kind| dns(&kind)), "nobody asked for that: {heard:?}");
}

/// A subnet of IPv6 only: the instance comes up, and finds the metadata service over IPv6 (IMDS-1).
#[test]
fn an_instance_without_ipv4_comes_up_over_ipv6() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let heard = boot(&cloud, UNKNOWN, |shell| {
        is_configured(UNKNOWN, shell);
        assert_eq!(shell("ip -4 -o addr show dev eth0"), "");
        let status = shell("cloud-init status --wait >/dev/null; cat /run/cloud-init/result.json");
        assert!(status.contains("DataSourceEc2"), "{status}");
        assert_eq!(shell("hostname"), "ip-10-1-1-10.ap-northeast-2.compute.internal\n");
    });
    assert!(heard["metadata"] > 0);
    is_quiet(&heard);
}

/// A subnet of both: both are there, and the metadata service is asked over IPv4.
#[test]
fn an_instance_of_both_families_has_both() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let heard = boot(&cloud, PORT_A, |shell| {
        assert!(shell("ip -4 -o addr show dev eth0").contains(&format!("{A}/24")));
        common::wait_for("IPv6", 10 * SECOND, || {
            shell("ip -6 -o addr show dev eth0 scope global").contains("/128")
        });
        is_configured(PORT_A, shell);
        let resolvers = shell("grep nameserver /etc/resolv.conf");
        assert!(resolvers.lines().next().is_some_and(|line| !line.contains(':')), "{resolvers}");
    });
    assert!(!heard.contains_key("metadata"), "{heard:?}");
    is_quiet(&heard);
}

/// A running instance whose subnet gets IPv6: the router says so, and nobody waits for the guest to
/// ask again.
#[test]
fn ipv6_that_comes_later_is_taken_up_at_once() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    metadata::serve(&cloud);
    let mut events = cloud.instances().events().expect("events");
    let spec = guest::spec(PORT_A.0, PORT_A, A);
    cloud.instances().ensure_running(&spec).expect("running");
    let event = guest::next_event(&mut events, 60 * SECOND);
    assert_eq!(event, HostEvent::Ready(spec.id.clone()));
    let shell = |line: &str| guest::shell(cloud.instances(), &spec.id, line).1;
    assert_eq!(shell("ip -6 -o addr show dev eth0 scope global"), "");

    let stop = AtomicBool::new(false);
    let router = Router::open(&cloud, PORT_A);
    router.advertise(Ipv6Addr::UNSPECIFIED);
    thread::scope(|scope| {
        let running = scope.spawn(|| router.run(&stop));
        let started = Instant::now();
        let mut found = String::new();
        while started.elapsed() < 10 * SECOND && !found.contains("/128") {
            found = shell("ip -6 -o addr show dev eth0 scope global");
        }
        stop.store(true, Ordering::Relaxed);
        running.join().expect("the router");
        assert!(found.contains(&format!("{}/128", address(PORT_A))), "{found}");
    });
}
