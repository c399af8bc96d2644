//! Who asks: the engine gives each packet of an instance a source address that names the
//! interface and the private address it came from, so overlapping VPCs just work (IMDS-2).
//!
//! The mapping is a parameter of every server, so that tests can say who a loopback peer is.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use arc_swap::ArcSwap;
use gureum_types::{
    PortIndex, caller_of, ipv6_caller_of,
    view::{InstanceView, InterfaceView, ServiceView},
};

/// The view that all servers read; the daemon swaps it when records change.
pub type View = Arc<ArcSwap<ServiceView>>;

/// Tells the port of the interface behind a peer, if there is one.
pub type Identify = Arc<dyn Fn(SocketAddr) -> Option<PortIndex> + Send + Sync>;

/// The mapping in use: the peer's address is a [`gureum_types::caller_address`] or a
/// [`gureum_types::ipv6_caller_address`].
pub fn by_address() -> Identify {
    Arc::new(|peer| {
        let caller = match peer.ip() {
            IpAddr::V4(address) => caller_of(address),
            IpAddr::V6(address) => ipv6_caller_of(address),
        };
        caller.map(|(port, _)| port)
    })
}

/// The interface of a caller.
pub(crate) fn interface(view: &ServiceView, port: PortIndex) -> Option<&Arc<InterfaceView>> {
    view.interfaces.get(&port)
}

/// The instance of a caller, with its interface.
pub(crate) fn instance(
    view: &ServiceView,
    port: PortIndex,
) -> Option<(&Arc<InstanceView>, &Arc<InterfaceView>)> {
    let interface = interface(view, port)?;
    let instance = view.instances.get(interface.instance_id.as_ref()?)?;
    Some((instance, interface))
}

/// How many packets a second an interface may send to the services of its VPC (DNS-13).
pub const PACKETS_PER_SECOND: u32 = 1024;

/// The allowance of packets to link-local services, one count an interface for all of them.
///
/// DNS and time count packets, the metadata service counts requests.
pub struct Allowance {
    limit: u32,
    start: Instant,
    spent: Mutex<HashMap<PortIndex, Spent>>,
}

#[derive(Clone, Copy)]
struct Spent {
    second: u64,
    packets: u32,
}

impl Allowance {
    /// An allowance of `limit` packets a second and interface.
    pub fn new(limit: u32) -> Self {
        Self { limit, start: Instant::now(), spent: Mutex::default() }
    }

    /// Takes one packet's worth; false where the second is used up.
    pub fn take(&self, port: PortIndex) -> bool {
        self.take_at(port, self.start.elapsed().as_secs())
    }

    fn take_at(&self, port: PortIndex, second: u64) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        // Interfaces come and go; what an earlier second spent matters no more.
        if spent.len() > 4096 && !spent.contains_key(&port) {
            spent.retain(|_, entry| entry.second == second);
        }
        let entry = spent.entry(port).or_insert(Spent { second, packets: 0 });
        if entry.second != second {
            *entry = Spent { second, packets: 0 };
        }
        if entry.packets >= self.limit {
            return false;
        }
        entry.packets += 1;
        true
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new(PACKETS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use gureum_types::{caller_address, ipv6_caller_address};

    use super::*;

    #[test]
    fn a_caller_is_one_over_both_families() {
        let identify = by_address();
        let port = PortIndex(77);
        let addresses: [IpAddr; 2] = [
            caller_address(port, 1).expect("in range").into(),
            ipv6_caller_address(port, 3).expect("in range").into(),
        ];
        for address in addresses {
            assert_eq!(identify((address, 40_000).into()), Some(port), "{address}");
        }
        for stranger in ["192.0.2.1", "2001:db8::1", "fd67:7572:6575:6d00:0:b::1"] {
            let address: IpAddr = stranger.parse().expect("an address");
            assert_eq!(identify((address, 40_000).into()), None, "{stranger}");
        }
    }

    #[test]
    fn an_interface_may_send_so_many_packets_a_second() {
        let allowance = Allowance::new(3);
        let taken =
            |port, second| (0..5).filter(|_| allowance.take_at(PortIndex(port), second)).count();
        assert_eq!(taken(2, 0), 3, "DNS-13");
        assert_eq!(taken(3, 0), 3, "another interface has its own");
        assert_eq!(taken(2, 1), 3, "the next second starts anew");
    }

    /// Traps 11.
    #[test]
    fn a_caller_is_known_in_both_families() {
        let identify = by_address();
        let port = PortIndex(131_071);
        let addresses = [
            gureum_types::caller_address(port, 63).map(IpAddr::V4),
            gureum_types::ipv6_caller_address(port, 63).map(IpAddr::V6),
        ];
        for address in addresses {
            let address = address.expect("in range");
            assert_eq!(identify(SocketAddr::new(address, 9)), Some(port), "{address}");
        }
        for stranger in ["10.128.0.1:9", "[fd67:7572:6575:6d00:0:b::1]:9", "[::1]:9"] {
            assert_eq!(identify(stranger.parse().expect("an address")), None, "{stranger}");
        }
    }

    #[test]
    fn old_counts_are_forgotten() {
        let allowance = Allowance::new(1);
        for port in 0..10_000 {
            allowance.take_at(PortIndex(port), u64::from(port));
        }
        assert!(allowance.spent.lock().expect("no panic").len() <= 4097);
    }
}
