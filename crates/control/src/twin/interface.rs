//! Network interfaces, their public addresses, and NAT gateways.

use std::net::{Ipv4Addr, Ipv6Addr};

use gureum_api::ec2;
use gureum_types::{
    InstanceId, NetworkInterfaceId, SecurityGroupId, Timestamp,
    record::{
        Address, AddressAssociation, Attachment, AttachmentState, ConnectionTracking, Instance,
        InstanceState, NatGateway, NatGatewayAddress, NatGatewayState, NetworkInterface,
        PublicAddress, Subnet,
    },
};

use super::import::{Import, name, tags};
use crate::{allocate, resource::vpc_endpoint};

/// The type of the interfaces of NAT gateways here (NAT-1); describe calls write it in two ways.
const NAT_GATEWAY: [&str; 2] = ["natGateway", "nat_gateway"];

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

fn seconds(value: Option<i32>) -> Option<u32> {
    value.and_then(|it| u32::try_from(it).ok())
}

impl Import<'_> {
    /// The public address that one of the data is here: itself, or one of the pool in its place.
    fn public_address(&mut self, of: &str, address: Ipv4Addr) -> Option<Ipv4Addr> {
        if let Some(known) = self.public.get(&address) {
            return Some(*known);
        }
        let given = match self.options.new_public_addresses {
            true => match allocate::public_address(self.call, self.tx, of) {
                Ok(given) => given,
                Err(error) => {
                    self.problem(of, error.message);
                    return None;
                }
            },
            false => {
                let known = self.tx.machine::<PublicAddress>(&address.to_string());
                let holder = known.and_then(|it| it.holder.clone());
                if let Some(holder) = holder.filter(|_| !self.is_here(of)) {
                    self.problem(
                        of,
                        format!(
                            "its public address {address} is held by {holder} here \
                             (--new-public-addresses gives others)"
                        ),
                    );
                    return None;
                }
                self.tx.put_machine(PublicAddress {
                    address,
                    holder: Some(of.to_owned()),
                    changed: self.call.now,
                });
                address
            }
        };
        if given != address {
            self.replaced(format!("{of}: its public address {address} is {given} here"));
        } else if !self.call.config.public_pool.contains(&address) {
            self.note(format!(
                "{of}: {address} is not of this machine's pool {}: questions are answered by it, \
                 hosts of the simulated internet do not reach it",
                self.call.config.public_pool
            ));
        }
        self.public.insert(address, given);
        Some(given)
    }

    /// Elastic IP addresses, not associated yet.
    pub(super) fn addresses(&mut self) {
        for (number, it) in self.document.addresses.iter().enumerate() {
            let of = name(&it.allocation_id, "Addresses", number);
            let id = self.need(&of, "AllocationId", &it.allocation_id);
            let public = self.need::<Ipv4Addr>(&of, "PublicIp", &it.public_ip);
            let (Some(allocation_id), Some(public)) = (id, public) else { continue };
            let Some(public_ip) = self.public_address(&of, public) else { continue };
            self.put(
                "Addresses",
                Address {
                    allocation_id,
                    public_ip,
                    association: None,
                    domain_name: None,
                    created: self.call.now,
                    tags: tags(&it.tags),
                },
            );
        }
    }

    /// What Elastic IP addresses are associated with.
    pub(super) fn associations(&mut self) {
        for (number, it) in self.document.addresses.iter().enumerate() {
            let of = name(&it.allocation_id, "Addresses", number);
            if it.association_id.is_none() && it.network_interface_id.is_none() {
                continue;
            }
            let id = self.need(&of, "AssociationId", &it.association_id);
            let interface = self.need::<NetworkInterfaceId>(
                &of,
                "NetworkInterfaceId",
                &it.network_interface_id,
            );
            let private = self.need::<Ipv4Addr>(&of, "PrivateIpAddress", &it.private_ip_address);
            let (Some(id), Some(interface), Some(private_ip)) = (id, interface, private) else {
                continue;
            };
            let holds = self
                .tx
                .find::<NetworkInterface>(&self.call.scope, interface.as_str())
                .is_some_and(|it| it.private_addresses.contains(&private_ip));
            if !holds {
                self.problem(&of, format!("{interface} with {private_ip} is not in the data"));
            }
            let association =
                AddressAssociation { id, network_interface_id: interface, private_ip };
            self.tx
                .update::<Address>(&self.call.scope, &of, |it| it.association = Some(association));
        }
    }

    pub(super) fn network_interfaces(&mut self) {
        for (number, it) in self.document.network_interfaces.iter().enumerate() {
            let of = name(&it.network_interface_id, "NetworkInterfaces", number);
            self.network_interface(&of, it);
        }
    }

    fn network_interface(&mut self, of: &str, it: &ec2::NetworkInterface) -> Option<()> {
        let id =
            self.need::<NetworkInterfaceId>(of, "NetworkInterfaceId", &it.network_interface_id)?;
        let vpc_id = self.need(of, "VpcId", &it.vpc_id)?;
        let subnet_id = self.need::<gureum_types::SubnetId>(of, "SubnetId", &it.subnet_id)?;
        let zone = match &it.availability_zone {
            Some(zone) => self.place.zone(zone),
            None => {
                let subnet = self.tx.find::<Subnet>(&self.call.scope, subnet_id.as_str());
                subnet.map(|it| it.availability_zone.clone()).unwrap_or_default()
            }
        };
        let mac_address = match &it.mac_address {
            Some(text) => match mac(text) {
                Some(mac) => mac,
                None => {
                    self.problem(of, format!("MacAddress \"{text}\" is none"));
                    return None;
                }
            },
            None => allocate::mac(self.call),
        };
        let (private_addresses, ipv6_addresses) = self.private_addresses(of, it);
        let mut groups: Vec<SecurityGroupId> = Vec::new();
        for group in &it.groups {
            groups.extend(self.need::<SecurityGroupId>(of, "GroupId", &group.group_id));
        }
        let port = match allocate::port(self.tx) {
            Ok(port) => port,
            Err(error) => {
                self.problem(of, error.message);
                return None;
            }
        };
        let managed = it.requester_managed == Some(true);
        let (attachment, detached) = match managed {
            true => (None, None),
            false => self.attachments(of, it),
        };
        let kind = it.interface_type.as_deref().unwrap_or("interface");
        let interface_type = match kind {
            kind if NAT_GATEWAY.contains(&kind) => NAT_GATEWAY[0],
            kind => kind,
        };
        let known = [NAT_GATEWAY[0], vpc_endpoint::INTERFACE_TYPE];
        if managed && !known.contains(&interface_type) {
            let whose = it.description.as_deref().filter(|it| !it.is_empty());
            let whose = whose.or(it.requester_id.as_deref()).unwrap_or(interface_type).to_owned();
            self.unsupported(format!("{of}: nothing answers behind the interface of \"{whose}\""));
        }
        for prefix in it.ipv4_prefixes.iter().filter_map(|it| it.ipv4_prefix.clone()) {
            self.unsupported(format!("{of}: its prefix {prefix} is not here: nothing has it"));
        }
        for prefix in it.ipv6_prefixes.iter().filter_map(|it| it.ipv6_prefix.clone()) {
            self.unsupported(format!("{of}: its prefix {prefix} is not here: nothing has it"));
        }
        // An address without an allocation was given by itself.
        let association = it.association.as_ref().filter(|it| it.allocation_id.is_none());
        let automatic = association.filter(|it| it.ip_owner_id.as_deref() == Some("amazon"));
        let mut auto_public_ip = None;
        if !managed && let Some(association) = automatic {
            let public = self.may::<Ipv4Addr>(of, "Association.PublicIp", &association.public_ip);
            auto_public_ip = public.and_then(|public| self.public_address(of, public));
        }
        let is_stopped = attachment.as_ref().is_some_and(|tie| {
            let id = tie.instance_id.as_str();
            let instance = self.tx.find::<Instance>(&self.call.scope, id);
            tie.device_index == 0 && instance.is_some_and(|it| it.state == InstanceState::Stopped)
        });
        let maps = self
            .tx
            .find::<Subnet>(&self.call.scope, subnet_id.as_str())
            .is_some_and(|it| it.map_public_ip_on_launch);
        let tracking = it.connection_tracking_configuration.clone().unwrap_or_default();
        let primary_ipv6 =
            it.ipv6_addresses.first().is_some_and(|it| it.is_primary_ipv6 == Some(true));
        let made = it.attachment.as_ref().and_then(|it| it.attach_time);
        self.put(
            "NetworkInterfaces",
            NetworkInterface {
                id,
                port,
                vpc_id,
                subnet_id,
                availability_zone: zone,
                description: it.description.clone().unwrap_or_default(),
                interface_type: interface_type.to_owned(),
                requester_managed: managed,
                mac: mac_address,
                private_addresses,
                ipv6_addresses,
                primary_ipv6,
                groups,
                source_dest_check: it.source_dest_check.unwrap_or(true),
                connection_tracking: ConnectionTracking {
                    tcp_established: seconds(tracking.tcp_established_timeout),
                    udp: seconds(tracking.udp_timeout),
                    udp_stream: seconds(tracking.udp_stream_timeout),
                },
                attachment,
                detached,
                associate_public_ip: auto_public_ip.is_some() || is_stopped && maps,
                auto_public_ip,
                // What AWS made for itself is shown attached since it was made.
                created: made.filter(|_| managed).unwrap_or(self.call.now),
                tags: tags(&it.tag_set),
            },
        );
        Some(())
    }

    fn private_addresses(
        &mut self,
        of: &str,
        it: &ec2::NetworkInterface,
    ) -> (Vec<Ipv4Addr>, Vec<Ipv6Addr>) {
        let mut listed: Vec<_> = it.private_ip_addresses.iter().collect();
        listed.sort_by_key(|it| it.primary != Some(true));
        let mut ipv4 = Vec::new();
        for address in listed {
            let read = &address.private_ip_address;
            ipv4.extend(self.need::<Ipv4Addr>(of, "PrivateIpAddress", read));
        }
        if ipv4.is_empty() {
            ipv4.extend(self.may::<Ipv4Addr>(of, "PrivateIpAddress", &it.private_ip_address));
        }
        let mut ipv6 = Vec::new();
        for address in &it.ipv6_addresses {
            ipv6.extend(self.need::<Ipv6Addr>(of, "Ipv6Address", &address.ipv6_address));
        }
        if ipv6.is_empty() {
            ipv6.extend(self.may::<Ipv6Addr>(of, "Ipv6Address", &it.ipv6_address));
        }
        (ipv4, ipv6)
    }

    /// What an interface is attached to, and what it was until a moment ago.
    fn attachments(
        &mut self,
        of: &str,
        it: &ec2::NetworkInterface,
    ) -> (Option<Attachment>, Option<(Attachment, Timestamp)>) {
        let Some(tie) = &it.attachment else { return (None, None) };
        if tie.instance_id.is_none() {
            let owner = tie.instance_owner_id.as_deref().unwrap_or("something");
            self.unsupported(format!("{of}: nothing answers behind the interface of {owner}"));
            return (None, None);
        }
        let id = self.need(of, "AttachmentId", &tie.attachment_id);
        let instance = self.need::<InstanceId>(of, "InstanceId", &tie.instance_id);
        let (Some(id), Some(instance_id)) = (id, instance) else { return (None, None) };
        let is_dead = self.dead.contains(instance_id.as_str());
        let attachment = Attachment {
            id,
            instance_id,
            device_index: tie.device_index.and_then(|it| u32::try_from(it).ok()).unwrap_or(0),
            delete_on_termination: tie.delete_on_termination == Some(true),
            attach_time: tie.attach_time.unwrap_or(self.call.now),
            state: match tie.status.as_deref() {
                Some("attaching") => AttachmentState::Attaching,
                Some("detaching") => AttachmentState::Detaching,
                _ => AttachmentState::Attached,
            },
        };
        match tie.status.as_deref() {
            Some("detached") => {
                let attachment = Attachment { state: AttachmentState::Attached, ..attachment };
                (None, Some((attachment, self.call.now)))
            }
            _ if is_dead => (None, None),
            _ => (Some(attachment), None),
        }
    }

    pub(super) fn nat_gateways(&mut self) {
        for (number, it) in self.document.nat_gateways.iter().enumerate() {
            let of = name(&it.nat_gateway_id, "NatGateways", number);
            self.nat_gateway(&of, it);
        }
    }

    fn nat_gateway(&mut self, of: &str, it: &ec2::NatGateway) -> Option<()> {
        let state = match it.state.as_deref() {
            Some("available") => NatGatewayState::Available,
            Some("pending") => NatGatewayState::Pending,
            Some("deleting") => NatGatewayState::Deleting,
            // What is gone is shown for a while, and routes to it are dead.
            Some("deleted" | "failed") => {
                self.dead.insert(of.to_owned());
                return None;
            }
            other => {
                self.problem(of, format!("its state {} is none", other.unwrap_or_default()));
                return None;
            }
        };
        if it.availability_mode.as_deref() == Some("regional") {
            self.unsupported(format!("{of}: it is regional: nothing here is like it"));
            self.dead.insert(of.to_owned());
            return None;
        }
        let id = self.need(of, "NatGatewayId", &it.nat_gateway_id)?;
        let vpc_id = self.need(of, "VpcId", &it.vpc_id)?;
        let subnet_id = self.need(of, "SubnetId", &it.subnet_id)?;
        let mut listed: Vec<_> = it.nat_gateway_addresses.iter().collect();
        // The order is kept where nothing says which is the primary one.
        listed.sort_by_key(|it| it.is_primary == Some(false));
        let (mut addresses, mut interface) = (Vec::new(), None);
        for address in listed {
            let eni = self.may::<NetworkInterfaceId>(
                of,
                "NetworkInterfaceId",
                &address.network_interface_id,
            );
            interface = interface.or(eni);
            let public = self.may::<Ipv4Addr>(of, "PublicIp", &address.public_ip);
            let public = public.map(|it| self.public.get(&it).copied().unwrap_or(it));
            addresses.push(NatGatewayAddress {
                private_ip: self.may(of, "PrivateIp", &address.private_ip),
                allocation_id: self.may(of, "AllocationId", &address.allocation_id),
                association_id: self.may(of, "AssociationId", &address.association_id),
                public_ip: public,
            });
        }
        if addresses.is_empty() {
            self.problem(of, "it has no address");
        }
        if interface.is_none() && state == NatGatewayState::Available {
            self.problem(of, "it has no NetworkInterfaceId");
        }
        // One that has no interface by now gets none any more.
        let fails = state == NatGatewayState::Pending && interface.is_none();
        let failure = it.failure_code.clone().zip(it.failure_message.clone()).or_else(|| {
            let why = "The NAT gateway has no network interface.";
            fails.then(|| ("InternalError".to_owned(), why.to_owned()))
        });
        self.put(
            "NatGateways",
            NatGateway {
                id,
                vpc_id,
                subnet_id,
                public: it.connectivity_type.as_deref() != Some("private"),
                state,
                failure,
                network_interface_id: interface,
                addresses,
                client_token: None,
                created: it.create_time.unwrap_or(self.call.now),
                deleted: it.delete_time,
                tags: tags(&it.tags),
            },
        );
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_of_the_wire_are_read_as_they_are_written() {
        assert_eq!(super::mac("02:1a:ff:00:0b:c3"), Some([2, 0x1a, 0xff, 0, 0x0b, 0xc3]));
        for wrong in ["", "02:1a", "02:1a:ff:00:0b:c3:00", "zz:1a:ff:00:0b:c3"] {
            assert_eq!(super::mac(wrong), None, "{wrong}");
        }
    }
}
