//! References of security group rules to groups of peer VPCs: which are alive, which are stale
//! (SG-31, SG-34).

use std::collections::BTreeSet;

use gureum_api::{ApiError, ec2};
use gureum_store::Snapshot;
use gureum_types::{
    AccountId, SecurityGroupId, VpcId, VpcPeeringConnectionId,
    record::{
        RulePeer, Scope, SecurityGroup, SecurityGroupRule, Traffic, Vpc, VpcPeeringConnection,
    },
};

use crate::{
    call::{Answer, Call, find, required},
    page::page,
    resource::{security_group_rule as rule, vpc_peering_connection as peering},
};

/// A group of a peer VPC.
pub(crate) struct PeerGroup {
    pub(crate) group: SecurityGroupId,
    pub(crate) owner: AccountId,
    pub(crate) vpc: VpcId,
    pub(crate) peering: VpcPeeringConnectionId,
}

/// The group of that id in the VPCs that a VPC of `scope` has active peering connections with, in
/// its own region: one, or none (SG-31).
pub(crate) fn live_peer(
    records: &Snapshot,
    scope: &Scope,
    vpc: &VpcId,
    id: &str,
) -> Option<PeerGroup> {
    peering::active(records, vpc).find_map(|(connection, peer)| {
        let group = records.find::<SecurityGroup>(&peer.scope, id)?;
        let lives = peer.scope.region == scope.region && group.vpc_id == peer.vpc_id;
        lives.then(|| PeerGroup {
            group: group.id.clone(),
            owner: peer.scope.account.clone(),
            vpc: peer.vpc_id.clone(),
            peering: connection.id.clone(),
        })
    })
}

/// The latest peering connection between two VPCs, whatever became of it.
fn latest<'a>(records: &'a Snapshot, a: &VpcId, b: &VpcId) -> Option<&'a VpcPeeringConnection> {
    records
        .everywhere::<VpcPeeringConnection>()
        .map(|(_, connection)| connection.as_ref())
        .filter(|it| peering::sides(it, a).is_some_and(|(_, peer)| peer.vpc_id == *b))
        .max_by_key(|it| (it.created, it.changed))
}

/// A group as rules of a VPC show it: with its VPC and peering connection when it is a peer's. Of
/// one that was deleted only the id is known.
pub(crate) fn shown_pair(
    records: &Snapshot,
    scope: &Scope,
    vpc: &VpcId,
    id: &SecurityGroupId,
) -> ec2::UserIdGroupPair {
    let mut pair = ec2::UserIdGroupPair { group_id: Some(id.to_string()), ..Default::default() };
    if let Some(group) = records.find::<SecurityGroup>(scope, id.as_str())
        && group.vpc_id == *vpc
    {
        pair.user_id = Some(scope.account.to_string());
        return pair;
    }
    if let Some(peer) = live_peer(records, scope, vpc, id.as_str()) {
        pair.user_id = Some(peer.owner.to_string());
        pair.vpc_id = Some(peer.vpc.to_string());
        pair.vpc_peering_connection_id = Some(peer.peering.to_string());
        pair.peering_status = Some("active".into());
        return pair;
    }
    // Rare enough for a look at all groups: the rule is stale.
    let all = records.everywhere::<SecurityGroup>();
    let Some((key, group)) = all.into_iter().find(|(_, group)| group.id == *id) else {
        pair.user_id = Some(scope.account.to_string());
        return pair;
    };
    pair.user_id = key.scope.as_ref().map(|it| it.account.to_string());
    pair.vpc_id = Some(group.vpc_id.to_string());
    if let Some(connection) = latest(records, vpc, &group.vpc_id) {
        pair.vpc_peering_connection_id = Some(connection.id.to_string());
        pair.peering_status = Some(connection.status.code().into());
    }
    pair
}

/// Whether a rule of a VPC's group refers to a group that matches nothing any more (SG-34).
fn is_stale(records: &Snapshot, scope: &Scope, vpc: &VpcId, rule: &SecurityGroupRule) -> bool {
    let RulePeer::Group(id) = &rule.peer else { return false };
    let own = records.find::<SecurityGroup>(scope, id.as_str()).is_some_and(|it| it.vpc_id == *vpc);
    !own && live_peer(records, scope, vpc, id.as_str()).is_none()
}

fn stale_permissions(
    records: &Snapshot,
    scope: &Scope,
    group: &SecurityGroup,
    egress: bool,
) -> Vec<ec2::StaleIpPermission> {
    let mut permissions: Vec<(Traffic, ec2::StaleIpPermission)> = Vec::new();
    let rules = rule::of_group(records, &group.id).filter(|it| it.egress == egress);
    for found in rules.filter(|it| is_stale(records, scope, &group.vpc_id, it)) {
        let RulePeer::Group(id) = &found.peer else { continue };
        let pair = ec2::UserIdGroupPair {
            description: found.description.clone(),
            ..shown_pair(records, scope, &group.vpc_id, id)
        };
        match permissions.iter_mut().find(|(traffic, _)| *traffic == found.traffic) {
            Some((_, permission)) => permission.user_id_group_pairs.push(pair),
            None => {
                let (protocol, from, to) = rule::members(found.traffic);
                let ports = !matches!(found.traffic, Traffic::All | Traffic::Protocol(_));
                let permission = ec2::StaleIpPermission {
                    ip_protocol: Some(protocol),
                    from_port: ports.then_some(from),
                    to_port: ports.then_some(to),
                    user_id_group_pairs: vec![pair],
                    ..Default::default()
                };
                permissions.push((found.traffic, permission));
            }
        }
    }
    permissions.into_iter().map(|(_, permission)| permission).collect()
}

pub(crate) fn describe_stale(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeStaleSecurityGroupsRequest,
) -> Answer<ec2::DescribeStaleSecurityGroupsResult> {
    let vpc = required::<Vpc>(records, &call.scope, &r.vpc_id, "VpcId")?;
    let mut groups: Vec<_> = records.referrers::<SecurityGroup>(vpc.id.as_str()).collect();
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    let stale = groups.into_iter().map(|group| ec2::StaleSecurityGroup {
        description: Some(group.description.clone()),
        group_id: Some(group.id.to_string()),
        group_name: Some(group.name.clone()),
        stale_ip_permissions: stale_permissions(records, &call.scope, group, false),
        stale_ip_permissions_egress: stale_permissions(records, &call.scope, group, true),
        vpc_id: Some(group.vpc_id.to_string()),
    });
    let stale = stale.filter(|it| {
        !it.stale_ip_permissions.is_empty() || !it.stale_ip_permissions_egress.is_empty()
    });
    let (stale_security_group_set, next_token) =
        page(stale.collect(), r.max_results, &r.next_token, |it| it.group_id.as_deref())?;
    Ok(ec2::DescribeStaleSecurityGroupsResult { next_token, stale_security_group_set })
}

/// The VPCs at the other end of peering connections whose rules refer to groups of the caller.
pub(crate) fn describe_references(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeSecurityGroupReferencesRequest,
) -> Answer<ec2::DescribeSecurityGroupReferencesResult> {
    if r.group_id.is_empty() {
        return Err(ApiError::missing_parameter("GroupId"));
    }
    let mut found = BTreeSet::new();
    for id in &r.group_id {
        let group = find::<SecurityGroup>(records, &call.scope, id)?;
        for (key, referring) in records.referrers_with_keys::<SecurityGroupRule>(id) {
            let Some(scope) = &key.scope else { continue };
            let other = records.find::<SecurityGroup>(scope, referring.group_id.as_str());
            let Some(vpc) = other.map(|it| &it.vpc_id).filter(|it| **it != group.vpc_id) else {
                continue;
            };
            if let Some(connection) = latest(records, vpc, &group.vpc_id) {
                found.insert((group.id.clone(), vpc.clone(), connection.id.clone()));
            }
        }
    }
    let references =
        found.into_iter().map(|(group, vpc, connection)| ec2::SecurityGroupReference {
            group_id: Some(group.to_string()),
            referencing_vpc_id: Some(vpc.to_string()),
            vpc_peering_connection_id: Some(connection.to_string()),
            ..Default::default()
        });
    Ok(ec2::DescribeSecurityGroupReferencesResult {
        security_group_reference_set: references.collect(),
    })
}
