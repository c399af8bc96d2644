//! Security groups and a network ACL in the words of nftables, for the router of one interface.
//!
//! One router stands for one interface, so its connection tracking is that interface's (SGT-16).
//! What is not tracked (SGT-2) bypasses it; what belongs to a known flow passes; all else meets
//! the rules.

use std::net::Ipv4Addr;

use gureum_engine::Direction;
use gureum_types::{
    IpProtocol,
    record::{Network, NetworkAcl, NetworkInterface, RulePeer, SecurityGroupRule, Traffic},
};
use ipnet::IpNet;

/// What every router lets pass untouched: the senders of [`super::routers`]' marks.
pub(crate) const MARKS: &str = "192.0.2.0/24";

const GOES_ON: &str = "tcp flags & (fin | syn | rst | ack) != syn";

/// The whole ruleset for an interface behind the link `near`.
pub(crate) fn ruleset(network: &Network, interface: &NetworkInterface, near: &str) -> String {
    let rules = |egress| -> Vec<&SecurityGroupRule> {
        let of_interface = |rule: &&SecurityGroupRule| interface.groups.contains(&rule.group_id);
        let all = network.security_group_rules.iter().map(AsRef::as_ref);
        all.filter(of_interface).filter(|rule| rule.egress == egress).collect()
    };
    let (out, into) = (rules(true), rules(false));
    let acl = network
        .network_acls
        .iter()
        .find(|acl| acl.associations.iter().any(|of| of.subnet_id == interface.subnet_id))
        .expect("an ACL");
    let mut text = String::from("flush ruleset\ntable ip gate {\n");
    text += &group(network, "group_out", &out, Direction::Egress);
    text += &group(network, "group_in", &into, Direction::Ingress);
    text += &entries(acl, "acl_out", true);
    text += &entries(acl, "acl_in", false);
    let bypass_out = bypass(&out, &into).join("\n    ");
    let bypass_in = bypass(&into, &out).join("\n    ");
    text += &format!(
        "  chain bypass_out {{\n    {bypass_out}\n  }}
  chain bypass_in {{\n    {bypass_in}\n  }}
  chain early {{
    type filter hook prerouting priority -300; policy accept;
    ip saddr {MARKS} notrack
    iifname \"{near}\" jump bypass_out
    iifname != \"{near}\" jump bypass_in
  }}
  chain through {{
    type filter hook forward priority 0; policy drop;
    ip saddr {MARKS} accept
    iifname \"{near}\" jump group_out
    iifname \"{near}\" jump acl_out
    iifname \"{near}\" accept
    jump acl_in
    jump group_in
    accept
  }}
}}\n"
    );
    text
}

fn group(
    network: &Network,
    name: &str,
    rules: &[&SecurityGroupRule],
    direction: Direction,
) -> String {
    let peer = if direction == Direction::Egress { "daddr" } else { "saddr" };
    let mut lines = vec![
        // An error about a known flow is not part of it (SGT-15).
        "ct state { established, new } ct status & confirmed == confirmed return".to_owned(),
        "ct state untracked return".to_owned(),
        // TCP begins with a SYN (FL-30).
        format!("meta l4proto tcp {GOES_ON} drop"),
    ];
    for rule in rules {
        let Some(from) = addresses(network, &rule.peer, peer) else { continue };
        lines.push(format!("{from} {} return", traffic(&rule.traffic, "dport")));
    }
    lines.push("drop".to_owned());
    format!("  chain {name} {{\n    {}\n  }}\n", lines.join("\n    "))
}

/// `None` where nobody is meant.
fn addresses(network: &Network, peer: &RulePeer, field: &str) -> Option<String> {
    match peer {
        RulePeer::Ipv4(block) => Some(format!("ip {field} {block}")),
        RulePeer::Group(group) => {
            let members = network.interfaces.iter().filter(|of| of.groups.contains(group));
            let addresses: Vec<String> = members
                .flat_map(|of| of.private_addresses.iter().map(Ipv4Addr::to_string))
                .collect();
            let set = addresses.join(", ");
            (!addresses.is_empty()).then(|| format!("ip {field} {{ {set} }}"))
        }
        RulePeer::Ipv6(_) | RulePeer::PrefixList(_) => None,
    }
}

fn traffic(traffic: &Traffic, port: &str) -> String {
    match traffic {
        Traffic::All => String::new(),
        Traffic::Ports { protocol, from, to } => {
            let name = if *protocol == IpProtocol::TCP { "tcp" } else { "udp" };
            format!("{name} {port} {from}-{to}")
        }
        Traffic::Icmp { icmp_type: None, .. } => "meta l4proto icmp".to_owned(),
        Traffic::Icmp { icmp_type: Some(kind), icmp_code: None, .. } => format!("icmp type {kind}"),
        Traffic::Icmp { icmp_type: Some(kind), icmp_code: Some(code), .. } => {
            format!("icmp type {kind} icmp code {code}")
        }
        Traffic::Protocol(protocol) => format!("meta l4proto {}", protocol.0),
    }
}

fn entries(acl: &NetworkAcl, name: &str, egress: bool) -> String {
    let field = if egress { "daddr" } else { "saddr" };
    let mut sorted: Vec<_> = acl.entries.iter().filter(|entry| entry.egress == egress).collect();
    sorted.sort_by_key(|entry| entry.rule_number);
    let mut lines = Vec::new();
    for entry in sorted {
        let IpNet::V4(block) = entry.cidr else { continue };
        let verdict = if entry.allow { "return" } else { "drop" };
        lines.push(format!("ip {field} {block} {} {verdict}", traffic(&entry.traffic, "dport")));
    }
    lines.push("drop".to_owned());
    format!("  chain {name} {{\n    {}\n  }}\n", lines.join("\n    "))
}

/// What of a protocol a rule for everybody admits, by the packet's `port`; `None` for any other.
fn wide(rule: &SecurityGroupRule, name: &str, number: u8, port: &str) -> Option<String> {
    if !matches!(rule.peer, RulePeer::Ipv4(block) if block.prefix_len() == 0) {
        return None;
    }
    match rule.traffic {
        Traffic::All => Some(format!("meta l4proto {name}")),
        Traffic::Protocol(protocol) if protocol.0 == number => Some(format!("meta l4proto {name}")),
        Traffic::Ports { protocol, from, to } if protocol.0 == number => {
            Some(format!("{name} {port} {from}-{to}"))
        }
        _ => None,
    }
}

fn admits_everything(rules: &[&SecurityGroupRule], name: &str, number: u8) -> bool {
    rules.iter().any(|rule| {
        wide(rule, name, number, "dport").is_some()
            && !matches!(rule.traffic, Traffic::Ports { from, to, .. } if (from, to) != (0, 0xffff))
    })
}

/// What is not tracked in a direction with these rules (SGT-2): flows under a rule for everybody
/// where the other direction is open, and the answers of such flows.
fn bypass(rules: &[&SecurityGroupRule], reverse: &[&SecurityGroupRule]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, number) in [("tcp", 6), ("udp", 17)] {
        if admits_everything(reverse, name, number) {
            let matches = rules.iter().filter_map(|rule| wide(rule, name, number, "dport"));
            lines.extend(matches.map(|fits| format!("{fits} notrack return")));
        }
        if admits_everything(rules, name, number) {
            let begins = if name == "tcp" { GOES_ON } else { "" };
            let matches = reverse.iter().filter_map(|rule| wide(rule, name, number, "sport"));
            lines.extend(matches.map(|fits| format!("{fits} {begins} notrack return")));
        }
    }

    lines
}
