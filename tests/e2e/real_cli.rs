//! What only AWS CLI v2 has, with that program itself. It comes with nobody, so its test counts as
//! skipped until it is asked for (`--run-ignored`): `GUREUM_AWS_V2` names the program.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use gureum_e2e::{Cloud, Done, wait};

const GROUP: &str = "IMD-VPCFlow";
const PATIENCE: Duration = Duration::from_secs(60);

/// The lab's Task 7 in a terminal: the group is followed while records come.
#[test]
#[ignore = "needs AWS CLI v2: GUREUM_AWS_V2=PROGRAM"]
fn real_cli_follows_a_log_group() {
    let program = std::env::var_os("GUREUM_AWS_V2").expect("GUREUM_AWS_V2 names AWS CLI v2");
    let version = Done::run(Command::new(&program).arg("--version")).ok();
    assert!(version.starts_with("aws-cli/2."), "{version}");
    let cloud = Cloud::records();
    let folder = tempfile::tempdir().expect("a directory");
    let told = folder.path().join("told");
    cloud.aws(&format!("logs create-log-group --log-group-name {GROUP}")).ok();
    let stream = format!("--log-group-name {GROUP} --log-stream-name eni-1-all");
    cloud.aws(&format!("logs create-log-stream {stream}")).ok();
    let put = |message: &str| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let event = format!("--log-events timestamp={now},message={message}");
        cloud.aws(&format!("logs put-log-events {stream} {event}")).ok();
    };
    put("before-REJECT");
    let mut command = Command::new(&program);
    cloud.aws_environment(&mut command);
    command
        .args(["logs", "tail", GROUP, "--follow", "--since", "10m", "--filter-pattern", "REJECT"])
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::null())
        .stdout(File::create(&told).expect("a file"));
    let mut tail = command.spawn().expect("it starts");
    let is_told = |what: &str| fs::read_to_string(&told).expect("text").contains(what);
    wait("what was there", PATIENCE, || is_told("eni-1-all before-REJECT"));
    put("meanwhile-ACCEPT");
    put("meanwhile-REJECT");
    wait("what came meanwhile", PATIENCE, || is_told("eni-1-all meanwhile-REJECT"));
    assert!(tail.try_wait().expect("asked").is_none(), "it follows on");
    tail.kill().and_then(|()| tail.wait()).expect("ended");
    let told = fs::read_to_string(&told).expect("text");
    assert_eq!(told.lines().count(), 2, "{told}");
}
