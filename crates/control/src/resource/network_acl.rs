//! Network ACLs (NACL-*): entries, and which subnets they guard. Every subnet has exactly one.

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    IpProtocol, NetworkAclAssociationId, NetworkAclId, SubnetId, VpcId,
    record::{NetworkAcl, NetworkAclAssociation, NetworkAclEntry, Subnet, Traffic, Vpc},
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    call::{Answer, Call, given, required, text},
    filter::{Fields, flag, some},
    query::{Query, View, own, referrers},
    resource::{cidr, idempotency},
    tags,
};

/// How many ACLs a VPC may have (NACL-16).
const ACL_QUOTA: usize = 200;
/// How many entries one direction may have in one address family, the closing one included: the
/// default quota, the highest (NACL-16).
const ENTRY_QUOTA: (usize, usize) = (20, 40);
/// The number of the closing entry for IPv4, and that for IPv6 (NACL-3).
const CLOSING: i32 = 32767;
const CLOSING_IPV6: i32 = 32768;
/// The number of the entry that lets all IPv6 pass the default ACL (NACL-4).
const OPEN_IPV6: u16 = 101;

/// An ACL as answers show it: egress first, each direction closed by its `*` entry (NACL-3).
fn shown(call: &Call, records: &Snapshot, acl: &NetworkAcl) -> ec2::NetworkAcl {
    let vpc = records.find::<Vpc>(&call.scope, acl.vpc_id.as_str());
    let ipv6 = vpc.is_some_and(|vpc| !vpc.ipv6_cidr_associations.is_empty());
    let mut entries = Vec::with_capacity(acl.entries.len() + 4);
    for egress in [true, false] {
        let mut direction: Vec<_> = acl.entries.iter().filter(|it| it.egress == egress).collect();
        direction.sort_by_key(|it| it.rule_number);
        entries.extend(direction.into_iter().map(shown_entry));
        entries.push(ec2::NetworkAclEntry {
            cidr_block: Some(Ipv4Net::default().to_string()),
            egress: Some(egress),
            protocol: Some("-1".into()),
            rule_action: Some("deny".into()),
            rule_number: Some(CLOSING),
            ..Default::default()
        });
        if ipv6 {
            entries.push(ec2::NetworkAclEntry {
                ipv6_cidr_block: Some(Ipv6Net::default().to_string()),
                egress: Some(egress),
                protocol: Some("-1".into()),
                rule_action: Some("deny".into()),
                rule_number: Some(CLOSING_IPV6),
                ..Default::default()
            });
        }
    }
    let associations = acl.associations.iter().map(|it| ec2::NetworkAclAssociation {
        network_acl_association_id: Some(it.id.to_string()),
        network_acl_id: Some(acl.id.to_string()),
        subnet_id: Some(it.subnet_id.to_string()),
    });
    ec2::NetworkAcl {
        associations: associations.collect(),
        entries,
        is_default: Some(acl.is_default),
        network_acl_id: Some(acl.id.to_string()),
        tags: tags::shown(&acl.tags),
        vpc_id: Some(acl.vpc_id.to_string()),
        owner_id: Some(call.account().to_string()),
    }
}

fn shown_entry(entry: &NetworkAclEntry) -> ec2::NetworkAclEntry {
    let any = |value: Option<u8>| Some(value.map_or(-1, i32::from));
    let (protocol, port_range, icmp_type_code) = match entry.traffic {
        Traffic::All => ("-1".to_owned(), None, None),
        Traffic::Ports { protocol, from, to } => {
            let range = ec2::PortRange { from: Some(from.into()), to: Some(to.into()) };
            (protocol.0.to_string(), Some(range), None)
        }
        Traffic::Icmp { protocol, icmp_type, icmp_code } => {
            let icmp = ec2::IcmpTypeCode { code: any(icmp_code), r#type: any(icmp_type) };
            (protocol.0.to_string(), None, Some(icmp))
        }
        Traffic::Protocol(protocol) => (protocol.0.to_string(), None, None),
    };
    let (cidr_block, ipv6_cidr_block) = match entry.cidr {
        IpNet::V4(block) => (Some(block.to_string()), None),
        IpNet::V6(block) => (None, Some(block.to_string())),
    };
    ec2::NetworkAclEntry {
        cidr_block,
        egress: Some(entry.egress),
        icmp_type_code,
        ipv6_cidr_block,
        port_range,
        protocol: Some(protocol),
        rule_action: Some(if entry.allow { "allow" } else { "deny" }.into()),
        rule_number: Some(entry.rule_number.into()),
    }
}

macro_rules! of_associations {
    ($field:ident) => {
        |it| it.associations.iter().filter_map(|found| found.$field.clone()).collect()
    };
}

macro_rules! of_entries {
    (|$entry:ident| $value:expr) => {
        |it| {
            let values = it.entries.iter().filter_map(|$entry| $value);
            values.map(|value| value.to_string()).collect()
        }
    };
}

const FIELDS: &Fields<ec2::NetworkAcl> = &[
    ("association.association-id", of_associations!(network_acl_association_id)),
    ("association.network-acl-id", of_associations!(network_acl_id)),
    ("association.subnet-id", of_associations!(subnet_id)),
    ("default", |it| flag(it.is_default)),
    ("entry.cidr", of_entries!(|entry| entry.cidr_block.clone())),
    ("entry.egress", of_entries!(|entry| entry.egress)),
    ("entry.icmp.code", of_entries!(|entry| entry.icmp_type_code.as_ref()?.code)),
    ("entry.icmp.type", of_entries!(|entry| entry.icmp_type_code.as_ref()?.r#type)),
    ("entry.ipv6-cidr", of_entries!(|entry| entry.ipv6_cidr_block.clone())),
    ("entry.port-range.from", of_entries!(|entry| entry.port_range.as_ref()?.from)),
    ("entry.port-range.to", of_entries!(|entry| entry.port_range.as_ref()?.to)),
    ("entry.protocol", of_entries!(|entry| entry.protocol.clone())),
    ("entry.rule-action", of_entries!(|entry| entry.rule_action.clone())),
    ("entry.rule-number", of_entries!(|entry| entry.rule_number)),
    ("network-acl-id", |it| some(&it.network_acl_id)),
    ("owner-id", |it| some(&it.owner_id)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

const VIEW: View<NetworkAcl, ec2::NetworkAcl> = View {
    fields: FIELDS,
    index: &[
        ("association.association-id", referrers),
        ("association.subnet-id", referrers),
        ("network-acl-id", own),
        ("association.network-acl-id", own),
        ("vpc-id", referrers),
    ],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkAclsRequest,
) -> Answer<ec2::DescribeNetworkAclsResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (network_acls, next_token) =
        query.answer(records, &call.scope, &r.network_acl_ids, &VIEW, |it| {
            shown(call, records, it)
        })?;
    Ok(ec2::DescribeNetworkAclsResult { network_acls, next_token })
}

/// A new ACL guards nothing and blocks everything (NACL-5).
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNetworkAclRequest,
) -> Answer<ec2::CreateNetworkAclResult> {
    let answer = |tx: &Transaction, acl: &NetworkAcl| ec2::CreateNetworkAclResult {
        network_acl: Some(shown(call, tx, acl)),
        client_token: r.client_token.clone(),
    };
    let make = |tx: &mut Transaction| {
        let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
        let count = tx.referrers::<NetworkAcl>(vpc.id.as_str()).count();
        if call.config.aws_quotas && count >= ACL_QUOTA {
            return Err(ApiError::limit_exceeded(
                "NetworkAclLimitExceeded",
                "The maximum number of network ACLs has been reached.",
            ));
        }
        let acl = NetworkAcl {
            id: NetworkAclId::new(call.random()),
            vpc_id: vpc.id.clone(),
            is_default: false,
            entries: Vec::new(),
            associations: Vec::new(),
            created: call.now,
            tags: tags::on_creation::<NetworkAcl>(&r.tag_specifications)?,
        };
        let acl = tx.put(&call.scope, acl);
        Ok((vec![acl.id.to_string()], answer(tx, &acl)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let acl = made.first().and_then(|id| tx.find::<NetworkAcl>(&call.scope, id));
        Ok(acl.map(|acl| answer(tx, acl)))
    };
    idempotency::once(call, tx, "CreateNetworkAcl", &r.client_token, r, make, again)
}

/// Not the default one, and none that guards a subnet (NACL-8).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkAclRequest,
) -> Answer<()> {
    let acl = named(call, tx, &r.network_acl_id)?;
    if acl.is_default {
        return Err(ApiError::default_acl(&acl.id));
    }
    if !acl.associations.is_empty() {
        return Err(ApiError::has_dependencies(Resource::NetworkAcl, &acl.id));
    }
    tx.remove::<NetworkAcl>(&call.scope, acl.id.as_str());
    Ok(())
}

fn named(call: &Call, records: &Snapshot, id: &Option<String>) -> Answer<Arc<NetworkAcl>> {
    required::<NetworkAcl>(records, &call.scope, id, "NetworkAclId")
}

/// A number that callers may give to an entry (NACL-3).
fn rule_number(number: Option<i32>) -> Answer<u16> {
    let number = number.ok_or_else(|| ApiError::missing_parameter("RuleNumber"))?;
    u16::try_from(number).ok().filter(|it| (1..CLOSING).contains(&i32::from(*it))).ok_or_else(
        || {
            let reason = "Rule numbers must be between 1 and 32766.";
            ApiError::invalid_value(number, "ruleNumber", reason)
        },
    )
}

fn place_of(acl: &NetworkAcl, number: u16, egress: bool) -> Option<usize> {
    acl.entries.iter().position(|it| it.rule_number == number && it.egress == egress)
}

/// Creation and replacement take the same parameters.
macro_rules! entry {
    ($r:expr) => {{
        let cidr = block(&$r.cidr_block, &$r.ipv6_cidr_block)?;
        let protocol = text(&$r.protocol, "Protocol")?;
        NetworkAclEntry {
            rule_number: rule_number($r.rule_number)?,
            egress: $r.egress.unwrap_or_default(),
            allow: text(&$r.rule_action, "RuleAction")? == "allow",
            traffic: traffic(protocol, &$r.icmp_type_code, &$r.port_range, cidr)?,
            cidr,
        }
    }};
}

/// The block of an entry: of one family (NACL-9), canonicalised (NACL-14).
fn block(ipv4: &Option<String>, ipv6: &Option<String>) -> Answer<IpNet> {
    match (given(ipv4), given(ipv6)) {
        (Some(text), None) => Ok(cidr::ipv4(text, "cidrBlock")?.into()),
        (None, Some(text)) => Ok(cidr::ipv6(text, "ipv6CidrBlock")?.into()),
        (None, None) => Err(ApiError::missing_parameter("CidrBlock")),
        (Some(_), Some(_)) => Err(ApiError::invalid_parameter_combination(
            "The parameters cidrBlock and ipv6CidrBlock cannot be used together.",
        )),
    }
}

/// What an entry speaks of. What its protocol has no use for is ignored, as by AWS: clients send
/// a port range of 0 to 0 with protocol -1 (NACL-10).
pub(crate) fn traffic(
    protocol: &str,
    icmp: &Option<ec2::IcmpTypeCode>,
    ports: &Option<ec2::PortRange>,
    cidr: IpNet,
) -> Answer<Traffic> {
    if protocol == "-1" {
        return Ok(Traffic::All);
    }
    let number = protocol.parse::<u8>().map_err(|_| {
        let reason = "A protocol is a number from 0 to 255, or -1 for all protocols.";
        ApiError::invalid_value(protocol, "protocol", reason)
    })?;
    let protocol = IpProtocol(number);
    match (protocol, cidr) {
        (IpProtocol::TCP | IpProtocol::UDP, _) => port_range(protocol, ports),
        (IpProtocol::ICMPV6, IpNet::V4(_)) => {
            Ok(Traffic::Icmp { protocol, icmp_type: None, icmp_code: None })
        }
        (IpProtocol::ICMP | IpProtocol::ICMPV6, _) => icmp_type_code(protocol, icmp),
        _ => Ok(Traffic::Protocol(protocol)),
    }
}

fn port_range(protocol: IpProtocol, ports: &Option<ec2::PortRange>) -> Answer<Traffic> {
    let missing = |name| move || ApiError::missing_parameter(name);
    let range = ports.as_ref().ok_or_else(missing("PortRange"))?;
    let from = range.from.ok_or_else(missing("PortRange.From"))?;
    let to = range.to.ok_or_else(missing("PortRange.To"))?;
    match (u16::try_from(from), u16::try_from(to)) {
        (Ok(first), Ok(last)) if first <= last => {
            Ok(Traffic::Ports { protocol, from: first, to: last })
        }
        _ => {
            let reason = "Ports must be between 0 and 65535, the first not above the last.";
            Err(ApiError::invalid_value(format!("{from}-{to}"), "portRange", reason))
        }
    }
}

/// -1 is any (NACL-11); a code without a type says nothing.
fn icmp_type_code(protocol: IpProtocol, icmp: &Option<ec2::IcmpTypeCode>) -> Answer<Traffic> {
    let missing = |name| move || ApiError::missing_parameter(name);
    let icmp = icmp.as_ref().ok_or_else(missing("Icmp"))?;
    let value = |number: i32, parameter| match number {
        -1 => Ok(None),
        number => u8::try_from(number).map(Some).map_err(|_| {
            let reason = "Expecting a value from 0 to 255, or -1 for any.";
            ApiError::invalid_value(number, parameter, reason)
        }),
    };
    let icmp_type = value(icmp.r#type.ok_or_else(missing("Icmp.Type"))?, "icmpType")?;
    let code = icmp.code.ok_or_else(missing("Icmp.Code"))?;
    let icmp_code = value(code, "icmpCode")?;
    if icmp_type.is_none() && icmp_code.is_some() {
        let reason = "A code must be -1 when the type is -1.";
        return Err(ApiError::invalid_value(code, "icmpCode", reason));
    }
    Ok(Traffic::Icmp { protocol, icmp_type, icmp_code })
}

pub(crate) fn create_entry(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNetworkAclEntryRequest,
) -> Answer<()> {
    let acl = named(call, tx, &r.network_acl_id)?;
    let entry = entry!(r);
    if place_of(&acl, entry.rule_number, entry.egress).is_some() {
        return Err(ApiError::acl_entry_already_exists(entry.rule_number.into()));
    }
    check_entry_quota(call, &acl, &entry, None)?;
    tx.update::<NetworkAcl>(&call.scope, acl.id.as_str(), |acl| acl.entries.push(entry));
    Ok(())
}

pub(crate) fn replace_entry(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReplaceNetworkAclEntryRequest,
) -> Answer<()> {
    let acl = named(call, tx, &r.network_acl_id)?;
    let entry = entry!(r);
    let place = place_of(&acl, entry.rule_number, entry.egress)
        .ok_or_else(|| ApiError::acl_entry_not_found(&acl.id, entry.rule_number.into()))?;
    check_entry_quota(call, &acl, &entry, Some(place))?;
    tx.update::<NetworkAcl>(&call.scope, acl.id.as_str(), |acl| acl.entries[place] = entry);
    Ok(())
}

pub(crate) fn delete_entry(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkAclEntryRequest,
) -> Answer<()> {
    let acl = named(call, tx, &r.network_acl_id)?;
    let number = rule_number(r.rule_number)?;
    let place = place_of(&acl, number, r.egress.unwrap_or_default())
        .ok_or_else(|| ApiError::acl_entry_not_found(&acl.id, number.into()))?;
    tx.update::<NetworkAcl>(&call.scope, acl.id.as_str(), |acl| {
        acl.entries.remove(place);
    });
    Ok(())
}

/// Entries of one direction and family are counted together with the closing one; `replaced` is
/// the place of the entry that goes.
fn check_entry_quota(
    call: &Call,
    acl: &NetworkAcl,
    entry: &NetworkAclEntry,
    replaced: Option<usize>,
) -> Answer<()> {
    let is_ipv4 = |cidr: &IpNet| matches!(cidr, IpNet::V4(_));
    let others = acl.entries.iter().enumerate().filter(|(place, it)| {
        Some(*place) != replaced
            && it.egress == entry.egress
            && is_ipv4(&it.cidr) == is_ipv4(&entry.cidr)
    });
    let limit = if call.config.aws_quotas { ENTRY_QUOTA.0 } else { ENTRY_QUOTA.1 };
    match others.count() + 2 > limit {
        true => Err(ApiError::acl_entry_limit_exceeded()),
        false => Ok(()),
    }
}

/// The subnet leaves its ACL for another of the same VPC; the association has a new id (NACL-7).
pub(crate) fn replace_association(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ReplaceNetworkAclAssociationRequest,
) -> Answer<ec2::ReplaceNetworkAclAssociationResult> {
    let id = text(&r.association_id, "AssociationId")?;
    let resource = Resource::Association;
    id.parse::<NetworkAclAssociationId>().map_err(|it| ApiError::malformed_id(resource, &it))?;
    let next = named(call, tx, &r.network_acl_id)?;
    let subnet_id = tx
        .referrers_with_keys::<NetworkAcl>(id)
        .filter(|(key, _)| key.scope.as_ref() == Some(&call.scope))
        .flat_map(|(_, acl)| &acl.associations)
        .find(|it| it.id.as_str() == id)
        .map(|it| it.subnet_id.clone())
        .ok_or_else(|| ApiError::not_found(resource, id))?;
    let subnet = tx.find::<Subnet>(&call.scope, subnet_id.as_str());
    if subnet.is_none_or(|subnet| subnet.vpc_id != next.vpc_id) {
        return Err(ApiError::invalid_parameter_value(format!(
            "network ACL {} and subnet {subnet_id} belong to different networks",
            next.id
        )));
    }
    unguard(call, tx, &subnet_id);
    let id = guard(call, tx, &next.id, subnet_id);
    Ok(ec2::ReplaceNetworkAclAssociationResult { new_association_id: Some(id.to_string()) })
}

fn guard(
    call: &Call,
    tx: &mut Transaction,
    acl: &NetworkAclId,
    subnet_id: SubnetId,
) -> NetworkAclAssociationId {
    let id = NetworkAclAssociationId::new(call.random());
    let association = NetworkAclAssociation { id: id.clone(), subnet_id };
    tx.update::<NetworkAcl>(&call.scope, acl.as_str(), |acl| acl.associations.push(association));
    id
}

/// Puts a new subnet behind the default ACL of its VPC (NACL-6).
pub(crate) fn guard_with_default(call: &Call, tx: &mut Transaction, subnet: &Subnet) {
    let default = tx.referrers::<NetworkAcl>(subnet.vpc_id.as_str()).find(|acl| acl.is_default);
    if let Some(id) = default.map(|acl| acl.id.clone()) {
        guard(call, tx, &id, subnet.id.clone());
    }
}

/// Lets all IPv6 pass the default ACL of a VPC that got its first IPv6 block, in each direction
/// that nobody has changed (NACL-4).
pub(crate) fn open_to_ipv6(call: &Call, tx: &mut Transaction, vpc: &VpcId) {
    let default = tx.referrers::<NetworkAcl>(vpc.as_str()).find(|acl| acl.is_default);
    let Some(id) = default.map(|acl| acl.id.clone()) else { return };
    let allow_all = |egress| NetworkAclEntry {
        rule_number: 100,
        egress,
        allow: true,
        traffic: Traffic::All,
        cidr: Ipv4Net::default().into(),
    };
    tx.update::<NetworkAcl>(&call.scope, id.as_str(), |acl| {
        for egress in [true, false] {
            let mut direction = acl.entries.iter().filter(|it| it.egress == egress);
            let untouched =
                direction.next() == Some(&allow_all(egress)) && direction.next().is_none();
            if untouched {
                let cidr = Ipv6Net::default().into();
                let rule_number = OPEN_IPV6;
                acl.entries.push(NetworkAclEntry { rule_number, cidr, ..allow_all(egress) });
            }
        }
    });
}

/// Takes a subnet from the ACL that guards it.
pub(crate) fn unguard(call: &Call, tx: &mut Transaction, subnet: &SubnetId) {
    let guards: Vec<_> = tx.referrers::<NetworkAcl>(subnet.as_str()).cloned().collect();
    for acl in guards {
        tx.update::<NetworkAcl>(&call.scope, acl.id.as_str(), |acl| {
            acl.associations.retain(|it| it.subnet_id != *subnet);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::place::fixture::{Cloud, code, filter};

    fn entry(
        acl: &NetworkAclId,
        number: i32,
        protocol: &str,
        cidr: &str,
    ) -> ec2::CreateNetworkAclEntryRequest {
        let (ipv6, ipv4) = if cidr.contains(':') { (Some(cidr), None) } else { (None, Some(cidr)) };
        ec2::CreateNetworkAclEntryRequest {
            network_acl_id: Some(acl.to_string()),
            rule_number: Some(number),
            protocol: Some(protocol.into()),
            rule_action: Some("allow".into()),
            egress: Some(false),
            cidr_block: ipv4.map(str::to_owned),
            ipv6_cidr_block: ipv6.map(str::to_owned),
            ..Default::default()
        }
    }

    fn ports(from: i32, to: i32) -> Option<ec2::PortRange> {
        Some(ec2::PortRange { from: Some(from), to: Some(to) })
    }

    fn icmp(icmp_type: i32, code: i32) -> Option<ec2::IcmpTypeCode> {
        Some(ec2::IcmpTypeCode { r#type: Some(icmp_type), code: Some(code) })
    }

    fn made(cloud: &Cloud, vpc: &Vpc) -> NetworkAclId {
        let r =
            ec2::CreateNetworkAclRequest { vpc_id: Some(vpc.id.to_string()), ..Default::default() };
        let acl = cloud.change(|call, tx| create(call, tx, &r)).expect("an ACL").network_acl;
        let id = acl.and_then(|acl| acl.network_acl_id).expect("an id");
        id.parse().expect("an ACL's id")
    }

    fn acls(cloud: &Cloud, filters: Vec<ec2::Filter>) -> Vec<ec2::NetworkAcl> {
        let r = ec2::DescribeNetworkAclsRequest { filters, ..Default::default() };
        describe(&cloud.call, &cloud.records(), &r).expect("ACLs").network_acls
    }

    fn default_acl(cloud: &Cloud) -> NetworkAclId {
        let found = acls(cloud, vec![filter("default", &["true"])]);
        let id = found[0].network_acl_id.as_deref().expect("an id");
        id.parse().expect("an ACL's id")
    }

    #[test]
    fn a_new_acl_has_only_the_closing_entries() {
        let cloud = Cloud::new();
        let vpc = cloud.vpc();
        let id = made(&cloud, &vpc);
        let found = acls(&cloud, vec![filter("network-acl-id", &[id.as_str()])]);
        let entries: Vec<_> = found[0]
            .entries
            .iter()
            .map(|it| (it.egress, it.rule_number, it.rule_action.as_deref()))
            .collect();
        let closing = |egress| (Some(egress), Some(32767), Some("deny"));
        assert_eq!(entries, [closing(true), closing(false)], "NACL-3, NACL-5");
        assert_eq!(found[0].associations, vec![]);
        assert_eq!(found[0].is_default, Some(false));
    }

    #[test]
    fn a_client_token_gives_the_same_acl_again() {
        let cloud = Cloud::new();
        let (vpc, other) = (cloud.vpc(), cloud.vpc());
        let request = |vpc: &Vpc| ec2::CreateNetworkAclRequest {
            vpc_id: Some(vpc.id.to_string()),
            client_token: Some("again".into()),
            ..Default::default()
        };
        let create = |vpc| cloud.change(|call, tx| create(call, tx, &request(vpc)));
        let first = create(&vpc).expect("an ACL");
        assert_eq!(create(&vpc).expect("the same"), first, "API-4");
        assert_eq!(code(create(&other)), "IdempotentParameterMismatch", "API-4");
        assert_eq!(acls(&cloud, vec![filter("default", &["false"])]).len(), 1);
    }

    #[test]
    fn entries_are_shown_as_they_were_given() {
        let cloud = Cloud::new();
        let acl = made(&cloud, &cloud.vpc());
        let requests = [
            ec2::CreateNetworkAclEntryRequest {
                port_range: ports(0, 0),
                ..entry(&acl, 300, "-1", "10.1.1.77/24")
            },
            ec2::CreateNetworkAclEntryRequest {
                port_range: ports(1024, 65535),
                ..entry(&acl, 100, "6", "0.0.0.0/0")
            },
            ec2::CreateNetworkAclEntryRequest {
                icmp_type_code: icmp(3, 4),
                ..entry(&acl, 110, "1", "0.0.0.0/0")
            },
            ec2::CreateNetworkAclEntryRequest {
                icmp_type_code: icmp(-1, -1),
                ..entry(&acl, 120, "58", "::/0")
            },
            entry(&acl, 130, "58", "0.0.0.0/0"),
            entry(&acl, 140, "47", "0.0.0.0/0"),
        ];
        for r in &requests {
            cloud.change(|call, tx| create_entry(call, tx, r)).expect("an entry");
        }
        let found = acls(&cloud, vec![filter("entry.rule-number", &["300"])]);
        let shown: Vec<_> = found[0]
            .entries
            .iter()
            .filter(|it| it.egress == Some(false))
            .map(|it| {
                let ports = it.port_range.as_ref().and_then(|it| Some((it.from?, it.to?)));
                let icmp = it.icmp_type_code.as_ref().and_then(|it| Some((it.r#type?, it.code?)));
                let cidr = it.cidr_block.as_deref().or(it.ipv6_cidr_block.as_deref());
                (
                    it.rule_number.unwrap_or(0),
                    it.protocol.as_deref().unwrap_or(""),
                    cidr,
                    ports,
                    icmp,
                )
            })
            .collect();
        let all = Some("0.0.0.0/0");
        assert_eq!(
            shown,
            [
                (100, "6", all, Some((1024, 65535)), None),
                (110, "1", all, None, Some((3, 4))),
                (120, "58", Some("::/0"), None, Some((-1, -1))),
                (130, "58", all, None, Some((-1, -1))),
                (140, "47", all, None, None),
                (300, "-1", Some("10.1.1.0/24"), None, None),
                (32767, "-1", all, None, None),
            ],
            "NACL-9, NACL-10, NACL-14"
        );
        for (name, value) in [
            ("entry.cidr", "10.1.1.0/24"),
            ("entry.ipv6-cidr", "::/0"),
            ("entry.port-range.to", "65535"),
            ("entry.icmp.code", "4"),
            ("entry.egress", "false"),
            ("entry.rule-action", "allow"),
        ] {
            let count = |value| {
                let custom = filter("default", &["false"]);
                acls(&cloud, vec![custom, filter(name, &[value])]).len()
            };
            assert_eq!((count(value), count("another")), (1, 0), "{name}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_is_refused() {
        let cloud = Cloud::new();
        let acl = made(&cloud, &cloud.vpc());
        let good = || entry(&acl, 100, "-1", "0.0.0.0/0");
        let of = |protocol| entry(&acl, 100, protocol, "0.0.0.0/0");
        type R = ec2::CreateNetworkAclEntryRequest;
        for (r, expected, why) in [
            (R { rule_number: Some(0), ..good() }, "InvalidParameterValue", "NACL-3"),
            (R { rule_number: Some(32767), ..good() }, "InvalidParameterValue", "NACL-3"),
            (R { rule_number: Some(70_000), ..good() }, "InvalidParameterValue", "NACL-3"),
            (of("tcp"), "InvalidParameterValue", "NACL-9"),
            (of("256"), "InvalidParameterValue", "NACL-9"),
            (R { cidr_block: None, ..good() }, "MissingParameter", "NACL-9"),
            (
                R { cidr_block: Some("10.0.0.0".into()), ..good() },
                "InvalidParameterValue",
                "CIDR-2",
            ),
            (
                R { ipv6_cidr_block: Some("::/0".into()), ..good() },
                "InvalidParameterCombination",
                "NACL-9",
            ),
            (of("6"), "MissingParameter", "NACL-10"),
            (R { port_range: ports(80, 79), ..of("17") }, "InvalidParameterValue", "NACL-10"),
            (R { port_range: ports(0, 65536), ..of("6") }, "InvalidParameterValue", "NACL-10"),
            (of("1"), "MissingParameter", "NACL-10"),
            (entry(&acl, 100, "58", "::/0"), "MissingParameter", "NACL-10"),
            (R { icmp_type_code: icmp(256, 0), ..of("1") }, "InvalidParameterValue", "NACL-11"),
            (R { icmp_type_code: icmp(-1, 0), ..of("1") }, "InvalidParameterValue", "NACL-11"),
            (
                R { network_acl_id: Some("acl-x".into()), ..good() },
                "InvalidNetworkAclId.Malformed",
                "",
            ),
            (
                R { network_acl_id: Some("acl-00000000000000999".into()), ..good() },
                "InvalidNetworkAclID.NotFound",
                "API-11",
            ),
        ] {
            assert_eq!(
                code(cloud.change(|call, tx| create_entry(call, tx, &r))),
                expected,
                "{why} {r:?}"
            );
        }
    }

    #[test]
    fn a_number_is_used_once_a_direction() {
        let cloud = Cloud::new();
        let acl = made(&cloud, &cloud.vpc());
        let r = entry(&acl, 100, "-1", "0.0.0.0/0");
        let create = |r| cloud.change(|call, tx| create_entry(call, tx, &r));
        create(r.clone()).expect("an entry");
        let error = create(r.clone()).expect_err("it is there");
        assert_eq!(error.code, "NetworkAclEntryAlreadyExists", "NACL-15");
        assert_eq!(error.message, "The network acl entry identified by 100 already exists.");
        create(ec2::CreateNetworkAclEntryRequest { egress: Some(true), ..r })
            .expect("the other way");

        let replacement = |number| ec2::ReplaceNetworkAclEntryRequest {
            network_acl_id: Some(acl.to_string()),
            rule_number: Some(number),
            protocol: Some("-1".into()),
            rule_action: Some("deny".into()),
            egress: Some(false),
            cidr_block: Some("10.0.0.0/8".into()),
            ..Default::default()
        };
        let replace = |r| cloud.change(|call, tx| replace_entry(call, tx, &r));
        replace(replacement(100)).expect("it is there");
        assert_eq!(code(replace(replacement(101))), "InvalidNetworkAclEntry.NotFound", "NACL-15");
        assert_eq!(acls(&cloud, vec![filter("entry.cidr", &["10.0.0.0/8"])]).len(), 1);

        let deletion = |number| ec2::DeleteNetworkAclEntryRequest {
            network_acl_id: Some(acl.to_string()),
            rule_number: Some(number),
            egress: Some(false),
            ..Default::default()
        };
        let delete = |r| cloud.change(|call, tx| delete_entry(call, tx, &r));
        delete(deletion(100)).expect("it is there");
        assert_eq!(code(delete(deletion(100))), "InvalidNetworkAclEntry.NotFound", "NACL-15");
        assert_eq!(code(delete(deletion(32767))), "InvalidParameterValue", "NACL-3");
        let left = acls(&cloud, vec![filter("network-acl-id", &[acl.as_str()])]);
        assert_eq!(left[0].entries.len(), 3, "the egress entry and the closing ones");
    }

    #[test]
    fn a_direction_has_twenty_entries_with_the_closing_one() {
        for (cloud, limit) in [(Cloud::new(), 40), (Cloud::new().with_quotas(), 20)] {
            let acl = made(&cloud, &cloud.vpc());
            let create = |r| cloud.change(|call, tx| create_entry(call, tx, &r));
            for number in 1..limit {
                create(entry(&acl, number, "-1", "0.0.0.0/0")).expect("there is room");
            }
            let more = entry(&acl, limit, "-1", "0.0.0.0/0");
            assert_eq!(code(create(more)), "NetworkAclEntryLimitExceeded", "NACL-16");
            create(entry(&acl, limit, "-1", "::/0")).expect("families are counted apart");
        }
    }

    #[test]
    fn a_subnet_moves_between_acls_of_its_vpc() {
        let cloud = Cloud::new();
        let vpc = cloud.vpc();
        let subnet = cloud.subnet(&vpc, 1);
        let default = default_acl(&cloud);
        let custom = made(&cloud, &vpc);
        let of_subnet = || {
            let found = acls(&cloud, vec![filter("association.subnet-id", &[subnet.id.as_str()])]);
            assert_eq!(found.len(), 1, "NACL-6");
            let it = found[0].associations[0].clone();
            (it.network_acl_id.expect("an ACL"), it.network_acl_association_id.expect("an id"))
        };
        let replace = |association: &str, acl: &NetworkAclId| {
            let r = ec2::ReplaceNetworkAclAssociationRequest {
                association_id: Some(association.into()),
                network_acl_id: Some(acl.to_string()),
                ..Default::default()
            };
            cloud.change(|call, tx| replace_association(call, tx, &r))
        };
        let delete = |acl: &NetworkAclId| {
            let r = ec2::DeleteNetworkAclRequest {
                network_acl_id: Some(acl.to_string()),
                ..Default::default()
            };
            cloud.change(|call, tx| delete(call, tx, &r))
        };
        let (acl, first) = of_subnet();
        assert_eq!(acl, default.as_str(), "NACL-6");
        let second = replace(&first, &custom).expect("moved").new_association_id.expect("an id");
        assert_ne!(first, second, "NACL-7");
        assert_eq!(of_subnet(), (custom.to_string(), second.clone()));
        assert_eq!(code(replace(&first, &default)), "InvalidAssociationID.NotFound");
        assert_eq!(code(replace("aclassoc-1", &default)), "InvalidAssociationID.Malformed");
        assert_eq!(code(delete(&custom)), "DependencyViolation", "NACL-8");
        let error = delete(&default).expect_err("the default ACL stays");
        assert_eq!(error.code, "InvalidParameterValue", "NACL-8");
        assert_eq!(error.message, format!("cannot delete default network ACL {default}"));

        let foreign = made(&cloud, &cloud.vpc());
        assert_eq!(code(replace(&second, &foreign)), "InvalidParameterValue");
        replace(&second, &default).expect("back");
        delete(&custom).expect("nothing needs it");
        cloud.put(|call, tx| unguard(call, tx, &subnet.id));
        assert_eq!(acls(&cloud, vec![filter("association.subnet-id", &["*"])]), vec![]);
    }
}
