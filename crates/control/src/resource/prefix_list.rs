//! Prefix lists of AWS's services, which routes to gateway endpoints and rules of security groups
//! refer to (VPCE-18, VPCE-21). Nobody makes them: they are there in every region.

use std::sync::{Arc, LazyLock};

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::Snapshot;
use gureum_types::{
    ENDPOINT_SERVICES, EndpointService, PrefixListId, REGIONS, Region, Tags, Timestamp,
    record::{PrefixList, PrefixListEntry},
};

use crate::{
    call::{self, Answer, Call},
    filter::{Fields, select, some},
    page::page,
};

/// What the names of the services' lists begin with, and no other's.
const RESERVED: &str = "com.amazonaws.";

static LISTS: LazyLock<Vec<Arc<PrefixList>>> = LazyLock::new(|| {
    let regions = REGIONS.iter().filter_map(|(name, _)| name.parse::<Region>().ok());
    let lists = regions.flat_map(|region| {
        ENDPOINT_SERVICES.iter().filter_map(move |service| made(&region, service))
    });
    lists.map(Arc::new).collect()
});

fn made(region: &Region, service: &EndpointService) -> Option<PrefixList> {
    let block = service.gateway.as_ref()?.block;
    let name = service.service_name(region);
    // As AWS's, of eight digits; always the same (FNV-1a).
    let number = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Some(PrefixList {
        id: format!("pl-{number:08x}").parse().ok()?,
        name,
        ipv6: false,
        // They count once in quotas.
        max_entries: 1,
        entries: vec![PrefixListEntry { cidr: block.into(), description: None }],
        version: 1,
        earlier: Vec::new(),
        state: "create-complete".into(),
        created: Timestamp(0),
        tags: Tags::new(),
    })
}

/// The lists of all services in all regions.
pub(crate) fn of_services() -> &'static [Arc<PrefixList>] {
    &LISTS
}

/// Whether a list is a service's.
pub(crate) fn is_of_service(list: &PrefixList) -> bool {
    list.name.starts_with(RESERVED)
}

/// The lists of services in a region.
pub(crate) fn of_region(region: &Region) -> impl Iterator<Item = &'static Arc<PrefixList>> {
    LISTS.iter().filter(|list| EndpointService::named(region, &list.name).is_some())
}

/// The list of a service, by the name of that.
pub(crate) fn of_service(service_name: &str) -> Option<&'static Arc<PrefixList>> {
    LISTS.iter().find(|list| list.name == service_name)
}

/// The list with an id: the caller's, or a service's.
pub(crate) fn find<'a>(
    call: &Call,
    records: &'a Snapshot,
    id: &str,
) -> Option<&'a Arc<PrefixList>> {
    let own = records.find::<PrefixList>(&call.scope, id);
    own.or_else(|| of_region(call.region()).find(|list| list.id.as_str() == id))
}

/// As [`find`], of a required parameter.
pub(crate) fn required(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
    parameter: &str,
) -> Answer<Arc<PrefixList>> {
    named(call, records, call::text(id, parameter)?)
}

/// As [`find`], of a parameter that is there.
pub(crate) fn named(call: &Call, records: &Snapshot, id: &str) -> Answer<Arc<PrefixList>> {
    call::parse_id::<PrefixList>(id)?;
    let found = find(call, records, id).cloned();
    found.ok_or_else(|| ApiError::not_found(Resource::PrefixList, id))
}

fn shown(list: &PrefixList) -> ec2::PrefixList {
    ec2::PrefixList {
        cidrs: list.entries.iter().map(|entry| entry.cidr.to_string()).collect(),
        prefix_list_id: Some(list.id.to_string()),
        prefix_list_name: Some(list.name.clone()),
    }
}

const FIELDS: &Fields<ec2::PrefixList> = &[
    ("prefix-list-id", |it| some(&it.prefix_list_id)),
    ("prefix-list-name", |it| some(&it.prefix_list_name)),
];

pub(crate) fn describe(
    call: &Call,
    _: &Snapshot,
    r: &ec2::DescribePrefixListsRequest,
) -> Answer<ec2::DescribePrefixListsResult> {
    let mut lists: Vec<_> = of_region(call.region()).map(|list| shown(list)).collect();
    for id in &r.prefix_list_ids {
        id.parse::<PrefixListId>()
            .map_err(|error| ApiError::malformed_id(Resource::PrefixList, &error))?;
        if !lists.iter().any(|list| list.prefix_list_id.as_ref() == Some(id)) {
            return Err(ApiError::not_found(Resource::PrefixList, id));
        }
    }
    if !r.prefix_list_ids.is_empty() {
        lists.retain(|list| {
            list.prefix_list_id.as_ref().is_some_and(|id| r.prefix_list_ids.contains(id))
        });
    }
    lists.sort_by(|a, b| a.prefix_list_id.cmp(&b.prefix_list_id));
    let lists = select(lists, &r.filters, FIELDS, None)?;
    let (prefix_lists, next_token) =
        page(lists, r.max_results, &r.next_token, |it| it.prefix_list_id.as_deref())?;
    Ok(ec2::DescribePrefixListsResult { next_token, prefix_lists })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_with_gateways_has_a_list_of_its_own_in_each_region() {
        let mut ids: Vec<_> = of_services().iter().map(|list| list.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let gateways = ENDPOINT_SERVICES.iter().filter(|service| service.gateway.is_some());
        assert_eq!(ids.len(), REGIONS.len() * gateways.count());
        assert!(of_services().iter().all(|list| is_of_service(list)));
    }
}
