//! The program itself against a daemon of the test's own: what it prints, what it passes on, and
//! the status that it ends with.

#![forbid(unsafe_code)]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Output, Stdio},
    thread,
};

use rustix::{
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendFlags},
    pty::OpenptFlags,
    termios::{Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A daemon that knows one instance and runs programs "in" it on this machine.
struct Daemon {
    folder: TempDir,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixListener::bind(folder.path().join("gureum.sock")).expect("a socket");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", port.local_addr().expect("an address"));
        thread::spawn(move || {
            for stream in port.incoming().flatten() {
                answer_health(stream);
            }
        });
        let data_dir = folder.path().to_owned();
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (endpoint, data_dir) = (endpoint.clone(), data_dir.clone());
                thread::spawn(move || answer(&stream, &endpoint, &data_dir));
            }
        });
        Self { folder }
    }

    fn gureum(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gureum"));
        command.arg("--data-dir").arg(self.folder.path()).args(arguments);
        command.env_remove("AWS_ENDPOINT_URL").env_remove("GUREUM_DATA_DIR");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.gureum(arguments).output().expect("it starts")
    }
}

fn answer_health(mut stream: impl Read + Write) {
    let mut request = [0; 4096];
    let length = stream.read(&mut request).expect("a request");
    assert!(request[..length].starts_with(b"GET /_gureum/health HTTP/1.1\r\n"));
    let body = r#"{"version":"0.1.0","tag":"0badcafe"}"#;
    let head = format!("HTTP/1.1 200 OK\r\nServer: Gureum/0.1.0\r\nContent-Length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).expect("answered");
}

fn answer(stream: &UnixStream, endpoint: &str, data_dir: &Path) {
    let Some((request, descriptors)) = receive(stream) else { return };
    let reply = match &request {
        Value::String(name) if name == "status" => json!({ "status": {
            "version": "0.1.0", "pid": std::process::id(), "endpoint": endpoint, "socks": null,
            "data_dir": data_dir, "tag": "0badcafe", "instances_enabled": true,
            "uptime_seconds": 1, "applied_epoch": 1, "counts": [], "drops": []
        }}),
        Value::String(name) if name == "instances" => json!({ "instances": [instance()] }),
        request if request["resolve"]["name"] == "WEB" => json!({ "instances": [instance()] }),
        request if request["resolve"].is_object() => {
            json!({ "error": "no instance is called that\nhelp: there is WEB" })
        }
        request if request["exec"].is_object() => {
            json!({ "exited": execute(&request["exec"], descriptors) })
        }
        other => panic!("unexpected: {other}"),
    };
    let line = reply.to_string() + "\n";
    let mut nothing = SendAncillaryBuffer::default();
    // A caller that is gone needs no answer.
    let _ = rustix::net::sendmsg(
        stream,
        &[IoSlice::new(line.as_bytes())],
        &mut nothing,
        SendFlags::NOSIGNAL,
    );
}

fn instance() -> Value {
    json!({
        "id": "i-0123456789abcdef0", "name": "WEB", "state": "running",
        "instance_type": "t2.micro", "availability_zone": "ap-northeast-2a",
        "account": "123456789012", "region": "ap-northeast-2", "private_ip": "10.1.11.5",
        "public_ip": null, "public_dns_name": null, "login_user": "ec2-user",
        "key_name": null, "ready": true
    })
}

fn receive(stream: &UnixStream) -> Option<(Value, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = vec![0; 65536];
    let mut into = [IoSliceMut::new(&mut buffer)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = rustix::net::recvmsg(stream, &mut into, &mut ancillary, flags).ok()?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(received) => Some(received.collect::<Vec<_>>()),
        _ => None,
    });
    let descriptors: Vec<_> = descriptors.flatten().collect();
    let line = buffer.get(..got.bytes).filter(|line| line.ends_with(b"\n"))?;
    Some((serde_json::from_slice(line).expect("JSON"), descriptors))
}

fn execute(request: &Value, descriptors: Vec<OwnedFd>) -> i32 {
    let argv: Vec<_> = request["argv"].as_array().expect("a list").iter().collect();
    let argv: Vec<_> = argv.iter().map(|word| word.as_str().expect("text")).collect();
    let [input, output, error]: [OwnedFd; 3] = descriptors.try_into().expect("three descriptors");
    let status = Command::new(argv[0])
        .args(&argv[1..])
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(error))
        .status();
    status.expect("it starts").code().expect("a status")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn an_error_is_one_sentence_and_what_to_do() {
    let daemon = Daemon::start();
    let output = daemon.run(&["console", "DB"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert_eq!(said, "error: no instance is called that\nhelp: there is WEB\n");
    assert!(output.stdout.is_empty());
}

#[test]
fn without_a_daemon_every_command_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, status) in [
        (["status"].as_slice(), 1),
        (&["instances"], 1),
        (&["env"], 1),
        (&["aws", "--version"], 1),
        (&["internet", "--", "true"], 125),
        (&["exec", "WEB", "--", "true"], 125),
        (&["ssh", "WEB"], 255),
        (&["why", "a", "b", "--port", "80"], 2),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gureum"));
        command.arg("--data-dir").arg(folder.path()).args(arguments);
        let output = command.output().expect("it starts");
        let said = text(&output.stderr);
        assert!(said.starts_with("error: no daemon runs on "), "{arguments:?}: {said}");
        assert!(said.contains("\nhelp: start it: sudo gureum up"), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
    }
}

/// What the daemon starts for itself inside an instance has a name of its own.
#[test]
fn exec_is_ours_whatever_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gureum"));
    command.env("GUREUM_DATA_DIR", folder.path()).args(["exec", "/", "{}"]);
    let output = command.output().expect("it starts");
    let said = text(&output.stderr);
    assert!(said.starts_with("error: no daemon runs on "), "{said}");
    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn exec_passes_streams_and_status_on() {
    let daemon = Daemon::start();
    let script = "tr a-z A-Z; echo oops >&2; exit 7";
    let mut command = daemon.gureum(&["exec", "WEB", "--", "sh", "-c", script]);
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"hello\n").expect("written");
    std::io::Seek::rewind(&mut file).expect("rewound");
    let output = command.stdin(file).output().expect("it starts");
    assert_eq!(text(&output.stdout), "HELLO\n");
    assert_eq!(text(&output.stderr), "oops\n");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn exec_gives_a_terminal_of_our_size_and_leaves_ours_as_it_was() {
    let daemon = Daemon::start();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let near = rustix::pty::openpt(flags).expect("a terminal");
    rustix::pty::unlockpt(&near).expect("unlocked");
    let name = rustix::pty::ptsname(&near, Vec::new()).expect("a name");
    let far = File::options().read(true).write(true).open(name.to_str().expect("text"));
    let far = far.expect("the other end");
    let size = Winsize { ws_row: 40, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&near, size).expect("a size");
    let before = tcgetattr(&far).expect("attributes");

    let script = "stty sane; stty size; IFS= read -r line; echo \"got $line\"; exit 9";
    let mut command = daemon.gureum(&["exec", "WEB", "--", "sh", "-c", script]);
    let end = || Stdio::from(far.try_clone().expect("a copy"));
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts");
    let mut lines = BufReader::new(File::from(near.try_clone().expect("a copy"))).lines();
    let mut next = || lines.next().expect("a line").expect("text").trim_end().to_owned();
    assert_eq!(next(), "40 100");
    // Before it is raw our terminal would echo what we type, and turn it into lines.
    let raw = tcgetattr(&far).expect("attributes");
    assert!(!raw.local_modes.contains(rustix::termios::LocalModes::ECHO));
    File::from(near).write_all(b"h\xc3\xa9llo\n").expect("typed");
    assert_eq!(next(), "héllo", "the other terminal echoes");
    assert_eq!(next(), "got héllo");
    assert_eq!(child.wait().expect("it ends").code(), Some(9));
    let after = tcgetattr(&far).expect("attributes");
    assert_eq!(after.local_modes, before.local_modes);
    assert_eq!(after.input_modes, before.input_modes);
    assert_eq!(after.output_modes, before.output_modes);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let daemon = Daemon::start();
    fs::write(daemon.folder.path().join("gureum.log"), "line\n".repeat(100_000)).expect("a log");
    let mut command = daemon.gureum(&["logs", "-n", "100000"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_program_that_is_not_there_is_said_plainly() {
    let daemon = Daemon::start();
    let output = daemon.gureum(&["terraform", "plan"]).env("PATH", "/nowhere").output();
    let output = output.expect("it starts");
    assert_eq!(output.status.code(), Some(127));
    let said = text(&output.stderr);
    assert!(said.starts_with("error: terraform is not installed, or not on the PATH\n"), "{said}");
}

#[test]
fn an_aws_client_gets_our_endpoint_and_not_the_callers() {
    let daemon = Daemon::start();
    let bin = daemon.folder.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    let aws = bin.join("aws");
    fs::write(&aws, "#!/bin/sh\necho \"$AWS_ENDPOINT_URL $AWS_PROFILE. $*\"\nexit 3\n").expect("");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&aws, mode).expect("a mode");
    let mut command = daemon.gureum(&["aws", "ec2", "describe-vpcs", "--output", "text"]);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("AWS_PROFILE", "work");
    let output = command.env("AWS_ENDPOINT_URL", "https://example.com").output().expect("started");
    let said = text(&output.stdout);
    assert!(said.starts_with("http://127.0.0.1:"), "{said}");
    assert!(said.ends_with(" . ec2 describe-vpcs --output text\n"), "{said}");
    assert_eq!(output.status.code(), Some(3));
}

fn lab(steps: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let title = "title: {en: A lab, ko: 랩}";
    let text = format!("id: x\n{title}\ntasks: [{{id: t, {title}, steps: [{steps}]}}]\n");
    fs::write(folder.path().join("lab.yaml"), text).expect("a lab");
    folder
}

#[test]
fn a_lab_reaches_our_cloud_and_tells_what_passed() {
    let daemon = Daemon::start();
    let folder = lab(
        "{id: a, title: {en: Ask, ko: 묻기}, run: 'gureum instances', expect: {stdout: WEB}}, \
         {id: b, check: true, title: {en: Fail, ko: 실패}, run: 'echo $AWS_REGION; false'}",
    );
    let path = folder.path().to_str().expect("text");
    let output = daemon.run(&["lab", "run", path, "--lang", "ko"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
    assert!(
        said.contains("[1/2] 묻기") && said.contains("PASS") && said.contains("FAIL"),
        "{said}"
    );
    assert!(said.contains("1 통과, 1 실패"), "{said}");
    let output = daemon.run(&["lab", "run", path, "--output", "json"]);
    let results: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(results["passed"], 1);
    assert_eq!(results["steps"][1]["stdout"], "ap-northeast-2\n");
    assert_eq!(results["steps"][1]["exit"], 1);
}

#[test]
fn a_lab_refuses_every_endpoint_but_our_own() {
    let daemon = Daemon::start();
    let folder = lab("{id: a, title: {en: x, ko: x}, run: 'echo done'}");
    let path = folder.path().to_str().expect("text");
    let mut command = daemon.gureum(&["lab", "run", path]);
    let output = command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").output().expect("started");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "no step was done");
    assert!(text(&output.stderr).contains("which is not the cloud on"));
}
