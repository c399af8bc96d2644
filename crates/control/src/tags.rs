//! Tags (EC2-27): on creation, afterwards, and as a list of their own.

use gureum_api::{ApiError, Resource, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    IdError, Tags, VpcPeeringConnectionId,
    record::{
        Address, CustomerGateway, DhcpOptions, EgressOnlyInternetGateway, FlowLog, Instance,
        InternetGateway, KeyPair, LaunchTemplate, NatGateway, NetworkAcl,
        NetworkInsightsAccessScope, NetworkInsightsAccessScopeAnalysis, NetworkInsightsAnalysis,
        NetworkInsightsPath, NetworkInterface, OwnImage, PlacementGroup, PrefixList,
        PublicAccessExclusion, RouteTable, SecurityGroup, SecurityGroupRule, Subnet,
        SubnetCidrReservation, TransitGateway, TransitGatewayRouteTable,
        TransitGatewayVpcAttachment, Volume, VolumeSnapshot, Vpc, VpcEndpoint, VpcEndpointService,
        VpnConnection, VpnGateway,
    },
};

use crate::{
    call::{Answer, Call, Named},
    catalogue::image_with_id,
    filter::{self, Fields, select, some},
    page::page,
    resource::vpc_peering_connection as peering,
};

/// How many tags a resource may have.
const LIMIT: usize = 50;

/// Tags as answers show them.
pub(crate) fn shown(tags: &Tags) -> Vec<ec2::Tag> {
    tags.iter()
        .map(|(key, value)| ec2::Tag { key: Some(key.clone()), value: Some(value.clone()) })
        .collect()
}

/// The tags that a request gives to a new resource of one kind.
pub(crate) fn on_creation<T: Named>(specifications: &[ec2::TagSpecification]) -> Answer<Tags> {
    of_type(specifications, T::TYPE, &[T::TYPE])
}

/// The tags for one of several kinds that a request makes.
pub(crate) fn of_type(
    specifications: &[ec2::TagSpecification],
    wanted: &str,
    possible: &[&str],
) -> Answer<Tags> {
    let mut tags = Tags::new();
    for (number, specification) in specifications.iter().enumerate() {
        let kind = specification.resource_type.as_deref().unwrap_or_default();
        if kind.is_empty() {
            let name = format!("TagSpecification.{}.ResourceType", number + 1);
            return Err(ApiError::missing_parameter(&name));
        }
        if !possible.contains(&kind) {
            return Err(ApiError::invalid_parameter_value(format!(
                "'{kind}' is not a valid taggable resource type for this operation."
            )));
        }
        if kind == wanted {
            add(&mut tags, &specification.tags, true)?;
        }
    }
    Ok(tags)
}

fn add(tags: &mut Tags, more: &[ec2::Tag], new: bool) -> Answer<()> {
    for tag in more {
        let key = tag.key.as_deref().unwrap_or_default();
        let value = tag.value.as_deref().unwrap_or_default();
        if key.is_empty() {
            return Err(ApiError::invalid_parameter_value("Tag key cannot be empty."));
        }
        if key.chars().count() > 128 {
            return Err(ApiError::invalid_parameter_value(format!(
                "Tag key exceeds the maximum length of 128 characters: '{key}'"
            )));
        }
        if value.chars().count() > 256 {
            return Err(ApiError::invalid_parameter_value(format!(
                "Tag value exceeds the maximum length of 256 characters: '{value}'"
            )));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(ApiError::reserved_tag_key(key));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() && new {
            return Err(ApiError::invalid_parameter_value(format!(
                "Duplicate tag key '{key}' specified."
            )));
        }
    }
    match tags.len() > LIMIT {
        true => Err(ApiError::tag_limit_exceeded()),
        false => Ok(()),
    }
}

/// Changes the tags of a record.
type Change<'a> = &'a dyn Fn(&mut Tags) -> Answer<()>;

/// Tries one kind: `None` when the id is of another.
type Try = fn(&Call, &mut Transaction, &str, Change<'_>) -> Option<Answer<()>>;

fn of_kind<T: Named>(
    call: &Call,
    tx: &mut Transaction,
    id: &str,
    change: Change<'_>,
) -> Option<Answer<()>> {
    id.parse::<T::Id>().ok()?;
    let Some(record) = tx.find::<T>(&call.scope, id) else {
        return Some(Err(ApiError::not_found(T::RESOURCE, id)));
    };
    let mut record = (**record).clone();
    if let Err(error) = change(record.tags_mut()) {
        return Some(Err(error));
    }
    tx.put(&call.scope, record);
    Some(Ok(()))
}

/// A peering connection belongs to two, and each has tags of its own on it.
fn of_peering(
    call: &Call,
    tx: &mut Transaction,
    id: &str,
    change: Change<'_>,
) -> Option<Answer<()>> {
    id.parse::<VpcPeeringConnectionId>().ok()?;
    Some(peering::find(call, tx, id).and_then(|record| {
        let mut record = (*record).clone();
        change(peering::tags_mut(&mut record, &call.scope))?;
        tx.put_machine(record);
        Ok(())
    }))
}

const KINDS: &[Try] = &[
    of_kind::<Address>,
    of_kind::<CustomerGateway>,
    of_kind::<DhcpOptions>,
    of_kind::<EgressOnlyInternetGateway>,
    of_kind::<FlowLog>,
    of_kind::<Instance>,
    of_kind::<InternetGateway>,
    of_kind::<KeyPair>,
    of_kind::<LaunchTemplate>,
    of_kind::<NatGateway>,
    of_kind::<NetworkAcl>,
    of_kind::<NetworkInsightsAccessScope>,
    of_kind::<NetworkInsightsAccessScopeAnalysis>,
    of_kind::<NetworkInsightsAnalysis>,
    of_kind::<NetworkInsightsPath>,
    of_kind::<NetworkInterface>,
    of_kind::<OwnImage>,
    of_kind::<PlacementGroup>,
    of_kind::<PrefixList>,
    of_kind::<PublicAccessExclusion>,
    of_kind::<RouteTable>,
    of_kind::<SecurityGroup>,
    of_kind::<SecurityGroupRule>,
    of_kind::<Subnet>,
    of_kind::<SubnetCidrReservation>,
    of_kind::<TransitGateway>,
    of_kind::<TransitGatewayRouteTable>,
    of_kind::<TransitGatewayVpcAttachment>,
    of_kind::<Volume>,
    of_kind::<VolumeSnapshot>,
    of_kind::<Vpc>,
    of_kind::<VpcEndpointService>,
    of_kind::<VpnConnection>,
    of_kind::<VpnGateway>,
    of_kind::<VpcEndpoint>,
    of_peering,
];

fn change(call: &Call, tx: &mut Transaction, ids: &[String], change: Change<'_>) -> Answer<()> {
    for id in ids {
        if image_with_id(call.region(), id).is_some() {
            return Err(ApiError::unsupported_operation(format!(
                "The image {id} belongs to the catalogue; it cannot be tagged."
            )));
        }
        match KINDS.iter().find_map(|kind| kind(call, tx, id, change)) {
            Some(done) => done?,
            None if id.starts_with("ami-") => {
                let error = IdError { text: id.clone(), prefix: "ami" };
                return Err(ApiError::malformed_id(Resource::Image, &error));
            }
            None => {
                return Err(ApiError::new("InvalidID", format!("The ID '{id}' is not valid")));
            }
        }
    }
    Ok(())
}

pub(crate) fn create(call: &Call, tx: &mut Transaction, r: &ec2::CreateTagsRequest) -> Answer<()> {
    change(call, tx, &r.resources, &|tags| add(tags, &r.tags, false))
}

/// Without tags all of them go; with a key and no value, the key whatever its value.
pub(crate) fn delete(call: &Call, tx: &mut Transaction, r: &ec2::DeleteTagsRequest) -> Answer<()> {
    change(call, tx, &r.resources, &|tags| {
        if r.tags.is_empty() {
            tags.retain(|key, _| key.starts_with("aws:"));
        }
        for tag in &r.tags {
            let key = tag.key.as_deref().unwrap_or_default();
            if key.to_lowercase().starts_with("aws:") {
                return Err(ApiError::reserved_tag_key(key));
            }
            if tag.value.is_none() || tags.get(key) == tag.value.as_ref() {
                tags.remove(key);
            }
        }
        Ok(())
    })
}

const FIELDS: &Fields<ec2::TagDescription> = &[
    ("key", |it| some(&it.key)),
    ("resource-id", |it| some(&it.resource_id)),
    ("resource-type", |it| some(&it.resource_type)),
    ("value", |it| some(&it.value)),
];

/// The tags of a kind; of those with one of these ids, where some are given.
fn describe_kind<T: Named>(
    call: &Call,
    records: &Snapshot,
    ids: Option<&[String]>,
    found: &mut Vec<ec2::TagDescription>,
) {
    let tagged: Vec<_> = match ids {
        Some(ids) => ids.iter().filter_map(|id| records.find::<T>(&call.scope, id)).collect(),
        None => records.all::<T>(&call.scope).collect(),
    };
    for record in tagged {
        for (key, value) in record.tags() {
            found.push(ec2::TagDescription {
                key: Some(key.clone()),
                resource_id: Some(record.id().into_owned()),
                resource_type: Some(T::TYPE.to_owned()),
                value: Some(value.clone()),
            });
        }
    }
}

fn describe_peerings(
    call: &Call,
    records: &Snapshot,
    _: Option<&[String]>,
    found: &mut Vec<ec2::TagDescription>,
) {
    for peering in peering::all(call, records) {
        for (key, value) in peering::tags(&peering, &call.scope) {
            found.push(ec2::TagDescription {
                key: Some(key.clone()),
                resource_id: Some(peering.id.to_string()),
                resource_type: Some(peering::TYPE.to_owned()),
                value: Some(value.clone()),
            });
        }
    }
}

/// Adds the tags of a kind of resource.
type DescribeKind = fn(&Call, &Snapshot, Option<&[String]>, &mut Vec<ec2::TagDescription>);

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeTagsRequest,
) -> Answer<ec2::DescribeTagsResult> {
    let mut found = Vec::new();
    let kinds: &[DescribeKind] = &[
        describe_kind::<Address>,
        describe_kind::<CustomerGateway>,
        describe_kind::<DhcpOptions>,
        describe_kind::<EgressOnlyInternetGateway>,
        describe_kind::<FlowLog>,
        describe_kind::<Instance>,
        describe_kind::<InternetGateway>,
        describe_kind::<KeyPair>,
        describe_kind::<LaunchTemplate>,
        describe_kind::<NatGateway>,
        describe_kind::<NetworkAcl>,
        describe_kind::<NetworkInsightsAccessScope>,
        describe_kind::<NetworkInsightsAccessScopeAnalysis>,
        describe_kind::<NetworkInsightsAnalysis>,
        describe_kind::<NetworkInsightsPath>,
        describe_kind::<NetworkInterface>,
        describe_kind::<OwnImage>,
        describe_kind::<PlacementGroup>,
        describe_kind::<PrefixList>,
        describe_kind::<PublicAccessExclusion>,
        describe_kind::<RouteTable>,
        describe_kind::<SecurityGroup>,
        describe_kind::<SecurityGroupRule>,
        describe_kind::<Subnet>,
        describe_kind::<SubnetCidrReservation>,
        describe_kind::<TransitGateway>,
        describe_kind::<TransitGatewayRouteTable>,
        describe_kind::<TransitGatewayVpcAttachment>,
        describe_kind::<Volume>,
        describe_kind::<VolumeSnapshot>,
        describe_kind::<Vpc>,
        describe_kind::<VpnGateway>,
        describe_kind::<VpcEndpoint>,
        describe_peerings,
    ];
    let by_id = r.filters.iter().find(|it| it.name.as_deref() == Some("resource-id"));
    let ids = by_id.and_then(filter::literals);
    for kind in kinds {
        kind(call, records, ids, &mut found);
    }
    // `tag:KEY` reads the tag itself.
    let tags =
        |it: &ec2::TagDescription| vec![ec2::Tag { key: it.key.clone(), value: it.value.clone() }];
    let (by_tag, others): (Vec<_>, Vec<_>) =
        r.filters.iter().cloned().partition(|filter| {
            filter.name.as_deref().is_some_and(|name| name.starts_with("tag:"))
        });
    let found = select(found, &others, FIELDS, None)?;
    let pairs: Vec<_> = found.into_iter().map(|it| (tags(&it), it)).collect();
    let found = select(pairs, &by_tag, &[], Some(|pair| pair.0.as_slice()))?;
    let mut found: Vec<_> = found
        .into_iter()
        .map(|(_, it)| {
            let place = |text: &Option<String>| text.clone().unwrap_or_default();
            (format!("{}\n{}", place(&it.resource_id), place(&it.key)), it)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let (found, next_token) =
        page(found, r.max_results, &r.next_token, |(place, _)| Some(place.as_str()))?;
    let tags = found.into_iter().map(|(_, it)| it).collect();
    Ok(ec2::DescribeTagsResult { next_token, tags })
}
