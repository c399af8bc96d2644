//! What the tests of this room share: a cloud of their own, its network, and simple guests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod guest;
pub mod metadata;
pub mod wire;

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use gureum_engine::{Limits, Policy, compile};
use gureum_host::{
    anchor::Owner,
    cloud::{Cloud, CloudConfig, leftovers},
    fabric::{self, InternetSettings},
    instance::Kind,
    namespace::Namespace,
    netlink::{Netlink, Route, VethEnd},
    supervisor::Program,
};
use gureum_types::{PortIndex, Tags, Timestamp, record::*};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use tempfile::TempDir;

pub const A: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 10);
pub const B: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 11);
pub const C: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 12);
pub const A_PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub const INTERNET_HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 0x10);
pub const INTERNET_HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0, 0, 0, 0, 1);
pub const PORT_A: PortIndex = PortIndex(2);
pub const PORT_B: PortIndex = PortIndex(3);
pub const PORT_C: PortIndex = PortIndex(4);

/// Whether to run; without root these tests fail unless told to be left out.
pub fn root() -> bool {
    if std::env::var_os("GUREUM_SKIP_ROOT_TESTS").is_some() {
        return false;
    }
    assert!(
        nix::unistd::Uid::effective().is_root(),
        "this test makes namespaces: run it as root, or leave it out with GUREUM_SKIP_ROOT_TESTS=1"
    );
    true
}

pub fn program() -> Program {
    Program::at(env!("CARGO_BIN_EXE_gureum-supervise"))
}

/// A data directory that must leave nothing behind.
pub struct Data {
    pub dir: TempDir,
}

impl Data {
    pub fn new() -> Self {
        Self { dir: TempDir::new().expect("a directory") }
    }

    pub fn config(&self, policy: Policy) -> CloudConfig {
        CloudConfig {
            data_dir: self.dir.path().to_owned(),
            images_dir: images(),
            program: program(),
            owner: Owner { uid: 0, gid: 0 },
            internet: InternetSettings {
                client: CLIENT,
                hosts: vec![INTERNET_HOST],
                public_pool: "198.18.0.0/16".parse().expect("a prefix"),
                ipv6_client: CLIENT6,
                ipv6_hosts: vec![INTERNET_HOST6],
            },
            uplink: false,
            kind: Kind::Full,
            ca_bundle: None,
            cloud_files: Vec::new(),
            policy: Arc::new(policy),
            limits: Limits::default(),
        }
    }

    pub fn open(&self, policy: Policy) -> Cloud {
        Cloud::open(self.config(policy)).expect("a cloud")
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let down = gureum_host::cloud::down(self.dir.path());
        let left = leftovers(self.dir.path());
        if !thread::panicking() {
            down.expect("down");
            assert_eq!(left.expect("leftovers"), Vec::<String>::new());
        }
    }
}

/// Where `make image` puts images, by the same rules.
pub fn images() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(images) = variable("GUREUM_IMAGES_DIR") {
        return images.into();
    }
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| "/root".into()));
    cache.unwrap_or_else(|| home().join(".cache")).join("gureum/images")
}

pub fn mac(last: u8) -> [u8; 6] {
    [0x02, 0x11, 0x22, 0x33, 0x44, last]
}

/// A VPC with one public subnet and three interfaces; `rules` as (egress, traffic, peer).
pub fn network(rules: &[(bool, Traffic, &str)]) -> Network {
    let id = |prefix: &str, n: u32| format!("{prefix}-0{n:016x}");
    let created = Timestamp::default();
    let tags = Tags::default;
    let vpc_id: gureum_types::VpcId = id("vpc", 1).parse().expect("id");
    let subnet_id: gureum_types::SubnetId = id("subnet", 1).parse().expect("id");
    let group_id: gureum_types::SecurityGroupId = id("sg", 1).parse().expect("id");
    let gateway: gureum_types::InternetGatewayId = id("igw", 1).parse().expect("id");
    let all = |destination: &str, target| Route4 { destination, target }.route();
    let entry = |egress, rule_number, allow| NetworkAclEntry {
        rule_number,
        egress,
        allow,
        traffic: Traffic::All,
        cidr: "0.0.0.0/0".parse().expect("a prefix"),
    };
    let interface = |n: u32, port, address: Ipv4Addr, public| {
        Arc::new(NetworkInterface {
            id: id("eni", n).parse().expect("id"),
            port,
            vpc_id: vpc_id.clone(),
            subnet_id: subnet_id.clone(),
            availability_zone: "ap-northeast-2a".into(),
            description: String::new(),
            interface_type: "interface".into(),
            requester_managed: false,
            mac: mac(port.0 as u8),
            private_addresses: vec![address],
            ipv6_addresses: Vec::new(),
            groups: vec![group_id.clone()],
            source_dest_check: true,
            connection_tracking: Default::default(),
            primary_ipv6: false,
            detached: None,
            attachment: Some(Attachment {
                id: id("eni-attach", n).parse().expect("id"),
                instance_id: id("i", n).parse().expect("id"),
                device_index: 0,
                delete_on_termination: true,
                attach_time: created,
                state: Default::default(),
            }),
            associate_public_ip: true,
            auto_public_ip: public,
            created,
            tags: tags(),
        })
    };
    Network {
        vpc_endpoints: vec![],
        vpcs: vec![(
            "ap-northeast-2".parse().expect("a region"),
            Arc::new(Vpc {
                id: vpc_id.clone(),
                cidr_block: "10.1.0.0/16".parse().expect("a prefix"),
                cidr_associations: Vec::new(),
                ipv6_cidr_associations: Vec::new(),
                dhcp_options: Some(id("dopt", 1).parse().expect("id")),
                instance_tenancy: "default".into(),
                is_default: false,
                enable_dns_support: true,
                enable_dns_hostnames: true,
                enable_network_address_usage_metrics: false,
                created,
                tags: tags(),
            }),
        )],
        subnets: vec![Arc::new(Subnet {
            id: subnet_id.clone(),
            vpc_id: vpc_id.clone(),
            cidr_block: Some("10.1.1.0/24".parse().expect("a prefix")),
            ipv6_cidr_association: None,
            availability_zone: "ap-northeast-2a".into(),
            default_for_az: false,
            map_public_ip_on_launch: true,
            assign_ipv6_address_on_creation: false,
            enable_dns64: false,
            private_dns_hostname_type: "ip-name".into(),
            resource_name_dns_a_record: false,
            resource_name_dns_aaaa_record: false,
            created,
            tags: tags(),
        })],
        route_tables: vec![Arc::new(RouteTable {
            propagating_gateways: Vec::new(),
            id: id("rtb", 1).parse().expect("id"),
            vpc_id: vpc_id.clone(),
            routes: vec![
                all("10.1.0.0/16", RouteTarget::Local),
                all("0.0.0.0/0", RouteTarget::InternetGateway(gateway.clone())),
            ],
            associations: vec![RouteTableAssociation {
                id: id("rtbassoc", 1).parse().expect("id"),
                subnet_id: None,
                gateway_id: None,
                main: true,
            }],
            created,
            tags: tags(),
        })],
        egress_only_internet_gateways: Vec::new(),
        nat_gateways: Vec::new(),
        vpc_peering_connections: Vec::new(),
        prefix_lists: Vec::new(),
        internet_gateways: vec![Arc::new(InternetGateway {
            id: gateway,
            vpc_id: Some(vpc_id.clone()),
            created,
            tags: tags(),
        })],
        security_groups: vec![Arc::new(SecurityGroup {
            id: group_id.clone(),
            vpc_id: vpc_id.clone(),
            name: "test".into(),
            description: String::new(),
            created,
            tags: tags(),
        })],
        security_group_rules: (1..)
            .zip(rules)
            .map(|(n, (egress, traffic, peer))| {
                Arc::new(SecurityGroupRule {
                    id: id("sgr", n).parse().expect("id"),
                    group_id: group_id.clone(),
                    egress: *egress,
                    traffic: *traffic,
                    peer: RulePeer::Ipv4(peer.parse().expect("a prefix")),
                    description: None,
                    tags: tags(),
                })
            })
            .collect(),
        network_acls: vec![Arc::new(NetworkAcl {
            id: id("acl", 1).parse().expect("id"),
            vpc_id: vpc_id.clone(),
            is_default: true,
            entries: vec![
                entry(true, 100, true),
                entry(true, 32767, false),
                entry(false, 100, true),
                entry(false, 32767, false),
            ],
            associations: vec![NetworkAclAssociation {
                id: id("aclassoc", 1).parse().expect("id"),
                subnet_id: subnet_id.clone(),
            }],
            created,
            tags: tags(),
        })],
        dhcp_options: vec![Arc::new(DhcpOptions {
            id: id("dopt", 1).parse().expect("id"),
            configurations: vec![("domain-name-servers".into(), vec!["AmazonProvidedDNS".into()])],
            created,
            tags: tags(),
        })],
        interfaces: vec![
            interface(1, PORT_A, A, Some(A_PUBLIC)),
            interface(2, PORT_B, B, None),
            interface(3, PORT_C, C, None),
        ],
        addresses: Vec::new(),
        vpn_gateways: Vec::new(),
        transit_gateway_vpc_attachments: Vec::new(),
        restricted_subnets: Vec::new(),
        flow_logs: Vec::new(),
    }
}

struct Route4<'a> {
    destination: &'a str,
    target: RouteTarget,
}

impl Route4<'_> {
    fn route(self) -> gureum_types::record::Route {
        gureum_types::record::Route {
            destination: RouteDestination::Ipv4(self.destination.parse().expect("a prefix")),
            target: self.target,
        }
    }
}

pub const ANYTHING: [(bool, Traffic, &str); 2] =
    [(true, Traffic::All, "0.0.0.0/0"), (false, Traffic::All, "0.0.0.0/0")];

/// The policy of that network.
pub fn policy(rules: &[(bool, Traffic, &str)], epoch: u64) -> Policy {
    compile(&network(rules), epoch, &fabric::config("198.18.0.0/16".parse().expect("a block")))
}

/// A namespace that plays an instance.
pub struct Guest {
    pub namespace: Namespace,
    pub port: PortIndex,
    pub address: Ipv4Addr,
}

impl Guest {
    /// Makes it and connects it to its port.
    pub fn connect(cloud: &Cloud, port: PortIndex, address: Ipv4Addr) -> Self {
        let namespace = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
            Namespace::from_fd(File::open("/proc/thread-self/ns/net").expect("opened").into())
        });
        let guest = Self { namespace: namespace.join().expect("made"), port, address };
        guest.plug(cloud);
        guest
    }

    /// Connects it to its port, again.
    pub fn plug(&self, cloud: &Cloud) {
        let far = VethEnd { name: "eth0", mac: Some(mac(self.port.0 as u8)), mtu: 9001 };
        let fabric = &cloud.namespaces().fabric;
        let link = fabric::connect_interface(fabric, self.port, &far, &self.namespace);
        let link = link.expect("connected").index;
        let added = cloud.datapath().add_port(self.port, link).blocking_recv();
        added.expect("an answer").expect("in service");
        let mut netlink = Netlink::open_in(&self.namespace).expect("netlink");
        let eth0 = netlink.link("eth0").expect("asked").expect("there").index;
        let subnet = ipnet::Ipv4Net::new(self.address, 24).expect("a prefix");
        netlink.add_address(eth0, subnet.into()).expect("addressed");
        netlink
            .replace_route(&Route {
                destination: "0.0.0.0/0".parse().expect("a prefix"),
                link: eth0,
                gateway: Some(ROUTER.into()),
                source: None,
                local: false,
            })
            .expect("routed");
    }

    pub fn listen(&self, port: u16) -> TcpListener {
        let address = SocketAddr::from((self.address, port));
        self.namespace.run(|| TcpListener::bind(address)).expect("entered").expect("listening")
    }

    pub fn dial(&self, target: (Ipv4Addr, u16)) -> io::Result<TcpStream> {
        dial(&self.namespace, target)
    }
}

pub fn dial(namespace: &Namespace, target: (Ipv4Addr, u16)) -> io::Result<TcpStream> {
    let target = SocketAddr::from(target);
    namespace.run(|| TcpStream::connect_timeout(&target, Duration::from_secs(5)))?
}

/// Sends pings from a namespace; the round trip of those that were answered in time.
pub struct Pinger {
    socket: Socket,
    target: Ipv4Addr,
    sequence: u16,
    identifier: u16,
}

impl Pinger {
    pub fn new(namespace: &Namespace, target: Ipv4Addr, identifier: u16) -> Self {
        let make = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4));
        let socket = namespace.run(make).expect("entered").expect("a socket");
        Self { socket, target, sequence: 0, identifier }
    }

    pub fn ping(&mut self, patience: Duration) -> Option<Duration> {
        self.sequence += 1;
        let [id_high, id_low] = self.identifier.to_be_bytes();
        let [high, low] = self.sequence.to_be_bytes();
        let mut packet = vec![8, 0, 0, 0, id_high, id_low, high, low];
        packet.extend_from_slice(&[0x5a; 48]);
        let sum: u32 = packet
            .chunks_exact(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
        let started = Instant::now();
        let target = SocketAddr::from((self.target, 0)).into();
        self.socket.send_to(&packet, &target).expect("sent");
        loop {
            let left = patience.checked_sub(started.elapsed()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).expect("set");
            let mut buffer = [0_u8; 2048];
            let mut bytes = &self.socket;
            let Ok(length) = io::Read::read(&mut bytes, &mut buffer) else { return None };
            // 20 bytes of IP header, then an echo reply of ours.
            if buffer[20..length].starts_with(&[0, 0])
                && buffer[24..28] == [id_high, id_low, high, low]
            {
                return Some(started.elapsed());
            }
        }
    }
}

/// Waits until something holds.
pub fn wait_for(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < until, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
