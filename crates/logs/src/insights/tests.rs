use std::sync::atomic::AtomicBool;

use super::*;
use crate::{LogStore, NewEvent};

const BEGIN: i64 = 1_700_000_000_000;

/// Three flow log records (FL-20) and two events of an application.
fn store() -> (LogStore, Source) {
    let store = LogStore::in_memory();
    let record = |source: &str, bytes: u32, action: &str| {
        format!(
            "2 123456789012 eni-0a {source} 10.1.1.5 40000 22 6 4 {bytes} 1700000000 1700000059 {action} OK"
        )
    };
    let flows = [
        (BEGIN, record("10.1.2.7", 336, "REJECT")),
        (BEGIN + 60_000, record("10.1.2.7", 664, "ACCEPT")),
        (BEGIN + 120_000, record("10.1.3.9", 1000, "ACCEPT")),
    ];
    let flows: Vec<_> =
        flows.iter().map(|(time, message)| NewEvent { time: *time, message }).collect();
    store.append(1, 10, &flows, BEGIN + 200_000).expect("kept");
    let application = [
        NewEvent {
            time: BEGIN + 30_000,
            message: r#"{"level":"error","took":12.5,"user":{"name":"kim"}}"#,
        },
        NewEvent { time: BEGIN + 90_000, message: "user=lee status=404 took" },
    ];
    store.append(1, 11, &application, BEGIN + 200_000).expect("kept");
    let names = |stream: &str| ("123456789012:flows".to_owned(), stream.to_owned());
    let streams = [(10, names("eni-0a-all")), (11, names("app"))].into_iter().collect();
    (store, Source { groups: vec![1], streams })
}

fn rows(text: &str) -> Vec<Vec<(String, String)>> {
    let (store, source) = store();
    let query = Query::parse(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
    let range = BEGIN..BEGIN + 600_000;
    let outcome = query.run(&store, &source, &range, &AtomicBool::new(false)).expect("run");
    assert_eq!(outcome.scanned, 5);
    outcome.rows
}

/// The values of the rows without the pointers.
fn table(text: &str) -> Vec<Vec<String>> {
    let plain = |row: Vec<(String, String)>| {
        row.into_iter().filter(|(name, _)| name != "@ptr").map(|(_, value)| value).collect()
    };
    rows(text).into_iter().map(plain).collect()
}

#[test]
fn without_more_the_newest_events_come_first() {
    let rows = rows("limit 2");
    assert_eq!(rows.len(), 2);
    let names: Vec<_> = rows[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["@timestamp", "@message", "@ptr"]);
    assert_eq!(rows[0][0].1, "2023-11-14 22:15:20.000");
    assert!(rows[1][1].1.starts_with("user=lee"));
}

#[test]
fn fields_of_flow_logs_are_discovered() {
    let found = table("fields srcAddr, bytes | filter action = 'REJECT'");
    assert_eq!(found, [["10.1.2.7", "336"]]);
    let found = table("stats sum(bytes) as total, count(*) by srcAddr | sort total desc");
    assert_eq!(
        found,
        [["10.1.2.7", "1000", "2"], ["10.1.3.9", "1000", "1"], ["", "", "2"]].map(|it| {
            it.into_iter().filter(|it| !it.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        })
    );
    let found = table(
        "filter isIpv4InSubnet(srcAddr, '10.1.2.0/24') | stats sum(bytes)/1000 as kB, avg(bytes), max(bytes), min(bytes)",
    );
    assert_eq!(found, [["1", "500", "664", "336"]]);
    assert_eq!(table("filter dstPort in [22, 80] and packets > 3 | stats count()"), [["3"]]);
}

#[test]
fn bins_are_times() {
    let rows = rows("filter interfaceId like /^eni/ | stats count(*) as n by bin(2m)");
    let shown: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|(k, v)| format!("{k}={v}")).collect()).collect();
    assert_eq!(
        shown,
        [["bin(2m)=2023-11-14 22:12:00.000", "n=1"], ["bin(2m)=2023-11-14 22:14:00.000", "n=2"],]
    );
}

#[test]
fn messages_are_parsed() {
    let found = table(
        r#"filter @logStream = "app" | parse @message "user=* status=* *" as who, status, rest | filter status >= 400 | display who, status, rest"#,
    );
    assert_eq!(found, [["lee", "404", "took"]]);
    let found = table(
        r"parse /user=(?<who>\w+)/ | filter ispresent(who) | display who, strlen(who), toupper(who) as big",
    );
    assert_eq!(found, [["lee", "3", "LEE"]]);
    let found = table("filter user.name = 'kim' | fields level, took * 2 as double");
    assert_eq!(found, [["error", "25"]]);
}

/// FL-20: what people do in regions, and with formats, whose fields are not discovered.
#[test]
fn records_of_flow_logs_are_parsed() {
    let parse = "parse @message \"* * * * * * * * * * * * * *\" as version, account_id, eni, \
                 source, destination, srcport, destport, protocol, packets, size, windowstart, \
                 windowend, verdict, flowlogstatus";
    let found = table(&format!("{parse} | stats sum(size) as total by source | sort source"));
    // Events that do not match belong to no source.
    assert_eq!(found, [vec![], vec!["10.1.2.7", "1000"], vec!["10.1.3.9", "1000"]]);
    let found = table(&format!(
        "{parse} | filter verdict = 'REJECT' and destport in [22] | display source, size, flowlogstatus"
    ));
    assert_eq!(found, [["10.1.2.7", "336", "OK"]]);
    // What one finds the next may look at, though no more is asked for.
    let found = table(&format!(
        "{parse} | parse source '*.*.*.*' as a, b, c, d | filter ispresent(d) | stats count(*) by c"
    ));
    assert_eq!(found, [["2", "2"], ["3", "1"]]);
    let found = table("filter action=\"REJECT\" | stats count(*) by srcAddr");
    assert_eq!(found, [["10.1.2.7", "1"]]);
}

#[test]
fn rows_are_sorted_limited_and_made_unique() {
    let found = table("filter ispresent(bytes) | fields bytes | sort bytes asc | limit 2");
    assert_eq!(found, [["336"], ["664"]]);
    let found = table("filter ispresent(srcAddr) | fields srcAddr, action | dedup srcAddr");
    assert_eq!(found, [["10.1.3.9", "ACCEPT"], ["10.1.2.7", "ACCEPT"]]);
    let found = table("stats count(*) as n by srcAddr | stats max(n) as most");
    assert_eq!(found, [["2"]]);
    let found = table(
        "stats pct(bytes, 50), median(bytes), count_distinct(srcAddr), earliest(bytes), latest(bytes), stddev(bytes)",
    );
    assert_eq!(found, [["664", "664", "2", "336", "1000", "271.0834"]]);
}

#[test]
fn comments_and_precedence() {
    let found =
        table("# which\nfilter 1 + 2 * 3 = 7 and not (bytes < 500) # big\n| stats count(bytes)");
    assert_eq!(found, [["2"]]);
    assert_eq!(table("filter -1 < 0 and 10 % 4 = 2 and 2 ^ 3 = 8 | stats count(*)"), [["5"]]);
}

#[test]
fn what_is_no_query_is_refused() {
    for text in [
        "",
        "filter",
        "fields a,",
        "stats by b",
        "stats count(*",
        "limit 0",
        "limit many",
        "limit 10001",
        "nonsense x",
        "filter nonsense(a)",
        "parse @message",
        "parse @message 'a*' as b, c",
        "parse /(/",
        "parse /a/",
        "sort",
        "fields a | | limit 1",
        "filter a = 'open",
        "stats pct(a)",
        "stats sum(a, b)",
        "filter a in 1",
        "filter bin(5x)",
        "fields 1m2",
    ] {
        assert!(Query::parse(text, None).is_err(), "{text}");
    }
    let deep = format!("filter {}1", "(".repeat(10_000));
    assert!(Query::parse(&deep, None).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_query_or_refused(text in "(fields|filter|stats|parse|sort|limit|dedup)[ a-c@()\\[\\]/|,*=<>'\"1-5m+-]{0,30}") {
        if let Ok(query) = Query::parse(&text, None) {
            let (store, source) = store();
            let range = BEGIN..BEGIN + 600_000;
            query.run(&store, &source, &range, &AtomicBool::new(false)).expect("run");
        }
    }
}
