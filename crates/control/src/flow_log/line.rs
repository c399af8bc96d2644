//! Records as text (FL-20 to FL-38).

use std::{fmt::Write as _, net::IpAddr};

use gureum_types::{ENDPOINT_SERVICES, Timestamp, TrafficDirection, TrafficPath, TrafficVerdict};
use ipnet::Ipv4Net;

use super::{
    field::{Field, fields_of},
    interface::Facts,
    traffic::Flow,
};

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// What a record tells of an interface.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    /// Traffic.
    Flow(&'a Flow),
    /// That there was none (FL-28).
    NoData(Timestamp, Timestamp),
    /// That something is missing (FL-28).
    SkipData(Timestamp, Timestamp),
}

impl Told<'_> {
    /// What is printed as `start`, in seconds (FL-37).
    pub(crate) fn start(&self) -> i64 {
        self.times().0.seconds()
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Flow(flow) => (flow.first, flow.last),
            Self::NoData(start, end) | Self::SkipData(start, end) => (*start, *end),
        }
    }

    fn flow(&self) -> Option<&Flow> {
        match self {
            Self::Flow(flow) => Some(flow),
            Self::NoData(..) | Self::SkipData(..) => None,
        }
    }
}

/// Public addresses of AWS's own, by which services are named (FL-38).
#[derive(Clone, Debug)]
pub(crate) struct Services {
    /// Where public addresses of instances come from.
    pub(crate) public_pool: Ipv4Net,
    /// Hosts that answer as AWS.
    pub(crate) amazon: Vec<IpAddr>,
}

impl Services {
    fn name(&self, address: IpAddr) -> Option<&'static str> {
        if let IpAddr::V4(address) = address {
            let of_gateway = ENDPOINT_SERVICES
                .iter()
                .find(|it| it.gateway.as_ref().is_some_and(|it| it.block.contains(&address)));
            match of_gateway.map(|it| it.name) {
                Some("s3") => return Some("S3"),
                Some("dynamodb") => return Some("DYNAMODB"),
                _ => {}
            }
            if self.public_pool.contains(&address) {
                return Some("EC2");
            }
        }
        self.amazon.contains(&address).then_some("AMAZON")
    }
}

/// A format, ready to write records in.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    fields: Vec<Field>,
    version: u8,
}

impl Format {
    /// Of the text that a flow log has.
    pub(crate) fn of(text: &str) -> Self {
        let fields = fields_of(text);
        let version = fields.iter().map(|it| it.version()).max().unwrap_or(2);
        Self { fields, version }
    }

    /// The names of the fields.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|it| it.name()).collect()
    }

    /// Writes a record behind what is there.
    pub(crate) fn write(
        &self,
        out: &mut String,
        services: &Services,
        facts: &Facts,
        told: &Told<'_>,
    ) {
        for (number, field) in self.fields.iter().enumerate() {
            if number > 0 {
                out.push(' ');
            }
            let before = out.len();
            match told.flow() {
                Some(flow) => self.of_flow(out, *field, services, facts, flow),
                None => self.always(out, *field, facts, told),
            }
            if out.len() == before {
                out.push('-');
            }
        }
    }

    /// What a record has of any field; nothing where a dash is to stand.
    fn always(&self, out: &mut String, field: Field, facts: &Facts, told: &Told<'_>) {
        // Writing to a string does not fail.
        let _ = match field {
            Field::Version => write!(out, "{}", self.version),
            Field::AccountId => write!(out, "{}", facts.account),
            Field::InterfaceId => out.write_str(facts.id.as_str()),
            Field::Start => write!(out, "{}", told.start()),
            Field::End => write!(out, "{}", told.times().1.seconds()),
            Field::LogStatus => out.write_str(match told {
                Told::Flow(_) => "OK",
                Told::NoData(..) => "NODATA",
                Told::SkipData(..) => "SKIPDATA",
            }),
            Field::VpcId => out.write_str(facts.vpc.as_str()),
            Field::SubnetId => out.write_str(facts.subnet.as_str()),
            Field::InstanceId => {
                out.write_str(facts.instance.as_ref().map_or("", |it| it.as_str()))
            }
            Field::Region => out.write_str(facts.region.as_str()),
            Field::AzId => out.write_str(&facts.zone),
            _ => Ok(()),
        };
    }

    fn of_flow(
        &self,
        out: &mut String,
        field: Field,
        services: &Services,
        facts: &Facts,
        flow: &Flow,
    ) {
        let key = &flow.key;
        let is_egress = key.direction == TrafficDirection::Egress;
        let _ = match field {
            Field::SrcAddr if is_egress => write!(out, "{}", facts.own_address(key.source)),
            Field::SrcAddr | Field::PktSrcAddr => write!(out, "{}", key.source),
            Field::DstAddr if !is_egress => {
                write!(out, "{}", facts.own_address(key.destination))
            }
            Field::DstAddr | Field::PktDstAddr => write!(out, "{}", key.destination),
            Field::SrcPort => write!(out, "{}", key.source_port),
            Field::DstPort => write!(out, "{}", key.destination_port),
            Field::Protocol => write!(out, "{}", key.protocol),
            Field::Packets => write!(out, "{}", flow.packets),
            Field::Bytes => write!(out, "{}", flow.bytes),
            Field::Action => out.write_str(match key.verdict {
                TrafficVerdict::Accept => "ACCEPT",
                TrafficVerdict::Reject | TrafficVerdict::RejectPublicAccess => "REJECT",
            }),
            // FL-25
            Field::TcpFlags => {
                let flags = if key.protocol == TCP { flow.tcp_flags } else { 0 };
                write!(out, "{flags}")
            }
            Field::Type => out.write_str(match key.source {
                IpAddr::V4(_) => "IPv4",
                IpAddr::V6(_) => "IPv6",
            }),
            Field::PktSrcAwsService => out.write_str(services.name(key.source).unwrap_or("")),
            Field::PktDstAwsService => out.write_str(services.name(key.destination).unwrap_or("")),
            // FL-26
            Field::FlowDirection => out.write_str(if is_egress { "egress" } else { "ingress" }),
            Field::TrafficPath => match flow.path.filter(|_| is_egress) {
                Some(path) => write!(out, "{}", path_number(path, facts.is_nitro)),
                None => Ok(()),
            },
            // FL-29
            Field::RejectReason => out.write_str(match key.verdict {
                TrafficVerdict::RejectPublicAccess => "BPA",
                TrafficVerdict::Accept | TrafficVerdict::Reject => "",
            }),
            // What is not here is what there is none of: outposts, tasks of ECS, NAT gateways of a
            // whole region, encryption controls.
            field => {
                self.always(out, field, facts, &Told::Flow(flow));
                Ok(())
            }
        };
    }
}

/// FL-27
fn path_number(path: TrafficPath, is_nitro: bool) -> u8 {
    match (path, is_nitro) {
        (TrafficPath::InternetGateway, true) => 8,
        (TrafficPath::GatewayEndpoint, true) => 7,
        (TrafficPath::InternetGateway | TrafficPath::GatewayEndpoint, false) => 2,
        (TrafficPath::SameVpc, _) => 1,
        (TrafficPath::VpnGateway, _) => 3,
        (TrafficPath::Peering, _) => 4,
        (TrafficPath::PeeringOtherRegion, _) => 5,
    }
}
