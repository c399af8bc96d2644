//! Watching packets: `gureum trace`, `gureum capture`, `gureum port show` and `gureum flows`, with
//! tcpdump as the one who reads what was captured.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use gureum_e2e::{Cloud, Done, Host, Program, Stage, root_or_skip, terminal::Terminal, wait};
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

    talkers_and_rejects(&mut stage, &two, &interface);

    let nobody = cloud.gureum("capture", ["nobody", "-w", &name]);
    assert!(nobody.stderr.contains("\"nobody\" is no instance or interface"), "{nobody}");
    assert_eq!(std::fs::read(&file).expect("still there"), bytes, "nothing was overwritten");
    let reason = cloud.gureum("trace", ["--reason", "bad-luck"]);
    assert!(reason.stderr.contains("help: reasons are"), "{reason}");
    let records = Cloud::records();
    let none = records.gureum("trace", ["-c", "1"]);
    assert!(none.stderr.contains("keeps records only"), "{none}");
    let none = records.gureum("flows", ["--once"]);
    assert!(none.stderr.contains("keeps records only"), "{none}");
}

/// `gureum flows`: who talks, and what is rejected and by what, also to who asks afterwards.
fn talkers_and_rejects(stage: &mut Stage<'_>, two: &Host, interface: &str) {
    let cloud = stage.cloud;
    let datagrams = |count: u32, port: u16| {
        let shell =
            format!("for i in $(seq {count}); do echo x > /dev/udp/{}/{port}; done", two.public);
        cloud.internet(&shell).ok();
    };
    let rejects = |args: &[&str], port: u16| {
        let args = ["--reject", "--output", "json", "--limit", "1000"].iter().chain(args);
        let report = cloud.gureum("flows", args).json();
        assert!(report.get("flows").is_none(), "{report}");
        let to = format!("{}:{port}", two.public);
        let rows = report["rejects"].as_array().expect("a list").iter();
        rows.filter(|row| row["destination"] == *to).cloned().collect::<Vec<_>>()
    };
    // No rule admits 9999; an entry denies 9998, which is asked first (PIPE-2).
    datagrams(5, 9999);
    let acl = stage.ec2.call("DescribeNetworkAcls", &[]).text("networkAclId");
    let deny = [
        ("NetworkAclId", &*acl),
        ("RuleNumber", "50"),
        ("Protocol", "17"),
        ("PortRange.From", "9998"),
        ("PortRange.To", "9998"),
        ("CidrBlock", "0.0.0.0/0"),
        ("RuleAction", "deny"),
        ("Egress", "false"),
    ];
    stage.ec2.call("CreateNetworkAclEntry", &deny);
    datagrams(3, 9998);
    for (port, packets, reason) in
        [(9999, 5, "security-group-ingress"), (9998, 3, "network-acl-ingress")]
    {
        let mut rows = Vec::new();
        wait("the rejects are known", PATIENCE, || {
            rows = rejects(&["two", "--since", "5m"], port);
            rows.first().is_some_and(|row| row["packets"] == packets)
        });
        let [row] = &rows[..] else { panic!("one line: {rows:?}") };
        assert_eq!((&row["reason"], &row["name"]), (&reason.into(), &"two".into()), "{row}");
        assert_eq!((&row["interface"], &row["direction"]), (&interface.into(), &"ingress".into()));
        assert_eq!(
            (&row["protocol"], &row["bytes"]),
            (&"udp".into(), &(packets * 30).into()),
            "{row}"
        );
        assert!(
            row["source"].as_str().is_some_and(|source| source.starts_with(&stage.client)),
            "{row}"
        );
    }
    let entry = &rejects(&[], 9998)[0]["component"]["NetworkAclEntry"];
    assert_eq!((&entry["acl"], &entry["number"]), (&acl.as_str().into(), &50.into()), "{entry}");
    let text = cloud.gureum("flows", ["--reject", "--since", "5m", "--limit", "1000"]).ok();
    let line = text.lines().find(|line| line.contains(":9998")).expect("a line");
    assert!(line.starts_with("two ") && line.contains(&format!("{acl} ingress 50")), "{text}");
    stage.ec2.call(
        "DeleteNetworkAclEntry",
        &[("NetworkAclId", &acl), ("RuleNumber", "50"), ("Egress", "false")],
    );

    let ping = Program::internet(cloud, &["ping", "-n", "-q", "-i", "0.02", &two.public]);
    let mut flow = Value::Null;
    wait("the ping talks", PATIENCE, || {
        let report = cloud.gureum("flows", ["two", "--once", "--output", "json"]).json();
        assert!(report["flow_count"].as_u64() > Some(0), "{report}");
        flow = report["flows"][0].clone();
        flow["packets_per_second"].as_f64() > Some(10.0)
    });
    assert_eq!((&flow["protocol"], &flow["name"]), (&"icmp echo".into(), &"two".into()), "{flow}");
    assert_eq!(flow["local"], *two.private, "{flow}");
    assert_eq!(flow["remote"], *stage.client, "{flow}");
    assert_eq!(flow["origin"], "ingress", "{flow}");
    // 84 bytes each, and all are alike.
    let rate = |of: &str| flow[of].as_f64().expect("a rate");
    let size = rate("bytes_per_second") / rate("packets_per_second");
    assert!((83.9..84.1).contains(&size), "{flow}");

    // In a terminal it goes on until Ctrl-C.
    let mut terminal = Terminal::start(&cloud.command("flows"));
    let first = terminal.until("REJECTS of the last");
    assert!(first.contains("icmp echo"), "{first:?}");
    terminal.until("FLOWS");
    terminal.type_in("\x03");
    assert_eq!(terminal.status(), 0);
    drop(ping);

    let nobody = cloud.gureum("flows", ["nobody"]);
    assert!(nobody.stderr.contains("\"nobody\" is no instance or interface"), "{nobody}");
}
