//! CloudWatch Logs' operations.

use gureum_api::{ApiRequest, logs::op};

use super::{Parameters, Work, operations, read_input};
use crate::{
    call::Answer,
    resource::{
        live_tail, log_event as event, log_group as group, log_query as query,
        log_resource_policy as policy, log_stream as stream, metric_filter,
    },
};

operations! { logs
    AssociateKmsKey: write group::associate_key, obeyed [
        "logGroupName", "resourceIdentifier",
    ], recorded ["kmsKeyId"];
    CreateLogGroup: write group::create, obeyed [
        "deletionProtectionEnabled", "logGroupName", "tags",
    ], recorded ["kmsKeyId", "logGroupClass"];
    CreateLogStream: write stream::create, obeyed ["logGroupName", "logStreamName"];
    DeleteLogGroup: write group::delete, obeyed ["logGroupName"];
    DeleteLogStream: write stream::delete, obeyed ["logGroupName", "logStreamName"];
    DeleteMetricFilter: write metric_filter::delete, obeyed ["filterName", "logGroupName"];
    DeleteResourcePolicy: write policy::delete, obeyed ["policyName"];
    DeleteRetentionPolicy: write group::delete_retention, obeyed ["logGroupName"];
    DescribeLogGroups: disk group::describe, obeyed [
        "limit", "logGroupClass", "logGroupIdentifiers", "logGroupNamePattern",
        "logGroupNamePrefix", "nextToken",
    ];
    DescribeLogStreams: disk stream::describe, obeyed [
        "descending", "limit", "logGroupIdentifier", "logGroupName", "logStreamNamePrefix",
        "nextToken", "orderBy",
    ];
    DescribeMetricFilters: read metric_filter::describe, obeyed [
        "filterNamePrefix", "limit", "logGroupName", "metricName", "metricNamespace", "nextToken",
    ];
    DescribeQueries: read query::describe, obeyed [
        "logGroupName", "maxResults", "nextToken", "status",
    ];
    DescribeResourcePolicies: read policy::describe, obeyed ["limit", "nextToken"];
    DisassociateKmsKey: write group::disassociate_key, obeyed [
        "logGroupName", "resourceIdentifier",
    ];
    FilterLogEvents: disk event::filter, obeyed [
        "endTime", "filterPattern", "interleaved", "limit", "logGroupIdentifier", "logGroupName",
        "logStreamNamePrefix", "logStreamNames", "nextToken", "startTime",
    ];
    GetLogEvents: disk event::get, obeyed [
        "endTime", "limit", "logGroupIdentifier", "logGroupName", "logStreamName", "nextToken",
        "startFromHead", "startTime",
    ];
    GetLogRecord: disk event::record, obeyed ["logRecordPointer"];
    GetQueryResults: read query::results, obeyed ["queryId"];
    ListLogGroups: read group::list, obeyed [
        "limit", "logGroupClass", "logGroupNamePattern", "nextToken",
    ];
    ListTagsForResource: read group::tags_of_resource, obeyed ["resourceArn"];
    ListTagsLogGroup: read group::tags, obeyed ["logGroupName"];
    PutLogEvents: disk event::put, obeyed [
        "logEvents", "logGroupName", "logStreamName", "sequenceToken",
    ];
    PutLogGroupDeletionProtection: write group::protect, obeyed [
        "deletionProtectionEnabled", "logGroupIdentifier",
    ];
    PutMetricFilter: write metric_filter::put, obeyed [
        "filterName", "filterPattern", "logGroupName",
    ], recorded ["applyOnTransformedLogs", "metricTransformations"];
    PutResourcePolicy: write policy::put, obeyed ["policyName"], recorded ["policyDocument"];
    PutRetentionPolicy: write group::put_retention, obeyed ["logGroupName", "retentionInDays"];
    StartLiveTail: custom start_live_tail, obeyed [
        "logEventFilterPattern", "logGroupIdentifiers", "logStreamNamePrefixes", "logStreamNames",
    ];
    StartQuery: disk query::start, obeyed [
        "endTime", "limit", "logGroupIdentifiers", "logGroupName", "logGroupNames",
        "queryLanguage", "queryString", "startTime",
    ];
    StopQuery: read query::stop, obeyed ["queryId"];
    TagLogGroup: write group::tag, obeyed ["logGroupName", "tags"];
    TagResource: write group::tag_resource, obeyed ["resourceArn", "tags"];
    TestMetricFilter: read metric_filter::test, obeyed ["filterPattern", "logEventMessages"];
    UntagLogGroup: write group::untag, obeyed ["logGroupName", "tags"];
    UntagResource: write group::untag_resource, obeyed ["resourceArn", "tagKeys"];
}

fn start_live_tail(r: &ApiRequest, id: &str, parameters: Parameters) -> Answer<Work> {
    let input = read_input::<op::StartLiveTail>(r, parameters)?;
    let id = id.to_owned();
    Ok(Work::Tail(Box::new(move |call, records| live_tail::start(call, records, &input, &id))))
}
