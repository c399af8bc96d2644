//! Prefix lists of AWS's services. They come with gateway endpoints; until then there is none.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::Snapshot;
use gureum_types::PrefixListId;

use crate::{
    call::{Answer, Call},
    filter::{Fields, select, some},
    page::page,
};

const FIELDS: &Fields<ec2::PrefixList> = &[
    ("prefix-list-id", |it| some(&it.prefix_list_id)),
    ("prefix-list-name", |it| some(&it.prefix_list_name)),
];

pub(crate) fn describe(
    _: &Call,
    _: &Snapshot,
    r: &ec2::DescribePrefixListsRequest,
) -> Answer<ec2::DescribePrefixListsResult> {
    let resource = Resource::PrefixList;
    if let Some(id) = r.prefix_list_ids.first() {
        return Err(match id.parse::<PrefixListId>() {
            Ok(id) => ApiError::not_found(resource, id),
            Err(error) => ApiError::malformed_id(resource, &error),
        });
    }
    let lists = select(Vec::new(), &r.filters, FIELDS, None)?;
    let (prefix_lists, next_token) =
        page(lists, r.max_results, &r.next_token, |it| it.prefix_list_id.as_deref())?;
    Ok(ec2::DescribePrefixListsResult { next_token, prefix_lists })
}
