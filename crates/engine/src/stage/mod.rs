//! A packet's way through the stages of PIPE-1 and PIPE-2: each stage is one file.

mod arp;
mod deliver;
mod destination_check;
mod dhcp;
mod dhcpv6;
mod egress_only_gateway;
mod endpoint;
mod internet_gateway;
mod l2;
mod nat64;
mod nat_gateway;
mod neighbor;
mod network_acl;
mod path_mtu;
mod peering;
mod platform_service;
mod public_access;
mod route;
mod security_group;
mod source_check;

use gureum_types::{PortIndex, TrafficPath, TrafficVerdict};

use crate::{
    ComponentIndex, Direction, DropReason, Outcome, Output, Packet, Policy, Stage, State, Step,
    StepPacket, Trace,
    address::Family,
    policy::{Interface, Role, Subnet, classifier::Class, routes::Way, slots::Slot},
    state::{
        Credit,
        cache::{FlowUse, Uses},
        flow::FlowKey,
    },
    wire::ip::{Headers, Tuple},
};

pub(crate) use self::arp::arp;
use self::{l2::Hop, public_access::passes_public_access};

/// Whether a packet that an internet gateway lets in answers one that its VPC sent out through an
/// egress-only gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arriving {
    /// It came by itself.
    Inward,
    /// It is an answer.
    Answer,
}

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It was dropped.
    Drop(DropReason),
    /// The engine sent what there was to send.
    Reply,
    /// The engine sent it out of a port, as a packet of the other family.
    Translated(PortIndex),
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
    /// The flows that it belongs to.
    pub(crate) uses: Uses,
    /// The flow by which it leaves the NAT gateway that it is in, with what it adds to it there: it
    /// has not left yet.
    pub(crate) leaving: Option<(FlowUse, Credit)>,
    /// The routers that it passed and that count (NAT-18).
    pub(crate) hops: u8,
    /// Whether something on the way sent it on, and so discarded the groups of its sender (SG-32).
    pub(crate) forwarded: bool,
    /// Whether the last gateway on the way gave it back to who began its flow, which is tracked
    /// whatever the rules say (SGT-11).
    pub(crate) from_tracker: bool,
    /// Whether packets just like this one need not be looked at anew.
    pub(crate) cacheable: bool,
    /// Where it was dropped, once it was.
    pub(crate) stopped_at: (PortIndex, Direction),
}

/// Where a packet that arrives at an interface comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the same subnet without a router.
    Neighbour,
    /// From a subnet, by its place in the policy, through its router.
    Subnet(usize),
    /// From outside of the VPC: through an internet gateway or a peering connection.
    Outside,
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
        match self.headers.tuple.family() {
            Family::V4 => self.dhcp(place)?,
            Family::V6 => {
                self.neighbor_discovery(place)?;
                self.dhcpv6(place)?;
            }
        }
        self.unicast(place)?;
        if let Some(port) = self.platform_service(place)? {
            return Ok(port);
        }
        self.source_check(place)?;
        self.security_group(place, Direction::Egress)?;
        match self.l2(place)? {
            Hop::Neighbour(to) => {
                self.left(place, Some(TrafficPath::SameVpc));
                self.switched_mtu(place)?;
                self.arrive(to, Origin::Neighbour)
            }
            Hop::Router => self.onward(place),
        }
    }

    /// From the router of a subnet on: out of the subnet, by its route table (PIPE-6).
    fn onward(&mut self, place: Place<'a>) -> Result<PortIndex, Stop> {
        self.leave_subnet(place)?;
        let route = self.route(place);
        self.leave(place, route.as_ref().ok().map(|route| route.way));
        let route = route?;
        self.routed_mtu(place, self.mtu_of(route.way, place))?;
        let origin = Origin::Subnet(place.interface.subnet);
        match route.way {
            Way::Local => {
                let to = self.local(place)?;
                self.arrive(to, origin)
            }
            Way::Interface(to) => {
                let to = self.place(to)?;
                self.arrive(to, origin)
            }
            Way::NatGateway(to) => {
                let to = self.place(to)?;
                self.enter_from(to, origin)?;
                let came = self.headers.tuple;
                let translation = self.translate_to_gateway(place, to);
                self.came_to_gateway(to, &came);
                self.onward_from_gateway(to, translation?)
            }
            Way::InternetGateway | Way::EgressOnlyInternetGateway => {
                let egress_only = route.way == Way::EgressOnlyInternetGateway;
                self.public_access(place, Direction::Egress, egress_only)?;
                let outward = match self.headers.tuple.family() {
                    Family::V4 => self.translate_outward(place)?,
                    Family::V6 => self.outward_ipv6(place, route.way)?,
                };
                match outward {
                    Some((to, arriving)) => self.arrive_by_gateway(to, arriving),
                    None => self.deliver_to_internet(),
                }
            }
            Way::Peering(peering) => {
                let to = self.peer(place, peering)?;
                self.arrive(to, Origin::Outside)
            }
            Way::VpnGateway => {
                let reason = DropReason::VpnTunnelDown(route.component);
                Err(self.not_carried(place, reason, "no tunnel of the gateway is up"))
            }
            Way::TransitGateway => {
                let reason = DropReason::TransitGatewayNotCarried(route.component);
                Err(self.not_carried(place, reason, "transit gateways are records only"))
            }
            Way::GatewayEndpoint(number) => self.enter_gateway_endpoint(place, number),
            Way::Blackhole => Err(self.blackhole(place, route)),
        }
    }

    /// The way of a packet from the simulated internet.
    pub(crate) fn internet_ingress(&mut self) -> Result<PortIndex, Stop> {
        self.fabric_neighbor()?;
        self.check_fabric_mac()?;
        let (to, arriving) = self.translate_inward()?;
        self.arrive_by_gateway(to, arriving)
    }

    /// The way of a packet from the services.
    pub(crate) fn services_ingress(&mut self) -> Result<PortIndex, Stop> {
        self.fabric_neighbor()?;
        self.check_fabric_mac()?;
        match self.callee() {
            Some(callee) => self.leave_service(callee),
            None => self.return_to_caller(),
        }
    }

    /// From an internet gateway into its VPC, by the gateway's own route table where it has one
    /// (PIPE-2, RT-18).
    fn arrive_by_gateway(&mut self, to: Place<'a>, by: Arriving) -> Result<PortIndex, Stop> {
        self.forwarded = true;
        self.from_tracker = by == Arriving::Answer;
        match by {
            Arriving::Answer => self.arrive(to, Origin::Outside),
            Arriving::Inward => {
                let to = self.gateway_route(to)?;
                self.arrive(to, Origin::Outside)
            }
        }
    }

    /// Into an interface (PIPE-2): that of an instance, of an endpoint and to the service behind it,
    /// or of a NAT gateway and on from there.
    fn arrive(&mut self, to: Place<'a>, origin: Origin) -> Result<PortIndex, Stop> {
        self.enter_from(to, origin)?;
        if to.interface.role == Role::NatGateway {
            let came = self.headers.tuple;
            let translation = self.translate_from_gateway(to);
            self.came_to_gateway(to, &came);
            return self.onward_from_gateway(to, translation?);
        }
        self.security_group(to, Direction::Ingress)?;
        let tuple = self.headers.tuple;
        let seen = (Direction::Ingress, &tuple);
        self.credit(to, seen, self.uses.receiver, self.credit_now(None));
        self.destination_check(to)?;
        if to.interface.role == Role::Endpoint {
            return self.enter_service(to);
        }
        self.deliver(to, origin != Origin::Neighbour)
    }

    /// Into a subnet, unless the packet comes from inside of it (NACL-1).
    fn enter_from(&mut self, to: Place<'a>, origin: Origin) -> Result<(), Stop> {
        match origin {
            Origin::Neighbour => Ok(()),
            Origin::Subnet(from) if from == to.interface.subnet => Ok(()),
            Origin::Subnet(_) | Origin::Outside => self.enter_subnet(to),
        }
    }

    fn place(&self, port: PortIndex) -> Result<Place<'a>, Stop> {
        match self.policy.slot(port) {
            Slot::Interface(interface) => self.place_of(interface),
            Slot::Broken(_) => Err(DropReason::BrokenInterface.into()),
            Slot::Unused => Err(DropReason::UnknownPort.into()),
        }
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

    /// Out of an interface by its route: counted as rejected where the account lets nothing out
    /// that way (IGW-15), and as accepted wherever else the route may lead (FL-31).
    fn leave(&mut self, place: Place<'a>, way: Option<Way>) {
        let egress_only = way == Some(Way::EgressOnlyInternetGateway);
        let to_internet = egress_only || way == Some(Way::InternetGateway);
        if to_internet && !passes_public_access(place, egress_only) {
            self.reject(place, Direction::Egress, TrafficVerdict::RejectPublicAccess);
        } else if !place.subnet.is_router(self.headers.tuple.destination) {
            // What is for the router is never on record (FL-17).
            self.left(place, way.and_then(|way| self.path(way)));
        }
    }

    /// Adds the packet to what an interface sent.
    fn left(&mut self, place: Place<'_>, path: Option<TrafficPath>) {
        let credit = self.credit_now(path);
        let tuple = self.headers.tuple;
        let seen = (Direction::Egress, &tuple);
        if place.interface.role != Role::NatGateway {
            return self.credit(place, seen, self.uses.sender, credit);
        }
        match self.leaving.take() {
            Some((of, credit)) => self.credit(place, seen, Some(of), Credit { path, ..credit }),
            // An error about a flow is none itself.
            None => self.credit_apart(place, Direction::Egress, &tuple, credit),
        }
    }

    /// Adds the packet to what came to a NAT gateway as that packet, unless its flow was counted
    /// when it was translated. The gateway's interface accepts also what it has no use for (FL-31).
    fn came_to_gateway(&mut self, gateway: Place<'_>, came: &Tuple) {
        if self.leaving.is_none() {
            let credit = self.credit_now(None);
            self.credit_apart(gateway, Direction::Ingress, came, credit);
        }
    }

    /// Adds the packet to what an interface rejected: beside tracked flows, so that it does not keep
    /// them alive.
    fn reject(&mut self, place: Place<'_>, direction: Direction, verdict: TrafficVerdict) {
        let tuple = self.headers.tuple;
        let credit = credit_of(&self.headers, verdict);
        self.credit_apart(place, direction, &tuple, credit);
    }

    /// Adds the packet, as an interface saw it, to counters beside tracked flows.
    fn credit_apart(
        &mut self,
        place: Place<'_>,
        direction: Direction,
        tuple: &Tuple,
        credit: Credit,
    ) {
        let of = self.count_apart(place, direction, tuple);
        self.credit(place, (direction, tuple), of, credit);
    }

    /// Adds the packet, as an interface saw it, to its flow; `None` where there is no room for one.
    fn credit(
        &mut self,
        place: Place<'_>,
        (direction, tuple): (Direction, &Tuple),
        of: Option<FlowUse>,
        credit: Credit,
    ) {
        match of {
            Some(of) => self.state.credit(&of, credit, self.now, self.out),
            None => {
                let key = FlowKey::new(place.interface.port, direction, tuple);
                self.state.credit_apart(key, direction, credit, self.now, self.out);
            }
        }
    }

    fn credit_now(&self, path: Option<TrafficPath>) -> Credit {
        Credit { path, ..credit_of(&self.headers, TrafficVerdict::Accept) }
    }

    /// The way of a packet as flow logs name it (FL-27).
    fn path(&self, way: Way) -> Option<TrafficPath> {
        Some(match way {
            Way::Local | Way::Interface(_) | Way::NatGateway(_) | Way::TransitGateway => {
                TrafficPath::SameVpc
            }
            Way::InternetGateway | Way::EgressOnlyInternetGateway => TrafficPath::InternetGateway,
            Way::VpnGateway => TrafficPath::VpnGateway,
            Way::Peering(peering) => match self.policy.peering(peering) {
                Some(peering) if !peering.same_region => TrafficPath::PeeringOtherRegion,
                _ => TrafficPath::Peering,
            },
            Way::GatewayEndpoint(_) => TrafficPath::GatewayEndpoint,
            Way::Blackhole => return None,
        })
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
            let packet = Some(seen(&self.headers.tuple));
            self.trace.step(Step { stage, port, direction, outcome, component, text, packet });
        }
    }

    /// Notes a drop and where it was, and gives it back.
    pub(crate) fn dropped(
        &mut self,
        stage: Stage,
        at: (PortIndex, Direction),
        reason: DropReason,
        text: impl FnOnce(&Self) -> String,
    ) -> Stop {
        self.stopped_at = at;
        self.step(stage, at, Outcome::Drop(reason), |walk| (reason.component(), text(walk)));
        Stop::Drop(reason)
    }
}

fn seen(tuple: &Tuple) -> StepPacket {
    StepPacket {
        source: tuple.source.ip(),
        destination: tuple.destination.ip(),
        source_port: tuple.source_port,
        destination_port: tuple.destination_port,
        protocol: tuple.protocol,
    }
}

/// What a packet adds to the counters of its flow.
pub(crate) fn credit_of(headers: &Headers, verdict: TrafficVerdict) -> Credit {
    Credit {
        verdict,
        path: None,
        packets: headers.wire_packets,
        bytes: headers.wire_bytes,
        tcp_flags: headers.tcp_flags,
    }
}
