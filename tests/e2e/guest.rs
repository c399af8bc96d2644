//! Instances as their users find them: the image under its names, and the bounds of a guest.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, Done, Host, Stage, root_or_skip, wait};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// Pattern of the image, login user, status of a metadata request without a token, identity.
const IMAGES: [(&str, &str, &str, &str); 4] = [
    ("amzn2-ami-hvm-*", "ec2-user", "200", "Amazon Linux 2 "),
    ("al2023-ami-2023*", "ec2-user", "401", "Amazon Linux 2023"),
    ("debian-12-amd64-*", "admin", "200", "Debian"),
    ("ubuntu/images/hvm-ssd/ubuntu-jammy-*", "ubuntu", "200", "Ubuntu"),
];

/// `#!/bin/sh\nid > /root/ran\necho spoken by user data\n`
const USER_DATA: &str = "IyEvYmluL3NoCmlkID4gL3Jvb3QvcmFuCmVjaG8gc3Bva2VuIGJ5IHVzZXIgZGF0YQo=";

#[test]
fn hosts_the_image_is_what_its_names_promise() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let mut ids = Vec::new();
    for (pattern, ..) in IMAGES {
        let image = stage.image_named(pattern);
        let more = [("ImageId", &*image), ("UserData", USER_DATA)];
        ids.push(stage.run_instances_with(pattern, &more).text("instanceId"));
    }
    for (id, (pattern, user, status, identity)) in ids.iter().zip(IMAGES) {
        stage.wait_ready(id);
        let host = stage.host(id);
        let run = |shell: &str| Done::run(stage.ssh_as(user, &host.public).arg(shell));
        wait(&format!("{user} may log in to {pattern}"), PATIENCE, || run("true").status == 0);
        assert_eq!(run("whoami; sudo whoami").ok(), format!("{user}\nroot\n"), "{pattern}");
        let asked = "curl -s -o /dev/null -w '%{http_code}' --max-time 5 \
                     http://169.254.169.254/latest/meta-data/instance-id";
        assert_eq!(run(asked).ok(), status, "IMDS-8: {pattern} without a token");
        let token = "T=$(curl -s --max-time 5 -X PUT http://169.254.169.254/latest/api/token \
                     -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'); curl -s --max-time 5 \
                     -H \"X-aws-ec2-metadata-token: $T\" \
                     http://169.254.169.254/latest/meta-data/instance-id";
        assert_eq!(run(token).ok(), *id, "IMDS-3: {pattern} with a token");
        let release = run("cat /etc/os-release").ok();
        assert!(release.contains(identity), "{pattern}: {release}");
        wait(&format!("user data ran on {pattern}"), PATIENCE, || {
            run("sudo cat /root/ran").stdout.contains("uid=0(root)")
        });
        let console = cloud.gureum("console", [id]).ok();
        wait(&format!("{pattern} shows user data on its console"), PATIENCE, || {
            cloud.gureum("console", [id]).stdout.contains("spoken by user data")
        });
        assert!(!console.is_empty(), "the boot is on the console");
        // Whoever logs in while the rest of the boot is under way must not be cut off.
        let began = "sudo journalctl -u ssh -o cat | grep -c 'Server listening on 0.0.0.0'";
        assert_eq!(run(began).stdout.trim(), "1", "{pattern}: the SSH server starts once");
        let keys = run("cat ~/.ssh/authorized_keys").ok();
        assert!(keys.trim_end().ends_with("stage"), "EC2-15: {keys}");
        let name = run("hostname -f").ok();
        let expected =
            format!("ip-{}.ap-northeast-2.compute.internal", host.private.replace('.', "-"));
        assert_eq!(name.trim(), expected, "ENI-11");
        let failed = run("systemctl --failed --no-legend --plain").ok();
        assert_eq!(failed.trim(), "", "{pattern}: no unit failed");
    }
}

/// Forks until it is refused, at most a number that any machine bears. The children end with the
/// parent, who holds the other end of their pipe.
const FORKS: &str = "\
import os
r, w = os.pipe()
count = 0
try:
    while count < 20000:
        if os.fork() == 0:
            os.close(w)
            os.read(r, 1)
            os._exit(0)
        count += 1
    print('made', count)
except OSError:
    print('refused after', count)
";

/// Two busy loops of three seconds; says how much processor time they had.
const LOOPS: &str = "\
import resource, subprocess
loop = ['timeout', '3', 'sh', '-c', 'while :; do :; done']
for child in [subprocess.Popen(loop) for _ in range(2)]:
    child.wait()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)
";

#[test]
fn hosts_a_guest_keeps_to_its_bounds() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let id = stage.run_instances_with("wild", &[("InstanceType", "t2.small")]).text("instanceId");
    stage.wait_ready(&id);
    let wild = stage.host(&id);
    let calm = stage.launch("calm");
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("read");

    // Root of an instance is nobody on the machine (traps 13).
    for attempt in [
        "echo mine > /proc/sys/kernel/core_pattern",
        "echo 1 > /proc/sys/kernel/sysrq",
        "mknod /root/disk b 254 0 && head -c 1 /root/disk",
        "mount -t debugfs none /mnt",
        "modprobe dummy",
        "echo b > /proc/sysrq-trigger",
        "date -s '2001-01-01'",
    ] {
        let done = cloud.exec(&wild.id, attempt);
        assert_ne!(done.status, 0, "a guest may not: {done}");
    }
    let after = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("read");
    assert_eq!(after, before);

    // t2.small has 2 GiB; the second allocation does not fit.
    let hog = "python3 -c 'x = bytearray(1300 << 20); print(\"one\", flush=True); \
               y = bytearray(1300 << 20); print(\"two\")'";
    let done = cloud.exec(&wild.id, hog);
    assert!(done.stdout.contains("one") && !done.stdout.contains("two"), "memory: {done}");

    // The root volume has 8 GiB; nothing of it is taken beyond, and it can be freed again.
    let fill = "fallocate -l 9G /root/big; df --output=avail -B1 / | tail -1; rm -f /root/big";
    let done = cloud.exec(&wild.id, fill);
    assert!(done.stderr.contains("No space left"), "disk: {done}");
    let size = cloud.exec(&wild.id, "df --output=size -B1 / | tail -1").ok();
    let size: u64 = size.trim().parse().expect("a size");
    assert!((6 << 30..=8 << 30).contains(&size), "EC2-26: {size} bytes");

    let done = cloud.exec(&wild.id, &format!("python3 - <<'END'\n{FORKS}END"));
    assert!(done.stdout.contains("refused"), "processes: {done}");

    // One processor, however many loops (EC2-23).
    let time = cloud.exec(&wild.id, &format!("python3 - <<'END'\n{LOOPS}END")).ok();
    let time: f64 = time.trim().parse().expect("seconds");
    assert!(time < 4.2, "two loops of 3 s had {time} s of processors");

    assert!(stage.pings(&calm.public), "the neighbour goes on");
    assert_eq!(stage.login(&calm.public, "echo well").ok(), "well\n");
    wait("the wild one lives", PATIENCE, || {
        stage.login(&wild.public, "echo well").stdout == "well\n"
    });
    assert_eq!(stage.state(&wild.id), "running");
}

/// An instance is somebody by credentials of its own, without a role (IMDS-30).
fn is_known_by_itself(stage: &Stage<'_>, host: &Host) {
    let cloud = stage.cloud;
    let path = "identity-credentials/ec2/security-credentials/ec2-instance";
    let ask = format!(
        "T=$(curl -s -X PUT http://169.254.169.254/latest/api/token \
         -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'); curl -s --max-time 5 \
         -H \"X-aws-ec2-metadata-token: $T\" http://169.254.169.254/latest/meta-data/{path}"
    );
    let said = cloud.exec(&host.id, &ask).ok();
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let aws = |words: &str| {
        let mut command = Command::new("aws");
        let command = cloud.aws_environment(&mut command);
        for (variable, member) in [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "Token"),
        ] {
            command.env(variable, said[member].as_str().expect("text"));
        }
        Done::run(command.args(words.split_whitespace()))
    };
    let who = aws("sts get-caller-identity --query Arn --output text").ok();
    let id = &host.id;
    assert!(who.trim().ends_with(&format!(":assumed-role/aws:ec2-instance/{id}")), "{who}");
    aws("ec2 describe-instances").refused("UnauthorizedOperation", "is not authorized");
}

#[test]
fn hosts_a_key_of_instance_connect_opens_one_account_for_a_minute() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let host = stage.launch("guest");
    is_known_by_itself(&stage, &host);
    let key = cloud.data_dir().with_file_name("fresh");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
    Done::run(&mut keygen).ok();
    assert_eq!(stage.login(&host.public, "echo in").ok(), "in\n", "with the key of its launch");
    let launched_with = std::mem::replace(&mut stage.key, key.clone());
    let may_log_in = |stage: &Stage<'_>, user: &str| {
        Done::run(stage.ssh_as(user, &host.public).arg("echo in")).stdout == "in\n"
    };
    assert!(!may_log_in(&stage, "ec2-user"), "nobody knows the key yet");
    let public = format!("file://{}", key.with_extension("pub").display());
    let words = ["ec2-instance-connect", "send-ssh-public-key", "--instance-os-user", "ec2-user"];
    let send = ["--instance-id", host.id.as_str(), "--ssh-public-key", public.as_str()];
    let sent = Instant::now();
    cloud.aws_args(words.iter().chain(&send)).ok();
    assert!(may_log_in(&stage, "ec2-user"), "the key is good at once");
    assert!(sent.elapsed() < Duration::from_secs(60), "the machine is too slow to tell");
    assert!(!may_log_in(&stage, "root"), "and for that account alone");
    wait("the minute is over", PATIENCE, || !may_log_in(&stage, "ec2-user"));
    assert!(sent.elapsed() >= Duration::from_secs(59), "not before: {:?}", sent.elapsed());
    stage.key = launched_with;
    assert!(may_log_in(&stage, "ec2-user"), "the key of its launch stays");
}
