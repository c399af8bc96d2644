//! Reports and states as text: the one printer behind the command line and failing tests.

use std::{
    fmt::{self, Write},
    net::SocketAddr,
};

use gureum_types::{IpProtocol, PortIndex, record::RouteTarget};

use crate::{
    Component, Direction, FlowView, NatSide, Policy, State, WhyReport, WhySource, WhyTraffic,
    policy::acl::{CLOSING_ENTRY, CLOSING_ENTRY_IPV6},
    why::WhyLeg,
};

/// A report of [`crate::why()`], stage by stage.
pub fn why_report(report: &WhyReport) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_report(&mut text, report);
    text
}

fn write_report(text: &mut String, report: &WhyReport) -> fmt::Result {
    writeln!(text, "{}", question(report))?;
    write_leg(text, "there", &report.forward)?;
    if let Some(reply) = &report.reply {
        write_leg(text, "back", reply)?;
    }
    let verdict = if report.reachable { "reachable" } else { "not reachable" };
    writeln!(text, "{verdict}")
}

fn question(WhyReport { query, source, .. }: &WhyReport) -> String {
    let source = match &query.source {
        WhySource::Interface { address: None, .. } => source.clone(),
        WhySource::Interface { address: Some(address), .. } => format!("{source} ({address})"),
        WhySource::Internet(address) => format!("{address} in the internet"),
    };
    let what = match query.traffic {
        WhyTraffic::Tcp { destination_port, .. }
        | WhyTraffic::TcpUnderWay { destination_port, .. } => format!("tcp {destination_port}"),
        WhyTraffic::Udp { destination_port, .. } => format!("udp {destination_port}"),
        WhyTraffic::IcmpEcho { .. } => "icmp echo".to_owned(),
        WhyTraffic::Protocol(number) => format!("protocol {number}"),
    };
    format!("{source} to {}, {what}", query.destination)
}

fn write_leg(text: &mut String, name: &str, leg: &WhyLeg) -> fmt::Result {
    writeln!(text, "{name}:")?;
    let width = leg.steps.iter().map(|step| step.interface.len()).max().unwrap_or(0);
    for step in &leg.steps {
        let arrow = match step.direction {
            Direction::Egress => "out",
            Direction::Ingress => "in ",
        };
        let stage = step.stage.name();
        write!(text, "  {:width$} {arrow} {stage:<18} {}", step.interface, step.text)?;
        if let Some(component) = &step.component {
            write!(text, " [{}]", self::component(component))?;
        }
        writeln!(text)?;
    }
    match (&leg.arrived, leg.drop) {
        (Some(arrived), _) => writeln!(text, "  arrives at {arrived}"),
        (None, Some(reason)) => writeln!(text, "  dropped: {reason}"),
        (None, None) => writeln!(text, "  answered on the way"),
    }
}

/// A rule, entry or route in a few words.
pub fn component(component: &Component) -> String {
    match component {
        Component::SecurityGroupRule { group, rule } => format!("{group} {rule}"),
        Component::NetworkAclEntry { acl, number, egress } => {
            let direction = if *egress { "egress" } else { "ingress" };
            match *number {
                CLOSING_ENTRY | CLOSING_ENTRY_IPV6 => format!("{acl} {direction} *"),
                number => format!("{acl} {direction} {number}"),
            }
        }
        Component::Route { table, destination, prefix_list, target } => {
            let target = match target {
                RouteTarget::Local => "local".to_owned(),
                RouteTarget::InternetGateway(id) => id.to_string(),
                RouteTarget::NetworkInterface(id) => id.to_string(),
                RouteTarget::NatGateway(id) => id.to_string(),
                RouteTarget::EgressOnlyInternetGateway(id) => id.to_string(),
                RouteTarget::VpcPeeringConnection(id) => id.to_string(),
                RouteTarget::VpnGateway(id) => id.to_string(),
                RouteTarget::TransitGateway(id) => id.to_string(),
                RouteTarget::VpcEndpoint(id) => id.to_string(),
            };
            let list = prefix_list.as_ref().map_or_else(String::new, |list| format!(" ({list})"));
            format!("{table} {destination}{list} -> {target}")
        }
    }
}

/// What kind of ICMP message it is, by the protocol's number, the type and the code.
pub fn icmp(protocol: IpProtocol, kind: u8, code: u8) -> String {
    let name = match (protocol, kind, code) {
        (IpProtocol::ICMP, 0, _) | (IpProtocol::ICMPV6, 129, _) => "echo reply",
        (IpProtocol::ICMP, 8, _) | (IpProtocol::ICMPV6, 128, _) => "echo request",
        (IpProtocol::ICMP, 3, 3) | (IpProtocol::ICMPV6, 1, 4) => "port unreachable",
        (IpProtocol::ICMP, 3, 4) => "fragmentation needed",
        (IpProtocol::ICMP, 3, _) | (IpProtocol::ICMPV6, 1, _) => "destination unreachable",
        (IpProtocol::ICMP, 5, _) | (IpProtocol::ICMPV6, 137, _) => "redirect",
        (IpProtocol::ICMP, 9, _) | (IpProtocol::ICMPV6, 134, _) => "router advertisement",
        (IpProtocol::ICMP, 10, _) | (IpProtocol::ICMPV6, 133, _) => "router solicitation",
        (IpProtocol::ICMP, 11, _) | (IpProtocol::ICMPV6, 3, _) => "time exceeded",
        (IpProtocol::ICMP, 12, _) | (IpProtocol::ICMPV6, 4, _) => "parameter problem",
        (IpProtocol::ICMP, 13, _) => "timestamp request",
        (IpProtocol::ICMP, 14, _) => "timestamp reply",
        (IpProtocol::ICMPV6, 2, _) => "packet too big",
        (IpProtocol::ICMPV6, 130, _) => "multicast listener query",
        (IpProtocol::ICMPV6, 131 | 143, _) => "multicast listener report",
        (IpProtocol::ICMPV6, 132, _) => "multicast listener done",
        (IpProtocol::ICMPV6, 135, _) => "neighbor solicitation",
        (IpProtocol::ICMPV6, 136, _) => "neighbor advertisement",
        _ => return format!("{protocol} type {kind} code {code}"),
    };
    format!("{protocol} {name}")
}

/// A port with its counters, drops and flows.
pub fn port(policy: &Policy, state: &State, port: PortIndex) -> String {
    let mut text = String::new();
    let _ = write_port(&mut text, policy, state, port);
    text
}

fn write_port(text: &mut String, policy: &Policy, state: &State, port: PortIndex) -> fmt::Result {
    let counters = state.counters().port(port);
    writeln!(text, "port {port} {} epoch {}", policy.port_name(port), policy.epoch())?;
    writeln!(
        text,
        "  from it {} packets {} bytes, to it {} packets {} bytes, {} dropped",
        counters.received_packets,
        counters.received_bytes,
        counters.sent_packets,
        counters.sent_bytes,
        counters.dropped
    )?;
    for (name, count) in state.counters().drops_of(port) {
        writeln!(text, "  {count} {name}")?;
    }
    let mut flows: Vec<FlowView> = state.flows().filter(|flow| flow.port == port).collect();
    flows.sort_by_key(|flow| {
        (flow.protocol, flow.local, flow.remote, flow.tracked, flow.nat_gateway)
    });
    for flow in flows {
        let protocol = IpProtocol(flow.protocol);
        let (local, local_port) = flow.local;
        let (remote, remote_port) = flow.remote;
        let arrow = match flow.origin {
            Direction::Egress => "->",
            Direction::Ingress => "<-",
        };
        let side = match flow.nat_gateway {
            None => "",
            Some(NatSide::Inside) => " inside",
            Some(NatSide::Outside) => " outside",
        };
        let (local, remote) =
            (SocketAddr::new(local, local_port), SocketAddr::new(remote, remote_port));
        writeln!(
            text,
            "  {protocol} {local} {arrow} {remote}{side} {} out {}/{} in {}/{}",
            flow.phase,
            flow.egress.packets,
            flow.egress.rejected_packets,
            flow.ingress.packets,
            flow.ingress.rejected_packets,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_icmp_have_the_names_that_ping_and_tcpdump_give_them() {
        let (four, six) = (IpProtocol::ICMP, IpProtocol::ICMPV6);
        for (protocol, kind, code, name) in [
            (four, 8, 0, "icmp echo request"),
            (six, 128, 0, "icmpv6 echo request"),
            (four, 3, 3, "icmp port unreachable"),
            (six, 1, 4, "icmpv6 port unreachable"),
            (four, 3, 4, "icmp fragmentation needed"),
            (four, 3, 1, "icmp destination unreachable"),
            (six, 135, 0, "icmpv6 neighbor solicitation"),
            (four, 135, 2, "icmp type 135 code 2"),
        ] {
            assert_eq!(icmp(protocol, kind, code), name);
        }
    }
}
