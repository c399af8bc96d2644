//! ARP: answered by the platform, never by peers (L2-1, L2-2).

use gureum_types::PortIndex;

use super::platform_service::{METADATA, RESOLVER, TIME};
use crate::{
    Direction, DropReason, Offload, Outcome, Output, Policy, Stage, State, Step, Trace, Verdict,
    address::Address,
    policy::{FABRIC_ROUTER_MAC, Interface, Subnet, slots::Slot},
    wire::{
        self, ETHERNET_LEN,
        arp::{Request, is_reply, parse_request, reply},
    },
};

/// An ARP frame from a port.
pub(crate) fn arp(
    policy: &Policy,
    state: &mut State,
    port: PortIndex,
    frame: &[u8],
    out: &mut impl Output,
    trace: &mut impl Trace,
) -> Verdict {
    let outcome = answer(policy, port, frame);
    if trace.enabled() {
        let (outcome, text) = match &outcome {
            Ok((request, _)) => {
                (Outcome::Reply, format!("{} is known here", Address::v4(request.target)))
            }
            Err(reason) => (Outcome::Drop(*reason), reason.name().to_owned()),
        };
        let direction = Direction::Egress;
        trace.step(Step {
            stage: Stage::Arp,
            port,
            direction,
            outcome,
            component: None,
            text,
            packet: None,
        });
    }
    match outcome {
        Ok((request, mac)) => {
            let frame = reply(&request, mac);
            state.counters.sent(port, 1, frame.len() - ETHERNET_LEN);
            out.emit(port, &frame, Offload::NONE);
            Verdict::Reply
        }
        Err(reason) => Verdict::Drop(reason),
    }
}

fn answer(
    policy: &Policy,
    port: PortIndex,
    frame: &[u8],
) -> Result<(Request, [u8; 6]), DropReason> {
    let request = match parse_request(frame) {
        Some(request) => request,
        // A reply that nobody asked for moves no address (L2-2).
        None if is_reply(frame) => return Err(DropReason::ArpGratuitous),
        None => return Err(DropReason::ArpMalformed),
    };
    let mac = match policy.slot(port) {
        // Whatever the internet and the services ask for is behind the router. A probe for an own
        // address has no sender, and must stay without an answer.
        _ if port == PortIndex::INTERNET || port == PortIndex::SERVICES => {
            if request.sender == 0 || request.sender == request.target {
                return Err(DropReason::ArpGratuitous);
            }
            FABRIC_ROUTER_MAC
        }
        Slot::Interface(interface) => {
            let subnet = policy.subnet(interface).ok_or(DropReason::BrokenInterface)?;
            answer_interface(policy, interface, subnet, frame, &request)?
        }
        Slot::Broken(_) => return Err(DropReason::BrokenInterface),
        Slot::Unused => return Err(DropReason::UnknownPort),
    };
    Ok((request, mac))
}

fn answer_interface(
    policy: &Policy,
    interface: &Interface,
    subnet: &Subnet,
    frame: &[u8],
    request: &Request,
) -> Result<[u8; 6], DropReason> {
    if wire::source_mac(frame) != Some(interface.mac) || request.sender_mac != interface.mac {
        return Err(DropReason::ArpSenderSpoofed);
    }
    let (sender, target) = (Address::v4(request.sender), Address::v4(request.target));
    if request.sender == request.target || interface.has(target) {
        return Err(DropReason::ArpGratuitous);
    }
    if request.sender != 0 && !interface.has(sender) && interface.source_dest_check {
        return Err(DropReason::ArpSenderSpoofed);
    }
    if Some(target) == subnet.router()
        || [METADATA, RESOLVER, TIME].contains(&target)
        || policy.vpc(subnet).is_some_and(|vpc| target == vpc.resolver)
    {
        return Ok(subnet.router_mac);
    }
    policy
        .by_private(subnet.vpc, target)
        .filter(|other| other.subnet == interface.subnet)
        .map(|other| other.mac)
        .ok_or(DropReason::ArpUnusedAddress)
}
