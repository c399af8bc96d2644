//! The namespaces of a cloud: made once, taken over, silent, and gone after `down`.

mod common;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    process::Command,
    thread,
    time::Duration,
};

use common::{A, ANYTHING, CLIENT, Data, Guest, INTERNET_HOST, PORT_A, dial, policy, root};
use gureum_host::{
    cloud::leftovers,
    internet::{InternetView, enter_internet},
    netlink::Netlink,
};
use gureum_types::{ServiceDoor, caller_address};
use socket2::{Domain, Protocol, Socket, Type};

#[test]
fn a_cloud_is_taken_over_and_down_leaves_nothing() {
    if !root() {
        return;
    }
    let data = Data::new();
    let inode = |fd: &dyn AsRawFd| {
        std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("a namespace")
    };
    let cloud = data.open(policy(&ANYTHING, 1));
    let first = inode(&cloud.namespaces().fabric);
    drop(cloud);
    let left = leftovers(data.dir.path()).expect("leftovers");
    assert!(left.iter().any(|thing| thing.starts_with("anchor process")), "{left:?}");

    let cloud = data.open(policy(&ANYTHING, 2));
    assert_eq!(inode(&cloud.namespaces().fabric), first);
    assert_eq!(cloud.datapath().applied_epoch(), 2);
    let mut netlink = Netlink::open_in(&cloud.namespaces().fabric).expect("netlink");
    let names: Vec<_> = netlink.links().expect("links").into_iter().map(|link| link.name).collect();
    assert_eq!(names, ["lo", "p0", "p1"]);
    cloud.down(Duration::from_secs(1)).expect("down");
    assert_eq!(leftovers(data.dir.path()).expect("leftovers"), Vec::<String>::new());
}

#[test]
fn clouds_of_two_data_directories_do_not_touch_each_other() {
    if !root() {
        return;
    }
    let (one, two) = (Data::new(), Data::new());
    let (first, second) = (one.open(policy(&ANYTHING, 1)), two.open(policy(&ANYTHING, 1)));
    assert_ne!(first.tag(), second.tag());
    first.down(Duration::ZERO).expect("down");
    let mut netlink = Netlink::open_in(&second.namespaces().fabric).expect("netlink");
    assert!(netlink.link("p0").expect("asked").is_some());
}

/// Design 8: the fabric must never answer or forward by itself.
#[test]
fn the_fabric_is_silent() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let guest = Guest::connect(&cloud, PORT_A, A);
    // Without the data path only the kernel could answer.
    cloud.datapath().remove_port(PORT_A).blocking_recv().expect("removed");
    let listener = guest
        .namespace
        .run(|| {
            // ETH_P_ALL, so that whatever comes is seen.
            let protocol = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
            Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a socket")
        })
        .expect("entered");
    let sender =
        guest.namespace.run(|| UdpSocket::bind("0.0.0.0:0").expect("a socket")).expect("entered");
    sender.set_broadcast(true).expect("set");
    // ARP for the router and for a neighbour, a broadcast, multicast, routed packets.
    for target in ["10.1.1.1:9", "10.1.1.11:9", "10.1.1.255:9", "224.0.0.1:9", "10.1.2.2:9"] {
        let _ = sender.send_to(b"anybody?", target);
    }
    // Over IPv6 (traps 8): all nodes, all routers, and a solicitation of a neighbour.
    let eth0 = Netlink::open_in(&guest.namespace).and_then(|mut netlink| netlink.link("eth0"));
    let scope = eth0.expect("asked").expect("there").index;
    let sender =
        guest.namespace.run(|| UdpSocket::bind("[::]:0").expect("a socket")).expect("entered");
    for target in ["ff02::1", "ff02::2", "fe80::1"] {
        let target = target.parse().expect("an address");
        let _ = sender.send_to(b"anybody?", std::net::SocketAddrV6::new(target, 9, 0, scope));
    }
    listener.set_read_timeout(Some(Duration::from_millis(1500))).expect("set");
    let own = common::mac(PORT_A.0 as u8);
    let mut sent = 0;
    loop {
        let mut buffer = [0; 2048];
        let Ok(length) = std::io::Read::read(&mut &listener, &mut buffer) else { break };
        assert_eq!(buffer[6..12], own, "somebody spoke: {:02x?}", &buffer[..length]);
        sent += 1;
    }
    assert!(sent > 3, "the guest itself must have been heard ({sent} frames)");
}

/// Traps 11: one address a caller, one a door.
#[test]
fn services_listen_on_their_doors_and_see_who_calls() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let door = ServiceDoor::Metadata.address();
    let services = &cloud.namespaces().services;
    let listener = services.tcp_listener((door, 80).into()).expect("listening");
    listener.set_nonblocking(false).expect("set");
    let guest = Guest::connect(&cloud, PORT_A, A);
    let target: SocketAddr = "169.254.169.254:80".parse().expect("an address");
    let _stream = guest
        .namespace
        .run(|| TcpStream::connect_timeout(&target, Duration::from_secs(5)))
        .expect("entered")
        .expect("connected");
    let (accepted, caller) = listener.accept().expect("a caller");
    assert_eq!(Some(caller.ip()), caller_address(PORT_A, 0).map(Into::into));
    assert_eq!(accepted.local_addr().expect("an address").ip(), door);
}

#[test]
fn hosts_of_the_internet_talk_to_public_addresses() {
    if !root() {
        return;
    }
    let data = Data::new();
    let cloud = data.open(policy(&ANYTHING, 1));
    let guest = Guest::connect(&cloud, PORT_A, A);
    let internet = &cloud.namespaces().internet;
    let host = internet.tcp_listener((INTERNET_HOST, 80).into()).expect("listening");
    host.set_nonblocking(false).expect("set");
    let _out = guest.dial((INTERNET_HOST, 80)).expect("connected");
    let (_stream, peer) = host.accept().expect("a caller");
    assert_eq!(peer.ip(), common::A_PUBLIC);

    let inside = guest.listen(22);
    let _in = dial(internet, (common::A_PUBLIC, 22)).expect("connected");
    let (_stream, peer) = inside.accept().expect("a caller");
    assert_eq!(peer.ip(), CLIENT);
}

/// A host of the internet sees who calls, not itself, also when a cloud is taken over whose hosts
/// were others.
#[test]
fn hosts_of_the_internet_see_the_client() {
    if !root() {
        return;
    }
    const MOVED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    let data = Data::new();
    let open = |host| {
        let mut config = data.config(policy(&ANYTHING, 1));
        config.internet.hosts = vec![host];
        gureum_host::cloud::Cloud::open(config).expect("a cloud")
    };
    // Back to the first one at last: what it left behind must not be in the way.
    for (host, other) in [
        (INTERNET_HOST, MOVED),
        (INTERNET_HOST, MOVED),
        (MOVED, INTERNET_HOST),
        (INTERNET_HOST, MOVED),
    ] {
        let cloud = open(host);
        let internet = &cloud.namespaces().internet;
        let listener = internet.tcp_listener((host, 80).into()).expect("listening");
        listener.set_nonblocking(false).expect("set");
        let _stream = dial(internet, (host, 80)).expect("connected");
        let (accepted, peer) = listener.accept().expect("a caller");
        assert_eq!(peer.ip(), CLIENT);
        assert_eq!(accepted.local_addr().expect("an address").ip(), host);
        let gone = internet.tcp_listener((other, 80).into()).expect_err("no such host any more");
        assert_eq!(gone.kind(), std::io::ErrorKind::AddrNotAvailable);
    }
}

/// The person who called sudo enters without root; nobody else does.
#[test]
fn only_its_owner_enters_the_internet_without_root() {
    if !root() {
        return;
    }
    const OWNER: u32 = 4321;
    let data = Data::new();
    let mut config = data.config(policy(&ANYTHING, 1));
    config.owner = gureum_host::anchor::Owner { uid: OWNER, gid: OWNER };
    let cloud = gureum_host::cloud::Cloud::open(config).expect("a cloud");
    let namespaces = cloud.internet_namespaces().expect("handed out");
    let view = InternetView {
        resolv_conf: "nameserver 8.8.8.8\n".into(),
        ca_bundle: Some(b"our roots\n".to_vec()),
        host_name: None,
        home: None,
    };
    let enter = |uid: u32| -> std::process::Output {
        use std::os::unix::process::CommandExt;
        let namespaces = cloud.internet_namespaces().expect("handed out");
        let view = view.clone();
        let script = "id -u; cat /etc/resolv.conf; grep ^hosts: /etc/nsswitch.conf; \
                      cat /etc/ssl/certs/ca-certificates.crt; cat /proc/net/dev; \
                      cat /proc/sys/net/ipv4/ip_unprivileged_port_start; \
                      grep CapEff /proc/self/status";
        let mut command = Command::new("sh");
        command.args(["-c", script]).uid(uid).gid(uid).current_dir("/");
        // SAFETY: the child has one thread; what it does until exec is file and mount calls.
        unsafe {
            command.pre_exec(move || {
                enter_internet(&namespaces, &view).map_err(std::io::Error::other)
            });
        }
        command.output().unwrap_or_else(|error| std::process::Output {
            status: Default::default(),
            stdout: Vec::new(),
            stderr: error.to_string().into_bytes(),
        })
    };
    let output = enter(OWNER);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("4321\nnameserver 8.8.8.8\n"), "{text}{errors}");
    for expected in ["hosts: files dns\n", "our roots\n", "inet0:", "CapEff:\t0000000000000000"] {
        assert!(text.contains(expected), "{expected:?} not in {text}{errors}");
    }
    assert!(enter(OWNER + 1).stdout.is_empty(), "a stranger came in");
    let root = enter(0);
    assert!(String::from_utf8_lossy(&root.stdout).contains("inet0:"));
    drop(namespaces);
    thread::yield_now();
}
