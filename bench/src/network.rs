//! Throughput and round trip between two instances, in turns with a bare veth pair between two
//! namespaces: what the machine can do at all at that moment.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use gureum_e2e::{Cloud, Done, Host, Stage, wait};

use crate::report::{Report, Target, median};

const TURNS: usize = 3;
/// Turns with a flow log, and as many without.
const LOG_TURNS: usize = 5;
/// Seconds of iperf3 a turn.
const SECONDS: &str = "4";
/// Pings back to back: the path itself.
const BACK_TO_BACK: &str = "-A -c 2000";
/// Pings with pauses, in which the processors fall asleep: what the path and waking up cost.
const WITH_PAUSES: &str = "-i 0.01 -c 200";

/// Somewhere a command runs.
trait Place {
    fn shell(&self, shell: &str) -> Command;

    fn run(&self, shell: &str) -> String {
        Done::run(&mut self.shell(shell)).ok()
    }
}

/// Two namespaces with a veth pair, as instances are joined but for the cloud between.
struct Pair {
    names: [String; 2],
}

impl Pair {
    fn new() -> Self {
        let id = std::process::id();
        let pair = Self { names: [format!("gbench-{id}-a"), format!("gbench-{id}-b")] };
        let [a, b] = &pair.names;
        for words in [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("-n {a} link add eth0 mtu 9001 type veth peer name eth0 mtu 9001 netns {b}"),
            format!("-n {a} address add 10.77.0.1/24 dev eth0"),
            format!("-n {b} address add 10.77.0.2/24 dev eth0"),
            format!("-n {a} link set eth0 up"),
            format!("-n {b} link set eth0 up"),
        ] {
            Done::run(Command::new("ip").args(words.split(' '))).ok();
        }
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in &self.names {
            let done = Done::run(Command::new("ip").args(["netns", "delete", name]));
            if done.status != 0 {
                eprintln!("{done}");
            }
        }
    }
}

struct Namespace<'a>(&'a str);

impl Place for Namespace<'_> {
    fn shell(&self, shell: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.0, "bash", "-c", shell]);
        command
    }
}

struct Instance<'a>(&'a Cloud, &'a str);

impl Place for Instance<'_> {
    fn shell(&self, shell: &str) -> Command {
        let mut command = self.0.command("exec");
        command.args([self.1, "--", "bash", "-c", shell]);
        command
    }
}

/// Measures in turns.
pub(crate) fn measure(cloud: &Cloud, one: &Host, two: &Host, report: &mut Report) {
    let pair = Pair::new();
    let bare = (Namespace(&pair.names[0]), Namespace(&pair.names[1]));
    let inside = (Instance(cloud, &one.id), Instance(cloud, &two.id));
    let (mut speeds, mut ratios, mut bare_speeds) = (Vec::new(), Vec::new(), Vec::new());
    let (mut trips, mut bare_trips) = (Vec::new(), Vec::new());
    let (mut slow, mut bare_slow) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let reference = throughput(&bare.0, &bare.1, "10.77.0.2");
        let speed = throughput(&inside.0, &inside.1, &two.private);
        bare_speeds.push(reference);
        speeds.push(speed);
        ratios.push(speed / reference);
        bare_trips.push(round_trip(&bare.0, BACK_TO_BACK, "10.77.0.2"));
        trips.push(round_trip(&inside.0, BACK_TO_BACK, &two.private));
        bare_slow.push(round_trip(&bare.0, WITH_PAUSES, "10.77.0.2"));
        slow.push(round_trip(&inside.0, WITH_PAUSES, &two.private));
    }
    let unit = "Gbit/s";
    report.add("TCP between two instances", median(&speeds), unit, Target::AtLeast(6.0));
    report.add("TCP over a bare veth pair", median(&bare_speeds), unit, Target::Measured);
    report.add(
        "TCP between instances, of bare veth",
        median(&ratios),
        "ratio",
        Target::AtLeast(0.7),
    );
    report.add("ping between two instances, p50", median(&trips), "us", Target::AtMost(60.0));
    report.add("ping over a bare veth pair, p50", median(&bare_trips), "us", Target::Measured);
    report.add(
        "ping every 10 ms between two instances, p50",
        median(&slow),
        "us",
        Target::Measured,
    );
    report.add(
        "ping every 10 ms over a bare veth pair, p50",
        median(&bare_slow),
        "us",
        Target::Measured,
    );
}

/// What flow logs cost the packets that they are about: with one and without, in turns.
pub(crate) fn with_flow_log(stage: &mut Stage<'_>, one: &Host, two: &Host, report: &mut Report) {
    let cloud = stage.cloud;
    let inside = (Instance(cloud, &one.id), Instance(cloud, &two.id));
    let vpc = stage.ec2.call("DescribeVpcs", &[]).text("vpcId");
    let make = [
        ("ResourceType", "VPC"),
        ("ResourceId.1", &*vpc),
        ("TrafficType", "ALL"),
        ("MaxAggregationInterval", "60"),
        ("LogGroupName", "bench"),
        // Nobody's: what is counted is kept, and delivered to nobody.
        ("DeliverLogsPermissionArn", "arn:aws:iam::123456789012:role/bench"),
    ];
    let mut speeds = [Vec::new(), Vec::new()];
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..2 * LOG_TURNS {
        let logged = turn % 2 == 1;
        let log = logged.then(|| stage.ec2.call("CreateFlowLogs", &make).text("item"));
        speeds[turn % 2].push(throughput(&inside.0, &inside.1, &two.private));
        rates[turn % 2].push(datagrams(&inside.0, &inside.1, &two.private));
        if let Some(log) = log {
            stage.ec2.call("DeleteFlowLogs", &[("FlowLogId.1", &*log)]);
        }
    }
    for (what, [without, with]) in [
        ("TCP between instances with a flow log, of without", &speeds),
        ("64-byte datagrams with a flow log, of without", &rates),
    ] {
        let ratio = median(with) / median(without);
        report.add(what, ratio, "ratio", Target::AtLeast(0.97));
    }
    report.add("64-byte datagrams between instances", median(&rates[0]), "1/s", Target::Measured);
}

/// Datagrams of 64 bytes a second that arrived, as many as there is room for.
fn datagrams(client: &impl Place, server: &impl Place, address: &str) -> f64 {
    let json = iperf(client, server, &format!("-c {address} -u -b 0 -l 64"));
    let end = &json["end"]["sum"];
    let sent = end["packets"].as_f64().expect("a count");
    let lost = end["lost_packets"].as_f64().expect("a count");
    (sent - lost) / end["seconds"].as_f64().expect("a time")
}

/// Gbit/s that iperf3's receiver saw.
fn throughput(client: &impl Place, server: &impl Place, address: &str) -> f64 {
    let json = iperf(client, server, &format!("-c {address} -O 1"));
    json["end"]["sum_received"]["bits_per_second"].as_f64().expect("a speed") / 1e9
}

/// What a run of iperf3 says.
fn iperf(client: &impl Place, server: &impl Place, how: &str) -> serde_json::Value {
    let mut listener = server
        .shell("exec iperf3 -s -1 >/dev/null")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("iperf3 starts");
    wait("iperf3 listens", Duration::from_secs(20), || {
        server.run("ss -Htln '( sport = :5201 )'").contains("5201")
    });
    let json = client.run(&format!("iperf3 {how} -t {SECONDS} -J"));
    listener.wait().expect("iperf3 ends after one client");
    serde_json::from_str(&json).expect("JSON of iperf3")
}

/// The median round trip in microseconds.
fn round_trip(from: &impl Place, how: &str, address: &str) -> f64 {
    let text = from.run(&format!("ping -n {how} {address}"));
    let times = text.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next());
    let times: Vec<f64> = times.filter_map(|time| time.parse().ok()).collect();
    assert!(times.len() >= 150, "too few answers: {text}");
    median(&times) * 1000.0
}
