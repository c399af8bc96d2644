//! Analyses of paths (RA-2, RA-4 to RA-6).

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    NetworkInsightsAnalysisId,
    record::{AnalysisOutcome, NetworkInsightsAnalysis, NetworkInsightsPath},
};

use super::{path::named, shape};
use crate::{
    call::{Answer, Call, find, given, listed, text},
    filter::{Fields, flag, some},
    insights::{World, analyze_path},
    query::{Query, View},
    resource::idempotency,
    tags,
};

/// Where to begin and what was found there.
pub(crate) struct Prepared {
    path: Arc<NetworkInsightsPath>,
    analysis: NetworkInsightsAnalysis,
}

fn check_arns(arns: &[String], parameter: &str) -> Answer<()> {
    // AWS takes one of each ("Include or exclude intermediate resources").
    if arns.len() > 1 {
        return Err(ApiError::invalid_parameter_value(format!(
            "{parameter} may name one resource only."
        )));
    }
    match arns.iter().find(|arn| !arn.starts_with("arn:")) {
        Some(arn) => Err(ApiError::invalid_parameter_value(format!(
            "Value ({arn}) for parameter {parameter} is invalid. It must be an ARN."
        ))),
        None => Ok(()),
    }
}

/// Analyzes; what follows only keeps the answer.
pub(crate) fn prepare(
    world: &World<'_>,
    r: &ec2::StartNetworkInsightsAnalysisRequest,
) -> Answer<Prepared> {
    let call = world.call;
    let path = named(call, world.records, &r.network_insights_path_id)?;
    check_arns(&r.filter_in_arns, "FilterInArns")?;
    check_arns(&r.filter_out_arns, "FilterOutArns")?;
    let tags = tags::on_creation::<NetworkInsightsAnalysis>(&r.tag_specifications)?;
    let found = analyze_path(world, &path, &r.filter_in_arns, &r.filter_out_arns);
    let analysis = NetworkInsightsAnalysis {
        id: NetworkInsightsAnalysisId::new(call.random()),
        path_id: path.id.clone(),
        filter_in_arns: r.filter_in_arns.clone(),
        filter_out_arns: r.filter_out_arns.clone(),
        additional_accounts: r.additional_accounts.clone(),
        started: call.now,
        outcome: found.outcome,
        forward: found.forward,
        back: found.back,
        explanations: found.explanations,
        tags,
    };
    Ok(Prepared { path, analysis })
}

pub(crate) fn start(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::StartNetworkInsightsAnalysisRequest,
    prepared: &Prepared,
) -> Answer<ec2::StartNetworkInsightsAnalysisResult> {
    let running = |analysis: &NetworkInsightsAnalysis| ec2::StartNetworkInsightsAnalysisResult {
        network_insights_analysis: Some(begun(call, analysis)),
    };
    let make = |tx: &mut Transaction| {
        let analysis = prepared.analysis.clone();
        // It may have gone meanwhile.
        find::<NetworkInsightsPath>(tx, &call.scope, prepared.path.id.as_str())?;
        let made = (vec![analysis.id.to_string()], running(&analysis));
        tx.put(&call.scope, analysis);
        Ok(made)
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let id = made.first().map(String::as_str).unwrap_or_default();
        let analysis = tx.find::<NetworkInsightsAnalysis>(&call.scope, id);
        Ok(analysis.map(|analysis| running(analysis)))
    };
    let token = &r.client_token;
    idempotency::once(call, tx, "StartNetworkInsightsAnalysis", token, r, make, again)
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkInsightsAnalysisRequest,
) -> Answer<ec2::DeleteNetworkInsightsAnalysisResult> {
    let id = text(&r.network_insights_analysis_id, "NetworkInsightsAnalysisId")?;
    find::<NetworkInsightsAnalysis>(tx, &call.scope, id)?;
    tx.remove::<NetworkInsightsAnalysis>(&call.scope, id);
    let network_insights_analysis_id = Some(id.to_owned());
    Ok(ec2::DeleteNetworkInsightsAnalysisResult { network_insights_analysis_id })
}

/// As the call that starts it shows it.
fn begun(call: &Call, analysis: &NetworkInsightsAnalysis) -> ec2::NetworkInsightsAnalysis {
    ec2::NetworkInsightsAnalysis {
        network_insights_analysis_id: Some(analysis.id.to_string()),
        network_insights_analysis_arn: Some(call.arn("network-insights-analysis", &analysis.id)),
        network_insights_path_id: Some(analysis.path_id.to_string()),
        additional_accounts: analysis.additional_accounts.clone(),
        filter_in_arns: analysis.filter_in_arns.clone(),
        filter_out_arns: analysis.filter_out_arns.clone(),
        start_date: Some(analysis.started),
        status: Some("running".to_owned()),
        tags: tags::shown(&analysis.tags),
        ..ec2::NetworkInsightsAnalysis::default()
    }
}

fn shown(call: &Call, analysis: &NetworkInsightsAnalysis) -> ec2::NetworkInsightsAnalysis {
    let (status, status_message) = shape::status(&analysis.outcome);
    let network_path_found = match analysis.outcome {
        AnalysisOutcome::Found => Some(true),
        AnalysisOutcome::NotFound => Some(false),
        AnalysisOutcome::Unknown(_) => None,
    };
    ec2::NetworkInsightsAnalysis {
        status: Some(status),
        status_message,
        network_path_found,
        forward_path_components: shape::path(&analysis.forward),
        return_path_components: shape::path(&analysis.back),
        explanations: analysis.explanations.iter().map(shape::explanation).collect(),
        ..begun(call, analysis)
    }
}

const VIEW: View<NetworkInsightsAnalysis, ec2::NetworkInsightsAnalysis> =
    View { fields: FILTERS, index: &[], tags: Some(|it| &it.tags) };

const FILTERS: &Fields<ec2::NetworkInsightsAnalysis> =
    &[("path-found", |it| flag(it.network_path_found)), ("status", |it| some(&it.status))];

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInsightsAnalysesRequest,
) -> Answer<ec2::DescribeNetworkInsightsAnalysesResult> {
    let path = match given(&r.network_insights_path_id) {
        Some(id) => Some(find::<NetworkInsightsPath>(records, &call.scope, id)?),
        None => None,
    };
    let mut found =
        listed::<NetworkInsightsAnalysis>(records, &call.scope, &r.network_insights_analysis_ids)?;
    if let Some(path) = path {
        found.retain(|it| it.path_id == path.id);
    }
    found.retain(|it| r.analysis_start_time.is_none_or(|begin| it.started >= begin));
    found.retain(|it| r.analysis_end_time.is_none_or(|end| it.started <= end));
    let query =
        Query { filters: &r.filters, max_results: r.max_results, next_token: &r.next_token };
    let (network_insights_analyses, next_token) =
        query.page(&found, &VIEW, |it| shown(call, it))?;
    Ok(ec2::DescribeNetworkInsightsAnalysesResult { network_insights_analyses, next_token })
}
