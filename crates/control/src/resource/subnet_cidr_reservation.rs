//! Reserved ranges of subnets: addresses are not taken from them unasked.

use std::net::IpAddr;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    SubnetCidrReservationId,
    record::{Subnet, SubnetCidrReservation},
};
use ipnet::IpNet;

use crate::{
    call::{Answer, Call, given, required, text},
    filter::{Fields, select, some},
    page::page,
    tags,
};

fn shown(call: &Call, reservation: &SubnetCidrReservation) -> ec2::SubnetCidrReservation {
    ec2::SubnetCidrReservation {
        subnet_cidr_reservation_id: Some(reservation.id.to_string()),
        subnet_id: Some(reservation.subnet_id.to_string()),
        cidr: Some(reservation.cidr.to_string()),
        reservation_type: Some(reservation.reservation_type.clone()),
        owner_id: Some(call.account().to_string()),
        description: reservation.description.clone(),
        tags: tags::shown(&reservation.tags),
    }
}

const FIELDS: &Fields<ec2::SubnetCidrReservation> = &[
    ("reservationType", |it| some(&it.reservation_type)),
    ("subnet-id", |it| some(&it.subnet_id)),
];

/// The reservations of a subnet.
fn of<'a>(
    records: &'a Snapshot,
    subnet: &Subnet,
) -> impl Iterator<Item = &'a std::sync::Arc<SubnetCidrReservation>> {
    records.referrers::<SubnetCidrReservation>(subnet.id.as_str())
}

/// Whether an address of a subnet is taken only when it is asked for.
pub(crate) fn holds(records: &Snapshot, subnet: &Subnet, address: IpAddr) -> bool {
    of(records, subnet).any(|it| it.cidr.contains(&address))
}

pub(crate) fn get(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetSubnetCidrReservationsRequest,
) -> Answer<ec2::GetSubnetCidrReservationsResult> {
    let subnet = required::<Subnet>(records, &call.scope, &r.subnet_id, "SubnetId")?;
    let found = of(records, &subnet).map(|it| shown(call, it)).collect();
    let found = select(found, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (found, next_token) =
        page(found, r.max_results, &r.next_token, |it| it.subnet_cidr_reservation_id.as_deref())?;
    let is_ipv6 =
        |it: &ec2::SubnetCidrReservation| it.cidr.as_ref().is_some_and(|cidr| cidr.contains(':'));
    let (ipv6, ipv4) = found.into_iter().partition(is_ipv6);
    Ok(ec2::GetSubnetCidrReservationsResult {
        subnet_ipv4_cidr_reservations: ipv4,
        subnet_ipv6_cidr_reservations: ipv6,
        next_token,
    })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateSubnetCidrReservationRequest,
) -> Answer<ec2::CreateSubnetCidrReservationResult> {
    let subnet = required::<Subnet>(tx, &call.scope, &r.subnet_id, "SubnetId")?;
    let wanted = text(&r.cidr, "Cidr")?;
    let cidr = wanted.parse::<IpNet>().map_err(|_| ApiError::not_a_cidr(wanted, "cidr"))?.trunc();
    let inside = match cidr {
        IpNet::V4(cidr) => subnet.cidr_block.is_some_and(|block| block.contains(&cidr)),
        IpNet::V6(cidr) => subnet.ipv6_block().is_some_and(|block| block.contains(&cidr)),
    };
    if !inside {
        return Err(ApiError::new(
            "InvalidCidr.NotInSubnet",
            format!("The CIDR '{cidr}' is not within a CIDR block of the subnet '{}'.", subnet.id),
        ));
    }
    let overlaps = |it: &IpNet| it.contains(&cidr) || cidr.contains(it);
    if of(tx, &subnet).any(|it| overlaps(&it.cidr)) {
        return Err(ApiError::new(
            "InvalidCidr.Conflict",
            format!("The CIDR '{cidr}' conflicts with another reservation."),
        ));
    }
    let reservation = SubnetCidrReservation {
        id: SubnetCidrReservationId::new(call.random()),
        subnet_id: subnet.id.clone(),
        cidr,
        reservation_type: text(&r.reservation_type, "ReservationType")?.to_owned(),
        description: given(&r.description).map(str::to_owned),
        tags: tags::on_creation::<SubnetCidrReservation>(&r.tag_specifications)?,
    };
    let reservation = tx.put(&call.scope, reservation);
    Ok(ec2::CreateSubnetCidrReservationResult {
        subnet_cidr_reservation: Some(shown(call, &reservation)),
    })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteSubnetCidrReservationRequest,
) -> Answer<ec2::DeleteSubnetCidrReservationResult> {
    let id = text(&r.subnet_cidr_reservation_id, "SubnetCidrReservationId")?;
    let resource = Resource::SubnetCidrReservation;
    id.parse::<SubnetCidrReservationId>().map_err(|it| ApiError::malformed_id(resource, &it))?;
    let removed = tx.remove::<SubnetCidrReservation>(&call.scope, id);
    let removed = removed.ok_or_else(|| ApiError::not_found(resource, id))?;
    Ok(ec2::DeleteSubnetCidrReservationResult {
        deleted_subnet_cidr_reservation: Some(shown(call, &removed)),
    })
}

/// Removes the reservations of a subnet that goes.
pub(crate) fn leave(call: &Call, tx: &mut Transaction, subnet: &Subnet) {
    let ids: Vec<_> = of(tx, subnet).map(|it| it.id.clone()).collect();
    for id in ids {
        tx.remove::<SubnetCidrReservation>(&call.scope, id.as_str());
    }
}
