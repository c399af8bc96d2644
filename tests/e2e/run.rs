//! `gureum run`: a command with a cloud of its own, which is gone when the command is, however either
//! ends.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use gureum_e2e::{Done, gureum, images, root_or_skip, terminal::Terminal, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// `gureum run` in a folder.
fn run(folder: &Path, options: &[&str], command: &[&str]) -> Command {
    let mut run = Command::new(gureum());
    run.arg("run").args(options).arg("--").args(command).current_dir(folder);
    for name in ["AWS_ENDPOINT_URL", "GUREUM_DATA_DIR", "SUDO_UID", "SUDO_GID"] {
        run.env_remove(name);
    }
    run
}

fn shell(folder: &Path, text: &str) -> Done {
    Done::run(&mut run(folder, &[], &["sh", "-c", text]))
}

fn scratch() -> TempDir {
    TempDir::with_prefix("gureum-e2e-run-").expect("a scratch directory")
}

/// The folders that failed runs have left.
fn left(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|it| it.path());
    let mut left: Vec<_> = entries
        .filter(|it| {
            it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("gureum-run-"))
        })
        .collect();
    left.sort();
    left
}

/// Whether nothing of a cloud is there any more: no process with its data directory in its command
/// line, and no data directory.
fn is_gone(data_dir: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let names_it = |path: PathBuf| {
        fs::read(path.join("cmdline"))
            .is_ok_and(|it| String::from_utf8_lossy(&it).contains(data_dir))
    };
    !Path::new(data_dir).exists() && !processes.map(|it| it.path()).any(names_it)
}

#[test]
fn a_command_has_a_cloud_and_its_own_status() {
    let folder = scratch();
    let home = scratch();
    fs::create_dir(home.path().join(".aws")).expect("a folder");
    let config = "[default]\nregion = eu-west-1\nignore_configured_endpoint_urls = true\n";
    fs::write(home.path().join(".aws/config"), config).expect("written");
    let text = "set -e
        echo $GUREUM_DATA_DIR
        aws ec2 describe-vpcs --query 'Vpcs[].IsDefault' --output text
        gureum status --output json | grep -q '\"instances_enabled\": false'
        aws configure list | grep region
        read line && echo \"got $line\"
        exit 7";
    let mut command = run(folder.path(), &[], &["bash", "-c", text]);
    command.env("HOME", home.path()).env("AWS_PROFILE", "work").stdin(Stdio::piped());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, b"hello\n").expect("written");
    let output = child.wait_with_output().expect("it ends");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(7), "{stdout}{stderr}");
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[1], "True", "the default VPC: {stdout}");
    assert!(lines[2].contains("ap-northeast-2"), "not a person's region: {stdout}");
    assert_eq!(lines[3], "got hello");
    assert!(is_gone(lines[0]), "{stdout}");
    assert_eq!(left(folder.path()).len(), 1, "{stderr}");

    for (text, status) in [("exit 0", 0), ("kill -KILL $$", 137)] {
        assert_eq!(shell(folder.path(), text).status, status, "{text}");
    }
    let missing = Done::run(&mut run(folder.path(), &[], &["no-such-program"]));
    assert_eq!(missing.status, 127, "{missing}");
    assert!(missing.stderr.contains("no-such-program is not installed"), "{missing}");
    let refused = Done::run(&mut run(
        folder.path(),
        &["--images-dir", "/nowhere", "--instances", "full"],
        &["true"],
    ));
    assert_eq!(refused.status, 125, "no image: {refused}");
}

#[test]
fn a_failure_leaves_what_tells_why_and_no_secret() {
    let folder = scratch();
    let secret = "hunter2-is-secret";
    let text = format!(
        "aws ec2 create-vpc --cidr-block 10.0.0.0/16 --query Vpc.VpcId --output text
        aws ssm put-parameter --name /db --type SecureString --value {secret} >/dev/null
        aws ec2 create-key-pair --key-name k --query KeyMaterial --output text >key.pem
        aws ec2 create-subnet --vpc-id vpc-0123456789abcdef0 --cidr-block 10.0.0.0/24"
    );
    let done = shell(folder.path(), &text);
    assert_ne!(done.status, 0, "{done}");
    let [artifacts] = &left(folder.path())[..] else { panic!("{done}") };
    let name = artifacts.file_name().expect("a name").to_string_lossy().into_owned();
    let said = done.stderr.lines().last().expect("a line");
    assert!(said.contains(&name), "one line says where: {done}");
    let calls = fs::read_to_string(artifacts.join("calls.jsonl")).expect("calls");
    let calls: Vec<Value> =
        calls.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let operations: Vec<_> =
        calls.iter().map(|it| it["operation"].as_str().expect("text")).collect();
    assert_eq!(operations, ["CreateVpc", "PutParameter", "CreateKeyPair", "CreateSubnet"]);
    assert_eq!(calls[0]["parameters"]["CidrBlock"], "10.0.0.0/16");
    assert_eq!(calls[0]["status"], 200);
    assert_eq!(calls[3]["error"], "InvalidVpcID.NotFound");
    assert!(calls[3]["message"].as_str().expect("text").contains("vpc-0123456789abcdef0"));
    let run: Value =
        serde_json::from_slice(&fs::read(artifacts.join("run.json")).expect("read")).expect("JSON");
    assert_eq!((&run["program"], &run["exit_status"]), (&"sh".into(), &done.status.into()));
    let log = fs::read_to_string(artifacts.join("gureum.log")).expect("the log");
    assert!(log.contains(" up "), "{log}");
    let key = fs::read_to_string(folder.path().join("key.pem")).expect("the key");
    let line = key.lines().nth(5).expect("a line of the key");
    for entry in fs::read_dir(artifacts).expect("a folder").flatten() {
        let text = fs::read_to_string(entry.path()).expect("text");
        for secret in [secret, line, "worthless/on/the/real/AWS"] {
            assert!(!text.contains(secret), "{} has a secret", entry.path().display());
        }
    }
    let named = folder.path().join("out/failed");
    let done = Done::run(&mut run_with_artifacts(folder.path(), &named));
    assert_eq!(done.status, 3, "{done}");
    assert!(named.join("run.json").is_file(), "{done}");
    assert_eq!(left(folder.path()).len(), 1, "nothing else");
}

fn run_with_artifacts(folder: &Path, named: &Path) -> Command {
    let named = named.to_string_lossy().into_owned();
    run(folder, &["--artifacts", &named], &["sh", "-c", "exit 3"])
}

#[test]
fn ten_go_side_by_side() {
    let folder = scratch();
    let text = "aws ec2 create-vpc --cidr-block 10.0.0.0/16 >/dev/null && \
        aws ec2 describe-vpcs --query 'length(Vpcs)' && echo $AWS_ENDPOINT_URL $GUREUM_DATA_DIR; exit 4";
    let done: Vec<Done> = thread::scope(|scope| {
        let started: Vec<_> = (0..10).map(|_| scope.spawn(|| shell(folder.path(), text))).collect();
        started.into_iter().map(|it| it.join().expect("it ran")).collect()
    });
    let mut endpoints = Vec::new();
    for done in &done {
        let lines: Vec<_> = done.stdout.lines().collect();
        assert_eq!((done.status, lines.first()), (4, Some(&"2")), "{done}");
        let (endpoint, data_dir) = lines[1].split_once(' ').expect("two words");
        assert!(is_gone(data_dir), "{done}");
        endpoints.push(endpoint);
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    assert_eq!(endpoints.len(), 10, "each has its own");
    assert_eq!(left(folder.path()).len(), 10, "and leaves its own folder");
}

/// A run whose command has said where its cloud is, and goes on.
fn started(folder: &Path, text: &str) -> (Child, String) {
    let text = text.replace("READY", "echo $GUREUM_DATA_DIR");
    let mut command = run(folder, &[], &["sh", "-c", &text]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    assert!(Path::new(line.trim()).is_dir(), "{line}");
    (child, line.trim().to_owned())
}

fn kill(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("it runs");
}

#[test]
fn nothing_is_left_however_it_ends() {
    let folder = scratch();
    for (signal, text, status) in [
        (Signal::TERM, "READY; exec sleep 600", Some(143)),
        (Signal::HUP, "READY; exec sleep 600", Some(129)),
        (Signal::INT, "trap 'exit 9' INT; READY; while :; do sleep 0.05; done", Some(9)),
    ] {
        let (mut child, data_dir) = started(folder.path(), text);
        kill(&child, signal);
        assert_eq!(child.wait().expect("it ends").code(), status, "{signal:?}");
        assert!(is_gone(&data_dir), "{signal:?}");
    }
    // Nobody can clean up after a SIGKILL but who is told of it by the kernel.
    let (mut child, data_dir) = started(folder.path(), "READY; exec sleep 5 2>/dev/null");
    kill(&child, Signal::KILL);
    child.wait().expect("it ends");
    wait("the cloud goes with who started it", PATIENCE, || is_gone(&data_dir));
}

#[test]
fn keys_of_a_terminal_reach_the_command_once() {
    let folder = scratch();
    let text = "n=0; trap 'echo interrupted; n=$((n+1))' INT; echo ready; \
        while [ $n -lt 1 ]; do sleep 0.05; done; sleep 0.5; exit $((n+10))";
    let mut command = Command::new("sh");
    let program = gureum();
    let line = format!(
        "cd {} && exec {} run -- bash -c \"$0\"",
        folder.path().display(),
        program.display()
    );
    command.args(["-c", &line, text]);
    let mut terminal = Terminal::start(&command);
    terminal.until("ready");
    terminal.type_in("\u{3}");
    terminal.until("interrupted");
    assert_eq!(terminal.status(), 11, "once");
}

#[test]
fn hosts_leave_their_packets_and_consoles() {
    if !root_or_skip() {
        return;
    }
    let folder = scratch();
    let images = images().to_string_lossy().into_owned();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/check/network.py");
    let text = format!(
        "set -e
        python3 {} >ids.json
        db=$(sed 's/.*\"DB-01\": \"\\([^\"]*\\)\".*/\\1/' ids.json)
        until gureum exec WEB-01 -- true 2>/dev/null; do sleep 0.2; done
        gureum check expectations.yaml
        address=$(aws ec2 describe-instances --instance-ids $db \
            --query 'Reservations[].Instances[].PrivateIpAddress' --output text)
        gureum exec WEB-01 -- timeout 2 bash -c \": >/dev/tcp/$address/22\"",
        script.display()
    );
    fs::write(
        folder.path().join("expectations.yaml"),
        "- {from: WEB-01, to: DB-01, port: 5432, expect: allow}\n\
         - {from: WEB-01, to: DB-01, port: 22, expect: deny, by: security-group-ingress}\n\
         - {from: WEB-01, to: s3, expect: allow}\n",
    )
    .expect("written");
    let options = ["--instances", "full", "--images-dir", &images];
    let done = Done::run(&mut run(folder.path(), &options, &["bash", "-c", &text]));
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stdout.contains("3 hold, 0 fail, 0 unknown"), "{done}");
    let [artifacts] = &left(folder.path())[..] else { panic!("{done}") };
    let rejects = fs::read_to_string(artifacts.join("rejects.txt")).expect("rejects");
    assert!(rejects.contains("security-group-ingress"), "{rejects}\n{done}");
    let consoles = fs::read_dir(artifacts.join("console")).expect("consoles").count();
    assert!(consoles >= 1, "{consoles}");
    let capture = artifacts.join("capture.pcapng");
    let read = format!("tcpdump -n -r - tcp port 22 <{}", capture.display());
    let read = Done::run(Command::new("sh").args(["-c", &read]));
    assert!(read.stdout.contains(".22: Flags [S]"), "{read}");
}
