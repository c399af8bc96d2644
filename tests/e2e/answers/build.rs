//! Makes a planned VPC through the real API.

use std::net::Ipv6Addr;

use gureum_e2e::{Answer, Ec2};

use crate::plan::{End, Entry, Host, Ipv6Way, Peer, Plan, Rule, Traffic, Way, Which};

/// A VPC that is there.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) plan: Plan,
    pub(crate) vpc: String,
    tables: Vec<String>,
    /// The VPC's IPv6 block, a /56.
    ipv6: Option<Ipv6Addr>,
    /// The instances, in the order of the plan's hosts.
    pub(crate) instances: Vec<String>,
    /// Their public addresses.
    pub(crate) public: Vec<Option<String>>,
}

type Parameters = Vec<(String, String)>;

/// Calls an operation.
fn call(ec2: &mut Ec2, action: &str, parameters: &[(&str, &str)]) -> Answer {
    ec2.call(action, parameters)
}

fn call_owned(ec2: &mut Ec2, action: &str, parameters: &[(String, String)]) -> Answer {
    let parameters: Vec<_> = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    ec2.call(action, &parameters)
}

impl Built {
    /// Makes it, and launches its hosts without waiting for them.
    pub(crate) fn make(ec2: &mut Ec2, plan: Plan, image: &str) -> Self {
        let block = format!("10.{}.0.0/16", plan.block);
        let ipv6 = if plan.ipv6 { "true" } else { "false" };
        let made = [("CidrBlock", &*block), ("AmazonProvidedIpv6CidrBlock", ipv6)];
        let vpc = call(ec2, "CreateVpc", &made).text("vpcId");
        let ipv6 = plan.ipv6.then(|| {
            let shown = call(ec2, "DescribeVpcs", &[("VpcId.1", &vpc)]).text("ipv6CidrBlock");
            let (network, length) = shown.split_once('/').expect("a block");
            assert_eq!(length, "56");
            network.parse().expect("an address")
        });
        let gateway = plan.gateway.then(|| {
            let id = call(ec2, "CreateInternetGateway", &[]).text("internetGatewayId");
            call(ec2, "AttachInternetGateway", &[("InternetGatewayId", &id), ("VpcId", &vpc)]);
            id
        });
        let subnets: Vec<_> = (0..plan.subnets.len())
            .map(|place| {
                let cidr = format!("10.{}.{place}.0/24", plan.block);
                let mut given = vec![
                    ("VpcId", vpc.clone()),
                    ("CidrBlock", cidr),
                    ("AvailabilityZone", "ap-northeast-2a".to_owned()),
                ];
                if let Some(network) = ipv6 {
                    let block = format!("{}/64", ipv6_address(network, place, 0));
                    given.push(("Ipv6CidrBlock", block));
                }
                let given: Vec<_> = given.iter().map(|(k, v)| (*k, v.as_str())).collect();
                call(ec2, "CreateSubnet", &given).text("subnetId")
            })
            .collect();
        let mut it = Self {
            tables: Vec::new(),
            instances: Vec::new(),
            public: vec![None; plan.hosts.len()],
            plan,
            vpc,
            ipv6,
        };
        it.route(ec2, &subnets, gateway.as_deref());
        it.filter(ec2, &subnets);
        let groups = it.groups(ec2);
        it.launch(ec2, &subnets, &groups, image);
        it
    }

    fn route(&mut self, ec2: &mut Ec2, subnets: &[String], gateway: Option<&str>) {
        let (mut nat, mut egress_only) = (None, None);
        for (place, id) in subnets.iter().enumerate() {
            let planned = self.plan.subnets[place].clone();
            let table = call(ec2, "CreateRouteTable", &[("VpcId", &self.vpc)]).text("routeTableId");
            call(ec2, "AssociateRouteTable", &[("RouteTableId", &table), ("SubnetId", id)]);
            let target = match (planned.way, gateway) {
                (Way::Internet, Some(gateway)) => Some(("GatewayId", gateway.to_owned())),
                (Way::Nat, Some(_)) => {
                    let nat = nat.get_or_insert_with(|| {
                        let address = call(ec2, "AllocateAddress", &[]).text("allocationId");
                        let given = [
                            ("SubnetId", &*subnets[0]),
                            ("AllocationId", &address),
                            // Where no host is.
                            ("PrivateIpAddress", &format!("10.{}.0.250", self.plan.block)),
                        ];
                        call(ec2, "CreateNatGateway", &given).text("natGatewayId")
                    });
                    Some(("NatGatewayId", nat.clone()))
                }
                (Way::Blackhole, _) => {
                    let address = format!("10.{}.{place}.251", self.plan.block);
                    let given = [("SubnetId", &**id), ("PrivateIpAddress", &address)];
                    let made = call(ec2, "CreateNetworkInterface", &given);
                    Some(("NetworkInterfaceId", made.text("networkInterfaceId")))
                }
                _ => None,
            };
            let to = |destination: &'static str, all: &'static str, (key, id): (&str, String)| {
                vec![
                    ("RouteTableId".to_owned(), table.clone()),
                    (destination.to_owned(), all.to_owned()),
                    (key.to_owned(), id),
                ]
            };
            if let Some(target) = target {
                let given = to("DestinationCidrBlock", "0.0.0.0/0", target);
                call_owned(ec2, "CreateRoute", &given);
            }
            let target = match (planned.ipv6_way, gateway) {
                (Ipv6Way::Internet, Some(gateway)) => Some(("GatewayId", gateway.to_owned())),
                (Ipv6Way::EgressOnly, _) => {
                    let id = egress_only.get_or_insert_with(|| {
                        let made =
                            call(ec2, "CreateEgressOnlyInternetGateway", &[("VpcId", &self.vpc)]);
                        made.text("egressOnlyInternetGatewayId")
                    });
                    Some(("EgressOnlyInternetGatewayId", id.clone()))
                }
                _ => None,
            };
            if let Some(target) = target {
                call_owned(ec2, "CreateRoute", &to("DestinationIpv6CidrBlock", "::/0", target));
            }
            self.tables.push(table);
        }
    }

    fn filter(&self, ec2: &mut Ec2, subnets: &[String]) {
        for (id, planned) in subnets.iter().zip(&self.plan.subnets) {
            if planned.acl.is_empty() {
                continue;
            }
            let acl = call(ec2, "CreateNetworkAcl", &[("VpcId", &self.vpc)]).text("networkAclId");
            for (number, entry) in (100..).step_by(10).zip(&planned.acl) {
                call_owned(ec2, "CreateNetworkAclEntry", &entry_of(&acl, number, entry));
            }
            let of_subnet = [("Filter.1.Name", "association.subnet-id"), ("Filter.1.Value.1", id)];
            let shown = call(ec2, "DescribeNetworkAcls", &of_subnet);
            let mut parts = shown.body.split("<networkAclAssociationId>").skip(1);
            let association = parts.find(|part| part.contains(id.as_str()));
            let association = association.and_then(|part| part.split('<').next());
            let association = association.expect("the subnet has an ACL");
            let given = [("AssociationId", association), ("NetworkAclId", &acl)];
            call(ec2, "ReplaceNetworkAclAssociation", &given);
        }
    }

    fn groups(&self, ec2: &mut Ec2) -> Vec<String> {
        let list = (!self.plan.prefix_list.is_empty()).then(|| {
            let name = format!("list-{}", self.plan.seed);
            let mut given: Parameters =
                [("PrefixListName", &*name), ("MaxEntries", "10"), ("AddressFamily", "IPv4")]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .into();
            let mut entries = self.plan.prefix_list.clone();
            entries.sort();
            entries.dedup();
            for (number, cidr) in (1..).zip(entries) {
                given.push((format!("Entry.{number}.Cidr"), cidr));
            }
            call_owned(ec2, "CreateManagedPrefixList", &given).text("prefixListId")
        });
        let ids: Vec<_> = (0..self.plan.groups.len())
            .map(|number| {
                let name = format!("group-{number}");
                let given = [
                    ("GroupName", &*name),
                    ("GroupDescription", "generated"),
                    ("VpcId", &self.vpc),
                ];
                call(ec2, "CreateSecurityGroup", &given).text("groupId")
            })
            .collect();
        for (id, planned) in ids.iter().zip(&self.plan.groups) {
            let ingress = permissions(id, &planned.ingress, &ids, list.as_deref());
            call_owned(ec2, "AuthorizeSecurityGroupIngress", &ingress);
            let Some(egress) = &planned.egress else { continue };
            let mut all = vec![
                ("GroupId", &**id),
                ("IpPermissions.1.IpProtocol", "-1"),
                ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
            ];
            if self.plan.ipv6 {
                // Where the group was made with the VPC's block there already (SG-4).
                all.push(("IpPermissions.1.Ipv6Ranges.1.CidrIpv6", "::/0"));
            }
            call(ec2, "RevokeSecurityGroupEgress", &all);
            let egress = permissions(id, egress, &ids, list.as_deref());
            call_owned(ec2, "AuthorizeSecurityGroupEgress", &egress);
        }
        ids
    }

    fn launch(&mut self, ec2: &mut Ec2, subnets: &[String], groups: &[String], image: &str) {
        for (number, host) in self.plan.hosts.iter().enumerate() {
            let mut given: Parameters = [
                ("ImageId", image),
                ("InstanceType", "t2.micro"),
                ("MinCount", "1"),
                ("MaxCount", "1"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
            let mut interface = |place: usize, subnet: usize, rest: Vec<(String, String)>| {
                let own = |key: String, value: String| {
                    (format!("NetworkInterface.{}.{key}", place + 1), value)
                };
                given.push(own("DeviceIndex".into(), place.to_string()));
                given.push(own("SubnetId".into(), subnets[subnet].clone()));
                for (n, group) in (1..).zip(&host.groups) {
                    given.push(own(format!("SecurityGroupId.{n}"), groups[*group].clone()));
                }
                given.extend(rest.into_iter().map(|(key, value)| own(key, value)));
            };
            let mut rest = Vec::new();
            let mut addresses = vec![self.address(number, Which::Private)];
            if host.secondary {
                addresses.push(self.address(number, Which::Secondary));
            }
            for (n, address) in (1..).zip(addresses) {
                let key = |member: &str| format!("PrivateIpAddresses.{n}.{member}");
                rest.push((key("PrivateIpAddress"), address.expect("a private address")));
                rest.push((key("Primary"), (n == 1).to_string()));
            }
            if let Some(address) = self.address(number, Which::Ipv6) {
                rest.push(("Ipv6Addresses.1.Ipv6Address".into(), address));
            }
            if host.second.is_none() {
                rest.push(("AssociatePublicIpAddress".into(), host.public.to_string()));
            }
            interface(0, host.subnet, rest);
            if let Some(subnet) = host.second {
                let address = self.address(number, Which::Second).expect("it has one");
                interface(1, subnet, vec![("PrivateIpAddress".into(), address)]);
            }
            self.instances.push(call_owned(ec2, "RunInstances", &given).text("instanceId"));
        }
    }

    /// Gives running hosts their Elastic IP addresses, and learns the public ones.
    pub(crate) fn finish(&mut self, ec2: &mut Ec2) {
        for (place, host) in self.plan.hosts.iter().enumerate() {
            let id = &*self.instances[place];
            if host.elastic {
                let first = [
                    ("Filter.1.Name", "attachment.instance-id"),
                    ("Filter.1.Value.1", id),
                    ("Filter.2.Name", "attachment.device-index"),
                    ("Filter.2.Value.1", "0"),
                ];
                let shown = call(ec2, "DescribeNetworkInterfaces", &first);
                let made = call(ec2, "AllocateAddress", &[]);
                let given = [
                    ("AllocationId", &*made.text("allocationId")),
                    ("NetworkInterfaceId", &shown.text("networkInterfaceId")),
                ];
                call(ec2, "AssociateAddress", &given);
                self.public[place] = Some(made.text("publicIp"));
            } else if host.public {
                let shown = call(ec2, "DescribeInstances", &[("InstanceId.1", id)]);
                self.public[place] = Some(shown.text("ipAddress"));
            }
        }
    }

    /// An address of a host, if it has one of that kind.
    pub(crate) fn address(&self, number: usize, which: Which) -> Option<String> {
        let host: &Host = self.plan.hosts.get(number)?;
        let v4 = |subnet: usize, base: usize| {
            format!("10.{}.{subnet}.{}", self.plan.block, base + number)
        };
        match which {
            Which::Private => Some(v4(host.subnet, 10)),
            Which::Secondary => host.secondary.then(|| v4(host.subnet, 100)),
            Which::Second => host.second.map(|subnet| v4(subnet, 150)),
            Which::Public => self.public[number].clone(),
            Which::Ipv6 => Some(ipv6_address(self.ipv6?, host.subnet, 0x10 + number).to_string()),
        }
    }

    /// What an end of a question is called, and which instance is there.
    pub(crate) fn end(&self, end: End, peer: &Self) -> Option<(String, Option<String>)> {
        match end {
            End::Internet => Some(("internet".to_owned(), None)),
            End::Host(number, which) => {
                let address = self.address(number, which)?;
                Some((address, Some(self.instances[number].clone())))
            }
            End::Peer(number) => {
                let number = number % peer.instances.len();
                let address = peer.address(number, Which::Private)?;
                Some((address, Some(peer.instances[number].clone())))
            }
        }
    }

    /// Connects two VPCs; each table that is planned so has a route to the other.
    pub(crate) fn peer(ec2: &mut Ec2, pair: [&Self; 2]) {
        let given = [("VpcId", &*pair[0].vpc), ("PeerVpcId", &pair[1].vpc)];
        let made = call(ec2, "CreateVpcPeeringConnection", &given);
        let id = made.text("vpcPeeringConnectionId");
        call(ec2, "AcceptVpcPeeringConnection", &[("VpcPeeringConnectionId", &id)]);
        for (one, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            let block = format!("10.{}.0.0/16", other.plan.block);
            let knows = one.tables.iter().zip(&one.plan.subnets).filter(|(_, it)| it.peers);
            for (table, _) in knows {
                let given = [
                    ("RouteTableId", &**table),
                    ("DestinationCidrBlock", &block),
                    ("VpcPeeringConnectionId", &id),
                ];
                call(ec2, "CreateRoute", &given);
            }
        }
    }
}

/// An address in a subnet of a VPC's block, which are numbered by its fourth part.
fn ipv6_address(network: Ipv6Addr, subnet: usize, host: usize) -> Ipv6Addr {
    let part = |number: usize| u16::try_from(number).expect("a small number");
    let mut parts = network.segments();
    parts[3] |= part(subnet);
    parts[7] = part(host);
    parts.into()
}

fn protocol(traffic: Traffic) -> (&'static str, Option<(u16, u16)>) {
    match traffic {
        Traffic::All => ("-1", None),
        Traffic::Tcp(from, to) => ("6", Some((from, to))),
        Traffic::Udp(from, to) => ("17", Some((from, to))),
        Traffic::Icmp => ("1", None),
        Traffic::Icmpv6 => ("58", None),
    }
}

fn entry_of(acl: &str, number: usize, entry: &Entry) -> Parameters {
    let (protocol, ports) = protocol(entry.traffic);
    let family = if entry.cidr.contains(':') { "Ipv6CidrBlock" } else { "CidrBlock" };
    let mut given = vec![
        ("NetworkAclId".to_owned(), acl.to_owned()),
        ("RuleNumber".to_owned(), number.to_string()),
        ("Egress".to_owned(), entry.egress.to_string()),
        ("Protocol".to_owned(), protocol.to_owned()),
        ("RuleAction".to_owned(), if entry.allow { "allow" } else { "deny" }.to_owned()),
        (family.to_owned(), entry.cidr.clone()),
    ];
    if let Some((from, to)) = ports {
        given.push(("PortRange.From".to_owned(), from.to_string()));
        given.push(("PortRange.To".to_owned(), to.to_string()));
    }
    if matches!(entry.traffic, Traffic::Icmp | Traffic::Icmpv6) {
        given.push(("Icmp.Type".to_owned(), "-1".to_owned()));
        given.push(("Icmp.Code".to_owned(), "-1".to_owned()));
    }
    given
}

/// Rules as parameters, each once.
fn permissions(group: &str, rules: &[Rule], groups: &[String], list: Option<&str>) -> Parameters {
    let mut seen = Vec::new();
    let mut given = vec![("GroupId".to_owned(), group.to_owned())];
    let mut number = 0;
    for rule in rules {
        let shown = format!("{rule:?}");
        if seen.contains(&shown) {
            continue;
        }
        seen.push(shown);
        number += 1;
        let key = |member: &str| format!("IpPermissions.{number}.{member}");
        let (protocol, ports) = protocol(rule.traffic);
        given.push((key("IpProtocol"), protocol.to_owned()));
        let ports = match rule.traffic {
            Traffic::Icmp | Traffic::Icmpv6 => Some((-1, -1)),
            _ => ports.map(|(from, to)| (i32::from(from), i32::from(to))),
        };
        if let Some((from, to)) = ports {
            given.push((key("FromPort"), from.to_string()));
            given.push((key("ToPort"), to.to_string()));
        }
        given.push(match &rule.peer {
            Peer::Cidr(cidr) if cidr.contains(':') => (key("Ipv6Ranges.1.CidrIpv6"), cidr.clone()),
            Peer::Cidr(cidr) => (key("IpRanges.1.CidrIp"), cidr.clone()),
            Peer::Group(other) => (key("Groups.1.GroupId"), groups[*other].clone()),
            Peer::PrefixList => {
                (key("PrefixListIds.1.PrefixListId"), list.expect("there is a list").to_owned())
            }
        });
    }
    given
}
