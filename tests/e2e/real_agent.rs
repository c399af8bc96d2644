//! AWS's own agent in an instance, in place of ours. It comes with nobody, so the test is run only where
//! it is asked for (`--run-ignored`): `GUREUM_REAL_AGENT` names the folder with its five programs, as
//! docs/howto/real-clients.md says how to build them.

use std::{
    env,
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use gureum_e2e::{
    Cloud, Stage,
    managed::{launch, make_role, session},
    root_or_skip, ssm, wait,
};
use serde_json::{Value, json};

const FOLDER: &str = "GUREUM_REAL_AGENT";
const PATIENCE: Duration = Duration::from_secs(90);

/// Puts the programs into an instance and starts them.
fn install(cloud: &Cloud, id: &str, folder: &str) {
    let archive = tempfile::NamedTempFile::new().expect("a file");
    let mut pack = Command::new("tar");
    pack.args(["-C", folder, "-cf"]).arg(archive.path()).arg(".");
    assert!(pack.status().expect("tar runs").success());
    let put = "systemctl stop amazon-ssm-agent && rm /usr/bin/amazon-ssm-agent && \
               tar -C /usr/bin -x --no-same-owner && systemctl start amazon-ssm-agent";
    let mut command = cloud.command("exec");
    command.args([id, "--", "sh", "-c", put]);
    command.stdin(Stdio::from(File::open(archive.path()).expect("opened")));
    assert!(command.status().expect("it runs").success());
}

/// Runs a command that fails with 3 and waits for what the agent says of it.
fn run_command(port: u16, id: &str) -> Value {
    let asked = json!({
        "InstanceIds": [id], "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["id -un", "echo oops >&2", "exit 3"]},
    });
    let sent = ssm(port, "SendCommand", &asked).expect("sent");
    let which = json!({"CommandId": sent["Command"]["CommandId"], "InstanceId": id});
    let mut last = Value::Null;
    wait("the command has ended", PATIENCE, || {
        last = ssm(port, "GetCommandInvocation", &which).expect("shown");
        last["Status"] == "Failed"
    });
    last
}

// SSM-2, SSM-9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AWS's agent: GUREUM_REAL_AGENT=FOLDER"]
async fn hosts_awss_own_agent_works_in_place_of_ours() {
    if !root_or_skip() {
        return;
    }
    let folder = env::var(FOLDER).unwrap_or_default();
    let agent = Path::new(&folder).join("amazon-ssm-agent");
    assert!(agent.is_file(), "{FOLDER} must name the folder with AWS's agent; it is {folder:?}");
    let cloud = Cloud::hosts();
    make_role(&cloud);
    let mut stage = Stage::open(&cloud);
    let (id, port) = (launch(&mut stage, "real").id, cloud.port());
    let status = || {
        let status = ssm(port, "GetConnectionStatus", &json!({"Target": id}));
        status.expect("a status")["Status"].clone()
    };
    install(&cloud, &id, &folder);
    let is_aws = "readlink /proc/$(systemctl show -P MainPID amazon-ssm-agent)/exe; \
                  pgrep -f ssm-agent-worker";
    wait("its worker runs", PATIENCE, || cloud.exec(&id, is_aws).status == 0);
    wait("it is connected", PATIENCE, || status() == "connected");

    let (_, mut client) = session(&cloud, &json!({"Target": id})).await;
    client.resize(80, 24).await;
    client.until_output("$ ").await;
    client.type_in("whoami; stty size\r").await;
    client.until_output("ssm-user\r\n24 80\r\n").await;
    client.type_in("exit\r").await;
    client.until_closed().await;
    let ended = run_command(port, &id);
    assert_eq!(
        (&ended["ResponseCode"], &ended["StandardOutputContent"]),
        (&json!(3), &json!("root\n"))
    );

    // Without a control channel it asks ec2messages.
    let hide = "echo 127.0.0.1 ssmmessages.ap-northeast-2.amazonaws.com >> /etc/hosts && \
                systemctl restart amazon-ssm-agent";
    cloud.exec(&id, hide).ok();
    wait("its control channel is gone", PATIENCE, || status() == "notconnected");
    let ended = run_command(port, &id);
    assert_eq!(
        (&ended["ResponseCode"], &ended["StandardOutputContent"]),
        (&json!(3), &json!("root\n"))
    );
}
