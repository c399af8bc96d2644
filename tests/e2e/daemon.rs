//! The daemon as a person meets it: starting, stopping, several at once, plain words when something is missing.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gureum_e2e::{
    Cloud, Done, Ec2, Stage, Traces, free_port, gureum, host_links, images, root_or_skip, wait,
};

/// A person without any rights: nobody.
const PERSON: u32 = 65534;

/// How long things may take on a machine that runs other tests too.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_cloud_of_records_answers_and_goes_without_root_things() {
    let cloud = Cloud::records();
    let vpcs = cloud.aws("ec2 describe-vpcs").json();
    assert_eq!(vpcs["Vpcs"][0]["IsDefault"], true, "CIDR-14: a region has a default VPC");
    let status = cloud.gureum("status", ["--output", "json"]).json();
    assert_eq!(status["endpoint"], cloud.endpoint());
    assert_eq!(status["instances_enabled"], false);
}

#[test]
fn two_clouds_do_not_see_each_other() {
    let (one, two) = (Cloud::records(), Cloud::records());
    one.aws("ec2 create-vpc --cidr-block 10.1.0.0/16").ok();
    let query = "ec2 describe-vpcs --filters Name=cidr,Values=10.1.0.0/16 --query length(Vpcs)";
    assert_eq!(one.aws(query).ok().trim(), "1");
    assert_eq!(two.aws(query).ok().trim(), "0");
}

#[test]
fn a_taken_port_is_said_in_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let directory = tempfile::tempdir().expect("a scratch directory");
    let mut command = Command::new(gureum());
    command.arg("--data-dir").arg(directory.path());
    let done = Done::run(command.args([
        "up",
        "--detach",
        "--no-instances",
        "--socks",
        "off",
        "--listen",
        &address,
    ]));
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stderr.contains(&address), "names the address: {done}");
    assert!(done.stderr.contains("--listen"), "says what to do: {done}");
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let cloud = Cloud::records();
    let done = Done::run(cloud.command("up").args([
        "--detach",
        "--no-instances",
        "--socks",
        "off",
        "--listen",
        "127.0.0.1:0",
    ]));
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stderr.contains("already"), "{done}");
}

#[test]
fn records_outlive_the_daemon() {
    let cloud = Cloud::records();
    let vpc =
        cloud.aws("ec2 create-vpc --cidr-block 10.9.0.0/16 --query Vpc.VpcId --output text").ok();
    cloud.kill();
    cloud.start().ok();
    let found = cloud.aws(&format!(
        "ec2 describe-vpcs --vpc-ids {} --query Vpcs[0].CidrBlock --output text",
        vpc.trim()
    ));
    assert_eq!(found.ok().trim(), "10.9.0.0/16");
}

#[test]
fn the_environment_is_set_for_a_shell() {
    let cloud = Cloud::records();
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!(
        "eval \"$({} --data-dir {} env)\" && aws sts get-caller-identity --query Account --output text && test -s \"$AWS_CA_BUNDLE\" && echo $AWS_REGION",
        gureum().display(),
        cloud.data_dir().display()
    ));
    let out = Done::run(&mut shell).ok();
    assert_eq!(out.lines().collect::<Vec<_>>(), ["123456789012", "ap-northeast-2"]);
}

#[test]
fn an_unwritable_data_directory_is_said_in_one_sentence() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let file = directory.path().join("a-file");
    fs::write(&file, "").expect("written");
    let mut command = Command::new(gureum());
    command.arg("--data-dir").arg(file.join("data"));
    let done = Done::run(command.args([
        "up",
        "--detach",
        "--no-instances",
        "--socks",
        "off",
        "--listen",
        "127.0.0.1:0",
    ]));
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stderr.contains("a-file"), "names the directory: {done}");
    assert!(!done.stderr.contains("panicked"), "{done}");
}

/// A command run by a person without rights, who cannot read root's scratch directories but for
/// what lies below `data_dir`.
fn as_person(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let (uid, gid) = (format!("--reuid={PERSON}"), format!("--regid={PERSON}"));
    command.args([&*uid, &*gid, "--clear-groups", "--inh-caps=-all", "--"]).arg(program);
    command.env_remove("SUDO_UID").env_remove("SUDO_GID").env("HOME", "/nonexistent");
    command
}

/// A scratch directory that everybody may pass, with the program under test in it.
fn open_house() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a scratch directory");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let program = folder.path().join("gureum");
    fs::copy(gureum(), &program).expect("copied");
    (folder, program)
}

/// One sentence, what to do, no panic.
#[track_caller]
fn plain_words(done: &Done, sentence: &str, remedy: &str) {
    assert_ne!(done.status, 0, "{done}");
    assert!(!done.stderr.contains("panicked"), "{done}");
    let error = done.stderr.lines().find_map(|line| line.strip_prefix("error: "));
    let error = error.unwrap_or_else(|| panic!("no error line: {done}"));
    assert!(error.contains(sentence), "says \"{sentence}\": {done}");
    assert!(done.stderr.contains(remedy), "advises \"{remedy}\": {done}");
    assert!(done.stderr.lines().count() <= 4, "one sentence: {done}");
}

#[test]
fn without_root_there_is_one_clear_sentence() {
    if !root_or_skip() {
        return;
    }
    let (folder, program) = open_house();
    let home = folder.path().join("person");
    fs::create_dir(&home).expect("a folder");
    std::os::unix::fs::chown(&home, Some(PERSON), Some(PERSON)).expect("chown");
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let run = |args: &[&str]| {
        let mut command = as_person(&program);
        command.arg("--data-dir").arg(home.join("data")).args(args);
        Done::run(&mut command)
    };
    let up = ["up", "--detach", "--listen", &listen, "--socks", "off"];
    plain_words(&run(&up), "root", "--no-instances");
    run(&[&up[..], &["--no-instances"]].concat()).ok();
    let vpcs = Ec2::connect(port).call("DescribeVpcs", &[]).texts("vpcId");
    assert_eq!(vpcs.len(), 1, "the API alone works");
    run(&["down"]).ok();
}

#[test]
fn a_missing_program_is_named() {
    let cloud = Cloud::records();
    let empty = tempfile::tempdir().expect("a scratch directory");
    for program in ["aws", "terraform"] {
        let mut command = cloud.command(program);
        let done = Done::run(command.arg("version").env("PATH", empty.path()));
        plain_words(&done, program, "install");
    }
}

#[test]
fn a_missing_image_is_named_with_what_to_do() {
    if !root_or_skip() {
        return;
    }
    let empty = tempfile::tempdir().expect("a scratch directory");
    let cloud = Cloud::prepared(&["--images-dir", &empty.path().to_string_lossy()]);
    plain_words(&cloud.start(), "no machine image", "make image");
}

#[test]
fn files_belong_to_the_person_who_called_sudo() {
    if !root_or_skip() {
        return;
    }
    let (folder, program) = open_house();
    let data = folder.path().join("data");
    let cloud = Cloud::prepared_at(folder, data, &["--no-instances"]);
    let mut up = cloud.start_command();
    up.env("SUDO_UID", PERSON.to_string()).env("SUDO_GID", PERSON.to_string());
    Done::run(&mut up).ok();
    cloud.aws("ec2 create-vpc --cidr-block 10.1.0.0/16").ok();
    let mut folders = vec![cloud.data_dir().to_owned()];
    let (mut count, mut foreign) = (0, Vec::new());
    while let Some(path) = folders.pop() {
        let found = fs::symlink_metadata(&path).expect("it is there");
        if (found.uid(), found.gid()) != (PERSON, PERSON) {
            foreign.push(path.display().to_string());
        }
        // A link's own mode says nothing.
        let writable = !found.is_symlink() && found.mode() & 0o022 != 0;
        assert!(!writable, "{} can be written", path.display());
        count += 1;
        if found.is_dir() {
            folders.extend(fs::read_dir(path).expect("listed").flatten().map(|it| it.path()));
        }
    }
    assert!(count >= 5, "the data directory has files");
    assert!(foreign.is_empty(), "these belong to somebody else: {foreign:?}");
    let mut status = as_person(&program);
    status.arg("--data-dir").arg(cloud.data_dir()).args(["status", "--output", "json"]);
    assert_eq!(Done::run(&mut status).json()["endpoint"], cloud.endpoint(), "no sudo needed");
    let mut down = as_person(&program);
    Done::run(down.arg("--data-dir").arg(cloud.data_dir()).arg("down")).ok();
}

/// A small file system of its own, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(point: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&point).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "none"]);
        Done::run(mount.arg(&point)).ok();
        Self(point)
    }

    /// Takes all space that is left.
    fn fill(&self) -> PathBuf {
        let file = self.0.join("ballast");
        let mut fill = Command::new("dd");
        let to = format!("of={}", file.display());
        let done = Done::run(fill.args(["if=/dev/zero", &to, "bs=64k", "conv=fsync"]));
        assert!(done.stderr.contains("No space left"), "{done}");
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let done = Done::run(Command::new("umount").arg("-l").arg(&self.0));
        if done.status != 0 {
            eprintln!("{done}");
        }
    }
}

#[test]
fn a_full_disk_refuses_changes_and_loses_nothing() {
    if !root_or_skip() {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch directory");
    let disk = SmallDisk::mount(folder.path().join("disk"), "24m");
    let cloud = Cloud::prepared_at(folder, disk.0.join("data"), &["--no-instances"]);
    cloud.start().ok();
    let mut ec2 = Ec2::connect(cloud.port());
    let vpc = ec2.call("CreateVpc", &[("CidrBlock", "10.1.0.0/16")]).text("vpcId");
    let ballast = disk.fill();
    let description = "d".repeat(255);
    let refused = (0..5000).find_map(|number| {
        let name = format!("group-{number}");
        let make = [("GroupName", &*name), ("GroupDescription", &*description), ("VpcId", &*vpc)];
        let answer = ec2.attempt("CreateSecurityGroup", &make).expect("an answer");
        (answer.status != 200).then_some((number, answer))
    });
    let (made, refused) = refused.expect("the disk is full at last");
    assert!(refused.status < 500, "clients repeat those for minutes: {refused}");
    assert!(refused.text("Message").contains("disk"), "it says what is wrong: {refused}");
    let groups = |ec2: &mut Ec2| {
        let of_vpc = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*vpc)];
        ec2.call("DescribeSecurityGroups", &of_vpc).texts("groupName").len()
    };
    assert_eq!(groups(&mut ec2), made + 1, "reading goes on; what was refused is not there");
    let log = fs::read_to_string(cloud.data_dir().join("gureum.log")).expect("a log");
    assert!(!log.contains("panicked"), "{log}");

    fs::remove_file(&ballast).expect("removed");
    let vpc_2 = ec2.call("CreateVpc", &[("CidrBlock", "10.2.0.0/16")]).text("vpcId");
    cloud.kill();
    cloud.start().ok();
    let mut ec2 = Ec2::connect(cloud.port());
    assert_eq!(groups(&mut ec2), made + 1, "all records are there");
    ec2.call("DescribeVpcs", &[("VpcId.1", &vpc_2)]);
    cloud.down();

    disk.fill();
    let done = cloud.start();
    plain_words(&done, "no space left", "free some space");
    fs::remove_file(&ballast).expect("removed");
    cloud.start().ok();
    assert_eq!(groups(&mut Ec2::connect(cloud.port())), made + 1, "and again");
    cloud.down();
    // The scratch directory goes with the cloud, and can only when nothing is mounted in it.
    drop(disk);
    drop(cloud);
}

#[test]
fn reset_empties_within_a_second() {
    let cloud = Cloud::records();
    let mut ec2 = Ec2::connect(cloud.port());
    let image = ec2.call("DescribeImages", &[]).text("imageId");
    for number in 0..40 {
        let cidr = format!("10.{number}.0.0/16");
        let vpc = ec2.call("CreateVpc", &[("CidrBlock", &cidr)]).text("vpcId");
        for third in 0..3 {
            let cidr = format!("10.{number}.{third}.0/24");
            ec2.call("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", &cidr)]);
        }
    }
    let many = [("ImageId", &*image), ("MinCount", "20"), ("MaxCount", "20")];
    let instances = ec2.call("RunInstances", &many).texts("instanceId");
    assert_eq!(instances.len(), 20);
    let start = Instant::now();
    cloud.gureum("reset", ["--yes"]).ok();
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
    let vpcs = ec2.call("DescribeVpcs", &[]);
    assert_eq!(vpcs.texts("cidrBlock").len(), 2, "only the default VPC, made anew: {vpcs}");
    assert_eq!(ec2.call("DescribeInstances", &[]).texts("instanceId").len(), 0);
    cloud.kill();
    cloud.start().ok();
    let mut ec2 = Ec2::connect(cloud.port());
    assert_eq!(ec2.call("DescribeSubnets", &[]).texts("subnetId").len(), 4, "also on the disk");
}

#[test]
fn reset_of_one_account_leaves_the_others() {
    let cloud = Cloud::records();
    let other = |words: &str| {
        let mut command = Command::new("aws");
        let command = cloud.aws_environment(&mut command);
        Done::run(command.args(words.split(' ')).env("AWS_ACCESS_KEY_ID", "222222222222"))
    };
    other("ec2 create-vpc --cidr-block 10.2.0.0/16").ok();
    cloud.aws("ec2 create-vpc --cidr-block 10.1.0.0/16").ok();
    cloud.gureum("reset", ["--yes", "--account", "123456789012"]).ok();
    let count = "ec2 describe-vpcs --query length(Vpcs)";
    assert_eq!(cloud.aws(count).ok().trim(), "1");
    assert_eq!(other(count).ok().trim(), "2");
}

#[test]
fn public_addresses_come_from_the_pool_that_was_set() {
    let cloud = Cloud::up(&["--no-instances", "--public-pool", "198.18.77.0/24"]);
    let mut ec2 = Ec2::connect(cloud.port());
    let address = ec2.call("AllocateAddress", &[("Domain", "vpc")]).text("publicIp");
    assert!(address.starts_with("198.18.77."), "{address}");
}

#[test]
fn doctor_and_logs_speak() {
    let cloud = Cloud::records();
    let findings = cloud.gureum("doctor", ["--output", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&findings.stdout).expect("JSON");
    assert!(findings.as_array().is_some_and(|it| it.len() >= 5), "{findings}");
    for finding in findings.as_array().into_iter().flatten() {
        let remedy = finding["remedy"].as_str().is_some_and(|it| !it.is_empty());
        assert!(finding["ok"] == true || remedy, "a remedy for {finding}");
    }
    let logs = cloud.gureum("logs", [] as [&str; 0]).ok();
    assert!(!logs.trim().is_empty(), "the log says that it started");
}

#[test]
fn hosts_down_leaves_nothing_on_the_machine() {
    if !root_or_skip() {
        return;
    }
    let links = host_links();
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("one");
    assert!(stage.pings(&host.public), "it runs");
    assert_eq!(host_links(), links, "the host's own network is not touched");
    let traces = Traces::of(&cloud);
    assert!(traces.processes.len() >= 4, "daemon, anchor, shim, init: {traces:?}");
    let networks = traces.namespaces.iter().filter(|it| it.starts_with("net:")).count();
    assert!(networks >= 4, "fabric, services, internet, instance: {traces:?}");
    assert!(!traces.left().is_empty(), "the search finds what is there");
    cloud.down();
    wait("nothing is left", PATIENCE, || traces.left().is_empty());
    assert_eq!(host_links(), links);

    cloud.start().ok();
    let mut stage_2 = Ec2::connect(cloud.port());
    let shown = stage_2.call("DescribeInstances", &[("InstanceId.1", &host.id)]);
    assert_eq!(shown.text("privateIpAddress"), host.private, "records stay");
    let traces = Traces::of(&cloud);
    cloud.kill();
    cloud.down();
    wait("nothing is left of a killed daemon", PATIENCE, || traces.left().is_empty());
}

#[test]
fn hosts_of_two_clouds_live_side_by_side() {
    if !root_or_skip() {
        return;
    }
    let (one, two) = (Cloud::hosts(), Cloud::hosts());
    let (mut first, mut second) = (Stage::open(&one), Stage::open(&two));
    let ids = (first.run_instances("same", 1), second.run_instances("same", 1));
    first.wait_ready(&ids.0[0]);
    second.wait_ready(&ids.1[0]);
    let (mine, other) = (first.host(&ids.0[0]), second.host(&ids.1[0]));
    let name = |stage: &Stage<'_>, address: &str| {
        stage.login(address, "hostname; cat /var/lib/cloud/data/instance-id").ok()
    };
    assert!(name(&first, &mine.public).contains(&mine.id), "one's own");
    assert!(name(&second, &other.public).contains(&other.id), "one's own");
    let traces = Traces::of(&one);
    one.down();
    wait("nothing is left of the first", PATIENCE, || traces.left().is_empty());
    assert!(second.pings(&other.public), "the second goes on");
    assert!(name(&second, &other.public).contains(&other.id), "the second goes on");
}

/// A command in the background, ended with the value.
struct Background(Child);

impl Background {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = ended {
            eprintln!("a command in the background: {error}");
        }
    }
}

#[test]
fn hosts_internet_is_entered_without_root_and_is_the_same_from_every_terminal() {
    if !root_or_skip() {
        return;
    }
    let (folder, program) = open_house();
    let data = folder.path().join("data");
    let port = free_port();
    let socks = format!("127.0.0.1:{port}");
    let images = images();
    let options = ["--images-dir", &*images.to_string_lossy(), "--socks", &socks];
    let cloud = Cloud::prepared_at(folder, data, &options);
    let mut up = cloud.start_command();
    up.env("SUDO_UID", PERSON.to_string()).env("SUDO_GID", PERSON.to_string());
    Done::run(&mut up).ok();
    let internet = |shell: &str| {
        let mut command = as_person(&program);
        command.arg("--data-dir").arg(cloud.data_dir()).args(["internet", "--", "bash", "-c"]);
        command.arg(shell).env("KEPT", "as it was").current_dir("/usr/share");
        command
    };
    let out = Done::run(&mut internet("id -u; pwd; echo $KEPT; exit 7"));
    assert_eq!(out.status, 7, "the status of the command: {out}");
    let expected = [PERSON.to_string(), "/usr/share".into(), "as it was".into()];
    assert_eq!(out.stdout.lines().collect::<Vec<_>>(), expected, "{out}");

    let address = Done::run(&mut internet("curl -sS --max-time 10 http://checkip.amazonaws.com"));
    let address = address.ok();
    assert_eq!(address.trim(), cloud.internet_address(), "what instances see, for /32 rules");
    let secure = "curl -sS --max-time 10 https://checkip.amazonaws.com";
    assert_eq!(Done::run(&mut internet(secure)).ok(), address, "over TLS with our CA");
    Done::run(&mut internet("ping -n -c 1 -W 2 8.8.8.8")).ok();
    Done::run(&mut internet("getent hosts google.com")).ok();
    let unknown = Done::run(&mut internet("getent hosts no-such-name.example"));
    assert_ne!(unknown.status, 0, "{unknown}");
    let outside = Done::run(&mut internet("curl -sS --max-time 3 http://127.0.0.1:4566"));
    assert_ne!(outside.status, 0, "its loopback is not the host's: {outside}");

    let inside = free_port();
    let _server = Background::start(&mut internet(&format!(
        "cd /usr/share && exec python3 -m http.server --bind 127.0.0.1 {inside}"
    )));
    let page = format!("curl -sS --max-time 5 http://127.0.0.1:{inside}/");
    wait("another terminal reaches the server on the loopback", PATIENCE, || {
        Done::run(&mut internet(&page)).status == 0
    });
    let host = Done::run(Command::new("bash").args(["-c", &page]));
    assert_ne!(host.status, 0, "the host's loopback is another: {host}");

    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "--socks5-hostname", &socks]);
    let through = Done::run(curl.arg("http://checkip.amazonaws.com")).ok();
    assert_eq!(through, address, "SOCKS5 with remote DNS comes from the same place");

    // Their data directory is closed to others, which an instance's own users are.
    let parameter = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2";
    let run = format!(
        "ec2 run-instances --image-id resolve:ssm:{parameter} --instance-type t2.micro \
         --query Instances[0].InstanceId --output text"
    );
    let id = cloud.aws(&run).ok();
    let query = "--query Reservations[0].Instances[0].State.Name --output text";
    let ask = format!("ec2 describe-instances --instance-ids {} {query}", id.trim());
    wait("an instance of theirs boots", PATIENCE, || cloud.aws(&ask).ok().trim() == "running");
}

/// What a test suite does with a cloud of its own: many VPCs with the same addresses, and none of
/// another suite's.
fn suite() {
    let cloud = Cloud::records();
    let mut ec2 = Ec2::connect(cloud.port());
    let mut made = Vec::new();
    for _ in 0..20 {
        let vpc = ec2.call("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).text("vpcId");
        let subnet = [("VpcId", vpc.as_str()), ("CidrBlock", "10.0.1.0/24")];
        let subnet = ec2.call("CreateSubnet", &subnet).text("subnetId");
        let interface = [("SubnetId", subnet.as_str()), ("PrivateIpAddress", "10.0.1.10")];
        ec2.call("CreateNetworkInterface", &interface);
        made.push(vpc);
    }
    let mut found = ec2
        .call("DescribeVpcs", &[("Filter.1.Name", "cidr"), ("Filter.1.Value.1", "10.0.0.0/16")])
        .texts("vpcId");
    made.sort();
    found.sort();
    assert_eq!(found, made);
    cloud.gureum("reset", ["--yes"]).ok();
    assert_eq!(ec2.call("DescribeNetworkInterfaces", &[]).texts("networkInterfaceId"), [""; 0]);
}

#[test]
fn ten_test_suites_run_side_by_side() {
    let suites: Vec<_> = (0..10).map(|_| std::thread::spawn(suite)).collect();
    for suite in suites {
        suite.join().expect("it passes");
    }
}
