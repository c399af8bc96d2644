//! Light hosts by the real API: instances to every client of AWS, without an operating system.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, Ec2, Program, Stage, Traces, desk, root_or_skip, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Whether packets from one end get to another, and who answered.
fn attempt(cloud: &Cloud, from: &str, to: &str, protocol: &str, port: u16) -> Value {
    let port = (protocol != "icmp").then_some(port);
    let question = json!({
        "source": from, "destination": to, "protocol": protocol,
        "port": port, "source_port": null, "ipv6": false,
    });
    let request = json!({"attempts": {"questions": [question], "patience": 2000}});
    desk::ask(cloud.data_dir(), &request)["attempts"][0].take()
}

/// A conversation between two ends that goes on until one hears nothing any more (`light/talk.py`).
struct Talk {
    dialer: Child,
    said: Arc<Mutex<String>>,
}

impl Talk {
    fn start(command: &mut Command, address: &str, port: u16) -> Self {
        let command = command.arg(talk()).args(["dial", address, &port.to_string()]);
        let mut dialer =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (output, heard) = (dialer.stdout.take().expect("a pipe"), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                *heard.lock().expect("nobody panics") = line;
            }
        });
        Self { dialer, said }
    }

    fn last(&self) -> String {
        self.said.lock().expect("nobody panics").clone()
    }

    /// Waits until more lines came back than had until now.
    #[track_caller]
    fn goes_on(&self) {
        let number = || self.last().parse::<u64>().ok();
        let so_far = number().unwrap_or(0);
        wait("data passes", PATIENCE, || {
            assert_ne!(self.last(), "ended");
            number().is_some_and(|now| now > so_far + 10)
        });
    }

    /// Waits until nothing comes back any more.
    #[track_caller]
    fn ends(&self) {
        wait("no more data passes", PATIENCE, || self.last() == "ended");
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Err(error) = self.dialer.kill().and_then(|()| self.dialer.wait()) {
            eprintln!("a conversation of a test: {error}");
        }
    }
}

fn talk() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/light/talk.py");
    script.to_string_lossy().into_owned()
}

/// SGT-3, SGT-5, NACL-1: what a preview says of open connections is what becomes of them when the
/// change is made: an untracked one ends with its rule, a tracked one goes on without it, and a network
/// ACL ends that.
#[test]
fn hosts_light_ones_see_connections_end_as_their_preview_says() {
    if !root_or_skip() {
        return;
    }
    const PORT: u16 = 7001;
    let cloud = Cloud::light();
    let mut stage = Stage::open(&cloud);
    let one = stage.launch("one");
    // In a subnet of its own: what stays within one meets no network ACL (NACL-1).
    let zone = [("Placement.AvailabilityZone", "ap-northeast-2c")];
    let two = stage.run_instances_with("two", &zone).text("instanceId");
    stage.wait_ready(&two);
    let two = stage.host(&two);
    let script = talk();
    let port = PORT.to_string();
    let _server = Program::guest(&cloud, "two", &["python3", &script, "serve", &port]);
    let is_served = || {
        let port = format!("exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo x >&3; head -c 1 <&3");
        cloud.exec("two", &format!("timeout 5 bash -c '{port}'")).stdout == "x"
    };
    wait("it is served", PATIENCE, is_served);
    let inside =
        Talk::start(cloud.command("exec").args(["one", "--", "python3"]), &two.private, PORT);
    inside.goes_on();
    let group = stage.group.clone();
    // Open to everybody, as is all that it answers: such flows are not tracked (SGT-3).
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", i32::from(PORT), "0.0.0.0/0");
    let outside = Talk::start(cloud.command("internet").args(["--", "python3"]), &two.public, PORT);
    outside.goes_on();

    let preview = format!("{}/_gureum/preview", cloud.endpoint());
    let asked = |call: &str| {
        let words = ["--endpoint-url", &*preview].into_iter().chain(call.split_whitespace());
        let done = cloud.aws_args(words);
        let message = done.stderr.clone();
        done.refused("DryRunOperation", "Request would have succeeded");
        message
    };
    let rules = format!(
        "ec2 describe-security-group-rules --filters Name=group-id,Values={group} --output text \
         --query SecurityGroupRules[?!IsEgress&&"
    );
    let rule = |which: &str| {
        let id = cloud.aws(&format!("{rules}{which}].SecurityGroupRuleId")).ok();
        format!(
            "ec2 revoke-security-group-ingress --group-id {group} --security-group-rule-ids {}",
            id.trim()
        )
    };
    let to = |from: &str| format!("tcp {PORT} from {from} to ");
    let (from_one, from_client) = (format!("one ({})", one.private), stage.client.clone());
    // A connection that is told of, below which title.
    let told = |message: &str, title: &str, from: &str| {
        let section = message.split(&format!("\n{title} (")).nth(1).unwrap_or_default();
        let lines = section.lines().skip(1).take_while(|line| line.starts_with("  "));
        lines.filter(|line| line.contains(&to(from))).count() == 1
    };
    let (end, tracked) = ("open connections that end", "go on only as tracked");

    let everybody = rule(&format!("ToPort==`{PORT}`"));
    let message = asked(&everybody);
    assert!(told(&message, end, &from_client), "{message}");
    assert!(!message.contains(&to(&from_one)), "its own rule admits it still: {message}");
    inside.goes_on();
    outside.goes_on();
    cloud.aws(&everybody).ok();
    outside.ends();
    inside.goes_on();

    let among_themselves = rule("ReferencedGroupInfo");
    let message = asked(&among_themselves);
    assert!(told(&message, tracked, &from_one), "{message}");
    cloud.aws(&among_themselves).ok();
    assert_eq!(attempt(&cloud, "one", "two", "tcp", PORT)["how"], "silent", "a new one");
    inside.goes_on();

    let acl =
        cloud.aws("ec2 describe-network-acls --query NetworkAcls[0].NetworkAclId --output text");
    let entry = format!(
        "ec2 delete-network-acl-entry --network-acl-id {} --rule-number 100 --ingress",
        acl.ok().trim()
    );
    let message = asked(&entry);
    assert!(told(&message, end, &from_one), "{message}");
    assert!(message.contains("network-acl-ingress"), "{message}");
    inside.goes_on();
    cloud.aws(&entry).ok();
    inside.ends();
}

#[test]
fn hosts_light_ones_are_instances_to_everybody() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::light();
    assert_eq!(cloud.status()["light"], true);
    let mut stage = Stage::open(&cloud);
    let one = stage.launch("one");
    let two = stage.launch("two");

    // From the internet the group admits ICMP alone; among themselves the hosts may do all.
    let outside = attempt(&cloud, "internet", "one", "tcp", 5432);
    assert_eq!(outside["how"], "silent", "{outside}");
    assert_eq!(attempt(&cloud, "internet", "one", "icmp", 0)["got_through"], true);
    for (protocol, port) in [("tcp", 5432), ("udp", 53), ("tcp", 80)] {
        let inside = attempt(&cloud, "one", "two", protocol, port);
        assert_eq!(inside["by"], two.id.as_str(), "{inside}");
        let start = format!("{} two {}:{port} from {}:", two.id, two.private, one.private);
        assert!(inside["text"].as_str().is_some_and(|it| it.starts_with(&start)), "{inside}");
    }
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 80, "0.0.0.0/0");
    let page = cloud.internet(&format!("curl -s --max-time 5 http://{}/health", one.public)).ok();
    assert!(page.starts_with(&format!("{} one {}:80 from 203.0.113.10:", one.id, one.private)));

    // What is expected is decided by the engine, and held to packets (a light host answers each).
    let file = cloud.data_dir().with_file_name("expectations.yaml");
    let expected = "\
- {from: internet, to: one, port: 80, expect: allow}
- {from: internet, to: one, port: [23, 5432], expect: deny, by: security-group-ingress}
- {from: one, to: two, protocol: [tcp, udp], port: any, expect: allow}
";
    fs::write(&file, expected).expect("written");
    let checked = cloud.gureum("check", [&*file.to_string_lossy(), "--packets"]);
    assert_eq!(checked.status, 0, "{checked}");
    assert!(checked.stdout.contains("3 hold, 0 fail, 0 unknown; "), "{checked}");
    let json = cloud.gureum("check", [&*file.to_string_lossy(), "--packets", "--output", "json"]);
    assert!(json.json()["packets"].as_u64().is_some_and(|sent| sent >= 5));
    // A host whose own firewall drops what the network lets through: packets say otherwise.
    let deaf = "add table ip deaf; add chain ip deaf in { type filter hook input priority 0; \
                tcp dport 1-65535 drop; }";
    cloud.exec("two", &format!("nft '{deaf}'")).ok();
    let checked = cloud.gureum("check", [&*file.to_string_lossy(), "--packets"]);
    assert_eq!(checked.status, 1, "{checked}");
    assert!(checked.stdout.contains("packets say otherwise"), "{checked}");
    cloud.exec("two", "nft delete table ip deaf").ok();

    // What a change would do to an open connection: rules let it go on, ACLs end it.
    let dial =
        format!("exec 3<>/dev/tcp/{}/5432; echo open >&3; read -r said <&3; sleep 60", two.private);
    let _open = Program::guest(&cloud, "one", &["bash", "-c", &dial]);
    let rules = "aws ec2 describe-security-group-rules --filters Name=group-id,Values=$G \
                 --query 'SecurityGroupRules[?!IsEgress].SecurityGroupRuleId' --output text";
    let group = cloud.instance(&two.id, "SecurityGroups[0].GroupId");
    let revoke = format!(
        "G={group}; aws ec2 revoke-security-group-ingress --group-id $G \
         --security-group-rule-ids $({rules}) >&2"
    );
    let acl = "A=$(aws ec2 describe-network-acls --query 'NetworkAcls[0].NetworkAclId' --output text); \
               aws ec2 delete-network-acl-entry --network-acl-id $A --rule-number 100 --ingress";
    let preview = |shell: &str| {
        let words = ["--output", "json", "--", "sh", "-c", shell];
        cloud.gureum("preview", words).json()["flows"].take()
    };
    let flow_of = |flows: &Value| {
        let flows = flows.as_array().expect("flows").clone();
        flows.into_iter().find(|it| it["protocol"] == "tcp 5432")
    };
    wait("the connection is open", PATIENCE, || {
        flow_of(&preview(&revoke)).is_some_and(|flow| flow["goes_on"] == true)
    });
    let of_internet = preview(acl);
    assert!(flow_of(&of_internet).is_none(), "ACLs are not asked within a subnet (NACL-1)");

    // Programs of one's own, in its network: names, metadata, pings.
    let exec = |shell: &str| cloud.exec("one", shell);
    let seen = exec("ping -n -c 1 -W 2 8.8.8.8 >/dev/null && hostname").ok();
    assert_eq!(seen.trim(), format!("ip-{}", one.private.replace('.', "-")));
    let metadata = exec(
        "T=$(curl -s --max-time 5 -X PUT http://169.254.169.254/latest/api/token \
         -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'); curl -s --max-time 5 \
         -H \"X-aws-ec2-metadata-token: $T\" http://169.254.169.254/latest/meta-data/instance-id",
    );
    assert_eq!(metadata.ok(), one.id, "IMDS-21");
    let name = cloud.instance(&two.id, "PrivateDnsName");
    let called = exec(&format!("curl -s --max-time 5 http://{name}:8080/")).ok();
    assert!(called.starts_with(&two.id), "DNS-6: {called}");
    assert_eq!(exec("exit 3").status, 3);

    // What it has not is said.
    for (words, lacking) in
        [(&["ssh", "one"][..], "SSH server"), (&["session", "one"], "agent of Session Manager")]
    {
        let refused = cloud.gureum(words[0], &words[1..]);
        let sentence = format!("one is a light host: it has no {lacking}");
        assert!(refused.status != 0 && refused.stderr.contains(&sentence), "{refused}");
    }
    let refused = cloud.gureum("exec", ["one", "--user", "ec2-user", "--", "id"]);
    assert!(refused.stderr.contains("is a light host and has no user ec2-user"), "{refused}");
    let console = cloud.gureum("console", ["one"]).ok();
    assert!(console.starts_with(&format!("{} is a light host", one.id)), "{console}");
    let words = format!("ec2 get-console-output --instance-id {} --output text", one.id);
    assert!(cloud.aws(&words).ok().contains("is a light host"));

    // A tag is its name at once; an address that comes is its own.
    stage.ec2.call(
        "CreateTags",
        &[("ResourceId.1", &*two.id), ("Tag.1.Key", "Name"), ("Tag.1.Value", "database")],
    );
    wait("it is called database", PATIENCE, || {
        let text = attempt(&cloud, "one", &two.private, "tcp", 3306)["text"].to_string();
        text.contains(" database ")
    });
    let interface = cloud.instance(&two.id, "NetworkInterfaces[0].NetworkInterfaceId");
    let given = [("NetworkInterfaceId", &*interface), ("SecondaryPrivateIpAddressCount", "1")];
    let given = stage.ec2.call("AssignPrivateIpAddresses", &given).text("privateIpAddress");
    wait("the second address answers", PATIENCE, || {
        attempt(&cloud, "one", &given, "tcp", 22)["by"] == two.id.as_str()
    });

    the_life_of_one(&mut stage, &one.id);
    the_daemon_comes_and_goes(&cloud, &mut stage, &one.id, &two.id);

    let traces = Traces::of(&cloud);
    cloud.down();
    wait("nothing is left", PATIENCE, || traces.left().is_empty());
}

/// EC2-7, EC2-8, EC2-9: off, on, again, and what packets say of it.
fn the_life_of_one(stage: &mut Stage<'_>, id: &str) {
    let cloud = stage.cloud;
    stage.ec2.call("RebootInstances", &[("InstanceId.1", id)]);
    wait("it answers after the reboot", PATIENCE, || {
        attempt(cloud, "database", "one", "tcp", 22)["by"] == id
    });
    stage.wait_ready(id);
    stage.ec2.call("StopInstances", &[("InstanceId.1", id)]);
    stage.wait_state(id, "stopped");
    assert_eq!(attempt(cloud, "database", "one", "tcp", 22)["how"], "silent");
    stage.ec2.call("StartInstances", &[("InstanceId.1", id)]);
    stage.wait_ready(id);
    assert_eq!(attempt(cloud, "database", "one", "tcp", 22)["by"], id);
}

fn the_daemon_comes_and_goes(cloud: &Cloud, stage: &mut Stage<'_>, one: &str, two: &str) {
    cloud.kill();
    cloud.start().ok();
    stage.ec2 = Ec2::connect(cloud.port());
    wait("both are there after a kill", PATIENCE, || {
        attempt(cloud, "one", "database", "udp", 9)["by"] == two
    });
    stage.wait_ready(one);
    stage.ec2.call("TerminateInstances", &[("InstanceId.1", two)]);
    stage.wait_state(two, "terminated");
    let folder = cloud.data_dir().join("instances").join(two);
    wait("its folder is gone", PATIENCE, || !folder.exists());
}

/// A hundred hosts: how long from the call to passed checks, and what each takes of memory.
#[test]
fn hosts_a_hundred_light_ones_answer_soon() {
    if !root_or_skip() {
        return;
    }
    const HOSTS: usize = 100;
    let cloud = Cloud::light();
    let mut stage = Stage::open(&cloud);
    // The responder runs from the first on.
    stage.launch("first");
    let responder = memory_of("gureum-respond", &cloud);
    let started = Instant::now();
    let ids = stage.run_instances("many", HOSTS);
    let ok = [("Filter.1.Name", "instance-status.status"), ("Filter.1.Value.1", "ok")];
    let until = started + Duration::from_secs(120);
    let took = loop {
        let passed = stage.ec2.call("DescribeInstanceStatus", &ok).texts("instanceId").len();
        if passed == HOSTS + 1 {
            break started.elapsed();
        }
        assert!(Instant::now() < until, "{passed} of {HOSTS} after {:?}", started.elapsed());
        // Not `wait`, whose steps are too long to measure by.
        std::thread::sleep(Duration::from_millis(10));
    };
    let each = memory_of("gureum-respond", &cloud).saturating_sub(responder) / HOSTS as u64;
    println!("{HOSTS} light hosts answer after {took:.2?}; {each} kB each in the responder");
    assert!(each < 300, "{each} kB each");
    for id in [&ids[0], &ids[HOSTS - 1]] {
        let seen = attempt(&cloud, "first", &cloud.instance(id, "PrivateIpAddress"), "tcp", 1234);
        assert_eq!(seen["by"], id.as_str(), "{seen}");
    }
}

/// Resident kilobytes of the process of that name that belongs to a cloud.
fn memory_of(name: &str, cloud: &Cloud) -> u64 {
    let traces = Traces::of(cloud);
    let status = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut found = traces.processes.iter().map(status);
    let found = found.find(|it| it.lines().next().is_some_and(|line| line.contains(name)));
    let found = found.unwrap_or_else(|| panic!("no process {name}"));
    let line = found.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|it| it.split_whitespace().next()?.parse().ok());
    number.expect("a size")
}
