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

/// API-3: one call asked about at the endpoint of previews, by the unmodified AWS CLI.
#[test]
fn a_preview_of_one_call_is_a_dry_run_of_the_api() {
    let network = Network::build();
    let cloud = &network.cloud;
    let preview = format!("{}/_gureum/preview", cloud.endpoint());
    let ask = |words: &str| {
        let mut command = Command::new("aws");
        let command = cloud.aws_environment(&mut command);
        Done::run(command.env("AWS_ENDPOINT_URL_EC2", &preview).args(words.split_whitespace()))
    };
    let export = || cloud.gureum("export", [] as [&str; 0]).json();
    let before = export();
    let (web, rule) = (network.id("web"), network.id("http_rule"));
    let revoke = format!(
        "ec2 revoke-security-group-ingress --group-id {web} --security-group-rule-ids {rule}"
    );
    for call in [revoke.clone(), format!("{revoke} --dry-run")] {
        let done = ask(&call);
        let from_outside = "\n  tcp 80 from internet to WEB-01, WEB-02: security-group-ingress at \
                            WEB-01 (WEB-SG)\n";
        assert!(done.stderr.contains(from_outside), "{done}");
        assert!(done.stderr.contains("\npasses no more ("), "{done}");
        assert!(!done.stderr.contains("passes then"), "{done}");
        let sentence = "operation: Request would have succeeded, but DryRun flag is set.\n";
        done.refused("DryRunOperation", sentence);
    }
    let endpoint = ["--endpoint-url", &preview, "ec2", "authorize-security-group-ingress"];
    let rule = ["--group-id", web, "--protocol", "udp", "--port", "53", "--cidr", "0.0.0.0/0"];
    let done = cloud.aws_args(endpoint.into_iter().chain(rule));
    assert!(done.stderr.contains("passes then ("), "{done}");
    assert!(done.stderr.contains("udp 53 from internet to WEB-01, WEB-02: sgr-"), "{done}");
    done.refused("DryRunOperation", "");
    // What is on its way after the call counts as arrived.
    for (call, by) in [("stop", ": WEB-01 is stopped"), ("terminate", ": WEB-01 is gone")] {
        let done = ask(&format!("ec2 {call}-instances --instance-ids {}", network.id("WEB-01")));
        done.refused("DryRunOperation", by);
    }
    let tag =
        format!("ec2 create-tags --resources {} --tags Key=Name,Value=x", network.id("DB-01"));
    ask(&tag).refused("DryRunOperation", "Nothing would change in what passes between interfaces");

    // Errors are those of the call itself; reads are answered; other services have no preview.
    let missing = "ec2 delete-security-group --group-id sg-0ffffffffffffffff";
    let refused = ask(missing);
    assert_eq!(refused.stderr, cloud.aws(missing).stderr);
    refused.refused("InvalidGroup.NotFound", "");
    let groups = "ec2 describe-security-groups --query SecurityGroups[].GroupId";
    assert_eq!(ask(groups).ok(), cloud.aws(groups).ok());
    let identity = ["--endpoint-url", &preview, "sts", "get-caller-identity"];
    cloud.aws_args(identity).refused("UnsupportedOperation", "previews calls of ec2 alone");

    programs_get_json(&network, &preview, &revoke);
    callers_are_who_they_are(&network, &preview, &revoke);
    assert!(before == export(), "the network is as it was");
}

/// The same view as `gureum preview` prints, by either header.
fn programs_get_json(network: &Network, preview: &str, revoke: &str) {
    let cloud = &network.cloud;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/check/preview.py");
    let ask = |header: &str, value: &str, parameters: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(&script).args([preview, header, value]).args(parameters);
        Done::run(cloud.aws_environment(&mut command)).json()
    };
    let group = format!("GroupId={}", network.id("web"));
    let rule = format!("SecurityGroupRuleId.1={}", network.id("http_rule"));
    let call = ["RevokeSecurityGroupIngress", &group, &rule];
    let printed = cloud
        .gureum("preview", ["--output", "json", "--", "sh", "-c", &format!("aws {revoke} >&2")])
        .json();
    for (header, value) in [("Accept", "application/json"), ("x-gureum-output", "json")] {
        let answer = ask(header, value, &call);
        assert_eq!((&answer["status"], &answer["type"]), (&json!(412), &json!("application/json")));
        assert_eq!(answer["body"], printed, "{answer}");
    }
    assert!(printed["ways"].as_array().is_some_and(|ways| !ways.is_empty()), "{printed}");
    let xml = ask("Accept", "*/*", &call);
    assert!(xml["body"].as_str().is_some_and(|it| it.contains("<Code>DryRunOperation</Code>")));
    let wrong =
        ask("Accept", "application/json", &[call[0], "GroupId=sg-0ffffffffffffffff", &rule]);
    assert_eq!(wrong["status"], 400, "{wrong}");
    assert!(wrong["body"].as_str().is_some_and(|it| it.contains("InvalidGroup.NotFound")));
}

/// The signature covers the path as it is sent, and policies, accounts and regions hold.
fn callers_are_who_they_are(network: &Network, preview: &str, revoke: &str) {
    let cloud = &network.cloud;
    cloud.aws("iam create-user --user-name mina").ok();
    let key = cloud.aws("iam create-access-key --user-name mina").json();
    let key = |name: &str| key["AccessKey"][name].as_str().expect("a key").to_owned();
    let (id, secret) = (key("AccessKeyId"), key("SecretAccessKey"));
    let ask = |id: &str, secret: &str, region: &str| {
        let mut command = Command::new("aws");
        let command = cloud.aws_environment(&mut command);
        command.env("AWS_ENDPOINT_URL_EC2", preview);
        command.env("AWS_REGION", region).env("AWS_DEFAULT_REGION", region);
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        Done::run(command.args(revoke.split_whitespace()))
    };
    let here = "ap-northeast-2";
    ask(&id, "wrong", here).refused("AuthFailure", "");
    ask(&id, &secret, here).refused("UnauthorizedOperation", "ec2:RevokeSecurityGroupIngress");
    let arn = "arn:aws:iam::aws:policy/AmazonEC2FullAccess";
    cloud.aws(&format!("iam attach-user-policy --user-name mina --policy-arn {arn}")).ok();
    ask(&id, &secret, here).refused("DryRunOperation", "passes no more");
    ask(&id, &secret, "us-east-1").refused("InvalidGroup.NotFound", "");
    ask("444455556666", "any", here).refused("InvalidGroup.NotFound", "");
}

/// NACL-12, NACL-13: answers go to the port that a client connects from, on Linux one of 32768-60999.
#[test]
fn answers_that_get_back_to_some_clients_only_are_no_guess() {
    let network = Network::build();
    let cloud = &network.cloud;
    let vpc = network.id("vpc");
    let acl = cloud.aws(&format!(
        "ec2 describe-network-acls --filters Name=vpc-id,Values={vpc} \
         --query NetworkAcls[0].NetworkAclId --output text"
    ));
    let acl = acl.ok().trim().to_owned();
    let answers_to = |ports: &str| {
        format!(
            "ec2 replace-network-acl-entry --network-acl-id {acl} --rule-number 100 --egress \
             --protocol 6 --port-range {ports} --rule-action allow --cidr-block 0.0.0.0/0"
        )
    };
    let wide = answers_to("From=1024,To=65535");
    let narrow = answers_to("From=49152,To=65535");
    let web = "- {from: internet, to: WEB-01, port: 80, expect: allow}\n";
    let asked = || {
        let report = network.check(&network.file(web), &["--output", "json"]).stdout;
        let report: Value = serde_json::from_str(&report).expect("JSON");
        report["expectations"][0]["asked"].as_u64().expect("a count")
    };
    cloud.aws(&wide).ok();
    assert_eq!(network.outcomes(web), (0, vec![("holds".into(), String::new())]));
    assert_eq!(asked(), 1, "nothing cuts the range");
    cloud.aws(&narrow).ok();
    let because = format!(
        "answers to ports 32768-49151 are dropped by network-acl-egress, {acl} egress * \
         (tcp 80 from internet to WEB-01)"
    );
    let unknown = ("unknown".to_owned(), because);
    assert_eq!(network.outcomes(web), (2, vec![unknown.clone()]));
    assert_eq!(asked(), 2);
    let deny = web.replace("allow", "deny");
    assert_eq!(network.outcomes(&deny), (2, vec![unknown]), "nor is it denied to everybody");
    let fails = "- {from: internet, to: WEB-01, port: [80, 443], expect: allow}\n";
    assert_eq!(network.outcomes(fails).1[0].0, "fails", "what fails for all is no question");

    // Nothing is suggested of it but a comment, and the rest holds.
    let text = cloud.gureum("check", ["--suggest"]).ok();
    let (expectations, left_out) = text.split_once("# ---- What depends").expect("a comment");
    assert!(left_out.contains("answers to ports 32768-49151 are dropped by"), "{text}");
    assert!(left_out.contains("#     port: [22, 80]") && !left_out.contains("\n- "), "{text}");
    let (passes, _) = expectations.split_once("# ---- What does not pass").expect("two kinds");
    assert!(!passes.contains("from: internet"), "{text}");
    network.check(&network.file(&text), &["--quiet"]).ok();

    let words = ["--output", "json", "--", "sh", "-c", &format!("aws {wide} >&2")];
    let view = cloud.gureum("preview", words).json();
    let ways = view["ways"].as_array().expect("ways");
    let from_outside = ways.iter().find(|it| it["from"] == "internet").expect("a way");
    assert_eq!(from_outside["becomes"], "possible", "{view}");
    assert_eq!(from_outside["source_ports"], "32768-49151", "{view}");
    assert_eq!(from_outside["ports"], json!(["22", "80"]), "{view}");
}
