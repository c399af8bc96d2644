//! Flow logs from real packets: what records say equals what the kernel counted, to the packet.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use gureum_e2e::{Cloud, Done, Host, Stage, root_or_skip, wait};

const GROUP: &str = "IMD-VPCFlow";
const BUCKET: &str = "flow-logs";
/// The port of the short connections.
const SHORT: &str = "8080";
/// A window of a minute and what comes after it.
const PATIENCE: Duration = Duration::from_secs(100);

const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
const RIGHTS: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]}]}"#;

/// Counts in a guest's kernel what flow logs never have (FL-17) of what its interface counts: ARP, the
/// platform's services, the router, DHCP, IPv6 of the link; in, then out.
const COUNTERS: &str = r#"
table netdev counted {
    set silent { type ipv4_addr; flags interval; elements = { 169.254.0.0/16, 172.31.0.1, 172.31.0.2 } }
    chain in {
        type filter hook ingress device eth0 priority 0;
        meta protocol arp counter
        ip saddr @silent counter
        udp dport 68 ip saddr != @silent counter
        ip6 saddr fe80::/10 counter
    }
}
table arp counted {
    chain out {
        type filter hook output priority 0;
        counter
    }
}
table inet counted {
    set silent { type ipv4_addr; flags interval; elements = { 169.254.0.0/16, 172.31.0.1, 172.31.0.2 } }
    chain out {
        type filter hook output priority 0;
        oif eth0 ip daddr @silent counter
        oif eth0 udp dport 67 ip daddr != @silent counter
        oif eth0 ip6 daddr { fe80::/10, ff00::/8 } counter
    }
}
"#;
/// Bytes of an Ethernet header, and of a question or answer of ARP.
const ETHERNET: u64 = 14;
const ARP: u64 = 28;

/// Packets and bytes from the IP header on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    packets: u64,
    bytes: u64,
}

/// What is counted of an interface, into it and out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Carried {
    ingress: Sum,
    egress: Sum,
}

/// Has the guest count from now on, one packet on the wire a packet of its kernel.
fn count(cloud: &Cloud, host: &Host) {
    let set = format!(
        "set -e; ethtool -K eth0 tso off gso off gro off; nft -f - <<'END'\n{COUNTERS}END\n\
         bash -c 'cat /sys/class/net/eth0/statistics/{{rx,tx}}_{{packets,bytes}}' >/tmp/before"
    );
    cloud.exec(&host.id, &set).ok();
}

/// What the guest's kernel counted at its interface less what is never on record.
fn counted(cloud: &Cloud, host: &Host) -> Carried {
    let read = "bash -c 'cat /tmp/before /sys/class/net/eth0/statistics/{rx,tx}_{packets,bytes}'; \
                for of in netdev arp inet; do nft list table $of counted; done | \
                sed -n 's/.*counter packets \\([0-9]*\\) bytes \\([0-9]*\\).*/\\1 \\2/p'";
    let text = cloud.exec(&host.id, read).ok();
    let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let (interface, filters) = numbers.split_at(8);
    assert_eq!(filters.len(), 16, "{text}");
    let of = |at: usize, filters: &[u64]| {
        let frames = interface[at + 4] - interface[at];
        let bytes = interface[at + 5] - interface[at + 1];
        let (arp, silent) = filters.split_at(2);
        let silent_packets: u64 = silent.iter().step_by(2).sum();
        let silent_bytes: u64 = silent.iter().skip(1).step_by(2).sum();
        Sum {
            packets: frames - arp[0] - silent_packets,
            bytes: bytes - ETHERNET * frames - ARP * arp[0] - silent_bytes,
        }
    };
    Carried { ingress: of(0, &filters[..8]), egress: of(2, &filters[8..]) }
}

/// The fields of the flow logs.
const FIELDS: [&str; 9] = [
    "interface-id",
    "flow-direction",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "packets",
    "bytes",
    "log-status",
];

/// Makes three flow logs of the default VPC: into a log group, and into a bucket as text and as
/// Parquet.
fn make_flow_logs(cloud: &Cloud) {
    cloud.aws(&format!("logs create-log-group --log-group-name {GROUP}")).ok();
    cloud.aws(&format!("s3 mb s3://{BUCKET}")).ok();
    let role = ["iam", "create-role", "--role-name", "flowlogsRole"];
    let trust = ["--assume-role-policy-document", TRUST];
    let role = cloud.aws_args(role.into_iter().chain(trust)).json();
    let role = role["Role"]["Arn"].as_str().expect("an ARN");
    let policy = ["iam", "put-role-policy", "--role-name", "flowlogsRole", "--policy-name", "p"];
    cloud.aws_args(policy.into_iter().chain(["--policy-document", RIGHTS])).ok();
    let vpc = cloud.aws("ec2 describe-vpcs").json();
    let vpc = vpc["Vpcs"][0]["VpcId"].as_str().expect("a VPC");
    let fields = FIELDS.map(|field| format!("${{{field}}}")).join(" ");
    let bucket = |folder: &str| format!("arn:aws:s3:::{BUCKET}/{folder}");
    let (text, parquet) = (bucket("text"), bucket("parquet"));
    let files = ["--log-destination-type", "s3", "--destination-options"];
    let hourly = "FileFormat=plain-text,HiveCompatiblePartitions=false,PerHourPartition=true";
    let hive = "FileFormat=parquet,HiveCompatiblePartitions=true,PerHourPartition=false";
    let destinations: [&[&str]; 3] = [
        &["--log-group-name", GROUP, "--deliver-logs-permission-arn", role],
        &[files[0], files[1], "--log-destination", &text, files[2], hourly],
        &[files[0], files[1], "--log-destination", &parquet, files[2], hive],
    ];
    for destination in destinations {
        let make = ["ec2", "create-flow-logs", "--resource-type", "VPC", "--resource-ids", vpc];
        let more = ["--traffic-type", "ALL", "--max-aggregation-interval", "60", "--log-format"];
        let all = make.iter().chain(&more).copied().chain([&*fields]);
        let made = cloud.aws_args(all.chain(destination.iter().copied())).json();
        assert_eq!(made["Unsuccessful"].as_array().map(Vec::len), Some(0), "{made}");
    }
}

/// Prints the records of all files below a folder, text or Parquet, as lines.
const READ: &str = r#"
import gzip, pathlib, sys
import pyarrow.parquet
fields = sys.argv[2].split(' ')
for file in sorted(pathlib.Path(sys.argv[1]).rglob('*.*')):
    if file.name.endswith('.log.gz'):
        head, *lines = gzip.open(file, 'rt').read().splitlines()
        assert head.split(' ') == fields, head
        print('\n'.join(lines))
    elif file.name.endswith('.log.parquet'):
        columns = pyarrow.parquet.read_table(file).to_pydict()
        for row in zip(*(columns[field.replace('-', '_')] for field in fields)):
            print(*('-' if value is None else value for value in row))
"#;

/// The lines of the files in a folder of the bucket, as `aws s3` gets them and others read them.
fn lines_of_files(cloud: &Cloud, folder: &str) -> Vec<String> {
    let local = cloud.data_dir().with_file_name(folder);
    let local = local.to_str().expect("UTF-8");
    cloud.aws(&format!("s3 cp --recursive --only-show-errors s3://{BUCKET}/{folder} {local}")).ok();
    let mut command = std::process::Command::new("python3");
    let text = Done::run(command.args(["-c", READ, local, &FIELDS.join(" ")])).ok();
    text.lines().map(str::to_owned).collect()
}

/// The lines in the log group.
fn lines_of_group(cloud: &Cloud) -> Vec<String> {
    let events = cloud.aws(&format!("logs filter-log-events --log-group-name {GROUP}")).json();
    let events = events["events"].as_array().expect("events").iter();
    events.map(|event| event["message"].as_str().expect("a message").to_owned()).collect()
}

/// Of every interface, all that lines say and what they say of traffic between two addresses but for
/// the short connections.
type Recorded = BTreeMap<String, (Carried, Carried)>;

fn recorded(lines: &[String], between: &[&str; 2]) -> Recorded {
    let mut sums = Recorded::new();
    for line in lines {
        let fields: Vec<&str> = line.split(' ').collect();
        let [interface, direction, source, destination, from, to, packets, bytes, status] =
            fields[..]
        else {
            panic!("{line}")
        };
        assert_ne!(status, "SKIPDATA", "{line}");
        let (all, part) = sums.entry(interface.to_owned()).or_default();
        if status == "NODATA" {
            continue;
        }
        let is_part = between.contains(&source)
            && between.contains(&destination)
            && ![from, to].contains(&SHORT);
        for carried in [Some(all), is_part.then_some(part)].into_iter().flatten() {
            let sum = match direction {
                "ingress" => &mut carried.ingress,
                _ => &mut carried.egress,
            };
            sum.packets += packets.parse::<u64>().expect("a number");
            sum.bytes += bytes.parse::<u64>().expect("a number");
        }
    }
    sums
}

/// What the engine's flows of an interface carried to an address and from there, but for the short
/// connections: it forgets those while they are made.
fn in_engine(cloud: &Cloud, host: &Host, other: &str) -> Carried {
    let report = cloud.gureum("port", ["show", &host.id, "--output", "json"]).json();
    let mut carried = Carried::default();
    for flow in report["flows"].as_array().expect("flows") {
        let end = |name: &str| flow[name].as_str().and_then(|it| it.rsplit_once(':'));
        let (Some((_, local)), Some((remote, port))) = (end("local"), end("remote")) else {
            panic!("{flow}")
        };
        if remote == other && ![local, port].contains(&SHORT) {
            let number = |name: &str, at: usize| flow[name][at].as_u64().expect("a number");
            carried.egress.packets += number("packets", 0);
            carried.egress.bytes += number("bytes", 0);
            carried.ingress.packets += number("packets", 1);
            carried.ingress.bytes += number("bytes", 1);
        }
    }
    carried
}

// FL-14, FL-15, FL-16, FL-18, FL-23, FL-32
#[test]
fn hosts_records_say_what_the_kernel_counted() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let ids = stage.run_instances("talks", 2);
    let hosts = [0, 1].map(|at: usize| {
        stage.wait_ready(&ids[at]);
        stage.host(&ids[at])
    });
    let [one, two] = &hosts;
    let interfaces =
        [one, two].map(|host| cloud.instance(&host.id, "NetworkInterfaces[0].NetworkInterfaceId"));
    hosts.iter().for_each(|host| count(&cloud, host));
    make_flow_logs(&cloud);

    // Long streams, datagrams, pings, 10,000 short connections, and something to the internet.
    let serve = "iperf3 -s -D; mkdir -p /tmp/web && echo page >/tmp/web/page && cd /tmp/web && \
                 (nohup python3 -m http.server 8080 >/dev/null 2>&1 &)";
    cloud.exec(&two.id, serve).ok();
    let open = format!("nc -z {} 5201 && nc -z {} 8080", two.private, two.private);
    wait("the servers", Duration::from_secs(20), || cloud.exec(&one.id, &open).status == 0);
    let mut talk = String::from("set -e; ");
    let _ = write!(talk, "ping -q -i 0.01 -c 100 {0}; iperf3 -n 30M -c {0}; ", two.private);
    let _ = write!(talk, "iperf3 -u -b 50M -n 5M -c {0}; iperf3 -R -n 30M -c {0}; ", two.private);
    let _ = write!(
        talk,
        "ab -q -n 10000 -c 20 http://{}:8080/page | grep 'Complete requests'; ",
        two.private
    );
    talk.push_str("curl -sS -o /dev/null http://checkip.amazonaws.com");
    let said = cloud.exec(&one.id, &talk).ok();
    assert!(said.contains("Complete requests:      10000"), "{said}");
    let engine = [in_engine(&cloud, one, &two.private), in_engine(&cloud, two, &one.private)];

    // Whoever kills the daemon loses no packet of the window that it was in.
    cloud.kill();
    cloud.start().ok();
    cloud.exec(&one.id, &format!("ping -q -i 0.01 -c 50 {}", two.private)).ok();
    let kernel = [counted(&cloud, one), counted(&cloud, two)];
    let ends = [&*one.private, &two.private];
    let complete = |said: &Recorded| {
        interfaces.iter().zip(&kernel).all(|(interface, kernel)| {
            let said = said.get(interface).map(|(all, _)| all.egress.packets).unwrap_or_default();
            said >= kernel.egress.packets
        })
    };
    let mut said = Recorded::new();
    wait("the records", PATIENCE, || {
        said = recorded(&lines_of_group(&cloud), &ends);
        complete(&said)
    });
    for folder in ["text", "parquet"] {
        let mut files = Recorded::new();
        wait(folder, Duration::from_secs(30), || {
            files = recorded(&lines_of_files(&cloud, folder), &ends);
            complete(&files)
        });
        for interface in &interfaces {
            assert_eq!(
                files[interface], said[interface],
                "{folder} as the log group (FL-14, FL-15)"
            );
        }
    }
    // The pings after the killing: a request and an answer of 84 bytes each.
    let pings = Sum { packets: 50, bytes: 50 * 84 };
    let after =
        |sum: Sum| Sum { packets: sum.packets + pings.packets, bytes: sum.bytes + pings.bytes };
    for ((interface, kernel), engine) in interfaces.iter().zip(&kernel).zip(&engine) {
        let (all, part) = said[interface];
        assert!(kernel.egress.packets > 50_000, "{kernel:?}");
        assert_eq!(all, *kernel, "{interface}: the kernel's counters");
        let engine = Carried { ingress: after(engine.ingress), egress: after(engine.egress) };
        assert_eq!(part, engine, "{interface}: the engine's flows");
    }
}
