//! Metric filters: patterns with a metric, kept and shown. There are no metrics here.

use std::sync::Arc;

use gureum_api::{ApiError, logs};
use gureum_logs::Pattern;
use gureum_store::{Snapshot, Transaction};
use gureum_types::record::{MetricFilter, MetricTransformation};

use crate::{
    call::{Answer, Call, given, text},
    page::page,
    resource::log_group,
};

fn pattern(text: &str) -> Answer<Pattern> {
    Pattern::parse(text).map_err(|error| ApiError::logs_invalid_parameter(error.0))
}

pub(crate) fn put(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::PutMetricFilterRequest,
) -> Answer<()> {
    let group = log_group::named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    let name = text(&r.filter_name, "filterName")?;
    if name.contains([':', '*']) {
        return Err(log_group::not_of_pattern(name, "filterName", "[^:*]*"));
    }
    let text = r.filter_pattern.clone().unwrap_or_default();
    pattern(&text)?;
    let transformation = r.metric_transformations.first().cloned().unwrap_or_default();
    if transformation.default_value.is_some() && !transformation.dimensions.is_empty() {
        return Err(ApiError::logs_invalid_parameter(
            "A metric transformation cannot have both a default value and dimensions.",
        ));
    }
    let filter = MetricFilter {
        group: group.name.clone(),
        name: name.to_owned(),
        pattern: text,
        transformation: MetricTransformation {
            name: transformation.metric_name.unwrap_or_default(),
            namespace: transformation.metric_namespace.unwrap_or_default(),
            value: transformation.metric_value.unwrap_or_default(),
            default_value: transformation.default_value,
            dimensions: transformation.dimensions,
            unit: transformation.unit,
        },
        apply_on_transformed_logs: r.apply_on_transformed_logs == Some(true),
        created: call.now,
    };
    tx.put(&call.scope, filter);
    Ok(())
}

fn shown(filter: &MetricFilter) -> logs::MetricFilter {
    let made = &filter.transformation;
    logs::MetricFilter {
        filter_name: Some(filter.name.clone()),
        filter_pattern: Some(filter.pattern.clone()),
        metric_transformations: vec![logs::MetricTransformation {
            metric_name: Some(made.name.clone()),
            metric_namespace: Some(made.namespace.clone()),
            metric_value: Some(made.value.clone()),
            default_value: made.default_value,
            dimensions: made.dimensions.clone(),
            unit: made.unit.clone().or_else(|| Some("None".into())),
        }],
        creation_time: Some(filter.created.0),
        log_group_name: Some(filter.group.clone()),
        apply_on_transformed_logs: Some(filter.apply_on_transformed_logs),
        ..Default::default()
    }
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &logs::DescribeMetricFiltersRequest,
) -> Answer<logs::DescribeMetricFiltersResponse> {
    if given(&r.metric_name).is_some() != given(&r.metric_namespace).is_some() {
        return Err(ApiError::logs_invalid_parameter(
            "metricName and metricNamespace must be specified together.",
        ));
    }
    let group = match given(&r.log_group_name) {
        Some(name) => Some(log_group::named(call, records, name)?.name.clone()),
        None => None,
    };
    let is_wanted = |filter: &&Arc<MetricFilter>| {
        group.as_ref().is_none_or(|name| filter.group == *name)
            && given(&r.filter_name_prefix).is_none_or(|it| filter.name.starts_with(it))
            && given(&r.metric_name).is_none_or(|it| filter.transformation.name == it)
            && given(&r.metric_namespace).is_none_or(|it| filter.transformation.namespace == it)
    };
    let filters = records.all::<MetricFilter>(&call.scope).filter(is_wanted);
    let filters: Vec<_> = filters.map(|it| (format!("{}:{}", it.group, it.name), it)).collect();
    let size = r.limit.unwrap_or(log_group::PAGE);
    let (filters, next_token) =
        page(filters, Some(size), &r.next_token, |it| Some(&it.0)).map_err(log_group::bad_token)?;
    let metric_filters = filters.into_iter().map(|(_, filter)| shown(filter)).collect();
    Ok(logs::DescribeMetricFiltersResponse { metric_filters, next_token })
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &logs::DeleteMetricFilterRequest,
) -> Answer<()> {
    let group = log_group::named(call, tx, text(&r.log_group_name, "logGroupName")?)?;
    let id = format!("{}:{}", group.name, text(&r.filter_name, "filterName")?);
    tx.remove::<MetricFilter>(&call.scope, &id)
        .map(|_| ())
        .ok_or_else(ApiError::metric_filter_not_found)
}

pub(crate) fn test(
    _: &Call,
    _: &Snapshot,
    r: &logs::TestMetricFilterRequest,
) -> Answer<logs::TestMetricFilterResponse> {
    let pattern = pattern(r.filter_pattern.as_deref().unwrap_or_default())?;
    let found = r.log_event_messages.iter().zip(1..).filter_map(|(message, number)| {
        Some(logs::MetricFilterMatchRecord {
            extracted_values: pattern.extract(message)?,
            event_number: Some(number),
            event_message: Some(message.clone()),
        })
    });
    Ok(logs::TestMetricFilterResponse { matches: found.collect() })
}
