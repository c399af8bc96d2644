//! The services that endpoints can be made for.

use gureum_api::{ApiError, ec2};
use gureum_store::Snapshot;
use gureum_types::{ENDPOINT_SERVICES, EndpointService, Region};

use super::offered;
use crate::{
    call::{Answer, Call},
    filter::{Fields, select, some},
    page::page,
};

/// A service under one of the types of endpoints that it has.
fn shown(region: &Region, service: &EndpointService, kind: &str) -> ec2::ServiceDetail {
    let name = service.service_name(region);
    let zones: Vec<String> = region.zones().collect();
    let is_interface = kind == "Interface";
    let private: Vec<String> = match is_interface {
        true => service.private_dns_names(region).collect(),
        false => Vec::new(),
    };
    let base = match is_interface {
        true => service.endpoint_domain(region),
        false => service.public_dns_name(region),
    };
    ec2::ServiceDetail {
        service_id: Some(service_id(&format!("{name}/{kind}"))),
        service_name: Some(name),
        service_type: vec![ec2::ServiceTypeDetail { service_type: Some(kind.to_owned()) }],
        service_region: Some(region.to_string()),
        availability_zone_ids: zones.iter().filter_map(|zone| region.zone_id(zone)).collect(),
        availability_zones: zones,
        owner: Some("amazon".into()),
        base_endpoint_dns_names: vec![base],
        private_dns_name: private.first().cloned(),
        private_dns_name_verification_state: is_interface.then(|| "verified".into()),
        private_dns_names: private
            .into_iter()
            .map(|name| ec2::PrivateDnsDetails { private_dns_name: Some(name) })
            .collect(),
        vpc_endpoint_policy_supported: Some(true),
        acceptance_required: Some(false),
        manages_vpc_endpoints: Some(false),
        supported_ip_address_types: vec!["ipv4".into()],
        ..Default::default()
    }
}

/// Always the same for a service (FNV-1a).
fn service_id(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("vpce-svc-0{hash:016x}")
}

const FIELDS: &Fields<ec2::ServiceDetail> = &[
    ("owner", |it| some(&it.owner)),
    ("service-name", |it| some(&it.service_name)),
    ("service-region", |it| some(&it.service_region)),
    ("service-type", |it| {
        it.service_type.iter().filter_map(|it| it.service_type.clone()).collect()
    }),
    ("supported-ip-address-types", |it| it.supported_ip_address_types.clone()),
];

/// Services with both types of endpoints are shown once for each.
pub(crate) fn describe_services(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcEndpointServicesRequest,
) -> Answer<ec2::DescribeVpcEndpointServicesResult> {
    let region = call.region();
    for name in &r.service_names {
        if EndpointService::named(region, name).is_none()
            && offered::usable(call, records, name).is_none()
        {
            return Err(ApiError::endpoint_service_not_found(name));
        }
    }
    let here = r.service_regions.is_empty() || r.service_regions.contains(&region.to_string());
    let services = ENDPOINT_SERVICES.iter().filter(|it| here && it.is_in(region));
    let services = services.flat_map(|service| {
        super::types_of(service).into_iter().map(move |kind| shown(region, service, kind))
    });
    let offered = offered::all_usable(call, records).into_iter().filter(|_| here);
    let offered = offered.map(|(scope, service)| offered::shown_detail(call, &scope, &service));
    let services = services.chain(offered);
    let wanted = |it: &ec2::ServiceDetail| {
        r.service_names.is_empty()
            || it.service_name.as_ref().is_some_and(|name| r.service_names.contains(name))
    };
    let mut services: Vec<_> = services.filter(wanted).collect();
    services = select(services, &r.filters, FIELDS, Some(|it| &it.tags))?;
    // Pages go by the id, which is one's alone.
    services.sort_by(|a, b| a.service_id.cmp(&b.service_id));
    let (mut service_details, next_token) =
        page(services, r.max_results, &r.next_token, |it| it.service_id.as_deref())?;
    service_details.sort_by(|a, b| a.service_name.cmp(&b.service_name));
    let mut service_names: Vec<_> =
        service_details.iter().filter_map(|it| it.service_name.clone()).collect();
    service_names.dedup();
    Ok(ec2::DescribeVpcEndpointServicesResult { service_names, service_details, next_token })
}

#[cfg(test)]
mod tests {
    use gureum_api::Service;

    use super::*;

    /// Each service of the API, and those with formats of their own: the channels of agents, their
    /// mailbox, and S3, which has gateways too.
    #[test]
    fn whatever_is_served_has_interface_endpoints() {
        let of_the_api = Service::ALL.map(|service| service.info().signing_name);
        let own = ["ec2messages", "s3", "ssmmessages"];
        for name in of_the_api.into_iter().chain(own) {
            let service = ENDPOINT_SERVICES.iter().find(|service| service.name == name);
            let service = service.unwrap_or_else(|| panic!("{name} has no endpoints"));
            assert!(service.has_interfaces(), "{name} has no interface endpoints");
            assert_eq!(service.gateway.is_some(), name == "s3", "{name}");
        }
    }
}
