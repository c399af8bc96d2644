//! What is given out so that no two hold the same: ports, public and private addresses, MACs.

use std::{collections::HashSet, net::Ipv4Addr};

use gureum_api::ApiError;
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    ADDRESSES_PER_PORT, PortIndex,
    record::{Cursors, NetworkInterface, PublicAddress, Subnet, is_reserved},
};
use ipnet::Ipv4Net;

use crate::call::{Answer, Call};

fn cursors(tx: &Transaction) -> Cursors {
    tx.machine::<Cursors>("cursors").map(|cursors| (**cursors).clone()).unwrap_or_default()
}

/// A port that no interface has, and that none has had for as long as possible.
pub(crate) fn port(tx: &mut Transaction) -> Answer<PortIndex> {
    let mut cursors = cursors(tx);
    let first = PortIndex::FIRST_INTERFACE.0;
    for _ in first..PortIndex::END.0 {
        let port = cursors.port.max(first);
        cursors.port = if port + 1 < PortIndex::END.0 { port + 1 } else { first };
        if tx.interface_behind(PortIndex(port)).is_none() {
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
            .ok_or_else(|| {
                ApiError::new(
                    "InsufficientAddressCapacity",
                    "Not enough available addresses to satisfy the requested operation.",
                )
            })?,
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

/// The private addresses of a subnet that are held, by attached interfaces or others.
pub(crate) fn held_addresses(records: &Snapshot, subnet: &Subnet) -> HashSet<Ipv4Addr> {
    records
        .referrers::<NetworkInterface>(subnet.id.as_str())
        .flat_map(|interface| interface.private_addresses.iter().copied())
        .collect()
}

/// How many addresses of a subnet are free (SUB-2).
pub(crate) fn free_addresses(records: &Snapshot, subnet: &Subnet) -> u32 {
    let Some(block) = subnet.cidr_block else { return 0 };
    let size = pool_size(block);
    let held = held_addresses(records, subnet).len();
    size.saturating_sub(5).saturating_sub(u32::try_from(held).unwrap_or(u32::MAX))
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
    let mut held = held_addresses(records, subnet);
    held.extend(taken);
    let (base, size) = (u32::from(block.network()), pool_size(block));
    let start = u32::try_from(call.random() % u64::from(size)).unwrap_or(0);
    let found: Vec<_> = (0..size)
        .map(|step| Ipv4Addr::from(base + (start + step) % size))
        .filter(|address| !is_reserved(block, *address) && !held.contains(address))
        .take(count)
        .collect();
    match found.len() == count {
        true => Ok(found),
        false => Err(ApiError::insufficient_free_addresses(&subnet.id)),
    }
}

/// A MAC address: unicast, locally administered (ENI-12).
pub(crate) fn mac(call: &Call) -> [u8; 6] {
    let [a, b, c, d, e, ..] = call.random().to_be_bytes();
    [0x02, a, b, c, d, e]
}

/// Whether one interface may have so many private addresses: its type's limit, and what
/// services can tell apart.
pub(crate) fn check_address_count(count: usize, limit: u32) -> Answer<()> {
    let limit = limit.min(ADDRESSES_PER_PORT);
    match u32::try_from(count).is_ok_and(|count| count <= limit) {
        true => Ok(()),
        false => Err(ApiError::limit_exceeded(
            "PrivateIpAddressLimitExceeded",
            format!("Number of private addresses will exceed limit ({limit})."),
        )),
    }
}
