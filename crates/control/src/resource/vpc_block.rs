//! Address blocks of VPCs: secondary IPv4 blocks and IPv6 blocks (CIDR-8 to CIDR-12).

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    VpcCidrAssociationId, VpcId,
    record::{
        RouteDestination, RouteTable, Subnet, Vpc, VpcCidrAssociation, VpcIpv6CidrAssociation,
    },
};

use crate::{
    allocate,
    call::{Answer, Call, find, given, required, text},
    resource::{cidr, network_acl, security_group, vpc::blocks, vpc_peering_connection},
};

/// How many blocks of one family a VPC may have by default, and at most (CIDR-4).
const QUOTA: (usize, usize) = (5, 50);

fn state(state: &str) -> Option<ec2::VpcCidrBlockState> {
    Some(ec2::VpcCidrBlockState { state: Some(state.to_owned()), ..Default::default() })
}

pub(crate) fn shown_ipv4(it: &VpcCidrAssociation, name: &str) -> ec2::VpcCidrBlockAssociation {
    ec2::VpcCidrBlockAssociation {
        association_id: Some(it.id.to_string()),
        cidr_block: Some(it.cidr_block.to_string()),
        cidr_block_state: state(name),
    }
}

pub(crate) fn shown_ipv6(
    call: &Call,
    it: &VpcIpv6CidrAssociation,
    name: &str,
) -> ec2::VpcIpv6CidrBlockAssociation {
    ec2::VpcIpv6CidrBlockAssociation {
        association_id: Some(it.id.to_string()),
        ipv6_cidr_block: Some(it.cidr_block.to_string()),
        ipv6_cidr_block_state: state(name),
        network_border_group: Some(call.region().to_string()),
        ipv6_pool: Some("Amazon".into()),
        ipv6_address_attribute: Some("public".into()),
        ip_source: Some("amazon".into()),
    }
}

/// An IPv6 block as the answer shows it that asked for it: which one it is comes later.
pub(crate) fn shown_coming_ipv6(
    call: &Call,
    it: &VpcIpv6CidrAssociation,
) -> ec2::VpcIpv6CidrBlockAssociation {
    ec2::VpcIpv6CidrBlockAssociation {
        ipv6_cidr_block: Some(String::new()),
        ..shown_ipv6(call, it, "associating")
    }
}

/// Blocks are advertised from one place, which has the region's name.
pub(crate) fn check_border_group(call: &Call, group: &Option<String>) -> Answer<()> {
    match given(group) {
        Some(group) if group != call.region().as_str() => {
            let reason = format!("Expecting {}.", call.region());
            Err(ApiError::invalid_value(group, "ipv6CidrBlockNetworkBorderGroup", &reason))
        }
        _ => Ok(()),
    }
}

/// Gives a VPC an IPv6 block of the machine's pool. The first one opens the default ACL and the
/// default group to IPv6 (NACL-4, SG-4).
pub(crate) fn add_ipv6(
    call: &Call,
    tx: &mut Transaction,
    id: &VpcId,
) -> Answer<VpcIpv6CidrAssociation> {
    let vpc = find::<Vpc>(tx, &call.scope, id.as_str())?;
    check_count(call, &vpc, vpc.ipv6_cidr_associations.len())?;
    let association = VpcIpv6CidrAssociation {
        id: VpcCidrAssociationId::new(call.random()),
        cidr_block: allocate::ipv6_block(call, tx)?,
    };
    let added = association.clone();
    tx.update::<Vpc>(&call.scope, id.as_str(), |vpc| vpc.ipv6_cidr_associations.push(added));
    if vpc.ipv6_cidr_associations.is_empty() {
        network_acl::open_to_ipv6(call, tx, id);
        security_group::open_to_ipv6(call, tx, id);
    }
    Ok(association)
}

fn check_count(call: &Call, vpc: &Vpc, present: usize) -> Answer<()> {
    let limit = if call.config.aws_quotas { QUOTA.0 } else { QUOTA.1 };
    match present >= limit {
        true => Err(ApiError::cidr_limit_exceeded(&vpc.id, limit)),
        false => Ok(()),
    }
}

pub(crate) fn associate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AssociateVpcCidrBlockRequest,
) -> Answer<ec2::AssociateVpcCidrBlockResult> {
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    let vpc_id = Some(vpc.id.to_string());
    match (given(&r.cidr_block), r.amazon_provided_ipv6_cidr_block == Some(true)) {
        (Some(_), true) => Err(ApiError::invalid_parameter_combination(
            "The parameters cidrBlock and amazonProvidedIpv6CidrBlock cannot be used together.",
        )),
        (None, false) => Err(ApiError::new(
            "MissingParameter",
            "Either 'cidrBlock' or 'amazonProvidedIpv6CidrBlock' should be provided.",
        )),
        (Some(wanted), false) => {
            let association = add_ipv4(call, tx, &vpc, wanted)?;
            Ok(ec2::AssociateVpcCidrBlockResult {
                cidr_block_association: Some(shown_ipv4(&association, "associating")),
                vpc_id,
                ..Default::default()
            })
        }
        (None, true) => {
            check_border_group(call, &r.ipv6_cidr_block_network_border_group)?;
            vpc_peering_connection::check_block(tx, &vpc.id, None)?;
            let association = add_ipv6(call, tx, &vpc.id)?;
            Ok(ec2::AssociateVpcCidrBlockResult {
                ipv6_cidr_block_association: Some(shown_coming_ipv6(call, &association)),
                vpc_id,
                ..Default::default()
            })
        }
    }
}

fn add_ipv4(
    call: &Call,
    tx: &mut Transaction,
    vpc: &Vpc,
    wanted: &str,
) -> Answer<VpcCidrAssociation> {
    let block = cidr::another_of_vpc(wanted, &blocks(vpc))?;
    check_count(call, vpc, vpc.cidr_associations.len())?;
    vpc_peering_connection::check_block(tx, &vpc.id, Some(block))?;
    for table in tx.referrers::<RouteTable>(vpc.id.as_str()) {
        let shadowed = table.routes.iter().any(
            |route| matches!(route.destination, RouteDestination::Ipv4(to) if block.contains(&to)),
        );
        if shadowed {
            return Err(ApiError::invalid_parameter_value(format!(
                "The CIDR '{wanted}' is equal to or larger than a route destination in route \
                 table {}.",
                table.id
            )));
        }
    }
    let association =
        VpcCidrAssociation { id: VpcCidrAssociationId::new(call.random()), cidr_block: block };
    let added = association.clone();
    tx.update::<Vpc>(&call.scope, vpc.id.as_str(), |vpc| vpc.cidr_associations.push(added));
    Ok(association)
}

/// The local route of a block goes with it, also where it was given another target (RT-14).
fn remove_local_route(call: &Call, tx: &mut Transaction, vpc: &Vpc, local: &RouteDestination) {
    let tables: Vec<_> = tx.referrers::<RouteTable>(vpc.id.as_str()).cloned().collect();
    for table in tables {
        tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
            table.routes.retain(|route| route.destination != *local);
        });
    }
}

pub(crate) fn disassociate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DisassociateVpcCidrBlockRequest,
) -> Answer<ec2::DisassociateVpcCidrBlockResult> {
    let id = text(&r.association_id, "AssociationId")?;
    let resource = Resource::VpcCidrAssociation;
    id.parse::<VpcCidrAssociationId>().map_err(|it| ApiError::malformed_id(resource, &it))?;
    let vpc = tx
        .referrers_with_keys::<Vpc>(id)
        .find(|(key, _)| key.scope.as_ref() == Some(&call.scope))
        .map(|(_, vpc)| vpc.clone())
        .ok_or_else(|| ApiError::not_found(resource, id))?;
    let mut answer = ec2::DisassociateVpcCidrBlockResult {
        vpc_id: Some(vpc.id.to_string()),
        ..Default::default()
    };
    if let Some(place) = vpc.ipv6_cidr_associations.iter().position(|it| it.id.as_str() == id) {
        let association = &vpc.ipv6_cidr_associations[place];
        let block = association.cidr_block;
        let inside = |it: &Subnet| it.ipv6_block().is_some_and(|it| block.contains(&it));
        check_no_subnet(tx, &vpc, block, inside)?;
        tx.update::<Vpc>(&call.scope, vpc.id.as_str(), |vpc| {
            vpc.ipv6_cidr_associations.remove(place);
        });
        remove_local_route(call, tx, &vpc, &RouteDestination::Ipv6(block));
        answer.ipv6_cidr_block_association = Some(shown_ipv6(call, association, "disassociating"));
        return Ok(answer);
    }
    let place = vpc.cidr_associations.iter().position(|it| it.id.as_str() == id);
    let place = place.ok_or_else(|| ApiError::not_found(resource, id))?;
    if place == 0 {
        return Err(ApiError::operation_not_permitted(format!(
            "The vpc CIDR block with association ID {id} may not be disassociated. It is the \
             primary IPv4 CIDR block of the VPC"
        )));
    }
    let association = &vpc.cidr_associations[place];
    let block = association.cidr_block;
    let inside = |it: &Subnet| it.cidr_block.is_some_and(|it| block.contains(&it));
    check_no_subnet(tx, &vpc, block, inside)?;
    tx.update::<Vpc>(&call.scope, vpc.id.as_str(), |vpc| {
        vpc.cidr_associations.remove(place);
    });
    remove_local_route(call, tx, &vpc, &RouteDestination::Ipv4(block));
    answer.cidr_block_association = Some(shown_ipv4(association, "disassociating"));
    Ok(answer)
}

fn check_no_subnet(
    records: &Snapshot,
    vpc: &Vpc,
    block: impl std::fmt::Display,
    inside: impl Fn(&Subnet) -> bool,
) -> Answer<()> {
    match records.referrers::<Subnet>(vpc.id.as_str()).any(|it| inside(it)) {
        true => Err(ApiError::block_has_subnet(&vpc.id, block)),
        false => Ok(()),
    }
}
