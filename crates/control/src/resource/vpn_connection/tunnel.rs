//! Tunnels of VPN connections: what may be asked of them, and what is made where nothing is.

use std::net::{Ipv4Addr, Ipv6Addr};

use gureum_api::{ApiError, ec2};
use gureum_types::record::{VpnTunnel, VpnTunnelLog, VpnTunnelOptions};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    call::{Answer, Call, given},
    resource::cidr,
};

/// Where the addresses inside of tunnels are from, and what of it is not for them.
const INSIDE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);
const RESERVED: [[u8; 2]; 7] = [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [5, 0], [169, 252]];
/// The prefixes of the blocks inside.
const INSIDE_LENGTH: u8 = 30;
const INSIDE_IPV6_LENGTH: u8 = 126;

const ENCRYPTION: &[&str] = &["AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"];
const INTEGRITY: &[&str] = &["SHA1", "SHA2-256", "SHA2-384", "SHA2-512"];
const PHASE1_GROUPS: &[i32] = &[2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24];
const PHASE2_GROUPS: &[i32] = &[2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24];

pub(super) fn shown(tunnel: &VpnTunnel) -> ec2::TunnelOption {
    let options = tunnel.options.clone();
    macro_rules! values {
        ($field:ident, $shape:ident) => {
            options.$field.into_iter().map(|it| ec2::$shape { value: Some(it) }).collect()
        };
    }
    let log = options.log.map(|log| ec2::CloudWatchLogOptions {
        log_enabled: Some(true),
        log_group_arn: Some(log.group),
        log_output_format: Some(log.format),
        bgp_log_enabled: Some(false),
        ..Default::default()
    });
    let no_log = || ec2::CloudWatchLogOptions {
        log_enabled: Some(false),
        bgp_log_enabled: Some(false),
        ..Default::default()
    };
    ec2::TunnelOption {
        outside_ip_address: Some(tunnel.outside.to_string()),
        tunnel_inside_cidr: Some(tunnel.inside.to_string()),
        tunnel_inside_ipv6_cidr: tunnel.inside_ipv6.map(|it| it.to_string()),
        pre_shared_key: Some(tunnel.pre_shared_key.clone()),
        phase1_lifetime_seconds: options.phase1_lifetime,
        phase2_lifetime_seconds: options.phase2_lifetime,
        rekey_margin_time_seconds: options.rekey_margin_time,
        rekey_fuzz_percentage: options.rekey_fuzz_percentage,
        replay_window_size: options.replay_window_size,
        dpd_timeout_seconds: options.dpd_timeout,
        dpd_timeout_action: options.dpd_timeout_action,
        phase1_encryption_algorithms: values!(
            phase1_encryption,
            Phase1EncryptionAlgorithmsListValue
        ),
        phase2_encryption_algorithms: values!(
            phase2_encryption,
            Phase2EncryptionAlgorithmsListValue
        ),
        phase1_integrity_algorithms: values!(phase1_integrity, Phase1IntegrityAlgorithmsListValue),
        phase2_integrity_algorithms: values!(phase2_integrity, Phase2IntegrityAlgorithmsListValue),
        phase1_dh_group_numbers: values!(phase1_dh_groups, Phase1DHGroupNumbersListValue),
        phase2_dh_group_numbers: values!(phase2_dh_groups, Phase2DHGroupNumbersListValue),
        ike_versions: values!(ike_versions, IKEVersionsListValue),
        startup_action: options.startup_action,
        log_options: Some(ec2::VpnTunnelLogOptions {
            cloud_watch_log_options: Some(log.unwrap_or_else(no_log)),
        }),
        enable_tunnel_lifecycle_control: options.lifecycle_control,
    }
}

/// A tunnel as it is asked for, beside others of the same connection.
pub(super) fn new(
    call: &Call,
    wanted: &ec2::VpnTunnelOptionsSpecification,
    inside_ipv6: bool,
    others: &[VpnTunnel],
    outside: Ipv4Addr,
) -> Answer<VpnTunnel> {
    let made = VpnTunnel {
        outside,
        inside: free_inside(call, others),
        inside_ipv6: inside_ipv6.then(|| free_inside_ipv6(call)),
        pre_shared_key: key(call),
        options: VpnTunnelOptions::default(),
    };
    with(made, &Wanted::of(wanted), inside_ipv6, others)
}

/// A tunnel with what is asked to be otherwise.
pub(super) fn changed(
    tunnel: &VpnTunnel,
    wanted: &ec2::ModifyVpnTunnelOptionsSpecification,
    inside_ipv6: bool,
    others: &[VpnTunnel],
) -> Answer<VpnTunnel> {
    with(tunnel.clone(), &Wanted::of_change(wanted), inside_ipv6, others)
}

/// Alphanumeric, as AWS makes them.
fn key(call: &Call) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ123456789_.";
    let mut key = String::new();
    while key.len() < 32 {
        let random = call.random();
        for place in 0..8 {
            let number = usize::from((random >> (8 * place)) as u8);
            key.push(char::from(LETTERS[number % LETTERS.len()]));
        }
    }
    key
}

fn is_reserved(block: Ipv4Net) -> bool {
    let [.., third, fourth] = block.network().octets();
    RESERVED.contains(&[third, fourth])
}

fn free_inside(call: &Call, others: &[VpnTunnel]) -> Ipv4Net {
    loop {
        let low = (call.random() as u16) & !3;
        let address = Ipv4Addr::from(u32::from(INSIDE.network()) | u32::from(low));
        let block = Ipv4Net::new_assert(address, INSIDE_LENGTH);
        if !is_reserved(block) && !others.iter().any(|it| it.inside == block) {
            return block;
        }
    }
}

fn free_inside_ipv6(call: &Call) -> Ipv6Net {
    let low = u128::from(call.random()) & !3;
    // fd00::/8, as AWS takes it.
    let address = Ipv6Addr::from((0xfd_u128 << 120) | low);
    Ipv6Net::new_assert(address, INSIDE_IPV6_LENGTH)
}

/// What both operations may ask for; the model has a structure each.
struct Wanted<'a> {
    inside: &'a Option<String>,
    inside_ipv6: &'a Option<String>,
    pre_shared_key: &'a Option<String>,
    /// Name, number, the least, the most.
    numbers: [(&'static str, Option<i32>, i32, i32); 6],
    dpd_timeout_action: &'a Option<String>,
    startup_action: &'a Option<String>,
    /// Name, values, what they may be.
    words: [(&'static str, Vec<String>, &'static [&'static str]); 5],
    groups: [(&'static str, Vec<i32>, &'static [i32]); 2],
    log: Option<&'a ec2::CloudWatchLogOptionsSpecification>,
    lifecycle_control: Option<bool>,
}

macro_rules! wanted {
    ($r:ident) => {{
        fn words<T>(list: &[T], value: fn(&T) -> &Option<String>) -> Vec<String> {
            list.iter().filter_map(|it| value(it).clone()).collect()
        }
        Wanted {
            inside: &$r.tunnel_inside_cidr,
            inside_ipv6: &$r.tunnel_inside_ipv6_cidr,
            pre_shared_key: &$r.pre_shared_key,
            numbers: [
                ("phase1LifetimeSeconds", $r.phase1_lifetime_seconds, 900, 28_800),
                ("phase2LifetimeSeconds", $r.phase2_lifetime_seconds, 900, 3_600),
                ("rekeyMarginTimeSeconds", $r.rekey_margin_time_seconds, 60, 1_800),
                ("rekeyFuzzPercentage", $r.rekey_fuzz_percentage, 0, 100),
                ("replayWindowSize", $r.replay_window_size, 64, 2_048),
                ("dpdTimeoutSeconds", $r.dpd_timeout_seconds, 30, i32::MAX),
            ],
            dpd_timeout_action: &$r.dpd_timeout_action,
            startup_action: &$r.startup_action,
            words: [
                (
                    "phase1EncryptionAlgorithms",
                    words(&$r.phase1_encryption_algorithms, |it| &it.value),
                    ENCRYPTION,
                ),
                (
                    "phase2EncryptionAlgorithms",
                    words(&$r.phase2_encryption_algorithms, |it| &it.value),
                    ENCRYPTION,
                ),
                (
                    "phase1IntegrityAlgorithms",
                    words(&$r.phase1_integrity_algorithms, |it| &it.value),
                    INTEGRITY,
                ),
                (
                    "phase2IntegrityAlgorithms",
                    words(&$r.phase2_integrity_algorithms, |it| &it.value),
                    INTEGRITY,
                ),
                ("ikeVersions", words(&$r.ike_versions, |it| &it.value), &["ikev1", "ikev2"]),
            ],
            groups: [
                (
                    "phase1DHGroupNumbers",
                    $r.phase1_dh_group_numbers.iter().filter_map(|it| it.value).collect(),
                    PHASE1_GROUPS,
                ),
                (
                    "phase2DHGroupNumbers",
                    $r.phase2_dh_group_numbers.iter().filter_map(|it| it.value).collect(),
                    PHASE2_GROUPS,
                ),
            ],
            log: $r.log_options.as_ref().and_then(|it| it.cloud_watch_log_options.as_ref()),
            lifecycle_control: $r.enable_tunnel_lifecycle_control,
        }
    }};
}

impl<'a> Wanted<'a> {
    fn of(r: &'a ec2::VpnTunnelOptionsSpecification) -> Self {
        wanted!(r)
    }

    fn of_change(r: &'a ec2::ModifyVpnTunnelOptionsSpecification) -> Self {
        wanted!(r)
    }

    /// Refuses what no tunnel may have.
    fn check(&self) -> Answer<()> {
        for (name, number, least, most) in self.numbers {
            if let Some(number) = number.filter(|it| !(least..=most).contains(it)) {
                let reason = format!("It must be between {least} and {most}.");
                return Err(ApiError::invalid_value(number, name, &reason));
            }
        }
        let actions: &[&str] = &["clear", "none", "restart"];
        for (name, word, possible) in [
            ("dpdTimeoutAction", self.dpd_timeout_action, actions),
            ("startupAction", self.startup_action, &["add", "start"]),
        ] {
            one_of(name, given(word), possible)?;
        }
        for (name, words, possible) in &self.words {
            for word in words {
                one_of(name, Some(word), possible)?;
            }
        }
        for (name, groups, possible) in &self.groups {
            if let Some(group) = groups.iter().find(|it| !possible.contains(it)) {
                let reason = format!("It is one of {possible:?}.");
                return Err(ApiError::invalid_value(group, name, &reason));
            }
        }
        if let Some(key) = given(self.pre_shared_key) {
            let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_');
            if !(8..=64).contains(&key.len()) || key.starts_with('0') || !key.chars().all(is_plain)
            {
                // The key itself is a secret, and not said again.
                return Err(ApiError::invalid_parameter_value(
                    "The pre-shared key must have 8 to 64 letters, digits, periods and \
                     underscores and must not begin with zero.",
                ));
            }
        }
        Ok(())
    }
}

fn one_of(name: &str, word: Option<&str>, possible: &[&str]) -> Answer<()> {
    match word.filter(|word| !possible.contains(word)) {
        Some(word) => {
            let reason = format!("It is one of {}.", possible.join(", "));
            Err(ApiError::invalid_value(word, name, &reason))
        }
        None => Ok(()),
    }
}

/// The block inside of a tunnel: its two addresses and nothing more.
fn inside(text: &str, others: &[VpnTunnel]) -> Answer<Ipv4Net> {
    let refused = |reason: &str| Err(ApiError::invalid_value(text, "tunnelInsideCidr", reason));
    let block = cidr::ipv4(text, "tunnelInsideCidr")?;
    if block.prefix_len() != INSIDE_LENGTH || !INSIDE.contains(&block) {
        return refused("It must be a /30 of 169.254.0.0/16.");
    }
    if is_reserved(block) {
        return refused("The block is reserved.");
    }
    if others.iter().any(|it| it.inside == block) {
        return refused("The other tunnel has it.");
    }
    Ok(block)
}

fn inside_ipv6(text: &str) -> Answer<Ipv6Net> {
    let block = cidr::ipv6(text, "tunnelInsideIpv6Cidr")?;
    let [first, ..] = block.network().octets();
    match block.prefix_len() == INSIDE_IPV6_LENGTH && first == 0xfd {
        true => Ok(block),
        false => {
            let reason = "It must be a /126 of fd00::/8.";
            Err(ApiError::invalid_value(text, "tunnelInsideIpv6Cidr", reason))
        }
    }
}

/// A log needs a group; none is written: a tunnel that never comes up has nothing to say.
fn log(wanted: &ec2::CloudWatchLogOptionsSpecification) -> Answer<Option<VpnTunnelLog>> {
    if wanted.log_enabled != Some(true) {
        return Ok(None);
    }
    let group = crate::call::text(&wanted.log_group_arn, "LogGroupArn")?;
    let format = given(&wanted.log_output_format).unwrap_or("json");
    one_of("logOutputFormat", Some(format), &["json", "text"])?;
    Ok(Some(VpnTunnelLog { group: group.to_owned(), format: format.to_owned() }))
}

fn with(
    mut tunnel: VpnTunnel,
    wanted: &Wanted<'_>,
    has_ipv6: bool,
    others: &[VpnTunnel],
) -> Answer<VpnTunnel> {
    wanted.check()?;
    if let Some(text) = given(wanted.inside) {
        tunnel.inside = inside(text, others)?;
    }
    if let Some(text) = given(wanted.inside_ipv6) {
        if !has_ipv6 {
            return Err(ApiError::invalid_parameter_combination(
                "TunnelInsideIpv6Cidr needs a VPN connection with IPv6 inside of its tunnels.",
            ));
        }
        tunnel.inside_ipv6 = Some(inside_ipv6(text)?);
    }
    if let Some(key) = given(wanted.pre_shared_key) {
        tunnel.pre_shared_key = key.to_owned();
    }
    let options = &mut tunnel.options;
    let numbers = [
        &mut options.phase1_lifetime,
        &mut options.phase2_lifetime,
        &mut options.rekey_margin_time,
        &mut options.rekey_fuzz_percentage,
        &mut options.replay_window_size,
        &mut options.dpd_timeout,
    ];
    for (now, (_, wanted, ..)) in numbers.into_iter().zip(wanted.numbers) {
        *now = wanted.or(*now);
    }
    let words = [
        &mut options.phase1_encryption,
        &mut options.phase2_encryption,
        &mut options.phase1_integrity,
        &mut options.phase2_integrity,
        &mut options.ike_versions,
    ];
    for (now, (_, wanted, _)) in words.into_iter().zip(&wanted.words) {
        if !wanted.is_empty() {
            now.clone_from(wanted);
        }
    }
    let groups = [&mut options.phase1_dh_groups, &mut options.phase2_dh_groups];
    for (now, (_, wanted, _)) in groups.into_iter().zip(&wanted.groups) {
        if !wanted.is_empty() {
            now.clone_from(wanted);
        }
    }
    for (now, wanted) in [
        (&mut options.dpd_timeout_action, wanted.dpd_timeout_action),
        (&mut options.startup_action, wanted.startup_action),
    ] {
        if let Some(word) = given(wanted) {
            *now = Some(word.to_owned());
        }
    }
    options.lifecycle_control = wanted.lifecycle_control.or(options.lifecycle_control);
    if let Some(wanted) = wanted.log {
        options.log = log(wanted)?;
    }
    Ok(tunnel)
}
