//! The real Terraform with AWS's real provider, on configurations as people write them: applied,
//! planned again without a change, destroyed without a rest.
//!
//! The provider comes from the folder that `GUREUM_TF_PLUGIN_DIR` names, laid out as `terraform
//! providers mirror` does.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use gureum_e2e::{Cloud, Done, root_or_skip, terraform_plugins_or_skip};
use serde_json::Value;
use tempfile::TempDir;

/// Configurations of the tests, one folder each.
fn shapes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform")
}

/// The lab.
fn lab() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../labs/vpc")
}

/// The variable of the lab that names a key, and the folder that the key is in.
fn lab_key() -> (TempDir, String) {
    let folder = TempDir::with_prefix("gureum-key-").expect("a scratch directory");
    let key = folder.path().join("key");
    let words = ["-q", "-t", "ed25519", "-N", "", "-f"];
    let made = Command::new("ssh-keygen").args(words).arg(&key).status().expect("ssh-keygen");
    assert!(made.success(), "ssh-keygen: {made}");
    let variable = format!("-var=public_key_file={}.pub", key.display());
    (folder, variable)
}

/// A working copy of a configuration, initialised.
struct Configuration<'a> {
    cloud: &'a Cloud,
    scratch: TempDir,
    folder: PathBuf,
}

impl<'a> Configuration<'a> {
    /// Copies the folder that holds the configuration, so that what Terraform writes goes with
    /// the value.
    fn of(cloud: &'a Cloud, plugins: &str, root: &Path, name: &str) -> Self {
        let scratch = TempDir::with_prefix("gureum-terraform-").expect("a scratch directory");
        copy(root, scratch.path());
        let configuration = Self { cloud, folder: scratch.path().join(name), scratch };
        let plugins = format!("-plugin-dir={plugins}");
        configuration.run(&["init", "-input=false", "-no-color", &plugins]).ok();
        configuration
    }

    /// Runs terraform with these words.
    fn run(&self, words: &[&str]) -> Done {
        let mut command = Command::new("terraform");
        let command = self.cloud.aws_environment(&mut command);
        let settings = self.scratch.path().join("terraformrc");
        fs::write(&settings, "").expect("a scratch file");
        command
            .current_dir(&self.folder)
            .env("TF_CLI_CONFIG_FILE", settings)
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env_remove("AWS_REGION")
            .env_remove("AWS_DEFAULT_REGION")
            .args(words);
        Done::run(command)
    }

    fn apply(&self, variables: &[&str]) {
        self.run(&with(&["apply", "-auto-approve", "-input=false", "-no-color"], variables)).ok();
    }

    /// Plans again: nothing is to be done (exit status 2 would say that something is).
    fn is_unchanged(&self, variables: &[&str]) {
        let plan = ["plan", "-detailed-exitcode", "-input=false", "-no-color"];
        let plan = self.run(&with(&plan, variables));
        assert_eq!(plan.status, 0, "a second plan differs: {plan}");
    }

    fn destroy(&self, variables: &[&str]) {
        self.run(&with(&["destroy", "-auto-approve", "-input=false", "-no-color"], variables)).ok();
    }
}

fn with<'a>(words: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    words.iter().chain(more).copied().collect()
}

/// Copies a folder without what Terraform leaves in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a scratch directory");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => {
                fs::copy(&path, to.join(name)).expect("a copy");
            }
        }
    }
}

/// What an account holds besides what every region begins with, as operations list it.
fn leftovers(cloud: &Cloud, region: &str) -> Vec<String> {
    let mut left = Vec::new();
    for (words, query) in [
        ("ec2 describe-vpcs", "Vpcs[?!IsDefault].VpcId"),
        ("ec2 describe-addresses", "Addresses[].AllocationId"),
        ("ec2 describe-nat-gateways", "NatGateways[?State!='deleted'].NatGatewayId"),
        ("ec2 describe-network-interfaces", "NetworkInterfaces[].NetworkInterfaceId"),
        ("ec2 describe-volumes", "Volumes[].VolumeId"),
        ("ec2 describe-snapshots --owner-ids self", "Snapshots[].SnapshotId"),
        ("ec2 describe-launch-templates", "LaunchTemplates[].LaunchTemplateId"),
        ("ec2 describe-vpn-connections", "VpnConnections[?State!='deleted'].VpnConnectionId"),
        ("ec2 describe-vpn-gateways", "VpnGateways[?State!='deleted'].VpnGatewayId"),
        ("ec2 describe-customer-gateways", "CustomerGateways[?State!='deleted'].CustomerGatewayId"),
        ("ec2 describe-transit-gateways", "TransitGateways[?State!='deleted'].TransitGatewayId"),
        ("ec2 describe-vpc-endpoint-service-configurations", "ServiceConfigurations[].ServiceId"),
        ("ec2 describe-placement-groups", "PlacementGroups[].GroupName"),
        ("ec2 describe-key-pairs", "KeyPairs[].KeyName"),
        ("ec2 describe-flow-logs", "FlowLogs[].FlowLogId"),
        ("ec2 describe-network-insights-paths", "NetworkInsightsPaths[].NetworkInsightsPathId"),
        (
            "ec2 describe-network-insights-analyses",
            "NetworkInsightsAnalyses[].NetworkInsightsAnalysisId",
        ),
        ("ec2 describe-vpc-endpoints", "VpcEndpoints[?State!='deleted'].VpcEndpointId"),
        ("ec2 describe-managed-prefix-lists", "PrefixLists[?OwnerId!='AWS'].PrefixListId"),
        (
            "ec2 describe-instances",
            "Reservations[].Instances[?State.Name!='terminated'][].InstanceId",
        ),
        ("iam list-roles", "Roles[].RoleName"),
        ("iam list-users", "Users[].UserName"),
        ("iam list-groups", "Groups[].GroupName"),
        ("iam list-instance-profiles", "InstanceProfiles[].InstanceProfileName"),
        ("iam list-policies --scope Local", "Policies[].PolicyName"),
        ("logs describe-log-groups", "logGroups[].logGroupName"),
        ("s3api list-buckets", "Buckets[].Name"),
    ] {
        let mut all: Vec<_> = words.split(' ').collect();
        all.extend(["--region", region, "--query", query]);
        let found = cloud.aws_args(all).json();
        for id in found.as_array().into_iter().flatten() {
            left.push(format!("{words}: {id}"));
        }
    }
    left
}

/// Applies a shape on a cloud of its own, plans it again, destroys it.
fn comes_and_goes(name: &str, regions: &[&str]) {
    let Some(plugins) = terraform_plugins_or_skip() else { return };
    let cloud = Cloud::records();
    let configuration = Configuration::of(&cloud, &plugins, &shapes(), name);
    configuration.apply(&[]);
    configuration.is_unchanged(&[]);
    configuration.destroy(&[]);
    for region in regions {
        assert_eq!(leftovers(&cloud, region), [""; 0], "{region}");
    }
}

#[test]
fn terraform_three_tiers_with_a_nat_gateway_a_zone() {
    comes_and_goes("three-tier", &["eu-west-1"]);
}

#[test]
fn terraform_dual_stack() {
    comes_and_goes("dual-stack", &["ap-northeast-2"]);
}

#[test]
fn terraform_private_subnets_with_endpoints() {
    comes_and_goes("private-only", &["ap-northeast-2"]);
}

#[test]
fn terraform_an_acl_per_tier() {
    comes_and_goes("acl-per-tier", &["us-west-2"]);
}

#[test]
fn terraform_roles_and_their_policies() {
    comes_and_goes("roles", &["ap-northeast-2"]);
}

#[test]
fn terraform_flow_logs() {
    comes_and_goes("flow-logs", &["ap-northeast-2"]);
}

#[test]
fn terraform_secondary_blocks() {
    comes_and_goes("secondary-cidr", &["ap-northeast-2"]);
}

#[test]
fn terraform_peering() {
    comes_and_goes("peering", &["ap-northeast-2"]);
}

#[test]
fn terraform_records_beside_the_network() {
    comes_and_goes("records", &["ap-northeast-2"]);
}

/// Reachability Analyzer through AWS's provider: `terraform test` asserts what the network lets
/// through, right and with one thing missing at a time (RA-2).
#[test]
fn terraform_test_asserts_reachability() {
    let Some(plugins) = terraform_plugins_or_skip() else { return };
    let cloud = Cloud::records();
    let configuration = Configuration::of(&cloud, &plugins, &shapes(), "reachability");
    let tested = configuration.run(&["test", "-no-color"]);
    assert_eq!(tested.status, 0, "{tested}");
    assert_eq!(leftovers(&cloud, "ap-northeast-2"), [""; 0]);
}

/// Two aliases of the provider, the same addresses in both regions, one daemon.
#[test]
fn terraform_two_regions() {
    comes_and_goes("two-regions", &["ap-northeast-2", "us-east-1"]);
}

/// Takes away what is said in words: gateways choose ports, and each machine has its own.
fn without_texts(report: &mut Value) {
    match report {
        Value::Object(object) => {
            object.remove("text");
            object.values_mut().for_each(without_texts);
        }
        Value::Array(list) => list.iter_mut().for_each(without_texts),
        _ => {}
    }
}

/// Applies a configuration, and makes the network of what describe calls answer in another cloud:
/// the same document comes out of that, and the same verdicts.
fn has_a_twin(root: &Path, name: &str, region: &str, variables: &[&str]) {
    let Some(plugins) = terraform_plugins_or_skip() else { return };
    let cloud = Cloud::records();
    let configuration = Configuration::of(&cloud, &plugins, root, name);
    configuration.apply(variables);
    let twin = Cloud::records();
    let file = twin.data_dir().join("network.json");
    let path = file.to_string_lossy();
    let words = ["--account", "123456789012", "--region", region];
    cloud.gureum("export", with(&words, &["-o", &path])).ok();
    let said = twin.gureum("import", [path.as_ref()]).ok();
    assert!(!said.contains("NOT AS IN THE ORIGINAL"), "{said}");
    assert!(!said.contains("show otherwise"), "{said}");
    let exported: Value = cloud.gureum("export", words).json();
    let again = twin.gureum("export", words).json();
    for (key, value) in exported.as_object().expect("an object") {
        assert_eq!(again[key], *value, "{key}");
    }
    let interfaces = exported["NetworkInterfaces"].as_array().expect("interfaces");
    let ids: Vec<_> =
        interfaces.iter().filter_map(|it| it["NetworkInterfaceId"].as_str()).collect();
    let ends = || ids.iter().copied().take(6).chain(["internet"]);
    let mut ways = 0;
    for from in ends() {
        for to in ends().filter(|to| *to != from) {
            let ask = |cloud: &Cloud| {
                let done = cloud.gureum("why", [from, to, "--port", "443", "--json"]);
                let mut said: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
                said["query"] = Value::Null;
                without_texts(&mut said);
                (done.status, said)
            };
            let (ours, theirs) = (ask(&cloud), ask(&twin));
            assert_eq!(ours, theirs, "{from} to {to}");
            ways += usize::from(ours.0 == 0);
        }
    }
    let has_hosts = exported["Reservations"].as_array().is_some_and(|it| !it.is_empty());
    assert!(!has_hosts || ways > 0, "nothing reaches anything: that shows little");
}

/// A network by what it is called in it, without ids: routes and entries of each subnet, rules of each
/// group, addresses of each instance.
fn canonical(document: &Value) -> Vec<String> {
    let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let vpcs: Vec<_> = list("Vpcs")
        .iter()
        .filter(|it| it["IsDefault"] != true)
        .map(|it| text(&it["VpcId"]))
        .collect();
    let is_own = |it: &Value| vpcs.contains(&text(&it["VpcId"]));
    let group = |id: &Value| {
        let all = list("SecurityGroups");
        let found = all.iter().find(|it| it["GroupId"] == *id);
        // A prefix is all that is planned of some names.
        let name = found.map_or_else(String::new, |it| text(&it["GroupName"]));
        if name.starts_with("web-") { "web-".to_owned() } else { name }
    };
    let cidr = |id: &Value| {
        let all = list("Subnets");
        all.iter()
            .find(|it| it["SubnetId"] == *id)
            .map_or_else(String::new, |it| text(&it["CidrBlock"]))
    };
    let mut lines = Vec::new();
    for table in list("RouteTables").iter().filter(|it| is_own(it)) {
        for tie in table["Associations"].as_array().into_iter().flatten() {
            for route in table["Routes"].as_array().into_iter().flatten() {
                let members = ["GatewayId", "NatGatewayId", "VpcPeeringConnectionId"];
                let target = members.iter().map(|it| text(&route[*it])).collect::<String>();
                let target = target.split('-').next().unwrap_or_default().to_owned();
                if target == "local" {
                    continue;
                }
                let to = format!(
                    "{}{}",
                    text(&route["DestinationCidrBlock"]),
                    text(&route["DestinationIpv6CidrBlock"])
                );
                lines.push(format!("route of {}: {to} to {target}", cidr(&tie["SubnetId"])));
            }
        }
    }
    for acl in list("NetworkAcls").iter().filter(|it| is_own(it)) {
        for tie in acl["Associations"].as_array().into_iter().flatten() {
            for entry in acl["Entries"].as_array().into_iter().flatten() {
                if entry["RuleNumber"].as_i64().unwrap_or_default() < 32767 {
                    let mut entry = entry.clone();
                    entry.as_object_mut().expect("an entry").retain(|_, value| !value.is_null());
                    lines.push(format!("entry of {}: {entry}", cidr(&tie["SubnetId"])));
                }
            }
        }
    }
    let own: Vec<_> = list("SecurityGroups")
        .iter()
        .filter(|it| is_own(it))
        .map(|it| it["GroupId"].clone())
        .collect();
    for rule in list("SecurityGroupRules").iter().filter(|it| own.contains(&it["GroupId"])) {
        let port = |member: &str| rule[member].as_i64().unwrap_or(-1);
        let peer = format!(
            "{}{}{}{}",
            text(&rule["CidrIpv4"]),
            text(&rule["CidrIpv6"]),
            if rule["PrefixListId"].is_string() { "a list" } else { "" },
            group(&rule["ReferencedGroupInfo"]["GroupId"]),
        );
        lines.push(format!(
            "rule of {}: egress {} {} {}-{} {peer}",
            group(&rule["GroupId"]),
            rule["IsEgress"],
            text(&rule["IpProtocol"]),
            port("FromPort"),
            port("ToPort"),
        ));
    }
    for interface in list("NetworkInterfaces").iter().filter(|it| is_own(it)) {
        let groups = interface["Groups"].as_array().into_iter().flatten();
        let mut groups: Vec<_> = groups.map(|it| group(&it["GroupId"])).collect();
        groups.sort();
        let public = interface["Association"]["PublicIp"].is_string();
        let kind = text(&interface["InterfaceType"]);
        // An address that is associated is shown with its allocation only by what is described.
        let elastic = list("Addresses")
            .iter()
            .any(|it| it["NetworkInterfaceId"] == interface["NetworkInterfaceId"]);
        lines.push(format!(
            "{kind} in {}: {groups:?} public {}",
            cidr(&interface["SubnetId"]),
            public || elastic
        ));
    }
    lines.sort();
    lines
}

/// Makes what is planned in another cloud, then applies it: both are the same network, and say the same
/// of packets between instances.
fn is_as_planned(
    root: &Path,
    name: &str,
    region: &str,
    variables: &[&str],
    (names, said): (&[&str], &str),
) {
    let Some(plugins) = terraform_plugins_or_skip() else { return };
    let cloud = Cloud::records();
    let configuration = Configuration::of(&cloud, &plugins, root, name);
    configuration.run(&with(&["plan", "-input=false", "-no-color", "-out=p"], variables)).ok();
    let shown = configuration.run(&["show", "-json", "p"]).ok();
    let file = configuration.folder.join("plan.json");
    fs::write(&file, shown).expect("written");
    let planned = Cloud::records();
    let config = configuration.folder.to_string_lossy();
    let words = ["--plan", "--config", &config];
    planned.gureum("import", with(&words, &[&file.to_string_lossy()])).ok();
    configuration.apply(variables);
    let words = ["--account", "123456789012", "--region", region];
    let (ours, theirs) =
        (cloud.gureum("export", words).json(), planned.gureum("export", words).json());
    let (ours, theirs) = (canonical(&ours), canonical(&theirs));
    assert!(ours.len() > 10, "{ours:?}");
    assert_eq!(ours, theirs);
    let mut ways = 0;
    for from in names {
        for to in names.iter().filter(|to| *to != from) {
            for port in ["80", "5432", "8080"] {
                let ask = |cloud: &Cloud| cloud.gureum("why", [*from, *to, "--port", port]).status;
                let (ours, theirs) = (ask(&cloud), ask(&planned));
                assert_eq!(ours, theirs, "{from} to {to}:{port}");
                assert_ne!(ours, 2, "{from} to {to}:{port}: no answer");
                ways += usize::from(ours == 0);
            }
        }
    }
    assert!(names.is_empty() || ways > 0, "nothing reaches anything: that shows little");
    if names.is_empty() {
        return;
    }
    // What holds after `apply` was known before, and so was what does not.
    let expected = configuration.folder.join("expectations.yaml");
    fs::write(&expected, said).expect("written");
    assert_eq!(is_said_before(&configuration, &expected, &file), [0; 2]);
    fs::write(&expected, said.replace("expect: allow", "expect: deny")).expect("written");
    assert_eq!(is_said_before(&configuration, &expected, &file), [1; 2]);
    // Elsewhere the plan is alone, and does not say which of its subnets is meant.
    let (expected, plan) = (expected.to_string_lossy(), file.to_string_lossy());
    let done = cloud.gureum("check", [&*expected, "--plan", &plan]);
    assert_eq!(done.status, 2, "{done}");
    assert!(done.stderr.contains(".subnet_id: "), "{done}");
    assert!(done.stderr.contains("--config DIR"), "{done}");
}

/// Holds what is applied to a file, and what was planned, in the folder of the configuration: both say the
/// same of each expectation. Gives the exit statuses.
fn is_said_before(configuration: &Configuration<'_>, expected: &Path, plan: &Path) -> [i32; 2] {
    let (expected, plan) = (expected.to_string_lossy(), plan.to_string_lossy());
    let words = [&*expected, "--output", "json", "--verbose"];
    let applied = configuration.cloud.gureum("check", words);
    let mut command = configuration.cloud.command("check");
    let command = command.current_dir(&configuration.folder);
    let planned = Done::run(command.args(words).args(["--plan", &plan]));
    // Ids are made up, and decisions against what is expected come first.
    let said = |done: &Done| -> Vec<(Value, Vec<String>)> {
        let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done}"));
        let all = report["expectations"].as_array().expect("expectations").iter();
        all.map(|it| {
            let decisions = it["decisions"].as_array().into_iter().flatten();
            let mut decisions: Vec<_> = decisions
                .map(|it| {
                    ["from_name", "to_name", "protocol", "ports", "reachable"]
                        .map(|member| it[member].to_string())
                        .join(" ")
                })
                .collect();
            decisions.sort();
            (it["outcome"].clone(), decisions)
        })
        .collect()
    };
    let (ours, theirs) = (said(&applied), said(&planned));
    assert!(!ours.is_empty() && ours.iter().all(|it| !it.1.is_empty()), "{applied}");
    assert_eq!(ours, theirs, "{planned}");
    [applied.status, planned.status]
}

#[test]
fn terraform_three_tiers_are_as_planned() {
    is_as_planned(
        &shapes(),
        "three-tier",
        "eu-west-1",
        &[],
        (
            &["web-0", "web-1", "app", "internet"],
            "- {from: internet, to: [web-0, web-1], port: [80, 443], expect: allow}\n\
             - {from: internet, to: [web-0, web-1], port: 22, expect: deny}\n",
        ),
    );
}

#[test]
fn terraform_acls_are_as_planned() {
    is_as_planned(&shapes(), "acl-per-tier", "us-west-2", &[], (&[], ""));
}

/// The lab's plan, with what it has in locals, data sources and roles: what the finished lab's expectations
/// say after `apply` is known before.
#[test]
fn terraform_the_lab_is_as_planned() {
    let (_folder, public) = lab_key();
    let variables = [&*public, "-var=network_acl=true", "-var=network_acl_source=0.0.0.0/0"];
    let names = ["PUBLIC-01", "PUBLIC-02", "PRIVATE-01", "PRIVATE-02", "BASTION"];
    let said = fs::read_to_string(lab().join("expectations.yaml")).expect("the lab's expectations");
    is_as_planned(&lab(), "terraform", "ap-northeast-2", &variables, (&names, &said));
}

/// What is read during apply is told and never guessed.
#[test]
fn terraform_plans_with_something_unknown_are_refused() {
    let Some(plugins) = terraform_plugins_or_skip() else { return };
    let cloud = Cloud::records();
    let configuration = Configuration::of(&cloud, &plugins, &shapes(), "private-only");
    configuration.run(&["plan", "-input=false", "-no-color", "-out=p"]).ok();
    let file = configuration.folder.join("plan.json");
    fs::write(&file, configuration.run(&["show", "-json", "p"]).ok()).expect("written");
    let (path, config) = (file.to_string_lossy(), configuration.folder.to_string_lossy());
    let expected = configuration.folder.join("expectations.yaml");
    let deny = "- {from: internet, to: 10.0.0.0, port: 443, expect: deny}\n";
    fs::write(&expected, deny).expect("written");
    let expected = expected.to_string_lossy();
    for (subcommand, words) in
        [("import", vec!["--plan", &*path]), ("check", vec![&*expected, "--plan", &*path])]
    {
        let done = cloud.gureum(subcommand, &words);
        assert_eq!(done.status, 2, "{done}");
        assert!(done.stderr.contains("data.aws_prefix_list.s3.id is read during apply"), "{done}");
        assert!(done.stderr.contains("which of 2 it is"), "{done}");
        let done = cloud.gureum(subcommand, with(&words, &["--config", &config]));
        assert_eq!(done.status, 2, "{done}");
        assert!(done.stderr.contains("data.aws_prefix_list.s3.id is read during apply"), "{done}");
        assert!(!done.stderr.contains("which of 2 it is"), "{done}");
    }
    let words = ["--plan", "--without-unknown", "--config", &config, &path];
    let done = cloud.gureum("import", words).ok();
    assert!(done.starts_with("NOT AS IN THE ORIGINAL"), "{done}");
    assert!(done.contains("VpcEndpoints 5"), "{done}");
    // Another folder's files are not the plan's.
    let other = shapes().join("three-tier");
    let done = cloud.gureum("import", ["--plan", "--config", &other.to_string_lossy(), &path]);
    assert_eq!(done.status, 2, "{done}");
    assert!(done.stderr.contains("declare other resources than the plan has"), "{done}");
}

#[test]
fn terraform_three_tiers_have_a_twin() {
    has_a_twin(&shapes(), "three-tier", "eu-west-1", &[]);
}

#[test]
fn terraform_private_subnets_have_a_twin() {
    has_a_twin(&shapes(), "private-only", "ap-northeast-2", &[]);
}

#[test]
fn terraform_acls_have_a_twin() {
    has_a_twin(&shapes(), "acl-per-tier", "us-west-2", &[]);
}

#[test]
fn terraform_the_lab_has_a_twin() {
    let (_folder, public) = lab_key();
    let variables = [&*public, "-var=network_acl=true"];
    has_a_twin(&lab(), "terraform", "ap-northeast-2", &variables);
}

/// The lab as Terraform, with hosts: built in two steps, the packet checks of the lab run on it,
/// torn down without a rest.
#[test]
fn hosts_terraform_builds_the_lab() {
    let Some(plugins) = terraform_plugins_or_skip() else { return };
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    let keys = cloud.data_dir().join("keys");
    fs::create_dir_all(&keys).expect("a folder for keys");
    let key = keys.join("IMD-LAB-OPENSSH.pem");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f"])
        .arg(&key)
        .status()
        .expect("ssh-keygen");
    assert!(made.success(), "ssh-keygen: {made}");
    let public = format!("-var=public_key_file={}.pub", key.display());
    let lab = lab();
    let configuration = Configuration::of(&cloud, &plugins, &lab, "terraform");
    // Tasks 1 and 2: the private subnets have no way out yet.
    let before = [public.as_str(), "-var=nat_gateway=false"];
    configuration.apply(&before);
    configuration.is_unchanged(&before);
    lab_task(&cloud, &lab, "packets");
    // Tasks 3 to 5 and 7.
    let all = [public.as_str()];
    configuration.apply(&all);
    configuration.is_unchanged(&all);
    lab_task(&cloud, &lab, "tracking");
    // Task 6, from one ACL to another.
    let closed = [public.as_str(), "-var=network_acl=true"];
    configuration.apply(&closed);
    configuration.is_unchanged(&closed);
    configuration.apply(&with(&closed, &["-var=network_acl_source=0.0.0.0/0"]));
    configuration.destroy(&all);
    assert_eq!(leftovers(&cloud, "ap-northeast-2"), [""; 0]);
}

/// Does one task of the lab on what is there.
fn lab_task(cloud: &Cloud, lab: &Path, task: &str) {
    let folder = lab.to_string_lossy();
    cloud.gureum("lab", ["run", &folder, "--only", task]).ok();
}
