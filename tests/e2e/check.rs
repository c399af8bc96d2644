//! `gureum check`: expectations held against a network that boto3 has built, with verdicts, exit
//! statuses and forms that other tools read. Neither root nor hosts are needed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use gureum_e2e::{Cloud, Done};
use serde_json::{Value, json};

/// A cloud with the network of `check/network.py`.
struct Network {
    cloud: Cloud,
    ids: Value,
    folder: tempfile::TempDir,
}

impl Network {
    fn build() -> Self {
        let cloud = Cloud::records();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/check/network.py");
        let mut command = Command::new("python3");
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
        let ids = Done::run(cloud.aws_environment(&mut command)).json();
        Self { cloud, ids, folder: tempfile::tempdir().expect("a scratch directory") }
    }

    fn id(&self, name: &str) -> &str {
        self.ids[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.ids))
    }

    /// A file with expectations; `{WEB-01}` in it is an id.
    fn file(&self, text: &str) -> PathBuf {
        let members = self.ids.as_object().expect("ids");
        let text = members.iter().fold(text.to_owned(), |text, (name, id)| {
            text.replace(&format!("{{{name}}}"), id.as_str().expect("an id"))
        });
        let file = self.folder.path().join("expectations.yaml");
        fs::write(&file, text).expect("written");
        file
    }

    fn check(&self, file: &Path, more: &[&str]) -> Done {
        Done::run(self.cloud.command("check").arg(file).args(more))
    }

    /// Outcome and reason of each expectation.
    fn outcomes(&self, text: &str) -> (i32, Vec<(String, String)>) {
        let done = self.check(&self.file(text), &["--output", "json"]);
        let report: Value =
            serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done}"));
        let all = report["expectations"].as_array().expect("a list");
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        (done.status, all.iter().map(|it| (text(&it["outcome"]), text(&it["because"]))).collect())
    }
}

#[test]
fn expectations_are_checked_and_reported() {
    let network = Network::build();
    expectations_hold(&network);
    what_does_not_hold_is_said(&network);
    what_is_unknown_is_never_guessed(&network);
    reports_are_what_other_tools_read(&network);
    a_stretch_of_ports_is_decided_alike(&network);
    a_thousand_take_no_time(&network);
}

/// SG-2, SG-30, RT-12: names, ids, addresses, subnets, groups, the internet, services; and who decides.
fn expectations_hold(network: &Network) {
    let (status, outcomes) = network.outcomes(
        "
- {from: internet, to: [WEB-01, '{WEB-02}'], port: 80, expect: allow}
- {from: internet, to: web-subnet, protocol: tcp, port: [80, 22], expect: allow, by: WEB-SG}
- {from: internet, to: WEB-01, port: 80, expect: allow, by: '{http_rule}'}
- {from: internet, to: WEB-01, port: 80, expect: allow, by: public-table}
- {from: internet, to: WEB-01, port: 80, expect: allow, by: '{gateway}'}
- {from: internet, to: WEB-01, port: 80, expect: allow, by: '{table} 0.0.0.0/0'}
- {from: 8.8.8.8, to: WEB-01, port: 22, expect: deny, by: security-group-ingress}
- {from: 8.8.8.8, to: WEB-01, port: 22, expect: deny, by: WEB-SG}
- {from: internet, to: db-subnet, protocol: [tcp, udp, icmp], port: any, expect: deny}
- {from: WEB-SG, to: DB-SG, port: 5432, expect: allow, by: DB-SG}
- {from: '{web}', to: '{db}', protocol: icmp, expect: allow}
- {from: WEB-01, to: WEB-02, port: 443, expect: deny, by: security-group-ingress}
- {from: DB-01, to: internet, port: 443, expect: deny, by: no-route}
- {from: WEB-01, to: internet, port: 443, expect: allow}
- {from: WEB-01, to: s3, expect: allow}
- {from: DB-01, to: s3, expect: deny}
- {from: WEB-01, to: github.com, port: 443, expect: allow}
- {from: web-subnet, to: web-subnet, port: 1-1023, expect: deny}
- {from: WEB-01, to: 10.0.1.250, port: 80, expect: deny}
",
    );
    for (at, (outcome, because)) in outcomes.iter().enumerate() {
        // Port 80 is open to everybody, within the subnet too.
        let wanted = if at == 17 { "fails" } else { "holds" };
        assert_eq!(outcome, wanted, "the one at {at}: {because}");
    }
    assert_eq!((status, outcomes.len()), (1, 19));
    assert!(outcomes[17].1.starts_with("tcp 80 from WEB-0"), "{}", outcomes[17].1);
}

fn what_does_not_hold_is_said(network: &Network) {
    let (status, outcomes) = network.outcomes(
        "
- {from: internet, to: web-subnet, port: 22-23, expect: allow}
- {from: internet, to: WEB-01, port: 80, expect: deny}
- {from: internet, to: WEB-01, port: 80, expect: allow, by: DB-SG}
- {from: DB-01, to: internet, port: 443, expect: deny, by: security-group-egress}
",
    );
    assert_eq!(status, 1);
    let wanted = [
        [
            "tcp 23 from internet to WEB-01 does not pass: security-group-ingress at WEB-01 (WEB-SG)",
            "(and 1 more)",
        ],
        ["tcp 80 from internet to WEB-01 passes: sgr-", "of WEB-SG: tcp 80 from 0.0.0.0/0"],
        ["passes, but not by DB-SG: sgr-", "of WEB-SG"],
        ["does not pass, but not by security-group-egress: no-route", ""],
    ];
    for ((outcome, because), texts) in outcomes.iter().zip(wanted) {
        assert_eq!(outcome, "fails");
        for text in texts {
            assert!(because.contains(text), "{text}: {because}");
        }
    }
}

fn what_is_unknown_is_never_guessed(network: &Network) {
    let stopped = network.id("WEB-02").to_owned();
    network.cloud.aws(&format!("ec2 stop-instances --instance-ids {stopped}")).ok();
    network.cloud.aws(&format!("ec2 wait instance-stopped --instance-ids {stopped}")).ok();
    let cases = [
        ("{from: internet, to: WEB-1, port: 80, expect: deny}", "nothing is called \"WEB-1\""),
        (
            "{from: internet, to: TWIN, port: 80, expect: deny}",
            "\"TWIN\" is the name of 2 things: eni-",
        ),
        ("{from: internet, to: default, port: 80, expect: deny}", "\"default\" is the name of"),
        ("{from: empty-subnet, to: WEB-01, port: 80, expect: deny}", "has no instance that is on"),
        (
            "{from: internet, to: empty-subnet, port: 80, expect: deny}",
            "no interface that is in use",
        ),
        ("{from: internet, to: WEB-02, port: 80, expect: deny}", "which is stopped"),
        ("{from: 10.9.9.9, to: WEB-01, port: 80, expect: deny}", "no interface has 10.9.9.9"),
        ("{from: s3, to: WEB-01, port: 80, expect: deny}", "is a service"),
        ("{from: WEB-01, to: WEB-01, port: 80, expect: deny}", "both ends are the same"),
        ("{from: WEB-01, to: DB-01, expect: deny}", "tcp needs a port"),
        ("{from: WEB-01, to: nobody.example.com, port: 80, expect: deny}", "nobody knows"),
        ("{from: WEB-01, to: DB-01, port: 80, expect: deny, ipv6: true}", "has no IPv6 address"),
        (
            "{from: WEB-01, to: DB-01, port: 80, expect: deny, by: sg-0ffffffffffffffff}",
            "nothing that decides is called",
        ),
    ];
    let text: String = cases.iter().map(|(line, _)| format!("- {line}\n")).collect();
    let (status, outcomes) = network.outcomes(&text);
    assert_eq!((status, outcomes.len()), (2, cases.len()));
    for ((outcome, because), (line, why)) in outcomes.iter().zip(cases) {
        assert_eq!(outcome, "unknown", "{line}: {because}");
        assert!(because.contains(why), "{line}: {because}");
    }
    network.cloud.aws(&format!("ec2 start-instances --instance-ids {stopped}")).ok();
    network.cloud.aws(&format!("ec2 wait instance-running --instance-ids {stopped}")).ok();
}

fn reports_are_what_other_tools_read(network: &Network) {
    let file = network.file(
        "# What we expect.
- from: internet
  to: WEB-01
  port: 80
  expect: allow
- from: internet
  to: WEB-01
  port: 80
  expect: deny
  name: nobody comes in
- {from: internet, to: NOBODY, port: 80, expect: deny}
",
    );
    let junit = network.folder.path().join("report.xml");
    let junit_text = junit.to_string_lossy().into_owned();
    let done = network.check(&file, &["--junit", &junit_text, "--annotations", "github"]);
    assert_eq!(done.status, 2, "{done}");
    let lines: Vec<_> = done.stdout.lines().collect();
    assert!(lines[0].starts_with("RESULT"), "{done}");
    assert!(lines.iter().any(|it| it.starts_with("ok") && it.contains("tcp 80 from 0.0.0.0/0")));
    assert!(lines.contains(&"1 hold, 1 fail, 1 unknown"), "{done}");
    let annotation =
        format!("::error file={},line=6,col=3,title=nobody comes in::", file.display());
    assert!(lines.iter().any(|it| it.starts_with(&annotation)), "{annotation}: {done}");
    let parse = "import sys, xml.etree.ElementTree as x; s = x.parse(sys.argv[1]).find('testsuite'); \
                 print(s.get('tests'), s.get('failures'), s.get('errors'), len(s.findall('testcase')))";
    let parsed = Done::run(Command::new("python3").args(["-c", parse]).arg(&junit)).ok();
    assert_eq!(parsed.trim(), "3 1 1 3");
    let quiet = network.check(&file, &["--quiet"]);
    assert!(!quiet.stdout.lines().any(|it| it.starts_with("ok")), "{quiet}");
    let wrong = network.file("- from: internet\n  to: WEB-01\n  prot: 80\n");
    let done = network.check(&wrong, &["--annotations", "github"]);
    assert_eq!(done.status, 2);
    assert!(done.stderr.contains("expectations.yaml:3:3: unknown field `prot`"), "{done}");
    assert!(done.stdout.starts_with("::error file="), "{done}");
    let file = network.file("- {from: internet, to: WEB-01, port: 80, expect: allow}\n");
    let nobody = Cloud::prepared(&["--no-instances"]);
    let done = Done::run(nobody.command("check").arg(&file));
    assert_eq!(done.status, 2, "{done}");
    assert!(done.stderr.contains("no daemon runs on"), "{done}");
}

/// One question for a stretch of ports is as good as one for each port.
fn a_stretch_of_ports_is_decided_alike(network: &Network) {
    let passing = |text: &str| {
        let done = network.check(&network.file(text), &["--verbose", "--output", "json"]);
        let report: Value = serde_json::from_str(&done.stdout).expect("JSON");
        let mut passing = Vec::new();
        for expectation in report["expectations"].as_array().expect("a list") {
            for decision in expectation["decisions"].as_array().expect("a list") {
                let number = |name: &str| decision["ports"][name].as_u64().expect("a port");
                for port in number("first")..=number("last") {
                    passing.push((port, decision["reachable"].as_bool().expect("a verdict")));
                }
            }
        }
        // What is not as expected comes first.
        passing.sort_unstable();
        passing
    };
    for (from, to) in [("internet", "WEB-01"), ("WEB-01", "DB-01"), ("WEB-01", "169.254.169.254")] {
        let range = format!("- {{from: {from}, to: {to}, port: 0-600, expect: allow}}\n");
        let each: String = (0..=600)
            .map(|port| format!("- {{from: {from}, to: {to}, port: {port}, expect: allow}}\n"))
            .collect();
        let found = passing(&range);
        assert_eq!(found.len(), 601);
        assert_eq!(found, passing(&each), "{from} to {to}");
    }
}

fn a_thousand_take_no_time(network: &Network) {
    let line = "- {from: internet, to: WEB-01, port: 80, expect: allow}\n";
    let file = network.file(&line.repeat(1000));
    let start = Instant::now();
    let done = network.check(&file, &["--quiet"]);
    let took = start.elapsed();
    assert_eq!(done.ok().trim(), "1000 hold, 0 fail, 0 unknown");
    eprintln!("1,000 expectations: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn what_is_suggested_holds_until_a_rule_changes() {
    let network = Network::build();
    let cloud = &network.cloud;
    let file = network.folder.path().join("suggested.yaml");
    let suggest = |more: &[&str]| Done::run(cloud.command("check").arg("--suggest").args(more));
    let path = file.to_string_lossy().into_owned();
    suggest(&["-o", &path]).ok();
    let text = fs::read_to_string(&file).expect("written");
    let entries = text.matches("\n- from: ").count();
    assert!(entries <= 12, "it is compact: {text}");
    assert!(text.contains("of WEB-SG: tcp 80 from 0.0.0.0/0"), "{text}");
    assert_eq!(suggest(&[]).ok(), text, "it says the same each time");
    assert_ne!(suggest(&["-o", &path]).status, 0, "what is there is not written over");
    let check = || network.check(&file, &["--quiet"]);
    check().ok();

    let (web, rule) = (network.id("web"), network.id("http_rule"));
    let revoke = format!(
        "ec2 revoke-security-group-ingress --group-id {web} --security-group-rule-ids {rule}"
    );
    cloud.aws(&revoke).ok();
    let done = check();
    assert_eq!(done.status, 1, "a rule is gone: {done}");
    assert!(done.stdout.contains("tcp 80 from internet to WEB-0"), "{done}");
    let authorize = |port: u16| {
        let words = "--protocol tcp --cidr 0.0.0.0/0";
        let call = "ec2 authorize-security-group-ingress";
        cloud.aws(&format!("{call} --group-id {web} --port {port} {words}")).ok();
    };
    authorize(80);
    check().ok();
    authorize(8443);
    let done = check();
    assert_eq!(done.status, 1, "a rule too many: {done}");
    assert!(done.stdout.contains("tcp 8443 from internet to WEB-0"), "{done}");

    let empty = Cloud::records();
    let done = Done::run(empty.command("check").arg("--suggest"));
    assert_eq!(done.status, 2, "{done}");
    assert!(done.stderr.contains("no instance is on"), "{done}");
}

#[test]
fn a_preview_says_what_would_change_and_changes_nothing() {
    let network = Network::build();
    let preview = |words: &[&str]| {
        Done::run(network.cloud.command("preview").args(["--output", "json", "--"]).args(words))
    };
    let nothing = preview(&["true"]).json();
    assert_eq!(nothing, json!({"ways": [], "flows": []}));

    let (web, rule) = (network.id("web"), network.id("http_rule"));
    let revoke = [
        "aws",
        "ec2",
        "revoke-security-group-ingress",
        "--group-id",
        web,
        "--security-group-rule-ids",
        rule,
        "--query",
        "Return",
        "--output",
        "text",
    ];
    let done = Done::run(network.cloud.command("preview").arg("--").args(revoke));
    assert_eq!(done.status, 0, "{done}");
    let lines: Vec<_> = done.stdout.lines().filter(|it| it.starts_with("passes")).collect();
    let from_outside = lines.iter().find(|it| it.contains("  internet  ")).expect("a line");
    assert!(from_outside.starts_with("passes no more"), "{done}");
    assert!(from_outside.contains("WEB-01, WEB-02"), "{done}");
    assert!(from_outside.contains("tcp 80"), "{done}");
    assert!(from_outside.contains("security-group-ingress at WEB-01 (WEB-SG)"), "{done}");

    let authorize = [
        "aws",
        "ec2",
        "authorize-security-group-ingress",
        "--group-id",
        web,
        "--protocol",
        "udp",
        "--port",
        "53",
        "--cidr",
        "0.0.0.0/0",
        "--query",
        "Return",
    ];
    let done = Done::run(network.cloud.command("preview").arg("--").args(authorize)).ok();
    assert!(
        done.lines().any(|it| it.starts_with("passes then") && it.contains("udp 53")),
        "{done}"
    );
    let failed = preview(&["sh", "-c", "exit 5"]);
    assert_eq!((failed.status, failed.stdout.as_str()), (5, ""), "{failed}");

    let (status, outcomes) = network.outcomes(
        "- {from: internet, to: WEB-01, port: 80, expect: allow}\n\
         - {from: internet, to: WEB-01, protocol: udp, port: 53, expect: deny}\n",
    );
    assert_eq!(status, 0, "the cloud itself is as it was: {outcomes:?}");
}
