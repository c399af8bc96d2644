//! `gureum doctor`: what this machine can do, and what to do about the rest.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    client::Daemon,
    error::CliError,
    linux,
    output::{self, Format, OutputArgs},
};

/// Something that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// How it is.
    pub detail: String,
    /// What to do where it is not.
    pub remedy: Option<String>,
}

/// Runs `gureum doctor`.
pub(crate) fn run(args: &OutputArgs, daemon: &Daemon) -> Result<ExitCode, CliError> {
    let findings = linux::probe(daemon.data_dir())?;
    match args.output {
        Format::Json => output::print_json(&findings)?,
        Format::Table => output::print(&text(&findings))?,
    }
    let healthy = findings.iter().all(|finding| finding.ok);
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(findings: &[Finding]) -> String {
    let rows = findings.iter().map(|finding| {
        let state = if finding.ok { "ok" } else { "BAD" };
        vec![state.to_owned(), finding.name.clone(), finding.detail.clone()]
    });
    let mut text = output::table(&["", "WHAT", "HOW IT IS"], rows);
    for finding in findings.iter().filter(|finding| !finding.ok) {
        if let Some(remedy) = &finding.remedy {
            text += &format!("help: {}: {remedy}\n", finding.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad_comes_with_a_remedy() {
        let finding = |name: &str, ok| Finding {
            name: name.into(),
            ok,
            detail: "128".into(),
            remedy: Some("sysctl -w x=8192".into()),
        };
        let expected = "     WHAT     HOW IT IS\nok   root     128\nBAD  inotify  128\n\
                        help: inotify: sysctl -w x=8192\n";
        assert_eq!(text(&[finding("root", true), finding("inotify", false)]), expected);
    }
}
