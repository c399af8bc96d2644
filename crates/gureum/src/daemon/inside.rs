//! Opens the doors of the services and of the simulated internet and puts the servers behind them.
//!
//! Sockets are made inside the namespaces; the servers themselves are tasks of the daemon.

use std::{
    fs, io,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use axum::Router;
use gureum_host::{fabric, namespace::Namespace};
use gureum_services::{
    ca::Ca,
    caller::{Allowance, View, by_address},
    connect::{Connecting, Connector},
    dns::{self, InternetResolver, VpcResolver},
    endpoint::{self, Endpoints},
    imds::{self, Imds},
    internet::{Hosts, Internet},
    sntp,
};
use gureum_types::ServiceDoor;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tracing::error;

use crate::failure::Failure;

/// Bytes of TCP in the largest packet that an endpoint carries (VPCE-14).
const ENDPOINT_MSS: u32 = 8500 - 40;

/// Connects from inside the simulated internet.
pub(crate) struct InternetConnector(pub(crate) Arc<Namespace>);

impl Connector for InternetConnector {
    fn connect(&self, address: SocketAddrV4) -> Connecting<'_> {
        let namespace = Arc::clone(&self.0);
        Box::pin(async move {
            let target = SocketAddr::V4(address);
            let made = tokio::task::spawn_blocking(move || namespace.tcp_socket(target)).await;
            let socket = made.map_err(io::Error::other)??;
            TcpSocket::from_std_stream(socket.into()).connect(target).await
        })
    }
}

/// What servers share.
pub(crate) struct Shared {
    pub(crate) view: View,
    pub(crate) ca: Arc<Ca>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) resolver: Arc<InternetResolver>,
}

/// Serves what a VPC offers its instances.
pub(crate) fn serve_services(
    services: &Namespace,
    shared: &Shared,
    token_key: [u8; 32],
) -> Result<(), Failure> {
    let allowance = Arc::new(Allowance::default());
    let imds = Arc::new(Imds::new(
        Arc::clone(&shared.view),
        by_address(),
        Arc::clone(&allowance),
        Arc::clone(&shared.ca),
        token_key,
    ));
    for address in at(ServiceDoor::Metadata, 80) {
        let listener = services.shared_tcp_listener(address).and_then(TcpListener::from_std);
        let listener = listener.map_err(|error| not_open(address, &error))?;
        tokio::spawn(imds::serve(listener, Arc::clone(&imds)));
    }

    let resolver = Arc::new(VpcResolver::new(
        Arc::clone(&shared.view),
        by_address(),
        Arc::clone(&allowance),
        Arc::clone(&shared.resolver),
    ));
    for door in [ServiceDoor::ResolverVpc, ServiceDoor::ResolverLinkLocal] {
        for address in at(door, 53) {
            tokio::spawn(dns::serve_udp(udp(services, address)?, Arc::clone(&resolver) as _));
            tokio::spawn(dns::serve_tcp(tcp(services, address)?, Arc::clone(&resolver) as _));
        }
    }
    for address in at(ServiceDoor::Time, 123) {
        let socket = udp(services, address)?;
        tokio::spawn(sntp::serve(socket, by_address(), Arc::clone(&allowance)));
    }
    Ok(())
}

/// Serves the hosts of the simulated internet, and those of AWS's services through endpoints of
/// VPCs; requests to AWS's names go to `aws_api`.
pub(crate) fn serve_internet(
    internet: &Namespace,
    services: &Namespace,
    shared: &Shared,
    aws_api: Router,
) -> Result<(), Failure> {
    let servers = Arc::new(Internet::new(
        Arc::clone(&shared.hosts),
        Arc::clone(&shared.resolver),
        Arc::clone(&shared.ca),
        aws_api,
    ));
    let endpoints = Arc::new(Endpoints::new(
        Arc::clone(&shared.view),
        endpoint::by_addresses(),
        Arc::clone(&shared.ca),
        Arc::clone(&servers),
    ));
    for (port, secure) in [(443, true), (80, false)] {
        let listener = services.endpoint_listener(port, ENDPOINT_MSS);
        let listener = listener.and_then(TcpListener::from_std);
        let address = (Ipv4Addr::UNSPECIFIED, port).into();
        let listener = listener.map_err(|error| not_open(address, &error))?;
        tokio::spawn(Arc::clone(&endpoints).serve(listener, secure));
    }
    for door in shared.hosts.doors().filter(|door| door.address.is_ipv4() || fabric::has_ipv6()) {
        let address = SocketAddr::new(door.address, door.port());
        let servers = Arc::clone(&servers);
        if door.is_udp() {
            let socket = internet.udp_socket(address).and_then(UdpSocket::from_std);
            tokio::spawn(servers.serve_udp(door, socket.map_err(|e| not_open(address, &e))?));
        } else {
            let listener = internet.tcp_listener(address).and_then(TcpListener::from_std);
            let listener = listener.map_err(|e| not_open(address, &e))?;
            tokio::spawn(async move {
                if let Err(error) = servers.serve_tcp(door, listener).await {
                    error!(%door, %error, "a host of the internet does not serve");
                }
            });
        }
    }
    Ok(())
}

/// Where a door is, in all families that it is open to.
fn at(door: ServiceDoor, port: u16) -> impl Iterator<Item = SocketAddr> {
    let v6 = door.ipv6_address().filter(|_| fabric::has_ipv6()).map(IpAddr::V6);
    let addresses = [IpAddr::V4(door.address())].into_iter().chain(v6);
    addresses.map(move |address| SocketAddr::new(address, port))
}

fn tcp(services: &Namespace, address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = services.tcp_listener(address).and_then(TcpListener::from_std);
    listener.map_err(|error| not_open(address, &error))
}

fn udp(services: &Namespace, address: SocketAddr) -> Result<UdpSocket, Failure> {
    let socket = services.udp_socket(address).and_then(UdpSocket::from_std);
    socket.map_err(|error| not_open(address, &error))
}

fn not_open(address: SocketAddr, error: &io::Error) -> Failure {
    Failure::new(format!("cannot listen at {address} inside the cloud: {error}"))
        .help("does an older daemon of this data directory still run? `gureum down` ends it")
}

/// A key that lives as long as the data directory, so that metadata tokens outlive the daemon.
pub(crate) fn token_key(path: &Path) -> io::Result<[u8; 32]> {
    if let Ok(bytes) = fs::read(path)
        && let Ok(key) = <[u8; 32]>::try_from(bytes)
    {
        return Ok(key);
    }
    let mut key = [0; 32];
    for chunk in key.chunks_exact_mut(8) {
        chunk.copy_from_slice(&rand::random::<u64>().to_le_bytes());
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    Ok(key)
}
