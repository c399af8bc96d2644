//! The daemon as a person meets it: starting, stopping, several at once, plain words when something is missing.

use std::{fs, net::TcpListener, process::Command};

use gureum_e2e::{Cloud, Done, gureum};

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
    let done = Done::run(command.args(["up", "--detach", "--no-instances", "--socks", "off", "--listen", &address]));
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stderr.contains(&address), "names the address: {done}");
    assert!(done.stderr.contains("--listen"), "says what to do: {done}");
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let cloud = Cloud::records();
    let done = Done::run(cloud.command("up").args(["--detach", "--no-instances", "--socks", "off", "--listen", "127.0.0.1:0"]));
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stderr.contains("already"), "{done}");
}

#[test]
fn records_outlive_the_daemon() {
    let cloud = Cloud::records();
    let vpc = cloud.aws("ec2 create-vpc --cidr-block 10.9.0.0/16 --query Vpc.VpcId --output text").ok();
    cloud.kill();
    cloud.start().ok();
    let found = cloud.aws(&format!("ec2 describe-vpcs --vpc-ids {} --query Vpcs[0].CidrBlock --output text", vpc.trim()));
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
    let done = Done::run(command.args(["up", "--detach", "--no-instances", "--socks", "off", "--listen", "127.0.0.1:0"]));
    assert_ne!(done.status, 0, "{done}");
    assert!(done.stderr.contains("a-file"), "names the directory: {done}");
    assert!(!done.stderr.contains("panicked"), "{done}");
}
