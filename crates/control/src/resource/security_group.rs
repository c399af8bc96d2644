//! Security groups (SG-*).

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    SecurityGroupId, SecurityGroupRuleId, Tags, VpcId,
    record::{
        NetworkInterface, RulePeer, Scope, SecurityGroup, SecurityGroupRule, Traffic, Vpc,
        VpcEndpoint,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    call::{Answer, Call, find, given, required, text},
    filter::{Fields, flag, select, some},
    page::page,
    query::{Query, View, own, referrers},
    resource::{
        prefix_list,
        security_group_rule::{self as rule, Wanted},
    },
    tags,
};

/// The name of the group that every VPC has (SG-5).
pub(crate) const DEFAULT: &str = "default";

/// Groups in a region, and rules of a group in one direction and family (SG-21). The latter is the
/// group's own quota, which holds always: five groups of sixty rules on an interface keep the
/// bound on their product, too.
const GROUP_QUOTA: usize = 2500;
const RULE_QUOTA: usize = 60;

fn insert(
    call: &Call,
    tx: &mut Transaction,
    group: &SecurityGroupId,
    egress: bool,
    wanted: Wanted,
    tags: Tags,
) -> Arc<SecurityGroupRule> {
    let Wanted { traffic, peer, description } = wanted;
    let id = SecurityGroupRuleId::new(call.random());
    let rule =
        SecurityGroupRule { id, group_id: group.clone(), egress, traffic, peer, description, tags };
    tx.put(&call.scope, rule)
}

fn make(
    call: &Call,
    tx: &mut Transaction,
    vpc_id: &VpcId,
    name: &str,
    description: &str,
    tags: Tags,
) -> Arc<SecurityGroup> {
    let group = SecurityGroup {
        id: SecurityGroupId::new(call.random()),
        vpc_id: vpc_id.clone(),
        name: name.to_owned(),
        description: description.to_owned(),
        created: call.now,
        tags,
    };
    let group = tx.put(&call.scope, group);
    let anywhere = RulePeer::Ipv4(Ipv4Net::default());
    let all = Wanted { traffic: Traffic::All, peer: anywhere, description: None };
    insert(call, tx, &group.id, true, all, Tags::new());
    let vpc = tx.find::<Vpc>(&call.scope, vpc_id.as_str());
    if vpc.is_some_and(|vpc| !vpc.ipv6_cidr_associations.is_empty()) {
        allow_all_ipv6_out(call, tx, &group.id);
    }
    group
}

/// SG-4.
fn allow_all_ipv6_out(call: &Call, tx: &mut Transaction, group: &SecurityGroupId) {
    let anywhere = RulePeer::Ipv6(Ipv6Net::default());
    let all = Wanted { traffic: Traffic::All, peer: anywhere, description: None };
    insert(call, tx, group, true, all, Tags::new());
}

/// Lets all IPv6 out of the default group of a VPC that got its first IPv6 block, unless somebody
/// changed what may go out (SG-4).
pub(crate) fn open_to_ipv6(call: &Call, tx: &mut Transaction, vpc: &VpcId) {
    let Some(default) = named(tx, vpc, DEFAULT).map(|group| group.id.clone()) else { return };
    let anywhere = RulePeer::Ipv4(Ipv4Net::default());
    let untouched = {
        let mut rules = rule::of_group(tx, &default).filter(|it| it.egress);
        let first = rules.next().is_some_and(|it| {
            it.traffic == Traffic::All && it.peer == anywhere && it.description.is_none()
        });
        first && rules.next().is_none()
    };
    if untouched {
        allow_all_ipv6_out(call, tx, &default);
    }
}

/// Makes a VPC's default group (SG-5).
pub(crate) fn make_default(call: &Call, tx: &mut Transaction, vpc: &VpcId) {
    let group = make(call, tx, vpc, DEFAULT, "default VPC security group", Tags::new());
    let peer = RulePeer::Group(group.id.clone());
    let own = Wanted { traffic: Traffic::All, peer, description: None };
    insert(call, tx, &group.id, false, own, Tags::new());
}

/// Removes a group with its rules.
pub(crate) fn remove(call: &Call, tx: &mut Transaction, group: &SecurityGroupId) {
    let rules: Vec<_> = rule::of_group(tx, group).map(|rule| rule.id.clone()).collect();
    for rule in rules {
        tx.remove::<SecurityGroupRule>(&call.scope, rule.as_str());
    }
    tx.remove::<SecurityGroup>(&call.scope, group.as_str());
}

/// The default group of a VPC (SG-7).
pub(crate) fn default_of(records: &Snapshot, vpc: &VpcId) -> Answer<SecurityGroupId> {
    let mut groups = records.referrers::<SecurityGroup>(vpc.as_str());
    let group = groups.find(|group| group.name == DEFAULT);
    group
        .map(|group| group.id.clone())
        .ok_or_else(|| ApiError::internal_error(format!("{vpc} has no default group")))
}

/// The caller's default VPC, where requests may name groups by their names.
fn default_vpc(call: &Call, records: &Snapshot) -> Answer<Arc<Vpc>> {
    let vpc = records.all::<Vpc>(&call.scope).find(|vpc| vpc.is_default).cloned();
    vpc.ok_or_else(ApiError::no_default_vpc)
}

/// The group with a name in a VPC; names don't differ by case (SG-9).
pub(crate) fn named<'a>(
    records: &'a Snapshot,
    vpc: &VpcId,
    name: &str,
) -> Option<&'a Arc<SecurityGroup>> {
    records
        .referrers::<SecurityGroup>(&gureum_store::group_name_reference(name))
        .find(|group| group.vpc_id == *vpc)
}

/// The group that a request names by id, or by name in the default VPC.
fn group(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
    name: &Option<String>,
) -> Answer<Arc<SecurityGroup>> {
    match (given(id), given(name)) {
        (Some(id), _) => find(records, &call.scope, id),
        (None, Some(name)) => {
            let vpc = default_vpc(call, records)?;
            let group = named(records, &vpc.id, name).cloned();
            group.ok_or_else(|| ApiError::not_found(Resource::SecurityGroup, name))
        }
        (None, None) => Err(ApiError::missing_parameter("GroupId")),
    }
}

fn check_words(value: &str, parameter: &str) -> Answer<String> {
    // Trailing spaces are trimmed (SG-8).
    let value = value.trim_end_matches(' ');
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if value.is_empty() || value.len() > 255 || !value.chars().all(allowed) {
        return Err(ApiError::invalid_value(
            value,
            parameter,
            "Character sets beyond ASCII are not supported.",
        ));
    }
    Ok(value.to_owned())
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateSecurityGroupRequest,
) -> Answer<ec2::CreateSecurityGroupResult> {
    let name = check_words(text(&r.group_name, "GroupName")?, "GroupName")?;
    let description = check_words(text(&r.description, "GroupDescription")?, "GroupDescription")?;
    if name.starts_with("sg-") {
        let reason = "Group names may not be in the format sg-*.";
        return Err(ApiError::invalid_value(name, "GroupName", reason));
    }
    let vpc = match given(&r.vpc_id) {
        Some(id) => find::<Vpc>(tx, &call.scope, id)?,
        None => default_vpc(call, tx)?,
    };
    if named(tx, &vpc.id, &name).is_some() {
        return Err(ApiError::duplicate_group(&name, &vpc.id));
    }
    if call.config.aws_quotas && tx.all::<SecurityGroup>(&call.scope).count() >= GROUP_QUOTA {
        return Err(ApiError::limit_exceeded(
            "SecurityGroupLimitExceeded",
            "The maximum number of security groups has been reached.",
        ));
    }
    let tags = tags::on_creation::<SecurityGroup>(&r.tag_specifications)?;
    let group = make(call, tx, &vpc.id, &name, &description, tags);
    Ok(ec2::CreateSecurityGroupResult {
        group_id: Some(group.id.to_string()),
        tags: tags::shown(&group.tags),
        security_group_arn: Some(call.arn("security-group", &group.id)),
    })
}

/// Not while an interface has it or a rule of another group of its VPC refers to it (SG-24, SG-25).
/// Rules of peer VPCs do not hold it: they become stale (SG-34).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteSecurityGroupRequest,
) -> Answer<ec2::DeleteSecurityGroupResult> {
    let group = group(call, tx, &r.group_id, &r.group_name)?;
    if group.name == DEFAULT {
        return Err(ApiError::default_group(&group.id));
    }
    let id = group.id.as_str();
    let referred = tx.referrers::<SecurityGroupRule>(id).any(|rule| {
        let other = tx.find::<SecurityGroup>(&call.scope, rule.group_id.as_str());
        rule.group_id != group.id && other.is_some_and(|it| it.vpc_id == group.vpc_id)
    });
    let in_use = tx.referrers::<NetworkInterface>(id).next().is_some()
        || tx.referrers::<VpcEndpoint>(id).next().is_some();
    if referred || in_use {
        return Err(ApiError::has_dependencies(Resource::SecurityGroup, id));
    }
    remove(call, tx, &group.id);
    Ok(ec2::DeleteSecurityGroupResult { r#return: Some(true), group_id: Some(id.to_owned()) })
}

fn shown(call: &Call, records: &Snapshot, group: &SecurityGroup) -> ec2::SecurityGroup {
    let permissions = |egress| {
        let rules = rule::of_group(records, &group.id).filter(move |it| it.egress == egress);
        rule::permissions(
            call,
            records,
            &group.vpc_id,
            rules.map(|it| (it.traffic, &it.peer, &it.description)),
        )
    };
    ec2::SecurityGroup {
        group_id: Some(group.id.to_string()),
        ip_permissions_egress: permissions(true),
        tags: tags::shown(&group.tags),
        vpc_id: Some(group.vpc_id.to_string()),
        security_group_arn: Some(call.arn("security-group", &group.id)),
        owner_id: Some(call.account().to_string()),
        group_name: Some(group.name.clone()),
        description: Some(group.description.clone()),
        ip_permissions: permissions(false),
    }
}

fn values(
    permissions: &[ec2::IpPermission],
    of: fn(&ec2::IpPermission) -> Vec<String>,
) -> Vec<String> {
    permissions.iter().flat_map(of).collect()
}

fn cidrs(it: &ec2::IpPermission) -> Vec<String> {
    it.ip_ranges.iter().filter_map(|it| it.cidr_ip.clone()).collect()
}

fn ipv6_cidrs(it: &ec2::IpPermission) -> Vec<String> {
    it.ipv6_ranges.iter().filter_map(|it| it.cidr_ipv6.clone()).collect()
}

fn from_ports(it: &ec2::IpPermission) -> Vec<String> {
    it.from_port.iter().map(ToString::to_string).collect()
}

fn to_ports(it: &ec2::IpPermission) -> Vec<String> {
    it.to_port.iter().map(ToString::to_string).collect()
}

fn group_ids(it: &ec2::IpPermission) -> Vec<String> {
    it.user_id_group_pairs.iter().filter_map(|it| it.group_id.clone()).collect()
}

fn group_names(it: &ec2::IpPermission) -> Vec<String> {
    it.user_id_group_pairs.iter().filter_map(|it| it.group_name.clone()).collect()
}

fn user_ids(it: &ec2::IpPermission) -> Vec<String> {
    it.user_id_group_pairs.iter().filter_map(|it| it.user_id.clone()).collect()
}

fn prefix_lists(it: &ec2::IpPermission) -> Vec<String> {
    it.prefix_list_ids.iter().filter_map(|it| it.prefix_list_id.clone()).collect()
}

fn protocols(it: &ec2::IpPermission) -> Vec<String> {
    some(&it.ip_protocol)
}

const FIELDS: &Fields<ec2::SecurityGroup> = &[
    ("description", |it| some(&it.description)),
    ("egress.ip-permission.cidr", |it| values(&it.ip_permissions_egress, cidrs)),
    ("egress.ip-permission.from-port", |it| values(&it.ip_permissions_egress, from_ports)),
    ("egress.ip-permission.group-id", |it| values(&it.ip_permissions_egress, group_ids)),
    ("egress.ip-permission.group-name", |it| values(&it.ip_permissions_egress, group_names)),
    ("egress.ip-permission.ipv6-cidr", |it| values(&it.ip_permissions_egress, ipv6_cidrs)),
    ("egress.ip-permission.prefix-list-id", |it| values(&it.ip_permissions_egress, prefix_lists)),
    ("egress.ip-permission.protocol", |it| values(&it.ip_permissions_egress, protocols)),
    ("egress.ip-permission.to-port", |it| values(&it.ip_permissions_egress, to_ports)),
    ("egress.ip-permission.user-id", |it| values(&it.ip_permissions_egress, user_ids)),
    ("group-id", |it| some(&it.group_id)),
    ("group-name", |it| some(&it.group_name)),
    ("ip-permission.cidr", |it| values(&it.ip_permissions, cidrs)),
    ("ip-permission.from-port", |it| values(&it.ip_permissions, from_ports)),
    ("ip-permission.group-id", |it| values(&it.ip_permissions, group_ids)),
    ("ip-permission.group-name", |it| values(&it.ip_permissions, group_names)),
    ("ip-permission.ipv6-cidr", |it| values(&it.ip_permissions, ipv6_cidrs)),
    ("ip-permission.prefix-list-id", |it| values(&it.ip_permissions, prefix_lists)),
    ("ip-permission.protocol", |it| values(&it.ip_permissions, protocols)),
    ("ip-permission.to-port", |it| values(&it.ip_permissions, to_ports)),
    ("ip-permission.user-id", |it| values(&it.ip_permissions, user_ids)),
    ("owner-id", |it| some(&it.owner_id)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

fn of_name(records: &Snapshot, scope: &Scope, name: &str) -> Vec<Arc<SecurityGroup>> {
    referrers(records, scope, &gureum_store::group_name_reference(name))
}

/// The groups that have a rule about this group.
fn about_group(records: &Snapshot, scope: &Scope, id: &str) -> Vec<Arc<SecurityGroup>> {
    let rules = referrers::<SecurityGroupRule>(records, scope, id);
    rules.iter().flat_map(|rule| own(records, scope, rule.group_id.as_str())).collect()
}

const VIEW: View<SecurityGroup, ec2::SecurityGroup> = View {
    fields: FIELDS,
    index: &[
        ("egress.ip-permission.group-id", about_group),
        ("group-id", own),
        ("group-name", of_name),
        ("ip-permission.group-id", about_group),
        ("vpc-id", referrers),
    ],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeSecurityGroupsRequest,
) -> Answer<ec2::DescribeSecurityGroupsResult> {
    let mut found = Vec::new();
    for id in &r.group_ids {
        found.push(find::<SecurityGroup>(records, &call.scope, id)?);
    }
    for name in &r.group_names {
        found.push(group(call, records, &None, &Some(name.clone()))?);
    }
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    if r.group_ids.is_empty() && r.group_names.is_empty() {
        found = query.candidates(records, &call.scope, &[], VIEW.index)?;
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    let (security_groups, next_token) = query.page(&found, &VIEW, |it| shown(call, records, it))?;
    Ok(ec2::DescribeSecurityGroupsResult { next_token, security_groups })
}

/// The members of a request that named one rule before there were permissions.
struct Flat<'a> {
    protocol: &'a Option<String>,
    from_port: Option<i32>,
    to_port: Option<i32>,
    cidr: &'a Option<String>,
    group_name: &'a Option<String>,
    group_owner: &'a Option<String>,
}

/// The permissions of a request, in either way of saying them.
fn permissions(list: &[ec2::IpPermission], flat: Flat<'_>) -> Answer<Vec<ec2::IpPermission>> {
    let named = given(flat.group_name).is_some();
    let is_flat = given(flat.protocol).is_some() || given(flat.cidr).is_some() || named;
    if !is_flat {
        return Ok(list.to_vec());
    }
    if !list.is_empty() {
        return Err(ApiError::invalid_parameter_combination(
            "The parameter ipPermissions may not be used in combination with ipProtocol, cidrIp \
             or sourceSecurityGroupName.",
        ));
    }
    let mut permission = ec2::IpPermission {
        // A group alone stands for all of its traffic.
        ip_protocol: flat.protocol.clone().or(named.then(|| "-1".to_owned())),
        from_port: flat.from_port,
        to_port: flat.to_port,
        ..Default::default()
    };
    if given(flat.cidr).is_some() {
        let cidr_ip = flat.cidr.clone();
        permission.ip_ranges.push(ec2::IpRange { description: None, cidr_ip });
    }
    if named {
        permission.user_id_group_pairs.push(ec2::UserIdGroupPair {
            group_name: flat.group_name.clone(),
            user_id: flat.group_owner.clone(),
            ..Default::default()
        });
    }
    Ok(vec![permission])
}

fn authorize(
    call: &Call,
    tx: &mut Transaction,
    group: &SecurityGroup,
    egress: bool,
    permissions: &[ec2::IpPermission],
    specifications: &[ec2::TagSpecification],
) -> Answer<Vec<ec2::SecurityGroupRule>> {
    if permissions.is_empty() {
        return Err(ApiError::missing_parameter("IpPermissions"));
    }
    let wanted = rule::wanted(call, tx, &group.vpc_id, &[], permissions)?;
    let tags = tags::on_creation::<SecurityGroupRule>(specifications)?;
    let present: Vec<_> =
        rule::of_group(tx, &group.id).filter(|it| it.egress == egress).cloned().collect();
    if let Some(twice) = wanted.iter().find(|it| present.iter().any(|rule| it.is(rule))) {
        return Err(ApiError::duplicate_permission(rule::in_words(twice.traffic, &twice.peer)));
    }
    let peers = present.iter().map(|it| &it.peer).chain(wanted.iter().map(|it| &it.peer));
    check_count(call, tx, peers)?;
    let made: Vec<_> = wanted
        .into_iter()
        .map(|it| insert(call, tx, &group.id, egress, it, tags.clone()))
        .collect();
    Ok(made.iter().map(|it| rule::shown(call, tx, it)).collect())
}

/// IPv4 and IPv6 rules count apart; a group counts as either, a prefix list as many times as it
/// may have entries (SG-21, SG-22).
fn check_count<'a>(
    call: &Call,
    records: &Snapshot,
    peers: impl Iterator<Item = &'a RulePeer>,
) -> Answer<()> {
    let (mut ipv4, mut ipv6) = (0, 0);
    for peer in peers {
        let (in_ipv4, in_ipv6) = match peer {
            RulePeer::Ipv4(_) => (1, 0),
            RulePeer::Ipv6(_) => (0, 1),
            RulePeer::Group(_) => (1, 1),
            RulePeer::PrefixList(id) => match prefix_list::find(call, records, id.as_str()) {
                Some(list) if list.ipv6 => (0, list.max_entries as usize),
                Some(list) => (list.max_entries as usize, 0),
                None => (0, 0),
            },
        };
        (ipv4, ipv6) = (ipv4 + in_ipv4, ipv6 + in_ipv6);
    }
    match ipv4.max(ipv6) > RULE_QUOTA {
        true => Err(ApiError::rules_per_group_exceeded()),
        false => Ok(()),
    }
}

/// Whether the rules of a group are not too many, as they are now.
pub(crate) fn check_counts(call: &Call, records: &Snapshot, group: &SecurityGroupId) -> Answer<()> {
    for egress in [false, true] {
        let rules = rule::of_group(records, group).filter(|it| it.egress == egress);
        check_count(call, records, rules.map(|it| &it.peer))?;
    }
    Ok(())
}

pub(crate) fn authorize_ingress(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AuthorizeSecurityGroupIngressRequest,
) -> Answer<ec2::AuthorizeSecurityGroupIngressResult> {
    let group = group(call, tx, &r.group_id, &r.group_name)?;
    let flat = Flat {
        protocol: &r.ip_protocol,
        from_port: r.from_port,
        to_port: r.to_port,
        cidr: &r.cidr_ip,
        group_name: &r.source_security_group_name,
        group_owner: &r.source_security_group_owner_id,
    };
    let permissions = permissions(&r.ip_permissions, flat)?;
    let rules = authorize(call, tx, &group, false, &permissions, &r.tag_specifications)?;
    Ok(ec2::AuthorizeSecurityGroupIngressResult {
        r#return: Some(true),
        security_group_rules: rules,
    })
}

pub(crate) fn authorize_egress(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AuthorizeSecurityGroupEgressRequest,
) -> Answer<ec2::AuthorizeSecurityGroupEgressResult> {
    let group = required::<SecurityGroup>(tx, &call.scope, &r.group_id, "GroupId")?;
    let flat = Flat {
        protocol: &r.ip_protocol,
        from_port: r.from_port,
        to_port: r.to_port,
        cidr: &r.cidr_ip,
        group_name: &r.source_security_group_name,
        group_owner: &r.source_security_group_owner_id,
    };
    let permissions = permissions(&r.ip_permissions, flat)?;
    let rules = authorize(call, tx, &group, true, &permissions, &r.tag_specifications)?;
    Ok(ec2::AuthorizeSecurityGroupEgressResult {
        r#return: Some(true),
        security_group_rules: rules,
    })
}

/// What a revocation did: the rules that went, and the permissions that were not there.
type Revocation = (Vec<ec2::RevokedSecurityGroupRule>, Vec<ec2::IpPermission>);

fn revoke(
    call: &Call,
    tx: &mut Transaction,
    group: &SecurityGroup,
    egress: bool,
    permissions: &[ec2::IpPermission],
    rule_ids: &[String],
) -> Answer<Revocation> {
    let mut going = Vec::new();
    let mut unknown = Vec::new();
    for id in rule_ids {
        let rule = find::<SecurityGroupRule>(tx, &call.scope, id)?;
        if rule.group_id != group.id || rule.egress != egress {
            return Err(ApiError::not_found(Resource::SecurityGroupRule, id));
        }
        going.push(rule);
    }
    if rule_ids.is_empty() {
        if permissions.is_empty() {
            return Err(ApiError::missing_parameter("IpPermissions"));
        }
        let present: Vec<_> =
            rule::of_group(tx, &group.id).filter(|it| it.egress == egress).cloned().collect();
        let known = rule::referred(tx, &group.id);
        for wanted in rule::wanted(call, tx, &group.vpc_id, &known, permissions)? {
            match present.iter().find(|rule| wanted.is(rule)) {
                Some(rule) => going.push(rule.clone()),
                None => unknown.push(wanted),
            }
        }
    }
    // Only a default VPC takes the absence of a rule for done (SG-20).
    if !unknown.is_empty() {
        let vpc = find::<Vpc>(tx, &call.scope, group.vpc_id.as_str())?;
        if !vpc.is_default {
            return Err(ApiError::permission_not_found());
        }
    }
    for rule in &going {
        tx.remove::<SecurityGroupRule>(&call.scope, rule.id.as_str());
    }
    let unknown = unknown.iter().map(|it| (it.traffic, &it.peer, &it.description));
    let unknown = rule::permissions(call, tx, &group.vpc_id, unknown);
    Ok((going.iter().map(|it| rule::revoked(it)).collect(), unknown))
}

pub(crate) fn revoke_ingress(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RevokeSecurityGroupIngressRequest,
) -> Answer<ec2::RevokeSecurityGroupIngressResult> {
    let group = group(call, tx, &r.group_id, &r.group_name)?;
    let flat = Flat {
        protocol: &r.ip_protocol,
        from_port: r.from_port,
        to_port: r.to_port,
        cidr: &r.cidr_ip,
        group_name: &r.source_security_group_name,
        group_owner: &r.source_security_group_owner_id,
    };
    let permissions = permissions(&r.ip_permissions, flat)?;
    let (revoked, unknown) =
        revoke(call, tx, &group, false, &permissions, &r.security_group_rule_ids)?;
    Ok(ec2::RevokeSecurityGroupIngressResult {
        r#return: Some(true),
        unknown_ip_permissions: unknown,
        revoked_security_group_rules: revoked,
    })
}

pub(crate) fn revoke_egress(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RevokeSecurityGroupEgressRequest,
) -> Answer<ec2::RevokeSecurityGroupEgressResult> {
    let group = required::<SecurityGroup>(tx, &call.scope, &r.group_id, "GroupId")?;
    let flat = Flat {
        protocol: &r.ip_protocol,
        from_port: r.from_port,
        to_port: r.to_port,
        cidr: &r.cidr_ip,
        group_name: &r.source_security_group_name,
        group_owner: &r.source_security_group_owner_id,
    };
    let permissions = permissions(&r.ip_permissions, flat)?;
    let (revoked, unknown) =
        revoke(call, tx, &group, true, &permissions, &r.security_group_rule_ids)?;
    Ok(ec2::RevokeSecurityGroupEgressResult {
        r#return: Some(true),
        unknown_ip_permissions: unknown,
        revoked_security_group_rules: revoked,
    })
}

const FOR_VPC_FIELDS: &Fields<ec2::SecurityGroupForVpc> = &[
    ("description", |it| some(&it.description)),
    ("group-id", |it| some(&it.group_id)),
    ("group-name", |it| some(&it.group_name)),
    ("owner-id", |it| some(&it.owner_id)),
    ("primary-vpc-id", |it| some(&it.primary_vpc_id)),
];

/// The groups that interfaces of a VPC may have: its own.
pub(crate) fn for_vpc(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetSecurityGroupsForVpcRequest,
) -> Answer<ec2::GetSecurityGroupsForVpcResult> {
    let vpc = required::<Vpc>(records, &call.scope, &r.vpc_id, "VpcId")?;
    let groups = records.referrers::<SecurityGroup>(vpc.id.as_str());
    let groups = groups.map(|group| ec2::SecurityGroupForVpc {
        description: Some(group.description.clone()),
        group_name: Some(group.name.clone()),
        owner_id: Some(call.account().to_string()),
        group_id: Some(group.id.to_string()),
        tags: tags::shown(&group.tags),
        primary_vpc_id: Some(vpc.id.to_string()),
    });
    let groups = select(groups.collect(), &r.filters, FOR_VPC_FIELDS, Some(|it| &it.tags))?;
    let (security_group_for_vpcs, next_token) =
        page(groups, r.max_results, &r.next_token, |it| it.group_id.as_deref())?;
    Ok(ec2::GetSecurityGroupsForVpcResult { next_token, security_group_for_vpcs })
}

const RULE_FIELDS: &Fields<ec2::SecurityGroupRule> = &[
    ("group-id", |it| some(&it.group_id)),
    ("is-egress", |it| flag(it.is_egress)),
    ("security-group-rule-id", |it| some(&it.security_group_rule_id)),
];

const RULE_VIEW: View<SecurityGroupRule, ec2::SecurityGroupRule> = View {
    fields: RULE_FIELDS,
    index: &[("group-id", referrers), ("security-group-rule-id", own)],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe_rules(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeSecurityGroupRulesRequest,
) -> Answer<ec2::DescribeSecurityGroupRulesResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (security_group_rules, next_token) =
        query.answer(records, &call.scope, &r.security_group_rule_ids, &RULE_VIEW, |it| {
            rule::shown(call, records, it)
        })?;
    Ok(ec2::DescribeSecurityGroupRulesResult { security_group_rules, next_token })
}

/// Edits rules in place; their ids stay (SG-11).
pub(crate) fn modify_rules(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifySecurityGroupRulesRequest,
) -> Answer<ec2::ModifySecurityGroupRulesResult> {
    let group = required::<SecurityGroup>(tx, &call.scope, &r.group_id, "GroupId")?;
    for update in &r.security_group_rules {
        let id = text(&update.security_group_rule_id, "SecurityGroupRuleId")?;
        let present = find::<SecurityGroupRule>(tx, &call.scope, id)?;
        if present.group_id != group.id {
            return Err(ApiError::not_found(Resource::SecurityGroupRule, id));
        }
        let Some(wanted) = &update.security_group_rule else {
            return Err(ApiError::missing_parameter("SecurityGroupRule"));
        };
        let protocol = text(&wanted.ip_protocol, "IpProtocol")?;
        let traffic = rule::traffic(protocol, wanted.from_port, wanted.to_port)?;
        let peers = [
            given(&wanted.cidr_ipv4).map(|_| rule::ipv4_peer(&wanted.cidr_ipv4)),
            given(&wanted.cidr_ipv6).map(|_| rule::ipv6_peer(&wanted.cidr_ipv6)),
            given(&wanted.prefix_list_id)
                .map(|_| rule::prefix_list_peer(call, tx, &wanted.prefix_list_id)),
            given(&wanted.referenced_group_id)
                .map(|id| rule::group_peer(call, tx, &group.vpc_id, None, id)),
        ];
        let mut peers = peers.into_iter().flatten();
        let (Some(peer), None) = (peers.next(), peers.next()) else {
            return Err(ApiError::invalid_parameter_value(format!(
                "The rule {id} must name exactly one of CidrIpv4, CidrIpv6, PrefixListId and \
                 ReferencedGroupId."
            )));
        };
        let changed = SecurityGroupRule {
            traffic,
            peer: peer?,
            description: rule::description(&wanted.description)?,
            ..(*present).clone()
        };
        let twice = rule::of_group(tx, &group.id).any(|it| {
            it.id != changed.id
                && (it.egress, it.traffic, &it.peer)
                    == (changed.egress, changed.traffic, &changed.peer)
        });
        if twice {
            return Err(ApiError::duplicate_permission(rule::in_words(
                changed.traffic,
                &changed.peer,
            )));
        }
        tx.put(&call.scope, changed);
    }
    check_counts(call, tx, &group.id)?;
    Ok(ec2::ModifySecurityGroupRulesResult { r#return: Some(true) })
}

fn describe_anew(
    call: &Call,
    tx: &mut Transaction,
    group: &SecurityGroup,
    egress: bool,
    permissions: &[ec2::IpPermission],
    descriptions: &[ec2::SecurityGroupRuleDescription],
) -> Answer<()> {
    if permissions.is_empty() && descriptions.is_empty() {
        return Err(ApiError::missing_parameter("IpPermissions"));
    }
    let mut changes = Vec::new();
    let known = rule::referred(tx, &group.id);
    for wanted in rule::wanted(call, tx, &group.vpc_id, &known, permissions)? {
        let rule = rule::of_group(tx, &group.id)
            .find(|it| it.egress == egress && wanted.is(it))
            .ok_or_else(ApiError::permission_not_found)?;
        changes.push((rule.id.clone(), wanted.description));
    }
    for wanted in descriptions {
        let id = text(&wanted.security_group_rule_id, "SecurityGroupRuleId")?;
        let rule = find::<SecurityGroupRule>(tx, &call.scope, id)?;
        if rule.group_id != group.id || rule.egress != egress {
            return Err(ApiError::not_found(Resource::SecurityGroupRule, id));
        }
        changes.push((rule.id.clone(), rule::description(&wanted.description)?));
    }
    for (id, description) in changes {
        tx.update::<SecurityGroupRule>(&call.scope, id.as_str(), |rule| {
            rule.description = description;
        });
    }
    Ok(())
}

pub(crate) fn describe_ingress_anew(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::UpdateSecurityGroupRuleDescriptionsIngressRequest,
) -> Answer<ec2::UpdateSecurityGroupRuleDescriptionsIngressResult> {
    let group = group(call, tx, &r.group_id, &r.group_name)?;
    let descriptions = &r.security_group_rule_descriptions;
    describe_anew(call, tx, &group, false, &r.ip_permissions, descriptions)?;
    Ok(ec2::UpdateSecurityGroupRuleDescriptionsIngressResult { r#return: Some(true) })
}

pub(crate) fn describe_egress_anew(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::UpdateSecurityGroupRuleDescriptionsEgressRequest,
) -> Answer<ec2::UpdateSecurityGroupRuleDescriptionsEgressResult> {
    let group = group(call, tx, &r.group_id, &r.group_name)?;
    let descriptions = &r.security_group_rule_descriptions;
    describe_anew(call, tx, &group, true, &r.ip_permissions, descriptions)?;
    Ok(ec2::UpdateSecurityGroupRuleDescriptionsEgressResult { r#return: Some(true) })
}
