//! The workstation in the simulated internet, `gureum workstation`: what a lab does at its Cloud9.

use std::process::Command;

use gureum_e2e::{
    Cloud, Done, Stage,
    managed::{launch, make_role},
    root_or_skip,
};

/// A command line at the workstation, with variables of the person's that must not matter.
fn at(cloud: &Cloud, shell: &str) -> Done {
    let mut command = cloud.command("workstation");
    command.args(["--", "bash", "-c", shell]);
    command.env("AWS_PROFILE", "of-the-person").env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("SSH_AUTH_SOCK", "/nowhere");
    Done::run(&mut command)
}

// The lab's step 23, at its Cloud9 terminal.
#[test]
fn hosts_the_labs_commands_work_at_the_workstation() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    make_role(&cloud);
    let mut stage = Stage::open(&cloud);
    let host = launch(&mut stage, "PRIVATE-01");

    // A host of its own, with a home that stays.
    let name = at(&cloud, "hostname; echo $HOME; pwd; getent passwd $(id -u) | cut -d: -f6").ok();
    let home = cloud.data_dir().join("workstation");
    let home = home.to_string_lossy();
    assert_eq!(name, format!("workstation\n{home}\n{home}\n{home}\n"));
    at(&cloud, "echo kept > note; test -f .bashrc").ok();
    assert_eq!(at(&cloud, "cat ~/note").ok(), "kept\n");
    assert_eq!(at(&cloud, "exit 7").status, 7);
    let missing = cloud.gureum("workstation", ["--", "no-such-program"]);
    assert_eq!(missing.status, 127, "{missing}");

    // AWS's names are this cloud's, and `aws` needs no flags.
    let ids = at(
        &cloud,
        "aws ec2 describe-instances --query 'Reservations[].Instances[].InstanceId' --output text",
    );
    assert_eq!(ids.ok().trim(), host.id);
    let where_to = at(
        &cloud,
        "aws ec2 describe-instances --debug 2>&1 | grep -o 'https://ec2[^/:\" ]*' | sort -u",
    );
    assert_eq!(where_to.ok(), "https://ec2.ap-northeast-2.amazonaws.com\n");
    for words in [
        "aws sts get-caller-identity --query Account --output text",
        "aws iam get-role --role-name managed --query Role.RoleName --output text",
        "aws s3 mb s3://a-bucket-of-the-lab && aws s3 ls",
    ] {
        at(&cloud, words).ok();
    }
    assert_eq!(at(&cloud, "curl -sS https://checkip.amazonaws.com").ok().trim(), stage.client);

    // Step 23.
    at(&cloud, "git clone -q https://github.com/whchoi98/useful-shell.git").ok();
    let listed = at(&cloud, "sh useful-shell/aws_ec2_ext.sh").ok();
    assert!(listed.contains(&host.id) && listed.contains("PRIVATE-01"), "{listed}");
    let online = "aws ssm describe-instance-information --query \
                  'InstanceInformationList[].[InstanceId,PingStatus]' --output text";
    assert_eq!(at(&cloud, online).ok(), format!("{}\tOnline\n", host.id));

    // OpenSSH with an agent of its own, which knows the home and no other.
    let key = std::fs::read(&stage.key).expect("the key");
    let path = cloud.data_dir().join("workstation/IMD-LAB.pem");
    std::fs::write(&path, key).expect("written");
    at(&cloud, "chmod 600 IMD-LAB.pem; ssh-add -l; test $? = 1").ok();
    let dns = cloud.instance(&host.id, "PublicDnsName");
    let ssh = format!(
        "ssh-add -q IMD-LAB.pem && ssh -A -o StrictHostKeyChecking=accept-new ec2-user@{dns} ssh-add -l"
    );
    let offered = at(&cloud, &ssh).ok();
    assert!(offered.contains("IMD-LAB.pem") || offered.contains("RSA"), "{offered}");
    at(&cloud, &format!("grep -q . .ssh/known_hosts && ssh-keygen -F {dns}")).ok();
}

/// It ends with its standard input.
#[test]
#[ignore = "needs AWS's session-manager-plugin on the PATH"]
fn hosts_the_real_plugin_works_at_the_workstation() {
    if !root_or_skip() {
        return;
    }
    let plugin = Command::new("session-manager-plugin").arg("--version").output();
    plugin.expect("session-manager-plugin is on the PATH");
    let cloud = Cloud::hosts();
    make_role(&cloud);
    let host = launch(&mut Stage::open(&cloud), "PRIVATE-01");
    let typed = format!(
        "mkfifo open && aws ssm start-session --target {} --document-name \
         AWS-StartNonInteractiveCommand --parameters 'command=\"id -un\"' 0<>open",
        host.id
    );
    let said = at(&cloud, &typed).ok();
    assert!(said.contains("\nssm-user"), "{said}");
}
