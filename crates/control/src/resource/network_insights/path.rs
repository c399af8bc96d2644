//! Paths to analyze (RA-1, RA-3).

use std::net::Ipv4Addr;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    NetworkInsightsPathId,
    record::{NetworkInsightsAnalysis, NetworkInsightsPath, PathFilter, PortRange},
};

use crate::{
    call::{Answer, Call, find, given, required, text},
    filter::{Fields, some},
    insights::{checked_end, parse_end},
    query::{Query, View},
    resource::idempotency,
    tags,
};

fn address(value: &Option<String>, parameter: &str) -> Answer<Option<Ipv4Addr>> {
    let Some(text) = given(value) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        ApiError::invalid_parameter_value(format!(
            "Value ({text}) for parameter {parameter} is invalid. It must be an IPv4 address."
        ))
    })
}

fn port(value: Option<i32>) -> Option<u16> {
    value.and_then(|port| u16::try_from(port).ok())
}

fn port_range(
    value: &Option<ec2::RequestFilterPortRange>,
    parameter: &str,
) -> Answer<Option<PortRange>> {
    let Some(range) = value else { return Ok(None) };
    match (port(range.from_port), port(range.to_port)) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) if from <= to => Ok(Some((from, to))),
        _ => Err(ApiError::invalid_parameter_value(format!(
            "The port range of {parameter} is invalid: it needs a first port, and a last one that is \
             not below it."
        ))),
    }
}

fn filter(value: &Option<ec2::PathRequestFilter>, name: &str) -> Answer<Option<PathFilter>> {
    let Some(filter) = value else { return Ok(None) };
    let of = |member: &str| format!("{name}.{member}");
    Ok(Some(PathFilter {
        source_address: address(&filter.source_address, &of("SourceAddress"))?,
        source_ports: port_range(&filter.source_port_range, &of("SourcePortRange"))?,
        destination_address: address(&filter.destination_address, &of("DestinationAddress"))?,
        destination_ports: port_range(&filter.destination_port_range, &of("DestinationPortRange"))?,
    }))
}

fn together(one: &str, two: &str) -> ApiError {
    ApiError::invalid_parameter_combination(format!(
        "{one} and {two} may not be specified together."
    ))
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNetworkInsightsPathRequest,
) -> Answer<ec2::CreateNetworkInsightsPathResult> {
    let answer = |path: &NetworkInsightsPath| ec2::CreateNetworkInsightsPathResult {
        network_insights_path: Some(shown(call, path)),
    };
    let make = |tx: &mut Transaction| {
        let path = make(call, tx, r)?;
        let made = (vec![path.id.to_string()], answer(&path));
        tx.put(&call.scope, path);
        Ok(made)
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let path = made.first().and_then(|id| tx.find::<NetworkInsightsPath>(&call.scope, id));
        Ok(path.map(|path| answer(path)))
    };
    let token = &r.client_token;
    idempotency::once(call, tx, "CreateNetworkInsightsPath", token, r, make, again)
}

fn make(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNetworkInsightsPathRequest,
) -> Answer<NetworkInsightsPath> {
    let source = parse_end(call, text(&r.source, "Source")?, "Source")?;
    let destination = match given(&r.destination) {
        Some(text) => Some(parse_end(call, text, "Destination")?),
        None => None,
    };
    let filter_at_source = filter(&r.filter_at_source, "FilterAtSource")?;
    let filter_at_destination = filter(&r.filter_at_destination, "FilterAtDestination")?;
    let source_ip = address(&r.source_ip, "SourceIp")?;
    let destination_ip = address(&r.destination_ip, "DestinationIp")?;
    if filter_at_source.is_some() && source_ip.is_some() {
        return Err(together("FilterAtSource", "SourceIp"));
    }
    if filter_at_source.is_some() && r.destination_port.is_some() {
        return Err(together("FilterAtSource", "DestinationPort"));
    }
    if filter_at_destination.is_some() && destination_ip.is_some() {
        return Err(together("FilterAtDestination", "DestinationIp"));
    }
    let to = filter_at_source.and_then(|it| it.destination_address).or(destination_ip);
    if destination.is_none() && to.is_none() {
        return Err(ApiError::missing_parameter("Destination"));
    }
    checked_end(call, tx, &source)?;
    if let Some(destination) = &destination {
        checked_end(call, tx, destination)?;
        if destination.id == source.id {
            return Err(ApiError::invalid_parameter_value(
                "The source and the destination of a path must be different resources.",
            ));
        }
    }
    Ok(NetworkInsightsPath {
        id: NetworkInsightsPathId::new(call.random()),
        source,
        destination,
        source_ip,
        destination_ip,
        protocol: text(&r.protocol, "Protocol")?.to_owned(),
        destination_port: port(r.destination_port),
        filter_at_source,
        filter_at_destination,
        created: call.now,
        tags: tags::on_creation::<NetworkInsightsPath>(&r.tag_specifications)?,
    })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkInsightsPathRequest,
) -> Answer<ec2::DeleteNetworkInsightsPathResult> {
    let id = text(&r.network_insights_path_id, "NetworkInsightsPathId")?;
    find::<NetworkInsightsPath>(tx, &call.scope, id)?;
    if let Some(analysis) = tx.referrers::<NetworkInsightsAnalysis>(id).next() {
        return Err(ApiError::new(
            "AnalysisExistsForNetworkInsightsPath",
            format!("Analysis {} exists for network insights path {id}.", analysis.id),
        ));
    }
    tx.remove::<NetworkInsightsPath>(&call.scope, id);
    Ok(ec2::DeleteNetworkInsightsPathResult { network_insights_path_id: Some(id.to_owned()) })
}

/// The path that a parameter names.
pub(super) fn named(
    call: &Call,
    records: &Snapshot,
    id: &Option<String>,
) -> Answer<std::sync::Arc<NetworkInsightsPath>> {
    required(records, &call.scope, id, "NetworkInsightsPathId")
}

fn shown_filter(filter: &PathFilter) -> ec2::PathFilter {
    let ports = |range: PortRange| ec2::FilterPortRange {
        from_port: Some(range.0.into()),
        to_port: Some(range.1.into()),
    };
    ec2::PathFilter {
        source_address: filter.source_address.map(|it| it.to_string()),
        source_port_range: filter.source_ports.map(ports),
        destination_address: filter.destination_address.map(|it| it.to_string()),
        destination_port_range: filter.destination_ports.map(ports),
    }
}

fn shown(call: &Call, path: &NetworkInsightsPath) -> ec2::NetworkInsightsPath {
    ec2::NetworkInsightsPath {
        network_insights_path_id: Some(path.id.to_string()),
        network_insights_path_arn: Some(call.arn("network-insights-path", &path.id)),
        created_date: Some(path.created),
        source: Some(path.source.id.clone()),
        destination: path.destination.as_ref().map(|it| it.id.clone()),
        source_arn: Some(path.source.arn.clone()),
        destination_arn: path.destination.as_ref().map(|it| it.arn.clone()),
        source_ip: path.source_ip.map(|it| it.to_string()),
        destination_ip: path.destination_ip.map(|it| it.to_string()),
        protocol: Some(path.protocol.clone()),
        destination_port: path.destination_port.map(i32::from),
        tags: tags::shown(&path.tags),
        filter_at_source: path.filter_at_source.as_ref().map(shown_filter),
        filter_at_destination: path.filter_at_destination.as_ref().map(shown_filter),
    }
}

/// A filter's ports as texts: `80` or `80-90`.
fn range_text(range: &Option<ec2::FilterPortRange>) -> Vec<String> {
    let ends = range.as_ref().and_then(|it| it.from_port.zip(it.to_port));
    let text = ends.map(|(from, to)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    });
    text.into_iter().collect()
}

macro_rules! of_filter {
    ($filter:ident $address:ident) => {
        |it: &ec2::NetworkInsightsPath| {
            it.$filter.as_ref().map(|it| some(&it.$address)).unwrap_or_default()
        }
    };
    ($filter:ident ports $range:ident) => {
        |it: &ec2::NetworkInsightsPath| {
            it.$filter.as_ref().map(|it| range_text(&it.$range)).unwrap_or_default()
        }
    };
}

const VIEW: View<NetworkInsightsPath, ec2::NetworkInsightsPath> =
    View { fields: FILTERS, index: &[], tags: Some(|it| &it.tags) };

const FILTERS: &Fields<ec2::NetworkInsightsPath> = &[
    ("destination", |it| some(&it.destination)),
    ("destination-port", |it| it.destination_port.iter().map(ToString::to_string).collect()),
    (
        "filter-at-destination.destination-address",
        of_filter!(filter_at_destination destination_address),
    ),
    (
        "filter-at-destination.destination-port-range",
        of_filter!(filter_at_destination ports destination_port_range),
    ),
    ("filter-at-destination.source-address", of_filter!(filter_at_destination source_address)),
    (
        "filter-at-destination.source-port-range",
        of_filter!(filter_at_destination ports source_port_range),
    ),
    ("filter-at-source.destination-address", of_filter!(filter_at_source destination_address)),
    (
        "filter-at-source.destination-port-range",
        of_filter!(filter_at_source ports destination_port_range),
    ),
    ("filter-at-source.source-address", of_filter!(filter_at_source source_address)),
    ("filter-at-source.source-port-range", of_filter!(filter_at_source ports source_port_range)),
    ("protocol", |it| some(&it.protocol)),
    ("source", |it| some(&it.source)),
];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInsightsPathsRequest,
) -> Answer<ec2::DescribeNetworkInsightsPathsResult> {
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let ids = &r.network_insights_path_ids;
    let (network_insights_paths, next_token) =
        query.answer(records, &call.scope, ids, &VIEW, |it| shown(call, it))?;
    Ok(ec2::DescribeNetworkInsightsPathsResult { network_insights_paths, next_token })
}
