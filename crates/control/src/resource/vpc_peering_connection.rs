//! Peering connections between VPCs, of any accounts and regions of the machine (CIDR-11, DNS-10,
//! RT-21).
//!
//! The record belongs to the machine. Each side sees it in its own account and region, with its
//! own tags.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    AccountId, Region, Tags, Timestamp, VpcId, VpcPeeringConnectionId,
    record::{PeeringStatus, PeeringVpc, RegionState, Scope, Vpc, VpcPeeringConnection},
};
use ipnet::Ipv4Net;

use crate::{
    call::{Answer, Call, find as find_record, given, required, text},
    filter::{Fields, select, some},
    page::page,
    resource::{cidr, vpc},
    tags as tag,
};

/// The name of the kind in tag specifications.
pub(crate) const TYPE: &str = "vpc-peering-connection";

/// How long a request waits for an answer: seven days.
const EXPIRES_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;
/// Active connections of a VPC, requests of an account in a region: the default quotas.
const ACTIVE_QUOTA: usize = 50;
const OUTSTANDING_QUOTA: usize = 25;

/// The caller's tags on a connection.
pub(crate) fn tags<'a>(peering: &'a VpcPeeringConnection, scope: &Scope) -> &'a Tags {
    match peering.requester.scope == *scope {
        true => &peering.tags,
        false => &peering.accepter_tags,
    }
}

/// As [`tags`], to change them.
pub(crate) fn tags_mut<'a>(peering: &'a mut VpcPeeringConnection, scope: &Scope) -> &'a mut Tags {
    match peering.requester.scope == *scope {
        true => &mut peering.tags,
        false => &mut peering.accepter_tags,
    }
}

/// The connections that the caller has a side of, by id.
pub(crate) fn all(call: &Call, records: &Snapshot) -> Vec<Arc<VpcPeeringConnection>> {
    let all = records.everywhere::<VpcPeeringConnection>().map(|(_, peering)| peering);
    all.filter(|peering| is_seen(peering, &call.scope)).cloned().collect()
}

fn is_seen(peering: &VpcPeeringConnection, scope: &Scope) -> bool {
    peering.requester.scope == *scope || peering.accepter.scope == *scope
}

/// The connection that a parameter names, if the caller has a side of it.
pub(crate) fn find(call: &Call, records: &Snapshot, id: &str) -> Answer<Arc<VpcPeeringConnection>> {
    let resource = Resource::VpcPeeringConnection;
    id.parse::<VpcPeeringConnectionId>().map_err(|it| ApiError::malformed_id(resource, &it))?;
    let peering = records.machine::<VpcPeeringConnection>(id);
    let peering = peering.filter(|peering| is_seen(peering, &call.scope));
    peering.cloned().ok_or_else(|| ApiError::not_found(resource, id))
}

/// The sides of a connection: the one of that VPC, and the other.
pub(crate) fn sides<'a>(
    peering: &'a VpcPeeringConnection,
    vpc: &VpcId,
) -> Option<(&'a PeeringVpc, &'a PeeringVpc)> {
    match (peering.requester.vpc_id == *vpc, peering.accepter.vpc_id == *vpc) {
        (true, _) => Some((&peering.requester, &peering.accepter)),
        (false, true) => Some((&peering.accepter, &peering.requester)),
        (false, false) => None,
    }
}

/// The active connections of a VPC, each with the side of the other VPC.
pub(crate) fn active<'a>(
    records: &'a Snapshot,
    vpc: &'a VpcId,
) -> impl Iterator<Item = (&'a Arc<VpcPeeringConnection>, &'a PeeringVpc)> {
    records
        .referrers::<VpcPeeringConnection>(vpc.as_str())
        .filter(|peering| peering.status == PeeringStatus::Active)
        .filter_map(move |peering| Some((peering, sides(peering, vpc)?.1)))
}

/// The VPCs whose public names resolve to private addresses in that VPC (DNS-10).
pub(crate) fn with_dns(records: &Snapshot, vpc: &VpcId) -> Vec<VpcId> {
    active(records, vpc)
        .filter(|(_, peer)| peer.allow_dns_resolution_from_remote_vpc)
        .map(|(_, peer)| peer.vpc_id.clone())
        .collect()
}

/// The status now: a request that nobody answered in time has expired.
fn status(peering: &VpcPeeringConnection, now: Timestamp) -> PeeringStatus {
    let late = peering.expiration.is_some_and(|moment| moment <= now);
    match peering.status {
        PeeringStatus::PendingAcceptance if late => PeeringStatus::Expired,
        status => status,
    }
}

/// Brings a request that nobody answered in time to its end.
pub(crate) fn expire(tx: &mut Transaction, id: &str, now: Timestamp) {
    let late =
        tx.machine::<VpcPeeringConnection>(id).filter(|it| status(it, now) != it.status).is_some();
    if late {
        end(tx, id, PeeringStatus::Expired, "Expired".into(), now);
    }
}

fn end(tx: &mut Transaction, id: &str, status: PeeringStatus, message: String, now: Timestamp) {
    tx.update_machine::<VpcPeeringConnection>(id, |peering| {
        peering.status = status;
        peering.status_message = message;
        peering.expiration = None;
        peering.changed = now;
    });
}

/// The connections of an account end with it. What nobody is left to see goes.
pub(crate) fn leave(tx: &mut Transaction, account: &AccountId, now: Timestamp) {
    let all = tx.everywhere::<VpcPeeringConnection>().map(|(_, peering)| peering.clone());
    let own = |side: &PeeringVpc| side.scope.account == *account;
    let left: Vec<_> = all.filter(|it| own(&it.requester) || own(&it.accepter)).collect();
    for peering in left {
        let id = peering.id.as_str();
        let lives = |side: &PeeringVpc| {
            let mut seen = tx.everywhere::<RegionState>().filter_map(|(key, _)| key.scope.as_ref());
            !own(side) && seen.any(|scope| scope.account == side.scope.account)
        };
        if !lives(&peering.requester) && !lives(&peering.accepter) {
            tx.remove_machine::<VpcPeeringConnection>(id);
        } else if matches!(peering.status, PeeringStatus::PendingAcceptance | PeeringStatus::Active)
        {
            end(tx, id, PeeringStatus::Deleted, format!("Deleted by {account}"), now);
        }
    }
}

/// Checks that a VPC may have another block beside its peers' (CIDR-11); one of IPv6, which nobody
/// else has, is `None`.
pub(crate) fn check_block(records: &Snapshot, vpc: &VpcId, block: Option<Ipv4Net>) -> Answer<()> {
    for peering in records.referrers::<VpcPeeringConnection>(vpc.as_str()) {
        if peering.status == PeeringStatus::PendingAcceptance {
            if peering.requester.vpc_id == *vpc {
                return Err(ApiError::block_while_pending(vpc, &peering.id));
            }
            continue;
        }
        let Some((_, peer)) = sides(peering, vpc) else { continue };
        let peer = records.find::<Vpc>(&peer.scope, peer.vpc_id.as_str());
        let theirs = peer.map(|peer| vpc::blocks(peer)).unwrap_or_default();
        let shared = block.filter(|block| theirs.iter().any(|it| cidr::overlap(*it, *block)));
        if let Some(block) = shared {
            return Err(ApiError::block_of_peer(block, &peering.id));
        }
    }
    Ok(())
}

/// Whether two VPCs have an address in common, of either family.
fn overlap(a: &Vpc, b: &Vpc) -> bool {
    let ipv4 = vpc::blocks(a).iter().any(|a| vpc::blocks(b).iter().any(|b| cidr::overlap(*a, *b)));
    let ipv6 = a.ipv6_cidr_associations.iter().any(|a| {
        let overlaps = |b: &ipnet::Ipv6Net| a.cidr_block.contains(b) || b.contains(&a.cidr_block);
        b.ipv6_cidr_associations.iter().any(|b| overlaps(&b.cidr_block))
    });
    ipv4 || ipv6
}

fn shown_side(
    records: &Snapshot,
    side: &PeeringVpc,
    with_blocks: bool,
    with_options: bool,
) -> ec2::VpcPeeringConnectionVpcInfo {
    let vpc = records.find::<Vpc>(&side.scope, side.vpc_id.as_str()).filter(|_| with_blocks);
    let options = ec2::VpcPeeringConnectionOptionsDescription {
        allow_dns_resolution_from_remote_vpc: Some(side.allow_dns_resolution_from_remote_vpc),
        allow_egress_from_local_classic_link_to_remote_vpc: Some(false),
        allow_egress_from_local_vpc_to_remote_classic_link: Some(false),
    };
    let ipv4 = vpc.into_iter().flat_map(|vpc| vpc::blocks(vpc));
    let ipv6 = vpc.into_iter().flat_map(|vpc| vpc.ipv6_cidr_associations.iter());
    ec2::VpcPeeringConnectionVpcInfo {
        cidr_block: vpc.map(|vpc| vpc.cidr_block.to_string()),
        ipv6_cidr_block_set: ipv6
            .map(|it| ec2::Ipv6CidrBlock { ipv6_cidr_block: Some(it.cidr_block.to_string()) })
            .collect(),
        cidr_block_set: ipv4
            .map(|block| ec2::CidrBlock { cidr_block: Some(block.to_string()) })
            .collect(),
        owner_id: Some(side.scope.account.as_str().to_owned()),
        peering_options: with_options.then_some(options),
        vpc_id: Some(side.vpc_id.to_string()),
        region: Some(side.scope.region.as_str().to_owned()),
    }
}

/// The accepter's blocks and the options are shown while the connection is active.
fn shown(
    call: &Call,
    records: &Snapshot,
    peering: &VpcPeeringConnection,
) -> ec2::VpcPeeringConnection {
    let status = status(peering, call.now);
    let active = status == PeeringStatus::Active;
    let expired = status != peering.status;
    let message = if expired { "Expired".to_owned() } else { peering.status_message.clone() };
    ec2::VpcPeeringConnection {
        accepter_vpc_info: Some(shown_side(records, &peering.accepter, active, active)),
        expiration_time: peering.expiration,
        requester_vpc_info: Some(shown_side(records, &peering.requester, true, active)),
        status: Some(ec2::VpcPeeringConnectionStateReason {
            code: Some(status.code().into()),
            message: Some(message),
        }),
        tags: tag::shown(tags(peering, &call.scope)),
        vpc_peering_connection_id: Some(peering.id.to_string()),
    }
}

macro_rules! of_side {
    ($side:ident $field:ident) => {
        |it| it.$side.iter().filter_map(|side| side.$field.clone()).collect()
    };
}

macro_rules! of_status {
    ($field:ident) => {
        |it| it.status.iter().filter_map(|status| status.$field.clone()).collect()
    };
}

const FIELDS: &Fields<ec2::VpcPeeringConnection> = &[
    ("accepter-vpc-info.cidr-block", of_side!(accepter_vpc_info cidr_block)),
    ("accepter-vpc-info.owner-id", of_side!(accepter_vpc_info owner_id)),
    ("accepter-vpc-info.vpc-id", of_side!(accepter_vpc_info vpc_id)),
    ("expiration-time", |it| it.expiration_time.iter().map(ToString::to_string).collect()),
    ("requester-vpc-info.cidr-block", of_side!(requester_vpc_info cidr_block)),
    ("requester-vpc-info.owner-id", of_side!(requester_vpc_info owner_id)),
    ("requester-vpc-info.vpc-id", of_side!(requester_vpc_info vpc_id)),
    ("status-code", of_status!(code)),
    ("status-message", of_status!(message)),
    ("vpc-peering-connection-id", |it| some(&it.vpc_peering_connection_id)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcPeeringConnectionsRequest,
) -> Answer<ec2::DescribeVpcPeeringConnectionsResult> {
    let found = match r.vpc_peering_connection_ids.as_slice() {
        [] => all(call, records),
        ids => {
            let mut ids: Vec<_> = ids.iter().collect();
            ids.sort();
            ids.dedup();
            ids.into_iter().map(|id| find(call, records, id)).collect::<Answer<_>>()?
        }
    };
    let peerings = found.iter().map(|peering| shown(call, records, peering)).collect();
    let peerings = select(peerings, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (vpc_peering_connections, next_token) =
        page(peerings, r.max_results, &r.next_token, |it| it.vpc_peering_connection_id.as_deref())?;
    Ok(ec2::DescribeVpcPeeringConnectionsResult { vpc_peering_connections, next_token })
}

/// The side that a request asks, as it is named: whether it exists shows in the status.
fn asked(
    call: &Call,
    records: &Snapshot,
    r: &ec2::CreateVpcPeeringConnectionRequest,
) -> Answer<PeeringVpc> {
    let id = text(&r.peer_vpc_id, "PeerVpcId")?;
    let vpc_id = crate::call::parse_id::<Vpc>(id)?;
    let account = match given(&r.peer_owner_id) {
        None => call.account().clone(),
        Some(text) => AccountId::parse(text).ok_or_else(|| {
            ApiError::invalid_value(text, "peerOwnerId", "This is not a valid account ID.")
        })?,
    };
    let region = match given(&r.peer_region) {
        None => call.region().clone(),
        Some(text) => text
            .parse::<Region>()
            .map_err(|_| ApiError::invalid_value(text, "peerRegion", "There is no such region."))?,
    };
    let scope = Scope { account, region };
    if scope == call.scope {
        find_record::<Vpc>(records, &scope, id)?;
    }
    Ok(PeeringVpc { scope, vpc_id, allow_dns_resolution_from_remote_vpc: false })
}

/// What cannot be peered fails later: the call itself succeeds.
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcPeeringConnectionRequest,
) -> Answer<ec2::CreateVpcPeeringConnectionResult> {
    let own = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    let accepter = asked(call, tx, r)?;
    let tags = tag::of_type(&r.tag_specifications, TYPE, &[TYPE])?;
    let present = tx.referrers::<VpcPeeringConnection>(own.id.as_str());
    for peering in present.filter(|it| status(it, call.now) != PeeringStatus::Expired) {
        if sides(peering, &own.id).is_some_and(|(_, peer)| peer.vpc_id == accepter.vpc_id) {
            return Err(ApiError::peering_already_exists(&peering.id));
        }
    }
    check_quotas(call, tx, &own.id)?;
    let peer = tx.find::<Vpc>(&accepter.scope, accepter.vpc_id.as_str());
    let possible = peer.is_some_and(|peer| !overlap(&own, peer));
    let owner = accepter.scope.account.as_str().to_owned();
    let (status, status_message) = match possible {
        true => (PeeringStatus::PendingAcceptance, format!("Pending Acceptance by {owner}")),
        false => (
            PeeringStatus::Failed,
            "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range".to_owned(),
        ),
    };
    let expiration = possible.then(|| Timestamp(call.now.0 + EXPIRES_AFTER_MS));
    let peering = VpcPeeringConnection {
        id: VpcPeeringConnectionId::new(call.random()),
        requester: PeeringVpc {
            scope: call.scope.clone(),
            vpc_id: own.id.clone(),
            allow_dns_resolution_from_remote_vpc: false,
        },
        accepter,
        status,
        status_message,
        expiration,
        created: call.now,
        changed: call.now,
        tags,
        accepter_tags: Tags::new(),
    };
    let peering = tx.put_machine(peering);
    let answer = ec2::VpcPeeringConnection {
        status: Some(ec2::VpcPeeringConnectionStateReason {
            code: Some("initiating-request".into()),
            message: Some(format!("Initiating Request to {owner}")),
        }),
        ..shown(call, tx, &peering)
    };
    Ok(ec2::CreateVpcPeeringConnectionResult { vpc_peering_connection: Some(answer) })
}

fn check_quotas(call: &Call, records: &Snapshot, vpc: &VpcId) -> Answer<()> {
    if !call.config.aws_quotas {
        return Ok(());
    }
    if active(records, vpc).count() >= ACTIVE_QUOTA {
        return Err(ApiError::limit_exceeded(
            "ActiveVpcPeeringConnectionPerVpcLimitExceeded",
            "The maximum number of active VPC peering connections per VPC has been reached.",
        ));
    }
    let outstanding = all(call, records).into_iter().filter(|it| {
        it.requester.scope == call.scope && status(it, call.now) == PeeringStatus::PendingAcceptance
    });
    match outstanding.count() >= OUTSTANDING_QUOTA {
        true => Err(ApiError::limit_exceeded(
            "OutstandingVpcPeeringConnectionLimitExceeded",
            "The maximum number of outstanding VPC peering connection requests has been reached.",
        )),
        false => Ok(()),
    }
}

/// The request that the caller may answer, which waits for an answer.
fn answerable(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
    verb: &str,
    to: PeeringStatus,
) -> Answer<Arc<VpcPeeringConnection>> {
    let peering = find(call, records, text(id, "VpcPeeringConnectionId")?)?;
    let accepter = &peering.accepter.scope;
    if accepter.account != *call.account() {
        return Err(ApiError::peering_of_other_account(call.account(), verb, &peering.id));
    }
    if accepter.region != *call.region() {
        let (here, there) = (call.region(), &accepter.region);
        return Err(ApiError::peering_of_other_region(here, &peering.id, there));
    }
    match status(&peering, call.now) {
        PeeringStatus::PendingAcceptance => Ok(peering),
        other => Err(ApiError::peering_transition(&peering.id, other.code(), to.code())),
    }
}

/// The blocks are compared once more: the accepter may have got others meanwhile (CIDR-11).
pub(crate) fn accept(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AcceptVpcPeeringConnectionRequest,
) -> Answer<ec2::AcceptVpcPeeringConnectionResult> {
    let id = &r.vpc_peering_connection_id;
    let peering = answerable(call, tx, id, "accept", PeeringStatus::Active)?;
    let vpc = |side: &PeeringVpc| tx.find::<Vpc>(&side.scope, side.vpc_id.as_str());
    let possible = match (vpc(&peering.requester), vpc(&peering.accepter)) {
        (Some(requester), Some(accepter)) => !overlap(requester, accepter),
        _ => false,
    };
    let (status, message) = match possible {
        true => (PeeringStatus::Active, "Active"),
        false => (
            PeeringStatus::Failed,
            "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range",
        ),
    };
    end(tx, peering.id.as_str(), status, message.into(), call.now);
    let peering = find(call, tx, peering.id.as_str())?;
    let mut answer = shown(call, tx, &peering);
    if possible {
        answer.status = Some(ec2::VpcPeeringConnectionStateReason {
            code: Some("provisioning".into()),
            message: Some("Provisioning".into()),
        });
    }
    Ok(ec2::AcceptVpcPeeringConnectionResult { vpc_peering_connection: Some(answer) })
}

pub(crate) fn reject(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RejectVpcPeeringConnectionRequest,
) -> Answer<ec2::RejectVpcPeeringConnectionResult> {
    let id = &r.vpc_peering_connection_id;
    let peering = answerable(call, tx, id, "reject", PeeringStatus::Rejected)?;
    let message = format!("Rejected by {}", call.account());
    end(tx, peering.id.as_str(), PeeringStatus::Rejected, message, call.now);
    Ok(ec2::RejectVpcPeeringConnectionResult { r#return: Some(true) })
}

/// Either side ends an active connection; a request, only who made it. Routes and rules that
/// speak of the connection stay (RT-12, SG-34).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteVpcPeeringConnectionRequest,
) -> Answer<ec2::DeleteVpcPeeringConnectionResult> {
    let peering = find(call, tx, text(&r.vpc_peering_connection_id, "VpcPeeringConnectionId")?)?;
    match status(&peering, call.now) {
        PeeringStatus::Active => {}
        PeeringStatus::PendingAcceptance => {
            if peering.requester.scope.account != *call.account() {
                let account = call.account();
                return Err(ApiError::peering_of_other_account(account, "delete", &peering.id));
            }
        }
        other => {
            let to = PeeringStatus::Deleted.code();
            return Err(ApiError::peering_transition(&peering.id, other.code(), to));
        }
    }
    let message = format!("Deleted by {}", call.account());
    end(tx, peering.id.as_str(), PeeringStatus::Deleted, message, call.now);
    Ok(ec2::DeleteVpcPeeringConnectionResult { r#return: Some(true) })
}

/// Each side's options belong to its owner, in its region (DNS-10).
pub(crate) fn modify_options(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcPeeringConnectionOptionsRequest,
) -> Answer<ec2::ModifyVpcPeeringConnectionOptionsResult> {
    let peering = find(call, tx, text(&r.vpc_peering_connection_id, "VpcPeeringConnectionId")?)?;
    let (accepter, requester) =
        (&r.accepter_peering_connection_options, &r.requester_peering_connection_options);
    if accepter.is_none() && requester.is_none() {
        return Err(ApiError::missing_parameter("RequesterPeeringConnectionOptions"));
    }
    if peering.status != PeeringStatus::Active {
        return Err(ApiError::peering_not_active(&peering.id));
    }
    let mut changed = (*peering).clone();
    for (options, side, name) in [
        (accepter, &mut changed.accepter, "accepter"),
        (requester, &mut changed.requester, "requester"),
    ] {
        let Some(options) = options else { continue };
        if side.scope != call.scope {
            return Err(ApiError::operation_not_permitted(format!(
                "User {} cannot modify the {name} options of {} in the region {}",
                call.account(),
                peering.id,
                call.region()
            )));
        }
        if let Some(allow) = options.allow_dns_resolution_from_remote_vpc {
            side.allow_dns_resolution_from_remote_vpc = allow;
        }
    }
    let changed = tx.put_machine(changed);
    let shown = |side: &PeeringVpc| ec2::PeeringConnectionOptions {
        allow_dns_resolution_from_remote_vpc: Some(side.allow_dns_resolution_from_remote_vpc),
        allow_egress_from_local_classic_link_to_remote_vpc: Some(false),
        allow_egress_from_local_vpc_to_remote_classic_link: Some(false),
    };
    Ok(ec2::ModifyVpcPeeringConnectionOptionsResult {
        accepter_peering_connection_options: accepter.as_ref().map(|_| shown(&changed.accepter)),
        requester_peering_connection_options: requester.as_ref().map(|_| shown(&changed.requester)),
    })
}
