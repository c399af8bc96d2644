//! The API as real clients see it: boto3 with every case of `tests/e2e/api`, and the AWS CLI.
//!
//! The cases are Python because that is what boto3 is; here is only said that all of them ran.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use gureum_e2e::{Cloud, Done};

/// How many cases there are: a case that is lost by accident shall be noticed.
const CASES: usize = 530;

#[test]
fn every_case_of_boto3_passes() {
    let cloud = Cloud::records();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/api");
    let mut command = Command::new("python3");
    command.arg(cases).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("AWS_CA_BUNDLE", cloud.data_dir().join("ca/bundle.pem"));
    let done = Done::run(cloud.aws_environment(&mut command));
    let lines = |mark: &str| done.stdout.lines().filter(|line| line.starts_with(mark)).count();
    let failed: Vec<_> = done.stdout.lines().filter(|line| line.starts_with("FAIL ")).collect();
    assert!(failed.is_empty(), "{} cases failed\n{}", failed.len(), failed.join("\n"));
    assert_eq!(lines("ok "), CASES, "{done}");
    assert_eq!(done.status, 0, "{done}");
    let log = fs::read_to_string(cloud.data_dir().join("gureum.log")).expect("a log");
    assert!(!log.contains("panicked"), "the daemon panicked: {log}");
}

/// S3 where everybody must be known: keys, presigned addresses, pieces of bodies that are signed
/// each, policies of users.
#[test]
fn s3_holds_everybody_to_their_signature() {
    let cloud = Cloud::up(&["--no-instances", "--strict-auth"]);
    let key = fs::read(cloud.data_dir().join("root-key.json")).expect("the key of the root user");
    let key: serde_json::Value = serde_json::from_slice(&key).expect("JSON");
    let text = |name: &str| key[name].as_str().expect("text").to_owned();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/strict/s3.py");
    let mut command = Command::new("python3");
    let command = cloud.aws_environment(command.arg(script));
    command.env("AWS_ACCESS_KEY_ID", text("access_key_id"));
    command.env("AWS_SECRET_ACCESS_KEY", text("secret_access_key"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let done = Done::run(command).ok();
    let shown: Vec<_> = done.lines().collect();
    assert_eq!(shown, ["ok known", "ok unknown", "ok presigned", "ok pieces", "ok policies"]);
}

/// Runs a program on a file and answers what it says.
fn on_file(program: &str, args: &[&str], file: &Path) -> String {
    Done::run(Command::new(program).args(args).arg(file)).ok()
}

#[test]
fn key_pairs_open_with_ssh_keygen_and_puttygen() {
    let cloud = Cloud::records();
    let folder = tempfile::tempdir().expect("a scratch directory");
    for kind in ["rsa", "ed25519"] {
        for format in ["pem", "ppk"] {
            let name = format!("{kind}-{format}");
            let key = cloud.aws(&format!(
                "ec2 create-key-pair --key-name {name} --key-type {kind} --key-format {format} \
                 --query KeyMaterial --output text"
            ));
            let file = folder.path().join(&name);
            fs::write(&file, key.ok()).expect("written");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
            let public = match format {
                "pem" => on_file("ssh-keygen", &["-y", "-f"], &file),
                _ => on_file("puttygen", &["-L"], &file),
            };
            let described = cloud.aws(&format!(
                "ec2 describe-key-pairs --key-names {name} --include-public-key \
                 --query KeyPairs[0].PublicKey --output text"
            ));
            let words =
                |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(
                words(&public),
                words(&described.ok()),
                "{name} is the key it says (EC2-12)"
            );
        }
    }
    let pem = folder.path().join("rsa-pem");
    let text = fs::read_to_string(&pem).expect("read");
    assert!(text.starts_with("-----BEGIN RSA PRIVATE KEY-----"), "EC2-12");
    let bits = on_file("ssh-keygen", &["-l", "-f"], &pem);
    assert!(bits.starts_with("2048 "), "{bits}");
}

#[test]
fn an_imported_key_has_the_fingerprint_of_aws() {
    let cloud = Cloud::records();
    let folder = tempfile::tempdir().expect("a scratch directory");
    let file = folder.path().join("mine");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-m", "PEM", "-f"]).arg(&file);
    Done::run(&mut keygen).ok();
    let import = cloud.aws_args([
        "ec2",
        "import-key-pair",
        "--key-name",
        "mine",
        "--public-key-material",
        &format!("fileb://{}", file.with_extension("pub").display()),
        "--query",
        "KeyFingerprint",
        "--output",
        "text",
    ]);
    let der = format!(
        "openssl rsa -in {} -pubout -outform DER 2>/dev/null | openssl md5 -c",
        file.display()
    );
    let expected = Done::run(Command::new("bash").args(["-c", &der])).ok();
    let expected = expected.rsplit("= ").next().expect("a digest").trim();
    assert_eq!(import.ok().trim(), expected, "EC2-13");
}

#[test]
fn user_data_from_a_file_is_kept_byte_for_byte() {
    let cloud = Cloud::records();
    let folder = tempfile::tempdir().expect("a scratch directory");
    let script = "#!/bin/sh\necho '한글 & <xml> \"quotes\"'\n\n# no newline at the end";
    let file = folder.path().join("user-data.sh");
    fs::write(&file, script).expect("written");
    let image = cloud.aws_args([
        "ssm",
        "get-parameters",
        "--names",
        "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
        "--query",
        "Parameters[0].Value",
        "--output",
        "text",
    ]);
    let image = image.ok();
    let id = cloud.aws_args([
        "ec2",
        "run-instances",
        "--image-id",
        image.trim(),
        "--instance-type",
        "t2.micro",
        "--user-data",
        &format!("file://{}", file.display()),
        "--tag-specifications",
        "ResourceType=instance,Tags=[{Key=Name,Value=CLI}]",
        "--query",
        "Instances[0].InstanceId",
        "--output",
        "text",
    ]);
    let id = id.ok();
    let id = id.trim();
    let stored = cloud.aws(&format!(
        "ec2 describe-instance-attribute --instance-id {id} --attribute userData \
         --query UserData.Value --output text"
    ));
    let decode = format!("echo {} | base64 -d", stored.ok().trim());
    assert_eq!(Done::run(Command::new("bash").args(["-c", &decode])).ok(), script, "IMDS-33");
    assert_eq!(cloud.instance(id, "Tags[0].Value"), "CLI");
    cloud.aws(&format!("ec2 wait instance-running --instance-ids {id}")).ok();
    let rows = cloud.gureum("instances", ["--output", "json"]).json();
    assert_eq!(rows[0]["id"], id, "{rows}");
    assert_eq!(rows[0]["name"], "CLI", "{rows}");
    assert_eq!(rows[0]["login_user"], "ec2-user", "{rows}");
}

#[test]
fn refusals_reach_the_command_line_as_aws_says_them() {
    let cloud = Cloud::records();
    cloud
        .aws("ec2 create-vpc --cidr-block 10.0.0.0/8")
        .refused("InvalidVpc.Range", "The CIDR '10.0.0.0/8' is invalid.");
    cloud
        .aws("ec2 create-vpc --cidr-block 10.0.0.0/16 --dry-run")
        .refused("DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
    cloud.aws("ec2 terminate-instances --instance-ids i-0ffffffffffffffff").refused(
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-0ffffffffffffffff' does not exist",
    );
    let count = cloud.aws("ec2 describe-vpcs --query length(Vpcs)").ok();
    assert_eq!(count.trim(), "1", "nothing was made");
}
