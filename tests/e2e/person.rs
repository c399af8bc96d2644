//! The ways that a person has to their instances and to an answer: `ssh`, `exec`, `console`,
//! `instances`, `why`, the browser.

use std::{fs, process::Command, time::Duration};

use gureum_e2e::{Cloud, Done, Stage, root_or_skip, wait};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn hosts_every_door_opens() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let mut stage = Stage::open(&cloud);
    let web = stage.launch("web");
    let twin_ids = stage.run_instances("twin", 2);
    let hidden = hidden(&mut stage);
    for id in twin_ids.iter().chain([&hidden]) {
        stage.wait_ready(id);
    }
    let keys = cloud.data_dir().join("keys");
    fs::create_dir_all(&keys).expect("a folder");
    fs::copy(&stage.key, keys.join("stage.pem")).expect("copied");

    names_and_statuses(&cloud, &web);
    refusals(&cloud, &twin_ids);
    ssh_config(&cloud, &mut stage, &web, &twin_ids[0]);
    jump(&cloud, &web, &hidden);
    why(&cloud, &mut stage, &web);
    browser(&cloud, &mut stage, &web);
}

/// Launches an instance without a public address.
fn hidden(stage: &mut Stage<'_>) -> String {
    let zone = [("Filter.1.Name", "availability-zone"), ("Filter.1.Value.1", "ap-northeast-2a")];
    let subnet = stage.ec2.call("DescribeSubnets", &zone).text("subnetId");
    let group = stage.group.clone();
    let place = [
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", &*subnet),
        ("NetworkInterface.1.SecurityGroupId.1", &*group),
        ("NetworkInterface.1.AssociatePublicIpAddress", "false"),
        ("SecurityGroupId.1", ""),
    ];
    stage.run_instances_with("hidden", &place).text("instanceId")
}

/// One instance by each of its names.
fn names_and_statuses(cloud: &Cloud, web: &gureum_e2e::Host) {
    let dns = cloud.instance(&web.id, "PublicDnsName");
    for name in ["web", &web.id, &web.private, &web.public, &dns] {
        let done = cloud.gureum("exec", [name, "--", "cat", "/var/lib/cloud/data/instance-id"]);
        assert_eq!(done.ok().trim(), web.id, "exec {name}");
    }
    let done =
        cloud.gureum("exec", ["web", "--user", "ec2-user", "--", "sh", "-c", "id -un; exit 3"]);
    assert_eq!((done.status, done.stdout.trim()), (3, "ec2-user"), "{done}");
    let killed = cloud.gureum("exec", ["web", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.status, 128 + 15, "{killed}");
    let missing = cloud.gureum("exec", ["web", "--", "/no/such/program"]);
    assert_ne!(missing.status, 0, "{missing}");
    let piped = format!(
        "head -c 3000000 /dev/urandom > /tmp/in.$$; {} --data-dir {} exec web -- sha256sum < /tmp/in.$$ \
         | cut -d' ' -f1; sha256sum /tmp/in.$$ | cut -d' ' -f1; rm /tmp/in.$$",
        gureum_e2e::gureum().display(),
        cloud.data_dir().display()
    );
    let sums = Done::run(Command::new("bash").args(["-c", &piped])).ok();
    let sums: Vec<_> = sums.lines().collect();
    assert_eq!(sums.first(), sums.get(1), "standard input arrives whole: {sums:?}");

    let ssh = cloud.gureum("ssh", ["web", "--", "whoami; exit 5"]);
    assert_eq!((ssh.status, ssh.stdout.trim()), (5, "ec2-user"), "{ssh}");
    let console = cloud.gureum("console", ["web"]).ok();
    assert!(console.contains("cloud-init") || console.contains("login"), "{console}");
    let rows = cloud.gureum("instances", ["--output", "json"]).json();
    let row = rows.as_array().into_iter().flatten().find(|row| row["id"] == web.id.as_str());
    let row = row.unwrap_or_else(|| panic!("no row of {}: {rows}", web.id));
    assert_eq!(row["public_ip"], web.public.as_str());
    assert_eq!(row["ready"], true);
}

/// Names that mean nothing, or too much.
fn refusals(cloud: &Cloud, twins: &[String]) {
    let unknown = cloud.gureum("exec", ["nobody", "--", "true"]);
    assert_ne!(unknown.status, 0, "{unknown}");
    assert!(unknown.stderr.contains("nobody"), "{unknown}");
    let several = cloud.gureum("ssh", ["twin", "--", "true"]);
    assert_ne!(several.status, 0, "{several}");
    for id in twins {
        assert!(several.stderr.contains(id), "lists the candidates: {several}");
    }
}

/// OpenSSH of the person's own shell, by the names of the cloud and no others.
fn ssh_config(cloud: &Cloud, stage: &mut Stage<'_>, web: &gureum_e2e::Host, twin: &str) {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join(".ssh")).expect("a folder");
    let config = home.path().join(".ssh/config");
    let before = "Host mine\n  Port 2222\n";
    fs::write(&config, before).expect("written");
    let manage = |option: &str| {
        let mut command = cloud.command("ssh-config");
        let command = command.arg(option).env("HOME", home.path());
        Done::run(command.env_remove("SUDO_UID").env_remove("SUDO_GID")).ok()
    };
    let of_real = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.arg("-F").arg(&config).args(["-o", "BatchMode=yes"]).args(args);
        Done::run(&mut command)
    };
    let ssh = |args: &[&str]| of_real("ssh", args);
    manage("--include");
    let once = fs::read(&config).expect("read");
    manage("--include");
    assert_eq!(fs::read(&config).expect("read"), once, "the second time changes nothing");

    let dns = cloud.instance(&web.id, "PublicDnsName");
    let private = cloud.instance(&web.id, "PrivateDnsName");
    for name in ["web", &web.id, &dns, &private] {
        let done = ssh(&[name, "hostname -I; exit 7"]);
        assert_eq!((done.status, done.stdout.trim()), (7, &*web.private), "{name}: {done}");
    }
    let done = ssh(&["-J", "web", twin, "hostname -I; echo ${SSH_CONNECTION%% *}"]).ok();
    let from_web = format!("{}\n{}\n", cloud.instance(twin, "PrivateIpAddress"), web.private);
    assert_eq!(done.replace(" \n", "\n"), from_web, "through a bastion (LAB-7)");
    let file = home.path().join("file");
    fs::write(&file, vec![7; 3_000_000]).expect("written");
    let target = format!("{twin}:file");
    of_real("scp", &["-q", "-J", "web", &file.to_string_lossy(), &target]).ok();
    assert_eq!(cloud.exec(twin, "wc -c < /home/ec2-user/file").ok().trim(), "3000000");

    let host = |name: &str| {
        let shown = ssh(&["-G", name]).ok();
        let line = |key: &str| shown.lines().find(|it| it.starts_with(key)).map(str::to_owned);
        (line("port "), line("proxycommand "))
    };
    for foreign in ["ec2-52-95-110-1.ap-northeast-2.compute.amazonaws.com", "twin", "elsewhere"] {
        assert_eq!(host(foreign), (Some("port 22".into()), None), "{foreign} is not ours");
    }
    assert_eq!(host("mine").0.as_deref(), Some("port 2222"), "what was there still holds");

    // It is the network that lets them in, as anywhere.
    let cidr = format!("{}/32", stage.client);
    stage.ingress("RevokeSecurityGroupIngress", "tcp", 22, &cidr);
    let refused = ssh(&["web", "true"]);
    assert_eq!(refused.status, 255, "{refused}");
    assert!(refused.stderr.contains("gureum why internet web --proto tcp"), "{refused}");
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 22, &cidr);

    manage("--remove");
    assert_eq!(fs::read_to_string(&config).expect("read"), before);
    assert!(!cloud.data_dir().join("ssh_config").exists());
}

/// `why` says what the packets do, names the rule, and changes nothing.
/// `--jump` writes the bastion down: whoever has no public address is entered through it.
fn jump(cloud: &Cloud, bastion: &gureum_e2e::Host, hidden: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    let asked = ["--jump", "web", "--write", &config.to_string_lossy()];
    cloud.gureum("ssh-config", asked).ok();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(&config).args(["-o", "BatchMode=yes", "hidden"]);
    let done = Done::run(ssh.arg("hostname -I; echo ${SSH_CONNECTION%% *}; exit 7"));
    let private = cloud.instance(hidden, "PrivateIpAddress");
    let seen = done.stdout.replace(" \n", "\n");
    assert_eq!((done.status, seen), (7, format!("{private}\n{}\n", bastion.private)), "{done}");
}

fn why(cloud: &Cloud, stage: &mut Stage<'_>, web: &gureum_e2e::Host) {
    let ask =
        |port: &str| cloud.gureum("why", ["internet", "web", "--proto", "tcp", "--port", port]);
    assert_eq!(ask("22").status, 0, "{}", ask("22"));
    let closed = ask("80");
    assert_eq!(closed.status, 1, "{closed}");
    assert!(closed.stdout.contains("security-group"), "names the stage: {closed}");
    let wrong = cloud.gureum("why", ["internet", "nobody", "--proto", "tcp", "--port", "80"]);
    assert_eq!(wrong.status, 2, "{wrong}");
    let drops = cloud.status()["drops"].clone();
    let json = cloud.gureum("why", ["internet", "web", "--proto", "tcp", "--port", "22", "--json"]);
    let report: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert!(report.to_string().contains("sgr-"), "the rule that decided: {report}");
    assert_eq!(cloud.status()["drops"], drops, "asking counts nothing");
    stage.ingress("AuthorizeSecurityGroupIngress", "tcp", 80, "0.0.0.0/0");
    assert_eq!(ask("80").status, 0, "{}", ask("80"));
    let ping = cloud.gureum("why", ["web", "8.8.8.8", "--proto", "icmp"]);
    assert_eq!(ping.status, 0, "{ping}");
    let done = cloud.exec(&web.id, "ping -n -c 1 -W 2 8.8.8.8");
    assert_eq!(done.status, 0, "and so it is: {done}");
}

/// Any browser, through the API's port.
fn browser(cloud: &Cloud, stage: &mut Stage<'_>, web: &gureum_e2e::Host) {
    let page = "mkdir -p /srv/page && echo 'a page of web' > /srv/page/index.html && cd /srv/page && \
                (nohup python3 -m http.server 80 >/dev/null 2>&1 &)";
    cloud.exec(&web.id, page).ok();
    let dns = cloud.instance(&web.id, "PublicDnsName");
    let url = format!("http://{dns}.localhost:{}/", cloud.port());
    let get = || {
        let mut curl = Command::new("curl");
        Done::run(curl.args(["-sS", "--max-time", "5", &url]))
    };
    wait("the page is there", PATIENCE, || get().stdout == "a page of web\n");
    stage.ingress("RevokeSecurityGroupIngress", "tcp", 80, "0.0.0.0/0");
    assert_ne!(get().stdout, "a page of web\n", "the security group holds for browsers too");
}
