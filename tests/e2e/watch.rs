//! Watching packets: `gureum trace`, `gureum capture` and `gureum port show`, with tcpdump as the
//! one who reads what was captured.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use gureum_e2e::{Cloud, Done, Stage, root_or_skip, wait};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a subcommand that ends by itself, doing something again and again until it has.
fn during(cloud: &Cloud, subcommand: &str, args: &[&str], act: impl Fn()) -> String {
    let mut command = cloud.command(subcommand);
    let command = command.args(args).stdin(Stdio::null());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait(&format!("{subcommand} {args:?} ends"), PATIENCE, || {
        act();
        child.try_wait().expect("a child").is_some()
    });
    let output = child.wait_with_output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn hosts_packets_are_watched() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let two = stage.launch("two");
    let ping = || drop(cloud.internet(&format!("ping -n -c 1 -W 1 {}", two.public)));
    // 8080 is open to nobody.
    let refused =
        || drop(cloud.internet(&format!("curl -s --max-time 0.3 http://{}:8080/", two.public)));

    let lines = during(&cloud, "trace", &["two", "--proto", "icmp", "-c", "2", "-o", "json"], ping);
    let packets: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(packets.len(), 2, "{lines}");
    assert_eq!(packets[0]["from"], "internet", "{lines}");
    assert!(packets[0]["steps"].as_array().is_some_and(|steps| steps.len() > 3), "{lines}");
    let interface = packets[0]["to"].as_str().expect("it arrives").to_owned();
    assert_eq!(packets[1]["from"], interface.as_str(), "the echo: {lines}");

    let args = ["--drops", "--host", &two.private, "--port", "8080", "-c", "1"];
    let text = during(&cloud, "trace", &args, refused);
    assert!(text.contains("dropped: security-group-ingress"), "{text}");
    assert!(text.contains("network-acl"), "the stages before it passed: {text}");
    let text =
        during(&cloud, "trace", &["two", "--reason", "no-route", "--duration", "0.5s"], ping);
    assert_eq!(text, "", "nothing was dropped for that");

    let file = cloud.data_dir().with_file_name("two.pcap");
    let name = file.to_string_lossy().into_owned();
    during(&cloud, "capture", &["two", "-w", &name, "-c", "8", "--duration", "30"], || {
        ping();
        refused();
    });
    let read = |filter: &[&str]| {
        let mut tcpdump = Command::new("tcpdump");
        Done::run(tcpdump.args(["-n", "-v", "-r", &name]).args(filter)).ok()
    };
    let icmp = read(&["icmp"]);
    assert!(icmp.contains("ICMP echo request") && icmp.contains("ICMP echo reply"), "{icmp}");
    assert!(icmp.contains(&two.private), "as the interface sees it: {icmp}");
    let refused = read(&["tcp", "dst", "port", "8080"]);
    assert!(refused.contains("(correct)"), "the checksum is complete: {refused}");
    assert!(!refused.contains("incorrect"), "{refused}");
    let bytes = std::fs::read(&file).expect("a capture");
    let comment = b"dropped: security-group-ingress";
    assert!(bytes.windows(comment.len()).any(|part| part == comment), "the drop is marked");

    let report = cloud.gureum("port", ["show", "two", "--output", "json"]).json();
    assert_eq!(report["interface"], interface.as_str());
    assert!(report["sent_packets"].as_u64() > Some(0), "{report}");
    assert_eq!(report["applied_epoch"], cloud.status()["applied_epoch"]);
    let text = cloud.gureum("port", ["show", &interface]).ok();
    assert!(text.contains(&interface) && text.contains("epoch"), "{text}");

    let nobody = cloud.gureum("capture", ["nobody", "-w", &name]);
    assert!(nobody.stderr.contains("\"nobody\" is no instance or interface"), "{nobody}");
    assert_eq!(std::fs::read(&file).expect("still there"), bytes, "nothing was overwritten");
    let reason = cloud.gureum("trace", ["--reason", "bad-luck"]);
    assert!(reason.stderr.contains("help: reasons are"), "{reason}");
    let records = Cloud::records();
    let none = records.gureum("trace", ["-c", "1"]);
    assert!(none.stderr.contains("keeps records only"), "{none}");
}
