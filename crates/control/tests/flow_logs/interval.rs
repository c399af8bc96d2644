//! How long traffic is gathered, and when it is delivered.

use std::time::Duration;

use crate::{
    common::{BEGIN, Wishes},
    setup::{Setup, accepted, seconds},
};

const FORMAT: (&str, &str) =
    ("LogFormat", "${interface-id} ${packets} ${start} ${end} ${log-status}");
const LONG: (&str, &str) = ("MaxAggregationInterval", "600");

/// Time goes on to the beginning of the next ten minutes.
fn to_next_slot(setup: &Setup) -> i64 {
    let left = 600_000 - BEGIN.rem_euclid(600_000);
    setup.cloud.advance(Duration::from_millis(u64::try_from(left).expect("positive")));
    left / 1000
}

#[tokio::test]
async fn ten_minutes_are_one_record_but_for_nitro_instances() {
    // FL-12, FL-2
    let setup = Setup::new().await;
    let xen = setup.cloud.instance(&setup.subnet, &[]).await;
    let nitro = setup.instance_of("t3.micro").await;
    let xen = setup.interface_of(&xen).await;
    let nitro = setup.interface_of(&nitro).await;
    let begin = to_next_slot(&setup);
    let role = setup.lab_role().await;
    setup.flow_log(&role, &[FORMAT, LONG]).await;
    for _ in 0..9 {
        setup.window(60, vec![accepted(&xen, 22), accepted(&nitro, 22)]);
    }
    // Each minute of the Nitro one, nothing yet of the others.
    let at = |minute: i64| seconds(begin + 60 * minute);
    let nitro_at = |minute| format!("{nitro} 3 {} {} OK", at(minute), at(minute) + 1);
    setup.until(|| setup.windows.noted() == 9).await;
    let mut found = setup.messages().await;
    found.sort();
    assert_eq!(found, (0..9).map(nitro_at).collect::<Vec<_>>());
    setup.window(60, vec![accepted(&xen, 22), accepted(&nitro, 22)]);
    setup.until_waiting(0).await;
    let mut found = setup.messages().await;
    found.sort();
    let mut wanted: Vec<_> = (0..10).map(nitro_at).collect();
    wanted.push(format!("{xen} 30 {} {} OK", at(0), at(9) + 1));
    wanted.sort();
    assert_eq!(found, wanted);
    // FL-28: the next ten minutes have no traffic at all.
    setup.window(60, Vec::new());
    setup.window(540, Vec::new());
    setup.until_waiting(0).await;
    let found = setup.messages().await;
    let mut quiet: Vec<_> = found.iter().filter(|it| it.ends_with("NODATA")).collect();
    quiet.sort();
    let mut wanted = [
        format!("{nitro} - {} {} NODATA", at(10), at(11)),
        format!("{nitro} - {} {} NODATA", at(11), at(20)),
        format!("{xen} - {} {} NODATA", at(10), at(20)),
    ];
    wanted.sort();
    assert_eq!(quiet, wanted.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn ten_minutes_end_though_no_other_window_follows() {
    // FL-12
    let setup = Setup::new().await;
    let xen = setup.cloud.instance(&setup.subnet, &[]).await;
    let xen = setup.interface_of(&xen).await;
    to_next_slot(&setup);
    let role = setup.lab_role().await;
    setup.flow_log(&role, &[FORMAT, LONG]).await;
    setup.window(60, vec![accepted(&xen, 22)]);
    setup.until(|| setup.windows.noted() == 1).await;
    setup.cloud.advance(Duration::from_secs(661));
    setup.until_waiting(0).await;
    assert_eq!(setup.messages().await.len(), 1);
}

#[tokio::test]
async fn as_late_as_on_aws() {
    // FL-11
    let setup = Setup::with(Wishes { aws_timing: true, ..Wishes::default() }).await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let eni = setup.interface_of(&instance).await;
    let role = setup.lab_role().await;
    setup.flow_log(&role, &[FORMAT]).await;
    setup.window(60, vec![accepted(&eni, 22)]);
    setup.window(240, Vec::new());
    setup.windows.looked_at().await;
    assert!(setup.messages().await.is_empty(), "five minutes are not over");
    setup.cloud.advance(Duration::from_secs(60));
    setup.until_waiting(1).await;
    assert_eq!(setup.messages().await.len(), 1);
    setup.cloud.advance(Duration::from_secs(240));
    setup.until_waiting(0).await;
}

#[tokio::test]
async fn a_file_of_five_minutes_has_a_record_of_each_minute() {
    // FL-11, FL-14
    let setup = Setup::with(Wishes { aws_timing: true, ..Wishes::default() }).await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let eni = setup.interface_of(&instance).await;
    let begin = to_next_slot(&setup);
    setup.flow_log_to_bucket("logs-of-mine", &[("LogFormat", "${packets} ${start}")]).await;
    for _ in 0..5 {
        setup.window(60, vec![accepted(&eni, 22)]);
    }
    setup.window(60, vec![accepted(&eni, 23)]);
    setup.cloud.advance(Duration::from_secs(4 * 60 - 1));
    setup.windows.looked_at().await;
    assert_eq!(setup.files(), Vec::<String>::new(), "five minutes after the last of it");
    setup.cloud.advance(Duration::from_secs(1));
    // The sixth window waits for its own five minutes.
    setup.until_waiting(1).await;
    let lines = (0..5).map(|minute| format!("3 {}\n", seconds(begin + 60 * minute)));
    assert_eq!(setup.files(), [format!("packets start\n{}", lines.collect::<String>())]);
}
