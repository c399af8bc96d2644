//! Instances: how they are shown, started, stopped, rebooted and terminated (EC2-1 to EC2-11).

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gureum_api::{ApiError, ApiRequest, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InstanceId, Region, ReservationId, Timestamp,
    record::{
        Address, Instance, InstanceState, MetadataOptions, NetworkInterface, Scope, Volume, Vpc,
    },
};

use crate::{
    call::{Answer, Call, parse_id, text},
    catalogue::{image_with_id, instance_type},
    filter::{Fields, flag, some},
    operation::{self, Parameters, Work},
    query::{Index, Query, View, own, referrers},
    resource::{
        iam_instance_profile,
        network_interface::{self as eni, shown_groups, shown_mac},
        public_ip,
    },
    tags,
};

pub(crate) fn shown_state(state: InstanceState) -> ec2::InstanceState {
    ec2::InstanceState { code: Some(state.code()), name: Some(state.name().into()) }
}

/// The private name that an instance has by its options (DNS-6, DNS-7).
pub(crate) fn private_name(
    region: &Region,
    instance: &Instance,
    primary: &NetworkInterface,
) -> String {
    match (instance.private_dns_hostname_type.as_str(), primary.primary_address()) {
        ("resource-name", _) | (_, None) => format!("{}.{}", instance.id, region.internal_domain()),
        (_, Some(address)) => public_ip::private_name(region, address),
    }
}

pub(crate) fn shown_metadata_options(
    options: &MetadataOptions,
    state: &str,
) -> ec2::InstanceMetadataOptionsResponse {
    let enabled = |on: bool| Some(if on { "enabled" } else { "disabled" }.to_owned());
    let tokens = if options.tokens_required { "required" } else { "optional" };
    ec2::InstanceMetadataOptionsResponse {
        state: Some(state.to_owned()),
        http_tokens: Some(tokens.to_owned()),
        http_put_response_hop_limit: Some(options.hop_limit.into()),
        http_endpoint: enabled(options.enabled),
        http_protocol_ipv6: enabled(options.ipv6),
        instance_metadata_tags: enabled(options.tags),
    }
}

pub(crate) fn shown_maintenance(instance: &Instance) -> ec2::InstanceMaintenanceOptions {
    let word = |disabled: bool| Some(if disabled { "disabled" } else { "default" }.to_owned());
    ec2::InstanceMaintenanceOptions {
        auto_recovery: word(instance.auto_recovery_disabled),
        reboot_migration: word(instance.reboot_migration_disabled),
    }
}

fn shown_interface(
    call: &Call,
    records: &Snapshot,
    interface: &NetworkInterface,
    mappings: &[public_ip::Mapping],
    names: bool,
) -> ec2::InstanceNetworkInterface {
    let association = |private| {
        let mapping = mappings.iter().find(|it| it.private == private)?;
        let owner = if mapping.elastic.is_some() { call.account().as_str() } else { "amazon" };
        Some(ec2::InstanceNetworkInterfaceAssociation {
            ip_owner_id: Some(owner.to_owned()),
            public_dns_name: Some(match names {
                true => public_ip::public_name(call.region(), mapping.public),
                false => String::new(),
            }),
            public_ip: Some(mapping.public.to_string()),
            ..Default::default()
        })
    };
    let primary = interface.primary_address();
    let private_name = |address| names.then(|| public_ip::private_name(call.region(), address));
    let addresses = interface.private_addresses.iter().map(|it| ec2::InstancePrivateIpAddress {
        association: association(*it),
        primary: Some(Some(*it) == primary),
        private_dns_name: private_name(*it),
        private_ip_address: Some(it.to_string()),
    });
    let attachment =
        interface.attachment.as_ref().map(|it| ec2::InstanceNetworkInterfaceAttachment {
            attach_time: Some(it.attach_time),
            attachment_id: Some(it.id.to_string()),
            delete_on_termination: Some(it.delete_on_termination),
            device_index: i32::try_from(it.device_index).ok(),
            status: Some(it.state.name().into()),
            network_card_index: Some(0),
            ..Default::default()
        });
    ec2::InstanceNetworkInterface {
        association: primary.and_then(association),
        attachment,
        connection_tracking_configuration: eni::shown_tracking_of_instance(interface),
        description: Some(interface.description.clone()),
        groups: shown_groups(call, records, &interface.groups),
        ipv6_addresses: eni::shown_ipv6_of_instance(interface),
        mac_address: Some(shown_mac(interface.mac)),
        network_interface_id: Some(interface.id.to_string()),
        owner_id: Some(call.account().to_string()),
        private_dns_name: primary.and_then(private_name),
        private_ip_address: primary.map(|it| it.to_string()),
        private_ip_addresses: addresses.collect(),
        source_dest_check: Some(interface.source_dest_check),
        status: Some("in-use".into()),
        subnet_id: Some(interface.subnet_id.to_string()),
        vpc_id: Some(interface.vpc_id.to_string()),
        interface_type: Some(interface.interface_type.clone()),
        ..Default::default()
    }
}

/// The volumes of an instance in the order of their devices, the root first.
pub(crate) fn volumes(records: &Snapshot, instance: &Instance) -> Vec<Arc<Volume>> {
    let mut volumes: Vec<_> = records.referrers::<Volume>(instance.id.as_str()).cloned().collect();
    volumes.sort_by_key(|it| {
        let device = it.attachment.as_ref().map(|it| it.device.clone());
        (device.as_deref() != Some(&instance.root_device_name), device)
    });
    volumes
}

/// Why an instance is in its state, where AWS says it.
fn state_reason(instance: &Instance) -> Option<ec2::StateReason> {
    let (code, message) = match (&instance.state_reason, instance.state) {
        (Some((code, message)), _) => (code.as_str(), message.as_str()),
        (None, InstanceState::Pending) => ("pending", "pending"),
        (None, _) => return None,
    };
    Some(ec2::StateReason { code: Some(code.into()), message: Some(message.into()) })
}

fn shown_volume(volume: &Volume) -> ec2::InstanceBlockDeviceMapping {
    let attachment = volume.attachment.as_ref();
    ec2::InstanceBlockDeviceMapping {
        device_name: attachment.map(|it| it.device.clone()),
        ebs: Some(ec2::EbsInstanceBlockDevice {
            attach_time: attachment.map(|it| it.attach_time),
            delete_on_termination: attachment.map(|it| it.delete_on_termination),
            status: Some("attached".into()),
            volume_id: Some(volume.id.to_string()),
            ..Default::default()
        }),
    }
}

/// An instance as answers show it. A terminated one has lost its network (EC2-3).
pub(crate) fn shown(call: &Call, records: &Snapshot, instance: &Instance) -> ec2::Instance {
    let kind = instance_type(&instance.instance_type);
    let image = image_with_id(call.region(), instance.image_id.as_str());
    let interfaces = eni::of_instance(records, &instance.id);
    let primary = interfaces.first();
    let terminated = instance.state == InstanceState::Terminated;
    let vpc = records.find::<Vpc>(&call.scope, instance.vpc_id.as_str());
    let names = vpc.is_some_and(|vpc| public_ip::has_public_names(vpc));
    let mappings: Vec<_> = interfaces.iter().map(|it| public_ip::mappings(records, it)).collect();
    let public = primary.zip(mappings.first()).and_then(|(it, mappings)| {
        mappings.iter().find(|mapping| Some(mapping.private) == it.primary_address())
    });
    let network_interfaces: Vec<_> = interfaces
        .iter()
        .zip(&mappings)
        .map(|(it, mappings)| shown_interface(call, records, it, mappings, names))
        .collect();
    let public_dns_name = match public {
        Some(mapping) if names => public_ip::public_name(call.region(), mapping.public),
        _ => String::new(),
    };
    let threads = kind.map_or(1, |it| it.threads_per_core());
    ec2::Instance {
        architecture: Some(kind.map_or("x86_64", |it| it.architecture()).into()),
        block_device_mappings: volumes(records, instance)
            .iter()
            .map(|it| shown_volume(it))
            .collect(),
        client_token: Some(instance.client_token.clone().unwrap_or_default()),
        ebs_optimized: Some(instance.ebs_optimized),
        ena_support: Some(true),
        // What the API calls so is Xen for all of them.
        hypervisor: Some("xen".into()),
        iam_instance_profile: instance
            .iam_instance_profile
            .as_ref()
            .map(iam_instance_profile::shown_profile),
        root_device_name: Some(instance.root_device_name.clone()),
        root_device_type: Some("ebs".into()),
        security_groups: network_interfaces.first().map_or_else(Vec::new, |it| it.groups.clone()),
        network_interfaces,
        source_dest_check: primary.map(|it| it.source_dest_check),
        state_reason: state_reason(instance),
        tags: tags::shown(&instance.tags),
        virtualization_type: Some("hvm".into()),
        cpu_options: kind.map(|it| ec2::CpuOptions {
            core_count: Some((it.vcpus / threads).max(1)),
            threads_per_core: Some(threads),
            ..Default::default()
        }),
        capacity_reservation_specification: Some(ec2::CapacityReservationSpecificationResponse {
            capacity_reservation_preference: Some("open".into()),
            ..Default::default()
        }),
        hibernation_options: Some(ec2::HibernationOptions {
            configured: Some(instance.hibernation),
        }),
        metadata_options: Some(shown_metadata_options(&instance.metadata_options, "applied")),
        enclave_options: Some(ec2::EnclaveOptions { enabled: Some(false) }),
        boot_mode: image.map(|it| it.boot_mode.to_owned()),
        platform_details: Some("Linux/UNIX".into()),
        usage_operation: Some("RunInstances".into()),
        usage_operation_update_time: Some(instance.launch_time),
        private_dns_name_options: (!terminated).then(|| ec2::PrivateDnsNameOptionsResponse {
            hostname_type: Some(instance.private_dns_hostname_type.clone()),
            enable_resource_name_dns_a_record: Some(instance.resource_name_dns_a_record),
            enable_resource_name_dns_aaaa_record: Some(instance.resource_name_dns_aaaa_record),
        }),
        maintenance_options: Some(shown_maintenance(instance)),
        current_instance_boot_mode: Some("legacy-bios".into()),
        instance_id: Some(instance.id.to_string()),
        image_id: Some(instance.image_id.to_string()),
        state: Some(shown_state(instance.state)),
        private_dns_name: Some(
            primary.map_or_else(String::new, |it| private_name(call.region(), instance, it)),
        ),
        public_dns_name: Some(public_dns_name),
        state_transition_reason: Some(instance.state_transition_reason.clone()),
        key_name: instance.key_name.clone(),
        ami_launch_index: i32::try_from(instance.launch_index).ok(),
        instance_type: Some(instance.instance_type.clone()),
        launch_time: Some(instance.launch_time),
        placement: Some(ec2::Placement {
            availability_zone: Some(instance.availability_zone.clone()),
            availability_zone_id: call.region().zone_id(&instance.availability_zone),
            group_id: instance.placed.as_ref().map(|it| it.group_id.to_string()),
            group_name: Some(
                instance.placed.as_ref().map_or_else(String::new, |it| it.group_name.clone()),
            ),
            partition_number: instance
                .placed
                .as_ref()
                .and_then(|it| it.partition)
                .and_then(|number| i32::try_from(number).ok()),
            tenancy: Some(instance.tenancy.clone()),
            ..Default::default()
        }),
        monitoring: Some(ec2::Monitoring {
            state: Some(if instance.monitoring { "enabled" } else { "disabled" }.into()),
        }),
        subnet_id: (!terminated).then(|| instance.subnet_id.to_string()),
        vpc_id: (!terminated).then(|| instance.vpc_id.to_string()),
        private_ip_address: primary
            .and_then(|it| it.primary_address())
            .map(|address| address.to_string()),
        ipv6_address: primary
            .and_then(|it| it.ipv6_addresses.first())
            .map(|address| address.to_string()),
        public_ip_address: public.map(|it| it.public.to_string()),
        ..Default::default()
    }
}

/// The instances that a request names; one bad id fails the whole (EC2-2, EC2-5).
pub(crate) fn named(call: &Call, records: &Snapshot, ids: &[String]) -> Answer<Vec<Arc<Instance>>> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        parse_id::<Instance>(id)?;
        match records.find::<Instance>(&call.scope, id) {
            Some(instance) => found.push(instance.clone()),
            None => missing.push(id),
        }
    }
    if !missing.is_empty() {
        return Err(ApiError::instances_not_found(&missing));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    Ok(found)
}

fn of_request(
    call: &Call,
    records: &Snapshot,
    ids: &[String],
    query: Query<'_>,
) -> Answer<Vec<Arc<Instance>>> {
    if !ids.is_empty() && query.max_results.is_some() {
        return Err(ApiError::invalid_parameter_combination(
            "The parameter instancesSet cannot be used with the parameter maxResults",
        ));
    }
    match ids.is_empty() {
        true => query.candidates(records, &call.scope, ids, INDEX),
        false => named(call, records, ids),
    }
}

/// An instance with what filters see besides it.
struct Seen {
    instance: ec2::Instance,
    reservation: String,
    owner: String,
}

macro_rules! of_interfaces {
    ($field:ident) => {
        |it| {
            let found = it.instance.network_interfaces.iter();
            found.filter_map(|it| it.$field.as_ref().map(ToString::to_string)).collect()
        }
    };
}

macro_rules! of_ipv6_addresses {
    ($field:ident) => {
        |it| {
            let found = it.instance.network_interfaces.iter().flat_map(|it| &it.ipv6_addresses);
            found.filter_map(|it| it.$field.as_ref().map(ToString::to_string)).collect()
        }
    };
}

macro_rules! of_attachments {
    ($field:ident) => {
        |it| {
            let found = it.instance.network_interfaces.iter();
            let found = found.filter_map(|it| it.attachment.as_ref());
            found.filter_map(|it| it.$field.as_ref().map(ToString::to_string)).collect()
        }
    };
}

macro_rules! of_associations {
    ($field:ident) => {
        |it| {
            let found = it.instance.network_interfaces.iter();
            let found = found.filter_map(|it| it.association.as_ref());
            found.filter_map(|it| it.$field.clone()).collect()
        }
    };
}

macro_rules! of_volumes {
    ($field:ident) => {
        |it| {
            let found = it.instance.block_device_mappings.iter();
            let found = found.filter_map(|it| it.ebs.as_ref());
            found.filter_map(|it| it.$field.as_ref().map(ToString::to_string)).collect()
        }
    };
}

macro_rules! of_metadata {
    ($field:ident) => {
        |it| {
            let options = it.instance.metadata_options.iter();
            options.filter_map(|it| it.$field.as_ref().map(ToString::to_string)).collect()
        }
    };
}

const FIELDS: &Fields<Seen> = &[
    ("architecture", |it| some(&it.instance.architecture)),
    ("availability-zone", |it| {
        it.instance.placement.iter().filter_map(|it| it.availability_zone.clone()).collect()
    }),
    ("availability-zone-id", |it| {
        it.instance.placement.iter().filter_map(|it| it.availability_zone_id.clone()).collect()
    }),
    ("block-device-mapping.attach-time", of_volumes!(attach_time)),
    ("block-device-mapping.delete-on-termination", of_volumes!(delete_on_termination)),
    ("block-device-mapping.device-name", |it| {
        it.instance.block_device_mappings.iter().filter_map(|it| it.device_name.clone()).collect()
    }),
    ("block-device-mapping.status", of_volumes!(status)),
    ("block-device-mapping.volume-id", of_volumes!(volume_id)),
    ("boot-mode", |it| some(&it.instance.boot_mode)),
    ("client-token", |it| some(&it.instance.client_token)),
    ("current-instance-boot-mode", |it| some(&it.instance.current_instance_boot_mode)),
    ("dns-name", |it| some(&it.instance.public_dns_name)),
    ("ebs-optimized", |it| flag(it.instance.ebs_optimized)),
    ("ena-support", |it| flag(it.instance.ena_support)),
    ("enclave-options.enabled", |it| {
        it.instance.enclave_options.iter().flat_map(|it| flag(it.enabled)).collect()
    }),
    ("group-id", |it| {
        it.instance.security_groups.iter().filter_map(|it| it.group_id.clone()).collect()
    }),
    ("group-name", |it| {
        it.instance.security_groups.iter().filter_map(|it| it.group_name.clone()).collect()
    }),
    ("hibernation-options.configured", |it| {
        it.instance.hibernation_options.iter().flat_map(|it| flag(it.configured)).collect()
    }),
    ("host-id", |_| Vec::new()),
    ("hypervisor", |it| some(&it.instance.hypervisor)),
    ("iam-instance-profile.arn", |it| {
        it.instance.iam_instance_profile.iter().filter_map(|it| it.arn.clone()).collect()
    }),
    ("iam-instance-profile.id", |it| {
        it.instance.iam_instance_profile.iter().filter_map(|it| it.id.clone()).collect()
    }),
    ("iam-instance-profile.name", |it| {
        let arns = it.instance.iam_instance_profile.iter().filter_map(|it| it.arn.as_deref());
        arns.filter_map(|arn| arn.rsplit('/').next()).map(str::to_owned).collect()
    }),
    ("image-id", |it| some(&it.instance.image_id)),
    ("instance-id", |it| some(&it.instance.instance_id)),
    ("instance-lifecycle", |_| Vec::new()),
    ("instance-state-code", |it| {
        let state = it.instance.state.iter().filter_map(|it| it.code);
        state.map(|code| code.to_string()).collect()
    }),
    ("instance-state-name", |it| {
        it.instance.state.iter().filter_map(|it| it.name.clone()).collect()
    }),
    ("instance-type", |it| some(&it.instance.instance_type)),
    ("instance.group-id", |it| {
        it.instance.security_groups.iter().filter_map(|it| it.group_id.clone()).collect()
    }),
    ("instance.group-name", |it| {
        it.instance.security_groups.iter().filter_map(|it| it.group_name.clone()).collect()
    }),
    ("ip-address", |it| some(&it.instance.public_ip_address)),
    ("ipv6-address", of_ipv6_addresses!(ipv6_address)),
    ("key-name", |it| some(&it.instance.key_name)),
    ("launch-index", |it| it.instance.ami_launch_index.iter().map(ToString::to_string).collect()),
    ("launch-time", |it| it.instance.launch_time.iter().map(ToString::to_string).collect()),
    ("maintenance-options.auto-recovery", |it| {
        it.instance.maintenance_options.iter().filter_map(|it| it.auto_recovery.clone()).collect()
    }),
    ("metadata-options.http-endpoint", of_metadata!(http_endpoint)),
    ("metadata-options.http-protocol-ipv6", of_metadata!(http_protocol_ipv6)),
    ("metadata-options.http-put-response-hop-limit", of_metadata!(http_put_response_hop_limit)),
    ("metadata-options.http-tokens", of_metadata!(http_tokens)),
    ("metadata-options.instance-metadata-tags", of_metadata!(instance_metadata_tags)),
    ("monitoring-state", |it| {
        it.instance.monitoring.iter().filter_map(|it| it.state.clone()).collect()
    }),
    ("network-interface.addresses.association.public-ip", of_associations!(public_ip)),
    ("network-interface.addresses.primary", |it| {
        let found = it.instance.network_interfaces.iter().flat_map(|it| &it.private_ip_addresses);
        found.flat_map(|it| flag(it.primary)).collect()
    }),
    ("network-interface.addresses.private-ip-address", |it| {
        let found = it.instance.network_interfaces.iter().flat_map(|it| &it.private_ip_addresses);
        found.filter_map(|it| it.private_ip_address.clone()).collect()
    }),
    ("network-interface.association.ip-owner-id", of_associations!(ip_owner_id)),
    ("network-interface.association.public-ip", of_associations!(public_ip)),
    ("network-interface.attachment.attach-time", of_attachments!(attach_time)),
    ("network-interface.attachment.attachment-id", of_attachments!(attachment_id)),
    ("network-interface.attachment.delete-on-termination", of_attachments!(delete_on_termination)),
    ("network-interface.attachment.device-index", of_attachments!(device_index)),
    ("network-interface.attachment.instance-id", |it| some(&it.instance.instance_id)),
    ("network-interface.attachment.instance-owner-id", |it| vec![it.owner.clone()]),
    ("network-interface.attachment.status", of_attachments!(status)),
    ("network-interface.availability-zone", |it| {
        it.instance.placement.iter().filter_map(|it| it.availability_zone.clone()).collect()
    }),
    ("network-interface.description", of_interfaces!(description)),
    ("network-interface.group-id", |it| {
        let found = it.instance.network_interfaces.iter().flat_map(|it| &it.groups);
        found.filter_map(|it| it.group_id.clone()).collect()
    }),
    ("network-interface.group-name", |it| {
        let found = it.instance.network_interfaces.iter().flat_map(|it| &it.groups);
        found.filter_map(|it| it.group_name.clone()).collect()
    }),
    ("network-interface.ipv6-addresses.ipv6-address", of_ipv6_addresses!(ipv6_address)),
    ("network-interface.ipv6-addresses.is-primary-ipv6", of_ipv6_addresses!(is_primary_ipv6)),
    ("network-interface.mac-address", of_interfaces!(mac_address)),
    ("network-interface.network-interface-id", of_interfaces!(network_interface_id)),
    ("network-interface.owner-id", of_interfaces!(owner_id)),
    ("network-interface.private-dns-name", of_interfaces!(private_dns_name)),
    ("network-interface.private-ip-address", of_interfaces!(private_ip_address)),
    ("network-interface.requester-id", |_| Vec::new()),
    ("network-interface.requester-managed", |it| {
        it.instance.network_interfaces.iter().map(|_| "false".to_owned()).collect()
    }),
    ("network-interface.source-dest-check", of_interfaces!(source_dest_check)),
    ("network-interface.status", of_interfaces!(status)),
    ("network-interface.subnet-id", of_interfaces!(subnet_id)),
    ("network-interface.vpc-id", of_interfaces!(vpc_id)),
    ("owner-id", |it| vec![it.owner.clone()]),
    ("placement-group-name", |it| {
        let placement = it.instance.placement.iter();
        placement.filter_map(|it| it.group_name.clone()).filter(|it| !it.is_empty()).collect()
    }),
    ("placement-partition-number", |it| {
        let placement = it.instance.placement.iter();
        placement.filter_map(|it| it.partition_number).map(|it| it.to_string()).collect()
    }),
    ("platform", |_| Vec::new()),
    ("platform-details", |it| some(&it.instance.platform_details)),
    ("private-dns-name", |it| some(&it.instance.private_dns_name)),
    ("private-dns-name-options.enable-resource-name-dns-a-record", |it| {
        let options = it.instance.private_dns_name_options.iter();
        options.flat_map(|it| flag(it.enable_resource_name_dns_a_record)).collect()
    }),
    ("private-dns-name-options.enable-resource-name-dns-aaaa-record", |it| {
        let options = it.instance.private_dns_name_options.iter();
        options.flat_map(|it| flag(it.enable_resource_name_dns_aaaa_record)).collect()
    }),
    ("private-dns-name-options.hostname-type", |it| {
        let options = it.instance.private_dns_name_options.iter();
        options.filter_map(|it| it.hostname_type.clone()).collect()
    }),
    ("private-ip-address", |it| some(&it.instance.private_ip_address)),
    ("product-code", |_| Vec::new()),
    ("product-code.type", |_| Vec::new()),
    ("ramdisk-id", |_| Vec::new()),
    ("kernel-id", |_| Vec::new()),
    ("reason", |it| some(&it.instance.state_transition_reason)),
    ("requester-id", |_| Vec::new()),
    ("reservation-id", |it| vec![it.reservation.clone()]),
    ("root-device-name", |it| some(&it.instance.root_device_name)),
    ("root-device-type", |it| some(&it.instance.root_device_type)),
    ("source-dest-check", |it| flag(it.instance.source_dest_check)),
    ("spot-instance-request-id", |_| Vec::new()),
    ("state-reason-code", |it| {
        it.instance.state_reason.iter().filter_map(|it| it.code.clone()).collect()
    }),
    ("state-reason-message", |it| {
        it.instance.state_reason.iter().filter_map(|it| it.message.clone()).collect()
    }),
    ("subnet-id", |it| some(&it.instance.subnet_id)),
    ("tenancy", |it| it.instance.placement.iter().filter_map(|it| it.tenancy.clone()).collect()),
    ("usage-operation", |it| some(&it.instance.usage_operation)),
    ("virtualization-type", |it| some(&it.instance.virtualization_type)),
    ("vpc-id", |it| some(&it.instance.vpc_id)),
];

/// The instances of interfaces.
fn of_interfaces(
    records: &Snapshot,
    scope: &Scope,
    interfaces: &[Arc<NetworkInterface>],
) -> Vec<Arc<Instance>> {
    let attachments = interfaces.iter().filter_map(|it| it.attachment.as_ref());
    attachments.flat_map(|it| own(records, scope, it.instance_id.as_str())).collect()
}

/// The instances by the filters that name them or something of theirs. A terminated one has only
/// its id, reservation and tags.
const INDEX: &Index<Instance> = &[
    ("iam-instance-profile.arn", referrers),
    ("iam-instance-profile.id", referrers),
    ("instance-id", own),
    ("instance.group-id", |records, scope, id| {
        of_interfaces(records, scope, &referrers(records, scope, id))
    }),
    ("key-name", |records, scope, name| {
        referrers(records, scope, &gureum_store::key_name_reference(name))
    }),
    ("network-interface.group-id", |records, scope, id| {
        of_interfaces(records, scope, &referrers(records, scope, id))
    }),
    ("network-interface.network-interface-id", |records, scope, id| {
        of_interfaces(records, scope, &own(records, scope, id))
    }),
    ("private-ip-address", |records, scope, address| {
        of_interfaces(records, scope, &eni::of_private_ip(records, scope, address))
    }),
    ("reservation-id", referrers),
    ("subnet-id", referrers),
    ("vpc-id", referrers),
];

const VIEW: View<Instance, Seen> =
    View { fields: FIELDS, index: INDEX, tags: Some(|it| &it.instance.tags) };

/// Instances of a launch, in its order.
pub(crate) struct Launched {
    reservation: ReservationId,
    instances: Vec<Arc<Instance>>,
}

/// The page that a request asks for, by launches.
fn launched(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeInstancesRequest,
) -> Answer<(ec2::DescribeInstancesResult, Vec<Launched>)> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let found = of_request(call, records, &r.instance_ids, query)?;
    let (page, next_token) = query.records(&found, &VIEW, |it| Seen {
        instance: shown(call, records, it),
        reservation: it.reservation_id.to_string(),
        owner: call.account().to_string(),
    })?;
    let mut launches: BTreeMap<ReservationId, Vec<Arc<Instance>>> = BTreeMap::new();
    for instance in page {
        launches.entry(instance.reservation_id.clone()).or_default().push(instance);
    }
    let launched = launches.into_iter().map(|(reservation, mut instances)| {
        instances.sort_by_key(|it| it.launch_index);
        Launched { reservation, instances }
    });
    Ok((ec2::DescribeInstancesResult { next_token, ..Default::default() }, launched.collect()))
}

fn reservation(call: &Call, records: &Snapshot, launched: &Launched) -> ec2::Reservation {
    ec2::Reservation {
        reservation_id: Some(launched.reservation.to_string()),
        owner_id: Some(call.account().to_string()),
        instances: launched.instances.iter().map(|it| shown(call, records, it)).collect(),
        ..Default::default()
    }
}

/// Shows instances one launch after the other.
pub(crate) fn describe_each(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    type Op = ec2::op::DescribeInstances;
    operation::each::<Op, _, _>(r, id, parameters, "Reservations", launched, reservation)
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeInstancesRequest,
) -> Answer<ec2::DescribeInstancesResult> {
    let (mut result, launched) = launched(call, records, r)?;
    result.reservations = launched.iter().map(|it| reservation(call, records, it)).collect();
    Ok(result)
}

const STATUS_FIELDS: &Fields<ec2::InstanceStatus> = &[
    ("availability-zone", |it| some(&it.availability_zone)),
    ("availability-zone-id", |it| some(&it.availability_zone_id)),
    ("event.code", |_| Vec::new()),
    ("event.description", |_| Vec::new()),
    ("event.instance-event-id", |_| Vec::new()),
    ("event.not-after", |_| Vec::new()),
    ("event.not-before", |_| Vec::new()),
    ("event.not-before-deadline", |_| Vec::new()),
    ("instance-state-code", |it| {
        let state = it.instance_state.iter().filter_map(|it| it.code);
        state.map(|code| code.to_string()).collect()
    }),
    ("instance-state-name", |it| {
        it.instance_state.iter().filter_map(|it| it.name.clone()).collect()
    }),
    ("instance-status.reachability", |it| reachability(&it.instance_status)),
    ("instance-status.status", |it| {
        it.instance_status.iter().filter_map(|it| it.status.clone()).collect()
    }),
    ("system-status.reachability", |it| reachability(&it.system_status)),
    ("system-status.status", |it| {
        it.system_status.iter().filter_map(|it| it.status.clone()).collect()
    }),
];

fn reachability(summary: &Option<ec2::InstanceStatusSummary>) -> Vec<String> {
    let details = summary.iter().flat_map(|it| &it.details);
    details.filter_map(|it| it.status.clone()).collect()
}

/// Checks are on their way until DHCP and the SSH server were seen (EC2-24).
fn checks(instance: &Instance) -> ec2::InstanceStatusSummary {
    let (status, detail) = match (instance.state, instance.status_ok) {
        (InstanceState::Running, true) => ("ok", Some("passed")),
        (InstanceState::Running, false) => ("initializing", Some("initializing")),
        _ => ("not-applicable", None),
    };
    let details = detail.into_iter().map(|detail| ec2::InstanceStatusDetails {
        name: Some("reachability".into()),
        status: Some(detail.into()),
        ..Default::default()
    });
    ec2::InstanceStatusSummary { details: details.collect(), status: Some(status.into()) }
}

const STATUS_VIEW: View<Instance, ec2::InstanceStatus> =
    View { fields: STATUS_FIELDS, index: &[], tags: None };

pub(crate) fn describe_status(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeInstanceStatusRequest,
) -> Answer<ec2::DescribeInstanceStatusResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let mut found = of_request(call, records, &r.instance_ids, query)?;
    if r.include_all_instances != Some(true) {
        found.retain(|it| it.state == InstanceState::Running);
    }
    let (instance_statuses, next_token) =
        query.page(&found, &STATUS_VIEW, |it| ec2::InstanceStatus {
            availability_zone: Some(it.availability_zone.clone()),
            availability_zone_id: call.region().zone_id(&it.availability_zone),
            instance_id: Some(it.id.to_string()),
            instance_state: Some(shown_state(it.state)),
            instance_status: Some(checks(it)),
            system_status: Some(checks(it)),
            ..Default::default()
        })?;
    Ok(ec2::DescribeInstanceStatusResult { instance_statuses, next_token })
}

/// `User initiated (2021-09-03 01:02:03 GMT)`
pub(crate) fn user_initiated(now: Timestamp) -> String {
    let time = now.to_string();
    let (day, rest) = time.split_once('T').unwrap_or((&time, ""));
    format!("User initiated ({day} {} GMT)", rest.split('.').next().unwrap_or_default())
}

fn change(before: &Instance, after: InstanceState) -> ec2::InstanceStateChange {
    ec2::InstanceStateChange {
        instance_id: Some(before.id.to_string()),
        current_state: Some(shown_state(after)),
        previous_state: Some(shown_state(before.state)),
    }
}

fn required_ids(ids: &[String]) -> Answer<()> {
    match ids.is_empty() {
        true => Err(ApiError::missing_parameter("InstanceId")),
        false => Ok(()),
    }
}

pub(crate) fn start(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::StartInstancesRequest,
) -> Answer<ec2::StartInstancesResult> {
    use InstanceState::{Pending, Running, Stopped};
    required_ids(&r.instance_ids)?;
    let found = named(call, tx, &r.instance_ids)?;
    if let Some(bad) = found.iter().find(|it| !matches!(it.state, Stopped | Pending | Running)) {
        return Err(ApiError::cannot_start(&bad.id));
    }
    let mut changes = Vec::new();
    for instance in found {
        if instance.state != Stopped {
            changes.push(change(&instance, instance.state));
            continue;
        }
        tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| {
            it.state = Pending;
            it.state_reason = None;
            it.state_transition_reason = String::new();
            it.starts += 1;
            it.reboots_done = it.reboots;
            it.launch_time = call.now;
            it.state_changed = call.now;
            it.status_ok = false;
            it.force_stop = false;
            it.host = Some(call.config.host.clone());
        });
        // Another address than before (PUB-3).
        if let Some(primary) = eni::of_instance(tx, &instance.id).first() {
            public_ip::assign(call, tx, primary)?;
        }
        changes.push(change(&instance, Pending));
    }
    Ok(ec2::StartInstancesResult { starting_instances: changes })
}

pub(crate) fn stop(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::StopInstancesRequest,
) -> Answer<ec2::StopInstancesResult> {
    use InstanceState::{Running, Stopped, Stopping};
    required_ids(&r.instance_ids)?;
    let found = named(call, tx, &r.instance_ids)?;
    if let Some(bad) = found.iter().find(|it| !matches!(it.state, Running | Stopped | Stopping)) {
        return Err(ApiError::cannot_stop(&bad.id));
    }
    if let Some(bad) = found.iter().find(|it| it.disable_api_stop && it.state == Running) {
        return Err(ApiError::operation_not_permitted(format!(
            "The instance '{}' may not be stopped. Modify its 'disableApiStop' instance attribute \
             and try again.",
            bad.id
        )));
    }
    if r.hibernate == Some(true) {
        return Err(ApiError::new(
            "UnsupportedHibernationConfiguration",
            "The instances cannot be hibernated.",
        ));
    }
    let force = r.force == Some(true) || r.skip_os_shutdown == Some(true);
    let mut changes = Vec::new();
    for instance in found {
        if instance.state == Stopped {
            changes.push(change(&instance, Stopped));
            continue;
        }
        tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| {
            it.state = Stopping;
            it.force_stop |= force;
            if instance.state == Running {
                it.state_reason = Some((
                    "Client.UserInitiatedShutdown".into(),
                    "Client.UserInitiatedShutdown: User initiated shutdown".into(),
                ));
                it.state_transition_reason = user_initiated(call.now);
                it.state_changed = call.now;
            }
        });
        changes.push(change(&instance, Stopping));
    }
    Ok(ec2::StopInstancesResult { stopping_instances: changes })
}

pub(crate) fn reboot(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::RebootInstancesRequest,
) -> Answer<()> {
    required_ids(&r.instance_ids)?;
    let found = named(call, tx, &r.instance_ids)?;
    if let Some(bad) = found.iter().find(|it| it.state != InstanceState::Running) {
        return Err(ApiError::incorrect_instance_state(format!(
            "The instance '{}' is not in a state from which it can be rebooted.",
            bad.id
        )));
    }
    for instance in found {
        tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| it.reboots += 1);
    }
    Ok(())
}

pub(crate) fn terminate(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::TerminateInstancesRequest,
) -> Answer<ec2::TerminateInstancesResult> {
    use InstanceState::{ShuttingDown, Terminated};
    required_ids(&r.instance_ids)?;
    let found = named(call, tx, &r.instance_ids)?;
    if let Some(bad) = found.iter().find(|it| it.disable_api_termination && it.state != Terminated)
    {
        return Err(ApiError::termination_protected(&bad.id));
    }
    let mut changes = Vec::new();
    for instance in found {
        if matches!(instance.state, Terminated | ShuttingDown) {
            changes.push(change(&instance, instance.state));
            continue;
        }
        tx.update::<Instance>(&call.scope, instance.id.as_str(), |it| {
            it.state = ShuttingDown;
            it.state_reason = Some((
                "Client.UserInitiatedShutdown".into(),
                "Client.UserInitiatedShutdown: User initiated shutdown".into(),
            ));
            it.state_transition_reason = user_initiated(call.now);
            it.state_changed = call.now;
        });
        changes.push(change(&instance, ShuttingDown));
    }
    Ok(ec2::TerminateInstancesResult { terminating_instances: changes })
}

/// Brings an instance that was told to stop to its end. It gives its automatic address back (PUB-3).
pub(crate) fn lay_off(call: &Call, tx: &mut Transaction, id: &InstanceId) {
    for interface in eni::of_instance(tx, id) {
        public_ip::release(call, tx, &interface);
    }
    eni::settle(&call.scope, tx, id, None, call.now);
    tx.update::<Instance>(&call.scope, id.as_str(), |it| {
        it.state = InstanceState::Stopped;
        it.state_changed = call.now;
        it.status_ok = false;
        it.force_stop = false;
    });
}

/// What remains to be done with the records when an instance is gone: its interfaces and volumes
/// go or are let go (ENI-8, EC2-26), its addresses come free (EIP-6).
pub(crate) fn bury(call: &Call, tx: &mut Transaction, id: &InstanceId) {
    for interface in eni::of_instance(tx, id) {
        if interface.attachment.as_ref().is_some_and(|it| it.delete_on_termination) {
            eni::remove(call, tx, &interface);
            continue;
        }
        public_ip::release(call, tx, &interface);
        let addresses: Vec<_> = tx.referrers::<Address>(interface.id.as_str()).cloned().collect();
        for address in addresses {
            let id = address.allocation_id.as_str();
            tx.update::<Address>(&call.scope, id, |it| it.association = None);
        }
        eni::untie(&call.scope, tx, &interface.id, call.now);
    }
    let volumes: Vec<_> = tx.referrers::<Volume>(id.as_str()).cloned().collect();
    for volume in volumes {
        match volume.attachment.as_ref().is_some_and(|it| it.delete_on_termination) {
            true => drop(tx.remove::<Volume>(&call.scope, volume.id.as_str())),
            false => drop(tx.update::<Volume>(&call.scope, volume.id.as_str(), |it| {
                it.attachment = None;
            })),
        }
    }
    tx.update::<Instance>(&call.scope, id.as_str(), |it| {
        it.state = InstanceState::Terminated;
        it.state_changed = call.now;
        it.status_ok = false;
        it.iam_instance_profile = None;
    });
}

pub(crate) fn check_credits(credits: &str) -> Answer<String> {
    match credits {
        "standard" | "unlimited" => Ok(credits.to_owned()),
        other => {
            let reason = "Supported values are standard and unlimited.";
            Err(ApiError::invalid_value(other, "cpuCredits", reason))
        }
    }
}

/// The instance that a request for its console names.
pub(crate) fn for_console(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
) -> Answer<Arc<Instance>> {
    let id = text(id, "InstanceId")?;
    let mut found = named(call, records, std::slice::from_ref(&id.to_owned()))?;
    found.pop().ok_or_else(|| ApiError::instances_not_found(&[id]))
}

/// The end of what an instance wrote to its console, as much of it as AWS shows.
pub(crate) fn shown_console(
    call: &Call,
    instance: &Instance,
    bytes: &[u8],
) -> ec2::GetConsoleOutputResult {
    const SHOWN: usize = 64 * 1024;
    let end = &bytes[bytes.len().saturating_sub(SHOWN)..];
    ec2::GetConsoleOutputResult {
        instance_id: Some(instance.id.to_string()),
        timestamp: Some(call.now),
        output: Some(STANDARD.encode(end)),
    }
}
