//! ClassicLink: retired by AWS, so no VPC has it.

use gureum_api::ec2;
use gureum_store::Snapshot;
use gureum_types::record::Vpc;

use crate::{
    call::{Answer, Call, find},
    filter::{Fields, flag, select, some},
    page::page,
};

const FIELDS: &Fields<ec2::VpcClassicLink> = &[
    ("is-classic-link-enabled", |it| flag(it.classic_link_enabled)),
    ("vpc-id", |it| some(&it.vpc_id)),
];

fn check(call: &Call, records: &Snapshot, ids: &[String]) -> Answer<()> {
    ids.iter().try_for_each(|id| find::<Vpc>(records, &call.scope, id).map(drop))
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcClassicLinkRequest,
) -> Answer<ec2::DescribeVpcClassicLinkResult> {
    check(call, records, &r.vpc_ids)?;
    let vpcs = select(Vec::new(), &r.filters, FIELDS, Some(|it| &it.tags))?;
    Ok(ec2::DescribeVpcClassicLinkResult { vpcs })
}

pub(crate) fn describe_dns_support(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeVpcClassicLinkDnsSupportRequest,
) -> Answer<ec2::DescribeVpcClassicLinkDnsSupportResult> {
    check(call, records, &r.vpc_ids)?;
    let none: Vec<ec2::ClassicLinkDnsSupport> = Vec::new();
    let (vpcs, next_token) = page(none, r.max_results, &r.next_token, |it| it.vpc_id.as_deref())?;
    Ok(ec2::DescribeVpcClassicLinkDnsSupportResult { next_token, vpcs })
}
