//! A packet's way through the stages of PIPE-1 and PIPE-2: each stage is one file.

mod arp;
mod deliver;
mod destination_check;
mod dhcp;
mod internet_gateway;
mod l2;
mod network_acl;
mod path_mtu;
mod platform_service;
mod route;
mod security_group;
mod source_check;

use gureum_types::PortIndex;

use crate::{
    ComponentIndex, Direction, DropReason, Outcome, Output, Packet, Policy, Stage, State, Step,
    Trace,
    policy::{Interface, PortSlot, Subnet, classifier::Class, routes::Way},
    state::{Credit, cache::FlowUse},
    wire::ipv4::Headers,
};

pub(crate) use self::arp::arp;
use self::l2::Hop;

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was dropped.
    Drop(DropReason),
    /// The engine sent what there was to send.
    Reply,
}

impl From<DropReason> for Stop {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

/// One packet on its way.
pub(crate) struct Walk<'a, 'p, O, T> {
    pub(crate) policy: &'a Policy,
    pub(crate) state: &'a mut State,
    pub(crate) packet: &'a mut Packet<'p>,
    pub(crate) headers: Headers,
    pub(crate) now: u64,
    pub(crate) out: &'a mut O,
    pub(crate) trace: &'a mut T,
    /// The port that it came from.
    pub(crate) from: PortIndex,
    /// The largest packet that the way carries.
    pub(crate) mtu: u32,
    /// Its flows at the sender and at the receiver.
    pub(crate) uses: [Option<FlowUse>; 2],
    /// Whether packets just like this one need not be looked at anew.
    pub(crate) cacheable: bool,
}

/// Where a packet that arrives at an interface comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the same subnet without a router.
    Neighbour,
    /// From a subnet, by its place in the policy, through its router.
    Subnet(usize),
    /// Through an internet gateway.
    Internet,
}

/// An interface with its subnet: where a stage happens.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) subnet: &'a Subnet,
}

impl<'a, O: Output, T: Trace> Walk<'a, '_, O, T> {
    /// The way of a packet from an interface (PIPE-1), then into another (PIPE-2).
    pub(crate) fn interface_egress(&mut self) -> Result<PortIndex, Stop> {
        let place = self.place(self.from)?;
        self.source_mac(place)?;
        self.dhcp(place)?;
        self.unicast(place)?;
        if let Some(port) = self.platform_service(place)? {
            return Ok(port);
        }
        self.source_check(place)?;
        self.security_group(place, Direction::Egress)?;
        match self.l2(place)? {
            Hop::Neighbour(to) => {
                self.credit(place, Direction::Egress, true);
                self.switched_mtu(place)?;
                self.arrive(to, Origin::Neighbour)
            }
            Hop::Router => {
                self.leave_subnet(place)?;
                self.credit(place, Direction::Egress, true);
                let route = self.route(place)?;
                match route.way {
                    Way::Local => {
                        self.routed_mtu(place, path_mtu::VPC_MTU)?;
                        let to = self.local(place)?;
                        self.arrive(to, Origin::Subnet(place.interface.subnet))
                    }
                    Way::Interface(to) => {
                        self.routed_mtu(place, path_mtu::VPC_MTU)?;
                        let to = self.place_at(to)?;
                        self.arrive(to, Origin::Subnet(place.interface.subnet))
                    }
                    Way::InternetGateway => {
                        self.routed_mtu(place, path_mtu::INTERNET_MTU)?;
                        match self.translate_outward(place)? {
                            Some(to) => self.arrive(to, Origin::Internet),
                            None => self.deliver_to_internet(),
                        }
                    }
                    Way::Blackhole => Err(self.blackhole(place, route)),
                }
            }
        }
    }

    /// The way of a packet from the simulated internet.
    pub(crate) fn internet_ingress(&mut self) -> Result<PortIndex, Stop> {
        self.check_fabric_mac()?;
        let to = self.translate_inward()?;
        self.arrive(to, Origin::Internet)
    }

    /// The way of a packet from the services.
    pub(crate) fn services_ingress(&mut self) -> Result<PortIndex, Stop> {
        self.check_fabric_mac()?;
        self.return_to_caller()
    }

    /// Into an interface (PIPE-2).
    fn arrive(&mut self, to: Place<'a>, origin: Origin) -> Result<PortIndex, Stop> {
        let inside = Origin::Subnet(to.interface.subnet);
        if origin != Origin::Neighbour && origin != inside {
            self.enter_subnet(to)?;
        }
        self.security_group(to, Direction::Ingress)?;
        self.credit(to, Direction::Ingress, true);
        self.destination_check(to)?;
        self.deliver(to, origin != Origin::Neighbour)
    }

    fn place(&self, port: PortIndex) -> Result<Place<'a>, Stop> {
        match self.policy.slot(port) {
            PortSlot::Interface(at) => self.place_at(at),
            PortSlot::Broken => Err(DropReason::BrokenInterface.into()),
            PortSlot::Unused => Err(DropReason::UnknownPort.into()),
        }
    }

    fn place_at(&self, at: usize) -> Result<Place<'a>, Stop> {
        let interface = self.policy.interface_at(at).ok_or(DropReason::BrokenInterface)?;
        self.place_of(interface)
    }

    fn place_of(&self, interface: &'a Interface) -> Result<Place<'a>, Stop> {
        let subnet = self.policy.subnet(interface).ok_or(DropReason::BrokenInterface)?;
        Ok(Place { interface, subnet })
    }

    /// What rules compare. Network ACLs see a later fragment without ports (NACL-22); security
    /// groups know the flow that it belongs to.
    fn class(&self) -> Class {
        Class {
            protocol: self.headers.tuple.protocol,
            port: self.headers.ports_known.then(|| self.headers.tuple.rule_port()),
        }
    }

    /// Adds the packet to its flow's counters at an interface. What is rejected is counted beside
    /// tracked flows, so that it does not keep them alive.
    fn credit(&mut self, place: Place<'_>, direction: Direction, accepted: bool) {
        let known = match direction {
            Direction::Egress => self.uses[0],
            Direction::Ingress => self.uses[1],
        };
        let of = if accepted { known } else { self.count_apart(place, direction) };
        let Some(of) = of else { return };
        self.state.credit(&of, credit_of(&self.headers, accepted), self.now);
    }

    /// Notes a step of the way, if anybody listens.
    #[inline]
    pub(crate) fn step(
        &mut self,
        stage: Stage,
        (port, direction): (PortIndex, Direction),
        outcome: Outcome,
        text: impl FnOnce(&Self) -> (Option<ComponentIndex>, String),
    ) {
        if self.trace.enabled() {
            let (component, text) = text(self);
            self.trace.step(Step { stage, port, direction, outcome, component, text });
        }
    }

    /// Notes a drop and gives it back.
    pub(crate) fn dropped(
        &mut self,
        stage: Stage,
        at: (PortIndex, Direction),
        reason: DropReason,
        text: impl FnOnce(&Self) -> String,
    ) -> Stop {
        self.step(stage, at, Outcome::Drop(reason), |walk| (reason.component(), text(walk)));
        Stop::Drop(reason)
    }
}

/// What a packet adds to the counters of its flow.
pub(crate) fn credit_of(headers: &Headers, accepted: bool) -> Credit {
    Credit {
        accepted,
        packets: headers.wire_packets,
        bytes: headers.wire_bytes,
        tcp_flags: headers.tcp_flags,
    }
}

/// An address for people.
pub(crate) fn show(address: u32) -> std::net::Ipv4Addr {
    address.into()
}
