//! What log data costs: `cargo run --release -p gureum-logs --example log_cost [RECORDS]`.
//!
//! Flow log records of a thousand interfaces, a window a minute, as their delivery puts them; then
//! searches and queries over all of them.

use std::{
    ops::ControlFlow,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use gureum_logs::{Event, LogStore, NewEvent, Pattern, Query, Source};

const BEGIN: i64 = 1_700_000_000_000;
const INTERFACES: u64 = 1000;
/// Records of an interface in a window.
const BATCH: u64 = 100;

fn record(number: u64, time: i64) -> String {
    let (host, port) = (number % 251, 1024 + number * 7919 % 60_000);
    let action = if number.is_multiple_of(50) { "REJECT" } else { "ACCEPT" };
    let (packets, bytes) = (1 + number % 40, 40 + number * 31 % 60_000);
    let start = time / 1000;
    format!(
        "2 123456789012 eni-0{:016x} 10.1.{}.{host} 10.1.{}.{} {port} 443 6 {packets} {bytes} \
         {start} {} {action} OK",
        number % INTERFACES,
        number % 16,
        number % 7,
        number % 199,
        start + 59
    )
}

/// What the process took of processors, in milliseconds: what others do matters less to it.
fn processor_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a line");
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let field = |at: usize| rest.split_whitespace().nth(at).and_then(|it| it.parse::<f64>().ok());
    // Both in hundredths of a second.
    10.0 * (field(11).expect("user time") + field(12).expect("system time"))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (begin, processors) = (Instant::now(), processor_ms());
    let result = work();
    let took = begin.elapsed().as_secs_f64() * 1e3;
    println!("{what:56} {took:10.1} ms, of processors {:8.0} ms", processor_ms() - processors);
    result
}

fn main() {
    let records: u64 = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(10_000_000);
    let folder = std::env::temp_dir().join(format!("gureum-logs-cost-{}", std::process::id()));
    let store = LogStore::open(&folder).expect("a store");
    let windows = records / (INTERFACES * BATCH);
    let mut longest = Duration::ZERO;
    timed(&format!("{records} records put, a window of all interfaces at a time"), || {
        for window in 0..windows {
            let time = BEGIN + i64::try_from(window).expect("small") * 60_000;
            let batches: Vec<Vec<String>> = (0..INTERFACES)
                .map(|eni| {
                    (0..BATCH)
                        .map(|it| record((window * BATCH + it) * INTERFACES + eni, time))
                        .collect()
                })
                .collect();
            let events: Vec<Vec<NewEvent<'_>>> = batches
                .iter()
                .map(|batch| batch.iter().map(|message| NewEvent { time, message }).collect())
                .collect();
            let streams: Vec<_> =
                (0..).zip(&events).map(|(eni, it)| (eni, it.as_slice())).collect();
            let begin = Instant::now();
            store.append_all(1, &streams, time).expect("kept");
            longest = longest.max(begin.elapsed());
        }
    });
    println!("{:56} {:10.1} ms", "  the longest window", longest.as_secs_f64() * 1e3);
    let size = std::fs::metadata(folder.join("events.redb")).expect("a file").len();
    println!("{:56} {:10.1} bytes a record", "  on disk", size as f64 / records as f64);

    let flood: Vec<_> = (0..1_000_000).map(|it| record(it, BEGIN)).collect();
    let flood: Vec<_> = flood.iter().map(|message| NewEvent { time: BEGIN, message }).collect();
    let pieces: Vec<_> = (10_000..).zip(flood.chunks(1000)).collect();
    timed("1,000,000 records put at once, of 1000 interfaces", || {
        store.append_all(3, &pieces, BEGIN).expect("kept");
    });

    let one = [NewEvent { time: BEGIN, message: "one event alone" }];
    let begin = Instant::now();
    for _ in 0..100 {
        store.append(2, 5000, &one, BEGIN).expect("kept");
    }
    println!("{:56} {:10.3} ms", "one event put", begin.elapsed().as_secs_f64() * 10.0);

    let middle = BEGIN + i64::try_from(windows / 2).expect("small") * 60_000;
    let search = |text: &str, range: std::ops::Range<i64>| {
        let pattern = Pattern::parse(text).expect("a pattern");
        let mut found = 0;
        let visit = |event: &Event<'_>| {
            found += usize::from(pattern.matches(event.message));
            if found < 10_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store.forward(1, None, &range, None, visit).expect("read");
        found
    };
    let all = BEGIN..BEGIN + i64::try_from(windows).expect("small") * 60_000;
    for (what, text, range) in [
        ("over a second", "[..., action = REJECT, status]", middle..middle + 1000),
        ("over a minute", "[..., action = REJECT, status]", middle..middle + 60_000),
        ("over all, nothing found", "[..., bytes = 1, b, e, action = DROP, status]", all.clone()),
        ("over all, REJECT", "[..., action = REJECT, status]", all),
    ] {
        let found = timed(&format!("FilterLogEvents {what}"), || search(text, range));
        println!("  {found} found");
    }

    let source = Source { groups: vec![1], ..Source::default() };
    for text in [
        "stats count(*)",
        "stats sum(bytes), count(*) by srcAddr",
        "filter action = 'REJECT' | stats sum(packets) as n by bin(5m), dstAddr | sort n desc | limit 20",
        "filter dstPort = 443 | fields srcAddr, bytes | sort bytes desc | limit 20",
        "parse '* * * * * * * * * * * * * *' as v, account, eni, source, destination, sport, dport, \
         protocol, packets, size, begin, end, verdict, status | stats sum(size) by source",
        "filter @message like /REJECT/ | stats count(*) by dstPort",
    ] {
        let query = Query::parse(text, None).expect("a query");
        let outcome = timed(text, || {
            query.run(&store, &source, &(0..i64::MAX), &AtomicBool::new(false)).expect("run")
        });
        println!("  {} rows of {} events", outcome.rows.len(), outcome.scanned);
    }
    timed("sweep with nothing to do", || {
        store.sweep(|_, _| gureum_logs::Keep::All).expect("swept")
    });
    std::fs::remove_dir_all(folder).expect("removed");
}
