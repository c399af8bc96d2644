//! The names of interface endpoints: their own, and those of services that they take over in their
//! VPC (VPCE-7 to VPCE-11).

use std::{net::Ipv4Addr, sync::Arc};

use gureum_api::{ApiError, ec2};
use gureum_store::Snapshot;
use gureum_types::{
    EndpointService, Region, VpcEndpointId,
    record::{InterfaceEndpoint, NetworkInterface, Vpc, VpcEndpoint},
};

use super::offered;
use crate::call::{Answer, Call};

/// A name with the addresses that it means.
pub(crate) type Name = (String, Vec<Ipv4Addr>);

/// Letters and digits of names that nobody can guess.
const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Text of these digits that a number is written in.
fn digits(mut number: u64, count: usize) -> String {
    let mut digit = || {
        let place = usize::try_from(number % 36).unwrap_or_default();
        number /= 36;
        DIGITS.get(place).copied().map_or('a', char::from)
    };
    (0..count).map(|_| digit()).collect()
}

/// The part of an endpoint's names that tells it from one of the same id elsewhere.
pub(crate) fn label(random: u64) -> String {
    digits(random, 8)
}

/// The id of a hosted zone, always the same for its owner (FNV-1a).
fn hosted_zone(owner: &str) -> String {
    let hash = owner.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("Z{}", digits(hash, 12).to_ascii_uppercase())
}

/// What the names of an endpoint are put together from: `part` is a zone's, or nothing.
fn own_name(
    region: &Region,
    endpoint: &VpcEndpoint,
    of: &InterfaceEndpoint,
    part: &str,
) -> Option<String> {
    let service = EndpointService::of(&endpoint.service_name);
    // A service that has names below its own has them below an endpoint's, too.
    let has_below =
        service.is_some_and(|it| it.private_names.iter().any(|it| it.starts_with("*.")));
    let below = if has_below { "*." } else { "" };
    let domain = match (service, endpoint.own_service()) {
        (Some(service), _) => service.endpoint_domain(region),
        (None, Some(service)) => offered::domain(region, service),
        (None, None) => return None,
    };
    Some(format!("{below}{}-{}{part}.{domain}", endpoint.id, of.dns_label))
}

/// The names that an endpoint has itself, for everybody: the regional one, and one a zone (VPCE-8).
pub(crate) fn names_for_everybody(
    region: &Region,
    endpoint: &VpcEndpoint,
    interfaces: &[&Arc<NetworkInterface>],
) -> Vec<Name> {
    let Some(of) = endpoint.interface() else { return Vec::new() };
    let Some(regional) = own_name(region, endpoint, of, "") else { return Vec::new() };
    let all = interfaces.iter().filter_map(|it| it.primary_address()).collect();
    let mut names = vec![(regional, all)];
    for interface in interfaces {
        let part = format!("-{}", interface.availability_zone);
        let name = own_name(region, endpoint, of, &part);
        let addresses = interface.primary_address().into_iter().collect();
        names.extend(name.map(|name| (name, addresses)));
    }
    names
}

/// The names of the service that mean an endpoint in its VPC (VPCE-9).
pub(crate) fn names_in_vpc(
    region: &Region,
    endpoint: &VpcEndpoint,
    interfaces: &[&Arc<NetworkInterface>],
) -> Vec<Name> {
    let of = endpoint.interface().filter(|it| it.private_dns && !it.private_dns_for_inbound_only);
    let Some(service) = of.and_then(|_| EndpointService::of(&endpoint.service_name)) else {
        return Vec::new();
    };
    let all: Vec<_> = interfaces.iter().filter_map(|it| it.primary_address()).collect();
    service.private_dns_names(region).map(|name| (name, all.clone())).collect()
}

/// The names in the order that answers have (VPCE-7).
pub(super) fn entries(
    region: &Region,
    endpoint: &VpcEndpoint,
    of: &InterfaceEndpoint,
    interfaces: &[&Arc<NetworkInterface>],
) -> Vec<ec2::DnsEntry> {
    if interfaces.is_empty() {
        return Vec::new();
    }
    let entry = |dns_name: String, zone: String| ec2::DnsEntry {
        dns_name: Some(dns_name),
        hosted_zone_id: Some(zone),
    };
    let own = names_for_everybody(region, endpoint, interfaces).into_iter();
    let own = own.map(|(name, _)| entry(name, hosted_zone(region.as_str())));
    let service = EndpointService::of(&endpoint.service_name).filter(|_| of.private_dns);
    let private = service.into_iter().flat_map(|service| service.private_dns_names(region));
    own.chain(private.map(|name| entry(name, hosted_zone(endpoint.id.as_str())))).collect()
}

/// Checks that an endpoint may have private DNS as it wants it (VPCE-10, VPCE-11).
pub(super) fn check_private(
    call: &Call,
    records: &Snapshot,
    vpc: &Vpc,
    id: &VpcEndpointId,
    service: Option<&EndpointService>,
    of: &InterfaceEndpoint,
) -> Answer<()> {
    let Some(service) = service else {
        // The private name of a service that an account offers is never verified here.
        return match of.private_dns || of.private_dns_for_inbound_only {
            true => Err(ApiError::no_private_dns_name()),
            false => Ok(()),
        };
    };
    let service_name = service.service_name(call.region());
    let mut others = records.referrers::<VpcEndpoint>(vpc.id.as_str()).filter(|it| it.id != *id);
    if of.private_dns_for_inbound_only {
        if service.gateway.is_none() {
            return Err(ApiError::invalid_parameter(format!(
                "PrivateDnsOnlyForInboundResolverEndpoint is not supported for {service_name}."
            )));
        }
        let has_gateway =
            others.any(|it| it.service_name == service_name && it.interface().is_none());
        if !has_gateway {
            return Err(ApiError::inbound_dns_needs_gateway(&vpc.id));
        }
    }
    if !of.private_dns {
        return Ok(());
    }
    if !vpc.enable_dns_support || !vpc.enable_dns_hostnames {
        return Err(ApiError::private_dns_needs_attributes(&vpc.id));
    }
    let mut others = records.referrers::<VpcEndpoint>(vpc.id.as_str()).filter(|it| it.id != *id);
    let conflicts = |it: &Arc<VpcEndpoint>| {
        it.service_name == service_name && it.interface().is_some_and(|it| it.private_dns)
    };
    match others.any(conflicts) {
        true => {
            let domain = service.public_dns_name(call.region());
            Err(ApiError::private_dns_conflict(&domain, &vpc.id))
        }
        false => Ok(()),
    }
}
