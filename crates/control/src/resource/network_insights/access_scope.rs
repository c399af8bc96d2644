//! Network Access Scopes, their analyses and findings (NAA-1).

use std::sync::Arc;

use gureum_api::{ApiError, ec2};
use gureum_store::{Snapshot, Transaction};
use gureum_types::{
    NetworkInsightsAccessScopeAnalysisId, NetworkInsightsAccessScopeId,
    record::{
        AccessScopePath, AnalysisOutcome, NetworkInsightsAccessScope,
        NetworkInsightsAccessScopeAnalysis, PacketHeaderStatement, PathStatement,
        ResourceStatement,
    },
};

use super::shape;
use crate::{
    call::{Answer, Call, find, given, listed, required, text},
    filter,
    insights::{World, analyze_access, check_statement},
    page::{page, page_behind},
    resource::idempotency,
    tags,
};

/// How many findings an answer has that is not told.
const PAGE: i32 = 1000;

/// A scope with what was found.
pub(crate) struct Prepared {
    scope: Arc<NetworkInsightsAccessScope>,
    analysis: NetworkInsightsAccessScopeAnalysis,
}

fn resource(r: &ec2::ResourceStatementRequest) -> ResourceStatement {
    ResourceStatement { resources: r.resources.clone(), types: r.resource_types.clone() }
}

fn statement(r: &Option<ec2::PathStatementRequest>) -> Answer<Option<PathStatement>> {
    let Some(r) = r else { return Ok(None) };
    let statement = PathStatement {
        packet: r.packet_header_statement.as_ref().map(|it| PacketHeaderStatement {
            source_addresses: it.source_addresses.clone(),
            destination_addresses: it.destination_addresses.clone(),
            source_ports: it.source_ports.clone(),
            destination_ports: it.destination_ports.clone(),
            source_prefix_lists: it.source_prefix_lists.clone(),
            destination_prefix_lists: it.destination_prefix_lists.clone(),
            protocols: it.protocols.clone(),
        }),
        resource: r.resource_statement.as_ref().map(resource),
    };
    check_statement(&statement)?;
    Ok(Some(statement))
}

fn paths(all: &[ec2::AccessScopePathRequest]) -> Answer<Vec<AccessScopePath>> {
    let path = |r: &ec2::AccessScopePathRequest| {
        let mut through = Vec::new();
        for it in &r.through_resources {
            let Some(named) = it.resource_statement.as_ref().map(resource) else {
                return Err(ApiError::missing_parameter("ThroughResource.1.ResourceStatement"));
            };
            check_statement(&PathStatement { packet: None, resource: Some(named.clone()) })?;
            through.push(named);
        }
        Ok(AccessScopePath {
            source: statement(&r.source)?,
            destination: statement(&r.destination)?,
            through,
        })
    };
    all.iter().map(path).collect()
}

pub(crate) fn create(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::CreateNetworkInsightsAccessScopeRequest,
) -> Answer<ec2::CreateNetworkInsightsAccessScopeResult> {
    let answer = |scope: &NetworkInsightsAccessScope| ec2::CreateNetworkInsightsAccessScopeResult {
        network_insights_access_scope: Some(shown(call, scope)),
        network_insights_access_scope_content: Some(content(scope)),
    };
    let make = |tx: &mut Transaction| {
        if r.match_paths.is_empty() {
            return Err(ApiError::missing_parameter("MatchPaths"));
        }
        let scope = NetworkInsightsAccessScope {
            id: NetworkInsightsAccessScopeId::new(call.random()),
            match_paths: paths(&r.match_paths)?,
            exclude_paths: paths(&r.exclude_paths)?,
            created: call.now,
            tags: tags::on_creation::<NetworkInsightsAccessScope>(&r.tag_specifications)?,
        };
        let made = (vec![scope.id.to_string()], answer(&scope));
        tx.put(&call.scope, scope);
        Ok(made)
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let id = made.first().map(String::as_str).unwrap_or_default();
        let scope = tx.find::<NetworkInsightsAccessScope>(&call.scope, id);
        Ok(scope.map(|scope| answer(scope)))
    };
    let token = &r.client_token;
    idempotency::once(call, tx, "CreateNetworkInsightsAccessScope", token, r, make, again)
}

pub(crate) fn delete(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkInsightsAccessScopeRequest,
) -> Answer<ec2::DeleteNetworkInsightsAccessScopeResult> {
    let id = text(&r.network_insights_access_scope_id, "NetworkInsightsAccessScopeId")?;
    find::<NetworkInsightsAccessScope>(tx, &call.scope, id)?;
    if let Some(analysis) = tx.referrers::<NetworkInsightsAccessScopeAnalysis>(id).next() {
        return Err(ApiError::new(
            "AnalysisExistsForNetworkInsightsAccessScope",
            format!("Analysis {} exists for network insights access scope {id}.", analysis.id),
        ));
    }
    tx.remove::<NetworkInsightsAccessScope>(&call.scope, id);
    let network_insights_access_scope_id = Some(id.to_owned());
    Ok(ec2::DeleteNetworkInsightsAccessScopeResult { network_insights_access_scope_id })
}

fn shown(call: &Call, scope: &NetworkInsightsAccessScope) -> ec2::NetworkInsightsAccessScope {
    ec2::NetworkInsightsAccessScope {
        network_insights_access_scope_id: Some(scope.id.to_string()),
        network_insights_access_scope_arn: Some(
            call.arn("network-insights-access-scope", &scope.id),
        ),
        created_date: Some(scope.created),
        updated_date: Some(scope.created),
        tags: tags::shown(&scope.tags),
    }
}

fn content(scope: &NetworkInsightsAccessScope) -> ec2::NetworkInsightsAccessScopeContent {
    let resource = |it: &ResourceStatement| ec2::ResourceStatement {
        resources: it.resources.clone(),
        resource_types: it.types.clone(),
    };
    let statement = |it: &PathStatement| ec2::PathStatement {
        packet_header_statement: it.packet.as_ref().map(|it| ec2::PacketHeaderStatement {
            source_addresses: it.source_addresses.clone(),
            destination_addresses: it.destination_addresses.clone(),
            source_ports: it.source_ports.clone(),
            destination_ports: it.destination_ports.clone(),
            source_prefix_lists: it.source_prefix_lists.clone(),
            destination_prefix_lists: it.destination_prefix_lists.clone(),
            protocols: it.protocols.clone(),
        }),
        resource_statement: it.resource.as_ref().map(resource),
    };
    let path = |it: &AccessScopePath| ec2::AccessScopePath {
        source: it.source.as_ref().map(statement),
        destination: it.destination.as_ref().map(statement),
        through_resources: it
            .through
            .iter()
            .map(|it| ec2::ThroughResourcesStatement { resource_statement: Some(resource(it)) })
            .collect(),
    };
    ec2::NetworkInsightsAccessScopeContent {
        network_insights_access_scope_id: Some(scope.id.to_string()),
        match_paths: scope.match_paths.iter().map(path).collect(),
        exclude_paths: scope.exclude_paths.iter().map(path).collect(),
    }
}

pub(crate) fn describe(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInsightsAccessScopesRequest,
) -> Answer<ec2::DescribeNetworkInsightsAccessScopesResult> {
    let ids = &r.network_insights_access_scope_ids;
    let found = listed::<NetworkInsightsAccessScope>(records, &call.scope, ids)?;
    let found: Vec<_> = found.iter().map(|it| shown(call, it)).collect();
    let found = filter::select(found, &r.filters, &[], Some(|it| &it.tags))?;
    let (network_insights_access_scopes, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.network_insights_access_scope_id.as_deref()
        })?;
    Ok(ec2::DescribeNetworkInsightsAccessScopesResult {
        network_insights_access_scopes,
        next_token,
    })
}

pub(crate) fn get_content(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetNetworkInsightsAccessScopeContentRequest,
) -> Answer<ec2::GetNetworkInsightsAccessScopeContentResult> {
    let id = &r.network_insights_access_scope_id;
    let scope = required::<NetworkInsightsAccessScope>(
        records,
        &call.scope,
        id,
        "NetworkInsightsAccessScopeId",
    )?;
    let network_insights_access_scope_content = Some(content(&scope));
    Ok(ec2::GetNetworkInsightsAccessScopeContentResult { network_insights_access_scope_content })
}

/// Analyzes; what follows only keeps the answer.
pub(crate) fn prepare(
    world: &World<'_>,
    r: &ec2::StartNetworkInsightsAccessScopeAnalysisRequest,
) -> Answer<Prepared> {
    let call = world.call;
    let id = &r.network_insights_access_scope_id;
    let scope = required::<NetworkInsightsAccessScope>(
        world.records,
        &call.scope,
        id,
        "NetworkInsightsAccessScopeId",
    )?;
    let tags = tags::on_creation::<NetworkInsightsAccessScopeAnalysis>(&r.tag_specifications)?;
    let found = analyze_access(world, &scope);
    let analysis = NetworkInsightsAccessScopeAnalysis {
        id: NetworkInsightsAccessScopeAnalysisId::new(call.random()),
        scope_id: scope.id.clone(),
        started: call.now,
        ended: (call.config.clock)(),
        outcome: found.outcome,
        warning: found.warning,
        interfaces: found.interfaces,
        findings: found.findings,
        tags,
    };
    Ok(Prepared { scope, analysis })
}

pub(crate) fn start(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::StartNetworkInsightsAccessScopeAnalysisRequest,
    prepared: &Prepared,
) -> Answer<ec2::StartNetworkInsightsAccessScopeAnalysisResult> {
    let running = |analysis: &NetworkInsightsAccessScopeAnalysis| {
        ec2::StartNetworkInsightsAccessScopeAnalysisResult {
            network_insights_access_scope_analysis: Some(begun(call, analysis)),
        }
    };
    let make = |tx: &mut Transaction| {
        let analysis = prepared.analysis.clone();
        // It may have gone meanwhile.
        find::<NetworkInsightsAccessScope>(tx, &call.scope, prepared.scope.id.as_str())?;
        let made = (vec![analysis.id.to_string()], running(&analysis));
        tx.put(&call.scope, analysis);
        Ok(made)
    };
    let again = |tx: &mut Transaction, made: &[String]| {
        let id = made.first().map(String::as_str).unwrap_or_default();
        let analysis = tx.find::<NetworkInsightsAccessScopeAnalysis>(&call.scope, id);
        Ok(analysis.map(|analysis| running(analysis)))
    };
    let operation = "StartNetworkInsightsAccessScopeAnalysis";
    idempotency::once(call, tx, operation, &r.client_token, r, make, again)
}

pub(crate) fn delete_analysis(
    call: &Call,
    tx: &mut Transaction,
    r: &ec2::DeleteNetworkInsightsAccessScopeAnalysisRequest,
) -> Answer<ec2::DeleteNetworkInsightsAccessScopeAnalysisResult> {
    let parameter = "NetworkInsightsAccessScopeAnalysisId";
    let id = text(&r.network_insights_access_scope_analysis_id, parameter)?;
    find::<NetworkInsightsAccessScopeAnalysis>(tx, &call.scope, id)?;
    tx.remove::<NetworkInsightsAccessScopeAnalysis>(&call.scope, id);
    let network_insights_access_scope_analysis_id = Some(id.to_owned());
    Ok(ec2::DeleteNetworkInsightsAccessScopeAnalysisResult {
        network_insights_access_scope_analysis_id,
    })
}

/// As the call that starts it shows it.
fn begun(
    call: &Call,
    analysis: &NetworkInsightsAccessScopeAnalysis,
) -> ec2::NetworkInsightsAccessScopeAnalysis {
    let kind = "network-insights-access-scope-analysis";
    ec2::NetworkInsightsAccessScopeAnalysis {
        network_insights_access_scope_analysis_id: Some(analysis.id.to_string()),
        network_insights_access_scope_analysis_arn: Some(call.arn(kind, &analysis.id)),
        network_insights_access_scope_id: Some(analysis.scope_id.to_string()),
        status: Some("running".to_owned()),
        start_date: Some(analysis.started),
        tags: tags::shown(&analysis.tags),
        ..ec2::NetworkInsightsAccessScopeAnalysis::default()
    }
}

fn shown_analysis(
    call: &Call,
    analysis: &NetworkInsightsAccessScopeAnalysis,
) -> ec2::NetworkInsightsAccessScopeAnalysis {
    let (status, status_message) = shape::status(&analysis.outcome);
    let findings_found = match analysis.outcome {
        AnalysisOutcome::Found => "true",
        AnalysisOutcome::NotFound => "false",
        AnalysisOutcome::Unknown(_) => "unknown",
    };
    ec2::NetworkInsightsAccessScopeAnalysis {
        status: Some(status),
        status_message,
        warning_message: analysis.warning.clone(),
        end_date: Some(analysis.ended),
        findings_found: Some(findings_found.to_owned()),
        analyzed_eni_count: i32::try_from(analysis.interfaces).ok(),
        ..begun(call, analysis)
    }
}

pub(crate) fn describe_analyses(
    call: &Call,
    records: &Snapshot,
    r: &ec2::DescribeNetworkInsightsAccessScopeAnalysesRequest,
) -> Answer<ec2::DescribeNetworkInsightsAccessScopeAnalysesResult> {
    let ids = &r.network_insights_access_scope_analysis_ids;
    let mut found = listed::<NetworkInsightsAccessScopeAnalysis>(records, &call.scope, ids)?;
    if let Some(id) = given(&r.network_insights_access_scope_id) {
        let scope = find::<NetworkInsightsAccessScope>(records, &call.scope, id)?;
        found.retain(|it| it.scope_id == scope.id);
    }
    found.retain(|it| r.analysis_start_time_begin.is_none_or(|begin| it.started >= begin));
    found.retain(|it| r.analysis_start_time_end.is_none_or(|end| it.started <= end));
    let found: Vec<_> = found.iter().map(|it| shown_analysis(call, it)).collect();
    let found = filter::select(found, &r.filters, &[], Some(|it| &it.tags))?;
    let (network_insights_access_scope_analyses, next_token) =
        page(found, r.max_results, &r.next_token, |it| {
            it.network_insights_access_scope_analysis_id.as_deref()
        })?;
    Ok(ec2::DescribeNetworkInsightsAccessScopeAnalysesResult {
        network_insights_access_scope_analyses,
        next_token,
    })
}

pub(crate) fn get_findings(
    call: &Call,
    records: &Snapshot,
    r: &ec2::GetNetworkInsightsAccessScopeAnalysisFindingsRequest,
) -> Answer<ec2::GetNetworkInsightsAccessScopeAnalysisFindingsResult> {
    let id = &r.network_insights_access_scope_analysis_id;
    let analysis = required::<NetworkInsightsAccessScopeAnalysis>(
        records,
        &call.scope,
        id,
        "NetworkInsightsAccessScopeAnalysisId",
    )?;
    let size = crate::page::size(r.max_results.unwrap_or(PAGE));
    let all: Vec<_> = analysis.findings.iter().collect();
    let (found, next_token) = page_behind(all, size, &r.next_token, |it| it.id.as_str())?;
    let shown = found.into_iter().map(|it| ec2::AccessScopeAnalysisFinding {
        network_insights_access_scope_analysis_id: Some(analysis.id.to_string()),
        network_insights_access_scope_id: Some(analysis.scope_id.to_string()),
        finding_id: Some(it.id.clone()),
        finding_components: shape::path(&it.components),
    });
    Ok(ec2::GetNetworkInsightsAccessScopeAnalysisFindingsResult {
        network_insights_access_scope_analysis_id: Some(analysis.id.to_string()),
        analysis_status: Some(shape::status(&analysis.outcome).0),
        analysis_findings: shown.collect(),
        next_token,
    })
}
