//! Address blocks as parameters: which a VPC and a subnet may have (CIDR-*, SUB-1).

use std::net::Ipv4Addr;

use gureum_api::ApiError;
use ipnet::{Ipv4Net, Ipv6Net};

use crate::call::Answer;

/// The length of a subnet's IPv6 block (CIDR-12).
const SUBNET_IPV6_LENGTH: u8 = 64;

/// An IPv4 block, canonicalised as AWS does (CIDR-1, SG-17).
pub(crate) fn ipv4(text: &str, parameter: &str) -> Answer<Ipv4Net> {
    match text.parse::<Ipv4Net>() {
        Ok(block) => Ok(block.trunc()),
        Err(_) => Err(ApiError::not_a_cidr(text, parameter)),
    }
}

/// An IPv6 block, canonicalised.
pub(crate) fn ipv6(text: &str, parameter: &str) -> Answer<Ipv6Net> {
    match text.parse::<Ipv6Net>() {
        Ok(block) => Ok(block.trunc()),
        Err(_) => Err(ApiError::not_a_cidr(text, parameter)),
    }
}

fn net(a: u8, b: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length)
}

/// Whether two blocks have an address in common.
pub(crate) fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// A block that a VPC may have as its first: /16 to /28, of unicast addresses that are not the
/// host's own or link-local (CIDR-1, CIDR-3).
pub(crate) fn of_vpc(text: &str) -> Answer<Ipv4Net> {
    let block = ipv4(text, "cidrBlock")?;
    let barred = [net(0, 0, 8), net(127, 0, 8), net(169, 254, 16), net(224, 0, 3)];
    if !(16..=28).contains(&block.prefix_len()) || barred.iter().any(|it| overlap(*it, block)) {
        return Err(ApiError::invalid_vpc_range(text));
    }
    Ok(block)
}

/// A block that a VPC may have besides those it has (CIDR-8 to CIDR-10).
pub(crate) fn another_of_vpc(text: &str, present: &[Ipv4Net]) -> Answer<Ipv4Net> {
    let block = of_vpc(text)?;
    let restricted = present.first().is_some_and(|primary| is_restricted(*primary, block));
    if restricted || present.iter().any(|it| overlap(*it, block)) {
        return Err(ApiError::restricted_vpc_range(text));
    }
    Ok(block)
}

/// Whether a range may not be mixed with that of the primary block (CIDR-9).
fn is_restricted(primary: Ipv4Net, block: Ipv4Net) -> bool {
    let (ten, one_seven_two) = (net(10, 0, 8), net(172, 16, 12));
    let (one_nine_two, benchmark) = (net(192, 168, 16), net(198, 19, 16));
    let within = |ranges: &[Ipv4Net]| ranges.iter().any(|range| overlap(*range, block));
    if ten.contains(&primary) {
        let beginning = net(10, 0, 15).contains(&primary) && within(&[net(10, 0, 16)]);
        return beginning || within(&[one_seven_two, one_nine_two, benchmark]);
    }
    if one_seven_two.contains(&primary) {
        return within(&[ten, one_nine_two, benchmark, net(172, 31, 16)]);
    }
    if one_nine_two.contains(&primary) {
        return within(&[ten, one_seven_two, benchmark]);
    }
    within(&[ten, one_seven_two, one_nine_two])
        || (within(&[benchmark]) && !benchmark.contains(&primary))
}

/// A block that a subnet may have in a VPC with these blocks (SUB-1).
pub(crate) fn of_subnet(text: &str, vpc: &[Ipv4Net]) -> Answer<Ipv4Net> {
    let block = ipv4(text, "cidrBlock")?;
    let fits = vpc.iter().any(|it| it.contains(&block));
    match fits && (16..=28).contains(&block.prefix_len()) {
        true => Ok(block),
        false => Err(ApiError::invalid_subnet_range(text)),
    }
}

/// The IPv6 block that a subnet may have in a VPC with these blocks: a /64 (CIDR-12).
pub(crate) fn ipv6_of_subnet(text: &str, vpc: &[Ipv6Net]) -> Answer<Ipv6Net> {
    let block = ipv6(text, "ipv6CidrBlock")?;
    if block.prefix_len() != SUBNET_IPV6_LENGTH {
        return Err(ApiError::invalid_subnet_ipv6_block(text));
    }
    match vpc.iter().any(|it| it.contains(&block)) {
        true => Ok(block),
        false => Err(ApiError::invalid_subnet_range(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(answer: Answer<T>) -> &'static str {
        answer.expect_err("an error").code
    }

    #[test]
    fn a_vpc_has_sixteen_to_twenty_eight_bits() {
        assert_eq!(of_vpc("100.68.0.18/18").expect("a block").to_string(), "100.68.0.0/18");
        for text in ["10.0.0.0/8", "10.0.0.0/29", "169.254.0.0/16", "0.0.0.0/16", "240.0.0.0/16"] {
            assert_eq!(code(of_vpc(text)), "InvalidVpc.Range", "{text} (CIDR-1, CIDR-3)");
        }
        for text in ["", "10.0.0.0", "10.0.0/16", "10.0.0.0/33", "x", "fd00::/56"] {
            assert_eq!(code(of_vpc(text)), "InvalidParameterValue", "{text} (CIDR-2)");
        }
    }

    #[test]
    fn ranges_are_not_mixed() {
        for (primary, block, allowed) in [
            ("10.1.0.0/16", "10.2.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/16", false),
            ("10.2.0.0/16", "10.0.0.0/16", true),
            ("10.1.0.0/16", "172.16.0.0/16", false),
            ("10.1.0.0/16", "192.168.0.0/16", false),
            ("10.1.0.0/16", "198.19.0.0/16", false),
            ("10.1.0.0/16", "100.64.0.0/16", true),
            ("10.1.0.0/16", "8.8.0.0/16", true),
            ("10.1.0.0/16", "10.1.5.0/24", false),
            ("172.16.0.0/16", "172.17.0.0/16", true),
            ("172.16.0.0/16", "172.31.0.0/16", false),
            ("192.168.0.0/16", "10.0.0.0/16", false),
            ("100.64.0.0/16", "10.0.0.0/16", false),
            ("100.64.0.0/16", "100.65.0.0/16", true),
            ("8.8.0.0/16", "9.9.0.0/16", true),
        ] {
            let present = [primary.parse().expect("a block")];
            assert_eq!(another_of_vpc(block, &present).is_ok(), allowed, "{primary} {block}");
        }
    }
}
