//! Subnets (SUB-*).

use std::sync::Arc;

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    SubnetCidrAssociationId, SubnetId, Tags, VpcId,
    record::{
        NetworkInterface, RouteTable, Subnet, SubnetIpv6CidrAssociation,
        TransitGatewayVpcAttachment, Vpc,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    allocate,
    call::{Answer, Call, given, required},
    filter::{Fields, flag, some},
    query::{Query, View, own, referrers},
    resource::{
        block_public_access, cidr, default_vpc, flow_log, network_acl, subnet_block,
        subnet_cidr_reservation, vpc,
    },
    tags,
};

/// How many subnets a VPC may have (CIDR-4).
const SUBNET_QUOTA: usize = 200;

/// A subnet with the defaults of the API (SUB-7).
pub(crate) fn fresh(
    call: &Call,
    id: SubnetId,
    vpc_id: VpcId,
    cidr_block: Option<Ipv4Net>,
    availability_zone: String,
) -> Subnet {
    Subnet {
        id,
        vpc_id,
        cidr_block,
        ipv6_cidr_association: None,
        availability_zone,
        default_for_az: false,
        map_public_ip_on_launch: false,
        // Where there is no IPv4, there is nothing else to give, nor to name by (CIDR-12).
        assign_ipv6_address_on_creation: cidr_block.is_none(),
        enable_dns64: false,
        private_dns_hostname_type: match cidr_block {
            Some(_) => "ip-name".into(),
            None => "resource-name".into(),
        },
        resource_name_dns_a_record: false,
        resource_name_dns_aaaa_record: false,
        created: call.now,
        tags: Tags::new(),
    }
}

fn shown(call: &Call, records: &Snapshot, subnet: &Subnet) -> ec2::Subnet {
    let free = allocate::free_addresses(records, subnet);
    ec2::Subnet {
        availability_zone_id: call.region().zone_id(&subnet.availability_zone),
        map_customer_owned_ip_on_launch: Some(false),
        owner_id: Some(call.account().to_string()),
        ipv6_cidr_block_association_set: subnet
            .ipv6_cidr_association
            .iter()
            .map(|it| subnet_block::shown(it, "associated"))
            .collect(),
        assign_ipv6_address_on_creation: Some(subnet.assign_ipv6_address_on_creation),
        tags: tags::shown(&subnet.tags),
        subnet_arn: Some(call.arn("subnet", &subnet.id)),
        enable_dns64: Some(subnet.enable_dns64),
        ipv6_native: Some(subnet.cidr_block.is_none()),
        private_dns_name_options_on_launch: Some(ec2::PrivateDnsNameOptionsOnLaunch {
            hostname_type: Some(subnet.private_dns_hostname_type.clone()),
            enable_resource_name_dns_a_record: Some(subnet.resource_name_dns_a_record),
            enable_resource_name_dns_aaaa_record: Some(subnet.resource_name_dns_aaaa_record),
        }),
        subnet_id: Some(subnet.id.to_string()),
        state: Some("available".into()),
        vpc_id: Some(subnet.vpc_id.to_string()),
        cidr_block: subnet.cidr_block.map(|block| block.to_string()),
        available_ip_address_count: Some(i32::try_from(free).unwrap_or(i32::MAX)),
        availability_zone: Some(subnet.availability_zone.clone()),
        default_for_az: Some(subnet.default_for_az),
        map_public_ip_on_launch: Some(subnet.map_public_ip_on_launch),
        ..Default::default()
    }
}

macro_rules! of_ipv6_blocks {
    ($field:ident) => {
        |it| {
            let blocks = it.ipv6_cidr_block_association_set.iter();
            blocks.filter_map(|it| it.$field.clone()).collect()
        }
    };
}

const FIELDS: &Fields<ec2::Subnet> = &[
    ("availability-zone", |it| some(&it.availability_zone)),
    ("availabilityZone", |it| some(&it.availability_zone)),
    ("availability-zone-id", |it| some(&it.availability_zone_id)),
    ("availabilityZoneId", |it| some(&it.availability_zone_id)),
    ("available-ip-address-count", |it| {
        it.available_ip_address_count.iter().map(ToString::to_string).collect()
    }),
    ("cidr", |it| some(&it.cidr_block)),
    ("cidr-block", |it| some(&it.cidr_block)),
    ("cidrBlock", |it| some(&it.cidr_block)),
    ("customer-owned-ipv4-pool", |_| Vec::new()),
    ("default-for-az", |it| flag(it.default_for_az)),
    ("defaultForAz", |it| flag(it.default_for_az)),
    ("enable-dns64", |it| flag(it.enable_dns64)),
    ("enable-lni-at-device-index", |_| Vec::new()),
    ("ipv6-cidr-block-association.association-id", of_ipv6_blocks!(association_id)),
    ("ipv6-cidr-block-association.ipv6-cidr-block", of_ipv6_blocks!(ipv6_cidr_block)),
    ("ipv6-cidr-block-association.state", |it| {
        let states = it.ipv6_cidr_block_association_set.iter();
        states.filter_map(|it| it.ipv6_cidr_block_state.as_ref()?.state.clone()).collect()
    }),
    ("ipv6-native", |it| flag(it.ipv6_native)),
    ("map-customer-owned-ip-on-launch", |it| flag(it.map_customer_owned_ip_on_launch)),
    ("map-public-ip-on-launch", |it| flag(it.map_public_ip_on_launch)),
    ("outpost-arn", |_| Vec::new()),
    ("owner-id", |it| some(&it.owner_id)),
    ("private-dns-name-options-on-launch.enable-resource-name-dns-a-record", |it| {
        let options = it.private_dns_name_options_on_launch.as_ref();
        flag(options.and_then(|it| it.enable_resource_name_dns_a_record))
    }),
    ("private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record", |it| {
        let options = it.private_dns_name_options_on_launch.as_ref();
        flag(options.and_then(|it| it.enable_resource_name_dns_aaaa_record))
    }),
    ("private-dns-name-options-on-launch.hostname-type", |it| {
        let options = it.private_dns_name_options_on_launch.iter();
        options.filter_map(|it| it.hostname_type.clone()).collect()
    }),
    ("state", |it| some(&it.state)),
    ("subnet-arn", |it| some(&it.subnet_arn)),
    ("subnet-id", |it| some(&it.subnet_id)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

const VIEW: View<Subnet, ec2::Subnet> = View {
    fields: FIELDS,
    index: &[
        ("ipv6-cidr-block-association.association-id", referrers),
        ("subnet-id", own),
        ("vpc-id", referrers),
    ],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeSubnetsRequest,
) -> Answer<ec2::DescribeSubnetsResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (subnets, next_token) =
        query.answer(records, &call.scope, &r.subnet_ids, &VIEW, |it| shown(call, records, it))?;
    Ok(ec2::DescribeSubnetsResult { next_token, subnets })
}

/// The zone that a request names by name or id; none when it names none (SUB-6).
fn zone(call: &Call, name: &Option<String>, id: &Option<String>) -> Answer<Option<String>> {
    let zones: Vec<String> = call.region().zones().collect();
    let names: Vec<&str> = zones.iter().map(String::as_str).collect();
    match (given(name), given(id)) {
        (Some(_), Some(_)) => Err(ApiError::invalid_parameter_combination(
            "The parameters availabilityZone and availabilityZoneId cannot be used together.",
        )),
        (Some(name), None) => match names.contains(&name) {
            true => Ok(Some(name.to_owned())),
            false => Err(ApiError::invalid_subnet_zone(name, &names)),
        },
        (None, Some(id)) => {
            let zone = zones.iter().find(|it| call.region().zone_id(it).as_deref() == Some(id));
            zone.cloned().map(Some).ok_or_else(|| {
                let reason = format!(
                    "Subnets can currently only be created in the following availability zones: \
                     {}.",
                    names.join(", ")
                );
                ApiError::invalid_value(id, "availabilityZoneId", &reason)
            })
        }
        (None, None) => Ok(None),
    }
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateSubnetRequest,
) -> Answer<ec2::CreateSubnetResult> {
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    let others: Vec<_> = tx.referrers::<Subnet>(vpc.id.as_str()).cloned().collect();
    let (ipv4, ipv6) = wanted_blocks(&vpc, &others, r)?;
    let named = zone(call, &r.availability_zone, &r.availability_zone_id)?;
    if call.config.aws_quotas && others.len() >= SUBNET_QUOTA {
        return Err(ApiError::limit_exceeded(
            "SubnetLimitExceeded",
            "The maximum number of subnets has been reached.",
        ));
    }
    // AWS chooses a zone when none is named; the first is as good as any.
    let zone = named.or_else(|| call.region().zones().next()).unwrap_or_default();
    let tags = tags::on_creation::<Subnet>(&r.tag_specifications)?;
    let id = SubnetId::new(call.random());
    let ipv6_cidr_association = ipv6.map(|cidr_block| SubnetIpv6CidrAssociation {
        id: SubnetCidrAssociationId::new(call.random()),
        cidr_block,
    });
    let fresh = fresh(call, id, vpc.id.clone(), ipv4, zone);
    let subnet = Subnet { tags, ipv6_cidr_association, ..fresh };
    tx.put(&call.scope, subnet.clone());
    network_acl::guard_with_default(call, tx, &subnet);
    Ok(ec2::CreateSubnetResult { subnet: Some(shown(call, tx, &subnet)) })
}

/// The blocks that a request names: IPv4, IPv6 or both; `Ipv6Native` means no IPv4 (CIDR-12).
fn wanted_blocks(
    vpc: &Vpc,
    others: &[Arc<Subnet>],
    r: &ec2::CreateSubnetRequest,
) -> Answer<(Option<Ipv4Net>, Option<Ipv6Net>)> {
    let native = r.ipv6_native == Some(true);
    let ipv4 = match given(&r.cidr_block) {
        Some(_) if native => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters cidrBlock and ipv6Native cannot be used together.",
            ));
        }
        Some(wanted) => {
            let block = cidr::of_subnet(wanted, &vpc::blocks(vpc))?;
            if others.iter().filter_map(|it| it.cidr_block).any(|it| cidr::overlap(it, block)) {
                return Err(ApiError::subnet_conflict(wanted));
            }
            Some(block)
        }
        None if native => None,
        None => return Err(ApiError::missing_parameter("CidrBlock")),
    };
    let ipv6 = match given(&r.ipv6_cidr_block) {
        Some(wanted) => Some(subnet_block::wanted(vpc, others, wanted)?),
        None if native => return Err(ApiError::missing_parameter("Ipv6CidrBlock")),
        None => None,
    };
    Ok((ipv4, ipv6))
}

pub(crate) fn create_default(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateDefaultSubnetRequest,
) -> Answer<ec2::CreateDefaultSubnetResult> {
    let Some(zone) = zone(call, &r.availability_zone, &r.availability_zone_id)? else {
        return Err(ApiError::missing_parameter("AvailabilityZone"));
    };
    let default = tx.all::<Vpc>(&call.scope).find(|vpc| vpc.is_default).cloned();
    let default = default.ok_or_else(|| {
        ApiError::new(
            "DefaultVpcDoesNotExist",
            "No default VPC exists for this account in this region.",
        )
    })?;
    let mut there = tx.referrers::<Subnet>(default.id.as_str());
    if there.any(|it| it.default_for_az && it.availability_zone == zone) {
        return Err(ApiError::new(
            "DefaultSubnetAlreadyExistsInAvailabilityZone",
            format!("A default subnet already exists in the availability zone {zone}."),
        ));
    }
    drop(there);
    let subnet = default_vpc::make_subnet(call, tx, &default, zone).ok_or_else(|| {
        ApiError::new("InsufficientFreeAddressesInVpc", "The default VPC has no free /20 block.")
    })?;
    Ok(ec2::CreateDefaultSubnetResult { subnet: Some(shown(call, tx, &subnet)) })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteSubnetRequest,
) -> Answer<()> {
    let subnet = required::<Subnet>(tx, &call.scope, &r.subnet_id, "SubnetId")?;
    let id = subnet.id.as_str();
    if tx.referrers::<NetworkInterface>(id).next().is_some()
        || tx.referrers::<TransitGatewayVpcAttachment>(id).next().is_some()
    {
        return Err(ApiError::has_dependencies(Resource::Subnet, id));
    }
    let tables: Vec<_> = tx.referrers::<RouteTable>(id).cloned().collect();
    for table in tables {
        tx.update::<RouteTable>(&call.scope, table.id.as_str(), |table| {
            table.associations.retain(|it| it.subnet_id.as_ref() != Some(&subnet.id));
        });
    }
    network_acl::unguard(call, tx, &subnet.id);
    subnet_cidr_reservation::leave(call, tx, &subnet);
    block_public_access::leave(call, tx, id);
    flow_log::leave(call, tx, id);
    tx.remove::<Subnet>(&call.scope, id);
    Ok(())
}

/// One attribute a call (SUB-7); interfaces that are there keep what they have.
pub(crate) fn modify_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifySubnetAttributeRequest,
) -> Answer<()> {
    let subnet = required::<Subnet>(tx, &call.scope, &r.subnet_id, "SubnetId")?;
    let mut subnet = (*subnet).clone();
    let value = |it: &Option<ec2::AttributeBooleanValue>| it.as_ref().and_then(|it| it.value);
    let mut named = Vec::new();
    let mut set = |name, value: Option<bool>, field: &mut bool| {
        if let Some(value) = value {
            named.push(name);
            *field = value;
        }
    };
    set(
        "mapPublicIpOnLaunch",
        value(&r.map_public_ip_on_launch),
        &mut subnet.map_public_ip_on_launch,
    );
    set("enableDns64", value(&r.enable_dns64), &mut subnet.enable_dns64);
    set(
        "assignIpv6AddressOnCreation",
        value(&r.assign_ipv6_address_on_creation),
        &mut subnet.assign_ipv6_address_on_creation,
    );
    set(
        "enableResourceNameDnsARecordOnLaunch",
        value(&r.enable_resource_name_dns_a_record_on_launch),
        &mut subnet.resource_name_dns_a_record,
    );
    set(
        "enableResourceNameDnsAAAARecordOnLaunch",
        value(&r.enable_resource_name_dns_aaaa_record_on_launch),
        &mut subnet.resource_name_dns_aaaa_record,
    );
    if let Some(kind) = given(&r.private_dns_hostname_type_on_launch) {
        named.push("privateDnsHostnameTypeOnLaunch");
        kind.clone_into(&mut subnet.private_dns_hostname_type);
    }
    match named.as_slice() {
        [] => return Err(ApiError::missing_parameter("Attribute")),
        [_] => {}
        several => {
            return Err(ApiError::invalid_parameter_combination(format!(
                "Fields for multiple attribute types specified: {}",
                several.join(", ")
            )));
        }
    }
    check_families(&subnet)?;
    tx.put(&call.scope, subnet);
    Ok(())
}

/// Refuses attributes that say something of a family that the subnet does not have (SUB-7).
fn check_families(subnet: &Subnet) -> Answer<()> {
    let has_ipv6 = subnet.ipv6_cidr_association.is_some();
    for (name, on) in [
        ("assign-ipv6-address-on-creation", subnet.assign_ipv6_address_on_creation),
        ("enable-dns64", subnet.enable_dns64),
    ] {
        if on && !has_ipv6 {
            return Err(ApiError::attribute_needs_ipv6_block(name, &subnet.id));
        }
    }
    if subnet.cidr_block.is_some() {
        return Ok(());
    }
    for (name, on) in [
        ("map-public-ip-on-launch", subnet.map_public_ip_on_launch),
        ("enable-resource-name-dns-a-record-on-launch", subnet.resource_name_dns_a_record),
    ] {
        if on {
            return Err(ApiError::invalid_parameter_value(format!(
                "Invalid value 'true' for {name}. The subnet ({}) has IPv6 only.",
                subnet.id
            )));
        }
    }
    match subnet.private_dns_hostname_type.as_str() {
        "ip-name" => Err(ApiError::invalid_parameter_value(format!(
            "Invalid value 'ip-name' for private-dns-hostname-type-on-launch. The subnet ({}) has \
             IPv6 only.",
            subnet.id
        ))),
        _ => Ok(()),
    }
}
