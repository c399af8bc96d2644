//! A million flows in one window of a flow log: as packets from an instance, through the data path,
//! until the last record is in its log group (FL-16).

use std::{
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gureum_e2e::{Cloud, Stage, wait};
use serde_json::Value;

use crate::report::{Report, Target};

/// Source ports times destination ports: each pair is a flow of one datagram.
const SOURCES: u64 = 1000;
const DESTINATIONS: u64 = 1000;
const GROUP: &str = "a-million-flows";
/// The length of a window in seconds.
const WINDOW: u64 = 60;

const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
const RIGHTS: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]}]}"#;

/// Sends a datagram for each pair of ports, evenly over most of a window, and says when it was done.
const SEND: &str = r"
import socket, sys, time
to, sources, destinations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
began = time.monotonic()
for source in range(sources):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind(('', 20000 + source))
    for destination in range(destinations):
        out.sendto(b'x', (to, 30000 + destination))
    out.close()
    early = began + 45 * (source + 1) / sources - time.monotonic()
    if early > 0:
        time.sleep(early)
print(time.monotonic() - began)
";

/// Measures on two instances of its own.
pub(crate) fn measure(stage: &mut Stage<'_>, report: &mut Report) {
    let cloud = stage.cloud;
    let ids = stage.run_instances("bench-flows", 2);
    let hosts = [0, 1].map(|at: usize| {
        stage.wait_ready(&ids[at]);
        stage.host(&ids[at])
    });
    let [one, two] = &hosts;
    // All there and back from anywhere: flows that nobody tracks (SGT-2).
    stage.ingress("AuthorizeSecurityGroupIngress", "-1", -1, "0.0.0.0/0");
    cloud.exec(&two.id, "nft 'add table ip deaf; add chain ip deaf in { type filter hook input priority 0; udp dport 30000-30999 drop; }'").ok();
    let interface = cloud.instance(&one.id, "NetworkInterfaces[0].NetworkInterfaceId");
    flow_log(cloud, &interface);

    let into_window = || now() % WINDOW;
    // The window that begins next has all of it.
    wait("the window begins", Duration::from_secs(WINDOW + 5), || into_window() < 3);
    let ends = now() / WINDOW * WINDOW + WINDOW;
    let shell = format!("python3 -c \"{SEND}\" {} {SOURCES} {DESTINATIONS}", two.private);
    let took = cloud.exec(&one.id, &shell).ok();
    assert!(now() < ends, "the datagrams took {took} s: more than a window");
    sleep(Duration::from_secs(ends - now()));
    let all = SOURCES * DESTINATIONS;
    let mut counted = (0, 0);
    let late = loop {
        counted = count(cloud, ends - WINDOW).max(counted);
        let late = seconds() - to_float(ends);
        if counted.0 >= all || late > to_float(2 * WINDOW) {
            break late;
        }
        sleep(Duration::from_millis(200));
    };
    assert_eq!(counted, (all, all), "flows and packets on record {late:.0} s later");
    report.add(
        "a million flows of one window, delivered after it",
        late,
        "s",
        Target::AtMost(60.0),
    );
    stage.ec2.call("TerminateInstances", &[("InstanceId.1", &ids[0]), ("InstanceId.2", &ids[1])]);
}

fn flow_log(cloud: &Cloud, interface: &str) {
    let role = ["iam", "create-role", "--role-name", "million"];
    let role = cloud.aws_args(role.into_iter().chain(["--assume-role-policy-document", TRUST]));
    let role = role.json();
    let role = role["Role"]["Arn"].as_str().expect("an ARN");
    let policy = ["iam", "put-role-policy", "--role-name", "million", "--policy-name", "p"];
    cloud.aws_args(policy.into_iter().chain(["--policy-document", RIGHTS])).ok();
    cloud.aws(&format!("logs create-log-group --log-group-name {GROUP}")).ok();
    let made = cloud.aws(&format!(
        "ec2 create-flow-logs --resource-type NetworkInterface --resource-ids {interface} \
         --traffic-type ALL --max-aggregation-interval 60 --log-group-name {GROUP} \
         --deliver-logs-permission-arn {role}"
    ));
    assert_eq!(made.json()["Unsuccessful"].as_array().map(Vec::len), Some(0));
}

/// Records and packets of the flows since a moment, by an Insights query.
fn count(cloud: &Cloud, since: u64) -> (u64, u64) {
    let query = "filter dstPort >= 30000 and dstPort < 31000 and srcPort >= 20000 and srcPort < 21000 \
                 | stats count(*) as flows, sum(packets) as packets";
    let (since, until) = (since.to_string(), now().to_string());
    let words = ["logs", "start-query", "--log-group-name", GROUP, "--start-time", &since];
    let more = ["--end-time", &until, "--query-string", query];
    let id = cloud.aws_args(words.into_iter().chain(more)).json();
    let id = id["queryId"].as_str().expect("an id").to_owned();
    let mut answer = Value::Null;
    wait("the query", Duration::from_secs(60), || {
        answer = cloud.aws(&format!("logs get-query-results --query-id {id}")).json();
        answer["status"] == "Complete"
    });
    let field = |name: &str| {
        let fields = answer["results"][0].as_array()?;
        let value = fields.iter().find(|it| it["field"] == name)?["value"].as_str()?;
        value.parse::<f64>().ok()
    };
    let whole =
        |name| format!("{:.0}", field(name).unwrap_or_default()).parse().unwrap_or_default();
    (whole("flows"), whole("packets"))
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

fn now() -> u64 {
    since_1970().as_secs()
}

fn seconds() -> f64 {
    since_1970().as_secs_f64()
}

fn to_float(seconds: u64) -> f64 {
    Duration::from_secs(seconds).as_secs_f64()
}
