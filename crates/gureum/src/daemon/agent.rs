//! The agent of Systems Manager as instances find it: a program beside ours, and its unit.
//!
//! They come with the files that all instances of a cloud share, not with the image: so they are
//! always those of this daemon. A package of AWS's own agent goes over them.

use std::fs;

use gureum_host::instance::CloudFile;
use tracing::error;

/// The name of the program, which lies beside ours.
const PROGRAM: &str = "gureum-guest";

/// Has it started at boot: a layer has files and no links.
const WANTED: &str = "/usr/lib/systemd/system/multi-user.target.d/amazon-ssm-agent.conf";

const UNIT: &str = "\
[Unit]
Description=amazon-ssm-agent (Gureum)
After=network-online.target
ConditionPathExists=/usr/bin/amazon-ssm-agent

[Service]
ExecStart=/usr/bin/amazon-ssm-agent
Restart=always
RestartSec=5
KillMode=mixed
TasksMax=infinity
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
";

/// The agent's files. Without the program there are none, and no instance can be reached by Session
/// Manager.
pub(crate) fn files() -> Vec<CloudFile> {
    let path = match std::env::current_exe() {
        Ok(ours) => ours.with_file_name(PROGRAM),
        Err(error) => {
            error!(%error, "cannot find the program that runs, nor the agent beside it");
            return Vec::new();
        }
    };
    // Linked statically, it runs whatever the machine and the image have.
    let program = match fs::read(&path) {
        Ok(contents) => file("/usr/bin/amazon-ssm-agent", 0o755, contents),
        Err(error) => {
            error!(
                path = %path.display(), %error,
                "instances have no agent of Systems Manager; `make build` builds it beside gureum",
            );
            return Vec::new();
        }
    };
    let wanted = "[Unit]\nWants=amazon-ssm-agent.service\n";
    vec![
        program,
        file("/usr/lib/systemd/system/amazon-ssm-agent.service", 0o644, UNIT.into()),
        file(WANTED, 0o644, wanted.into()),
    ]
}

fn file(path: &str, mode: u32, contents: Vec<u8>) -> CloudFile {
    CloudFile { path: path.to_owned(), mode, contents }
}
