//! Sessions and commands over the wire, with a gateway that is a double.

mod common;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use common::{Cloud, Reply, Wishes};
use gureum_control::{MessageGateway, NotConnected};
use gureum_session::message::{AgentJob, SessionContent, StartSession};
use gureum_types::{
    InstanceId,
    session::{GatewayEvent, SessionId, SessionLimits},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// A gateway that remembers what it was asked.
#[derive(Default)]
struct Double {
    connected: AtomicBool,
    started: Mutex<Vec<(SessionId, InstanceId, StartSession)>>,
    limits: Mutex<Vec<SessionLimits>>,
    terminated: Mutex<Vec<SessionId>>,
    jobs: Mutex<Vec<(InstanceId, AgentJob)>>,
}

impl MessageGateway for Double {
    fn is_connected(&self, _: &InstanceId) -> bool {
        self.connected.load(Ordering::SeqCst)
    }

    fn start_session(
        &self,
        id: &SessionId,
        target: &InstanceId,
        content: &StartSession,
        limits: SessionLimits,
    ) -> Result<String, NotConnected> {
        if !self.is_connected(target) {
            return Err(NotConnected);
        }
        let started = (id.clone(), target.clone(), content.clone());
        self.started.lock().expect("no panic").push(started);
        self.limits.lock().expect("no panic").push(limits);
        Ok("a token".to_owned())
    }

    fn resume_session(&self, id: &SessionId) -> Option<String> {
        let over = self.terminated.lock().expect("no panic").contains(id);
        (!over).then(|| "another token".to_owned())
    }

    fn terminate_session(&self, id: &SessionId) {
        self.terminated.lock().expect("no panic").push(id.clone());
    }

    fn send_job(&self, instance: &InstanceId, job: &AgentJob) -> Result<(), NotConnected> {
        if !self.is_connected(instance) {
            return Err(NotConnected);
        }
        self.jobs.lock().expect("no panic").push((instance.clone(), job.clone()));
        Ok(())
    }
}

struct World {
    cloud: Cloud,
    gateway: Arc<Double>,
    events: mpsc::Sender<GatewayEvent>,
    instance: String,
}

impl World {
    /// A cloud with one instance, whose agent has registered but is not connected.
    async fn open() -> Self {
        let gateway = Arc::new(Double::default());
        let wishes = Wishes { gateway: Some(gateway.clone()), ..Wishes::default() };
        let cloud = Cloud::with(wishes);
        let (events, receiver) = mpsc::channel(16);
        let control = cloud.control.clone();
        tokio::spawn(async move { control.run_gateway(receiver).await });
        let (_, subnet) = cloud.network().await;
        let instance = cloud.instance(&subnet, &[]).await;
        let world = Self { cloud, gateway, events, instance };
        let alive = json!({
            "InstanceId": world.instance, "AgentName": "amazon-ssm-agent",
            "AgentVersion": "3.3.987.0", "PlatformType": "Linux", "PlatformName": "Amazon Linux",
            "IPAddress": "10.1.1.4",
        });
        world.call("UpdateInstanceInformation", &alive).await;
        world
    }

    async fn ask(&self, action: &str, body: &Value) -> Reply {
        self.cloud.ssm(action, &body.to_string()).await
    }

    /// A call that must succeed.
    async fn call(&self, action: &str, body: &Value) -> Value {
        serde_json::from_str(&self.ask(action, body).await.ok().body).expect("JSON")
    }

    /// The error of a call that must fail.
    async fn refused(&self, action: &str, body: &Value) -> (String, String) {
        let reply = self.ask(action, body).await;
        assert_ne!(reply.status, 200, "{}", reply.body);
        let error: Value = serde_json::from_str(&reply.body).expect("JSON");
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (text("__type"), text("message") + &text("Message"))
    }

    fn connect(&self) {
        self.gateway.connected.store(true, Ordering::SeqCst);
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, action: &str, body: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..500 {
            let answer = self.call(action, body).await;
            if wanted(&answer) {
                return answer;
            }
            let mut watch = self.cloud.control.watch();
            let _ =
                tokio::time::timeout(std::time::Duration::from_millis(40), watch.changed()).await;
        }
        panic!("{action} never came to what was wanted")
    }
}

// SSM-8, SSM-9
#[tokio::test]
async fn a_session_is_started_described_resumed_and_terminated() {
    let world = World::open().await;
    let target = json!({"Target": world.instance, "Reason": "a look"});
    let (code, message) = world.refused("StartSession", &target).await;
    assert_eq!(code, "TargetNotConnected", "SSM-8");
    assert_eq!(message, format!("{} is not connected.", world.instance), "SSM-8");
    let status = json!({"Target": world.instance});
    assert_eq!(world.call("GetConnectionStatus", &status).await["Status"], "notconnected");
    let active = json!({"State": "Active"});
    assert_eq!(world.call("DescribeSessions", &active).await["Sessions"], json!([]));

    world.connect();
    assert_eq!(world.call("GetConnectionStatus", &status).await["Status"], "connected");
    let started = world.call("StartSession", &target).await;
    let id = started["SessionId"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("root-") && id.len() == "root-".len() + 17, "{id}");
    assert_eq!(started["TokenValue"], "a token");
    let url = started["StreamUrl"].as_str().expect("a URL");
    assert!(
        url.ends_with(&format!("/v1/data-channel/{id}?role=publish_subscribe")),
        "SSM-9: {url}"
    );
    let (_, told, start) = world.gateway.started.lock().expect("no panic")[0].clone();
    assert_eq!(told.as_str(), world.instance);
    let content: SessionContent = serde_json::from_str(&start.content).expect("JSON");
    assert_eq!(content.document_content.session_type, "Standard_Stream", "SSM-11");

    let sessions = world.call("DescribeSessions", &active).await;
    assert_eq!(sessions["Sessions"][0]["Status"], "Connecting");
    assert_eq!(sessions["Sessions"][0]["Reason"], "a look");
    let session = SessionId::parse(&id).expect("an id");
    world.events.send(GatewayEvent::SessionConnected(session.clone())).await.expect("sent");
    let connected = |it: &Value| it["Sessions"][0]["Status"] == "Connected";
    world.until("DescribeSessions", &active, connected).await;
    let resumed = world.call("ResumeSession", &json!({"SessionId": id})).await;
    assert_eq!(resumed["TokenValue"], "another token");

    world.call("TerminateSession", &json!({"SessionId": id})).await;
    assert_eq!(*world.gateway.terminated.lock().expect("no panic"), vec![session.clone()]);
    let resumed = world.call("ResumeSession", &json!({"SessionId": id})).await;
    assert_eq!(resumed.get("TokenValue"), None);
    let ended = GatewayEvent::SessionEnded { session, reason: String::new() };
    world.events.send(ended).await.expect("sent");
    let history = json!({"State": "History"});
    let over = |it: &Value| it["Sessions"][0]["Status"] == "Terminated";
    world.until("DescribeSessions", &history, over).await;
    assert_eq!(world.call("DescribeSessions", &active).await["Sessions"], json!([]));
    for (key, value, found) in [
        ("Target", world.instance.as_str(), 1),
        ("Target", "i-00000000000000000", 0),
        ("SessionId", &id, 1),
        ("InvokedBefore", "2021-09-03T00:00:00Z", 0),
        ("InvokedAfter", "2021-09-03T00:00:00Z", 1),
    ] {
        let r = json!({"State": "History", "Filters": [{"key": key, "value": value}]});
        let sessions = world.call("DescribeSessions", &r).await;
        assert_eq!(sessions["Sessions"].as_array().map(Vec::len), Some(found), "{key}={value}");
    }
}

#[tokio::test]
async fn sessions_that_cannot_be_are_refused_and_nobody_is_told() {
    let world = World::open().await;
    world.connect();
    let with = |document: &str, parameters: Value| json!({"Target": world.instance, "DocumentName": document, "Parameters": parameters});
    for (r, code) in [
        (with("AWS-Unheard", json!({})), "InvalidDocument"),
        (with("AWS-RunShellScript", json!({"commands": ["id"]})), "InvalidDocument"),
        (with("AWS-StartSSHSession", json!({"portNumber": ["0"]})), "InvalidParameters"),
        (with("AWS-StartSSHSession", json!({"host": ["db"]})), "InvalidParameters"),
        (with("AWS-StartInteractiveCommand", json!({})), "InvalidParameters"),
        (json!({"Target": "i-00000000000000000"}), "TargetNotConnected"),
    ] {
        assert_eq!(world.refused("StartSession", &r).await.0, code, "{r}");
    }
    let resume = json!({"SessionId": "root-00000000000000000"});
    assert_eq!(world.refused("ResumeSession", &resume).await.0, "DoesNotExistException");
    assert!(world.gateway.started.lock().expect("no panic").is_empty());
    let port = with("AWS-StartPortForwardingSession", json!({"portNumber": ["3306"]}));
    world.call("StartSession", &port).await;
    let start = world.gateway.started.lock().expect("no panic")[0].2.clone();
    let content: SessionContent = serde_json::from_str(&start.content).expect("JSON");
    assert_eq!(content.document_content.properties["portNumber"], "3306");
}

// SSM-7
#[tokio::test]
async fn instances_are_online_while_they_are_heard_of_and_run() {
    let world = World::open().await;
    let all = json!({});
    let listed = world.call("DescribeInstanceInformation", &all).await;
    let shown = &listed["InstanceInformationList"][0];
    assert_eq!(shown["InstanceId"], world.instance.as_str());
    assert_eq!(shown["PingStatus"], "Online", "SSM-7");
    assert_eq!(shown["IPAddress"], "10.1.1.4");
    let lost = json!({"Filters": [{"Key": "PingStatus", "Values": ["ConnectionLost"]}]});
    let none = world.call("DescribeInstanceInformation", &lost).await;
    assert_eq!(none["InstanceInformationList"], json!([]));
    // Three heartbeats are missed.
    world.cloud.clock.fetch_add(15 * 60_000, Ordering::SeqCst);
    let found = world.call("DescribeInstanceInformation", &lost).await;
    assert_eq!(found["InstanceInformationList"][0]["PingStatus"], "ConnectionLost", "SSM-7");
    let unknown = json!({"InstanceId": "i-00000000000000000"});
    assert_eq!(world.refused("UpdateInstanceInformation", &unknown).await.0, "InvalidInstanceId");
    let colour = json!({"Filters": [{"Key": "Colour", "Values": ["red"]}]});
    let (code, _) = world.refused("DescribeInstanceInformation", &colour).await;
    assert_eq!(code, "InvalidInstanceInformationFilterValue");
    let token = json!({"Fingerprint": world.instance});
    let (code, _) = world.refused("RequestManagedInstanceRoleToken", &token).await;
    assert_eq!(code, "AccessDeniedException");
    let register = json!({"Fingerprint": world.instance, "PublicKey": "k", "PublicKeyType": "Rsa"});
    let registered = world.call("RegisterManagedInstance", &register).await;
    assert_eq!(registered["InstanceId"], world.instance.as_str());
}

#[tokio::test]
async fn a_command_reaches_its_agent_and_what_it_says_is_shown() {
    let world = World::open().await;
    let send = json!({
        "InstanceIds": [world.instance], "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["echo hi", "exit 3"]}, "Comment": "a try",
    });
    let sent = world.call("SendCommand", &send).await;
    let id = sent["Command"]["CommandId"].as_str().expect("an id").to_owned();
    assert_eq!((id.len(), &sent["Command"]["Status"]), (36, &json!("Pending")));
    assert!(world.gateway.jobs.lock().expect("no panic").is_empty(), "nobody is connected");
    world.connect();
    let instance: InstanceId = world.instance.parse().expect("an id");
    world.events.send(GatewayEvent::AgentConnected(instance.clone())).await.expect("sent");
    let job = loop {
        let job = world.gateway.jobs.lock().expect("no panic").first().cloned();
        match job {
            Some((_, job)) => break job,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(job.job_id, format!("aws.ssm.{id}.{instance}"));
    assert!(job.content.contains("echo hi"), "{}", job.content);
    let reply = |content: Value| GatewayEvent::CommandReply {
        job: job.job_id.clone(),
        instance: instance.clone(),
        content: content.to_string(),
    };
    let which = json!({"CommandId": id, "InstanceId": world.instance});
    let begun = reply(json!({"documentStatus": "InProgress", "runtimeStatus": {}}));
    world.events.send(begun).await.expect("sent");
    let begun = |it: &Value| it["Status"] == "InProgress";
    world.until("GetCommandInvocation", &which, begun).await;
    // What another instance says of it is nothing.
    let stranger = GatewayEvent::CommandReply {
        job: job.job_id.clone(),
        instance: "i-00000000000000000".parse().expect("an id"),
        content: json!({"documentStatus": "Success"}).to_string(),
    };
    world.events.send(stranger).await.expect("sent");
    let ended = reply(json!({"documentStatus": "Failed", "runtimeStatus": {"aws:runShellScript": {
        "status": "Failed", "code": 3, "name": "aws:runShellScript",
        "standardOutput": "hi\n", "standardError": "oh\n",
        "startDateTime": "2021-09-03T01:02:03.000Z", "endDateTime": "2021-09-03T01:02:04.500Z",
    }}}));
    world.events.send(ended).await.expect("sent");
    let ended = |it: &Value| it["Status"] == "Failed";
    let shown = world.until("GetCommandInvocation", &which, ended).await;
    assert_eq!(shown["ResponseCode"], 3);
    assert_eq!(shown["StandardOutputContent"], "hi\n");
    assert_eq!(shown["StandardErrorContent"], "oh\n");
    assert_eq!(shown["ExecutionElapsedTime"], "PT1.500S");
    let listed = world.call("ListCommands", &json!({"CommandId": id})).await;
    assert_eq!(listed["Commands"][0]["Status"], "Failed");
    assert_eq!(listed["Commands"][0]["ErrorCount"], 1);
    let details = json!({"CommandId": id, "Details": true});
    let listed = world.call("ListCommandInvocations", &details).await;
    let plugin = &listed["CommandInvocations"][0]["CommandPlugins"][0];
    assert_eq!(plugin["Output"], "hi\n\n----------ERROR-------\noh\n");
    // What is over is not cancelled.
    world.call("CancelCommand", &json!({"CommandId": id})).await;
    assert_eq!(world.call("GetCommandInvocation", &which).await["Status"], "Failed");
}

#[tokio::test]
async fn commands_that_cannot_be_are_refused() {
    let world = World::open().await;
    let commands = json!({"commands": ["id"]});
    for (r, code) in [
        (
            json!({"InstanceIds": ["i-00000000000000000"], "DocumentName": "AWS-RunShellScript",
            "Parameters": commands}),
            "InvalidInstanceId",
        ),
        (
            json!({"InstanceIds": [world.instance], "DocumentName": "AWS-Unheard"}),
            "InvalidDocument",
        ),
        (
            json!({"InstanceIds": [world.instance], "DocumentName": "AWS-StartSSHSession"}),
            "InvalidDocument",
        ),
        (
            json!({"InstanceIds": [world.instance], "DocumentName": "AWS-RunShellScript"}),
            "InvalidParameters",
        ),
        (json!({"DocumentName": "AWS-RunShellScript", "Parameters": commands}), "InvalidTarget"),
    ] {
        assert_eq!(world.refused("SendCommand", &r).await.0, code, "{r}");
    }
    let id = "00000000-0000-0000-0000-000000000000";
    let which = json!({"CommandId": id, "InstanceId": world.instance});
    let (code, _) = world.refused("GetCommandInvocation", &which).await;
    assert_eq!(code, "InvocationDoesNotExist");
    let (code, _) = world.refused("CancelCommand", &json!({"CommandId": id})).await;
    assert_eq!(code, "InvalidCommandId");
    // One that nobody takes is late in the end, and one that is cancelled does not begin.
    let send = |timeout: i32| {
        json!({
            "Targets": [{"Key": "InstanceIds", "Values": [world.instance]}],
            "DocumentName": "AWS-RunShellScript", "Parameters": commands, "TimeoutSeconds": timeout,
        })
    };
    let late = world.call("SendCommand", &send(30)).await;
    let cancelled = world.call("SendCommand", &send(3600)).await;
    let cancelled = json!({"CommandId": cancelled["Command"]["CommandId"]});
    world.call("CancelCommand", &cancelled).await;
    world.cloud.clock.fetch_add(31_000, Ordering::SeqCst);
    let late = json!({"CommandId": late["Command"]["CommandId"]});
    let timed_out = |it: &Value| it["Commands"][0]["StatusDetails"] == "Delivery Timed Out";
    // The wait is for the next look, which nobody asks for.
    world.call("UpdateInstanceInformation", &json!({"InstanceId": world.instance})).await;
    world.until("ListCommands", &late, timed_out).await;
    let listed = world.call("ListCommands", &cancelled).await;
    assert_eq!(listed["Commands"][0]["Status"], "Cancelled");
    world.connect();
    assert!(world.gateway.jobs.lock().expect("no panic").is_empty());
}

const SSM_POLICY: &str = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";

/// A trust policy for a service.
fn trust(service: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

impl World {
    /// The names of what keeps the agent away, and the sentences; through an endpoint or not.
    fn obstacles(&self, endpoint: Option<&str>) -> (Vec<&'static str>, String) {
        let instance = self.cloud.control.resolve(&self.instance).remove(0);
        let through = |service: &str| {
            endpoint.filter(|_| service == "ssm").map(|id| id.parse().expect("an endpoint's id"))
        };
        let found = self.cloud.control.obstacles(&instance, through);
        let texts: Vec<_> = found.iter().map(|it| it.text.as_str()).collect();
        (found.iter().map(|it| it.name).collect(), texts.join("\n"))
    }
}

// SSM-1, SSM-5, SSM-6, SSM-7, VPCE-13, IMDS-28
#[tokio::test]
async fn what_keeps_an_agent_away_is_named() {
    let world = World::open().await;
    let cloud = &world.cloud;
    assert_eq!(world.obstacles(None).0, ["no-instance-profile"]);

    let profile = [("InstanceProfileName", "P")];
    cloud.iam("CreateInstanceProfile", &profile).await.ok();
    let associate = [("InstanceId", &*world.instance), ("IamInstanceProfile.Name", "P")];
    cloud.ec2("AssociateIamInstanceProfile", &associate).await.ok();
    assert_eq!(world.obstacles(None).0, ["no-role"]);

    let foreign = trust("lambda.amazonaws.com");
    let role = [("RoleName", "R"), ("AssumeRolePolicyDocument", &*foreign)];
    cloud.iam("CreateRole", &role).await.ok();
    let into = [("InstanceProfileName", "P"), ("RoleName", "R")];
    cloud.iam("AddRoleToInstanceProfile", &into).await.ok();
    assert_eq!(world.obstacles(None).0, ["role-not-trusted"]);

    let ec2 = trust("ec2.amazonaws.com");
    let trusts = [("RoleName", "R"), ("PolicyDocument", &*ec2)];
    cloud.iam("UpdateAssumeRolePolicy", &trusts).await.ok();
    let (names, text) = world.obstacles(None);
    assert_eq!(names, ["denied"; 5], "{text}");
    let said = "is not authorized to perform: ssm:UpdateInstanceInformation on resource";
    assert!(text.contains(said) && text.contains("ssmmessages:OpenDataChannel"), "{text}");

    let attach = [("RoleName", "R"), ("PolicyArn", SSM_POLICY)];
    cloud.iam("AttachRolePolicy", &attach).await.ok();
    let (names, text) = world.obstacles(None);
    assert_eq!(names, ["not-connected"], "{text}");
    assert!(text.contains("was here"), "it has registered before: {text}");

    // An endpoint's policy holds for what goes through it alone.
    let (vpc, subnet) = cloud.network().await;
    let deny = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}"#;
    let made = [
        ("VpcId", &*vpc),
        ("ServiceName", "com.amazonaws.ap-northeast-2.ssm"),
        ("VpcEndpointType", "Interface"),
        ("SubnetId.1", &*subnet),
        ("PrivateDnsEnabled", "false"),
        ("PolicyDocument", deny),
    ];
    let endpoint = cloud.make("CreateVpcEndpoint", &made, "vpcEndpointId").await;
    let (names, text) = world.obstacles(Some(&endpoint));
    assert_eq!(names, ["denied"], "{text}");
    assert!(text.contains("with an explicit deny in a VPC endpoint policy"), "{text}");

    world.connect();
    assert_eq!(world.obstacles(None).0, [] as [&str; 0]);
    let stop = [("InstanceId.1", &*world.instance)];
    cloud.ec2("StopInstances", &stop).await.ok();
    assert_eq!(world.obstacles(None).0, ["not-running"]);
}
/// A session document with some inputs.
fn preferences(inputs: &Value) -> String {
    json!({
        "schemaVersion": "1.0", "description": "ours", "sessionType": "Standard_Stream",
        "inputs": inputs,
    })
    .to_string()
}

// SSM-11
#[tokio::test]
async fn preferences_of_sessions_are_a_document_of_the_account() {
    let world = World::open().await;
    world.connect();
    let name = "SSM-SessionManagerRunShell";
    let listed = world.call("DescribeDocument", &json!({"Name": name})).await;
    assert_eq!(listed["Document"]["Owner"], "Amazon", "nobody has made one");

    let first = preferences(&json!({
        "cloudWatchLogGroupName": "sessions", "cloudWatchEncryptionEnabled": false,
        "cloudWatchStreamingEnabled": true, "runAsEnabled": true, "runAsDefaultUser": "ec2-user",
        "shellProfile": {"linux": "cd /tmp"},
    }));
    let make = json!({
        "Name": name, "Content": first, "DocumentType": "Session",
        "Tags": [{"Key": "team", "Value": "net"}],
    });
    let made = world.call("CreateDocument", &make).await["DocumentDescription"].clone();
    assert_eq!((&made["DocumentVersion"], &made["DefaultVersion"]), (&json!("1"), &json!("1")));
    assert_eq!(made["Owner"], "111122223333");
    assert_eq!(made["Tags"], json!([{"Key": "team", "Value": "net"}]));
    let got = world.call("GetDocument", &json!({"Name": name})).await;
    assert_eq!(got["Content"], first);

    let started = || {
        let started = world.gateway.started.lock().expect("no panic");
        let content = &started.last().expect("a session").2.content;
        serde_json::from_str::<SessionContent>(content).expect("JSON").document_content.inputs
    };
    world.call("StartSession", &json!({"Target": world.instance})).await;
    let inputs = started();
    assert_eq!(inputs.cloud_watch_log_group_name, "sessions");
    assert!(inputs.cloud_watch_streaming_enabled && inputs.run_as_enabled);
    assert_eq!(inputs.shell_profile.linux, "cd /tmp");

    // The newest preferences hold at once.
    let second = preferences(&json!({"cloudWatchLogGroupName": ""}));
    let change = json!({"Name": name, "Content": second, "DocumentVersion": "$LATEST"});
    let changed = world.call("UpdateDocument", &change).await;
    assert_eq!(changed["DocumentDescription"]["DocumentVersion"], "2");
    world.call("StartSession", &json!({"Target": world.instance})).await;
    assert_eq!(started().cloud_watch_log_group_name, "");
    let versions = world.call("ListDocumentVersions", &json!({"Name": name})).await;
    let numbers: Vec<_> = versions["DocumentVersions"].as_array().into_iter().flatten().collect();
    assert_eq!(numbers.len(), 2);
    assert_eq!(numbers[0]["DocumentVersion"], "2");
    let own = json!({"Filters": [{"Key": "Owner", "Values": ["Self"]}]});
    let listed = world.call("ListDocuments", &own).await;
    assert_eq!(listed["DocumentIdentifiers"][0]["Name"], name);
    assert_eq!(listed["DocumentIdentifiers"].as_array().map(Vec::len), Some(1));
    // AWS's are there as before when the account's own are gone.
    world.call("DeleteDocument", &json!({"Name": name})).await;
    assert_eq!(
        world.call("DescribeDocument", &json!({"Name": name})).await["Document"]["Owner"],
        "Amazon"
    );
}

// SSM-11
#[tokio::test]
async fn preferences_say_how_long_sessions_may_go_on() {
    let world = World::open().await;
    world.connect();
    let start = async |document: Option<&str>| {
        let mut asked = json!({"Target": world.instance});
        if let Some(document) = document {
            asked["DocumentName"] = document.into();
        }
        world.call("StartSession", &asked).await;
        let limits = world.gateway.limits.lock().expect("no panic");
        let limits = limits.last().expect("a session");
        [limits.idle, limits.longest].map(|it| it.map(|it| it.as_secs() / 60))
    };
    let port = Some("AWS-StartPortForwardingSession");
    assert_eq!(start(None).await, [None, None], "nobody has said anything");
    let make = |name: &str, inputs: Value| json!({"Name": name, "Content": preferences(&inputs), "DocumentType": "Session"});
    let both = json!({"idleSessionTimeout": "1", "maxSessionDuration": "1440"});
    world.call("CreateDocument", &make("SSM-SessionManagerRunShell", both)).await;
    assert_eq!(start(None).await, [Some(1), Some(1440)]);
    assert_eq!(start(port).await, [Some(1), Some(1440)], "ports have no inputs of their own");
    let own = json!({"idleSessionTimeout": "60", "maxSessionDuration": ""});
    world.call("CreateDocument", &make("Own", own)).await;
    assert_eq!(start(Some("Own")).await, [Some(60), Some(1440)], "a document goes before them");
    for inputs in [
        json!({"idleSessionTimeout": "0"}),
        json!({"idleSessionTimeout": "61"}),
        json!({"idleSessionTimeout": "1.5"}),
        json!({"idleSessionTimeout": 20}),
        json!({"maxSessionDuration": "1441"}),
        json!({"maxSessionDuration": "-1"}),
        json!({"maxSessionDuration": "a day"}),
    ] {
        let refused = world.refused("CreateDocument", &make("Other", inputs.clone())).await;
        assert_eq!(refused.0, "InvalidDocumentContent", "{inputs}");
    }
}

#[tokio::test]
async fn own_documents_have_versions_and_a_default() {
    let world = World::open().await;
    world.connect();
    let content = |commands: &str| {
        json!({
            "schemaVersion": "1.0", "description": "ours", "sessionType": "InteractiveCommands",
            "parameters": {"file": {"type": "String", "default": "/etc/motd"}},
            "properties": {"linux": {"commands": commands, "runAsElevated": false}},
        })
        .to_string()
    };
    let make = json!({"Name": "Tail", "Content": content("{{ file }}"), "DocumentType": "Session"});
    world.call("CreateDocument", &make).await;
    let change = json!({"Name": "Tail", "Content": content("id"), "VersionName": "two"});
    world.call("UpdateDocument", &change).await;
    let command = || {
        let started = world.gateway.started.lock().expect("no panic");
        let content = &started.last().expect("a session").2.content;
        let content = serde_json::from_str::<SessionContent>(content).expect("JSON");
        content.document_content.properties["linux"]["commands"].clone()
    };
    let start = json!({
        "Target": world.instance, "DocumentName": "Tail", "Parameters": {"file": ["/etc/hosts"]},
    });
    world.call("StartSession", &start).await;
    assert_eq!(command(), "/etc/hosts", "the default version, its parameter filled in");
    let default = json!({"Name": "Tail", "DocumentVersion": "2"});
    let set = world.call("UpdateDocumentDefaultVersion", &default).await;
    assert_eq!(set["Description"]["DefaultVersionName"], "two");
    world.call("StartSession", &start).await;
    assert_eq!(command(), "id");

    let session = preferences(&json!({}));
    for (action, body, code) in [
        ("CreateDocument", make.clone(), "DocumentAlreadyExists"),
        (
            "CreateDocument",
            json!({"Name": "AWS-Mine", "Content": session, "DocumentType": "Session"}),
            "ValidationException",
        ),
        (
            "CreateDocument",
            json!({"Name": "Other", "Content": "{", "DocumentType": "Session"}),
            "InvalidDocumentContent",
        ),
        (
            "CreateDocument",
            json!({"Name": "Other", "Content": "{}", "DocumentType": "Session"}),
            "InvalidDocumentContent",
        ),
        (
            "CreateDocument",
            json!({"Name": "Other", "Content": r#"{"schemaVersion":"2.2"}"#, "DocumentType": "Session"}),
            "InvalidDocumentSchemaVersion",
        ),
        (
            "CreateDocument",
            json!({"Name": "Other", "Content": r#"{"schemaVersion":"1.0","sessionType":"Dance"}"#, "DocumentType": "Session"}),
            "InvalidDocumentContent",
        ),
        (
            "CreateDocument",
            json!({"Name": "Other", "Content": "x".repeat(65_537), "DocumentType": "Session"}),
            "MaxDocumentSizeExceeded",
        ),
        (
            "CreateDocument",
            json!({"Name": "Other", "Content": session, "DocumentType": "Automation"}),
            "UnsupportedOperation",
        ),
        (
            "CreateDocument",
            json!({"Name": "Other", "Content": preferences(&json!({"kmsKeyId": "k"})), "DocumentType": "Session"}),
            "UnsupportedOperation",
        ),
        (
            "UpdateDocument",
            json!({"Name": "Tail", "Content": content("id")}),
            "DuplicateDocumentContent",
        ),
        (
            "UpdateDocument",
            json!({"Name": "Tail", "Content": content("ls"), "VersionName": "two"}),
            "DuplicateDocumentVersionName",
        ),
        (
            "UpdateDocument",
            json!({"Name": "Tail", "Content": content("ls"), "DocumentVersion": "1"}),
            "InvalidDocumentVersion",
        ),
        ("UpdateDocument", json!({"Name": "None", "Content": session}), "InvalidDocument"),
        (
            "UpdateDocument",
            json!({"Name": "AWS-StartSSHSession", "Content": session}),
            "InvalidDocumentOperation",
        ),
        (
            "UpdateDocumentDefaultVersion",
            json!({"Name": "Tail", "DocumentVersion": "3"}),
            "InvalidDocumentVersion",
        ),
        ("GetDocument", json!({"Name": "Tail", "DocumentVersion": "3"}), "InvalidDocumentVersion"),
        ("DeleteDocument", json!({"Name": "None"}), "InvalidDocument"),
        ("DeleteDocument", json!({"Name": "AWS-RunShellScript"}), "InvalidDocumentOperation"),
    ] {
        assert_eq!(world.refused(action, &body).await.0, code, "{action} {body}");
    }
}
