//! Instance types and where they are offered (SUB-11, ENI-5, EC2-23).

use gureum_api::{ApiError, ec2};
use gureum_store::Snapshot;

use crate::{
    call::{Answer, Call, given},
    catalogue::{INSTANCE_TYPES, InstanceType, instance_type},
    filter::{Fields, flag, select, some},
    page::page,
};

fn shown(kind: &InstanceType) -> ec2::InstanceTypeInfo {
    let xen = kind.is_xen();
    let threads = kind.threads_per_core();
    let number = |value: u32| i32::try_from(value).ok();
    let support = |yes: bool| Some(if yes { "supported" } else { "unsupported" }.to_owned());
    ec2::InstanceTypeInfo {
        instance_type: Some(kind.name.into()),
        current_generation: Some(true),
        free_tier_eligible: Some(kind.name == "t2.micro"),
        supported_usage_classes: vec!["on-demand".into()],
        supported_root_device_types: vec!["ebs".into()],
        supported_virtualization_types: vec!["hvm".into()],
        bare_metal: Some(false),
        hypervisor: Some(kind.hypervisor().into()),
        processor_info: Some(ec2::ProcessorInfo {
            supported_architectures: vec![kind.architecture().into()],
            ..Default::default()
        }),
        v_cpu_info: Some(ec2::VCpuInfo {
            default_v_cpus: Some(kind.vcpus),
            default_cores: Some((kind.vcpus / threads).max(1)),
            default_threads_per_core: Some(threads),
            ..Default::default()
        }),
        memory_info: Some(ec2::MemoryInfo { size_in_mi_b: Some(kind.memory_mib) }),
        instance_storage_supported: Some(false),
        ebs_info: Some(ec2::EbsInfo {
            ebs_optimized_support: Some(if xen { "unsupported" } else { "default" }.into()),
            encryption_support: Some("supported".into()),
            nvme_support: Some(if xen { "unsupported" } else { "required" }.into()),
            ..Default::default()
        }),
        network_info: Some(ec2::NetworkInfo {
            network_performance: Some("Low to Moderate".into()),
            maximum_network_interfaces: number(kind.interfaces),
            maximum_network_cards: Some(1),
            default_network_card_index: Some(0),
            network_cards: vec![ec2::NetworkCardInfo {
                network_card_index: Some(0),
                network_performance: Some("Low to Moderate".into()),
                maximum_network_interfaces: number(kind.interfaces),
                ..Default::default()
            }],
            ipv4_addresses_per_interface: number(kind.addresses),
            ipv6_addresses_per_interface: number(kind.addresses),
            ipv6_supported: Some(true),
            ena_support: Some(if xen { "unsupported" } else { "required" }.into()),
            efa_supported: Some(false),
            encryption_in_transit_supported: Some(false),
            ..Default::default()
        }),
        placement_group_info: Some(ec2::PlacementGroupInfo {
            supported_strategies: vec!["partition".into(), "spread".into()],
        }),
        hibernation_supported: Some(false),
        burstable_performance_supported: Some(kind.is_burstable()),
        dedicated_hosts_supported: Some(false),
        auto_recovery_supported: Some(true),
        supported_boot_modes: vec!["legacy-bios".into()],
        nitro_enclaves_support: support(false),
        nitro_tpm_support: support(false),
        ..Default::default()
    }
}

macro_rules! of_network {
    ($field:ident) => {
        |it| {
            let found = it.network_info.as_ref().and_then(|it| it.$field.as_ref());
            found.iter().map(ToString::to_string).collect()
        }
    };
}

macro_rules! of_processors {
    ($field:ident) => {
        |it| {
            let found = it.v_cpu_info.as_ref().and_then(|it| it.$field.as_ref());
            found.iter().map(ToString::to_string).collect()
        }
    };
}

const FIELDS: &Fields<ec2::InstanceTypeInfo> = &[
    ("auto-recovery-supported", |it| flag(it.auto_recovery_supported)),
    ("bare-metal", |it| flag(it.bare_metal)),
    ("burstable-performance-supported", |it| flag(it.burstable_performance_supported)),
    ("current-generation", |it| flag(it.current_generation)),
    ("dedicated-hosts-supported", |it| flag(it.dedicated_hosts_supported)),
    ("ebs-info.ebs-optimized-support", |it| {
        it.ebs_info.iter().filter_map(|it| it.ebs_optimized_support.clone()).collect()
    }),
    ("ebs-info.encryption-support", |it| {
        it.ebs_info.iter().filter_map(|it| it.encryption_support.clone()).collect()
    }),
    ("ebs-info.nvme-support", |it| {
        it.ebs_info.iter().filter_map(|it| it.nvme_support.clone()).collect()
    }),
    ("free-tier-eligible", |it| flag(it.free_tier_eligible)),
    ("hibernation-supported", |it| flag(it.hibernation_supported)),
    ("hypervisor", |it| some(&it.hypervisor)),
    ("instance-storage-supported", |it| flag(it.instance_storage_supported)),
    ("instance-type", |it| some(&it.instance_type)),
    ("memory-info.size-in-mib", |it| {
        let sizes = it.memory_info.iter().filter_map(|it| it.size_in_mi_b);
        sizes.map(|size| size.to_string()).collect()
    }),
    ("network-info.efa-supported", of_network!(efa_supported)),
    ("network-info.ena-support", of_network!(ena_support)),
    ("network-info.encryption-in-transit-supported", of_network!(encryption_in_transit_supported)),
    ("network-info.ipv4-addresses-per-interface", of_network!(ipv4_addresses_per_interface)),
    ("network-info.ipv6-addresses-per-interface", of_network!(ipv6_addresses_per_interface)),
    ("network-info.ipv6-supported", of_network!(ipv6_supported)),
    ("network-info.maximum-network-interfaces", of_network!(maximum_network_interfaces)),
    ("network-info.network-performance", of_network!(network_performance)),
    ("nitro-enclaves-support", |it| some(&it.nitro_enclaves_support)),
    ("nitro-tpm-support", |it| some(&it.nitro_tpm_support)),
    ("processor-info.supported-architecture", |it| {
        it.processor_info.iter().flat_map(|it| it.supported_architectures.clone()).collect()
    }),
    ("supported-boot-mode", |it| it.supported_boot_modes.clone()),
    ("supported-root-device-type", |it| it.supported_root_device_types.clone()),
    ("supported-usage-class", |it| it.supported_usage_classes.clone()),
    ("supported-virtualization-type", |it| it.supported_virtualization_types.clone()),
    ("vcpu-info.default-cores", of_processors!(default_cores)),
    ("vcpu-info.default-threads-per-core", of_processors!(default_threads_per_core)),
    ("vcpu-info.default-vcpus", of_processors!(default_v_cpus)),
];

pub(crate) fn describe(
    _: &Call,
    _: &Snapshot,
    r: &ec2::DescribeInstanceTypesRequest,
) -> Answer<ec2::DescribeInstanceTypesResult> {
    if !r.instance_types.is_empty() && r.max_results.is_some() {
        return Err(ApiError::invalid_parameter_combination(
            "The parameter instanceTypes cannot be used with the parameter maxResults",
        ));
    }
    let unknown: Vec<_> =
        r.instance_types.iter().filter(|name| instance_type(name).is_none()).cloned().collect();
    if !unknown.is_empty() {
        return Err(ApiError::new(
            "InvalidInstanceType",
            format!("The following supplied instance types do not exist: [{}]", unknown.join(", ")),
        ));
    }
    let wanted = |kind: &&InstanceType| {
        r.instance_types.is_empty() || r.instance_types.iter().any(|name| name == kind.name)
    };
    let kinds = INSTANCE_TYPES.iter().filter(wanted).map(shown).collect();
    let kinds = select(kinds, &r.filters, FIELDS, None)?;
    let (instance_types, next_token) =
        page(kinds, r.max_results, &r.next_token, |it| it.instance_type.as_deref())?;
    Ok(ec2::DescribeInstanceTypesResult { instance_types, next_token })
}

const OFFERING_FIELDS: &Fields<(String, ec2::InstanceTypeOffering)> =
    &[("instance-type", |it| some(&it.1.instance_type)), ("location", |it| some(&it.1.location))];

pub(crate) fn describe_offerings(
    call: &Call,
    _: &Snapshot,
    r: &ec2::DescribeInstanceTypeOfferingsRequest,
) -> Answer<ec2::DescribeInstanceTypeOfferingsResult> {
    let region = call.region();
    let location_type = given(&r.location_type).unwrap_or("region");
    let zones: Vec<String> = region.zones().collect();
    let mut offerings = Vec::new();
    for kind in INSTANCE_TYPES {
        let offered = zones.iter().filter(|zone| kind.is_offered_in(region, zone));
        let locations: Vec<String> = match location_type {
            "region" => vec![region.to_string()],
            "availability-zone" => offered.cloned().collect(),
            "availability-zone-id" => offered.filter_map(|zone| region.zone_id(zone)).collect(),
            other => {
                let reason = "Supported values are region, availability-zone and \
                              availability-zone-id.";
                return Err(ApiError::invalid_value(other, "locationType", reason));
            }
        };
        for location in locations {
            let offering = ec2::InstanceTypeOffering {
                instance_type: Some(kind.name.into()),
                location_type: Some(location_type.to_owned()),
                location: Some(location.clone()),
            };
            offerings.push((format!("{}/{location}", kind.name), offering));
        }
    }
    offerings.sort_by(|a, b| a.0.cmp(&b.0));
    let offerings = select(offerings, &r.filters, OFFERING_FIELDS, None)?;
    let (offerings, next_token) =
        page(offerings, r.max_results, &r.next_token, |it| Some(it.0.as_str()))?;
    let instance_type_offerings = offerings.into_iter().map(|(_, it)| it).collect();
    Ok(ec2::DescribeInstanceTypeOfferingsResult { instance_type_offerings, next_token })
}
