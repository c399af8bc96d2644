//! Customer gateways: the other end of VPNs, as records.

use std::net::IpAddr;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{CustomerGatewayId, record::CustomerGateway};

use crate::{
    call::{Answer, Call, alive, given, listed},
    filter::{Fields, select, some},
    resource::vpn_connection,
    tags,
};

/// The autonomous system number of who names none.
const DEFAULT_ASN: u32 = 65_000;
/// Where `BgpAsn` ends and `BgpAsnExtended` begins.
const ASN_MAX: u32 = i32::MAX.unsigned_abs();

fn shown(gateway: &CustomerGateway) -> ec2::CustomerGateway {
    let state = if gateway.deleted.is_some() { "deleted" } else { "available" };
    let asn = |extended: bool| {
        ((gateway.bgp_asn > ASN_MAX) == extended).then(|| gateway.bgp_asn.to_string())
    };
    ec2::CustomerGateway {
        certificate_arn: gateway.certificate_arn.clone(),
        device_name: gateway.device_name.clone(),
        tags: tags::shown(&gateway.tags),
        bgp_asn_extended: asn(true),
        customer_gateway_id: Some(gateway.id.to_string()),
        state: Some(state.into()),
        r#type: Some("ipsec.1".into()),
        ip_address: gateway.ip_address.map(|it| it.to_string()),
        bgp_asn: asn(false),
    }
}

const FIELDS: &Fields<ec2::CustomerGateway> = &[
    ("bgp-asn", |it| it.bgp_asn.iter().chain(&it.bgp_asn_extended).cloned().collect()),
    ("customer-gateway-id", |it| some(&it.customer_gateway_id)),
    ("ip-address", |it| some(&it.ip_address)),
    ("state", |it| some(&it.state)),
    ("type", |it| some(&it.r#type)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeCustomerGatewaysRequest,
) -> Answer<ec2::DescribeCustomerGatewaysResult> {
    let found = listed::<CustomerGateway>(records, &call.scope, &r.customer_gateway_ids)?;
    let gateways = found.iter().map(|gateway| shown(gateway)).collect();
    let customer_gateways = select(gateways, &r.filters, FIELDS, Some(|it| &it.tags))?;
    Ok(ec2::DescribeCustomerGatewaysResult { customer_gateways })
}

fn asn(r: &ec2::CreateCustomerGatewayRequest) -> Answer<u32> {
    match (r.bgp_asn, r.bgp_asn_extended) {
        (Some(_), Some(_)) => Err(ApiError::invalid_parameter_combination(
            "The parameters bgpAsn and bgpAsnExtended cannot be used together.",
        )),
        (Some(asn), None) => u32::try_from(asn).ok().filter(|asn| *asn > 0).ok_or_else(|| {
            ApiError::invalid_value(asn, "bgpAsn", "It must be between 1 and 2147483647.")
        }),
        (None, Some(asn)) => {
            u32::try_from(asn).ok().filter(|asn| *asn > ASN_MAX).ok_or_else(|| {
                let reason = "It must be between 2147483648 and 4294967295.";
                ApiError::invalid_value(asn, "bgpAsnExtended", reason)
            })
        }
        (None, None) => Ok(DEFAULT_ASN),
    }
}

/// Where the device is: an address that others can reach, in one of the two parameters for it.
fn address(r: &ec2::CreateCustomerGatewayRequest) -> Answer<Option<IpAddr>> {
    let (text, parameter) = match (given(&r.ip_address), given(&r.public_ip)) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_parameter_combination(
                "The parameters ipAddress and publicIp cannot be used together.",
            ));
        }
        (Some(text), None) => (text, "ipAddress"),
        (None, Some(text)) => (text, "publicIp"),
        (None, None) => return Ok(None),
    };
    let usable = |it: &IpAddr| !it.is_unspecified() && !it.is_loopback() && !it.is_multicast();
    let address = text.parse::<IpAddr>().ok().filter(usable).ok_or_else(|| {
        ApiError::invalid_value(text, parameter, "This is not a valid IP address of a device.")
    })?;
    Ok(Some(address))
}

/// The same device again is the same gateway.
pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateCustomerGatewayRequest,
) -> Answer<ec2::CreateCustomerGatewayResult> {
    let (bgp_asn, ip_address) = (asn(r)?, address(r)?);
    let certificate = given(&r.certificate_arn);
    if ip_address.is_none() && certificate.is_none() {
        return Err(ApiError::missing_parameter("IpAddress"));
    }
    if let Some(arn) = certificate.filter(|arn| !arn.starts_with("arn:")) {
        return Err(ApiError::invalid_value(arn, "certificateArn", "This is not a valid ARN."));
    }
    let tags = tags::on_creation::<CustomerGateway>(&r.tag_specifications)?;
    let gateway = CustomerGateway {
        id: CustomerGatewayId::new(call.random()),
        bgp_asn,
        ip_address,
        certificate_arn: certificate.map(str::to_owned),
        device_name: given(&r.device_name).map(str::to_owned),
        created: call.now,
        deleted: None,
        tags,
    };
    let is_same = |it: &&std::sync::Arc<CustomerGateway>| {
        it.deleted.is_none()
            && (it.bgp_asn, it.ip_address) == (gateway.bgp_asn, gateway.ip_address)
            && it.certificate_arn == gateway.certificate_arn
            && it.device_name == gateway.device_name
    };
    let known = tx.all::<CustomerGateway>(&call.scope).find(is_same).cloned();
    let gateway = known.unwrap_or_else(|| tx.put(&call.scope, gateway));
    Ok(ec2::CreateCustomerGatewayResult { customer_gateway: Some(shown(&gateway)) })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteCustomerGatewayRequest,
) -> Answer<()> {
    let id = &r.customer_gateway_id;
    let gateway = alive::<CustomerGateway>(tx, &call.scope, id, "CustomerGatewayId")?;
    vpn_connection::refuse_in_use(tx, gateway.id.as_str(), "customerGateway")?;
    tx.update::<CustomerGateway>(&call.scope, gateway.id.as_str(), |it| {
        it.deleted = Some(call.now);
    });
    Ok(())
}
