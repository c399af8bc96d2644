//! The daemon dies and comes back: connections, records and instances go on. The machine dies
//! and comes back: instances return with their data and addresses.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use gureum_e2e::{Cloud, Done, Ec2, Stage, Traces, images, root_or_skip, wait};

const PATIENCE: Duration = Duration::from_secs(60);

const DESCRIBES: &[&str] = &[
    "DescribeVpcs",
    "DescribeSubnets",
    "DescribeRouteTables",
    "DescribeInternetGateways",
    "DescribeSecurityGroups",
    "DescribeSecurityGroupRules",
    "DescribeNetworkAcls",
    "DescribeNetworkInterfaces",
    "DescribeKeyPairs",
    "DescribeInstances",
    "DescribeVolumes",
    "DescribeTags",
];

/// All that Describe calls show.
fn records(cloud: &Cloud) -> Vec<String> {
    let mut ec2 = Ec2::connect(cloud.port());
    let body = |action: &&str| {
        let answer = ec2.call(action, &[]);
        answer.body.replace(&answer.text("requestId"), "")
    };
    DESCRIBES.iter().map(body).collect()
}

/// An open session that echoes lines.
struct Session {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Session {
    fn open(stage: &Stage<'_>, address: &str) -> Self {
        let mut command = stage.ssh(address);
        command.args(["-o", "ServerAliveInterval=0", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("ssh starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (lines, receiver) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, input, output: receiver }
    }

    /// Sends a line and waits for it to come back.
    #[track_caller]
    fn echo(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the session is open");
        let back = self.output.recv_timeout(PATIENCE);
        assert_eq!(back.as_deref(), Ok(line), "the session echoes");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("ssh: {error}");
        }
    }
}

/// A ping that runs on, and what it heard.
struct Ping {
    child: Child,
    log: PathBuf,
}

impl Ping {
    fn start(cloud: &Cloud, address: &str, log: &Path) -> Self {
        let mut command = cloud.command("internet");
        command.args(["--", "ping", "-n", "-i", "0.2", address]);
        let file = File::create(log).expect("a file");
        let child = command.stdin(Stdio::null()).stdout(file).spawn().expect("ping starts");
        Self { child, log: log.to_owned() }
    }

    fn answers(&self) -> usize {
        let text = fs::read_to_string(&self.log).expect("a log");
        text.lines().filter(|line| line.contains("bytes from")).count()
    }

    /// Waits for a few answers more than there are now.
    #[track_caller]
    fn goes_on(&self, when: &str) {
        let before = self.answers();
        wait(&format!("the ping is answered {when}"), PATIENCE, || self.answers() >= before + 5);
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("ping: {error}");
        }
    }
}

/// The peers of the SSH connections that are open in an instance, and the process that serves
/// each, so that a new connection would show.
fn connections(cloud: &Cloud, id: &str) -> String {
    let ss = "ss -Htnp state established '( sport = :22 )' | sort";
    cloud.exec(id, ss).ok().lines().map(squeeze).collect::<Vec<_>>().join("\n")
}

/// Without the queue lengths, which change.
fn squeeze(line: &str) -> String {
    line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
}

/// When process 1 of an instance began.
fn boot(cloud: &Cloud, id: &str) -> String {
    cloud.exec(id, "cut -d' ' -f22 /proc/1/stat").ok()
}

#[test]
fn hosts_connections_outlive_a_killed_daemon() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("survivor");
    let other = stage.launch("other");
    let log = cloud.data_dir().with_file_name("ping.log");
    let ping = Ping::start(&cloud, &host.public, &log);
    let mut session = Session::open(&stage, &host.public);
    session.echo("before");
    ping.goes_on("before");
    let (open, began) = (connections(&cloud, &host.id), boot(&cloud, &host.id));
    assert_eq!(open.lines().count(), 1, "one connection: {open}");

    // The rules go; both flows are tracked and go on (SGT-3, SGT-5, SGT-7).
    let client = format!("{}/32", stage.client);
    stage.ingress("RevokeSecurityGroupIngress", "icmp", -1, "0.0.0.0/0");
    stage.ingress("RevokeSecurityGroupIngress", "tcp", 22, &client);
    session.echo("without a rule");
    ping.goes_on("without a rule");
    wait("a new ping is refused", PATIENCE, || !stage.pings(&host.public));
    let before = records(&cloud);
    let traces = Traces::of(&cloud);

    for round in 1..=2 {
        let daemon = cloud.daemon_pid();
        cloud.kill();
        cloud.start().ok();
        assert_ne!(cloud.daemon_pid(), daemon, "another daemon");
        session.echo(&format!("after kill {round}"));
        ping.goes_on(&format!("after kill {round}"));
        assert_eq!(connections(&cloud, &host.id), open, "the same connection, no handshake");
        assert_eq!(boot(&cloud, &host.id), began, "the instance was not restarted");
        assert!(!stage.pings(&host.public), "a new ping is refused");
        assert_ne!(stage.login(&host.public, "true").status, 0, "a new session is refused");
        assert_eq!(records(&cloud), before, "every record is there");
    }
    let now = Traces::of(&cloud);
    assert!(traces.namespaces.is_subset(&now.namespaces), "the same namespaces: {now:?}");
    stage.ec2 = Ec2::connect(cloud.port());
    for host in [&host, &other] {
        assert_eq!(stage.state(&host.id), "running");
        assert!(stage.ready(&host.id), "status checks passed");
    }
    let peer = format!("ping -n -c 1 -W 2 {}", other.private);
    cloud.exec(&host.id, &peer).ok();
    stage.ingress("AuthorizeSecurityGroupIngress", "icmp", -1, "0.0.0.0/0");
    wait("a rule that is added works", PATIENCE, || stage.pings(&host.public));
}

#[test]
fn hosts_return_after_the_machine_died_with_data_and_addresses() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("returns");
    let stopped = stage.launch("stays-stopped");
    stage.ec2.call("StopInstances", &[("InstanceId.1", &stopped.id)]);
    stage.wait_state(&stopped.id, "stopped");
    let write = "echo 'written before' | sudo tee /root/kept >/dev/null && sync";
    stage.login(&host.public, write).ok();
    let began = boot(&cloud, &host.id);
    let keys = stage.login(&host.public, "cat /etc/ssh/ssh_host_ed25519_key.pub").ok();

    // What a power cut leaves is files: every process of the cloud dies, none is asked.
    let traces = Traces::of(&cloud);
    traces.kill_everything();
    wait("every process is dead", PATIENCE, || traces.alive().is_empty());
    cloud.start().ok();

    stage.ec2 = Ec2::connect(cloud.port());
    wait("it can be entered", PATIENCE, || cloud.exec(&host.id, "true").status == 0);
    wait("it lets one in", PATIENCE, || stage.login(&host.public, "true").status == 0);
    stage.wait_ready(&host.id);
    let returned = stage.host(&host.id);
    assert_eq!((&returned.private, &returned.public), (&host.private, &host.public));
    assert_ne!(boot(&cloud, &host.id), began, "it was started anew");
    let kept = stage.login(&returned.public, "sudo cat /root/kept").ok();
    assert_eq!(kept, "written before\n", "the disk is there");
    let keys_now = stage.login(&returned.public, "cat /etc/ssh/ssh_host_ed25519_key.pub").ok();
    assert_eq!(keys_now, keys, "no second first boot");
    assert!(stage.pings(&returned.public));
    assert_eq!(stage.state(&stopped.id), "stopped", "what was stopped stays so");
}

#[test]
fn hosts_are_shut_down_in_order_with_the_machine_and_return_with_it() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("returns");
    let witness = "systemd-run --unit=witness --property=RemainAfterExit=yes \
                   --property=ExecStop='/bin/sh -c \"echo in order >/root/witness\"' true && \
                   systemctl is-active witness";
    cloud.exec(&host.id, witness).ok();
    let began = boot(&cloud, &host.id);

    // As process 1 of a machine does it: everybody at once, then it waits until they are gone.
    let traces = Traces::of(&cloud);
    traces.ask_everything_to_end();
    wait("every process has ended by itself", PATIENCE, || traces.alive().is_empty());
    cloud.start().ok();

    stage.ec2 = Ec2::connect(cloud.port());
    wait("it can be entered", PATIENCE, || cloud.exec(&host.id, "true").status == 0);
    stage.wait_ready(&host.id);
    let returned = stage.host(&host.id);
    assert_eq!((&returned.private, &returned.public), (&host.private, &host.public));
    assert_ne!(boot(&cloud, &host.id), began, "it was started anew");
    assert_eq!(cloud.exec(&host.id, "cat /root/witness").ok(), "in order\n");
}

/// A disk whose power can be cut: an ext4 in a file.
struct Disk {
    file: PathBuf,
    point: PathBuf,
}

impl Disk {
    fn new(folder: &Path) -> Self {
        let disk = Self { file: folder.join("disk"), point: folder.join("mounted") };
        fs::create_dir_all(&disk.point).expect("a folder");
        File::create(&disk.file).and_then(|file| file.set_len(2 << 30)).expect("a file");
        Done::run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.file)).ok();
        disk.mount();
        disk
    }

    fn mount(&self) {
        let mut mount = Command::new("mount");
        Done::run(mount.args(["-o", "loop"]).args([&self.file, &self.point])).ok();
    }

    /// Writes down which files there are, as the file system does every five seconds; what is in
    /// them may wait for half a minute.
    fn commit(&self) {
        let file = File::create(self.point.join("committed")).expect("a file");
        file.sync_all().expect("committed");
    }

    /// What is on the disk at this moment, and nothing of what the machine still has in memory.
    fn picture(&self) -> PathBuf {
        let picture = self.file.with_extension("picture");
        Done::run(Command::new("cp").arg("--sparse=always").args([&self.file, &picture])).ok();
        picture
    }

    /// The disk as the picture shows it.
    fn go_back_to(&self, picture: &Path) {
        self.unmount();
        fs::rename(picture, &self.file).expect("renamed");
        self.mount();
    }

    fn unmount(&self) {
        let unmounts = || Done::run(Command::new("umount").arg(&self.point)).status == 0;
        wait("nobody uses the disk", PATIENCE, unmounts);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let done = Done::run(Command::new("umount").arg("-l").arg(&self.point));
        if done.status != 0 {
            eprintln!("{done}");
        }
    }
}

#[test]
fn hosts_return_after_a_power_cut_right_after_their_launch() {
    if !root_or_skip() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch directory");
    let disk = Disk::new(folder.path());
    let images = images();
    let options = ["--images-dir", &*images.to_string_lossy()];
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let cloud = Cloud::prepared_at(scratch, disk.point.join("data"), &options);
    cloud.start().ok();
    let mut stage = Stage::open(&cloud);
    let id = stage.run_instances("returns", 1).remove(0);
    let host = stage.host_when_running(&id);
    // What we gave it for its first start: its name, whose system it shows, whom it trusts.
    let ours = "cat /etc/cloud/cloud.cfg.d/90_gureum_user.cfg /etc/os-release && \
                cat /usr/local/share/ca-certificates/gureum.crt && \
                wc -c </etc/ssl/certs/ca-certificates.crt && test -s /etc/hostname";
    let before = cloud.exec(&id, ours).ok();
    let commit = "dd if=/dev/zero of=/committed bs=1 count=1 conv=fsync status=none";
    cloud.exec(&id, commit).ok();
    disk.commit();
    let picture = disk.picture();

    let traces = Traces::of(&cloud);
    traces.kill_everything();
    wait("every process is dead", PATIENCE, || traces.alive().is_empty());
    disk.go_back_to(&picture);
    cloud.start().ok();

    stage.ec2 = Ec2::connect(cloud.port());
    wait("it can be entered", PATIENCE, || cloud.exec(&id, "true").status == 0);
    assert_eq!(cloud.exec(&id, ours).ok(), before, "its first files are whole");
    let returned = stage.host_when_running(&id);
    assert_eq!((&returned.private, &returned.public), (&host.private, &host.public));
    wait("it answers", PATIENCE, || stage.pings(&returned.public));
    cloud.down();
}

#[test]
fn what_was_acknowledged_outlives_a_kill_at_any_moment() {
    let cloud = Cloud::records();
    let mut made: Vec<String> = Vec::new();
    for round in 0..4 {
        let port = cloud.port();
        let writer = thread::spawn(move || {
            let mut ec2 = Ec2::connect(port);
            let mut made = Vec::new();
            for number in 0_u32.. {
                let cidr = format!("10.{}.0.0/16", number % 256);
                let Ok(answer) = ec2.attempt("CreateVpc", &[("CidrBlock", &cidr)]) else { break };
                assert_eq!(answer.status, 200, "{answer}");
                made.push(answer.text("vpcId"));
            }
            made
        });
        let mut reader = Ec2::connect(port);
        wait("some are made", PATIENCE, || {
            reader.call("DescribeVpcs", &[]).texts("vpcId").len() > made.len() + 20 + round * 7
        });
        cloud.kill();
        made.extend(writer.join().expect("the writer"));
        cloud.start().ok();
        let shown = Ec2::connect(port).call("DescribeVpcs", &[]).texts("vpcId");
        let lost: Vec<_> = made.iter().filter(|id| !shown.contains(id)).collect();
        assert!(lost.is_empty(), "lost {lost:?} of {}", made.len());
        // One may have been written and not acknowledged in each round; no more.
        assert!(shown.len() <= made.len() + 2 + round, "{} of {}", shown.len(), made.len());
        let tables = Ec2::connect(port).call("DescribeRouteTables", &[]).texts("routeTableId");
        let tables: std::collections::BTreeSet<_> = tables.into_iter().collect();
        assert_eq!(tables.len(), shown.len(), "each with its main table: all or nothing");
    }
}
