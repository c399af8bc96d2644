//! The VPC lab, as its readers run it: with the unmodified AWS CLI, on real instances.

use std::{collections::BTreeMap, path::Path, process::Command};

use gureum_e2e::{Cloud, Done, root_or_skip};
use serde_json::Value;

/// What the lab must show at least, whatever else it shows.
const SHOWN: &[&str] = &[
    "vpc-available",
    "dns-hostnames",
    "subnets",
    "route",
    "second-gateway",
    "key-pem",
    "key-ppk",
    "image",
    "image-parameter",
    "public-01",
    "public-02",
    "private-01",
    "private-02",
    "bastion",
    "running",
    "ping-public-01",
    "ping-public-02",
    "page-public-01",
    "page-public-02",
    "page-browser",
    "login",
    "metadata",
    "checkip",
    "private-from-outside",
    "private-to-outside",
    "private-user-data",
    "private-by-address",
    "private-by-name",
    "private-ssh-refused",
    "private-ssh-bastion",
    "private-ssh-allowed",
    "why-reachable",
    "why-unreachable",
    "bastion-agent",
    "bastion-keyless",
    "bastion-no-agent",
    "bastion-passed-by",
    "tunnel-login",
    "tunnel-end",
    "jump",
    "jump-scp",
    "jump-missing",
    "putty-login",
    "putty-agent",
    "putty-tunnel-login",
    "key-once",
    "agent-asleep",
    "ssm-role",
    "ssm-metadata",
    "ssm-endpoint-available",
    "ssm-endpoint-names",
    "ssm-absent",
    "ssm-absent-why",
    "ssm-online",
    "ssm-ways",
    "session",
    "session-02",
    "session-ssh",
    "session-own",
    "session-history",
    "ssm-closed",
    "ssm-opened",
    "ping-begin",
    "icmp-revoke",
    "ping-goes-on",
    "ping-anew",
    "ping-outward",
    "rebooted",
    "stopped",
    "stopped-silent",
    "started",
    "started-page",
    "terminated",
    "terminated-silent",
    "flow-streams",
    "flow-closed-port",
    "flow-acl",
    "flow-nat",
    "flow-endpoint",
    "flow-insights",
    "flow-rejects",
];

/// Steps that the lab has.
const STEPS: usize = 139;

fn lab() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../labs/vpc").to_string_lossy().into_owned()
}

fn run(cloud: &Cloud, more: &[&str]) -> Command {
    let mut command = cloud.command("lab");
    command.args(["run", &lab(), "--lang", "en", "--output", "json"]).args(more);
    command.env_remove("AWS_PROFILE");
    command
}

#[test]
fn hosts_every_check_of_the_lab_passes() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let done = Done::run(&mut run(&cloud, &["--keep-going"]));
    let outcome: Value = serde_json::from_str(&done.stdout)
        .unwrap_or_else(|error| panic!("the results are no JSON: {error}\n{done}"));
    let steps = outcome["steps"].as_array().expect("steps");
    let mut failed = String::new();
    for step in steps.iter().filter(|step| step["status"] != "passed") {
        let text = |member: &str| step[member].as_str().unwrap_or("").trim_end().to_owned();
        failed.push_str(&format!(
            "--- {} {}: {}\n{}\n{}{}\n",
            text("id"),
            text("status"),
            text("reason"),
            text("command"),
            text("stdout"),
            text("stderr"),
        ));
    }
    assert!(failed.is_empty(), "{}", failed);
    assert_eq!(done.status, 0, "{outcome}");
    let passed: BTreeMap<_, _> =
        steps.iter().map(|step| (step["id"].as_str().unwrap_or(""), step)).collect();
    let lost: Vec<_> = SHOWN.iter().filter(|id| !passed.contains_key(*id)).collect();
    assert!(lost.is_empty(), "the lab no longer shows {lost:?}");
    assert_eq!(steps.len(), STEPS);
    let real = steps.iter().filter(|step| {
        step["command"].as_str().is_some_and(|it| it.contains("aws ec2") || it.contains("internet"))
    });
    assert!(real.count() >= 40, "steps are commands of real clients");

    let rows = cloud.gureum("instances", ["--output", "json"]).json();
    let running = rows.as_array().expect("rows").iter().filter(|row| row["state"] == "running");
    assert!(running.count() >= 4, "the cloud is left running: {rows}");

    private_key_is_nowhere(&cloud);

    let again = Done::run(&mut run(&cloud, &[]));
    assert_ne!(again.status, 0, "a second run is refused: {again}");
    let again: Value = serde_json::from_str(&again.stdout).expect("JSON");
    let refused = again["refused"].as_str().expect("a reason");
    assert!(refused.contains("--fresh"), "and says what to do: {refused}");
    let vpcs = "ec2 describe-vpcs --filters Name=tag:Name,Values=IMD-VPC --query length(Vpcs)";
    assert_eq!(cloud.aws(vpcs).ok().trim(), "1", "what was built is not touched");
}

/// Whatever the form: the text that the API gave out, or the numbers in it (EC2-12).
fn private_key_is_nowhere(cloud: &Cloud) {
    let search = r#"
import base64, os, stat, sys
data = sys.argv[1]
lines = open(data + "/keys/IMD-LAB-OPENSSH.pem", "rb").read().split()
body = [line for line in lines if len(line) == 64]
numbers = base64.b64decode(b"".join(body))
secrets = [body[11], numbers[-200:-168]]
searched = 0
for folder, folders, files in os.walk(data):
    if folder == data:
        folders.remove("keys")
    for path in (os.path.join(folder, name) for name in files):
        if stat.S_ISREG(os.lstat(path).st_mode):
            content = open(path, "rb").read()
            searched += 1
            assert not any(secret in content for secret in secrets), path
assert searched > 10, searched
"#;
    Done::run(Command::new("python3").args(["-c", search]).arg(cloud.data_dir())).ok();
}

#[test]
fn the_lab_refuses_an_endpoint_that_is_not_ours() {
    let cloud = Cloud::records();
    for foreign in ["https://ec2.ap-northeast-2.amazonaws.com", "http://127.0.0.1:9"] {
        let done = Done::run(run(&cloud, &[]).env("AWS_ENDPOINT_URL", foreign));
        assert_ne!(done.status, 0, "{done}");
        assert!(done.stderr.contains(foreign), "names it: {done}");
    }
    let other = Cloud::records();
    let done = Done::run(run(&cloud, &[]).env("AWS_ENDPOINT_URL", other.endpoint()));
    assert_ne!(done.status, 0, "another cloud of ours was not meant either: {done}");
    let vpcs = "ec2 describe-vpcs --query length(Vpcs)";
    for cloud in [&cloud, &other] {
        assert_eq!(cloud.aws(vpcs).ok().trim(), "1", "nothing was made");
    }
}
