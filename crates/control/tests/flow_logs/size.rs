//! Windows of many flows. `GUREUM_FLOW_LOG_RECORDS=1000000` in the release profile measures.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use gureum_logs::LogStore;
use gureum_types::{TrafficDirection, WindowEntry};
use serde_json::json;

use crate::{
    common::Wishes,
    setup::{GROUP, Setup, accepted},
};

/// More than is put at once, of one interface.
const RECORDS: u32 = 70_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_flow_of_a_large_window_has_its_record() {
    let wanted = env::var("GUREUM_FLOW_LOG_RECORDS").ok().and_then(|it| it.parse().ok());
    let records: u32 = wanted.unwrap_or(RECORDS);
    let folder = tempfile::tempdir().expect("a folder");
    let logs = Arc::new(LogStore::open(folder.path()).expect("a store"));
    let setup = Setup::with(Wishes { logs: Some(logs), ..Wishes::default() }).await;
    let mut enis = Vec::new();
    for _ in 0..2 {
        let instance = setup.cloud.instance(&setup.subnet, &[]).await;
        enis.push(setup.interface_of(&instance).await);
    }
    let role = setup.lab_role().await;
    setup.flow_log(&role, &[]).await;
    let entries = (0..records).map(|number| {
        // Most are of the first one.
        let eni = &enis[usize::from(number.is_multiple_of(16))];
        let [_, a, b, c] = (number / 2).to_be_bytes();
        let entry = accepted(eni, 443);
        WindowEntry {
            source: [100, a, b, c].into(),
            direction: match number % 2 {
                0 => TrafficDirection::Ingress,
                _ => TrafficDirection::Egress,
            },
            packets: 1 + u64::from(number),
            first: gureum_types::Timestamp(i64::from(number % 60) * 1000),
            last: gureum_types::Timestamp(i64::from(number % 60) * 1000 + 500),
            ..entry
        }
    });
    let entries: Vec<_> = entries.collect();
    let packets: u64 = entries.iter().map(|it| it.packets).sum();
    let begun = Instant::now();
    setup.window(60, entries);
    setup.until_within(Duration::from_secs(600), || setup.windows.count() == 0).await;
    println!("{records} records delivered in {:?}", begun.elapsed());
    let now = setup.cloud.clock.load(std::sync::atomic::Ordering::SeqCst) / 1000;
    let query = json!({
        "logGroupName": GROUP,
        "startTime": now - 3600,
        "endTime": now,
        "queryString": "stats count(*) as records, sum(packets) as packets",
    });
    let started = setup.logs("StartQuery", &query).await;
    let id = json!({ "queryId": started["queryId"] });
    let found = loop {
        let found = setup.logs("GetQueryResults", &id).await;
        if found["status"] != "Running" {
            break found["results"][0].clone();
        }
        tokio::task::yield_now().await;
    };
    let value = |field: &str| {
        let found = found.as_array().and_then(|it| it.iter().find(|it| it["field"] == field));
        found.and_then(|it| it["value"].as_str()?.parse::<f64>().ok())
    };
    assert_eq!(value("records"), Some(f64::from(records)), "{found}");
    assert_eq!(value("packets"), Some(packets as f64), "{found}");
}
