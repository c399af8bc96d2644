//! A control over a recording Linux, spoken to as clients speak: with requests on the wire.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod sign;
pub(crate) mod wire;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use gureum_control::{Buckets, Config, Control, MessageGateway, RecordingLinux, RootKey, Source};
use gureum_engine::FabricConfig;
use gureum_logs::LogStore;
use gureum_store::Store;
use gureum_types::{Timestamp, host::HostEvent};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use tokio::{sync::mpsc, task::JoinHandle};

/// The moment at which tests begin.
pub(crate) const BEGIN: i64 = 1_630_630_923_000;

/// A cloud of its own.
pub(crate) struct Cloud {
    pub(crate) control: Arc<Control>,
    pub(crate) linux: Arc<RecordingLinux>,
    pub(crate) events: mpsc::Sender<HostEvent>,
    pub(crate) clock: Arc<AtomicI64>,
    pub(crate) account: String,
    pub(crate) region: String,
    /// What requests are signed with; a key that nobody issued where absent.
    pub(crate) keys: Option<Keys>,
    pub(crate) source: Source,
    running: Option<JoinHandle<()>>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

/// Credentials.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Keys {
    /// Those of an answer.
    pub(crate) fn of(reply: &Reply) -> Self {
        Self {
            id: reply.text("AccessKeyId"),
            secret: reply.text("SecretAccessKey"),
            token: reply.get("SessionToken").map(str::to_owned),
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    /// The text of the first element of that name.
    pub(crate) fn get(&self, element: &str) -> Option<&str> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let from = self.body.find(&open)? + open.len();
        let to = self.body[from..].find(&close)? + from;
        Some(&self.body[from..to])
    }

    /// The text of the first element of that name, which must be there.
    pub(crate) fn text(&self, element: &str) -> String {
        self.get(element).unwrap_or_else(|| panic!("no {element} in {}", self.body)).to_owned()
    }

    /// The texts of all elements of that name.
    pub(crate) fn all(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let parts = self.body.split(&open).skip(1);
        parts.filter_map(|part| part.split(&close).next()).map(str::to_owned).collect()
    }

    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }

    /// Code and message of a refusal.
    pub(crate) fn refusal(&self) -> (String, String) {
        assert_ne!(self.status, 200, "{}", self.body);
        (self.text("Code"), self.text("Message").replace("&quot;", "\""))
    }

    pub(crate) fn code(&self) -> String {
        self.refusal().0
    }
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// What [`Cloud::with`] may be told.
pub(crate) struct Wishes {
    pub(crate) store: Arc<Store>,
    pub(crate) quotas: bool,
    pub(crate) aws_timing: bool,
    pub(crate) logs: Option<Arc<LogStore>>,
    pub(crate) running: bool,
    pub(crate) acknowledge_within: Duration,
    pub(crate) reconcile_every: Duration,
    pub(crate) strict_auth: Option<RootKey>,
    pub(crate) gateway: Option<Arc<dyn MessageGateway>>,
    pub(crate) buckets: Option<Arc<dyn Buckets>>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            store: Arc::new(Store::in_memory()),
            quotas: false,
            aws_timing: false,
            logs: None,
            running: true,
            acknowledge_within: Duration::from_secs(10),
            reconcile_every: Duration::from_millis(50),
            strict_auth: None,
            gateway: None,
            buckets: None,
        }
    }
}

impl Cloud {
    pub(crate) fn new() -> Self {
        Self::with(Wishes::default())
    }

    pub(crate) fn with(wishes: Wishes) -> Self {
        let linux = Arc::new(RecordingLinux::default());
        let clock = Arc::new(AtomicI64::new(BEGIN));
        let mut config = Config::new(FabricConfig {
            internet_mac: [2; 6],
            services_mac: [6; 6],
            public_pool: "198.18.0.0/16".parse().expect("a block"),
            ipv6_pool: gureum_types::IPV6_POOL,
        });
        config.aws_quotas = wishes.quotas;
        config.aws_timing = wishes.aws_timing;
        if let Some(logs) = wishes.logs {
            config.logs = logs;
        }
        config.acknowledge_within = wishes.acknowledge_within;
        config.reconcile_every = wishes.reconcile_every;
        config.strict_auth = wishes.strict_auth.is_some();
        config.root_key = wishes.strict_auth;
        if let Some(gateway) = wishes.gateway {
            config.gateway = gateway;
        }
        if let Some(buckets) = wishes.buckets {
            config.buckets = buckets;
        }
        let time = clock.clone();
        config.clock = Arc::new(move || Timestamp(time.load(Ordering::SeqCst)));
        let count = AtomicU64::new(wishes.store.snapshot().revision() << 32);
        // Every number once, in no visible order.
        config.random = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        let control = Arc::new(Control::open(wishes.store, linux.clone(), config));
        let (events, receiver) = mpsc::channel(16);
        let running = wishes.running.then(|| {
            let control = control.clone();
            tokio::spawn(async move { control.run(receiver).await })
        });
        Self {
            control,
            linux,
            events,
            clock,
            account: "111122223333".into(),
            region: "ap-northeast-2".into(),
            keys: None,
            source: Source::default(),
            running,
        }
    }

    pub(crate) fn headers(&self, service: &str) -> HeaderMap {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20210903/{}/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            self.account,
            self.region,
            "0".repeat(64)
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().expect("a header"));
        headers.insert("x-amz-date", HeaderValue::from_static("20210903T010203Z"));
        headers
    }

    /// Sends a request, signed where there is something to sign with.
    pub(crate) async fn send(&self, service: &str, mut headers: HeaderMap, body: &[u8]) -> Reply {
        if self.keys.is_some() {
            headers = self.signed(service, headers, body);
        }
        self.send_as_it_is(headers, body).await
    }

    /// The headers of a request that is signed now.
    pub(crate) fn signed(&self, service: &str, mut headers: HeaderMap, body: &[u8]) -> HeaderMap {
        let now = Timestamp(self.clock.load(Ordering::SeqCst));
        let keys = self.keys.as_ref().expect("something to sign with");
        sign::sign(&mut headers, body, keys, &self.region, service, now);
        headers
    }

    /// Sends a request with the headers that are given.
    pub(crate) async fn send_as_it_is(&self, headers: HeaderMap, body: &[u8]) -> Reply {
        let uri = Uri::from_static("/");
        let id = self.control.request_id();
        let answer = match gureum_api::route(&Method::POST, &uri, &headers, body) {
            Ok(request) => self.control.handle_from(request, &self.source, &id).await,
            Err(refused) => refused.response(&id),
        };
        let body = String::from_utf8(answer.body().to_vec()).expect("text");
        Reply { status: answer.status().as_u16(), body }
    }

    /// The same cloud, spoken to by another account, in another region.
    pub(crate) fn as_seen_by(&self, account: &str, region: &str) -> Self {
        Self {
            control: self.control.clone(),
            linux: self.linux.clone(),
            events: self.events.clone(),
            clock: self.clock.clone(),
            account: account.to_owned(),
            region: region.to_owned(),
            keys: self.keys.clone(),
            source: self.source.clone(),
            running: None,
        }
    }

    /// The same cloud, spoken to with credentials.
    pub(crate) fn with_keys(&self, keys: &Keys) -> Self {
        let mut seen = self.as_seen_by(&self.account, &self.region);
        seen.keys = Some(keys.clone());
        seen
    }

    /// The same cloud, spoken to from somewhere.
    pub(crate) fn seen_from(&self, source: Source) -> Self {
        let mut seen = self.as_seen_by(&self.account, &self.region);
        seen.source = source;
        seen
    }

    pub(crate) async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Reply {
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            body.push_str(&format!("&{}={}", encode(name), encode(value)));
        }
        self.send(service, self.headers(service), body.as_bytes()).await
    }

    /// A call of EC2.
    pub(crate) async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.query("ec2", "2016-11-15", action, parameters).await
    }

    /// A call of IAM.
    pub(crate) async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.query("iam", "2010-05-08", action, parameters).await
    }

    /// A call of Systems Manager.
    pub(crate) async fn ssm(&self, action: &str, body: &str) -> Reply {
        let mut headers = self.headers("ssm");
        let target = format!("AmazonSSM.{action}");
        headers.insert("x-amz-target", target.parse().expect("a header"));
        let json = HeaderValue::from_static("application/x-amz-json-1.1");
        headers.insert(header::CONTENT_TYPE, json);
        self.send("ssm", headers, body.as_bytes()).await
    }

    /// A call of STS.
    pub(crate) async fn sts(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.query("sts", "2011-06-15", action, parameters).await
    }

    /// A call that must succeed, and one element of its answer.
    pub(crate) async fn make(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        element: &str,
    ) -> String {
        self.ec2(action, parameters).await.ok().text(element)
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        wanted: impl Fn(&Reply) -> bool,
    ) -> Reply {
        let mut watch = self.control.watch();
        let waited = async {
            loop {
                let reply = self.ec2(action, parameters).await;
                if wanted(&reply) {
                    return reply;
                }
                watch.changed().await.expect("a store");
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), waited).await {
            Ok(reply) => reply,
            Err(_) => {
                let last = self.ec2(action, parameters).await;
                panic!("{action} never came to what was wanted: {}", last.body)
            }
        }
    }

    /// Waits until an instance is in a state.
    pub(crate) async fn until_state(&self, id: &str, state: &str) -> Reply {
        let name = format!("<name>{state}</name>");
        self.until("DescribeInstances", &[("InstanceId.1", id)], |it| it.body.contains(&name)).await
    }

    /// A VPC with one subnet in zone a.
    pub(crate) async fn network(&self) -> (String, String) {
        let vpc = self.make("CreateVpc", &[("CidrBlock", "10.1.0.0/16")], "vpcId").await;
        let subnet = self.subnet(&vpc, "10.1.1.0/24", "ap-northeast-2a").await;
        (vpc, subnet)
    }

    pub(crate) async fn subnet(&self, vpc: &str, block: &str, zone: &str) -> String {
        let parameters = [("VpcId", vpc), ("CidrBlock", block), ("AvailabilityZone", zone)];
        self.make("CreateSubnet", &parameters, "subnetId").await
    }

    pub(crate) async fn image(&self) -> String {
        let filter = [("Filter.1.Name", "name"), ("Filter.1.Value.1", "amzn2-ami-hvm-*")];
        self.make("DescribeImages", &filter, "imageId").await
    }

    /// Launches one instance in a subnet and waits until it runs.
    pub(crate) async fn instance(&self, subnet: &str, more: &[(&str, &str)]) -> String {
        let image = self.image().await;
        let mut parameters = vec![
            ("ImageId", image.as_str()),
            ("InstanceType", "t2.micro"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
        ];
        if !more.iter().any(|(name, _)| name.starts_with("NetworkInterface.")) {
            parameters.push(("SubnetId", subnet));
        }
        parameters.extend(more);
        let id = self.make("RunInstances", &parameters, "instanceId").await;
        self.until_state(&id, "running").await;
        id
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.fetch_add(i64::try_from(by.as_millis()).expect("short"), Ordering::SeqCst);
    }
}

/// An operation, its parameters, the code, a part of the message.
pub(crate) type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

/// Makes calls that must be refused, and checks that the records stay as they are.
pub(crate) async fn refused(cloud: &Cloud, calls: &[Refused<'_>]) {
    for (action, parameters, code, message) in calls {
        let before = cloud.control.snapshot().revision();
        let reply = cloud.ec2(action, parameters).await;
        let (found_code, found_message) = reply.refusal();
        assert_eq!((found_code.as_str(), reply.status), (*code, 400), "{action} {parameters:?}");
        assert!(found_message.contains(message), "{action} {parameters:?}: {found_message}");
        assert_eq!(cloud.control.snapshot().revision(), before, "{action} changed something");
    }
}
