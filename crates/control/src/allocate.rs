//! What is given out so that no two hold the same: ports, public and private addresses, MACs.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use gureum_api::ApiError;
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    ADDRESSES_PER_PORT, PortIndex,
    record::{
        Cursors, NetworkInterface, PublicAddress, Subnet, Vpc, is_reserved, is_reserved_ipv6,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    call::{Answer, Call},
    resource::subnet_cidr_reservation,
};

/// The length of a VPC's IPv6 block, and the bits behind it (CIDR-12).
const VPC_IPV6_LENGTH: u8 = 56;
const IPV6_HOST_BITS: u8 = 128 - VPC_IPV6_LENGTH;

/// How often an IPv6 address is drawn before there is none.
const IPV6_TRIES: u32 = 10_000;

fn cursors(tx: &Transaction) -> Cursors {
    tx.machine::<Cursors>("cursors").map(|cursors| (**cursors).clone()).unwrap_or_default()
}

/// A port that no interface and no endpoint has, and that none has had for as long as possible.
pub(crate) fn port(tx: &mut Transaction) -> Answer<PortIndex> {
    let mut cursors = cursors(tx);
    let first = PortIndex::FIRST_INTERFACE.0;
    for _ in first..PortIndex::END.0 {
        let port = cursors.port.max(first);
        cursors.port = if port + 1 < PortIndex::END.0 { port + 1 } else { first };
        if !tx.is_port_taken(PortIndex(port)) {
            tx.put_machine(cursors);
            return Ok(PortIndex(port));
        }
    }
    Err(ApiError::new("InsufficientCapacity", "The machine has no more network ports."))
}

/// A public address for `holder`: one that was never given out while there is any, then the one
/// that was given back first.
pub(crate) fn public_address(
    call: &Call,
    tx: &mut Transaction,
    holder: impl Into<String>,
) -> Answer<Ipv4Addr> {
    let pool = call.config.public_pool;
    let mut cursors = cursors(tx);
    let size = pool_size(pool);
    let mut found = None;
    while found.is_none() && cursors.public_address < size {
        let address = nth(pool, cursors.public_address);
        cursors.public_address += 1;
        let known = tx.machine::<PublicAddress>(&address.to_string()).is_some();
        found = (!known && is_host(pool, address)).then_some(address);
    }
    let address = match found {
        Some(address) => {
            tx.put_machine(cursors);
            address
        }
        None => tx
            .everywhere::<PublicAddress>()
            .map(|(_, known)| known)
            .filter(|known| known.holder.is_none() && pool.contains(&known.address))
            .min_by_key(|known| (known.changed, known.address))
            .map(|known| known.address)
            .ok_or_else(ApiError::insufficient_address_capacity)?,
    };
    let holder = Some(holder.into());
    tx.put_machine(PublicAddress { address, holder, changed: call.now });
    Ok(address)
}

/// Gives a public address back to the pool.
pub(crate) fn release_public_address(call: &Call, tx: &mut Transaction, address: Ipv4Addr) {
    tx.put_machine(PublicAddress { address, holder: None, changed: call.now });
}

fn pool_size(pool: Ipv4Net) -> u32 {
    u32::from(pool.broadcast()).wrapping_sub(u32::from(pool.network())).saturating_add(1)
}

/// Neighbours in time are no neighbours in number: addresses should not look like a count.
fn nth(pool: Ipv4Net, number: u32) -> Ipv4Addr {
    let mask = pool_size(pool).wrapping_sub(1);
    let scattered = number.wrapping_mul(40_503).wrapping_add(4_321) & mask;
    Ipv4Addr::from(u32::from(pool.network()) | scattered)
}

fn is_host(pool: Ipv4Net, address: Ipv4Addr) -> bool {
    let [.., last] = address.octets();
    pool.contains(&address) && last != 0 && last != 255
}

/// How many addresses of a subnet are free (SUB-2).
pub(crate) fn free_addresses(records: &Snapshot, subnet: &Subnet) -> u32 {
    let Some(block) = subnet.cidr_block else { return 0 };
    let held = records.addresses_held(&subnet.id);
    pool_size(block).saturating_sub(5).saturating_sub(held)
}

/// Checks that a wanted address can be had in a subnet (SUB-3).
pub(crate) fn wanted_address(
    records: &Snapshot,
    subnet: &Subnet,
    text: &str,
    taken: &[Ipv4Addr],
) -> Answer<Ipv4Addr> {
    let Ok(address) = text.parse::<Ipv4Addr>() else {
        return Err(ApiError::invalid_value(
            text,
            "PrivateIpAddress",
            "This is not a valid IPv4 address.",
        ));
    };
    let block = subnet.cidr_block.filter(|block| block.contains(&address));
    let Some(block) = block else {
        return Err(ApiError::invalid_parameter_value(format!(
            "Address {address} does not fall within the subnet's address range"
        )));
    };
    if is_reserved(block, address) {
        return Err(ApiError::reserved_address(address));
    }
    if taken.contains(&address) || records.interface_at(&subnet.vpc_id, address).is_some() {
        return Err(ApiError::address_in_use(address));
    }
    Ok(address)
}

/// Some free addresses of a subnet, from anywhere in it as on AWS.
pub(crate) fn private_addresses(
    call: &Call,
    records: &Snapshot,
    subnet: &Subnet,
    count: usize,
    taken: &[Ipv4Addr],
) -> Answer<Vec<Ipv4Addr>> {
    let Some(block) = subnet.cidr_block.filter(|_| count > 0) else { return Ok(Vec::new()) };
    let is_held = |address: &Ipv4Addr| {
        taken.contains(address) || records.interface_at(&subnet.vpc_id, *address).is_some()
    };
    let is_kept = |address| subnet_cidr_reservation::holds(records, subnet, address);
    let (base, size) = (u32::from(block.network()), pool_size(block));
    let start = u32::try_from(call.random() % u64::from(size)).unwrap_or(0);
    let found: Vec<_> = (0..size)
        .map(|step| Ipv4Addr::from(base + (start + step) % size))
        .filter(|address| !is_reserved(block, *address) && !is_held(address))
        .filter(|address| !is_kept((*address).into()))
        .take(count)
        .collect();
    match found.len() == count {
        true => Ok(found),
        false => Err(ApiError::insufficient_free_addresses(&subnet.id)),
    }
}

/// An IPv6 block for a VPC: a /56 of the machine's pool that no VPC of any account has (CIDR-12),
/// and that none has had for as long as possible.
pub(crate) fn ipv6_block(call: &Call, tx: &mut Transaction) -> Answer<Ipv6Net> {
    let pool = call.config.ipv6_pool;
    let bits = VPC_IPV6_LENGTH.saturating_sub(pool.prefix_len()).min(u32::BITS as u8 - 1);
    let held: HashSet<Ipv6Net> = tx
        .everywhere::<Vpc>()
        .flat_map(|(_, vpc)| vpc.ipv6_cidr_associations.iter().map(|it| it.cidr_block))
        .collect();
    let mut cursors = cursors(tx);
    let size = 1_u32 << bits;
    // One more trial than there are held ones finds a free one, if any is.
    for _ in 0..=held.len() {
        let number = cursors.ipv6_block % size;
        cursors.ipv6_block = (number + 1) % size;
        // Neighbours in time are no neighbours in number, as with IPv4.
        let scattered = number.wrapping_mul(40_503).wrapping_add(4_321) & (size - 1);
        let base = u128::from(pool.network()) | u128::from(scattered) << IPV6_HOST_BITS;
        let block = Ipv6Net::new_assert(base.into(), VPC_IPV6_LENGTH);
        if pool.contains(&block) && !held.contains(&block) {
            tx.put_machine(cursors);
            return Ok(block);
        }
    }
    Err(ApiError::insufficient_address_capacity())
}

/// The IPv6 addresses of a subnet that are held, by attached interfaces or others.
fn held_ipv6_addresses(records: &Snapshot, subnet: &Subnet) -> HashSet<Ipv6Addr> {
    records
        .referrers::<NetworkInterface>(subnet.id.as_str())
        .flat_map(|interface| interface.ipv6_addresses.iter().copied())
        .collect()
}

/// Checks that a wanted IPv6 address can be had in a subnet (SUB-3, SUB-5).
pub(crate) fn wanted_ipv6_address(
    records: &Snapshot,
    subnet: &Subnet,
    text: &str,
    taken: &[Ipv6Addr],
) -> Answer<Ipv6Addr> {
    let Ok(address) = text.parse::<Ipv6Addr>() else {
        let reason = "This is not a valid IPv6 address.";
        return Err(ApiError::invalid_value(text, "Ipv6Address", reason));
    };
    let block = subnet.ipv6_block().ok_or_else(|| ApiError::no_ipv6_block(&subnet.id))?;
    if !block.contains(&address) {
        return Err(ApiError::invalid_parameter_value(format!(
            "Address {address} does not fall within the subnet's address range"
        )));
    }
    if is_reserved_ipv6(block, address) {
        return Err(ApiError::reserved_address(address));
    }
    if taken.contains(&address) || records.interface_at(&subnet.vpc_id, address).is_some() {
        return Err(ApiError::address_in_use(address));
    }
    Ok(address)
}

/// Some free IPv6 addresses of a subnet, from anywhere in it.
pub(crate) fn ipv6_addresses(
    call: &Call,
    records: &Snapshot,
    subnet: &Subnet,
    count: usize,
    taken: &[Ipv6Addr],
) -> Answer<Vec<Ipv6Addr>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let block = subnet.ipv6_block().ok_or_else(|| ApiError::no_ipv6_block(&subnet.id))?;
    let mut held = held_ipv6_addresses(records, subnet);
    held.extend(taken);
    let hosts = u128::MAX >> block.prefix_len();
    let mut found: Vec<Ipv6Addr> = Vec::with_capacity(count);
    let mut tries = 0;
    while found.len() < count {
        // Of 2^64 addresses nearly all are free, unless most of them are reserved.
        let address = u128::from(block.network()) | (u128::from(call.random()) & hosts);
        let address = Ipv6Addr::from(address);
        tries += 1;
        if tries > IPV6_TRIES {
            return Err(ApiError::insufficient_free_addresses(&subnet.id));
        }
        let kept = subnet_cidr_reservation::holds(records, subnet, address.into());
        if !kept && !is_reserved_ipv6(block, address) && held.insert(address) {
            found.push(address);
        }
    }
    Ok(found)
}

/// A MAC address: unicast, locally administered (ENI-12).
pub(crate) fn mac(call: &Call) -> [u8; 6] {
    let [a, b, c, d, e, ..] = call.random().to_be_bytes();
    [0x02, a, b, c, d, e]
}

/// Whether one interface may have so many private addresses of one family: its type's limit
/// (ENI-5), and what services can tell apart.
pub(crate) fn check_address_count(count: usize, limit: u32) -> Answer<()> {
    let limit = limit.min(ADDRESSES_PER_PORT);
    match u32::try_from(count).is_ok_and(|count| count <= limit) {
        true => Ok(()),
        false => Err(ApiError::private_address_limit_exceeded(limit)),
    }
}
