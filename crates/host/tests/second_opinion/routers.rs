//! Two ends with a router of its own each, in namespaces: a frame that one end sends passes the
//! rules of both, and the kernel's tracking of connections, or does not.

use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    mem,
    net::Ipv4Addr,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use gureum_engine::testing::{Ends, packets};
use gureum_host::{
    namespace::Namespace,
    netlink::{Netlink, Route, VethEnd},
};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// One end of the line, which a test plays.
pub(crate) struct End {
    mac: [u8; 6],
    router_mac: [u8; 6],
    socket: Socket,
    mark: Ipv4Addr,
    router: Namespace,
}

/// The line.
pub(crate) struct Routers {
    /// X and Y.
    pub(crate) ends: [End; 2],
    marks: u32,
}

/// The link of a router that leads to its end.
pub(crate) const NEAR: &str = "near";
const FAR: &str = "far";
const HOP: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

fn namespace() -> Namespace {
    let made = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
        Namespace::from_fd(File::open("/proc/thread-self/ns/net").expect("opened").into())
    });
    made.join().expect("made")
}

fn mac(of: u8) -> [u8; 6] {
    [0x02, 0x70, 0, 0, 0, of]
}

/// One processor for all of it, so that what is sent first arrives first: each processor has a
/// queue of its own.
fn stay_on_one_processor() {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("known");
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(first.expect("a processor")).expect("set");
    sched_setaffinity(Pid::from_raw(0), &one).expect("pinned");
}

fn set_up(namespace: &Namespace, link: &str) -> u32 {
    let mut netlink = Netlink::open_in(namespace).expect("netlink");
    let index = netlink.link(link).expect("asked").expect("there").index;
    netlink.set_up(index).expect("up");
    index
}

/// A packet socket that is tied to a link.
fn packet_socket(namespace: &Namespace, link: u32) -> Socket {
    let everything = (libc::ETH_P_ALL as u16).to_be();
    let make = || Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)));
    let socket = namespace.run(make).expect("entered").expect("a socket");
    // SAFETY: the storage is larger than a `sockaddr_ll`, all of whose fields are plain numbers,
    // and the length that is handed back is its size.
    let address = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as u16;
            (*address).sll_protocol = everything;
            (*address).sll_ifindex = i32::try_from(link).expect("an index");
            *length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    };
    socket.bind(&address.expect("an address").1).expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    socket
}

impl Routers {
    /// Lays the line.
    pub(crate) fn new() -> Self {
        stay_on_one_processor();
        let outside = namespace();
        let routers = [namespace(), namespace()];
        for router in &routers {
            let settings = [
                ("net/ipv4/conf/all/rp_filter", "0"),
                ("net/ipv4/conf/default/rp_filter", "0"),
                ("net/ipv6/conf/all/disable_ipv6", "1"),
                ("net/ipv6/conf/default/disable_ipv6", "1"),
                ("net/ipv4/ip_forward", "1"),
                // Numbers and windows of TCP are nobody's business here.
                ("net/netfilter/nf_conntrack_tcp_be_liberal", "1"),
            ];
            let write =
                || settings.map(|(name, value)| fs::write(format!("/proc/sys/{name}"), value));
            for written in router.run(write).expect("entered") {
                written.expect("a setting");
            }
        }
        let end = |name, of| VethEnd { name, mac: Some(mac(of)), mtu: 9001 };
        let mut netlink = Netlink::open_in(&outside).expect("netlink");
        netlink.add_veth(&end("x", 1), &end(NEAR, 2), &routers[0]).expect("a link");
        netlink.add_veth(&end("y", 3), &end(NEAR, 4), &routers[1]).expect("a link");
        let mut netlink = Netlink::open_in(&routers[0]).expect("netlink");
        netlink.add_veth(&end(FAR, 5), &end(FAR, 6), &routers[1]).expect("a link");
        let sockets = ["x", "y"].map(|link| packet_socket(&outside, set_up(&outside, link)));
        for (at, router) in routers.iter().enumerate() {
            // Without any address of its own a namespace takes no next hop for one.
            set_up(router, "lo");
            let (near, far) = (set_up(router, NEAR), set_up(router, FAR));
            let mut netlink = Netlink::open_in(router).expect("netlink");
            let (own, other) = ([1, 3][at], [6, 5][at]);
            netlink.replace_neighbour(near, HOP[0].into(), mac(own)).expect("a neighbour");
            netlink.replace_neighbour(far, HOP[1].into(), mac(other)).expect("a neighbour");
        }
        let mut number = 0;
        let ends = routers.into_iter().zip(sockets).map(|(router, socket)| {
            number += 1;
            End {
                mac: mac(number * 2 - 1),
                router_mac: mac(number * 2),
                socket,
                mark: Ipv4Addr::new(192, 0, 2, 100 + number),
                router,
            }
        });
        let ends: [End; 2] = ends.collect::<Vec<_>>().try_into().ok().expect("two ends");
        let routers = Self { ends, marks: 0 };
        for at in [0, 1] {
            let mark = routers.ends[at].mark;
            routers.route(at, ipnet::Ipv4Net::new(mark, 32).expect("a block"));
        }
        routers
    }

    /// Sends what is for a block to an end.
    pub(crate) fn route(&self, to: usize, destination: ipnet::Ipv4Net) {
        for (at, end) in self.ends.iter().enumerate() {
            let mut netlink = Netlink::open_in(&end.router).expect("netlink");
            let (link, hop) = if at == to { (NEAR, HOP[0]) } else { (FAR, HOP[1]) };
            let link = netlink.link(link).expect("asked").expect("there").index;
            let gateway = Some(hop);
            let route = Route {
                destination: destination.into(),
                link,
                gateway: gateway.map(Into::into),
                source: None,
                local: false,
            };
            netlink.replace_route(&route).expect("routed");
        }
    }

    /// Gives the router of an end its rules, all at once.
    pub(crate) fn load(&self, of: usize, ruleset: &str) {
        let run = || {
            // Not everybody's path leads to where distributions put it.
            let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
            let mut nft = Command::new("nft")
                .args(["-f", "-"])
                .env("PATH", path)
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("nft runs; `make setup-tests` installs nftables");
            nft.stdin.take().expect("piped").write_all(ruleset.as_bytes()).expect("written");
            nft.wait_with_output().expect("ended")
        };
        let output = self.ends[of].router.run(run).expect("entered");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}\n{ruleset}");
    }

    /// Sends a frame from an end; whether it arrives at the other. A mark is sent after it: when
    /// the mark is there, the frame is too, or never will be.
    pub(crate) fn passes(&mut self, from: usize, frame: &[u8]) -> bool {
        self.marks += 1;
        let (sender, receiver) = (&self.ends[from], &self.ends[1 - from]);
        let mut sent = frame.to_vec();
        sent[..6].copy_from_slice(&sender.router_mac);
        sent[6..12].copy_from_slice(&sender.mac);
        let ends = Ends {
            source_mac: sender.mac,
            destination_mac: sender.router_mac,
            source: sender.mark.into(),
            destination: receiver.mark.into(),
        };
        let mark = packets::udp(&ends, (9, 9), &self.marks.to_be_bytes()).frame;
        for bytes in [&sent, &mark] {
            assert_eq!((&sender.socket).write(bytes).expect("sent"), bytes.len());
        }
        let mut arrived = false;
        let mut buffer = [0; 2048];
        loop {
            let length = match (&receiver.socket).read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other.expect("the mark got lost"),
            };
            let seen = &buffer[..length];
            // A packet socket also shows what it sent itself.
            if seen[6..12] == receiver.mac {
                continue;
            }
            // Addresses and what follows; the routers count the TTL down.
            arrived |= same(seen, &sent);
            if same(seen, &mark) {
                return arrived;
            }
        }
    }
}

fn same(seen: &[u8], sent: &[u8]) -> bool {
    seen.get(26..) == sent.get(26..)
}
