//! The integration of a flow log with Amazon Athena: a CloudFormation template that makes a table of
//! the files in the bucket, adds its partitions, and has queries to begin with.
//!
//! The texts lie beside this file. What is put into them is quoted as JSON, which YAML reads.

use gureum_types::{
    Timestamp,
    record::{FlowLog, FlowLogDestination, Scope},
};
use serde_json::json;

use super::{
    field::{Field, fields_of},
    file::{bucket_and_prefix, column_kind, region_folder},
};

const HEAD: &str = include_str!("integration/head.yml");
const ATHENA: &str = include_str!("integration/athena.yml");
const SCHEDULE: &str = include_str!("integration/schedule.yml");
const QUERY: &str = include_str!("integration/query.yml");
const LOADER: &str = include_str!("integration/loader.py");

/// How often partitions are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequency {
    None,
    Daily,
    Weekly,
    Monthly,
}

impl Frequency {
    /// As requests name it, which are refused where they name another.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "daily" => Self::Daily,
            "weekly" => Self::Weekly,
            "monthly" => Self::Monthly,
            _ => Self::None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// How many days of partitions are added at a time, and when.
    const fn schedule(self) -> (u8, Option<&'static str>) {
        match self {
            Self::None => (0, None),
            Self::Daily => (1, Some("rate(1 day)")),
            Self::Weekly => (7, Some("rate(7 days)")),
            Self::Monthly => (31, Some("cron(0 0 1 * ? *)")),
        }
    }
}

/// One integration that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Integration<'a> {
    /// The ARN of the place for results of queries.
    pub(crate) results: &'a str,
    pub(crate) frequency: Frequency,
    /// From when until when there are partitions at first.
    pub(crate) start: Option<Timestamp>,
    pub(crate) end: Option<Timestamp>,
}

/// Where a template is stored: AWS's name for it, with the time in it.
pub(crate) fn key(log: &FlowLog, destination: &str, now: Timestamp) -> String {
    let (_, prefix) = bucket_and_prefix(destination);
    let prefix = prefix.trim_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    let time = printed(now, "%a %b %d %H:%M:%S UTC %Y");
    format!("{prefix}{slash}VPCFlowLogsIntegrationTemplate_{}_{time}.yml", log.id)
}

/// The template. `None` where the flow log has no bucket.
pub(crate) fn template(
    scope: &Scope,
    log: &FlowLog,
    integrations: &[Integration<'_>],
) -> Option<String> {
    let FlowLogDestination::Bucket { arn, parquet, hive_compatible_partitions, per_hour_partition } =
        &log.destination
    else {
        return None;
    };
    let id = log.id.to_string().replace('-', "");
    let database = format!("vpcflowlogs_{id}");
    let head = [("flow log", log.id.to_string()), ("database", database.clone())];
    let mut text = fill(HEAD, &head);
    let fields = fields_of(&log.format);
    let (bucket, _) = bucket_and_prefix(arn);
    let location =
        format!("s3://{bucket}/{}", region_folder(scope, arn, *hive_compatible_partitions));
    let partitions: &[_] = match per_hour_partition {
        true => &[("year", "%Y"), ("month", "%m"), ("day", "%d"), ("hour", "%H")],
        false => &[("year", "%Y"), ("month", "%m"), ("day", "%d")],
    };
    let folder = |(name, form): &(&str, &str)| match hive_compatible_partitions {
        true => format!("{name}={form}/"),
        false => format!("{form}/"),
    };
    let form = if *parquet { &PARQUET } else { &TEXT };
    for (integration, n) in integrations.iter().zip(1..) {
        let (days, schedule) = integration.frequency.schedule();
        let table = format!("{id}_{}_{n}", integration.frequency.name());
        let time = |it: Option<Timestamp>| {
            it.map(|it| printed(it, "%Y-%m-%dT%H:%M:%S")).unwrap_or_default()
        };
        let (results, prefix) = bucket_and_prefix(integration.results);
        let values = [
            ("n", n.to_string()),
            ("table", table.clone()),
            ("table parameters", form.table.to_owned()),
            ("partition keys", columns(partitions.iter().map(|(name, _)| (*name, "string")))),
            ("location", quoted(&location)),
            ("input format", form.input.to_owned()),
            ("output format", form.output.to_owned()),
            ("library", form.library.to_owned()),
            ("library parameters", form.parameters.to_owned()),
            (
                "columns",
                columns(fields.iter().map(|field| (field.name(), column_kind(field.name())))),
            ),
            ("results", quoted(&format!("s3://{results}/{prefix}"))),
            ("partitions", partitions.iter().map(|it| it.0).collect::<Vec<_>>().join(" ")),
            ("folders", partitions.iter().map(folder).collect()),
            ("days", days.to_string()),
            ("loader", indented(LOADER)),
            ("start", time(integration.start)),
            ("end", time(integration.end)),
            ("schedule", schedule.unwrap_or_default().to_owned()),
        ];
        text.push_str(&fill(ATHENA, &values));
        if schedule.is_some() {
            text.push_str(&fill(SCHEDULE, &values));
        }
        for query in QUERIES.iter().filter(|it| it.fields.iter().all(|it| fields.contains(it))) {
            let source = [("source", format!("\"{database}\".\"{table}\""))];
            let values = [
                ("n", n.to_string()),
                ("name", query.name.to_owned()),
                ("description", query.description.to_owned()),
                ("query", fill(query.text, &source)),
            ];
            text.push_str(&fill(QUERY, &values));
        }
    }
    Some(text)
}

/// What Hive must know of a kind of file.
struct Form {
    table: &'static str,
    input: &'static str,
    output: &'static str,
    library: &'static str,
    parameters: &'static str,
}

const TEXT: Form = Form {
    table: r#"{EXTERNAL: "TRUE", "skip.header.line.count": "1"}"#,
    input: "org.apache.hadoop.mapred.TextInputFormat",
    output: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    library: "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    parameters: r#"{"field.delim": " ", "serialization.format": " "}"#,
};

const PARQUET: Form = Form {
    table: r#"{EXTERNAL: "TRUE", classification: parquet}"#,
    input: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    output: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    library: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    parameters: r#"{"serialization.format": "1"}"#,
};

/// A query to begin with, for flow logs that have its fields. Names are AWS's.
struct Query {
    name: &'static str,
    description: &'static str,
    fields: &'static [Field],
    text: &'static str,
}

const QUERIES: &[Query] = &[
    Query {
        name: "VpcFlowLogsAcceptedTraffic",
        description: "Connections that were let through",
        fields: &[Field::SrcAddr, Field::DstAddr, Field::DstPort, Field::Protocol, Field::Action],
        text: "SELECT srcaddr, dstaddr, dstport, protocol, count(*) AS records FROM <<source>> \
               WHERE action = 'ACCEPT' GROUP BY srcaddr, dstaddr, dstport, protocol \
               ORDER BY records DESC LIMIT 100",
    },
    Query {
        name: "VpcFlowLogsRejectedTraffic",
        description: "Connections that were not let through",
        fields: &[Field::SrcAddr, Field::DstAddr, Field::DstPort, Field::Protocol, Field::Action],
        text: "SELECT srcaddr, dstaddr, dstport, protocol, count(*) AS records FROM <<source>> \
               WHERE action = 'REJECT' GROUP BY srcaddr, dstaddr, dstport, protocol \
               ORDER BY records DESC LIMIT 100",
    },
    Query {
        name: "VpcFlowLogsSshRdpTraffic",
        description: "SSH and RDP",
        fields: &[Field::SrcAddr, Field::DstAddr, Field::DstPort, Field::Protocol, Field::Action],
        text: "SELECT srcaddr, dstaddr, dstport, action, count(*) AS records FROM <<source>> \
               WHERE protocol = 6 AND dstport IN (22, 3389) \
               GROUP BY srcaddr, dstaddr, dstport, action ORDER BY records DESC LIMIT 100",
    },
    Query {
        name: "VpcFlowLogsTopTalkers",
        description: "The pairs of addresses that exchanged most",
        fields: &[Field::SrcAddr, Field::DstAddr, Field::Bytes],
        text: "SELECT srcaddr, dstaddr, sum(bytes) AS total FROM <<source>> \
               GROUP BY srcaddr, dstaddr ORDER BY total DESC LIMIT 50",
    },
    Query {
        name: "VpcFlowLogsTopTalkersPacketLevel",
        description: "The pairs of original addresses that exchanged most",
        fields: &[Field::PktSrcAddr, Field::PktDstAddr, Field::Bytes],
        text: "SELECT pkt_srcaddr, pkt_dstaddr, sum(bytes) AS total FROM <<source>> \
               GROUP BY pkt_srcaddr, pkt_dstaddr ORDER BY total DESC LIMIT 50",
    },
    Query {
        name: "VpcFlowLogsTopTalkingInstances",
        description: "The instances that exchanged most",
        fields: &[Field::InstanceId, Field::Bytes],
        text: "SELECT instance_id, sum(bytes) AS total FROM <<source>> \
               WHERE instance_id <> '-' GROUP BY instance_id ORDER BY total DESC LIMIT 50",
    },
    Query {
        name: "VpcFlowLogsTopTalkingSubnets",
        description: "The subnets that exchanged most",
        fields: &[Field::SubnetId, Field::Bytes],
        text: "SELECT subnet_id, sum(bytes) AS total FROM <<source>> \
               WHERE subnet_id <> '-' GROUP BY subnet_id ORDER BY total DESC LIMIT 50",
    },
    Query {
        name: "VpcFlowLogsTotalBytesTransferred",
        description: "Bytes a day",
        fields: &[Field::Bytes],
        text: "SELECT year, month, day, sum(bytes) AS total FROM <<source>> \
               GROUP BY year, month, day ORDER BY year, month, day",
    },
];

/// A list of columns of a table, as a field is called with `_` for `-`.
fn columns<'a>(columns: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let line = |(name, kind): (&str, &str)| {
        format!("            - {{Name: {}, Type: {kind}}}", name.replace('-', "_"))
    };
    columns.map(line).collect::<Vec<_>>().join("\n")
}

/// A program as a block of YAML has it.
fn indented(text: &str) -> String {
    let line = |line: &str| match line {
        "" => String::new(),
        line => format!("          {line}"),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn printed(time: Timestamp, form: &str) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    time.strftime(form).to_string()
}

/// The text with values for what stands between `<<` and `>>`; they are not looked into.
fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut parts = text.split("<<");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(">>").unwrap_or((part, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        debug_assert!(value.is_some(), "{name} has no value");
        filled.push_str(value.map(|(_, value)| value.as_str()).unwrap_or_default());
        filled.push_str(rest);
    }
    filled
}

#[cfg(test)]
mod tests {
    use gureum_types::{
        FlowLogId, Tags,
        record::{FlowLogDelivery, TrafficType},
    };

    use super::*;
    use crate::{flow_log::default_format, resource::place::fixture::Cloud};

    fn log(destination: FlowLogDestination) -> FlowLog {
        FlowLog {
            id: FlowLogId::new(1),
            resource_id: "vpc-1".to_owned(),
            traffic_type: TrafficType::All,
            destination,
            role: None,
            cross_account_role: None,
            format: default_format(),
            interval_seconds: 600,
            delivery: FlowLogDelivery::Success,
            dropped: None,
            created: Timestamp(0),
            tags: Tags::new(),
        }
    }

    fn bucket(arn: &str) -> FlowLogDestination {
        FlowLogDestination::Bucket {
            arn: arn.to_owned(),
            parquet: false,
            hive_compatible_partitions: false,
            per_hour_partition: false,
        }
    }

    fn integration(results: &str) -> Integration<'_> {
        Integration { results, frequency: Frequency::Daily, start: None, end: None }
    }

    #[test]
    fn what_people_name_stays_what_it_is() {
        let scope = &Cloud::new().call.scope;
        let log = log(bucket("arn:aws:s3:::box/a\"\n<<n>>"));
        let text = template(scope, &log, &[integration("arn:aws:s3:::out/<<loader>> #")]);
        let text = text.expect("a bucket");
        let location = format!("Location: \"s3://box/a\\\"\\n<<n>>/AWSLogs/{}/", scope.account);
        assert!(text.contains(&location), "{text}");
        assert!(text.contains("OutputLocation: \"s3://out/<<loader>> #\"\n"), "{text}");
    }

    #[test]
    fn each_integration_has_resources_of_its_own_and_a_log_group_has_none() {
        let scope = &Cloud::new().call.scope;
        let in_bucket = log(bucket("arn:aws:s3:::box"));
        let both = [integration("arn:aws:s3:::out"), integration("arn:aws:s3:::out")];
        let text = template(scope, &in_bucket, &both).expect("a bucket");
        let resource = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
        let mut names: Vec<_> = text.lines().filter(resource).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
        let in_group = log(FlowLogDestination::LogGroup("group".to_owned()));
        assert_eq!(template(scope, &in_group, &both), None);
    }

    /// As the AWS CLI's documentation shows it.
    #[test]
    fn a_template_is_called_as_aws_calls_it() {
        let log = log(bucket("arn:aws:s3:::box"));
        let now = "2021-07-21T00:57:56Z".parse().expect("a time");
        let name =
            format!("VPCFlowLogsIntegrationTemplate_{}_Wed Jul 21 00:57:56 UTC 2021.yml", log.id);
        assert_eq!(key(&log, "arn:aws:s3:::box", now), name);
        assert_eq!(key(&log, "arn:aws:s3:::box/", now), name);
        assert_eq!(key(&log, "arn:aws:s3:::box/some/where/", now), format!("some/where/{name}"));
    }
}
