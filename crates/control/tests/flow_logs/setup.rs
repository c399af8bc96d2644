//! A cloud with flow logs, windows in memory, buckets that take what they are given.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use gureum_control::{BoxFuture, Buckets, FlowWindows, PutError, Visitor};
use gureum_store::{Store, StoreError};
use gureum_types::{
    NetworkInterfaceId, Tags, Timestamp, TrafficDirection, TrafficVerdict, Window, WindowEntry,
    record::{Bucket, Scope},
};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::common::{BEGIN, Cloud, Wishes};

/// A closed window; none where it is damaged.
struct Closed {
    window: Option<Window>,
    notes: Vec<u8>,
}

/// The closed windows that wait, in memory.
pub(crate) struct MemoryWindows {
    waiting: Mutex<BTreeMap<String, Closed>>,
    closed: Notify,
    changed: watch::Sender<u64>,
    /// Whether whoever notes something is killed just before.
    pub(crate) kills: AtomicBool,
    pub(crate) killed: AtomicUsize,
    /// How often the windows were listed.
    lists: AtomicUsize,
}

impl Default for MemoryWindows {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            closed: Notify::new(),
            changed: watch::channel(0).0,
            kills: AtomicBool::new(false),
            killed: AtomicUsize::new(0),
            lists: AtomicUsize::new(0),
        }
    }
}

impl MemoryWindows {
    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.waiting.lock().expect("a lock").len()
    }

    /// How many of those that wait have notes.
    pub(crate) fn noted(&self) -> usize {
        self.waiting.lock().expect("a lock").values().filter(|it| !it.notes.is_empty()).count()
    }

    /// Waits until all that waits was looked at once more, and looked at wholly.
    pub(crate) async fn looked_at(&self) {
        // The second list begins after the pass that the first one may be part of.
        let wanted = self.lists.load(Ordering::SeqCst) + 2;
        while self.lists.load(Ordering::SeqCst) < wanted {
            self.closed.notify_one();
            tokio::task::yield_now().await;
        }
    }

    fn close(&self, name: String, window: Option<Window>) {
        let closed = Closed { window, notes: Vec::new() };
        self.waiting.lock().expect("a lock").insert(name, closed);
        self.closed.notify_one();
    }

    fn with<R>(&self, name: &str, look: impl FnOnce(&mut Closed) -> R) -> io::Result<R> {
        let mut waiting = self.waiting.lock().expect("a lock");
        waiting.get_mut(name).map(look).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FlowWindows for MemoryWindows {
    fn list(&self) -> io::Result<Vec<String>> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        Ok(self.waiting.lock().expect("a lock").keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Window> {
        self.with(name, |it| it.window.clone())?.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn notes(&self, name: &str) -> io::Result<Vec<u8>> {
        self.with(name, |it| it.notes.clone())
    }

    fn note(&self, name: &str, notes: &[u8]) -> io::Result<()> {
        if self.kills.load(Ordering::SeqCst) {
            self.killed.fetch_add(1, Ordering::SeqCst);
            self.changed.send_modify(|it| *it += 1);
            panic!("killed");
        }
        self.with(name, |it| it.notes = notes.to_vec())?;
        self.changed.send_modify(|it| *it += 1);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.waiting.lock().expect("a lock").remove(name);
        self.changed.send_modify(|it| *it += 1);
        Ok(())
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.closed.notified())
    }
}

/// Buckets that remember what they are given, or take nothing.
#[derive(Default)]
pub(crate) struct MemoryBuckets {
    /// By bucket and key.
    pub(crate) objects: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    pub(crate) refuses: Mutex<Option<PutError>>,
}

impl Buckets for MemoryBuckets {
    fn put<'a>(
        &'a self,
        _: Visitor,
        bucket: &'a str,
        key: &'a str,
        _: &'a str,
        body: Vec<u8>,
    ) -> BoxFuture<'a, Result<(), PutError>> {
        let refused = self.refuses.lock().expect("a lock").clone();
        if refused.is_none() {
            let place = (bucket.to_owned(), key.to_owned());
            self.objects.lock().expect("a lock").insert(place, body);
        }
        Box::pin(async move { refused.map_or(Ok(()), Err) })
    }
}

/// What a test has.
pub(crate) struct Setup {
    pub(crate) cloud: Cloud,
    pub(crate) windows: Arc<MemoryWindows>,
    pub(crate) buckets: Arc<MemoryBuckets>,
    pub(crate) vpc: String,
    pub(crate) subnet: String,
    store: Arc<Store>,
    running: JoinHandle<()>,
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.running.abort();
    }
}

pub(crate) const GROUP: &str = "IMD-VPCFlow";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Service":"vpc-flow-logs.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// A policy that allows actions of CloudWatch Logs.
pub(crate) fn allow(actions: &[&str]) -> String {
    let actions: Vec<_> = actions.iter().map(|it| format!("logs:{it}")).collect();
    let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// What a role needs (FL-7).
pub(crate) const ALL: &[&str] = &[
    "CreateLogGroup",
    "CreateLogStream",
    "PutLogEvents",
    "DescribeLogGroups",
    "DescribeLogStreams",
];

impl Setup {
    pub(crate) async fn new() -> Self {
        Self::with(Wishes::default()).await
    }

    pub(crate) async fn with(wishes: Wishes) -> Self {
        let store = wishes.store.clone();
        let (windows, buckets) = (Arc::<MemoryWindows>::default(), Arc::<MemoryBuckets>::default());
        let cloud = Cloud::with(Wishes { buckets: Some(buckets.clone()), ..wishes });
        let (vpc, subnet) = cloud.network().await;
        let (control, to) = (cloud.control.clone(), windows.clone());
        let running = tokio::spawn(async move { control.run_flow_logs(to).await });
        Self { cloud, windows, buckets, vpc, subnet, store, running }
    }

    /// A role with a trust policy and a policy.
    pub(crate) async fn role(&self, name: &str, trust: &str, policy: &str) -> String {
        let role = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
        self.cloud.iam("CreateRole", &role).await.ok();
        self.put_policy(name, policy).await;
        format!("arn:aws:iam::{}:role/{name}", self.cloud.account)
    }

    pub(crate) async fn put_policy(&self, role: &str, policy: &str) {
        let put = [("RoleName", role), ("PolicyName", "logs"), ("PolicyDocument", policy)];
        self.cloud.iam("PutRolePolicy", &put).await.ok();
    }

    /// A role as the lab has it.
    pub(crate) async fn lab_role(&self) -> String {
        self.role("flowlogsRole", TRUST, &allow(ALL)).await
    }

    /// A flow log of the VPC to the lab's group, a minute of all traffic unless `more` says otherwise.
    pub(crate) async fn flow_log(&self, role: &str, more: &[(&str, &str)]) -> String {
        let mut parameters = vec![
            ("ResourceType", "VPC"),
            ("ResourceId.1", self.vpc.as_str()),
            ("TrafficType", "ALL"),
            ("LogGroupName", GROUP),
            ("DeliverLogsPermissionArn", role),
            ("MaxAggregationInterval", "60"),
        ];
        parameters.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        parameters.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        let made = self.cloud.ec2("CreateFlowLogs", &parameters).await.ok();
        made.get("item").unwrap_or_else(|| panic!("{}", made.body)).to_owned()
    }

    /// Status and message of a flow log's delivery.
    pub(crate) async fn status(&self, log: &str) -> (String, Option<String>) {
        let shown = self.cloud.ec2("DescribeFlowLogs", &[("FlowLogId.1", log)]).await.ok();
        (shown.text("deliverLogsStatus"), shown.get("deliverLogsErrorMessage").map(str::to_owned))
    }

    /// Waits until a flow log's delivery has a status.
    pub(crate) async fn until_status(&self, log: &str, status: &str) {
        let wanted = format!("<deliverLogsStatus>{status}<");
        let parameters = [("FlowLogId.1", log)];
        self.cloud.until("DescribeFlowLogs", &parameters, |it| it.body.contains(&wanted)).await;
    }

    /// The only interface of an instance.
    pub(crate) async fn interface_of(&self, instance: &str) -> String {
        let parameters = [("InstanceId.1", instance)];
        self.cloud.ec2("DescribeInstances", &parameters).await.ok().text("networkInterfaceId")
    }

    /// The address of an instance.
    pub(crate) async fn address_of(&self, instance: &str) -> String {
        let parameters = [("InstanceId.1", instance)];
        self.cloud.ec2("DescribeInstances", &parameters).await.ok().text("privateIpAddress")
    }

    /// Time goes on by a window of so many seconds, in which something was counted.
    pub(crate) fn window(&self, seconds: u64, entries: Vec<WindowEntry>) -> Timestamp {
        self.window_with(seconds, entries, &[])
    }

    /// As [`Self::window`], with interfaces of which something is missing.
    pub(crate) fn window_with(
        &self,
        seconds: u64,
        mut entries: Vec<WindowEntry>,
        skipped: &[&str],
    ) -> Timestamp {
        let start = Timestamp(self.cloud.clock.load(Ordering::SeqCst));
        self.cloud.advance(Duration::from_secs(seconds));
        let end = Timestamp(self.cloud.clock.load(Ordering::SeqCst));
        for entry in &mut entries {
            entry.first = Timestamp(entry.first.0 + start.0);
            entry.last = Timestamp(entry.last.0 + start.0);
        }
        let skipped = skipped.iter().map(|it| it.parse().expect("an id")).collect();
        self.windows.close(name(start), Some(Window { start, end, entries, skipped }));
        start
    }

    /// A window that cannot be read.
    pub(crate) fn damaged_window(&self, seconds: u64) {
        let start = Timestamp(self.cloud.clock.load(Ordering::SeqCst));
        self.cloud.advance(Duration::from_secs(seconds));
        self.windows.close(name(start), None);
    }

    /// Waits until the windows that wait are as wanted.
    pub(crate) async fn until_waiting(&self, wanted: usize) {
        self.until(|| self.windows.count() == wanted).await;
    }

    /// Waits until something holds, which changes with the windows.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        self.until_within(Duration::from_secs(60), holds).await;
    }

    /// As [`Self::until`], for as long as that may take.
    pub(crate) async fn until_within(&self, patience: Duration, holds: impl Fn() -> bool) {
        let mut changed = self.windows.changed.subscribe();
        let waited = async {
            while !holds() {
                changed.changed().await.expect("windows");
            }
        };
        tokio::time::timeout(patience, waited).await.expect("never as wanted");
    }

    /// A bucket of the account.
    fn bucket(&self, name: &str) {
        let bucket = Bucket {
            name: name.to_owned(),
            data: 1,
            created: Timestamp(BEGIN),
            tags: Tags::new(),
            configurations: BTreeMap::new(),
        };
        let scope = Scope {
            account: self.cloud.account.parse().expect("an account"),
            region: self.cloud.region.parse().expect("a region"),
        };
        let put = self.store.transact(|tx| {
            tx.put(&scope, bucket.clone());
            Ok::<_, StoreError>(())
        });
        put.expect("written");
    }

    /// A flow log of the VPC to a folder of a bucket that is made for it, a minute of all traffic.
    pub(crate) async fn flow_log_to_bucket(&self, folder: &str, more: &[(&str, &str)]) -> String {
        self.bucket(folder.split('/').next().unwrap_or_default());
        let arn = format!("arn:aws:s3:::{folder}");
        let mut all = vec![
            ("LogGroupName", ""),
            ("DeliverLogsPermissionArn", ""),
            ("LogDestinationType", "s3"),
            ("LogDestination", arn.as_str()),
        ];
        all.extend(more);
        self.flow_log("", &all).await
    }

    /// What is in the files of text that were put, in the order of their keys.
    pub(crate) fn files(&self) -> Vec<String> {
        let objects = self.buckets.objects.lock().expect("a lock").clone();
        let text = |body: Vec<u8>| {
            let mut text = String::new();
            MultiGzDecoder::new(body.as_slice()).read_to_string(&mut text).expect("gzip");
            text
        };
        objects.into_values().map(text).collect()
    }

    /// A running instance of a type.
    pub(crate) async fn instance_of(&self, kind: &str) -> String {
        let image = self.cloud.image().await;
        let parameters = [
            ("ImageId", image.as_str()),
            ("InstanceType", kind),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("SubnetId", self.subnet.as_str()),
        ];
        let id = self.cloud.make("RunInstances", &parameters, "instanceId").await;
        self.cloud.until_state(&id, "running").await;
        id
    }

    pub(crate) async fn logs(&self, action: &str, body: &Value) -> Value {
        let mut headers = self.cloud.headers("logs");
        let target = format!("Logs_20140328.{action}");
        headers.insert("x-amz-target", target.parse().expect("a header"));
        let json = HeaderValue::from_static("application/x-amz-json-1.1");
        headers.insert(header::CONTENT_TYPE, json);
        let reply = self.cloud.send("logs", headers, body.to_string().as_bytes()).await;
        let answer: Value = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
        match reply.status {
            200 => answer,
            _ => json!({ "refused": answer }),
        }
    }

    /// All that is in the lab's group: streams and messages, in the order of time.
    pub(crate) async fn events(&self) -> Vec<(String, String)> {
        let found = self.logs("FilterLogEvents", &json!({ "logGroupName": GROUP })).await;
        let events = found["events"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        events.iter().map(|it| (text(&it["logStreamName"]), text(&it["message"]))).collect()
    }

    /// The messages of all streams.
    pub(crate) async fn messages(&self) -> Vec<String> {
        self.events().await.into_iter().map(|(_, message)| message).collect()
    }
}

fn name(start: Timestamp) -> String {
    format!("{:016}", start.0)
}

/// Seconds since the tests began, as records print points in time.
pub(crate) fn seconds(after: i64) -> i64 {
    BEGIN / 1000 + after
}

/// What an interface of 10.1.1.0/24 was sent from outside of it, in the first second of a window.
pub(crate) fn counted(interface: &str, port: u16, verdict: TrafficVerdict) -> WindowEntry {
    WindowEntry {
        interface: interface.parse::<NetworkInterfaceId>().expect("an id"),
        direction: TrafficDirection::Ingress,
        source: "192.0.2.7".parse().expect("an address"),
        destination: "10.1.1.4".parse().expect("an address"),
        source_port: 40_000,
        destination_port: port,
        protocol: 6,
        verdict,
        path: None,
        tcp_flags: 2,
        packets: 3,
        bytes: 180,
        first: Timestamp(0),
        last: Timestamp(1000),
    }
}

/// As [`counted`], what was let pass.
pub(crate) fn accepted(interface: &str, port: u16) -> WindowEntry {
    counted(interface, port, TrafficVerdict::Accept)
}

/// As [`counted`], what was rejected.
pub(crate) fn rejected(interface: &str, port: u16) -> WindowEntry {
    counted(interface, port, TrafficVerdict::Reject)
}
