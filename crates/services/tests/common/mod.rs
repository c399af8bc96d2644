//! The lab's VPC as the services see it, and callers on loopback addresses: a peer at 127.0.0.N
//! is the interface behind port N.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use gureum_services::{
    caller::{Identify, View},
    dns::InternetResolver,
    internet::Hosts,
};
use gureum_types::{
    AccountId, EndpointService, InstanceId, PortIndex, Timestamp, VpcEndpointId, VpcId,
    record::MetadataOptions,
    view::{EndpointView, InstanceView, InterfaceView, PublicAddressView, ServiceView, VpcView},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// PUBLIC-01: 10.1.1.5 with 198.18.0.5; version 1 of the metadata service is allowed.
pub(crate) const PUBLIC_01: u32 = 2;
/// The second interface of PUBLIC-01, 10.1.2.9.
pub(crate) const SECOND_INTERFACE: u32 = 3;
/// PRIVATE-01: 10.1.11.7, no public address, no key, no user data, tokens required.
pub(crate) const PRIVATE_01: u32 = 4;
/// An instance of another VPC with the same block: also 10.1.1.5, with 198.18.0.6.
pub(crate) const OVERLAPPING: u32 = 5;
/// An instance of a VPC without DNS host names, 10.2.0.4, with 198.18.0.7.
pub(crate) const NO_HOSTNAMES: u32 = 6;
/// An instance of a VPC without DNS support; its metadata endpoint is disabled.
pub(crate) const NO_SUPPORT: u32 = 7;
/// An instance of a subnet with IPv6 only, where DNS64 is on: 2001:db8:0:102::a.
pub(crate) const IPV6_ONLY: u32 = 9;
/// An interface without an instance.
pub(crate) const UNATTACHED: u32 = 8;
/// Nobody.
pub(crate) const UNKNOWN: u32 = 99;

/// An interface of an endpoint of the first VPC for ssmmessages, and its gateway endpoint for S3.
pub(crate) const ENDPOINT: u32 = 40;
pub(crate) const S3_ENDPOINT: u32 = 41;
/// The names of endpoints: the whole one, one zone's, and one that has names below.
pub(crate) const REGIONAL: &str =
    "vpce-00000000000000001-a1b2c3d4.ssmmessages.ap-northeast-2.vpce.amazonaws.com";
pub(crate) const ZONAL: &str = "vpce-00000000000000001-a1b2c3d4-ap-northeast-2c.ssmmessages.\
    ap-northeast-2.vpce.amazonaws.com";
pub(crate) const BELOW: &str =
    "vpce-00000000000000003-a1b2c3d4.s3.ap-northeast-2.vpce.amazonaws.com";
/// What private DNS of that endpoint takes over.
pub(crate) const TAKEN_OVER: &str = "ssmmessages.ap-northeast-2.amazonaws.com";

pub(crate) const USER_DATA: &[u8] = b"#!/bin/sh\n\xff\0 bytes stay as they are\n";
pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFake imd-key";

pub(crate) fn peer(port: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, port.try_into().expect("a small port"))
}

pub(crate) fn identify() -> Identify {
    Arc::new(|peer| match peer.ip() {
        IpAddr::V4(address) => Some(PortIndex(address.octets()[3].into())),
        // The one loopback address of IPv6.
        IpAddr::V6(_) => Some(PortIndex(PUBLIC_01)),
    })
}

pub(crate) fn options() -> MetadataOptions {
    MetadataOptions {
        tokens_required: false,
        hop_limit: 1,
        enabled: true,
        ipv6: false,
        tags: false,
    }
}

fn vpc(number: u64, block: &str, private: &[(&str, Option<InstanceId>)]) -> VpcView {
    let private = private.iter().map(|(address, id)| (address.parse().expect("one"), id.clone()));
    VpcView {
        id: VpcId::new(number),
        region: "ap-northeast-2".parse().expect("a region"),
        cidr_blocks: vec![block.parse().expect("a block")],
        ipv6_cidr_blocks: Vec::new(),
        dns_support: true,
        dns_hostnames: true,
        private_addresses: private.collect(),
        dns_peers: Vec::new(),
        ipv6_addresses: HashMap::new(),
        service_names: HashMap::new(),
    }
}

fn endpoint(number: u64, service: &str, is_gateway: bool) -> Arc<EndpointView> {
    let name = format!("com.amazonaws.ap-northeast-2.{service}");
    Arc::new(EndpointView {
        id: VpcEndpointId::new(number),
        vpc_id: VpcId::new(1),
        region: "ap-northeast-2".parse().expect("a region"),
        service: EndpointService::of(&name).expect("a service"),
        is_gateway,
    })
}

fn interface(port: u32, vpc: u64, instance: Option<u64>, address: &str) -> InterfaceView {
    let address: Ipv4Addr = address.parse().expect("an address");
    let [a, b, c, _] = address.octets();
    InterfaceView {
        instance_id: instance.map(InstanceId::new),
        interface_id: format!("eni-0000000000000000{port}"),
        vpc_id: VpcId::new(vpc),
        subnet_id: format!("subnet-0000000000000000{c}"),
        subnet_cidr_block: Some(format!("{a}.{b}.{c}.0/24").parse().expect("a block")),
        subnet_ipv6_cidr_block: None,
        dns64: false,
        mac: format!("02:00:00:00:00:0{port}"),
        device_number: 0,
        private_addresses: vec![address],
        ipv6_addresses: Vec::new(),
        public_addresses: Vec::new(),
        security_groups: vec![("sg-00000000000000001".to_owned(), "IMD-PUB-SG".to_owned())],
        owner: AccountId::default(),
    }
}

pub(crate) fn instance(number: u64, address: &str, ports: &[u32]) -> InstanceView {
    let dashed = address.replace('.', "-");
    InstanceView {
        instance_id: InstanceId::new(number),
        account: AccountId::default(),
        region: "ap-northeast-2".parse().expect("a region"),
        availability_zone: "ap-northeast-2a".to_owned(),
        availability_zone_id: "apne2-az1".to_owned(),
        image_id: "ami-00000000000000001".to_owned(),
        instance_type: "t2.micro".to_owned(),
        reservation_id: "r-00000000000000001".to_owned(),
        launch_index: 0,
        private_dns_name: format!("ip-{dashed}.ap-northeast-2.compute.internal"),
        resource_name_dns_a_record: false,
        resource_name_dns_aaaa_record: false,
        public_key: None,
        user_data: None,
        metadata_options: options(),
        connect_keys: Vec::new(),
        pending_time: Timestamp(1_630_630_923_045),
        block_devices: vec![
            ("ami".to_owned(), "xvda".to_owned()),
            ("root".to_owned(), "/dev/xvda".to_owned()),
        ],
        monitoring: false,
        identity: None,
        instance_profile: None,
        tags: BTreeMap::from([
            ("Name".to_owned(), format!("instance-{number}")),
            ("a@b".to_owned(), "값".to_owned()),
        ]),
        ports: ports.iter().copied().map(PortIndex).collect(),
    }
}

/// The lab.
pub(crate) fn lab() -> ServiceView {
    let mut vpcs = [
        vpc(
            1,
            "10.1.0.0/16",
            &[
                ("10.1.1.5", Some(InstanceId::new(1))),
                ("10.1.2.9", Some(InstanceId::new(1))),
                ("10.1.11.7", Some(InstanceId::new(2))),
                ("10.1.1.77", None),
            ],
        ),
        vpc(2, "10.1.0.0/16", &[("10.1.1.5", Some(InstanceId::new(3)))]),
        vpc(3, "10.2.0.0/16", &[("10.2.0.4", Some(InstanceId::new(4)))]),
        vpc(4, "10.3.0.0/16", &[("10.3.0.4", Some(InstanceId::new(5)))]),
        vpc(5, "100.64.0.0/16", &[("100.64.0.4", None)]),
        vpc(6, "10.6.0.0/16", &[("10.6.0.4", None)]),
    ];
    vpcs[0].cidr_blocks.push("10.200.0.0/16".parse().expect("a block"));
    let endpoint_addresses = vec![[10, 1, 11, 30].into(), [10, 1, 12, 30].into()];
    for vpc in [0, 2] {
        vpcs[vpc].service_names.insert(TAKEN_OVER.to_owned(), endpoint_addresses.clone());
    }
    vpcs[2].dns_hostnames = false;
    vpcs[3].dns_support = false;
    vpcs[5].ipv6_cidr_blocks = vec!["2001:db8:0:100::/56".parse().expect("a block")];
    for (address, instance) in [
        ("2001:db8:0:102::a", Some(6)),
        ("2001:db8:0:102::b", Some(6)),
        ("2001:db8:0:101::5", None),
    ] {
        let address = address.parse().expect("an address");
        vpcs[5].ipv6_addresses.insert(address, instance.map(InstanceId::new));
    }

    let mut first = interface(PUBLIC_01, 1, Some(1), "10.1.1.5");
    first.public_addresses = vec![(Ipv4Addr::new(198, 18, 0, 5), Ipv4Addr::new(10, 1, 1, 5))];
    let mut second = interface(SECOND_INTERFACE, 1, Some(1), "10.1.2.9");
    second.device_number = 1;
    second.private_addresses.push(Ipv4Addr::new(10, 1, 2, 10));
    let mut no_hostnames = interface(NO_HOSTNAMES, 3, Some(4), "10.2.0.4");
    no_hostnames.public_addresses =
        vec![(Ipv4Addr::new(198, 18, 0, 7), Ipv4Addr::new(10, 2, 0, 4))];
    let interfaces = [
        (PUBLIC_01, first),
        (SECOND_INTERFACE, second),
        (PRIVATE_01, interface(PRIVATE_01, 1, Some(2), "10.1.11.7")),
        (OVERLAPPING, interface(OVERLAPPING, 2, Some(3), "10.1.1.5")),
        (NO_HOSTNAMES, no_hostnames),
        (NO_SUPPORT, interface(NO_SUPPORT, 4, Some(5), "10.3.0.4")),
        (UNATTACHED, interface(UNATTACHED, 1, None, "10.1.1.77")),
    ];

    let mut ipv6_only = interface(IPV6_ONLY, 6, Some(6), "10.6.0.9");
    ipv6_only.private_addresses.clear();
    ipv6_only.ipv6_addresses =
        ["2001:db8:0:102::a", "2001:db8:0:102::b"].map(|it| it.parse().expect("one")).to_vec();
    ipv6_only.subnet_cidr_block = None;
    ipv6_only.subnet_ipv6_cidr_block = Some("2001:db8:0:102::/64".parse().expect("a block"));
    ipv6_only.dns64 = true;
    let interfaces: HashMap<_, _> =
        interfaces.into_iter().chain([(IPV6_ONLY, ipv6_only)]).collect();

    let mut public = instance(1, "10.1.1.5", &[PUBLIC_01, SECOND_INTERFACE]);
    public.public_key = Some(("imd-key".to_owned(), format!("{KEY}\n")));
    public.user_data = Some(USER_DATA.into());
    public.resource_name_dns_a_record = true;
    let mut private = instance(2, "10.1.11.7", &[PRIVATE_01]);
    private.metadata_options.tokens_required = true;
    let mut disabled = instance(5, "10.3.0.4", &[NO_SUPPORT]);
    disabled.metadata_options.enabled = false;
    let mut of_ipv6 = instance(6, "10.6.0.9", &[IPV6_ONLY]);
    of_ipv6.private_dns_name = format!("{}.ap-northeast-2.compute.internal", of_ipv6.instance_id);
    of_ipv6.resource_name_dns_aaaa_record = true;
    let instances = [
        public,
        private,
        instance(3, "10.1.1.5", &[OVERLAPPING]),
        instance(4, "10.2.0.4", &[NO_HOSTNAMES]),
        disabled,
        of_ipv6,
    ];

    let public_address = |vpc, private: [u8; 4]| PublicAddressView {
        vpc_id: VpcId::new(vpc),
        region: "ap-northeast-2".parse().expect("a region"),
        private_address: private.into(),
    };
    ServiceView {
        epoch: 1,
        interfaces: interfaces
            .into_iter()
            .map(|(port, view)| (PortIndex(port), Arc::new(view)))
            .collect(),
        instances: instances
            .into_iter()
            .map(|view| (view.instance_id.clone(), Arc::new(view)))
            .collect(),
        vpcs: vpcs.into_iter().map(|view| (view.id.clone(), Arc::new(view))).collect(),
        public_addresses: HashMap::from([
            (Ipv4Addr::new(198, 18, 0, 5), public_address(1, [10, 1, 1, 5])),
            (Ipv4Addr::new(198, 18, 0, 6), public_address(2, [10, 1, 1, 5])),
            (Ipv4Addr::new(198, 18, 0, 7), public_address(3, [10, 2, 0, 4])),
        ]),
        endpoints: HashMap::from([
            (PortIndex(ENDPOINT), endpoint(1, "ssmmessages", false)),
            (PortIndex(S3_ENDPOINT), endpoint(2, "s3", true)),
        ]),
        endpoint_names: HashMap::from([
            (REGIONAL.to_owned(), vec![[10, 1, 11, 30].into(), [10, 1, 12, 30].into()]),
            (ZONAL.to_owned(), vec![[10, 1, 12, 30].into()]),
            (format!("*.{BELOW}"), vec![[10, 1, 11, 31].into()]),
        ]),
    }
}

pub(crate) fn view(view: ServiceView) -> View {
    Arc::new(ArcSwap::from_pointee(view))
}

pub(crate) fn internet_resolver(view: &View) -> Arc<InternetResolver> {
    let hosts = Hosts::embedded().expect("the embedded hosts");
    Arc::new(InternetResolver::new(Arc::new(hosts), Arc::clone(view)))
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// Header lines as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Said {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends bytes from a caller's address and reads until the server closes.
pub(crate) async fn exchange(
    port: u32,
    server: SocketAddr,
    request: &[u8],
) -> std::io::Result<Vec<u8>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((peer(port), 0)))?;
    let mut stream: TcpStream = socket.connect(server).await?;
    stream.write_all(request).await?;
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    tokio::time::timeout(Duration::from_secs(20), read).await??;
    Ok(said)
}

/// One HTTP request; `headers` are lines without their ends.
pub(crate) async fn http(
    port: u32,
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
) -> Said {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    request += "\r\n";
    let said = exchange(port, server, request.as_bytes()).await.expect("an exchange");
    parse(&said)
}

pub(crate) fn parse(said: &[u8]) -> Said {
    let end = said.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the end of the head");
    let head = String::from_utf8(said[..end].to_vec()).expect("a text head").replace('\r', "");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    Said { status, head, body: said[end + 4..].to_vec() }
}

/// Whether a program is there; where it is not, says so once.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if !found {
        eprintln!("left out what needs {program}, which is not on PATH");
    }
    found
}
