//! Internet gateways (IGW-1, IGW-11 to IGW-13).

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    InternetGatewayId,
    record::{Address, InternetGateway, NetworkInterface, Vpc},
};

use crate::{
    call::{Answer, Call, required},
    filter::{Fields, some},
    query::{Query, View, own, referrers},
    resource::route_table,
    tags,
};

fn shown(call: &Call, gateway: &InternetGateway) -> ec2::InternetGateway {
    let attachments = gateway.vpc_id.iter().map(|vpc| ec2::InternetGatewayAttachment {
        state: Some("available".into()),
        vpc_id: Some(vpc.to_string()),
    });
    ec2::InternetGateway {
        attachments: attachments.collect(),
        internet_gateway_id: Some(gateway.id.to_string()),
        owner_id: Some(call.account().to_string()),
        tags: tags::shown(&gateway.tags),
    }
}

const FIELDS: &Fields<ec2::InternetGateway> = &[
    ("attachment.state", |it| it.attachments.iter().filter_map(|it| it.state.clone()).collect()),
    ("attachment.vpc-id", |it| it.attachments.iter().filter_map(|it| it.vpc_id.clone()).collect()),
    ("internet-gateway-id", |it| some(&it.internet_gateway_id)),
    ("owner-id", |it| some(&it.owner_id)),
];

const VIEW: View<InternetGateway, ec2::InternetGateway> = View {
    fields: FIELDS,
    index: &[("attachment.vpc-id", referrers), ("internet-gateway-id", own)],
    tags: Some(|it| &it.tags),
};

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeInternetGatewaysRequest,
) -> Answer<ec2::DescribeInternetGatewaysResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (internet_gateways, next_token) =
        query.answer(records, &call.scope, &r.internet_gateway_ids, &VIEW, |it| shown(call, it))?;
    Ok(ec2::DescribeInternetGatewaysResult { internet_gateways, next_token })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateInternetGatewayRequest,
) -> Answer<ec2::CreateInternetGatewayResult> {
    let gateway = InternetGateway {
        id: InternetGatewayId::new(call.random()),
        vpc_id: None,
        created: call.now,
        tags: tags::on_creation::<InternetGateway>(&r.tag_specifications)?,
    };
    let gateway = tx.put(&call.scope, gateway);
    Ok(ec2::CreateInternetGatewayResult { internet_gateway: Some(shown(call, &gateway)) })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteInternetGatewayRequest,
) -> Answer<()> {
    let id = &r.internet_gateway_id;
    let gateway = required::<InternetGateway>(tx, &call.scope, id, "InternetGatewayId")?;
    if gateway.vpc_id.is_some() {
        return Err(ApiError::has_dependencies(Resource::InternetGateway, &gateway.id));
    }
    tx.remove::<InternetGateway>(&call.scope, gateway.id.as_str());
    Ok(())
}

pub(crate) fn attach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::AttachInternetGatewayRequest,
) -> Answer<()> {
    let id = &r.internet_gateway_id;
    let gateway = required::<InternetGateway>(tx, &call.scope, id, "InternetGatewayId")?;
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    if let Some(attached) = &gateway.vpc_id {
        return Err(ApiError::gateway_already_attached(&gateway.id, attached));
    }
    if of_vpc(tx, &vpc).is_some() {
        return Err(ApiError::vpc_has_gateway(&vpc.id));
    }
    tx.update::<InternetGateway>(&call.scope, gateway.id.as_str(), |gateway| {
        gateway.vpc_id = Some(vpc.id.clone());
    });
    Ok(())
}

/// Not while public addresses need it, those of NAT gateways too (IGW-11).
pub(crate) fn detach(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DetachInternetGatewayRequest,
) -> Answer<()> {
    let id = &r.internet_gateway_id;
    let gateway = required::<InternetGateway>(tx, &call.scope, id, "InternetGatewayId")?;
    let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
    if gateway.vpc_id.as_ref() != Some(&vpc.id) {
        return Err(ApiError::gateway_not_attached(&gateway.id, &vpc.id));
    }
    let mapped = tx.referrers::<NetworkInterface>(vpc.id.as_str()).any(|interface| {
        interface.auto_public_ip.is_some()
            || tx.referrers::<Address>(interface.id.as_str()).next().is_some()
    });
    if mapped {
        return Err(ApiError::mapped_public_addresses(&vpc.id));
    }
    route_table::leave(call, tx, &gateway.id);
    tx.update::<InternetGateway>(&call.scope, gateway.id.as_str(), |gateway| gateway.vpc_id = None);
    Ok(())
}

/// The gateway of a VPC.
pub(crate) fn of_vpc<'a>(
    records: &'a Snapshot,
    vpc: &Vpc,
) -> Option<&'a std::sync::Arc<InternetGateway>> {
    records.referrers::<InternetGateway>(vpc.id.as_str()).next()
}
