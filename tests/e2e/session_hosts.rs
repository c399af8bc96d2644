//! Session Manager on an instance: the agent in it, its role, the way out over its own network, and a
//! client on the host.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use gureum_e2e::{
    Cloud, Done, Stage, gureum, plugin::Plugin, root_or_skip, ssm, terminal::Terminal, wait,
};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// A role for Session Manager, and an instance profile that has it.
fn role(cloud: &Cloud) {
    let policy = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
    cloud
        .aws_args([
            "iam",
            "create-role",
            "--role-name",
            "ssm",
            "--assume-role-policy-document",
            TRUST,
        ])
        .ok();
    cloud
        .aws_args(["iam", "attach-role-policy", "--role-name", "ssm", "--policy-arn", policy])
        .ok();
    cloud.aws("iam create-instance-profile --instance-profile-name ssm").ok();
    cloud.aws("iam add-role-to-instance-profile --instance-profile-name ssm --role-name ssm").ok();
}

/// Begins a session and opens its data channel.
async fn session(cloud: &Cloud, parameters: &Value) -> (String, Plugin) {
    let started = ssm(cloud.port(), "StartSession", parameters).expect("a session");
    let text = |key: &str| started[key].as_str().expect("text").to_owned();
    let plugin = Plugin::open(&text("StreamUrl"), &text("TokenValue")).await;
    (text("SessionId"), plugin)
}

// SSM-1, SSM-7, SSM-10, LAB-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_a_session_is_a_shell_in_the_instance() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    role(&cloud);
    let mut stage = Stage::open(&cloud);
    let profile = [("IamInstanceProfile.Name", "ssm")];
    let id = stage.run_instances_with("managed", &profile).text("instanceId");
    stage.wait_ready(&id);
    let host = stage.host(&id);
    let port = cloud.port();
    wait("the instance is online", PATIENCE, || {
        let listed = ssm(port, "DescribeInstanceInformation", &json!({})).expect("listed");
        listed["InstanceInformationList"][0]["PingStatus"] == "Online"
    });
    wait("the agent is connected", PATIENCE, || {
        let status = ssm(port, "GetConnectionStatus", &json!({"Target": id}));
        status.expect("a status")["Status"] == "connected"
    });
    let users = cloud.exec(&id, "id ssm-user");
    assert_ne!(users.status, 0, "SSM-10: {users}");

    // A shell.
    let target = json!({"Target": id});
    let (first, mut plugin) = session(&cloud, &target).await;
    plugin.until_begun().await;
    plugin.resize(80, 24).await;
    plugin.until_output("$ ").await;
    plugin.type_in("whoami; sudo whoami\r").await;
    plugin.until_output("\nssm-user\r\nroot\r\n").await;
    plugin.type_in("sudo -u ec2-user bash\r").await;
    plugin.until_output("ec2-user@ip-").await;
    plugin.type_in("curl -s http://169.254.169.254/latest/meta-data/local-ipv4; echo .\r").await;
    plugin.until_output(&format!("{}.\r\n", host.private)).await;
    plugin.resize(132, 43).await;
    plugin.type_in("stty size\r").await;
    plugin.until_output("43 132\r\n").await;
    plugin.type_in("sleep 600\r").await;
    plugin.until_output("sleep 600\r\n").await;
    plugin.type_in("\u{3}").await;
    plugin.type_in("echo $((20+3))and\r").await;
    plugin.until_output("23and\r\n").await;
    // What is typed ahead of its end goes to the inner shell's terminal, and with it.
    plugin.type_in("exit\r").await;
    let is_prompted = |output: &[u8]| {
        let output = String::from_utf8_lossy(output).into_owned();
        output.rsplit_once("exit\r\n").is_some_and(|(_, behind)| behind.contains("$ "))
    };
    plugin.until("the outer shell's prompt", |it| is_prompted(&it.output)).await;
    plugin.type_in("exit\r").await;
    assert_eq!(plugin.until_closed().await, "");

    // Open to the first prompt, now that the user is there.
    let began = Instant::now();
    let (_, mut plugin) = session(&cloud, &target).await;
    plugin.until_output("$ ").await;
    let prompt = began.elapsed();
    eprintln!("open to first prompt: {prompt:?}");
    plugin.type_in("seq 1 200000 | md5sum; seq 1 20000\r").await;
    plugin.until_output("\n20000\r\n").await;
    let told = String::from_utf8_lossy(&plugin.output).into_owned();
    let expected: String = (1..=20_000).map(|n| format!("{n}\r\n")).collect();
    assert!(told.contains(&expected), "bulk output is whole and in order");
    plugin.type_in("exit\r").await;
    plugin.until_closed().await;

    // Commands as sessions.
    let command = |document: &str, command: &str| json!({"Target": id, "DocumentName": document, "Parameters": {"command": [command]}});
    let r = command("AWS-StartNonInteractiveCommand", "sh -c 'id -un; echo oops >&2'");
    let (_, mut plugin) = session(&cloud, &r).await;
    plugin.until_output("ssm-user\n").await;
    plugin.until_closed().await;
    let r = command("AWS-StartInteractiveCommand", "test -t 0 && echo a terminal");
    let (_, mut plugin) = session(&cloud, &r).await;
    plugin.until_output("a terminal\r\n").await;
    plugin.until_closed().await;

    // Sessions are remembered; one can be ended from outside.
    let (open, mut plugin) = session(&cloud, &target).await;
    plugin.until_output("$ ").await;
    ssm(port, "TerminateSession", &json!({"SessionId": open})).expect("ended");
    assert_eq!(plugin.until_closed().await, "");
    wait("the sessions are history", PATIENCE, || {
        let history = ssm(port, "DescribeSessions", &json!({"State": "History"})).expect("listed");
        let sessions = history["Sessions"].as_array().cloned().unwrap_or_default();
        [&first, &open].iter().all(|id| {
            sessions.iter().any(|it| it["SessionId"] == id.as_str() && it["Status"] == "Terminated")
        })
    });

    // SSH as a ProxyCommand speaks to the server itself.
    let ssh = json!({"Target": id, "DocumentName": "AWS-StartSSHSession",
        "Parameters": {"portNumber": ["22"]}});
    let (_, mut plugin) = session(&cloud, &ssh).await;
    plugin.until_output("SSH-2.0-OpenSSH").await;

    // Run Command.
    let sent = ssm(
        port,
        "SendCommand",
        &json!({
            "InstanceIds": [id], "DocumentName": "AWS-RunShellScript",
            "Parameters": {"commands": ["id -un", "echo oops >&2", "exit 3"]},
        }),
    )
    .expect("sent");
    let which = json!({"CommandId": sent["Command"]["CommandId"], "InstanceId": id});
    let mut last = Value::Null;
    wait("the command has ended", PATIENCE, || {
        last = ssm(port, "GetCommandInvocation", &which).expect("shown");
        last["Status"] == "Failed"
    });
    assert_eq!(last["ResponseCode"], 3);
    assert_eq!(last["StandardOutputContent"], "root\n");
    assert_eq!(last["StandardErrorContent"], "oops\n");

    // A stream out of a forwarded port.
    let serve = "systemd-run --quiet --collect --unit=pour python3 -c 'import socket\n\
        s = socket.create_server((\"127.0.0.1\", 9999))\n\
        while True:\n  c, _ = s.accept()\n  [c.sendall(bytes(1 << 20)) for _ in range(64)]\n  c.close()'";
    cloud.exec(&id, serve).ok();
    wait("the port is open", PATIENCE, || cloud.exec(&id, "ss -ltn | grep -q :9999").status == 0);
    let pour = json!({"Target": id, "DocumentName": "AWS-StartSSHSession",
        "Parameters": {"portNumber": ["9999"]}});
    let (_, mut plugin) = session(&cloud, &pour).await;
    plugin.until_begun().await;
    let began = Instant::now();
    plugin.until("all is here", |it| it.output.len() >= 64 << 20).await;
    let took = began.elapsed();
    assert_eq!(plugin.output.len(), 64 << 20);
    eprintln!("64 MiB out of a forwarded port: {:.1} MB/s", 67.1 / took.as_secs_f64());

    our_client(&stage, &id);

    // Many at once.
    let mut clients = Vec::new();
    let began = Instant::now();
    for number in 0..100_u32 {
        let (_, mut plugin) = session(&cloud, &target).await;
        clients.push(tokio::spawn(async move {
            plugin.until_output("$ ").await;
            plugin.type_in(&format!("echo $(({number}*7))end; seq 1 2000; exit\r")).await;
            plugin.until_output(&format!("\n{}end\r\n", number * 7)).await;
            plugin.until("the session is over", |it| it.closed.is_some()).await;
            let told = String::from_utf8_lossy(&plugin.output).into_owned();
            let expected: String = (1..=2000).map(|n| format!("{n}\r\n")).collect();
            assert!(told.contains(&expected), "session {number} is whole");
        }));
    }
    for client in clients {
        client.await.expect("no byte is lost");
    }
    eprintln!("a hundred shells: {:?}", began.elapsed());

    let active = cloud.exec(&id, "systemctl is-active amazon-ssm-agent").ok();
    assert_eq!(active.trim(), "active");
    stage.ec2.call("StopInstances", &[("InstanceId.1", &id)]);
    stage.wait_state(&id, "stopped");
    let listed = ssm(port, "DescribeInstanceInformation", &json!({})).expect("listed");
    assert_eq!(listed["InstanceInformationList"][0]["PingStatus"], "ConnectionLost", "SSM-7");
    let refused = ssm(port, "StartSession", &target).expect_err("nobody is there");
    assert_eq!(refused["__type"], "TargetNotConnected", "SSM-8: {refused}");
    let refused = cloud.gureum("session", ["managed"]);
    assert_eq!(refused.status, 1, "{refused}");
    assert!(refused.stderr.contains("TargetNotConnected"), "{refused}");
    assert!(refused.stderr.contains("gureum why managed ssmmessages"), "{refused}");
    cloud.down();
}

/// `gureum session`, as a person types it; and the same client under the name of AWS's.
fn our_client(stage: &Stage<'_>, id: &str) {
    let cloud = stage.cloud;
    let session = |words: &[&str]| {
        let mut command = cloud.command("session");
        command.arg("managed").args(words);
        command
    };
    // A shell in a terminal.
    let mut terminal = Terminal::start(&session(&[]));
    terminal.until("Starting session with SessionId: ");
    terminal.until("$ ");
    terminal.type_in("whoami; stty size\r");
    terminal.until("\nssm-user\r\n24 80\r\n");
    terminal.resize(132, 43);
    terminal.type_in("until stty size | grep -q '^43 132'; do sleep .1; done; echo re''sized\r");
    terminal.until("\nresized\r\n");
    terminal.type_in("sleep 600\r");
    terminal.until("sleep 600\r\n");
    terminal.type_in("\u{3}");
    terminal.until("$ ");
    terminal.type_in("echo $((20+3))and\r");
    terminal.until("\n23and\r\n");
    terminal.type_in("exit\r");
    terminal.until("Exiting session with sessionId: ");
    assert_eq!(terminal.status(), 0);

    // The AWS CLI, with AWS's plugin where it is on the PATH, else with ours.
    let mut aws = cloud.command("aws");
    aws.args(["ssm", "start-session", "--target", id]);
    let mut terminal = Terminal::start(&aws);
    terminal.until("$ ");
    terminal.type_in("sudo -u ec2-user bash\r");
    terminal.until("ec2-user@ip-");
    terminal.until("$ ");
    terminal.type_in("whoami\r");
    terminal.until("ec2-user\r\n");
    terminal.until("$ ");
    // What is typed ahead of its end goes to the inner shell's terminal, and with it.
    terminal.type_in("exit\r");
    terminal.until("$ ");
    terminal.type_in("exit\r");
    terminal.until("Exiting session with sessionId: ");
    assert_eq!(terminal.status(), 0);

    // What comes through a pipe, and a command.
    let mut piped = session(&[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run");
    piped.stdin.take().expect("a pipe").write_all(b"echo $((6*7))ed\n").expect("typed");
    let output = piped.wait_with_output().expect("ended");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.contains("\n42ed\r\n"), "{shown}");
    let done = Done::run(&mut session(&["--", "id -un; echo it\\'s $((6*7)); seq 1 100000"]));
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(done.ok(), format!("ssm-user\nit's 42\n{expected}"));

    // OpenSSH through it.
    let proxy = format!(
        "ProxyCommand={} --data-dir {} session managed -W 22",
        gureum().display(),
        cloud.data_dir().display()
    );
    let mut ssh = Command::new("ssh");
    ssh.arg("-i").arg(&stage.key).args(["-o", &proxy, "-o", "BatchMode=yes"]);
    ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    ssh.args(["-o", "LogLevel=ERROR", "ec2-user@managed", "id -un"]);
    assert_eq!(Done::run(&mut ssh).ok(), "ec2-user\n");

    // A forwarded port: 64 MiB, twice at once.
    let mut forward = session(&["-L", "9999"]).stdout(Stdio::piped()).spawn().expect("run");
    let mut said = BufReader::new(forward.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("Port ") {
        line.clear();
        assert_ne!(said.read_line(&mut line).expect("a line"), 0, "it ended");
    }
    let port = line.split(' ').nth(1).and_then(|port| port.parse::<u16>().ok()).expect("a port");
    let began = Instant::now();
    let pours = [0, 1].map(|_| {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
            let mut poured = Vec::new();
            stream.read_to_end(&mut poured).expect("read");
            assert_eq!(poured.len(), 64 << 20);
        })
    });
    for pour in pours {
        pour.join().expect("all of it");
    }
    let took = began.elapsed();
    eprintln!("2 x 64 MiB through gureum session -L: {:.1} MB/s", 134.2 / took.as_secs_f64());
    let pid = i32::try_from(forward.id()).ok().and_then(Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, Signal::INT).expect("it runs");
    assert_eq!(forward.wait().expect("ended").code(), Some(130));

    // What is not there.
    let missing = Done::run(cloud.command("session").arg("nobody"));
    assert_ne!(missing.status, 0);
    assert!(missing.stderr.contains("no instance is called"), "{missing}");
}
