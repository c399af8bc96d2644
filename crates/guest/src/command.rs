//! Run Command: a script, what it wrote, and how it ended.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use gureum_session::message::{CommandReply, PluginStatus, SendCommand};
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::Notify,
    time::timeout,
};

use crate::{
    shell::{exit_code, group, signal_group},
    user::program,
};

/// Where scripts are.
const FOLDER: &str = "/var/lib/amazon/ssm/gureum";
/// How much of what a script writes is told; AWS's agent tells as much.
const STANDARD_OUTPUT: usize = 24_000;
const STANDARD_ERROR: usize = 8_000;
const TRUNCATED: &str = "\n---Output truncated---";
/// How long a script may take where its document does not say.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a script has after it was asked to end.
const LAST_MOMENTS: Duration = Duration::from_secs(5);
const PLUGIN: &str = "aws:runShellScript";

/// A step that runs a script.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    name: String,
    script: String,
    folder: String,
    timeout: Duration,
}

impl Step {
    /// The step of a document, of schema 1.2 or 2.2.
    fn of(document: &Value) -> Option<Self> {
        let old = &document["runtimeConfig"][PLUGIN]["properties"];
        let properties = old.get(0).unwrap_or(old);
        let new = document["mainSteps"].as_array();
        let new = new.and_then(|steps| steps.iter().find(|step| step["action"] == PLUGIN));
        let (name, inputs) = match new {
            Some(step) => (step["name"].as_str().unwrap_or(PLUGIN), &step["inputs"]),
            None => (properties["id"].as_str().unwrap_or(PLUGIN), properties),
        };
        let script = match &inputs["runCommand"] {
            Value::Array(lines) => {
                lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
            }
            Value::String(line) => line.clone(),
            _ => return None,
        };
        let seconds = match &inputs["timeoutSeconds"] {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        Some(Self {
            name: name.to_owned(),
            script,
            folder: inputs["workingDirectory"].as_str().unwrap_or_default().to_owned(),
            timeout: seconds.map_or(TIMEOUT, Duration::from_secs),
        })
    }
}

/// Runs a command, or until it is cancelled; how it went.
pub(crate) async fn run(command: &SendCommand, cancelled: Arc<Notify>) -> CommandReply {
    let began = jiff::Timestamp::now().to_string();
    let failed = |why: String| CommandReply {
        document_status: "Failed".to_owned(),
        document_trace_output: why,
        ..CommandReply::default()
    };
    let Some(step) = Step::of(&command.document_content) else {
        return failed(format!("{} has no step of {PLUGIN}", command.document_name));
    };
    let ended = match execute(&command.command_id, &step, &cancelled).await {
        Ok(ended) => ended,
        Err(error) => {
            Ended { status: "Failed", code: 1, output: String::new(), errors: error.to_string() }
        }
    };
    let mut output = ended.output.clone();
    if !ended.errors.is_empty() {
        output.push_str("\n----------ERROR-------\n");
        output.push_str(&ended.errors);
    }
    let status = PluginStatus {
        status: ended.status.to_owned(),
        code: ended.code,
        name: PLUGIN.to_owned(),
        output,
        start_date_time: began,
        end_date_time: jiff::Timestamp::now().to_string(),
        standard_output: ended.output,
        standard_error: ended.errors,
    };
    CommandReply {
        document_status: ended.status.to_owned(),
        document_trace_output: String::new(),
        runtime_status: [(step.name, status)].into(),
    }
}

struct Ended {
    status: &'static str,
    code: i32,
    output: String,
    errors: String,
}

async fn execute(id: &str, step: &Step, cancelled: &Notify) -> io::Result<Ended> {
    let script = Script::write(id, &step.script)?;
    let argv = ["/bin/sh".to_owned(), script.0.join("script.sh").to_string_lossy().into_owned()];
    let mut command = program(None, false, &argv);
    match step.folder.as_str() {
        "" => command.current_dir(&script.0),
        folder => command.current_dir(folder),
    };
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let group = group(&child);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut status = "";
    let exited = {
        let ended = async {
            tokio::join!(
                keep(out, STANDARD_OUTPUT, &mut output),
                keep(err, STANDARD_ERROR, &mut errors),
            );
            child.wait().await
        };
        tokio::pin!(ended);
        tokio::select! {
            exited = &mut ended => Some(exited?),
            () = cancelled.notified() => {
                status = "Cancelled";
                None
            }
            () = tokio::time::sleep(step.timeout) => {
                status = "TimedOut";
                None
            }
        }
    };
    let code = match exited {
        Some(exited) => {
            status = if exited.success() { "Success" } else { "Failed" };
            exit_code(exited)
        }
        None => {
            signal_group(group, Signal::TERM);
            if timeout(LAST_MOMENTS, child.wait()).await.is_err() {
                signal_group(group, Signal::KILL);
            }
            137
        }
    };
    let (output, errors) = (told(output, STANDARD_OUTPUT), told(errors, STANDARD_ERROR));
    Ok(Ended { status, code, output, errors })
}

/// Reads all that is written and keeps a little more than is told, so that it shows what is missing.
async fn keep(from: Option<impl AsyncRead + Unpin>, most: usize, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let room = (4 * most + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
}

fn told(kept: Vec<u8>, most: usize) -> String {
    let text = String::from_utf8_lossy(&kept);
    match text.char_indices().nth(most) {
        None => text.into_owned(),
        Some(_) => text.chars().take(most - TRUNCATED.len()).collect::<String>() + TRUNCATED,
    }
}

/// A script in a folder of its own, which goes with it.
struct Script(PathBuf);

impl Script {
    fn write(id: &str, script: &str) -> io::Result<Self> {
        // The id comes from the service, and names one folder.
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command's id"));
        }
        let folder = Path::new(FOLDER).join(id);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let made = Self(folder);
        fs::write(made.0.join("script.sh"), script)?;
        Ok(made)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "removing a script");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_of_both_schemas_are_read() {
        let old = json!({"runtimeConfig": {"aws:runShellScript": {"properties": [{
            "id": "0.aws:runShellScript", "runCommand": ["id", "exit 3"],
            "workingDirectory": "/tmp", "timeoutSeconds": "60",
        }]}}});
        let step = Step::of(&old).expect("a step");
        assert_eq!((step.script.as_str(), step.folder.as_str()), ("id\nexit 3", "/tmp"));
        assert_eq!(step.timeout, Duration::from_secs(60));
        let new = json!({"mainSteps": [{"action": "aws:runShellScript", "name": "one",
            "inputs": {"runCommand": "id"}}]});
        let step = Step::of(&new).expect("a step");
        assert_eq!((step.name.as_str(), step.timeout), ("one", TIMEOUT));
        assert_eq!(Step::of(&json!({})), None);
    }

    #[test]
    fn long_output_says_that_it_is_cut() {
        let told = told(vec![b'x'; 9000], STANDARD_ERROR);
        assert_eq!(told.len(), STANDARD_ERROR);
        assert!(told.ends_with("truncated---"));
    }
}
