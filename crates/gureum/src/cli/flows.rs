//! `gureum flows`: who talks now, and what was rejected lately, and why.

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::Args;
use gureum_engine::{Direction, print};
use rustix::termios::tcgetwinsize;

use super::{
    client::{Daemon, unexpected},
    output::{self, Format, OutputArgs},
    stream,
};
use crate::{
    admin::{FlowsArgs, FlowsReport, Rejected, Reply, Request, TalkingFlow},
    failure::Failure,
};

/// How often the picture is drawn anew.
const INTERVAL: Duration = Duration::from_secs(1);
/// Lines of a picture that are neither a flow nor a reject.
const HEADINGS: usize = 6;

/// The arguments of `gureum flows`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "In a terminal the tables are drawn anew each second, until Ctrl-C. It works \
without flow logs: rejected packets are remembered for half an hour. Those that differ only in the \
port of their sender are one line, whose counts are from FIRST on. BY is the rule, entry or route \
that decided, where it was one.

Examples:
  gureum flows                              who talks, and what is rejected
  gureum flows PUBLIC-01                    of one interface
  gureum flows --reject --since 5m          what was rejected in the last five minutes, and why
  gureum flows --once --output json"
)]
pub(crate) struct FlowsCommand {
    /// An interface: a Name tag, id or address [default: all]
    #[arg(value_name = "INTERFACE")]
    interface: Option<String>,
    /// Only rejected packets
    #[arg(long)]
    reject: bool,
    /// How far back rejected packets are shown, as 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = stream::duration)]
    since: Duration,
    /// Lines of a table at most
    #[arg(long, value_name = "LINES", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print once, also in a terminal
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `gureum flows`.
pub(crate) fn run(args: &FlowsCommand, daemon: &Daemon) -> Result<ExitCode, Failure> {
    if args.output.output == Format::Json {
        output::print_json(&report(args, daemon)?)?;
    } else if args.once || !std::io::stdout().is_terminal() {
        output::print(&text(&report(args, daemon)?, None))?;
    } else {
        watch(args, daemon)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report(args: &FlowsCommand, daemon: &Daemon) -> Result<FlowsReport, Failure> {
    let wanted = FlowsArgs {
        interface: args.interface.clone(),
        flows: !args.reject,
        since: u64::try_from(args.since.as_millis()).unwrap_or(u64::MAX),
        limit: args.limit as usize,
    };
    match daemon.ask(&Request::Flows(wanted))? {
        Reply::Flows(report) => Ok(*report),
        other => Err(unexpected(&other)),
    }
}

/// Draws until Ctrl-C.
fn watch(args: &FlowsCommand, daemon: &Daemon) -> Result<(), Failure> {
    end_at_ctrl_c()?;
    let mut begin = "\x1b[2J";
    loop {
        let report = report(args, daemon)?;
        let size = tcgetwinsize(rustix::stdio::stdout()).ok();
        // A terminal without a size (a serial line) shows everything.
        let rows = size.map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0);
        output::print(&picture(begin, &text(&report, rows), rows))?;
        begin = "";
        if args.reject {
            // With flows, the daemon takes its second for measuring.
            thread::sleep(INTERVAL);
        }
    }
}

/// A picture over the former one: each line ends what was there, and none goes on in the next.
fn picture(begin: &str, text: &str, rows: Option<usize>) -> String {
    let lines = text.lines().take(rows.map_or(usize::MAX, |rows| rows - 1));
    let lines: String = lines.map(|line| format!("{line}\x1b[K\n")).collect();
    format!("{begin}\x1b[H\x1b[?7l{lines}\x1b[J\x1b[?7h")
}

fn end_at_ctrl_c() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot wait for Ctrl-C: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let interrupt = tokio::signal::unix::SignalKind::interrupt();
    let mut interrupts = {
        let _entered = runtime.enter();
        tokio::signal::unix::signal(interrupt).map_err(failed)?
    };
    thread::spawn(move || {
        if runtime.block_on(interrupts.recv()).is_some() {
            // Whatever was being drawn. A terminal that went away needs no more.
            let _ = std::io::stdout().write_all(b"\x1b[?7h\n");
            std::process::exit(0);
        }
    });
    Ok(())
}

/// The tables, cut to so many rows in all if there is a bound.
pub(super) fn text(report: &FlowsReport, rows: Option<usize>) -> String {
    let room = rows.map_or(usize::MAX, |rows| rows.saturating_sub(HEADINGS + 1));
    let rejects = match &report.flows {
        Some(_) => report.rejects.len().min(room / 2),
        None => report.rejects.len().min(room),
    };
    let mut text = String::new();
    if let Some(flows) = &report.flows {
        let shown = flows.len().min(room - rejects);
        let count = report.flow_count.unwrap_or_default();
        text += &title("FLOWS", shown, count);
        if shown > 0 {
            text += &output::table(&FLOWS, flows.iter().take(shown).map(flow_row));
        }
        text.push('\n');
    }
    let length = duration(report.at.saturating_sub(report.since));
    let title_text = format!("REJECTS of the last {length}");
    text += &title(&title_text, rejects, report.reject_count);
    if rejects > 0 {
        let rows = report.rejects.iter().take(rejects).map(|it| reject_row(it, report.at));
        text += &output::table(&REJECTS, rows);
    }
    if report.complete_since > report.since {
        let length = duration(report.at.saturating_sub(report.complete_since));
        text += &format!("Rejects are remembered for the last {length} only.\n");
    }
    text
}

fn title(what: &str, shown: usize, count: u64) -> String {
    match count {
        0 => format!("{what}: none\n"),
        count if count == shown as u64 => format!("{what}: {count}\n"),
        count => format!("{what}: {shown} of {count}\n"),
    }
}

const FLOWS: [&str; 9] =
    ["INTERFACE", "LOCAL", "", "REMOTE", "PROTOCOL", "STATE", "PACKETS/S", "BYTES/S", "TOTAL"];
const REJECTS: [&str; 10] = [
    "INTERFACE",
    "",
    "SOURCE",
    "DESTINATION",
    "PROTOCOL",
    "REASON",
    "BY",
    "PACKETS",
    "FIRST",
    "LAST",
];

fn flow_row(flow: &TalkingFlow) -> Vec<String> {
    let arrow = match flow.origin {
        Direction::Egress => "->",
        Direction::Ingress => "<-",
    };
    let state = match &flow.nat_gateway {
        Some(side) => format!("{} ({side})", flow.state),
        None => flow.state.clone(),
    };
    vec![
        flow.name.clone(),
        flow.local.clone(),
        arrow.to_owned(),
        flow.remote.clone(),
        flow.protocol.clone(),
        state,
        format!("{:.0}", flow.packets_per_second),
        bytes(flow.bytes_per_second),
        bytes(flow.bytes.iter().sum::<u64>() as f64),
    ]
}

fn reject_row(rejected: &Rejected, now: u64) -> Vec<String> {
    let direction = match rejected.direction {
        Direction::Egress => "out",
        Direction::Ingress => "in",
    };
    let source = match rejected.sources {
        1 => rejected.source.clone(),
        count => format!("{} ({count} tries)", rejected.source),
    };
    let by = rejected.component.as_ref().map_or_else(|| "-".to_owned(), print::component);
    let ago = |then: u64| format!("{} ago", duration(now.saturating_sub(then)));
    vec![
        rejected.name.clone(),
        direction.to_owned(),
        source,
        rejected.destination.clone(),
        rejected.protocol.clone(),
        rejected.reason.clone(),
        by,
        rejected.packets.to_string(),
        ago(rejected.first),
        ago(rejected.last),
    ]
}

/// Bytes as people read them.
fn bytes(count: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    // What would be rounded up to a thousand has the next unit.
    match units.into_iter().find(|(unit, _)| count >= unit * 0.9995) {
        Some((unit, name)) => format!("{:.1} {name}", count / unit),
        None => format!("{count:.0} B"),
    }
}

/// A time in nanoseconds as people read it.
fn duration(nanoseconds: u64) -> String {
    let seconds = nanoseconds.saturating_add(500_000_000) / 1_000_000_000;
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h", (seconds + 1800) / 3600),
    }
}

#[cfg(test)]
mod tests {
    use gureum_engine::Component;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn report() -> FlowsReport {
        let flow = TalkingFlow {
            interface: "eni-0000000000000000a".into(),
            name: "PUBLIC-01".into(),
            protocol: "tcp".into(),
            local: "10.1.1.11:22".into(),
            remote: "198.18.0.1:40000".into(),
            origin: Direction::Ingress,
            state: "established".into(),
            nat_gateway: None,
            packets_per_second: 12.4,
            bytes_per_second: 1240.0,
            packets: [10, 12],
            bytes: [2_000_000, 1_400_000],
            created: 0,
            last: 0,
        };
        let rejected = Rejected {
            interface: "eni-0000000000000000a".into(),
            name: "PUBLIC-01".into(),
            direction: Direction::Ingress,
            protocol: "tcp".into(),
            source: "198.18.0.1".into(),
            destination: "198.18.0.11:8080".into(),
            sources: 3,
            reason: "network-acl-ingress".into(),
            component: Some(Component::NetworkAclEntry {
                acl: "acl-00000000000000001".parse().expect("an id"),
                number: 90,
                egress: false,
            }),
            packets: 9,
            bytes: 540,
            first: 100 * SECOND,
            last: 397 * SECOND,
        };
        FlowsReport {
            at: 400 * SECOND,
            flows: Some(vec![flow; 3]),
            flow_count: Some(1200),
            rejects: vec![rejected],
            reject_count: 1,
            since: 340 * SECOND,
            complete_since: 90 * SECOND,
        }
    }

    #[test]
    fn flows_and_rejects_read_as_tables() {
        let mut report = report();
        report.flows.as_mut().expect("flows").truncate(1);
        let expected = "\
FLOWS: 1 of 1200
INTERFACE  LOCAL             REMOTE            PROTOCOL  STATE        PACKETS/S  BYTES/S  TOTAL
PUBLIC-01  10.1.1.11:22  <-  198.18.0.1:40000  tcp       established  12         1.2 kB   3.4 MB

REJECTS of the last 60 s: 1
INTERFACE      SOURCE                DESTINATION       PROTOCOL  REASON               BY                                PACKETS  FIRST      LAST
PUBLIC-01  in  198.18.0.1 (3 tries)  198.18.0.11:8080  tcp       network-acl-ingress  acl-00000000000000001 ingress 90  9        5 min ago  3 s ago
";
        assert_eq!(text(&report, None), expected);
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["flows"][0]["origin"], "ingress");
        assert_eq!(json["rejects"][0]["component"]["NetworkAclEntry"]["number"], 90);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let mut report = report();
        (report.flows, report.flow_count) = (None, None);
        (report.rejects, report.reject_count) = (Vec::new(), 0);
        report.complete_since = 388 * SECOND;
        let expected = "REJECTS of the last 60 s: none\n\
                        Rejects are remembered for the last 12 s only.\n";
        assert_eq!(text(&report, None), expected);
        let json = serde_json::to_value(&report).expect("JSON");
        assert!(json.get("flows").is_none(), "nobody asked: {json}");
    }

    #[test]
    fn a_picture_fits_its_window() {
        let mut report = report();
        report.rejects = vec![report.rejects[0].clone(); 3];
        report.reject_count = 3;
        for rows in [1, 8, 9, 10, 11, 12, 13, 24] {
            let text = text(&report, Some(rows));
            let picture = picture("", &text, Some(rows));
            assert!(picture.matches('\n').count() < rows, "{rows}: {picture}");
            if rows >= 9 {
                assert_eq!(text.lines().count() - 5, 6.min(rows - HEADINGS - 1), "{text}");
                let rejects = text.split_once("REJECTS").expect("both are there").1;
                assert!(rejects.contains("network-acl-ingress"), "{rows}: {text}");
            }
        }
        assert_eq!(
            picture("\x1b[2J", "a\nb\n", Some(2)),
            "\x1b[2J\x1b[H\x1b[?7la\x1b[K\n\x1b[J\x1b[?7h"
        );
    }

    #[test]
    fn amounts_and_times_read_as_people_say_them() {
        for (count, expected) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (999.9, "1.0 kB"),
            (1240.0, "1.2 kB"),
            (3.4e9, "3.4 GB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        for (seconds, expected) in [(0, "0 s"), (99, "99 s"), (100, "2 min"), (7200, "2 h")] {
            assert_eq!(duration(seconds * SECOND), expected);
        }
    }
}
