//! The services of AWS as VPCs reach them through endpoints (VPCE-*): the hosts of the simulated
//! internet that have the services' names, for callers that the engine hands over (traps 11).
//!
//! A request carries where it came from as its [`Origin`], for whoever decides what it may do.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use gureum_types::{
    EndpointOrigin, EndpointService, Origin, PortIndex, Region, callee_of, caller_of,
    view::{EndpointView, ServiceView},
};
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::{
    ca::Ca,
    caller::View,
    gate::{self, Gate},
    internet::{Host, Internet, Visitor},
    tls,
};

const CONNECTIONS: usize = 4096;
const CONNECTIONS_PER_CALLER: usize = 256;

/// Who called what, by the numbers that the engine gave them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The caller's interface, and the index of its private address.
    pub caller: (PortIndex, u32),
    /// The endpoint, and the place of the address that was called in the service's block.
    pub callee: (PortIndex, u32),
}

/// Tells a call from both addresses of its connection, the peer's and ours.
pub type Locate = Arc<dyn Fn(SocketAddr, SocketAddr) -> Option<Call> + Send + Sync>;

/// The mapping in use: a [`gureum_types::caller_address`] and a [`gureum_types::callee_address`].
pub fn by_addresses() -> Locate {
    Arc::new(|peer, local| match (peer.ip(), local.ip()) {
        (IpAddr::V4(peer), IpAddr::V4(local)) => {
            Some(Call { caller: caller_of(peer)?, callee: callee_of(local)? })
        }
        _ => None,
    })
}

/// What is behind the endpoints of all VPCs.
pub struct Endpoints {
    view: View,
    locate: Locate,
    ca: Arc<Ca>,
    internet: Arc<Internet>,
    /// TLS for each service, made at the first call.
    configs: Mutex<HashMap<(&'static str, Region), Arc<ServerConfig>>>,
}

/// A call as the records know it.
struct Known {
    host: Arc<Host>,
    origin: Origin,
    endpoint: Arc<EndpointView>,
    /// The address of the host.
    address: IpAddr,
}

impl Endpoints {
    /// The endpoints of a view, with the hosts of an internet behind them.
    pub fn new(view: View, locate: Locate, ca: Arc<Ca>, internet: Arc<Internet>) -> Self {
        Self { view, locate, ca, internet, configs: Mutex::default() }
    }

    /// Serves a listener that all endpoints share, over TLS or not, until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, secure: bool) {
        let gate = Gate::new(CONNECTIONS, CONNECTIONS_PER_CALLER);
        gate::serve(listener, gate, "endpoint", |stream, peer| {
            let endpoints = Arc::clone(&self);
            async move {
                if let Err(error) = endpoints.converse(stream, peer, secure).await {
                    debug!(%peer, %error, "a connection to an endpoint");
                }
            }
        })
        .await;
    }

    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        secure: bool,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let local = stream.local_addr()?;
        let call = (self.locate)(peer, local).ok_or("it names no caller and no endpoint")?;
        let known = self.known(&self.view.load(), call, secure);
        let known = known.ok_or("caller or endpoint is gone")?;
        let config = match secure {
            true => Some(self.config(&known)?),
            false => None,
        };
        let visitor = Visitor { peer, origin: known.origin };
        Arc::clone(&self.internet).receive(stream, visitor, known.host, config).await
    }

    fn known(&self, view: &ServiceView, call: Call, is_secure: bool) -> Option<Known> {
        let endpoint = view.endpoints.get(&call.callee.0)?;
        let (port, index) = call.caller;
        let caller = view.interfaces.get(&port)?;
        let private = caller.private_addresses.get(usize::try_from(index).ok()?)?;
        let address: IpAddr = match endpoint.is_gateway {
            true => {
                let block = endpoint.service.gateway.as_ref()?.block;
                Ipv4Addr::from(u32::from(block.network()).checked_add(call.callee.1)?).into()
            }
            false => {
                let name = endpoint.service.public_dns_name(&endpoint.region);
                *self.internet.hosts().addresses_of(&name).first()?
            }
        };
        Some(Known {
            host: Arc::new(self.internet.hosts().at(address)?.clone()),
            origin: Origin {
                address: (*private).into(),
                is_secure,
                endpoint: Some(EndpointOrigin {
                    id: endpoint.id.clone(),
                    vpc: endpoint.vpc_id.clone(),
                    interface: caller.instance_id.as_ref().and(caller.interface_id.parse().ok()),
                }),
            },
            endpoint: Arc::clone(endpoint),
            address,
        })
    }

    fn config(&self, known: &Known) -> Result<Arc<ServerConfig>, rustls::Error> {
        let endpoint = &known.endpoint;
        if endpoint.is_gateway {
            return self.internet.tls_of(known.address);
        }
        let key = (endpoint.service.name, endpoint.region.clone());
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&key) {
            return Ok(Arc::clone(config));
        }
        let names = OfService {
            ca: Arc::clone(&self.ca),
            service: endpoint.service,
            region: endpoint.region.clone(),
        };
        let config = tls::server_config(Arc::new(names))?;
        configs.insert(key, Arc::clone(&config));
        Ok(config)
    }
}

/// Certificates for the names of a service. Who asks for another one gets the service's own, as from
/// AWS's load balancers, and sees that it does not fit.
struct OfService {
    ca: Arc<Ca>,
    service: &'static EndpointService,
    region: Region,
}

impl std::fmt::Debug for OfService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfService").field("service", &self.service.name).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for OfService {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        let own = asked.filter(|name| self.service.is_called(&self.region, name));
        let name = own.unwrap_or_else(|| self.service.public_dns_name(&self.region));
        match self.ca.certificate_for(&name) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                warn!(%name, %error, "making a certificate");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gureum_types::{callee_address, caller_address};

    use super::*;

    #[test]
    fn a_call_is_known_by_both_ends_of_its_connection() {
        let locate = by_addresses();
        let (caller, callee) = ((PortIndex(7), 1), (PortIndex(9), 3));
        let socket = |address: Ipv4Addr| SocketAddr::new(address.into(), 443);
        let peer = socket(caller_address(caller.0, caller.1).expect("in range"));
        let local = socket(callee_address(callee.0, callee.1).expect("in range"));
        assert_eq!(locate(peer, local), Some(Call { caller, callee }));
        assert_eq!(locate(local, peer), None);
        assert_eq!(locate(peer, "[::1]:443".parse().expect("an address")), None);
    }
}
