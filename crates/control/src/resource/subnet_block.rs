//! IPv6 blocks of subnets (CIDR-12).

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::Transaction;
use gureum_types::{
    SubnetCidrAssociationId,
    record::{NetworkInterface, Subnet, SubnetIpv6CidrAssociation, Vpc},
};
use ipnet::Ipv6Net;

use crate::{
    call::{Answer, Call, find, required, text},
    resource::{cidr, vpc},
};

pub(crate) fn shown(
    it: &SubnetIpv6CidrAssociation,
    state: &str,
) -> ec2::SubnetIpv6CidrBlockAssociation {
    ec2::SubnetIpv6CidrBlockAssociation {
        association_id: Some(it.id.to_string()),
        ipv6_cidr_block: Some(it.cidr_block.to_string()),
        ipv6_cidr_block_state: Some(ec2::SubnetCidrBlockState {
            state: Some(state.to_owned()),
            ..Default::default()
        }),
        ipv6_address_attribute: Some("public".into()),
        ip_source: Some("amazon".into()),
    }
}

/// The IPv6 block that a request names: of the VPC, and no other subnet's.
pub(crate) fn wanted(vpc: &Vpc, others: &[Arc<Subnet>], text: &str) -> Answer<Ipv6Net> {
    let block = cidr::ipv6_of_subnet(text, &vpc::ipv6_blocks(vpc))?;
    match others.iter().any(|it| it.ipv6_block() == Some(block)) {
        true => Err(ApiError::subnet_conflict(text)),
        false => Ok(block),
    }
}

/// A subnet gets an IPv6 block out of its VPC's; it has one at most.
pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateSubnetCidrBlockRequest,
) -> Answer<ec2::AssociateSubnetCidrBlockResult> {
    let subnet = required::<Subnet>(tx, &call.scope, &r.subnet_id, "SubnetId")?;
    let vpc = find::<Vpc>(tx, &call.scope, subnet.vpc_id.as_str())?;
    let others: Vec<_> = tx.referrers::<Subnet>(vpc.id.as_str()).cloned().collect();
    let cidr_block = wanted(&vpc, &others, text(&r.ipv6_cidr_block, "Ipv6CidrBlock")?)?;
    if subnet.ipv6_cidr_association.is_some() {
        return Err(ApiError::cidr_limit_exceeded(&subnet.id, 1));
    }
    let id = SubnetCidrAssociationId::new(call.random());
    let association = SubnetIpv6CidrAssociation { id, cidr_block };
    let shown = shown(&association, "associating");
    tx.update::<Subnet>(&call.scope, subnet.id.as_str(), |subnet| {
        subnet.ipv6_cidr_association = Some(association);
    });
    Ok(ec2::AssociateSubnetCidrBlockResult {
        ipv6_cidr_block_association: Some(shown),
        subnet_id: Some(subnet.id.to_string()),
    })
}

/// Not while anything needs it: an attribute, an address, or the subnet, which has no other.
pub(crate) fn disassociate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisassociateSubnetCidrBlockRequest,
) -> Answer<ec2::DisassociateSubnetCidrBlockResult> {
    let id = text(&r.association_id, "AssociationId")?;
    let resource = Resource::SubnetCidrAssociation;
    id.parse::<SubnetCidrAssociationId>().map_err(|it| ApiError::malformed_id(resource, &it))?;
    let subnet = tx
        .referrers_with_keys::<Subnet>(id)
        .find(|(key, _)| key.scope.as_ref() == Some(&call.scope))
        .map(|(_, subnet)| subnet.clone());
    let found = subnet.and_then(|subnet| Some((subnet.ipv6_cidr_association.clone()?, subnet)));
    let (association, subnet) = found.ok_or_else(|| ApiError::not_found(resource, id))?;
    let has_addresses = |it: &Arc<NetworkInterface>| !it.ipv6_addresses.is_empty();
    let why = if subnet.cidr_block.is_none() {
        Some("its subnet has no other block")
    } else if subnet.assign_ipv6_address_on_creation {
        Some("its subnet has assign-ipv6-address-on-creation set to true")
    } else if subnet.enable_dns64 {
        Some("its subnet has enable-dns64 set to true")
    } else if tx.referrers::<NetworkInterface>(subnet.id.as_str()).any(has_addresses) {
        Some("a network interface in its subnet has an address of it")
    } else {
        None
    };
    if let Some(why) = why {
        return Err(ApiError::subnet_block_in_use(id, why));
    }
    tx.update::<Subnet>(&call.scope, subnet.id.as_str(), |subnet| {
        subnet.ipv6_cidr_association = None;
    });
    Ok(ec2::DisassociateSubnetCidrBlockResult {
        ipv6_cidr_block_association: Some(shown(&association, "disassociating")),
        subnet_id: Some(subnet.id.to_string()),
    })
}
