//! Names and contents of files.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::{
    basic::{Compression as Codec, LogicalType},
    file::{reader::FileReader as _, serialized_reader::SerializedFileReader},
};

use super::*;

const FIELDS: [&str; 6] = ["version", "interface-id", "srcport", "bytes", "start", "log-status"];

fn scope() -> Scope {
    Scope {
        account: "123456789012".parse().expect("an account"),
        region: "us-east-1".parse().expect("a region"),
    }
}

fn destination(arn: &str, parquet: bool, hive: bool, hourly: bool) -> FlowLogDestination {
    FlowLogDestination::Bucket {
        arn: arn.to_owned(),
        parquet,
        hive_compatible_partitions: hive,
        per_hour_partition: hourly,
    }
}

/// The files that records become, no larger than `limit`.
fn files(
    destination: &FlowLogDestination,
    part: Part,
    limit: usize,
    records: &[&str],
) -> Vec<Object> {
    let (scope, log) = (scope(), "fl-1234abcd1234abcd1".parse().expect("an id"));
    let start = "2018-06-20T16:20:00Z".parse().expect("a time");
    let batch = Batch { scope: &scope, log: &log, start, part };
    let mut files = Files::new(batch, destination, &FIELDS);
    files.limit = limit;
    let mut found = Vec::new();
    for record in records {
        found.extend(files.add(record).expect("written"));
    }
    found.extend(files.end().expect("written"));
    found
}

fn text(object: &Object) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(object.body.as_slice()).read_to_string(&mut text).expect("gzip");
    text
}

/// FL-14, FL-15
#[test]
fn a_file_lies_where_aws_puts_it() {
    let name = "123456789012_vpcflowlogs_us-east-1_fl-1234abcd1234abcd1_20180620T1620Z_";
    for (arn, parquet, hive, hourly, folder, ending) in [
        (
            "arn:aws:s3:::box",
            false,
            false,
            false,
            "AWSLogs/123456789012/vpcflowlogs/us-east-1/2018/06/20/",
            ".log.gz",
        ),
        (
            "arn:aws:s3:::box/my/logs/",
            false,
            false,
            true,
            "my/logs/AWSLogs/123456789012/vpcflowlogs/us-east-1/2018/06/20/16/",
            ".log.gz",
        ),
        (
            "arn:aws:s3:::box",
            true,
            true,
            false,
            "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/\
             year=2018/month=06/day=20/",
            ".log.parquet",
        ),
        (
            "arn:aws:s3:::box/logs",
            true,
            true,
            true,
            "logs/AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/\
             aws-region=us-east-1/year=2018/month=06/day=20/hour=16/",
            ".log.parquet",
        ),
    ] {
        let destination = destination(arn, parquet, hive, hourly);
        let found = files(&destination, Part::Short, LIMIT, &["2 eni-1 1 2 3 OK"]);
        let [object] = found.as_slice() else { panic!("one file, not {}", found.len()) };
        let hash = object.key.strip_prefix(&format!("{folder}{name}"));
        let hash = hash.and_then(|it| it.strip_suffix(ending));
        let is_hash = |it: &str| it.len() == 8 && it.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(hash.is_some_and(is_hash), "{}", object.key);
    }
}

/// FL-14
#[test]
fn lines_stand_under_the_names_of_their_fields() {
    let destination = destination("arn:aws:s3:::box", false, false, false);
    let records = ["5 eni-1 443 1500 1700000000 OK", "5 eni-2 - - 1700000000 NODATA"];
    let found = files(&destination, Part::Short, LIMIT, &records);
    assert_eq!(
        found.iter().map(text).collect::<Vec<_>>(),
        ["version interface-id srcport bytes start log-status\n\
          5 eni-1 443 1500 1700000000 OK\n5 eni-2 - - 1700000000 NODATA\n"]
    );
    assert_eq!(files(&destination, Part::Short, LIMIT, &[]), []);
}

/// FL-14: what is more than a file holds is in another, and no record is in neither.
#[test]
fn a_file_that_is_full_is_followed_by_another() {
    let header = FIELDS.join(" ").len() + 1;
    let records: Vec<_> = (10..20).map(|n| format!("5 eni-{n} 443 1500 17000000{n} OK")).collect();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    let line = records[0].len() + 1;
    let names = |found: &[Object]| found.iter().map(|it| it.key.clone()).collect::<Vec<_>>();
    for (limit, expected) in
        [(header + 10 * line, 1), (header + 10 * line - 1, 2), (header + 3 * line, 4), (1, 10)]
    {
        let destination = destination("arn:aws:s3:::box", false, false, false);
        let found = files(&destination, Part::Short, limit, &records);
        assert_eq!(found.len(), expected, "{limit}");
        let texts: Vec<_> = found.iter().map(text).collect();
        assert!(texts.iter().all(|it| it.starts_with("version ")));
        assert!(expected == 10 || texts.iter().all(|it| it.len() <= limit));
        let lines: Vec<_> = texts.iter().flat_map(|it| it.lines().skip(1)).collect();
        assert_eq!(lines, records);
        // Done again they replace each other, and nobody else.
        let mut all = names(&found);
        assert_eq!(all, names(&files(&destination, Part::Short, limit, &records)));
        all.extend(names(&files(&destination, Part::Long, limit, &records)));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 2 * expected);
    }
    let destination = destination("arn:aws:s3:::box", true, false, false);
    let found = files(&destination, Part::Short, 3 * line, &records);
    let rows: Vec<_> = found.iter().map(|it| read(it).num_rows()).collect();
    assert_eq!(rows, [3, 3, 3, 1]);
}

fn reader(object: &Object) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(object.body.clone())).expect("Parquet")
}

fn read(object: &Object) -> parquet::file::metadata::FileMetaData {
    reader(object).metadata().file_metadata().clone()
}

/// FL-15: names and types as AWS lists them, and nothing where a record has a dash.
#[test]
fn columns_are_typed() {
    let destination = destination("arn:aws:s3:::box", true, false, false);
    let records = ["5 eni-1 443 5000000000 1700000000 OK", "5 eni-2 - - 1700000060 NODATA"];
    let found = files(&destination, Part::Short, LIMIT, &records);
    let reader = reader(&found[0]);
    let groups = reader.metadata().row_groups();
    assert_eq!(groups.len(), 1);
    assert!(groups[0].columns().iter().all(|it| matches!(it.compression(), Codec::GZIP(_))));
    let schema = reader.metadata().file_metadata().schema_descr();
    let columns = schema.columns().iter().map(|it| (it.name(), it.logical_type_ref().cloned()));
    let (int_32, int_64) = (LogicalType::integer(32, true), LogicalType::integer(64, true));
    assert_eq!(
        columns.collect::<Vec<_>>(),
        [
            ("version", Some(int_32.clone())),
            ("interface_id", Some(LogicalType::String)),
            ("srcport", Some(int_32)),
            ("bytes", Some(int_64.clone())),
            ("start", Some(int_64)),
            ("log_status", Some(LogicalType::String)),
        ]
    );
    let rows = reader.get_row_iter(None).expect("rows");
    let rows: Vec<_> = rows.map(|row| row.expect("a row").to_string()).collect();
    assert_eq!(
        rows,
        [
            "{version: 5, interface_id: \"eni-1\", srcport: 443, bytes: 5000000000, \
             start: 1700000000, log_status: \"OK\"}",
            "{version: 5, interface_id: \"eni-2\", srcport: null, bytes: null, \
             start: 1700000060, log_status: \"NODATA\"}",
        ]
    );
}

/// FL-15: what others than the writer's own reader make of it.
#[test]
fn pyarrow_reads_columns_as_they_are_meant() {
    let destination = destination("arn:aws:s3:::box", true, true, true);
    let record = |n: i64| format!("5 eni-{n} 443 {} 17000000{:02} OK", 5_000_000_000 + n, n % 60);
    let mut records: Vec<_> = (0..20_000).map(record).collect();
    records.push("5 eni-x - - 1700000060 NODATA".to_owned());
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    let found = files(&destination, Part::Short, LIMIT, &records);
    let folder = tempfile::tempdir().expect("a scratch directory");
    let file = folder.path().join("records.parquet");
    std::fs::write(&file, &found[0].body).expect("written");
    let script = "
import pyarrow.parquet as parquet, sys
table = parquet.read_table(sys.argv[1])
print([(field.name, str(field.type)) for field in table.schema])
print(table.num_rows, sum(table['bytes'].drop_null().to_pylist()))
print(table['interface_id'][19999], table['start'][19999], table.slice(20000).to_pylist())
";
    let python = std::process::Command::new("python3").args(["-c", script]).arg(file).output();
    let python = python.expect("python3, which scripts/setup --tests installs with pyarrow");
    let told = String::from_utf8_lossy(&python.stderr);
    assert!(python.status.success(), "scripts/setup --tests installs pyarrow: {told}");
    let sum = (0..20_000).map(|n| 5_000_000_000 + n).sum::<i64>();
    let expected = [
        "[('version', 'int32'), ('interface_id', 'string'), ('srcport', 'int32'), \
         ('bytes', 'int64'), ('start', 'int64'), ('log_status', 'string')]"
            .to_owned(),
        format!("20001 {sum}"),
        "eni-19999 1700000019 [{'version': 5, 'interface_id': 'eni-x', 'srcport': None, \
         'bytes': None, 'start': 1700000060, 'log_status': 'NODATA'}]"
            .to_owned(),
    ];
    assert_eq!(String::from_utf8_lossy(&python.stdout).lines().collect::<Vec<_>>(), expected);
}
