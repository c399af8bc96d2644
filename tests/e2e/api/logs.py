"""CloudWatch Logs: groups, streams, events in and out, patterns, Insights queries."""

import time

from harness import case, client, refused, same, shows

ACCOUNT = "640000000001"
ARN = f"arn:aws:logs:ap-northeast-2:{ACCOUNT}:log-group:"


def now():
    """Milliseconds since the Unix epoch."""
    return int(time.time() * 1000)


def logs():
    return client("logs", ACCOUNT)


def group(name, *streams, **more):
    """A new group with streams."""
    logs().create_log_group(logGroupName=name, **more)
    for stream in streams:
        logs().create_log_stream(logGroupName=name, logStreamName=stream)
    return name


def put(name, stream, *events):
    """Puts (timestamp, message) pairs."""
    events = [{"timestamp": at, "message": message} for at, message in events]
    return logs().put_log_events(logGroupName=name, logStreamName=stream, logEvents=events)


def record(source, action, packets=4, size=336):
    """A flow log record in the default format (FL-20)."""
    return (
        f"2 {ACCOUNT} eni-0a {source} 10.1.1.5 0 0 1 {packets} {size} 1700000000 1700000059 "
        f"{action} OK"
    )


def messages(answer):
    return [event["message"] for event in answer["events"]]


@case("logs: a group is shown as AWS shows it, its class too")
def groups():
    group("plain")
    group("rare", logGroupClass="INFREQUENT_ACCESS", tags={"Name": "x"}, kmsKeyId="arn:aws:kms:::k")
    found = logs().describe_log_groups(logGroupNamePrefix="plain")["logGroups"]
    shows(
        found,
        [
            {
                "logGroupName": "plain",
                "creationTime": int,
                "metricFilterCount": 0,
                "arn": ARN + "plain:*",
                "logGroupArn": ARN + "plain",
                "storedBytes": 0,
                "logGroupClass": "STANDARD",
                "retentionInDays": None,
            }
        ],
    )
    found = logs().describe_log_groups(logGroupNamePattern="RAR")["logGroups"]
    shows(found, [{"logGroupClass": "INFREQUENT_ACCESS", "kmsKeyId": "arn:aws:kms:::k"}])
    same(logs().list_tags_for_resource(resourceArn=ARN + "rare")["tags"], {"Name": "x"})
    names = [it["logGroupName"] for it in logs().list_log_groups(logGroupNamePattern="^pl")["logGroups"]]
    same(names, ["plain"])


@case("logs: groups come in pages")
def pages():
    for number in range(7):
        group(f"pages/{number}")
    pages = logs().get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="pages/", PaginationConfig={"PageSize": 3}
    )
    names = [it["logGroupName"] for page in pages for it in page["logGroups"]]
    same(names, [f"pages/{number}" for number in range(7)])


@case("logs: retention and tags are changed and taken away")
def retention():
    name = group("kept", tags={"a": "1"})
    logs().put_retention_policy(logGroupName=name, retentionInDays=7)
    shows(logs().describe_log_groups(logGroupNamePrefix=name)["logGroups"], [{"retentionInDays": 7}])
    logs().delete_retention_policy(logGroupName=name)
    shows(
        logs().describe_log_groups(logGroupNamePrefix=name)["logGroups"],
        [{"retentionInDays": None}],
    )
    logs().tag_resource(resourceArn=ARN + name, tags={"b": "2"})
    logs().untag_resource(resourceArn=ARN + name, tagKeys=["a"])
    same(logs().list_tags_for_resource(resourceArn=ARN + name)["tags"], {"b": "2"})
    logs().tag_log_group(logGroupName=name, tags={"c": "3"})
    same(logs().list_tags_log_group(logGroupName=name)["tags"], {"b": "2", "c": "3"})
    refused(
        lambda: logs().put_retention_policy(logGroupName=name, retentionInDays=2),
        "InvalidParameterException",
    )


@case("logs: mistakes about groups and streams have AWS's codes")
def mistakes():
    name = group("mistakes", "s")
    refused(
        lambda: logs().create_log_group(logGroupName=name),
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
    )
    refused(
        lambda: logs().create_log_stream(logGroupName=name, logStreamName="s"),
        "ResourceAlreadyExistsException",
        "The specified log stream already exists",
    )
    refused(lambda: logs().create_log_group(logGroupName="a b"), "InvalidParameterException")
    refused(
        lambda: logs().delete_log_group(logGroupName="nothing"),
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    refused(
        lambda: logs().get_log_events(logGroupName=name, logStreamName="t"),
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
    refused(lambda: put("nothing", "s", (now(), "x")), "ResourceNotFoundException")
    refused(
        lambda: logs().filter_log_events(logGroupName=name, filterPattern="{ $.a"),
        "InvalidParameterException",
    )
    refused(
        lambda: logs().filter_log_events(logGroupName=name, nextToken="x"),
        "InvalidParameterException",
        "The specified nextToken is invalid.",
    )
    protected = group("protected", deletionProtectionEnabled=True)
    refused(lambda: logs().delete_log_group(logGroupName=protected), "ValidationException")
    logs().put_log_group_deletion_protection(
        logGroupIdentifier=protected, deletionProtectionEnabled=False
    )
    logs().delete_log_group(logGroupName=protected)


@case("logs: a batch is in order, not too large, not too old and not too new")
def batches():
    name, at = group("batches", "s"), now()
    refused(
        lambda: put(name, "s", (at, "b"), (at - 1, "a")),
        "InvalidParameterException",
        "Log events in a single PutLogEvents request must be in chronological order.",
    )
    refused(
        lambda: put(name, "s", (at - 86_400_001, "a"), (at, "b")), "InvalidParameterException"
    )
    refused(
        lambda: put(name, "s", *[(at, "x" * 1000)] * 1023),
        "InvalidParameterException",
        "Upload too large: 1049598 bytes exceeds limit of 1048576",
    )
    day = 86_400_000
    answer = put(name, "s", (at - 15 * day, "too old"))
    same(answer["rejectedLogEventsInfo"], {"tooOldLogEventEndIndex": 1})
    answer = put(name, "s", (at, "fine"), (at + 3 * 3_600_000, "too new"))
    same(answer["rejectedLogEventsInfo"], {"tooNewLogEventStartIndex": 1})
    same(len(answer["nextSequenceToken"]), 56)
    logs().put_retention_policy(logGroupName=name, retentionInDays=1)
    answer = put(name, "s", (at - 2 * day, "expired"))
    same(answer["rejectedLogEventsInfo"], {"expiredLogEventEndIndex": 1})
    same(messages(logs().filter_log_events(logGroupName=name)), ["fine"])


@case("logs: streams tell their first and last event, and come in the order of these")
def streams():
    name, at = group("streams", "b", "a", "c"), now()
    put(name, "a", (at - 5000, "1"), (at - 4000, "2"))
    put(name, "b", (at - 3000, "3"))
    found = logs().describe_log_streams(logGroupName=name)["logStreams"]
    same([it["logStreamName"] for it in found], ["a", "b", "c"])
    shows(
        found[0],
        {
            "firstEventTimestamp": at - 5000,
            "lastEventTimestamp": at - 4000,
            "lastIngestionTime": int,
            "arn": ARN + "streams:log-stream:a",
        },
    )
    shows(found[2], {"firstEventTimestamp": None})
    pages = logs().get_paginator("describe_log_streams").paginate(
        logGroupName=name,
        orderBy="LastEventTime",
        descending=True,
        PaginationConfig={"PageSize": 1},
    )
    names = [it["logStreamName"] for page in pages for it in page["logStreams"]]
    same(names, ["b", "a", "c"])
    logs().delete_log_stream(logGroupName=name, logStreamName="a")
    same(messages(logs().filter_log_events(logGroupName=name)), ["3"])


@case("logs: a stream is read from both ends, and a token at an end stays")
def both_ways():
    name, at = group("ways", "s"), now() - 60_000
    put(name, "s", *[(at + number, f"{number}") for number in range(10)])
    read = {"logGroupName": name, "logStreamName": "s", "limit": 4}
    last = logs().get_log_events(**read)
    same(messages(last), ["6", "7", "8", "9"])
    middle = logs().get_log_events(**read, nextToken=last["nextBackwardToken"])
    same(messages(middle), ["2", "3", "4", "5"])
    end = logs().get_log_events(**read, nextToken=last["nextForwardToken"])
    same((messages(end), end["nextForwardToken"]), ([], last["nextForwardToken"]))
    put(name, "s", (at + 20, "later"))
    more = logs().get_log_events(**read, nextToken=end["nextForwardToken"])
    same(messages(more), ["later"])
    first = logs().get_log_events(**read, startFromHead=True)
    same(messages(first), ["0", "1", "2", "3"])
    part = logs().get_log_events(**read, startFromHead=True, startTime=at + 2, endTime=at + 4)
    same(messages(part), ["2", "3"])


@case("logs: events of a group are filtered by time, stream and pattern, in pages")
def filtering():
    name, at = group("filtered", "eni-1-all", "eni-2-all", "app"), now() - 600_000
    put(name, "eni-1-all", (at, record("10.1.2.7", "REJECT")), (at + 2, record("10.1.2.8", "ACCEPT")))
    put(name, "eni-2-all", (at + 1, record("10.1.3.9", "REJECT", 9, 756)))
    put(name, "app", (at + 3, '{"level": "error", "took": 12}'), (at + 4, "ERROR: no"))
    find = {"logGroupName": name}
    rejected = "[version, account, eni, source, destination, srcport, destport, protocol, packets, bytes, start, end, action=\"REJECT\", status]"
    found = logs().filter_log_events(**find, filterPattern=rejected)
    same([it["logStreamName"] for it in found["events"]], ["eni-1-all", "eni-2-all"])
    shows(
        found["events"][0],
        {"timestamp": at, "ingestionTime": int, "eventId": str, "message": record("10.1.2.7", "REJECT")},
    )
    same(found["searchedLogStreams"], [])

    def count(pattern, **more):
        return len(logs().filter_log_events(**find, filterPattern=pattern, **more)["events"])

    same(count("REJECT"), 2)
    same(count("REJECT -\"10.1.3.9\""), 1)
    same(count("?REJECT ?ERROR"), 3)
    same(count("[..., packets > 5, bytes, start, end, action, status]"), 1)
    same(count("[version, account, eni, source = 10.1.2.*, ...]"), 2)
    same(count("{ $.level = \"error\" && $.took > 10 }"), 1)
    same(count("", logStreamNamePrefix="eni-"), 3)
    same(count("", logStreamNames=["app"]), 2)
    same(count("", startTime=at + 1, endTime=at + 3), 3)
    pages = logs().get_paginator("filter_log_events").paginate(
        **find, PaginationConfig={"PageSize": 2}
    )
    same([len(page["events"]) for page in pages], [2, 2, 1])
    refused(
        lambda: count("", logStreamNames=["app"], logStreamNamePrefix="a"),
        "InvalidParameterException",
    )
    refused(lambda: count("", logStreamNames=["none"]), "ResourceNotFoundException")


@case("logs: a group that was made again has none of the old events")
def made_again():
    name = group("again", "s")
    put(name, "s", (now(), "old"))
    logs().delete_log_group(logGroupName=name)
    refused(lambda: logs().filter_log_events(logGroupName=name), "ResourceNotFoundException")
    group(name, "s")
    same(messages(logs().filter_log_events(logGroupName=name)), [])


@case("logs: metric filters are kept, and tried")
def metric_filters():
    name = group("metrics")
    made = {
        "filterName": "rejects",
        "filterPattern": "[..., action = REJECT, status]",
        "metricTransformations": [
            {"metricName": "Rejects", "metricNamespace": "VPC", "metricValue": "1", "defaultValue": 0.0}
        ],
    }
    logs().put_metric_filter(logGroupName=name, **made)
    shows(logs().describe_metric_filters(logGroupName=name)["metricFilters"], [made])
    shows(logs().describe_log_groups(logGroupNamePrefix=name)["logGroups"], [{"metricFilterCount": 1}])
    tried = logs().test_metric_filter(
        filterPattern="[ip, code = 4*]", logEventMessages=["10.0.0.1 200", "10.0.0.2 404"]
    )
    shows(
        tried["matches"],
        [{"eventNumber": 2, "extractedValues": {"$ip": "10.0.0.2", "$code": "404"}}],
    )
    logs().delete_metric_filter(logGroupName=name, filterName="rejects")
    same(logs().describe_metric_filters(logGroupName=name)["metricFilters"], [])


def answer(name, text, **more):
    """Runs a query to its end: its status and its rows as dicts."""
    at = int(time.time())
    started = logs().start_query(
        logGroupName=name, startTime=at - 3600, endTime=at + 60, queryString=text, **more
    )
    for _ in range(200):
        found = logs().get_query_results(queryId=started["queryId"])
        if found["status"] not in ("Scheduled", "Running"):
            break
        time.sleep(0.02)
    same(found["status"], "Complete", text)
    return [{it["field"]: it["value"] for it in row} for row in found["results"]]


@case("logs: Insights adds up flow log records")
def insights():
    name, at = group("insights", "eni-1-all", "eni-2-all"), now() - 600_000
    put(name, "eni-1-all", (at, record("10.1.2.7", "REJECT")), (at + 2, record("10.1.2.7", "ACCEPT", 5, 664)))
    put(name, "eni-2-all", (at + 1, record("10.1.3.9", "ACCEPT", 9, 756)))
    rows = answer(name, "stats sum(bytes) as total, count(*) by srcAddr | sort total desc")
    same(
        rows,
        [
            {"srcAddr": "10.1.2.7", "total": "1000", "count(*)": "2"},
            {"srcAddr": "10.1.3.9", "total": "756", "count(*)": "1"},
        ],
    )
    rows = answer(name, "fields @timestamp, @logStream, dstAddr | filter action = 'REJECT' | limit 20")
    shows(rows, [{"@logStream": "eni-1-all", "dstAddr": "10.1.1.5", "@ptr": str}])
    found = logs().get_log_record(logRecordPointer=rows[0]["@ptr"])["logRecord"]
    shows(found, {"@message": record("10.1.2.7", "REJECT"), "@logStream": "eni-1-all"})
    rows = answer(name, "parse @message '* * * * * *' as v, acc, eni, src, dst, rest | stats count(*) as n by src")
    same({it["src"]: it["n"] for it in rows}, {"10.1.2.7": "2", "10.1.3.9": "1"})
    refused(lambda: answer(name, "nonsense"), "MalformedQueryException")
    refused(lambda: answer("nothing", "limit 1"), "ResourceNotFoundException")
    listed = logs().describe_queries(logGroupName=name)["queries"]
    same([it["status"] for it in listed], ["Complete"] * 3)
