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
    for id in &twin_ids {
        stage.wait_ready(id);
    }
    let keys = cloud.data_dir().join("keys");
    fs::create_dir_all(&keys).expect("a folder");
    fs::copy(&stage.key, keys.join("stage.pem")).expect("copied");

    names_and_statuses(&cloud, &web);
    refusals(&cloud, &twin_ids);
    why(&cloud, &mut stage, &web);
    browser(&cloud, &mut stage, &web);
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

/// `why` says what the packets do, names the rule, and changes nothing.
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
