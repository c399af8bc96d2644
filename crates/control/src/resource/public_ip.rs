//! Public addresses of interfaces: those given automatically (PUB-*) and what an interface has
//! of Elastic IP addresses (EIP-1), as answers and views show them.

use std::net::Ipv4Addr;

use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    Region,
    record::{Address, Instance, InstanceState, NetworkInterface, Vpc},
};

use crate::{
    allocate,
    call::{Answer, Call},
};

/// A public address with the private one behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) public: Ipv4Addr,
    pub(crate) private: Ipv4Addr,
    /// Allocation and association, where it is an Elastic IP address.
    pub(crate) elastic: Option<(String, String)>,
}

/// The public addresses of an interface. An Elastic IP address takes the place of the automatic
/// one.
pub(crate) fn mappings(records: &Snapshot, interface: &NetworkInterface) -> Vec<Mapping> {
    let mut mappings: Vec<_> = records
        .referrers::<Address>(interface.id.as_str())
        .filter_map(|address| {
            let association = address.association.as_ref()?;
            let ids = (address.allocation_id.to_string(), association.id.to_string());
            let (public, private) = (address.public_ip, association.private_ip);
            Some(Mapping { public, private, elastic: Some(ids) })
        })
        .collect();
    let primary = interface.primary_address();
    if let (Some(public), Some(primary)) = (interface.auto_public_ip, primary)
        && !mappings.iter().any(|it| it.private == primary)
    {
        mappings.push(Mapping { public, private: primary, elastic: None });
    }
    mappings.sort_by_key(|it| (Some(it.private) != primary, it.private));
    mappings
}

/// The public address of an interface's primary private one.
pub(crate) fn of_primary(records: &Snapshot, interface: &NetworkInterface) -> Option<Ipv4Addr> {
    let primary = interface.primary_address()?;
    let mappings = mappings(records, interface);
    mappings.into_iter().find(|it| it.private == primary).map(|it| it.public)
}

/// The public name of an address (DNS-8).
pub(crate) fn public_name(region: &Region, address: Ipv4Addr) -> String {
    format!("ec2-{}.{}", dashes(address), region.public_domain())
}

/// The private name of an address (DNS-6).
pub(crate) fn private_name(region: &Region, address: Ipv4Addr) -> String {
    format!("ip-{}.{}", dashes(address), region.internal_domain())
}

pub(crate) fn dashes(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

/// Whether public names are there (DNS-4, DNS-5).
pub(crate) fn has_public_names(vpc: &Vpc) -> bool {
    vpc.enable_dns_support && vpc.enable_dns_hostnames
}

/// Gives back the automatic address of an interface, if it has one (PUB-3).
pub(crate) fn release(call: &Call, tx: &mut Transaction, interface: &NetworkInterface) {
    if let Some(address) = interface.auto_public_ip {
        allocate::release_public_address(call, tx, address);
        tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
            it.auto_public_ip = None;
        });
    }
}

/// Gives an interface an automatic address if it is entitled to one and has none: it was asked
/// for when the interface was made (PUB-6), the interface is the first and only one of an
/// instance that runs or is about to, and no Elastic IP address is there (PUB-4).
pub(crate) fn assign(
    call: &Call,
    tx: &mut Transaction,
    interface: &NetworkInterface,
) -> Answer<Option<Ipv4Addr>> {
    let Some(attachment) = &interface.attachment else { return Ok(None) };
    let instance = attachment.instance_id.as_str();
    let is_on = tx
        .find::<Instance>(&call.scope, instance)
        .is_some_and(|it| matches!(it.state, InstanceState::Pending | InstanceState::Running));
    let entitled = is_on
        && interface.associate_public_ip
        && interface.auto_public_ip.is_none()
        && interface.primary_address().is_some()
        && attachment.device_index == 0
        && tx.referrers::<NetworkInterface>(instance).count() == 1
        && tx.referrers::<Address>(interface.id.as_str()).next().is_none();
    if !entitled {
        return Ok(None);
    }
    let address = allocate::public_address(call, tx, interface.id.as_str())?;
    tx.update::<NetworkInterface>(&call.scope, interface.id.as_str(), |it| {
        it.auto_public_ip = Some(address);
    });
    Ok(Some(address))
}
