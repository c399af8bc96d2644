//! Flows as others may see them: all at once, or in portions where there are many.

use std::net::IpAddr;

use gureum_types::PortIndex;

use super::{
    State,
    flow::{Flow, Phase, Traffic},
    table::FlowTable,
};
use crate::Direction;

/// A flow of an interface as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowView {
    /// The interface's port.
    pub port: PortIndex,
    /// IP protocol number.
    pub protocol: u8,
    /// The interface's end. For ICMP queries the port is the identifier.
    pub local: (IpAddr, u16),
    /// The other end.
    pub remote: (IpAddr, u16),
    /// Whether it is tracked (SGT-2).
    pub tracked: bool,
    /// Which side of a NAT gateway it is seen on, where it is one's.
    pub nat_gateway: Option<NatSide>,
    /// The local end on the other side of that gateway.
    pub translated: Option<(IpAddr, u16)>,
    /// How far it is.
    pub phase: &'static str,
    /// The direction of the packet that began it.
    pub origin: Direction,
    /// When it began, on the clock of `now`.
    pub created: u64,
    /// When its last packet was seen.
    pub last_seen: u64,
    /// What it carried out of the interface.
    pub egress: Traffic,
    /// What it carried into the interface.
    pub ingress: Traffic,
}

/// A side of a NAT gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatSide {
    /// Towards who uses it: the local end is the user's.
    Inside,
    /// Towards where it goes to: the local end is the gateway's own.
    Outside,
}

/// Where a flow is kept. One that is there later is the same if it was created at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowPlace {
    table: usize,
    /// The slot of its table.
    pub slot: u32,
}

/// A flow that is looked at in its place; what is asked for is read there.
#[derive(Clone, Copy, Debug)]
pub struct FlowSight<'a> {
    state: &'a State,
    flow: &'a Flow,
    side: Option<NatSide>,
}

impl FlowSight<'_> {
    /// The interface's port.
    pub fn port(&self) -> PortIndex {
        PortIndex(self.flow.key.port())
    }

    /// When it began, on the clock of `now`.
    pub fn created(&self) -> u64 {
        self.flow.created
    }

    /// When its last packet was seen.
    pub fn last_seen(&self) -> u64 {
        self.flow.last_seen
    }

    /// Whether it has been idle for too long and is only still to be cleared away.
    pub fn is_over(&self, now: u64) -> bool {
        self.flow.is_expired(now)
    }

    /// Packets that it carried both ways and that were accepted.
    pub fn packets(&self) -> u64 {
        self.flow.egress.packets + self.flow.ingress.packets
    }

    /// Their bytes from the IP header on.
    pub fn bytes(&self) -> u64 {
        self.flow.egress.bytes + self.flow.ingress.bytes
    }

    /// All of it.
    pub fn view(&self) -> FlowView {
        let flow = self.flow;
        let (egress, ingress) = flow.traffic();
        FlowView {
            port: self.port(),
            protocol: flow.key.protocol(),
            local: (flow.key.local.ip(), flow.key.local_port),
            remote: (flow.key.remote.ip(), flow.key.remote_port),
            tracked: flow.phase != Phase::Untracked,
            nat_gateway: self.side,
            translated: self.translated(),
            phase: flow.phase.name(),
            origin: flow.origin,
            created: flow.created,
            last_seen: flow.last_seen,
            egress,
            ingress,
        }
    }

    fn translated(&self) -> Option<(IpAddr, u16)> {
        let table = match self.side? {
            NatSide::Inside => &self.state.nat_outside,
            NatSide::Outside => &self.state.nat_inside,
        };
        let key = &table.get(self.flow.twin()?)?.key;
        Some((key.local.ip(), key.local_port))
    }
}

impl State {
    /// The tables whose flows others may see.
    fn visible(&self) -> [(&FlowTable, Option<NatSide>); 4] {
        [
            (&self.tracked, None),
            (&self.untracked, None),
            (&self.nat_inside, Some(NatSide::Inside)),
            (&self.nat_outside, Some(NatSide::Outside)),
        ]
    }

    /// All flows, tracked or not.
    pub fn flows(&self) -> impl Iterator<Item = FlowView> {
        self.visible().into_iter().flat_map(move |(table, side)| {
            table.iter().map(move |flow| FlowSight { state: self, flow, side }.view())
        })
    }

    /// Shows the flows in some slots from a place on. Gives the place to go on from, if any is
    /// left: whoever looks at a million flows lets packets pass in between.
    pub fn look(
        &self,
        from: FlowPlace,
        slots: u32,
        mut each: impl FnMut(FlowPlace, FlowSight<'_>),
    ) -> Option<FlowPlace> {
        let tables = self.visible();
        let (table, side) = *tables.get(from.table)?;
        for (slot, flow) in table.portion(from.slot, slots) {
            each(FlowPlace { slot, ..from }, FlowSight { state: self, flow, side });
        }
        let next = from.slot.saturating_add(slots);
        if next < table.places() {
            return Some(FlowPlace { slot: next, ..from });
        }
        let mut later = tables.iter().enumerate().skip(from.table + 1);
        let (table, _) = later.find(|(_, (table, _))| table.places() > 0)?;
        Some(FlowPlace { table, slot: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Limits,
        address::Address,
        state::flow::{FlowKey, Timeouts},
    };

    fn flow(port: u16, phase: Phase) -> Flow {
        let ends = ((Address::v4(1), port), (Address::v4(2), 53));
        let key = FlowKey::of(PortIndex(7), 17, ends);
        Flow::new(key, phase, Direction::Egress, &Timeouts::default(), u64::from(port))
    }

    #[test]
    fn portions_show_each_flow_once_and_in_its_place() {
        let mut state = State::new(Limits::default());
        assert_eq!(state.look(FlowPlace::default(), 4, |_, _| panic!("a flow")), None);
        let ends = [1, 2, 3, 4, 5]
            .map(|port| state.tracked.insert(flow(port, Phase::UdpRequest)).expect("room"));
        state.tracked.remove(ends[1]).expect("it was there");
        for port in [6, 7] {
            state.nat_outside.insert(flow(port, Phase::UdpRequest)).expect("room");
        }
        let (mut seen, mut portions) = (Vec::new(), 0);
        let mut next = Some(FlowPlace::default());
        while let Some(from) = next {
            portions += 1;
            next = state.look(from, 2, |place, flow| seen.push((place, flow.view())));
        }
        assert_eq!(portions, 4, "three of tracked flows, none of empty tables");
        let views: Vec<_> = seen.iter().map(|(_, view)| view.clone()).collect();
        assert_eq!(views, state.flows().collect::<Vec<_>>());
        let places: Vec<_> = seen.iter().map(|(at, view)| (at.slot, view.created)).collect();
        assert_eq!(places, [(0, 1), (2, 3), (3, 4), (4, 5), (0, 6), (1, 7)]);
    }
}
