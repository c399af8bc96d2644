//! Addresses of interfaces: chosen when one is made, assigned and unassigned later (ENI-5, ENI-9).

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AllocationId, NetworkInterfaceId,
    record::{Address, Instance, NetworkInterface, Subnet},
};

use super::check_own;
use crate::{
    allocate,
    call::{Answer, Call, find, required, text},
    catalogue::instance_type,
};

/// Addresses of a family on an interface that is not attached: as many as any type allows.
pub(super) const UNATTACHED_LIMIT: u32 = 50;

/// What a request says about the private addresses of a new interface.
#[derive(Debug, Default)]
pub(crate) struct WantedAddresses<'a> {
    pub(crate) primary: Option<&'a str>,
    pub(crate) list: &'a [ec2::PrivateIpAddressSpecification],
    pub(crate) secondary_count: Option<i32>,
    pub(crate) ipv6: &'a [ec2::InstanceIpv6Address],
    /// 0 means none also where the subnet gives one of its own accord (SUB-7).
    pub(crate) ipv6_count: Option<i32>,
    /// Whether the first IPv6 address is the primary one.
    pub(crate) primary_ipv6: bool,
}

impl WantedAddresses<'_> {
    /// Chooses the IPv4 addresses, the primary one first; none where the subnet has IPv6 only.
    pub(super) fn choose(
        &self,
        call: &Call,
        records: &Snapshot,
        subnet: &Subnet,
        limit: u32,
    ) -> Answer<Vec<Ipv4Addr>> {
        let more = self.secondary_count.unwrap_or(0);
        if subnet.cidr_block.is_none() {
            let wants = self.primary.is_some() || !self.list.is_empty() || more > 0;
            return if wants { Err(ApiError::no_ipv4_block(&subnet.id)) } else { Ok(Vec::new()) };
        }
        if self.secondary_count.is_some() && !self.list.is_empty() {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters privateIpAddresses and secondaryPrivateIpAddressCount cannot be \
                 used together.",
            ));
        }
        let mut primary = self.primary.map(str::to_owned);
        let mut secondary = Vec::new();
        for wanted in self.list {
            let address = text(&wanted.private_ip_address, "PrivateIpAddresses.PrivateIpAddress")?;
            match (wanted.primary == Some(true), &primary) {
                (true, Some(other)) if other != address => {
                    return Err(ApiError::invalid_parameter_combination(
                        "Only one primary private IP address can be specified.",
                    ));
                }
                (true, _) => primary = Some(address.to_owned()),
                (false, _) => secondary.push(address),
            }
        }
        let mut chosen = match primary {
            Some(text) => vec![allocate::wanted_address(records, subnet, &text, &[])?],
            None => Vec::new(),
        };
        let mut others = Vec::new();
        for text in secondary {
            let taken: Vec<_> = chosen.iter().chain(&others).copied().collect();
            others.push(allocate::wanted_address(records, subnet, text, &taken)?);
        }
        if chosen.is_empty() {
            chosen = allocate::private_addresses(call, records, subnet, 1, &others)?;
        }
        chosen.extend(others);
        let more = count(more, "secondaryPrivateIpAddressCount")?;
        allocate::check_address_count(chosen.len().saturating_add(more), limit)?;
        chosen.extend(allocate::private_addresses(call, records, subnet, more, &chosen)?);
        Ok(chosen)
    }

    /// Chooses the IPv6 addresses, and whether the first is the primary one.
    pub(super) fn choose_ipv6(
        &self,
        call: &Call,
        records: &Snapshot,
        subnet: &Subnet,
        limit: u32,
    ) -> Answer<(Vec<Ipv6Addr>, bool)> {
        let more = match self.ipv6_count {
            Some(_) if !self.ipv6.is_empty() => return Err(list_and_count("ipv6Address")),
            Some(more) => count(more, "ipv6AddressCount")?,
            None if !self.ipv6.is_empty() => 0,
            // An interface without any address would be of no use.
            None => {
                usize::from(subnet.assign_ipv6_address_on_creation || subnet.cidr_block.is_none())
            }
        };
        let flagged = self.ipv6.iter().filter(|it| it.is_primary_ipv6 == Some(true)).count();
        if flagged > 1 {
            return Err(ApiError::invalid_parameter_combination(
                "Only one primary IPv6 address can be specified.",
            ));
        }
        let mut list: Vec<_> = self.ipv6.iter().collect();
        list.sort_by_key(|it| it.is_primary_ipv6 != Some(true));
        allocate::check_address_count(list.len().saturating_add(more), limit)?;
        let mut chosen = Vec::new();
        for wanted in list {
            let address = text(&wanted.ipv6_address, "Ipv6Addresses.Ipv6Address")?;
            chosen.push(allocate::wanted_ipv6_address(records, subnet, address, &chosen)?);
        }
        chosen.extend(allocate::ipv6_addresses(call, records, subnet, more, &chosen)?);
        let primary = self.primary_ipv6 || flagged > 0;
        if chosen.is_empty() && (primary || subnet.cidr_block.is_none()) {
            return Err(ApiError::invalid_parameter_combination(
                "The network interface needs an IPv6 address.",
            ));
        }
        Ok((chosen, primary))
    }
}

/// A number of addresses that a request asks for.
fn count(number: i32, parameter: &str) -> Answer<usize> {
    usize::try_from(number)
        .map_err(|_| ApiError::invalid_value(number, parameter, "It cannot be negative."))
}

fn list_and_count(what: &str) -> ApiError {
    ApiError::invalid_parameter_combination(format!(
        "The parameters {what}es and {what}Count cannot be used together."
    ))
}

/// The IPv6 addresses of an interface as answers show them.
pub(super) fn shown_ipv6(interface: &NetworkInterface) -> Vec<ec2::NetworkInterfaceIpv6Address> {
    let shown =
        ipv6_with_primary(interface).map(|(address, primary)| ec2::NetworkInterfaceIpv6Address {
            ipv6_address: Some(address.to_string()),
            is_primary_ipv6: Some(primary),
            ..Default::default()
        });
    shown.collect()
}

/// The same as answers about instances show them.
pub(crate) fn shown_ipv6_of_instance(
    interface: &NetworkInterface,
) -> Vec<ec2::InstanceIpv6Address> {
    let shown = ipv6_with_primary(interface).map(|(address, primary)| ec2::InstanceIpv6Address {
        ipv6_address: Some(address.to_string()),
        is_primary_ipv6: Some(primary),
    });
    shown.collect()
}

fn ipv6_with_primary(interface: &NetworkInterface) -> impl Iterator<Item = (Ipv6Addr, bool)> {
    let primary = |place| place == 0 && interface.primary_ipv6;
    interface.ipv6_addresses.iter().enumerate().map(move |(place, it)| (*it, primary(place)))
}

/// How many addresses of a family an interface may have: as many as the type of its instance
/// allows (ENI-5).
fn limit(call: &Call, records: &Snapshot, interface: &NetworkInterface) -> u32 {
    let attachment = interface.attachment.as_ref();
    let instance =
        attachment.and_then(|it| records.find::<Instance>(&call.scope, it.instance_id.as_str()));
    instance
        .and_then(|it| instance_type(&it.instance_type))
        .map_or(UNATTACHED_LIMIT, |kind| kind.addresses)
}

/// The interface that a request names, which callers may change, with its subnet.
fn changeable(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
) -> Answer<(Arc<NetworkInterface>, Arc<Subnet>)> {
    let interface = required::<NetworkInterface>(records, &call.scope, id, "NetworkInterfaceId")?;
    check_own(&interface)?;
    let subnet = find::<Subnet>(records, &call.scope, interface.subnet_id.as_str())?;
    Ok((interface, subnet))
}

/// Checks that a request names addresses, or a number of them, and not both.
fn check_named(is_list: bool, count: Option<i32>, what: &str) -> Answer<()> {
    match (is_list, count) {
        (true, Some(_)) => Err(list_and_count(what)),
        (false, None) => Err(ApiError::new(
            "MissingParameter",
            format!("Either the parameter {what}es or {what}Count must be specified."),
        )),
        _ => Ok(()),
    }
}

/// All of the addresses, or none; secondary ones of another interface of the subnet may move
/// (ENI-9), with the Elastic IP addresses on them (EIP-5).
pub(crate) fn assign_ipv4(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssignPrivateIpAddressesRequest,
) -> Answer<ec2::AssignPrivateIpAddressesResult> {
    let (interface, subnet) = changeable(call, tx, &r.network_interface_id)?;
    let wanted_count = r.secondary_private_ip_address_count;
    check_named(!r.private_ip_addresses.is_empty(), wanted_count, "privateIpAddress")?;
    if subnet.cidr_block.is_none() {
        return Err(ApiError::no_ipv4_block(&subnet.id));
    }
    let mut added: Vec<Ipv4Addr> = Vec::new();
    let (mut moved, mut denied) = (Vec::new(), Vec::new());
    for text in &r.private_ip_addresses {
        let holder = text.parse::<Ipv4Addr>().ok().and_then(|address| {
            tx.interface_at(&subnet.vpc_id, address).map(|it| (address, it.clone()))
        });
        let Some((address, holder)) = holder else {
            added.push(allocate::wanted_address(tx, &subnet, text, &added)?);
            continue;
        };
        let is_secondary = holder.primary_address() != Some(address);
        let may_move = is_secondary
            && r.allow_reassignment == Some(true)
            && !holder.requester_managed
            && holder.subnet_id == subnet.id;
        if holder.id == interface.id && is_secondary {
            // It is there: asking again changes nothing.
        } else if may_move && holder.id != interface.id {
            added.push(address);
            moved.push((holder.id.clone(), address));
        } else {
            denied.push(address);
        }
    }
    if !denied.is_empty() {
        return Err(ApiError::addresses_may_not_move(&denied));
    }
    let more = count(wanted_count.unwrap_or(0), "secondaryPrivateIpAddressCount")?;
    let total = interface.private_addresses.len() + added.len();
    allocate::check_address_count(total.saturating_add(more), limit(call, tx, &interface))?;
    let chosen = allocate::private_addresses(call, tx, &subnet, more, &added)?;
    for (from, address) in moved {
        move_address(call, tx, &from, &interface.id, address);
    }
    added.extend(chosen);
    // What is there already is assigned, too.
    let named = r.private_ip_addresses.iter().filter_map(|text| text.parse().ok());
    let known = named.filter(|it| interface.private_addresses.contains(it));
    let assigned: Vec<Ipv4Addr> = known.chain(added.iter().copied()).collect();
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
        it.private_addresses.extend(added);
    });
    let shown =
        |it: &Ipv4Addr| ec2::AssignedPrivateIpAddress { private_ip_address: Some(it.to_string()) };
    Ok(ec2::AssignPrivateIpAddressesResult {
        network_interface_id: Some(interface.id.to_string()),
        assigned_private_ip_addresses: assigned.iter().map(shown).collect(),
        ..Default::default()
    })
}

/// Takes an address from an interface for another, which the Elastic IP address follows (EIP-5).
fn move_address(
    call: &Call,
    tx: &mut Transaction,
    from: &NetworkInterfaceId,
    to: &NetworkInterfaceId,
    address: Ipv4Addr,
) {
    tx.update::<NetworkInterface>(&call.scope, from.as_str(), |it| {
        it.private_addresses.retain(|it| *it != address);
    });
    if let Some(elastic) = elastic_at(tx, from, address) {
        tx.update::<Address>(&call.scope, elastic.as_str(), |it| {
            if let Some(association) = &mut it.association {
                association.network_interface_id = to.clone();
            }
        });
    }
}

/// The Elastic IP address on a private address of an interface (EIP-1).
fn elastic_at(
    records: &Snapshot,
    interface: &NetworkInterfaceId,
    address: Ipv4Addr,
) -> Option<AllocationId> {
    let on_it = |it: &&Arc<Address>| {
        it.association.as_ref().is_some_and(|association| association.private_ip == address)
    };
    records.referrers::<Address>(interface.as_str()).find(on_it).map(|it| it.allocation_id.clone())
}

/// Not the primary one; an Elastic IP address on one of them stays allocated (EIP-5).
pub(crate) fn unassign_ipv4(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::UnassignPrivateIpAddressesRequest,
) -> Answer<()> {
    let (interface, _) = changeable(call, tx, &r.network_interface_id)?;
    let going = named(&r.private_ip_addresses, "PrivateIpAddresses", "privateIpAddress")?;
    if going.iter().any(|it| !interface.private_addresses.contains(it)) {
        return Err(ApiError::addresses_not_assigned(&interface.id));
    }
    if let Some(primary) = interface.primary_address().filter(|it| going.contains(it)) {
        return Err(ApiError::invalid_parameter_value(format!(
            "The primary address {primary} of interface {} cannot be unassigned",
            interface.id
        )));
    }
    for address in &going {
        if let Some(elastic) = elastic_at(tx, &interface.id, *address) {
            tx.update::<Address>(&call.scope, elastic.as_str(), |it| it.association = None);
        }
    }
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
        it.private_addresses.retain(|it| !going.contains(it));
    });
    Ok(())
}

/// The addresses of a required list.
fn named<T: FromStr>(list: &[String], member: &str, parameter: &str) -> Answer<Vec<T>> {
    if list.is_empty() {
        return Err(ApiError::missing_parameter(member));
    }
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            ApiError::invalid_value(text, parameter, "This is not a valid IP address.")
        })
    };
    list.iter().map(parse).collect()
}

/// All of the addresses, or none. One that another interface has must be unassigned there first
/// (ENI-9).
pub(crate) fn assign_ipv6(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssignIpv6AddressesRequest,
) -> Answer<ec2::AssignIpv6AddressesResult> {
    let (interface, subnet) = changeable(call, tx, &r.network_interface_id)?;
    check_named(!r.ipv6_addresses.is_empty(), r.ipv6_address_count, "ipv6Address")?;
    if subnet.ipv6_cidr_association.is_none() {
        return Err(ApiError::no_ipv6_block(&subnet.id));
    }
    let (mut known, mut added) = (Vec::new(), Vec::new());
    for text in &r.ipv6_addresses {
        match text.parse().ok().filter(|it| interface.ipv6_addresses.contains(it)) {
            Some(address) => known.push(address),
            None => added.push(allocate::wanted_ipv6_address(tx, &subnet, text, &added)?),
        }
    }
    let more = count(r.ipv6_address_count.unwrap_or(0), "ipv6AddressCount")?;
    let total = (interface.ipv6_addresses.len() + added.len()).saturating_add(more);
    allocate::check_address_count(total, limit(call, tx, &interface))?;
    added.extend(allocate::ipv6_addresses(call, tx, &subnet, more, &added)?);
    let assigned: Vec<Ipv6Addr> = known.iter().chain(&added).copied().collect();
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
        it.ipv6_addresses.extend(added);
    });
    Ok(ec2::AssignIpv6AddressesResult {
        assigned_ipv6_addresses: assigned.iter().map(ToString::to_string).collect(),
        network_interface_id: Some(interface.id.to_string()),
        ..Default::default()
    })
}

/// Not the primary one, and not the last one where there is no IPv4.
pub(crate) fn unassign_ipv6(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::UnassignIpv6AddressesRequest,
) -> Answer<ec2::UnassignIpv6AddressesResult> {
    let (interface, _) = changeable(call, tx, &r.network_interface_id)?;
    let going: Vec<Ipv6Addr> = named(&r.ipv6_addresses, "Ipv6Addresses", "ipv6Address")?;
    if going.iter().any(|it| !interface.ipv6_addresses.contains(it)) {
        return Err(ApiError::addresses_not_assigned(&interface.id));
    }
    let first = interface.ipv6_addresses.first();
    if let Some(primary) = first.filter(|it| interface.primary_ipv6 && going.contains(it)) {
        return Err(ApiError::invalid_parameter_value(format!(
            "The primary IPv6 address {primary} of interface {} cannot be unassigned",
            interface.id
        )));
    }
    let mut left = interface.ipv6_addresses.iter().filter(|it| !going.contains(it));
    if left.next().is_none() && interface.private_addresses.is_empty() {
        return Err(ApiError::invalid_parameter_value(format!(
            "The last address of interface {} cannot be unassigned",
            interface.id
        )));
    }
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
        it.ipv6_addresses.retain(|it| !going.contains(it));
    });
    Ok(ec2::UnassignIpv6AddressesResult {
        network_interface_id: Some(interface.id.to_string()),
        unassigned_ipv6_addresses: going.iter().map(ToString::to_string).collect(),
        ..Default::default()
    })
}
