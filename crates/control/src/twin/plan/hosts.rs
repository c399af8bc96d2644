//! What has addresses: interfaces, instances, NAT gateways, endpoints, Elastic IP addresses.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{
    build::{Build, flag, known, tags, words},
    tree::{Got, Planned, made_up},
};

/// The first address of a subnet that is given to what has none in the plan.
const FIRST: u32 = 10;

impl Build<'_> {
    /// All of them, with the groups that they are in.
    pub(super) fn hosts(&mut self) {
        self.groups();
        self.endpoints();
        self.interfaces();
        self.instances();
        self.addresses();
        self.nat_gateways();
    }

    fn groups(&mut self) {
        for it in self.of(&["aws_security_group"]) {
            let Some(vpc) = self.need(it, "vpc_id", "vpc", "Vpcs") else { continue };
            let name = words(&it.values, "name")
                .unwrap_or_else(|| words(&it.values, "name_prefix").unwrap_or_default() + &it.id);
            let value = json!({"GroupId": it.id, "VpcId": vpc, "GroupName": name,
                "Description": words(&it.values, "description"), "Tags": tags(&it.values)});
            self.put("SecurityGroups", &it.id, value);
        }
    }

    fn block_of(&mut self, subnet: &str) -> Option<(ipnet::Ipv4Net, String, bool, Option<String>)> {
        let part = self.part("Subnets", subnet)?;
        let block = part["CidrBlock"].as_str()?.parse().ok()?;
        let vpc = part["VpcId"].as_str()?.to_owned();
        let public = part["MapPublicIpOnLaunch"] == true;
        let zone = part["AvailabilityZone"].as_str().map(str::to_owned);
        Some((block, vpc, public, zone))
    }

    /// A private address of a subnet: the one that is wanted, or a free one.
    fn private_address(&mut self, subnet: &str, wanted: Option<String>) -> Option<String> {
        let (block, ..) = self.block_of(subnet)?;
        let taken = self.taken.entry(subnet.to_owned()).or_default();
        if let Some(wanted) = wanted {
            taken.extend(wanted.parse::<Ipv4Addr>().ok());
            return Some(wanted);
        }
        let base = u32::from(block.network());
        let first = FIRST.min(u32::from(block.broadcast()).saturating_sub(base + 1));
        let found = (base + first..u32::from(block.broadcast()))
            .chain(base + 4..base + first)
            .map(Ipv4Addr::from)
            .find(|it| !taken.contains(it))?;
        taken.insert(found);
        Some(found.to_string())
    }

    /// Puts an interface; `None` where its subnet has no room or no IPv4 block.
    fn interface(
        &mut self,
        it: &Planned,
        (id, subnet): (&str, &str),
        wanted: Vec<String>,
        groups: &[String],
        more: Value,
    ) -> Option<String> {
        let Some((_, vpc, _, zone)) = self.block_of(subnet) else {
            self.tell(it, format!("{}: its subnet has no IPv4 block", it.address));
            return None;
        };
        let mut wanted = wanted.into_iter();
        let primary = self.private_address(subnet, wanted.next())?;
        let mut addresses = vec![json!({"PrivateIpAddress": primary, "Primary": true})];
        for other in wanted {
            addresses.push(json!({"PrivateIpAddress": other, "Primary": false}));
        }
        let groups: Vec<_> = groups.iter().map(|id| json!({"GroupId": id})).collect();
        let mut value = json!({
            "NetworkInterfaceId": id, "SubnetId": subnet, "VpcId": vpc, "AvailabilityZone": zone,
            "PrivateIpAddress": primary, "PrivateIpAddresses": addresses, "Groups": groups,
            "InterfaceType": "interface", "RequesterManaged": false, "SourceDestCheck": true,
            "TagSet": [],
        });
        for (member, given) in more.as_object().into_iter().flatten() {
            value[member] = given.clone();
        }
        self.put("NetworkInterfaces", id, value);
        Some(primary)
    }

    /// The groups of something in a subnet: those that are given, or the default one of its VPC.
    fn groups_of(
        &mut self,
        it: &Planned,
        attribute: &str,
        subnet: &str,
    ) -> Result<Vec<String>, ()> {
        let given = match self.plan.is_written(it, attribute) {
            true => self.all(it, attribute, "sg")?,
            false => Vec::new(),
        };
        for id in &given {
            if !self.has("SecurityGroups", id) {
                self.tell(it, format!("{}: its group {id} is not in the plan", it.address));
                return Err(());
            }
        }
        if !given.is_empty() {
            return Ok(given);
        }
        let vpc = self.block_of(subnet).map(|it| it.1).unwrap_or_default();
        Ok(vec![made_up("sg", &format!("{vpc} default"))])
    }

    fn wanted(&self, it: &Planned, attribute: &str) -> Vec<String> {
        match known(&it.values, attribute) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    fn interfaces(&mut self) {
        for it in self.of(&["aws_network_interface"]) {
            let Some(subnet) = self.need(it, "subnet_id", "subnet", "Subnets") else { continue };
            let Ok(mut groups) = self.groups_of(it, "security_groups", &subnet) else { continue };
            for more in self.of(&["aws_network_interface_sg_attachment"]) {
                let is_it =
                    self.plan.id(more, "network_interface_id", "eni") == Got::Is(it.id.clone());
                if is_it
                    && let Some(id) = self.need(more, "security_group_id", "sg", "SecurityGroups")
                {
                    groups.push(id);
                }
            }
            let mut wanted = self.wanted(it, "private_ip_list");
            if wanted.is_empty() {
                wanted = self.wanted(it, "private_ips");
            }
            let more = json!({"Description": words(&it.values, "description"),
                "SourceDestCheck": flag(&it.values, "source_dest_check").unwrap_or(true),
                "TagSet": tags(&it.values)});
            self.interface(it, (&it.id, &subnet), wanted, &groups, more);
        }
    }

    /// Interfaces that an instance is launched with, by device index.
    fn ready_interfaces(&mut self, it: &Planned) -> Result<Vec<(u64, String)>, ()> {
        let mut found = Vec::new();
        for block in ["network_interface", "primary_network_interface"] {
            let blocks = known(&it.values, block).and_then(Value::as_array).cloned();
            for (place, of) in blocks.unwrap_or_default().iter().enumerate() {
                let index = of["device_index"].as_u64().unwrap_or(0);
                if let Some(id) = of["network_interface_id"].as_str() {
                    found.push((index, id.to_owned()));
                    continue;
                }
                if !self.plan.is_unknown_in(it, block, place, "network_interface_id")
                    || !self.plan.is_written(it, block)
                {
                    continue;
                }
                match self.plan.ids_in_block(it, block, place, "network_interface_id", "eni") {
                    Got::Is(ids) if ids.len() == 1 => found.push((index, ids[0].clone())),
                    Got::Is(_) | Got::Absent => {
                        self.tell(it, format!("{}: which interface it has", it.address));
                        return Err(());
                    }
                    Got::Unknown(because) => {
                        self.tell(it, because);
                        return Err(());
                    }
                }
            }
        }
        for tie in self.of(&["aws_network_interface_attachment"]) {
            let is_it = self.plan.id(tie, "instance_id", "i") == Got::Is(it.id.clone());
            let id = self.plan.id(tie, "network_interface_id", "eni");
            if is_it && let Got::Is(id) = id {
                let index = known(&tie.values, "device_index").and_then(Value::as_u64);
                found.push((index.unwrap_or(1), id));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn instances(&mut self) {
        for it in self.of(&["aws_instance"]) {
            let Ok(ready) = self.ready_interfaces(it) else { continue };
            let subnet = match ready.iter().find(|(index, _)| *index == 0) {
                Some((_, id)) => {
                    let part = self.part("NetworkInterfaces", id);
                    part.and_then(|it| it["SubnetId"].as_str().map(str::to_owned))
                }
                None => self.need(it, "subnet_id", "subnet", "Subnets"),
            };
            let Some(subnet) = subnet else { continue };
            let Some((_, vpc, maps, zone)) = self.block_of(&subnet) else {
                self.tell(it, format!("{}: its subnet has no IPv4 block", it.address));
                continue;
            };
            if !ready.iter().any(|(index, _)| *index == 0) {
                let Ok(mut groups) = self.groups_of(it, "vpc_security_group_ids", &subnet) else {
                    continue;
                };
                let id = made_up("eni", &it.address);
                for more in self.of(&["aws_network_interface_sg_attachment"]) {
                    let is_it =
                        self.plan.id(more, "network_interface_id", "eni") == Got::Is(id.clone());
                    if is_it
                        && let Some(id) =
                            self.need(more, "security_group_id", "sg", "SecurityGroups")
                    {
                        groups.push(id);
                    }
                }
                let mut wanted = self.wanted(it, "private_ip");
                if !wanted.is_empty() {
                    wanted.extend(self.wanted(it, "secondary_private_ips"));
                }
                let public = flag(&it.values, "associate_public_ip_address").unwrap_or(maps);
                let more = json!({
                    "SourceDestCheck": flag(&it.values, "source_dest_check").unwrap_or(true)});
                if self.interface(it, (&id, &subnet), wanted, &groups, more).is_none() {
                    continue;
                }
                self.attach(&id, &it.id, 0);
                if public {
                    let association =
                        json!({"PublicIp": self.public_address(), "IpOwnerId": "amazon"});
                    if let Some(part) = self.part("NetworkInterfaces", &id) {
                        part["Association"] = association;
                    }
                }
            }
            for (index, id) in &ready {
                self.attach(id, &it.id, *index);
            }
            let value = json!({
                "InstanceId": it.id, "SubnetId": subnet, "VpcId": vpc, "State": {"Name": "running"},
                "ImageId": words(&it.values, "ami").filter(|it| it.starts_with("ami-"))
                    .unwrap_or_else(|| made_up("ami", &it.address)),
                "InstanceType": words(&it.values, "instance_type").unwrap_or("t3.micro".into()),
                "KeyName": words(&it.values, "key_name"), "Tags": tags(&it.values),
                "Placement": {"AvailabilityZone": zone, "Tenancy": "default"},
                "RootDeviceName": "/dev/xvda", "AmiLaunchIndex": 0, "BlockDeviceMappings": [
                    {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": made_up("vol", &it.address),
                        "DeleteOnTermination": true}}],
            });
            self.put("Instances", &it.id, value);
        }
    }

    fn attach(&mut self, interface: &str, instance: &str, index: u64) {
        if let Some(part) = self.part("NetworkInterfaces", interface) {
            part["Attachment"] = json!({"AttachmentId": made_up("eni-attach", interface),
                "InstanceId": instance, "DeviceIndex": index, "Status": "attached",
                "DeleteOnTermination": index == 0});
        }
    }

    /// The interface of an instance that addresses are associated with.
    fn primary_of(&self, instance: &str) -> Option<String> {
        let all = self.parts.get("NetworkInterfaces")?;
        let is_it = |it: &&Value| {
            it["Attachment"]["InstanceId"] == instance && it["Attachment"]["DeviceIndex"] == 0
        };
        all.values().find(is_it)?["NetworkInterfaceId"].as_str().map(str::to_owned)
    }

    fn addresses(&mut self) {
        for it in self.of(&["aws_eip"]) {
            let public = words(&it.values, "public_ip").unwrap_or_else(|| self.public_address());
            let value = json!({"AllocationId": it.id, "PublicIp": public, "Domain": "vpc",
                "Tags": tags(&it.values)});
            self.put("Addresses", &it.id, value);
            self.associate_address(it, &it.id, ("instance", "network_interface"));
        }
        for it in self.of(&["aws_eip_association"]) {
            if let Some(id) = self.need(it, "allocation_id", "eipalloc", "Addresses") {
                self.associate_address(it, &id, ("instance_id", "network_interface_id"));
            }
        }
    }

    fn associate_address(&mut self, it: &Planned, address: &str, (a, b): (&str, &str)) {
        let mut interface = None;
        for (attribute, prefix) in [(a, "i"), (b, "eni")] {
            // What the provider only reports is not asked for.
            if !self.plan.is_written(it, attribute) {
                continue;
            }
            match self.may(it, attribute, prefix) {
                Ok(Some(id)) if prefix == "i" => interface = self.primary_of(&id),
                Ok(Some(id)) => interface = Some(id),
                Ok(None) | Err(()) => {}
            }
        }
        let Some(interface) = interface else { return };
        self.tie_address(address, &interface);
    }

    fn tie_address(&mut self, address: &str, interface: &str) {
        let Some(part) = self.part("NetworkInterfaces", interface) else { return };
        // It takes the place of one that was given by itself.
        part["Association"] = Value::Null;
        let private = part["PrivateIpAddress"].clone();
        if let Some(of) = self.part("Addresses", address) {
            of["AssociationId"] = made_up("eipassoc", address).into();
            of["NetworkInterfaceId"] = interface.into();
            of["PrivateIpAddress"] = private;
        }
    }

    fn nat_gateways(&mut self) {
        for it in self.of(&["aws_nat_gateway"]) {
            let Some(subnet) = self.need(it, "subnet_id", "subnet", "Subnets") else { continue };
            let is_public = words(&it.values, "connectivity_type").as_deref() != Some("private");
            let allocation = match is_public {
                true => self.need(it, "allocation_id", "eipalloc", "Addresses"),
                false => None,
            };
            if is_public && allocation.is_none() {
                continue;
            }
            let id = made_up("eni", &it.address);
            let more = json!({"InterfaceType": "natGateway", "RequesterManaged": true,
                "SourceDestCheck": false, "RequesterId": "amazon-aws"});
            let wanted = self.wanted(it, "private_ip");
            let Some(private) = self.interface(it, (&id, &subnet), wanted, &[], more) else {
                continue;
            };
            let mut address =
                json!({"NetworkInterfaceId": id, "PrivateIp": private, "IsPrimary": true});
            if let Some(allocation) = allocation {
                self.tie_address(&allocation, &id);
                let public = self.part("Addresses", &allocation).map(|it| it["PublicIp"].clone());
                address["PublicIp"] = public.unwrap_or_default();
                address["AssociationId"] = made_up("eipassoc", &allocation).into();
                address["AllocationId"] = allocation.into();
            }
            let vpc = self.block_of(&subnet).map(|it| it.1);
            let value = json!({"NatGatewayId": it.id, "State": "available", "SubnetId": subnet,
                "VpcId": vpc, "ConnectivityType": if is_public { "public" } else { "private" },
                "NatGatewayAddresses": [address], "Tags": tags(&it.values)});
            self.put("NatGateways", &it.id, value);
        }
    }

    fn endpoints(&mut self) {
        for it in self.of(&["aws_vpc_endpoint"]) {
            let Some(vpc) = self.need(it, "vpc_id", "vpc", "Vpcs") else { continue };
            let Some(service) = words(&it.values, "service_name") else {
                self.tell(it, format!("{}: its service is known after apply", it.address));
                continue;
            };
            let kind = words(&it.values, "vpc_endpoint_type").unwrap_or("Gateway".into());
            let ties = |build: &mut Self, own: &str, other: &str, attribute: &str, prefix: &str| {
                let mut ids = match build.plan.is_written(it, own) {
                    true => build.all(it, own, prefix)?,
                    false => Vec::new(),
                };
                for tie in build.of(&[other]) {
                    if build.plan.id(tie, "vpc_endpoint_id", "vpce") == Got::Is(it.id.clone()) {
                        ids.extend(build.may(tie, attribute, prefix)?);
                    }
                }
                Ok::<_, ()>(ids)
            };
            let tables = ties(
                self,
                "route_table_ids",
                "aws_vpc_endpoint_route_table_association",
                "route_table_id",
                "rtb",
            );
            let subnets = ties(
                self,
                "subnet_ids",
                "aws_vpc_endpoint_subnet_association",
                "subnet_id",
                "subnet",
            );
            let groups = ties(
                self,
                "security_group_ids",
                "aws_vpc_endpoint_security_group_association",
                "security_group_id",
                "sg",
            );
            let (Ok(tables), Ok(subnets), Ok(mut groups)) = (tables, subnets, groups) else {
                continue;
            };
            if kind == "Interface" && groups.is_empty() {
                groups.push(made_up("sg", &format!("{vpc} default")));
            }
            let mut interfaces = Vec::new();
            if kind == "Interface" {
                for subnet in &subnets {
                    let id = made_up("eni", &format!("{} {subnet}", it.address));
                    let more = json!({"InterfaceType": "vpc_endpoint", "RequesterManaged": true,
                        "RequesterId": "amazon-aws"});
                    let made = self.interface(it, (&id, subnet), Vec::new(), &groups, more);
                    interfaces.extend(made.map(|_| id));
                }
            }
            for table in &tables {
                let route = json!({"DestinationPrefixListId": made_up("pl", &service),
                    "GatewayId": it.id, "State": "active", "Origin": "CreateRoute"});
                self.push("RouteTables", table, "Routes", route);
            }
            let groups: Vec<_> = groups.iter().map(|id| json!({"GroupId": id})).collect();
            let value = json!({
                "VpcEndpointId": it.id, "VpcEndpointType": kind, "VpcId": vpc, "State": "available",
                "ServiceName": service, "NetworkInterfaceIds": interfaces, "Groups": groups,
                "PrivateDnsEnabled": flag(&it.values, "private_dns_enabled") == Some(true),
                "PolicyDocument": words(&it.values, "policy"), "Tags": tags(&it.values),
            });
            self.put("VpcEndpoints", &it.id, value);
        }
    }
}
