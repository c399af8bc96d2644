//! What sessions show, in CloudWatch Logs and S3: by the preferences of the account, over the instance's own
//! network, by its role's rights.

use std::time::Duration;

use gureum_e2e::{
    Cloud, Stage,
    managed::{PROFILE, launch, make_role, session},
    root_or_skip, ssm, wait,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const GROUP: &str = "/sessions";
const BUCKET: &str = "sessions-of-the-lab";
const DOCUMENT: &str = "SSM-SessionManagerRunShell";

fn prefer(cloud: &Cloud, action: &str, inputs: &Value) {
    let content = json!({
        "schemaVersion": "1.0", "description": "preferences", "sessionType": "Standard_Stream",
        "inputs": inputs,
    });
    let mut asked = json!({"Name": DOCUMENT, "Content": content.to_string()});
    if action == "CreateDocument" {
        asked["DocumentType"] = "Session".into();
    }
    ssm(cloud.port(), action, &asked).expect("taken");
}

/// What a session's stream has, an event a line; nothing where there is no stream.
fn written(cloud: &Cloud, session: &str) -> Vec<String> {
    let words = ["logs", "get-log-events", "--log-group-name", GROUP, "--log-stream-name", session];
    let done = cloud.aws_args(words.into_iter().chain(["--start-from-head"]));
    if done.status != 0 {
        assert!(done.stderr.contains("ResourceNotFoundException"), "{done}");
        return Vec::new();
    }
    let events = done.json()["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|it| it["message"].as_str().unwrap_or_default().to_owned()).collect()
}

// SSM-11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_sessions_are_written_to_a_log_group() {
    if !root_or_skip() {
        return;
    }
    let cloud = Cloud::hosts();
    make_role(&cloud);
    let mut stage = Stage::open(&cloud);
    let host = launch(&mut stage, "logged");
    cloud.aws(&format!("logs create-log-group --log-group-name {GROUP}")).ok();
    let target = json!({"Target": host.id});
    let as_it_comes = json!({
        "cloudWatchLogGroupName": GROUP, "cloudWatchEncryptionEnabled": false,
        "cloudWatchStreamingEnabled": true, "shellProfile": {"linux": "cd /var"},
    });
    prefer(&cloud, "CreateDocument", &as_it_comes);

    // The role has no right to write logs: the session goes on, and nothing is written.
    let (unwritten, mut plugin) = session(&cloud, &target).await;
    plugin.type_in("pwd; echo first\r").await;
    plugin.until_output("/var\r\nfirst\r\n").await;
    let said = "journalctl -u amazon-ssm-agent --no-pager | grep -c AccessDenied";
    wait("the agent is refused", PATIENCE, || cloud.exec(&host.id, said).status == 0);
    plugin.type_in("exit\r").await;
    plugin.until_closed().await;
    assert_eq!(written(&cloud, &unwritten), [""; 0]);

    let allow = "arn:aws:iam::aws:policy/CloudWatchLogsFullAccess";
    cloud.aws(&format!("iam attach-role-policy --role-name {PROFILE} --policy-arn {allow}")).ok();
    // As it comes: lines are there while the session is.
    let (streamed, mut plugin) = session(&cloud, &target).await;
    plugin.type_in("whoami; echo $((20+3))and\r").await;
    plugin.until_output("23and\r\n").await;
    wait("the lines are written", PATIENCE, || {
        written(&cloud, &streamed).iter().any(|event| event.contains("23and"))
    });
    plugin.type_in("exit\r").await;
    plugin.until_closed().await;
    let events = written(&cloud, &streamed);
    let event: Value = serde_json::from_str(&events[0]).expect("JSON");
    assert_eq!(event["eventVersion"], "1.0");
    assert_eq!(event["target"]["id"], host.id.as_str());
    assert_eq!((&event["runAsUser"], &event["sessionId"]), (&json!("ssm-user"), &json!(streamed)));
    let lines: Vec<String> = events
        .iter()
        .flat_map(|event| {
            let event: Value = serde_json::from_str(event).expect("JSON");
            event["sessionData"].as_array().cloned().unwrap_or_default()
        })
        .map(|line| line.as_str().unwrap_or_default().to_owned())
        .collect();
    // What is typed before the prompt is there has the prompt behind it.
    assert!(lines.iter().any(|line| line.ends_with("ssm-user")), "{lines:?}");

    // At the end, as it was.
    let at_the_end = json!({"cloudWatchLogGroupName": GROUP, "cloudWatchEncryptionEnabled": false});
    prefer(&cloud, "UpdateDocument", &at_the_end);
    let (whole, mut plugin) = session(&cloud, &target).await;
    plugin.type_in("seq 1 20000; exit\r").await;
    plugin.until_closed().await;
    let text = written(&cloud, &whole).join("\n");
    let wanted: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    assert!(text.contains(wanted.trim_end()), "{} bytes", text.len());

    // One that has to be encrypted and is not ends the session.
    let encrypted = json!({"cloudWatchLogGroupName": GROUP, "cloudWatchEncryptionEnabled": true});
    prefer(&cloud, "UpdateDocument", &encrypted);
    let (_, mut plugin) = session(&cloud, &target).await;
    let why = plugin.until_closed().await;
    assert!(why.contains("encryption is not set up"), "{why}");

    // Into a bucket, which the role has to be let into.
    cloud.aws(&format!("s3 mb s3://{BUCKET}")).ok();
    let bucket =
        json!({"s3BucketName": BUCKET, "s3KeyPrefix": "of/us", "s3EncryptionEnabled": true});
    prefer(&cloud, "UpdateDocument", &bucket);
    let (_, mut plugin) = session(&cloud, &target).await;
    let why = plugin.until_closed().await;
    assert!(why.contains("unable to validate encryption on Amazon S3 bucket"), "{why}");
    let unchecked = json!({"s3BucketName": BUCKET, "s3EncryptionEnabled": false});
    prefer(&cloud, "UpdateDocument", &unchecked);
    let (lost, mut plugin) = session(&cloud, &target).await;
    plugin.type_in("echo $((40+2))nd; exit\r").await;
    plugin.until_closed().await;
    let allow = "arn:aws:iam::aws:policy/AmazonS3FullAccess";
    cloud.aws(&format!("iam attach-role-policy --role-name {PROFILE} --policy-arn {allow}")).ok();
    prefer(&cloud, "UpdateDocument", &bucket);
    let (kept, mut plugin) = session(&cloud, &target).await;
    plugin.type_in("whoami; seq 1 20000; echo $((40+2))nd; exit\r").await;
    plugin.until_closed().await;
    let object = cloud.aws(&format!("s3 cp s3://{BUCKET}/of/us/{kept}.log -")).ok();
    assert!(object.contains("ssm-user\n1\n2\n"), "{} bytes", object.len());
    assert!(object.ends_with("\n20000\n42nd"), "{:?}", object.get(object.len() - 80..));
    assert!(!object.contains('\r'), "its lines end as a file's");
    let all = cloud.aws(&format!("s3 ls --recursive s3://{BUCKET}")).ok();
    assert!(!all.contains(&lost) && all.lines().count() == 1, "{all}");
}
