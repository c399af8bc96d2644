//! The life of instances: what the reconciler makes of requests, events and failures.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Cloud, Reply, Wishes};
use gureum_control::{Asked, LinuxError};
use gureum_store::Store;
use gureum_types::{
    InstanceId,
    host::{HostEvent, ObservedInstance, Run},
};

fn public<'a>() -> Vec<(&'a str, &'a str)> {
    vec![
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.AssociatePublicIpAddress", "true"),
    ]
}

async fn public_instance(cloud: &Cloud, subnet: &str) -> String {
    let mut parameters = public();
    parameters.push(("NetworkInterface.1.SubnetId", subnet));
    cloud.instance(subnet, &parameters).await
}

fn parsed(id: &str) -> InstanceId {
    id.parse().expect("an id")
}

#[tokio::test]
async fn a_stop_takes_the_public_address_and_a_start_gives_another() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = public_instance(&cloud, &subnet).await;
    let before = cloud.until_state(&id, "running").await;
    let stopped = cloud.ec2("StopInstances", &[("InstanceId.1", &id)]).await.ok();
    assert!(stopped.body.contains("<name>stopping</name>"), "EC2-2");
    let stopping = cloud.ec2("DescribeInstances", &[("InstanceId.1", &id)]).await.ok();
    let reason = "<reason>User initiated (2021-09-03 01:02:03 GMT)</reason>";
    assert!(stopping.body.contains(reason), "{}", stopping.body);
    let off = cloud.until_state(&id, "stopped").await;
    assert_eq!(off.get("ipAddress"), None, "PUB-3");
    assert_eq!(off.text("privateIpAddress"), before.text("privateIpAddress"), "ENI-10");
    assert!(off.body.contains(reason), "{}", off.body);
    let why = "<stateReason><code>Client.UserInitiatedShutdown</code><message>\
               Client.UserInitiatedShutdown: User initiated shutdown</message></stateReason>";
    assert!(off.body.contains(why), "{}", off.body);
    assert_eq!(off.get("dnsName").unwrap_or_default(), "");
    assert!(off.body.contains("<dnsName"), "empty, not absent: {}", off.body);
    cloud.ec2("StartInstances", &[("InstanceId.1", &id)]).await.ok();
    let on = cloud.until_state(&id, "running").await;
    assert!(on.get("stateReason").is_none() && !on.body.contains("User initiated"), "{}", on.body);
    assert_ne!(on.text("ipAddress"), before.text("ipAddress"), "PUB-3");
    assert_eq!(on.text("networkInterfaceId"), before.text("networkInterfaceId"));
    let starts: Vec<_> = cloud
        .linux
        .asked()
        .into_iter()
        .filter_map(|asked| match asked {
            Asked::EnsureRunning(spec) => Some(spec.start),
            _ => None,
        })
        .collect();
    assert_eq!(starts, [1, 2]);
}

#[tokio::test]
async fn a_reboot_keeps_everything() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = public_instance(&cloud, &subnet).await;
    let before = cloud.until_state(&id, "running").await;
    cloud.ec2("RebootInstances", &[("InstanceId.1", &id)]).await.ok();
    let mut watch = cloud.control.watch();
    while !cloud.linux.asked().contains(&Asked::Reboot(parsed(&id))) {
        watch.changed().await.expect("a store");
    }
    let after = cloud.until_state(&id, "running").await;
    assert_eq!(after.text("ipAddress"), before.text("ipAddress"), "EC2-7");
    let reboots = cloud.linux.asked().iter().filter(|it| matches!(it, Asked::Reboot(_))).count();
    assert_eq!(reboots, 1);
}

#[tokio::test]
async fn status_checks_pass_when_the_instance_is_ready() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    let status = cloud.ec2("DescribeInstanceStatus", &[("InstanceId.1", &id)]).await.ok();
    assert!(status.body.contains("<status>initializing</status>"), "EC2-24: {}", status.body);
    cloud.events.send(HostEvent::Ready(parsed(&id))).await.expect("a listener");
    cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], passes).await;
    // They begin anew with every boot.
    cloud.ec2("RebootInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], begins).await;
    cloud.events.send(HostEvent::Ready(parsed(&id))).await.expect("a listener");
    cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], passes).await;
    cloud.ec2("StopInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until_state(&id, "stopped").await;
    cloud.ec2("StartInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], begins).await;
    cloud.events.send(HostEvent::Ready(parsed(&id))).await.expect("a listener");
    cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], passes).await;
}

/// Whether both status checks of one instance have passed.
fn passes(reply: &common::Reply) -> bool {
    reply.body.matches("<status>ok</status>").count() == 2
}

/// Whether both status checks of one instance are on their way, and their details say so too.
fn begins(reply: &common::Reply) -> bool {
    reply.body.matches("<status>initializing</status>").count() == 4
}

#[tokio::test]
async fn status_checks_begin_anew_with_the_machine_but_not_with_the_daemon() {
    let store = Arc::new(Store::in_memory());
    let again = || Cloud::with(Wishes { store: store.clone(), ..Wishes::default() });
    let id = {
        let cloud = again();
        let (_, subnet) = cloud.network().await;
        let id = cloud.instance(&subnet, &[]).await;
        cloud.events.send(HostEvent::Ready(parsed(&id))).await.expect("a listener");
        cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], passes).await;
        id
    };
    {
        let cloud = again();
        let runs = ObservedInstance { id: parsed(&id), start: 1, run: Run::Running, ready: true };
        cloud.linux.set_observed(vec![runs]);
        while cloud.linux.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        let status = cloud.ec2("DescribeInstanceStatus", &[("InstanceId.1", &id)]).await.ok();
        assert!(passes(&status), "it outlived the daemon: {}", status.body);
    }
    let cloud = again();
    cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], begins).await;
    cloud.events.send(HostEvent::Ready(parsed(&id))).await.expect("a listener");
    cloud.until("DescribeInstanceStatus", &[("InstanceId.1", &id)], passes).await;
}

fn launches(cloud: &Cloud) -> usize {
    cloud.linux.asked().iter().filter(|it| matches!(it, Asked::EnsureRunning(_))).count()
}

/// Launches that many instances in one call, and waits until all run.
async fn crowd(cloud: &Cloud, subnet: &str, count: &str) -> Vec<String> {
    let image = cloud.image().await;
    let launch = [
        ("ImageId", image.as_str()),
        ("InstanceType", "t2.micro"),
        ("MinCount", count),
        ("MaxCount", count),
        ("SubnetId", subnet),
    ];
    let launched = cloud.ec2("RunInstances", &launch).await.ok();
    assert!(launched.body.contains("<stateReason><code>pending</code>"), "{}", launched.body);
    let ids = launched.all("instanceId");
    let all = |it: &common::Reply| it.all("name").iter().filter(|it| *it == "running").count();
    let all_run = |it: &common::Reply| all(it).to_string() == count;
    cloud.until("DescribeInstances", &[], all_run).await;
    ids
}

#[tokio::test]
async fn instances_of_one_call_are_launched_at_once_and_side_by_side() {
    tokio::time::pause();
    // Nothing but the call itself can be what wakes the reconciler.
    let reconcile_every = Duration::from_secs(3600);
    let cloud = Cloud::with(Wishes { reconcile_every, ..Wishes::default() });
    let (_, subnet) = cloud.network().await;
    cloud.linux.delay_instances(Duration::from_millis(100));
    let begin = tokio::time::Instant::now();
    crowd(&cloud, &subnet, "20").await;
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(400), "three rounds of at most eight: {took:?}");
    assert_eq!((launches(&cloud), cloud.linux.most_at_once()), (20, 8));
}

#[tokio::test]
async fn a_look_that_takes_long_holds_nobody_up_and_tells_nothing_of_what_happened_meanwhile() {
    tokio::time::pause();
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    cloud.linux.delay_instances(Duration::from_millis(120));
    let begin = tokio::time::Instant::now();
    // Looks begin all the time and end when what they saw is no longer so.
    let ids = crowd(&cloud, &subnet, "5").await;
    assert!(begin.elapsed() < Duration::from_millis(240), "{:?}", begin.elapsed());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(launches(&cloud), 5, "none was taken for dead");
    for id in &ids {
        cloud.ec2("TerminateInstances", &[("InstanceId.1", id)]).await.ok();
    }
    for id in &ids {
        cloud.until_state(id, "terminated").await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ends = cloud.linux.asked().iter().filter(|it| matches!(it, Asked::Terminate(_))).count();
    assert_eq!(ends, 5, "none is removed twice");
}

#[tokio::test]
async fn an_instance_that_switches_itself_off_is_stopped_or_terminated() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    cloud.events.send(HostEvent::PoweredOff(parsed(&id))).await.expect("a listener");
    let off = cloud.until_state(&id, "stopped").await;
    assert!(off.body.contains("Client.InstanceInitiatedShutdown"), "EC2-9");
    let ends = [("InstanceInitiatedShutdownBehavior", "terminate")];
    let id = cloud.instance(&subnet, &ends).await;
    cloud.events.send(HostEvent::PoweredOff(parsed(&id))).await.expect("a listener");
    cloud.until_state(&id, "terminated").await;
}

#[tokio::test]
async fn a_launch_that_fails_ends_terminated_and_frees_what_it_held() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let image = cloud.image().await;
    let launch = [
        ("ImageId", image.as_str()),
        ("InstanceType", "t2.micro"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("SubnetId", subnet.as_str()),
    ];
    cloud.linux.fail_next(LinuxError::InsufficientCapacity("inotify".into()));
    let id = cloud.make("RunInstances", &launch, "instanceId").await;
    let gone = cloud.until_state(&id, "terminated").await;
    assert!(gone.body.contains("<code>Server.InsufficientInstanceCapacity</code>"));
    assert!(!gone.body.contains("inotify"), "detail is for the log");
    cloud.linux.fail_next(LinuxError::Failed("no".into()));
    let id = cloud.make("RunInstances", &launch, "instanceId").await;
    let gone = cloud.until_state(&id, "terminated").await;
    assert!(gone.body.contains("<code>Server.InternalError</code>"));
    let free = cloud.ec2("DescribeSubnets", &[("SubnetId.1", &subnet)]).await.ok();
    assert_eq!(free.text("availableIpAddressCount"), "251");
}

#[tokio::test]
async fn a_start_that_fails_ends_stopped() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    cloud.ec2("StopInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until_state(&id, "stopped").await;
    cloud.linux.fail_next(LinuxError::InsufficientCapacity("memory".into()));
    cloud.ec2("StartInstances", &[("InstanceId.1", &id)]).await.ok();
    let off = cloud
        .until("DescribeInstances", &[("InstanceId.1", &id)], |it| {
            it.body.contains("<name>stopped</name>") && it.body.contains("InsufficientInstance")
        })
        .await;
    assert!(off.body.contains("Server.InsufficientInstanceCapacity"));
}

#[tokio::test]
async fn what_died_is_run_again_and_what_keeps_dying_is_stopped() {
    tokio::time::pause();
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    for death in 1..=5 {
        let before = launches(&cloud);
        cloud.events.send(HostEvent::Died(parsed(&id))).await.expect("a listener");
        if death < 5 {
            while launches(&cloud) == before {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let off = cloud.until_state(&id, "stopped").await;
    assert!(off.body.contains("<code>Server.InternalError</code>"));
    let before = launches(&cloud);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(launches(&cloud), before, "it stays stopped");
    cloud.until_state(&id, "stopped").await;
}

#[tokio::test]
async fn after_a_reboot_of_the_host_what_ran_runs_again() {
    let store = Arc::new(Store::in_memory());
    let id = {
        let cloud = Cloud::with(Wishes { store: store.clone(), ..Wishes::default() });
        let (_, subnet) = cloud.network().await;
        public_instance(&cloud, &subnet).await
    };
    // A new daemon on a machine where nothing runs.
    let cloud = Cloud::with(Wishes { store, ..Wishes::default() });
    let before = cloud.until_state(&id, "running").await;
    let spec = loop {
        let asked = cloud.linux.asked();
        let found = asked.into_iter().find_map(|it| match it {
            Asked::EnsureRunning(spec) => Some(spec),
            _ => None,
        });
        match found {
            Some(spec) => break spec,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!((spec.id.as_str(), spec.start), (id.as_str(), 1));
    assert_eq!(cloud.until_state(&id, "running").await.text("ipAddress"), before.text("ipAddress"));
}

#[tokio::test]
async fn what_no_record_knows_is_removed() {
    let cloud = Cloud::new();
    let orphan = InstanceId::new(77);
    let seen = ObservedInstance { id: orphan.clone(), start: 1, run: Run::Running, ready: true };
    cloud.linux.set_observed(vec![seen]);
    let removed = async {
        while !cloud.linux.asked().contains(&Asked::Terminate(orphan.clone())) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), removed).await.expect("it is removed");
}

#[tokio::test]
async fn an_interface_is_plugged_into_a_running_instance_and_out_again() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    let eni =
        cloud.make("CreateNetworkInterface", &[("SubnetId", &subnet)], "networkInterfaceId").await;
    let tie = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", &id), ("DeviceIndex", "1")];
    let attachment = cloud.make("AttachNetworkInterface", &tie, "attachmentId").await;
    let plugged = async |is_it: fn(&Asked) -> bool| {
        let wait = async {
            while !cloud.linux.asked().iter().any(is_it) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("Linux is asked");
    };
    let named = [("NetworkInterfaceId.1", eni.as_str())];
    let until = async |status: &str| {
        cloud
            .until("DescribeNetworkInterfaces", &named, |it| it.all("status") == [status, "in-use"])
            .await
    };
    plugged(|it| matches!(it, Asked::Attach(_, spec) if spec.device_index == 1)).await;
    until("attached").await;
    assert_eq!(cloud.linux.policy().expect("a policy").ports().count(), 4);
    // While Linux is at it, the attachment says so (ENI-2).
    cloud.linux.delay_instances(Duration::from_millis(300));
    cloud.ec2("DetachNetworkInterface", &[("AttachmentId", &attachment)]).await.ok();
    until("detaching").await;
    let busy = cloud.ec2("DeleteNetworkInterface", &[("NetworkInterfaceId", &eni)]).await;
    assert_eq!(busy.code(), "InvalidParameterValue", "ENI-6");
    plugged(|it| matches!(it, Asked::Detach(_, spec) if spec.device_index == 1)).await;
    // For a moment those who wait for the end of the attachment see it (ENI-2).
    let free = |it: &Reply| it.all("status") == ["detached", "available"];
    cloud.until("DescribeNetworkInterfaces", &named, free).await;
    let ended = [("Filter.1.Name", "attachment.attachment-id"), ("Filter.1.Value.1", &attachment)];
    let shown = cloud.ec2("DescribeNetworkInterfaces", &ended).await.ok();
    assert_eq!(shown.all("networkInterfaceId"), [&*eni]);
    let gone = cloud.ec2("DetachNetworkInterface", &[("AttachmentId", &attachment)]).await;
    assert_eq!(gone.code(), "InvalidAttachmentID.NotFound");
    cloud.advance(Duration::from_secs(20));
    let shown = cloud.ec2("DescribeNetworkInterfaces", &named).await.ok();
    assert_eq!(shown.all("status"), ["available"]);
    // Again, and it goes at once by force.
    let attachment = cloud.make("AttachNetworkInterface", &tie, "attachmentId").await;
    until("attaching").await;
    until("attached").await;
    let force = [("AttachmentId", attachment.as_str()), ("Force", "true")];
    cloud.ec2("DetachNetworkInterface", &force).await.ok();
    let shown = cloud.ec2("DescribeNetworkInterfaces", &named).await.ok();
    assert_eq!(shown.all("status"), ["detached", "available"], "ENI-2");
    cloud.linux.delay_instances(Duration::ZERO);
    // A link that the guest deleted is made anew.
    let port = cloud.control.resolve_interface(&id)[0].record.port;
    cloud.events.send(HostEvent::LinkLost(port)).await.expect("a listener");
    plugged(|it| matches!(it, Asked::Attach(_, spec) if spec.device_index == 0)).await;
}

#[tokio::test]
async fn a_terminated_instance_is_shown_an_hour() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    for _ in 0..2 {
        cloud.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await.ok();
    }
    cloud.until_state(&id, "terminated").await;
    cloud.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await.ok();
    let refused = cloud.ec2("StartInstances", &[("InstanceId.1", &id)]).await;
    let message = format!("The instance '{id}' is not in a state from which it can be started.");
    assert_eq!(refused.refusal(), ("IncorrectInstanceState".into(), message), "EC2-4");
    cloud.advance(Duration::from_secs(3599));
    cloud.ec2("DescribeInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.advance(Duration::from_secs(2));
    let gone = |it: &common::Reply| it.status == 400;
    let last = cloud.until("DescribeInstances", &[("InstanceId.1", &id)], gone).await;
    assert_eq!(last.code(), "InvalidInstanceID.NotFound", "EC2-3");
}

#[tokio::test]
async fn termination_protection_protects_all_that_are_named() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let free = cloud.instance(&subnet, &[]).await;
    let kept = cloud.instance(&subnet, &[("DisableApiTermination", "true")]).await;
    let both = [("InstanceId.1", free.as_str()), ("InstanceId.2", &kept)];
    let refused = cloud.ec2("TerminateInstances", &both).await;
    let message = format!(
        "The instance '{kept}' may not be terminated. Modify its 'disableApiTermination' \
         instance attribute and try again."
    );
    assert_eq!(refused.refusal(), ("OperationNotPermitted".into(), message), "EC2-6");
    cloud.until_state(&free, "running").await;
    let attribute = [("InstanceId", kept.as_str()), ("DisableApiTermination.Value", "false")];
    cloud.ec2("ModifyInstanceAttribute", &attribute).await.ok();
    cloud.ec2("TerminateInstances", &both).await.ok();
    cloud.until_state(&kept, "terminated").await;
}

#[tokio::test]
async fn a_console_is_what_the_instance_wrote() {
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    let console = cloud.ec2("GetConsoleOutput", &[("InstanceId", &id)]).await.ok();
    // "console of "
    assert!(console.text("output").starts_with("Y29uc29sZSBvZi"), "{}", console.body);
}

#[tokio::test]
async fn a_route_to_what_is_off_or_gone_is_a_blackhole() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let id = cloud.instance(&subnet, &[]).await;
    let gateway = cloud.make("CreateInternetGateway", &[], "internetGatewayId").await;
    let tie = [("InternetGatewayId", gateway.as_str()), ("VpcId", &vpc)];
    cloud.ec2("AttachInternetGateway", &tie).await.ok();
    let table = cloud.make("CreateRouteTable", &[("VpcId", &vpc)], "routeTableId").await;
    for (block, target, value) in
        [("8.8.8.0/24", "InstanceId", &id), ("9.9.9.0/24", "GatewayId", &gateway)]
    {
        let route =
            [("RouteTableId", table.as_str()), ("DestinationCidrBlock", block), (target, value)];
        cloud.ec2("CreateRoute", &route).await.ok();
    }
    let states = async || {
        let shown = cloud.ec2("DescribeRouteTables", &[("RouteTableId.1", &table)]).await.ok();
        shown.all("state")
    };
    assert_eq!(states().await, ["active", "active", "active"]);
    cloud.ec2("StopInstances", &[("InstanceId.1", &id)]).await.ok();
    cloud.until_state(&id, "stopped").await;
    cloud.ec2("DetachInternetGateway", &tie).await.ok();
    assert_eq!(states().await, ["active", "blackhole", "blackhole"], "RT-12, RT-13");
}

#[tokio::test]
async fn a_reset_leaves_nothing_of_an_account() {
    let cloud = Cloud::new();
    let (vpc, subnet) = cloud.network().await;
    let id = public_instance(&cloud, &subnet).await;
    let account = gureum_types::AccountId::parse(&cloud.account);
    cloud.control.reset(account.as_ref()).await.expect("a reset");
    assert_eq!(
        cloud.ec2("DescribeVpcs", &[("VpcId.1", &vpc)]).await.code(),
        "InvalidVpcID.NotFound"
    );
    let removed = async {
        while !cloud.linux.asked().contains(&Asked::Terminate(parsed(&id))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), removed).await.expect("it is removed");
    let vpcs = cloud.ec2("DescribeVpcs", &[]).await.ok();
    assert_eq!(vpcs.all("vpcId").len(), 1, "a new default VPC");
}

#[tokio::test]
async fn a_reset_does_not_wait_for_instances_to_go() {
    tokio::time::pause();
    let cloud = Cloud::new();
    let (_, subnet) = cloud.network().await;
    let ids = crowd(&cloud, &subnet, "50").await;
    let off = ids.first().expect("an id");
    cloud.ec2("StopInstances", &[("InstanceId.1", off)]).await.ok();
    cloud.until_state(off, "stopped").await;
    let patience = Duration::from_secs(8);
    cloud.linux.delay_instances(patience);
    let begin = tokio::time::Instant::now();
    let account = gureum_types::AccountId::parse(&cloud.account);
    cloud.control.reset(account.as_ref()).await.expect("a reset");
    assert_eq!(cloud.ec2("DescribeInstances", &[]).await.ok().all("instanceId").len(), 0);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    let ended = || {
        let asked = cloud.linux.asked();
        let ended = asked.into_iter().filter_map(|asked| match asked {
            Asked::Terminate(id) => Some(id.to_string()),
            _ => None,
        });
        ended.collect::<std::collections::BTreeSet<_>>()
    };
    while ended().len() < 49 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "those that ran go side by side, at once");
    // What was off is found by the next look.
    while ended().len() < 50 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begin.elapsed() < 2 * patience, "{:?}", begin.elapsed());
    assert_eq!(ended(), ids.into_iter().collect());
}
