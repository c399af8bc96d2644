//! Instances with a role for Session Manager, and sessions on them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Cloud, Host, Stage, plugin::Plugin, ssm, wait};

/// How long an agent may take to connect. Tests run beside others.
const PATIENCE: Duration = Duration::from_secs(120);
/// The name of the role and of the instance profile that has it.
pub const PROFILE: &str = "managed";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// Makes the role with the rights of an agent, and an instance profile that has it.
///
/// # Panics
/// Where a call is refused.
pub fn make_role(cloud: &Cloud) {
    let trusting = ["--assume-role-policy-document", TRUST];
    let make = ["iam", "create-role", "--role-name", PROFILE];
    cloud.aws_args(make.into_iter().chain(trusting)).ok();
    let policy = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
    for words in [
        format!("iam attach-role-policy --role-name {PROFILE} --policy-arn {policy}"),
        format!("iam create-instance-profile --instance-profile-name {PROFILE}"),
        format!(
            "iam add-role-to-instance-profile --instance-profile-name {PROFILE} --role-name {PROFILE}"
        ),
    ] {
        cloud.aws(&words).ok();
    }
}

/// Launches an instance with the role and waits until its agent is connected.
///
/// # Panics
/// Where it does not connect.
pub fn launch(stage: &mut Stage<'_>, name: &str) -> Host {
    let profile = [("IamInstanceProfile.Name", PROFILE)];
    let id = stage.run_instances_with(name, &profile).text("instanceId");
    stage.wait_ready(&id);
    let port = stage.cloud.port();
    wait("the agent is connected", PATIENCE, || {
        let status = ssm(port, "GetConnectionStatus", &json!({"Target": id}));
        status.expect("a status")["Status"] == "connected"
    });
    stage.host(&id)
}

/// Begins a session and opens its data channel; its id, and the client.
///
/// # Panics
/// Where it is refused.
pub async fn session(cloud: &Cloud, parameters: &Value) -> (String, Plugin) {
    let started = ssm(cloud.port(), "StartSession", parameters).expect("a session");
    let text = |key: &str| started[key].as_str().expect("text").to_owned();
    let plugin = Plugin::open(&text("StreamUrl"), &text("TokenValue")).await;
    (text("SessionId"), plugin)
}

/// Has an instance send zeros to whoever connects to a port of its, as long as they listen. One who
/// went away without a word keeps nobody else waiting.
///
/// # Panics
/// Where that does not start.
pub fn pour(cloud: &Cloud, id: &str, port: u16) {
    let serve = format!(
        "systemd-run --quiet --collect --unit=pour-{port} python3 -c 'import socket, threading\n\
         def send(c):\n  try:\n    while True: c.sendall(bytes(1 << 20))\n  \
         except OSError: c.close()\n\
         s = socket.create_server((\"0.0.0.0\", {port}))\n\
         while True: threading.Thread(target=send, args=s.accept()[:1], daemon=True).start()'"
    );
    cloud.exec(id, &serve).ok();
    let listens = format!("ss -Hltn '( sport = :{port} )' | grep -q .");
    wait("the port is open", PATIENCE, || cloud.exec(id, &listens).status == 0);
}
