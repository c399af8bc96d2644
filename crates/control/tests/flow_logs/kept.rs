//! What outlives kills, interfaces and destinations that take nothing.

use std::{sync::atomic::Ordering, time::Duration};

use gureum_types::record::DepartedInterface;

use crate::setup::{ALL, Setup, accepted, allow, seconds};

const FORMAT: (&str, &str) = ("LogFormat", "${dstport} ${instance-id} ${log-status}");

#[tokio::test]
async fn who_is_killed_before_noting_a_window_repeats_that_one() {
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let (eni, role) = (setup.interface_of(&instance).await, setup.lab_role().await);
    setup.flow_log(&role, &[("LogFormat", "${dstport}")]).await;
    setup.flow_log(&role, &[("LogFormat", "${dstport} ${action}")]).await;
    setup.window(60, vec![accepted(&eni, 22)]);
    setup.until_waiting(0).await;
    setup.windows.kills.store(true, Ordering::SeqCst);
    setup.window(60, vec![accepted(&eni, 23)]);
    setup.until(|| setup.windows.killed.load(Ordering::SeqCst) == 1).await;
    setup.windows.kills.store(false, Ordering::SeqCst);
    setup.window(60, vec![accepted(&eni, 24)]);
    setup.until_waiting(0).await;
    let found = setup.messages().await;
    let killed = setup.windows.killed.load(Ordering::SeqCst);
    let count = |it: &str| found.iter().filter(|line| *line == it).count();
    for port in [22, 24] {
        assert_eq!(count(&format!("{port}")), 1, "{found:?}");
        assert_eq!(count(&format!("{port} ACCEPT")), 1, "{found:?}");
    }
    // One window of one of the two flow logs, once for each time.
    assert_eq!(count("23") + count("23 ACCEPT"), 2 + killed, "{found:?}");
    assert_eq!(count("23").min(count("23 ACCEPT")), 1, "{found:?}");
}

#[tokio::test]
async fn the_last_traffic_of_an_interface_that_is_gone() {
    // FL-1, FL-22
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let (eni, role) = (setup.interface_of(&instance).await, setup.lab_role().await);
    setup.flow_log(&role, &[FORMAT]).await;
    setup.cloud.advance(Duration::from_secs(1));
    setup.cloud.ec2("TerminateInstances", &[("InstanceId.1", &instance)]).await.ok();
    setup.cloud.until_state(&instance, "terminated").await;
    let departed = || setup.cloud.control.snapshot().everywhere::<DepartedInterface>().count();
    assert_eq!(departed(), 1);
    // Of a window that began before that.
    setup.cloud.clock.fetch_sub(1000, Ordering::SeqCst);
    setup.window(60, vec![accepted(&eni, 22)]);
    setup.until_waiting(0).await;
    assert_eq!(setup.messages().await, [format!("22 {instance} OK")]);
    setup.cloud.advance(Duration::from_secs(120));
    let mut watch = setup.cloud.control.watch();
    while departed() > 0 {
        watch.changed().await.expect("a store");
    }
    setup.window(60, Vec::new());
    setup.until_waiting(0).await;
    assert_eq!(setup.messages().await.len(), 1, "nobody is there who has no traffic");
}

#[tokio::test]
async fn an_interface_that_no_flow_log_covers_leaves_nothing() {
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    setup.cloud.ec2("TerminateInstances", &[("InstanceId.1", &instance)]).await.ok();
    setup.cloud.until_state(&instance, "terminated").await;
    assert_eq!(setup.cloud.control.snapshot().everywhere::<DepartedInterface>().count(), 0);
}

#[tokio::test]
async fn what_waited_for_too_long_is_told_as_missing() {
    // FL-28
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let (eni, role) = (setup.interface_of(&instance).await, setup.lab_role().await);
    setup.put_policy("flowlogsRole", &allow(&["PutLogEvents"])).await;
    let log = setup.flow_log(&role, &[]).await;
    setup.window(60, vec![accepted(&eni, 22)]);
    setup.window(60, vec![accepted(&eni, 23)]);
    setup.until_status(&log, "FAILED").await;
    setup.cloud.advance(Duration::from_secs(24 * 3600 - 30));
    // Only the first is older than a day.
    setup.until_waiting(1).await;
    setup.cloud.advance(Duration::from_secs(60));
    setup.until_waiting(0).await;
    setup.put_policy("flowlogsRole", &allow(ALL)).await;
    let later = setup.window(60, vec![accepted(&eni, 24)]);
    setup.until_waiting(0).await;
    let (account, begin) = (&setup.cloud.account, later.seconds());
    let own = setup.address_of(&instance).await;
    assert_eq!(
        setup.messages().await,
        [
            format!("2 {account} {eni} - - - - - - - {} {} - SKIPDATA", seconds(0), seconds(120)),
            format!(
                "2 {account} {eni} 192.0.2.7 {own} 40000 24 6 3 180 {begin} {} ACCEPT OK",
                begin + 1
            ),
        ]
    );
    setup.window(60, vec![accepted(&eni, 25)]);
    setup.until_waiting(0).await;
    assert_eq!(setup.messages().await.len(), 3, "it is told once");
}

#[tokio::test]
async fn a_damaged_window_is_told_as_missing() {
    // FL-28
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let (eni, role) = (setup.interface_of(&instance).await, setup.lab_role().await);
    let format = ("LogFormat", "${start} ${end} ${log-status}");
    setup.flow_log(&role, &[format]).await;
    setup.window(60, vec![accepted(&eni, 22)]);
    setup.until_waiting(0).await;
    setup.damaged_window(60);
    setup.until_waiting(0).await;
    let later = setup.window(60, vec![accepted(&eni, 23)]).seconds();
    setup.until_waiting(0).await;
    let begin = seconds(0);
    assert_eq!(
        setup.messages().await,
        [
            format!("{begin} {} OK", begin + 1),
            format!("{} {} SKIPDATA", begin + 60, begin + 120),
            format!("{later} {} OK", later + 1),
        ]
    );
}
