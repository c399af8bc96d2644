//! What access scopes say of packets and of resources (NAA-1).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::ApiError;
use gureum_engine::StepPacket;
use gureum_types::{
    IpProtocol, PrefixListId, VpcId,
    record::{
        AnalysisComponent, InternetGateway, NetworkInterface, PacketHeaderStatement, PathComponent,
        PathStatement, ResourceStatement, VpcEndpoint,
    },
};
use ipnet::{IpNet, Ipv4Net};

use super::{
    filtered::named,
    lines::{PORTS, Range, of_address, of_block},
    world::World,
};
use crate::call::Answer;

/// Kinds that paths of Gureum's can begin, pass or end at.
const TYPES: &[&str] = &[
    "AWS::EC2::Instance",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::NetworkInterface",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::Subnet",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCEndpoint",
    "AWS::EC2::VPCPeeringConnection",
];

/// Kinds that AWS knows besides, with the prefix of their ids: what is behind them is unknown.
const UNKNOWN_TYPES: &[(&str, &str)] = &[
    ("AWS::EC2::TransitGatewayAttachment", "tgw-attach-"),
    ("AWS::EC2::TransitGateway", "tgw-"),
    ("AWS::EC2::VPCEndpointService", "vpce-svc-"),
    ("AWS::EC2::VPNGateway", "vgw-"),
];

/// Kinds of AWS's that no account here can have one of.
const ABSENT_TYPES: &[&str] = &[
    "AWS::ElasticLoadBalancing::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::NetworkFirewall::Firewall",
];

/// Packets as ranges. An absent list is open.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) sources: Option<Vec<Range>>,
    pub(super) destinations: Option<Vec<Range>>,
    pub(super) source_ports: Option<Vec<Range>>,
    pub(super) destination_ports: Option<Vec<Range>>,
    protocols: Vec<String>,
}

fn block(text: &str) -> Option<Range> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(of_address(address));
    }
    text.parse::<Ipv4Net>().ok().map(of_block)
}

fn port_range(text: &str) -> Option<Range> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok().map(u32::from);
    let range = (port(from)?, port(to)?);
    (range.0 <= range.1).then_some(range)
}

/// Refuses a statement that says nothing or what nobody understands.
pub(crate) fn check(statement: &PathStatement) -> Answer<()> {
    let invalid = |what: &str, value: &str| {
        Err(ApiError::invalid_parameter_value(format!("Value ({value}) for {what} is invalid.")))
    };
    let together = |one: &str, two: &str| {
        Err(ApiError::invalid_parameter_combination(format!(
            "{one} and {two} may not be specified together."
        )))
    };
    if let Some(packet) = &statement.packet {
        let PacketHeaderStatement { source_addresses, destination_addresses, .. } = packet;
        if *packet == PacketHeaderStatement::default() {
            return Err(ApiError::missing_parameter("PacketHeaderStatement.Protocols"));
        }
        for text in source_addresses.iter().chain(destination_addresses) {
            if block(text).is_none() {
                return invalid("an address", text);
            }
        }
        for text in packet.source_ports.iter().chain(&packet.destination_ports) {
            if port_range(text).is_none() {
                return invalid("a port range", text);
            }
        }
        for text in packet.source_prefix_lists.iter().chain(&packet.destination_prefix_lists) {
            if id(text).parse::<PrefixListId>().is_err() {
                return invalid("a prefix list", text);
            }
        }
        if !source_addresses.is_empty() && !packet.source_prefix_lists.is_empty() {
            return together("SourceAddresses", "SourcePrefixLists");
        }
        if !destination_addresses.is_empty() && !packet.destination_prefix_lists.is_empty() {
            return together("DestinationAddresses", "DestinationPrefixLists");
        }
    }
    match &statement.resource {
        Some(resource) => check_resource(resource),
        None => Ok(()),
    }
}

fn check_resource(resource: &ResourceStatement) -> Answer<()> {
    match (resource.resources.is_empty(), resource.types.is_empty()) {
        (true, true) => return Err(ApiError::missing_parameter("ResourceStatement.Resources")),
        (false, false) => {
            return Err(ApiError::invalid_parameter_combination(
                "Resources and ResourceTypes may not be specified together.",
            ));
        }
        _ => {}
    }
    for kind in &resource.types {
        let known = TYPES.contains(&kind.as_str())
            || ABSENT_TYPES.contains(&kind.as_str())
            || UNKNOWN_TYPES.iter().any(|(name, _)| name == kind);
        if !known {
            return Err(ApiError::invalid_parameter_value(format!(
                "Value ({kind}) for ResourceTypes is invalid."
            )));
        }
    }
    Ok(())
}

/// The id in an id or ARN.
pub(super) fn id(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

impl Filter {
    pub(super) fn new(world: &World<'_>, statement: Option<&PathStatement>) -> Self {
        let Some(packet) = statement.and_then(|it| it.packet.as_ref()) else {
            return Self::default();
        };
        let lists = |lists: &[String]| {
            let found =
                lists.iter().filter_map(|list| world.prefix_list(&world.call.scope, id(list)));
            let entries = found.flat_map(|list| &list.entries);
            entries
                .filter_map(|entry| match entry.cidr {
                    IpNet::V4(block) => Some(of_block(block)),
                    IpNet::V6(_) => None,
                })
                .collect::<Vec<_>>()
        };
        let of = |blocks: &[String], named: &[String]| {
            let all: Vec<_> =
                blocks.iter().filter_map(|text| block(text)).chain(lists(named)).collect();
            (!blocks.is_empty() || !named.is_empty()).then_some(all)
        };
        let ports = |texts: &[String]| {
            let all: Vec<_> = texts.iter().filter_map(|text| port_range(text)).collect();
            (!texts.is_empty()).then_some(all)
        };
        Self {
            sources: of(&packet.source_addresses, &packet.source_prefix_lists),
            destinations: of(&packet.destination_addresses, &packet.destination_prefix_lists),
            source_ports: ports(&packet.source_ports),
            destination_ports: ports(&packet.destination_ports),
            protocols: packet.protocols.clone(),
        }
    }

    pub(super) fn admits(&self, protocol: IpProtocol) -> bool {
        self.protocols.is_empty() || self.protocols.contains(&protocol.to_string())
    }

    pub(super) fn fits(&self, packet: &StepPacket) -> bool {
        let within = |number: u32, ranges: &Option<Vec<Range>>| {
            let holds = |(first, last): &Range| (*first..=*last).contains(&number);
            ranges.as_ref().is_none_or(|ranges| ranges.iter().any(holds))
        };
        let address = |address: std::net::IpAddr| match address {
            std::net::IpAddr::V4(address) => u32::from(address),
            std::net::IpAddr::V6(_) => 0,
        };
        self.admits(IpProtocol(packet.protocol))
            && within(address(packet.source), &self.sources)
            && within(address(packet.destination), &self.destinations)
            && within(packet.source_port.into(), &self.source_ports)
            && within(packet.destination_port.into(), &self.destination_ports)
    }

    /// All its ranges: of addresses, of ports.
    pub(super) fn ranges(&self) -> (impl Iterator<Item = &Range>, impl Iterator<Item = &Range>) {
        let addresses = self.sources.iter().chain(&self.destinations).flatten();
        let ports = self.source_ports.iter().chain(&self.destination_ports).flatten();
        (addresses, ports)
    }

    /// All ports that a list leaves open.
    pub(super) fn ports(list: &Option<Vec<Range>>) -> Vec<Range> {
        list.clone().unwrap_or_else(|| vec![PORTS])
    }
}

/// Where a path of an access scope begins or ends.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Internet(Arc<InternetGateway>, VpcId),
    Interface(Arc<NetworkInterface>),
    GatewayEndpoint(Arc<VpcEndpoint>),
}

impl Place {
    pub(super) fn vpc(&self) -> &VpcId {
        match self {
            Self::Internet(_, vpc) => vpc,
            Self::Interface(interface) => &interface.vpc_id,
            Self::GatewayEndpoint(endpoint) => &endpoint.vpc_id,
        }
    }

    /// Its own id.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Internet(gateway, _) => gateway.id.as_str(),
            Self::Interface(interface) => interface.id.as_str(),
            Self::GatewayEndpoint(endpoint) => endpoint.id.as_str(),
        }
    }

    /// Whether a statement speaks of it.
    pub(super) fn is_meant(&self, world: &World<'_>, statement: Option<&PathStatement>) -> bool {
        let Some(resource) = statement.and_then(|it| it.resource.as_ref()) else { return true };
        let kind = |name: &str| resource.types.iter().any(|it| it == name);
        let named = |own: &str| resource.resources.iter().any(|it| id(it) == own);
        match self {
            Self::Internet(gateway, _) => {
                named(gateway.id.as_str()) || kind("AWS::EC2::InternetGateway")
            }
            Self::GatewayEndpoint(endpoint) => {
                named(endpoint.id.as_str()) || kind("AWS::EC2::VPCEndpoint")
            }
            Self::Interface(interface) => {
                let owner = world.owner(interface);
                let is_endpoint = owner.as_ref().is_some_and(|it| it.id.starts_with("vpce-"));
                let always = [
                    "AWS::EC2::NetworkInterface",
                    "AWS::EC2::SecurityGroup",
                    "AWS::EC2::Subnet",
                    "AWS::EC2::VPC",
                ];
                named(interface.id.as_str())
                    || named(interface.subnet_id.as_str())
                    || named(interface.vpc_id.as_str())
                    || interface.groups.iter().any(|group| named(group.as_str()))
                    || owner.is_some_and(|owner| named(&owner.id))
                    || always.iter().any(|name| kind(name))
                    || kind("AWS::EC2::Instance") && interface.attachment.is_some()
                    || kind("AWS::EC2::VPCEndpoint") && is_endpoint
            }
        }
    }
}

/// Whether a path passes what a statement names.
pub(super) fn passes(path: &[PathComponent], through: &ResourceStatement) -> bool {
    let kind = |component: &AnalysisComponent| {
        let prefix = component.id.split('-').next().unwrap_or_default();
        match prefix {
            "nat" => "AWS::EC2::NatGateway",
            "pcx" => "AWS::EC2::VPCPeeringConnection",
            "vpce" => "AWS::EC2::VPCEndpoint",
            "igw" => "AWS::EC2::InternetGateway",
            "eni" => "AWS::EC2::NetworkInterface",
            "i" => "AWS::EC2::Instance",
            "sg" => "AWS::EC2::SecurityGroup",
            "subnet" => "AWS::EC2::Subnet",
            "vpc" => "AWS::EC2::VPC",
            _ => "",
        }
    };
    path.iter().flat_map(named).any(|component| {
        through.resources.iter().any(|it| id(it) == component.id)
            || through.types.iter().any(|it| it == kind(component))
    })
}

/// What a statement names whose paths nobody knows, if the account has any of it.
pub(super) fn unknown(
    world: &World<'_>,
    resource: &ResourceStatement,
    end: bool,
) -> Option<String> {
    use gureum_types::record::{TransitGatewayVpcAttachment, VpcEndpointService, VpnGateway};
    let (records, scope) = (world.records, &world.call.scope);
    let prefixes = UNKNOWN_TYPES.iter();
    let named = resource.resources.iter().map(|it| id(it)).find(|id| {
        prefixes.clone().any(|(_, prefix)| id.starts_with(prefix))
            || end && id.starts_with("pcx-")
            || id.starts_with("arn:") // of a service that is not EC2
    });
    if let Some(id) = named {
        return Some(format!("paths that begin, end or pass at {id} are not analyzed"));
    }
    resource.types.iter().find_map(|kind| {
        let has = match kind.as_str() {
            "AWS::EC2::TransitGatewayAttachment" | "AWS::EC2::TransitGateway" => {
                records.all::<TransitGatewayVpcAttachment>(scope).any(|it| it.deleted.is_none())
            }
            "AWS::EC2::VPNGateway" => {
                records.all::<VpnGateway>(scope).any(|it| it.deleted.is_none())
            }
            "AWS::EC2::VPCEndpointService" => {
                records.all::<VpcEndpointService>(scope).next().is_some()
            }
            "AWS::EC2::VPCPeeringConnection" => end,
            _ => false,
        };
        has.then(|| format!("paths that begin, end or pass at a {kind} are not analyzed"))
    })
}
