//! Rules of security groups: their grammar (SG-10 to SG-19) and how answers show them.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::Snapshot;
use gureum_types::{
    IpProtocol, SecurityGroupId, VpcId,
    record::{RulePeer, SecurityGroup, SecurityGroupRule, Traffic},
};

use crate::{
    call::{Answer, Call, find, given, parse_id},
    resource::{prefix_list, security_group_reference as reference},
    tags,
};

/// What makes a rule the same as another, with its description, which does not (SG-19).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) traffic: Traffic,
    pub(crate) peer: RulePeer,
    pub(crate) description: Option<String>,
}

impl Wanted {
    pub(crate) fn is(&self, rule: &SecurityGroupRule) -> bool {
        self.traffic == rule.traffic && self.peer == rule.peer
    }
}

/// As AWS writes a rule in a sentence (SG-18).
pub(crate) fn in_words(traffic: Traffic, peer: &RulePeer) -> String {
    let peer = match peer {
        RulePeer::Ipv4(net) => net.to_string(),
        RulePeer::Ipv6(net) => net.to_string(),
        RulePeer::Group(id) => id.to_string(),
        RulePeer::PrefixList(id) => id.to_string(),
    };
    let any = |value: Option<u8>| value.map_or("ALL".to_owned(), |value| value.to_string());
    match traffic {
        Traffic::All => format!("peer: {peer}, ALL, ALLOW"),
        Traffic::Ports { protocol, from, to } => {
            let protocol = protocol.to_string().to_uppercase();
            format!("peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
        }
        Traffic::Icmp { protocol, icmp_type, icmp_code } => {
            let protocol = protocol.to_string().to_uppercase();
            let (kind, code) = (any(icmp_type), any(icmp_code));
            format!("peer: {peer}, {protocol}, type: {kind}, code: {code}, ALLOW")
        }
        Traffic::Protocol(protocol) => format!("peer: {peer}, {protocol}, ALLOW"),
    }
}

fn protocol(text: &str) -> Answer<Option<IpProtocol>> {
    let unknown = || {
        ApiError::invalid_parameter_value(format!(
            "Invalid value '{text}' for IP protocol. Unknown protocol."
        ))
    };
    match text.to_ascii_lowercase().as_str() {
        "-1" | "all" => Ok(None),
        "tcp" => Ok(Some(IpProtocol::TCP)),
        "udp" => Ok(Some(IpProtocol::UDP)),
        "icmp" => Ok(Some(IpProtocol::ICMP)),
        "icmpv6" => Ok(Some(IpProtocol::ICMPV6)),
        number => match number.parse() {
            Ok(number) => Ok(Some(IpProtocol(number))),
            Err(_) => Err(unknown()),
        },
    }
}

/// Which packets: a protocol with ports, or with type and code (SG-12 to SG-15).
pub(crate) fn traffic(text: &str, from: Option<i32>, to: Option<i32>) -> Answer<Traffic> {
    let Some(protocol) = protocol(text)? else { return Ok(Traffic::All) };
    match protocol {
        IpProtocol::TCP | IpProtocol::UDP => {
            let (Some(from), Some(to)) = (from, to) else {
                return Err(ApiError::invalid_parameter_value(
                    "Invalid value 'Must specify both from and to ports with TCP/UDP.' for \
                     portRange.",
                ));
            };
            let port = |port: i32| {
                u16::try_from(port).map_err(|_| {
                    let message = format!("TCP/UDP port ({port}) out of range");
                    ApiError::invalid_parameter_value(message)
                })
            };
            let (from, to) = (port(from)?, port(to)?);
            match from <= to {
                true => Ok(Traffic::Ports { protocol, from, to }),
                false => Err(ApiError::invalid_parameter_value(format!(
                    "Invalid TCP/UDP port range ({from}:{to})"
                ))),
            }
        }
        IpProtocol::ICMP | IpProtocol::ICMPV6 => {
            let (kind, code) = match (from, to) {
                (Some(kind), Some(code)) => (kind, code),
                (None, None) if protocol == IpProtocol::ICMPV6 => (-1, -1),
                _ => {
                    return Err(ApiError::invalid_parameter_value(
                        "Invalid value 'Must specify both type and code with ICMP.' for portRange.",
                    ));
                }
            };
            let value = |value: i32, what: &str| match value {
                -1 => Ok(None),
                value => u8::try_from(value).map(Some).map_err(|_| {
                    let message = format!("ICMP {what} ({value}) out of range");
                    ApiError::invalid_parameter_value(message)
                }),
            };
            let (icmp_type, icmp_code) = (value(kind, "type")?, value(code, "code")?);
            match (icmp_type, icmp_code) {
                (None, Some(code)) => Err(ApiError::invalid_parameter_value(format!(
                    "ICMP code ({code}) out of range: the type is -1, so the code must be -1"
                ))),
                _ => Ok(Traffic::Icmp { protocol, icmp_type, icmp_code }),
            }
        }
        other => Ok(Traffic::Protocol(other)),
    }
}

pub(crate) fn description(text: &Option<String>) -> Answer<Option<String>> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    match given(text) {
        Some(text) if text.len() > 255 || !text.chars().all(allowed) => {
            Err(ApiError::invalid_parameter_value(
                "Invalid rule description. Valid descriptions are strings less than 256 characters \
                 from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
            ))
        }
        other => Ok(other.map(str::to_owned)),
    }
}

fn malformed(text: &str) -> ApiError {
    ApiError::invalid_parameter_value(format!("CIDR block {text} is malformed"))
}

pub(crate) fn ipv4_peer(text: &Option<String>) -> Answer<RulePeer> {
    let text = text.as_deref().unwrap_or_default();
    // A single address is taken for a block of one.
    match text.parse::<ipnet::Ipv4Net>() {
        Ok(net) => Ok(RulePeer::Ipv4(net.trunc())),
        Err(_) => Err(malformed(text)),
    }
}

pub(crate) fn ipv6_peer(text: &Option<String>) -> Answer<RulePeer> {
    let text = text.as_deref().unwrap_or_default();
    match text.parse::<ipnet::Ipv6Net>() {
        Ok(net) => Ok(RulePeer::Ipv6(net.trunc())),
        Err(_) => Err(malformed(text)),
    }
}

/// A group of the same VPC, or of a peer VPC in the same region (SG-31). Another account's is
/// written `account/sg-…`, or comes with the account in `owner`.
pub(crate) fn group_peer(
    call: &Call,
    records: &Snapshot,
    vpc: &VpcId,
    owner: Option<&str>,
    id: &str,
) -> Answer<RulePeer> {
    let (owner, id) = match id.split_once('/') {
        Some((account, id)) => (Some(account), id),
        None => (owner, id),
    };
    parse_id::<SecurityGroup>(id)?;
    let owner = owner.unwrap_or(call.account().as_str());
    if owner == call.account().as_str() {
        let group = find::<SecurityGroup>(records, &call.scope, id)?;
        if group.vpc_id == *vpc {
            return Ok(RulePeer::Group(group.id.clone()));
        }
    }
    let peer = reference::live_peer(records, &call.scope, vpc, id);
    let group = peer.filter(|it| it.owner.as_str() == owner).map(|it| it.group);
    match group {
        Some(group) => Ok(RulePeer::Group(group)),
        None if owner == call.account().as_str() => Err(ApiError::new(
            "InvalidGroup.NotFound",
            "You have specified two resources that belong to different networks.",
        )),
        None => Err(ApiError::not_found(Resource::SecurityGroup, id)),
    }
}

/// A prefix list of the caller or of a service (SG-10, VPCE-21).
pub(crate) fn prefix_list_peer(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
) -> Answer<RulePeer> {
    let list = prefix_list::required(call, records, id, "PrefixListId")?;
    Ok(RulePeer::PrefixList(list.id.clone()))
}

fn pair_peer(
    call: &Call,
    records: &Snapshot,
    vpc: &VpcId,
    known: &[SecurityGroupId],
    pair: &ec2::UserIdGroupPair,
) -> Answer<RulePeer> {
    let owner = given(&pair.user_id);
    let foreign = owner.is_some_and(|user| user != call.account().as_str());
    match (given(&pair.group_id), given(&pair.group_name)) {
        (Some(id), _) => {
            let bare = id.split_once('/').map_or(id, |(_, id)| id);
            match known.iter().find(|it| it.as_str() == bare) {
                Some(known) => Ok(RulePeer::Group(known.clone())),
                None => group_peer(call, records, vpc, owner, id),
            }
        }
        (None, Some(name)) if foreign => Err(ApiError::not_found(Resource::SecurityGroup, name)),
        (None, Some(name)) => {
            let mut groups = records.referrers::<SecurityGroup>(vpc.as_str());
            let group = groups.find(|group| group.name.eq_ignore_ascii_case(name));
            let group = group.ok_or_else(|| ApiError::not_found(Resource::SecurityGroup, name))?;
            Ok(RulePeer::Group(group.id.clone()))
        }
        (None, None) => Err(ApiError::missing_parameter("IpPermissions.Groups.GroupId")),
    }
}

/// The rules that permissions speak of: one for each of their peers (SG-10). The groups that are
/// `known` may be named although they could not be referred to anew (SG-34).
pub(crate) fn wanted(
    call: &Call,
    records: &Snapshot,
    vpc: &VpcId,
    known: &[SecurityGroupId],
    permissions: &[ec2::IpPermission],
) -> Answer<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for permission in permissions {
        let Some(protocol) = given(&permission.ip_protocol) else {
            return Err(ApiError::missing_parameter("IpProtocol"));
        };
        let traffic = traffic(protocol, permission.from_port, permission.to_port)?;
        let before = wanted.len();
        let mut add = |peer, text: &Option<String>| -> Answer<()> {
            let description = description(text)?;
            if wanted.iter().any(|it| it.traffic == traffic && it.peer == peer) {
                return Err(ApiError::invalid_parameter_value(
                    "The same permission must not appear multiple times",
                ));
            }
            wanted.push(Wanted { traffic, peer, description });
            Ok(())
        };
        for range in &permission.ip_ranges {
            add(ipv4_peer(&range.cidr_ip)?, &range.description)?;
        }
        for range in &permission.ipv6_ranges {
            add(ipv6_peer(&range.cidr_ipv6)?, &range.description)?;
        }
        for list in &permission.prefix_list_ids {
            add(prefix_list_peer(call, records, &list.prefix_list_id)?, &list.description)?;
        }
        for pair in &permission.user_id_group_pairs {
            add(pair_peer(call, records, vpc, known, pair)?, &pair.description)?;
        }
        if wanted.len() == before {
            return Err(ApiError::invalid_parameter_value(
                "Invalid value 'null' for IpPermissions. A rule must name at least one CIDR \
                 block, prefix list or security group.",
            ));
        }
    }
    Ok(wanted)
}

/// Protocol and both ends of the range as API members: `-1` for any.
pub(crate) fn members(traffic: Traffic) -> (String, i32, i32) {
    let any = |value: Option<u8>| value.map_or(-1, i32::from);
    match traffic {
        Traffic::All => ("-1".into(), -1, -1),
        Traffic::Ports { protocol, from, to } => (protocol.to_string(), from.into(), to.into()),
        Traffic::Icmp { protocol, icmp_type, icmp_code } => {
            (protocol.to_string(), any(icmp_type), any(icmp_code))
        }
        Traffic::Protocol(protocol) => (protocol.to_string(), -1, -1),
    }
}

/// The rules of one direction as permissions: one for each kind of traffic (SG-16).
pub(crate) fn permissions<'a>(
    call: &Call,
    records: &Snapshot,
    vpc: &VpcId,
    rules: impl Iterator<Item = (Traffic, &'a RulePeer, &'a Option<String>)>,
) -> Vec<ec2::IpPermission> {
    let mut permissions: Vec<(Traffic, ec2::IpPermission)> = Vec::new();
    for (traffic, peer, description) in rules {
        let place = permissions.iter().position(|(it, _)| *it == traffic).unwrap_or_else(|| {
            let (protocol, from, to) = members(traffic);
            let ports = !matches!(traffic, Traffic::All | Traffic::Protocol(_));
            let permission = ec2::IpPermission {
                ip_protocol: Some(protocol),
                from_port: ports.then_some(from),
                to_port: ports.then_some(to),
                ..Default::default()
            };
            permissions.push((traffic, permission));
            permissions.len() - 1
        });
        let permission = &mut permissions[place].1;
        let description = description.clone();
        match peer {
            RulePeer::Ipv4(net) => permission
                .ip_ranges
                .push(ec2::IpRange { description, cidr_ip: Some(net.to_string()) }),
            RulePeer::Ipv6(net) => permission
                .ipv6_ranges
                .push(ec2::Ipv6Range { description, cidr_ipv6: Some(net.to_string()) }),
            RulePeer::PrefixList(id) => permission
                .prefix_list_ids
                .push(ec2::PrefixListId { description, prefix_list_id: Some(id.to_string()) }),
            RulePeer::Group(id) => permission.user_id_group_pairs.push(ec2::UserIdGroupPair {
                description,
                ..reference::shown_pair(records, &call.scope, vpc, id)
            }),
        }
    }
    permissions.into_iter().map(|(_, permission)| permission).collect()
}

/// One rule as answers show it.
pub(crate) fn shown(
    call: &Call,
    records: &Snapshot,
    rule: &SecurityGroupRule,
) -> ec2::SecurityGroupRule {
    let (protocol, from, to) = members(rule.traffic);
    let mut shown = ec2::SecurityGroupRule {
        security_group_rule_id: Some(rule.id.to_string()),
        group_id: Some(rule.group_id.to_string()),
        group_owner_id: Some(call.account().to_string()),
        is_egress: Some(rule.egress),
        ip_protocol: Some(protocol),
        from_port: Some(from),
        to_port: Some(to),
        description: rule.description.clone(),
        tags: tags::shown(&rule.tags),
        security_group_rule_arn: Some(call.arn("security-group-rule", &rule.id)),
        ..Default::default()
    };
    match &rule.peer {
        RulePeer::Ipv4(net) => shown.cidr_ipv4 = Some(net.to_string()),
        RulePeer::Ipv6(net) => shown.cidr_ipv6 = Some(net.to_string()),
        RulePeer::PrefixList(id) => shown.prefix_list_id = Some(id.to_string()),
        RulePeer::Group(id) => {
            let group = records.find::<SecurityGroup>(&call.scope, rule.group_id.as_str());
            let pair = group.map(|it| reference::shown_pair(records, &call.scope, &it.vpc_id, id));
            shown.referenced_group_info = pair.map(|it| ec2::ReferencedSecurityGroup {
                group_id: it.group_id,
                peering_status: it.peering_status,
                user_id: it.user_id,
                vpc_id: it.vpc_id,
                vpc_peering_connection_id: it.vpc_peering_connection_id,
            });
        }
    }
    shown
}

/// A rule that was revoked.
pub(crate) fn revoked(rule: &SecurityGroupRule) -> ec2::RevokedSecurityGroupRule {
    let (protocol, from, to) = members(rule.traffic);
    let mut shown = ec2::RevokedSecurityGroupRule {
        security_group_rule_id: Some(rule.id.to_string()),
        group_id: Some(rule.group_id.to_string()),
        is_egress: Some(rule.egress),
        ip_protocol: Some(protocol),
        from_port: Some(from),
        to_port: Some(to),
        description: rule.description.clone(),
        ..Default::default()
    };
    match &rule.peer {
        RulePeer::Ipv4(net) => shown.cidr_ipv4 = Some(net.to_string()),
        RulePeer::Ipv6(net) => shown.cidr_ipv6 = Some(net.to_string()),
        RulePeer::PrefixList(id) => shown.prefix_list_id = Some(id.to_string()),
        RulePeer::Group(id) => shown.referenced_group_id = Some(id.to_string()),
    }
    shown
}

/// The groups that the rules of a group refer to.
pub(crate) fn referred(records: &Snapshot, group: &SecurityGroupId) -> Vec<SecurityGroupId> {
    let peers = of_group(records, group).map(|rule| &rule.peer);
    let groups = peers.filter_map(|peer| match peer {
        RulePeer::Group(id) => Some(id.clone()),
        RulePeer::Ipv4(_) | RulePeer::Ipv6(_) | RulePeer::PrefixList(_) => None,
    });
    groups.collect()
}

/// The rules of a group.
pub(crate) fn of_group<'a>(
    records: &'a Snapshot,
    group: &'a SecurityGroupId,
) -> impl Iterator<Item = &'a std::sync::Arc<SecurityGroupRule>> {
    // The index also has the rules of other groups that refer to this one.
    records.referrers::<SecurityGroupRule>(group.as_str()).filter(move |it| it.group_id == *group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_come_back_by_their_names() {
        for (text, name) in [("6", "tcp"), ("TCP", "tcp"), ("17", "udp"), ("50", "50")] {
            let traffic = traffic(text, Some(1), Some(2)).expect("traffic");
            assert_eq!(members(traffic).0, name, "SG-12");
        }
        assert_eq!(traffic("-1", Some(0), Some(0)).expect("traffic"), Traffic::All, "SG-13");
    }

    #[test]
    fn impossible_ranges_are_refused() {
        for (protocol, from, to) in [
            ("tcp", None, Some(1)),
            ("tcp", Some(-1), Some(-1)),
            ("tcp", Some(2), Some(1)),
            ("udp", Some(0), Some(65_536)),
            ("icmp", None, None),
            ("icmp", Some(-1), Some(0)),
            ("icmp", Some(256), Some(0)),
            ("ipx", Some(1), Some(1)),
            ("256", Some(1), Some(1)),
        ] {
            let error = traffic(protocol, from, to).expect_err(protocol);
            assert_eq!(error.code, "InvalidParameterValue", "{protocol} {from:?} {to:?} (SG-14)");
        }
        assert!(traffic("icmpv6", None, None).is_ok(), "SG-14");
        assert!(traffic("icmp", Some(8), Some(-1)).is_ok(), "SG-15");
    }

    #[test]
    fn a_rule_in_words_reads_as_aws_writes_it() {
        let ssh = Traffic::Ports { protocol: IpProtocol::TCP, from: 22, to: 22 };
        let anywhere = ipv4_peer(&Some("0.0.0.0/0".into())).expect("a peer");
        assert_eq!(
            in_words(ssh, &anywhere),
            "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW",
            "SG-18"
        );
        let group = RulePeer::Group(SecurityGroupId::new(1));
        assert_eq!(in_words(Traffic::All, &group), "peer: sg-00000000000000001, ALL, ALLOW");
    }
}
