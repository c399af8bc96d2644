//! The way out: without `--uplink` nothing leaves the machine, with it instances reach what is
//! behind the machine, and nothing of the machine itself. The machine is a namespace of the test.

use std::{fs, net::TcpListener, process::Command, thread, time::Duration};

use gureum_e2e::{
    Cloud, Done, Stage, Traces,
    outer::{MACHINE_ADDRESS, Outer, SERVER},
    root_or_skip, wait,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the daemon with these options, where the machine's resolver is the test's.
fn start(cloud: &Cloud, outer: &Outer, options: &[&str]) -> Done {
    let file = cloud.data_dir().with_file_name("resolv.conf");
    fs::write(&file, outer.resolv_conf()).expect("written");
    let up = cloud.start_command();
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-ec",
        "mount --bind \"$1\" /etc/resolv.conf; shift; exec \"$@\"",
    ]);
    command.arg("sh").arg(&file).arg(up.get_program()).args(up.get_args()).args(options);
    for (name, value) in up.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Done::run(&mut command)
}

fn pasta(cloud: &Cloud) -> Option<i32> {
    let status = cloud.status();
    let text = status["uplink"].as_str()?.strip_prefix("up through pasta (process ")?.to_owned();
    text.strip_suffix(')')?.parse().ok()
}

#[test]
fn hosts_reach_the_outside_only_by_an_uplink() {
    if !root_or_skip() {
        return;
    }
    let outer = Outer::new();
    let callers = outer.serve();
    // This thread, and so all that the test starts.
    outer.enter();
    let cloud = Cloud::prepared(&["--images-dir", &gureum_e2e::images().to_string_lossy()]);
    start(&cloud, &outer, &[]).ok();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("one");
    let get = |target: &str| format!("curl -sS --max-time 4 http://{target}/");
    let tries = |target: &str| {
        (cloud.exec(&host.id, &get(target)).status, cloud.internet(&get(target)).status)
    };

    assert!(cloud.status()["uplink"].is_null());
    let before = outer.sent();
    for target in [SERVER, "outside.example", "169.254.7.1", "11.22.33.1"] {
        let (inside, outside) = tries(target);
        assert!(inside != 0 && outside != 0, "{target}");
    }
    cloud.exec(
        &host.id,
        "ping -n -c 2 -W 1 44.44.44.44; dig +time=1 +tries=1 @44.44.44.44 x.example",
    );
    assert_eq!(outer.sent(), before, "not one packet left");

    cloud.gureum("down", ["--keep-instances"]).ok();
    start(&cloud, &outer, &["--uplink"]).ok();
    let first = pasta(&cloud).expect("an uplink");
    for target in [SERVER, "outside.example"] {
        assert_eq!(cloud.exec(&host.id, &get(target)).ok(), "world\n", "{target}");
        assert_eq!(cloud.internet(&get(target)).ok(), "world\n", "{target}");
    }
    for _ in 0..4 {
        assert_eq!(callers.recv_timeout(PATIENCE).as_deref(), Ok(MACHINE_ADDRESS));
    }
    let answer = cloud.exec(
        &host.id,
        "dig +short +time=3 @8.8.8.8 +tcp outside.example; dig +short nothing.example TXT",
    );
    assert_eq!(answer.stdout.lines().next(), None, "no DNS over TCP out there: {answer}");
    // What is simulated stays so.
    let page = cloud.exec(&host.id, &get("google.com")).ok();
    assert_ne!(page, "world\n", "the simulated host has its name");
    assert_eq!(cloud.exec(&host.id, &get("checkip.amazonaws.com")).ok().trim(), host.public);
    let private = "dig +short ip-10-9-9-9.ap-northeast-2.compute.internal";
    assert_eq!(cloud.exec(&host.id, private).ok(), "", "private names are nobody else's");

    the_machine_itself_stays_closed(&cloud, &host.id);
    an_uplink_outlives_the_daemon(&cloud, &outer, first);
    assert_eq!(cloud.exec(&host.id, &get(SERVER)).ok(), "world\n", "after all that");

    // A daemon without an uplink closes what an earlier one opened.
    cloud.kill();
    start(&cloud, &outer, &[]).ok();
    assert!(cloud.status()["uplink"].is_null());
    let before = outer.sent();
    assert_ne!(tries(SERVER), (0, 0));
    assert_eq!(outer.sent(), before, "closed again");
    cloud.gureum("down", ["--keep-instances"]).ok();
    start(&cloud, &outer, &["--uplink"]).ok();
    let traces = Traces::of(&cloud);
    let last = pasta(&cloud).expect("an uplink");
    assert!(traces.processes.contains(&last), "pasta belongs to the cloud");
    cloud.down();
    assert_eq!(traces.left(), Vec::<String>::new());
}

/// Traps 19: the gateway of pasta is not the loopback of the machine, in which much listens that
/// asks for no password. Neither is any private address of the machine's network.
fn the_machine_itself_stays_closed(cloud: &Cloud, host: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || listener.incoming().for_each(drop));
    let reaches = |address: &str| {
        let shell = format!("exec 3<>/dev/tcp/{address}/{port}");
        let limited = ["timeout", "3", "bash", "-c", &shell];
        cloud.gureum("internet", [&["--"], &limited[..]].concat()).status == 0
    };
    for address in ["169.254.7.1", "127.0.0.1", "192.168.0.1"] {
        assert!(!reaches(address), "{address}");
        let shell = format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}'");
        assert_ne!(cloud.exec(host, &shell).status, 0, "{address}");
    }
    // Our own table refuses the gateway's address; pasta must do so too.
    cloud.internet("nft flush chain ip gureum narrow").ok();
    assert!(!reaches("169.254.7.1"), "the gateway is the machine's loopback");
}

fn an_uplink_outlives_the_daemon(cloud: &Cloud, outer: &Outer, first: i32) {
    cloud.kill();
    start(cloud, outer, &["--uplink"]).ok();
    assert_eq!(pasta(cloud), Some(first), "the next daemon takes it over");
    let pid = rustix::process::Pid::from_raw(first).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    wait("another pasta takes its place", PATIENCE, || {
        pasta(cloud).is_some_and(|pid| pid != first)
    });
}

#[test]
fn an_uplink_that_cannot_be_is_refused_in_plain_words() {
    let cloud = Cloud::prepared(&["--no-instances", "--uplink"]);
    let done = cloud.start();
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stderr.contains("no way out with --no-instances"), "{done}");
    if !root_or_skip() {
        return;
    }
    let images = gureum_e2e::images();
    let cloud = Cloud::prepared(&["--uplink", "--images-dir", &images.to_string_lossy()]);
    let empty = tempfile::tempdir().expect("a scratch directory");
    let done = Done::run(cloud.start_command().env("PATH", empty.path()));
    assert_ne!(done.status, 0, "{done}");
    assert!(
        done.stderr.contains("pasta") && done.stderr.contains("apt-get install passt"),
        "{done}"
    );
}
