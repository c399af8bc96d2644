//! Rules of security groups and entries of network ACLs.

use gureum_api::ec2;
use gureum_types::{
    PrefixListId, SecurityGroupRuleId,
    record::{
        NetworkAcl, NetworkAclAssociation, NetworkAclEntry, RulePeer, SecurityGroup,
        SecurityGroupRule,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

use super::import::{Import, name, tags};
use crate::resource::{network_acl, security_group_rule};

/// Numbers from here on are of the closing entries, which follow by themselves (NACL-3).
const CLOSING: i32 = 32767;

impl Import<'_> {
    pub(super) fn security_group_rules(&mut self) {
        if !self.document.keys.contains("SecurityGroupRules") {
            return self.rules_of_permissions();
        }
        for (number, it) in self.document.security_group_rules.iter().enumerate() {
            let of = name(&it.security_group_rule_id, "SecurityGroupRules", number);
            let id = self.need(&of, "SecurityGroupRuleId", &it.security_group_rule_id);
            if let Some(id) = id {
                self.rule(&of, id, it);
            }
        }
    }

    fn rule(&mut self, of: &str, id: SecurityGroupRuleId, it: &ec2::SecurityGroupRule) {
        let Some(group_id) = self.need(of, "GroupId", &it.group_id) else { return };
        let protocol = it.ip_protocol.as_deref().unwrap_or("-1");
        let traffic = match security_group_rule::traffic(protocol, it.from_port, it.to_port) {
            Ok(traffic) => traffic,
            Err(error) => return self.problem(of, error.message),
        };
        let group = it.referenced_group_info.as_ref();
        let peer = match (&it.cidr_ipv4, &it.cidr_ipv6, &it.prefix_list_id, group) {
            (Some(_), None, None, None) => self
                .need::<Ipv4Net>(of, "CidrIpv4", &it.cidr_ipv4)
                .map(|net| RulePeer::Ipv4(net.trunc())),
            (None, Some(_), None, None) => self
                .need::<Ipv6Net>(of, "CidrIpv6", &it.cidr_ipv6)
                .map(|net| RulePeer::Ipv6(net.trunc())),
            (None, None, Some(_), None) => {
                self.list(of, &it.prefix_list_id).map(RulePeer::PrefixList)
            }
            (None, None, None, Some(group)) => {
                self.group_elsewhere(of, group);
                self.need(of, "ReferencedGroupInfo.GroupId", &group.group_id).map(RulePeer::Group)
            }
            _ => {
                self.problem(
                    of,
                    "it has not exactly one of CidrIpv4, CidrIpv6, PrefixListId and \
                                  ReferencedGroupInfo",
                );
                None
            }
        };
        let Some(peer) = peer else { return };
        self.put(
            "SecurityGroupRules",
            SecurityGroupRule {
                id,
                group_id,
                egress: it.is_egress == Some(true),
                traffic,
                peer,
                description: it.description.clone().filter(|it| !it.is_empty()),
                tags: tags(&it.tags),
            },
        );
    }

    /// A group of another VPC whose members may not be here.
    fn group_elsewhere(&mut self, of: &str, group: &ec2::ReferencedSecurityGroup) {
        let Some(id) = group.group_id.clone() else { return };
        let is_own = group.user_id.as_deref().is_none_or(|user| self.place.is_own(user));
        let is_of_peer = group.vpc_peering_connection_id.is_some() || !is_own;
        let is_here = self.tx.everywhere::<SecurityGroup>().any(|(key, _)| key.id == id);
        if is_of_peer && !is_here {
            let owner = group.user_id.as_deref().unwrap_or("another account");
            self.unsupported(format!(
                "{of}: it refers to {id} of {owner}, whose members are not in the data: it matches \
                 nobody"
            ));
            self.dead.insert(id);
        }
    }

    /// The list that an id of the data means here.
    pub(super) fn list(&mut self, of: &str, id: &Option<String>) -> Option<PrefixListId> {
        let read = self.need::<PrefixListId>(of, "PrefixListId", id)?;
        Some(self.lists.get(read.as_str()).cloned().unwrap_or(read))
    }

    /// Rules from what groups say, where there is no list of rules.
    fn rules_of_permissions(&mut self) {
        self.note(
            "SecurityGroupRules are not in the data (aws ec2 describe-security-group-rules): the \
             rules of the groups have ids made up",
        );
        for group in &self.document.security_groups {
            let of = group.group_id.clone().unwrap_or_default();
            let ingress = group.ip_permissions.iter().map(|it| (false, it));
            let egress = group.ip_permissions_egress.iter().map(|it| (true, it));
            for (is_egress, permission) in ingress.chain(egress) {
                for rule in rules_of(permission) {
                    let id = SecurityGroupRuleId::new(self.call.random());
                    let (group_id, is_egress) = (group.group_id.clone(), Some(is_egress));
                    self.rule(&of, id, &ec2::SecurityGroupRule { group_id, is_egress, ..rule });
                }
            }
        }
    }

    pub(super) fn network_acls(&mut self) {
        for (number, it) in self.document.network_acls.iter().enumerate() {
            let of = name(&it.network_acl_id, "NetworkAcls", number);
            let id = self.need(&of, "NetworkAclId", &it.network_acl_id);
            let vpc_id = self.need(&of, "VpcId", &it.vpc_id);
            let mut entries = Vec::new();
            for entry in &it.entries {
                if entry.rule_number.is_some_and(|number| number >= CLOSING) {
                    continue;
                }
                entries.extend(self.acl_entry(&of, entry));
            }
            let mut associations = Vec::new();
            for tie in &it.associations {
                let id = self.need(&of, "NetworkAclAssociationId", &tie.network_acl_association_id);
                let subnet_id = self.need(&of, "SubnetId", &tie.subnet_id);
                if let (Some(id), Some(subnet_id)) = (id, subnet_id) {
                    associations.push(NetworkAclAssociation { id, subnet_id });
                }
            }
            let (Some(id), Some(vpc_id)) = (id, vpc_id) else { continue };
            self.put(
                "NetworkAcls",
                NetworkAcl {
                    id,
                    vpc_id,
                    is_default: it.is_default == Some(true),
                    entries,
                    associations,
                    created: self.call.now,
                    tags: tags(&it.tags),
                },
            );
        }
    }

    fn acl_entry(&mut self, of: &str, it: &ec2::NetworkAclEntry) -> Option<NetworkAclEntry> {
        let number = it.rule_number.and_then(|number| u16::try_from(number).ok());
        let Some(rule_number) = number.filter(|number| *number > 0) else {
            self.problem(of, "an entry has no RuleNumber from 1 to 32766");
            return None;
        };
        let of = format!("{of} entry {rule_number}");
        let cidr = match (&it.cidr_block, &it.ipv6_cidr_block) {
            (Some(_), None) => {
                self.need::<Ipv4Net>(&of, "CidrBlock", &it.cidr_block)?.trunc().into()
            }
            (None, Some(_)) => {
                self.need::<Ipv6Net>(&of, "Ipv6CidrBlock", &it.ipv6_cidr_block)?.trunc().into()
            }
            _ => {
                self.problem(&of, "it has not exactly one of CidrBlock and Ipv6CidrBlock");
                return None;
            }
        };
        let allow = match it.rule_action.as_deref() {
            Some("allow") => true,
            Some("deny") => false,
            _ => {
                self.problem(&of, "its RuleAction is neither allow nor deny");
                return None;
            }
        };
        let protocol = it.protocol.as_deref().unwrap_or("-1");
        let traffic = match network_acl::traffic(protocol, &it.icmp_type_code, &it.port_range, cidr)
        {
            Ok(traffic) => traffic,
            Err(error) => {
                self.problem(&of, error.message);
                return None;
            }
        };
        Some(NetworkAclEntry { rule_number, egress: it.egress == Some(true), allow, traffic, cidr })
    }
}

/// The rules that a permission stands for: one for each of its peers.
fn rules_of(permission: &ec2::IpPermission) -> Vec<ec2::SecurityGroupRule> {
    let base = ec2::SecurityGroupRule {
        ip_protocol: permission.ip_protocol.clone(),
        from_port: permission.from_port,
        to_port: permission.to_port,
        ..Default::default()
    };
    let ipv4 = permission.ip_ranges.iter().map(|it| ec2::SecurityGroupRule {
        cidr_ipv4: it.cidr_ip.clone(),
        description: it.description.clone(),
        ..base.clone()
    });
    let ipv6 = permission.ipv6_ranges.iter().map(|it| ec2::SecurityGroupRule {
        cidr_ipv6: it.cidr_ipv6.clone(),
        description: it.description.clone(),
        ..base.clone()
    });
    let lists = permission.prefix_list_ids.iter().map(|it| ec2::SecurityGroupRule {
        prefix_list_id: it.prefix_list_id.clone(),
        description: it.description.clone(),
        ..base.clone()
    });
    let groups = permission.user_id_group_pairs.iter().map(|it| ec2::SecurityGroupRule {
        referenced_group_info: Some(ec2::ReferencedSecurityGroup {
            group_id: it.group_id.clone(),
            peering_status: it.peering_status.clone(),
            user_id: it.user_id.clone(),
            vpc_id: it.vpc_id.clone(),
            vpc_peering_connection_id: it.vpc_peering_connection_id.clone(),
        }),
        description: it.description.clone(),
        ..base.clone()
    });
    ipv4.chain(ipv6).chain(lists).chain(groups).collect()
}
