//! Egress-only internet gateways (EIGW-1).

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    EgressOnlyInternetGatewayId,
    record::{EgressOnlyInternetGateway, Vpc},
};

use crate::{
    call::{Answer, Call, listed, required},
    filter::{Fields, select},
    page::page,
    resource::idempotency,
    tags,
};

fn shown(gateway: &EgressOnlyInternetGateway) -> ec2::EgressOnlyInternetGateway {
    ec2::EgressOnlyInternetGateway {
        attachments: vec![ec2::InternetGatewayAttachment {
            state: Some("attached".into()),
            vpc_id: Some(gateway.vpc_id.to_string()),
        }],
        egress_only_internet_gateway_id: Some(gateway.id.to_string()),
        tags: tags::shown(&gateway.tags),
    }
}

/// AWS has filters for tags only.
const FIELDS: &Fields<ec2::EgressOnlyInternetGateway> = &[];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeEgressOnlyInternetGatewaysRequest,
) -> Answer<ec2::DescribeEgressOnlyInternetGatewaysResult> {
    let ids = &r.egress_only_internet_gateway_ids;
    let found = listed::<EgressOnlyInternetGateway>(records, &call.scope, ids)?;
    let gateways = found.iter().map(|gateway| shown(gateway)).collect();
    let gateways = select(gateways, &r.filters, FIELDS, Some(|it| &it.tags))?;
    let (egress_only_internet_gateways, next_token) =
        page(gateways, r.max_results, &r.next_token, |it| {
            it.egress_only_internet_gateway_id.as_deref()
        })?;
    Ok(ec2::DescribeEgressOnlyInternetGatewaysResult { egress_only_internet_gateways, next_token })
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateEgressOnlyInternetGatewayRequest,
) -> Answer<ec2::CreateEgressOnlyInternetGatewayResult> {
    let answer = |gateway: &EgressOnlyInternetGateway| ec2::CreateEgressOnlyInternetGatewayResult {
        client_token: r.client_token.clone(),
        egress_only_internet_gateway: Some(shown(gateway)),
    };
    let make = |tx: &mut Transaction| {
        let vpc = required::<Vpc>(tx, &call.scope, &r.vpc_id, "VpcId")?;
        if tx.referrers::<EgressOnlyInternetGateway>(vpc.id.as_str()).next().is_some() {
            return Err(ApiError::vpc_has_egress_only_gateway(&vpc.id));
        }
        let gateway = EgressOnlyInternetGateway {
            id: EgressOnlyInternetGatewayId::new(call.random()),
            vpc_id: vpc.id.clone(),
            created: call.now,
            tags: tags::on_creation::<EgressOnlyInternetGateway>(&r.tag_specifications)?,
        };
        let gateway = tx.put(&call.scope, gateway);
        Ok((vec![gateway.id.to_string()], answer(&gateway)))
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let made = made.first();
        let gateway = made.and_then(|id| tx.find::<EgressOnlyInternetGateway>(&call.scope, id));
        Ok(gateway.map(|gateway| answer(gateway)))
    };
    let operation = "CreateEgressOnlyInternetGateway";
    idempotency::once(call, tx, operation, &r.client_token, r, make, again)
}

/// Routes to it stay and lead nowhere (RT-12).
pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteEgressOnlyInternetGatewayRequest,
) -> Answer<ec2::DeleteEgressOnlyInternetGatewayResult> {
    let id = &r.egress_only_internet_gateway_id;
    let gateway =
        required::<EgressOnlyInternetGateway>(tx, &call.scope, id, "EgressOnlyInternetGatewayId")?;
    tx.remove::<EgressOnlyInternetGateway>(&call.scope, gateway.id.as_str());
    Ok(ec2::DeleteEgressOnlyInternetGatewayResult { return_code: Some(true) })
}
