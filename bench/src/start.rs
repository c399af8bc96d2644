//! How fast a daemon is there, how small it is, how fast it writes.

use std::{
    fs,
    io::{Seek as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, Done, Ec2, Host, Stage, free_port, gureum, images, wait};
use tempfile::TempDir;

use crate::report::{Report, Target, median, millis};

/// How many starts are measured; the first, which reads the binary from the disk, is not.
const STARTS: usize = 5;
/// How many groups and rules are written.
const WRITES: usize = 300;
/// How often the disk itself is asked, and for how many bytes.
const SYNCS: usize = 300;
const BLOCK: usize = 4096;
/// When a daemon counts as idle.
const SETTLE: Duration = Duration::from_secs(2);

/// Starts with records only.
pub(crate) fn records_only(report: &mut Report) {
    measure(report, "records only", &["--no-instances".to_owned()], (50.0, 25.0));
}

/// Starts with hosts.
pub(crate) fn with_hosts(report: &mut Report) {
    let images = images();
    let options = ["--images-dir", &*images.to_string_lossy()].map(str::to_owned);
    measure(report, "with hosts", &options, (100.0, 30.0));
}

/// Starts on empty data directories: until the first answer, and how much memory that took. The
/// targets are in ms and MB.
fn measure(report: &mut Report, kind: &str, options: &[String], (soon, small): (f64, f64)) {
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..=STARTS {
        let (time, size) = cold(options);
        times.push(time);
        sizes.push(size);
    }
    let name = format!("cold start to the first DescribeVpcs, {kind}");
    report.add_median(&name, &times[1..], soon);
    let name = format!("resident when idle, {kind}");
    report.add(&name, median(&sizes[1..]), "MB", Target::AtMost(small));
}

/// A daemon in the foreground, taken down with the value: also when a measurement fails.
struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut down = Command::new(gureum());
        let done = Done::run(down.arg("--data-dir").arg(data(&self.folder)).arg("down"));
        if done.status != 0 {
            eprintln!("{done}");
        }
        if let Err(error) = self.child.wait() {
            eprintln!("the daemon: {error}");
        }
    }
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// One start in a new data directory.
fn cold(options: &[String]) -> (Duration, f64) {
    let folder = tempfile::tempdir().expect("a scratch directory");
    let port = free_port();
    let log = fs::File::create(folder.path().join("log")).expect("a log");
    let start = Instant::now();
    let child = Command::new(gureum())
        .arg("--data-dir")
        .arg(data(&folder))
        .args(["up", "--socks", "off", "--listen", &format!("127.0.0.1:{port}")])
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("it starts");
    let daemon = Daemon { child, folder };
    let mut ec2 = loop {
        match Ec2::try_connect(port) {
            Ok(ec2) => break ec2,
            Err(error) => {
                assert!(start.elapsed() < Duration::from_secs(30), "no answer: {error}");
                thread::sleep(Duration::from_micros(200));
            }
        }
    };
    ec2.call("DescribeVpcs", &[]);
    let time = start.elapsed();
    thread::sleep(SETTLE);
    (time, resident(daemon.child.id()))
}

/// Resident memory of a process in MB.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024.0 / 1e6
}

/// What the disk itself takes to keep 4 kB: no durable write is faster.
pub(crate) fn disk(report: &mut Report) {
    let mut file = tempfile::tempfile().expect("a scratch file");
    file.write_all(&vec![0; SYNCS * BLOCK]).expect("a disk");
    file.sync_all().expect("a disk");
    file.rewind().expect("a disk");
    let times: Vec<_> = (0..SYNCS)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&[1; BLOCK]).expect("a disk");
            file.sync_data().expect("a disk");
            start.elapsed()
        })
        .collect();
    report.add("4 kB to disk, without Gureum", millis(median(&times)), "ms", Target::Measured);
}

/// Durable writes, over HTTP on one kept connection: what a client waits for.
pub(crate) fn durable(report: &mut Report) {
    let cloud = Cloud::records();
    let mut ec2 = Ec2::connect(cloud.port());
    let vpc = ec2.call("CreateVpc", &[("CidrBlock", "10.1.0.0/16")]).text("vpcId");
    let (mut groups, mut rules) = (Vec::new(), Vec::new());
    for number in 0..WRITES {
        let name = format!("group-{number}");
        let start = Instant::now();
        let made = ec2.call(
            "CreateSecurityGroup",
            &[("GroupName", &name), ("GroupDescription", "bench"), ("VpcId", &vpc)],
        );
        groups.push(start.elapsed());
        let group = made.text("groupId");
        let start = Instant::now();
        ec2.call(
            "AuthorizeSecurityGroupIngress",
            &[
                ("GroupId", &group),
                ("IpPermissions.1.IpProtocol", "tcp"),
                ("IpPermissions.1.FromPort", "22"),
                ("IpPermissions.1.ToPort", "22"),
                ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
            ],
        );
        rules.push(start.elapsed());
    }
    report.add_median("CreateSecurityGroup, durable, over HTTP", &groups, 1.3);
    report.add_median("AuthorizeSecurityGroupIngress, durable, over HTTP", &rules, 1.3);
}

/// `down`, then `up` with instances that are to run: until the first of them answers a ping.
pub(crate) fn again(stage: &mut Stage<'_>, host: &Host, report: &mut Report) {
    let cloud = stage.cloud;
    cloud.down();
    let start = Instant::now();
    cloud.start().ok();
    report.add(
        "up with five instances, until the API answers",
        millis(start.elapsed()),
        "ms",
        Target::Measured,
    );
    stage.ec2 = Ec2::connect(cloud.port());
    // Its public address is kept: the daemon went, not the instance's owner (PUB-3).
    wait("a ping is answered", Duration::from_secs(120), || stage.pings(&host.public));
    let time = start.elapsed().as_secs_f64();
    report.add("up with five instances, until the first ping", time, "s", Target::AtMost(15.0));
}
