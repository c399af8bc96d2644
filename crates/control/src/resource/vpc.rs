//! VPCs (CIDR-*, DNS-3 to DNS-5): creation with what belongs to every VPC, attributes, blocks.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    NetworkAclId, RouteTableAssociationId, RouteTableId, Tags, VpcCidrAssociationId, VpcId,
    record::{
        EgressOnlyInternetGateway, InternetGateway, NetworkAcl, NetworkAclEntry, NetworkInterface,
        RegionState, RouteTable, RouteTableAssociation, SecurityGroup, Subnet, Traffic,
        TransitGatewayVpcAttachment, Vpc, VpcCidrAssociation, VpcEndpoint, VpcPeeringConnection,
        VpnGateway,
    },
};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    call::{Answer, Call, given, required, text},
    filter::{Fields, flag, some},
    query::{Query, View, own, referrers},
    resource::{block_public_access, cidr, default_vpc, flow_log, security_group, vpc_block},
    tags,
};

/// How many VPCs an account may have in a region (CIDR-4).
const VPC_QUOTA: usize = 5;

/// A VPC as answers show it.
pub(crate) fn shown(call: &Call, vpc: &Vpc) -> ec2::Vpc {
    let associations =
        vpc.cidr_associations.iter().map(|it| vpc_block::shown_ipv4(it, "associated"));
    ec2::Vpc {
        owner_id: Some(call.account().to_string()),
        instance_tenancy: Some(vpc.instance_tenancy.clone()),
        cidr_block_association_set: associations.collect(),
        ipv6_cidr_block_association_set: vpc
            .ipv6_cidr_associations
            .iter()
            .map(|it| vpc_block::shown_ipv6(call, it, "associated"))
            .collect(),
        is_default: Some(vpc.is_default),
        tags: tags::shown(&vpc.tags),
        vpc_id: Some(vpc.id.to_string()),
        state: Some("available".into()),
        cidr_block: Some(vpc.cidr_block.to_string()),
        dhcp_options_id: Some(
            vpc.dhcp_options.as_ref().map_or("default".to_owned(), ToString::to_string),
        ),
        ..Default::default()
    }
}

/// All IPv4 blocks of a VPC.
pub(crate) fn blocks(vpc: &Vpc) -> Vec<Ipv4Net> {
    vpc.cidr_associations.iter().map(|it| it.cidr_block).collect()
}

/// All IPv6 blocks of a VPC.
pub(crate) fn ipv6_blocks(vpc: &Vpc) -> Vec<Ipv6Net> {
    vpc.ipv6_cidr_associations.iter().map(|it| it.cidr_block).collect()
}

macro_rules! of_ipv6_blocks {
    ($field:ident) => {
        |it| {
            let blocks = it.ipv6_cidr_block_association_set.iter();
            blocks.filter_map(|it| it.$field.clone()).collect()
        }
    };
}

const FIELDS: &Fields<ec2::Vpc> = &[
    ("cidr", |it| some(&it.cidr_block)),
    ("cidr-block", |it| some(&it.cidr_block)),
    ("cidr-block-association.association-id", |it| {
        it.cidr_block_association_set.iter().filter_map(|it| it.association_id.clone()).collect()
    }),
    ("cidr-block-association.cidr-block", |it| {
        it.cidr_block_association_set.iter().filter_map(|it| it.cidr_block.clone()).collect()
    }),
    ("cidr-block-association.state", |it| {
        let states = it.cidr_block_association_set.iter();
        states.filter_map(|it| it.cidr_block_state.as_ref()?.state.clone()).collect()
    }),
    ("dhcp-options-id", |it| some(&it.dhcp_options_id)),
    ("ipv6-cidr-block-association.association-id", of_ipv6_blocks!(association_id)),
    ("ipv6-cidr-block-association.ipv6-cidr-block", of_ipv6_blocks!(ipv6_cidr_block)),
    ("ipv6-cidr-block-association.ipv6-pool", of_ipv6_blocks!(ipv6_pool)),
    ("ipv6-cidr-block-association.state", |it| {
        let states = it.ipv6_cidr_block_association_set.iter();
        states.filter_map(|it| it.ipv6_cidr_block_state.as_ref()?.state.clone()).collect()
    }),
    ("is-default", |it| flag(it.is_default)),
    ("isDefault", |it| flag(it.is_default)),
    ("owner-id", |it| some(&it.owner_id)),
    ("state", |it| some(&it.state)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

const VIEW: View<Vpc, ec2::Vpc> = View {
    fields: FIELDS,
    index: &[
        ("cidr-block-association.association-id", referrers),
        ("dhcp-options-id", referrers),
        ("ipv6-cidr-block-association.association-id", referrers),
        ("vpc-id", own),
    ],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcsRequest,
) -> Answer<ec2::DescribeVpcsResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (vpcs, next_token) =
        query.answer(records, &call.scope, &r.vpc_ids, &VIEW, |it| shown(call, it))?;
    Ok(ec2::DescribeVpcsResult { next_token, vpcs })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateVpcRequest,
) -> Answer<ec2::CreateVpcResult> {
    let block = cidr::of_vpc(text(&r.cidr_block, "CidrBlock")?)?;
    let tenancy = given(&r.instance_tenancy).unwrap_or("default");
    if !matches!(tenancy, "default" | "dedicated") {
        let reason = "Supported values are 'default' and 'dedicated'.";
        return Err(ApiError::invalid_value(tenancy, "instanceTenancy", reason));
    }
    if call.config.aws_quotas && tx.all::<Vpc>(&call.scope).count() >= VPC_QUOTA {
        return Err(ApiError::vpc_limit_exceeded());
    }
    let tags = tags::on_creation::<Vpc>(&r.tag_specifications)?;
    vpc_block::check_border_group(call, &r.ipv6_cidr_block_network_border_group)?;
    let vpc = make(call, tx, block, tenancy, false, tags);
    let mut answer = ec2::Vpc { state: Some("pending".into()), ..shown(call, &vpc) };
    if r.amazon_provided_ipv6_cidr_block == Some(true) {
        let association = vpc_block::add_ipv6(call, tx, &vpc.id)?;
        answer.ipv6_cidr_block_association_set =
            vec![vpc_block::shown_coming_ipv6(call, &association)];
    }
    Ok(ec2::CreateVpcResult { vpc: Some(answer) })
}

/// Makes a VPC with its main route table, default network ACL and default group (CIDR-5).
pub(crate) fn make(
    call: &Call,
    tx: &mut Transaction,
    block: Ipv4Net,
    tenancy: &str,
    is_default: bool,
    tags: Tags,
) -> Vpc {
    let scope = &call.scope;
    let dhcp_options =
        tx.find::<RegionState>(scope, "region").map(|state| state.default_dhcp_options.clone());
    let association =
        VpcCidrAssociation { id: VpcCidrAssociationId::new(call.random()), cidr_block: block };
    let vpc = Vpc {
        id: VpcId::new(call.random()),
        cidr_block: block,
        ipv6_cidr_associations: Vec::new(),
        cidr_associations: vec![association],
        dhcp_options,
        instance_tenancy: tenancy.to_owned(),
        is_default,
        enable_dns_support: true,
        enable_dns_hostnames: is_default,
        enable_network_address_usage_metrics: false,
        created: call.now,
        tags,
    };
    tx.put(scope, vpc.clone());
    let main = RouteTableAssociation {
        id: RouteTableAssociationId::new(call.random()),
        subnet_id: None,
        gateway_id: None,
        main: true,
    };
    let table = RouteTable {
        propagating_gateways: Vec::new(),
        id: RouteTableId::new(call.random()),
        vpc_id: vpc.id.clone(),
        routes: Vec::new(),
        associations: vec![main],
        created: call.now,
        tags: Tags::new(),
    };
    tx.put(scope, table);
    let allow_all = |egress| NetworkAclEntry {
        rule_number: 100,
        egress,
        allow: true,
        traffic: Traffic::All,
        cidr: Ipv4Net::default().into(),
    };
    let acl = NetworkAcl {
        id: NetworkAclId::new(call.random()),
        vpc_id: vpc.id.clone(),
        is_default: true,
        entries: vec![allow_all(true), allow_all(false)],
        associations: Vec::new(),
        created: call.now,
        tags: Tags::new(),
    };
    tx.put(scope, acl);
    security_group::make_default(call, tx, &vpc.id);
    vpc
}

/// The VPC's own ones go with it; anything else stands in the way (CIDR-13).
pub(crate) fn delete(call: &Call, tx: &mut Transaction, r: &ec2::DeleteVpcRequest) -> Answer<()> {
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    let id = vpc.id.as_str();
    let groups: Vec<_> = tx.referrers::<SecurityGroup>(id).cloned().collect();
    let tables: Vec<_> = tx.referrers::<RouteTable>(id).cloned().collect();
    let acls: Vec<_> = tx.referrers::<NetworkAcl>(id).cloned().collect();
    let others = tx.referrers::<Subnet>(id).next().is_some()
        || tx.referrers::<NetworkInterface>(id).next().is_some()
        || tx.referrers::<InternetGateway>(id).next().is_some()
        || tx.referrers::<EgressOnlyInternetGateway>(id).next().is_some()
        || tx.referrers::<VpcPeeringConnection>(id).next().is_some()
        || tx.referrers::<VpnGateway>(id).next().is_some()
        || tx.referrers::<TransitGatewayVpcAttachment>(id).next().is_some()
        || tx.referrers::<VpcEndpoint>(id).next().is_some()
        || groups.iter().any(|group| group.name != security_group::DEFAULT)
        || tables.iter().any(|table| !table.associations.iter().any(|it| it.main))
        || acls.iter().any(|acl| !acl.is_default);
    if others {
        return Err(ApiError::has_dependencies(Resource::Vpc, &vpc.id));
    }
    for group in groups {
        security_group::remove(call, tx, &group.id);
    }
    for table in tables {
        tx.remove::<RouteTable>(&call.scope, table.id.as_str());
    }
    for acl in acls {
        tx.remove::<NetworkAcl>(&call.scope, acl.id.as_str());
    }
    block_public_access::leave(call, tx, id);
    flow_log::leave(call, tx, id);
    tx.remove::<Vpc>(&call.scope, id);
    Ok(())
}

pub(crate) fn describe_attribute(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcAttributeRequest,
) -> Answer<ec2::DescribeVpcAttributeResult> {
    let vpc = required::<Vpc>(records, &call.scope, &r.vpc_id, "VpcId")?;
    let value = |value| Some(ec2::AttributeBooleanValue { value: Some(value) });
    let mut answer =
        ec2::DescribeVpcAttributeResult { vpc_id: Some(vpc.id.to_string()), ..Default::default() };
    match text(&r.attribute, "Attribute")? {
        "enableDnsSupport" => answer.enable_dns_support = value(vpc.enable_dns_support),
        "enableDnsHostnames" => answer.enable_dns_hostnames = value(vpc.enable_dns_hostnames),
        "enableNetworkAddressUsageMetrics" => {
            answer.enable_network_address_usage_metrics =
                value(vpc.enable_network_address_usage_metrics);
        }
        other => return Err(ApiError::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    Ok(answer)
}

/// One attribute a call (CIDR-7).
pub(crate) fn modify_attribute(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::ModifyVpcAttributeRequest,
) -> Answer<()> {
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    let given = |value: &Option<ec2::AttributeBooleanValue>| value.as_ref().and_then(|it| it.value);
    let attributes = [
        ("enableDnsHostnames", given(&r.enable_dns_hostnames)),
        ("enableDnsSupport", given(&r.enable_dns_support)),
        ("enableNetworkAddressUsageMetrics", given(&r.enable_network_address_usage_metrics)),
    ];
    let named: Vec<_> = attributes.iter().filter(|it| it.1.is_some()).map(|it| it.0).collect();
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
    let mut vpc = (*vpc).clone();
    let [hostnames, support, metrics] = attributes.map(|it| it.1);
    if hostnames == Some(true) && !vpc.enable_dns_support {
        return Err(ApiError::invalid_parameter_value(format!(
            "enableDnsHostnames can be set to true for {} only while enableDnsSupport is true.",
            vpc.id
        )));
    }
    vpc.enable_dns_hostnames = hostnames.unwrap_or(vpc.enable_dns_hostnames);
    vpc.enable_dns_support = support.unwrap_or(vpc.enable_dns_support);
    vpc.enable_network_address_usage_metrics =
        metrics.unwrap_or(vpc.enable_network_address_usage_metrics);
    tx.put(&call.scope, vpc);
    Ok(())
}

pub(crate) fn create_default(
    call: &Call,
    tx: &mut Transaction,
    _: &ec2::CreateDefaultVpcRequest,
) -> Answer<ec2::CreateDefaultVpcResult> {
    if tx.all::<Vpc>(&call.scope).any(|vpc| vpc.is_default) {
        return Err(ApiError::new(
            "DefaultVpcAlreadyExists",
            "A Default VPC already exists for this account in this region.",
        ));
    }
    let vpc = default_vpc::make(call, tx);
    Ok(ec2::CreateDefaultVpcResult { vpc: Some(shown(call, &vpc)) })
}
