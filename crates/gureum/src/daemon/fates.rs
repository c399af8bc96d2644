//! What a change of the records would do to flows that are open: the engine is asked on its own present
//! state, under the policy that other records make.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use gureum_control::Directory;
use gureum_engine::{Direction, Fate, FlowView, Policy, WhyQuery, WhySource, WhyTraffic};
use gureum_host::datapath;
use gureum_store::Snapshot;
use gureum_types::{AccountId, IpProtocol};

use super::{
    check,
    clerk::{Answer, Clerk},
};
use crate::admin::FlowFate;

/// Flows that are looked at; more are not open on one machine but by floods.
const LIMIT: usize = 20_000;
/// How many flows the data path judges in a row: packets pass in between.
const PORTION: usize = 8;

/// The two packets that are asked about: one of the flow, and one that would begin it anew.
struct Asked {
    first: WhyQuery,
    under_way: WhyQuery,
    from: String,
    to: String,
    protocol: String,
}

impl Clerk {
    /// What a policy, which other records make, would do to the flows that are open now; with an
    /// account, to those with an end there.
    pub(super) fn fates(
        &self,
        other: &Arc<Policy>,
        records: &Arc<Snapshot>,
        account: Option<&AccountId>,
    ) -> Answer<Vec<FlowFate>> {
        let Some(cloud) = &self.cloud else { return Ok(Vec::new()) };
        let then = Directory::of(Arc::clone(records));
        let gone = |_| "the data path is gone".to_owned();
        let seen = cloud.datapath().run(|_, state| {
            let own = state.flows().filter(|flow| flow.nat_gateway.is_none());
            own.take(LIMIT).collect::<Vec<_>>()
        });
        let flows = seen.blocking_recv().map_err(gone)?;
        let asked = self.questions(&flows, account);
        let mut found = Vec::new();
        for some in asked.chunks(PORTION) {
            let queries: Vec<_> =
                some.iter().map(|it| (it.first.clone(), it.under_way.clone())).collect();
            let other = Arc::clone(other);
            let now = datapath::monotonic_now();
            let told = cloud.datapath().run(move |policy, state| {
                let fate = |(first, under_way): &(WhyQuery, WhyQuery)| {
                    gureum_engine::fate((policy, &other), state, (first, under_way), now)
                };
                queries.iter().map(fate).collect::<Vec<_>>()
            });
            for (asked, fate) in some.iter().zip(told.blocking_recv().map_err(gone)?) {
                let (goes_on, report) = match fate {
                    Some(Fate::Ends(report)) => (false, report),
                    Some(Fate::GoesOn(report)) => (true, report),
                    None => continue,
                };
                found.push(FlowFate {
                    goes_on,
                    from: asked.from.clone(),
                    to: asked.to.clone(),
                    protocol: asked.protocol.clone(),
                    by: check::in_words(&then, &report),
                });
            }
        }
        Ok(found)
    }

    /// The flows as who began them would ask about them. Between two interfaces both have one: that of
    /// who began it counts.
    fn questions(&self, flows: &[FlowView], account: Option<&AccountId>) -> Vec<Asked> {
        type Ends = ((IpAddr, u16), (IpAddr, u16), u8);
        let began: HashSet<Ends> = flows
            .iter()
            .filter(|flow| flow.origin == Direction::Egress)
            .map(|flow| (flow.local, flow.remote, flow.protocol))
            .collect();
        let directory = self.control.directory();
        let asked = flows.iter().filter_map(|flow| {
            let found = directory.records().interface_behind(flow.port)?;
            let interface = directory.interface(found.id.as_str())?;
            let is_of = |account: &AccountId| {
                let other = directory.interface_at(flow.remote.0);
                [Some(interface), other]
                    .into_iter()
                    .flatten()
                    .any(|it| it.scope.account == *account)
            };
            if !account.is_none_or(is_of) {
                return None;
            }
            let label = directory.label(interface);
            let (source, destination, from, to, ports) = match flow.origin {
                Direction::Egress => {
                    let end = WhySource::Interface { port: flow.port, address: Some(flow.local.0) };
                    let from = format!("{label} ({})", flow.local.0);
                    (
                        end,
                        flow.remote.0,
                        from,
                        flow.remote.0.to_string(),
                        (flow.local.1, flow.remote.1),
                    )
                }
                Direction::Ingress => {
                    if began.contains(&(flow.remote, flow.local, flow.protocol)) {
                        return None;
                    }
                    let destination = match flow.local.0 {
                        IpAddr::V4(_) => {
                            IpAddr::V4(self.control.public_address(&interface.record)?)
                        }
                        address @ IpAddr::V6(_) => address,
                    };
                    let to = format!("{label} ({})", flow.local.0);
                    let end = WhySource::Internet(flow.remote.0);
                    (end, destination, flow.remote.0.to_string(), to, (flow.remote.1, flow.local.1))
                }
            };
            let (source_port, destination_port) = ports;
            let (first, under_way, protocol) = match IpProtocol(flow.protocol) {
                IpProtocol::TCP => (
                    WhyTraffic::Tcp { source_port, destination_port },
                    WhyTraffic::TcpUnderWay { source_port, destination_port },
                    format!("tcp {destination_port}"),
                ),
                IpProtocol::UDP => {
                    let datagram = WhyTraffic::Udp { source_port, destination_port };
                    (datagram, datagram, format!("udp {destination_port}"))
                }
                IpProtocol::ICMP | IpProtocol::ICMPV6 => {
                    let echo = WhyTraffic::IcmpEcho { identifier: flow.local.1 };
                    (echo, echo, "icmp".to_owned())
                }
                IpProtocol(number) => {
                    let packet = WhyTraffic::Protocol(number);
                    (packet, packet, number.to_string())
                }
            };
            let query = |traffic| WhyQuery { source: source.clone(), destination, traffic };
            Some(Asked { first: query(first), under_way: query(under_way), from, to, protocol })
        });
        asked.collect()
    }
}
