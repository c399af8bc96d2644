//! What arrives where, and by whose leave.

use std::sync::atomic::Ordering;

use gureum_control::PutError;
use serde_json::json;

use crate::setup::{ALL, GROUP, Setup, accepted, allow, rejected, seconds};

const FORMAT: (&str, &str) = ("LogFormat", "${interface-id} ${dstport} ${action} ${log-status}");

#[tokio::test]
async fn records_come_into_a_stream_of_each_interface() {
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let eni = setup.interface_of(&instance).await;
    let role = setup.lab_role().await;
    let log = setup.flow_log(&role, &[]).await;
    setup.window(60, vec![accepted(&eni, 22), rejected(&eni, 23)]);
    setup.until_waiting(0).await;
    // FL-8: the group is made with the first traffic. FL-9: the stream's name.
    let (begin, account) = (seconds(0), &setup.cloud.account);
    let own = setup.address_of(&instance).await;
    let line = |port: u16, action: &str| {
        let text = format!(
            "2 {account} {eni} 192.0.2.7 {own} 40000 {port} 6 3 180 {begin} {} {action} OK",
            begin + 1
        );
        (format!("{eni}-all"), text)
    };
    let mut found = setup.events().await;
    found.sort();
    assert_eq!(found, [line(22, "ACCEPT"), line(23, "REJECT")]);
    // FL-10: an event's time is the record's start; it is taken in after its end.
    let stream = json!({ "logGroupName": GROUP, "logStreamName": format!("{eni}-all") });
    let events = setup.logs("GetLogEvents", &stream).await["events"].clone();
    assert_eq!(events[0]["timestamp"], begin * 1000);
    let now = setup.cloud.clock.load(Ordering::SeqCst);
    assert_eq!(events[0]["ingestionTime"], now);
    assert_eq!(setup.status(&log).await, ("SUCCESS".to_owned(), None), "FL-6");
    // The role was used.
    let used = |it: &crate::common::Reply| it.body.contains("<LastUsedDate>");
    let mut watch = setup.cloud.control.watch();
    loop {
        let shown = setup.cloud.iam("GetRole", &[("RoleName", "flowlogsRole")]).await.ok();
        if used(&shown) {
            break;
        }
        watch.changed().await.expect("a store");
    }
}

#[tokio::test]
async fn a_role_that_may_not_deliver_is_an_access_error_until_it_may() {
    // FL-6, FL-7
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let eni = setup.interface_of(&instance).await;
    let role = setup.lab_role().await;
    setup.put_policy("flowlogsRole", &allow(&["PutLogEvents"])).await;
    let log = setup.flow_log(&role, &[]).await;
    assert_eq!(setup.status(&log).await, ("SUCCESS".to_owned(), None), "nothing was tried yet");
    setup.window(60, vec![accepted(&eni, 22)]);
    setup.until_status(&log, "FAILED").await;
    setup.window(60, vec![accepted(&eni, 23)]);
    assert_eq!(setup.status(&log).await, ("FAILED".to_owned(), Some("Access error".to_owned())));
    assert_eq!(setup.messages().await, Vec::<String>::new());
    setup.put_policy("flowlogsRole", &allow(ALL)).await;
    setup.until_status(&log, "SUCCESS").await;
    setup.until_waiting(0).await;
    let found = setup.messages().await;
    assert_eq!(found.len(), 2, "nothing is lost: {found:?}");
    assert!(found[0].contains(" 40000 22 ") && found[1].contains(" 40000 23 "), "{found:?}");
}

#[tokio::test]
async fn what_a_role_lacks() {
    // FL-7
    let service = |name: &str, more: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":
                {{"Service":"{name}"}},"Action":"sts:AssumeRole"{more}}}]}}"#
        )
    };
    let own = "vpc-flow-logs.amazonaws.com";
    let of = |account: &str| {
        format!(
            r#","Condition":{{"StringEquals":{{"aws:SourceAccount":"{account}"}},
                "ArnLike":{{"aws:SourceArn":"arn:aws:ec2:*:{account}:vpc-flow-log/*"}}}}"#
        )
    };
    let denied = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"logs:*","Resource":"*"},
        {"Effect":"Deny","Action":"logs:PutLogEvents","Resource":"arn:aws:logs:*:*:log-group:*"}]}"#;
    let only = |group: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"logs:*",
                "Resource":"arn:aws:logs:ap-northeast-2:111122223333:log-group:{group}:*"}}]}}"#
        )
    };
    for (what, trust, policy, may) in [
        ("all", service(own, ""), allow(ALL), true),
        ("the least", service(own, ""), allow(&ALL[..3]), true),
        ("no group", service(own, ""), allow(&["CreateLogStream", "PutLogEvents"]), false),
        ("no stream", service(own, ""), allow(&["CreateLogGroup", "PutLogEvents"]), false),
        ("no events", service(own, ""), allow(&["CreateLogGroup", "CreateLogStream"]), false),
        ("denied", service(own, ""), denied.to_owned(), false),
        ("this group", service(own, ""), only(GROUP), true),
        ("another group", service(own, ""), only("other"), false),
        ("no trust", service("ec2.amazonaws.com", ""), allow(ALL), false),
        ("trust of this account", service(own, &of("111122223333")), allow(ALL), true),
        ("trust of another account", service(own, &of("999999999999")), allow(ALL), false),
    ] {
        let setup = Setup::new().await;
        let instance = setup.cloud.instance(&setup.subnet, &[]).await;
        let eni = setup.interface_of(&instance).await;
        let role = setup.role("deliver", &trust, &policy).await;
        let log = setup.flow_log(&role, &[]).await;
        setup.window(60, vec![accepted(&eni, 22)]);
        match may {
            true => setup.until_waiting(0).await,
            false => setup.until_status(&log, "FAILED").await,
        }
        assert_eq!(setup.messages().await.len(), usize::from(may), "{what}");
        let status = if may { "SUCCESS" } else { "FAILED" };
        assert_eq!(setup.status(&log).await.0, status, "{what}");
    }
}

#[tokio::test]
async fn a_role_that_is_not_there_is_an_access_error() {
    // FL-6
    let setup = Setup::new().await;
    setup.cloud.instance(&setup.subnet, &[]).await;
    let log = setup.flow_log("arn:aws:iam::111122223333:role/missing", &[]).await;
    setup.window(60, Vec::new());
    setup.until_status(&log, "FAILED").await;
    assert_eq!(setup.status(&log).await.1.as_deref(), Some("Access error"));
}

#[tokio::test]
async fn only_the_traffic_that_is_asked_for() {
    // FL-1, FL-2, FL-9, FL-28
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let (eni, role) = (setup.interface_of(&instance).await, setup.lab_role().await);
    setup.flow_log(&role, &[FORMAT, ("TrafficType", "ACCEPT")]).await;
    setup.window(60, vec![accepted(&eni, 22), rejected(&eni, 23)]);
    setup.until_waiting(0).await;
    let stream = format!("{eni}-accept");
    assert_eq!(setup.events().await, [(stream.clone(), format!("{eni} 22 ACCEPT OK"))]);
    // One of rejected traffic feeds the same group: the stream of both is one.
    setup.flow_log(&role, &[FORMAT, ("TrafficType", "REJECT")]).await;
    setup.window(60, vec![accepted(&eni, 24), rejected(&eni, 25)]);
    setup.until_waiting(0).await;
    setup.window(60, vec![accepted(&eni, 26)]);
    setup.until_waiting(0).await;
    let both = format!("{eni}-all");
    let mut found = setup.events().await;
    found.sort();
    assert_eq!(
        found,
        [
            (stream, format!("{eni} 22 ACCEPT OK")),
            (both.clone(), format!("{eni} - - NODATA")),
            (both.clone(), format!("{eni} 24 ACCEPT OK")),
            (both.clone(), format!("{eni} 25 REJECT OK")),
            (both, format!("{eni} 26 ACCEPT OK")),
        ]
    );
}

#[tokio::test]
async fn who_is_covered() {
    // FL-1
    let setup = Setup::new().await;
    let other = setup.cloud.subnet(&setup.vpc, "10.1.2.0/24", "ap-northeast-2c").await;
    let mut enis = Vec::new();
    for subnet in [&setup.subnet, &setup.subnet, &other] {
        let instance = setup.cloud.instance(subnet, &[]).await;
        enis.push(setup.interface_of(&instance).await);
    }
    let role = setup.lab_role().await;
    let format = |name: &'static str| ("LogFormat", name);
    let of_subnet = [
        format("${srcport} ${interface-id}"),
        ("ResourceType", "Subnet"),
        ("ResourceId.1", &setup.subnet),
    ];
    setup.flow_log(&role, &of_subnet).await;
    let of_one = [
        format("${dstport} ${interface-id}"),
        ("ResourceType", "NetworkInterface"),
        ("ResourceId.1", &enis[2]),
    ];
    setup.flow_log(&role, &of_one).await;
    setup.window(60, enis.iter().map(|eni| accepted(eni, 22)).collect());
    setup.until_waiting(0).await;
    let mut found = setup.messages().await;
    found.sort();
    let mut wanted =
        [format!("40000 {}", enis[0]), format!("40000 {}", enis[1]), format!("22 {}", enis[2])];
    wanted.sort();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn nothing_from_before_a_flow_log_and_nothing_after_it() {
    // FL-13
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let (eni, role) = (setup.interface_of(&instance).await, setup.lab_role().await);
    let before = setup.flow_log("arn:aws:iam::111122223333:role/missing", &[FORMAT]).await;
    setup.window(30, vec![accepted(&eni, 22)]);
    setup.until_status(&before, "FAILED").await;
    let later = [("LogFormat", "${dstport}")];
    let log = setup.flow_log(&role, &later).await;
    setup.window(60, vec![accepted(&eni, 23)]);
    // The first may still not deliver, so both windows wait for it.
    let delivered = || async { setup.messages().await.len() == 1 };
    let mut changed = setup.cloud.control.watch();
    while !delivered().await {
        changed.changed().await.expect("a store");
    }
    assert_eq!(setup.messages().await, ["23"]);
    setup.cloud.ec2("DeleteFlowLogs", &[("FlowLogId.1", before.as_str())]).await.ok();
    setup.until_waiting(0).await;
    setup.cloud.ec2("DeleteFlowLogs", &[("FlowLogId.1", log.as_str())]).await.ok();
    setup.window(60, vec![accepted(&eni, 24)]);
    setup.until_waiting(0).await;
    assert_eq!(setup.messages().await, ["23"]);
}

#[tokio::test]
async fn interfaces_without_traffic_have_a_record_too() {
    // FL-28, FL-37
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let eni = setup.interface_of(&instance).await;
    // One that is attached to nothing is not in use.
    let idle = [("SubnetId", setup.subnet.as_str())];
    setup.cloud.make("CreateNetworkInterface", &idle, "networkInterfaceId").await;
    let role = setup.lab_role().await;
    setup.flow_log(&role, &[]).await;
    // FL-8: before the first traffic there is nothing to tell.
    setup.window(60, Vec::new());
    setup.until_waiting(0).await;
    let groups = setup.logs("DescribeLogGroups", &json!({})).await;
    assert_eq!(groups["logGroups"], json!([]));
    setup.window_with(60, vec![accepted(&eni, 22)], &[&eni]);
    setup.window(60, Vec::new());
    setup.window_with(60, Vec::new(), &[&eni]);
    setup.until_waiting(0).await;
    let account = &setup.cloud.account;
    let empty = |from: i64, status: &str| {
        let (from, to) = (seconds(from), seconds(from + 60));
        format!("2 {account} {eni} - - - - - - - {from} {to} - {status}")
    };
    let mut found = setup.messages().await;
    found.retain(|it| !it.ends_with("OK"));
    assert_eq!(found, [empty(60, "SKIPDATA"), empty(120, "NODATA"), empty(180, "SKIPDATA")]);
}

#[tokio::test]
async fn records_come_into_files_of_a_bucket() {
    // FL-14, FL-6
    let setup = Setup::new().await;
    let instance = setup.cloud.instance(&setup.subnet, &[]).await;
    let eni = setup.interface_of(&instance).await;
    let log = setup.flow_log_to_bucket("logs-of-mine/here", &[FORMAT]).await;
    *setup.buckets.refuses.lock().expect("a lock") = Some(PutError::AccessDenied);
    setup.window(60, vec![accepted(&eni, 22), rejected(&eni, 23)]);
    setup.until_status(&log, "FAILED").await;
    assert_eq!(setup.status(&log).await.1.as_deref(), Some("Access error"));
    *setup.buckets.refuses.lock().expect("a lock") = None;
    setup.until_waiting(0).await;
    let mut lines: Vec<_> = setup.files().concat().lines().map(str::to_owned).collect();
    lines[1..].sort();
    let names = "interface-id dstport action log-status".to_owned();
    assert_eq!(lines, [names, format!("{eni} 22 ACCEPT OK"), format!("{eni} 23 REJECT OK")]);
    let objects = setup.buckets.objects.lock().expect("a lock").clone();
    let (bucket, key) = objects.into_keys().next().expect("a file");
    assert_eq!(bucket, "logs-of-mine");
    let folder = "here/AWSLogs/111122223333/vpcflowlogs/ap-northeast-2/2021/09/03/";
    let name = format!("111122223333_vpcflowlogs_ap-northeast-2_{log}_20210903T0102Z_");
    assert!(key.starts_with(&format!("{folder}{name}")), "{key}");
}
