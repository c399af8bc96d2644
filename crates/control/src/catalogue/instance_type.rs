//! Instance types: memory, processors, interfaces and addresses, and in which zones they are.

use gureum_types::Region;

/// An instance type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InstanceType {
    pub(crate) name: &'static str,
    pub(crate) vcpus: i32,
    pub(crate) memory_mib: i64,
    /// How many network interfaces (ENI-5).
    pub(crate) interfaces: u32,
    /// How many IPv4 addresses on each of them (ENI-5).
    pub(crate) addresses: u32,
}

const fn of(
    name: &'static str,
    vcpus: i32,
    memory_mib: i64,
    interfaces: u32,
    addresses: u32,
) -> InstanceType {
    InstanceType { name, vcpus, memory_mib, interfaces, addresses }
}

/// The types that are offered, in the order of their names.
pub(crate) const INSTANCE_TYPES: &[InstanceType] = &[
    of("c5.2xlarge", 8, 16_384, 4, 15),
    of("c5.4xlarge", 16, 32_768, 8, 30),
    of("c5.large", 2, 4_096, 3, 10),
    of("c5.xlarge", 4, 8_192, 4, 15),
    of("c6i.large", 2, 4_096, 3, 10),
    of("c6i.xlarge", 4, 8_192, 4, 15),
    of("m5.2xlarge", 8, 32_768, 4, 15),
    of("m5.4xlarge", 16, 65_536, 8, 30),
    of("m5.large", 2, 8_192, 3, 10),
    of("m5.xlarge", 4, 16_384, 4, 15),
    of("m6i.large", 2, 8_192, 3, 10),
    of("m6i.xlarge", 4, 16_384, 4, 15),
    of("r5.2xlarge", 8, 65_536, 4, 15),
    of("r5.large", 2, 16_384, 3, 10),
    of("r5.xlarge", 4, 32_768, 4, 15),
    of("t2.2xlarge", 8, 32_768, 3, 15),
    of("t2.large", 2, 8_192, 3, 12),
    of("t2.medium", 2, 4_096, 3, 6),
    of("t2.micro", 1, 1_024, 2, 2),
    of("t2.nano", 1, 512, 2, 2),
    of("t2.small", 1, 2_048, 3, 4),
    of("t2.xlarge", 4, 16_384, 3, 15),
    of("t3.2xlarge", 8, 32_768, 4, 15),
    of("t3.large", 2, 8_192, 3, 12),
    of("t3.medium", 2, 4_096, 3, 6),
    of("t3.micro", 2, 1_024, 2, 2),
    of("t3.nano", 2, 512, 2, 2),
    of("t3.small", 2, 2_048, 3, 4),
    of("t3.xlarge", 4, 16_384, 4, 15),
    of("t3a.2xlarge", 8, 32_768, 4, 15),
    of("t3a.large", 2, 8_192, 3, 12),
    of("t3a.medium", 2, 4_096, 3, 6),
    of("t3a.micro", 2, 1_024, 2, 2),
    of("t3a.nano", 2, 512, 2, 2),
    of("t3a.small", 2, 2_048, 2, 4),
    of("t3a.xlarge", 4, 16_384, 4, 15),
    of("t4g.large", 2, 8_192, 3, 12),
    of("t4g.medium", 2, 4_096, 3, 6),
    of("t4g.micro", 2, 1_024, 2, 2),
    of("t4g.nano", 2, 512, 2, 2),
    of("t4g.small", 2, 2_048, 3, 4),
];

/// The type of that name.
pub(crate) fn instance_type(name: &str) -> Option<&'static InstanceType> {
    INSTANCE_TYPES.iter().find(|kind| kind.name == name)
}

/// The type of that name, or a small one for an instance of a twin whose type is not known here.
pub(crate) fn known_or_small(name: &str) -> Option<&'static InstanceType> {
    instance_type(name).or_else(|| instance_type("t3.micro"))
}

/// The types that a zone offers.
pub(crate) fn instance_types_in<'a>(
    region: &'a Region,
    zone: &'a str,
) -> impl Iterator<Item = &'static InstanceType> + 'a {
    INSTANCE_TYPES.iter().filter(move |kind| kind.is_offered_in(region, zone))
}

impl InstanceType {
    /// `t2` of `t2.micro`.
    pub(crate) fn family(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }

    pub(crate) fn is_burstable(&self) -> bool {
        self.name.starts_with('t')
    }

    /// Whether it is of the Xen generation, which T2 is here (EC2-23).
    pub(crate) fn is_xen(&self) -> bool {
        self.family() == "t2"
    }

    pub(crate) fn architecture(&self) -> &'static str {
        if self.family() == "t4g" { "arm64" } else { "x86_64" }
    }

    pub(crate) fn hypervisor(&self) -> &'static str {
        if self.is_xen() { "xen" } else { "nitro" }
    }

    pub(crate) fn threads_per_core(&self) -> i32 {
        if self.is_xen() || self.architecture() == "arm64" { 1 } else { 2.min(self.vcpus) }
    }

    /// The credit mode when nobody says (EC2-23).
    pub(crate) fn default_credits(&self) -> Option<&'static str> {
        self.is_burstable().then(|| if self.is_xen() { "standard" } else { "unlimited" })
    }

    /// Whether a zone has it: in Seoul T2 is in a and c only (SUB-11).
    pub(crate) fn is_offered_in(&self, region: &Region, zone: &str) -> bool {
        let everywhere = region.as_str() != "ap-northeast-2" || self.family() != "t2";
        everywhere || zone.ends_with('a') || zone.ends_with('c')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_has_no_type_twice() {
        assert!(INSTANCE_TYPES.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn seoul_has_t2_in_two_of_four_zones() {
        let seoul: Region = "ap-northeast-2".parse().expect("a region");
        let with = |name: &str| -> Vec<String> {
            let kind = instance_type(name).expect("a type");
            seoul.zones().filter(|zone| kind.is_offered_in(&seoul, zone)).collect()
        };
        assert_eq!(with("t2.micro"), ["ap-northeast-2a", "ap-northeast-2c"], "SUB-11");
        assert_eq!(with("t3.micro").len(), 4);
    }

    #[test]
    fn t2_micro_is_as_documented() {
        let kind = instance_type("t2.micro").expect("a type");
        assert_eq!((kind.vcpus, kind.memory_mib), (1, 1024), "EC2-23");
        assert_eq!((kind.interfaces, kind.addresses), (2, 2), "ENI-5");
        assert_eq!(kind.default_credits(), Some("standard"));
    }
}
