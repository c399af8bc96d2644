//! Records with what matters for packets; the rest is as AWS has it by default.

use std::net::Ipv4Addr;

use gureum_types::{
    AccountId, IpProtocol, NetworkInterfaceId, PortIndex, Region, SecurityGroupId,
    SecurityGroupRuleId, SubnetId, Timestamp, VpcId,
    record::{
        DhcpOptions, EgressOnlyInternetGateway, InterfaceEndpoint, InternetGateway, NatGateway,
        NatGatewayState, NetworkAcl, NetworkAclAssociation, NetworkAclEntry, NetworkInterface,
        PeeringStatus, PeeringVpc, PrefixList, PrefixListEntry, Route, RouteDestination,
        RouteTable, RouteTableAssociation, RouteTarget, RulePeer, Scope, SecurityGroup,
        SecurityGroupRule, Subnet, SubnetIpv6CidrAssociation, Traffic, TransitGatewayVpcAttachment,
        Vpc, VpcCidrAssociation, VpcEndpoint, VpcEndpointKind, VpcEndpointState,
        VpcIpv6CidrAssociation, VpcPeeringConnection, VpnGateway,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

/// Seoul.
pub fn region() -> Region {
    "ap-northeast-2".parse().unwrap()
}

/// The owner of everything.
pub fn account() -> AccountId {
    AccountId::default()
}

/// A block from text.
pub fn block(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

/// A VPC with DNS support; its DHCP options are the default ones.
pub fn vpc(number: u64, cidr_block: Ipv4Net) -> Vpc {
    Vpc {
        id: VpcId::new(number),
        cidr_block,
        cidr_associations: vec![VpcCidrAssociation {
            id: gureum_types::VpcCidrAssociationId::new(number),
            cidr_block,
        }],
        ipv6_cidr_associations: Vec::new(),
        dhcp_options: Some(default_dhcp_options().id),
        instance_tenancy: "default".to_owned(),
        is_default: false,
        enable_dns_support: true,
        enable_dns_hostnames: true,
        enable_network_address_usage_metrics: false,
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// What DHCP tells unless somebody says otherwise (DHCP-1).
pub fn default_dhcp_options() -> DhcpOptions {
    DhcpOptions {
        id: gureum_types::DhcpOptionsId::new(1),
        configurations: vec![
            ("domain-name".to_owned(), vec![region().internal_domain()]),
            ("domain-name-servers".to_owned(), vec!["AmazonProvidedDNS".to_owned()]),
        ],
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// A subnet.
pub fn subnet(number: u64, vpc: &VpcId, cidr_block: Ipv4Net) -> Subnet {
    Subnet {
        id: SubnetId::new(number),
        vpc_id: vpc.clone(),
        cidr_block: Some(cidr_block),
        ipv6_cidr_association: None,
        availability_zone: "ap-northeast-2a".to_owned(),
        default_for_az: false,
        map_public_ip_on_launch: false,
        assign_ipv6_address_on_creation: false,
        enable_dns64: false,
        private_dns_hostname_type: "ip-name".to_owned(),
        resource_name_dns_a_record: false,
        resource_name_dns_aaaa_record: false,
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// A route table with routes and the subnets that it is associated with; `main` for the VPC's.
pub fn route_table(
    number: u64,
    vpc: &VpcId,
    main: bool,
    subnets: &[SubnetId],
    routes: &[(Ipv4Net, RouteTarget)],
) -> RouteTable {
    let id = |index: u64| gureum_types::RouteTableAssociationId::new(number << 8 | index);
    let mut associations: Vec<RouteTableAssociation> = subnets
        .iter()
        .zip(1..)
        .map(|(subnet, index)| RouteTableAssociation {
            id: id(index),
            subnet_id: Some(subnet.clone()),
            gateway_id: None,
            main: false,
        })
        .collect();
    if main {
        associations.push(RouteTableAssociation {
            id: id(0),
            subnet_id: None,
            gateway_id: None,
            main: true,
        });
    }
    RouteTable {
        id: gureum_types::RouteTableId::new(number),
        vpc_id: vpc.clone(),
        routes: routes
            .iter()
            .map(|(destination, target)| Route {
                destination: RouteDestination::Ipv4(*destination),
                target: target.clone(),
            })
            .collect(),
        associations,
        propagating_gateways: Vec::new(),
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// An internet gateway.
pub fn internet_gateway(number: u64, vpc: Option<&VpcId>) -> InternetGateway {
    InternetGateway {
        id: gureum_types::InternetGatewayId::new(number),
        vpc_id: vpc.cloned(),
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// A NAT gateway that translates, behind the interface of a port.
pub fn nat_gateway(number: u64, subnet: &Subnet, port: PortIndex, public: bool) -> NatGateway {
    NatGateway {
        id: gureum_types::NatGatewayId::new(number),
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        public,
        state: NatGatewayState::Available,
        failure: None,
        network_interface_id: Some(NetworkInterfaceId::new(port.0.into())),
        addresses: Vec::new(),
        client_token: None,
        created: Timestamp(0),
        deleted: None,
        tags: Default::default(),
    }
}

/// An interface endpoint, behind the interfaces of ports.
pub fn interface_endpoint(number: u64, vpc: &VpcId, ports: &[PortIndex]) -> VpcEndpoint {
    let kind = VpcEndpointKind::Interface(InterfaceEndpoint {
        interfaces: ports.iter().map(|port| NetworkInterfaceId::new(port.0.into())).collect(),
        groups: Vec::new(),
        private_dns: true,
        private_dns_for_inbound_only: false,
        dns_record_ip_type: "ipv4".to_owned(),
        dns_label: "a1b2c3d4".to_owned(),
    });
    endpoint(number, vpc, "ssm", kind)
}

/// A gateway endpoint of a service, `s3` or `dynamodb`.
pub fn gateway_endpoint(number: u64, vpc: &VpcId, service: &str, port: PortIndex) -> VpcEndpoint {
    endpoint(number, vpc, service, VpcEndpointKind::Gateway { port })
}

fn endpoint(number: u64, vpc: &VpcId, service: &str, kind: VpcEndpointKind) -> VpcEndpoint {
    VpcEndpoint {
        id: gureum_types::VpcEndpointId::new(number),
        vpc_id: vpc.clone(),
        service_name: format!("com.amazonaws.{}.{service}", region()),
        state: VpcEndpointState::Available,
        policy: None,
        kind,
        client_token: None,
        created: Timestamp(0),
        deleted: None,
        tags: Default::default(),
    }
}

/// An egress-only internet gateway.
pub fn egress_only_internet_gateway(number: u64, vpc: &VpcId) -> EgressOnlyInternetGateway {
    EgressOnlyInternetGateway {
        id: gureum_types::EgressOnlyInternetGatewayId::new(number),
        vpc_id: vpc.clone(),
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// A virtual private gateway.
pub fn vpn_gateway(number: u64, vpc: Option<&VpcId>) -> VpnGateway {
    VpnGateway {
        id: gureum_types::VpnGatewayId::new(number),
        amazon_side_asn: 64_512,
        availability_zone: None,
        vpc_id: vpc.cloned(),
        created: Timestamp(0),
        deleted: None,
        tags: Default::default(),
    }
}

/// The attachment of a transit gateway to a VPC.
pub fn transit_gateway_attachment(number: u64, vpc: &VpcId) -> TransitGatewayVpcAttachment {
    TransitGatewayVpcAttachment {
        id: gureum_types::TransitGatewayAttachmentId::new(number),
        transit_gateway_id: gureum_types::TransitGatewayId::new(number),
        vpc_id: vpc.clone(),
        subnet_ids: Vec::new(),
        dns_support: true,
        security_group_referencing_support: true,
        ipv6_support: false,
        appliance_mode_support: false,
        created: Timestamp(0),
        deleted: None,
        tags: Default::default(),
    }
}

/// An active peering connection between VPCs of one account and region.
pub fn peering(number: u64, requester: &VpcId, accepter: &VpcId) -> VpcPeeringConnection {
    let side = |vpc: &VpcId| PeeringVpc {
        scope: Scope { account: account(), region: region() },
        vpc_id: vpc.clone(),
        allow_dns_resolution_from_remote_vpc: false,
    };
    VpcPeeringConnection {
        id: gureum_types::VpcPeeringConnectionId::new(number),
        requester: side(requester),
        accepter: side(accepter),
        status: PeeringStatus::Active,
        status_message: "Active".to_owned(),
        expiration: None,
        created: Timestamp(0),
        changed: Timestamp(0),
        tags: Default::default(),
        accepter_tags: Default::default(),
    }
}

/// A prefix list with these blocks.
pub fn prefix_list(number: u64, blocks: &[&str]) -> PrefixList {
    let entries: Vec<PrefixListEntry> = blocks
        .iter()
        .map(|block| PrefixListEntry { cidr: block.parse().unwrap(), description: None })
        .collect();
    PrefixList {
        id: gureum_types::PrefixListId::new(number),
        name: "list".to_owned(),
        ipv6: entries.iter().any(|entry| entry.cidr.addr().is_ipv6()),
        max_entries: 10,
        entries,
        version: 1,
        earlier: Vec::new(),
        state: "create-complete".to_owned(),
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// Gives a VPC and some of its subnets IPv6 blocks, a /64 each of the VPC's /56.
pub fn with_ipv6(vpc: &mut Vpc, block: &str, subnets: &mut [Subnet]) {
    let block: Ipv6Net = block.parse().unwrap();
    vpc.ipv6_cidr_associations.push(VpcIpv6CidrAssociation {
        id: gureum_types::VpcCidrAssociationId::new(100),
        cidr_block: block,
    });
    for (subnet, (part, number)) in subnets.iter_mut().zip(block.subnets(64).unwrap().zip(1..)) {
        subnet.ipv6_cidr_association = Some(SubnetIpv6CidrAssociation {
            id: gureum_types::SubnetCidrAssociationId::new(number),
            cidr_block: part,
        });
    }
}

/// A network ACL. Entries are (number, egress, allow, traffic, block).
pub fn network_acl(
    number: u64,
    vpc: &VpcId,
    is_default: bool,
    subnets: &[SubnetId],
    entries: &[(u16, bool, bool, Traffic, Ipv4Net)],
) -> NetworkAcl {
    NetworkAcl {
        id: gureum_types::NetworkAclId::new(number),
        vpc_id: vpc.clone(),
        is_default,
        entries: entries
            .iter()
            .map(|(rule_number, egress, allow, traffic, cidr)| NetworkAclEntry {
                rule_number: *rule_number,
                egress: *egress,
                allow: *allow,
                traffic: *traffic,
                cidr: (*cidr).into(),
            })
            .collect(),
        associations: subnets
            .iter()
            .zip(0..)
            .map(|(subnet, index)| NetworkAclAssociation {
                id: gureum_types::NetworkAclAssociationId::new(number << 8 | index),
                subnet_id: subnet.clone(),
            })
            .collect(),
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// A security group.
pub fn security_group(number: u64, vpc: &VpcId, name: &str) -> SecurityGroup {
    SecurityGroup {
        id: SecurityGroupId::new(number),
        vpc_id: vpc.clone(),
        name: name.to_owned(),
        description: name.to_owned(),
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// A rule of a security group.
pub fn rule(
    number: u64,
    group: &SecurityGroupId,
    egress: bool,
    traffic: Traffic,
    peer: RulePeer,
) -> SecurityGroupRule {
    SecurityGroupRule {
        id: SecurityGroupRuleId::new(number),
        group_id: group.clone(),
        egress,
        traffic,
        peer,
        description: None,
        tags: Default::default(),
    }
}

/// A network interface. Its MAC address follows from its port.
pub fn interface(
    port: PortIndex,
    subnet: &Subnet,
    private_addresses: &[Ipv4Addr],
    groups: &[SecurityGroupId],
    public: Option<Ipv4Addr>,
) -> NetworkInterface {
    let [_, b, c, d] = port.0.to_be_bytes();
    NetworkInterface {
        id: NetworkInterfaceId::new(port.0.into()),
        port,
        vpc_id: subnet.vpc_id.clone(),
        subnet_id: subnet.id.clone(),
        availability_zone: subnet.availability_zone.clone(),
        description: String::new(),
        interface_type: "interface".to_owned(),
        requester_managed: false,
        mac: [0x02, 0, 0, b, c, d],
        private_addresses: private_addresses.to_vec(),
        ipv6_addresses: Vec::new(),
        groups: groups.to_vec(),
        source_dest_check: true,
        connection_tracking: Default::default(),
        primary_ipv6: false,
        attachment: None,
        detached: None,
        associate_public_ip: public.is_some(),
        auto_public_ip: public,
        created: Timestamp(0),
        tags: Default::default(),
    }
}

/// Destination ports of TCP.
pub fn tcp(from: u16, to: u16) -> Traffic {
    Traffic::Ports { protocol: IpProtocol::TCP, from, to }
}

/// Destination ports of UDP.
pub fn udp(from: u16, to: u16) -> Traffic {
    Traffic::Ports { protocol: IpProtocol::UDP, from, to }
}

/// All of ICMP.
pub fn all_icmp() -> Traffic {
    Traffic::Icmp { protocol: IpProtocol::ICMP, icmp_type: None, icmp_code: None }
}

/// One type of ICMP, any code.
pub fn icmp(icmp_type: u8) -> Traffic {
    Traffic::Icmp { protocol: IpProtocol::ICMP, icmp_type: Some(icmp_type), icmp_code: None }
}

/// Everybody.
pub fn anywhere() -> RulePeer {
    RulePeer::Ipv4(block("0.0.0.0/0"))
}

/// A block.
pub fn from_block(text: &str) -> RulePeer {
    RulePeer::Ipv4(block(text))
}
