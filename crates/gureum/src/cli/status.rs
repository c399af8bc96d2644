//! `gureum status`: how the daemon is.

use std::process::ExitCode;

use super::{
    client::Daemon,
    output::{self, Format, OutputArgs},
};
use crate::{admin::Status, failure::Failure};

/// Runs `gureum status`.
pub(crate) fn run(args: &OutputArgs, daemon: &Daemon) -> Result<ExitCode, Failure> {
    let status = daemon.status()?;
    match args.output {
        Format::Json => output::print_json(&status)?,
        Format::Table => output::print(&text(&status))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(status: &Status) -> String {
    let mut rows = vec![
        ("version", status.version.clone()),
        ("endpoint", status.endpoint.clone()),
        ("socks5", status.socks.clone().unwrap_or_else(|| "off".into())),
        ("uplink", status.uplink.clone().unwrap_or_else(|| "off".into())),
        ("data", status.data_dir.display().to_string()),
        ("tag", status.tag.clone()),
        ("process", status.pid.to_string()),
        ("up for", duration(status.uptime_seconds)),
        (
            "instances",
            match (status.instances_enabled, status.light) {
                (false, _) => "records only",
                (true, false) => "boot",
                (true, true) => "light hosts",
            }
            .into(),
        ),
        ("epoch", status.applied_epoch.to_string()),
    ];
    let counts: Vec<_> =
        status.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    rows.push(("resources", or_none(counts.join(", "))));
    let drops: Vec<_> =
        status.drops.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    rows.push(("dropped", or_none(drops.join(", "))));
    rows.into_iter().map(|(name, value)| format!("{name:<10} {value}\n")).collect()
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".into() } else { text }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_lines() {
        let status = Status {
            version: "0.1.0".into(),
            pid: 4242,
            endpoint: "http://127.0.0.1:4566".into(),
            socks: None,
            uplink: None,
            data_dir: "/home/mina/.local/share/gureum".into(),
            tag: "0badcafe".into(),
            instances_enabled: true,
            light: false,
            uptime_seconds: 3725,
            applied_epoch: 17,
            counts: vec![("vpcs".into(), 2), ("running instances".into(), 5)],
            drops: vec![],
        };
        let expected = "\
version    0.1.0
endpoint   http://127.0.0.1:4566
socks5     off
uplink     off
data       /home/mina/.local/share/gureum
tag        0badcafe
process    4242
up for     1 h 2 min
instances  boot
epoch      17
resources  2 vpcs, 5 running instances
dropped    none
";
        assert_eq!(text(&status), expected);
    }
}
