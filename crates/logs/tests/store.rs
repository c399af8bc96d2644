//! Log data on disk: order, places, retention, what a restart finds.

use std::ops::ControlFlow;

use gureum_logs::{Event, Keep, LogStore, Mark, NewEvent};

const HOUR: i64 = 3_600_000;
const ALL: std::ops::Range<i64> = i64::MIN..i64::MAX;

fn append(store: &LogStore, group: u64, stream: u64, events: &[(i64, &str)], now: i64) {
    let events: Vec<_> =
        events.iter().map(|(time, message)| NewEvent { time: *time, message }).collect();
    store.append(group, stream, &events, now).expect("kept");
}

fn forward(
    store: &LogStore,
    streams: Option<&[u64]>,
    range: &std::ops::Range<i64>,
    after: Option<Mark>,
) -> Vec<(String, Mark)> {
    let mut found = Vec::new();
    let mut visit = |event: &Event<'_>| {
        found.push((event.message.to_owned(), event.mark));
        ControlFlow::Continue(())
    };
    store.forward(1, streams, range, after, &mut visit).expect("read");
    found
}

fn names(found: &[(String, Mark)]) -> Vec<&str> {
    found.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn events_come_in_the_order_of_time_whatever_their_stream_and_batch() {
    let store = LogStore::in_memory();
    append(&store, 1, 10, &[(5, "e"), (1, "a"), (9, "h")], 100);
    append(&store, 1, 11, &[(2, "b"), (5, "f"), (8, "g")], 101);
    append(&store, 1, 10, &[(3, "c"), (4, "d")], 102);
    append(&store, 2, 20, &[(3, "another group")], 103);
    let all = forward(&store, None, &ALL, None);
    assert_eq!(names(&all), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert_eq!(names(&forward(&store, None, &(3..8), None)), ["c", "d", "e", "f"]);
    assert_eq!(names(&forward(&store, Some(&[11]), &ALL, None)), ["b", "f", "g"]);
    for (at, (_, mark)) in all.iter().enumerate() {
        let rest = forward(&store, None, &ALL, Some(*mark));
        assert_eq!(rest, all[at + 1..], "a mark goes on where it was");
    }
}

#[test]
fn backward_is_forward_turned_round() {
    let store = LogStore::in_memory();
    append(&store, 1, 10, &[(5, "e"), (1, "a"), (9, "h")], 100);
    append(&store, 1, 10, &[(2, "b"), (5, "f"), (20 * HOUR, "z")], 101);
    append(&store, 1, 10, &[(3, "c")], 102);
    let mut expected = forward(&store, Some(&[10]), &ALL, None);
    expected.reverse();
    let backward = |range: std::ops::Range<i64>, before| {
        let mut found = Vec::new();
        let mut visit = |event: &Event<'_>| {
            found.push((event.message.to_owned(), event.mark));
            ControlFlow::Continue(())
        };
        store.backward(1, 10, &range, before, &mut visit).expect("read");
        found
    };
    assert_eq!(backward(ALL, None), expected);
    assert_eq!(names(&backward(2..9, None)), ["f", "e", "c", "b"]);
    for (at, (_, mark)) in expected.iter().enumerate() {
        assert_eq!(backward(ALL, Some(*mark)), expected[at + 1..]);
    }
}

#[test]
fn what_was_kept_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = LogStore::open(folder.path()).expect("opened");
    append(&store, 1, 10, &[(1, "one"), (2, "둘")], 100);
    drop(store);
    let store = LogStore::open(folder.path()).expect("opened again");
    append(&store, 1, 10, &[(2, "three")], 101);
    assert_eq!(names(&forward(&store, None, &ALL, None)), ["one", "둘", "three"]);
    let summary = store.summaries(1).expect("read")[&10];
    assert_eq!(
        (summary.first, summary.last, summary.last_ingestion, summary.bytes),
        (1, 2, 101, 11)
    );
}

#[test]
fn a_sweep_deletes_what_is_too_old_or_nobodys() {
    let store = LogStore::in_memory();
    append(&store, 1, 10, &[(HOUR, "old"), (30 * HOUR, "new")], 100);
    append(&store, 1, 11, &[(HOUR, "of a stream that went")], 100);
    let keep = |_, stream| if stream == 10 { Keep::Since(20 * HOUR) } else { Keep::Nothing };
    store.sweep(keep).expect("swept");
    assert_eq!(names(&forward(&store, None, &ALL, None)), ["new"]);
    let summaries = store.summaries(1).expect("read");
    assert_eq!(summaries.keys().copied().collect::<Vec<_>>(), [10]);
    assert_eq!(summaries[&10].first, 30 * HOUR);
    assert_eq!(store.bytes(1).expect("read"), 3);
}

#[test]
fn small_blocks_are_merged_and_nothing_changes() {
    let store = LogStore::in_memory();
    for number in 0..50_i64 {
        let text = format!("event {number}");
        append(
            &store,
            1,
            10 + u64::try_from(number % 2).expect("positive"),
            &[(number * 60_000 % 7, &text)],
            number,
        );
    }
    let before = forward(&store, None, &ALL, None);
    store.sweep(|_, _| Keep::All).expect("swept");
    assert_eq!(forward(&store, None, &ALL, None), before);
    assert_eq!(
        store.bytes(1).expect("read"),
        before.iter().map(|(name, _)| name.len() as u64).sum::<u64>()
    );
    append(&store, 1, 10, &[(0, "later")], 100);
    assert_eq!(forward(&store, None, &ALL, None).len(), 51);
}

#[test]
fn a_scan_sees_everything_once() {
    let store = LogStore::in_memory();
    let line = "x".repeat(1000);
    for stream in 0..20 {
        let events: Vec<_> = (0..400).map(|time| (time, line.as_str())).collect();
        append(&store, 1, stream, &events, 0);
    }
    let fold = |count: &mut u64, _: &Event<'_>| *count += 1;
    let counts = store.scan(&[1], &(100..200), || 0_u64, fold, || false).expect("scanned");
    assert_eq!(counts.iter().sum::<u64>(), 2000);
}
